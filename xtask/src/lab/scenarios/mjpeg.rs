//! A real camera of MJPEG over HTTP, watched by a real player from the internet by name: with Basic authentication it
//! is exposed, and its owner warned; without a password it is refused.

use super::Scenario;
use crate::lab::stream::{self, MJPEG_PICTURE};
use crate::lab::*;
use anyhow::{ensure, Result};
use nix::sys::signal::Signal;

/// The camera's address.
const CAMERA4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The router's second address.
const LATER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// For the name and the way in, after a change.
const LIMIT: Duration = Duration::from_secs(3);
/// What the owner of a camera with Basic authentication is told.
const WARNING: &str = "Basic authentication sends the password in clear text over the internet";
/// What a stranger is answered: by a camera with a password, and by one without.
const WITH: &str = "401";
const WITHOUT: &str = "200";

/// With uStreamer and ffmpeg.
pub const MJPEG: Scenario = Scenario {
    name: "mjpeg",
    about: "a real MJPEG camera watched by name through the mapping; only with a password is it exposed",
    needs: &["ustreamer", "ffprobe"],
    limit: Duration::from_secs(90),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.look = status;
    let _dns = lab.nameserver()?;
    fs::write(lab.internet.etc("resolv.conf"), format!("nameserver {DNS4}\n"))?;
    lab.wan_up()?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAMERA4)?;
    let camera = stream::mjpeg(&host.ns, 80, true)?;
    lab.write_leases(&[host.lease(CAMERA4)])?;
    configure(lab, false)?;
    let agent = lab.start_agent()?;
    let mut summary = Summary::default();
    summary.0.push(watched(lab, WAN4, "at first", Instant::now())?);
    let start = Instant::now();
    lab.wan_readdress4(LATER)?;
    summary.0.push(watched(lab, LATER, "new WAN address", start)?);
    let warned = agent.lines().iter().filter(|line| line.text.contains(WARNING)).count();
    ensure!(warned == 1, "warned of Basic authentication {warned} times");
    drop(camera);
    let _camera = stream::mjpeg(&host.ns, 80, false)?;
    summary.0.push(open_is_refused(lab, &agent)?);
    Ok(summary)
}

/// The status of the camera's answer to whoever brings no password.
fn status(from: &Ns, target: SocketAddr, limit: Duration) -> Result<String> {
    probe::http(from, target, "GET /", "", "", limit).map(|(status, _)| status.to_string())
}

/// Nobody vouches for the camera, or its owner does.
fn configure(lab: &Lab, vouched: bool) -> Result<()> {
    let how = format!("\toption probe 'http'\n\toption path '{}'\n", stream::PATH);
    let vouch = "\toption allow_open '1'\n";
    let text = lab.config().replace("dest_port '554'", "dest_port '80'");
    lab.write_config(&text.replace(vouch, &if vouched { how + vouch } else { how }))
}

/// The picture by name, and none for whoever does not know the password.
fn watched(lab: &Lab, addr: Ipv4Addr, when: &str, start: Instant) -> Result<String> {
    let seen = lab.wait_reachable(WITH, addr.into(), LIMIT)?;
    let picture = stream::watch(&lab.internet, &stream::url("http", NAME, PORT, true))?;
    ensure!(picture == MJPEG_PICTURE, "the picture is {picture}");
    let stranger = stream::watch(&lab.internet, &stream::url("http", NAME, PORT, false));
    let said = stranger.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(said.contains("401 Unauthorized"), "without the password: {said}");
    let took = seen.reached.saturating_duration_since(start).as_millis();
    Ok(format!("{when}: a picture by name, reached after {took} ms"))
}

/// The camera has no password any more: asked again, it is closed and the status says why; its owner may expose it.
fn open_is_refused(lab: &Lab, agent: &Agent) -> Result<String> {
    let start = Instant::now();
    lab.verb(&["trigger"])?.success()?;
    let closed = lab.wait_closed(LATER.into(), 2 * SECOND)?;
    let took = closed.saturating_duration_since(start);
    ensure!(took <= SECOND, "closed after {} ms", took.as_millis());
    let why = lab.why_closed("front_rtsp")?;
    ensure!(why.contains("streams to anyone, without a password"), "status says: {why}");
    configure(lab, true)?;
    agent.signal(Signal::SIGHUP)?;
    lab.wait_reachable(WITHOUT, LATER.into(), LIMIT)?;
    let picture = stream::watch(&lab.internet, &stream::url("http", NAME, PORT, false))?;
    ensure!(picture == MJPEG_PICTURE, "the picture is {picture}");
    Ok(format!(
        "without a password: closed {} ms after `trigger`, exposed with allow_open '1'",
        took.as_millis()
    ))
}
