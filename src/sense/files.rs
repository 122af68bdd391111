//! The lease files, the resolver's files and the time zone's, watched by inotify(7).
//!
//! A directory is watched for names that come and go (files replaced by rename, or made later), the file itself for
//! being written in place (dnsmasq keeps its lease file open and rewrites it). The directories above are watched for
//! the same, so that one that is missing, or goes and comes, is no matter. Of links, both the link's directory and the
//! target's are.

use crate::act::net::within;
use crate::map::{Map, Set};
use crate::model::{Event, Lease, TimeZone};
use crate::sense::{leases, Teller};
use crate::wire::tz::{self, Zone};
use async_io::Async;
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file written in place is read when it was left alone for so long ...
const SETTLE: Duration = Duration::from_millis(50);
/// ... and after this in any case.
const SETTLE_AT_MOST: Duration = Duration::from_millis(500);
/// The most of a resolver file that is read, in bytes.
const MAX_RESOLVER: usize = 16 * 1024;
/// The most links that are followed from one path.
const MAX_LINKS: usize = 8;
/// How often the watches are set again because a directory appeared meanwhile.
const MAX_ROUNDS: usize = 8;

const IN_DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What to watch. All paths are absolute, as the system knows them; all lie below `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What stands for `/`, also for the targets of absolute links.
    pub root: PathBuf,
    /// dnsmasq's lease files. Those that do not exist hold no leases.
    pub leases: Vec<PathBuf>,
    /// The resolver's file.
    pub resolver: PathBuf,
    /// Where netifd notes the upstream servers while the resolver's file names the router's own dnsmasq.
    pub upstream: PathBuf,
    /// Where the time zone is written as POSIX has it.
    pub zone: PathBuf,
}

impl Paths {
    /// The usual ones of OpenWrt, and Debian's lease file.
    pub fn usual(root: &Path) -> Paths {
        Paths {
            root: root.into(),
            leases: vec!["/tmp/dhcp.leases".into(), "/var/lib/misc/dnsmasq.leases".into()],
            resolver: "/etc/resolv.conf".into(),
            upstream: "/tmp/resolv.conf.d/resolv.conf.auto".into(),
            zone: "/etc/TZ".into(),
        }
    }
}

/// Tells [`Event::TimeZone`] (if it is not UTC), [`Event::Resolver`] and [`Event::Leases`], first at once and then
/// whenever the content differs, until nobody listens any more. Fails only where inotify does.
pub async fn run(paths: Paths, tell: Teller) -> io::Result<()> {
    let mut watches = Watches::new()?;
    let mut last = Content::default();
    loop {
        // Watched first, read then: no change falls in between.
        watches.set(&paths);
        let now = Content::read(&paths);
        for event in now.differences(&last) {
            if !tell(event) {
                return Ok(());
            }
        }
        last = now;
        watches.changed().await?;
    }
}

/// What the files said; `None` before they were read.
#[derive(Debug, Default)]
struct Content {
    leases: Option<Vec<Lease>>,
    resolver: Option<Resolver>,
    /// Before it was read, that of a machine without the file.
    zone: TimeZone,
}

/// The resolver's files; `None` where there is none.
#[derive(Debug, PartialEq, Eq)]
struct Resolver {
    own: Option<Vec<u8>>,
    upstream: Option<Vec<u8>>,
}

impl Content {
    fn read(paths: &Paths) -> Content {
        let file = |path: &Path, cap| read_capped(follow(&paths.root, path).last()?, cap);
        let mut leases: Vec<Lease> = Vec::new();
        for path in &paths.leases {
            leases.extend(leases::parse(&file(path, leases::MAX_BYTES).unwrap_or_default()));
        }
        leases.truncate(leases::MAX_LEASES);
        let own = file(&paths.resolver, MAX_RESOLVER);
        let resolver = Resolver { own, upstream: file(&paths.upstream, MAX_RESOLVER) };
        // A byte more than is taken, so that a longer one is seen to be none.
        let zone = time_zone(file(&paths.zone, tz::MAX_BYTES + 1).as_deref());
        Content { leases: Some(leases), resolver: Some(resolver), zone }
    }

    fn differences(&self, last: &Content) -> Vec<Event> {
        let mut events = Vec::new();
        if self.zone != last.zone {
            events.push(Event::TimeZone(self.zone.clone()));
        }
        if let (Some(files), true) = (&self.resolver, self.resolver != last.resolver) {
            let ready = resolver_ready(files.own.as_deref(), files.upstream.as_deref());
            events.push(Event::Resolver(ready));
        }
        if let (Some(leases), true) = (&self.leases, self.leases != last.leases) {
            events.push(Event::Leases(leases.clone()));
        }
        events
    }
}

/// Whether names can be resolved as far as the files tell: the resolver's file names a server, and so does netifd's,
/// where there is one (on OpenWrt the first names the router's own dnsmasq, which asks those of the second).
fn resolver_ready(own: Option<&[u8]>, upstream: Option<&[u8]>) -> bool {
    own.is_some_and(names_server) && upstream.is_none_or(names_server)
}

/// The time zone of a file's first line; UTC without any.
fn time_zone(file: Option<&[u8]>) -> TimeZone {
    let text = String::from_utf8_lossy(file.unwrap_or_default());
    match text.lines().next().map(str::trim).unwrap_or_default() {
        "" => TimeZone::default(),
        line => Zone::parse(line).map_or_else(TimeZone::Bad, TimeZone::Known),
    }
}

/// resolv.conf(5): `nameserver` and an address, perhaps with a zone.
fn names_server(file: &[u8]) -> bool {
    String::from_utf8_lossy(file).lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = |word: &str| word.split('%').next().is_some_and(|a| a.parse::<IpAddr>().is_ok());
        words.next() == Some("nameserver") && words.next().is_some_and(address)
    })
}

/// The file's first `cap` bytes; `None` if it is not there or not a plain file.
pub(crate) fn read_capped(path: &Path, cap: usize) -> Option<Vec<u8>> {
    // NONBLOCK: a FIFO of that name must not stop us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(cap as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Every link on the way of a path (by its last component; links among directories are the kernel's to follow), and at last
/// where it leads. The target of an absolute link is below `root` again.
fn follow(root: &Path, path: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let mut at = below(path);
    let mut steps = Vec::new();
    while let Ok(target) = std::fs::read_link(&at) {
        if steps.len() == MAX_LINKS {
            break;
        }
        let next = match (target.is_absolute(), at.parent()) {
            (false, Some(parent)) => parent.join(target),
            _ => below(&target),
        };
        steps.push(std::mem::replace(&mut at, next));
    }
    steps.push(at);
    steps
}

/// Adds every existing directory on the way from `root` to `path`, with the name to wait for there. All of them, because
/// a directory that is deleted tells it to its parent at once, and to its own watchers perhaps never.
fn add_way(root: &Path, path: &Path, places: &mut Set<(PathBuf, OsString)>) {
    for step in path.ancestors() {
        match (step.parent(), step.file_name()) {
            _ if step == root => return,
            (Some(parent), Some(name)) if parent.is_dir() => {
                places.insert((parent.to_path_buf(), name.to_os_string()));
            }
            _ => {}
        }
    }
}

/// What a watch is for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Watch {
    /// Names in the directory that concern us; none for a file's own watch.
    names: Set<OsString>,
}

/// The inotify instance, and its watches by descriptor.
struct Watches {
    fd: Async<OwnedFd>,
    all: Map<i32, Watch>,
    complained: bool,
}

/// How a change is to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// Nothing of ours.
    None,
    /// A file may be in the writing.
    Writing,
    /// A file is there or gone as a whole.
    Whole,
}

impl Watches {
    fn new() -> io::Result<Watches> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        Ok(Watches { fd: Async::new_nonblocking(fd)?, all: Map::new(), complained: false })
    }

    /// Watches what there is to watch now, and nothing else.
    fn set(&mut self, paths: &Paths) {
        for _ in 0..MAX_ROUNDS {
            let (places, files) = targets(paths);
            let mut all: Map<i32, Watch> = Map::new();
            for (directory, name) in &places {
                if let Some(wd) = self.add(directory, IN_DIRECTORY) {
                    all.entry(wd).or_default().names.insert(name.clone());
                }
            }
            for file in files {
                if let Some(wd) = self.add(&file, WatchFlags::MODIFY) {
                    all.entry(wd).or_default();
                }
            }
            for wd in self.all.keys().filter(|wd| !all.contains_key(wd)) {
                // It fails if the file is gone, and the watch with it.
                let _ = inotify::remove_watch(&self.fd, *wd);
            }
            self.all = all;
            if targets(paths).0 == places {
                return; // nothing appeared while the watches were set
            }
        }
    }

    fn add(&mut self, path: &Path, flags: WatchFlags) -> Option<i32> {
        match inotify::add_watch(&self.fd, path, flags) {
            Ok(wd) => Some(wd),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => None,
            Err(err) => {
                if !std::mem::replace(&mut self.complained, true) {
                    log::warn!("cannot watch {} ({err}); its changes will be missed", path.display());
                }
                None
            }
        }
    }

    /// Waits for a change that concerns us; if it is one in place, until the writer rests.
    async fn changed(&self) -> io::Result<()> {
        let mut change = Change::None;
        while change == Change::None {
            self.fd.readable().await?;
            change = self.drain()?;
        }
        let deadline = Instant::now() + SETTLE_AT_MOST;
        while change == Change::Writing && Instant::now() < deadline {
            let Some(more) = within(Instant::now() + SETTLE, self.fd.readable()).await else { break };
            more?;
            change = change.max(self.drain()?);
        }
        Ok(())
    }

    /// Takes all that is queued. Returns the strongest change.
    fn drain(&self) -> io::Result<Change> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut change = Change::None;
        loop {
            match reader.next() {
                Ok(event) => change = change.max(self.meaning(&event)),
                Err(rustix::io::Errno::AGAIN) => return Ok(change),
                Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
        }
    }

    fn meaning(&self, event: &inotify::Event<'_>) -> Change {
        let flags = event.events();
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Change::Whole;
        }
        let Some(watch) = self.all.get(&event.wd()) else {
            return Change::None; // of a watch that was taken away
        };
        match event.file_name() {
            Some(name) if !watch.names.contains(OsStr::from_bytes(name.to_bytes())) => Change::None,
            _ if flags.intersects(ReadFlags::MODIFY | ReadFlags::CREATE) => Change::Writing,
            _ => Change::Whole,
        }
    }
}

/// Directories with the names to wait for in them, and the plain files that exist.
fn targets(paths: &Paths) -> (Set<(PathBuf, OsString)>, Vec<PathBuf>) {
    let mut places = Set::new();
    let mut files = Vec::new();
    for path in paths.leases.iter().chain([&paths.resolver, &paths.upstream, &paths.zone]) {
        let mut steps = follow(&paths.root, path);
        steps.iter().for_each(|step| add_way(&paths.root, step, &mut places));
        files.extend(steps.pop().filter(|end| end.is_file()));
    }
    (places, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_time_zone() {
        let berlin = b"CET-1CEST,M3.5.0,M10.5.0/3\n";
        let known = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").map(TimeZone::Known).unwrap();
        assert_eq!(time_zone(Some(berlin)), known);
        assert_eq!([time_zone(None), time_zone(Some(b"\n"))], [TimeZone::default(), TimeZone::default()]);
        for bad in [&b"Europe/Berlin\n"[..], b"\xff\xfe", &[b'A'; tz::MAX_BYTES + 1]] {
            assert!(matches!(time_zone(Some(bad)), TimeZone::Bad(_)));
        }
    }

    #[test]
    fn when_names_can_be_resolved() {
        let (own, upstream, empty) =
            (&b"nameserver 127.0.0.1\n"[..], &b"# Interface wan\nnameserver 192.0.2.1\n"[..], &b""[..]);
        for (file, auto, ready) in [
            (Some(own), Some(upstream), true),
            (Some(own), None, true),
            (Some(own), Some(empty), false),
            (Some(empty), Some(upstream), false),
            (None, Some(upstream), false),
            (None, None, false),
            (Some(&b"search lan\n nameserver\tfe80::1%eth0\n"[..]), None, true),
            (Some(&b"#nameserver 1.1.1.1\n"[..]), None, false),
            (Some(&b"nameserver\n"[..]), None, false),
            (Some(&b"nameserver one.example\n"[..]), None, false),
            (Some(&b"nameservers 1.1.1.1\n\xff\xfe"[..]), None, false),
        ] {
            assert_eq!(resolver_ready(file, auto), ready, "{file:?} {auto:?}");
        }
    }
}
