//! What the agent keeps over a restart.

use super::*;

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
