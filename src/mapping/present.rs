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
        false => in_ours(&nft.table().await?.unwrap_or_default(), rules),
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
            line.contains(&comment)
                && line.contains(&port)
                && line.contains(&target)
                && line.contains(" dnat ")
        };
        if !inward.iter().any(|line| leads(&line) && line.starts_with("iifname ")) {
            Present::miss(&mut present.missing, &rule.mapping);
        }
        let masks =
            |line: &&str| line.contains(&comment) && line.contains(&target) && line.contains("masquerade");
        let inside =
            back.iter().any(masks) && inward.iter().any(|line| leads(&line) && line.contains(" daddr "));
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
        let turns =
            |line: &str| line.contains(" (reflection)\"") && line.contains(" dnat ") && line.contains(&to);
        if redirect.reflection && !listing.lines().any(turns) {
            Present::miss(&mut present.no_hairpin, &redirect.mapping);
        }
    }
    present
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Network, Proto};
    use crate::mapping::nft::ruleset;

    fn rule() -> Rule {
        Rule {
            mapping: "front".into(),
            wan_devices: vec!["wan0".into()],
            wan_addrs: vec!["203.0.113.10".parse().unwrap()],
            lan_device: "lan0".into(),
            lan: Network::parse("192.168.1.0/24").unwrap(),
            proto: Proto::Tcp,
            src_dport: (8554, 8554),
            target: "192.168.1.20".parse().unwrap(),
            dest_port: (554, 554),
            sources: Vec::new(),
            src: "wan".into(),
            dest: "lan".into(),
        }
    }

    fn told(present: &Present) -> (bool, bool) {
        (present.missing.is_empty(), present.no_hairpin.is_empty())
    }

    #[test]
    fn in_a_table_of_our_own() {
        // What is written is near enough to what nft lists: the lab has the real one.
        let text = ruleset(&[rule()], &[]).text;
        assert_eq!(told(&in_ours(&text, &[rule()])), (true, true));
        assert_eq!(told(&in_ours("", &[rule()])), (false, false));
        let flushed = text.replace("masquerade", "accept");
        assert_eq!(told(&in_ours(&flushed, &[rule()])), (true, false));
        let moved = Rule { target: "192.168.1.60".parse().unwrap(), ..rule() };
        assert_eq!(told(&in_ours(&text, &[moved])), (false, false));
        let port = Rule { src_dport: (8555, 8555), ..rule() };
        assert_eq!(told(&in_ours(&text, &[port])), (false, false));
        assert_eq!(in_ours("", &[rule(), rule()]).missing, ["front"]);
    }

    #[test]
    fn in_the_firewall_of_openwrt() {
        let line = |chain: &str, rule: &str, mark: &str| {
            format!("chain {chain} {{\n{rule} comment \"!fw4: ubus:porchlight_mappings[*] redirect 0{mark}\"\n}}\n")
        };
        let inward =
            line("dstnat_wan", "meta nfproto ipv4 tcp dport 8554 counter dnat ip to 192.168.1.20:554", "");
        let turned = line(
            "dstnat_lan",
            "ip saddr 192.168.1.0/24 ip daddr 203.0.113.10 tcp dport 8554 dnat ip to 192.168.1.20:554",
            " (reflection)",
        );
        assert_eq!(told(&in_fw4(&(inward.clone() + &turned), &[rule()])), (true, true));
        assert_eq!(told(&in_fw4(&inward, &[rule()])), (true, false));
        assert_eq!(told(&in_fw4(&turned, &[rule()])), (false, true));
        assert_eq!(told(&in_fw4("", &[rule()])), (false, false));
    }
}
