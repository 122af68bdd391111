//! The agent's own decisions, with no sensor and no act running: the executor is never run.

use super::*;
use crate::mapping::backend::Programs;
use smol::future::FutureExt;
use std::path::PathBuf;

/// A root directory of its own for one test, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let dir = std::env::temp_dir().join(format!("porchlight-agent-{name}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("etc/config")).unwrap();
        Root(dir)
    }

    fn paths(&self) -> Paths {
        Paths::new(&self.0, None)
    }

    fn configure(&self, text: &str) {
        std::fs::write(self.paths().config, text).unwrap();
    }

    /// An agent with this configuration.
    fn agent(&self, config: &str) -> Agent {
        self.configure(config);
        let http = Http::setup(None, "test", 0);
        let setting = Setting { paths: self.paths(), reading: read_config(&self.paths()).unwrap(), http };
        Agent::new(setting, Rc::new(LocalExecutor::new())).0
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Nobody changed the packet filter.
const WHOLE: Look = Look { intact: true, came: false, freed: false };

const MAPPED: &str = "config wan 'wan'
	option device 'wan0'
config camera 'front'
	list mac '02:00:00:00:00:20'
config mapping 'rtsp'
	option camera 'front'
	option src_dport '8554'
	option allow_open '1'
";

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

#[test]
fn a_configuration_that_cannot_be_read_is_a_problem() {
    let root = Root::new("unread");
    let mut agent = root.agent("config wan 'wan'\n\toption device 'wan0'\n");
    assert!(agent.view(clock::now()).healthy());
    std::fs::remove_file(root.paths().config).unwrap();
    agent.reload();
    assert!(!agent.view(clock::now()).healthy());
    assert_eq!(agent.config.wans.len(), 1, "the old one stays");
    let why = read_config(&root.paths()).err().unwrap();
    assert!(Reading::without(&root.paths(), why).is_faulty(), "at the start likewise");
}

#[test]
fn a_reload_that_switches_off_leaves_nothing_to_do() {
    let root = Root::new("off");
    let mut agent = root.agent(MAPPED);
    root.configure(&format!("config porchlight 'global'\n\toption enabled '0'\n{MAPPED}"));
    agent.reload();
    let Config { records, cameras, mappings, .. } = &agent.config;
    assert!(records.is_empty() && cameras.is_empty() && mappings.is_empty());
    root.configure(MAPPED);
    agent.reload();
    assert_eq!(agent.config.mappings.len(), 1, "and back on");
}

#[test]
fn nothing_is_mapped_before_the_cameras_neighbours_were_heard() {
    let root = Root::new("neighbours");
    let mut agent = root.agent(MAPPED);
    smol::block_on(async { agent.network = Some(Rc::new(Network::open().unwrap())) });
    let now = clock::now();
    agent.sensed(Event::Network { wans: Map::new(), own: Vec::new() }, now);
    agent.sensed(Event::Resolver(true), now);
    agent.sensed(Event::Leases(Vec::new()), now);
    agent.decide(now);
    assert!(!agent.world.complete && agent.state.mapping.in_flight.is_none());
    agent.sensed(Event::Neighbours(Vec::new()), now);
    agent.decide(now);
    assert!(agent.world.complete && agent.state.mapping.in_flight.is_some());
    // A camera that a reload adds, or that moved, is asked for likewise.
    agent.config.cameras[0].macs.push(Mac([2, 0, 0, 0, 0, 0x21]));
    agent.decide(now);
    assert!(!agent.world.complete);
}

#[test]
fn without_cameras_no_neighbours_are_waited_for() {
    let root = Root::new("none");
    let mut agent = root.agent("config wan 'wan'\n\toption device 'wan0'\n");
    smol::block_on(async { agent.network = Some(Rc::new(Network::open().unwrap())) });
    let now = clock::now();
    agent.sensed(Event::Network { wans: Map::new(), own: Vec::new() }, now);
    agent.sensed(Event::Resolver(true), now);
    agent.sensed(Event::Leases(Vec::new()), now);
    agent.decide(now);
    assert!(agent.world.complete);
}

#[test]
fn without_the_network_sensor_the_agent_ends_with_an_error() {
    let root = Root::new("deaf");
    let mut agent = root.agent("config wan 'wan'\n\toption device 'wan0'\n");
    assert!(agent.take(Message::Deaf("clock", "no timer".into())), "the rest goes on without it");
    assert_eq!(agent.failed, None);
    assert!(!agent.take(Message::Deaf(NETWORK, "out of memory".into())));
    assert!(agent.failed.is_some_and(|why| why.contains("out of memory")));
}

#[test]
fn a_state_that_cannot_be_written_is_told_once() {
    let root = Root::new("full");
    let mut agent = root.agent("");
    agent.save();
    assert!(agent.unsaved, "there is no directory for it");
    crate::control::private_dir(&root.paths().run_dir).unwrap();
    agent.save();
    assert!(!agent.unsaved && root.paths().state.exists());
}

const DYNAMIC: &str = "config wan 'wan'
	option device 'wan0'
	list accept '203.0.113.0/24'
config record 'home'
	option provider 'noip'
	option username 'alice'
	option password 'swordfish'
	list domain 'cam.example.com'
";

/// The device wan0 has this address, and a route.
fn online(addr: &str) -> Event {
    let wan = crate::model::WanSnapshot {
        device: Some("wan0".into()),
        v4: Some(addr.parse().unwrap()),
        route4: true,
        ..Default::default()
    };
    let mut wans = Map::new();
    wans.insert("wan".to_string(), wan);
    Event::Network { wans, own: Vec::new() }
}

#[test]
fn healing_ends_a_running_look_and_it_is_asked_anew() {
    let root = Root::new("look");
    let mut agent = root.agent(DYNAMIC);
    let now = clock::now();
    agent.sensed(online("203.0.113.7"), now);
    agent.decide(now);
    let flying = |agent: &Agent| {
        let (key, account) = agent.state.accounts.iter().next().unwrap();
        (key.clone(), account.in_flight.as_ref().map(|job| job.generation))
    };
    let (account, first) = flying(&agent);
    assert!(first == Some(1) && agent.looking.contains_key(&account));
    let later = Now { boot: now.boot.plus(Duration::from_millis(5)), ..now };
    agent.sensed(Event::Leases(Vec::new()), later);
    assert!(agent.looking.contains_key(&account), "nothing got better");
    agent.sensed(Event::Resolver(true), later);
    assert!(!agent.looking.contains_key(&account));
    // The look comes back with what it learnt: nothing.
    let records = agent.state.accounts.get(&account).unwrap().in_flight.as_ref().unwrap().records.clone();
    let records = records.into_iter().map(|(id, _)| id).collect();
    agent.looked(&LookJob { account: account.clone(), generation: 1, records }, Vec::new(), later);
    agent.decide(later);
    assert_eq!(flying(&agent), (account, Some(2)));
}

/// Two sections change their names, and the record goes with its own: its address stays what it was.
#[test]
fn a_wan_that_is_another_device_now_lends_no_address_of_the_one_before() {
    let root = Root::new("swapped");
    let config = |a: &str, b: &str, wan: &str| {
        format!(
            "config wan 'a'\n\toption device '{a}'\nconfig wan 'b'\n\toption device '{b}'\nconfig record 'home'\n\toption \
             provider 'duckdns'\n\toption token 'x1234567'\n\tlist domain 'a.duckdns.org'\n\tlist wan '{wan}'\n"
        )
    };
    let mut agent = root.agent(&config("wan0", "wan1", "a"));
    let mut wans = Map::new();
    for (name, device, addr) in [("a", "wan0", "93.184.216.34"), ("b", "wan1", "93.184.216.35")] {
        let (device, v4) = (Some(device.into()), Some(addr.parse().unwrap()));
        let wan = crate::model::WanSnapshot { device, v4, route4: true, ..Default::default() };
        wans.insert(name.to_string(), wan);
    }
    agent.sensed(Event::Network { wans, own: Vec::new() }, clock::now());
    let wish = |agent: &Agent| {
        let record = &agent.config.records[0];
        plan::publish::wish(&agent.config, &agent.world, &agent.state, record, Family::V4)
    };
    assert!(
        matches!(wish(&agent), plan::publish::Wish::Address(addr) if addr.to_string() == "93.184.216.34")
    );
    root.configure(&config("wan1", "wan0", "b"));
    agent.reload();
    assert_eq!(agent.config.records[0].wans, ["b"]);
    assert!(matches!(wish(&agent), plan::publish::Wish::Wait(_)));
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
        let action = plan::Action::Map(MapJob {
            generation,
            carrier: plan::Carrier::Nft,
            reload: true,
            rules,
            cut: Vec::new(),
            wan_addrs: Vec::new(),
            unseen: Vec::new(),
        });
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
fn a_sensor_that_stops_is_started_again_and_status_says_so() {
    let root = Root::new("again");
    let text = "config wan 'wan'\n\toption device 'wan0'\n";
    root.configure(text);
    let http = Http::setup(None, "test", 0);
    let setting = Setting { paths: root.paths(), reading: read_config(&root.paths()).unwrap(), http };
    let executor = Rc::new(LocalExecutor::new());
    let (mut agent, messages) = Agent::new(setting, executor.clone());
    let starts = Rc::new(std::cell::Cell::new(0));
    let count = starts.clone();
    agent.spawn_sensor("clock", move || {
        count.set(count.get() + 1);
        let first = count.get() == 1;
        async move {
            match first {
                true => Err(std::io::Error::other("no timer")),
                false => std::future::pending().await,
            }
        }
        .boxed_local()
    });
    smol::block_on(executor.run(async {
        assert!(agent.view(clock::now()).healthy());
        assert!(agent.take(messages.recv().await.unwrap()));
        let view = agent.view(clock::now());
        assert!(!view.healthy());
        let shown = crate::status::render(&crate::wire::json::Json::parse(&view.to_json()).unwrap());
        assert!(shown.contains("! sensor   the clock sensor stopped: no timer"), "{shown}");
        assert!(agent.take(messages.recv().await.unwrap()));
        assert!(agent.view(clock::now()).healthy());
    }));
    assert_eq!(starts.get(), 2);
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
        settle::begin(&mut agent.state, &plan::Action::Map(job.clone()), now);
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

const EXPIRING: &str = "config wan 'wan'
	option device 'wan0'
config record 'home'
	option provider 'noip'
	option username 'u'
	option password 'abcdefgh'
	list domain 'cam.example.com'
";

/// The number of the file on flash and its mode, if it is there: a new one has another.
fn on_flash(root: &Root) -> Option<(u64, u32)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(root.0.join("etc/porchlight/refresh")).ok()?;
    Some((meta.ino(), meta.mode() & 0o777))
}

/// An agent whose one record was found right.
fn with_a_right_record(root: &Root) -> (Agent, RecordId) {
    let mut agent = root.agent(EXPIRING);
    let record = agent.config.records[0].clone();
    let id = plan::publish::ids(&record).next().unwrap();
    let memory = agent.state.records.entry(id.clone()).or_default();
    memory.account = plan::account::account_key(&record);
    memory.known = state::Known::Published("8.0.0.1".parse().unwrap());
    (agent, id)
}

const NOON: Now = Now { boot: Time(10_000_000), wall: 1_800_000_000 };
const DAY: u64 = 86_400;

#[test]
fn flash_is_written_when_the_days_begin_to_count_and_seldom_after_that() {
    let root = Root::new("flash");
    let (mut agent, id) = with_a_right_record(&root);
    agent.keep();
    assert_eq!(on_flash(&root), None, "there is nothing to keep yet");
    refresh::observe(&agent.config, &mut agent.state, NOON);
    agent.keep();
    let first = on_flash(&root).unwrap();
    assert_eq!(first.1, 0o600);
    assert!(!root.0.join("etc/porchlight/refresh.new").exists());
    for days in [0, 1, 8] {
        agent.state.records.get_mut(&id).unwrap().sent_at = Some(NOON.wall + days * DAY);
        agent.keep();
        assert_eq!(on_flash(&root), Some(first), "after {days} days");
    }
    agent.state.records.get_mut(&id).unwrap().sent_at = Some(NOON.wall + 9 * DAY);
    agent.state.accounts.entry("x".into()).or_default().in_flight =
        Some(state::InFlight { generation: 1, change: 1, since: Time(0), records: Vec::new() });
    agent.keep();
    assert_eq!(on_flash(&root), Some(first), "a job is under way");
    agent.state.accounts.clear();
    agent.keep();
    assert_ne!(on_flash(&root).unwrap().0, first.0);
    // After a reboot all but this is gone.
    let (mut agent, _) = with_a_right_record(&root);
    assert_eq!(agent.state.records.get(&id).unwrap().sent_at, Some(NOON.wall + 9 * DAY));
    let last = on_flash(&root);
    agent.keep();
    assert_eq!(on_flash(&root), last);
}

#[test]
fn a_file_on_flash_that_is_torn_or_cannot_be_written_does_no_harm() {
    let root = Root::new("torn-flash");
    let file = root.paths().kept;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "porchlight-state 1 00\nsent\tx\n").unwrap();
    let (mut agent, id) = with_a_right_record(&root);
    assert_eq!(agent.state.records.get(&id).unwrap().sent_at, None);
    refresh::observe(&agent.config, &mut agent.state, NOON);
    agent.keep();
    assert!(state::load_kept(&file).unwrap().records.contains_key(&id));
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file.parent().unwrap(), "in the way").unwrap();
    agent.state.records.get_mut(&id).unwrap().sent_at = Some(NOON.wall + 30 * DAY);
    assert!(refresh::is_owed(&agent.config, &agent.state, &agent.kept));
    agent.keep();
    assert!(!refresh::is_owed(&agent.config, &agent.state, &agent.kept), "it is not tried in a circle");
}
