//! What several tests share: a configuration of its text.

use porchlight::config::load::{load, Sources};
use porchlight::config::{Config, Severity};
use porchlight::provider::PROVIDERS;

struct Nothing;

impl Sources for Nothing {
    fn first_line(&self, _: &str) -> Result<String, String> {
        Err("no files here".into())
    }
    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

/// The configuration that a text without faults is; no files and no variables are there.
pub fn config(text: &str) -> Config {
    let loaded = load(text, "config", PROVIDERS, &Nothing);
    let faults: Vec<String> =
        loaded.problems.iter().filter(|p| p.severity == Severity::Error).map(|p| p.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    loaded.config
}
