//! `option static_lease`: the camera's address is written into dnsmasq's configuration, and a real dnsmasq, given what
//! OpenWrt's own script makes of it, gives the camera that address ever after.

use super::Scenario;
use crate::lab::openwrt::Openwrt;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// Where the camera happens to be.
const PLACE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// OpenWrt's, shortened, with CRLF and a static lease of somebody else's.
const DHCP: &str = "# leases of the house\r
config dnsmasq\r
\toption leasefile '/tmp/dhcp.leases'   # as it was\r
\r
config host\r
\toption name 'printer'\r
\toption mac '02:00:00:00:00:99'\r
\toption ip '192.168.1.99'\r
";
const SECTION: &str = "\r
config host 'porchlight_front'\r
\toption name 'front'\r
\tlist mac '02:00:00:00:00:20'\r
\tlist mac '02:00:00:00:00:21'\r
\toption ip '192.168.1.20'\r
";

/// With dnsmasq.
pub const STATIC_LEASE: Scenario = Scenario {
    name: "static-lease",
    about: "the camera's address is written for dnsmasq: nothing else in the file changes, and it is kept",
    needs: &["dnsmasq", "busybox"],
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.router.nft("delete table inet home")?;
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    let home = Home { lab, openwrt: Openwrt::start(lab, WAN4)? };
    fs::write(home.path(), DHCP)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, PLACE)?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_leases(&[camera.lease(PLACE)])?;
    home.configure(true)?;
    let mut summary = Summary::default();
    let mut agent = home.start()?;
    summary.0.push(home.is_written()?);
    summary.0.push(home.stays(&agent)?);
    summary.0.push(home.is_kept_by_dnsmasq()?);
    summary.0.push(home.is_refused(&agent)?);
    agent.stop(5 * SECOND)?;
    ensure!(home.text()? == DHCP.to_string() + SECTION, "a stop changed the file:\n{}", home.text()?);
    let mut agent = home.start()?;
    home.configure(false)?;
    agent.signal(Signal::SIGHUP)?;
    home.wait_text("switched off", DHCP)?;
    home.configure(true)?;
    agent.signal(Signal::SIGHUP)?;
    home.wait_text("on again", &(DHCP.to_string() + SECTION))?;
    agent.stop(5 * SECOND)?;
    home.run(&["unmap"])?;
    ensure!(home.text()? == DHCP.to_string() + SECTION, "unmap changed the file:\n{}", home.text()?);
    home.run(&["unmap", "--leases"])?;
    ensure!(home.text()? == DHCP, "unmap --leases left:\n{}", home.text()?);
    summary
        .0
        .push("a stop leaves it; switched off, and by unmap --leases, the file is that of before".into());
    fs::remove_file(home.path())?;
    let mut agent = home.start()?;
    let line = agent.wait_line(Instant::now() - 5 * SECOND, "the static leases: ", 5 * SECOND)?;
    ensure!(line.text.contains("there is no /etc/config/dhcp"), "{}", line.text);
    lab.wait_greeted("front", WAN4.into(), 5 * SECOND)?;
    agent.stop(5 * SECOND)?;
    summary.0.push("without /etc/config/dhcp that is said, and the mapping is open all the same".into());
    Ok(summary)
}

struct Home<'a> {
    lab: &'a Lab,
    openwrt: Openwrt,
}

impl Home<'_> {
    fn path(&self) -> PathBuf {
        self.lab.root.join("etc/config/dhcp")
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(self.path()).context("no /etc/config/dhcp")
    }

    fn wait_text(&self, what: &str, text: &str) -> Result<Instant> {
        let mut last = String::new();
        until(&format!("{what}: the file is right"), 5 * SECOND, || {
            last = self.text().unwrap_or_default();
            (last == text).then(Instant::now)
        })
        .with_context(|| format!("it is:\n{last}"))
    }

    fn configure(&self, on: bool) -> Result<()> {
        let more = format!("\tlist mac '02:00:00:00:00:21'\n\toption static_lease '{}'\n", u8::from(on));
        let mac = format!("\tlist mac '{CAMERA_MAC}'\n");
        let text = self.lab.config().replacen("\toption mapping_backend 'nft'\n", "", 1);
        self.lab.write_config(&text.replace(&mac, &(mac.clone() + &more)))
    }

    fn start(&self) -> Result<Agent> {
        self.lab.start_agent_as(self.lab.command().arg("run").env("PATH", self.openwrt.path()))
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.lab.command();
        command.args(arguments).env("PATH", self.openwrt.path());
        self.lab.router.run(&mut command, 40 * SECOND)?.success().map(drop)
    }

    /// A pass, whether all is well then or not.
    fn look(&self) -> Result<()> {
        let mut command = self.lab.command();
        self.lab.router.run(command.arg("once").env("PATH", self.openwrt.path()), 40 * SECOND).map(drop)
    }

    /// What procd was told of DHCP since the last time.
    fn told(&self) -> Vec<String> {
        let mut told = self.openwrt.writes();
        told.retain(|call| call.ends_with(r#"{"type":"config.change","data":{"package":"dhcp"}}"#));
        told
    }

    fn is_written(&self) -> Result<String> {
        let start = Instant::now();
        let at = self.wait_text("the first look", &(DHCP.to_string() + SECTION))?;
        let mut told = Vec::new();
        until("procd is told", 5 * SECOND, || {
            told.extend(self.told());
            (!told.is_empty()).then_some(())
        })?;
        ensure!(told.len() == 1, "procd was told {told:?}");
        until("status shows it", SECOND, || {
            (self.lab.status().ok()?["cameras"][0]["static_lease"] == PLACE.to_string()).then_some(())
        })?;
        let ms = at.saturating_duration_since(start).as_millis();
        Ok(format!("written {ms} ms after the start, both hardware addresses; procd is told once"))
    }

    /// Looks, a restart, and a camera that is elsewhere for a while: the file is not even replaced.
    fn stays(&self, agent: &Agent) -> Result<String> {
        let inode = fs::metadata(self.path())?.ino();
        self.run(&["trigger"])?;
        self.look()?;
        agent.signal(Signal::SIGHUP)?;
        self.lab.write_leases(&[format!("9999999999 {CAMERA_MAC} 192.168.1.60 front *\n")])?;
        until("the mapping follows", 5 * SECOND, || {
            let status = self.lab.status().ok()?;
            (status["mappings"][0]["target"] == "192.168.1.60").then_some(())
        })?;
        self.look()?;
        ensure!(fs::metadata(self.path())?.ino() == inode, "the file was written again");
        ensure!(self.told().is_empty(), "procd was told again");
        self.lab.write_leases(&[format!("9999999999 {CAMERA_MAC} {PLACE} front *\n")])?;
        Ok("looks, a reload and a lease elsewhere for a moment: nothing is written".into())
    }

    /// dnsmasq as OpenWrt starts it: `dhcp_host_add` of its init script makes one `--dhcp-host` of a section.
    fn is_kept_by_dnsmasq(&self) -> Result<String> {
        let dir = Path::new(seal::DIR).join("dhcp");
        fs::create_dir_all(&dir)?;
        let mut command = Command::new("dnsmasq");
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=lan0",
            "--bind-dynamic",
        ]);
        command.args(["--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,1h", "--dhcp-authoritative"]);
        command.args(["--no-ping", "--log-dhcp", "--log-facility=-"]);
        command.arg(format!("--dhcp-host={}", host_of(&self.text()?)?));
        command.arg(format!("--pid-file={}", dir.join("pid").display()));
        command.arg(format!("--dhcp-leasefile={}", dir.join("leases").display()));
        let since = Instant::now();
        let dnsmasq = self.lab.router.spawn("dnsmasq", &mut command)?;
        dnsmasq.wait_line(since, "DHCP, IP range", 5 * SECOND)?;
        // The same camera by Wi-Fi, which dnsmasq never saw.
        let wifi = self.lab.plug("wifi", "02:00:00:00:00:21")?;
        let mut client = Command::new("busybox");
        client.args(["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-t", "5", "-T", "1", "-s", "/bin/true"]);
        wifi.ns.run(&mut client, 15 * SECOND)?.success()?;
        let leases = fs::read_to_string(dir.join("leases"))?;
        ensure!(leases.contains(&format!("02:00:00:00:00:21 {PLACE} front ")), "dnsmasq gave {leases}");
        // For the answer dnsmasq told the kernel that this one is there now; it is not.
        self.lab.router.ip("neigh flush dev lan0")?;
        Ok("dnsmasq, given that section, gives the camera's other hardware address the same place".into())
    }

    /// Somebody pins the camera himself: ours goes, and it is said whose it is, once.
    fn is_refused(&self, agent: &Agent) -> Result<String> {
        let theirs = "\r\nconfig host\r\n\toption name 'mine'\r\n\tlist mac '02:00:00:00:00:20'\r\n\toption ip '192.168.1.44'\r\n";
        let since = Instant::now();
        fs::write(self.path(), DHCP.to_string() + SECTION + theirs)?;
        self.look()?;
        self.wait_text("somebody else's", &(DHCP.to_string() + theirs))?;
        agent.wait_line(since, "a static lease for 02:00:00:00:00:20 already, of host mine", SECOND)?;
        self.look()?;
        self.look()?;
        let said = agent.lines().iter().filter(|line| line.text.contains("of host mine")).count();
        ensure!(said == 1, "said {said} times");
        fs::write(self.path(), DHCP)?;
        self.look()?;
        self.wait_text("theirs is gone", &(DHCP.to_string() + SECTION))?;
        Ok("one of somebody else's for the camera: ours is taken out, said once; when that goes, ours is back".into())
    }
}

/// What OpenWrt's init script makes of our section: `MAC,MAC,IP,NAME`.
fn host_of(text: &str) -> Result<String> {
    let (_, ours) = text.split_once("config host 'porchlight_front'").context("no section")?;
    let values = |key: &str| {
        let line = format!("{key} '");
        let mut values: Vec<&str> = ours.lines().filter_map(|text| text.trim().strip_prefix(&line)).collect();
        values.iter_mut().for_each(|value| *value = value.trim_end_matches('\''));
        values.join(",")
    };
    Ok([values("list mac"), values("option ip"), values("option name")].join(","))
}
