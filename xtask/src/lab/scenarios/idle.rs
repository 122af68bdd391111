//! Rest: what the agent does when there is nothing to do, and where it writes when there is.

use crate::lab::whoami::Whoami;
use crate::lab::*;
use anyhow::{bail, ensure, Context, Result};
use domain::base::iana::Rcode;
use nix::mount::{mount, MsFlags};
use nix::sys::signal::Signal;
use nix::sys::statvfs::{statvfs, FsFlags};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the agent does by itself, it does within this time.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle agent is watched.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// The tracer and the agent have settled when nothing was called for so long.
const STILL: Duration = Duration::from_secs(2);
/// Neighbours beside the camera.
const CROWD: u8 = 20;
/// How long they chatter.
const CHATTER_FOR: Duration = Duration::from_secs(20);
/// Fewer events than this are no chatter.
const LEAST_EVENTS: usize = 100;
/// System calls that one neighbour event may cost.
const CALLS_PER_EVENT: usize = 2;
/// The camera's place, before it moves and after.
const PLACES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 60)];
/// A stranger's hardware address.
const STRANGER_MAC: &str = "02:00:00:00:00:66";

/// A tracer of system calls on a running process.
pub(super) struct Tracer(Daemon);

impl Tracer {
    /// Attaches to all threads of a process, and waits until nothing more happens. To attach interrupts the call
    /// in which each thread waits, and the thread enters it again: that is over then.
    pub(super) fn attach(pid: u32) -> Result<Tracer> {
        let mut command = Command::new("strace");
        // Each line begins with the time at which its call was entered.
        command.args(["-f", "-ttt", "-s", "16", "-p", &pid.to_string()]);
        let start = Instant::now();
        let tracer = Tracer(Daemon::spawn("strace", &mut command)?);
        tracer.0.wait_line(start, "attached", DONE_WITHIN)?;
        until("the traced agent rests", IDLE_FOR, || {
            let last = tracer.0.lines().last().map_or(start, |line| line.at);
            (last.elapsed() >= STILL).then_some(())
        })?;
        Ok(tracer)
    }

    /// Everything that was said since: a call that began, that ended, or a signal.
    pub(super) fn lines_since(&self, start: Instant) -> Vec<String> {
        self.0.lines().into_iter().filter(|line| line.at >= start).map(|line| line.text).collect()
    }

    /// The calls that were entered since.
    fn calls_since(&self, start: SystemTime) -> Vec<String> {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let entered = |text: &str| {
            let rest = match text.strip_prefix("[pid ") {
                Some(rest) => rest.split_once(']')?.1.trim_start(),
                None => text,
            };
            let (at, call) = rest.split_once(' ')?;
            let began = call.starts_with(|c: char| c.is_ascii_lowercase()) && call.contains('(');
            (began && at.parse::<f64>().ok()? >= start).then(|| call.to_string())
        };
        self.0.lines().iter().filter_map(|line| entered(&line.text)).collect()
    }
}

/// An agent at rest: a public address, a record published and seen, a camera with a mapping.
struct Rest {
    agent: Agent,
    whoami: Whoami,
    camera: Host,
    _front: Camera,
}

fn settle(lab: &Lab) -> Result<(Rest, Nameserver)> {
    let dns = lab.nameserver()?;
    let camera = prepare(lab)?;
    let front = Camera::start(&camera.ns, 554, "front")?;
    // Whom everybody has to ask which address the internet sees: each public address is confirmed once.
    let whoami = Whoami::start(lab)?;
    lab.write_config(&lab.config().replace("\tlist ip_source 'interface'\n", ""))?;
    let agent = lab.start_agent()?;
    lab.wait_reachable("front", WAN4.into(), DONE_WITHIN)?;
    until("all is published and seen", DONE_WITHIN, || seen_everywhere(lab).then_some(()))?;
    until("both addresses are confirmed", DONE_WITHIN, || (whoami.asked().len() == 2).then_some(()))?;
    Ok((Rest { agent, whoami, camera, _front: front }, dns))
}

/// The WAN, and the camera with its lease.
fn prepare(lab: &Lab) -> Result<Host> {
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, PLACES[0])?;
    lab.write_leases(&[camera.lease(PLACES[0])])?;
    Ok(camera)
}

fn seen_everywhere(lab: &Lab) -> bool {
    let Ok(status) = lab.status() else { return false };
    let records = status["records"].as_array().cloned().unwrap_or_default();
    let seen = |record: &serde_json::Value| record["seen_after_ms"].is_number();
    status["healthy"] == true && !records.is_empty() && records.iter().all(seen)
}

/// Nothing to do, then a chatty LAN, then news of the camera.
pub fn idle(lab: &mut Lab) -> Result<Summary> {
    let (rest, _dns) = settle(lab)?;
    let crowd = (0..CROWD)
        .map(|n| {
            let mac = format!("02:00:00:00:01:{n:02x}");
            lab.lan_host(&format!("n{n}"), &mac, Ipv4Addr::new(192, 168, 1, 100 + n))
        })
        .collect::<Result<Vec<Host>>>()?;
    // The kernel has not heard of the camera for a while: what it would tell by itself, it has told. Nor does the
    // camera speak IPv6: its link-local entry would be forgotten at a time of the kernel's choice, which is news.
    rest.camera.ns.sysctl("net.ipv6.conf.eth0.disable_ipv6", "1")?;
    lab.router.sh("ip -6 neigh flush dev lan0")?;
    lab.router.ip(&format!("neigh replace {} lladdr {CAMERA_MAC} nud stale dev lan0", PLACES[0]))?;
    wait_confirmed(lab, false)?;
    let tracer = Tracer::attach(rest.agent.pid())?;
    let mut lines = vec![at_rest(lab, &tracer)?];
    lines.push(among_chatter(lab, &tracer, &crowd)?);
    lines.push(news_of_the_camera(lab, &tracer, &rest)?);
    let asked = rest.whoami.asked();
    ensure!(asked.len() == 2, "witnesses were asked of public addresses again: {asked:?}");
    Ok(Summary(lines))
}

/// No call in a minute; and the tracer is no liar, for it shows those that a question costs.
fn at_rest(lab: &Lab, tracer: &Tracer) -> Result<String> {
    let start = Instant::now();
    thread::sleep(IDLE_FOR);
    let calls = tracer.lines_since(start);
    let seconds = start.elapsed().as_secs();
    ensure!(calls.is_empty(), "an idle agent made system calls:\n{}", calls.join("\n"));
    let asked = SystemTime::now();
    lab.status()?;
    let calls = || tracer.calls_since(asked).len();
    until("the tracer sees the calls of a question", DONE_WITHIN, || (calls() > 0).then_some(()))?;
    wait_still(tracer)?;
    Ok(format!("idle: 0 system calls in {seconds} s (a `status` costs {})", calls()))
}

fn wait_still(tracer: &Tracer) -> Result<()> {
    until("the agent rests again", DONE_WITHIN * 2, || {
        tracer.lines_since(Instant::now().checked_sub(STILL)?).is_empty().then_some(())
    })
}

/// Others come, go and change; that is none of our business.
fn among_chatter(lab: &Lab, tracer: &Tracer, crowd: &[Host]) -> Result<String> {
    let monitor = lab.router.spawn("ip monitor", Command::new("ip").args(["monitor", "neigh"]))?;
    // It says nothing when it is ready: an event tells.
    until("the monitor hears the neighbours", DONE_WITHIN, || {
        chatter(lab, crowd, 0).ok()?;
        (!monitor.lines().is_empty()).then_some(())
    })?;
    wait_still(tracer)?;
    let (start, wall) = (Instant::now(), SystemTime::now());
    let mut round = 1;
    while start.elapsed() < CHATTER_FOR {
        chatter(lab, crowd, round)?;
        round += 1;
    }
    let events = monitor.lines().iter().filter(|line| line.at >= start).count();
    let calls = tracer.calls_since(wall);
    ensure!(events >= LEAST_EVENTS, "only {events} events: the neighbours did not chatter");
    ensure!(
        calls.len() <= CALLS_PER_EVENT * events,
        "{} system calls for {events} neighbour events:\n{}",
        calls.len(),
        calls.join("\n")
    );
    let seconds = start.elapsed().as_secs();
    Ok(format!("{CROWD} chatty neighbours: {} system calls for {events} events in {seconds} s", calls.len()))
}

/// One neighbour gets another network card and asks for the router (ARP); another one is entered by hand.
fn chatter(lab: &Lab, crowd: &[Host], round: usize) -> Result<()> {
    let Some(host) = crowd.get(round % crowd.len()) else { bail!("no crowd") };
    let (high, low) = (round / 256 % 256, round % 256);
    host.ns.ip_batch(&[
        &format!("link set eth0 address 02:00:00:02:{high:02x}:{low:02x}"),
        "neigh flush dev eth0",
    ])?;
    host.speak()?;
    let state = if round.is_multiple_of(2) { "stale" } else { "reachable" };
    let last = 200 + round % 20;
    lab.router.ip(&format!(
        "neigh replace 192.168.1.{last} lladdr 02:00:00:03:{high:02x}:{low:02x} nud {state} dev lan0"
    ))
}

/// The camera's own entry is heard, and a stranger on its address closes the mapping.
fn news_of_the_camera(lab: &Lab, tracer: &Tracer, rest: &Rest) -> Result<String> {
    const TIMES: usize = 10;
    let wall = SystemTime::now();
    let place = PLACES[0];
    for round in 0..TIMES {
        let state = if round.is_multiple_of(2) { "permanent" } else { "stale" };
        lab.router.ip(&format!("neigh replace {place} lladdr {CAMERA_MAC} nud {state} dev lan0"))?;
        wait_confirmed(lab, round % 2 == 0)?;
    }
    let calls = tracer.calls_since(wall).len();
    let start = Instant::now();
    lab.router.ip(&format!("neigh replace {place} lladdr {STRANGER_MAC} nud stale dev lan0"))?;
    rest.agent.wait_line(start, "is closed", SECOND)?;
    let closed = start.elapsed();
    lab.wait_closed(WAN4.into(), SECOND)?;
    let start = Instant::now();
    let camera = &rest.camera;
    lab.router.ip(&format!("neigh del {place} dev lan0"))?;
    camera.readdress(PLACES[1])?;
    lab.write_leases(&[camera.lease(PLACES[1])])?;
    lab.wait_greeted("front", WAN4.into(), SECOND)?;
    Ok(format!(
        "news of the camera: {TIMES} changes of its entry and {TIMES} questions cost {calls} calls; a stranger on \
         its address closes the mapping in {} ms; it moves, and is reached in {} ms (all under strace)",
        closed.as_millis(),
        start.elapsed().as_millis()
    ))
}

/// Waits until the agent has heard how the kernel thinks of the camera.
fn wait_confirmed(lab: &Lab, fresh: bool) -> Result<()> {
    until(&format!("the camera's entry is heard (fresh: {fresh})"), SECOND, || {
        let status = lab.status().ok()?;
        (status["cameras"][0]["confirmed"] == fresh).then_some(())
    })
}

/// The agent on a read-only root through changes, reloads and failures; every file that it opens is traced.
pub fn writes(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    let camera = prepare(lab)?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_config(&lab.config())?;
    let run_dir = lab.root.join("var/run/porchlight");
    let trace = Path::new(seal::DIR).join("trace");
    fs::create_dir_all(&trace)?;
    let mut tracer = start_read_only(lab, &trace)?;
    let agent = agent_below(&tracer)?;
    lab.wait_reachable("front", WAN4.into(), DONE_WITHIN)?;
    until("all is published and seen", DONE_WITHIN, || seen_everywhere(lab).then_some(()))?;
    untouched_when_nothing_changed(lab, &tracer, agent, &run_dir)?;
    let changes = live_through_it(lab, &dns, &camera, &tracer, agent)?;
    nix::sys::signal::kill(agent, Signal::SIGTERM)?;
    tracer.wait(DONE_WITHIN)?;
    let (opened, written) = judge(&fs::read_to_string(trace.join("out"))?, &run_dir)?;
    Ok(Summary::line(format!(
        "read-only root, {changes} changes, reloads and failures: {opened} calls on files, {written} of them writes, \
         all in the private directory in tmpfs; state file untouched when nothing changed"
    )))
}

/// Starts the agent under strace where everything is mounted read-only but its run directory's parent.
fn start_read_only(lab: &Lab, trace: &Path) -> Result<Daemon> {
    let own = lab.command();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=%file,bind", "-o"]).arg(trace.join("out"));
    command.arg(own.get_program()).args(own.get_args()).arg("run");
    let keep = [lab.root.join("var/run"), trace.to_path_buf()];
    let mut daemon = lab.router.enter(|| {
        seal_files(&keep)?;
        let denied = fs::write(lab.root.join("etc/config/witness"), "x");
        ensure!(
            denied.is_err_and(|e| e.raw_os_error() == Some(nix::errno::Errno::EROFS as i32)),
            "not read-only"
        );
        Daemon::spawn("porchlight under strace", &mut command)
    })?;
    let socket = lab.root.join("var/run/porchlight/control.sock");
    until("the agent's control socket takes calls", DONE_WITHIN, || {
        (UnixStream::connect(&socket).is_ok() || !daemon.is_running()).then_some(())
    })?;
    ensure!(daemon.is_running(), "the agent ended at once; its last words:\n{}", daemon.tail(20));
    Ok(daemon)
}

/// Makes every mount of the calling thread read-only, but for the kernel's own and `keep`.
fn seal_files(keep: &[PathBuf]) -> Result<()> {
    let none = None::<&str>;
    for path in keep {
        mount(Some(path), path, none, MsFlags::MS_BIND, none)?;
    }
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    for point in table.lines().filter_map(|line| line.split(' ').nth(4)) {
        let point = Path::new(point);
        let kernels = ["/proc", "/sys", "/dev"].iter().any(|dir| point.starts_with(dir));
        if kernels || keep.iter().any(|path| path == point) {
            continue;
        }
        // What another mount covers cannot be reached, and need not be.
        let Ok(found) = statvfs(point) else { continue };
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        for (has, flag) in [
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
            (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
            (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        ] {
            if found.flags().contains(has) {
                flags |= flag;
            }
        }
        mount(none, point, none, flags, none).with_context(|| format!("{} read-only", point.display()))?;
    }
    Ok(())
}

/// The process that strace runs.
fn agent_below(tracer: &Daemon) -> Result<nix::unistd::Pid> {
    let pid = tracer.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next().context("strace has no child")?;
    Ok(nix::unistd::Pid::from_raw(child.parse()?))
}

/// A trigger, a scheduled look and a reload that change nothing leave the state file alone.
fn untouched_when_nothing_changed(
    lab: &Lab,
    tracer: &Daemon,
    agent: nix::unistd::Pid,
    run_dir: &Path,
) -> Result<()> {
    let look = || -> Result<_> {
        let meta = fs::metadata(run_dir.join("state"))?;
        Ok((meta.ino(), meta.mtime(), meta.mtime_nsec(), fs::read(run_dir.join("state"))?))
    };
    let before = look()?;
    for verb in [&["trigger"][..], &["trigger", "wan", "wan"], &["trigger", "clock"], &["once"]] {
        lab.verb(verb)?.success()?;
    }
    let start = Instant::now();
    nix::sys::signal::kill(agent, Signal::SIGHUP)?;
    tracer.wait_line(start, "configuration reloaded", DONE_WITHIN)?;
    lab.verb(&["once"])?.success()?;
    ensure!(look()? == before, "the state file was written although nothing changed");
    Ok(())
}

/// Changes, reloads and failures; the value is how many.
fn live_through_it(
    lab: &Lab,
    dns: &Nameserver,
    camera: &Host,
    tracer: &Daemon,
    agent: nix::unistd::Pid,
) -> Result<usize> {
    let mut count = 0;
    for last in 11..16 {
        let addr = Ipv4Addr::new(203, 0, 113, last);
        lab.wan_readdress4(addr)?;
        lab.wait_reachable("front", addr.into(), DONE_WITHIN)?;
        count += 1;
    }
    let addr = Ipv4Addr::new(203, 0, 113, 15);
    for place in [PLACES[1], PLACES[0]] {
        camera.readdress(place)?;
        lab.write_leases(&[camera.lease(place)])?;
        lab.wait_greeted("front", addr.into(), DONE_WITHIN)?;
        count += 1;
    }
    let reload = |text: &str, says: &str| -> Result<()> {
        lab.write_config(text)?;
        let start = Instant::now();
        nix::sys::signal::kill(agent, Signal::SIGHUP)?;
        tracer.wait_line(start, says, DONE_WITHIN).map(drop)
    };
    reload("config record 'broken'\n\toption family 'neither'\n", "not reloaded")?;
    reload(&lab.config().replace("'1m'", "'2m'"), "configuration reloaded")?;
    count += 2;
    dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
    let start = Instant::now();
    lab.wan_readdress4(WAN4)?;
    tracer.wait_line(start, "next try in", DONE_WITHIN)?;
    dns.set_mood(Mood::Well);
    lab.verb(&["trigger"])?.success()?;
    lab.wait_reachable("front", WAN4.into(), DONE_WITHIN)?;
    lab.wan_gone()?;
    lab.wan_device()?;
    lab.wan_add4(WAN4)?;
    lab.wait_reachable("front", WAN4.into(), DONE_WITHIN)?;
    lab.router.sh("nft delete table inet porchlight")?;
    lab.wait_greeted("front", WAN4.into(), DONE_WITHIN)?;
    Ok(count + 3)
}

/// Reads a trace: how many calls named a file, and how many of them changed something. A change, or an attempt
/// that only the read-only mount or missing rights held up, outside the run directory is an error.
fn judge(trace: &str, run_dir: &Path) -> Result<(usize, usize)> {
    let (mut opened, mut written, mut wrong) = (0, 0, Vec::new());
    for line in whole_calls(trace) {
        let Some((name, rest)) = line.split_once('(') else { continue };
        // A thread that ended with the process before strace could read which call it was about to make: no call has a
        // negative number.
        if name == "???" || name.starts_with("syscall_0xffffffff") {
            continue;
        }
        opened += 1;
        if !changes_something(name, rest) {
            continue;
        }
        let harmless = ["ENOENT", "EEXIST", "ENOTDIR", "EISDIR"].iter().any(|code| rest.contains(code));
        let paths: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        let inside = |path: &&str| Path::new(path).starts_with(run_dir) || **path == *"/dev/null";
        if harmless {
            continue;
        }
        written += 1;
        if paths.is_empty() || !paths.iter().all(inside) {
            wrong.push(line);
        }
    }
    ensure!(wrong.is_empty(), "writes outside {}:\n{}", run_dir.display(), wrong.join("\n"));
    ensure!(written > 10, "only {written} writes were traced: the tracer is blind");
    Ok((opened, written))
}

/// The calls of a trace. Where another thread's came between, the two halves of a line are put together.
fn whole_calls(trace: &str) -> Vec<String> {
    let mut halves: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(first) = call.strip_suffix(" <unfinished ...>") {
            halves.insert(pid, first);
        } else if let Some((_, second)) =
            call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>"))
        {
            calls.push(format!("{}{second}", halves.remove(pid).unwrap_or_default()));
        } else {
            calls.push(call.to_string());
        }
    }
    calls.extend(halves.into_values().map(str::to_string));
    calls
}

/// Whether a call on files is one that changes something.
fn changes_something(name: &str, rest: &str) -> bool {
    let opens = matches!(name, "open" | "openat" | "openat2");
    let for_writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| rest.contains(flag));
    let reads = [
        "access",
        "chdir",
        "execve",
        "faccessat",
        "getcwd",
        "getxattr",
        "inotify_add_watch",
        "lgetxattr",
        "lstat",
        "newfstatat",
        "open",
        "readlink",
        "stat",
    ];
    if opens {
        return for_writing;
    }
    if name == "bind" {
        return rest.contains("sun_path");
    }
    !reads.iter().any(|read| name.starts_with(read))
}
