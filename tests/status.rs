//! What `status` says of cameras: since when one is silent, what it made of the last question, its static lease; and
//! that whatever is not well is marked. And that docs/status.md names what there is, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/configuration.rs"]
mod configuration;
#[path = "common/document.rs"]
mod document;

use configuration::config;
use porchlight::map::Map;
use porchlight::metrics;
use porchlight::model::*;
use porchlight::state::{CameraState, Pinned, ProbeState, State};
use porchlight::status::{mark, render, View};
use porchlight::wire::json::Json;
use std::collections::BTreeSet;
use std::net::IpAddr;

const CONFIG: &str = "config porchlight
	option mapping_backend 'nft'
config wan 'wan'
	option device 'wan0'
config camera 'front'
	list mac '02:00:00:00:00:20'
	option static_lease '1'
config mapping 'rtsp'
	option camera 'front'
	option src_dport '8554'
	option dest_port '554'
";
const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 20));
const HOUR: u64 = 3_600_000;

/// The document and the text an hour after the boot, when the camera was last asked 12 minutes ago and found so.
fn status(found: Protection, change: impl Fn(&mut State)) -> (Json, String) {
    let config = config(CONFIG);
    let lan = OwnAddr { device: "lan0".into(), addr: [192, 168, 1, 1].into(), prefix: 24, settled: true };
    let world = World { complete: true, own: vec![lan], ..World::default() };
    let mut state = State::default();
    state.cameras.insert("front".into(), CameraState { addr: Some(ADDR), ..CameraState::default() });
    let asked =
        Inquiry { target: (ADDR, 554).into(), how: porchlight::config::Probe::Rtsp, path: "/".into() };
    let at = Time(HOUR - 12 * 60_000);
    let probe = ProbeState {
        asked: Some(asked),
        proof: Some(Scheme::Digest),
        found: Some(found),
        since: at,
        at,
        next: Time(HOUR + 48 * 60_000),
        ..ProbeState::default()
    };
    state.probes.insert("rtsp".into(), probe);
    change(&mut state);
    let now = Now { boot: Time(HOUR), wall: 1_800_000_000 };
    let (problems, deaf) = (&[], &Map::new());
    let json = View { config: &config, problems, deaf, world: &world, state: &state, now }.to_json();
    document::is_valid(&json);
    let json = Json::parse(&json).unwrap();
    let text = render(&json);
    (json, text)
}

/// The first two cells of the rows below this heading of docs/status.md, as they are in code.
fn documented(heading: &str) -> BTreeSet<(String, String)> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.md")).unwrap();
    let part = docs.split("\n## ").find(|part| part.starts_with(heading)).unwrap();
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = |row: &str| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name.to_string(), rest.split(" |").next().unwrap().to_string())
    };
    rows.map(cells).collect()
}

#[test]
fn the_documented_fields_are_those_of_the_schema() {
    let fields: BTreeSet<String> = documented("`--json`").into_iter().map(|(name, _)| name).collect();
    assert_eq!(fields, document::named());
}

#[test]
fn the_documented_metrics_are_those_that_there_are() {
    let all = metrics::families().map(|(name, kind, _)| (name.to_string(), kind.to_string()));
    assert_eq!(documented("`--prometheus`"), all.collect());
}

/// A document with a time says the same as with a later one; anything else makes a difference.
#[test]
fn a_mark_is_of_what_is_said_and_not_of_when() {
    let document = |time, silent, hits, text| {
        format!("{{\"time\":{time},\"a\":[{{\"silent_s\":{silent},\"hits\":{hits},\"name\":\"{text}\"}}]}}")
    };
    let one = mark(&document(1_800_000_000, 9, 7, "front"));
    assert_eq!(one, mark(&document(1_800_000_090, 123, 7, "front")));
    assert_ne!(one, mark(&document(1_800_000_000, 9, 8, "front")));
    assert_ne!(one, mark(&document(1_800_000_000, 9, 7, "back")));
    assert_ne!(one, mark(&document(1_800_000_000, 9, 7, "front_s\\\":1")));
    assert_ne!(mark("7"), mark("8"));
    // The offset basis, and the hash of "a": <http://www.isthe.com/chongo/tech/comp/fnv/>.
    assert_eq!((mark(""), mark("a")), (0x811c_9dc5, 0xe40c_292c));
}

#[test]
fn since_when_a_camera_is_silent() {
    let (json, text) = status(Protection::Silent, |_| ());
    let camera = &json.get("cameras").items()[0];
    assert_eq!(camera.get("silent_s").num(), Some(720));
    assert!(text.contains("! camera   front at 192.168.1.20, silent since 12 min\n"), "{text}");
    let (_, text) = status(Protection::NoService, |_| ());
    assert!(text.contains("silent since 12 min"), "{text}");
    // It answered, and then the kernel lost it.
    let lost =
        |state: &mut State| state.cameras.get_mut("front").unwrap().unheard = Some(Time(HOUR - 89_000));
    let (_, text) = status(Protection::Password(Scheme::Digest), lost);
    assert!(text.contains("front at 192.168.1.20, silent since 89 s\n"), "{text}");
    // What it was asked at another place says nothing of this one.
    let moved =
        |state: &mut State| state.cameras.get_mut("front").unwrap().addr = Some([192, 168, 1, 9].into());
    let (json, text) = status(Protection::Silent, moved);
    assert!(text.contains("front at 192.168.1.9 (not heard of lately)\n"), "{text}");
    assert!(json.get("mappings").items()[0].get("protection").is_null());
}

#[test]
fn what_a_camera_was_found_to_be() {
    let (json, _) = status(Protection::Password(Scheme::Digest), |_| ());
    let mapping = &json.get("mappings").items()[0];
    assert_eq!(mapping.get("protection").str(), Some("asks for a password (Digest)"));
    assert_eq!((mapping.get("checked_s").num(), mapping.get("next_check_s").num()), (Some(720), Some(2880)));
    let open = r#"{"mappings":[{"name":"rtsp","port":"8554","target":"192.168.1.20","camera_port":"554","open":true,
        "protection":"asks for a password (Digest)","checked_s":7300,"hits":7}]}"#;
    let text = render(&Json::parse(open).unwrap());
    let line =
        "  mapping  rtsp port 8554 -> 192.168.1.20 port 554, asks for a password (Digest), asked 2 h ago, \
                7 connections\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_static_lease_or_why_there_is_none() {
    let good = Protection::Password(Scheme::Digest);
    let pinned = |state: &mut State| {
        let pinned = Pinned { addr: [192, 168, 1, 20].into(), at: Time(1) };
        state.leases.pinned.insert("front".into(), pinned);
        state.leases.failure = Some("locked".into());
    };
    let (json, text) = status(good.clone(), pinned);
    assert_eq!(json.get("cameras").items()[0].get("static_lease").str(), Some("192.168.1.20"));
    assert!(!text.contains("static lease"), "{text}");
    let refused = |state: &mut State| state.leases.refused.push(("front".into(), "somebody's".into()));
    let (_, text) = status(good, refused);
    assert!(text.contains("! camera   front: its static lease is not written: somebody's\n"), "{text}");
}

/// Two names of one section in two families: of the first nothing is published, of the second one family is.
#[test]
fn a_section_without_any_published_name_is_marked() {
    let record = |section: &str, rtype: &str, standing: &str| {
        format!(
            "{{\"record\":\"{section}\",\"domain\":\"{section}.example.com\",\"type\":\"{rtype}\",\"provider\":\"duckdns\",\
             \"standing\":\"{standing}\",\"waiting\":\"no address\",\"published\":\"192.0.2.1\"}}"
        )
    };
    let records = [
        record("lost", "A", "waiting"),
        record("lost", "AAAA", "waiting"),
        record("home", "A", "published"),
        record("home", "AAAA", "waiting"),
    ];
    let text = format!("{{\"healthy\":false,\"records\":[{}]}}", records.join(","));
    let text = render(&Json::parse(&text).unwrap());
    assert!(
        text.contains("\n! record   lost.example.com A (duckdns) is left as it is: no address\n"),
        "{text}"
    );
    assert!(text.contains("\n! record   lost.example.com AAAA (duckdns) is left"), "{text}");
    assert!(text.contains("\n  record   home.example.com AAAA (duckdns) is left"), "{text}");
}

/// A schedule has closed one of a camera's ways in, and another one is open: the first line says both.
#[test]
fn a_camera_of_which_one_mapping_rests_is_not_called_closed() {
    let text = "config porchlight
	option mapping_backend 'nft'
config wan 'wan'
	option device 'wan0'
config camera 'front'
	list mac '02:00:00:00:00:20'
config mapping 'rtsp'
	option camera 'front'
	option src_dport '8554'
	option schedule '02:00-02:01'
	option allow_open '1'
config mapping 'web'
	option camera 'front'
	option src_dport '8080'
	option allow_open '1'
";
    let config = config(text);
    let device = || "wan0".to_string();
    let own = |device: &str, addr: [u8; 4]| OwnAddr {
        device: device.into(),
        addr: addr.into(),
        prefix: 24,
        settled: true,
    };
    let mut world = World { complete: true, own: vec![own("lan0", [192, 168, 1, 1])], ..World::default() };
    let mut wan = WanWorld { device: Some(device()), last_device: Some(device()), ..WanWorld::default() };
    wan.v4.route = true;
    wan.v4.addr = Reading::Seen { value: [93, 184, 216, 34].into(), at: Time(0) };
    world.wans.insert("wan".into(), wan);
    let mut state = State::default();
    state.cameras.insert("front".into(), CameraState { addr: Some(ADDR), ..CameraState::default() });
    let now = Now { boot: Time(HOUR), wall: 1_800_000_000 };
    let rules: Vec<_> = config
        .mappings
        .iter()
        .flat_map(|mapping| {
            match porchlight::plan::mapping::exposure(&config, &world, &state, mapping, now) {
                porchlight::plan::mapping::Exposure::Open(rules) => rules,
                _ => Vec::new(),
            }
        })
        .collect();
    assert_eq!(rules.len(), 1);
    state.mapping.applied = Some(rules);
    let (problems, deaf) = (&[], &Map::new());
    let json = View { config: &config, problems, deaf, world: &world, state: &state, now }.to_json();
    document::is_valid(&json);
    let first = render(&Json::parse(&json).unwrap()).lines().next().unwrap().to_string();
    assert!(
        first.starts_with(
            "Camera front can be reached at 93.184.216.34:8080; the rest of it is closed by its schedule"
        ),
        "{first}"
    );
}
