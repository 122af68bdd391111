//! Two hundred reloads while addresses change: what an edit does not touch is neither sent again nor closed nor asked, a
//! bad edit changes nothing, and the agent that has followed them all is as one that was just started.

use super::Scenario;
use crate::lab::*;
use crate::peers::recorder::{Authority, Recorder, Seen as Request};
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The scenario.
pub const RELOAD: Scenario = Scenario {
    name: "reload",
    about: "200 reloads while addresses change: nothing is sent twice or closed for a moment, nothing leaks",
    needs: &[],
    limit: Duration::from_secs(150),
    slow: false,
    run,
};

/// How many.
const RELOADS: usize = 200;
/// So many before them are practice: the allocator finds its places in them, which are 200 KiB.
const PRACTICE: usize = 20;
/// Over so many at the beginning and at the end memory is looked at.
const SAMPLES: usize = 20;
/// What resident anonymous memory may grow by between the two, in KiB. It was seen to grow by up to 170 (places between what
/// is in use), and by less and less: by 40 in 400 reloads after 400. A configuration that is not given back is 1000.
const GROWTH: u64 = 256;
/// A viewer tries so often ...
const GLANCE: Duration = Duration::from_millis(10);
/// ... of so many once with a question ...
const ASKED: usize = 16;
/// ... and gets an answer within this time.
const ANSWER: Duration = Duration::from_secs(2);
/// What the agent does by itself, it does within this time.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// A name is right within this time after a move: the C library waits 5 s for an answer of the resolver that came to the
/// address before.
const ARRIVED_WITHIN: Duration = Duration::from_secs(15);
/// Signals in a row.
const STORM: usize = 300;
/// A name by the same server, whose section is edited.
const OTHER: &str = "second.example.com";
/// A name by the stand-in for a web service.
const WEB: &str = "web.example.com";
/// The WAN's addresses are here.
const WAN_NET: [u8; 3] = [203, 0, 113];

/// The owner's wishes, of which an edit changes one.
#[derive(Clone)]
struct Wishes {
    ttl: u32,
    token: usize,
    port: usize,
    camera: &'static str,
    mapping: &'static str,
    title: usize,
    channel: bool,
    third: bool,
}

/// What happens to the address of what at a reload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Move {
    Wan,
    Wan6,
    Camera,
}

/// What a viewer is to reach, for as long as it is to be so without a gap. Raised by each change of an address.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Aim {
    number: usize,
    steady: Option<Ipv4Addr>,
    over: bool,
}

struct Story<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    web: Recorder,
    host: Host,
    /// The places of camera, WAN and IPv6, by their last number.
    at: (u8, u8, u16),
    aim: Arc<Mutex<Aim>>,
    wishes: Wishes,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.look = probe::rtsp;
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let host = lab.lan_host("camera", CAMERA_MAC, Ipv4Addr::new(192, 168, 1, 20))?;
    lab.write_leases(&[host.lease(Ipv4Addr::new(192, 168, 1, 20))])?;
    let _front = RtspCamera::start(&host.ns, 554, "front")?;
    let names = dns.clone();
    let answer = Arc::new(move |request: &Request| published(&names, request));
    let web = lab.internet.enter(|| Recorder::start(WEB4.into(), Authority::new()?, answer))?;
    let wishes = Wishes {
        ttl: 60,
        token: 0,
        port: 9000,
        camera: "front",
        mapping: "front_rtsp",
        title: 0,
        channel: true,
        third: false,
    };
    let (at, aim) = ((20, 10, 0x10), Arc::default());
    let mut story = Story { lab, dns, web, host, at, aim, wishes };
    lab.write_config(&story.config())?;
    let mut agent = lab.start_agent()?;
    lab.wait_reachable("front", story.wan().into(), DONE_WITHIN)?;
    story.content()?;
    story.steady();
    let aim = story.aim.clone();
    let watched = thread::scope(|scope| {
        let viewer = scope.spawn(|| lab.internet.enter(|| Ok(watch(&aim))));
        let told = reloads(&mut story, &agent).and_then(|line| Ok((line, storm(&mut story, &agent)?)));
        lock(&aim).over = true;
        let seen = viewer.join().map_err(|_| anyhow::anyhow!("the viewer panicked"))??;
        Ok::<_, anyhow::Error>((told?, seen))
    });
    let ((reloaded, stormed), (glances, gaps)) = watched?;
    ensure!(gaps.is_empty(), "the mapping was not there: {}", gaps.join("; "));
    let sent = nothing_twice(&story)?;
    let fresh = as_a_fresh_one(&story, &mut agent)?;
    Ok(Summary(vec![
        reloaded,
        format!("a connection every {} ms: {glances}, none without the camera", GLANCE.as_millis()),
        sent,
        stormed,
        fresh,
    ]))
}

/// The stand-in publishes what it is told.
fn published(names: &Nameserver, request: &Request) -> (u16, String) {
    let addr = request.query().split('&').find_map(|part| part.strip_prefix("ip=")?.parse().ok());
    match addr.map(|addr: IpAddr| names.publish(WEB, addr)) {
        Some(Ok(_)) => (200, "good".into()),
        _ => (400, "what?".into()),
    }
}

fn lock(aim: &Mutex<Aim>) -> std::sync::MutexGuard<'_, Aim> {
    aim.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The viewer: how often it was answered, and when it was not. What begins or ends beside a change of an address counts
/// for nothing.
fn watch(aim: &Mutex<Aim>) -> (usize, Vec<String>) {
    let (mut glances, mut gaps, start) = (0, Vec::new(), Instant::now());
    loop {
        let now = *lock(aim);
        if now.over {
            return (glances, gaps);
        }
        if let Some(addr) = now.steady {
            let seen = glance(SocketAddr::from((addr, PORT)), glances % ASKED == 0);
            if *lock(aim) == now {
                glances += 1;
                if let Err(error) = seen {
                    gaps.push(format!("{} ms: {error:#}", start.elapsed().as_millis()));
                }
            }
        }
        thread::sleep(GLANCE);
    }
}

/// Connects; with `ask` it is asked who answers, too.
fn glance(target: SocketAddr, ask: bool) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, ANSWER).context("no connection")?;
    if !ask {
        return Ok(());
    }
    stream.set_read_timeout(Some(ANSWER))?;
    let name = probe::options(&mut stream).context("no answer")?;
    ensure!(name == "front", "{name} answers");
    Ok(())
}

impl Story<'_> {
    fn wan(&self) -> Ipv4Addr {
        let [a, b, c] = WAN_NET;
        Ipv4Addr::new(a, b, c, self.at.1)
    }

    fn wan6(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f, g, _] = WAN6.segments();
        Ipv6Addr::new(a, b, c, d, e, f, g, self.at.2)
    }

    /// From now on a viewer is never without the camera.
    fn steady(&self) {
        let mut aim = lock(&self.aim);
        *aim = Aim { number: aim.number + 1, steady: Some(self.wan()), over: false };
    }

    /// The configuration as it is wished now.
    fn config(&self) -> String {
        let Wishes { ttl, token, port, camera, mapping, title, channel, third } = &self.wishes;
        let home = self.lab.config();
        let (record, _) = home.split_once("config camera").unwrap_or((&home, ""));
        let record =
            record.replace("option mapping_backend", "option log_level 'debug'\n\toption mapping_backend");
        let (_, second) = record.split_once("config record 'home'").unwrap_or(("", &record));
        let second =
            second.replace(NAME, OTHER).replace("'1m'", &format!("'{ttl}'")).replace("'any'", "'ipv4'");
        let third = if *third { "\tlist domain 'third.example.com'\n" } else { "" };
        let channel = match channel {
            true => format!("config notify 'phone'\n\toption kind 'webhook'\n\toption url 'http://hook.example.com/x'\n\toption title 'Home {title}'\n\tlist on 'failing'\n"),
            false => String::new(),
        };
        format!(
            "{record}config record 'second'{second}{third}
config record 'web'
\toption provider 'custom'
\toption url 'http://{WEB4}/update?ip=[IP]'
\toption token 'tok-{token}-0123456789'
\tlist header 'X-Token: {{token}}'
\tlist domain '{WEB}'
\toption family 'ipv4'

config camera '{camera}'
\tlist mac '{CAMERA_MAC}'
\tlist record 'home'

config mapping '{mapping}'
\toption camera '{camera}'
\toption src_dport '{PORT}'
\toption dest_port '554'

config mapping 'side'
\toption camera '{camera}'
\toption src_dport '{port}'
\toption dest_port '8080'
\toption allow_open '1'

{channel}"
        )
    }

    /// The next edit: what is written, and what the agent says of it.
    fn edit(&mut self, index: usize) -> (String, &'static str) {
        let (good, bad) = ("configuration reloaded", "the old configuration stays");
        let wishes = &mut self.wishes;
        match index % 10 {
            0 => wishes.ttl = 180 - wishes.ttl,
            1 => wishes.port = 9000 + index,
            2 => wishes.camera = if wishes.camera == "front" { "door" } else { "front" },
            3 => wishes.title += 1,
            4 => return (self.config().replace("'ipv4'", "'ipv5'"), bad),
            5 => wishes.channel = !wishes.channel,
            6 => wishes.mapping = if wishes.mapping == "front_rtsp" { "video" } else { "front_rtsp" },
            7 => {
                let text = self.config();
                return (
                    text.get(..text.len() / 2).unwrap_or_default().replace("config camera", "config 'camera"),
                    bad,
                );
            }
            8 => wishes.token += 1,
            _ => wishes.third = !wishes.third,
        }
        (self.config(), good)
    }

    /// Something moves; nothing is awaited.
    fn begin(&mut self, what: Move) -> Result<()> {
        lock(&self.aim).number += 1;
        lock(&self.aim).steady = None;
        match what {
            Move::Wan => {
                self.at.1 += 1;
                self.lab.wan_readdress4(self.wan())
            }
            Move::Wan6 => {
                self.at.2 += 1;
                self.lab.wan_readdress6(self.wan6())
            }
            Move::Camera => {
                self.at.0 += 1;
                let place = Ipv4Addr::new(192, 168, 1, self.at.0);
                self.host.readdress(place)?;
                self.lab.write_leases(&[self.host.lease(place)])
            }
        }
    }

    /// All names and the way in are right.
    fn arrive(&self) -> Result<()> {
        let lab = self.lab;
        lab.wait_reachable("front", self.wan().into(), ARRIVED_WITHIN)?;
        lab.wait_dad(self.wan6())?;
        lab.wait_named(self.wan6().into(), ARRIVED_WITHIN)?;
        for name in [OTHER, WEB] {
            self.named(name, self.wan())?;
        }
        self.steady();
        Ok(())
    }

    fn named(&self, name: &str, addr: Ipv4Addr) -> Result<()> {
        let server = SocketAddr::from((DNS4, 53));
        until(&format!("{name} is {addr}"), ARRIVED_WITHIN, || {
            let answer = probe::ask(&self.lab.internet, server, name, Rtype::A, SECOND).ok()?;
            (answer.sole() == Some(addr.into())).then_some(())
        })
    }

    fn content(&self) -> Result<Value> {
        let mut last = Value::Null;
        until("the agent is content", DONE_WITHIN, || {
            last = self.lab.status().ok()?;
            (last["healthy"] == true).then_some(())
        })
        .with_context(|| format!("status: {last:#}"))?;
        Ok(last)
    }
}

/// What a process has: anonymous memory in KiB, descriptors, threads.
fn usage(agent: &Agent) -> Result<[u64; 3]> {
    let text = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).context("a field of /proc")
    };
    let descriptors = fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count() as u64;
    Ok([field("RssAnon")?, descriptors, field("Threads")?])
}

/// The least of each over some samples: what a moment's work takes is not among it.
fn least(samples: &[[u64; 3]]) -> [u64; 3] {
    let zero = [u64::MAX; 3];
    samples.iter().fold(zero, |a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].min(b[2])])
}

fn reloads(story: &mut Story, agent: &Agent) -> Result<String> {
    let (start, mut samples, mut moves, mut refused) = (Instant::now(), Vec::new(), 0, 0);
    let mut call = held(story)?;
    for index in 0..PRACTICE + RELOADS {
        let what = match index {
            _ if index % 50 == 26 => Some(Move::Wan6),
            _ if index % 25 == 13 => Some(Move::Camera),
            _ if index % 9 == 5 => Some(Move::Wan),
            _ => None,
        };
        if let Some(what) = what {
            story.begin(what)?;
            moves += 1;
        }
        let (text, says) = story.edit(index);
        story.lab.write_config(&text)?;
        let told = Instant::now();
        agent.signal(Signal::SIGHUP)?;
        agent.wait_line(told, says, DONE_WITHIN).with_context(|| format!("reload {index}"))?;
        if says.contains("stays") {
            refused += 1;
            let status = story.lab.status()?;
            let problems = status["problems"].to_string();
            ensure!(problems.contains("is not in force") && status["healthy"] == false, "{status:#}");
        }
        if what.is_some() {
            story.arrive().with_context(|| format!("after reload {index}"))?;
            call = held(story)?;
        }
        // A port of the camera that is closed is cut by itself: those who stay are not cut with it.
        let name =
            probe::options(&mut call).with_context(|| format!("a viewer was cut by reload {index}"))?;
        ensure!(name == "front", "{name} answers");
        samples.push(usage(agent)?);
    }
    let (first, last) =
        (least(&samples[PRACTICE..][..SAMPLES]), least(&samples[PRACTICE + RELOADS - SAMPLES..]));
    ensure!(last[0] <= first[0] + GROWTH, "anonymous memory grows: {first:?} KiB, then {last:?}");
    ensure!(last[1..] <= first[1..], "descriptors or threads grow: {first:?}, then {last:?}");
    Ok(format!(
        "{PRACTICE} and {RELOADS} reloads ({refused} refused) and {moves} moves in {} ms; anonymous memory {} KiB in the first {SAMPLES}, \
         {} KiB in the last; descriptors {} and {}; a viewer's connection outlives each",
        start.elapsed().as_millis(),
        first[0],
        last[0],
        first[1],
        last[1]
    ))
}

/// A viewer who stays.
fn held(story: &Story) -> Result<TcpStream> {
    probe::connect(&story.lab.internet, (story.wan(), PORT).into(), ANSWER)
}

/// Signals without a pause, while good and bad configurations take each other's place.
fn storm(story: &mut Story, agent: &Agent) -> Result<String> {
    let path = story.lab.config_file();
    let new = path.with_extension("new");
    let good = story.config();
    let from = Instant::now();
    for index in 0..STORM {
        let text = if index % 2 == 0 { good.replace("'ipv4'", "'ipv5'") } else { good.clone() };
        fs::write(&new, text)?;
        fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        agent.signal(Signal::SIGHUP)?;
    }
    story.content().context("after a storm of signals")?;
    let reads = agent.lines().into_iter().filter(|line| {
        line.at >= from
            && (line.text.contains("configuration reloaded") || line.text.contains("not reloaded"))
    });
    Ok(format!("{STORM} signals in a row are {} reloads, and the last word is followed", reads.count()))
}

/// Every update changed the zone, no value was sent to the web service twice in a row, and nothing of the channel.
fn nothing_twice(story: &Story) -> Result<String> {
    let updates = story.dns.updates();
    for update in &updates {
        ensure!(update.changed, "sent though nothing changed: {update:?}");
    }
    let mut by_name = BTreeMap::<String, usize>::new();
    updates.iter().flat_map(|update| &update.wants).for_each(|(name, _)| {
        *by_name.entry(name.clone()).or_default() += 1;
    });
    let moves = usize::from(story.at.1 - 10) + usize::from(story.at.2 - 0x10);
    ensure!(by_name.get(NAME) == Some(&(2 + moves)), "{NAME} moved {moves} times: {by_name:?}");
    let requests = story.web.take();
    let wans = usize::from(story.at.1 - 10) + 1;
    ensure!(requests.len() == wans, "{} requests for {wans} addresses: {requests:?}", requests.len());
    Ok(format!("{} updates for {moves} moves of {NAME}, {} requests of the web service: nothing is sent twice: {by_name:?}",
        updates.len(), requests.len()))
}

/// The status and the ruleset of the agent are those of one that starts now and knows nothing.
fn as_a_fresh_one(story: &Story, agent: &mut Agent) -> Result<String> {
    let ruleset =
        || Ok::<_, anyhow::Error>(plain_rules(&story.lab.router.sh("nft list table inet porchlight")?));
    let (old, rules) = (plain(story.content()?), ruleset()?);
    let before = story.dns.updates().len();
    // Told to read and to end at once: it ends.
    for _ in 0..SAMPLES {
        agent.signal(Signal::SIGHUP)?;
    }
    let status = agent.stop(DONE_WITHIN)?;
    ensure!(status.code() == Some(0), "it ends with {status}");
    ensure!(story.lab.router.sh("nft list table inet porchlight").is_err(), "the table outlives the agent");
    fs::remove_file(story.lab.root.join("var/run/porchlight/state"))?;
    let fresh = story.lab.start_agent()?;
    story.lab.wait_reachable("front", story.wan().into(), DONE_WITHIN)?;
    let new = plain(story.content()?);
    ensure!(old == new, "after the reloads: {old:#}\na fresh one: {new:#}");
    ensure!(rules == ruleset()?, "after the reloads: {rules}\na fresh one: {}", ruleset()?);
    ensure!(
        story.dns.updates().len() == before && story.web.take().is_empty(),
        "a fresh one sends something"
    );
    drop(fresh);
    Ok("status and ruleset are those of a fresh start, which sends nothing; reloads do not hold up the end"
        .into())
}

/// Without what tells of the past.
fn plain(mut status: Value) -> Value {
    const PAST: [&str; 12] = [
        "time",
        "change",
        "changes",
        "since_s",
        "changed_at",
        "seen",
        "seen_after_ms",
        "hits",
        "asked_s",
        "next_s",
        "ago_s",
        "connections",
    ];
    match &mut status {
        Value::Object(fields) => {
            fields.retain(|name, _| !PAST.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = plain(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = plain(item.take())),
        _ => {}
    }
    status
}

/// Without counters, and without the guard that ends old connections for a minute after a camera moved.
fn plain_rules(text: &str) -> String {
    let mut guard = false;
    let mut rules = Vec::new();
    for line in text.lines().map(str::trim) {
        guard = if line.starts_with("chain ") { line == "chain cut {" } else { guard };
        let words =
            line.split(' ').filter(|word| word.parse::<u64>().is_err() || !line.contains(" counter "));
        if !guard {
            rules.push(words.collect::<Vec<_>>().join(" "));
        }
    }
    rules.join("\n")
}
