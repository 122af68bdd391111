//! What the owner was told, and what waits to be told: of one boot, so that a restart tells nothing twice and loses
//! nothing, and passes without a daemon know of each other. One line a fact, as the rest of the state file.

use super::{kind_of, kind_word, Retry};
use crate::map::{Map, Set};
use crate::model::Time;
use crate::notify::{About, Note, Occasion};
use crate::provider::Failure;

/// First fields of this module's lines.
pub(super) const LINES: [&str; 4] = ["trouble", "exposed", "channel", "note"];

/// The memory of notifications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What is not right, by a key of [`crate::plan::notify`].
    pub troubles: Map<String, Trouble>,
    /// Mappings that are known to be open.
    pub exposed: Set<String>,
    /// By the notify section's name.
    pub channels: Map<String, ChannelState>,
}

/// Something that is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Time,
    /// It was told.
    pub told: bool,
}

/// One channel's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelState {
    /// What waits, oldest first.
    pub queue: Vec<Note>,
    /// So many were left out since the last message: there were too many, or they were too old.
    pub left_out: u32,
    /// When the last messages went, oldest first.
    pub sent: Vec<Time>,
    /// The last failure.
    pub retry: Option<Retry>,
    /// Number of the last message.
    pub generation: u64,
    /// The message under way: its number, when it was started, and how many of the queue are in it.
    pub in_flight: Option<(u64, Time, usize)>,
}

impl Told {
    /// Writes the lines. What is under way still waits: after a kill it is sent again rather than lost.
    pub(super) fn write(&self, line: &mut dyn FnMut(&[&str])) {
        for (key, trouble) in &self.troubles {
            let told = if trouble.told { "told" } else { "-" };
            line(&["trouble", key, &trouble.since.0.to_string(), told]);
        }
        for mapping in &self.exposed {
            line(&["exposed", mapping]);
        }
        for (name, channel) in &self.channels {
            let sent: Vec<String> = channel.sent.iter().map(|at| at.0.to_string()).collect();
            let (sent, left_out) = (sent.join(" "), channel.left_out.to_string());
            match channel.retry.as_ref().and_then(|retry| Some((retry, retry.next?))) {
                None if channel.sent.is_empty() && channel.left_out == 0 => {}
                None => line(&["channel", name, &left_out, &sent]),
                Some((retry, next)) => {
                    let numbers = [u64::from(retry.tries), retry.since.0, retry.started.0, next.0];
                    let [tries, since, started, next] = numbers.map(|number| number.to_string());
                    let (kind, text) = (kind_word(retry.failure.kind), &retry.failure.text);
                    line(&["channel", name, &left_out, &sent, kind, &tries, &since, &started, &next, text]);
                }
            }
            for note in &channel.queue {
                let (at, occasion, about) = (note.at.0.to_string(), note.occasion.word(), note.about.word());
                let Note { text, record, camera, address, .. } = note;
                line(&["note", name, &at, occasion, about, text, record, camera, address]);
            }
        }
    }

    /// Reads one of [`LINES`]. `None` if it makes no sense.
    pub(super) fn read(&mut self, fields: &[&str]) -> Option<()> {
        let time = |text: &str| text.parse().ok().map(Time);
        match fields {
            ["trouble", key, since, told] => {
                let trouble = Trouble { since: time(since)?, told: *told == "told" };
                self.troubles.insert((*key).to_string(), trouble);
            }
            ["exposed", mapping] => drop(self.exposed.insert((*mapping).to_string())),
            ["channel", name, left_out, sent, retry @ ..] => {
                let channel = self.channels.entry((*name).to_string()).or_default();
                channel.left_out = left_out.parse().ok()?;
                channel.sent = sent.split_whitespace().map(time).collect::<Option<_>>()?;
                if let [kind, tries, since, started, next, text] = retry {
                    channel.retry = Some(Retry {
                        failure: Failure::new(kind_of(kind)?, *text),
                        tries: tries.parse().ok()?,
                        since: time(since)?,
                        started: time(started)?,
                        next: Some(time(next)?),
                        floor: Time::default(),
                    });
                }
            }
            ["note", name, at, occasion, about, text, record, camera, address] => {
                let note = Note {
                    at: time(at)?,
                    occasion: Occasion::of(occasion)?,
                    about: About::of(about),
                    text: (*text).to_string(),
                    record: (*record).to_string(),
                    camera: (*camera).to_string(),
                    address: (*address).to_string(),
                };
                self.channels.entry((*name).to_string()).or_default().queue.push(note);
            }
            _ => return None,
        }
        Some(())
    }
}
