//! What is asked of a whole LAN, and what the answers say: WS-Discovery, mDNS (RFC 6762 section 6.7: a question from
//! another port than 5353 is answered there), UPnP's discovery (UPnP Device Architecture 1.1 section 1.3). Pure.

use super::evidence::Devices;
use crate::wire::dns::{Data, Message, Question, CLASS_IN, TYPE_PTR};
use crate::wire::onvif;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// Where mDNS is spoken.
const MDNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Where UPnP is.
const UPNP: SocketAddrV4 = SocketAddrV4::new(onvif::GROUP, 1900);
/// Services that only cameras offer, and RTSP, which others do as well (DNS-SD, RFC 6763 section 7).
const SERVICES: [(&str, bool); 3] =
    [("_axis-video._tcp.local", true), ("_psia._tcp.local", true), ("_rtsp._tcp.local", false)];
/// Root devices only, within a second.
const SEARCH: &str =
    "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\
                      ST: upnp:rootdevice\r\n\r\n";

/// The questions for everybody, and where to send them. Each turn's have ids of their own, made of a random number:
/// whoever has heard one of the same id before does not answer.
pub fn questions(random: [u32; 4], turn: u32) -> Vec<(SocketAddrV4, Vec<u8>)> {
    let at = SocketAddrV4::new(onvif::GROUP, onvif::PORT);
    let probe = |kind, number| (at, onvif::probe(&uuid(random, turn * 2 + number), kind).into_bytes());
    let mut all = vec![probe(onvif::VIDEO, 0), probe(onvif::DEVICE, 1), (UPNP, SEARCH.into())];
    let question = |(name, _): (&str, bool)| Question { name: name.into(), rtype: TYPE_PTR, class: CLASS_IN };
    let [.., last] = random;
    let id = last.wrapping_add(turn) as u16;
    let message = Message { id, questions: SERVICES.map(question).into(), ..Message::default() };
    all.extend(message.to_bytes().ok().map(|bytes| (MDNS, bytes)));
    all
}

/// A random UUID (RFC 9562 section 5.4), the number of which is added.
fn uuid([a, b, c, d]: [u32; 4], number: u32) -> String {
    let (version, variant) = (b & 0xfff | 0x4000, c & 0x3fff | 0x8000);
    format!(
        "{a:08x}-{:04x}-{version:04x}-{variant:04x}-{:04x}{:08x}",
        b >> 16,
        c >> 16,
        d.wrapping_add(number)
    )
}

/// Takes in an answer, whatever it is.
pub fn take(devices: &mut Devices, sender: Ipv4Addr, datagram: &[u8]) {
    if datagram.starts_with(b"HTTP/") {
        devices.upnp(sender, &String::from_utf8_lossy(datagram));
    } else if let Ok(message) = Message::parse(datagram) {
        mdns(devices, sender, &message);
    } else {
        for found in onvif::matches(datagram, IpAddr::V4(sender)) {
            devices.onvif(sender, &found);
        }
    }
}

fn mdns(devices: &mut Devices, sender: Ipv4Addr, message: &Message) {
    if !message.is_response() {
        return;
    }
    for record in message.answers.iter().chain(&message.additional) {
        let service = SERVICES.iter().find(|(name, _)| *name == record.name);
        let (Some((service, sure)), Data::Name(name)) = (service, &record.data) else { continue };
        let name = name.strip_suffix(service).unwrap_or(name).trim_end_matches('.');
        devices.mdns(sender, &label(name), *sure);
    }
}

/// A label as its owner wrote it: `wire::dns` writes bytes that are no letters as `\032`.
fn label(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let number = after.first_chunk::<3>().filter(|_| *first == b'\\');
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match number {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.extend((*first != b'\\').then_some(first));
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::evidence::hint;
    use crate::wire::dns::{Rr, FLAG_AA, FLAG_QR};
    use proptest::prelude::*;

    const ADDR: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);

    fn answer(service: &str, name: &str) -> Vec<u8> {
        let data = Data::Name(format!("{name}.{service}"));
        let answers = vec![Rr { name: service.into(), rtype: TYPE_PTR, class: CLASS_IN, ttl: 10, data }];
        Message { flags: FLAG_QR | FLAG_AA, answers, ..Message::default() }.to_bytes().unwrap()
    }

    #[test]
    fn mdns_tells_axis_from_whoever_speaks_rtsp() {
        let mut devices = Devices::default();
        take(&mut devices, ADDR, &answer("_axis-video._tcp.local", "AXIS\\032M1065-L"));
        let axis = devices.at(ADDR).unwrap();
        assert_eq!((axis.hints, axis.model.as_str()), (hint::SERVICE, "axis m1065-l"));
        assert_eq!(axis.vendor.map(|vendor| vendor.name), Some("Axis"));
        let mut devices = Devices::default();
        take(&mut devices, ADDR, &answer("_rtsp._tcp.local", "tv"));
        assert_eq!(devices.at(ADDR).unwrap().hints, hint::RTSP);
        let mut devices = Devices::default();
        take(&mut devices, ADDR, &answer("_printer._tcp.local", "axis"));
        assert!(devices.0.is_empty());
    }

    #[test]
    fn whatever_is_cut_off_is_nothing() {
        let bytes = answer("_axis-video._tcp.local", "axis");
        for cut in 0..bytes.len() {
            let mut devices = Devices::default();
            take(&mut devices, ADDR, &bytes[..cut]);
            assert!(devices.0.is_empty(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), begin in "(HTTP/|<Envelope>)?") {
            let mut devices = Devices::default();
            take(&mut devices, ADDR, &[begin.as_bytes(), &bytes].concat());
            prop_assert!(devices.0.iter().all(|device| !device.model.chars().any(char::is_control)));
        }
    }

    #[test]
    fn the_questions() {
        let all = questions([0x0123_4567, 0x89ab_cdef, 0x0123_4567, u32::MAX], 0);
        let groups: Vec<String> = all.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(
            groups,
            ["239.255.255.250:3702", "239.255.255.250:3702", "239.255.255.250:1900", "224.0.0.251:5353"]
        );
        assert_eq!(Message::parse(&all[3].1).unwrap().questions.len(), 3);
        let text = std::str::from_utf8(&all[1].1).unwrap();
        assert!(crate::wire::xml::parse(text).is_some());
        assert!(text.contains("urn:uuid:01234567-89ab-4def-8567-012300000000"), "{text}");
    }

    #[test]
    fn labels() {
        assert_eq!(label("a\\032b\\.c\\\\d\\2"), "a b.cd2");
    }
}
