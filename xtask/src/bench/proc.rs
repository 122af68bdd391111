//! What the kernel says of a process: memory, files, processor time, system calls.

use crate::lab::process::{run, until};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// `USER_HZ`: the unit of the times in `/proc/PID/stat`, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// A process that used no processor for this long is at rest.
const REST: Duration = Duration::from_millis(60);
/// What strace's coming causes is over by then.
const SETTLE: Duration = Duration::from_secs(1);
/// The longest wait for rest.
const REST_LIMIT: Duration = Duration::from_secs(30);

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// Of it, what no file stands behind.
    pub anonymous: u64,
    /// The most so far.
    pub peak: u64,
}

/// The resident memory of a process.
///
/// # Errors
/// When it is gone.
pub fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
    };
    let read =
        || Some(Memory { resident: field("VmRSS")?, anonymous: field("RssAnon")?, peak: field("VmHWM")? });
    read().context("/proc/PID/status without memory")
}

/// The files that a process has mapped to run: its program and the libraries, without the C library and its
/// loader, which every program has.
///
/// # Errors
/// When it is gone.
pub fn programs(pid: u32) -> Result<BTreeSet<PathBuf>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("the process is gone")?;
    let executable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.contains('x')));
    let paths = executable.filter_map(|line| line.find('/').and_then(|at| line.get(at..))).map(PathBuf::from);
    let c_library = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ["libc.so", "ld-linux", "libnss_", "libm.so"].iter().any(|part| name.starts_with(part))
    };
    Ok(paths.filter(|path| !c_library(path)).collect())
}

/// The processor time of a process's threads and of the children that it has waited for.
///
/// # Errors
/// When it is gone.
pub fn processor(pid: u32) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanos = text.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat")?;
        time += Duration::from_nanos(nanos);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let after_name = stat.rsplit_once(") ").context("stat")?.1;
    // Fields 16 and 17, counted from 1; the third is the first after the name.
    let children: u32 =
        after_name.split(' ').skip(13).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
    Ok(time + TICK * children)
}

/// Waits until a process is at rest.
///
/// # Errors
/// When it is gone, or does not rest.
pub fn rest(pid: u32) -> Result<()> {
    let mut since = (processor(pid)?, Instant::now());
    until("the process is at rest", REST_LIMIT, || {
        let Ok(now) = processor(pid) else { return Some(()) };
        if now != since.0 || has_children(pid) {
            since = (now, Instant::now());
        }
        (since.1.elapsed() >= REST).then_some(())
    })
}

fn has_children(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).is_ok_and(|text| !text.trim().is_empty())
}

/// The system calls of some processes and their children over the same time, as strace writes them.
///
/// # Errors
/// When strace is missing or may not look.
pub fn system_calls(pids: &[u32], time: Duration, scratch: &Path) -> Result<Vec<Vec<String>>> {
    let one = |pid: u32| -> Result<Vec<String>> {
        let there = threads(pid)?;
        let log = scratch.join(format!("strace.{pid}"));
        let mut command = Command::new("timeout");
        let seconds = (time + SETTLE).as_secs();
        command.args(["--signal=INT", &seconds.to_string(), "strace", "-f", "-qq", "-ttt", "-o"]).arg(&log);
        command.args(["-p", &pid.to_string()]);
        // Its status is that of the interruption.
        let done = run(&mut command, None, time + REST_LIMIT)?;
        let text = fs::read_to_string(&log).with_context(|| format!("strace said: {}", done.stderr))?;
        Ok(calls(&text, &there, SETTLE))
    };
    thread::scope(|scope| {
        let all: Vec<_> = pids.iter().map(|pid| scope.spawn(move || one(*pid))).collect();
        all.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("strace's thread"))?).collect()
    })
}

/// The ids of a process's threads.
fn threads(pid: u32) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        ids.insert(task?.file_name().to_string_lossy().into_owned());
    }
    Ok(ids)
}

/// The calls in a log of `strace -f -ttt -o`: each once, neither those that the threads were in when strace came, nor
/// those of the time after that, as its coming interrupts them.
fn calls(log: &str, there: &BTreeSet<String>, settle: Duration) -> Vec<String> {
    let mut met = BTreeSet::new();
    let mut calls = Vec::new();
    let mut start = None;
    for line in log.lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(Ok(at))) = (words.next(), words.next().map(str::parse::<f64>)) else {
            continue;
        };
        let call = words.collect::<Vec<_>>().join(" ");
        let settled = at - *start.get_or_insert(at) >= settle.as_secs_f64();
        let again = ["<... ", "---", "+++"].iter().any(|mark| call.starts_with(mark));
        let in_progress = met.insert(thread.to_owned()) && there.contains(thread);
        if settled && !again && !in_progress {
            calls.push(call);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::{calls, memory, processor, programs};
    use std::time::Duration;

    #[test]
    fn calls_are_counted_once_and_those_that_strace_interrupts_not_at_all() {
        let there = ["12", "14"].map(str::to_owned).into();
        let second = Duration::from_secs(1);
        let idle = "12    100.0 restart_syscall(<... resuming interrupted read ...>) = -1 EINTR\n\
                    12    100.1 epoll_wait(3,  <detached ...>\n\
                    14    100.1 futex(0x1,  <detached ...>\n";
        assert!(calls(idle, &there, second).is_empty());
        let log = "12    100.0 clock_nanosleep(0, 0, {1}, NULL) = 0\n\
                   12    101.0 read(3, \"x\", 1) = 1\n\
                   12    101.1 clone(child_stack=NULL <unfinished ...>\n\
                   13    101.2 set_tid_address(0x1) = 13\n\
                   12    101.3 <... clone resumed>) = 13\n\
                   13    101.4 +++ exited with 0 +++\n\
                   12    101.4 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                   12    101.5 clock_nanosleep(0, 0, {1},  <detached ...>\n";
        assert_eq!(calls(log, &there, second).len(), 4);
    }

    #[test]
    fn we_ourselves_have_memory_a_program_and_time() {
        let pid = std::process::id();
        let memory = memory(pid).unwrap();
        assert!(memory.resident >= memory.anonymous && memory.peak >= memory.resident);
        assert!(programs(pid).unwrap().contains(&std::env::current_exe().unwrap()));
        assert!(processor(pid).unwrap().as_nanos() > 0);
    }
}
