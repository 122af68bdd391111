//! The state file: what comes back of it, and which is refused.

use super::*;
use crate::config::Probe;
use crate::model::{Inquiry, Mac, Protection, Scheme};
use crate::provider::Failure;
use std::time::Duration;

fn sample() -> State {
    let mut state = State { change: 7, ..State::default() };
    for (domain, known) in [
        ("a.example.com", Known::Published("203.0.113.7".parse().unwrap())),
        ("b.example.com", Known::Remembered("203.0.113.8".parse().unwrap())),
        ("c.example.com", Known::Differs),
    ] {
        let id = RecordId { record: "home".into(), domain: domain.into(), family: Family::V4 };
        state.records.insert(id, RecordState { known, changed_at: Some(5), ..RecordState::default() });
    }
    let retry = |kind, next| Retry {
        failure: Failure::new(kind, "said\tno"),
        tries: 3,
        since: Time(1),
        started: Time(2),
        next,
        floor: Time::default(),
    };
    let account = |retry| AccountState { retry: Some(retry), ..AccountState::default() };
    state.accounts.insert("x:1".into(), account(retry(Kind::Credentials, None)));
    state.accounts.insert("y:2".into(), account(retry(Kind::Busy, Some(Time(99)))));
    let addr: IpAddr = "192.168.1.20".parse().unwrap();
    let by = Mac::parse("02:00:00:00:00:66").unwrap();
    let conflict = Conflict { addr, by, now: false, last: Time(8), quiet: Duration::from_secs(10) };
    let camera = CameraState {
        known_by: "name ipcam".into(),
        bound: Mac::parse("02:00:00:00:00:01"),
        addr: Some(addr),
        lease: Some((addr, Time(4))),
        leases: vec!["192.168.1.30".parse().unwrap(), addr],
        moved_at: Time(4),
        conflict: Some(conflict),
        mac: Mac::parse("02:00:00:00:00:01"),
        addr6: None,
        heard6: Some(0x1234),
        conflict6: Some(Conflict { addr: "2001:db8::20".parse().unwrap(), ..conflict }),
        unheard: None,
    };
    state.cameras.insert("front".into(), camera);
    let inquiry =
        Inquiry { target: "192.168.1.20:554".parse().unwrap(), how: Probe::Rtsp, path: "/a".into() };
    let probe = ProbeState {
        asked: Some(inquiry),
        proof: Some(Scheme::Digest),
        found: Some(Protection::Password(Scheme::Digest)),
        since: Time(5),
        at: Time(5),
        next: Time(3600),
        ..ProbeState::default()
    };
    state.probes.insert("rtsp".into(), probe);
    let pinned = Pinned { addr: [192, 168, 1, 20].into(), at: Time(6) };
    state.leases.pinned.insert("front".into(), pinned);
    let addrs = Some(vec![addr, "2001:db8::20".parse().unwrap()]);
    state.names.insert("owner.example.com".into(), NameState { addrs, ..NameState::default() });
    state.hits.insert("rtsp".into(), 12);
    state.mapping.targets.insert("192.168.1.20".parse().unwrap());
    for fields in [
        ["rtsp", "tcp", "8554", "192.168.1.20", "554", "198.51.100.0/24 192.0.2.7"],
        ["web", "udp", "8000-8010", "2001:db8::20", "8000-8010", ""],
    ] {
        opened::read(&mut state.mapping, &fields).unwrap();
    }
    state.remember(7, 1, "a became b".into());
    state
}

#[test]
fn comes_back_with_published_as_remembered() {
    let back = State::from_text(&sample().to_text("boot"), "boot").unwrap();
    let known: Vec<Known> = back.records.values().map(|r| r.known).collect();
    let remembered = |text: &str| Known::Remembered(text.parse().unwrap());
    assert_eq!(known, [remembered("203.0.113.7"), remembered("203.0.113.8")]);
    assert_eq!(back.accounts.get("x:1").unwrap().retry.as_ref().unwrap().next, None);
    assert_eq!(back.accounts.get("y:2").unwrap().retry.as_ref().unwrap().next, Some(Time(99)));
    assert_eq!(back.accounts.get("y:2").unwrap().retry.as_ref().unwrap().failure.text, "said no");
    assert_eq!((back.change, back.history.len()), (7, 1));
    assert_eq!(back.cameras, sample().cameras);
    assert_eq!(back.mapping, sample().mapping);
    assert_eq!(back.probes, sample().probes);
    assert_eq!(back.leases, sample().leases);
    assert_eq!((back.names, back.hits), (sample().names, sample().hits));
}

#[test]
fn after_a_reboot_waits_are_dropped_and_rests_stay() {
    let back = State::from_text(&sample().to_text("boot"), "another").unwrap();
    assert!(back.accounts.get("x:1").unwrap().retry.is_some());
    assert!(back.accounts.get("y:2").unwrap().retry.is_none());
    assert!(back.mapping == MappingState::default());
    assert!(back.probes.is_empty() && back.leases.pinned.is_empty());
    assert!(back.names.is_empty() && back.hits.is_empty());
    let camera = back.cameras.get("front").unwrap();
    assert!(camera.bound.is_some() && camera.addr.is_some());
    assert_eq!((camera.lease, camera.moved_at, camera.conflict), (None, Time(0), None));
}

#[test]
fn a_conflict_that_lasts_does_not_change_the_file_with_every_look() {
    let mut state = sample();
    let mut text_at = |at| {
        let camera = state.cameras.get_mut("front").unwrap();
        camera.conflict = camera.conflict.map(|conflict| Conflict { now: true, last: Time(at), ..conflict });
        state.to_text("boot")
    };
    let text = text_at(9);
    assert_eq!(text, text_at(99));
    let back = State::from_text(&text, "boot").unwrap();
    assert!(back.cameras.get("front").unwrap().conflict.unwrap().now);
}

#[test]
fn what_is_in_flight_is_not_remembered() {
    let mut state = sample();
    let id = state.records.keys().next().unwrap().clone();
    let records = vec![(id.clone(), Some("203.0.113.9".parse().unwrap()))];
    let job = InFlight { generation: 1, change: 8, since: Time(3), records };
    state.accounts.get_mut("y:2").unwrap().in_flight = Some(job);
    let back = State::from_text(&state.to_text("boot"), "boot").unwrap();
    assert!(!back.records.contains_key(&id));
}

#[test]
fn what_outlives_the_boot_is_taken_for_the_same_account_only() {
    let id = |domain: &str| RecordId { record: "home".into(), domain: domain.into(), family: Family::V6 };
    let record =
        |account: &str, sent_at| RecordState { account: account.into(), sent_at, ..RecordState::default() };
    let mut old = sample();
    for (domain, account) in
        [("same", "a:1"), ("other", "a:1"), ("known", "a:1"), ("new", "a:1"), ("gone", "a:1")]
    {
        old.records.insert(id(domain), record(account, Some(7)));
    }
    let text = old.to_kept_text();
    assert_eq!(text.lines().count(), 6, "{text}");
    let kept = State::from_text(&text, "").unwrap();
    let mut state = State::default();
    state.records.insert(id("same"), record("a:1", None));
    state.records.insert(id("other"), record("b:2", None));
    state.records.insert(id("known"), record("a:1", Some(9)));
    state.recall(&kept, &["same", "other", "known", "new"].map(id));
    let sent = |domain| state.records.get(&id(domain)).map(|record| record.sent_at);
    assert_eq!(
        ["same", "other", "known", "new", "gone"].map(sent),
        [Some(Some(7)), Some(None), Some(Some(9)), Some(Some(7)), None]
    );
    // An agent that is started again within the boot has it from its own file.
    assert_eq!(
        State::from_text(&state.to_text("boot"), "boot").unwrap().records.get(&id("known")).unwrap().sent_at,
        Some(9)
    );
    for end in 0..text.len() - 1 {
        assert!(State::from_text(&text[..end], "").is_err(), "cut at {end}");
    }
}

#[test]
fn torn_at_every_length_is_refused() {
    let text = sample().to_text("boot");
    for end in 0..text.len() - 1 {
        assert!(State::from_text(&text[..end], "boot").is_err(), "cut at {end}");
    }
    assert!(State::from_text(&text.replace("home", "hone"), "boot").is_err());
    assert!(State::from_text(&text.replacen("state 1", "state 2", 1), "boot").is_err());
}

#[test]
fn a_bad_file_is_set_aside() {
    let dir = std::env::temp_dir().join(format!("porchlight-state-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("state");
    save(&path, &sample().to_text("boot")).unwrap();
    assert!(load(&path, "boot").is_ok());
    std::fs::write(&path, "porchlight-state 1 00\nboot\tx\n").unwrap();
    assert!(load(&path, "boot").unwrap_err().contains("checksum"));
    assert!(dir.join("state.bad").exists() && !path.exists());
    assert_eq!(load(&path, "boot"), Ok(State::default()));
    std::fs::remove_dir_all(&dir).unwrap();
}
