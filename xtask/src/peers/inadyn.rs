//! inadyn's one update for each service that it knows and we have a row for.

use super::note::Case;
use anyhow::{bail, Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where Debian has it.
pub const PROGRAM: &str = "/usr/sbin/inadyn";

/// Our row, inadyn's provider, and the families that the service takes. inadyn 2.10 knows no family: it puts
/// either address in the same place.
const SERVICES: &[(&str, &str, &[&str])] = &[
    ("3322", "dyndns@3322.org", &["ipv4"]),
    ("changeip", "default@changeip.com", &["ipv4"]),
    ("ddnss", "default@ddnss.de", &["ipv4"]),
    ("dhis", "default@dhis.org", &["ipv4"]),
    ("dnsomatic", "default@dnsomatic.com", &["ipv4", "ipv6"]),
    ("duckdns", "default@duckdns.org", &["ipv4", "ipv6"]),
    ("dyn", "default@dyndns.org", &["ipv4", "ipv6"]),
    ("dynu", "default@dynu.com", &["ipv4"]),
    ("dynv6", "default@dynv6.com", &["ipv6"]),
    ("easydns", "default@easydns.com", &["ipv4", "ipv6"]),
    ("freemyip", "default@freemyip.com", &["ipv4"]),
    ("gira", "default@gira.de", &["ipv4", "ipv6"]),
    ("he", "dyndns@he.net", &["ipv4", "ipv6"]),
    ("loopia", "default@loopia.com", &["ipv4", "ipv6"]),
    ("noip", "default@no-ip.com", &["ipv4", "ipv6"]),
    ("nsupdate_info", "ipv4@nsupdate.info", &["ipv4"]),
    ("ovh", "default@ovh.com", &["ipv4", "ipv6"]),
    ("selfhost", "default@selfhost.de", &["ipv4", "ipv6"]),
    ("sitelutions", "default@sitelutions.com", &["ipv4"]),
    ("spdyn", "default@spdyn.de", &["ipv4", "ipv6"]),
    ("strato", "default@strato.com", &["ipv4", "ipv6"]),
    ("tunnelbroker", "default@tunnelbroker.net", &["ipv4"]),
    ("zoneedit", "default@zoneedit.com", &["ipv4"]),
];

/// `inadyn 2.10.0`, as it says itself.
///
/// # Errors
/// When it is not installed.
pub fn version() -> Result<String> {
    let output =
        Command::new(PROGRAM).arg("--version").output().context("cannot start inadyn (package inadyn)")?;
    Ok(format!("inadyn {}", String::from_utf8_lossy(&output.stdout).trim()))
}

/// Every service and family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (service, theirs, families) in SERVICES {
        for family in *families {
            cases.push(Case::usual(service, family, format!("provider {theirs}"), "the plugin's own values"));
        }
    }
    cases
}

/// Lets inadyn make the update once.
///
/// # Errors
/// When it cannot be started, or reports a failure.
pub fn update(case: &Case, scratch: &Path) -> Result<()> {
    let config = scratch.join("inadyn.conf");
    let cache = scratch.join(format!("inadyn-{}-{}", case.service, case.family));
    fs::create_dir_all(&cache)?;
    let Case { theirs, username, password, domain, address, .. } = case;
    let trust = scratch.join(super::TRUST);
    let text = format!(
        "verify-address = false\nallow-ipv6 = true\nca-trust-file = \"{}\"\n\
         {theirs} {{\n  username = \"{username}\"\n  password = \"{password}\"\n  hostname = \"{domain}\"\n  \
         checkip-command = \"/bin/echo {address}\"\n}}\n",
        trust.display()
    );
    fs::write(&config, text)?;
    let output = Command::new("timeout")
        .args(["30", PROGRAM, "--once", "--force", "--foreground", "--no-pidfile", "--loglevel=debug"])
        .arg(format!("--config={}", config.display()))
        .arg(format!("--cache-dir={}", cache.display()))
        .output()
        .context("cannot start inadyn")?;
    if !output.status.success() {
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        bail!("inadyn ended with {}:\n{said}", output.status);
    }
    Ok(())
}
