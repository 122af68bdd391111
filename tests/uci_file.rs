//! A file of `/etc/config` replaced beside others who change it too, and by one who is killed at it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::mapping::uci_file::UciFile;
use rustix::fs::{flock, FlockOperation};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CAP: usize = 64 * 1024;
const OLD: &str = "config a\n\toption b 'c'\n";
const MORE: &str = "\nconfig more\n";
/// Names the file to the test that this one runs under strace.
const VICTIM: &str = "PORCHLIGHT_TEST_VICTIM";
/// What must come comes within this.
const PATIENCE: Duration = Duration::from_secs(5);

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("uci-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let dir = Dir(dir);
        dir.reset();
        dir
    }

    fn reset(&self) {
        fs::write(self.path(), OLD).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(0o644)).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.join("firewall")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn file(&self) -> UciFile {
        UciFile::new(&self.path(), CAP)
    }

    fn names(&self) -> BTreeSet<String> {
        fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Adds a section, once.
fn add(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    add_this(text, MORE)
}

fn add_this(text: &[u8], what: &str) -> Result<Option<Vec<u8>>, String> {
    let there = String::from_utf8_lossy(text).contains(what);
    Ok((!there).then(|| [text, what.as_bytes()].concat()))
}

fn update(file: &UciFile) -> Result<bool, String> {
    smol::block_on(file.update(&add))
}

/// `uci commit`: `uci_file_commit` of libuci, with what happens between its lock's end and its rename.
fn commit(path: &Path, change: impl Fn(String) -> String, unlocked: impl FnOnce()) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let new = path.with_file_name(format!(".firewall.uci-{:06x}", rustix::thread::gettid().as_raw_nonzero()));
    let mut out = File::create_new(&new).unwrap();
    out.write_all(change(text).as_bytes()).unwrap();
    out.sync_all().unwrap();
    drop(file);
    unlocked();
    fs::rename(new, path).unwrap();
}

/// Whether somebody waits for this file's lock.
fn is_waited_for(path: &Path) -> bool {
    let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("->") && line.contains(&inode))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn replaced_with_its_mode_and_owner_and_only_when_it_differs() {
    let dir = Dir::new("plain");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o640)).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(dir.path(), Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(dir.path()).unwrap();
    assert_eq!(update(&dir.file()), Ok(true));
    assert_eq!(dir.text(), format!("{OLD}{MORE}"));
    let after = fs::metadata(dir.path()).unwrap();
    assert_ne!(after.ino(), before.ino(), "it is a new file");
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!(after.uid() == 1234, root);
    assert_eq!(dir.names(), BTreeSet::from(["firewall".to_string()]));
    // Nothing to do: not even the lock is waited for.
    let held = File::open(dir.path()).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(update(&dir.file()), Ok(false));
    let same = fs::metadata(dir.path()).unwrap();
    assert_eq!((same.ino(), same.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[test]
fn what_is_no_plain_file_is_refused_and_left() {
    let dir = Dir::new("odd");
    let refusal = |file: &UciFile| update(file).unwrap_err();
    assert!(refusal(&UciFile::new(&dir.0.join("none"), CAP)).starts_with("there is no /"));
    assert!(refusal(&UciFile::new(&dir.0, CAP)).contains("no plain file") || cfg!(not(target_os = "linux")));
    let link = dir.0.join("link");
    symlink(dir.path(), &link).unwrap();
    assert!(refusal(&UciFile::new(&link, CAP)).contains("symbolic link"));
    let pipe = dir.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(refusal(&UciFile::new(&pipe, CAP)).contains("no plain file"));
    fs::write(dir.path(), "#".repeat(CAP + 1)).unwrap();
    assert!(refusal(&dir.file()).contains("longer than 64 KiB"));
    fs::write(dir.path(), "#".repeat(CAP)).unwrap();
    assert!(refusal(&dir.file()).contains("would be"));
    assert_eq!(dir.text().len(), CAP);
    fs::write(dir.path(), "#".repeat(CAP - MORE.len())).unwrap();
    assert_eq!(update(&dir.file()), Ok(true));
    dir.reset();
    let why = smol::block_on(dir.file().update(&|_| Err("line 7: rubbish".into()))).unwrap_err();
    assert!(why.ends_with("/firewall: line 7: rubbish"), "{why}");
    assert_eq!(dir.text(), OLD);
    assert_eq!(dir.names().len(), 3);
}

/// Somebody waits for the lock while we replace the file: what both changed is in it in the end.
#[test]
fn a_commit_that_waits_for_our_lock() {
    let dir = Dir::new("waits");
    let (path, mut other) = (dir.path(), None);
    let locked = std::cell::RefCell::new(&mut other);
    let asked = std::cell::Cell::new(0);
    let edit = |text: &[u8]| {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            // Now it is locked.
            let theirs = path.clone();
            let waits = thread::spawn(move || commit(&theirs, |text| text + "\nconfig theirs\n", || {}));
            until("the other waits", || is_waited_for(&path));
            **locked.borrow_mut() = Some(waits);
        }
        add(text)
    };
    assert_eq!(smol::block_on(dir.file().update(&edit)), Ok(true));
    other.unwrap().join().unwrap();
    assert_eq!(dir.text(), format!("{OLD}{MORE}\nconfig theirs\n"));
}

/// libuci gives its lock back before it renames.
#[test]
fn a_commit_that_is_about_to_rename() {
    let dir = Dir::new("renames");
    let path = dir.path();
    let (unlocked, is_unlocked) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        commit(
            &path,
            |text| text + "\nconfig theirs\n",
            || {
                unlocked.send(()).unwrap();
                // Not a wait for anything: the gap itself, far longer than it ever is.
                thread::sleep(Duration::from_millis(100));
            },
        );
    });
    is_unlocked.recv().unwrap();
    assert_eq!(update(&dir.file()), Ok(true));
    other.join().unwrap();
    assert_eq!(dir.text(), format!("{OLD}\nconfig theirs\n{MORE}"));
}

#[test]
fn what_a_killed_commit_left_holds_nobody_up() {
    let dir = Dir::new("left");
    fs::write(dir.0.join(".firewall.uci-Ab3dEf"), "half").unwrap();
    fs::write(dir.0.join(".firewall.uci-porchl"), "half of ours").unwrap();
    let start = Instant::now();
    assert_eq!(update(&dir.file()), Ok(true));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(dir.text(), format!("{OLD}{MORE}"));
    assert_eq!(dir.names(), BTreeSet::from(["firewall".into(), ".firewall.uci-Ab3dEf".to_string()]));
}

/// Four of them and us, again and again: nothing that anybody put in is lost.
#[test]
fn a_crowd_loses_nothing() {
    let dir = Dir::new("crowd");
    let rounds = 40;
    // They keep out of each other's gap, which is not ours to mend.
    let turn = std::sync::Mutex::new(());
    thread::scope(|scope| {
        for n in 0..4 {
            let (path, turn) = (dir.path(), &turn);
            scope.spawn(move || {
                for round in 0..rounds {
                    let _turn = turn.lock().unwrap();
                    commit(&path, |text| format!("{text}config c{n}_{round}\n"), || {});
                }
            });
        }
        for round in 0..rounds {
            let put = |text: &[u8]| add_this(text, &format!("config ours_{round}\n"));
            assert_eq!(smol::block_on(dir.file().update(&put)), Ok(true));
        }
    });
    let text = dir.text();
    let lost = |who: &str| (0..rounds).filter(|n| !text.contains(&format!("config {who}_{n}\n"))).count();
    assert_eq!(["c0", "c1", "c2", "c3", "ours"].map(lost), [0; 5]);
    assert_eq!(text.lines().count(), 2 + 5 * rounds);
}

/// Somebody undoes each change: flash is not worn out over it.
#[test]
fn a_quarrel_has_an_end() {
    let dir = Dir::new("quarrel");
    let writes = std::cell::Cell::new(0);
    let edit = |text: &[u8]| {
        writes.set(writes.get() + 1);
        assert!(writes.get() < 20, "it goes on for ever");
        Ok(Some([text, b"# mine\n"].concat()))
    };
    assert_eq!(smol::block_on(dir.file().update(&edit)), Ok(true));
    assert_eq!(dir.text().matches("# mine").count(), 4);
}

#[test]
fn killed_at_any_system_call() {
    // This very test is what is killed.
    if let Some(path) = std::env::var_os(VICTIM) {
        assert_eq!(update(&UciFile::new(Path::new(&path), CAP)), Ok(true));
        return;
    }
    let dir = Dir::new("killed");
    let new = format!("{OLD}{MORE}");
    let paths = [dir.0.clone(), dir.path(), dir.0.join(".firewall.uci-porchl")];
    let run = |inject: &str| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        for path in &paths {
            command.arg("-P").arg(path);
        }
        command.args(["-e", inject]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "killed_at_any_system_call", "--test-threads", "1"]);
        command.env(VICTIM, dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    if !run("trace=rename").is_ok_and(|status| status.success()) {
        let why = "skipped: no strace here, or not allowed";
        println!("{why}");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        return;
    }
    assert_eq!(dir.text(), new);
    let calls = [
        "?open,openat",
        "?stat,?lstat,?newfstatat,?statx",
        "flock",
        "read",
        "getdents64",
        "?unlink,unlinkat",
        "write",
        "?chmod,fchmod",
        "fsync",
        "?rename,renameat,?renameat2",
        "pwrite64",
        "ftruncate",
        "close",
    ];
    let mut found = [0, 0];
    for call in calls {
        for count in 1.. {
            dir.reset();
            let status = run(&format!("inject={call}:signal=SIGKILL:when={count}")).unwrap();
            let text = dir.text();
            if status.success() {
                assert!(count > 1, "{call} is not among what it does");
                break;
            }
            assert_eq!(status.signal(), Some(9), "{call} {count}");
            assert!(text == OLD || text == new, "{call} {count}: {text:?}");
            found[usize::from(text == new)] += 1;
            let mode = fs::metadata(dir.path()).unwrap().mode() & 0o7777;
            assert_eq!(mode, 0o644, "{call} {count}");
            // What it left does not hold up the next.
            assert_eq!(update(&dir.file()), Ok(text == OLD), "{call} {count}");
            assert_eq!(dir.text(), new);
            if text == OLD {
                assert_eq!(dir.names(), BTreeSet::from(["firewall".to_string()]), "{call} {count}");
            }
        }
    }
    println!("killed {} times before it was replaced, {} times after", found[0], found[1]);
    assert!(found[0] > 15 && found[1] > 3, "{found:?}");
}
