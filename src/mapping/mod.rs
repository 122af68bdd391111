//! Port mappings: how [`crate::plan::Rule`]s reach the packet filter.
//! Here: what its parts share, a bounded child process and a socket to the kernel's netfilter.

pub mod conntrack;
mod droppers;
pub mod nft;

use async_io::{Async, Timer};
use rustix::io::Errno;
use rustix::net::netlink::{SocketAddrNetlink, NETFILTER};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use smol::future::{or, try_zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The longest output that is read from a child.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// The longest complaint of a child that is passed on, in characters.
const MAX_COMPLAINT: usize = 200;

/// Whether the kernel forwards packets of this family at all. True where it cannot be read.
pub fn forwarding(root: &Path, family: crate::model::Family) -> bool {
    let switch = match family {
        crate::model::Family::V4 => "proc/sys/net/ipv4/ip_forward",
        crate::model::Family::V6 => "proc/sys/net/ipv6/conf/all/forwarding",
    };
    std::fs::read_to_string(root.join(switch)).map_or(true, |text| text.trim() != "0")
}

/// What a child process left.
struct Ran {
    /// Whether it ended with exit status 0.
    ok: bool,
    /// Its standard output.
    out: String,
    /// Its standard error, in one line, shortened.
    complaint: String,
}

/// Ends and reaps the child however its keeper goes away.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both are no-ops on a child that was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program with this input. No thread is made: its pipes are polled beside everything else.
/// Errors of kind `NotFound` mean that there is no such program, `TimedOut` that it was killed.
async fn run(program: &Path, args: &[&str], input: &str, deadline: Duration) -> io::Result<Ran> {
    let child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut child = Reaped(child);
    let talk = converse(&mut child, input.as_bytes());
    let late = async {
        Timer::after(deadline).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let (out, err) = or(talk, late).await?;
    let ok = child.0.wait()?.success();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let complaint = text(&err).split_whitespace().collect::<Vec<_>>().join(" ");
    let complaint = complaint.chars().take(MAX_COMPLAINT).collect();
    Ok(Ran { ok, out: text(&out), complaint })
}

/// Writes the input while reading both outputs to their end, then waits for the child to be gone.
async fn converse(child: &mut Reaped, input: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let gone = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(&child.0),
        rustix::process::PidfdFlags::empty(),
    );
    let stdin = child.0.stdin.take().map(Async::new).transpose()?;
    let stdout = child.0.stdout.take().map(Async::new).transpose()?;
    let stderr = child.0.stderr.take().map(Async::new).transpose()?;
    let write = async {
        if let Some(mut stdin) = stdin {
            match stdin.write_all(input).await {
                // A child that fails early reads no more; its complaint says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                other => other?,
            }
        }
        Ok(())
    };
    let ((), outputs) = try_zip(write, try_zip(read(stdout), read(stderr))).await?;
    // Kernels before 5.3 have no pidfd: there the wait that follows blocks for the instant between
    // a child's last close and its end.
    if let Ok(gone) = gone {
        Async::new(gone)?.readable().await?;
    }
    Ok(outputs)
}

async fn read<T>(pipe: Option<Async<T>>) -> io::Result<Vec<u8>>
where
    Async<T>: smol::io::AsyncRead + Unpin,
{
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    pipe.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > MAX_OUTPUT {
        return Err(io::Error::other("it printed more than 4 MiB"));
    }
    Ok(bytes)
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
