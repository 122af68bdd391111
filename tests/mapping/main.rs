//! Port mappings with the real nft and real packets: internet, router, cameras and a LAN client as network
//! namespaces. Each test runs itself again as the router, in a namespace of its own; when that
//! process ends, however it ends, the kernel takes everything away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod counted;
mod cut;
mod firewall;
mod lab;
mod reached;
mod table;

use lab::*;
use porchlight::config::{Network, Proto};
use porchlight::mapping::backend::{Backend, Programs};
use porchlight::mapping::conntrack::How;
use porchlight::mapping::nft::Nft;
use porchlight::mapping::{conntrack, forwarding};
use porchlight::model::{Event, Family};
use porchlight::plan::{Carrier, MapJob, Rule};
use porchlight::sense::ruleset::Ruleset;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

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

/// What the status reads, by mapping.
fn hits(nft: &Nft, port: u16) -> u64 {
    let hits = smol::block_on(nft.program().hits());
    hits.get(&format!("door_{port}")).copied().unwrap_or_default()
}
