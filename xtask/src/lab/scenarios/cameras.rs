//! `porchlight cameras` in a home of two hundred neighbours: it finds the five cameras, by different ways, and claims
//! nothing else; nothing is sent anywhere but into the LAN. One is written into the configuration, and mapped.

use super::Scenario;
use crate::lab::things::{self, Thing};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

/// Five cameras among two hundred neighbours.
pub const HOME: Scenario = Scenario {
    name: "cameras",
    about:
        "200 neighbours, 5 cameras: all found and nothing else claimed, within 5 s; one written and mapped",
    needs: things::NEEDS,
    limit: Duration::from_secs(150),
    slow: false,
    run,
};

/// The list is there within this time.
const LIMIT: Duration = Duration::from_secs(5);
/// Neighbours in all.
const NEIGHBOURS: u8 = 200;
/// The silent ones begin here.
const CROWD: u8 = 50;

/// Name, hardware address, host number, parts. A doorbell has the prefix of a maker of cameras, and a NAS streams.
const THINGS: [(&str, &str, u8, &[&str]); 10] = [
    (
        "hikvision",
        "c0:56:e3:00:00:20",
        20,
        &[
            "rtsp:554:/Streaming/Channels/101:Digest",
            "http:80:Digest",
            "wsd:video:onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2143G0-I \
             onvif://www.onvif.org/name/HIKVISION%20DS-2CD2143G0-I http://192.168.1.20/onvif/device_service",
        ],
    ),
    ("dahua", "3c:ef:8c:00:00:21", 21, &["rtsp:554:/cam/realmonitor:Basic", "http:80:open"]),
    ("ipcam-yard", "02:00:00:00:00:22", 22, &["rtsp:8554:/:open"]),
    (
        "axis",
        "02:00:00:00:00:23",
        23,
        &["rtsp:554:/axis-media/media.amp:Digest", "mdns:_axis-video._tcp:AXIS M1065-L"],
    ),
    (
        "hostile",
        "5c:62:8b:00:00:24",
        24,
        &[
            "rtsp:554:/stream1:Digest",
            "wsd:video:onvif://www.onvif.org/hardware/%1b%5B2J%9b31m%E2%80%AE onvif://www.onvif.org/name/TP-IPC%0Aok \
             http://198.51.100.80:2020/onvif/device_service",
        ],
    ),
    ("printer", "3c:d9:2b:00:00:30", 30, &["http:80:Basic", "wsd:printer:http://192.168.1.30:3911/"]),
    (
        "nas",
        "00:11:32:00:00:31",
        31,
        &["http:80:open", "rtsp:554:/:open", "upnp:Linux/4.4 UPnP/1.0 Synology/DSM"],
    ),
    (
        "tv",
        "8c:79:f5:00:00:32",
        32,
        &["http:8080:open", "upnp:Samsung/1.0 UPnP/1.0", "mdns:_rtsp._tcp:Living Room"],
    ),
    ("doorbell-cam", "c0:56:e3:00:00:33", 33, &["http:80:Digest", "http:8080:Digest"]),
    ("flood", "02:00:00:00:00:34", 34, &["flood", "http:80:Basic"]),
];

/// The prefixes of the silent ones: plugs, routers of the maker of a camera, a camera that is off, phones.
const PREFIXES: [&str; 12] = [
    "10:5a:17", "5c:62:8b", "a8:51:ab", "f0:18:98", "3c:22:fb", "dc:a6:32", "b8:27:eb", "00:1a:11",
    "f4:f5:d8", "44:19:b6", "48:e1:e9", "ac:67:84",
];

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.wan_up()?;
    lab.write_config(CONFIG)?;
    let things = home(lab)?;
    watch(lab)?;
    let mut summary = Summary::default();
    summary.0.push(finds(lab)?);
    summary.0.push(reads(lab)?);
    refuses(lab)?;
    summary.0.push(writes(lab)?);
    stayed_inside(lab)?;
    summary.0.push(maps(lab)?);
    drop(things);
    Ok(summary)
}

const CONFIG: &str = "config porchlight 'global'
\toption mapping_backend 'nft'

# Two lines that are the owner's own.\r
config wan 'wan'
\toption device 'wan0'
\tlist accept '203.0.113.0/24'";

/// Plugs everything in. The silent neighbours are entries of the kernel's table, with nobody behind them.
fn home(lab: &Lab) -> Result<Vec<Thing>> {
    let mut things = Vec::new();
    for (name, mac, host, parts) in THINGS {
        things.push(Thing::begin(lab, name, mac, host, parts)?);
    }
    things.iter().try_for_each(Thing::wait)?;
    let named: Vec<String> = things
        .iter()
        .filter(|thing| thing.host.ns.name().contains("cam"))
        .map(|t| t.host.lease(t.addr))
        .collect();
    let escapes = format!("0 {} 192.168.1.24 \u{1b}[31mcam *\n", THINGS[4].1);
    lab.write_leases(&[named.concat(), escapes])?;
    let crowd = NEIGHBOURS - THINGS.len() as u8;
    let lines: Vec<String> = (0..crowd)
        .map(|at| {
            let prefix = PREFIXES[usize::from(at) % PREFIXES.len()];
            format!(
                "neigh add 192.168.1.{} lladdr {prefix}:00:01:{at:02x} dev lan0 nud permanent",
                CROWD + at
            )
        })
        .collect();
    lab.router.ip_batch(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    let known = lab.router.sh("ip -4 neigh show dev lan0")?.lines().count();
    ensure!(known >= usize::from(NEIGHBOURS), "the kernel knows {known} neighbours");
    Ok(things)
}

/// Counts what is sent by other ways than into the LAN, and what goes to a host beyond it.
fn watch(lab: &Lab) -> Result<()> {
    lab.router.nft(
        "table inet watch {
            chain output {
                type filter hook output priority 0;
                meta nfproto ipv4 oifname != { \"lan0\", \"lo\" } counter
                ip daddr != { 192.168.1.0/24, 239.255.255.250, 224.0.0.0/24, 127.0.0.0/8 } counter
            }
        }",
    )
}

fn stayed_inside(lab: &Lab) -> Result<()> {
    let rules = lab.router.sh("nft list table inet watch")?;
    let still = rules.matches("counter packets 0 bytes 0").count();
    ensure!(still == 2, "something was sent out of the LAN: {rules}");
    Ok(())
}

/// The addresses of the cameras that are listed, with the answer.
fn listed(lab: &Lab) -> Result<(BTreeSet<String>, Value, Duration)> {
    let begun = Instant::now();
    let text = lab.verb(&["cameras", "--json"])?.success()?;
    let took = begun.elapsed();
    let value: Value = serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
    let cameras = value["cameras"].as_array().context("no list of cameras")?;
    let addrs = cameras.iter().filter_map(|camera| camera["address"].as_str()).map(str::to_owned);
    Ok((addrs.collect(), value, took))
}

/// All five, and nobody else.
fn finds(lab: &Lab) -> Result<String> {
    let (addrs, value, took) = listed(lab)?;
    let wanted: BTreeSet<String> = (20..25).map(|host| format!("192.168.1.{host}")).collect();
    ensure!(addrs == wanted, "found {addrs:?} of {value}");
    ensure!(took <= LIMIT, "it took {} ms", took.as_millis());
    let camera = |at: usize| &value["cameras"][at];
    let by = |at: usize| camera(at)["found_by"].to_string();
    ensure!(by(0) == r#"["onvif","mac"]"# && camera(0)["onvif"] == 80, "{}", camera(0));
    ensure!(camera(0)["vendor"] == "Hikvision" && camera(0)["model"] == "DS-2CD2143G0-I", "{}", camera(0));
    ensure!(camera(0)["mac"] == "c0:56:e3:00:00:20" && camera(0)["configured"].is_null(), "{}", camera(0));
    ensure!(by(1) == r#"["mac"]"# && camera(1)["services"][0]["password"] == true, "{}", camera(1));
    ensure!(by(2) == r#"["name"]"# && camera(2)["services"][0]["port"] == 8554, "{}", camera(2));
    ensure!(camera(2)["services"][0]["password"] == false, "{}", camera(2));
    ensure!(by(3) == r#"["mdns"]"# && camera(3)["vendor"] == "Axis", "{}", camera(3));
    ensure!(camera(4)["onvif"].is_null(), "an address of somebody else's was believed: {}", camera(4));
    let known = value["known"].as_u64().context("no count")?;
    ensure!(known >= u64::from(NEIGHBOURS) && value["not_asked"] == 0, "{value}");
    Ok(format!(
        "{known} devices are known, {} were asked, 5 are cameras: {} ms",
        value["asked"],
        took.as_millis()
    ))
}

/// The list for people: short, and harmless to a terminal.
fn reads(lab: &Lab) -> Result<String> {
    let begun = Instant::now();
    let done = lab.verb(&["cameras"])?;
    let took = begun.elapsed();
    ensure!(done.stderr.is_empty(), "no terminal, and yet a line of progress: {}", done.stderr);
    let text = done.success()?;
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
    ensure!(!text.chars().any(harmful), "{text:?}");
    for part in [
        "5 cameras in lan0 (192.168.1.0/24). Devices known there: ",
        "192.168.1.20  c0:56:e3:00:00:20  Hikvision, DS-2CD2143G0-I\n",
        "  rtsp at 554 asks for a password (Digest)\n",
        "  rtsp at 554 asks for a password (Basic)\n",
        "  rtsp at 8554 streams to anyone, without a password\n",
        "called ipcam-yard\n",
        "\toption path '/cam/realmonitor?channel=1&subtype=0'\n",
        "TP-Link, \\u{1b}[2J",
    ] {
        ensure!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    ensure!(took <= LIMIT, "it took {} ms", took.as_millis());
    Ok(format!("the list has {} lines, and no control character of anybody's", text.lines().count()))
}

/// What must not be written is not, and the file stays as it is.
fn refuses(lab: &Lab) -> Result<()> {
    for (arguments, code, says) in [
        (&["--write", "front"][..], 2, "5 cameras were found: say which"),
        (&["--write", "wan", "192.168.1.20"], 1, "there is a section called 'wan' already"),
        (&["--write", "front", "192.168.1.33"], 1, "no camera was found at 192.168.1.33"),
        (&["--write", "fr'ont"], 2, "letters, digits and _ only"),
        (&["--write", "front", "elsewhere"], 2, "no IPv4 address and no hardware address"),
        (&["192.168.1.20"], 2, "unexpected argument"),
    ] {
        let done = lab.verb(&[&["cameras"][..], arguments].concat())?;
        ensure!(
            done.status.code() == Some(code) && done.stderr.contains(says),
            "{arguments:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
    let text = fs::read_to_string(lab.config_file())?;
    ensure!(text == CONFIG, "it was changed:\n{text}");
    Ok(())
}

/// One is written: what was there stays, and the whole is a good configuration.
fn writes(lab: &Lab) -> Result<String> {
    let told = lab.verb(&["cameras", "--write", "front", "c0:56:e3:00:00:20"])?.success()?;
    ensure!(told.contains("porchlight check") && told.contains("reload"), "{told}");
    let text = fs::read_to_string(lab.config_file())?;
    let added = text.strip_prefix(CONFIG).context("what was there has changed")?;
    ensure!(added.contains("config camera 'front'\n\tlist mac 'c0:56:e3:00:00:20'\n"), "{added}");
    ensure!(added.contains("\toption path '/Streaming/Channels/101'\n"), "{added}");
    let mode = fs::metadata(lab.config_file())?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "mode {mode:o}");
    let port = port(&text)?;
    ensure!(port > 20_000, "port {port}");
    let checked = lab.verb(&["check"])?;
    ensure!(checked.stderr.is_empty(), "{}", checked.stderr);
    ensure!(checked.success()?.contains(&format!("outside port {port}/tcp -> front port 554")), "check");
    let again = lab.verb(&["cameras", "--write", "other", "192.168.1.20"])?;
    ensure!(again.stderr.contains("is camera 'front' of the configuration already"), "{}", again.stderr);
    Ok(format!("written as 'front' at port {port}; check finds no fault"))
}

fn port(text: &str) -> Result<u16> {
    let (_, rest) = text.split_once("option src_dport '").context("no port")?;
    Ok(rest.split('\'').next().unwrap_or_default().parse()?)
}

/// The agent maps it, once it has asked for the password.
fn maps(lab: &Lab) -> Result<String> {
    let port = port(&fs::read_to_string(lab.config_file())?)?;
    let begun = Instant::now();
    let mut agent = lab.start_agent()?;
    let mut last = String::new();
    until("a viewer reaches the camera", 10 * SECOND, || {
        last = options(lab, port).unwrap_or_else(|error| format!("{error:#}"));
        last.starts_with("RTSP/1.0 200").then_some(())
    })
    .with_context(|| format!("the last attempt: {last}\n{}", agent.tail(20)))?;
    let took = begun.elapsed();
    agent.stop(5 * SECOND)?;
    Ok(format!("mapped: a viewer reached it {} ms after the agent's start", took.as_millis()))
}

/// What the camera answers to a viewer outside.
fn options(lab: &Lab, port: u16) -> Result<String> {
    let mut call = probe::connect(&lab.internet, (WAN4, port).into(), SECOND / 5)?;
    call.set_read_timeout(Some(SECOND))?;
    call.write_all(b"OPTIONS rtsp://cam/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")?;
    let mut room = [0; 256];
    let count = call.read(&mut room)?;
    Ok(String::from_utf8_lossy(&room[..count]).into_owned())
}
