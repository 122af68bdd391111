//! `porchlight once`: one pass. Where a daemon runs, it is asked to make the pass.

use super::output::{complain, say};
use super::run::{live, start_log};
use super::status::printed;
use super::{no_arguments, Fault, FAILED, OK, USAGE};
use crate::agent::{read_config, Mode};
use crate::control::{self, Question, ONCE_DEADLINE};
use crate::paths::Paths;
use crate::sense::clock;
use std::time::Duration;

/// How often the lock of another pass is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Makes one pass under the lock and a deadline of 60 s.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    let deadline = clock::now().boot.plus(ONCE_DEADLINE);
    let instance = loop {
        if let Some(instance) = control::lock(paths)? {
            break instance;
        }
        if let Some(status) = control::ask(paths, &Question::Once)? {
            say(&printed(&status));
            return Ok(if status.get("healthy").bool() == Some(true) { OK } else { FAILED });
        }
        if clock::now().boot >= deadline {
            return Err("another pass has been running for a minute; this one gives up".into());
        }
        std::thread::sleep(LOCK_PAUSE);
    };
    let reading = match start_log(read_config(paths)) {
        Ok(reading) => reading,
        Err(why) => {
            complain(&why);
            return Ok(USAGE);
        }
    };
    if !reading.config.global.enabled {
        return Ok(OK);
    }
    let faulty = reading.is_faulty();
    let well = live(paths, reading, Mode::Once(deadline), instance)?;
    Ok(if faulty { USAGE } else { u8::from(!well) })
}
