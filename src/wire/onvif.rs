//! WS-Discovery, as ONVIF has it: who is a camera? One question by multicast, an answer from each.
//! WS-Discovery 2005/04 (<http://schemas.xmlsoap.org/ws/2005/04/discovery>), ONVIF Core Specification section 7.3.

use super::json::Json;
use super::xml;
use crate::secret::printable;
use std::net::{IpAddr, Ipv4Addr};

/// Where to ask.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The port there.
pub const PORT: u16 = 3702;
/// The type of a camera (and of a recorder that shows its cameras).
pub const VIDEO: &str = "dn:NetworkVideoTransmitter";
/// The type of whatever speaks ONVIF; cameras of profile T alone may have no other.
pub const DEVICE: &str = "tds:Device";
/// The most matches of one answer that are taken.
const MAX_MATCHES: usize = 4;
/// The most words of a list of types, scopes or addresses that are looked at.
const MAX_WORDS: usize = 64;
/// The most characters of a name.
const MAX_NAME: usize = 64;

/// A device that answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// It says that it is a camera.
    pub video: bool,
    /// It says that it speaks ONVIF: the type Device with a scope of ONVIF's, as printers and computers are Devices too.
    pub device: bool,
    /// The maker, if told (scope `manufacturer`); like the others harmless to a terminal.
    pub maker: String,
    /// What it is called (scope `name`): mostly the maker, the model or both.
    pub name: String,
    /// The model (scope `hardware`).
    pub model: String,
    /// The port of its web service, if that is at the address from which it answered.
    pub port: Option<u16>,
}

/// The question for devices of a type ([`VIDEO`], [`DEVICE`]). `id` is any UUID.
pub fn probe(id: &str, kind: &str) -> String {
    // Prefixes are declared once more where they are used: there are cameras that look nowhere else
    // (openhab/openhab-addons issue 9022).
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\">\
         <e:Header><w:MessageID>urn:uuid:{id}</w:MessageID>\
         <w:To e:mustUnderstand=\"true\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
         <w:Action e:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action>\
         </e:Header><e:Body><d:Probe><d:Types xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\">{kind}</d:Types></d:Probe></e:Body></e:Envelope>"
    )
}

/// Reads an answer that came from `sender`. Empty for anything that is none.
pub fn matches(datagram: &[u8], sender: IpAddr) -> Vec<Match> {
    let text = String::from_utf8_lossy(datagram);
    // Some send the final zero of their C string, and some a mark before the first byte.
    let text = text.trim_start_matches('\u{feff}').trim_matches(['\0', ' ', '\r', '\n']);
    let Some(tree) = xml::parse(text) else { return Vec::new() };
    let all = tree.get("Envelope").get("Body").get("ProbeMatches");
    let found = all.entries().iter().filter(|(name, _)| **name == *"ProbeMatch");
    found.take(MAX_MATCHES).map(|(_, found)| one(found, sender)).collect()
}

fn one(found: &Json, sender: IpAddr) -> Match {
    let mut out = Match::default();
    for word in words(found.get("Types")) {
        // Of a qualified name the prefix is each sender's own choice.
        match word.rsplit(':').next() {
            Some("NetworkVideoTransmitter") => out.video = true,
            Some("Device") => out.device = true,
            _ => {}
        }
    }
    let mut is_onvif = false;
    for scope in words(found.get("Scopes")) {
        let Some(rest) = scope.strip_prefix("onvif://www.onvif.org/") else { continue };
        is_onvif = true;
        let Some((kind, value)) = rest.split_once('/') else { continue };
        let place = match kind {
            "name" => &mut out.name,
            "hardware" => &mut out.model,
            "manufacturer" => &mut out.maker,
            _ => continue,
        };
        if place.is_empty() {
            *place = plain(value);
        }
    }
    out.device &= is_onvif;
    out.port = words(found.get("XAddrs")).find_map(|url| port(url, sender));
    out
}

/// The words of an element's text.
fn words(element: &Json) -> impl Iterator<Item = &str> {
    element.str().unwrap_or_default().split_whitespace().take(MAX_WORDS)
}

/// The port of a URL, if its host is that address: whatever else it leads to was not asked for.
fn port(url: &str, sender: IpAddr) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let host = rest.split('/').next()?;
    let (host, port) =
        host.split_once(':').map_or((host, Some(80)), |(host, port)| (host, port.parse().ok()));
    (host.parse() == Ok(sender)).then_some(port).flatten().filter(|port| *port != 0)
}

/// A scope's value: its percent signs undone (RFC 3986 section 2.1), short and harmless.
fn plain(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0).zip(digit(1))) {
            (b'%', Some((high, low))) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    short(text.trim())
}

/// A device's own words: cut to a bearable length, harmless to a terminal.
pub fn short(text: &str) -> String {
    printable(&text.chars().take(MAX_NAME).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 20));

    fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        let file = include_str!("../../tests/wire/onvif.txt");
        file.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap())
    }

    fn only(name: &str) -> Match {
        let (_, text) = all().find(|(known, _)| *known == name).unwrap();
        let [one] = matches(text.as_bytes(), SENDER).try_into().unwrap();
        one
    }

    fn camera(maker: &str, name: &str, model: &str, device: bool, port: u16) -> Match {
        let (maker, name, model) = (maker.into(), name.into(), model.into());
        Match { video: true, device, maker, name, model, port: Some(port) }
    }

    #[test]
    fn real_cameras_answers() {
        let hikvision = camera("", "HIKVISION DS-2CD2143G0-I", "DS-2CD2143G0-I", true, 80);
        assert_eq!(only("hikvision"), hikvision);
        assert_eq!(only("dahua"), camera("", "Dahua", "IPC-HFW2228M-I1-V2", true, 80));
        assert_eq!(only("axis"), camera("", "AXIS M2036-LE", "M2036-LE", true, 80));
        assert_eq!(only("reolink"), camera("", "Reolink", "RLC-810A", false, 8000));
        assert_eq!(only("tplink"), camera("", "TP-IPC", "MODEL", false, 2020));
        assert_eq!(only("hanwha"), camera("Hanwha Vision", "XNO-6080R", "XNO-6080R", true, 80));
    }

    #[test]
    fn others_answers() {
        let intercom = only("profile-t");
        assert_eq!((intercom.video, intercom.device, intercom.port), (false, true, None));
        for other in ["printer", "computer"] {
            assert_eq!((only(other).video, only(other).device), (false, false), "{other}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        for (name, text) in all() {
            let text = text.trim_end();
            for cut in 0..text.len() {
                assert!(matches(&text.as_bytes()[..cut], SENDER).is_empty(), "{name} cut at {cut}");
            }
            let padded = format!("\u{feff}{text}\r\n\0");
            assert_eq!(matches(padded.as_bytes(), SENDER), matches(text.as_bytes(), SENDER), "{name}");
        }
    }

    fn with(types: &str, scopes: &str, urls: &str) -> Match {
        let text = format!(
            "<E><Body><ProbeMatches><ProbeMatch><Types>{types}</Types><Scopes>{scopes}</Scopes>\
             <XAddrs>{urls}</XAddrs></ProbeMatch></ProbeMatches></Body></E>"
        );
        let text = text.replace("E>", "Envelope>");
        matches(text.as_bytes(), SENDER).remove(0)
    }

    #[test]
    fn only_the_senders_own_address_counts() {
        let port = |urls: &str| with("a:NetworkVideoTransmitter", "", urls).port;
        assert_eq!(port("http://198.51.100.80:8080/x http://192.168.1.20:81/x"), Some(81));
        for lie in [
            "http://198.51.100.80/x",
            "http://192.168.1.20.example/x",
            "http://192.168.1.20@198.51.100.80/x",
            "http://192.168.1.20:0/x",
            "http://192.168.1.20:-1/x",
            "http:///x",
            "file:///etc/passwd",
            "",
        ] {
            assert_eq!(port(lie), None, "{lie}");
        }
    }

    #[test]
    fn hostile_names() {
        let found = with("dn:Device", "onvif://www.onvif.org/name/a%1b%5B31m%0ab%E2%80%AE%", "");
        assert_eq!(found.name, "a\\u{1b}[31m\\nb\\u{202e}%");
        let long = with("dn:Device", &format!("onvif://www.onvif.org/hardware/{}", "%41".repeat(500)), "");
        assert_eq!(long.model, "A".repeat(MAX_NAME));
        assert_eq!(with("x:NetworkVideoTransmitterX NetworkVideo", "", ""), Match::default());
        let odd = with("NetworkVideoTransmitter", "onvif://www.onvif.org/name/%E4%F6%zz%4", "");
        assert!(odd.video && odd.name.ends_with("%zz%4"), "{}", odd.name);
    }

    #[test]
    fn few_matches_of_one_answer() {
        let many = "<ProbeMatch><Types>a:Device</Types></ProbeMatch>".repeat(100);
        let text = format!("<Envelope><Body><ProbeMatches>{many}</ProbeMatches></Body></Envelope>");
        assert_eq!(matches(text.as_bytes(), SENDER).len(), MAX_MATCHES);
    }
}
