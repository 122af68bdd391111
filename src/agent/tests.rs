//! The agent's own decisions, with no sensor and no act running: the executor is never run.

mod filter;
mod memory;

use super::*;
use crate::mapping::backend::Programs;
use crate::model::Event;
use crate::plan::LookJob;
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
