//! Takes outcomes into the state and tells them: one line a change, with its number.

use super::Agent;
use crate::act::publish::Effort;
use crate::act::readback::Confirmed;
use crate::map::Map;
use crate::model::{millis, Family, Now, Protection, Reach, Reading, RecordId, Scheme, WanWorld};
use crate::plan::publish::{wish, Wish};
use crate::plan::settle::{self, End};
use crate::plan::witness::{Known as KnownBy, Outcome as Heard, Standing, Testimony};
use crate::plan::{
    lease, notify, probe, source, witness, Leased, LookJob, ProbeJob, PublishJob, ResolveJob, TellJob,
    WitnessJob,
};
use crate::provider::{self, Failure, Kind, Outcome, Verdicts, Wanted};
use crate::state::{kind_word, Known, Pinned, Seen};
use crate::status::BEHIND_PROXY;
use log::Level;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

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
    /// Writes a line of the log.
    fn say(&self, level: Level, text: &dyn Display) {
        log::log!(level, "{}", self.redactor.redact(&text.to_string()));
    }

    pub(super) fn error(&self, text: &dyn Display) {
        self.say(Level::Error, text);
    }

    pub(super) fn warn(&self, text: &dyn Display) {
        self.say(Level::Warn, text);
    }

    pub(super) fn info(&self, text: &dyn Display) {
        self.say(Level::Info, text);
    }

    pub(super) fn debug(&self, text: &dyn Display) {
        self.say(Level::Debug, text);
    }

    /// Tells a failure, unless that was done and it only repeats.
    pub(super) fn fails(&mut self, what: &str, class: &'static str, text: &dyn Display, now: Now) {
        match self.repeats.failed(what, class, now) {
            Some(more) => self.warn(&format_args!("{text}{more}")),
            None => self.debug(text),
        }
    }

    /// Tells that something goes well, and how often it had not before.
    pub(super) fn works(&mut self, what: &str, text: &dyn Display) {
        let failed = self.repeats.ended(what);
        self.info(&format_args!("{text}{failed}"));
    }

    /// Tells what changed at the WANs.
    pub(crate) fn report_wans(&self, before: &Map<String, WanWorld>) {
        for (name, wan) in &self.world.wans {
            for family in Family::BOTH {
                let old = before.get(name).map(|wan| wan.line(family).addr).unwrap_or_default();
                let new = wan.line(family).addr;
                match (old.seen(), new) {
                    (before, Reading::Seen { value, .. }) if before != Some(value) => {
                        self.debug(&format_args!("wan {name}: {family} address {value}"));
                    }
                    (Some(addr), Reading::Lost { .. }) => {
                        self.debug(&format_args!("wan {name}: {family} address {addr} is gone"))
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
            let answer: &dyn Display = match answer {
                Ok(addr) => addr,
                Err((why, _)) => why,
            };
            self.debug(&format_args!(
                "wan {}: witness {} ({}): {answer}",
                job.wan, witness.operator, job.family
            ));
        }
        let key = (job.wan.clone(), job.family);
        let doubted = |agent: &Agent| {
            let memory = agent.state.hearings.lines.get(&key)?;
            (memory.last == Heard::Doubt && !memory.running).then(|| memory.doubt())
        };
        if witness::answered(&mut self.state, &self.config, job, said, now, random()) {
            let what = format!("wan {} {}", job.wan, job.family);
            let agreed =
                self.state.hearings.lines.get(&key).is_some_and(|memory| memory.last == Heard::Agreed);
            match doubted(self) {
                Some(doubt) => self.fails(&what, "doubt", &format_args!("wan {}: {doubt}", job.wan), now),
                None if agreed => {
                    let failed = self.repeats.ended(&what);
                    if !failed.is_empty() {
                        self.info(&format_args!(
                            "wan {}: witnesses of {} agree again{failed}",
                            job.wan, job.family
                        ));
                    }
                }
                None => {}
            }
        }
    }

    /// Tells at level trace which records wait, and for what.
    pub(crate) fn trace_waiting(&self) {
        if !log::log_enabled!(Level::Trace) {
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
            return self.info(&format_args!("#{change} {} {text}", wanted.id));
        }
        let before = match known {
            Some(Known::Published(addr) | Known::Remembered(addr)) => addr.to_string(),
            _ => "unknown".into(),
        };
        self.debug(&format_args!("#{change} {}: {before} -> {}", wanted.id, wanted.addr));
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
                    self.debug(&format_args!("#{change} {id}: {failure}"));
                }
                Err(failure) => {
                    self.record_failed(change, job, &id, &failure, now);
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
        let (ms, what) = (millis(effort.took), id.to_string());
        if *outcome == Outcome::Unchanged {
            return self.works(&what, &format_args!("#{change} {id}: {addr} is published already ({ms} ms)"));
        }
        let text = format!("{id}: {addr} published in {ms} ms");
        self.works(&what, &format_args!("#{change} {text}"));
        self.state.remember(change, now.wall, text);
        notify::changed(&mut self.state.told, &self.config, id, addr, now.boot);
        if *outcome == Outcome::UpdatedBehindProxy {
            // A read-back of an older change would look for what DNS does not show.
            self.confirming.remove(id);
            self.info(&format_args!("#{change} {id}: {BEHIND_PROXY}"));
        } else {
            self.start_confirm(id.clone(), addr, change);
        }
    }

    fn record_failed(&mut self, change: u64, job: &PublishJob, id: &RecordId, failure: &Failure, now: Now) {
        let account = self.state.accounts.get(&job.account).and_then(|account| account.retry.as_ref());
        let retry = self.state.records.get(id).and_then(|memory| memory.retry.as_ref()).or(account);
        let next = match retry.map(|retry| retry.next) {
            Some(Some(at)) => {
                let wait = at.since(now.boot);
                format!("next try in {}.{} s", wait.as_secs(), wait.subsec_millis() / 100)
            }
            Some(None) => "it rests until the configuration changes".into(),
            None => "next try soon".into(),
        };
        let what = match job.records.len() {
            1 => id.to_string(),
            n => format!("{id} (and others of {n})"),
        };
        let text = format!("#{change} {what}: {failure}; {next}");
        self.fails(&id.to_string(), kind_word(failure.kind), &text, now);
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
                Ok(addrs) if addrs.is_empty() => self.debug(&format_args!("{id}: nothing is published")),
                Ok(addrs) => {
                    let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                    self.debug(&format_args!("{id}: {} is published", addrs.join(" and ")));
                }
                Err(failure) => {
                    let (what, class) = (format!("look {id}"), kind_word(failure.kind));
                    let text = &format_args!("{id}: what is published could not be told: {failure}");
                    self.fails(&what, class, text, now);
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
                self.info(&format_args!(
                    "#{change} {id}: seen at {count} of the zone's name servers after {ms} ms"
                ));
            }
            Err(failure) => {
                memory.seen = Seen::Unconfirmed(failure.text.clone());
                self.warn(&format_args!(
                    "#{change} {id}: could not confirm that {addr} is published: {}",
                    failure.text
                ));
            }
        }
    }

    /// Tells what a camera made of the question for a password, when that is new.
    pub(crate) fn probed(&mut self, job: &ProbeJob, found: Protection, now: Now) {
        let Some(mapping) = self.config.mappings.iter().find(|mapping| mapping.name == job.mapping) else {
            self.state.probes.remove(&job.mapping);
            return;
        };
        let (camera, was_proven) = (mapping.camera.clone(), self.is_proven(&job.mapping));
        let text = format!("camera {camera} at {} {found}", job.inquiry.target);
        let clear = found == Protection::Password(Scheme::Basic);
        let (good, class) = (matches!(found, Protection::Password(_)), class(&found));
        let new = probe::answered(&mut self.state, mapping, job, found, now.boot);
        let what = format!("mapping {}", job.mapping);
        let failed = match good {
            true => Some(self.repeats.ended(&what)),
            false => self.repeats.failed(&what, class, now),
        };
        // What is new is told in any case: it may have closed the port.
        if !new && (good || failed.is_none()) {
            return;
        }
        let text = format!("{text}{}", failed.unwrap_or_default());
        let fate = match (was_proven, self.is_proven(&job.mapping)) {
            (_, true) => "stays as it is for now",
            (true, false) => "is closed",
            (false, false) => "stays closed",
        };
        if good {
            self.info(&text);
        } else {
            self.warn(&format_args!("{text}; mapping {} {fate}", job.mapping));
        }
        if clear {
            self.warn(&format_args!(
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
        let (what, name) = (format!("src_ip {}", job.name), &job.name);
        match (&after.failure, &after.addrs) {
            (Some(why), addrs) => {
                let stays =
                    if addrs.is_some() { "who had its address still may" } else { "nobody may by it" };
                let text = format!("list src_ip: {why}; {stays}, and it is looked up again");
                self.fails(&what, "name", &text, now);
            }
            (None, Some(addrs)) if before.addrs.as_ref() != Some(addrs) => {
                let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                self.works(&what, &format_args!("list src_ip: {name} is {}", addrs.join(" ")));
            }
            _ if before.failure.is_some() => {
                self.works(&what, &format_args!("list src_ip: {name} can be looked up again"));
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
            self.warn(&text);
        }
    }

    /// What became of a message.
    pub(crate) fn told(&mut self, job: &TellJob, result: Result<(), Failure>, now: Now) {
        if self.config.notifies.iter().all(|section| section.name != job.channel) {
            self.state.told.channels.remove(&job.channel);
            return;
        }
        let text = match &result {
            Ok(()) => format!("notify {}: told ({})", job.channel, job.message.get("event").unwrap_or("?")),
            Err(failure) => format!("notify {}: {failure}; it is tried again", job.channel),
        };
        let what = format!("notify {}", job.channel);
        let class = result.as_ref().err().map(|failure| kind_word(failure.kind));
        let counts = notify::ended(&mut self.state.told, job, result, now.boot, random());
        match class.filter(|_| counts) {
            Some(class) => self.fails(&what, class, &text, now),
            None if counts => self.works(&what, &text),
            None => self.debug(&text),
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
            self.warn(&format_args!("camera {camera}: its static lease is not written: {why}"));
        }
        if let Some(why) = memory.failure.as_ref().filter(|_| failed) {
            self.warn(&format_args!("the static leases: {why}"));
        }
        if written {
            self.state.change += 1;
            let change = self.state.change;
            for text in lease_changes(&before, &self.state.leases.pinned) {
                self.info(&format_args!("#{change} {text}"));
                self.state.remember(change, now.wall, text);
            }
        }
    }
}

/// In which way a camera is not as it should be.
fn class(found: &Protection) -> &'static str {
    match found {
        Protection::Password(_) => "password",
        Protection::Open => "open",
        Protection::Unproven(_) => "unproven",
        Protection::NoService => "no-service",
        Protection::Silent => "silent",
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
