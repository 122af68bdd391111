//! Asks netifd by which devices the WANs' interfaces go: at the start, when the kernel's devices, addresses or default
//! routes change, when somebody triggers a look, and at the scheduled one. Nothing is asked while nothing happens.

use crate::act::ubus::{Fault, Ubus};
use crate::sense::heard::{Heard, Silence};
use crate::sense::network::Network;
use crate::wire::netifd::{status, Status};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What changes within this time after a round of questions is asked about when it is over: a device that comes up does
/// so in many steps.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many rounds without rest in between, the pause is ...
const QUICK_ROUNDS: u32 = 16;
/// ... this one: a network that never rests must not keep a small router busy with questions ...
const LONG_PAUSE: Duration = Duration::from_millis(1600);
/// ... until nothing was to be asked for so long.
const REST: Duration = Duration::from_millis(500);
/// When a question failed after so long, the others of that round are not asked: they would fail as late.
const LATE: Duration = Duration::from_secs(1);

/// Asks whenever [`Network::interfaces_wanted`] says so, by the program `ubus` at this path, and never ends.
pub async fn run(network: Rc<Network>, program: &Path) -> io::Result<()> {
    let ubus = Ubus::new(program);
    let mut rounds = 0u32;
    loop {
        let rested = Instant::now();
        let names = network.interfaces_wanted().await;
        rounds = if rested.elapsed() > REST { 0 } else { rounds.saturating_add(1) };
        ask_all(&network, &ubus, names).await;
        network.rest_of_netifd(if rounds < QUICK_ROUNDS { PAUSE } else { LONG_PAUSE }).await;
    }
}

async fn ask_all(network: &Network, ubus: &Ubus, names: Vec<String>) {
    let mut silent: Option<Silence> = None;
    for name in names {
        let started = Instant::now();
        let answer = match &silent {
            Some(silence) => Err(silence.clone()),
            None => ask(ubus, &name).await,
        };
        if let Err(silence) = &answer {
            let late = started.elapsed() >= LATE && *silence != Silence::Unknown;
            silent = silent.or_else(|| (late || *silence == Silence::NoUbus).then(|| silence.clone()));
        }
        take(network, &name, answer);
    }
}

async fn ask(ubus: &Ubus, name: &str) -> Result<Status, Silence> {
    match ubus.call(&format!("network.interface.{name}"), "status", "{}").await {
        Ok(answer) => status(&answer, name)
            .ok_or_else(|| Silence::Failed(format!("its answer about {name} makes no sense"))),
        Err(Fault::Absent) => Err(Silence::NoUbus),
        Err(Fault::Missing) => Err(Silence::Unknown),
        Err(Fault::Failed(why)) => Err(Silence::Failed(why)),
    }
}

/// Takes in an answer, and tells what is new in it: one line.
fn take(network: &Network, name: &str, answer: Result<Status, Silence>) {
    let before = network.heard(name);
    let after = before.clone().unwrap_or_default().after(answer);
    if before.as_ref().map(Heard::standing) != Some(after.standing()) {
        let level = match after.silence {
            None | Some(Silence::Unknown) => log::Level::Info,
            Some(_) => log::Level::Warn,
        };
        log::log!(level, "interface {name}: {}", after.standing());
    }
    network.set_heard(name, after);
}
