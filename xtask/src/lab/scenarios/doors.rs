//! Who may and when, seen by packets: networks and names in `src_ip`, a name whose address changes, a schedule that
//! ends and one that begins while somebody watches; and what status counts.

use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpStream;
use std::time::SystemTime;

/// The camera.
const CAM: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// Lies in the network that may.
const FRIEND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 71);
/// Where the owner is ...
const OWNER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 90);
/// ... and is later.
const OWNER_MOVED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 91);
/// The owner's name, which the lab's name server knows.
const OWNER_NAME: &str = "owner.example.com";
/// The second mapping's port.
const SECOND_PORT: u16 = 8555;
/// The local time of nowhere in particular: 5:30 h east of UTC.
const TIME_ZONE: &str = "<+0530>-5:30";
const EAST: u64 = (5 * 60 + 30) * 60;
/// The clock's seconds are whole to the planner, and then it takes a moment.
const EDGE_LIMIT: Duration = Duration::from_millis(2000);
/// An edge that is nearer than this is not waited for, but the next one.
const TOO_NEAR: u64 = 12;

/// `src_ip` and `schedule`.
pub const DOORS: Scenario = Scenario {
    name: "doors",
    about: "src_ip by network and by name, a schedule's edges with a stream running, connections counted",
    needs: &[],
    limit: Duration::from_secs(180),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    for addr in [FRIEND, OWNER, OWNER_MOVED] {
        lab.internet.ip(&format!("addr add {addr}/32 dev lo"))?;
    }
    fs::write(lab.root.join("etc/TZ"), format!("{TIME_ZONE}\n"))?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAM)?;
    let _front = Camera::start(&host.ns, 554, "front")?;
    lab.write_leases(&[host.lease(CAM)])?;
    dns.publish(OWNER_NAME, OWNER.into())?;
    let doors = Doors { lab, dns };
    doors.configure("")?;
    let mut agent = lab.start_agent()?;
    let mut summary = Summary::default();
    summary.0.push(doors.who_may()?);
    summary.0.push(doors.the_owner_moves(&agent)?);
    agent.signal(Signal::SIGKILL)?;
    drop(agent);
    let start = Instant::now();
    agent = lab.start_agent()?;
    agent.wait_line(start, "is open to", 5 * SECOND)?;
    summary.0.push(doors.counted()?);
    summary.0.push(doors.edges(&agent)?);
    agent.stop(5 * SECOND)?;
    Ok(summary)
}

struct Doors<'a> {
    lab: &'a Lab,
    dns: Nameserver,
}

impl Doors<'_> {
    /// The lab's mapping with `src_ip`, and more text behind it.
    fn configure(&self, more: &str) -> Result<()> {
        let who = format!("\tlist src_ip '198.51.100.64/28'\n\tlist src_ip '{OWNER_NAME}'\n");
        self.lab.write_config(&format!("{}{who}{more}", self.lab.config()))
    }

    /// A connection of somebody with this address, who is greeted and answered.
    fn call(&self, from: Ipv4Addr, port: u16) -> Result<TcpStream> {
        let target = SocketAddr::from((WAN4, port));
        let mut stream = probe::connect_as(&self.lab.internet, from, target, SECOND / 2)?;
        ensure!(probe::read_line(&mut stream)? == "front" && probe::echoes(&mut stream)?, "no echo");
        Ok(stream)
    }

    fn wait_call(&self, from: Ipv4Addr, port: u16, limit: Duration) -> Result<(TcpStream, Instant)> {
        until(&format!("{from} reaches port {port}"), limit, || {
            self.call(from, port).ok().map(|stream| (stream, Instant::now()))
        })
    }

    fn wait_cut(&self, call: &mut TcpStream, limit: Duration) -> Result<Instant> {
        until("the connection is cut", limit, || (!probe::echoes(call).unwrap_or(true)).then(Instant::now))
    }

    fn who_may(&self) -> Result<String> {
        self.wait_call(OWNER, PORT, 3 * SECOND).context("the owner, by name")?;
        self.call(FRIEND, PORT).context("the friend, by network")?;
        for stranger in [VIEWER4, OWNER_MOVED] {
            ensure!(self.call(stranger, PORT).is_err(), "{stranger} may too");
        }
        Ok(format!(
            "{FRIEND} by its network and {OWNER} by its name come in, {VIEWER4} and {OWNER_MOVED} do not"
        ))
    }

    /// The name has another address: who has the old one is cut. When the resolver fails, who came in stays in.
    fn the_owner_moves(&self, agent: &Agent) -> Result<String> {
        let mut old = self.call(OWNER, PORT)?;
        self.dns.publish(OWNER_NAME, OWNER_MOVED.into())?;
        let start = Instant::now();
        self.lab.verb(&["trigger", "wan", "wan"])?;
        agent.wait_line(start, &format!("{OWNER_NAME} is {OWNER_MOVED}"), 5 * SECOND)?;
        let cut = self.wait_cut(&mut old, 2 * SECOND)?;
        let (mut new, _) = self.wait_call(OWNER_MOVED, PORT, 2 * SECOND)?;
        ensure!(self.call(OWNER, PORT).is_err(), "the old address still may");
        self.lab.write_resolver("nameserver 198.51.100.99\n")?;
        let deaf = Instant::now();
        self.lab.verb(&["trigger", "wan", "wan"])?;
        agent.wait_line(deaf, "who had its address still may", 15 * SECOND)?;
        ensure!(probe::echoes(&mut new)?, "a failed look-up cut the owner");
        self.lab.write_resolver(&format!("nameserver {DNS4}\n"))?;
        agent.wait_line(deaf, &format!("{OWNER_NAME} can be looked up again"), 15 * SECOND)?;
        ensure!(probe::echoes(&mut new)?, "the same answer cut the owner");
        Ok(format!(
            "the name's new address is let in and the old one's connection cut {} ms after the trigger; a failing \
             resolver changes nothing",
            (cut - start).as_millis()
        ))
    }

    fn hits(&self) -> Result<u64> {
        let status = self.lab.status()?;
        status["mappings"][0]["hits"].as_u64().with_context(|| format!("no hits in {status:#}"))
    }

    /// Connections that were let in, before the kill and after it.
    fn counted(&self) -> Result<String> {
        let (_stream, _) = self.wait_call(OWNER_MOVED, PORT, 3 * SECOND)?;
        let before = self.hits()?;
        ensure!(before >= 4, "{before} connections of four and more");
        ensure!(self.call(VIEWER4, PORT).is_err(), "the stranger may");
        drop(self.call(FRIEND, PORT)?);
        let after = self.hits()?;
        ensure!(after == before + 1, "{before} and one connection are {after}");
        Ok(format!("{after} connections counted, over a change of the rules and a kill of the agent"))
    }

    /// One mapping's hours end at the minute at which another's begin.
    fn edges(&self, agent: &Agent) -> Result<String> {
        let now = unix().as_secs();
        let edge = (now + TOO_NEAR).div_ceil(60) * 60;
        let (from, to) = (clock(edge - 7200), clock(edge + 7200));
        let at = clock(edge);
        self.configure(&format!(
            "\toption schedule '{from}-{at}'\n\nconfig mapping 'later'\n\toption camera 'front'\n\
             \toption src_dport '{SECOND_PORT}'\n\toption dest_port '554'\n\toption allow_open '1'\n\
             \toption schedule '{at}-{to}'\n"
        ))?;
        let mut watching = self.call(FRIEND, PORT)?;
        let reload = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        agent.wait_line(reload, "configuration reloaded", 2 * SECOND)?;
        ensure!(probe::echoes(&mut watching)?, "a schedule that is open cut who was in");
        ensure!(self.call(VIEWER4, SECOND_PORT).is_err(), "it is open before its time");
        let status = self.lab.status()?;
        let why = status["mappings"][1]["closed"].as_str().unwrap_or_default();
        ensure!(why.starts_with("by its schedule until ") && why.ends_with(&at), "status says {why}");
        ensure!(status["mappings"][1]["rests"] == true, "status: {status:#}");
        let left = Duration::from_secs(edge).saturating_sub(unix());
        let end = Instant::now() + left;
        let cut = self.wait_cut(&mut watching, left + EDGE_LIMIT)?;
        let (_stream, open) = self.wait_call(VIEWER4, SECOND_PORT, EDGE_LIMIT)?;
        ensure!(cut >= end, "cut {} ms too early", (end - cut).as_millis());
        ensure!(self.call(FRIEND, PORT).is_err(), "it is open after its time");
        Ok(format!(
            "at {at} by {TIME_ZONE} one mapping closed and its stream was cut after {} ms, another was open after {} ms",
            (cut - end).as_millis(),
            (open - end).as_millis()
        ))
    }
}

fn unix() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// What the clock on the wall shows there.
fn clock(unix: u64) -> String {
    let minute = (unix + EAST) / 60 % (24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
