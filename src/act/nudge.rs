//! Makes the kernel look who is at an address of the LAN: it does when something is to be sent there (ARP, RFC 826;
//! neighbour discovery, RFC 4861). What is sent is an empty datagram to the discard port (RFC 863).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Where nobody minds what comes.
const DISCARD: u16 = 9;

/// Sends the datagram; does not wait.
///
/// # Errors
/// The kernel's, where it has no way to that address.
pub fn nudge(addr: IpAddr) -> io::Result<()> {
    send(SocketAddr::new(addr, DISCARD))
}

fn send(to: SocketAddr) -> io::Result<()> {
    let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.send_to(&[], to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_datagram_is_sent() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        there.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        send(there.local_addr().unwrap()).unwrap();
        assert_eq!(there.recv(&mut [0; 8]).unwrap(), 0);
    }
}
