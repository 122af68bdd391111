//! Which addresses the internet can reach: the IANA special-purpose address registries (RFC 6890, with
//! later entries) as two tables. <https://www.iana.org/assignments/iana-ipv4-special-registry>

use crate::config::Network;
use crate::model::Reach;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address of a special-purpose network means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Private or reserved: not published, unless the owner accepts it.
    Special,
    /// RFC 6598 shared space, between a carrier-grade NAT and its customers.
    Shared,
    /// Never published, whatever the owner accepts: it names no host, or the asking host itself.
    Never,
}

use Use::{Never, Shared, Special};

/// One row: network, length of its prefix, use.
struct Row<A>(A, u8, Use);

const V4: &[Row<Ipv4Addr>] = &[
    Row(Ipv4Addr::new(0, 0, 0, 0), 8, Never), // "this network", RFC 791, 1122
    Row(Ipv4Addr::new(10, 0, 0, 0), 8, Special), // private, RFC 1918
    Row(Ipv4Addr::new(100, 64, 0, 0), 10, Shared), // carrier-grade NAT, RFC 6598
    Row(Ipv4Addr::new(127, 0, 0, 0), 8, Never), // loopback, RFC 1122
    Row(Ipv4Addr::new(169, 254, 0, 0), 16, Special), // link-local, RFC 3927
    Row(Ipv4Addr::new(172, 16, 0, 0), 12, Special), // private, RFC 1918
    Row(Ipv4Addr::new(192, 0, 0, 0), 29, Shared), // DS-Lite: the carrier's NAT is at the other end, RFC 7335
    Row(Ipv4Addr::new(192, 0, 0, 0), 24, Special), // IETF protocols, RFC 6890
    Row(Ipv4Addr::new(192, 0, 2, 0), 24, Special), // documentation, RFC 5737
    Row(Ipv4Addr::new(192, 31, 196, 0), 24, Special), // AS112, RFC 7535
    Row(Ipv4Addr::new(192, 52, 193, 0), 24, Special), // AMT anycast, RFC 7450
    Row(Ipv4Addr::new(192, 88, 99, 0), 24, Special), // 6to4 relay anycast, RFC 7526
    Row(Ipv4Addr::new(192, 168, 0, 0), 16, Special), // private, RFC 1918
    Row(Ipv4Addr::new(192, 175, 48, 0), 24, Special), // AS112, RFC 7534
    Row(Ipv4Addr::new(198, 18, 0, 0), 15, Special), // benchmarking, RFC 2544
    Row(Ipv4Addr::new(198, 51, 100, 0), 24, Special), // documentation, RFC 5737
    Row(Ipv4Addr::new(203, 0, 113, 0), 24, Special), // documentation, RFC 5737
    Row(Ipv4Addr::new(224, 0, 0, 0), 4, Never), // multicast, RFC 5771
    Row(Ipv4Addr::new(255, 255, 255, 255), 32, Never), // broadcast, RFC 919
    Row(Ipv4Addr::new(240, 0, 0, 0), 4, Special), // reserved, RFC 1112
];

/// Everything outside 2000::/3 is special by itself; rows outside of it are here for what they say more.
const V6: &[Row<Ipv6Addr>] = &[
    Row(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, Never), // ::, ::1 and IPv4-compatible, RFC 4291
    Row(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, Never), // IPv4-mapped, RFC 4291
    Row(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Special), // NAT64, RFC 6052
    Row(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Special), // NAT64, local use, RFC 8215
    Row(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Special), // discard, RFC 6666
    Row(Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, Special), // dummy prefix, RFC 9780
    Row(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Special), // Teredo, RFC 4380
    // The rest of IETF protocols, RFC 2928: anycasts 2001:1::/32, benchmarking 2001:2::/48 (RFC 5180), AMT
    // 2001:3::/32 (RFC 7450), AS112 2001:4:112::/48 (RFC 7535), ORCHID 2001:10::/28 (RFC 4843) and
    // 2001:20::/28 (RFC 7343), drone ids 2001:30::/28 (RFC 9374).
    Row(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Special),
    Row(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Special), // documentation, RFC 3849
    Row(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Special),     // 6to4, RFC 3056: unreliable
    Row(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, Special), // AS112, RFC 7534
    Row(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Special),     // documentation, RFC 9637
    Row(Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Special),     // SRv6 SIDs, RFC 9602
    Row(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Special),      // unique-local, RFC 4193
    Row(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Never),       // link-local, RFC 4291
    Row(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Special),     // site-local, deprecated by RFC 3879
    Row(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Never),        // multicast, RFC 4291
];

/// Global unicast, RFC 4291 section 2.4: the only space that IANA has assigned from.
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

/// How the internet can reach `addr`. What lies in `accept` (`list accept`) counts as public, save
/// addresses that can never be another host's way to here (loopback, multicast, IPv6 link-local and the like).
pub fn reach(addr: IpAddr, accept: &[Network]) -> Reach {
    match special(addr) {
        None => Reach::Public,
        Some(Never) => Reach::Nat,
        Some(_) if accept.iter().any(|net| net.contains(addr)) => Reach::Public,
        Some(Shared) => Reach::Cgnat,
        Some(Special) => Reach::Nat,
    }
}

/// Whether an address is in a special-purpose network: not to be published of itself.
pub fn is_special(addr: IpAddr) -> bool {
    special(addr).is_some()
}

fn special(addr: IpAddr) -> Option<Use> {
    match addr {
        IpAddr::V4(_) => V4.iter().find(|row| within(addr, row.0.into(), row.1)).map(|row| row.2),
        IpAddr::V6(_) => match V6.iter().find(|row| within(addr, row.0.into(), row.1)) {
            Some(row) => Some(row.2),
            None if within(addr, GLOBAL.into(), 3) => None,
            None => Some(Special), // not assigned
        },
    }
}

/// Whether `addr` lies in the network `net`/`prefix`; never across families.
fn within(addr: IpAddr, net: IpAddr, prefix: u8) -> bool {
    Network { addr: net, prefix }.contains(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> Network {
        let (addr, prefix) = text.split_once('/').unwrap();
        Network { addr: ip(addr), prefix: prefix.parse().unwrap() }
    }

    /// First and last address of every special-purpose network, and their neighbours outside.
    #[test]
    fn edges_of_ipv4() {
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.31.196.0", "192.31.196.255", Some("192.31.195.255"), Some("192.31.197.0")),
            ("192.52.193.0", "192.52.193.255", Some("192.52.192.255"), Some("192.52.194.0")),
            ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("192.175.48.0", "192.175.48.255", Some("192.175.47.255"), Some("192.175.49.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
        ] {
            assert!(is_special(ip(first)), "{first}");
            assert!(is_special(ip(last)), "{last}");
            for outside in before.into_iter().chain(after) {
                assert!(!is_special(ip(outside)), "{outside}");
            }
        }
    }

    #[test]
    fn ipv6_public_and_not() {
        for public in [
            "2001:200::1",
            "2003::1",
            "2600::",
            "2a00:1450:4001::8a",
            "240e::1",
            "2620:4f:8001::1",
            "3ffe::1",
        ] {
            assert_eq!(reach(ip(public), &[]), Reach::Public, "{public}");
        }
        for special in [
            "::",
            "::1",
            "::192.0.2.1",
            "::ffff:8.8.8.8",
            "64:ff9b::1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:1::1",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:10::1",
            "2001:20::1",
            "2001:30::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "2002::1",
            "2620:4f:8000::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "1fff::1",
            "e000::1",
        ] {
            assert!(is_special(ip(special)), "{special}");
            assert_eq!(reach(ip(special), &[]), Reach::Nat, "{special}");
        }
    }

    #[test]
    fn reach_by_kind() {
        assert_eq!(reach(ip("8.8.8.8"), &[]), Reach::Public);
        assert_eq!(reach(ip("192.168.1.1"), &[]), Reach::Nat);
        assert_eq!(reach(ip("100.64.5.6"), &[]), Reach::Cgnat);
        assert_eq!(reach(ip("203.0.113.9"), &[]), Reach::Nat);
        assert_eq!(reach(ip("127.0.0.1"), &[]), Reach::Nat);
    }

    #[test]
    fn accepted_is_public_but_never_the_nonsensical() {
        let accept = [net("203.0.113.0/24"), net("2001:db8::/32"), net("100.64.0.0/10")];
        assert_eq!(reach(ip("203.0.113.9"), &accept), Reach::Public);
        assert_eq!(reach(ip("198.51.100.9"), &accept), Reach::Nat);
        assert_eq!(reach(ip("100.64.0.1"), &accept), Reach::Public);
        assert_eq!(reach(ip("2001:db8:1::9"), &accept), Reach::Public);
        let all = [net("0.0.0.0/0"), net("::/0")];
        assert_eq!(reach(ip("192.168.1.1"), &all), Reach::Public);
        assert_eq!(reach(ip("fd00::1"), &all), Reach::Public);
        for never in
            ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "ff02::1"]
        {
            assert_eq!(reach(ip(never), &all), Reach::Nat, "{never}");
        }
    }

    #[test]
    fn a_prefix_beyond_the_width_matches_one_address_only() {
        assert!(within(ip("1.2.3.4"), ip("1.2.3.4"), 200));
        assert!(!within(ip("1.2.3.5"), ip("1.2.3.4"), 200));
        assert!(!within(ip("::1"), ip("0.0.0.1"), 0));
        assert!(within(ip("ffff::"), ip("::"), 0));
    }
}
