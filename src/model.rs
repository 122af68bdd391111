//! The plain data that flows through the loop: what was sensed, what is wanted, what is to be done.
//! Nothing here reads a clock, opens a socket or touches a file.

use crate::config::{Network, Probe};
use crate::map::Map;
use crate::wire::tz::Zone;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A moment on `CLOCK_BOOTTIME`, in milliseconds since boot. It never jumps when the wall clock is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// This moment plus a duration (saturating).
    pub fn plus(self, by: Duration) -> Time {
        Time(self.0.saturating_add(millis(by)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds. The standard library counts them in 128 bits, and to print those takes 3 KiB of a router's flash.
pub fn millis(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1000).saturating_add(u64::from(span.subsec_millis()))
}

/// Both clocks at one instant. Policy uses `boot`; `wall` is for signatures and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`.
    pub boot: Time,
    /// Unix time in seconds, as the machine believes it.
    pub wall: u64,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, an A record.
    V4,
    /// IPv6, an AAAA record.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family that an address belongs to.
    pub fn of(addr: IpAddr) -> Family {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The DNS record type's name: `A` or `AAAA`.
    pub fn rtype(self) -> &'static str {
        match self {
            Family::V4 => "A",
            Family::V6 => "AAAA",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An Ethernet address. Shown in lower case with colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads `AA:BB:CC:DD:EE:FF` (also with dashes, any case). `None` if it is not one.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut bytes = [0u8; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next()?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What a sensor knows of a value. Lost is not empty: a lost address never clears a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading<T> {
    /// Never seen since the agent started.
    #[default]
    Never,
    /// Seen, and still so.
    Seen {
        /// The value.
        value: T,
        /// Since when it is so.
        at: Time,
    },
    /// Seen before, gone now.
    Lost {
        /// Since when it is gone.
        since: Time,
    },
}

impl<T: Copy> Reading<T> {
    /// The value, if it is there now.
    pub fn seen(&self) -> Option<T> {
        match self {
            Reading::Seen { value, .. } => Some(*value),
            _ => None,
        }
    }
}

/// How the internet can reach one family of a WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// A public address on the interface itself.
    Public,
    /// A private address: another router stands in front.
    Nat,
    /// A shared address (RFC 6598, 100.64.0.0/10): carrier-grade NAT.
    Cgnat,
    /// No address or no default route.
    Offline,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Unknown => "unknown",
            Reach::Public => "public",
            Reach::Nat => "behind another router (private address)",
            Reach::Cgnat => "behind carrier-grade NAT",
            Reach::Offline => "offline",
        })
    }
}

/// One family of one WAN, as last sensed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The address to publish: global, stable, not tentative. Its reach is not judged here.
    pub addr: Reading<IpAddr>,
    /// Whether a default route of this family leaves by this WAN's device.
    pub route: bool,
}

/// One WAN, as last sensed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WanWorld {
    /// The kernel's name of the device, if it exists now: IPv4's, or else IPv6's.
    pub device: Option<String>,
    /// The device of IPv6, if it exists now; another one where that comes by a way of its own.
    pub device6: Option<String>,
    /// The last device that carried IPv4: it stays when that goes.
    pub last_device: Option<String>,
    /// The last device that carried IPv6, likewise.
    pub last_device6: Option<String>,
    /// Prefixes that were delegated to this WAN.
    pub prefixes: Vec<Delegated>,
    /// What netifd says of the interfaces that the section names.
    pub interfaces: Vec<Interface>,
    /// IPv4.
    pub v4: Line,
    /// IPv6.
    pub v6: Line,
    /// The next hop of IPv4's default route: the router above us.
    pub gateway: Option<Ipv4Addr>,
    /// What the router above us said last of its own address.
    pub above: Option<Above>,
}

/// What the router above a WAN says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above {
    /// It, as the next hop.
    pub gateway: Ipv4Addr,
    /// Our address in front of it, when it was asked.
    pub local: Ipv4Addr,
    /// Its own address on the side of the internet. Its reach is not judged here.
    pub external: Ipv4Addr,
}

impl WanWorld {
    /// The line of one family.
    pub fn line(&self, family: Family) -> &Line {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The line of one family, to change it.
    pub fn line_mut(&mut self, family: Family) -> &mut Line {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// An IPv6 prefix that the provider gave to this router for its networks (DHCPv6-PD, RFC 8415 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegated {
    /// netifd's name of the interface by which it came.
    pub interface: String,
    /// The prefix.
    pub prefix: Network,
    /// The parts of it that netifd gave to interfaces of the router, by their names there.
    pub assigned: Vec<(String, Network)>,
}

/// One of netifd's interfaces that a WAN section names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// netifd's name of it.
    pub name: String,
    /// The kernel's name of its device, while it is up (of PPPoE: `pppoe-wan`).
    pub device: Option<String>,
    /// How it stands, in plain words.
    pub standing: String,
    /// It does not mend by itself.
    pub trouble: bool,
}

/// An address of the router itself, with its subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddr {
    /// The device that carries it.
    pub device: String,
    /// The router's own address there.
    pub addr: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
    /// It may be used for what is new: neither tentative nor a duplicate, and not deprecated (RFC 4862 section 5.5.4).
    pub settled: bool,
}

/// What the kernel says of a neighbour with a known hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its hardware address.
    pub mac: Mac,
    /// How long ago the entry was confirmed, while the kernel holds it for good (REACHABLE or PERMANENT); `None`
    /// when it only remembers. It may call an entry REACHABLE seconds after what confirmed it, when the device
    /// has moved already: only this tells which of two addresses is the later one.
    pub confirmed: Option<Duration>,
}

/// A neighbour-table entry with a known hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its hardware address.
    pub mac: Mac,
    /// True while the kernel has confirmed it lately (REACHABLE or PERMANENT), false when it only remembers.
    pub fresh: bool,
    /// When the kernel had it confirmed; when this was told to us, if it only remembers.
    pub at: Time,
}

/// One line of dnsmasq's lease file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Unix time of expiry; 0 means never.
    pub expiry: u64,
    /// The client's hardware address.
    pub mac: Mac,
    /// The address that it holds.
    pub addr: IpAddr,
    /// The name that it told, if any.
    pub name: Option<String>,
}

/// What `/etc/TZ` says of local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeZone {
    /// This; UTC where there is no such file, or nothing in it.
    Known(Zone),
    /// Something that is no time zone, and why it is none.
    Bad(String),
}

impl Default for TimeZone {
    fn default() -> TimeZone {
        TimeZone::Known(Zone::default())
    }
}

/// Everything that was sensed, folded from events. The planner's view of the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// By the WAN section's name.
    pub wans: Map<String, WanWorld>,
    /// Every address of the router.
    pub own: Vec<OwnAddr>,
    /// Neighbours that concern a camera: by its hardware address or its network address.
    pub neighbours: Map<IpAddr, Neighbour>,
    /// DHCP leases of the LAN.
    pub leases: Vec<Lease>,
    /// Ways in that natmap keeps open, sorted.
    pub holes: Vec<Hole>,
    /// True once every sensor has spoken: before that nothing is mapped, so that a restart changes nothing.
    pub complete: bool,
    /// Whether the resolver file names a server.
    pub resolver: bool,
    /// How local time is told.
    pub zone: TimeZone,
    /// When the world last got better (address, route, resolver, trigger, clock): ends a transient back-off.
    pub healed: Option<Time>,
    /// When the clock was last set; heals a clock failure.
    pub clock_set: Option<Time>,
    /// OpenWrt's firewall is here.
    pub fw4: bool,
    /// procd, which has data of services read by that firewall, is on ubus.
    pub procd: bool,
    /// Tables of others that drop forwarded traffic, by name (mapping backend nft).
    pub droppers: Vec<String>,
    /// Counts changes to the packet filter that were not ours (nfnetlink NEWGEN).
    pub foreign_ruleset: u64,
}

/// A way in through a carrier's NAT, kept open by natmap: TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The address outside.
    pub addr: IpAddr,
    /// The port there.
    pub port: u16,
    /// The port of the WAN's own address that it leads to.
    pub inner: u16,
}

/// Names one thing to keep right: a record section's domain in one family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The record section's name.
    pub record: String,
    /// The domain, lower case, A-labels, no final dot.
    pub domain: String,
    /// A or AAAA.
    pub family: Family,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.domain, self.family.rtype())
    }
}

/// What a camera is asked: whether whoever comes to this port of it needs a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The camera and its port.
    pub target: SocketAddr,
    /// In which protocol.
    pub how: Probe,
    /// For what; begins with `/`.
    pub path: String,
}

/// How a camera asks for the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text (RFC 7617), or nothing better was offered.
    Basic,
    /// By a digest (RFC 7616).
    Digest,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Basic => "Basic",
            Scheme::Digest => "Digest",
        })
    }
}

/// What a camera made of an [`Inquiry`]. Only [`Protection::Password`] proves anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It refuses whoever brings no password.
    Password(Scheme),
    /// It serves whoever comes.
    Open,
    /// It answered something that proves neither; what, in plain words, harmless to a terminal.
    Unproven(String),
    /// Nothing listens at that port.
    NoService,
    /// Nobody answers at that address.
    Silent,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protection::Password(scheme) => write!(f, "asks for a password ({scheme})"),
            Protection::Open => f.write_str("streams to anyone, without a password"),
            Protection::Unproven(what) => write!(f, "is not proven to ask for a password: {what}"),
            Protection::NoService => f.write_str("refuses the connection: nothing listens at that port"),
            Protection::Silent => f.write_str("does not answer"),
        }
    }
}

/// What a person or a program asks of a running agent, and what the sensors tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel's links, addresses or routes, as they concern the WANs and the LAN.
    Network {
        /// By WAN section.
        wans: Map<String, WanSnapshot>,
        /// Every address of the router.
        own: Vec<OwnAddr>,
    },
    /// One neighbour-table entry; `None` when it is gone or has no hardware address.
    Neighbour(IpAddr, Option<Sighting>),
    /// The neighbour table was read anew: forget what is not in here.
    Neighbours(Vec<(IpAddr, Sighting)>),
    /// The lease file was read anew.
    Leases(Vec<Lease>),
    /// The resolver file was read anew: does it name a server?
    Resolver(bool),
    /// The time zone's file was read anew.
    TimeZone(TimeZone),
    /// What natmap says was read anew.
    Holes(Vec<Hole>),
    /// The wall clock was set.
    ClockSet,
    /// The packet filter was changed by someone else.
    RulesetChanged,
    /// Somebody (hotplug, a person) says that it is time to look: heals transient back-off.
    Trigger,
}

/// What the kernel says of one WAN at one instant, before time is added (see [`WanWorld`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WanSnapshot {
    /// The device, if it exists: IPv4's, or else IPv6's.
    pub device: Option<String>,
    /// The device of IPv6, if it exists.
    pub device6: Option<String>,
    /// The publishable IPv4 address.
    pub v4: Option<IpAddr>,
    /// The publishable IPv6 address.
    pub v6: Option<IpAddr>,
    /// An IPv4 default route leaves by IPv4's device.
    pub route4: bool,
    /// An IPv6 default route leaves by IPv6's device.
    pub route6: bool,
    /// The next hop of IPv4's default route, where it has one.
    pub gateway: Option<Ipv4Addr>,
    /// Prefixes that were delegated to this WAN, as netifd says.
    pub prefixes: Vec<Delegated>,
    /// What netifd says of the interfaces that the section names.
    pub interfaces: Vec<Interface>,
}
