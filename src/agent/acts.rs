//! Starts what the plan asked for. Each act runs beside the loop and comes back as a message.

use super::message::send;
use super::report::draw;
use super::sensors::UBUS;
use super::{Agent, Message};
use crate::act::publish::{self, Effort, Outside};
use crate::act::readback::{self, Servers};
use crate::act::witness;
use crate::act::{hosts, look, tell};
use crate::camera;
use crate::config::{BackendChoice, Record};
use crate::mapping::leases::Leases;
use crate::model::{millis, Now, RecordId};
use crate::notify;
use crate::plan::{
    Action, LeaseJob, LookJob, MapJob, ProbeJob, PublishJob, ResolveJob, Rule, TellJob, WitnessJob,
};
use crate::provider::{self, Failure, Job, Kind};
use smol::channel::bounded;
use smol::future::{BoxedLocal, Future};
use smol::Task;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the names of an account may take to be looked up: no change is published meanwhile.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long the name servers may take to show a change.
const CONFIRM_LIMIT: Duration = Duration::from_secs(300);
/// Read-backs at a time.
pub(crate) const CONFIRM_AT_ONCE: usize = 8;
/// After a foreign change of the packet filter, how long its changes are gathered before it is looked at.
const FILTER_SETTLE: Duration = Duration::from_millis(20);
/// After so many looks without a rest in between, it is ...
const QUICK_FILTER_LOOKS: u32 = 16;
/// ... so long: where a program changes a set with every name that is looked up, a small router would do nothing but
/// look, with four processes each time ...
const LONG_FILTER_SETTLE: Duration = Duration::from_secs(3);
/// ... until nothing changed for so long after a look.
const FILTER_REST: Duration = Duration::from_secs(2);

impl Agent {
    /// Runs something beside the loop. All of it is of one type, so that the code for running it is there once.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task<()> {
        let work: BoxedLocal<()> = Box::pin(work);
        self.executor.spawn(work)
    }

    /// Runs an act beside the loop, which takes in what it brings back.
    pub(super) fn act(&self, act: impl Future<Output = Message> + 'static) -> Task<()> {
        self.take_in(Box::pin(act))
    }

    fn take_in(&self, act: BoxedLocal<Message>) -> Task<()> {
        let tx = self.tx.clone();
        self.spawn(async move {
            send(&tx, act.await);
        })
    }

    pub(crate) fn start(&mut self, action: Action, change: u64, now: Now) {
        match action {
            Action::Publish(job) => self.start_publish(job, change, now),
            Action::Look(job) => self.start_look(job),
            Action::Probe(job) => self.start_probe(job),
            Action::Witness(job) => self.start_witness(job),
            Action::Resolve(job) => self.start_resolve(job),
            Action::Map(job) => self.start_map(job, change),
            Action::Tell(job) => self.start_tell(job, now),
            Action::Lease(job) => self.start_lease(job),
            Action::Upstream(job) => self.start_upstream(job),
            Action::Outside(job) => self.start_outside(job),
            Action::Tunnel(job) => self.start_tunnel(&job),
        }
    }

    pub(crate) fn record(&self, name: &str) -> Option<&Record> {
        self.config.records.iter().find(|record| record.name == name)
    }

    fn start_publish(&mut self, plan: Box<PublishJob>, change: u64, now: Now) {
        let Some(record) = self.record(&plan.record) else { return };
        let Some(entry) = provider::find(&record.provider) else { return };
        for wanted in &plan.records {
            self.say_publishing(change, wanted);
        }
        let mut nonce = [0u8; 16];
        if !draw(&mut nonce) {
            let failure = Failure::new(Kind::NotReady, "the kernel has no random numbers yet");
            send(&self.tx, Message::Published(plan, Default::default(), Err(failure), Effort::default()));
            return;
        }
        let memo = self.state.accounts.get(&plan.account).map(|a| a.memo.clone()).unwrap_or_default();
        let job = Job {
            zone: record.zone.clone(),
            ttl: record.ttl,
            options: record.options.clone(),
            records: plan.records.clone(),
            now: now.wall,
            nonce,
            memo,
        };
        let outside = self.outside(format!("#{change} record {}", plan.record));
        let work = async move {
            let (job, result, effort) = publish::publish(entry, job, outside).await;
            Message::Published(plan, job.memo, result, effort)
        };
        self.act(work).detach();
    }

    fn outside(&self, who: String) -> Arc<Outside> {
        let redactor = self.redactor.clone();
        Arc::new(Outside {
            http: self.http.clone(),
            timeout: self.config.global.timeout,
            who,
            redact: Box::new(move |text| redactor.redact(text)),
        })
    }

    fn start_tell(&self, job: Box<TellJob>, now: Now) {
        let Some(section) = self.config.notifies.iter().find(|section| section.name == job.channel) else {
            return;
        };
        let outside = self.outside(format!("notify {}", job.channel));
        let section = section.clone();
        let message = notify::Message(job.message.0.clone().map(|field| self.redactor.redact(&field)));
        let work = async move {
            let result = tell::tell(&section, &message, now.wall, outside).await;
            Message::Told(job, result)
        };
        self.act(work).detach();
    }

    /// Where the zone's name servers are asked for.
    pub(crate) fn servers(&self) -> Servers {
        let path = self.paths.root.join("etc/resolv.conf");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Servers { resolvers: readback::resolvers(&text), fixed: Vec::new(), port: crate::act::dns::PORT }
    }

    fn start_look(&mut self, job: Box<LookJob>) {
        let servers = self.servers();
        let (until, healed) = bounded::<()>(1);
        self.looking.insert(job.account.clone(), until);
        let work = async move {
            let healed = async {
                let _ = healed.recv().await;
            };
            let answers = look::all(&job.records, &servers, LOOK_LIMIT, healed).await;
            Message::Looked(job, answers)
        };
        self.act(work).detach();
    }

    pub(crate) fn start_confirm(&mut self, id: RecordId, addr: IpAddr, change: u64) {
        let (servers, at_once, key) = (self.servers(), self.confirm_at_once.clone(), id.clone());
        let work = async move {
            let _place = at_once.acquire().await;
            let result = readback::confirm(&id.domain, addr, &servers, CONFIRM_LIMIT).await;
            Message::Confirmed(id, addr, change, result)
        };
        self.confirming.insert(key, self.act(work));
    }

    fn start_probe(&self, job: Box<ProbeJob>) {
        let timeout = self.config.global.timeout;
        let work = async move {
            let start = Instant::now();
            let found = camera::ask(&job.inquiry, timeout).await;
            let (mapping, target, ms) = (&job.mapping, job.inquiry.target, millis(start.elapsed()));
            log::debug!("mapping {mapping}: the camera at {target} {found} ({ms} ms)");
            Message::Probed(job, found)
        };
        self.act(work).detach();
    }

    fn start_witness(&self, job: Box<WitnessJob>) {
        let http = self.http.clone();
        let work = async move {
            let start = Instant::now();
            let said = witness::ask(&job, &http).await;
            let (count, ms) = (said.len(), millis(start.elapsed()));
            log::debug!("wan {}: {count} witnesses of {} were asked in {ms} ms", job.wan, job.family);
            Message::Testified(job, said)
        };
        self.act(work).detach();
    }

    fn start_lease(&self, job: Box<LeaseJob>) {
        let leases = Leases::new(&self.paths.root, Path::new(UBUS));
        self.act(async move { Message::Leased(leases.apply(&job).await) }).detach();
    }

    /// Reads how many connections came.
    pub(super) fn start_count(&self) {
        let program = self.program.clone();
        self.act(async move { Message::Counted(program.hits().await) }).detach();
    }

    fn start_resolve(&self, job: Box<ResolveJob>) {
        let timeout = self.config.global.timeout;
        let work = async move {
            let result = hosts::resolve(&job.name, timeout).await;
            Message::Resolved(job, result)
        };
        self.act(work).detach();
    }

    /// A change that overtakes another ends it, and the look that is under way: it waits for neither.
    fn start_map(&mut self, job: Box<MapJob>, change: u64) {
        let (backend, tx) = (self.backend.clone(), self.tx.clone());
        let targets: Vec<IpAddr> = job.rules.iter().map(|rule| rule.target).collect();
        let plain = plain_targets(&job.rules);
        let work = async move {
            let (start, generation) = (Instant::now(), job.generation);
            let mut backend = backend.lock().await;
            let result = backend.apply(&job).await;
            let program = backend.program();
            drop(backend);
            send(&tx, Message::Mapped(job, change, start.elapsed(), result));
            let droppers = program.droppers(&targets, &plain).await.unwrap_or_default();
            send(&tx, Message::Droppers(generation, droppers));
        };
        self.check_filter_again |= self.checking_filter.take().is_some();
        self.changing_filter = Some(self.spawn(work));
    }

    /// Looks whether our table still stands, and whether the firewall that makes it useless came or went, after
    /// somebody changed the packet filter.
    pub(crate) fn check_filter(&mut self) {
        let memory = &self.state.mapping;
        let backend = self.config.global.backend;
        let asked = matches!(backend, BackendChoice::Auto | BackendChoice::Service | BackendChoice::Uci);
        let auto = asked && !self.config.mappings.is_empty();
        if memory.applied.is_none() && memory.in_flight.is_none() && !auto {
            return;
        }
        if self.checking_filter.is_some() {
            self.check_filter_again = true;
            return;
        }
        let backend = self.backend.clone();
        let targets: Vec<IpAddr> = memory.targets.iter().copied().collect();
        let plain = plain_targets(memory.applied.as_deref().unwrap_or_default());
        let settle = self.filter_settle();
        let work = async move {
            smol::Timer::after(settle).await;
            let mut backend = backend.lock().await;
            let look = backend.look().await;
            let found = if auto { Some(backend.find().await) } else { None };
            let program = backend.program();
            drop(backend);
            let droppers = program.droppers(&targets, &plain).await.unwrap_or_default();
            Message::Filter(look, found, droppers)
        };
        self.checking_filter = Some(self.act(work));
    }

    /// Counts a look at the packet filter, and says how long changes are gathered before it.
    pub(crate) fn filter_settle(&mut self) -> Duration {
        let rested = self.filter_checked_at.is_none_or(|at| at.elapsed() > FILTER_REST);
        self.filter_looks = if rested { 0 } else { self.filter_looks.saturating_add(1) };
        if self.filter_looks < QUICK_FILTER_LOOKS {
            FILTER_SETTLE
        } else {
            LONG_FILTER_SETTLE
        }
    }
}

/// Cameras that packets are sent to as they are.
fn plain_targets(rules: &[Rule]) -> Vec<IpAddr> {
    rules.iter().filter(|rule| rule.is_plain()).map(|rule| rule.target).collect()
}
