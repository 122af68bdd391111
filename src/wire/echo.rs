//! What a web witness answers: an HTTP/1.1 reply of at most [`BODY_CAP`] (RFC 9112 sections 6 and 7), and in it exactly
//! one address, whatever stands around it.

use super::http::{self, Protocol};
use crate::model::Family;
use std::net::IpAddr;
use std::time::Duration;

/// The most bytes of a body. An address has 39.
pub const BODY_CAP: usize = 4 * 1024;
/// The most bytes of a whole reply, with the lines that chunks add.
pub const CAP: usize = http::CAP + 2 * BODY_CAP;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The address stands anywhere: alone, in JSON, in a sentence.
    Anywhere,
    /// Behind `ip=` in a line of its own (Cloudflare's trace, which names its server's address too).
    Trace,
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub code: u16,
    /// `Retry-After` in seconds (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: String,
}

/// Reads a reply whose connection has ended. `torn`: it ended without an orderly close.
///
/// # Errors
/// In plain words, what is wrong with it.
pub fn reply(bytes: &[u8], torn: bool) -> Result<Reply, &'static str> {
    const CUT: &str = "its answer is cut off";
    let (head, used) = http::read(bytes, Protocol::Http)?.ok_or(CUT)?;
    let rest = bytes.get(used..).unwrap_or_default();
    let value = |name| head.values(name).map(str::trim).next();
    let chunked = value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = match value("content-length").map(str::parse::<usize>) {
        _ if chunked => join(rest).ok_or("its chunks make no sense")?,
        Some(Err(_)) => return Err("its length makes no sense"),
        Some(Ok(length)) if length > BODY_CAP => return Err(LONG),
        Some(Ok(length)) => rest.get(..length).ok_or(CUT)?.to_vec(),
        None if torn => return Err(CUT),
        None => rest.to_vec(),
    };
    if body.len() > BODY_CAP {
        return Err(LONG);
    }
    let retry_after = value("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
    Ok(Reply { code: head.code, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Why a longer answer is not taken.
pub const LONG: &str = "its answer is longer than 4 KiB";

/// The chunks' content (RFC 9112 section 7.1); `None` if the last one is missing.
fn join(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size =
            usize::from_str_radix(line.split(';').next()?.trim(), 16).ok().filter(|size| *size <= CAP)?;
        if size == 0 {
            return Some(body);
        }
        let chunk = rest.get(end + 2..)?;
        body.extend(chunk.get(..size)?);
        rest = chunk.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// The one address of this family in a text. An address that is part of something longer is none.
///
/// # Errors
/// In plain words: there is none, or more than one.
pub fn address(text: &str, shape: Shape, family: Family) -> Result<IpAddr, &'static str> {
    let found = match shape {
        Shape::Trace => {
            text.lines().filter_map(|line| line.strip_prefix("ip=")?.trim().parse().ok()).collect()
        }
        Shape::Anywhere => tokens(text, family),
    };
    let mut found = found.into_iter().filter(|addr: &IpAddr| Family::of(*addr) == family);
    let first = found.next().ok_or("its answer holds no address of this family")?;
    match found.all(|other| other == first) {
        true => Ok(first),
        false => Err("its answer holds more than one address"),
    }
}

fn tokens(text: &str, family: Family) -> Vec<IpAddr> {
    let part = |c: char| match family {
        Family::V4 => c.is_ascii_digit() || c == '.',
        Family::V6 => c.is_ascii_hexdigit() || c == ':' || c == '.',
    };
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut found = Vec::new();
    let mut before = None;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        let stands_alone = !before.is_some_and(word) && !after.chars().next().is_some_and(word);
        if let Some(addr) = token.trim_end_matches('.').parse().ok().filter(|_| stands_alone) {
            found.push(addr);
        }
        before = token.chars().next_back().or(Some(first));
        rest = if token.is_empty() { rest.get(first.len_utf8()..).unwrap_or_default() } else { after };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(text: &str) -> Result<String, &'static str> {
        address(text, Shape::Anywhere, Family::V4).map(|addr| addr.to_string())
    }

    #[test]
    fn one_address_whatever_stands_around_it() {
        for text in [
            "93.184.216.34",
            "93.184.216.34\r\n",
            "{\"ip\":\"93.184.216.34\"}",
            "{\"ret\":\"ok\",\"data\":{\"ip\":\"93.184.216.34\",\"location\":[\"中国\",\"\"]}}",
            "当前 IP：93.184.216.34  来自于：中国 北京",
            "<html><body>Current IP Address: 93.184.216.34</body></html>",
            "Detected IP : 93.184.216.34.",
            "93.184.216.34 and again 93.184.216.34",
            "IP:93.184.216.34",
        ] {
            assert_eq!(v4(text).as_deref(), Ok("93.184.216.34"), "{text}");
        }
        let v6 = |text: &str| address(text, Shape::Anywhere, Family::V6).map(|addr| addr.to_string());
        assert_eq!(v6("{\"ip\":\"2A00:1450::1\"}").as_deref(), Ok("2a00:1450::1"));
        assert!(v6("at 12:30:45 it was 93.184.216.34").is_err() && v4("2a00:1450::1").is_err());
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "11.22.33.445",
            "1.2.3.4.5",
            "nginx/1.2.1",
            "v93.184.216.34",
            "93.184.216.34-beta",
            "93.184.216.34x",
            "093.184.216.34",
            "gateway 192.168.1.1 and 93.184.216.34",
            "1.1.1.1 93.184.216.34",
        ] {
            assert!(v4(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_trace_names_its_server_first() {
        let text = "fl=1f1\nh=1.1.1.1\nip=93.184.216.34\nts=1.2\nvisit_scheme=https\nuag=x ip=9.9.9.9\n";
        let found = address(text, Shape::Trace, Family::V4).unwrap();
        assert_eq!(found.to_string(), "93.184.216.34");
        assert!(address("h=1.1.1.1\n", Shape::Trace, Family::V4).is_err());
        assert!(address("ip=8.8.4.4\nip=9.9.9.9\n", Shape::Trace, Family::V4).is_err());
    }

    #[test]
    fn replies_are_whole_or_none() {
        let body = |text: &str, torn| reply(text.as_bytes(), torn).map(|reply| (reply.code, reply.body));
        let long =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {0}\r\n\r\n{1}", BODY_CAP, "x".repeat(BODY_CAP));
        assert_eq!(body(&long, true).unwrap().1.len(), BODY_CAP);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n1.2.3.4", false), Ok((200, "1.2.3.4".into())));
        assert!(body("HTTP/1.1 200 OK\r\n\r\n1.2.3.4", true).is_err());
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n1.2\r\n4;x=y\r\n.3.4\r\n0\r\n\r\n";
        assert_eq!(body(chunks, true), Ok((200, "1.2.3.4".into())));
        for end in 0..chunks.len() - 4 {
            assert!(body(&chunks[..end], true).is_err(), "cut at {end}");
        }
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1.2.3.4",
            "HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n1.2.3.4",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n1",
            "SSH-2.0-x\r\n",
        ] {
            assert!(body(bad, false).is_err(), "{bad}");
        }
        let busy = "HTTP/1.1 429 Too Many\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reply(busy.as_bytes(), false).unwrap().retry_after, Some(Duration::from_secs(120)));
    }
}
