//! What an owner reads at 2 a.m.: the first line of `status` and its exit code, with one link broken at a time; the
//! screen that follows; and the metrics, by Prometheus' own reader.

use super::Scenario;
use crate::lab::tools::PROMETHEUS_PARSER;
use crate::lab::*;
use anyhow::{bail, ensure, Result};
use domain::base::iana::Rcode;
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

/// The camera.
const CAM: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The router's later addresses.
const LATER: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 77), Ipv4Addr::new(203, 0, 113, 78)];
/// For what takes no more than a question or a packet.
const LIMIT: Duration = Duration::from_secs(6);
/// A camera that is silent is asked for so long, and one that was open is asked twice, with pauses.
const LONG: Duration = Duration::from_secs(20);
/// What the first line is when nothing is wrong.
const WELL: &str = "Camera front can be reached at cam.example.com:8554.";
/// Reads metrics on standard input, and prints each sample in one form, whatever the text's is.
const READER: &str = "import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ('gauge', 'counter'), family
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), sample.value)
";

/// The verb `status`.
pub const STATUS: Scenario = Scenario {
    name: "status",
    about: "status: its first line and exit code with each link broken, --watch, a terminal, metrics",
    needs: &[PROMETHEUS_PARSER, "script"],
    limit: Duration::from_secs(150),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.look = probe::rtsp;
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAM)?;
    let camera = RtspCamera::start(&host.ns, 554, "front")?;
    lab.write_leases(&[host.lease(CAM)])?;
    lab.write_config(&lab.config().replace("\toption allow_open '1'\n", "\toption probe 'rtsp'\n"))?;
    let site = Site { lab, dns, host, camera };
    let mut summary = Summary::default();
    summary.0.push(site.nobody()?);
    let mut agent = lab.start_agent()?;
    summary.0.push(site.reads("all is right", 0, WELL, LIMIT)?);
    summary.0.extend(site.links()?);
    summary.0.extend(lab.verb(&["status"])?.success()?.lines().map(|line| format!("| {line}")));
    summary.0.push(site.metrics()?);
    summary.0.push(site.terminal()?);
    summary.0.push(site.watched(&mut agent)?);
    Ok(summary)
}

struct Site<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    host: Host,
    camera: RtspCamera,
}

impl Site<'_> {
    /// Waits until the first line begins like this and the exit code is this one; the document says the same.
    fn reads(&self, what: &str, code: i32, begins: &str, limit: Duration) -> Result<String> {
        let mut last = String::new();
        let line = until(&format!("{what}: status says '{begins}' and ends with {code}"), limit, || {
            let said = self.lab.verb(&["status"]).ok()?;
            last = format!("{}: {}", said.status, said.stdout);
            let line = said.stdout.lines().next()?.to_string();
            let document = self.lab.status().inspect_err(|why| last = format!("{why:#}")).ok()?;
            let same = document["verdict"] == line && document["healthy"] == (code == 0);
            (said.status.code() == Some(code) && line.starts_with(begins) && same).then_some(line)
        });
        let line = line.with_context(|| format!("the last status: {last}"))?;
        Ok(format!("{what} ({code}): {line}"))
    }

    /// Something is broken, and mended: both are read.
    fn broken(
        &self,
        what: &str,
        begins: &str,
        limit: Duration,
        mend: impl Fn() -> Result<()>,
    ) -> Result<String> {
        let line = self.reads(what, 1, begins, limit)?;
        mend()?;
        self.reads(&format!("{what}, mended"), 0, WELL, LONG)?;
        Ok(line)
    }

    /// No agent runs.
    fn nobody(&self) -> Result<String> {
        for (form, says) in [
            (&["status"][..], ""),
            (&["status", "--json"], ""),
            (&["status", "--prometheus"], "porchlight_up 0"),
        ] {
            let said = self.lab.verb(form)?;
            let heard = said.stderr.contains("no agent is running") && said.stdout.trim_end().ends_with(says);
            let is_empty = said.stdout.is_empty() == says.is_empty();
            ensure!(
                said.status.code() == Some(3) && heard && is_empty,
                "{}: {}{}",
                said.line,
                said.stdout,
                said.stderr
            );
        }
        Ok("no agent runs (3): said on standard error, metrics say porchlight_up 0".into())
    }

    /// From the internet to the camera, one link after the other.
    fn links(&self) -> Result<Vec<String>> {
        let Site { lab, dns, host, camera } = self;
        let trigger = || lab.verb(&["trigger"]).and_then(|said| said.success()).map(drop);
        let no = |why: &str| format!("Camera front can NOT be reached: {why}");
        let mut lines = Vec::new();
        lab.router.ip("link set wan0 down")?;
        lines.push(self.broken("WAN down", &no("the line is down: wan wan has no "), LIMIT, || {
            lab.router.ip("link set wan0 up")?;
            lab.wan_readdress4(WAN4)?;
            lab.wan_readdress6(WAN6)
        })?);
        let nat = "Whether camera front can be reached is not known: 10.0.0.10 is a private address";
        self.behind([10, 0, 0, 10].into())?;
        lines.push(self.broken("NAT", nat, LIMIT, || lab.wan_readdress4(WAN4))?);
        self.behind([100, 64, 0, 10].into())?;
        let nat = no("100.64.0.10 is behind carrier-grade NAT");
        lines.push(self.broken("carrier-grade NAT", &nat, LIMIT, || lab.wan_readdress4(WAN4))?);
        dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
        lab.wan_readdress4(LATER[0])?;
        lines.push(self.broken(
            "name not right",
            &no("the name cam.example.com A is not right: "),
            LIMIT,
            || {
                dns.set_mood(Mood::Well);
                trigger()
            },
        )?);
        lab.router
            .nft("table inet strict { chain f { type filter hook forward priority 10; policy drop; }; }")?;
        lines.push(self.broken("another firewall", &no("table inet strict"), LIMIT, || {
            lab.router.nft("delete table inet strict")
        })?);
        lab.write_leases(&[host.lease(LAN4)])?;
        let refused = no("mapping front_rtsp is closed: 192.168.1.1 is the router itself");
        lines.push(self.broken("mapping refused", &refused, LIMIT, || lab.write_leases(&[host.lease(CAM)]))?);
        camera.set_password(false);
        trigger()?;
        let open = no("mapping front_rtsp is closed: the camera at 192.168.1.20:554 streams to anyone");
        lines.push(self.broken("camera open", &open, LIMIT, || {
            camera.set_password(true);
            Ok(())
        })?);
        host.unplug()?;
        trigger()?;
        lines.push(self.broken(
            "camera off",
            &no("camera front at 192.168.1.20 does not answer"),
            LONG,
            || {
                host.ns.ip("link set eth0 up")?;
                host.readdress(CAM)
            },
        )?);
        Ok(lines)
    }

    /// The WAN gets an address behind somebody's NAT.
    fn behind(&self, addr: Ipv4Addr) -> Result<()> {
        let [a, b, c, _] = addr.octets();
        self.lab.router.ip4_batch(&[
            "addr flush dev wan0",
            &format!("addr add {addr}/24 dev wan0"),
            &format!("route replace default via {a}.{b}.{c}.1 dev wan0"),
        ])
    }

    /// What Prometheus makes of these metrics.
    fn samples(&self, text: &str) -> Result<String> {
        let mut python = Command::new("/usr/bin/python3");
        process::run(python.args(["-c", READER]), Some(text), LIMIT)?.success()
    }

    /// To standard output and into a file, read by Prometheus' own client library.
    fn metrics(&self) -> Result<String> {
        let file = self.lab.root.join("tmp/porchlight.prom");
        let shown = file.to_string_lossy();
        let said = self.lab.verb(&["status", "--prometheus"])?.success()?;
        let samples = self.samples(&said)?;
        for sample in [
            "porchlight_up [] 1.0",
            "porchlight_healthy [] 1.0",
            "porchlight_clock_set [] 1.0",
            "porchlight_camera_reachable [('camera', 'front')] 1.0",
            "porchlight_camera_unreachable [('camera', 'front')] 0.0",
            "porchlight_mapping_open [('camera', 'front'), ('mapping', 'front_rtsp'), ('port', '8554')] 1.0",
            "porchlight_wan_public [('family', 'ipv4'), ('wan', 'wan')] 1.0",
        ] {
            ensure!(samples.lines().any(|line| line == sample), "no {sample} in\n{samples}");
        }
        let quiet = self.lab.verb(&["status", "--prometheus", &shown])?.success()?;
        ensure!(
            quiet.is_empty() && self.samples(&fs::read_to_string(&file)?)? == samples,
            "the file differs"
        );
        let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
        ensure!(mode == 0o644, "a collector of another user cannot read it: {mode:o}");
        ensure!(!file.with_extension("prom.new").exists(), "a half is left");
        let nowhere = self.lab.verb(&["status", "--prometheus", "/nowhere/porchlight.prom"])?;
        ensure!(
            nowhere.status.code() == Some(1) && nowhere.stderr.contains("cannot write /nowhere"),
            "{}",
            nowhere.stderr
        );
        Ok(format!(
            "metrics: {} samples read by prometheus_client, to standard output and by a file",
            samples.lines().count()
        ))
    }

    /// `status` with these arguments on a terminal, typed into like this, with this environment.
    fn on_terminal(
        &self,
        arguments: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Daemon, std::process::ChildStdin)> {
        let [program, root, config] = [&self.lab.program, &self.lab.root, &self.lab.config_file()]
            .map(|path| path.display().to_string());
        let line = format!("exec '{program}' --root '{root}' --config '{config}' status {arguments}");
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
        self.lab.router.enter(|| Daemon::converse("status", script.envs(environment.iter().copied())))
    }

    /// Colours only where they are wanted; and Ctrl-C leaves the terminal as it was, below the last screen.
    fn terminal(&self) -> Result<String> {
        let coloured = format!("\x1b[1;32m{WELL}\x1b[0m");
        for (environment, is_coloured) in
            [(&[][..], true), (&[("NO_COLOR", "1")], false), (&[("TERM", "dumb")], false)]
        {
            let (mut status, _input) = self.on_terminal("", environment)?;
            ensure!(status.wait(LIMIT)?.success(), "{}", status.tail(20));
            let start = Instant::now() - LIMIT;
            status.wait_line(start, if is_coloured { &coloured } else { WELL }, LIMIT)?;
            let said: String = status.lines().iter().map(|line| line.text.clone()).collect();
            ensure!(said.contains('\x1b') == is_coloured, "{environment:?}: {said}");
        }
        let (mut watch, mut input) = self.on_terminal("--watch", &[])?;
        watch.wait_line(Instant::now() - LIMIT, &coloured, LIMIT)?;
        input.write_all(b"\x03")?;
        let ended = watch.wait(LIMIT)?;
        let said = until("what Ctrl-C shows is read", LIMIT, || {
            let said: Vec<String> = watch.lines().into_iter().map(|line| line.text).collect();
            said.last().is_some_and(|last| last.starts_with("^C")).then_some(said)
        })?;
        let [.., last, typed] = said.as_slice() else { bail!("nothing was shown") };
        ensure!(
            last.ends_with("\x1b[J\r") && typed.trim_end() == "^C",
            "the last lines are {last:?} and {typed:?}"
        );
        ensure!(!said.concat().contains("\x1b[?"), "a mode of the terminal was switched: {said:?}");
        Ok(format!("on a terminal: colours, none with NO_COLOR or TERM=dumb; Ctrl-C ends --watch ({ended}), nothing left switched"))
    }

    /// `--watch` follows: a new address, an agent that is started again.
    fn watched(&self, agent: &mut Agent) -> Result<String> {
        let mut watch =
            self.lab.router.spawn("status --watch", self.lab.command().args(["status", "--watch"]))?;
        let mut start = Instant::now();
        watch.wait_line(start, WELL, LIMIT)?;
        start = Instant::now();
        self.lab.wan_readdress4(LATER[1])?;
        let seen = watch.wait_line(start, &format!(") is {}", LATER[1]), SECOND)?;
        let took = seen.at - start;
        start = Instant::now();
        agent.stop(LIMIT)?;
        watch.wait_line(start, "no agent is running", LIMIT)?;
        *agent = self.lab.start_agent()?;
        watch.wait_line(start, WELL, LIMIT)?;
        let quiet = watch.lines().len();
        watch.signal(Signal::SIGINT)?;
        let ended = watch.wait(LIMIT)?;
        ensure!(ended.signal() == Some(Signal::SIGINT as i32), "it ended with {ended}");
        Ok(format!(
            "--watch: a new address is shown after {} ms; it waits for a stopped agent; {quiet} lines",
            took.as_millis()
        ))
    }
}
