//! Notifications: what the owner may be told, the message that it becomes, and how each service is asked to carry it.
//! Pure: `channels` is the table of services, `request` fills a row in and understands its answer, `mail` writes an email.

mod channels;
mod mail;
mod request;

pub use channels::{find, Channel, Service, Way, CHANNELS};
pub use mail::mail;
pub use request::{request, verdict};

use crate::config::Notify;
use crate::model::Time;

/// The most lines of a message; what is more is counted.
const LINES_CAP: usize = 20;
/// The most characters of a message's text, without the last line: Bark's 4096 bytes are the least that a service takes.
const TEXT_CAP: usize = 1000;
/// The most characters of a title: ServerChan takes no more.
const TITLE_CAP: usize = 32;

/// What happened: a value of `list on`, or a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A record has another address, and it is published.
    Changed,
    /// A record, a mapping or the agent has not been right for a while.
    Failing,
    /// It is right again.
    Recovered,
    /// A port was opened.
    Exposed,
    /// A camera is not proven to ask for a password; its port is closed.
    Refused,
    /// `porchlight notify test`.
    Test,
}

/// Every occasion, its word in the configuration, and what a title says of it.
const OCCASIONS: [(Occasion, &str, &str); 6] = [
    (Occasion::Changed, "changed", "new address"),
    (Occasion::Failing, "failing", "failing"),
    (Occasion::Recovered, "recovered", "well again"),
    (Occasion::Exposed, "exposed", "port open"),
    (Occasion::Refused, "refused", "camera refused"),
    (Occasion::Test, "test", "test"),
];

impl Occasion {
    /// The occasion of a word of the configuration.
    pub fn of(word: &str) -> Option<Occasion> {
        OCCASIONS.iter().find(|(_, known, _)| *known == word).map(|(occasion, ..)| *occasion)
    }

    fn row(self) -> (&'static str, &'static str) {
        OCCASIONS.iter().find(|(known, ..)| *known == self).map_or(("", ""), |(_, word, title)| (word, title))
    }

    /// Its word in the configuration.
    pub fn word(self) -> &'static str {
        self.row().0
    }
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A record.
    Name,
    /// A mapping.
    Port,
    /// The agent itself.
    Agent,
}

impl About {
    /// One word, for the state file.
    pub fn word(self) -> &'static str {
        match self {
            About::Name => "name",
            About::Port => "port",
            About::Agent => "agent",
        }
    }

    /// The word's meaning; of any other word the agent.
    pub fn of(word: &str) -> About {
        match word {
            "name" => About::Name,
            "port" => About::Port,
            _ => About::Agent,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Time,
    /// What.
    pub occasion: Occasion,
    /// To what.
    pub about: About,
    /// All of it in one line, with names and addresses: for channels with `option details '1'`.
    pub text: String,
    /// The record section's name, or empty.
    pub record: String,
    /// The camera section's name, or empty.
    pub camera: String,
    /// The address that it is about, or empty.
    pub address: String,
}

impl Note {
    /// For `porchlight notify test`.
    pub fn test() -> Note {
        let (record, camera, address) = Default::default();
        let (at, occasion, about) = (Time::default(), Occasion::Test, About::Agent);
        let mut note = Note { at, occasion, about, text: String::new(), record, camera, address };
        note.text = note.brief().to_string();
        note
    }

    /// What may be said of it to anyone: no name, no address.
    fn brief(&self) -> &'static str {
        match (self.occasion, self.about) {
            (Occasion::Changed, _) => "a name has a new address, and it is published",
            (Occasion::Failing, About::Name) => "a name could not be published for 10 minutes",
            (Occasion::Failing, About::Port) => "a port that is to be open has been closed for 10 minutes",
            (Occasion::Failing, About::Agent) => "the agent itself has needed attention for 10 minutes",
            (Occasion::Recovered, About::Name) => "a name is published again",
            (Occasion::Recovered, About::Port) => "a port is open to its camera again",
            (Occasion::Recovered, About::Agent) => "the agent is well again",
            (Occasion::Exposed, _) => "a port is open to a camera",
            (Occasion::Refused, _) => "a camera is not proven to ask for a password, and its port is closed",
            (Occasion::Test, _) => "this is a test: what Porchlight has to say comes here",
        }
    }
}

/// What is sent: a value for each of [`FIELDS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(pub [String; FIELDS.len()]);

/// What a webhook's placeholders and a script's environment (`PORCHLIGHT_EVENT` ...) are called.
pub const FIELDS: [&str; 6] = ["event", "title", "text", "record", "camera", "address"];

impl Message {
    /// One message of several notes, as the channel may hear it. `left_out`: so many are not told.
    pub fn of(channel: &Notify, notes: &[Note], left_out: u32) -> Message {
        let shown = |note: &Note| if channel.details { note.text.clone() } else { note.brief().to_string() };
        let said = match channel.details {
            true => notes,
            false => &[],
        };
        let title = match notes {
            [one] => one.occasion.row().1.to_string(),
            [first, rest @ ..] if rest.iter().all(|note| note.occasion == first.occasion) => {
                format!("{} ({})", first.occasion.row().1, notes.len())
            }
            _ => format!("{} events", notes.len()),
        };
        let title = format!("{}: {title}", channel.title);
        Message([
            distinct(notes.iter().map(|note| note.occasion.word().to_string())),
            cut(&title, TITLE_CAP),
            text(notes.iter().map(shown), left_out),
            distinct(said.iter().map(|note| note.record.clone())),
            distinct(said.iter().map(|note| note.camera.clone())),
            distinct(said.iter().map(|note| note.address.clone())),
        ])
    }

    /// The value of one of [`FIELDS`].
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().zip(FIELDS).find(|(_, field)| *field == name).map(|(value, _)| value.as_str())
    }

    fn title(&self) -> &str {
        self.get("title").unwrap_or_default()
    }

    fn text(&self) -> &str {
        self.get("text").unwrap_or_default()
    }
}

/// The lines, equal ones once and counted.
fn text(lines: impl Iterator<Item = String>, left_out: u32) -> String {
    let mut counted: Vec<(String, u32)> = Vec::new();
    for line in lines {
        match counted.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => counted.push((line, 1)),
        }
    }
    let more = counted.len().saturating_sub(LINES_CAP) as u32;
    let shown = counted.into_iter().take(LINES_CAP);
    let lines: Vec<String> =
        shown.map(|(line, count)| if count > 1 { format!("{line} ({count} times)") } else { line }).collect();
    let text = cut(&lines.join("\n"), TEXT_CAP);
    match more.saturating_add(left_out) {
        0 => text,
        more => format!("{text}\n{more} more left out; see `porchlight status`"),
    }
}

/// What is not empty, each once.
fn distinct(values: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for value in values.filter(|value| !value.is_empty()) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all.join(",")
}

/// The text, at most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
}
