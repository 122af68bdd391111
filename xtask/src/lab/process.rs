//! Programs under a time limit, and daemons whose every line of output is kept with its time.

use super::published::PUBLISHED;
use anyhow::{bail, ensure, Context, Result};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a condition is looked at by [`until`].
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Lines that a [`Daemon`]'s log keeps; the oldest go first.
const MAX_LINES: usize = 200_000;

/// Looks again and again until `look` gives a value; an error that names `what` after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        ensure!(Instant::now() < end, "not within {:.1} s: {what}", limit.as_secs_f64());
        thread::sleep(LOOK_EVERY);
    }
}

/// What is left of a program that ended by itself.
pub struct Finished {
    /// Its name and arguments.
    pub line: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Its standard output, or an error with all that it said.
    pub fn success(self) -> Result<String> {
        ensure!(self.status.success(), "`{}`: {}\n{}{}", self.line, self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// Runs a program to its end, at most `limit`; longer is an error, and it is killed.
pub fn run(command: &mut Command, input: Option<&str>, limit: Duration) -> Result<Finished> {
    let line = shown(command);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that ended early says why on its standard error.
        let _ = pipe.write_all(text.as_bytes());
    }
    let status = match until(&line, limit, || child.try_wait().transpose()) {
        Ok(status) => status?,
        Err(late) => {
            child.kill()?;
            child.wait()?;
            return Err(late);
        }
    };
    let text = |thread: JoinHandle<Vec<u8>>| thread.join().map(|b| String::from_utf8_lossy(&b).into_owned());
    let (Ok(stdout), Ok(stderr)) = (text(stdout), text(stderr)) else { bail!("`{line}`: lost its output") };
    Ok(Finished { line, status, stdout, stderr })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A line of a daemon's output.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read: a moment after it was written.
    pub at: Instant,
    /// Its text, without the line's end.
    pub text: String,
}

impl Line {
    /// Whether the agent warns of something or fails at it; DNS' word `NOERROR` is neither.
    pub fn is_loud(&self) -> bool {
        self.text.contains("WARN ") || self.text.contains("ERROR [")
    }
}

/// What a daemon has said so far.
#[derive(Default)]
struct Log {
    lines: Mutex<VecDeque<Line>>,
    grown: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, text: String) {
        PUBLISHED.read_log(&text);
        let mut lines = self.lock();
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(Line { at: Instant::now(), text });
        self.grown.notify_all();
    }

    fn tail(&self, count: usize) -> String {
        let lines = self.lock();
        let from = lines.len().saturating_sub(count);
        lines.iter().skip(from).map(|line| format!("  {}\n", line.text)).collect()
    }
}

/// The logs of all daemons of this process, also of those that are gone.
static LOGS: Mutex<Vec<(String, Arc<Log>)>> = Mutex::new(Vec::new());

fn logs() -> MutexGuard<'static, Vec<(String, Arc<Log>)>> {
    LOGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines of every daemon that was ever started, for the report of a failure.
pub fn last_words(count: usize) -> String {
    logs().iter().map(|(name, log)| format!("--- the last words of {name}:\n{}", log.tail(count))).collect()
}

/// A program that stays, in a process group of its own. Dropped, it is killed.
pub struct Daemon {
    name: String,
    child: Child,
    log: Arc<Log>,
}

impl Daemon {
    /// Starts it; its standard output and error go to its log.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Daemon> {
        Daemon::start(name, command.stdin(Stdio::null()))
    }

    /// The same for one that is talked to: with its standard input.
    pub fn converse(name: &str, command: &mut Command) -> Result<(Daemon, ChildStdin)> {
        let mut daemon = Daemon::start(name, command.stdin(Stdio::piped()))?;
        let input = daemon.child.stdin.take().context("it has no standard input")?;
        Ok((daemon, input))
    }

    fn start(name: &str, command: &mut Command) -> Result<Daemon> {
        let line = shown(command);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let log = Arc::new(Log::default());
        logs().push((name.into(), log.clone()));
        read_lines(child.stdout.take(), &log);
        read_lines(child.stderr.take(), &log);
        Ok(Daemon { name: name.into(), child, log })
    }

    /// Its process id, inside the lab.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it has said.
    pub fn lines(&self) -> Vec<Line> {
        self.log.lock().iter().cloned().collect()
    }

    /// The last `count` lines that it has said.
    pub fn tail(&self, count: usize) -> String {
        self.log.tail(count)
    }

    /// Waits for a line that was said at `since` or later and that contains `part`.
    pub fn wait_line(&self, since: Instant, part: &str, limit: Duration) -> Result<Line> {
        let end = Instant::now() + limit;
        let mut lines = self.log.lock();
        loop {
            if let Some(line) = lines.iter().find(|line| line.at >= since && line.text.contains(part)) {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                let seconds = limit.as_secs_f64();
                bail!(
                    "{} did not say '{part}' within {seconds:.1} s; its last words:\n{}",
                    self.name,
                    self.tail(20)
                );
            }
            lines = self.log.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), signal).with_context(|| format!("{} is gone", self.name))
    }

    /// Asks it to end (SIGTERM) and waits; an error, and a kill, if it does not within `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("{} ends after SIGTERM; its last words:\n{}", self.name, self.tail(20));
        let ended = until(&what, limit, || self.child.try_wait().transpose());
        if ended.is_err() {
            self.kill();
        }
        Ok(ended??)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        Ok(until(&format!("{} ends", self.name), limit, || self.child.try_wait().transpose())??)
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(pipe: Option<impl Read + Send + 'static>, log: &Arc<Log>) {
    let (Some(pipe), log) = (pipe, log.clone()) else { return };
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            log.push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}
