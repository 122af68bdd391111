//! What the providers share: HTTP requests piece by piece, what a status means (RFC 9110), quoting,
//! and the way from one request a record to a verdict a record.

use super::{Failure, Http, Job, Kind, Outcome, Reply, Request, Verdicts, Wanted, CLOCK_FLOOR};
use base64ct::{Base64, Encoding};
use std::time::Duration;

/// The most characters of a reply that are shown to anyone.
pub const QUOTE: usize = 200;
/// The longest wait that a service may ask for.
pub const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// The clocks may differ by this many seconds and a signature is still good: the strictest services take five
/// minutes, and a request may be a minute on its way.
pub const MAX_SKEW: u64 = 240;

impl Http {
    /// A request that changes nothing, without headers and body.
    pub fn new(method: &'static str, url: impl Into<String>) -> Http {
        Http { method, url: url.into(), headers: Vec::new(), body: String::new(), write: false }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Http {
        Http::new("GET", url)
    }

    /// Adds parameters to the query, percent-encoded; `:` and `,` stay as they are, as the services' own
    /// examples have them.
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Http {
        for (key, value) in parameters {
            self.url.push(if self.url.contains('?') { '&' } else { '?' });
            encode(key, "", &mut self.url);
            self.url.push('=');
            encode(value, ":,", &mut self.url);
        }
        self
    }

    /// Adds a header. Control characters, which would begin another one, are left out.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Http {
        let mut value = value.into();
        value.retain(|c| !c.is_control());
        self.headers.push((name.to_owned(), value));
        self
    }

    /// Adds basic authentication (RFC 7617), to be sent unasked.
    pub fn basic(self, user: &str, password: &str) -> Http {
        let token = base64(format!("{user}:{password}").as_bytes());
        self.header("Authorization", format!("Basic {token}"))
    }

    /// Sets a JSON body.
    pub fn json(mut self, body: String) -> Http {
        self.body = body;
        self.header("Content-Type", "application/json")
    }

    /// Says that the request may change something.
    pub fn writes(mut self) -> Http {
        self.write = true;
        self
    }
}

impl From<Http> for Request {
    fn from(http: Http) -> Request {
        Request::Http(http)
    }
}

/// Bytes in base64 (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Appends a text percent-encoded (RFC 3986 section 2.1): all but unreserved characters and those of `also`.
pub fn encode(text: &str, also: &str, out: &mut String) {
    encode_bytes(text.as_bytes(), also, out);
}

/// The same, of bytes.
pub fn encode_bytes(bytes: &[u8], also: &str, out: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || also.as_bytes().contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

/// A piece of a reply as it may be shown: one line, at most [`QUOTE`] printable characters.
pub fn quote(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
            count += 1;
        }
        for c in word.chars() {
            if count >= QUOTE - 3 {
                return out + "...";
            }
            out.push(c);
            count += 1;
        }
    }
    out
}

/// What is wrong with the address of a server (`option url`), if anything: scheme, host, port and path are wanted, and
/// a query only where paths do not follow.
pub fn url_fault(url: &str, query: bool) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Some("must begin with https:// or http://");
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let port = match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port,
        _ => "1",
    };
    Some(match () {
        () if url.contains(|c: char| c.is_whitespace() || c.is_control()) => "must not hold blanks",
        () if url.contains('#') || !query && url.contains('?') => "must not hold a query or a fragment",
        () if host.contains('@') => "must not hold a user name or password; they have options of their own",
        () if host.is_empty() || host.starts_with(':') => "names no server",
        () if port.parse::<u16>().is_ok_and(|port| port > 0) => return None,
        () => "has a port that is no number from 1 to 65535",
    })
}

/// The service's base URL: `option url` where it is set, else `default`; without final slashes.
///
/// # Errors
/// [`Kind::Refused`] when the option is no web address.
pub fn base_url<'a>(job: &'a Job, default: &'a str) -> Result<&'a str, Failure> {
    match job.option("url").map(|url| (url, url_fault(url, false))) {
        Some((_, Some(fault))) => Err(Failure::new(Kind::Refused, format!("option url {fault}"))),
        Some((url, None)) => Ok(url.trim_end_matches('/')),
        None if default.is_empty() => Err(Failure::new(Kind::Refused, "option url is not set")),
        None => Ok(default.trim_end_matches('/')),
    }
}

/// How long the reply asks to wait (RFC 9110 section 10.2.3), at most [`MAX_WAIT`]. A date counts from
/// the reply's own date, else from `now` (Unix time).
pub fn retry_after(reply: &Reply, now: u64) -> Option<Duration> {
    let text = reply.header("retry-after")?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => u64::MAX,
        Err(_) => {
            let since = reply.header("date").and_then(http_date).unwrap_or(now);
            http_date(text)?.saturating_sub(since)
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// Unix time of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that is still sent
/// (RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(',')?.1.split_ascii_whitespace();
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 of a year that begins in March, so that the leap day is its last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    Some((days.checked_sub(719_468)? * 24 + hour) * 3600 + minute * 60 + second)
}

/// By how many seconds the service's clock is ahead of `now` (Unix time), as the reply's date says; negative where it
/// is behind. `None` for at most [`MAX_SKEW`], and without a date or with one that is surely wrong.
///
/// For a signed request that was refused: many services answer a signature of another time in the words that
/// they have for a wrong key.
pub fn skewed(reply: &Reply, now: u64) -> Option<i64> {
    let theirs = reply.header("date").and_then(http_date).filter(|date| *date >= CLOCK_FLOOR)?;
    let skew = i64::try_from(theirs).ok()?.checked_sub(i64::try_from(now).ok()?)?;
    (skew.unsigned_abs() > MAX_SKEW).then_some(skew)
}

/// The failure for clocks that differ, see [`skewed`]. It is tried again when the clock is set.
pub fn clock_failure(skew: i64) -> Failure {
    let (amount, unit) = match skew.unsigned_abs() {
        seconds @ ..60 => (seconds, "s"),
        seconds @ 60..7_200 => (seconds / 60, "min"),
        seconds @ 7_200..172_800 => (seconds / 3600, "h"),
        seconds => (seconds / 86_400, "days"),
    };
    let side = if skew < 0 { "ahead of" } else { "behind" };
    let text = format!(
        "this machine's clock is {amount} {unit} {side} the service's, which takes no signature of another time; \
         set it (by NTP), and it goes on by itself"
    );
    Failure::new(Kind::Clock, text)
}

/// What an HTTP status means where the service says nothing better; `None` for success (2xx).
/// `wait` is for 429 without a waiting time.
pub fn http_failure(reply: &Reply, now: u64, wait: Duration) -> Option<Failure> {
    let said = match quote(&reply.text()) {
        text if text.is_empty() || text.starts_with('<') => String::new(),
        text => format!(": {text}"),
    };
    let status = reply.status;
    let (kind, words) = match status {
        200..=299 => return None,
        300..=399 => {
            (Kind::Garbled, "a redirect, which is not followed; check option url, or log in to this network")
        }
        401 | 403 => {
            (Kind::Credentials, "access refused; check user name, password or token, and its rights")
        }
        404 => (Kind::NoSuchName, "not found; check the domain, or option url"),
        408 | 500..=599 => (Kind::Busy, "the service is in trouble; nothing to do here"),
        429 => (Kind::Busy, "too many requests"),
        _ => (Kind::Refused, "the request is refused"),
    };
    let failure = Failure::new(kind, format!("HTTP status {status}, {words}{said}"));
    let asked = retry_after(reply, now).or((status == 429).then_some(wait));
    Some(match asked {
        Some(wait) if kind == Kind::Busy => failure.after(wait),
        _ => failure,
    })
}

/// An answer that makes no sense, with the words that came.
pub fn garbled(reply: &Reply) -> Failure {
    match quote(&reply.text()) {
        text if text.is_empty() => Failure::new(Kind::Garbled, "the service gave an empty answer"),
        text => {
            Failure::new(Kind::Garbled, format!("the service gave an answer that makes no sense: {text}"))
        }
    }
}

/// The same failure for some records.
pub fn all_failed(records: &[&Wanted], failure: &Failure) -> Verdicts {
    records.iter().map(|wanted| (wanted.id.clone(), Err(failure.clone()))).collect()
}

/// True if what failed for one record fails for its neighbours of the same account too, so that
/// they need not be tried.
pub fn ends_account(kind: Kind) -> bool {
    match kind {
        Kind::NotReady | Kind::Unreachable | Kind::Busy | Kind::Unconfirmed => true,
        Kind::Credentials | Kind::Untrusted | Kind::Clock => true,
        Kind::NoSuchName | Kind::Refused | Kind::Garbled => false,
    }
}

/// The verdict on a record that was not tried because of a neighbour's failure.
pub fn not_tried(because: &Failure) -> Failure {
    // What was not sent has nothing to confirm.
    let mut failure = because.clone().saying(format!("not tried, since before it: {}", because.text));
    if because.kind == Kind::Unconfirmed {
        failure.kind = Kind::Unreachable;
    }
    failure
}

/// True for an answer that made no sense.
pub fn is_garbled(verdict: &Result<Outcome, Failure>) -> bool {
    matches!(verdict, Err(failure) if failure.kind == Kind::Garbled)
}

/// One request a record, each with its own verdict; after a failure of the whole account the rest is not tried,
/// nor after two answers in a row that make no sense: then it is not the service that answers.
pub fn one_by_one(
    records: &[Wanted],
    update_one: &mut dyn FnMut(&Wanted) -> Result<Outcome, Failure>,
) -> Verdicts {
    let mut ended: Option<Failure> = None;
    let mut garbled = false;
    let mut verdicts = Vec::with_capacity(records.len());
    for wanted in records {
        let verdict = match &ended {
            Some(failure) => Err(not_tried(failure)),
            None => update_one(wanted),
        };
        let again = std::mem::replace(&mut garbled, is_garbled(&verdict)) && garbled;
        if let (None, Err(failure)) = (&ended, &verdict) {
            ended = (again || ends_account(failure.kind)).then(|| failure.clone());
        }
        verdicts.push((wanted.id.clone(), verdict));
    }
    verdicts
}

#[cfg(test)]
mod tests;
