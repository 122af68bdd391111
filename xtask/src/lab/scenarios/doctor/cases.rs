//! The broken set-ups, in the order of the chain: what breaks a link, and what the owner does beside the commands that
//! the mend names.

use super::home::{Home, CAMERA, CLOUD, OTHER_DNS, PUBLIC};
use super::meddler::Meddler;
use crate::lab::web::{Certificate, Mood as Web, CACERT};
use crate::lab::zone::Zone;
use crate::lab::*;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

/// Something done to the home.
type Deed = fn(&mut Home) -> Result<()>;

/// One broken set-up.
pub struct Case {
    /// In plain words, for the table.
    pub about: &'static str,
    /// The link that is to be named.
    pub link: &'static str,
    /// Words of the finding.
    pub says: &'static [&'static str],
    /// Breaks it.
    pub breaks: Deed,
    /// What the mend says in words.
    pub mends: Deed,
    /// What the system does by itself after the mend's commands.
    pub after: Deed,
}

impl Case {
    /// The exit code that belongs to it.
    pub fn code(&self) -> i32 {
        match self.link {
            "config" => 2,
            "public" => 3,
            _ => 1,
        }
    }
}

const fn case(
    about: &'static str,
    link: &'static str,
    says: &'static [&'static str],
    breaks: Deed,
    mends: Deed,
) -> Case {
    Case { about, link, says, breaks, mends, after: nothing }
}

fn nothing(_: &mut Home) -> Result<()> {
    Ok(())
}

/// The owner puts the configuration right.
fn right(home: &mut Home) -> Result<()> {
    home.configure("", "")
}

/// A WAN address that is none for the internet.
const SHARED: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(100, 64, 0, 10), Ipv4Addr::new(100, 64, 0, 1));
/// An address of yesterday.
const OLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// What the service's list says of an account that has no such zone.
const NO_ZONE: Web = Web::Say(
    200,
    "Content-Type: application/json\r\n",
    r#"{"success":true,"errors":[],"messages":[],"result":[],"result_info":{"page":1,"per_page":50,"total_pages":0,"count":0,"total_count":0}}"#,
);
/// And of a token that it does not know.
const DENIED: Web = Web::Say(
    403,
    "Content-Type: application/json\r\n",
    r#"{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"messages":[],"result":null}"#,
);
/// A redirect that somebody else made.
const REDIRECT: &str =
    "config redirect\n\toption name 'the door'\n\toption src 'wan'\n\toption src_dport '8554'\n\
                        \toption dest_ip '192.168.1.9'\n\toption proto 'tcp'\n";
/// A firewall that drops what it does not know.
const STRICT: &str = "table inet strict { chain forward { type filter hook forward priority -5; policy drop;
                      ct state established,related accept; iifname lan0 accept; }; }";
/// Questions are redirected on the way.
const INTERCEPTED: &str = "table ip meddle { chain pre { type nat hook prerouting priority dstnat;
                           iifname isp0 udp dport 53 dnat to 198.51.100.54; }; }";

/// All of them.
pub const CASES: &[Case] = &[
    case(
        "a typing error in the configuration",
        "config",
        &["rfc2163", "rfc2136"],
        |home| home.configure("'rfc2136'", "'rfc2163'"),
        right,
    ),
    case(
        "a mapping names a camera that is not there",
        "config",
        &["fornt"],
        |home| home.configure("option camera 'front'", "option camera 'fornt'"),
        right,
    ),
    case(
        "no configuration",
        "config",
        &["cannot read"],
        |home| fs::remove_file(home.lab.config_file()).context("no file"),
        right,
    ),
    case(
        "switched off",
        "config",
        &["enabled"],
        |home| home.configure("option resident", "option enabled '0'\n\toption resident"),
        right,
    ),
    case(
        "no pass was made (one-shot mode)",
        "agent",
        &["porchlight once"],
        |home| home.remove("var/run/porchlight/state"),
        nothing,
    ),
    case("the wrong device", "device", &["wan9"], |home| home.configure("'wan0'", "'wan9'"), right),
    case(
        "no carrier: the cable is out",
        "device",
        &["carrier"],
        |home| home.lab.internet.ip("link set isp0 down"),
        |home| home.lab.internet.ip("link set isp0 up"),
    ),
    Case {
        after: |home| home.line_up(),
        ..case(
            "the device is switched off",
            "device",
            &["ip link set wan0 up"],
            |home| home.lab.router.ip("link set wan0 down"),
            nothing,
        )
    },
    case(
        "no address",
        "address",
        &["no IPv4 address"],
        |home| home.lab.router.ip4_batch(&["addr flush dev wan0"]),
        |home| home.line_up(),
    ),
    case(
        "carrier-grade NAT",
        "address",
        &["carrier-grade NAT", "public IPv4 address"],
        |home| home.readdress(SHARED.0, SHARED.1),
        |home| home.line_up(),
    ),
    case(
        "no default route",
        "gateway",
        &["default route"],
        |home| home.lab.router.ip4_batch(&["route del default"]),
        |home| home.line_up(),
    ),
    case(
        "the gateway does not answer",
        "gateway",
        &["203.0.113.1 does not answer"],
        |home| {
            home.lab.internet.ip(&format!("addr del {GATEWAY4}/24 dev isp0"))?;
            home.lab.router.ip("neigh flush dev wan0")
        },
        |home| home.lab.internet.ip(&format!("addr add {GATEWAY4}/24 dev isp0")),
    ),
    case(
        "no resolver is named",
        "resolver",
        &["names no resolver"],
        |home| home.lab.write_resolver(""),
        resolver_again,
    ),
    case(
        "the resolver is dead",
        "resolver",
        &["198.51.100.99"],
        |home| home.lab.write_resolver("nameserver 198.51.100.99\n"),
        resolver_again,
    ),
    case(
        "the resolver invents answers (DNS hijacked)",
        "resolver",
        &["invents"],
        |home| {
            home.meddler = Some(Meddler::start(&home.lab.internet, OTHER_DNS, true)?);
            home.lab.write_resolver(&format!("nameserver {OTHER_DNS}\n"))
        },
        resolver_again,
    ),
    case(
        "port 53 is redirected on the way",
        "servers",
        &["port 53"],
        |home| {
            home.meddler = Some(Meddler::start(&home.lab.internet, OTHER_DNS, false)?);
            home.lab.internet.nft(INTERCEPTED)
        },
        |home| {
            home.meddler = None;
            home.lab.internet.nft("delete table ip meddle")
        },
    ),
    case(
        "the clock is in 1970",
        "clock",
        &["1970", "NTP"],
        |home| {
            home.wall = Some(2 * 86_400);
            Ok(())
        },
        |home| {
            home.wall = None;
            Ok(())
        },
    ),
    case(
        "no trusted certificates",
        "trust",
        &["ca-bundle"],
        |home| fs::rename(cacert(home), cacert(home).with_extension("away")).context("no CA file"),
        |home| fs::rename(cacert(home).with_extension("away"), cacert(home)).context("no CA file"),
    ),
    case(
        "a CNAME shadows the name",
        "shadow",
        &["CNAME", "porchlight trigger records"],
        |home| home.update(&format!("update delete {NAME}\nupdate add {NAME} 60 CNAME elsewhere.{ZONE}")),
        |home| home.update(&format!("update delete {NAME} CNAME")),
    ),
    case(
        "a wildcard answers for the name",
        "shadow",
        &["wildcard"],
        |home| home.update(&format!("update delete {NAME}\nupdate add *.{ZONE} 60 A {OLD}")),
        nothing,
    ),
    case(
        "a stray AAAA record",
        "shadow",
        &["AAAA"],
        |home| home.update(&format!("update delete *.{ZONE}\nupdate add {NAME} 60 AAAA 2001:db8:a::77")),
        |home| home.update(&format!("update delete {NAME} AAAA")),
    ),
    case(
        "a wrong token",
        "provider",
        &["Invalid access token"],
        |home| {
            home.mood(DENIED);
            Ok(())
        },
        |home| {
            home.mood(Web::Well);
            Ok(())
        },
    ),
    case(
        "a wrong TSIG key, and a new address",
        "provider",
        &["home"],
        |home| {
            home.configure("'ddns-key'", "'another-key'")?;
            home.update(&format!("update delete {NAME}\nupdate add {NAME} 60 A {OLD}"))?;
            home.lab.verb(&["trigger", "records"]).map(drop)
        },
        right,
    ),
    case(
        "the zone is somebody else's",
        "provider",
        &["cloud", "option zone"],
        |home| {
            home.mood(NO_ZONE);
            Ok(())
        },
        |home| {
            home.mood(Web::Well);
            Ok(())
        },
    ),
    case(
        "the service's certificate has expired",
        "provider",
        &["certificate"],
        |home| home.certificate(Certificate::Expired),
        |home| home.certificate(Certificate::Good),
    ),
    case(
        "a certificate by an unknown authority",
        "provider",
        &["certificate"],
        |home| home.certificate(Certificate::Stranger),
        |home| home.certificate(Certificate::Good),
    ),
    case(
        "the service is down",
        "provider",
        &["cloud"],
        |home| {
            home.mood(Web::Close);
            Ok(())
        },
        |home| {
            home.mood(Web::Well);
            Ok(())
        },
    ),
    case(
        "the record is missing",
        "record",
        &["is missing", "porchlight trigger records"],
        |home| home.update(&format!("update delete {NAME}")),
        nothing,
    ),
    case(
        "the record has an old address",
        "record",
        &["203.0.113.77"],
        |home| home.update(&format!("update delete {NAME}\nupdate add {NAME} 60 A {OLD}")),
        nothing,
    ),
    case(
        "a public resolver still has the old address",
        "public",
        &["1.1.1.1", "203.0.113.77"],
        |home| {
            let at = [SocketAddr::from((PUBLIC[0], 53))];
            let other =
                Nameserver::start(&home.lab.internet, Zone::new(ZONE, DNS4, DNS6)?, KEY, SECRET_BYTES, &at)?;
            other.publish(CLOUD, WAN4.into())?;
            other.publish(NAME, OLD.into())?;
            home.other = Some(other);
            Ok(())
        },
        |home| home.other.as_ref().context("no resolver")?.publish(NAME, WAN4.into()).map(drop),
    ),
    case(
        "the camera is off",
        "camera",
        &["does not answer", "power"],
        |home| home.host.unplug(),
        |home| {
            home.host.ns.ip("link set eth0 up")?;
            home.host.readdress(CAMERA)
        },
    ),
    case(
        "the camera's RTSP is off",
        "camera",
        &["nothing listens", "dest_port"],
        |home| {
            home.camera = None;
            Ok(())
        },
        |home| {
            home.camera = Some(RtspCamera::start(&home.host.ns, 554, "front")?);
            Ok(())
        },
    ),
    case(
        "an unknown camera: a wrong MAC",
        "camera",
        &["not seen", "porchlight cameras"],
        |home| home.configure(CAMERA_MAC, "02:00:00:00:00:99"),
        right,
    ),
    case(
        "the camera asks for no password",
        "camera",
        &["streams to anyone", "password"],
        |home| {
            password(home, false);
            Ok(())
        },
        |home| {
            password(home, true);
            Ok(())
        },
    ),
    case(
        "nothing can be proven of the camera",
        "camera",
        &["probe"],
        |home| home.configure("option dest_port '554'", "option dest_port '554'\n\toption probe 'none'"),
        right,
    ),
    case(
        "another redirect has the port",
        "port",
        &["the door", "src_dport"],
        |home| home.write("etc/config/firewall", REDIRECT),
        |home| home.remove("etc/config/firewall"),
    ),
    case(
        "somebody has the port by UPnP",
        "port",
        &["UPnP"],
        |home| home.write("var/run/miniupnpd.leases", "TCP:8554:192.168.1.77:554:0:cam\n"),
        |home| home.remove("var/run/miniupnpd.leases"),
    ),
    case(
        "a program of the router has the port",
        "port",
        &["held by"],
        |home| {
            let bind = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("the port is not free");
            home.listener = Some(home.lab.router.enter(bind)?);
            Ok(())
        },
        |home| {
            home.listener = None;
            Ok(())
        },
    ),
    case(
        "the mapping was flushed by hand",
        "rule",
        &["not in the packet filter", "porchlight trigger"],
        |home| home.lab.router.nft("delete table inet porchlight"),
        nothing,
    ),
    Case {
        after: |home| home.lab.router.nft("delete table inet strict"),
        ..case(
            "another table drops it",
            "drop",
            &["strict", "nft insert rule"],
            |home| home.lab.router.nft(STRICT),
            nothing,
        )
    },
    case(
        "the way from inside was taken out",
        "hairpin",
        &["at home"],
        |home| home.lab.router.nft("flush chain inet porchlight postrouting"),
        nothing,
    ),
    case(
        "tmpfs is full",
        "room",
        &["no room"],
        |home| {
            // Ends with the room.
            let _ = fs::write(home.lab.root.join("var/run/porchlight/filler"), vec![0; 1 << 20]);
            Ok(())
        },
        |home| home.remove("var/run/porchlight/filler"),
    ),
    case(
        "the state cannot be written",
        "room",
        &["mount -o remount,rw"],
        |home| {
            home.lab
                .router
                .sh(&format!("mount -o remount,ro {}/var/run/porchlight", home.lab.root.display()))
                .map(drop)
        },
        nothing,
    ),
    case(
        "no agent runs",
        "agent",
        &["no agent is running"],
        |home| {
            home.remove("var/run/porchlight/one-shot")?;
            home.configure("\toption resident '0'\n", "")
        },
        nothing,
    ),
    case(
        "the agent hangs",
        "agent",
        &["busy or stopped", "restart"],
        |home| home.agent.as_ref().context("no agent")?.signal(Signal::SIGSTOP),
        nothing,
    ),
];

/// Those on OpenWrt, whose firewall carries the mapping.
pub const ON_OPENWRT: &[Case] = &[
    case(
        "OpenWrt: the mapping was flushed by hand",
        "rule",
        &["service firewall restart"],
        |home| home.lab.router.nft("flush chain inet fw4 dstnat_wan"),
        nothing,
    ),
    case(
        "OpenWrt: the way from inside was taken out",
        "hairpin",
        &["at home"],
        |home| home.lab.router.nft("flush chain inet fw4 dstnat_lan"),
        nothing,
    ),
];

fn resolver_again(home: &mut Home) -> Result<()> {
    home.meddler = None;
    home.lab.write_resolver(&format!("nameserver {DNS4}\n"))
}

fn cacert(home: &Home) -> PathBuf {
    home.lab.root.join(CACERT.trim_start_matches('/'))
}

fn password(home: &Home, asks: bool) {
    home.camera.iter().for_each(|camera| camera.set_password(asks));
}
