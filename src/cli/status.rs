//! `porchlight status`: how things are.

use super::output::say;
use super::{unexpected, Fault, FAILED, NOBODY, OK};
use crate::control::{self, Question};
use crate::metrics;
use crate::paths::Paths;
use crate::secret::printable;
use crate::status::render;
use crate::wire::json::Json;

/// Prints the running agent's status; exit code 0 only if all is well.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let form = match arguments.as_slice() {
        [] => printed,
        ["--json"] => |status: &Json| format!("{status}\n"),
        ["--prometheus"] => |status: &Json| metrics::render(Some(status)),
        [first, ..] => return Err(unexpected(first)),
    };
    let Some(status) = control::ask(paths, &Question::Status)? else {
        if arguments.as_slice() == ["--prometheus"] {
            say(&metrics::render(None));
        }
        return Err(match paths.one_shot.exists() {
            true => {
                "no daemon stays (option resident '0'); `porchlight once` makes a pass and tells of it".into()
            }
            false => NOBODY.into(),
        });
    };
    say(&form(&status));
    Ok(if status.get("healthy").bool() == Some(true) { OK } else { FAILED })
}

/// The status in words, with nothing in it that plays with a terminal.
pub fn printed(status: &Json) -> String {
    render(status).lines().map(|line| printable(line) + "\n").collect()
}
