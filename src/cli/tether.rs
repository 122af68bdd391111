//! Not for people: becomes a program that ends when the one that started us does (prctl(2), PR_SET_PDEATHSIG), however
//! that ends. A tunnel's client is started so: an agent that is killed leaves no way in behind.

use rustix::process::{getppid, set_parent_process_death_signal, setsid, Signal};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The verb; it is in no help.
pub const NAME: &str = "tether";

/// `tether PARENT PROGRAM [ARGUMENT]...`: returns only if that could not be done.
///
/// # Errors
/// Why not, in plain words.
pub fn run(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<(), String> {
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return Err(format!("{NAME} takes the parent's number and a program"));
    };
    let failed = |error: io::Error| format!("{} could not be run: {error}", program.to_string_lossy());
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| failed(error.into()))?;
    // It may have ended before that was said.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return Err(format!("{NAME}: the parent is gone"));
    }
    // No terminal from which a password could be asked.
    let _ = setsid();
    Err(failed(Command::new(&program).args(arguments).exec()))
}
