//! The change of the packet filter that is due: what closes at once, what opens with as few reloads of OpenWrt's firewall
//! as can be.

use super::{asked_by, carrier, off, way, Exposure};
use crate::config::{Config, Network};
use crate::model::{Family, Now, Time, World};
use crate::plan::{probe, schedule, Action, Carrier, MapJob, Plan, Rule};
use crate::state::{MappingState, State};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The most rules that are kept of changes that failed or were overtaken; of older ones the targets are known.
const PERHAPS_CAP: usize = 256;
/// How long after the first, the second and the third reload of OpenWrt's firewall within [`RELOAD_WINDOW`] the next
/// one waits, so that cameras that come one by one are opened together. After the fourth the window itself is waited
/// for: a reload stops the router for seconds, and wipes what other programs put into the firewall's chains.
const RELOAD_PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
/// See [`RELOAD_PAUSES`].
const RELOAD_WINDOW: Duration = Duration::from_secs(300);

/// Adds the change of the packet filter that is due now, if any.
pub fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    if off(config, world, state) || !world.complete {
        return;
    }
    let carrier = carrier(config, world).unwrap_or_default();
    let rules = wanted(config, world, state, now, plan);
    let (wall, now) = (now, now.boot);
    let memory = &state.mapping;
    // A change under way is waited for, but not by a close.
    let under_way = memory.in_flight.is_some();
    let closing = closes(&memory.tried, &rules);
    if under_way && !closing {
        return;
    }
    let unseen = if carrier == Carrier::Uci { unseen(config, state, wall) } else { Vec::new() };
    if !under_way && is_done(memory, carrier, &rules) && memory.unseen == unseen {
        return;
    }
    if memory.applied.is_none() && config.mappings.is_empty() && memory.targets.is_empty() {
        return;
    }
    // The wait is for the change that failed; another one, such as a close, goes at once.
    let waits = memory.retry.as_ref().filter(|_| memory.tried == rules).and_then(|retry| retry.next);
    if let Some(at) = waits.filter(|at| *at > now) {
        return plan.wake(at);
    }
    // The firewall takes seconds. What closes is closed first, without it.
    let closing = closing || memory.applied.as_ref().is_some_and(|before| closes(before, &rules));
    let next_reload = next_reload(memory);
    let reload = !carrier.reloads() || !closing && next_reload <= now;
    if !reload && !closing {
        return plan.wake(next_reload);
    }
    let cut = cut(memory, &rules);
    let generation = memory.generation + 1;
    let mut wan_addrs = Vec::new();
    for wan in world.wans.values() {
        wan_addrs.extend(wan.v4.addr.seen());
        wan_addrs.extend(wan.v6.addr.seen());
    }
    plan.actions.push(Action::Map(Box::new(MapJob {
        generation,
        carrier,
        reload,
        rules,
        cut,
        wan_addrs,
        unseen,
    })));
}

/// The mappings that are closed only because their camera was not seen yet, or has not answered yet, or the clock is not
/// set.
fn unseen(config: &Config, state: &State, now: Now) -> Vec<String> {
    let mut unseen = Vec::new();
    for mapping in &config.mappings {
        let camera = state.cameras.get(&mapping.camera);
        let addr = match asked_by(mapping) {
            Family::V4 => camera.and_then(|camera| camera.addr),
            Family::V6 => camera.and_then(|camera| camera.addr6),
        };
        let is_unseen = match addr {
            Some(addr) => probe::is_awaited(state, mapping, addr),
            None => mapping.allow_open || probe::inquiry(mapping, Ipv4Addr::UNSPECIFIED.into()).is_ok(),
        };
        if is_unseen || schedule::waits_for_clock(mapping, now) {
            unseen.push(mapping.name.clone());
        }
    }
    unseen
}

/// All rules that are to be in force now.
fn wanted(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) -> Vec<Rule> {
    let mut rules = Vec::new();
    for mapping in &config.mappings {
        for family in &mapping.families {
            match way(config, world, state, mapping, *family, now) {
                Exposure::Open(open) => {
                    rules.extend(open);
                    schedule::closes_at(mapping, world, now).into_iter().for_each(|at| plan.wake(at));
                }
                Exposure::Until(at, _) => plan.wake(at),
                Exposure::Closed(_) => {}
            }
        }
    }
    rules
}

/// Whether what is wanted is surely in force, and the firewall knows of it.
fn is_done(memory: &MappingState, carrier: Carrier, rules: &Vec<Rule>) -> bool {
    // After a failure it is not known what is in force, whatever was so before.
    let sure = memory.retry.is_none() && !memory.owed;
    sure && memory.applied.as_ref() == Some(rules) && memory.carrier == Some(carrier)
}

/// From when on the firewall may be made to reload again.
fn next_reload(memory: &MappingState) -> Time {
    let Some(last) = memory.reloads.last() else { return Time::default() };
    let in_window = |at: &&Time| last.since(**at) < RELOAD_WINDOW;
    let earlier = memory.reloads.iter().rev().skip(1).take(RELOAD_PAUSES.len()).take_while(in_window);
    match RELOAD_PAUSES.get(earlier.clone().count()) {
        Some(pause) => last.plus(*pause),
        None => earlier.last().unwrap_or(last).plus(RELOAD_WINDOW),
    }
}

/// A change is on its way.
pub(in crate::plan) fn begin(memory: &mut MappingState, job: &MapJob, now: Time) {
    memory.generation = job.generation;
    memory.in_flight = Some((job.generation, now));
    if job.carrier.reloads() && job.reload {
        count_reload(memory, now);
    }
    memory.tried.clone_from(&job.rules);
    memory.perhaps.retain(|old| !job.rules.contains(old));
    memory.perhaps.extend(job.rules.iter().cloned());
    memory.perhaps.drain(..memory.perhaps.len().saturating_sub(PERHAPS_CAP));
    // Until they are cut, connections may lead to the old and to the new places.
    memory.targets.extend(job.rules.iter().map(|rule| rule.target));
}

/// Counts a reload of the firewall that starts now.
fn count_reload(memory: &mut MappingState, now: Time) {
    memory.reloads.retain(|at| now.since(*at) < RELOAD_WINDOW);
    memory.reloads.push(now);
}

/// Whether all whom a rule let in are let in by another one, by the same port to the same place.
fn still(old: &Rule, new: &Rule) -> bool {
    let may = |net: &Network| new.sources.iter().any(|wider| wider.covers(net));
    let all = new.sources.is_empty() || !old.sources.is_empty() && old.sources.iter().all(may);
    all && (old.proto, old.src_dport, old.target, old.dest_port)
        == (new.proto, new.src_dport, new.target, new.dest_port)
}

/// Whether somebody whom the rules before let in is no more let in by those after.
fn closes(before: &[Rule], after: &[Rule]) -> bool {
    let still = |old: &Rule, new: &Rule| {
        still(old, new) && old.wan_devices.iter().all(|device| new.wan_devices.contains(device))
    };
    before.iter().any(|old| !after.iter().any(|new| still(old, new)))
}

/// Targets of rules that are no more, or narrower: their live connections go too. Rules that were made before the agent
/// was killed are among those that were perhaps in force.
fn cut(memory: &MappingState, after: &[Rule]) -> Vec<IpAddr> {
    let mut targets = Vec::new();
    for old in memory.applied.iter().flatten().chain(&memory.perhaps) {
        if !after.iter().any(|new| still(old, new)) {
            targets.push(old.target);
        }
    }
    for old in &memory.targets {
        if !after.iter().any(|new| new.target == *old) {
            targets.push(*old);
        }
    }
    targets.sort();
    targets.dedup();
    targets
}
