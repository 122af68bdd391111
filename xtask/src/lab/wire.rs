//! A listener on the wire: every DNS message and every connection attempt that reaches a place in the lab,
//! also what a closed port or the packet filter turns away. It tells a message from its retransmissions.

use super::ns::Ns;
use anyhow::{Context, Result};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
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
        let open = || {
            let (family, kind) = (AddressFamily::Packet, SockType::Datagram);
            socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthIp)
                .context("cannot listen on the wire")
        };
        let socket = place.enter(open)?;
        let wire = Wire(Arc::default());
        let seen = wire.0.clone();
        thread::spawn(move || follow(&socket, from, &seen));
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

fn follow(socket: &OwnedFd, from: [u8; 3], all: &Mutex<Vec<Seen>>) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let Ok(length) = socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
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
        TCP if body.get(13)? & 0x12 == 0x02 => {
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
