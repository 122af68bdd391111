//! nfnetlink as data: conntrack entries (list, delete) and the packet filter's generation number.
//! Layouts: linux/netlink.h, netfilter/nfnetlink.h, nfnetlink_conntrack.h and nf_tables.h.
//! Netlink's own headers are in the machine's byte order, what nfnetlink puts inside is big-endian.

use crate::model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the largest answer: the kernel fills at most this many bytes at once in a dump.
pub const MAX_DATAGRAM: usize = 32 * 1024;
/// `nlmsg_type` of `NFT_MSG_NEWGEN`: a transaction of the packet filter is done.
pub const NEW_GENERATION: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 15;
/// Bit of the multicast group `NFNLGRP_NFTABLES` in a netlink address.
pub const GROUP_NFTABLES: u32 = 1 << (7 - 1);

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const CT_NEW: u16 = NFNL_SUBSYS_CTNETLINK << 8;
const CT_GET: u16 = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const CT_DELETE: u16 = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const GET_GENERATION: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLA_F_NESTED: u16 = 0x8000;
const HEADER: usize = 16;
const NFGENMSG: usize = 4;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const NFTA_GEN_ID: u16 = 1;
const IPS_DST_NAT: u32 = 1 << 5;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// One message of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A connection that conntrack knows.
    Flow(Flow<'a>),
    /// The packet filter's generation: grows by one with every transaction.
    Generation(u32),
    /// The end of a dump.
    Done,
    /// The verdict on a request: 0 for success, else a (positive) errno.
    Verdict(i32),
    /// Anything else.
    Other,
}

/// A connection that conntrack knows, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// Its address family.
    pub family: Family,
    /// Its protocol's number (6: TCP, 17: UDP).
    pub proto: u8,
    /// Who opened it.
    pub original_src: IpAddr,
    /// Where the opener sends to.
    pub original_dst: IpAddr,
    /// The port that the opener sends to, and the one that answers; 0: the protocol has none.
    pub ports: (u16, u16),
    /// Who answers: after translation, the machine behind.
    pub reply_src: IpAddr,
    /// Whether the destination was translated (DNAT).
    pub dnat: bool,
    /// `CTA_TUPLE_ORIG` as received: names the entry. Never empty.
    tuple: &'a [u8],
    /// `CTA_ID` as received: tells this entry from a later one of the same tuple.
    id: Option<&'a [u8]>,
    /// `CTA_ZONE` as received.
    zone: Option<&'a [u8]>,
}

/// Asks for all connections of one family.
pub fn list_flows(family: Family, seq: u32) -> Vec<u8> {
    message(CT_GET, NLM_F_DUMP, seq, family_number(family), &[])
}

/// Asks to forget this one connection. (A delete without a tuple would empty the whole table: a
/// [`Flow`] cannot be had without one.)
pub fn delete_flow(flow: &Flow, seq: u32) -> Vec<u8> {
    let mut attrs = vec![(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.tuple)];
    attrs.extend(flow.id.map(|id| (CTA_ID, id)));
    attrs.extend(flow.zone.map(|zone| (CTA_ZONE, zone)));
    message(CT_DELETE, NLM_F_ACK, seq, family_number(flow.family), &attrs)
}

/// Asks for the packet filter's generation.
pub fn ask_generation(seq: u32) -> Vec<u8> {
    message(GET_GENERATION, 0, seq, AF_UNSPEC, &[])
}

/// The messages of one datagram, each with the sequence number of the request that it answers.
/// What is cut short ends the walk.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages(datagram)
}

/// See [`messages`].
pub struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u32, Message<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d, k, l, _, _, e, f, g, h, ..] = *self.0.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        let seq = u32::from_ne_bytes([e, f, g, h]);
        Some((seq, understand(u16::from_ne_bytes([k, l]), body).unwrap_or(Message::Other)))
    }
}

fn understand(kind: u16, body: &[u8]) -> Option<Message<'_>> {
    Some(match kind {
        NLMSG_ERROR => Message::Verdict(errno(body)?),
        NLMSG_DONE => match errno(body) {
            Some(errno) if errno != 0 => Message::Verdict(errno),
            _ => Message::Done,
        },
        CT_NEW => {
            let family = match body.first() {
                Some(&AF_INET) => Family::V4,
                Some(&AF_INET6) => Family::V6,
                _ => return None,
            };
            Message::Flow(flow(family, body.get(NFGENMSG..)?)?)
        }
        NEW_GENERATION => {
            let (_, id) = Attrs(body.get(NFGENMSG..)?).find(|(kind, _)| *kind == NFTA_GEN_ID)?;
            Message::Generation(big_endian(id)?)
        }
        _ => return None,
    })
}

fn flow(family: Family, attrs: &[u8]) -> Option<Flow<'_>> {
    let (mut tuple, mut reply, mut status, mut id, mut zone) = (None, None, 0, None, None);
    for (kind, value) in Attrs(attrs) {
        match kind {
            CTA_TUPLE_ORIG if !value.is_empty() => tuple = Some(value),
            CTA_TUPLE_REPLY => reply = Some(value),
            CTA_STATUS => status = big_endian(value)?,
            CTA_ID => id = Some(value),
            CTA_ZONE => zone = Some(value),
            _ => {}
        }
    }
    let (tuple, reply) = (tuple?, reply?);
    let (original_src, original_dst) = ends(tuple)?;
    let (reply_src, _) = ends(reply)?;
    let dnat = status & IPS_DST_NAT != 0 || original_dst != reply_src;
    let ((proto, _, asked), (_, answers, _)) = (way(tuple), way(reply));
    let ports = (asked, answers);
    Some(Flow { family, proto, original_src, original_dst, ports, reply_src, dnat, tuple, id, zone })
}

/// Protocol, source port and destination port of a tuple; 0: none is there.
fn way(tuple: &[u8]) -> (u8, u16, u16) {
    let mut found = (0, 0, 0);
    let proto = Attrs(tuple).find(|(kind, _)| *kind == CTA_TUPLE_PROTO);
    for (kind, value) in proto.into_iter().flat_map(|(_, value)| Attrs(value)) {
        let port = value.first_chunk().copied().map(u16::from_be_bytes).unwrap_or_default();
        match kind {
            CTA_PROTO_NUM => found.0 = value.first().copied().unwrap_or_default(),
            CTA_PROTO_SRC_PORT => found.1 = port,
            CTA_PROTO_DST_PORT => found.2 = port,
            _ => {}
        }
    }
    found
}

/// Source and destination of a tuple.
fn ends(tuple: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (_, ip) = Attrs(tuple).find(|(kind, _)| *kind == CTA_TUPLE_IP)?;
    let (mut src, mut dst) = (None, None);
    for (kind, value) in Attrs(ip) {
        match kind {
            CTA_IP_V4_SRC | CTA_IP_V6_SRC => src = address(value),
            CTA_IP_V4_DST | CTA_IP_V6_DST => dst = address(value),
            _ => {}
        }
    }
    Some((src?, dst?))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    v4.or(v6).ok()
}

/// The errno that opens a verdict (the kernel writes it negated).
fn errno(body: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(*body.first_chunk()?).saturating_neg())
}

fn big_endian(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// Attributes: type (flags masked out) and value.
struct Attrs<'a>(&'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d] = *self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK, value))
    }
}

fn message(kind: u16, flags: u16, seq: u32, family: u8, attrs: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0, 0, 0]);
    for (kind, value) in attrs {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(*value);
        bytes.resize(aligned(bytes.len()), 0);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for (slot, byte) in bytes.iter_mut().zip(length.to_ne_bytes()) {
        *slot = byte;
    }
    bytes
}

fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests;
