//! One recorded request as a text file: what the peer was told, and what it then sent.

use super::recorder::Seen;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What a peer is told for one service and family.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of our row; with the family it names the file.
    pub service: &'static str,
    /// `ipv4`, `ipv6`, or `ipv4-two` for two names at once.
    pub family: &'static str,
    /// The peer's own word for the service, as its configuration has it.
    pub theirs: String,
    /// Where that configuration is documented, if it is not the peer's default for the service.
    pub source: &'static str,
    /// The name to update.
    pub domain: &'static str,
    /// The address to publish.
    pub address: &'static str,
    /// The account.
    pub username: &'static str,
    /// Its password.
    pub password: &'static str,
}

impl Case {
    /// The usual account. Some services have a word of their own for name and account.
    pub fn usual(service: &'static str, family: &'static str, theirs: String, source: &'static str) -> Case {
        let domain = match (service, family) {
            ("duckdns", _) => "cam.duckdns.org",
            // The number of a record, a tunnel.
            ("dnsmadeeasy" | "sitelutions" | "tunnelbroker", _) => "1007",
            (_, "ipv4-two") => "cam.example.com,door.example.com",
            _ => "cam.example.com",
        };
        let username = match service {
            // The account is the name itself: https://dns.he.net/docs.html and nsupdate.info's help page.
            "he" | "nsupdate_info" => "cam.example.com",
            // The zone: ddclient --help says so under namecheap.
            "namecheap" => "example.com",
            _ => "alice",
        };
        let address = if family == "ipv6" { "2001:db8::7" } else { "198.51.100.7" };
        Case { service, family, theirs, source, domain, address, username, password: "s3cret/+" }
    }
}

/// The text of a recording. The query is sorted and each parameter is as it was sent.
pub fn text(peer: &str, date: &str, case: &Case, seen: &Seen) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name}: {value}");
        }
    };
    line("peer", peer);
    line("recorded", date);
    line("configured", &case.theirs);
    line("source", case.source);
    line("domain", case.domain);
    line("address", case.address);
    line("username", case.username);
    line("password", case.password);
    line("scheme", if seen.tls { "https" } else { "http" });
    line("method", &seen.method);
    line("host", seen.header("host").unwrap_or_default());
    line("path", seen.path());
    let mut query: Vec<&str> = seen.query().split('&').filter(|part| !part.is_empty()).collect();
    query.sort_unstable();
    for parameter in query {
        line("query", parameter);
    }
    line("authorization", seen.header("authorization").unwrap_or("none"));
    line("user-agent", if seen.header("user-agent").is_some() { "present" } else { "absent" });
    line("body", &String::from_utf8_lossy(&seen.body));
    out
}

/// True if two recordings differ in more than their date.
pub fn differ(one: &str, other: &str) -> bool {
    let undated = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("recorded:")).map(str::to_owned).collect()
    };
    undated(one) != undated(other)
}

/// Writes a recording, unless the file already says the same of another day. True if it wrote.
///
/// # Errors
/// When the file cannot be written.
pub fn store(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| !differ(&old, text)) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::differ;

    #[test]
    fn another_day_is_no_difference_and_another_parameter_is() {
        let text = "peer: x 1\nrecorded: 2025-01-01\npath: /a\n";
        assert!(!differ(text, &text.replace("01-01", "12-31")));
        assert!(differ(text, &text.replace("/a", "/b")));
    }
}
