//! A real RTSP camera, watched by a real player from the internet and from the LAN, by the same name and port: with
//! Digest authentication it is exposed, and followed wherever it goes; one that streams to anyone is refused.

use super::Scenario;
use crate::lab::stream::{self, Rtsp, Watching, RTSP_NEEDS, RTSP_PICTURE};
use crate::lab::*;
use anyhow::{ensure, Result};
use nix::sys::signal::Signal;

/// The camera's two addresses, and those of the camera without a password and of a viewer on the LAN.
const LEASES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 57)];
const SHED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 21);
const SOFA: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 90);
/// The public port of the camera without a password.
const SHED_PORT: u16 = 8555;
/// The router's second address.
const LATER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// How GStreamer's server calls itself.
const GSTREAMER: &str = "GStreamer RTSP server";
/// For the name and the way in, after a change.
const LIMIT: Duration = Duration::from_secs(3);
/// A camera that was found open is asked again after 250 ms, then after twice as long each time.
const REOPEN_LIMIT: Duration = Duration::from_secs(15);

/// With GStreamer's RTSP server and ffmpeg.
pub const RTSP: Scenario = Scenario {
    name: "rtsp",
    about: "a real RTSP camera watched by name from outside and inside; only with a password is it exposed",
    needs: &[RTSP_NEEDS[0], RTSP_NEEDS[1], RTSP_NEEDS[2], RTSP_NEEDS[3], "ffprobe"],
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.look = probe::rtsp;
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    let hosts = [("front", CAMERA_MAC, LEASES[0]), ("shed", "02:00:00:00:00:21", SHED)];
    let [front, shed] = hosts.map(|(name, mac, addr)| lab.lan_host(name, mac, addr));
    let (front, shed) = (front?, shed?);
    let sofa = lab.lan_host("sofa", "02:00:00:00:00:90", SOFA)?;
    for place in [&lab.internet, &sofa.ns] {
        fs::write(place.etc("resolv.conf"), format!("nameserver {DNS4}\n"))?;
    }
    let camera = Rtsp::start(&front.ns, 554, true)?;
    let _open = Rtsp::start(&shed.ns, 554, false)?;
    let home = Home { lab, front, shed, sofa, camera };
    home.leases(LEASES[0])?;
    home.configure("/", false)?;
    let agent = lab.start_agent()?;
    let mut summary = Summary::default();
    summary.0.push(home.asked(&agent)?);
    summary.0.push(home.watched("at first")?);
    summary.0.push(home.open_is_refused(&agent)?);
    let start = Instant::now();
    lab.wan_readdress4(LATER)?;
    summary.0.push(home.reached(LATER, "new WAN address", start)?);
    let start = Instant::now();
    home.front.readdress(LEASES[1])?;
    home.leases(LEASES[1])?;
    summary.0.push(home.reached(LATER, "new lease", start)?);
    summary.0.push(home.password_lost_and_set()?);
    Ok(summary)
}

/// The router, the two cameras behind it, and somebody on the LAN.
struct Home<'a> {
    lab: &'a Lab,
    front: Host,
    shed: Host,
    sofa: Host,
    camera: Rtsp,
}

impl Home<'_> {
    fn leases(&self, front: Ipv4Addr) -> Result<()> {
        self.lab.write_leases(&[self.front.lease(front), self.shed.lease(SHED)])
    }

    /// Nobody vouches for the camera; for the one without a password its owner does, if `vouched`.
    fn configure(&self, path: &str, vouched: bool) -> Result<()> {
        let path = format!("\toption path '{path}'\n");
        let front = self.lab.config().replace("\toption allow_open '1'\n", &path);
        let vouch = if vouched { "\toption allow_open '1'\n" } else { "" };
        let shed = format!(
            "\nconfig camera 'shed'\n\tlist mac '{}'\n\nconfig mapping 'shed_rtsp'\n\toption camera 'shed'\n\
             \toption src_dport '{SHED_PORT}'\n\toption dest_port '554'\n\toption path '{}'\n{vouch}",
            self.shed.mac,
            stream::PATH
        );
        self.lab.write_config(&format!("{front}{shed}"))
    }

    /// GStreamer says of a stream that it does not have that it does not have it, whoever asks: that proves nothing.
    /// Of the one that it has it says that a password is wanted, and the mapping is opened.
    fn asked(&self, agent: &Agent) -> Result<String> {
        let long_ago = Instant::now() - 60 * SECOND;
        agent.wait_line(long_ago, "camera front at 192.168.1.20:554 is not proven", LIMIT)?;
        ensure!(probe::connect(&self.lab.internet, (WAN4, PORT).into(), SECOND / 2).is_err(), "it is open");
        self.configure(stream::PATH, false)?;
        let start = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        agent.wait_line(start, "camera front at 192.168.1.20:554 asks for a password (Digest)", LIMIT)?;
        let seen = self.lab.wait_reachable(GSTREAMER, WAN4.into(), LIMIT)?;
        Ok(format!(
            "with the stream's path the camera is found to ask for a password (Digest) and open after {} ms",
            seen.reached.saturating_duration_since(start).as_millis()
        ))
    }

    /// A picture by name, from the internet and from the LAN; and none for whoever does not know the password.
    fn watched(&self, when: &str) -> Result<String> {
        let url = stream::url("rtsp", NAME, PORT, true);
        let mut took = Vec::new();
        for place in [&self.lab.internet, &self.sofa.ns] {
            let start = Instant::now();
            let picture = stream::watch(place, &url)?;
            ensure!(picture == RTSP_PICTURE, "in {} the picture is {picture}", place.name());
            took.push(start.elapsed().as_millis().to_string());
        }
        let stranger = stream::watch(&self.lab.internet, &stream::url("rtsp", NAME, PORT, false));
        let said = stranger.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains("401 Unauthorized"), "without the password: {said}");
        Ok(format!("{when}: a picture outside and on the LAN (ffprobe took {} ms)", took.join(" and ")))
    }

    /// After a change: the name, the way in, and the picture.
    fn reached(&self, addr: Ipv4Addr, what: &str, start: Instant) -> Result<String> {
        let seen = self.lab.wait_reachable(GSTREAMER, addr.into(), LIMIT)?;
        let took = seen.reached.saturating_duration_since(start).as_millis();
        Ok(format!("{}, {took} ms after the change", self.watched(what)?))
    }

    /// The camera without a password: nothing answers for it and the status says why, until its owner vouches for it.
    fn open_is_refused(&self, agent: &Agent) -> Result<String> {
        let long_ago = Instant::now() - 60 * SECOND;
        agent.wait_line(long_ago, "camera shed at 192.168.1.21:554 streams to anyone", LIMIT)?;
        let why = self.lab.why_closed("shed_rtsp")?;
        ensure!(why.contains("streams to anyone, without a password"), "status says: {why}");
        let door = (WAN4, SHED_PORT).into();
        ensure!(probe::connect(&self.lab.internet, door, SECOND / 2).is_err(), "somebody answers at {door}");
        let rules = self.lab.router.sh("nft list ruleset")?;
        ensure!(!rules.contains(&SHED_PORT.to_string()), "there is a rule for it: {rules}");
        self.configure(stream::PATH, true)?;
        agent.signal(Signal::SIGHUP)?;
        until("the camera that its owner vouches for is reached", LIMIT, || {
            probe::rtsp(&self.lab.internet, door, SECOND / 2).ok()
        })?;
        let picture = stream::watch(&self.lab.internet, &stream::url("rtsp", NAME, SHED_PORT, false))?;
        ensure!(picture == RTSP_PICTURE, "the picture is {picture}");
        Ok("a camera that streams to anyone is refused, and exposed with allow_open '1'".into())
    }

    /// The camera is reset while somebody watches. Asked again, it is closed at once, and opens by itself when it has
    /// a password again.
    fn password_lost_and_set(&self) -> Result<String> {
        let url = stream::url("rtsp", NAME, PORT, true);
        let mut watching = Watching::start(&self.lab.internet, &url)?;
        self.camera.set_password(false)?;
        let start = Instant::now();
        self.lab.verb(&["trigger"])?.success()?;
        let closed = self.lab.wait_closed(LATER.into(), 2 * SECOND)?;
        let cut = watching.wait_cut(2 * SECOND)?;
        let took = cut.max(closed).saturating_duration_since(start);
        ensure!(took <= SECOND, "closed and cut after {} ms", took.as_millis());
        let why = self.lab.why_closed("front_rtsp")?;
        ensure!(why.contains("streams to anyone, without a password"), "status says: {why}");
        self.camera.set_password(true)?;
        let start = Instant::now();
        let open = self.lab.wait_greeted(GSTREAMER, LATER.into(), REOPEN_LIMIT)?;
        self.watched("password set again")?;
        Ok(format!(
            "password lost: closed, and whoever watched cut, {} ms after `trigger`; set again: open after {:.1} s",
            took.as_millis(),
            (open - start).as_secs_f64()
        ))
    }
}
