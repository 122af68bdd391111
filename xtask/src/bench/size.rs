//! Sizes: ours as the static release build, the peers' as the files that they run from; and the budget.

use crate::lab::{process, tools};
use anyhow::{bail, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The target of the bench.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";
/// One static file that needs nothing of the machine it runs on.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";
/// The budget, at the root of the repository.
const BUDGET: &str = "budget.toml";
/// A release build from nothing, at the longest.
const BUILD: Duration = Duration::from_secs(1800);

/// Builds our program for the bench and returns its path.
///
/// # Errors
/// When the build fails.
pub fn build() -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--release", "--package", "porchlight", "--target", TARGET]);
    command.env("RUSTFLAGS", FLAGS).current_dir(tools::workspace());
    process::run(&mut command, None, BUILD)?.success()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = tools::workspace().join(target);
    let program = target.join(TARGET).join("release/porchlight");
    program.canonicalize().with_context(|| format!("no {} after the build", program.display()))
}

/// A file's size in bytes.
///
/// # Errors
/// When it cannot be read.
pub fn of(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len())
}

/// The budget for a target, in bytes.
///
/// # Errors
/// When the file or the line is missing.
pub fn budget(target: &str) -> Result<u64> {
    let text = fs::read_to_string(tools::workspace().join(BUDGET))
        .with_context(|| format!("cannot read {BUDGET}"))?;
    limit(&text, target).with_context(|| format!("{BUDGET}: no line {target} = BYTES under [size]"))
}

/// Fails when the program is over its budget.
///
/// # Errors
/// When it is, with both figures.
pub fn check(program: &Path) -> Result<()> {
    let (size, limit) = (of(program)?, budget(TARGET)?);
    if size > limit {
        bail!("{TARGET}: {size} bytes, {} over the budget of {limit} in {BUDGET}", size - limit);
    }
    println!("{TARGET}: {size} bytes of {limit}");
    Ok(())
}

/// The figure of a line `TARGET = BYTES` in the section `[size]`.
fn limit(text: &str, target: &str) -> Option<u64> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .skip_while(|line| *line != "[size]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim().trim_matches('"') == target)
        .and_then(|(_, value)| value.trim().replace('_', "").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn the_budget_is_read_from_its_section() {
        let text = "[other]\na = 1\n# size\n[size]\na = 2_000 # bytes\n[more]\nb = 3\n";
        assert_eq!(limit(text, "a"), Some(2000));
        assert_eq!(limit(text, "b"), None);
    }
}
