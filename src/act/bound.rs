//! Sockets by which packets leave by one device only, from one address of it (SO_BINDTODEVICE, socket(7)). Where that
//! cannot be had there is none: no answer is better than one that came by another way.

use smol::Async;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

/// How far a packet to a multicast group may go: whoever is meant is the next hop.
const GROUP_HOPS: u32 = 2;

/// For datagrams.
///
/// # Errors
/// The kernel's, where the device or the address is gone.
pub(crate) fn udp(device: &str, from: IpAddr) -> io::Result<UdpSocket> {
    let socket = socket(device, from, Type::DGRAM)?;
    if let IpAddr::V4(from) = from {
        socket.set_multicast_if_v4(&from)?;
        socket.set_multicast_ttl_v4(GROUP_HOPS)?;
    }
    Ok(socket.into())
}

/// A connection.
///
/// # Errors
/// The kernel's, or the refusal of whoever is called.
pub(crate) async fn tcp(device: &str, from: IpAddr, to: SocketAddr) -> io::Result<Async<TcpStream>> {
    let socket = socket(device, from, Type::STREAM)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream = Async::new(TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

fn socket(device: &str, from: IpAddr, kind: Type) -> io::Result<Socket> {
    let domain = if from.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind, None)?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
