//! Where a camera is in IPv6: the LAN's prefix, and the half of its own (RFC 4291 section 2.5.1, appendix A).    [pure]

use super::camera::macs;
use super::mapping::lan;
use super::reach::{is_special, reach};
use crate::config::{Camera, Config, Device, Wan};
use crate::model::{Family, Mac, OwnAddr, Reach, World};
use crate::state::{CameraState, State};
use std::net::{IpAddr, Ipv6Addr};

/// Bits of a subnet that hosts number themselves in (RFC 4862).
pub const PREFIX: u8 = 64;

/// A camera's own IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The address.
    pub addr: IpAddr,
    /// The router's own in the same subnet.
    pub lan: &'a OwnAddr,
    /// Whether an IPv6 default route leaves by the WAN that the prefix belongs to.
    pub route: bool,
    /// It was heard by this half of its own, in this prefix or another.
    pub heard: bool,
}

/// A camera's own IPv6 address: `option hostid`, else what it makes of its MAC, in the prefix of its LAN. What the
/// neighbour table shows beside that is no guide: it may be an address of a day (RFC 8981).
///
/// # Errors
/// Why it is not known, in plain words.
pub fn place<'a>(
    config: &'a Config,
    world: &'a World,
    memory: &CameraState,
    camera: &Camera,
) -> Result<Place<'a>, String> {
    let Some(half) = half(camera, memory) else {
        return Err(format!(
            "the MAC of camera {} is not known yet, of which its IPv6 address is made, and it has no option hostid",
            camera.name
        ));
    };
    let device = device(config, world, memory, camera)?;
    let (lan, route) = prefix(config, world, camera, device)?;
    let IpAddr::V6(of_router) = lan.addr else { return Err(no_prefix(device)) };
    let addr = with_half(of_router, half);
    if world.own.iter().any(|own| own.addr == addr) {
        return Err(format!("{addr} is the router itself: option hostid must be the camera's"));
    }
    Ok(Place { addr, lan, route, heard: memory.heard6 == Some(half) })
}

/// A camera that may have no IPv6 at all, or another half than is presumed: whoever was sent there would wait in vain.
pub(super) fn not_heard(camera: &Camera, addr: IpAddr) -> String {
    let mend = match camera.hostid {
        Some(_) => "look whether the camera is set to the hostid that is written for it",
        None => {
            "look whether its IPv6 is on; if it shows another address there, write its half as option hostid"
        }
    };
    format!("camera {} was not heard at {addr} yet; {mend}", camera.name)
}

/// What the name of a camera says in IPv6.
///
/// # Errors
/// Why nothing is to be said now, in plain words.
pub fn published(config: &Config, world: &World, state: &State, camera: &Camera) -> Result<IpAddr, String> {
    let none = CameraState::default();
    let place = place(config, world, state.cameras.get(&camera.name).unwrap_or(&none), camera)?;
    match place {
        Place { addr, heard: false, .. } => Err(not_heard(camera, addr)),
        Place { addr, route: false, .. } => Err(format!("{addr}, but no IPv6 default route yet")),
        Place { addr, .. } => Ok(addr),
    }
}

/// The half of its own of a camera's IPv6 address.
pub(super) fn half(camera: &Camera, memory: &CameraState) -> Option<u64> {
    camera.hostid.or_else(|| memory.mac.map(eui64))
}

/// The modified EUI-64 of an Ethernet address: `fffe` in its middle, the universal bit turned over (RFC 4291 appendix A).
pub fn eui64(Mac([a, b, c, d, e, f]): Mac) -> u64 {
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// The lower half of an address; `None` of IPv4.
pub(super) fn lower(addr: IpAddr) -> Option<u64> {
    let IpAddr::V6(addr) = addr else { return None };
    Some(addr.to_bits() as u64)
}

fn with_half(prefix: Ipv6Addr, half: u64) -> IpAddr {
    let upper = prefix.to_bits() >> PREFIX << PREFIX;
    Ipv6Addr::from_bits(upper | u128::from(half)).into()
}

/// The LAN that the camera is in: that of its IPv4 address, else of an IPv6 address at which it was heard.
fn device<'a>(
    config: &'a Config,
    world: &'a World,
    memory: &CameraState,
    camera: &Camera,
) -> Result<&'a str, String> {
    let mine = macs(camera, memory);
    let heard = world.neighbours.iter().filter(|(_, near)| mine.contains(&near.mac)).map(|(addr, _)| *addr);
    let at = memory.addr.into_iter().chain(heard).find_map(|addr| lan(config, world, addr).ok());
    at.map(|own| own.device.as_str()).ok_or_else(|| {
        format!("camera {} was not seen yet in a LAN that this router is connected to", camera.name)
    })
}

/// The router's own address on the device, in the prefix of the first of the WANs that has one there; of these the
/// first with a default route.
fn prefix<'a>(
    config: &'a Config,
    world: &'a World,
    camera: &Camera,
    device: &str,
) -> Result<(&'a OwnAddr, bool), String> {
    let mut found: Option<(&OwnAddr, bool)> = None;
    for wan in wans(config, camera) {
        let route = world.wans.get(&wan.name).is_some_and(|sensed| sensed.v6.route);
        let own = of_wan(config, world, wan, device);
        match own {
            Some(own) if route => return Ok((own, true)),
            Some(own) if found.is_none() => found = Some((own, false)),
            _ => {}
        }
    }
    found.ok_or_else(|| no_prefix(device))
}

fn no_prefix(device: &str) -> String {
    format!("{device} has no IPv6 prefix that the internet reaches")
}

/// The WANs with IPv6, in the order of the record that the camera's address is published in, else of the file.
fn wans<'c>(config: &'c Config, camera: &Camera) -> Vec<&'c Wan> {
    let is_named = |record: &&crate::config::Record| camera.records.contains(&record.name);
    let publishes = |record: &&crate::config::Record| record.families.contains(&Family::V6);
    let with_ipv6 = |wan: &&Wan| wan.families.contains(&Family::V6);
    match config.records.iter().filter(is_named).find(publishes) {
        Some(record) => {
            let wan = |name: &String| config.wans.iter().find(|wan| wan.name == *name);
            record.wans.iter().filter_map(wan).filter(with_ipv6).collect()
        }
        None => config.wans.iter().filter(with_ipv6).collect(),
    }
}

/// The router's own address on the device that the internet reaches by this WAN: out of a prefix that was delegated to
/// it, or of nobody's.
fn of_wan<'a>(config: &Config, world: &'a World, wan: &Wan, device: &str) -> Option<&'a OwnAddr> {
    let given = |name: &str, own: &OwnAddr| {
        let sensed = world.wans.get(name);
        sensed.is_some_and(|sensed| sensed.prefixes.iter().any(|given| given.prefix.contains(own.addr)))
    };
    let fits = |own: &&OwnAddr| {
        let of_another = || config.wans.iter().any(|other| other.name != wan.name && given(&other.name, own));
        let of_lan = own.device == device && own.addr.is_ipv6() && own.prefix <= PREFIX && own.settled;
        of_lan && reach(own.addr, &wan.accept) == Reach::Public && (given(&wan.name, own) || !of_another())
    };
    world.own.iter().filter(fits).min_by_key(|own| (!given(&wan.name, own), is_special(own.addr), own.addr))
}

/// The devices by which packets to the cameras' own addresses come.
pub(super) fn wan_devices(config: &Config, world: &World) -> Vec<String> {
    let of_wan = |wan: &Wan| match &wan.device {
        Device::Named(name) => Some(name.clone()),
        // Lost is not empty: a line that comes back lets in whom it let in before.
        Device::Auto | Device::Interfaces(_) => world.wans.get(&wan.name)?.last_device6.clone(),
    };
    let wans = config.wans.iter().filter(|wan| wan.families.contains(&Family::V6));
    let mut devices: Vec<String> = wans.filter_map(of_wan).collect();
    devices.sort();
    devices.dedup();
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 4291 appendix A, and of RFC 2464 section 4.
    #[test]
    fn the_half_that_is_made_of_a_mac() {
        assert_eq!(eui64(Mac::parse("34:56:78:9a:bc:de").unwrap()), 0x3656_78ff_fe9a_bcde);
        assert_eq!(eui64(Mac::parse("02:00:00:00:00:20").unwrap()), 0x0000_00ff_fe00_0020);
    }

    #[test]
    fn a_half_takes_the_place_of_the_routers() {
        let router: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let addr = with_half(router, 0x1234);
        assert_eq!(addr, "2001:db8:1:2::1234".parse::<IpAddr>().unwrap());
        assert_eq!((lower(addr), lower([192, 0, 2, 1].into())), (Some(0x1234), None));
    }
}
