//! Folds an event into the world, and tells when the world got better.

use crate::map::Map;
use crate::model::{
    millis, Event, Line, Neighbour, Now, OwnAddr, Reading, Sighting, Time, WanSnapshot, World,
};
use std::net::IpAddr;

/// The most neighbours that are kept; more are forgotten, oldest first.
const NEIGHBOURS_CAP: usize = 256;

/// Brings the world up to date. Returns true if anything changed.
pub fn event(world: &mut World, event: Event, now: Now) -> bool {
    let now = now.boot;
    match event {
        Event::Network { wans, own } => network(world, wans, own, now),
        Event::Neighbour(addr, entry) => neighbour(world, addr, entry, now),
        Event::Neighbours(entries) => neighbours(world, &entries, now),
        Event::Leases(leases) => replace(&mut world.leases, leases),
        Event::Resolver(ready) => {
            world.resolver = ready;
            heal(world, now, ready);
            true
        }
        Event::Holes(holes) => replace(&mut world.holes, holes),
        Event::TimeZone(zone) => replace(&mut world.zone, zone),
        Event::ClockSet => {
            world.clock_set = Some(now);
            heal(world, now, true);
            true
        }
        Event::Trigger => {
            heal(world, now, true);
            true
        }
        Event::RulesetChanged => {
            world.foreign_ruleset += 1;
            true
        }
    }
}

fn heal(world: &mut World, now: Time, better: bool) {
    if better {
        world.healed = Some(now);
    }
}

fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}

fn network(world: &mut World, wans: Map<String, WanSnapshot>, own: Vec<OwnAddr>, now: Time) -> bool {
    let mut changed = replace(&mut world.own, own);
    let mut better = false;
    world.wans.retain(|name, _| wans.contains_key(name));
    for (name, snapshot) in wans {
        let wan = world.wans.entry(name).or_default();
        let before = wan.clone();
        // Without IPv4 it may be the device of IPv6 alone, by which no mapping is reached.
        if snapshot.v4.is_some() || snapshot.route4 {
            wan.last_device = snapshot.device.clone().or_else(|| wan.last_device.take());
        }
        if snapshot.v6.is_some() || snapshot.route6 {
            wan.last_device6 = snapshot.device6.clone().or_else(|| wan.last_device6.take());
        }
        (wan.device, wan.device6) = (snapshot.device, snapshot.device6);
        wan.gateway = snapshot.gateway;
        (wan.prefixes, wan.interfaces) = (snapshot.prefixes, snapshot.interfaces);
        better |= line(&mut wan.v4, snapshot.v4, snapshot.route4, now);
        better |= line(&mut wan.v6, snapshot.v6, snapshot.route6, now);
        changed |= *wan != before;
    }
    heal(world, now, better);
    changed
}

/// One family's line; true if it got better: an address or a route that was not there.
fn line(line: &mut Line, addr: Option<IpAddr>, route: bool, now: Time) -> bool {
    let before = *line;
    line.route = route;
    line.addr = match (before.addr, addr) {
        (Reading::Seen { value, at }, Some(addr)) if value == addr => Reading::Seen { value, at },
        (_, Some(value)) => Reading::Seen { value, at: now },
        (Reading::Seen { .. }, None) => Reading::Lost { since: now },
        (other, None) => other,
    };
    (route && !before.route) || (addr.is_some() && before.addr.seen() != addr)
}

fn neighbour(world: &mut World, addr: IpAddr, entry: Option<Sighting>, now: Time) -> bool {
    let Some(sighting) = entry else { return world.neighbours.remove(&addr).is_some() };
    if world.neighbours.len() >= NEIGHBOURS_CAP && !world.neighbours.contains_key(&addr) {
        let oldest = world.neighbours.iter().min_by_key(|(_, n)| n.at).map(|(addr, _)| *addr);
        oldest.map(|addr| world.neighbours.remove(&addr));
    }
    let (mac, fresh) = (sighting.mac, sighting.confirmed.is_some());
    let ago = millis(sighting.confirmed.unwrap_or_default());
    let at = Time(now.0.saturating_sub(ago));
    let before = world.neighbours.insert(addr, Neighbour { mac, fresh, at });
    before.map(|n| (n.mac, n.fresh)) != Some((mac, fresh))
}

fn neighbours(world: &mut World, entries: &[(IpAddr, Sighting)], now: Time) -> bool {
    let gone: Vec<IpAddr> =
        world.neighbours.keys().filter(|addr| !entries.iter().any(|(a, _)| a == *addr)).copied().collect();
    let mut changed = !gone.is_empty();
    for addr in gone {
        world.neighbours.remove(&addr);
    }
    for (addr, sighting) in entries.iter().take(NEIGHBOURS_CAP) {
        let same = |n: &Neighbour| (n.mac, n.fresh) == (sighting.mac, sighting.confirmed.is_some());
        let known = world.neighbours.get(addr).is_some_and(same);
        changed |= !known && neighbour(world, *addr, Some(*sighting), now);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(world: &mut World, snapshot: WanSnapshot) -> Option<String> {
        let mut wans = Map::new();
        wans.insert("wan".to_string(), snapshot);
        let now = Now { boot: Time(1), wall: 1 };
        event(world, Event::Network { wans, own: Vec::new() }, now);
        world.wans.get("wan").unwrap().last_device.clone()
    }

    /// IPv4 by PPPoE, IPv6 by a device of its own: while the session is down, what is mapped stays where it was.
    #[test]
    fn the_device_of_ipv6_alone_does_not_take_over_what_is_mapped() {
        let mut world = World::default();
        let six = WanSnapshot {
            device: Some("six0".into()),
            device6: Some("six0".into()),
            v6: Some("2600::1".parse().unwrap()),
            route6: true,
            ..WanSnapshot::default()
        };
        assert_eq!(told(&mut world, six.clone()), None, "nothing is known of IPv4 yet");
        let v4 = Some("8.0.0.1".parse().unwrap());
        let both = WanSnapshot { device: Some("pppoe-wan".into()), v4, route4: true, ..six.clone() };
        assert_eq!(told(&mut world, both).as_deref(), Some("pppoe-wan"));
        assert_eq!(told(&mut world, six).as_deref(), Some("pppoe-wan"));
        let wan = world.wans.get("wan").unwrap();
        assert_eq!((wan.device.as_deref(), wan.device6.as_deref()), (Some("six0"), Some("six0")));
        assert_eq!(told(&mut world, WanSnapshot::default()).as_deref(), Some("pppoe-wan"));
    }
}
