//! The loop: event -> world -> plan -> act -> state. The only place that sees all parts, on one thread;
//! what may block runs elsewhere and comes back as a [`Message`].

mod acts;
mod asked;
mod filter;
mod memory;
mod outside;
mod reload;
mod report;
mod sensors;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;

pub(crate) use reload::{judge, read_bytes};
pub use reload::{read_config, understand, Reading};
pub(crate) use report::{draw, random};

use memory::recalled;

use crate::act::http::Http;
use crate::act::nudge;
use crate::act::publish::Effort;
use crate::act::readback::Confirmed;
use crate::config::{BackendChoice, Config, Problem, Upstream};
use crate::control::{Answer, Asked};
use crate::map::{Map, Set};
use crate::mapping::backend::{Backend, Found, STOP_DEADLINE, UNMAP_DEADLINE};
use crate::mapping::fw4::Look;
use crate::mapping::hits::{label, Hits};
use crate::mapping::nft::{MapReport, Program};
use crate::model::{Event, Family, Mac, Now, Protection, RecordId, Time, TimeZone, World};
use crate::paths::Paths;
use crate::plan::outside::{OutsideJob, Verdict};
use crate::plan::repeat::Repeats;
use crate::plan::upstream::{Place, Report, UpstreamJob};
use crate::plan::witness::{Standing, Testimony};
use crate::plan::{
    self, camera, fold, lease, refresh, settle, witness, Leased, LookJob, MapJob, ProbeJob, PublishJob,
    ResolveJob, TellJob, WitnessJob,
};
use crate::provider::{Failure, Verdicts};
use crate::secret::Redactor;
use crate::sense::clock;
use crate::sense::network::Network;
use crate::sense::signals::Signal;
use crate::state::{self, State};
use crate::tunnel::Tunnels;
use smol::channel::{unbounded, Receiver, Sender};
use smol::future::or;
use smol::{LocalExecutor, Task, Timer};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything that the loop takes in.
pub enum Message {
    /// From a sensor.
    Event(Event),
    /// From the control socket.
    Asked(Asked),
    /// From the system.
    Signal(Signal),
    /// A publish job came back, with the provider's memo.
    Published(PublishJob, Map<String, String>, Result<Verdicts, Failure>, Effort),
    /// A look came back.
    Looked(LookJob, Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>),
    /// A read-back ended.
    Confirmed(RecordId, IpAddr, u64, Result<Confirmed, Failure>),
    /// A camera answered.
    Probed(ProbeJob, Protection),
    /// Witnesses answered.
    Testified(WitnessJob, Vec<Testimony>),
    /// The mappings' connections were counted, for those who ask for the status.
    Counted(Hits),
    /// A name was looked up.
    Resolved(ResolveJob, Result<Vec<IpAddr>, Failure>),
    /// A message to the owner came back.
    Told(TellJob, Result<(), Failure>),
    /// A change of the packet filter came back.
    Mapped(MapJob, u64, Duration, Result<MapReport, String>),
    /// A service tried a port from the internet, or could not be asked.
    Tried(OutsideJob, Result<Verdict, String>),
    /// The router above a WAN answered, or did not.
    Upstream(UpstreamJob, Report),
    /// The router above a WAN announced a change.
    Announced(String, Place),
    /// Something became of a tunnel's line.
    Tunnel(plan::tunnel::Report),
    /// Static leases were looked at.
    Leased(Result<Leased, String>),
    /// After the change of this generation: which tables drop what we let in.
    Droppers(u64, Vec<String>),
    /// The packet filter was looked at: is all as we made it, who is here to carry mappings (if that was asked), and
    /// who drops?
    Filter(Look, Option<Found>, Vec<String>),
    /// A sensor cannot go on. It is started again after a pause.
    Deaf(&'static str, String),
    /// A sensor that could not go on does again.
    Hears(&'static str),
}

/// The sensor without which nothing can be kept right.
const NETWORK: &str = "network";

/// How the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to stop.
    Daemon,
    /// Until all that is to be done was tried, at most until this moment.
    Once(Time),
}

/// The agent.
pub struct Agent {
    pub(crate) paths: Paths,
    pub(crate) config: Config,
    pub(crate) problems: Vec<Problem>,
    pub(crate) world: World,
    pub(crate) state: State,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) http: Http,
    pub(crate) backend: Rc<smol::lock::Mutex<Backend>>,
    /// What it asks, and others may meanwhile.
    pub(crate) program: Program,
    pub(crate) network: Option<Rc<Network>>,
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    pub(crate) tx: Sender<Message>,
    /// Running read-backs: a newer change of a record ends the older one's.
    pub(crate) confirming: Map<RecordId, Task<()>>,
    /// Running looks by account: they end when their sender is dropped.
    pub(crate) looking: Map<String, Sender<()>>,
    pub(crate) confirm_at_once: Arc<smol::lock::Semaphore>,
    /// The change of the packet filter that is under way, until it is known who drops what it lets in: a newer
    /// one ends it.
    pub(crate) changing_filter: Option<Task<()>>,
    /// Questions to the routers above us, by the WAN section's name.
    pub(crate) asking_above: Map<String, Task<()>>,
    /// Those who listen to them, if that can be: to whom, and by which device.
    pub(crate) listening_above: Map<String, upstream::Listener>,
    /// What runs of the tunnels.
    pub(crate) tunnels: Tunnels,
    /// The look at the packet filter that is under way: a change ends it.
    pub(crate) checking_filter: Option<Task<()>>,
    /// It changed while it was being looked at: look again.
    pub(crate) check_filter_again: bool,
    /// When the last look at it ended ...
    pub(crate) filter_checked_at: Option<Instant>,
    /// ... and how many there were without a rest in between.
    pub(crate) filter_looks: u32,
    /// Changes of the packet filter are heard.
    following_filter: bool,
    /// What the file last written said.
    saved: String,
    /// It could not be written, which was told.
    unsaved: bool,
    /// What the file on flash says.
    kept: State,
    boot_id: String,
    /// Sensors that stopped and do not run yet again, and why.
    pub(crate) deaf: Map<&'static str, String>,
    /// Sensors that have not spoken yet.
    awaited: Set<&'static str>,
    interest: (Vec<Mac>, Vec<IpAddr>),
    /// Addresses to which something was sent since the last look, so that the kernel looks who is there.
    nudged: Set<IpAddr>,
    next_look: Time,
    waiting: Vec<Answer>,
    /// How each WAN can be reached, as it was told.
    pub(crate) reach_told: Map<(String, Family), Standing>,
    /// Those who ask for the status while connections are being counted for it.
    asking: Vec<Answer>,
    /// Those who wait for another status than that with this mark.
    watching: Vec<(u32, Answer)>,
    /// Why it cannot go on.
    failed: Option<String>,
    /// Failures that repeat, so that each is told once and then counted.
    pub(crate) repeats: Repeats,
    /// The configuration is to be read again, once for all who said so.
    reload_wanted: bool,
}

/// What stands around an agent when it starts.
pub struct Setting {
    /// Where everything lies.
    pub paths: Paths,
    /// The configuration, as far as it is good.
    pub reading: Reading,
    /// TLS, set up before any thread.
    pub http: Http,
}

impl Agent {
    /// Starts on what the state file remembers.
    pub fn new(setting: Setting, executor: Rc<LocalExecutor<'static>>) -> (Agent, Receiver<Message>) {
        let Setting { paths, reading, http } = setting;
        let (tx, rx) = unbounded();
        let boot_id = clock::boot_id(&paths.root).unwrap_or_default();
        let state = state::load(&paths.state, &boot_id).unwrap_or_else(|why| {
            log::warn!("{why}; starting with an empty memory, so what is published is asked first");
            State::default()
        });
        let (mut state, kept) = recalled(state, &paths, &reading.config);
        upstream::name_ourselves(&mut state);
        let mut backend = Backend::new(&paths.root);
        backend.hits().extend(state.hits.iter().map(|(name, count)| (label(name), *count)));
        let agent = Agent {
            program: backend.program(),
            backend: Rc::new(smol::lock::Mutex::new(backend)),
            config: reading.config,
            problems: reading.problems,
            redactor: Arc::new(reading.redactor),
            world: World::default(),
            state,
            http: http.clone(),
            network: None,
            tunnels: tunnel::none(executor.clone(), tx.clone(), http, paths.clone()),
            executor,
            tx,
            confirming: Map::new(),
            looking: Map::new(),
            confirm_at_once: Arc::new(smol::lock::Semaphore::new(acts::CONFIRM_AT_ONCE)),
            changing_filter: None,
            asking_above: Map::new(),
            listening_above: Map::new(),
            checking_filter: None,
            check_filter_again: false,
            filter_checked_at: None,
            filter_looks: 0,
            following_filter: false,
            saved: String::new(),
            unsaved: false,
            kept,
            boot_id,
            deaf: Map::new(),
            awaited: Set::from([NETWORK, "leases", "resolver"]),
            interest: Default::default(),
            nudged: Set::new(),
            next_look: Time::default(),
            waiting: Vec::new(),
            reach_told: Map::new(),
            asking: Vec::new(),
            watching: Vec::new(),
            failed: None,
            repeats: Repeats::default(),
            reload_wanted: false,
            paths,
        };
        (agent, rx)
    }

    /// Runs until it is to end. Returns whether all is well then.
    pub async fn run(mut self, rx: Receiver<Message>, mode: Mode) -> Result<bool, String> {
        if mode != Mode::Daemon {
            // What is given has to be renewed, and no pass waits for a port to be tried.
            (self.config.global.upstream, self.config.global.probe_url) = (Upstream::Off, None);
            self.config.tunnels = Vec::new();
        }
        self.start_sensors().await?;
        self.next_look = clock::now().boot.plus(self.config.global.check_interval);
        self.read_holes(clock::now());
        loop {
            let now = clock::now();
            let wake_at = self.decide(now);
            let idle = self.is_idle(now.boot, wake_at);
            if idle {
                self.answer_waiting(now);
            }
            self.answer_watching(now);
            if let Mode::Once(deadline) = mode {
                // What is to be told leaves with the pass, or is left to the next one.
                if idle && !self.is_telling(now.boot) || now.boot >= deadline {
                    return Ok(idle && self.view(now).healthy());
                }
            }
            let wake_at = if let Mode::Once(deadline) = mode { wake_at.min(deadline) } else { wake_at };
            if let Some(message) = next(&rx, wake_at).await {
                if !self.take_all(message, &rx) {
                    if mode == Mode::Daemon {
                        self.end().await;
                    }
                    return self.failed.take().map_or(Ok(true), Err);
                }
            }
        }
    }

    /// Takes away a table that a run left which was killed, if nothing is known of it and nothing is to be mapped.
    async fn close_stray(&mut self) {
        if !plan::mapping::is_stray(&self.config, &self.world, &self.state) {
            return;
        }
        match self.backend.lock().await.remove_any(UNMAP_DEADLINE).await {
            Ok(Some(cut)) => log::warn!("an earlier run had left port mappings open: closed, {cut}"),
            Ok(None) => {}
            // Without nft, or without the right to use it, there is no table either.
            Err(why) => {
                log::debug!("whether an earlier run left port mappings open could not be told: {why}")
            }
        }
    }

    /// Plans, starts what is due, and says when to plan again at the latest.
    fn decide(&mut self, now: Now) -> Time {
        camera::observe(&self.config, &self.world, &mut self.state, now.boot);
        refresh::observe(&self.config, &mut self.state, now);
        self.note_troubles(now);
        self.tell_interest();
        if now.boot >= self.next_look {
            self.next_look = now.boot.plus(self.config.global.check_interval);
            if let Some(network) = &self.network {
                network.rescan();
            }
            self.check_filter();
            lease::look_again(&mut self.state, &self.config);
            self.nudged = Set::new();
            self.read_holes(now);
        }
        self.nudge_unheard();
        self.listen_above();
        plan::tunnel::observe(&self.config, &self.world, &mut self.state, now);
        self.report_reach();
        let plan = plan::plan(&self.config, &self.world, &self.state, now);
        let started: Vec<_> = plan
            .actions
            .into_iter()
            .map(|action| (settle::begin(&mut self.state, &action, now), action))
            .collect();
        // Before anything leaves: after a kill, what is in flight is asked for, not sent again.
        self.save();
        self.keep();
        for (change, action) in started {
            self.start(action, change, now);
        }
        plan.wake_at.map_or(self.next_look, |at| at.min(self.next_look))
    }

    /// Has the kernel look for cameras that it has not heard, once a look.
    fn nudge_unheard(&mut self) {
        if !self.world.complete {
            return;
        }
        for addr in plan::mapping::unheard(&self.config, &self.world, &self.state) {
            if self.nudged.insert(addr) {
                if let Err(e) = nudge::nudge(addr) {
                    log::debug!("nothing could be sent to {addr}: {e}");
                }
            }
        }
    }

    /// Tells the neighbour sensor whom to listen for.
    fn tell_interest(&mut self) {
        let mut macs = Vec::new();
        let mut ips = Vec::new();
        for camera in &self.config.cameras {
            let memory = self.state.cameras.get(&camera.name).cloned().unwrap_or_default();
            macs.extend(camera::macs(camera, &memory));
            ips.extend(memory.addr.into_iter().chain(memory.addr6).chain(camera.ip));
        }
        ips.sort();
        ips.dedup();
        let interest = (macs, ips);
        if interest != self.interest {
            if let Some(network) = &self.network {
                match network.set_cameras(&interest.0, &interest.1) {
                    // Nothing is opened before it is known who holds the cameras' addresses.
                    Ok(()) => {
                        self.awaited.insert("neighbours");
                        self.world.complete = false;
                    }
                    Err(e) => log::warn!("the neighbour table cannot be followed: {e}"),
                }
            }
            self.interest = interest;
        }
    }

    /// Takes a message and all that came with it. False: the agent is to end.
    fn take_all(&mut self, first: Message, rx: &Receiver<Message>) -> bool {
        let mut message = Some(first);
        let mut goes_on = true;
        while let Some(now) = message {
            goes_on = self.take(now);
            message = rx.try_recv().ok().filter(|_| goes_on);
        }
        // A storm of signals is one reload; how it ends is the last word of the configuration too.
        if std::mem::take(&mut self.reload_wanted) {
            self.reload();
        }
        goes_on
    }

    fn take(&mut self, message: Message) -> bool {
        let now = clock::now();
        match message {
            Message::Event(event) => self.sensed(event, now),
            Message::Asked(asked) => self.asked(asked, now),
            Message::Signal(Signal::Stop) => return false,
            Message::Signal(Signal::Reload) => self.reload_wanted = true,
            Message::Published(job, memo, result, effort) => self.published(&job, memo, result, effort, now),
            Message::Looked(job, answers) => self.looked(&job, answers, now),
            Message::Confirmed(id, addr, change, result) => self.confirmed(&id, addr, change, result),
            Message::Probed(job, found) => self.probed(&job, found, now),
            Message::Testified(job, said) => self.testified(&job, said, now),
            Message::Counted(hits) => {
                self.count(&hits);
                let answer = self.view(now).to_json();
                self.asking.drain(..).for_each(|asking| asking.give(answer.clone()));
            }
            Message::Resolved(job, result) => self.resolved(&job, result, now),
            Message::Told(job, result) => self.told(&job, result, now),
            Message::Mapped(job, change, took, result) => self.mapped(&job, change, took, result, now),
            Message::Tried(job, result) => self.tried(&job, result, now),
            Message::Upstream(job, report) => self.heard_above(&job, report, now),
            Message::Announced(wan, place) => self.announced_above(&wan, place, now),
            Message::Tunnel(report) => self.tunnelled(report, now),
            Message::Leased(result) => self.leased(result, now),
            Message::Droppers(generation, droppers) => {
                if generation == self.state.mapping.generation {
                    self.changing_filter = None;
                    self.set_droppers(droppers);
                }
            }
            Message::Filter(look, found, droppers) => self.filter_checked(look, found, droppers),
            Message::Deaf(name, why) => {
                let text = format!("the {name} sensor stopped: {why}");
                if self.deaf.get(name) != Some(&text) {
                    log::error!("{text}");
                }
                // Blind to addresses and to other devices on the camera's: better begin anew.
                self.failed = (name == NETWORK).then(|| text.clone());
                self.deaf.insert(name, text);
                return self.failed.is_none();
            }
            Message::Hears(name) => {
                log::info!("the {name} sensor runs again");
                self.deaf.remove(name);
                // What happened meanwhile was missed.
                self.next_look = now.boot;
            }
        }
        true
    }

    fn sensed(&mut self, event: Event, now: Now) {
        let name = match &event {
            Event::Network { .. } => NETWORK,
            Event::Leases(_) => "leases",
            Event::Resolver(_) => "resolver",
            Event::Neighbours(_) => "neighbours",
            _ => "",
        };
        self.awaited.remove(name);
        self.world.complete = self.awaited.is_empty();
        if event == Event::RulesetChanged {
            self.check_filter();
        }
        if let Event::TimeZone(TimeZone::Bad(why)) = &event {
            log::warn!("/etc/TZ is no POSIX time zone ({why}): mappings with a schedule stay closed");
        }
        // Only this one changes the WANs; neighbours come far more often.
        let before = matches!(event, Event::Network { .. }).then(|| self.world.wans.clone());
        self.fold(event, now);
        if let Some(before) = before {
            self.report_wans(&before);
        }
        self.trace_waiting();
    }

    /// Takes an event into the world. Where that heals, running looks end, and what they did not learn is asked anew.
    fn fold(&mut self, event: Event, now: Now) {
        let healed = self.world.healed;
        fold::event(&mut self.world, event, now);
        if self.world.healed != healed {
            self.looking = Map::new();
        }
    }

    /// Nothing under way, and nothing that only waits for the debounce window.
    fn is_idle(&self, now: Time, wake_at: Time) -> bool {
        let flying = self.state.accounts.values().any(|account| account.in_flight.is_some());
        let soon = now.plus(self.config.global.debounce);
        let changing = self.state.mapping.in_flight.is_some() || self.changing_filter.is_some();
        let asking = self.state.probes.values().any(|probe| probe.in_flight.is_some());
        let above = self.state.upstream.values().any(|memory| memory.in_flight.is_some());
        let resolving = self.state.names.values().any(|name| name.in_flight);
        self.world.complete
            && !flying
            && !above
            && !changing
            && !asking
            && !resolving
            && !self.state.leases.in_flight
            && !witness::is_awaited(&self.config, &self.state)
            && wake_at > soon
    }

    /// A message to the owner is under way, or about to be.
    fn is_telling(&self, now: Time) -> bool {
        self.state.told.channels.values().any(|channel| channel.is_busy(&self.world, now))
    }

    /// A clean end: the mapping goes, unless the owner wants it to stay.
    async fn end(&mut self) {
        self.save();
        let _ = std::fs::remove_file(&self.paths.socket);
        // A change or a look that is under way may wait for the firewall for longer than we are given to end.
        (self.changing_filter, self.checking_filter) = (None, None);
        self.tunnels.reconfigured(&[], &self.http);
        self.leave_above().await;
        let open = plan::mapping::may_be_open(&self.config, &self.world, &self.state);
        // What is written in the firewall's configuration stays there, so that a restart does not wear the flash.
        let written = self.config.global.backend == BackendChoice::Uci;
        if open && written {
            log::info!(
                "stopped; the port mappings stay in /etc/config/firewall (porchlight unmap closes them)"
            );
        } else if open && !self.config.global.keep_on_stop {
            let mut backend = self.backend.lock().await;
            let removed = backend.remove(STOP_DEADLINE).await;
            let hits = backend.hits().clone();
            drop(backend);
            self.count(&hits);
            match removed {
                Ok(cut) => {
                    self.state.mapping.targets = Set::new();
                    log::info!("stopped; the port mappings are closed, {cut}");
                }
                Err(why) => {
                    let why = self.redactor.redact(&why);
                    log::error!("stopped, but the port mappings may still be open: {why}");
                }
            }
        } else {
            log::info!("stopped");
        }
        self.save();
    }
}

/// The next message, or none when it is time to plan again.
async fn next(rx: &Receiver<Message>, wake_at: Time) -> Option<Message> {
    let wait = wake_at.since(clock::now().boot);
    let message = async { rx.recv().await.ok() };
    let time = async {
        // A wait of zero still lets what has come be taken first.
        Timer::after(wait.max(Duration::from_millis(1))).await;
        None
    };
    or(message, time).await
}
