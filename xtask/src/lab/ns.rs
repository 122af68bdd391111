//! One network namespace with a name, a private `/etc/resolv.conf` and `/etc/hosts`, and what can be
//! done in it: run a program, start a daemon, set an address, open a socket.

use super::process::{self, Daemon, Finished};
use super::seal;
use anyhow::{anyhow, ensure, Context, Result};
use nix::mount::{mount, MsFlags};
use nix::sched::{setns, unshare, CloneFlags};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Time for one short command such as `ip` or `nft`.
const SHORT: Duration = Duration::from_secs(10);
/// Files that are the namespace's own when a program in it opens them under `/etc`.
const OWN_ETC: [&str; 2] = ["resolv.conf", "hosts"];

/// A network namespace. It lives as long as the lab.
pub struct Ns {
    name: String,
    handle: File,
    etc: PathBuf,
}

impl Ns {
    /// Makes it, with `lo` up and an `/etc/resolv.conf` that names nobody.
    pub fn create(name: &str) -> Result<Ns> {
        process::run(Command::new("ip").args(["netns", "add", name]), None, SHORT)?.success()?;
        let handle = File::open(Path::new("/run/netns").join(name))?;
        let etc = Path::new(seal::DIR).join("etc").join(name);
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("resolv.conf"), "")?;
        fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
        let ns = Ns { name: name.into(), handle, etc };
        ns.ip("link set lo up")?;
        // Where the kernel passes bridged frames to the packet filter, hairpin NAT on a bridge breaks.
        for table in ["arptables", "iptables", "ip6tables"] {
            let key = format!("net.bridge.bridge-nf-call-{table}");
            if Path::new("/proc/sys").join(key.replace('.', "/")).exists() {
                ns.sysctl(&key, "0")?;
            }
        }
        Ok(ns)
    }

    /// The same namespace once more, for another thread.
    pub fn again(&self) -> Result<Ns> {
        Ok(Ns { name: self.name.clone(), handle: self.handle.try_clone()?, etc: self.etc.clone() })
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that programs in here see as `/etc/NAME`. Write it in place, do not replace it.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.etc.join(name)
    }

    /// Runs `work` on a thread inside this namespace. Sockets that it makes stay in here, and may be
    /// used from anywhere; so do programs that it starts.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let run = || {
            setns(&self.handle, CloneFlags::CLONE_NEWNET)?;
            self.cover_etc()?;
            work()
        };
        thread::scope(|scope| scope.spawn(run).join())
            .map_err(|_| anyhow!("a thread in namespace {} panicked", self.name))?
            .with_context(|| format!("in {}", self.name))
    }

    /// Gives the calling thread a mount namespace in which `/etc/resolv.conf` and `hosts` are ours.
    fn cover_etc(&self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        for name in OWN_ETC {
            let target = Path::new("/etc").join(name);
            if target.exists() {
                mount(Some(&self.etc.join(name)), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            }
        }
        Ok(())
    }

    /// Runs a program in here to its end, at most `limit`, with its output kept. See [`Finished`].
    pub fn run(&self, command: &mut Command, limit: Duration) -> Result<Finished> {
        self.enter(|| process::run(command, None, limit))
    }

    /// Runs a short command line (words parted by blanks, no quotes); its status must be 0.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command")?;
        self.run(Command::new(program).args(words), SHORT)?.success()
    }

    /// `ip ARGS` in here.
    pub fn ip(&self, args: &str) -> Result<()> {
        self.ip_batch(&[args])
    }

    /// Several `ip` commands by one process, so that hardly any time lies between them.
    pub fn ip_batch(&self, lines: &[&str]) -> Result<()> {
        self.ip_with(&[], lines)
    }

    /// The same with `ip -4`: for `addr flush` and the like, which else mean both families.
    pub fn ip4_batch(&self, lines: &[&str]) -> Result<()> {
        self.ip_with(&["-4"], lines)
    }

    fn ip_with(&self, options: &[&str], lines: &[&str]) -> Result<()> {
        let text = lines.join("\n") + "\n";
        let mut command = Command::new("ip");
        command.args(options).args(["-n", &self.name, "-batch", "-"]);
        let done = process::run(&mut command, Some(&text), SHORT)?;
        done.success().map(drop).with_context(|| format!("in {}: ip {}", self.name, lines.join("; ip ")))
    }

    /// `nft -f -` in here: one transaction.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        let done =
            self.enter(|| process::run(Command::new("nft").args(["-f", "-"]), Some(ruleset), SHORT))?;
        done.success().map(drop)
    }

    /// Sets a kernel parameter, given by its dotted name, in this namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        ensure!(key.starts_with("net."), "only network parameters belong to a namespace, not {key}");
        let path = Path::new("/proc/sys").join(key.replace('.', "/"));
        self.enter(|| fs::write(&path, value).with_context(|| format!("cannot set {key}")))
    }

    /// Starts a program that stays. It is killed when the value is dropped.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Daemon> {
        self.enter(|| Daemon::spawn(name, command))
    }
}
