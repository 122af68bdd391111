//! Cloudflare: list once, then one write (a batch for several). Only the address is written; a record keeps
//! its ttl, proxied, comment and tags. <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

mod api;

use super::web::{all_failed, base_url, ends_account, not_tried};
use super::{within, Ask, Entry, Failure, Job, Kind, Outcome, ProviderOption, Update, Verdicts, Wanted};
use crate::map::Map;
use crate::model::Family;
use crate::wire::json::Object;
use api::{Api, Code, Found, Trouble, Write};

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
    floor: 0,
    update: Update::Own(update),
};

/// Where the API is.
const BASE: &str = "https://api.cloudflare.com/client/v4";
/// The most changes in one batch (the limit of the free plan).
const BATCH: usize = 200;
/// What a key of the memo begins with; a zone's name follows, its value is the zone's id.
const MEMO: &str = "zone ";

/// What the owner asks for besides the address.
#[derive(Clone, Copy)]
struct Wishes {
    ttl: Option<u32>,
    proxied: Option<bool>,
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
                verdicts.extend(all_failed(&members, &not_tried(failure)));
                continue;
            }
            match in_zone(&mut api, &zone, &members, wishes) {
                Ok(done) => verdicts.extend(done),
                Err(trouble) if trouble.code == Code::Zone && !last && forget(job, &zone) => {
                    again.extend(members)
                }
                Err(Trouble { failure, .. }) => {
                    verdicts.extend(all_failed(&members, &failure));
                    // The token's rights may differ from zone to zone; nonsense comes from something in between.
                    let ends = ends_account(failure.kind) && failure.kind != Kind::Credentials;
                    ended = (ends || failure.kind == Kind::Garbled).then_some(failure);
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
) -> Result<Map<String, Vec<&'a Wanted>>, Failure> {
    let mut groups: Map<String, Vec<&Wanted>> = Map::new();
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
        let wanted = |zone: &str| records.iter().any(|wanted| within(&wanted.id.domain, zone).is_some());
        let found = found.into_iter().filter(|(zone, _)| wanted(zone));
        job.memo.extend(found.map(|(zone, id)| (format!("{MEMO}{zone}"), id)));
    }
    for wanted in records {
        let inside = explicit.as_deref().is_none_or(|zone| within(&wanted.id.domain, zone).is_some());
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
        Some(zone) if within(domain, zone).is_none() => format!("{domain} does not lie in the zone {zone} of option zone"),
        Some(zone) => format!("the token reaches no active zone {zone}; give it the right Zone:Read, or set option zone_id"),
        None => format!("the token reaches no active zone that holds {domain}; give it the right Zone:Read, or set option zone_id"),
    };
    Failure::new(Kind::NoSuchName, text)
}

/// The id of the longest remembered zone that holds a domain.
fn longest(memo: &Map<String, String>, domain: &str) -> Option<String> {
    let zones = memo.iter().filter_map(|(key, id)| Some((key.strip_prefix(MEMO)?, id)));
    zones
        .filter(|(zone, _)| within(domain, zone).is_some())
        .max_by_key(|(zone, _)| zone.len())
        .map(|(_, id)| id.clone())
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
            None => single(api, zone, write, wishes),
        };
        if let (None, Err(failure)) = (&ended, &verdict) {
            *ended = ends_account(failure.kind).then(|| failure.clone());
        }
        verdicts.push((write.wanted.id.clone(), verdict));
    }
    verdicts
}

/// Sends one write. If the list turns out to be out of date, reads and writes once more.
fn single(api: &mut Api, zone: &str, write: &Write, wishes: Wishes) -> Result<Outcome, Failure> {
    let trouble = match api.write(zone, write) {
        Ok(outcome) => return Ok(outcome),
        Err(trouble) => trouble,
    };
    if trouble.code != Code::Stale {
        return Err(trouble.failure);
    }
    let found = api.records(zone, &[write.wanted]).map_err(|trouble| trouble.failure)?;
    match compare(write.wanted, &found, wishes)? {
        None if found.iter().any(|record| record.proxied) => Ok(Outcome::UpdatedBehindProxy),
        None => Ok(Outcome::Updated),
        // The same write would be refused for the same reason.
        Some(again) if again.id == write.id => Err(trouble.failure),
        Some(again) => api.write(zone, &again).map_err(|trouble| trouble.failure),
    }
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
        (None, _) => Ok(Some(Write { wanted, id: None, proxied: wishes.proxied.unwrap_or(false), body: creation(wanted, wishes) })),
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
        .shown("content", &wanted.addr)
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
    let mut body = Object::new().shown("content", &wanted.addr);
    if let Some(ttl) = ttl {
        body = body.num("ttl", ttl);
    }
    if proxied != found.proxied {
        body = body.bool("proxied", proxied);
    }
    Some(Write { wanted, id: Some(found.id.clone()), proxied, body })
}

#[cfg(test)]
mod tests;
