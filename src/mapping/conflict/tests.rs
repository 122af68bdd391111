//! Redirects, leases and sockets that are in the way of a mapping, and those that are not.

use super::*;
use crate::config::uci;

fn ours(mapping: &str, proto: Proto, ports: (u16, u16)) -> Redirect {
    Redirect {
        id: mapping.into(),
        mapping: mapping.into(),
        src: "wan".into(),
        dest: "lan".into(),
        proto,
        src_ip: None,
        src_dport: ports,
        dest_ip: "192.168.1.20".parse().unwrap(),
        dest_port: ports,
        reflection: true,
    }
}

/// What a redirect with these options says to a mapping of TCP 8554.
fn against(options: &str) -> String {
    against_it(options, &ours("front", Proto::Tcp, (8554, 8554)))
}

fn against_it(options: &str, redirect: &Redirect) -> String {
    let lines: String = options.split(", ").map(|option| format!("option {option}\n")).collect();
    let parsed = uci::parse(&format!("config redirect\n{}", lines.replace("option list", "list")), "");
    assert_eq!(parsed.problems, [], "{options}");
    let found = find(std::slice::from_ref(redirect), &claims(&parsed.sections), &[], &[]);
    found.first().map(|conflict| conflict.why(None)).unwrap_or_default()
}

#[test]
fn a_redirect_in_the_way_is_named() {
    let text = "config redirect\noption src lan\nconfig zone\nconfig redirect\noption name 'the \"door\"'\n\
                option src wan\noption src_dport 8554\nconfig redirect 'nvr'\noption src wan\noption src_dport 9000-9010\n";
    let claims = claims(&uci::parse(text, "").sections);
    let redirects = [
        ours("front", Proto::Tcp, (8554, 8554)),
        ours("front", Proto::Udp, (8554, 8554)),
        ours("range", Proto::Udp, (9005, 9020)),
        ours("free", Proto::Tcp, (8555, 8999)),
    ];
    let found = find(&redirects, &claims, &[], &[]);
    let told: Vec<_> = found.iter().map(|c| (c.mapping.as_str(), c.why(None))).collect();
    let [(front, door), (range, nvr)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((*front, *range), ("front", "range"));
    assert_eq!(
        door,
        "public port 8554 is forwarded already, by redirect \"the \\\"door\\\"\" (@redirect[1] in \
         /etc/config/firewall): take another src_dport, or take that one away"
    );
    assert!(nvr.starts_with("public port 9005-9010 is forwarded already, by redirect (nvr in"), "{nvr}");
}

#[test]
fn what_overlaps_and_what_does_not() {
    for options in [
        "src wan, src_dport 8554",
        "src wan, src_dport 8554, enabled 1, target DNAT, family any",
        "src wan, src_dport 8000-9000, proto tcp",
        "src wan, src_dport 8554:8555, proto 'udp tcp'",
        "src wan, src_dport '!80', proto tcpudp",
        "src wan, src_dport 8554, list proto udp, list proto TCP",
        "src wan, src_dport 8554, proto 6",
        "src wan, proto tcp",
        "src wan, src_dport 80, proto all",
        "src wan, proto '!icmp', dest_ip 192.168.1.9",
        "src wan, src_dport 8554, src_ip 198.51.100.7",
        "src wan, src_dport 8554, src_dip 203.0.113.4",
        "src wan, src_dport 8554, dest_ip 192.168.1.1, family ipv4",
    ] {
        assert!(against(options).contains("is forwarded already"), "{options}");
    }
    for options in [
        "src wan, src_dport 8554, enabled 0",
        "src wan, src_dport 8554, enabled off",
        "src lan, src_dport 8554",
        "src '*', src_dport 8554",
        "src_dport 8554",
        "src wan, src_dport 8555",
        "src wan, src_dport 8555-8553",
        "src wan, src_dport 8554, proto udp",
        "src wan, src_dport 8554, proto icmp",
        "src wan, src_dport 8554, target SNAT",
        "src wan, src_dport 8554, family ipv6",
        "src wan, src_dport 8554, dest_ip fd00::9",
        "src wan, src_dport nonsense",
    ] {
        assert_eq!(against(options), "", "{options}");
    }
}

#[test]
fn who_may_and_which_family() {
    let from =
        |src_ip: &str| Redirect { src_ip: Network::parse(src_ip), ..ours("front", Proto::Tcp, (8554, 8554)) };
    let theirs = "src wan, src_dport 8554, src_ip 198.51.100.0/24";
    assert_eq!(against_it(theirs, &from("203.0.113.0/24")), "");
    assert_ne!(against_it(theirs, &from("198.51.100.9")), "");
    assert_ne!(against_it(theirs, &from("198.51.0.0/16")), "");
    assert_ne!(against_it("src wan, src_dport 8554, src_ip '!198.51.100.0/24'", &from("192.0.2.1")), "");
    let v6 = Redirect { dest_ip: "fd00::20".parse().unwrap(), ..ours("front", Proto::Tcp, (8554, 8554)) };
    assert_eq!(against_it("src wan, src_dport 8554", &v6), "");
    assert_ne!(against_it("src wan, src_dport 8554, dest_ip fd00::9", &v6), "");
    assert_ne!(against_it("src wan, src_dport 8554, family any", &v6), "");
    assert_eq!(against_it("src wan, src_dport 8554, family any, dest_ip 192.168.1.9", &v6), "");
    assert_eq!(against_it("src wan, src_dport 8554, dest_ip fd00::9, src_dip fd00::9", &v6), "");
    assert_ne!(against_it("src wan, src_dport 8554, dest_ip fd00::9, src_dip fd00::/64", &v6), "");
}

#[test]
fn our_own_are_not_in_our_way() {
    let text = "config redirect 'porchlight_front'\noption src wan\noption src_dport 8554\n";
    assert_eq!(claims(&uci::parse(text, "").sections), []);
}

#[test]
fn upnp_leases() {
    let text =
        "TCP:8554:192.168.1.77:554:1700000000:cam\nUDP:8554:192.168.1.78:554:0:a:b\nrubbish\nTCP:x:y\n";
    let found = find(&[ours("front", Proto::Tcp, (8554, 8554))], &leases(text), &[], &[]);
    assert!(found[0].why(None).contains("by 192.168.1.77 (it asked by UPnP)"), "{found:?}");
    assert_eq!(leases(text).len(), 2);
}

/// A table as this machine's kernel would show it.
fn table(rows: &[(&str, &str, u64)]) -> String {
    let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes(bytes.try_into().unwrap()));
    let line = |(index, (at, state, inode)): (usize, &(&str, &str, u64))| {
        let (addr, port) = at.rsplit_once(':').unwrap();
        let hex: String = match addr.trim_matches(['[', ']']).parse().unwrap() {
            IpAddr::V4(v4) => word(&v4.octets()),
            IpAddr::V6(v6) => v6.octets().chunks(4).map(word).collect(),
        };
        let port: u16 = port.parse().unwrap();
        format!("{index:4}: {hex}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n")
    };
    let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    head.to_string() + &rows.iter().enumerate().map(line).collect::<String>()
}

#[test]
fn sockets_on_the_wan_and_on_all_addresses() {
    let tcp = table(&[
        ("0.0.0.0:80", "0A", 11),
        ("192.168.1.1:443", "0A", 12),
        ("203.0.113.4:8443", "0A", 13),
        ("127.0.0.1:8554", "0A", 14),
        ("203.0.113.4:5000", "01", 15),
        ("[::]:22", "0A", 16),
        ("[::ffff:203.0.113.4]:23", "0A", 17),
        ("[2001:db8::4]:24", "0A", 18),
    ]);
    let tcp = listeners(&tcp, Proto::Tcp);
    assert_eq!(tcp.len(), 7);
    let wan = ["203.0.113.4".parse().unwrap(), "2001:db8::4".parse().unwrap()];
    let held = |port: u16, target: &str| {
        let dest_ip = target.parse().unwrap();
        let redirect = Redirect { dest_ip, ..ours("front", Proto::Tcp, (port, port)) };
        let found = find(&[redirect], &[], &tcp, &wan);
        found.first().map(|conflict| conflict.holder.clone())
    };
    for (port, inode) in [(80, 11), (8443, 13), (22, 16), (23, 17)] {
        let Some(Holder::Listener(listener)) = held(port, "192.168.1.20") else { panic!("{port}") };
        assert_eq!((listener.port, listener.inode), (port, inode));
    }
    for port in [443, 8554, 5000, 24, 81] {
        assert_eq!(held(port, "192.168.1.20"), None, "{port}");
    }
    for port in [22, 24, 80, 8443] {
        assert_eq!(held(port, "fd00::20"), None, "packets to the camera's own address are not the router's");
    }
    let conflict = &find(&[ours("web", Proto::Tcp, (79, 90))], &[], &tcp, &wan)[0];
    assert_eq!(
        conflict.why(Some("uhttpd")),
        "public port 80 is held by uhttpd on this router: take another src_dport"
    );
    assert!(conflict.why(None).contains("netstat -lnp"));
}

#[test]
fn udp_sockets_and_odd_tables() {
    let udp = listeners(&table(&[("0.0.0.0:51820", "07", 1), ("203.0.113.4:123", "01", 2)]), Proto::Udp);
    assert_eq!(udp.iter().map(|l| l.port).collect::<Vec<_>>(), [51820]);
    let redirects = [ours("tcp", Proto::Tcp, (51820, 51820)), ours("udp", Proto::Udp, (51820, 51820))];
    let found = find(&redirects, &[], &udp, &[]);
    assert_eq!(found.iter().map(|c| c.mapping.as_str()).collect::<Vec<_>>(), ["udp"]);
    for odd in [
        "",
        "x",
        "sl\n  0: 0:",
        "sl\n 0: 00000000:0050 x 0A a b c d e f g",
        "sl\n 0: é00000:0050 x 0A 1 2 3 4 5 6 7",
    ] {
        assert_eq!(listeners(odd, Proto::Tcp), [], "{odd}");
    }
    assert_eq!(address("0000000000000000FFFF0000"), None);
}
