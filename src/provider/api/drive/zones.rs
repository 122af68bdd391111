//! Which zone a name lies in: the longest of the account's that holds it.

use super::{ends, Run};
use crate::provider::api::answer::{field, first, named, scalar, Trouble};
use crate::provider::api::Means;
use crate::provider::{Failure, Kind, Verdicts, Wanted};

/// What a key of the memo begins with; a zone's name follows, its value is the zone's id.
const MEMO: &str = "zone ";
/// The same; a domain follows, its value is the name of its zone.
const AT: &str = "at ";
/// Zones that were asked for, and how that was refused.
type Tried = Vec<(String, Option<Failure>)>;

/// The records of one zone.
pub(super) struct Group<'a> {
    pub(super) zone: String,
    pub(super) id: String,
    pub(super) members: Vec<&'a Wanted>,
}

impl Run<'_, '_> {
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
    pub(super) fn zones<'a>(
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
    pub(super) fn forget(&mut self, zone: &str) -> bool {
        let before = self.job.memo.len();
        let key = format!("{MEMO}{zone}");
        self.job.memo.retain(|other, _| *other != key);
        self.job.memo.len() < before
    }
}

/// A refusal that was heard before.
fn forbidden(failure: Failure) -> Trouble {
    Trouble { means: Means::Auth, status: 403, ..Trouble::from(failure) }
}

/// A zone's id without what AWS writes before it.
fn bare(id: &str) -> &str {
    id.trim_start_matches("/hostedzone/")
}

/// A domain and the domains above it, the longest first, without the last label alone.
pub(super) fn above(domain: &str) -> impl Iterator<Item = &str> {
    let domain = domain.strip_prefix("*.").unwrap_or(domain);
    std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, rest)| rest))
        .filter(|name| name.contains('.'))
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
}
