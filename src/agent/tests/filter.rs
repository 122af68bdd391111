//! The packet filter: what is seen of it, and what its changes wait for.

use super::*;
use crate::mapping::fw4::Look;
use crate::mapping::nft::MapReport;
use crate::plan::MapJob;

/// Nobody changed the packet filter.
const WHOLE: Look = Look { intact: true, came: false, freed: false };

#[test]
fn a_filter_that_changes_while_it_is_looked_at_is_looked_at_again() {
    let root = Root::new("filter");
    let mut agent = root.agent(MAPPED);
    agent.state.mapping.applied = Some(Vec::new());
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.filter_checked(WHOLE, None, Vec::new());
    assert!(agent.checking_filter.is_none(), "one change, one look");
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.filter_checked(WHOLE, None, Vec::new());
    assert!(agent.checking_filter.is_some(), "the second change may have come behind the look");
    agent.filter_checked(WHOLE, None, Vec::new());
    assert!(agent.checking_filter.is_none());
}

/// dnsmasq and others change a set of the packet filter with every name that is looked up.
#[test]
fn a_filter_that_never_rests_is_looked_at_now_and_then() {
    let root = Root::new("restless");
    let mut agent = root.agent(MAPPED);
    agent.state.mapping.applied = Some(Vec::new());
    let quick = agent.filter_settle();
    for _ in 0..16 {
        agent.sensed(Event::RulesetChanged, clock::now());
        agent.filter_checked(WHOLE, None, Vec::new());
    }
    assert!(agent.filter_settle() > quick * 100);
    // After a rest a change is met at once again.
    agent.filter_checked_at = Instant::now().checked_sub(Duration::from_secs(3));
    assert_eq!(agent.filter_settle(), quick);
}

#[test]
fn a_filter_that_changes_while_the_first_mapping_is_made_is_looked_at() {
    let root = Root::new("first");
    let mut agent = root.agent(MAPPED);
    agent.config.global.backend = BackendChoice::Nft;
    agent.sensed(Event::RulesetChanged, clock::now());
    assert!(agent.checking_filter.is_none(), "nothing of ours is there");
    agent.state.mapping.in_flight = Some((1, Time(0)));
    agent.sensed(Event::RulesetChanged, clock::now());
    assert!(agent.checking_filter.is_some());
}

/// A program that stands for nft.
fn fake_nft(root: &Root, script: &str) -> Rc<smol::lock::Mutex<Backend>> {
    use std::os::unix::fs::PermissionsExt;
    let program = root.0.join("nft");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let absent = root.0.join("absent");
    let programs = Programs { nft: program, ubus: absent.clone(), fw4: absent };
    Rc::new(smol::lock::Mutex::new(Backend::with_programs(&root.0, &programs)))
}

#[test]
fn a_close_does_not_wait_for_an_nft_that_hangs() {
    let root = Root::new("overtake");
    root.configure(MAPPED);
    let setting = Setting {
        paths: root.paths(),
        reading: read_config(&root.paths()).unwrap(),
        http: Http::setup(None, "test", 0),
    };
    let executor = Rc::new(LocalExecutor::new());
    let (mut agent, messages) = Agent::new(setting, executor.clone());
    let hangs = "case \"$1\" in -f) if grep -q dnat; then echo > $0.hangs; exec sleep 60; fi;; esac";
    agent.backend = fake_nft(&root, hangs);
    let rule = plan::Rule {
        mapping: "rtsp".into(),
        wan_devices: vec!["wan0".into()],
        wan_addrs: Vec::new(),
        lan_device: "lan0".into(),
        lan: crate::config::Network::new("192.168.1.0".parse().unwrap(), 24).unwrap(),
        proto: crate::config::Proto::Tcp,
        src_dport: (8554, 8554),
        target: "192.168.1.20".parse().unwrap(),
        dest_port: (554, 554),
        sources: Vec::new(),
        src: "wan".into(),
        dest: "lan".into(),
    };
    let now = clock::now();
    let mut start = |generation, rules: Vec<plan::Rule>| {
        let action = plan::Action::Map(Box::new(MapJob {
            generation,
            carrier: plan::Carrier::Nft,
            reload: true,
            rules,
            cut: Vec::new(),
            wan_addrs: Vec::new(),
            unseen: Vec::new(),
        }));
        let change = settle::begin(&mut agent.state, &action, now);
        agent.start(action, change, now);
    };
    let begun = Instant::now();
    smol::block_on(executor.run(async {
        start(1, vec![rule]);
        while !root.0.join("nft.hangs").exists() {
            Timer::after(Duration::from_millis(5)).await;
        }
        start(2, Vec::new());
        let Ok(Message::Mapped(job, _, _, result)) = messages.recv().await else { panic!("another message") };
        assert_eq!((job.generation, result.is_ok()), (2, true), "{result:?}");
    }));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[test]
fn what_nft_refused_is_not_called_open() {
    let root = Root::new("refused");
    let mut agent = root.agent(MAPPED);
    agent.config.wans[0].device = crate::config::Device::Named("what nft cannot name".into());
    let now = clock::now();
    agent.world.own = vec![crate::model::OwnAddr {
        device: "lan0".into(),
        addr: "192.168.1.1".parse().unwrap(),
        prefix: 24,
        settled: true,
    }];
    let camera = agent.state.cameras.entry("front".into()).or_default();
    camera.addr = Some("192.168.1.20".parse().unwrap());
    agent.world.complete = true;
    let plan = plan::plan(&agent.config, &agent.world, &agent.state, now);
    let [plan::Action::Map(job)] = plan.actions.as_slice() else { panic!("nothing to map") };
    settle::begin(&mut agent.state, &plan.actions[0], now);
    let refused = crate::mapping::nft::ruleset(&job.rules, &[]).refused;
    assert_eq!(refused.len(), 1);
    let why = refused[0].1.clone();
    let report = MapReport { refused, ..MapReport::default() };
    agent.mapped(job, 1, Duration::ZERO, Ok(report), now);
    assert!(agent.state.history.is_empty(), "{:?}", agent.state.history);
    let view = agent.view(now);
    assert!(!view.healthy());
    let json = view.to_json();
    assert!(
        json.contains("\"open\":false") && json.contains("\"closed\":\"nft cannot name"),
        "{why}: {json}"
    );
    // It is not tried again in a circle.
    let again = plan::plan(&agent.config, &agent.world, &agent.state, now);
    assert_eq!(again.actions, []);
}

#[test]
fn a_table_of_which_nothing_is_known_is_removed_at_the_start() {
    let script = "case \"$1\" in -f) cat >> $0.loaded;; -s) echo 'table inet porchlight {'; echo '}';; esac";
    for (name, config, removed) in [("stray", "", true), ("ours", MAPPED, false)] {
        let root = Root::new(name);
        let mut agent = root.agent(config);
        agent.backend = fake_nft(&root, script);
        smol::block_on(agent.close_stray());
        let loaded = std::fs::read_to_string(root.0.join("nft.loaded")).unwrap_or_default();
        assert_eq!(loaded.contains("delete table inet porchlight"), removed, "{name}: {loaded}");
    }
}

#[test]
fn a_firewall_that_comes_later_is_seen() {
    let root = Root::new("fw4");
    root.configure(MAPPED);
    let http = Http::setup(None, "test", 0);
    let setting = Setting { paths: root.paths(), reading: read_config(&root.paths()).unwrap(), http };
    let executor = Rc::new(LocalExecutor::new());
    let (mut agent, messages) = Agent::new(setting, executor.clone());
    agent.backend = fake_nft(&root, "test \"$2\" = tables && cat $0.tables");
    smol::block_on(executor.run(async {
        for (tables, present) in [("table inet fw4\n", true), ("table ip home\n", false)] {
            std::fs::write(root.0.join("nft.tables"), tables).unwrap();
            agent.sensed(Event::RulesetChanged, clock::now());
            assert!(agent.take(messages.recv().await.unwrap()));
            assert_eq!(agent.world.fw4, present);
        }
    }));
}

#[test]
fn a_failure_of_the_packet_filter_is_told_once() {
    let root = Root::new("once");
    let mut agent = root.agent(MAPPED);
    let now = clock::now();
    for (generation, why, told) in [(1, "no nft", true), (2, "no nft", false), (3, "not permitted", true)] {
        let job = MapJob {
            generation,
            carrier: plan::Carrier::Nft,
            reload: true,
            rules: Vec::new(),
            cut: Vec::new(),
            wan_addrs: Vec::new(),
            unseen: Vec::new(),
        };
        settle::begin(&mut agent.state, &plan::Action::Map(Box::new(job.clone())), now);
        assert_eq!(agent.tell_filter_failure(why), told, "{generation}");
        agent.mapped(&job, generation, Duration::ZERO, Err(why.into()), now);
    }
}

#[test]
fn a_stop_does_not_wait_for_a_change_that_is_under_way() {
    let root = Root::new("stop");
    let mut agent = root.agent(MAPPED);
    let nowhere = || PathBuf::from("porchlight-no-such-program");
    let programs = Programs { nft: nowhere(), ubus: nowhere(), fw4: nowhere() };
    let backend = Rc::new(smol::lock::Mutex::new(Backend::with_programs(&root.0, &programs)));
    agent.backend = backend.clone();
    agent.state.mapping.targets.insert("192.168.1.9".parse().unwrap());
    // One that waits for OpenWrt's firewall.
    agent.changing_filter = Some(agent.executor.spawn(async move {
        let _backend = backend.lock().await;
        smol::future::pending().await
    }));
    assert!(agent.executor.try_tick());
    let executor = agent.executor.clone();
    let stopped = async {
        agent.end().await;
        true
    };
    let late = async {
        Timer::after(Duration::from_secs(10)).await;
        false
    };
    assert!(smol::block_on(executor.run(or(stopped, late))));
}
