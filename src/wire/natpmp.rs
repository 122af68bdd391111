//! NAT-PMP (RFC 6886): what a home router is asked for its address and for a port, and what it answers.

use crate::config::Proto;
use std::net::Ipv4Addr;

/// The router's UDP port (section 1.1); PCP has the same.
pub const PORT: u16 = 5351;
/// The longest answer that there is.
const MAX: usize = 16;
/// Added to the operation in an answer (section 3.5).
const ANSWER: u8 = 0x80;

/// The question for the router's own address (section 3.2).
pub fn address() -> [u8; 2] {
    [0, 0]
}

/// The question for a mapping (section 3.3). `lifetime` in seconds; 0 with the external port 0 takes it away
/// (section 3.4).
pub fn map(proto: Proto, internal: u16, external: u16, lifetime: u32) -> [u8; 12] {
    let [a, b] = internal.to_be_bytes();
    let [c, d] = external.to_be_bytes();
    let [e, f, g, h] = lifetime.to_be_bytes();
    [0, operation(proto), 0, 0, a, b, c, d, e, f, g, h]
}

fn operation(proto: Proto) -> u8 {
    match proto {
        Proto::Udp => 1,
        Proto::Tcp => 2,
    }
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it answers: [`None`] the question for the address.
    pub about: Option<Proto>,
    /// 0 is success (section 3.5).
    pub result: u16,
    /// Seconds since the router's table was empty (section 3.6). 0 in a refusal without it.
    pub epoch: u32,
    /// What was given.
    pub given: Given,
}

/// What an answer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Nothing: a refusal.
    Nothing,
    /// The router's own address.
    Address(Ipv4Addr),
    /// A mapping.
    Mapping {
        /// Our port.
        internal: u16,
        /// The port outside.
        external: u16,
        /// In seconds.
        lifetime: u32,
    },
}

/// Reads an answer. `None`: it is none.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    if bytes.len() > MAX {
        return None;
    }
    let (&[version, op, r1, r2], rest) = bytes.split_first_chunk::<4>()?;
    let about = match op.checked_sub(ANSWER)? {
        0 => None,
        1 => Some(Proto::Udp),
        2 => Some(Proto::Tcp),
        _ => return None,
    };
    let result = u16::from_be_bytes([r1, r2]);
    if version != 0 {
        return None;
    }
    let Some((epoch, rest)) = rest.split_first_chunk::<4>() else {
        // Some refuse in so few bytes (section 3.5).
        return (result != 0).then_some(Answer { about, result, epoch: 0, given: Given::Nothing });
    };
    let epoch = u32::from_be_bytes(*epoch);
    let given = match (about, rest) {
        _ if result != 0 => Given::Nothing,
        (None, &[a, b, c, d]) => Given::Address(Ipv4Addr::new(a, b, c, d)),
        (Some(_), &[a, b, c, d, e, f, g, h]) => Given::Mapping {
            internal: u16::from_be_bytes([a, b]),
            external: u16::from_be_bytes([c, d]),
            lifetime: u32::from_be_bytes([e, f, g, h]),
        },
        _ => return None,
    };
    Some(Answer { about, result, epoch, given })
}

/// What a refusal means (section 3.5), in plain words.
pub fn refusal(result: u16) -> &'static str {
    match result {
        1 => "it speaks another version of NAT-PMP",
        2 => "it does not allow it",
        3 => "it has no address itself",
        4 => "it has no room for more mappings",
        _ => "it cannot do it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap()).collect()
    }

    /// From miniupnpd 2.3.1.
    #[test]
    fn captured_answers() {
        let address = hex("0080 0000 00001528 5db8d822");
        let given = Given::Address(Ipv4Addr::new(93, 184, 216, 34));
        assert_eq!(parse(&address), Some(Answer { about: None, result: 0, epoch: 0x1528, given }));
        let mapped = hex("0082 0000 0000158b 1f90 1f90 00000e10");
        let given = Given::Mapping { internal: 8080, external: 8080, lifetime: 3600 };
        assert_eq!(parse(&mapped), Some(Answer { about: Some(Proto::Tcp), result: 0, epoch: 0x158b, given }));
        let removed = hex("0082 0000 0000158b 1f90 0000 00000000");
        let given = Given::Mapping { internal: 8080, external: 0, lifetime: 0 };
        assert_eq!(parse(&removed).unwrap().given, given);
        // Behind carrier-grade NAT.
        let nowhere = parse(&hex("0080 0003 00000010 00000000")).unwrap();
        assert_eq!((nowhere.result, nowhere.given), (3, Given::Nothing));
        for whole in [address, mapped, removed] {
            for length in 0..whole.len() {
                assert_eq!(parse(&whole[..length]), None, "{length}");
            }
            assert_eq!(parse(&[whole, vec![0; 9]].concat()), None);
        }
    }

    #[test]
    fn questions() {
        assert_eq!(address(), [0, 0]);
        assert_eq!(map(Proto::Tcp, 8080, 8081, 3600).to_vec(), hex("0002 0000 1f90 1f91 00000e10"));
        assert_eq!(map(Proto::Udp, 8080, 0, 0).to_vec(), hex("0001 0000 1f90 0000 00000000"));
        assert_eq!(parse(&hex("0082 0002")).map(|a| refusal(a.result)), Some("it does not allow it"));
    }

    proptest! {
        #[test]
        fn nothing_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), op in 0u8..4) {
            let _ = parse(&bytes);
            let _ = parse(&[&[0, 0x80 + op], bytes.as_slice()].concat());
        }
    }
}
