//! Records of services that take unused names away: what is unchanged for long is sent once more. That counts in days
//! and outlives the boot, so it is the one thing that goes by the wall clock.

use super::account::account_key;
use crate::config::{Config, Record};
use crate::model::{Now, RecordId, Time};
use crate::provider::CLOCK_FLOOR;
use crate::state::{Known, RecordState, State};
use std::time::Duration;

const DAY: u64 = 86_400;
/// How far flash may be behind at least.
const WEEK: u64 = 7 * DAY;
/// A machine that has been up for so long has its clock set, if it ever will.
const SETTLED: Duration = Duration::from_secs(3600);

/// When an unchanged record is to be sent once more; `None`: not as far as can be told now.
pub fn due(record: &Record, memory: &RecordState, now: Now) -> Option<Time> {
    let sent = memory.sent_at.filter(|_| !record.refresh.is_zero() && now.wall >= CLOCK_FLOOR)?;
    let over = now.wall.saturating_sub(sent);
    Some(now.boot.plus(record.refresh.saturating_sub(Duration::from_secs(over))))
}

/// Notes that a record was sent, or found right, if that matters for it. By a clock that was never set nothing is noted.
pub fn sent(record: &Record, memory: &mut RecordState, wall: u64) {
    memory.sent_at = (!record.refresh.is_zero() && wall >= CLOCK_FLOOR).then_some(wall).or(memory.sent_at);
}

/// Has the days begin to count for records of which it is not known when they were sent: they are right, and that is all.
/// What was sent in the future was sent by a clock that was wrong, unless it is now; then nothing is known either.
pub fn observe(config: &Config, state: &mut State, now: Now) {
    for record in config.records.iter().filter(|record| !record.refresh.is_zero()) {
        let key = account_key(record);
        for id in super::publish::ids(record) {
            let Some(memory) = state.records.get_mut(&id).filter(|memory| memory.account == key) else {
                continue;
            };
            let ahead = memory.sent_at.is_some_and(|at| at > now.wall.saturating_add(DAY));
            let right = matches!(memory.known, Known::Published(_) | Known::Remembered(_));
            if right && (memory.sent_at.is_none() || ahead && now.boot >= Time::default().plus(SETTLED)) {
                sent(record, memory, now.wall);
            }
        }
    }
}

/// Whether what flash remembers is too old for these records: it does not know one of them, or it is behind by a third
/// of the time after which that is sent again, and by a week. So flash is written once a week at the most, however often
/// the address changes. After a restart it is sent early at the most, never late.
/// What is sent then is written, if its time is a week or more.
pub fn is_owed(config: &Config, state: &State, kept: &State) -> bool {
    let flying = state.accounts.values().any(|account| account.in_flight.is_some());
    // All of them at once, when it is known how the jobs under way end.
    !flying
        && config.records.iter().filter(|record| !record.refresh.is_zero()).any(|record| {
            let key = account_key(record);
            let behind = (record.refresh.as_secs() / 3).max(WEEK);
            let sent = |state: &State, id: &RecordId| {
                state.records.get(id).filter(|memory| memory.account == key).and_then(|memory| memory.sent_at)
            };
            super::publish::ids(record).any(|id| match (sent(state, &id), sent(kept, &id)) {
                (Some(now), Some(then)) => now.abs_diff(then) >= behind,
                (now, _) => now.is_some(),
            })
        })
}
