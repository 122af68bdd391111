//! A file of `/etc/config` changed as libuci changes it (`uci_file_commit` of its `file.c`): under its lock, read
//! again there, written anew beside it, and put in its place by a rename. Killed at any instant, this leaves the old
//! file or the new one. What is pending in `/tmp/.uci` is not touched: `uci commit` puts it on top.
//!
//! libuci itself leaves two gaps, and both are closed from here:
//! - It gives the lock back before it renames. So its new file, while there is one, is waited for.
//! - Who waited for the lock reads on in the file that was replaced meanwhile, and puts that back. So the new text is
//!   written into that one too, which has no name any more. Who waits there goes first then, and it is looked again.

use async_io::Timer;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{fchown, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long others may hold the lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is tried for: `flock` tells nobody that it is free.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How long another's new file is waited for. One that stays was left by a kill.
const RENAME_DEADLINE: Duration = Duration::from_millis(300);
/// How often that is looked at.
const RENAME_RETRY: Duration = Duration::from_millis(5);
/// Ends the name of our new file: six letters, where libuci has random ones. One that was left is overwritten.
const OUR_SUFFIX: &str = "porchl";
/// So often the file is written in one go, when others keep changing it: flash wears.
const MAX_WRITES: u32 = 4;
/// So many of a directory's files are looked at.
const MAX_ENTRIES: usize = 1024;
/// The bits of a mode that are kept.
const MODE: u32 = 0o7777;

/// Makes a new text of the old one; `None` leaves the file as it is. Behind a reference, so that [`UciFile::update`] is
/// in the program once.
pub type Edit<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, String> + 'a;

/// One file.
#[derive(Clone, Debug)]
pub struct UciFile {
    path: PathBuf,
    cap: usize,
}

impl UciFile {
    /// The file at this path, of so many bytes at most.
    pub fn new(path: &Path, cap: usize) -> UciFile {
        UciFile { path: path.into(), cap }
    }

    /// Its text, without a lock: it is replaced as a whole.
    ///
    /// # Errors
    /// In plain words: it is missing, not a plain file, too long, or cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let file = self.open(OpenOptions::new().read(true))?;
        self.text(&file)
    }

    /// Has `edit` make a new text of the old one, and writes it; says whether it did. `None` leaves the file as it is,
    /// and then it is not even opened for writing. `edit` is asked until it has nothing to do, or others have undone
    /// its work too often: the next look at the file tells what they made of it.
    /// If this is dropped on the way, the file is the old or the new one.
    ///
    /// # Errors
    /// In plain words, and nothing was written: what `edit` says, or why the file cannot be read, locked or replaced.
    pub async fn update(&self, edit: &Edit<'_>) -> Result<bool, String> {
        let told = |why: String| format!("{}: {why}", self.path.display());
        if edit(&self.read()?).map_err(told)?.is_none() {
            return Ok(false);
        }
        let until = Instant::now() + LOCK_DEADLINE;
        let mut writes = 0;
        loop {
            let file = self.open(OpenOptions::new().read(true).write(true))?;
            self.lock(&file, until).await?;
            self.wait_for_others().await;
            if self.is_named(&file) {
                let Some(text) = edit(&self.text(&file)?).map_err(told)? else { return Ok(writes > 0) };
                if writes == MAX_WRITES {
                    return Ok(true);
                }
                self.fits(&text)?;
                if self.replace(&file, &text).map_err(|e| self.failed("be replaced", &e))? {
                    writes += 1;
                    self.let_others_in(&file, until).await;
                    continue;
                }
            }
            // It was replaced before we had the lock, or by somebody who takes none.
            if Instant::now() > until {
                return Err(format!("{} keeps being replaced by other programs", self.path.display()));
            }
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> String {
        let path = self.path.display();
        match error.kind() {
            io::ErrorKind::NotFound => format!("there is no {path}"),
            io::ErrorKind::PermissionDenied => format!("{path} cannot {what}: {error}; run as root"),
            _ => format!("{path} cannot {what}: {error}"),
        }
    }

    fn open(&self, options: &mut OpenOptions) -> Result<File, String> {
        // NONBLOCK: not to hang on a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = options.custom_flags(flags.bits() as i32).open(&self.path);
        let file = file.map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::LOOP.raw_os_error() => {
                format!(
                    "{} is a symbolic link, which a change would replace: put the file itself there",
                    self.path.display()
                )
            }
            _ => self.failed("be opened", &error),
        })?;
        match file.metadata() {
            Ok(meta) if meta.is_file() => Ok(file),
            Ok(_) => Err(format!("{} is no plain file", self.path.display())),
            Err(error) => Err(self.failed("be read", &error)),
        }
    }

    fn text(&self, file: &File) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let read = file.take(self.cap as u64 + 1).read_to_end(&mut text);
        read.map_err(|error| self.failed("be read", &error))?;
        self.fits(&text)?;
        Ok(text)
    }

    fn fits(&self, text: &[u8]) -> Result<(), String> {
        let long = || format!("{} is longer than {} KiB, or would be", self.path.display(), self.cap / 1024);
        (text.len() <= self.cap).then_some(()).ok_or_else(long)
    }

    async fn lock(&self, file: &File, until: Instant) -> Result<(), String> {
        loop {
            match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
                // As libuci has it: a file system that knows no locks goes without.
                Ok(()) | Err(Errno::NOSYS) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                    Timer::after(LOCK_RETRY).await;
                }
                Err(Errno::WOULDBLOCK) => {
                    let seconds = LOCK_DEADLINE.as_secs();
                    return Err(format!(
                        "another program has locked {} for {seconds} s",
                        self.path.display()
                    ));
                }
                Err(error) => return Err(self.failed("be locked", &error.into())),
            }
        }
    }

    /// Gives the lock of a file that was replaced to those who wait for it, and waits until they are done.
    async fn let_others_in(&self, replaced: &File, until: Instant) {
        let _ = rustix::fs::flock(replaced, FlockOperation::Unlock);
        Timer::after(LOCK_RETRY).await;
        // If they take too long, the next look at the file tells what they made of it.
        let _ = self.lock(replaced, until).await;
    }

    /// Waits until nobody is about to rename a new file to this one.
    async fn wait_for_others(&self) {
        let until = Instant::now() + RENAME_DEADLINE;
        while self.others_write() && Instant::now() < until {
            Timer::after(RENAME_RETRY).await;
        }
    }

    /// Whether there is a new file of somebody else's.
    fn others_write(&self) -> bool {
        let Ok(entries) = fs::read_dir(self.directory()) else { return false };
        let (stem, ours) = (self.new_name(""), self.new_name(OUR_SUFFIX));
        let theirs = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(&stem) && name != ours);
        entries.take(MAX_ENTRIES).flatten().any(|entry| theirs(&entry.file_name()))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// libuci's `.NAME.uci-XXXXXX`.
    fn new_name(&self, suffix: &str) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!(".{name}.uci-{suffix}")
    }

    /// Whether the path still leads to this file.
    fn is_named(&self, file: &File) -> bool {
        let named = fs::symlink_metadata(&self.path);
        let same = |a: Metadata, b: Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        named.is_ok_and(|named| file.metadata().is_ok_and(|open| same(named, open)))
    }

    /// Puts a new file in the place of this one, which is locked. False, and nothing was done: it is not there any more.
    fn replace(&self, old: &File, text: &[u8]) -> io::Result<bool> {
        let path = self.directory().join(self.new_name(OUR_SUFFIX));
        let done = write_new(&path, text, &old.metadata()?).and_then(|()| {
            let named = self.is_named(old);
            if named {
                fs::rename(&path, &self.path)?;
            }
            Ok(named)
        });
        if !matches!(done, Ok(true)) {
            let _ = fs::remove_file(&path);
            return done;
        }
        // It is done already; a power cut may take it back to the old file, whole.
        let _ = File::open(self.directory()).and_then(|directory| directory.sync_all());
        if old.metadata().is_ok_and(|old| old.nlink() == 0) {
            // For who waits for its lock. It has no name: nobody finds it torn.
            let _ = old.write_all_at(text, 0).and_then(|()| old.set_len(text.len() as u64));
        }
        Ok(true)
    }
}

/// Writes a file with the owner and mode of the old one, to the disk.
fn write_new(path: &Path, text: &[u8], old: &Metadata) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    new.write_all(text)?;
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(old.mode() & MODE))?;
    new.sync_all()
}
