//! The servers of the faults, the agent among them, and what is watched: requests on the wire, `status`,
//! memory and threads.

use super::cases::{config, Case, Fault, Service, CASES};
use crate::lab::nameserver::{Mood as Dns, Nameserver};
use crate::lab::web::{Certificate, Mood, Web};
use crate::lab::wire::{Seen, What, Wire};
use crate::lab::zone::Zone;
use crate::lab::*;
use anyhow::ensure;
use nix::mount::{mount, MsFlags};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

/// A server that does not answer within this time after its start has failed.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Where the name servers are whose clocks are one and two hours ahead.
const SHIFTED: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 201), Ipv4Addr::new(198, 51, 100, 202)];
/// How often `status` is asked while time passes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `status --json` said of a failing record.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The class.
    pub class: String,
    /// The message.
    pub text: String,
    /// Seconds to the next try; `None`: it rests.
    pub next: Option<u64>,
}

/// The requests of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// DNS questions.
    pub queries: usize,
    /// DNS updates.
    pub updates: usize,
    /// DNS messages that were tried by TCP after UDP.
    pub by_tcp: usize,
    /// HTTPS connections: one a request.
    pub https: usize,
    /// Packets beyond the first of each.
    pub again: usize,
}

impl Count {
    /// All of them. A message that is tried by TCP after UDP is one request.
    pub fn requests(&self) -> usize {
        self.queries + self.updates + self.https
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count { queries, updates, by_tcp, https, again } = self;
        let parts =
            [(queries, "query"), (updates, "update"), (https, "https"), (by_tcp, "by TCP"), (again, "again")];
        let told: Vec<String> =
            parts.iter().filter(|(n, _)| **n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        f.write_str(&told.join(", "))
    }
}

/// What the agent's process takes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory now, KiB.
    pub rss: u64,
    /// Its peak so far, KiB.
    pub peak: u64,
    /// Threads.
    pub threads: u64,
}

/// Everything that stands.
pub struct Stage<'a> {
    lab: &'a Lab,
    web: Web,
    wire: Wire,
    servers: BTreeMap<&'static str, Nameserver>,
    _servers: [Daemon; 3],
    /// The agent.
    pub agent: Agent,
    /// By record, what `status` said last while it failed.
    pub failing: BTreeMap<String, Failing>,
    /// By record, when `status` first said that it was published.
    published: BTreeMap<String, Instant>,
}

impl<'a> Stage<'a> {
    /// Starts all servers, each with its fault, and the agent, which has no WAN yet.
    pub fn build(lab: &'a Lab) -> Result<Stage<'a>> {
        for case in CASES {
            lab.internet.ip(&format!("addr replace {}/32 dev lo", case.addr()))?;
        }
        let mut servers = BTreeMap::new();
        for case in CASES.iter().filter(|case| case.service == Service::Embedded) {
            let zone = Zone::new(&case.zone(), case.addr(), DNS6)?;
            let at = [SocketAddr::from((case.addr(), 53))];
            let server = Nameserver::start(&lab.internet, zone, KEY, SECRET_BYTES, &at)?;
            servers.insert(case.name, server);
        }
        for addr in SHIFTED {
            lab.internet.ip(&format!("addr replace {addr}/32 dev lo"))?;
        }
        let running = [start_bind(lab)?, start_knot(lab, 1)?, start_knot(lab, 2)?];
        let faces: Vec<_> = CASES.iter().filter(|case| case.is_web()).map(Case::face).collect();
        let web = Web::start(lab, ZONE, &faces)?;
        let wire = Wire::listen(&lab.internet, [203, 0, 113])?;
        lab.wan_device()?;
        lab.write_config(&config(false))?;
        let agent = lab.start_agent()?;
        let stage = Stage {
            lab,
            web,
            wire,
            servers,
            _servers: running,
            agent,
            failing: BTreeMap::new(),
            published: BTreeMap::new(),
        };
        for case in CASES {
            stage.set(case, case.fault)?;
        }
        Ok(stage)
    }

    fn set(&self, case: &Case, fault: Fault) -> Result<()> {
        match fault {
            Fault::Dns(mood) => self.servers.get(case.name).into_iter().for_each(|dns| dns.set_mood(mood)),
            Fault::Web(mood) => self.web.set_mood(&case.host(), mood.clone()),
            Fault::Certificate(certificate) => self.web.set_certificate(&case.host(), certificate)?,
            Fault::Closed => self
                .lab
                .internet
                .nft(&filter(case, "meta l4proto udp reject; meta l4proto tcp reject with tcp reset;"))?,
            Fault::Clocks => self.lab.internet.nft(&turns(case))?,
            Fault::Lost => self.lab.internet.nft(&filter(case, "drop;"))?,
            Fault::None | Fault::WrongKey | Fault::WrongSecret => {}
        }
        Ok(())
    }

    /// Makes the service of an account well. What is wrong in the configuration stays.
    pub fn heal(&self, case: &Case) -> Result<()> {
        match case.fault {
            Fault::Dns(_) => self.set(case, Fault::Dns(Dns::Well)),
            Fault::Web(_) => self.set(case, Fault::Web(&Mood::Well)),
            Fault::Certificate(_) => self.set(case, Fault::Certificate(Certificate::Good)),
            Fault::Closed | Fault::Lost | Fault::Clocks => {
                self.lab.internet.sh(&format!("nft delete table ip {}", table(case))).map(drop)
            }
            Fault::None | Fault::WrongKey | Fault::WrongSecret => Ok(()),
        }
    }

    /// Reloads the configuration with the right keys.
    pub fn reload_mended(&self) -> Result<()> {
        self.lab.write_config(&config(true))?;
        self.agent.signal(Signal::SIGHUP)
    }

    /// `porchlight trigger`: the owner says that it is time to try.
    pub fn trigger(&self) -> Result<()> {
        self.lab.verb(&["trigger"])?.success().map(drop)
    }

    /// The default route goes, the agent sees it, and it comes back.
    pub fn flap(&self) -> Result<()> {
        let route = format!("default via {GATEWAY4} dev wan0");
        self.lab.router.ip(&format!("route del {route}"))?;
        until("the agent sees that the default route is gone", SECOND, || {
            let status = self.lab.status().ok()?;
            (status["wans"][0]["ipv4"]["route"] == false).then_some(())
        })?;
        self.lab.router.ip(&format!("route add {route}"))
    }

    /// Whether the service of an account has this address.
    pub fn is_right(&self, case: &Case, addr: IpAddr) -> bool {
        let ask = |server| {
            let server = SocketAddr::from((server, 53));
            let answer = probe::ask(&self.lab.internet, server, &case.domain(), Rtype::A, SECOND);
            answer.ok().and_then(|answer| answer.sole())
        };
        let found = match case.service {
            Service::Bind => ask(DNS4),
            Service::Ahead | Service::Embedded => ask(case.addr()),
            Service::Cloudflare | Service::Dyndns2 => self.web.address(&case.host(), &case.domain()),
        };
        found == Some(addr)
    }

    /// Waits until all of these are right, and says when each was.
    pub fn wait_right(
        &mut self,
        cases: &[&'static Case],
        addr: IpAddr,
        limit: Duration,
    ) -> Result<Vec<(&'static Case, Instant)>> {
        let end = Instant::now() + limit;
        let (mut left, mut done) = (cases.to_vec(), Vec::new());
        loop {
            let (right, wrong): (Vec<_>, Vec<_>) = left.iter().partition(|case| self.is_right(case, addr));
            done.extend(right.into_iter().map(|case| (case, Instant::now())));
            left = wrong;
            if left.is_empty() {
                return Ok(done);
            }
            let names: Vec<&str> = left.iter().map(|case| case.name).collect();
            let told: Vec<_> = names.iter().map(|name| self.failing.get(&name.replace('-', "_"))).collect();
            ensure!(
                Instant::now() < end,
                "not {addr} within {:.1} s: {names:?}; status: {told:?}",
                limit.as_secs_f64()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets time pass, and keeps what `status` says.
    pub fn pass(&mut self, until: Instant) -> Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::sleep(left.min(LOOK_EVERY));
            self.look()?;
        }
        Ok(())
    }

    /// Takes in what `status` says. The value is `healthy`.
    pub fn look(&mut self) -> Result<bool> {
        let status = self.lab.status()?;
        for record in status["records"].as_array().context("status has no records")? {
            let name = record["record"].as_str().unwrap_or_default().to_owned();
            if record["standing"] == "published" {
                self.published.entry(name.clone()).or_insert_with(Instant::now);
            }
            let failure = &record["failure"];
            if let Some(class) = failure["class"].as_str() {
                let text = failure["text"].as_str().unwrap_or_default().to_owned();
                let next = failure["next_try_s"].as_u64();
                self.failing.insert(name.clone(), Failing { class: class.into(), text, next });
            }
        }
        Ok(status["healthy"] == true)
    }

    /// What was last said of an account.
    pub fn told(&self, case: &Case) -> Option<&Failing> {
        self.failing.get(&case.name.replace('-', "_"))
    }

    /// When an account was first seen to be published, to a second.
    pub fn published(&self, case: &Case) -> Option<Instant> {
        self.published.get(&case.name.replace('-', "_")).copied()
    }

    /// The requests of an account, oldest first: what is sent to its own address. Read-backs are left out:
    /// they are questions for the zone's name servers after the right answer was given.
    pub fn requests(&self, case: &Case) -> Vec<Seen> {
        self.wire.to(case.addr())
    }

    /// The requests of an account within a time.
    pub fn count(&self, case: &Case, from: Instant, to: Instant) -> Count {
        let mut count = Count::default();
        for seen in self.requests(case).iter().filter(|seen| (from..to).contains(&seen.at)) {
            match seen.what {
                What::Query => count.queries += 1,
                What::Update => count.updates += 1,
                What::Connection(53) => count.by_tcp += 1,
                What::Connection(_) => count.https += 1,
            }
            count.again += seen.packets - 1;
        }
        count
    }

    /// How many requests reached the stand-in, by its own count.
    pub fn answered(&self, case: &Case) -> Vec<web::Seen> {
        self.web.seen(&case.host())
    }

    /// The agent's memory and threads.
    pub fn usage(&self) -> Result<Usage> {
        let path = format!("/proc/{}/status", self.agent.pid());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        ensure!(text.starts_with("Name:\tporchlight\n"), "{path} is not the agent's");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let word =
                line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok());
            word.with_context(|| format!("{path} has no {name}"))
        };
        Ok(Usage { rss: field("VmRSS")?, peak: field("VmHWM")?, threads: field("Threads")? })
    }
}

fn table(case: &Case) -> String {
    case.name.replace('-', "_")
}

/// A table that meets what comes from the router for a case's address.
fn filter(case: &Case, verdicts: &str) -> String {
    let all = verdicts.split(';').map(str::trim).filter(|verdict| !verdict.is_empty());
    let rules: String =
        all.map(|verdict| format!("iifname isp0 ip daddr {} {verdict}\n", case.addr())).collect();
    format!(
        "table ip {} {{ chain input {{ type filter hook input priority filter; policy accept;\n{rules}}}; }}\n",
        table(case)
    )
}

/// A table that sends what comes from the router for a case's address to the two shifted servers in turn.
fn turns(case: &Case) -> String {
    let [one, two] = SHIFTED;
    format!(
        "table ip {} {{ chain pre {{ type nat hook prerouting priority dstnat; policy accept;
         iifname isp0 ip daddr {} dnat to numgen inc mod 2 map {{ 0 : {one}, 1 : {two} }}; }}; }}\n",
        table(case),
        case.addr()
    )
}

/// BIND, at the resolver's address and at those of its accounts. It also resolves, so that the zones of the
/// other servers are found.
fn start_bind(lab: &Lab) -> Result<Daemon> {
    let own = CASES.iter().filter(|case| case.service == Service::Bind);
    let at: String = own.map(|case| format!("{}; ", case.addr())).collect();
    let delegated = CASES.iter().filter(|case| matches!(case.service, Service::Ahead | Service::Embedded));
    let below = delegated.map(|case| {
        let (name, addr) = (case.name, case.addr());
        format!("{name} IN NS ns1.{name}.{ZONE}.\nns1.{name} IN A {addr}\n")
    });
    let dir = Path::new(seal::DIR).join("bind");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("zone"), zone(ZONE, DNS4) + &below.collect::<String>())?;
    let here = dir.display();
    let conf = format!(
        r#"options {{
    directory "{here}"; pid-file "{here}/named.pid"; lock-file none;
    session-keyfile "{here}/session.key"; managed-keys-directory "{here}";
    listen-on {{ {DNS4}; {at}}}; listen-on-v6 {{ none; }};
    recursion yes; allow-recursion {{ any; }}; dnssec-validation no;
}};
controls {{ }};
key "{KEY}." {{ algorithm hmac-sha256; secret "{SECRET}"; }};
logging {{ channel out {{ stderr; severity info; }}; category default {{ out; }}; }};
zone "{ZONE}" {{ type primary; file "zone"; update-policy {{ grant {KEY}. zonesub A AAAA; }}; }};
"#
    );
    fs::write(dir.join("named.conf"), conf)?;
    let mut command = Command::new("named");
    command.arg("-f").arg("-c").arg(dir.join("named.conf"));
    let bind = lab.internet.spawn("named", &mut command)?;
    wait_answer(lab, bind, DNS4, ZONE)
}

/// Knot, whose clock is so many hours ahead. (Of the real servers it bears the faked clock.) It has the zone
/// of the account that is at its address, and the big one for [`Fault::Clocks`].
fn start_knot(lab: &Lab, hours: usize) -> Result<Daemon> {
    let addr = *SHIFTED.get(hours - 1).context("no address for it")?;
    let ahead = || CASES.iter().filter(|case| case.service == Service::Ahead && hours == 1);
    let dir = Path::new(seal::DIR).join(format!("knot{hours}"));
    fs::create_dir_all(&dir)?;
    let zones: Vec<(String, Ipv4Addr)> =
        ahead().map(|case| (case.zone(), case.addr())).chain([(ZONE.into(), addr)]).collect();
    let mut rows = String::new();
    for (name, at) in &zones {
        fs::write(dir.join(format!("{name}.zone")), zone(name, *at))?;
        rows += &format!("  - domain: {name}\n    acl: [ ddns ]\n");
    }
    let at: String =
        zones.iter().map(|(_, at)| format!("{at}@53 ")).collect::<String>().trim_end().replace(' ', ", ");
    let here = dir.display();
    let conf = format!(
        "server:\n  rundir: {here}\n  listen: [ {at} ]\nlog:\n  - target: stderr\n    any: debug\n\
         database:\n  storage: {here}\nkey:\n  - id: {KEY}.\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
         acl:\n  - id: ddns\n    key: {KEY}.\n    action: update\n\
         template:\n  - id: default\n    storage: {here}\n    zonefile-sync: -1\nzone:\n{rows}"
    );
    fs::write(dir.join("knot.conf"), conf)?;
    let mut command = Command::new("faketime");
    command
        .args(["--exclude-monotonic", "-f", &format!("+{hours}h"), "knotd", "-c"])
        .arg(dir.join("knot.conf"));
    let knot = lab.internet.enter(|| {
        // What faketime leaves there goes with its process.
        let none = None::<&str>;
        mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), none)?;
        Daemon::spawn("knotd", &mut command)
    })?;
    wait_answer(lab, knot, addr, ZONE)
}

/// A zone with one name server.
fn zone(name: &str, at: Ipv4Addr) -> String {
    format!(
        "$ORIGIN {name}.\n$TTL 60\n@ IN SOA ns1.{name}. hostmaster.{name}. 1 3600 600 86400 60\n\
         @ IN NS ns1.{name}.\nns1 IN A {at}\n"
    )
}

/// Waits until a server answers for the zone.
fn wait_answer(lab: &Lab, mut server: Daemon, at: Ipv4Addr, zone: &str) -> Result<Daemon> {
    until(&format!("the name server at {at} answers"), START_LIMIT, || {
        let answer = probe::ask(&lab.internet, (at, 53).into(), &format!("ns1.{zone}"), Rtype::A, SECOND / 4);
        (answer.is_ok_and(|answer| answer.sole().is_some()) || !server.is_running()).then_some(())
    })
    .with_context(|| format!("its last words:\n{}", server.tail(20)))?;
    ensure!(server.is_running(), "it ended at once; its last words:\n{}", server.tail(20));
    Ok(server)
}
