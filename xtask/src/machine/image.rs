//! The guest's first and only file system: Debian's busybox, nft and modules, and our package, which the guest installs.

use super::cpio::Archive;
use super::Machine;
use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Process 1 of the guest.
const INIT: &str = include_str!("init.sh");
/// What busybox's udhcpc calls: sets the address as netifd would, then calls hotplug.
const UDHCPC: &str = include_str!("udhcpc.sh");
/// The camera: a host behind the guest.
const CAMERA: &str = include_str!("camera.sh");
/// Modules that every guest loads: what a router of OpenWrt has in its kernel or its default image.
const MODULES: [&str; 12] = [
    "crc32c_generic",
    "veth",
    "nf_tables",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_ct",
    "nft_fib_inet",
    "nft_reject_inet",
    "nft_numgen",
];

/// Directories that are filled when the guest runs.
const EMPTY: [&str; 7] = ["dev", "proc", "sys", "tmp", "root", "sbin", "usr/bin"];

/// What a story adds to the image: path without a slash at its beginning, permissions, content.
pub type File = (String, u32, Vec<u8>);

/// Builds the image.
///
/// # Errors
/// When a file of Debian's packages or of ours is not there.
pub fn build(machine: &Machine, debian: &Path, more: Vec<File>) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    tree.file("init", 0o755, INIT.into());
    tree.file("etc/udhcpc.script", 0o755, UDHCPC.into());
    tree.file("etc/camera.sh", 0o755, CAMERA.into());
    tree.file("bin/busybox", 0o755, read(&debian.join("bin/busybox"))?);
    tree.file("usr/sbin/nft", 0o755, read(&debian.join("usr/sbin/nft"))?);
    tree.libraries(debian, "usr/sbin/nft")?;
    tree.modules(debian, &[&MODULES, machine.modules].concat())?;
    more.into_iter().for_each(|(path, mode, content)| tree.file(&path, mode, content));
    Ok(tree.archive())
}

/// The kernel's file.
///
/// # Errors
/// When there is none.
pub fn kernel(debian: &Path) -> Result<PathBuf> {
    let mut found = fs::read_dir(debian.join("boot"))?.flatten().map(|entry| entry.path());
    found
        .find(|path| path.display().to_string().contains("vmlinuz-"))
        .context("Debian's package holds no kernel")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Files by path, and the directories that they need.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, (u32, Vec<u8>)>,
    directories: BTreeSet<String>,
}

impl Tree {
    fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        let parents = Path::new(path).ancestors().skip(1).map(|parent| parent.display().to_string());
        self.directories.extend(parents.filter(|parent| !parent.is_empty()));
        self.files.insert(path.to_owned(), (mode, content));
    }

    /// The loader and the libraries of a dynamic program, as the files themselves name them.
    fn libraries(&mut self, debian: &Path, program: &str) -> Result<()> {
        let places = libraries(debian)?;
        let mut wanted = vec![debian.join(program)];
        let mut seen = BTreeSet::new();
        while let Some(path) = wanted.pop() {
            let content = read(&path)?;
            for (name, place) in &places {
                if holds(&content, name) && seen.insert(name.clone()) {
                    let resolved = fs::canonicalize(place)?;
                    ensure!(resolved.starts_with(debian), "{} leads outside", place.display());
                    self.file(&format!("lib/{name}"), 0o755, read(&resolved)?);
                    wanted.push(resolved);
                }
            }
        }
        Ok(())
    }

    /// Modules and all that they need; `lib/modules/order` lists them as they are to be loaded.
    fn modules(&mut self, debian: &Path, names: &[&str]) -> Result<()> {
        let all: BTreeMap<String, PathBuf> = walk(&debian.join("lib/modules"))?
            .into_iter()
            .filter_map(|path| Some((module_name(path.file_name()?.to_str()?.strip_suffix(".ko")?), path)))
            .collect();
        let mut order = Vec::new();
        for name in names {
            // What is not a module is built into the kernel; what is missing is seen when it is used.
            if all.contains_key(*name) {
                load(&all, name, &mut order, 0)?;
            }
        }
        for name in &order {
            let path = all.get(name).with_context(|| format!("no module {name}"))?;
            self.file(&format!("lib/modules/{name}.ko"), 0o644, read(path)?);
        }
        self.file("lib/modules/order", 0o644, (order.join("\n") + "\n").into_bytes());
        Ok(())
    }

    fn archive(mut self) -> Vec<u8> {
        self.directories.extend(EMPTY.map(str::to_owned));
        let mut archive = Archive::default();
        self.directories.iter().for_each(|directory| archive.directory(directory));
        archive.device("dev/console", 5, 1);
        archive.link("var", "tmp");
        self.files.iter().for_each(|(path, (mode, content))| archive.file(path, *mode, content));
        archive.finish()
    }
}

/// The libraries of Debian's packages, by the name that programs call them by.
fn libraries(debian: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for place in ["lib", "usr/lib"] {
        for path in walk(&debian.join(place))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.contains(".so.") {
                all.push((name.to_owned(), path.clone()));
            }
        }
    }
    Ok(all)
}

/// Whether a program's file holds this text with a zero at its end.
fn holds(content: &[u8], name: &str) -> bool {
    let needle: Vec<u8> = name.bytes().chain([0]).collect();
    content.windows(needle.len()).any(|window| window == needle)
}

/// Puts a module behind those that it needs.
fn load(all: &BTreeMap<String, PathBuf>, name: &str, order: &mut Vec<String>, depth: usize) -> Result<()> {
    ensure!(depth < 20, "the modules need each other in a circle");
    if order.iter().any(|done| done == name) {
        return Ok(());
    }
    let Some(path) = all.get(name) else { bail!("no module {name}, which another one needs") };
    for needed in needs(&read(path)?) {
        load(all, &needed, order, depth + 1)?;
    }
    order.push(name.to_owned());
    Ok(())
}

/// What a module says in its section `.modinfo` that it needs: `depends=a,b`.
fn needs(module: &[u8]) -> Vec<String> {
    const WORD: &[u8] = b"\0depends=";
    let Some(at) = module.windows(WORD.len()).position(|window| window == WORD) else { return Vec::new() };
    let list: Vec<u8> = module[at + WORD.len()..].iter().copied().take_while(|byte| *byte != 0).collect();
    let list = String::from_utf8_lossy(&list).into_owned();
    list.split(',').filter(|name| !name.is_empty()).map(module_name).collect()
}

/// A module's name as the kernel has it: its file may have dashes.
fn module_name(file: &str) -> String {
    file.replace('-', "_")
}

/// Every file and link below a directory, none if it is not there.
fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if !dir.is_dir() {
        return Ok(all);
    }
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => all.extend(walk(&entry.path())?),
            false => all.push(entry.path()),
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs() {
        let module = b"\x7fELF...\0license=GPL\0depends=nf_tables,nf-nat\0retpoline=Y\0";
        assert_eq!(needs(module), ["nf_tables", "nf_nat"]);
        assert_eq!(needs(b"license=GPL\0depends=\0x"), [""; 0]);
        assert_eq!(needs(b"nothing"), [""; 0]);
    }
}
