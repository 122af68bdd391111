//! `porchlight run`: the daemon, in the foreground; its log goes to standard error.

use super::{no_arguments, output, Fault, FAILED, OK};
use crate::act::http::Http;
use crate::act::privileges;
use crate::act::thread::wait;
use crate::agent::{read_config, Agent, Mode, Reading, Setting};
use crate::control::{self, Instance, Nudge};
use crate::map::Set;
use crate::mapping::backend::{Backend, UNMAP_DEADLINE};
use crate::paths::Paths;
use crate::provider::CLOCK_FLOOR;
use crate::sense::clock;
use crate::sense::signals::survive_reload;
use crate::state;
use smol::LocalExecutor;
use std::rc::Rc;

/// Who we are to a provider; some refuse those who do not say.
pub const USER_AGENT: &str =
    concat!("porchlight/", env!("CARGO_PKG_VERSION"), " +", env!("CARGO_PKG_REPOSITORY"));

/// Runs until told to stop.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    // Whoever starts us may tell us to reload before we listen for it.
    survive_reload().map_err(|e| format!("signals cannot be heard: {e}"))?;
    let Some(instance) = control::lock_in_time(paths)? else {
        return Err(format!("another instance is running (it holds {})", paths.lock.display()).into());
    };
    // A daemon whose configuration is broken stays and says so; it gets well by a reload.
    let reading = begin(paths).unwrap_or_else(|why| {
        log::error!("{why}; nothing to do until it is there and reloaded");
        Reading::without(paths, why)
    });
    if !reading.config.global.enabled {
        log::info!("option enabled is '0': nothing to do");
        close_leftovers(paths)?;
        return Ok(OK);
    }
    if !reading.config.global.resident {
        log::info!(
            "option resident is '0': no daemon stays; hotplug and cron have `porchlight once` make a pass"
        );
        return Ok(OK);
    }
    let well = live(paths, reading, Mode::Daemon, None, instance)?;
    Ok(if well { OK } else { FAILED })
}

/// Closes what a killed agent had open: one that is switched off leaves no port open.
pub fn close_leftovers(paths: &Paths) -> Result<(), String> {
    let boot_id = clock::boot_id(&paths.root).unwrap_or_default();
    let loaded = state::load(&paths.state, &boot_id).ok();
    let mut backend = Backend::new(&paths.root);
    let known = loaded.as_ref().is_some_and(|memory| !memory.mapping.targets.is_empty());
    // The firewall's configuration outlives a restart of the router, our memory does not.
    if !known && !backend.is_written() {
        return Ok(());
    }
    let mut memory = loaded.unwrap_or_default();
    let cut = wait(backend.remove(UNMAP_DEADLINE))?;
    log::info!("the port mappings that were open are closed, {cut}");
    memory.mapping.targets = Set::new();
    state::save(&paths.state, &memory.to_text(&boot_id))
}

/// Gives up what of root's rights is not needed, reads the configuration, starts the log at its level, and tells its
/// problems.
pub fn begin(paths: &Paths) -> Result<Reading, String> {
    let refused = privileges::give_up();
    let reading = read_config(paths);
    output::start_log();
    for why in refused {
        log::warn!("{why}");
    }
    let reading = reading?;
    log::set_max_level(reading.config.global.log_level);
    for problem in &reading.problems {
        log::warn!("{}", reading.redactor.redact(&problem.to_string()));
    }
    Ok(reading)
}

/// Runs the agent on this thread; `nudge`: because of this. The lock is held to the end.
pub fn live(
    paths: &Paths,
    reading: Reading,
    mode: Mode,
    nudge: Option<Nudge>,
    instance: Instance,
) -> Result<bool, String> {
    let cacert = paths.under_root(&reading.config.global.cacert);
    // Before any thread: TLS takes the file's name from the environment.
    let http = Http::setup(Some(&cacert), USER_AGENT, CLOCK_FLOOR);
    let executor = Rc::new(LocalExecutor::new());
    let setting = Setting { paths: paths.clone(), reading, http };
    let (mut agent, messages) = Agent::new(setting, executor.clone());
    if let Some(nudge) = nudge {
        agent.look_now(nudge, clock::now());
    }
    let result = wait(executor.run(async {
        if mode == Mode::Daemon {
            agent.open_to_others()?;
            log::info!("porchlight {} started", env!("CARGO_PKG_VERSION"));
        }
        agent.run(messages, mode).await
    }));
    drop(instance);
    result
}
