//! The services that speak dyndns2, one row each, and the words that they answer.

use super::FLOOR;
use crate::model::Family;
use crate::provider::{Entry, Kind, Outcome, ProviderOption, Update};

/// A service.
pub struct Row {
    /// The value of `option provider`.
    pub(super) name: &'static str,
    /// Names of the same row in inadyn, and others by which it is known.
    pub(super) also: &'static [&'static str],
    /// As people call it.
    pub(super) title: &'static str,
    /// The vendor's page.
    pub(super) page: &'static str,
    /// Scheme, host and path of the update request; empty: `option url` must be set.
    pub(super) update: &'static str,
    /// The same for IPv6 addresses, where another host takes them; else empty.
    pub(super) update6: &'static str,
    /// Fixed parameters; they come first.
    pub(super) extra: &'static [(&'static str, &'static str)],
    /// The parameter with the name.
    pub(super) host: &'static str,
    /// The parameter with the IPv4 address.
    pub(super) v4: &'static str,
    /// The parameter with the IPv6 address; empty: the service takes none.
    pub(super) v6: &'static str,
    /// Sent along when only IPv6 is written, so that the IPv4 address is kept.
    pub(super) keep4: &'static [(&'static str, &'static str)],
    /// Sent along when only IPv4 is written, so that the IPv6 address is kept.
    pub(super) keep6: &'static [(&'static str, &'static str)],
    /// Both families of a name go in one request.
    pub(super) joint: bool,
    /// The most names in one request.
    pub(super) batch: usize,
    /// How it knows us.
    pub(super) login: Login,
    /// Words beyond those of the protocol; looked for as whole words, before them.
    pub(super) words: &'static [(&'static str, Word)],
    /// What an answer 2xx without a body means, if anything.
    pub(super) empty: Option<Outcome>,
}

/// How a service knows us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// Basic: `option username` and `option password`.
    User,
    /// Basic: the domain itself and `option password`.
    Domain,
    /// Header `Authorization: Token`, with `option token`.
    Token,
    /// Query parameter `token`, with `option token`.
    TokenQuery,
}

/// What a word means.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// Changed.
    Good,
    /// It was so already.
    Same,
    /// Not done: what to do, seconds to wait (0: nothing said), plain words.
    Bad(Kind, u32, &'static str),
}

/// A row with nothing special.
const PLAIN: Row = Row {
    name: "",
    also: &[],
    title: "",
    page: "",
    update: "",
    update6: "",
    extra: &[],
    host: "hostname",
    v4: "myip",
    v6: "myip",
    keep4: &[],
    keep6: &[],
    joint: false,
    batch: 1,
    login: Login::User,
    words: &[],
    empty: None,
};

/// The words of the protocol. `nofqdn` is what inadyn looks for.
pub(super) const WORDS: &[(&str, Word)] = &[
    ("good", Word::Good),
    ("nochg", Word::Same),
    ("badauth", Word::Bad(Kind::Credentials, 0, "user name or password refused; check both")),
    ("!donator", Word::Bad(Kind::Refused, 0, "this is a paid feature of the service")),
    ("!yours", Word::Bad(Kind::NoSuchName, 0, "the name belongs to another account; check option domain")),
    (
        "nohost",
        Word::Bad(Kind::NoSuchName, 0, "the account has no such name; create it at the service first"),
    ),
    ("notfqdn", Word::Bad(Kind::NoSuchName, 0, "the name is not a full domain name; check option domain")),
    ("nofqdn", Word::Bad(Kind::NoSuchName, 0, "the name is not a full domain name; check option domain")),
    ("numhost", Word::Bad(Kind::Refused, 0, "too many names, or a round robin of several addresses")),
    (
        "abuse",
        Word::Bad(Kind::Refused, 0, "the name is blocked for too many updates; unblock it at the service"),
    ),
    ("badagent", Word::Bad(Kind::Refused, 0, "the service refuses this program; please report it")),
    (
        "badsys",
        Word::Bad(Kind::Refused, 0, "the service does not take this kind of update; please report it"),
    ),
    ("!active", Word::Bad(Kind::Refused, 0, "the name is not active yet; activate it at the service")),
    (
        "badrequest",
        Word::Bad(Kind::Refused, 0, "the service calls the request malformed; check option domain"),
    ),
    ("dnserr", Word::Bad(Kind::Busy, 1800, "DNS trouble at the service; nothing to do here")),
    ("911", Word::Bad(Kind::Busy, 1800, "trouble or maintenance at the service; nothing to do here")),
    ("servererror", Word::Bad(Kind::Busy, 1800, "trouble at the service; nothing to do here")),
    (
        "toosoon",
        Word::Bad(Kind::Busy, 600, "updated too often; the service asks for ten minutes between two"),
    ),
];

/// EasyDNS and ZoneEdit: one program, two brands. Failures first: `ok` is a short word.
const EASY_WORDS: &[(&str, Word)] = &[
    ("no_access", Word::Bad(Kind::Credentials, 0, "user name or token refused; check both")),
    ("access", Word::Bad(Kind::Credentials, 0, "user name or token refused; check both")),
    ("error code=\"708\"", Word::Bad(Kind::Credentials, 0, "user name or token refused; check both")),
    (
        "no_service",
        Word::Bad(
            Kind::Refused,
            0,
            "dynamic DNS is not turned on for this domain; turn it on at the service",
        ),
    ),
    (
        "illegal_input",
        Word::Bad(Kind::NoSuchName, 0, "the service does not take the name; check option domain"),
    ),
    (
        "error code=\"709\"",
        Word::Bad(Kind::NoSuchName, 0, "the service does not take the name; check option domain"),
    ),
    (
        "too_soon",
        Word::Bad(Kind::Busy, 600, "updated too often; the service asks for ten minutes between two"),
    ),
    (
        "too_freq",
        Word::Bad(Kind::Busy, 600, "updated too often; the service asks for ten minutes between two"),
    ),
    (
        "error code=\"702\"",
        Word::Bad(Kind::Busy, 600, "updated too often; the service asks for ten minutes between two"),
    ),
    ("noerror", Word::Good),
    ("no_error", Word::Good),
    ("ok", Word::Good),
    ("success_code=\"200\"", Word::Good),
    ("success code=\"200\"", Word::Good),
    ("no update required", Word::Same),
];

/// Makes the constant tables from the rows.
macro_rules! rows {
    ($($row:expr),* $(,)?) => {
        /// The services as rows of [`crate::provider::PROVIDERS`].
        pub(crate) const ENTRIES: &[Entry] = &[$({
            const ROW: Row = $row;
            Entry {
                name: ROW.name,
                title: ROW.title,
                url: ROW.page,
                options: options(&ROW),
                families: if ROW.v6.is_empty() { &[Family::V4] } else { &Family::BOTH },
                reads: false,
                floor: FLOOR,
                update: Update::Url(&ROW),
            }
        }),*];

        /// Other names of the rows, and their own.
        pub(super) const ALSO: &[(&[&str], &str)] = &[$({
            const ROW: Row = $row;
            (ROW.also, ROW.name)
        }),*];
    };
}

rows! {
    Row {
        name: "dyn", also: &["default@dyndns.org"], title: "Dyn", page: "https://account.dyn.com/",
        update: "https://members.dyndns.org/nic/update", batch: 20, ..PLAIN
    },
    Row {
        name: "noip", also: &["default@no-ip.com", "default@noip.com"], title: "No-IP", page: "https://www.noip.com/",
        update: "https://dynupdate.no-ip.com/nic/update", ..PLAIN
    },
    Row {
        name: "dnsomatic", also: &["default@dnsomatic.com"], title: "DNS-O-Matic",
        page: "https://www.dnsomatic.com/", update: "https://updates.dnsomatic.com/nic/update",
        extra: &[("wildcard", "NOCHG"), ("mx", "NOCHG"), ("backmx", "NOCHG")], ..PLAIN
    },
    Row {
        name: "dynu", also: &["default@dynu.com"], title: "Dynu", page: "https://www.dynu.com/",
        update: "https://api.dynu.com/nic/update", v6: "myipv6", keep4: &[("myip", "no")], ..PLAIN
    },
    Row {
        name: "he", also: &["default@he.net", "dyndns@he.net"], title: "Hurricane Electric Free DNS",
        page: "https://dns.he.net/", update: "https://dyn.dns.he.net/nic/update", login: Login::Domain, ..PLAIN
    },
    Row {
        name: "desec", also: &["default@desec.io", "ipv6@desec.io"], title: "deSEC", page: "https://desec.io/",
        update: "https://update.dedyn.io/", v4: "myipv4", v6: "myipv6", keep4: &[("myipv4", "preserve")],
        keep6: &[("myipv6", "preserve")], joint: true, login: Login::Token, ..PLAIN
    },
    Row {
        name: "nsupdate_info", also: &["ipv4@nsupdate.info", "ipv6@nsupdate.info"], title: "nsupdate.info",
        page: "https://www.nsupdate.info/", update: "https://ipv4.nsupdate.info/nic/update",
        update6: "https://ipv6.nsupdate.info/nic/update", login: Login::Domain, ..PLAIN
    },
    Row {
        name: "strato", also: &["default@strato.com"], title: "Strato", page: "https://www.strato.de/",
        update: "https://dyndns.strato.com/nic/update", ..PLAIN
    },
    Row {
        name: "ovh", also: &["default@ovh.com"], title: "OVH DynHost", page: "https://www.ovhcloud.com/",
        update: "https://www.ovh.com/nic/update", extra: &[("system", "dyndns")], ..PLAIN
    },
    Row {
        name: "inwx", also: &["default@inwx.com", "ipv6@inwx.com"], title: "INWX", page: "https://www.inwx.com/",
        update: "https://dyndns.inwx.com/nic/update", v6: "myipv6", ..PLAIN
    },
    Row {
        name: "loopia", also: &["default@loopia.com"], title: "Loopia", page: "https://www.loopia.com/",
        update: "https://dns.loopia.se/XDynDNSServer/XDynDNS.php", extra: &[("system", "custom")], ..PLAIN
    },
    Row {
        name: "zoneedit", also: &["default@zoneedit.com"], title: "ZoneEdit", page: "https://www.zoneedit.com/",
        update: "https://api.cp.zoneedit.com/dyn/generic.php", v6: "", words: EASY_WORDS, ..PLAIN
    },
    Row {
        name: "easydns", also: &["default@easydns.com"], title: "easyDNS", page: "https://easydns.com/",
        update: "https://api.cp.easydns.com/dyn/generic.php", words: EASY_WORDS, ..PLAIN
    },
    Row {
        name: "oray", also: &["default@oray.com"], title: "Oray", page: "https://www.oray.com/",
        update: "https://ddns.oray.com/ph/update", v6: "", ..PLAIN
    },
    Row {
        name: "3322", also: &["pubyun", "default@3322.org", "dyndns@3322.org"], title: "3322 (Pubyun)",
        page: "https://www.pubyun.com/", update: "https://members.3322.org/dyndns/update",
        extra: &[("system", "dyndns")], v6: "", ..PLAIN
    },
    Row {
        name: "afraid", title: "FreeDNS (afraid.org)", page: "https://freedns.afraid.org/",
        update: "https://freedns.afraid.org/nic/update", ..PLAIN
    },
    Row {
        name: "spdyn", also: &["default@spdyn.de", "ipv6@spdyn.de"], title: "spDYN (Securepoint)",
        page: "https://www.spdyn.de/", update: "https://update.spdyn.de/nic/update",
        words: &[("fatal", Word::Bad(Kind::NoSuchName, 0, "the service finds no such name; check option domain"))],
        ..PLAIN
    },
    Row {
        name: "selfhost", also: &["default@selfhost.de"], title: "selfHOST", page: "https://www.selfhost.de/",
        update: "https://carol.selfhost.de/nic/update", empty: Some(Outcome::Unchanged), ..PLAIN
    },
    Row {
        name: "infomaniak", also: &["default@infomaniak.com"], title: "Infomaniak",
        page: "https://www.infomaniak.com/", update: "https://infomaniak.com/nic/update",
        words: &[("successfully_changed", Word::Good), ("no_change", Word::Same)], ..PLAIN
    },
    Row {
        name: "dynv6", also: &["ipv4@dynv6.com", "ipv6@dynv6.com", "default@dynv6.com"], title: "dynv6",
        page: "https://dynv6.com/", update: "https://dynv6.com/api/update", v4: "ipv4", v6: "ipv6",
        login: Login::TokenQuery,
        words: &[
            ("addresses updated", Word::Good),
            ("addresses unchanged", Word::Same),
            ("invalid authentication token", Word::Bad(Kind::Credentials, 0, "the token is refused; check it")),
        ],
        ..PLAIN
    },
    Row {
        name: "joker", also: &["default@joker.com"], title: "Joker", page: "https://joker.com/",
        update: "https://svc.joker.com/nic/update", ..PLAIN
    },
    Row {
        name: "do_de", also: &["default@do.de"], title: "Domain-Offensive", page: "https://www.do.de/",
        update: "https://ddns.do.de/nic/update", ..PLAIN
    },
    Row {
        name: "domopoli", also: &["default@domopoli"], title: "domopoli", page: "https://www.domopoli.de/",
        update: "https://dyndns.domopoli.de/nic/update", ..PLAIN
    },
    Row {
        name: "dyndns_it", also: &["default@dyndns.it"], title: "dyndns.it", page: "https://dyndns.it/",
        update: "https://update.dyndns.it/nic/update", extra: &[("system", "dyndns")], v6: "", ..PLAIN
    },
    Row {
        name: "eurodns", title: "EuroDNS", page: "https://www.eurodns.com/",
        update: "https://update.eurodyndns.org/update/", ..PLAIN
    },
    Row {
        name: "hosting_de", title: "hosting.de", page: "https://www.hosting.de/",
        update: "https://ddns.hosting.de/nic/update", ..PLAIN
    },
    Row {
        name: "schokokeks", also: &["default@schokokeks.org"], title: "schokokeks.org",
        page: "https://schokokeks.org/", update: "https://dyndns.schokokeks.org/nic/update", ..PLAIN
    },
    Row {
        name: "simply", also: &["default@simply.com"], title: "Simply.com", page: "https://www.simply.com/",
        update: "https://api.simply.com/2/ddns/", ..PLAIN
    },
    Row {
        name: "variomedia", also: &["default@variomedia.de"], title: "Variomedia", page: "https://www.variomedia.de/",
        update: "https://dyndns.variomedia.de/nic/update", ..PLAIN
    },
    Row {
        name: "ydns", title: "YDNS", page: "https://ydns.io/", update: "https://ydns.io/api/v1/update/",
        host: "host", v4: "ip", v6: "ip", words: &[("ok", Word::Good)], ..PLAIN
    },
    Row {
        name: "itsdns", also: &["default@itsdns.de"], title: "itsdns.de", page: "https://www.itsdns.de/",
        update: "https://www.itsdns.de/update.php", ..PLAIN
    },
    Row {
        name: "nowdns", title: "Now-DNS", page: "https://now-dns.com/", update: "https://now-dns.com/update", ..PLAIN
    },
    Row {
        name: "domeneshop", also: &["default@domene.shop"], title: "Domeneshop", page: "https://domene.shop/",
        update: "https://api.domeneshop.no/v0/dyndns/update", empty: Some(Outcome::Updated), ..PLAIN
    },
    Row {
        name: "apertodns", title: "ApertoDNS", page: "https://www.apertodns.com/",
        update: "https://api.apertodns.com/nic/update", ..PLAIN
    },
    Row {
        name: "core_networks", also: &["default@core-networks.de"], title: "Core-Networks",
        page: "https://www.core-networks.de/", update: "https://dyndns.core-networks.de/",
        keep4: &[("keepipv4", "1")], keep6: &[("keepipv6", "1")], ..PLAIN
    },
    Row {
        name: "dyndns2", title: "Any server that speaks dyndns2", page: "https://help.dyn.com/remote-access-api/",
        ..PLAIN
    },
}

const USERNAME: ProviderOption =
    ProviderOption::required("username", "The account's name, or the one made for updates.");
const PASSWORD: ProviderOption =
    ProviderOption::secret("password", "The password, update key or token that goes with it.");
const KEY: ProviderOption =
    ProviderOption::secret("password", "The key or secret that the service shows for this name.");
const TOKEN: ProviderOption = ProviderOption::secret("token", "The token, made on the service's page.");
const URL: ProviderOption = ProviderOption::plain(
    "url",
    "Address of a private server that speaks this protocol, with or without a path.",
);
const SERVER: ProviderOption =
    ProviderOption::required("url", "Address of the server; its path is /nic/update unless one is given.");

/// The options of a row.
const fn options(row: &Row) -> &'static [ProviderOption] {
    if row.update.is_empty() {
        return &[USERNAME, PASSWORD, SERVER];
    }
    match row.login {
        Login::User => &[USERNAME, PASSWORD, URL],
        Login::Domain => &[KEY, URL],
        Login::Token | Login::TokenQuery => &[TOKEN, URL],
    }
}
