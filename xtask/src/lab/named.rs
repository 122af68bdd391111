//! Real name servers of the zone, BIND 9 and Knot: started with the lab's key, and asked afterwards what
//! they were told: their own logs count the update messages, their journals (IXFR) say what changed.

use super::process::{until, Daemon};
use super::seal;
use super::{probe, Lab, Ns, DNS4, DNS6, KEY, SECOND, SECRET, ZONE};
use anyhow::{bail, ensure, Context, Result};
use domain::base::Rtype;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A server that does not answer for the zone within this time has failed.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The serial number of the zone as it is first loaded.
const FIRST_SERIAL: u32 = 1;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// ISC BIND 9, Debian package bind9.
    Bind,
    /// Knot DNS, Debian package knot.
    Knot,
}

/// An update message, as the server's log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the log line was read: a moment after the message came.
    pub at: Instant,
    /// The sender's address and port, as the server writes it.
    pub client: String,
}

/// One step of the zone's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The serial number that it made.
    pub serial: u32,
    /// Addresses that were taken away.
    pub removed: Vec<IpAddr>,
    /// Addresses that were put in.
    pub added: Vec<IpAddr>,
}

/// A running server of [`ZONE`] at [`DNS4`] and [`DNS6`], port 53. Dropped, it is killed; what it was told
/// stays, and [`Named::start`] goes on from there.
pub struct Named {
    daemon: Daemon,
    software: Software,
}

impl Named {
    /// Starts it in the internet and waits until it answers for the zone.
    pub fn start(lab: &Lab, software: Software) -> Result<Named> {
        let dir = Path::new(seal::DIR).join("named");
        fs::create_dir_all(&dir)?;
        let zone_file = dir.join(format!("{ZONE}.db"));
        if !zone_file.exists() {
            fs::write(&zone_file, zone())?;
        }
        let daemon = lab.internet.spawn(software.program(), &mut software.command(&dir)?)?;
        let mut named = Named { daemon, software };
        until("the name server answers for the zone", START_LIMIT, || {
            let server = SocketAddr::from((DNS4, 53));
            let answer = probe::ask(&lab.internet, server, &format!("ns1.{ZONE}"), Rtype::A, SECOND / 4);
            (answer.is_ok_and(|answer| answer.sole() == Some(DNS4.into())) || !named.daemon.is_running())
                .then_some(())
        })
        .with_context(|| format!("its last words:\n{}", named.daemon.tail(20)))?;
        ensure!(named.daemon.is_running(), "it ended at once; its last words:\n{}", named.daemon.tail(20));
        Ok(named)
    }

    /// The process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Every update message that came, also those that changed nothing or were refused. Questions and
    /// transfers do not count.
    pub fn updates(&self) -> Vec<Arrival> {
        let mut all: Vec<Arrival> = Vec::new();
        let mut parts = Vec::new();
        for line in self.daemon.lines() {
            let Some((client, part)) = self.software.update_in(&line.text) else { continue };
            // One message is several lines of BIND's log; none of them comes twice.
            let same = all.last().is_some_and(|last| last.client == client) && !parts.contains(&part);
            if !same {
                all.push(Arrival { at: line.at, client });
                parts.clear();
            }
            parts.push(part);
        }
        all
    }

    /// What happened to the zone since it was first loaded, step by step, as the server itself tells it.
    pub fn history(&self, place: &Ns) -> Result<Vec<Step>> {
        let question = format!("ixfr={FIRST_SERIAL}");
        let mut dig = Command::new("dig");
        dig.args([&format!("@{DNS4}"), "+noall", "+answer", "+time=5", ZONE, &question]);
        steps(&place.run(&mut dig, 3 * SECOND * 5)?.success()?)
    }
}

impl Software {
    fn program(self) -> &'static str {
        match self {
            Software::Bind => "named",
            Software::Knot => "knotd",
        }
    }

    fn command(self, dir: &Path) -> Result<Command> {
        let (file, text) = match self {
            Software::Bind => ("named.conf", bind(dir)),
            Software::Knot => ("knot.conf", knot(dir)),
        };
        let conf: PathBuf = dir.join(file);
        fs::write(&conf, text)?;
        let mut command = Command::new(self.program());
        if self == Software::Bind {
            command.arg("-f");
        }
        command.arg("-c").arg(conf);
        Ok(command)
    }

    /// The client of an update message, if the line is about one, and which part of it the line tells.
    fn update_in(self, line: &str) -> Option<(String, String)> {
        match self {
            // update: client @0x7f 203.0.113.10#45678/key ddns-key: updating zone 'example.com/IN': adding ...
            Software::Bind => {
                let (_, told) =
                    line.split_once("update: client @").or(line.split_once("update-security: client @"))?;
                let (client, part) = told.split_once(": ")?;
                if part.starts_with("signer ") {
                    return None;
                }
                let client = client.split(' ').nth(1)?.split('/').next()?;
                Some((client.into(), part.into()))
            }
            // debug: [example.com.] ACL, allowed, action update, remote 203.0.113.10@45678, key 'ddns-key.'
            Software::Knot => {
                let (_, told) = line.split_once("] ACL, ")?;
                let (_, told) = told.split_once(", action update, remote ")?;
                let client = told.split(',').next()?;
                Some((client.into(), line.into()))
            }
        }
    }
}

fn zone() -> String {
    format!(
        "$TTL 60\n@ IN SOA ns1.{ZONE}. hostmaster.{ZONE}. {FIRST_SERIAL} 3600 600 86400 60\n\
         @ IN NS ns1.{ZONE}.\nns1 IN A {DNS4}\nns1 IN AAAA {DNS6}\n"
    )
}

fn bind(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"options {{
    directory "{dir}"; pid-file "{dir}/named.pid"; lock-file none;
    session-keyfile "{dir}/session.key"; managed-keys-directory "{dir}";
    listen-on {{ {DNS4}; }}; listen-on-v6 {{ {DNS6}; }};
    recursion no; dnssec-validation no; max-ixfr-ratio unlimited;
}};
controls {{ }};
key "{KEY}." {{ algorithm hmac-sha256; secret "{SECRET}"; }};
logging {{
    channel out {{ stderr; severity info; print-category yes; }};
    category default {{ out; }}; category update {{ out; }}; category update-security {{ out; }};
}};
zone "{ZONE}" {{
    type primary; file "{ZONE}.db";
    update-policy {{ grant {KEY}. zonesub A AAAA CNAME; }};
}};
"#
    )
}

fn knot(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "server:
  rundir: {dir}
  listen: [ {DNS4}@53, {DNS6}@53 ]
log:
  - target: stderr
    any: debug
database:
  storage: {dir}
key:
  - id: {KEY}.
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: ddns
    key: {KEY}.
    action: update
    update-type: [ A, AAAA ]
  - id: out
    address: [ 198.51.100.0/24, 127.0.0.0/8 ]
    action: transfer
template:
  - id: default
    storage: {dir}
    file: \"%s.db\"
    zonefile-sync: -1
    journal-max-depth: 100000
zone:
  - domain: {ZONE}
    acl: [ ddns, out ]
"
    )
}

/// Reads an incremental transfer (RFC 1995): the newest SOA, then for each step the old SOA, what went,
/// the new SOA, what came; the newest SOA again at the end.
fn steps(transfer: &str) -> Result<Vec<Step>> {
    let lines = transfer.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let mut records = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let first = records.next().context("the transfer is empty")?;
    ensure!(first.get(3) == Some(&"SOA"), "the transfer does not begin with an SOA: {first:?}");
    let mut all: Vec<Step> = Vec::new();
    let mut removed = None;
    for record in records {
        match (record.get(3).copied(), record.get(4)) {
            (Some("SOA"), _) => {
                let serial = record.get(6).context("an SOA without a serial")?.parse()?;
                removed = match removed.take() {
                    None => Some(Vec::new()),
                    Some(removed) => {
                        all.push(Step { serial, removed, added: Vec::new() });
                        None
                    }
                };
            }
            (Some("A" | "AAAA"), Some(addr)) => {
                let addr: IpAddr = addr.parse()?;
                match (&mut removed, all.last_mut()) {
                    (Some(removed), _) => removed.push(addr),
                    (None, Some(step)) => step.added.push(addr),
                    (None, None) => bail!("the server sent its whole zone, not its history"),
                }
            }
            _ => bail!("the transfer holds {record:?}"),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_read_step_by_step() {
        let soa = |serial: u32| {
            format!("example.com.\t60\tIN\tSOA\tns1.example.com. h.example.com. {serial} 1 1 1 1\n")
        };
        let a = |addr: &str| format!("cam.example.com. 60 IN A {addr}\n");
        let text = [
            soa(3),
            soa(1),
            soa(2),
            a("203.0.113.1"),
            soa(2),
            a("203.0.113.1"),
            soa(3),
            a("203.0.113.2"),
            soa(3),
        ];
        let (one, two): (IpAddr, IpAddr) = ([203, 0, 113, 1].into(), [203, 0, 113, 2].into());
        let expected = [
            Step { serial: 2, removed: vec![], added: vec![one] },
            Step { serial: 3, removed: vec![one], added: vec![two] },
        ];
        assert_eq!(steps(&text.concat()).unwrap(), expected);
        assert_eq!(steps(&soa(1)).unwrap(), []);
        assert!(steps(&[soa(3), a("203.0.113.2"), soa(3)].concat()).is_err(), "a whole zone");
    }

    #[test]
    fn updates_are_known_by_the_servers_words() {
        let bind = "update: client @0x7fce 203.0.113.9#44107/key ddns-key: updating zone 'example.com/IN': \
                    deleting rrset at 'cam.example.com' A";
        let (client, part) = Software::Bind.update_in(bind).unwrap();
        assert_eq!((client.as_str(), part.ends_with("A")), ("203.0.113.9#44107", true));
        assert_eq!(Software::Bind.update_in("queries: client @0x7 203.0.113.9#4 (x): query: x IN A"), None);
        let knot = "2026-01-01T00:00:00+0000 debug: [example.com.] ACL, allowed, action update, \
                    remote 203.0.113.9@51984, key 'ddns-key.'";
        assert_eq!(Software::Knot.update_in(knot).unwrap().0, "203.0.113.9@51984");
        assert_eq!(Software::Knot.update_in(&knot.replace("update", "transfer")), None);
    }
}
