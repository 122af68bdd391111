//! Classic BPF programs that keep netlink messages which do not concern us from waking the agent.
//! They are asked for every message that the kernel multicasts, before it is queued.
//!
//! The kernel hands over the whole netlink message: header (16 bytes), then the message's fixed part, then
//! attributes. Loads give the bytes in network order whatever the machine's is, hence [`half`].
//! The extension `SKF_AD_NLATTR` searches an attribute: A holds where attributes begin, X the type; A becomes
//! the attribute's offset, or 0 (net/core/filter.c, bpf_skb_get_nlattr). Of a dump, whose datagrams hold many
//! messages, only the first would be seen, so all of it passes.

use crate::model::Mac;
use crate::wire::rtnl::{kind, AF_INET, AF_INET6, NLM_F_MULTI};
use std::net::{IpAddr, Ipv4Addr};

/// The most hardware addresses, and the most network addresses, that are looked for; with more of either everything
/// passes. A program for so many has 300 instructions, far below the kernel's limits.
pub const MAX_SOUGHT: usize = 16;

/// One instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What to do.
    pub code: u16,
    /// How many instructions to leap over if a comparison holds ...
    pub if_true: u8,
    /// ... and if not.
    pub if_false: u8,
    /// The operand.
    pub k: u32,
}

const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_W_IND: u16 = 0x40;
const LD_H_IND: u16 = 0x48;
const LDX_MSH: u16 = 0xb1;
const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const TAX: u16 = 0x07;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
/// SKF_AD_OFF + SKF_AD_NLATTR.
const NLATTR: u32 = (-0x1000i32 + 12) as u32;

/// SKF_AD_OFF + SKF_AD_IFINDEX.
const IFINDEX: u32 = (-0x1000i32 + 8) as u32;

/// SKF_NET_OFF and IPv4's source address (RFC 791 section 3.1).
const IP_SOURCE: u32 = (-0x10_0000i32 + 12) as u32;

const TYPE_AT: u32 = 4;
const FLAGS_AT: u32 = 6;
const BODY_AT: u32 = 16;
const NEIGH_ATTRS_AT: u32 = BODY_AT + 12;
const LINK_ATTRS_AT: u32 = BODY_AT + 16;
const NDA_DST: u32 = 1;
const NDA_LLADDR: u32 = 2;
const IFLA_WIRELESS: u32 = 11;

/// For the socket of links, addresses and routes. Keeps out: routes to anything but the whole internet, bridge ports'
/// own link messages, and wireless drivers' chatter (which also comes as link messages).
pub fn network() -> Vec<Op> {
    let mut code = control_passes(&[kind::NEWLINK, kind::DELLINK, kind::NEWROUTE, kind::DELROUTE]);
    let link = [
        op(LD_B_ABS, BODY_AT), // ifi_family: AF_UNSPEC is the device itself
        jump(JEQ, 0, 1, 0),
        deny(),
        op(LDX_IMM, IFLA_WIRELESS),
        op(LD_IMM, LINK_ATTRS_AT),
        op(LD_W_ABS, NLATTR),
        jump(JEQ, 0, 1, 0),
        deny(),
        pass(),
    ];
    code.extend([
        op(LD_H_ABS, TYPE_AT),
        jump(JEQ, half(kind::NEWLINK), 1, 0),
        jump(JEQ, half(kind::DELLINK), 0, link.len() as u8),
    ]);
    code.extend(link);
    // rtm_dst_len
    code.extend([op(LD_B_ABS, BODY_AT + 1), jump(JEQ, 0, 0, 1), pass(), deny()]);
    code
}

/// For the socket of neighbours: lets pass entries of IPv4 and IPv6 with one of these addresses.
/// A failed entry has no hardware address, so it passes by its network address only.
pub fn neighbours(macs: &[Mac], ips: &[IpAddr]) -> Vec<Op> {
    if macs.len() > MAX_SOUGHT || ips.len() > MAX_SOUGHT {
        return vec![pass()];
    }
    let mut code = control_passes(&[kind::NEWNEIGH, kind::DELNEIGH]);
    let (mut by_mac, mut by_v4, mut by_v6) = (Vec::new(), Vec::new(), Vec::new());
    for mac in macs {
        equals(&mac.0, &mut by_mac);
    }
    for ip in ips {
        match ip {
            IpAddr::V4(ip) => equals(&ip.octets(), &mut by_v4),
            IpAddr::V6(ip) => equals(&ip.octets(), &mut by_v6),
        }
    }
    for (kind, len, tests) in [(NDA_LLADDR, 6, by_mac), (NDA_DST, 4, by_v4), (NDA_DST, 16, by_v6)] {
        attribute(kind, len, &tests, &mut code);
    }
    code.push(deny());
    code
}

/// For a UDP socket: keeps out what comes from these addresses; of more than [`MAX_SOUGHT`] the first ones.
pub fn senders(unwanted: &[Ipv4Addr]) -> Vec<Op> {
    let mut code = vec![op(LD_W_ABS, IP_SOURCE)];
    for addr in unwanted.iter().take(MAX_SOUGHT) {
        code.extend([jump(JEQ, addr.to_bits(), 0, 1), deny()]);
    }
    code.push(pass());
    code
}

/// For a packet socket of IPv4: lets pass datagrams (UDP) to this group and port that come from this sender by the device with
/// this index. Offsets are those of an IPv4 packet (RFC 791 section 3.1), then of UDP (RFC 768).
pub fn announcements(index: u32, sender: Ipv4Addr, group: Ipv4Addr, port: u16) -> Vec<Op> {
    const UDP: u32 = 17;
    const FRAGMENT: u32 = 0x3fff;
    let tests = [
        (op(LD_W_ABS, IFINDEX), index),
        (op(LD_B_ABS, 9), UDP),
        (op(LD_W_ABS, 12), sender.to_bits()),
        (op(LD_W_ABS, 16), group.to_bits()),
    ];
    let mut code = Vec::new();
    for (load, value) in tests {
        code.extend([load, jump(JEQ, value, 1, 0), deny()]);
    }
    code.extend([op(LD_H_ABS, 6), jump(JSET, FRAGMENT, 0, 1), deny()]);
    // X: the header's length.
    code.extend([op(LDX_MSH, 0), op(LD_H_IND, 2), jump(JEQ, port.into(), 1, 0), deny(), pass()]);
    code
}

/// What belongs to a dump, or is of no type in `sifted`, passes. Where neighbours are sifted, those of neither IPv4
/// nor IPv6 (a bridge's forwarding table) are kept out.
fn control_passes(sifted: &[u16]) -> Vec<Op> {
    let mut code =
        vec![op(LD_H_ABS, FLAGS_AT), jump(JSET, half(NLM_F_MULTI), 0, 1), pass(), op(LD_H_ABS, TYPE_AT)];
    for (at, kind) in sifted.iter().enumerate() {
        code.push(jump(JEQ, half(*kind), (sifted.len() - at) as u8, 0));
    }
    code.push(pass());
    if sifted.contains(&kind::NEWNEIGH) {
        code.extend([
            op(LD_B_ABS, BODY_AT), // ndm_family
            jump(JEQ, u32::from(AF_INET), 2, 0),
            jump(JEQ, u32::from(AF_INET6), 1, 0),
            deny(),
        ]);
    }
    code
}

/// Runs `tests` with X at the neighbour's attribute of this type, if it is there and its value has this length.
fn attribute(kind: u32, len: u16, tests: &[Op], code: &mut Vec<Op>) {
    if tests.is_empty() {
        return;
    }
    let skip = tests.len() as u32;
    code.extend([
        op(LDX_IMM, kind),
        op(LD_IMM, NEIGH_ATTRS_AT),
        op(LD_W_ABS, NLATTR),
        jump(JEQ, 0, 3, 0),
        op(TAX, 0),
        op(LD_H_IND, 0), // nla_len: the attribute's header is 4 bytes
        jump(JEQ, half(len + 4), 1, 0),
        op(JA, skip),
    ]);
    code.extend_from_slice(tests);
}

/// Passes where the attribute at X has this value; goes on behind it otherwise.
fn equals(value: &[u8], code: &mut Vec<Op>) {
    let pieces = value.len().div_ceil(4);
    for (at, piece) in value.chunks(4).enumerate() {
        let load = if piece.len() == 4 { LD_W_IND } else { LD_H_IND };
        let number = piece.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        code.push(op(load, 4 + 4 * at as u32));
        code.push(jump(JEQ, number, 0, (2 * (pieces - at) - 1) as u8));
    }
    code.push(pass());
}

/// A 16-bit number of the kernel's as a half-word load shows it.
fn half(number: u16) -> u32 {
    u32::from(u16::from_be_bytes(number.to_ne_bytes()))
}

fn op(code: u16, k: u32) -> Op {
    Op { code, if_true: 0, if_false: 0, k }
}

fn jump(code: u16, k: u32, if_true: u8, if_false: u8) -> Op {
    Op { code, if_true, if_false, k }
}

fn pass() -> Op {
    op(RET, u32::MAX)
}

fn deny() -> Op {
    op(RET, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a program, for the instructions used here. Returns whether the message passes.
    fn passes(code: &[Op], message: &[u8]) -> bool {
        let load = |at: usize, len: usize| {
            let bytes = message.get(at..at + len)?;
            Some(bytes.iter().fold(0u32, |sum, &b| sum << 8 | u32::from(b)))
        };
        let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
        loop {
            let op = code[pc];
            pc += 1;
            let loaded = match op.code {
                // The device of every packet here.
                LD_W_ABS if op.k == IFINDEX => Some(7),
                LDX_MSH => {
                    x = u32::from(message[op.k as usize] & 15) * 4;
                    continue;
                }
                LD_W_ABS if op.k == NLATTR => Some(find(message, a as usize, x as u16)),
                LD_W_ABS => load(op.k as usize, 4),
                LD_H_ABS => load(op.k as usize, 2),
                LD_B_ABS => load(op.k as usize, 1),
                LD_W_IND => load((x + op.k) as usize, 4),
                LD_H_IND => load((x + op.k) as usize, 2),
                LD_IMM => Some(op.k),
                LDX_IMM => {
                    x = op.k;
                    continue;
                }
                TAX => {
                    x = a;
                    continue;
                }
                JA => {
                    pc += op.k as usize;
                    continue;
                }
                JEQ | JSET => {
                    let holds = if op.code == JEQ { a == op.k } else { a & op.k != 0 };
                    pc += usize::from(if holds { op.if_true } else { op.if_false });
                    continue;
                }
                RET => return op.k != 0,
                other => panic!("unknown instruction {other:#x}"),
            };
            match loaded {
                Some(value) => a = value,
                None => return false, // a load beyond the end drops the message
            }
        }
    }

    /// nla_find: the offset of an attribute, or 0.
    fn find(message: &[u8], mut at: usize, kind: u16) -> u32 {
        while at + 4 <= message.len() {
            let len = usize::from(u16::from_ne_bytes([message[at], message[at + 1]]));
            if len < 4 || at + len > message.len() {
                return 0;
            }
            if u16::from_ne_bytes([message[at + 2], message[at + 3]]) == kind {
                return at as u32;
            }
            at += (len + 3) & !3;
        }
        0
    }

    fn message(kind: u16, flags: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![0; 16];
        out[4..6].copy_from_slice(&kind.to_ne_bytes());
        out[6..8].copy_from_slice(&flags.to_ne_bytes());
        out.extend(body);
        for (kind, value) in attributes {
            out.extend((value.len() as u16 + 4).to_ne_bytes());
            out.extend(kind.to_ne_bytes());
            out.extend(*value);
            out.resize((out.len() + 3) & !3, 0);
        }
        out
    }

    fn neigh(family: u8, dst: &[u8], mac: &[u8]) -> Vec<u8> {
        let mut body = [0; 12];
        body[0] = family;
        let all = [(1, dst), (2, mac), (4, &[0, 0, 0, 0][..])];
        let there: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        message(kind::NEWNEIGH, 0, &body, &there)
    }

    const CAMERA: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 8];

    #[test]
    fn announcements_of_one_router_by_one_device() {
        let (router, group) = (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(224, 0, 0, 1));
        let program = announcements(7, router, group, 5350);
        let mut good = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 1, 17, 0, 0, 192, 168, 0, 1, 224, 0, 0, 1];
        good.extend([0x14, 0xe7, 0x14, 0xe6, 0, 20, 0, 0, 0, 128, 0, 0]);
        assert!(passes(&program, &good));
        assert!(!passes(&announcements(8, router, group, 5350), &good), "another device's");
        // The protocol, a fragment, the sender, the group, the port.
        for at in [9, 7, 15, 19, 23] {
            let mut other = good.clone();
            other[at] ^= 1;
            assert!(!passes(&program, &other), "byte {at}");
        }
        let mut longer = good.clone();
        longer[0] = 0x46;
        longer.splice(20..20, [0x94, 4, 0, 0]);
        assert!(passes(&program, &longer), "a router alert before it");
        for cut in 0..24 {
            assert!(!passes(&program, &good[..cut.max(1)]), "cut at {cut}");
        }
    }

    #[test]
    fn neighbours_by_either_address() {
        let ips: Vec<IpAddr> =
            ["192.168.1.9", "192.168.1.10", "fd00::9"].map(|ip| ip.parse().unwrap()).to_vec();
        let v6 = |last: u8| {
            let mut octets = [0; 16];
            (octets[0], octets[15]) = (0xfd, last);
            octets
        };
        for (program, by_mac, by_ip) in [
            (neighbours(&[Mac(CAMERA), Mac([4; 6])], &ips), true, true),
            (neighbours(&[], &ips), false, true),
            (neighbours(&[Mac([4; 6]), Mac(CAMERA)], &[]), true, false),
            (neighbours(&[], &[]), false, false),
        ] {
            assert!(program.len() < 400);
            for (bytes, expected) in [
                (neigh(2, &[192, 168, 1, 77], &CAMERA), by_mac),
                (neigh(10, &v6(1), &CAMERA), by_mac),
                (neigh(2, &[192, 168, 1, 10], &OTHER), by_ip),
                (neigh(2, &[192, 168, 1, 9], &[]), by_ip),
                (neigh(10, &v6(9), &OTHER), by_ip),
                (neigh(10, &v6(8), &OTHER), false),
                (neigh(2, &[192, 168, 1, 8], &OTHER), false),
                (neigh(2, &[192, 168, 1, 8], &[]), false),
                (neigh(2, &[], &[]), false),
                (neigh(2, &[192, 168, 1, 8], &[2, 0, 0, 0, 0, 9, 0, 0]), false),
                (neigh(7, &[], &CAMERA), false),
            ] {
                assert_eq!(passes(&program, &bytes), expected, "{bytes:?}");
            }
            let dumped = message(kind::NEWNEIGH, NLM_F_MULTI, &[2; 12], &[]);
            assert!(passes(&program, &dumped));
            for control in [kind::ERROR, kind::DONE, kind::OVERRUN] {
                assert!(passes(&program, &message(control, 0, &[0; 4], &[])));
            }
        }
    }

    #[test]
    fn too_many_to_look_for_pass_all() {
        let macs: Vec<Mac> = (0..=MAX_SOUGHT as u8).map(|n| Mac([n; 6])).collect();
        assert!(passes(&neighbours(&macs, &[]), &neigh(2, &[1, 2, 3, 4], &OTHER)));
        assert!(!passes(&neighbours(&macs[1..], &[]), &neigh(2, &[1, 2, 3, 4], &OTHER)));
        let ips: Vec<IpAddr> = (0..MAX_SOUGHT as u8).map(|n| IpAddr::from([n; 16])).collect();
        let most = neighbours(&macs[1..], &ips);
        assert!(most.len() < 400, "{}", most.len());
        assert!(passes(&most, &neigh(10, &[MAX_SOUGHT as u8 - 1; 16], &OTHER)));
        assert!(passes(&most, &neigh(10, &[99; 16], &[MAX_SOUGHT as u8; 6])));
    }

    /// By the kernel itself: where the address is does not show in the datagram.
    #[test]
    fn unwanted_senders_are_not_heard() {
        let place = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = place.local_addr().unwrap();
        let flooder = Ipv4Addr::new(127, 0, 0, 7);
        crate::sense::netlink::attach(&place, &senders(&[Ipv4Addr::new(127, 0, 0, 6), flooder])).unwrap();
        let sender = |addr: Ipv4Addr| std::net::UdpSocket::bind((addr, 0)).unwrap();
        for addr in [flooder, Ipv4Addr::new(127, 0, 0, 8)] {
            sender(addr).send_to(&[addr.octets()[3]], to).unwrap();
        }
        let mut room = [0; 8];
        assert_eq!(place.recv(&mut room).unwrap(), 1);
        assert_eq!(room[0], 8, "the flooder was heard");
    }

    #[test]
    fn links_and_routes() {
        let program = network();
        let link = |family: u8, attributes: &[(u16, &[u8])]| {
            let mut body = [0; 16];
            body[0] = family;
            message(kind::NEWLINK, 0, &body, attributes)
        };
        let route = |kind, dst_len: u8, flags| {
            message(kind, flags, &[10, dst_len, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[])
        };
        for (bytes, expected) in [
            (link(0, &[(3, b"wan0\0")]), true),
            (link(0, &[(3, b"wlan0\0"), (11, &[0; 8])]), false),
            (link(7, &[(3, b"wan0\0")]), false),
            (message(kind::DELLINK, 0, &[0; 16], &[]), true),
            (message(kind::NEWADDR, 0, &[2; 8], &[]), true),
            (message(kind::DELADDR, 0, &[2; 8], &[]), true),
            (route(kind::NEWROUTE, 0, 0), true),
            (route(kind::DELROUTE, 0, 0), true),
            (route(kind::NEWROUTE, 64, 0), false),
            (route(kind::DELROUTE, 24, 0), false),
            (route(kind::NEWROUTE, 24, NLM_F_MULTI), true),
            (message(kind::DONE, 0, &[0; 4], &[]), true),
        ] {
            assert_eq!(passes(&program, &bytes), expected, "{bytes:?}");
        }
    }
}
