//! Hears the router above a WAN announce that it restarted or has another address: NAT-PMP (RFC 6886 section 3.2.1) and PCP
//! (RFC 6887 section 14.1), to all hosts, port 5350. It comes unasked, so a firewall drops it: it is read before that.

use crate::act::bound;
use crate::plan::upstream::Place;
use crate::sense::filter;
use crate::wire::{natpmp, pcp};
use rustix::io::Errno;
use rustix::net::{netdevice, recv, RecvFlags};
use smol::Async;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;

/// All hosts of the network.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Where clients listen.
const PORT: u16 = 5350;
/// Larger than any announcement with its headers.
const BUFFER: usize = 1500;
/// The most packets that are read at once: anyone on that network can send more than a router does.
const AT_ONCE: usize = 64;
/// The UDP header's length (RFC 768).
const UDP_HEADER: usize = 8;

/// The announcements of one router.
pub struct Announcements(Async<OwnedFd>);

impl Announcements {
    /// Listens on a device for its next hop, and to nobody else.
    ///
    /// # Errors
    /// The kernel's: there is no such device, or we have no right to packet sockets.
    pub fn open(device: &str, place: Place) -> io::Result<Announcements> {
        let any = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let index = netdevice::name_to_index(&any, device)?;
        Ok(Announcements(bound::packets(&filter::announcements(index, place.gateway, GROUP, PORT))?))
    }

    /// Waits for one; all that have come by then are one. What it says is of no interest: the router is to be asked.
    ///
    /// # Errors
    /// The socket's.
    pub async fn heard(&self) -> io::Result<()> {
        let mut buffer = [0u8; BUFFER];
        loop {
            self.0.readable().await?;
            let mut heard = false;
            for _ in 0..AT_ONCE {
                match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                    Ok((_, count)) => heard |= is_one(buffer.get(..count).unwrap_or_default()),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            if heard {
                return Ok(());
            }
        }
    }
}

/// Whether a packet of IPv4 and UDP holds an announcement.
fn is_one(packet: &[u8]) -> bool {
    let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    let body = packet.get(header + UDP_HEADER..).unwrap_or_default();
    let by_natpmp = natpmp::parse(body).is_some_and(|answer| answer.about.is_none());
    by_natpmp || pcp::parse(body).is_some_and(|answer| answer.mapping.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 192, 168, 0, 1, 224, 0, 0, 1];
        packet.extend([0x14, 0xe7, 0x14, 0xe6, 0, 0, 0, 0]);
        packet.extend(body);
        packet
    }

    #[test]
    fn announcements_of_both_protocols_and_nothing_else() {
        let natpmp = packet(&[0, 128, 0, 0, 0, 0, 0, 3, 93, 184, 216, 34]);
        let mut announce = vec![2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
        announce.extend([0; 12]);
        let pcp = packet(&announce);
        assert!(is_one(&natpmp) && is_one(&pcp));
        for cut in 0..natpmp.len() {
            assert!(!is_one(&natpmp[..cut]), "cut at {cut}");
        }
        for cut in 0..pcp.len() {
            assert!(!is_one(&pcp[..cut]), "cut at {cut}");
        }
        assert!(!is_one(&packet(&[0, 0])), "a question");
        assert!(!is_one(&packet(&[0, 130, 0, 0, 0, 0, 0, 3, 0, 1, 0, 1, 0, 0, 0, 9])), "a mapping");
    }
}
