//! Reading answers: paths into a tree, and what an answer means.

use super::{Means, Says, Service};
use crate::provider::web::{clock_failure, garbled, http_failure, quote, retry_after, skewed};
use crate::provider::{Failure, Kind, Reply};
use crate::wire::json::Json;
use crate::wire::xml;
use std::time::Duration;

/// Wait after too many requests, where the service names no time.
const WAIT: Duration = Duration::from_secs(60);

/// Why a request failed, and what the service meant.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// What the service said, where it said so in its own words.
    pub(super) means: Means,
    /// The answer's HTTP status; 0 if there was none.
    pub(super) status: u16,
    /// The same of each item of a batch, `None` where it is good; empty where the service does not say so.
    pub(super) each: Vec<Option<Failure>>,
}

impl Trouble {
    /// True if a zone is not there. A status without words may say so of a list; of one record it has words.
    pub(super) fn no_zone(&self) -> bool {
        self.means == Means::NoZone || self.means == Means::NoName && self.status == 404
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure, means: Means::Refused, status: 0, each: Vec::new() }
    }
}

/// A string or a whole number as text.
pub(super) fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::Str(text) => Some(text.to_string()),
        Json::Int(number) => Some(number.to_string()),
        Json::Bool(value) => Some(String::from(if *value { "true" } else { "false" })),
        _ => None,
    }
}

/// A field's text. A path that begins with `#` leads to a number, with `~` to a number or a string, any other to a
/// string; nothing else will do.
pub(super) fn field(json: &Json, path: &str) -> Option<String> {
    let value = first(json, path.trim_start_matches(['#', '~']));
    match path.as_bytes().first() {
        Some(b'~') => scalar(value),
        Some(b'#') => value.num().map(|number| number.to_string()),
        _ => value.str().map(str::to_owned),
    }
}

/// A zone's name: labels from some paths (`subdomain,domain`), those that are empty left out. After `?` it may be null.
pub(super) fn named(json: &Json, paths: &str) -> Option<String> {
    let parts: Option<Vec<String>> =
        paths.trim_start_matches('?').split(',').map(|path| field(json, path)).collect();
    Some(parts?.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("."))
}

/// True if a path ends at an object that has no such key.
pub(super) fn missing(json: &Json, path: &str) -> bool {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    match json {
        Json::Object(entries) => match entries.iter().rev().find(|(key, _)| **key == *step) {
            Some((_, value)) => missing(value, rest),
            None => !matches!(step, "" | "*" | "%" | "&"),
        },
        _ => false,
    }
}

/// What the first of some paths leads to (`error.code|code`); null if none does.
pub(super) fn first<'a>(json: &'a Json, paths: &str) -> &'a Json {
    let mut found = Vec::new();
    for path in paths.split('|') {
        if gather(json, path, &mut found) {
            if let Some(value) = found.first().filter(|value| !value.is_null()) {
                return value;
            }
        }
        found.clear();
    }
    &Json::Null
}

/// Everything that a path leads to: keys and places with dots between, `*` for each element of an array, `%` for each
/// value of an object that has some, `&` for each element in one of XML, which may be empty. False where the tree has
/// another form.
pub(super) fn gather<'a>(json: &'a Json, path: &str, out: &mut Vec<&'a Json>) -> bool {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    match (step, json) {
        ("", _) => {
            out.push(json);
            true
        }
        ("*", Json::Array(items)) => items.iter().all(|item| gather(item, rest, out)),
        ("%", Json::Object(entries)) if !entries.is_empty() => {
            entries.iter().all(|(_, item)| gather(item, rest, out))
        }
        ("&", Json::Object(entries)) => entries.iter().all(|(_, item)| gather(item, rest, out)),
        ("*" | "%" | "&", _) => false,
        (key, Json::Object(_)) => {
            let value = json.get(key);
            !value.is_null() && gather(value, rest, out)
        }
        (place, Json::Array(items)) => {
            let item = place.parse::<usize>().ok().and_then(|place| items.get(place));
            item.is_some_and(|item| gather(item, rest, out))
        }
        _ => false,
    }
}

/// An answer's tree, if the service says yes.
pub(super) fn judge(service: &Service, reply: &Reply, now: u64) -> Result<Json, Trouble> {
    let text = reply.text();
    let text = text.trim_start_matches('\u{feff}').trim();
    let well = (200..300).contains(&reply.status);
    let json = match text.as_bytes().first() {
        None => Some(Json::Null),
        Some(b'<') if service.special.xml => xml::parse(text),
        Some(_) => Json::parse(text).ok(),
    };
    let Some(json) = json else {
        return Err(http_failure(reply, now, WAIT).unwrap_or_else(|| garbled(reply)).into());
    };
    let yes = match service.says {
        Says::Status => true,
        Says::Is(path, words) => {
            let bare = path.trim_start_matches('#');
            let value = first(&json, bare);
            let is_one = |is: &str| words.split('|').any(|word| word == is);
            // Without a code, or with one of another type than ever, it is something else that answers.
            let odd = match value {
                Json::Null => bare == service.code && !is_one(""),
                Json::Bool(_) => !words.contains("true"),
                value => scalar(value).is_none() || (bare != path && value.num().is_none()),
            };
            if well && odd {
                return Err(garbled(reply).into());
            }
            match value {
                Json::Null => is_one(""),
                value => scalar(value).is_some_and(|is| is_one(&is)),
            }
        }
        Says::No(path) => matches!(first(&json, path), Json::Null) || first(&json, path).str() == Some(""),
    };
    if well && yes {
        return Ok(json);
    }
    let code = match service.code {
        "" => String::new(),
        path => scalar(first(&json, path)).unwrap_or_default(),
    };
    let words = first(&json, service.text).str().unwrap_or_default().to_owned();
    if code.is_empty() && words.is_empty() && (well || (300..400).contains(&reply.status)) {
        return Err(http_failure(reply, now, WAIT).unwrap_or_else(|| garbled(reply)).into());
    }
    let mut whole = trouble(service, reply, now, &code, &words);
    if service.special.each && matches!(whole.failure.kind, Kind::Refused | Kind::NoSuchName) {
        let of = |item: &Json| {
            let words = scalar(first(item, service.text)).unwrap_or_default();
            trouble(service, reply, now, "", &words).failure
        };
        let bad = |item: &Json| *item != Json::Object(Vec::new());
        whole.each = json.items().iter().map(|item| bad(item).then(|| of(item))).collect();
    }
    Err(whole)
}

/// What the service's code and words mean.
fn trouble(service: &Service, reply: &Reply, now: u64, code: &str, words: &str) -> Trouble {
    let by_status = http_failure(reply, now, WAIT);
    let means = meaning(service.codes, code, words).or(match &by_status {
        // A refusal by status is what it is; success and 400 may hold a code that all services have.
        Some(failure) if !matches!(reply.status, 400 | 403) => match failure.kind {
            Kind::Credentials => Some(Means::Auth),
            Kind::NoSuchName if !code.is_empty() || !words.is_empty() => Some(Means::Absent),
            Kind::NoSuchName => Some(Means::NoName),
            Kind::Busy => Some(Means::Busy(0)),
            Kind::Garbled => Some(Means::Garbled),
            _ => None,
        },
        _ => None,
    });
    let means = means.or_else(|| meaning(COMMON, code, words)).unwrap_or(match reply.status {
        403 => Means::Auth,
        _ => Means::Refused,
    });
    let (mut said, words) = (quote(code), quote(words));
    if code.is_empty() && words.is_empty() {
        said = format!("HTTP status {}", reply.status);
    } else if !code.is_empty() && !words.is_empty() {
        said.push_str(": ");
    }
    said.push_str(&words);
    let (kind, mend) = means.for_the_owner();
    if service.sign.is_some() && kind == Kind::Credentials {
        if let Some(seconds) = skewed(reply, now) {
            let mut failure = clock_failure(seconds);
            failure.text = format!("{said}; {}", failure.text);
            return Trouble { means: Means::Clock, status: reply.status, ..failure.into() };
        }
    }
    let mut failure = Failure::new(kind, format!("{said}; {mend}"));
    if kind == Kind::Busy {
        let seconds = if let Means::Busy(seconds) = means { u64::from(seconds) } else { 0 };
        let said = (seconds > 0).then_some(Duration::from_secs(seconds));
        let by_status = by_status.and_then(|failure| failure.retry_after);
        failure.retry_after = retry_after(reply, now).or(said).or(by_status);
    }
    Trouble { means, status: reply.status, ..failure.into() }
}

/// The meaning of the first row that fits: its text begins the code, or, after `=`, is the code, or, after `~`, stands
/// in the words.
fn meaning(rows: &[(&str, Means)], code: &str, words: &str) -> Option<Means> {
    let fits = |row: &str| match row.split_at_checked(1) {
        Some(("~", part)) => words.to_ascii_lowercase().contains(part),
        Some(("=", whole)) => code == whole,
        _ => !code.is_empty() && code.starts_with(row),
    };
    rows.iter().find(|(row, _)| fits(row)).map(|(_, means)| *means)
}

/// Codes that mean the same at all services that have them.
const COMMON: &[(&str, Means)] = &[
    ("Throttling", Means::Busy(60)),
    ("RequestLimitExceeded", Means::Busy(60)),
    ("rate_limit", Means::Busy(60)),
    ("too_many_requests", Means::Busy(60)),
    ("ServiceUnavailable", Means::Busy(0)),
    ("Internal", Means::Busy(0)),
    ("RequestExpired", Means::Clock),
    ("ExpiredToken", Means::Auth),
    ("SignatureDoesNotMatch", Means::Auth),
    ("InvalidAccessKey", Means::Auth),
    ("AccessDenied", Means::Auth),
    ("Unauthorized", Means::Auth),
    ("unauthorized", Means::Auth),
    ("forbidden", Means::Auth),
    ("Forbidden", Means::Auth),
    ("not_found", Means::Absent),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_fields_of_their_type() {
        let json = Json::parse(r#"{"a":[{"b":"x"},{"b":"y"}],"n":7,"o":{"1":{"b":"z"}},"e":[]}"#).unwrap();
        let all = |path: &str| {
            let mut out = Vec::new();
            gather(&json, path, &mut out)
                .then(|| out.iter().map(|value| value.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(all("a.*.b").unwrap(), ["\"x\"", "\"y\""]);
        assert_eq!(all("o.%.b").unwrap(), ["\"z\""]);
        assert_eq!(all("e.*").unwrap(), [""; 0]);
        assert_eq!(all("a.1.b").unwrap(), ["\"y\""]);
        for other in ["n.*", "o.*", "a.%", "a.*.c", "a.2", "x"] {
            assert_eq!(all(other), None, "{other}");
        }
        assert_eq!(field(&json, "#n").as_deref(), Some("7"));
        assert_eq!((field(&json, "n"), field(&json, "#a.0.b")), (None, None));
        assert_eq!((field(&json, "~n"), field(&json, "~a.1.b")), (Some("7".into()), Some("y".into())));
        assert_eq!((field(&json, "~a"), field(&json, "~q")), (None, None));
        assert_eq!(first(&json, "q|a.9.b|a.0.b").str(), Some("x"));
    }

    #[test]
    fn only_a_key_that_is_not_there_is_missing() {
        let json = Json::parse(r#"{"a":{"b":null,"c":{},"d":7}}"#).unwrap();
        for path in ["x", "a.x", "a.x.*", "a.c.x"] {
            assert!(missing(&json, path), "{path}");
        }
        for path in ["", "a", "a.b", "a.b.x", "a.c.*", "a.c.%", "a.d", "a.d.x"] {
            assert!(!missing(&json, path), "{path}");
        }
        assert!(!missing(&Json::Null, "x"));
        // Of two with the same name the last counts, as everywhere.
        let json = Json::parse(r#"{"a":{"b":7},"a":{"c":7}}"#).unwrap();
        assert!(missing(&json, "a.b") && !missing(&json, "a.c"));
    }

    #[test]
    fn a_zone_may_have_its_name_in_parts() {
        let json =
            Json::parse(r#"{"sub":"lab","none":"","domain":"example.com","null":null,"n":1}"#).unwrap();
        assert_eq!(named(&json, "sub,domain").as_deref(), Some("lab.example.com"));
        assert_eq!(named(&json, "none,domain").as_deref(), Some("example.com"));
        assert_eq!(named(&json, "?domain").as_deref(), Some("example.com"));
        for path in ["?null", "sub,null", "n", "x"] {
            assert_eq!(named(&json, path), None, "{path}");
        }
        assert_eq!(named(&Json::Str("example.com".into()), "|").as_deref(), Some("example.com"));
    }
}
