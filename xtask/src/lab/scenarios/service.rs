//! OpenWrt's firewall carries the mapping: as data of a procd service, which fw4 reads. Opening costs one reload;
//! closing does not wait for it, nor where another device takes the camera's address; a crash, a restart and reloads
//! by others change nothing.

use super::Scenario;
use crate::lab::openwrt::Openwrt;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use serde_json::{json, Value};
use std::net::TcpStream;

/// The service that the data is under.
const SERVICE: &str = "porchlight_mappings";
/// The camera's second address.
const MOVED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 60);
/// And its first.
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// After procd's second, for fw4 and for us.
const OPEN_LIMIT: Duration = Duration::from_millis(3000);
/// How long another device must be quiet before the mapping opens again, the first time.
const QUIET: Duration = Duration::from_secs(10);
/// How long fw4 may take to take over what it was told, before that is a failure.
const RELOAD_DEADLINE: Duration = Duration::from_secs(30);

/// Who may by name.
const OWNER: &str = "owner.example.com";

/// The backend `service`.
pub const SERVICE_BACKEND: Scenario = Scenario {
    name: "service",
    about: "mappings as service data for OpenWrt's firewall: one reload opens, closing does not wait for one",
    needs: &["conntrack"],
    limit: Duration::from_secs(240),
    slow: false,
    run,
};

/// Its own scenario, as a mapping is opened four times in five minutes at the most.
pub const REPLACED: Scenario = Scenario {
    name: "service-replaced",
    about:
        "another device on the camera's address: closed and cut within a second, before fw4 has heard of it",
    needs: &["conntrack", "busybox"],
    limit: Duration::from_secs(90),
    slow: false,
    run: |lab| {
        let home = Home::furnish(lab)?;
        let _agent = home.start()?;
        Ok(Summary(vec![home.opens()?, home.replaced()?]))
    },
};

fn run(lab: &mut Lab) -> Result<Summary> {
    let home = Home::furnish(lab)?;
    let mut summary = Summary::default();
    let mut agent = home.start()?;
    summary.0.push(home.opens()?);
    summary.0.push(home.moves()?);
    summary.0.push(home.others_reload()?);
    agent.kill();
    summary.0.push(home.crash_changes_nothing()?);
    let mut agent = home.start()?;
    summary.0.push(home.restart_changes_nothing(&agent)?);
    summary.0.push(home.closes_without_the_firewall(&agent)?);
    agent.stop(5 * SECOND)?;
    let mut agent = home.start()?;
    summary.0.push(home.who_may_and_when(&agent)?);
    agent.stop(5 * SECOND)?;
    home.configure("", true)?;
    let mut agent = home.start()?;
    home.switches_off(&mut agent)?;
    summary.0.push(home.stops_and_keeps()?);
    summary.0.push(home.refused_by_nft()?);
    Ok(summary)
}

/// The router with its firewall, the camera, and somebody on the LAN.
struct Home<'a> {
    lab: &'a Lab,
    openwrt: Openwrt,
    host: Host,
    viewer: Host,
    _front: Camera,
    dns: Nameserver,
}

impl Home<'_> {
    fn furnish(lab: &Lab) -> Result<Home<'_>> {
        lab.router.nft("delete table inet home")?;
        let dns = lab.nameserver()?;
        lab.wan_up()?;
        let openwrt = Openwrt::start(lab, WAN4)?;
        let host = lab.lan_host("camera", CAMERA_MAC, FIRST)?;
        let viewer = lab.lan_host("viewer", "02:00:00:00:00:77", [192, 168, 1, 77].into())?;
        let front = Camera::start(&host.ns, 554, "front")?;
        lab.write_leases(&[host.lease(FIRST)])?;
        let home = Home { lab, openwrt, host, viewer, _front: front, dns };
        home.configure("", true)?;
        Ok(home)
    }

    /// The backend is left to the agent; `global` is added to the section of that name.
    fn configure(&self, global: &str, mapped: bool) -> Result<()> {
        let text = self.lab.config().replacen("\toption mapping_backend 'nft'\n", global, 1);
        let (head, _) = text.split_once("config mapping").unwrap_or((&text, ""));
        self.lab.write_config(if mapped { &text } else { head })
    }

    fn start(&self) -> Result<Agent> {
        self.lab.start_agent_as(self.lab.command().arg("run").env("PATH", self.openwrt.path()))
    }

    fn listing(&self, table: &str) -> String {
        self.lab.router.sh(&format!("nft -s list table inet {table}")).unwrap_or_default()
    }

    fn wait_open(&self) -> Result<Instant> {
        self.lab.wait_greeted("front", WAN4.into(), OPEN_LIMIT)
    }

    /// Waits until fw4 has done what it was told, and our own table holds nothing back.
    fn wait_lifted(&self, limit: Duration) -> Result<()> {
        until("the firewall took over and nothing is barred any more", limit, || {
            (self.openwrt.is_quiet() && !self.listing("porchlight").contains(" drop")).then_some(())
        })
    }

    fn call(&self) -> Result<TcpStream> {
        let mut call = probe::connect(&self.lab.internet, (WAN4, PORT).into(), SECOND / 5)?;
        ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
        Ok(call)
    }

    fn wait_cut(&self, call: &mut TcpStream) -> Result<Instant> {
        until("the old connection is cut", 2 * SECOND, || {
            (!probe::echoes(call).unwrap_or(true)).then(Instant::now)
        })
    }

    fn opens(&self) -> Result<String> {
        let start = Instant::now();
        let open = self.wait_open()?;
        let inside = probe::banner(&self.viewer.ns, (WAN4, PORT).into(), SECOND)?;
        ensure!(inside == "front", "hairpin leads to {inside}");
        let writes = self.openwrt.writes();
        ensure!(writes.len() == 1 && self.openwrt.reloads() == 1, "one change, one reload: {writes:?}");
        let data = self.openwrt.service(SERVICE);
        for redirect in data["firewall"].as_array().into_iter().flatten() {
            ensure!(redirect["type"] == "redirect" && redirect["dest_ip"] == FIRST.to_string(), "{redirect}");
        }
        ensure!(
            !openwrt::leads_to(&self.listing("porchlight"), FIRST.into()),
            "our own table translates too"
        );
        Ok(format!("open {} ms after the start, from the LAN too, by one reload", (open - start).as_millis()))
    }

    fn moves(&self) -> Result<String> {
        let mut call = self.call()?;
        self.host.readdress(MOVED)?;
        let start = Instant::now();
        self.lab.write_leases(&[self.host.lease(MOVED)])?;
        let cut = self.wait_cut(&mut call)?;
        let told = until("procd has the new place", SECOND, || {
            self.openwrt.service(SERVICE).to_string().contains(&MOVED.to_string()).then(Instant::now)
        })?;
        let reloaded = until("the firewall has reloaded", OPEN_LIMIT, || {
            (self.openwrt.reloads() == 2).then(Instant::now)
        })?;
        let open = self.wait_open()?;
        self.wait_lifted(OPEN_LIMIT)?;
        ensure!(self.openwrt.reloads() == 2, "{} reloads", self.openwrt.reloads());
        ensure!(cut - start <= SECOND, "cut after {} ms", (cut - start).as_millis());
        let late = open.saturating_duration_since(reloaded);
        ensure!(late <= SECOND, "open only {} ms after the reload", late.as_millis());
        let ms = |at: Instant| (at - start).as_millis();
        Ok(format!(
            "lease moved: connection cut after {} ms, procd told after {} ms, its second and the one reload over after \
             {} ms, open at the new address after {} ms",
            ms(cut),
            ms(told),
            ms(reloaded),
            ms(open)
        ))
    }

    /// A new WAN address: netifd has fw4 reload, and the hairpin follows without us.
    fn others_reload(&self) -> Result<String> {
        self.openwrt.writes();
        let other = Ipv4Addr::new(203, 0, 113, 11);
        self.lab.wan_readdress4(other)?;
        self.openwrt.wan_is(self.lab, other)?;
        self.lab.wait_greeted("front", other.into(), SECOND)?;
        let inside = probe::banner(&self.viewer.ns, (other, PORT).into(), SECOND)?;
        ensure!(inside == "front", "hairpin leads to {inside}");
        self.lab.wait_named(other.into(), 5 * SECOND)?;
        self.lab.wan_readdress4(WAN4)?;
        self.openwrt.wan_is(self.lab, WAN4)?;
        self.wait_open()?;
        self.lab.wait_named(WAN4.into(), 5 * SECOND)?;
        let writes = self.openwrt.writes();
        ensure!(writes.is_empty() && self.openwrt.reloads() == 2, "it did something: {writes:?}");
        Ok("two reloads by others, a new WAN address and back: the mapping and its hairpin stay".into())
    }

    fn crash_changes_nothing(&self) -> Result<String> {
        self.openwrt.wan_is(self.lab, WAN4)?;
        self.wait_open()?;
        Ok("killed: procd keeps the mapping, over a reload of the firewall too".into())
    }

    fn restart_changes_nothing(&self, agent: &Agent) -> Result<String> {
        let long_ago = Instant::now() - 10 * SECOND;
        agent.wait_line(long_ago, "is open to", 5 * SECOND)?;
        self.wait_open()?;
        let writes = self.openwrt.writes();
        ensure!(
            writes.is_empty() && self.openwrt.reloads() == 2,
            "the restart changed something: {writes:?}"
        );
        Ok("started again: what procd has is compared, and not sent again".into())
    }

    /// The firewall takes its time; the mapping is closed and its connection cut all the same.
    fn closes_without_the_firewall(&self, agent: &Agent) -> Result<String> {
        let mut call = self.call()?;
        self.openwrt.hold(true);
        let start = Instant::now();
        self.configure("", false)?;
        agent.signal(Signal::SIGHUP)?;
        let cut = self.wait_cut(&mut call)?;
        let closed = self.lab.wait_closed(WAN4.into(), 2 * SECOND)?;
        let took = cut.max(closed) - start;
        ensure!(took <= SECOND, "closed and cut after {} ms", took.as_millis());
        let told = || self.openwrt.service(SERVICE) == Value::Null;
        until("procd is told", 5 * SECOND, || told().then_some(()))?;
        ensure!(openwrt::leads_to(&self.listing("fw4"), MOVED.into()), "the firewall should still have it");
        // Everything else of the camera goes on.
        let within = probe::banner(&self.viewer.ns, (MOVED, 554).into(), SECOND)?;
        ensure!(within == "front", "the LAN reaches {within}");
        self.openwrt.hold(false);
        self.wait_lifted(5 * SECOND)?;
        ensure!(!openwrt::leads_to(&self.listing("fw4"), MOVED.into()), "fw4 still has the redirect");
        self.configure("", true)?;
        agent.signal(Signal::SIGHUP)?;
        self.lab.wait_greeted("front", WAN4.into(), 15 * SECOND)?;
        Ok(format!(
            "closed {} ms and cut {} ms after the reload, before the firewall had heard of it",
            closed.saturating_duration_since(start).as_millis(),
            (cut - start).as_millis()
        ))
    }

    /// The objects that fw4 is given for `src_ip`, in the hours of `schedule` and out of them, and whom they let in.
    fn who_may_and_when(&self, agent: &Agent) -> Result<String> {
        self.wait_open()?;
        self.dns.publish(OWNER, GATEWAY4.into())?;
        let (before, after) = (clock(-2), clock(2));
        self.configure_who(&format!("{before}-{after}"))?;
        agent.signal(Signal::SIGHUP)?;
        self.wait_given(&given(&["198.51.100.64/28", "203.0.113.1"]))?;
        self.lab.wait_greeted("front", WAN4.into(), 3 * OPEN_LIMIT)?;
        let at = SocketAddr::from((WAN4, PORT));
        let call = |from| probe::connect_as(&self.lab.internet, from, at, SECOND / 2).is_ok();
        ensure!(!call(VIEWER4), "a stranger may");
        // The owner has another address now.
        self.dns.publish(OWNER, VIEWER4.into())?;
        self.lab.verb(&["trigger", "wan", "wan"])?;
        self.wait_given(&given(&["198.51.100.7", "198.51.100.64/28"]))?;
        until("the new address may", 3 * OPEN_LIMIT, || call(VIEWER4).then_some(()))?;
        ensure!(!call(GATEWAY4), "the old address may");
        self.configure_who(&format!("{after}-{before}"))?;
        let start = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        until("nobody may", SECOND, || (!call(VIEWER4)).then_some(()))?;
        let closed = start.elapsed();
        until("fw4 is given nothing", 20 * SECOND, || self.openwrt.service(SERVICE).is_null().then_some(()))?;
        Ok(format!(
            "fw4 is given one redirect for each network and address of src_ip, and none out of the hours of schedule \
             (closed after {} ms)",
            closed.as_millis()
        ))
    }

    fn configure_who(&self, schedule: &str) -> Result<()> {
        let text = self.lab.config().replacen("\toption mapping_backend 'nft'\n", "", 1);
        let who = format!("\tlist src_ip '198.51.100.64/28'\n\tlist src_ip '{OWNER}'\n");
        self.lab.write_config(&format!("{text}{who}\toption schedule '{schedule}'\n"))
    }

    fn wait_given(&self, objects: &Value) -> Result<()> {
        let mut last = Value::Null;
        until("fw4 is given these redirects", 15 * SECOND, || {
            last = self.openwrt.service(SERVICE)["firewall"].take();
            (last == *objects).then_some(())
        })
        .with_context(|| format!("it is given {last}, not {objects}"))
    }

    fn switches_off(&self, agent: &mut Agent) -> Result<()> {
        self.wait_open()?;
        self.configure("\toption mapping_backend 'none'\n", true)?;
        agent.signal(Signal::SIGHUP)?;
        self.lab.wait_closed(WAN4.into(), 2 * SECOND)?;
        until("nothing of ours is left", 5 * SECOND, || self.is_gone().then_some(()))?;
        agent.stop(5 * SECOND)?;
        Ok(())
    }

    /// Neither procd nor fw4 nor a table of ours has anything.
    fn is_gone(&self) -> bool {
        let fw4 = self.listing("fw4");
        self.openwrt.service(SERVICE).is_null()
            && !fw4.contains(SERVICE)
            && self.listing("porchlight").is_empty()
    }

    fn stops_and_keeps(&self) -> Result<String> {
        self.configure("", true)?;
        let mut agent = self.start()?;
        self.wait_open()?;
        let start = Instant::now();
        agent.stop(5 * SECOND)?;
        let stopped = start.elapsed();
        ensure!(self.is_gone(), "a clean stop left something");
        self.configure("\toption keep_on_stop '1'\n", true)?;
        let mut agent = self.start()?;
        self.wait_open()?;
        agent.stop(5 * SECOND)?;
        self.wait_open()?;
        let mut unmap = self.lab.command();
        self.lab.router.run(unmap.arg("unmap").env("PATH", self.openwrt.path()), 40 * SECOND)?.success()?;
        ensure!(self.is_gone(), "unmap left something");
        self.lab.wait_closed(WAN4.into(), 2 * SECOND)?;
        Ok(format!(
            "a clean stop takes all away in {} ms; keep_on_stop keeps, unmap takes away",
            stopped.as_millis()
        ))
    }

    /// fw4 calls its reload well, but nft refused the rules: it is said, with why; once it is mended, it opens.
    fn refused_by_nft(&self) -> Result<String> {
        self.openwrt.break_firewall(true);
        self.configure("", true)?;
        let start = Instant::now();
        let mut agent = self.start()?;
        let line =
            agent.wait_line(start, "did not take the port mappings over", RELOAD_DEADLINE + 5 * SECOND)?;
        let fault = line.text.split_once("fw4 check says:").map_or("", |(_, fault)| fault);
        ensure!(fault.contains("Error: ") && !fault.contains("[!]"), "{}", line.text);
        ensure!(self.lab.status()?["healthy"] != true, "status calls it well");
        self.openwrt.break_firewall(false);
        let mended = Instant::now();
        self.openwrt.wan_is(self.lab, WAN4)?;
        self.wait_open()?;
        agent.wait_line(mended, "is open to", 5 * SECOND)?;
        agent.stop(5 * SECOND)?;
        ensure!(self.is_gone(), "a clean stop left something");
        Ok("rules that nft refuses: said after 30 s with fw4's own words; open once somebody mended it"
            .into())
    }

    /// Somebody on the LAN takes the camera's address, while the firewall takes its time; later he leaves.
    fn replaced(&self) -> Result<String> {
        let mut call = self.call()?;
        let _other = Camera::start(&self.viewer.ns, 554, "another device")?;
        self.openwrt.hold(true);
        self.viewer.ns.ip(&format!("addr add {FIRST}/24 dev eth0"))?;
        let start = Instant::now();
        self.viewer.announce(FIRST)?;
        let cut = self.wait_cut(&mut call)?;
        let closed = self.lab.wait_closed(WAN4.into(), 2 * SECOND)?;
        let took = cut.max(closed) - start;
        ensure!(took <= SECOND, "closed and cut after {} ms", took.as_millis());
        ensure!(openwrt::leads_to(&self.listing("fw4"), FIRST.into()), "the firewall should still have it");
        ensure!(self.openwrt.reloads() == 1, "{} reloads", self.openwrt.reloads());
        self.openwrt.hold(false);
        self.wait_lifted(5 * SECOND)?;
        ensure!(!openwrt::leads_to(&self.listing("fw4"), FIRST.into()), "fw4 still has the redirect");
        self.viewer.ns.ip(&format!("addr del {FIRST}/24 dev eth0"))?;
        let left = Instant::now();
        self.host.announce(FIRST)?;
        let again = self.lab.wait_greeted("front", WAN4.into(), QUIET + OPEN_LIMIT)? - left;
        ensure!(again >= QUIET, "open again after {:.1} s, before it was quiet", again.as_secs_f64());
        ensure!(self.openwrt.reloads() == 3, "{} reloads", self.openwrt.reloads());
        Ok(format!(
            "address taken: closed {} ms and cut {} ms after the gratuitous ARP, while fw4 had the redirect; open again \
             {:.1} s after it left, by one reload",
            closed.saturating_duration_since(start).as_millis(),
            cut.saturating_duration_since(start).as_millis(),
            again.as_secs_f64()
        ))
    }
}

/// What fw4 is to be given for the lab's mapping to the camera, for each of these who may.
fn given(sources: &[&str]) -> Value {
    let redirect = |source: &&str| {
        json!({
            "type": "redirect", "name": "Porchlight: front_rtsp", "family": "ipv4", "src": "wan", "dest": "lan",
            "proto": "tcp", "src_ip": source, "src_dport": "8554", "dest_ip": MOVED.to_string(), "dest_port": "554",
            "reflection": "0", "target": "DNAT", "enabled": "1",
        })
    };
    sources.iter().map(redirect).collect()
}

/// So many hours from now, by a clock that shows UTC.
pub(super) fn clock(hours: i64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() as i64;
    let minute = (now + hours * 3600) / 60 % (24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
