//! What outlives an edit of the configuration: a section that is only called otherwise keeps all that is known of it, and
//! what is under way for one that is another now counts for nothing.

use super::account::same_job;
use super::publish::ids;
use super::witness::Hearing;
use crate::config::{Camera, Config, Mapping, Notify, Record, Wan};
use crate::map::Map;
use crate::model::{Family, RecordId};
use crate::state::{Known, Seen, State};

/// A section's name before and now.
pub type Renamed = Vec<(String, String)>;

/// WANs that only have another name now.
pub fn renamed_wans(before: &Config, now: &Config) -> Renamed {
    let same = |old: &Wan, new: &Wan| Wan { name: new.name.clone(), ..old.clone() } == *new;
    let same = |old: usize, new: usize| alike(&before.wans, &now.wans, old, new, same);
    renamed(&mut before.wans.iter().map(|s| &s.name), &mut now.wans.iter().map(|s| &s.name), &same)
}

/// Keeps what is known of sections that only have another name now. Returns the configuration before with the names of
/// now, so that what is compared with it differs in more than a name.
pub(super) fn carry_over(state: &mut State, before: &Config, now: &Config) -> Config {
    let mut before = before.clone();
    for (old, new) in renamed_wans(&before, now) {
        before.wans.iter_mut().for_each(|wan| replace(&mut wan.name, &old, &new));
        before.records.iter_mut().flat_map(|r| &mut r.wans).for_each(|name| replace(name, &old, &new));
        rekey(&mut state.upstream, &old, &new, &mut |memory| memory.in_flight = None);
        for family in Family::BOTH {
            let (old, new) = ((old.clone(), family), (new.clone(), family));
            rekey(&mut state.hearings.lines, &old, &new, &mut |memory| {
                if memory.running {
                    *memory = Hearing { generation: memory.generation, ..Hearing::default() };
                }
            });
        }
    }
    for (old, new) in renamed_records(&before, now) {
        before.records.iter_mut().for_each(|record| replace(&mut record.name, &old, &new));
        before.cameras.iter_mut().flat_map(|c| &mut c.records).for_each(|name| replace(name, &old, &new));
        records(state, &old, &new);
    }
    for (old, new) in renamed_cameras(&before, now) {
        before.cameras.iter_mut().for_each(|camera| replace(&mut camera.name, &old, &new));
        before.mappings.iter_mut().for_each(|mapping| replace(&mut mapping.camera, &old, &new));
        rekey(&mut state.cameras, &old, &new, &mut |_| {});
    }
    for (old, new) in renamed_mappings(&before, now) {
        before.mappings.iter_mut().for_each(|mapping| replace(&mut mapping.name, &old, &new));
        rekey(&mut state.probes, &old, &new, &mut |memory| memory.in_flight = None);
        rekey(&mut state.hits, &old, &new, &mut |_| {});
        for family in Family::BOTH {
            let (old, new) = ((old.clone(), family), (new.clone(), family));
            rekey(&mut state.outside, &old, &new, &mut |memory| memory.in_flight = false);
        }
        if state.told.exposed.remove(&old) {
            state.told.exposed.insert(new.clone());
        }
        for kind in ["mapping", "guard"] {
            let key = |name: &str| format!("{kind} {name}");
            rekey(&mut state.told.troubles, &key(&old), &key(&new), &mut |_| {});
        }
    }
    for (old, new) in renamed_channels(&before, now) {
        before.notifies.iter_mut().for_each(|channel| replace(&mut channel.name, &old, &new));
        rekey(&mut state.told.channels, &old, &new, &mut |memory| memory.in_flight = None);
    }
    before
}

fn renamed_records(before: &Config, now: &Config) -> Renamed {
    let same = |old: &Record, new: &Record| Record { name: new.name.clone(), ..old.clone() } == *new;
    let same = |old: usize, new: usize| alike(&before.records, &now.records, old, new, same);
    renamed(&mut before.records.iter().map(|s| &s.name), &mut now.records.iter().map(|s| &s.name), &same)
}

fn renamed_cameras(before: &Config, now: &Config) -> Renamed {
    let same = |old: &Camera, new: &Camera| Camera { name: new.name.clone(), ..old.clone() } == *new;
    let same = |old: usize, new: usize| alike(&before.cameras, &now.cameras, old, new, same);
    renamed(&mut before.cameras.iter().map(|s| &s.name), &mut now.cameras.iter().map(|s| &s.name), &same)
}

fn renamed_mappings(before: &Config, now: &Config) -> Renamed {
    let same = |old: &Mapping, new: &Mapping| Mapping { name: new.name.clone(), ..old.clone() } == *new;
    let same = |old: usize, new: usize| alike(&before.mappings, &now.mappings, old, new, same);
    renamed(&mut before.mappings.iter().map(|s| &s.name), &mut now.mappings.iter().map(|s| &s.name), &same)
}

fn renamed_channels(before: &Config, now: &Config) -> Renamed {
    let same = |old: &Notify, new: &Notify| Notify { name: new.name.clone(), ..old.clone() } == *new;
    let same = |old: usize, new: usize| alike(&before.notifies, &now.notifies, old, new, same);
    renamed(&mut before.notifies.iter().map(|s| &s.name), &mut now.notifies.iter().map(|s| &s.name), &same)
}

fn alike<T>(before: &[T], now: &[T], old: usize, new: usize, same: impl Fn(&T, &T) -> bool) -> bool {
    before.get(old).zip(now.get(new)).is_some_and(|(old, new)| same(old, new))
}

/// Names that went, each with one that came and stands for the same but for the name.
fn renamed(
    before: &mut dyn Iterator<Item = &String>,
    now: &mut dyn Iterator<Item = &String>,
    same: &dyn Fn(usize, usize) -> bool,
) -> Renamed {
    let (before, now): (Vec<_>, Vec<_>) = (before.collect(), now.collect());
    let mut all = Renamed::new();
    for (old, name) in before.iter().enumerate().filter(|(_, name)| !now.contains(name)) {
        let came = now.iter().enumerate().filter(|(_, new)| !before.contains(new));
        let mut free = came.filter(|(_, new)| all.iter().all(|(_, taken)| taken != **new));
        if let Some((_, new)) = free.find(|(new, _)| same(old, *new)) {
            all.push((name.to_string(), new.to_string()));
        }
    }
    all
}

fn replace(name: &mut String, old: &str, new: &str) {
    if name == old {
        *name = new.to_string();
    }
}

/// Moves a memory. What is under way for the old name comes back by that, and to nobody: `part` ends the wait for it.
fn rekey<K: Ord + Clone, V>(map: &mut Map<K, V>, old: &K, new: &K, part: &mut dyn FnMut(&mut V)) {
    if let Some(mut value) = map.remove(old) {
        part(&mut value);
        map.insert(new.clone(), value);
    }
}

fn records(state: &mut State, old: &str, new: &str) {
    let mine = |id: &RecordId| id.record == old;
    let flying = |id: &RecordId| {
        let mut jobs = state.accounts.values().filter_map(|account| account.in_flight.as_ref());
        jobs.any(|job| job.records.iter().any(|(other, _)| other == id))
    };
    let ids: Vec<(RecordId, bool)> =
        state.records.keys().filter(|id| mine(id)).map(|id| (id.clone(), flying(id))).collect();
    for (id, flying) in ids {
        let Some(mut memory) = state.records.remove(&id) else { continue };
        if flying {
            memory.known = Known::Unknown;
        }
        if memory.seen == Seen::Asking {
            memory.seen = Seen::No;
        }
        state.records.insert(RecordId { record: new.to_string(), ..id }, memory);
    }
}

/// Takes in which records are other ones now. They rest no more for their own sake. Where the service is told something
/// else than before, it is looked at anew what is there, and a job that was begun before satisfies nothing.
pub(super) fn records_changed(state: &mut State, before: &Config, now: &Config) {
    for record in now.records.iter().filter(|record| !before.records.contains(record)) {
        let old = before.records.iter().find(|old| old.name == record.name);
        let retold = old.is_none_or(|old| !same_job(old, record));
        for id in ids(record) {
            if let Some(memory) = state.records.get_mut(&id) {
                memory.retry = None;
                if retold {
                    (memory.known, memory.seen) = (Known::Unknown, Seen::No);
                }
            }
            let jobs = state.accounts.values_mut().filter_map(|account| account.in_flight.as_mut());
            jobs.filter(|_| retold).for_each(|job| job.records.retain(|(other, _)| *other != id));
        }
    }
}
