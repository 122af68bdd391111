//! Section `wan`: a way out, and who says which address it has.

use super::Network;
use crate::model::Family;
use std::fmt;

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

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Named(name) => f.write_str(name),
            Device::Interfaces(names) => f.write_str(&names.join(" ")),
        }
    }
}
