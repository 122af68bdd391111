//! `porchlight check`: what the configuration means, or what is wrong in it.

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
            eprintln!("porchlight: {why}");
            return Ok(USAGE);
        }
    };
    for problem in &reading.problems {
        eprintln!("{}", reading.redactor.redact(&problem.to_string()));
    }
    if reading.is_faulty() {
        eprintln!(
            "Faulty sections are left out at boot; a reload with faults is refused and changes nothing."
        );
        return Ok(USAGE);
    }
    print!("{}", reading.redactor.redact(&describe(&reading.config)));
    Ok(OK)
}
