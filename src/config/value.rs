//! How each kind of value is written. Every reader gives the value or the reason why it is none, which
//! completes the sentence "option NAME: ...".

use super::idn;
use super::nearest::did_you_mean;
use super::schedule::Schedule;
use super::schema::Kind;
use super::{Device, Network, Proto};
use crate::model::{millis, Family, Mac};
use crate::secret::printable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The longest piece of a value that is quoted in a problem, in characters.
const QUOTE_CAP: usize = 60;
/// RFC 1035 2.3.4: the longest name and the longest label.
const NAME_CAP: usize = 253;
const LABEL_CAP: usize = 63;
/// No name that is longer than this before it is encoded is short enough after that, in bytes.
const TEXT_CAP: usize = 4 * (NAME_CAP + 1);
/// IFNAMSIZ less the final zero.
const DEVICE_CAP: usize = 15;
/// The longest name of an interface of netifd.
const INTERFACE_CAP: usize = 64;
/// A day in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// In place of a duration: what is not to happen.
const NEVER: &str = "never";

/// A value in quotes, cut to a bearable length, harmless to a terminal.
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTE_CAP).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("'{}{more}'", printable(&cut))
}

/// What is said of a value, which is quoted before it: `'eth 0' is not ...`.
pub fn sentence(text: &str, says: &str) -> String {
    format!("{} {says}", quoted(text))
}

impl Kind {
    /// Checks a value and gives it in its one canonical spelling.
    ///
    /// # Errors
    /// The reason why it is not of this kind, with what would be.
    pub fn check(&self, text: &str) -> Result<String, String> {
        if text.is_empty() {
            return Err("has no value".into());
        }
        match self {
            Kind::Bool => flag(text).map(|on| if on { "1".into() } else { "0".into() }),
            Kind::Word(known) => word(text, known),
            Kind::Duration { min, max } => within(text, *min, *max),
            Kind::Refresh { .. } if text == NEVER => Ok(text.into()),
            Kind::Refresh { min, max } => {
                within(text, *min, *max).map_err(|why| format!("{why}; or write {NEVER}"))
            }
            Kind::Number { min, max } => match text.parse::<u32>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(number.to_string()),
                _ => Err(format!("{} is not a number from {min} to {max}", quoted(text))),
            },
            Kind::Text | Kind::Reference(_) | Kind::Provider => plain(text),
            Kind::Path if text.starts_with('/') => plain(text),
            Kind::Path => Err(sentence(text, "is not a whole path; it begins with /")),
            Kind::Url if text.starts_with("https://") || text.starts_with("http://") => plain(text),
            Kind::Url => Err("is not a URL; it begins with https:// or http://".into()),
            Kind::Device => device(text).map(|device| device.to_string()),
            Kind::Interface => interface(text),
            Kind::Domain => domain(text),
            Kind::Zone => match domain(text)? {
                zone if zone.starts_with('*') => {
                    Err("a zone has no wildcard; write the bare zone name".into())
                }
                zone => Ok(zone),
            },
            Kind::Host => host(text),
            Kind::Mac => mac(text).map(|mac| mac.to_string()),
            Kind::Target => target(text).map(|addr| addr.to_string()),
            Kind::Suffix => suffix(text).map(|bits| Ipv6Addr::from_bits(bits.into()).to_string()),
            Kind::Network => network(text).map(|net| net.to_string()),
            Kind::Source => source(text).map(|source| match source {
                Source::Network(net) => net.to_string(),
                Source::Name(name) => name,
            }),
            Kind::Schedule => Schedule::parse(text).map(|schedule| schedule.to_string()),
            Kind::Ports => ports(text).map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            }),
        }
    }
}

/// A time span between two, in its one spelling.
fn within(text: &str, min: Duration, max: Duration) -> Result<String, String> {
    let value = duration(text)?;
    if value < min || value > max {
        return Err(format!("{} is not from {} to {}", quoted(text), span(min), span(max)));
    }
    Ok(span(value))
}

/// A switch, in all spellings that UCI knows.
///
/// # Errors
/// The reason why it is none.
pub fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "yes" | "on" | "true" | "enabled" => Ok(true),
        "0" | "no" | "off" | "false" | "disabled" => Ok(false),
        _ => Err(sentence(text, "is neither on nor off; write '1' or '0'")),
    }
}

fn word(text: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&text) {
        return Ok(text.to_string());
    }
    let near = did_you_mean(text, &mut known.iter().copied());
    Err(format!("{} is none of {}{near}", quoted(text), known.join(", ")))
}

/// `30`, `30s`, `10m`, `1h`, `2d`, `200ms`.
///
/// # Errors
/// The reason why it is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let scale = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(DAY_MS),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| sentence(text, "is not a duration; write 30, 30s, 10m, 1h, 2d or 200ms"))
}

/// A duration in the largest unit that needs no fraction, as it is written in the file.
pub fn span(value: Duration) -> String {
    match millis(value) {
        0 => "0s".into(),
        ms if ms % DAY_MS == 0 => format!("{}d", ms / DAY_MS),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// Text without control characters other than newline and tab.
///
/// # Errors
/// That it has such; never quotes the text, which may be a secret.
pub fn plain(text: &str) -> Result<String, String> {
    match text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        true => Err("has control characters".into()),
        false => Ok(text.to_string()),
    }
}

/// A network device's name, or `auto`. The kernel would take more characters than letters, digits and `-_.+@`,
/// but no driver uses them, and the name goes into the packet filter's language.
///
/// # Errors
/// The reason why it is none.
pub fn device(text: &str) -> Result<Device, String> {
    let fits = (1..=DEVICE_CAP).contains(&text.len()) && text != "." && text != "..";
    match text {
        "auto" => Ok(Device::Auto),
        _ if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+@".contains(&b)) => {
            Ok(Device::Named(text.to_string()))
        }
        _ => Err(sentence(text, "is not a device's name; write one such as eth0, or auto")),
    }
}

/// netifd's name of an interface: that of its section in /etc/config/network, or one that netifd made of it (`wan_6`).
///
/// # Errors
/// The reason why it is none.
pub fn interface(text: &str) -> Result<String, String> {
    let fits = (1..=INTERFACE_CAP).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let wrong = || sentence(text, "is not an interface of netifd; write one such as wan or wan6");
    fits.then(|| text.to_string()).ok_or_else(wrong)
}

/// A whole domain name, lower case, without the final dot; its first label may be `*`. Syntax by RFC 1035
/// 2.3.1, with digits first (RFC 1123 2.1) and underscores, which dynamic names have. What is written in Unicode becomes
/// A-labels.
///
/// # Errors
/// The reason why it is none.
pub fn domain(text: &str) -> Result<String, String> {
    if text.len() > TEXT_CAP {
        return Err(format!("{} is longer than {NAME_CAP} characters", quoted(text)));
    }
    let name = idn::to_ascii(text).map_err(|why| format!("{} {why}", quoted(text)))?;
    let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
    if name.len() > NAME_CAP {
        return Err(format!("{} is longer than {NAME_CAP} characters", quoted(text)));
    }
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    if let Some(label) = labels.split('.').find(|label| !is_label(label)) {
        return Err(format!(
            "{} is not a domain name ({} cannot stand between dots)",
            quoted(text),
            quoted(label)
        ));
    }
    if name.parse::<IpAddr>().is_ok() || labels.rsplit('.').next().is_some_and(is_number) {
        return Err(sentence(text, "is not a domain name but an address or a number"));
    }
    if !labels.contains('.') {
        return Err(sentence(text, "is not a whole domain name; write all of it, such as cam.example.com"));
    }
    Ok(name)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_CAP).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_number(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
}

/// A name as a DHCP client tells it, lower case.
fn host(text: &str) -> Result<String, String> {
    match text.len() <= NAME_CAP && text.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(sentence(text, "is not a host name, as the camera tells it to the DHCP server")),
    }
}

/// The hardware address of one device.
///
/// # Errors
/// The reason why it is none.
pub fn mac(text: &str) -> Result<Mac, String> {
    let found = Mac::parse(text).ok_or_else(|| sentence(text, "is not a MAC; write AA:BB:CC:DD:EE:FF"))?;
    let Mac([first, ..]) = found;
    match first & 1 == 1 || found == Mac([0; 6]) {
        true => Err(sentence(text, "is no device's own MAC")),
        false => Ok(found),
    }
}

/// The IPv4 address of a device on the LAN.
///
/// # Errors
/// The reason why it is none.
pub fn target(text: &str) -> Result<Ipv4Addr, String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(sentence(text, "is IPv6: not built yet; write the camera's IPv4 address or its MAC"));
    }
    let addr: Ipv4Addr = text.parse().map_err(|_| sentence(text, "is not an IPv4 address"))?;
    let [first, ..] = addr.octets();
    match first == 0 || first >= 224 || addr.is_loopback() {
        true => Err(sentence(text, "is not the address of a device on the LAN")),
        false => Ok(addr),
    }
}

/// The lower half of an IPv6 address, `::1234`.
///
/// # Errors
/// The reason why it is none.
pub fn suffix(text: &str) -> Result<u64, String> {
    match text.parse::<Ipv6Addr>().map(|addr| u64::try_from(addr.to_bits())) {
        Ok(Ok(bits)) if bits != 0 => Ok(bits),
        _ => Err(sentence(text, "is not the second half of an IPv6 address; write one such as ::1234")),
    }
}

/// A network in CIDR notation, or one address.
///
/// # Errors
/// The reason why it is none.
pub fn network(text: &str) -> Result<Network, String> {
    let wrong = || sentence(text, "is not a network; write one such as 198.51.100.0/24");
    Network::parse(text).ok_or_else(wrong)
}

/// Who may use a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// These addresses.
    Network(Network),
    /// The addresses of this name.
    Name(String),
}

/// A network, an address or a host name.
///
/// # Errors
/// The reason why it is none.
pub fn source(text: &str) -> Result<Source, String> {
    if let Some(net) = Network::parse(text) {
        return Ok(Source::Network(net));
    }
    let wrong = |_| sentence(text, "is neither a network, such as 198.51.100.0/24, nor a host's name");
    match domain(text).map_err(wrong)? {
        name if name.starts_with('*') => Err(sentence(text, "has no addresses of its own")),
        name => Ok(Source::Name(name)),
    }
}

/// One port or a range `8000-8010`: first and last.
///
/// # Errors
/// The reason why it is none.
pub fn ports(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && is_number(text));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match port(first).zip(port(last)) {
        Some((first, last)) if first <= last => Ok((first, last)),
        _ => Err(sentence(text, "is not a port from 1 to 65535, nor a range such as 8000-8010")),
    }
}

/// `any`, `ipv4` or `ipv6`; anything else is `any`.
pub fn families(word: &str) -> Vec<Family> {
    match word {
        "ipv4" => vec![Family::V4],
        "ipv6" => vec![Family::V6],
        _ => Family::BOTH.to_vec(),
    }
}

/// `tcp` or `udp`.
pub fn proto(word: &str) -> Option<Proto> {
    match word {
        "tcp" => Some(Proto::Tcp),
        "udp" => Some(Proto::Udp),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
