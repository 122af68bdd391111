//! Whose a public port is already: another redirect's, a UPnP lease's, or a program's on the router itself.
//! Semantics of `config redirect`: fw4.uc `parse_redirect`. Sockets: proc(5), `/proc/net/tcp`.    [pure]

use super::firewall::is_ours;
use super::redirect::Redirect;
use super::rule::range;
use crate::config::uci::{Opt, Section};
use crate::config::{Network, Ports, Proto};
use crate::model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every port.
const ALL: (u16, u16) = (0, u16::MAX);
/// States of `/proc/net`: TCP_LISTEN, and TCP_CLOSE, which an unconnected UDP socket is in.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// Public ports that somebody else forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose they are, in words that follow "by".
    pub whose: String,
    /// The zone that they are reached from; `None`: any.
    pub zone: Option<String>,
    /// The protocols.
    pub protos: Vec<Proto>,
    /// The ports, first and last.
    pub ports: (u16, u16),
    /// The families.
    pub families: Vec<Family>,
    /// For whom; `None`: anyone.
    pub from: Option<Network>,
    /// At which addresses; `None`: any.
    pub at: Option<Network>,
}

/// A socket that takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Protocol.
    pub proto: Proto,
    /// The address that it is bound to; unspecified: all.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Names the socket in `/proc/PID/fd`.
    pub inode: u64,
}

/// A mapping whose public port is not free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The mapping section's name.
    pub mapping: String,
    /// The ports in question, first and last.
    pub ports: (u16, u16),
    /// Who holds them.
    pub holder: Holder,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A claim, by its [`Claim::whose`].
    Claim(String),
    /// A program on the router.
    Listener(Listener),
}

impl Conflict {
    /// What is wrong and what to do. `program`: who listens, if that is known.
    pub fn why(&self, program: Option<&str>) -> String {
        let ports = Ports(self.ports);
        match &self.holder {
            Holder::Claim(whose) => format!(
                "public port {ports} is forwarded already, by {whose}: take another src_dport, or take that one away"
            ),
            Holder::Listener(_) => format!(
                "public port {ports} is held by {} on this router: take another src_dport",
                program.unwrap_or("a program (netstat -lnp tells which)")
            ),
        }
    }
}

/// The mappings that somebody stands in the way of: the first that does, for each. `wan_addrs`: a program that
/// listens on another address of the router, a LAN's, is none.
pub fn find(
    redirects: &[Redirect],
    claims: &[Claim],
    listeners: &[Listener],
    wan_addrs: &[IpAddr],
) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    for redirect in redirects {
        if found.iter().any(|conflict| conflict.mapping == redirect.mapping) {
            continue;
        }
        let claim = claims.iter().find_map(|claim| Some((claimed(redirect, claim)?, claim)));
        let listener = listeners.iter().find(|listener| listens(redirect, listener, wan_addrs));
        let (ports, holder) = match (claim, listener) {
            (Some((ports, claim)), _) => (ports, Holder::Claim(claim.whose.clone())),
            (None, Some(listener)) => ((listener.port, listener.port), Holder::Listener(*listener)),
            (None, None) => continue,
        };
        found.push(Conflict { mapping: redirect.mapping.clone(), ports, holder });
    }
    found
}

/// The ports that a claim and a redirect share, if a packet could be for either.
fn claimed(redirect: &Redirect, claim: &Claim) -> Option<(u16, u16)> {
    let zone = claim.zone.as_ref().is_none_or(|zone| *zone == redirect.src);
    let family = claim.families.contains(&Family::of(redirect.dest_ip));
    let apart = match (&claim.from, &redirect.src_ip) {
        (Some(a), Some(b)) => !a.covers(b) && !b.covers(a),
        _ => false,
    };
    // In IPv6 ours is for packets to the camera's own address; at which of the WAN's another one is says nothing.
    let elsewhere = redirect.dest_ip.is_ipv6() && claim.at.is_some_and(|at| !at.contains(redirect.dest_ip));
    let first = redirect.src_dport.0.max(claim.ports.0);
    let last = redirect.src_dport.1.min(claim.ports.1);
    let same =
        zone && family && !apart && !elsewhere && claim.protos.contains(&redirect.proto) && first <= last;
    same.then_some((first, last))
}

/// Whether a program would be cut off from its port. In IPv6 nothing that is for the router is touched.
fn listens(redirect: &Redirect, listener: &Listener, wan_addrs: &[IpAddr]) -> bool {
    // A socket on all IPv6 addresses takes IPv4 too, unless it was told otherwise, which is not shown.
    let addr = listener.addr;
    let reached =
        redirect.dest_ip.is_ipv4() && (addr.is_unspecified() || addr.is_ipv4() && wan_addrs.contains(&addr));
    let ports = redirect.src_dport.0..=redirect.src_dport.1;
    reached && listener.proto == redirect.proto && ports.contains(&listener.port)
}

/// What the redirects of `/etc/config/firewall` claim, but for ours.
pub fn claims(sections: &[Section]) -> Vec<Claim> {
    let redirects = sections.iter().filter(|section| section.kind == "redirect");
    redirects
        .enumerate()
        .filter(|(_, section)| !is_ours(section))
        .filter_map(|(index, section)| claim(index, section))
        .collect()
}

/// `None`: it is switched off, not about incoming packets, or so that fw4 leaves it out.
fn claim(index: usize, section: &Section) -> Option<Claim> {
    let text = |name: &str| section.option(name).and_then(|option| option.values.first()).map(String::as_str);
    let off = text("enabled").is_some_and(|value| matches!(value, "0" | "off" | "false" | "no"));
    let snat = text("target").is_some_and(|target| target.eq_ignore_ascii_case("snat"));
    let zone = text("src").filter(|zone| *zone != "*")?;
    let (protos, with_ports) = protos(section.option("proto"));
    if off || snat || protos.is_empty() {
        return None;
    }
    let ports = match text("src_dport") {
        Some(value) if with_ports => ports(value)?,
        _ => ALL,
    };
    let families = families(text("family"), ["dest_ip", "src_ip", "src_dip"].map(text));
    let place = match &section.name {
        Some(name) => name.clone(),
        None => format!("@redirect[{index}]"),
    };
    let named = text("name").map_or(String::new(), |name| format!(" \"{}\"", name.escape_debug()));
    let whose = format!("redirect{named} ({place} in /etc/config/firewall)");
    Some(Claim {
        whose,
        zone: Some(zone.into()),
        protos,
        ports,
        families,
        from: text("src_ip").and_then(Network::parse),
        at: text("src_dip").and_then(Network::parse),
    })
}

/// The protocols of a redirect, and whether all of them have ports: without, it takes everything.
fn protos(option: Option<&Opt>) -> (Vec<Proto>, bool) {
    let Some(option) = option else { return (vec![Proto::Tcp, Proto::Udp], true) };
    let mut protos = Vec::new();
    let mut with_ports = true;
    for word in option.values.iter().flat_map(|value| value.split_whitespace()) {
        match word.to_ascii_lowercase().as_str() {
            "tcp" | "6" => protos.push(Proto::Tcp),
            "udp" | "17" => protos.push(Proto::Udp),
            "tcpudp" => protos.extend([Proto::Tcp, Proto::Udp]),
            "all" | "any" | "*" | "0" => (protos, with_ports) = (vec![Proto::Tcp, Proto::Udp], false),
            inverted if inverted.starts_with('!') => {
                (protos, with_ports) = (vec![Proto::Tcp, Proto::Udp], false);
            }
            _ => {}
        }
    }
    (protos, with_ports)
}

/// `8000`, `8000-8010`, `8000:8010`; with a `!`, all the others: for us, all. `None`: fw4 leaves such a section out.
fn ports(value: &str) -> Option<(u16, u16)> {
    let value = value.trim();
    if value.starts_with('!') {
        return Some(ALL);
    }
    range(value, &['-', ':'])
}

/// As fw4 infers it: by the option, by an address, else IPv4.
fn families(option: Option<&str>, addrs: [Option<&str>; 3]) -> Vec<Family> {
    match option {
        Some("any" | "all" | "*") => {}
        Some(text) if text == "inet" || text.contains('4') => return vec![Family::V4],
        Some(text) if text.contains('6') => return vec![Family::V6],
        _ if addrs == [None; 3] => return vec![Family::V4],
        _ => {}
    }
    let plain =
        |text: &str| Network::parse(text.trim_start_matches(['!', ' '])).map(|net| Family::of(net.addr));
    addrs.into_iter().flatten().find_map(plain).map_or(Family::BOTH.to_vec(), |family| vec![family])
}

/// What miniupnpd's lease file claims: `TCP:8554:192.168.1.77:554:EXPIRY:DESCRIPTION` a line.
pub fn leases(text: &str) -> Vec<Claim> {
    text.lines().filter_map(lease).collect()
}

fn lease(line: &str) -> Option<Claim> {
    let mut fields = line.split(':');
    let proto = match fields.next()? {
        "TCP" => Proto::Tcp,
        "UDP" => Proto::Udp,
        _ => return None,
    };
    let port: u16 = fields.next()?.parse().ok()?;
    let target: Ipv4Addr = fields.next()?.parse().ok()?;
    Some(Claim {
        whose: format!("{target} (it asked by UPnP)"),
        zone: None,
        protos: vec![proto],
        ports: (port, port),
        families: vec![Family::V4],
        from: None,
        at: None,
    })
}

/// The sockets of a table of `/proc/net` that take calls.
pub fn listeners(table: &str, proto: Proto) -> Vec<Listener> {
    let state = if proto == Proto::Tcp { LISTENS } else { UNCONNECTED };
    let listener = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (addr, port) = fields.next()?.split_once(':')?;
        let of_state = fields.nth(1)? == state;
        let inode = fields.nth(5)?.parse().ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (of_state && port > 0).then_some(Listener { proto, addr: address(addr)?, port, inode })
    };
    table.lines().skip(1).filter_map(listener).collect()
}

/// The kernel shows an address as words of 32 bits, each with the processor's order of bytes.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (chunk, at) in bytes.chunks_mut(4).zip([0, 8, 16, 24]) {
        chunk.copy_from_slice(&word(at)?);
    }
    let addr = Ipv6Addr::from(bytes);
    Some(addr.to_ipv4_mapped().map_or(addr.into(), IpAddr::from)).filter(|_| hex.len() == 32)
}

#[cfg(test)]
mod tests {
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
        let from = |src_ip: &str| Redirect {
            src_ip: Network::parse(src_ip),
            ..ours("front", Proto::Tcp, (8554, 8554))
        };
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
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
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
            assert_eq!(
                held(port, "fd00::20"),
                None,
                "packets to the camera's own address are not the router's"
            );
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
}
