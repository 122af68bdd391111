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
    by_the_rules(lab, &dns)?;

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

/// The embedded server against nsupdate's prerequisites and errors (RFC 2136 sections 3.2 to 3.4).
fn by_the_rules(lab: &Lab, dns: &Nameserver) -> Result<()> {
    let cases = [
        ("prereq nxdomain new.example.com\nupdate add new.example.com 60 TXT here", ""),
        ("prereq nxdomain new.example.com\nupdate add new.example.com 60 TXT there", "YXDOMAIN"),
        ("prereq yxrrset cam.example.com A\nupdate add new.example.com 60 A 192.0.2.1", ""),
        ("prereq yxrrset new.example.com A 192.0.2.1\nupdate add new.example.com 60 A 192.0.2.2", ""),
        ("prereq yxrrset new.example.com AAAA\nupdate delete new.example.com", "NXRRSET"),
        ("prereq nxrrset new.example.com A\nupdate delete new.example.com", "YXRRSET"),
        ("prereq yxdomain none.example.com\nupdate delete new.example.com", "NXDOMAIN"),
        ("update delete new.example.com A 192.0.2.1", ""),
        ("prereq nxrrset new.example.com CNAME\nupdate add new.example.com 60 CNAME cam.example.com", ""),
        ("prereq yxrrset new.example.com CNAME\nupdate delete new.example.com", "NXRRSET"),
        ("update delete new.example.com", ""),
        ("update delete new.example.com", ""),
        ("prereq nxdomain new.example.com\nupdate delete example.com NS", ""),
        ("update add cam.example.org 60 A 192.0.2.1", "NOTZONE"),
    ];
    let serial = dns.serial();
    for (script, error) in cases {
        let said = send(lab, SECRET, script)?;
        let met = if error.is_empty() { said.status.success() } else { said.stderr.contains(error) };
        ensure!(met, "{script}\n{} instead of '{error}': {}", said.status, said.stderr);
    }
    let changes = dns.serial() - serial;
    ensure!(changes == 5, "five of the cases change the zone, the serial rose by {changes}");
    Ok(())
}

fn nsupdate(lab: &Lab, secret: &str, addr: IpAddr) -> Result<String> {
    let rtype = if addr.is_ipv4() { "A" } else { "AAAA" };
    let script = format!("update delete {NAME} {rtype}\nupdate add {NAME} 60 {rtype} {addr}");
    send(lab, secret, &script)?.success()
}

fn send(lab: &Lab, secret: &str, script: &str) -> Result<process::Finished> {
    let text = format!("server {DNS4}\nzone {ZONE}\nkey hmac-sha256:{KEY} {secret}\n{script}\nsend\n");
    let mut command = Command::new("nsupdate");
    lab.router.enter(|| process::run(command.args(["-t", "5"]), Some(&text), 10 * SECOND))
}
