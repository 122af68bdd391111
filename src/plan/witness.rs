//! Which address the internet sees: when witnesses are asked, which of them, and what their answers amount to. One
//! memory for each WAN and family, however many records follow it.

pub mod source;

use super::reach::reach;
use super::upstream;
use super::{Action, Plan, WitnessJob};
use crate::config::{Config, IpSource, Wan};
use crate::map::Map;
use crate::model::{Family, Now, Reach, Time, World};
use crate::provider::CLOCK_FLOOR;
use crate::state::State;
pub use source::{Voice, Way, Witness};
use std::net::IpAddr;
use std::time::Duration;

/// Behind another router, from the end of a round to the next, which notices when its address changes ...
const INTERVAL: Duration = Duration::from_secs(300);
/// ... and up to this much later, so that routers do not ask in step (in milliseconds).
const SPREAD: u32 = 30_000;
/// After the first round without agreement.
const SECOND_TRY: Duration = Duration::from_secs(60);
/// From one round's start to the next, whatever heals.
const FLOOR: Duration = Duration::from_secs(1);
/// The most witnesses that a round asks.
const ROUND_CAP: usize = 10;
/// A service that refuses us (403, 429) rests for so long, if it says nothing else ...
pub const REST: Duration = Duration::from_secs(3600);
/// ... and for this at the most.
const REST_LONGEST: Duration = Duration::from_secs(86_400);
/// One that gave no good answer while others did rests for so long.
const REST_SHORT: Duration = Duration::from_secs(900);

/// Who says what the router above us says of itself.
const ABOVE: &str = "the router above us";

/// What one witness said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who runs it.
    pub operator: String,
    /// How it came.
    pub voice: Voice,
    /// The address.
    pub addr: IpAddr,
}

/// What a witness answered to a [`WitnessJob`]: an address, or why there is none and how long it asks to be left alone.
pub type Testimony = (Witness, Result<IpAddr, (String, Option<Duration>)>);

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// No round has ended yet.
    #[default]
    None,
    /// Enough of them agree.
    Agreed,
    /// Some answered, but they do not agree, or are too few, or anyone could have answered in their place.
    Doubt,
    /// None answered.
    Silence,
}

/// What is known of one family of a WAN by witnesses. Not kept over a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hearing {
    /// Number of the last questions.
    pub generation: u64,
    /// They are on their way.
    pub in_flight: bool,
    /// A round is under way.
    pub running: bool,
    /// How many rounds there were.
    pub rounds: u32,
    /// All below is about this device with this address.
    pub about: Option<(String, IpAddr)>,
    /// Whom the last round asked.
    pub asked: Vec<String>,
    /// What they said.
    pub votes: Vec<Vote>,
    /// Who said nothing that counts, and why.
    pub faults: Vec<(String, String)>,
    /// What the last round that ended came to.
    pub last: Outcome,
    /// What they agreed on last, and nothing else since.
    pub agreed: Option<IpAddr>,
    /// What the router above us said of itself when the last round began, which counted as a vote ...
    pub above: Option<IpAddr>,
    /// ... and what it said when they agreed on something else.
    pub refuted: Option<IpAddr>,
    /// Rounds in a row without agreement.
    pub failed: u32,
    /// When the last round began.
    pub started: Time,
    /// When the next one is due; `None`: when something changes.
    pub next: Option<Time>,
}

/// What witnesses said, and whom to leave alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hearings {
    /// By the WAN section's name and the family.
    pub lines: Map<(String, Family), Hearing>,
    /// By operator: until when it is not asked.
    pub rests: Map<String, Time>,
}

/// How a reach is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By the interface's address.
    Interface,
    /// Witnesses confirm it, or say which address the internet sees.
    Witnesses,
    /// The interface's address looks public, but witnesses agree that the internet sees another.
    Mismatch,
}

impl Known {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Known::Interface => "interface",
            Known::Witnesses => "witnesses",
            Known::Mismatch => "mismatch",
        }
    }
}

impl Hearing {
    /// Whether witnesses agree on something else than what the router above us says, be it that it speaks for the first time.
    /// If it says something else than in the last round, that is newer than what they say.
    fn refutes(&self, above: IpAddr) -> bool {
        let first = self.above.is_none() && self.agreed.is_some_and(|seen| seen != above);
        self.refuted == Some(above) || first
    }

    /// Who said what, where that was not enough.
    pub fn doubt(&self) -> String {
        let said: Vec<String> =
            self.votes.iter().map(|vote| format!("{} says {}", vote.operator, vote.addr)).collect();
        let first = self.votes.first().map(|vote| vote.addr);
        let why = match self.votes.iter().all(|vote| Some(vote.addr) == first) {
            true => "too few witnesses, or none over TLS, say what its public address is",
            false => "witnesses do not agree on its public address",
        };
        format!("{why}, so nothing follows from them: {}", said.join(", "))
    }
}

/// How one family of a WAN can be reached, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub reach: Reach,
    /// By whom.
    pub known: Known,
    /// The interface's address, while there is a route.
    pub own: Option<IpAddr>,
    /// The address that the internet sees, as witnesses agree.
    pub seen: Option<IpAddr>,
    /// The router above us says that it has this one, and that is not what the internet sees.
    pub refuted: Option<IpAddr>,
}

impl Standing {
    /// What it means for the camera and what can be done, in plain words; `None` if nothing has to be.
    pub fn means(&self, family: Family, v6_is_public: bool) -> Option<String> {
        let own = self.own?;
        let seen = self.seen.map_or(String::new(), |seen| format!(", and the internet sees {seen}"));
        Some(match (self.reach, self.known) {
            (Reach::Nat, Known::Mismatch) => format!(
                "the interface has {own}, but the internet sees {}: something in front of this router translates \
                 addresses, so nobody reaches the camera by {family} unless that forwards its port; ask the provider \
                 for a public address of your own",
                self.seen?
            ),
            (Reach::Nat, _) if self.refuted.is_some() => format!(
                "{own} is a private address: the router in front of this one says that it has {}, but the internet sees \
                 {}: there is another NAT in front of that one, so nobody reaches the camera by {family} unless that \
                 forwards its port too; ask the provider for a public address of your own",
                self.refuted?,
                self.seen?
            ),
            (Reach::Nat, _) => format!(
                "{own} is a private address: another router stands in front of this one{seen}; the camera is reached \
                 only if that router forwards its port to {own}, or works as a bridge"
            ),
            (Reach::Cgnat, _) => {
                let way = match v6_is_public {
                    true => "IPv6 is the way in here: use an IPv6 record and mapping",
                    false => "use a tunnel (config tunnel), or ask the provider for a public address or for IPv6",
                };
                format!(
                    "{own} is behind carrier-grade NAT{seen}: many homes share one address, so nobody reaches the \
                     camera by {family}, and no address is published; {way}"
                )
            }
            _ => return None,
        })
    }
}

/// The key of a line's memory.
pub fn key(wan: &Wan, family: Family) -> (String, Family) {
    (wan.name.clone(), family)
}

/// Device and address that witnesses are asked about: the address has a route.
fn subject(world: &World, wan: &Wan, family: Family) -> Option<(String, IpAddr)> {
    let sensed = world.wans.get(&wan.name)?;
    let line = sensed.line(family);
    let device = match family {
        Family::V4 => sensed.device.as_ref(),
        Family::V6 => sensed.device6.as_ref().or(sensed.device.as_ref()),
    };
    let addr = line.addr.seen().filter(|_| line.route)?;
    Some((device?.clone(), addr))
}

/// What is known of a line, if it is about what the line is now.
pub fn heard<'a>(world: &World, state: &'a State, wan: &Wan, family: Family) -> Option<&'a Hearing> {
    let about = subject(world, wan, family)?;
    state.hearings.lines.get(&key(wan, family)).filter(|memory| memory.about.as_ref() == Some(&about))
}

/// How one family of a WAN can be reached.
pub fn standing(world: &World, state: &State, wan: &Wan, family: Family) -> Standing {
    let (known, none) = (Known::Interface, None);
    let mut standing = Standing { reach: Reach::Offline, known, own: none, seen: none, refuted: none };
    let Some((_, own)) = subject(world, wan, family) else { return standing };
    let memory = heard(world, state, wan, family);
    (standing.own, standing.seen) = (Some(own), memory.and_then(|memory| memory.agreed));
    standing.reach = reach(own, &wan.accept);
    let above = above(world, wan, family);
    standing.refuted = above.filter(|above| memory.is_some_and(|memory| memory.refutes(*above)));
    match standing.seen {
        Some(seen) if standing.reach == Reach::Public && seen != own => {
            (standing.reach, standing.known) = (Reach::Nat, Known::Mismatch);
        }
        Some(_) => standing.known = Known::Witnesses,
        // The interface is believed in its turn.
        None => {
            let first = wan.sources.first() == Some(&IpSource::Interface);
            let last_resort =
                believes_interface(wan) && memory.is_some_and(|memory| memory.last != Outcome::None);
            if standing.reach == Reach::Public && !first && !last_resort {
                standing.reach = Reach::Unknown;
            }
        }
    }
    standing
}

/// The public address of the router above a WAN, as it says itself.
fn above(world: &World, wan: &Wan, family: Family) -> Option<IpAddr> {
    let sensed = world.wans.get(&wan.name).filter(|_| family == Family::V4)?;
    upstream::public(wan, sensed)
}

/// The same, unless witnesses agree that the internet sees another one.
pub fn outside(world: &World, state: &State, wan: &Wan) -> Option<IpAddr> {
    let found = standing(world, state, wan, Family::V4).refuted;
    above(world, wan, Family::V4).filter(|addr| found != Some(*addr))
}

/// Whether the WAN's IPv6 is a way in.
pub fn has_public_v6(world: &World, state: &State, wan: &Wan) -> bool {
    standing(world, state, wan, Family::V6).reach == Reach::Public
}

fn believes_interface(wan: &Wan) -> bool {
    wan.sources.contains(&IpSource::Interface)
}

/// Whether something is kept right by this line.
pub fn is_wanted(config: &Config, wan: &Wan, family: Family) -> bool {
    let follows =
        |record: &crate::config::Record| record.wans.contains(&wan.name) && record.families.contains(&family);
    wan.families.contains(&family)
        && (config.records.iter().any(follows) || family == Family::V4 && !config.mappings.is_empty())
}

/// Adds the questions that are due.
pub(super) fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    for wan in &config.wans {
        for family in Family::BOTH.into_iter().filter(|family| is_wanted(config, wan, *family)) {
            line(config, world, state, now, plan, (wan, family));
        }
    }
}

fn line(
    config: &Config,
    world: &World,
    state: &State,
    now: Now,
    plan: &mut Plan,
    (wan, family): (&Wan, Family),
) {
    let Some((device, own)) = subject(world, wan, family) else { return };
    let none = Hearing::default();
    let memory = state.hearings.lines.get(&key(wan, family)).unwrap_or(&none);
    let same = memory.about.as_ref().is_some_and(|about| *about == (device.clone(), own));
    // A pass of one-shot mode has no memory of what was confirmed.
    let confirmed = !config.global.resident && is_confirmation(wan, own);
    if same && memory.in_flight || confirmed {
        return;
    }
    let fresh = !(same && memory.running);
    let above = above(world, wan, family).filter(|_| !is_confirmation(wan, own));
    if fresh {
        let floor = if memory.rounds == 0 { Time::default() } else { memory.started.plus(FLOOR) };
        // What is only to be confirmed is asked once for each address, and once more when the clock lets TLS be asked.
        let better = if memory.next.is_some() { world.healed } else { world.clock_set };
        let healed = better.is_some_and(|at| at > memory.started) && memory.last != Outcome::Agreed;
        let due = match memory.next {
            _ if !same || healed || above.is_some() && above != memory.above => floor,
            Some(at) => at,
            None => return,
        };
        if due > now.boot {
            return plan.wake(due);
        }
    }
    let none = Hearing { rounds: memory.rounds, votes: vote_above(above), ..Hearing::default() };
    let witnesses = batch(wan, family, own, if fresh { &none } else { memory }, &state.hearings.rests, now);
    if witnesses.is_empty() {
        let rests = state.hearings.rests.values().filter(|until| **until > now.boot);
        return rests.min().into_iter().for_each(|until| plan.wake(*until));
    }
    let generation = memory.generation + 1;
    let job = WitnessJob { wan: wan.name.clone(), family, generation, device, own, above, fresh, witnesses };
    plan.actions.push(Action::Witness(job));
}

/// The router above us, of itself: one vote.
fn vote_above(addr: Option<IpAddr>) -> Vec<Vote> {
    addr.map(|addr| Vote { operator: ABOVE.into(), voice: Voice::Upstream, addr }).into_iter().collect()
}

/// One witness is enough: it is only to confirm what the interface says.
fn is_confirmation(wan: &Wan, own: IpAddr) -> bool {
    believes_interface(wan) && reach(own, &wan.accept) == Reach::Public
}

/// Whom to ask next; nobody when it is known, or when all were asked.
fn batch(
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
pub(super) fn begin(state: &mut State, job: &WitnessJob, now: Time) {
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

/// Whether the first answer on a line that is not public is still to come.
pub fn is_open(config: &Config, world: &World, state: &State, wan: &Wan, family: Family) -> bool {
    let memory = heard(world, state, wan, family);
    let asked = is_wanted(config, wan, family) && wan.sources != [IpSource::Interface];
    asked
        && subject(world, wan, family).is_some_and(|(_, own)| !is_confirmation(wan, own))
        && memory.is_none_or(|memory| memory.last == Outcome::None)
}

/// Whether the answer that is awaited decides what is published: a pass waits for it.
pub fn is_awaited(config: &Config, state: &State) -> bool {
    state.hearings.lines.iter().any(|((name, _), memory)| {
        let wan = config.wans.iter().find(|wan| wan.name == *name);
        let decides = |own| wan.is_some_and(|wan| !is_confirmation(wan, own));
        memory.running && memory.about.as_ref().is_some_and(|(_, own)| decides(*own))
    })
}

/// A person says "try now": everybody is asked again.
pub(super) fn try_again(state: &mut State) {
    state.hearings.rests = Map::new();
    for memory in state.hearings.lines.values_mut() {
        (memory.next, memory.failed) = (Some(Time::default()), 0);
    }
}

/// Forgets what is known of WANs that are another section now.
pub(super) fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    let wan = |config: &Config, name: &str| config.wans.iter().find(|wan| wan.name == name).cloned();
    state.hearings.lines.retain(|(name, _), memory| {
        let known = wan(now, name);
        if known != wan(before, name) {
            // What was asked before is answered by other witnesses, or about another line.
            *memory = Hearing { generation: memory.generation, ..Hearing::default() };
        }
        known.is_some()
    });
}
