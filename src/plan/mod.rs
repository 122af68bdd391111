//! All policy, and nothing else: what to publish, what to map, when to try again.
//!
//! [`plan`] is a pure function of the configuration, the world, the state and the time. Around it stand
//! the folds that bring the state up to date: [`fold::event`] before it, [`settle`] after an act.

pub mod account;
pub mod camera;
pub mod fold;
pub mod lease;
pub mod mapping;
pub mod notify;
pub mod outside;
pub mod probe;
pub mod publish;
pub mod reach;
pub mod refresh;
pub mod reload;
pub mod repeat;
pub mod retry;
pub mod schedule;
pub mod settle;
pub mod six;
pub mod source;
pub mod tunnel;
pub mod upstream;
pub mod witness;

use crate::config::{Config, Network, Proto};
use crate::model::{Family, Inquiry, Mac, Now, RecordId, Time, World};
use crate::notify::Message;
use crate::provider::Wanted;
use crate::state::State;
use std::net::{IpAddr, Ipv4Addr};

/// What to do now, and when to look again if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be started now, in this order.
    pub actions: Vec<Action>,
    /// The next moment at which this plan could differ, if no event comes before.
    pub wake_at: Option<Time>,
}

impl Plan {
    /// Asks to be called again at `at`, or earlier.
    fn wake(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Decides. Closing comes first, and it does not wait for the change of the packet filter that is under way, so that
/// a close overtakes everything.
pub fn plan(config: &Config, world: &World, state: &State, now: Now) -> Plan {
    let mut plan = Plan::default();
    mapping::plan(config, world, state, now, &mut plan);
    probe::plan(config, world, state, now, &mut plan);
    tunnel::plan(config, world, state, now, &mut plan);
    source::plan(config, world, state, now.boot, &mut plan);
    publish::plan(config, world, state, now, &mut plan);
    lease::plan(config, world, state, now, &mut plan);
    upstream::plan(config, world, state, now, &mut plan);
    witness::plan(config, world, state, now, &mut plan);
    outside::plan(config, world, state, now, &mut plan);
    notify::plan(config, world, state, now, &mut plan);
    plan
}

/// One thing to do. What is to be done passes through several hands until it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring these records of one account up to date.
    Publish(Box<PublishJob>),
    /// Ask the zone's name servers what is published (before the first write of a provider that cannot read).
    Look(Box<LookJob>),
    /// Ask a camera whether it wants a password.
    Probe(Box<ProbeJob>),
    /// Ask witnesses which address the internet sees.
    Witness(Box<WitnessJob>),
    /// Look up a name of `list src_ip`.
    Resolve(Box<ResolveJob>),
    /// Make the packet filter carry exactly these rules, and cut what is listed.
    Map(Box<MapJob>),
    /// Tell the owner.
    Tell(Box<TellJob>),
    /// Make dnsmasq's configuration have exactly these static leases of ours.
    Lease(Box<LeaseJob>),
    /// Ask the router above a WAN for its address and for ports.
    Upstream(Box<upstream::UpstreamJob>),
    /// Have a service try a port from the internet.
    Outside(Box<outside::OutsideJob>),
    /// Have a tunnel carry exactly these mappings.
    Tunnel(Box<tunnel::TunnelJob>),
}

/// [`Action::Publish`]. The agent adds the options, the time and the nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishJob {
    /// Key of the account, see [`account::account_key`].
    pub account: String,
    /// Which attempt of that account this is; a late outcome of an older one satisfies nothing newer.
    pub generation: u64,
    /// The record section whose options are used (all records of the job share them).
    pub record: String,
    /// What is wanted.
    pub records: Vec<Wanted>,
}

/// [`Action::Look`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookJob {
    /// As in [`PublishJob`].
    pub account: String,
    /// As in [`PublishJob`].
    pub generation: u64,
    /// What to ask for.
    pub records: Vec<RecordId>,
}

/// [`Action::Probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeJob {
    /// The mapping section's name.
    pub mapping: String,
    /// As in [`PublishJob`], of the mapping.
    pub generation: u64,
    /// What to ask.
    pub inquiry: Inquiry,
}

/// [`Action::Witness`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessJob {
    /// The WAN section's name.
    pub wan: String,
    /// Which of its addresses: each question leaves in this family only ...
    pub family: Family,
    /// As in [`PublishJob`], of the WAN and family.
    pub generation: u64,
    /// ... by this device ...
    pub device: String,
    /// ... from this address, which the interface has.
    pub own: IpAddr,
    /// What the router above us says of itself, which counts as a vote.
    pub above: Option<IpAddr>,
    /// A new round begins.
    pub fresh: bool,
    /// Whom to ask, all at once.
    pub witnesses: Vec<witness::Witness>,
}

/// [`Action::Resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveJob {
    /// The name.
    pub name: String,
    /// As in [`PublishJob`], of the name.
    pub generation: u64,
}

/// [`Action::Tell`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TellJob {
    /// The notify section's name.
    pub channel: String,
    /// As in [`PublishJob`], of the channel.
    pub generation: u64,
    /// What is said.
    pub message: Message,
}

/// [`Action::Map`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapJob {
    /// As in [`PublishJob`].
    pub generation: u64,
    /// Who is to carry the rules.
    pub carrier: Carrier,
    /// Whether OpenWrt's firewall may be made to reload. If not, what is no more among the rules is closed all the
    /// same, and what is new waits.
    pub reload: bool,
    /// The rules that are to be there, all of them. Empty: the table goes.
    pub rules: Vec<Rule>,
    /// LAN targets whose connections are to be cut after the rules are in force.
    pub cut: Vec<IpAddr>,
    /// The WANs' addresses: a program of the router that listens on one of them has the port.
    pub wan_addrs: Vec<IpAddr>,
    /// Mappings whose camera was not seen yet, or has not answered yet: what the firewall's own configuration has of them may stay there, closed
    /// by our own table.
    pub unseen: Vec<String>,
}

/// [`Action::Lease`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseJob {
    /// What is wanted.
    pub leases: Vec<StaticLease>,
    /// What else is there of ours goes.
    pub only: bool,
    /// dnsmasq has yet to hear of an earlier change.
    pub tell: bool,
}

/// A host section of dnsmasq's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticLease {
    /// The camera section's name.
    pub camera: String,
    /// A host name, one label.
    pub host: String,
    /// The camera's hardware addresses. None: what is written stays as it is.
    pub macs: Vec<Mac>,
    /// The camera's address, where none is written yet. `None`: nothing new is written.
    pub addr: Option<Ipv4Addr>,
    /// It takes the place of another one that is written.
    pub moved: bool,
}

/// What became of a [`LeaseJob`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leased {
    /// The file was changed.
    pub written: bool,
    /// The cameras with a section there, and its address.
    pub pinned: Vec<(String, Ipv4Addr)>,
    /// The cameras for which none is written because of somebody else's, and whose.
    pub refused: Vec<(String, String)>,
    /// Why dnsmasq was not told of the change.
    pub untold: Option<String>,
}

/// Who carries the mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// Nobody: what is left of an earlier one is taken away.
    #[default]
    None,
    /// A table of our own.
    Nft,
    /// OpenWrt's firewall, by data of a procd service.
    Service,
    /// OpenWrt's firewall, by sections of its own configuration.
    Uci,
}

impl Carrier {
    /// Whether a change costs a reload of the whole firewall.
    pub fn reloads(self) -> bool {
        matches!(self, Carrier::Service | Carrier::Uci)
    }
}

/// What a [`MapJob`] that went well carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Mappings that cannot be carried, and why. They are not tried again until something else is wanted.
    pub refused: Vec<(String, String)>,
    /// Mappings that are not in force yet.
    pub missing: Vec<String>,
    /// OpenWrt's firewall was made to reload.
    pub reloaded: bool,
}

/// One port mapping in one family, complete: never without a target. In IPv4 it is reached at the WANs' addresses, in
/// IPv6 at the target's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// The mapping section's name.
    pub mapping: String,
    /// Devices of the WANs by which it is reached.
    pub wan_devices: Vec<String>,
    /// The WANs' IPv4 addresses, for hairpin.
    pub wan_addrs: Vec<IpAddr>,
    /// The LAN device that the target is connected to.
    pub lan_device: String,
    /// The LAN subnet that the target is in, for hairpin.
    pub lan: Network,
    /// Protocol.
    pub proto: Proto,
    /// Public ports, first and last.
    pub src_dport: (u16, u16),
    /// The camera.
    pub target: IpAddr,
    /// Ports of the camera, first and last.
    pub dest_port: (u16, u16),
    /// Who may; empty means anyone.
    pub sources: Vec<Network>,
    /// The firewall zone that it is reached from, where the firewall has zones (fw4).
    pub src: String,
    /// The camera's firewall zone.
    pub dest: String,
}

impl Rule {
    /// Whether packets come to the camera as they were sent: to its own address, and the port stays. The kernel does not
    /// call them translated then, though a rule says `dnat`.
    pub fn is_plain(&self) -> bool {
        self.target.is_ipv6() && self.src_dport == self.dest_port
    }
}
