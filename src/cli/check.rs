//! `porchlight check`: what the configuration means, or what is wrong in it.

use super::output::{complain, say, tell};
use super::{unexpected, Fault, OK, USAGE};
use crate::agent::{read_config, Reading};
use crate::config::describe::describe;
use crate::config::Global;
use crate::paths::Paths;

/// Prints every problem, then what is good of the configuration in plain words. With `--mode`, only what the init
/// script must know.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let reading = read_config(paths);
    match arguments {
        [] => {}
        [one] if one == "--mode" => {
            let reading = reading.unwrap_or_else(|why| Reading::without(paths, why));
            say(mode(&reading.config.global));
            return Ok(OK);
        }
        [first, ..] => return Err(unexpected(first)),
    }
    let Some(reading) = told(reading) else { return Ok(USAGE) };
    if reading.is_faulty() {
        tell("Faulty sections are left out at boot; a reload with faults is refused and changes nothing.");
        return Ok(USAGE);
    }
    say(&reading.redactor.redact(&describe(&reading.config)));
    Ok(OK)
}

/// Tells what is wrong with a configuration; `None` if it cannot be read at all.
pub(super) fn told(reading: Result<Reading, String>) -> Option<Reading> {
    let reading = reading.map_err(|why| complain(&why)).ok()?;
    for problem in &reading.problems {
        tell(&reading.redactor.redact(&problem.to_string()));
    }
    Some(reading)
}

/// What the init script is to start, and whether a stop leaves the mappings. A configuration that cannot be read gets
/// a daemon, which says so and waits for a better one.
fn mode(global: &Global) -> &'static str {
    match (global.enabled, global.resident, global.leaves_mappings()) {
        (false, ..) => "off\n",
        (true, true, false) => "resident\n",
        (true, true, true) => "resident keep_on_stop\n",
        (true, false, false) => "one-shot\n",
        (true, false, true) => "one-shot keep_on_stop\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BackendChoice;

    #[test]
    fn a_stop_leaves_what_is_written_in_the_firewalls_configuration() {
        let global = |backend, keep_on_stop| Global { backend, keep_on_stop, ..Global::default() };
        assert_eq!(mode(&global(BackendChoice::Auto, false)), "resident\n");
        assert_eq!(mode(&global(BackendChoice::Auto, true)), "resident keep_on_stop\n");
        assert_eq!(mode(&global(BackendChoice::Uci, false)), "resident keep_on_stop\n");
        let passes = Global { resident: false, ..global(BackendChoice::Uci, false) };
        assert_eq!(mode(&passes), "one-shot keep_on_stop\n");
        assert_eq!(mode(&Global { enabled: false, ..passes }), "off\n");
    }
}
