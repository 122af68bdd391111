//! What an act does to the state: when it starts, and when its outcome comes back.

use super::account::account_key;
use super::retry::{after, Attempt};
use super::{Action, LookJob, MapJob, PublishJob, Rule};
use crate::config::Config;
use crate::map::Map;
use crate::model::{Family, Now, RecordId, Time};
use crate::provider::web::is_garbled;
use crate::provider::{Failure, Kind, Outcome, Verdicts};
use crate::state::{InFlight, Known, RecordState, Retry, Seen, State};
use std::net::IpAddr;
use std::time::Duration;

/// After a failed change of the packet filter, the first few times ...
const MAP_WAIT: Duration = Duration::from_secs(1);
/// ... and from then on.
const MAP_WAIT_LONG: Duration = Duration::from_secs(30);
/// How many times count as the first few.
const MAP_QUICK_TRIES: u32 = 5;

/// Marks an action as started. Returns its change number (a look gets none of its own: 0).
pub fn begin(state: &mut State, action: &Action, now: Now) -> u64 {
    match action {
        Action::Publish(job) => {
            state.change += 1;
            let records = job.records.iter().map(|w| (w.id.clone(), Some(w.addr))).collect();
            fly(state, &job.account, job.generation, records, now.boot);
            for wanted in &job.records {
                record_of(state, &job.account, wanted.id.clone()).last_start = Some(now.boot);
            }
            state.change
        }
        Action::Look(job) => {
            let records = job.records.iter().map(|id| (id.clone(), None)).collect();
            fly(state, &job.account, job.generation, records, now.boot);
            0
        }
        Action::Map(job) => {
            state.change += 1;
            state.mapping.generation = job.generation;
            state.mapping.in_flight = Some((job.generation, now.boot));
            state.mapping.tried.clone_from(&job.rules);
            // Until they are cut, connections may lead to the old and to the new places.
            state.mapping.targets.extend(job.rules.iter().map(|rule| rule.target));
            state.change
        }
    }
}

fn fly(state: &mut State, key: &str, generation: u64, records: Vec<(RecordId, Option<IpAddr>)>, since: Time) {
    let change = state.change;
    let account = state.accounts.entry(key.to_string()).or_default();
    account.generation = generation;
    account.in_flight = Some(InFlight { generation, change, since, records });
}

/// How an attempt ended in time; see [`Attempt`].
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Now.
    pub now: Now,
    /// The provider's floor.
    pub floor: Duration,
    /// Any number, for jitter.
    pub random: u32,
}

/// Takes the job out of flight; `None` if it is an older one's outcome. Returns when it was started.
fn land(state: &mut State, key: &str, generation: u64) -> Option<Time> {
    let account = state.accounts.get_mut(key)?;
    let flying = account.in_flight.take_if(|job| job.generation == generation)?;
    Some(flying.since)
}

/// The records of the account that are configured now: what a reload removed meanwhile stays away.
fn configured(config: &Config, key: &str) -> Vec<RecordId> {
    let mine = config.records.iter().filter(|record| account_key(record) == key);
    mine.flat_map(super::publish::ids).collect()
}

/// Takes in the outcome of a publish job. Returns the verdict of every record that this changed, for the log and
/// the read-back.
pub fn published(
    state: &mut State,
    config: &Config,
    job: &PublishJob,
    memo: Map<String, String>,
    result: Result<Verdicts, Failure>,
    end: End,
) -> Verdicts {
    let mine = configured(config, &job.account);
    let mut verdicts = match result {
        Ok(verdicts) => verdicts,
        Err(failure) => job.records.iter().map(|w| (w.id.clone(), Err(failure.clone()))).collect(),
    };
    let Some(started) = land(state, &job.account, job.generation) else {
        late(state, job, &verdicts);
        return Verdicts::new();
    };
    let garbled = verdicts.windows(2).any(|two| two.iter().all(|(_, verdict)| is_garbled(verdict)));
    let of_all =
        |failure: &Failure| concerns_account(failure.kind) || garbled && failure.kind == Kind::Garbled;
    let worst = verdicts.iter().filter_map(|(_, v)| v.as_ref().err()).filter(|failure| of_all(failure));
    let worst = worst.max_by_key(|failure| failure.retry_after.unwrap_or_default()).cloned();
    verdicts.retain(|(id, _)| mine.contains(id));
    let attempt = attempt(started, end);
    for wanted in job.records.iter().filter(|wanted| mine.contains(&wanted.id)) {
        let verdict = verdicts.iter().find(|(id, _)| *id == wanted.id).map(|(_, verdict)| verdict);
        let memory = record_of(state, &job.account, wanted.id.clone());
        match verdict {
            Some(Ok(outcome)) => record_right(memory, wanted.addr, outcome, end.now),
            Some(Err(failure)) => record_failed(memory, failure, of_all(failure), attempt),
            None => {}
        }
        if let Some(Err(failure)) = verdict.filter(|v| matches!(v, Err(f) if f.kind == Kind::Credentials)) {
            rest_other_family(state, job, &mine, &wanted.id, failure, attempt);
        }
    }
    if mine.is_empty() {
        state.accounts.remove(&job.account);
    } else if let Some(account) = state.accounts.get_mut(&job.account) {
        account.memo = memo;
        account.retry = worst.map(|failure| after(account.retry.as_ref(), failure, attempt));
    }
    verdicts
}

/// An outcome that is not that of the job in flight: what it wrote may have come after what is known.
fn late(state: &mut State, job: &PublishJob, verdicts: &Verdicts) {
    for wanted in &job.records {
        let wrote = verdicts.iter().any(|(id, verdict)| {
            let may = matches!(verdict, Ok(_) | Err(Failure { kind: Kind::Unconfirmed, .. }));
            *id == wanted.id && may
        });
        let memory = state.records.get_mut(&wanted.id).filter(|memory| memory.account == job.account);
        if let Some(memory) = memory.filter(|m| wrote && m.known != Known::Published(wanted.addr)) {
            memory.known = Known::Unknown;
        }
    }
}

fn attempt(started: Time, end: End) -> Attempt {
    Attempt { started, ended: end.now.boot, floor: end.floor, random: end.random }
}

/// Failures that would meet every other record of the account as well. So would two answers in a row that make no
/// sense: it is not the service that answers. Refused credentials are not among
/// them: a token may have rights in one zone only, and some services answer a wrong name in the same words.
fn concerns_account(kind: Kind) -> bool {
    !matches!(kind, Kind::Credentials | Kind::NoSuchName | Kind::Refused | Kind::Garbled)
}

/// What is refused for a name in one family would be in the other: it rests too, unless it has its own verdict.
fn rest_other_family(
    state: &mut State,
    job: &PublishJob,
    mine: &[RecordId],
    id: &RecordId,
    why: &Failure,
    attempt: Attempt,
) {
    let others = Family::BOTH.into_iter().filter(|family| *family != id.family);
    for other in others.map(|family| RecordId { family, ..id.clone() }) {
        if mine.contains(&other) && job.records.iter().all(|wanted| wanted.id != other) {
            let memory = record_of(state, &job.account, other);
            memory.retry = Some(after(memory.retry.as_ref(), why.clone(), attempt));
        }
    }
}

/// A record's memory; what it held of another account is forgotten.
fn record_of<'a>(state: &'a mut State, account: &str, id: RecordId) -> &'a mut RecordState {
    let memory = state.records.entry(id).or_default();
    if memory.account != account {
        *memory = RecordState { account: account.to_string(), ..Default::default() };
    }
    memory
}

fn record_right(memory: &mut RecordState, addr: IpAddr, outcome: &Outcome, now: Now) {
    memory.known = Known::Published(addr);
    memory.retry = None;
    let seen = match outcome {
        Outcome::Unchanged => return,
        Outcome::Updated => Seen::Asking,
        Outcome::UpdatedBehindProxy => Seen::Proxied,
    };
    memory.changed_at = Some(now.wall);
    memory.seen = seen;
}

fn record_failed(memory: &mut RecordState, failure: &Failure, of_all: bool, attempt: Attempt) {
    if failure.kind == Kind::Unconfirmed {
        memory.known = Known::Unknown;
    }
    memory.retry = if of_all { None } else { Some(after(memory.retry.as_ref(), failure.clone(), attempt)) };
}

/// Takes in what the name servers said is published. A value that could not be told counts as different:
/// asking again would not help, and the provider itself is the better judge. Where this machine could not ask,
/// the record alone waits: other names of the account may lie in other zones.
pub fn looked(
    state: &mut State,
    config: &Config,
    job: &LookJob,
    answers: Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>,
    end: End,
) {
    let Some(started) = land(state, &job.account, job.generation) else { return };
    let attempt = attempt(started, end);
    let mine = configured(config, &job.account);
    if mine.is_empty() {
        state.accounts.remove(&job.account);
    }
    let mut told = false;
    for (id, answer) in answers.into_iter().filter(|(id, _)| mine.contains(id)) {
        let memory = record_of(state, &job.account, id);
        memory.known = match answer {
            Ok(addrs) => match addrs.as_slice() {
                [addr] => Known::Published(*addr),
                _ => Known::Differs,
            },
            Err(failure) if failure.kind == Kind::NotReady => {
                memory.retry = Some(after(memory.retry.as_ref(), failure, attempt));
                continue;
            }
            Err(_) => Known::Differs,
        };
        memory.retry.take_if(is_over);
        told = true;
    }
    if let Some(account) = state.accounts.get_mut(&job.account).filter(|_| told) {
        account.retry.take_if(is_over);
    }
}

/// This machine was not ready, and is so now. Where a service failed too, how often is kept.
fn is_over(retry: &mut Retry) -> bool {
    retry.failure.kind == Kind::NotReady && retry.tries == 0
}

/// Takes in the outcome of a change of the packet filter.
pub fn mapped(state: &mut State, job: &MapJob, result: Result<Vec<Rule>, String>, now: Time) {
    let memory = &mut state.mapping;
    let Some((_, started)) = memory.in_flight.take_if(|(generation, _)| *generation == job.generation) else {
        return;
    };
    match result {
        Ok(rules) => {
            memory.targets = rules.iter().map(|rule| rule.target).collect();
            memory.applied = Some(rules);
            memory.retry = None;
        }
        Err(text) => {
            let tries = memory.retry.as_ref().map_or(0, |retry| retry.tries) + 1;
            let wait = if tries <= MAP_QUICK_TRIES { MAP_WAIT } else { MAP_WAIT_LONG };
            let since = memory.retry.as_ref().map_or(started, |retry| retry.since);
            let failure = Failure::new(Kind::Refused, text);
            memory.retry = Some(Retry { failure, tries, since, started, next: Some(now.plus(wait)) });
        }
    }
}

/// A person says "try now": nothing rests and nothing waits any more.
pub fn try_again(state: &mut State) {
    state.records.values_mut().for_each(|record| record.retry = None);
    state.accounts.values_mut().for_each(|account| account.retry = None);
    // Not forgotten: until a change of the packet filter succeeds, what is in force is in doubt.
    if let Some(retry) = &mut state.mapping.retry {
        retry.next = None;
    }
}

/// Takes in a new configuration: what it no longer has is forgotten, and a record whose section is another
/// one now rests no more and waits no more for its own sake.
pub fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    let keep: Vec<RecordId> = now.records.iter().flat_map(super::publish::ids).collect();
    state.records.retain(|id, _| keep.contains(id));
    let keys: Vec<String> = now.records.iter().map(account_key).collect();
    state.accounts.retain(|key, account| account.in_flight.is_some() || keys.contains(key));
    let changed = now.records.iter().filter(|record| !before.records.contains(record));
    for id in changed.flat_map(super::publish::ids) {
        if let Some(memory) = state.records.get_mut(&id) {
            memory.retry = None;
        }
    }
}
