//! Whether the kernel's packet filter shows the mappings, and the way to them from inside. Only looks.

use super::door::Door;
use super::hits::label;
use super::nft::Nft;
use super::redirect::redirects;
use super::store::shown_ours;
use crate::config::Ports;
use crate::map::Set;
use crate::plan::{Carrier, Rule};

/// What is not there, by the mapping's name, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// It cannot be reached from outside.
    pub missing: Vec<String>,
    /// It can, but not by the WAN's address from inside.
    pub no_hairpin: Vec<String>,
}

/// Looks for these rules where this one carries them.
///
/// # Errors
/// The packet filter cannot be read.
pub async fn look(nft: &Nft, carrier: Carrier, rules: &[Rule]) -> Result<Present, String> {
    Ok(match carrier.reloads() {
        true => in_fw4(&nft.fw4_table().await?.unwrap_or_default(), rules),
        false => in_ours(&nft.list().await?.unwrap_or_default(), rules),
    })
}

impl Present {
    fn miss(list: &mut Vec<String>, name: &str) {
        if !list.iter().any(|known| known == name) {
            list.push(name.to_string());
        }
    }
}

/// In our own table's listing.
fn in_ours(listing: &str, rules: &[Rule]) -> Present {
    let chain = |name: &str| {
        let begin = format!("chain {name} {{");
        let lines = listing.lines().map(str::trim).skip_while(move |line| *line != begin);
        lines.take_while(|line| *line != "}").collect::<Vec<_>>()
    };
    let (inward, back) = (chain("prerouting"), chain("postrouting"));
    let mut present = Present::default();
    for rule in rules {
        let comment = format!("comment \"{}\"", label(&rule.mapping));
        let port = format!(" dport {} ", Ports(rule.src_dport));
        let target = rule.target.to_string();
        let leads = |line: &&&str| {
            line.contains(&comment) && line.contains(&port) && line.contains(&target) && line.contains(" dnat ")
        };
        if !inward.iter().any(|line| leads(&line) && line.starts_with("iifname ")) {
            Present::miss(&mut present.missing, &rule.mapping);
        }
        let masks = |line: &&str| line.contains(&comment) && line.contains(&target) && line.contains("masquerade");
        let inside = back.iter().any(masks) && inward.iter().any(|line| leads(&line) && line.contains(" daddr "));
        if rule.target.is_ipv4() && !rule.wan_addrs.is_empty() && !inside {
            Present::miss(&mut present.no_hairpin, &rule.mapping);
        }
    }
    present
}

/// In the listing of OpenWrt's firewall.
fn in_fw4(listing: &str, rules: &[Rule]) -> Present {
    let shown: Set<Door> = shown_ours(listing);
    let mut present = Present::default();
    for redirect in redirects(rules).list {
        if !shown.contains(&Door::of(&redirect)) {
            Present::miss(&mut present.missing, &redirect.mapping);
        }
        let to = format!(" {}:{} ", redirect.dest_ip, Ports(redirect.dest_port));
        let turns = |line: &str| line.contains(" (reflection)\"") && line.contains(" dnat ") && line.contains(&to);
        if redirect.reflection && !listing.lines().any(turns) {
            Present::miss(&mut present.no_hairpin, &redirect.mapping);
        }
    }
    present
}
