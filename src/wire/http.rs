//! HTTP's question for a resource, and the head of a reply in the form that RTSP shares: a status line and headers
//! (RFC 9112 sections 3 to 5, RFC 2326 sections 6 and 7), with the ways to log in (RFC 9110 section 11.6.1).

use crate::model::Scheme;
use std::fmt::Write;
use std::net::SocketAddr;

/// The most bytes of a head.
pub const CAP: usize = 8 * 1024;
/// The most lines of headers.
pub const MAX_HEADERS: usize = 64;
/// Who asks.
pub(super) const USER_AGENT: &str = concat!("porchlight/", env!("CARGO_PKG_VERSION"));

/// In which protocol a reply is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x.
    Http,
    /// RTSP/1.0 or 2.0.
    Rtsp,
}

impl Protocol {
    const BOTH: [Protocol; 2] = [Protocol::Http, Protocol::Rtsp];

    /// How a reply begins.
    fn mark(self) -> &'static [u8] {
        match self {
            Protocol::Http => b"HTTP/",
            Protocol::Rtsp => b"RTSP/",
        }
    }
}

/// A question for `path` (RFC 9112 section 3). The connection is to be closed after the answer.
pub fn get(target: SocketAddr, path: &str) -> String {
    let path = coded(path);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// A path as it may stand in a request's line: what is no visible ASCII becomes a percent code.
pub(super) fn coded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The head of a reply. Its texts are from outside, and not harmless to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code, three digits.
    pub code: u16,
    /// The words beside it; may be empty.
    pub reason: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The values of all headers of this name, in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// The best way to log in that is offered, of those that are known.
    pub fn scheme(&self) -> Option<Scheme> {
        let offered = |name| self.values("www-authenticate").any(|value| offers(value, name));
        match (offered("digest"), offered("basic")) {
            (true, _) => Some(Scheme::Digest),
            (_, true) => Some(Scheme::Basic),
            _ => None,
        }
    }
}

/// Reads a head from the bytes that have come so far, and says how many of them it took. `None`: more are needed.
/// Lines may end without a carriage return, and empty lines before the first are passed over.
///
/// # Errors
/// In plain words, what is there instead of a reply of this protocol, as soon as that is sure.
pub fn read(bytes: &[u8], expected: Protocol) -> Result<Option<(Head, usize)>, &'static str> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let text = bytes.get(blank..).unwrap_or_default();
    begins(text, expected)?;
    let Some(end) = end(text) else {
        return if bytes.len() >= CAP { Err(TOO_LONG) } else { Ok(None) };
    };
    if blank + end > CAP {
        return Err(TOO_LONG);
    }
    let text = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
    Ok(Some((parse(&text, expected)?, blank + end)))
}

const TOO_LONG: &str = "its answer's head is too long";
const TOO_MANY: &str = "its answer has too many headers";
const NO_HTTP: &str = "its answer is no HTTP";
const NO_RTSP: &str = "its answer is no RTSP";

fn garbled(expected: Protocol) -> &'static str {
    match expected {
        Protocol::Http => NO_HTTP,
        Protocol::Rtsp => NO_RTSP,
    }
}

/// Whether these are the first bytes of a reply, or may become it.
fn begins(bytes: &[u8], expected: Protocol) -> Result<(), &'static str> {
    match bytes.first() {
        // RFC 2326 section 10.12: an interleaved frame.
        Some(b'$') => return Err("it sends a stream that was not asked for"),
        // RFC 8446 section 5.1: an alert or a handshake.
        Some(0x15 | 0x16) => return Err("it speaks TLS at that port, and is asked in clear text only"),
        _ => {}
    }
    let may_be = |protocol: &Protocol| bytes.iter().zip(protocol.mark()).all(|(byte, mark)| byte == mark);
    match Protocol::BOTH.iter().find(|protocol| may_be(protocol)) {
        None => Err(garbled(expected)),
        Some(_) if may_be(&expected) || bytes.len() < expected.mark().len() => Ok(()),
        Some(Protocol::Http) => Err("it speaks HTTP at that port, not RTSP (option probe 'http')"),
        Some(Protocol::Rtsp) => Err("it speaks RTSP at that port, not HTTP (option probe 'rtsp')"),
    }
}

/// Where the head ends: behind the first empty line.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line == b"\n" || line == b"\r\n" {
            return Some(at);
        }
    }
    None
}

fn parse(text: &str, expected: Protocol) -> Result<Head, &'static str> {
    let mut lines = text.lines();
    let (code, reason) = lines.next().and_then(status).ok_or(garbled(expected))?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if count == MAX_HEADERS {
            return Err(TOO_MANY);
        }
        match (line.split_once(':'), headers.last_mut()) {
            // RFC 9112 section 5.2: the line before goes on.
            (_, Some((_, value))) if line.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (Some((name, value)), _) => headers.push((name.trim().into(), value.trim().into())),
            (None, _) => {}
        }
    }
    Ok(Head { code, reason: reason.into(), headers })
}

/// The code and the reason of a status line. The protocol's mark has been seen already.
fn status(line: &str) -> Option<(u16, &str)> {
    let (_, version) = line.split_once('/')?;
    let (version, rest) = version.split_once(' ')?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (major, minor) = version.split_once('.')?;
    if !digits(major) || !digits(minor) || !digits(code) || code.len() != 3 {
        return None;
    }
    Some((code.parse().ok()?, reason.trim()))
}

/// Whether a header's challenges, one or several, include this scheme. A comma parts challenges as well as the
/// parameters of one: a parameter has an equals sign behind its name.
fn offers(value: &str, scheme: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let mut pieces = value.split(|c| {
        let plain = !std::mem::take(&mut escaped);
        match c {
            '\\' if quoted => escaped = plain,
            '"' if plain => quoted = !quoted,
            _ => {}
        }
        c == ',' && !quoted
    });
    pieces.any(|piece| {
        let piece = piece.trim();
        let (name, rest) = piece.split_at(piece.find([' ', '\t', '=']).unwrap_or(piece.len()));
        name.eq_ignore_ascii_case(scheme) && !rest.trim_start().starts_with('=')
    })
}

#[cfg(test)]
mod tests;
