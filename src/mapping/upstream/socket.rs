//! Sockets that a packet leaves only by the WAN's device, from its address.

use crate::plan::upstream::UpstreamJob;
use smol::Async;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};

/// How far a question to the group may go: the router is the next hop.
const GROUP_HOPS: u32 = 2;

/// For datagrams.
///
/// # Errors
/// The kernel's, where the device or the address is gone.
pub(super) fn udp(job: &UpstreamJob) -> io::Result<Async<UdpSocket>> {
    let socket = new(job, Type::DGRAM, Protocol::UDP)?;
    socket.set_multicast_if_v4(&job.place.local)?;
    socket.set_multicast_ttl_v4(GROUP_HOPS)?;
    Async::new(socket.into())
}

/// A connection to a port of the router.
///
/// # Errors
/// The kernel's, or the router's refusal.
pub(super) async fn tcp(job: &UpstreamJob, to: SocketAddrV4) -> io::Result<Async<TcpStream>> {
    let socket = new(job, Type::STREAM, Protocol::TCP)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(error) if !in_progress(&error) => return Err(error),
        _ => {}
    }
    let stream: Async<TcpStream> = Async::new(socket.into())?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

fn in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

fn new(job: &UpstreamJob, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
    socket.bind_device(Some(job.device.as_bytes()))?;
    let local: Ipv4Addr = job.place.local;
    socket.bind(&SocketAddrV4::new(local, 0).into())?;
    Ok(socket)
}
