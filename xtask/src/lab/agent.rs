//! The real binary in the lab's router: its configuration, its life, its verbs.

use super::process::{until, Daemon, Finished};
use super::{document, Lab, CAMERA_MAC, KEY, NAME, PORT, ZONE};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A verb that takes longer hangs.
const VERB_LIMIT: Duration = Duration::from_secs(70);
/// The agent listens within this time, or has failed.
const START_LIMIT: Duration = Duration::from_secs(5);

/// A running agent. It is its [`Daemon`]; dropped, it is killed.
pub struct Agent(Daemon);

impl Deref for Agent {
    type Target = Daemon;
    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}

impl Lab {
    /// The configuration of the lab: one WAN whose interface is believed (witnesses are there only in the scenarios about
    /// them), one record by RFC 2136, one camera by MAC, one mapping.
    pub fn config(&self) -> String {
        format!(
            "config porchlight 'global'
\toption mapping_backend 'nft'

config wan 'wan'
\toption device 'wan0'
\tlist ip_source 'interface'
\tlist accept '203.0.113.0/24'
\tlist accept '198.51.100.0/24'
\tlist accept '2001:db8::/32'

config record 'home'
\toption provider 'rfc2136'
\toption server 'ns1.{ZONE}'
\toption zone '{ZONE}'
\toption tsig_name '{KEY}'
\toption tsig_algorithm 'hmac-sha256'
\toption tsig_secret_file '/etc/porchlight/tsig.key'
\tlist domain '{NAME}'
\toption family 'any'
\toption ttl '1m'

config camera 'front'
\tlist mac '{CAMERA_MAC}'
\tlist record 'home'

config mapping 'front_rtsp'
\toption camera 'front'
\tlist proto 'tcp'
\toption src_dport '{PORT}'
\toption dest_port '554'
\toption allow_open '1'
"
        )
    }

    /// Where the agent's configuration is.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("etc/config/porchlight")
    }

    /// Writes the agent's configuration, mode 0600.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let path = self.config_file();
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context("cannot set the config's mode")
    }

    /// The agent's program with its global options, ready for a verb.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).arg("--config").arg(self.config_file());
        command
    }

    /// Starts `porchlight run` in the router and waits until its control socket takes calls.
    pub fn start_agent(&self) -> Result<Agent> {
        self.start_agent_as(self.command().arg("run"))
    }

    /// The same with a command of your own, such as [`Lab::command`] under strace.
    pub fn start_agent_as(&self, command: &mut Command) -> Result<Agent> {
        let mut daemon = self.router.spawn("porchlight", command)?;
        let socket = self.root.join("var/run/porchlight/control.sock");
        until("the agent's control socket takes calls", START_LIMIT, || {
            (UnixStream::connect(&socket).is_ok() || !daemon.is_running()).then_some(())
        })
        .with_context(|| format!("its last words:\n{}", daemon.tail(20)))?;
        ensure!(daemon.is_running(), "the agent ended at once; its last words:\n{}", daemon.tail(20));
        Ok(Agent(daemon))
    }

    /// Runs another verb of the agent in the router, with all that it says.
    pub fn verb(&self, args: &[&str]) -> Result<Finished> {
        self.router.run(self.command().args(args), VERB_LIMIT)
    }

    /// `porchlight status --json`, which must be as its schema says.
    pub fn status(&self) -> Result<serde_json::Value> {
        document::read(&self.verb(&["status", "--json"])?.stdout)
    }

    /// Why a mapping is closed, by `status`; an error if it is not.
    pub fn why_closed(&self, mapping: &str) -> Result<String> {
        let status = self.status()?;
        let mut mappings = status["mappings"].as_array().into_iter().flatten();
        let found = mappings.find(|found| found["name"] == mapping);
        let why = found.and_then(|found| Some(found["closed"].as_str()?.to_owned()));
        why.with_context(|| format!("mapping {mapping} is not closed: {status}"))
    }
}
