//! Whether a mapped port is open from the internet: when the service that the owner chose (`option probe_url`) is asked
//! to try it, and what its answers mean. It decides nothing: what it says is shown.

use super::mapping::{way, Exposure};
use super::{publish, tunnel, Action, Plan};
use crate::config::{Config, Mapping, ProbeUrl, Proto, Tunnel, Wan};
use crate::model::{Family, Now, Time, World};
use crate::provider::CLOCK_FLOOR;
use crate::state::State;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use std::vec;

/// What stands for the port in `option probe_url` ...
pub const PORT: &str = "{port}";
/// ... and what for the address. Without it the service is to try whence it is asked, which is so for IPv4 alone.
pub const IP: &str = "{ip}";
/// After so long an open port is tried again: each try costs somebody else something.
const CHECK: Duration = Duration::from_secs(86_400);
/// What is closed, or could not be told, is tried again after these, then as [`CHECK`] says: a person may be mending it.
const PAUSES: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];
/// From one try of a port to the next, whatever changes.
const FLOOR: Duration = Duration::from_secs(60);
/// The same after a person asked for it.
const FLOOR_OF_A_PERSON: Duration = Duration::from_secs(1);
/// The most ports that are tried.
const PORTS_CAP: usize = 32;

/// What the service says of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It got through.
    Open,
    /// It did not.
    Closed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Open => "open",
            Verdict::Closed => "closed",
        })
    }
}

/// A port as the internet sees it, and the way by which the service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
    /// The question leaves by this device of the WAN ...
    pub device: String,
    /// ... from this address of it.
    pub own: IpAddr,
}

/// [`Action::Outside`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideJob {
    /// The mapping section's name.
    pub mapping: String,
    /// In which family.
    pub family: Family,
    /// As in [`super::PublishJob`], of the mapping and family.
    pub generation: u64,
    /// What is tried.
    pub target: Target,
}

/// What is known of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutsideState {
    /// Number of the last try.
    pub generation: u64,
    /// It is under way.
    pub in_flight: bool,
    /// When it was started ...
    pub started: Time,
    /// ... and when the next one may be, whatever changes.
    pub floor: Time,
    /// What was tried last; all below is about this.
    pub target: Option<Target>,
    /// What the service said last, and when.
    pub found: Option<(Verdict, Time)>,
    /// Why nothing came of the last try, if it failed.
    pub failure: Option<String>,
    /// How often in a row it was not found open.
    pub tries: usize,
    /// When to try again.
    pub next: Time,
}

/// What is to be tried of a mapping in one family: its first port, where it is open to anyone and the packet filter carries
/// it, at the address by which the internet gets in, be it that of a tunnel's server.
pub fn target(
    config: &Config,
    world: &World,
    state: &State,
    mapping: &Mapping,
    family: Family,
    now: Now,
) -> Option<Target> {
    let service = config.global.probe_url.as_ref()?;
    let refused = state.mapping.refused.iter().any(|(name, _)| *name == mapping.name);
    let limited = mapping.is_limited();
    if refused || limited || !mapping.protos.contains(&Proto::Tcp) {
        return None;
    }
    let Exposure::Open(rules) = way(config, world, state, mapping, family, now) else { return None };
    let applied = state.mapping.applied.as_deref()?;
    let rule = rules.iter().find(|rule| rule.proto == Proto::Tcp).filter(|rule| applied.contains(rule))?;
    let has_route = |wan: &&Wan| world.wans.get(&wan.name).is_some_and(|sensed| sensed.line(family).route);
    let routed = || config.wans.iter().find(has_route);
    let elsewhere = service.url.contains(IP);
    let (wan, addr, port) = match (family, by_tunnel(config, state, mapping)) {
        (Family::V4, Some((addr, port))) => (routed().filter(|_| elsewhere)?, addr, port),
        (Family::V4, None) => {
            let (wan, addr) = publish::address(world, state, config.wans.iter(), family).ok()?;
            (wan, addr, outside_port(world, state, wan, addr, mapping.src_dport.0)?)
        }
        (Family::V6, _) => (routed().filter(|_| elsewhere)?, rule.target, mapping.src_dport.0),
    };
    let sensed = world.wans.get(&wan.name)?;
    let device = match family {
        Family::V4 => sensed.device.clone()?,
        Family::V6 => sensed.device6.clone().or_else(|| sensed.device.clone())?,
    };
    Some(Target { addr, port, device, own: sensed.line(family).addr.seen()? })
}

/// Where a tunnel carries a mapping for want of a public address.
pub fn by_tunnel(config: &Config, state: &State, mapping: &Mapping) -> Option<(IpAddr, u16)> {
    let needed = |tunnel: &&Tunnel| state.tunnels.get(&tunnel.name).is_some_and(|memory| memory.needed);
    let place = |tunnel: &Tunnel| {
        Some((*tunnel::addresses(state, tunnel).first()?, tunnel::port(state, tunnel, &mapping.name)?))
    };
    config.tunnels.iter().filter(needed).find_map(place)
}

/// The port outside that leads to ours: another one, perhaps, where the router above us has the address; `None` while
/// that gives none.
fn outside_port(world: &World, state: &State, wan: &Wan, addr: IpAddr, port: u16) -> Option<u16> {
    if world.wans.get(&wan.name)?.above.is_none_or(|above| IpAddr::V4(above.external) != addr) {
        return Some(port);
    }
    let grants = &state.upstream.get(&wan.name)?.grants;
    grants.iter().find(|grant| grant.port == (Proto::Tcp, port)).map(|grant| grant.external)
}

/// Every mapping in every family that it has.
pub fn ways(config: &Config) -> vec::IntoIter<(&Mapping, Family)> {
    let mut ways = Vec::new();
    for mapping in &config.mappings {
        for family in &mapping.families {
            ways.push((mapping, *family));
        }
    }
    ways.into_iter()
}

/// Adds the try that is due: one at a time.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    let Some(service) = config.global.probe_url.as_ref().filter(|_| world.complete) else { return };
    if state.outside.values().any(|memory| memory.in_flight) {
        return;
    }
    if service.url.starts_with("https") && now.wall < CLOCK_FLOOR {
        return;
    }
    let none = OutsideState::default();
    for (mapping, family) in ways(config).take(PORTS_CAP) {
        let Some(target) = target(config, world, state, mapping, family, now) else { continue };
        let memory = state.outside.get(&(mapping.name.clone(), family)).unwrap_or(&none);
        let same = memory.target.as_ref() == Some(&target);
        let at = if same { memory.next.max(memory.floor) } else { memory.floor };
        if at > now.boot {
            plan.wake(at);
            continue;
        }
        let (mapping, generation) = (mapping.name.clone(), memory.generation + 1);
        return plan.actions.push(Action::Outside(Box::new(OutsideJob {
            mapping,
            family,
            generation,
            target,
        })));
    }
}

/// A try is on its way.
pub(super) fn begin(state: &mut State, job: &OutsideJob, now: Time) {
    let memory = state.outside.entry((job.mapping.clone(), job.family)).or_default();
    if memory.target.as_ref() != Some(&job.target) {
        (memory.target, memory.found, memory.failure, memory.tries) =
            (Some(job.target.clone()), None, None, 0);
    }
    (memory.generation, memory.in_flight) = (job.generation, true);
    (memory.started, memory.floor) = (now, now.plus(FLOOR));
}

/// Takes in what came of a try. Returns whether it says something new. A failure to ask says nothing of the port: what was
/// said before stays.
pub fn answered(state: &mut State, job: &OutsideJob, result: Result<Verdict, String>, now: Time) -> bool {
    let memory = state.outside.get_mut(&(job.mapping.clone(), job.family));
    let flies = |memory: &&mut OutsideState| {
        memory.in_flight && memory.generation == job.generation && memory.target.as_ref() == Some(&job.target)
    };
    let Some(memory) = memory.filter(flies) else { return false };
    memory.in_flight = false;
    let before = (memory.found.map(|(verdict, _)| verdict), memory.failure.is_some());
    memory.tries = if result == Ok(Verdict::Open) { 0 } else { memory.tries.saturating_add(1) };
    match result {
        Ok(verdict) => (memory.found, memory.failure) = (Some((verdict, now)), None),
        Err(why) => memory.failure = Some(why),
    }
    let pause = memory.tries.checked_sub(1).and_then(|tries| PAUSES.get(tries));
    memory.next = now.plus(pause.copied().unwrap_or(CHECK));
    before != (memory.found.map(|(verdict, _)| verdict), memory.failure.is_some())
}

/// A person says "try now".
pub(super) fn try_again(state: &mut State) {
    for memory in state.outside.values_mut() {
        (memory.next, memory.tries) = (Time::default(), 0);
        memory.floor = memory.started.plus(FLOOR_OF_A_PERSON);
    }
}

/// Forgets mappings that are no more, and everything where another service is asked.
pub(super) fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    state.outside.retain(|(name, _), _| now.mappings.iter().any(|mapping| mapping.name == *name));
    if before.global.probe_url != now.global.probe_url {
        for memory in state.outside.values_mut() {
            // The answer to a question that is under way will not count.
            *memory = OutsideState { generation: memory.generation, ..OutsideState::default() };
        }
    }
}

/// The service's address for a target.
pub fn url(service: &ProbeUrl, target: &Target) -> String {
    service.url.replace(IP, &target.addr.to_string()).replace(PORT, &target.port.to_string())
}

/// What the service's answer, which came with status 200, says.
///
/// # Errors
/// Why it says nothing, in plain words that do not name the service.
pub fn judge(body: &str, service: &ProbeUrl) -> Result<Verdict, &'static str> {
    match (holds(body, &service.open), holds(body, &service.closed)) {
        (true, false) => Ok(Verdict::Open),
        (false, true) => Ok(Verdict::Closed),
        (true, true) => Err("answers both what probe_open and what probe_closed says"),
        (false, false) => Err("answers neither what probe_open nor what probe_closed says"),
    }
}

/// A text without blanks, in lower case: so much of it counts.
pub fn bare(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// Whether a text stands in an answer, whatever blanks are in both, and not within a longer word.
fn holds(body: &str, text: &str) -> bool {
    let (body, text) = (body.as_bytes(), bare(text));
    let word = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte) || !byte.is_ascii())
    };
    let within = |outer: Option<&u8>, inner: Option<&u8>| word(outer) && word(inner);
    (0..body.len()).any(|start| {
        let (before, rest) = body.split_at(start);
        let mut rest = rest.iter();
        let mut told = rest.by_ref().filter(|byte| !byte.is_ascii_whitespace());
        let same =
            text.iter().all(|wanted| told.next().is_some_and(|byte| byte.to_ascii_lowercase() == *wanted));
        same && !within(before.last(), text.first()) && !within(rest.next(), text.last())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, open: &str, closed: &str) -> Result<Verdict, &'static str> {
        judge(body, &ProbeUrl { url: String::new(), open: open.into(), closed: closed.into() })
    }

    #[test]
    fn an_answer_is_open_or_closed_or_says_nothing() {
        for (body, verdict) in [
            (
                "{\n  \"ip\": \"93.184.216.34\",\n  \"port\": 8554,\n  \"reachable\": true\n}",
                Some(Verdict::Open),
            ),
            ("{\"ip\":\"93.184.216.34\",\"port\":8554,\"reachable\":false}", Some(Verdict::Closed)),
            ("True", Some(Verdict::Open)),
            ("False\r\n", Some(Verdict::Closed)),
            ("", None),
            ("untrue", None),
            ("true-ish", None),
            ("true or false", None),
            ("<html><h1>502 Bad Gateway</h1></html>", None),
        ] {
            assert_eq!(said(body, "true", "false").ok(), verdict, "{body}");
        }
        assert_eq!(said("1", "1", "0"), Ok(Verdict::Open));
        assert_eq!(said("10", "1", "0").ok(), None);
        let (open, closed) = ("\"status\": \"open\"", "\"status\":\"closed\"");
        assert_eq!(
            said("{\"Status\" : \"Open\", \"note\": \"closed source\"}", open, closed),
            Ok(Verdict::Open)
        );
        assert_eq!(said("{\"status\":\"closed\"}", open, closed), Ok(Verdict::Closed));
        assert_eq!(
            said("Port 8554 is closed on 93.184.216.34", "is open on", "is closed on"),
            Ok(Verdict::Closed)
        );
    }

    #[test]
    fn of_the_address_only_the_host_is_shown() {
        for url in ["https://a.example:8443/k3y/{port}", "https://a.example:8443?key=k3y&port={port}"] {
            let service = ProbeUrl { url: url.into(), open: String::new(), closed: String::new() };
            assert_eq!(service.host(), "a.example:8443");
        }
    }

    #[test]
    fn the_answer_of_a_service_that_is_asked_no_more_counts_for_nothing() {
        let (addr, own) = ("93.184.216.34".parse().unwrap(), "192.168.0.2".parse().unwrap());
        let target = Target { addr, port: 8554, device: "wan0".into(), own };
        let job = OutsideJob { mapping: "m".into(), family: Family::V4, generation: 1, target };
        let answer = |edit: &dyn Fn(&mut State)| {
            let mut state = State::default();
            begin(&mut state, &job, Time(1));
            edit(&mut state);
            let new = answered(&mut state, &job, Ok(Verdict::Open), Time(2));
            let found = state.outside.values().any(|memory| memory.found.is_some());
            (new, found)
        };
        assert_eq!(answer(&|_| ()), (true, true));
        let text = "config camera 'c'\n\toption ip '192.168.1.2'\nconfig mapping 'm'\n\toption camera 'c'\n\toption \
                    src_dport '8554'\n";
        let config = crate::config::load::load(text, "config", &[], &()).config;
        let mut other = config.clone();
        let url = "https://b.example/{port}".into();
        other.global.probe_url = Some(ProbeUrl { url, open: "1".into(), closed: "0".into() });
        assert_eq!(answer(&|state| reconfigured(state, &config, &other)), (false, false));
        // The mapping went, and one of its name came, which leads elsewhere.
        let elsewhere = OutsideJob { target: Target { port: 80, ..job.target.clone() }, ..job.clone() };
        let anew = |state: &mut State| {
            reconfigured(state, &config, &Config::default());
            begin(state, &elsewhere, Time(1));
        };
        assert_eq!(answer(&anew), (false, false));
    }

    #[test]
    fn a_template_takes_address_and_port() {
        let service = |url: &str| ProbeUrl { url: url.into(), open: String::new(), closed: String::new() };
        let (addr, own) = ("2001:db8::7".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let target = Target { addr, port: 8554, device: "wan0".into(), own };
        let asked = url(&service("https://a.example/{port}?host={ip}&port={port}"), &target);
        assert_eq!(asked, "https://a.example/8554?host=2001:db8::7&port=8554");
    }
}
