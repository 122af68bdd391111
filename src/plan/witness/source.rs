//! Who can be asked which address the internet sees: DNS servers that answer with it, web services, and what the owner
//! names. Each has an operator, and an operator has one vote.

use crate::config::{IpSource, Network, Wan};
use crate::model::Family;
use crate::wire::dns::CLASS_IN;
use crate::wire::echo::Shape;
use crate::wire::whoami::{Whoami, CLASS_CH};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A DNS server that answers with the asker's address.
#[derive(Debug, PartialEq, Eq)]
pub struct DnsRow {
    operator: &'static str,
    /// What it is asked.
    pub whoami: Whoami,
    /// Its addresses.
    pub v4: &'static [Ipv4Addr],
    /// Its addresses in IPv6; none: it cannot be asked for one.
    pub v6: &'static [Ipv6Addr],
}

/// A web service that does, by family; empty where it has none.
struct WebRow {
    operator: &'static str,
    v4: &'static str,
    v6: &'static str,
    shape: Shape,
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn whoami(name: &'static str, txt: bool, class: u16, authoritative: bool) -> Whoami {
    Whoami { name, txt, class, authoritative }
}

static DNS: [DnsRow; 4] = [
    DnsRow {
        operator: "opendns",
        whoami: whoami("myip.opendns.com", false, CLASS_IN, false),
        v4: &[v4(208, 67, 222, 222), v4(208, 67, 220, 220)],
        v6: &[
            Ipv6Addr::new(0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x35),
            Ipv6Addr::new(0x2620, 0x119, 0x53, 0, 0, 0, 0, 0x53),
        ],
    },
    DnsRow {
        operator: "cloudflare",
        whoami: whoami("whoami.cloudflare", true, CLASS_CH, false),
        v4: &[v4(1, 1, 1, 1), v4(1, 0, 0, 1)],
        v6: &[
            Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
            Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001),
        ],
    },
    // The zone's own servers: through a resolver it would be the resolver's address.
    DnsRow {
        operator: "google",
        whoami: whoami("o-o.myaddr.l.google.com", true, CLASS_IN, true),
        v4: &[v4(216, 239, 32, 10), v4(216, 239, 34, 10)],
        v6: &[
            Ipv6Addr::new(0x2001, 0x4860, 0x4802, 0x32, 0, 0, 0, 0xa),
            Ipv6Addr::new(0x2001, 0x4860, 0x4802, 0x34, 0, 0, 0, 0xa),
        ],
    },
    // ns1-1.akamaitech.net.
    DnsRow {
        operator: "akamai",
        whoami: whoami("whoami.akamai.net", false, CLASS_IN, true),
        v4: &[v4(193, 108, 88, 1)],
        v6: &[],
    },
];

/// International and Chinese networks take turns: wherever the router is, of any two or three some can be reached.
const WEB: [WebRow; 10] = [
    web("ipify", "https://api.ipify.org/", "https://api6.ipify.org/"),
    web("ipw.cn", "https://4.ipw.cn/", "https://6.ipw.cn/"),
    WebRow {
        operator: "cloudflare",
        v4: "https://www.cloudflare.com/cdn-cgi/trace",
        v6: "https://www.cloudflare.com/cdn-cgi/trace",
        shape: Shape::Trace,
    },
    web("3322", "https://ip.3322.net/", ""),
    web("ident.me", "https://v4.ident.me/", "https://v6.ident.me/"),
    web("oray", "https://ddns.oray.com/checkip", ""),
    web("amazon", "https://checkip.amazonaws.com/", ""),
    web("ipip", "https://myip.ipip.net/", ""),
    web("nnev", "https://ip4.nnev.de/", "https://ip6.nnev.de/"),
    web("seeip", "https://ipv4.seeip.org/", "https://ipv6.seeip.org/"),
];

const fn web(operator: &'static str, v4: &'static str, v6: &'static str) -> WebRow {
    WebRow { operator, v4, v6, shape: Shape::Anywhere }
}

/// Networks of the operators themselves, that none of their customers' routers has: first address, length of the prefix.
/// What an answer says of these is the server's own address, a proxy's, or a VPN's.
const THEIRS: [(Ipv4Addr, u8); 15] = [
    (v4(1, 0, 0, 0), 24),      // Cloudflare's resolver
    (v4(1, 1, 1, 0), 24),      // likewise
    (v4(103, 21, 244, 0), 22), // Cloudflare, https://www.cloudflare.com/ips/
    (v4(104, 16, 0, 0), 12),
    (v4(108, 162, 192, 0), 18),
    (v4(141, 101, 64, 0), 18),
    (v4(162, 158, 0, 0), 15),
    (v4(172, 64, 0, 0), 13),
    (v4(188, 114, 96, 0), 20),
    (v4(198, 41, 128, 0), 17),
    (v4(8, 8, 4, 0), 24), // Google's resolver
    (v4(8, 8, 8, 0), 24),
    (v4(216, 239, 32, 0), 19), // Google's name servers
    (v4(208, 67, 216, 0), 21), // OpenDNS
    (v4(193, 108, 88, 0), 24), // Akamai's name servers
];

/// Whether an address is an operator's own.
pub fn is_theirs(addr: IpAddr) -> bool {
    let within = |(first, prefix): &(Ipv4Addr, u8)| {
        Network { addr: IpAddr::V4(*first), prefix: *prefix }.contains(addr)
    };
    let v6 =
        |row: &DnsRow| row.v6.iter().any(|own| Network { addr: IpAddr::V6(*own), prefix: 48 }.contains(addr));
    // Network::contains compares from the prefix on, whatever host bits its address has.
    THEIRS.iter().any(within) || DNS.iter().any(v6)
}

/// How a witness is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// One question by UDP.
    Dns(&'static DnsRow),
    /// One GET.
    Web(String, Shape),
    /// The owner's program.
    Script(String),
}

/// How a vote came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// In clear text: anyone on the way could have said it.
    Plain,
    /// By TLS, or by the owner's own program.
    Sure,
    /// From the router above us, about itself.
    Upstream,
}

/// A witness that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who runs it.
    pub operator: String,
    /// How it is asked.
    pub way: Way,
}

impl Witness {
    /// How its vote counts.
    pub fn voice(&self) -> Voice {
        match &self.way {
            Way::Dns(_) => Voice::Plain,
            Way::Web(url, _) if !is_tls(url) => Voice::Plain,
            Way::Web(..) | Way::Script(_) => Voice::Sure,
        }
    }

    /// The clock must be right for it.
    pub fn needs_clock(&self) -> bool {
        matches!(&self.way, Way::Web(url, _) if is_tls(url))
    }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("https://")
}

/// All witnesses of a WAN in the order in which they are asked. `turn`: within each kind the list begins so much later,
/// so that no service is asked more than the others.
pub fn all(wan: &Wan, family: Family, turn: usize) -> Vec<Witness> {
    let mut all = Vec::new();
    for source in &wan.sources {
        let mut some: Vec<Witness> = match source {
            IpSource::Interface => Vec::new(),
            IpSource::Dns => {
                DNS.iter().filter(|row| family == Family::V4 || !row.v6.is_empty()).map(of_dns).collect()
            }
            IpSource::Web if !wan.ip_urls.is_empty() => wan.ip_urls.iter().map(|url| of_owner(url)).collect(),
            IpSource::Web => WEB.iter().filter_map(|row| of_web(row, family)).collect(),
            IpSource::Script => {
                let script = wan.ip_script.iter().cloned();
                script.map(|path| Witness { operator: "ip_script".into(), way: Way::Script(path) }).collect()
            }
        };
        let middle = turn.checked_rem(some.len()).unwrap_or(0);
        some.rotate_left(middle);
        all.extend(some);
    }
    all
}

fn of_dns(row: &'static DnsRow) -> Witness {
    Witness { operator: row.operator.into(), way: Way::Dns(row) }
}

fn of_web(row: &WebRow, family: Family) -> Option<Witness> {
    let url = if family == Family::V4 { row.v4 } else { row.v6 };
    let way = Way::Web(url.into(), row.shape);
    (!url.is_empty()).then(|| Witness { operator: row.operator.into(), way })
}

/// A witness of the owner's list. Who runs it is told by the last two labels of its host's name.
fn of_owner(url: &str) -> Witness {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let known = WEB.iter().find(|row| [row.v4, row.v6].iter().any(|own| own.split('/').nth(2) == Some(host)));
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at + 1);
    let domain = match host.parse::<Ipv4Addr>() {
        Ok(_) => host,
        Err(_) => dots.nth(1).and_then(|at| host.get(at..)).unwrap_or(host),
    };
    let operator = known.map_or(domain, |row| row.operator).to_ascii_lowercase();
    let shape = if rest.ends_with("/cdn-cgi/trace") { Shape::Trace } else { Shape::Anywhere };
    Witness { operator, way: Way::Web(url.into(), shape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_services_have_their_domains_for_operators() {
        for (url, operator) in [
            ("https://ip.example.com/x", "example.com"),
            ("https://Other.Example.com:8443", "example.com"),
            ("https://192.0.2.1/ip", "192.0.2.1"),
            ("http://router/ip", "router"),
            ("https://v6.ident.me/", "ident.me"),
            ("https://www.cloudflare.com/cdn-cgi/trace", "cloudflare"),
        ] {
            assert_eq!(of_owner(url).operator, operator, "{url}");
        }
    }

    #[test]
    fn what_the_operators_have_is_nobodys_router() {
        for theirs in ["1.1.1.1", "104.28.5.6", "208.67.222.222", "216.239.34.10", "2606:4700:4700::1"] {
            assert!(is_theirs(theirs.parse().unwrap()), "{theirs}");
        }
        for other in ["93.184.216.34", "1.2.1.1", "104.32.0.1", "2606:4700:9000::1"] {
            assert!(!is_theirs(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn every_url_of_the_table_is_https() {
        for url in WEB.iter().flat_map(|row| [row.v4, row.v6]).filter(|url| !url.is_empty()) {
            assert!(is_tls(url) && url.split('/').count() >= 4, "{url}");
        }
    }
}
