//! The scripts of the OpenWrt package, run by busybox's shell in a file system like OpenWrt's: installation, start,
//! hotplug, reload, stop, one-shot mode, removal.

pub(super) mod room;

use super::Scenario;
use crate::lab::process::Finished;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use room::{package, Room};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

/// A hotplug call returns within this time, whatever the daemon does.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Calls in a row that must all return so; on a machine that does much else, one of so many rows of them.
const CALLS: usize = 20;
const ROWS: usize = 5;
/// More connections than wait in a socket's queue.
const CROWD: usize = 200;
/// Processes end, and files change, within this time.
const SOON: Duration = Duration::from_secs(5);
/// Where the camera is, and where it moves to.
const PLACES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 60)];
/// What others have in root's crontab; no newline at its end.
const CRONTAB: &str = "# mine\n*/5 * * * *  logger porchlight\n\n\t0 4 * * * reboot\r\n17 * * * * true";

/// With real busybox, dnsmasq and shellcheck.
pub const SCRIPTS: Scenario = Scenario {
    name: "scripts",
    about: "OpenWrt's scripts: hotplug returns at once, one-shot mode, no port left open, no right too many",
    needs: &["busybox", "shellcheck", "dnsmasq"],
    limit: Duration::from_secs(180),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    let checked = shellcheck()?;
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, PLACES[0])?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_leases(&[camera.lease(PLACES[0])])?;
    let room = Room::make(lab)?;
    let mut stage = Stage { lab, room, camera, dns, next: 10 };
    let mut lines = vec![format!("shellcheck and busybox's shell find nothing in {checked} scripts")];
    stage.only_default_applets()?;
    lines.push(stage.installed()?);
    let mut daemon = stage.started()?;
    lines.push(stage.bounded(&daemon)?);
    lines.extend(stage.hotplug(&daemon)?);
    lines.push(stage.reloaded(&daemon)?);
    lines.push(stage.stopped(&mut daemon)?);
    lines.push(stage.one_shot()?);
    lines.push(stage.storm()?);
    lines.push(stage.switched_off()?);
    lines.push(stage.removed()?);
    Ok(Summary(lines))
}

/// Every script that the package holds.
fn scripts() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![package()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if fs::read(&path)?.starts_with(b"#!") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn shellcheck() -> Result<usize> {
    let scripts = scripts()?;
    ensure!(scripts.len() >= 8, "where are the scripts? {scripts:?}");
    // Its word for a shell with `local` and little else.
    let mut command = Command::new("shellcheck");
    process::run(command.args(["--shell=dash", "--norc"]).args(&scripts), None, SOON * 4)?.success()?;
    for script in &scripts {
        process::run(Command::new("busybox").args(["ash", "-n"]).arg(script), None, SOON)?.success()?;
    }
    Ok(scripts.len())
}

/// The router, and what has been done to it.
struct Stage<'a> {
    lab: &'a Lab,
    room: Room<'a>,
    camera: Host,
    dns: Nameserver,
    next: u8,
}

impl Stage<'_> {
    /// Otherwise nothing that follows says much.
    fn only_default_applets(&self) -> Result<()> {
        for absent in ["stat", "timeout", "hostname", "realpath", "install", "bash"] {
            let said = self.room.run(absent, &[])?;
            ensure!(said.stderr.contains("not found"), "busybox's shell has {absent}: {}", said.stderr);
        }
        Ok(())
    }

    fn addr(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.next)
    }

    fn readdress(&mut self) -> Result<Ipv4Addr> {
        self.next += 1;
        self.lab.wan_readdress4(self.addr())?;
        Ok(self.addr())
    }

    fn reachable(&self) -> Result<()> {
        self.lab.wait_reachable("front", self.addr().into(), SOON).map(drop)
    }

    fn closed(&self) -> Result<()> {
        self.lab.wait_closed(self.addr().into(), SOON).map(drop)
    }

    fn exists(&self, path: &str) -> bool {
        self.lab.root.join(path).symlink_metadata().is_ok()
    }

    fn mode(&self, path: &str) -> Result<u32> {
        Ok(fs::metadata(self.lab.root.join(path))?.permissions().mode() & 0o777)
    }

    /// Our program's processes.
    fn processes(&self) -> Vec<u32> {
        let ours = self.lab.root.join("usr/sbin/porchlight");
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == ours))
            .collect()
    }

    fn wait_processes(&self, count: usize) -> Result<()> {
        until(&format!("{count} processes of ours"), SOON, || (self.processes().len() == count).then_some(()))
            .with_context(|| format!("they are {:?}", self.processes()))
    }

    /// As installed, it checks well and does nothing, and nobody else may read it.
    fn installed(&self) -> Result<String> {
        let room = &self.room;
        let config = "etc/config/porchlight";
        fs::set_permissions(self.lab.root.join(config), fs::Permissions::from_mode(0o644))?;
        ensure!(room.sh("porchlight check", &[])?.starts_with("Switched off"), "it is not switched off");
        fs::create_dir_all(self.lab.root.join("var/etc"))?;
        fs::write(self.lab.root.join("var/etc/dnsmasq.conf.lan"), "dhcp-leasefile=/tmp/dhcp.leases\n")?;
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--pid-file="]);
        let _dnsmasq = self.lab.router.spawn("dnsmasq", &mut dnsmasq)?;
        until("pidof finds dnsmasq", SOON, || room.sh("pidof dnsmasq", &[]).ok())?;
        room.sh("/tmp/postinst configure", &[])?;
        ensure!(room.take("noted") == "dnsmasq restart\n", "dnsmasq should have been restarted once");
        ensure!(room.take("procd") == "trigger porchlight\nservice\n", "something was started");
        ensure!(
            self.exists("etc/rc.d/S95porchlight") && !self.exists("etc/uci-defaults/95-porchlight"),
            "links"
        );
        ensure!(self.mode(config)? == 0o600 && self.mode("etc/porchlight")? == 0o700, "modes");
        ensure!(!self.exists("etc/crontabs/root"), "a crontab was made");
        fs::write(
            self.lab.root.join("var/etc/dnsmasq.conf.lan"),
            "dhcp-script=/usr/lib/dnsmasq/dhcp-script.sh\n",
        )?;
        fs::write(self.lab.root.join("etc/uci-defaults/95-porchlight"), "exit 0\n")?;
        room.sh("/tmp/postinst configure", &[])?;
        ensure!(room.take("noted").is_empty(), "dnsmasq was restarted although it calls the hotplug scripts");
        Ok("installed: switched off, mode 0600, dnsmasq restarted once".into())
    }

    /// What procd would start, started.
    fn spawn(&self, told: &str) -> Result<Daemon> {
        let line =
            told.lines().find_map(|line| line.strip_prefix("set command ")).context("nothing to start")?;
        let mut command = self.room.command();
        command.args(line.split(' '));
        self.lab.router.spawn("porchlight", &mut command)
    }

    fn started(&self) -> Result<Daemon> {
        self.lab.write_config(&self.lab.config())?;
        let told = self.room.init("start")?;
        for line in
            ["open daemon", "set command /usr/sbin/porchlight run", "set respawn 3600 5 0", "set stderr 1"]
        {
            ensure!(told.lines().any(|told| told == line), "procd was not told '{line}', but:\n{told}");
        }
        // It may be told to reload before it has begun.
        let held = self.hold_lock()?;
        let mut daemon = self.spawn(&told)?;
        until("our program runs", SOON, || (self.processes() == [daemon.pid()]).then_some(()))?;
        until("it takes SIGHUP", SOON, || self.takes_hangup(daemon.pid()).then_some(()))?;
        daemon.signal(Signal::SIGHUP)?;
        ensure!(daemon.is_running(), "an early SIGHUP ended it");
        drop(held);
        fs::write(self.lab.root.join("tmp/daemon"), daemon.pid().to_string())?;
        self.reachable()?;
        ensure!(self.room.take("noted").is_empty(), "cron has nothing to do with a daemon");
        Ok(daemon)
    }

    /// Holds the lock of the one instance.
    fn hold_lock(&self) -> Result<Flock<fs::File>> {
        let dir = self.lab.root.join("var/run/porchlight");
        fs::create_dir_all(&dir)?;
        let file = fs::File::options().write(true).create(true).truncate(false).open(dir.join("lock"))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e).context("the lock is held")
    }

    /// Whether the process has a handler for SIGHUP, the first bit of the mask.
    fn takes_hangup(&self, pid: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 1 == 1)
    }

    /// Root's rights are gone, and the mapping was made all the same.
    fn bounded(&self, daemon: &Daemon) -> Result<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid()))?;
        let mut threads = 0;
        for task in tasks {
            threads += 1;
            let text = fs::read_to_string(task?.path().join("status"))?;
            let status: BTreeMap<&str, &str> =
                text.lines().filter_map(|line| line.split_once(":\t")).collect();
            // Bits 12 and 13: CAP_NET_ADMIN and CAP_NET_RAW.
            for set in ["CapBnd", "CapPrm", "CapEff"] {
                ensure!(status.get(set) == Some(&"0000000000003000"), "{set}: {:?}", status.get(set));
            }
            ensure!(status.get("NoNewPrivs") == Some(&"1") && status.get("Umask") == Some(&"0077"), "{text}");
        }
        let log = daemon.lines().iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        ensure!(!log.iter().any(|line| line.contains("WARN")), "{log:?}");
        Ok(format!("{threads} threads: NET_ADMIN and NET_RAW at most, no new privileges, umask 077"))
    }

    /// A hotplug event as netifd and the others make it: the script in a subshell of one that runs them all.
    fn event(&self, kind: &str, action: &str, env: &[(&str, &str)]) -> Result<Duration> {
        let env = [&[("ACTION", action), ("HOTPLUG_TYPE", kind)], env].concat();
        let line = format!("(. /etc/hotplug.d/{kind}/95-porchlight)");
        let start = Instant::now();
        // Returns at the end of its output, so nobody may hold that open.
        let Finished { status, stdout, stderr, .. } = self.room.run(&line, &env)?;
        let took = start.elapsed();
        ensure!(status.success() && stdout.is_empty() && stderr.is_empty(), "{status} {stdout} {stderr}");
        ensure!(took < SECOND, "{kind} {action}: somebody held its output for {:.1} s", took.as_secs_f64());
        Ok(took)
    }

    fn wan_event(&self, action: &str) -> Result<Duration> {
        self.event("iface", action, &[("INTERFACE", "fibre"), ("DEVICE", "wan0")])
    }

    /// Many calls: the longest, and the one in the middle.
    fn measured(&self, what: &str) -> Result<String> {
        let mut longest = Vec::new();
        for _ in 0..ROWS {
            let mut took = (0..CALLS).map(|_| self.wan_event("ifupdate")).collect::<Result<Vec<_>>>()?;
            took.sort();
            let last = *took.last().context("no call")?;
            if last < AT_ONCE {
                let [middle, last] = [took[CALLS / 2], last].map(|took| took.as_secs_f64() * 1000.0);
                return Ok(format!(
                    "hotplug call, daemon {what}: {middle:.1} ms, longest of {CALLS} {last:.1} ms"
                ));
            }
            longest.push(last);
        }
        anyhow::bail!("hotplug calls with the daemon {what} took up to {longest:?}")
    }

    fn hotplug(&mut self, daemon: &Daemon) -> Result<Vec<String>> {
        let mut lines = vec![self.measured("idle")?];
        self.dns.set_mood(Mood::Silent);
        self.readdress()?;
        let socket = self.lab.root.join("var/run/porchlight/control.sock");
        let clients: Vec<_> = (0..16).map(|_| UnixStream::connect(&socket)).collect::<Result<_, _>>()?;
        lines.push(self.measured("busy (its server silent, 16 clients that say nothing)")?);
        drop(clients);
        self.dns.set_mood(Mood::Well);
        daemon.signal(Signal::SIGSTOP)?;
        lines.push(self.measured("stopped (SIGSTOP)")?);
        let full = thread::spawn(move || {
            // Blocks from the first one on that the queue has no room for, until the daemon goes on.
            (0..CROWD).map(|_| UnixStream::connect(&socket)).collect::<Vec<_>>()
        });
        lines.push(self.measured("hung, its queue full")?);
        self.wait_processes(1).context("hotplug calls pile up")?;
        daemon.signal(Signal::SIGCONT)?;
        full.join().ok().context("the crowd")?;
        self.room.sh("porchlight trigger", &[])?;
        self.reachable()?;
        // Another interface, and an event that says nothing, are not for us; the one that does is told.
        for (action, interface, device) in [
            ("ifup", "lan", "br-lan"),
            ("ifup-failed", "fibre", "wan0"),
            ("ifdown", "lan", ""),
            ("ifup", "", "wan0"),
        ] {
            self.event("iface", action, &[("INTERFACE", interface), ("DEVICE", device)])?;
        }
        self.event("ntp", "step", &[])?;
        self.event("dhcp", "add", &[])?;
        self.wait_processes(1)?;
        let log = self.room.logged();
        ensure!(log.is_empty(), "hotplug has something to say: {log:?}");
        Ok(lines)
    }

    /// A reload tells the daemon; its command did not change, so nothing is started again.
    fn reloaded(&self, daemon: &Daemon) -> Result<String> {
        let start = Instant::now();
        let told = self.room.init("reload")?;
        ensure!(told.ends_with("signal porchlight daemon HUP\n"), "{told}");
        daemon.wait_line(start, "configuration reloaded", SOON)?;
        Ok("reload: SIGHUP to the daemon".into())
    }

    /// A stop closes; keep_on_stop keeps.
    fn stopped(&self, daemon: &mut Daemon) -> Result<String> {
        self.room.take("noted");
        let told = self.room.init("stop")?;
        daemon.wait(SOON)?;
        ensure!(told == "kill\n", "{told}");
        self.closed()?;
        self.deleted()?;
        let log = self.room.logged();
        ensure!(log.is_empty(), "the stop complained: {log:?}");
        let absent = self.measured("absent")?;

        self.lab.write_config(&with(&self.lab.config(), "keep_on_stop", "1"))?;
        let mut daemon = self.spawn(&self.room.init("start")?)?;
        fs::write(self.lab.root.join("tmp/daemon"), daemon.pid().to_string())?;
        self.reachable()?;
        self.room.init("stop")?;
        daemon.wait(SOON)?;
        ensure!(self.room.take("noted").is_empty(), "keep_on_stop '1', but the service data was deleted");
        self.reachable().context("keep_on_stop '1'")?;
        self.room.init("disable")?;
        ensure!(!self.exists("etc/rc.d/S95porchlight"), "it is not disabled");
        self.deleted()?;
        self.closed().context("after disable")?;
        self.room.init("enable")?;
        Ok(format!("stop closes, keep_on_stop keeps, disable closes; {absent}"))
    }

    /// The service data of backend `service` were deleted, and nothing else was asked of anybody.
    fn deleted(&self) -> Result<()> {
        let noted = self.room.take("noted");
        let delete = "ubus call service delete {\"name\":\"porchlight_mappings\"}\n";
        ensure!(noted == delete, "instead of one delete: {noted}");
        Ok(())
    }

    fn crontab(&self) -> Result<String> {
        fs::read_to_string(self.lab.root.join("etc/crontabs/root")).context("no crontab")
    }

    /// No daemon: passes by hotplug and by cron follow the address and the camera, and the mapping stays between them.
    fn one_shot(&mut self) -> Result<String> {
        let crontabs = self.lab.root.join("etc/crontabs");
        fs::create_dir_all(&crontabs)?;
        fs::write(crontabs.join("root"), CRONTAB)?;
        self.lab.write_config(&with(&self.lab.config(), "resident", "0"))?;
        let said = self.room.run("porchlight run", &[])?;
        ensure!(said.status.success() && said.stderr.contains("no daemon stays"), "run: {}", said.stderr);
        let told = self.room.init("start")?;
        ensure!(told.contains("open pass\nset command /usr/sbin/porchlight once\n"), "{told}");
        ensure!(!told.contains("respawn"), "a pass that ends is started again: {told}");
        ensure!(self.room.take("noted") == "cron enabled\ncron restart\n", "cron should begin anew, once");
        let line = self
            .crontab()?
            .strip_prefix(&format!("{CRONTAB}\n"))
            .context("others' lines changed")?
            .to_string();
        ensure!(line.starts_with("*/5 * * * * ") && line.lines().count() == 1, "cron's line: {line}");
        let inode = fs::metadata(crontabs.join("root"))?.ino();
        let mut pass = self.spawn(&self.room.init("reload")?)?;
        ensure!(fs::metadata(crontabs.join("root"))?.ino() == inode, "the same crontab was written again");
        ensure!(self.room.take("noted").is_empty(), "cron was started again for nothing");
        ensure!(pass.wait(SOON)?.success(), "the first pass");
        self.wait_processes(0)?;
        self.reachable()?;

        self.readdress()?;
        self.wan_event("ifupdate")?;
        self.reachable().context("an address that changed, and hotplug")?;
        self.wait_processes(0)?;
        self.camera.readdress(PLACES[1])?;
        self.lab.write_leases(&[self.camera.lease(PLACES[1])])?;
        self.event("dhcp", "add", &[("MACADDR", CAMERA_MAC)])?;
        self.reachable().context("a camera that moved, and hotplug")?;
        self.wait_processes(0)?;
        self.readdress()?;
        let command = line.trim_start_matches("*/5 * * * * ").trim_end().to_string();
        self.room.sh(&command, &[])?;
        self.reachable().context("an address that changed, and cron")?;
        let log = self.room.logged();
        ensure!(
            log.iter().any(|line| line.contains("porchlight: ") && line.contains("published")),
            "{log:?}"
        );
        Ok("one-shot: the mapping stays between passes; address and camera followed by hotplug and cron"
            .into())
    }

    /// While a pass is under way, one waits at most; who is not concerned does not wait.
    fn storm(&self) -> Result<String> {
        let held = self.hold_lock()?;
        for (kind, action) in [("ntp", "periodic"), ("dhcp", "old"), ("iface", "ifup-failed")] {
            self.event(kind, action, &[("INTERFACE", "fibre"), ("DEVICE", "wan0")])?;
        }
        self.event("iface", "ifup", &[("INTERFACE", "lan"), ("DEVICE", "br-lan")])?;
        self.wait_processes(0).context("a pass for an event that does not concern us")?;
        for _ in 0..CALLS {
            self.wan_event("ifup")?;
            self.event("dhcp", "update", &[])?;
            self.event("ntp", "stratum", &[])?;
        }
        self.wait_processes(1)?;
        drop(held);
        self.wait_processes(0)?;
        self.reachable()?;
        Ok(format!("storm: of {} events during a pass, one waits for its turn", 3 * CALLS))
    }

    /// A pass closes what is to be closed; after a stop nobody makes one.
    fn switched_off(&mut self) -> Result<String> {
        let one_shot = with(&self.lab.config(), "resident", "0");
        let (names, _) = one_shot.split_once("config mapping").context("no mapping")?;
        self.lab.write_config(names)?;
        self.room.sh("porchlight once", &[])?;
        self.closed().context("the mapping was taken out")?;
        self.lab.write_config(&one_shot)?;
        self.wan_event("ifup")?;
        self.reachable()?;
        self.wait_processes(0)?;
        self.lab.write_config(&with(&one_shot, "enabled", "0"))?;
        self.room.sh("porchlight once", &[])?;
        self.closed().context("enabled '0', and a pass")?;
        self.lab.write_config(&one_shot)?;
        self.room.sh("porchlight once", &[])?;
        self.reachable()?;
        // Stopped while a pass is under way that would open it again.
        self.dns.set_mood(Mood::Silent);
        self.readdress()?;
        self.wan_event("ifup")?;
        self.wait_processes(1)?;
        self.room.take("noted");
        let start = Instant::now();
        self.room.init("stop")?;
        ensure!(start.elapsed() < SOON, "the stop waited for {:.1} s", start.elapsed().as_secs_f64());
        self.wait_processes(0)?;
        self.dns.set_mood(Mood::Well);
        self.closed().context("stopped")?;
        self.deleted()?;
        self.wan_event("ifup")?;
        let line = self.crontab()?.lines().last().unwrap_or_default().replace("*/5 * * * * ", "");
        self.room.sh(&line, &[])?;
        self.wait_processes(0)?;
        ensure!(
            self.lab.wait_reachable("front", self.addr().into(), SECOND / 4).is_err(),
            "open after the stop"
        );
        self.spawn(&self.room.init("start")?)?.wait(SOON)?;
        self.reachable()?;
        self.lab.write_config(&with(&one_shot, "enabled", "0"))?;
        self.room.take("noted");
        self.room.init("reload")?;
        self.closed().context("enabled '0', and a reload")?;
        ensure!(self.crontab()?.trim_end() == CRONTAB, "the line for cron is there, or others changed");
        Ok("what is taken out, switched off or stopped is closed, and stays so".into())
    }

    /// An upgrade stops; a removal leaves nothing open, even with keep_on_stop.
    fn removed(&self) -> Result<String> {
        let kept = with(&with(&self.lab.config(), "resident", "0"), "keep_on_stop", "1");
        self.lab.write_config(&kept)?;
        self.spawn(&self.room.init("start")?)?.wait(SOON)?;
        self.reachable()?;
        self.room.sh("/tmp/prerm upgrade 2", &[("PKG_UPGRADE", "1")])?;
        self.room.sh("/tmp/postrm upgrade", &[("PKG_UPGRADE", "1")])?;
        self.reachable().context("an upgrade with keep_on_stop '1'")?;
        ensure!(self.exists("etc/rc.d/S95porchlight"), "the upgrade disabled it");
        self.room.sh("/tmp/prerm remove", &[])?;
        self.closed().context("removed")?;
        ensure!(self.crontab()?.trim_end() == CRONTAB, "the line for cron is there, or others changed");
        ensure!(!self.exists("etc/rc.d/S95porchlight"), "it is still enabled");
        self.room.sh("/tmp/postrm remove", &[])?;
        ensure!(!self.exists("var/run/porchlight") && self.exists("etc/porchlight"), "what is left");
        Ok("upgrade keeps, removal closes and takes its line out of the crontab".into())
    }
}

/// The configuration with this option in its first section.
fn with(config: &str, option: &str, value: &str) -> String {
    config.replacen("\n\n", &format!("\n\toption {option} '{value}'\n\n"), 1)
}
