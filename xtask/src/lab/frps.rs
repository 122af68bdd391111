//! A server of frp in the internet: one in Python (`frps.py`), for no registry has the real one. It was written after
//! frp's sources, and real clients of frp use it.

use super::{seal, until, Daemon, Lab, SECOND};
use crate::peers::recorder::Authority;
use anyhow::{ensure, Context, Result};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Where it is.
pub const AT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 90);
/// Its name.
pub const NAME: &str = "frps.example.com";
/// The port that clients call.
pub const PORT: u16 = 7000;
/// The ports that it gives.
pub const GIVES: [u16; 2] = [8550, 8560];
/// What it needs.
pub const NEEDS: &[&str] = &["python3", "openssl"];
/// It is ready within this time, or has failed.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The place of a server, and who vouches for it.
pub struct Site {
    certificate: PathBuf,
    key: PathBuf,
}

impl Site {
    /// Gives it its address, and a certificate by this authority.
    pub fn new(lab: &Lab, authority: &Arc<Authority>) -> Result<Site> {
        lab.internet.ip(&format!("addr add {AT}/32 dev lo"))?;
        let dir = Path::new(seal::DIR);
        let site = Site { certificate: dir.join("frps.pem"), key: dir.join("frps.key") };
        let (certificate, key) = authority.issue(NAME)?;
        fs::write(&site.certificate, certificate.pem())?;
        fs::write(&site.key, key.serialize_pem())?;
        Ok(site)
    }

    /// Starts a server with this token, with yamux or without.
    pub fn start(&self, lab: &Lab, token: &str, mux: bool) -> Result<Frps> {
        let settings = json!({"bind": AT, "port": PORT, "token": token, "mux": mux, "allow": GIVES,
            "cert": self.certificate, "key": self.key});
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("frps.py"), &settings.to_string()]);
        let mut daemon = lab.internet.spawn("frps", &mut command)?;
        until("the server of frp is ready", START_LIMIT, || {
            let ready = daemon.lines().iter().any(|line| line.text == "ready");
            (ready || !daemon.is_running()).then_some(())
        })?;
        ensure!(daemon.is_running(), "it ended at once; its last words:\n{}", daemon.tail(20));
        Ok(Frps(daemon))
    }
}

/// A running server. It is its [`Daemon`]; dropped, it is killed.
pub struct Frps(Daemon);

impl Frps {
    /// How many lines begin like this.
    pub fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.text.starts_with(start)).count()
    }

    /// The client's port of the last connection.
    pub fn last_port(&self) -> Result<u16> {
        let lines = self.lines();
        let port = lines.iter().rev().find_map(|line| line.text.strip_prefix("connection from port "));
        port.and_then(|text| text.split(' ').next()?.parse().ok()).context("nobody has called")
    }

    /// The client has kept to every rule so far, and answers pings.
    pub fn is_content(&self) -> Result<()> {
        let found = self
            .lines()
            .into_iter()
            .find(|line| line.text.starts_with("violation") || line.text.contains("Traceback"));
        ensure!(found.is_none(), "the server complains:\n{}", self.tail(30));
        Ok(())
    }

    /// Waits for the answer to one more of its pings.
    pub fn wait_ping(&self) -> Result<()> {
        let before = self.count("ping ");
        until("a ping is answered", 5 * SECOND, || (self.count("ping ") > before).then_some(()))
    }
}

impl Deref for Frps {
    type Target = Daemon;
    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Frps {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}
