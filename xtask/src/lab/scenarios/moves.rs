//! A camera that moves to another LAN of the router, and one with cable and Wi-Fi: the mapping goes along, and nobody is
//! left connected to the old place. And the way in from inside: the same name and port, from each LAN.

use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use std::net::TcpStream;

/// The camera's second hardware address.
const WIFI_MAC: &str = "02:00:00:00:00:21";
/// Its first place, that by Wi-Fi, and that in the other LAN.
const CABLE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
const WIFI: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 30);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 20);
/// The router in the other LAN.
const OTHER_ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 1);
/// For the kernel to hold the one place no more for reachable and to confirm the other, with its times shortened to 1 s.
const FORGETS: Duration = Duration::from_secs(15);

/// The camera moves.
pub const MOVES: Scenario = Scenario {
    name: "moves",
    about:
        "to another bridge and subnet, from cable to Wi-Fi and back: the mapping follows, old connections end",
    needs: &["conntrack"],
    limit: Duration::from_secs(90),
    slow: false,
    run: moves,
};

/// Seen from inside.
pub const INSIDE: Scenario = Scenario {
    name: "inside",
    about: "the same name and port reach the camera from its own LAN and from another",
    needs: &[],
    limit: Duration::from_secs(60),
    slow: false,
    run: inside,
};

fn moves(lab: &mut Lab) -> Result<Summary> {
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    other_lan(lab)?;
    let mac = format!("\tlist mac '{CAMERA_MAC}'\n");
    lab.write_config(&lab.config().replace(&mac, &format!("{mac}\tlist mac '{WIFI_MAC}'\n")))?;
    let cable = lab.lan_host("cable", CAMERA_MAC, CABLE)?;
    let _front = Camera::start(&cable.ns, 554, "front")?;
    lab.write_leases(&[cable.lease(CABLE)])?;
    let mut agent = lab.start_agent()?;
    lab.wait_reachable("front", WAN4.into(), 5 * SECOND)?;
    let mut summary = Summary::default();

    let mut call = call(lab, "front")?;
    enter(lab, &cable, "lan1", OTHER, OTHER_ROUTER)?;
    let moved = Instant::now();
    lab.write_leases(&[cable.lease(OTHER)])?;
    summary.0.push(follow(lab, "to another LAN", "front", moved, &mut call, CABLE)?);

    let mut call = self::call(lab, "front")?;
    enter(lab, &cable, "lan0", CABLE, LAN4)?;
    let moved = Instant::now();
    lab.write_leases(&[cable.lease(CABLE)])?;
    summary.0.push(follow(lab, "and back", "front", moved, &mut call, OTHER)?);

    let mut call = self::call(lab, "front")?;
    cable.unplug()?;
    let wifi = lab.lan_host("wifi", WIFI_MAC, WIFI)?;
    let _by_wifi = Camera::start(&wifi.ns, 554, "by wifi")?;
    let moved = Instant::now();
    // As dnsmasq writes it: the newest first, and the other one is good for another hour.
    lab.write_leases(&[wifi.lease(WIFI), cable.lease(CABLE)])?;
    summary.0.push(follow(lab, "from cable to Wi-Fi", "by wifi", moved, &mut call, CABLE)?);

    // Back to a lease that was never given up: nothing tells but the kernel's neighbour table.
    for (key, value) in [("base_reachable_time_ms", "1000"), ("delay_first_probe_time", "1")] {
        lab.router.sysctl(&format!("net.ipv4.neigh.lan0.{key}"), value)?;
    }
    let mut call = self::call(lab, "by wifi")?;
    wifi.unplug()?;
    cable.ns.ip("link set eth0 up")?;
    cable.readdress(CABLE)?;
    let moved = Instant::now();
    let reached = until("the mapping leads back to the cable", FORGETS, || {
        // The router answers that nobody listens there, and has to look for it.
        cable.speak().ok()?;
        lab.wait_greeted("front", WAN4.into(), SECOND / 5).ok()
    })?;
    wait_cut(lab, &mut call, WIFI)?;
    summary.0.push(format!(
        "back to the cable, by neighbours alone: reached {} ms later",
        (reached - moved).as_millis()
    ));
    agent.stop(5 * SECOND)?;
    Ok(summary)
}

/// The router's second LAN.
fn other_lan(lab: &Lab) -> Result<()> {
    lab.router.ip_batch(&[
        "link add lan1 address 02:00:00:00:00:02 type bridge",
        &format!("addr add {OTHER_ROUTER}/24 dev lan1"),
        "link set lan1 up",
    ])
}

/// Puts a host into a LAN, with this address there, and lets the router hear of it.
fn enter(lab: &Lab, host: &Host, bridge: &str, addr: Ipv4Addr, router: Ipv4Addr) -> Result<()> {
    lab.router.ip(&format!("link set p-{} master {bridge}", host.ns.name()))?;
    host.ns.ip4_batch(&[
        "addr flush dev eth0",
        &format!("addr add {addr}/24 dev eth0"),
        &format!("route replace default via {router} dev eth0"),
    ])
}

fn call(lab: &Lab, camera: &str) -> Result<TcpStream> {
    let mut call = probe::connect(&lab.internet, (WAN4, PORT).into(), SECOND)?;
    ensure!(probe::read_line(&mut call)? == camera && probe::echoes(&mut call)?, "no echo");
    Ok(call)
}

/// Waits until the mapping leads to the new place, and the old connection is dead.
fn follow(
    lab: &Lab,
    what: &str,
    camera: &str,
    moved: Instant,
    call: &mut TcpStream,
    old: Ipv4Addr,
) -> Result<String> {
    let reached = lab.wait_greeted(camera, WAN4.into(), 3 * SECOND).context(what.to_string())?;
    let cut = wait_cut(lab, call, old)?;
    for (done, at) in [("reached", reached), ("cut", cut)] {
        let took = at.saturating_duration_since(moved);
        ensure!(took <= SECOND, "{what}: {done} {} ms after the lease", took.as_millis());
    }
    let ms = |at: Instant| at.saturating_duration_since(moved).as_millis();
    Ok(format!(
        "{what}: reached {} ms after the lease, the old connection dead after {} ms",
        ms(reached),
        ms(cut)
    ))
}

/// Waits until the connection is dead and the kernel knows none to the old place.
fn wait_cut(lab: &Lab, call: &mut TcpStream, old: Ipv4Addr) -> Result<Instant> {
    let cut = until("the connection is cut", 3 * SECOND, || {
        (!probe::echoes(call).unwrap_or(true)).then(Instant::now)
    })?;
    let flows = lab.router.sh(&format!("conntrack -L -p tcp --reply-src {old}"))?;
    ensure!(!flows.contains("ESTABLISHED"), "the kernel still knows: {flows}");
    Ok(cut)
}

fn inside(lab: &mut Lab) -> Result<Summary> {
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    other_lan(lab)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, CABLE)?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    let near = lab.lan_host("near", "02:00:00:00:00:77", [192, 168, 1, 77].into())?;
    let far = lab.plug("far", "02:00:00:00:00:78")?;
    enter(lab, &far, "lan1", [192, 168, 2, 78].into(), OTHER_ROUTER)?;
    lab.write_leases(&[camera.lease(CABLE)])?;
    lab.write_config(&lab.config())?;
    let mut agent = lab.start_agent()?;
    lab.wait_reachable("front", WAN4.into(), 5 * SECOND)?;
    let mut summary = Summary::default();
    let places = [("its own LAN", &near), ("another LAN", &far), ("the camera itself", &camera)];
    for (place, host) in places {
        summary.0.push(by_name(host, WAN4).with_context(|| format!("from {place}"))?.replace('%', place));
    }
    // A new WAN address: the name and the way in move together, for those inside too.
    let new = Ipv4Addr::new(203, 0, 113, 99);
    lab.wan_readdress4(new)?;
    lab.wait_reachable("front", new.into(), 5 * SECOND)?;
    for (place, host) in places {
        by_name(host, new).with_context(|| format!("from {place}, after the WAN's change"))?;
    }
    summary.0.push("from all of them also by the WAN's next address".into());
    // The router's own address in the LAN is not the camera's.
    ensure!(probe::banner(&near.ns, (LAN4, PORT).into(), SECOND).is_err(), "the LAN's own address is mapped");
    agent.stop(5 * SECOND)?;
    Ok(summary)
}

/// As a viewer at home: asks for the name, and streams from the address that it is.
fn by_name(host: &Host, wan: Ipv4Addr) -> Result<String> {
    let asked = probe::ask(&host.ns, (DNS4, 53).into(), NAME, Rtype::A, SECOND)?;
    let addr = asked.sole().context("the name has no address")?;
    ensure!(addr == wan, "the name is {addr}");
    let mut call = probe::connect(&host.ns, (addr, PORT).into(), SECOND)?;
    ensure!(probe::read_line(&mut call)? == "front", "somebody else answers");
    for _ in 0..3 {
        ensure!(probe::echoes(&mut call)?, "no echo");
    }
    Ok(format!("from %: {NAME} is {addr}, and its port {PORT} is the camera"))
}
