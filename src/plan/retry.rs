//! When to try again: back-off with jitter, the service's own waiting times, what ends a wait early, and
//! how many requests a failing account may be sent whatever happens.

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

/// The most requests that a failing account is sent in any [`WINDOW`], whatever heals meanwhile. A try
/// of several requests (look, then write) counts each.
const MOST: u32 = 6;
/// See [`MOST`].
const WINDOW: Duration = Duration::from_secs(120);
/// The wait is no longer than this only to keep room for one more try, which a healing signal may call for.
const RESERVE: Duration = Duration::from_secs(60);

/// The failed tries of an account in the last [`WINDOW`]: when each made its last request, and how many it
/// made; oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(Vec<(Time, u32)>);

impl Spent {
    /// Adds a failed try, and forgets what is too old to matter.
    pub fn add(&mut self, last: Time, requests: u32) {
        self.0.retain(|(at, _)| at.plus(WINDOW) > last);
        self.0.push((last, requests));
    }

    /// From when on so many more requests keep within [`MOST`].
    fn room(&self, more: u32) -> Time {
        let mut sum = self.0.iter().fold(more, |sum, (_, requests)| sum.saturating_add(*requests));
        let mut from = Time::default();
        for (at, requests) in &self.0 {
            if sum <= MOST {
                break;
            }
            sum = sum.saturating_sub(*requests);
            from = at.plus(WINDOW);
        }
        from
    }
}

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
    /// How many requests it made; the next one is taken to make as many.
    pub requests: u32,
}

/// The next state of a series of failures. `spent` holds this attempt already.
pub fn after(previous: Option<&Retry>, failure: Failure, attempt: Attempt, spent: &Spent) -> Retry {
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
    let cost = attempt.requests.max(1);
    let floor = spent.room(cost);
    let kept = spent.room(cost.saturating_mul(2)).min(attempt.ended.plus(RESERVE));
    let next = next.map(|next| next.max(floor).max(kept));
    Retry { failure, tries, since, started: attempt.started, next, floor }
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
    wait * 4 / 5 + wait / 5 * random / u32::MAX
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
        Some(at) if at > retry.started => Some(next.min(at.max(retry.started.plus(gap)).max(retry.floor))),
        _ => Some(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(at: u64, random: u32) -> Attempt {
        Attempt { started: Time(at), ended: Time(at), floor: Duration::ZERO, random, requests: 1 }
    }

    fn after(previous: Option<&Retry>, failure: Failure, attempt: Attempt) -> Retry {
        super::after(previous, failure, attempt, &Spent::default())
    }

    /// The waits after one failure and the next, in seconds rounded up, each try of so many requests.
    fn series(kind: Kind, random: u32, requests: u32, count: usize) -> Vec<u64> {
        let (mut now, mut retry, mut waits) = (1_000_000, None, Vec::new());
        let mut spent = Spent::default();
        for _ in 0..count {
            spent.add(Time(now), requests);
            let attempt = Attempt { requests, ..attempt(now, random) };
            let next = super::after(retry.as_ref(), Failure::new(kind, "x"), attempt, &spent);
            let at = next.next.unwrap().0;
            waits.push((at - now).div_ceil(1000));
            (now, retry) = (at, Some(next));
        }
        waits
    }

    #[test]
    fn transient_errors_back_off() {
        let all = series(Kind::Unreachable, u32::MAX, 1, 16);
        assert_eq!(all, [5, 10, 20, 40, 60, 60, 60, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        let fast: u64 = series(Kind::Busy, 0, 1, 6).iter().sum();
        assert!(fast >= 120, "a seventh request within two minutes: {fast}");
    }

    #[test]
    fn tries_of_several_requests_are_rarer_but_none_waits_more_than_a_minute() {
        for (requests, tries) in [(2, 3), (3, 2)] {
            for random in [0, u32::MAX / 2, u32::MAX] {
                let waits = series(Kind::Busy, random, requests, 8);
                assert!(waits.iter().all(|wait| *wait <= 60), "{requests} requests: {waits:?}");
                for window in waits.windows(tries) {
                    assert!(window.iter().sum::<u64>() >= 120, "{requests} requests: {waits:?}");
                }
            }
        }
        assert_eq!(series(Kind::Busy, u32::MAX, 2, 4), [5, 60, 60, 60]);
        assert_eq!(series(Kind::Busy, u32::MAX, 7, 2), [120, 120], "a try that is too much by itself");
    }

    #[test]
    fn healing_again_and_again_makes_no_storm() {
        let (mut spent, mut retry, mut tries) = (Spent::default(), None, Vec::new());
        // The link flaps every second for ten minutes.
        for now in (0..600).map(|second| second * 1000) {
            let world = World { healed: Some(Time(now)), ..World::default() };
            if retry.as_ref().is_none_or(|retry| due(retry, &world) <= Some(Time(now))) {
                tries.push(now);
                spent.add(Time(now), 1);
                let failure = Failure::new(Kind::Unreachable, "x");
                retry = Some(super::after(retry.as_ref(), failure, attempt(now, 0), &spent));
            }
        }
        assert!(tries.len() > 20, "{tries:?}");
        assert!(tries.windows(7).all(|window| window[6] - window[0] >= 120_000), "{tries:?}");
    }

    #[test]
    fn the_back_off_leaves_room_for_healing() {
        let (mut spent, mut retry, mut now) = (Spent::default(), None::<Retry>, 0);
        for _ in 0..20 {
            spent.add(Time(now), 1);
            let next =
                super::after(retry.as_ref(), Failure::new(Kind::Unreachable, "x"), attempt(now, 0), &spent);
            assert!(next.floor <= Time(now), "at {now}: {next:?}");
            now = next.next.unwrap().0;
            retry = Some(next);
        }
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
