//! How many connections each mapping let in: counters in our own table, whoever carries the mappings. No firewall's
//! reload touches that table; when we write it anew, the counts go into the text.    [pure]

use super::rule::check;
use crate::config::Ports;
use crate::map::Map;
use crate::plan::Rule;

/// How the comment of a counter begins; the mapping's label follows.
const MARK: &str = "hits:";
/// nft takes comments of up to 128 bytes.
const MAX_LABEL: usize = 64;

/// Connections by a mapping's label.
pub type Hits = Map<String, u64>;

/// The mapping's name, as far as nft can carry it.
pub fn label(mapping: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._:- ".contains(c) { c } else { '_' };
    mapping.chars().take(MAX_LABEL).map(plain).collect()
}

/// For the forward hook: a rule that counts the connections by each way in, going on from these counts. What another
/// table drops before is none.
pub(super) fn counters(rules: &[Rule], hits: &Hits) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut told = Hits::new();
    // One that nft could refuse would take the whole table with it.
    for rule in rules.iter().filter(|rule| check(rule).is_ok()) {
        let label = label(&rule.mapping);
        // A mapping with several rules is the sum of them.
        let before = match told.contains_key(&label) {
            true => 0,
            false => hits.get(&label).copied().unwrap_or_default(),
        };
        let ip = if rule.target.is_ipv4() { "ip" } else { "ip6" };
        lines.push(format!(
            "{ip} daddr {} {} dport {} ct state new ct status dnat ct original proto-dst {} \
             counter packets {before} bytes 0 comment \"{MARK}{label}\"",
            rule.target,
            rule.proto,
            Ports(rule.dest_port),
            Ports(rule.src_dport),
        ));
        told.insert(label, before);
    }
    lines
}

/// Reads the counts of a listing with its counters.
pub(super) fn read(listing: &str) -> Hits {
    let mut hits = Hits::new();
    for line in listing.lines() {
        let Some((rule, label)) = line.split_once(" comment \"hits:") else { continue };
        let count = rule.split_once(" counter packets ").and_then(|(_, count)| count.split(' ').next());
        let (Some(count), Some((label, _))) =
            (count.and_then(|n| n.parse::<u64>().ok()), label.split_once('"'))
        else {
            continue;
        };
        let sum = hits.entry(label.to_string()).or_default();
        *sum = sum.saturating_add(count);
    }
    hits
}

/// Takes in what was counted: a count never goes back, whatever became of the table.
pub fn take_in(known: &mut Hits, counted: Hits) {
    for (label, count) in &counted {
        let hits = known.entry(label.clone()).or_default();
        *hits = (*hits).max(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Network, Proto};

    fn rule(mapping: &str, proto: Proto, src_dport: (u16, u16)) -> Rule {
        Rule {
            mapping: mapping.into(),
            wan_devices: Vec::new(),
            wan_addrs: Vec::new(),
            lan_device: "br-lan".into(),
            lan: Network::parse("192.168.1.0/24").unwrap(),
            proto,
            src_dport,
            target: "192.168.1.50".parse().unwrap(),
            dest_port: (554, 554),
            sources: Vec::new(),
            src: "wan".into(),
            dest: "lan".into(),
        }
    }

    #[test]
    fn counts_go_on_where_they_were() {
        let mut hits = Hits::new();
        hits.insert("front".into(), 7);
        let rules = [
            rule("front", Proto::Tcp, (8554, 8554)),
            rule("front", Proto::Udp, (8554, 8554)),
            rule("back\"", Proto::Tcp, (8000, 8010)),
            Rule { target: "203.0.113.9".parse().unwrap(), ..rule("odd", Proto::Tcp, (1, 1)) },
        ];
        let lines = counters(&rules, &hits);
        assert_eq!(
            lines,
            [
                "ip daddr 192.168.1.50 tcp dport 554 ct state new ct status dnat ct original proto-dst 8554 counter \
                 packets 7 bytes 0 comment \"hits:front\"",
                "ip daddr 192.168.1.50 udp dport 554 ct state new ct status dnat ct original proto-dst 8554 counter \
                 packets 0 bytes 0 comment \"hits:front\"",
                "ip daddr 192.168.1.50 tcp dport 554 ct state new ct status dnat ct original proto-dst 8000-8010 counter \
                 packets 0 bytes 0 comment \"hits:back_\"",
            ]
        );
        let listed = read(&lines.join("\n").replace("packets 0 bytes 0", "packets 2 bytes 120"));
        assert_eq!((listed.get("front"), listed.get("back_")), (Some(&9), Some(&2)));
        // A table that was made anew by somebody else.
        take_in(&mut hits, read(&lines.join("\n").replace("packets 7", "packets 1")));
        assert_eq!(hits.get("front"), Some(&7));
        take_in(&mut hits, listed);
        assert_eq!((hits.get("front"), hits.get("back_")), (Some(&9), Some(&2)));
    }

    #[test]
    fn odd_listings_do_no_harm() {
        for text in [
            " comment \"hits:",
            " counter packets x comment \"hits:a\"",
            " counter packets 9 comment \"hits:a",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
        let most = format!(" counter packets {} bytes 0 comment \"hits:a\"\n", u64::MAX);
        assert_eq!(read(&most.repeat(2)).get("a"), Some(&u64::MAX));
    }
}
