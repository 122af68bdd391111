//! What every backend asks of a [`Rule`] before it carries it.    [pure]

use super::conntrack::Stays;
use crate::config::{Network, Ports};
use crate::map::Set;
use crate::model::Family;
use crate::plan::Rule;

/// Refuses what must never be in a packet filter, whoever asks for it.
pub(super) fn check(rule: &Rule) -> Result<(), String> {
    let target = rule.target;
    let odd = target.is_unspecified() || target.is_loopback() || target.is_multicast();
    if odd || !rule.lan.contains(target) || rule.wan_addrs.contains(&target) {
        return Err(format!(
            "{target} is no camera's address on the LAN {}/{}",
            rule.lan.addr, rule.lan.prefix
        ));
    }
    for (first, last) in [rule.src_dport, rule.dest_port] {
        if first == 0 || first > last {
            return Err(format!("{} is no range of ports", Ports((first, last))));
        }
    }
    Ok(())
}

/// The networks of the target's family that may; none where anyone may. Of networks that lie within one another
/// the outermost.
pub(super) fn sources(rule: &Rule) -> Result<Set<Network>, String> {
    if rule.sources.is_empty() {
        return Ok(Set::new());
    }
    let family = Family::of(rule.target);
    let of_family = |network: &&Network| Family::of(network.addr) == family;
    let networks: Set<_> = rule.sources.iter().filter(of_family).copied().collect();
    if networks.is_empty() {
        return Err(format!("src_ip names no {family} network, so nobody could reach it by {family}"));
    }
    if networks.iter().any(|network| network.prefix == 0) {
        return Ok(Set::new());
    }
    let within = |inner: &Network, outer: &Network| inner != outer && outer.covers(inner);
    let outermost = networks.iter().filter(|inner| !networks.iter().any(|outer| within(inner, outer)));
    Ok(outermost.copied().collect())
}

/// The way in that a rule is.
pub(super) fn stays(rule: &Rule) -> Stays<'_> {
    let Rule { target, proto, src_dport: ports, dest_port: to, sources: from, .. } = rule;
    Stays { target: *target, proto: *proto, ports: *ports, to: *to, from }
}

/// How the ports of a range find theirs on the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// All lead to this one.
    One(u16),
    /// Each keeps its own.
    Same,
    /// Each leads to the one that is as far into the other range; so many they are.
    Moved(u32),
}

/// How the rule's ports lead to the camera's.
pub(super) fn ways(rule: &Rule) -> Result<Ways, String> {
    let ((first, last), (to_first, to_last)) = (rule.src_dport, rule.dest_port);
    let count = u32::from(last.saturating_sub(first)) + 1;
    if to_first == to_last && (count > 1 || first != to_first) {
        return Ok(Ways::One(to_first));
    }
    if u32::from(to_last.saturating_sub(to_first)) + 1 != count {
        return Err(format!(
            "src_dport {} and dest_port {} are not equally many ports",
            Ports(rule.src_dport),
            Ports(rule.dest_port)
        ));
    }
    Ok(if first == to_first { Ways::Same } else { Ways::Moved(count) })
}

/// Refuses a range of which too many ports change their number.
pub(super) fn at_most(count: u32, most: u32) -> Result<(), String> {
    if count <= most {
        return Ok(());
    }
    Err(format!(
        "more than {most} ports cannot change their numbers: \
         leave out dest_port, so that each keeps its own, or take fewer"
    ))
}

/// Reads a range of ports as [`Ports`] writes it; `between`: what may stand between the two.
pub(super) fn range(text: &str, between: &[char]) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(between).unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?)).filter(|(first, last)| first <= last)
}
