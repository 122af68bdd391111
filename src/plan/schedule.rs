//! `option schedule`: whether a mapping may be open by the clock, and when that changes. It fails closed: without a
//! clock that is set, or a time zone that is understood, nothing of it is open.

use super::mapping::{refuse, Refusal};
use crate::config::schedule::{clock_time, Schedule};
use crate::config::Mapping;
use crate::model::{Now, Time, TimeZone, World};
use crate::provider::CLOCK_FLOOR;
use crate::wire::tz::Zone;

/// Whether its schedule lets a mapping be open now.
pub(super) fn gate(mapping: &Mapping, world: &World, now: Now) -> Result<(), Refusal> {
    let Some(schedule) = &mapping.schedule else { return Ok(()) };
    let (zone, unix) = clock(world, now).or_else(refuse)?;
    if schedule.is_open(zone, unix) {
        return Ok(());
    }
    match schedule.next_change(zone, unix) {
        Some(at) => {
            let why = format!("by its schedule until {}", clock_time(zone, at));
            Err((Some(moment(now, at)), why))
        }
        None => refuse("by its schedule for more than a week"),
    }
}

/// When to look again at a mapping that its schedule lets be open now.
pub(super) fn closes_at(mapping: &Mapping, world: &World, now: Now) -> Option<Time> {
    let (zone, unix) = clock(world, now).ok()?;
    Some(moment(now, mapping.schedule.as_ref()?.next_change(zone, unix)?))
}

/// Whether a mapping is closed because its schedule says so, and for no other reason of the schedule's.
pub fn rests(mapping: &Mapping, world: &World, now: Now) -> bool {
    let is_closed =
        |schedule: &Schedule| clock(world, now).is_ok_and(|(zone, unix)| !schedule.is_open(zone, unix));
    mapping.schedule.as_ref().is_some_and(is_closed)
}

/// Whether the clock is not set yet, so that a mapping that may be open soon is closed.
pub(super) fn waits_for_clock(mapping: &Mapping, now: Now) -> bool {
    mapping.schedule.is_some() && now.wall < CLOCK_FLOOR
}

/// The time zone and Unix time.
///
/// # Errors
/// Why there is no telling what the time is.
fn clock(world: &World, now: Now) -> Result<(&Zone, i64), String> {
    let zone = match &world.zone {
        TimeZone::Known(zone) => zone,
        TimeZone::Bad(why) => {
            return Err(format!(
                "its schedule cannot be kept, as /etc/TZ is no POSIX time zone ({why}): set the router's time zone"
            ))
        }
    };
    match i64::try_from(now.wall) {
        Ok(unix) if now.wall >= CLOCK_FLOOR => Ok((zone, unix)),
        _ => Err("its schedule cannot be kept before the clock is set: look whether NTP works".into()),
    }
}

/// The moment of a Unix time that lies ahead. The clock's seconds are whole, so it is up to one late, never early.
fn moment(now: Now, unix: i64) -> Time {
    let seconds = u64::try_from(unix).unwrap_or(0).saturating_sub(now.wall);
    Time(now.boot.0.saturating_add(seconds.saturating_mul(1000)))
}
