//! Sockets by which packets leave by one device only, from one address of it (SO_BINDTODEVICE, socket(7)). Where that
//! cannot be had there is none: no answer is better than one that came by another way.

use super::net;
use crate::sense::filter::Op;
use crate::sense::netlink::attach;
use rustix::net::RecvFlags;
use smol::Async;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

/// How far a packet to a multicast group may go: whoever is meant is the next hop.
const GROUP_HOPS: u32 = 2;
/// ETH_P_IP of linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;

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
    net::stands(socket.into()).await
}

/// IPv4 packets of any device that pass a filter, as they come in, before the packet filter (packet(7)): what is for a group
/// is for nobody by the usual rules of a firewall. What had come before the filter stood is thrown away.
///
/// # Errors
/// The kernel's: without CAP_NET_RAW, or without packet sockets.
pub(crate) fn packets(filter: &[Op]) -> io::Result<Async<OwnedFd>> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ETH_P_IP.to_be()))))?;
    attach(&socket, filter)?;
    socket.set_nonblocking(true)?;
    let socket = OwnedFd::from(socket);
    while rustix::net::recv(&socket, &mut [0u8; 1][..], RecvFlags::TRUNC).is_ok() {}
    Async::new(socket)
}

fn socket(device: &str, from: IpAddr, kind: Type) -> io::Result<Socket> {
    let domain = if from.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind, None)?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
