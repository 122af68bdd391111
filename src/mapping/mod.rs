//! Port mappings: how [`crate::plan::Rule`]s reach the packet filter; and how the camera's address is pinned.
//! Here: what its parts share, a socket to the kernel's netfilter.

pub mod backend;
pub mod conflict;
pub mod conntrack;
pub mod door;
mod droppers;
pub mod firewall;
pub mod fw4;
pub mod hits;
pub mod holders;
pub mod hosts;
pub mod leases;
pub mod nft;
mod package;
pub mod present;
pub mod redirect;
mod rule;
pub mod service;
mod store;
pub mod uci_file;
pub mod upstream;

use async_io::Async;
use rustix::io::Errno;
use rustix::net::netlink::{SocketAddrNetlink, NETFILTER};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Whether the kernel forwards packets of this family at all. True where it cannot be read.
pub fn forwarding(root: &Path, family: crate::model::Family) -> bool {
    let switch = match family {
        crate::model::Family::V4 => "proc/sys/net/ipv4/ip_forward",
        crate::model::Family::V6 => "proc/sys/net/ipv6/conf/all/forwarding",
    };
    std::fs::read_to_string(root.join(switch)).map_or(true, |text| text.trim() != "0")
}

/// A netlink socket to the kernel's netfilter. Waiting on it costs nothing.
pub(crate) struct Netfilter(Async<OwnedFd>);

impl Netfilter {
    /// Opens a socket; `prepare` may set it up before it hears the multicast groups of this bit mask.
    pub(crate) fn open(
        groups: u32,
        prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
    ) -> io::Result<Netfilter> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
        prepare(&socket)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Netfilter(Async::new_nonblocking(socket)?))
    }

    /// Sends one request to the kernel.
    pub(crate) async fn send(&self, request: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        let send = |socket: &OwnedFd| Ok(rustix::net::sendto(socket, request, SendFlags::empty(), &kernel)?);
        self.0.write_with(send).await.map(drop)
    }

    /// Waits for the kernel's next datagram. [`Overrun`](Heard::Overrun): some were lost.
    pub(crate) async fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Heard<'b>> {
        let heard = self.0.read_with(|socket| take(socket, buffer)).await?;
        Ok(match heard {
            Some(length) => Heard::Datagram(buffer.get(..length).unwrap_or_default()),
            None => Heard::Overrun,
        })
    }

    /// Throws away what has already come.
    pub(crate) fn drain(&self, buffer: &mut [u8]) {
        while take(self.0.get_ref(), buffer).is_ok() {}
    }
}

/// What [`Netfilter::receive`] heard.
pub(crate) enum Heard<'b> {
    /// One datagram; empty when it was not the kernel's or did not fit.
    Datagram(&'b [u8]),
    /// The kernel had more to say than the socket could hold.
    Overrun,
}

/// Receives once. `None` is an overrun. A datagram that another process sent counts as empty, and
/// so does one that does not fit.
fn take(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::net::recvfrom(socket, &mut *buffer, RecvFlags::TRUNC) {
        Ok((_, length, from)) => {
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            let kernel = from.is_some_and(|from| from.pid() == 0);
            Ok(Some(if kernel && length <= buffer.len() { length } else { 0 }))
        }
        Err(Errno::NOBUFS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
