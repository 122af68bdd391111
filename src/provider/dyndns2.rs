//! The dyndns2 protocol: one GET, the answer is a word a line; and the services that speak it, one row each.
//! <https://help.dyn.com/remote-access-api/> (return codes and the client's duties)

use super::web::{ends_account, garbled, http_failure, not_tried, quote};
use super::{Ask, Entry, Failure, Http, Job, Kind, Outcome, ProviderOption, Reply, Verdicts, Wanted};
use crate::model::Family;
use std::net::IpAddr;
use std::time::Duration;

/// The shortest time to the next try after a failure, by Dyn's policy, which the others copied.
const FLOOR: Duration = Duration::from_secs(600);
/// Wait after `911` and `dnserr`, by the same policy.
const TROUBLE: Duration = Duration::from_secs(1800);

/// A service.
struct Row {
    /// The value of `option provider`.
    name: &'static str,
    /// Names of the same row in inadyn, and others by which it is known.
    also: &'static [&'static str],
    /// As people call it.
    title: &'static str,
    /// The vendor's page.
    page: &'static str,
    /// Scheme, host and path of the update request; empty: `option url` must be set.
    update: &'static str,
    /// The same for IPv6 addresses, where another host takes them; else empty.
    update6: &'static str,
    /// Fixed parameters; they come first.
    extra: &'static [(&'static str, &'static str)],
    /// The parameter with the name.
    host: &'static str,
    /// The parameter with the IPv4 address.
    v4: &'static str,
    /// The parameter with the IPv6 address; empty: the service takes none.
    v6: &'static str,
    /// Sent along when only IPv6 is written, so that the IPv4 address is kept.
    keep4: &'static [(&'static str, &'static str)],
    /// Sent along when only IPv4 is written, so that the IPv6 address is kept.
    keep6: &'static [(&'static str, &'static str)],
    /// Both families of a name go in one request.
    joint: bool,
    /// The most names in one request.
    batch: usize,
    /// How it knows us.
    login: Login,
    /// Words beyond those of the protocol; looked for as whole words, before them.
    words: &'static [(&'static str, Word)],
    /// What an answer 2xx without a body means, if anything.
    empty: Option<Outcome>,
}

/// How a service knows us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
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
enum Word {
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
const WORDS: &[(&str, Word)] = &[
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
        /// The services as rows of [`super::PROVIDERS`].
        pub(super) const ENTRIES: &[Entry] = &[$({
            const ROW: Row = $row;
            Entry {
                name: ROW.name,
                title: ROW.title,
                url: ROW.page,
                options: options(&ROW),
                families: if ROW.v6.is_empty() { &[Family::V4] } else { &Family::BOTH },
                reads: false,
                floor: FLOOR,
                update: |job, ask| update(&ROW, job, ask),
            }
        }),*];

        /// Other names of the rows, and their own.
        const ALSO: &[(&[&str], &str)] = &[$({
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

/// The row's own name, by a name that another client has for it.
pub(super) fn own_name(name: &str) -> Option<&'static str> {
    ALSO.iter().find(|(names, _)| names.contains(&name)).map(|(_, own)| *own)
}

/// One request: some records, all with the same addresses.
struct Shot<'a> {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
    /// The names, in the order of the request.
    names: Vec<&'a str>,
    /// Each record with its name's place among `names`.
    records: Vec<(usize, &'a Wanted)>,
}

/// The records in as few requests as the service allows.
fn shots<'a>(row: &Row, records: &'a [Wanted]) -> Vec<Shot<'a>> {
    let mut shots: Vec<Shot> = Vec::new();
    for wanted in records {
        let name = wanted.id.domain.as_str();
        let (v4, v6) = match wanted.addr {
            IpAddr::V4(_) => (Some(wanted.addr), None),
            IpAddr::V6(_) => (None, Some(wanted.addr)),
        };
        let fits = |shot: &&mut Shot| {
            if row.joint {
                // The other family of the same name.
                shot.names == [name]
                    && (shot.v4.is_none() || v4.is_none())
                    && (shot.v6.is_none() || v6.is_none())
            } else {
                shot.names.len() < row.batch && (shot.v4, shot.v6) == (v4, v6)
            }
        };
        match shots.iter_mut().find(fits) {
            Some(shot) => {
                (shot.v4, shot.v6) = (shot.v4.or(v4), shot.v6.or(v6));
                if !shot.names.contains(&name) {
                    shot.names.push(name);
                }
                shot.records.push((shot.names.len() - 1, wanted));
            }
            None => shots.push(Shot { v4, v6, names: vec![name], records: vec![(0, wanted)] }),
        }
    }
    shots
}

/// Brings a job's records up to date at one of the services.
fn update(row: &Row, job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    let mut verdicts = Vec::with_capacity(job.records.len());
    let mut ended: Option<Failure> = None;
    for shot in shots(row, &job.records) {
        let answers = match &ended {
            Some(failure) => Err(not_tried(failure)),
            None => request(row, job, &shot).and_then(|http| {
                let reply = ask(http.into())?;
                Ok(shot
                    .records
                    .iter()
                    .map(|(place, wanted)| verdict(row, job, &shot, *place, wanted, &reply))
                    .collect())
            }),
        };
        let answers: Vec<_> = answers.unwrap_or_else(|failure| vec![Err(failure); shot.records.len()]);
        for ((_, wanted), answer) in shot.records.iter().zip(answers) {
            if let (None, Err(failure)) = (&ended, &answer) {
                // Where each name has a key of its own, a refused one says nothing of the others.
                let own = row.login == Login::Domain && failure.kind == Kind::Credentials;
                ended = (ends_account(failure.kind) && !own).then(|| failure.clone());
            }
            verdicts.push((wanted.id.clone(), answer));
        }
    }
    Ok(verdicts)
}

/// The request for some records.
fn request(row: &Row, job: &Job, shot: &Shot) -> Result<Http, Failure> {
    if shot.v6.is_some() && row.v6.is_empty() {
        return Err(Failure::new(
            Kind::Refused,
            "this service takes no IPv6 addresses; set option family 'ipv4'",
        ));
    }
    let mut http = Http::get(target(row, job, shot.v6.is_some())?).query(row.extra);
    if row.login == Login::TokenQuery {
        http = http.query(&[("token", job.secret("token")?)]);
    }
    http = http.query(&[(row.host, &shot.names.join(","))]);
    match shot.v4 {
        Some(addr) => http = http.query(&[(row.v4, &addr.to_string())]),
        None => http = http.query(row.keep4),
    }
    match shot.v6 {
        Some(addr) => http = http.query(&[(row.v6, &addr.to_string())]),
        None => http = http.query(row.keep6),
    }
    let http = http.writes();
    Ok(match row.login {
        Login::User => match job.option("username") {
            Some(user) => http.basic(user, job.secret("password")?),
            None => return Err(Failure::new(Kind::Credentials, "option username is not set")),
        },
        Login::Domain => http.basic(shot.names.first().unwrap_or(&""), job.secret("password")?),
        Login::Token => http.header("Authorization", format!("Token {}", job.secret("token")?)),
        Login::TokenQuery => http,
    })
}

/// Scheme, host and path. `option url` replaces scheme and host, and the path too where it has one.
fn target(row: &Row, job: &Job, v6: bool) -> Result<String, Failure> {
    let own = if v6 && !row.update6.is_empty() { row.update6 } else { row.update };
    let Some(url) = job.option("url") else {
        return match own {
            "" => Err(Failure::new(Kind::Refused, "option url is not set")),
            own => Ok(own.to_owned()),
        };
    };
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(host) = host else {
        return Err(Failure::new(Kind::Refused, "option url must begin with https:// or http://"));
    };
    if host.contains('/') && !host.ends_with('/') || host.matches('/').count() > 1 {
        return Ok(url.to_owned());
    }
    let path = own.splitn(4, '/').nth(3).unwrap_or("nic/update");
    Ok(format!("{}/{path}", url.trim_end_matches('/')))
}

/// The verdict on one record of a request: the body's words first, then the status.
fn verdict(
    row: &Row,
    job: &Job,
    shot: &Shot,
    place: usize,
    wanted: &Wanted,
    reply: &Reply,
) -> Result<Outcome, Failure> {
    let text = reply.text();
    let text = text.trim_start_matches('\u{feff}').trim();
    let success = (200..300).contains(&reply.status);
    let by_status = || Err(http_failure(reply, job.now, FLOOR).unwrap_or_else(|| garbled(reply)));
    if text.is_empty() {
        return match &row.empty {
            Some(outcome) if success => Ok(outcome.clone()),
            _ => by_status(),
        };
    }
    if let Some((word, meaning)) = phrase(row.words, text).filter(|(_, word)| success || is_bad(*word)) {
        return judge(word, meaning, text, text, wanted);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // A failure of the account or the system comes once for all names.
    let alone = lines.len() == 1
        && lines.first().is_some_and(|line| first_word(line).is_some_and(|(_, w)| is_bad(w)));
    let Some(line) = lines.get(if alone || shot.names.len() == 1 { 0 } else { place }) else {
        let text = format!("could not confirm: the service gave fewer answers than names: {}", quote(text));
        return Err(Failure::new(Kind::Unconfirmed, text));
    };
    match first_word(line).filter(|(_, word)| success || is_bad(*word)) {
        Some((word, meaning)) => judge(word, meaning, line, line.get(word.len()..).unwrap_or(""), wanted),
        None => by_status(),
    }
}

/// True for a failure.
fn is_bad(word: Word) -> bool {
    matches!(word, Word::Bad(..))
}

/// The protocol's word that begins a line.
fn first_word(line: &str) -> Option<(&'static str, Word)> {
    let first = line.split_whitespace().next()?;
    WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(first)).copied()
}

/// The first of some words that stands in a text by itself; never in a web page.
fn phrase(words: &'static [(&'static str, Word)], text: &str) -> Option<(&'static str, Word)> {
    let text = text.to_ascii_lowercase();
    if text.starts_with("<!doctype") || text.starts_with("<html") {
        return None;
    }
    words.iter().find(|(word, _)| has_word(&text, word)).copied()
}

/// True if `word` stands in `text` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|tail| tail.chars().next());
        !before.is_some_and(inner) && !after.is_some_and(inner)
    })
}

/// The failure that an answer tells in the protocol's words, if it does; for servers of other protocols
/// that use them too.
pub(super) fn told_failure(text: &str) -> Option<Failure> {
    match first_word(text.trim())? {
        (word, Word::Bad(kind, wait, words)) => Some(failure(word, kind, wait, words)),
        _ => None,
    }
}

/// The failure behind a word.
fn failure(word: &str, kind: Kind, wait: u32, words: &str) -> Failure {
    let failure = Failure::new(kind, format!("{word}: {words}"));
    match wait {
        0 => failure,
        seconds => failure.after(Duration::from_secs(seconds.into()).min(TROUBLE)),
    }
}

/// What a word means for a record. `rest` is where the service says which address it has stored.
fn judge(word: &str, meaning: Word, line: &str, rest: &str, wanted: &Wanted) -> Result<Outcome, Failure> {
    let outcome = match meaning {
        Word::Bad(kind, wait, words) => return Err(failure(word, kind, wait, words)),
        Word::Good => Outcome::Updated,
        Word::Same => Outcome::Unchanged,
    };
    let told: Vec<IpAddr> = rest
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter_map(|part| part.parse().ok())
        .filter(|addr: &IpAddr| addr.is_ipv4() == wanted.addr.is_ipv4())
        .collect();
    if told.is_empty() || told.contains(&wanted.addr) {
        return Ok(outcome);
    }
    if told.iter().any(IpAddr::is_loopback) {
        let text =
            format!("{}: the service ignores this client; see its page for why it is blocked", quote(line));
        return Err(Failure::new(Kind::Refused, text));
    }
    let text = format!("could not confirm: {} was sent, but the service says: {}", wanted.addr, quote(line));
    Err(Failure::new(Kind::Unconfirmed, text))
}
