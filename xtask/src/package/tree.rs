//! What a package puts onto a router: the program and everything below `openwrt/files`, with modes and owners that
//! do not depend on the checkout.

use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where the program lies.
pub const PROGRAM: &str = "usr/sbin/porchlight";

/// The mode of a file by the first row with which its path begins.
const MODES: [(&str, u32); 6] = [
    ("etc/config/", 0o600),
    ("etc/init.d/", 0o755),
    ("etc/uci-defaults/", 0o755),
    ("lib/porchlight/", 0o755),
    ("usr/sbin/", 0o755),
    ("", 0o644),
];

/// The mode of a directory that the package needs.
const DIRECTORY: u32 = 0o755;

/// Directories of our own, made even if empty: secrets lie in the first, and `sysupgrade` keeps it.
const OWN: [(&str, u32); 1] = [("etc/porchlight", 0o700)];

/// The longest path: what fits into a tar header.
const LONGEST_PATH: usize = 98;

/// A file of the package; its owner is root.
#[derive(Clone)]
pub struct File {
    /// Without a slash in front.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub contents: Vec<u8>,
}

/// All files, sorted by path, and all directories above them, sorted, with their modes.
pub struct Tree {
    /// Sorted by path.
    pub files: Vec<File>,
    /// By path, without a slash at either end; without the root.
    pub directories: BTreeMap<String, u32>,
}

impl Tree {
    /// What lies below a directory, and the program.
    ///
    /// # Errors
    /// When something cannot be read, or is neither a file nor a directory.
    pub fn read(files: &Path, program: Vec<u8>) -> Result<Tree> {
        let mut found = vec![(PROGRAM.to_string(), program)];
        walk(files, "", &mut found)?;
        Tree::new(found)
    }

    /// The tree of these files.
    ///
    /// # Errors
    /// When a path is there twice or too long.
    pub fn new(found: Vec<(String, Vec<u8>)>) -> Result<Tree> {
        let mut paths = BTreeSet::new();
        for (path, _) in &found {
            ensure!(path.len() <= LONGEST_PATH, "{path}: the path is longer than {LONGEST_PATH} bytes");
            ensure!(paths.insert(path.clone()), "{path} is in the package twice");
        }
        let mut directories: BTreeMap<_, _> = OWN.map(|(path, mode)| (path.to_string(), mode)).into();
        for path in paths.iter().map(String::as_str).chain(OWN.map(|row| row.0)) {
            for (at, _) in path.match_indices('/') {
                directories.entry(path[..at].to_string()).or_insert(DIRECTORY);
            }
        }
        let file = |(path, contents): (String, Vec<u8>)| File { mode: mode(&path), path, contents };
        let mut files: Vec<File> = found.into_iter().map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files, directories })
    }

    /// The contents of a file.
    pub fn contents(&self, path: &str) -> Option<&[u8]> {
        self.files.iter().find(|file| file.path == path).map(|file| file.contents.as_slice())
    }

    /// The same with more files.
    ///
    /// # Errors
    /// When one of them is there already.
    pub fn with(&self, more: Vec<(String, Vec<u8>)>) -> Result<Tree> {
        let mut tree = Tree::new(more)?;
        for file in &tree.files {
            ensure!(self.contents(&file.path).is_none(), "{} is in the package twice", file.path);
        }
        tree.files.extend(self.files.iter().cloned());
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.directories.extend(self.directories.clone());
        Ok(tree)
    }
}

/// The mode of a file.
fn mode(path: &str) -> u32 {
    MODES.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(0o644, |row| row.1)
}

fn walk(directory: &Path, prefix: &str, found: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file name that is not UTF-8")?;
        let path = format!("{prefix}{name}");
        ensure!(!name.starts_with('.') && !name.ends_with('~'), "{path} does not belong into a package");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() {
            let contents = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            found.push((path, contents));
        } else {
            bail!("{path} is neither a file nor a directory");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_come_from_the_table_and_not_from_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["etc/config/porchlight", "etc/init.d/porchlight", "etc/hotplug.d/iface/95-porchlight"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), path).unwrap();
        }
        let tree = Tree::read(dir.path(), b"program".to_vec()).unwrap();
        let modes: Vec<_> = tree.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
        assert_eq!(
            modes,
            [
                ("etc/config/porchlight", 0o600),
                ("etc/hotplug.d/iface/95-porchlight", 0o644),
                ("etc/init.d/porchlight", 0o755),
                ("usr/sbin/porchlight", 0o755),
            ]
        );
        let directories: Vec<_> =
            tree.directories.iter().map(|(path, mode)| (path.as_str(), *mode)).collect();
        assert_eq!(
            directories,
            [
                ("etc", 0o755),
                ("etc/config", 0o755),
                ("etc/hotplug.d", 0o755),
                ("etc/hotplug.d/iface", 0o755),
                ("etc/init.d", 0o755),
                ("etc/porchlight", 0o700),
                ("usr", 0o755),
                ("usr/sbin", 0o755),
            ]
        );
    }

    #[test]
    fn what_an_editor_left_and_links_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x~"), "").unwrap();
        assert!(Tree::read(dir.path(), Vec::new()).is_err());
        fs::remove_file(dir.path().join("x~")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("x")).unwrap();
        assert!(Tree::read(dir.path(), Vec::new()).is_err());
    }

    #[test]
    fn a_path_twice_is_refused() {
        assert!(Tree::new(vec![("a".into(), Vec::new()), ("a".into(), Vec::new())]).is_err());
    }
}
