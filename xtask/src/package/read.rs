//! Reads an ipk back with the machine's own `tar` and `gzip`: nothing that wrote it takes part.

use anyhow::{bail, ensure, Context, Result};
use std::io::Write;
use std::process::{Command, Stdio};

/// A file or a directory in a package.
#[derive(Clone)]
pub struct Entry {
    /// Without a slash in front.
    pub path: String,
    /// Not a file.
    pub is_directory: bool,
    /// Permission bits.
    pub mode: u32,
    /// By name.
    pub user: String,
    /// By name.
    pub group: String,
    /// Seconds since 1970; the container says none of a directory.
    pub time: Option<u64>,
    /// Of a file.
    pub contents: Vec<u8>,
}

/// An ipk.
pub struct Ipk {
    /// The files, in order.
    pub data: Vec<Entry>,
    /// How long their tar is.
    pub data_size: usize,
    control: Vec<Entry>,
}

impl Ipk {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not as opkg wants it.
    pub fn read(bytes: &[u8]) -> Result<Ipk> {
        let outer = untar(&gunzip(bytes)?)?;
        let names: Vec<&str> = outer.iter().map(|entry| entry.path.as_str()).collect();
        ensure!(names == ["debian-binary", "data.tar.gz", "control.tar.gz"], "the ipk holds {names:?}");
        let part = |name: &str| outer.iter().find(|entry| entry.path == name).context("lost");
        ensure!(part("debian-binary")?.contents == b"2.0\n", "the ipk is of another version");
        let data = gunzip(&part("data.tar.gz")?.contents)?;
        let control = untar(&gunzip(&part("control.tar.gz")?.contents)?)?;
        for script in control.iter().filter(|entry| entry.contents.starts_with(b"#!")) {
            ensure!(script.mode == 0o755, "{} cannot be run", script.path);
        }
        Ok(Ipk { data: untar(&data)?, data_size: data.len(), control })
    }

    /// A file that opkg itself reads or runs.
    pub fn control(&self, name: &str) -> Option<String> {
        let entry = self.control.iter().find(|entry| entry.path == name)?;
        String::from_utf8(entry.contents.clone()).ok()
    }
}

/// As `gzip -d` has it.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    pipe(Command::new("gzip").arg("-dc"), bytes)
}

/// As `tar` has it: names, modes, owners and order from its list, contents by its extraction.
fn untar(bytes: &[u8]) -> Result<Vec<Entry>> {
    let mut list = Command::new("tar");
    list.args(["--utc", "--full-time", "-tvf", "-"]).env("LC_ALL", "C");
    let list = String::from_utf8(pipe(&mut list, bytes)?)?;
    let mut entries = Vec::new();
    for line in list.lines() {
        entries.extend(listed(line).with_context(|| format!("tar says: {line}"))?);
    }
    for entry in entries.iter_mut().filter(|entry| !entry.is_directory) {
        let mut one = Command::new("tar");
        one.args(["-xOf", "-"]).arg(format!("./{}", entry.path));
        entry.contents = pipe(&mut one, bytes)?;
    }
    Ok(entries)
}

/// A line of tar's list: `-rw-r--r-- root/root 4 2026-01-01 00:00:00 ./debian-binary`; None for the root.
fn listed(line: &str) -> Result<Option<Entry>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, owner, _, day, clock, path] = words[..] else { bail!("not six words") };
    let (user, group) = owner.split_once('/').context("no owner")?;
    let path = path.strip_prefix("./").context("a path that does not begin with ./")?.trim_end_matches('/');
    let (kind, bits) = kind.split_at_checked(1).context("no mode")?;
    ensure!(kind == "-" || kind == "d", "neither a file nor a directory");
    ensure!(bits.bytes().all(|bit| b"rwx-".contains(&bit)), "a special mode");
    let mode = bits.bytes().fold(0, |mode, bit| mode << 1 | u32::from(bit != b'-'));
    if path.is_empty() {
        ensure!(mode == 0o755 && owner == "root/root", "the root would get another mode");
        return Ok(None);
    }
    let entry = Entry {
        path: path.into(),
        is_directory: kind == "d",
        mode,
        user: user.into(),
        group: group.into(),
        time: Some(seconds(day, clock).context("no time")?),
        contents: Vec::new(),
    };
    Ok(Some(entry))
}

/// Seconds since 1970 of a date and a time of day in UTC (Howard Hinnant's days_from_civil).
fn seconds(day: &str, clock: &str) -> Option<u64> {
    let numbers = |text: &str, by| text.split(by).map(str::parse).collect::<Result<Vec<u64>, _>>().ok();
    let [year, month, day] = numbers(day, '-')?[..] else { return None };
    let [hour, minute, second] = numbers(clock, ':')?[..] else { return None };
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let of_era = year % 400;
    let days = year / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + in_year;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

fn pipe(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().context("cannot run tar or gzip")?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output()?;
    // tar ends as soon as it has what it was asked for.
    let _ = writer.join();
    ensure!(out.status.success(), "tar or gzip does not read it");
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(seconds("1970-01-01", "00:00:00"), Some(0));
        assert_eq!(seconds("2000-02-29", "12:34:56"), Some(951_827_696));
        assert_eq!(seconds("2026-11-22", "18:00:00"), Some(1_795_370_400));
        assert_eq!(seconds("2026-11-22", "18:00"), None);
    }

    #[test]
    fn lines_of_tar() {
        let entry =
            listed("-rw------- root/root 12 2000-02-29 12:34:56 ./etc/config/porchlight").unwrap().unwrap();
        assert_eq!((entry.path.as_str(), entry.mode), ("etc/config/porchlight", 0o600));
        assert!(listed("drwxr-xr-x root/root 0 2000-02-29 12:34:56 ./").unwrap().is_none());
        for bad in [
            "drwxrwxrwx root/root 0 2000-02-29 12:34:56 ./",
            "lrwxrwxrwx root/root 0 2000-02-29 12:34:56 ./a",
            "-rwsr-xr-x root/root 0 2000-02-29 12:34:56 ./a",
            "-rwxr-xr-x root/root 0 2000-02-29 12:34:56 /a",
        ] {
            assert!(listed(bad).is_err(), "{bad}");
        }
    }
}
