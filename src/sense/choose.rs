//! Which of a device's addresses is the one to publish, per family, and which of several devices serves it best.

use crate::config::Network;
use crate::model::Reach;
use crate::plan::reach::{is_special, reach};
use crate::wire::rtnl::ifa;
use std::cmp::Reverse;
use std::net::IpAddr;

/// An address that a WAN's device carries now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub addr: IpAddr,
    /// See [`ifa`].
    pub flags: u32,
    /// End of its preferred lifetime, in seconds since boot; `u64::MAX` means never.
    pub preferred_until: u64,
}

/// How good the reach of an address is: public, then accepted by the owner, then neither.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Public,
    Accepted,
    Special,
}

fn rank(addr: IpAddr, accept: &[Network]) -> Rank {
    match reach(addr, accept) {
        Reach::Public if !is_special(addr) => Rank::Public,
        Reach::Public => Rank::Accepted,
        _ => Rank::Special,
    }
}

/// The IPv4 address: the best reach first, then one that is not deprecated, a primary before a secondary, the
/// `current` one, the numerically lowest. A special-purpose one is told too if there is no better (the planner
/// judges what it is good for); a tentative one or a duplicate is not.
pub fn choose_v4(all: &[Candidate], accept: &[Network], current: Option<IpAddr>) -> Option<IpAddr> {
    all.iter()
        .filter(|one| one.addr.is_ipv4() && one.flags & (ifa::TENTATIVE | ifa::DADFAILED) == 0)
        .min_by_key(|one| {
            let deprecated = one.flags & ifa::DEPRECATED != 0;
            let secondary = one.flags & ifa::SECONDARY != 0;
            (rank(one.addr, accept), deprecated, secondary, current != Some(one.addr), one.addr)
        })
        .map(|one| one.addr)
}

/// The IPv6 address: global (or accepted), settled and stable; of several the best reach, the `current` one, the
/// one preferred longest, the numerically lowest. If there is no better, one of a private network (a translator may stand
/// in front: the planner judges what it is good for). None at all rather than one of less.
pub fn choose_v6(all: &[Candidate], accept: &[Network], current: Option<IpAddr>) -> Option<IpAddr> {
    const UNFIT: u32 = ifa::TEMPORARY | ifa::OPTIMISTIC | ifa::DADFAILED | ifa::DEPRECATED | ifa::TENTATIVE;
    all.iter()
        .filter(|one| one.addr.is_ipv6() && one.flags & UNFIT == 0)
        .map(|one| (rank(one.addr, accept), one))
        .filter(|(rank, one)| *rank != Rank::Special || is_unique_local(one.addr))
        .min_by_key(|(rank, one)| (*rank, current != Some(one.addr), Reverse(one.preferred_until), one.addr))
        .map(|(_, one)| one.addr)
}

/// Whether an address is of a private network (fc00::/7, RFC 4193).
fn is_unique_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unique_local())
}

/// Whether an address may be used for what is new: it is no duplicate, nor perhaps one, and not deprecated.
pub fn is_settled(flags: u32) -> bool {
    flags & (ifa::OPTIMISTIC | ifa::DADFAILED | ifa::DEPRECATED | ifa::TENTATIVE) == 0
}

/// How well a device serves a family, the lower the better: with an address that can be reached from the internet and
/// a default route, with any address and a route, with an address, with a route, not at all.
pub fn worth(addr: Option<IpAddr>, route: bool, accept: &[Network]) -> u8 {
    match (addr, route) {
        (Some(addr), true) => u8::from(rank(addr, accept) == Rank::Special),
        (Some(_), false) => 2,
        (None, true) => 3,
        (None, false) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn one(addr: &str, flags: u32) -> Candidate {
        Candidate { addr: ip(addr), flags, preferred_until: u64::MAX }
    }

    fn until(addr: &str, preferred_until: u64) -> Candidate {
        Candidate { addr: ip(addr), flags: 0, preferred_until }
    }

    fn lab() -> Vec<Network> {
        vec![
            Network { addr: ip("203.0.113.0"), prefix: 24 },
            Network { addr: ip("2001:db8::"), prefix: 32 },
            Network { addr: ip("fd00::"), prefix: 8 },
        ]
    }

    /// Chooses with the candidates in every rotation: the order must not matter.
    fn v4(all: &[Candidate], accept: &[Network], current: Option<&str>) -> Option<String> {
        same_in_any_order(all, |all| choose_v4(all, accept, current.map(ip)))
    }

    fn v6(all: &[Candidate], accept: &[Network], current: Option<&str>) -> Option<String> {
        same_in_any_order(all, |all| choose_v6(all, accept, current.map(ip)))
    }

    fn same_in_any_order(
        all: &[Candidate],
        choose: impl Fn(&[Candidate]) -> Option<IpAddr>,
    ) -> Option<String> {
        let mut turned = all.to_vec();
        let first = choose(&turned);
        for _ in 0..all.len() {
            turned.rotate_left(1);
            assert_eq!(choose(&turned), first);
        }
        first.map(|addr| addr.to_string())
    }

    #[test]
    fn ipv4_by_reach() {
        let all = [one("10.0.0.1", 0), one("203.0.113.5", 0), one("8.8.4.4", ifa::SECONDARY)];
        assert_eq!(v4(&all, &[], None).as_deref(), Some("8.8.4.4"));
        assert_eq!(v4(&all[..2], &lab(), None).as_deref(), Some("203.0.113.5"));
        assert_eq!(v4(&all[..2], &[], None).as_deref(), Some("10.0.0.1"), "both special: the lower");
        assert_eq!(v4(&[one("100.64.0.9", 0)], &[], None).as_deref(), Some("100.64.0.9"));
        assert_eq!(v4(&all, &lab(), None).as_deref(), Some("8.8.4.4"), "public before accepted");
        assert_eq!(v4(&[one("2600::1", 0)], &[], None), None);
    }

    #[test]
    fn ipv4_by_flags_then_current_then_number() {
        let (low, high) = (one("8.0.0.1", 0), one("8.0.0.2", 0));
        assert_eq!(v4(&[low, high], &[], None).as_deref(), Some("8.0.0.1"));
        assert_eq!(v4(&[low, high], &[], Some("8.0.0.2")).as_deref(), Some("8.0.0.2"));
        let second = one("8.0.0.1", ifa::SECONDARY);
        assert_eq!(v4(&[second, high], &[], Some("8.0.0.1")).as_deref(), Some("8.0.0.2"));
        let old = one("8.0.0.1", ifa::DEPRECATED);
        assert_eq!(v4(&[old, one("8.0.0.9", ifa::SECONDARY)], &[], None).as_deref(), Some("8.0.0.9"));
        assert_eq!(v4(&[old], &[], None).as_deref(), Some("8.0.0.1"), "still the only one");
        for flag in [ifa::TENTATIVE, ifa::DADFAILED] {
            assert_eq!(v4(&[one("8.0.0.1", flag)], &[], Some("8.0.0.1")), None);
        }
    }

    #[test]
    fn ipv6_only_settled_stable_global() {
        let good = one("2600::9", 0);
        for flag in [ifa::TEMPORARY, ifa::OPTIMISTIC, ifa::DADFAILED, ifa::DEPRECATED, ifa::TENTATIVE] {
            assert_eq!(v6(&[one("2600::1", flag), good], &[], None).as_deref(), Some("2600::9"));
            assert_eq!(v6(&[one("2600::1", flag)], &[], Some("2600::1")), None, "flag {flag}");
        }
        for flag in [0x02, 0x80, 0x100, 0x200, 0x800] {
            assert_eq!(v6(&[one("2600::1", flag)], &[], None).as_deref(), Some("2600::1"), "flag {flag}");
        }
        for addr in ["fe80::1", "fec0::1", "2001:db8::1", "2002::1", "::1"] {
            assert_eq!(v6(&[one(addr, 0)], &[], None), None, "{addr}");
        }
        assert_eq!(v6(&[one("2001:db8::1", 0)], &lab(), None).as_deref(), Some("2001:db8::1"));
        assert_eq!(v6(&[one("8.8.8.8", 0)], &[], None), None);
        assert_eq!(v6(&[one("fd00::1", 0), one("fe80::1", 0)], &[], None).as_deref(), Some("fd00::1"));
        assert_eq!(v6(&[one("fd00::1", ifa::TEMPORARY)], &[], None), None);
        assert_eq!(v6(&[one("fd00::1", 0), good], &[], Some("fd00::1")).as_deref(), Some("2600::9"));
    }

    #[test]
    fn ipv6_longest_preferred_then_number_and_it_stays() {
        let all = [until("2600::1", 100), until("2600::2", 500), until("2600::3", 500)];
        assert_eq!(v6(&all, &[], None).as_deref(), Some("2600::2"));
        assert_eq!(v6(&all, &[], Some("2600::1")).as_deref(), Some("2600::1"), "kept while eligible");
        assert_eq!(v6(&all, &[], Some("2600::7")).as_deref(), Some("2600::2"), "gone");
        let deprecated = [one("2600::1", ifa::DEPRECATED), until("2600::2", 5)];
        assert_eq!(v6(&deprecated, &[], Some("2600::1")).as_deref(), Some("2600::2"));
        let unique_local = [one("fd00::1", 0), until("2600::2", 5)];
        assert_eq!(v6(&unique_local, &lab(), Some("fd00::1")).as_deref(), Some("2600::2"));
    }

    #[test]
    fn a_device_that_leads_to_the_internet_is_worth_most() {
        let order = [
            (Some(ip("8.0.0.2")), true),
            (Some(ip("192.168.100.2")), true),
            (Some(ip("8.0.0.2")), false),
            (None, true),
            (None, false),
        ];
        let worths = order.map(|(addr, route)| worth(addr, route, &[]));
        assert!(worths.is_sorted() && worths.windows(2).all(|pair| pair[0] < pair[1]), "{worths:?}");
        let accept = [Network::parse("192.168.0.0/16").unwrap()];
        assert_eq!(worth(Some(ip("192.168.100.2")), true, &accept), worths[0]);
    }
}
