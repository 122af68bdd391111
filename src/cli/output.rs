//! What a person reads: the log on standard error, and the answers of the verbs on standard output.
//! Neither may stop the agent: who reads them can be slow, stopped or gone, and a disk can be full.

use crate::secret::printable;
use crate::sign::stamp;
use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::time::Timespec;
use simple_logger::SimpleLogger;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest text of one line of the log, in bytes. A pipe that is ready takes this much at once (PIPE_BUF is
/// 4096, see pipe(7)), with the time, the level and the module before it.
const LINE_CAP: usize = 3800;

/// simple_logger, asked only when standard error takes a line: it would wait for a pipe that nobody reads, and panic
/// at one that is closed. What cannot be written is counted, and told when it can be again.
struct Patient {
    inner: SimpleLogger,
    /// Each line begins with the time.
    timed: bool,
    lost: AtomicUsize,
}

impl Log for Patient {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if !takes(std::io::stderr().as_fd()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut text = record.args().to_string();
        if lost > 0 {
            text = format!("({lost} lines of the log before this were lost) {text}");
        }
        let mut line = Record::builder();
        line.level(record.level()).target(record.target());
        let text = printable(&text);
        // Held, so that no other thread's line comes between.
        let mut out = std::io::stderr().lock();
        if self.timed {
            let _ = out.write_all(stamp_now().as_bytes());
        }
        self.inner.log(&line.args(format_args!("{}", shortened(&text))).build());
    }

    fn flush(&self) {}
}

/// The text up to [`LINE_CAP`].
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LINE_CAP);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Whether a line can be written there now, without waiting: a pipe or terminal that has room and a reader, a file
/// on a disk that has room.
fn takes(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let ready = poll(&mut fds, Some(&Timespec::default()));
    let [fd_now] = &fds;
    let bad = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let open =
        ready.is_ok() && fd_now.revents().contains(PollFlags::OUT) && !fd_now.revents().intersects(bad);
    open && !on_full_disk(fd)
}

fn on_full_disk(fd: BorrowedFd<'_>) -> bool {
    let is_file = |stat: rustix::fs::Stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    let full = |disk: rustix::fs::StatVfs| disk.f_blocks > 0 && disk.f_bavail == 0;
    rustix::fs::fstat(fd).is_ok_and(is_file) && rustix::fs::fstatvfs(fd).is_ok_and(full)
}

/// The time in UTC, to the millisecond, and a blank.
fn stamp_now() -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut text = stamp(now.as_secs(), true);
    text.pop();
    let _ = write!(text, ".{:03}Z ", now.subsec_millis());
    text
}

/// Who reads standard error: its device and inode, whether it is a pipe, and the name of the process that started us.
struct Reader {
    dev: u64,
    ino: u64,
    piped: bool,
    parent: String,
}

impl Reader {
    fn of(fd: BorrowedFd<'_>) -> Option<Reader> {
        let stat = rustix::fs::fstat(fd).ok()?;
        let parent = rustix::process::getppid()?.as_raw_nonzero();
        let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
        let piped = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_fifo();
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // of other widths on other machines
        let (dev, ino) = (stat.st_dev as u64, stat.st_ino as u64);
        Some(Reader { dev, ino, piped, parent: name.trim_end().into() })
    }

    /// Whether it adds the time itself: systemd's journal, which names its stream in JOURNAL_STREAM (systemd.exec(5)), or
    /// procd, which hands what comes by its pipe to logd.
    fn adds_time(&self, journal: Option<&str>) -> bool {
        let is_journal = journal.is_some_and(|stream| stream == format!("{}:{}", self.dev, self.ino));
        is_journal || self.piped && self.parent == "procd"
    }
}

/// Starts the log, at level info.
pub fn start_log() {
    let inner = SimpleLogger::new().with_level(LevelFilter::Trace);
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let reader = Reader::of(std::io::stderr().as_fd());
    let timed = !reader.is_some_and(|reader| reader.adds_time(journal.as_deref()));
    if log::set_boxed_logger(Box::new(Patient { inner, timed, lost: AtomicUsize::new(0) })).is_err() {
        complain("the log could not be started");
    }
    log::set_max_level(LevelFilter::Info);
}

/// Writes to standard output, as it is. Who does not read it to the end misses the rest.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub fn tell(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Likewise, with the program's name before it, and safe for a terminal whatever is in it.
pub fn complain(line: &str) {
    tell(&printable(&format!("porchlight: {line}")));
}

/// A line on the terminal that is overwritten; nothing where standard error is none.
pub struct Progress {
    shown: bool,
    /// How long the line is that stands there.
    length: RefCell<usize>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Progress {
        Progress { shown: std::io::stderr().is_terminal(), length: RefCell::new(0) }
    }

    /// Shows a line in place of the one before.
    pub fn show(&self, line: &str) {
        if !self.shown {
            return;
        }
        let before = self.length.replace(line.chars().count());
        let _ = std::io::stderr().write_all(format!("\r{}", pad(&printable(line), before)).as_bytes());
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.show("");
        if self.shown {
            let _ = std::io::stderr().write_all(b"\r");
        }
    }
}

/// The text with blanks up to a length.
fn pad(text: &str, length: usize) -> String {
    format!("{text:<length$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_pipe_takes_lines_until_it_is_full_or_closed() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        assert!(takes(writer.as_fd()));
        while takes(writer.as_fd()) {
            // Would wait for ever if `takes` were wrong.
            writer.write_all(&[b'x'; 4096]).unwrap();
        }
        reader.read_exact(&mut [0; 3 * 4096]).unwrap();
        assert!(takes(writer.as_fd()), "there is room again");
        drop(reader);
        assert!(!takes(writer.as_fd()), "nobody reads");
    }

    #[test]
    fn files_and_devices_take_lines() {
        assert!(takes(tempfile().as_fd()));
        assert!(takes(std::fs::File::options().write(true).open("/dev/null").unwrap().as_fd()));
    }

    fn tempfile() -> std::fs::File {
        let path = std::env::temp_dir().join(format!("porchlight-output-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    #[test]
    fn the_time_is_left_to_who_adds_it() {
        let reader = |piped, parent: &str| Reader { dev: 9, ino: 12_345, piped, parent: parent.into() };
        assert!(reader(true, "procd").adds_time(None));
        assert!(!reader(false, "procd").adds_time(None), "a file or a console");
        assert!(!reader(true, "sh").adds_time(None), "a pipe to tee");
        assert!(reader(false, "systemd").adds_time(Some("9:12345")));
        assert!(
            !reader(true, "sh").adds_time(Some("9:54321")),
            "a service's child whose output goes elsewhere"
        );
        let here = tempfile();
        assert!(Reader::of(here.as_fd()).is_some_and(|reader| !reader.piped && !reader.adds_time(None)));
        let now = stamp_now();
        assert!(now.ends_with("Z ") && now.len() == "2026-01-02T03:04:05.678Z ".len(), "{now}");
    }

    #[test]
    fn long_lines_are_cut_between_letters() {
        assert_eq!(shortened("short"), "short");
        let long = "ä".repeat(LINE_CAP);
        assert_eq!(shortened(&long).len(), LINE_CAP);
        assert_eq!(shortened(&format!("x{long}")).len(), LINE_CAP - 1);
    }
}
