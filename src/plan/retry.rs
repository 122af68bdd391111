//! When to try again: back-off with jitter, the service's own waiting times, and what ends a wait early.

use crate::model::{Time, World};
use crate::provider::{Failure, Kind};
use crate::state::Retry;
use std::time::Duration;

/// Seconds to wait after the first, second, ... failure in a row; then doubling up to [`LONGEST`]. They
/// stay at 60 s for the first five minutes: whoever repairs something by hand is not kept waiting.
const STEPS: [u64; 8] = [5, 10, 20, 40, 60, 60, 60, 60];
/// The longest wait of our own.
const LONGEST: u64 = 3600;
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(24 * 3600);
/// While this machine is not ready, nothing leaves it: a look now and then costs the provider nothing.
const NOT_READY_STEPS: [u64; 5] = [1, 2, 5, 10, 30];
/// Healing signals end the first wait at once, those after it not more often than this.
const HEAL_GAP: Duration = Duration::from_secs(1);

/// What the failed attempt looked like, besides the failure.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When it was started.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
    /// The provider's shortest time to the next try after it answered.
    pub floor: Duration,
    /// Any number; spreads many routers over the last fifth of the wait.
    pub random: u32,
}

/// The next state of a series of failures.
pub fn after(previous: Option<&Retry>, failure: Failure, attempt: Attempt) -> Retry {
    let since = previous.map_or(attempt.started, |retry| retry.since);
    let before = previous.map_or(0, |retry| retry.tries);
    let ours = failure.kind == Kind::NotReady;
    let tries = if ours { before } else { before.saturating_add(1) };
    let next = match failure.kind {
        Kind::Credentials | Kind::NoSuchName | Kind::Refused => None,
        Kind::NotReady => {
            let again = previous.filter(|retry| retry.failure.kind == Kind::NotReady);
            let waited = again.map_or(0, |retry| attempt.started.since(retry.since).as_secs());
            Some(attempt.ended.plus(Duration::from_secs(not_ready_step(waited))))
        }
        _ => Some(attempt.ended.plus(wait(tries, &failure, attempt))),
    };
    Retry { failure, tries, since, started: attempt.started, next }
}

fn not_ready_step(waited: u64) -> u64 {
    NOT_READY_STEPS.iter().copied().find(|step| step * 3 > waited).unwrap_or(60)
}

fn wait(tries: u32, failure: &Failure, attempt: Attempt) -> Duration {
    let ours = jitter(back_off(tries), attempt.random);
    let answered = !matches!(failure.kind, Kind::Unreachable | Kind::Untrusted | Kind::Clock);
    let floor = if answered { attempt.floor } else { Duration::ZERO };
    let theirs = failure.retry_after.unwrap_or(Duration::ZERO).min(RETRY_AFTER_CAP);
    ours.max(floor).max(theirs)
}

/// The wait after this many failures in a row, before jitter.
fn back_off(tries: u32) -> Duration {
    let index = tries.saturating_sub(1) as usize;
    let seconds = STEPS.get(index).copied().unwrap_or_else(|| {
        let doublings = (index - STEPS.len() + 1).min(10) as u32;
        (60u64 << doublings).min(LONGEST)
    });
    Duration::from_secs(seconds)
}

/// Between four fifths and the whole of it: never longer than promised.
fn jitter(wait: Duration, random: u32) -> Duration {
    wait.mul_f64(0.8 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// When a failed thing is due again, given what has healed since. `None`: it rests.
pub fn due(retry: &Retry, world: &World) -> Option<Time> {
    let next = retry.next?;
    let healed_by = match retry.failure.kind {
        Kind::NotReady | Kind::Unreachable | Kind::Unconfirmed => world.healed,
        Kind::Clock | Kind::Untrusted => world.clock_set,
        _ => None,
    };
    let gap = if retry.tries > 1 { HEAL_GAP } else { Duration::ZERO };
    match healed_by {
        Some(at) if at > retry.started => Some(next.min(at.max(retry.started.plus(gap)))),
        _ => Some(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(at: u64, random: u32) -> Attempt {
        Attempt { started: Time(at), ended: Time(at), floor: Duration::ZERO, random }
    }

    fn series(kind: Kind, random: u32, count: usize) -> Vec<u64> {
        let (mut now, mut retry, mut waits) = (1_000_000, None, Vec::new());
        for _ in 0..count {
            let next = after(retry.as_ref(), Failure::new(kind, "x"), attempt(now, random));
            let at = next.next.unwrap().0;
            waits.push((at - now).div_ceil(1000));
            (now, retry) = (at, Some(next));
        }
        waits
    }

    #[test]
    fn transient_errors_back_off() {
        let all = series(Kind::Unreachable, u32::MAX, 16);
        assert_eq!(all, [5, 10, 20, 40, 60, 60, 60, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        let fast: u64 = series(Kind::Busy, 0, 6).iter().sum();
        assert!(fast >= 120, "a seventh request within two minutes: {fast}");
    }

    #[test]
    fn refusals_rest() {
        for kind in [Kind::Credentials, Kind::NoSuchName, Kind::Refused] {
            let retry = after(None, Failure::new(kind, "x"), attempt(0, 0));
            let world = World { healed: Some(Time(9)), clock_set: Some(Time(9)), ..World::default() };
            assert_eq!(due(&retry, &world), None);
        }
    }

    #[test]
    fn their_waiting_time_wins_and_healing_does_not_shorten_it() {
        let failure = Failure::new(Kind::Busy, "429").after(Duration::from_secs(90));
        let retry = after(None, failure, attempt(1000, 0));
        let world = World { healed: Some(Time(5000)), ..World::default() };
        assert_eq!(due(&retry, &world), Some(Time(91_000)));
        let floor = Attempt { floor: Duration::from_secs(600), ..attempt(0, 0) };
        assert_eq!(after(None, Failure::new(Kind::Busy, "911"), floor).next, Some(Time(600_000)));
        assert!(after(None, Failure::new(Kind::Unreachable, "x"), floor).next < Some(Time(6_000)));
    }

    #[test]
    fn healing_ends_a_transient_wait_but_not_more_than_once_a_second() {
        let healed = |at| World { healed: Some(Time(at)), ..World::default() };
        let first = after(None, Failure::new(Kind::Unreachable, "x"), attempt(5_000, 0));
        assert_eq!(due(&first, &healed(5_001)), Some(Time(5_001)));
        let retry = after(Some(&first), Failure::new(Kind::Unreachable, "x"), attempt(10_000, 0));
        assert_eq!(due(&retry, &healed(9_000)), retry.next);
        assert_eq!(due(&retry, &healed(10_200)), Some(Time(11_000)));
        assert_eq!(due(&retry, &healed(12_500)), Some(Time(12_500)));
    }

    #[test]
    fn our_own_unreadiness_does_not_count() {
        let first = after(None, Failure::new(Kind::Unreachable, "x"), attempt(0, 0));
        let second = after(Some(&first), Failure::new(Kind::NotReady, "x"), attempt(9_000, 0));
        assert_eq!((second.tries, second.next), (1, Some(Time(10_000))));
    }
}
