//! The ground that all other scenarios stand on: does the lab itself tell the truth? Updates come
//! from nsupdate, so that a fault of ours cannot hide in a fault of the lab.

use crate::lab::*;
use anyhow::{ensure, Result};
use domain::base::iana::Rcode;
use domain::base::Rtype;
use std::net::IpAddr;
use std::process::Command;

/// Plays the router by hand, with nsupdate and nft in the agent's place.
pub fn lab(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    let camera = lab.lan_host("camera", CAMERA_MAC, [192, 168, 1, 20].into())?;
    let front = Camera::start(&camera.ns, 554, "front")?;
    lab.router.nft(
        "table inet by_hand { chain pre { type nat hook prerouting priority dstnat;
         iifname wan0 tcp dport 8554 dnat ip to 192.168.1.20:554; }; }",
    )?;
    ensure!(lab.ask(Rtype::A)?.rcode == Rcode::NXDOMAIN, "the name is there before its time");
    nsupdate(lab, SECRET, WAN4.into())?;
    lab.wait_reachable("front", WAN4.into(), SECOND)?;
    nsupdate(lab, SECRET, WAN6.into())?;
    lab.wait_named(WAN6.into(), SECOND)?;
    ensure!(dns.count() == (2, 2), "the server counts {:?}", dns.count());
    ensure!(
        nsupdate(lab, "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch", WAN4.into()).is_err(),
        "a wrong key is good"
    );
    dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
    ensure!(nsupdate(lab, SECRET, WAN4.into()).is_err(), "a refusal is not heard");
    dns.set_mood(Mood::Well);
    ensure!(dns.count() == (4, 2), "the server counts {:?}", dns.count());

    lab.wait_dad(WAN6)?;
    lab.wan_gone()?;
    lab.wait_closed(WAN4.into(), SECOND)?;
    lab.wan_up()?;
    lab.wan_readdress4([203, 0, 113, 99].into())?;
    nsupdate(lab, SECRET, [203, 0, 113, 99].into())?;
    lab.wait_reachable("front", [203, 0, 113, 99].into(), SECOND)?;
    let mut call = probe::connect(&lab.internet, ([203, 0, 113, 99], PORT).into(), SECOND)?;
    ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
    camera.readdress([192, 168, 1, 60].into())?;
    lab.wait_closed(std::net::IpAddr::from([203, 0, 113, 99]), SECOND)?;
    ensure!(!probe::echoes(&mut call)?, "a call to a camera that moved still echoes");
    let neighbours = lab.router.sh("ip neigh show to 192.168.1.60")?;
    ensure!(neighbours.contains(CAMERA_MAC), "the router does not see the camera move: {neighbours}");
    drop(front);
    Ok(Summary::line(format!("zone serial {} after {} updates", dns.serial(), dns.count().1)))
}

fn nsupdate(lab: &Lab, secret: &str, addr: IpAddr) -> Result<String> {
    let rtype = if addr.is_ipv4() { "A" } else { "AAAA" };
    let text = format!(
        "server {DNS4}\nzone {ZONE}\nkey hmac-sha256:{KEY} {secret}\nupdate delete {NAME} {rtype}\n\
         update add {NAME} 60 {rtype} {addr}\nsend\n"
    );
    lab.router
        .enter(|| process::run(Command::new("nsupdate").args(["-t", "5"]), Some(&text), 2 * SECOND * 5))?
        .success()
}
