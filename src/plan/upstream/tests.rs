//! The router above us: its answers, its epoch, and what is said of it.

use super::answer::has_restarted;
use super::*;
use crate::config::Proto;
use std::net::Ipv4Addr;

fn place() -> Place {
    Place { gateway: Ipv4Addr::new(192, 168, 0, 1), local: Ipv4Addr::new(192, 168, 0, 2) }
}

fn wan() -> Wan {
    let device = crate::config::Device::Named("wan0".into());
    Wan::plain("wan", device, vec![crate::model::Family::V4], Vec::new())
}

fn grant(port: u16) -> Grant {
    Grant { port: (Proto::Tcp, port), external: port, lifetime: LIFETIME, due: Time::default() }
}

fn granted(job: &UpstreamJob) -> Report {
    Report {
        way: Some(Way::Pcp),
        external: Some(Ipv4Addr::new(9, 9, 9, 9)),
        granted: job.asks.iter().map(|ask| (ask.port, ask.external, LIFETIME)).collect(),
        dropped: job.drops.iter().map(|drop| drop.port).collect(),
        ..Report::default()
    }
}

fn world() -> World {
    let mut world = World::default();
    let addr = crate::model::Reading::Seen { value: place().local.into(), at: Time(1) };
    let v4 = crate::model::Line { addr, route: true };
    let (device, gateway) = (Some("wan0".into()), Some(place().gateway));
    world.wans.insert("wan".into(), WanWorld { device, gateway, v4, ..WanWorld::default() });
    world
}

#[test]
fn an_epoch_behind_its_time_is_a_restart() {
    let at = |seconds: u64| Time(seconds * 1000);
    let before = Some((1000, at(100)));
    for (after, now, restarted) in [
        (1000, 100, false),
        (1100, 200, false),
        // An eighth slower, and two seconds.
        (1086, 200, false),
        (1085, 200, true),
        (999, 100, false),
        (3, 101, true),
        (u32::MAX, 100, false),
    ] {
        assert_eq!(has_restarted(before, Some(after), at(now)), restarted, "{after} at {now}");
    }
    assert!(!has_restarted(before, None, at(500)) && !has_restarted(None, Some(1), at(500)));
}

#[test]
fn a_farewell_is_for_what_was_just_asked_for_too_and_from_here_only() {
    let (mut state, mut world) = (State::default(), world());
    let asks = vec![Ask { port: (Proto::Tcp, 8554), external: 8554 }];
    let first = job(&state, &wan(), place(), "wan0", asks);
    begin(&mut state, &first, Time(0));
    assert_eq!(farewell(&world, &state, &wan()).unwrap().drops, [grant(8554)]);
    assert!(!answered(&mut state, &wan(), &first, granted(&first), Time(1000)));
    let bye = farewell(&world, &state, &wan()).unwrap();
    assert_eq!((bye.drops.len(), bye.asks.len(), bye.way), (1, 0, Some(Way::Pcp)));
    if let Some(wan) = world.wans.get_mut("wan") {
        wan.v4.addr = crate::model::Reading::Lost { since: Time(2) };
    }
    assert_eq!(farewell(&world, &state, &wan()), None, "it would not take our word");
}

#[test]
fn an_older_answer_says_nothing() {
    let mut state = State::default();
    let first = job(&state, &wan(), place(), "wan0", vec![Ask { port: (Proto::Tcp, 1), external: 1 }]);
    begin(&mut state, &first, Time(0));
    let second = job(&state, &wan(), place(), "wan0", Vec::new());
    begin(&mut state, &second, Time(0));
    answered(&mut state, &wan(), &first, granted(&first), Time(5));
    let memory = state.upstream.get("wan").unwrap();
    assert!(memory.grants.is_empty() && memory.in_flight.is_some());
}

#[test]
fn what_was_given_outlives_a_kill_and_not_a_reboot() {
    let mut state = State { nonce: *b"0123456789ab", ..State::default() };
    let asks = [8554, 8555].map(|port| Ask { port: (Proto::Tcp, port), external: port }).to_vec();
    let first = job(&state, &wan(), place(), "wan0", asks[..1].to_vec());
    begin(&mut state, &first, Time(0));
    answered(&mut state, &wan(), &first, granted(&first), Time(1000));
    let second = job(&state, &wan(), place(), "wan0", asks);
    begin(&mut state, &second, Time(0));
    let text = state.to_text("boot");
    let again = State::from_text(&text, "boot").unwrap();
    let memory = again.upstream.get("wan").unwrap();
    assert_eq!(again.nonce, state.nonce);
    assert_eq!((memory.place, memory.way), (Some(place()), Some(Way::Pcp)));
    assert_eq!(memory.grants, [grant(8554), grant(8555)]);
    let later = State::from_text(&text, "another boot").unwrap();
    assert!(later.upstream.is_empty() && later.nonce == [0; 12]);
}

#[test]
fn an_address_counts_only_where_it_was_told() {
    let (mut world, wan) = (world(), wan());
    let Place { gateway, local } = place();
    let mut public_of = |external: &str, gateway| {
        let sensed = world.wans.get_mut("wan").unwrap();
        sensed.above = Some(Above { gateway, local, external: external.parse().unwrap() });
        public(&wan, sensed)
    };
    assert_eq!(public_of("9.9.9.9", gateway), Some("9.9.9.9".parse().unwrap()));
    assert_eq!(public_of("9.9.9.9", Ipv4Addr::new(192, 168, 0, 254)), None, "another router");
    for private in ["100.64.5.6", "192.168.178.2", "10.0.0.1", "203.0.113.9", "0.0.0.0"] {
        assert_eq!(public_of(private, gateway), None, "{private}");
    }
}
