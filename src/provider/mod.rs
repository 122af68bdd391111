//! Providers: plain functions that are handed the power to ask. None opens a socket, reads a clock
//! or draws a random number; [`Job`] carries what they need. A row of [`PROVIDERS`] is a provider.

mod also;
pub mod api;
pub mod cloudflare;
pub mod custom;
pub mod duckdns;
mod failure;
mod refresh;
pub mod rfc2136;
mod table;
pub mod url;
pub mod web;

use crate::map::Map;
use crate::model::{Family, RecordId};
use crate::secret::Secret;
pub use failure::{Failure, Kind, Particulars};
use std::net::IpAddr;
pub use table::{aliases, find, nearest, own_name, PROVIDERS};

/// A Unix time that is surely past, in seconds: 1 January 2026. A clock before it was never set, and neither a
/// certificate nor a signature is to be judged or made by it.
pub const CLOCK_FLOOR: u64 = 1_767_225_600;

/// One record as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which record this is.
    pub id: RecordId,
    /// The address to publish.
    pub addr: IpAddr,
}

/// All records of one account (and one explicit zone) that are to be brought up to date in one go.
#[derive(Clone, Debug)]
pub struct Job {
    /// The zone, where the owner named it (`option zone`).
    pub zone: Option<String>,
    /// Time to live in seconds, where the owner named it; else an existing record keeps its own.
    pub ttl: Option<u32>,
    /// The provider's options of the record section (secrets resolved).
    pub options: Options,
    /// What is wanted. Never empty. Grouped by the planner; domains are lower-case A-labels.
    pub records: Vec<Wanted>,
    /// Unix time in seconds, for signatures.
    pub now: u64,
    /// Random bytes, for ids and nonces.
    pub nonce: [u8; 16],
    /// What the provider learnt in earlier jobs of this account and may rely on (zone ids). Clear it
    /// when it turns out to be wrong.
    pub memo: Map<String, String>,
}

impl Job {
    /// An option's text, if it is set and not empty.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.text.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// An option's text that this provider cannot work without.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when it is not set.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.option(name).ok_or_else(|| Failure::unset(name))
    }

    /// [`Job::now`] for a signature: the server would refuse one of a clock that was never set, and for good.
    ///
    /// # Errors
    /// [`Kind::Clock`] for a clock before [`CLOCK_FLOOR`]: nothing is sent, it waits until the clock is set.
    pub fn signing_time(&self) -> Result<u64, Failure> {
        if self.now >= CLOCK_FLOOR {
            return Ok(self.now);
        }
        let text =
            "this machine's clock was not set yet, and a signature needs it; it goes on when it is (by NTP)";
        Err(Failure::new(Kind::Clock, text).unsent())
    }

    /// A secret that this provider cannot work without.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when it is not set.
    pub fn secret(&self, name: &str) -> Result<&str, Failure> {
        match self.options.secrets.get(name) {
            Some(secret) if !secret.reveal().is_empty() => Ok(secret.reveal()),
            _ => Err(Failure::unset(name)),
        }
    }
}

/// A provider's options: what may be shown, and what may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Plain options by name. A list is joined with newlines.
    pub text: Map<String, String>,
    /// Secret options by name.
    pub secrets: Map<String, Secret>,
}

/// What a provider asks of the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An HTTP request.
    Http(Http),
    /// A DNS message to one server.
    Dns(Dns),
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `GET`, `POST`, `PATCH`, ...
    pub method: &'static str,
    /// Absolute, with its query already encoded.
    pub url: String,
    /// In sending order.
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub body: String,
    /// True if it may change something: then a lost answer is "could not confirm", not "unreachable".
    pub write: bool,
}

/// A DNS message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// `host` or `host:port` (default 53) or `[v6]:port`.
    pub server: String,
    /// The message in wire form, its id already set.
    pub message: Vec<u8>,
    /// True for UPDATE.
    pub write: bool,
}

/// What came back. For DNS only `body` counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status; 0 for DNS.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most `act::BODY_CAP` bytes.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A header's value. `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The power to ask.
pub type Ask<'a> = dyn FnMut(Request) -> Result<Reply, Failure> + 'a;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was so already; nothing was written.
    Unchanged,
    /// It was changed (or created) and the provider said so.
    Updated,
    /// The same, and DNS shows the addresses of the service's proxy in its place.
    UpdatedBehindProxy,
}

/// Each record's own verdict: one bad name never fails its neighbours.
pub type Verdicts = Vec<(RecordId, Result<Outcome, Failure>)>;

/// What a provider's option is for, for `check`, `help` and the README.
#[derive(Clone, Copy, Debug)]
pub struct ProviderOption {
    /// Its UCI name.
    pub name: &'static str,
    /// Without it the provider cannot work.
    pub required: bool,
    /// Also readable from `NAME_file`, never printed.
    pub secret: bool,
    /// One line of plain words.
    pub doc: &'static str,
}

/// A row of [`PROVIDERS`].
#[derive(Clone, Copy)]
pub struct Entry {
    /// The value of `option provider`.
    pub name: &'static str,
    /// The service, as people call it.
    pub title: &'static str,
    /// The vendor's page.
    pub url: &'static str,
    /// Its options beyond those that every record has.
    pub options: &'static [ProviderOption],
    /// Which families it can publish.
    pub families: &'static [Family],
    /// True if `update` reads what is published before it writes. Else the planner asks DNS first
    /// whenever it is not sure.
    pub reads: bool,
    /// The shortest time to the next try after the service answered with a failure, in seconds.
    pub floor: u16,
    /// How it is done.
    pub update: Update,
}

/// How a provider brings records up to date. What services have in common stands in one engine, and a service is data:
/// a function for each would cost ten times the bytes.
#[derive(Clone, Copy)]
pub enum Update {
    /// By code of its own.
    Own(fn(&mut Job, &mut Ask) -> Result<Verdicts, Failure>),
    /// By one GET, as a row of the table says.
    Url(&'static url::Row),
    /// By calls of zones and records, as a row of the table says.
    Api(&'static api::Service),
}

impl Entry {
    /// True if both families of a name go in one request, so that one which is left out may not stay as it is.
    pub fn is_joint(&self) -> bool {
        matches!(self.update, Update::Url(row) if row.is_joint())
    }

    /// Brings the job's records up to date.
    ///
    /// # Errors
    /// What fails for all records; else each has its own verdict.
    pub fn update(&self, job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
        match self.update {
            Update::Own(update) => update(job, ask),
            Update::Url(row) => url::update(row, job, ask),
            Update::Api(service) => api::update(service, job, ask),
        }
    }
}

impl ProviderOption {
    /// A plain option.
    pub const fn plain(name: &'static str, doc: &'static str) -> ProviderOption {
        ProviderOption { name, required: false, secret: false, doc }
    }

    /// A plain option that must be set.
    pub const fn required(name: &'static str, doc: &'static str) -> ProviderOption {
        ProviderOption { name, required: true, secret: false, doc }
    }

    /// A secret that must be set.
    pub const fn secret(name: &'static str, doc: &'static str) -> ProviderOption {
        ProviderOption { name, required: true, secret: true, doc }
    }

    /// The same, not required.
    pub const fn optional(mut self) -> ProviderOption {
        self.required = false;
        self
    }
}

/// A domain's name within a zone, empty for the zone itself; `None` if it does not lie in it. By labels, not by
/// letters. Neither ends in a dot.
pub fn within<'a>(domain: &'a str, zone: &str) -> Option<&'a str> {
    match domain.strip_suffix(zone)? {
        _ if zone.is_empty() => None,
        "" => Some(""),
        head => head.strip_suffix('.'),
    }
}

#[cfg(test)]
mod tests;
