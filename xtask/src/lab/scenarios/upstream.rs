//! Our router behind another one (a real miniupnpd): the camera is reached from the internet through two NATs, by name
//! and port, whatever happens to the router above us.

use super::Scenario;
use crate::lab::home::{Home, Speaks, BEHIND4, FOUND_LIMIT};
use crate::lab::*;
use anyhow::{ensure, Result};
use domain::base::Rtype;

/// The camera.
const CAMERA4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The home router's first address, its second, and one behind carrier-grade NAT.
const HOME: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const LATER: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 77);
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 5, 6);
/// The router above announces that it changed. It is asked then, once in two seconds at the most.
const ANNOUNCED_LIMIT: Duration = Duration::from_secs(10);
/// For what follows at once.
const LIMIT: Duration = Duration::from_secs(5);
/// A camera that was found open is asked twice before its port opens again.
const REOPEN_LIMIT: Duration = Duration::from_secs(15);

/// With miniupnpd, upnpc and natpmpc.
pub const UPSTREAM: Scenario = Scenario {
    name: "upstream",
    about:
        "through two NATs by PCP, NAT-PMP and UPnP of a real miniupnpd, which restarts, moves, and is shared",
    needs: &["miniupnpd", "upnpc", "natpmpc"],
    limit: Duration::from_secs(400),
    slow: true,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.look = probe::rtsp;
    let dns = lab.nameserver()?;
    let mut home = Home::create(lab, HOME)?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAMERA4)?;
    let camera = RtspCamera::start(&host.ns, 554, "front")?;
    lab.write_leases(&[host.lease(CAMERA4)])?;
    let text = lab.config().replace("\toption allow_open '1'\n", "\toption probe 'rtsp'\n");
    let text = text.replace("'global'\n", "'global'\n\toption log_level 'debug'\n");
    lab.write_config(&text.replace("\toption family 'any'\n", ""))?;
    let mut summary = Summary::default();
    for (speaks, way) in
        [(Speaks::All, "PCP"), (Speaks::Pcp, "PCP"), (Speaks::NatPmp, "NAT-PMP"), (Speaks::Upnp, "UPnP")]
    {
        summary.0.push(spoken(lab, &mut home, speaks, way)?);
    }
    for speaks in [Speaks::All, Speaks::Upnp] {
        summary.0.push(taken(lab, &mut home, speaks)?);
    }
    summary.0.extend(life(lab, &mut home, &camera)?);
    summary.0.push(shared(lab, &mut home, &dns)?);
    Ok(summary)
}

/// What `status` says of the router above us.
fn above(lab: &Lab) -> Result<serde_json::Value> {
    Ok(lab.status()?["wans"][0]["upstream"].clone())
}

/// What the doctor finds at the router above us.
fn doctor(lab: &Lab, grade: &str, words: &str) -> Result<()> {
    let told: serde_json::Value = serde_json::from_str(&lab.verb(&["doctor", "--json"])?.stdout)?;
    let link = told["links"].as_array().into_iter().flatten().find(|link| link["link"] == "upstream");
    let found = link.is_some_and(|link| {
        link["grade"] == grade && link["what"].as_str().is_some_and(|what| what.contains(words))
    });
    ensure!(found, "{link:?} is not {grade} with {words}");
    Ok(())
}

/// The camera's port outside, by `status`.
fn outside(lab: &Lab) -> Result<u64> {
    let status = lab.status()?;
    status["mappings"][0]["outside_port"].as_u64().ok_or_else(|| anyhow::anyhow!("no port outside: {status}"))
}

/// One way: the camera is reached, Debian's clients see the same, and a clean stop takes it away.
fn spoken(lab: &Lab, home: &mut Home, speaks: Speaks, way: &str) -> Result<String> {
    home.start(speaks)?;
    let start = Instant::now();
    let mut agent = lab.start_agent()?;
    let seen = lab.wait_reachable("front", HOME.into(), FOUND_LIMIT)?;
    let above = above(lab)?;
    ensure!(above["way"] == way && above["address"] == HOME.to_string(), "{speaks:?}: {above}");
    ensure!(lab.status()?["wans"][0]["ipv4"]["reach"] == "behind one NAT that we can talk to");
    ensure!(outside(lab)? == u64::from(PORT));
    let text = lab.verb(&["status"])?.stdout;
    ensure!(text.contains(&format!("from the internet: port {PORT}")), "{text}");
    let listed = format!("TCP  {PORT}->{BEHIND4}:{PORT}");
    if matches!(speaks, Speaks::All | Speaks::Upnp) {
        let list = home.upnpc(&lab.router, &["-l"])?;
        ensure!(list.contains(&listed), "upnpc sees another list: {list}");
    }
    if matches!(speaks, Speaks::All | Speaks::NatPmp) {
        let said = home.natpmpc(&lab.router, &[])?;
        ensure!(said.contains(&format!("Public IP address : {HOME}")), "{said}");
        // It sees our mapping: another device does not get the port, and gets it after us.
        let other = home.lends(PORT)?;
        ensure!(other != PORT, "natpmpc got port {other}, which is ours");
    }
    ensure!(home.mapped()?.len() == 1, "{:?}", home.mapped()?);
    agent.stop(LIMIT)?;
    ensure!(home.mapped()?.is_empty(), "a clean stop leaves {:?}", home.mapped()?);
    if matches!(speaks, Speaks::All | Speaks::Upnp) {
        let list = home.upnpc(&lab.router, &["-l"])?;
        ensure!(!list.contains(&listed), "upnpc still sees it: {list}");
    }
    if matches!(speaks, Speaks::All | Speaks::NatPmp) {
        let other = home.lends(PORT)?;
        ensure!(other == PORT, "natpmpc still sees it: it got port {other}");
    }
    let ms = (seen.reached - start).as_millis();
    Ok(format!("{speaks:?}: by {way}, through two NATs {ms} ms after the start; a clean stop takes it away"))
}

/// The port is another device's: the camera is reached by another one, which `status` shows.
fn taken(lab: &Lab, home: &mut Home, speaks: Speaks) -> Result<String> {
    home.start(Speaks::All)?;
    home.take(PORT)?;
    if speaks == Speaks::Upnp {
        // As if the other protocols were not spoken, and what is taken stays so.
        home.ns.nft("insert rule inet filter input udp dport 5351 reject")?;
    }
    let mut agent = lab.start_agent()?;
    home.wait_mapped(1, FOUND_LIMIT)?;
    let port = until("status shows the port", LIMIT, || outside(lab).ok())?;
    ensure!(port != u64::from(PORT), "the port was taken");
    let target = SocketAddr::from((HOME, port as u16));
    let mut last = String::new();
    until(&format!("a viewer reaches the camera at {target}"), LIMIT, || {
        last = (lab.look)(&lab.internet, target, SECOND).unwrap_or_else(|error| format!("{error:#}"));
        (last == "front").then_some(())
    })?;
    let list = home.upnpc(&lab.router, &["-l"])?;
    ensure!(list.contains(&format!("TCP {port:>5}->{BEHIND4}:{PORT}")), "upnpc sees another list: {list}");
    agent.stop(LIMIT)?;
    let list = home.upnpc(&lab.router, &["-l"])?;
    ensure!(!list.contains(&format!("->{BEHIND4}:")), "a clean stop leaves: {list}");
    ensure!(list.contains(&format!("TCP  {PORT}->{}", home::TENANT4)), "the other's is gone: {list}");
    let way = if speaks == Speaks::Upnp { "UPnP" } else { "PCP" };
    Ok(format!("port {PORT} taken by another device: {port} by {way}, and the other's stays"))
}

/// A restart, another address, a camera that is found open, a kill.
fn life(lab: &Lab, home: &mut Home, camera: &RtspCamera) -> Result<Vec<String>> {
    let mut said = Vec::new();
    home.start(Speaks::All)?;
    let mut agent = lab.start_agent()?;
    lab.wait_reachable("front", HOME.into(), FOUND_LIMIT)?;

    // What a neighbour says is nothing to us; what comes after it from the router itself is heard.
    let heard = |agent: &Agent| agent.lines().iter().filter(|line| line.text.contains("announces")).count();
    home::announce(&home.tenant, home::TENANT4)?;
    home::announce(&home.ns, home::HOME4)?;
    until("the router's word is heard", LIMIT, || (heard(&agent) > 0).then_some(()))?;
    ensure!(heard(&agent) == 1, "a neighbour was heard too");

    doctor(lab, "ok", "to the internet")?;
    home.start(Speaks::All)?;
    let start = Instant::now();
    let reached = lab.wait_greeted("front", HOME.into(), ANNOUNCED_LIMIT)?;
    said.push(format!("restarted: reached again after {:.1} s", (reached - start).as_secs_f64()));

    home.readdress(lab, LATER)?;
    let start = Instant::now();
    let seen = lab.wait_reachable("front", LATER.into(), ANNOUNCED_LIMIT)?;
    let (name, way) = (seen.named - start, seen.reached - start);
    said.push(format!(
        "another address: the name follows after {:.1} s, a viewer gets in after {:.1} s",
        name.as_secs_f64(),
        way.as_secs_f64()
    ));
    home.readdress(lab, HOME)?;
    let start = Instant::now();
    lab.verb(&["trigger"])?;
    let seen = lab.wait_reachable("front", HOME.into(), LIMIT)?;
    said.push(format!("and back, with a trigger: {} ms", (seen.reached - start).as_millis()));

    camera.set_password(false);
    let start = Instant::now();
    lab.verb(&["trigger"])?;
    let gone = home.wait_mapped(0, LIMIT)?;
    said.push(format!("found open: its mapping is gone above us after {} ms", (gone - start).as_millis()));
    camera.set_password(true);
    lab.verb(&["trigger"])?;
    home.wait_mapped(1, REOPEN_LIMIT)?;

    agent.kill();
    lab.write_config(
        &fs::read_to_string(lab.config_file())?
            .replace(" 'front_rtsp'", " 'front_rtsp'\n\toption enabled '0'"),
    )?;
    let mut agent = lab.start_agent()?;
    home.wait_mapped(0, LIMIT)?;
    agent.stop(LIMIT)?;
    let text = fs::read_to_string(lab.config_file())?;
    lab.write_config(&text.replace(" 'front_rtsp'\n\toption enabled '0'", " 'front_rtsp'"))?;
    said.push("killed, and the mapping switched off meanwhile: the next run takes it away".into());
    Ok(said)
}

/// The router above us is behind carrier-grade NAT: said once, and nothing private is published.
fn shared(lab: &Lab, home: &mut Home, dns: &Nameserver) -> Result<String> {
    home.kill();
    home.readdress(lab, SHARED)?;
    home.start(Speaks::All)?;
    let (before, published) = (dns.count(), lab.ask(Rtype::A)?);
    let start = Instant::now();
    let mut agent = lab.start_agent()?;
    let sentence = agent.wait_line(start, "has no public address itself", FOUND_LIMIT)?;
    lab.verb(&["trigger"])?;
    lab.verb(&["once"])?;
    let all = agent.lines().iter().filter(|line| line.text.contains("has no public address itself")).count();
    ensure!(all == 1, "said {all} times");
    ensure!(dns.count() == before && lab.ask(Rtype::A)? == published, "something was published");
    let above = above(lab)?;
    ensure!(above["address"] == SHARED.to_string() && above["well"] == false, "{above}");
    doctor(lab, "broken", "has no public address itself")?;
    agent.stop(LIMIT)?;
    let text = sentence.text.split(" the router").last().unwrap_or_default().to_owned();
    Ok(format!("carrier-grade NAT above: nothing published, and once: the router{text}"))
}
