//! The loop: event -> world -> plan -> act -> state. The only place that sees all parts, on one thread;
//! what may block runs elsewhere and comes back as a [`Message`].

mod acts;
mod asked;
mod cameras;
mod end;
mod filter;
mod memory;
mod message;
mod outside;
mod records;
mod reload;
mod report;
mod sensors;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod wans;

pub use message::Message;
pub(crate) use reload::{judge, read_bytes};
pub use reload::{read_config, understand, Reading};
pub(crate) use report::{draw, random};

use memory::recalled;

use crate::act::http::Http;
use crate::act::nudge;
use crate::config::{BackendChoice, Config, Problem, Upstream};
use crate::control::Answer;
use crate::map::{Map, Set};
use crate::mapping::backend::Backend;
use crate::mapping::hits::label;
use crate::mapping::nft::Program;
use crate::model::{Family, Mac, Now, RecordId, Time, World};
use crate::paths::Paths;
use crate::plan::repeat::Repeats;
use crate::plan::witness::Standing;
use crate::plan::{self, camera, lease, refresh, settle, witness};
use crate::secret::Redactor;
use crate::sense::clock;
use crate::sense::network::Network;
use crate::state::{self, CameraState, State};
use crate::tunnel::Tunnels;
use smol::channel::{unbounded, Receiver, Sender};
use smol::future::or;
use smol::{LocalExecutor, Task, Timer};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
                    self.debug(&format_args!("nothing could be sent to {addr}: {e}"));
                }
            }
        }
    }

    /// Tells the neighbour sensor whom to listen for.
    fn tell_interest(&mut self) {
        let mut macs = Vec::new();
        let mut ips = Vec::new();
        let none = CameraState::default();
        for camera in &self.config.cameras {
            let memory = self.state.cameras.get(&camera.name).unwrap_or(&none);
            macs.extend(camera::macs(camera, memory));
            ips.extend([memory.addr, memory.addr6, camera.ip].into_iter().flatten());
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
                    Err(e) => self.warn(&format_args!("the neighbour table cannot be followed: {e}")),
                }
            }
            self.interest = interest;
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
