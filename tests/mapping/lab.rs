//! Internet, router, cameras and a LAN client as network namespaces, and those who talk in them.

use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

pub const INSIDE: &str = "PORCHLIGHT_TEST_INSIDE";

pub const WAN: &str = "203.0.113.4";

pub const VIEWER: &str = "203.0.113.9";

pub const STRANGER: &str = "203.0.113.8";

pub const ROUTER: &str = "192.168.1.1";

pub const CLIENT: &str = "192.168.1.20";

pub const CAM1: &str = "192.168.1.50";

pub const CAM2: &str = "192.168.1.51";
pub const CAM6: &str = "fd00::50";

/// What must come comes within this; what must not come is waited for no longer than `QUIET`.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub const QUIET: Duration = Duration::from_millis(700);

/// What a home router has anyway.
pub const HOME: &str = "table ip home {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname \"wan0\" counter masquerade
	}
}
";

/// Runs `story` in the router's namespace: directly if we are there, else by running this test again.
pub fn lab(name: &str, story: impl FnOnce(&Lab)) {
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
pub fn ways_in() -> Vec<&'static str> {
    if sh_ok("ip", &["-V"]) {
        vec!["-n", "-Urn"]
    } else {
        Vec::new()
    }
}

pub fn sh_ok(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|run| run.status.success())
}

pub fn sh(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(run.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

pub fn ip(line: &str) {
    sh("ip", &line.split(' ').collect::<Vec<_>>());
}

pub fn nft_load(text: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{text}");
}

/// All tables but ours.
pub fn others() -> String {
    let tables = sh("nft", &["list", "tables"]);
    let list = |table: &str| sh("nft", &[vec!["-s", "list"], table.split(' ').collect()].concat());
    tables.lines().filter(|line| *line != "table inet porchlight").map(list).collect()
}

/// A network namespace that lives as long as this value.
pub struct Namespace {
    pub keeper: Child,
    pub file: File,
}

impl Namespace {
    pub fn new() -> Namespace {
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
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
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

pub struct Lab {
    pub internet: Namespace,
    pub client: Namespace,
    pub cam1: Namespace,
    pub cam2: Namespace,
}

impl Lab {
    pub fn build() -> Lab {
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
    pub fn outside(&self, port: u16) -> Result<String, ErrorKind> {
        self.internet.within(|| greeting(WAN, port))
    }

    /// Likewise the stranger, who has another address.
    pub fn stranger(&self, port: u16) -> Result<String, ErrorKind> {
        self.internet.within(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&at(STRANGER, 0).into()).unwrap();
            socket.connect_timeout(&at(WAN, port).into(), QUIET).map_err(|error| error.kind())?;
            read_greeting(socket.into())
        })
    }

    /// Likewise the client in the LAN.
    pub fn inside(&self, port: u16) -> Result<String, ErrorKind> {
        self.client.within(|| greeting(WAN, port))
    }
}

pub fn at(addr: &str, port: u16) -> SocketAddr {
    SocketAddr::new(addr.parse().unwrap(), port)
}

pub fn greeting(addr: &str, port: u16) -> Result<String, ErrorKind> {
    read_greeting(TcpStream::connect_timeout(&at(addr, port), QUIET).map_err(|error| error.kind())?)
}

pub fn read_greeting(mut stream: TcpStream) -> Result<String, ErrorKind> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|error| error.kind())?;
    Ok(text)
}

/// Greets every TCP connection with the name, the port, and the address that it came from.
pub fn greeter(host: &Namespace, name: &'static str, addr: &str, port: u16) {
    let listener = host.within(|| TcpListener::bind(at(addr, port)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = write!(stream, "{name}:{port} for {}", stream.peer_addr().unwrap().ip());
        }
    });
}

/// A camera that sends to whoever connects, every few milliseconds, until it cannot.
pub fn streamer(host: &Namespace, addr: &str, port: u16) -> JoinHandle<ErrorKind> {
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
pub fn assert_stops(stream: &mut TcpStream) {
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

pub fn assert_flows(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
}
