//! Devices of a home: cameras, and what is none. WS-Discovery and mDNS are spoken by libraries of Python's index, not
//! by code of ours.

use super::{tools, Host, Lab};
use anyhow::{ensure, Result};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::process::Daemon;

/// What they need beside Python's packages.
pub const NEEDS: &[&str] = &["python3"];
/// What is installed.
const PACKAGES: [&str; 4] = ["WSDiscovery==2.1.2", "zeroconf==0.154.0", "ifaddr==0.2.0", "click==8.1.8"];
/// mDNS alone takes a second to see that its name is nobody else's.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A device that runs. Dropped, it is killed.
pub struct Thing {
    /// Where it is.
    pub host: Host,
    /// Its address.
    pub addr: Ipv4Addr,
    daemon: Daemon,
    begun: Instant,
}

/// Installs what is not there, if `may_install`.
///
/// # Errors
/// When it cannot be; the text holds the line to type.
pub fn prepare(may_install: bool) -> Result<()> {
    if is_here() {
        return Ok(());
    }
    tools::pip(&dir(), &PACKAGES, may_install)?;
    ensure!(is_here(), "installed {}, yet they do not run", PACKAGES.join(", "));
    Ok(())
}

/// Where it is installed: beside what cargo builds.
fn dir() -> PathBuf {
    tools::target_dir().join("things-of-the-lab")
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", dir()).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

fn is_here() -> bool {
    let text = "import wsdiscovery.publishing, zeroconf; print(zeroconf.__version__)";
    let said = python().args(["-c", text]).output();
    said.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == "0.154.0")
}

impl Thing {
    /// Plugs it in and has it begin; see `things.py` for its parts. It is there after [`Thing::wait`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(lab: &Lab, name: &str, mac: &str, host: u8, parts: &[&str]) -> Result<Thing> {
        let addr = Ipv4Addr::new(192, 168, 1, host);
        let host = lab.plug(name, mac)?;
        // python-ws-discovery ends when it hears of an IPv6 address.
        host.ns.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
        host.readdress(addr)?;
        let mut command = python();
        command.args(["-c", include_str!("things.py")]).args(parts);
        let begun = Instant::now();
        let daemon = host.ns.spawn(name, &mut command)?;
        Ok(Thing { host, addr, daemon, begun })
    }

    /// Waits until all its parts are there.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn wait(&self) -> Result<()> {
        self.daemon.wait_line(self.begun, "ready", START_LIMIT).map(drop)
    }
}
