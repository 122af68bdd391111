//! `porchlight doctor`: walks the chain from the configuration to the camera and names the first broken link, with its
//! mend. It asks and looks; it writes nothing, here or anywhere. docs/doctor.md has the links and the JSON.

mod accounts;
mod walk;

use super::output::{say, Progress};
use super::{unexpected, Fault};
use crate::doctor::{exit_code, json, text};
use crate::paths::Paths;
use crate::secret::printable;

/// Prints one line a link and the first finding in full; the exit code is that of the worst, see [`exit_code`].
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let form = match arguments {
        [] => text,
        [one] if one == "--json" => json,
        [first, ..] => return Err(unexpected(first)),
    };
    let progress = Progress::new();
    let told = walk::walk(paths, &|line| progress.show(line));
    progress.end();
    say(&form(&told).lines().map(|line| printable(line) + "\n").collect::<String>());
    Ok(exit_code(&told))
}
