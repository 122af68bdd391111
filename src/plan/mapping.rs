//! Exposure: which mappings are open, to which target, and why the others are not. It fails closed.

mod change;

pub(in crate::plan) use change::begin;
pub use change::plan;

use super::camera::{closed, macs, Closed};
use super::{probe, schedule, six, source, Carrier, Rule};
use crate::config::{BackendChoice, Camera, Config, Device, Mapping, Network, Wan};
use crate::model::{Family, Now, OwnAddr, Time, WanWorld, World};
use crate::state::State;
use std::net::IpAddr;

/// Who carries the mappings here.
///
/// # Errors
/// Why nobody does, in plain words with the mend.
pub fn carrier(config: &Config, world: &World) -> Result<Carrier, &'static str> {
    match (config.global.backend, world.fw4, world.procd) {
        (BackendChoice::None, ..) => Err("option mapping_backend is 'none'"),
        (BackendChoice::Nft, ..) | (BackendChoice::Auto, false, _) => Ok(Carrier::Nft),
        (BackendChoice::Uci, true, _) => Ok(Carrier::Uci),
        (_, true, true) => Ok(Carrier::Service),
        (BackendChoice::Uci, false, _) => Err(
            "option mapping_backend is 'uci', and OpenWrt's firewall (fw4) is not here: use 'auto' or 'nft'",
        ),
        (BackendChoice::Service, false, _) => Err(
            "option mapping_backend is 'service', and OpenWrt's firewall (fw4) is not here: use 'auto' or 'nft'",
        ),
        (_, true, false) => Err(
            "this router's firewall is fw4, and procd, which hands port mappings to it, is not on ubus: \
             install the package ubus, or restart ubus",
        ),
    }
}

/// Whether one mapping is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Open, with these rules (one a protocol and family).
    Open(Vec<Rule>),
    /// Closed, and why, in plain words with the mend.
    Closed(String),
    /// Closed until a moment, and why.
    Until(Time, String),
}

/// Decides on one mapping: open if it is so in one of its families; closed for what closes the first.
pub fn exposure(config: &Config, world: &World, state: &State, mapping: &Mapping, now: Now) -> Exposure {
    let (mut open, mut closed) = (Vec::new(), None);
    for family in &mapping.families {
        match way(config, world, state, mapping, *family, now) {
            Exposure::Open(rules) => open.extend(rules),
            other => closed = closed.or(Some(other)),
        }
    }
    closed.filter(|_| open.is_empty()).unwrap_or(Exposure::Open(open))
}

/// Decides on one family of a mapping. What the camera says when it is asked by IPv4 stands for IPv6 too.
pub fn way(
    config: &Config,
    world: &World,
    state: &State,
    mapping: &Mapping,
    family: Family,
    now: Now,
) -> Exposure {
    let allowed = place(config, world, state, mapping, family, now).and_then(|(target, lan)| {
        if !mapping.allow_open {
            probe::gate(state, mapping, asked_at(config, world, state, mapping, now)?, now.boot)?;
        }
        Ok((target, lan, source::allowed(state, mapping, family)?))
    });
    match allowed {
        Err((Some(until), why)) => Exposure::Until(until, why),
        Err((None, why)) => Exposure::Closed(why),
        Ok((target, lan, sources)) => rules(config, world, mapping, target, lan, &sources),
    }
}

/// Where a mapping's camera is asked whether it wants a password.
pub fn asked_at(
    config: &Config,
    world: &World,
    state: &State,
    mapping: &Mapping,
    now: Now,
) -> Result<IpAddr, Refusal> {
    place(config, world, state, mapping, asked_by(mapping), now).map(|(addr, _)| addr)
}

/// The family by which a mapping's camera is asked.
fn asked_by(mapping: &Mapping) -> Family {
    mapping.families.first().copied().unwrap_or(Family::V4)
}

/// Why a mapping is closed, and until when, if that is known.
pub type Refusal = (Option<Time>, String);

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err((None, why.into()))
}

/// The camera's address and the LAN that it is in, if the mapping may lead there once the camera is proven to ask for
/// a password.
pub(super) fn place<'a>(
    config: &'a Config,
    world: &'a World,
    state: &State,
    mapping: &Mapping,
    family: Family,
    now: Now,
) -> Result<(IpAddr, &'a OwnAddr), Refusal> {
    if let Err(why) = carrier(config, world) {
        return refuse(why);
    }
    schedule::gate(mapping, world, now)?;
    let camera = config.cameras.iter().find(|camera| camera.name == mapping.camera);
    let Some((camera, memory)) = camera.zip(state.cameras.get(&mapping.camera)) else {
        return refuse(not_seen(mapping));
    };
    let at6 = match family {
        Family::V4 => None,
        Family::V6 => Some(six::place(config, world, memory, camera).map_err(|why| (None, why))?),
    };
    let Some(addr) = at6.map(|place| place.addr).or(memory.addr) else { return refuse(not_seen(mapping)) };
    match closed(memory, addr, now.boot) {
        Closed::No => {}
        Closed::By(mac) => {
            return refuse(format!("another device ({mac}) holds the camera's address {addr}"))
        }
        Closed::Until(at) => {
            return Err((Some(at), format!("another device held {addr} lately; waiting for quiet")));
        }
    }
    let lan = at6.map_or_else(|| lan(config, world, addr), |place| Ok(place.lan))?;
    if macs(camera, memory).is_empty() {
        return refuse(format!("no device was seen at {addr} yet; it opens when the kernel has heard it"));
    }
    if at6.is_some_and(|place| !place.heard) {
        return refuse(six::not_heard(camera, addr));
    }
    Ok((addr, lan))
}

fn not_seen(mapping: &Mapping) -> String {
    format!("camera {} was not seen yet: no DHCP lease and no neighbour entry is its own", mapping.camera)
}

/// Where cameras are presumed of which the kernel knows nothing: it looks for a device there when something is sent
/// to it. Addresses in connected LANs only.
pub fn unheard(config: &Config, world: &World, state: &State) -> Vec<IpAddr> {
    let known = |camera: &Camera| state.cameras.get(&camera.name);
    let mut addrs = Vec::new();
    for memory in config.cameras.iter().filter_map(known) {
        // Once heard in IPv6, it is no more looked for: it may be gone, and is presumed there all the same.
        let addr6 = memory.addr6.filter(|addr| memory.heard6 != six::lower(*addr));
        for addr in [memory.addr, addr6].into_iter().flatten() {
            if !world.neighbours.contains_key(&addr) && lan(config, world, addr).is_ok() {
                addrs.push(addr);
            }
        }
    }
    addrs.sort();
    addrs.dedup();
    addrs
}

/// The LANs: the subnets that this router is connected to, but for those of the WANs.
pub fn lans<'a>(config: &'a Config, world: &'a World) -> impl Iterator<Item = &'a OwnAddr> {
    let is_wan = |own: &OwnAddr| {
        let named = |wan: &Wan| matches!(&wan.device, Device::Named(name) if *name == own.device);
        let sensed = |wan: &WanWorld| {
            let devices = [&wan.last_device, &wan.device, &wan.device6];
            devices.into_iter().any(|device| device.as_ref() == Some(&own.device))
        };
        config.wans.iter().any(named) || world.wans.values().any(sensed)
    };
    world.own.iter().filter(move |own| own.prefix > 0 && own.device != "lo" && !is_wan(own))
}

/// The LAN subnet of a target, which is a host in it, not the router.
///
/// # Errors
/// Why it is in none, in plain words.
pub fn lan<'a>(config: &'a Config, world: &'a World, addr: IpAddr) -> Result<&'a OwnAddr, Refusal> {
    if world.own.iter().any(|own| own.addr == addr) {
        return refuse(format!("{addr} is the router itself"));
    }
    let holds = |own: &&OwnAddr| Network::new(own.addr, own.prefix).is_some_and(|net| net.contains(addr));
    let Some(own) = lans(config, world).filter(holds).max_by_key(|own| own.prefix) else {
        return refuse(format!("{addr} is in no LAN that this router is connected to"));
    };
    if is_edge(own, addr) {
        return refuse(format!("{addr} is the network or broadcast address of its LAN"));
    }
    Ok(own)
}

/// The first or the last address of an IPv4 subnet that has such.
fn is_edge(own: &OwnAddr, addr: IpAddr) -> bool {
    let IpAddr::V4(addr) = addr else { return false };
    if own.prefix >= 31 {
        return false;
    }
    let host = u32::MAX.checked_shr(u32::from(own.prefix)).unwrap_or(0);
    let bits = addr.to_bits() & host;
    bits == 0 || bits == host
}

fn rules(
    config: &Config,
    world: &World,
    mapping: &Mapping,
    target: IpAddr,
    lan: &OwnAddr,
    sources: &[Network],
) -> Exposure {
    let family = Family::of(target);
    if !sources.is_empty() && sources.iter().all(|net| Family::of(net.addr) != family) {
        return Exposure::Closed(format!("src_ip names no {family} network, so nobody may come by {family}"));
    }
    let (wan_devices, wan_addrs) = match family {
        Family::V4 => wan_sides(config, world, lan),
        // The LAN reaches the camera's own address by itself.
        Family::V6 => (six::wan_devices(config, world), Vec::new()),
    };
    let prefix = if family == Family::V4 { lan.prefix } else { six::PREFIX };
    let Some(network) = Network::new(lan.addr, prefix) else {
        return Exposure::Closed(format!("{} has no usable prefix", lan.device));
    };
    // OpenWrt's firewall knows its zones' devices and addresses itself.
    let zones = carrier(config, world).is_ok_and(Carrier::reloads);
    let (wan_devices, wan_addrs) = if zones { Default::default() } else { (wan_devices, wan_addrs) };
    if wan_devices.is_empty() && !zones {
        return Exposure::Closed("no WAN device is known yet".into());
    }
    let rule = |proto| Rule {
        mapping: mapping.name.clone(),
        wan_devices: wan_devices.clone(),
        wan_addrs: wan_addrs.clone(),
        lan_device: lan.device.clone(),
        lan: network,
        proto,
        src_dport: mapping.src_dport,
        target,
        dest_port: mapping.dest_port,
        sources: sources.to_vec(),
        src: mapping.src.clone(),
        dest: mapping.dest.clone(),
    };
    Exposure::Open(mapping.protos.iter().map(|proto| rule(*proto)).collect())
}

/// The devices of the WANs, and their addresses.
fn wan_sides(config: &Config, world: &World, lan: &OwnAddr) -> (Vec<String>, Vec<IpAddr>) {
    let mut wan_devices = Vec::new();
    let mut wan_addrs = Vec::new();
    for wan in &config.wans {
        let sensed = world.wans.get(&wan.name);
        let device = match &wan.device {
            Device::Named(name) => Some(name.clone()),
            // Lost is not empty: a line that comes back lets in whom it let in before.
            Device::Auto | Device::Interfaces(_) => sensed.and_then(|sensed| sensed.last_device.clone()),
        };
        wan_devices.extend(device.filter(|device| *device != lan.device));
        wan_addrs.extend(sensed.and_then(|sensed| sensed.v4.addr.seen()));
    }
    wan_devices.sort();
    wan_devices.dedup();
    wan_addrs.sort();
    wan_addrs.dedup();
    (wan_devices, wan_addrs)
}

/// Whether nobody carries mappings, and nothing of ours is open that would have to be closed.
pub fn off(config: &Config, world: &World, state: &State) -> bool {
    carrier(config, world).is_err() && state.mapping.targets.is_empty()
}

/// Whether a table of ours that is found at the start is nobody's: nothing is to be mapped, and of none that was is
/// known. A run left it that was killed, and whose memory is lost.
pub fn is_stray(config: &Config, world: &World, state: &State) -> bool {
    let mapped = config.mappings.is_empty() || off(config, world, state);
    mapped && state.mapping.targets.is_empty()
}

/// Whether rules of ours may be in the packet filter, so that a clean stop has something to close.
pub fn may_be_open(config: &Config, world: &World, state: &State) -> bool {
    !state.mapping.targets.is_empty() || (!config.mappings.is_empty() && carrier(config, world).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_open_is_closed_at_the_end() {
        let text = "config wan 'w'\n\toption device 'wan0'\nconfig camera 'c'\n\toption ip '192.168.1.9'\n\
                    config mapping 'm'\n\toption camera 'c'\n\toption src_dport '80'\n";
        let mut config = crate::config::load::load(text, "config", &[], &()).config;
        let fw4 = World { fw4: true, ..World::default() };
        let router = World { fw4: true, procd: true, ..World::default() };
        let mut state = State::default();
        assert!(may_be_open(&config, &World::default(), &state), "a table that an earlier run left");
        assert!(may_be_open(&config, &router, &state), "data that an earlier run left");
        assert!(!may_be_open(&config, &fw4, &state));
        assert!(is_stray(&config, &fw4, &state) && !is_stray(&config, &World::default(), &state));
        config.global.backend = BackendChoice::Nft;
        assert!(may_be_open(&config, &fw4, &state), "the owner insisted on nft");
        config.global.backend = BackendChoice::Service;
        assert!(!may_be_open(&config, &World::default(), &state) && may_be_open(&config, &router, &state));
        config = Config::default();
        assert!(!may_be_open(&config, &World::default(), &state));
        assert!(is_stray(&config, &World::default(), &state));
        state.mapping.targets.insert("192.168.1.9".parse().unwrap());
        assert!(may_be_open(&config, &fw4, &state), "what we opened is ours to close");
        assert!(!is_stray(&config, &fw4, &state), "the plan closes it");
    }
}
