//! What is known of the records and of their accounts, and the state file's lines of it.

use super::text::{time, Lines};
use super::{kind_of, kind_word, State};
use crate::map::Map;
use crate::model::{Family, RecordId, Time};
use crate::plan::retry::Spent;
use crate::provider::Failure;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

/// Stands for the next try where there is none.
const REST: &str = "rest";

/// What is known of the published value of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing: ask before writing.
    #[default]
    Unknown,
    /// It was so when the agent last ran. Good enough to send nothing, not to write unasked.
    Remembered(IpAddr),
    /// Asked: something else is published, or nothing, or it could not be told. May be written.
    Differs,
    /// We published it, or found it so.
    Published(IpAddr),
}

/// What the zone's name servers said after our last write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Not asked.
    #[default]
    No,
    /// Being asked.
    Asking,
    /// Not asked: they show the addresses of the service's proxy.
    Proxied,
    /// All of them answered the new address, this long after the write.
    After(Duration),
    /// Given up, with the reason.
    Unconfirmed(String),
}

/// One record's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordState {
    /// The account that the rest of this is about, see [`crate::plan::account::account_key`].
    pub account: String,
    /// What is published.
    pub known: Known,
    /// When we last changed it, Unix seconds.
    pub changed_at: Option<u64>,
    /// When a job with it last went well, Unix seconds, or since when it is known to be right. Only of records that are
    /// sent once more though nothing changed.
    pub sent_at: Option<u64>,
    /// Read-back of the last change.
    pub seen: Seen,
    /// When the last job with it was started, for the debounce window.
    pub last_start: Option<Time>,
    /// A failure of this record alone.
    pub retry: Option<Retry>,
}

/// One account's memory: at most one job in flight, one back-off for all its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountState {
    /// Number of the last job started.
    pub generation: u64,
    /// The running job.
    pub in_flight: Option<InFlight>,
    /// A failure that concerns every record of the account (the circuit breaker).
    pub retry: Option<Retry>,
    /// What failed tries cost lately.
    pub spent: Spent,
    /// What the provider learnt (zone ids).
    pub memo: Map<String, String>,
}

/// A running job.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlight {
    /// Its generation.
    pub generation: u64,
    /// Its change number.
    pub change: u64,
    /// When it was started.
    pub since: Time,
    /// What it is about, with the address wanted (`None` for a look).
    pub records: Vec<(RecordId, Option<IpAddr>)>,
}

/// A failure and when to try again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Class, words and the service's own waiting time.
    pub failure: Failure,
    /// How often in a row it failed in a way that counts.
    pub tries: u32,
    /// When the series of failures began.
    pub since: Time,
    /// When the failed attempt was started: what healed after that ends the wait.
    pub started: Time,
    /// Next try; `None`: rests until the config changes or a person asks.
    pub next: Option<Time>,
    /// Nothing that heals ends the wait before this: the account had its requests.
    pub floor: Time,
}

impl Retry {
    /// Reads the fields that say one: class, tries, beginning, start, next try, words.
    pub(super) fn read(fields: &[&str]) -> Option<Retry> {
        let [kind, tries, since, started, next, text] = fields else { return None };
        Some(Retry {
            failure: Failure::new(kind_of(kind)?, *text),
            tries: tries.parse().ok()?,
            since: time(since)?,
            started: time(started)?,
            next: if *next == REST { None } else { Some(time(next)?) },
            floor: Time::default(),
        })
    }
}

impl State {
    /// Adds the lines of the records. What is in flight is written as unknown.
    pub(super) fn add_records(&self, lines: &mut Lines) {
        for (id, record) in &self.records {
            if let (false, Known::Published(addr) | Known::Remembered(addr)) =
                (self.is_being_written(id), record.known)
            {
                let at = record.changed_at.unwrap_or(0);
                let (rtype, account) = (id.family.rtype(), &record.account);
                lines.add(&[&"record", &id.record, &id.domain, &rtype, account, &addr, &at]);
            }
            add_sent(lines, id, record);
            if let Some(Retry { failure, next: None, .. }) = &record.retry {
                let (rtype, kind) = (id.family.rtype(), kind_word(failure.kind));
                lines.add(&[&"rest", &id.record, &id.domain, &rtype, &record.account, &kind, &failure.text]);
            }
        }
    }

    /// Whether a job with this record is under way that may change it.
    fn is_being_written(&self, id: &RecordId) -> bool {
        let mut flying = self.accounts.values().filter_map(|account| account.in_flight.as_ref());
        flying.any(|job| job.records.iter().any(|(other, wanted)| other == id && wanted.is_some()))
    }

    /// Adds the lines of the accounts.
    pub(super) fn add_accounts(&self, lines: &mut Lines) {
        for (key, account) in &self.accounts {
            for (name, value) in &account.memo {
                lines.add(&[&"memo", key, name, value]);
            }
            if let Some(Retry { failure, tries, since, started, next, .. }) = &account.retry {
                let kind = kind_word(failure.kind);
                let next: &dyn Display = next.as_ref().map_or(&REST, |at| &at.0);
                lines.add(&[&"account", key, &kind, tries, &since.0, &started.0, next, &failure.text]);
            }
        }
    }

    /// Reads a line that begins with the kind, the record, its name and type, and its account.
    pub(super) fn read_record(&mut self, fields: &[&str]) -> Option<()> {
        let [kind, record, domain, rtype, account, rest @ ..] = fields else { return None };
        let family = Family::BOTH.into_iter().find(|family| family.rtype() == *rtype)?;
        let id = RecordId { record: (*record).into(), domain: (*domain).into(), family };
        let memory = self.records.entry(id).or_default();
        memory.account = (*account).to_string();
        match (*kind, rest) {
            ("record", [addr, at]) => {
                memory.known = Known::Remembered(addr.parse().ok()?);
                memory.changed_at = at.parse().ok().filter(|at| *at != 0);
            }
            ("sent", [at]) => memory.sent_at = Some(at.parse().ok()?),
            ("rest", [kind, text]) => memory.retry = Some(Retry::read(&[kind, "1", "0", "0", REST, text])?),
            _ => return None,
        }
        Some(())
    }

    /// Reads the fields behind the kind of an account's line. A wait for a moment of another boot is over.
    pub(super) fn read_account(&mut self, key: &str, fields: &[&str], same_boot: bool) -> Option<()> {
        let retry = Retry::read(fields)?;
        let account = self.accounts.entry(key.to_string()).or_default();
        if same_boot || retry.next.is_none() {
            account.retry = Some(retry);
        }
        Some(())
    }
}

/// Adds the line that says when a record was sent.
pub(super) fn add_sent(lines: &mut Lines, id: &RecordId, record: &RecordState) {
    if let Some(at) = &record.sent_at {
        lines.add(&[&"sent", &id.record, &id.domain, &id.family.rtype(), &record.account, at]);
    }
}
