//! Brings records up to date at a [`Service`]: zones, then what is there, then what is to be written. What the
//! service was not seen to have is never written over, and nothing is written after an answer that makes no sense.

use super::answer::{field, first, gather, judge, missing, named, scalar, Trouble};
use super::template::{fill, request, Place, Values};
use super::{List, Means, Names, Pages, Service};
use crate::model::Family;
use crate::provider::web::{all_failed, base_url, ends_account, garbled, not_tried};
use crate::provider::{within, Ask, Failure, Job, Kind, Outcome, Verdicts, Wanted};
use crate::wire::json::Json;
use std::net::IpAddr;

/// What a key of the memo begins with; a zone's name follows, its value is the zone's id.
const MEMO: &str = "zone ";
/// What a key of the memo begins with for a zone in which something written is not in force yet.
const OWED: &str = "owed ";
/// The same; a domain follows, its value is the name of its zone.
const AT: &str = "at ";
/// The most pages of a list.
const PAGES: usize = 100;
/// With more requests than this, a whole zone is read at once where that can be done.
const FEW: usize = 4;

/// Zones that were asked for, and how that was refused.
type Tried = Vec<(String, Option<Failure>)>;
/// Values of a template by name.
type Pairs = Vec<(&'static str, String)>;

/// A record at the service.
struct Found {
    /// Lower case, in full.
    name: String,
    family: Family,
    /// Empty for a record that is no plain address.
    addrs: Vec<IpAddr>,
    id: String,
    ttl: Option<u32>,
    /// Switched off: the service does not give it out.
    off: bool,
    /// As the service wrote it.
    raw: Json,
}

/// The records of one zone.
struct Group<'a> {
    zone: String,
    id: String,
    members: Vec<&'a Wanted>,
}

/// One write: a record, or two families in one.
#[derive(Clone)]
struct Write<'a> {
    wanted: Vec<&'a Wanted>,
    found: Option<usize>,
    values: Pairs,
}

/// What a template sees.
struct Seen<'a> {
    job: &'a Job,
    pairs: &'a [(&'static str, String)],
    record: Option<&'a Json>,
    session: &'a str,
}

impl Values for Seen<'_> {
    fn value(&self, name: &str) -> Option<String> {
        if let Some(option) = name.strip_prefix(':') {
            let secret = self.job.options.secrets.get(option).map(|secret| secret.reveal());
            return secret
                .or_else(|| self.job.option(option))
                .filter(|text| !text.is_empty())
                .map(str::to_owned);
        }
        value(self.pairs, name).or((name == "session").then_some(self.session)).map(str::to_owned)
    }

    fn kept(&self, path: &str) -> Option<&Json> {
        self.record.map(|record| first(record, path)).filter(|value| !value.is_null())
    }
}

/// One job at one service.
struct Run<'a, 'b> {
    service: &'static Service,
    base: String,
    session: String,
    job: &'a mut Job,
    ask: &'a mut Ask<'b>,
}

/// Brings a job's records up to date.
///
/// # Errors
/// What fails for all records.
pub(in crate::provider) fn update(
    service: &'static Service,
    job: &mut Job,
    ask: &mut Ask,
) -> Result<Verdicts, Failure> {
    let base = base_url(job, service.base)?.to_owned();
    let records = std::mem::take(&mut job.records);
    let mut run = Run { service, base, session: String::new(), job, ask };
    let verdicts = run.all(&records);
    job.records = records;
    verdicts
}

impl Run<'_, '_> {
    /// All records, zone by zone.
    fn all(&mut self, records: &[Wanted]) -> Result<Verdicts, Failure> {
        self.log_in()?;
        let mut verdicts = Verdicts::new();
        let mut todo: Vec<&Wanted> = records.iter().collect();
        let mut ended: Option<Failure> = None;
        // The second round is for zones whose remembered id turned out to be wrong.
        for last in [false, true] {
            let mut again = Vec::new();
            let groups = match self.zones(todo.clone(), &mut verdicts) {
                Ok(groups) => groups,
                Err(failure) if last => {
                    todo.retain(|wanted| verdicts.iter().all(|(id, _)| *id != wanted.id));
                    verdicts.extend(all_failed(&todo, &failure));
                    break;
                }
                Err(failure) => return Err(failure),
            };
            for Group { zone, id, members } in groups {
                let done = match &ended {
                    Some(failure) => Err(Trouble::from(not_tried(failure))),
                    None => self.in_zone(&zone, &id, &members),
                };
                match done {
                    Ok(done) => {
                        let mut failures = done.iter().filter_map(|(_, verdict)| verdict.as_ref().err());
                        ended = ended.or(failures.find(|failure| ends_all(failure)).cloned());
                        verdicts.extend(done);
                    }
                    Err(trouble) if trouble.no_zone() && !last && self.forget(&zone) => {
                        again.extend(members);
                    }
                    Err(Trouble { failure, .. }) => {
                        verdicts.extend(all_failed(&members, &failure));
                        ended = ended.or(ends_all(&failure).then_some(failure));
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

    /// Asks, and reads the answer.
    fn call(
        &mut self,
        call: &'static str,
        pairs: &[(&'static str, String)],
        record: Option<&Json>,
        write: bool,
    ) -> Result<Json, Trouble> {
        let service = self.service;
        let seen = Seen { job: self.job, pairs, record, session: &self.session };
        let mut http = request(call, &self.base, service.headers, &seen)?;
        http.write = write;
        if let Some(sign) = service.sign {
            http = sign(self.job, http)?;
            // A nonce serves once.
            let _ = self.job.nonce.iter_mut().rev().find_map(|byte| {
                *byte = byte.wrapping_add(1);
                (*byte != 0).then_some(())
            });
        }
        let reply = (self.ask)(http.into())?;
        let json = judge(service, &reply, self.job.now)?;
        let content = write && reply.status != 204;
        if content && !service.wrote.is_empty() && first(&json, service.wrote).is_null() {
            return Err(garbled(&reply).into());
        }
        if call == service.special.login {
            self.session = match service.special.session.strip_prefix("cookie ") {
                Some(name) => {
                    let all = reply.headers.iter().filter(|(key, _)| key == "set-cookie");
                    let mut pairs = all.filter_map(|(_, text)| text.split(';').next());
                    let ours = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| key == name);
                    pairs.find(ours).map(str::to_owned)
                }
                None => field(&json, service.special.session),
            }
            .filter(|session| !session.is_empty())
            .ok_or_else(|| garbled(&reply))?;
        }
        Ok(json)
    }

    /// Begins a session, where the service has such.
    fn log_in(&mut self) -> Result<(), Failure> {
        match self.service.special.login {
            "" => Ok(()),
            call => self.call(call, &[], None, false).map(drop).map_err(|trouble| trouble.failure),
        }
    }

    /// Hands each item of a list to `take`, which says whether it makes sense. A list that is not there has none.
    fn list(
        &mut self,
        list: List,
        pairs: &[(&'static str, String)],
        take: &mut dyn FnMut(&Json) -> bool,
    ) -> Result<(), Trouble> {
        let (mut cursor, mut seen) = (String::new(), 0);
        for page in 0..PAGES {
            let mut pairs = pairs.to_vec();
            let (number, offset) = ((page + 1).to_string(), seen.to_string());
            pairs.extend([("page", number), ("offset", offset), ("cursor", cursor)]);
            let answer = match self.call(list.call, &pairs, None, false) {
                Ok(answer) => answer,
                Err(trouble) if trouble.means == Means::Absent => return Ok(()),
                Err(trouble) => return Err(trouble),
            };
            let mut items = Vec::new();
            let there = list.items.split('|').any(|path| {
                items.clear();
                match path.split_at_checked(1) {
                    Some(("?", path)) => missing(&answer, path) || gather(&answer, path, &mut items),
                    Some(("!", count)) => field(&answer, count).as_deref() == Some("0"),
                    _ => gather(&answer, path, &mut items),
                }
            });
            if !(there && items.iter().all(|item| take(item))) {
                return Err(nonsense("a list of another form than expected").into());
            }
            seen += items.len();
            cursor = match list.pages {
                Pages::Of(size) if items.len() >= size => String::new(),
                Pages::Total(path) => {
                    match first(&answer, path).num().and_then(|all| usize::try_from(all).ok()) {
                        Some(all) if seen >= all => return Ok(()),
                        Some(_) if !items.is_empty() => String::new(),
                        _ => return Err(nonsense("a list that ends before its end").into()),
                    }
                }
                Pages::Cursor(path) => {
                    let (cursor, above) = (first(&answer, path), path.rsplit_once('.'));
                    match scalar(cursor) {
                        Some(cursor) if !cursor.is_empty() => cursor,
                        Some(_) => return Ok(()),
                        // The last page has none, where the others have it.
                        None if cursor.is_null()
                            && matches!(
                                first(&answer, above.map_or("", |(path, _)| path)),
                                Json::Object(_)
                            ) =>
                        {
                            return Ok(())
                        }
                        None => return Err(nonsense("a list that does not say how it goes on").into()),
                    }
                }
                _ => return Ok(()),
            };
        }
        Err(nonsense("a list without an end").into())
    }

    /// The zone that the owner named.
    fn named(&self) -> Option<String> {
        self.job.zone.as_ref().map(|zone| zone.trim_end_matches('.').to_ascii_lowercase())
    }

    /// What is remembered under a key.
    fn known(&self, kind: &str, name: &str) -> Option<&String> {
        self.job.memo.get(&format!("{kind}{name}"))
    }

    /// The zone of a domain and its id, as far as known. That a zone above it is known is not enough: there may be a
    /// longer one that nobody has asked for.
    fn zone_of(&self, domain: &str) -> Option<(String, String)> {
        if let Some(zone) = self.named() {
            let id = match self.job.option("zone_id") {
                Some(id) => Some(bare(id).to_owned()),
                None if self.service.zone_id.is_empty() => Some(zone.clone()),
                None => self.known(MEMO, &zone).cloned(),
            };
            return id.map(|id| (zone, id));
        }
        let zone = self.known(AT, domain)?;
        Some((zone.clone(), self.known(MEMO, zone)?.clone()))
    }

    /// Remembers that the longest of the known zones above a domain is its own, now that all were asked for.
    fn settle(&mut self, domain: &str) {
        let zone = above(domain).find(|zone| self.known(MEMO, zone).is_some()).map(str::to_owned);
        if let Some(zone) = zone.filter(|_| self.named().is_none()) {
            self.job.memo.insert(format!("{AT}{domain}"), zone);
        }
    }

    /// The records by zone, with the zone's id. A record without a zone gets its verdict at once.
    fn zones<'a>(
        &mut self,
        records: Vec<&'a Wanted>,
        verdicts: &mut Verdicts,
    ) -> Result<Vec<Group<'a>>, Failure> {
        let mut groups: Vec<Group> = Vec::new();
        let named = self.named();
        let mut tried = Tried::new();
        for (place, wanted) in records.iter().enumerate() {
            let domain = wanted.id.domain.as_str();
            let inside = named.as_deref().is_none_or(|zone| above(domain).any(|other| other == zone));
            if inside && self.zone_of(domain).is_none() && !self.service.zones.call.is_empty() {
                match self.look_up(domain, records.get(place..).unwrap_or_default(), &mut tried) {
                    Ok(()) => self.settle(domain),
                    Err(Trouble { failure, status, .. }) if status != 403 && ends(&failure) => {
                        return Err(failure);
                    }
                    // Another record may lie in a zone of ours.
                    Err(Trouble { failure, .. }) => {
                        verdicts.push((wanted.id.clone(), Err(failure)));
                        continue;
                    }
                }
            }
            let Some((zone, id)) = self.zone_of(domain).filter(|_| inside) else {
                verdicts.push((wanted.id.clone(), Err(self.no_zone(domain, named.as_deref()))));
                continue;
            };
            match groups.iter_mut().find(|group| group.zone == zone) {
                Some(group) => group.members.push(wanted),
                None => groups.push(Group { zone, id, members: vec![wanted] }),
            }
        }
        Ok(groups)
    }

    /// Asks for the zone of a domain; with the list of all zones come those of the records `also`.
    fn look_up(&mut self, domain: &str, also: &[&Wanted], tried: &mut Tried) -> Result<(), Trouble> {
        let call = self.service.zones.call;
        let named = self.named();
        if !call.contains("$try") {
            let domain = domain.trim_start_matches("*.");
            let asked = if call.contains("$fqdn") { domain } else { "" };
            if let Some((_, refused)) = tried.iter().find(|(name, _)| name == asked) {
                return refused.clone().map_or(Ok(()), |failure| Err(forbidden(failure)));
            }
            let holds =
                |zone: &str| also.iter().any(|wanted| above(&wanted.id.domain).any(|name| name == zone));
            let done = self.ask_zones(domain, "", &holds);
            let refused = done.as_ref().err().filter(|trouble| trouble.status == 403);
            tried.push((asked.to_owned(), refused.map(|trouble| trouble.failure.clone())));
            return done;
        }
        let mut refused: Option<Failure> = None;
        for zone in above(domain).filter(|zone| named.as_deref().is_none_or(|named| named == *zone)) {
            if self.known(MEMO, zone).is_some() {
                return Ok(());
            }
            if let Some((_, before)) = tried.iter().find(|(name, _)| name == zone) {
                refused = refused.or_else(|| before.clone());
                continue;
            }
            let mut said = None;
            match self.ask_zones(domain, zone, &|name| name == zone) {
                // Who asks for a zone of somebody else may hear that it is forbidden.
                Err(trouble) if trouble.status == 403 => said = Some(trouble.failure),
                Err(trouble) if trouble.failure.kind == Kind::NoSuchName => {}
                Err(trouble) => return Err(trouble),
                Ok(()) if self.known(MEMO, zone).is_some() => return Ok(()),
                Ok(()) => {}
            }
            refused = refused.or_else(|| said.clone());
            tried.push((zone.to_owned(), said));
        }
        refused.map_or(Ok(()), |failure| Err(forbidden(failure)))
    }

    /// Asks for zones, and remembers those that `holds` wants.
    fn ask_zones(&mut self, domain: &str, zone: &str, holds: &dyn Fn(&str) -> bool) -> Result<(), Trouble> {
        let service = self.service;
        let mut found: Vec<(String, String)> = Vec::new();
        let pairs = [("fqdn", domain.to_owned()), ("try", zone.to_owned())];
        self.list(service.zones, &pairs, &mut |item| {
            let name = match service.zone_name {
                "" => Some(zone.to_owned()),
                path => named(item, path),
            };
            if name.is_none() && service.zone_name.starts_with('?') {
                return true;
            }
            let (path, other) = service.special.zone_not;
            if !path.is_empty() && scalar(first(item, path)).is_some_and(|is| is == other) {
                return true;
            }
            let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
            let id = match service.zone_id {
                "" => name.clone(),
                path => field(item, path).map(|id| bare(&id).to_owned()),
            };
            let (Some(name), Some(id)) = (name, id) else { return false };
            if holds(&name) {
                found.push((format!("{MEMO}{name}"), id));
            }
            true
        })?;
        self.job.memo.extend(found);
        Ok(())
    }

    /// The failure for a name that lies in no zone of the account.
    fn no_zone(&self, domain: &str, named: Option<&str>) -> Failure {
        let text = match named {
            Some(zone) if !above(domain).any(|name| name == zone) => {
                format!("{domain} does not lie in the zone {zone} of option zone")
            }
            Some(zone) => format!("the account has no zone {zone}; check option zone"),
            None if self.service.zones.call.is_empty() => {
                String::from("option zone is not set, and the service cannot be asked for it")
            }
            None => {
                format!("the account has no zone that holds {domain}; check the domain, or set option zone")
            }
        };
        Failure::new(Kind::NoSuchName, text)
    }

    /// Drops what is remembered of a zone; false if nothing was.
    fn forget(&mut self, zone: &str) -> bool {
        let before = self.job.memo.len();
        let key = format!("{MEMO}{zone}");
        self.job.memo.retain(|other, _| *other != key);
        self.job.memo.len() < before
    }

    /// The values of a zone, and of one of its records.
    fn values(&self, zone: &str, id: &str, wanted: Option<&Wanted>) -> Pairs {
        let mut pairs = vec![("zone", zone.to_owned()), ("zid", id.to_owned()), ("line", self.line())];
        if let Some(wanted) = wanted {
            let domain = &wanted.id.domain;
            let within = match self.service.names {
                Names::Within(apex) | Names::Mixed(apex) if domain == zone => apex.to_owned(),
                Names::Within(_) | Names::Mixed(_) => within(domain, zone).unwrap_or(domain).to_owned(),
                Names::Full => domain.clone(),
            };
            let rtype = self.rtype(wanted.id.family).to_owned();
            pairs.extend([("fqdn", domain.clone()), ("host", within), ("type", rtype)]);
        }
        pairs
    }

    /// The line that is meant.
    fn line(&self) -> String {
        self.job.option("line").unwrap_or(self.service.line).to_owned()
    }

    /// What the service calls a family's type.
    fn rtype(&self, family: Family) -> &'static str {
        let [v4, v6] = self.service.special.types;
        if family == Family::V4 {
            v4
        } else {
            v6
        }
    }

    /// Brings the records of one zone up to date.
    fn in_zone(&mut self, zone: &str, id: &str, members: &[&Wanted]) -> Result<Verdicts, Trouble> {
        let mut verdicts = Verdicts::new();
        let (mut found, members) = self.read(zone, id, members, &mut verdicts)?;
        for wanted in &members {
            self.clear(zone, id, wanted, &mut found)?;
        }
        let mut writes: Vec<Write> = Vec::new();
        for wanted in members {
            match self.compare(zone, id, wanted, &found, &mut writes) {
                Ok(true) => {}
                Ok(false) => verdicts.push((wanted.id.clone(), Ok(Outcome::Unchanged))),
                Err(failure) => verdicts.push((wanted.id.clone(), Err(failure))),
            }
        }
        let mut done = Verdicts::new();
        let mut ended = None;
        let batch = self.service.batch;
        let item = |write: &Write| if write.found.is_some() { batch.change } else { batch.create };
        let (many, single): (Vec<Write>, Vec<Write>) =
            writes.into_iter().partition(|write| !item(write).is_empty());
        for chunk in many.chunks(batch.most.max(1)).chain(single.chunks(1)) {
            self.write(zone, id, chunk, &found, &mut done, &mut ended);
        }
        verdicts.extend(done);
        self.put_in_force(zone, id, ended.as_ref(), &mut verdicts);
        Ok(verdicts)
    }

    /// Takes away the record that an earlier job left beside its successor, and nothing else.
    fn clear(
        &mut self,
        zone: &str,
        id: &str,
        wanted: &Wanted,
        found: &mut Vec<Found>,
    ) -> Result<(), Trouble> {
        let key = left(&wanted.id.domain, wanted.id.family.rtype());
        let Some(old) = self.job.memo.get(&key).cloned() else { return Ok(()) };
        let here = |record: &Found| record.name == wanted.id.domain && record.family == wanted.id.family;
        let addr = old.parse::<IpAddr>().ok().filter(|addr| *addr != wanted.addr);
        let is_old = |record: &Found| here(record) && addr.is_some_and(|addr| record.addrs == [addr]);
        if found.iter().filter(|record| here(record)).count() > 1 {
            if let Some(place) = found.iter().position(is_old) {
                let record = found.remove(place);
                let mut values = self.values(zone, id, Some(wanted));
                values.push(("old", old));
                values.push(("id", record.id));
                self.take_away(&values, Some(&record.raw))?;
            }
        }
        self.job.memo.remove(&key);
        Ok(())
    }

    /// Removes the record that a change left in place; it may be gone already.
    fn take_away(&mut self, values: &Pairs, record: Option<&Json>) -> Result<(), Trouble> {
        match self.call(self.service.special.after, values, record, true) {
            Err(trouble) if trouble.failure.kind != Kind::NoSuchName => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Puts in force what was written, where the service wants to be told. What could not be put in force is owed to
    /// the next job, which would find nothing to write.
    fn put_in_force(&mut self, zone: &str, id: &str, ended: Option<&Failure>, verdicts: &mut Verdicts) {
        let owed = format!("{OWED}{zone}");
        let wrote = verdicts.iter().any(|(_, verdict)| match verdict {
            Ok(outcome) => *outcome != Outcome::Unchanged,
            Err(failure) => failure.kind == Kind::Unconfirmed,
        });
        if self.service.special.commit.is_empty() || !(wrote || self.job.memo.contains_key(&owed)) {
            return;
        }
        let pairs = self.values(zone, id, None);
        // What one record was refused does not keep the others from being put in force.
        let done = match ended {
            Some(failure) if failure.kind != Kind::Credentials => Err(not_tried(failure)),
            _ => {
                self.call(self.service.special.commit, &pairs, None, true).map_err(|trouble| trouble.failure)
            }
        };
        match done {
            Ok(_) => drop(self.job.memo.remove(&owed)),
            Err(failure) => {
                self.job.memo.insert(owed, String::new());
                for (_, verdict) in verdicts.iter_mut().filter(|(_, verdict)| verdict.is_ok()) {
                    *verdict = Err(failure.clone());
                }
            }
        }
    }

    /// The records that stand at some names, and those names that could be asked for.
    fn read<'a>(
        &mut self,
        zone: &str,
        id: &str,
        members: &[&'a Wanted],
        verdicts: &mut Verdicts,
    ) -> Result<(Vec<Found>, Vec<&'a Wanted>), Trouble> {
        let service = self.service;
        let mut asks: Vec<(String, Pairs, Vec<&Wanted>)> = Vec::new();
        for wanted in members {
            let pairs = self.values(zone, id, Some(wanted));
            // Records for which the same would be asked are read together.
            let mut path = service.read.call.to_owned();
            for (name, value) in &pairs {
                path = path.replace(&format!("${name}"), value);
            }
            match asks.iter_mut().find(|(other, _, _)| *other == path) {
                Some((_, _, same)) => same.push(wanted),
                None => asks.push((path, pairs, vec![wanted])),
            }
        }
        let mut found = Vec::new();
        if !service.all.is_empty() && asks.len() > FEW {
            let list = List { call: service.all, ..service.read };
            let pairs = self.values(zone, id, None);
            match self.collect(list, &pairs, zone, None, members, &mut found) {
                Ok(()) => return Ok((found, members.to_vec())),
                // Refused, or too large for one list: by names.
                Err(trouble) if matches!(trouble.failure.kind, Kind::Refused | Kind::Garbled) => {
                    found.clear()
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let mut readable = members.to_vec();
        for (_, pairs, same) in &asks {
            match self.collect(service.read, pairs, zone, same.first().copied(), members, &mut found) {
                Ok(()) => {}
                Err(trouble) if ends(&trouble.failure) || trouble.no_zone() => return Err(trouble),
                Err(Trouble { failure, .. }) => {
                    let unread =
                        |other: &Wanted| same.iter().any(|wanted| wanted.id.domain == other.id.domain);
                    // Those that were readable till now have no verdict yet.
                    let new = readable.iter().filter(|other| unread(other));
                    verdicts.extend(new.map(|other| (other.id.clone(), Err(failure.clone()))));
                    readable.retain(|other| !unread(other));
                }
            }
        }
        Ok((found, readable))
    }

    /// Adds to `found` what a list holds of the names of `members`. `of` is the record that was asked for.
    fn collect(
        &mut self,
        list: List,
        pairs: &[(&'static str, String)],
        zone: &str,
        of: Option<&Wanted>,
        members: &[&Wanted],
        found: &mut Vec<Found>,
    ) -> Result<(), Trouble> {
        let service = self.service;
        let line = self.line();
        let wants = |name: &str| members.iter().any(|wanted| wanted.id.domain == name);
        // Asked for one name, a service may answer with its neighbours too, and with them again when asked for those.
        let mut add = |record: Option<Found>| {
            if let Some(record) = record.filter(|record| wants(&record.name)) {
                let same = |other: &Found| {
                    (&other.name, other.family, &other.id, &other.addrs)
                        == (&record.name, record.family, &record.id, &record.addrs)
                };
                if !found.iter().any(same) {
                    found.push(record);
                }
            }
        };
        let mut ids: Vec<String> = Vec::new();
        self.list(list, pairs, &mut |item| {
            if !service.special.detail.is_empty() {
                return scalar(item).map(|id| ids.push(id)).is_some();
            }
            match take(service, item, zone, &line, of) {
                Some(record) => add(record),
                None => return false,
            }
            true
        })?;
        for id in ids {
            let mut pairs = pairs.to_vec();
            pairs.push(("id", id));
            let item = match self.call(service.special.detail, &pairs, None, false) {
                // Removed since it was listed.
                Err(trouble) if trouble.means == Means::Absent => continue,
                item => item?,
            };
            match take(service, &item, zone, &line, of) {
                Some(record) => add(record),
                None => return Err(nonsense("a record of another form than expected").into()),
            }
        }
        Ok(())
    }

    /// Adds what is to be written for a record; false if it is right. Of several records only one that is right
    /// already is taken: which of them is ours cannot be known.
    fn compare<'a>(
        &self,
        zone: &str,
        id: &str,
        wanted: &'a Wanted,
        found: &[Found],
        writes: &mut Vec<Write<'a>>,
    ) -> Result<bool, Failure> {
        let service = self.service;
        let domain = &wanted.id.domain;
        let same = |record: &Found| {
            record.name == *domain && (service.special.joint || record.family == wanted.id.family)
        };
        let mut here = found.iter().enumerate().filter(|(_, record)| same(record));
        let (only, more) = (here.next(), here.next().is_some());
        let rtype = wanted.id.family.rtype();
        let (min, fixed) = (service.ttl.1, self.job.ttl.map(|ttl| ttl.max(service.ttl.1)));
        let Some((place, record)) = only else {
            self.plan(zone, id, wanted, None, found, fixed.unwrap_or(service.ttl.0.max(min)), writes);
            return Ok(true);
        };
        let own = |record: &Found| {
            record.addrs.iter().filter(|addr| addr.is_ipv4() == wanted.addr.is_ipv4()).count()
        };
        if more || own(record) > 1 {
            let right =
                found.iter().any(|record| same(record) && !record.off && record.addrs.contains(&wanted.addr));
            let text = format!("several {rtype} records stand at {domain}, and which one is ours cannot be known; remove all but one");
            return if right { Ok(false) } else { Err(Failure::new(Kind::Refused, text)) };
        }
        if record.addrs.is_empty() {
            let text = format!(
                "what stands at {domain} is no plain address (an alias?); remove it, or use another name"
            );
            return Err(Failure::new(Kind::Refused, text));
        }
        if record.off {
            let text = format!("the record of {domain} is switched off at the service; switch it on there");
            return Err(Failure::new(Kind::Refused, text));
        }
        let ttl_is_right = match (fixed, record.ttl) {
            (Some(fixed), Some(ttl)) => fixed == ttl,
            _ => true,
        };
        if record.addrs.contains(&wanted.addr) && ttl_is_right {
            return Ok(false);
        }
        let ttl = fixed.or(record.ttl).unwrap_or(service.ttl.0.max(min));
        self.plan(zone, id, wanted, Some(place), found, ttl, writes);
        Ok(true)
    }

    /// Adds a write; where one record holds both families, to the write of the other one.
    #[allow(clippy::too_many_arguments, reason = "one caller, which has them at hand")]
    fn plan<'a>(
        &self,
        zone: &str,
        id: &str,
        wanted: &'a Wanted,
        place: Option<usize>,
        found: &[Found],
        ttl: u32,
        writes: &mut Vec<Write<'a>>,
    ) {
        let record = place.and_then(|place| found.get(place));
        let mut addr = wanted.addr.to_string();
        if self.service.special.joint {
            let domain = &wanted.id.domain;
            if let Some(write) =
                writes.iter_mut().find(|write| write.wanted.iter().any(|w| w.id.domain == *domain))
            {
                write.wanted.push(wanted);
                let both = write.wanted.iter().map(|wanted| wanted.addr).collect();
                if let Some((_, addr)) = write.values.iter_mut().find(|(name, _)| *name == "addr") {
                    *addr = joined(both, record);
                }
                return;
            }
            addr = joined(vec![wanted.addr], record);
        }
        let mut values = self.values(zone, id, Some(wanted));
        values.extend([("addr", addr), ("ttl", ttl.to_string())]);
        if let Some(record) = record {
            values.push(("id", record.id.clone()));
            values.extend(record.addrs.first().map(|addr| ("old", addr.to_string())));
        }
        writes.push(Write { wanted: vec![wanted], found: place, values });
    }

    /// Does some writes: at once, or one by one when together they are refused.
    fn write(
        &mut self,
        zone: &str,
        id: &str,
        writes: &[Write],
        found: &[Found],
        verdicts: &mut Verdicts,
        ended: &mut Option<Failure>,
    ) {
        let mut writes = writes;
        let mut good: Vec<Write> = Vec::new();
        if writes.len() > 1 && ended.is_none() {
            let mut sent = self.send(writes, found);
            if let Some(each) = sent
                .as_ref()
                .err()
                .map(|trouble| trouble.each.clone())
                .filter(|each| each.len() == writes.len())
            {
                // Those that are good go again without the others.
                for (write, bad) in writes.iter().zip(each) {
                    match bad {
                        Some(failure) => {
                            let of = |wanted: &&Wanted| (wanted.id.clone(), Err(failure.clone()));
                            verdicts.extend(write.wanted.iter().map(of));
                        }
                        None => good.push(write.clone()),
                    }
                }
                writes = &good;
                if !writes.is_empty() {
                    sent = self.send(writes, found);
                }
            }
            let verdict = match sent {
                Ok(()) => Some(Ok(Outcome::Updated)),
                Err(Trouble { failure, .. }) if matches!(failure.kind, Kind::Refused | Kind::NoSuchName) => {
                    None
                }
                Err(Trouble { failure, .. }) => {
                    *ended = Some(failure.clone());
                    Some(Err(failure))
                }
            };
            if let Some(verdict) = verdict {
                let all = writes.iter().flat_map(|write| &write.wanted);
                verdicts.extend(all.map(|wanted| (wanted.id.clone(), verdict.clone())));
                return;
            }
        }
        for write in writes {
            let verdict = match &*ended {
                Some(failure) => Err(not_tried(failure)),
                None => self.single(zone, id, write, found),
            };
            if let (None, Err(failure)) = (&*ended, &verdict) {
                *ended = ends(failure).then(|| failure.clone());
            }
            verdicts.extend(write.wanted.iter().map(|wanted| (wanted.id.clone(), verdict.clone())));
        }
    }

    /// Sends one write. If what was read turns out to be out of date, reads and writes once more.
    fn single(&mut self, zone: &str, id: &str, write: &Write, found: &[Found]) -> Result<Outcome, Failure> {
        let trouble = match self.send(std::slice::from_ref(write), found) {
            Ok(()) => return Ok(Outcome::Updated),
            Err(trouble) => trouble,
        };
        let stale = match trouble.means {
            Means::Stale | Means::Same | Means::Absent => true,
            // Some say the same of a record and of a zone that is not there; reading tells.
            Means::NoZone => write.found.is_some(),
            _ => false,
        };
        if !stale {
            return Err(trouble.failure);
        }
        let mut none = Verdicts::new();
        let (found, _) = self.read(zone, id, &write.wanted, &mut none).map_err(|trouble| trouble.failure)?;
        if let Some((_, Err(failure))) = none.into_iter().next() {
            return Err(failure);
        }
        let mut again = Vec::new();
        for wanted in &write.wanted {
            self.compare(zone, id, wanted, &found, &mut again)?;
        }
        match again.first() {
            // Somebody else made it so.
            None => Ok(Outcome::Unchanged),
            // The same write would be refused for the same reason.
            Some(again) if again.values == write.values => Err(trouble.failure),
            Some(again) => {
                self.send(std::slice::from_ref(again), &found).map_err(|trouble| trouble.failure)?;
                Ok(Outcome::Updated)
            }
        }
    }

    /// Sends writes in one request: by themselves, or as items of a batch.
    fn send(&mut self, writes: &[Write], found: &[Found]) -> Result<(), Trouble> {
        let service = self.service;
        let record =
            |write: &Write| write.found.and_then(|place| found.get(place)).map(|found| found.raw.clone());
        let Some(first) = writes.first() else { return Ok(()) };
        let moved = |write: &&Write| {
            let values = &write.values;
            value(values, "old").is_some_and(|old| value(values, "addr") != Some(old))
        };
        let key = |write: &Write| write.wanted.first().map(|w| left(&w.id.domain, w.id.family.rtype()));
        let after = service.special.after;
        // Should the old record not go afterwards, the next job knows it for what it is.
        for write in writes.iter().filter(|_| !after.is_empty()).filter(moved) {
            let old = value(&write.values, "old").unwrap_or_default().to_owned();
            self.job.memo.extend(key(write).map(|key| (key, old)));
        }
        let (alone, raw) =
            (if first.found.is_some() { service.change } else { service.create }, record(first));
        if !alone.is_empty() && writes.len() == 1 {
            self.call(alone, &first.values, raw.as_ref(), true)?;
        } else {
            let mut items = String::new();
            for write in writes {
                let item = if write.found.is_some() { service.batch.change } else { service.batch.create };
                let place = if service.special.xml { Place::Xml } else { Place::Json };
                let raw = record(write);
                if !items.is_empty() && place == Place::Json {
                    items.push(',');
                }
                let (pairs, record) = (write.values.as_slice(), raw.as_ref());
                let seen = Seen { job: self.job, pairs, record, session: &self.session };
                items.push_str(&fill(item, place, &seen)?);
            }
            let mut pairs = first.values.clone();
            pairs.push(("items", items));
            self.call(service.batch.call, &pairs, None, true)?;
        }
        if self.job.ttl.is_some() && !service.special.retime.is_empty() {
            for write in writes {
                let had = write.found.and_then(|place| found.get(place));
                let wanted = value(&write.values, "ttl");
                if had.is_some_and(|had| had.ttl.map(|ttl| ttl.to_string()).as_deref() != wanted) {
                    self.call(service.special.retime, &write.values, None, true)?;
                }
            }
        }
        for write in writes.iter().filter(|_| !after.is_empty()).filter(moved) {
            let raw = record(write);
            self.take_away(&write.values, raw.as_ref())?;
            if let Some(key) = key(write) {
                self.job.memo.remove(&key);
            }
        }
        Ok(())
    }
}

/// True if what failed for one record fails for the others of the account too, or nonsense came: then something
/// else than the service may answer.
fn ends(failure: &Failure) -> bool {
    ends_account(failure.kind) || failure.kind == Kind::Garbled
}

/// A value by its name.
fn value<'a>(pairs: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}

/// The key of the memo for an address that may still stand beside its successor.
fn left(domain: &str, rtype: &str) -> String {
    format!("left {domain} {rtype}")
}

/// A refusal that was heard before.
fn forbidden(failure: Failure) -> Trouble {
    Trouble { means: Means::Auth, status: 403, ..Trouble::from(failure) }
}

/// A zone's id without what AWS writes before it.
fn bare(id: &str) -> &str {
    id.trim_start_matches("/hostedzone/")
}

/// The same across zones: a token's rights may differ from one to the next.
fn ends_all(failure: &Failure) -> bool {
    ends(failure) && failure.kind != Kind::Credentials
}

/// An answer that makes no sense.
fn nonsense(text: &str) -> Failure {
    Failure::new(Kind::Garbled, format!("the service gave {text}"))
}

/// A domain and the domains above it, the longest first, without the last label alone.
fn above(domain: &str) -> impl Iterator<Item = &str> {
    let domain = domain.strip_prefix("*.").unwrap_or(domain);
    std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, rest)| rest))
        .filter(|name| name.contains('.'))
}

/// Addresses of one record, IPv4 first: those that are wanted, and of the other family what it has.
fn joined(mut addrs: Vec<IpAddr>, record: Option<&Found>) -> String {
    for addr in record.iter().flat_map(|record| &record.addrs) {
        if !addrs.iter().any(|other| other.is_ipv4() == addr.is_ipv4()) {
            addrs.push(*addr);
        }
    }
    addrs.sort();
    let texts: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
    texts.join(",")
}

/// Reads an item of a list: `None` if it makes no sense, `Some(None)` if it is a record of another kind or line.
fn take(
    service: &Service,
    item: &Json,
    zone: &str,
    line: &str,
    of: Option<&Wanted>,
) -> Option<Option<Found>> {
    let fields = &service.record;
    let name = match (fields.name, of) {
        ("", Some(wanted)) => wanted.id.domain.clone(),
        (path, _) => in_full(service, &field(item, path)?, zone),
    };
    let family = match (fields.rtype, of) {
        ("", Some(wanted)) => wanted.id.family,
        (path, _) => {
            let rtype = field(item, path)?;
            let [v4, v6] = service.special.types;
            match () {
                () if rtype == v4 => Family::V4,
                () if rtype == v6 => Family::V6,
                () => return Some(None),
            }
        }
    };
    if !fields.line.is_empty() && field(item, fields.line)? != line {
        return Some(None);
    }
    let mut values = Vec::new();
    let there = fields.value.split('|').any(|path| {
        values.clear();
        gather(item, path, &mut values)
    });
    if there && values.is_empty() && !fields.value.contains('|') {
        // A set of none, such as one that has but a comment (where a record is always a set).
        return Some(None);
    }
    if !there {
        // An alias has no values at all.
        if !service.special.xml {
            return None;
        }
        values.clear();
    }
    let mut addrs = Vec::new();
    for value in values {
        addrs.extend(value.str()?.split(',').filter_map(|text| text.trim().parse::<IpAddr>().ok()));
    }
    let id = match fields.id.strip_prefix('?') {
        None if fields.id.is_empty() => String::new(),
        None => field(item, fields.id)?,
        Some(path) => field(item, path).unwrap_or_default(),
    };
    let ttl = match fields.ttl.strip_prefix('?') {
        None if fields.ttl.is_empty() => None,
        None => Some(field(item, fields.ttl)?.parse().ok()?),
        Some(path) => scalar(first(item, path.trim_start_matches('#'))).and_then(|ttl| ttl.parse().ok()),
    };
    let (path, value) = service.special.off;
    let mut states = Vec::new();
    let off = !path.is_empty()
        && gather(item, path, &mut states)
        && states.iter().any(|state| scalar(state).is_some_and(|is| is == value));
    Some(Some(Found { name, family, addrs, id, ttl, off, raw: item.clone() }))
}

/// A record's name in full, as the service wrote it.
fn in_full(service: &Service, name: &str, zone: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase().replace("\\052", "*");
    match service.names {
        Names::Full => name,
        Names::Mixed(_) if above(&name).any(|other| other == zone) => name,
        _ if name.is_empty() || name == "@" => zone.to_owned(),
        _ => format!("{name}.{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_that_may_hold_a_name() {
        let all = |domain| above(domain).collect::<Vec<_>>();
        assert_eq!(
            all("a.b.example.co.uk"),
            ["a.b.example.co.uk", "b.example.co.uk", "example.co.uk", "co.uk"]
        );
        assert_eq!(all("*.example.com"), ["example.com"]);
        assert_eq!(all("localhost"), [""; 0]);
    }

    #[test]
    fn one_record_of_both_families_keeps_the_other_one() {
        let addr = |text: &str| text.parse::<IpAddr>().unwrap();
        let record = |addrs: &[&str]| Found {
            name: String::new(),
            family: Family::V4,
            addrs: addrs.iter().map(|text| addr(text)).collect(),
            id: String::new(),
            ttl: None,
            off: false,
            raw: Json::Null,
        };
        let one = |wanted: &[&str], had: &[&str]| {
            joined(wanted.iter().map(|text| addr(text)).collect(), Some(&record(had)))
        };
        assert_eq!(one(&["192.0.2.1"], &["198.51.100.1", "2001:db8::1"]), "192.0.2.1,2001:db8::1");
        assert_eq!(one(&["2001:db8::2"], &["198.51.100.1", "2001:db8::1"]), "198.51.100.1,2001:db8::2");
        assert_eq!(one(&["2001:db8::2", "192.0.2.1"], &[]), "192.0.2.1,2001:db8::2");
    }
}
