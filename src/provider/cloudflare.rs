//! Cloudflare: list once, then one write (a batch for several). Only the address is written; a record keeps
//! its ttl, proxied, comment and tags. <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

use super::web::{base_url, ends_account, http_failure, not_tried, quote};
use super::{Ask, Entry, Failure, Http, Job, Kind, Outcome, ProviderOption, Reply, Verdicts, Wanted};
use crate::model::Family;
use crate::wire::json::{array, Json, Object};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The row of this provider.
pub const ENTRY: Entry = Entry {
    name: "cloudflare",
    title: "Cloudflare",
    url: "https://www.cloudflare.com/",
    options: &[
        ProviderOption::secret("token", "An API token with the rights Zone:Read and DNS:Edit for the zone."),
        ProviderOption::plain("zone_id", "The zone's id, where the token has no right to look it up."),
        ProviderOption::plain(
            "proxied",
            "1 or 0: make the record so; unset: an existing record stays as it is.",
        ),
        ProviderOption::plain("url", "Address of a private server that speaks this protocol."),
    ],
    families: &Family::BOTH,
    reads: true,
    floor: Duration::ZERO,
    update,
};

/// Where the API is.
const BASE: &str = "https://api.cloudflare.com/client/v4";
/// Records in one page of a list. A record has 400 to 1,300 bytes, so that a page stays below the cap of a body.
const PAGE: usize = 200;
/// Zones in one page of a list (the API's own limit).
const ZONE_PAGE: usize = 50;
/// The most pages of zones that are read.
const MAX_ZONE_PAGES: usize = 20;
/// The most changes in one batch (the limit of the free plan).
const BATCH: usize = 200;
/// Wait after 429 without a waiting time: a blocked token is let in again after five minutes.
const WAIT: Duration = Duration::from_secs(300);
/// What a key of the memo begins with; a zone's name follows, its value is the zone's id.
const MEMO: &str = "zone ";

/// What a code of the API means, beyond its [`Kind`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
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
struct Trouble {
    failure: Failure,
    code: Code,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure, code: Code::Other }
    }
}

/// A record as the API lists it.
struct Found {
    id: String,
    name: String,
    rtype: String,
    addr: Option<IpAddr>,
    ttl: i64,
    proxied: bool,
}

/// A write that is to be done.
struct Write<'a> {
    wanted: &'a Wanted,
    /// The record to change; `None` to create one.
    id: Option<String>,
    /// The JSON body, for a batch with the id in it.
    body: Object,
}

/// What the owner asks for besides the address.
#[derive(Clone, Copy)]
struct Wishes {
    ttl: Option<u32>,
    proxied: Option<bool>,
}

/// The API, with all that a call needs.
struct Api<'a, 'b> {
    base: String,
    token: String,
    now: u64,
    ask: &'a mut Ask<'b>,
}

/// Brings a job's records up to date, zone by zone.
fn update(job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    let wishes = Wishes { ttl: job.ttl, proxied: proxied(job)? };
    let base = base_url(job, BASE)?.to_owned();
    let mut api = Api { base, token: job.secret("token")?.to_owned(), now: job.now, ask };
    let records = job.records.clone();
    let mut verdicts = Vec::with_capacity(records.len());
    let mut ended: Option<Failure> = None;
    // The second round is for zones whose remembered id turned out to be wrong.
    let mut todo: Vec<&Wanted> = records.iter().collect();
    for last in [false, true] {
        let mut again = Vec::new();
        for (zone, members) in group(job, &mut api, std::mem::take(&mut todo), &mut verdicts)? {
            if let Some(failure) = &ended {
                verdicts.extend(all(&members, &not_tried(failure)));
                continue;
            }
            match in_zone(&mut api, &zone, &members, wishes) {
                Ok(done) => verdicts.extend(done),
                Err(trouble) if trouble.code == Code::Zone && !last && forget(job, &zone) => {
                    again.extend(members)
                }
                Err(Trouble { failure, .. }) => {
                    verdicts.extend(all(&members, &failure));
                    ended =
                        (ends_account(failure.kind) && failure.kind != Kind::Credentials).then_some(failure);
                }
            }
        }
        todo = again;
        if todo.is_empty() {
            break;
        }
    }
    Ok(verdicts)
}

/// `option proxied`.
fn proxied(job: &Job) -> Result<Option<bool>, Failure> {
    match job.option("proxied") {
        None => Ok(None),
        Some("1" | "on" | "true" | "yes" | "enabled") => Ok(Some(true)),
        Some("0" | "off" | "false" | "no" | "disabled") => Ok(Some(false)),
        Some(_) => Err(Failure::new(Kind::Refused, "option proxied must be 1 or 0")),
    }
}

/// The same failure for some records.
fn all(members: &[&Wanted], failure: &Failure) -> Verdicts {
    members.iter().map(|wanted| (wanted.id.clone(), Err(failure.clone()))).collect()
}

/// Drops what is remembered of a zone id; false if nothing was.
fn forget(job: &mut Job, zone: &str) -> bool {
    let before = job.memo.len();
    job.memo.retain(|key, id| !(key.starts_with(MEMO) && id == zone));
    job.memo.len() < before
}

/// The records by zone id. A record without a zone gets its verdict at once.
fn group<'a>(
    job: &mut Job,
    api: &mut Api,
    records: Vec<&'a Wanted>,
    verdicts: &mut Verdicts,
) -> Result<BTreeMap<String, Vec<&'a Wanted>>, Failure> {
    let mut groups: BTreeMap<String, Vec<&Wanted>> = BTreeMap::new();
    if let Some(id) = job.option("zone_id") {
        groups.insert(id.to_owned(), records);
        return Ok(groups);
    }
    let explicit = job.zone.as_ref().map(|zone| zone.trim_end_matches('.').to_ascii_lowercase());
    let known = |job: &Job, wanted: &Wanted| match &explicit {
        Some(zone) => job.memo.get(&format!("{MEMO}{zone}")).cloned(),
        None => longest(&job.memo, &wanted.id.domain),
    };
    if !records.iter().all(|wanted| known(job, wanted).is_some()) {
        let found = api.zones(explicit.as_deref()).map_err(|trouble| trouble.failure)?;
        let wanted = |zone: &str| records.iter().any(|wanted| is_below(&wanted.id.domain, zone));
        let found = found.into_iter().filter(|(zone, _)| wanted(zone));
        job.memo.extend(found.map(|(zone, id)| (format!("{MEMO}{zone}"), id)));
    }
    for wanted in records {
        let inside = explicit.as_deref().is_none_or(|zone| is_below(&wanted.id.domain, zone));
        match known(job, wanted).filter(|_| inside) {
            Some(id) => groups.entry(id).or_default().push(wanted),
            None => verdicts.push((wanted.id.clone(), Err(no_zone(&wanted.id.domain, explicit.as_deref())))),
        }
    }
    Ok(groups)
}

/// The failure for a name that lies in no zone of the token.
fn no_zone(domain: &str, zone: Option<&str>) -> Failure {
    let text = match zone {
        Some(zone) if !is_below(domain, zone) => format!("{domain} does not lie in the zone {zone} of option zone"),
        Some(zone) => format!("the token reaches no active zone {zone}; give it the right Zone:Read, or set option zone_id"),
        None => format!("the token reaches no active zone that holds {domain}; give it the right Zone:Read, or set option zone_id"),
    };
    Failure::new(Kind::NoSuchName, text)
}

/// The id of the longest remembered zone that holds a domain.
fn longest(memo: &BTreeMap<String, String>, domain: &str) -> Option<String> {
    let zones = memo.iter().filter_map(|(key, id)| Some((key.strip_prefix(MEMO)?, id)));
    zones
        .filter(|(zone, _)| is_below(domain, zone))
        .max_by_key(|(zone, _)| zone.len())
        .map(|(_, id)| id.clone())
}

/// True if a domain is a zone's apex or lies below it.
fn is_below(domain: &str, zone: &str) -> bool {
    match domain.strip_suffix(zone) {
        Some(head) => !zone.is_empty() && (head.is_empty() || head.ends_with('.')),
        None => false,
    }
}

/// Brings the records of one zone up to date.
fn in_zone(api: &mut Api, zone: &str, members: &[&Wanted], wishes: Wishes) -> Result<Verdicts, Trouble> {
    let found = api.records(zone, members)?;
    let mut verdicts = Verdicts::new();
    let mut writes = Vec::new();
    for wanted in members {
        match compare(wanted, &found, wishes) {
            Ok(None) => verdicts.push((wanted.id.clone(), Ok(Outcome::Unchanged))),
            Ok(Some(write)) => writes.push(write),
            Err(failure) => verdicts.push((wanted.id.clone(), Err(failure))),
        }
    }
    let mut ended = None;
    for chunk in writes.chunks(BATCH) {
        verdicts.extend(write_all(api, zone, chunk, wishes, &mut ended));
    }
    Ok(verdicts)
}

/// Does some writes: one by itself, several as a batch. A batch is all or nothing, and one bad record fails
/// it: when it is refused, each is tried by itself. `ended` is the failure that ended the account's turn.
fn write_all(
    api: &mut Api,
    zone: &str,
    writes: &[Write],
    wishes: Wishes,
    ended: &mut Option<Failure>,
) -> Verdicts {
    if ended.is_none() && writes.len() > 1 {
        match api.batch(zone, writes) {
            Ok(verdicts) => return verdicts,
            Err(Trouble { failure, code }) => {
                let refused = matches!(failure.kind, Kind::Refused | Kind::NoSuchName) && code != Code::Zone;
                if !refused {
                    let verdicts =
                        writes.iter().map(|write| (write.wanted.id.clone(), Err(failure.clone()))).collect();
                    *ended = Some(failure);
                    return verdicts;
                }
            }
        }
    }
    let mut verdicts = Verdicts::new();
    for write in writes {
        let verdict = match &ended {
            Some(failure) => Err(not_tried(failure)),
            None => api.single(zone, write, wishes),
        };
        if let (None, Err(failure)) = (&ended, &verdict) {
            *ended = ends_account(failure.kind).then(|| failure.clone());
        }
        verdicts.push((write.wanted.id.clone(), verdict));
    }
    verdicts
}

/// What is to be written for a record: nothing, or one write. Of several records only one that is right
/// already is taken: which of them is ours cannot be known.
fn compare<'a>(wanted: &'a Wanted, found: &[Found], wishes: Wishes) -> Result<Option<Write<'a>>, Failure> {
    let domain = &wanted.id.domain;
    let rtype = wanted.id.family.rtype();
    let here = || found.iter().filter(|record| record.name.eq_ignore_ascii_case(domain));
    let mut same = here().filter(|record| record.rtype == rtype);
    match (same.next(), same.next()) {
        (None, _) if here().any(|record| record.rtype == "CNAME") => Err(Failure::new(
            Kind::Refused,
            format!("a CNAME record stands at {domain}, beside which no address can be; remove it, or use another name"),
        )),
        (None, _) => Ok(Some(Write { wanted, id: None, body: creation(wanted, wishes) })),
        (Some(only), None) => Ok(change(wanted, only, wishes)),
        _ if here().any(|record| record.rtype == rtype && record.addr == Some(wanted.addr)) => Ok(None),
        _ => Err(Failure::new(
            Kind::Refused,
            format!("several {rtype} records stand at {domain}, and which one is ours cannot be known; remove all but one"),
        )),
    }
}

/// The whole of a new record. Time to live 1 means automatic, which a proxied record must have.
fn creation(wanted: &Wanted, wishes: Wishes) -> Object {
    let proxied = wishes.proxied.unwrap_or(false);
    let ttl = if proxied { 1 } else { wishes.ttl.map_or(1, i64::from) };
    Object::new()
        .str("type", wanted.id.family.rtype())
        .str("name", &wanted.id.domain)
        .str("content", &wanted.addr.to_string())
        .num("ttl", ttl)
        .bool("proxied", proxied)
}

/// The fields of an existing record that are to change, if any.
fn change<'a>(wanted: &'a Wanted, found: &Found, wishes: Wishes) -> Option<Write<'a>> {
    let proxied = wishes.proxied.unwrap_or(found.proxied);
    let ttl = wishes.ttl.map(i64::from).filter(|ttl| !proxied && *ttl != found.ttl);
    if found.addr == Some(wanted.addr) && proxied == found.proxied && ttl.is_none() {
        return None;
    }
    let mut body = Object::new().str("content", &wanted.addr.to_string());
    if let Some(ttl) = ttl {
        body = body.num("ttl", ttl);
    }
    if proxied != found.proxied {
        body = body.bool("proxied", proxied);
    }
    Some(Write { wanted, id: Some(found.id.clone()), body })
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
    fn zones(&mut self, name: Option<&str>) -> Result<Vec<(String, String)>, Trouble> {
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
            if name.is_some() || pages(&json, zones.len(), ZONE_PAGE)? <= page.parse().unwrap_or(1) {
                break;
            }
        }
        Ok(found)
    }

    /// The records of a zone that concern the wanted ones, in as few requests as it takes: for one name by
    /// its name, for several page by page, unless asking for each name takes fewer.
    fn records(&mut self, zone: &str, members: &[&Wanted]) -> Result<Vec<Found>, Trouble> {
        let names: BTreeSet<&str> = members.iter().map(|wanted| wanted.id.domain.as_str()).collect();
        let mut found = Vec::new();
        if names.len() > 1 {
            let types: BTreeSet<&str> = members.iter().map(|wanted| wanted.id.family.rtype()).collect();
            let per_page = PAGE.to_string();
            let mut query = vec![("per_page", per_page.as_str())];
            if let (1, Some(only)) = (types.len(), types.first()) {
                query.insert(0, ("type", only));
            }
            let total = match self.page(zone, &query, PAGE, &names, &mut found) {
                Err(trouble) if trouble.code == Code::Cut => usize::MAX,
                total => total?,
            };
            if total.saturating_sub(1) <= names.len() {
                for page in 2..=total {
                    let page = page.to_string();
                    let query: Vec<_> = query.iter().copied().chain([("page", page.as_str())]).collect();
                    self.page(zone, &query, PAGE, &names, &mut found)?;
                }
                return Ok(found);
            }
            found.clear();
        }
        for name in &names {
            self.page(zone, &[("name", name), ("per_page", "100")], 100, &names, &mut found)?;
        }
        Ok(found)
    }

    /// Reads one page of records, keeps those of the wanted names, and answers how many pages there are.
    fn page(
        &mut self,
        zone: &str,
        query: &[(&str, &str)],
        per_page: usize,
        names: &BTreeSet<&str>,
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
        pages(&json, records.len(), per_page)
    }

    /// Sends several writes as one batch, which is done wholly or not at all.
    fn batch(&mut self, zone: &str, writes: &[Write]) -> Result<Verdicts, Trouble> {
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
        Ok(writes.iter().map(|write| (write.wanted.id.clone(), confirmed(told(write)))).collect())
    }

    /// Sends one write. If the list turns out to be out of date, reads and writes once more.
    fn single(&mut self, zone: &str, write: &Write, wishes: Wishes) -> Result<Outcome, Failure> {
        let trouble = match self.write(zone, write) {
            Ok(outcome) => return Ok(outcome),
            Err(trouble) => trouble,
        };
        if trouble.code != Code::Stale {
            return Err(trouble.failure);
        }
        let found = self.records(zone, &[write.wanted]).map_err(|trouble| trouble.failure)?;
        match compare(write.wanted, &found, wishes)? {
            None => Ok(Outcome::Updated),
            // The same write would be refused for the same reason.
            Some(again) if again.id == write.id => Err(trouble.failure),
            Some(again) => self.write(zone, &again).map_err(|trouble| trouble.failure),
        }
    }

    /// Sends one write, once.
    fn write(&mut self, zone: &str, write: &Write) -> Result<Outcome, Trouble> {
        let body = Some(write.body.clone().end());
        let path = format!("/zones/{zone}/dns_records");
        let json = match &write.id {
            Some(id) => self.call("PATCH", &format!("{path}/{id}"), &[], body)?,
            None => self.call("POST", &path, &[], body)?,
        };
        Ok(confirmed(confirms(json.get("result"), write.wanted))?)
    }
}

/// True if a record of an answer to a write is the wanted one.
fn confirms(record: &Json, wanted: &Wanted) -> bool {
    record.get("name").str().is_some_and(|name| name.eq_ignore_ascii_case(&wanted.id.domain))
        && record.get("type").str() == Some(wanted.id.family.rtype())
        && record.get("content").str().and_then(|text| text.parse().ok()) == Some(wanted.addr)
}

/// The verdict on a write that was accepted.
fn confirmed(told: bool) -> Result<Outcome, Failure> {
    match told {
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

/// How many pages a list has, of which one with `count` entries was read. Where the answer does not say:
/// one if it is not full.
fn pages(json: &Json, count: usize, per_page: usize) -> Result<usize, Trouble> {
    let info = json.get("result_info");
    let total = info.get("total_pages");
    match (total.num(), info.is_null()) {
        (Some(pages), _) => Ok(usize::try_from(pages).unwrap_or(0)),
        (None, true) if count < per_page => Ok(1),
        _ => Err(odd("no number of pages").into()),
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
    let chained = errors.iter().flat_map(|error| error.get("error_chain").items().iter().chain([error]));
    let codes: Vec<(i64, &Json)> =
        chained.filter_map(|error| Some((error.get("code").num()?, error))).collect();
    let words = codes
        .iter()
        .rev()
        .map(|(code, error)| format!("{code} {}", error.get("message").str().unwrap_or_default()));
    let text = match quote(&words.collect::<Vec<_>>().join(", ")) {
        text if text.is_empty() => "Cloudflare gives no reason".to_owned(),
        text => format!("Cloudflare says {text}"),
    };
    let by_status = status.as_ref().map_or(Kind::Refused, |failure| failure.kind);
    let meaning = codes.iter().find_map(|(code, _)| meaning(*code));
    let (kind, code, mend) = match (by_status, meaning) {
        // A busy service may say anything.
        (Kind::Busy, _) => (Kind::Busy, Code::Other, "too busy; nothing to do here"),
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
