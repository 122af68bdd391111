//! What the command line says and does, with an agent and without.

use super::{Place, DONE_WITHIN};
use crate::lab::*;
use anyhow::{ensure, Result};
use domain::base::iana::Rcode;
use std::fs;
use std::thread;
use std::time::Instant;

/// The verbs and their exit codes.
pub fn verbs(lab: &mut Lab) -> Result<Summary> {
    let mut place = Place::make(lab)?;
    let mut lines = Vec::new();
    arguments(&place)?;
    lines.push(once_alone(&mut place)?);
    lines.push(once_at_once(&mut place)?);
    let agent = place.start()?;
    lines.push(once_with_daemon(&mut place)?);
    lines.push(triggers(&mut place, &agent)?);
    Ok(Summary(lines))
}

/// What has nothing to do with an agent.
fn arguments(place: &Place) -> Result<()> {
    place.verb(&["help"], 0)?;
    place.verb(&["--version"], 0)?;
    place.verb(&[], 2)?;
    for wrong in [
        &["dance"][..],
        &["run", "fast"],
        &["once", "more"],
        &["status", "--xml"],
        &["status", "--json", "--prometheus"],
        &["status", "--prometheus", "file", "more"],
        &["status", "--prometheus", "--watch"],
        &["check", "it"],
        &["trigger", "happy"],
        &["trigger", "wan"],
        &["unmap", "all"],
        &["import"],
        &["import", "something"],
        &["import", "inadyn"],
        &["import", "ddns", "/etc/config/ddns", "more"],
        &["--root"],
        &["--colour", "help"],
    ] {
        place.verb(wrong, 2)?;
    }
    let good = place.lab.config();
    ensure!(place.verb(&["check"], 0)?.contains(NAME), "check does not tell what the configuration means");
    place.lab.write_config(&good.replace("'554'", "'0'"))?;
    place.refused(&["check"], 2, "dest_port")?;
    place.lab.write_config("config record 'a\n")?;
    place.verb(&["check"], 2)?;
    fs::remove_file(place.lab.config_file())?;
    place.refused(&["check"], 2, "cannot read")?;
    place.refused(&["once"], 2, "cannot read")?;
    place.refused(&["status"], 3, "no agent is running")?;
    place.refused(&["trigger"], 1, "no agent is running")?;
    place.lab.write_config(&good)
}

/// One pass without a daemon.
fn once_alone(place: &mut Place) -> Result<String> {
    let start = Instant::now();
    place.verb(&["once"], 0)?;
    let took = start.elapsed();
    place.lab.wait_reachable("front", place.addr().into(), SECOND)?;
    let before = place.dns.updates().len();
    place.verb(&["once"], 0)?;
    ensure!(place.updates_since(before).is_empty(), "a pass that changes nothing sent something");
    let good = place.lab.config();
    // A faulty section is left out, the rest is done, and the code tells.
    place.lab.write_config(&format!("{good}\nconfig record 'x'\n\toption provider 'rfc2136'\n"))?;
    let addr = place.readdress()?;
    place.verb(&["once"], 2)?;
    place.lab.wait_named(addr.into(), SECOND)?;
    place.lab.write_config(
        &good.replace("option mapping_backend", "option timeout '1s'\n\toption mapping_backend"),
    )?;
    place.dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
    place.readdress()?;
    place.verb(&["once"], 1)?;
    place.dns.set_mood(Mood::Silent);
    place.readdress()?;
    fs::remove_file(place.run_dir().join("state"))?;
    let start = Instant::now();
    place.verb(&["once"], 1)?;
    let silent = start.elapsed();
    place.dns.set_mood(Mood::Well);
    fs::remove_file(place.run_dir().join("state"))?;
    place.verb(&["once"], 0)?;
    place.lab.write_config(&good)?;
    Ok(format!(
        "once: {} ms; exit codes 0, 1 and 2; gives up on a silent server after {} ms (option timeout 1 s)",
        took.as_millis(),
        silent.as_millis()
    ))
}

/// Two passes at the same time send one update.
fn once_at_once(place: &mut Place) -> Result<String> {
    let before = place.dns.updates().len();
    let addr = place.readdress()?;
    let lab = place.lab;
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let passes: Vec<_> = (0..4).map(|_| scope.spawn(|| lab.verb(&["once"]))).collect();
        passes.into_iter().map(|pass| pass.join().ok()?.ok()?.status.code()).collect()
    });
    ensure!(codes.iter().all(|code| *code == Some(0)), "four passes at once end with {codes:?}");
    lab.wait_reachable("front", addr.into(), SECOND)?;
    let sent = place.updates_since(before);
    ensure!(sent.len() == 1, "four passes at once sent {sent:?}");
    Ok("four passes at the same time: all end with 0, one update".into())
}

/// A pass is asked of the daemon where one runs.
fn once_with_daemon(place: &mut Place) -> Result<String> {
    let before = place.dns.updates().len();
    let said = place.verb(&["once"], 0)?;
    ensure!(said.starts_with(&format!("Camera front can be reached at {NAME}:{PORT}.")), "once says: {said}");
    ensure!(place.updates_since(before).is_empty(), "a pass that changes nothing sent something");
    place.dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
    place.readdress()?;
    let said = place.verb(&["once"], 1)?;
    ensure!(said.contains("SERVFAIL"), "once says: {said}");
    place.verb(&["status"], 1)?;
    place.dns.set_mood(Mood::Well);
    place.verb(&["trigger"], 0)?;
    place.lab.wait_reachable("front", place.addr().into(), SECOND)?;
    place.verb(&["status"], 0)?;
    place.verb(&["status", "--json"], 0)?;
    place.verb(&["once"], 0)?;
    Ok("once with a daemon: 0 when all is well, 1 with the reason when not".into())
}

/// What rests is tried again only when a person says so.
fn triggers(place: &mut Place, agent: &Agent) -> Result<String> {
    place.dns.set_mood(Mood::Refuse(Rcode::REFUSED));
    let start = Instant::now();
    let before = place.dns.updates().len();
    let addr = place.readdress()?;
    agent.wait_line(start, "it rests", DONE_WITHIN)?;
    place.dns.set_mood(Mood::Well);
    for variant in [&["trigger", "wan", "wan"][..], &["trigger", "lease"], &["trigger", "clock"]] {
        place.verb(variant, 0)?;
    }
    // A pass tells when all that is to be done was tried.
    place.verb(&["once"], 1)?;
    let tried = place.updates_since(before).len();
    ensure!(tried == 1, "what rests was tried {tried} times");
    place.verb(&["trigger"], 0)?;
    place.lab.wait_reachable("front", addr.into(), SECOND)?;
    place.content()?;
    let tried = place.updates_since(before).len();
    ensure!(tried == 2, "a person's trigger tried {tried} times");
    Ok("what rests is left alone by hotplug's triggers, and tried again by a person's".into())
}
