//! Reads an apk back with a parser made from the description of its container (`doc/apk-v3.5.scd` of apk-tools) and
//! from its schema, and from nothing that wrote it. It goes through the blocks as the installing side does, and
//! compares every size and every hash.

use super::read::Entry;
use super::recipe::hex;
use anyhow::{ensure, Context, Result};
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};
use std::io::Read;

/// The most that is unpacked.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The moments of scripts, in the order of the schema.
const MOMENTS: [&str; 7] = [
    "trigger",
    "pre-install",
    "post-install",
    "pre-deinstall",
    "post-deinstall",
    "pre-upgrade",
    "post-upgrade",
];

/// The texts of the package's description, and their places in the schema.
const TEXTS: [(&str, usize); 8] = [
    ("name", 1),
    ("version", 2),
    ("description", 4),
    ("arch", 5),
    ("license", 6),
    ("origin", 7),
    ("maintainer", 8),
    ("url", 9),
];

/// An apk.
pub struct Apk {
    /// By the names of [`TEXTS`], and `hashes`, which is the identity.
    pub info: Vec<(&'static str, String)>,
    /// What the files need, in bytes.
    pub installed: u64,
    /// What must be installed too.
    pub depends: Vec<String>,
    /// Directories, each with its files behind it; not the root.
    pub entries: Vec<Entry>,
    /// By the moment's name.
    pub scripts: Vec<(&'static str, String)>,
}

impl Apk {
    /// Reads a package as it is on a disk.
    ///
    /// # Errors
    /// When apk would refuse it.
    pub fn read(bytes: &[u8]) -> Result<Apk> {
        Apk::read_plain(&inflate(bytes)?)
    }

    /// Reads the container without its compression.
    ///
    /// # Errors
    /// When apk would refuse it.
    pub fn read_plain(plain: &[u8]) -> Result<Apk> {
        let mut blocks = Blocks(plain.strip_prefix(b"ADB.pckg").context("not a package")?);
        let (kind, database) = blocks.next().context("no database")??;
        ensure!(kind == 0, "the first block is not the database");
        let (mut apk, promised) = describe(&Database::new(database)?)?;
        for promise in promised {
            let (kind, bytes) = blocks.next().context("the contents of files are missing")??;
            ensure!(kind == 2, "a block of kind {kind} among the contents of files");
            apk.entries[promise.entry].contents = promise.keep(bytes)?;
        }
        ensure!(blocks.next().is_none(), "more blocks than files");
        Ok(apk)
    }

    /// A text of the description.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.info.iter().find(|row| row.0 == name).map(|row| row.1.as_str())
    }

    /// A script by its moment.
    pub fn script(&self, moment: &str) -> Option<&str> {
        self.scripts.iter().find(|row| row.0 == moment).map(|row| row.1.as_str())
    }
}

/// The container without its compression.
///
/// # Errors
/// When it is compressed otherwise, or too long.
pub fn inflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let stream = bytes.strip_prefix(b"ADBd").context("not compressed as OpenWrt wants it")?;
    let mut plain = Vec::new();
    DeflateDecoder::new(stream).take(LONGEST).read_to_end(&mut plain).context("not a deflate stream")?;
    Ok(plain)
}

/// A file whose contents are to come.
struct Promise {
    /// Where its entry is.
    entry: usize,
    directory: u32,
    file: u32,
    size: u64,
    hash: Vec<u8>,
}

impl Promise {
    /// The contents in a block, if they are those of this file.
    fn keep(&self, block: &[u8]) -> Result<Vec<u8>> {
        let (place, contents) = block.split_at_checked(8).context("a short block")?;
        let wanted = [self.directory.to_le_bytes(), self.file.to_le_bytes()].concat();
        ensure!(place == wanted, "the contents of another file");
        ensure!(contents.len() as u64 == self.size, "contents of another length");
        ensure!(Sha256::digest(contents)[..] == self.hash[..], "contents with another hash");
        Ok(contents.to_vec())
    }
}

/// The blocks behind the header: kind and bytes.
struct Blocks<'a>(&'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<(u32, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.take())
    }
}

impl<'a> Blocks<'a> {
    fn take(&mut self) -> Result<(u32, &'a [u8])> {
        let word = self.0.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).context("half a block")?;
        let (kind, length) = (word >> 30, (word & 0x3fff_ffff) as usize);
        let (block, rest) =
            self.0.split_at_checked(length.next_multiple_of(8)).context("a block that ends too early")?;
        let padding = block.get(length..).context("a block of no length")?;
        ensure!(padding.iter().all(|byte| *byte == 0), "padding that is not zero");
        self.0 = rest;
        Ok((kind, block.get(4..length).context("a block shorter than its header")?))
    }
}

/// The values.
struct Database<'a> {
    bytes: &'a [u8],
    root: u32,
}

impl<'a> Database<'a> {
    fn new(bytes: &'a [u8]) -> Result<Database<'a>> {
        let versions = bytes.first_chunk::<4>().context("an empty database")?;
        ensure!(*versions == [0; 4], "a database of another version");
        let mut database = Database { bytes, root: 0 };
        database.root = database.word(4)?;
        Ok(database)
    }

    fn slice(&self, at: usize, length: usize) -> Result<&'a [u8]> {
        self.bytes.get(at..at.saturating_add(length)).context("a value beyond the database")
    }

    fn word(&self, at: usize) -> Result<u32> {
        let bytes = self.slice(at, 4)?;
        Ok(bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    fn int(&self, value: u32) -> Result<u64> {
        let at = (value & 0x0fff_ffff) as usize;
        match value >> 28 {
            0 if value == 0 => Ok(0),
            1 => Ok(at as u64),
            2 => Ok(self.word(at)?.into()),
            3 => Ok(u64::from(self.word(at)?) | u64::from(self.word(at + 4)?) << 32),
            kind => anyhow::bail!("type {kind} where a number is due"),
        }
    }

    /// The bytes of a blob and where they are.
    fn blob(&self, value: u32) -> Result<(usize, &'a [u8])> {
        let at = (value & 0x0fff_ffff) as usize;
        let width = match value >> 28 {
            0 if value == 0 => return Ok((0, &[])),
            8 => 1,
            9 => 2,
            10 => 4,
            kind => anyhow::bail!("type {kind} where a text is due"),
        };
        ensure!(at.is_multiple_of(width), "a length that is not aligned");
        let length = self.slice(at, width)?.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        Ok((at + width, self.slice(at + width, length)?))
    }

    fn text(&self, value: u32) -> Result<String> {
        String::from_utf8(self.blob(value)?.1.to_vec()).context("a text that is not UTF-8")
    }

    /// The slots of an object or an array; the first is their number.
    fn slots(&self, value: u32) -> Result<Vec<u32>> {
        let at = (value & 0x0fff_ffff) as usize;
        if value == 0 {
            return Ok(vec![1]);
        }
        ensure!(matches!(value >> 28, 13 | 14) && at.is_multiple_of(4), "no object where one is due");
        let count = self.word(at)? as usize;
        ensure!(count > 0, "an object without a count");
        self.slice(at, count.saturating_mul(4))?;
        (0..count).map(|slot| self.word(at + 4 * slot)).collect()
    }

    /// The items of an array.
    fn items(&self, value: u32) -> Result<Vec<u32>> {
        Ok(self.slots(value)?.split_off(1))
    }
}

/// A field of an object; nothing beyond its end.
fn field(slots: &[u32], number: usize) -> u32 {
    slots.get(number).copied().unwrap_or(0)
}

/// What the database says, and the contents that have to follow.
fn describe(db: &Database) -> Result<(Apk, Vec<Promise>)> {
    let root = db.slots(db.root)?;
    let info = db.slots(field(&root, 1))?;
    let identity = identity(db, field(&info, 3))?;
    let mut depends = Vec::new();
    for item in db.items(field(&info, 15))? {
        depends.push(db.text(field(&db.slots(item)?, 1))?);
    }
    let (mut entries, mut promised, mut installed) = (Vec::new(), Vec::new(), 0);
    for (number, directory) in (1..).zip(db.items(field(&root, 2))?) {
        installed += one_directory(db, number, directory, &mut entries, &mut promised)?;
    }
    ensure!(db.int(field(&info, 12))? == installed, "the installed size is not that of the files");
    let values = db.slots(field(&root, 3))?;
    let mut scripts = Vec::new();
    for (number, moment) in (1..).zip(MOMENTS) {
        let text = db.text(field(&values, number))?;
        scripts.extend((!text.is_empty()).then_some((moment, text)));
    }
    let texts = TEXTS.map(|(name, number)| Ok((name, db.text(field(&info, number))?)));
    let mut info = texts.into_iter().collect::<Result<Vec<_>>>()?;
    info.insert(2, ("hashes", hex(&identity)));
    Ok((Apk { info, installed, depends, entries, scripts }, promised))
}

/// The identity is the first twenty bytes of the database's hash, taken while they are zero.
fn identity(db: &Database, value: u32) -> Result<Vec<u8>> {
    let (at, said) = db.blob(value)?;
    ensure!(said.len() == 20, "an identity of {} bytes", said.len());
    let mut bytes = db.bytes.to_vec();
    bytes[at..at + 20].fill(0);
    ensure!(Sha256::digest(&bytes)[..20] == *said, "another identity");
    Ok(said.to_vec())
}

/// A directory and its files; the value is their size.
fn one_directory(
    db: &Database,
    number: u32,
    value: u32,
    entries: &mut Vec<Entry>,
    promised: &mut Vec<Promise>,
) -> Result<u64> {
    let slots = db.slots(value)?;
    let path = db.text(field(&slots, 1))?;
    let (mode, user, group) = owner(db, field(&slots, 2))?;
    if path.is_empty() {
        ensure!((number, mode) == (1, 0o755), "the root is not first, or would get another mode");
    } else {
        ensure!(!path.starts_with('/') && !path.ends_with('/'), "a path with a slash at an end");
        let path = path.clone();
        entries.push(Entry { path, is_directory: true, mode, user, group, time: None, contents: Vec::new() });
    }
    let (mut sizes, mut last) = (0, String::new());
    for (file, value) in (1..).zip(db.items(field(&slots, 3))?) {
        let slots = db.slots(value)?;
        let name = db.text(field(&slots, 1))?;
        ensure!(name > last && !name.contains('/'), "files that are not sorted by name");
        let (mode, user, group) = owner(db, field(&slots, 2))?;
        let (size, time) = (db.int(field(&slots, 3))?, Some(db.int(field(&slots, 4))?));
        let hash = db.blob(field(&slots, 5))?.1.to_vec();
        ensure!(hash.len() == 32 && field(&slots, 6) == 0, "no plain file with a SHA-256");
        if size > 0 {
            promised.push(Promise { entry: entries.len(), directory: number, file, size, hash });
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        entries.push(Entry { path, is_directory: false, mode, user, group, time, contents: Vec::new() });
        (sizes, last) = (sizes + size, name);
    }
    Ok(sizes)
}

/// Mode, user and group.
fn owner(db: &Database, value: u32) -> Result<(u32, String, String)> {
    let slots = db.slots(value)?;
    let mode = u32::try_from(db.int(field(&slots, 1))?).context("a mode that is none")?;
    Ok((mode, db.text(field(&slots, 2))?, db.text(field(&slots, 3))?))
}

#[cfg(test)]
mod tests {
    use super::super::recipe::Recipe;
    use super::super::tree::Tree;
    use super::super::{apk, Kind};
    use super::*;
    use std::fmt::Write;

    /// What `apk adbdump` of apk-tools 3.0.6 said of the package that its own `apk mkpkg` made of [`sample`].
    const DUMP: &str = include_str!("adbdump.txt");
    /// The SHA-256 of that package without its compression.
    const MADE_BY_APK: &str = "19f81db73f281ec40b9131181bd0700f6fa0e863b124d7215e2224a2394cb83b";
    const ARCH: &str = "mips_24kc";
    const TIME: u64 = 1_700_000_000;

    fn sample() -> (Recipe, Tree) {
        let recipe = Recipe {
            version: "1.2.3-r1".into(),
            description: "Keeps the light on".into(),
            license: "MIT".into(),
            url: "https://example.org/porchlight".into(),
            postinst: format!("#!/bin/sh\n# after\n{}", "echo it is there\n".repeat(20)),
            prerm: "#!/bin/sh\n# before\nexit 0\n".into(),
            postrm: "#!/bin/sh\nexit 0\n".into(),
        };
        let files = vec![
            ("usr/sbin/porchlight".into(), vec![b'p'; 70_000]),
            ("etc/config/porchlight".into(), b"config porchlight 'global'\n".to_vec()),
            ("etc/hotplug.d/iface/95-porchlight".into(), Vec::new()),
        ];
        (recipe, Tree::new(files).unwrap())
    }

    fn plain() -> Vec<u8> {
        let (recipe, tree) = sample();
        apk::plain(&recipe, ARCH, &tree, TIME).unwrap()
    }

    #[test]
    fn byte_for_byte_what_apk_itself_writes() {
        assert_eq!(hex(&Sha256::digest(plain())), MADE_BY_APK);
    }

    #[test]
    fn our_reader_sees_what_apk_sees() {
        assert_eq!(dump(&Apk::read_plain(&plain()).unwrap()), DUMP);
    }

    #[test]
    fn the_compressed_package_is_that_container() {
        let (recipe, tree) = sample();
        let made = super::super::package(Kind::Apk, &recipe, ARCH, &tree, TIME).unwrap();
        assert_eq!(made.name, "porchlight-1.2.3-r1.mips_24kc.apk");
        assert!(inflate(&made.bytes).unwrap() == plain());
    }

    #[test]
    fn one_wrong_byte_is_seen_and_no_cut_is_taken() {
        let good = plain();
        // The header, the values, the identity, the contents; not the padding alone.
        for at in (0..3_000).chain([good.len() - 20]) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(Apk::read_plain(&bad).is_err(), "byte {at}");
        }
        for length in (0..3_000).chain([good.len() - 1]) {
            assert!(Apk::read_plain(&good[..length]).is_err(), "{length} bytes");
        }
    }

    /// As `apk adbdump` writes it.
    fn dump(apk: &Apk) -> String {
        let mut out = String::from("#%SCHEMA: 676B6370\n# ADB block, size: 1976, compat: 0, ver: 0\ninfo:\n");
        for (name, text) in &apk.info {
            let _ = writeln!(out, "  {name}: {text}");
        }
        let _ = writeln!(out, "  installed-size: {}", apk.installed);
        let _ = writeln!(out, "  depends: # {} items", apk.depends.len());
        apk.depends.iter().for_each(|name| out += &format!("    - {name}\n"));
        let directories: Vec<_> = apk.entries.iter().filter(|entry| entry.is_directory).collect();
        let _ = writeln!(out, "paths: # {} items\n  - acl:", directories.len() + 1);
        out += "      mode: 0755\n      user: root\n      group: root\n";
        directories.iter().for_each(|directory| dump_directory(apk, directory, &mut out));
        out += "scripts:\n";
        for (moment, text) in &apk.scripts {
            let _ = writeln!(out, "  {moment}: |");
            text.lines().for_each(|line| out += &format!("    {line}\n"));
        }
        for file in apk.entries.iter().filter(|entry| !entry.contents.is_empty()) {
            let _ = writeln!(out, "# data block, size: {}", file.contents.len() + 8);
        }
        out
    }

    fn dump_directory(apk: &Apk, directory: &Entry, out: &mut String) {
        let owner = |entry: &Entry, indent: &str| {
            let Entry { mode, user, group, .. } = entry;
            format!("{indent}mode: {mode:04o}\n{indent}user: {user}\n{indent}group: {group}\n")
        };
        let _ = write!(out, "  - name: {}\n    acl:\n{}", directory.path, owner(directory, "      "));
        let parent = |entry: &Entry| entry.path.rsplit_once('/').map(|(parent, _)| parent.to_string());
        let inside =
            |entry: &&Entry| parent(entry).as_deref() == Some(&directory.path) && !entry.is_directory;
        let files: Vec<_> = apk.entries.iter().filter(inside).collect();
        if !files.is_empty() {
            let _ = writeln!(out, "    files: # {} items", files.len());
        }
        for file in files {
            let name = file.path.rsplit('/').next().unwrap();
            let _ = write!(out, "      - name: {name}\n        acl:\n{}", owner(file, "          "));
            let _ = writeln!(out, "        size: {}", file.contents.len());
            let _ = writeln!(out, "        mtime: {}", file.time.unwrap());
            let _ = writeln!(out, "        hash: {}", hex(&Sha256::digest(&file.contents)));
        }
    }
}
