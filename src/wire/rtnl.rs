//! rtnetlink (RFC 3549, linux/rtnetlink.h): links, addresses, default routes and neighbours as the
//! kernel tells them, and the requests that make it tell all of them. Fields are in the machine's own
//! byte order, attributes padded to four bytes.

use crate::model::{Family, Mac, Sighting};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Multicast group mask bits (`RTMGRP_*`): links.
pub const GROUP_LINK: u32 = 0x1;
/// Group mask: neighbours.
pub const GROUP_NEIGH: u32 = 0x4;
/// Group mask: IPv4 addresses.
pub const GROUP_IPV4_IFADDR: u32 = 0x10;
/// Group mask: IPv4 routes.
pub const GROUP_IPV4_ROUTE: u32 = 0x40;
/// Group mask: IPv6 addresses.
pub const GROUP_IPV6_IFADDR: u32 = 0x100;
/// Group mask: IPv6 routes.
pub const GROUP_IPV6_ROUTE: u32 = 0x400;

/// Message types (`NLMSG_*`, `RTM_*`).
pub mod kind {
    /// A request failed, or (code 0) was done.
    pub const ERROR: u16 = 2;
    /// The end of a dump.
    pub const DONE: u16 = 3;
    /// Data was lost.
    pub const OVERRUN: u16 = 4;
    /// A link is new or changed.
    pub const NEWLINK: u16 = 16;
    /// A link is gone.
    pub const DELLINK: u16 = 17;
    /// Asks for links.
    pub const GETLINK: u16 = 18;
    /// An address is new or changed.
    pub const NEWADDR: u16 = 20;
    /// An address is gone.
    pub const DELADDR: u16 = 21;
    /// Asks for addresses.
    pub const GETADDR: u16 = 22;
    /// A route is new or changed.
    pub const NEWROUTE: u16 = 24;
    /// A route is gone.
    pub const DELROUTE: u16 = 25;
    /// Asks for routes.
    pub const GETROUTE: u16 = 26;
    /// A neighbour is new or changed.
    pub const NEWNEIGH: u16 = 28;
    /// A neighbour is gone.
    pub const DELNEIGH: u16 = 29;
    /// Asks for neighbours.
    pub const GETNEIGH: u16 = 30;
}

/// Address flags (`IFA_F_*`).
pub mod ifa {
    /// IPv6: a privacy address that is thrown away soon. Of an IPv4 address the same bit means SECONDARY.
    pub const TEMPORARY: u32 = 0x01;
    /// IPv4: not the first of its subnet.
    pub const SECONDARY: u32 = TEMPORARY;
    /// In use although duplicate address detection still runs (RFC 4429).
    pub const OPTIMISTIC: u32 = 0x04;
    /// Duplicate address detection found another holder.
    pub const DADFAILED: u32 = 0x08;
    /// Its preferred lifetime is over.
    pub const DEPRECATED: u32 = 0x20;
    /// Duplicate address detection still runs.
    pub const TENTATIVE: u32 = 0x40;
}

/// A lifetime without end, in seconds (`INFINITY_LIFE_TIME`).
pub const FOREVER: u32 = u32::MAX;

/// `AF_INET`: a byte in every message.
pub const AF_INET: u8 = 2;
/// `AF_INET6`.
pub const AF_INET6: u8 = 10;

/// Flag of each message of a dump.
pub const NLM_F_MULTI: u16 = 0x2;
/// Flag: the tables changed while the dump was made; it may miss something.
pub const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;

const HEADER: usize = 16;
const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const RTN_UNICAST: u8 = 1;
const RTNH_F_DEAD: u32 = 0x1;
const NUD_REACHABLE: u16 = 0x02;
const NUD_PERMANENT: u16 = 0x80;
const NUD_DOUBTED: u16 = 0x04 | 0x08 | 0x10; // STALE, DELAY, PROBE
/// A tick of the kernel's times for programs (USER_HZ), in milliseconds.
const TICK_MS: u64 = 10;
const NUD_NOARP: u16 = 0x40;
const TYPE_MASK: u16 = 0x3fff;
/// The most devices of one multipath route that are looked at.
const MAX_NEXTHOPS: usize = 64;

/// What precedes every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its type, see [`kind`].
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The request's number.
    pub seq: u32,
    /// The port of the socket that asked; 0 for what the kernel does by itself.
    pub port: u32,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; a device that is made anew has another one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Switched on (`IFF_UP`).
    pub up: bool,
    /// Switched on, and able to carry packets (`IFF_RUNNING`: carrier, not dormant).
    pub running: bool,
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addr {
    /// The device's number.
    pub index: u32,
    /// The machine's own address (of a point-to-point link: not the peer's).
    pub addr: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
    /// See [`ifa`].
    pub flags: u32,
    /// Preferred lifetime left, in seconds; [`FOREVER`] where none is told.
    pub preferred: u32,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its family.
    pub family: Family,
    /// The routing table: 254 is `main`, 253 `default`, 255 `local`.
    pub table: u32,
    /// The lower, the better.
    pub metric: u32,
    /// False for blackhole, unreachable, prohibit, throw and a next hop that is dead.
    pub usable: bool,
    /// Numbers of the devices that it leaves by.
    pub devices: Vec<u32>,
    /// The next hop of IPv4, where it is one and no multipath.
    pub gateway: Option<Ipv4Addr>,
}

/// A neighbour-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neigh {
    /// The device's number.
    pub index: u32,
    /// Its network address.
    pub addr: IpAddr,
    /// What is known of it; confirmed if REACHABLE or PERMANENT. `None` while unresolved, or where resolving
    /// failed.
    pub seen: Option<Sighting>,
}

/// The meaning of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// RTM_NEWLINK of a device itself (not of its part in a bridge).
    Link(Link),
    /// RTM_DELLINK, with the device's number.
    LinkGone(u32),
    /// RTM_NEWADDR.
    Addr(Addr),
    /// RTM_DELADDR.
    AddrGone(Addr),
    /// RTM_NEWROUTE of a default route.
    Route(Route),
    /// RTM_DELROUTE of a default route.
    RouteGone(Family),
    /// RTM_NEWNEIGH of IPv4 or IPv6.
    Neigh(Neigh),
    /// RTM_DELNEIGH.
    NeighGone(Neigh),
    /// NLMSG_DONE: a dump ends; 0, or a negative errno.
    Done(i32),
    /// NLMSG_ERROR: 0, or a negative errno.
    Error(i32),
    /// NLMSG_OVERRUN.
    Overrun,
    /// Something that does not concern us, such as a route to a single network.
    Other,
}

/// A message that contradicts its own lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The messages of one datagram, in order. Ends after the first malformed one.
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Reads a datagram.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl Iterator for Messages<'_> {
    type Item = Result<(Header, Message), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (item, rest) = match split(self.rest) {
            Some((header, payload, rest)) => {
                (parse(header.kind, payload).map(|message| (header, message)).ok_or(Malformed), rest)
            }
            None => (Err(Malformed), &[][..]),
        };
        self.rest = if item.is_ok() { rest } else { &[] };
        Some(item)
    }
}

/// A request for all links, addresses, routes or neighbours (`kind::GET*`) of one family, or of all.
pub fn dump_request(kind: u16, family: Option<Family>, seq: u32) -> Vec<u8> {
    let mut body = vec![0u8; body_len(kind)];
    if let Some(first) = body.first_mut() {
        *first = match family {
            None => 0,
            Some(Family::V4) => AF_INET,
            Some(Family::V6) => AF_INET6,
        };
    }
    if kind == kind::GETLINK {
        // IFLA_EXT_MASK with RTEXT_FILTER_SKIP_STATS: a fifth of the bytes.
        body.extend(8u16.to_ne_bytes());
        body.extend(29u16.to_ne_bytes());
        body.extend(8u32.to_ne_bytes());
    }
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    out.extend(seq.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend(body);
    out
}

/// Length of the fixed part of a message: ifinfomsg, ifaddrmsg, rtmsg or ndmsg.
fn body_len(kind: u16) -> usize {
    match kind {
        kind::NEWLINK..=kind::GETLINK => 16,
        kind::NEWADDR..=kind::GETADDR => 8,
        kind::NEWROUTE..=kind::GETNEIGH => 12,
        _ => 0,
    }
}

/// The first message's header and payload, and what follows it.
fn split(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let len = u32_at(bytes, 0)? as usize;
    let payload = bytes.get(HEADER..len)?;
    let header = Header {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        seq: u32_at(bytes, 8)?,
        port: u32_at(bytes, 12)?,
    };
    Some((header, payload, bytes.get(aligned(len)..).unwrap_or_default()))
}

/// `None` where the payload is shorter than its type asks for.
fn parse(kind: u16, payload: &[u8]) -> Option<Message> {
    Some(match kind {
        kind::ERROR => Message::Error(u32_at(payload, 0)? as i32),
        kind::DONE => Message::Done(u32_at(payload, 0).unwrap_or(0) as i32),
        kind::OVERRUN => Message::Overrun,
        kind::NEWLINK => link(payload)?.map_or(Message::Other, Message::Link),
        kind::DELLINK => link(payload)?.map_or(Message::Other, |link| Message::LinkGone(link.index)),
        kind::NEWADDR => addr(payload)?.map_or(Message::Other, Message::Addr),
        kind::DELADDR => addr(payload)?.map_or(Message::Other, Message::AddrGone),
        kind::NEWROUTE => route(payload)?.map_or(Message::Other, Message::Route),
        kind::DELROUTE => route(payload)?.map_or(Message::Other, |route| Message::RouteGone(route.family)),
        kind::NEWNEIGH => neigh(payload)?.map_or(Message::Other, Message::Neigh),
        kind::DELNEIGH => neigh(payload)?.map_or(Message::Other, Message::NeighGone),
        _ => Message::Other,
    })
}

/// ifinfomsg. Inner `None`: an AF_BRIDGE message (a bridge's port, not the device), or one without a name.
fn link(payload: &[u8]) -> Option<Option<Link>> {
    const IFLA_IFNAME: u16 = 3;
    let flags = u32_at(payload, 8)?;
    let index = u32_at(payload, 4)?;
    let mut name = None;
    for attr in attributes(payload.get(16..)?) {
        let (kind, value) = attr.ok()?;
        if kind == IFLA_IFNAME {
            name = Some(text(value));
        }
    }
    let up = flags & IFF_UP != 0;
    Some(match (payload.first(), name) {
        (Some(0), Some(name)) => Some(Link { index, name, up, running: up && flags & IFF_RUNNING != 0 }),
        _ => None,
    })
}

/// ifaddrmsg. Inner `None`: neither IPv4 nor IPv6.
fn addr(payload: &[u8]) -> Option<Option<Addr>> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_CACHEINFO: u16 = 6;
    const IFA_FLAGS: u16 = 8;
    let &[family, prefix, flags, _] = payload.first_chunk::<4>()?;
    let index = u32_at(payload, 4)?;
    let (mut local, mut address, mut flags, mut preferred) = (None, None, u32::from(flags), FOREVER);
    for attr in attributes(payload.get(8..)?) {
        match attr.ok()? {
            (IFA_ADDRESS, value) => address = ip(family, value),
            (IFA_LOCAL, value) => local = ip(family, value),
            (IFA_FLAGS, value) => flags = u32_at(value, 0)?,
            (IFA_CACHEINFO, value) => preferred = u32_at(value, 0)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the peer's.
    Some(local.or(address).map(|addr| Addr { index, addr, prefix, flags, preferred }))
}

/// rtmsg. Inner `None`: not a default route, or neither IPv4 nor IPv6.
/// A default route for some sources only (rtm_src_len > 0, as netifd makes for each delegated prefix) is one too.
fn route(payload: &[u8]) -> Option<Option<Route>> {
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PRIORITY: u16 = 6;
    const RTA_MULTIPATH: u16 = 9;
    const RTA_TABLE: u16 = 15;
    let &[family, dst_len, _, _, table, _, _, kind] = payload.first_chunk::<8>()?;
    let flags = u32_at(payload, 8)?;
    let family = match (family, dst_len) {
        (AF_INET, 0) => Family::V4,
        (AF_INET6, 0) => Family::V6,
        _ => return Some(None),
    };
    let usable = kind == RTN_UNICAST && flags & RTNH_F_DEAD == 0;
    let mut route =
        Route { family, table: u32::from(table), metric: 0, usable, devices: Vec::new(), gateway: None };
    for attr in attributes(payload.get(12..)?) {
        match attr.ok()? {
            (RTA_OIF, value) => route.devices.push(u32_at(value, 0)?),
            (RTA_GATEWAY, value) => {
                route.gateway =
                    value.first_chunk::<4>().filter(|_| family == Family::V4).map(|a| (*a).into());
            }
            (RTA_PRIORITY, value) => route.metric = u32_at(value, 0)?,
            (RTA_TABLE, value) => route.table = u32_at(value, 0)?,
            (RTA_MULTIPATH, value) => nexthops(value, &mut route.devices)?,
            _ => {}
        }
    }
    Some(Some(route))
}

/// rtnexthop: the devices of a multipath route, without dead ones.
fn nexthops(mut bytes: &[u8], devices: &mut Vec<u32>) -> Option<()> {
    while !bytes.is_empty() && devices.len() < MAX_NEXTHOPS {
        let len = usize::from(u16_at(bytes, 0)?);
        if len < 8 || len > bytes.len() {
            return None;
        }
        if u32::from(*bytes.get(2)?) & RTNH_F_DEAD == 0 {
            devices.push(u32_at(bytes, 4)?);
        }
        bytes = bytes.get(aligned(len)..).unwrap_or_default();
    }
    Some(())
}

/// ndmsg. Inner `None`: neither IPv4 nor IPv6 (a bridge's forwarding table), or no address.
fn neigh(payload: &[u8]) -> Option<Option<Neigh>> {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    const NDA_CACHEINFO: u16 = 3;
    let family = *payload.first()?;
    let index = u32_at(payload, 4)?;
    let state = u16_at(payload, 8)?;
    let (mut addr, mut mac, mut ticks) = (None, None, 0);
    for attr in attributes(payload.get(12..)?) {
        match attr.ok()? {
            (NDA_CACHEINFO, value) => ticks = u32_at(value, 0)?,
            (NDA_DST, value) => addr = ip(family, value),
            (NDA_LLADDR, value) => mac = <[u8; 6]>::try_from(value).ok().map(Mac),
            _ => {}
        }
    }
    let known = state & (NUD_REACHABLE | NUD_PERMANENT | NUD_DOUBTED | NUD_NOARP) != 0;
    let confirmed = match state {
        state if state & NUD_PERMANENT != 0 => Some(Duration::ZERO),
        state if state & NUD_REACHABLE != 0 => Some(Duration::from_millis(u64::from(ticks) * TICK_MS)),
        _ => None,
    };
    let seen = mac.filter(|_| known).map(|mac| Sighting { mac, confirmed });
    Some(addr.map(|addr| Neigh { index, addr, seen }))
}

/// Whether what is left is an attribute without a value in the other byte order. The kernel's messages about links end
/// with an empty one, which qemu's user mode does not turn: on a processor of the other byte order there would be no
/// device at all. It says nothing to us in any order.
fn is_foreign_end(bytes: &[u8]) -> bool {
    const HEADER: u16 = 4;
    bytes.len() == usize::from(HEADER) && u16_at(bytes, 0) == Some(HEADER.swap_bytes())
}

/// Walks over attributes: type (without its flag bits) and value.
struct Attributes<'a>(&'a [u8]);

fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        if bytes.is_empty() || is_foreign_end(bytes) {
            return None;
        }
        let read = || {
            let len = usize::from(u16_at(bytes, 0)?);
            Some((len, u16_at(bytes, 2)? & TYPE_MASK, bytes.get(4..len)?))
        };
        let Some((len, kind, value)) = read() else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = bytes.get(aligned(len)..).unwrap_or_default();
        Some(Ok((kind, value)))
    }
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(value).ok().map(|b| Ipv4Addr::from(b).into()),
        AF_INET6 => <[u8; 16]>::try_from(value).ok().map(|b| Ipv6Addr::from(b).into()),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

fn aligned(len: usize) -> usize {
    len.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured datagram of that name, see the file's head.
    #[cfg(target_endian = "little")]
    fn captured(name: &str) -> Vec<u8> {
        let file = include_str!("../../tests/wire/rtnl.txt");
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
        let routes = messages(&captured("dump-routes4"))
            .filter(|item| matches!(item, Ok((_, Message::Route(_)))))
            .count();
        assert_eq!(routes, 2, "of main and of table 300");
        assert_eq!(only("error"), Message::Error(-95));
    }

    /// Every capture cut short at every length, and with every length field's low byte set to each extreme:
    /// no panic, an end, and a cut within a message is always noticed.
    #[test]
    #[cfg(target_endian = "little")]
    fn truncated_and_corrupt() {
        let file = include_str!("../../tests/wire/rtnl.txt");
        for name in
            file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').next().unwrap())
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
        for kind in
            [kind::NEWLINK, kind::DELLINK, kind::NEWADDR, kind::DELADDR, kind::NEWROUTE, kind::DELROUTE]
        {
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
        let hop =
            |flags: u8, index: u32| [&8u16.to_ne_bytes()[..], &[flags, 0], &index.to_ne_bytes()].concat();
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
}
