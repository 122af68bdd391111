//! What is to be written, and writing it.

use super::records::Found;
use super::{ends, value, Pairs, Run, Seen};
use crate::provider::api::answer::Trouble;
use crate::provider::api::template::{fill, Place};
use crate::provider::api::Means;
use crate::provider::web::not_tried;
use crate::provider::{Failure, Kind, Outcome, Verdicts, Wanted};
use crate::wire::json::Json;
use std::net::IpAddr;

/// What a key of the memo begins with for a zone in which something written is not in force yet.
const OWED: &str = "owed ";

/// One write: a record, or two families in one.
#[derive(Clone)]
pub(super) struct Write<'a> {
    wanted: Vec<&'a Wanted>,
    pub(super) found: Option<usize>,
    values: Pairs,
}

impl Run<'_, '_> {
    /// Takes away the record that an earlier job left beside its successor, and nothing else.
    pub(super) fn clear(
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
    pub(super) fn put_in_force(
        &mut self,
        zone: &str,
        id: &str,
        ended: Option<&Failure>,
        verdicts: &mut Verdicts,
    ) {
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

    /// Adds what is to be written for a record; false if it is right. Of several records only one that is right
    /// already is taken: which of them is ours cannot be known.
    pub(super) fn compare<'a>(
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
    pub(super) fn write(
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

/// The key of the memo for an address that may still stand beside its successor.
fn left(domain: &str, rtype: &str) -> String {
    format!("left {domain} {rtype}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

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
