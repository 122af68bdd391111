//! A service that has no file of its own: the owner writes the request, and which words mean success.
//! Takes the placeholders of OpenWrt's ddns-scripts too.

use super::web::{encode, garbled, http_failure, one_by_one};
use super::{url, Ask, Entry, Failure, Http, Job, Kind, Outcome, ProviderOption, Reply, Update, Wanted};
use crate::model::Family;
use crate::wire::json;
use std::time::Duration;

/// The row of this provider.
pub const ENTRY: Entry = Entry {
    name: "custom",
    title: "Any service with a web address",
    url: "https://github.com/porchlight-agent/porchlight",
    options: &[
        ProviderOption::required(
            "url",
            "The request's address, with {domain}, {ip}, {family} (ipv4, ipv6), {rtype} (A, AAAA), {username}, \
             {password}, {token}; [DOMAIN], [IP], [USERNAME], [PASSWORD] do as well. USER:PASSWORD@ before the \
             host becomes a header.",
        ),
        ProviderOption::plain("method", "GET (default), POST, PUT or PATCH."),
        ProviderOption::plain("header", "A list of 'Name: value', with the same placeholders."),
        ProviderOption::plain("body", "What is sent, with the same placeholders; JSON if it begins with { or [, else a form."),
        ProviderOption::plain(
            "answer",
            "Words separated by | of which one must stand in the answer, as a whole word, in upper or lower \
             case; * stands for anything. Unset: any answer with a status 2xx is success.",
        ),
        ProviderOption::plain("username", "For {username}."),
        ProviderOption::secret("password", "For {password}.").optional(),
        ProviderOption::secret("token", "For {token}.").optional(),
    ],
    families: &Family::BOTH,
    reads: false,
    floor: 60,
    update: Update::Own(|job, ask| Ok(one_by_one(&job.records, &mut |wanted| update_one(job, wanted, ask)))),
};

/// Wait after 429 without a waiting time.
const WAIT: Duration = Duration::from_secs(600);
/// The most bytes of a request's address, a header or a body after the placeholders are filled in.
const MAX_PART: usize = 16_384;

/// One request for a record.
fn update_one(job: &Job, wanted: &Wanted, ask: &mut Ask) -> Result<Outcome, Failure> {
    let reply = ask(request(job, wanted)?.into())?;
    if let Some(failure) = http_failure(&reply, job.now, WAIT) {
        // The words of dyndns2 say more than a status.
        return Err(url::told_failure(&reply.text()).unwrap_or(failure));
    }
    match job.option("answer") {
        Some(answer) if !matches(answer, &reply.text()) => Err(unexpected(&reply)),
        _ => Ok(Outcome::Updated),
    }
}

/// The failure for an answer in which no word of `option answer` stands.
fn unexpected(reply: &Reply) -> Failure {
    url::told_failure(&reply.text()).unwrap_or_else(|| {
        let failure = garbled(reply);
        let text = format!("no word of option answer stands in it; {}", failure.text);
        failure.saying(text)
    })
}

/// The request, with the placeholders filled in.
fn request(job: &Job, wanted: &Wanted) -> Result<Http, Failure> {
    let template = Template {
        url: job.option("url").ok_or_else(|| refused("option url is not set"))?,
        method: job.option("method").unwrap_or("GET"),
        header: job.option("header").unwrap_or_default(),
        body: job.option("body"),
    };
    template.fill(&|name| value(job, wanted, name))
}

/// What stands for a placeholder; `None` if it is none.
pub(crate) type Value<'a> = dyn Fn(&str) -> Result<Option<String>, Failure> + 'a;

/// A request that somebody wrote, with placeholders: `{name}` or `[name]`.
pub(crate) struct Template<'a> {
    /// `USER:PASSWORD@` before the host becomes a header.
    pub(crate) url: &'a str,
    /// In upper or lower case.
    pub(crate) method: &'a str,
    /// A line each.
    pub(crate) header: &'a str,
    /// JSON if it begins with `{` or `[`, else a form, if no header says what it is.
    pub(crate) body: Option<&'a str>,
}

impl Template<'_> {
    /// The request. Each value is encoded for where it stands.
    ///
    /// # Errors
    /// [`Kind::Refused`] for an option that cannot be worked with, named; and those of `value`.
    pub(crate) fn fill(&self, value: &Value) -> Result<Http, Failure> {
        let (url, login) = split_login(self.url)?;
        let mut http = Http::new(method(self.method)?, fill(&url, value, Place::Url)?).writes();
        if let Some((user, password)) = login {
            let open = |part: &str| Ok::<_, Failure>(decode(&fill(part, value, Place::Url)?));
            http = http.basic(&open(&user)?, &open(&password)?);
        }
        for line in self.header.lines() {
            let (name, text) =
                line.split_once(':').ok_or_else(|| refused("option header must be 'Name: value'"))?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                return Err(refused("option header must be 'Name: value'"));
            }
            let text = fill(text.trim(), value, Place::Plain)?;
            if text.chars().any(char::is_control) {
                return Err(refused("option header must be one line of printable text"));
            }
            http = http.header(name, text);
        }
        if let Some(body) = self.body {
            let typed = http.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            // A placeholder at its beginning is no beginning of JSON.
            let start = body.trim_start();
            let is_json = start.starts_with(['{', '[']) && placeholder(start, value)?.is_none();
            let place = match typed {
                _ if is_json => Place::Json,
                Some((_, kind)) if kind.contains("json") => Place::Json,
                Some((_, kind)) if !kind.starts_with("application/x-www-form-urlencoded") => Place::Plain,
                _ => Place::Url,
            };
            let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
            http = if typed.is_none() { http.header("Content-Type", kind) } else { http };
            http.body = fill(body, value, place)?;
        }
        Ok(http)
    }
}

/// An option that cannot be worked with.
fn refused(text: &str) -> Failure {
    Failure::new(Kind::Refused, text)
}

/// `option method`.
fn method(method: &str) -> Result<&'static str, Failure> {
    let known = ["GET", "POST", "PUT", "PATCH"].into_iter().find(|known| known.eq_ignore_ascii_case(method));
    known.ok_or_else(|| refused("option method must be GET, POST, PUT or PATCH"))
}

/// Takes `user:password@` out of an address.
fn split_login(url: &str) -> Result<(String, Option<(String, String)>), Failure> {
    let wrong = || refused("option url must begin with https:// or http://");
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    if !["https", "http"].contains(&scheme) {
        return Err(wrong());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Ok(match authority.rsplit_once('@') {
        None => (url.to_owned(), None),
        Some((login, host)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (format!("{scheme}://{host}{path}"), Some((user.to_owned(), password.to_owned())))
        }
    })
}

/// Where a value is put, and so how it is written.
#[derive(Clone, Copy)]
enum Place {
    /// Percent-encoded.
    Url,
    /// Escaped as within a JSON string.
    Json,
    /// As it is.
    Plain,
}

/// Fills the placeholders of a template. Other braces and brackets stay.
fn fill(template: &str, value: &Value, place: Place) -> Result<String, Failure> {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '[']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match placeholder(from, value)? {
            Some((text, length)) => {
                match place {
                    // The colons of an IPv6 address need no encoding.
                    Place::Url => encode(&text, ":", &mut out),
                    Place::Json => json::escape(&text, &mut out),
                    Place::Plain => out.push_str(&text),
                }
                rest = from.get(length..).unwrap_or("");
            }
            None => {
                out.push_str(from.get(..1).unwrap_or(""));
                rest = from.get(1..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    if out.len() > MAX_PART {
        return Err(refused("the request is too long with its placeholders filled in"));
    }
    Ok(out)
}

/// The value of the placeholder that begins a text, and the placeholder's length; `None` if none does.
fn placeholder(text: &str, value: &Value) -> Result<Option<(String, usize)>, Failure> {
    let close = if text.starts_with('{') { '}' } else { ']' };
    let Some(end) = text.find(close) else { return Ok(None) };
    let found = value(text.get(1..end).unwrap_or_default())?;
    Ok(found.map(|found| (found, end + 1)))
}

/// What stands for a placeholder of a record.
fn value(job: &Job, wanted: &Wanted, name: &str) -> Result<Option<String>, Failure> {
    Ok(Some(match name {
        "domain" | "DOMAIN" => wanted.id.domain.clone(),
        "ip" | "IP" => wanted.addr.to_string(),
        "rtype" => wanted.id.family.rtype().to_owned(),
        "family" => match wanted.id.family {
            Family::V4 => "ipv4".to_owned(),
            Family::V6 => "ipv6".to_owned(),
        },
        "username" | "USERNAME" => job.required("username")?.to_owned(),
        "password" | "PASSWORD" => job.secret("password")?.to_owned(),
        "token" => job.secret("token")?.to_owned(),
        _ => return Ok(None),
    }))
}

/// Undoes percent-encoding; what is not encoded stays.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match tail.get(..2) {
            Some(digits) if *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit) => {
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        rest = tail.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// True if one of the words of `answer` stands in `text`: see the option's description. A `*` at an end of
/// a word lifts the rule of the whole word there. Letters beyond ASCII count as they are written.
fn matches(answer: &str, text: &str) -> bool {
    let (answer, text) = (answer.to_ascii_lowercase(), text.to_ascii_lowercase());
    answer.split('|').map(str::trim).any(|word| !word.is_empty() && stands(word, &text))
}

/// True if a word, in lower case and with `*` for anything, stands in a text.
fn stands(word: &str, text: &str) -> bool {
    let pieces: Vec<&str> = word.split('*').collect();
    let last = pieces.len() - 1;
    let mut from = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let fits = |at: &usize| {
            (index > 0 || is_edge(text, *at)) && (index < last || is_edge(text, at + piece.len()))
        };
        if piece.is_empty() {
            continue;
        }
        let rest = text.get(from..).unwrap_or("");
        match rest.match_indices(piece).map(|(at, _)| from + at).find(fits) {
            Some(at) => from = at + piece.len(),
            None => return false,
        }
    }
    true
}

/// True if no word goes on from before a place of a text to behind it.
fn is_edge(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|head| head.chars().next_back());
    let after = text.get(at..).and_then(|tail| tail.chars().next());
    !(before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_words_of_any_case() {
        for (answer, text, expected) in [
            ("good|nochg", "good 192.0.2.1", true),
            ("good|nochg", "NOCHG", true),
            ("good", "goodness", false),
            ("good*", "goodness", true),
            ("ok", "a book", false),
            ("*ok", "a book", true),
            ("ok", "{\"status\":\"ok\"}", true),
            ("updated*192", "Updated host to 192.0.2.1", true),
            ("updated*193", "Updated host to 192.0.2.1", false),
            ("No change | Updated", "<b>no change</b>", true),
            ("a*b", "ab", true),
            ("*", "", true),
            ("|", "anything", false),
            ("é", "é", true),
            ("é", "É", false),
            ("ok", "nok ok", true),
        ] {
            assert_eq!(matches(answer, text), expected, "{answer:?} in {text:?}");
        }
    }

    #[test]
    fn logins_are_taken_out_of_addresses() {
        let split = |url: &str| split_login(url).unwrap();
        let login = Some(("[USERNAME]".to_owned(), "[PASSWORD]".to_owned()));
        assert_eq!(
            split("https://[USERNAME]:[PASSWORD]@x.test/u?a@b"),
            ("https://x.test/u?a@b".into(), login)
        );
        assert_eq!(split("http://x.test:8080?u=a@b"), ("http://x.test:8080?u=a@b".into(), None));
        assert_eq!(split("http://k@x.test"), ("http://x.test".into(), Some(("k".into(), String::new()))));
        assert_eq!(split("http://[2001:db8::1]:80/"), ("http://[2001:db8::1]:80/".into(), None));
        assert!(split_login("ftp://x").is_err());
        assert!(split_login("x.test/u").is_err());
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(decode("me%40x.org%"), "me@x.org%");
        assert_eq!(decode("%zz%c3%a9%4"), "%zzé%4");
    }
}
