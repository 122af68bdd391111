//! Static leases (`option static_lease`): which host sections dnsmasq's configuration is to have, and when it is looked
//! at. An address that is written stays, unless the camera's lease really is another one for an hour.

use super::camera::{closed, macs, Closed};
use super::{mapping, Action, LeaseJob, Leased, Plan, StaticLease};
use crate::config::{Camera, Config};
use crate::map::Map;
use crate::model::{Now, Time, World};
use crate::state::{CameraState, Pinned, State};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// A camera whose DHCP server gives it another address than the written one for so long really lives there.
const REALLY_ANOTHER: Duration = Duration::from_secs(3600);
/// After a failure nothing is tried for so long, if nobody asks.
const PAUSE: Duration = Duration::from_secs(600);
/// The longest label of a host name (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// Adds the look at dnsmasq's configuration that is due now, if any.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    let memory = &state.leases;
    // Switched off as a whole, what is written stays, as after a stop.
    if !world.complete || !config.global.enabled || memory.in_flight {
        return;
    }
    let mut leases = Vec::new();
    for camera in config.cameras.iter().filter(|camera| camera.static_lease) {
        leases.push(wanted(camera, config, world, state, now.boot, plan));
    }
    if !memory.look && memory.asked == leases {
        return;
    }
    if memory.next > now.boot {
        return plan.wake(memory.next);
    }
    // A section that is left out for an error is not one that the owner took out.
    plan.actions.push(Action::Lease(Box::new(LeaseJob {
        leases,
        only: !config.faulty,
        tell: memory.untold,
    })));
}

fn wanted(
    camera: &Camera,
    config: &Config,
    world: &World,
    state: &State,
    now: Time,
    plan: &mut Plan,
) -> StaticLease {
    let none = CameraState::default();
    let memory = state.cameras.get(&camera.name).unwrap_or(&none);
    let pinned = state.leases.pinned.get(&camera.name);
    let quiet = memory.addr.map_or(Closed::No, |addr| closed(memory, addr, now));
    if let (Closed::Until(at), None) = (quiet, pinned) {
        plan.wake(at);
    }
    let place = place(config, world, memory, now);
    let moved = match pinned.filter(|pinned| place.is_some_and(|addr| addr != pinned.addr)) {
        Some(pinned) => match moves_at(camera, memory, pinned) {
            Some(at) if at > now => {
                plan.wake(at);
                false
            }
            at => at.is_some(),
        },
        None => false,
    };
    StaticLease {
        camera: camera.name.clone(),
        host: host(camera),
        macs: macs(camera, memory),
        // What is written stays, whatever else is true of the camera now.
        addr: place.filter(|_| moved || pinned.is_none()),
        moved,
    }
}

/// The camera's address, if nobody else holds it and it is in a LAN of this router. IPv4 only.
fn place(config: &Config, world: &World, memory: &CameraState, now: Time) -> Option<Ipv4Addr> {
    let Some(IpAddr::V4(addr)) = memory.addr.filter(|addr| closed(memory, *addr, now) == Closed::No) else {
        return None;
    };
    mapping::lan(config, world, addr.into()).is_ok().then_some(addr)
}

/// When the written address gives way to the present one. At once, if the owner says where the camera is. Else the
/// DHCP server must have given it after the other one was known to be written: who has an older lease, or none, has
/// yet to ask for what the owner wrote.
fn moves_at(camera: &Camera, memory: &CameraState, pinned: &Pinned) -> Option<Time> {
    if camera.ip.is_some() {
        return Some(Time::default());
    }
    let (addr, since) = memory.lease?;
    (Some(addr) == memory.addr && since >= pinned.at).then(|| since.plus(REALLY_ANOTHER))
}

/// The name that dnsmasq is to know the camera by: its own, where it is known by that, for dnsmasq writes this one into
/// the lease file; else one made of the section's.
fn host(camera: &Camera) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let made = || camera.name.chars().map(plain).take(MAX_LABEL).collect::<String>();
    let name = camera.host.clone().unwrap_or_else(made);
    match name.trim_matches('-') {
        "" => "camera".into(),
        name => name.into(),
    }
}

/// A look is on its way.
pub(super) fn begin(state: &mut State, job: &LeaseJob) {
    let memory = &mut state.leases;
    (memory.in_flight, memory.look) = (true, false);
    memory.asked.clone_from(&job.leases);
}

/// Takes in what a look found and wrote. Returns whether a failure is new.
pub fn leased(state: &mut State, result: Result<Leased, String>, now: Time) -> bool {
    let memory = &mut state.leases;
    memory.in_flight = false;
    let failure = match result {
        Ok(leased) => {
            let before = std::mem::take(&mut memory.pinned);
            let at = |camera: &String, addr| {
                before.get(camera).filter(|pinned| pinned.addr == addr).map_or(now, |pinned| pinned.at)
            };
            let pinned = leased.pinned.into_iter();
            memory.pinned = pinned
                .map(|(camera, addr)| (camera.clone(), Pinned { addr, at: at(&camera, addr) }))
                .collect::<Map<_, _>>();
            memory.refused = leased.refused;
            memory.untold = leased.untold.is_some();
            leased.untold
        }
        Err(why) => Some(why),
    };
    if failure.is_some() {
        (memory.look, memory.next) = (true, now.plus(PAUSE));
    }
    let new = failure.is_some() && memory.failure != failure;
    memory.failure = failure;
    new
}

/// A new configuration: what was left in place for the errors of the one before may be nobody's now.
pub(super) fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    look_again(state, now);
    state.leases.look |= before.faulty;
}

/// Has the configuration looked at again, if something of it concerns us.
pub fn look_again(state: &mut State, config: &Config) {
    state.leases.look |= config.cameras.iter().any(|camera| camera.static_lease);
}

/// A person says "try now".
pub(super) fn try_again(state: &mut State) {
    state.leases.next = Time::default();
}
