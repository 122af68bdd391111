//! A real server of Amazon's Route 53 protocol: moto (<https://docs.getmoto.org>), with an account of its own, whose
//! rights are those that the agent needs. It checks every signature, by botocore's own code.

use super::process::{until, Daemon};
use super::scenarios::ten::{ALIAS, OLD, OLD_ADDRS, OLD_TTL};
use super::{probe, tools, Lab, SECOND, WEB4, ZONE};
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where it is.
pub const AT: SocketAddr = SocketAddr::new(IpAddr::V4(WEB4), 5000);
/// What it needs beside Python.
pub const NEEDS: &[&str] = &["python3"];
/// What is installed: the server, and whose code judges signatures.
const PACKAGES: [&str; 5] =
    ["moto==5.2.5", "botocore==1.44.5", "boto3==1.44.5", "flask==3.1.3", "flask-cors==6.0.5"];
/// What the agent needs to be allowed, and no more: every other action is denied.
pub const ACTIONS: [&str; 3] =
    ["route53:ListHostedZonesByName", "route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets"];
/// A server that does not answer within this time has failed: it reads thousands of files of Python.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The version of the protocol, in its paths and names.
const VERSION: &str = "2013-04-01";

/// A running server with a hosted zone, [`ZONE`]. Dropped, it is killed.
pub struct Moto<'a> {
    lab: &'a Lab,
    daemon: Daemon,
    /// The id of the user's key.
    pub key_id: String,
    /// The key itself.
    pub key_secret: String,
    /// The hosted zone's id.
    pub zone: String,
}

/// Installs it where it is not there, if `may_install`.
///
/// # Errors
/// When it cannot be; the text holds the line to type.
pub fn prepare(may_install: bool) -> Result<()> {
    if is_here() {
        return Ok(());
    }
    tools::pip(&dir(), &PACKAGES, may_install)?;
    ensure!(is_here(), "installed {}, yet it does not run", PACKAGES[0]);
    Ok(())
}

/// Where it is installed: beside what cargo builds.
fn dir() -> PathBuf {
    tools::target_dir().join(PACKAGES[0].replace("==", "-"))
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", dir()).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

fn is_here() -> bool {
    let version = python().args(["-c", "import moto.server; print('moto==' + moto.__version__)"]).output();
    version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == PACKAGES[0])
}

impl Moto<'_> {
    /// Starts it in the internet, with a zone, records from before, a user and a key; from then on every request
    /// needs a signature.
    ///
    /// # Errors
    /// When it does not start or does not take this.
    pub fn start(lab: &Lab) -> Result<Moto<'_>> {
        let mut command = python();
        let (host, port) = (AT.ip().to_string(), AT.port().to_string());
        command.args(["-c", include_str!("moto.py"), "-H", &host, "-p", &port]);
        let mut daemon = lab.internet.spawn("moto", &mut command)?;
        until("moto answers", START_LIMIT, || {
            let answer = probe::http(&lab.internet, AT, "GET /moto-api/data.json", "", "", 5 * SECOND);
            (answer.is_ok() || !daemon.is_running()).then_some(())
        })
        .with_context(|| format!("its last words:\n{}", daemon.tail(20)))?;
        ensure!(daemon.is_running(), "it ended at once; its last words:\n{}", daemon.tail(20));
        let none = String::new();
        let mut moto = Moto { lab, daemon, key_id: none.clone(), key_secret: none.clone(), zone: none };
        moto.furnish()?;
        Ok(moto)
    }

    fn furnish(&mut self) -> Result<()> {
        let form = |action: &str| format!("Action={action}&UserName=porchlight&Version=2010-05-08");
        self.ask("iam", "POST /", &form("CreateUser"))?;
        let key = self.ask("iam", "POST /", &form("CreateAccessKey"))?;
        self.key_id = inside(&key, "AccessKeyId").context("no key")?.to_owned();
        self.key_secret = inside(&key, "SecretAccessKey").context("no secret")?.to_owned();
        let actions = ACTIONS.map(|action| format!("%22{action}%22")).join(",");
        let policy = format!(
            "%7B%22Version%22:%222012-10-17%22,%22Statement%22:[%7B%22Effect%22:%22Allow%22,\
             %22Action%22:[{actions}],%22Resource%22:%22*%22%7D]%7D"
        );
        let form = form("PutUserPolicy") + "&PolicyName=records&PolicyDocument=" + &policy;
        self.ask("iam", "POST /", &form)?;
        let zone = format!(
            "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/{VERSION}/\"><Name>{ZONE}</Name>\
             <CallerReference>lab</CallerReference></CreateHostedZoneRequest>"
        );
        let made = self.ask("route53", &format!("POST /{VERSION}/hostedzone"), &zone)?;
        self.zone = inside(&made, "Id").and_then(|id| id.rsplit('/').next()).context("no zone")?.to_owned();
        let (v4, v6) = OLD_ADDRS;
        let plain = |rtype: &str, addr: String| {
            set(OLD, rtype, &format!("<TTL>{OLD_TTL}</TTL><ResourceRecords><ResourceRecord><Value>{addr}</Value></ResourceRecord></ResourceRecords>"))
        };
        let target = format!("<AliasTarget><HostedZoneId>{}</HostedZoneId><DNSName>ns1.{ZONE}.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>", self.zone);
        let sets = [
            plain("A", v4.to_string()),
            plain("AAAA", v6.to_string()),
            set(ALIAS, "A", &target),
            set(ALIAS, "AAAA", &target),
        ];
        let changes = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/{VERSION}/\"><ChangeBatch><Changes>{}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            sets.concat()
        );
        self.ask("route53", &format!("POST /{VERSION}/hostedzone/{}/rrset", self.zone), &changes)?;
        self.want_keys(true)
    }

    /// From now on, or no more.
    fn want_keys(&self, wanted: bool) -> Result<()> {
        let free = if wanted { "0" } else { "inf" };
        self.ask("moto", "POST /moto-api/reset-auth", free).map(drop)
    }

    /// A request of the account's owner, while no keys are wanted; the scope in the header says which service is meant.
    fn ask(&self, service: &str, request: &str, body: &str) -> Result<String> {
        let kind = if service == "iam" { "application/x-www-form-urlencoded" } else { "text/xml" };
        let headers = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=OWNER/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0\r\nContent-Type: {kind}\r\n"
        );
        let (status, said) = probe::http(&self.lab.internet, AT, request, &headers, body, 5 * SECOND)?;
        ensure!((200..300).contains(&status), "moto: {request}: {status} {said}");
        Ok(said)
    }

    /// The requests that were sent by the router, each as `METHOD PATH`, with its status.
    pub fn requests(&self) -> Vec<(String, u16)> {
        self.daemon.lines().iter().filter_map(|line| request(&line.text)).collect()
    }

    /// What the zone has for a name: addresses with their times to live.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>> {
        self.want_keys(false)?;
        let list = self.ask("route53", &format!("GET /{VERSION}/hostedzone/{}/rrset", self.zone), "")?;
        self.want_keys(true)?;
        let name = format!("{name}.");
        let mut held = Vec::new();
        for set in list.split("<ResourceRecordSet>").skip(1) {
            let owner = inside(set, "Name").map(|name| name.replace("\\052", "*"));
            if owner.as_ref() != Some(&name) || inside(set, "Type") != Some(&rtype.to_string()) {
                continue;
            }
            let Some(ttl) = inside(set, "TTL") else { continue };
            for value in set.split("<Value>").skip(1) {
                let addr = value.split('<').next().unwrap_or_default();
                held.push((addr.parse().with_context(|| format!("{name} has {addr}"))?, ttl.parse()?));
            }
        }
        Ok(held)
    }
}

/// A change that puts a set of records in place.
fn set(name: &str, rtype: &str, content: &str) -> String {
    format!("<Change><Action>UPSERT</Action><ResourceRecordSet><Name>{name}.</Name><Type>{rtype}</Type>{content}</ResourceRecordSet></Change>")
}

/// The text of the first element of this name.
fn inside<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Reads `203.0.113.10 - - [22/Nov/2026 21:41:20] "GET /2013-04-01/hostedzone HTTP/1.1" 200 -`, which may be coloured.
fn request(line: &str) -> Option<(String, u16)> {
    let plain: String = line
        .split("\x1b[")
        .enumerate()
        .map(|(at, part)| match at {
            0 => part,
            _ => part.split_once('m').map_or("", |(_, text)| text),
        })
        .collect();
    let (_, told) = plain.strip_prefix("203.0.113.")?.split_once('"')?;
    let (request, status) = told.split_once(" HTTP/1.1\" ")?;
    Some((request.to_owned(), status.split(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn requests_are_read_from_the_log() {
        let plain = "203.0.113.10 - - [22/Nov/2026 21:41:20] \"GET /2013-04-01/hostedzone HTTP/1.1\" 200 -";
        assert_eq!(request(plain), Some(("GET /2013-04-01/hostedzone".into(), 200)));
        let red = "203.0.113.10 - - [x] \"\x1b[31m\x1b[1mGET /2013-04-01/hostedzone HTTP/1.1\x1b[0m\" 403 -";
        assert_eq!(request(red), Some(("GET /2013-04-01/hostedzone".into(), 403)));
        assert_eq!(request(&plain.replace("203.0.113.10", "198.51.100.80")), None, "somebody else's");
    }
}
