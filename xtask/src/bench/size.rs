//! Sizes: ours as the static release build, the peers' as the files that they run from; and the budget.

use crate::build::ledger::Ledger;
use crate::build::sizes;
use crate::lab::tools;
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The target of the bench: one static file that needs nothing of the machine it runs on.
pub const TARGET: &str = "x86_64-unknown-linux-musl";
/// The budget, at the root of the repository.
pub const BUDGET: &str = "budget.toml";
/// The processor whose bytes are counted line by line: big routers' flash is not the matter, small ones' is.
const LEDGER: &str = "mips_24kc";

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

/// Fails when the program, or a line of the router's ledger, is over its budget. Prints both.
///
/// # Errors
/// When it is, with both figures.
pub fn check(program: &Path) -> Result<()> {
    let budget = fs::read_to_string(tools::workspace().join(BUDGET))
        .with_context(|| format!("cannot read {BUDGET}"))?;
    let size = of(program)?;
    let limit = figure(&budget, "size", TARGET)
        .with_context(|| format!("{BUDGET}: no line {TARGET} = BYTES under [size]"))?;
    if size > limit {
        bail!("{TARGET}: {size} bytes, {} over the budget of {limit} in {BUDGET}", size - limit);
    }
    println!("{TARGET}: {size} bytes of {limit}");
    let ledger = crate::build::ledger(LEDGER)?;
    println!("\n{LEDGER}, where the bytes are:");
    let limit = |name: &str| figure(&budget, &format!("{LEDGER}.limit"), name);
    sizes::print(&ledger, &limit, &|name| figure(&budget, &format!("{LEDGER}.goal"), name));
    sizes::print_providers(&ledger);
    super::weight::print();
    println!();
    sizes::print_peers();
    let over = over(&ledger, &limit);
    ensure!(over.is_empty(), "{LEDGER} is over its budget in {BUDGET}: {}", over.join(", "));
    Ok(())
}

/// The lines that are over their limit, or that have none.
fn over(ledger: &Ledger, limit: &dyn Fn(&str) -> Option<u64>) -> Vec<String> {
    let judge = |(name, bytes): (&str, u64)| match limit(name) {
        Some(kib) if bytes <= kib * 1024 => None,
        Some(kib) => Some(format!("{name} by {} bytes", bytes - kib * 1024)),
        None => Some(format!("{name} has no limit")),
    };
    ledger.rows().filter_map(judge).collect()
}

/// The figure of a line `NAME = FIGURE` in a section of the budget's text.
pub fn figure(text: &str, section: &str, wanted: &str) -> Option<u64> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let head = format!("[{section}]");
    lines
        .skip_while(|line| *line != head)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim().trim_matches('"') == wanted)
        .and_then(|(_, value)| value.trim().replace('_', "").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{figure, over, Ledger};

    #[test]
    fn the_budget_is_read_from_its_section() {
        let text = "[other]\na = 1\n# size\n[size]\na = 2_000 # bytes\n[more.limit]\nb = 3\n";
        assert_eq!(figure(text, "size", "a"), Some(2000));
        assert_eq!(figure(text, "size", "b"), None);
        assert_eq!(figure(text, "more.limit", "b"), Some(3));
    }

    #[test]
    fn a_line_over_its_limit_is_told() {
        let ledger = Ledger { lines: vec![1025, 1024, 0, 0, 0, 0], total: 2049, ..Ledger::default() };
        let told = over(&ledger, &|name| (name != "view").then_some(1));
        assert_eq!(told, ["runtime_tls by 1 bytes", "view has no limit", "in_all by 1025 bytes"]);
    }
}
