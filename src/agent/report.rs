//! What is told: one line a change, and messages to the owner.

use super::Agent;
use crate::model::Now;
use crate::plan::{notify, TellJob};
use crate::provider::Failure;
use crate::state::kind_word;
use log::Level;
use std::fmt::Display;

/// Fills it by chance; false where the kernel has no random numbers yet.
pub(crate) fn draw(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// A fresh number, for the jitter of back-offs and the like; the same for all where the kernel has none.
pub(crate) fn random() -> u32 {
    let mut bytes = [0u8; 4];
    if draw(&mut bytes) {
        u32::from_ne_bytes(bytes)
    } else {
        u32::MAX / 2
    }
}

impl Agent {
    /// Writes a line of the log, as the agent's, whichever part of it speaks.
    fn say(&self, level: Level, text: &dyn Display) {
        log::log!(target: "porchlight::agent", level, "{}", self.redactor.redact(&text.to_string()));
    }

    pub(super) fn error(&self, text: &dyn Display) {
        self.say(Level::Error, text);
    }

    pub(super) fn warn(&self, text: &dyn Display) {
        self.say(Level::Warn, text);
    }

    pub(super) fn info(&self, text: &dyn Display) {
        self.say(Level::Info, text);
    }

    pub(super) fn debug(&self, text: &dyn Display) {
        self.say(Level::Debug, text);
    }

    /// Tells a failure, unless that was done and it only repeats.
    pub(super) fn fails(&mut self, what: &str, class: &'static str, text: &dyn Display, now: Now) {
        match self.repeats.failed(what, class, now) {
            Some(more) => self.warn(&format_args!("{text}{more}")),
            None => self.debug(text),
        }
    }

    /// Tells that something goes well, and how often it had not before.
    pub(super) fn works(&mut self, what: &str, text: &dyn Display) {
        let failed = self.repeats.ended(what);
        self.info(&format_args!("{text}{failed}"));
    }

    /// Takes in how everything stands that the owner may be told of.
    pub(crate) fn note_troubles(&mut self, now: Now) {
        if self.config.notifies.is_empty() {
            return;
        }
        let subjects = notify::subjects(&self.view(now));
        for text in notify::observe(&mut self.state.told, &self.config, subjects, now.boot) {
            self.warn(&text);
        }
    }

    /// What became of a message.
    pub(crate) fn told(&mut self, job: &TellJob, result: Result<(), Failure>, now: Now) {
        if self.config.notifies.iter().all(|section| section.name != job.channel) {
            self.state.told.channels.remove(&job.channel);
            return;
        }
        let text = match &result {
            Ok(()) => format!("notify {}: told ({})", job.channel, job.message.get("event").unwrap_or("?")),
            Err(failure) => format!("notify {}: {failure}; it is tried again", job.channel),
        };
        let what = format!("notify {}", job.channel);
        let class = result.as_ref().err().map(|failure| kind_word(failure.kind));
        let counts = notify::ended(&mut self.state.told, job, result, now.boot, random());
        match class.filter(|_| counts) {
            Some(class) => self.fails(&what, class, &text, now),
            None if counts => self.works(&what, &text),
            None => self.debug(&text),
        }
    }
}
