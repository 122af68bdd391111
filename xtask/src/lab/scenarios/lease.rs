//! The camera's DHCP lease moves, by a real dnsmasq and a real client, and the mapping follows; another device
//! takes the camera's address, and the mapping closes, with the connections through it, until it is quiet
//! again. Behind a firewall like OpenWrt's, of which not a byte changes.

use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::net::TcpStream;
use std::process::Command;

/// The other device.
const GUEST_MAC: &str = "02:00:00:00:00:77";
/// How long it must be quiet before a mapping opens again, the first time.
const QUIET: Duration = Duration::from_secs(10);
/// For the DHCP client to get a lease; after a refusal it waits for 3 s.
const DHCP_LIMIT: Duration = Duration::from_secs(15);

/// With dnsmasq.
pub const DNSMASQ: Scenario = Scenario {
    name: "lease-dnsmasq",
    about:
        "the mapping follows the lease within a second, closes for another device, and nothing else changes",
    needs: &["dnsmasq", "busybox", "conntrack"],
    limit: Duration::from_secs(150),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.router.nft(FIREWALL)?;
    let foreign = foreign_rules(lab)?;
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    let dhcp = Dhcp::start(lab)?;
    let home = Home { lab, dhcp, foreign };
    lab.write_config(&lab.config())?;
    let mut agent = lab.start_agent()?;
    let camera = lab.plug("camera", CAMERA_MAC)?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    let mut summary = Summary::default();

    home.dhcp.reserve(&[(CAMERA_MAC, 20)])?;
    let client = home.dhcp.client(&camera, CONFIGURE)?;
    summary.0.push(home.follow("first lease", 20)?);
    home.dhcp.reserve(&[(CAMERA_MAC, 60)])?;
    client.signal(Signal::SIGUSR1)?;
    summary.0.push(home.follow("reservation changed", 60)?);
    client.signal(Signal::SIGUSR2)?;
    home.dhcp.reserve(&[(CAMERA_MAC, 70)])?;
    home.dhcp.wait_no_lease(CAMERA_MAC)?;
    client.signal(Signal::SIGUSR1)?;
    summary.0.push(home.follow("released, another lease", 70)?);

    let guest = lab.lan_host("guest", GUEST_MAC, [192, 168, 1, 77].into())?;
    let _intruder = Camera::start(&guest.ns, 554, "guest")?;
    summary.0.push(home.taken_by_arp(&camera, &guest, 70)?);
    home.dhcp.reserve(&[(CAMERA_MAC, 80)])?;
    client.signal(Signal::SIGUSR1)?;
    summary.0.push(home.follow("reservation changed again", 80)?);
    summary.0.push(home.taken_by_lease(&client, &camera, &guest, 80)?);

    ensure!(home.has_table()?, "the mapping is open, but there is no table");
    agent.stop(5 * SECOND)?;
    ensure!(!home.has_table()?, "the table is there after a clean stop");
    home.wait_closed()?;
    lab.write_config(&lab.config().replacen("\n\n", "\n\toption keep_on_stop '1'\n\n", 1))?;
    let mut agent = lab.start_agent()?;
    lab.wait_reachable("front", WAN4.into(), 5 * SECOND)?;
    agent.stop(5 * SECOND)?;
    ensure!(home.has_table()?, "keep_on_stop '1', but the table is gone");
    lab.wait_reachable("front", WAN4.into(), SECOND)?;
    let told = lab.verb(&["unmap"])?.success()?;
    ensure!(!home.has_table()?, "the table is there after unmap, which said: {told}");
    home.wait_closed()?;
    home.unchanged()?;
    let accused = agent.lines().iter().any(|line| line.text.contains("drops what the port mappings let in"));
    ensure!(!accused, "the firewall accepts what is translated, but is said to drop it");
    summary.0.push("stop closes; keep_on_stop keeps, unmap closes; the foreign ruleset is as it was".into());
    Ok(summary)
}

/// The router with its DHCP server and its firewall.
struct Home<'a> {
    lab: &'a Lab,
    dhcp: Dhcp<'a>,
    /// Its packet filter without our table.
    foreign: String,
}

impl Home<'_> {
    /// Waits until the camera has the lease, then for the mapping to follow.
    fn follow(&self, what: &str, host: u8) -> Result<String> {
        let leased = self.dhcp.wait_lease(CAMERA_MAC, host)?;
        let seen = self.lab.wait_reachable("front", WAN4.into(), 2 * SECOND)?;
        let took = seen.reached - leased;
        ensure!(took <= SECOND, "{what}: reached {} ms after the lease", took.as_millis());
        self.unchanged()?;
        Ok(format!("{what}: reached {} ms after the lease file's change", took.as_millis()))
    }

    /// The guest takes the address and says so by a gratuitous ARP; later it leaves, and the camera says so.
    fn taken_by_arp(&self, camera: &Host, guest: &Host, host: u8) -> Result<String> {
        let addr = lan(host);
        let mut call = self.call()?;
        guest.ns.ip(&format!("addr add {addr}/24 dev eth0"))?;
        let start = Instant::now();
        guest.announce(addr)?;
        let known = self.wait_neighbour(addr, GUEST_MAC)?;
        let closed = self.wait_closed()?;
        let cut = self.wait_cut(&mut call, addr)?;
        for (what, since) in [("the gratuitous ARP", start), ("the neighbour entry", known)] {
            let took = closed.max(cut).saturating_duration_since(since);
            ensure!(took <= SECOND, "closed and cut {} ms after {what}", took.as_millis());
        }
        guest.ns.ip(&format!("addr del {addr}/24 dev eth0"))?;
        let left = Instant::now();
        camera.announce(addr)?;
        self.wait_neighbour(addr, CAMERA_MAC)?;
        let again = self.wait_quiet(left)?;
        self.unchanged()?;
        Ok(format!(
            "address taken: closed {} ms after the gratuitous ARP ({} ms after the neighbour entry), connection \
             cut after {} ms; open again {:.1} s after it left",
            (closed - start).as_millis(),
            closed.saturating_duration_since(known).as_millis(),
            (cut - start).as_millis(),
            again.as_secs_f64()
        ))
    }

    /// The camera gives its lease back but goes on using the address, and the guest gets the lease: the old
    /// connection would live on if it were not cut.
    fn taken_by_lease(&self, client: &Daemon, camera: &Host, guest: &Host, host: u8) -> Result<String> {
        let addr = lan(host);
        let mut call = self.call()?;
        self.dhcp.keep_addresses(true)?;
        client.signal(Signal::SIGUSR2)?;
        self.dhcp.wait_no_lease(CAMERA_MAC)?;
        ensure!(probe::echoes(&mut call)?, "a lease given back cut the connection: a silent camera stays");
        self.dhcp.reserve(&[(GUEST_MAC, host)])?;
        let taker = self.dhcp.client(guest, NOTHING)?;
        let start = self.dhcp.wait_lease(GUEST_MAC, host)?;
        let closed = self.wait_closed()?;
        let cut = self.wait_cut(&mut call, addr)?;
        let took = closed.max(cut).saturating_duration_since(start);
        ensure!(took <= SECOND, "closed and cut {} ms after the lease", took.as_millis());
        // It does not use the address, so it cannot give it back; it asks anew and gets another.
        let left = Instant::now();
        drop(taker);
        self.dhcp.reserve(&[(GUEST_MAC, host + 1)])?;
        let _taker = self.dhcp.client(guest, NOTHING)?;
        self.dhcp.wait_lease(GUEST_MAC, host + 1)?;
        // For the lease dnsmasq put the guest into the kernel's neighbour table; the camera is heard again.
        camera.announce(addr)?;
        let again = self.wait_quiet(left)?;
        self.unchanged()?;
        Ok(format!(
            "lease taken: closed {} ms after the lease file's change, connection cut after {} ms; open again \
             {:.1} s after it left",
            closed.saturating_duration_since(start).as_millis(),
            cut.saturating_duration_since(start).as_millis(),
            again.as_secs_f64()
        ))
    }

    /// An established connection from outside.
    fn call(&self) -> Result<TcpStream> {
        let mut call = probe::connect(&self.lab.internet, (WAN4, PORT).into(), SECOND / 5)?;
        ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
        Ok(call)
    }

    /// Waits until nobody at all answers, the guest neither.
    fn wait_closed(&self) -> Result<Instant> {
        self.lab.wait_closed(WAN4.into(), 5 * SECOND)
    }

    /// Waits until the connection is dead and the kernel knows it no more.
    fn wait_cut(&self, call: &mut TcpStream, addr: Ipv4Addr) -> Result<Instant> {
        let cut = until("the connection is cut", 5 * SECOND, || {
            (!probe::echoes(call).unwrap_or(true)).then(Instant::now)
        })?;
        let flows = self.lab.router.sh(&format!("conntrack -L -p tcp --reply-src {addr}"))?;
        ensure!(!flows.contains("ESTABLISHED"), "the kernel still knows: {flows}");
        Ok(cut)
    }

    /// Waits until the mapping is open again: not before it has been quiet for long enough.
    fn wait_quiet(&self, left: Instant) -> Result<Duration> {
        let again = self.lab.wait_reachable("front", WAN4.into(), QUIET + 3 * SECOND)?.reached - left;
        ensure!(again >= QUIET, "open again after {:.1} s, before it was quiet", again.as_secs_f64());
        ensure!(again <= QUIET + 2 * SECOND, "open again only after {:.1} s", again.as_secs_f64());
        Ok(again)
    }

    /// Waits until the router's kernel has this hardware address for a neighbour.
    fn wait_neighbour(&self, addr: Ipv4Addr, mac: &str) -> Result<Instant> {
        self.lab.router.enter(|| {
            until(&format!("the router sees {mac} at {addr}"), SECOND, || {
                let table = fs::read_to_string("/proc/thread-self/net/arp").ok()?;
                let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
                lines
                    .any(|words| words.first() == Some(&addr.to_string().as_str()) && words.contains(&mac))
                    .then(Instant::now)
            })
        })
    }

    fn has_table(&self) -> Result<bool> {
        Ok(self.lab.router.sh("nft list tables")?.lines().any(|line| line.trim() == "table inet porchlight"))
    }

    /// Nobody else's rules have changed.
    fn unchanged(&self) -> Result<()> {
        let now = foreign_rules(self.lab)?;
        ensure!(now == self.foreign, "foreign rules were\n{}\nand are\n{now}", self.foreign);
        Ok(())
    }
}

/// The packet filter without our table: with the handles of its rules, without counters' values.
fn foreign_rules(lab: &Lab) -> Result<String> {
    let text = lab.router.sh("nft -s -a list ruleset")?;
    let mut ours = false;
    let mut kept = String::new();
    for line in text.lines() {
        ours |= line.starts_with("table inet porchlight ");
        if !ours {
            kept.push_str(line);
            kept.push('\n');
        }
        ours &= line != "}";
    }
    Ok(kept)
}

fn lan(host: u8) -> Ipv4Addr {
    [192, 168, 1, host].into()
}

/// What udhcpc runs for a camera: takes the address that it is given, and drops it when told to, unless the
/// file `keep` is there.
const CONFIGURE: &str = r#"#!/bin/sh
[ "$1" = deconfig ] && [ -e "${0%/*}/keep" ] && exit 0
[ "$1" = deconfig ] && exec ip -4 addr flush dev "$interface"
[ "$1" = bound ] || exit 0
ip -4 addr flush dev "$interface"
ip addr add "$ip/24" dev "$interface"
ip route replace default via "$router" dev "$interface"
"#;
/// And for a device that takes a lease without using it.
const NOTHING: &str = "#!/bin/sh\nexit 0\n";

/// dnsmasq on the router's LAN, as OpenWrt runs it but for DNS.
struct Dhcp<'a> {
    lab: &'a Lab,
    dir: PathBuf,
    daemon: Daemon,
}

impl Dhcp<'_> {
    fn start(lab: &Lab) -> Result<Dhcp<'_>> {
        let dir = Path::new(seal::DIR).join("dhcp");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("hosts"), "")?;
        let leases = lab.root.join("tmp/dhcp.leases");
        let conf = format!(
            "port=0\ninterface=lan0\nbind-dynamic\npid-file={dir}/pid\n\
             dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,1h\ndhcp-authoritative\nno-ping\n\
             dhcp-hostsfile={dir}/hosts\ndhcp-leasefile={leases}\nlog-dhcp\nlog-facility=-\n",
            dir = dir.display(),
            leases = leases.display()
        );
        fs::write(dir.join("conf"), conf)?;
        // As its own debug mode has it, it stays in the foreground and who it is: as another user it could not
        // become where the lab runs without root.
        let mut command = Command::new("dnsmasq");
        command.arg("--no-daemon").arg(format!("--conf-file={}", dir.join("conf").display()));
        let since = Instant::now();
        let daemon = lab.router.spawn("dnsmasq", &mut command)?;
        daemon.wait_line(since, "DHCP, IP range", 5 * SECOND)?;
        Ok(Dhcp { lab, dir, daemon })
    }

    /// Who is to get which address from now on.
    fn reserve(&self, hosts: &[(&str, u8)]) -> Result<()> {
        let lines: String = hosts.iter().map(|(mac, host)| format!("{mac},{}\n", lan(*host))).collect();
        fs::write(self.dir.join("hosts"), lines)?;
        let since = Instant::now();
        self.daemon.signal(Signal::SIGHUP)?;
        self.daemon.wait_line(since, "read ", 5 * SECOND).map(drop)
    }

    /// A DHCP client on a host, with this script.
    fn client(&self, host: &Host, script: &str) -> Result<Daemon> {
        let path = self.dir.join(format!("{}.sh", host.ns.name()));
        fs::write(&path, script)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut command = Command::new("busybox");
        command.args(["udhcpc", "-f", "-i", "eth0", "-t", "10", "-T", "1", "-A", "1", "-s"]).arg(path);
        host.ns.spawn("udhcpc", &mut command)
    }

    /// Whether a camera that loses its lease goes on using the address.
    fn keep_addresses(&self, keep: bool) -> Result<()> {
        let path = self.dir.join("keep");
        if keep { fs::write(path, "") } else { fs::remove_file(path) }.context("cannot tell the script")
    }

    fn leases(&self) -> String {
        fs::read_to_string(self.lab.root.join("tmp/dhcp.leases")).unwrap_or_default()
    }

    /// Waits until the lease file gives this device this address.
    fn wait_lease(&self, mac: &str, host: u8) -> Result<Instant> {
        let wanted = format!("{mac} {} ", lan(host));
        until(&format!("the lease file has {wanted}"), DHCP_LIMIT, || {
            self.leases().contains(&wanted).then(Instant::now)
        })
    }

    fn wait_no_lease(&self, mac: &str) -> Result<Instant> {
        until(&format!("the lease file has no {mac}"), DHCP_LIMIT, || {
            (!self.leases().contains(mac)).then(Instant::now)
        })
    }
}

/// A firewall as OpenWrt's fw4 writes it, shortened: everything forwarded is dropped but what the LAN
/// begins and what is translated; and a table of somebody else, with a set and a map.
const FIREWALL: &str = r#"
table inet fw4 {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept comment "!fw4: Accept traffic from loopback"
		ct state established,related accept comment "!fw4: Allow inbound established and related flows"
		tcp flags & (fin | syn | rst | ack) == syn jump syn_flood comment "!fw4: Rate limit TCP syn packets"
		iifname "lan0" jump input_lan comment "!fw4: Handle lan IPv4/IPv6 input traffic"
		iifname "wan0" jump input_wan comment "!fw4: Handle wan IPv4/IPv6 input traffic"
		jump handle_reject
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept comment "!fw4: Allow forwarded established and related flows"
		iifname "lan0" jump forward_lan comment "!fw4: Handle lan IPv4/IPv6 forward traffic"
		iifname "wan0" jump forward_wan comment "!fw4: Handle wan IPv4/IPv6 forward traffic"
		jump handle_reject
	}
	chain prerouting {
		type filter hook prerouting priority filter; policy accept;
	}
	chain handle_reject {
		meta l4proto tcp reject with tcp reset comment "!fw4: Reject TCP traffic"
		reject comment "!fw4: Reject any other traffic"
	}
	chain syn_flood {
		limit rate 2500/second burst 5000 packets return comment "!fw4: Accept SYN packets below rate-limit"
		drop comment "!fw4: Drop excess packets"
	}
	chain input_lan {
		counter accept
	}
	chain forward_lan {
		oifname "wan0" counter accept comment "!fw4: Accept lan to wan forwarding"
		ct status dnat accept comment "!fw4: Accept port forwards"
	}
	chain input_wan {
		meta nfproto ipv4 icmp type echo-request counter accept comment "!fw4: Allow-Ping"
		meta l4proto ipv6-icmp counter accept comment "!fw4: Allow-ICMPv6-Input"
		jump handle_reject
	}
	chain forward_wan {
		ct status dnat accept comment "!fw4: Accept port forwards"
		jump handle_reject
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "wan0" tcp dport 2222 counter dnat ip to 192.168.1.9:22 comment "!fw4: ssh"
	}
	chain srcnat {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" meta nfproto ipv4 masquerade comment "!fw4: Masquerade IPv4 wan traffic"
	}
	chain mangle_forward {
		type filter hook forward priority mangle; policy accept;
		oifname "wan0" tcp flags & (fin | syn | rst) == syn tcp option maxseg size set rt mtu comment "!fw4: Zone wan IPv4/IPv6 egress MTU fixing"
	}
}
table ip banned {
	set addrs { type ipv4_addr; flags interval; elements = { 198.51.100.128/25, 192.0.2.66 } }
	map doors { type inet_service : ipv4_addr; elements = { 2323 : 192.168.1.9 } }
	chain pre {
		type filter hook prerouting priority raw; policy accept;
		ip saddr @addrs counter drop
	}
}
"#;
