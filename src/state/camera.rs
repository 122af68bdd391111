//! What is known of the cameras, and the state file's lines of it.

use super::text::{time, Lines};
use super::State;
use crate::config::Probe;
use crate::model::{millis, Inquiry, Mac, Protection, Scheme, Time};
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

/// Stands for what is not known.
const DASH: &str = "-";
/// Stands for the time of what lasts.
const NOW: &str = "now";

/// One camera's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraState {
    /// What its section knows it by ([`crate::plan::camera::known_by`]): all below is about the device that is known so.
    pub known_by: String,
    /// The hardware address that a camera known by name or address was bound to when first seen.
    pub bound: Option<Mac>,
    /// Where it is.
    pub addr: Option<IpAddr>,
    /// The address of its DHCP lease that came last, and since when it is that.
    pub lease: Option<(IpAddr, Time)>,
    /// The addresses of all its leases: one for each of its hardware addresses.
    pub leases: Vec<IpAddr>,
    /// When `addr` was chosen.
    pub moved_at: Time,
    /// Another device on its address.
    pub conflict: Option<Conflict>,
    /// Which of its hardware addresses it shows at present, as last seen.
    pub mac: Option<Mac>,
    /// Its IPv6 address now, if that is known and a mapping wants it.
    pub addr6: Option<IpAddr>,
    /// The half of its own of an IPv6 address at which it was heard, in whatever prefix.
    pub heard6: Option<u64>,
    /// Another device on its IPv6 address.
    pub conflict6: Option<Conflict>,
    /// Since when the kernel knows of nobody there. Not kept over a restart.
    pub unheard: Option<Time>,
}

/// Another device holds (or held) a camera's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub addr: IpAddr,
    /// Who.
    pub by: Mac,
    /// True while it is so.
    pub now: bool,
    /// When it was last so.
    pub last: Time,
    /// How long it must have been quiet before the mapping opens again.
    pub quiet: Duration,
}

/// What is known of a mapping's camera by asking it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeState {
    /// Number of the last question.
    pub generation: u64,
    /// The running question.
    pub in_flight: Option<Inquiry>,
    /// What was asked last and answered; all below is about this.
    pub asked: Option<Inquiry>,
    /// It is proven that whoever comes needs a password, in this way, and nothing speaks against it since.
    pub proof: Option<Scheme>,
    /// What it made of the last question.
    pub found: Option<Protection>,
    /// Since when it is found so.
    pub since: Time,
    /// When the last answer came.
    pub at: Time,
    /// Since it was found open to anyone: how often in a row it has asked for a password. `None`: it was never so, or
    /// has long asked.
    pub calm: Option<u32>,
    /// How often in a row nothing was proven.
    pub tries: u32,
    /// When to ask again.
    pub next: Time,
}

impl State {
    /// Adds the lines of the cameras.
    pub(super) fn add_cameras(&self, lines: &mut Lines) {
        for (name, camera) in &self.cameras {
            let (bound, addr) = (or_dash(&camera.bound), or_dash(&camera.addr));
            lines.add(&[&"camera", name, bound, addr, &camera.known_by]);
            if camera.moved_at != Time::default() {
                lines.add(&[&"moved", name, &camera.moved_at.0]);
            }
            if let Some((addr, since)) = &camera.lease {
                lines.add(&[&"lease", name, addr, &since.0]);
            }
            for addr in &camera.leases {
                lines.add(&[&"leased", name, addr]);
            }
            if let Some(mac) = &camera.mac {
                lines.add(&[&"shows", name, mac]);
            }
            if let Some(half) = &camera.heard6 {
                lines.add(&[&"heard6", name, half]);
            }
            for Conflict { addr, by, now, last, quiet } in camera.conflict.iter().chain(&camera.conflict6) {
                // While it lasts, its time is now: whatever that will be.
                let last: &dyn Display = if *now { &NOW } else { &last.0 };
                lines.add(&[&"conflict", name, addr, by, last, &millis(*quiet)]);
            }
        }
        for (name, probe) in &self.probes {
            if let (Some(Inquiry { target, how, path }), Some(scheme)) = (&probe.asked, &probe.proof) {
                lines.add(&[&"proof", name, target, how, path, scheme, &probe.at.0, &probe.next.0]);
            }
        }
    }

    /// Reads one of the lines, but for proofs.
    pub(super) fn read_camera(&mut self, name: &str, fields: &[&str]) -> Option<()> {
        let camera = self.cameras.entry(name.to_string()).or_default();
        match fields {
            ["camera", _, bound, addr, known_by] => {
                camera.known_by = (*known_by).to_string();
                camera.bound = if *bound == DASH { None } else { Some(Mac::parse(bound)?) };
                camera.addr = if *addr == DASH { None } else { Some(addr.parse().ok()?) };
            }
            ["moved", _, at] => camera.moved_at = time(at)?,
            ["lease", _, addr, since] => camera.lease = Some((addr.parse().ok()?, time(since)?)),
            ["leased", _, addr] => camera.leases.push(addr.parse().ok()?),
            ["conflict", _, addr, by, last, quiet] => {
                let now = *last == NOW;
                let last = if now { Time::default() } else { time(last)? };
                let quiet = Duration::from_millis(quiet.parse().ok()?);
                let addr: IpAddr = addr.parse().ok()?;
                let place = if addr.is_ipv4() { &mut camera.conflict } else { &mut camera.conflict6 };
                *place = Some(Conflict { addr, by: Mac::parse(by)?, now, last, quiet });
            }
            ["shows", _, mac] => camera.mac = Some(Mac::parse(mac)?),
            ["heard6", _, half] => camera.heard6 = Some(half.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Reads the fields behind the kind of the line of a proof.
    pub(super) fn read_proof(&mut self, fields: &[&str]) -> Option<()> {
        let [name, target, how, path, scheme, at, next] = fields else { return None };
        let inquiry = Inquiry {
            target: target.parse().ok()?,
            how: if *how == "http" { Probe::Http } else { Probe::Rtsp },
            path: (*path).to_string(),
        };
        let scheme = if *scheme == "Digest" { Scheme::Digest } else { Scheme::Basic };
        let at = time(at)?;
        let probe = self.probes.entry((*name).to_string()).or_default();
        (probe.asked, probe.proof) = (Some(inquiry), Some(scheme));
        (probe.found, probe.since) = (Some(Protection::Password(scheme)), at);
        (probe.at, probe.next) = (at, time(next)?);
        Some(())
    }
}

/// The value, or what stands for none.
fn or_dash<T: Display>(value: &Option<T>) -> &dyn Display {
    match value {
        Some(value) => value,
        None => &DASH,
    }
}
