//! Asks the providers, by reading only: each one's own function runs as for an update, and the first request that would
//! write something is not sent.

use crate::act::publish::Outside;
use crate::agent::draw;
use crate::config::Record;
use crate::doctor::names::Answer;
use crate::doctor::Facts;
use crate::model::RecordId;
use crate::plan::account::{account_key, same_job};
use crate::provider::{self, Entry, Failure, Job, Kind, Outcome, Request, Wanted};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The most questions to one account.
const MAX_QUESTIONS: u32 = 20;
/// The longest time for one account.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest time for one question.
const QUESTION: Duration = Duration::from_secs(8);
/// The longest time for all accounts.
const ALL: Duration = Duration::from_secs(60);
/// What a request is answered that would write.
const STOPPED: &str = "the doctor does not write";
/// What one is answered that would be too many, or too late: that says nothing of the provider.
const ENOUGH: &str = "the doctor has asked enough";

/// What each wanted record's provider says of it.
pub fn ask(facts: &Facts, outside: &Outside, tell: &dyn Fn(&str)) -> Vec<(RecordId, Answer)> {
    let mut left = facts.wanted();
    let mut answers = Vec::new();
    let end = Instant::now() + ALL;
    while let Some(first) = left.first().map(|(record, ..)| *record) {
        let one_job = |record: &Record| account_key(record) == account_key(first) && same_job(record, first);
        let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|(record, ..)| one_job(record));
        left = later;
        tell(&format!("asking {}", first.provider));
        let wanted: Vec<Wanted> = now.into_iter().map(|(_, id, addr)| Wanted { id, addr }).collect();
        match provider::find(&first.provider) {
            Some(entry) if entry.reads && Instant::now() < end => {
                answers.extend(one_account(facts, outside, entry, first, wanted))
            }
            _ => answers.extend(wanted.into_iter().map(|wanted| (wanted.id, Answer::Mute))),
        }
    }
    answers
}

fn one_account(
    facts: &Facts,
    outside: &Outside,
    entry: &Entry,
    record: &Record,
    records: Vec<Wanted>,
) -> Vec<(RecordId, Answer)> {
    let mut nonce = [0; 16];
    draw(&mut nonce);
    let ids: Vec<(RecordId, IpAddr)> =
        records.iter().map(|wanted| (wanted.id.clone(), wanted.addr)).collect();
    let mut job = Job {
        zone: record.zone.clone(),
        ttl: record.ttl,
        options: record.options.clone(),
        records,
        now: facts.now.wall,
        nonce,
        memo: Default::default(),
    };
    let until = Instant::now() + LIMIT;
    let mut asked = 0;
    let mut ask = |request: Request| {
        let writes = match &request {
            Request::Http(http) => http.write,
            Request::Dns(dns) => dns.write,
        };
        if writes {
            return Err(Failure::new(Kind::Refused, STOPPED).unsent());
        }
        asked += 1;
        let left = until.saturating_duration_since(Instant::now());
        if asked > MAX_QUESTIONS || left.is_zero() {
            return Err(Failure::new(Kind::Unreachable, ENOUGH).unsent());
        }
        outside.ask(&request, QUESTION.min(left))
    };
    let result = entry.update(&mut job, &mut ask);
    let answer = |verdict: &Result<Outcome, Failure>| match verdict {
        Ok(_) => Answer::Right,
        Err(failure) if failure.text.contains(STOPPED) => Answer::Writes,
        Err(failure) if failure.text.contains(ENOUGH) => Answer::Mute,
        Err(failure) => Answer::Failed(failure.clone()),
    };
    let of = |(id, _): (RecordId, IpAddr)| {
        let told = match &result {
            Err(failure) => answer(&Err(failure.clone())),
            Ok(verdicts) => {
                verdicts.iter().find(|(told, _)| *told == id).map_or(Answer::Mute, |(_, v)| answer(v))
            }
        };
        (id, told)
    };
    ids.into_iter().map(of).collect()
}
