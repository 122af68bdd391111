//! Tunnels: when one is used, which of its mappings it carries, when what failed is tried again, and which names follow
//! it. It carries nothing that [`exposure`] does not open.

use super::mapping::{exposure, Exposure};
use super::reach::reach;
use super::retry::{after, due, Attempt, Spent};
use super::witness::standing;
use super::{witness, Action, Plan};
use crate::config::tunnel::Kind as TunnelKind;
use crate::config::{Config, Mapping, Proto, Record, Tunnel};
use crate::model::{Family, Now, Reach, Time, World};
use crate::provider::{Failure, Kind};
use crate::state::{Retry, State};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use crate::state::{LineState, TunnelState};

/// So long no WAN was publicly reachable before a tunnel is used ...
pub const BEFORE: Duration = Duration::from_secs(60);
/// ... and so long one was before it is not any more.
const BACK: Duration = Duration::from_secs(300);
/// A line that stood for so long begins its back-off anew.
const STOOD: Duration = Duration::from_secs(60);
/// The longest wait after a failure ...
const LONGEST: Duration = Duration::from_secs(120);
/// ... and after a refusal of the secret or the key.
const LONGEST_REFUSED: Duration = Duration::from_secs(600);
/// After so many refusals of the port that is wanted, any other is asked for. A server that has not yet noticed the end of
/// the last connection refuses too, for up to a minute.
const REFUSALS: u32 = 4;

/// One mapping by one tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The mapping section's name.
    pub mapping: String,
    /// Which attempt of the tunnel this is: another number is another line.
    pub attempt: u64,
    /// The camera's present address and port: all that a stream may be connected to.
    pub target: SocketAddr,
    /// The port that is asked of the server; 0: any.
    pub remote: u16,
}

/// [`Action::Tunnel`]: all lines of a tunnel that are to stand. Others end, and their streams with them; where the target
/// moved, the streams end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelJob {
    /// The tunnel section's name.
    pub tunnel: String,
    /// The lines, in the order of the section.
    pub lines: Vec<Line>,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It stands, and the server lets in by this port.
    Up(u16),
    /// It ended, or could not be made.
    Down(Failure),
}

/// Where a line belongs, with what is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The tunnel section's name.
    pub tunnel: String,
    /// The mapping section's name.
    pub mapping: String,
    /// As in [`Line`].
    pub attempt: u64,
    /// What.
    pub news: News,
}

impl TunnelState {
    /// Whether it is used now.
    pub fn runs(&self, tunnel: &Tunnel) -> bool {
        tunnel.always || self.needed
    }
}

impl LineState {
    /// It ends now. What failed before it stood counts no more, if it stood for long.
    fn end(&mut self, now: Time) {
        if self.port.is_some() && now.since(self.since) >= STOOD {
            self.retry = None;
        }
        (self.open, self.port) = (None, None);
    }
}

/// How the mappings of a tunnel are reached without it; `None`: it is not known now.
fn is_reached(config: &Config, world: &World, state: &State, tunnel: &Tunnel) -> Option<bool> {
    let mappings = || tunnel.carries.iter().filter_map(|(name, _)| mapping(config, name));
    let v4 = mappings().any(|mapping| mapping.families.contains(&Family::V4));
    let family = if v4 { Family::V4 } else { Family::V6 };
    let mut found = None;
    for wan in config.wans.iter().filter(|wan| wan.families.contains(&family)) {
        let by_another = || {
            witness::outside(world, state, wan).filter(|_| v4)?;
            let refused = &state.upstream.get(&wan.name)?.refused;
            let is_refused = |mapping: &Mapping| {
                refused.iter().any(|(port, _)| *port == (Proto::Tcp, mapping.src_dport.0))
            };
            (!mappings().any(is_refused)).then_some(())
        };
        match standing(world, state, wan, family).reach {
            Reach::Public => return Some(true),
            Reach::Nat | Reach::Cgnat if by_another().is_some() => return Some(true),
            Reach::Nat | Reach::Cgnat => found = Some(false),
            Reach::Unknown | Reach::Offline => {}
        }
    }
    found
}

fn mapping<'a>(config: &'a Config, name: &str) -> Option<&'a Mapping> {
    config.mappings.iter().find(|mapping| mapping.name == name)
}

/// Brings up to date since when the WANs are reachable, or not. Call it after each event.
pub fn observe(config: &Config, world: &World, state: &mut State, wall: Now) {
    let now = wall.boot;
    state.tunnels.retain(|name, _| config.tunnels.iter().any(|tunnel| tunnel.name == *name));
    if !world.complete {
        return;
    }
    for tunnel in &config.tunnels {
        let reached = is_reached(config, world, state, tunnel);
        let memory = state.tunnels.entry(tunnel.name.clone()).or_default();
        match reached {
            Some(true) => (memory.unreached, memory.reached) = (None, memory.reached.or(Some(now))),
            Some(false) => (memory.unreached, memory.reached) = (memory.unreached.or(Some(now)), None),
            // That the line is down is no sign that it has another address when it is back.
            None => memory.reached = None,
        }
        memory.begun = memory.needed;
        memory.needed = match (memory.unreached, memory.reached) {
            (Some(since), _) if now.since(since) >= BEFORE => true,
            (_, Some(since)) if now.since(since) >= BACK => false,
            _ => memory.needed,
        };
        if tunnel.kind == TunnelKind::Script {
            look_at_holes(config, world, state, tunnel, wall);
        }
    }
}

/// What somebody else carries: the hole that leads to a port of ours is that mapping's, while it is open.
fn look_at_holes(config: &Config, world: &World, state: &mut State, tunnel: &Tunnel, now: Now) {
    let mut found = Vec::new();
    for (name, inner) in &tunnel.carries {
        let hole = world.holes.iter().find(|hole| hole.inner == *inner);
        let hole = hole.filter(|_| target(config, world, state, name, now).is_some());
        found.push((name, hole));
    }
    let memory = state.tunnels.entry(tunnel.name.clone()).or_default();
    memory.hole = found.iter().find_map(|(_, hole)| hole.map(|hole| hole.addr));
    for (name, hole) in found {
        let port = hole.map(|hole| hole.port);
        let known = memory.lines.entry(name.clone()).or_default();
        if known.port != port {
            (known.port, known.since) = (port, now.boot);
        }
    }
}

/// Where the mapping leads by a tunnel, while it is open.
fn target(config: &Config, world: &World, state: &State, name: &str, now: Now) -> Option<SocketAddr> {
    let mapping = mapping(config, name)?;
    let Exposure::Open(rules) = exposure(config, world, state, mapping, now) else { return None };
    let rule = rules.iter().find(|rule| rule.proto == Proto::Tcp && rule.sources.is_empty())?;
    Some(SocketAddr::new(rule.target, rule.dest_port.0))
}

/// Whether a mapping is open, so that a tunnel which is used is to carry it.
pub(crate) fn is_wanted(config: &Config, world: &World, state: &State, mapping: &str, now: Now) -> bool {
    target(config, world, state, mapping, now).is_some()
}

/// Adds the changes that are due.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    if !world.complete {
        return;
    }
    for tunnel in &config.tunnels {
        let Some(memory) = state.tunnels.get(&tunnel.name) else { continue };
        let lines = lines(config, world, state, now, plan, (tunnel, memory));
        let standing = || memory.lines.values().filter_map(|known| known.open.as_ref());
        if standing().count() != lines.len() || standing().any(|line| !lines.contains(line)) {
            plan.actions.push(Action::Tunnel(Box::new(TunnelJob { tunnel: tunnel.name.clone(), lines })));
        }
    }
}

/// The lines of a tunnel that are to stand now.
fn lines(
    config: &Config,
    world: &World,
    state: &State,
    now: Now,
    plan: &mut Plan,
    (tunnel, memory): (&Tunnel, &TunnelState),
) -> Vec<Line> {
    match (memory.needed, memory.unreached, memory.reached) {
        (false, Some(since), _) => plan.wake(since.plus(BEFORE)),
        // Names follow at the next look.
        (true, ..) if !memory.begun => plan.wake(now.boot),
        (true, _, Some(since)) => plan.wake(since.plus(BACK)),
        _ => {}
    }
    let (mut lines, mut attempt) = (Vec::new(), memory.attempts);
    // What somebody else carries is only looked at.
    let ours = memory.runs(tunnel) && tunnel.kind != TunnelKind::Script;
    for (name, port) in tunnel.carries.iter().filter(|_| ours) {
        let Some(target) = target(config, world, state, name, now) else { continue };
        let known = memory.lines.get(name);
        if let Some(open) = known.and_then(|known| known.open.clone()) {
            lines.push(Line { target, ..open });
            continue;
        }
        let at = known.and_then(|known| known.retry.as_ref()).and_then(|retry| due(retry, world));
        if at.is_some_and(|at| at > now.boot) {
            at.into_iter().for_each(|at| plan.wake(at));
            continue;
        }
        attempt += 1;
        let remote = if known.is_some_and(|known| known.refusals >= REFUSALS) { 0 } else { *port };
        lines.push(Line { mapping: name.clone(), attempt, target, remote });
    }
    lines
}

/// Lines are being made, and others ended.
pub(super) fn begin(state: &mut State, job: &TunnelJob, now: Time) {
    let memory = state.tunnels.entry(job.tunnel.clone()).or_default();
    let ends = |name: &str| job.lines.iter().all(|line| line.mapping != name);
    memory.lines.retain(|name, known| {
        if ends(name) {
            known.end(now);
        }
        true
    });
    for line in &job.lines {
        memory.attempts = memory.attempts.max(line.attempt);
        let known = memory.lines.entry(line.mapping.clone()).or_default();
        if known.open.as_ref().map(|open| open.attempt) != Some(line.attempt) {
            (known.port, known.since) = (None, now);
        }
        known.open = Some(line.clone());
    }
}

/// Takes in what became of a line. False: it was an older one's.
pub fn answered(state: &mut State, report: &Report, now: Time, random: u32) -> bool {
    let memory = state.tunnels.get_mut(&report.tunnel);
    let known = memory.and_then(|memory| memory.lines.get_mut(&report.mapping));
    let is_it =
        |known: &&mut LineState| known.open.as_ref().is_some_and(|line| line.attempt == report.attempt);
    let Some(known) = known.filter(is_it) else { return false };
    match &report.news {
        News::Up(port) => (known.port, known.since) = (Some(*port), now),
        News::Down(failure) => {
            let (stood, started) = (known.port.is_some(), known.since);
            known.end(now);
            known.refusals = match failure.kind {
                Kind::Refused => known.refusals.saturating_add(1),
                _ if stood => 0,
                _ => known.refusals,
            };
            known.retry = Some(back_off(known.retry.as_ref(), failure, (started, now), random));
        }
    }
    true
}

/// The next state of a series of failures. Nothing rests here: what refuses may be mended at the server.
fn back_off(before: Option<&Retry>, failure: &Failure, (started, ended): (Time, Time), random: u32) -> Retry {
    let refused = matches!(failure.kind, Kind::Credentials | Kind::Refused | Kind::NoSuchName);
    let counted = if refused { Failure::new(Kind::Busy, "") } else { failure.clone() };
    let attempt = Attempt { started, ended, floor: Duration::ZERO, random, requests: 1 };
    let mut retry = after(before, counted, attempt, &Spent::default());
    let longest = if failure.kind == Kind::Credentials { LONGEST_REFUSED } else { LONGEST };
    retry.next = retry.next.map(|at| at.min(ended.plus(longest)));
    retry.failure = failure.clone();
    retry
}

/// By which port of the server a mapping is reached, while a tunnel carries it.
pub fn port(state: &State, tunnel: &Tunnel, mapping: &str) -> Option<u16> {
    state.tunnels.get(&tunnel.name)?.lines.get(mapping)?.port
}

/// Whether it carries anything.
pub fn carries(state: &State, tunnel: &Tunnel) -> bool {
    tunnel.carries.iter().any(|(mapping, _)| port(state, tunnel, mapping).is_some())
}

/// The names of servers whose addresses names follow: they are looked up.
pub(super) fn followed_names(config: &Config) -> impl Iterator<Item = &String> {
    let wanted = config.records.iter().any(|record| record.follow_tunnel);
    let servers = config.tunnels.iter().filter(move |_| wanted).map(|tunnel| &tunnel.server);
    servers.filter(|server| !server.is_empty() && server.parse::<IpAddr>().is_err())
}

/// The addresses of a tunnel's server.
pub(crate) fn addresses<'a>(state: &'a State, tunnel: &'a Tunnel) -> Vec<IpAddr> {
    if let Some(addr) = state.tunnels.get(&tunnel.name).and_then(|memory| memory.hole) {
        return vec![addr];
    }
    match tunnel.server.parse() {
        Ok(addr) => vec![addr],
        Err(_) => state.names.get(&tunnel.server).and_then(|memory| memory.addrs.clone()).unwrap_or_default(),
    }
}

/// Whether a tunnel carries what people look for by this record: a mapping of a camera that goes by it; anything, if
/// no camera does.
fn leads_to(config: &Config, tunnel: &Tunnel, record: &Record) -> bool {
    let cameras = || config.cameras.iter().filter(|camera| camera.records.contains(&record.name));
    let of_camera = |mapping: &Mapping| cameras().any(|camera| camera.name == mapping.camera);
    cameras().next().is_none()
        || tunnel.carries.iter().filter_map(|(name, _)| mapping(config, name)).any(of_camera)
}

/// Where a record with `follow_tunnel` points: the server of a tunnel that is used for want of a public address, while
/// that carries. `None`: it does not follow one now.
///
/// # Errors
/// Why it is left as it is, in plain words: between two connections of a tunnel a name does not go to and fro.
pub(crate) fn followed(
    config: &Config,
    state: &State,
    record: &Record,
    family: Family,
) -> Option<Result<IpAddr, String>> {
    let needed = |tunnel: &&Tunnel| {
        let memory = state.tunnels.get(&tunnel.name);
        memory.is_some_and(|memory| memory.needed && memory.begun) && leads_to(config, tunnel, record)
    };
    let mut tunnels = config.tunnels.iter().filter(|_| record.follow_tunnel).filter(needed);
    let first = tunnels.clone().next()?;
    let accept = |addr: &IpAddr| {
        let wans = config.wans.iter().filter(|wan| record.wans.contains(&wan.name));
        Family::of(*addr) == family && wans.into_iter().any(|wan| reach(*addr, &wan.accept) == Reach::Public)
    };
    // The first of them is not left for another one before it was tried.
    let is_new = |tunnel: &Tunnel| {
        let lines = state.tunnels.get(&tunnel.name).into_iter().flat_map(|memory| memory.lines.values());
        lines.into_iter().any(|known| known.open.is_some() && known.retry.is_none())
    };
    let found = tunnels.find(|tunnel| carries(state, tunnel) || is_new(tunnel));
    let Some(tunnel) = found.filter(|tunnel| carries(state, tunnel)) else {
        let reached = state.tunnels.get(&first.name).is_some_and(|memory| memory.reached.is_some());
        let wait = family == Family::V4 && !reached;
        return wait.then(|| Err(format!("tunnel {} does not carry yet", first.name)));
    };
    match addresses(state, tunnel).into_iter().find(accept) {
        Some(addr) => Some(Ok(addr)),
        None if family == Family::V4 => {
            Some(Err(format!("no public {family} address is known of the server of tunnel {}", tunnel.name)))
        }
        None => None,
    }
}

/// A person says "try now".
pub(super) fn try_again(state: &mut State) {
    for known in state.tunnels.values_mut().flat_map(|memory| memory.lines.values_mut()) {
        (known.retry, known.refusals) = (None, 0);
    }
}

/// Forgets the lines of tunnels that are another section now: they end.
pub(super) fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    for tunnel in now.tunnels.iter().filter(|tunnel| !before.tunnels.contains(tunnel)) {
        if let Some(memory) = state.tunnels.get_mut(&tunnel.name) {
            memory.lines.clear();
        }
    }
}
