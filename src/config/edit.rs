//! Sections of ours in another program's configuration, put in, changed and taken out in place, every other byte as it
//! was. Ours are those of a type of ours whose names begin with [`PREFIX`], whoever wrote them.    [pure]

use super::uci::{self, Limits, Line, Parsed, Section};
use super::Severity;
use crate::map::Set;
use std::borrow::Cow;

/// What the names of our sections begin with.
pub const PREFIX: &str = "porchlight_";
/// The longest file that is edited, in bytes.
pub const FILE_CAP: usize = uci::FILE_CAP;
/// Other programs' files may hold long lists of addresses.
const LIMITS: Limits = Limits { sections: 4096, values: 16 * 1024 };

/// A section as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its type.
    pub kind: &'static str,
    /// Its name behind [`PREFIX`]: letters, digits and `_`. Where a section of another type has that name, which `uci`
    /// would refuse, a number is added.
    pub id: String,
    /// Its options.
    pub options: Vec<Setting>,
}

/// An option or a list as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value, or a list's values.
    pub values: Vec<String>,
    /// Written with `list`.
    pub is_list: bool,
}

impl Setting {
    /// An option.
    pub fn option(name: &'static str, value: String) -> Setting {
        Setting { name, values: vec![value], is_list: false }
    }

    /// A list; it has a value.
    pub fn list(name: &'static str, values: Vec<String>) -> Setting {
        Setting { name, values, is_list: true }
    }
}

/// Which sections of which file are ours.
#[derive(Clone, Copy)]
pub struct Ours<'a> {
    /// The file's name in `/etc/config`.
    pub package: &'a str,
    /// Whether a section that is called as ours are is of such a type.
    pub is_ours: &'a dyn Fn(&Section) -> bool,
    /// Whether one of ours stays as it is though it is not wanted.
    pub stays: &'a dyn Fn(&Section) -> bool,
}

impl Ours<'_> {
    /// Whether a section is one of ours.
    pub fn has(&self, section: &Section) -> bool {
        has_our_name(section) && (self.is_ours)(section)
    }

    /// The text with exactly these sections of ours in it; `None`: it has them already. New ones are put at the end, as
    /// `uci` does; one that differs is written anew where it is. Ends of lines are those of the text, and where it lacks
    /// the last one, so does the result.
    ///
    /// # Errors
    /// In plain words: `uci` could not read the text either, or it is in a form that cannot be edited safely.
    pub fn edit(&self, text: &[u8], wanted: Vec<Wanted>) -> Result<Option<Vec<u8>>, String> {
        let file = File::read(text, *self)?;
        let wanted = file.named(wanted);
        let new = file.with(&wanted)?;
        if new == text {
            return Ok(None);
        }
        file.verify(&new, &wanted)?;
        Ok(Some(new))
    }
}

/// Whether a section's name is one that we give.
pub fn has_our_name(section: &Section) -> bool {
    section.name.as_deref().is_some_and(|name| name.starts_with(PREFIX))
}

/// The sections of a text.
///
/// # Errors
/// As [`Ours::edit`].
pub fn sections(text: &[u8]) -> Result<Vec<Section>, String> {
    Ok(read(text)?.0.sections)
}

/// Whether the text could have a section of ours, however faulty it is.
pub fn mentions_ours(text: &[u8]) -> bool {
    text.windows(PREFIX.len()).any(|window| window == PREFIX.as_bytes())
}

/// What sections may be called after these: letters and digits, the rest as `_`, and a number where two would be alike.
/// They stay as they are for as long as the list does.
pub fn ids<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut taken = Set::new();
    let mut unique = |name: &str| {
        let stem: String = name.chars().map(plain).collect();
        let numbered = (2u32..).map(|n| format!("{stem}_{n}"));
        std::iter::once(stem.clone()).chain(numbered).find(|id| taken.insert(id.clone())).unwrap_or_default()
    };
    names.map(&mut unique).collect()
}

/// Parses, and refuses what `uci` refuses: it would not read a single section of it.
fn read(text: &[u8]) -> Result<(Parsed, Vec<Line>), String> {
    let (parsed, lines) = uci::parse_lines(&readable(text), "", LIMITS);
    match parsed.problems.iter().find(|problem| problem.severity == Severity::Error) {
        None => Ok((parsed, lines)),
        Some(problem) => Err(format!("line {}: {}", problem.line, problem.text)),
    }
}

/// The text, byte for byte as long, with a `?` for what is no UTF-8: in comments and values it may be anything.
fn readable(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.into();
    }
    let mut readable = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        readable.push_str(chunk.valid());
        readable.extend(chunk.invalid().iter().map(|_| '?'));
    }
    readable.into()
}

impl Wanted {
    /// Whether a section says just this, in whatever order and form.
    fn is(&self, section: &Section) -> bool {
        let has = |wanted: &Setting| {
            let option = section.option(wanted.name);
            option.is_some_and(|option| option.is_list == wanted.is_list && option.values == wanted.values)
        };
        section.kind == self.kind
            && section.options.len() == self.options.len()
            && self.options.iter().all(has)
    }

    /// Its text, as `uci` writes it.
    fn text(&self, eol: &str) -> String {
        let mut text = format!("config {} '{PREFIX}{}'{eol}", self.kind, self.id);
        for setting in &self.options {
            let word = if setting.is_list { "list" } else { "option" };
            for value in &setting.values {
                let value = value.replace('\'', "'\\''");
                text.push_str(&format!("\t{word} {} '{value}'{eol}", setting.name));
            }
        }
        text
    }

    fn is_called(&self, section: &Section) -> bool {
        section.name.as_deref().and_then(|name| name.strip_prefix(PREFIX)) == Some(self.id.as_str())
    }
}

/// A change of the text: what is between two places goes, this comes.
struct Change {
    start: usize,
    end: usize,
    new: String,
}

/// A file's text, with its last line ended.
struct File<'a> {
    ours: Ours<'a>,
    text: Cow<'a, [u8]>,
    /// The end of a line in it.
    eol: &'static str,
    /// The last line was without an end.
    open: bool,
    parsed: Parsed,
    lines: Vec<Line>,
}

impl<'a> File<'a> {
    fn read(text: &'a [u8], ours: Ours<'a>) -> Result<File<'a>, String> {
        let before = |at: usize| at.checked_sub(1).and_then(|at| text.get(at));
        let dos = text.iter().rposition(|b| *b == b'\n').is_some_and(|at| before(at) == Some(&b'\r'));
        let eol = if dos { "\r\n" } else { "\n" };
        let open = !text.is_empty() && !text.ends_with(b"\n");
        let text = if open { [text, eol.as_bytes()].concat().into() } else { Cow::from(text) };
        let (parsed, lines) = read(&text)?;
        let joins = text.strip_suffix(eol.as_bytes()).is_some_and(|text| text.ends_with(b"\\"));
        if joins && lines.last().is_some_and(|line| line.end == text.len()) {
            return Err("its last line ends in a backslash, which would join what is put behind it: \
                        take the backslash away"
                .into());
        }
        Ok(File { ours, text, eol, open, parsed, lines })
    }

    /// These, none with a name that a section of another type has: `uci` would refuse the whole file.
    fn named(&self, wanted: Vec<Wanted>) -> Vec<Wanted> {
        let others = self.parsed.sections.iter().filter(|section| !self.ours.has(section));
        let mut taken: Set<String> = others.filter_map(|section| section.name.clone()).collect();
        let mut named = Vec::new();
        for wish in wanted {
            let numbered = (2u32..).map(|n| format!("{}__{n}", wish.id));
            let free = std::iter::once(wish.id.clone()).chain(numbered);
            if let Some(id) = { free }.find(|id| taken.insert(format!("{PREFIX}{id}"))) {
                named.push(Wanted { id, ..wish });
            }
        }
        named
    }

    /// The text with these in it, and with those of ours that stay.
    fn with(&self, wanted: &[Wanted]) -> Result<Vec<u8>, String> {
        let ours = self.parsed.sections.iter().enumerate().filter(|(_, section)| self.ours.has(section));
        let mut there = Set::new();
        let mut changes = Vec::new();
        for (index, section) in ours {
            let wish = wanted.iter().find(|wanted| wanted.is_called(section));
            there.extend(wish.map(|wish| wish.id.as_str()));
            match wish {
                Some(wish) if wish.is(section) => {}
                None if (self.ours.stays)(section) => {}
                wish => self.replace(index, section, wish, &mut changes)?,
            }
        }
        changes.sort_by_key(|change| change.start);
        let new = wanted.iter().filter(|wanted| !there.contains(wanted.id.as_str()));
        let text = |wanted: &Wanted| format!("{}{}", self.eol, wanted.text(self.eol));
        let new: String = new.map(text).collect();
        let at = self.end();
        changes.push(Change { start: at, end: at, new });
        Ok(self.changed(&changes))
    }

    /// Where sections are put: at the end, before the empty line that `uci` ends a file with.
    fn end(&self) -> usize {
        let length = self.text.len();
        if self.is_blank(length) {
            length.saturating_sub(self.eol.len())
        } else {
            length
        }
    }

    /// Whether the line that ends here is empty, and none that a statement runs over.
    fn is_blank(&self, end: usize) -> bool {
        let before = self.text.get(..end).unwrap_or_default();
        let Some(before) = before.strip_suffix(self.eol.as_bytes()) else { return false };
        let stated = |line: &Line| (line.start..line.end).contains(&before.len());
        (before.is_empty() || before.ends_with(b"\n")) && !self.lines.iter().any(stated)
    }

    /// Takes a section out, or writes it anew in its place.
    fn replace(
        &self,
        index: usize,
        section: &Section,
        wish: Option<&Wanted>,
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        let touching = self.lines.iter().filter(|line| (line.sections.0..=line.sections.1).contains(&index));
        let mut new = wish.map(|wish| wish.text(self.eol));
        let mut first = true;
        for line in touching {
            if line.sections.0 != line.sections.1 {
                return Err(format!(
                    "section '{}' (line {}) shares a line with another section: give each a line of its own",
                    section.name.as_deref().unwrap_or_default(),
                    section.line
                ));
            }
            // The empty line before it came with it.
            let blank = std::mem::take(&mut first) && wish.is_none() && self.is_blank(line.start);
            let start = if blank { line.start.saturating_sub(self.eol.len()) } else { line.start };
            changes.push(Change { start, end: line.end, new: new.take().unwrap_or_default() });
        }
        Ok(())
    }

    fn changed(&self, changes: &[Change]) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text.len());
        let mut at = 0;
        for change in changes {
            text.extend_from_slice(self.text.get(at..change.start).unwrap_or_default());
            text.extend_from_slice(change.new.as_bytes());
            at = change.end;
        }
        text.extend_from_slice(self.text.get(at..).unwrap_or_default());
        if self.open {
            text.truncate(text.len().saturating_sub(self.eol.len()));
        }
        text
    }

    /// Reads the new text as `uci` will, before anybody else has to: everything else is in it unchanged, and ours is
    /// as it is to be.
    fn verify(&self, new: &[u8], wanted: &[Wanted]) -> Result<(), String> {
        let same = |a: &Section, b: &Section| {
            let mut options = a.options.iter().zip(&b.options);
            (a.kind == b.kind && a.name == b.name && a.options.len() == b.options.len())
                && options.all(|(a, b)| (&a.name, &a.values, a.is_list) == (&b.name, &b.values, b.is_list))
        };
        let ours = self.ours;
        let is_wanted =
            |section: &Section| ours.has(section) && wanted.iter().any(|wanted| wanted.is_called(section));
        let stays = |section: &Section| !is_wanted(section) && (!ours.has(section) || (ours.stays)(section));
        let sections = sections(new).ok().filter(|_| new.len() <= FILE_CAP);
        let right = sections.is_some_and(|new| {
            let (ours, others): (Vec<_>, Vec<_>) = new.iter().partition(|section| is_wanted(section));
            let before: Vec<_> = self.parsed.sections.iter().filter(|section| stays(section)).collect();
            let named = |wanted: &Wanted| ours.iter().any(|s| wanted.is_called(s) && wanted.is(s));
            before.len() == others.len()
                && before.iter().zip(&others).all(|(a, b)| same(a, b))
                && ours.len() == wanted.len()
                && wanted.iter().all(named)
        });
        right.then_some(()).ok_or_else(|| {
            format!(
                "it is too long, or in so odd a form that sections cannot be put into it safely; \
                 `uci commit {}` after a change by uci writes it in the usual form",
                ours.package
            )
        })
    }
}
