//! The configuration: `/etc/config/porchlight` as typed, checked values.
//!
//! `uci` reads the text, `schema` is the table of all options, `value` knows how each kind of value
//! is written, `read` checks one section against the table, `load` turns sections into a [`Config`]
//! and a list of [`Problem`]s, `describe` says in plain words what a config means.

pub mod describe;
pub mod edit;
mod global;
mod idn;
pub mod load;
pub(crate) mod nearest;
mod network;
mod problem;
mod read;
pub mod schedule;
pub mod schema;
pub mod tunnel;
pub mod uci;
pub mod value;
mod wan;

use crate::model::{Family, Mac};
use crate::notify::Occasion;
use crate::provider::Options;
use crate::secret::Secret;
pub use global::{BackendChoice, Global, ProbeUrl, Upstream};
pub use network::Network;
pub use problem::{Problem, Severity};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
pub use tunnel::Tunnel;
pub use wan::{Device, IpSource, Wan, AGREE};

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

impl Mapping {
    /// Whether only some may come in (`src_ip`).
    pub fn is_limited(&self) -> bool {
        !self.sources.is_empty() || !self.source_names.is_empty()
    }
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
