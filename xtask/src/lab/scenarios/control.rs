//! Who may speak to the agent, and what it does when it is told to: the socket, the signals, the verbs.

mod secrets;
mod verbs;

pub use secrets::secrets;
pub use verbs::verbs;

use crate::lab::process::Finished;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the agent does by itself, it does within this time.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// Clients at a time.
const CROWD: usize = 50;
/// A client that says nothing is sent away within this time, even if as many as [`CROWD`] came at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// The camera's place.
const PLACE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// Nobody's user id.
const NOBODY: u32 = 65534;
/// A second name in the zone.
const OTHER: &str = "second.example.com";

/// A router with a camera, ready for an agent.
struct Place<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    host: Host,
    _front: Camera,
    next: u8,
}

impl<'a> Place<'a> {
    fn make(lab: &'a Lab) -> Result<Place<'a>> {
        let dns = lab.nameserver()?;
        lab.wan_up()?;
        lab.wait_dad(WAN6)?;
        let camera = lab.lan_host("camera", CAMERA_MAC, PLACE)?;
        lab.write_leases(&[camera.lease(PLACE)])?;
        let front = Camera::start(&camera.ns, 554, "front")?;
        lab.write_config(&lab.config())?;
        Ok(Place { lab, dns, host: camera, _front: front, next: 10 })
    }

    fn addr(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.next)
    }

    /// The WAN gets another address; what is awaited is left to the caller.
    fn readdress(&mut self) -> Result<Ipv4Addr> {
        self.next += 1;
        self.lab.wan_readdress4(self.addr())?;
        Ok(self.addr())
    }

    /// The WAN gets another address, and the camera is reached there.
    fn follows(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let addr = self.readdress()?;
        let seen = self.lab.wait_reachable("front", addr.into(), SECOND)?;
        Ok(seen.reached.duration_since(start))
    }

    fn start(&self) -> Result<Agent> {
        let agent = self.lab.start_agent()?;
        self.lab.wait_reachable("front", self.addr().into(), DONE_WITHIN)?;
        self.content()?;
        Ok(agent)
    }

    /// Waits until the agent says that all is well.
    fn content(&self) -> Result<()> {
        until("the agent is content", DONE_WITHIN, || {
            (self.lab.status().ok()?["healthy"] == true).then_some(())
        })
    }

    fn socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    fn run_dir(&self) -> PathBuf {
        self.lab.root.join("var/run/porchlight")
    }

    /// What is published by this many updates more: all of them for what they changed.
    fn updates_since(&self, before: usize) -> Vec<nameserver::Update> {
        self.dns.updates().split_off(before)
    }

    /// Whether our table is there at all.
    fn has_table(&self) -> bool {
        self.lab.router.sh("nft list table inet porchlight").is_ok()
    }

    /// Whether our table lets anybody in.
    fn is_mapped(&self) -> bool {
        self.lab.router.sh("nft list table inet porchlight").is_ok_and(|text| text.contains(" dnat "))
    }

    /// A verb, which must end with this code; what it says.
    fn verb(&self, args: &[&str], code: i32) -> Result<String> {
        let Finished { line, status, stdout, stderr } = self.lab.verb(args)?;
        ensure!(status.code() == Some(code), "`{line}`: {status}, not {code}\n{stdout}{stderr}");
        Ok(stdout + &stderr)
    }

    /// A verb that fails with this code and says this.
    fn refused(&self, args: &[&str], code: i32, says: &str) -> Result<()> {
        let said = self.verb(args, code)?;
        ensure!(said.contains(says), "`{}` says: {said}", args.join(" "));
        Ok(())
    }

    /// Writes this configuration and makes the agent read it; it says this.
    fn reload(&self, agent: &Agent, text: &str, says: &str) -> Result<()> {
        self.lab.write_config(text)?;
        let start = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        agent.wait_line(start, says, DONE_WITHIN).map(drop)
    }
}

/// The socket and the signals.
pub fn control(lab: &mut Lab) -> Result<Summary> {
    let mut place = Place::make(lab)?;
    let agent = place.start()?;
    let mut lines = Vec::new();
    lines.push(private(&place)?);
    lines.push(rude_clients(&mut place, &agent)?);
    lines.push(one_instance(&mut place, agent)?);
    let agent = place.start()?;
    lines.push(reloads(&mut place, &agent)?);
    lines.push(ends(&mut place, agent)?);
    Ok(Summary(lines))
}

/// The directory is private, and beyond it the socket itself refuses other users.
fn private(place: &Place) -> Result<String> {
    let mode = |path: PathBuf| Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode() & 0o7777);
    ensure!(mode(place.run_dir())? == 0o700, "the run directory has mode {:o}", mode(place.run_dir())?);
    if as_nobody(Command::new("true")).is_err() {
        return Ok("directory 0700; other users: not tried, this user namespace has none".into());
    }
    let program = place.lab.root.join("tmp/porchlight");
    fs::copy(&place.lab.program, &program)?;
    let own = place.lab.command();
    let ask = || {
        let mut command = Command::new(&program);
        command.args(own.get_args()).arg("status");
        as_nobody(command)
    };
    let closed = ask()?;
    ensure!(closed.contains("Permission denied"), "another user at the closed directory: {closed}");
    fs::set_permissions(place.run_dir(), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o777))?;
    let opened = ask()?;
    ensure!(!opened.contains(NAME) && opened.contains("porchlight: "), "another user is answered: {opened}");
    fs::set_permissions(place.run_dir(), fs::Permissions::from_mode(0o700))?;
    Ok(format!(
        "directory 0700; another user: {}; with the directory opened: {}",
        closed.trim(),
        opened.trim()
    ))
}

/// Runs something as another user; what it says.
fn as_nobody(command: Command) -> Result<String> {
    let mut outer = Command::new("setpriv");
    let id = NOBODY.to_string();
    outer.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
    outer.arg(command.get_program()).args(command.get_args());
    let done = process::run(&mut outer, None, DONE_WITHIN)?;
    ensure!(!done.stderr.contains("setpriv:"), "{}", done.stderr);
    Ok(done.stdout + &done.stderr)
}

/// A line to the socket as it is, and the answer.
fn raw(place: &Place, line: &[u8]) -> Result<String> {
    let mut stream = UnixStream::connect(place.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // It may hang up before it has read all.
    let _ = stream.write_all(line);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Nonsense, silence and crowds; meanwhile names and mappings follow.
fn rude_clients(place: &mut Place, agent: &Agent) -> Result<String> {
    let fds = || fs::read_dir(format!("/proc/{}/fd", agent.pid())).map(Iterator::count);
    until("nobody else is connected", DONE_WITHIN, || fds().ok())?;
    let before = fds()?;
    let deep = [b"{\"verb\":".to_vec(), vec![b'['; 4000], b"\n".to_vec()].concat();
    let long = vec![b'a'; 6000];
    let lines: [(&[u8], &str); 9] = [
        (b"\n", "error"),
        (b"{}\n", "no known verb"),
        (b"null\n", "no known verb"),
        (b"{\"verb\":\"reboot\"}\n", "no known verb"),
        (b"{\"verb\":\"status\"} and more\n", "error"),
        (b"\xff\xfe\n", "error"),
        (&deep, "error"),
        (&long, "too long"),
        (b"{\"verb\":\"status\"}\n{\"verb\":\"once\"}\n", "\"healthy\""),
    ];
    for (line, says) in lines {
        let answer = raw(place, line)?;
        let shown = String::from_utf8_lossy(line.get(..40).unwrap_or(line)).into_owned();
        ensure!(
            answer.contains(says) && answer.matches('\n').count() == 1,
            "{shown:?} is answered {answer:?}"
        );
    }
    let connect = || -> Result<UnixStream> {
        let stream = UnixStream::connect(place.socket())?;
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        Ok(stream)
    };
    // Half of them say nothing; half ask and never read.
    let mut silent = (0..CROWD).map(|_| connect()).collect::<Result<Vec<_>>>()?;
    let mut deaf = (0..CROWD).map(|_| connect()).collect::<Result<Vec<_>>>()?;
    for stream in &mut deaf {
        stream.write_all(b"{\"verb\":\"status\"}\n")?;
    }
    let crowded = Instant::now();
    let followed = place.follows()?;
    for stream in &mut silent {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("a silent client is kept")?;
    }
    let gone = crowded.elapsed();
    ensure!(gone < PATIENCE * 2, "silent clients were kept for {} ms", gone.as_millis());
    drop((silent, deaf));
    let start = Instant::now();
    let asked = thread::scope(|scope| {
        let ask = || raw(place, b"{\"verb\":\"status\"}\n");
        let clients: Vec<_> = (0..CROWD).map(|_| scope.spawn(ask)).collect();
        clients
            .into_iter()
            .map(|client| client.join().is_ok_and(|answer| answer.is_ok_and(|text| text.contains("healthy"))))
            .filter(|well| *well)
            .count()
    });
    ensure!(asked == CROWD, "{asked} of {CROWD} clients at once were answered");
    let took = start.elapsed();
    until("all descriptors are given back", DONE_WITHIN, || (fds().ok()? <= before).then_some(()))?;
    Ok(format!(
        "{CROWD} silent clients and {CROWD} that never read: the camera is reached {} ms after a change, the last \
         silent one is sent away after {} ms; {CROWD} questions at once are answered in {} ms",
        followed.as_millis(),
        gone.as_millis(),
        took.as_millis()
    ))
}

/// A second instance is refused; a killed one's socket is no obstacle.
fn one_instance(place: &mut Place, mut agent: Agent) -> Result<String> {
    place.refused(&["run"], 1, "another instance is running")?;
    place.refused(&["unmap"], 1, "an agent is running")?;
    place.follows()?;
    agent.kill();
    ensure!(place.socket().exists(), "a killed agent took its socket away");
    place.refused(&["status"], 3, "no agent is running")?;
    place.refused(&["trigger"], 1, "no agent is running")?;
    let again = place.start()?;
    drop(again);
    place.verb(&["unmap"], 0)?;
    ensure!(!place.has_table(), "unmap leaves the table");
    place.verb(&["unmap"], 0)?;
    Ok("a second instance is refused, a killed one's socket replaced, its table unmapped".into())
}

/// A bad configuration is refused and told; a good one changes what it changes and nothing else.
fn reloads(place: &mut Place, agent: &Agent) -> Result<String> {
    let good = place.lab.config();
    let told = |part: &str| {
        let status = place.lab.status()?;
        ensure!(status["healthy"] == false && status["problems"].to_string().contains(part), "{status:#}");
        Ok::<_, anyhow::Error>(())
    };
    place.reload(agent, &good.replace("'any'", "'some'"), "the old configuration stays")?;
    told("some")?;
    fs::remove_file(place.lab.config_file())?;
    let start = Instant::now();
    agent.signal(Signal::SIGHUP)?;
    agent.wait_line(start, "the old configuration stays", DONE_WITHIN)?;
    told("cannot read")?;
    place.follows()?;

    let before = place.dns.updates().len();
    let second =
        good.replace("config record 'home'", "config record 'home'\n\tlist domain 'second.example.com'");
    place.reload(agent, &second, "configuration reloaded")?;
    let server = SocketAddr::from((DNS4, 53));
    let addr = place.addr();
    let limit = until("the added name is published", DONE_WITHIN, || {
        let answer = probe::ask(&place.lab.internet, server, OTHER, Rtype::A, SECOND).ok()?;
        (answer.sole() == Some(addr.into())).then_some(start.elapsed())
    })?;
    place.content()?;
    place.reload(agent, &second, "configuration reloaded")?;
    place.reload(agent, &good, "configuration reloaded")?;
    place.verb(&["once"], 0)?;
    let sent = place.updates_since(before);
    let strange = |(name, _): &(String, IpAddr)| name != OTHER;
    ensure!(sent.len() == 1 && !sent.iter().flat_map(|update| &update.wants).any(strange), "sent: {sent:?}");

    let (bare, _) = good.split_once("config mapping").context("a config without mapping")?;
    place.reload(agent, bare, "configuration reloaded")?;
    until("the port is closed with the mapping", SECOND, || (!place.is_mapped()).then_some(()))?;
    place.reload(agent, &good, "configuration reloaded")?;
    place.lab.wait_greeted("front", addr.into(), SECOND)?;
    place.reload(
        agent,
        &good.replace("mapping_backend 'nft'", "mapping_backend 'none'"),
        "configuration reloaded",
    )?;
    until("the port is closed with the backend", SECOND, || (!place.is_mapped()).then_some(()))?;
    place.reload(agent, &good, "configuration reloaded")?;
    place.lab.wait_greeted("front", addr.into(), SECOND)?;
    Ok(format!(
        "bad reloads are refused and told in status; a name added by a good one is published {} ms after, nothing \
         else is sent; mappings come and go with it",
        limit.as_millis()
    ))
}

/// SIGTERM: the table goes, with the connections through it, and the socket.
fn ends(place: &mut Place, mut agent: Agent) -> Result<String> {
    let mut call = probe::connect(&place.lab.internet, (place.addr(), PORT).into(), SECOND)?;
    ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
    let start = Instant::now();
    let status = agent.stop(SECOND)?;
    let took = start.elapsed();
    ensure!(status.code() == Some(0), "{status}");
    ensure!(!place.has_table() && !place.socket().exists(), "the table or the socket outlives a clean stop");
    ensure!(!probe::echoes(&mut call)?, "a connection outlives a clean stop");

    // One that knows of no mapping until it is told: the first by a reload is followed as any other.
    let good = place.lab.config();
    let (bare, _) = good.split_once("config mapping").context("a config without mapping")?;
    place.lab.write_config(bare)?;
    let mut agent = place.lab.start_agent()?;
    place.content()?;
    ensure!(!place.has_table(), "a table without a mapping");
    place.reload(&agent, &good, "configuration reloaded")?;
    place.lab.wait_greeted("front", place.addr().into(), SECOND)?;
    place.lab.router.sh("nft delete table inet porchlight")?;
    place.lab.wait_greeted("front", place.addr().into(), SECOND).context("after a foreign flush")?;
    // Killed, and the mapping is taken out of the configuration before the next start.
    agent.kill();
    place.lab.write_config(bare)?;
    let mut agent = place.lab.start_agent()?;
    until("what the killed one had open is closed", SECOND, || (!place.is_mapped()).then_some(()))?;
    agent.stop(SECOND)?;
    // Or the whole agent is switched off.
    place.lab.write_config(&good)?;
    let agent = place.lab.start_agent()?;
    place.lab.wait_greeted("front", place.addr().into(), SECOND)?;
    drop(agent);
    place.lab.write_config(
        &good.replace("option mapping_backend", "option enabled '0'\n\toption mapping_backend"),
    )?;
    place.verb(&["run"], 0)?;
    ensure!(!place.has_table(), "what a killed agent had open stays open when it is switched off");
    Ok(format!("SIGTERM ends it in {} ms, table, connections and socket with it", took.as_millis()))
}
