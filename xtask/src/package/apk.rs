//! The package of apk-tools 3 (OpenWrt 25.12 and later), as OpenWrt's build system has `apk mkpkg` write it, with
//! one difference: nobody signs it. The schema is apk's `apk_adb.c`; the order of the values is that of its
//! `app_mkpkg.c`, so that both can be compared byte for byte.

use super::adb::{self, Adb, Value, DEFLATED, NULL, PACKAGE};
use super::recipe::{self, Recipe, DEPENDS, MAINTAINER, NAME};
use super::tree::{File, Tree};
use super::{deflate, Made};
use anyhow::Result;
use sha2::{Digest, Sha256};

/// Where OpenWrt's scripts look for lists of a package.
const LISTS: &str = "lib/apk/packages/porchlight";

/// How many bytes of the database's hash are the package's identity.
const IDENTITY: usize = 20;

/// The file's name, and its bytes.
///
/// # Errors
/// When a size does not fit.
pub fn write(recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<Made> {
    let plain = plain(recipe, arch, tree, time)?;
    let bytes = [DEFLATED.to_vec(), deflate(&plain)?].concat();
    Ok(Made { name: format!("{NAME}-{}.{arch}.apk", recipe.version), bytes })
}

/// The container before it is compressed.
///
/// # Errors
/// When a size does not fit.
pub fn plain(recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<Vec<u8>> {
    let tree = &with_lists(tree)?;
    let directories = directories(tree);
    let mut out = adb::container(PACKAGE, &database(recipe, arch, &directories, time)?)?;
    for (directory, (_, _, files)) in directories.iter().enumerate() {
        for (file, (_, it)) in files.iter().enumerate().filter(|(_, (_, it))| !it.contents.is_empty()) {
            adb::data(&mut out, directory + 1, file + 1, &it.contents)?;
        }
    }
    Ok(out)
}

/// The tree with the lists that OpenWrt keeps beside apk's own database. They name the payload and not themselves.
fn with_lists(tree: &Tree) -> Result<Tree> {
    let mut lists = vec![(format!("{LISTS}.list"), recipe::list(tree).into_bytes())];
    let conffiles = recipe::conffiles(tree);
    if !conffiles.is_empty() {
        lists.push((format!("{LISTS}.conffiles"), conffiles.into_bytes()));
        lists.push((format!("{LISTS}.conffiles_static"), recipe::conffile_sums(tree).into_bytes()));
    }
    tree.with(lists)
}

/// A directory: its path, its mode, and the files in it by name.
type Directory<'a> = (&'a str, u32, Vec<(&'a str, &'a File)>);

/// All directories in order, the root first.
fn directories(tree: &Tree) -> Vec<Directory<'_>> {
    let inner = tree.directories.iter().map(|(path, mode)| (path.as_str(), *mode));
    let all = [("", 0o755)].into_iter().chain(inner);
    all.map(|(path, mode)| (path, mode, files_in(tree, path))).collect()
}

/// The files that lie in a directory itself, by name.
fn files_in<'a>(tree: &'a Tree, directory: &str) -> Vec<(&'a str, &'a File)> {
    let named = |file: &'a File| {
        let (parent, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        (parent == directory).then_some((name, file))
    };
    let mut files: Vec<_> = tree.files.iter().filter_map(named).collect();
    files.sort_by_key(|(name, _)| *name);
    files
}

/// The database: what the package is, what is in it, and its scripts.
fn database(recipe: &Recipe, arch: &str, directories: &[Directory], time: u64) -> Result<Vec<u8>> {
    let mut adb = Adb::new();
    let texts = [
        NAME,
        recipe.version.as_str(),
        "",
        recipe.description.as_str(),
        arch,
        recipe.license.as_str(),
        NAME,
        MAINTAINER,
        recipe.url.as_str(),
    ];
    // Name, version, identity (below), description, architecture, license, origin, maintainer, URL; no commit, no
    // build time; installed size (below), no file size, no priority; what it depends on.
    let mut info: Vec<Value> = texts.iter().map(|text| adb.blob(text.as_bytes())).collect();
    info.resize(14, NULL);
    info.push(depends(&mut adb));
    let mut paths = Vec::new();
    for directory in directories {
        paths.push(directory_value(&mut adb, directory, time));
    }
    let sizes = directories.iter().flat_map(|row| &row.2).map(|(_, file)| file.contents.len() as u64);
    info[11] = adb.int(sizes.sum());
    let (identity, at) = adb.own_place(&[0; IDENTITY]);
    info[2] = identity;
    let info = adb.object(&info);
    let paths = adb.object(&paths);
    let scripts = scripts(&mut adb, recipe);
    let root = adb.object(&[info, paths, scripts]);
    let mut bytes = adb.finish(root)?;
    let hash = Sha256::digest(&bytes);
    bytes[at..at + IDENTITY].copy_from_slice(&hash[..IDENTITY]);
    Ok(bytes)
}

/// An array of dependencies, each an object with a name.
fn depends(adb: &mut Adb) -> Value {
    let mut names = DEPENDS.to_vec();
    names.sort_unstable();
    let mut items = Vec::new();
    for name in names {
        let name = adb.blob(name.as_bytes());
        items.push(adb.object(&[name]));
    }
    adb.object(&items)
}

/// A directory: its path, its owner, and its files.
fn directory_value(adb: &mut Adb, (path, mode, files): &Directory, time: u64) -> Value {
    let mut items = Vec::new();
    for (name, file) in files {
        items.push(file_value(adb, name, file, time));
    }
    let path = adb.blob(path.as_bytes());
    let owner = owner(adb, *mode);
    let files = adb.object(&items);
    adb.object(&[path, owner, files])
}

/// A file: its name, owner, size, time and hash.
fn file_value(adb: &mut Adb, name: &str, file: &File, time: u64) -> Value {
    let name = adb.blob(name.as_bytes());
    let hash = adb.blob(&Sha256::digest(&file.contents));
    let time = adb.int(time);
    let size = adb.int(file.contents.len() as u64);
    let owner = owner(adb, file.mode);
    adb.object(&[name, owner, size, time, hash])
}

/// Mode, user and group.
fn owner(adb: &mut Adb, mode: u32) -> Value {
    let mode = adb.int(mode.into());
    let root = adb.blob(b"root");
    adb.object(&[mode, root, root])
}

/// The scripts by their moment: trigger, before and after the installation, the removal, the upgrade. An upgrade is
/// what it is with opkg: the old program is stopped before its files go, and the new one started.
fn scripts(adb: &mut Adb, recipe: &Recipe) -> Value {
    let pre_upgrade = in_an_upgrade(&recipe.prerm);
    let post_upgrade = in_an_upgrade(&recipe.postinst);
    let texts = ["", "", &recipe.postinst, &recipe.prerm, &recipe.postrm, &pre_upgrade, &post_upgrade];
    let values = texts.map(|text| adb.blob(text.as_bytes()));
    adb.object(&values)
}

/// A script that is told of the upgrade as OpenWrt's functions want it. (opkg tells it by itself.)
fn in_an_upgrade(script: &str) -> String {
    let rest = script.split_once('\n').map_or("", |(_, rest)| rest);
    format!("#!/bin/sh\nexport PKG_UPGRADE=1\n{rest}")
}
