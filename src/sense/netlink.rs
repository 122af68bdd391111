//! A netlink route socket: opening, joining groups, asking, receiving. What the bytes mean is in [`rtnl`].

use crate::model::Family;
use crate::sense::filter::{self, Op};
use crate::wire::rtnl::{self, Header};
use async_io::Async;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use smol::channel::Receiver;
use socket2::{SockFilter, SockRef};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Room for one datagram at first: the kernel makes those of a dump no larger than this.
const ROOM: usize = 32 * 1024;
/// The most room that is ever made for one datagram (a link with hundreds of virtual functions).
const MAX_ROOM: usize = 1024 * 1024;

/// A route socket.
pub struct Socket {
    fd: Async<OwnedFd>,
    port: u32,
    seq: Cell<u32>,
    room: Cell<usize>,
}

/// What [`Socket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A datagram of the kernel's is in the buffer.
    Datagram,
    /// Something that is none of the kernel's; to be ignored.
    Foreign,
    /// The queue is empty.
    Nothing,
    /// Messages were lost: the receive buffer overran, or one was larger than the room for it.
    Lost,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace. Only what `program` lets pass of the multicast
    /// `groups` (a mask of `rtnl::GROUP_*`) is received.
    pub fn open(groups: u32, program: &[Op]) -> io::Result<Socket> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        attach(&fd, program)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        let port = SocketAddrNetlink::try_from(rustix::net::getsockname(&fd)?)?.pid();
        let fd = Async::new_nonblocking(fd)?;
        Ok(Socket { fd, port, seq: Cell::new(0), room: Cell::new(ROOM) })
    }

    /// Receives these groups from now on, and no others.
    pub fn join(&self, groups: u32) -> io::Result<()> {
        Ok(rustix::net::bind(&self.fd, &SocketAddrNetlink::new(self.port, groups))?)
    }

    /// Changes the filter.
    pub fn filter(&self, program: &[Op]) -> io::Result<()> {
        attach(&self.fd, program)
    }

    /// Sets the size of the kernel's receive buffer, in bytes (it doubles the number and has a minimum).
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_recv_buffer_size(&self.fd, bytes)?)
    }

    /// Asks for everything of a kind (`rtnl::kind::GET*`). Returns the number that the answers carry.
    pub fn ask(&self, kind: u16, family: Option<Family>) -> io::Result<u32> {
        let seq = self.seq.get().wrapping_add(1);
        self.seq.set(seq);
        rustix::net::send(&self.fd, &rtnl::dump_request(kind, family, seq), SendFlags::empty())?;
        Ok(seq)
    }

    /// Whether a message answers the request of that number.
    pub fn answers(&self, header: &Header, seq: u32) -> bool {
        header.port == self.port && header.seq == seq
    }

    /// Completes when there is something to receive.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await
    }

    /// Waits until there is something to receive (true), or until somebody wakes us (false).
    pub async fn readable_or(&self, wake: &Receiver<()>) -> io::Result<bool> {
        let woken = async {
            // Never closed: whoever follows holds both ends.
            let _ = wake.recv().await;
            Ok(false)
        };
        let readable = async { self.readable().await.map(|()| true) };
        smol::future::or(readable, woken).await
    }

    /// A buffer for [`Socket::receive`]. It is not kept while nothing happens: an idle agent stays small.
    pub fn buffer(&self) -> Vec<u8> {
        Vec::with_capacity(self.room.get())
    }

    /// Receives one datagram into `buffer`, without waiting.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        buffer.clear();
        let room = buffer.capacity();
        let received =
            rustix::net::recvfrom(&self.fd, rustix::buffer::spare_capacity(buffer), RecvFlags::TRUNC);
        let (_, len, from) = match received {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN) => return Ok(Received::Nothing),
            Err(rustix::io::Errno::NOBUFS) => return Ok(Received::Lost),
            Err(rustix::io::Errno::INTR) => return Ok(Received::Foreign),
            Err(err) => return Err(err.into()),
        };
        let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
        if from.is_none_or(|from| from.pid() != 0) {
            return Ok(Received::Foreign);
        }
        if len > room {
            let wanted = len.checked_next_power_of_two().unwrap_or(MAX_ROOM).min(MAX_ROOM);
            if wanted <= room {
                return Ok(Received::Foreign); // no use in asking again
            }
            self.room.set(wanted);
            *buffer = self.buffer();
            return Ok(Received::Lost);
        }
        Ok(Received::Datagram)
    }
}

/// The most messages of one table that are taken.
const MAX_DUMPED: usize = 4096;

/// Has the kernel tell one table, once. Where it has more to say than can be held, half a table is better than none.
///
/// # Errors
/// The socket's.
pub(crate) async fn dump(
    kind: u16,
    family: Option<Family>,
    take: &mut dyn FnMut(rtnl::Message),
) -> io::Result<()> {
    let socket = Socket::open(0, &filter::network())?;
    let seq = socket.ask(kind, family)?;
    let mut buffer = socket.buffer();
    let mut left = MAX_DUMPED;
    loop {
        match socket.receive(&mut buffer)? {
            Received::Nothing => socket.readable().await?,
            Received::Datagram => {
                for (header, message) in rtnl::messages(&buffer).flatten() {
                    match (socket.answers(&header, seq), message) {
                        (true, rtnl::Message::Done(_) | rtnl::Message::Error(_)) => return Ok(()),
                        (true, message) if left > 0 => {
                            left -= 1;
                            take(message);
                        }
                        _ => {}
                    }
                }
            }
            Received::Foreign => {}
            Received::Lost => return Ok(()),
        }
    }
}

/// Has the kernel ask this program before anything is queued for a socket.
pub(crate) fn attach(fd: &dyn AsFd, program: &[Op]) -> io::Result<()> {
    let fd = fd.as_fd();
    let program: Vec<SockFilter> =
        program.iter().map(|op| SockFilter::new(op.code, op.if_true, op.if_false, op.k)).collect();
    SockRef::from(&fd).attach_filter(&program)
}
