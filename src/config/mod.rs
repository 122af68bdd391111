//! The configuration: `/etc/config/porchlight` as typed, checked values.
//!
//! `uci` reads the text, `schema` is the table of all options, `load` turns sections into a
//! [`Config`] and a list of [`Problem`]s, `describe` says in plain words what a config means.

pub mod describe;
pub mod load;
pub mod schema;
pub mod uci;

use crate::model::{Family, Mac};
use crate::provider::Options;
use std::net::IpAddr;
use std::time::Duration;

/// A network in CIDR notation, host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Its first address.
    pub addr: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
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
}

/// Section `porchlight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `option enabled`.
    pub enabled: bool,
    /// `option log_level`.
    pub log_level: log::LevelFilter,
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
    /// `option keep_on_stop`.
    pub keep_on_stop: bool,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            enabled: true,
            log_level: log::LevelFilter::Info,
            check_interval: Duration::from_secs(600),
            debounce: Duration::from_millis(200),
            timeout: Duration::from_secs(10),
            cacert: "/etc/ssl/certs/ca-certificates.crt".into(),
            backend: BackendChoice::Auto,
            keep_on_stop: false,
        }
    }
}

/// `option mapping_backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// nft where there is no fw4; where there is, nothing is mapped and said so.
    Auto,
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
    /// `option device`.
    pub device: Device,
    /// `option family`.
    pub families: Vec<Family>,
    /// `list accept`: special-purpose networks to publish all the same.
    pub accept: Vec<Network>,
}

/// `option device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The one with the default route, per family.
    Auto,
    /// By the kernel's name.
    Named(String),
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
    /// `option zone`.
    pub zone: Option<String>,
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
    /// `list src_ip`: who may; empty means anyone.
    pub sources: Vec<Network>,
    /// `option allow_open`: expose it although it is not proven to ask for a password.
    pub allow_open: bool,
}

/// `list proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
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
