//! What a service has at some names.

use super::zones::above;
use super::{ends, nonsense, Pairs, Run};
use crate::model::Family;
use crate::provider::api::answer::{field, first, gather, scalar, Trouble};
use crate::provider::api::{List, Means, Names, Service};
use crate::provider::{Kind, Verdicts, Wanted};
use crate::wire::json::Json;
use std::net::IpAddr;

/// With more requests than this, a whole zone is read at once where that can be done.
const FEW: usize = 4;

/// A record at the service.
pub(super) struct Found {
    /// Lower case, in full.
    pub(super) name: String,
    pub(super) family: Family,
    /// Empty for a record that is no plain address.
    pub(super) addrs: Vec<IpAddr>,
    pub(super) id: String,
    pub(super) ttl: Option<u32>,
    /// Switched off: the service does not give it out.
    pub(super) off: bool,
    /// As the service wrote it.
    pub(super) raw: Json,
}

impl Run<'_, '_> {
    /// The records that stand at some names, and those names that could be asked for.
    pub(super) fn read<'a>(
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
