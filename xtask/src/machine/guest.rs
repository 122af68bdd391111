//! A running guest: qemu, with the guest's console as the way to tell it what to do.

use super::{image, Machine};
use crate::lab::{Daemon, Lab};
use anyhow::{anyhow, Context, Result};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

/// From qemu's start to the guest's first words.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Time for one command in the guest.
const SHORT: Duration = Duration::from_secs(20);
/// The guest's network, of which qemu is the provider: its gateway, its DHCP server and a resolver.
const NETWORK: &str = "user,id=n,net=203.0.113.0/24,host=203.0.113.1,dhcpstart=203.0.113.10,dns=203.0.113.3";

/// A guest. Dropped, it is killed.
pub struct Guest {
    qemu: Daemon,
    console: ChildStdin,
    count: u32,
    /// From qemu's start to the guest's first words.
    pub booted: Duration,
    /// What the guest's clock said then, Unix time in seconds.
    pub clock: u64,
}

/// How a guest is started.
pub struct Setup<'a> {
    /// What qemu's clock of the board says at first, `2026-01-31T12:00:00`.
    pub clock: &'a str,
    /// Connections to the first that come to the second: `198.51.100.7:8554`, `203.0.113.10:8554`.
    pub forwards: &'a [(String, String)],
}

impl Guest {
    /// Starts it in the lab's internet, with an image that [`image::build`] made, and waits until it listens.
    ///
    /// # Errors
    /// With the guest's last words, when it does not come up.
    pub fn start(lab: &Lab, machine: &Machine, kernel: &Path, image: &Path, setup: &Setup) -> Result<Guest> {
        let forwards = setup.forwards.iter().map(|(from, to)| format!(",hostfwd=tcp:{from}-{to}"));
        let network = NETWORK.to_owned() + &forwards.collect::<String>();
        let mut command = Command::new(machine.qemu);
        command.args(machine.board).args(["-m", "256", "-display", "none", "-no-reboot", "-monitor", "none"]);
        command.args(["-serial", "stdio", "-rtc", &format!("base={}", setup.clock), "-netdev", &network]);
        command.args(["-append", &format!("console={} panic=-1 quiet", machine.console)]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
        let start = Instant::now();
        let (mut qemu, console) = lab.internet.enter(|| Daemon::converse(machine.name, &mut command))?;
        let ready = qemu.wait_line(start, "@ready ", BOOT_LIMIT);
        let ready = ready.with_context(|| format!("{} does not come up", machine.name))?;
        let booted = ready.at - start;
        let clock = ready.text.split_whitespace().next_back().and_then(|text| text.parse().ok());
        let clock = clock.context("the guest tells no time")?;
        anyhow::ensure!(qemu.is_running(), "{} ended at once", machine.qemu);
        Ok(Guest { qemu, console, count: 0, booted, clock })
    }

    /// Runs a command line in the guest: its output if its status is 0.
    ///
    /// # Errors
    /// With all that it said.
    pub fn sh(&mut self, line: &str) -> Result<String> {
        match self.run(line, SHORT)? {
            (0, said) => Ok(said),
            (status, said) => Err(anyhow!("in the guest: `{line}`: status {status}\n{said}")),
        }
    }

    /// Runs a command line in the guest: its status and what it said.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub fn run(&mut self, line: &str, limit: Duration) -> Result<(i32, String)> {
        self.count += 1;
        let (number, start) = (self.count, Instant::now());
        writeln!(self.console, "{number} {line}").context("the guest's console is gone")?;
        let end = format!("@{number}= ");
        let last =
            self.qemu.wait_line(start, &end, limit).with_context(|| format!("in the guest: {line}"))?;
        let status = last.text.rsplit(' ').next().and_then(|text| text.trim().parse().ok());
        let (begin, all) = (format!("@{number}> "), self.qemu.lines());
        let said = all.iter().filter(|line| line.at >= start);
        let said = said.filter_map(|line| line.text.trim_end_matches('\r').split_once(&begin));
        let said = said.map(|(_, text)| format!("{text}\n")).collect();
        Ok((status.context("a status that is none")?, said))
    }

    /// Waits until a command succeeds in the guest, which asks again and again there.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn wait(&mut self, what: &str, condition: &str, limit: Duration) -> Result<()> {
        let line = format!("until {condition}; do usleep 20000; done");
        self.run(&line, limit).with_context(|| format!("not in time: {what}")).map(drop)
    }

    /// A number of `/proc/PID/status` of the agent, such as `VmRSS`, in KiB.
    ///
    /// # Errors
    /// When the agent is not there.
    pub fn memory(&mut self, field: &str) -> Result<u64> {
        let said = self.sh(&format!(
            "sed -n 's/^{field}:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$(pidof porchlight)/status"
        ))?;
        said.trim().parse().with_context(|| format!("{field} of the agent is '{said}'"))
    }

    /// Waits until the agent at rest has given back what it needs no longer; its resident memory then, in KiB.
    ///
    /// # Errors
    /// When it still has more than `most` KiB at the end of `limit`.
    pub fn at_rest(&mut self, most: u64, limit: Duration) -> Result<u64> {
        let resident = "$(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$(pidof porchlight)/status)";
        self.wait("memory given back at rest", &format!("[ {resident} -le {most} ]"), limit)?;
        self.memory("VmRSS")
    }

    /// The processor's time that the agent took so far, in seconds (`utime` and `stime` of `/proc/PID/stat`,
    /// which count hundredths).
    ///
    /// # Errors
    /// When the agent is not there.
    pub fn cpu(&mut self) -> Result<f64> {
        let said = self.sh("cut -d' ' -f14,15 /proc/$(pidof porchlight)/stat")?;
        let ticks: Option<Vec<u32>> = said.split_whitespace().map(|word| word.parse().ok()).collect();
        let ticks = ticks.filter(|ticks| ticks.len() == 2).with_context(|| format!("times: '{said}'"))?;
        Ok(f64::from(ticks.iter().sum::<u32>()) / 100.0)
    }

    /// The agent's log so far.
    ///
    /// # Errors
    /// When there is none.
    pub fn log(&mut self) -> Result<String> {
        self.sh("cat /tmp/porchlight.log")
    }
}

/// Writes a machine's image into the lab.
///
/// # Errors
/// See [`image::build`].
pub fn write_image(machine: &Machine, debian: &Path, more: Vec<image::File>, to: &Path) -> Result<u64> {
    let image = image::build(machine, debian, more)?;
    fs::write(to, &image).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(image.len() as u64)
}
