//! The router above us: when it is asked (PCP, NAT-PMP, UPnP) for its address and for the ports that are open here,
//! and what its answers mean. It is given nothing that [`exposure`] does not open.

mod answer;
mod memory;
#[cfg(test)]
mod tests;

pub(in crate::plan) use answer::begin;
pub use answer::{announced, answered, sentence};
pub use memory::{Ask, Grant, Place, Port, Report, UpstreamJob, UpstreamState, Way};

use super::mapping::{exposure, Exposure};
use super::reach::reach;
use super::{Action, Plan};
use crate::config::{Config, Mapping, Upstream, Wan};
use crate::model::{Above, Now, Reach, Time, WanWorld, World};
use crate::state::State;
use std::net::IpAddr;
use std::time::Duration;

/// How long a mapping is asked for, in seconds: what an agent leaves that never comes back is gone after that.
pub const LIFETIME: u32 = 3600;
/// However often a router announces that something changed, it is not asked more than once in this time.
pub const ANNOUNCED: Duration = Duration::from_secs(2);
/// The most ports that are asked for.
const PORTS_CAP: usize = 32;
/// The address outside of the router above a WAN, if the internet can reach it.
pub fn public(wan: &Wan, sensed: &WanWorld) -> Option<IpAddr> {
    let above = sensed.above?;
    let local = sensed.v4.addr.seen() == Some(above.local.into());
    let external = above.external.into();
    let same = local && sensed.gateway == Some(above.gateway);
    (same && reach(external, &wan.accept) == Reach::Public).then_some(external)
}

/// Where a mapping is reached outside, if that is another router's port. With several WANs, at the first of them.
pub fn outside_port(config: &Config, state: &State, mapping: &Mapping) -> Option<u16> {
    let grants = config.wans.iter().filter_map(|wan| state.upstream.get(&wan.name)).flat_map(|m| &m.grants);
    let ours = |grant: &&Grant| mapping.protos.contains(&grant.port.0) && grant.port.1 == mapping.src_dport.0;
    grants.into_iter().find(ours).map(|grant| grant.external)
}

/// Who is to be asked above a WAN, and by which device; `None`: nobody.
pub fn place<'a>(config: &Config, world: &'a World, wan: &Wan) -> Option<(Place, &'a str)> {
    let sensed = world.wans.get(&wan.name).filter(|sensed| sensed.v4.route)?;
    let (Some(IpAddr::V4(local)), Some(gateway)) = (sensed.v4.addr.seen(), sensed.gateway) else {
        return None;
    };
    let wanted = match config.global.upstream {
        _ if !config.global.enabled => false,
        Upstream::Off => false,
        Upstream::On => true,
        Upstream::Auto => reach(local.into(), &wan.accept) != Reach::Public,
    };
    wanted.then_some((Place { gateway, local }, sensed.device.as_deref()?))
}

/// The ports that are open here, or that stay so: new ones only once the packet filter carries them.
fn wanted(config: &Config, world: &World, state: &State, memory: &UpstreamState, now: Now) -> Vec<Port> {
    let mut ports = Vec::new();
    let applied = state.mapping.applied.as_deref().unwrap_or_default();
    for mapping in &config.mappings {
        let Exposure::Open(rules) = exposure(config, world, state, mapping, now) else { continue };
        // A port that is a program's of this router.
        if state.mapping.refused.iter().any(|(name, _)| *name == mapping.name) {
            continue;
        }
        // There is no NAT of IPv6 above us.
        for rule in rules.iter().filter(|rule| rule.target.is_ipv4()) {
            let carried = applied.contains(rule);
            let (first, last) = rule.src_dport;
            let each = (first..=last).map(|number| (rule.proto, number));
            let has = |port: &Port| memory.grants.iter().any(|grant| grant.port == *port);
            ports.extend(each.filter(|port| carried || has(port)).take(PORTS_CAP));
        }
    }
    ports.truncate(PORTS_CAP);
    ports
}

/// Adds what is due.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    if !world.complete {
        return;
    }
    // A port is asked for once the packet filter carries it, which is known in a moment.
    let opening = |action: &Action| matches!(action, Action::Map(_));
    let opening = state.mapping.in_flight.is_some() || plan.actions.iter().any(opening);
    let none = UpstreamState::default();
    for wan in &config.wans {
        let memory = state.upstream.get(&wan.name).unwrap_or(&none);
        if memory.in_flight.is_some() {
            continue;
        }
        let job = match place(config, world, wan) {
            Some((place, device)) if memory.place != Some(place) || memory.way.is_none() => {
                let known = memory.place == Some(place);
                if opening {
                    continue;
                }
                if known && memory.next > now.boot {
                    plan.wake(memory.next);
                    continue;
                }
                let asks = wanted(config, world, state, &none, now);
                job(state, wan, place, device, asks.into_iter().map(|port| ask(&none, port)).collect())
            }
            Some((place, device)) => {
                let Some((asks, drops)) = due(config, world, state, memory, now, plan) else { continue };
                UpstreamJob { drops, ..job(state, wan, place, device, asks) }
            }
            None => match farewell(world, state, wan) {
                Some(job) if memory.tries == 0 || memory.next <= now.boot => job,
                Some(_) => {
                    plan.wake(memory.next);
                    continue;
                }
                None => continue,
            },
        };
        plan.actions.push(Action::Upstream(Box::new(job)));
    }
}

fn ask(memory: &UpstreamState, port: Port) -> Ask {
    let grant = memory.grants.iter().find(|grant| grant.port == port);
    Ask { port, external: grant.map_or(port.1, |grant| grant.external) }
}

fn job(state: &State, wan: &Wan, place: Place, device: &str, asks: Vec<Ask>) -> UpstreamJob {
    let none = UpstreamState::default();
    let memory = state.upstream.get(&wan.name).unwrap_or(&none);
    let same = memory.place == Some(place);
    UpstreamJob {
        wan: wan.name.clone(),
        device: device.to_string(),
        generation: memory.generation + 1,
        place,
        way: memory.way.filter(|_| same),
        service: memory.service.clone().filter(|_| same),
        external: memory.external.filter(|_| same),
        nonce: state.nonce,
        asks,
        drops: Vec::new(),
    }
}

/// What is to be asked of a router that is known, and what is to be taken away; `None`: nothing now.
fn due(
    config: &Config,
    world: &World,
    state: &State,
    memory: &UpstreamState,
    now: Now,
    plan: &mut Plan,
) -> Option<(Vec<Ask>, Vec<Grant>)> {
    let healed = world.healed.is_some_and(|at| at > memory.at);
    let check = memory.next <= now.boot || healed;
    if memory.tries > 0 && !check {
        plan.wake(memory.next);
        return None;
    }
    let wanted = wanted(config, world, state, memory, now);
    let drops: Vec<Grant> =
        memory.grants.iter().filter(|grant| !wanted.contains(&grant.port)).copied().collect();
    let is_due = |port: &Port| match memory.grants.iter().find(|grant| grant.port == *port) {
        // A check says all of it again: UPnP has no epoch, and that of a router that was young tells nothing.
        Some(grant) => check || grant.due <= now.boot,
        None => check || memory.refused.iter().all(|(refused, _)| refused != port),
    };
    let asks: Vec<Ask> = wanted.iter().filter(|port| is_due(port)).map(|port| ask(memory, *port)).collect();
    if asks.is_empty() && drops.is_empty() && !check {
        let renewals = memory.grants.iter().map(|grant| grant.due);
        plan.wake(renewals.fold(memory.next, Time::min));
        return None;
    }
    Some((asks, drops))
}

/// What takes away everything that the router above a WAN has of us, also what is just being asked for.
pub fn farewell(world: &World, state: &State, wan: &Wan) -> Option<UpstreamJob> {
    let memory = state.upstream.get(&wan.name)?;
    let (place, sensed) = (memory.place?, world.wans.get(&wan.name)?);
    let mut drops = memory.grants.clone();
    let asked = memory.in_flight.iter().flat_map(|job| &job.asks);
    for ask in asked.filter(|ask| memory.grants.iter().all(|grant| grant.port != ask.port)) {
        drops.push(Grant {
            port: ask.port,
            external: ask.external,
            lifetime: LIFETIME,
            due: Time::default(),
        });
    }
    let here = sensed.v4.addr.seen() == Some(place.local.into());
    (here && !drops.is_empty()).then_some(())?;
    Some(UpstreamJob { drops, ..job(state, wan, place, sensed.device.as_deref()?, Vec::new()) })
}

/// What the world is told of the router above a WAN.
pub fn above(state: &State, wan: &str) -> Option<Above> {
    let memory = state.upstream.get(wan)?;
    let (place, external) = (memory.place?, memory.external?);
    Some(Above { gateway: place.gateway, local: place.local, external })
}

/// A person says "try now".
pub(super) fn try_again(state: &mut State) {
    for memory in state.upstream.values_mut() {
        memory.next = Time::default();
    }
}

/// Forgets what is known above WANs that are no more.
pub(super) fn reconfigured(state: &mut State, now: &Config) {
    state.upstream.retain(|name, _| now.wans.iter().any(|wan| wan.name == *name));
}
