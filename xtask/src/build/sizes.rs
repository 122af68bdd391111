//! Sizes in print: each processor's program, the ledger of one, and beside them what inadyn and ddclient take on
//! disk with the libraries and interpreters that they need.

use super::ledger::Ledger;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The other clients, by Debian's names.
const PEERS: [&str; 2] = ["inadyn", "ddclient"];
/// So many of the largest crates and modules are printed.
const LARGEST: usize = 24;

/// The size of a file that gzip -9 makes of this one.
///
/// # Errors
/// When gzip does not run.
pub fn gzip(path: &Path) -> Result<usize> {
    let file = fs::File::open(path).with_context(|| format!("no {}", path.display()))?;
    let out =
        Command::new("gzip").args(["-9", "-n", "-c"]).stdin(file).output().context("cannot run gzip")?;
    Ok(out.stdout.len())
}

/// Prints a ledger beside its limits and goals, both in KiB by a line's name.
pub fn print(ledger: &Ledger, limit: &dyn Fn(&str) -> Option<u64>, goal: &dyn Fn(&str) -> Option<u64>) {
    let shown = |figure: Option<u64>| figure.map_or("-".into(), |kib| format!("{kib}"));
    anstream::println!("{:24}{:>10}{:>10}{:>10}{:>10}", "line", "bytes", "KiB", "limit", "goal");
    for (name, bytes) in ledger.rows() {
        let (kib, limit, goal) = (bytes.div_ceil(1024), shown(limit(name)), shown(goal(name)));
        anstream::println!("{name:24}{bytes:>10}{kib:>10}{limit:>10}{goal:>10}");
    }
    anstream::println!("\nThe largest crates and modules:");
    for (name, bytes) in ledger.parts.iter().take(LARGEST) {
        anstream::println!("{name:24}{bytes:>10}");
    }
}

/// Prints the code of the providers' line, module by module.
pub fn print_providers(ledger: &Ledger) {
    anstream::println!("\nThe providers' code by module:");
    for (name, bytes) in &ledger.providers {
        anstream::println!("{name:24}{bytes:>10}");
    }
}

/// Prints what the other clients take on disk, where Debian's packages of them are installed.
pub fn print_peers() {
    for name in PEERS {
        match installed(name) {
            Some((own, all, packages)) => anstream::println!(
                "{name}: {} KiB, with all that it needs {} KiB ({packages} packages)",
                own.div_ceil(1024),
                all.div_ceil(1024)
            ),
            None => anstream::println!("{name}: skipped, its package is not installed"),
        }
    }
}

/// The bytes of a package's files, of those of all that it depends on, and the number of packages.
fn installed(name: &str) -> Option<(u64, u64, usize)> {
    let mut packages = vec![name.to_string()];
    let (mut at, mut own, mut all) = (0, 0, 0);
    while let Some(package) = packages.get(at).cloned() {
        let bytes = files(&package);
        if at == 0 {
            own = bytes?;
        }
        all += bytes.unwrap_or(0);
        for needed in needs(&package).unwrap_or_default() {
            if !packages.contains(&needed) {
                packages.push(needed);
            }
        }
        at += 1;
    }
    Some((own, all, packages.len()))
}

/// The bytes of a package's plain files.
fn files(package: &str) -> Option<u64> {
    let list = said("dpkg-query", &["-L", package])?;
    let plain = |path: &&str| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    Some(list.lines().filter(plain).filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum())
}

/// The installed packages that a package depends on; of alternatives the first that is installed.
fn needs(package: &str) -> Option<Vec<String>> {
    let text = said("dpkg-query", &["-W", "-f=${Depends}, ${Pre-Depends}", package])?;
    let choices =
        text.split(',').map(|choice| choice.split('|').filter_map(|one| one.split_whitespace().next()));
    let bare = |name: &str| name.split(':').next().unwrap_or(name).to_string();
    Some(
        choices.filter_map(|mut choice| choice.find(|name| files(&bare(name)).is_some()).map(bare)).collect(),
    )
}

/// What a program says, if it ends well.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let out = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}
