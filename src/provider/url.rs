//! Services that are reached by one request: an address with parameters, and the answer is a word. Most of them speak
//! dyndns2 (<https://help.dyn.com/remote-access-api/>: return codes and the client's duties). Each is a row.

mod others;
mod row;
mod rows;
mod template;
mod words;

use super::web::{ends_account, garbled, http_failure, not_tried, quote};
use super::{Ask, Entry, Failure, Http, Job, Kind, Outcome, Reply, Update, Verdicts, Wanted};
use crate::wire::json::Json;
use crate::wire::xml;
pub use row::Row;
use row::{Login, Other};
use std::net::IpAddr;
use std::time::Duration;
pub(super) use words::told_failure;
use words::{first_word, is_bad, is_well, judge, phrase};

/// The shortest time to the next try after a failure in seconds, by Dyn's policy, which the others copied.
const FLOOR: u16 = 600;

/// The rows of [`super::PROVIDERS`]: those that speak dyndns2, then the others.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a wrong index")]
pub(super) const ENTRIES: [Entry; rows::ENTRIES.len() + others::ENTRIES.len()] = {
    let mut out = [rows::ENTRIES[0]; rows::ENTRIES.len() + others::ENTRIES.len()];
    let mut index = 0;
    while index < out.len() {
        let here = index < rows::ENTRIES.len();
        out[index] = if here { rows::ENTRIES[index] } else { others::ENTRIES[index - rows::ENTRIES.len()] };
        index += 1;
    }
    out
};

/// A row of [`super::PROVIDERS`] for a service.
const fn entry(name: &'static str, title: &'static str, page: &'static str, row: &'static Row) -> Entry {
    Entry {
        name,
        title,
        url: page,
        options: row.options(),
        families: row.families(),
        reads: false,
        floor: FLOOR,
        update: Update::Url(row),
    }
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
    // Where the request has no name, the login stands for all.
    let named = row.has("{host}") || row.has("{zone}");
    let agree = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_none() || b.is_none() || a == b;
    for wanted in records {
        let name = wanted.id.domain.as_str();
        let (v4, v6) = match wanted.addr {
            IpAddr::V4(_) => (Some(wanted.addr), None),
            IpAddr::V6(_) => (None, Some(wanted.addr)),
        };
        let fits = |shot: &&mut Shot| {
            if row.joint {
                // The other family, too.
                (shot.names == [name] || !named) && agree(shot.v4, v4) && agree(shot.v6, v6)
            } else {
                (shot.v4, shot.v6) == (v4, v6) && (!named || shot.names.len() < row.batch.into())
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
///
/// # Errors
/// [`Kind::Refused`] for several records where the login stands for one.
pub(super) fn update(row: &Row, job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    if row.single && job.records.len() > 1 {
        let text = "at this service a login stands for one name and one family; write a section for each";
        return Err(Failure::new(Kind::Refused, text).unsent());
    }
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
                let own = row.each && failure.kind == Kind::Credentials;
                ended = (ends_account(failure.kind) && !own).then(|| failure.clone());
            }
            verdicts.push((wanted.id.clone(), answer));
        }
    }
    Ok(verdicts)
}

/// The request for some records.
fn request(row: &Row, job: &Job, shot: &Shot) -> Result<Http, Failure> {
    if shot.v6.is_some() && !(row.has("{ip6") || row.has("{ip}")) {
        return Err(Failure::new(
            Kind::Refused,
            "this service takes no IPv6 addresses; set option family 'ipv4'",
        ));
    }
    let (place, query) = template::fill(row.url, job, shot)?;
    let http = if row.post {
        let http = Http { body: query, ..Http::new("POST", place) };
        http.header("Content-Type", "application/x-www-form-urlencoded")
    } else if query.is_empty() {
        Http::get(place)
    } else {
        let sign = if place.contains('?') { '&' } else { '?' };
        Http::get(format!("{place}{sign}{query}"))
    };
    let http = http.writes();
    Ok(match row.login {
        Login::Open => http,
        Login::User => http.basic(job.required("username")?, job.secret("password")?),
        Login::Domain => http.basic(shot.names.first().unwrap_or(&""), job.secret("password")?),
        Login::Twice => http.basic(job.secret("token")?, job.secret("token")?),
    })
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
    let wait = Duration::from_secs(FLOOR.into());
    let by_status = || Err(http_failure(reply, job.now, wait).unwrap_or_else(|| garbled(reply)));
    if text.is_empty() {
        return match row.other {
            Other::EmptyUpdated | Other::Any if success => Ok(Outcome::Updated),
            Other::EmptySame if success => Ok(Outcome::Unchanged),
            _ => by_status(),
        };
    }
    let cut = text.starts_with('{') && Json::parse(text).is_err()
        || text.starts_with("<?xml") && xml::parse(text).is_none();
    if cut {
        // Cut off: what a word in it means depends on what is missing.
        return by_status();
    }
    if let Some((name, word)) = phrase(row, text).filter(|(_, word)| success || is_bad(*word)) {
        // In a page any address may stand.
        return judge(name, word, text, if row.page { "" } else { text }, wanted.addr);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // A failure of the account or the system comes once for all names.
    let alone = lines.len() == 1
        && lines.first().is_some_and(|line| first_word(line).is_some_and(|(_, w)| is_bad(w)));
    let once = alone || shot.names.len() == 1 || !row.has("{host}");
    let Some(line) = lines.get(if once { 0 } else { place }) else {
        let text = format!("the service gave fewer answers than names: {}", quote(text));
        return Err(Failure::new(Kind::Unconfirmed, text));
    };
    match first_word(line).filter(|(_, word)| success || is_bad(*word)) {
        Some((name, word)) => judge(name, word, line, line.get(name.len()..).unwrap_or(""), wanted.addr),
        None if success && is_well(row, text, wanted.addr) => Ok(Outcome::Updated),
        None => by_status(),
    }
}
