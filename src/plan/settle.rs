//! What an act does to the state: when it starts, and when its outcome comes back.

use super::account::account_key;
use super::publish::all_ids;
use super::retry::{after, Attempt, Spent};
use super::{
    lease, mapping, notify, outside, probe, refresh, reload, source, tunnel, upstream, witness, Action,
    Carried, LookJob, MapJob, PublishJob, Rule,
};
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

/// Marks an action as started. Returns its change number (what only looks gets none of its own: 0).
pub fn begin(state: &mut State, action: &Action, now: Now) -> u64 {
    let is_change = matches!(action, Action::Publish(_) | Action::Map(_));
    state.change += u64::from(is_change);
    match action {
        Action::Publish(job) => {
            let records = job.records.iter().map(|w| (w.id.clone(), Some(w.addr))).collect();
            fly(state, &job.account, job.generation, records, now.boot);
            for wanted in &job.records {
                record_of(state, &job.account, wanted.id.clone()).last_start = Some(now.boot);
            }
        }
        Action::Look(job) => {
            let records = job.records.iter().map(|id| (id.clone(), None)).collect();
            fly(state, &job.account, job.generation, records, now.boot);
        }
        Action::Probe(job) => probe::begin(state, job),
        Action::Witness(job) => witness::begin(state, job, now.boot),
        Action::Tell(job) => notify::begin(&mut state.told, job, now.boot),
        Action::Lease(job) => lease::begin(state, job),
        Action::Upstream(job) => upstream::begin(state, job, now.boot),
        Action::Outside(job) => outside::begin(state, job, now.boot),
        Action::Tunnel(job) => tunnel::begin(state, job, now.boot),
        Action::Resolve(job) => source::begin(state, job, now.boot),
        Action::Map(job) => mapping::begin(&mut state.mapping, job, now.boot),
    }
    if is_change {
        state.change
    } else {
        0
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
    /// How many requests the provider was sent.
    pub requests: u32,
    /// From the job's start to the last of them.
    pub last_request: Duration,
}

/// Takes the job out of flight; `None` if it is an older one's outcome. Returns when it was started, and the account's
/// records as far as it may say something of them: what a reload removed or changed meanwhile is not among them.
fn land(
    state: &mut State,
    config: &Config,
    key: &str,
    generation: u64,
    of: Ids,
) -> Option<(Time, Vec<RecordId>)> {
    let account = state.accounts.get_mut(key)?;
    let flying = account.in_flight.take_if(|job| job.generation == generation)?;
    let records = config.records.iter().filter(|record| account_key(record) == key);
    let mut mine = all_ids(records);
    if mine.is_empty() {
        state.accounts.remove(key);
    }
    let still = |id: &RecordId| flying.records.iter().any(|(other, _)| other == id);
    of.filter(|id| !still(id)).for_each(|id| mine.retain(|other| other != id));
    Some((flying.since, mine))
}

/// The records that a job was begun for.
type Ids<'a> = &'a mut dyn Iterator<Item = &'a RecordId>;

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
    let mut verdicts = match result {
        Ok(verdicts) => verdicts,
        Err(failure) => job.records.iter().map(|w| (w.id.clone(), Err(failure.clone()))).collect(),
    };
    let landed = land(state, config, &job.account, job.generation, &mut job.records.iter().map(|w| &w.id));
    late(state, landed.as_ref().map_or(&[], |(_, mine)| mine), &verdicts, job);
    let Some((started, mine)) = landed.filter(|_| state.accounts.contains_key(&job.account)) else {
        return Verdicts::new();
    };
    let attempt = attempt(started, end);
    let garbled = verdicts.windows(2).any(|two| two.iter().all(|(_, verdict)| is_garbled(verdict)));
    let of_all =
        |failure: &Failure| concerns_account(failure.kind) || garbled && failure.kind == Kind::Garbled;
    let failures = || verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().err());
    let worst = failures().filter(|failure| of_all(failure));
    let worst = worst.max_by_key(|failure| failure.retry_after.unwrap_or_default()).cloned();
    let account = state.accounts.entry(job.account.clone()).or_default();
    if failures().next().is_none() {
        account.spent = Spent::default();
    } else if attempt.requests > 0 {
        account.spent.add(attempt.started.plus(end.last_request), attempt.requests);
    }
    let series = Series { account: account.retry.take(), spent: account.spent.clone(), attempt };
    verdicts.retain(|(id, _)| mine.contains(id));
    let mut own = Vec::new();
    for wanted in job.records.iter().filter(|wanted| mine.contains(&wanted.id)) {
        let Some((id, verdict)) = verdicts.iter().find(|(id, _)| *id == wanted.id) else { continue };
        let memory = record_of(state, &job.account, id.clone());
        let before = memory.retry.take();
        match verdict {
            Ok(outcome) => {
                record_right(memory, wanted.addr, outcome, end.now);
                let section = config.records.iter().find(|record| record.name == id.record);
                section.into_iter().for_each(|record| refresh::sent(record, memory, end.now.wall));
            }
            Err(failure) => {
                // It was right and was sent once more: it may be gone.
                let was_right =
                    matches!(memory.known, Known::Published(a) | Known::Remembered(a) if a == wanted.addr);
                if was_right && matches!(failure.kind, Kind::Credentials | Kind::NoSuchName | Kind::Refused) {
                    memory.known = Known::Differs;
                }
                record_failed(memory, before.as_ref(), failure, of_all(failure), &series);
            }
        }
        own.push(before);
        if let Some(failure) = verdict.as_ref().err().filter(|f| f.kind == Kind::Credentials) {
            rest_other_family(state, job, &mine, id, failure, attempt);
        }
    }
    if let Some(account) = state.accounts.get_mut(&job.account) {
        account.memo = memo;
        let previous = series.of_account(&own);
        account.retry = worst.map(|failure| after(previous, failure, attempt, &series.spent));
    }
    verdicts
}

/// An outcome that is not about what is wanted now, be it an older job's, or of a record or an account that a reload
/// changed meanwhile: what it wrote may have come after what is known. `mine`: of these records it is no such outcome.
fn late(state: &mut State, mine: &[RecordId], verdicts: &Verdicts, job: &PublishJob) {
    for wanted in job.records.iter().filter(|wanted| !mine.contains(&wanted.id)) {
        let wrote = verdicts.iter().any(|(id, verdict)| {
            let may = verdict.as_ref().err().is_none_or(|failure| failure.kind == Kind::Unconfirmed);
            *id == wanted.id && may
        });
        let name = (&wanted.id.domain, wanted.id.family);
        let same = |id: &RecordId| (&id.domain, id.family) == name;
        let keys: Vec<RecordId> = state.records.keys().filter(|id| wrote && same(id)).cloned().collect();
        for id in keys {
            if let Some(memory) = state.records.get_mut(&id) {
                if memory.known != Known::Published(wanted.addr) {
                    memory.known = Known::Unknown;
                }
            }
        }
    }
}

fn attempt(started: Time, end: End) -> Attempt {
    Attempt { started, ended: end.now.boot, floor: end.floor, random: end.random, requests: end.requests }
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
            memory.retry = Some(after(memory.retry.as_ref(), why.clone(), attempt, &Spent::default()));
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

/// What an attempt adds to: failures of a record and of its account, in turn, are one series.
struct Series {
    /// The account's, until now.
    account: Option<Retry>,
    spent: Spent,
    attempt: Attempt,
}

impl Series {
    /// What a failure of the whole account goes on with: its own series, else the shortest of its records',
    /// if each of them has one.
    fn of_account<'a>(&'a self, records: &'a [Option<Retry>]) -> Option<&'a Retry> {
        let shortest = records.iter().flatten().min_by_key(|retry| retry.tries);
        let each = records.iter().all(Option::is_some);
        self.account.as_ref().or(shortest.filter(|_| each))
    }
}

fn record_right(memory: &mut RecordState, addr: IpAddr, outcome: &Outcome, now: Now) {
    memory.known = Known::Published(addr);
    let seen = match outcome {
        Outcome::Unchanged => return,
        Outcome::Updated => Seen::Asking,
        Outcome::UpdatedBehindProxy => Seen::Proxied,
    };
    memory.changed_at = Some(now.wall);
    memory.seen = seen;
}

/// `before`: the record's own series of failures until now.
fn record_failed(
    memory: &mut RecordState,
    before: Option<&Retry>,
    failure: &Failure,
    of_all: bool,
    series: &Series,
) {
    if failure.kind == Kind::Unconfirmed {
        memory.known = Known::Unknown;
    }
    if !of_all {
        let previous = before.or(series.account.as_ref());
        memory.retry = Some(after(previous, failure.clone(), series.attempt, &series.spent));
    }
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
    let landed = land(state, config, &job.account, job.generation, &mut job.records.iter());
    let Some((started, mine)) = landed else { return };
    let attempt = attempt(started, end);
    let mut told = false;
    for (id, answer) in answers.into_iter().filter(|(id, _)| mine.contains(id)) {
        let memory = record_of(state, &job.account, id);
        memory.known = match answer {
            Ok(addrs) => match addrs.as_slice() {
                [addr] => Known::Published(*addr),
                _ => Known::Differs,
            },
            Err(failure) if failure.kind == Kind::NotReady => {
                memory.retry = Some(after(memory.retry.as_ref(), failure, attempt, &Spent::default()));
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

/// Takes in the outcome of a change of the packet filter. That of one which was overtaken tells what was in force
/// meanwhile, and satisfies nothing newer. Mappings that were refused, with the reason, are not tried again until
/// something else is wanted.
pub fn mapped(state: &mut State, job: &MapJob, result: Result<Carried, String>, now: Time) {
    if matches!(&result, Ok(carried) if !carried.reloaded) {
        not_reloaded(state, job);
    }
    let memory = &mut state.mapping;
    let Some((_, started)) = memory.in_flight.take_if(|(generation, _)| *generation == job.generation) else {
        if let (Some((newer, _)), Ok(carried)) = (memory.in_flight, result) {
            if job.generation < newer {
                memory.applied = Some(in_force(job, &carried));
                memory.refused = carried.refused;
            }
        }
        return;
    };
    match result {
        Ok(carried) => {
            let rules = in_force(job, &carried);
            let kept = |mapping: &str| !carried.refused.iter().any(|(name, _)| *name == mapping);
            memory.targets =
                rules.iter().filter(|rule| kept(&rule.mapping)).map(|rule| rule.target).collect();
            memory.applied = Some(rules);
            memory.carrier = Some(job.carrier);
            memory.unseen.clone_from(&job.unseen);
            memory.owed = job.carrier.reloads() && !job.reload;
            memory.refused = carried.refused;
            memory.perhaps.clear();
            memory.retry = None;
        }
        Err(text) => {
            let tries = memory.retry.as_ref().map_or(0, |retry| retry.tries) + 1;
            let wait = if tries <= MAP_QUICK_TRIES { MAP_WAIT } else { MAP_WAIT_LONG };
            let since = memory.retry.as_ref().map_or(started, |retry| retry.since);
            let failure = Failure::new(Kind::Refused, text);
            memory.retry =
                Some(Retry { failure, tries, since, started, next: Some(now.plus(wait)), floor: now });
        }
    }
}

/// Counts the reload no more that the job in flight was begun with: none came of it.
pub fn not_reloaded(state: &mut State, job: &MapJob) {
    let memory = &mut state.mapping;
    let flies = memory.in_flight.is_some_and(|(generation, _)| generation == job.generation);
    if flies && job.carrier.reloads() && job.reload {
        memory.reloads.pop();
    }
}

/// The rules of a job that are in force, or refused.
fn in_force(job: &MapJob, carried: &Carried) -> Vec<Rule> {
    job.rules.iter().filter(|rule| !carried.missing.contains(&rule.mapping)).cloned().collect()
}

/// OpenWrt's firewall shows what it was told when that had failed: somebody mended it and had it reload.
pub fn firewall_came(state: &mut State) {
    if let Some(retry) = &mut state.mapping.retry {
        retry.next = None;
        // What is looked at now needs no reload.
        state.mapping.reloads.pop();
    }
}

/// A person says "try now": nothing rests and nothing waits any more.
pub fn try_again(state: &mut State) {
    state.records.values_mut().for_each(|record| record.retry = None);
    for account in state.accounts.values_mut() {
        (account.retry, account.spent) = (None, Spent::default());
    }
    probe::try_again(state);
    witness::try_again(state);
    notify::try_again(&mut state.told);
    lease::try_again(state);
    upstream::try_again(state);
    source::try_again(state);
    outside::try_again(state);
    tunnel::try_again(state);
    // Not forgotten: until a change of the packet filter succeeds, what is in force is in doubt.
    if let Some(retry) = &mut state.mapping.retry {
        retry.next = None;
    }
}

/// Somebody else may have changed the records: each is asked for again before anything is written, and sent only where it
/// differs.
pub fn doubt(state: &mut State) {
    state.records.values_mut().for_each(|record| record.known = Known::Unknown);
}

/// Takes in a new configuration: what it no longer has is forgotten, what is only called otherwise is not, and a record
/// whose section is another one now rests no more and waits no more for its own sake.
pub fn reconfigured(state: &mut State, before: &Config, now: &Config) {
    let before = &reload::carry_over(state, before, now);
    notify::reconfigured(&mut state.told, before, now);
    probe::reconfigured(state, before, now);
    witness::reconfigured(state, before, now);
    lease::reconfigured(state, before, now);
    upstream::reconfigured(state, now);
    source::reconfigured(state, now);
    outside::reconfigured(state, before, now);
    tunnel::reconfigured(state, before, now);
    state.hits.retain(|name, _| now.mappings.iter().any(|mapping| mapping.name == *name));
    let keep = all_ids(&now.records);
    state.records.retain(|id, _| keep.contains(id));
    let keys: Vec<String> = now.records.iter().map(account_key).collect();
    state.accounts.retain(|key, account| account.in_flight.is_some() || keys.contains(key));
    reload::records_changed(state, before, now);
}
