//! The lab: an "internet", a "router" and a "camera" on one machine, sealed off from it, in which the
//! real binary runs. `cargo demo`, `cargo xtask test` and `cargo xtask bench` stand on it.
//!
//! ```text
//!  internet                    router                          camera, and other hosts
//!  198.51.100.53  DNS          wan0 203.0.113.10/24            eth0 192.168.1.20/24
//!  198.51.100.80  web   isp0 ──────     2001:db8:a::10/64      (02:00:00:00:00:20)
//!  198.51.100.7   a viewer     lan0 192.168.1.1/24 ────────────
//! ```
//!
//! Everything lives in namespaces of one process tree ([`seal`]), and all files under [`seal::DIR`] on a
//! tmpfs of its own: whatever happens, nothing remains. Inside, traffic goes nowhere else.
//!
//! A scenario is a function and one row in [`scenarios::SCENARIOS`]:
//!
//! ```no_run
//! # use anyhow::{ensure, Result};
//! # use std::time::Instant;
//! # use xtask::lab::*;
//! pub fn moved(lab: &mut Lab) -> Result<Summary> {
//!     let dns = lab.nameserver()?;                       // embedded; or start BIND with lab.internet.spawn
//!     lab.wan_up()?;                                     // the device, its addresses, its default routes
//!     let camera = lab.lan_host("camera", CAMERA_MAC, [192, 168, 1, 20].into())?;
//!     let _server = Camera::start(&camera.ns, 554, "front")?;
//!     lab.write_leases(&[camera.lease([192, 168, 1, 20].into())])?;
//!     lab.write_config(&lab.config())?;                  // or any text
//!     let mut agent = lab.start_agent()?;                // killed when dropped; agent.stop() ends it cleanly
//!     lab.wait_reachable("front", WAN4.into(), SECOND)?; // by name, from outside, through the mapped port
//!     let start = Instant::now();
//!     lab.wan_readdress4([203, 0, 113, 11].into())?;
//!     let seen = lab.wait_reachable("front", [203, 0, 113, 11].into(), SECOND)?;
//!     ensure!(dns.count() == (2, 2), "updates: {:?}", dns.count());
//!     agent.stop(SECOND)?;
//!     Ok(Summary::line(format!("reachable {} ms after the change", (seen.reached - start).as_millis())))
//! }
//! ```
//!
//! Wait for conditions ([`until`], [`Daemon::wait_line`]), never for time. What a scenario needs from
//! outside (BIND, strace) goes into its row's `needs`; only if that cannot be known before, return [`skip`].

pub mod agent;
pub mod camera;
pub mod document;
pub mod frps;
pub mod home;
pub mod moto;
pub mod named;
pub mod nameserver;
pub mod ns;
pub mod openwrt;
pub mod powerdns;
pub mod probe;
pub mod process;
pub mod published;
pub mod scenarios;
pub mod seal;
pub mod stream;
pub mod things;
pub mod tools;
pub mod tunnels;
pub mod wallclock;
pub mod web;
pub mod whoami;
pub mod wire;
pub mod zone;

pub use agent::Agent;
pub use camera::{Camera, RtspCamera};
pub use moto::Moto;
pub use named::{Named, Software};
pub use nameserver::{Mood, Nameserver};
pub use ns::Ns;
pub use powerdns::PowerDns;
pub use process::{until, Daemon};

use anyhow::{bail, Context, Result};
use domain::base::Rtype;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use zone::Zone;

/// The provider's gateway, at the other end of the WAN.
pub const GATEWAY4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The router's first IPv4 address.
pub const WAN4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The router's first IPv6 address.
pub const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);
/// The DNS server of the zone, and the router's resolver.
pub const DNS4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
/// The same over IPv6.
pub const DNS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53);
/// Free for a web server.
pub const WEB4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
/// A viewer.
pub const VIEWER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// The router on the LAN.
pub const LAN4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The camera's hardware address.
pub const CAMERA_MAC: &str = "02:00:00:00:00:20";
/// The zone.
pub const ZONE: &str = "example.com";
/// The camera's name.
pub const NAME: &str = "cam.example.com";
/// The port on the WAN that is mapped to the camera.
pub const PORT: u16 = 8554;
/// The TSIG key's name.
pub const KEY: &str = "ddns-key";
/// The TSIG key, base64. A test value; it opens nothing.
pub const SECRET: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=";
/// What it stands for.
pub const SECRET_BYTES: &[u8] = b"abcdefghijklmnopqrstuvwxyz123456";
/// A common limit.
pub const SECOND: Duration = Duration::from_secs(1);

/// The first attempts to get through give up quickly, so that a way that opens is seen at once; later ones
/// take longer, for slow machines.
const GLANCES: [u64; 6] = [15, 15, 30, 60, 120, 250];
/// Nobody answers if nobody has done so within this time.
const STARE: Duration = Duration::from_millis(500);
/// The longest that IPv6's duplicate address detection may take.
const DAD_LIMIT: Duration = Duration::from_secs(10);

/// The lab. Dropped, it is gone; if the process is killed, too.
pub struct Lab {
    /// Where the name server and the viewers are.
    pub internet: Ns,
    /// Where the agent runs.
    pub router: Ns,
    /// The agent's `--root`.
    pub root: PathBuf,
    /// The agent's program.
    pub program: PathBuf,
    /// How a viewer knows which camera answers: at first, by the greeting of a [`Camera`].
    pub look: probe::Look,
}

/// A host on the LAN.
pub struct Host {
    /// Where it is.
    pub ns: Ns,
    /// Its hardware address.
    pub mac: String,
}

/// When a name was right, and when a connection through it was.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The authoritative server answered the expected address.
    pub named: Instant,
    /// A connection to that address reached the camera.
    pub reached: Instant,
}

/// What a scenario found out: lines for the person who reads.
#[derive(Debug, Default)]
pub struct Summary(pub Vec<String>);

impl Summary {
    /// Of one line.
    pub fn line(text: impl Into<String>) -> Summary {
        Summary(vec![text.into()])
    }
}

/// The error of a scenario that cannot run here. Printed as skipped; in CI it is a failure.
#[derive(Debug)]
pub struct Skipped(String);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// Ends a scenario as skipped, for this reason.
pub fn skip<T>(why: impl Into<String>) -> Result<T> {
    bail!(Skipped(why.into()))
}

impl Lab {
    /// Builds the internet and the router with its LAN; no WAN, no camera, no agent yet.
    /// To be called in a process that [`seal::enter`] has sealed.
    pub fn create(program: &Path) -> Result<Lab> {
        let internet = Ns::create("internet")?;
        internet.ip_batch(&[
            &format!("addr add {DNS4}/32 dev lo"),
            &format!("addr add {DNS6}/128 dev lo"),
            &format!("addr add {WEB4}/32 dev lo"),
            &format!("addr add {VIEWER4}/32 dev lo"),
        ])?;
        let router = Ns::create("router")?;
        for key in
            ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.promote_secondaries"]
        {
            router.sysctl(key, "1")?;
        }
        router.ip_batch(&[
            "link add lan0 address 02:00:00:00:00:01 type bridge",
            &format!("addr add {LAN4}/24 dev lan0"),
            "link set lan0 up",
        ])?;
        // What a home router has anyway; the agent must leave it as it is.
        router.nft(HOME_FIREWALL)?;
        let root = Path::new(seal::DIR).join("router");
        for dir in ["etc/config", "etc/porchlight", "tmp", "var/run"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let lab = Lab { internet, router, root, program: program.into(), look: probe::banner };
        lab.write_resolver(&format!("nameserver {DNS4}\n"))?;
        write_secret(&lab.root.join("etc/porchlight/tsig.key"), SECRET)?;
        Ok(lab)
    }

    /// Makes the WAN device, both ends, with the first addresses of both families and default routes.
    pub fn wan_up(&self) -> Result<()> {
        self.wan_device()?;
        self.wan_add4(WAN4)?;
        self.wan_add6(WAN6)
    }

    /// Makes the WAN device, both ends up, the provider's side with its addresses, the router's with none.
    pub fn wan_device(&self) -> Result<()> {
        self.router.ip("link add wan0 type veth peer name isp0 netns internet")?;
        self.internet.ip_batch(&[
            &format!("addr add {GATEWAY4}/24 dev isp0"),
            "addr add fe80::1/64 dev isp0 nodad",
            "link set isp0 up",
        ])?;
        self.router.ip("link set wan0 up")
    }

    /// Deletes the WAN device, as a PPPoE session that ends.
    pub fn wan_gone(&self) -> Result<()> {
        self.router.ip("link del wan0")
    }

    /// Gives the WAN an IPv4 address (in 203.0.113.0/24) and the default route.
    pub fn wan_add4(&self, addr: Ipv4Addr) -> Result<()> {
        self.router.ip_batch(&[
            &format!("addr add {addr}/24 dev wan0"),
            &format!("route replace default via {GATEWAY4} dev wan0"),
        ])
    }

    /// Gives the WAN an IPv6 address and the default route; its /64 is made known to the provider.
    /// The address is tentative at first: see [`Lab::wait_dad`].
    pub fn wan_add6(&self, addr: Ipv6Addr) -> Result<()> {
        let [a, b, c, d, ..] = addr.segments();
        let gateway = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1);
        self.internet.ip(&format!("addr replace {gateway}/64 dev isp0 nodad"))?;
        self.router.ip_batch(&[
            &format!("addr add {addr}/64 dev wan0"),
            "route replace default via fe80::1 dev wan0",
        ])
    }

    /// Takes the WAN's IPv4 addresses and gives it another one, as a DHCP client does.
    pub fn wan_readdress4(&self, addr: Ipv4Addr) -> Result<()> {
        self.router.ip4_batch(&[
            "addr flush dev wan0",
            &format!("addr add {addr}/24 dev wan0"),
            &format!("route replace default via {GATEWAY4} dev wan0"),
        ])
    }

    /// Takes the WAN's global IPv6 addresses and gives it another one.
    pub fn wan_readdress6(&self, addr: Ipv6Addr) -> Result<()> {
        self.router.sh("ip -6 addr flush dev wan0 scope global")?;
        self.wan_add6(addr)
    }

    /// Waits until an IPv6 address of the router is there and no longer tentative.
    pub fn wait_dad(&self, addr: Ipv6Addr) -> Result<Instant> {
        let digits: String = addr.segments().iter().map(|part| format!("{part:04x}")).collect();
        self.router.enter(|| {
            until(&format!("{addr} ends duplicate address detection"), DAD_LIMIT, || {
                let table = fs::read_to_string("/proc/thread-self/net/if_inet6").ok()?;
                let line = table.lines().find(|line| line.starts_with(&digits))?;
                let flags = u32::from_str_radix(line.split_whitespace().nth(4)?, 16).ok()?;
                (flags & IFA_F_TENTATIVE == 0).then(Instant::now)
            })
        })
    }

    /// Puts a host on the LAN, with this address and a default route.
    pub fn lan_host(&self, name: &str, mac: &str, addr: Ipv4Addr) -> Result<Host> {
        let host = self.plug(name, mac)?;
        host.readdress(addr)?;
        Ok(host)
    }

    /// Puts a host on the LAN that has no address yet.
    pub fn plug(&self, name: &str, mac: &str) -> Result<Host> {
        let ns = Ns::create(name)?;
        self.router.ip_batch(&[
            &format!("link add p-{name} type veth peer name eth0 address {mac} netns {name}"),
            &format!("link set p-{name} master lan0 up"),
        ])?;
        ns.ip("link set eth0 up")?;
        Ok(Host { ns, mac: mac.into() })
    }

    /// Starts the embedded name server of [`ZONE`], with [`KEY`], where the router looks for one.
    pub fn nameserver(&self) -> Result<Nameserver> {
        let zone = Zone::new(ZONE, DNS4, DNS6)?;
        let at = [SocketAddr::from((DNS4, 53)), SocketAddr::from((DNS6, 53))];
        Nameserver::start(&self.internet, zone, KEY, SECRET_BYTES, &at)
    }

    /// Writes the router's resolver file, in place, both as its programs see it and as the agent does.
    pub fn write_resolver(&self, text: &str) -> Result<()> {
        rewrite(&self.router.etc("resolv.conf"), text)?;
        rewrite(&self.root.join("etc/resolv.conf"), text)
    }

    /// Writes the router's lease file in place, as dnsmasq does. See [`Host::lease`].
    pub fn write_leases(&self, leases: &[String]) -> Result<()> {
        rewrite(&self.root.join("tmp/dhcp.leases"), &leases.concat())
    }

    /// Asks the zone's server from the viewer's place.
    pub fn ask(&self, rtype: Rtype) -> Result<probe::Answer> {
        probe::ask(&self.internet, SocketAddr::from((DNS4, 53)), NAME, rtype, SECOND)
    }

    /// Waits until the authoritative answer for [`NAME`] is exactly this address.
    pub fn wait_named(&self, addr: IpAddr, limit: Duration) -> Result<Instant> {
        let rtype = if addr.is_ipv4() { Rtype::A } else { Rtype::AAAA };
        let mut last = None;
        until(&format!("{NAME} is {addr} at its name server"), limit, || {
            last = self.ask(rtype).ok();
            last.as_ref().filter(|answer| answer.sole() == Some(addr)).map(|_| Instant::now())
        })
        .with_context(|| format!("the last answer: {last:?}"))
    }

    /// Waits until the name is this address and a viewer who connects to it at [`PORT`] is greeted by
    /// this camera. Both must hold within `limit`.
    pub fn wait_reachable(&self, camera: &str, addr: IpAddr, limit: Duration) -> Result<Seen> {
        let start = Instant::now();
        let named = self.wait_named(addr, limit)?;
        let reached = self.wait_greeted(camera, addr, limit.saturating_sub(start.elapsed()))?;
        Ok(Seen { named, reached })
    }

    /// Waits until a viewer who connects to this address at [`PORT`] is greeted by this camera.
    pub fn wait_greeted(&self, camera: &str, addr: IpAddr, limit: Duration) -> Result<Instant> {
        let target = SocketAddr::from((addr, PORT));
        let mut last = String::new();
        let mut glances = GLANCES.iter().copied();
        until(&format!("a viewer reaches {camera} at {target}"), limit, || {
            let limit = Duration::from_millis(glances.next().unwrap_or(500));
            last = (self.look)(&self.internet, target, limit).unwrap_or_else(|error| format!("{error:#}"));
            (last == camera).then(Instant::now)
        })
        .with_context(|| format!("the last attempt: {last}"))
    }

    /// Waits until a viewer who connects to this address at [`PORT`] reaches nobody; says since when.
    pub fn wait_closed(&self, addr: IpAddr, limit: Duration) -> Result<Instant> {
        let target = SocketAddr::from((addr, PORT));
        until(&format!("nobody answers at {target}"), limit, || {
            let start = Instant::now();
            (self.look)(&self.internet, target, STARE).is_err().then_some(start)
        })
    }
}

impl Host {
    /// Takes its address and gives it another one, with the default route, and lets the router hear of it.
    pub fn readdress(&self, addr: Ipv4Addr) -> Result<()> {
        self.ns.ip4_batch(&[
            "addr flush dev eth0",
            &format!("addr add {addr}/24 dev eth0"),
            &format!("route replace default via {LAN4} dev eth0"),
        ])?;
        self.speak()
    }

    /// Sends the router a datagram, so that its neighbour table knows this host.
    pub fn speak(&self) -> Result<()> {
        self.ns.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.send_to(b"hello", (LAN4, 9)).context("cannot speak to the router")?;
            Ok(())
        })
    }

    /// Says by a gratuitous ARP answer that this address is its own. Needs `busybox`.
    pub fn announce(&self, addr: Ipv4Addr) -> Result<()> {
        // Its exit status says whether somebody answered, which nobody should.
        let mut arping = Command::new("busybox");
        arping.args(["arping", "-A", "-c", "1", "-w", "1", "-I", "eth0", &addr.to_string()]);
        self.ns.run(&mut arping, 5 * SECOND).map(drop)
    }

    /// Unplugs it.
    pub fn unplug(&self) -> Result<()> {
        self.ns.ip("link set eth0 down")
    }

    /// A line of dnsmasq's lease file for it: an hour from now, with the namespace's name.
    pub fn lease(&self, addr: Ipv4Addr) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        format!("{} {} {addr} {} 01:{}\n", now + 3600, self.mac, self.ns.name(), self.mac)
    }
}

/// IFA_F_TENTATIVE of linux/if_addr.h.
const IFA_F_TENTATIVE: u32 = 0x40;

/// A masquerading home router's table.
const HOME_FIREWALL: &str = r#"
table inet home {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state invalid counter drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
"#;

/// Replaces a file's content, not the file: what is bound or watched stays the same.
fn rewrite(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that is its owner's alone.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}").with_context(|| format!("cannot write {}", path.display()))
}
