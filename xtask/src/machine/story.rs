//! What is seen on an emulated router: it boots with its clock in 1970, waits for the clock, keeps DNS and the
//! port mapping right while its address changes, in little memory; and once more with its clock a month behind.

use super::guest::{self, Guest, Setup};
use super::{debian, image, Machine, MACHINES};
use crate::lab::scenarios::Scenario;
use crate::lab::web::{Certificate, Face, Web, CACERT};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// On MIPS, little endian.
pub const MIPS: Scenario = Scenario {
    name: MACHINES[0].name,
    about: "a MIPS machine with its own kernel: the clock in 1970 and behind, udhcpc, hotplug, DNAT, memory",
    needs: &["qemu-system-mipsel", "named", "nginx"],
    limit: LIMIT,
    slow: true,
    run: |lab| run(lab, &MACHINES[0]),
};

/// On ARMv7.
pub const ARM: Scenario = Scenario {
    name: MACHINES[1].name,
    about: "an ARM machine with its own kernel: the clock in 1970 and behind, udhcpc, hotplug, DNAT, memory",
    needs: &["qemu-system-arm", "named", "nginx"],
    limit: LIMIT,
    slow: true,
    run: |lab| run(lab, &MACHINES[1]),
};

const LIMIT: Duration = Duration::from_secs(240);
/// The HTTPS service, and its address.
const HOST: &str = "update.example.net";
const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 81);
/// The name that it is told about.
const WEB_NAME: &str = "web.example.com";
/// `somebody:secret`.
const AUTHORIZATION: &str = "Basic c29tZWJvZHk6c2VjcmV0";
/// The guest's addresses, one after the other.
const WAN: [Ipv4Addr; 3] =
    [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 11), Ipv4Addr::new(203, 0, 113, 12)];
/// How far behind the clock is the second time, in seconds.
const MONTH: u64 = 31 * 86_400;
/// From the clock's setting to the update.
const AFTER_CLOCK: Duration = Duration::from_secs(2);
/// For what a slow, emulated processor does.
const PATIENCE: Duration = Duration::from_secs(30);
/// From the address's change to the update and to the viewer who gets through.
const FOLLOWS: Duration = Duration::from_secs(10);
/// The most resident memory of an agent at rest, in KiB: 1.2 MiB.
const IDLE: u64 = 1228;
/// The most resident memory at any time, in KiB: 2 MiB.
const PEAK: u64 = 2048;

/// What stands around the guest.
struct Stage<'a> {
    lab: &'a Lab,
    machine: &'a Machine,
    named: Named,
    web: Web,
    kernel: PathBuf,
    image: PathBuf,
}

fn run(lab: &mut Lab, machine: &Machine) -> Result<Summary> {
    let mut summary = Summary::default();
    let stage = Stage::set(lab, machine, &mut summary)?;
    stage.in_1970(&mut summary).context("with the clock in 1970")?;
    stage.a_month_behind(&mut summary).context("with the clock a month behind")?;
    Ok(summary)
}

impl Stage<'_> {
    fn set<'a>(lab: &'a Lab, machine: &'a Machine, summary: &mut Summary) -> Result<Stage<'a>> {
        fs::write(lab.internet.etc("resolv.conf"), format!("nameserver {DNS4}\n"))?;
        for addr in WAN {
            lab.internet.ip(&format!("addr add {}/32 dev lo", viewed(addr)))?;
        }
        let named = Named::start(lab, Software::Bind)?;
        let face = Face {
            host: HOST.into(),
            addr: HOST4,
            tls: "TLSv1.2 TLSv1.3",
            authorization: AUTHORIZATION.into(),
        };
        let web = Web::start(lab, ZONE, &[face])?;
        web.set_certificate(HOST, Certificate::Today)?;
        let debian = debian::fetch(&super::dir(machine), machine.debian, machine.kernel)?;
        let package = fs::read(super::package_file(machine)).context("no package")?;
        let packed = package.len().div_ceil(1024);
        let mut files = files(lab)?;
        files.push((PACKAGE.into(), 0o644, package));
        let image = Path::new(seal::DIR).join("image");
        let size = guest::write_image(machine, &debian, files, &image)?;
        summary.0.push(format!(
            "{}: an ipk of {packed} KiB, an image of {} KiB",
            machine.processor,
            size.div_ceil(1024)
        ));
        Ok(Stage { lab, machine, named, web, kernel: image::kernel(&debian)?, image })
    }

    /// Boots, with the camera plugged in and the agent started.
    fn boot(&self, clock: u64, summary: &mut Summary) -> Result<Guest> {
        let forwards = WAN.map(|addr| (format!("{}:{PORT}", viewed(addr)), format!("{addr}:{PORT}")));
        let setup = Setup { clock: &date(clock), forwards: &forwards };
        let mut guest = Guest::start(self.lab, self.machine, &self.kernel, &self.image, &setup)?;
        ensure!(guest.clock.abs_diff(clock) < 60, "the guest's clock says {}, not {clock}", guest.clock);
        summary.0.push(format!(
            "booted in {:.1} s, its clock says {}",
            guest.booted.as_secs_f64(),
            date(guest.clock)
        ));
        guest.sh(INSTALL)?;
        guest.sh("cp -a /root/owner/. /")?;
        guest.sh("sh /etc/camera.sh")?;
        guest.sh("porchlight check")?;
        guest.sh("porchlight run >/tmp/porchlight.log 2>&1 &")?;
        guest.wait("the agent listens", "[ -S /var/run/porchlight/control.sock ]", PATIENCE)?;
        Ok(guest)
    }

    /// How many update messages BIND saw, and how many requests the web service.
    fn asked(&self) -> (usize, usize) {
        (self.named.updates().len(), self.web.seen(HOST).len())
    }

    fn wait_web(&self, addr: Ipv4Addr, limit: Duration) -> Result<Instant> {
        until(&format!("{HOST} is told {addr}"), limit, || {
            (self.web.address(HOST, WEB_NAME) == Some(addr.into())).then(Instant::now)
        })
    }

    /// Sets the guest's clock right, and waits until everything is published.
    fn set_clock(&self, guest: &mut Guest, addr: Ipv4Addr, then: &str) -> Result<String> {
        let start = Instant::now();
        guest.sh(&format!("date -s @{} {then}", now()))?;
        let web = self.wait_web(addr, AFTER_CLOCK)?;
        let named = self.lab.wait_named(addr.into(), AFTER_CLOCK.saturating_sub(start.elapsed()))?;
        let ms = |at: Instant| at.saturating_duration_since(start).as_millis();
        Ok(format!("the clock was set: HTTPS update after {} ms, DNS right after {} ms", ms(web), ms(named)))
    }

    fn in_1970(&self, summary: &mut Summary) -> Result<()> {
        let mut guest = self.boot(0, summary)?;
        let result = self.first_day(&mut guest, summary);
        result.map_err(|error| with_log(error, &mut guest))
    }

    fn first_day(&self, guest: &mut Guest, summary: &mut Summary) -> Result<()> {
        let began = guest.memory("VmRSS")?;
        let idle = guest.at_rest(IDLE, PATIENCE)?;
        summary.0.push(format!("resident memory: {began} KiB when all has begun, {idle} KiB at rest"));
        guest.sh(UDHCPC)?;
        // Two accounts, each looked at again by its timer: said once, nothing sent.
        let again = "[ $(grep -c 'DEBUG.*: clock: ' /tmp/porchlight.log) -ge 2 ]";
        guest.wait("both accounts tried again", again, PATIENCE)?;
        ensure!(told(guest, HOST)? == 1, "not said once that HTTPS waits");
        ensure!(told(guest, "signature")? == 1, "not said once that the signature waits");
        ensure!(self.asked() == (0, 0), "asked before the clock was set: {:?}", self.asked());
        summary.0.push("1970: both accounts wait, each said so once, nothing was sent".into());
        summary.0.push(self.set_clock(guest, WAN[0], "")?);
        ensure!(self.asked() == (1, 1), "one request each was enough: {:?}", self.asked());
        let (peak, after) = (guest.memory("VmHWM")?, guest.memory("VmRSS")?);
        self.lab.wait_greeted("front", viewed(WAN[0]).into(), FOLLOWS)?;
        summary.0.push("a viewer reaches the camera through the DNAT".into());
        guest.sh("rm -r /etc/hotplug.d")?;
        for addr in [WAN[1], WAN[2]] {
            summary.0.push(self.readdress(guest, addr)?);
        }
        summary.0.push(format!("processor time of the agent: {:.2} s", guest.cpu()?));
        summary.0.push(memory(idle, peak, after)?);
        guest.sh("kill $(pidof porchlight)")?;
        guest.wait("the agent ends", "! pidof porchlight >/dev/null", PATIENCE)?;
        ensure!(!guest.sh("nft list ruleset")?.contains("dnat"), "the mapping is still there");
        Ok(())
    }

    /// Another address, with nobody to tell the agent but the kernel.
    fn readdress(&self, guest: &mut Guest, addr: Ipv4Addr) -> Result<String> {
        let start = Instant::now();
        guest.sh(&format!(
            "ip addr flush dev eth0; ip addr add {addr}/24 dev eth0; ip route add default via {GATEWAY4} dev eth0"
        ))?;
        let named = self.lab.wait_named(addr.into(), FOLLOWS)?;
        let web = self.wait_web(addr, FOLLOWS)?;
        let reached = self.lab.wait_greeted("front", viewed(addr).into(), FOLLOWS)?;
        let ms = |at: Instant| at.saturating_duration_since(start).as_millis();
        Ok(format!(
            "address {addr}, by rtnetlink alone: DNS after {} ms, HTTPS after {} ms, camera after {} ms",
            ms(named),
            ms(web),
            ms(reached)
        ))
    }

    fn a_month_behind(&self, summary: &mut Summary) -> Result<()> {
        let mut guest = self.boot(now() - MONTH, summary)?;
        let result = self.day_before(&mut guest, summary);
        result.map_err(|error| with_log(error, &mut guest))
    }

    fn day_before(&self, guest: &mut Guest, summary: &mut Summary) -> Result<()> {
        let (_, requests) = self.asked();
        guest.sh(UDHCPC)?;
        // BIND tells its time in an answer that it signs: good enough to sign by.
        self.lab.wait_named(WAN[0].into(), PATIENCE)?;
        let waits = "grep -q 'WARN.*: clock: .*valid from' /tmp/porchlight.log";
        guest.wait("HTTPS waits for the clock", waits, PATIENCE)?;
        guest.sh("porchlight trigger clock")?;
        let again = "grep -q 'DEBUG.*: clock: .*valid from' /tmp/porchlight.log";
        guest.wait("it is tried again by `trigger clock`", again, PATIENCE)?;
        ensure!(told(guest, HOST)? == 1, "not said once that HTTPS waits");
        ensure!(self.asked().1 == requests, "published without a good certificate");
        summary.0.push(
            "a month behind: HTTPS waits, said so once, published nothing; TSIG by BIND's own time".into(),
        );
        // As ntpd does after its first answer.
        let hotplug = "; ACTION=step sh /etc/hotplug.d/ntp/95-porchlight";
        summary.0.push(self.set_clock(guest, WAN[0], hotplug)?);
        ensure!(self.asked().1 == requests + 1, "one request was enough: {:?}", self.asked());
        Ok(())
    }
}

/// Where the package lies in the guest.
const PACKAGE: &str = "root/porchlight.ipk";
/// Installs it, as opkg does.
const INSTALL: &str =
    "gzip -dc /root/porchlight.ipk | tar -x -O -f - ./data.tar.gz | gzip -dc | tar -x -C / -f - && porchlight help";

/// Gets an address, in the foreground, once.
const UDHCPC: &str = "udhcpc -i eth0 -f -q -n -t 10 -s /etc/udhcpc.script";

/// Where a viewer finds the guest's address: qemu passes on what comes there.
fn viewed(addr: Ipv4Addr) -> Ipv4Addr {
    let [.., last] = addr.octets();
    Ipv4Addr::new(198, 51, 100, last)
}

/// How often the log warns of the clock, in a line with this word.
fn told(guest: &mut Guest, word: &str) -> Result<usize> {
    let log = guest.log()?;
    Ok(log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains(": clock: ") && line.contains(word))
        .count())
}

fn memory(idle: u64, peak: u64, after: u64) -> Result<String> {
    let text = format!(
        "resident memory: idle {idle} KiB (bound {IDLE}), peak with TLS {peak} KiB (bound {PEAK}), after it {after} KiB"
    );
    ensure!(idle <= IDLE && peak <= PEAK, "over the bound: {text}");
    Ok(text)
}

fn with_log(error: anyhow::Error, guest: &mut Guest) -> anyhow::Error {
    let log = guest.log().unwrap_or_default();
    error.context(format!("the agent's log:\n{log}"))
}

fn now() -> u64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

/// A Unix time as qemu and people read it.
fn date(unix: u64) -> String {
    let format = [format!("--date=@{unix}"), "+%Y-%m-%dT%H:%M:%S".to_owned()];
    let said = process::run(std::process::Command::new("date").arg("-u").args(format), None, SECOND);
    said.and_then(|done| done.success()).unwrap_or_default().trim().to_owned()
}

/// What the stories add: the owner's configuration, to be put over the package's, and what that names.
fn files(lab: &Lab) -> Result<Vec<image::File>> {
    let config = lab.config().replace("'wan0'", "'eth0'");
    let global = "config porchlight 'global'\n";
    let config = config.replacen(
        global,
        &format!("{global}\toption log_level 'debug'\n\toption cacert '{CACERT}'\n"),
        1,
    );
    let more = format!(
        "
config record 'web'
\toption provider 'dyndns2'
\toption url 'https://{HOST}'
\toption username 'somebody'
\toption password 'secret'
\tlist domain '{WEB_NAME}'
\toption family 'ipv4'
"
    );
    let ca = fs::read(lab.root.join(CACERT.trim_start_matches('/')))?;
    Ok(vec![
        ("root/owner/etc/config/porchlight".into(), 0o600, (config + &more).into_bytes()),
        ("root/owner/etc/porchlight/tsig.key".into(), 0o600, format!("{SECRET}\n").into_bytes()),
        (format!("root/owner{CACERT}"), 0o644, ca),
        ("root/owner/etc/hosts".into(), 0o644, format!("127.0.0.1 localhost\n{HOST4} {HOST}\n").into_bytes()),
    ])
}
