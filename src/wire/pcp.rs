//! The Port Control Protocol (RFC 6887): MAP and ANNOUNCE for IPv4, as a router is asked and answers. On the wire an
//! IPv4 address is an IPv4-mapped one (section 5).

use crate::config::Proto;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The version that we speak (section 7).
pub const VERSION: u8 = 2;
/// The most bytes of a message (section 7).
const MAX: usize = 1100;
/// Set in an answer's operation (section 7.2).
const ANSWER: u8 = 0x80;
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;

/// A mapping nonce (section 11.1): whoever knows it may change the mapping.
pub type Nonce = [u8; 12];

/// The question for a mapping (section 11.1), by `client`, which is to be the address that it is sent from.
/// `lifetime` in seconds; 0 takes it away. `external` is a suggestion.
pub fn map(client: Ipv4Addr, nonce: Nonce, proto: Proto, ports: (u16, u16), lifetime: u32) -> Vec<u8> {
    let (internal, external) = ports;
    let mut bytes = head(MAP, client, lifetime);
    bytes.extend(nonce);
    bytes.extend([protocol(proto), 0, 0, 0]);
    bytes.extend(internal.to_be_bytes());
    bytes.extend(external.to_be_bytes());
    bytes.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
    bytes
}

/// The question whether the router has lost its table (section 14.1.2): its answer has the epoch.
pub fn announce(client: Ipv4Addr) -> Vec<u8> {
    head(ANNOUNCE, client, 0)
}

fn head(operation: u8, client: Ipv4Addr, lifetime: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION, operation, 0, 0];
    bytes.extend(lifetime.to_be_bytes());
    bytes.extend(client.to_ipv6_mapped().octets());
    bytes
}

/// IANA's number of a protocol.
fn protocol(proto: Proto) -> u8 {
    match proto {
        Proto::Tcp => 6,
        Proto::Udp => 17,
    }
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0 is success (section 7.4).
    pub result: u8,
    /// Of the mapping, or of the error; in seconds.
    pub lifetime: u32,
    /// Seconds since the router's table was empty (section 8.5).
    pub epoch: u32,
    /// Of a MAP.
    pub mapping: Option<Mapping>,
}

/// What an answer says of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// That of the question.
    pub nonce: Nonce,
    /// That of the question; `None` for another one.
    pub proto: Option<Proto>,
    /// Our port.
    pub internal: u16,
    /// The port outside.
    pub external: u16,
    /// The address outside, if it is an IPv4 address and not 0.0.0.0.
    pub address: Option<Ipv4Addr>,
}

/// Reads an answer; options behind it are passed over. `None`: it is none of this version.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    if bytes.len() > MAX {
        return None;
    }
    let (&[version, operation, _, result, a, b, c, d, e, f, g, h], rest) = bytes.split_first_chunk::<12>()?;
    let (_, rest) = rest.split_first_chunk::<12>()?;
    let mapping = match operation.checked_sub(ANSWER)? {
        _ if version != VERSION => return None,
        ANNOUNCE => None,
        MAP => Some(mapping(rest)?),
        _ => return None,
    };
    let (lifetime, epoch) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    Some(Answer { result, lifetime, epoch, mapping })
}

fn mapping(bytes: &[u8]) -> Option<Mapping> {
    let (nonce, rest) = bytes.split_first_chunk::<12>()?;
    let (&[proto, _, _, _, a, b, c, d], rest) = rest.split_first_chunk::<8>()?;
    let address = Ipv6Addr::from(*rest.first_chunk::<16>()?).to_ipv4_mapped();
    Some(Mapping {
        nonce: *nonce,
        proto: [Proto::Tcp, Proto::Udp].into_iter().find(|known| protocol(*known) == proto),
        internal: u16::from_be_bytes([a, b]),
        external: u16::from_be_bytes([c, d]),
        address: address.filter(|addr| !addr.is_unspecified()),
    })
}

/// Whether these bytes say that the router does not speak this version: its own is older (section 9).
pub fn is_other_version(bytes: &[u8]) -> bool {
    matches!(bytes, [version, op, ..] if *version < VERSION && *op & ANSWER != 0 && bytes.len() >= 4)
}

/// What a refusal means (section 7.4), in plain words.
pub fn refusal(result: u8) -> &'static str {
    match result {
        1 => "it speaks another version of PCP",
        2 => "it does not allow it",
        7 | 11 => "it has no address itself",
        8 => "it cannot give a mapping now",
        10 => "it has no room for more mappings",
        12 => "there is another NAT between it and us",
        _ => "it cannot do it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: Nonce = *b"nonce-of-one";

    fn answer(result: u8, lifetime: u32, port: u16, address: [u8; 4]) -> Vec<u8> {
        // The form in which miniupnpd 2.3.1 answered.
        let mut bytes = vec![2, 0x81, 0, result];
        bytes.extend(lifetime.to_be_bytes());
        bytes.extend([0, 0, 0x15, 0x8d]);
        bytes.extend([0; 12]);
        bytes.extend(NONCE);
        bytes.extend([6, 0, 0, 0, 0x1f, 0x91]);
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        bytes.extend(address);
        bytes
    }

    #[test]
    fn captured_answers() {
        let granted = answer(0, 3600, 8081, [0x5d, 0xb8, 0xd8, 0x22]);
        let mapping = Mapping {
            nonce: NONCE,
            proto: Some(Proto::Tcp),
            internal: 8081,
            external: 8081,
            address: Some(Ipv4Addr::new(93, 184, 216, 34)),
        };
        let whole = Answer { result: 0, lifetime: 3600, epoch: 0x158d, mapping: Some(mapping) };
        assert_eq!(parse(&granted), Some(whole));
        for length in 0..granted.len() {
            assert_eq!(parse(&granted[..length]), None, "{length}");
        }
        // Behind carrier-grade NAT: a refusal with the private address.
        let double = parse(&answer(8, 30, 8081, [100, 64, 5, 6])).unwrap();
        assert_eq!((double.result, double.lifetime), (8, 30));
        assert_eq!(double.mapping.unwrap().address, Some(Ipv4Addr::new(100, 64, 5, 6)));
        assert_eq!(parse(&answer(2, 30, 0, [0; 4])).unwrap().mapping.unwrap().address, None);
        // NAT-PMP alone: version 0, unsupported.
        assert!(
            is_other_version(&[0, 0x81, 0, 1, 0, 0, 0, 9]) && parse(&[0, 0x81, 0, 1, 0, 0, 0, 9]).is_none()
        );
        assert!(
            !is_other_version(&granted) && !is_other_version(&[0, 1, 0, 1]) && !is_other_version(&[0, 0x81])
        );
    }

    #[test]
    fn questions() {
        let client = Ipv4Addr::new(192, 168, 0, 2);
        let bytes = map(client, NONCE, Proto::Tcp, (8080, 8081), 3600);
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        assert_eq!(bytes[..8], [2, 1, 0, 0, 0, 0, 0x0e, 0x10]);
        assert_eq!((&bytes[8..20], &bytes[20..24]), (&mapped[..], &[192, 168, 0, 2][..]));
        assert_eq!((&bytes[24..36], &bytes[36..44]), (&NONCE[..], &[6, 0, 0, 0, 0x1f, 0x90, 0x1f, 0x91][..]));
        assert_eq!((&bytes[44..56], &bytes[56..]), (&mapped[..], &[0; 4][..]));
        let hello = announce(client);
        assert_eq!((hello.len(), &hello[..8]), (24, &[2, 0, 0, 0, 0, 0, 0, 0][..]));
        let mut heard = hello;
        heard[1] |= ANSWER;
        assert_eq!(parse(&heard).map(|answer| (answer.result, answer.mapping)), Some((0, None)));
    }

    proptest! {
        #[test]
        fn nothing_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), op in 0u8..3) {
            let _ = (parse(&bytes), is_other_version(&bytes));
            let _ = parse(&[&[2, 0x80 + op], bytes.as_slice()].concat());
        }
    }
}
