//! What the agent says of itself. [`View`] knows how things stand, [`View::to_json`] tells it as one JSON document, and
//! [`render`] makes of that document a screen for a person.    [pure]

mod json;
mod outside;
mod text;
mod tunnel;
mod verdict;
mod walk;
mod wan;

pub use text::render;
pub use verdict::{Reachable, Verdict};

use crate::config::{Config, Mapping, Problem, Record, Severity};
use crate::map::Map;
use crate::model::{Now, RecordId, World};
use crate::plan::account::account_key;
use crate::plan::mapping::{exposure, Exposure};
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::schedule::rests;
use crate::state::{Known, RecordState, Retry, State};
use std::net::IpAddr;

/// Why a published address is not confirmed by DNS.
pub const BEHIND_PROXY: &str = "behind Cloudflare's proxy, so DNS cannot show it";

/// All that a status is made of.
pub struct View<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// What is wrong with it, or with the one that was refused at the last reload.
    pub problems: &'a [Problem],
    /// Sensors that stopped and do not run yet again: by name, what to say.
    pub deaf: &'a Map<&'static str, String>,
    /// What was sensed.
    pub world: &'a World,
    /// What was done.
    pub state: &'a State,
    /// When.
    pub now: Now,
}

/// How one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Published as wanted.
    Right,
    /// To be published, or being so.
    Busy,
    /// Nothing to publish now: no public address of that family.
    Waiting,
    /// Failed; tried again or resting.
    Failing,
}

impl View<'_> {
    /// The record's memory, if it is about the account that is configured now.
    fn memory(&self, record: &Record, id: &RecordId) -> Option<&RecordState> {
        let key = account_key(record);
        self.state.records.get(id).filter(|memory| memory.account == key)
    }

    pub(crate) fn retry(&self, record: &Record, id: &RecordId) -> Option<&Retry> {
        let own = self.memory(record, id).and_then(|memory| memory.retry.as_ref());
        // What is right does not fail, whatever else of its account does.
        let accounts = || self.state.accounts.get(&account_key(record))?.retry.as_ref();
        own.or_else(|| accounts().filter(|_| !self.is_right(record, id)))
    }

    /// What is published, as far as it is known.
    pub(crate) fn published(&self, record: &Record, id: &RecordId) -> Option<IpAddr> {
        match self.memory(record, id)?.known {
            Known::Published(addr) | Known::Remembered(addr) => Some(addr),
            _ => None,
        }
    }

    fn is_right(&self, record: &Record, id: &RecordId) -> bool {
        let known = self.memory(record, id).map(|memory| memory.known);
        let wish = wish(self.config, self.world, self.state, record, id.family);
        matches!((known, wish), (Some(Known::Published(a) | Known::Remembered(a)), Wish::Address(b)) if a == b)
    }

    /// Whether a job that may change the record is under way, be it for an address that was wanted before.
    fn is_flying(&self, record: &Record, id: &RecordId) -> bool {
        let account = self.state.accounts.get(&account_key(record));
        let job = account.and_then(|account| account.in_flight.as_ref());
        job.is_some_and(|job| job.records.iter().any(|(other, addr)| other == id && addr.is_some()))
    }

    /// How one record stands.
    pub fn standing(&self, record: &Record, id: &RecordId) -> Standing {
        let Wish::Address(addr) = wish(self.config, self.world, self.state, record, id.family) else {
            return Standing::Waiting;
        };
        match self.memory(record, id).map(|memory| memory.known) {
            _ if self.is_flying(record, id) => Standing::Busy,
            Some(Known::Published(a) | Known::Remembered(a)) if a == addr => Standing::Right,
            _ if self.retry(record, id).is_some() => Standing::Failing,
            _ => Standing::Busy,
        }
    }

    /// True if every camera is reached as configured, and nothing else needs attention.
    pub fn healthy(&self) -> bool {
        self.summary().0.is_well() && self.is_sound()
    }

    /// True if every record section has a published name, none fails, every mapping is open, and the agent itself is well.
    fn is_sound(&self) -> bool {
        let record_ok = |record: &Record| {
            let all: Vec<Standing> = ids(record).map(|id| self.standing(record, &id)).collect();
            all.iter().all(|s| matches!(s, Standing::Right | Standing::Waiting))
                && all.contains(&Standing::Right)
        };
        let mapping_ok = |mapping: &Mapping| self.is_open(mapping) || rests(mapping, self.world, self.now);
        !self.problems.iter().any(|problem| problem.severity == Severity::Error)
            && self.config.records.iter().all(record_ok)
            && self.config.mappings.iter().all(mapping_ok)
            && self.state.mapping.retry.is_none()
            && self.tunnels_are_well()
            && self.deaf.is_empty()
            && !self.world.wans.values().flat_map(|wan| &wan.interfaces).any(|interface| interface.trouble)
    }

    pub(crate) fn is_open(&self, mapping: &Mapping) -> bool {
        let Exposure::Open(rules) = exposure(self.config, self.world, self.state, mapping, self.now) else {
            return false;
        };
        let applied = self.state.mapping.applied.as_deref().unwrap_or_default();
        rules.iter().all(|rule| applied.contains(rule)) && self.refusal(mapping).is_none()
    }

    /// Why the packet filter does not carry a mapping that was to be open.
    pub(crate) fn refusal(&self, mapping: &Mapping) -> Option<&str> {
        let refused = self.state.mapping.refused.iter().find(|(name, _)| *name == mapping.name);
        refused.map(|(_, why)| why.as_str())
    }
}

/// Tells documents apart that say something else, by 32 bits (FNV-1a): what only counts seconds (`time`, and names
/// that end in `_s`) does not count.
pub fn mark(document: &str) -> u32 {
    let (mut mark, mut counts, mut key) = (0x811c_9dc5_u32, false, [0; 4]);
    for byte in document.bytes() {
        counts = (counts || key == *b"_s\":" || key == *b"me\":") && byte.is_ascii_digit();
        let [_, a, b, c] = key;
        key = [a, b, c, byte];
        if !counts {
            mark = (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    mark
}
