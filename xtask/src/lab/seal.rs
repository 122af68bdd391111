//! The seal: runs this very program again as process 1 of private user, mount, network and process
//! namespaces, with a private `/run`. When that process ends, for whatever reason, the kernel ends
//! everything that it started and forgets every namespace, device, table and file that it made.
//!
//! Three processes: the one that was typed ([`run`]), a holder that unshares and waits ([`hold`]), and
//! process 1 inside ([`enter`]). Each dies with the one above it, also by SIGKILL.

use anyhow::{bail, Context, Result};
use nix::mount::{mount, MsFlags};
use nix::sched::{unshare, CloneFlags};
use nix::sys::signal::{kill, Signal};
use nix::unistd::{getegid, geteuid, Pid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// The hidden subcommand of the holder.
pub const HOLD: &str = "__seal";
/// Everything that a lab writes lies here, on a private tmpfs.
pub const DIR: &str = "/run/lab";
/// Exit status after Ctrl-C, as shells have it.
pub const INTERRUPTED: i32 = 130;
/// Signals that end a program.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];
/// How often a child is looked at while a deadline runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs `xtask ARGS` sealed and waits for it; what it prints goes to `out`, or to where our own output goes. At the
/// deadline everything inside is killed and an error returned.
pub fn run(args: &[OsString], limit: Duration, out: Option<&File>) -> Result<ExitStatus> {
    // The handlers of signals outlive their registration: between runs they must end us again. Where two run at a
    // time, the end of the first has a signal end us at once; what runs dies with us.
    static BETWEEN: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let between = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            let _ = signal_hook::flag::register_conditional_default(signal, between.clone());
        }
        between
    });
    BETWEEN.store(false, Ordering::SeqCst);
    let signals = Signals::new(ENDING)?;
    let mut command = Command::new(own_program()?);
    command.arg(HOLD).args(args).stdin(Stdio::null());
    if let Some(out) = out {
        command.stdout(out.try_clone()?).stderr(out.try_clone()?);
    }
    let child = command.spawn().context("cannot start the sealed part")?;
    let status = tend(child, signals, Some(Instant::now() + limit));
    BETWEEN.store(true, Ordering::SeqCst);
    status
}

/// The holder: unshares, starts `xtask ARGS` as process 1 inside, waits, and ends with its status.
pub fn hold(args: &[OsString]) -> Result<i32> {
    die_with_parent()?;
    let signals = Signals::new(ENDING)?;
    // From here on no thread can be made: the process ids of our children are not ours.
    unshare_all()?;
    let mut command = Command::new(own_program()?);
    command.args(args).stdin(Stdio::piped());
    let mut child = command.spawn().context("cannot start process 1 of the sealed part")?;
    // Its standard input stays open as long as we live: its end tells process 1 to end.
    let _lifeline = child.stdin.take();
    Ok(exit_code(tend(child, signals, None)?))
}

/// Waits for a child, passing on the signals that would end us, so that it ends in good order.
fn tend(mut child: Child, mut signals: Signals, end: Option<Instant>) -> Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for signal in signals.pending() {
            kill(pid, Signal::try_from(signal)?)?;
        }
        if end.is_some_and(|end| Instant::now() > end) {
            child.kill()?;
            child.wait()?;
            bail!("killed at its deadline: not done in time");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A process's exit status as a number, also where a signal ended it.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn own_program() -> Result<PathBuf> {
    env::current_exe().context("cannot find this program's own file")
}

fn die_with_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie this process to its parent")
}

/// As root, plain namespaces; else, or in a container that keeps root from it, those of a user
/// namespace in which we are root.
fn unshare_all() -> Result<()> {
    let base = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    if geteuid().is_root() && unshare(base).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(base | CloneFlags::CLONE_NEWUSER).context(
        "this kernel lets only root make network namespaces: run it as root (sudo), or allow user namespaces",
    )?;
    fs::write("/proc/self/setgroups", "deny").context("cannot set up the user namespace")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).context("cannot set up the user namespace")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).context("cannot set up the user namespace")
}

/// Process 1 of the sealed part: makes the mounts private, covers `/run`, and ends with the holder.
/// To be called first, while the process has one thread.
pub fn enter() -> Result<()> {
    if process::id() != 1 {
        bail!("this is a hidden step of `cargo demo` and `cargo xtask test`, not to be typed");
    }
    die_with_parent()?;
    make_mounts().context(
        "cannot set up private mounts: this kernel or container does not give the rights (try as root)",
    )?;
    env::set_current_dir("/")?;
    let mut signals = Signals::new(ENDING)?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            anstream::eprintln!("\ninterrupted: everything of the lab goes with this process");
            process::exit(INTERRUPTED);
        }
    });
    thread::spawn(|| {
        // Blocks until the holder is gone, however it went.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        process::exit(INTERRUPTED);
    });
    Ok(())
}

fn make_mounts() -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // Some containers mask parts of /proc and then forbid a new one: the old one serves, but for ps.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none);
    let resolver = fs::canonicalize("/etc/resolv.conf").ok();
    // Covers the host's sockets too (nscd, systemd-resolved), which would answer from outside.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    for dir in ["/run/netns", "/run/lock", "/run/lab/tmp"] {
        fs::create_dir_all(dir)?;
    }
    // Where /etc/resolv.conf is a link into /run, something must be there to mount upon.
    if let Some(path) = resolver.filter(|path| path.starts_with("/run")) {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/run")))?;
        fs::write(path, "")?;
    }
    Ok(())
}
