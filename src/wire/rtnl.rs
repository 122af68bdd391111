//! rtnetlink (RFC 3549, linux/rtnetlink.h): links, addresses, default routes and neighbours as the
//! kernel tells them, and the requests that make it tell all of them. Fields are in the machine's own
//! byte order, attributes padded to four bytes.

mod read;

use crate::model::{Family, Sighting};
use read::{aligned, parse, u16_at, u32_at};
use std::net::{IpAddr, Ipv4Addr};

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

#[cfg(test)]
mod tests;
