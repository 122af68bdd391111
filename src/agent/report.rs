//! Takes outcomes into the state and tells them: one line a change, with its number.

use super::Agent;
use crate::act::publish::Effort;
use crate::act::readback::Confirmed;
use crate::map::Map;
use crate::mapping::backend::Found;
use crate::mapping::conntrack::Cut;
use crate::mapping::fw4::Look;
use crate::mapping::nft::MapReport;
use crate::model::{millis, Family, Now, Protection, Reach, Reading, RecordId, Scheme, WanWorld};
use crate::plan::publish::{wish, Wish};
use crate::plan::settle::{self, End};
use crate::plan::witness::{Known as KnownBy, Outcome as Heard, Standing, Testimony};
use crate::plan::{
    lease, mapping, notify, probe, source, witness, Carried, Carrier, Leased, LookJob, MapJob, ProbeJob,
    PublishJob, ResolveJob, Rule, TellJob, WitnessJob,
};
use crate::provider::{self, Failure, Kind, Outcome, Verdicts, Wanted};
use crate::state::{Known, Pinned, Seen};
use crate::status::BEHIND_PROXY;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How the firewall's table is named among those who drop.
const FW4_TABLE: &str = "table inet fw4,";

/// Fills it by chance; false where the kernel has no random numbers yet.
pub(crate) fn draw(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// A fresh number, for the jitter of back-offs and the like; the same for all where the kernel has none.
pub(crate) fn random() -> u32 {
    let mut bytes = [0u8; 4];
    if draw(&mut bytes) {
        u32::from_ne_bytes(bytes)
    } else {
        u32::MAX / 2
    }
}

impl Agent {
    fn info(&self, text: &str) {
        log::info!("{}", self.redactor.redact(text));
    }

    fn warn(&self, text: &str) {
        log::warn!("{}", self.redactor.redact(text));
    }

    /// Tells what changed at the WANs.
    pub(crate) fn report_wans(&self, before: &Map<String, WanWorld>) {
        for (name, wan) in &self.world.wans {
            for family in Family::BOTH {
                let old = before.get(name).map(|wan| wan.line(family).addr).unwrap_or_default();
                let new = wan.line(family).addr;
                match (old.seen(), new) {
                    (before, Reading::Seen { value, .. }) if before != Some(value) => {
                        log::debug!("wan {name}: {family} address {value}");
                    }
                    (Some(addr), Reading::Lost { .. }) => {
                        log::debug!("wan {name}: {family} address {addr} is gone")
                    }
                    _ => {}
                }
            }
        }
    }

    /// Tells how a WAN can be reached and what that means, once, where it is not public or is so again.
    pub(crate) fn report_reach(&mut self) {
        let mut texts = Vec::new();
        for wan in &self.config.wans {
            for family in
                Family::BOTH.into_iter().filter(|family| witness::is_wanted(&self.config, wan, *family))
            {
                let found = witness::standing(&self.world, &self.state, wan, family);
                let (key, unsure) =
                    (witness::key(wan, family), matches!(found.reach, Reach::Unknown | Reach::Offline));
                let same =
                    |told: &Standing| (told.reach, told.known == KnownBy::Mismatch, told.own, told.refuted);
                let told = self.reach_told.get(&key).map(same);
                let open = witness::is_open(&self.config, &self.world, &self.state, wan, family);
                // What witnesses say to a private address is waited for, so that it is said in one sentence.
                if unsure || told == Some(same(&found)) || open {
                    continue;
                }
                match found.means(family, witness::has_public_v6(&self.world, &self.state, wan)) {
                    Some(means) => texts.push(format!("wan {}: {means}", wan.name)),
                    None if told.is_some_and(|(reach, ..)| reach != Reach::Public) => {
                        texts.push(format!("wan {}: {family} is publicly reachable now", wan.name));
                    }
                    None => {}
                }
                self.reach_told.insert(key, found);
            }
        }
        texts.iter().for_each(|text| self.warn(text));
    }

    /// Takes in what witnesses said; tells a disagreement when it is new.
    pub(crate) fn testified(&mut self, job: &WitnessJob, said: Vec<Testimony>, now: Now) {
        for (witness, answer) in &said {
            let (name, family) = (&witness.operator, job.family);
            let answer = match answer {
                Ok(addr) => addr.to_string(),
                Err((why, _)) => why.clone(),
            };
            log::debug!("wan {}: witness {name} ({family}): {}", job.wan, self.redactor.redact(&answer));
        }
        let key = (job.wan.clone(), job.family);
        let doubted = |agent: &Agent| {
            let memory = agent.state.hearings.lines.get(&key)?;
            (memory.last == Heard::Doubt && !memory.running).then(|| memory.doubt())
        };
        let before = self.state.hearings.lines.get(&key).map(|memory| memory.last);
        if witness::answered(&mut self.state, &self.config, job, said, now, random()) {
            match doubted(self) {
                Some(doubt) if before != Some(Heard::Doubt) => {
                    self.warn(&format!("wan {}: {doubt}", job.wan))
                }
                _ => {}
            }
        }
    }

    /// Tells at level trace which records wait, and for what.
    pub(crate) fn trace_waiting(&self) {
        if !log::log_enabled!(log::Level::Trace) {
            return;
        }
        for record in &self.config.records {
            for family in &record.families {
                if let Wish::Wait(why) = wish(&self.config, &self.world, &self.state, record, *family) {
                    log::trace!("record {}: {family} is left as it is: {why}", record.name);
                }
            }
        }
    }

    pub(crate) fn say_publishing(&self, change: u64, wanted: &Wanted) {
        let known = self.state.records.get(&wanted.id).map(|memory| memory.known);
        if known == Some(Known::Published(wanted.addr)) {
            let text = "is right, and sent once more: unused names are taken away there (option refresh)";
            return self.info(&format!("#{change} {} {text}", wanted.id));
        }
        let before = match known {
            Some(Known::Published(addr) | Known::Remembered(addr)) => addr.to_string(),
            _ => "unknown".into(),
        };
        log::debug!("#{change} {}: {before} -> {}", wanted.id, wanted.addr);
    }

    pub(crate) fn published(
        &mut self,
        job: &PublishJob,
        memo: Map<String, String>,
        result: Result<Verdicts, Failure>,
        effort: Effort,
        now: Now,
    ) {
        let flying = self.state.accounts.get(&job.account).and_then(|account| account.in_flight.as_ref());
        let change =
            flying.filter(|f| f.generation == job.generation).map_or(self.state.change, |f| f.change);
        let entry = self.record(&job.record).and_then(|record| provider::find(&record.provider));
        let floor = Duration::from_secs(entry.map_or(0, |entry| entry.floor.into()));
        let end = End {
            now,
            floor,
            random: random(),
            requests: effort.requests,
            last_request: effort.last_request,
        };
        let clock_is_told = self.waits_for_clock(&job.account);
        let verdicts = settle::published(&mut self.state, &self.config, job, memo, result, end);
        let mut told = Vec::new();
        for (id, verdict) in verdicts {
            let Some(addr) = job.records.iter().find(|w| w.id == id).map(|w| w.addr) else { continue };
            match verdict {
                Ok(outcome) => self.record_right(change, &id, addr, &outcome, effort, now),
                Err(failure) if told.contains(&failure) => {}
                Err(failure) if failure.kind == Kind::Clock && clock_is_told => {
                    log::debug!("#{change} {id}: {}", self.redactor.redact(&failure.to_string()));
                }
                Err(failure) => {
                    self.record_failed(change, job, &id, &failure);
                    told.push(failure);
                }
            }
        }
    }

    /// Whether the last try of an account failed for the clock: that is said once, not at each look whether the
    /// clock was set meanwhile.
    fn waits_for_clock(&self, account: &str) -> bool {
        let retry = self.state.accounts.get(account).and_then(|account| account.retry.as_ref());
        retry.is_some_and(|retry| retry.failure.kind == Kind::Clock)
    }

    fn record_right(
        &mut self,
        change: u64,
        id: &RecordId,
        addr: IpAddr,
        outcome: &Outcome,
        effort: Effort,
        now: Now,
    ) {
        let ms = millis(effort.took);
        if *outcome == Outcome::Unchanged {
            return self.info(&format!("#{change} {id}: {addr} is published already ({ms} ms)"));
        }
        let text = format!("{id}: {addr} published in {ms} ms");
        self.info(&format!("#{change} {text}"));
        self.state.remember(change, now.wall, text);
        notify::changed(&mut self.state.told, &self.config, id, addr, now.boot);
        if *outcome == Outcome::UpdatedBehindProxy {
            // A read-back of an older change would look for what DNS does not show.
            self.confirming.remove(id);
            self.info(&format!("#{change} {id}: {BEHIND_PROXY}"));
        } else {
            self.start_confirm(id.clone(), addr, change);
        }
    }

    fn record_failed(&mut self, change: u64, job: &PublishJob, id: &RecordId, failure: &Failure) {
        let account = self.state.accounts.get(&job.account).and_then(|account| account.retry.as_ref());
        let retry = self.state.records.get(id).and_then(|memory| memory.retry.as_ref()).or(account);
        let next = match retry.map(|retry| retry.next) {
            Some(Some(at)) => {
                let wait = at.since(crate::sense::clock::now().boot);
                format!("next try in {}.{} s", wait.as_secs(), wait.subsec_millis() / 100)
            }
            Some(None) => "it rests until the configuration changes".into(),
            None => "next try soon".into(),
        };
        let what = match job.records.len() {
            1 => id.to_string(),
            n => format!("{id} (and others of {n})"),
        };
        self.warn(&format!("#{change} {what}: {failure}; {next}"));
    }

    pub(crate) fn looked(
        &mut self,
        job: &LookJob,
        answers: Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>,
        now: Now,
    ) {
        self.looking.remove(&job.account);
        for (id, answer) in &answers {
            match answer {
                Ok(addrs) if addrs.is_empty() => log::debug!("{id}: nothing is published"),
                Ok(addrs) => {
                    let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                    log::debug!("{id}: {} is published", addrs.join(" and "));
                }
                Err(failure) => {
                    let text = format!("{id}: what is published could not be told: {failure}");
                    match self.state.records.get(id).and_then(|memory| memory.retry.as_ref()) {
                        Some(retry) if retry.failure == *failure => {
                            log::debug!("{}", self.redactor.redact(&text))
                        }
                        _ => self.warn(&text),
                    }
                }
            }
        }
        let none = Duration::ZERO;
        let end = End { now, floor: none, random: random(), requests: 0, last_request: none };
        settle::looked(&mut self.state, &self.config, job, answers, end);
    }

    pub(crate) fn confirmed(
        &mut self,
        id: &RecordId,
        addr: IpAddr,
        change: u64,
        result: Result<Confirmed, Failure>,
    ) {
        self.confirming.remove(id);
        let Some(memory) = self.state.records.get_mut(id).filter(|m| m.known == Known::Published(addr))
        else {
            return;
        };
        match result {
            Ok(seen) => {
                memory.seen = Seen::After(seen.took);
                let (ms, count) = (millis(seen.took), seen.servers);
                self.info(&format!(
                    "#{change} {id}: seen at {count} of the zone's name servers after {ms} ms"
                ));
            }
            Err(failure) => {
                memory.seen = Seen::Unconfirmed(failure.text.clone());
                self.warn(&format!(
                    "#{change} {id}: could not confirm that {addr} is published: {}",
                    failure.text
                ));
            }
        }
    }

    /// Tells what a camera made of the question for a password, when that is new.
    pub(crate) fn probed(&mut self, job: &ProbeJob, found: Protection, now: Now) {
        let Some(mapping) = self.config.mappings.iter().find(|mapping| mapping.name == job.mapping) else {
            return;
        };
        let (camera, was_proven) = (mapping.camera.clone(), self.is_proven(&job.mapping));
        let text = format!("camera {camera} at {} {found}", job.inquiry.target);
        let clear = found == Protection::Password(Scheme::Basic);
        let good = matches!(found, Protection::Password(_));
        if !probe::answered(&mut self.state, mapping, job, found, now.boot) {
            return log::debug!("{text}");
        }
        let fate = match (was_proven, self.is_proven(&job.mapping)) {
            (_, true) => "stays as it is for now",
            (true, false) => "is closed",
            (false, false) => "stays closed",
        };
        if good {
            self.info(&text);
        } else {
            self.warn(&format!("{text}; mapping {} {fate}", job.mapping));
        }
        if clear {
            self.warn(&format!(
                "camera {camera}: Basic authentication sends the password in clear text over the internet: \
                 set the camera to Digest, or let nobody in but by `list src_ip`, a tunnel or a VPN"
            ));
        }
    }

    /// Tells who has which address now, when that is new, and once when it could not be learnt.
    pub(crate) fn resolved(&mut self, job: &ResolveJob, result: Result<Vec<IpAddr>, Failure>, now: Now) {
        let before = self.state.names.get(&job.name).cloned().unwrap_or_default();
        source::answered(&mut self.state, job, result, now.boot);
        let Some(after) = self.state.names.get(&job.name) else { return };
        match (&after.failure, &after.addrs) {
            (Some(why), addrs) => {
                let stays =
                    if addrs.is_some() { "who had its address still may" } else { "nobody may by it" };
                let text = format!("list src_ip: {why}; {stays}, and it is looked up again");
                match before.failure {
                    None => self.warn(&text),
                    Some(_) => log::debug!("{text}"),
                }
            }
            (None, Some(addrs)) if before.addrs.as_ref() != Some(addrs) => {
                let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                self.info(&format!("list src_ip: {} is {}", job.name, addrs.join(" ")));
            }
            _ if before.failure.is_some() => {
                self.info(&format!("list src_ip: {} can be looked up again", job.name));
            }
            _ => {}
        }
    }

    /// Takes in how everything stands that the owner may be told of.
    pub(crate) fn note_troubles(&mut self, now: Now) {
        if self.config.notifies.is_empty() {
            return;
        }
        let subjects = notify::subjects(&self.view(now));
        for text in notify::observe(&mut self.state.told, &self.config, subjects, now.boot) {
            log::warn!("{text}");
        }
    }

    /// What became of a message: a failure is told once.
    pub(crate) fn told(&mut self, job: &TellJob, result: Result<(), Failure>, now: Now) {
        let text = match &result {
            Ok(()) => format!("notify {}: told ({})", job.channel, job.message.get("event").unwrap_or("?")),
            Err(failure) => format!("notify {}: {failure}; it is tried again", job.channel),
        };
        let good = result.is_ok();
        match notify::ended(&mut self.state.told, job, result, now.boot, random()) {
            true if good => self.info(&text),
            true => self.warn(&text),
            false => log::debug!("{}", self.redactor.redact(&text)),
        }
    }

    fn is_proven(&self, mapping: &str) -> bool {
        self.state.probes.get(mapping).is_some_and(|memory| memory.proof.is_some())
    }

    /// Tells what was written for dnsmasq, and what was not, each once.
    pub(crate) fn leased(&mut self, result: Result<Leased, String>, now: Now) {
        let refused = self.state.leases.refused.clone();
        let before = self.state.leases.pinned.clone();
        let written = matches!(&result, Ok(leased) if leased.written);
        let failed = lease::leased(&mut self.state, result, now.boot);
        let memory = &self.state.leases;
        for (camera, why) in memory.refused.iter().filter(|one| !refused.contains(one)) {
            self.warn(&format!("camera {camera}: its static lease is not written: {why}"));
        }
        if let Some(why) = memory.failure.as_ref().filter(|_| failed) {
            self.warn(&format!("the static leases: {why}"));
        }
        if written {
            self.state.change += 1;
            let change = self.state.change;
            for text in lease_changes(&before, &self.state.leases.pinned) {
                self.info(&format!("#{change} {text}"));
                self.state.remember(change, now.wall, text);
            }
        }
    }

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
                if self.tell_filter_failure(&why) {
                    self.warn(&text);
                } else {
                    log::debug!("{}", self.redactor.redact(&text));
                }
                Err(why)
            }
            Ok(report) => {
                for (mapping, why) in &report.refused {
                    self.warn(&format!("#{change} mapping {mapping} stays closed: {why}"));
                }
                let mut after = in_force(Some(&job.rules), &report.refused);
                after.retain(|rule| !report.missing.contains(&rule.mapping));
                for text in changes(&before, &after) {
                    self.info(&format!("#{change} {text} ({ms} ms)"));
                    self.state.remember(change, now.wall, text);
                }
                if !job.cut.is_empty() || report.cut != Cut::default() {
                    self.info(&format!("#{change} connections of the old place: {}", report.cut));
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
                self.warn(&format!(
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
            self.warn(&format!("{name} drops what the port mappings let in; accept it there"));
        }
        self.world.droppers = droppers;
    }

    pub(crate) fn filter_checked(&mut self, look: Look, found: Option<Found>, droppers: Vec<String>) {
        self.checking_filter = None;
        self.filter_checked_at = Some(Instant::now());
        if let Some(found) = found {
            if found.fw4 != self.world.fw4 {
                let what = if found.fw4 { "came" } else { "went" };
                self.warn(&format!("OpenWrt's firewall (table inet fw4) {what}; the port mappings follow"));
            }
            (self.world.fw4, self.world.procd) = (found.fw4, found.procd);
        }
        self.set_droppers(droppers);
        if !look.intact && self.state.mapping.in_flight.is_none() {
            self.warn(
                "somebody changed or removed the port mappings in the packet filter; they are made anew",
            );
            self.state.mapping.applied = None;
        }
        if look.freed && self.state.mapping.in_flight.is_none() {
            self.info("a public port that somebody else had is free; its mapping is tried again");
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

/// What changed in dnsmasq's configuration, in words.
fn lease_changes(before: &Map<String, Pinned>, after: &Map<String, Pinned>) -> Vec<String> {
    let addr = |leases: &Map<String, Pinned>, camera: &String| leases.get(camera).map(|pinned| pinned.addr);
    let new = after.iter().filter(|(camera, pinned)| addr(before, camera) != Some(pinned.addr));
    let mut texts: Vec<String> = new
        .map(|(camera, pinned)| format!("camera {camera}: static lease for {} written", pinned.addr))
        .collect();
    let gone = before.keys().filter(|camera| addr(after, camera).is_none());
    texts.extend(gone.map(|camera| format!("camera {camera}: static lease taken out")));
    if texts.is_empty() {
        texts.push("static leases: /etc/config/dhcp set right".into());
    }
    texts
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
    for rule in after {
        let old = before.iter().find(|old| same(old, rule));
        match old {
            Some(old) if old.target == rule.target => {}
            Some(old) => texts.push(format!("mapping {}: {} -> {}", rule.mapping, old.target, rule.target)),
            None => texts.push(format!(
                "mapping {}: port {} is open to {} port {}",
                rule.mapping, rule.src_dport.0, rule.target, rule.dest_port.0
            )),
        }
    }
    for old in before.iter().filter(|old| !after.iter().any(|rule| same(rule, old))) {
        let by = if old.target.is_ipv6() { " by IPv6" } else { "" };
        texts.push(format!("mapping {}: port {} is closed{by}", old.mapping, old.src_dport.0));
    }
    texts
}
