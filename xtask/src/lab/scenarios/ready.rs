//! The line gets ready in parts: an address, 300 ms later its route, 3 s later the resolver. One update goes
//! out, as soon as the last part is there, and nothing is held against the provider.

use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use std::thread;

/// From the address to its route.
const TO_ROUTE: Duration = Duration::from_millis(300);
/// From the route to the resolver: about when the agent tries again by itself, and well in between.
const TO_RESOLVER: [Duration; 2] = [Duration::from_secs(3), Duration::from_millis(3400)];
/// Longer than the agent's first back-offs: nothing may follow the update.
const AFTER: Duration = Duration::from_secs(2);

/// With BIND 9.
pub const BIND: Scenario = Scenario {
    name: "ready-bind",
    about:
        "address, route, resolver one after the other: one update within a second of the last, no back-off",
    needs: &["named", "dig"],
    limit: Duration::from_secs(60),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    let dns = Named::start(lab, Software::Bind)?;
    lab.write_resolver("")?;
    // The server goes by its name, so that nothing can leave without the resolver.
    let config = lab.config().replacen("\n\n", "\n\toption log_level 'debug'\n\n", 1);
    ensure!(config.contains(&format!("option server 'ns1.{ZONE}'")), "the server should be a name: {config}");
    lab.write_config(&config)?;
    let mut agent = lab.start_agent()?;
    let mut summary = Summary::default();
    for (at, gap) in TO_RESOLVER.into_iter().enumerate() {
        let addr = Ipv4Addr::from(WAN4.to_bits() + at as u32);
        let line = rise(lab, &dns, &agent, addr, gap)
            .with_context(|| format!("resolver {} ms after the route", gap.as_millis()))?;
        summary.0.push(line);
        let (updates, steps) = (dns.updates().len(), dns.history(&lab.internet)?.len());
        ensure!((updates, steps) == (at + 1, at + 1), "{updates} updates and {steps} changes of the zone");
        lab.wan_gone()?;
        lab.write_resolver("")?;
    }
    let tries = complaints(&agent, "not ready")?;
    agent.stop(SECOND)?;
    summary.0.push(format!("{} tries sent nothing; no back-off was counted", tries));
    Ok(summary)
}

/// The line comes up in parts.
fn rise(lab: &Lab, dns: &Named, agent: &Agent, addr: Ipv4Addr, gap: Duration) -> Result<String> {
    let before = dns.updates().len();
    lab.wan_device()?;
    let started = Instant::now();
    lab.router.ip(&format!("addr add {addr}/24 dev wan0"))?;
    agent.wait_line(started, &format!("address {addr}"), SECOND)?;
    pace(started, TO_ROUTE);
    ensure!(lab.status()?["records"][0]["failure"].is_null(), "a failure before there is a route");
    let routed = Instant::now();
    lab.router.ip(&format!("route add default via {GATEWAY4} dev wan0"))?;
    let tried = agent.wait_line(routed, "not ready", SECOND).context("no try once there is a route")?;
    pace(routed, gap);
    let waiting = lab.status()?["records"][0]["failure"].clone();
    ensure!(waiting["class"] == "not-ready" && waiting["tries"] == 0, "while it waits: {waiting}");
    ensure!(dns.updates().len() == before, "an update without a resolver");

    let ready = Instant::now();
    lab.write_resolver(&format!("nameserver {DNS4}\n"))?;
    let named = lab.wait_named(addr.into(), SECOND)?;
    let update = until("the update is in the server's log", SECOND, || dns.updates().get(before).cloned())?;
    ensure!(update.at - ready <= SECOND, "the update took {} ms", (update.at - ready).as_millis());
    thread::sleep(AFTER);
    let status = lab.status()?;
    let record = &status["records"][0];
    ensure!(record["standing"] == "published" && record["failure"].is_null(), "afterwards: {record}");
    Ok(format!(
        "first try {} ms after the route: not ready; resolver after {} ms; then the update was at the server \
         after {} ms, the name right after {} ms",
        (tried.at - routed).as_millis(),
        (ready - routed).as_millis(),
        (update.at - ready).as_millis(),
        (named - ready).as_millis()
    ))
}

/// Waits until this long after `since`: the stimulus itself, not a wait for something.
fn pace(since: Instant, gap: Duration) {
    thread::sleep(gap.saturating_sub(since.elapsed()));
}

/// How often the agent complained, always in these words.
fn complaints(agent: &Agent, words: &str) -> Result<usize> {
    let lines = agent.lines();
    let loud = lines.iter().filter(|line| line.is_loud());
    let mut count = 0;
    for line in loud {
        ensure!(line.text.contains(words), "a complaint of another kind: {}", line.text);
        count += 1;
    }
    Ok(count)
}
