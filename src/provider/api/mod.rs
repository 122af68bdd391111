//! The services with an API of zones and records: each is a [`Service`], a row of data, and all are brought up to date
//! by the same code. A row says how the service's requests look (`template`), where in its answers what is
//! (`answer`), and what its codes mean; `drive` knows what to ask when.

mod answer;
mod drive;
mod rows;
mod template;

use super::{Entry, Failure, Http, Job, Kind, ProviderOption, Update};
use crate::model::Family;
use crate::sign::Keys;
pub(super) use drive::update;

/// Adds a signature to a request that is whole.
pub type Sign = fn(&Job, Http) -> Result<Http, Failure>;

/// A service.
///
/// Calls are written `METHOD PATH BODY`, with the values of [`template`]. Of the zone: `$zone` (its name), `$zid`
/// (its id), `$try` (a zone that may exist), of the record: `$fqdn`, `$host` (the name within the zone), `$type`, `$addr`,
/// `$ttl`, `$line`, `$id`, `$old` (the address that it had), of a list: `$page` (from 1), `$offset`, `$cursor`; and
/// `$session`. Paths are those of [`answer::gather`]; a field whose path begins with `#` is a number, else a string.
#[derive(Debug)]
pub struct Service {
    /// The value of `option provider`.
    pub name: &'static str,
    /// As people call it.
    pub title: &'static str,
    /// The vendor's page.
    pub page: &'static str,
    /// Its options beyond those that every record has.
    pub options: &'static [ProviderOption],
    /// What all paths follow; empty: `option url` must be set.
    pub base: &'static str,
    /// Headers of every request. `Basic user:password` is encoded; one without a value is left out.
    pub headers: &'static [(&'static str, &'static str)],
    /// Signs a request.
    pub sign: Option<Sign>,
    /// The zones of the account, or with `$try` one of them by its name, or with `$fqdn` those that hold a name.
    /// Empty: `option zone` must be set.
    pub zones: List,
    /// A zone's name; empty: the answer says no name, that it answers is enough. `|`: the item is the name; `a,b`: it
    /// has several parts; after `?` it may be null, and the item is none.
    pub zone_name: &'static str,
    /// A zone's id; empty: its name is its id.
    pub zone_id: &'static str,
    /// The records of a name (and type), as narrow as the service can.
    pub read: List,
    /// The records of a whole zone, for many names at once; empty: there is no such call.
    pub all: &'static str,
    /// A record's fields.
    pub record: Fields,
    /// How `$host` and the record's name are written.
    pub names: Names,
    /// The line (view) of a record without `option line`; empty: it has no lines.
    pub line: &'static str,
    /// Makes a record; empty: see `batch`.
    pub create: &'static str,
    /// Changes a record; empty: see `batch`.
    pub change: &'static str,
    /// Several at once.
    pub batch: &'static Batch,
    /// What the answer to a write must hold, if it has content (status 204: it has none); empty: nothing.
    pub wrote: &'static str,
    /// Time to live in seconds of a new record, and the shortest that the service takes.
    pub ttl: (u32, u32),
    /// What few services have.
    pub special: &'static Special,
    /// How an answer says yes.
    pub says: Says,
    /// Where a failure's code is.
    pub code: &'static str,
    /// Where its words are.
    pub text: &'static str,
    /// What codes mean (a code's beginning; after `=` a whole code, after `~` a part of the words, in small letters).
    /// Before the status.
    pub codes: &'static [(&'static str, Means)],
}

/// What few services have: apart, since it would be nothing in most rows.
#[derive(Clone, Copy, Debug)]
pub struct Special {
    /// A record's field and its value where the record is switched off.
    pub off: (&'static str, &'static str),
    /// The call that begins a session; empty: none is needed.
    pub login: &'static str,
    /// Where its answer holds `$session`; `cookie NAME`: in that cookie.
    pub session: &'static str,
    /// A field and its value in zones that do not count.
    pub zone_not: (&'static str, &'static str),
    /// Reads one record by `$id`, where a list holds only ids.
    pub detail: &'static str,
    /// What it calls A and AAAA.
    pub types: [&'static str; 2],
    /// One record holds the addresses of both families.
    pub joint: bool,
    /// When it refuses several, it says of each what is wrong with it (nothing: it is good), in this order.
    pub each: bool,
    /// Sent after a change that left the record with the old address in place.
    pub after: &'static str,
    /// Sets the time to live of a record that stands, where a change does not; sent after it if that is to change.
    pub retime: &'static str,
    /// Sent when all of a zone is written, to put it in force.
    pub commit: &'static str,
    /// Answers are XML.
    pub xml: bool,
}

/// A call that lists.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// The call.
    pub call: &'static str,
    /// Its items. Of several paths the first that leads anywhere; after `?` there are none where the last key is missing,
    /// after `!` none where this number is 0.
    pub items: &'static str,
    /// How it goes on.
    pub pages: Pages,
}

/// How a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// All is in the first answer.
    One,
    /// Until a page has less than this many items: `$page`, `$offset`.
    Of(usize),
    /// Until as many came as it says there are (a path): the service may give fewer at once than it is asked for.
    Total(&'static str),
    /// While the answer holds a `$cursor` (a path).
    Cursor(&'static str),
}

/// Where a record's fields are.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Its id; empty: it has none, after `?`: it may have none.
    pub id: &'static str,
    /// Its name; empty: only records of the name are listed.
    pub name: &'static str,
    /// Its type; empty: only records of the type are listed.
    pub rtype: &'static str,
    /// Its address, or addresses: of several paths the first that leads anywhere.
    pub value: &'static str,
    /// Its time to live; empty: it has none. `?ttl`: not all have one, a number or a string.
    pub ttl: &'static str,
    /// Its line.
    pub line: &'static str,
}

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Within the zone, with this for the zone itself.
    Within(&'static str),
    /// In full.
    Full,
    /// In requests within the zone, as above, in lists in full (or within it).
    Mixed(&'static str),
}

/// Several writes in one request.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The call, with `$items`; empty: there is none.
    pub call: &'static str,
    /// A new record; empty: made by a request of its own.
    pub create: &'static str,
    /// A changed one; the same.
    pub change: &'static str,
    /// The most in one request.
    pub most: usize,
}

/// How an answer says yes, beside a status of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The status is enough.
    Status,
    /// A field is one of some values (`0|200`; `|Success`: or is not there); a number, if its path begins with `#`.
    Is(&'static str, &'static str),
    /// A field is not there, or empty.
    No(&'static str),
}

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// What was asked for is not there: an empty list, or a record that has vanished.
    Absent,
    /// The zone is not there, or not this account's.
    NoZone,
    /// Another record stands there by now: to be read again.
    Stale,
    /// It was so already.
    Same,
    /// Not now; seconds to wait (0: nothing said).
    Busy(u16),
    /// Key, token or password refused.
    Auth,
    /// The clocks differ.
    Clock,
    /// The name cannot be.
    NoName,
    /// It will not.
    Refused,
    /// It makes no sense.
    Garbled,
}

impl Means {
    /// What to do about it, and in words for the owner.
    fn for_the_owner(self) -> (Kind, &'static str) {
        match self {
            Means::Absent | Means::NoName => (Kind::NoSuchName, "not found at the service; check the domain"),
            Means::NoZone => {
                (Kind::NoSuchName, "the account has no such zone; check the domain, or set option zone")
            }
            Means::Stale => {
                (Kind::Refused, "another record stands in the way; remove it, or use another name")
            }
            Means::Same => {
                (Kind::Refused, "the service says that nothing is to change, yet shows another address")
            }
            Means::Busy(_) => (Kind::Busy, "the service asks to wait; nothing to do here"),
            Means::Auth => (Kind::Credentials, "check the keys or the token, and their rights"),
            Means::Clock => (Kind::Clock, "check this machine's clock; it goes on when it is set (by NTP)"),
            Means::Refused => {
                (Kind::Refused, "the service will not do this; check the options of the record")
            }
            Means::Garbled => (Kind::Garbled, "an answer that makes no sense"),
        }
    }
}

/// A list that is not there.
pub const NO_LIST: List = List { call: "", items: "", pages: Pages::One };

/// Nothing of it.
pub const NOTHING_SPECIAL: Special = Special {
    off: ("", ""),
    login: "",
    session: "",
    zone_not: ("", ""),
    detail: "",
    types: ["A", "AAAA"],
    joint: false,
    each: false,
    after: "",
    retime: "",
    commit: "",
    xml: false,
};

/// A service with nothing special: JSON, a token as bearer, the zone's name in the path, one write a record.
pub const PLAIN: Service = Service {
    name: "",
    title: "",
    page: "",
    options: &[],
    base: "",
    headers: &[("Authorization", "Bearer $:token")],
    sign: None,
    zones: NO_LIST,
    zone_name: "name",
    zone_id: "",
    read: NO_LIST,
    all: "",
    record: Fields { id: "id", name: "name", rtype: "type", value: "content", ttl: "#ttl", line: "" },
    names: Names::Within("@"),
    line: "",
    create: "",
    change: "",
    batch: &Batch { call: "", create: "", change: "", most: 1 },
    wrote: "",
    ttl: (300, 60),
    special: &NOTHING_SPECIAL,
    says: Says::Status,
    code: "code",
    text: "message",
    codes: &[],
};

/// The token of most services.
pub const TOKEN: ProviderOption =
    ProviderOption::secret("token", "The API token, made on the service's page.");
/// The id of a pair of keys.
pub const KEY_ID: ProviderOption = ProviderOption::required("key_id", "The access key's id.");
/// The secret of a pair of keys.
pub const KEY_SECRET: ProviderOption = ProviderOption::secret("key_secret", "The access key's secret.");
/// Another server.
pub const URL: ProviderOption =
    ProviderOption::plain("url", "Address of another server that speaks the same protocol.");
/// The token that goes with keys that were lent for a time.
pub const SESSION_TOKEN: ProviderOption =
    ProviderOption::secret("session_token", "The token that belongs to temporary keys (STS).").optional();
/// The server, where each has its own.
pub const SERVER: ProviderOption = ProviderOption::required("url", "Address of the server.");
/// The line of a record.
pub const LINE: ProviderOption =
    ProviderOption::plain("line", "The line (view) of the record, as the service names it.");

impl Service {
    /// Its row among the providers.
    pub(super) const fn entry(&'static self) -> Entry {
        Entry {
            name: self.name,
            title: self.title,
            url: self.page,
            options: self.options,
            families: &Family::BOTH,
            reads: true,
            floor: 0,
            update: Update::Api(self),
        }
    }
}

/// The keys that a signature is made with: [`KEY_ID`], [`KEY_SECRET`] and [`SESSION_TOKEN`].
fn keys(job: &Job) -> Result<Keys<'_>, Failure> {
    let token = job.options.secrets.get("session_token").map(|token| token.reveal());
    Ok(Keys {
        id: job.required("key_id")?,
        secret: job.secret("key_secret")?,
        token: token.filter(|token| !token.is_empty()),
    })
}

/// All services.
pub const SERVICES: &[&[Service]] = rows::ALL;

/// How many they are.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a wrong index")]
pub(super) const COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < SERVICES.len() {
        count += SERVICES[group].len();
        group += 1;
    }
    count
};
