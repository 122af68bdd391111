//! The dyndns2 protocol: one GET, the answer is a word a line. The services that speak it are in `rows`.
//! <https://help.dyn.com/remote-access-api/> (return codes and the client's duties)

mod rows;

use super::web::{ends_account, garbled, http_failure, not_tried, quote};
use super::{Ask, Failure, Http, Job, Kind, Outcome, Reply, Verdicts, Wanted};
pub use rows::Row;
pub(super) use rows::ENTRIES;
use rows::{Login, Word, ALSO, WORDS};
use std::net::IpAddr;
use std::time::Duration;

/// The shortest time to the next try after a failure, by Dyn's policy, which the others copied.
const FLOOR: Duration = Duration::from_secs(600);
/// Wait after `911` and `dnserr`, by the same policy.
const TROUBLE: Duration = Duration::from_secs(1800);

/// The row's own name, by a name that another client has for it.
pub(super) fn own_name(name: &str) -> Option<&'static str> {
    ALSO.iter().find(|(names, _)| names.contains(&name)).map(|(_, own)| *own)
}

/// Other names of the row.
pub(super) fn aliases(own: &str) -> &'static [&'static str] {
    ALSO.iter().find(|(_, name)| *name == own).map_or(&[], |(names, _)| names)
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
pub(super) fn update(row: &Row, job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
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
        let text = format!("the service gave fewer answers than names: {}", quote(text));
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
    let told =
        rest.split(|c: char| c.is_whitespace() || c == ',').filter_map(|part| part.parse::<IpAddr>().ok());
    if told.clone().any(|addr| addr.is_loopback()) && !wanted.addr.is_loopback() {
        let text =
            format!("{}: the service ignores this client; see its page for why it is blocked", quote(line));
        return Err(Failure::new(Kind::Refused, text));
    }
    let mut told = told.filter(|addr| addr.is_ipv4() == wanted.addr.is_ipv4()).peekable();
    if told.peek().is_none() || told.any(|addr| addr == wanted.addr) {
        return Ok(outcome);
    }
    let text = format!("{} was sent, but the service says: {}", wanted.addr, quote(line));
    Err(Failure::new(Kind::Unconfirmed, text))
}
