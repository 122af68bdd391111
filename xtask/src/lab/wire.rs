//! A listener on the wire: every DNS message and every connection attempt that reaches a place in the lab,
//! also what a closed port or the packet filter turns away. It tells a message from its retransmissions.

use super::ns::Ns;
use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The most bytes of a packet that are looked at.
const MAX_PACKET: usize = 2048;
/// Numbers of the protocols in an IPv4 header.
const UDP: u8 = 17;
const TCP: u8 = 6;
/// The port of DNS.
const DNS: u16 = 53;
/// ETH_P_IP of linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;
/// In the kernel, so that a flood of data is no loss of beginnings: DNS by UDP, and TCP with SYN without ACK
/// (a classic BPF program: code, jump if true, jump if false, operand).
const FILTER: [(u16, u8, u8, u32); 12] = [
    (0x30, 0, 0, 9),              // the protocol
    (0x15, 0, 3, UDP as u32),     // UDP, or on to TCP
    (0xb1, 0, 0, 0),              // the header's length
    (0x48, 0, 0, 2),              // the port
    (0x15, 5, 6, DNS as u32),     //
    (0x15, 0, 5, TCP as u32),     // TCP, or none of both
    (0xb1, 0, 0, 0),              // the header's length
    (0x50, 0, 0, 13),             // the flags
    (0x54, 0, 0, SYN_ACK as u32), //
    (0x15, 0, 1, SYN as u32),     //
    (0x06, 0, 0, u32::MAX),       // taken
    (0x06, 0, 0, 0),              // not taken
];
/// The flags SYN and ACK of TCP, and SYN alone.
const SYN_ACK: u8 = 0x12;
const SYN: u8 = 0x02;
/// DNS opcode UPDATE.
const UPDATE: u8 = 5;

/// What a packet began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A DNS question by UDP.
    Query,
    /// A DNS update by UDP.
    Update,
    /// A TCP connection to this port.
    Connection(u16),
}

/// A message or connection attempt, with its retransmissions.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its first packet came.
    pub at: Instant,
    /// Whom it was sent to.
    pub to: Ipv4Addr,
    /// What it is.
    pub what: What,
    /// How many packets it was sent in.
    pub packets: usize,
    /// Source port, and message id or sequence number: equal in retransmissions alone.
    key: (u16, u32),
}

/// The listener. It listens as long as the lab lives.
pub struct Wire(Arc<Mutex<Vec<Seen>>>);

impl Wire {
    /// Listens on all devices of `place` to what comes from the network `from` (its first three bytes).
    pub fn listen(place: &Ns, from: [u8; 3]) -> Result<Wire> {
        let socket = place.enter(|| open().context("cannot listen on the wire"))?;
        let wire = Wire(Arc::default());
        let seen = wire.0.clone();
        thread::spawn(move || follow(socket, from, &seen));
        Ok(wire)
    }

    /// Everything seen so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.0).clone()
    }

    /// What came for one address.
    pub fn to(&self, addr: Ipv4Addr) -> Vec<Seen> {
        lock(&self.0).iter().filter(|seen| seen.to == addr).cloned().collect()
    }
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket for the IPv4 packets of [`FILTER`], from behind the link's own header.
fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ETH_P_IP.to_be()))))?;
    let filter: Vec<SockFilter> = FILTER.iter().map(|&(c, t, f, k)| SockFilter::new(c, t, f, k)).collect();
    socket.attach_filter(&filter)?;
    Ok(socket)
}

fn follow(mut socket: Socket, from: [u8; 3], all: &Mutex<Vec<Seen>>) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let Ok(length) = socket.read(&mut buffer) else { continue };
        let Some(new) = buffer.get(..length).and_then(|packet| read(packet, from)) else { continue };
        let mut all = lock(all);
        let same = |old: &&mut Seen| (old.to, old.what, old.key) == (new.to, new.what, new.key);
        match all.iter_mut().rev().find(same) {
            Some(old) => old.packets += 1,
            None => all.push(new),
        }
    }
}

/// Reads an IPv4 packet (RFC 791) that begins something.
fn read(packet: &[u8], from: [u8; 3]) -> Option<Seen> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if packet.get(12..15)? != from {
        return None;
    }
    let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let body = packet.get(header..)?;
    let source = word(body, 0)?;
    let port = word(body, 2)?;
    let (what, id) = match *packet.get(9)? {
        // RFC 768, then RFC 1035 section 4.1.1.
        UDP if port == DNS => {
            let opcode = body.get(10)? >> 3 & 0x0f;
            (if opcode == UPDATE { What::Update } else { What::Query }, u32::from(word(body, 8)?))
        }
        // RFC 9293 section 3.1: SYN without ACK.
        TCP if body.get(13)? & SYN_ACK == SYN => {
            (What::Connection(port), u32::from(word(body, 4)?) << 16 | u32::from(word(body, 6)?))
        }
        _ => return None,
    };
    Some(Seen { at: Instant::now(), to: to.into(), what, packets: 1, key: (source, id) })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 203, 0, 113, 10];
        packet.extend([198, 51, 100, 61]);
        packet.extend(body);
        packet
    }

    #[test]
    fn beginnings_are_told_from_the_rest() {
        let from = [203, 0, 113];
        let update = packet(UDP, &[0x80, 1, 0, 53, 0, 20, 0, 0, 0x12, 0x34, 0x28, 0]);
        let seen = read(&update, from).unwrap();
        assert_eq!((seen.what, seen.key), (What::Update, (0x8001, 0x1234)));
        assert_eq!(seen.to, Ipv4Addr::new(198, 51, 100, 61));
        let query = packet(UDP, &[0x80, 1, 0, 53, 0, 20, 0, 0, 0x12, 0x34, 1, 0]);
        assert_eq!(read(&query, from).unwrap().what, What::Query);
        let tcp = |flags: u8| packet(TCP, &[0x80, 1, 1, 187, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, flags]);
        let seen = read(&tcp(0x02), from).unwrap();
        assert_eq!((seen.what, seen.key), (What::Connection(443), (0x8001, 7)));
        assert!(read(&tcp(0x12), from).is_none() && read(&tcp(0x10), from).is_none());
        assert!(read(&update, [203, 0, 114]).is_none(), "somebody else's");
        for cut in 0..update.len() - 2 {
            assert!(read(&update[..cut], from).is_none(), "cut at {cut}");
        }
    }
}
