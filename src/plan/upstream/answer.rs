//! What the answers of the router above us mean, and when it is looked at again.

use super::{Grant, Place, Port, Report, UpstreamJob, UpstreamState, Way, ANNOUNCED, LIFETIME, PORTS_CAP};
use crate::config::Wan;
use crate::model::{Reach, Time};
use crate::plan::reach::reach;
use crate::state::State;
use std::time::Duration;

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
/// Clocks that do not go alike: an epoch that is behind by more than this and an eighth of the time that passed
/// (RFC 6886 section 3.6, RFC 6887 section 8.5) is another one.
const EPOCH_SLACK: u64 = 2;

/// A job is on its way.
pub(in crate::plan) fn begin(state: &mut State, job: &UpstreamJob, now: Time) {
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
pub(super) fn has_restarted(before: Option<(u32, Time)>, after: Option<u32>, now: Time) -> bool {
    let (Some((before, at)), Some(after)) = (before, after) else { return false };
    let passed = now.since(at).as_secs();
    let least = u64::from(before) + passed - passed / 8;
    u64::from(after) + EPOCH_SLACK < least
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
