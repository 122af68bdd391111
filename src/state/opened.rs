//! The rules that may be in force, as lines of the state file: after a kill it is known by them whom a rule let in that is
//! no more, or narrower now, and whose connections are to be cut.

use super::text::Lines;
use super::MappingState;
use crate::config::{value, Network, Ports};
use crate::plan::Rule;
use std::net::IpAddr;

/// The kind of the line.
pub(super) const LINE: &str = "open";

/// Writes one line a rule: what of it says who may come, and where to.
pub(super) fn write(memory: &MappingState, lines: &mut Lines) {
    let applied = memory.applied.as_deref().unwrap_or_default();
    let perhaps = memory.perhaps.iter().filter(|rule| !applied.contains(rule));
    for rule in applied.iter().chain(perhaps) {
        let sources: Vec<String> = rule.sources.iter().map(Network::to_string).collect();
        let (from, to) = (Ports(rule.src_dport), Ports(rule.dest_port));
        lines.add(&[&LINE, &rule.mapping, &rule.proto, &from, &rule.target, &to, &sources.join(" ")]);
    }
}

/// Reads the fields behind the kind. What a rule says of devices and zones is not known any more.
pub(super) fn read(memory: &mut MappingState, fields: &[&str]) -> Option<()> {
    let [mapping, proto, from, target, to, sources] = fields else { return None };
    let target: IpAddr = target.parse().ok()?;
    memory.perhaps.push(Rule {
        mapping: (*mapping).to_string(),
        wan_devices: Vec::new(),
        wan_addrs: Vec::new(),
        lan_device: String::new(),
        lan: Network::new(target, if target.is_ipv4() { 32 } else { 128 })?,
        proto: value::proto(proto)?,
        src_dport: value::ports(from).ok()?,
        target,
        dest_port: value::ports(to).ok()?,
        sources: sources.split_whitespace().map(Network::parse).collect::<Option<_>>()?,
        src: String::new(),
        dest: String::new(),
    });
    Some(())
}
