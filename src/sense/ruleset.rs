//! Hears that the packet filter changed: nfnetlink's group NFTABLES, its `NEWGEN` messages.
//! One comes at the end of every transaction, also of our own: whether our table still stands is
//! then asked of [`crate::mapping::nft::Nft::intact`], which starts no process after our own.

use crate::mapping::{Heard, Netfilter};
use crate::model::Event;
use crate::wire::ctnetlink::{GROUP_NFTABLES, NEW_GENERATION};
use socket2::{SockFilter, SockRef};
use std::io;
use std::os::fd::OwnedFd;

/// Room for one `NEWGEN`; its content is not read.
const BUFFER: usize = 512;
/// Classic BPF: load a half word at an absolute offset.
const LOAD_HALF: u16 = 0x28;
/// Classic BPF: jump if equal.
const JUMP_EQUAL: u16 = 0x15;
/// Classic BPF: end with a verdict, the number of bytes to keep.
const VERDICT: u16 = 0x06;
/// Where `nlmsg_type` is in a netlink message.
const TYPE_OFFSET: u32 = 4;

/// The sensor.
pub struct Ruleset {
    socket: Netfilter,
}

impl Ruleset {
    /// Starts to listen. Fails where the kernel has no nf_tables, or without CAP_NET_ADMIN.
    pub fn open() -> io::Result<Ruleset> {
        let socket = Netfilter::open(GROUP_NFTABLES, only_generations)?;
        Ok(Ruleset { socket })
    }

    /// Waits until the packet filter was changed, by anyone. Changes that have piled up count once;
    /// where some were lost, that is a change too.
    pub async fn changed(&mut self) -> io::Result<Event> {
        let mut buffer = [0; BUFFER];
        while let Heard::Datagram([]) = self.socket.receive(&mut buffer).await? {}
        self.socket.drain(&mut buffer);
        Ok(Event::RulesetChanged)
    }
}

/// Lets the kernel keep everything but `NEWGEN` from this socket: a firewall's reload of a thousand
/// rules wakes us once.
fn only_generations(socket: &OwnedFd) -> io::Result<()> {
    // BPF loads big-endian, the field is in the machine's order.
    let wanted = u16::from_be_bytes(NEW_GENERATION.to_ne_bytes());
    SockRef::from(socket).attach_filter(&[
        SockFilter::new(LOAD_HALF, 0, 0, TYPE_OFFSET),
        SockFilter::new(JUMP_EQUAL, 0, 1, u32::from(wanted)),
        SockFilter::new(VERDICT, 0, 0, u32::MAX),
        SockFilter::new(VERDICT, 0, 0, 0),
    ])
}
