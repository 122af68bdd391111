//! A row of the table and a message: the request; and what the service's answer means.

use super::{find, Channel, Message, Service, Way};
use crate::config::Notify;
use crate::provider::custom::Template;
use crate::provider::web::{clock_failure, garbled, http_failure, quote, skewed, MAX_WAIT};
use crate::provider::{Failure, Http, Kind, Reply, CLOCK_FLOOR};
use crate::wire::json::Json;
use std::time::Duration;

/// Wait after 429, or its like, without a waiting time: the robots take 20 messages a minute.
const WAIT: Duration = Duration::from_secs(60);
/// What to do about a refusal.
const MEND: &str = "check the options of this section, and the settings at the service";

/// The request that carries a message; `None` for what is no web service. `now` is Unix time in seconds.
///
/// # Errors
/// [`Kind::Refused`] for an option that cannot be worked with; [`Kind::Clock`] for a signature by a clock that was
/// never set.
pub fn request(channel: &Notify, message: &Message, now: u64) -> Result<Option<Http>, Failure> {
    let Some(Channel { way: Way::Post(service), .. }) = find(&channel.kind) else { return Ok(None) };
    let signed = service.sign.as_ref().zip(channel.secret("secret"));
    let (time, sign) = match &signed {
        Some(_) if now < CLOCK_FLOOR => {
            let text = "this machine's clock was not set yet, and a signature needs it";
            return Err(Failure::new(Kind::Clock, text).unsent());
        }
        Some((sign, secret)) => (sign.make)(secret, now),
        None => Default::default(),
    };
    let mut body = channel.secret("body").unwrap_or(service.body).to_string();
    if let Some((sign, _)) = &signed {
        body.insert_str(1, sign.body);
    }
    let method = channel.text("method").unwrap_or("POST");
    let bearer = channel.secret("token").map_or("", |_| service.bearer);
    let own = [service.header, "\n", bearer].concat();
    let template = Template {
        url: &address(channel, service, signed.map_or("", |(sign, _)| sign.path)),
        method,
        header: channel.secret("header").unwrap_or(&own).trim(),
        // Who wrote GET and no body wants none.
        body: Some(body.as_str())
            .filter(|_| !method.eq_ignore_ascii_case("GET") || channel.secret("body").is_some()),
    };
    let http = template.fill(&|name| {
        Ok(Some(match name {
            "token" => channel.secret("token").unwrap_or_default().to_string(),
            "chat_id" => channel.text("chat_id").unwrap_or_default().to_string(),
            "time" => time.clone(),
            "sign" => sign.clone(),
            // Markdown joins lines that no blank line parts.
            "lines" => message.text().replace('\n', "\n\n"),
            "slack" => format!("*{}*\n{}", slack(message.title()), slack(message.text())),
            name => return Ok(message.get(name).map(str::to_string)),
        }))
    })?;
    Ok(Some(http))
}

/// The address, still with placeholders.
fn address(channel: &Notify, service: &Service, signed: &str) -> String {
    let token = channel.secret("token").unwrap_or_default();
    let base = channel.secret("url").map(str::to_string).unwrap_or_else(|| own_server(service, token));
    let base = if service.path.starts_with('/') { base.trim_end_matches('/') } else { &base };
    let path = match service.path.strip_prefix('?') {
        Some(rest) if base.contains('?') => ["&", rest].concat(),
        _ => service.path.to_string(),
    };
    [base, &path, signed].concat()
}

/// Where the service is. ServerChan³'s keys (`sctp<uid>t...`) each have a host of their own.
fn own_server(service: &Service, token: &str) -> String {
    let uid = token.strip_prefix("sctp").and_then(|rest| rest.split_once('t')).map(|(uid, _)| uid);
    match uid.filter(|uid| service.path == "/{token}.send" && uid.bytes().all(|b| b.is_ascii_digit())) {
        Some(uid) if !uid.is_empty() => format!("https://{uid}.push.ft07.com/send"),
        _ => service.base.to_string(),
    }
}

/// Slack's three characters (`&`, `<`, `>`) are entities.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What the service's answer means. `now` is Unix time in seconds.
///
/// # Errors
/// The failure, with the service's own code and words.
pub fn verdict(channel: &Notify, reply: &Reply, now: u64) -> Result<(), Failure> {
    let Some(Channel { way: Way::Post(service), .. }) = find(&channel.kind) else { return Ok(()) };
    let text = reply.text();
    let json = Json::parse(&text).unwrap_or(Json::Null);
    let failure = http_failure(reply, now, WAIT);
    let said = |wish: &&str| match wish.split_once('=') {
        Some(("", whole)) => text.trim() == whole,
        Some((path, value)) => shown(json.get(path)) == value,
        None => false,
    };
    if failure.is_none() && (service.yes.is_empty() || service.yes.iter().any(said)) {
        return Ok(());
    }
    let failure = failure.map(|failure| plainly(failure, reply));
    let failure = refusal(service, &json, failure).unwrap_or_else(|| garbled(reply));
    let signed = service.sign.is_some() && channel.secret("secret").is_some();
    match skewed(reply, now).filter(|_| signed && failure.kind == Kind::Credentials) {
        Some(skew) => Err(clock_failure(skew)),
        None => Err(failure),
    }
}

/// A status's failure without a DNS service's advice.
fn plainly(failure: Failure, reply: &Reply) -> Failure {
    if !matches!(failure.kind, Kind::Credentials | Kind::NoSuchName | Kind::Refused) {
        return failure;
    }
    let text = format!("HTTP status {} {}; {MEND}", reply.status, quote(&reply.text()));
    failure.saying(text)
}

/// The failure that the JSON tells, on top of what the status says; `None` if neither says anything.
fn refusal(service: &Service, json: &Json, by_status: Option<Failure>) -> Option<Failure> {
    let words = json.get(service.words).str().map(quote).filter(|words| !words.is_empty());
    let path = service.yes.first().and_then(|yes| yes.split_once('=')).map_or("", |(path, _)| path);
    let code = shown(json.get(path));
    let kind = service.codes.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind);
    let number = !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let mut failure = match (by_status, words) {
        (Some(failure), None) => failure,
        (None, None) if !number => return None,
        (by_status, words) => {
            let kind = kind.or(by_status.as_ref().map(|failure| failure.kind)).unwrap_or(Kind::Refused);
            let code = if number { format!("code {code}: ") } else { String::new() };
            let mend = if matches!(kind, Kind::Busy) { String::new() } else { format!("; {MEND}") };
            let text = format!("the service says: {code}{}{mend}", words.unwrap_or_default());
            let mut failure = by_status.unwrap_or_else(|| Failure::new(kind, "")).saying(text);
            failure.kind = kind;
            failure
        }
    };
    if failure.kind == Kind::Busy {
        let told = wait(json).or(failure.retry_after);
        failure.retry_after = told.or(kind.map(|_| WAIT));
    }
    Some(failure)
}

/// Discord's and Telegram's waiting time: seconds, with or without a fraction.
fn wait(json: &Json) -> Option<Duration> {
    let told = [json.get("retry_after"), json.get("parameters").get("retry_after")];
    let text = told.map(shown).concat();
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let seconds: u64 = seconds.parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_add(u64::from(!fraction.is_empty()))).min(MAX_WAIT))
}

/// A value without its quotes; nothing for null.
fn shown(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::Str(text) => text.to_string(),
        other => other.to_string(),
    }
}
