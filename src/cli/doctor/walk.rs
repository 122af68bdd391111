//! The walk: senses what each link needs, in the chain's order, and has it judged. Every step has a limit in time.

use super::accounts;
use crate::act::dns::{self, PORT};
use crate::act::hop;
use crate::act::http::Http;
use crate::act::net::{all, within, Work};
use crate::act::publish::Outside;
use crate::act::readback::{self, Published, Seen, Servers};
use crate::act::thread::wait;
use crate::agent::{random, read_config, Reading};
use crate::camera::{self, lan};
use crate::cli::run::USER_AGENT;
use crate::config::Config;
use crate::control::{self, Question};
use crate::doctor::names::{self, Answer, Heard, Looked};
use crate::doctor::ways::{self, Hop, Room};
use crate::doctor::{blocked, door, Facts, Finding, Told, LINKS};
use crate::mapping::backend::Backend;
use crate::mapping::present::{self, Present};
use crate::mapping::redirect::redirects;
use crate::mapping::{holders, nft::Nft};
use crate::model::{Family, Mac, Protection};
use crate::paths::Paths;
use crate::plan::mapping::carrier;
use crate::plan::{self, Rule};
use crate::provider::{Failure, Kind, CLOCK_FLOOR};
use crate::sense::netlink::dump;
use crate::sense::{clock, files};
use crate::state::{self, kind_of};
use crate::wire::dns::{Data, Message, RCODE_NOERROR, RCODE_NXDOMAIN, TYPE_A, TYPE_AAAA, TYPE_SOA};
use crate::wire::json::Json;
use crate::wire::rtnl::{kind, Message as Kernel};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The most names that are looked at.
const MAX_NAMES: usize = 8;
/// The longest time for one question to a resolver.
const QUESTION: Duration = Duration::from_secs(3);
/// The longest time for all names at their zones' servers.
const NAMES: Duration = Duration::from_secs(15);
/// The longest time for one camera.
const CAMERA: Duration = Duration::from_secs(5);
/// Resolvers that anybody may ask: of different operators, one of them in China.
const PUBLIC: [Ipv4Addr; 3] =
    [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(223, 5, 5, 5)];
/// The most bytes of a file that is looked into.
const FILE_CAP: usize = 16 * 1024;

/// A link's judgement, with what is sensed for it alone.
type Check = fn(&mut Walk) -> Finding;

/// In the order of [`LINKS`].
const CHECKS: [Check; LINKS.len()] = [
    config,
    agent,
    |walk| ways::device(&walk.facts),
    |walk| ways::address(&walk.facts),
    gateway,
    resolver,
    servers,
    |walk| ways::clock(walk.facts.now.wall),
    trust,
    shadow,
    provider,
    record,
    public,
    camera,
    port,
    rule,
    drops,
    hairpin,
    |walk| ways::upstream(&walk.facts),
    |walk| ways::tunnel(&walk.facts),
    room,
];

/// What is known so far.
struct Walk<'a> {
    paths: &'a Paths,
    tell: &'a dyn Fn(&str),
    facts: Facts,
    reading: Result<Reading, String>,
    /// Whether the agent could be asked; what it said is in the facts.
    status: Result<(), String>,
    outside: Outside,
    servers: Servers,
    looked: Vec<Looked>,
    answers: Vec<(crate::model::RecordId, Answer)>,
    said: Vec<(String, Protection)>,
    rules: Vec<Rule>,
    present: Result<Present, String>,
}

/// Walks the chain. `tell` shows what is being done.
pub fn walk(paths: &Paths, tell: &dyn Fn(&str)) -> Vec<Told> {
    let mut reading = read_config(paths);
    let config = reading.as_mut().map(|reading| std::mem::take(&mut reading.config)).unwrap_or_default();
    // Before any thread: TLS takes the file's name from the environment.
    let http = Http::setup(Some(&paths.under_root(&config.global.cacert)), USER_AGENT, CLOCK_FLOOR);
    let outside = Outside {
        http,
        timeout: config.global.timeout,
        who: "doctor".into(),
        redact: Box::new(str::to_string),
    };
    tell("looking at the network");
    let (said, status) = match control::ask(paths, &Question::Status) {
        Ok(said) => (said.unwrap_or(Json::Null), Ok(())),
        Err(why) => (Json::Null, Err(why)),
    };
    let facts = wait(facts(paths, config, said));
    let text = text(&paths.root, "etc/resolv.conf");
    let servers = Servers { resolvers: readback::resolvers(&text), fixed: Vec::new(), port: PORT };
    let mut walk = Walk {
        paths,
        tell,
        facts,
        reading,
        status,
        outside,
        servers,
        looked: Vec::new(),
        answers: Vec::new(),
        said: Vec::new(),
        rules: Vec::new(),
        present: Ok(Present::default()),
    };
    let mut told: Vec<Told> = Vec::new();
    for (link, check) in LINKS.iter().zip(CHECKS) {
        tell(&format!("looking at {}: {}", link.name, link.about));
        let finding = match blocked(link, &told) {
            Some(broken) => Finding::not_asked(format!("it depends on {broken}")),
            None => {
                let finding = check(&mut walk);
                walk.redacted(finding)
            }
        };
        told.push(Told { link: link.name, finding });
    }
    told
}

/// What is known at the start: the kernel's word, the state file, the agent's status.
async fn facts(paths: &Paths, config: Config, status: Json) -> Facts {
    let boot_id = clock::boot_id(&paths.root).unwrap_or_default();
    let mut state = state::peek(&paths.state, &boot_id);
    let (mut macs, mut ips): (Vec<Mac>, Vec<IpAddr>) = (Vec::new(), Vec::new());
    for camera in &config.cameras {
        macs.extend(&camera.macs);
        ips.extend(camera.ip);
    }
    for camera in state.cameras.values() {
        macs.extend(camera.bound);
        ips.extend(camera.addr);
    }
    let mut world = lan::look(paths, &config, (&macs, &ips)).await.unwrap_or_default();
    let found = Backend::new(&paths.root).find().await;
    (world.fw4, world.procd, world.complete) = (found.fw4, found.procd, true);
    let now = clock::now();
    plan::camera::observe(&config, &world, &mut state, now.boot);
    let mut devices = Vec::new();
    let mut take = |message| {
        if let Kernel::Link(link) = message {
            devices.push(link);
        }
    };
    let _ = dump(kind::GETLINK, None, &mut take).await;
    Facts { config, world, state, status, devices, now }
}

/// A file below the root; empty where it cannot be read.
fn text(root: &Path, path: &str) -> String {
    String::from_utf8_lossy(&files::read_capped(&root.join(path), FILE_CAP).unwrap_or_default()).into_owned()
}

impl Walk<'_> {
    fn redacted(&self, finding: Finding) -> Finding {
        let Ok(reading) = &self.reading else { return finding };
        let redact = |text: String| reading.redactor.redact(&text);
        Finding {
            grade: finding.grade,
            what: redact(finding.what),
            known: redact(finding.known),
            mend: redact(finding.mend),
        }
    }

    /// The names of the records, each once.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for record in &self.facts.config.records {
            names.extend_from_slice(&record.domains);
        }
        names.sort();
        names.dedup();
        names.truncate(MAX_NAMES);
        names
    }

    /// A name of the owner's to ask for.
    fn a_name(&self) -> String {
        self.names().into_iter().next().unwrap_or_else(|| "example.com".into())
    }
}

fn config(walk: &mut Walk) -> Finding {
    let file = walk.paths.config.display().to_string();
    let problems = walk.reading.as_ref().map(|reading| reading.problems.as_slice()).map_err(String::as_str);
    ways::config(problems, &walk.facts.config, &file)
}

fn agent(walk: &mut Walk) -> Finding {
    let one_shot = walk.paths.one_shot.exists() || !walk.facts.config.global.resident;
    let passed = walk.paths.state.exists();
    let status = walk.status.as_ref().map(|()| &walk.facts.status).map_err(String::as_str);
    ways::agent(status, one_shot, passed)
}

fn gateway(walk: &mut Walk) -> Finding {
    let upstream = readback::resolvers(&text(&walk.paths.root, "tmp/resolv.conf.d/resolv.conf.auto"));
    let own = |addr: &SocketAddr| {
        addr.ip().is_loopback() || walk.facts.world.own.iter().any(|own| own.addr == addr.ip())
    };
    let mut behind = upstream;
    behind.extend_from_slice(&walk.servers.resolvers);
    behind.retain(|addr| !own(addr));
    behind.extend(PUBLIC.map(|addr| SocketAddr::new(addr.into(), PORT)));
    let name = walk.a_name();
    let one = |wan: &crate::config::Wan| {
        let world = walk.facts.world.wans.get(&wan.name).cloned().unwrap_or_default();
        let gateway = world.gateway.map(IpAddr::from);
        let route = world.v4.route || world.v6.route;
        let answer = if route { wait(hop::answers(gateway, &behind, &name)) } else { None };
        Hop { wan: wan.name.clone(), gateway, route, answer }
    };
    ways::gateway(&walk.facts.config.wans.iter().map(one).collect::<Vec<_>>())
}

fn resolver(walk: &mut Walk) -> Finding {
    let (name, cannot_be) = (walk.a_name(), format!("porchlight-{:08x}.invalid", random()));
    let mut asked = Vec::new();
    let mut lie = None;
    for resolver in &walk.servers.resolvers {
        let question = |name, rtype| wait(dns::query(*resolver, name, rtype, true, QUESTION));
        let told = match question(&name, TYPE_SOA) {
            Ok(answer) if matches!(answer.rcode(), RCODE_NOERROR | RCODE_NXDOMAIN) => Ok(()),
            Ok(answer) => Err(format!("resolver {resolver} {}", readback::refusal(answer.rcode()))),
            Err(failure) => Err(failure.text.replace("name server", "resolver")),
        };
        if told.is_ok() {
            let invented =
                question(&cannot_be, TYPE_A).ok().and_then(|answer| addresses(&answer).0.first().copied());
            lie = lie.or(invented.map(|addr| (*resolver, addr)));
        }
        asked.push((*resolver, told));
    }
    ways::resolver(&asked, lie)
}

/// The addresses of an answer, and the shortest time to live.
fn addresses(answer: &Message) -> (Vec<IpAddr>, u32) {
    let one = |data: &Data| match data {
        Data::A(addr) => Some(IpAddr::from(*addr)),
        Data::Aaaa(addr) => Some(IpAddr::from(*addr)),
        _ => None,
    };
    let mut addrs: Vec<IpAddr> = answer.answers.iter().filter_map(|rr| one(&rr.data)).collect();
    addrs.sort();
    addrs.dedup();
    (addrs, answer.answers.iter().map(|rr| rr.ttl).min().unwrap_or_default())
}

fn servers(walk: &mut Walk) -> Finding {
    let until = Instant::now() + NAMES;
    for name in walk.names() {
        for family in Family::BOTH {
            (walk.tell)(&format!("asking the name servers for {name} {}", family.rtype()));
            let look = wait(within(until, readback::look(&name, family, &walk.servers)));
            let late = || Err(Failure::new(Kind::NotReady, format!("{name}: no answer in time")));
            walk.looked.push((name.clone(), family, look.unwrap_or_else(late)));
        }
    }
    ways::servers(&walk.looked)
}

fn trust(walk: &mut Walk) -> Finding {
    // Of the providers only those that are one's own server do without.
    let by_dns = walk.facts.config.records.iter().all(|record| record.provider == "rfc2136");
    ways::trust(walk.outside.http.readable(), !by_dns || !walk.facts.config.notifies.is_empty())
}

fn shadow(walk: &mut Walk) -> Finding {
    let (mut wild, until) = (Vec::new(), Instant::now() + NAMES);
    for (_, id, addr) in walk.facts.wanted() {
        let seen = walk.looked.iter().find(|(name, family, _)| *name == id.domain && *family == id.family);
        let agreed = seen.and_then(|(_, _, told)| told.as_ref().ok()).map(Published::agreed);
        let parent = id.domain.split_once('.').map(|(_, parent)| parent.to_string());
        // Only where something else is told than should be.
        let (Some(Seen::Address(addrs)), Some(parent)) = (agreed, parent) else { continue };
        if addrs == [addr] {
            continue;
        }
        let beside = format!("porchlight-{:08x}.{parent}", random());
        let look = wait(within(until, readback::look(&beside, id.family, &walk.servers)));
        if let Some(Ok(told)) = look {
            if let Seen::Address(addrs) = told.agreed() {
                wild.push((id.domain, addrs));
            }
        }
    }
    names::shadow(&walk.facts, &walk.looked, &wild)
}

fn provider(walk: &mut Walk) -> Finding {
    walk.answers = accounts::ask(&walk.facts, &walk.outside, walk.tell);
    let facts = &walk.facts;
    let why = |id: &crate::model::RecordId| {
        let told = facts.said_of(id).get("failure");
        if let (Some(word), Some(text)) = (told.get("class").str(), told.get("text").str()) {
            return Some(Failure::new(kind_of(word)?, text));
        }
        let account = || {
            let record = facts.config.records.iter().find(|record| record.name == id.record)?;
            facts.state.accounts.get(&plan::account::account_key(record))?.retry.as_ref()
        };
        let own = facts.state.records.get(id).and_then(|memory| memory.retry.as_ref());
        own.or_else(account).map(|retry| retry.failure.clone())
    };
    names::provider(facts, &walk.answers, &why)
}

fn record(walk: &mut Walk) -> Finding {
    names::record(&walk.facts, &walk.looked, &walk.answers)
}

fn public(walk: &mut Walk) -> Finding {
    let public = PUBLIC.map(|addr| SocketAddr::new(addr.into(), PORT));
    let resolvers: Vec<SocketAddr> = walk.servers.resolvers.iter().take(1).chain(&public).copied().collect();
    let heard = RefCell::new(Vec::new());
    let mut works: Vec<Work> = Vec::new();
    let wanted = walk.facts.wanted();
    let plain = wanted.into_iter().filter(|(record, ..)| !names::is_proxied(record)).take(MAX_NAMES);
    for (_, id, want) in plain {
        for resolver in &resolvers {
            let (heard, resolver, id) = (&heard, *resolver, id.clone());
            works.push(Box::pin(async move {
                let rtype = if id.family == Family::V4 { TYPE_A } else { TYPE_AAAA };
                let Ok(answer) = dns::query(resolver, &id.domain, rtype, true, QUESTION).await else {
                    return;
                };
                if matches!(answer.rcode(), RCODE_NOERROR | RCODE_NXDOMAIN) {
                    let (addrs, ttl) = addresses(&answer);
                    heard.borrow_mut().push(Heard { id, want, resolver, addrs, ttl });
                }
            }));
        }
    }
    wait(all(works));
    names::public(&heard.into_inner())
}

fn camera(walk: &mut Walk) -> Finding {
    for (name, inquiry) in door::questions(&walk.facts) {
        (walk.tell)(&format!("asking the camera at {}", inquiry.target));
        walk.said.push((name, wait(camera::ask(&inquiry, CAMERA))));
    }
    door::camera(&walk.facts, &walk.said)
}

fn port(walk: &mut Walk) -> Finding {
    walk.rules = door::rules(&walk.facts, &walk.said);
    let lines = walk.facts.world.wans.values().flat_map(|wan| [wan.v4, wan.v6]);
    let wan_addrs: Vec<IpAddr> = lines.filter_map(|line| line.addr.seen()).collect();
    let redirects = redirects(&walk.rules).list;
    door::port(&walk.facts, &wait(holders::conflicts(&walk.paths.root, &redirects, &wan_addrs)))
}

fn rule(walk: &mut Walk) -> Finding {
    if let (false, Ok(carrier)) = (walk.rules.is_empty(), carrier(&walk.facts.config, &walk.facts.world)) {
        walk.present = wait(present::look(&Nft::new(&walk.paths.root), carrier, &walk.rules));
    }
    door::rule(&walk.facts, &walk.rules, &walk.present)
}

fn drops(walk: &mut Walk) -> Finding {
    let (targets, plain) = door::targets(&walk.rules);
    let droppers = wait(Nft::new(&walk.paths.root).droppers(&targets, &plain));
    door::drops(&walk.rules, &droppers)
}

fn hairpin(walk: &mut Walk) -> Finding {
    let bridged = text(&walk.paths.root, "proc/sys/net/bridge/bridge-nf-call-iptables").trim() == "1";
    door::hairpin(&walk.facts, &walk.rules, &walk.present, bridged)
}

fn room(walk: &mut Walk) -> Finding {
    let mut dir = walk.paths.run_dir.as_path();
    while let (false, Some(parent)) = (dir.exists(), dir.parent()) {
        dir = parent;
    }
    let disk = rustix::fs::statvfs(dir).ok().filter(|disk| disk.f_blocks > 0);
    let meminfo = text(&walk.paths.root, "proc/meminfo");
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    ways::room(&Room {
        dir: dir.display().to_string(),
        free: disk.as_ref().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) / 1024),
        read_only: disk
            .as_ref()
            .is_some_and(|disk| disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)),
        memory: line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()),
    })
}
