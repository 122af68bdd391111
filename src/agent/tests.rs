//! The agent's own decisions, with no sensor and no act running: the executor is never run.

use super::*;
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
fn a_filter_that_changes_while_it_is_looked_at_is_looked_at_again() {
    let root = Root::new("filter");
    let mut agent = root.agent(MAPPED);
    agent.state.mapping.applied = Some(Vec::new());
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.filter_checked(true, Vec::new());
    assert!(!agent.checking_filter, "one change, one look");
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.sensed(Event::RulesetChanged, clock::now());
    agent.filter_checked(true, Vec::new());
    assert!(agent.checking_filter, "the second change may have come behind the look");
    agent.filter_checked(true, Vec::new());
    assert!(!agent.checking_filter);
}

#[test]
fn a_filter_that_changes_while_the_first_mapping_is_made_is_looked_at() {
    let root = Root::new("first");
    let mut agent = root.agent(MAPPED);
    agent.sensed(Event::RulesetChanged, clock::now());
    assert!(!agent.checking_filter, "nothing of ours is there");
    agent.state.mapping.in_flight = Some((1, Time(0)));
    agent.sensed(Event::RulesetChanged, clock::now());
    assert!(agent.checking_filter);
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
    control::private_dir(&root.paths().run_dir).unwrap();
    agent.save();
    assert!(!agent.unsaved && root.paths().state.exists());
}
