//! A home router between the internet and ours, with a real miniupnpd (package miniupnpd-nftables): two NATs in a row.
//!
//! ```text
//!  internet                      home                        router
//!  isp1 93.184.216.1   ────────  up0 93.184.216.34
//!                                hlan 192.168.0.1  ────────  wan0 192.168.0.2
//!                                                  ────────  tenant 192.168.0.3
//! ```
//!
//! The address is no documentation address: miniupnpd takes those for private ones, and maps nothing.

use super::{seal, until, Daemon, Lab, Ns, SECOND};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The home router on the side of ours.
pub const HOME4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// Our router's WAN behind it.
pub const BEHIND4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
/// Another device behind it.
pub const TENANT4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 3);
/// miniupnpd says that it is ready within this time.
const START_LIMIT: Duration = Duration::from_secs(10);
/// One answer of Debian's clients.
const CLIENT_LIMIT: Duration = Duration::from_secs(30);

/// What the home router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// PCP, NAT-PMP and UPnP.
    All,
    /// Only PCP: what begins like NAT-PMP does not reach it.
    Pcp,
    /// Only NAT-PMP: what begins like PCP does not reach it.
    NatPmp,
    /// Only UPnP.
    Upnp,
}

/// The home router.
pub struct Home {
    /// It.
    pub ns: Ns,
    /// The other device behind it.
    pub tenant: Ns,
    daemon: Option<Daemon>,
}

impl Home {
    /// Puts it between the internet and the router, whose WAN has a private address then. miniupnpd does not run yet.
    pub fn create(lab: &Lab, addr: Ipv4Addr) -> Result<Home> {
        let ns = Ns::create("home")?;
        let tenant = Ns::create("tenant")?;
        ns.sysctl("net.ipv4.ip_forward", "1")?;
        ns.ip_batch(&[
            "link add up0 type veth peer name isp1 netns internet",
            "link add hlan type bridge",
            "link add h1 type veth peer name wan0 netns router",
            "link add h2 type veth peer name eth0 netns tenant",
            "link set h1 master hlan up",
            "link set h2 master hlan up",
            &format!("addr add {HOME4}/24 dev hlan"),
            "link set hlan up",
            "link set up0 up",
        ])?;
        lab.internet.ip("link set isp1 up")?;
        let home = Home { ns, tenant, daemon: None };
        home.readdress(lab, addr)?;
        for (place, device, addr) in [(&lab.router, "wan0", BEHIND4), (&home.tenant, "eth0", TENANT4)] {
            place.ip_batch(&[
                &format!("link set {device} up"),
                &format!("addr add {addr}/24 dev {device}"),
                &format!("route add default via {HOME4} dev {device}"),
            ])?;
        }
        Ok(home)
    }

    /// Gives it another address on the side of the internet, in a /24 in which the provider is `.1`.
    pub fn readdress(&self, lab: &Lab, addr: Ipv4Addr) -> Result<()> {
        let [a, b, c, _] = addr.octets();
        let provider = Ipv4Addr::new(a, b, c, 1);
        lab.internet.ip(&format!("addr replace {provider}/24 dev isp1"))?;
        self.ns.ip4_batch(&[
            "addr flush dev up0",
            &format!("addr add {addr}/24 dev up0"),
            &format!("route replace default via {provider} dev up0"),
        ])
    }

    /// Starts miniupnpd with nothing mapped, as after a restart of the box.
    pub fn start(&mut self, speaks: Speaks) -> Result<()> {
        self.kill();
        let _ = self.ns.sh("nft delete table inet filter");
        let barred = match speaks {
            Speaks::All | Speaks::Upnp => "",
            Speaks::Pcp => "udp dport 5351 @th,64,8 0 drop",
            Speaks::NatPmp => "udp dport 5351 @th,64,8 2 drop",
        };
        self.ns.nft(&RULES.replace("BARRED", barred))?;
        ensure!(self.mapped()?.is_empty(), "it has forgotten nothing");
        let yes = |on| if on { "yes" } else { "no" };
        let upnp = yes(matches!(speaks, Speaks::All | Speaks::Upnp));
        let config = CONFIG.replace("UPNP", upnp).replace("NATPMP", yes(speaks != Speaks::Upnp));
        let dir = Path::new(seal::DIR);
        let (file, pid) = (dir.join("miniupnpd.conf"), dir.join("miniupnpd.pid"));
        fs::write(&file, config)?;
        let _ = fs::remove_file(&pid);
        let mut command = Command::new("miniupnpd");
        command.arg("-d").arg("-f").arg(&file).arg("-P").arg(&pid);
        let daemon = self.ns.spawn("miniupnpd", &mut command)?;
        self.daemon = Some(daemon);
        until("miniupnpd answers", START_LIMIT, || match speaks {
            Speaks::All | Speaks::Upnp => self.upnpc(&self.tenant, &["-s"]).ok().map(drop),
            _ => fs::metadata(&pid).ok().map(drop),
        })
    }

    /// Ends miniupnpd at once.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Debian's `upnpc` at a place behind it.
    pub fn upnpc(&self, place: &Ns, args: &[&str]) -> Result<String> {
        let mut command = Command::new("upnpc");
        command.args(["-u", &format!("http://{HOME4}:5000/rootDesc.xml")]).args(args);
        place.run(&mut command, CLIENT_LIMIT)?.success()
    }

    /// Debian's `natpmpc` at a place behind it.
    pub fn natpmpc(&self, place: &Ns, args: &[&str]) -> Result<String> {
        let mut command = Command::new("natpmpc");
        command.args(["-g", &HOME4.to_string()]).args(args);
        place.run(&mut command, CLIENT_LIMIT)?.success()
    }

    /// Which port outside the other device is given by NAT-PMP if it asks for this one, which it gives back.
    pub fn lends(&self, port: u16) -> Result<u16> {
        let wanted = port.to_string();
        let said = self.natpmpc(&self.tenant, &["-a", &wanted, &wanted, "tcp", "60"])?;
        self.natpmpc(&self.tenant, &["-a", "0", &wanted, "tcp", "0"])?;
        let given =
            said.split("Mapped public port ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        given.with_context(|| format!("natpmpc got no port: {said}"))
    }

    /// What its packet filter sends on to our router: the kernel's word.
    pub fn mapped(&self) -> Result<Vec<String>> {
        let rules = self.ns.sh("nft list chain inet filter prerouting_miniupnpd")?;
        let ours = |line: &&str| line.contains(&format!("dnat ip to {BEHIND4}:"));
        Ok(rules.lines().filter(ours).map(|line| line.trim().to_owned()).collect())
    }

    /// Waits until it sends on as many ports to our router; says since when.
    pub fn wait_mapped(&self, count: usize, limit: Duration) -> Result<Instant> {
        let mut last = Vec::new();
        until(&format!("{count} mappings of the home router lead to ours"), limit, || {
            last = self.mapped().unwrap_or_default();
            (last.len() == count).then(Instant::now)
        })
        .with_context(|| format!("there are: {last:?}"))
    }

    /// The other device takes a port.
    pub fn take(&self, port: u16) -> Result<()> {
        let port = port.to_string();
        let said = self.upnpc(&self.tenant, &["-a", &TENANT4.to_string(), &port, &port, "TCP", "3600"])?;
        ensure!(said.contains("is redirected to internal"), "the tenant got no port: {said}");
        Ok(())
    }
}

/// Says at a place behind it that the address outside changed, from this address, as NAT-PMP does (RFC 6886 section 3.2.1).
pub fn announce(place: &Ns, from: Ipv4Addr) -> Result<()> {
    place.enter(|| {
        let socket = socket2::SockRef::from(&UdpSocket::bind((from, 0))?).try_clone()?;
        socket.set_multicast_if_v4(&from)?;
        let socket = UdpSocket::from(socket);
        socket.send_to(&[0, 128, 0, 0, 0, 0, 0, 1, 9, 9, 9, 9], ("224.0.0.1", 5350))?;
        Ok(())
    })
}

/// Waits of the agent for a router: one search of all ways, with much to spare.
pub const FOUND_LIMIT: Duration = Duration::from_secs(20 * SECOND.as_secs());

const RULES: &str = "table inet filter {
	chain input {
		type filter hook input priority filter
		BARRED
	}
	chain forward {
		type filter hook forward priority filter
		jump miniupnpd
		iifname \"up0\" ct state new drop
	}
	chain miniupnpd {
	}
	chain prerouting {
		type nat hook prerouting priority dstnat
		jump prerouting_miniupnpd
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		jump postrouting_miniupnpd
		oifname \"up0\" masquerade
	}
	chain prerouting_miniupnpd {
	}
	chain postrouting_miniupnpd {
	}
}
";

const CONFIG: &str = "ext_ifname=up0
listening_ip=hlan
http_port=5000
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
enable_upnp=UPNP
enable_natpmp=NATPMP
secure_mode=yes
system_uptime=no
uuid=6c5b1b6e-0000-4000-8000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
";
