//! What a person reads: the log on standard error, and the answers of the verbs on standard output.
//! Neither may stop the agent: who reads them can be slow, stopped or gone, and a disk can be full.

use crate::secret::printable;
use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::time::Timespec;
use simple_logger::SimpleLogger;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest text of one line of the log, in bytes. A pipe that is ready takes this much at once (PIPE_BUF is
/// 4096, see pipe(7)), with the level and the module before it.
const LINE_CAP: usize = 3800;

/// simple_logger, asked only when standard error takes a line: it would wait for a pipe that nobody reads, and panic
/// at one that is closed. What cannot be written is counted, and told when it can be again.
struct Patient {
    inner: SimpleLogger,
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

/// Starts the log, at level info.
pub fn start_log() {
    let inner = SimpleLogger::new().with_level(LevelFilter::Trace);
    if log::set_boxed_logger(Box::new(Patient { inner, lost: AtomicUsize::new(0) })).is_err() {
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
    fn long_lines_are_cut_between_letters() {
        assert_eq!(shortened("short"), "short");
        let long = "ä".repeat(LINE_CAP);
        assert_eq!(shortened(&long).len(), LINE_CAP);
        assert_eq!(shortened(&format!("x{long}")).len(), LINE_CAP - 1);
    }
}
