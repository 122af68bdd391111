//! `porchlight notify test [NAME]`: a test message by every channel, or by one. Needs no daemon, and leaves one that
//! runs alone.

use super::check::told;
use super::output::{complain, say};
use super::run::USER_AGENT;
use super::{unexpected, Fault, FAILED, OK, USAGE};
use crate::act::http::Http;
use crate::act::publish::Outside;
use crate::act::tell;
use crate::act::thread::wait;
use crate::agent::read_config;
use crate::config::Notify;
use crate::notify::{Message, Note};
use crate::paths::Paths;
use crate::provider::CLOCK_FLOOR;
use crate::sense::clock;
use std::sync::Arc;

/// Prints a line for each channel: what came back.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let wanted = match arguments {
        [test] if test == "test" => None,
        [test, name] if test == "test" => Some(name.as_str()),
        [test, _, more, ..] if test == "test" => return Err(unexpected(more)),
        [other, ..] => return Err(unexpected(other)),
        [] => return Err(Fault::Usage("what of notify? there is only `notify test [NAME]`".into())),
    };
    let Some(reading) = told(read_config(paths)) else { return Ok(USAGE) };
    let faulty = reading.is_faulty();
    let is_wanted = |channel: &&Notify| wanted.is_none_or(|name| channel.name == name);
    let channels: Vec<&Notify> = reading.config.notifies.iter().filter(is_wanted).collect();
    if channels.is_empty() {
        complain(&match wanted {
            Some(name) => format!("there is no good section notify called {name}"),
            None => "there is no good section notify in the configuration".into(),
        });
        return Ok(USAGE);
    }
    // Before any thread: TLS takes the file's name from the environment.
    let http = Http::setup(Some(&paths.under_root(&reading.config.global.cacert)), USER_AGENT, CLOCK_FLOOR);
    let redactor = reading.redactor.clone();
    let redact = Box::new(move |text: &str| redactor.redact(text));
    let outside =
        Arc::new(Outside { http, timeout: reading.config.global.timeout, who: "notify test".into(), redact });
    let failed = channels.iter().filter(|channel| !test(channel, &outside)).count();
    Ok(match failed {
        _ if faulty => USAGE,
        0 => OK,
        _ => FAILED,
    })
}

/// Sends one, and says what came of it.
fn test(channel: &Notify, outside: &Arc<Outside>) -> bool {
    let message = Message::of(channel, &[Note::test()], 0);
    let done = wait(tell::tell(channel, &message, clock::now().wall, outside.clone()));
    let (name, kind) = (&channel.name, &channel.kind);
    match &done {
        Ok(()) => say(&format!("{name} ({kind}): sent\n")),
        Err(failure) => say(&format!("{name} ({kind}): {failure}\n")),
    }
    done.is_ok()
}
