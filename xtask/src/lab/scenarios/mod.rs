//! The table of scenarios: each a story in a fresh lab, run by `cargo xtask test`.

pub mod faults;
pub mod ground;

use super::{Lab, Summary};
use anyhow::Result;
use std::time::Duration;

/// One story in a lab of its own.
pub struct Scenario {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What must be seen, in one line.
    pub about: &'static str,
    /// Programs that it needs beside `ip` and `nft`, see [`super::tools::TOOLS`].
    pub needs: &'static [&'static str],
    /// Killed and failed after this time.
    pub limit: Duration,
    /// Left out by `--quick`.
    pub slow: bool,
    /// The story.
    pub run: fn(&mut Lab) -> Result<Summary>,
}

/// All scenarios, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lab",
    about: "the lab itself: names, addresses, updates and connections work without an agent",
    needs: &["nsupdate"],
    limit: Duration::from_secs(60),
    slow: false,
    run: ground::lab,
}, Scenario {
    name: "faults",
    about: "every fault of DNS and HTTPS providers at once, one account each: class, next try, message, and no request storm",
    needs: &["named", "knotd", "nginx", "faketime"],
    limit: Duration::from_secs(420),
    slow: true,
    run: faults::faults,
}];
