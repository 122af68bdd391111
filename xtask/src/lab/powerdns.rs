//! A real PowerDNS of the zone, with the SQLite backend: it takes signed updates (RFC 2136) with the lab's key, and
//! requests to its HTTP API. Its own log counts both.

use super::process::{run, until, Daemon};
use super::scenarios::ten::{ALIAS, OLD, OLD_ADDRS, OLD_TTL};
use super::{probe, seal, Lab, DNS4, DNS6, KEY, SECOND, SECRET, WEB4, ZONE};
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What it needs: programs, and the tables of its database, which lie beside /usr/bin.
pub const NEEDS: &[&str] = &["pdns_server", "sqlite3", SCHEMA];
/// The tables of an empty database, as the package brings them.
pub const SCHEMA: &str = "../share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
/// Where its API is.
pub const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(WEB4), 8081);
/// The API's key. A test value; it opens nothing.
pub const API_KEY: &str = "api-key-of-the-lab";
/// A server that does not answer for the zone within this time has failed.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running server of [`ZONE`] at [`DNS4`] and [`DNS6`], port 53, and [`API`]. Dropped, it is killed.
pub struct PowerDns {
    daemon: Daemon,
}

impl PowerDns {
    /// Starts it in the internet with a new zone, and waits until it answers for it.
    ///
    /// # Errors
    /// When it does not start; the text holds its last words.
    pub fn start(lab: &Lab) -> Result<PowerDns> {
        let dir = Path::new(seal::DIR).join("powerdns");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("pdns.conf"), conf(&dir))?;
        let zone_file = dir.join(format!("{ZONE}.db"));
        fs::write(&zone_file, zone())?;
        let tables = fs::read_to_string(schema()?).context("cannot read the database's tables")?;
        run(Command::new("sqlite3").arg(database(&dir)), Some(&tables), START_LIMIT)?.success()?;
        let zone_file = zone_file.display().to_string();
        for words in [
            &["load-zone", ZONE, &zone_file][..],
            &["import-tsig-key", KEY, "hmac-sha256", SECRET],
            &["set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", KEY],
        ] {
            let mut pdnsutil = Command::new("pdnsutil");
            pdnsutil.arg("--config-dir").arg(&dir).args(words);
            run(&mut pdnsutil, None, START_LIMIT)?.success()?;
        }
        let mut command = Command::new("pdns_server");
        command.arg(format!("--config-dir={}", dir.display()));
        let mut daemon = lab.internet.spawn("pdns_server", &mut command)?;
        until("PowerDNS answers for the zone", START_LIMIT, || {
            let name = format!("ns1.{ZONE}");
            let answer = probe::ask(&lab.internet, (DNS4, 53).into(), &name, Rtype::A, SECOND / 4);
            (answer.is_ok_and(|answer| answer.sole() == Some(DNS4.into())) || !daemon.is_running())
                .then_some(())
        })
        .with_context(|| format!("its last words:\n{}", daemon.tail(20)))?;
        ensure!(daemon.is_running(), "it ended at once; its last words:\n{}", daemon.tail(20));
        Ok(PowerDns { daemon })
    }

    /// How many update messages it began to carry out.
    pub fn updates(&self) -> usize {
        self.count("for example.com: Processing started.")
    }

    /// How many messages had a signature that it does not believe.
    pub fn denied(&self) -> usize {
        self.count("failed to validate")
    }

    /// The requests to its API that were sent by the router, each as `METHOD PATH`, with its status.
    pub fn requests(&self) -> Vec<(String, u16)> {
        self.daemon.lines().iter().filter_map(|line| request(&line.text)).collect()
    }

    fn count(&self, words: &str) -> usize {
        self.daemon.lines().iter().filter(|line| line.text.contains(words)).count()
    }
}

/// Reads `... [webserver] ID 203.0.113.10:49610 "GET /api/v1/... HTTP/1.1" 200 587`.
fn request(line: &str) -> Option<(String, u16)> {
    let (_, told) = line.split_once("[webserver] ")?;
    let (head, rest) = told.split_once(" \"")?;
    let (request, status) = rest.split_once(" HTTP/1.1\" ")?;
    let ours = head.split(' ').nth(1)?.starts_with("203.0.113.");
    ours.then_some((request.to_owned(), status.split(' ').next()?.parse().ok()?))
}

/// The file of the database's tables.
fn schema() -> Result<PathBuf> {
    super::tools::find(SCHEMA).context("the tables of PowerDNS's database are not there")
}

fn database(dir: &Path) -> PathBuf {
    dir.join("zones.sqlite3")
}

/// Nothing but what the agent's owner would set, and what keeps it inside the lab.
fn conf(dir: &Path) -> String {
    let database = database(dir);
    let (dir, database) = (dir.display(), database.display());
    format!(
        "launch=gsqlite3
gsqlite3-database={database}
local-address={DNS4},{DNS6}
socket-dir={dir}
daemon=no
guardian=no
disable-syslog=yes
loglevel=6
security-poll-suffix=
dnsupdate=yes
allow-dnsupdate-from=203.0.113.0/24,2001:db8::/32
api=yes
api-key={API_KEY}
webserver=yes
webserver-address={}
webserver-port={}
webserver-allow-from=203.0.113.0/24,198.51.100.0/24
webserver-loglevel=normal
",
        API.ip(),
        API.port()
    )
}

fn zone() -> String {
    let (v4, v6) = OLD_ADDRS;
    format!(
        "$ORIGIN {ZONE}.
$TTL 60
@ IN SOA ns1 hostmaster 1 3600 600 86400 60
@ IN NS ns1
ns1 IN A {DNS4}
ns1 IN AAAA {DNS6}
{ALIAS}. IN CNAME ns1
{OLD}. {OLD_TTL} IN A {v4}
{OLD}. {OLD_TTL} IN AAAA {v6}
{OLD}. {OLD_TTL} IN TXT \"the owner's\"
"
    )
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn requests_are_read_from_the_log() {
        let line = "Nov 22 21:58:16 [webserver] e63ba50b-7ada-4628-b0d7-0fdf7ea2eed3 203.0.113.10:49610 \
                    \"GET /api/v1/servers/localhost/zones HTTP/1.1\" 200 587";
        assert_eq!(request(line), Some(("GET /api/v1/servers/localhost/zones".into(), 200)));
        assert_eq!(request(&line.replace("203.0.113.10", "198.51.100.7")), None, "somebody else's");
        assert_eq!(
            request("Nov 22 21:58:14 [webserver] Listening for HTTP requests on 198.51.100.80:8081"),
            None
        );
    }
}
