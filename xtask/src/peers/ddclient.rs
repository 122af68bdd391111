//! ddclient's one update for each service that it has a protocol or a documented configuration for.

use super::note::Case;
use anyhow::{bail, Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Where Debian has it.
pub const PROGRAM: &str = "/usr/bin/ddclient";

const DEFAULT: &str = "the protocol's own values";
const OWN: &str = "a private server, as ddclient --help says under dyndns2";
const SAMPLE: &str = "ddclient 3.10.0, sample-etc_ddclient.conf";

/// Our row, ddclient's settings, family, and where those settings come from.
const SERVICES: &[(&str, &str, &str, &str)] = &[
    ("changeip", "protocol=changeip", "ipv4", DEFAULT),
    ("dnsmadeeasy", "protocol=dnsmadeeasy", "ipv4", DEFAULT),
    ("dondominio", "protocol=dondominio", "ipv4", DEFAULT),
    ("duckdns", "protocol=duckdns", "ipv4", DEFAULT),
    ("dyn", "protocol=dyndns2", "ipv4", DEFAULT),
    ("dyn", "protocol=dyndns2", "ipv4-two", DEFAULT),
    ("dyn", "protocol=dyndns2", "ipv6", DEFAULT),
    ("dyndns2", "protocol=dyndns2, server=ddns.example.net", "ipv4", OWN),
    ("dyndns2", "protocol=dyndns2, server=ddns.example.net, script=/up/date", "ipv6", OWN),
    ("easydns", "protocol=easydns", "ipv4", DEFAULT),
    ("freemyip", "protocol=freemyip", "ipv4", DEFAULT),
    ("loopia", "protocol=dyndns2, server=dns.loopia.se, script=/XDynDNSServer/XDynDNS.php", "ipv4", SAMPLE),
    ("namecheap", "protocol=namecheap", "ipv4", DEFAULT),
    ("njalla", "protocol=njalla", "ipv4", DEFAULT),
    ("noip", "protocol=noip", "ipv4", DEFAULT),
    ("noip", "protocol=noip", "ipv6", DEFAULT),
    ("nsupdate_info", "protocol=dyndns2, server=ipv4.nsupdate.info", "ipv4", SAMPLE),
    ("nsupdate_info", "protocol=dyndns2, server=ipv6.nsupdate.info", "ipv6", SAMPLE),
    ("ovh", "protocol=ovh", "ipv4", DEFAULT),
    ("sitelutions", "protocol=sitelutions", "ipv4", DEFAULT),
    ("zoneedit", "protocol=zoneedit1", "ipv4", DEFAULT),
];

/// `ddclient 3.10.0`, from its own text.
///
/// # Errors
/// When it is not installed.
pub fn version() -> Result<String> {
    let text = fs::read_to_string(PROGRAM).context("cannot read ddclient (package ddclient)")?;
    let version = text
        .lines()
        .find_map(|line| line.split_once("VERSION = version->declare('"))
        .and_then(|(_, rest)| rest.split('\'').next())
        .context("ddclient does not tell its version")?;
    Ok(format!("ddclient {}", version.trim_start_matches('v')))
}

/// Every service and family.
pub fn cases() -> Vec<Case> {
    SERVICES
        .iter()
        .map(|(service, theirs, family, source)| Case::usual(service, family, (*theirs).to_owned(), source))
        .collect()
}

/// Lets ddclient make the update once.
///
/// # Errors
/// When it cannot be started, or reports a failure.
pub fn update(case: &Case, scratch: &Path) -> Result<()> {
    let config = scratch.join("ddclient.conf");
    let cache = scratch.join(format!("ddclient-{}-{}", case.service, case.family));
    let Case { theirs, username, password, domain, address, .. } = case;
    let trust = scratch.join(super::TRUST);
    let text = format!(
        "ssl=yes\nssl_ca_file={}\nuse=ip, ip={address}\n{theirs}\nlogin={username}\npassword='{password}'\n{domain}\n",
        trust.display()
    );
    fs::write(&config, text)?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
    let output = Command::new("timeout")
        .args(["30", PROGRAM, "-daemon=0", "-noquiet", "-verbose"])
        .arg(format!("-file={}", config.display()))
        .arg(format!("-cache={}", cache.display()))
        .output()
        .context("cannot start ddclient")?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("FAILED:") {
        bail!("ddclient ended with {}:\n{said}", output.status);
    }
    Ok(())
}
