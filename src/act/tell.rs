//! Brings the owner a message: by HTTP on a thread of its own, or by a program with a deadline.

use super::command;
use super::publish::Outside;
use super::thread;
use crate::config::Notify;
use crate::notify::{self, Message, Way, FIELDS};
use crate::provider::{Failure, Http, Kind, Request};
use smol::lock::Semaphore;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The most messages on their way at once; further ones wait in line.
const AT_ONCE: usize = 4;
/// A program may take so long; `sendmail` may speak with a mail server itself.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(60);
/// Stack of a message's thread. Only what is used is resident.
const STACK: usize = 256 * 1024;

/// The line in which messages wait. Providers' jobs have a line of their own.
static LINE: Semaphore = Semaphore::new(AT_ONCE);

/// Sends a message. `now` is Unix time in seconds.
///
/// # Errors
/// The failure, in words without secrets.
pub async fn tell(
    channel: &Notify,
    message: &Message,
    now: u64,
    outside: Arc<Outside>,
) -> Result<(), Failure> {
    let _place = LINE.acquire().await;
    let done = match notify::find(&channel.kind).map(|row| &row.way) {
        Some(Way::Mail) => mail(channel, message).await,
        Some(Way::Script) => script(channel, message).await,
        _ => match notify::request(channel, message, now) {
            Ok(Some(http)) => post(channel, http, now, &outside).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        },
    };
    done.map_err(|failure| failure.redacted(&outside.redact))
}

async fn post(channel: &Notify, http: Http, now: u64, outside: &Arc<Outside>) -> Result<(), Failure> {
    let outside = outside.clone();
    let ask = move || outside.ask(&Request::Http(http), outside.timeout);
    let no_thread = |why: String| Failure::new(Kind::NotReady, format!("no thread for the message: {why}"));
    let running = thread::start("notify", STACK, ask).map_err(|error| no_thread(error.to_string()))?;
    let reply = running.result().await.unwrap_or_else(|| Err(no_thread("it ended".into())))?;
    notify::verdict(channel, &reply, now)
}

async fn mail(channel: &Notify, message: &Message) -> Result<(), Failure> {
    let program = channel.text("program").unwrap_or("sendmail");
    let text = notify::mail(channel, message);
    // A line with a dot alone is no end (-i); the recipients are those of the header (-t).
    run(program, &[], &["-t", "-i"], &text).await
}

async fn script(channel: &Notify, message: &Message) -> Result<(), Failure> {
    let value = |name: &'static str| message.get(name).unwrap_or_default();
    let env = FIELDS.map(|name| (format!("PORCHLIGHT_{}", name.to_ascii_uppercase()), value(name)));
    run(channel.text("program").unwrap_or_default(), &env, &[], "").await
}

async fn run(program: &str, env: &[(String, &str)], args: &[&str], input: &str) -> Result<(), Failure> {
    let ran = command::run_with(env, Path::new(program), "", args, input, PROGRAM_DEADLINE).await;
    let ran = ran.map_err(|why| Failure::new(Kind::Refused, why))?;
    match ran.ok {
        true => Ok(()),
        false => Err(Failure::new(Kind::Busy, format!("{program} ended with an error: {}", ran.complaint))),
    }
}
