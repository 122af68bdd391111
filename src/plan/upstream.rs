//! The router above us: when it is asked (PCP, NAT-PMP, UPnP) for its address and for the ports that are open here,
//! and what its answers mean. It is given nothing that [`exposure`] does not open.

use super::mapping::{exposure, Exposure};
use super::reach::reach;
use super::{Action, Plan};
use crate::config::{Config, Mapping, Proto, Upstream, Wan};
use crate::model::{Above, Now, Reach, Time, WanWorld, World};
use crate::state::State;
use crate::wire::igd::Service;
use crate::wire::pcp::Nonce;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How long a mapping is asked for, in seconds: what an agent leaves that never comes back is gone after that.
pub const LIFETIME: u32 = 3600;
/// After so long a router that answers is looked at again: whether it restarted, and whether its address changed.
const CHECK: Duration = Duration::from_secs(60);
/// The same of a router without a public address, and for what was refused.
const CHECK_IN_VAIN: Duration = Duration::from_secs(300);
/// After so long a router that speaks nothing is asked again.
const CHECK_SILENT: Duration = Duration::from_secs(3600);
/// A router that answered before and does not now is asked after this, then after twice as long each time, up to
/// [`CHECK`] ...
const PAUSE: Duration = Duration::from_secs(2);
/// ... and after so many times it counts as one that speaks nothing: about ten minutes, so that it may start anew.
const PATIENCE: u32 = 14;
/// However often a router announces that something changed, it is not asked more than once in this time.
pub const ANNOUNCED: Duration = Duration::from_secs(2);
/// The most ports that are asked for.
const PORTS_CAP: usize = 32;
/// Clocks that do not go alike: an epoch that is behind by more than this and an eighth of the time that passed
/// (RFC 6886 section 3.6, RFC 6887 section 8.5) is another one.
const EPOCH_SLACK: u64 = 2;

/// In which protocol a router is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP IGD.
    Igd,
}

impl Way {
    /// In the order in which they are tried.
    pub const ALL: [Way; 3] = [Way::Pcp, Way::NatPmp, Way::Igd];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Pcp => "PCP",
            Way::NatPmp => "NAT-PMP",
            Way::Igd => "UPnP",
        })
    }
}

/// A port of ours.
pub type Port = (Proto, u16);

/// Between which two addresses a router is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The next hop of our default route.
    pub gateway: Ipv4Addr,
    /// Our address on the WAN.
    pub local: Ipv4Addr,
}

/// A mapping of the router above us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Our port.
    pub port: Port,
    /// The port outside.
    pub external: u16,
    /// In seconds; 0 is for good.
    pub lifetime: u32,
    /// When it is to be renewed.
    pub due: Time,
}

/// A port that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Our port.
    pub port: Port,
    /// The port outside that we would like.
    pub external: u16,
}

/// [`Action::Upstream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamJob {
    /// The WAN section's name.
    pub wan: String,
    /// Its device.
    pub device: String,
    /// Which attempt of that WAN this is.
    pub generation: u64,
    /// Who is asked, from where.
    pub place: Place,
    /// In which protocol; `None`: to be found out.
    pub way: Option<Way>,
    /// Of UPnP: which service, if it is known.
    pub service: Option<Service>,
    /// Its address outside, as far as it is known.
    pub external: Option<Ipv4Addr>,
    /// Of PCP.
    pub nonce: Nonce,
    /// What is asked for, or renewed.
    pub asks: Vec<Ask>,
    /// What is taken away.
    pub drops: Vec<Grant>,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In which protocol it answered; `None`: in none.
    pub way: Option<Way>,
    /// Of UPnP: the service.
    pub service: Option<Service>,
    /// Its address outside, if it has one.
    pub external: Option<Ipv4Addr>,
    /// Seconds since its table was empty, where the protocol tells.
    pub epoch: Option<u32>,
    /// What it gave: our port, the port outside, the lifetime.
    pub granted: Vec<(Port, u16, u32)>,
    /// What it refused, and why.
    pub refused: Vec<(Port, String)>,
    /// What is surely gone.
    pub dropped: Vec<Port>,
}

/// What is known of the router above one WAN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamState {
    /// Number of the last job.
    pub generation: u64,
    /// The running job.
    pub in_flight: Option<UpstreamJob>,
    /// Between whom; all below is about this.
    pub place: Option<Place>,
    /// In which protocol it answers.
    pub way: Option<Way>,
    /// Of UPnP: the service.
    pub service: Option<Service>,
    /// Its address outside.
    pub external: Option<Ipv4Addr>,
    /// Its epoch, and when it was told.
    pub epoch: Option<(u32, Time)>,
    /// Its mappings for us.
    pub grants: Vec<Grant>,
    /// What it refused, and why.
    pub refused: Vec<(Port, String)>,
    /// How often in a row it did not answer.
    pub tries: u32,
    /// When the last job ended.
    pub at: Time,
    /// When to look again.
    pub next: Time,
    /// It announced a change while it was being asked: when to look again then.
    pub again: Option<Time>,
    /// Not asked for the sake of an announcement before this.
    pub hush: Time,
    /// What was said of it last.
    pub said: String,
}

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
        plan.actions.push(Action::Upstream(job));
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

/// A job is on its way.
pub(super) fn begin(state: &mut State, job: &UpstreamJob, now: Time) {
    let memory = state.upstream.entry(job.wan.clone()).or_default();
    if memory.place != Some(job.place) {
        let said = std::mem::take(&mut memory.said);
        *memory = UpstreamState { place: Some(job.place), said, ..UpstreamState::default() };
    }
    (memory.generation, memory.in_flight) = (job.generation, Some(job.clone()));
    memory.hush = now.plus(ANNOUNCED);
}

/// The router above a WAN announced that it restarted or has another address (RFC 6886 section 3.2.1, RFC 6887 section
/// 14.1): it is asked. Nothing of it is believed, as anyone on that network could say so.
pub fn announced(state: &mut State, wan: &str, place: Place, now: Time) {
    let Some(memory) = state.upstream.get_mut(wan).filter(|memory| memory.place == Some(place)) else {
        return;
    };
    let at = memory.hush.max(now);
    if memory.in_flight.is_some() {
        memory.again = memory.again.or(Some(at));
    } else {
        memory.next = memory.next.min(at);
    }
}

/// Takes in what became of a job. Returns whether the router was found to have lost what it had given.
pub fn answered(state: &mut State, wan: &Wan, job: &UpstreamJob, report: Report, now: Time) -> bool {
    let memory = state.upstream.entry(job.wan.clone()).or_default();
    if memory.generation != job.generation {
        return false;
    }
    (memory.in_flight, memory.at) = (None, now);
    let again = memory.again.take();
    let Some(way) = report.way else {
        silent(memory, now);
        memory.next = again.map_or(memory.next, |at| memory.next.min(at));
        return false;
    };
    let lost = has_restarted(memory.epoch, report.epoch, now);
    let moved = memory.external.is_some() && report.external != memory.external;
    if lost || moved {
        memory.grants.iter_mut().for_each(|grant| grant.due = now);
    }
    (memory.way, memory.service, memory.external) = (Some(way), report.service, report.external);
    memory.epoch = report.epoch.map(|epoch| (epoch, now));
    memory.tries = 0;
    let asked = |port: &Port| job.asks.iter().any(|ask| ask.port == *port);
    memory.refused.retain(|(port, _)| !asked(port));
    let told = |port: &Port| {
        report.dropped.contains(port)
            || report.granted.iter().any(|(granted, ..)| granted == port)
            || report.refused.iter().any(|(refused, _)| refused == port)
    };
    memory.grants.retain(|grant| !told(&grant.port));
    for (port, external, lifetime) in report.granted {
        let half = if lifetime == 0 { LIFETIME } else { lifetime.min(LIFETIME) } / 2;
        let due = now.plus(Duration::from_secs(half.max(1).into()));
        memory.grants.push(Grant { port, external, lifetime, due });
    }
    memory.refused.extend(report.refused);
    memory.refused.truncate(PORTS_CAP);
    let good = memory.external.is_some_and(|addr| reach(addr.into(), &wan.accept) == Reach::Public);
    let wait = if good && memory.refused.is_empty() { CHECK } else { CHECK_IN_VAIN };
    memory.next = again.map_or(now.plus(wait), |at| at.max(now));
    lost
}

/// It did not answer.
fn silent(memory: &mut UpstreamState, now: Time) {
    // A way that an earlier run had found: there may be another one now.
    let untried = memory.way.is_some() && memory.external.is_none();
    memory.tries = memory.tries.saturating_add(1);
    if memory.way.is_some() && !untried && memory.tries < PATIENCE {
        let doubled =
            PAUSE.saturating_mul(1u32.checked_shl(memory.tries.saturating_sub(1)).unwrap_or(u32::MAX));
        memory.next = now.plus(doubled.min(CHECK));
        return;
    }
    (memory.way, memory.service, memory.external, memory.epoch) = (None, None, None, None);
    (memory.grants, memory.refused) = (Vec::new(), Vec::new());
    memory.next = now.plus(CHECK_SILENT);
    if untried {
        // Nothing to say yet: it is asked in every way at once.
        (memory.next, memory.at, memory.tries) = (now, Time::default(), 0);
    }
}

/// Whether a router's epoch says that it has lost its table (RFC 6886 section 3.6).
fn has_restarted(before: Option<(u32, Time)>, after: Option<u32>, now: Time) -> bool {
    let (Some((before, at)), Some(after)) = (before, after) else { return false };
    let passed = now.since(at).as_secs();
    let least = u64::from(before) + passed - passed / 8;
    u64::from(after) + EPOCH_SLACK < least
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

/// What the router above a WAN does for us, in plain words, and whether that is well.
pub fn sentence(memory: &UpstreamState, wan: &Wan) -> Option<(bool, String)> {
    let place = memory.place.filter(|_| memory.at != Time::default())?;
    let gateway = place.gateway;
    let Some(way) = memory.way else {
        let text = format!(
            "the router above us ({gateway}) answers neither by PCP nor by NAT-PMP nor by UPnP: switch one of them on \
             there, or forward the ports there to {}",
            place.local
        );
        return Some((false, text));
    };
    if memory.tries > 0 {
        return Some((false, format!("the router above us ({gateway}) does not answer any more by {way}")));
    }
    let who = format!("the router above us ({gateway}, by {way})");
    let own = memory.external.map(|addr| (addr, reach(addr.into(), &wan.accept)));
    let (good, mut text) = match own {
        Some((addr, Reach::Public)) => (true, format!("{who} is {addr} to the internet")),
        Some((addr, reach)) => {
            (false, format!("{who} has no public address itself: {addr} is {reach}; {IN_VAIN}"))
        }
        None if way == Way::Pcp && memory.refused.is_empty() => {
            (true, format!("{who} tells its address with the first port that is open here"))
        }
        None => (false, format!("{who} has no public address itself; {IN_VAIN}")),
    };
    if good {
        for grant in &memory.grants {
            let (proto, port) = grant.port;
            text.push_str(&format!(", its {proto} port {} leads to our {port}", grant.external));
        }
        for ((proto, port), why) in &memory.refused {
            text.push_str(&format!(", {proto} port {port} is refused: {why}"));
        }
    }
    Some((good && memory.refused.is_empty(), text))
}

/// What it means that there is another NAT above.
const IN_VAIN: &str =
    "nothing gets in from the internet by IPv4 this way, and nothing is published: use a tunnel \
     (config tunnel) or IPv6, or ask the provider for a public address";

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
