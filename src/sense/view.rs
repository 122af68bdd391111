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

mod tables;
#[cfg(test)]
mod tests;

use crate::config::{Device, Wan};
use crate::map::Map;
use crate::model::{Delegated, Family, OwnAddr, Reach, WanSnapshot};
use crate::plan::reach::reach;
use crate::sense::choose::{choose_v4, choose_v6, is_settled, worth, Candidate};
use crate::sense::heard::{self, Answers};
use crate::wire::rtnl::{Addr, Link, Message, Route, FOREVER};
use std::net::{IpAddr, Ipv4Addr};

pub use tables::{Table, Tables};

/// The most devices that are kept; a router has tens.
const MAX_LINKS: usize = 4096;
/// The most addresses that are kept.
const MAX_ADDRS: usize = 8192;
/// The most default routes that are kept, per family.
const MAX_ROUTES: usize = 512;

const TABLE_DEFAULT: u32 = 253;
const TABLE_MAIN: u32 = 254;
const TABLE_LOCAL: u32 = 255;

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

    fn way<'v>(&'v self, wan: &Wan, family: Family, answers: &Answers, last: Option<IpAddr>) -> Way<'v> {
        if !wan.families.contains(&family) {
            return Way::default();
        }
        let choose = if family == Family::V4 { choose_v4 } else { choose_v6 };
        let way = |link: &'v Link| {
            let routes = self.routes_by(link, family);
            Way {
                link: Some(link),
                addr: choose(&self.candidates(&|addr| addr.index == link.index), &wan.accept, last),
                route: link.running && !routes.is_empty(),
                gateway: next_hop(&routes),
            }
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
        choose_v6(&self.candidates(&within), &wan.accept, last)
    }

    /// The device of the default route with the lowest metric, one that runs before one that does not.
    fn default_device(&self, family: Family) -> Option<&Link> {
        let mut best = None;
        for route in self.routes.get(&family).into_iter().flatten() {
            if !route.usable || !matches!(route.table, TABLE_MAIN | TABLE_DEFAULT) {
                continue;
            }
            for index in &route.devices {
                let Some(Kept { value: link, .. }) = self.links.get(index) else { continue };
                let rank = (!link.running, route.table != TABLE_MAIN, route.metric);
                if best.is_none_or(|(known, _)| rank < known) {
                    best = Some((rank, link));
                }
            }
        }
        best.map(|(_, link)| link)
    }

    /// The default routes that leave by the device.
    fn routes_by(&self, link: &Link, family: Family) -> Vec<&Route> {
        let fits = |route: &&Route| {
            route.usable && route.table != TABLE_LOCAL && route.devices.contains(&link.index)
        };
        self.routes.get(&family).into_iter().flatten().filter(fits).collect()
    }

    fn candidates(&self, fits: &dyn Fn(&Addr) -> bool) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for Kept { value: KnownAddr { addr, preferred_until }, .. } in self.addrs.values() {
            if fits(addr) {
                let (addr, flags, preferred_until) = (addr.addr, addr.flags, *preferred_until);
                candidates.push(Candidate { addr, flags, preferred_until });
            }
        }
        candidates
    }

    fn own(&self) -> Vec<OwnAddr> {
        let mut own = Vec::new();
        for Kept { value: KnownAddr { addr, .. }, .. } in self.addrs.values() {
            let Some(Kept { value: link, .. }) = self.links.get(&addr.index) else { continue };
            let settled = is_settled(addr.flags);
            own.push(OwnAddr { device: link.name.clone(), addr: addr.addr, prefix: addr.prefix, settled });
        }
        own
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

/// The next hop of these default routes, of several that with the lowest metric.
fn next_hop(routes: &[&Route]) -> Option<Ipv4Addr> {
    let hops = routes.iter().filter(|route| route.gateway.is_some());
    hops.min_by_key(|route| (route.table != TABLE_MAIN, route.metric))?.gateway
}
