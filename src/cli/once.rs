//! `porchlight once`: one pass. Where a daemon runs, it is asked to make the pass.

use super::output::{complain, say};
use super::run::{begin, close_leftovers, live};
use super::status::printed;
use super::{no_arguments, Fault, FAILED, OK, USAGE};
use crate::agent::Mode;
use crate::control::{self, Instance, Nudge, Question, ONCE_DEADLINE};
use crate::model::Time;
use crate::paths::Paths;
use crate::sense::clock;
use std::time::Duration;

/// How often the lock of another pass is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Makes one pass under the lock and a deadline of 60 s.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    let deadline = clock::now().boot.plus(ONCE_DEADLINE);
    match turn(paths, deadline)? {
        Turn::Ours(instance) => pass(paths, None, deadline, instance),
        Turn::Daemon { healthy, said } => {
            say(&said);
            Ok(if healthy { OK } else { FAILED })
        }
    }
}

/// The same, because something happened: of many who come at once one makes a pass, and one more after it.
pub fn prompted(paths: &Paths, nudge: Nudge) -> Result<u8, Fault> {
    let deadline = clock::now().boot.plus(ONCE_DEADLINE);
    // A person's wish to try again what rests is not in anybody else's pass.
    let place = control::queue(paths)?;
    if place.is_none() && !matches!(nudge, Nudge::Person | Nudge::Records) {
        return Ok(OK);
    }
    let turn = turn(paths, deadline)?;
    drop(place);
    match turn {
        Turn::Ours(instance) => pass(paths, Some(nudge), deadline, instance),
        Turn::Daemon { healthy, .. } => Ok(if healthy { OK } else { FAILED }),
    }
}

/// Who makes the pass.
enum Turn {
    /// We, and nobody else meanwhile.
    Ours(Instance),
    /// A daemon has made it.
    Daemon { healthy: bool, said: String },
}

/// Waits for our turn.
fn turn(paths: &Paths, deadline: Time) -> Result<Turn, Fault> {
    loop {
        if let Some(instance) = control::lock(paths)? {
            return Ok(Turn::Ours(instance));
        }
        match control::ask(paths, &Question::Once) {
            Ok(None) => {}
            Ok(Some(status)) => {
                let healthy = status.get("healthy").bool() == Some(true);
                return Ok(Turn::Daemon { healthy, said: printed(&status) });
            }
            // A daemon that is just ending gives no answer, and is soon gone.
            Err(why) => return control::lock_in_time(paths)?.map(Turn::Ours).ok_or(why.into()),
        }
        if clock::now().boot >= deadline {
            return Err("another pass has been running for a minute; this one gives up".into());
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

fn pass(paths: &Paths, nudge: Option<Nudge>, deadline: Time, instance: Instance) -> Result<u8, Fault> {
    let reading = match begin(paths) {
        Ok(reading) => reading,
        Err(why) => {
            complain(&why);
            return Ok(USAGE);
        }
    };
    if !reading.config.global.enabled {
        close_leftovers(paths)?;
        return Ok(OK);
    }
    let faulty = reading.is_faulty();
    let well = live(paths, reading, Mode::Once(deadline), nudge, instance)?;
    Ok(if faulty { USAGE } else { u8::from(!well) })
}
