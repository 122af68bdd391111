//! Looks for cameras in the LANs, in seconds: asks everybody by multicast, then each device that there is a hint at.
//! What answers is one thing, where it is another: only the address from which an answer came counts, and nothing is
//! sent to any that is not a host of a LAN.

use super::evidence::{hint, Device, Devices, Service};
use super::{ask, heard, lan};
use crate::act::net::{all, within, Work};
use crate::config::{Config, Network, Probe};
use crate::map::Map;
use crate::model::{Inquiry, OwnAddr, Protection};
use crate::paths::Paths;
use crate::plan::mapping;
use crate::sense::filter;
use crate::sense::netlink::attach;
use smol::future::{yield_now, zip};
use smol::{Async, Timer};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// When the list is there, whatever is still silent.
const LIMIT: Duration = Duration::from_millis(4500);
/// How long answers of everybody are waited for: WS-Discovery and UPnP give them half a second and a whole one.
const LISTEN: Duration = Duration::from_millis(1400);
/// The questions are repeated after this, and once more: multicast gets lost, and whoever is asleep must wake up.
const REPEAT: Duration = Duration::from_millis(350);
/// How long one port of a device may think.
const PATIENCE: Duration = Duration::from_millis(1200);
/// The most devices that are asked, those with the best hints first.
const MAX_ASKED: usize = 64;
/// So many of them at a time; each is asked for RTSP and HTTP at the same time, one port after the other.
const AT_ONCE: usize = 16;
/// The most LANs that are looked at.
const MAX_LANS: usize = 16;
/// A longer datagram is cut off, and so not understood.
const MAX_DATAGRAM: usize = 8 * 1024;
/// The most datagrams of one sender that are read, and the most senders.
const MAX_FROM_ONE: u8 = 16;
/// Whoever sends so many is not heard any more.
const FLOOD: u8 = 64;
/// See [`MAX_FROM_ONE`].
const MAX_SENDERS: usize = 512;
/// Datagrams taken in one go before others get their turn.
const BURST: u32 = 32;
/// Where streams are.
const RTSP_PORTS: [u16; 2] = [554, 8554];
/// Where web pages and ONVIF are.
const HTTP_PORTS: [u16; 4] = [80, 8080, 8000, 2020];

/// What was found.
pub struct Found {
    /// The LANs that were looked at.
    pub lans: Vec<OwnAddr>,
    /// The cameras, by address.
    pub cameras: Vec<Device>,
    /// How many devices are known there.
    pub known: usize,
    /// How many of them were asked.
    pub asked: usize,
    /// How many would have been asked if there had been time and room.
    pub left: usize,
}

/// Looks. `tell` shows a line of progress. `random` is that.
///
/// # Errors
/// Why it cannot be looked at all, in plain words.
pub async fn find(
    paths: &Paths,
    config: &Config,
    random: [u32; 4],
    tell: &dyn Fn(&str),
) -> Result<Found, String> {
    let until = Instant::now() + LIMIT;
    let failed = |e: io::Error| format!("the kernel does not tell of its network: {e}");
    let world = lan::look(paths, config, (&[], &[])).await.map_err(failed)?;
    let lans: Vec<OwnAddr> =
        mapping::lans(config, &world).filter(|own| own.addr.is_ipv4()).take(MAX_LANS).cloned().collect();
    if lans.is_empty() {
        return Err("there is no LAN here: no device has an IPv4 address, but for those of the WANs".into());
    }
    let mut devices = Devices::default();
    world.leases.iter().for_each(|lease| devices.lease(lease));
    lan::neighbours(&mut devices).await.map_err(failed)?;
    tell(&format!("asking everybody on {}", shown(&lans)));
    listen(&lans, random, &mut devices).await?;
    lan::neighbours(&mut devices).await.map_err(failed)?;
    devices.0.retain(|device| mapping::lan(config, &world, device.addr.into()).is_ok());
    let known = devices.0.len();
    let (asked, left) = ask_all(&mut devices, until, tell).await;
    // Whoever is really there has been heard by the kernel by now; an answer in another's name has not.
    lan::neighbours(&mut devices).await.map_err(failed)?;
    devices.0.retain(|device| device.is_camera() && device.mac.is_some());
    Ok(Found { lans, cameras: devices.0, known, asked, left })
}

/// `lan0 (192.168.1.0/24)`, and so on.
pub fn shown(lans: &[OwnAddr]) -> String {
    let one = |own: &OwnAddr| {
        let net = Network::new(own.addr, own.prefix).map(|net| net.to_string());
        format!("{} ({})", own.device, net.unwrap_or_default())
    };
    lans.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Asks everybody, and takes in what comes back.
async fn listen(lans: &[OwnAddr], random: [u32; 4], devices: &mut Devices) -> Result<(), String> {
    let until = Instant::now() + LISTEN;
    let devices = RefCell::new(devices);
    let mut works: Vec<Work<'_>> = Vec::new();
    let mut failed = None;
    for own in lans {
        match open(own) {
            Ok((socket, net)) => works.push(Box::pin(hear(socket, net, random, until, &devices))),
            Err(error) => failed = Some(format!("nobody on {} can be asked: {error}", own.device)),
        }
    }
    match failed {
        Some(why) if works.is_empty() => return Err(why),
        _ => {}
    }
    within(until, all(works)).await;
    Ok(())
}

/// A socket whose multicast goes out by this address' device, and nowhere further (the kernel's time to live is 1).
fn open(own: &OwnAddr) -> io::Result<(Async<UdpSocket>, Network)> {
    let (IpAddr::V4(addr), Some(net)) = (own.addr, Network::new(own.addr, own.prefix)) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let socket = UdpSocket::bind((addr, 0))?;
    rustix::net::sockopt::set_ip_multicast_if(&socket, &addr)?;
    Ok((Async::new(socket)?, net))
}

/// One LAN: asks a few times, and hears until the time is up.
async fn hear(
    socket: Async<UdpSocket>,
    net: Network,
    random: [u32; 4],
    until: Instant,
    devices: &RefCell<&mut Devices>,
) {
    let speak = async {
        for (turn, pause) in (0..).zip([REPEAT, REPEAT, LISTEN]) {
            for (to, question) in heard::questions(random, turn) {
                // Where one way is shut, the others may be open.
                let _ = socket.send_to(&question, SocketAddr::V4(to)).await;
            }
            Timer::after(pause).await;
        }
    };
    let hear = async {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut counts: Map<Ipv4Addr, u8> = Map::new();
        let mut unwanted = Vec::new();
        for turn in 0u32.. {
            // Whoever floods us must not stop the clock.
            if turn % BURST == 0 {
                yield_now().await;
            }
            if Instant::now() > until {
                return;
            }
            let Ok((count, from)) = socket.recv_from(&mut buffer).await else { continue };
            let IpAddr::V4(sender) = from.ip() else { continue };
            match counted(&mut counts, sender) {
                Some(1..=MAX_FROM_ONE) if net.contains(from.ip()) => {
                    heard::take(&mut devices.borrow_mut(), sender, buffer.get(..count).unwrap_or_default());
                }
                Some(FLOOD) => {
                    // Else the others' answers would find no room.
                    unwanted.push(sender);
                    let _ = attach(&socket, &filter::senders(&unwanted));
                }
                _ => {}
            }
        }
    };
    zip(speak, hear).await;
}

/// How many datagrams of a sender there were, with this one; `None` if there are too many senders.
fn counted(counts: &mut Map<Ipv4Addr, u8>, sender: Ipv4Addr) -> Option<u8> {
    if counts.len() >= MAX_SENDERS && !counts.contains_key(&sender) {
        return None;
    }
    let count = counts.entry(sender).or_default();
    *count = count.saturating_add(1);
    Some(*count)
}

/// Asks the devices that there are hints at. Says how many were asked, and how many were left out.
async fn ask_all(devices: &mut Devices, until: Instant, tell: &dyn Fn(&str)) -> (usize, usize) {
    let mut sought: Vec<&mut Device> = devices.0.iter_mut().filter(|device| device.hints != 0).collect();
    sought.sort_by_key(|device| (device.hints & hint::SURE == 0, !device.is_likely()));
    let total = sought.len();
    sought.truncate(MAX_ASKED);
    let most = sought.len();
    let waiting = RefCell::new(sought.into_iter());
    let (begun, done) = (Cell::new(0usize), Cell::new(0usize));
    let work = async || loop {
        let Some(device) = waiting.borrow_mut().next() else { return };
        if Instant::now() + PATIENCE / 4 > until {
            return;
        }
        begun.set(begun.get() + 1);
        device.services = questions(device, until).await;
        done.set(done.get() + 1);
        tell(&format!("asking what may be a camera: {} of {most}", done.get()));
    };
    all((0..AT_ONCE.min(most)).map(|_| Box::pin(work()) as Work<'_>).collect()).await;
    (begun.get(), total - begun.get())
}

/// Asks one device at the usual ports: for RTSP, and beside that for HTTP, if it is worth it.
async fn questions(device: &Device, until: Instant) -> Vec<Service> {
    let mut pages = if device.is_likely() { HTTP_PORTS.to_vec() } else { Vec::new() };
    pages.extend(device.onvif.filter(|port| device.is_likely() && !HTTP_PORTS.contains(port)));
    let streams = way(device, Probe::Rtsp, &RTSP_PORTS, until);
    let (mut services, more) = zip(streams, way(device, Probe::Http, &pages, until)).await;
    services.extend(more);
    services
}

/// One port after the other, until nobody is there, or the stream is found.
async fn way(device: &Device, how: Probe, ports: &[u16], until: Instant) -> Vec<Service> {
    let mut services = Vec::new();
    let path = if how == Probe::Rtsp { device.path() } else { "/" };
    for &port in ports {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let target = SocketAddr::new(device.addr.into(), port);
        let found = ask(&Inquiry { target, how, path: path.into() }, left.min(PATIENCE)).await;
        match found {
            Protection::NoService => {}
            Protection::Silent => break,
            found => {
                let is_stream = how == Probe::Rtsp && !matches!(found, Protection::Unproven(_));
                services.push(Service { port, how, found });
                if is_stream {
                    break;
                }
            }
        }
    }
    services
}
