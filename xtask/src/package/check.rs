//! What CI looks at: both packages of a program are written twice and read back, ours and by `tar` and `gzip`.

use super::read::{Entry, Ipk};
use super::read_apk::Apk;
use super::recipe::{self, Recipe, DEPENDS, NAME};
use super::tree::{Tree, PROGRAM};
use super::{package, time, tree, Kind, Made};
use crate::bench::size::{figure, BUDGET};
use crate::build;
use crate::lab::tools::workspace;
use anyhow::{ensure, Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::{env, fs};

/// Whose packages are looked at: the one that most machines can run, and the one whose package has a budget.
const PROCESSORS: [&str; 2] = ["x86_64", "mips_24kc"];

/// The shortest text in a program that is looked at.
const SHORTEST: usize = 6;

/// What paths of a machine that builds programs begin with or hold.
const BUILDERS: [&str; 6] = ["/home/", "/root/", "/Users/", "/.cargo/", "/rustc/", "registry/src/"];

/// Checks the packages of the program for each processor, and returns what to print.
///
/// # Errors
/// When anything is not as it must be.
pub fn check() -> Result<Vec<String>> {
    let workspace = workspace();
    let recipe = Recipe::read(workspace)?;
    let time = time(workspace)?;
    let mut lines = Vec::new();
    for arch in PROCESSORS {
        let tree = tree(workspace, &build::build(arch)?)?;
        let ipk = twice(Kind::Ipk, &recipe, arch, &tree, time)?;
        read_ipk(&ipk.bytes, &recipe, arch, &tree, time).with_context(|| ipk.name.clone())?;
        let apk = twice(Kind::Apk, &recipe, arch, &tree, time)?;
        let installed = read_apk(&apk.bytes, &recipe, arch, &tree, time).with_context(|| apk.name.clone())?;
        let size = |made: &Made| made.bytes.len().div_ceil(1024);
        let budget = within_budget(workspace, arch, ipk.bytes.len())?;
        let (ipk, apk) =
            (format!("{}: {} KiB", ipk.name, size(&ipk)), format!("{}: {} KiB", apk.name, size(&apk)));
        lines.push(format!("{ipk}{budget}; {apk}; installed: {} KiB", installed.div_ceil(1024)));
    }
    Ok(lines)
}

/// Writes a package two times.
fn twice(kind: Kind, recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<Made> {
    let first = package(kind, recipe, arch, tree, time)?;
    let second = package(kind, recipe, arch, tree, time)?;
    ensure!(first.bytes == second.bytes, "{}: two runs wrote different bytes", first.name);
    Ok(first)
}

/// Fails when an ipk is larger than `budget.toml` allows; the value says what it allows.
fn within_budget(workspace: &Path, arch: &str, size: usize) -> Result<String> {
    let text = fs::read_to_string(workspace.join(BUDGET)).with_context(|| format!("cannot read {BUDGET}"))?;
    let Some(limit) = figure(&text, "ipk", arch) else { return Ok(String::new()) };
    ensure!(
        size as u64 <= limit,
        "the ipk for {arch} has {size} bytes, and the budget ({BUDGET}) is {limit}"
    );
    Ok(format!(" (budget {} KiB)", limit / 1024))
}

/// What is in an ipk, against what was to be there.
fn read_ipk(bytes: &[u8], recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<()> {
    let ipk = Ipk::read(bytes)?;
    same_files(&ipk.data, tree, time)?;
    let control = ipk.control("control").context("no control file")?;
    for line in [
        format!("Package: {NAME}"),
        format!("Version: {}", recipe.version),
        format!("Architecture: {arch}"),
        format!("Installed-Size: {}", ipk.data_size),
    ] {
        ensure!(control.lines().any(|found| found == line), "the control file does not say {line}");
    }
    for (name, text) in [("postinst", &recipe.postinst), ("prerm", &recipe.prerm), ("postrm", &recipe.postrm)]
    {
        ensure!(ipk.control(name).as_ref() == Some(text), "{name} is not the text of openwrt/control");
    }
    let conffiles = ipk.control("conffiles").unwrap_or_default();
    ensure!(conffiles == recipe::conffiles(tree), "conffiles: {conffiles}");
    Ok(())
}

/// What is in an apk, against what was to be there. The reader has compared all hashes.
/// The value is how many bytes its files need.
fn read_apk(bytes: &[u8], recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<u64> {
    let mut apk = Apk::read(bytes)?;
    let said = ["name", "version", "arch", "license"].map(|name| apk.text(name).unwrap_or_default());
    let wanted = [NAME, &recipe.version, arch, &recipe.license];
    ensure!(said == wanted && apk.depends == DEPENDS, "the package says {said:?}, {:?}", apk.depends);
    let lists = |entry: &Entry| entry.path.starts_with("lib/apk");
    let list = apk.entries.iter().find(|entry| entry.path == "lib/apk/packages/porchlight.list");
    let list = list.context("no list of files")?;
    ensure!(list.contents == recipe::list(tree).as_bytes(), "the list of files names others");
    // The directory above the lists may be there for another file's sake.
    let own = tree.directories.contains_key("lib");
    apk.entries.retain(|entry| !lists(entry) && (own || entry.path != "lib"));
    same_files(&apk.entries, tree, time)?;
    for (script, ours) in [
        ("post-install", &recipe.postinst),
        ("post-upgrade", &recipe.postinst),
        ("pre-upgrade", &recipe.prerm),
        ("pre-deinstall", &recipe.prerm),
        ("post-deinstall", &recipe.postrm),
    ] {
        let text = apk.script(script).with_context(|| format!("no script {script}"))?;
        let body = ours.split_once('\n').map_or("", |(_, body)| body);
        ensure!(text.starts_with("#!/bin/sh\n") && text.ends_with(body), "{script} lacks our lines");
    }
    Ok(apk.installed)
}

/// Whether a package holds exactly the tree's directories and files, each root's, with mode, time and contents.
fn same_files(entries: &[Entry], tree: &Tree, time: u64) -> Result<()> {
    let directories = tree.directories.iter().map(|(path, mode)| (path.clone(), (*mode, None)));
    let files =
        tree.files.iter().map(|file| (file.path.clone(), (file.mode, Some(Sha256::digest(&file.contents)))));
    let mut wanted: Vec<_> = directories.chain(files).collect();
    wanted.sort();
    let of = |entry: &Entry| {
        let hash = (!entry.is_directory).then(|| Sha256::digest(&entry.contents));
        (entry.path.clone(), (entry.mode, hash))
    };
    let mut found: Vec<_> = entries.iter().map(of).collect();
    found.sort();
    let names = |rows: &[(String, _)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>().join(" ");
    ensure!(found == wanted, "found: {}; wanted: {}; or another mode", names(&found), names(&wanted));
    for entry in entries {
        let Entry { path, user, group, .. } = entry;
        ensure!(user == "root" && group == "root", "{path} belongs to {user}:{group}");
        ensure!(entry.time.is_none_or(|it| it == time), "{path} has another time");
    }
    ensure!(entries.iter().any(|entry| entry.path == PROGRAM && entry.mode == 0o755), "no {PROGRAM}");
    Ok(())
}

/// Texts in a program that tell of the machine on which it was built, in order, cut short.
pub fn paths_of_a_builder(program: &[u8]) -> Vec<String> {
    let variables = ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR"].map(|name| env::var(name).unwrap_or_default());
    let here = variables.into_iter().chain([workspace().display().to_string()]);
    let here = here.filter(|path| path.len() > 1 && path.starts_with('/'));
    let here: Vec<String> = here.map(|path| format!("{path}/")).collect();
    let marks: Vec<&str> = BUILDERS.into_iter().chain(here.iter().map(String::as_str)).collect();
    let mut found: Vec<String> = Vec::new();
    for run in program.split(|byte| !matches!(byte, b' '..=b'~')).filter(|run| run.len() >= SHORTEST) {
        let text = String::from_utf8_lossy(run);
        let first = marks.iter().filter_map(|mark| text.find(mark)).min();
        found.extend(first.map(|at| text[at..].chars().take(80).collect()));
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read() {
        let text =
            "[size]\nmips_24kc = 1\n\n[ipk]\n# why\nmips_24kc = 542_720 # bytes\n\n[other]\nx86_64 = 5\n";
        assert_eq!(figure(text, "ipk", "mips_24kc"), Some(542_720));
        assert_eq!(figure(text, "ipk", "x86_64"), None);
        assert_eq!(figure("[size]\nmips_24kc = 1\n", "ipk", "mips_24kc"), None);
    }

    #[test]
    fn paths_of_a_builder_are_found_in_a_program() {
        let program = b"\x7fELF\0/usr/sbin/nft\0\x01/home/me/.cargo/registry/src/x/lib.rs\0src/main.rs\0";
        let found = paths_of_a_builder(program);
        assert!(found.iter().any(|text| text.starts_with("/home/me/")), "{found:?}");
        assert!(paths_of_a_builder(b"\0/usr/sbin/nft\0/etc/config/porchlight\0src/main.rs\0").is_empty());
        let own = format!("\0xx{}/src\0", workspace().display());
        assert_eq!(paths_of_a_builder(own.as_bytes()).len(), 1);
    }

    /// A package of this checkout with a stand-in of a program, of each kind, as the check reads them.
    fn sample(change: impl FnOnce(&mut Tree)) -> (Recipe, Tree, Tree) {
        let recipe = Recipe::read(workspace()).unwrap();
        let tree = || Tree::read(&workspace().join("openwrt/files"), b"\x7fELF".to_vec()).unwrap();
        let mut changed = tree();
        change(&mut changed);
        (recipe, tree(), changed)
    }

    #[test]
    fn both_kinds_are_read_back() {
        let (recipe, tree, same) = sample(|_| ());
        let ipk = twice(Kind::Ipk, &recipe, "mips_24kc", &tree, 1_700_000_000).unwrap();
        assert_eq!(ipk.name, format!("porchlight_{}_mips_24kc.ipk", recipe.version));
        read_ipk(&ipk.bytes, &recipe, "mips_24kc", &same, 1_700_000_000).unwrap();
        let apk = twice(Kind::Apk, &recipe, "mips_24kc", &tree, 1_700_000_000).unwrap();
        read_apk(&apk.bytes, &recipe, "mips_24kc", &same, 1_700_000_000).unwrap();
    }

    #[test]
    fn what_differs_is_seen() {
        let changes: [fn(&mut Tree); 4] = [
            |tree| tree.files[0].mode = 0o644,
            |tree| tree.files[0].contents.push(b'x'),
            |tree| tree.directories.clear(),
            |tree| drop(tree.files.pop()),
        ];
        for change in changes {
            let (recipe, tree, changed) = sample(change);
            let ipk = package(Kind::Ipk, &recipe, "x86_64", &changed, 7).unwrap();
            assert!(read_ipk(&ipk.bytes, &recipe, "x86_64", &tree, 7).is_err());
            let apk = package(Kind::Apk, &recipe, "x86_64", &changed, 7).unwrap();
            assert!(read_apk(&apk.bytes, &recipe, "x86_64", &tree, 7).is_err());
        }
        let (recipe, tree, _) = sample(|_| ());
        for kind in [Kind::Ipk, Kind::Apk] {
            let made = package(kind, &recipe, "x86_64", &tree, 7).unwrap();
            for (arch, time) in [("x86_64", 8), ("mips_24kc", 7)] {
                let read = match kind {
                    Kind::Ipk => read_ipk(&made.bytes, &recipe, arch, &tree, time),
                    Kind::Apk => read_apk(&made.bytes, &recipe, arch, &tree, time).map(drop),
                };
                assert!(read.is_err(), "{arch} {time}");
            }
        }
    }
}
