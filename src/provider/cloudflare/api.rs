//! Cloudflare's API: lists and writes, and what its codes mean.
//! <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

use crate::map::Set;
use crate::provider::web::{http_failure, quote};
use crate::provider::{Ask, Failure, Http, Kind, Outcome, Reply, Verdicts, Wanted};
use crate::wire::json::{array, Json, Object};
use std::net::IpAddr;
use std::time::Duration;

/// Records in one page of a list. A record has 400 to 1,300 bytes, so that a page stays below the cap of a body.
const PAGE: usize = 200;
/// Zones in one page of a list (the API's own limit).
const ZONE_PAGE: usize = 50;
/// The most pages of zones that are read.
const MAX_ZONE_PAGES: usize = 20;
/// Wait after 429 without a waiting time: a blocked token is let in again after five minutes.
const WAIT: Duration = Duration::from_secs(300);

/// What a code of the API means, beyond its [`Kind`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Nothing special.
    Other,
    /// The zone's id is wrong: it must be looked up again.
    Zone,
    /// The list that the write was based on is out of date: read again.
    Stale,
    /// The answer did not come over whole (a page of long records): ask for less.
    Cut,
}

/// A failure, and what to do about it before giving up.
#[derive(Clone)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) code: Code,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure, code: Code::Other }
    }
}

/// A record as the API lists it.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) rtype: String,
    pub(super) addr: Option<IpAddr>,
    pub(super) ttl: i64,
    pub(super) proxied: bool,
}

/// A write that is to be done.
pub(super) struct Write<'a> {
    pub(super) wanted: &'a Wanted,
    /// The record to change; `None` to create one.
    pub(super) id: Option<String>,
    /// Whether it lies behind the proxy then.
    pub(super) proxied: bool,
    /// The JSON body, for a batch with the id in it.
    pub(super) body: Object,
}

/// The API, with all that a call needs.
pub(super) struct Api<'a, 'b> {
    pub(super) base: String,
    pub(super) token: String,
    pub(super) now: u64,
    pub(super) ask: &'a mut Ask<'b>,
}

impl Api<'_, '_> {
    /// One call. `body` makes it a write.
    fn call(
        &mut self,
        method: &'static str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Json, Trouble> {
        let mut http = Http::new(method, format!("{}{path}", self.base)).query(query);
        http = http.header("Authorization", format!("Bearer {}", self.token));
        if let Some(body) = body {
            http = http.json(body).writes();
        }
        let reply = (self.ask)(http.into()).map_err(|failure| Trouble {
            code: if failure.kind == Kind::Garbled { Code::Cut } else { Code::Other },
            failure,
        })?;
        read(&reply, self.now)
    }

    /// The zones that the token reaches, by name and id: the one of this name, or all.
    pub(super) fn zones(&mut self, name: Option<&str>) -> Result<Vec<(String, String)>, Trouble> {
        let mut found = Vec::new();
        for page in 1..=MAX_ZONE_PAGES {
            let (page, per_page) = (page.to_string(), ZONE_PAGE.to_string());
            let mut query = vec![("status", "active"), ("per_page", per_page.as_str())];
            match name {
                Some(name) => query.insert(0, ("name", name)),
                None if page != "1" => query.push(("page", &page)),
                None => {}
            }
            let json = self.call("GET", "/zones", &query, None)?;
            let zones = list(&json)?;
            for zone in zones {
                let id = path_part(zone.get("id"))?;
                let zone = zone.get("name").str().ok_or_else(|| odd("a zone without a name"))?;
                found.push((zone.to_ascii_lowercase(), id));
            }
            if name.is_some() || pages(&json, false)? <= page.parse().unwrap_or(1) {
                break;
            }
        }
        Ok(found)
    }

    /// The records of a zone that concern the wanted ones, in as few requests as it takes: for one name by
    /// its name, for several page by page, unless asking for each name takes fewer.
    pub(super) fn records(&mut self, zone: &str, members: &[&Wanted]) -> Result<Vec<Found>, Trouble> {
        let names: Set<&str> = members.iter().map(|wanted| wanted.id.domain.as_str()).collect();
        let mut found = Vec::new();
        if names.len() > 1 {
            let types: Set<&str> = members.iter().map(|wanted| wanted.id.family.rtype()).collect();
            let per_page = PAGE.to_string();
            let mut query = vec![("per_page", per_page.as_str())];
            if let (1, Some(only)) = (types.len(), types.first()) {
                query.insert(0, ("type", only));
            }
            let total = match self.page(zone, &query, false, &names, &mut found) {
                Err(trouble) if trouble.code == Code::Cut => usize::MAX,
                total => total?,
            };
            if total.saturating_sub(1) <= names.len() {
                for page in 2..=total {
                    let page = page.to_string();
                    let query: Vec<_> = query.iter().copied().chain([("page", page.as_str())]).collect();
                    self.page(zone, &query, false, &names, &mut found)?;
                }
                return Ok(found);
            }
            found.clear();
        }
        for name in &names {
            self.page(zone, &[("name", name), ("per_page", "100")], true, &names, &mut found)?;
        }
        Ok(found)
    }

    /// Reads one page of records, keeps those of the wanted names, and answers how many pages there are.
    fn page(
        &mut self,
        zone: &str,
        query: &[(&str, &str)],
        of_name: bool,
        names: &Set<&str>,
        found: &mut Vec<Found>,
    ) -> Result<usize, Trouble> {
        let json = self.call("GET", &format!("/zones/{zone}/dns_records"), query, None)?;
        let records = list(&json)?;
        for record in records {
            let name =
                record.get("name").str().ok_or_else(|| odd("a record without a name"))?.to_ascii_lowercase();
            if names.contains(name.as_str()) {
                let record = read_record(record, name)?;
                // A list that changes while it is read may show a record on two pages.
                if found.iter().all(|known| known.id != record.id) {
                    found.push(record);
                }
            }
        }
        Ok(pages(&json, of_name)?)
    }

    /// Sends several writes as one batch, which is done wholly or not at all.
    pub(super) fn batch(&mut self, zone: &str, writes: &[Write]) -> Result<Verdicts, Trouble> {
        let bodies = |changes: bool| {
            let some = writes.iter().filter(move |write| write.id.is_some() == changes);
            array(some.map(|write| match &write.id {
                Some(id) => write.body.clone().str("id", id).end(),
                None => write.body.clone().end(),
            }))
        };
        let mut body = Object::new();
        for (key, changes) in [("patches", true), ("posts", false)] {
            if writes.iter().any(|write| write.id.is_some() == changes) {
                body = body.raw(key, &bodies(changes));
            }
        }
        let json = self.call("POST", &format!("/zones/{zone}/dns_records/batch"), &[], Some(body.end()))?;
        let told = |write: &Write| {
            let key = if write.id.is_some() { "patches" } else { "posts" };
            json.get("result").get(key).items().iter().any(|record| confirms(record, write.wanted))
        };
        Ok(writes.iter().map(|write| (write.wanted.id.clone(), confirmed(write, told(write)))).collect())
    }

    /// Sends one write, once.
    pub(super) fn write(&mut self, zone: &str, write: &Write) -> Result<Outcome, Trouble> {
        let body = Some(write.body.clone().end());
        let path = format!("/zones/{zone}/dns_records");
        let json = match &write.id {
            Some(id) => self.call("PATCH", &format!("{path}/{id}"), &[], body)?,
            None => self.call("POST", &path, &[], body)?,
        };
        Ok(confirmed(write, confirms(json.get("result"), write.wanted))?)
    }
}

/// True if a record of an answer to a write is the wanted one.
fn confirms(record: &Json, wanted: &Wanted) -> bool {
    record.get("name").str().is_some_and(|name| name.eq_ignore_ascii_case(&wanted.id.domain))
        && record.get("type").str() == Some(wanted.id.family.rtype())
        && record.get("content").str().and_then(|text| text.parse().ok()) == Some(wanted.addr)
}

/// The verdict on a write that was accepted.
fn confirmed(write: &Write, told: bool) -> Result<Outcome, Failure> {
    match told {
        true if write.proxied => Ok(Outcome::UpdatedBehindProxy),
        true => Ok(Outcome::Updated),
        false => {
            Err(odd("could not confirm: the answer to the write does not show the address that was sent"))
        }
    }
}

/// Something in an answer that makes no sense.
fn odd(what: &str) -> Failure {
    Failure::new(Kind::Garbled, format!("Cloudflare's answer makes no sense: {what}"))
}

/// The list in an answer.
fn list(json: &Json) -> Result<&[Json], Failure> {
    json.get("result").array().ok_or_else(|| odd("no list of results"))
}

/// How many pages a list has. The list of a single name needs not say it: it has one.
fn pages(json: &Json, of_name: bool) -> Result<usize, Failure> {
    let info = json.get("result_info");
    match info.get("total_pages").num() {
        Some(pages) => Ok(usize::try_from(pages).unwrap_or(0)),
        None if of_name && info.is_null() => Ok(1),
        None => Err(odd("no number of pages")),
    }
}

/// An id as it may stand in a path.
fn path_part(id: &Json) -> Result<String, Failure> {
    match id.str() {
        Some(id) if !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            Ok(id.to_owned())
        }
        _ => Err(odd("an id that is none")),
    }
}

/// Reads a record of a list.
fn read_record(record: &Json, name: String) -> Result<Found, Failure> {
    let rtype = record.get("type").str().ok_or_else(|| odd("a record without a type"))?.to_owned();
    let content = record.get("content").str();
    let addr = content.and_then(|text| text.parse().ok());
    if matches!(rtype.as_str(), "A" | "AAAA") && addr.is_none() {
        return Err(odd("an address record without an address"));
    }
    Ok(Found {
        id: path_part(record.get("id"))?,
        name,
        rtype,
        addr,
        ttl: record.get("ttl").num().ok_or_else(|| odd("a record without a time to live"))?,
        proxied: record
            .get("proxied")
            .bool()
            .ok_or_else(|| odd("a record that is neither proxied nor not"))?,
    })
}

/// Reads an answer's envelope.
fn read(reply: &Reply, now: u64) -> Result<Json, Trouble> {
    let status = http_failure(reply, now, WAIT);
    let json = match Json::parse(&reply.text()) {
        Ok(json) => json,
        Err(error) => {
            let text = format!("{error}: {}", quote(&reply.text()));
            return Err(status.unwrap_or_else(|| odd(&text)).into());
        }
    };
    match (json.get("success").bool(), status) {
        (Some(true), None) => Ok(json),
        (Some(false), status) => Err(refusal(&json, status)),
        (_, Some(failure)) => Err(failure.into()),
        _ => Err(odd("it tells neither success nor failure").into()),
    }
}

/// The failure that an envelope tells: the code in the chain says more than the one outside.
fn refusal(json: &Json, status: Option<Failure>) -> Trouble {
    let errors = json.get("errors").items();
    let mut codes: Vec<i64> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut take = |error: &Json| {
        if let Some(code) = error.get("code").num() {
            codes.push(code);
            words.push(format!("{code} {}", error.get("message").str().unwrap_or_default()));
        }
    };
    for error in errors {
        error.get("error_chain").items().iter().for_each(&mut take);
        take(error);
    }
    words.reverse();
    let text = match quote(&words.join(", ")) {
        text if text.is_empty() => "Cloudflare gives no reason".to_owned(),
        text => format!("Cloudflare says {text}"),
    };
    let by_status = status.as_ref().map_or(Kind::Refused, |failure| failure.kind);
    let meaning = codes.iter().find_map(|code| meaning(*code));
    let (kind, code, mend) = match (by_status, meaning) {
        // A busy service may say anything.
        (Kind::Busy, _) => (Kind::Busy, Code::Other, "the service is busy or in trouble; nothing to do here"),
        (_, Some(meaning)) => meaning,
        (Kind::Credentials, _) => (Kind::Credentials, Code::Other, "check the token and its rights"),
        (kind, _) => (kind, Code::Other, "check the options of the record"),
    };
    let mut failure = Failure::new(kind, format!("{text}; {mend}"));
    failure.retry_after = match (kind, status.and_then(|failure| failure.retry_after)) {
        (Kind::Busy, None) if by_status != Kind::Busy => Some(WAIT),
        (Kind::Busy, wait) => wait,
        _ => None,
    };
    Trouble { failure, code }
}

/// What a code means, where it is known.
fn meaning(code: i64) -> Option<(Kind, Code, &'static str)> {
    Some(match code {
        6003 | 6103 | 6111 | 9106 | 9109 | 10_000 | 10_001 => (
            Kind::Credentials,
            Code::Other,
            "check the token: is it whole, valid, and does it have the rights Zone:Read and DNS:Edit?",
        ),
        7000 | 7003 => (Kind::NoSuchName, Code::Zone, "the zone's id is wrong; check option zone_id"),
        10_013 | 971 => (Kind::Busy, Code::Other, "too many requests"),
        81_044 | 81_053 | 81_054 | 81_055 | 81_056 | 81_057 | 81_058 => {
            (Kind::Refused, Code::Stale, "another record stands in the way; remove it, or use another name")
        }
        81_045 => (Kind::Refused, Code::Other, "the zone has as many records as its plan allows"),
        9021 => (Kind::Refused, Code::Other, "check option ttl: 60 to 86400 seconds"),
        9041 => (Kind::Refused, Code::Other, "this record cannot be proxied; set option proxied '0'"),
        1004 | 9000 | 9005 | 9006 => {
            (Kind::Refused, Code::Other, "the record is not taken; check the options of the record")
        }
        _ => return None,
    })
}
