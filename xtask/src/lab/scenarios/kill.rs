//! Kills: the agent ends by SIGKILL at a hundred instants, most of them aimed at where it hurts, and has to
//! be right again each time it is started anew, without sending anything twice.

pub(super) mod range;

use self::range::{Aim, Range, Service, Whose};
use crate::lab::nameserver::Moment;
use crate::lab::*;
use anyhow::{anyhow, bail, ensure, Context, Result};
use domain::base::Rtype;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// After a restart all is right within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(2);
/// What the agent under aim does by itself, it does within this time.
const HIT_WITHIN: Duration = Duration::from_secs(5);
/// At least so many must fall between a request sent and the state written.
const LEAST_IN_FLIGHT: usize = 20;
/// At least so many in all.
const LEAST: usize = 100;
/// The name at the service of the dyndns2 family.
const OTHER: &str = "second.example.com";
/// Both places of the camera on the LAN.
const PLACES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 60)];

/// Where in the life of a change the agent died, as found out afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Idle,
    BeforeRequest,
    RequestLost,
    RequestHeld,
    AnsweredNotWritten,
    Written,
    Saving,
    Filtering,
}

impl Phase {
    fn text(self) -> &'static str {
        match self {
            Phase::Starting => "just started",
            Phase::Idle => "idle",
            Phase::BeforeRequest => "after the change, before the request",
            Phase::RequestLost => "request sent and lost, no answer",
            Phase::RequestHeld => "request sent and carried out, no answer yet",
            Phase::AnsweredNotWritten => "answer sent, state not written yet",
            Phase::Written => "state written, read-back under way or done",
            Phase::Saving => "while the state file is being written",
            Phase::Filtering => "while nft changes the packet filter",
        }
    }

    /// Between a request sent and the state written.
    fn in_flight(self) -> bool {
        matches!(self, Phase::RequestLost | Phase::RequestHeld | Phase::AnsweredNotWritten)
    }
}

/// Numbers that differ from run to run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// Any time below this many microseconds.
    fn below(&mut self, micros: u64) -> Duration {
        Duration::from_micros(self.roll() % micros)
    }
}

/// The whole of it, between two kills.
struct Story<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    service: Service,
    range: Range,
    camera: Host,
    dice: Dice,
    /// What is to be published now.
    addr: Ipv4Addr,
    /// Index into [`PLACES`].
    place: usize,
    /// Our table as it was first, with the first addresses.
    table: String,
    /// The rest of the packet filter.
    others: String,
    agent: Agent,
    /// Updates so far, by provider.
    sent: (usize, usize),
    found: BTreeMap<(Phase, Whose), usize>,
    waits: Vec<Duration>,
    call: TcpStream,
}

/// Kills and starts anew, a hundred times.
pub fn kill_anywhere(lab: &mut Lab) -> Result<Summary> {
    let mut story = Story::begin(lab)?;
    for _ in 0..6 {
        story.while_idle()?;
    }
    for round in 0..26 {
        let whose = if round % 2 == 0 { Whose::Dns } else { Whose::Web };
        story.at_random(whose)?;
    }
    for whose in [Whose::Dns, Whose::Web] {
        for _ in 0..5 {
            story.at_moment(whose, Moment::Received, 20_000, true)?;
        }
        for _ in 0..8 {
            story.at_moment(whose, Moment::Done, 20_000, false)?;
        }
        for _ in 0..8 {
            story.at_moment(whose, Moment::Answered, 300, false)?;
        }
        for _ in 0..3 {
            story.at_moment(whose, Moment::Answered, 1_500_000, false)?;
        }
    }
    for _ in 0..6 {
        story.while_starting()?;
    }
    for call in ["?open,openat", "write", "?rename,renameat,?renameat2"] {
        for count in 1..=3 {
            story.while_saving(call, count)?;
        }
    }
    for round in 0..10 {
        story.while_filtering(round % 2 == 1)?;
    }
    for _ in 0..3 {
        story.while_connected()?;
    }
    story.end()
}

impl<'a> Story<'a> {
    fn begin(lab: &'a Lab) -> Result<Story<'a>> {
        let dns = lab.nameserver()?;
        let range = Range::default();
        let service = Service::start(lab, &dns, &range)?;
        let hook = range.clone();
        dns.set_hook(Arc::new(move |moment| hook.reached(Whose::Dns, moment)));
        lab.wan_up()?;
        lab.wait_dad(WAN6)?;
        let camera = lab.lan_host("camera", CAMERA_MAC, PLACES[0])?;
        lab.write_leases(&[camera.lease(PLACES[0])])?;
        // It takes calls for as long as the lab stands.
        std::mem::forget(Camera::start(&camera.ns, 554, "front")?);
        lab.write_config(&format!(
            "{}
config record 'second'
\toption provider 'dyn'
\toption url 'http://{WEB4}'
\toption username 'me'
\toption password 'secret'
\tlist domain '{OTHER}'
\toption family 'ipv4'
",
            lab.config()
        ))?;
        write_shim(lab)?;
        let others = others(lab)?;
        let agent = lab.start_agent()?;
        lab.wait_reachable("front", WAN4.into(), RIGHT_WITHIN)?;
        until("all is right at first", RIGHT_WITHIN, || healthy(lab).ok())?;
        let mut call = probe::connect(&lab.internet, (WAN4, PORT).into(), SECOND)?;
        ensure!(probe::read_line(&mut call)? == "front", "another camera");
        let mut story = Story {
            table: table(lab)?,
            sent: (dns.updates().len(), service.updates().len()),
            dice: Dice(std::time::UNIX_EPOCH.elapsed()?.as_nanos() as u64 | 1),
            addr: WAN4,
            place: 0,
            found: BTreeMap::new(),
            waits: Vec::new(),
            lab,
            dns,
            service,
            range,
            camera,
            others,
            agent,
            call,
        };
        story.check_table()?;
        ensure!(story.sent.1 == 1, "the service got {} requests at first", story.sent.1);
        story.check_updates(0)?;
        Ok(story)
    }

    /// Nothing is under way, and nothing changes.
    fn while_idle(&mut self) -> Result<()> {
        let wait = self.dice.below(30_000);
        self.range.load(self.agent.pid(), None);
        thread::sleep(wait);
        self.range.fire();
        self.count(Phase::Idle, Whose::Dns);
        self.restart_watched()?;
        ensure!(probe::echoes(&mut self.call)?, "an open connection to the camera did not outlive a kill");
        Ok(())
    }

    /// The address changes, and the shot falls at any time after.
    fn at_random(&mut self, whose: Whose) -> Result<()> {
        let wait = self.dice.below(25_000);
        self.range.load(self.agent.pid(), None);
        self.change()?;
        thread::sleep(wait);
        self.range.fire();
        self.died(whose)?;
        self.restart_and_check(true)
    }

    /// The address changes, and the shot falls within so many microseconds after this moment.
    fn at_moment(&mut self, whose: Whose, moment: Moment, within: u64, lose: bool) -> Result<()> {
        let delay = self.dice.below(within);
        self.range.load(self.agent.pid(), Some(Aim { whose, moment, delay, lose }));
        self.change()?;
        self.died(whose)?;
        self.restart_and_check(true)
    }

    /// The address changed while nobody ran; the shot falls soon after the start.
    fn while_starting(&mut self) -> Result<()> {
        self.agent.kill();
        self.change()?;
        let mut command = self.lab.command();
        let daemon = self.lab.router.spawn("porchlight, soon dead", command.arg("run"))?;
        self.range.load(daemon.pid(), None);
        let wait = self.dice.below(60_000);
        thread::sleep(wait);
        self.range.fire();
        self.count(Phase::Starting, Whose::Dns);
        drop(daemon);
        self.restart_and_check(true)
    }

    /// The shot falls as the agent is about to make this system call on the new state file for the
    /// `count`th time since its start: before it is made, written, renamed.
    fn while_saving(&mut self, call: &str, count: usize) -> Result<()> {
        self.agent.kill();
        self.change()?;
        let own = self.lab.command();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-P"]);
        command.arg(self.lab.root.join("var/run/porchlight/state.new"));
        command.args(["-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:signal=SIGKILL:when={count}")]);
        command.arg(own.get_program()).args(own.get_args()).arg("run");
        let mut daemon = self.lab.router.spawn("porchlight under strace", &mut command)?;
        daemon.wait(HIT_WITHIN).with_context(|| format!("{call} {count} did not come"))?;
        self.count(Phase::Saving, Whose::Dns);
        self.restart_and_check(true)
    }

    /// The camera moves, and the shot falls while nft is at work, which goes on without the agent. If
    /// `stale`, the camera moves on before the restart, and the old nft comes last.
    fn while_filtering(&mut self, stale: bool) -> Result<()> {
        self.agent.kill();
        let mut command = self.lab.command();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", shim(self.lab, "").display())).arg("run");
        self.agent = self.lab.start_agent_as(&mut command)?;
        self.settled()?;
        let (before, after) = if stale { ("0.5", "0") } else { ("0.03", "0.03") };
        fs::write(shim(self.lab, "hold"), format!("{before} {after}\n"))?;
        self.move_camera()?;
        let (begun, done) = (shim(self.lab, "begun"), shim(self.lab, "done"));
        until("nft begins to change the filter", HIT_WITHIN, || begun.exists().then_some(()))?;
        let wait = self.dice.below(60_000);
        self.range.load(self.agent.pid(), None);
        thread::sleep(wait);
        self.range.fire();
        self.count(Phase::Filtering, Whose::Dns);
        fs::remove_file(shim(self.lab, "hold"))?;
        if stale {
            self.move_camera()?;
        }
        self.restart_and_check(false)?;
        until("the orphaned nft has ended", HIT_WITHIN, || done.exists().then_some(()))?;
        fs::remove_file(begun)?;
        fs::remove_file(done)?;
        until("the table is right after the orphan", RIGHT_WITHIN, || self.check_table().ok())
            .or_else(|_| self.check_table())?;
        self.lab.wait_reachable("front", self.addr.into(), RIGHT_WITHIN)?;
        Ok(())
    }

    /// The camera gets another address beside the old one while nobody runs: connections to the old one,
    /// which the mapping no longer leads to, end with the restart.
    fn while_connected(&mut self) -> Result<()> {
        // The camera still answers at the old address, so the kernel must not ask there: it would be right to say that
        // the camera is there.
        self.lab.router.sysctl("net.ipv4.neigh.lan0.delay_first_probe_time", "300")?;
        let mut call = probe::connect(&self.lab.internet, (self.addr, PORT).into(), SECOND)?;
        ensure!(probe::read_line(&mut call)? == "front" && probe::echoes(&mut call)?, "no echo");
        self.agent.kill();
        self.count(Phase::Idle, Whose::Dns);
        self.place = 1 - self.place;
        self.camera.ns.ip(&format!("addr add {}/24 dev eth0", PLACES[self.place]))?;
        self.lab.write_leases(&[self.camera.lease(PLACES[self.place])])?;
        self.restart_and_check(false)?;
        ensure!(!probe::echoes(&mut call)?, "a connection to the camera's old place outlives its move");
        self.camera.readdress(PLACES[self.place])
    }

    fn change(&mut self) -> Result<()> {
        let [a, b, c, d] = self.addr.octets();
        self.addr = Ipv4Addr::new(a, b, c, if d >= 240 { 10 } else { d + 1 });
        self.lab.wan_readdress4(self.addr)
    }

    fn move_camera(&mut self) -> Result<()> {
        self.place = 1 - self.place;
        self.camera.readdress(PLACES[self.place])?;
        self.lab.write_leases(&[self.camera.lease(PLACES[self.place])])
    }

    fn count(&mut self, phase: Phase, whose: Whose) {
        *self.found.entry((phase, whose)).or_default() += 1;
    }

    /// Waits for the shot, and finds out what it hit.
    fn died(&mut self, whose: Whose) -> Result<()> {
        self.agent.wait(HIT_WITHIN)?;
        let (met, lost) = {
            let gun = self.range.lock();
            let shot = gun.shot.context("the agent ended without a shot")?;
            let met = gun.met.iter().filter(|(who, _, at)| *who == whose && *at <= shot);
            (met.map(|(_, moment, _)| *moment).max(), gun.lost)
        };
        let phase = match met {
            None => Phase::BeforeRequest,
            Some(_) if lost => Phase::RequestLost,
            Some(Moment::Received | Moment::Done) => Phase::RequestHeld,
            Some(Moment::Answered) if self.is_written(whose)? => Phase::Written,
            Some(Moment::Answered) => Phase::AnsweredNotWritten,
        };
        self.count(phase, whose);
        Ok(())
    }

    /// Whether the state file says that the present address is published.
    fn is_written(&self, whose: Whose) -> Result<bool> {
        let name = if whose == Whose::Dns { NAME } else { OTHER };
        let text = fs::read_to_string(self.run_dir("state"))?;
        let addr = self.addr.to_string();
        Ok(text.lines().any(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            matches!(fields.as_slice(), ["record", _, domain, "A", _, value, _] if *domain == name && *value == addr)
        }))
    }

    fn run_dir(&self, name: &str) -> PathBuf {
        self.lab.root.join("var/run/porchlight").join(name)
    }

    /// Starts the agent anew, waits until all is right, and checks that nothing was sent twice.
    fn restart_and_check(&mut self, changed: bool) -> Result<()> {
        self.agent.kill();
        let start = Instant::now();
        self.agent = self.lab.start_agent()?;
        self.settled()?;
        // A camera that answers at two places is reached before the mapping leads to the new one.
        until("the table is right", RIGHT_WITHIN.saturating_sub(start.elapsed()), || self.check_table().ok())
            .or_else(|_| self.check_table())?;
        self.waits.push(start.elapsed());
        self.check_updates(usize::from(changed))?;
        for line in self.agent.lines() {
            let bad = line.is_loud() || line.text.contains("set aside");
            ensure!(!bad, "the agent complains after its restart: {}", line.text);
        }
        ensure!(!self.run_dir("state.bad").exists(), "a state file was set aside");
        Ok(())
    }

    /// The same, while a viewer tries without pause to reach the camera, and always does.
    fn restart_watched(&mut self) -> Result<()> {
        let (lab, target) = (self.lab, SocketAddr::from((self.addr, PORT)));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let viewer = scope.spawn(|| -> Result<usize> {
                let mut calls = 0;
                while !over.load(Ordering::Acquire) {
                    let greeting = probe::banner(&lab.internet, target, SECOND)
                        .context("a viewer did not reach the camera during a restart")?;
                    ensure!(greeting == "front", "a viewer reached {greeting} during a restart");
                    calls += 1;
                }
                Ok(calls)
            });
            let restarted = self.restart_and_check(false);
            over.store(true, Ordering::Release);
            let calls = viewer.join().map_err(|_| anyhow!("the viewer panicked"))??;
            ensure!(calls > 0, "nobody looked during the restart");
            restarted
        })
    }

    /// Waits until the names and the mapping are right, and the agent knows it.
    fn settled(&self) -> Result<()> {
        let end = Instant::now() + RIGHT_WITHIN;
        let left = || end.saturating_duration_since(Instant::now());
        self.lab.wait_reachable("front", self.addr.into(), left())?;
        let server = SocketAddr::from((DNS4, 53));
        until(&format!("{OTHER} is {}", self.addr), left(), || {
            let answer = probe::ask(&self.lab.internet, server, OTHER, Rtype::A, SECOND).ok()?;
            (answer.sole() == Some(self.addr.into())).then_some(())
        })?;
        until("the agent is content", left(), || healthy(self.lab).ok()).or_else(|_| healthy(self.lab))
    }

    fn check_table(&self) -> Result<()> {
        let expected = self.table.replace(&format!("{WAN4} "), &format!("{} ", self.addr));
        let place = PLACES[self.place].to_string();
        let expected = expected.replace(&PLACES[0].to_string(), &place);
        let found = table(self.lab)?;
        ensure!(found == expected, "the table is\n{found}instead of\n{expected}");
        let others = others(self.lab)?;
        ensure!(others == self.others, "other tables are\n{others}instead of\n{}", self.others);
        Ok(())
    }

    /// Each provider got so many updates since the last time; none may have been needless.
    fn check_updates(&mut self, expected: usize) -> Result<()> {
        let (dns, web) = (self.dns.updates(), self.service.updates());
        let fresh = (dns.len() - self.sent.0, web.len() - self.sent.1);
        self.sent = (dns.len(), web.len());
        for update in dns.iter().chain(&web) {
            ensure!(update.changed, "needless: {:?} was published already", update.wants);
        }
        ensure!(fresh == (expected, expected), "updates by rfc2136 and dyn: {fresh:?}, not {expected} each");
        Ok(())
    }

    fn end(mut self) -> Result<Summary> {
        self.check_updates(0)?;
        self.agent.stop(SECOND)?;
        ensure!(table(self.lab).is_err(), "the table outlives a clean stop");
        let total: usize = self.found.values().sum();
        let in_flight: usize =
            self.found.iter().filter(|((phase, _), _)| phase.in_flight()).map(|(_, count)| count).sum();
        ensure!(total >= LEAST, "only {total} kills");
        ensure!(in_flight >= LEAST_IN_FLIGHT, "only {in_flight} kills between request and state");
        let mut phases: BTreeMap<Phase, (usize, usize)> = BTreeMap::new();
        for ((phase, whose), count) in &self.found {
            let entry = phases.entry(*phase).or_default();
            match whose {
                Whose::Dns => entry.0 += count,
                Whose::Web => entry.1 += count,
            }
        }
        let mut lines: Vec<String> = vec![format!(
            "{total} kills, {in_flight} of them between a request sent and the state written (rfc2136 + dyn):"
        )];
        for (phase, (dns, web)) in phases {
            lines.push(format!("{:>4} + {web:<3} {}", dns, phase.text()));
        }
        self.waits.sort();
        let at = |share: usize| self.waits.get(self.waits.len() * share / 100).map_or(0, Duration::as_millis);
        let most = self.waits.last().map_or(0, Duration::as_millis);
        lines.push(format!(
            "right again after the restart: p50 {} ms, p90 {} ms, longest {most} ms; {} updates, none needless",
            at(50),
            at(90),
            self.sent.0 + self.sent.1
        ));
        Ok(Summary(lines))
    }
}

fn healthy(lab: &Lab) -> Result<()> {
    let status = lab.status()?;
    ensure!(status["healthy"] == true, "status: {status:#}");
    Ok(())
}

/// Our table as `nft` lists it, less what keeps cut connections from coming back for a minute.
fn table(lab: &Lab) -> Result<String> {
    let text = lab.router.sh("nft -s list table inet porchlight")?;
    let chains = text.split("\n\n").filter(|chain| !chain.trim_start().starts_with("chain cut "));
    Ok(chains.collect::<Vec<_>>().join("\n\n").trim_end_matches(['\n', '}']).into())
}

/// All tables but ours.
fn others(lab: &Lab) -> Result<String> {
    let all = lab.router.sh("nft -s list ruleset")?;
    let mut ours = false;
    let mut out = String::new();
    for line in all.split_inclusive('\n') {
        if line.starts_with("table ") {
            ours = line.starts_with("table inet porchlight ");
        }
        if !ours {
            out.push_str(line);
        }
    }
    Ok(out)
}

/// A file in the directory of the program that stands in for `nft`.
fn shim(lab: &Lab, name: &str) -> PathBuf {
    lab.root.with_file_name("shim").join(name)
}

/// Writes an `nft` that, while a file `hold` is there, waits before and after each change, and goes on
/// doing so when the agent is dead.
fn write_shim(lab: &Lab) -> Result<()> {
    let Some(nft) = tools::find("nft") else { bail!("no nft") };
    let dir = shim(lab, "");
    fs::create_dir_all(&dir)?;
    let dir = dir.display();
    let text = format!(
        "#!/bin/sh
if [ \"$1\" = -f ] && read before after < {dir}/hold 2>/dev/null; then
	text=$(cat)
	: > {dir}/begun
	sleep $before
	printf '%s\\n' \"$text\" | {nft} \"$@\"
	code=$?
	: > {dir}/done
	sleep $after
	exit $code
fi
exec {nft} \"$@\"
",
        nft = nft.display()
    );
    fs::write(shim(lab, "nft"), text)?;
    fs::set_permissions(shim(lab, "nft"), fs::Permissions::from_mode(0o755))?;
    Ok(())
}
