//! Brings records up to date at a [`Service`]: zones, then what is there, then what is to be written. What the
//! service was not seen to have is never written over, and nothing is written after an answer that makes no sense.

mod records;
mod writes;
mod zones;

use super::answer::{field, first, gather, judge, missing, scalar, Trouble};
use super::template::{request, Values};
use super::{List, Means, Names, Pages, Service};
use crate::model::Family;
use crate::provider::web::{all_failed, base_url, ends_account, garbled, not_tried};
use crate::provider::{within, Ask, Failure, Job, Kind, Outcome, Verdicts, Wanted};
use crate::wire::json::Json;
use writes::Write;
use zones::Group;

/// The most pages of a list.
const PAGES: usize = 100;
/// Values of a template by name.
type Pairs = Vec<(&'static str, String)>;

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

/// Brings a job's records up to date. Kept apart from who calls it, so that other providers do not carry its frame on
/// their stack.
///
/// # Errors
/// What fails for all records.
#[inline(never)]
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

/// The same across zones: a token's rights may differ from one to the next.
fn ends_all(failure: &Failure) -> bool {
    ends(failure) && failure.kind != Kind::Credentials
}

/// An answer that makes no sense.
fn nonsense(text: &str) -> Failure {
    Failure::new(Kind::Garbled, format!("the service gave {text}"))
}
