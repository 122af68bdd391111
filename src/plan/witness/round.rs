//! A round of questions: whom to ask, and what the answers amount to.

use super::source::{self, Voice, Witness};
use super::{is_confirmation, vote_above, Hearing, Hearings, Outcome, Testimony, Vote};
use crate::config::{Config, Wan};
use crate::map::Map;
use crate::model::{Family, Now, Reach, Time};
use crate::plan::reach::reach;
use crate::plan::WitnessJob;
use crate::provider::CLOCK_FLOOR;
use crate::state::State;
use std::net::IpAddr;
use std::time::Duration;

/// Behind another router, from the end of a round to the next, which notices when its address changes ...
const INTERVAL: Duration = Duration::from_secs(300);
/// ... and up to this much later, so that routers do not ask in step (in milliseconds).
const SPREAD: u32 = 30_000;
/// After the first round without agreement.
const SECOND_TRY: Duration = Duration::from_secs(60);
/// The most witnesses that a round asks.
const ROUND_CAP: usize = 10;
/// A service that refuses us (403, 429) rests for so long, if it says nothing else ...
pub const REST: Duration = Duration::from_secs(3600);
/// ... and for this at the most.
const REST_LONGEST: Duration = Duration::from_secs(86_400);
/// One that gave no good answer while others did rests for so long.
const REST_SHORT: Duration = Duration::from_secs(900);

/// Whom to ask next; nobody when it is known, or when all were asked.
pub(super) fn batch(
    wan: &Wan,
    family: Family,
    own: IpAddr,
    memory: &Hearing,
    rests: &Map<String, Time>,
    now: Now,
) -> Vec<Witness> {
    let confirms = is_confirmation(wan, own);
    // The router above us alone proves nothing, whatever `agree` says.
    let over = !memory.asked.is_empty() && judge(wan, own, &memory.votes).is_some();
    if over || memory.asked.len() >= ROUND_CAP {
        return Vec::new();
    }
    let most = memory.votes.iter().map(|vote| count(&memory.votes, vote.addr)).max().unwrap_or(0);
    let agree = usize::from(wan.agree);
    let (wanted, only_sure) = match agree.saturating_sub(most) {
        _ if confirms && memory.asked.is_empty() => (1, false),
        0 => (1, true),
        missing => (missing, false),
    };
    let mut chosen: Vec<Witness> = Vec::new();
    for witness in source::all(wan, family, memory.rounds as usize) {
        let operator = &witness.operator;
        let fits = !memory.asked.contains(operator)
            && chosen.iter().all(|other| other.operator != *operator)
            && rests.get(operator).is_none_or(|until| *until <= now.boot)
            && (now.wall >= CLOCK_FLOOR || !witness.needs_clock())
            && (!only_sure || witness.voice() == Voice::Sure);
        if fits && chosen.len() < wanted {
            chosen.push(witness);
        }
    }
    chosen
}

fn count(votes: &[Vote], addr: IpAddr) -> usize {
    votes.iter().filter(|vote| vote.addr == addr).count()
}

/// What the votes amount to, of operators that differ: the interface's own address, where one witness confirms it; else the
/// address that `agree` of them say, one in a way that cannot be forged, while no other that is said in such a way
/// has as many.
fn judge(wan: &Wan, own: IpAddr, votes: &[Vote]) -> Option<IpAddr> {
    if is_confirmation(wan, own) && count(votes, own) > 0 {
        return Some(own);
    }
    let is_sure = |addr: IpAddr| votes.iter().any(|vote| vote.addr == addr && vote.voice != Voice::Plain);
    let sure = || votes.iter().map(|vote| vote.addr).filter(|addr| is_sure(*addr));
    let best = sure().max_by_key(|addr| count(votes, *addr))?;
    let rival = sure().any(|addr| addr != best && count(votes, addr) >= count(votes, best));
    (count(votes, best) >= usize::from(wan.agree) && !rival).then_some(best)
}

/// Questions are on their way.
pub(in crate::plan) fn begin(state: &mut State, job: &WitnessJob, now: Time) {
    let memory = state.hearings.lines.entry((job.wan.clone(), job.family)).or_default();
    let about = Some((job.device.clone(), job.own));
    if memory.about != about {
        *memory = Hearing { rounds: memory.rounds, about, ..Hearing::default() };
    }
    (memory.generation, memory.in_flight, memory.running) = (job.generation, true, true);
    if job.fresh {
        memory.rounds = memory.rounds.wrapping_add(1);
        memory.started = now;
        (memory.asked, memory.faults) = Default::default();
        memory.refuted = job.above.filter(|above| memory.refutes(*above));
        (memory.votes, memory.above) = (vote_above(job.above), job.above);
    }
    memory.asked.extend(job.witnesses.iter().map(|witness| witness.operator.clone()));
}

/// Takes in what witnesses answered. Returns whether the round is over; an older question's answer says nothing.
pub fn answered(
    state: &mut State,
    config: &Config,
    job: &WitnessJob,
    testimonies: Vec<Testimony>,
    now: Now,
    random: u32,
) -> bool {
    let Some(wan) = config.wans.iter().find(|wan| wan.name == job.wan) else { return false };
    let Hearings { lines, rests } = &mut state.hearings;
    let memory = lines.get_mut(&(job.wan.clone(), job.family));
    let Some(memory) = memory.filter(|memory| memory.generation == job.generation) else { return false };
    memory.in_flight = false;
    for (witness, answer) in testimonies {
        let (operator, voice) = (witness.operator.clone(), witness.voice());
        match answer.and_then(|addr| credible(wan, job.family, addr)) {
            Ok(addr) => memory.votes.push(Vote { operator, voice, addr }),
            Err((why, pause)) => {
                if let Some(pause) = pause {
                    rests.insert(operator.clone(), now.boot.plus(pause.min(REST_LONGEST)));
                }
                memory.faults.push((operator, why));
            }
        }
    }
    if !batch(wan, job.family, job.own, memory, rests, now).is_empty() {
        return false;
    }
    end(wan, job.own, memory, now.boot, random);
    if memory.last == Outcome::Agreed {
        for (operator, _) in &memory.faults {
            let until = rests.entry(operator.clone()).or_default();
            *until = (*until).max(now.boot.plus(REST_SHORT));
        }
    }
    true
}

/// An address that a home's router can have.
fn credible(wan: &Wan, family: Family, addr: IpAddr) -> Result<IpAddr, (String, Option<Duration>)> {
    let no = |why: &str| Err((format!("says {addr}, {why}"), None));
    match reach(addr, &wan.accept) {
        _ if Family::of(addr) != family => no("of the other family"),
        Reach::Public if source::is_theirs(addr) => no("which belongs to such a service"),
        Reach::Public => Ok(addr),
        _ => no("which is not public"),
    }
}

/// The round is over.
fn end(wan: &Wan, own: IpAddr, memory: &mut Hearing, now: Time, random: u32) {
    let found = judge(wan, own, &memory.votes);
    memory.running = false;
    memory.last = match found {
        Some(_) => Outcome::Agreed,
        None if memory.votes.iter().all(|vote| vote.voice == Voice::Upstream) => Outcome::Silence,
        None => Outcome::Doubt,
    };
    memory.failed = if found.is_some() { 0 } else { memory.failed.saturating_add(1) };
    // What was agreed on before stays until something else is.
    memory.agreed = found.or(memory.agreed);
    if found.is_some() {
        memory.refuted = memory.above.filter(|above| found != Some(*above));
    }
    let public = reach(own, &wan.accept) == Reach::Public;
    let still = match memory.agreed {
        Some(seen) => public && seen == own,
        None => is_confirmation(wan, own),
    };
    let spread = Duration::from_millis((u64::from(random) * u64::from(SPREAD)) >> 32);
    memory.next = match memory.failed {
        _ if still => None,
        1 => Some(now.plus(SECOND_TRY)),
        _ => Some(now.plus(INTERVAL + spread)),
    };
}
