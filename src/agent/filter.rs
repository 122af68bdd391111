//! Tells what became of changes of the packet filter, and what others did to it.

use super::Agent;
use crate::mapping::backend::Found;
use crate::mapping::conntrack::Cut;
use crate::mapping::fw4::Look;
use crate::mapping::nft::MapReport;
use crate::model::{millis, Family, Now};
use crate::plan::{mapping, settle, Carried, Carrier, MapJob, Rule};
use crate::sense::clock;
use std::time::{Duration, Instant};

/// How the firewall's table is named among those who drop.
const FW4_TABLE: &str = "table inet fw4,";

impl Agent {
    pub(crate) fn mapped(
        &mut self,
        job: &MapJob,
        change: u64,
        took: Duration,
        result: Result<MapReport, String>,
        now: Now,
    ) {
        let before = in_force(self.state.mapping.applied.as_deref(), &self.state.mapping.refused);
        let ms = millis(took);
        let unreached = |report: &MapReport| report.unreached.clone();
        let result = match result.as_ref().ok().and_then(unreached) {
            Some(why) => {
                settle::not_reloaded(&mut self.state, job);
                Err(why)
            }
            None => result,
        };
        let result = match result {
            Err(why) => {
                let text = format!("#{change} the port mappings could not be changed: {why}");
                let new = self.tell_filter_failure(&why);
                match self.repeats.failed("filter", "filter", now) {
                    Some(more) => self.warn(&format_args!("{text}{more}")),
                    None if new => self.warn(&text),
                    None => self.debug(&text),
                }
                Err(why)
            }
            Ok(report) => {
                let failed = self.repeats.ended("filter");
                if !failed.is_empty() {
                    self.info(&format_args!("#{change} the port mappings can be changed again{failed}"));
                }
                for (mapping, why) in &report.refused {
                    self.warn(&format_args!("#{change} mapping {mapping} stays closed: {why}"));
                }
                let mut after = in_force(Some(&job.rules), &report.refused);
                after.retain(|rule| !report.missing.contains(&rule.mapping));
                for text in changes(&before, &after) {
                    self.info(&format_args!("#{change} {text} ({ms} ms)"));
                    self.state.remember(change, now.wall, text);
                }
                if !job.cut.is_empty() || report.cut != Cut::default() {
                    self.info(&format_args!("#{change} connections of the old place: {}", report.cut));
                }
                self.count(&report.hits);
                let MapReport { refused, missing, reloaded, .. } = report;
                Ok(Carried { refused, missing, reloaded })
            }
        };
        settle::mapped(&mut self.state, job, result, now.boot);
        // A look that the change ended.
        if self.checking_filter.is_none() && std::mem::take(&mut self.check_filter_again) {
            self.check_filter();
        }
        for (family, switch) in
            [(Family::V4, "net.ipv4.ip_forward"), (Family::V6, "net.ipv6.conf.all.forwarding")]
        {
            let concerned = job.rules.iter().any(|rule| Family::of(rule.target) == family);
            if concerned && !crate::mapping::forwarding(&self.paths.root, family) {
                self.warn(&format_args!(
                    "this machine does not forward {family} (sysctl {switch} is 0): no mapping can work by it"
                ));
            }
        }
    }

    /// Whether a failure is a new one: it is told once, and again only when it says something else.
    pub(crate) fn tell_filter_failure(&self, why: &str) -> bool {
        self.state.mapping.retry.as_ref().is_none_or(|retry| retry.failure.text != why)
    }

    pub(crate) fn set_droppers(&mut self, mut droppers: Vec<String>) {
        // OpenWrt's firewall lets in what it carries, and nothing before it does.
        let carries = mapping::carrier(&self.config, &self.world).is_ok_and(Carrier::reloads);
        droppers.retain(|name| !carries || !name.starts_with(FW4_TABLE));
        for name in droppers.iter().filter(|name| !self.world.droppers.contains(name)) {
            self.warn(&format_args!("{name} drops what the port mappings let in; accept it there"));
        }
        self.world.droppers = droppers;
    }

    pub(crate) fn filter_checked(&mut self, look: Look, found: Option<Found>, droppers: Vec<String>) {
        self.checking_filter = None;
        self.filter_checked_at = Some(Instant::now());
        if let Some(found) = found {
            if found.fw4 != self.world.fw4 {
                let what = if found.fw4 { "came" } else { "went" };
                self.warn(&format_args!(
                    "OpenWrt's firewall (table inet fw4) {what}; the port mappings follow"
                ));
            }
            (self.world.fw4, self.world.procd) = (found.fw4, found.procd);
        }
        self.set_droppers(droppers);
        if !look.intact && self.state.mapping.in_flight.is_none() {
            let text =
                "somebody changed or removed the port mappings in the packet filter; they are made anew";
            self.fails("foreign changes", "foreign", &text, clock::now());
            self.state.mapping.applied = None;
        }
        if look.freed && self.state.mapping.in_flight.is_none() {
            self.info(&"a public port that somebody else had is free; its mapping is tried again");
            self.state.mapping.applied = None;
        }
        if look.came && self.state.mapping.in_flight.is_none() {
            settle::firewall_came(&mut self.state);
        }
        if std::mem::take(&mut self.check_filter_again) {
            self.check_filter();
        }
    }
}

/// The rules without those of mappings that were refused.
fn in_force(applied: Option<&[Rule]>, refused: &[(String, String)]) -> Vec<Rule> {
    let carried = |rule: &&Rule| !refused.iter().any(|(mapping, _)| *mapping == rule.mapping);
    applied.unwrap_or_default().iter().filter(carried).cloned().collect()
}

/// What became of each mapping, in words.
fn changes(before: &[Rule], after: &[Rule]) -> Vec<String> {
    let mut texts = Vec::new();
    let same = |a: &Rule, b: &Rule| {
        (&a.mapping, a.proto, a.target.is_ipv6()) == (&b.mapping, b.proto, b.target.is_ipv6())
    };
    let to = |rule: &Rule| (rule.proto, rule.src_dport, rule.target, rule.dest_port);
    // By a reload.
    let renamed = |old: &Rule, new: &Rule| to(old) == to(new) && !after.iter().any(|rule| same(rule, old));
    for rule in after {
        let old = before.iter().find(|old| same(old, rule));
        let old = old.or_else(|| before.iter().find(|old| renamed(old, rule)));
        match old {
            Some(old) if old.mapping != rule.mapping => {
                texts.push(format!("mapping {}: it is called {} now", old.mapping, rule.mapping));
            }
            Some(old) if old.target == rule.target => {}
            Some(old) => texts.push(format!("mapping {}: {} -> {}", rule.mapping, old.target, rule.target)),
            None => texts.push(format!(
                "mapping {}: port {} is open to {} port {}",
                rule.mapping, rule.src_dport.0, rule.target, rule.dest_port.0
            )),
        }
    }
    let gone = |old: &&Rule| !after.iter().any(|rule| same(rule, old) || renamed(old, rule));
    for old in before.iter().filter(gone) {
        let by = if old.target.is_ipv6() { " by IPv6" } else { "" };
        texts.push(format!("mapping {}: port {} is closed{by}", old.mapping, old.src_dport.0));
    }
    texts
}
