//! A bounded child process: its input, its output, and a deadline.

use super::net::within;
use crate::cli::tether;
use crate::model::millis;
use async_io::Async;
use rustix::io::Errno;
use smol::future::{try_zip, yield_now, Future};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest output that is read from a child.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// The room that is made for more output.
const PIECE: usize = 4 * 1024;
/// The longest complaint of a child that is passed on, in characters.
const MAX_COMPLAINT: usize = 200;

/// What a child process left.
pub(crate) struct Ran {
    /// Whether it ended with exit status 0.
    pub(crate) ok: bool,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error, in one line, shortened.
    pub(crate) complaint: String,
}

/// Ends and reaps the child however its keeper goes away.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both are no-ops on a child that was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where programs are: as PATH says, or where the system has its own, if a user's PATH lacks those.
const PLACES: [&str; 4] = ["", "/usr/sbin", "/sbin", "/bin"];

/// Runs a program with this input; where PATH lacks it, looks in the system's own directories too. No thread is made:
/// its pipes are polled beside everything else.
///
/// # Errors
/// In plain words: there is no such program (`package` is what to install), it was killed at the deadline, or it could
/// not be run.
pub(crate) fn run<'a>(
    program: &'a Path,
    package: &'a str,
    args: &'a [&str],
    input: &'a str,
    deadline: Duration,
) -> impl Future<Output = Result<Ran, String>> + 'a {
    run_with(&[], program, package, args, input, deadline)
}

/// The same with variables in its environment. `package` is empty where none can be named.
///
/// # Errors
/// Likewise.
pub(crate) async fn run_with(
    env: &[(String, &str)],
    program: &Path,
    package: &str,
    args: &[&str],
    input: &str,
    deadline: Duration,
) -> Result<Ran, String> {
    let start = Instant::now();
    let mut ran = Err(ErrorKind::NotFound.into());
    for place in PLACES {
        ran = run_at(env, &Path::new(place).join(program), args, input, deadline).await;
        // A directory of PATH that may not be entered shows as a refusal.
        let is_missing =
            |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
        if program.is_absolute() || !ran.as_ref().is_err_and(is_missing) {
            break;
        }
    }
    if log::log_enabled!(log::Level::Debug) {
        tell(program, args, input, &ran, start.elapsed());
    }
    ran.map_err(|error| complaint(program, package, &error, deadline))
}

fn name(program: &Path) -> std::path::Display<'_> {
    Path::new(program.file_name().unwrap_or(program.as_os_str())).display()
}

fn complaint(program: &Path, package: &str, error: &io::Error, deadline: Duration) -> String {
    let name = name(program);
    match error.kind() {
        ErrorKind::NotFound if package.is_empty() => format!("there is no program {name}"),
        ErrorKind::NotFound => format!("there is no program {name}: install the package {package}"),
        ErrorKind::TimedOut => format!("{name} did not end within {} s and was killed", deadline.as_secs()),
        _ => format!("{name} could not be run: {error}"),
    }
}

/// Logs a run. What was said is told by who asked, who knows what in it is secret.
fn tell(program: &Path, args: &[&str], input: &str, ran: &io::Result<Ran>, took: Duration) {
    let line: String = args.join(" ").chars().take(MAX_COMPLAINT).collect();
    let end = match ran {
        Ok(ran) => format!("{}, {} bytes", if ran.ok { "done" } else { "failed" }, ran.out.len()),
        Err(error) => error.to_string(),
    };
    let (program, given, ms) = (program.display(), input.len(), millis(took));
    log::debug!("{program} {line} (given {given} bytes) -> {end} ({ms} ms)");
}

/// Errors of kind `NotFound` mean that there is no such program, `TimedOut` that it was killed.
async fn run_at(
    env: &[(String, &str)],
    program: &Path,
    args: &[&str],
    input: &str,
    deadline: Duration,
) -> io::Result<Ran> {
    let mut child = start(env, program, args)?;
    let talk = within(Instant::now() + deadline, converse(&mut child, input.as_bytes())).await;
    let (out, err) = talk.ok_or(ErrorKind::TimedOut)??;
    let ok = child.0.wait()?.success();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { ok, out: text(&out), complaint: essence(&text(&err), args) })
}

/// What went wrong, in one short line: `ubus` says it behind all that it was asked, fw4 below its warnings (`[!]`).
fn essence(err: &str, args: &[&str]) -> String {
    let long = args.last().filter(|arg| arg.len() > MAX_COMPLAINT / 2);
    let err = long.map_or(err.into(), |arg| err.replacen(arg, "..", 1));
    let failed = err.contains("Error:");
    let told = err.lines().filter(|line| !(failed && line.starts_with("[!]")));
    let words: Vec<&str> = told.flat_map(str::split_whitespace).collect();
    words.join(" ").chars().take(MAX_COMPLAINT).collect()
}

fn start(env: &[(String, &str)], program: &Path, args: &[&str]) -> io::Result<Reaped> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map(Reaped)
}

/// Writes the input while reading both outputs to their end, then waits for the child to be gone.
async fn converse(Reaped(child): &mut Reaped, input: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let gone = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(child),
        rustix::process::PidfdFlags::empty(),
    );
    let pipe = |end: Option<OwnedFd>| end.map(Async::new).transpose();
    let stdin = pipe(child.stdin.take().map(OwnedFd::from))?;
    let stdout = pipe(child.stdout.take().map(OwnedFd::from))?;
    let stderr = pipe(child.stderr.take().map(OwnedFd::from))?;
    let ((), outputs) = try_zip(write(stdin, input), try_zip(read(stdout), read(stderr))).await?;
    // Kernels before 5.3 have no pidfd: there the wait that follows blocks for the instant between
    // a child's last close and its end.
    if let Ok(gone) = gone {
        Async::new(gone)?.readable().await?;
    }
    Ok(outputs)
}

/// A child that goes on by itself, of whose standard error each line is heard; it ends when this is dropped, or when this
/// process does.
pub(crate) struct Watched {
    child: Reaped,
    complaints: Async<OwnedFd>,
    heard: Vec<u8>,
}

/// The longest line of a [`Watched`] child that is taken whole, in bytes.
const LINE_CAP: usize = 1024;

impl Watched {
    /// Starts a program that is found by PATH, with no input, its output thrown away.
    ///
    /// # Errors
    /// When it could not be started. That there is no such program shows as its first and last line.
    pub(crate) fn start(program: &str, args: &[&str], env: &[(&str, &Path)]) -> io::Result<Watched> {
        // Not by our name: an upgrade may have put another file there.
        let mut command = Command::new("/proc/self/exe");
        command.args([tether::NAME, &std::process::id().to_string(), program]).args(args);
        command.env("LC_ALL", "C").envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Reaped(command.spawn()?);
        let complaints = child.0.stderr.take().ok_or(ErrorKind::BrokenPipe)?;
        Ok(Watched { child, complaints: Async::new(OwnedFd::from(complaints))?, heard: Vec::new() })
    }

    /// The next line that it says; `None` when it has ended.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            let end = self.heard.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            if let Some(end) = end.or_else(|| (self.heard.len() >= LINE_CAP).then_some(LINE_CAP)) {
                let rest = self.heard.split_off(end);
                let line = std::mem::replace(&mut self.heard, rest);
                return Some(String::from_utf8_lossy(&line).trim().to_string());
            }
            self.heard.reserve(LINE_CAP);
            match rustix::io::read(&self.complaints, rustix::buffer::spare_capacity(&mut self.heard)) {
                Ok(0) => break,
                // One that never stops, as its server likes, must not keep everybody else waiting.
                Ok(_) => yield_now().await,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.complaints.readable().await.ok()?,
                Err(_) => break,
            }
        }
        // It closed its standard error: it has ended, or will not say so.
        let _ = self.child.0.kill();
        let last = std::mem::take(&mut self.heard);
        (!last.is_empty()).then(|| String::from_utf8_lossy(&last).trim().to_string())
    }
}

async fn write(pipe: Option<Async<OwnedFd>>, mut input: &[u8]) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    while !input.is_empty() {
        match rustix::io::write(&pipe, input) {
            Ok(count) => input = input.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => pipe.writable().await?,
            Err(Errno::INTR) => {}
            // A child that fails early reads no more; its complaint says why.
            Err(Errno::PIPE) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn read(pipe: Option<Async<OwnedFd>>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    loop {
        bytes.reserve(PIECE);
        match rustix::io::read(&pipe, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > MAX_OUTPUT => return Err(io::Error::other("it printed more than 4 MiB")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => pipe.readable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// fw4's and ubus' own words.
    #[test]
    fn what_went_wrong_comes_before_what_is_long() {
        let include = "/usr/share/nftables.d/table-pre/broken.nft";
        let check = format!(
            "[!] ubus redirect (ubus:porchlight_mappings[*] redirect 0) external address range cannot be determined, \
             disabling reflection\n[!] Automatically including '{include}'\nIn file included from /dev/stdin:67:2-54:\n\
             {include}:2:10-10: Error: syntax error, unexpected newline\n nonsense\n         ^\n"
        );
        let words = format!(
            "In file included from /dev/stdin:67:2-54: {include}:2:10-10: Error: syntax error, unexpected newline \
             nonsense ^"
        );
        assert_eq!(essence(&check, &["check"]), words);
        assert_eq!(
            essence("cannot reach 10.0.0.1\nError: giving up\n", &[]),
            "cannot reach 10.0.0.1 Error: giving up"
        );
        let warning = "[!] Section @redirect[0] (box) specifies unknown zone\n";
        assert_eq!(essence(warning, &["check"]), warning.trim_end());

        let message = format!("{{\"name\":\"{}\"}}", "x".repeat(1000));
        let failed = format!("Command failed: ubus call service add {message} (Permission denied)\n");
        let args = ["call", "service", "add", &message];
        assert_eq!(essence(&failed, &args), "Command failed: ubus call service add .. (Permission denied)");
        assert_eq!(essence(&"y".repeat(1000), &args).len(), MAX_COMPLAINT);
    }
}
