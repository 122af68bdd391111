//! Providers: plain functions that are handed the power to ask. None opens a socket, reads a clock
//! or draws a random number; [`Job`] carries what they need. A row of [`PROVIDERS`] is a provider.

mod also;
pub mod api;
pub mod cloudflare;
pub mod custom;
pub mod duckdns;
mod refresh;
pub mod rfc2136;
pub mod url;
pub mod web;

use crate::config::nearest::{near, FAR};
use crate::map::Map;
use crate::model::{Family, RecordId};
use crate::secret::Secret;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

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

/// One variant per thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No route, no resolver: not the provider's fault. No back-off; tried again when the world heals.
    NotReady,
    /// Could not be reached, or broke off before the request was sent.
    Unreachable,
    /// It answered that it cannot now (5xx, 429, SERVFAIL, 911). Obey `retry_after`.
    Busy,
    /// A write that got no answer: read before writing again.
    Unconfirmed,
    /// User, password, token or key refused. Rests until the config changes.
    Credentials,
    /// The zone or name is not there, or not this account's. Rests until the config changes.
    NoSuchName,
    /// The provider will not do this (blocked, paid feature, policy). Rests until the config changes.
    Refused,
    /// The server's certificate is not to be trusted. Tried again slowly.
    Untrusted,
    /// The clock is wrong here or there. Tried again when the clock is set.
    Clock,
    /// An answer that makes no sense. Tried again with back-off.
    Garbled,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NotReady => "not ready",
            Kind::Unreachable => "unreachable",
            Kind::Busy => "busy",
            Kind::Unconfirmed => "could not confirm",
            Kind::Credentials => "credentials refused",
            Kind::NoSuchName => "no such name",
            Kind::Refused => "refused",
            Kind::Untrusted => "untrusted certificate",
            Kind::Clock => "clock",
            Kind::Garbled => "garbled answer",
        })
    }
}

/// A decision and the words for the owner: what failed and what to do. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: Kind,
    /// What failed, with the service's own code and words, and the mend.
    pub text: String,
    /// Not before this long, where the service said so.
    pub retry_after: Option<Duration>,
    /// The request, or a part of it, may have left this machine.
    pub sent: bool,
}

impl Failure {
    /// A failure without a waiting time. [`Kind::NotReady`] says that nothing was sent, see [`Failure::sent`].
    pub fn new(kind: Kind, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into(), retry_after: None, sent: kind != Kind::NotReady }
    }

    /// An option that the account is known by is not set.
    pub fn unset(option: &str) -> Failure {
        Failure::new(Kind::Credentials, format!("option {option} is not set"))
    }

    /// The same, of a request that did leave.
    pub fn sent(mut self) -> Failure {
        self.sent = true;
        self
    }

    /// The same, of a request that never left this machine.
    pub fn unsent(mut self) -> Failure {
        self.sent = false;
        self
    }

    /// The same, not to be tried again before `wait`.
    pub fn after(mut self, wait: Duration) -> Failure {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
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

/// Every provider. The rows of the URL table come last.
pub static PROVIDERS: &[Entry] = &all();

/// The providers with a file of their own.
const OWN: [Entry; 4] = [cloudflare::ENTRY, custom::ENTRY, duckdns::ENTRY, rfc2136::ENTRY];

/// [`OWN`], the services with an API, and the rows of the URL table, one after the other.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a wrong index")]
const fn all() -> [Entry; OWN.len() + api::COUNT + url::ENTRIES.len()] {
    let mut out = [cloudflare::ENTRY; OWN.len() + api::COUNT + url::ENTRIES.len()];
    let (mut index, mut group, mut place) = (0, 0, 0);
    while index < OWN.len() {
        out[index] = OWN[index];
        index += 1;
    }
    while group < api::SERVICES.len() {
        if place < api::SERVICES[group].len() {
            out[index] = api::SERVICES[group][place].entry();
            (index, place) = (index + 1, place + 1);
        } else {
            (group, place) = (group + 1, 0);
        }
    }
    while index < out.len() {
        out[index] = url::ENTRIES[index - OWN.len() - api::COUNT];
        index += 1;
    }
    out
}

/// A provider by its name, or by the name that another client has for it (`default@dyndns.org`).
pub fn find(name: &str) -> Option<&'static Entry> {
    let name = own_name(name);
    PROVIDERS.iter().find(|entry| entry.name == name)
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

/// A provider's own name, by one that another client has for it; else the name as it is.
pub fn own_name(name: &str) -> &str {
    also::own_name(name).unwrap_or(name)
}

/// Other names that [`find`] takes for a provider.
pub fn aliases(entry: &Entry) -> Vec<&'static str> {
    also::names(entry.name).collect()
}

/// The most names that are offered for a misspelt one.
const NEAREST: usize = 3;
/// A shorter text is not looked for in names and titles: too many have it.
const PART: usize = 3;

/// The providers that may be meant by a name that none has, the likeliest first: those of nearly that name, then those
/// in whose name or title it stands, or whose name stands in it. At most three.
pub fn nearest(name: &str) -> Vec<&'static str> {
    let lower = name.to_ascii_lowercase();
    let names = PROVIDERS.iter().map(|entry| entry.name);
    let spelt = near(&lower, &mut names.chain(PROVIDERS.iter().flat_map(|entry| also::names(entry.name))));
    let mut found: Vec<&'static str> = Vec::new();
    for steps in 0..=FAR {
        for (_, name) in spelt.iter().filter(|(far, _)| *far == steps) {
            let own = also::own_name(name).unwrap_or(name);
            if !found.contains(&own) {
                found.push(own);
            }
        }
    }
    let part = |whole: &str, part: &str| part.len() >= PART && whole.contains(part);
    for entry in PROVIDERS {
        let has = part(entry.name, &lower)
            || part(&entry.title.to_ascii_lowercase(), &lower)
            || part(&lower, entry.name)
            || aliases(entry).iter().any(|also| part(also, &lower));
        if has && !found.contains(&entry.name) {
            found.push(entry.name);
        }
    }
    found.truncate(NEAREST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ready_left_nothing_unless_said() {
        assert!(!Failure::new(Kind::NotReady, "no route").sent);
        assert!(Failure::new(Kind::NotReady, "the address changed").sent().sent);
        assert!(Failure::new(Kind::Unreachable, "no answer").sent);
    }

    #[test]
    fn a_clock_that_was_never_set_signs_nothing() {
        let at = |now| Job {
            zone: None,
            ttl: None,
            options: Options::default(),
            records: Vec::new(),
            now,
            nonce: [0; 16],
            memo: Map::new(),
        };
        for never_set in [0, 86_400, CLOCK_FLOOR - 1] {
            let failure = at(never_set).signing_time().unwrap_err();
            assert_eq!((failure.kind, failure.sent), (Kind::Clock, false), "{never_set}");
        }
        assert_eq!(at(CLOCK_FLOOR).signing_time(), Ok(CLOCK_FLOOR));
    }

    #[test]
    fn names_are_unique_and_found() {
        for (index, entry) in PROVIDERS.iter().enumerate() {
            assert!(PROVIDERS.iter().skip(index + 1).all(|other| other.name != entry.name), "{}", entry.name);
            assert!(entry.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert_eq!(find(entry.name).unwrap().title, entry.title);
            assert!(entry.url.starts_with("https://"), "{}", entry.name);
            assert!(!entry.families.is_empty());
        }
        assert!(find("nobody").is_none());
        assert_eq!(find("default@dyndns.org").unwrap().name, "dyn");
    }

    #[test]
    fn misspelt_names_have_nearest_ones() {
        let first = |name: &str| nearest(name).first().copied();
        assert_eq!(first("cloudfare"), Some("cloudflare"));
        assert_eq!(first("Duck-DNS"), Some("duckdns"));
        assert_eq!(first("rfc-2136"), Some("rfc2136"));
        assert_eq!(first("no-ip"), Some("noip"));
        assert_eq!(first("cloudflare.com-v4"), Some("cloudflare"));
        assert_eq!(first("hurricane"), Some("he"));
        assert_eq!(nearest("something else altogether"), [""; 0]);
        assert_eq!(nearest(""), [""; 0]);
        assert_eq!(nearest(&"x".repeat(100_000)), [""; 0]);
        for text in ["dns", "dyn", "de", "d", "."] {
            assert!(nearest(text).len() <= NEAREST, "{text}");
        }
    }

    #[test]
    fn names_lie_in_zones_by_their_labels() {
        assert_eq!(within("example.com", "example.com"), Some(""));
        assert_eq!(within("a.b.example.com", "example.com"), Some("a.b"));
        assert_eq!(within("*.example.com", "example.com"), Some("*"));
        for (domain, zone) in
            [("badexample.com", "example.com"), ("example.com", "a.example.com"), ("a.test", "")]
        {
            assert_eq!(within(domain, zone), None, "{domain} {zone}");
        }
    }

    #[test]
    fn other_names_lead_to_the_provider() {
        for entry in PROVIDERS {
            for also in aliases(entry) {
                assert_eq!(find(also).map(|found| found.name), Some(entry.name), "{also}");
            }
        }
        assert!(aliases(find("noip").unwrap()).contains(&"no-ip.com"));
        assert_eq!(find("default@no-ip.com").unwrap().name, "noip");
        assert!(aliases(find("custom").unwrap()).is_empty());
    }
}
