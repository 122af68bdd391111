//! Which address the internet sees: when witnesses are asked, which of them, and what their answers amount to. One
//! memory for each WAN and family, however many records follow it.

mod round;
pub mod source;
mod standing;

use super::reach::reach;
use super::{Action, Plan, WitnessJob};
use crate::config::{Config, IpSource, Wan};
use crate::map::Map;
use crate::model::{Family, Now, Reach, Time, World};
use crate::state::State;
use round::batch;
pub(in crate::plan) use round::begin;
pub use round::{answered, REST};
pub use source::{Voice, Way, Witness};
use standing::{above, subject};
pub use standing::{has_public_v6, heard, outside, standing, Known, Standing};
use std::net::IpAddr;
use std::time::Duration;

/// From one round's start to the next, whatever heals.
const FLOOR: Duration = Duration::from_secs(1);
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

/// The key of a line's memory.
pub fn key(wan: &Wan, family: Family) -> (String, Family) {
    (wan.name.clone(), family)
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
    plan.actions.push(Action::Witness(Box::new(job)));
}

/// The router above us, of itself: one vote.
fn vote_above(addr: Option<IpAddr>) -> Vec<Vote> {
    addr.map(|addr| Vote { operator: ABOVE.into(), voice: Voice::Upstream, addr }).into_iter().collect()
}

/// One witness is enough: it is only to confirm what the interface says.
fn is_confirmation(wan: &Wan, own: IpAddr) -> bool {
    believes_interface(wan) && reach(own, &wan.accept) == Reach::Public
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
    state.hearings.lines.retain(|(name, _), memory| {
        let known = now.wans.iter().find(|wan| wan.name == *name);
        if known != before.wans.iter().find(|wan| wan.name == *name) {
            // What was asked before is answered by other witnesses, or about another line.
            *memory = Hearing { generation: memory.generation, ..Hearing::default() };
        }
        known.is_some()
    });
}
