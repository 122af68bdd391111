//! Captured datagrams, and each cut short or changed.

use super::read::{nexthops, MAX_NEXTHOPS, RTN_UNICAST};
use super::*;
use crate::model::Mac;
use std::time::Duration;

/// The captured datagram of that name, see the file's head.
#[cfg(target_endian = "little")]
fn captured(name: &str) -> Vec<u8> {
    let file = include_str!("../../../tests/wire/rtnl.txt");
    let line = file.lines().find(|line| line.split(' ').next() == Some(name)).expect(name);
    let hex = line.split_whitespace().nth(1).unwrap();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[cfg(target_endian = "little")]
fn only(name: &str) -> Message {
    let all: Vec<_> = messages(&captured(name)).collect();
    assert_eq!(all.len(), 1);
    all[0].clone().unwrap().1
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
#[cfg(target_endian = "little")]
fn captured_links() {
    let link = Link { index: 3, name: "wan0".into(), up: true, running: true };
    assert_eq!(only("link-up"), Message::Link(link));
    assert_eq!(only("link-gone"), Message::LinkGone(3));
    assert_eq!(only("link-bridge"), Message::Other, "p0 as a bridge's port, not p0");
}

#[test]
#[cfg(target_endian = "little")]
fn captured_addresses() {
    let first = Addr { index: 3, addr: ip("203.0.113.7"), prefix: 24, flags: 0x80, preferred: FOREVER };
    assert_eq!(only("addr4"), Message::Addr(first));
    let second = Addr { addr: ip("203.0.113.8"), flags: 0x80 | ifa::SECONDARY, ..first };
    assert_eq!(only("addr4-second"), Message::Addr(second));
    assert_eq!(only("addr4-gone"), Message::AddrGone(second), "goes when its primary is deleted");
    let peer = Addr { addr: ip("10.64.0.2"), prefix: 32, ..first };
    assert_eq!(only("addr4-peer"), Message::Addr(peer), "not 10.64.0.1, which is the peer");
    let six = Addr { index: 3, addr: ip("2001:db8:1::7"), prefix: 64, flags: 2, preferred: 100 };
    assert_eq!(only("addr6"), Message::Addr(six));
}

#[test]
#[cfg(target_endian = "little")]
fn captured_routes() {
    let plain = Route {
        family: Family::V4,
        table: 254,
        metric: 10,
        usable: true,
        devices: vec![3],
        gateway: Some(Ipv4Addr::new(203, 0, 113, 1)),
    };
    assert_eq!(only("route4"), Message::Route(plain.clone()));
    assert_eq!(only("route4-net"), Message::Other);
    let multi = Route { table: 300, metric: 0, devices: vec![3, 3], gateway: None, ..plain.clone() };
    assert_eq!(only("route4-multi"), Message::Route(multi));
    let from = Route { family: Family::V6, metric: 512, gateway: None, ..plain.clone() };
    assert_eq!(only("route6-from"), Message::Route(from));
    let black =
        Route { family: Family::V6, metric: 9, usable: false, devices: vec![1], gateway: None, ..plain };
    assert_eq!(only("route6-black"), Message::Route(black));
    assert_eq!(only("route6-gone"), Message::RouteGone(Family::V6));
}

#[test]
#[cfg(target_endian = "little")]
fn captured_neighbours() {
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let seen = |confirmed| Some(Sighting { mac, confirmed });
    let fresh = Neigh { index: 3, addr: ip("203.0.113.9"), seen: seen(Some(Duration::ZERO)) };
    assert_eq!(only("neigh4"), Message::Neigh(fresh));
    assert_eq!(only("neigh4-stale"), Message::Neigh(Neigh { seen: seen(None), ..fresh }));
    assert_eq!(only("neigh4-failed"), Message::Neigh(Neigh { seen: None, ..fresh }));
    assert_eq!(only("neigh4-gone"), Message::NeighGone(Neigh { seen: None, ..fresh }));
    assert_eq!(only("neigh6"), Message::Neigh(Neigh { addr: ip("fe80::9"), ..fresh }));
}

#[test]
#[cfg(target_endian = "little")]
fn captured_dumps() {
    let all: Vec<_> = messages(&captured("dump-addrs")).map(Result::unwrap).collect();
    assert!(all.iter().all(|(head, _)| head.flags & NLM_F_MULTI != 0 && head.seq == 7 && head.port != 0));
    let found: Vec<_> = all
        .iter()
        .filter_map(|(_, message)| match message {
            Message::Addr(a) if !a.addr.to_string().starts_with("fe80") => Some((a.addr, a.flags)),
            _ => None,
        })
        .collect();
    let expected = [
        (ip("203.0.113.7"), 0x80),
        (ip("10.64.0.2"), 0x80),
        (ip("203.0.113.8"), 0x81),
        (ip("2001:db8:1::8"), 0x80 | ifa::TENTATIVE),
        (ip("2001:db8:1::7"), 2),
    ];
    assert_eq!(found, expected);
    assert_eq!(all.last().unwrap().1, Message::Done(0));
    let routes =
        messages(&captured("dump-routes4")).filter(|item| matches!(item, Ok((_, Message::Route(_))))).count();
    assert_eq!(routes, 2, "of main and of table 300");
    assert_eq!(only("error"), Message::Error(-95));
}

/// Every capture cut short at every length, and with every length field's low byte set to each extreme:
/// no panic, an end, and a cut within a message is always noticed.
#[test]
#[cfg(target_endian = "little")]
fn truncated_and_corrupt() {
    let file = include_str!("../../../tests/wire/rtnl.txt");
    for name in file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').next().unwrap())
    {
        let whole = captured(name);
        let mut ends = vec![0];
        while let Some(len) = u32_at(&whole, *ends.last().unwrap()) {
            ends.push(ends.last().unwrap() + len as usize);
        }
        for cut in 0..whole.len() {
            let faulty = messages(&whole[..cut]).any(|item| item.is_err());
            assert_eq!(faulty, !ends.contains(&cut), "{name} cut at {cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 5, 7, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                assert!(messages(&bytes).count() <= whole.len());
            }
        }
    }
}

/// As qemu's user mode passes on a link's message to a processor of the other byte order.
#[test]
fn an_empty_attribute_at_the_end_may_be_in_the_other_byte_order() {
    let (name, nothing) = (b"eth0\0\0\0\0", 4u16.swap_bytes().to_ne_bytes());
    let fixed = [&[0u8; 4][..], &7u32.to_ne_bytes(), &[0; 8]].concat();
    let attr = [&9u16.to_ne_bytes()[..], &3u16.to_ne_bytes(), name].concat();
    let payload = [&fixed[..], &attr, &nothing, &[0, 62]].concat();
    let Some(Message::Link(link)) = parse(kind::NEWLINK, &payload) else { panic!("no link") };
    assert_eq!((link.index, link.name.as_str()), (7, "eth0"));
    let more = [&payload[..], &[0; 4]].concat();
    assert_eq!(parse(kind::NEWLINK, &more), None, "only at the end");
}

/// Fixed parts and attributes that are cut although the message's own length is right.
#[test]
fn short_inside() {
    for kind in [kind::NEWLINK, kind::DELLINK, kind::NEWADDR, kind::DELADDR, kind::NEWROUTE, kind::DELROUTE] {
        for len in 0..body_len(kind) {
            assert_eq!(parse(kind, &vec![2; len]), None, "{kind} {len}");
        }
    }
    let mut payload = vec![0u8; 12];
    payload[0] = AF_INET;
    payload[7] = RTN_UNICAST;
    for attr in [vec![3u8, 0, 0, 0], vec![9, 0], vec![0; 4], vec![255; 8]] {
        assert_eq!(parse(kind::NEWROUTE, &[payload.clone(), attr].concat()), None);
    }
    let attr = |kind: u16, value: &[u8]| {
        [&(4 + value.len() as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    };
    for nexthop in [&[0u8, 0, 0, 0, 0, 0, 0, 0][..], &[7, 7, 0, 0, 0, 0, 0, 0], &[1]] {
        assert_eq!(parse(kind::NEWROUTE, &[payload.clone(), attr(9, nexthop)].concat()), None);
    }
    assert_eq!(parse(kind::ERROR, &[1, 2, 3]), None);
}

#[test]
fn a_dead_nexthop_does_not_count() {
    let hop = |flags: u8, index: u32| [&8u16.to_ne_bytes()[..], &[flags, 0], &index.to_ne_bytes()].concat();
    let mut devices = Vec::new();
    nexthops(&[hop(1, 3), hop(0, 4), hop(16, 5)].concat(), &mut devices).unwrap();
    assert_eq!(devices, [4, 5]);
    let many: Vec<u8> = (0..1000).flat_map(|i| hop(0, i)).collect();
    devices.clear();
    nexthops(&many, &mut devices).unwrap();
    assert_eq!(devices.len(), MAX_NEXTHOPS);
}

#[test]
fn control_messages() {
    let message = |kind: u16, body: &[u8]| {
        let mut out = Vec::new();
        out.extend((16 + body.len() as u32).to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(NLM_F_DUMP_INTR.to_ne_bytes());
        out.extend(5u32.to_ne_bytes());
        out.extend(6u32.to_ne_bytes());
        out.extend(body);
        out
    };
    let bytes = [
        message(kind::OVERRUN, &[]),
        message(kind::DONE, &(-4i32).to_ne_bytes()),
        message(kind::ERROR, &0i32.to_ne_bytes()),
        message(1, &[]),
    ]
    .concat();
    let all: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
    assert_eq!(all[0].0, Header { kind: kind::OVERRUN, flags: NLM_F_DUMP_INTR, seq: 5, port: 6 });
    let all: Vec<_> = all.into_iter().map(|(_, message)| message).collect();
    assert_eq!(all, [Message::Overrun, Message::Done(-4), Message::Error(0), Message::Other]);
}

#[test]
fn requests() {
    let bytes = dump_request(kind::GETROUTE, Some(Family::V6), 9);
    assert_eq!(bytes.len(), 28);
    assert_eq!(u32_at(&bytes, 0), Some(28));
    assert_eq!(u16_at(&bytes, 4), Some(26));
    assert_eq!(u16_at(&bytes, 6), Some(0x301));
    assert_eq!(u32_at(&bytes, 8), Some(9));
    assert_eq!(bytes[16], AF_INET6);
    assert_eq!(dump_request(kind::GETADDR, None, 1).len(), 24);
    let links = dump_request(kind::GETLINK, None, 1);
    assert_eq!((links.len(), u32_at(&links, 0), links[16]), (40, Some(40), 0));
    assert_eq!(dump_request(kind::GETNEIGH, Some(Family::V4), 1)[16], AF_INET);
}
