//! A section that is to be, and its text in UCI.

use std::fmt::Write as _;

/// A section to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// Its type.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The line of the other file that it comes from.
    pub line: usize,
    /// It was switched off there.
    pub off: bool,
    /// Name, value, and whether it is one of a list.
    options: Vec<(String, String, bool)>,
}

impl Draft {
    /// An empty one.
    pub fn new(kind: &'static str, name: &str, line: usize) -> Draft {
        Draft { kind, name: name.into(), line, off: false, options: Vec::new() }
    }

    /// Sets an option; an empty value sets nothing.
    pub fn set(&mut self, name: &str, value: &str) {
        self.options.retain(|(known, ..)| known != name);
        if !value.is_empty() {
            self.options.push((name.into(), value.into(), false));
        }
    }

    /// Adds to a list, unless it is in it.
    pub fn add(&mut self, name: &str, value: &str) {
        if !self.values(name).any(|known| known == value) {
            let last = self.options.iter().rposition(|(known, ..)| known == name);
            let place = last.map_or(self.options.len(), |last| last + 1);
            self.options.insert(place, (name.into(), value.into(), true));
        }
    }

    /// The values of an option or list.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(known, ..)| known == name).map(|(_, value, _)| value.as_str())
    }

    /// Whether all but these options is the same.
    pub fn is_like(&self, other: &Draft, but: &[&str]) -> bool {
        let rest = |draft: &Draft| -> Vec<(String, String, bool)> {
            draft.options.iter().filter(|(name, ..)| !but.contains(&name.as_str())).cloned().collect()
        };
        (self.kind, self.off) == (other.kind, other.off) && rest(self) == rest(other)
    }

    /// The lines of its text when it is switched on.
    pub fn lines(&self) -> usize {
        text(&switched_on(std::slice::from_ref(self)), false).bytes().filter(|byte| *byte == b'\n').count()
    }
}

/// The same, all switched on.
pub(super) fn switched_on(drafts: &[Draft]) -> Vec<Draft> {
    drafts.iter().map(|draft| Draft { off: false, ..draft.clone() }).collect()
}

/// Their text, each behind an empty line. `off`: all are switched off.
pub(super) fn text(drafts: &[Draft], off: bool) -> String {
    let mut out = String::new();
    for draft in drafts {
        let _ = writeln!(out, "\nconfig {} '{}'", draft.kind, draft.name);
        if off || draft.off {
            out.push_str("\toption enabled '0'\n");
        }
        for (name, value, is_list) in &draft.options {
            let word = if *is_list { "list" } else { "option" };
            let _ = writeln!(out, "\t{word} {name} '{}'", value.replace('\'', "'\\''"));
        }
    }
    out
}

/// A configuration with these behind it, and the line in which they begin.
pub(super) fn joined(config: &str, drafts: &[Draft]) -> (String, usize) {
    let mut out = config.to_string();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let begin = out.bytes().filter(|byte| *byte == b'\n').count() + 1;
    out += &text(drafts, false);
    (out, begin)
}
