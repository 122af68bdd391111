//! Cameras that must not be exposed, and one that may: the real agent asks each for a password, keeps closed what is
//! not proven, for a reason that it tells in harmless words, and closes what turns open. No question leaves the LAN.

use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Result};
use porchlight::camera::ask;
use porchlight::config::Probe;
use porchlight::model::{Inquiry, Protection};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The scenario's row.
pub const HOSTILE: Scenario = Scenario {
    name: "hostile",
    about: "hostile, open and broken cameras stay closed for a reason, a good one opens within a second",
    needs: &["conntrack"],
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

/// `option timeout`, in seconds.
const TIMEOUT: u64 = 2;
/// The most memory that the agent may ever have had: its usual 8 MiB where it is built for debugging, and no flood.
const MEMORY_LIMIT_KIB: u64 = 16 * 1024;
/// A port of the router's loopback interface to which a camera wants to send us.
const LURE: u16 = 8099;
/// Where the good camera is.
const GOOD: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// Where the hostile one is, with a port for each of its ways.
const BAD: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 66);
/// A lease without a device.
const GONE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 67);
/// Its hardware address, and the hostile one's.
const GONE_MAC: &str = "02:00:00:00:00:67";
const BAD_MAC: &str = "02:00:00:00:00:66";
/// What a terminal would obey.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";

/// What a hostile camera does with a call.
type Act = fn(&mut TcpStream) -> io::Result<()>;

/// Name of the mapping, `option probe`, what is done, a part of the reason for which it stays closed.
const WAYS: [(&str, &str, Act, &str); 15] = [
    ("flood", "rtsp", flood, "its answer's head is too long"),
    ("flood_http", "http", flood, "it speaks RTSP at that port, not HTTP"),
    ("drip", "rtsp", drip, "it did not answer within 2 s"),
    ("mute", "rtsp", mute, "it did not answer within 2 s"),
    ("malformed", "rtsp", |call| say(call, "RTSP/1.0 4O1 Unauthorized\r\n\r\n"), "its answer is no RTSP"),
    ("headers", "http", thousand_headers, "its answer has too many headers"),
    ("frames", "rtsp", |call| say(call, "$\0\u{5}\0"), "it sends a stream that was not asked for"),
    (
        "redirect",
        "http",
        |call| say(call, &redirect("127.0.0.1", LURE)),
        "it answers 302 (Found), which leads elsewhere",
    ),
    (
        "abroad",
        "http",
        |call| say(call, &redirect("198.51.100.80", 80)),
        "it answers 302 (Found), which leads elsewhere",
    ),
    (
        "escapes",
        "http",
        |call| say(call, &format!("HTTP/1.1 503 {NASTY}\r\n\r\n")),
        "it answers 503 (\\u{1b}[2J",
    ),
    (
        "realm",
        "http",
        |call| say(call, &format!("HTTP/1.1 401 {NASTY}\r\nWWW-Authenticate: {NASTY}\r\n\r\n")),
        "neither Digest nor Basic",
    ),
    ("closes", "rtsp", |_| Ok(()), "it closes the connection without an answer"),
    (
        "page",
        "http",
        |call| say(call, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"),
        "it shows a web page to anyone",
    ),
    (
        "picture",
        "http",
        |call| say(call, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\u{1}"),
        "streams to anyone, without a password",
    ),
    (
        "tcp",
        "tcp",
        |call| say(call, "RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm=x\r\n\r\n"),
        "option probe 'tcp' does not prove",
    ),
];

/// Mappings beside them: of a port where nothing listens, of a device that is gone, of an address outside the LAN.
const REST: [(&str, &str); 3] = [
    ("unheard", "refuses the connection: nothing listens at that port"),
    ("nobody", "does not answer"),
    ("outside", "is in no LAN that this router is connected to"),
];

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.wan_up()?;
    lab.router.nft(WATCH)?;
    let lure = lab.router.enter(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, LURE))?))?;
    lure.set_nonblocking(true)?;
    let bad = lab.lan_host("bad", BAD_MAC, BAD)?;
    let mut told = Vec::new();
    for (port, (.., act, _)) in (1000..).zip(WAYS) {
        told.push(serve(&bad, port, move |call, _| act(call))?);
    }
    let gone = Host { ns: bad.ns.again()?, mac: GONE_MAC.into() };
    lab.write_leases(&[bad.lease(BAD), gone.lease(GONE)])?;
    lab.write_config(&config())?;
    let agent = lab.start_agent()?;

    let good = lab.plug("good", CAMERA_MAC)?;
    let front = serve(&good, 554, front)?;
    let start = Instant::now();
    good.readdress(GOOD)?;
    lab.write_leases(&[bad.lease(BAD), gone.lease(GONE), good.lease(GOOD)])?;
    let (mut call, opened) = wait_open(lab, 2 * SECOND)?;
    ensure!(opened - start <= SECOND, "the good camera is open after {} ms", (opened - start).as_millis());
    let cost = front.cost();
    // The viewer's connection is one of them.
    ensure!(cost == (2, 2), "to open cost the good camera {cost:?} connections and questions");
    let mut summary = Summary::line(format!(
        "a good camera: open {} ms after it came, for 1 connection and 2 questions",
        (opened - start).as_millis()
    ));

    summary.0.push(stays_closed(lab, &agent)?);
    summary.0.push(turns_open(lab, &front, &mut call)?);
    ensure!(lure.accept().is_err(), "somebody was lured to the router's own loopback interface");
    summary.0.push(harmless(lab, &agent)?);
    summary.0.push(at_home(lab)?);
    one_hop(lab, &bad)?;
    let calls: usize = told.iter().map(|told| told.cost().0).sum();
    summary.0.push(format!(
        "{} hostile ports had {calls} calls in {:.1} s",
        told.len(),
        start.elapsed().as_secs_f64()
    ));
    Ok(summary)
}

/// Each mapping is closed for its reason, and the agent has not grown.
fn stays_closed(lab: &Lab, agent: &Agent) -> Result<String> {
    let reasons = WAYS.map(|(name, .., why)| (name, why));
    let start = Instant::now();
    for (name, why) in reasons.into_iter().chain(REST) {
        let mut last = Value::Null;
        let look = || {
            last = lab.status().ok()?["mappings"].as_array()?.iter().find(|row| row["name"] == name)?.clone();
            (last["open"] == false && last["closed"].as_str()?.contains(why)).then_some(())
        };
        until(&format!("{name} is closed: {why}"), 10 * SECOND, look)
            .with_context(|| format!("it is {last}"))?;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(peak < MEMORY_LIMIT_KIB, "the agent has had {peak} KiB");
    Ok(format!(
        "{} mappings closed, each for its reason, {:.1} s after the good one was open; the agent's memory {peak} KiB at most",
        WAYS.len() + REST.len(),
        start.elapsed().as_secs_f64()
    ))
}

/// The good camera loses its password, and somebody is looking; then it has it again.
fn turns_open(lab: &Lab, front: &Told, call: &mut TcpStream) -> Result<String> {
    ensure!(probe::echoes(call)?, "the viewer's connection does not carry");
    let before = front.cost().1;
    front.open.store(true, Ordering::Release);
    let start = Instant::now();
    lab.verb(&["trigger"])?.success()?;
    let answered = until("the camera was asked again", 2 * SECOND, || front.served())?;
    let closed = until("nobody gets in", 2 * SECOND, || dial(lab).is_err().then(Instant::now))?;
    let cut = until("the connection is cut", 2 * SECOND, || {
        (!probe::echoes(call).unwrap_or(true)).then(Instant::now)
    })?;
    for (what, at) in [("closed", closed), ("cut", cut)] {
        let took = at.saturating_duration_since(answered);
        ensure!(took <= SECOND, "{what} {} ms after the answer", took.as_millis());
    }
    ensure!(front.cost().1 >= before + 2, "it closed without a question");
    front.open.store(false, Ordering::Release);
    let protected = Instant::now();
    // Asked after 4 s, and once more 5 s later.
    let (_, again) = wait_open(lab, 15 * SECOND)?;
    Ok(format!(
        "it turns open: asked {} ms after the trigger; closed {} ms, the live connection cut {} ms after the answer; \
         with a password again, open {} ms later",
        (answered - start).as_millis(),
        closed.saturating_duration_since(answered).as_millis(),
        cut.saturating_duration_since(answered).as_millis(),
        (again - protected).as_millis()
    ))
}

/// Nothing that a camera said is in the log, in `status` or in its JSON as it was.
fn harmless(lab: &Lab, agent: &Agent) -> Result<String> {
    let log: Vec<String> = agent.lines().into_iter().map(|line| line.text).collect();
    let told = |name: &str| log.iter().any(|line| line.contains(&format!("mapping {name} stays closed")));
    ensure!(told("escapes") && told("realm"), "the log does not name them:\n{}", log.join("\n"));
    let mut texts = log.clone();
    for args in [&["status"][..], &["status", "--json"]] {
        let said = lab.verb(args)?;
        texts.push(said.stdout + &said.stderr);
    }
    let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    if let Some(text) = texts.iter().find(|text| text.contains(raw)) {
        anyhow::bail!("raw: {}", text.escape_debug());
    }
    let bytes: usize = log.iter().map(String::len).sum();
    Ok(format!("nothing raw in the log ({} lines, {bytes} bytes), in status or its JSON", log.len()))
}

/// No connection of ours went out by the WAN, and each that went out by the LAN could go no farther.
fn at_home(lab: &Lab) -> Result<String> {
    let count = |name: &str| -> Result<u64> {
        let text = lab.router.sh(&format!("nft list counter inet watch {name}"))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "packets").context("no counter")?;
        Ok(words.get(at + 1).context("no number")?.parse()?)
    };
    let (wan, one_hop, farther) = (count("wan")?, count("one_hop")?, count("farther")?);
    ensure!(
        wan == 0 && farther == 0,
        "{wan} questions by the WAN, {farther} that may go farther than the LAN"
    );
    ensure!(one_hop > WAYS.len() as u64, "the watch saw {one_hop} questions only");
    // And the watch would have seen one: nobody listens there, but the connection is begun.
    let _ = probe::connect(&lab.router, (WEB4, 80).into(), SECOND / 5);
    ensure!(count("wan")? > 0, "the watch is blind");
    Ok(format!("connections begun by the router: {one_hop} by the LAN, each for one hop; none by the WAN"))
}

/// Asked by itself, of a place beyond a router, the question does not arrive, and a usual connection does.
fn one_hop(lab: &Lab, from: &Host) -> Result<()> {
    let target = SocketAddr::from((WEB4, 80));
    let web = lab.internet.enter(|| Ok(TcpListener::bind(target)?))?;
    drop(probe::connect(&from.ns, target, SECOND).context("nobody gets out of the LAN")?);
    web.accept()?;
    web.set_nonblocking(true)?;
    let inquiry = Inquiry { target, how: Probe::Http, path: "/".into() };
    let found = from.ns.enter(|| Ok(smol::block_on(ask(&inquiry, 5 * SECOND))))?;
    ensure!(found == Protection::Silent, "a camera beyond a router {found}");
    ensure!(web.accept().is_err(), "the question left the LAN");
    Ok(())
}

/// Counts what the router itself begins, by the device by which it leaves and by how far it may go.
const WATCH: &str = "
table inet watch {
	counter wan {}
	counter one_hop {}
	counter farther {}
	chain output {
		type filter hook output priority filter; policy accept;
		oifname \"wan0\" tcp flags & (syn | ack) == syn counter name \"wan\"
		oifname \"lan0\" tcp flags & (syn | ack) == syn ip ttl 1 counter name \"one_hop\"
		oifname \"lan0\" tcp flags & (syn | ack) == syn ip ttl != 1 counter name \"farther\"
	}
}
";

fn config() -> String {
    let mut text = format!(
        "config porchlight 'global'\n\toption mapping_backend 'nft'\n\toption timeout '{TIMEOUT}s'\n\n\
         config wan 'wan'\n\toption device 'wan0'\n\tlist accept '203.0.113.0/24'\n\n"
    );
    for (name, key, value) in [
        ("front", "mac", CAMERA_MAC),
        ("bad", "mac", BAD_MAC),
        ("gone", "mac", GONE_MAC),
        ("far", "ip", "198.51.100.80"),
    ] {
        text += &format!("config camera '{name}'\n\toption {key} '{value}'\n\n");
    }
    let mut mapping = |name: &str, camera: &str, public: u16, port: u16, probe: &str| {
        text += &format!(
            "config mapping '{name}'\n\toption camera '{camera}'\n\toption src_dport '{public}'\n\
             \toption dest_port '{port}'\n\toption probe '{probe}'\n\n"
        );
    };
    mapping("front_rtsp", "front", PORT, 554, "rtsp");
    for (port, (name, probe, ..)) in (1000..).zip(WAYS) {
        mapping(name, "bad", 20000 + port, port, probe);
    }
    mapping("unheard", "bad", 20999, 999, "rtsp");
    mapping("nobody", "gone", 20998, 554, "rtsp");
    mapping("outside", "far", 20997, 80, "http");
    text
}

/// A connection from outside to the good camera's port.
fn dial(lab: &Lab) -> Result<TcpStream> {
    probe::connect(&lab.internet, (WAN4, PORT).into(), SECOND / 5)
}

fn wait_open(lab: &Lab, limit: Duration) -> Result<(TcpStream, Instant)> {
    until("a viewer reaches the good camera", limit, || {
        let mut call = dial(lab).ok()?;
        probe::echoes(&mut call).ok()?.then(|| (call, Instant::now()))
    })
}

/// What a camera was told, and what it is to do.
#[derive(Default)]
struct Told {
    connections: AtomicUsize,
    questions: AtomicUsize,
    /// It serves anybody.
    open: AtomicBool,
    /// When it first did.
    served: Mutex<Option<Instant>>,
}

impl Told {
    /// Connections and questions so far.
    fn cost(&self) -> (usize, usize) {
        (self.connections.load(Ordering::Acquire), self.questions.load(Ordering::Acquire))
    }

    fn served(&self) -> Option<Instant> {
        *self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server on a host, each call on a thread of its own, until the lab ends.
fn serve(
    host: &Host,
    port: u16,
    act: impl Fn(&mut TcpStream, &Told) -> io::Result<()> + Send + Sync + 'static,
) -> Result<Arc<Told>> {
    let listener = host.ns.enter(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
    let (told, act) = (Arc::new(Told::default()), Arc::new(act));
    let shared = told.clone();
    thread::spawn(move || {
        for mut call in listener.incoming().map_while(Result::ok) {
            let (told, act) = (shared.clone(), act.clone());
            told.connections.fetch_add(1, Ordering::AcqRel);
            thread::spawn(move || act(&mut call, &told));
        }
    });
    Ok(told)
}

/// The good camera: Digest, or open. A line that belongs to no question comes back, for [`probe::echoes`].
fn front(call: &mut TcpStream, told: &Told) -> io::Result<()> {
    let mut question = String::new();
    for line in BufReader::new(call.try_clone()?).lines() {
        let line = line?;
        if question.is_empty() && !line.ends_with("RTSP/1.0") {
            writeln!(call, "{line}")?;
        } else if !line.is_empty() {
            question.push_str(&line);
        } else {
            told.questions.fetch_add(1, Ordering::AcqRel);
            let open = told.open.load(Ordering::Acquire);
            let described = std::mem::take(&mut question).starts_with("DESCRIBE");
            say(call, match (described, open) {
                (false, _) => "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n",
                (true, false) => "RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n",
                (true, true) => "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
            })?;
            if described && open {
                told.served.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
            }
        }
    }
    Ok(())
}

fn say(call: &mut TcpStream, text: &str) -> io::Result<()> {
    call.write_all(text.as_bytes())
}

/// Ten megabytes without an end of a line.
fn flood(call: &mut TcpStream) -> io::Result<()> {
    say(call, "RTSP/1.0 200 ").and_then(|()| call.write_all(&vec![b'!'; 10 << 20]))
}

/// A byte a second.
fn drip(call: &mut TcpStream) -> io::Result<()> {
    for byte in b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=x\r\n\r\n" {
        call.write_all(&[*byte])?;
        thread::sleep(SECOND);
    }
    Ok(())
}

/// Takes the question and says nothing.
fn mute(call: &mut TcpStream) -> io::Result<()> {
    io::copy(call, &mut io::sink()).map(drop)
}

fn thousand_headers(call: &mut TcpStream) -> io::Result<()> {
    say(
        call,
        &format!("HTTP/1.1 401 No\r\n{}WWW-Authenticate: Digest realm=x\r\n\r\n", "a: b\r\n".repeat(1000)),
    )
}

fn redirect(host: &str, port: u16) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: http://{host}:{port}/\r\nContent-Length: 0\r\n\r\n")
}
