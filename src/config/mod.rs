//! The configuration: `/etc/config/porchlight` as typed, checked values.
//!
//! `uci` reads the text, `schema` is the table of all options, `value` knows how each kind of value
//! is written, `read` checks one section against the table, `load` turns sections into a [`Config`]
//! and a list of [`Problem`]s, `describe` says in plain words what a config means.

pub mod describe;
pub mod edit;
mod idn;
pub mod load;
pub(crate) mod nearest;
mod read;
pub mod schedule;
pub mod schema;
pub mod tunnel;
pub mod uci;
pub mod value;

use crate::model::{Family, Mac};
use crate::notify::Occasion;
use crate::provider::Options;
use crate::secret::Secret;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
pub use tunnel::Tunnel;

/// A network in CIDR notation, host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Its first address.
    pub addr: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32`, or a single address, which is a network of one.
    /// Host bits are cleared. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Network> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().ok()?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(text) if (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|bits| *bits <= most)?
            }
            Some(_) => return None,
        };
        Some(Network { addr: first_address(addr, prefix), prefix })
    }

    /// The network that an address with this prefix is in. `None` if the prefix is too long.
    pub fn new(addr: IpAddr, prefix: u8) -> Option<Network> {
        let most = if addr.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then(|| Network { addr: first_address(addr, prefix), prefix })
    }

    /// Whether another network lies within this one, or is it.
    pub fn covers(&self, inner: &Network) -> bool {
        self.prefix <= inner.prefix && self.contains(inner.addr)
    }

    /// Whether an address lies in this network. Never so for the other family.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let (addr, net, width) = match (addr, self.addr) {
            (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(u32::from(a)), u128::from(u32::from(n)), 32),
            (IpAddr::V6(a), IpAddr::V6(n)) => (u128::from(a), u128::from(n), 128),
            _ => return false,
        };
        let host_bits = width - u32::from(self.prefix).min(width);
        // A shift by the whole width means that every address matches.
        (addr ^ net).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

/// The address with all bits behind the prefix cleared.
fn first_address(addr: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = if self.addr.is_ipv4() { 32 } else { 128 };
        match self.prefix == single {
            true => write!(f, "{}", self.addr),
            false => write!(f, "{}/{}", self.addr, self.prefix),
        }
    }
}

/// The whole configuration. Only enabled, faultless sections are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Section `porchlight`.
    pub global: Global,
    /// Sections `wan`.
    pub wans: Vec<Wan>,
    /// Sections `record`.
    pub records: Vec<Record>,
    /// Sections `camera`.
    pub cameras: Vec<Camera>,
    /// Sections `mapping`.
    pub mappings: Vec<Mapping>,
    /// Sections `tunnel`.
    pub tunnels: Vec<Tunnel>,
    /// Sections `notify`.
    pub notifies: Vec<Notify>,
    /// Some sections are left out because of errors.
    pub faulty: bool,
}

impl Config {
    /// Whether a mapping is to be reached at this camera's own IPv6 address.
    pub fn has_ipv6(&self, camera: &Camera) -> bool {
        self.mappings
            .iter()
            .any(|mapping| mapping.camera == camera.name && mapping.families.contains(&Family::V6))
    }

    /// The camera whose own IPv6 address a record says: the one that goes by it and is reached by IPv6. There is one at
    /// the most.
    pub fn camera_of(&self, record: &Record) -> Option<&Camera> {
        let goes_by = |camera: &&Camera| camera.records.contains(&record.name) && self.has_ipv6(camera);
        self.cameras.iter().find(goes_by).filter(|_| record.families.contains(&Family::V6))
    }
}

/// Section `porchlight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `option enabled`.
    pub enabled: bool,
    /// `option log_level`.
    pub log_level: log::LevelFilter,
    /// `option resident`: a daemon stays; else hotplug and cron make passes.
    pub resident: bool,
    /// `option check_interval`: the scheduled look when nothing happens.
    pub check_interval: Duration,
    /// `option debounce`.
    pub debounce: Duration,
    /// `option timeout`: one request.
    pub timeout: Duration,
    /// `option cacert`: a PEM file of trusted roots.
    pub cacert: String,
    /// `option mapping_backend`.
    pub backend: BackendChoice,
    /// `option upstream`.
    pub upstream: Upstream,
    /// `option keep_on_stop`.
    pub keep_on_stop: bool,
    /// `option probe_url`: who tries the ports from the internet; `None`: nobody.
    pub probe_url: Option<ProbeUrl>,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            enabled: true,
            log_level: log::LevelFilter::Info,
            resident: true,
            check_interval: Duration::from_secs(600),
            debounce: Duration::from_millis(200),
            timeout: Duration::from_secs(10),
            cacert: "/etc/ssl/certs/ca-certificates.crt".into(),
            backend: BackendChoice::Auto,
            upstream: Upstream::Auto,
            keep_on_stop: false,
            probe_url: None,
        }
    }
}

impl Global {
    /// Whether a clean stop leaves the mappings: what is written in the firewall's configuration always stays, so that
    /// a restart does not wear the flash.
    pub fn leaves_mappings(&self) -> bool {
        self.keep_on_stop || self.backend == BackendChoice::Uci
    }
}

/// `option probe_url`: a service that tries a port from the internet, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeUrl {
    /// Its address, with `{port}` and perhaps `{ip}`.
    pub url: String,
    /// `option probe_open`: what the answer holds if the port is open.
    pub open: String,
    /// `option probe_closed`: what it holds if the port is closed.
    pub closed: String,
}

impl Mapping {
    /// Whether only some may come in (`src_ip`).
    pub fn is_limited(&self) -> bool {
        !self.sources.is_empty() || !self.source_names.is_empty()
    }
}

impl ProbeUrl {
    /// Its host, and its port if it has one: all that may be shown. A query, which may hold a secret, can follow at once.
    pub fn host(&self) -> &str {
        self.url.split(['/', '?']).nth(2).unwrap_or_default()
    }
}

/// `option upstream`: whether the router above us is asked for our ports too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Where the WAN's own address is private.
    Auto,
    /// Always.
    On,
    /// Never. So it is without a daemon, which would renew what was given.
    Off,
}

/// `option mapping_backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// `service` where OpenWrt's firewall (fw4) is, else `nft`.
    Auto,
    /// Redirects as data of a procd service, which fw4 reads.
    Service,
    /// Named redirects in `/etc/config/firewall`, which fw4 reads.
    Uci,
    /// An nftables table of our own.
    Nft,
    /// No mapping at all.
    None,
}

/// Section `wan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wan {
    /// The section's name.
    pub name: String,
    /// `option device` or `list interface`.
    pub device: Device,
    /// `option family`.
    pub families: Vec<Family>,
    /// `list accept`: special-purpose networks to publish all the same.
    pub accept: Vec<Network>,
    /// `list ip_source`: whom to ask for the address, in this order; never empty.
    pub sources: Vec<IpSource>,
    /// `list ip_url`: web witnesses in place of the built-in ones.
    pub ip_urls: Vec<String>,
    /// `option ip_script`.
    pub ip_script: Option<String>,
    /// `option agree`: how many witnesses must.
    pub agree: u8,
}

impl Wan {
    /// A WAN that nobody configured: its interface alone is believed.
    pub fn plain(name: &str, device: Device, families: Vec<Family>, accept: Vec<Network>) -> Wan {
        let (sources, ip_urls, ip_script) = (vec![IpSource::Interface], Vec::new(), None);
        Wan { name: name.into(), device, families, accept, sources, ip_urls, ip_script, agree: AGREE }
    }
}

/// `option agree`, if it is not set.
pub const AGREE: u8 = 2;

/// `list ip_source`: who says which address a WAN has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpSource {
    /// The interface.
    Interface,
    /// Servers that answer with it in DNS.
    Dns,
    /// Web services.
    Web,
    /// The owner's program.
    Script,
}

impl IpSource {
    /// The default, in order.
    pub const USUAL: [IpSource; 3] = [IpSource::Interface, IpSource::Dns, IpSource::Web];

    /// Reads its name in UCI.
    pub fn parse(word: &str) -> Option<IpSource> {
        [IpSource::Interface, IpSource::Dns, IpSource::Web, IpSource::Script]
            .into_iter()
            .find(|s| s.word() == word)
    }

    /// Its name in UCI.
    pub fn word(self) -> &'static str {
        match self {
            IpSource::Interface => "interface",
            IpSource::Dns => "dns",
            IpSource::Web => "web",
            IpSource::Script => "script",
        }
    }
}

/// `option device` or `list interface`: which device a WAN is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The one with the default route, per family.
    Auto,
    /// By the kernel's name.
    Named(String),
    /// Those of these interfaces of netifd, per family; never empty.
    Interfaces(Vec<String>),
}

/// Section `record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The section's name, else its first domain.
    pub name: String,
    /// `option provider`, a name in [`crate::provider::PROVIDERS`].
    pub provider: String,
    /// `list domain`: lower case, A-labels, no final dot.
    pub domains: Vec<String>,
    /// `list wan`: names of WAN sections; never empty (default: all, in order).
    pub wans: Vec<String>,
    /// `option family`.
    pub families: Vec<Family>,
    /// `option ttl` in seconds, if set.
    pub ttl: Option<u32>,
    /// `option refresh`, else what the provider needs: unchanged for so long it is sent once more; zero: never.
    pub refresh: Duration,
    /// `option zone`.
    pub zone: Option<String>,
    /// `option follow_tunnel`: the server's address while a tunnel carries.
    pub follow_tunnel: bool,
    /// The provider's own options.
    pub options: Options,
}

/// Section `camera`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// The section's name, else its first MAC, name or address.
    pub name: String,
    /// How it is known. At least one is set.
    pub macs: Vec<Mac>,
    /// DHCP host name, lower case.
    pub host: Option<String>,
    /// A fixed LAN address.
    pub ip: Option<IpAddr>,
    /// `list record`: names of record sections.
    pub records: Vec<String>,
    /// `option hostid`: the half of its own of its IPv6 address, the lower 64 bits.
    pub hostid: Option<u64>,
    /// `option static_lease`: dnsmasq is to give it the same address always.
    pub static_lease: bool,
}

/// Section `mapping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The section's name, else `<camera>_<src_dport>`.
    pub name: String,
    /// `option camera`: the name of a camera section.
    pub camera: String,
    /// `list proto`.
    pub protos: Vec<Proto>,
    /// `option src_dport`: on the WAN, first and last port.
    pub src_dport: (u16, u16),
    /// `option dest_port`: on the camera, as many ports as `src_dport`.
    pub dest_port: (u16, u16),
    /// The networks of `list src_ip`: who may; empty, and no names: anyone.
    pub sources: Vec<Network>,
    /// The names of `list src_ip`: who has an address of theirs may too.
    pub source_names: Vec<String>,
    /// `option schedule`: when it is open; `None`: always.
    pub schedule: Option<schedule::Schedule>,
    /// `option family`, IPv4 first; never empty.
    pub families: Vec<Family>,
    /// `option src`: the firewall zone that it is reached from, where the firewall has zones (fw4).
    pub src: String,
    /// `option dest`: the camera's firewall zone.
    pub dest: String,
    /// `option probe`: how the camera is asked whether it wants a password.
    pub probe: Probe,
    /// `option path`: what it is asked for; begins with `/`.
    pub path: String,
    /// `option probe_interval`: after so long it is asked again.
    pub probe_interval: Duration,
    /// `option allow_open`: expose it although it is not proven to ask for a password.
    pub allow_open: bool,
}

/// Section `notify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The section's name, else its kind.
    pub name: String,
    /// `option kind`, one of [`crate::notify::CHANNELS`].
    pub kind: String,
    /// `list on`: what to tell of.
    pub on: Vec<Occasion>,
    /// `option details`: with names and addresses.
    pub details: bool,
    /// `option title`: what every title begins with.
    pub title: String,
    /// The kind's own options.
    pub options: Options,
}

impl Notify {
    /// A plain option of the kind, if it is set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.text.get(name).map(String::as_str)
    }

    /// A secret option of the kind, if it is set.
    pub fn secret(&self, name: &str) -> Option<&str> {
        self.options.secrets.get(name).map(Secret::reveal)
    }
}

/// `option probe`: how a camera is asked whether it wants a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// By RTSP: OPTIONS, then DESCRIBE.
    Rtsp,
    /// By HTTP: GET.
    Http,
    /// Only whether the port answers; proves nothing.
    Tcp,
    /// Not at all; proves nothing.
    None,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Probe::Rtsp => "rtsp",
            Probe::Http => "http",
            Probe::Tcp => "tcp",
            Probe::None => "none",
        })
    }
}

/// The longest name of a firewall zone.
const MAX_ZONE: usize = 32;

/// Whether this can be a firewall zone's name (fw4).
pub fn is_zone(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !name.is_empty() && name.len() <= MAX_ZONE && name.bytes().all(plain)
}

/// `list proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        })
    }
}

/// Ports, first and last, as UCI, nft and people write them: `8000` or `8000-8010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports(pub (u16, u16));

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Named(name) => f.write_str(name),
            Device::Interfaces(names) => f.write_str(&names.join(" ")),
        }
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Said, but nothing is left out.
    Warning,
    /// The section is left out at boot; a reload with it is refused whole.
    Error,
}

/// Something in the configuration that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Path of the file.
    pub file: String,
    /// 1-based line, 0 where there is none.
    pub line: usize,
    /// What is wrong, with the option's name, and what to do, with the nearest known name.
    pub text: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// `FILE:LINE: error: what is wrong and what to do`, as compilers write it, so that editors can jump there.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}: {}", self.file, self.severity, self.text),
            line => write!(f, "{}:{line}: {}: {}", self.file, self.severity, self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_host_bits_cleared() {
        for (text, shown) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/0", "0.0.0.0/0"),
            ("2001:db8:ffff::1/33", "2001:db8:8000::/33"),
            ("2001:db8::1", "2001:db8::1"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Network::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "/", "1.2.3.4/", "1.2.3.4/33", "::/129", "1.2.3/8", "1.2.3.4/+8", "1.2.3.4/0008", "x/8"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_contains_its_own_family_only() {
        let net = Network::parse("100.64.0.0/10").unwrap();
        assert!(net.contains("100.64.0.0".parse().unwrap()));
        assert!(net.contains("100.127.255.255".parse().unwrap()));
        assert!(!net.contains("100.128.0.0".parse().unwrap()));
        assert!(!Network::parse("0.0.0.0/0").unwrap().contains("::1".parse().unwrap()));
        assert!(!Network::parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn a_problem_is_shown_as_compilers_do() {
        let mut problem =
            Problem { severity: Severity::Error, file: "porchlight".into(), line: 3, text: "no".into() };
        assert_eq!(problem.to_string(), "porchlight:3: error: no");
        problem.line = 0;
        problem.severity = Severity::Warning;
        assert_eq!(problem.to_string(), "porchlight: warning: no");
    }
}
