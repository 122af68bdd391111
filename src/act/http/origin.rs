//! Where a URL leads (RFC 3986 section 3), and whether it and its headers can be sent as they are.

use crate::provider::{Failure, Kind};

/// Where a URL leads.
pub(in crate::act) struct Origin {
    /// True for https.
    pub(in crate::act) tls: bool,
    /// The host's name.
    pub(in crate::act) host: String,
    /// Its port.
    pub(in crate::act) port: u16,
    /// The port that minreq takes it for, to which https is http.
    pub(super) inner_port: u16,
    /// Scheme, host and port as in the URL: what may be shown of it.
    pub(in crate::act) shown: String,
}

impl Origin {
    /// Host and port as in the URL.
    pub(in crate::act) fn authority(&self) -> &str {
        self.shown.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Reads a URL's scheme, host and port, and refuses what minreq would misread or pass on to the server as it is.
    pub(in crate::act) fn of(url: &str) -> Result<Origin, Failure> {
        let refused = |text: &str| Err(Failure::new(Kind::Refused, format!("the URL {text}")));
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refused("holds a space or another character that must be percent-encoded");
        }
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return refused("must begin with https:// or http://"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return refused("holds a user name; the provider has options for user and password");
        }
        if authority.contains('[') {
            return refused("holds an IPv6 address; give the host's name");
        }
        let (host, port, inner_port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok(), port.parse::<u16>().ok()),
            None => (authority, Some(if tls { 443 } else { 80 }), Some(80)),
        };
        let good = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let (Some(port), Some(inner_port), true) = (port, inner_port, good) else {
            return refused("has no usable host and port");
        };
        let scheme = if tls { "https" } else { "http" };
        Ok(Origin { tls, host: host.into(), port, inner_port, shown: format!("{scheme}://{authority}") })
    }
}

/// The scheme and host of a URL, all that may be shown of it.
pub(in crate::act) fn shown(url: &str) -> String {
    Origin::of(url).map_or_else(|_| "a faulty URL".into(), |origin| origin.shown)
}

/// Refuses headers that would break out of their line.
pub(super) fn check_headers(who: &str, headers: &[(String, String)]) -> Result<(), Failure> {
    let name_ok = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    let value_ok = |value: &str| !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
    match headers.iter().all(|(name, value)| name_ok(name) && value_ok(value)) {
        true => Ok(()),
        false => Err(Failure::new(
            Kind::Refused,
            format!("{who}: a header holds a line break or another control character"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_minreq_reads_them_or_refused() {
        let origin = Origin::of("https://api.example.com:8443/secret?token=x").unwrap();
        assert_eq!((origin.tls, origin.host.as_str(), origin.port), (true, "api.example.com", 8443));
        assert_eq!(origin.shown, "https://api.example.com:8443");
        let origin = Origin::of("http://api.example.com?secret").unwrap();
        assert_eq!((origin.tls, origin.port, origin.shown.as_str()), (false, 80, "http://api.example.com"));
        for bad in [
            "ftp://a/",
            "https://",
            "https://user:secret@a/",
            "https://[2001:db8::1]/",
            "https://a:99999/",
            "https://a:/",
            "https://a b/",
            "https://a/\r\nX: y",
            "https://a/ü",
        ] {
            let failure = Origin::of(bad).err().unwrap();
            assert_eq!(failure.kind, Kind::Refused, "{bad}");
            assert!(!failure.text.contains("secret"), "{}", failure.text);
        }
    }

    #[test]
    fn headers_stay_on_their_line() {
        let check = |name: &str, value: &str| check_headers("x", &[(name.into(), value.into())]).is_ok();
        assert!(check("Authorization", "Basic abc="));
        assert!(!check("A", "b\r\nC: d") && !check("A\nB", "c") && !check("", "x") && !check("A:", "x"));
    }
}
