//! Who holds a public port: real sockets of this process, and files as a router has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::Proto;
use porchlight::mapping::holders::conflicts;
use porchlight::mapping::redirect::Redirect;
use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("conflict-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Root(dir)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn ask(&self, redirects: &[Redirect], wan: &[&str]) -> Vec<(String, String)> {
        let wan: Vec<IpAddr> = wan.iter().map(|addr| addr.parse().unwrap()).collect();
        smol::block_on(conflicts(&self.0, redirects, &wan))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn redirect(mapping: &str, proto: Proto, port: u16) -> Redirect {
    Redirect {
        id: mapping.into(),
        mapping: mapping.into(),
        src: "wan".into(),
        dest: "lan".into(),
        proto,
        src_ip: None,
        src_dport: (port, port),
        dest_ip: "192.168.1.20".parse().unwrap(),
        dest_port: (554, 554),
        reflection: true,
    }
}

/// The router's own /proc is this machine's.
#[test]
fn programs_of_this_machine() {
    let root = Root::new("real");
    symlink("/proc", root.0.join("proc")).unwrap();
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let lasting = UdpSocket::bind("0.0.0.0:0").unwrap();
    let question = UdpSocket::bind("0.0.0.0:0").unwrap();
    let tcp =
        |name: &str, socket: &TcpListener| redirect(name, Proto::Tcp, socket.local_addr().unwrap().port());
    let udp =
        |name: &str, socket: &UdpSocket| redirect(name, Proto::Udp, socket.local_addr().unwrap().port());
    let redirects = [
        tcp("everywhere", &everywhere),
        tcp("loopback", &loopback),
        udp("lasting", &lasting),
        udp("question", &question),
        redirect("other_proto", Proto::Udp, everywhere.local_addr().unwrap().port()),
    ];
    // dnsmasq's answer comes, and its socket goes, while it is looked at.
    let over = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(question);
    });
    let found = root.ask(&redirects, &[]);
    over.join().unwrap();
    let names: Vec<_> = found.iter().map(|(mapping, _)| mapping.as_str()).collect();
    assert_eq!(names, ["everywhere", "lasting"], "{found:?}");
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert!(found[0].1.contains(&format!("is held by {} on this router", own.trim())), "{found:?}");
    // The same socket is in the way on an address of the WAN.
    let found = root.ask(&redirects[1..2], &["127.0.0.1"]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn named_by_their_configurations_where_processes_cannot_be_looked_into() {
    let root = Root::new("files");
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let row = |index: usize, addr: [u8; 4], port: u16, state: &str| {
        format!(
            "{index:4}: {}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {} 1 0 100\n",
            word(addr),
            1000 + index
        )
    };
    let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let tcp = [
        row(0, [0; 4], 80, "0A"),
        row(1, [0; 4], 22, "0A"),
        row(2, [192, 168, 1, 1], 53, "0A"),
        row(3, [0; 4], 9999, "0A"),
    ];
    root.write("proc/net/tcp", &(head.to_string() + &tcp.concat()));
    root.write("proc/net/udp", &(head.to_string() + &row(0, [0; 4], 51820, "07")));
    root.write(
        "etc/config/uhttpd",
        "config uhttpd 'main'\n\tlist listen_http '0.0.0.0:80'\n\tlist listen_http '[::]:80'\n",
    );
    root.write("etc/config/dropbear", "config dropbear\n\toption PasswordAuth 'on'\n\toption Port '22'\n");
    root.write(
        "etc/config/network",
        "config interface 'wg0'\n\toption proto 'wireguard'\n\toption listen_port '51820'\n",
    );
    root.write("etc/config/firewall", &fs::read_to_string(fixture("luci")).unwrap());
    root.write("var/run/miniupnpd.leases", "TCP:6000:192.168.1.77:6000:0:game\n");
    let all = [
        redirect("web", Proto::Tcp, 80),
        redirect("ssh", Proto::Tcp, 22),
        redirect("dns", Proto::Tcp, 53),
        redirect("unknown", Proto::Tcp, 9999),
        redirect("tunnel", Proto::Udp, 51820),
        redirect("mail", Proto::Tcp, 25),
        redirect("game", Proto::Tcp, 6000),
        redirect("front", Proto::Tcp, 8554),
    ];
    let found = root.ask(&all, &["203.0.113.4"]);
    let says = |mapping: &str| {
        let of = found.iter().find(|(name, _)| name == mapping);
        of.map(|(_, why)| why.as_str()).unwrap_or_default()
    };
    assert!(says("web").contains("port 80 is held by uhttpd (main in /etc/config/uhttpd)"), "{found:?}");
    assert!(says("ssh").contains("held by dropbear (by /etc/config/dropbear)"), "{found:?}");
    assert!(says("unknown").contains("held by a program (netstat -lnp tells which)"), "{found:?}");
    assert!(says("tunnel").contains("held by interface wg0 (WireGuard or another tunnel)"), "{found:?}");
    assert!(
        says("mail").contains("by redirect \"mail\" (@redirect[5] in /etc/config/firewall)"),
        "{found:?}"
    );
    assert!(says("game").contains("by 192.168.1.77 (it asked by UPnP)"), "{found:?}");
    assert_eq!((says("dns"), says("front")), ("", ""));
}

/// A file that cannot be read stands in nobody's way, and no file is read for ever.
#[test]
fn odd_files() {
    let root = Root::new("odd");
    assert_eq!(root.ask(&[redirect("web", Proto::Tcp, 80)], &[]), []);
    fs::create_dir_all(root.0.join("etc/config/firewall")).unwrap();
    root.write("proc/net/tcp", &"x".repeat(3_000_000));
    root.write("var/run/miniupnpd.leases", "\u{0}\u{1}");
    assert_eq!(root.ask(&[redirect("web", Proto::Tcp, 80)], &[]), []);
    assert_eq!(root.ask(&[], &[]), []);
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/firewall").join(name)
}
