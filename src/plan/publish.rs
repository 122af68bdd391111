//! Which records to publish now: only what differs, one job per account, in the fewest requests.

use super::account::{account_key, same_job};
use super::reach::reach;
use super::retry::due;
use super::witness::{outside, standing};
use super::{refresh, six, tunnel};
use super::{Action, LookJob, Plan, PublishJob};
use crate::config::{Config, Record, Wan};
use crate::model::{Family, Now, Reach, RecordId, Time, World};
use crate::provider::{self, Wanted};
use crate::state::{AccountState, Known, RecordState, Retry, State};
use std::net::IpAddr;

/// What a record should say, or why there is nothing to say now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Publish this.
    Address(IpAddr),
    /// Leave what is there; the reason in plain words.
    Wait(String),
}

/// The address of the first of the record's WANs that is ready and publicly reachable, be it the address of the router
/// above it that opens our ports. If there is none, that which the
/// internet sees of the first behind another router, as witnesses agree: that router may forward. The address of a
/// carrier's NAT is not published: it leads to a machine that serves many homes and forwards to none. In IPv6 that of
/// the camera that goes by the record and is reached there. It is published once the camera was heard there, be it open or
/// not: a name that said now the camera and now the router would lie in caches with the wrong one of them.
pub fn wish(config: &Config, world: &World, state: &State, record: &Record, family: Family) -> Wish {
    if let Some(camera) = config.camera_of(record).filter(|_| family == Family::V6) {
        return match six::published(config, world, state, camera) {
            Ok(addr) => Wish::Address(addr),
            Err(why) => Wish::Wait(why),
        };
    }
    match tunnel::followed(config, state, record, family) {
        Some(Ok(addr)) => return Wish::Address(addr),
        Some(Err(why)) => return Wish::Wait(why),
        None => {}
    }
    let wans = record.wans.iter().filter_map(|name| config.wans.iter().find(|wan| wan.name == *name));
    match address(world, state, wans, family) {
        Ok((_, addr)) => Wish::Address(addr),
        Err(reasons) if reasons.is_empty() => Wish::Wait(format!("none of its WANs has {family}")),
        Err(reasons) => Wish::Wait(reasons.join("; ")),
    }
}

/// The first of these WANs by whose address the internet gets in, and that address; see [`wish`].
///
/// # Errors
/// Why not, one reason for each WAN that has the family.
pub(super) fn address<'a>(
    world: &World,
    state: &State,
    wans: impl Iterator<Item = &'a Wan>,
    family: Family,
) -> Result<(&'a Wan, IpAddr), Vec<String>> {
    let (mut reasons, mut behind) = (Vec::new(), None);
    for wan in wans.filter(|wan| wan.families.contains(&family)) {
        let name = &wan.name;
        let addr = world.wans.get(name).and_then(|world| world.line(family).addr.seen());
        let standing = standing(world, state, wan, family);
        let is_behind = family == Family::V4 && !matches!(standing.reach, Reach::Public | Reach::Offline);
        if let Some(outside) = outside(world, state, wan).filter(|_| is_behind) {
            return Ok((wan, outside));
        }
        let reason = match (addr, standing.reach) {
            (None, _) => format!("no {family} address"),
            (Some(addr), Reach::Public) => return Ok((wan, addr)),
            (Some(addr), Reach::Unknown) => {
                format!("{addr}: witnesses are asked whether the internet sees it")
            }
            (Some(addr), Reach::Offline) => match reach(addr, &wan.accept) {
                Reach::Public => format!("{addr}, but no {family} default route yet"),
                other => format!("{addr} is {other}: it is not published"),
            },
            (Some(addr), other) => {
                if other == Reach::Nat {
                    behind = behind.or(standing.seen.map(|seen| (wan, seen)));
                }
                format!("{addr} is {other}: it is not published")
            }
        };
        reasons.push(format!("wan {name}: {reason}"));
    }
    behind.ok_or(reasons)
}

/// The ids that a record section stands for.
pub fn ids(record: &Record) -> std::vec::IntoIter<RecordId> {
    let mut ids = Vec::new();
    for domain in &record.domains {
        for family in &record.families {
            ids.push(RecordId { record: record.name.clone(), domain: domain.clone(), family: *family });
        }
    }
    ids.into_iter()
}

/// One record that differs from what is wanted.
struct Pending<'a> {
    record: &'a Record,
    wanted: Wanted,
    known: Known,
    /// Its last attempt failed.
    failed: bool,
}

/// Adds what is to be published now.
pub fn plan(config: &Config, world: &World, state: &State, now: Now, plan: &mut Plan) {
    let mut accounts: Vec<(String, Vec<&Record>)> = Vec::new();
    for record in &config.records {
        let key = account_key(record);
        match accounts.iter_mut().find(|(other, _)| *other == key) {
            Some((_, records)) => records.push(record),
            None => accounts.push((key, vec![record])),
        }
    }
    for (key, records) in accounts {
        let none = AccountState::default();
        let account = state.accounts.get(&key).unwrap_or(&none);
        if account.in_flight.is_some() {
            continue;
        }
        let generation = account.generation + 1;
        // An account that rests has nothing to wait for.
        let Some(open) = backed_off(account.retry.as_ref(), world) else { continue };
        let account = Account { key: &key, records, open };
        let pending = pending(config, world, state, now, plan, &account);
        if !pending.is_empty() {
            plan.actions.push(action(config, world, state, key, generation, &pending));
        }
    }
}

/// An account and its records.
struct Account<'a, 'k> {
    key: &'k str,
    records: Vec<&'a Record>,
    /// When its back-off is over.
    open: Time,
}

/// The records of one account that differ and are due.
fn pending<'a>(
    config: &Config,
    world: &World,
    state: &State,
    now: Now,
    plan: &mut Plan,
    account: &Account<'a, '_>,
) -> Vec<Pending<'a>> {
    let mut all = Vec::new();
    for record in &account.records {
        for id in ids(record) {
            let Wish::Address(addr) = wish(config, world, state, record, id.family) else { continue };
            let memory = state.records.get(&id).filter(|memory| memory.account == account.key);
            let known = memory.map_or(Known::Unknown, |memory| memory.known);
            let right = matches!(known, Known::Published(a) | Known::Remembered(a) if a == addr);
            // What is right is sent only where that keeps it from being taken away.
            let again = || memory.and_then(|memory| refresh::due(record, memory, now));
            let Some(wanted_at) = (if right { again() } else { Some(Time::default()) }) else { continue };
            match record_due(config, memory, world).map(|at| at.max(account.open).max(wanted_at)) {
                Some(at) if at <= now.boot => {
                    let failed = memory.is_some_and(|memory| memory.retry.is_some());
                    all.push(Pending { record, wanted: Wanted { id, addr }, known, failed });
                }
                Some(at) => plan.wake(at),
                None => {}
            }
        }
    }
    all
}

/// When this record may be tried: after its own back-off, and after the debounce window, which begins with a job,
/// so that the first change after quiet acts at once and the next ones are coalesced.
fn record_due(config: &Config, memory: Option<&RecordState>, world: &World) -> Option<Time> {
    let Some(memory) = memory else { return Some(Time::default()) };
    let window = memory.last_start.map_or(Time::default(), |start| start.plus(config.global.debounce));
    Some(window.max(backed_off(memory.retry.as_ref(), world)?))
}

/// When a back-off is over; `None`: never by itself.
fn backed_off(retry: Option<&Retry>, world: &World) -> Option<Time> {
    retry.map_or(Some(Time::default()), |retry| due(retry, world))
}

/// A look for those that must not be written unasked; else a job for the first that is sure and all that fit
/// with it. A look that failed before waits until what is sure is published: it may fail for long.
fn action(
    config: &Config,
    world: &World,
    state: &State,
    account: String,
    generation: u64,
    pending: &[Pending<'_>],
) -> Action {
    let (unsure, sure): (Vec<_>, Vec<_>) = pending.iter().partition(|p| must_look(p));
    let records: Vec<RecordId> = unsure.iter().map(|p| p.wanted.id.clone()).collect();
    let look_first = unsure.iter().any(|p| !p.failed);
    match sure.first() {
        Some(first) if !look_first => {
            let fits: Vec<_> = sure.iter().filter(|p| same_job(first.record, p.record)).collect();
            let mut records: Vec<Wanted> = fits.iter().map(|p| p.wanted.clone()).collect();
            for p in fits.iter().filter(|p| in_one_request(p.record)) {
                let lacks = |id: &RecordId| records.iter().all(|wanted| wanted.id != *id);
                records.extend(other_family(config, world, state, p).filter(|other| lacks(&other.id)));
            }
            Action::Publish(PublishJob { account, generation, record: first.record.name.clone(), records })
        }
        _ => Action::Look(LookJob { account, generation, records }),
    }
}

/// The provider takes both families of a name in one request.
fn in_one_request(record: &Record) -> bool {
    provider::find(&record.provider).is_some_and(provider::Entry::is_joint)
}

/// What the name's other family should say, if the section wants it too. It goes along though it may be right: a service
/// that is sent one family alone may take the connection's own address for the other, which is wrong behind another WAN
/// or the provider's NAT, and nothing would mend it.
fn other_family(config: &Config, world: &World, state: &State, pending: &Pending<'_>) -> Option<Wanted> {
    let id = &pending.wanted.id;
    let family = *pending.record.families.iter().find(|family| **family != id.family)?;
    match wish(config, world, state, pending.record, family) {
        Wish::Address(addr) => Some(Wanted { id: RecordId { family, ..id.clone() }, addr }),
        Wish::Wait(_) => None,
    }
}

/// What is published is not known, and the provider does not ask for it itself.
fn must_look(pending: &Pending<'_>) -> bool {
    let reads = provider::find(&pending.record.provider).is_some_and(|entry| entry.reads);
    !reads && matches!(pending.known, Known::Unknown | Known::Remembered(_))
}
