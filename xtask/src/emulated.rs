//! The program of each processor, run by qemu's user mode in the lab: the same router and internet as everywhere, with
//! real BIND and nginx, but the agent's instructions, byte order and system calls are a MIPS' or an ARM's.
//!
//! What that emulator carries: every route, address and link message of rtnetlink, also for the other byte order;
//! signals, timers, the clock. What it does not: netfilter's netlink, so that changes of the packet filter by others
//! are not seen and connections not cut; the port mappings are proven on the emulated machines (`machine`).

use crate::build::targets::{self, Target};
use crate::lab::scenarios::Scenario;
use crate::lab::web::{Certificate, Face, Mood, Web, CACERT};
use crate::lab::*;
use crate::machine;
use anyhow::{ensure, Context, Result};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All of it.
pub const EMULATED: Scenario = Scenario {
    name: "emulated",
    about: "each processor's program under qemu: check, a timer, TLS 1.2 and 1.3 by RSA and ECDSA, TSIG, rtnetlink",
    needs: &["qemu-mips-static", "named", "nginx", "openssl"],
    limit: Duration::from_secs(600),
    slow: true,
    run,
};

/// The environment names the processors, parted by commas, or `all` of them; else these are run, and in CI all.
const WANTED: &str = "PORCHLIGHT_PROCESSORS";
const USUAL: [&str; 4] = ["mips_24kc", "mipsel_24kc", "arm_cortex-a7_neon-vfpv4", "x86_64"];
/// The services: host, the TLS that it speaks, and whether its key is of RSA.
const SERVICES: [(&str, &str, bool); 4] = [
    ("tls12-rsa", "TLSv1.2", true),
    ("tls12-ecdsa", "TLSv1.2", false),
    ("tls13-rsa", "TLSv1.3", true),
    ("tls13-ecdsa", "TLSv1.3", false),
];
/// What each of them wants to hear.
const TOKEN: &str = "emulated-token";
/// For an emulated processor on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first wait of a back-off is between 4 and 5 s.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(3900), Duration::from_secs(8));

/// The processors that are wanted.
///
/// # Errors
/// When one of them is not known.
fn wanted() -> Result<Vec<&'static Target>> {
    let given = std::env::var(WANTED).unwrap_or_default();
    let names: Vec<&str> = match given.as_str() {
        "" if std::env::var("CI").is_ok_and(|value| value == "true") => {
            return Ok(targets::TARGETS.iter().collect())
        }
        "" => USUAL.to_vec(),
        "all" => return Ok(targets::TARGETS.iter().collect()),
        list => list.split(',').collect(),
    };
    names.iter().map(|name| targets::find(name).with_context(|| format!("no processor {name}"))).collect()
}

/// Builds the programs, before the scenario is sealed off.
///
/// # Errors
/// When one cannot be built.
pub fn prepare() -> Result<()> {
    wanted()?.iter().try_for_each(|target| machine::build_program(target.name()))
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let mut summary = Summary::default();
    let named = Named::start(lab, Software::Bind)?;
    let faces = SERVICES.iter().zip(81..).map(|((name, tls, _), last)| Face {
        host: host(name),
        addr: Ipv4Addr::new(198, 51, 100, last),
        tls,
        authorization: format!("Bearer {TOKEN}"),
    });
    let web = Web::start(lab, ZONE, &faces.collect::<Vec<_>>())?;
    for (name, _, rsa) in SERVICES {
        match rsa {
            true => web.set_rsa_certificate(&host(name), Certificate::Today)?,
            false => web.set_certificate(&host(name), Certificate::Today)?,
        }
    }
    lab.wan_device()?;
    lab.write_config(&config(lab))?;
    // Each step has an address that no step before it had.
    let mut addrs = (10..250).map(|last| Ipv4Addr::new(203, 0, 113, last));
    for target in wanted()? {
        lab.program = wrapper(target)?;
        let _ = fs::remove_dir_all(lab.root.join("var/run/porchlight"));
        let mut next = || addrs.next().context("no address is left");
        let room = Room { lab, web: &web, named: &named };
        let line = room.story([next()?, next()?, next()?]);
        summary.0.push(format!("{}: {}", target.name(), line.with_context(|| target.name())?));
    }
    summary.0.push("not carried by the emulator: netfilter's netlink (see the machines)".into());
    Ok(summary)
}

/// What stands around the program.
struct Room<'a> {
    lab: &'a Lab,
    web: &'a Web,
    named: &'a Named,
}

impl Room<'_> {
    fn story(&self, [first, second, third]: [Ipv4Addr; 3]) -> Result<String> {
        let start = Instant::now();
        self.lab.verb(&["check"])?.success()?;
        let checked = start.elapsed();
        self.lab.wan_readdress4(first)?;
        let (updates, mut agent) = (self.named.updates().len(), self.lab.start_agent()?);
        let up = Instant::now();
        let at_first = self.wait_everywhere(first, &SERVICES, up)?;
        self.lab.wan_readdress4(second)?;
        let changed = Instant::now();
        let by_netlink = self.wait_everywhere(second, &SERVICES, changed)?;
        let told = self.named.updates().len() - updates;
        ensure!(told == 2, "{told} updates for two addresses");
        let by_timer = self.back_off(third)?;
        let status = agent.stop(PATIENCE)?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(format!(
            "check {} ms; TLS 1.2 and 1.3, RSA and ECDSA, and TSIG: {} ms; by rtnetlink {} ms; by a timer {:.1} s",
            checked.as_millis(),
            at_first.as_millis(),
            by_netlink.as_millis(),
            by_timer.as_secs_f64()
        ))
    }

    /// Waits until BIND and these services have the address; how long after `since`.
    fn wait_everywhere(
        &self,
        addr: Ipv4Addr,
        services: &[(&str, &str, bool)],
        since: Instant,
    ) -> Result<Duration> {
        self.lab.wait_named(addr.into(), PATIENCE)?;
        for (name, ..) in services {
            self.wait_service(name, addr)?;
        }
        Ok(since.elapsed())
    }

    fn wait_service(&self, name: &str, addr: Ipv4Addr) -> Result<Instant> {
        let host = host(name);
        until(&format!("{host} has {addr}"), PATIENCE, || {
            (self.web.address(&host, &domain(name)) == Some(addr.into())).then(Instant::now)
        })
        .with_context(|| format!("it saw {:?}", self.web.seen(&host)))
    }

    /// One service fails once: nothing but a timer makes the agent try again.
    fn back_off(&self, addr: Ipv4Addr) -> Result<Duration> {
        let ((failing, ..), others) = SERVICES.split_first().context("no service")?;
        let before = self.web.seen(&host(failing)).len();
        self.web.set_mood(&host(failing), Mood::Say(500, "", "oops"));
        self.lab.wan_readdress4(addr)?;
        let failed = until("the service was asked and failed", PATIENCE, || {
            self.web.seen(&host(failing)).get(before).map(|seen| seen.at)
        })?;
        self.wait_everywhere(addr, others, failed)?;
        self.web.set_mood(&host(failing), Mood::Well);
        let waited = self.wait_service(failing, addr)? - failed;
        ensure!(BACK_OFF.0 <= waited && waited <= BACK_OFF.1, "tried again after {} ms", waited.as_millis());
        Ok(waited)
    }
}

fn host(name: &str) -> String {
    format!("{name}.example.net")
}

fn domain(name: &str) -> String {
    format!("{name}.{ZONE}")
}

/// A program that stands for the agent's: qemu with it, or it alone where this machine is of its kind.
fn wrapper(target: &Target) -> Result<PathBuf> {
    let program = machine::program(target.name());
    if target.name() == std::env::consts::ARCH {
        return Ok(program);
    }
    let script = Path::new(seal::DIR).join(format!("porchlight-{}", target.name()));
    let (qemu, cpu, program) = (target.qemu, target.qemu_cpu, program.display());
    fs::write(&script, format!("#!/bin/sh\nexec {qemu}-static -cpu {cpu} '{program}' \"$@\"\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// The lab's configuration without the port mapping, and a record at each service.
fn config(lab: &Lab) -> String {
    let usual = lab.config();
    let (head, _) = usual.split_once("config camera").unwrap_or((&usual, ""));
    let global =
        format!("\toption mapping_backend 'none'\n\toption log_level 'debug'\n\toption cacert '{CACERT}'\n");
    let mut text = head.replacen("\toption mapping_backend 'nft'\n", &global, 1).replace("'any'", "'ipv4'");
    for (name, ..) in SERVICES {
        text += &format!(
            "config record '{}'\n\toption provider 'cloudflare'\n\toption url 'https://{}/client/v4'\n\
             \toption token '{TOKEN}'\n\tlist domain '{}'\n\toption family 'ipv4'\n\n",
            name.replace('-', "_"),
            host(name),
            domain(name)
        );
    }
    text
}
