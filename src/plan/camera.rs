//! Where a camera is, and whether somebody else sits on its address.

use super::{probe, six};
use crate::config::{Camera, Config};
use crate::model::{Mac, Protection, Time, World};
use crate::state::{CameraState, Conflict, State};
use std::net::IpAddr;
use std::time::Duration;

/// What the kernel had confirmed within this time after a move may have been before it: it counts in hundredths of a
/// second, and tells its table a moment after the leases were read.
const SURELY_LATER: Duration = Duration::from_millis(100);
/// After a conflict the mapping opens again only when it has been quiet this long; doubling.
const QUIET_FIRST: Duration = Duration::from_secs(10);
/// The longest quiet that is asked for.
const QUIET_LONGEST: Duration = Duration::from_secs(600);
/// The kernel asks three times, a second apart, before it gives a neighbour up.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// After this long without a conflict the doubling is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

/// Brings what is remembered of every camera up to date with the world. Call it after each event.
pub fn observe(config: &Config, world: &World, state: &mut State, now: Time) {
    state.cameras.retain(|name, _| config.cameras.iter().any(|camera| camera.name == *name));
    for camera in &config.cameras {
        recognise(config, camera, state);
        let memory = state.cameras.entry(camera.name.clone()).or_default();
        bind(camera, world, memory);
        locate(camera, world, memory, now);
        listen(camera, world, memory, now);
        memory.mac = shown(camera, world, memory);
        memory.addr6 = None;
        if config.has_ipv6(camera) {
            memory.heard6 = heard(camera, world, memory);
            memory.addr6 = six::place(config, world, memory, camera).ok().map(|place| place.addr);
        }
        memory.conflict = conflict(camera, world, memory, memory.addr, memory.conflict, now);
        memory.conflict6 = conflict(camera, world, memory, memory.addr6, memory.conflict6, now);
    }
}

/// What a camera's section knows it by, as one text.
pub fn known_by(camera: &Camera) -> String {
    let mut words: Vec<String> = camera.macs.iter().map(Mac::to_string).collect();
    // With a MAC, `option ip` says only where it is.
    let named = words.is_empty();
    words.extend(camera.host.iter().filter(|_| named).map(|host| format!("name {host}")));
    words.extend(camera.ip.iter().filter(|_| named).map(|ip| format!("ip {ip}")));
    words.join(" ")
}

/// A section that knows its camera by something else than before, by a reload or at a restart, means another device:
/// where the old one was, and that it asked for a password, is forgotten. One more MAC or one less is the same device, which
/// is asked again.
fn recognise(config: &Config, camera: &Camera, state: &mut State) {
    let known_by = known_by(camera);
    let memory = state.cameras.entry(camera.name.clone()).or_default();
    if memory.known_by == known_by {
        return;
    }
    if !camera.macs.iter().any(|mac| memory.known_by.contains(&mac.to_string())) {
        *memory = CameraState::default();
    }
    memory.known_by = known_by;
    let mine = config.mappings.iter().filter(|mapping| mapping.camera == camera.name);
    mine.for_each(|mapping| probe::forget(state, &mapping.name));
}

/// Which of its hardware addresses the camera shows at its place: by Wi-Fi it is another one than by cable.
fn shown(camera: &Camera, world: &World, memory: &CameraState) -> Option<Mac> {
    let mine = macs(camera, memory);
    if let [only] = mine.as_slice() {
        return Some(*only);
    }
    let near = memory.addr.and_then(|addr| world.neighbours.get(&addr)).map(|near| near.mac);
    let leased = world.leases.iter().rev().filter(|lease| Some(lease.addr) == memory.addr);
    let mut now = near.into_iter().chain(leased.map(|lease| lease.mac));
    now.find(|mac| mine.contains(mac)).or(memory.mac.filter(|mac| mine.contains(mac)))
}

/// The half of its own of a camera's IPv6 address, once it was heard by it; a link-local address tells as well. In the
/// next prefix it will use the same.
fn heard(camera: &Camera, world: &World, memory: &CameraState) -> Option<u64> {
    let half = six::half(camera, memory)?;
    let mine = macs(camera, memory);
    let there = world
        .neighbours
        .iter()
        .any(|(addr, near)| six::lower(*addr) == Some(half) && mine.contains(&near.mac));
    Some(half).filter(|_| there || memory.heard6 == Some(half))
}

/// The hardware addresses that are this camera.
pub fn macs(camera: &Camera, memory: &CameraState) -> Vec<Mac> {
    if camera.macs.is_empty() {
        memory.bound.into_iter().collect()
    } else {
        camera.macs.clone()
    }
}

/// A camera known by name or address is bound to the first hardware address seen there, so that another
/// device that says the same name, or takes the address, does not get the port.
fn bind(camera: &Camera, world: &World, memory: &mut CameraState) {
    if !camera.macs.is_empty() {
        memory.bound = None;
    } else if memory.bound.is_none() {
        let by_name = || {
            let host = camera.host.as_deref()?;
            let mut named = world.leases.iter().filter(|lease| lease.name.as_deref() == Some(host));
            let first = named.next()?.mac;
            named.all(|lease| lease.mac == first).then_some(first)
        };
        let by_addr = || Some(world.neighbours.get(&camera.ip?)?.mac);
        memory.bound = by_name().or_else(by_addr);
    }
}

/// A new lease wins at once, also beside one of the camera's other hardware address; a neighbour entry wins over an older lease when it was confirmed later and
/// nothing confirms the present address. A silent camera stays where it was.
fn locate(camera: &Camera, world: &World, memory: &mut CameraState, now: Time) {
    let mine = macs(camera, memory);
    let leases = world.leases.iter().filter(|lease| mine.contains(&lease.mac));
    let leases: Vec<IpAddr> = leases.map(|lease| lease.addr).collect();
    let before = memory.lease.map(|(addr, _)| addr);
    // dnsmasq writes new ones in front, until it is started again: by their order none is known as the newest.
    let new = leases.iter().rev().find(|addr| !memory.leases.contains(addr));
    let lease = new.copied().or(before.filter(|addr| leases.contains(addr))).or(leases.last().copied());
    let lease_is_new = lease.is_some() && before != lease;
    if world.complete || !leases.is_empty() {
        memory.leases = leases;
    }
    match lease {
        Some(addr) if lease_is_new => memory.lease = Some((addr, now)),
        // Before the leases were read nobody has one.
        None if world.complete => memory.lease = None,
        _ => {}
    }
    if let Some(ip) = camera.ip {
        return settle_at(memory, ip, now);
    }
    if let (true, Some(addr)) = (lease_is_new, lease) {
        return settle_at(memory, addr, now);
    }
    let mut near = world.neighbours.iter().filter(|(addr, n)| addr.is_ipv4() && mine.contains(&n.mac));
    let confirmed_here = memory.addr.is_some_and(|addr| is_confirmed(world, addr, &mine));
    let newest = near.clone().filter(|(_, n)| n.fresh).max_by_key(|(_, n)| n.at);
    match (memory.addr, newest) {
        (Some(_), Some((addr, n))) if !confirmed_here && n.at > memory.moved_at.plus(SURELY_LATER) => {
            settle_at(memory, *addr, now);
        }
        (None, Some((addr, _))) => settle_at(memory, *addr, now),
        (None, None) => {
            if let Some(addr) = lease.or_else(|| near.next().map(|(addr, _)| *addr)) {
                settle_at(memory, addr, now);
            }
        }
        _ => {}
    }
}

fn is_confirmed(world: &World, addr: IpAddr, mine: &[Mac]) -> bool {
    world.neighbours.get(&addr).is_some_and(|n| n.fresh && mine.contains(&n.mac))
}

fn settle_at(memory: &mut CameraState, addr: IpAddr, now: Time) {
    if memory.addr != Some(addr) {
        memory.addr = Some(addr);
        memory.moved_at = now;
    }
}

/// Whether the kernel knows of nobody at the camera's address, where it was asked to look ([`super::mapping::unheard`]).
fn listen(camera: &Camera, world: &World, memory: &mut CameraState, now: Time) {
    let mine = macs(camera, memory);
    let heard = |addr| world.neighbours.get(&addr).is_some_and(|near| mine.contains(&near.mac));
    let unheard = world.complete && memory.addr.is_some_and(|addr| !heard(addr));
    memory.unheard = unheard.then(|| memory.unheard.unwrap_or(now).max(memory.moved_at));
}

/// Since when a camera does not answer at its address: by its last answers to questions, or by the kernel. It keeps its
/// place all the same.
pub fn silent_since(config: &Config, state: &State, camera: &Camera, now: Time) -> Option<Time> {
    let memory = state.cameras.get(&camera.name)?;
    let addr = memory.addr?;
    let (mut silent, mut answers) = (None, false);
    for mapping in config.mappings.iter().filter(|mapping| mapping.camera == camera.name) {
        let Some(probe) = state.probes.get(&mapping.name) else { continue };
        let (Some(asked), Some(found)) = (&probe.asked, &probe.found) else { continue };
        let at = Some(asked.target.ip());
        if at != Some(addr) && at != memory.addr6 {
            continue;
        }
        match found {
            Protection::Silent | Protection::NoService => silent = silent.max(Some(probe.since)),
            _ => answers = true,
        }
    }
    let unheard = memory.unheard.filter(|since| now.since(*since) >= SILENT_AFTER);
    silent.filter(|_| !answers).or(unheard)
}

/// Another hardware address on the camera's address, in the neighbour table or in the leases.
fn intruder(world: &World, addr: IpAddr, mine: &[Mac]) -> Option<Mac> {
    let near = world.neighbours.get(&addr).map(|n| n.mac);
    let leased = world.leases.iter().find(|lease| lease.addr == addr).map(|lease| lease.mac);
    [near, leased].into_iter().flatten().find(|mac| !mine.contains(mac))
}

/// What becomes of a conflict about one of the camera's addresses.
fn conflict(
    camera: &Camera,
    world: &World,
    memory: &CameraState,
    addr: Option<IpAddr>,
    before: Option<Conflict>,
    now: Time,
) -> Option<Conflict> {
    let mine = macs(camera, memory);
    // Before the sensors have spoken, nobody has gone.
    let Some(addr) = addr.filter(|_| world.complete && !mine.is_empty()) else { return before };
    let before = before.filter(|conflict| conflict.addr == addr);
    match (before, intruder(world, addr, &mine)) {
        (Some(conflict), Some(by)) if conflict.now => Some(Conflict { by, last: now, ..conflict }),
        (before, Some(by)) => {
            let quiet = before.map_or(QUIET_FIRST, |c| (c.quiet * 2).min(QUIET_LONGEST));
            Some(Conflict { addr, by, now: true, last: now, quiet })
        }
        (Some(conflict), None) if conflict.now => Some(Conflict { now: false, last: now, ..conflict }),
        (Some(conflict), None) if now.since(conflict.last) >= FORGET => None,
        (before, None) => before,
    }
}

/// Until when the camera's mappings stay closed because of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No conflict.
    No,
    /// For as long as the other device is there.
    By(Mac),
    /// The other device is gone; until this moment.
    Until(Time),
}

/// Whether a conflict about this address of the camera's keeps it closed now.
pub fn closed(memory: &CameraState, addr: IpAddr, now: Time) -> Closed {
    let about =
        [memory.conflict, memory.conflict6].into_iter().flatten().find(|conflict| conflict.addr == addr);
    match about {
        Some(conflict) if conflict.now => Closed::By(conflict.by),
        Some(conflict) if now < conflict.last.plus(conflict.quiet) => {
            Closed::Until(conflict.last.plus(conflict.quiet))
        }
        _ => Closed::No,
    }
}
