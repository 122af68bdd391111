//! What is known of the devices of the LAN, and which of them are cameras. Pure.
//!
//! A device is listed if it says that it is a camera (ONVIF, Axis' own mDNS service), or if something hints at one (its
//! maker, its name, RTSP in its mDNS answer) and it has a stream at one of RTSP's ports: shows it or asks for a password.
//! A maker or a name alone is not enough, for doorbells, plugs and recorders have those as well; nor is a web page that
//! asks for a password, for every printer may have one; nor is a stream alone: nobody without a hint is even asked.

use super::oui;
use super::vendor::{self, Vendor};
use crate::config::Probe;
use crate::model::{Lease, Mac, Protection};
use crate::wire::onvif::{short, Match};
use std::net::{IpAddr, Ipv4Addr};

/// The most devices that are kept in mind.
const MAX_DEVICES: usize = 1024;

/// A reason to take a device for a camera, as a bit of [`Device::hints`].
pub mod hint {
    /// It says by ONVIF that it is a camera.
    pub const VIDEO: u8 = 1;
    /// It offers by mDNS what only cameras do.
    pub const SERVICE: u8 = 2;
    /// It speaks ONVIF.
    pub const ONVIF: u8 = 4;
    /// It offers RTSP by mDNS.
    pub const RTSP: u8 = 8;
    /// Its hardware address is of somebody who makes cameras.
    pub const MAC: u8 = 16;
    /// Its name in its DHCP lease sounds like one.
    pub const NAME: u8 = 32;
    /// Its UPnP answer names a maker of cameras.
    pub const UPNP: u8 = 64;
    /// Its hardware address is of somebody who makes cameras among other things.
    pub const PERHAPS: u8 = 128;
    /// Any of these is enough to be listed.
    pub const SURE: u8 = VIDEO | SERVICE;
}

/// How the hints are called in JSON and in the list.
const HINTS: [(u8, &str); 5] = [
    (hint::VIDEO | hint::ONVIF, "onvif"),
    (hint::SERVICE | hint::RTSP, "mdns"),
    (hint::UPNP, "upnp"),
    (hint::MAC | hint::PERHAPS, "mac"),
    (hint::NAME, "name"),
];

/// What answered at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The port (TCP).
    pub port: u16,
    /// RTSP or HTTP.
    pub how: Probe,
    /// What it made of the question.
    pub found: Protection,
}

/// One device. Its texts are harmless to a terminal.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its address.
    pub addr: Ipv4Addr,
    /// Its hardware address, if the kernel or a lease knows it.
    pub mac: Option<Mac>,
    /// Its name in its DHCP lease; may be empty.
    pub name: String,
    /// What it calls itself, by ONVIF or mDNS; may be empty.
    pub model: String,
    /// Its maker.
    pub vendor: Option<&'static Vendor>,
    /// Bits of [`hint`].
    pub hints: u8,
    /// Where its ONVIF service is.
    pub onvif: Option<u16>,
    /// What answered, by port.
    pub services: Vec<Service>,
}

impl Device {
    /// Whether it is a camera, see above.
    pub fn is_camera(&self) -> bool {
        self.hints & hint::SURE != 0 || (self.hints != 0 && self.stream().is_some())
    }

    /// The stream to lead to: the one that asks for a password before one that is open to anyone.
    pub fn stream(&self) -> Option<&Service> {
        let found = |want: fn(&Protection) -> bool| {
            self.services.iter().find(|service| service.how == Probe::Rtsp && want(&service.found))
        };
        found(|found| matches!(found, Protection::Password(_)))
            .or_else(|| found(|found| *found == Protection::Open))
    }

    /// By what it was found.
    pub fn ways(&self) -> impl Iterator<Item = &'static str> + '_ {
        HINTS.iter().filter(|(bits, _)| self.hints & bits != 0).map(|(_, name)| *name)
    }

    /// The path of its stream: the maker's.
    pub fn path(&self) -> &'static str {
        self.vendor.map_or("/", |vendor| vendor.path)
    }

    /// Whether it is worth more than a question for RTSP.
    pub fn is_likely(&self) -> bool {
        self.hints & !hint::PERHAPS != 0
    }

    fn learn_vendor(&mut self, text: &str) {
        if let Some(told) = vendor::told(text) {
            // What it says of itself is nearer than who made its network part, unless that makes nothing else.
            if !self.vendor.is_some_and(|known| known.only) {
                self.vendor = Some(told);
            }
        }
    }
}

/// All devices that there are hints at, and the neighbours, by address.
#[derive(Debug, Default)]
pub struct Devices(pub Vec<Device>);

impl Devices {
    /// The device at an address, which is new if there was none; `None` when there are too many.
    pub fn at(&mut self, addr: Ipv4Addr) -> Option<&mut Device> {
        let place = match self.0.binary_search_by_key(&addr, |device| device.addr) {
            Ok(place) => place,
            Err(_) if self.0.len() >= MAX_DEVICES => return None,
            Err(place) => {
                let (name, model) = (String::new(), String::new());
                let device = Device {
                    addr,
                    mac: None,
                    name,
                    model,
                    vendor: None,
                    hints: 0,
                    onvif: None,
                    services: Vec::new(),
                };
                self.0.insert(place, device);
                place
            }
        };
        self.0.get_mut(place)
    }

    /// A neighbour of the kernel's table; knows better than a lease.
    pub fn neighbour(&mut self, addr: Ipv4Addr, mac: Mac) {
        let Some(device) = self.at(addr) else { return };
        device.mac = Some(mac);
        let vendor = oui::vendor(mac);
        device.hints &= !(hint::MAC | hint::PERHAPS);
        device.hints |= vendor.map_or(0, |vendor| if vendor.only { hint::MAC } else { hint::PERHAPS });
        device.vendor = device.vendor.or(vendor);
    }

    /// A DHCP lease.
    pub fn lease(&mut self, lease: &Lease) {
        let IpAddr::V4(addr) = lease.addr else { return };
        self.neighbour(addr, lease.mac);
        let Some((device, name)) = self.at(addr).zip(lease.name.as_deref()) else { return };
        device.name = short(name);
        if vendor::sounds(name) {
            device.hints |= hint::NAME;
            device.learn_vendor(name);
        }
    }

    /// An answer of WS-Discovery.
    pub fn onvif(&mut self, addr: Ipv4Addr, found: &Match) {
        if !found.video && !found.device {
            return;
        }
        let Some(device) = self.at(addr) else { return };
        device.hints |= if found.video { hint::VIDEO | hint::ONVIF } else { hint::ONVIF };
        device.onvif = device.onvif.or(found.port);
        for text in [&found.maker, &found.name, &found.model] {
            device.learn_vendor(text);
        }
        let model = if found.model.is_empty() || found.model == "MODEL" { &found.name } else { &found.model };
        if device.model.is_empty() {
            device.model.clone_from(model);
        }
    }

    /// An answer of mDNS; `sure`: only cameras offer that.
    pub fn mdns(&mut self, addr: Ipv4Addr, name: &str, sure: bool) {
        let Some(device) = self.at(addr) else { return };
        device.hints |= if sure { hint::SERVICE } else { hint::RTSP };
        device.learn_vendor(name);
        if device.model.is_empty() {
            device.model = short(name);
        }
    }

    /// An answer of UPnP, if it names a maker of cameras.
    pub fn upnp(&mut self, addr: Ipv4Addr, text: &str) {
        let Some(told) = vendor::told(text).filter(|told| told.only) else { return };
        let Some(device) = self.at(addr) else { return };
        device.hints |= hint::UPNP;
        device.vendor = device.vendor.or(Some(told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scheme;

    const ADDR: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
    const AXIS: Mac = Mac([0, 0x40, 0x8c, 1, 2, 3]);
    const TUYA: Mac = Mac([0x10, 0x5a, 0x17, 1, 2, 3]);

    fn device(build: impl Fn(&mut Devices)) -> Device {
        let mut devices = Devices::default();
        build(&mut devices);
        devices.at(ADDR).unwrap().clone()
    }

    fn with(mut device: Device, how: Probe, found: Protection) -> Device {
        device.services.push(Service { port: 554, how, found });
        device
    }

    fn found(video: bool, name: &str, model: &str) -> Match {
        Match { video, device: true, name: name.into(), model: model.into(), ..Match::default() }
    }

    #[test]
    fn who_says_so_is_a_camera() {
        assert!(device(|all| all.onvif(ADDR, &found(true, "HIKVISION", "DS-2CD2143"))).is_camera());
        assert!(device(|all| all.mdns(ADDR, "AXIS M1065", true)).is_camera());
        let printer = Match { name: "printer".into(), ..Match::default() };
        let printer = device(|all| all.onvif(ADDR, &printer));
        assert_eq!((printer.is_camera(), printer.hints), (false, 0));
    }

    #[test]
    fn a_hint_needs_a_stream() {
        let hints: [&dyn Fn(&mut Devices); 5] = [
            &|all| all.neighbour(ADDR, AXIS),
            &|all| all.neighbour(ADDR, TUYA),
            &|all| all.onvif(ADDR, &found(false, "cam", "")),
            &|all| all.mdns(ADDR, "tv", false),
            &|all| all.upnp(ADDR, "HTTP/1.1 200 OK\r\nSERVER: Hikvision UPnP/1.0\r\n"),
        ];
        for (at, hint) in hints.iter().enumerate() {
            let plain = device(hint);
            assert!(!plain.is_camera(), "{at}");
            let page = with(plain.clone(), Probe::Http, Protection::Password(Scheme::Basic));
            assert!(!page.is_camera(), "{at}: a doorbell's page");
            let lost = with(page, Probe::Rtsp, Protection::Unproven("it answers 404".into()));
            assert!(!lost.is_camera(), "{at}");
            assert!(with(lost, Probe::Rtsp, Protection::Password(Scheme::Digest)).is_camera(), "{at}");
            assert!(with(plain, Probe::Rtsp, Protection::Open).is_camera(), "{at}");
        }
    }

    #[test]
    fn a_stream_without_a_hint_is_none() {
        let nas = device(|all| all.neighbour(ADDR, Mac([0, 0x11, 0x32, 1, 2, 3])));
        assert!(!with(nas, Probe::Rtsp, Protection::Open).is_camera());
        assert_eq!(device(|all| all.upnp(ADDR, "SERVER: Synology/DSM\r\n")).hints, 0);
        assert_eq!(device(|all| all.upnp(ADDR, "SERVER: TP-LINK/TP-LINK UPnP/1.1\r\n")).hints, 0, "a router");
    }

    #[test]
    fn the_kernel_knows_better_than_a_lease() {
        let lease = Lease { expiry: 0, mac: AXIS, addr: ADDR.into(), name: Some("laptop".into()) };
        let device = device(|all| {
            all.lease(&lease);
            all.neighbour(ADDR, Mac([2, 0, 0, 0, 0, 1]));
        });
        assert_eq!((device.hints, device.name.as_str()), (0, "laptop"));
    }

    #[test]
    fn the_stream_with_a_password_comes_first() {
        let device = device(|all| all.neighbour(ADDR, AXIS));
        let mut device = with(device, Probe::Rtsp, Protection::Open);
        device.services.push(Service {
            port: 8554,
            how: Probe::Rtsp,
            found: Protection::Password(Scheme::Digest),
        });
        assert_eq!(device.stream().map(|stream| stream.port), Some(8554));
    }

    #[test]
    fn hostile_names_are_harmless() {
        let lease =
            Lease { expiry: 0, mac: AXIS, addr: ADDR.into(), name: Some("cam\u{9b}31m\u{202e}".into()) };
        let device = device(|all| {
            all.lease(&lease);
            all.mdns(ADDR, &"\u{1b}".repeat(500), true);
        });
        assert!(!device.name.chars().any(char::is_control) && !device.name.contains('\u{202e}'));
        assert!(!device.model.chars().any(char::is_control) && device.model.len() < 1000);
    }
}
