//! Sizes: ours as the static release build, the peers' as the files that they run from; and the budget.

use crate::lab::tools;
use anyhow::{bail, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The target of the bench: one static file that needs nothing of the machine it runs on.
pub const TARGET: &str = "x86_64-unknown-linux-musl";
/// The budget, at the root of the repository.
const BUDGET: &str = "budget.toml";
/// Builds our program for the bench, as a router gets it, and returns its path.
///
/// # Errors
/// When the build fails.
pub fn build() -> Result<PathBuf> {
    crate::build::build("x86_64")
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
