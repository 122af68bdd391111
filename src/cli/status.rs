//! `porchlight status`: whether the cameras are reached, and how all stands; once, or at each change.

use super::output::{complain, say};
use super::screen::Screen;
use super::{unexpected, Fault, FAILED, NOBODY, NO_AGENT, OK};
use crate::control::{self, Question};
use crate::metrics;
use crate::paths::Paths;
use crate::secret::printable;
use crate::status::{mark, render};
use crate::wire::json::Json;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// From one screen to the next, at the least.
const PAUSE: Duration = Duration::from_millis(250);
/// While no agent runs, it is looked for so often.
const SEARCH: Duration = Duration::from_millis(500);

/// How the status is told.
enum Form<'a> {
    /// As a screen for a person.
    Text,
    /// As it comes.
    Json,
    /// As metrics, to standard output or into a file.
    Metrics(Option<&'a Path>),
}

/// Tells the running agent's status; exit code 0 only if every camera is reached as configured and all else is well.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let watches = arguments.iter().any(|argument| argument == "--watch");
    let others: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|other| *other != "--watch").collect();
    let form = match others.as_slice() {
        [] => Form::Text,
        ["--json"] => Form::Json,
        ["--prometheus"] => Form::Metrics(None),
        ["--prometheus", file] => Form::Metrics(Some(Path::new(file))),
        ["--json" | "--prometheus", more, ..] | [more, ..] => return Err(unexpected(more)),
    };
    match form {
        Form::Metrics(_) if watches => {
            Err(Fault::Usage("--prometheus tells how it is now; leave out --watch".into()))
        }
        Form::Metrics(_) => once(paths, &form),
        _ if watches => watch(paths, &form),
        _ => once(paths, &form),
    }
}

/// Asks once.
fn once(paths: &Paths, form: &Form<'_>) -> Result<u8, Fault> {
    let status = control::ask(paths, &Question::Status);
    let known = status.as_ref().ok().and_then(Option::as_ref);
    match (form, known) {
        (Form::Text, Some(status)) => say(&Screen::new().painted(&printed(status), is_well(status))),
        (Form::Json, Some(status)) => say(&format!("{status}\n")),
        (Form::Metrics(None), _) => say(&metrics::render(known)),
        (Form::Metrics(Some(file)), _) => replace(file, &metrics::render(known))?,
        (_, None) => {}
    }
    match known {
        Some(status) => Ok(if is_well(status) { OK } else { FAILED }),
        None => {
            complain(why(paths, &status));
            Ok(NO_AGENT)
        }
    }
}

/// Tells it again at each change, until nobody reads any more. An agent that ends is waited for.
fn watch(paths: &Paths, form: &Form<'_>) -> Result<u8, Fault> {
    let screen = Screen::new();
    let draws = screen.is_terminal && matches!(form, Form::Text);
    let (mut question, mut shown) = (Question::Status, None);
    loop {
        let answer = control::ask(paths, &question);
        let known = answer.as_ref().ok().and_then(Option::as_ref);
        let well = known.is_some_and(is_well);
        let text = match (form, known) {
            (Form::Json, Some(status)) => format!("{status}\n"),
            (_, Some(status)) if draws => printed(status),
            (_, Some(status)) => printed(status) + "\n",
            (_, None) => printable(&format!("{}; it is waited for", why(paths, &answer))) + "\n",
        };
        let now = known.map_or_else(|| mark(&text), |status| mark(&status.to_string()));
        question = if known.is_some() { Question::Watch(now) } else { Question::Status };
        // What only counts seconds is drawn anew, and not told again.
        let is_new = shown.replace(now) != Some(now);
        if is_new && known.is_none() && !draws {
            complain(text.trim_end());
        } else if (is_new || draws) && !screen.show(&text, well, draws) {
            return Ok(if well { OK } else { FAILED });
        }
        std::thread::sleep(if known.is_some() { PAUSE } else { SEARCH });
    }
}

fn is_well(status: &Json) -> bool {
    status.get("healthy").bool() == Some(true)
}

/// Why there is no status.
fn why<'a>(paths: &Paths, answer: &'a Result<Option<Json>, String>) -> &'a str {
    match answer {
        Err(why) => why,
        _ if paths.one_shot.exists() => {
            "no daemon stays (option resident '0'); `porchlight once` makes a pass and tells of it"
        }
        _ => NOBODY,
    }
}

/// Writes a file for a collector, which never sees half of it: a new one beside it, then a rename. In a directory of
/// others, what they put in its way is not followed; and no device is replaced by a file.
fn replace(file: &Path, text: &str) -> Result<(), Fault> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let write = || -> io::Result<()> {
        if std::fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
            return Err(io::Error::other("it is not a plain file"));
        }
        // What an earlier one left.
        let _ = std::fs::remove_file(&new);
        std::fs::File::create_new(&new)?.write_all(text.as_bytes())?;
        std::fs::rename(&new, file)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&new);
        Fault::Failed(format!("cannot write {}: {e}", file.display()))
    })
}

/// The status in words, with nothing in it that plays with a terminal.
pub fn printed(status: &Json) -> String {
    render(status).lines().map(|line| printable(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_collectors_file_is_replaced_and_nothing_else_is_touched() {
        let dir = std::env::temp_dir().join(format!("porchlight-metrics-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (file, other) = (dir.join("a.prom"), dir.join("other"));
        fs::write(&other, "mine").unwrap();
        // Somebody who may write there knows how the new file will be called.
        for trap in ["a.prom.new", "a.new", "a.prom"] {
            symlink(&other, dir.join(trap)).unwrap();
        }
        assert!(replace(&file, "one").is_ok() && replace(&file, "two").is_ok());
        assert!(file.symlink_metadata().unwrap().is_file(), "the link went, not what it led to");
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), fs::read_to_string(&other).unwrap()),
            ("two".into(), "mine".into())
        );
        assert!(!dir.join("a.prom.new").exists());
        for no_file in [dir.as_path(), Path::new("/dev/null"), &dir.join("nowhere/a.prom")] {
            assert!(replace(no_file, "x").is_err(), "{}", no_file.display());
        }
        assert!(!Path::new("/dev/null").is_file() && !Path::new("/dev/null.new").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
