//! `cargo xtask readme`: the tables of options and providers, written from the code's. The test that compares them knows
//! how, and is asked to.

use crate::lab::tools;
use anyhow::{ensure, Context, Result};
use std::env;
use std::process::Command;

/// Has the tables written.
pub fn run() -> Result<i32> {
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--quiet", "--test", "readme"])
        .env("PORCHLIGHT_WRITE", "1")
        .current_dir(tools::workspace())
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "the tables could not be written");
    Ok(0)
}
