//! Finds, in a listing of all tables (`nft -s -t list ruleset`), the chains of others that would drop
//! forwarded packets. A drop is final in nftables, whatever another table says.    [pure]

use super::nft::TABLE;
use crate::map::{Map, Set};
use std::net::IpAddr;

/// The most chains that are named.
const MAX_NAMED: usize = 8;

/// One chain of a listing.
#[derive(Default)]
struct Chain<'a> {
    /// Its hook is forward.
    forward: bool,
    /// Its policy is drop.
    drop: bool,
    /// Its rules.
    rules: Vec<&'a str>,
}

/// The droppers by name, as in `table inet filter, chain forward (policy drop)`. What counts as one:
/// [`super::nft::Nft::droppers`].
pub(super) fn find(listing: &str, targets: &[IpAddr], plain: &[IpAddr]) -> Vec<String> {
    let mut named = Vec::new();
    for (table, chains) in tables(listing) {
        let mut concerned = targets.to_vec();
        concerned.retain(|target| concerns(table, *target));
        if table == TABLE || concerned.is_empty() {
            continue;
        }
        for (name, chain) in chains.iter().filter(|(_, chain)| chain.forward) {
            let why = if chain.drop {
                "policy drop"
            } else if chain.rules.last().is_some_and(|rule| refuses_all(rule)) {
                "drops what it does not know"
            } else {
                continue;
            };
            if named.len() < MAX_NAMED && !lets_through(&chains, name, &concerned, plain) {
                named.push(format!("table {table}, chain {name} ({why})"));
            }
        }
    }
    named
}

/// Whether packets to this address pass the table at all.
fn concerns(table: &str, target: IpAddr) -> bool {
    match table.split(' ').next() {
        Some("inet") => true,
        Some("ip") => target.is_ipv4(),
        Some("ip6") => target.is_ipv6(),
        _ => false,
    }
}

/// The chains of each table, in the order of the listing.
fn tables(listing: &str) -> Vec<(&str, Map<&str, Chain<'_>>)> {
    let mut tables: Vec<(&str, Map<&str, Chain>)> = Vec::new();
    let mut blocks: Vec<&str> = Vec::new();
    for line in listing.lines().map(str::trim) {
        if let Some(block) = line.strip_suffix('{').map(str::trim) {
            match block.strip_prefix("table ") {
                Some(table) if blocks.is_empty() => tables.push((table, Map::new())),
                _ => {}
            }
            blocks.push(block);
        } else if line == "}" {
            blocks.pop();
        } else if let ([_, block], Some((_, chains))) = (blocks.as_slice(), tables.last_mut()) {
            if let Some(name) = block.strip_prefix("chain ") {
                chains.entry(name).or_default().read(line);
            }
        }
    }
    tables
}

impl<'a> Chain<'a> {
    fn read(&mut self, line: &'a str) {
        if line.starts_with("type ") && line.contains(" hook ") {
            self.forward = line.contains(" hook forward ");
            self.drop = line.contains("policy drop;");
        } else if !line.is_empty() && !line.starts_with('#') {
            self.rules.push(line);
        }
    }
}

/// Whether a rule drops or rejects whatever comes.
fn refuses_all(rule: &str) -> bool {
    let rule = rule.strip_prefix("counter ").unwrap_or(rule);
    matches!(rule.split(' ').next(), Some("drop" | "reject"))
}

/// Whether the chain, or one that it calls, accepts translated connections, or each target. Those that are `plain` are
/// not translated.
fn lets_through(chains: &Map<&str, Chain>, start: &str, targets: &[IpAddr], plain: &[IpAddr]) -> bool {
    let mut waiting: Vec<&str> = vec![start];
    let mut seen: Set<&str> = Set::new();
    let mut missing: Set<String> = targets.iter().map(IpAddr::to_string).collect();
    while let Some(name) = waiting.pop() {
        let Some(chain) = chains.get(name).filter(|_| seen.insert(name)) else { continue };
        for rule in &chain.rules {
            let words: Vec<&str> = rule.split([' ', ',']).collect();
            let accepts = words.contains(&"accept");
            let all = name == start && matches!(*rule, "accept" | "counter accept");
            if all {
                return true;
            }
            if accepts && rule.contains("ct status dnat ") {
                missing.retain(|target| plain.iter().any(|plain| plain.to_string() == *target));
            }
            if accepts {
                missing.retain(|target| !words.contains(&target.as_str()));
            }
            // Calls stand alone ("jump x", "goto x") or in a verdict map ("iifname vmap { "a" : jump x }").
            for pair in words.windows(2) {
                let ["jump" | "goto", called] = pair else { continue };
                waiting.extend(chains.get_key_value(called).map(|(called, _)| called));
            }
        }
    }
    missing.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: &str = "192.168.1.50";

    fn found(listing: &str) -> Vec<String> {
        find(listing, &[CAMERA.parse().unwrap()], &[])
    }

    fn forward(table: &str, policy: &str, rules: &str) -> String {
        format!(
            "table {table} {{\n\tset s {{\n\t\ttype ipv4_addr\n\t}}\n\n\tchain forward {{\n\
             \t\ttype filter hook forward priority filter; policy {policy};\n{rules}\n\t}}\n\n\
             \tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n\t}}\n}}\n"
        )
    }

    #[test]
    fn a_policy_of_drop_is_named() {
        let listing = forward("inet filter", "drop", "\t\tct state established,related accept");
        assert_eq!(found(&listing), ["table inet filter, chain forward (policy drop)"]);
    }

    #[test]
    fn iptables_tables_are_named() {
        // As iptables-nft and Docker leave them.
        let listing =
            "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n\
            \tchain DOCKER-USER {\n\t\tcounter return\n\t}\n\n\tchain FORWARD {\n\
            \t\ttype filter hook forward priority filter; policy drop;\n\t\tcounter jump DOCKER-USER\n\
            \t\toifname \"docker0\" ct state related,established counter accept\n\t}\n}\n";
        assert_eq!(found(listing), ["table ip filter, chain FORWARD (policy drop)"]);
    }

    #[test]
    fn a_reject_at_the_end_is_named() {
        // As firewalld ends, but without its "ct status dnat accept".
        for end in ["reject with icmpx admin-prohibited", "counter drop", "drop"] {
            let listing = forward("inet filter", "accept", &format!("\t\toifname \"lan\" accept\n\t\t{end}"));
            assert_eq!(found(&listing), ["table inet filter, chain forward (drops what it does not know)"]);
        }
    }

    #[test]
    fn what_lets_us_through_is_not_named() {
        let calls = "\t\tiifname vmap { \"eth0\" : jump from_wan, \"lan\" : jump from_lan }";
        let firewall = forward("inet filter", "drop", calls)
            + "table inet other {\n\tchain from_wan {\n\t\tct status dnat accept\n\t}\n}\n";
        assert_eq!(found(&firewall).len(), 1, "a chain of that name in another table does not count");
        let through = [
            forward(
                "inet firewalld",
                "accept",
                "\t\tct status dnat accept\n\t\treject with icmpx admin-prohibited",
            ),
            forward(
                "inet filter",
                "drop",
                "\t\tip daddr { 192.168.1.49, 192.168.1.50 } tcp dport 554 counter accept",
            ),
            forward("inet filter", "drop", "\t\tcounter accept"),
            forward("inet filter", "accept", "\t\tct state invalid drop\n\t\tip saddr 192.168.1.9 drop"),
            forward("ip6 filter", "drop", ""),
            forward("bridge filter", "drop", ""),
            forward("inet porchlight", "drop", ""),
        ];
        for listing in &through {
            assert_eq!(found(listing), Vec::<String>::new(), "{listing}");
        }
    }

    #[test]
    fn a_called_chain_counts() {
        let listing = "table inet fw {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\
            \t\tiifname vmap { \"eth0\" : jump from_wan, \"lan\" : jump from_lan }\n\t}\n\n\tchain from_wan {\n\
            \t\tjump from_lan\n\t\tct status dnat counter accept comment \"port forwards\"\n\t}\n\n\
            \tchain from_lan {\n\t\tjump forward\n\t\taccept\n\t}\n}\n";
        assert_eq!(found(listing), Vec::<String>::new());
        let only_lan = listing.replace("ct status dnat counter accept", "ct state new counter accept");
        assert_eq!(found(&only_lan).len(), 1, "an accept on another way in does not count");
    }

    /// What keeps its address and port is not translated, whatever a rule says.
    #[test]
    fn what_is_sent_as_it_is_has_to_be_let_through_by_its_address() {
        let (own, other) = ("2001:db8::20".parse().unwrap(), "2001:db8::30".parse().unwrap());
        let firewall =
            |rules: &str| forward("inet fw", "drop", &format!("\t\tct status dnat accept\n{rules}"));
        assert_eq!(find(&firewall(""), &[own, other], &[]), Vec::<String>::new());
        assert_eq!(find(&firewall(""), &[own, other], &[own]).len(), 1);
        let accepted = firewall("\t\tip6 daddr 2001:db8::20 tcp dport 8554 accept");
        assert_eq!(find(&accepted, &[own, other], &[own]), Vec::<String>::new());
        assert_eq!(find(&accepted, &[own, other], &[own, other]).len(), 1);
    }

    #[test]
    fn torn_listings_do_no_harm() {
        let listing = forward("inet filter", "drop", "\t\tjump forward");
        for length in 0..listing.len() {
            found(listing.get(..length).unwrap());
            found(listing.get(length..).unwrap());
        }
    }
}
