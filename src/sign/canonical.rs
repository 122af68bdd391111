//! What the signers share: a request in canonical form (encoded and sorted query, header lines), SHA-256 and HMAC
//! over bytes, and Unix time as their dates.

use super::tsig::Algorithm;
use crate::provider::web::encode_bytes;
use crate::provider::Http;
use sha2::{Digest, Sha256};

/// The last second that a date of four-digit years has: 31 December 9999.
const LAST: u64 = 253_402_300_799;

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// How a query is sorted. The three differ only for names that hold characters to be encoded, or of which one begins
/// with another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By name, then by value, before they are encoded.
    Decoded,
    /// By name, then by value, as they are encoded.
    Encoded,
    /// By the encoded `name=value`.
    Joined,
}

/// A request's URL in pieces.
pub(super) struct Url {
    /// `https` or `http`.
    scheme: String,
    /// As in the Host header: in lower case, with a port that is not the scheme's own.
    pub(super) host: String,
    /// Encoded as the caller had it, `/` at least.
    pub(super) path: String,
    /// Encoded strictly (all but unreserved characters), in the caller's order.
    pub(super) query: Pairs,
}

impl Url {
    /// Takes a URL apart. Of one that is faulty (which is refused when it is to be sent) any pieces.
    pub(super) fn of(url: &str) -> Url {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = target.split_at(target.find('/').unwrap_or(target.len()));
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let pieces = query.split('&').filter(|piece| !piece.is_empty());
        let pairs = pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")));
        Url {
            scheme: scheme.to_owned(),
            host: host.strip_suffix(own_port).unwrap_or(host).to_ascii_lowercase(),
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: pairs.map(|(key, value)| (normal(key, ""), normal(value, ""))).collect(),
        }
    }

    /// Takes a parameter out of the query; its value, empty if it is not there.
    pub(super) fn take(&mut self, name: &str) -> String {
        let at = self.query.iter().position(|(key, _)| key == name);
        at.map(|at| self.query.remove(at).1).unwrap_or_default()
    }

    /// Adds a parameter to the query.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.query.push((name.to_owned(), strict(value.as_bytes(), "")));
    }

    /// Sorts the query and writes the URL with it into the request; the query as a text.
    pub(super) fn settle(&mut self, http: &mut Http, order: Order) -> String {
        sort(&mut self.query, order);
        let mut query = String::new();
        for (key, value) in &self.query {
            let mark = if query.is_empty() { "" } else { "&" };
            for piece in [mark, key, "=", value] {
                query.push_str(piece);
            }
        }
        let mark = if query.is_empty() { "" } else { "?" };
        http.url = [&self.scheme, "://", &self.host, &self.path, mark, &query].concat();
        query
    }
}

/// Bytes percent-encoded: all but unreserved characters and those of `also`.
pub(super) fn strict(bytes: &[u8], also: &str) -> String {
    let mut out = String::new();
    encode_bytes(bytes, also, &mut out);
    out
}

/// A piece of a URL encoded anew: what is encoded needlessly or in lower case, or not at all, comes out in one form.
pub(super) fn normal(text: &str, also: &str) -> String {
    strict(&decode(text), also)
}

/// The bytes that a piece of a URL stands for. A `%` that begins no byte stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (byte, rest_after) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, after.get(2..).unwrap_or_default()),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = rest_after;
    }
    bytes
}

/// A path without `.`, `..` and empty segments (RFC 3986 section 5.2.4).
pub(super) fn tidy(path: &str) -> String {
    let mut segments = vec![""];
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => segments.truncate(segments.len().saturating_sub(1).max(1)),
            _ => segments.push(segment),
        }
    }
    if path.ends_with('/') || segments.len() == 1 {
        segments.push("");
    }
    segments.join("/")
}

/// Sorts pairs. There are few.
fn sort(pairs: &mut [(String, String)], order: Order) {
    for end in 1..pairs.len() {
        for at in (1..=end).rev() {
            let place = |at: usize| pairs.get(at).map(|pair| place(pair, order));
            if place(at - 1) > place(at) {
                pairs.swap(at - 1, at);
            }
        }
    }
}

/// By what a pair is sorted.
fn place((name, value): &(String, String), order: Order) -> Vec<u8> {
    let mark = if order == Order::Joined { "=" } else { "\0" };
    let text = [name, mark, value].concat();
    if order == Order::Decoded {
        decode(&text)
    } else {
        text.into_bytes()
    }
}

/// The headers to be signed, by their names in lower case, sorted: the host, `content-type`, and those that begin with
/// `own`. Values of one name are joined by commas.
pub(super) fn headers(http: &Http, host: &str, own: &str) -> Pairs {
    let mut out: Pairs = vec![("host".to_owned(), host.to_owned())];
    for (name, value) in &http.headers {
        let name = name.to_ascii_lowercase();
        if name != "content-type" && !name.starts_with(own) {
            continue;
        }
        match out.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value.trim());
            }
            None => out.push((name, value.trim().to_owned())),
        }
    }
    sort(&mut out, Order::Encoded);
    out
}

/// A request in canonical form.
pub(super) struct Canonical {
    /// What is hashed.
    pub(super) text: String,
    /// The names of the signed headers.
    pub(super) names: String,
}

impl Canonical {
    /// The form that all schemes but one have: method, path, query, header lines, their names, hash of the body, each
    /// on lines of its own.
    pub(super) fn of(http: &Http, path: &str, query: &str, headers: &Pairs) -> Canonical {
        let mut lines = String::new();
        for (name, value) in headers {
            for piece in [name, ":", value, "\n"] {
                lines.push_str(piece);
            }
        }
        let (names, hash) = (names(headers), sha256(http.body.as_bytes()));
        let text = [http.method, "\n", path, "\n", query, "\n", &lines, "\n", &names, "\n", &hash].concat();
        Canonical { text, names }
    }
}

/// The names of headers, joined by semicolons.
pub(super) fn names(headers: &Pairs) -> String {
    let mut out = String::new();
    for (name, _) in headers {
        if !out.is_empty() {
            out.push(';');
        }
        out.push_str(name);
    }
    out
}

/// SHA-256 in lower-case hexadecimal digits.
#[inline(never)]
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// HMAC-SHA256.
#[inline(never)]
pub(super) fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    Algorithm::Sha256.mac(key, &[text.as_bytes()])
}

/// The key that is derived from a secret by HMAC, step by step.
pub(super) fn derive(secret: &str, steps: &[&str]) -> Vec<u8> {
    steps.iter().fold(secret.as_bytes().to_vec(), |key, step| hmac(&key, step))
}

/// Lower-case hexadecimal digits.
#[inline(never)]
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')).collect()
}

/// Unix time as `2026-01-02T03:04:05Z` (Hinnant's days_from_civil, turned round).
pub(crate) fn iso(unix: u64) -> String {
    let unix = unix.min(LAST);
    let days = unix / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut out = String::new();
    let fields = [(year / 100, ""), (year % 100, "-"), (month, "-"), (day, "T"), (unix / 3600 % 24, ":")];
    for (field, mark) in fields.into_iter().chain([(unix / 60 % 60, ":"), (unix % 60, "Z")]) {
        for digit in [field / 10, field % 10] {
            out.push(char::from(b'0' + digit as u8));
        }
        out.push_str(mark);
    }
    out
}

/// Unix time as `20260102T030405Z`.
pub(super) fn basic(unix: u64) -> String {
    let mut text = iso(unix);
    text.retain(|c| c != '-' && c != ':');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::web::http_date;
    use proptest::prelude::*;

    fn settled(url: &str, order: Order) -> String {
        let mut http = Http::get(url);
        Url::of(url).settle(&mut http, order);
        http.url
    }

    #[test]
    fn urls_come_out_in_one_form() {
        for (given, form) in [
            ("https://A.Example", "https://a.example/"),
            ("https://a.example:443/x", "https://a.example/x"),
            ("http://a.example:80?b", "http://a.example/?b="),
            ("http://a.example:443/", "http://a.example:443/"),
            ("https://a.example:8443/x?", "https://a.example:8443/x"),
            ("https://a.example/X?b=2&a=1&b=1#c?d", "https://a.example/X?a=1&b=1&b=2"),
            (
                "https://a.example/?v=2001:db8::1&w=%2a%7e%E9%BB%98",
                "https://a.example/?v=2001%3Adb8%3A%3A1&w=%2A~%E9%BB%98",
            ),
            ("https://a.example/?%=%4&=x&&a=b=c", "https://a.example/?=x&%25=%254&a=b%3Dc"),
        ] {
            assert_eq!(settled(given, Order::Decoded), form, "{given}");
        }
    }

    #[test]
    fn the_three_orders_differ() {
        let url = "https://a.example/?b=1&b-c=2&%C3%A9=3&%C3%A8=4";
        assert_eq!(settled(url, Order::Decoded), "https://a.example/?b=1&b-c=2&%C3%A8=4&%C3%A9=3");
        assert_eq!(settled(url, Order::Encoded), "https://a.example/?%C3%A8=4&%C3%A9=3&b=1&b-c=2");
        assert_eq!(settled(url, Order::Joined), "https://a.example/?%C3%A8=4&%C3%A9=3&b-c=2&b=1");
    }

    #[test]
    fn headers_to_be_signed() {
        let http = Http::get("").header("X-Own-B", " b ").header("Accept", "a").header("x-own-a", "1");
        let http = http.header("Content-Type", "t").header("X-OWN-A", "0");
        let found = headers(&http, "h", "x-own-");
        let wanted = [("content-type", "t"), ("host", "h"), ("x-own-a", "1,0"), ("x-own-b", "b")];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(names(&found), "content-type;host;x-own-a;x-own-b");
    }

    #[test]
    fn dates() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(iso(1_767_323_045), "2026-01-02T03:04:05Z");
        assert_eq!(basic(4_107_542_399), "21000228T235959Z");
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn hashes() {
        // FIPS 180-2 appendix B.1, RFC 4231 section 4.3.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mac = hmac(b"Jefe", "what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    proptest! {
        #[test]
        fn a_date_is_read_back(unix in 0..=LAST) {
            let (date, time) = (iso(unix), iso(unix));
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = month[date[5..7].parse::<usize>().unwrap() - 1];
            let text = format!("x, {} {month} {} {} GMT", &date[8..10], &date[..4], &time[11..19]);
            prop_assert_eq!(http_date(&text), Some(unix));
        }

        #[test]
        fn any_text_has_a_form_that_stays(url in ".{0,60}", tail in "[?&=%#/:.a-f0-9é]{0,60}") {
            for order in [Order::Decoded, Order::Encoded, Order::Joined] {
                let once = settled(&(url.clone() + &tail), order);
                prop_assert_eq!(settled(&once, order), once);
            }
            let tidied = tidy(&url);
            prop_assert_eq!(tidy(&tidied), tidied);
        }
    }
}
