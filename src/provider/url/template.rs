//! The address of a row, filled in. Its parameters are separated by `&`, each may have a placeholder; one that has no
//! value takes its parameter along, unless it says what to send then: `{ip4|no}`.
//!
//! `{host}` the names, `{zone}` the zone, `{label}` the name in it (`@` for the zone itself), `{sub}` the same (none for
//! the zone itself), `{root}` whether it is the zone itself, `{ip}` the address, `{ip4}` and `{ip6}` those of a family,
//! `{no4}` and `{no6}` 1 if there is none, `{v}` 4 or 6, `{6}` and `{v6.}` themselves for IPv6 only, `{type}` A or AAAA,
//! `{user}`, `{password}`, `{token}`, `{id}`, `{ttl}` the options. What is filled in is percent-encoded.

use super::Shot;
use crate::provider::web::{encode, url_fault};
use crate::provider::{within, Failure, Job, Kind};

/// Scheme, host and path, and the parameters, of the request for some records.
///
/// `option url` replaces scheme and host, and the path too where it has one.
pub(super) fn fill(template: &str, job: &Job, shot: &Shot) -> Result<(String, String), Failure> {
    let (place, parameters) = template.split_once('?').unwrap_or((template, ""));
    let mut query = String::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        if let Some(text) = expand(parameter, job, shot)? {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&text);
        }
    }
    let place = match job.option("url") {
        Some(url) => private(url, place, job, shot)?,
        None if place.starts_with('/') => {
            return Err(Failure::new(Kind::Refused, "option url is not set"));
        }
        None => expand(place, job, shot)?.unwrap_or_default(),
    };
    Ok((place, query))
}

/// Scheme, host and path of a private server.
fn private(url: &str, place: &str, job: &Job, shot: &Shot) -> Result<String, Failure> {
    if let Some(fault) = url_fault(url, true) {
        return Err(Failure::new(Kind::Refused, format!("option url {fault}")));
    }
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    if host.contains('/') && !host.ends_with('/') || host.matches('/').count() > 1 {
        return Ok(url.to_owned());
    }
    let path = match place.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => place.trim_start_matches('/'),
    };
    let path = expand(path, job, shot)?.unwrap_or_default();
    Ok(format!("{}/{path}", url.trim_end_matches('/')))
}

/// A piece with its placeholders filled in; `None` if one has no value.
fn expand(piece: &str, job: &Job, shot: &Shot) -> Result<Option<String>, Failure> {
    let mut out = String::new();
    let mut rest = piece;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let (name, instead) = match name.split_once('|') {
            Some((name, instead)) => (name, Some(instead)),
            None => (name, None),
        };
        out.push_str(before);
        match value(name, job, shot)? {
            Some(text) => encode(&text, ":,", &mut out),
            None => match instead {
                Some(text) => out.push_str(text),
                None => return Ok(None),
            },
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// What stands for a placeholder.
fn value(name: &str, job: &Job, shot: &Shot) -> Result<Option<String>, Failure> {
    let v6 = shot.v6.is_some();
    let addr = |addr: Option<std::net::IpAddr>| addr.map(|addr| addr.to_string());
    Ok(match name {
        "host" => Some(shot.names.join(",")),
        "ip" => addr(shot.v6.or(shot.v4)),
        "ip4" => addr(shot.v4),
        "ip6" => addr(shot.v6),
        "no4" => shot.v4.is_none().then(|| "1".into()),
        "no6" => shot.v6.is_none().then(|| "1".into()),
        "v" => Some(if v6 { "6" } else { "4" }.into()),
        "6" | "v6." => Some(if v6 { name } else { "" }.into()),
        "type" => Some(if v6 { "AAAA" } else { "A" }.into()),
        "user" => Some(job.required("username")?.into()),
        "id" => Some(job.required("id")?.into()),
        "ttl" => job.ttl.map(|ttl| ttl.to_string()),
        "zone" => Some(zone(job)?.into()),
        "sub" => Some(sub(job, shot)?.into()).filter(|sub: &String| !sub.is_empty()),
        "label" => Some(match sub(job, shot)? {
            "" => "@".into(),
            sub => sub.into(),
        }),
        "root" => Some(sub(job, shot)?.is_empty().to_string()),
        secret => Some(job.secret(secret)?.into()),
    })
}

/// The zone, which is never guessed.
fn zone(job: &Job) -> Result<&str, Failure> {
    let unset = || Failure::new(Kind::Refused, "option zone is not set; this service needs it");
    job.zone.as_deref().ok_or_else(unset)
}

/// The name within the zone; empty for the zone itself.
fn sub<'a>(job: &Job, shot: &Shot<'a>) -> Result<&'a str, Failure> {
    let zone = zone(job)?;
    let name = shot.names.first().copied().unwrap_or_default();
    let stranger = || Failure::new(Kind::NoSuchName, format!("the name is not in the zone {zone}"));
    within(name, zone).ok_or_else(stranger)
}
