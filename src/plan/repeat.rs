//! Failures that repeat: which of them are told, so that a month without a service is a page of the log.

use crate::map::Map;
use crate::model::{Now, Time};
use crate::sign::stamp;
use std::time::Duration;

/// What still fails after this is told again, with how often ...
const FIRST: Duration = Duration::from_secs(3600);
/// ... and from then on once in this time.
const THEN: Duration = Duration::from_secs(86_400);
/// What has not failed for so long, though nobody said that it is well, begins anew.
const OVER: Duration = Duration::from_secs(12 * 3600);

/// Series of failures that are not over, by what fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeats(Map<String, Series>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Series {
    /// Of these each was told once.
    classes: Vec<&'static str>,
    /// Unix seconds.
    since: u64,
    count: u32,
    last: Time,
    next: Time,
}

impl Repeats {
    /// Takes in that something failed, in this way. Returns what to add when it is told; `None`: it was told already.
    pub fn failed(&mut self, what: &str, class: &'static str, now: Now) -> Option<String> {
        let series = self.0.entry(what.to_string()).or_default();
        if series.count == 0 || now.boot.since(series.last) >= OVER {
            let (classes, since, next) = (vec![class], now.wall, now.boot.plus(FIRST));
            *series = Series { classes, since, count: 1, last: now.boot, next };
            return Some(String::new());
        }
        series.count = series.count.saturating_add(1);
        series.last = now.boot;
        if !series.classes.contains(&class) {
            series.classes.push(class);
            return Some(String::new());
        }
        if now.boot < series.next {
            return None;
        }
        series.next = now.boot.plus(THEN);
        Some(format!(" ({})", series.so_far()))
    }

    /// Takes in that something is well. Returns what to add when that is told: how often it was not, if more than once.
    pub fn ended(&mut self, what: &str) -> String {
        match self.0.remove(what) {
            Some(series) if series.count > 1 => format!(" (before that {})", series.so_far()),
            _ => String::new(),
        }
    }

    /// Forgets everything: what fails by a new configuration is told anew.
    pub fn forget(&mut self) {
        self.0 = Map::new();
    }
}

impl Series {
    fn so_far(&self) -> String {
        let same = if self.classes.len() == 1 { "the same" } else { "one of these failures" };
        let mut since = stamp(self.since, true);
        // Minutes will do.
        since.truncate("2026-01-02T03:04".len());
        format!("{same} {} times since {}Z", self.count, since.replace('T', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Now {
        Now { boot: Time(minutes * 60_000), wall: 1_767_323_000 + minutes * 60 }
    }

    #[test]
    fn what_repeats_is_told_after_an_hour_and_then_daily() {
        let mut repeats = Repeats::default();
        let told = |repeats: &mut Repeats, minutes| repeats.failed("x", "busy", at(minutes));
        assert_eq!(told(&mut repeats, 0).as_deref(), Some(""));
        let minutes: Vec<u64> =
            (1..3 * 1440).filter(|minutes| told(&mut repeats, *minutes).is_some()).collect();
        assert_eq!(minutes, [60, 1500, 2940]);
        let last = told(&mut repeats, 3 * 1440 + 60).unwrap();
        assert_eq!(last, " (the same 4321 times since 2026-01-02 03:03Z)");
        assert_eq!(repeats.ended("x"), " (before that the same 4321 times since 2026-01-02 03:03Z)");
        assert_eq!((repeats.ended("x").as_str(), repeats.ended("y").as_str()), ("", ""));
    }

    #[test]
    fn each_way_of_failing_is_told_once_in_a_series() {
        let mut repeats = Repeats::default();
        let ways = ["busy", "unreachable", "busy", "unreachable", "garbled"];
        let told: Vec<bool> = ways
            .iter()
            .zip(0..)
            .map(|(way, minute)| repeats.failed("x", way, at(minute)).is_some())
            .collect();
        assert_eq!(told, [true, true, false, false, true]);
        assert_eq!(
            repeats.ended("x"),
            " (before that one of these failures 5 times since 2026-01-02 03:03Z)"
        );
        assert!(repeats.failed("x", "busy", at(6)).is_some(), "a new series");
        assert_eq!(repeats.ended("x"), "", "once is no series");
    }

    #[test]
    fn a_series_that_nobody_ends_is_over_after_half_a_day() {
        let mut repeats = Repeats::default();
        for day in 0..5 {
            assert_eq!(repeats.failed("x", "busy", at(day * 1440)).as_deref(), Some(""), "day {day}");
        }
    }
}
