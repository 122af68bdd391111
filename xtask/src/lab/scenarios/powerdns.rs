//! A real PowerDNS keeps ten names for the agent: by signed updates (RFC 2136), and by its HTTP API.

use super::ten::{Service, Ten, OLD, OLD_ADDRS, OLD_TTL, OUTSIDE};
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use nix::sys::signal::Signal;
use std::fs;
use std::net::IpAddr;

/// A key of the same length as the right one.
const WRONG_SECRET: &str = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch";
/// So many refusals without a signature are needed to be believed.
const UNSIGNED_LIMIT: usize = 3;
/// The options for updates.
const UPDATE_OPTIONS: &str = "\toption provider 'rfc2136'
\toption server 'ns1.example.com'
\toption tsig_name 'ddns-key'
\toption tsig_secret_file '/etc/porchlight/tsig.key'
";

/// By signed updates.
pub const UPDATE: Scenario = Scenario {
    name: "powerdns-update",
    about:
        "PowerDNS by signed updates: ten names made, changed, left alone; a wrong key and a foreign name told",
    needs: powerdns::NEEDS,
    limit: Duration::from_secs(90),
    slow: false,
    run: update,
};

/// The options for the API.
const API_OPTIONS: &str = "\toption provider 'powerdns'
\toption url 'http://198.51.100.80:8081'
";

/// Its words are the owner's.
const COMMENT: &str = "mine, since 2019";
/// All at once is refused for the alias's sake; then each by itself: nine addresses, and two of the alias.
const WITH_ALIAS: usize = 1 + 9 + 2;

/// By the HTTP API.
pub const API: Scenario = Scenario {
    name: "powerdns-api",
    about:
        "PowerDNS by its HTTP API: ten names made, changed, left alone; a wrong key and a foreign name told",
    run: api,
    ..UPDATE
};

/// PowerDNS, where updates are looked at.
struct ByUpdate<'a>(&'a Lab, &'a PowerDns);

impl Service for ByUpdate<'_> {
    fn writes(&self) -> usize {
        self.1.updates() + self.1.denied()
    }

    fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>> {
        Ok(probe::ask(&self.0.internet, (DNS4, 53).into(), name, rtype, SECOND)?.addrs)
    }
}

fn update(lab: &mut Lab) -> Result<Summary> {
    let dns = PowerDns::start(lab)?;
    let service = ByUpdate(lab, &dns);
    let mut ten = Ten::new(lab)?;
    // The alias is seen before anything is written.
    let mut summary = Summary::line(ten.keeps(&service, UPDATE_OPTIONS, "a CNAME record stands at", 1)?);
    summary.0.push(wrong_key(lab, &dns, &mut ten)?);
    summary.0.push(outside(lab, &ten)?);
    Ok(summary)
}

/// PowerDNS says REFUSED to a wrong key, and signs nothing; so it may be anyone's. It is believed when it comes again.
fn wrong_key(lab: &Lab, dns: &PowerDns, ten: &mut Ten) -> Result<String> {
    let service = ByUpdate(lab, dns);
    let (before, updates) = (service.held(NAME, Rtype::A)?, dns.updates());
    let key = lab.root.join("etc/porchlight/tsig.key");
    fs::write(&key, WRONG_SECRET)?;
    ten.readdress()?;
    let mut agent = lab.start_agent()?;
    for time in 1..=UNSIGNED_LIMIT {
        until("it is denied", 5 * SECOND, || (dns.denied() == time).then_some(()))?;
        let stand = ten.stand(NAME)?;
        let class = if time < UNSIGNED_LIMIT { "unconfirmed" } else { "refused" };
        ensure!(stand.class == class, "denied {time} times: {stand:?}");
        ensure!(stand.text.contains("the key's name, its algorithm (hmac-sha256) and secret"), "{stand:?}");
        if time < UNSIGNED_LIMIT {
            lab.verb(&["trigger"])?.success()?;
        }
    }
    ensure!(
        dns.updates() == updates && service.held(NAME, Rtype::A)? == before,
        "a wrong key changed something"
    );
    fs::write(&key, SECRET)?;
    agent.signal(Signal::SIGHUP)?;
    until("the right key is taken", 5 * SECOND, || (dns.updates() > updates).then_some(()))?;
    ten.all_but_alias(&service, "a CNAME record stands at").context("with the right key again")?;
    ensure!(dns.updates() == updates + 1, "{} updates with the right key", dns.updates() - updates);
    agent.stop(SECOND)?;
    Ok(format!(
        "a wrong key: REFUSED without a signature, believed after {UNSIGNED_LIMIT} times, nothing changed"
    ))
}

/// A name that lies not in the zone that the owner named, which is told before anything runs; or in no zone of the
/// server, which its answers tell, and they are not signed either.
fn outside(lab: &Lab, ten: &Ten) -> Result<String> {
    ten.configure(&format!("{UPDATE_OPTIONS}\toption zone '{ZONE}'\n"), &[NAME, OUTSIDE])?;
    let check = lab.verb(&["check"])?;
    let told = format!("'{OUTSIDE}' is not in the zone '{ZONE}'");
    ensure!(!check.status.success() && check.stderr.contains(&told), "check says: {}", check.stderr);
    ten.configure(UPDATE_OPTIONS, &[NAME, OUTSIDE])?;
    let mut agent = lab.start_agent()?;
    for time in 1..=UNSIGNED_LIMIT {
        let count = format!("({time} of {UNSIGNED_LIMIT})");
        let stand = until(&format!("it is told {time} times"), 5 * SECOND, || {
            let stand = ten.stand(OUTSIDE).ok()?;
            let told = stand.text.contains(&count) || stand.class == "no-such-name";
            (told && stand.text.contains("tells no zone that holds")).then_some(stand)
        })?;
        ensure!(ten.stand(NAME)?.standing == "published", "its neighbour suffers");
        let rests = stand.class == "no-such-name";
        ensure!(rests == (time == UNSIGNED_LIMIT), "told {time} times, it rests: {rests}");
        if !rests {
            lab.verb(&["trigger"])?.success()?;
        }
    }
    agent.stop(SECOND)?;
    Ok(format!(
        "{OUTSIDE}: with option zone the check tells; else no such name, after {UNSIGNED_LIMIT} times"
    ))
}

/// PowerDNS, where its API is looked at.
struct ByApi<'a>(&'a Lab, &'a PowerDns);

impl Service for ByApi<'_> {
    fn writes(&self) -> usize {
        self.1.requests().iter().filter(|(request, _)| request.starts_with("PATCH ")).count()
    }

    fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>> {
        ByUpdate(self.0, self.1).held(name, rtype)
    }
}

fn api(lab: &mut Lab) -> Result<Summary> {
    let dns = PowerDns::start(lab)?;
    comment(lab, &dns)?;
    let service = ByApi(lab, &dns);
    let mut ten = Ten::new(lab)?;
    let options = format!("{API_OPTIONS}\toption token '{}'\n", powerdns::API_KEY);
    let mut summary =
        Summary::line(ten.keeps(&service, &options, "Conflicts with pre-existing RRset", WITH_ALIAS)?);
    let first: Vec<String> = dns.requests().into_iter().map(|(request, _)| request).take(3).collect();
    ensure!(service_holds_comment(lab)?, "the owner's comment is gone");
    summary.0.push(format!("a first pass: {}; the owner's comment was kept", first.join(", ")));
    summary.0.push(wrong_api_key(lab, &dns, &mut ten, &options)?);
    summary.0.push(ten.leaves_out(&options)?);
    Ok(summary)
}

/// A wrong key is told by the first answer; nothing is asked again before the configuration changes.
fn wrong_api_key(lab: &Lab, dns: &PowerDns, ten: &mut Ten, options: &str) -> Result<String> {
    ten.configure(&format!("{API_OPTIONS}\toption token 'wrong'\n"), &[NAME])?;
    ten.readdress()?;
    let before = dns.requests().len();
    let mut agent = lab.start_agent()?;
    let stand = ten.stand(NAME)?;
    ensure!(stand.class == "credentials", "{stand:?}");
    lab.verb(&["trigger", "wan", "wan"])?.success()?;
    lab.verb(&["once"])?;
    let sent = dns.requests().split_off(before);
    ensure!(sent.len() == 1 && sent.iter().all(|(_, status)| *status == 401), "with a wrong key: {sent:?}");
    ten.configure(options, &[NAME])?;
    agent.signal(Signal::SIGHUP)?;
    until("the right key is taken", 5 * SECOND, || {
        (ten.stand(NAME).ok()?.standing == "published").then_some(())
    })?;
    agent.stop(SECOND)?;
    Ok(format!("a wrong key: one request, then it rests: {}", stand.text))
}

/// Gives the records that are there a comment, as a person does by a web interface.
fn comment(lab: &Lab, _running: &PowerDns) -> Result<()> {
    let (v4, _) = OLD_ADDRS;
    let body = format!(
        r#"{{"rrsets":[{{"name":"{OLD}.","type":"A","ttl":{OLD_TTL},"changetype":"REPLACE",
            "records":[{{"content":"{v4}","disabled":false}}],
            "comments":[{{"content":"{COMMENT}","account":"owner"}}]}}]}}"#
    );
    let (status, said) = ask(lab, "PATCH", &body)?;
    ensure!(status == 204, "PowerDNS takes no comment: {status} {said}");
    Ok(())
}

fn service_holds_comment(lab: &Lab) -> Result<bool> {
    Ok(ask(lab, "GET", "")?.1.contains(COMMENT))
}

/// A request about the zone from somebody who has the key.
fn ask(lab: &Lab, method: &str, body: &str) -> Result<(u16, String)> {
    let request = format!("{method} /api/v1/servers/localhost/zones/{ZONE}.");
    let headers = format!("X-API-Key: {}\r\nContent-Type: application/json\r\n", powerdns::API_KEY);
    probe::http(&lab.internet, powerdns::API, &request, &headers, body, SECOND)
}
