//! The kernel's links, addresses and default routes as far as they were told, and what they mean for the WANs.
//! No sockets, no clock: fed with messages, asked for snapshots.
//!
//! Which tables count. For a device that the owner named, a default route in any table but `local` is the sign that
//! its line is up: with policy routing (netifd's `ip4table`, mwan3, VRFs) a WAN's default route may live in a table of
//! its own only. For `auto` only `main` and `default` count, because they decide for packets that no rule picks out:
//! a VPN's own table must not make the VPN the WAN.
//!
//! Interfaces of netifd. netifd says by which device each goes, and nothing else is taken from it: addresses and routes
//! are those that the kernel tells of the device of that name, so that a PPPoE device that is made anew counts at once.
//! Of a section's interfaces each family takes the device that serves it best, see [`worth`]. Where that has no IPv6
//! address to publish, but a prefix was delegated to it, the router's own address out of that prefix, on its LAN, is as
//! good: packets to it come by this WAN and end at the router.

use crate::config::{Device, Wan};
use crate::map::Map;
use crate::model::{Delegated, Family, OwnAddr, Reach, WanSnapshot};
use crate::plan::reach::reach;
use crate::sense::choose::{choose_v4, choose_v6, is_settled, worth, Candidate};
use crate::sense::heard::{self, Answers};
use crate::wire::rtnl::{Addr, Link, Message, Route, FOREVER};
use std::net::{IpAddr, Ipv4Addr};

/// The most devices that are kept; a router has tens.
const MAX_LINKS: usize = 4096;
/// The most addresses that are kept.
const MAX_ADDRS: usize = 8192;
/// The most default routes that are kept, per family.
const MAX_ROUTES: usize = 512;

const TABLE_DEFAULT: u32 = 253;
const TABLE_MAIN: u32 = 254;
const TABLE_LOCAL: u32 = 255;

/// Something that the kernel can be asked to tell in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Devices.
    Links,
    /// Addresses of both families.
    Addrs,
    /// Routes of one family.
    Routes(Family),
}

/// A set of [`Table`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables(u8);

impl Tables {
    /// All, in the order in which they are to be asked for.
    const ORDER: [Table; 4] =
        [Table::Links, Table::Addrs, Table::Routes(Family::V4), Table::Routes(Family::V6)];
    /// Every one.
    pub const ALL: Tables = Tables(0xf);

    fn bit(table: Table) -> u8 {
        match table {
            Table::Links => 1,
            Table::Addrs => 2,
            Table::Routes(Family::V4) => 4,
            Table::Routes(Family::V6) => 8,
        }
    }

    /// Adds one.
    pub fn add(&mut self, table: Table) {
        self.0 |= Self::bit(table);
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Tables) {
        self.0 |= other.0;
    }

    /// Takes out the one that is to be asked for first.
    pub fn take_first(&mut self) -> Option<Table> {
        let first = Self::ORDER.into_iter().find(|table| self.contains(*table))?;
        self.0 &= !Self::bit(first);
        Some(first)
    }

    /// Whether it is in.
    pub fn contains(self, table: Table) -> bool {
        self.0 & Self::bit(table) != 0
    }

    /// Whether none is in.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A value, and whether the dump under way has told it (or an event since).
#[derive(Debug)]
struct Kept<T> {
    value: T,
    told: bool,
}

/// An address with the end of its preferred lifetime in seconds since boot.
#[derive(Debug)]
struct KnownAddr {
    addr: Addr,
    preferred_until: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct View {
    links: Map<u32, Kept<Link>>,
    addrs: Map<(u32, IpAddr, u8), Kept<KnownAddr>>,
    routes: Map<Family, Vec<Route>>,
    arriving: Vec<Route>,
    changes: u64,
}

/// How one family of a WAN goes.
#[derive(Default)]
struct Way<'a> {
    link: Option<&'a Link>,
    addr: Option<IpAddr>,
    route: bool,
    gateway: Option<Ipv4Addr>,
}

impl View {
    /// A dump of `table` begins: what it does not tell is gone when it ends.
    pub fn begin(&mut self, table: Table) {
        match table {
            Table::Links => self.links.values_mut().for_each(|kept| kept.told = false),
            Table::Addrs => self.addrs.values_mut().for_each(|kept| kept.told = false),
            Table::Routes(_) => self.arriving.clear(),
        }
    }

    /// The dump of `table` is complete.
    pub fn finish(&mut self, table: Table) {
        match table {
            Table::Links => {
                let before = self.links.len();
                self.links.retain(|_, kept| kept.told);
                self.changed(self.links.len() != before);
            }
            Table::Addrs => {
                let before = self.addrs.len();
                self.addrs.retain(|_, kept| kept.told);
                self.changed(self.addrs.len() != before);
            }
            Table::Routes(family) => {
                let after = std::mem::take(&mut self.arriving);
                self.changed(self.routes.get(&family) != Some(&after));
                self.routes.insert(family, after);
            }
        }
    }

    /// Grows with every device, address or default route that comes, goes or changes; not with lifetimes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn changed(&mut self, really: bool) {
        self.changes += u64::from(really);
    }

    /// Takes in a message that belongs to the dump of `table`. `now`: seconds since boot.
    pub fn dumped(&mut self, table: Table, message: Message, now: u64) {
        match (table, message) {
            (Table::Links, Message::Link(link)) => self.put_link(link),
            (Table::Addrs, Message::Addr(addr)) => self.put_addr(addr, now),
            (Table::Routes(family), Message::Route(route))
                if route.family == family && self.arriving.len() < MAX_ROUTES =>
            {
                self.arriving.push(route);
            }
            _ => {}
        }
    }

    /// Takes in a message that the kernel sent of itself. Returns what is to be asked for anew because of it.
    ///
    /// Routes are always asked for: the kernel says nothing about IPv4 routes that go with their device or its last
    /// address, nor about next hops that die and revive, and a replaced route is told as a new one only.
    pub fn happened(&mut self, message: Message, now: u64) -> Tables {
        let mut stale = Tables::default();
        match message {
            Message::Link(link) => {
                let before = self.links.get(&link.index).map(|kept| kept.value.up);
                if before.is_some_and(|up| up != link.up) {
                    stale = Tables::ALL_ROUTES;
                }
                self.put_link(link);
            }
            Message::LinkGone(index) => {
                let known = self.links.remove(&index).is_some();
                self.changed(known);
                self.addrs.retain(|key, _| key.0 != index);
                stale = Tables::ALL_ROUTES;
            }
            Message::Addr(addr) => self.put_addr(addr, now),
            Message::AddrGone(addr) => {
                let known = self.addrs.remove(&(addr.index, addr.addr, addr.prefix)).is_some();
                self.changed(known);
                if addr.addr.is_ipv4() {
                    stale.add(Table::Routes(Family::V4));
                }
            }
            Message::Route(Route { family, .. }) | Message::RouteGone(family) => {
                stale.add(Table::Routes(family));
            }
            _ => {}
        }
        stale
    }

    /// What the WANs look like now, and every address of the machine. `answers`: what netifd was heard to say. `last`
    /// is what was told before: an address that is as good as another is kept.
    pub fn snapshot(
        &self,
        wans: &[Wan],
        answers: &Answers,
        last: &Map<String, WanSnapshot>,
    ) -> (Map<String, WanSnapshot>, Vec<OwnAddr>) {
        let told = |wan: &Wan| (wan.name.clone(), self.wan(wan, answers, last.get(&wan.name)));
        (wans.iter().map(told).collect(), self.own())
    }

    fn wan(&self, wan: &Wan, answers: &Answers, last: Option<&WanSnapshot>) -> WanSnapshot {
        let names = match &wan.device {
            Device::Interfaces(names) => names.as_slice(),
            _ => &[],
        };
        let prefixes = heard::prefixes(answers, names);
        let v4 = self.way(wan, Family::V4, answers, last.and_then(|last| last.v4));
        let mut v6 = self.way(wan, Family::V6, answers, last.and_then(|last| last.v6));
        let private = v6.addr.is_none_or(|addr| reach(addr, &wan.accept) != Reach::Public);
        if private && wan.families.contains(&Family::V6) {
            v6.addr = self.out_of_prefix(&prefixes, wan, last.and_then(|last| last.v6)).or(v6.addr);
        }
        let up = || self.devices(wan, Family::V4, answers).into_iter().next();
        let name = |link: &Link| link.name.clone();
        WanSnapshot {
            device: v4.link.or(v6.link).or_else(up).map(name),
            device6: v6.link.map(name),
            v4: v4.addr,
            v6: v6.addr,
            route4: v4.route,
            route6: v6.route,
            gateway: v4.gateway,
            prefixes,
            interfaces: heard::interfaces(answers, names),
        }
    }

    /// The devices that a WAN may go by, the first choice first.
    fn devices(&self, wan: &Wan, family: Family, answers: &Answers) -> Vec<&Link> {
        match &wan.device {
            Device::Named(name) => self.link(name).into_iter().collect(),
            Device::Auto => self.default_device(family).into_iter().collect(),
            Device::Interfaces(names) => {
                heard::devices(answers, names).into_iter().filter_map(|name| self.link(name)).collect()
            }
        }
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().map(|kept| &kept.value).find(|link| link.name == name)
    }

    fn way(&self, wan: &Wan, family: Family, answers: &Answers, last: Option<IpAddr>) -> Way<'_> {
        if !wan.families.contains(&family) {
            return Way::default();
        }
        let choose = if family == Family::V4 { choose_v4 } else { choose_v6 };
        let way = |link| Way {
            link: Some(link),
            addr: choose(&self.candidates(|addr| addr.index == link.index), &wan.accept, last),
            route: self.has_route(link, family),
            gateway: self.gateway(link, family),
        };
        // An interface may have nothing of this family; its device is then not that of the family.
        let serves =
            |way: &Way| !matches!(wan.device, Device::Interfaces(_)) || way.addr.is_some() || way.route;
        let ways = self.devices(wan, family, answers).into_iter().map(way).filter(serves);
        ways.min_by_key(|way| worth(way.addr, way.route, &wan.accept)).unwrap_or_default()
    }

    /// The router's own address out of a prefix that was delegated to it.
    fn out_of_prefix(&self, prefixes: &[Delegated], wan: &Wan, last: Option<IpAddr>) -> Option<IpAddr> {
        let within = |addr: &Addr| prefixes.iter().any(|given| given.prefix.contains(addr.addr));
        choose_v6(&self.candidates(within), &wan.accept, last)
    }

    /// The device of the default route with the lowest metric, one that runs before one that does not.
    fn default_device(&self, family: Family) -> Option<&Link> {
        let routes = self.routes.get(&family).map(Vec::as_slice).unwrap_or_default();
        routes
            .iter()
            .filter(|route| route.usable && matches!(route.table, TABLE_MAIN | TABLE_DEFAULT))
            .flat_map(|route| route.devices.iter().map(move |index| (route, index)))
            .filter_map(|(route, index)| Some((route, &self.links.get(index)?.value)))
            .min_by_key(|(route, link)| (!link.running, route.table != TABLE_MAIN, route.metric))
            .map(|(_, link)| link)
    }

    /// Whether a default route leaves by the device, and the device can carry packets.
    fn has_route(&self, link: &Link, family: Family) -> bool {
        let routes = self.routes.get(&family).map(Vec::as_slice).unwrap_or_default();
        link.running
            && routes.iter().any(|route| {
                route.usable && route.table != TABLE_LOCAL && route.devices.contains(&link.index)
            })
    }

    /// The next hop of the default route by the device, of several that with the lowest metric.
    fn gateway(&self, link: &Link, family: Family) -> Option<Ipv4Addr> {
        let routes = self.routes.get(&family).map(Vec::as_slice).unwrap_or_default();
        let fits = |route: &&Route| {
            route.usable && route.table != TABLE_LOCAL && route.devices.contains(&link.index)
        };
        let hops = routes.iter().filter(fits).filter(|route| route.gateway.is_some());
        hops.min_by_key(|route| (route.table != TABLE_MAIN, route.metric))?.gateway
    }

    fn candidates(&self, fits: impl Fn(&Addr) -> bool) -> Vec<Candidate> {
        let candidate = |known: &KnownAddr| Candidate {
            addr: known.addr.addr,
            flags: known.addr.flags,
            preferred_until: known.preferred_until,
        };
        self.addrs.values().map(|kept| &kept.value).filter(|known| fits(&known.addr)).map(candidate).collect()
    }

    fn own(&self) -> Vec<OwnAddr> {
        let name = |index| self.links.get(&index).map(|kept| kept.value.name.clone());
        self.addrs
            .values()
            .map(|kept| kept.value.addr)
            .filter_map(|a| {
                let settled = is_settled(a.flags);
                Some(OwnAddr { device: name(a.index)?, addr: a.addr, prefix: a.prefix, settled })
            })
            .collect()
    }

    fn put_link(&mut self, link: Link) {
        if self.links.len() < MAX_LINKS || self.links.contains_key(&link.index) {
            self.changed(self.links.get(&link.index).map(|kept| &kept.value) != Some(&link));
            self.links.insert(link.index, Kept { value: link, told: true });
        }
    }

    fn put_addr(&mut self, addr: Addr, now: u64) {
        let key = (addr.index, addr.addr, addr.prefix);
        let preferred_until = match addr.preferred {
            FOREVER => u64::MAX,
            seconds => now.saturating_add(u64::from(seconds)),
        };
        if self.addrs.len() < MAX_ADDRS || self.addrs.contains_key(&key) {
            self.changed(!self.addrs.contains_key(&key));
            self.addrs.insert(key, Kept { value: KnownAddr { addr, preferred_until }, told: true });
        }
    }
}

impl Tables {
    /// The routes of both families.
    const ALL_ROUTES: Tables = Tables(4 | 8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;
    use crate::sense::heard::Heard;
    use crate::wire::netifd::Status;
    use crate::wire::rtnl::ifa;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(index: u32, name: &str) -> Link {
        Link { index, name: name.into(), up: true, running: true }
    }

    fn addr(index: u32, text: &str, flags: u32) -> Addr {
        Addr { index, addr: ip(text), prefix: 24, flags, preferred: FOREVER }
    }

    fn route(family: Family, table: u32, metric: u32, device: u32) -> Route {
        Route { family, table, metric, usable: true, devices: vec![device], gateway: None }
    }

    fn wan(device: Device) -> Vec<Wan> {
        vec![Wan::plain("wan", device, Family::BOTH.to_vec(), Vec::new())]
    }

    fn named(name: &str) -> Vec<Wan> {
        wan(Device::Named(name.into()))
    }

    fn tell(view: &mut View, messages: Vec<Message>) {
        for message in messages {
            view.happened(message, 0);
        }
    }

    fn tell_routes(view: &mut View, family: Family, routes: Vec<Route>) {
        view.begin(Table::Routes(family));
        for route in routes {
            view.dumped(Table::Routes(family), Message::Route(route), 0);
        }
        view.finish(Table::Routes(family));
    }

    fn seen(view: &View, wans: &[Wan]) -> WanSnapshot {
        view.snapshot(wans, &Map::new(), &Map::new()).0.remove("wan").unwrap()
    }

    fn two_lines() -> View {
        let mut view = View::default();
        tell(
            &mut view,
            vec![
                Message::Link(link(1, "lo")),
                Message::Link(link(2, "eth0")),
                Message::Link(link(3, "wwan0")),
                Message::Addr(addr(1, "127.0.0.1", 0)),
                Message::Addr(addr(2, "8.0.0.2", 0)),
                Message::Addr(addr(3, "9.0.0.3", 0)),
                Message::Addr(addr(3, "2600::3", 0)),
            ],
        );
        view
    }

    #[test]
    fn a_named_device_is_followed_to_its_new_index() {
        let mut view = two_lines();
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
        let before = seen(&view, &named("eth0"));
        assert_eq!((before.v4, before.route4, before.route6), (Some(ip("8.0.0.2")), true, false));
        assert_eq!(view.happened(Message::LinkGone(2), 0), Tables::ALL_ROUTES);
        tell_routes(&mut view, Family::V4, vec![]);
        assert_eq!(seen(&view, &named("eth0")), WanSnapshot::default());
        tell(&mut view, vec![Message::Link(link(9, "eth0")), Message::Addr(addr(9, "8.0.0.9", 0))]);
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 9)]);
        let after = seen(&view, &named("eth0"));
        assert_eq!((after.v4, after.route4), (Some(ip("8.0.0.9")), true));
    }

    #[test]
    fn a_renamed_device_is_known_by_its_new_name() {
        let mut view = two_lines();
        tell(&mut view, vec![Message::Link(link(2, "pppoe-wan"))]);
        assert_eq!(seen(&view, &named("eth0")).device, None);
        assert_eq!(seen(&view, &named("pppoe-wan")).v4, Some(ip("8.0.0.2")));
    }

    #[test]
    fn auto_takes_the_lowest_metric_of_main_for_each_family() {
        let mut view = two_lines();
        assert_eq!(seen(&view, &wan(Device::Auto)), WanSnapshot::default());
        let routes = vec![
            route(Family::V4, 51820, 0, 1),
            route(Family::V4, 254, 20, 3),
            Route { usable: false, ..route(Family::V4, 254, 1, 3) },
            route(Family::V4, 254, 10, 2),
        ];
        tell_routes(&mut view, Family::V4, routes);
        tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 1024, 3)]);
        let now = seen(&view, &wan(Device::Auto));
        assert_eq!((now.device.as_deref(), now.v4), (Some("eth0"), Some(ip("8.0.0.2"))));
        assert_eq!((now.v6, now.route4, now.route6), (Some(ip("2600::3")), true, true));
        let mut only_six = wan(Device::Auto);
        only_six[0].families = vec![Family::V6];
        let now = seen(&view, &only_six);
        assert_eq!((now.device.as_deref(), now.v4, now.route4), (Some("wwan0"), None, false));
    }

    #[test]
    fn auto_leaves_a_device_without_carrier_for_another() {
        let mut view = two_lines();
        let routes = vec![route(Family::V4, 254, 20, 3), route(Family::V4, 254, 10, 2)];
        tell_routes(&mut view, Family::V4, routes);
        tell(&mut view, vec![Message::Link(Link { running: false, ..link(2, "eth0") })]);
        assert_eq!(seen(&view, &wan(Device::Auto)).device.as_deref(), Some("wwan0"));
        tell(&mut view, vec![Message::Link(Link { running: false, ..link(3, "wwan0") })]);
        let now = seen(&view, &wan(Device::Auto));
        assert_eq!((now.device.as_deref(), now.route4), (Some("eth0"), false));
    }

    #[test]
    fn which_routes_make_a_named_device_ready() {
        for (table, usable, running, ready) in [
            (254, true, true, true),
            (253, true, true, true),
            (300, true, true, true),
            (255, true, true, false),
            (254, false, true, false),
            (254, true, false, false),
        ] {
            let mut view = two_lines();
            tell(&mut view, vec![Message::Link(Link { running, ..link(3, "wwan0") })]);
            tell_routes(&mut view, Family::V6, vec![Route { usable, ..route(Family::V6, table, 1, 3) }]);
            assert_eq!(seen(&view, &named("wwan0")).route6, ready, "{table} {usable} {running}");
            assert!(!seen(&view, &named("eth0")).route6);
        }
    }

    #[test]
    fn what_is_asked_for_anew() {
        let mut view = two_lines();
        let v4 = |view: &mut View, message| view.happened(message, 0).contains(Table::Routes(Family::V4));
        assert!(v4(&mut view, Message::AddrGone(addr(2, "8.0.0.2", 0))));
        assert!(!v4(&mut view, Message::AddrGone(addr(3, "2600::3", 0))));
        assert!(!v4(&mut view, Message::Link(link(2, "eth0"))), "no change");
        assert!(!v4(&mut view, Message::Link(Link { running: false, ..link(2, "eth0") })));
        assert!(v4(&mut view, Message::Link(Link { up: false, ..link(2, "eth0") })));
        assert!(v4(&mut view, Message::Link(link(2, "eth0"))), "up again");
        assert!(v4(&mut view, Message::Route(route(Family::V4, 254, 0, 2))));
        assert!(!v4(&mut view, Message::RouteGone(Family::V6)));
        assert!(view.happened(Message::Addr(addr(2, "8.0.0.2", 0)), 0).is_empty());
    }

    #[test]
    fn a_dump_sweeps_what_it_does_not_tell() {
        let mut view = two_lines();
        view.begin(Table::Addrs);
        view.dumped(Table::Addrs, Message::Addr(addr(2, "8.0.0.7", 0)), 0);
        view.happened(Message::Addr(addr(3, "9.0.0.9", 0)), 0);
        assert_eq!(seen(&view, &named("eth0")).v4, Some(ip("8.0.0.2")), "until the dump ends");
        view.finish(Table::Addrs);
        let own: Vec<_> = view.own().iter().map(|own| (own.device.clone(), own.addr)).collect();
        assert_eq!(own, [("eth0".into(), ip("8.0.0.7")), ("wwan0".into(), ip("9.0.0.9"))]);
        view.begin(Table::Links);
        view.dumped(Table::Links, Message::Link(link(3, "wwan0")), 0);
        view.finish(Table::Links);
        assert_eq!(seen(&view, &named("eth0")).device, None);
    }

    #[test]
    fn the_preferred_lifetime_counts_from_when_it_was_told() {
        let mut view = two_lines();
        let six = |text: &str, preferred| Addr { preferred, ..addr(2, text, 0) };
        view.happened(Message::Addr(six("2600::1", 1000)), 0);
        view.happened(Message::Addr(six("2600::2", 900)), 500);
        assert_eq!(seen(&view, &named("eth0")).v6, Some(ip("2600::2")), "till 1400, not 1000");
        view.happened(Message::Addr(six("2600::9", FOREVER)), 0);
        assert_eq!(seen(&view, &named("eth0")).v6, Some(ip("2600::9")));
        let last = Map::from([(
            "wan".to_string(),
            WanSnapshot { v6: Some(ip("2600::1")), ..WanSnapshot::default() },
        )]);
        assert_eq!(
            view.snapshot(&named("eth0"), &Answers::new(), &last).0.get("wan").unwrap().v6,
            Some(ip("2600::1")),
            "kept"
        );
        view.happened(Message::Addr(Addr { flags: ifa::DEPRECATED, ..six("2600::1", 0) }), 600);
        assert_eq!(
            view.snapshot(&named("eth0"), &Answers::new(), &last).0.get("wan").unwrap().v6,
            Some(ip("2600::9"))
        );
    }

    /// What netifd says: interface, device, delegated prefix.
    fn answers(said: &[(&str, Option<&str>, Option<&str>)]) -> Answers {
        let heard = |&(name, device, prefix): &(&str, Option<&str>, Option<&str>)| {
            let given = |text| Delegated {
                interface: name.to_string(),
                prefix: Network::parse(text).unwrap(),
                assigned: Vec::new(),
            };
            let status = Status {
                up: device.is_some(),
                device: device.map(str::to_string),
                prefixes: prefix.map(given).into_iter().collect(),
                ..Status::default()
            };
            (name.to_string(), Heard { status: Some(status), silence: None })
        };
        said.iter().map(heard).collect()
    }

    fn told(view: &View, names: &[&str], answers: &Answers) -> WanSnapshot {
        let names = names.iter().map(|name| name.to_string()).collect();
        view.snapshot(&wan(Device::Interfaces(names)), answers, &Map::new()).0.remove("wan").unwrap()
    }

    #[test]
    fn each_family_goes_by_the_device_of_the_interface_that_has_it() {
        let mut view = two_lines();
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
        tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 512, 3)]);
        let both = answers(&[("wan", Some("eth0"), None), ("wan6", Some("wwan0"), None)]);
        let now = told(&view, &["wan", "wan6"], &both);
        assert_eq!((now.device.as_deref(), now.v4, now.route4), (Some("eth0"), Some(ip("8.0.0.2")), true));
        assert_eq!((now.device6.as_deref(), now.v6, now.route6), (Some("wwan0"), Some(ip("2600::3")), true));
        let now = told(&view, &["wan6", "wan"], &both);
        assert_eq!(now.v4, Some(ip("8.0.0.2")), "9.0.0.3 has no route, though it is named first");
        let one = told(&view, &["wan"], &both);
        assert_eq!((one.v4, one.v6, one.device6.as_deref()), (Some(ip("8.0.0.2")), None, None));
        let mut only6 = wan(Device::Interfaces(vec!["wan".into(), "wan6".into()]));
        only6[0].families = vec![Family::V6];
        let now = view.snapshot(&only6, &both, &Map::new()).0.remove("wan").unwrap();
        assert_eq!((now.v4, now.v6, now.device.as_deref()), (None, Some(ip("2600::3")), Some("wwan0")));
    }

    #[test]
    fn an_interface_that_is_down_has_no_device_and_one_without_addresses_shows_its_own() {
        let view = two_lines();
        let down = answers(&[("wan", None, None)]);
        let now = told(&view, &["wan"], &down);
        assert_eq!((now.device, now.v4, now.interfaces.len()), (None, None, 1));
        let mut view = View::default();
        tell(&mut view, vec![Message::Link(link(7, "pppoe-wan"))]);
        let up = answers(&[("wan", Some("pppoe-wan"), None)]);
        let now = told(&view, &["wan"], &up);
        assert_eq!((now.device.as_deref(), now.device6, now.v4), (Some("pppoe-wan"), None, None));
        let gone = answers(&[("wan", Some("ppp7"), None)]);
        assert_eq!(told(&view, &["wan"], &gone).device, None, "the kernel does not know it");
        assert_eq!(told(&view, &["wan"], &Answers::new()).interfaces, [], "not asked yet");
    }

    /// PPPoE: the device goes and comes back with another number, while netifd's last word stays the same.
    #[test]
    fn a_device_made_anew_counts_before_netifd_is_asked_again() {
        let mut view = two_lines();
        let up = answers(&[("wan", Some("pppoe-wan"), None)]);
        for index in [10, 11] {
            let before = view.changes();
            tell(
                &mut view,
                vec![Message::Link(link(index, "pppoe-wan")), Message::Addr(addr(index, "9.9.9.9", 0))],
            );
            tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, index)]);
            let now = told(&view, &["wan"], &up);
            assert_eq!((now.v4, now.route4), (Some(ip("9.9.9.9")), true));
            assert!(view.changes() > before, "netifd is to be asked again");
            tell(&mut view, vec![Message::LinkGone(index)]);
            assert_eq!(told(&view, &["wan"], &up).v4, None);
        }
    }

    #[test]
    fn the_routers_own_address_out_of_a_delegated_prefix_stands_in_for_the_wans() {
        let mut view = two_lines();
        tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 512, 2)]);
        tell(
            &mut view,
            vec![
                Message::Link(link(5, "br-lan")),
                Message::Addr(addr(5, "fd00::1", 0)),
                Message::Addr(addr(5, "2a00:1:2:300::1", 0)),
                Message::Addr(addr(5, "2a00:1:2:301::1", ifa::DEPRECATED)),
            ],
        );
        let with = answers(&[("wan6", Some("eth0"), Some("2a00:1:2:300::/56"))]);
        let now = told(&view, &["wan6"], &with);
        assert_eq!(
            (now.v6, now.route6, now.device6.as_deref()),
            (Some(ip("2a00:1:2:300::1")), true, Some("eth0"))
        );
        assert_eq!(now.prefixes.len(), 1);
        let other = answers(&[("wan6", Some("eth0"), Some("2a00:1:2:400::/56"))]);
        assert_eq!(told(&view, &["wan6"], &other).v6, None, "not out of this one");
        let none = answers(&[("wan6", Some("eth0"), None)]);
        assert_eq!(told(&view, &["wan6"], &none).v6, None);
        tell(&mut view, vec![Message::Addr(addr(2, "2600::2", 0))]);
        assert_eq!(told(&view, &["wan6"], &with).v6, Some(ip("2600::2")), "the WAN's own goes first");
        let mut only4 = wan(Device::Interfaces(vec!["wan6".into()]));
        only4[0].families = vec![Family::V4];
        tell(&mut view, vec![Message::AddrGone(addr(2, "2600::2", 0))]);
        assert_eq!(view.snapshot(&only4, &with, &Map::new()).0.remove("wan").unwrap().v6, None);
    }

    #[test]
    fn lifetimes_and_repeated_news_are_no_change() {
        let mut view = two_lines();
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
        let before = view.changes();
        tell(
            &mut view,
            vec![
                Message::Link(link(2, "eth0")),
                Message::Addr(Addr { preferred: 7, ..addr(2, "8.0.0.2", 0) }),
                Message::LinkGone(77),
                Message::AddrGone(addr(2, "8.0.0.77", 0)),
            ],
        );
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
        for table in [Table::Links, Table::Addrs] {
            view.begin(table);
        }
        for (index, name) in [(1, "lo"), (2, "eth0"), (3, "wwan0")] {
            view.dumped(Table::Links, Message::Link(link(index, name)), 0);
        }
        view.finish(Table::Links);
        assert_eq!(view.changes(), before);
        view.finish(Table::Addrs);
        assert_eq!(view.changes(), before + 1, "the addresses were not told again");
        tell_routes(&mut view, Family::V4, vec![]);
        assert_eq!(view.changes(), before + 2);
    }

    /// A prefix that was withdrawn stays on the LAN for a while, for connections that are there.
    #[test]
    fn what_is_deprecated_or_not_yet_sure_is_own_but_not_settled() {
        for (flags, settled) in [
            (0, true),
            (ifa::TEMPORARY, true),
            (ifa::DEPRECATED, false),
            (ifa::TENTATIVE, false),
            (ifa::DADFAILED, false),
        ] {
            let mut view = View::default();
            tell(&mut view, vec![Message::Link(link(2, "lan0")), Message::Addr(addr(2, "2600::1", 0))]);
            // The kernel tells the same address with other flags.
            tell(&mut view, vec![Message::Addr(addr(2, "2600::1", flags))]);
            assert_eq!(view.own().iter().map(|own| own.settled).collect::<Vec<_>>(), [settled], "{flags:#x}");
        }
    }

    #[test]
    fn every_address_is_own_and_the_store_is_bounded() {
        let mut view = two_lines();
        let own = view.own();
        assert_eq!(own.len(), 4);
        let lo = OwnAddr { device: "lo".into(), addr: ip("127.0.0.1"), prefix: 24, settled: true };
        assert_eq!(own[0], lo);
        for n in 0..20_000u32 {
            let text = Ipv4Addr::from(n + 0x0b00_0000).to_string();
            view.happened(Message::Addr(addr(2, &text, 0)), 0);
            view.happened(Message::Link(link(n, "x")), 0);
        }
        assert_eq!((view.addrs.len(), view.links.len()), (MAX_ADDRS, MAX_LINKS));
        view.begin(Table::Routes(Family::V4));
        for n in 0..1000 {
            view.dumped(Table::Routes(Family::V4), Message::Route(route(Family::V4, 254, n, 2)), 0);
        }
        assert_eq!(view.arriving.len(), MAX_ROUTES);
    }

    #[test]
    fn tables_come_out_in_order_once() {
        let mut due = Tables::ALL;
        let order: Vec<_> = std::iter::from_fn(|| due.take_first()).collect();
        assert_eq!(order, Tables::ORDER);
        assert!(due.is_empty());
        due.add(Table::Addrs);
        due.merge(Tables::ALL_ROUTES);
        assert!(due.contains(Table::Addrs) && !due.contains(Table::Links));
    }
}
