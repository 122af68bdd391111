//! A camera at its own IPv6 address: out of a prefix that was delegated to a line without an address of its own, behind
//! a firewall that forwards from outside what is translated and nothing else. The name, the way in on the same port as
//! by IPv4, and both when the prefix changes; who may come; another device on the address.

use super::netifd::{wan_device, Netifd};
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::net::TcpStream;

/// With the backend nft.
pub const SIX: Scenario = Scenario {
    name: "six",
    about: "IPv6: the camera's own address, its AAAA and its way in, by hostid and by MAC, over changes of the prefix",
    needs: &["conntrack"],
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

/// What is delegated first, and then.
const FIRST: &str = "2001:db8:100::";
const THEN: &str = "2001:db8:200::";
/// The camera's half by its owner's word, and that of its MAC.
const HOSTID: u64 = 0x1234;
const BY_MAC: u64 = 0x0000_00ff_fe00_0020;
/// Who may come, and who may not.
const VIEWER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7, 0, 0, 0, 0, 7);
const STRANGER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8, 0, 0, 0, 0, 8);
/// Another device.
const GUEST_MAC: &str = "02:00:00:00:00:77";
/// How long it must be quiet before a mapping opens again, the first time.
const QUIET: Duration = Duration::from_secs(10);
/// An attempt that is to fail may take this long.
const REFUSED_WITHIN: Duration = Duration::from_millis(700);

/// From outside: what is translated, and answers.
const FIREWALL: &str = r#"
table inet closed {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "lan0" accept
		ct status dnat accept
		meta l4proto tcp reject with tcp reset
	}
}
"#;

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.router.nft(FIREWALL)?;
    let dns = lab.nameserver()?;
    let netifd = Netifd::new(lab)?;
    lab.internet.ip_batch(&[
        &format!("addr add {VIEWER6}/128 dev lo"),
        &format!("addr add {STRANGER6}/128 dev lo"),
    ])?;
    wan_device(lab)?;
    lab.wan_add4(WAN4)?;
    lab.router.ip("addr add fe80::10/64 dev wan0 nodad")?;
    lab.router.ip("addr add fe80::1/64 dev lan0 nodad")?;
    let host = lab.lan_host("camera", CAMERA_MAC, [192, 168, 1, 20].into())?;
    lab.write_leases(&[host.lease([192, 168, 1, 20].into())])?;
    let _front = Camera::start(&host.ns, 554, "front")?;
    host.ns.ip("route add default via fe80::1 dev eth0")?;

    let home = Home { lab, netifd, camera: host };
    home.delegated(&[(FIRST, false)])?;
    lab.write_config(&config(lab, "\toption hostid '::1234'\n", ""))?;
    let mut agent = home.netifd.start(lab)?;
    let mut summary = Summary::default();
    summary.0.push(home.first()?);
    summary.0.push(home.prefix_moves()?);
    summary.0.push(home.by_mac(&agent)?);
    summary.0.push(home.sources(&agent)?);
    summary.0.push(home.taken()?);
    ensure!(!dns_says_router(lab)?, "the name says the router's own address");
    agent.stop(5 * SECOND)?;
    ensure!(!home.rules()?.contains("ip6"), "rules are left after a clean stop");
    ensure!(home.is_closed(own(THEN, BY_MAC), VIEWER6)?, "open after a clean stop");
    home.netifd.judge()?;
    drop(dns);
    Ok(summary)
}

/// The lab's configuration by netifd's interfaces, for both families, with more options of the camera and the mapping.
fn config(lab: &Lab, camera: &str, mapping: &str) -> String {
    let text = lab.config();
    let text =
        text.replacen("\toption device 'wan0'\n", "\tlist interface 'wan'\n\tlist interface 'wan6'\n", 1);
    let text = text.replacen("\tlist record 'home'\n", &format!("\tlist record 'home'\n{camera}"), 1);
    format!("{text}\toption family 'any'\n{mapping}")
}

/// The first subnet of a prefix, with this half.
fn own(prefix: &str, half: u64) -> Ipv6Addr {
    let prefix: Ipv6Addr = prefix.parse().unwrap_or(Ipv6Addr::UNSPECIFIED);
    Ipv6Addr::from_bits(prefix.to_bits() | (1 << 64) | u128::from(half))
}

/// Whether the name is an address that the router has itself.
fn dns_says_router(lab: &Lab) -> Result<bool> {
    let said = lab.ask(Rtype::AAAA)?.sole().map(|addr| addr.to_string());
    let has = lab.router.sh("ip -6 -o addr show")?;
    Ok(said.is_some_and(|said| has.contains(&format!(" {said}/"))))
}

struct Home<'a> {
    lab: &'a Lab,
    netifd: Netifd,
    camera: Host,
}

impl Home<'_> {
    /// netifd and the kernel have these prefixes; one that is deprecated is told so. Says when the router's address in the
    /// last one was there.
    fn delegated(&self, prefixes: &[(&str, bool)]) -> Result<Instant> {
        let given: Vec<String> = prefixes
            .iter()
            .map(|(prefix, _)| {
                format!("{{ \"address\": \"{prefix}\", \"mask\": 56, \"preferred\": 3597, \"valid\": 7197, \"class\": \"wan6\", \"assigned\": {{ }} }}")
            })
            .collect();
        self.netifd.up("wan", "wan0")?;
        self.netifd.up_with("wan6", "wan0", &given.join(", "))?;
        for (prefix, deprecated) in prefixes {
            let lifetime = if *deprecated { "valid_lft 7000 preferred_lft 0" } else { "nodad" };
            self.lab.internet.ip(&format!("route replace {prefix}/56 via fe80::10 dev isp0"))?;
            self.lab.router.ip_batch(&[
                &format!("route replace default from {prefix}/56 via fe80::1 dev wan0 metric 512"),
                &format!("addr replace {}/64 dev lan0 {lifetime}", own(prefix, 1)),
            ])?;
        }
        Ok(Instant::now())
    }

    /// The camera takes an address, beside those that it has.
    fn addressed(&self, addr: Ipv6Addr) -> Result<()> {
        self.camera.ns.ip(&format!("addr add {addr}/64 dev eth0 nodad"))
    }

    fn rules(&self) -> Result<String> {
        let all = self.lab.router.sh("nft -s list ruleset")?;
        let (_, ours) = all.split_once("table inet porchlight {").unwrap_or_default();
        Ok(ours.split("\n}").next().unwrap_or_default().to_string())
    }

    /// A connection from this address.
    fn call(&self, to: Ipv6Addr, port: u16, from: Ipv6Addr, limit: Duration) -> Result<TcpStream> {
        self.lab.internet.enter(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect_timeout(&SocketAddr::from((to, port)).into(), limit)?;
            socket.set_read_timeout(Some(2 * SECOND))?;
            Ok(socket.into())
        })
    }

    fn is_closed(&self, to: Ipv6Addr, from: Ipv6Addr) -> Result<bool> {
        Ok(self.call(to, PORT, from, REFUSED_WITHIN).is_err())
    }

    /// Nothing but the one port of the one address is open.
    fn nothing_else(&self, addr: Ipv6Addr) -> Result<()> {
        ensure!(self.call(addr, 554, VIEWER6, REFUSED_WITHIN).is_err(), "the camera's port itself is open");
        let router = own(FIRST, 1);
        ensure!(
            self.call(router, PORT, VIEWER6, REFUSED_WITHIN).is_err(),
            "the router's own address is open"
        );
        Ok(())
    }

    /// By the owner's half, on the same port as by IPv4.
    fn first(&self) -> Result<String> {
        let addr = own(FIRST, HOSTID);
        let start = Instant::now();
        self.addressed(addr)?;
        let six = self.lab.wait_reachable("front", addr.into(), 5 * SECOND)?;
        let four = self.lab.wait_reachable("front", WAN4.into(), 5 * SECOND)?;
        self.nothing_else(addr)?;
        let text = self.lab.verb(&["status"])?.stdout;
        for part in
            [&format!("front in IPv6 at {addr}"), &format!("front_rtsp port {PORT} by IPv6 -> {addr}")]
        {
            ensure!(text.contains(part.as_str()), "status says nothing of '{part}':\n{text}");
        }
        let status = self.lab.status()?;
        ensure!(status["cameras"][0]["address6"] == addr.to_string(), "status: {}", status["cameras"]);
        Ok(format!(
            "hostid: AAAA right and reached {} ms after the camera's address, IPv4 on the same port after {} ms; the \
             camera's own port is closed",
            (six.named.max(six.reached) - start).as_millis(),
            (four.reached - start).as_millis()
        ))
    }

    /// Another prefix: the old one is deprecated, but still carries.
    fn prefix_moves(&self) -> Result<String> {
        let (before, addr) = (own(FIRST, HOSTID), own(THEN, HOSTID));
        let mut call = self.call(before, PORT, VIEWER6, 2 * SECOND)?;
        ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
        self.addressed(addr)?;
        let start = self.delegated(&[(FIRST, true), (THEN, false)])?;
        let seen = self.lab.wait_reachable("front", addr.into(), 2 * SECOND)?;
        let took = seen.named.max(seen.reached).saturating_duration_since(start);
        ensure!(took <= SECOND, "name and way in {} ms after the prefix", took.as_millis());
        let rules = self.rules()?;
        let old = |line: &str| line.contains("dnat") && line.contains(&before.to_string());
        ensure!(!rules.lines().any(old), "the old rule is there:\n{rules}");
        ensure!(self.is_closed(before, VIEWER6)?, "the old address is still open");
        until("the old connection is cut", SECOND, || {
            (!probe::echoes(&mut call).unwrap_or(true)).then_some(())
        })?;
        let flows = self.lab.router.sh(&format!("conntrack -L -f ipv6 -p tcp --reply-src {before}"))?;
        ensure!(!flows.contains("ESTABLISHED"), "the kernel still knows: {flows}");
        self.nothing_else(addr)?;
        self.lab.router.ip(&format!("addr del {}/64 dev lan0", own(FIRST, 1)))?;
        Ok(format!(
            "prefix changed: name and way in {} ms after it, the old way closed and cut",
            took.as_millis()
        ))
    }

    /// Without a hostid: the half that the camera makes of its MAC.
    fn by_mac(&self, agent: &Agent) -> Result<String> {
        let addr = own(THEN, BY_MAC);
        self.addressed(addr)?;
        self.lab.write_config(&config(self.lab, "", ""))?;
        let told = self.lab.verb(&["check"])?;
        let told = format!("{}{}", told.stdout, told.stderr);
        ensure!(told.contains("shows its vendor in public DNS"), "check says nothing of the vendor:\n{told}");
        let start = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        let seen = self.lab.wait_reachable("front", addr.into(), 5 * SECOND)?;
        ensure!(self.is_closed(own(THEN, HOSTID), VIEWER6)?, "the other half is still open");
        Ok(format!(
            "by its MAC: name and way in {} ms after the reload",
            (seen.named.max(seen.reached) - start).as_millis()
        ))
    }

    /// A list of who may, in both families.
    fn sources(&self, agent: &Agent) -> Result<String> {
        let addr = own(THEN, BY_MAC);
        ensure!(!self.is_closed(addr, STRANGER6)?, "not open to anyone before");
        let allowed = format!("\tlist src_ip '{VIEWER6}/64'\n\tlist src_ip '203.0.113.0/24'\n");
        self.lab.write_config(&config(self.lab, "", &allowed))?;
        agent.signal(Signal::SIGHUP)?;
        until("a stranger is refused", 5 * SECOND, || self.is_closed(addr, STRANGER6).ok()?.then_some(()))?;
        let mut call = self.call(addr, PORT, VIEWER6, 2 * SECOND).context("the viewer is refused, too")?;
        ensure!(probe::read_line(&mut call)? == "front", "the viewer reaches somebody else");
        self.lab.wait_greeted("front", WAN4.into(), 2 * SECOND)?;
        Ok("src_ip: an allowed viewer comes by IPv6 and IPv4, a stranger does not".into())
    }

    /// Another device on the camera's IPv6 address: that way in is closed and cut, IPv4 is not.
    fn taken(&self) -> Result<String> {
        let addr = own(THEN, BY_MAC);
        let mut call = self.call(addr, PORT, VIEWER6, 2 * SECOND)?;
        ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
        let neighbour = |mac: &str| {
            self.lab.router.ip(&format!("neigh replace {addr} lladdr {mac} dev lan0 nud permanent"))
        };
        let start = Instant::now();
        neighbour(GUEST_MAC)?;
        until("the connection is cut", 5 * SECOND, || {
            (!probe::echoes(&mut call).unwrap_or(true)).then_some(())
        })?;
        until("the rule is gone", 5 * SECOND, || {
            let rules = self.rules().ok()?;
            (!rules.contains("dnat ip6")).then_some(())
        })?;
        let took = start.elapsed();
        ensure!(took <= SECOND + REFUSED_WITHIN, "closed {} ms after the neighbour entry", took.as_millis());
        self.lab.wait_greeted("front", WAN4.into(), 2 * SECOND)?;
        let text = self.lab.verb(&["status"])?.stdout;
        ensure!(text.contains("closed by IPv6: another device (02:00:00:00:00:77)"), "status:\n{text}");
        let left = Instant::now();
        neighbour(CAMERA_MAC)?;
        let again = until("it is open again", QUIET + 3 * SECOND, || {
            (!self.is_closed(addr, VIEWER6).ok()?).then(|| left.elapsed())
        })?;
        ensure!(again >= QUIET, "open again after {:.1} s, before it was quiet", again.as_secs_f64());
        Ok(format!(
            "address taken: closed and cut {} ms after the neighbour entry, IPv4 stays; open again after {:.1} s",
            took.as_millis(),
            again.as_secs_f64()
        ))
    }
}
