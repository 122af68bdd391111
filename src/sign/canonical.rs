//! What the signers share: a request in canonical form (encoded and sorted query, header lines), SHA-256 and HMAC
//! over bytes, and Unix time as their dates.

use super::tsig::Algorithm;
use crate::provider::web::encode_bytes;
use crate::provider::Http;
use sha2::{Digest, Sha256};

/// The last second that a date of four-digit years has: 31 December 9999.
const LAST: u64 = 253_402_300_799;

/// Pairs of texts, sorted.
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

/// Where a request goes to, in canonical form.
pub(super) struct Target {
    /// As in the Host header: in lower case, with a port that is not the scheme's own.
    pub(super) host: String,
    /// Encoded as the caller had it, `/` at least.
    pub(super) path: String,
    /// Encoded strictly (all but unreserved characters) and sorted.
    pub(super) query: String,
    /// The encoded value of the parameter `Action`, if it was taken out.
    pub(super) action: String,
}

impl Target {
    /// Brings the URL of a request into canonical form and takes it apart; if `take`, the parameter `Action` is taken
    /// out of it. Of a faulty URL (which is refused when it is to be sent) any pieces.
    pub(super) fn settle(http: &mut Http, order: Order, take: bool) -> Target {
        let (scheme, rest) = http.url.split_once("://").unwrap_or_default();
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = target.split_at(target.find('/').unwrap_or(target.len()));
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(own_port).unwrap_or(host).to_ascii_lowercase();
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        let (query, action) = sorted(query, order, take);
        let mark = if query.is_empty() { "" } else { "?" };
        http.url = [scheme, "://", &host, &path, mark, &query].concat();
        Target { host, path, query, action }
    }
}

/// A query encoded strictly and sorted; and the value of the parameter `Action` which, if `take`, is left out of it.
fn sorted(query: &str, order: Order, take: bool) -> (String, String) {
    let (mut pairs, mut action) = (Pairs::new(), String::new());
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (name, value) = (normal(name, ""), normal(value, ""));
        if take && name == "Action" {
            action = value;
            continue;
        }
        let place = [name.as_str(), if order == Order::Joined { "=" } else { "\0" }, &value].concat();
        // A character for each byte, for that keeps the order of the bytes.
        let decoded = || decode(&place).into_iter().map(char::from).collect();
        let place = if order == Order::Decoded { decoded() } else { place };
        insert(&mut pairs, place, [&name, "=", &value].concat());
    }
    let mut out = String::new();
    for (_, piece) in &pairs {
        push(&mut out, '&', piece);
    }
    (out, action)
}

/// Puts a pair where it belongs by its first text, after those that are alike.
fn insert(pairs: &mut Pairs, place: String, text: String) {
    let at = pairs.iter().position(|(other, _)| *other > place).unwrap_or(pairs.len());
    pairs.insert(at, (place, text));
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
    let mut bytes = Vec::new();
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
    let mut out = String::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if path.ends_with('/') || out.is_empty() {
        out.push('/');
    }
    out
}

/// The headers to be signed, by their names in lower case, sorted: the host, `content-type`, and those that begin with
/// `own`. Values of one name are joined by commas.
pub(super) fn headers(http: &Http, host: &str, own: &str) -> Pairs {
    let mut out: Pairs = vec![("host".to_owned(), host.to_owned())];
    for (name, value) in &http.headers {
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        match out.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None if name == "content-type" || name.starts_with(own) => {
                insert(&mut out, name, value.to_owned());
            }
            None => {}
        }
    }
    out
}

/// Adds headers to a request; a name or value that is empty stands for none. What cannot be sent (control characters)
/// is refused when it is to be sent, as it is in any header.
#[inline(never)]
pub(super) fn add(http: &mut Http, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        if !name.is_empty() && !value.is_empty() {
            http.headers.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
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
    pub(super) fn of(method: &str, path: &str, query: &str, headers: &Pairs, hash: &str) -> Canonical {
        let lines = lines(headers);
        let names = names(headers);
        let text = [method, "\n", path, "\n", query, "\n", &lines, "\n", &names, "\n", hash].concat();
        Canonical { text, names }
    }
}

/// Headers as lines, each with its end.
pub(super) fn lines(headers: &Pairs) -> String {
    let mut out = String::new();
    for (name, value) in headers {
        for piece in [name, ":", value, "\n"] {
            out.push_str(piece);
        }
    }
    out
}

/// The names of headers, joined by semicolons.
pub(super) fn names(headers: &Pairs) -> String {
    let mut out = String::new();
    for (name, _) in headers {
        push(&mut out, ';', name);
    }
    out
}

/// Appends a piece, after `mark` if it is not the first.
#[inline(never)]
pub(super) fn push(out: &mut String, mark: char, piece: &str) {
    if !out.is_empty() {
        out.push(mark);
    }
    out.push_str(piece);
}

/// SHA-256 in lower-case hexadecimal digits.
#[inline(never)]
pub(super) fn sha256(text: &str) -> String {
    hex(&hash(text))
}

/// SHA-256.
pub(super) fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// HMAC-SHA256.
#[inline(never)]
pub(super) fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Algorithm::Sha256.mac(key, &[text.as_bytes()])
}

/// The key that is derived from a secret by HMAC, step by step.
pub(super) fn derive(secret: &str, steps: &[&str]) -> Vec<u8> {
    let mut key = secret.as_bytes().to_vec();
    for step in steps {
        key = mac(&key, step);
    }
    key
}

/// Lower-case hexadecimal digits.
#[inline(never)]
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
        }
    }
    out
}

/// Unix time as `2026-01-02T03:04:05Z`, or without `marks` as `20260102T030405Z` (Hinnant's days_from_civil, turned
/// round).
#[inline(never)]
pub(crate) fn stamp(unix: u64, marks: bool) -> String {
    let unix = unix.min(LAST);
    // 32 bits hold either, and small processors divide no more at once.
    let (days, seconds) = ((unix / 86_400) as u32 + 719_468, (unix % 86_400) as u32);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    let fields = [year / 100, year % 100, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60];
    let mut out = String::new();
    for (field, mark) in fields.into_iter().zip(" --T::Z".chars()) {
        for digit in [field / 10, field % 10] {
            out.push(char::from(b'0' + digit as u8));
        }
        if mark.is_ascii_alphabetic() || (marks && mark != ' ') {
            out.push(mark);
        }
    }
    out
}

#[cfg(test)]
mod tests;
