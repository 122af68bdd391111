//! Reads the configuration: at the start what is good of it, at a reload all or nothing.

use super::{Agent, NETWORK};
use crate::config::load::{load, Loaded, Sources};
use crate::config::uci::FILE_CAP;
use crate::config::{Config, Problem, Severity};
use crate::mapping::hits::label;
use crate::model::{Family, RecordId};
use crate::paths::Paths;
use crate::plan::{publish, reload, settle};
use crate::provider::PROVIDERS;
use crate::secret::Redactor;
use crate::sense::clock;
use crate::state::Seen;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A larger configuration is not read.
const CONFIG_CAP: u64 = FILE_CAP as u64;
/// A larger file of one secret is not read.
const SECRET_CAP: u64 = 64 * 1024;

/// A configuration that was read.
pub struct Reading {
    /// What is good of it.
    pub config: Config,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Knows all its secrets.
    pub redactor: Redactor,
}

impl Reading {
    /// Stands for a configuration that cannot be read: nothing to do, and `status` says why.
    pub fn without(paths: &Paths, why: String) -> Reading {
        let (config, redactor) = (Config::default(), Redactor::new([]));
        Reading { config, problems: vec![unreadable(paths, why)], redactor }
    }

    /// Whether any part of it is unusable.
    pub fn is_faulty(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

fn unreadable(paths: &Paths, why: String) -> Problem {
    Problem { severity: Severity::Error, file: paths.config.display().to_string(), line: 0, text: why }
}

/// Files below the root, and this process's environment.
struct System<'a>(&'a Paths);

impl Sources for System<'_> {
    fn first_line(&self, path: &str) -> Result<String, String> {
        let text = read(&self.0.under_root(path), SECRET_CAP).map_err(|e| e.to_string())?;
        Ok(text.lines().next().unwrap_or_default().trim_end().to_string())
    }

    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads a plain file, up to the cap. Anything else of that name (a FIFO, a terminal) could keep us waiting for ever.
///
/// # Errors
/// It cannot be read, is no plain file, or larger.
pub(crate) fn read_bytes(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    let count = file.take(cap + 1).read_to_end(&mut bytes)?;
    if count as u64 > cap {
        return Err(io::Error::other(format!("it is larger than {} KiB", cap / 1024)));
    }
    Ok(bytes)
}

/// The same, of a file that must be text.
fn read(path: &Path, cap: u64) -> io::Result<String> {
    let text = String::from_utf8(read_bytes(path, cap)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// Reads the configuration file.
///
/// # Errors
/// When there is none that can be read; faults in it are in [`Reading::problems`].
pub fn read_config(paths: &Paths) -> Result<Reading, String> {
    let file = paths.config.display();
    let text = read(&paths.config, CONFIG_CAP).map_err(|e| format!("cannot read {file}: {e}"))?;
    Ok(understand(paths, &text))
}

/// What a text would mean as the configuration file.
pub fn understand(paths: &Paths, text: &str) -> Reading {
    let file = paths.config.display().to_string();
    let loaded = judge(paths, text);
    let mut problems = loaded.problems;
    let open_to_others = |meta: std::fs::Metadata| meta.permissions().mode() & 0o077 != 0;
    if !loaded.secrets.is_empty() && std::fs::metadata(&paths.config).is_ok_and(open_to_others) {
        let text = "other users can read this file, and it may hold secrets; mend: chmod 600".to_string();
        problems.push(Problem { severity: Severity::Warning, file, line: 0, text });
    }
    Reading { config: loaded.config, problems, redactor: Redactor::new(&loaded.secrets) }
}

/// What a text would mean as the configuration file, secrets in files and the environment included.
pub(crate) fn judge(paths: &Paths, text: &str) -> Loaded {
    load(text, &paths.config.display().to_string(), PROVIDERS, &System(paths))
}

/// What `status` shows of a configuration that was refused, so that nobody takes it for the one in force.
fn refused(paths: &Paths) -> Problem {
    let text =
        "this configuration is not in force: the one before it stays until the faults are mended and it is \
                reloaded";
    unreadable(paths, text.into())
}

impl Agent {
    /// A faulty configuration is refused whole, and the old one stays in force.
    pub(crate) fn reload(&mut self) {
        let reading = match read_config(&self.paths) {
            Ok(reading) => reading,
            Err(why) => {
                self.error(&format_args!("not reloaded: the old configuration stays in force: {why}"));
                self.problems = vec![refused(&self.paths), unreadable(&self.paths, why)];
                return;
            }
        };
        for problem in &reading.problems {
            log::warn!("{}", reading.redactor.redact(&problem.to_string()));
        }
        if reading.is_faulty() {
            self.problems = vec![refused(&self.paths)];
            self.problems.extend(reading.problems);
            return self
                .error(&"not reloaded: the old configuration stays in force until the faults are mended");
        }
        self.problems = reading.problems;
        if !reading.config.global.resident {
            self.warn(&"option resident '0' takes effect when porchlight is restarted");
        }
        log::set_max_level(reading.config.global.log_level);
        let mut after = reading.config;
        if !after.global.enabled {
            self.info(&"option enabled is '0': nothing to do until it is '1' and reloaded");
            after = Config { global: after.global, wans: after.wans, ..Config::default() };
        }
        self.redactor = Arc::new(reading.redactor);
        self.follow(after);
        self.info(&"configuration reloaded");
    }

    /// Goes on by another configuration: what is not in it ends, what it shares with the one before is left alone.
    fn follow(&mut self, after: Config) {
        let before = std::mem::replace(&mut self.config, after);
        self.http.trust(&self.paths.under_root(&self.config.global.cacert));
        for (old, new) in reload::renamed_wans(&before, &self.config) {
            for family in Family::BOTH {
                if let Some(told) = self.reach_told.remove(&(old.clone(), family)) {
                    self.reach_told.insert((new.clone(), family), told);
                }
            }
            if let Some(sensed) = self.world.wans.remove(&old) {
                self.world.wans.insert(new, sensed);
            }
        }
        // What was sensed by another device is none of this one's: two may have changed their names.
        for wan in &self.config.wans {
            if before.wans.iter().any(|old| old.name == wan.name && old.device != wan.device) {
                self.world.wans.remove(&wan.name);
            }
        }
        self.leave_gone(&before);
        self.repeats.forget();
        self.tunnels.reconfigured(&self.config.tunnels, &self.http);
        settle::reconfigured(&mut self.state, &before, &self.config);
        self.state.recall(&self.kept, &publish::all_ids(&self.config.records));
        // A read-back of what was written before the edit would hold up those that come.
        let asking = |id: &RecordId| self.state.records.get(id).is_some_and(|m| m.seen == Seen::Asking);
        self.confirming.retain(|id, _| asking(id));
        let wans = &self.config.wans;
        let is_there = |name: &str| wans.iter().any(|wan| wan.name == name);
        self.reach_told.retain(|(name, _), _| is_there(name));
        self.asking_above.retain(|name, _| is_there(name));
        let labels: Vec<String> = self.config.mappings.iter().map(|mapping| label(&mapping.name)).collect();
        if let Some(mut backend) = self.backend.try_lock() {
            backend.hits().retain(|name, _| labels.contains(name));
        }
        let soon = clock::now().boot.plus(self.config.global.check_interval);
        self.next_look = self.next_look.min(soon);
        if let Some(network) = &self.network {
            network.set_wans(wans);
            if wans.iter().any(|wan| !self.world.wans.contains_key(&wan.name)) {
                // What goes by a WAN that was not looked for yet is not closed before that was done.
                self.awaited.insert(NETWORK);
                self.world.complete = false;
                network.rescan();
            }
        }
        self.follow_filter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_read_and_none_keeps_us_waiting() {
        let dir = std::env::temp_dir().join(format!("porchlight-reload-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, fifo) = (dir.join("file"), dir.join("fifo"));
        std::fs::write(&file, "text").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read(&file, 4).unwrap(), "text");
        assert_eq!(read(&file, 3).unwrap_err().to_string(), "it is larger than 0 KiB");
        for path in [&fifo, &dir, Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert_eq!(read(path, 4).unwrap_err().to_string(), "it is not a plain file");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
