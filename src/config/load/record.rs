//! Section `record`: which names, at which provider, from which WANs; and that no two records fight.

use super::{families, keep, quoted, value, Entry, Family, Fate, Fields, Loader, Record};
use crate::provider::web::url_fault;
use crate::provider::{own_name, within, Update};
use std::time::Duration;

impl Loader<'_> {
    pub(super) fn record(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        let domains = fields.texts("domain");
        let zone = fields.text("zone");
        if let Some(zone) = &zone {
            for stranger in domains.iter().filter(|name| within(name, zone).is_none()) {
                self.reader.fault(
                    fields,
                    "zone",
                    &format!("{} is not in the zone '{zone}'", quoted(stranger)),
                );
            }
        }
        let provider = fields
            .one("provider")
            .and_then(|name| self.reader.providers.iter().find(|entry| entry.name == own_name(name)));
        let families = self.record_families(fields, provider);
        let ttl = fields.duration("ttl");
        if ttl.is_some_and(|ttl| ttl.subsec_millis() != 0) {
            self.reader.fault(fields, "ttl", "is not a whole number of seconds");
        }
        // What a request of one's own holds may be any address.
        let server = fields.one("url").zip(provider).filter(|(_, entry)| entry.name != "custom");
        let query = |entry: &Entry| matches!(entry.update, Update::Url(_));
        if let Some(fault) = server.and_then(|(url, entry)| url_fault(url, query(entry))) {
            self.reader.fault(fields, "url", fault);
        }
        let refresh = self.refresh(fields, provider);
        let wans = self.record_wans(fields);
        if fields.enabled {
            self.same_domain(fields, name, &domains, &families);
        }
        let wans = wans?;
        self.families_of_wans(fields, &wans, &families);
        let record = Record {
            name: name.to_string(),
            provider: provider?.name.to_string(),
            domains,
            wans,
            families,
            ttl: ttl.and_then(|ttl| u32::try_from(ttl.as_secs()).ok()),
            refresh,
            zone,
            follow_tunnel: fields.flag("follow_tunnel"),
            options: fields.options.clone(),
        };
        keep(fields, &mut self.loaded.config.records, record)
    }

    /// After how long an unchanged record is sent again.
    fn refresh(&mut self, fields: &mut Fields, provider: Option<&Entry>) -> Duration {
        let Some(entry) = provider else { return Duration::ZERO };
        let Some(written) = fields.one("refresh") else { return entry.refresh() };
        // The word `never` is no duration.
        let wanted = value::duration(written).unwrap_or_default();
        if entry.reads && !wanted.is_zero() {
            let text = format!(
                "provider {} is asked what is published, and what is right is not written; take this out, or write never",
                entry.name
            );
            self.reader.fault(fields, "refresh", &text);
        }
        wanted
    }

    /// The families that are wanted and that the provider can publish.
    fn record_families(&mut self, fields: &mut Fields, provider: Option<&Entry>) -> Vec<Family> {
        let mut wanted = families(fields);
        let Some(entry) = provider else { return wanted };
        wanted.retain(|family| entry.families.contains(family));
        if wanted.is_empty() {
            let can =
                entry.families.iter().map(|family| family.to_string()).collect::<Vec<_>>().join(" and ");
            self.reader.fault(fields, "family", &format!("provider {} publishes {can} only", entry.name));
        }
        wanted
    }

    /// The WANs whose address a record follows. `None` if none is left; then it has been said why.
    fn record_wans(&mut self, fields: &mut Fields) -> Option<Vec<String>> {
        let written = fields.texts("wan");
        if !fields.has("wan") && fields.wrote("wan") {
            return None;
        }
        let all = || self.known.iter().filter(|known| known.kind == "wan").map(|known| known.name.clone());
        let names = if written.is_empty() { all().collect() } else { written };
        let (mut good, mut off, mut faulty, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), false);
        for name in names {
            match self.fate("wan", &name) {
                Some(Fate::Good) => good.push(name),
                Some(Fate::Off) => off.push(name),
                Some(Fate::Faulty) => faulty.push(name),
                None => {
                    unknown = true;
                    let text = self.no_such("wan", &name);
                    self.reader.fault_at(fields, "wan", fields.line_of("wan", &name), &text);
                }
            }
        }
        if !fields.enabled || fields.faulty || unknown {
            return None;
        }
        let faulty_ones = faulty.iter().map(|name| self.called("wan", name)).collect::<Vec<_>>().join(", ");
        match (good.is_empty(), faulty.is_empty(), off.is_empty()) {
            (false, true, _) => {}
            (false, false, _) => self.reader.warn(
                fields,
                "",
                &format!("goes without wan {faulty_ones}, because of an error there"),
            ),
            (true, false, _) => {
                self.reader.fault(fields, "", &format!("left out, because of an error in wan {faulty_ones}"))
            }
            (true, true, false) => self.reader.warn(fields, "", "rests, because every wan of it is disabled"),
            (true, true, true) => self.reader.fault(fields, "", "left out, because there is no wan section"),
        }
        Some(good).filter(|good| !good.is_empty())
    }

    /// A record that wants a family which none of its WANs has.
    fn families_of_wans(&mut self, fields: &Fields, wans: &[String], families: &[Family]) {
        let has = |family: &Family| {
            let mut own = self.loaded.config.wans.iter().filter(|wan| wans.contains(&wan.name));
            own.any(|wan| wan.families.contains(family))
        };
        if !families.is_empty() && !families.iter().any(has) {
            self.reader.warn(
                fields,
                "family",
                "is never published, because no wan of the record has that family",
            );
        }
    }

    /// One name and family is kept right by one record only: two would fight over it.
    fn same_domain(&mut self, fields: &mut Fields, name: &str, domains: &[String], families: &[Family]) {
        for domain in domains {
            let other = self.loaded.config.records.iter().find(|other| {
                other.domains.contains(domain)
                    && other.families.iter().any(|family| families.contains(family))
            });
            let Some(other) = other.filter(|other| other.name != name) else { continue };
            let text = format!(
                "{} is kept right by record '{}' already, in the same family",
                quoted(domain),
                other.name
            );
            self.reader.fault_at(fields, "domain", fields.line_of("domain", domain), &text);
        }
    }
}
