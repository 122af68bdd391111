//! Our table as text for `nft -f -`: which rules carry a mapping, and what of it a listing shows. Syntax: nft(8).  [pure]

#[cfg(test)]
mod tests;

use super::super::door::Door;
use super::super::hits::label;
use super::super::rule::{at_most, check, sources, ways, Ways};
use crate::config::Ports;
use crate::map::Set;
use crate::plan::Rule;
use std::fmt::Write;
use std::net::IpAddr;

/// Family and name of our table, as nft writes them.
pub const TABLE: &str = "inet porchlight";
/// Ports of one rule that may change their number on the way: each takes memory in the kernel.
const MAX_MOVED_PORTS: u32 = 1024;
/// The kernel's longest device name (IFNAMSIZ less the final zero).
const MAX_DEVICE: usize = 15;

/// Holds a camera whose connections were cut: the kernel's connection table takes up a TCP stream in
/// its middle, and a router that masquerades would send it on under the very same port.
/// TCP packets of no known connection that do not open one are answered by a reset, from the camera as
/// well as to it, and no new UDP flow may start from the mapped ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The camera.
    pub target: IpAddr,
    /// Its UDP ports that were mapped, first and last.
    pub udp: Vec<(u16, u16)>,
}

/// A table as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// For `nft -f -`.
    pub text: String,
    /// As in [`MapReport`].
    pub refused: Vec<(String, String)>,
}

/// Writes our table with exactly these rules and guards; without any, the table goes.
pub fn ruleset(rules: &[Rule], guards: &[Guard]) -> Ruleset {
    table(rules, guards, &Set::new(), Vec::new())
}

/// Likewise, with a stop for each of these doors of another firewall, and with these counters.
pub(super) fn table(rules: &[Rule], guards: &[Guard], barred: &Set<Door>, counters: Vec<String>) -> Ruleset {
    let mut chains = Chains::default();
    let mut refused = Vec::new();
    for rule in rules {
        if let Err(why) = chains.add(rule) {
            refused.push((rule.mapping.clone(), why));
        }
    }
    for guard in guards {
        chains.guard(guard);
    }
    chains.forward.extend(barred.iter().map(Door::bar));
    chains.counters = counters;
    Ruleset { text: chains.table(), refused }
}

/// The lines of each chain.
#[derive(Default)]
struct Chains {
    prerouting: Vec<String>,
    output: Vec<String>,
    postrouting: Vec<String>,
    forward: Vec<String>,
    counters: Vec<String>,
}

impl Chains {
    fn add(&mut self, rule: &Rule) -> Result<(), String> {
        check(rule)?;
        check_devices(rule)?;
        let ip = keyword(rule.target);
        let proto = rule.proto;
        let from = from(rule)?;
        let to = destination(rule)?;
        let door = format!("{from}{proto} dport {}", Ports(rule.src_dport));
        let comment = label(&rule.mapping);
        let act = format!("counter dnat {ip} to {to} comment \"{comment}\"");

        let devices: Set<_> = rule.wan_devices.iter().map(|name| format!("\"{name}\"")).collect();
        if !devices.is_empty() {
            let to = match rule.target {
                IpAddr::V4(_) => "meta nfproto ipv4 fib daddr type local".to_string(),
                IpAddr::V6(own) => format!("ip6 daddr {own}"),
            };
            self.prerouting.push(format!("iifname {} {to} {door} {act}", set(devices.as_slice())));
        }
        if rule.target.is_ipv6() {
            return Ok(());
        }
        let addrs: Set<_> = rule.wan_addrs.iter().filter(|addr| addr.is_ipv4()).collect();
        if !addrs.is_empty() {
            let addrs: Vec<_> = addrs.iter().map(|addr| addr.to_string()).collect();
            let (lan, addrs) = (&rule.lan_device, set(&addrs));
            // From the camera's LAN, and from any other: whatever is no WAN.
            let within = if devices.is_empty() {
                String::new()
            } else {
                format!("iifname != {} ", set(devices.as_slice()))
            };
            self.prerouting.push(format!("{within}ip daddr {addrs} {door} {act}"));
            self.output.push(format!("ip daddr {addrs} {door} {act}"));
            // The camera would answer its neighbour directly, from an address that it never asked.
            self.postrouting.push(format!(
                "oifname \"{lan}\" ip saddr {}/{} ip daddr {} {proto} dport {} ct status dnat \
                 ct original ip daddr {addrs} counter masquerade comment \"{comment}\"",
                rule.lan.addr,
                rule.lan.prefix,
                rule.target,
                Ports(rule.dest_port),
            ));
        }
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) {
        let camera = format!("{} saddr {}", keyword(guard.target), guard.target);
        let viewer = format!("{} daddr {}", keyword(guard.target), guard.target);
        for stray in [format!("{camera} ct state invalid,new"), format!("{viewer} ct state new")] {
            self.forward.push(format!(
                "{stray} tcp flags & (fin | syn | rst | ack) != syn counter reject with tcp reset"
            ));
        }
        for ports in &guard.udp {
            self.forward.push(format!("{camera} ct state new udp sport {} counter drop", Ports(*ports)));
        }
    }

    fn table(&self) -> String {
        let mut text = format!("add table {TABLE}\ndelete table {TABLE}\n");
        let chains = [
            // "-100" is what "dstnat" means; nft does not take the word in this hook.
            ("prerouting", "nat hook prerouting priority dstnat", &self.prerouting),
            ("output", "nat hook output priority -100", &self.output),
            ("postrouting", "nat hook postrouting priority srcnat", &self.postrouting),
            ("cut", "filter hook forward priority filter", &self.forward),
            // After everybody who may drop it.
            ("hits", "filter hook forward priority 10", &self.counters),
        ];
        if chains.iter().all(|(_, _, lines)| lines.is_empty()) {
            return text;
        }
        let _ = writeln!(text, "table {TABLE} {{");
        for (name, hook, lines) in chains.iter().filter(|(_, _, lines)| !lines.is_empty()) {
            let _ = writeln!(text, "\tchain {name} {{\n\t\ttype {hook}; policy accept;");
            for line in lines.iter() {
                let _ = writeln!(text, "\t\t{line}");
            }
            text.push_str("\t}\n");
        }
        text.push_str("}\n");
        text
    }
}

/// Refuses a device that nft could take for something else.
fn check_devices(rule: &Rule) -> Result<(), String> {
    for device in rule.wan_devices.iter().chain([&rule.lan_device]) {
        let plain = device.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b));
        if !plain || device.is_empty() || device.len() > MAX_DEVICE {
            return Err(format!("nft cannot name the device \"{}\"", device.escape_default()));
        }
    }
    Ok(())
}

/// `ip saddr { .. } ` for the networks of the target's family; nothing where anyone may.
fn from(rule: &Rule) -> Result<String, String> {
    let networks: Set<_> = sources(rule)?.iter().map(|net| format!("{}/{}", net.addr, net.prefix)).collect();
    if networks.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("{} saddr {} ", keyword(rule.target), set(networks.as_slice())))
}

/// The target with its port. nft gives a range of ports out in any order, so a range that moves is
/// a map of each port to its own. A whole range may lead to one port.
fn destination(rule: &Rule) -> Result<String, String> {
    match ways(rule)? {
        Ways::One(port) => Ok(std::net::SocketAddr::new(rule.target, port).to_string()),
        Ways::Same => Ok(rule.target.to_string()),
        Ways::Moved(count) => {
            at_most(count, MAX_MOVED_PORTS)?;
            let ((first, last), (to_first, to_last)) = (rule.src_dport, rule.dest_port);
            let pairs = (first..=last).zip(to_first..=to_last);
            let pairs: Set<_> = pairs.map(|(port, to)| format!("{port} : {to}")).collect();
            Ok(format!("{} : {} dport map {}", rule.target, rule.proto, set(pairs.as_slice())))
        }
    }
}

fn keyword(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() {
        "ip"
    } else {
        "ip6"
    }
}

/// `{ a, b }`
fn set(items: &[String]) -> String {
    ["{ ", &items.join(", "), " }"].concat()
}

/// How many rules are in a table's text or listing; each of ours counts packets.
pub(super) fn count_rules(text: Option<&str>) -> usize {
    let of_rule = |line: &&str| line.split_whitespace().any(|word| word == "counter");
    text.unwrap_or_default().lines().filter(of_rule).count()
}

/// The cameras that a listing of our table translates to.
pub(in crate::mapping) fn targets(listing: &str) -> Set<IpAddr> {
    let to = |line: &str| {
        let (_, to) = line.split_once(" dnat ip to ").or_else(|| line.split_once(" dnat ip6 to "))?;
        let word = to.split_whitespace().next()?;
        match word.strip_prefix('[') {
            Some(v6) => v6.split(']').next()?.parse().ok(),
            None => word.parse().or_else(|_| word.split(':').next().unwrap_or_default().parse()).ok(),
        }
    };
    listing.lines().filter_map(to).collect()
}
