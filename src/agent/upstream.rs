//! The routers above us: starts the questions, tells what comes of them, and takes leave of them at the end.

use super::message::send;
use super::report::draw;
use super::{Agent, BackendChoice, Config, Message};
use crate::act::net::{all, Work};
use crate::config::Wan;
use crate::map::Map;
use crate::mapping::upstream;
use crate::model::{millis, Now};
use crate::plan::upstream::{
    above, announced, answered, farewell, place, sentence, Place, Report, UpstreamJob, ANNOUNCED,
};
use crate::sense::announced::Announcements;
use crate::state::State;
use smol::{Task, Timer};
use std::time::Duration;

/// To whom is listened, by which device, and who does, if that can be.
pub(crate) type Listener = ((Place, String), Option<Task<()>>);

/// How long the routers may take at the end to let go of what they gave.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// Chooses the number by which routers know us again (PCP's nonce, RFC 6887 section 11.1), if there is none.
pub(super) fn name_ourselves(state: &mut State) {
    if state.nonce == [0; 12] && !draw(&mut state.nonce) {
        log::debug!("the kernel has no random numbers yet: PCP goes without");
    }
}

impl Agent {
    pub(super) fn start_upstream(&mut self, job: Box<UpstreamJob>) {
        let wan = job.wan.clone();
        let work = async move {
            let start = std::time::Instant::now();
            let report = upstream::work(&job).await;
            let by = report.way.map_or("nothing".into(), |way| way.to_string());
            let (gateway, asks, drops) = (job.place.gateway, job.asks.len(), job.drops.len());
            let (granted, ms) = (report.granted.len(), millis(start.elapsed()));
            log::debug!(
                "wan {}: {gateway} was asked for {asks} ports and told of {drops} to close: it answers by {by} and gives \
                 {granted} ({ms} ms)",
                job.wan
            );
            Message::Upstream(job, report)
        };
        self.asking_above.insert(wan, self.act(work));
    }

    /// Listens to the routers that are asked, and to no others.
    pub(super) fn listen_above(&mut self) {
        let of = |wan: &Wan| {
            let (place, device) = place(&self.config, &self.world, wan)?;
            Some((wan.name.clone(), (place, device.to_string())))
        };
        let wanted: Map<String, (Place, String)> = self.config.wans.iter().filter_map(of).collect();
        self.listening_above.retain(|wan, (at, _)| wanted.get(wan) == Some(&*at));
        for (wan, at) in &wanted {
            if !self.listening_above.contains_key(wan) {
                let task = self.listen_to(wan, at.0, &at.1);
                self.listening_above.insert(wan.clone(), (at.clone(), task));
            }
        }
    }

    fn listen_to(&self, wan: &str, place: Place, device: &str) -> Option<Task<()>> {
        let announcements = match Announcements::open(device, place) {
            Ok(announcements) => announcements,
            Err(error) => {
                self.debug(&format_args!(
                    "wan {wan}: the router above us is not heard ({error}); it is asked each minute"
                ));
                return None;
            }
        };
        let (wan, tx) = (wan.to_string(), self.tx.clone());
        Some(self.spawn(async move {
            while announcements.heard().await.is_ok() {
                send(&tx, Message::Announced(wan.clone(), place));
                // A flood of them wakes nobody more often than the router would be asked.
                Timer::after(ANNOUNCED).await;
            }
        }))
    }

    pub(super) fn announced_above(&mut self, wan: &str, place: Place, now: Now) {
        self.debug(&format_args!("wan {wan}: the router above us ({}) announces a change", place.gateway));
        announced(&mut self.state, wan, place, now.boot);
    }

    pub(super) fn heard_above(&mut self, job: &UpstreamJob, report: Report, now: Now) {
        let Some(wan) = self.config.wans.iter().find(|wan| wan.name == job.wan) else { return };
        if answered(&mut self.state, wan, job, report, now.boot) {
            let gateway = job.place.gateway;
            self.info(&format_args!(
                "wan {}: the router above us ({gateway}) has restarted; it is asked anew",
                job.wan
            ));
        }
        if let Some(sensed) = self.world.wans.get_mut(&job.wan) {
            sensed.above = above(&self.state, &job.wan);
        }
        let Some(memory) = self.state.upstream.get_mut(&job.wan) else { return };
        let Some((well, text)) = sentence(memory, wan) else { return };
        if memory.said == text {
            return;
        }
        memory.said.clone_from(&text);
        if well {
            self.info(&format_args!("wan {}: {text}", job.wan));
        } else {
            self.warn(&format_args!("wan {}: {text}", job.wan));
        }
    }

    /// Has the router above a WAN that is configured no more take away what it gave, which else stays for an hour. Nobody
    /// waits for it.
    pub(super) fn leave_gone(&self, before: &Config) {
        let gone = before.wans.iter().filter(|wan| !self.config.wans.iter().any(|w| w.name == wan.name));
        // One that is only called otherwise now has what is known under its new name already.
        let gone = gone.filter(|wan| self.world.wans.contains_key(&wan.name));
        for job in gone.filter_map(|wan| farewell(&self.world, &self.state, wan)) {
            let work = async move {
                let _ = upstream::work(&job).await;
            };
            self.spawn(work).detach();
        }
    }

    /// Has the routers above us take away what they gave, unless our own mappings stay.
    pub(super) async fn leave_above(&mut self) {
        (self.asking_above, self.listening_above) = Default::default();
        let global = &self.config.global;
        if global.keep_on_stop && global.backend != BackendChoice::Uci {
            return;
        }
        let jobs = self.config.wans.iter().filter_map(|wan| farewell(&self.world, &self.state, wan));
        let jobs: Vec<UpstreamJob> = jobs.collect();
        let left = std::cell::RefCell::new(Vec::new());
        let one = |job| -> Work {
            let left = &left;
            Box::pin(async move {
                let report = upstream::work(job).await;
                left.borrow_mut().push((job.wan.clone(), report.dropped));
            })
        };
        let until = std::time::Instant::now() + LEAVE_LIMIT;
        let _ = crate::act::net::within(until, all(jobs.iter().map(one).collect())).await;
        for job in &jobs {
            let dropped = |drop: &crate::plan::upstream::Grant| {
                left.borrow().iter().any(|(wan, ports)| *wan == job.wan && ports.contains(&drop.port))
            };
            let gateway = job.place.gateway;
            if let Some(memory) = self.state.upstream.get_mut(&job.wan) {
                memory.grants.retain(|grant| !dropped(grant));
                memory.in_flight = None;
            }
            if !job.drops.iter().all(dropped) {
                self.warn(&format_args!(
                    "the router above us ({gateway}) may let in for up to an hour what was open here"
                ));
            }
        }
    }
}
