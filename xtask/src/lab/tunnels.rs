//! Servers of tunnels, other people's: bore's own (the crate bore-cli, installed by cargo) and Debian's OpenSSH.

use super::process::Daemon;
use super::{tools, Lab};
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What is installed, and as which version it shows itself.
const BORE: (&str, &str) = ("bore-cli@0.6.0", "bore-cli 0.6.0");
/// A server is there within this time.
const START_LIMIT: Duration = Duration::from_secs(10);
/// To make a key.
const KEY_LIMIT: Duration = Duration::from_secs(10);

/// Installs bore, if it is not there and `may_install`.
///
/// # Errors
/// When it cannot be; the text holds the line to type.
pub fn prepare(may_install: bool) -> Result<()> {
    if is_here() {
        return Ok(());
    }
    let root = root();
    let line = format!("cargo install --debug --locked --root {} {}", root.display(), BORE.0);
    if !may_install {
        bail!("this machine lacks bore. Install it with: {line}");
    }
    anstream::eprintln!("This machine lacks bore: installing {} into {}.", BORE.0, root.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["install", "--debug", "--quiet", "--locked", "--force", "--root"]).arg(root).arg(BORE.0);
    let status =
        command.stdin(Stdio::null()).stdout(std::io::stderr()).status().context("cannot run cargo")?;
    ensure!(status.success(), "could not install {}; try: {line}", BORE.0);
    ensure!(is_here(), "installed {}, yet it does not run", BORE.0);
    Ok(())
}

/// Where it is installed: beside what cargo builds.
fn root() -> PathBuf {
    tools::target_dir().join("tunnels-of-the-lab")
}

fn bore_program() -> PathBuf {
    root().join("bin/bore")
}

fn is_here() -> bool {
    let said = Command::new(bore_program()).arg("--version").stdin(Stdio::null()).output();
    said.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == BORE.1)
}

/// Starts bore's server in the internet, on all its addresses, and waits for it.
///
/// # Errors
/// When it is not there in time.
pub fn bore(lab: &Lab, secret: &str) -> Result<Daemon> {
    let since = Instant::now();
    let mut command = Command::new(bore_program());
    command.args(["server", "--secret", secret]).env("NO_COLOR", "1");
    let daemon = lab.internet.spawn("bore", &mut command)?;
    daemon.wait_line(since, "server listening", START_LIMIT)?;
    Ok(daemon)
}

/// An SSH server that forwards one port for one key.
pub struct Sshd {
    dir: PathBuf,
    addr: Ipv4Addr,
    /// While it runs.
    pub daemon: Daemon,
}

impl Sshd {
    /// Makes keys in `dir` (the client's is `client`, and in dropbear's form `client.dropbear`) and starts it in the
    /// internet, at this address, which it gets there.
    ///
    /// # Errors
    /// When it is not there in time.
    pub fn start(lab: &Lab, dir: &Path, addr: Ipv4Addr, port: u16) -> Result<Sshd> {
        lab.internet.ip(&format!("addr add {addr}/32 dev lo"))?;
        fs::create_dir_all(dir)?;
        // Where it locks itself in before anybody is known.
        fs::create_dir_all("/run/sshd")?;
        let place = dir.display();
        for name in ["host", "client"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &format!("{place}/{name}")]);
            lab.internet.run(&mut keygen, KEY_LIMIT)?.success()?;
        }
        lab.internet
            .sh(&format!("dropbearconvert openssh dropbear {place}/client {place}/client.dropbear"))?;
        let allowed = fs::read_to_string(dir.join("client.pub"))?;
        let allowed = format!("restrict,port-forwarding,permitlisten=\"*:{port}\" {allowed}");
        fs::write(dir.join("authorized_keys"), allowed)?;
        fs::write(
            dir.join("sshd_config"),
            format!(
                "Port 22\nListenAddress {addr}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\n\
                 PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n\
                 PidFile none\nGatewayPorts clientspecified\nAllowTcpForwarding remote\n\
                 ClientAliveInterval 30\nClientAliveCountMax 3\n"
            ),
        )?;
        for name in ["host", "client", "client.dropbear"] {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600))?;
        }
        let daemon = spawn(lab, dir, addr)?;
        Ok(Sshd { dir: dir.into(), addr, daemon })
    }

    /// The public key by which it is known.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn host_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.join("host.pub"))?.trim().to_string())
    }

    /// Ends it with all its connections.
    ///
    /// # Errors
    /// When its children cannot be found.
    pub fn kill(&mut self, lab: &Lab) -> Result<()> {
        // A connection is a process of its own, which outlives the one that listens.
        let parent = self.daemon.pid();
        self.daemon.kill();
        let pids = lab.internet.sh("pgrep -x sshd").unwrap_or_default();
        for pid in pids.split_whitespace().filter(|pid| **pid != parent.to_string()) {
            let _ = lab.internet.sh(&format!("kill -9 {pid}"));
        }
        Ok(())
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it is not there in time.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.daemon = spawn(lab, &self.dir, self.addr)?;
        Ok(())
    }
}

fn spawn(lab: &Lab, dir: &Path, addr: Ipv4Addr) -> Result<Daemon> {
    let since = Instant::now();
    let program = tools::find("sshd").context("there is no sshd")?;
    let mut command = Command::new(program);
    command.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config"));
    let daemon = lab.internet.spawn("sshd", &mut command)?;
    daemon.wait_line(since, &format!("Server listening on {addr}"), START_LIMIT)?;
    Ok(daemon)
}
