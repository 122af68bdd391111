//! What other dynamic DNS clients send: inadyn and ddclient make one update for each service against a
//! recorder, in a sealed room, and their requests are kept in tests/provider/peers. Our own rows are
//! compared with these files, so that the expectation is never our own table.

pub mod ddclient;
pub mod inadyn;
pub mod names;
mod note;
pub mod recorder;
pub mod room;

use crate::lab::{seal, tools};
use anyhow::{bail, Context, Result};
use note::Case;
use recorder::{Authority, Recorder, Seen};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The room's certificate authority, in the scratch directory.
pub const TRUST: &str = "authority.pem";
/// How long a peer's request is waited for after the peer ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// The programs, and what they need for HTTPS.
pub const TOOLS: [&str; 4] = ["ip", "inadyn", "ddclient", tools::PERL_TLS];
/// The hidden subcommand of the sealed part.
pub const SEALED: &str = "__peers";
/// All recordings together, at the longest.
const LIMIT: Duration = Duration::from_secs(600);

/// `cargo xtask peers record` writes the files, `check` only says which would change.
///
/// # Errors
/// When the room cannot be made.
pub fn main(args: &[String]) -> Result<i32> {
    let [what] = args else { bail!("say record or check") };
    if what != "record" && what != "check" {
        bail!("say record or check");
    }
    tools::require(&TOOLS, true)?;
    Ok(seal::exit_code(seal::run(&[SEALED.into(), what.into()], LIMIT, None)?))
}

/// The sealed part.
///
/// # Errors
/// When the room cannot be furnished or a file not be written.
pub fn sealed(args: &[String]) -> Result<i32> {
    let write = args.first().is_some_and(|word| word == "record");
    let scratch = room::enter()?;
    names::Names::serve()?;
    let authority = Authority::new()?;
    authority.write_pem(&scratch.join(TRUST))?;
    let recorder = Recorder::start(IpAddr::V4(Ipv4Addr::LOCALHOST), authority, Arc::new(content))?;
    let mut room = Room { recorder, scratch, write, date: today()?, changed: 0, failed: 0 };
    room.peer("inadyn", &inadyn::version()?, inadyn::cases(), inadyn::update)?;
    room.peer("ddclient", &ddclient::version()?, ddclient::cases(), ddclient::update)?;
    println!("{} changed, {} failed", room.changed, room.failed);
    Ok(i32::from(room.failed > 0 || (!write && room.changed > 0)))
}

fn today() -> Result<String> {
    let date = Command::new("date").args(["-u", "+%F"]).output().context("cannot start date")?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}

struct Room {
    recorder: Recorder,
    scratch: PathBuf,
    write: bool,
    date: String,
    changed: usize,
    failed: usize,
}

impl Room {
    fn peer(
        &mut self,
        peer: &str,
        version: &str,
        cases: Vec<Case>,
        update: fn(&Case, &Path) -> Result<()>,
    ) -> Result<()> {
        let folder = tools::workspace().join("tests/provider/peers").join(peer);
        for case in cases {
            let name = format!("{}-{}", case.service, case.family);
            match self.record(version, &case, update) {
                Err(error) => {
                    self.failed += 1;
                    println!("{peer}/{name}: FAILED {error:#}");
                }
                Ok(text) => {
                    let path = folder.join(&name);
                    let changed = if self.write {
                        note::store(&path, &text)?
                    } else {
                        std::fs::read_to_string(&path).map_or(true, |old| note::differ(&old, &text))
                    };
                    self.changed += usize::from(changed);
                    println!("{peer}/{name}: {}", if changed { "changed" } else { "as before" });
                }
            }
        }
        Ok(())
    }

    /// One update of one peer, and the one request that it makes.
    fn record(&self, version: &str, case: &Case, update: fn(&Case, &Path) -> Result<()>) -> Result<String> {
        self.recorder.take();
        let done = update(case, &self.scratch);
        let seen = self.recorder.wait(PATIENCE, |_| true);
        done?;
        let seen = seen.context("it sent no request")?;
        let more = self.recorder.take().len();
        if more > 0 {
            bail!("it sent {} requests instead of one", more + 1);
        }
        Ok(note::text(version, &self.date, case, &seen))
    }
}

/// An answer that makes every peer content. What they send does not depend on it, as each sends once.
fn content(seen: &Seen) -> (u16, String) {
    let address = if seen.target.contains("2001") { "2001:db8::7" } else { "198.51.100.7" };
    let text = match seen.header("host").unwrap_or_default() {
        "www.duckdns.org" => "OK".to_owned(),
        "dynv6.com" => "addresses updated".to_owned(),
        "dynamic.zoneedit.com" => format!("<SUCCESS CODE=\"200\" TEXT=\"updated\" IP=\"{address}\">"),
        "api.cp.easydns.com" => "NOERROR".to_owned(),
        "dondns.dondominio.com" | "freemyip.com" | "homeserver.gira.de" => "OK".to_owned(),
        "cp.dnsmadeeasy.com" | "sitelutions.com" | "www.sitelutions.com" => "success".to_owned(),
        // One peer wants the first word, the other the second.
        "nic.changeip.com" => "good: 200 Successful Update".to_owned(),
        "ddnss.de" | "www.ddnss.de" => "Updated 1 hostname.".to_owned(),
        "dynamicdns.park-your-domain.com" => "<ErrCount>0</ErrCount>".to_owned(),
        "is.dhis.org" => address.to_owned(),
        "njal.la" => {
            format!(
                "{{\"status\": 200, \"message\": \"record updated\", \"value\": {{\"A\": \"{address}\"}}}}"
            )
        }
        // One line for each name.
        _ => format!("good {address}\n").repeat(seen.target.matches(',').count() + 1),
    };
    (200, text)
}
