//! The status document as a screen for a person: the first line says whether the cameras are reached, and by which name
//! and port; what needs attention begins with `!`.

use crate::sign::stamp;
use crate::wire::json::Json;
use std::fmt::Write as _;

/// The document as text.
pub fn render(status: &Json) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", text(status, "verdict"));
    for problem in status.get("problems").items() {
        let _ = writeln!(out, "! config   {}", problem.str().unwrap_or("?"));
    }
    for sensor in status.get("deaf").items() {
        let _ = writeln!(out, "! sensor   {}; started again within a minute", sensor.str().unwrap_or("?"));
    }
    status.get("wans").items().iter().for_each(|wan| wan_lines(&mut out, wan));
    let records = status.get("records").items();
    for record in records {
        // One family of a section may be missing; if nothing of it is published, that is not well.
        let same = records.iter().filter(|other| other.get("record").str() == record.get("record").str());
        let is_lost = !same.map(|other| other.get("standing").str()).any(|it| it == Some("published"));
        record_line(&mut out, record, is_lost, number(status, "time"));
    }
    let cameras = status.get("cameras").items();
    cameras.iter().for_each(|camera| camera_lines(&mut out, camera, cameras.len() > 1));
    status.get("mappings").items().iter().for_each(|mapping| mapping_lines(&mut out, mapping));
    status.get("tunnels").items().iter().for_each(|tunnel| super::tunnel::render(&mut out, tunnel));
    super::outside::lines(&mut out, status);
    filter_lines(&mut out, status.get("filter"));
    for channel in status.get("notify").items().iter().filter(|channel| !channel.get("failure").is_null()) {
        let (waiting, why) = (number(channel, "waiting"), text(channel.get("failure"), "text"));
        let _ =
            writeln!(out, "  notify   {}: {waiting} events are not told yet: {why}", text(channel, "name"));
    }
    clock_line(&mut out, status);
    for change in status.get("changes").items() {
        let _ = write!(out, "  change   #{}", number(change, "number"));
        add_age(&mut out, ", ", number(status, "time"), number(change, "at"));
        let _ = writeln!(out, ": {}", text(change, "text"));
    }
    out
}

/// A text of the document.
pub(super) fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).str().unwrap_or("?")
}

/// A number of the document.
pub(super) fn number(json: &Json, key: &str) -> i64 {
    json.get(key).num().unwrap_or(0)
}

/// A truth value of the document.
pub(super) fn is(json: &Json, key: &str) -> bool {
    json.get(key).bool() == Some(true)
}

/// How a line begins.
fn sign(well: bool) -> char {
    if well {
        ' '
    } else {
        '!'
    }
}

fn wan_lines(out: &mut String, wan: &Json) {
    let name = text(wan, "name");
    let device = wan.get("device").str().unwrap_or("no device");
    let device6 = wan.get("device6").str().unwrap_or(device);
    for (family, key, device) in [("IPv4", "ipv4", device), ("IPv6", "ipv6", device6)] {
        let line = wan.get(key);
        if line.is_null() {
            continue;
        }
        let _ = writeln!(out, "  wan      {name} ({device}) {family}: {}", line_text(line));
        for key in ["means", "doubt"] {
            if let Some(says) = line.get(key).str() {
                let _ = writeln!(out, "! wan      {name} {family}: {says}");
            }
        }
    }
    let above = wan.get("upstream");
    if let Some(says) = above.get("says").str() {
        let _ = writeln!(out, "{} wan      {name}: {says}", sign(is(above, "well")));
    }
    for interface in wan.get("interfaces").items() {
        let (called, standing) = (text(interface, "name"), text(interface, "standing"));
        let sign = sign(!is(interface, "trouble"));
        let _ = writeln!(out, "{sign} wan      {name}: interface {called}: {standing}");
    }
    for given in wan.get("prefixes").items() {
        let (prefix, interface) = (text(given, "prefix"), text(given, "interface"));
        let _ = writeln!(out, "  wan      {name}: prefix {prefix} is delegated to interface {interface}");
    }
}

/// One family of a WAN: its address, its reach, how that is known, and since when.
fn line_text(line: &Json) -> String {
    let mut said = match line.get("address").str() {
        Some(addr) => format!("{addr}, {}", text(line, "reach")),
        None => "no address".into(),
    };
    said.push_str(match line.get("known_by").str() {
        Some("interface") => " by its interface",
        Some("witnesses") => " by witnesses",
        Some("mismatch") => " by witnesses, who see another address",
        _ => "",
    });
    if let Some(lan) = line.get("on_lan").str() {
        let _ = write!(said, ", the router's own on {lan}, out of its prefix");
    }
    if let Some(seconds) = line.get("since_s").num().or(line.get("lost_s").num()) {
        let _ = write!(said, ", for {}", passed(seconds));
    }
    if !is(line, "route") {
        said.push_str(", no default route");
    }
    said
}

/// A record's line; `is_lost` if nothing of its section is published.
fn record_line(out: &mut String, record: &Json, is_lost: bool, now: i64) {
    let name = format!("{} {} ({})", text(record, "domain"), text(record, "type"), text(record, "provider"));
    let _ = match record.get("standing").str() {
        Some("published") => {
            let _ = write!(out, "  record   {name} is {}", text(record, "published"));
            if let Some(seen) = record.get("seen").str() {
                let _ = write!(out, ", {seen}");
            }
            if let Some(ms) = record.get("seen_after_ms").num() {
                let _ = write!(out, " after {}.{:01} s", ms / 1000, ms % 1000 / 100);
            }
            add_age(out, ", changed ", now, number(record, "changed_at"));
            writeln!(out)
        }
        Some("waiting") => {
            let sign = sign(!is_lost);
            writeln!(out, "{sign} record   {name} is left as it is: {}", text(record, "waiting"))
        }
        Some("failing") => {
            let failure = record.get("failure");
            let (class, why) = (text(failure, "class"), text(failure, "text"));
            let _ = write!(out, "! record   {name} wants {}: {class}: {why}; ", text(record, "wanted"));
            match failure.get("next_try_s").num() {
                Some(seconds) => writeln!(out, "next try in {seconds} s"),
                None => writeln!(out, "tried again {}", failure.get("next_try").str().unwrap_or("later")),
            }
        }
        _ => writeln!(out, "  record   {name} is being set to {}", text(record, "wanted")),
    };
}

/// A camera's lines. Of one that is alone the first line of the screen says whether it is reached.
fn camera_lines(out: &mut String, camera: &Json, is_one_of_many: bool) {
    let (name, reachable) = (text(camera, "name"), camera.get("reachable").str());
    let place = match (camera.get("address").str(), camera.get("silent_s").num()) {
        (Some(addr), Some(seconds)) => format!("at {addr}, silent since {}", passed(seconds)),
        (Some(addr), None) => match camera.get("answered_s").num() {
            Some(seconds) => format!("at {addr}, answered {} ago", passed(seconds)),
            None if is(camera, "confirmed") => format!("at {addr}, alive"),
            None => format!("at {addr} (not heard of lately)"),
        },
        (None, _) => "not seen yet".into(),
    };
    let well = !matches!(reachable, Some("no" | "unknown"));
    let _ = match camera.get("why").str().filter(|_| is_one_of_many && !well) {
        Some(why) => writeln!(out, "! camera   {name} {place}; not reached: {why}"),
        None => writeln!(out, "{} camera   {name} {place}", sign(well)),
    };
    let _ = match (camera.get("address6").str(), camera.get("no_address6").str()) {
        (Some(addr), _) if is(camera, "confirmed6") => {
            writeln!(out, "  camera   {name} in IPv6 at {addr}")
        }
        (Some(addr), _) => {
            let when = if is(camera, "heard6") { "lately" } else { "yet" };
            writeln!(out, "  camera   {name} in IPv6 at {addr} (not heard of {when})")
        }
        (None, Some(why)) => writeln!(out, "  camera   {name} has no IPv6 address: {why}"),
        (None, None) => Ok(()),
    };
    if let Some(why) = camera.get("static_lease_failure").str() {
        let _ = writeln!(out, "! camera   {name}: its static lease is not written: {why}");
    }
}

fn mapping_lines(out: &mut String, mapping: &Json) {
    let door = format!("{} port {}", text(mapping, "name"), text(mapping, "port"));
    let target = mapping.get("target").str();
    let _ = match (target, is(mapping, "open")) {
        (Some(target), true) => open_line(out, mapping, &door, target),
        (Some(target), false) => writeln!(out, "! mapping  {door} -> {target}: not in force yet"),
        (None, _) => {
            let sign = sign(is(mapping, "rests"));
            writeln!(out, "{sign} mapping  {door} closed: {}", text(mapping, "closed"))
        }
    };
    for way in mapping.get("families").items() {
        let family = text(way, "family");
        let _ = match way.get("target").str() {
            // The first of them is told already.
            Some(other) if target == Some(other) => Ok(()),
            Some(other) => writeln!(out, "  mapping  {door} by {family} -> {other}"),
            None if target.is_none() => Ok(()),
            None => writeln!(out, "  mapping  {door} closed by {family}: {}", text(way, "closed")),
        };
    }
}

/// A mapping that is open: where it leads, whether the camera asks for a password, and who came.
fn open_line(out: &mut String, mapping: &Json, door: &str, target: &str) -> std::fmt::Result {
    write!(out, "  mapping  {door}")?;
    if let Some(port) = mapping.get("outside_port").num() {
        write!(out, " (from the internet: port {port})")?;
    }
    write!(out, " -> {target} port {}", text(mapping, "camera_port"))?;
    if let (Some(found), Some(seconds)) = (mapping.get("protection").str(), mapping.get("checked_s").num()) {
        write!(out, ", {found}, asked {} ago", passed(seconds))?;
    }
    let hits = number(mapping, "hits");
    writeln!(out, ", {hits} connection{}", if hits == 1 { "" } else { "s" })
}

fn filter_lines(out: &mut String, filter: &Json) {
    for table in filter.get("dropped_by").items() {
        let name = table.str().unwrap_or("?");
        let _ = writeln!(out, "! filter   {name} drops what the port mappings let in; accept it there");
    }
    if let Some(failure) = filter.get("failure").str() {
        let _ = writeln!(out, "! filter   {failure}");
    }
}

/// The local time, by which schedules go, and whether the clock was set at all.
fn clock_line(out: &mut String, status: &Json) {
    let clock = status.get("clock");
    let offset = number(clock, "offset_s");
    let local = u64::try_from(number(status, "time").saturating_add(offset)).unwrap_or(0);
    let local = stamp(local, true).replace('T', " ");
    let minutes = offset.saturating_abs() / 60;
    let east = if offset < 0 { '-' } else { '+' };
    let zone = match clock.get("zone_fault").str() {
        Some(why) => {
            format!("UTC; /etc/TZ is no POSIX time zone ({why}), so schedules keep their ports closed")
        }
        None if offset == 0 => "UTC".to_string(),
        None => format!("UTC{east}{:02}:{:02}", minutes / 60, minutes % 60),
    };
    let set = is(clock, "set");
    let never =
        if set { "" } else { ": not set; TLS, signatures and schedules wait: look whether NTP works" };
    let well = set && clock.get("zone_fault").is_null();
    let _ = writeln!(out, "{} clock    {} {zone}{never}", sign(well), local.trim_end_matches('Z'));
}

/// Adds how long ago something was, by the wall clock, unless that was set back since, or it never was.
fn add_age(out: &mut String, before: &str, now: i64, at: i64) {
    let seconds = now.saturating_sub(at);
    if seconds >= 0 && at > 0 {
        let _ = write!(out, "{before}{} ago", passed(seconds));
    }
}

/// A time that has passed, as a person says it.
pub(super) fn passed(seconds: i64) -> String {
    let (number, unit) = match seconds {
        0..=89 => (seconds, "s"),
        90..=5399 => ((seconds + 30) / 60, "min"),
        5400..=129_599 => ((seconds + 1800) / 3600, "h"),
        _ => ((seconds + 43_200) / 86_400, "days"),
    };
    format!("{number} {unit}")
}
