//! One message: its fixed part and its attributes (rtnetlink(7)).

use super::{kind, Addr, Link, Malformed, Message, Neigh, Route, AF_INET, AF_INET6, FOREVER};
use crate::model::{Family, Mac, Sighting};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
pub(super) const RTN_UNICAST: u8 = 1;
const RTNH_F_DEAD: u32 = 0x1;
const NUD_REACHABLE: u16 = 0x02;
const NUD_PERMANENT: u16 = 0x80;
const NUD_DOUBTED: u16 = 0x04 | 0x08 | 0x10; // STALE, DELAY, PROBE
/// A tick of the kernel's times for programs (USER_HZ), in milliseconds.
const TICK_MS: u64 = 10;
const NUD_NOARP: u16 = 0x40;
const TYPE_MASK: u16 = 0x3fff;
/// The most devices of one multipath route that are looked at.
pub(super) const MAX_NEXTHOPS: usize = 64;

/// `None` where the payload is shorter than its type asks for.
pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Message> {
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
pub(super) fn nexthops(mut bytes: &[u8], devices: &mut Vec<u32>) -> Option<()> {
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

pub(super) fn aligned(len: usize) -> usize {
    len.saturating_add(3) & !3
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
