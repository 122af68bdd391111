//! The three clients at their fastest settings: each reads the address from the device itself, speaks HTTPS, and
//! trusts the room's authority.

use super::cloudflare;
use super::wan::DEVICE;
use crate::lab::process::{run, Daemon};
use crate::peers::{ddclient, inadyn, TRUST};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One pass of one program, at the longest.
const PASS: Duration = Duration::from_secs(120);
/// Names that inadyn takes in one section.
const INADYN_NAMES: usize = 50;
/// The account at every service.
const USER: &str = "alice";
const PASSWORD: &str = "s3cret";

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Ours.
    Porchlight,
    /// C, dynamically linked, GnuTLS.
    Inadyn,
    /// Perl.
    Ddclient,
}

/// Where the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Dyn's protocol.
    Dyndns2,
    /// Cloudflare's API.
    Cloudflare,
}

/// Where the clients keep their files.
pub struct Files {
    /// A directory that vanishes with the room.
    pub scratch: PathBuf,
    /// Our program.
    pub program: PathBuf,
}

impl Client {
    /// Everyone, ours first.
    pub const ALL: [Client; 3] = [Client::Porchlight, Client::Inadyn, Client::Ddclient];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Client::Porchlight => "porchlight",
            Client::Inadyn => "inadyn",
            Client::Ddclient => "ddclient",
        }
    }

    /// Its name and version.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn title(self, files: &Files) -> Result<String> {
        match self {
            Client::Porchlight => {
                let said = run(Command::new(&files.program).arg("--version"), None, PASS)?.success()?;
                Ok(said.trim().to_owned())
            }
            Client::Inadyn => inadyn::version(),
            Client::Ddclient => ddclient::version(),
        }
    }

    /// The shortest interval at which it looks by itself; ours does not look, it is told.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Client::Porchlight => None,
            Client::Inadyn => Some(Duration::from_secs(30)),
            Client::Ddclient => Some(Duration::from_secs(60)),
        }
    }

    /// Starts it as a daemon with fresh files.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self, files: &Files, service: Service, names: &[String]) -> Result<Daemon> {
        Daemon::spawn(self.name(), &mut self.command(files, service, names)?)
    }

    /// Tells it to look now, by the means that it has for hooks.
    ///
    /// # Errors
    /// When it is gone.
    pub fn nudge(self, files: &Files, daemon: &Daemon) -> Result<()> {
        match self {
            Client::Inadyn => daemon.signal(Signal::SIGUSR2),
            Client::Ddclient => daemon.signal(Signal::SIGHUP),
            Client::Porchlight => {
                let mut command = Command::new(&files.program);
                command.arg("--root").arg(files.scratch.join(self.name())).arg("trigger");
                run(&mut command, None, PASS)?.success()?;
                Ok(())
            }
        }
    }

    fn command(self, files: &Files, service: Service, names: &[String]) -> Result<Command> {
        let home = files.scratch.join(self.name());
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(home.join("etc/config"))?;
        let trust = files.scratch.join(TRUST);
        match self {
            Client::Porchlight => porchlight(files, &home, &trust, service, names),
            Client::Inadyn => inadyn_command(&home, &trust, service, names),
            Client::Ddclient => ddclient_command(&home, &trust, service, names),
        }
    }
}

fn porchlight(
    files: &Files,
    home: &Path,
    trust: &Path,
    service: Service,
    names: &[String],
) -> Result<Command> {
    let mut text = format!(
        "config porchlight 'global'\n\toption cacert '/etc/authority.pem'\n\toption mapping_backend 'none'\n\n\
         config wan 'wan'\n\toption device '{DEVICE}'\n\tlist accept '203.0.113.0/24'\n\n\
         config record 'home'\n\toption family 'ipv4'\n"
    );
    match service {
        Service::Dyndns2 => write!(
            text,
            "\toption provider 'dyn'\n\toption username '{USER}'\n\toption password '{PASSWORD}'\n"
        )?,
        Service::Cloudflare => write!(text, "\toption provider 'cloudflare'\n\toption token '{PASSWORD}'\n")?,
    }
    for name in names {
        writeln!(text, "\tlist domain '{name}'")?;
    }
    write_private(&home.join("etc/config/porchlight"), &text)?;
    // Everything that it reads lies below its root.
    fs::copy(trust, home.join("etc/authority.pem"))?;
    fs::write(home.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
    for folder in ["tmp", "var/run"] {
        fs::create_dir_all(home.join(folder))?;
    }
    let mut command = Command::new(&files.program);
    command.arg("--root").arg(home).arg("run");
    Ok(command)
}

fn inadyn_command(home: &Path, trust: &Path, service: Service, names: &[String]) -> Result<Command> {
    let mut text = format!("period = 30\niface = {DEVICE}\nca-trust-file = \"{}\"\n", trust.display());
    for (number, chunk) in names.chunks(INADYN_NAMES).enumerate() {
        let (provider, user) = match service {
            Service::Dyndns2 => ("default@dyndns.org", USER),
            Service::Cloudflare => ("default@cloudflare.com", "example.com"),
        };
        let list: Vec<String> = chunk.iter().map(|name| format!("\"{name}\"")).collect();
        write!(
            text,
            "provider {provider}:{number} {{\n  username = \"{user}\"\n  password = \"{PASSWORD}\"\n  \
             hostname = {{ {} }}\n}}\n",
            list.join(", ")
        )?;
    }
    write_private(&home.join("inadyn.conf"), &text)?;
    let mut command = Command::new(inadyn::PROGRAM);
    command
        .args(["--foreground", "--no-pidfile", "--loglevel=err"])
        .arg(format!("--config={}", home.join("inadyn.conf").display()))
        .arg(format!("--cache-dir={}", home.display()));
    Ok(command)
}

fn ddclient_command(home: &Path, trust: &Path, service: Service, names: &[String]) -> Result<Command> {
    let (way, account) = match service {
        Service::Dyndns2 => ("use=if, if", format!("protocol=dyndns2, login={USER}")),
        // Its Cloudflare module takes only an address by family, from 3.10 on.
        Service::Cloudflare => {
            ("usev4=ifv4, ifv4", "protocol=cloudflare, zone=example.com, login=token".to_owned())
        }
    };
    let text = format!(
        "ssl=yes\nssl_ca_file={}\n{way}={DEVICE}\nmin-interval=0\n{account}, password='{PASSWORD}' \\\n{}\n",
        trust.display(),
        names.join(",")
    );
    write_private(&home.join("ddclient.conf"), &text)?;
    let mut command = Command::new(ddclient::PROGRAM);
    command
        .args(["-daemon=60", "-foreground"])
        .arg(format!("-file={}", home.join("ddclient.conf").display()))
        .arg(format!("-cache={}", home.join("ddclient.cache").display()))
        .arg(format!("-pid={}", home.join("ddclient.pid").display()));
    Ok(command)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// The host that a service's requests go to.
pub fn host(service: Service) -> &'static str {
    match service {
        Service::Dyndns2 => "members.dyndns.org",
        Service::Cloudflare => cloudflare::HOST,
    }
}
