//! Names that expire: an unchanged record is sent once more in time, and the day outlives a reboot in one small file on
//! flash, which is written seldom.

use super::kill::range::{Range, Service};
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// A day in seconds.
const DAY: u64 = 86_400;

/// The scenario.
pub const REFRESH: Scenario = Scenario {
    name: "refresh",
    about: "names that expire: sent once more in time, though all but flash is gone; flash is written seldom",
    needs: &[],
    limit: Duration::from_secs(90),
    slow: false,
    run,
};

struct Story<'a> {
    lab: &'a Lab,
    service: Service,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    let service = Service::start(lab, &dns, &Range::default())?;
    lab.wan_up()?;
    let wan = lab.config();
    let wan = wan.split("config record").next().unwrap_or_default();
    lab.write_config(&format!(
        "{wan}config record 'home'\n\toption provider 'noip'\n\toption url 'http://{WEB4}'\n\
         \toption username 'me'\n\toption password 'secret'\n\tlist domain '{NAME}'\n"
    ))?;
    let story = Story { lab, service };
    ensure!(story.pass()? == 1, "the name was not published");
    let first = story.on_flash()?;
    ensure!(first.1 == 0o600, "others may read what is on flash: mode {:o}", first.1);
    // Restarts, reboots and passes that change nothing.
    ensure!(
        story.pass()? == 0 && story.reboot()? == 0 && story.reboot()? == 0,
        "sent though nothing changed"
    );
    ensure!(story.on_flash()? == first, "flash was written though nothing changed");
    // The address changes every night.
    for last in 11..14 {
        lab.wan_readdress4(Ipv4Addr::new(203, 0, 113, last))?;
        ensure!(story.pass()? == 1, "a change was not published");
    }
    ensure!(story.on_flash()? == first, "flash was written for a change on the same day");
    story.age(24)?;
    ensure!(story.reboot()? == 0, "sent before its day");
    story.age(26)?;
    let old = story.on_flash()?;
    ensure!(story.reboot()? == 1, "not sent in time");
    let new = story.on_flash()?;
    ensure!(new.0 != old.0, "a loop of reboots would send each time");
    ensure!(story.reboot()? == 0 && story.on_flash()? == new, "sent again");
    // Without the file: what is right is not sent, and the days begin to count.
    fs::remove_file(story.file())?;
    ensure!(story.reboot()? == 0, "sent though it was right");
    story.on_flash()?;
    story.age(26)?;
    lab.write_config(
        &fs::read_to_string(lab.config_file())?.replace("'noip'", "'noip'\n\toption refresh 'never'"),
    )?;
    ensure!(story.reboot()? == 0, "sent although refresh is 'never'");
    Ok(Summary::line(
        "noip: sent at first, with each of 3 changes, and after 26 days, else never in 6 reboots; flash written at first, after \
         26 days, and when its file was gone",
    ))
}

impl Story<'_> {
    /// One pass; the value is how many updates the service got.
    fn pass(&self) -> Result<usize> {
        let before = self.service.updates().len();
        self.lab.verb(&["once"])?.success()?;
        Ok(self.service.updates().len() - before)
    }

    /// The same after all was lost that is not on flash.
    fn reboot(&self) -> Result<usize> {
        let state = self.lab.root.join("var/run/porchlight/state");
        fs::remove_file(state).context("the agent remembers nothing")?;
        self.pass()
    }

    fn file(&self) -> PathBuf {
        self.lab.root.join("etc/porchlight/refresh")
    }

    /// The file on flash: its number, which a new one does not share, its mode and what it says.
    fn on_flash(&self) -> Result<(u64, u32, String)> {
        let meta = fs::metadata(self.file()).context("nothing is on flash")?;
        Ok((meta.ino(), meta.mode() & 0o777, fs::read_to_string(self.file())?))
    }

    /// Has the record been sent so many days ago, as flash knows it.
    fn age(&self, days: u64) -> Result<()> {
        let (_, _, text) = self.on_flash()?;
        let (_, body) = text.split_once('\n').context("no head")?;
        let (line, _) = body.trim_end().rsplit_once('\t').context("no time")?;
        let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let body = format!("{line}\t{}\n", now - days * DAY);
        let mut digest = String::new();
        for byte in Sha256::digest(body.as_bytes()) {
            write!(digest, "{byte:02x}")?;
        }
        fs::write(self.file(), format!("porchlight-state 1 {digest}\n{body}"))
            .context("cannot write to flash")
    }
}
