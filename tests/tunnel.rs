//! What `status` says of tunnels: by which port a mapping is reached, what fails and when it is tried again, and that one
//! which is not needed is no fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/configuration.rs"]
mod configuration;

use configuration::config;
use porchlight::map::Map;
use porchlight::model::*;
use porchlight::plan::tunnel::{LineState, TunnelState};
use porchlight::provider::{Failure, Kind};
use porchlight::state::{CameraState, Retry, State};
use porchlight::status::{render, View};
use porchlight::wire::json::Json;

const CONFIG: &str = "config wan 'wan'
	option device 'wan0'
config camera 'front'
	list mac '02:00:00:00:00:20'
config mapping 'rtsp'
	option camera 'front'
	option src_dport '8554'
	option allow_open '1'
config tunnel 'out'
	option kind 'bore'
	option server 'vps.example.net'
	list mapping 'rtsp'
";

/// The document and the lines about tunnels, an hour after the boot, while the mapping is open.
fn status(memory: TunnelState) -> (Json, String) {
    let own = OwnAddr { device: "lan0".into(), addr: [192, 168, 1, 1].into(), prefix: 24, settled: true };
    status_in(World { complete: true, own: vec![own], ..World::default() }, memory)
}

fn status_in(world: World, memory: TunnelState) -> (Json, String) {
    let (config, mut state) = (config(CONFIG), State::default());
    state.tunnels.insert("out".into(), memory);
    let camera = CameraState { addr: Some([192, 168, 1, 20].into()), ..CameraState::default() };
    state.cameras.insert("front".into(), camera);
    let now = Now { boot: Time(3_600_000), wall: 1_800_000_000 };
    let (problems, deaf, world) = (&[], &Map::new(), &world);
    let json = View { config: &config, problems, deaf, world, state: &state, now }.to_json();
    let json = Json::parse(&json).unwrap();
    let text = render(&json);
    let lines: Vec<&str> = text.lines().filter(|line| line.get(2..8) == Some("tunnel")).collect();
    (json.get("tunnels").at(0).clone(), lines.join("\n"))
}

fn used(line: LineState) -> TunnelState {
    let lines = Map::from([("rtsp".to_string(), line)]);
    TunnelState { needed: true, begun: true, lines, ..TunnelState::default() }
}

fn retry() -> Retry {
    Retry {
        failure: Failure::new(Kind::Unreachable, "vps.example.net port 7835: it closed the connection"),
        tries: 3,
        since: Time(3_500_000),
        started: Time(3_590_000),
        next: Some(Time(3_620_000)),
        floor: Time(0),
    }
}

#[test]
fn one_that_is_not_needed_says_when_it_may_be() {
    let (json, text) = status(TunnelState::default());
    assert_eq!(text, "  tunnel   out (bore): not needed");
    assert_eq!(json.get("used").bool(), Some(false));
    let (json, text) = status(TunnelState { unreached: Some(Time(3_580_000)), ..TunnelState::default() });
    assert_eq!(text, "  tunnel   out (bore): used in 40 s, if no wan is publicly reachable by then");
    assert_eq!(json.get("used_in_s").num(), Some(40));
}

#[test]
fn the_real_port_is_shown() {
    let (json, text) = status(used(LineState { port: Some(8554), ..LineState::default() }));
    assert_eq!(text, "  tunnel   out (bore): rtsp is reached at vps.example.net port 8554");
    assert_eq!(json.get("mappings").at(0).get("state").str(), Some("carries"));
    // What failed before is over.
    let (json, text) =
        status(used(LineState { port: Some(31000), retry: Some(retry()), ..LineState::default() }));
    let expected =
        "  tunnel   out (bore): rtsp is reached at vps.example.net port 31000, not 8554 that was asked for";
    assert_eq!(text, expected);
    let line = json.get("mappings").at(0);
    assert_eq!((line.get("port").num(), line.get("wanted_port").num()), (Some(31000), Some(8554)));
    assert!(line.get("failure").is_null());
}

#[test]
fn what_fails_is_marked_with_the_next_try() {
    let (json, text) = status(used(LineState { retry: Some(retry()), ..LineState::default() }));
    let why = "vps.example.net port 7835: it closed the connection";
    assert_eq!(text, format!("! tunnel   out (bore): rtsp: {why}; next try in 20 s"));
    let line = json.get("mappings").at(0);
    assert_eq!(line.get("state").str(), Some("failing"));
    assert_eq!(line.get("failure").get("tries").num(), Some(3));
    // The camera is on no network of ours: what failed before that is of no interest.
    for line in [LineState::default(), LineState { retry: Some(retry()), ..LineState::default() }] {
        let (json, text) = status_in(World { complete: true, ..World::default() }, used(line));
        assert_eq!(text, "  tunnel   out (bore): rtsp is closed, and not carried");
        let line = json.get("mappings").at(0);
        assert_eq!((line.get("state").str(), line.get("failure").is_null()), (Some("idle"), true));
    }
}
