//! `porchlight check`: what the configuration means, or what is wrong in it.

use super::output::{complain, say, tell};
use super::{no_arguments, Fault, OK, USAGE};
use crate::agent::read_config;
use crate::config::describe::describe;
use crate::paths::Paths;

/// Prints every problem, then what is good of the configuration in plain words.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    let reading = match read_config(paths) {
        Ok(reading) => reading,
        Err(why) => {
            complain(&why);
            return Ok(USAGE);
        }
    };
    for problem in &reading.problems {
        tell(&reading.redactor.redact(&problem.to_string()));
    }
    if reading.is_faulty() {
        tell("Faulty sections are left out at boot; a reload with faults is refused and changes nothing.");
        return Ok(USAGE);
    }
    say(&reading.redactor.redact(&describe(&reading.config)));
    Ok(OK)
}
