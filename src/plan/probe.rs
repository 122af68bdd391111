//! When a camera is asked whether it wants a password, and what its answers open and close. It fails closed: only a
//! refusal of whoever brings no password proves anything.

use super::mapping::{asked_at, refuse, Refusal};
use super::{Action, Plan, ProbeJob, Rule};
use crate::config::{Config, Mapping, Probe, Proto};
use crate::model::{millis, Inquiry, Now, Protection, Time, World};
use crate::state::{ProbeState, State};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The first wait after no answer, which may come from a camera that has just got its address; then doubling ...
const PAUSE: Duration = Duration::from_millis(250);
/// ... from as many doublings on where an answer proved nothing: a person has to change something first ...
const STEPS_OF_A_PERSON: u32 = 4;
/// ... up to this: whoever sets a password or plugs a camera in is not kept waiting for long ...
const PAUSE_LONG: Duration = Duration::from_secs(60);
/// ... and after so many tries in a row up to this.
const PAUSE_LONGEST: Duration = Duration::from_secs(600);
/// See [`PAUSE_LONGEST`]: about a quarter of an hour.
const PATIENCE: u32 = 22;
/// A camera that was proven and now answers something else is asked once more after this, before that counts.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// One that was found open to anyone has to ask for a password so often in a row ...
const CALM: u32 = 2;
/// ... and is asked again after this, doubling: it may be open to some callers and closed to others.
const CALM_FIRST: Duration = Duration::from_secs(5);

/// Whether a camera at this address may be exposed by the mapping.
pub(super) fn gate(state: &State, mapping: &Mapping, addr: IpAddr, now: Time) -> Result<(), Refusal> {
    if mapping.allow_open {
        return Ok(());
    }
    let inquiry = match inquiry(mapping, addr) {
        Ok(inquiry) => inquiry,
        Err(why) => return refuse(format!("{why}; option allow_open '1' exposes it all the same")),
    };
    let memory = state.probes.get(&mapping.name).filter(|memory| memory.asked.as_ref() == Some(&inquiry));
    let at = inquiry.target;
    // While its schedule had it closed, it was not asked.
    let is_closed = |open: &Vec<Rule>| !open.iter().any(|rule| rule.mapping == mapping.name);
    let slept = mapping.schedule.is_some() && state.mapping.applied.as_ref().is_some_and(is_closed);
    if slept && memory.is_some_and(|memory| memory.proof.is_some() && memory.next <= now) {
        return refuse(format!("the camera at {at} is being asked for a password again"));
    }
    match memory.map(|memory| (memory.proof, memory.found.as_ref())) {
        Some((Some(_), _)) => Ok(()),
        None | Some((None, None)) => refuse(format!("the camera at {at} is being asked for a password")),
        Some((None, Some(Protection::Password(_)))) => refuse(format!(
            "the camera at {at} asks for a password now, and lately let anyone in: it is asked once more"
        )),
        Some((None, Some(found))) => refuse(format!("the camera at {at} {found}; {}", mend(found))),
    }
}

/// Whether the camera's first word on it is still to come.
pub(super) fn is_awaited(state: &State, mapping: &Mapping, addr: IpAddr) -> bool {
    let Some(inquiry) = inquiry(mapping, addr).ok().filter(|_| !mapping.allow_open) else { return false };
    let memory = state.probes.get(&mapping.name).filter(|memory| memory.asked.as_ref() == Some(&inquiry));
    let absent = |found: &Protection| matches!(found, Protection::NoService | Protection::Silent);
    memory.is_none_or(|memory| memory.proof.is_none() && memory.found.as_ref().is_none_or(absent))
}

/// What the owner can do about it.
pub(crate) fn mend(found: &Protection) -> &'static str {
    match found {
        Protection::Open => {
            "set a password on the camera, also for RTSP and ONVIF; option allow_open '1' exposes it all the same"
        }
        Protection::Silent => "look whether it has power and network",
        Protection::NoService => "look whether dest_port is the camera's, and the service switched on there",
        _ => {
            "check the options probe, path and dest_port, and that the camera has a password; option allow_open '1' \
             exposes it all the same"
        }
    }
}

/// What to ask for a mapping.
///
/// # Errors
/// Why nothing could be proven by asking, in plain words.
pub fn inquiry(mapping: &Mapping, addr: IpAddr) -> Result<Inquiry, &'static str> {
    let (first, last) = mapping.dest_port;
    if mapping.probe == Probe::None {
        return Err("option probe is 'none', so it is not proven that the camera asks for a password");
    }
    if mapping.probe == Probe::Tcp {
        return Err("option probe 'tcp' does not prove that the camera asks for a password");
    }
    if mapping.protos.contains(&Proto::Udp) {
        return Err("a camera cannot be asked for a password by UDP (list proto)");
    }
    if first != last {
        return Err(
            "of a range of ports it is not proven that each asks for a password: write a mapping for each",
        );
    }
    let target = SocketAddr::new(addr, first);
    Ok(Inquiry { target, how: mapping.probe, path: mapping.path.clone() })
}

/// Adds the questions that are due.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    if !world.complete {
        return;
    }
    for mapping in config.mappings.iter().filter(|mapping| !mapping.allow_open) {
        let Ok(addr) = asked_at(config, world, state, mapping, now) else { continue };
        let Ok(inquiry) = inquiry(mapping, addr) else { continue };
        let none = ProbeState::default();
        let memory = state.probes.get(&mapping.name).unwrap_or(&none);
        if memory.in_flight.as_ref() == Some(&inquiry) {
            continue;
        }
        let known = memory.asked.as_ref() == Some(&inquiry);
        let at = if known && !is_back(world, memory, addr) { memory.next } else { now.boot };
        if at > now.boot {
            plan.wake(at);
            continue;
        }
        let (mapping, generation) = (mapping.name.clone(), memory.generation + 1);
        plan.actions.push(Action::Probe(Box::new(ProbeJob { mapping, generation, inquiry })));
    }
}

/// Nobody answered at the address, and then the kernel heard somebody there.
fn is_back(world: &World, memory: &ProbeState, addr: IpAddr) -> bool {
    let heard = world.neighbours.get(&addr).filter(|near| near.fresh);
    memory.found == Some(Protection::Silent) && heard.is_some_and(|near| near.at > memory.at)
}

/// A question is on its way.
pub(super) fn begin(state: &mut State, job: &ProbeJob) {
    let memory = state.probes.entry(job.mapping.clone()).or_default();
    (memory.generation, memory.in_flight) = (job.generation, Some(job.inquiry.clone()));
}

/// Takes in an answer. Returns whether it says something new; an older question's answer says nothing.
pub fn answered(state: &mut State, mapping: &Mapping, job: &ProbeJob, found: Protection, now: Time) -> bool {
    let Some(memory) = state.probes.get_mut(&job.mapping).filter(|known| known.generation == job.generation)
    else {
        return false;
    };
    memory.in_flight = None;
    let before = memory.found.take().filter(|_| memory.asked.as_ref() == Some(&job.inquiry));
    let proof = memory.proof.take().filter(|_| before.is_some());
    let tries = if before.is_some() { memory.tries } else { 0 };
    let new = before.as_ref() != Some(&found);
    if new {
        memory.since = now;
    }
    let first_doubt = proof.is_some() && tries == 0;
    memory.calm = calm(memory.calm, &found);
    (memory.proof, memory.tries, memory.next) = match &found {
        Protection::Password(scheme) => {
            let next =
                memory.calm.map_or(mapping.probe_interval, |times| CALM_FIRST * (1 << times.min(16)) / 2);
            if next >= mapping.probe_interval {
                memory.calm = None;
            }
            let proven = memory.calm.is_none_or(|times| times >= CALM);
            (proven.then_some(*scheme), 0, now.plus(next.min(mapping.probe_interval)))
        }
        // It may be busy. Another such answer, and it is open to anyone for all that is known.
        Protection::Unproven(_) if first_doubt => (proof, 1, now.plus(SECOND_LOOK)),
        Protection::Open | Protection::Unproven(_) => {
            (None, tries + 1, now.plus(pause(tries.saturating_add(STEPS_OF_A_PERSON))))
        }
        // Who does not answer gives nothing away, and is asked again when it is back. That is heard of a device, of a
        // service it is not: after a while it could be back, and open to anyone.
        Protection::NoService if tries >= PATIENCE => (None, tries + 1, now.plus(pause(tries))),
        Protection::NoService | Protection::Silent => (proof, tries + 1, now.plus(pause(tries))),
    };
    (memory.asked, memory.found, memory.at) = (Some(job.inquiry.clone()), Some(found), now);
    new
}

/// How often in a row a camera that was found open has asked for a password now.
fn calm(before: Option<u32>, found: &Protection) -> Option<u32> {
    match found {
        Protection::Open => Some(0),
        Protection::Password(_) => before.map(|times| times.saturating_add(1)),
        _ => before,
    }
}

fn pause(tries: u32) -> Duration {
    let longest = if tries < PATIENCE { PAUSE_LONG } else { PAUSE_LONGEST };
    let doubled = millis(PAUSE).saturating_mul(1u64.checked_shl(tries).unwrap_or(u64::MAX));
    Duration::from_millis(doubled).min(longest)
}

/// A person says "try now": every camera is asked again.
pub(super) fn try_again(state: &mut State) {
    for memory in state.probes.values_mut() {
        (memory.next, memory.tries) = (Time::default(), 0);
    }
}

/// Forgets what is known of mappings that are no more, or that lead to another camera now. Of a question that is under way
/// the number stays, so that its answer is taken for nobody else's.
pub(super) fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    let camera = |config: &Config, name: &str| {
        let mapping = config.mappings.iter().find(|mapping| mapping.name == name);
        mapping.map(|mapping| mapping.camera.clone())
    };
    state.probes.retain(|name, memory| {
        let (is_there, in_flight) = (camera(now, name).is_some(), memory.in_flight.take());
        if is_there {
            memory.in_flight = in_flight;
            return true;
        }
        let flies = in_flight.is_some();
        *memory = ProbeState { generation: memory.generation, in_flight, ..ProbeState::default() };
        flies
    });
    for mapping in &now.mappings {
        if camera(before, &mapping.name).as_ref() != Some(&mapping.camera) {
            forget(state, &mapping.name);
        }
    }
}

/// Forgets what a mapping's camera said. The answer to a question that is under way will not count.
pub(super) fn forget(state: &mut State, mapping: &str) {
    if let Some(memory) = state.probes.get_mut(mapping) {
        *memory = ProbeState { generation: memory.generation, ..ProbeState::default() };
    }
}
