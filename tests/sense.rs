//! The sensors against a real kernel. What needs a network runs in a network namespace of its own, made by starting
//! this test binary anew under unshare(1) for that one test. Nothing leaves it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

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
    assert!(out.status.success(), "{text}");
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

fn sysctl(key: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{key}"), value).unwrap();
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

/// A program in place of `ubus` that answers from files and counts how often it is asked.
fn stand_in(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir).unwrap();
    let program = dir.join("ubus");
    let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 9\necho x >> asked\n\
                  [ \"$1 $3 $4\" = 'call status {}' ] || exit 2\n\
                  [ -e \"$2\" ] || { echo 'Command failed: Not found' >&2; exit 4; }\ncat \"$2\"\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn interfaces_of_netifd_are_asked_for_when_something_happens() {
    in_namespace("interfaces_of_netifd_are_asked_for_when_something_happens", || {
        let dir = std::env::temp_dir().join(format!("porchlight-netifd-{}", std::process::id()));
        let program = stand_in(&dir);
        let answer = |name: &str, text: &str| {
            std::fs::write(dir.join("new"), text).unwrap();
            std::fs::rename(dir.join("new"), dir.join(format!("network.interface.{name}"))).unwrap();
        };
        let asked = || std::fs::read_to_string(dir.join("asked")).map_or(0, |text| text.lines().count());
        let network = Rc::new(Network::open().unwrap());
        network.set_wans(&wan(Device::Interfaces(vec!["wan".into(), "wan6".into()])));
        let (answer, asked, program, sensor) = (&answer, &asked, &program, network.clone());
        listen(&network, |ear| async move {
            let network = sensor;
            let script = async {
                let first = ear.wan("anything", |_| true).await;
                assert_eq!(
                    (first.device, first.interfaces.len()),
                    (None, 2),
                    "not before both were asked for"
                );
                assert!(first.interfaces.iter().all(|one| one.trouble), "{:?}", first.interfaces);
                answer("wan", include_str!("netifd/dhcp"));
                device("eth1", "p1");
                ip_batch("addr add 203.0.113.10/24 dev eth1\nroute add default via 203.0.113.1 dev eth1");
                let up = ear.wan("the line", |w| w.v4 == Some(addr("203.0.113.10")) && w.route4).await;
                assert_eq!(up.device.as_deref(), Some("eth1"));
                assert_eq!(up.interfaces[0].standing, "up on eth1");
                assert!(!up.interfaces[1].trouble, "one that is unknown is none while another is known");
                answer("wan", include_str!("netifd/not-started"));
                network.rescan();
                let down = ear.wan("what netifd says now", |w| w.v4.is_none()).await;
                assert_eq!(down.device, None, "the kernel has it still, but it is the WAN's no more");
                // Routes to elsewhere, neighbours and the like are nobody's business.
                let before = asked();
                ip_batch(
                    "route add 198.51.100.0/24 via 203.0.113.1 dev eth1\nneigh add 203.0.113.9 lladdr \
                          02:00:00:00:00:09 dev eth1\nlink set eth1 txqueuelen 17",
                );
                ear.fresh().await;
                answer("wan", include_str!("netifd/dhcp"));
                network.rescan();
                ear.wan("the line again", |w| w.v4.is_some()).await;
                assert!(asked() <= before + 4, "asked {} times for two looks at two", asked() - before);
            };
            let sensor = async {
                netifd::run(network.clone(), program).await.unwrap();
            };
            or(script, sensor).await;
        });
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn addresses_and_routes_come_and_go() {
    in_namespace("addresses_and_routes_come_and_go", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let first = ear.wan("the device", |w| w.device.is_some()).await;
            assert_eq!((first.v4, first.route4), (None, false));
            ip("addr add 203.0.113.7/24 dev wan0");
            assert!(!ear.wan("the address", |w| w.v4 == Some(addr("203.0.113.7"))).await.route4);
            ip("route add default via 203.0.113.1");
            ear.wan("the route", |w| w.route4).await;
            assert!(ear.owns("wan0", "203.0.113.7") && ear.owns("lo", "127.0.0.1"));
            ip("addr add 203.0.113.8/24 dev wan0");
            ip("addr del 203.0.113.7/24 dev wan0");
            // The kernel takes the default route along and says nothing.
            let gone = ear.wan("the end of it", |w| w.v4.is_none()).await;
            assert!(!gone.route4 && !ear.owns("wan0", "203.0.113.8"));
            ip_batch("addr add 203.0.113.9/24 dev wan0\nroute add default via 203.0.113.1");
            ear.wan("both", |w| w.v4 == Some(addr("203.0.113.9")) && w.route4).await;
            ip("route replace blackhole default");
            ear.wan("a route that leads nowhere", |w| !w.route4).await;
            ip("route replace default via 203.0.113.1");
            ear.wan("the route again", |w| w.route4).await;
            ip("link set wan0 down");
            ear.wan("no route when down", |w| !w.route4).await;
            ip("link set wan0 up");
            ip("route replace default via 203.0.113.1");
            ear.wan("up", |w| w.route4).await;
            ip("link set p0 down");
            ear.wan("no route without carrier", |w| !w.route4 && w.v4.is_some()).await;
            ip("link set p0 up");
            ear.wan("the carrier again", |w| w.route4).await;
        });
    });
}

fn index_of(name: &str) -> String {
    let out = Command::new("ip").args(["-o", "link", "show", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split(':').next().unwrap().to_string()
}

#[test]
fn a_device_that_comes_late_and_is_made_anew() {
    in_namespace("a_device_that_comes_late_and_is_made_anew", || {
        let network = Network::open().unwrap();
        network.set_wans(&named("ppp-wan"));
        listen(&network, |ear| async move {
            assert_eq!(ear.fresh().await, WanSnapshot::default());
            let mut indices = Vec::new();
            for round in 1..=5 {
                device("ppp-wan", "p0");
                indices.push(index_of("ppp-wan"));
                ip(&format!("addr add 203.0.113.{round} peer 203.0.113.254/32 dev ppp-wan"));
                ip("route add default dev ppp-wan");
                let here = addr(&format!("203.0.113.{round}"));
                ear.wan("the device", |w| w.v4 == Some(here) && w.route4 && w.device.is_some()).await;
                ip("link del ppp-wan");
                ear.wan("its end", |w| *w == WanSnapshot::default()).await;
            }
            indices.dedup();
            assert_eq!(indices.len(), 5, "another index each time");
            // Gone and back before the sensor looks.
            device("ppp-wan", "p0");
            ip("addr add 203.0.113.77/24 dev ppp-wan");
            ip("link del ppp-wan");
            device("ppp-wan", "p0");
            ip_batch("addr add 203.0.113.78/24 dev ppp-wan\nroute add default via 203.0.113.1");
            ear.wan("the last", |w| w.v4 == Some(addr("203.0.113.78")) && w.route4).await;
            assert!(!ear.owns("ppp-wan", "203.0.113.77"));
            // A rename is another device by name.
            ip("link set ppp-wan down");
            ip("link set ppp-wan name other");
            ear.wan("no more", |w| w.device.is_none()).await;
        });
    });
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

#[test]
fn an_overrun_is_made_good() {
    in_namespace("an_overrun_is_made_good", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_receive_buffer(1).unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ear.fresh().await;
            for round in 1..=3u8 {
                let adds: Vec<_> =
                    (1..200).map(|n| format!("addr add 10.{round}.{n}.1/24 dev wan0")).collect();
                ip_batch(&adds.join("\n"));
                ip_batch(&adds.join("\n").replace(" add ", " del "));
                ip(&format!("addr add 203.0.113.{round}/24 dev wan0"));
                ip("route replace default via 203.0.113.254");
                assert!(dropped(ROUTE_GROUPS) > 0, "there was no overrun");
                let here = addr(&format!("203.0.113.{round}"));
                ear.wan("the truth", |w| w.v4 == Some(here) && w.route4).await;
                let left: Vec<_> = ear.own.borrow().iter().map(|own| own.addr.to_string()).collect();
                assert!(!left.iter().any(|text| text.starts_with("10.")), "{left:?}");
                ip(&format!("addr del 203.0.113.{round}/24 dev wan0"));
                ear.wan("its end", |w| w.v4.is_none() && !w.route4).await;
            }
        });
    });
}

#[test]
fn ipv6_addresses_that_are_not_to_be_published() {
    in_namespace("ipv6_addresses_that_are_not_to_be_published", || {
        device("wan0", "p0");
        sysctl("wan0/accept_ra", "0");
        sysctl("wan0/dad_transmits", "100");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ip("addr add 2001:db8::1/64 dev wan0");
            let now = ear.fresh().await;
            assert!(ear.owns("wan0", "2001:db8::1") && now.v6.is_none(), "tentative: {now:?}");
            ip("addr add fd00::1/64 dev wan0 nodad");
            ip("addr add fe80::99/64 dev wan0 nodad");
            let now = ear.fresh().await;
            // Told for want of a better one, so that witnesses are asked what stands for it outside; never published.
            assert!(ear.owns("wan0", "fd00::1"));
            assert_eq!(now.v6, Some(addr("fd00::1")), "unique-local");
            ip("addr del 2001:db8::1/64 dev wan0");
            ip("addr add 2001:db8::2/64 dev wan0 nodad preferred_lft 1000 valid_lft 2000");
            ear.wan("a good one", |w| w.v6 == Some(addr("2001:db8::2"))).await;
            ip("addr add 2001:db8::1/64 dev wan0 nodad");
            let now = ear.fresh().await;
            assert!(ear.owns("wan0", "2001:db8::1"));
            assert_eq!(now.v6, Some(addr("2001:db8::2")), "kept while it is fit");
            ip("addr change 2001:db8::2/64 dev wan0 preferred_lft 0 valid_lft 2000");
            ear.wan("the other", |w| w.v6 == Some(addr("2001:db8::1"))).await;
            ip("addr del 2001:db8::1/64 dev wan0");
            ear.wan("the private one again", |w| w.v6 == Some(addr("fd00::1"))).await;
            ip("addr del fd00::1/64 dev wan0");
            ear.wan("none", |w| w.v6.is_none()).await;
            assert!(ear.owns("wan0", "2001:db8::2"), "deprecated");
            // The peer has it: duplicate address detection fails.
            sysctl("wan0/dad_transmits", "1");
            ip("addr add 2001:db8::66/64 dev p0 nodad");
            ip("addr add 2001:db8::66/64 dev wan0");
            let failed = || {
                let out = Command::new("ip")
                    .args(["-6", "addr", "show", "dev", "wan0", "dadfailed"])
                    .output()
                    .unwrap();
                String::from_utf8_lossy(&out.stdout).contains("2001:db8::66")
            };
            let start = Instant::now();
            while !failed() {
                assert!(start.elapsed() < PATIENCE && ear.fresh().await.v6.is_none());
            }
            assert_eq!(ear.fresh().await.v6, None);
            assert!(ear.owns("wan0", "2001:db8::66"), "failed");
        });
    });
}

#[test]
fn ipv6_duplicate_detection_ends_in_an_event() {
    in_namespace("ipv6_duplicate_detection_ends_in_an_event", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ip("addr add 2001:db8::1/64 dev wan0");
            assert_eq!(ear.fresh().await.v6, None);
            ear.wan("settled", |w| w.v6 == Some(addr("2001:db8::1"))).await;
            ip("route add default via fe80::1 dev wan0");
            ear.wan("its route", |w| w.route6 && !w.route4).await;
            ip("route del default via fe80::1 dev wan0");
            ear.wan("no route", |w| !w.route6).await;
            ip("route add default from 2001:db8::/64 via fe80::1 dev wan0");
            ear.wan("a route for one prefix, as netifd makes it", |w| w.route6).await;
        });
    });
}

#[test]
fn ipv6_temporary_addresses_are_not_published() {
    in_namespace("ipv6_temporary_addresses_are_not_published", || {
        device("wan0", "p0");
        sysctl("wan0/dad_transmits", "0");
        sysctl("wan0/use_tempaddr", "2");
        // Numerically the highest, so that a temporary one would be chosen if nothing else decided.
        ip("addr add 2001:db8::ffff:ffff:ffff:ffff/64 dev wan0 mngtmpaddr nodad preferred_lft 1000 valid_lft 2000");
        let stable = addr("2001:db8::ffff:ffff:ffff:ffff");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let temporary = |own: &OwnAddr| {
                own.device == "wan0" && own.addr.to_string().starts_with("2001:db8") && own.addr != stable
            };
            let mut now = ear.fresh().await;
            while !ear.own.borrow().iter().any(temporary) {
                now = ear.wan("a temporary address", |_| true).await;
            }
            assert_eq!(now.v6, Some(stable));
            let last = ear.own.borrow().iter().find(|own| temporary(own)).unwrap().addr;
            assert!(last < stable);
        });
    });
}

#[test]
fn auto_follows_the_default_route() {
    in_namespace("auto_follows_the_default_route", || {
        device("wan0", "p0");
        device("wan1", "p1");
        ip_batch("addr add 203.0.113.7/24 dev wan0\naddr add 198.51.100.7/24 dev wan1");
        ip("addr add 2001:db8::7/64 dev wan0 nodad");
        let network = Network::open().unwrap();
        network.set_wans(&wan(Device::Auto));
        listen(&network, |ear| async move {
            assert_eq!(ear.fresh().await, WanSnapshot::default());
            ip("route add default via 203.0.113.1 metric 20");
            let by = |w: &WanSnapshot, device: &str| w.device.as_deref() == Some(device) && w.route4;
            ear.wan("wan0", |w| by(w, "wan0") && w.v4 == Some(addr("203.0.113.7"))).await;
            ip("route add default via 198.51.100.1 metric 10");
            ear.wan("wan1", |w| by(w, "wan1") && w.v4 == Some(addr("198.51.100.7"))).await;
            ip("route add default via fe80::1 dev wan0");
            let both = ear.wan("a device for each family", |w| w.route6).await;
            assert_eq!((both.v4, both.v6), (Some(addr("198.51.100.7")), Some(addr("2001:db8::7"))));
            assert_eq!(both.device.as_deref(), Some("wan1"));
            // A table that only rules lead to, as a VPN's, is not looked at.
            ip("route add default via 203.0.113.1 table 300");
            assert!(by(&ear.fresh().await, "wan1"));
            ip("link set p1 down");
            ear.wan("the one with a carrier", |w| by(w, "wan0")).await;
            ip("link set p1 up");
            ear.wan("wan1 again", |w| by(w, "wan1")).await;
            ip("route del default metric 10");
            ear.wan("wan0 again", |w| by(w, "wan0")).await;
            ip("route del default metric 20");
            let six = ear.wan("IPv6 only", |w| w.v4.is_none()).await;
            assert_eq!((six.device.as_deref(), six.route4, six.route6), (Some("wan0"), false, true));
            // A device that is named needs a route in any table (policy routing).
            network_set(&ear, &named("wan0"));
            ear.wan("route of table 300", |w| w.route4 && w.v4 == Some(addr("203.0.113.7"))).await;
            ip("route add default table 301 nexthop via 203.0.113.1 dev wan0 nexthop via 198.51.100.1 dev wan1");
            network_set(&ear, &named("wan1"));
            ear.wan("route of several ways", |w| w.route4 && w.v4 == Some(addr("198.51.100.7"))).await;
        });
    });
}

fn network_set(ear: &Ear<'_>, wans: &[Wan]) {
    while ear.rx.try_recv().is_ok() {}
    ear.network.set_wans(wans);
}

#[test]
fn a_rescan_tells_even_what_did_not_change() {
    in_namespace("a_rescan_tells_even_what_did_not_change", || {
        device("wan0", "p0");
        ip("addr add 203.0.113.7/24 dev wan0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let first = ear.fresh().await;
            for _ in 0..10 {
                assert_eq!(ear.fresh().await, first);
            }
            assert!(ear.rx.is_empty());
            network_set(&ear, &[]);
            assert!(matches!(ear.next().await, Event::Network { wans, .. } if wans.is_empty()));
        });
    });
}

const CAMERA: Mac = Mac([2, 0, 0, 0, 0, 9]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x55]);

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

#[test]
fn only_the_cameras_neighbour_entries_wake() {
    in_namespace("only_the_cameras_neighbour_entries_wake", || {
        lan();
        ip_batch(&chatter(1));
        ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud stale");
        ip("neigh replace 192.168.1.99 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
        let network = Network::open().unwrap();
        assert!(netlink_column(NEIGH_GROUPS, 1).is_empty(), "no socket hears neighbours yet");
        watch_camera(&network);
        listen(&network, |ear| async move {
            let neighbour = || async {
                loop {
                    match ear.next().await {
                        Event::Network { .. } => {}
                        event => return event,
                    }
                }
            };
            let dumped = vec![
                (addr("192.168.1.9"), sighting(CAMERA, false)),
                (addr("192.168.1.99"), sighting(CAMERA, true)),
            ];
            assert_eq!(neighbour().await, Event::Neighbours(dumped));
            assert_eq!(netlink_column(NEIGH_GROUPS, 1).len(), 1);
            ip_batch(&chatter(10));
            assert_eq!(queued(NEIGH_GROUPS), 0, "nothing of the others is even queued");
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud reachable");
            assert!(queued(NEIGH_GROUPS) > 0);
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.9"), Some(sighting(CAMERA, true)))
            );
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), Some(sighting(OTHER, true))));
            ip("neigh replace 192.168.1.42 lladdr 02:00:00:00:00:09 dev lan0 nud stale");
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.42"), Some(sighting(CAMERA, false)))
            );
            ip("neigh replace fd00::9 lladdr 02:00:00:00:00:55 dev lan0 nud permanent");
            assert_eq!(neighbour().await, Event::Neighbour(addr("fd00::9"), Some(sighting(OTHER, true))));
            ip("neigh replace fd00::43 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
            assert_eq!(neighbour().await, Event::Neighbour(addr("fd00::43"), Some(sighting(CAMERA, true))));
            ip("neigh del 192.168.1.9 dev lan0");
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), None));
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), None), "failed, then gone");
            ip_batch(&chatter(3));
            // Other cameras: the table is read anew, and only theirs is told from then on.
            ear.network.set_cameras(&[OTHER], &[]).unwrap();
            assert_eq!(neighbour().await, Event::Neighbours(vec![(addr("fd00::9"), sighting(OTHER, true))]));
            ip("neigh replace 192.168.1.42 lladdr 02:00:00:00:00:09 dev lan0 nud reachable");
            ip("neigh replace 192.168.1.44 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.44"), Some(sighting(OTHER, true)))
            );
            ear.network.rescan();
            let Event::Neighbours(all) = neighbour().await else { panic!("no table") };
            assert_eq!(all.len(), 2);
            ear.network.set_cameras(&[], &[]).unwrap();
            assert_eq!(neighbour().await, Event::Neighbours(vec![]));
            assert_eq!(dropped(NEIGH_GROUPS), 0);
            assert!(netlink_column(NEIGH_GROUPS, 1).is_empty(), "no socket hears neighbours now");
        });
    });
}

#[test]
fn lost_neighbour_events_are_made_good() {
    in_namespace("lost_neighbour_events_are_made_good", || {
        lan();
        let network = Network::open().unwrap();
        network.set_receive_buffer(1).unwrap();
        watch_camera(&network);
        listen(&network, |ear| async move {
            while !matches!(ear.next().await, Event::Neighbours(_)) {}
            let mut lines = String::new();
            for n in 0..300 {
                let state = ["reachable", "stale"][n % 2];
                lines +=
                    &format!("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud {state}\n");
            }
            ip_batch(&lines);
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert!(dropped(NEIGH_GROUPS) > 0, "there was no overrun");
            let truth = vec![(addr("192.168.1.9"), sighting(OTHER, true))];
            while ear.next().await != Event::Neighbours(truth.clone()) {}
        });
    });
}

#[test]
fn more_cameras_than_the_filter_takes() {
    in_namespace("more_cameras_than_the_filter_takes", || {
        lan();
        let network = Network::open().unwrap();
        let macs: Vec<Mac> = (0..40).map(|n| Mac([2, 0, 0, 0, 9, n])).collect();
        network.set_cameras(&macs, &[]).unwrap();
        listen(&network, |ear| async move {
            while ear.next().await != Event::Neighbours(vec![]) {}
            ip_batch(&chatter(1));
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:09:27 dev lan0 nud reachable");
            let expected = Event::Neighbour(addr("192.168.1.9"), Some(sighting(macs[39], true)));
            loop {
                match ear.next().await {
                    Event::Network { .. } => {}
                    event => {
                        assert_eq!(event, expected, "others pass the filter, and end here");
                        break;
                    }
                }
            }
        });
    });
}

#[test]
fn noise_of_the_network_does_not_wake() {
    in_namespace("noise_of_the_network_does_not_wake", || {
        device("wan0", "p0");
        lan();
        ip("addr add 203.0.113.7/24 dev wan0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ear.fresh().await;
            let routes: Vec<_> =
                (0..200).map(|n| format!("route add 10.0.{n}.0/24 via 203.0.113.1")).collect();
            ip_batch(&routes.join("\n"));
            ip("route add 2001:db8:5::/48 via fd00::2");
            ip("route add ff05::/16 dev lan0 table local");
            ip("route del 10.0.3.0/24");
            ip_batch(&chatter(2));
            assert_eq!(queued(ROUTE_GROUPS), 0);
            ip("route add default via 203.0.113.1");
            assert!(queued(ROUTE_GROUPS) > 0);
            ear.wan("the default route among them", |w| w.route4).await;
        });
    });
}

#[test]
fn a_socket_hears_the_kernel_only() {
    in_namespace("a_socket_hears_the_kernel_only", || {
        let socket = netlink::Socket::open(0, &porchlight::sense::filter::network()).unwrap();
        let mut buffer = socket.buffer();
        assert_eq!(socket.receive(&mut buffer).unwrap(), netlink::Received::Nothing);
        let seq = socket.ask(porchlight::wire::rtnl::kind::GETLINK, None).unwrap();
        smol::block_on(socket.readable()).unwrap();
        assert_eq!(socket.receive(&mut buffer).unwrap(), netlink::Received::Datagram);
        let (header, message) = porchlight::wire::rtnl::messages(&buffer).next().unwrap().unwrap();
        assert!(socket.answers(&header, seq) && !socket.answers(&header, seq + 1));
        assert!(matches!(message, porchlight::wire::rtnl::Message::Link(link) if link.name == "lo"));
    });
}

/// How long the idle agent is watched.
const IDLE: Duration = Duration::from_secs(3);

/// A system call that is easy to find in strace's output.
fn mark(name: &str) {
    let _ = std::fs::metadata(format!("/porchlight-mark-{name}"));
}

/// All sensors of an agent together, as strace(1) sees them: what they cost on a quiet LAN, on a chatty one, and per
/// event of a camera.
#[test]
fn what_the_sensors_cost_in_system_calls() {
    const NAME: &str = "what_the_sensors_cost_in_system_calls";
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return all_sensors_under_strace();
    }
    let Some(way) = way_in() else {
        return skipped("no network namespaces here (unshare, iproute2), or not allowed");
    };
    if !Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        return skipped("no strace here, or not allowed");
    }
    let tree = Tree::new("strace");
    let file = tree.0.join("calls");
    let text = run_self(
        &[&["timeout", "120"], way, &["strace", "-f", "-qq", "-o", file.to_str().unwrap()]].concat(),
        NAME,
    );
    let threads = text.split_once("threads ").unwrap().1.lines().next().unwrap();
    let threads: Vec<&str> = threads.split(' ').collect();
    let calls = std::fs::read_to_string(&file).unwrap();
    let between = |from: &str, to: &str| {
        let part = calls
            .split_once(&format!("mark-{from}\""))
            .unwrap()
            .1
            .split_once(&format!("mark-{to}\""))
            .unwrap()
            .0;
        // A call that another thread interrupted has a second line; a signal is no call.
        let ours = |line: &&str| {
            let (tid, call) = line.split_once(' ').unwrap();
            threads.contains(&tid) && !call.trim_start().starts_with(['<', '-'])
        };
        // The first line is the rest of the mark's own.
        part.lines().skip(1).filter(ours).count()
    };
    let (idle, chatty, mixed) =
        (between("idle", "idle-end"), between("chatty", "chatty-end"), between("mixed", "mixed-end"));
    println!("idle, {IDLE:?}: {idle} system calls");
    println!("{} events of 20 neighbours: {chatty} system calls", 20 * 50);
    println!(
        "21 x 20 events, one in 21 of a camera: {mixed} system calls, {:.2} per event",
        mixed as f64 / 420.0
    );
    assert_eq!(idle, 0);
    assert_eq!(chatty, 0);
    assert!(mixed > 0 && mixed <= 2 * 420);
}

fn all_sensors_under_strace() {
    lan();
    device("wan0", "p0");
    ip_batch("addr add 203.0.113.7/24 dev wan0\nroute add default via 203.0.113.1");
    let network = Network::open().unwrap();
    network.set_wans(&named("wan0"));
    watch_camera(&network);
    let signals = Signals::register().unwrap();
    let tree = Tree::new("idle");
    let paths = Paths::usual(&tree.0);
    let (tx, rx) = smol::channel::unbounded();
    let (done, finished) = smol::channel::bounded::<()>(1);
    let script = std::thread::spawn(move || {
        // Duplicate address detection of the link-local addresses must be over.
        std::thread::sleep(IDLE);
        let own = rustix::thread::gettid().as_raw_nonzero().to_string();
        let tids = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        println!("threads {}", tids.filter(|tid| *tid != own).collect::<Vec<_>>().join(" "));
        mark("idle");
        std::thread::sleep(IDLE);
        mark("idle-end");
        let chatter = chatter(50);
        mark("chatty");
        ip_batch(&chatter);
        mark("chatty-end");
        mark("mixed");
        for round in 0..20 {
            let state = ["reachable", "stale"][round % 2];
            let camera = format!("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud {state}\n");
            ip_batch(&(self::chatter(1) + &camera));
        }
        mark("mixed-end");
        done.try_send(()).unwrap();
    });
    let sensors = async {
        let network = async { network.run(teller(tx.clone())).await.unwrap() };
        let files = async { files::run(paths, teller(tx.clone())).await.unwrap() };
        let clock = async { clock::run(teller(tx.clone())).await.unwrap() };
        let signals = async { assert_eq!(signals.next().await.unwrap(), Signal::Stop) };
        or(or(network, files), or(clock, signals)).await;
        panic!("a sensor ended");
    };
    let agent = async {
        let mut events = 0;
        while or(async { rx.recv().await.is_ok() }, async { finished.recv().await.is_err() }).await {
            events += 1;
        }
        assert!(events > 20, "the camera's events came: {events}");
    };
    smol::block_on(or(agent, sensors));
    script.join().unwrap();
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

/// Runs a script beside the file sensor; it is handed a way to get the next event.
fn watch<F: Future<Output = ()>>(root: &Path, script: impl FnOnce(Receiver<Event>) -> F) {
    let (tx, rx) = smol::channel::unbounded();
    let run = async {
        files::run(Paths::usual(root), teller(tx)).await.unwrap();
        panic!("the sensor ended");
    };
    smol::block_on(or(script(rx), run));
}

fn sighting(mac: Mac, fresh: bool) -> Sighting {
    Sighting { mac, confirmed: fresh.then_some(Duration::ZERO) }
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

async fn next(rx: &Receiver<Event>) -> Event {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("no event in {PATIENCE:?}");
    };
    or(async { rx.recv().await.unwrap() }, late).await
}

/// Nothing comes for several times as long as the sensor ever waits before it reads.
async fn silence(rx: &Receiver<Event>) {
    let quiet = async {
        smol::Timer::after(Duration::from_millis(300)).await;
        None
    };
    assert_eq!(or(async { rx.recv().await.ok() }, quiet).await, None);
}

fn lease_line(last: u8) -> String {
    format!("1763823000 02:00:00:00:00:09 192.168.1.{last} IPCam *\n")
}

fn at(last: u8) -> Event {
    let lease = Lease {
        expiry: 1_763_823_000,
        mac: CAMERA,
        addr: IpAddr::from([192, 168, 1, last]),
        name: Some("ipcam".into()),
    };
    Event::Leases(vec![lease])
}

#[test]
fn leases_are_followed_however_they_are_written() {
    let tree = Tree::new("leases");
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        // Directory and file come later.
        tree.make("tmp");
        tree.write("tmp/dhcp.leases", &lease_line(1));
        assert_eq!(next(&rx).await, at(1));
        for n in 2..10 {
            tree.replace("tmp/dhcp.leases", &lease_line(n));
            assert_eq!(next(&rx).await, at(n));
        }
        // As dnsmasq does: the file stays open and is written anew, in pieces.
        let mut file = std::fs::OpenOptions::new().write(true).open(tree.0.join("tmp/dhcp.leases")).unwrap();
        for n in 20..25 {
            std::io::Seek::rewind(&mut file).unwrap();
            file.set_len(0).unwrap();
            smol::future::yield_now().await;
            for piece in lease_line(n).as_bytes().chunks(16) {
                file.write_all(piece).unwrap();
                smol::future::yield_now().await;
            }
            assert_eq!(next(&rx).await, at(n), "never an empty or torn list in between");
        }
        // The same content, and names that do not concern us.
        tree.replace("tmp/dhcp.leases", &lease_line(24));
        tree.write("tmp/other", "x");
        silence(&rx).await;
        std::fs::remove_file(tree.0.join("tmp/dhcp.leases")).unwrap();
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        // The whole directory goes and comes.
        std::fs::remove_dir_all(tree.0.join("tmp")).unwrap();
        tree.make("tmp");
        tree.write("tmp/dhcp.leases", &lease_line(30));
        assert_eq!(next(&rx).await, at(30));
        // Debian's place, several directories below anything that exists.
        tree.make("var/lib/misc");
        tree.replace("var/lib/misc/dnsmasq.leases", &lease_line(31));
        assert!(matches!(next(&rx).await, Event::Leases(all) if all.len() == 2));
    });
}

#[test]
fn the_resolvers_files_are_followed_through_links() {
    let tree = Tree::new("resolver");
    tree.make("etc");
    std::os::unix::fs::symlink("/tmp/resolv.conf", tree.0.join("etc/resolv.conf")).unwrap();
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        tree.make("tmp");
        tree.write("tmp/resolv.conf", "search lan\nnameserver 127.0.0.1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        tree.make("tmp/resolv.conf.d");
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\n");
        assert_eq!(next(&rx).await, Event::Resolver(false));
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\nnameserver 192.0.2.1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\nnameserver 192.0.2.2\n");
        assert_eq!(next(&rx).await, Event::Resolver(true), "other content heals too");
        // The link itself is replaced.
        std::os::unix::fs::symlink("../run/resolve/stub", tree.0.join("etc/new")).unwrap();
        std::fs::rename(tree.0.join("etc/new"), tree.0.join("etc/resolv.conf")).unwrap();
        assert_eq!(next(&rx).await, Event::Resolver(false));
        tree.make("run/resolve");
        tree.replace("run/resolve/stub", "nameserver ::1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        // What it led to before no longer matters.
        tree.replace("tmp/resolv.conf", "nameserver 127.0.0.2\n");
        silence(&rx).await;
        // Not a plain file: neither read nor waited for.
        let fifo = tree.0.join("run/resolve/fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::fs::rename(&fifo, tree.0.join("run/resolve/stub")).unwrap();
        assert_eq!(next(&rx).await, Event::Resolver(false));
        // A link to itself.
        std::os::unix::fs::symlink("resolv.conf", tree.0.join("etc/new")).unwrap();
        std::fs::rename(tree.0.join("etc/new"), tree.0.join("etc/resolv.conf")).unwrap();
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "");
        assert_eq!(next(&rx).await, Event::Resolver(false));
    });
}

/// As OpenWrt has it: `/etc/TZ` is a link to a file that its init script writes.
#[test]
fn the_time_zone_is_followed() {
    let tree = Tree::new("zone");
    tree.make("etc");
    tree.make("tmp");
    std::os::unix::fs::symlink("/tmp/TZ", tree.0.join("etc/TZ")).unwrap();
    let zone = |text: &str| Event::TimeZone(Zone::parse(text).map_or_else(TimeZone::Bad, TimeZone::Known));
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        tree.write("tmp/TZ", "CET-1CEST,M3.5.0,M10.5.0/3\n");
        assert_eq!(next(&rx).await, zone("CET-1CEST,M3.5.0,M10.5.0/3"));
        tree.replace("tmp/TZ", "Europe/Berlin\n");
        assert!(matches!(next(&rx).await, Event::TimeZone(TimeZone::Bad(_))));
        tree.replace("tmp/TZ", "CST-8\n");
        assert_eq!(next(&rx).await, zone("CST-8"));
        std::fs::remove_file(tree.0.join("tmp/TZ")).unwrap();
        assert_eq!(next(&rx).await, zone("UTC0"));
    });
}

#[test]
fn the_clock_is_silent_while_nobody_sets_it() {
    let (tx, rx) = smol::channel::unbounded();
    let run = async {
        clock::run(teller(tx)).await.unwrap();
        panic!("the sensor ended");
    };
    smol::block_on(or(silence(&rx), run));
}

fn raise(signal: &str) {
    assert!(Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap().success());
}

#[test]
fn signals_become_a_stream() {
    if std::env::var_os(INSIDE).is_none() {
        let exe = std::env::current_exe().unwrap();
        let out = Command::new("timeout")
            .args(["60", exe.to_str().unwrap(), "--exact", "signals_become_a_stream", "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("stop seen"), "{text}{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(IMPATIENT), "the second request to stop ends it at once");
        return;
    }
    let signals = Signals::register().unwrap();
    smol::block_on(async {
        for _ in 0..3 {
            raise("-HUP");
            assert_eq!(signals.next().await.unwrap(), Signal::Reload);
        }
        raise("-TERM");
        assert_eq!(signals.next().await.unwrap(), Signal::Stop);
        println!("stop seen");
        raise("-INT");
        smol::future::pending::<()>().await;
    });
}
