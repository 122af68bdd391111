//! Starts what the agent hears by: sensors, the control socket, signals. Each runs beside the loop, for as long as the
//! executor does, and tells by messages.

use super::message::send;
use super::{Agent, Message, NETWORK};
use crate::control;
use crate::mapping::leases::Leases;
use crate::sense::network::Network;
use crate::sense::ruleset::Ruleset;
use crate::sense::signals::Signals;
use crate::sense::{clock, files, netifd, Teller};
use smol::future::{or, pending, BoxedLocal, FutureExt};
use smol::Timer;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The program that asks OpenWrt's services.
pub(super) const UBUS: &str = "ubus";
/// A sensor that failed is started again after this, doubling ...
const DEAF_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this.
const DEAF_PAUSE_LONGEST: Duration = Duration::from_secs(60);
/// A sensor that was started again and lives so long hears again.
const HEARS_AFTER: Duration = Duration::from_secs(1);

impl Agent {
    /// Sensors run for as long as the executor does.
    pub(super) async fn start_sensors(&mut self) -> Result<(), String> {
        let tx = self.tx.clone();
        let tell: Teller = Rc::new(move |event| send(&tx, Message::Event(event)));
        let network =
            Network::open().map_err(|e| format!("the kernel's network events cannot be heard: {e}"))?;
        let network = Rc::new(network);
        network.set_wans(&self.config.wans);
        self.network = Some(network.clone());
        let found = self.backend.lock().await.find().await;
        (self.world.fw4, self.world.procd) = (found.fw4, found.procd);
        self.close_stray().await;
        // What an earlier run wrote, of cameras that may be gone.
        self.state.leases.look |= Leases::new(&self.paths.root, Path::new(UBUS)).is_written();
        let interfaces = network.clone();
        self.spawn_sensor("netifd", move || {
            let network = interfaces.clone();
            async move { netifd::run(network, Path::new(UBUS)).await }.boxed_local()
        });
        let paths = files::Paths::usual(&self.paths.root);
        let told = tell.clone();
        self.spawn_sensor(NETWORK, move || {
            let (network, tell) = (network.clone(), told.clone());
            async move { network.run(tell).await }.boxed_local()
        });
        let told = tell.clone();
        self.spawn_sensor("lease and resolver files", move || {
            files::run(paths.clone(), told.clone()).boxed_local()
        });
        self.spawn_sensor("clock", move || clock::run(tell.clone()).boxed_local());
        self.follow_filter();
        Ok(())
    }

    /// Runs a sensor until nobody listens any more; one that fails is started again after a pause.
    pub(super) fn spawn_sensor(
        &self,
        name: &'static str,
        sensor: impl Fn() -> BoxedLocal<std::io::Result<()>> + 'static,
    ) {
        self.watch(name, Box::new(sensor));
    }

    fn watch(&self, name: &'static str, sensor: Box<dyn Fn() -> BoxedLocal<std::io::Result<()>>>) {
        let tx = self.tx.clone();
        let watch = async move {
            let mut pause = DEAF_PAUSE;
            let mut result = sensor().await;
            while let Err(e) = result {
                if !send(&tx, Message::Deaf(name, e.to_string())) {
                    return;
                }
                Timer::after(pause).await;
                pause = (pause * 2).min(DEAF_PAUSE_LONGEST);
                let well = async {
                    Timer::after(HEARS_AFTER).await;
                    send(&tx, Message::Hears(name));
                    pending().await
                };
                let started = Instant::now();
                result = or(sensor(), well).await;
                if started.elapsed() > DEAF_PAUSE_LONGEST {
                    pause = DEAF_PAUSE;
                }
            }
        };
        self.spawn(watch).detach();
    }

    /// Hears changes of the packet filter from the moment at which there is a mapping.
    pub(crate) fn follow_filter(&mut self) {
        if self.following_filter || self.config.mappings.is_empty() {
            return;
        }
        self.following_filter = true;
        let tx = self.tx.clone();
        self.spawn_sensor("packet filter", move || {
            let tx = tx.clone();
            async move {
                let mut ruleset = Ruleset::open()?;
                loop {
                    let event = ruleset.changed().await?;
                    if !send(&tx, Message::Event(event)) {
                        return Ok(());
                    }
                }
            }
            .boxed_local()
        });
    }

    /// Serves the control socket and the signals: what a daemon has and a single pass has not.
    ///
    /// # Errors
    /// What is in the way.
    pub fn open_to_others(&self) -> Result<(), String> {
        // First: whoever finds the socket may tell us to reload.
        let signals = Signals::register().map_err(|e| format!("signals cannot be heard: {e}"))?;
        let listener = control::listen(&self.paths)?;
        let tx = self.tx.clone();
        let questions = move |asked| {
            send(&tx, Message::Asked(asked));
        };
        self.spawn(control::serve(listener, self.executor.clone(), Rc::new(questions))).detach();
        let tx = self.tx.clone();
        let listen = async move {
            while let Ok(signal) = signals.next().await {
                send(&tx, Message::Signal(signal));
            }
        };
        self.spawn(listen).detach();
        Ok(())
    }
}
