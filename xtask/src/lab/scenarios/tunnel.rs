//! In pure carrier-grade NAT: nothing private is published, it is said once, and tunnels carry the camera: by bore's own
//! server and by Debian's OpenSSH, with either SSH client. What fails is told, and heals; neighbours do not feel it.

use super::Scenario;
use crate::lab::tunnels::{self, Sshd};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;

/// Our address in the provider's network, and the provider's there.
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 10);
const CARRIER: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);
/// Where bore's server is, and OpenSSH's.
const BORE4: Ipv4Addr = WEB4;
const SSH4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 81);
/// The cameras, and where one moves.
const FRONT4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
const MOVED4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 29);
const BACK4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 21);
const BACK_MAC: &str = "02:00:00:00:00:21";
/// The server's ports of the tunnels that are always used.
const BY_SSH: u16 = 18554;
const BY_BORE: u16 = 18555;
/// bore's secret.
const SECRET_OF_BORE: &str = "lab-secret-of-bore";
/// After a failure the first try comes within 5 s; under load it takes longer.
const HEAL_LIMIT: Duration = Duration::from_secs(20);
/// A line is given up by us after 15 s of silence.
const SILENCE_LIMIT: Duration = Duration::from_secs(25);
/// Without a public address for a minute a tunnel is used.
const NEEDED_LIMIT: Duration = Duration::from_secs(75);
/// For what follows at once.
const LIMIT: Duration = Duration::from_secs(5);

/// With bore-cli, sshd, and both SSH clients.
pub const TUNNEL: Scenario = Scenario {
    name: "tunnel",
    about: "carrier-grade NAT: bore and ssh carry the camera, the name follows, failures are told and heal",
    needs: &["busybox", "ssh", "sshd", "ssh-keygen", "dbclient", "dropbearconvert"],
    limit: Duration::from_secs(240),
    slow: true,
    run,
};

/// What of the internet a carrier's customers see: they get out, and nobody gets in.
const NAT: &str = "
table ip carrier {
	chain out {
		type filter hook output priority filter; policy accept;
		ct state new ip daddr 100.64.0.0/10 drop
	}
}
";
/// The line is dead, and neither side hears of it.
const CUT: &str = "
table ip cut {
	chain in { type filter hook input priority -10; policy accept; iifname \"isp0\" drop; }
	chain out { type filter hook output priority -10; policy accept; oifname \"isp0\" drop; }
}
";

struct Stage<'a> {
    lab: &'a Lab,
    agent: Agent,
    bore: Daemon,
    sshd: Sshd,
    front: Host,
    back: Host,
    /// The camera behind, while it works.
    camera: Option<Camera>,
    /// Where `ssh` is what it is told to be.
    bin: PathBuf,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    if fs::read_to_string("/proc/self/uid_map")?.split_whitespace().nth(2) == Some("1") {
        return skip("sshd locks itself in as another user, for which this must be run as root");
    }
    let dns = lab.nameserver()?;
    let begun = Instant::now();
    let (mut stage, _front) = Stage::new(lab)?;
    let mut said = vec![stage.first(begun)?];
    said.push(stage.server_killed()?);
    said.push(stage.wrong_secret()?);
    said.push(stage.dead_line()?);
    said.push(stage.moves()?);
    said.push(stage.other_client()?);
    said.push(stage.natmap()?);
    said.push(stage.needed(&dns, begun)?);
    said.push(stage.neighbours()?);
    said.push(stage.killed()?);
    Ok(Summary(said))
}

impl<'a> Stage<'a> {
    fn new(lab: &'a Lab) -> Result<(Stage<'a>, Camera)> {
        lab.wan_device()?;
        lab.internet.nft(NAT)?;
        lab.internet.ip(&format!("addr add {CARRIER}/24 dev isp0"))?;
        lab.router.ip_batch(&[
            &format!("addr add {SHARED}/24 dev wan0"),
            &format!("route replace default via {CARRIER} dev wan0"),
        ])?;
        let front = lab.lan_host("front", CAMERA_MAC, FRONT4)?;
        let back = lab.lan_host("back", BACK_MAC, BACK4)?;
        let camera = Camera::start(&front.ns, 554, "front")?;
        let other = Camera::start(&back.ns, 554, "back")?;
        lab.write_leases(&[front.lease(FRONT4), back.lease(BACK4)])?;
        let keys = Path::new(seal::DIR).join("ssh");
        let sshd = Sshd::start(lab, &keys, SSH4, BY_SSH)?;
        let bore = tunnels::bore(lab, SECRET_OF_BORE)?;
        fs::write(lab.router.etc("hosts"), format!("127.0.0.1 localhost\n{BORE4} vps.test\n"))?;
        fs::write(lab.root.join("etc/porchlight/bore.secret"), SECRET_OF_BORE)?;
        lab.write_config(&config(lab, &sshd.host_key()?))?;
        let bin = Path::new(seal::DIR).join("bin");
        fs::create_dir_all(&bin)?;
        let stage =
            Stage { agent: start(lab, &bin)?, lab, bore, sshd, front, back, camera: Some(other), bin };
        stage.ssh_is("ssh", "client")?;
        Ok((stage, camera))
    }

    /// Has the agent find this program as `ssh`, with the key in its own form.
    fn ssh_is(&self, program: &str, key: &str) -> Result<()> {
        let file = tools::find(program).with_context(|| format!("no {program}"))?;
        let _ = fs::remove_file(self.bin.join("ssh"));
        symlink(file, self.bin.join("ssh"))?;
        let to = self.lab.root.join("etc/porchlight/tunnel_key");
        fs::copy(Path::new(seal::DIR).join("ssh").join(key), to).map(drop).context("the key")
    }

    /// What `status` says of a mapping by a tunnel.
    fn line(&self, tunnel: &str, mapping: &str) -> Result<serde_json::Value> {
        let status = self.lab.status()?;
        let tunnels = status["tunnels"].as_array().cloned().unwrap_or_default();
        let tunnel = tunnels.into_iter().find(|found| found["name"] == tunnel).context("no such tunnel")?;
        let lines = tunnel["mappings"].as_array().cloned().unwrap_or_default();
        lines.into_iter().find(|found| found["mapping"] == mapping).context("no such mapping")
    }

    fn wait_line(
        &self,
        tunnel: &str,
        mapping: &str,
        state: &str,
        limit: Duration,
    ) -> Result<serde_json::Value> {
        let mut last = serde_json::Value::Null;
        until(&format!("tunnel {tunnel}: {mapping} is {state}"), limit, || {
            last = self.line(tunnel, mapping).ok()?;
            (last["state"] == state).then(|| last.clone())
        })
        .with_context(|| format!("the last: {last}"))
    }

    /// Waits until a viewer is greeted there by this camera.
    fn wait_greeted(&self, camera: &str, at: (Ipv4Addr, u16), limit: Duration) -> Result<Instant> {
        let mut last = String::new();
        until(&format!("a viewer reaches {camera} at {}:{}", at.0, at.1), limit, || {
            last = probe::banner(&self.lab.internet, at.into(), SECOND).unwrap_or_else(|e| format!("{e:#}"));
            (last == camera).then(Instant::now)
        })
        .with_context(|| format!("the last attempt: {last}"))
    }

    /// A viewer who stays.
    fn viewer(&self, at: (Ipv4Addr, u16)) -> Result<Viewer> {
        let stream = self.lab.internet.enter(|| {
            let stream = TcpStream::connect(at)?;
            stream.set_read_timeout(Some(LIMIT))?;
            Ok(stream)
        })?;
        let mut viewer = Viewer(stream);
        viewer.hear(6).context("a stream begins with the greeting")?;
        Ok(viewer)
    }

    /// Both that are always used carry; of the address it is said what it is, and that there are tunnels.
    fn first(&self, begun: Instant) -> Result<String> {
        let by_bore = self.wait_greeted("back", (BORE4, BY_BORE), HEAL_LIMIT)?;
        let by_ssh = self.wait_greeted("front", (SSH4, BY_SSH), HEAL_LIMIT)?;
        self.wait_line("side", "front_rtsp", "carries", LIMIT)?;
        let said = self.agent.wait_line(begun, "carrier-grade NAT", LIMIT)?;
        ensure!(said.text.contains("use a tunnel (config tunnel)"), "{}", said.text);
        let out = self.line("out", "front_rtsp")?;
        ensure!(out["state"] == "idle", "used at once: {out}");
        let text = self.lab.verb(&["status"])?.stdout;
        ensure!(text.contains(&format!("front_rtsp is reached at {SSH4} port {BY_SSH}")), "{text}");
        ensure!(text.contains("out (bore): used in "), "{text}");
        let ms = |at: Instant| at.duration_since(begun).as_millis();
        Ok(format!(
            "in carrier-grade NAT: reached by bore after {} ms, by OpenSSH after {} ms",
            ms(by_bore),
            ms(by_ssh)
        ))
    }

    /// bore's server is killed and comes back.
    fn server_killed(&mut self) -> Result<String> {
        let since = Instant::now();
        self.bore.kill();
        let line = self.wait_line("spare", "back_rtsp", "failing", LIMIT)?;
        ensure!(line["failure"]["next_try_s"].is_number(), "no next try: {line}");
        self.agent.wait_line(since, "tunnel spare: mapping back_rtsp: vps.test port 7835", LIMIT)?;
        self.bore = tunnels::bore(self.lab, SECRET_OF_BORE)?;
        let start = Instant::now();
        let healed = self.wait_greeted("back", (BORE4, BY_BORE), HEAL_LIMIT)?;
        Ok(format!(
            "bore's server killed: told, and reached again {:.1} s after it is back",
            passed(start, healed)
        ))
    }

    /// The secret is wrong: said what to mend, and a person who mended it need not wait.
    fn wrong_secret(&mut self) -> Result<String> {
        self.bore.kill();
        self.bore = tunnels::bore(self.lab, "another-secret")?;
        let mut line = serde_json::Value::Null;
        until("the secret is refused", HEAL_LIMIT, || {
            line = self.line("spare", "back_rtsp").ok()?;
            line["failure"]["text"].as_str()?.contains("it does not take option token").then_some(())
        })
        .with_context(|| format!("the last: {line}"))?;
        ensure!(!self.agent.tail(400).contains(SECRET_OF_BORE), "the secret is in the log");
        self.bore.kill();
        self.bore = tunnels::bore(self.lab, SECRET_OF_BORE)?;
        self.lab.verb(&["trigger"])?;
        self.wait_greeted("back", (BORE4, BY_BORE), LIMIT)?;
        Ok(format!("a wrong secret: {}", line["failure"]["text"].as_str().unwrap_or_default()))
    }

    /// The line is dead without a word.
    fn dead_line(&self) -> Result<String> {
        self.lab.internet.nft(CUT)?;
        let start = Instant::now();
        let line = self.wait_line("spare", "back_rtsp", "failing", SILENCE_LIMIT)?;
        let noticed = passed(start, Instant::now());
        ensure!(
            line["failure"]["text"].as_str().is_some_and(|text| text.contains("says nothing more")),
            "{line}"
        );
        self.lab.internet.nft("delete table ip cut")?;
        let start = Instant::now();
        let healed = self.wait_greeted("back", (BORE4, BY_BORE), SILENCE_LIMIT)?;
        self.wait_greeted("front", (SSH4, BY_SSH), SILENCE_LIMIT)?;
        Ok(format!(
            "a dead line: noticed after {noticed:.1} s, reached again {:.1} s after it is back",
            passed(start, healed)
        ))
    }

    /// The camera moves: what ran ends, and new ones reach it, by the same client.
    fn moves(&self) -> Result<String> {
        let child = self.child()?;
        let mut viewer = self.viewer((SSH4, BY_SSH))?;
        viewer.echo(b"still here")?;
        self.front.readdress(MOVED4)?;
        self.lab.write_leases(&[self.front.lease(MOVED4), self.back.lease(BACK4)])?;
        let start = Instant::now();
        viewer.wait_end()?;
        let cut = passed(start, Instant::now());
        let reached = self.wait_greeted("front", (SSH4, BY_SSH), LIMIT)?;
        ensure!(self.child()? == child, "another client runs");
        Ok(format!(
            "the camera moves: its stream is cut, seen after {:.0} ms, a new one gets in after {:.0} ms",
            cut * 1000.0,
            passed(start, reached) * 1000.0
        ))
    }

    /// The number of the client that runs.
    fn child(&self) -> Result<String> {
        let pids = self.lab.router.sh(&format!("pgrep -x -P {} ssh", self.agent.pid()))?;
        Ok(pids.trim().to_string())
    }

    /// dropbear's client in place of OpenSSH's; and a server that is another one.
    fn other_client(&mut self) -> Result<String> {
        self.ssh_is("dbclient", "client.dropbear")?;
        let since = Instant::now();
        self.sshd.kill(self.lab)?;
        self.wait_line("side", "front_rtsp", "failing", LIMIT)?;
        self.sshd.restart(self.lab)?;
        self.lab.verb(&["trigger"])?;
        self.wait_greeted("front", (SSH4, BY_SSH), HEAL_LIMIT)?;
        let program = self.lab.router.sh(&format!("readlink /proc/{}/exe", self.child()?))?;
        ensure!(program.trim().ends_with("dbclient"), "it is {program}");
        self.wait_line("side", "front_rtsp", "carries", HEAL_LIMIT)?;
        self.agent.wait_line(since, &format!("is reached at {SSH4} port {BY_SSH}"), LIMIT)?;
        // A stranger answers there.
        let config = fs::read_to_string(self.lab.config_file())?;
        let stranger = fs::read_to_string(Path::new(seal::DIR).join("ssh/client.pub"))?;
        let other = config.replace(&self.sshd.host_key()?, stranger.trim());
        let mut words = Vec::new();
        for (program, key) in [("dbclient", "client.dropbear"), ("ssh", "client")] {
            self.ssh_is(program, key)?;
            self.lab.write_config(&config)?;
            self.agent.signal(Signal::SIGHUP)?;
            self.wait_line("side", "front_rtsp", "carries", HEAL_LIMIT)?;
            self.lab.write_config(&other)?;
            self.agent.signal(Signal::SIGHUP)?;
            let line = self.wait_line("side", "front_rtsp", "failing", HEAL_LIMIT)?;
            let text = line["failure"]["text"].as_str().unwrap_or_default().to_owned();
            ensure!(text.contains("none of list host_key"), "{program}: {text}");
            words.push(program);
        }
        self.lab.write_config(&config)?;
        self.agent.signal(Signal::SIGHUP)?;
        self.wait_greeted("front", (SSH4, BY_SSH), HEAL_LIMIT)?;
        Ok(format!("dropbear's client carries too; {} let no stranger be the server", words.join(" and ")))
    }

    /// natmap's notify script says where a hole is; it counts as long as that natmap runs.
    fn natmap(&self) -> Result<String> {
        // What the script writes there lies below the agent's root.
        symlink("/run/natmap", self.lab.root.join("var/run/natmap"))?;
        let script = tools::workspace().join("openwrt/files/lib/porchlight/natmap");
        let text = format!("{} 198.51.100.90 31000 x {PORT} tcp; sleep 600", script.display());
        let mut natmap =
            self.lab.router.spawn("natmap", Command::new("busybox").args(["ash", "-c", &text]))?;
        until("natmap's file is there", LIMIT, || {
            Path::new("/run/natmap").join(format!("{}.json", natmap.pid())).exists().then_some(())
        })?;
        self.lab.verb(&["trigger", "tunnel"])?.success()?;
        let line = self.wait_line("hole", "front_rtsp", "carries", LIMIT)?;
        ensure!(line["port"] == 31000, "{line}");
        natmap.kill();
        self.lab.verb(&["trigger", "tunnel"])?.success()?;
        self.wait_line("hole", "front_rtsp", "idle", LIMIT)?;
        Ok("natmap's hole is shown by its notify script, as long as it runs".into())
    }

    /// After a minute the tunnel is used for which that is needed, and the name follows it; nothing was published before.
    fn needed(&self, dns: &Nameserver, begun: Instant) -> Result<String> {
        let named = self.lab.wait_named(BORE4.into(), NEEDED_LIMIT)?;
        let reached = self.wait_greeted("front", (BORE4, PORT), HEAL_LIMIT)?;
        self.wait_greeted("back", (BORE4, PORT + 1), HEAL_LIMIT)?;
        ensure!(dns.count() == (1, 1), "published {:?}", dns.updates());
        ensure!(passed(begun, named) >= 60.0, "too early");
        let told =
            self.agent.lines().iter().filter(|line| line.text.contains("many homes share one")).count();
        ensure!(told == 1, "the sentence was said {told} times");
        Ok(format!(
            "{:.1} s after the start the name is the server's, {:.1} s after it a viewer gets in; nothing else was published",
            passed(begun, named),
            passed(begun, reached)
        ))
    }

    /// A stream does not feel that another camera dies, nor that another tunnel does.
    fn neighbours(&mut self) -> Result<String> {
        let mut viewer = self.viewer((BORE4, PORT))?;
        self.camera = None;
        ensure!(self.viewer((BORE4, PORT + 1)).is_err(), "the dead camera answers");
        viewer.echo(b"a neighbour died")?;
        self.sshd.kill(self.lab)?;
        self.wait_line("side", "front_rtsp", "failing", LIMIT)?;
        viewer.echo(b"another tunnel failed")?;
        self.camera = Some(Camera::start(&self.back.ns, 554, "back")?);
        self.wait_greeted("back", (BORE4, PORT + 1), LIMIT)?;
        viewer.echo(b"and one came back")?;
        self.sshd.restart(self.lab)?;
        self.lab.verb(&["trigger"])?;
        self.wait_greeted("front", (SSH4, BY_SSH), HEAL_LIMIT)?;
        Ok("a stream outlives another camera's death and another tunnel's".into())
    }

    /// However the agent ends, no client outlives it; started again, the name stays where it is.
    fn killed(&mut self) -> Result<String> {
        let child = self.child()?;
        self.agent.kill();
        until("the client ends with the agent", LIMIT, || (!runs(&child)).then_some(()))?;
        self.agent = start(self.lab, &self.bin)?;
        // The server has yet to notice that the last one is gone.
        self.wait_greeted("front", (BORE4, PORT), HEAL_LIMIT)?;
        self.lab.wait_named(BORE4.into(), LIMIT)?;
        self.wait_greeted("front", (SSH4, BY_SSH), HEAL_LIMIT)?;
        let child = self.child()?;
        self.agent.stop(LIMIT)?;
        ensure!(!runs(&child), "the client outlives a clean stop");
        Ok("killed or stopped, the agent leaves no client; the next one uses the tunnel at once".into())
    }
}

fn start(lab: &Lab, bin: &Path) -> Result<Agent> {
    let path = std::env::var("PATH").unwrap_or_default();
    lab.start_agent_as(lab.command().arg("run").env("PATH", format!("{}:{path}", bin.display())))
}

/// Whether a process of this number is there and is not only waited for.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|text| !text.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

fn passed(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

fn config(lab: &Lab, host_key: &str) -> String {
    let text = lab
        .config()
        .replace("\toption family 'any'\n", "\toption family 'ipv4'\n\toption follow_tunnel '1'\n");
    let back = PORT + 1;
    format!(
        "{text}
config camera 'back'
\tlist mac '{BACK_MAC}'

config mapping 'back_rtsp'
\toption camera 'back'
\toption src_dport '{back}'
\toption dest_port '554'
\toption allow_open '1'

config tunnel 'out'
\toption kind 'bore'
\toption server 'vps.test'
\toption token_file '/etc/porchlight/bore.secret'
\tlist mapping 'front_rtsp'
\tlist mapping 'back_rtsp'

config tunnel 'spare'
\toption kind 'bore'
\toption server 'vps.test'
\toption token_file '/etc/porchlight/bore.secret'
\toption when 'always'
\tlist mapping 'back_rtsp'
\tlist remote_port '{BY_BORE}'

config tunnel 'side'
\toption kind 'ssh'
\toption server '{SSH4}'
\toption username 'root'
\toption key_file '/etc/porchlight/tunnel_key'
\tlist host_key '{host_key}'
\toption when 'always'
\tlist mapping 'front_rtsp'
\toption remote_port '{BY_SSH}'

config tunnel 'hole'
\toption kind 'script'
\toption when 'always'
\tlist mapping 'front_rtsp'
"
    )
}

/// Somebody who looks at a camera for longer.
struct Viewer(TcpStream);

impl Viewer {
    fn hear(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).context("the stream ended")?;
        Ok(bytes)
    }

    /// What is said comes back.
    fn echo(&mut self, text: &[u8]) -> Result<()> {
        self.0.write_all(text)?;
        ensure!(self.hear(text.len())? == text, "something else came back");
        Ok(())
    }

    fn wait_end(&mut self) -> Result<()> {
        match self.0.read(&mut [0; 16]) {
            Ok(0) => Ok(()),
            Ok(_) => anyhow::bail!("the stream goes on"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error).context("the stream does not end"),
        }
    }
}
