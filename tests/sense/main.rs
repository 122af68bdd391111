//! The sensors against a real kernel. What needs a network runs in a network namespace of its own, made by starting
//! this test binary anew under unshare(1) for that one test. Nothing leaves it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod addresses;
mod cost;
mod ipv6;
mod neighbours;
mod signals;
mod watched;

use porchlight::config::{self, Device, Wan};
use porchlight::model::{Event, Family, Lease, Mac, OwnAddr, Sighting, TimeZone, WanSnapshot};
use porchlight::sense::files::{self, Paths};
use porchlight::sense::network::Network;
use porchlight::sense::signals::{Signal, Signals, IMPATIENT};
use porchlight::sense::{clock, netifd, netlink, Teller};
use porchlight::wire::tz::Zone;
use smol::channel::{Receiver, Sender};
use smol::future::or;
use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Set in the process that runs inside.
const INSIDE: &str = "PORCHLIGHT_TEST_INSIDE";

/// Longer than anything here takes: duplicate address detection needs two seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to get into a new network namespace here, if there is a way.
fn way_in() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-Urn"], &["unshare", "-n"]];
    ways.into_iter().find(|way| {
        let probe = Command::new(way[0]).args(&way[1..]).args(["ip", "link", "set", "lo", "up"]).output();
        probe.is_ok_and(|out| out.status.success())
    })
}

fn skipped(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {why}");
    println!("skipped: {why}");
}

/// Runs `body` in this test's own process and network namespace. `name` is the test's.
fn in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return body();
    }
    let Some(way) = way_in() else {
        return skipped("no network namespaces here (unshare, iproute2), or not allowed");
    };
    run_self(&[&["timeout", "120"], way].concat(), name);
}

/// Starts this binary for one test by way of another program.
fn run_self(by: &[&str], name: &str) -> String {
    let out = Command::new(by[0])
        .args(&by[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
    text
}

fn ip(command: &str) {
    ip_batch(command);
}

/// One command a line, by one process.
fn ip_batch(commands: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{commands}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{commands}");
}

/// A veth pair, both ends up, without IPv6 link-local noise at the far end.
fn device(name: &str, peer: &str) {
    ip_batch(&format!("link add {name} type veth peer name {peer}\nlink set {peer} up\nlink set {name} up"));
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wan(device: Device) -> Vec<Wan> {
    let accept = [("203.0.113.0", 24), ("198.51.100.0", 24), ("2001:db8::", 32)];
    let accept = accept.map(|(text, prefix)| config::Network { addr: addr(text), prefix }).to_vec();
    vec![Wan::plain("wan", device, Family::BOTH.to_vec(), accept)]
}

fn named(name: &str) -> Vec<Wan> {
    wan(Device::Named(name.into()))
}

/// What a test sees of the sensor.
struct Ear<'a> {
    network: &'a Network,
    rx: Receiver<Event>,
    own: RefCell<Vec<OwnAddr>>,
}

impl Ear<'_> {
    async fn next(&self) -> Event {
        let late = async {
            smol::Timer::after(PATIENCE).await;
            panic!("no event in {PATIENCE:?}");
        };
        let event = or(async { self.rx.recv().await.unwrap() }, late).await;
        if let Event::Network { own, .. } = &event {
            self.own.replace(own.clone());
        }
        timeless(event)
    }

    /// Waits until the WAN looks like this.
    async fn wan(&self, what: &str, fits: impl Fn(&WanSnapshot) -> bool) -> WanSnapshot {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < PATIENCE {
            if let Event::Network { wans, .. } = self.next().await {
                if let Some(now) = wans.get("wan") {
                    if fits(now) {
                        return now.clone();
                    }
                    last = Some(now.clone());
                }
            }
        }
        panic!("never seen: {what}; last {last:?}");
    }

    /// The WAN as it is now, read anew.
    async fn fresh(&self) -> WanSnapshot {
        while self.rx.try_recv().is_ok() {}
        self.network.rescan();
        self.wan("anything", |_| true).await
    }

    fn owns(&self, device: &str, text: &str) -> bool {
        self.own.borrow().iter().any(|own| own.device == device && own.addr == addr(text))
    }
}

/// What a sensor tells comes out of a channel.
fn teller(tx: Sender<Event>) -> Teller {
    Rc::new(move |event| tx.try_send(event).is_ok())
}

/// Runs a script beside the sensor, on one thread.
fn listen<'a, F: Future<Output = ()> + 'a>(network: &'a Network, script: impl FnOnce(Ear<'a>) -> F) {
    let (tx, rx) = smol::channel::unbounded();
    let script = script(Ear { network, rx, own: RefCell::default() });
    let run = async {
        network.run(teller(tx)).await.unwrap();
        panic!("the sensor ended");
    };
    smol::block_on(or(script, run));
}

/// A column of /proc/net/netlink, of the route sockets of this namespace that hear these groups.
fn netlink_column(groups: &str, column: usize) -> Vec<u64> {
    let table = std::fs::read_to_string("/proc/self/net/netlink").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1] == "0" && row[3] == groups).map(|row| row[column].parse().unwrap()).collect()
}

/// Bytes that wait to be received.
fn queued(groups: &str) -> u64 {
    netlink_column(groups, 4).iter().sum()
}

/// Messages that the kernel dropped for want of room.
fn dropped(groups: &str) -> u64 {
    netlink_column(groups, 8).iter().sum()
}

const ROUTE_GROUPS: &str = "00000551";

const NEIGH_GROUPS: &str = "00000004";

const CAMERA: Mac = Mac([2, 0, 0, 0, 0, 9]);

/// What twenty devices of a LAN do to the neighbour table in `rounds`, as lines for `ip -batch`.
fn chatter(rounds: usize) -> String {
    let mut lines = String::new();
    for round in 0..rounds {
        for n in 0..20 {
            let state = ["reachable", "stale", "delay"][(round + n) % 3];
            let family =
                if n % 4 == 0 { format!("fd00::{:x}", 100 + n) } else { format!("192.168.1.{}", 100 + n) };
            lines += &format!("neigh replace {family} lladdr 02:00:00:00:01:{n:02x} dev lan0 nud {state}\n");
        }
    }
    lines
}

fn lan() {
    device("lan0", "l0");
    ip_batch("addr add 192.168.1.1/24 dev lan0\naddr add fd00::1/64 dev lan0 nodad");
}

/// One camera, by its hardware address and at one network address of each family.
fn watch_camera(network: &Network) {
    network.set_cameras(&[CAMERA], &[addr("192.168.1.9"), addr("fd00::9")]).unwrap();
}

/// A directory of its own that goes when dropped.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let path = std::env::temp_dir().join(format!("porchlight-sense-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Tree(path)
    }

    fn make(&self, path: &str) {
        std::fs::create_dir_all(self.0.join(path)).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.0.join(path), text).unwrap();
    }

    /// As netifd does: written beside, then renamed.
    fn replace(&self, path: &str, text: &str) {
        let beside = format!("{path}.tmp");
        self.write(&beside, text);
        std::fs::rename(self.0.join(&beside), self.0.join(path)).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The event without how long ago something was confirmed, which must be next to nothing.
fn timeless(mut event: Event) -> Event {
    let wipe = |seen: &mut Sighting| {
        if let Some(ago) = &mut seen.confirmed {
            assert!(*ago < PATIENCE, "confirmed {ago:?} ago");
            *ago = Duration::ZERO;
        }
    };
    match &mut event {
        Event::Neighbour(_, Some(seen)) => wipe(seen),
        Event::Neighbours(all) => all.iter_mut().for_each(|(_, seen)| wipe(seen)),
        _ => {}
    }
    event
}

/// Nothing comes for several times as long as the sensor ever waits before it reads.
async fn silence(rx: &Receiver<Event>) {
    let quiet = async {
        smol::Timer::after(Duration::from_millis(300)).await;
        None
    };
    assert_eq!(or(async { rx.recv().await.ok() }, quiet).await, None);
}
