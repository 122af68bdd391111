//! What other clients' configurations, and the firewall's own redirects, are in ours: text in, sections and notes out.
//! What could not be carried over is said, with the reason and what to do. No note holds a secret.    [pure]

mod confuse;
mod ddclient;
mod ddns;
mod ddns_go;
mod draft;
mod firewall;
mod inadyn;
mod reasons;
mod service;
mod yaml;

use crate::config::load::Loaded;
use crate::config::uci::{self, Section, FILE_CAP};
use crate::config::Severity;
use crate::secret::{printable, Redactor, Secret};
use draft::{lines, Draft, Off};

/// The most sections that one import makes.
const DRAFT_CAP: usize = 256;
/// The most notes that are kept.
const NOTE_CAP: usize = 256;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// OpenWrt's ddns-scripts.
    Ddns,
    /// ddns-go.
    DdnsGo,
    /// inadyn 2.
    Inadyn,
    /// ddclient.
    Ddclient,
    /// Redirects of OpenWrt's firewall that lead to a camera.
    Firewall,
}

/// Each source: what the command line calls it, and where its file lies below the root if nobody says.
pub const SOURCES: [(&str, Source, &str); 5] = [
    ("ddns", Source::Ddns, "etc/config/ddns"),
    ("ddns-go", Source::DdnsGo, ""),
    ("inadyn", Source::Inadyn, ""),
    ("ddclient", Source::Ddclient, ""),
    ("firewall", Source::Firewall, "etc/config/firewall"),
];

/// What the router has beside the file that is imported. Empty where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The text of `/etc/config/porchlight`.
    pub config: &'a str,
    /// The text of `/etc/config/dhcp`.
    pub dhcp: &'a str,
    /// dnsmasq's lease file.
    pub leases: &'a [u8],
}

/// Something that the owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// 1-based line of the file, 0 where there is none.
    pub line: usize,
    /// Something that the other client did is not done here.
    pub lost: bool,
    /// What, why, and what to do.
    pub text: String,
}

/// What came out.
#[derive(Debug)]
pub struct Import<'a> {
    source: Source,
    /// The sections of the configuration that there is.
    existing: &'a [Section],
    drafts: Vec<Draft>,
    notes: Vec<Note>,
    secrets: Vec<Secret>,
    /// Options that are left out, by the reason's place in [`reasons::REASONS`].
    unused: Vec<(usize, String)>,
}

/// Reads a configuration of another program. `judge` is the loader of ours, with which each section is tried as if it were
/// switched on: one that is faulty there is left out. The value is the new text, its sections switched off if `off`, and the
/// notes in the order of their lines.
///
/// # Errors
/// The file is not of this form, with the line; or too long.
pub fn import(
    source: Source,
    text: &str,
    around: &Around,
    off: bool,
    judge: &dyn Fn(&str) -> Loaded,
) -> Result<(String, Vec<Note>), String> {
    if text.len() > FILE_CAP {
        return Err(format!("it is longer than {} KiB", FILE_CAP / 1024));
    }
    let existing = uci::parse(around.config, "").sections;
    let (drafts, notes, secrets, unused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut import = Import { source, existing: &existing, drafts, notes, secrets, unused };
    match source {
        Source::Ddns => ddns::read(text, &mut import)?,
        Source::DdnsGo => ddns_go::read(text, &mut import)?,
        Source::Inadyn => inadyn::read(text, &mut import)?,
        Source::Ddclient => ddclient::read(text, &mut import)?,
        Source::Firewall => firewall::read(text, around, &mut import)?,
    }
    import.join_families();
    import.try_on(around.config, judge)?;
    import.leave_unused_ways_out();
    import.tell_unused();
    if import.drafts.is_empty() && import.notes.is_empty() {
        import.note(0, true, "there is nothing in it to carry over");
    }
    let redactor = Redactor::new(&import.secrets);
    let mut notes = import.notes;
    notes.iter_mut().for_each(|note| note.text = printable(&redactor.redact(&note.text)));
    let off = if off { Off::All } else { Off::AsThere };
    Ok((import.drafts.iter().map(|draft| draft.text(off)).collect(), notes))
}

impl Import<'_> {
    /// Says something of a line. Notes are kept in the order of their lines, those of no line last.
    fn note(&mut self, line: usize, lost: bool, text: &str) {
        if self.notes.len() < NOTE_CAP {
            let after = |note: &Note| line == 0 || note.line != 0 && note.line <= line;
            let place = self.notes.iter().rposition(after).map_or(0, |place| place + 1);
            self.notes.insert(place, Note { line, lost, text: text.into() });
        }
    }

    /// Keeps a value out of every note.
    fn hide(&mut self, secret: &str) {
        self.secrets.push(Secret::new(secret));
    }

    /// Takes a section, with a name that no other has, which is the value. Those of WANs stand before all others.
    fn add(&mut self, mut draft: Draft) -> String {
        if self.drafts.len() >= DRAFT_CAP {
            self.note(draft.line, true, "left out: there are too many sections");
            return String::new();
        }
        draft.name = self.free_name(&draft.name);
        let name = draft.name.clone();
        let ways = self.drafts.iter().take_while(|draft| draft.kind == "wan").count();
        let place = if draft.kind == "wan" { ways } else { self.drafts.len() };
        self.drafts.insert(place, draft);
        name
    }

    /// The name, made one that UCI takes, and with a number if a section has it already: uci takes those of one name
    /// for one.
    fn free_name(&self, wish: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let wish: String = wish.chars().take(40).map(plain).collect();
        let wish = if wish.is_empty() { "imported".to_string() } else { wish };
        let taken = |name: &str| {
            self.drafts.iter().any(|draft| draft.name == name)
                || self.existing.iter().any(|section| section.name.as_deref() == Some(name))
        };
        let mut name = wish.clone();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{wish}_{number}");
        }
        name
    }

    /// Leaves out, one by one, what the loader finds faulty when all is switched on.
    fn try_on(&mut self, config: &str, judge: &dyn Fn(&str) -> Loaded) -> Result<(), String> {
        loop {
            let mut text = config.to_string();
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            let begin = lines(&text);
            let mut ends = Vec::new();
            for draft in &self.drafts {
                text += &draft.text(Off::None);
                ends.push(lines(&text));
            }
            if text.len() > FILE_CAP {
                return Err("the configuration would be too long".into());
            }
            let loaded = judge(&text);
            let fault = loaded
                .problems
                .iter()
                .find(|problem| problem.severity == Severity::Error && problem.line > begin);
            let Some(fault) = fault else { return Ok(()) };
            self.secrets.extend(loaded.secrets);
            let Some(place) = ends.iter().position(|end| fault.line <= *end) else {
                return Err(fault.text.clone());
            };
            let draft = self.drafts.remove(place);
            self.note(draft.line, true, &format!("left out: {}", fault.text));
        }
    }

    /// A WAN section that no record names goes, unless it is meant for all.
    fn leave_unused_ways_out(&mut self) {
        let mut place = 0;
        let others = self.drafts.iter().any(|draft| draft.kind != "wan");
        while let Some(draft) = self.drafts.get(place).filter(|draft| draft.kind == "wan") {
            let named = self.drafts.iter().any(|other| other.has("wan", &draft.name));
            if named || others && draft.has("device", "auto") {
                place += 1;
            } else {
                self.drafts.remove(place);
            }
        }
    }

    /// An option that nothing here stands for.
    fn unused(&mut self, name: &str) {
        let Some(reason) = reasons::of(name) else { return };
        if self.unused.len() < NOTE_CAP && !self.unused.iter().any(|(_, known)| known == name) {
            self.unused.push((reason, name.to_string()));
        }
    }

    /// One note for all options that are left out for the same reason.
    fn tell_unused(&mut self) {
        let unused = std::mem::take(&mut self.unused);
        for (place, (_, reason)) in reasons::REASONS.iter().enumerate() {
            let mut text = String::new();
            for (_, name) in unused.iter().filter(|(at, _)| *at == place) {
                text += if text.is_empty() { "" } else { ", " };
                text += name;
            }
            if !text.is_empty() {
                self.note(0, false, &(text + ": " + reason));
            }
        }
    }
}

/// A note as it is printed, behind the file's name.
pub fn printed(note: &Note, file: &str) -> String {
    match note.line {
        0 => format!("{file}: {}", note.text),
        line => format!("{file}:{line}: {}", note.text),
    }
}

#[cfg(test)]
mod tests;
