//! What the owner was told, and what waits to be told: of one boot, so that a restart tells nothing twice and loses
//! nothing, and passes without a daemon know of each other. One line a fact, as the rest of the state file.

use super::text::{time, Lines};
use super::{kind_word, Retry};
use crate::map::{Map, Set};
use crate::model::Time;
use crate::notify::{About, Note, Occasion};

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
    pub(super) fn write(&self, lines: &mut Lines) {
        for (key, trouble) in &self.troubles {
            let told = if trouble.told { "told" } else { "-" };
            lines.add(&[&"trouble", key, &trouble.since.0, &told]);
        }
        for mapping in &self.exposed {
            lines.add(&[&"exposed", mapping]);
        }
        for (name, channel) in &self.channels {
            let sent: Vec<String> = channel.sent.iter().map(|at| at.0.to_string()).collect();
            let (sent, left_out) = (sent.join(" "), &channel.left_out);
            match &channel.retry {
                Some(Retry { failure, tries, since, started, next: Some(next), .. }) => {
                    let kind = kind_word(failure.kind);
                    let (since, started, next) = (&since.0, &started.0, &next.0);
                    lines.add(&[
                        &"channel",
                        name,
                        left_out,
                        &sent,
                        &kind,
                        tries,
                        since,
                        started,
                        next,
                        &failure.text,
                    ]);
                }
                _ if channel.sent.is_empty() && channel.left_out == 0 => {}
                _ => lines.add(&[&"channel", name, left_out, &sent]),
            }
            for Note { text, record, camera, address, at, occasion, about, .. } in &channel.queue {
                let (occasion, about) = (occasion.word(), about.word());
                lines.add(&[&"note", name, &at.0, &occasion, &about, text, record, camera, address]);
            }
        }
    }

    /// Reads one of [`LINES`]. `None` if it makes no sense.
    pub(super) fn read(&mut self, fields: &[&str]) -> Option<()> {
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
                if !retry.is_empty() {
                    channel.retry = Some(Retry::read(retry)?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Failure, Kind};
    use crate::state::State;

    #[test]
    fn what_waits_outlives_a_kill_but_not_the_boot() {
        let note = Note { text: "a\tb\nc".into(), record: "home".into(), at: Time(7), ..Note::test() };
        let retry = Retry {
            failure: Failure::new(Kind::Unreachable, "no answer"),
            tries: 3,
            since: Time(1),
            started: Time(2),
            next: Some(Time(9)),
            floor: Time(0),
        };
        let channel = ChannelState {
            queue: vec![note.clone()],
            left_out: 2,
            sent: vec![Time(3), Time(4)],
            retry: Some(retry),
            generation: 5,
            in_flight: Some((5, Time(6), 1)),
        };
        let mut state = State::default();
        state.told.channels.insert("phone".into(), channel.clone());
        state.told.channels.insert("quiet".into(), ChannelState::default());
        state.told.troubles.insert("agent".into(), Trouble { since: Time(8), told: true });
        state.told.exposed.insert("rtsp".into());
        let text = state.to_text("one");
        let mut read = State::from_text(&text, "one").unwrap();
        assert_eq!((&read.told.troubles, &read.told.exposed), (&state.told.troubles, &state.told.exposed));
        let back = read.told.channels.remove("phone").unwrap();
        let queue = vec![Note { text: "a b c".into(), ..note }];
        assert_eq!(back, ChannelState { queue, generation: 0, in_flight: None, ..channel });
        assert!(read.told.channels.is_empty(), "what has nothing to say is not written");
        assert_eq!(State::from_text(&text, "two").unwrap().told, Told::default());
    }
}
