//! The status document as text for a person: what matters most comes first.

use crate::wire::json::Json;
use std::fmt::Write as _;

/// The document as text for a person: what matters most comes first.
pub fn render(status: &Json) -> String {
    let mut out = String::new();
    let s = |json: &Json, key: &str| json.get(key).str().unwrap_or("?").to_string();
    let healthy = status.get("healthy").bool() == Some(true);
    let _ =
        writeln!(out, "{}", if healthy { "All is well." } else { "Something needs attention (marked !)." });
    for problem in status.get("problems").items() {
        let _ = writeln!(out, "! config   {}", problem.str().unwrap_or("?"));
    }
    for text in status.get("deaf").items() {
        let _ = writeln!(out, "! sensor   {}; started again within a minute", text.str().unwrap_or("?"));
    }
    for wan in status.get("wans").items() {
        wan_lines(&mut out, wan);
    }
    let records = status.get("records").items();
    for record in records {
        // One family of a section may be missing; if nothing of it is published, that is not well.
        let same = records.iter().filter(|other| other.get("record").str() == record.get("record").str());
        let is_lost = !same.map(|other| other.get("standing").str()).any(|it| it == Some("published"));
        let _ = writeln!(out, "{}", record_line(record, is_lost));
    }
    for camera in status.get("cameras").items() {
        let place = match (camera.get("address").str(), camera.get("silent_s").num()) {
            (Some(addr), Some(seconds)) => format!("at {addr}, silent since {}", passed(seconds)),
            (Some(addr), None) if camera.get("confirmed").bool() == Some(true) => format!("at {addr}"),
            (Some(addr), None) => format!("at {addr} (not heard of lately)"),
            (None, _) => "not seen yet".into(),
        };
        let _ = writeln!(out, "  camera   {} {place}", s(camera, "name"));
        let heard = camera.get("heard6").bool() == Some(true);
        let _ = match (camera.get("address6").str(), camera.get("no_address6").str()) {
            (Some(addr), _) if camera.get("confirmed6").bool() == Some(true) => {
                writeln!(out, "  camera   {} in IPv6 at {addr}", s(camera, "name"))
            }
            (Some(addr), _) => {
                let when = if heard { "lately" } else { "yet" };
                writeln!(out, "  camera   {} in IPv6 at {addr} (not heard of {when})", s(camera, "name"))
            }
            (None, Some(why)) => writeln!(out, "  camera   {} has no IPv6 address: {why}", s(camera, "name")),
            (None, None) => Ok(()),
        };
        if let Some(why) = camera.get("static_lease_failure").str() {
            let _ = writeln!(out, "! camera   {}: its static lease is not written: {why}", s(camera, "name"));
        }
    }
    for mapping in status.get("mappings").items() {
        let door = format!("{} port {}", s(mapping, "name"), s(mapping, "port"));
        let open = mapping.get("open").bool() == Some(true);
        let _ = match (mapping.get("target").str(), open) {
            (Some(target), true) => {
                let asked = match (mapping.get("protection").str(), mapping.get("checked_s").num()) {
                    (Some(found), Some(seconds)) => format!(", {found}, asked {} ago", passed(seconds)),
                    _ => String::new(),
                };
                let outside = mapping.get("outside_port").num();
                let outside =
                    outside.map(|port| format!(" (from the internet: port {port})")).unwrap_or_default();
                let hits = match mapping.get("hits").num() {
                    Some(1) => "1 connection".to_string(),
                    hits => format!("{} connections", hits.unwrap_or(0)),
                };
                writeln!(
                    out,
                    "  mapping  {door}{outside} -> {target} port {}{asked}, {hits}",
                    s(mapping, "camera_port")
                )
            }
            (Some(target), false) => writeln!(out, "! mapping  {door} -> {target}: not in force yet"),
            (None, _) => {
                let sign = if mapping.get("rests").bool() == Some(true) { ' ' } else { '!' };
                writeln!(out, "{sign} mapping  {door} closed: {}", s(mapping, "closed"))
            }
        };
        for way in mapping.get("families").items() {
            let family = s(way, "family");
            let _ = match way.get("target").str() {
                // The first of them is told already.
                Some(target) if mapping.get("target").str() == Some(target) => Ok(()),
                Some(target) => writeln!(out, "  mapping  {door} by {family} -> {target}"),
                None if mapping.get("target").is_null() => Ok(()),
                None => writeln!(out, "  mapping  {door} closed by {family}: {}", s(way, "closed")),
            };
        }
    }
    let filter = status.get("filter");
    for table in filter.get("dropped_by").items() {
        let name = table.str().unwrap_or("?");
        let _ = writeln!(out, "! filter   {name} drops what the port mappings let in; accept it there");
    }
    if let Some(text) = filter.get("failure").str() {
        let _ = writeln!(out, "! filter   {text}");
    }
    for channel in status.get("notify").items().iter().filter(|channel| !channel.get("failure").is_null()) {
        let (waiting, why) = (channel.get("waiting").num().unwrap_or(0), s(channel.get("failure"), "text"));
        let _ = writeln!(out, "  notify   {}: {waiting} events are not told yet: {why}", s(channel, "name"));
    }
    for change in status.get("changes").items() {
        let _ =
            writeln!(out, "  change   #{} {}", change.get("number").num().unwrap_or(0), s(change, "text"));
    }
    out
}

fn wan_lines(out: &mut String, wan: &Json) {
    let name = wan.get("name").str().unwrap_or("?");
    let device = wan.get("device").str().unwrap_or("no device");
    let device6 = wan.get("device6").str().unwrap_or(device);
    for (family, key, device) in [("IPv4", "ipv4", device), ("IPv6", "ipv6", device6)] {
        let line = wan.get(key);
        if line.is_null() {
            continue;
        }
        let reach = line.get("reach").str().unwrap_or("?");
        let what = match (line.get("address").str(), line.get("on_lan").str()) {
            (Some(addr), Some(lan)) => {
                format!("{addr}, {reach}, the router's own on {lan}, out of its prefix")
            }
            (Some(addr), None) => format!("{addr}, {reach}"),
            (None, _) => "no address".into(),
        };
        let route = if line.get("route").bool() == Some(true) { "" } else { ", no default route" };
        let _ = writeln!(out, "  wan      {name} ({device}) {family}: {what}{route}");
        if let Some(means) = line.get("means").str() {
            let _ = writeln!(out, "! wan      {name} {family}: {means}");
        }
        if let Some(doubt) = line.get("doubt").str() {
            let _ = writeln!(out, "! wan      {name} {family}: {doubt}");
        }
    }
    if let Some(says) = wan.get("upstream").get("says").str() {
        let sign = if wan.get("upstream").get("well").bool() == Some(true) { ' ' } else { '!' };
        let _ = writeln!(out, "{sign} wan      {name}: {says}");
    }
    for interface in wan.get("interfaces").items() {
        let sign = if interface.get("trouble").bool() == Some(true) { '!' } else { ' ' };
        let called = interface.get("name").str().unwrap_or("?");
        let standing = interface.get("standing").str().unwrap_or("?");
        let _ = writeln!(out, "{sign} wan      {name}: interface {called}: {standing}");
    }
    for given in wan.get("prefixes").items() {
        let prefix = given.get("prefix").str().unwrap_or("?");
        let interface = given.get("interface").str().unwrap_or("?");
        let _ = writeln!(out, "  wan      {name}: prefix {prefix} is delegated to interface {interface}");
    }
}

/// A time that has passed, as a person says it.
fn passed(seconds: i64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        5400..=129_599 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// A record's line; `is_lost` if nothing of its section is published.
fn record_line(record: &Json, is_lost: bool) -> String {
    let s = |key: &str| record.get(key).str().unwrap_or("?").to_string();
    let name = format!("{} {} ({})", s("domain"), s("type"), s("provider"));
    match record.get("standing").str() {
        Some("published") => {
            let seen = record.get("seen").str().map(|seen| format!(", {seen}")).unwrap_or_default();
            let after = record.get("seen_after_ms").num();
            let after = after.map(|ms| format!(" after {}.{:01} s", ms / 1000, ms % 1000 / 100));
            format!("  record   {name} is {}{seen}{}", s("published"), after.unwrap_or_default())
        }
        Some("waiting") => {
            let sign = if is_lost { '!' } else { ' ' };
            format!("{sign} record   {name} is left as it is: {}", s("waiting"))
        }
        Some("failing") => {
            let failure = record.get("failure");
            let next = match failure.get("next_try_s").num() {
                Some(seconds) => format!("next try in {seconds} s"),
                None => format!("tried again {}", failure.get("next_try").str().unwrap_or("later")),
            };
            let text = failure.get("text").str().unwrap_or("?");
            let class = failure.get("class").str().unwrap_or("?");
            format!("! record   {name} wants {}: {class}: {text}; {next}", s("wanted"))
        }
        _ => format!("  record   {name} is being set to {}", s("wanted")),
    }
}
