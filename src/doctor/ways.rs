//! Judgements from the configuration to the internet: config, agent, device, address, gateway, resolver, servers, clock,
//! trust; and the room on the machine.    [pure]

use super::{Facts, Finding, Grade};
use crate::act::readback::{Published, Seen, NO_AUTHORITY};
use crate::config::{Config, Problem, Severity, Wan};
use crate::model::{Family, Reach, WanWorld};
use crate::plan::publish::ids;
use crate::plan::reach::reach;
use crate::provider::{Failure, Kind, CLOCK_FLOOR};
use crate::wire::json::Json;
use std::net::{IpAddr, SocketAddr};

/// Less memory than this is hardly enough for one more program, in KiB.
const LOW_MEMORY: u64 = 4 * 1024;
/// Less room than this in tmpfs is soon none, in KiB.
const LOW_ROOM: u64 = 64;
/// How a carrier's NAT is lived with.
const CGNAT_MEND: &str =
    "ask the provider for a public IPv4 address of your own (a bridge, a fixed address); or go by \
                          IPv6 (option family of record and mapping), or by a tunnel";

/// What the agent says of a router in front of this one that is itself behind another NAT.
const NOT_PUBLIC: &str = "no public address";

/// The configuration. `file`: its path.
pub fn config(problems: Result<&[Problem], &str>, config: &Config, file: &str) -> Finding {
    let problems = match problems {
        Ok(problems) => problems,
        Err(why) => {
            let mend =
                format!("write {file}: `porchlight cameras` finds the camera, the README has an example");
            return Finding::broken(why, "the file was to be read", mend);
        }
    };
    let known = format!("{file} was read; `porchlight check` tells all of {}", problems.len());
    let of = |severity| problems.iter().find(move |problem| problem.severity == severity);
    let place = |problem: &Problem| {
        // What is missing has no line.
        let line = if problem.line > 0 { format!("line {} of ", problem.line) } else { String::new() };
        format!("{line}{file}: correct it, then `service porchlight reload`")
    };
    if let Some(problem) = of(Severity::Error) {
        return Finding::broken(&problem.text, known, place(problem));
    }
    if !config.global.enabled {
        let mend = "set option enabled '1' in section porchlight, then `service porchlight start`";
        return Finding::broken("option enabled is '0': nothing is done", format!("{file} was read"), mend);
    }
    let (records, mappings) = (config.records.len(), config.mappings.len());
    if records + mappings == 0 {
        let mend = "add a record for the name and a mapping for the camera; `porchlight cameras` prints sections to paste";
        return Finding::broken(
            "no record and no mapping: there is nothing to do",
            format!("{file} was read"),
            mend,
        );
    }
    if let Some(problem) = of(Severity::Warning) {
        return Finding::warning(&problem.text, known, place(problem));
    }
    Finding::ok(format!(
        "records: {records}, cameras: {}, mappings: {mappings}; no fault",
        config.cameras.len()
    ))
}

/// The agent. `status`: what it said. `one_shot`: passes are made in place of a daemon. `passed`: one has left its state.
pub fn agent(status: Result<&Json, &str>, one_shot: bool, passed: bool) -> Finding {
    let asked = "it was asked at its control socket";
    let restart = "`service porchlight restart`, and look at `logread -e porchlight`";
    match status {
        Err(why) => Finding::broken(why, asked, restart),
        Ok(Json::Null) if one_shot && passed => {
            Finding::ok("no daemon stays (option resident '0'), and a pass was made")
        }
        Ok(Json::Null) if one_shot => Finding::broken(
            "no pass was made since the boot (option resident '0')",
            "it has left no state",
            "`porchlight once`",
        ),
        Ok(Json::Null) => Finding::broken("no agent is running", asked, "`service porchlight start`"),
        Ok(status) => {
            let problems = status.get("problems").items();
            if problems.iter().filter_map(Json::str).any(|problem| problem.contains(": error: ")) {
                let what = "the agent runs on an older configuration: what it was given last had a fault";
                return Finding::warning(what, asked, "`porchlight check`, then `service porchlight reload`");
            }
            if let Some(deaf) = status.get("deaf").at(0).str() {
                return Finding::warning(format!("a part of the agent has stopped: {deaf}"), asked, restart);
            }
            Finding::ok("running")
        }
    }
}

/// The WANs' devices. One that works is enough.
pub fn device(facts: &Facts) -> Finding {
    let all: Vec<Finding> = facts.config.wans.iter().map(|wan| one_device(facts, wan)).collect();
    one_is_enough(all, "no WAN is configured")
}

/// Of several lines, each with its finding: broken where all are.
fn one_is_enough(all: Vec<Finding>, none: &str) -> Finding {
    let well = all.iter().find(|finding| finding.mend.is_empty()).cloned();
    match (well, all) {
        (None, all) => Finding::worst(all, none),
        (Some(_), all) if all.len() > 1 => {
            let others = all
                .into_iter()
                .map(|finding| Finding { grade: finding.grade.min(Grade::Warning), ..finding });
            Finding::worst(others.collect(), none)
        }
        (Some(well), _) => well,
    }
}

fn one_device(facts: &Facts, wan: &Wan) -> Finding {
    let name = &wan.name;
    let none = WanWorld::default();
    let world = facts.world.wans.get(name).unwrap_or(&none);
    let known = "the kernel lists its devices";
    if let Some(interface) = world.interfaces.iter().find(|interface| interface.trouble) {
        let mend = format!("`ifup {0}`, and look at `ifstatus {0}`", interface.name);
        return Finding::broken(
            format!("wan {name}: {}: {}", interface.name, interface.standing),
            "netifd says so",
            mend,
        );
    }
    let wished = match &wan.device {
        crate::config::Device::Named(device) => Some(device),
        _ => world.device.as_ref().or(world.device6.as_ref()).or(world.last_device.as_ref()),
    };
    let Some(device) = wished else {
        return match &wan.device {
            crate::config::Device::Interfaces(names) => {
                let names = names.join(" and ");
                Finding::broken(
                    format!("wan {name}: no device is up for {names}"),
                    "netifd was asked",
                    format!("`ifup {names}`"),
                )
            }
            _ => Finding::broken(
                format!("wan {name}: no device has a default route"),
                "the kernel lists its routes",
                "bring the line up, or name its device (option device)",
            ),
        };
    };
    match facts.devices.iter().find(|link| link.name == *device) {
        None => {
            let mend = format!("set option device of wan '{name}' to one of `ip link`, or bring up what makes it (PPPoE, a modem)");
            Finding::broken(format!("wan {name}: there is no device {device}"), known, mend)
        }
        Some(link) if !link.up => {
            Finding::broken(format!("{device} is switched off"), known, format!("`ip link set {device} up`"))
        }
        Some(link) if !link.running => {
            let mend = "plug the cable in at both ends; switch the modem on, or restart it";
            Finding::broken(format!("{device} has no carrier"), known, mend)
        }
        Some(_) => Finding::ok(format!("{device} is up and has a carrier")),
    }
}

/// The addresses: what each record says, or where there is none, whether a WAN can be reached.
pub fn address(facts: &Facts) -> Finding {
    let mut found = Vec::new();
    let mut all = Vec::new();
    for record in &facts.config.records {
        let wants: Vec<_> = ids(record).map(|id| facts.want(record, &id)).collect();
        found.extend(wants.iter().flatten().copied());
        let wan = facts.config.wans.iter().find(|wan| record.wans.contains(&wan.name));
        let line = wan.and_then(|wan| facts.world.wans.get(&wan.name)).map(|wan| wan.v4).unwrap_or_default();
        match wants.iter().find_map(|want| want.as_ref().err()) {
            // The gateway's matter.
            Some(_) if line.addr.seen().is_some() && !line.route => found.extend(line.addr.seen()),
            Some(why) if wants.iter().all(Result::is_err) => all.push(no_address(facts, wan, why)),
            _ if facts.is_remembered(record) => all.push(Finding::warning(
                "another router stands in front of this one, and the record says what the last pass has published",
                "without a running agent nobody asks which address the internet sees",
                "see that the router in front forwards the port here; then `porchlight trigger`",
            )),
            _ => {}
        }
    }
    if facts.config.records.is_empty() {
        for wan in &facts.config.wans {
            let line = facts.world.wans.get(&wan.name).map(|wan| wan.v4).unwrap_or_default();
            match line.addr.seen().filter(|addr| reach(*addr, &wan.accept) == Reach::Public) {
                Some(addr) => found.push(addr),
                None => all.push(no_address(
                    facts,
                    Some(wan),
                    &format!("wan {}: no public IPv4 address", wan.name),
                )),
            }
        }
    }
    found.sort();
    found.dedup();
    let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
    Finding::worst(all, &format!("{} can be reached", found.join(" and ")))
}

fn no_address(facts: &Facts, wan: Option<&Wan>, why: &str) -> Finding {
    let known = "the kernel tells the devices' addresses and routes, the agent what witnesses saw";
    let line = wan.and_then(|wan| facts.world.wans.get(&wan.name)).map(|wan| wan.v4).unwrap_or_default();
    let accept = wan.map(|wan| wan.accept.as_slice()).unwrap_or_default();
    let name = wan.map(|wan| wan.name.as_str()).unwrap_or_default();
    let mend = match line.addr.seen().map(|addr| reach(addr, accept)) {
        None => format!("bring the line up (`ifup {name}`); if no address comes, look at the modem, or call the provider"),
        Some(Reach::Cgnat) => CGNAT_MEND.into(),
        Some(Reach::Nat) => {
            "switch on UPnP, NAT-PMP or PCP in the router in front of this one, or forward the port there, or make it a bridge".into()
        }
        Some(_) => "have the agent look again: `porchlight trigger`".into(),
    };
    let above = wan.and_then(|wan| above(facts, wan)).filter(|above| above.grade == Grade::Broken);
    let (why, mend) = match above {
        Some(above) => (format!("{why}; {}", above.what), above.mend),
        None => (why.to_string(), mend),
    };
    match is_tunnelled(facts) {
        true => Finding::warning(format!("{why}; a tunnel is the way in"), known, mend),
        false => Finding::broken(why, known, mend),
    }
}

/// What was heard of the next hop of one WAN.
pub struct Hop {
    /// The WAN section's name.
    pub wan: String,
    /// The next hop; `None` where packets go out without one (PPP), or by IPv6 alone.
    pub gateway: Option<IpAddr>,
    /// Whether there is a default route.
    pub route: bool,
    /// Who answered: the next hop, or somebody behind it.
    pub answer: Option<String>,
}

/// The gateways. One that answers is enough.
pub fn gateway(hops: &[Hop]) -> Finding {
    let one = |hop: &Hop| {
        let name = &hop.wan;
        match (&hop.answer, hop.gateway) {
            _ if !hop.route => Finding::broken(
                format!("wan {name} has no default route"),
                "the kernel lists its routes",
                format!("`ifup {name}`; with a fixed address, set its gateway"),
            ),
            (Some(answer), _) => Finding::ok(format!("{answer} answers")),
            (None, gateway) => {
                let hop =
                    gateway.map_or("whatever is behind the line".into(), |hop| format!("the next hop {hop}"));
                Finding::broken(
                    format!("wan {name}: {hop} does not answer"),
                    "it was asked, and so were the resolvers and three public ones behind it",
                    "restart the modem or the router in front of this one; if that does not help, call the provider",
                )
            }
        }
    };
    one_is_enough(hops.iter().map(one).collect(), "no WAN is configured")
}

/// The resolvers, each with what became of a question; and one that gave an address for a name that cannot be.
pub fn resolver(asked: &[(SocketAddr, Result<(), String>)], lie: Option<(SocketAddr, IpAddr)>) -> Finding {
    let known = "each of /etc/resolv.conf was asked";
    let mend =
        "set another one: option dns of the wan interface, or `nameserver 9.9.9.9` in /etc/resolv.conf";
    if asked.is_empty() {
        let mend = mend.replacen("another one", "one", 1);
        return Finding::broken("/etc/resolv.conf names no resolver", "the file was read", mend);
    }
    if let Some((who, addr)) = lie {
        return Finding::broken(
            format!("resolver {who} gives {addr} for a name that cannot be: it invents answers"),
            "a name below .invalid was asked for, which nobody has (RFC 6761)",
            mend,
        );
    }
    let bad: Vec<&String> = asked.iter().filter_map(|(_, told)| told.as_ref().err()).collect();
    match bad.as_slice() {
        [] => Finding::ok(format!(
            "{} answers",
            asked.first().map(|(who, _)| who.to_string()).unwrap_or_default()
        )),
        [first, ..] if bad.len() == asked.len() => Finding::broken(first.as_str(), known, mend),
        [first, ..] => Finding::warning(first.as_str(), known, mend),
    }
}

/// The name servers of each name's zone.
pub fn servers(looked: &[(String, Family, Result<Published, Failure>)]) -> Finding {
    let known = "the zone's name servers were looked up and asked";
    let one = |(domain, _, told): &(String, Family, Result<Published, Failure>)| {
        let published = match told {
            Ok(published) => published,
            Err(failure) if failure.kind == Kind::NoSuchName => {
                let mend = "check the spelling of list domain, and that the domain is registered and its name servers are set";
                return Some(Finding::broken(&failure.text, known, mend));
            }
            Err(failure) => {
                return Some(Finding::broken(
                    &failure.text,
                    known,
                    "look at the zone's name servers; it may pass by itself",
                ))
            }
        };
        let unknown = published.servers.iter().filter(|(_, seen)| matches!(seen, Seen::Unknown(_)));
        let (name, why) = unknown.clone().map(|(name, seen)| (name, seen.to_string())).next()?;
        let all = unknown.count() == published.servers.len();
        if all && why == NO_AUTHORITY {
            return Some(Finding::broken(
                format!("{domain}: questions to its name servers are answered by somebody else"),
                format!("{name} {why}"),
                "switch off what redirects port 53 (a DNS filter of this router or the one in front of it), or ask the provider to",
            ));
        }
        let what = format!("{domain}: name server {name} {why}");
        let mend = "look at that name server, or take it out of the zone";
        Some(if all { Finding::broken(what, known, mend) } else { Finding::warning(what, known, mend) })
    };
    Finding::worst(looked.iter().filter_map(one).collect(), "the zones' name servers answer")
}

/// The clock. `wall`: Unix time in seconds.
pub fn clock(wall: u64) -> Finding {
    if wall >= CLOCK_FLOOR {
        return Finding::ok("it has been set");
    }
    Finding::broken(
        format!("the clock says {} days after 1 January 1970: it was never set", wall / 86_400),
        "the kernel was asked for the time",
        "`ntpd -q -p pool.ntp.org`, or `date -s`; then switch NTP on, for good (`service sysntpd enable`)",
    )
}

/// The trusted certificates. `needed`: something is spoken to over TLS.
pub fn trust(read: Result<(), Failure>, needed: bool) -> Finding {
    match read {
        Ok(()) => Finding::ok("the trusted certificates can be read"),
        Err(_) if !needed => Finding::ok("nothing here needs certificates"),
        Err(failure) => {
            let (what, mend) =
                failure.text.rsplit_once("; ").unwrap_or((&failure.text, "install the package ca-bundle"));
            Finding::broken(what, "the file was to be read", mend)
        }
    }
}

/// What is in front of this router, if something is.
pub fn upstream(facts: &Facts) -> Finding {
    let all: Vec<Finding> = facts.config.wans.iter().filter_map(|wan| above(facts, wan)).collect();
    match (all.is_empty(), facts.status.is_null()) {
        (false, _) => Finding::worst(all, ""),
        (true, true) => Finding::not_asked("only a running agent asks a router in front of this one"),
        (true, false) => Finding::not_asked("no router in front of this one had to be asked"),
    }
}

/// What the agent says of the router above a WAN.
fn above(facts: &Facts, wan: &Wan) -> Option<Finding> {
    let above = facts.said("wans", "name", &wan.name).get("upstream");
    let says = above.get("says").str()?;
    if above.get("well").bool() == Some(true) {
        return Some(Finding::ok(says));
    }
    let (what, mend) = match says.split_once(": ") {
        Some(parts) if !says.contains(NOT_PUBLIC) => parts,
        _ => (says, CGNAT_MEND),
    };
    Some(Finding::broken(what, "the agent asked it by PCP, NAT-PMP and UPnP", mend))
}

/// The tunnels, as the agent says.
pub fn tunnel(facts: &Facts) -> Finding {
    let tunnels = facts.status.get("tunnels").items();
    let mut all = Vec::new();
    for tunnel in tunnels.iter().filter(|tunnel| tunnel.get("used").bool() == Some(true)) {
        for mapping in tunnel.get("mappings").items() {
            all.push(one_carried(tunnel, mapping));
        }
    }
    match tunnels.is_empty() {
        true => Finding::not_asked("no tunnel is configured, or no agent runs"),
        false => Finding::worst(all, "no tunnel is needed"),
    }
}

/// What a mapping of a tunnel that is used comes to.
fn one_carried(tunnel: &Json, mapping: &Json) -> Finding {
    let text = |json: &Json, key: &str| json.get(key).str().unwrap_or_default().to_string();
    let what = format!("tunnel {}, mapping {}: ", text(tunnel, "name"), text(mapping, "mapping"));
    let known = "the agent says so";
    match mapping.get("state").str() {
        Some("failing") => Finding::broken(
            what + &text(mapping.get("failure"), "text"),
            known,
            format!(
                "do what it says, or look at the server {}; then `porchlight trigger`",
                text(tunnel, "server")
            ),
        ),
        Some("connecting") => Finding::warning(what + "it is being connected", known, "wait, and ask again"),
        _ => Finding::ok(what + mapping.get("state").str().unwrap_or("idle")),
    }
}

/// Whether a tunnel brings callers in, whatever the address is.
fn is_tunnelled(facts: &Facts) -> bool {
    let carries = |tunnel: &Json| {
        tunnel.get("mappings").items().iter().any(|mapping| mapping.get("state").str() == Some("carries"))
    };
    facts.status.get("tunnels").items().iter().any(carries)
}

/// What a file system and the memory have left.
pub struct Room {
    /// Where the agent's state is.
    pub dir: String,
    /// Free there, in KiB; `None` where it cannot be told.
    pub free: Option<u64>,
    /// It cannot be written.
    pub read_only: bool,
    /// Memory that programs can have, in KiB.
    pub memory: Option<u64>,
}

/// The room on the machine.
pub fn room(room: &Room) -> Finding {
    let Room { dir, free, read_only, memory } = room;
    let known = "the kernel was asked";
    if *read_only {
        let what = format!("{dir} cannot be written: the agent's state is lost with its end");
        return Finding::broken(what, known, format!("`mount -o remount,rw {dir}`"));
    }
    let mend = format!("see what fills it: `du -x -a {dir} /tmp | sort -n | tail`, and delete that");
    match (free, memory) {
        (Some(0), _) => Finding::broken(format!("there is no room left in {dir}"), known, mend),
        (Some(free), _) if *free < LOW_ROOM => {
            Finding::warning(format!("there are only {free} KiB left in {dir}"), known, mend)
        }
        (_, Some(memory)) if *memory < LOW_MEMORY => Finding::warning(
            format!("there are only {memory} KiB of memory left"),
            known,
            "stop what is not needed: `top -b -n 1` shows the largest programs",
        ),
        (free, memory) => Finding::ok(format!(
            "{} KiB free for the state, {} KiB of memory",
            free.unwrap_or_default(),
            memory.unwrap_or_default()
        )),
    }
}
