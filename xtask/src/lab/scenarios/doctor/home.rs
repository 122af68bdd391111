//! The healthy home, what can be done to it, and the doctor. No daemon stays: passes keep it right, so that what is
//! broken stays broken until somebody mends it.

use super::{Report, SLOW};
use crate::lab::openwrt::Openwrt;
use crate::lab::web::{Certificate, Face, Mood as WebMood, Web, CACERT};
use crate::lab::*;
use anyhow::{bail, ensure, Context, Result};
use nix::mount::{mount, MsFlags};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

use super::meddler::Meddler;

/// The camera's place.
pub const CAMERA: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The second record, at a service with an API, and where that is.
pub const CLOUD: &str = "cloud.example.com";
const API: &str = "api.example.net";
const TOKEN: &str = "a-token-of-the-lab-0123456789";
/// A resolver that is not the zone's own server.
pub const OTHER_DNS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 54);

/// Resolvers that anybody may ask.
pub const PUBLIC: [Ipv4Addr; 3] =
    [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(223, 5, 5, 5)];

/// Everything that stands.
pub struct Home<'a> {
    pub lab: &'a Lab,
    pub web: Web,
    pub host: Host,
    pub camera: Option<RtspCamera>,
    pub agent: Option<Agent>,
    /// What is held while something is broken.
    pub listener: Option<TcpListener>,
    pub meddler: Option<Meddler>,
    pub other: Option<Nameserver>,
    /// OpenWrt's firewall and bus, if they are here.
    pub openwrt: Option<Openwrt>,
    /// What the doctor sees the clock say, if it is wrong, in Unix time.
    pub wall: Option<u32>,
    config: String,
    _named: Named,
}

impl Home<'_> {
    /// Furnishes it, and has a pass make all right.
    pub fn furnish(lab: &Lab) -> Result<Home<'_>> {
        let named = Named::start(lab, Software::Bind)?;
        lab.wan_up()?;
        lab.wait_dad(WAN6)?;
        // The public resolvers that it asks: hosts that serve no DNS.
        lab.internet.sysctl("net.ipv4.icmp_ratemask", "0")?;
        for addr in PUBLIC {
            lab.internet.ip(&format!("addr add {addr}/32 dev lo"))?;
        }
        let face = Face {
            host: API.into(),
            addr: WEB4,
            tls: "TLSv1.2 TLSv1.3",
            authorization: format!("Bearer {TOKEN}"),
        };
        let web = Web::start(lab, ZONE, &[face])?;
        let host = lab.lan_host("camera", CAMERA_MAC, CAMERA)?;
        lab.write_leases(&[host.lease(CAMERA)])?;
        let run_dir = lab.root.join("var/run/porchlight");
        fs::create_dir_all(&run_dir)?;
        mount(Some("tmpfs"), &run_dir, Some("tmpfs"), MsFlags::empty(), Some("size=256k,mode=0700"))?;
        fs::write(run_dir.join("one-shot"), "")?;
        std::os::unix::fs::symlink("/proc", lab.root.join("proc"))?;
        let camera = Some(RtspCamera::start(&host.ns, 554, "front")?);
        let config = configuration(lab);
        let home = Home {
            lab,
            web,
            host,
            camera,
            agent: None,
            listener: None,
            meddler: None,
            other: None,
            openwrt: None,
            wall: None,
            config,
            _named: named,
        };
        home.configure("", "")?;
        home.update(&format!("update add {CLOUD} 60 A {WAN4}"))?;
        lab.verb(&["trigger"])?.success()?;
        Ok(home)
    }

    /// Writes the configuration, with one thing in it replaced.
    pub fn configure(&self, old: &str, new: &str) -> Result<()> {
        ensure!(self.config.contains(old), "there is no {old} in the configuration");
        self.lab.write_config(&self.config.replacen(old, new, 1))
    }

    /// Changes the zone by hand.
    pub fn update(&self, script: &str) -> Result<()> {
        let text = format!("server {DNS4}\nzone {ZONE}\nkey hmac-sha256:{KEY} {SECRET}\n{script}\nsend\n");
        let mut command = Command::new("nsupdate");
        let done =
            self.lab.internet.enter(|| process::run(command.args(["-t", "5"]), Some(&text), 10 * SECOND))?;
        done.success().map(drop)
    }

    pub fn mood(&self, mood: WebMood) {
        self.web.set_mood(API, mood);
    }

    pub fn certificate(&self, certificate: Certificate) -> Result<()> {
        self.web.set_certificate(API, certificate)
    }

    /// A file below the agent's root.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.lab.root.join(path), text).with_context(|| format!("cannot write {path}"))
    }

    pub fn remove(&self, path: &str) -> Result<()> {
        fs::remove_file(self.lab.root.join(path)).with_context(|| format!("cannot remove {path}"))
    }

    /// Gives the WAN another address, with the provider's end.
    pub fn readdress(&self, own: Ipv4Addr, gateway: Ipv4Addr) -> Result<()> {
        self.lab.internet.ip(&format!("addr replace {gateway}/24 dev isp0"))?;
        self.lab.router.ip4_batch(&[
            "addr flush dev wan0",
            &format!("addr add {own}/24 dev wan0"),
            &format!("route replace default via {gateway} dev wan0"),
        ])
    }

    /// The first address, and the route, as netifd would bring them.
    pub fn line_up(&self) -> Result<()> {
        self.readdress(WAN4, GATEWAY4)
    }

    /// What the doctor must leave as it is: the agent's files, the packet filter, the zone.
    pub fn fingerprint(&self) -> Result<String> {
        let mut told = self.lab.router.sh("nft -s list ruleset")?;
        told += &self.lab.router.sh(&format!("dig +short SOA {ZONE} @{DNS4}"))?;
        for dir in ["etc/config", "etc/porchlight", "tmp", "var/run", "var/run/porchlight"] {
            for entry in fs::read_dir(self.lab.root.join(dir))? {
                let entry = entry?;
                let changed = entry.metadata()?.modified()?;
                told += &format!("{} {changed:?}\n", entry.path().display());
            }
        }
        Ok(told)
    }

    /// Runs it.
    pub fn doctor(&self) -> Result<Report> {
        let command = &mut self.command(&["doctor", "--json"]);
        let done = match self.wall {
            None => self.lab.router.run(command, SLOW)?,
            Some(wall) => self.lab.router.enter(|| wallclock::run(command, wall))?,
        };
        ensure!(done.stderr.is_empty(), "it complains: {}", done.stderr);
        let json: serde_json::Value =
            serde_json::from_str(&done.stdout).with_context(|| format!("not JSON: {}", done.stdout))?;
        let first = json["first"].as_str().map(String::from);
        let link = json["links"].as_array().into_iter().flatten().find(|link| link["link"] == json["first"]);
        let of = |key: &str| link.and_then(|link| link[key].as_str()).unwrap_or_default().to_string();
        Ok(Report {
            code: done.status.code().context("it was killed")?,
            first,
            what: of("what"),
            mend: of("mend"),
            text: serde_json::to_string_pretty(&json)?,
        })
    }

    /// A verb of the agent's, where it finds OpenWrt's programs if they are here.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command();
        command.args(args);
        if let Some(openwrt) = &self.openwrt {
            command.env("PATH", openwrt.path());
        }
        command
    }

    /// Runs one that must go well.
    pub fn verb(&self, args: &[&str]) -> Result<()> {
        self.lab.router.run(&mut self.command(args), 60 * SECOND)?.success().map(drop)
    }

    /// The same home on OpenWrt, whose firewall carries the mapping.
    pub fn on_openwrt(&mut self) -> Result<()> {
        self.agent = None;
        self.write("var/run/porchlight/one-shot", "")?;
        self.config =
            self.config.replacen("option mapping_backend 'nft'", "option mapping_backend 'auto'", 1);
        self.configure("", "")?;
        for table in ["porchlight", "home"] {
            self.lab.router.nft(&format!("delete table inet {table}"))?;
        }
        self.openwrt = Some(Openwrt::start(self.lab, WAN4)?);
        self.verb(&["trigger"])
    }

    /// The doctor must find nothing.
    pub fn green(&self) -> Result<()> {
        let report = self.doctor()?;
        ensure!(report.first.is_none() && report.code == 0, "the doctor is not content:\n{}", report.text);
        Ok(())
    }

    /// After a case that failed: makes all well again as far as that can be, for the next one.
    pub fn heal(&mut self, case: &super::Case) {
        let _ = (case.mends)(self);
        let _ = (case.after)(self);
        let _ = self.configure("", "");
        let _ = self.verb(&["trigger", "records"]);
    }

    /// Runs what stands between back quotes in a mend, and can be run here.
    pub fn follow(&mut self, mend: &str) -> Result<()> {
        for command in mend.split('`').skip(1).step_by(2) {
            let words: Vec<&str> = command.split(' ').collect();
            match words.as_slice() {
                ["service", "porchlight", verb] => self.service(verb)?,
                // Only told: what to look at.
                ["porchlight", "cameras" | "check"] => {}
                ["porchlight", verb @ ..] => self.verb(verb)?,
                ["ip", "link", "set", ..] | ["nft", "insert", ..] | ["mount", "-o", ..] => {
                    self.lab.router.sh(command)?;
                }
                ["service", "firewall", "restart"] => {
                    self.openwrt.as_ref().context("no firewall")?.wan_is(self.lab, WAN4)?;
                }
                ["service", "sysntpd", ..]
                | ["fw4" | "ifup" | "ifstatus" | "logread" | "ip" | "du" | "ntpd" | "date" | "nameserver", ..] =>
                    {}
                _ => bail!("the mend has a command that nobody knows here: {command}"),
            }
        }
        Ok(())
    }

    /// As OpenWrt's `service porchlight`, where a daemon stays and where none does.
    fn service(&mut self, verb: &str) -> Result<()> {
        let resident = !fs::read_to_string(self.lab.config_file())?.contains("option resident '0'");
        match (verb, &self.agent) {
            _ if !resident => self.verb(&["trigger"])?,
            ("reload", Some(agent)) => agent.signal(Signal::SIGHUP)?,
            _ => {
                self.agent = None;
                self.agent = Some(self.lab.start_agent()?);
                self.verb(&["once"])?;
            }
        }
        Ok(())
    }
}

/// One record at one's own name server, one at a service; one camera that asks for a password.
fn configuration(lab: &Lab) -> String {
    let global = format!("option mapping_backend 'nft'\n\toption resident '0'\n\toption cacert '{CACERT}'\n");
    let plain = lab
        .config()
        .replace("option mapping_backend 'nft'\n", &global)
        .replace("option family 'any'", "option family 'ipv4'")
        .replace("\toption allow_open '1'\n", "");
    format!(
        "{plain}
config record 'cloud'
\toption provider 'cloudflare'
\toption url 'https://{API}/client/v4'
\toption token '{TOKEN}'
\tlist domain '{CLOUD}'
\toption family 'ipv4'
"
    )
}
