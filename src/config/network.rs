//! A network in CIDR notation (RFC 4632, RFC 4291 2.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR notation, host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Its first address.
    pub addr: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32`, or a single address, which is a network of one.
    /// Host bits are cleared. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Network> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().ok()?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(text) if (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|bits| *bits <= most)?
            }
            Some(_) => return None,
        };
        Some(Network { addr: first_address(addr, prefix), prefix })
    }

    /// The network that an address with this prefix is in. `None` if the prefix is too long.
    pub fn new(addr: IpAddr, prefix: u8) -> Option<Network> {
        let most = if addr.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then(|| Network { addr: first_address(addr, prefix), prefix })
    }

    /// Whether another network lies within this one, or is it.
    pub fn covers(&self, inner: &Network) -> bool {
        self.prefix <= inner.prefix && self.contains(inner.addr)
    }

    /// Whether an address lies in this network. Never so for the other family.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let (addr, net, width) = match (addr, self.addr) {
            (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(u32::from(a)), u128::from(u32::from(n)), 32),
            (IpAddr::V6(a), IpAddr::V6(n)) => (u128::from(a), u128::from(n), 128),
            _ => return false,
        };
        let host_bits = width - u32::from(self.prefix).min(width);
        // A shift by the whole width means that every address matches.
        (addr ^ net).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

/// The address with all bits behind the prefix cleared.
fn first_address(addr: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = if self.addr.is_ipv4() { 32 } else { 128 };
        match self.prefix == single {
            true => write!(f, "{}", self.addr),
            false => write!(f, "{}/{}", self.addr, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_host_bits_cleared() {
        for (text, shown) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/0", "0.0.0.0/0"),
            ("2001:db8:ffff::1/33", "2001:db8:8000::/33"),
            ("2001:db8::1", "2001:db8::1"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Network::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "/", "1.2.3.4/", "1.2.3.4/33", "::/129", "1.2.3/8", "1.2.3.4/+8", "1.2.3.4/0008", "x/8"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_contains_its_own_family_only() {
        let net = Network::parse("100.64.0.0/10").unwrap();
        assert!(net.contains("100.64.0.0".parse().unwrap()));
        assert!(net.contains("100.127.255.255".parse().unwrap()));
        assert!(!net.contains("100.128.0.0".parse().unwrap()));
        assert!(!Network::parse("0.0.0.0/0").unwrap().contains("::1".parse().unwrap()));
        assert!(!Network::parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
    }
}
