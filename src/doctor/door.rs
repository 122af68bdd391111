//! Judgements about the way in: the camera, its public port, the mapping in the packet filter, what drops it, and the way
//! from inside.    [pure]

use super::{Facts, Finding};
use crate::config::{Camera, Mapping, Probe, Proto};
use crate::mapping::present::Present;
use crate::model::{Inquiry, Protection};
use crate::plan::mapping::{asked_at, carrier, exposure, Exposure};
use crate::plan::probe::{self, inquiry};
use crate::plan::schedule::rests;
use crate::plan::{Carrier, Rule};
use std::net::{IpAddr, SocketAddr};

/// How it is known what a camera says.
const BY_ASKING: &str = "it was asked as a stranger would ask, at its own port";

/// What to ask the cameras, by mapping. One that may be exposed whatever it says is asked by a connection where it cannot
/// be asked for a password.
pub fn questions(facts: &Facts) -> Vec<(String, Inquiry)> {
    let one = |mapping: &Mapping| {
        let addr = asked_at(&facts.config, &facts.world, &facts.state, mapping, facts.now).ok()?;
        let plain = || {
            let target = SocketAddr::new(addr, mapping.dest_port.0);
            let asked = mapping.allow_open && mapping.protos.contains(&Proto::Tcp);
            asked.then(|| Inquiry { target, how: Probe::Tcp, path: mapping.path.clone() })
        };
        Some((mapping.name.clone(), inquiry(mapping, addr).ok().or_else(plain)?))
    };
    facts.config.mappings.iter().filter_map(one).collect()
}

/// The cameras, with what they said.
pub fn camera(facts: &Facts, said: &[(String, Protection)]) -> Finding {
    let all: Vec<Finding> =
        facts.config.mappings.iter().filter_map(|mapping| one_camera(facts, mapping, said)).collect();
    match facts.config.mappings.is_empty() {
        true => Finding::not_asked("no mapping leads to a camera"),
        false => Finding::worst(all, &format!("{} answer and are protected as configured", ways(said.len()))),
    }
}

fn ways(count: usize) -> String {
    format!("{count} way{} to a camera", if count == 1 { "" } else { "s" })
}

fn one_camera(facts: &Facts, mapping: &Mapping, said: &[(String, Protection)]) -> Option<Finding> {
    let Facts { config, world, state, now, .. } = facts;
    let (name, camera) = (&mapping.name, &mapping.camera);
    if rests(mapping, world, *now) || carrier(config, world).is_err() {
        return None;
    }
    let addr = match asked_at(config, world, state, mapping, *now) {
        Ok(addr) => addr,
        Err((_, why)) => {
            return Some(Finding::broken(
                format!("mapping {name}: {why}"),
                BY_KERNEL,
                place_mend(facts, camera),
            ))
        }
    };
    if let (Err(why), false) = (inquiry(mapping, addr), mapping.allow_open) {
        let mend = format!("set option probe 'rtsp' or 'http' in mapping '{name}'; or option allow_open '1' to expose it all the same");
        return Some(Finding::broken(format!("mapping {name}: {why}"), "by its options", mend));
    }
    let found = said.iter().find(|(of, _)| of == name).map(|(_, found)| found)?;
    let here = matches!(found, Protection::Password(_));
    let absent = matches!(found, Protection::Silent | Protection::NoService);
    if here || mapping.allow_open && !absent {
        return None;
    }
    let what = format!("camera {camera} at {addr} {found}");
    Some(Finding::broken(what, BY_ASKING, probe::mend(found)))
}

/// How a camera's place is known.
const BY_KERNEL: &str = "the DHCP leases and the kernel's neighbour table were read";

/// What to do where a camera's place is not known, or not its own.
fn place_mend(facts: &Facts, name: &str) -> String {
    let known = |camera: &Camera| match (camera.macs.first(), &camera.host, camera.ip) {
        (Some(mac), ..) => format!("list mac '{mac}'"),
        (_, Some(host), _) => format!("option name '{host}'"),
        (_, _, Some(ip)) => format!("option ip '{ip}'"),
        _ => String::new(),
    };
    let by = facts.config.cameras.iter().find(|camera| camera.name == name).map(known).unwrap_or_default();
    format!(
        "look whether the camera has power and network; if it has, compare {by} of camera '{name}' with what \
         `porchlight cameras` prints"
    )
}

/// The rules that are to be in the packet filter now.
pub fn rules(facts: &Facts, said: &[(String, Protection)]) -> Vec<Rule> {
    let Facts { config, world, state, now, .. } = facts;
    let mut all = Vec::new();
    for mapping in &config.mappings {
        // Without an agent, what a camera just said is what it would hear.
        let mut mapping = mapping.clone();
        mapping.allow_open |= said
            .iter()
            .any(|(name, found)| *name == mapping.name && matches!(found, Protection::Password(_)));
        if let Exposure::Open(rules) = exposure(config, world, state, &mapping, *now) {
            all.extend(rules);
        }
    }
    all
}

/// The public ports: the mappings in whose way somebody is, and why.
pub fn port(facts: &Facts, conflicts: &[(String, String)]) -> Finding {
    let one = |(mapping, why): &(String, String)| {
        let what = why.rsplit_once(": ").map_or(why.as_str(), |(what, _)| what);
        let mend = format!(
            "set another option src_dport in mapping '{mapping}', or free that port; then `{}`",
            facts.again()
        );
        Finding::broken(
            format!("mapping {mapping}: {what}"),
            "redirects, UPnP leases and listening sockets were read",
            mend,
        )
    };
    Finding::worst(
        conflicts.iter().map(one).collect(),
        "no other redirect, UPnP lease or program has a port of ours",
    )
}

/// The mappings in the packet filter.
pub fn rule(facts: &Facts, rules: &[Rule], present: &Result<Present, String>) -> Finding {
    let carrier = match carrier(&facts.config, &facts.world) {
        Ok(carrier) => carrier,
        Err(why) if facts.config.mappings.is_empty() => return Finding::not_asked(why),
        Err(why) => {
            return Finding::broken(
                why,
                "by option mapping_backend and what is here",
                "set option mapping_backend 'auto'",
            )
        }
    };
    let waits = |mapping: &&Mapping| rules.iter().all(|rule| rule.mapping != mapping.name);
    if let Some((name, why)) = facts.state.mapping.refused.first() {
        return Finding::broken(
            format!("mapping {name}: {why}"),
            "the agent was refused it",
            facts.again_mend(),
        );
    }
    match present {
        _ if rules.is_empty() => Finding::not_asked("no mapping is to be open now"),
        Err(why) => Finding::broken(
            why,
            "nft was to list it",
            "`nft list ruleset` as root shows what is wrong; install the package nftables",
        ),
        Ok(present) => match present.missing.first() {
            Some(name) => {
                let table = if carrier == Carrier::Nft { "table inet porchlight" } else { "table inet fw4" };
                let what = format!("mapping {name} is not in the packet filter");
                let mend = match carrier.reloads() {
                    true => "`porchlight trigger`; if that does not help, `service firewall restart`, and look at `fw4 check`",
                    false => "`porchlight trigger`",
                };
                Finding::broken(what, format!("`nft list {table}` does not show it"), mend)
            }
            None if facts.config.mappings.iter().any(|mapping| waits(&mapping)) => {
                Finding::ok("every mapping that is to be open now is in the packet filter")
            }
            None => Finding::ok("every mapping is in the packet filter"),
        },
    }
}

/// What drops what the mappings let in.
pub fn drops(rules: &[Rule], droppers: &Result<Vec<String>, String>) -> Finding {
    match droppers {
        _ if rules.is_empty() => Finding::not_asked("no mapping is to be open now"),
        Err(why) => Finding::warning(
            why,
            "nft was to list all tables",
            "`nft list ruleset` as root shows what is wrong",
        ),
        Ok(droppers) => match droppers.first() {
            None => Finding::ok("no other table drops it"),
            Some(dropper) => {
                let what = format!("{dropper} drops what a mapping lets in");
                Finding::broken(what, "`nft list ruleset` shows it", accept(dropper))
            }
        },
    }
}

/// The command by which a chain lets in what is translated. `table inet filter, chain forward (policy drop)` is how it is
/// named.
fn accept(dropper: &str) -> String {
    let words: Vec<&str> = dropper.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["table", family, table, "chain", chain, ..] => format!(
            "`nft insert rule {family} {table} {chain} ct status dnat accept`, and the same where that table is made"
        ),
        _ => "have it accept translated connections (ct status dnat)".into(),
    }
}

/// The way from inside. `bridged`: bridged frames pass the packet filter.
pub fn hairpin(facts: &Facts, rules: &[Rule], present: &Result<Present, String>, bridged: bool) -> Finding {
    if !rules.iter().any(|rule| rule.target.is_ipv4()) {
        return Finding::not_asked("no mapping in IPv4 is to be open now");
    }
    let closed = present.as_ref().ok().and_then(|present| present.no_hairpin.first());
    if let Some(name) = closed {
        return Finding::broken(
            format!(
                "mapping {name} has no way in from the LAN: at home the name does not lead to the camera"
            ),
            "nft does not show the rule that turns packets round",
            match carrier(&facts.config, &facts.world).is_ok_and(Carrier::reloads) {
                true => "`service firewall restart`; the LAN must be a zone of its own, with reflection on",
                false => "`porchlight trigger`",
            },
        );
    }
    if bridged {
        return Finding::warning(
            "bridged frames pass the packet filter, which breaks the way back from a camera on the same bridge",
            "net.bridge.bridge-nf-call-iptables is 1",
            "`sysctl -w net.bridge.bridge-nf-call-iptables=0`, and the same in /etc/sysctl.conf",
        );
    }
    Finding::ok("the name leads to the camera from inside, too")
}

/// The cameras' addresses, and those of them that packets are sent to as they are.
pub fn targets(rules: &[Rule]) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let of = |plain: bool| {
        rules.iter().filter(move |rule| !plain || rule.is_plain()).map(|rule| rule.target).collect()
    };
    (of(false), of(true))
}
