//! The text of our table, and what is refused instead of written.

use super::*;
use crate::config::{Network, Proto};

fn net(text: &str) -> Network {
    let (addr, prefix) = text.split_once('/').unwrap();
    Network { addr: addr.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn rule() -> Rule {
    Rule {
        mapping: "door_8554".into(),
        wan_devices: vec!["eth1".into(), "eth0".into(), "eth1".into()],
        wan_addrs: vec!["203.0.113.4".parse().unwrap(), "2001:db8::4".parse().unwrap()],
        lan_device: "br-lan".into(),
        lan: net("192.168.1.0/24"),
        proto: Proto::Tcp,
        src_dport: (8554, 8554),
        target: "192.168.1.50".parse().unwrap(),
        dest_port: (554, 554),
        sources: Vec::new(),
        src: "wan".into(),
        dest: "lan".into(),
    }
}

fn refusal(change: impl FnOnce(&mut Rule)) -> String {
    let mut rule = rule();
    change(&mut rule);
    let made = ruleset(&[rule], &[]);
    assert_eq!(made.text, "add table inet porchlight\ndelete table inet porchlight\n");
    let [(name, why)] = made.refused.as_slice() else { panic!("not refused") };
    assert_eq!(name, "door_8554");
    why.clone()
}

fn text(change: impl FnOnce(&mut Rule)) -> String {
    let mut rule = rule();
    change(&mut rule);
    let made = ruleset(&[rule], &[]);
    assert_eq!(made.refused, []);
    made.text
}

#[test]
fn the_whole_table() {
    let made = ruleset(&[rule()], &[Guard { target: rule().target, udp: vec![(5000, 5009)] }]);
    assert_eq!(
        made.text,
        r#"add table inet porchlight
delete table inet porchlight
table inet porchlight {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname { "eth0", "eth1" } meta nfproto ipv4 fib daddr type local tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
		iifname != { "eth0", "eth1" } ip daddr { 203.0.113.4 } tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
	}
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr { 203.0.113.4 } tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "br-lan" ip saddr 192.168.1.0/24 ip daddr 192.168.1.50 tcp dport 554 ct status dnat ct original ip daddr { 203.0.113.4 } counter masquerade comment "door_8554"
	}
	chain cut {
		type filter hook forward priority filter; policy accept;
		ip saddr 192.168.1.50 ct state invalid,new tcp flags & (fin | syn | rst | ack) != syn counter reject with tcp reset
		ip daddr 192.168.1.50 ct state new tcp flags & (fin | syn | rst | ack) != syn counter reject with tcp reset
		ip saddr 192.168.1.50 ct state new udp sport 5000-5009 counter drop
	}
}
"#
    );
}

#[test]
fn without_rules_the_table_goes() {
    assert_eq!(ruleset(&[], &[]).text, "add table inet porchlight\ndelete table inet porchlight\n");
}

#[test]
fn ports() {
    let same = text(|rule| (rule.src_dport, rule.dest_port) = ((8000, 8010), (8000, 8010)));
    assert!(same.contains("tcp dport 8000-8010 counter dnat ip to 192.168.1.50 comment"), "{same}");
    let moved = text(|rule| (rule.src_dport, rule.dest_port) = ((8009, 8010), (99, 100)));
    assert!(moved.contains("to 192.168.1.50 : tcp dport map { 8009 : 99, 8010 : 100 } comment"), "{moved}");
    let v6 = text(|rule| {
        rule.target = "fd00::50".parse().unwrap();
        rule.lan = net("fd00::/64");
    });
    assert_eq!(
        v6.lines().filter(|line| line.contains("8554")).map(str::trim).collect::<Vec<_>>(),
        ["iifname { \"eth0\", \"eth1\" } ip6 daddr fd00::50 tcp dport 8554 counter dnat ip6 to [fd00::50]:554 \
          comment \"door_8554\""],
        "nothing of the WAN's own addresses, and no hairpin"
    );
    let one = text(|rule| (rule.src_dport, rule.dest_port) = ((8000, 8010), (554, 554)));
    assert!(one.contains("tcp dport 8000-8010 counter dnat ip to 192.168.1.50:554 comment"), "{one}");
    assert!(refusal(|rule| rule.dest_port = (554, 555)).contains("not equally many"));
    assert!(refusal(|rule| rule.dest_port = (0, 0)).contains("0 is no range"));
    assert!(refusal(|rule| rule.src_dport = (10, 9)).contains("10-9 is no range"));
    assert!(refusal(|rule| (rule.src_dport, rule.dest_port) = ((1, 1025), (2, 1026))).contains("1024"));
    text(|rule| (rule.src_dport, rule.dest_port) = ((1, 1024), (2, 1025)));
    text(|rule| (rule.src_dport, rule.dest_port) = ((1, 65535), (1, 65535)));
}

#[test]
fn sources_limit_every_way_in() {
    let limited = text(|rule| {
        rule.sources =
            vec![net("203.0.113.7/32"), net("203.0.113.0/24"), net("198.51.100.1/32"), net("fd00::/8")]
    });
    let doors: Vec<_> = limited.lines().filter(|line| line.contains("dnat ip to")).collect();
    assert_eq!(doors.len(), 3);
    for door in doors {
        assert!(door.contains("ip saddr { 198.51.100.1/32, 203.0.113.0/24 } tcp dport"), "{door}");
    }
    // Of the other family only: that must not mean anyone.
    assert!(refusal(|rule| rule.sources = vec![net("fd00::/8")]).contains("no IPv4 network"));
    let anyone = text(|rule| rule.sources = vec![net("0.0.0.0/0"), net("10.0.0.0/8")]);
    assert!(anyone.contains("type local tcp dport"), "{anyone}");
}

#[test]
fn never_to_the_router_or_outside_the_lan() {
    for addr in ["203.0.113.4", "0.0.0.0", "127.0.0.1", "192.168.2.1", "224.0.0.1", "fd00::1"] {
        assert!(refusal(|rule| rule.target = addr.parse().unwrap()).contains(addr));
    }
    refusal(|rule| {
        rule.lan = net("0.0.0.0/0");
        rule.target = "203.0.113.4".parse().unwrap();
    });
}

#[test]
fn names_cannot_break_out() {
    for device in ["", "eth*", "a\"b", "a b", "sixteen-letters-", "lan;"] {
        assert!(refusal(|rule| rule.wan_devices = vec![device.into()]).contains("device"));
        assert!(refusal(|rule| rule.lan_device = device.into()).contains("device"));
    }
    let odd = text(|rule| rule.mapping = format!("a\"; }}\nflush ruleset\\ö {}", "x".repeat(200)));
    let comment = odd.split("comment \"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(comment, format!("a_; __flush ruleset__ {}", "x".repeat(42)).replace(';', "_"));
    assert!(!odd.contains("\nflush"));
}

#[test]
fn a_wan_without_device_or_address() {
    let no_addr = text(|rule| rule.wan_addrs.clear());
    assert!(!no_addr.contains("br-lan") && !no_addr.contains("chain output"), "{no_addr}");
    let no_device = text(|rule| rule.wan_devices.clear());
    assert!(!no_device.contains("type local"), "{no_device}");
    let neither = ruleset(&[Rule { wan_devices: vec![], wan_addrs: vec![], ..rule() }], &[]);
    assert_eq!(neither, ruleset(&[], &[]));
}

#[test]
fn targets_of_a_listing() {
    // As nft 1.0.6 lists our table.
    let listing = "iifname \"eth0\" tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment \"a\"\n\
        udp dport 8000-8010 counter dnat ip to 192.168.1.51 comment \"b\"\n\
        tcp dport 8000-8001 counter dnat ip to 192.168.1.52:tcp dport map { 8000 : 90, 8001 : 91 }\n\
        tcp dport 80 counter dnat ip6 to [2001:db8::1]:81 comment \"d\"\n\
        tcp dport 80 counter dnat ip6 to 2001:db8::2 comment \"e\"\n\
        tcp dport 80 counter dnat ip6 to [2001:db8::3]:tcp dport map { 8000 : 90 }\n\
        tcp dport 80 counter dnat ip to \n";
    let found: Vec<_> = targets(listing).iter().map(IpAddr::to_string).collect();
    let expected =
        ["192.168.1.50", "192.168.1.51", "192.168.1.52", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
    assert_eq!(found, expected);
}
