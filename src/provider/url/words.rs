//! What services answer: the words of dyndns2, those of a row, and what to do about each.

use super::row::{Other, Row, Word};
use crate::provider::web::quote;
use crate::provider::{Failure, Kind, Outcome};
use std::net::IpAddr;
use std::time::Duration;

/// Wait after `911` and `dnserr`, by Dyn's policy, which the others copied.
const TROUBLE: Duration = Duration::from_secs(1800);
/// Wait after too many updates.
const OFTEN: Duration = Duration::from_secs(600);

/// The words of dyndns2. `nofqdn` is what inadyn looks for.
const WORDS: &[(&str, Word)] = &[
    ("good", Word::Good),
    ("nochg", Word::Same),
    ("badauth", Word::Login),
    ("!donator", Word::Paid),
    ("!yours", Word::Yours),
    ("nohost", Word::NoHost),
    ("notfqdn", Word::NotFqdn),
    ("nofqdn", Word::NotFqdn),
    ("numhost", Word::Many),
    ("abuse", Word::Abuse),
    ("badagent", Word::Agent),
    ("badsys", Word::System),
    ("!active", Word::Inactive),
    ("badrequest", Word::Malformed),
    ("dnserr", Word::Dns),
    ("911", Word::Maintenance),
    ("servererror", Word::Trouble),
    ("toosoon", Word::Often),
];

/// In an answer of which any text means success: those that surely do not.
const ERRORS: &[&str] =
    &["error", "fail", "failed", "failure", "denied", "invalid", "bad", "wrong", "unauthorized", "forbidden"];

/// What to do about a word, and what the owner can do.
fn failure_of(word: Word) -> Option<(Kind, Duration, &'static str)> {
    let wait = match word {
        Word::Dns | Word::Maintenance | Word::Trouble => TROUBLE,
        Word::Often => OFTEN,
        _ => Duration::ZERO,
    };
    let (kind, text) = match word {
        Word::Good | Word::Same => return None,
        Word::Login => (Kind::Credentials, "user name or password refused; check both"),
        Word::Access => (Kind::Credentials, "user name or token refused; check both"),
        Word::Token => (Kind::Credentials, "the token is refused; check it"),
        Word::Either => (Kind::Credentials, "the name or its key is refused; check both"),
        Word::Paid => (Kind::Refused, "this is a paid feature of the service"),
        Word::Off => {
            (Kind::Refused, "dynamic DNS is not turned on for this domain; turn it on at the service")
        }
        Word::Yours => (Kind::NoSuchName, "the name belongs to another account; check option domain"),
        Word::NoHost => (Kind::NoSuchName, "the account has no such name; create it at the service first"),
        Word::NotFound => (Kind::NoSuchName, "the service finds no such name; check option domain"),
        Word::NotFqdn => (Kind::NoSuchName, "the name is not a full domain name; check option domain"),
        Word::Name => (Kind::NoSuchName, "the service does not take the name; check option domain"),
        Word::Many => (Kind::Refused, "too many names, or a round robin of several addresses"),
        Word::Abuse => (Kind::Refused, "the name is blocked for too many updates; unblock it at the service"),
        Word::Suspended => (Kind::Refused, "the account is suspended; see the service's page"),
        Word::Agent => (Kind::Refused, "the service refuses this program; please report it"),
        Word::System => (Kind::Refused, "the service does not take this kind of update; please report it"),
        Word::Inactive => (Kind::Refused, "the name is not active yet; activate it at the service"),
        Word::Malformed => (Kind::Refused, "the service calls the request malformed; check option domain"),
        Word::Dns => (Kind::Busy, "DNS trouble at the service; nothing to do here"),
        Word::Maintenance => (Kind::Busy, "trouble or maintenance at the service; nothing to do here"),
        Word::Trouble => (Kind::Busy, "trouble at the service; nothing to do here"),
        Word::Often => (Kind::Busy, "updated too often; the service asks for ten minutes between two"),
        Word::Said => (Kind::Refused, ""),
    };
    Some((kind, wait, text))
}

/// True for a failure.
pub(super) fn is_bad(word: Word) -> bool {
    !matches!(word, Word::Good | Word::Same)
}

/// The protocol's word that begins a line.
pub(super) fn first_word(line: &str) -> Option<(&'static str, Word)> {
    let first = line.split_whitespace().next()?;
    WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(first)).copied()
}

/// The first of the row's words that stands in a text by itself; in a web page only where the row says so.
pub(super) fn phrase(row: &Row, text: &str) -> Option<(&'static str, Word)> {
    if is_page(text) && !row.page {
        return None;
    }
    // JSON is as good with blanks as without.
    let text = text.to_ascii_lowercase().replace("\": ", "\":");
    row.words.iter().find(|(word, _)| has_word(&text, word)).copied()
}

/// True if an answer without a known word means success: where any text does, or the address that was sent; and it
/// does not look like an error.
pub(super) fn is_well(row: &Row, text: &str, sent: IpAddr) -> bool {
    let lower = text.to_ascii_lowercase();
    let well = match row.other {
        Other::Any => true,
        Other::Address => addresses(&lower).any(|addr| addr == sent),
        _ => false,
    };
    well && (row.page || !is_page(text)) && !ERRORS.iter().any(|word| has_word(&lower, word))
}

/// True for a web page.
fn is_page(text: &str) -> bool {
    let begins = |tag: &str| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
    begins("<!doctype") || begins("<html")
}

/// True if `word` stands in `text` as a whole word: no letter, digit or underscore beside one of its own.
fn has_word(text: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (inner(word.chars().next()), inner(word.chars().next_back()));
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|tail| tail.chars().next());
        !(first && inner(before) || last && inner(after))
    })
}

/// The addresses in a text.
fn addresses(text: &str) -> impl Iterator<Item = IpAddr> + '_ {
    let parts = text.split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':');
    parts.filter_map(|part| part.parse().ok().or_else(|| part.trim_matches(['.', ':']).parse().ok()))
}

/// The failure that an answer tells in the protocol's words, if it does; for servers of other protocols
/// that use them too.
pub(in crate::provider) fn told_failure(text: &str) -> Option<Failure> {
    let (name, word) = first_word(text.trim())?;
    failure(name, word, text)
}

/// The failure behind a word; `line` is where it stands.
fn failure(name: &str, word: Word, line: &str) -> Option<Failure> {
    let (kind, wait, text) = failure_of(word)?;
    let failure = match word {
        Word::Said => Failure::new(kind, format!("the service refuses it: {}", quote(line))),
        _ => Failure::new(kind, format!("{name}: {text}")),
    };
    Some(if wait.is_zero() { failure } else { failure.after(wait) })
}

/// What a word means for a record with the address `sent`. `rest` is where the service says which address it has
/// stored.
pub(super) fn judge(
    name: &str,
    word: Word,
    line: &str,
    rest: &str,
    sent: IpAddr,
) -> Result<Outcome, Failure> {
    if let Some(failure) = failure(name, word, line) {
        return Err(failure);
    }
    let outcome = if word == Word::Same { Outcome::Unchanged } else { Outcome::Updated };
    if addresses(rest).any(|addr| addr.is_loopback()) && !sent.is_loopback() {
        let text =
            format!("{}: the service ignores this client; see its page for why it is blocked", quote(line));
        return Err(Failure::new(Kind::Refused, text));
    }
    let mut told = addresses(rest).filter(|addr| addr.is_ipv4() == sent.is_ipv4()).peekable();
    if told.peek().is_none() || told.any(|addr| addr == sent) {
        return Ok(outcome);
    }
    let text = format!("{sent} was sent, but the service says: {}", quote(line));
    Err(Failure::new(Kind::Unconfirmed, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        for (text, word, found) in [
            ("ok", "ok", true),
            ("status=\"ok\"", "ok", true),
            ("token", "ok", false),
            ("ok_1", "ok", false),
            ("error-auth-suspend", "error-auth", true),
            ("{\"ok\":true}", "\"ok\":true", true),
            ("{\"code\":01}", "\"code\":0", false),
            ("<err1>no", "<err1>", true),
            ("", "ok", false),
        ] {
            assert_eq!(has_word(text, word), found, "{word} in {text}");
        }
    }

    #[test]
    fn addresses_are_found_among_other_signs() {
        let found = |text: &str| addresses(text).map(|addr| addr.to_string()).collect::<Vec<_>>();
        assert_eq!(found("Updated a.example to 192.0.2.7."), ["192.0.2.7"]);
        assert_eq!(found("cam.example (2001:db8::7)"), ["2001:db8::7"]);
        assert_eq!(found("<b>192.0.2.7</b>:2001:db8::"), ["192.0.2.7"]);
        assert_eq!(found("ip:192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(found("1192.0.2.7.1"), [""; 0]);
    }
}
