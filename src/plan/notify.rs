//! What to tell whom, and when. Notes wait in a queue for each channel: those that come within seconds make one message,
//! a channel gets one a minute and twenty a day at the most, and what cannot be sent is tried again for a day.

use super::mapping::{exposure, Exposure};
use super::publish::ids;
use super::retry::{after, due, Attempt, Spent};
use super::{Action, Plan, TellJob};
use crate::config::{Config, Mapping, Severity};
use crate::model::{Now, Protection, RecordId, Time, World};
use crate::notify::{cut, About, Message, Note, Occasion};
use crate::provider::Failure;
use crate::secret::printable;
use crate::state::{ChannelState, State, Told, Trouble};
use crate::status::{Standing, View};
use std::time::Duration;

/// What is not right for so long is told.
const PATIENCE: Duration = Duration::from_secs(600);
/// What happens within this time after the first note goes in one message.
const GATHER: Duration = Duration::from_secs(5);
/// From one message of a channel to the next.
const GAP: Duration = Duration::from_secs(60);
/// The most messages of a channel in a [`DAY`] ...
const A_DAY: usize = 20;
/// ... of which so many are kept for what is wrong: an address that changes all day hides no open camera.
const KEPT: usize = 5;
/// What could not be told for so long is given up.
const DAY: Duration = Duration::from_secs(86_400);
/// The most notes that wait for a channel; of more the oldest are left out, and counted, those last that say what is
/// wrong.
const QUEUE_CAP: usize = 30;
/// After a refusal it is tried again so late: it may be a matter of the message, or of the service's quota.
const REFUSED_WAIT: Duration = Duration::from_secs(3600);
/// The most characters of a note.
const NOTE_CAP: usize = 300;

/// How something stands that the owner wants to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Names it.
    pub key: String,
    /// Whether it is right; `None`: that cannot be told now, so nothing changes.
    pub right: Option<bool>,
    /// What is said of it once it is not right for `patience`.
    pub occasion: Occasion,
    /// See `occasion`.
    pub patience: Duration,
    /// The rest of what is said.
    pub note: Note,
}

/// Everything that the owner wants to be right.
pub fn subjects(view: &View<'_>) -> Vec<Subject> {
    let mut all = vec![agent(view)];
    for record in &view.config.records {
        all.extend(ids(record).map(|id| name(view, record, &id)));
    }
    for mapping in &view.config.mappings {
        let guard = guard(view, mapping);
        // What is closed for the camera's sake is told so, at once, and not once more after a while.
        if guard.right != Some(false) {
            all.push(Subject { right: port(view, mapping), ..subject_of(view, mapping) });
        }
        all.push(guard);
    }
    all
}

fn subject(key: String, about: About, text: String, now: Time) -> Subject {
    let (record, camera, address) = Default::default();
    let occasion = Occasion::Failing;
    let note = Note { at: now, occasion, about, text: tidy(&text), record, camera, address };
    Subject { key, right: None, occasion, patience: PATIENCE, note }
}

/// A text as a line of a message.
fn tidy(text: &str) -> String {
    cut(&printable(text), NOTE_CAP)
}

/// The configuration and the sensors.
fn agent(view: &View<'_>) -> Subject {
    let faults = view.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let faults = faults.map(|problem| problem.to_string());
    let filter = view
        .state
        .mapping
        .retry
        .as_ref()
        .map(|retry| format!("the port mappings could not be changed: {}", retry.failure.text));
    let why = faults.chain(view.deaf.values().cloned()).chain(filter).next();
    let right = Some(why.is_none());
    let text = why.unwrap_or_else(|| "the agent is well again".into());
    Subject { right, ..subject("agent".into(), About::Agent, text, view.now.boot) }
}

fn name(view: &View<'_>, record: &crate::config::Record, id: &RecordId) -> Subject {
    let (right, text) = match view.standing(record, id) {
        Standing::Right => (Some(true), format!("{id} is published again")),
        Standing::Failing => {
            let why = view.retry(record, id).map(|retry| retry.failure.to_string());
            (Some(false), format!("{id} could not be published for 10 minutes: {}", why.unwrap_or_default()))
        }
        Standing::Busy | Standing::Waiting => (None, String::new()),
    };
    let mut subject = subject(format!("record {} {id}", id.record), About::Name, text, view.now.boot);
    subject.note.record.clone_from(&id.record);
    if let Some(addr) = view.published(record, id).filter(|_| right == Some(true)) {
        subject.note.address = addr.to_string();
    }
    Subject { right, ..subject }
}

/// Whether a mapping is open as it is to be.
fn port(view: &View<'_>, mapping: &Mapping) -> Option<bool> {
    match exposure(view.config, view.world, view.state, mapping, view.now) {
        _ if !view.world.complete => None,
        Exposure::Open(_) if view.is_open(mapping) => Some(true),
        Exposure::Open(_) => view.refusal(mapping).map(|_| false),
        Exposure::Closed(_) => Some(false),
        Exposure::Until(..) => None,
    }
}

/// The subject of a mapping, without how it stands.
fn subject_of(view: &View<'_>, mapping: &Mapping) -> Subject {
    let port = mapping.src_dport.0;
    let (name, camera) = (&mapping.name, &mapping.camera);
    let mut target = String::new();
    let text = match exposure(view.config, view.world, view.state, mapping, view.now) {
        Exposure::Open(rules) => match (view.refusal(mapping), rules.first()) {
            (None, Some(rule)) => {
                target = rule.target.to_string();
                format!("mapping {name}: port {port} is open to camera {camera} at {target}")
            }
            (why, _) => format!("mapping {name} is closed: {}", why.unwrap_or_default()),
        },
        Exposure::Closed(why) | Exposure::Until(_, why) => format!("mapping {name} is closed: {why}"),
    };
    let mut subject = subject(format!("mapping {name}"), About::Port, text, view.now.boot);
    (subject.note.camera, subject.note.address) = (camera.clone(), target);
    subject
}

/// Whether a mapping's camera is proven to ask for a password, where that is asked.
fn guard(view: &View<'_>, mapping: &Mapping) -> Subject {
    let memory = view.state.probes.get(&mapping.name).filter(|_| !mapping.allow_open);
    let found = memory.and_then(|memory| Some((memory, memory.found.as_ref()?)));
    let (right, text) = match found {
        Some((memory, _)) if memory.proof.is_some() => (Some(true), "asks for a password again".to_string()),
        Some((_, found @ (Protection::Open | Protection::Unproven(_)))) => {
            (Some(false), format!("{found}; mapping {} is closed", mapping.name))
        }
        _ => (None, String::new()),
    };
    let text = format!("camera {} {text}", mapping.camera);
    let mut subject = subject(format!("guard {}", mapping.name), About::Port, text, view.now.boot);
    subject.note.camera.clone_from(&mapping.camera);
    if let Some(inquiry) = memory.and_then(|memory| memory.asked.as_ref()) {
        subject.note.address = inquiry.target.ip().to_string();
    }
    Subject { right, occasion: Occasion::Refused, patience: Duration::ZERO, ..subject }
}

/// Takes in how all of them stand now, and forgets what was waiting for too long. Returns what to log.
pub fn observe(told: &mut Told, config: &Config, subjects: Vec<Subject>, now: Time) -> Vec<String> {
    told.troubles.retain(|key, _| subjects.iter().any(|subject| subject.key == *key));
    told.exposed.retain(|name| config.mappings.iter().any(|mapping| mapping.name == *name));
    for subject in subjects {
        exposed(told, config, &subject);
        match subject.right {
            Some(true) => {
                let before = told.troubles.remove(&subject.key);
                if before.is_some_and(|trouble| trouble.told) {
                    note(told, config, Note { occasion: Occasion::Recovered, ..subject.note });
                }
            }
            Some(false) => {
                let known = told.troubles.get(&subject.key).copied();
                let mut trouble = known.unwrap_or(Trouble { since: now, told: false });
                if !trouble.told && now >= trouble.since.plus(subject.patience) {
                    trouble.told = true;
                    note(told, config, Note { occasion: subject.occasion, ..subject.note });
                }
                told.troubles.insert(subject.key, trouble);
            }
            None => {}
        }
    }
    give_up(told, now)
}

/// A port that is open and was not.
fn exposed(told: &mut Told, config: &Config, subject: &Subject) {
    match (subject.key.split_once(' '), subject.right) {
        (Some(("mapping", name)), Some(true)) if told.exposed.insert(name.to_string()) => {
            note(told, config, Note { occasion: Occasion::Exposed, ..subject.note.clone() });
        }
        (Some(("mapping" | "guard", name)), Some(false)) => drop(told.exposed.remove(name)),
        _ => {}
    }
}

/// Has every channel that wants it tell of something.
pub fn note(told: &mut Told, config: &Config, note: Note) {
    for section in config.notifies.iter().filter(|section| section.on.contains(&note.occasion)) {
        let channel = told.channels.entry(section.name.clone()).or_default();
        channel.queue.push(note.clone());
        let flying = channel.flying();
        while channel.queue.len() > QUEUE_CAP.max(flying + 1) {
            let waiting = channel.queue.iter().skip(flying);
            let least = waiting.enumerate().find(|(_, note)| !is_urgent(note)).map_or(0, |(index, _)| index);
            channel.queue.remove(flying + least);
            channel.left_out += 1;
        }
    }
}

/// Something is wrong: it goes before what is only worth knowing.
fn is_urgent(note: &Note) -> bool {
    matches!(note.occasion, Occasion::Failing | Occasion::Refused)
}

/// A record has another address, and it is published.
pub fn changed(told: &mut Told, config: &Config, id: &RecordId, addr: std::net::IpAddr, now: Time) {
    let text = format!("{id} is {addr} now");
    let subject = subject(String::new(), About::Name, text, now);
    let (record, address) = (id.record.clone(), addr.to_string());
    note(told, config, Note { occasion: Occasion::Changed, record, address, ..subject.note });
}

fn give_up(told: &mut Told, now: Time) -> Vec<String> {
    let mut said = Vec::new();
    told.channels.retain(|name, channel| {
        let (flying, before) = (channel.flying(), channel.queue.len());
        let mut index = 0;
        channel.queue.retain(|note| {
            index += 1;
            index <= flying || now.since(note.at) < DAY
        });
        let gone = before - channel.queue.len();
        if gone > 0 {
            channel.left_out += gone as u32;
            said.push(format!("notify {name}: {gone} events could not be told for a day; given up"));
        }
        true
    });
    said
}

impl ChannelState {
    /// How many of the queue are under way.
    fn flying(&self) -> usize {
        self.in_flight.map_or(0, |(_, _, count)| count)
    }

    /// When the next message may go; `None` if there is none to send.
    fn due(&self, world: &World) -> Option<Time> {
        let first = self.queue.first()?.at.plus(GATHER);
        let gap = self.sent.last().map_or(Time::default(), |last| last.plus(GAP));
        let most = if self.queue.iter().any(is_urgent) { A_DAY } else { A_DAY - KEPT };
        let oldest = self.sent.len().checked_sub(most).and_then(|index| self.sent.get(index));
        let day = oldest.map_or(Time::default(), |at| at.plus(DAY));
        let retry = self.retry.as_ref().and_then(|retry| due(retry, world)).unwrap_or_default();
        Some(first.max(gap).max(day).max(retry))
    }

    /// Whether a pass should wait for it: under way, or about to be for the first time.
    pub fn is_busy(&self, world: &World, now: Time) -> bool {
        let soon = || self.retry.is_none() && self.due(world).is_some_and(|at| at <= now.plus(GATHER));
        self.in_flight.is_some() || soon()
    }
}

/// Adds the messages that are due.
pub fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    if config.notifies.is_empty() {
        return;
    }
    for trouble in state.told.troubles.values().filter(|trouble| !trouble.told) {
        let at = trouble.since.plus(PATIENCE);
        if at > now.boot {
            plan.wake(at);
        }
    }
    for section in &config.notifies {
        let Some(channel) = state.told.channels.get(&section.name) else { continue };
        let Some(at) = channel.due(world).filter(|_| channel.in_flight.is_none()) else { continue };
        if at > now.boot {
            plan.wake(at);
            continue;
        }
        let message = Message::of(section, &channel.queue, channel.left_out);
        let (channel, generation) = (section.name.clone(), channel.generation + 1);
        plan.actions.push(Action::Tell(Box::new(TellJob { channel, generation, message })));
    }
}

/// A message is on its way.
pub(super) fn begin(told: &mut Told, job: &TellJob, now: Time) {
    let channel = told.channels.entry(job.channel.clone()).or_default();
    channel.generation = job.generation;
    channel.in_flight = Some((job.generation, now, channel.queue.len()));
}

/// Takes in what became of a message. False for an older message's outcome, which says nothing of now.
pub fn ended(told: &mut Told, job: &TellJob, result: Result<(), Failure>, now: Time, random: u32) -> bool {
    let Some(channel) = told.channels.get_mut(&job.channel) else { return false };
    let flying = channel.in_flight.take_if(|(generation, ..)| *generation == job.generation);
    let Some((_, started, count)) = flying else { return false };
    let before = channel.retry.take();
    match result {
        Ok(()) => {
            channel.queue.drain(..count.min(channel.queue.len()));
            channel.left_out = 0;
            channel.sent.retain(|at| now.since(*at) < DAY);
            channel.sent.push(now);
            channel.sent.drain(..channel.sent.len().saturating_sub(A_DAY));
        }
        Err(failure) => {
            let attempt = Attempt { started, ended: now, floor: Duration::ZERO, random, requests: 1 };
            let mut retry = after(before.as_ref(), failure, attempt, &Spent::default());
            retry.next = retry.next.or(Some(now.plus(REFUSED_WAIT)));
            channel.retry = Some(retry);
        }
    }
    true
}

/// A person says "try now".
pub(super) fn try_again(told: &mut Told) {
    told.channels.values_mut().for_each(|channel| channel.retry = None);
}

/// Forgets channels that are no more, and the failures of those that are other ones now. A message that was begun before
/// counts for nothing: what was in it is told once more by a channel that stays.
pub(super) fn reconfigured(told: &mut Told, before: &Config, now: &Config) {
    if now.notifies.is_empty() {
        (told.troubles, told.exposed) = Default::default();
    }
    told.channels.retain(|name, channel| {
        let is_there = now.notifies.iter().any(|section| section.name == *name);
        if !is_there {
            // Until it lands, so that one of this name that comes back does not take it for its own.
            let (generation, in_flight) = (channel.generation, channel.in_flight);
            let in_flight = in_flight.map(|(generation, at, _)| (generation, at, 0));
            *channel = ChannelState { generation, in_flight, ..ChannelState::default() };
        }
        is_there || channel.in_flight.is_some()
    });
    for section in now.notifies.iter().filter(|section| !before.notifies.contains(section)) {
        if let Some(channel) = told.channels.get_mut(&section.name) {
            (channel.retry, channel.in_flight) = (None, None);
        }
    }
}
