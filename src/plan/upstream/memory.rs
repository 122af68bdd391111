//! What is asked of the router above a WAN, what it answers, and what is known of it.

use crate::config::Proto;
use crate::model::Time;
use crate::wire::igd::Service;
use crate::wire::pcp::Nonce;
use std::fmt;
use std::net::Ipv4Addr;

/// In which protocol a router is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP IGD.
    Igd,
}

impl Way {
    /// In the order in which they are tried.
    pub const ALL: [Way; 3] = [Way::Pcp, Way::NatPmp, Way::Igd];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Pcp => "PCP",
            Way::NatPmp => "NAT-PMP",
            Way::Igd => "UPnP",
        })
    }
}

/// A port of ours.
pub type Port = (Proto, u16);

/// Between which two addresses a router is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The next hop of our default route.
    pub gateway: Ipv4Addr,
    /// Our address on the WAN.
    pub local: Ipv4Addr,
}

/// A mapping of the router above us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Our port.
    pub port: Port,
    /// The port outside.
    pub external: u16,
    /// In seconds; 0 is for good.
    pub lifetime: u32,
    /// When it is to be renewed.
    pub due: Time,
}

/// A port that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Our port.
    pub port: Port,
    /// The port outside that we would like.
    pub external: u16,
}

/// [`Action::Upstream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamJob {
    /// The WAN section's name.
    pub wan: String,
    /// Its device.
    pub device: String,
    /// Which attempt of that WAN this is.
    pub generation: u64,
    /// Who is asked, from where.
    pub place: Place,
    /// In which protocol; `None`: to be found out.
    pub way: Option<Way>,
    /// Of UPnP: which service, if it is known.
    pub service: Option<Service>,
    /// Its address outside, as far as it is known.
    pub external: Option<Ipv4Addr>,
    /// Of PCP.
    pub nonce: Nonce,
    /// What is asked for, or renewed.
    pub asks: Vec<Ask>,
    /// What is taken away.
    pub drops: Vec<Grant>,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In which protocol it answered; `None`: in none.
    pub way: Option<Way>,
    /// Of UPnP: the service.
    pub service: Option<Service>,
    /// Its address outside, if it has one.
    pub external: Option<Ipv4Addr>,
    /// Seconds since its table was empty, where the protocol tells.
    pub epoch: Option<u32>,
    /// What it gave: our port, the port outside, the lifetime.
    pub granted: Vec<(Port, u16, u32)>,
    /// What it refused, and why.
    pub refused: Vec<(Port, String)>,
    /// What is surely gone.
    pub dropped: Vec<Port>,
}

/// What is known of the router above one WAN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamState {
    /// Number of the last job.
    pub generation: u64,
    /// The running job.
    pub in_flight: Option<UpstreamJob>,
    /// Between whom; all below is about this.
    pub place: Option<Place>,
    /// In which protocol it answers.
    pub way: Option<Way>,
    /// Of UPnP: the service.
    pub service: Option<Service>,
    /// Its address outside.
    pub external: Option<Ipv4Addr>,
    /// Its epoch, and when it was told.
    pub epoch: Option<(u32, Time)>,
    /// Its mappings for us.
    pub grants: Vec<Grant>,
    /// What it refused, and why.
    pub refused: Vec<(Port, String)>,
    /// How often in a row it did not answer.
    pub tries: u32,
    /// When the last job ended.
    pub at: Time,
    /// When to look again.
    pub next: Time,
    /// It announced a change while it was being asked: when to look again then.
    pub again: Option<Time>,
    /// Not asked for the sake of an announcement before this.
    pub hush: Time,
    /// What was said of it last.
    pub said: String,
}
