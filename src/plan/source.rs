//! Who may: the addresses of the names in `list src_ip`, looked up again in time; with them those of the tunnels' servers.
//! What was answered well last stays until another answer comes; a name that never had one is nobody.

use super::mapping::{refuse, Refusal};
use super::tunnel;
use super::{Action, Plan, ResolveJob};
use crate::config::{Config, Mapping, Network};
use crate::map::Set;
use crate::model::{millis, Family, Time, World};
use crate::provider::{Failure, Kind};
use crate::state::{NameState, State};
use std::net::IpAddr;
use std::time::Duration;

/// After so long a name is looked up again.
const REFRESH: Duration = Duration::from_secs(300);
/// After a failure the first time, then doubling up to [`REFRESH`].
const PAUSE: Duration = Duration::from_secs(10);
/// What heals does not have a name looked up again before this.
const HEAL_PAUSE: Duration = Duration::from_secs(1);
/// A name of which the resolver says for so long that there is no such name is nobody any more: its owner took it away.
const GONE: Duration = Duration::from_secs(900);
/// The most names that are looked up at a time.
const AT_ONCE: usize = 4;
/// The most addresses of a name that count.
pub const ADDRS_CAP: usize = 8;

/// The networks that may use a mapping by this family; none where anyone may.
///
/// # Errors
/// Why nobody may.
pub(super) fn allowed(state: &State, mapping: &Mapping, family: Family) -> Result<Vec<Network>, Refusal> {
    if mapping.source_names.is_empty() {
        return Ok(mapping.sources.clone());
    }
    let known = mapping.source_names.iter().filter_map(|name| state.names.get(name)?.addrs.as_ref());
    // Addresses of the other family would change a rule that they have no part in.
    let known = known.flatten().filter(|addr| Family::of(**addr) == family);
    let bits = if family == Family::V4 { 32 } else { 128 };
    let known = known.filter_map(|addr| Network::new(*addr, bits));
    let all: Set<Network> = mapping.sources.iter().copied().chain(known).collect();
    if all.is_empty() {
        return refuse(format!(
            "nobody may use it: no {family} address is known of {} (list src_ip)",
            mapping.source_names.join(", ")
        ));
    }
    Ok(all.iter().copied().collect())
}

/// Every name that a mapping lets in, or where records point, each once.
fn names(config: &Config) -> Set<&String> {
    let sources = config.mappings.iter().flat_map(|mapping| &mapping.source_names);
    sources.chain(tunnel::followed_names(config)).collect()
}

/// Adds the look-ups that are due.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Time, plan: &mut Plan) {
    if !world.complete {
        return;
    }
    let mut flying = state.names.values().filter(|memory| memory.in_flight).count();
    let none = NameState::default();
    for name in names(config).iter() {
        let memory = state.names.get(*name).unwrap_or(&none);
        if memory.in_flight {
            continue;
        }
        let healed = world.healed.filter(|at| *at > memory.started);
        let healed = healed.map(|at| at.max(memory.started.plus(HEAL_PAUSE)));
        let at = healed.map_or(memory.next, |at| at.min(memory.next));
        if at > now {
            plan.wake(at);
        } else if world.resolver && flying < AT_ONCE {
            flying += 1;
            let job = ResolveJob { name: name.to_string(), generation: memory.generation + 1 };
            plan.actions.push(Action::Resolve(Box::new(job)));
        }
    }
}

/// A look-up is on its way.
pub(super) fn begin(state: &mut State, job: &ResolveJob, now: Time) {
    let memory = state.names.entry(job.name.clone()).or_default();
    (memory.generation, memory.in_flight, memory.started) = (job.generation, true, now);
}

/// Takes in an answer; an older question's says nothing.
pub fn answered(state: &mut State, job: &ResolveJob, result: Result<Vec<IpAddr>, Failure>, now: Time) {
    let memory = state.names.get_mut(&job.name).filter(|known| known.generation == job.generation);
    let Some(memory) = memory else { return };
    memory.in_flight = false;
    match result {
        Ok(mut addrs) => {
            addrs.sort();
            addrs.dedup();
            addrs.truncate(ADDRS_CAP);
            (memory.addrs, memory.failure) = (Some(addrs), None);
            (memory.tries, memory.next, memory.gone) = (0, now.plus(REFRESH), None);
        }
        Err(failure) => {
            let doubled = millis(PAUSE).saturating_mul(1u64.checked_shl(memory.tries).unwrap_or(u64::MAX));
            memory.next = now.plus(Duration::from_millis(doubled).min(REFRESH));
            // A resolver that fails says nothing of the name, and one that was wrong for a moment cuts nobody.
            memory.gone = memory.gone.or(Some(now)).filter(|_| failure.kind == Kind::Unreachable);
            if memory.gone.is_some_and(|since| now.since(since) >= GONE) {
                memory.addrs = None;
            }
            (memory.failure, memory.tries) = (Some(failure.words()), memory.tries.saturating_add(1));
        }
    }
}

/// A person says "try now".
pub(super) fn try_again(state: &mut State) {
    state.names.values_mut().for_each(|memory| memory.next = Time::default());
}

/// Forgets names that are no more.
pub(super) fn reconfigured(state: &mut State, config: &Config) {
    let names = names(config);
    state.names.retain(|name, _| names.contains(name));
}
