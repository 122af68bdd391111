//! WANs by netifd's interfaces: real devices come, go, are made anew and carry VLANs, while a program stands in for
//! `ubus` and answers what netifd would. It is strict about how it is asked, and keeps a list of the questions.

use super::idle::Tracer;
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Result};
use std::os::unix::fs::PermissionsExt;
use std::thread;

/// Ways of a line through netifd.
pub const WAYS: Scenario = Scenario {
    name: "netifd",
    about: "interfaces of netifd: late, made anew, VLAN, two families, a delegated prefix, two WANs, no ubus",
    needs: &[],
    limit: Duration::from_secs(180),
    slow: false,
    run: ways,
};

/// Rest with interfaces.
pub const REST: Scenario = Scenario {
    name: "netifd-idle",
    about: "with interfaces of netifd, too: at rest no system call, and nobody is asked",
    needs: &["strace"],
    limit: Duration::from_secs(120),
    slow: true,
    run: rest,
};

/// From the agent's start to the interface.
const LATE: Duration = Duration::from_secs(2);
/// The name is right within this time, on a busy machine, too.
const NAMED_WITHIN: Duration = Duration::from_secs(2);
/// How long an idle agent is watched.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// A second line's gateway, at the provider and here.
const GATEWAY_B: &str = "198.51.100.129";
const WAN_B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 130);
/// On a way of its own.
const SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x6, 0, 0, 0, 0, 0x10);
/// The router's own address out of the delegated prefix.
const LAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);

/// The program in place of `ubus`. What it says of an unknown object, and how it ends then, is what the real one does.
const UBUS: &str = r#"#!/bin/sh
dir=${0%/*}
# procd has no mappings of ours: they are in nft's table here.
[ "$*" != 'call service list {"name":"porchlight_mappings"}' ] || { echo '{ }'; exit 0; }
echo "$*" >> "$dir/asked"
name=${2#network.interface.}
if [ $# != 4 ] || [ "$1 $2 $3 $4" != "call network.interface.$name status {}" ]; then
	echo "$*" >> "$dir/wrong"
	exit 2
fi
[ ! -e "$dir/hang" ] || exec sleep 60
[ -e "$dir/netifd/$name" ] || { echo 'Command failed: Not found' >&2; exit 4; }
cat "$dir/netifd/$name"
"#;

/// The stand-in's directory: it goes first in the agent's PATH.
pub(super) struct Netifd(PathBuf);

impl Netifd {
    pub(super) fn new(lab: &Lab) -> Result<Netifd> {
        let dir = lab.root.join("stand-in");
        fs::create_dir_all(dir.join("netifd"))?;
        let program = dir.join("ubus");
        fs::write(&program, UBUS)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Netifd(dir))
    }

    /// What it says of an interface from now on. Replaced at once, as netifd's word is.
    fn say(&self, name: &str, text: &str) -> Result<()> {
        let new = self.0.join("new");
        fs::write(&new, text)?;
        fs::rename(&new, self.0.join("netifd").join(name))?;
        Ok(())
    }

    pub(super) fn up(&self, name: &str, device: &str) -> Result<()> {
        self.up_with(name, device, "")
    }

    pub(super) fn up_with(&self, name: &str, device: &str, prefixes: &str) -> Result<()> {
        self.say(
            name,
            &format!(
                "{{ \"up\": true, \"pending\": false, \"available\": true, \"autostart\": true, \"dynamic\": false, \
                 \"uptime\": 3, \"l3_device\": \"{device}\", \"ipv6-prefix\": [{prefixes}], \"data\": {{ }} }}\n"
            ),
        )
    }

    fn pending(&self, name: &str) -> Result<()> {
        self.say(
            name,
            "{ \"up\": false, \"pending\": true, \"available\": true, \"autostart\": true, \"dynamic\": false, \
             \"data\": { } }\n",
        )
    }

    /// The questions so far.
    fn asked(&self) -> usize {
        fs::read_to_string(self.0.join("asked")).map_or(0, |text| text.lines().count())
    }

    pub(super) fn start(&self, lab: &Lab) -> Result<Agent> {
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap_or_default());
        lab.start_agent_as(lab.command().arg("run").env("PATH", path))
    }

    /// It was never asked in another way.
    pub(super) fn judge(&self) -> Result<()> {
        let wrong = fs::read_to_string(self.0.join("wrong")).unwrap_or_default();
        ensure!(wrong.is_empty(), "asked in a way that ubus does not know: {wrong}");
        Ok(())
    }
}

/// The lab's configuration with these interfaces in place of the device.
fn config(lab: &Lab, names: &[&str]) -> String {
    let lists: String = names.iter().map(|name| format!("\tlist interface '{name}'\n")).collect();
    lab.config().replacen("\toption device 'wan0'\n", &lists, 1).replacen(
        "\n\n",
        "\n\toption log_level 'debug'\n\n",
        1,
    )
}

fn ways(lab: &mut Lab) -> Result<Summary> {
    let _dns = lab.nameserver()?;
    let netifd = Netifd::new(lab)?;
    lab.write_config(&config(lab, &["wan", "wan6"]))?;
    let mut lines = vec![late(lab, &netifd)?];
    lines.push(made_anew(lab, &netifd)?);
    lines.push(vlan(lab, &netifd)?);
    lines.push(two_families(lab, &netifd)?);
    lines.push(prefix(lab, &netifd)?);
    lines.push(two_wans(lab, &netifd)?);
    lines.push(hangs(lab, &netifd)?);
    lines.push(absent(lab)?);
    netifd.judge()?;
    lines.push(format!("ubus was asked {} times in all", netifd.asked()));
    Ok(Summary(lines))
}

/// Waits until a device can carry packets: the kernel says so a moment after it was switched on, and until then drops
/// what it is to send, be it the answer to an ARP request, which is not asked again for a second.
fn wait_carries(ns: &Ns, device: &str) -> Result<()> {
    let show = format!("ip -o link show dev {device}");
    until(&format!("{device} carries packets"), 5 * SECOND, || {
        ns.sh(&show).ok()?.contains("state UP").then_some(())
    })
}

/// The lab's WAN device, both ends able to carry packets.
pub(super) fn wan_device(lab: &Lab) -> Result<()> {
    lab.wan_device()?;
    wait_carries(&lab.internet, "isp0")?;
    wait_carries(&lab.router, "wan0")
}

/// The first of the WANs as `status` has it.
fn wan(lab: &Lab) -> Result<serde_json::Value> {
    Ok(lab.status()?["wans"][0].clone())
}

fn wait_standing(lab: &Lab, interface: usize, part: &str) -> Result<()> {
    let standing = || wan(lab).ok()?["interfaces"][interface]["standing"].as_str().map(str::to_string);
    let what = format!("interface {interface} stands: {part}");
    until(&what, 2 * SECOND, || standing()?.contains(part).then_some(()))
}

/// Counts the agent's lines with these words.
fn said(agent: &Agent, words: &str) -> usize {
    agent.lines().iter().filter(|line| line.text.contains(words)).count()
}

/// The agent is there before the line, and another time only hotplug tells that netifd has changed its mind.
fn late(lab: &Lab, netifd: &Netifd) -> Result<String> {
    netifd.pending("wan")?;
    let mut agent = netifd.start(lab)?;
    wait_standing(lab, 0, "not up yet")?;
    wait_standing(lab, 1, "netifd knows no such interface")?;
    ensure!(wan(lab)?["interfaces"][1]["trouble"] == false, "many routers have no wan6");
    thread::sleep(LATE);
    ensure!(netifd.asked() <= 4, "asked {} times though nothing happened", netifd.asked());
    let before = netifd.asked();
    wan_device(lab)?;
    // netifd answers nobody until it has set all; its own word comes with the last of them.
    netifd.up("wan", "wan0")?;
    let start = Instant::now();
    lab.wan_add4(WAN4)?;
    let named = lab.wait_named(WAN4.into(), NAMED_WITHIN)? - start;
    let asked = netifd.asked() - before;
    agent.wait_line(start, "interface wan: up on wan0", SECOND)?;
    for words in ["interface wan: not up yet", "interface wan6: netifd knows no such"] {
        ensure!(said(&agent, words) == 1, "said {} times: {words}", said(&agent, words));
    }

    // The kernel has all, netifd's word comes later, and nothing happens then but the hotplug call.
    netifd.pending("wan")?;
    lab.verb(&["trigger", "wan", "wan"])?.success()?;
    wait_standing(lab, 0, "not up yet")?;
    let other = Ipv4Addr::from(WAN4.to_bits() + 1);
    lab.wan_readdress4(other)?;
    until("netifd is asked about the new address", SECOND, || {
        (netifd.asked() > before + asked).then_some(())
    })?;
    netifd.up("wan", "wan0")?;
    let start = Instant::now();
    lab.verb(&["trigger", "wan", "wan"])?.success()?;
    let triggered = lab.wait_named(other.into(), NAMED_WITHIN)? - start;
    agent.stop(SECOND)?;
    Ok(format!(
        "up 2 s after the agent: name right {} ms after the address ({asked} questions); by trigger alone {} ms",
        named.as_millis(),
        triggered.as_millis()
    ))
}

/// PPPoE: the device is deleted and made anew with another number, while netifd says the same as before.
fn made_anew(lab: &Lab, netifd: &Netifd) -> Result<String> {
    let mut agent = netifd.start(lab)?;
    let mut worst = Duration::ZERO;
    let mut number = 0;
    for round in 0..5u32 {
        lab.wan_gone()?;
        netifd.pending("wan")?;
        until("the device is gone", SECOND, || wan(lab).ok()?["ipv4"]["address"].is_null().then_some(()))?;
        wan_device(lab)?;
        let show = lab.router.sh("ip -o link show dev wan0")?;
        let now: u32 = show.split(':').next().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        ensure!(now != number && now != 0, "the same number as before: {show}");
        number = now;
        netifd.up("wan", "wan0")?;
        let addr = Ipv4Addr::from(WAN4.to_bits() + 10 + round);
        let start = Instant::now();
        lab.wan_add4(addr)?;
        worst = worst.max(lab.wait_named(addr.into(), NAMED_WITHIN)? - start);
    }
    agent.stop(SECOND)?;
    Ok(format!("made anew 5 times with another number: name right within {} ms", worst.as_millis()))
}

/// The interface moves to a VLAN of a switch, whose port is renamed first: the name and the way in are for the VLAN's
/// address, and the port has neither address nor rules. A kernel without VLANs gets a renamed port of that name.
fn vlan(lab: &Lab, netifd: &Netifd) -> Result<String> {
    let place = Ipv4Addr::new(192, 168, 1, 20);
    let camera = lab.lan_host("camera", CAMERA_MAC, place)?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_leases(&[camera.lease(place)])?;
    let mut agent = netifd.start(lab)?;
    lab.wan_gone()?;
    lab.router.ip("link add port7 type veth peer name isp7 netns internet")?;
    let tagged = lab.router.ip("link add link port7 name port7.2 type vlan id 2").is_ok();
    let far = if tagged { "isp7.2" } else { "isp7" };
    if tagged {
        lab.internet.ip("link add link isp7 name isp7.2 type vlan id 2")?;
        // In this order: the kernel switches a VLAN on with its port, and renames only what is off.
        lab.router.ip_batch(&[
            "link set port7 name eth1",
            "link set port7.2 name eth1.2",
            "link set eth1 up",
        ])?;
    } else {
        lab.router.ip("link set port7 name eth1.2")?;
    }
    lab.internet.ip_batch(&[
        "link set isp7 up",
        &format!("link set {far} up"),
        &format!("addr add {GATEWAY4}/24 dev {far}"),
    ])?;
    lab.router.ip("link set eth1.2 up")?;
    wait_carries(&lab.internet, far)?;
    wait_carries(&lab.router, "eth1.2")?;
    netifd.up("wan", "eth1.2")?;
    let addr = Ipv4Addr::from(WAN4.to_bits() + 20);
    let start = Instant::now();
    lab.router.ip_batch(&[
        &format!("addr add {addr}/24 dev eth1.2"),
        &format!("route add default via {GATEWAY4} dev eth1.2"),
    ])?;
    let named = lab.wait_named(addr.into(), NAMED_WITHIN)? - start;
    let open = lab.wait_greeted("front", addr.into(), 5 * SECOND)? - start;
    ensure!(wan(lab)?["device"] == "eth1.2", "status: {}", wan(lab)?);
    let rules = lab.router.sh("nft list chain inet porchlight prerouting")?;
    ensure!(rules.contains("iifname \"eth1.2\" ") && !rules.contains("\"eth1\""), "rules: {rules}");
    if tagged {
        let port = lab.router.sh("ip -o -4 addr show dev eth1")?;
        ensure!(port.is_empty(), "the port has an address of its own: {port}");
    }
    agent.stop(SECOND)?;
    lab.router.ip(if tagged { "link del eth1" } else { "link del eth1.2" })?;
    wan_device(lab)?;
    let what =
        if tagged { "a VLAN on a renamed device" } else { "a renamed device (this kernel has no VLANs)" };
    Ok(format!("{what}: name right after {} ms, open after {} ms", named.as_millis(), open.as_millis()))
}

/// IPv4 by one device, IPv6 by another.
fn two_families(lab: &Lab, netifd: &Netifd) -> Result<String> {
    netifd.up("wan", "wan0")?;
    netifd.up("wan6", "six0")?;
    let mut agent = netifd.start(lab)?;
    lab.wan_add4(WAN4)?;
    lab.router.ip("link add six0 type veth peer name isp6 netns internet")?;
    lab.internet.ip_batch(&[
        "addr add fe80::1/64 dev isp6 nodad",
        &format!("addr add {}/64 dev isp6 nodad", Ipv6Addr::from(SIX.to_bits() ^ 0x11)),
        "link set isp6 up",
    ])?;
    lab.router.ip("link set six0 up")?;
    wait_carries(&lab.internet, "isp6")?;
    let start = Instant::now();
    lab.router.ip_batch(&[
        "addr add fe80::10/64 dev six0 nodad",
        &format!("addr add {SIX}/64 dev six0 nodad"),
        "route add default via fe80::1 dev six0",
    ])?;
    let named = lab.wait_named(SIX.into(), NAMED_WITHIN)? - start;
    lab.wait_named(WAN4.into(), NAMED_WITHIN)?;
    let wan = wan(lab)?;
    ensure!((&wan["device"], &wan["device6"]) == (&"wan0".into(), &"six0".into()), "status: {wan}");
    agent.stop(SECOND)?;
    Ok(format!("wan6 on a device of its own: AAAA right after {} ms, A as before", named.as_millis()))
}

/// The line has a delegated prefix and no IPv6 address of its own.
fn prefix(lab: &Lab, netifd: &Netifd) -> Result<String> {
    netifd.up_with(
        "wan6",
        "six0",
        "{ \"address\": \"2001:db8:100::\", \"mask\": 56, \"preferred\": 3597, \"valid\": 7197, \"class\": \"wan6\", \
         \"assigned\": { \"lan\": { \"address\": \"2001:db8:100::\", \"mask\": 64 } } }",
    )?;
    let mut agent = netifd.start(lab)?;
    lab.router.sh("ip -6 addr flush dev six0 scope global")?;
    lab.internet.ip("route add 2001:db8:100::/56 via fe80::10 dev isp6")?;
    lab.router.ip("route replace default from 2001:db8:100::/56 via fe80::1 dev six0 metric 512")?;
    lab.router.sh("ip -6 route del default dev six0 metric 1024")?;
    let start = Instant::now();
    lab.router.ip(&format!("addr add {LAN6}/64 dev lan0 nodad"))?;
    let named = lab.wait_named(LAN6.into(), NAMED_WITHIN)? - start;
    let wan = wan(lab)?;
    ensure!(wan["prefixes"][0]["prefix"] == "2001:db8:100::/56", "status: {wan}");
    ensure!(wan["prefixes"][0]["assigned"][0]["interface"] == "lan", "status: {wan}");
    ensure!(wan["ipv6"]["on_lan"] == "lan0" && wan["device6"] == "six0", "status: {wan}");
    let text = lab.verb(&["status"])?.stdout;
    for part in ["the router's own on lan0", "prefix 2001:db8:100::/56 is delegated to interface wan6"] {
        ensure!(text.contains(part), "status says nothing of '{part}':\n{text}");
    }
    agent.stop(SECOND)?;
    lab.router.ip_batch(&[&format!("addr del {LAN6}/64 dev lan0"), "link del six0"])?;
    Ok(format!("prefix only: AAAA is the router's own address on the LAN after {} ms", named.as_millis()))
}

/// Two lines, as with mwan3: one by the main table, the other with a worse metric there, then by a table of its own.
fn two_wans(lab: &Lab, netifd: &Netifd) -> Result<String> {
    netifd.up("wan", "wan0")?;
    netifd.up("wanb", "wan1")?;
    let second =
        "config wan 'second'\n\tlist interface 'wanb'\n\tlist accept '198.51.100.0/24'\n\nconfig record";
    lab.write_config(&config(lab, &["wan"]).replacen("config record", second, 1))?;
    let mut agent = netifd.start(lab)?;
    lab.router.ip("link add wan1 type veth peer name isp1 netns internet")?;
    lab.internet.ip_batch(&[&format!("addr add {GATEWAY_B}/30 dev isp1"), "link set isp1 up"])?;
    lab.router.ip("link set wan1 up")?;
    wait_carries(&lab.internet, "isp1")?;
    lab.router.ip_batch(&[
        &format!("addr add {WAN_B}/30 dev wan1"),
        &format!("route add default via {GATEWAY_B} dev wan1 metric 20"),
    ])?;
    lab.wan_readdress4(WAN4)?;
    lab.wait_named(WAN4.into(), NAMED_WITHIN)?;
    until("the second WAN is ready", SECOND, || {
        let second = &lab.status().ok()?["wans"][1]["ipv4"];
        (second["address"] == WAN_B.to_string() && second["route"] == true).then_some(())
    })?;
    let start = Instant::now();
    lab.router.ip("addr flush dev wan0")?;
    let over = lab.wait_named(WAN_B.into(), NAMED_WITHIN)? - start;
    // The first comes back in a table of its own; what is sent still leaves by the second.
    let start = Instant::now();
    lab.router.ip_batch(&[
        &format!("addr add {WAN4}/24 dev wan0"),
        &format!("route add default via {GATEWAY4} dev wan0 table 100"),
    ])?;
    let back = lab.wait_named(WAN4.into(), NAMED_WITHIN)? - start;
    agent.stop(SECOND)?;
    lab.router.ip("link del wan1")?;
    Ok(format!("two WANs: over to the second in {} ms, back in {} ms", over.as_millis(), back.as_millis()))
}

/// A ubus that hangs keeps nobody from following an interface that is known.
fn hangs(lab: &Lab, netifd: &Netifd) -> Result<String> {
    lab.write_config(&config(lab, &["wan"]))?;
    let mut agent = netifd.start(lab)?;
    lab.wan_readdress4(WAN4)?;
    wait_standing(lab, 0, "up on wan0")?;
    lab.wait_named(WAN4.into(), NAMED_WITHIN)?;
    fs::write(netifd.0.join("hang"), "")?;
    let addr = Ipv4Addr::from(WAN4.to_bits() + 30);
    let start = Instant::now();
    lab.wan_readdress4(addr)?;
    let named = lab.wait_named(addr.into(), NAMED_WITHIN)? - start;
    agent.wait_line(start, "interface wan: netifd could not be asked", 10 * SECOND)?;
    wait_standing(lab, 0, "netifd could not be asked")?;
    let status = lab.status()?;
    ensure!(status["healthy"] == false && status["wans"][0]["interfaces"][0]["trouble"] == true, "{status}");
    fs::remove_file(netifd.0.join("hang"))?;
    lab.verb(&["trigger"])?.success()?;
    wait_standing(lab, 0, "up on wan0")?;
    agent.stop(SECOND)?;
    Ok(format!("while ubus hangs an address is followed in {} ms", named.as_millis()))
}

/// No OpenWrt.
fn absent(lab: &Lab) -> Result<String> {
    let start = Instant::now();
    let mut agent = lab.start_agent()?;
    agent.wait_line(start, "use option device", 2 * SECOND)?;
    wait_standing(lab, 0, "there is no ubus here")?;
    let text = lab.verb(&["status"])?.stdout;
    ensure!(text.contains("! wan      wan: interface wan: there is no ubus here"), "status:\n{text}");
    ensure!(lab.status()?["healthy"] == false, "healthy without a WAN");
    lab.wan_readdress4(WAN4)?;
    lab.verb(&["trigger"])?.success()?;
    ensure!(said(&agent, "use option device") == 1, "said more than once");
    agent.stop(SECOND)?;
    Ok("without ubus: said once, and status names the interface and the way out".into())
}

fn rest(lab: &mut Lab) -> Result<Summary> {
    let _dns = lab.nameserver()?;
    let netifd = Netifd::new(lab)?;
    netifd.up("wan", "wan0")?;
    lab.write_config(&config(lab, &["wan", "wan6"]))?;
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, [192, 168, 1, 20].into())?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_leases(&[camera.lease([192, 168, 1, 20].into())])?;
    let agent = netifd.start(lab)?;
    lab.wait_reachable("front", WAN4.into(), 5 * SECOND)?;
    until("all is published and seen", 10 * SECOND, || {
        let status = lab.status().ok()?;
        let all = status["records"].as_array()?.iter().all(|record| record["seen_after_ms"].is_number());
        (status["healthy"] == true && all).then_some(())
    })?;
    camera.ns.sysctl("net.ipv6.conf.eth0.disable_ipv6", "1")?;
    lab.router.sh("ip -6 neigh flush dev lan0")?;
    lab.router.ip(&format!("neigh replace 192.168.1.20 lladdr {CAMERA_MAC} nud stale dev lan0"))?;
    let tracer = Tracer::attach(agent.pid())?;
    let (start, asked) = (Instant::now(), netifd.asked());
    thread::sleep(IDLE_FOR);
    let calls = tracer.lines_since(start);
    ensure!(calls.is_empty(), "an idle agent made system calls:\n{}", calls.join("\n"));
    ensure!(netifd.asked() == asked, "ubus was asked though nothing happened");
    netifd.judge()?;
    let seconds = start.elapsed().as_secs();
    Ok(Summary::line(format!("0 system calls and no question in {seconds} s; {asked} questions before")))
}
