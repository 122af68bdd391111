//! What a row of the URL table can say, and the row's options, which follow from it.

use crate::model::Family;
use crate::provider::ProviderOption;

/// A service that is reached by one request.
#[derive(Debug)]
pub struct Row {
    /// The request's address with its parameters, see [`super::template`]. Without scheme and host, `option url` must
    /// be set.
    pub(super) url: &'static str,
    /// Words of an answer beyond those of dyndns2; looked for as whole words and in this order, before them.
    pub(super) words: &'static [(&'static str, Word)],
    /// How it knows us.
    pub(super) login: Login,
    /// What an answer 2xx means in which no known word stands.
    pub(super) other: Other,
    /// The most names in one request.
    pub(super) batch: u8,
    /// Both families of a name go in one request.
    pub(super) joint: bool,
    /// The login stands for one record, so that a section may have no more.
    pub(super) single: bool,
    /// Each name may have a login of its own: a refused one says nothing of the others.
    pub(super) each: bool,
    /// The words may stand in a web page.
    pub(super) page: bool,
    /// The parameters go in the body of a POST.
    pub(super) post: bool,
}

/// How a service knows us, beside what the address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// By the address alone.
    Open,
    /// Basic: `option username` and `option password`.
    User,
    /// Basic: the domain itself and `option password`.
    Domain,
    /// Basic: `option token`, as user and as password.
    Twice,
}

/// What an answer means in which no known word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// Nothing.
    Unknown,
    /// Without any text: changed.
    EmptyUpdated,
    /// Without any text: it was so already.
    EmptySame,
    /// Any text: changed, unless it speaks of an error.
    Any,
    /// The address that was sent stands in it: changed, unless it speaks of an error.
    Address,
}

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Changed.
    Good,
    /// It was so already.
    Same,
    /// User name or password refused.
    Login,
    /// User name or token refused.
    Access,
    /// A token or key refused.
    Token,
    /// Name or key refused, which of them is not said.
    Either,
    /// A paid feature.
    Paid,
    /// The service is not turned on for this domain.
    Off,
    /// The name is another account's.
    Yours,
    /// No such name.
    NoHost,
    /// The service does not find the name.
    NotFound,
    /// Not a full domain name.
    NotFqdn,
    /// The service does not take the name.
    Name,
    /// Too many names.
    Many,
    /// Blocked for too many updates.
    Abuse,
    /// The account is suspended.
    Suspended,
    /// This program is refused.
    Agent,
    /// This kind of update is refused.
    System,
    /// The name is not active yet.
    Inactive,
    /// The request is malformed.
    Malformed,
    /// DNS trouble at the service.
    Dns,
    /// Maintenance at the service.
    Maintenance,
    /// Trouble at the service.
    Trouble,
    /// Updated too often.
    Often,
    /// Refused; why, the answer says.
    Said,
}

/// A row with nothing special, of a service that speaks dyndns2.
pub(super) const PLAIN: Row = Row {
    url: "",
    words: &[],
    login: Login::User,
    other: Other::Unknown,
    batch: 1,
    joint: false,
    single: false,
    each: false,
    page: false,
    post: false,
};

/// A row of a service with words of its own, which knows us by the address alone.
pub(super) const OPEN: Row = Row { login: Login::Open, ..PLAIN };

const USERNAME: ProviderOption =
    ProviderOption::required("username", "The account's name, or the one made for updates.");
const PASSWORD: ProviderOption =
    ProviderOption::secret("password", "The password, update key or token that goes with it.");
const KEY: ProviderOption =
    ProviderOption::secret("password", "The key or secret that the service shows for this name.");
const TOKEN: ProviderOption = ProviderOption::secret("token", "The token, made on the service's page.");
const RECORD: ProviderOption = ProviderOption::secret(
    "token",
    "The key or token of one record. Write a section for each name, and for each family with option family.",
);
const ID: ProviderOption =
    ProviderOption::required("id", "The service's own number or name of the record (or tunnel, or network).");
const ZONE: ProviderOption =
    ProviderOption::required("zone", "The domain as it is registered, of which the names are parts.");
const URL: ProviderOption = ProviderOption::plain(
    "url",
    "Address of a private server that speaks this protocol, with or without a path.",
);
const SERVER: ProviderOption =
    ProviderOption::required("url", "Address of the server; its path is /nic/update unless one is given.");

impl Row {
    /// True if the address has this piece.
    pub(super) const fn has(&self, piece: &str) -> bool {
        contains(self.url.as_bytes(), piece.as_bytes())
    }

    /// Both families of a name go in one request.
    pub const fn is_joint(&self) -> bool {
        self.joint
    }

    /// The families that it publishes.
    pub(super) const fn families(&self) -> &'static [Family] {
        match (self.has("{ip4") || self.has("{ip}"), self.has("{ip6") || self.has("{ip}")) {
            (_, false) => &[Family::V4],
            (false, true) => &[Family::V6],
            (true, true) => &Family::BOTH,
        }
    }

    /// Its options, by what the address and the login need.
    pub(super) const fn options(&self) -> &'static [ProviderOption] {
        if matches!(self.url.as_bytes().first(), Some(b'/')) {
            return &[USERNAME, PASSWORD, SERVER];
        }
        let user = matches!(self.login, Login::User);
        let user_and_password = user || self.has("{user}");
        let password = matches!(self.login, Login::Domain) || self.has("{password}");
        match (user_and_password, password, self.has("{id}"), self.has("{zone}")) {
            (true, _, false, false) => &[USERNAME, PASSWORD, URL],
            (true, _, true, _) => &[USERNAME, PASSWORD, ID, URL],
            (true, _, _, true) => &[USERNAME, PASSWORD, ZONE, URL],
            (false, true, _, false) => &[KEY, URL],
            (false, true, _, true) => &[KEY, ZONE, URL],
            (false, false, _, _) if self.single => &[RECORD, URL],
            (false, false, _, _) => &[TOKEN, URL],
        }
    }
}

/// True if `piece` stands somewhere in `text`.
#[allow(clippy::indexing_slicing, reason = "the indices are below the lengths")]
const fn contains(text: &[u8], piece: &[u8]) -> bool {
    let mut at = 0;
    while at + piece.len() <= text.len() {
        let mut same = 0;
        while same < piece.len() && text[at + same] == piece[same] {
            same += 1;
        }
        if same == piece.len() {
            return true;
        }
        at += 1;
    }
    false
}
