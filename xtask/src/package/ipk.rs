//! The ipk of opkg: a compressed tar of `./debian-binary`, `./data.tar.gz` and `./control.tar.gz`, as OpenWrt's
//! `scripts/ipkg-build` writes it. (opkg takes no `ar` around it, and from a data.tar.xz it installs nothing and
//! says that all is well.)

use super::recipe::{self, Recipe, CONFFILES, DEPENDS, MAINTAINER, NAME, SECTION};
use super::tree::Tree;
use super::{gzip, Made};
use anyhow::Result;
use std::fmt::Write;
use tar::{Builder, EntryType, Header};

/// The format's version.
const VERSION: &[u8] = b"2.0\n";

/// The file's name, and its bytes.
///
/// # Errors
/// When a path or a size does not fit.
pub fn write(recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<Made> {
    let data = data(tree, time)?;
    let control = control(recipe, arch, tree, data.len(), time)?;
    let mut outer = Tar::new(time);
    outer.file("./debian-binary", 0o644, VERSION)?;
    outer.file("./data.tar.gz", 0o644, &gzip(&data)?)?;
    outer.file("./control.tar.gz", 0o644, &gzip(&control)?)?;
    let name = format!("{NAME}_{}_{arch}.ipk", recipe.version);
    Ok(Made { name, bytes: gzip(&outer.finish()?)? })
}

/// The tar of the files, directories in front of what lies in them.
fn data(tree: &Tree, time: u64) -> Result<Vec<u8>> {
    let mut tar = Tar::new(time);
    tar.directory("./", 0o755)?;
    for (path, mode) in &tree.directories {
        tar.directory(&format!("./{path}/"), *mode)?;
    }
    for file in &tree.files {
        tar.file(&format!("./{}", file.path), file.mode, &file.contents)?;
    }
    tar.finish()
}

/// The tar of what opkg wants to know; sorted.
fn control(recipe: &Recipe, arch: &str, tree: &Tree, installed: usize, time: u64) -> Result<Vec<u8>> {
    let mut tar = Tar::new(time);
    tar.directory("./", 0o755)?;
    if CONFFILES.iter().any(|path| tree.contents(path).is_some()) {
        tar.file("./conffiles", 0o644, recipe::conffiles(tree).as_bytes())?;
    }
    tar.file("./control", 0o644, fields(recipe, arch, installed, time).as_bytes())?;
    tar.file("./postinst", 0o755, recipe.postinst.as_bytes())?;
    tar.file("./postrm", 0o755, recipe.postrm.as_bytes())?;
    tar.file("./prerm", 0o755, recipe.prerm.as_bytes())?;
    tar.finish()
}

/// The control file. The installed size is that of the uncompressed tar, as everywhere in OpenWrt.
fn fields(recipe: &Recipe, arch: &str, installed: usize, time: u64) -> String {
    let mut text = String::new();
    let rows: [(&str, &str); 12] = [
        ("Package", NAME),
        ("Version", &recipe.version),
        ("Depends", &DEPENDS.join(", ")),
        ("SourceName", NAME),
        ("License", &recipe.license),
        ("Section", SECTION),
        ("SourceDateEpoch", &time.to_string()),
        ("URL", &recipe.url),
        ("Maintainer", MAINTAINER),
        ("Architecture", arch),
        ("Installed-Size", &installed.to_string()),
        ("Description", &recipe.description),
    ];
    for (key, value) in rows {
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

/// A tar in GNU's form of which every byte follows from its contents.
struct Tar {
    builder: Builder<Vec<u8>>,
    time: u64,
}

impl Tar {
    fn new(time: u64) -> Tar {
        Tar { builder: Builder::new(Vec::new()), time }
    }

    fn directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.entry(path, EntryType::Directory, mode, &[])
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.entry(path, EntryType::Regular, mode, contents)
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, contents: &[u8]) -> Result<()> {
        let mut header = Header::new_gnu();
        // Not set_path, which takes the "./" off.
        let name = &mut header.as_old_mut().name;
        anyhow::ensure!(path.len() < name.len(), "{path}: the path is too long for a tar");
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_mtime(self.time);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        self.builder.append(&header, contents)?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }
}
