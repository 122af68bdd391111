//! Takes in what cameras answered, where those are who may come to them, and their static leases; tells what is new.

use super::Agent;
use crate::map::Map;
use crate::model::{Now, Protection, Scheme};
use crate::plan::{lease, probe, source, Leased, ProbeJob, ResolveJob};
use crate::provider::Failure;
use crate::state::Pinned;
use std::net::IpAddr;

impl Agent {
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
