//! The control socket: a JSON line in, a JSON line out. Private directory, peers of the same user only,
//! short lines, few clients, and nobody waits for a slow one. Holds the lock of the one instance, too.

use crate::paths::Paths;
use crate::wire::json::Json;
use async_io::Async;
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use rustix::net::{
    connect, send, socket_with, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use smol::channel::{bounded, Sender};
use smol::future::{or, BoxedLocal};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest question.
const LINE_CAP: usize = 4096;
/// The longest answer that the command line reads.
const ANSWER_CAP: u64 = 4 << 20;
/// Clients at a time; more wait in the socket's queue.
const CLIENTS_CAP: usize = 16;
/// How long a client may take to ask. Programs write their line as soon as they are connected; whoever does
/// not must not keep the others waiting for long.
const ASK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a client may take to take the answer, and how long the command line waits for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an ending instance is waited for ...
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// ... and how often it is looked whether it is gone.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long one pass may take, see [`Question::Once`].
pub const ONCE_DEADLINE: Duration = Duration::from_secs(60);
/// Whoever waits for a change is answered after this time all the same: what counts seconds has gone on.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);

/// What may be asked of a running agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How are things?
    Status,
    /// Look now.
    Trigger(Nudge),
    /// Look now, and answer when all that is to be done was tried.
    Once,
    /// How are things, once they are not any more as in the document with this [`crate::status::mark`]?
    Watch(u32),
}

/// Who says that it is time to look, and so what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// Hotplug: the waits for something to heal.
    World,
    /// NTP: those, and the waits for the clock.
    Clock,
    /// A person: every wait and every rest.
    Person,
    /// A person who changed records elsewhere, or has found them changed: what is known of them, too.
    Records,
}

impl Question {
    /// The line that asks it.
    pub fn to_line(&self) -> String {
        match self {
            Question::Status => "{\"verb\":\"status\"}\n".into(),
            Question::Trigger(Nudge::World) => "{\"verb\":\"trigger\",\"by\":\"world\"}\n".into(),
            Question::Trigger(Nudge::Clock) => "{\"verb\":\"trigger\",\"by\":\"clock\"}\n".into(),
            Question::Trigger(Nudge::Person) => "{\"verb\":\"trigger\",\"by\":\"person\"}\n".into(),
            Question::Trigger(Nudge::Records) => "{\"verb\":\"trigger\",\"by\":\"records\"}\n".into(),
            Question::Once => "{\"verb\":\"once\"}\n".into(),
            Question::Watch(mark) => format!("{{\"verb\":\"watch\",\"mark\":{mark}}}\n"),
        }
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        match self {
            Question::Once => ONCE_DEADLINE + PATIENCE,
            Question::Watch(_) => WATCH_PATIENCE,
            _ => PATIENCE,
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_line(line: &str) -> Result<Question, String> {
        let json = Json::parse(line).map_err(|e| format!("not a JSON line: {e}"))?;
        match json.get("verb").str() {
            Some("status") => Ok(Question::Status),
            Some("trigger") => Ok(Question::Trigger(match json.get("by").str() {
                Some("clock") => Nudge::Clock,
                Some("person") => Nudge::Person,
                Some("records") => Nudge::Records,
                _ => Nudge::World,
            })),
            Some("once") => Ok(Question::Once),
            // Without a mark: as things are now.
            Some("watch") => {
                let mark = json.get("mark").num().and_then(|mark| u32::try_from(mark).ok());
                Ok(mark.map_or(Question::Status, Question::Watch))
            }
            _ => Err("no known verb; known are status, watch, trigger and once".into()),
        }
    }
}

/// A question, and where its answer goes.
pub struct Asked {
    /// The question.
    pub question: Question,
    /// Takes one JSON text.
    pub answer: Answer,
}

/// Takes the answer to a question. One that is dropped without any says that there is none.
pub struct Answer {
    text: Rc<RefCell<Option<String>>>,
    /// Closed by being dropped, whereupon the text is looked for.
    open: Sender<()>,
}

impl Answer {
    /// Answers.
    pub fn give(self, text: String) {
        self.text.replace(Some(text));
    }

    /// Nobody waits for it any more.
    pub fn is_late(&self) -> bool {
        self.open.is_closed()
    }
}

/// Makes the private directory, or makes sure that it is private and ours.
///
/// # Errors
/// Names the directory and what is wrong with it.
pub fn private_dir(dir: &Path) -> Result<(), String> {
    let failed = |e: io::Error| format!("cannot use {}: {e}", dir.display());
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(dir).map_err(failed)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        let mend = if rustix::process::geteuid().is_root() { "remove it" } else { "do this as root" };
        return Err(format!("{} is not a directory of this user; {mend}", dir.display()));
    }
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)
}

/// Held for as long as the agent runs.
pub struct Instance(#[allow(dead_code)] File);

/// Takes the lock of the one instance. `Ok(None)`: another one has it.
///
/// # Errors
/// Names the file.
pub fn lock(paths: &Paths) -> Result<Option<Instance>, String> {
    lock_file(paths, &paths.lock)
}

/// Takes the place of the one pass that waits for its turn. `Ok(None)`: another one has it, and will see all that has
/// happened by now.
///
/// # Errors
/// Names the file.
pub fn queue(paths: &Paths) -> Result<Option<Instance>, String> {
    lock_file(paths, &paths.queue)
}

fn lock_file(paths: &Paths, path: &Path) -> Result<Option<Instance>, String> {
    private_dir(&paths.run_dir)?;
    let failed = |e: io::Error| format!("cannot lock {}: {e}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Instance(file))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(failed(e.into())),
    }
}

/// Takes the lock like [`lock`], but lets an instance that is ending end first. After a SIGKILL, too: a
/// child of the killed one has its lock until it has become another program.
///
/// # Errors
/// Names the file.
pub fn lock_in_time(paths: &Paths) -> Result<Option<Instance>, String> {
    let start = Instant::now();
    loop {
        let instance = lock(paths)?;
        if instance.is_some() || start.elapsed() >= LOCK_PATIENCE {
            return Ok(instance);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Opens the socket. Call it with the lock held: a leftover of a killed instance is replaced.
///
/// # Errors
/// Names the socket.
pub fn listen(paths: &Paths) -> Result<Async<UnixListener>, String> {
    let failed = |e: io::Error| format!("cannot listen on {}: {e}", paths.socket.display());
    match std::fs::remove_file(&paths.socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    Async::new(UnixListener::bind(&paths.socket).map_err(failed)?).map_err(failed)
}

/// Serves clients until nobody takes questions any more.
pub async fn serve(
    listener: Async<UnixListener>,
    executor: Rc<smol::LocalExecutor<'static>>,
    questions: Rc<dyn Fn(Asked)>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS_CAP));
    loop {
        let place = places.acquire_arc().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: give others time to end.
            smol::Timer::after(Duration::from_secs(1)).await;
            continue;
        };
        if !same_user(stream.get_ref()) {
            continue;
        }
        let questions = questions.clone();
        let talk: BoxedLocal<()> = Box::pin(async move {
            // A client that goes away or is too slow is its own loss.
            let _ = client(stream, questions, place).await;
        });
        executor.spawn(talk).detach();
    }
}

fn same_user(stream: &UnixStream) -> bool {
    let me = rustix::process::geteuid();
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| peer.uid == me || peer.uid.is_root())
}

/// One question, one answer. Who waits for a pass or a change gives up the `place` meanwhile.
async fn client(
    mut stream: Async<UnixStream>,
    questions: Rc<dyn Fn(Asked)>,
    place: SemaphoreGuardArc,
) -> io::Result<()> {
    let mut place = Some(place);
    let answer = match in_time(ASK_PATIENCE, read_line(&mut stream)).await {
        Err(e) => error(&format!("the question could not be read: {e}")),
        Ok(line) => match Question::from_line(&line) {
            Err(why) => error(&why),
            Ok(question) => {
                let watches = matches!(question, Question::Watch(_));
                place.take_if(|_| watches || question == Question::Once);
                let mut answer = answered(&questions, question).await;
                if answer.is_none() && watches {
                    answer = answered(&questions, Question::Status).await;
                }
                answer.unwrap_or_else(|| error("the agent gave no answer"))
            }
        },
    };
    in_time(PATIENCE, stream.write_all(format!("{answer}\n").as_bytes())).await
}

/// The agent's answer, if it gives one in time.
async fn answered(questions: &Rc<dyn Fn(Asked)>, question: Question) -> Option<String> {
    let patience = question.patience();
    let text = Rc::new(RefCell::new(None));
    let (open, closed) = bounded(1);
    questions(Asked { question, answer: Answer { text: text.clone(), open } });
    let answered = async {
        let _ = closed.recv().await;
        Ok(())
    };
    let _ = in_time(patience, answered).await;
    text.take()
}

fn error(text: &str) -> String {
    crate::wire::json::Object::new().str("error", text).end()
}

async fn in_time<T>(time: Duration, work: impl std::future::Future<Output = io::Result<T>>) -> io::Result<T> {
    or(work, async {
        smol::Timer::after(time).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}

async fn read_line(stream: &mut Async<UnixStream>) -> io::Result<String> {
    let mut line = Vec::new();
    let mut chunk = [0u8; 512];
    while line.len() <= LINE_CAP {
        let count = stream.read(&mut chunk).await?;
        line.extend(chunk.iter().take(count));
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Err(io::Error::other("the line is too long"))
}

/// Whether an instance holds the lock. Makes nothing.
fn is_locked(paths: &Paths) -> bool {
    let taken = |file: File| flock(&file, FlockOperation::NonBlockingLockShared);
    OpenOptions::new().read(true).open(&paths.lock).is_ok_and(|f| taken(f) == Err(Errno::WOULDBLOCK))
}

fn gone(paths: &Paths) -> String {
    format!(
        "an agent is running, or just starting or ending, but nobody listens at {}; \
         if that stays so, somebody removed it: restart the agent",
        paths.socket.display()
    )
}

/// Tells the running agent something and waits for nothing: it may be busy, stopped or hung, and takes it when it can.
/// `Ok(false)`: none is running.
///
/// # Errors
/// What went wrong with a running one, in plain words.
pub fn tell(paths: &Paths, question: &Question) -> Result<bool, String> {
    let failed = |e: Errno| format!("the agent at {} cannot be told: {e}", paths.socket.display());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
    let at = SocketAddrUnix::new(&paths.socket).map_err(failed)?;
    match connect(&socket, &at) {
        Ok(()) => {}
        // Its queue is full of others who say the same.
        Err(Errno::AGAIN) => return Ok(true),
        Err(Errno::NOENT | Errno::CONNREFUSED) if is_locked(paths) => return Err(gone(paths)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(false),
        Err(e) => return Err(failed(e)),
    }
    send(&socket, question.to_line().as_bytes(), SendFlags::NOSIGNAL).map_err(failed)?;
    Ok(true)
}

/// Asks the running agent, from the command line. `Ok(None)`: none is running.
///
/// # Errors
/// What went wrong with a running one, in plain words.
pub fn ask(paths: &Paths, question: &Question) -> Result<Option<Json>, String> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::WouldBlock => "the agent is busy or stopped: it gave no answer in time".to_string(),
        io::ErrorKind::PermissionDenied => {
            format!("the agent at {} answers root and its own user only: {e}", paths.socket.display())
        }
        _ => format!("the agent at {} does not answer: {e}", paths.socket.display()),
    };
    let mut stream = match UnixStream::connect(&paths.socket) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            // A single pass has the lock and no socket: `once` waits for its end.
            let running = *question != Question::Once && is_locked(paths);
            return if running { Err(gone(paths)) } else { Ok(None) };
        }
        Err(e) => return Err(failed(e)),
    };
    stream.set_read_timeout(Some(question.patience() + PATIENCE * 2)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(question.to_line().as_bytes()).map_err(failed)?;
    let mut text = String::new();
    stream.take(ANSWER_CAP).read_to_string(&mut text).map_err(failed)?;
    let json = Json::parse(text.trim_end()).map_err(|e| format!("the agent's answer makes no sense: {e}"))?;
    match json.get("error").str() {
        Some(why) => Err(why.to_string()),
        None => Ok(Some(json)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_read_as_it_is_written() {
        let nudges = [Nudge::World, Nudge::Clock, Nudge::Person, Nudge::Records].map(Question::Trigger);
        let others = [Question::Status, Question::Once, Question::Watch(0), Question::Watch(u32::MAX)];
        for question in nudges.into_iter().chain(others) {
            assert_eq!(Question::from_line(question.to_line().trim_end()), Ok(question));
        }
        // Whoever has no mark, or none that could be ours, is answered at once.
        for line in [
            "{\"verb\":\"watch\"}",
            "{\"verb\":\"watch\",\"mark\":-1}",
            "{\"verb\":\"watch\",\"mark\":\"1\"}",
        ] {
            assert_eq!(Question::from_line(line), Ok(Question::Status));
        }
        assert!(Question::from_line("{\"verb\":\"dance\"}").is_err());
    }
}
