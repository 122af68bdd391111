//! Port mappings with the real nft and real packets: internet, router, cameras and a LAN client as network
//! namespaces. Each test runs itself again as the router, in a namespace of its own; when that
//! process ends, however it ends, the kernel takes everything away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::{Network, Proto};
use porchlight::mapping::backend::{Backend, Programs};
use porchlight::mapping::conntrack::How;
use porchlight::mapping::nft::Nft;
use porchlight::mapping::{conntrack, forwarding};
use porchlight::model::{Event, Family};
use porchlight::plan::{Carrier, MapJob, Rule};
use porchlight::sense::ruleset::Ruleset;
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

const INSIDE: &str = "PORCHLIGHT_TEST_INSIDE";
const WAN: &str = "203.0.113.4";
const VIEWER: &str = "203.0.113.9";
const STRANGER: &str = "203.0.113.8";
const ROUTER: &str = "192.168.1.1";
const CLIENT: &str = "192.168.1.20";
const CAM1: &str = "192.168.1.50";
const CAM2: &str = "192.168.1.51";
/// What must come comes within this; what must not come is waited for no longer than `QUIET`.
const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(700);
/// What a home router has anyway.
const HOME: &str = "table ip home {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname \"wan0\" counter masquerade
	}
}
";

/// Runs `story` in the router's namespace: directly if we are there, else by running this test again.
fn lab(name: &str, story: impl FnOnce(&Lab)) {
    if std::env::var_os(INSIDE).is_some() {
        return story(&Lab::build());
    }
    let Some(unshare) = ways_in().into_iter().find(|way| sh_ok("unshare", &[way, "nft", "list", "tables"]))
    else {
        let why =
            "skipped: network namespaces or nft (package nftables) or ip (iproute2) are not available here";
        println!("{name}: {why}");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        return;
    };
    let exe = std::env::current_exe().unwrap();
    let run = Command::new("timeout")
        .args(["60", "unshare", unshare])
        .arg(exe)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "in the lab:\n{out}\n{err}");
    assert!(out.contains("1 passed"), "nothing ran:\n{out}");
}

/// Options of unshare that give a network namespace: as root, else by a user namespace.
fn ways_in() -> Vec<&'static str> {
    if sh_ok("ip", &["-V"]) {
        vec!["-n", "-Urn"]
    } else {
        Vec::new()
    }
}

fn sh_ok(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|run| run.status.success())
}

fn sh(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(run.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn ip(line: &str) {
    sh("ip", &line.split(' ').collect::<Vec<_>>());
}

fn nft_load(text: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{text}");
}

/// All tables but ours.
fn others() -> String {
    let tables = sh("nft", &["list", "tables"]);
    let list = |table: &str| sh("nft", &[vec!["-s", "list"], table.split(' ').collect()].concat());
    tables.lines().filter(|line| *line != "table inet porchlight").map(list).collect()
}

/// A network namespace that lives as long as this value.
struct Namespace {
    keeper: Child,
    file: File,
}

impl Namespace {
    fn new() -> Namespace {
        // It ends when its input closes: at the latest when we end.
        let mut keeper = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let file = File::open(format!("/proc/{}/ns/net", keeper.id())).unwrap();
        Namespace { keeper, file }
    }

    /// Runs this on a thread in the namespace. Sockets that it returns stay there.
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = || {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            };
            match scope.spawn(inside).join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

struct Lab {
    internet: Namespace,
    client: Namespace,
    cam1: Namespace,
    cam2: Namespace,
}

impl Lab {
    fn build() -> Lab {
        let lab = Lab {
            internet: Namespace::new(),
            client: Namespace::new(),
            cam1: Namespace::new(),
            cam2: Namespace::new(),
        };
        // Addresses are good at once, not after a second's look for duplicates.
        let no_dad = || {
            for scope in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0").unwrap();
            }
        };
        for host in [&lab.internet, &lab.client, &lab.cam1, &lab.cam2] {
            host.within(no_dad);
        }
        no_dad();
        ip("link set lo up");
        ip("link add br-lan type bridge");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        // Where the kernel passes bridged frames through the packet filter, hairpin on one bridge breaks.
        for tables in ["iptables", "ip6tables"] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{tables}"), "0");
        }
        for (device, host) in
            [("wan0", &lab.internet), ("p0", &lab.client), ("p1", &lab.cam1), ("p2", &lab.cam2)]
        {
            let pid = host.keeper.id();
            ip(&format!("link add {device} type veth peer name eth0 netns {pid}"));
            if device != "wan0" {
                ip(&format!("link set {device} master br-lan"));
            }
            ip(&format!("link set {device} up"));
        }
        ip("link set br-lan up");
        for (device, addr) in [
            ("wan0", "203.0.113.4/24"),
            ("br-lan", "192.168.1.1/24"),
            ("wan0", "2001:db8::4/64"),
            ("br-lan", "fd00::1/64"),
        ] {
            ip(&format!("addr add {addr} dev {device}"));
        }
        let host = |host: &Namespace, addrs: &[&str], via: &[&str]| {
            host.within(|| {
                ip("link set lo up");
                ip("link set eth0 up");
                addrs.iter().for_each(|addr| ip(&format!("addr add {addr} dev eth0")));
                via.iter().for_each(|via| ip(&format!("route add default via {via}")));
            });
        };
        let viewer = ["203.0.113.9/24", "203.0.113.8/24", "2001:db8::9/64"];
        host(&lab.internet, &viewer, &[WAN]);
        host(&lab.client, &["192.168.1.20/24"], &[ROUTER]);
        host(&lab.cam1, &["192.168.1.50/24", "fd00::50/64"], &[ROUTER, "fd00::1"]);
        host(&lab.cam2, &["192.168.1.51/24"], &[ROUTER]);
        nft_load(HOME);
        lab
    }

    /// What the viewer on the internet is greeted with at this port of the WAN.
    fn outside(&self, port: u16) -> Result<String, ErrorKind> {
        self.internet.within(|| greeting(WAN, port))
    }

    /// Likewise the stranger, who has another address.
    fn stranger(&self, port: u16) -> Result<String, ErrorKind> {
        self.internet.within(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&at(STRANGER, 0).into()).unwrap();
            socket.connect_timeout(&at(WAN, port).into(), QUIET).map_err(|error| error.kind())?;
            read_greeting(socket.into())
        })
    }

    /// Likewise the client in the LAN.
    fn inside(&self, port: u16) -> Result<String, ErrorKind> {
        self.client.within(|| greeting(WAN, port))
    }
}

fn at(addr: &str, port: u16) -> SocketAddr {
    SocketAddr::new(addr.parse().unwrap(), port)
}

fn greeting(addr: &str, port: u16) -> Result<String, ErrorKind> {
    read_greeting(TcpStream::connect_timeout(&at(addr, port), QUIET).map_err(|error| error.kind())?)
}

fn read_greeting(mut stream: TcpStream) -> Result<String, ErrorKind> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|error| error.kind())?;
    Ok(text)
}

/// Greets every TCP connection with the name, the port, and the address that it came from.
fn greeter(host: &Namespace, name: &'static str, addr: &str, port: u16) {
    let listener = host.within(|| TcpListener::bind(at(addr, port)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = write!(stream, "{name}:{port} for {}", stream.peer_addr().unwrap().ip());
        }
    });
}

/// A camera that sends to whoever connects, every few milliseconds, until it cannot.
fn streamer(host: &Namespace, addr: &str, port: u16) -> JoinHandle<ErrorKind> {
    let listener = host.within(|| TcpListener::bind(at(addr, port)).unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        loop {
            if let Err(error) = stream.write_all(&[0x55; 100]) {
                return error.kind();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// Reads until nothing comes any more. Panics if it goes on and on.
fn assert_stops(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let mut buffer = [0; 100];
    for _ in 0..2000 {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    panic!("the camera's stream goes on");
}

fn assert_flows(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
}

fn network(text: &str) -> Network {
    let (addr, prefix) = text.split_once('/').unwrap();
    Network { addr: addr.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn rule(proto: Proto, src_dport: (u16, u16), target: &str, dest_port: (u16, u16)) -> Rule {
    Rule {
        mapping: format!("door_{}", src_dport.0),
        wan_devices: vec!["wan0".into()],
        wan_addrs: vec![WAN.parse().unwrap()],
        lan_device: "br-lan".into(),
        lan: network("192.168.1.0/24"),
        proto,
        src_dport,
        target: target.parse().unwrap(),
        dest_port,
        sources: Vec::new(),
        src: "wan".into(),
        dest: "lan".into(),
    }
}

fn tcp(port: u16, target: &str, to: u16) -> Rule {
    rule(Proto::Tcp, (port, port), target, (to, to))
}

fn job(rules: &[Rule], cut: &[&str]) -> MapJob {
    MapJob {
        carrier: Carrier::Nft,
        reload: true,
        generation: 1,
        rules: rules.to_vec(),
        cut: cut.iter().map(|addr| addr.parse().unwrap()).collect(),
        wan_addrs: Vec::new(),
        unseen: Vec::new(),
    }
}

/// Makes the rules be in force, all of them.
fn map(nft: &mut Nft, rules: &[Rule], cut: &[&str]) -> conntrack::Cut {
    let report = smol::block_on(nft.apply(&job(rules, cut))).unwrap();
    assert_eq!(report.refused, []);
    report.cut
}

fn nft() -> Nft {
    Nft::new(Path::new("/"))
}

#[test]
fn the_camera_is_reached_by_the_wan() {
    lab("the_camera_is_reached_by_the_wan", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        greeter(&lab.client, "client", CLIENT, 8554);
        let router = TcpListener::bind(at(ROUTER, 8554)).unwrap();
        std::thread::spawn(move || {
            router.incoming().for_each(|stream| write!(stream.unwrap(), "router").unwrap())
        });
        assert!(lab.outside(8554).is_err(), "closed before it is mapped");

        map(&mut nft(), &[tcp(8554, CAM1, 554)], &[]);
        assert_eq!(lab.outside(8554).unwrap(), format!("cam1:554 for {VIEWER}"));
        assert_eq!(lab.inside(8554).unwrap(), format!("cam1:554 for {ROUTER}"), "hairpin");
        assert_eq!(
            lab.cam1.within(|| greeting(WAN, 8554)).unwrap(),
            format!("cam1:554 for {ROUTER}"),
            "itself"
        );
        assert!(greeting(WAN, 8554).unwrap().starts_with("cam1:554"), "from the router");
        assert_eq!(lab.client.within(|| greeting(CAM1, 554)).unwrap(), format!("cam1:554 for {CLIENT}"));
        // Only what is for the WAN's address is taken.
        assert_eq!(lab.client.within(|| greeting(ROUTER, 8554)).unwrap(), "router");
        let routed = lab.internet.within(|| greeting(CLIENT, 8554)).unwrap();
        assert_eq!(routed, format!("client:8554 for {VIEWER}"));
        assert!(lab.outside(554).is_err());
    });
}

#[test]
fn udp_and_tcp_are_apart() {
    lab("udp_and_tcp_are_apart", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 5000);
        let camera = lab.cam1.within(|| UdpSocket::bind(at(CAM1, 5000)).unwrap());
        camera.set_read_timeout(Some(PATIENCE)).unwrap();
        map(&mut nft(), &[rule(Proto::Udp, (6000, 6000), CAM1, (5000, 5000))], &[]);
        for host in [&lab.internet, &lab.client] {
            let viewer = host.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
            viewer.connect(at(WAN, 6000)).unwrap();
            viewer.set_read_timeout(Some(PATIENCE)).unwrap();
            viewer.send(b"look").unwrap();
            let mut buffer = [0; 16];
            let (length, from) = camera.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"look");
            camera.send_to(b"seen", from).unwrap();
            let length = viewer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"seen");
        }
        assert!(lab.outside(6000).is_err(), "only UDP is mapped");
    });
}

#[test]
fn each_port_of_a_range_goes_to_its_own() {
    lab("each_port_of_a_range_goes_to_its_own", |lab| {
        for port in (7000..7004).chain(8000..8004) {
            greeter(&lab.cam1, "cam1", CAM1, port);
        }
        let rules = [
            rule(Proto::Tcp, (8000, 8003), CAM1, (8000, 8003)),
            rule(Proto::Tcp, (9000, 9003), CAM1, (7000, 7003)),
        ];
        map(&mut nft(), &rules, &[]);
        // Often enough that a port drawn at random would show.
        for offset in (0..4).cycle().take(24) {
            assert_eq!(lab.outside(8000 + offset).unwrap(), format!("cam1:{} for {VIEWER}", 8000 + offset));
            assert_eq!(lab.outside(9000 + offset).unwrap(), format!("cam1:{} for {VIEWER}", 7000 + offset));
            assert_eq!(lab.inside(9000 + offset).unwrap(), format!("cam1:{} for {ROUTER}", 7000 + offset));
        }
        assert!(lab.outside(9004).is_err());
        // The largest range that may move its numbers is really taken by nft.
        map(&mut nft(), &[rule(Proto::Tcp, (10000, 11023), CAM1, (6000, 7023))], &[]);
        assert_eq!(lab.outside(11000).unwrap(), format!("cam1:7000 for {VIEWER}"));
    });
}

#[test]
fn src_ip_says_who_may() {
    lab("src_ip_says_who_may", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        let limited = |sources: &[&str]| Rule {
            sources: sources.iter().map(|source| network(source)).collect(),
            ..tcp(8554, CAM1, 554)
        };
        // Networks within one another are one to nft.
        map(&mut nft, &[limited(&["203.0.113.9/32", "198.51.100.0/24", "198.51.100.7/32"])], &[]);
        assert!(lab.outside(8554).is_ok());
        assert!(lab.stranger(8554).is_err());
        assert!(lab.inside(8554).is_err(), "the LAN is not in the list");
        map(&mut nft, &[limited(&["203.0.113.8/32", "192.168.1.0/24"])], &[]);
        assert!(lab.outside(8554).is_err());
        assert!(lab.stranger(8554).is_ok());
        assert_eq!(lab.inside(8554).unwrap(), format!("cam1:554 for {ROUTER}"));
        // Only networks of the other family: nobody, and that is said.
        let report =
            smol::block_on(nft.apply(&job(&[limited(&["2001:db8::/32"]), tcp(80, CAM1, 554)], &[]))).unwrap();
        assert_eq!(report.refused.len(), 1);
        assert!(lab.outside(8554).is_err() && lab.inside(8554).is_err());
        assert!(lab.outside(80).is_ok(), "the other mapping stands");
    });
}

/// A firewall that lets in what is translated, and of IPv6 nothing else.
const CLOSED6: &str = "table inet home6 {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname \"wan0\" ct status dnat accept
		iifname \"br-lan\" accept
		counter reject
	}
}
";
const CAM6: &str = "fd00::50";

fn tcp6(port: u16, to: u16) -> Rule {
    Rule { wan_addrs: vec![], lan: network("fd00::/64"), ..tcp(port, CAM6, to) }
}

/// What a viewer with this address on the internet is greeted with at this port of the camera's own address.
fn at_own_address(lab: &Lab, from: &str, port: u16) -> Result<String, ErrorKind> {
    lab.internet.within(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
        socket.bind(&at(from, 0).into()).unwrap();
        socket.connect_timeout(&at(CAM6, port).into(), QUIET).map_err(|error| error.kind())?;
        read_greeting(socket.into())
    })
}

#[test]
fn in_ipv6_it_is_the_cameras_own_address() {
    lab("in_ipv6_it_is_the_cameras_own_address", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        lab.internet.within(|| ip("addr add 2001:db8::8/64 dev eth0"));
        nft_load(CLOSED6);
        for port in [554, 7000, 7001, 8556] {
            greeter(&lab.cam1, "cam1", CAM6, port);
        }
        let (viewer, stranger) = ("2001:db8::9", "2001:db8::8");
        let mut nft = nft();
        assert!(at_own_address(lab, viewer, 8554).is_err());
        map(&mut nft, &[tcp6(8554, 554)], &[]);
        assert_eq!(at_own_address(lab, viewer, 8554).unwrap(), "cam1:554 for 2001:db8::9");
        assert!(at_own_address(lab, viewer, 554).is_err(), "the camera's port itself is not opened");
        assert!(lab.internet.within(|| greeting("2001:db8::4", 8554)).is_err(), "nor one of the router's");
        assert!(lab.outside(8554).is_err() && lab.inside(8554).is_err(), "nor IPv4");
        let limited = Rule { sources: vec![network("2001:db8::9/128")], ..tcp6(8554, 554) };
        let moved = rule(Proto::Tcp, (9000, 9001), CAM6, (7000, 7001));
        let moved = Rule { wan_addrs: vec![], lan: network("fd00::/64"), ..moved };
        map(&mut nft, &[limited, moved], &[]);
        assert!(at_own_address(lab, viewer, 8554).is_ok() && at_own_address(lab, stranger, 8554).is_err());
        assert_eq!(at_own_address(lab, stranger, 9001).unwrap(), "cam1:7001 for 2001:db8::8");

        // What stays as it is does not count as translated: the firewall has to let it in by its address.
        map(&mut nft, &[tcp6(8556, 8556)], &[]);
        assert!(at_own_address(lab, viewer, 8556).is_err());
        let camera: [IpAddr; 1] = [CAM6.parse().unwrap()];
        let droppers = smol::block_on(nft.droppers(&camera, &camera)).unwrap();
        assert_eq!(droppers, ["table inet home6, chain forward (drops what it does not know)"]);
        assert_eq!(smol::block_on(nft.droppers(&camera, &[])).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_stream_by_ipv6_is_cut_translated_or_not() {
    lab("a_stream_by_ipv6_is_cut_translated_or_not", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        // The kernel follows connections from the start, as behind any firewall.
        nft_load("table inet any {\n\tchain c {\n\t\ttype filter hook forward priority 0;\n\t\tct state new accept\n\t}\n}\n");
        let cloud = lab.internet.within(|| TcpListener::bind(at("2001:db8::9", 443)).unwrap());
        let mut own = lab.cam1.within(|| TcpStream::connect(at("2001:db8::9", 443)).unwrap());
        let (mut at_cloud, _) = cloud.accept().unwrap();
        let mut nft = nft();
        for (port, to) in [(8554, 554), (8555, 8555)] {
            let streaming = streamer(&lab.cam1, CAM6, to);
            map(&mut nft, &[tcp6(port, to)], &[]);
            let mut viewer = lab.internet.within(|| TcpStream::connect(at(CAM6, port)).unwrap());
            assert_flows(&mut viewer);
            assert_eq!(hits(&nft, port), 1, "{port} to {to}");
            let cut = map(&mut nft, &[], &[CAM6]);
            assert_eq!((cut.flushed, cut.how), (1, How::Ctnetlink), "{port} to {to}");
            assert_stops(&mut viewer);
            streaming.join().unwrap();
        }
        own.write_all(b"ping").unwrap();
        at_cloud.set_read_timeout(Some(PATIENCE)).unwrap();
        at_cloud.read_exact(&mut [0; 4]).expect("what the camera opened itself was cut");
    });
}

/// The same port on both sides, behind a router that masquerades: the case in which the kernel
/// would take the stream up again.
#[test]
fn a_moved_camera_loses_its_old_viewers() {
    lab("a_moved_camera_loses_its_old_viewers", |lab| {
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 8554)], &[]);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        greeter(&lab.cam2, "cam2", CAM2, 8554);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut viewer);
        let cut = map(&mut nft, &[tcp(8554, CAM2, 8554)], &[CAM1]);
        assert_eq!((cut.flushed, cut.how.clone()), (1, How::Ctnetlink));
        assert_eq!(cut.to_string(), "1 old connection cut");
        assert_stops(&mut viewer);
        let end = streaming.join().unwrap();
        assert!(
            matches!(end, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "the camera learns of it: {end}"
        );
        assert_eq!(lab.outside(8554).unwrap(), format!("cam2:8554 for {VIEWER}"));
        assert_eq!(map(&mut nft, &[tcp(8554, CAM2, 8554)], &[CAM1]).flushed, 0, "nothing came back");
    });
}

#[test]
fn a_closed_mapping_is_closed_for_those_who_are_in() {
    lab("a_closed_mapping_is_closed_for_those_who_are_in", |lab| {
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 8554), rule(Proto::Udp, (5000, 5000), CAM1, (5000, 5000))], &[]);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        let mut outside = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut outside);
        let hairpin = streamer(&lab.cam1, CAM1, 8555);
        map(
            &mut nft,
            &[
                tcp(8554, CAM1, 8554),
                tcp(8555, CAM1, 8555),
                rule(Proto::Udp, (5000, 5000), CAM1, (5000, 5000)),
            ],
            &[],
        );
        let mut inside = lab.client.within(|| TcpStream::connect(at(WAN, 8555)).unwrap());
        assert_flows(&mut inside);
        let camera = lab.cam1.within(|| UdpSocket::bind(at(CAM1, 5000)).unwrap());
        let viewer = lab.internet.within(|| UdpSocket::bind(at(VIEWER, 0)).unwrap());
        viewer.set_read_timeout(Some(PATIENCE)).unwrap();
        camera.set_read_timeout(Some(PATIENCE)).unwrap();
        viewer.send_to(b"look", at(WAN, 5000)).unwrap();
        let mut buffer = [0; 16];
        let (_, from) = camera.recv_from(&mut buffer).unwrap();
        camera.send_to(b"seen", from).unwrap();
        viewer.recv(&mut buffer).unwrap();
        // A connection that no mapping made: the camera's own, to the internet.
        let cloud = lab.internet.within(|| TcpListener::bind(at(VIEWER, 443)).unwrap());
        let mut own = lab.cam1.within(|| TcpStream::connect(at(VIEWER, 443)).unwrap());
        let (mut at_cloud, _) = cloud.accept().unwrap();

        let cut = map(&mut nft, &[], &[CAM1]);
        assert_eq!((cut.flushed, cut.how), (3, How::Ctnetlink));
        assert_stops(&mut outside);
        assert_stops(&mut inside);
        streaming.join().unwrap();
        hairpin.join().unwrap();
        camera.send_to(b"more", from).unwrap();
        viewer.set_read_timeout(Some(QUIET)).unwrap();
        assert!(viewer.recv(&mut buffer).is_err(), "the UDP stream goes on");
        own.write_all(b"ping").unwrap();
        at_cloud.set_read_timeout(Some(PATIENCE)).unwrap();
        at_cloud.read_exact(&mut buffer[..4]).expect("a connection that is none of ours was cut");
        assert!(lab.outside(8554).is_err());
        assert!(smol::block_on(nft.intact()));
        assert!(!sh("nft", &["list", "ruleset"]).contains("dnat"));
    });
}

/// One way in is closed, or narrower: whoever came by another one of the same camera, or may still come, goes on.
#[test]
fn who_is_still_let_in_is_not_cut_with_the_others() {
    lab("who_is_still_let_in_is_not_cut_with_the_others", |lab| {
        let mut nft = nft();
        let (one, other, same) = (tcp(8554, CAM1, 8554), tcp(8555, CAM1, 8555), tcp(8556, CAM1, 8555));
        map(&mut nft, &[one.clone(), other.clone(), same.clone()], &[]);
        let mut ends = vec![streamer(&lab.cam1, CAM1, 8554), streamer(&lab.cam1, CAM1, 8555)];
        let watch = |port| {
            let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, port)).unwrap());
            assert_flows(&mut viewer);
            viewer
        };
        let (mut closed, mut open) = (watch(8554), watch(8555));
        assert_eq!(map(&mut nft, &[other.clone(), same.clone()], &[CAM1]).flushed, 1);
        assert_stops(&mut closed);
        ends.remove(0).join().unwrap();
        assert_flows(&mut open);
        // By another public port to the same port of the camera.
        assert_eq!(map(&mut nft, std::slice::from_ref(&same), &[CAM1]).flushed, 1);
        assert_stops(&mut open);
        ends.remove(0).join().unwrap();
        let streaming = streamer(&lab.cam1, CAM1, 8555);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8556)).unwrap());
        assert_flows(&mut viewer);
        let from = |net: &str| Rule { sources: vec![network(net)], ..same.clone() };
        assert_eq!(map(&mut nft, &[from(&format!("{VIEWER}/32"))], &[CAM1]).flushed, 0, "he is one of them");
        assert_flows(&mut viewer);
        assert_eq!(map(&mut nft, &[from("192.0.2.0/24")], &[CAM1]).flushed, 1);
        assert_stops(&mut viewer);
        streaming.join().unwrap();
    });
}

#[test]
fn nothing_of_ours_remains_and_nothing_of_others_changes() {
    lab("nothing_of_ours_remains_and_nothing_of_others_changes", |lab| {
        nft_load(
            "table inet porchlight_of_others {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t}\n}\n",
        );
        let before = others();
        assert!(before.contains("masquerade"));
        let mut first = nft();
        map(&mut first, &[tcp(8554, CAM1, 8554)], &[]);
        assert_eq!(others(), before);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut viewer);
        // As `porchlight unmap` does: in another process, which knows of no rule.
        let cut = smol::block_on(nft().remove()).unwrap();
        assert_eq!(cut.flushed, 1);
        assert_stops(&mut viewer);
        streaming.join().unwrap();
        assert_eq!(sh("nft", &["-s", "list", "ruleset"]), before);
        assert!(!smol::block_on(first.intact()), "the other process' doing is noticed");
        assert_eq!(smol::block_on(first.remove()).unwrap().how, How::NothingToDo);
        // A job without rules leaves nothing either.
        map(&mut first, &[tcp(8554, CAM1, 8554)], &[]);
        map(&mut first, &[], &[]);
        assert_eq!(sh("nft", &["-s", "list", "ruleset"]), before);
        assert!(smol::block_on(first.intact()));
    });
}

#[test]
fn a_foreign_change_is_heard_once() {
    lab("a_foreign_change_is_heard_once", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        let mut ears = Ruleset::open().unwrap();
        let mut hear = |patience: Duration| {
            let late = async {
                async_io::Timer::after(patience).await;
                None
            };
            smol::block_on(smol::future::or(async { Some(ears.changed().await.unwrap()) }, late))
        };
        assert!(smol::block_on(nft.intact()), "nothing mapped yet");
        map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
        assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged), "our own change is heard too");
        assert!(smol::block_on(nft.intact()));
        assert_eq!(hear(QUIET), None, "asking changes nothing");

        // A firewall's reload of many rules is one event, and leaves us whole.
        let rule = "\t\tip saddr 198.51.100.7 counter drop\n".repeat(200);
        let big = format!(
            "table inet big {{\n\tchain c {{\n\t\ttype filter hook input priority 0;\n{rule}\t}}\n}}\n"
        );
        nft_load(&big);
        assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
        assert_eq!(hear(QUIET), None);
        assert!(smol::block_on(nft.intact()));

        // One rule put into our table, one taken out, everything flushed.
        let harms: [&[&str]; 3] = [
            &["insert", "rule", "inet", "porchlight", "prerouting", "drop"],
            &["flush", "chain", "inet", "porchlight", "output"],
            &["flush", "ruleset"],
        ];
        for harm in harms {
            sh("nft", harm);
            assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
            assert!(!smol::block_on(nft.intact()), "{harm:?}");
            map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
            assert!(smol::block_on(nft.intact()));
            assert!(lab.outside(8554).is_ok());
            assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
        }
        assert_eq!(hear(QUIET), None);
    });
}

#[test]
fn a_table_that_is_removed_each_time_does_not_count_as_made() {
    lab("a_table_that_is_removed_each_time_does_not_count_as_made", |_| {
        let dir = std::env::temp_dir().join(format!("porchlight-mapping-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let program = dir.join("nft");
        let script = "#!/bin/sh\nnft \"$@\" || exit\n\
            [ \"$1\" = -f ] && nft delete table inet porchlight 2>/dev/null\nexit 0\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut nft = Nft::with_program(Path::new("/"), &program);
        let failure = smol::block_on(nft.apply(&job(&[tcp(8554, CAM1, 554)], &[]))).unwrap_err();
        assert!(failure.contains("another program"), "{failure}");
        // To be closed, it may be gone as often as it likes.
        smol::block_on(nft.apply(&job(&[], &[]))).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn who_drops_our_packets_is_named() {
    lab("who_drops_our_packets_is_named", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
        let targets: [IpAddr; 1] = [CAM1.parse().unwrap()];
        let droppers = |nft: &Nft| smol::block_on(nft.droppers(&targets, &[])).unwrap();
        assert_eq!(droppers(&nft), Vec::<String>::new());
        let chain = |policy: &str, rules: &str| {
            format!(
                "add table inet filter\ndelete table inet filter\ntable inet filter {{\n\tset big {{\n\t\ttype ipv4_addr\n\
                 \t\telements = {{ 198.51.100.1, 198.51.100.2, 198.51.100.3 }}\n\t}}\n\tchain forward {{\n\
                 \t\ttype filter hook forward priority 0; policy {policy};\n{rules}\n\t}}\n}}\n"
            )
        };
        let cases = [
            ("drop", "ct state established,related accept", Some("(policy drop)")),
            ("drop", "ct state established,related accept\nct status dnat accept", None),
            ("drop", "ct state established,related accept\nip daddr 192.168.1.50 accept", None),
            (
                "accept",
                "ct state established,related accept\ncounter reject with icmpx type admin-prohibited",
                Some("(drops what it does not know)"),
            ),
            ("accept", "ct status dnat accept\ncounter reject with icmpx type admin-prohibited", None),
            ("accept", "ip saddr @big drop", None),
        ];
        for (policy, rules, named) in cases {
            nft_load(&chain(policy, rules));
            let name = named.map(|why| format!("table inet filter, chain forward {why}"));
            assert_eq!(droppers(&nft), name.into_iter().collect::<Vec<_>>(), "{rules}");
            // The name and the packets agree.
            assert_eq!(lab.outside(8554).is_err(), named.is_some(), "{rules}");
        }
    });
}

#[test]
fn where_it_cannot_work_it_says_why() {
    lab("where_it_cannot_work_it_says_why", |_| {
        let mut missing = Nft::with_program(Path::new("/"), Path::new("porchlight-no-such-nft"));
        let error = smol::block_on(missing.apply(&job(&[tcp(8554, CAM1, 554)], &[]))).unwrap_err();
        assert_eq!(error, "there is no program porchlight-no-such-nft: install the package nftables");
        assert!(smol::block_on(missing.intact()), "it never mapped anything");
        // A program that says no, at length.
        let mut refusing = Nft::with_program(Path::new("/"), Path::new("/bin/false"));
        assert!(smol::block_on(refusing.apply(&job(&[], &[])))
            .unwrap_err()
            .starts_with("nft did not accept"));

        let root = std::env::temp_dir().join(format!("porchlight-mapping-{}", std::process::id()));
        let switch = root.join("proc/sys/net/ipv4");
        std::fs::create_dir_all(&switch).unwrap();
        assert!(forwarding(&root, Family::V4));
        std::fs::write(switch.join("ip_forward"), "0\n").unwrap();
        assert!(!forwarding(&root, Family::V4));
        assert!(forwarding(Path::new("/"), Family::V4) && forwarding(Path::new("/"), Family::V6));
        let nft = Nft::new(&root);
        assert!(!smol::block_on(nft.fw4_present()));
        nft_load("table inet fw4 { }\n");
        assert!(smol::block_on(nft.fw4_present()), "by its table");
        sh("nft", &["delete", "table", "inet", "fw4"]);
        std::fs::create_dir_all(root.join("sbin")).unwrap();
        std::fs::write(root.join("sbin/fw4"), "").unwrap();
        assert!(smol::block_on(nft.fw4_present()), "by its program");
        std::fs::remove_dir_all(&root).unwrap();
    });
}

/// What OpenWrt's firewall makes of a redirect of ours, and of its WAN.
const FW4: &str = "table inet fw4 {
	chain input_wan {
	}
	chain input_lan {
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		iifname \"wan0\" jump dstnat_wan
	}
	chain dstnat_wan {
		meta nfproto ipv4 tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment \"!fw4: ubus:porchlight_mappings[*] redirect 0\"
	}
}
";

/// A backend of OpenWrt with the real nft; this shell command stands for `ubus`.
struct Router {
    dir: std::path::PathBuf,
    backend: Backend,
}

impl Router {
    fn new(ubus: &str) -> Router {
        let dir = std::env::temp_dir().join(format!("porchlight-router-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let program = dir.join("ubus");
        std::fs::write(&program, format!("#!/bin/sh\n{ubus}\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let programs = Programs { ubus: program, fw4: "true".into(), ..Programs::default() };
        let backend = Backend::with_programs(&dir, &programs);
        Router { dir, backend }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_stop_closes_before_it_asks_procd_which_may_hang() {
    lab("a_stop_closes_before_it_asks_procd_which_may_hang", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        let mut router = Router::new("echo 'Failed to connect to ubus' >&2; exit 255");
        let failure = smol::block_on(router.backend.remove(Duration::ZERO)).unwrap_err();
        assert!(failure.contains("Failed to connect to ubus"), "{failure}");
        assert!(lab.outside(8554).is_err());
    });
}

#[test]
fn what_an_earlier_run_left_is_closed_before_procd_is_asked() {
    lab("what_an_earlier_run_left_is_closed_before_procd_is_asked", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        // It writes down what our own table stops when it is asked for the first time.
        let mut router = Router::new(
            "cd \"${0%/*}\"; [ -e seen ] || nft list table inet porchlight >seen; echo 'ubus hangs' >&2; exit 255",
        );
        let nothing = MapJob { carrier: Carrier::Service, ..job(&[], &[]) };
        assert!(smol::block_on(router.backend.apply(&nothing)).is_err());
        let seen = std::fs::read_to_string(router.dir.join("seen")).unwrap();
        assert!(seen.contains("tcp dport 554") && seen.contains("drop"), "{seen}");
        assert!(lab.outside(8554).is_err());
    });
}

#[test]
fn what_others_open_again_is_closed_by_the_look() {
    lab("what_others_open_again_is_closed_by_the_look", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut router = Router::new("echo '{}'");
        let nothing = MapJob { carrier: Carrier::Service, ..job(&[], &[]) };
        smol::block_on(router.backend.apply(&nothing)).unwrap();
        assert!(smol::block_on(router.backend.look()).intact);
        // A restored configuration, and a firewall that is reloaded with it.
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        assert!(!smol::block_on(router.backend.look()).intact);
        assert!(lab.outside(8554).is_err());
        // Ours alone is removed: what it stopped is open again.
        sh("nft", &["delete", "table", "inet", "porchlight"]);
        assert!(lab.outside(8554).is_ok());
        assert!(!smol::block_on(router.backend.look()).intact);
        assert!(lab.outside(8554).is_err());
        assert!(smol::block_on(router.backend.look()).intact);
    });
}

/// What OpenWrt's firewall makes of a redirect and a rule of ours for the camera's own address.
const FW4_SIX: &str = "table inet fw4 {
	chain input_wan {
	}
	chain input_lan {
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state vmap { established : accept, related : accept }
		iifname \"wan0\" jump forward_wan
	}
	chain forward_wan {
		ip6 daddr fd00::50 tcp dport 8556 counter jump accept_to_lan comment \"!fw4: ubus:porchlight_mappings[*] rule 1\"
		ct status dnat accept comment \"!fw4: Accept port forwards\"
		meta nfproto ipv6 reject with tcp reset
	}
	chain accept_to_lan {
		oifname \"br-lan\" counter accept
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		iifname \"wan0\" jump dstnat_wan
	}
	chain dstnat_wan {
		ip6 daddr fd00::50 tcp dport 8554 counter dnat ip6 to [fd00::50]:554 comment \"!fw4: ubus:porchlight_mappings[*] redirect 0\"
	}
}
";

#[test]
fn both_forms_of_a_way_in_by_ipv6_are_known_and_stopped() {
    lab("both_forms_of_a_way_in_by_ipv6_are_known_and_stopped", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        lab.client.within(|| ip("addr add fd00::20/64 dev eth0"));
        greeter(&lab.cam1, "cam1", CAM6, 554);
        greeter(&lab.cam1, "cam1", CAM6, 8556);
        let open = |port| at_own_address(lab, "2001:db8::9", port).is_ok();
        // procd takes what it is given, and the firewall has it already.
        let mut router = Router::new("echo '{}'");
        nft_load(FW4_SIX);
        assert!(open(8554) && open(8556) && !open(554));
        let wanted = MapJob { carrier: Carrier::Service, ..job(&[tcp6(8554, 554), tcp6(8556, 8556)], &[]) };
        let report = smol::block_on(router.backend.apply(&wanted)).unwrap();
        assert_eq!((report.refused, report.missing), (vec![], vec![]));
        assert!(smol::block_on(router.backend.look()).intact && open(8554) && open(8556));
        // Closed before the firewall hears of it: one, then the other.
        for (rules, stays) in [(vec![tcp6(8556, 8556)], 8556), (vec![tcp6(8554, 554)], 8554)] {
            let closing = MapJob { carrier: Carrier::Service, reload: false, ..job(&rules, &[CAM6]) };
            smol::block_on(router.backend.apply(&closing)).unwrap();
            assert_eq!((open(8554), open(8556)), (stays == 8554, stays == 8556));
        }
        let closing = MapJob { carrier: Carrier::Service, reload: false, ..job(&[], &[CAM6]) };
        smol::block_on(router.backend.apply(&closing)).unwrap();
        assert!(!open(8554) && !open(8556));
        assert!(lab.client.within(|| greeting(CAM6, 8556)).is_ok(), "the LAN reaches it as ever");
    });
}

#[test]
fn our_own_table_carries_nothing_while_the_firewall_may() {
    lab("our_own_table_carries_nothing_while_the_firewall_may", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut router =
            Router::new("[ -e \"${0%/*}/works\" ] && echo '{}' || { echo 'ubus hangs' >&2; exit 255; }");
        nft_load(FW4);
        let by_nft = job(&[tcp(8555, CAM1, 554)], &[]);
        for _ in 0..2 {
            let failure = smol::block_on(router.backend.apply(&by_nft)).unwrap_err();
            assert!(failure.contains("ubus hangs"), "{failure}");
            assert!(lab.outside(8554).is_err() && lab.outside(8555).is_err());
        }
        std::fs::write(router.dir.join("works"), "").unwrap();
        sh("nft", &["delete", "table", "inet", "fw4"]);
        smol::block_on(router.backend.apply(&by_nft)).unwrap();
        assert!(lab.outside(8554).is_err() && lab.outside(8555).is_ok());
    });
}

/// What the status reads, by mapping.
fn hits(nft: &Nft, port: u16) -> u64 {
    let hits = smol::block_on(nft.program().hits());
    hits.get(&format!("door_{port}")).copied().unwrap_or_default()
}

#[test]
fn connections_are_counted_over_changes_and_restarts() {
    lab("connections_are_counted_over_changes_and_restarts", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        greeter(&lab.cam2, "cam2", CAM2, 554);
        let mut first = nft();
        let limited = Rule { sources: vec![network("203.0.113.9/32")], ..tcp(8554, CAM1, 554) };
        map(&mut first, std::slice::from_ref(&limited), &[]);
        for _ in 0..3 {
            lab.outside(8554).unwrap();
        }
        assert!(lab.stranger(8554).is_err());
        assert_eq!(hits(&first, 8554), 3, "who is refused does not count");
        assert!(smol::block_on(first.intact()), "counting is no change");
        // Another mapping comes, this one moves: it goes on counting, and each for itself.
        map(&mut first, &[tcp(8554, CAM2, 554), tcp(8555, CAM1, 554)], &[CAM1]);
        lab.outside(8555).unwrap();
        lab.inside(8554).unwrap();
        assert_eq!((hits(&first, 8554), hits(&first, 8555)), (4, 1));
        // The agent is killed and starts again, with an older memory.
        let mut second = nft();
        second.hits().insert("door_8554".into(), 2);
        map(&mut second, &[tcp(8554, CAM2, 554)], &[]);
        lab.outside(8554).unwrap();
        assert_eq!(hits(&second, 8554), 5);
        // Somebody flushes everything: what was known stays.
        assert_eq!(smol::block_on(second.apply(&job(&[tcp(8554, CAM2, 554)], &[]))).unwrap().refused, []);
        sh("nft", &["delete", "table", "inet", "porchlight"]);
        map(&mut second, &[tcp(8554, CAM2, 554)], &[]);
        lab.outside(8554).unwrap();
        assert_eq!(hits(&second, 8554), 6);
        // Taken away, the last count is known.
        smol::block_on(second.remove()).unwrap();
        assert_eq!(second.hits().get("door_8554"), Some(&6));
        assert_eq!(hits(&second, 8554), 0);
    });
}

#[test]
fn what_the_firewall_lets_in_is_counted_over_its_reloads() {
    lab("what_the_firewall_lets_in_is_counted_over_its_reloads", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        let mut router = Router::new("echo '{}'");
        let carried = MapJob { carrier: Carrier::Service, ..job(&[tcp(8554, CAM1, 554)], &[]) };
        let report = smol::block_on(router.backend.apply(&carried)).unwrap();
        assert_eq!((report.refused, report.missing), (Vec::new(), Vec::new()));
        lab.outside(8554).unwrap();
        sh("nft", &["delete", "table", "inet", "fw4"]);
        assert!(lab.outside(8554).is_err());
        nft_load(FW4);
        lab.outside(8554).unwrap();
        let counted = || smol::block_on(nft().program().hits()).get("door_8554").copied();
        assert_eq!(counted(), Some(2));
        assert!(smol::block_on(router.backend.look()).intact);
        // What is to be closed is stopped before it is counted.
        smol::block_on(router.backend.apply(&MapJob { reload: false, rules: Vec::new(), ..carried.clone() }))
            .unwrap();
        assert!(lab.outside(8554).is_err());
        let report = smol::block_on(router.backend.apply(&carried)).unwrap();
        assert_eq!(report.hits.get("door_8554"), Some(&2));
        lab.outside(8554).unwrap();
        assert_eq!(counted(), Some(3));
    });
}
