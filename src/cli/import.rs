//! `porchlight import`: what another client's configuration, or the firewall's redirects, are in ours. Prints it, or adds it
//! switched off; says what could not be carried over. Needs no daemon, and changes nothing but our own file.

use super::output::{complain, say, tell};
use super::{unexpected, Fault, FAILED, OK};
use crate::act::thread::wait;
use crate::agent::{judge, read_bytes};
use crate::config::uci::{self, FILE_CAP};
use crate::config::Severity;
use crate::import::{import, printed, Around, Note, Source, SOURCES};
use crate::mapping::uci_file::UciFile;
use crate::paths::Paths;
use crate::sense::leases;
use std::cell::RefCell;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The mode of the configuration file: it holds secrets.
const MODE: u32 = 0o600;

/// Prints the sections, or writes them.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let write = arguments.iter().any(|argument| argument == "--write");
    let words: Vec<&String> = arguments.iter().filter(|argument| *argument != "--write").collect();
    let names = SOURCES.map(|(name, ..)| name).join(", ");
    let Some((name, rest)) = words.split_first() else {
        return Err(Fault::Usage(format!("import what? {names}")));
    };
    let Some((_, source, usual)) = SOURCES.iter().find(|(known, ..)| known == name) else {
        return Err(Fault::Usage(format!("import knows {names}, and not {name}")));
    };
    let file = match rest {
        [] if usual.is_empty() => return Err(Fault::Usage(format!("import {name} needs the file's path"))),
        [] => paths.root.join(usual),
        [file] if !file.starts_with('-') => PathBuf::from(file),
        [.., last] => return Err(unexpected(last)),
    };
    let bytes =
        read_bytes(&file, FILE_CAP as u64).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let work = Work { paths, source: *source, file: &file, text: &text };
    let notes = if write { work.write()? } else { work.print(name)? };
    for note in &notes {
        tell(&printed(note, &file.display().to_string()));
    }
    Ok(if notes.iter().any(|note| note.lost) { FAILED } else { OK })
}

/// One import.
struct Work<'a> {
    paths: &'a Paths,
    source: Source,
    file: &'a Path,
    text: &'a str,
}

impl Work<'_> {
    /// The sections for a configuration of this text, and the notes.
    fn sections(&self, config: &str, off: bool) -> Result<(String, Vec<Note>), String> {
        let beside =
            |path: &str, cap: usize| read_bytes(&self.paths.root.join(path), cap as u64).unwrap_or_default();
        let dhcp = beside("etc/config/dhcp", FILE_CAP);
        let leases = beside("tmp/dhcp.leases", leases::MAX_BYTES);
        let around = Around { config, dhcp: &String::from_utf8_lossy(&dhcp), leases: &leases };
        let done = import(self.source, self.text, &around, off, &|text| judge(self.paths, text));
        done.map_err(|why| format!("{}: {why}", self.file.display()))
    }

    /// The present configuration; empty if there is none.
    fn config(&self) -> Result<Option<String>, String> {
        let path = &self.paths.config;
        match read_bytes(path, FILE_CAP as u64) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// To standard output, to be looked at.
    fn print(&self, name: &str) -> Result<Vec<Note>, String> {
        let (sections, notes) = self.sections(&self.config()?.unwrap_or_default(), false)?;
        if !sections.is_empty() {
            say(&format!(
                "# From {}, for {}. It may hold secrets: show it to nobody.\n# `porchlight import {name} ... --write` adds it, \
                 switched off.\n{sections}",
                self.file.display(),
                self.paths.config.display()
            ));
        }
        Ok(notes)
    }

    /// Behind what is in the configuration file, switched off; every byte of that stays.
    fn write(&self) -> Result<Vec<Note>, String> {
        let path = &self.paths.config;
        let (sections, notes) = self.sections(&self.config()?.unwrap_or_default(), true)?;
        if sections.is_empty() {
            return Ok(notes);
        }
        private(path).map_err(|error| format!("{} cannot be made private: {error}", path.display()))?;
        let done = RefCell::new((sections, notes));
        let edit = |old: &[u8]| {
            let old = std::str::from_utf8(old).map_err(|_| "it is no text in UTF-8; mend it first")?;
            if old.ends_with(&done.borrow().0) {
                return Ok(None);
            }
            let (sections, notes) = self.sections(old, true)?;
            let new = self.with(old, &sections)?;
            *done.borrow_mut() = (sections, notes);
            Ok(new)
        };
        wait(UciFile::new(path, FILE_CAP).update(&edit))?;
        let (sections, notes) = done.into_inner();
        let names: Vec<&str> = sections.lines().filter_map(|line| line.strip_prefix("config ")).collect();
        say(&format!(
            "Added to {}, switched off: {}.\nLook at it, take out each option enabled '0' that you want to be on, and then: \
             porchlight check\n",
            path.display(),
            names.join(", ")
        ));
        Ok(notes)
    }

    /// The text with these sections behind it; `None` if there are none.
    ///
    /// # Errors
    /// What is there is not what it was, or what is new is faulty.
    fn with(&self, old: &str, sections: &str) -> Result<Option<Vec<u8>>, String> {
        if sections.is_empty() {
            return Ok(None);
        }
        let before = uci::parse(old, "");
        if let Some(problem) = before.problems.iter().find(|problem| problem.severity == Severity::Error) {
            return Err(format!("line {}: {}; mend that first", problem.line, problem.text));
        }
        let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        let new = format!("{old}{end}{sections}");
        let begin = format!("{old}{end}").lines().count();
        let fault = judge(self.paths, &new)
            .problems
            .into_iter()
            .find(|problem| problem.severity == Severity::Error && problem.line > begin);
        if let Some(fault) = fault {
            return Err(fault.text);
        }
        let after = uci::parse(&new, "").sections;
        match after.get(..before.sections.len()) == Some(&before.sections) {
            true => Ok(Some(new.into_bytes())),
            false => Err("what is added would change what is there; it was not written".into()),
        }
    }
}

/// Makes the configuration file its owner's alone, or an empty one if there is none.
fn private(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        }
        Err(error) => return Err(error),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            complain(&format!("{} could be read by others; it cannot any more (mode 0600)", path.display()));
            fs::set_permissions(path, Permissions::from_mode(MODE))?;
        }
        Ok(_) => {}
    }
    Ok(())
}
