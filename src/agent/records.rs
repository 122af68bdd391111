//! Takes in what became of records, and tells it: one line a change, with its number.

use super::report::random;
use super::Agent;
use crate::act::publish::Effort;
use crate::act::readback::Confirmed;
use crate::map::Map;
use crate::model::{millis, Now, RecordId};
use crate::plan::publish::{wish, Wish};
use crate::plan::settle::{self, End};
use crate::plan::{notify, LookJob, PublishJob};
use crate::provider::{self, Failure, Kind, Outcome, Verdicts, Wanted};
use crate::state::{kind_word, Known, Seen};
use crate::status::BEHIND_PROXY;
use log::Level;
use std::net::IpAddr;
use std::time::Duration;

impl Agent {
    /// Tells at level trace which records wait, and for what.
    pub(crate) fn trace_waiting(&self) {
        if !log::log_enabled!(Level::Trace) {
            return;
        }
        for record in &self.config.records {
            for family in &record.families {
                if let Wish::Wait(why) = wish(&self.config, &self.world, &self.state, record, *family) {
                    log::trace!("record {}: {family} is left as it is: {why}", record.name);
                }
            }
        }
    }

    pub(crate) fn say_publishing(&self, change: u64, wanted: &Wanted) {
        let known = self.state.records.get(&wanted.id).map(|memory| memory.known);
        if known == Some(Known::Published(wanted.addr)) {
            let text = "is right, and sent once more: unused names are taken away there (option refresh)";
            return self.info(&format_args!("#{change} {} {text}", wanted.id));
        }
        let before = match known {
            Some(Known::Published(addr) | Known::Remembered(addr)) => addr.to_string(),
            _ => "unknown".into(),
        };
        self.debug(&format_args!("#{change} {}: {before} -> {}", wanted.id, wanted.addr));
    }

    pub(crate) fn published(
        &mut self,
        job: &PublishJob,
        memo: Map<String, String>,
        result: Result<Verdicts, Failure>,
        effort: Effort,
        now: Now,
    ) {
        let flying = self.state.accounts.get(&job.account).and_then(|account| account.in_flight.as_ref());
        let change =
            flying.filter(|f| f.generation == job.generation).map_or(self.state.change, |f| f.change);
        let entry = self.record(&job.record).and_then(|record| provider::find(&record.provider));
        let floor = Duration::from_secs(entry.map_or(0, |entry| entry.floor.into()));
        let end = End {
            now,
            floor,
            random: random(),
            requests: effort.requests,
            last_request: effort.last_request,
        };
        let clock_is_told = self.waits_for_clock(&job.account);
        let verdicts = settle::published(&mut self.state, &self.config, job, memo, result, end);
        let mut told = Vec::new();
        for (id, verdict) in verdicts {
            let Some(addr) = job.records.iter().find(|w| w.id == id).map(|w| w.addr) else { continue };
            match verdict {
                Ok(outcome) => self.record_right(change, &id, addr, &outcome, effort, now),
                Err(failure) if told.contains(&failure) => {}
                Err(failure) if failure.kind == Kind::Clock && clock_is_told => {
                    self.debug(&format_args!("#{change} {id}: {failure}"));
                }
                Err(failure) => {
                    self.record_failed(change, job, &id, &failure, now);
                    told.push(failure);
                }
            }
        }
    }

    /// Whether the last try of an account failed for the clock: that is said once, not at each look whether the
    /// clock was set meanwhile.
    fn waits_for_clock(&self, account: &str) -> bool {
        let retry = self.state.accounts.get(account).and_then(|account| account.retry.as_ref());
        retry.is_some_and(|retry| retry.failure.kind == Kind::Clock)
    }

    fn record_right(
        &mut self,
        change: u64,
        id: &RecordId,
        addr: IpAddr,
        outcome: &Outcome,
        effort: Effort,
        now: Now,
    ) {
        let (ms, what) = (millis(effort.took), id.to_string());
        if *outcome == Outcome::Unchanged {
            return self.works(&what, &format_args!("#{change} {id}: {addr} is published already ({ms} ms)"));
        }
        let text = format!("{id}: {addr} published in {ms} ms");
        self.works(&what, &format_args!("#{change} {text}"));
        self.state.remember(change, now.wall, text);
        notify::changed(&mut self.state.told, &self.config, id, addr, now.boot);
        if *outcome == Outcome::UpdatedBehindProxy {
            // A read-back of an older change would look for what DNS does not show.
            self.confirming.remove(id);
            self.info(&format_args!("#{change} {id}: {BEHIND_PROXY}"));
        } else {
            self.start_confirm(id.clone(), addr, change);
        }
    }

    fn record_failed(&mut self, change: u64, job: &PublishJob, id: &RecordId, failure: &Failure, now: Now) {
        let account = self.state.accounts.get(&job.account).and_then(|account| account.retry.as_ref());
        let retry = self.state.records.get(id).and_then(|memory| memory.retry.as_ref()).or(account);
        let next = match retry.map(|retry| retry.next) {
            Some(Some(at)) => {
                let wait = at.since(now.boot);
                format!("next try in {}.{} s", wait.as_secs(), wait.subsec_millis() / 100)
            }
            Some(None) => "it rests until the configuration changes".into(),
            None => "next try soon".into(),
        };
        let what = match job.records.len() {
            1 => id.to_string(),
            n => format!("{id} (and others of {n})"),
        };
        let text = format!("#{change} {what}: {failure}; {next}");
        self.fails(&id.to_string(), kind_word(failure.kind), &text, now);
    }

    pub(crate) fn looked(
        &mut self,
        job: &LookJob,
        answers: Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>,
        now: Now,
    ) {
        self.looking.remove(&job.account);
        for (id, answer) in &answers {
            match answer {
                Ok(addrs) if addrs.is_empty() => self.debug(&format_args!("{id}: nothing is published")),
                Ok(addrs) => {
                    let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                    self.debug(&format_args!("{id}: {} is published", addrs.join(" and ")));
                }
                Err(failure) => {
                    let (what, class) = (format!("look {id}"), kind_word(failure.kind));
                    let text = &format_args!("{id}: what is published could not be told: {failure}");
                    self.fails(&what, class, text, now);
                }
            }
        }
        let none = Duration::ZERO;
        let end = End { now, floor: none, random: random(), requests: 0, last_request: none };
        settle::looked(&mut self.state, &self.config, job, answers, end);
    }

    pub(crate) fn confirmed(
        &mut self,
        id: &RecordId,
        addr: IpAddr,
        change: u64,
        result: Result<Confirmed, Failure>,
    ) {
        self.confirming.remove(id);
        let Some(memory) = self.state.records.get_mut(id).filter(|m| m.known == Known::Published(addr))
        else {
            return;
        };
        match result {
            Ok(seen) => {
                memory.seen = Seen::After(seen.took);
                let (ms, count) = (millis(seen.took), seen.servers);
                self.info(&format_args!(
                    "#{change} {id}: seen at {count} of the zone's name servers after {ms} ms"
                ));
            }
            Err(failure) => {
                memory.seen = Seen::Unconfirmed(failure.text.clone());
                self.warn(&format_args!(
                    "#{change} {id}: could not confirm that {addr} is published: {}",
                    failure.text
                ));
            }
        }
    }
}
