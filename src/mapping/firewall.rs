//! The text of `/etc/config/firewall`: our redirects put in, changed and taken out in place, every other byte as it
//! was. Each is a named section, `config redirect 'porchlight_<id>'` ([`Redirect::id`]: the mapping's name, and a
//! number where a mapping needs several). A section of that type with such a name is ours, whoever wrote it. So is a
//! `config rule` ([`Redirect::kind`]) that has our label besides.    [pure]

use super::redirect::{Redirect, LABEL, REDIRECT, RULE};
use crate::config::uci::{self, Limits, Line, Parsed, Section};
use crate::config::Severity;
use crate::map::Set;
use std::borrow::Cow;

/// Where it lies, below the root.
pub const PATH: &str = "etc/config/firewall";
/// What the names of our sections begin with.
pub const PREFIX: &str = "porchlight_";
/// The longest file that is edited, in bytes.
pub const FILE_CAP: usize = uci::FILE_CAP;
/// A firewall may hold long lists of addresses.
const LIMITS: Limits = Limits { sections: 4096, values: 16 * 1024 };

/// The text with exactly these redirects of ours in it; `None`: it has them already. New ones are put at the end, as
/// `uci` does; one that differs is written anew where it is. Ends of lines are those of the text, and where it lacks
/// the last one, so does the result.
///
/// # Errors
/// In plain words: `uci` could not read the text either, or it is in a form that cannot be edited safely.
pub fn edit(text: &[u8], redirects: &[Redirect]) -> Result<Option<Vec<u8>>, String> {
    edit_beside(text, redirects, &[])
}

/// As [`edit`], but leaves those of ours alone that have one of these labels and are not among the redirects.
///
/// # Errors
/// As [`edit`].
pub fn edit_beside(
    text: &[u8],
    redirects: &[Redirect],
    labels: &[String],
) -> Result<Option<Vec<u8>>, String> {
    let file = File::read(text)?;
    let wanted = file.wanted(redirects);
    let new = file.with(&wanted, labels)?;
    if new == text {
        return Ok(None);
    }
    file.verify(&new, &wanted, labels)?;
    Ok(Some(new))
}

/// The sections of a firewall's text.
///
/// # Errors
/// As [`edit`].
pub fn sections(text: &[u8]) -> Result<Vec<Section>, String> {
    Ok(read(text)?.0.sections)
}

/// Whether the text could have a section of ours, however faulty it is.
pub fn mentions_ours(text: &[u8]) -> bool {
    text.windows(PREFIX.len()).any(|window| window == PREFIX.as_bytes())
}

/// Whether a section is one of ours.
pub fn is_ours(section: &Section) -> bool {
    let labelled = || {
        let label = section.option("name").and_then(|option| option.values.first());
        label.is_some_and(|label| label.starts_with(LABEL))
    };
    let of_kind = section.kind == REDIRECT || section.kind == RULE && labelled();
    of_kind && section.name.as_deref().is_some_and(|name| name.starts_with(PREFIX))
}

/// Whether a section has one of these labels.
pub fn is_labelled(section: &Section, labels: &[String]) -> bool {
    let name = section.option("name").and_then(|option| option.values.first());
    name.is_some_and(|name| labels.contains(name))
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

/// A section as it is to be.
struct Wanted {
    kind: &'static str,
    name: String,
    options: Vec<(&'static str, String)>,
}

impl Wanted {
    /// Whether a section says just this, in whatever order and form.
    fn is(&self, section: &Section) -> bool {
        let has = |(key, value): &(&str, String)| {
            let option = section.option(key);
            option.is_some_and(|option| !option.is_list && option.values.as_slice() == [value.as_str()])
        };
        section.kind == self.kind
            && section.options.len() == self.options.len()
            && self.options.iter().all(has)
    }

    /// Its text, as `uci` writes it.
    fn text(&self, eol: &str) -> String {
        let mut text = format!("config {} '{}'{eol}", self.kind, self.name);
        for (key, value) in &self.options {
            text.push_str(&format!("\toption {key} '{}'{eol}", value.replace('\'', "'\\''")));
        }
        text
    }
}

/// A change of the text: what is between two places goes, this comes.
struct Change {
    start: usize,
    end: usize,
    new: String,
}

/// A firewall's text, with its last line ended.
struct File<'a> {
    text: Cow<'a, [u8]>,
    /// The end of a line in it.
    eol: &'static str,
    /// The last line was without an end.
    open: bool,
    parsed: Parsed,
    lines: Vec<Line>,
}

impl<'a> File<'a> {
    fn read(text: &'a [u8]) -> Result<File<'a>, String> {
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
        Ok(File { text, eol, open, parsed, lines })
    }

    /// The sections of these redirects. A name that a section of another type has is not taken: `uci` would refuse
    /// the whole file.
    fn wanted(&self, redirects: &[Redirect]) -> Vec<Wanted> {
        let others = self.parsed.sections.iter().filter(|section| !is_ours(section));
        let mut taken: Set<String> = others.filter_map(|section| section.name.clone()).collect();
        let mut wanted = Vec::new();
        for redirect in redirects {
            let stem = format!("{PREFIX}{}", redirect.id);
            let numbered = (2u32..).map(|n| format!("{stem}__{n}"));
            for name in std::iter::once(stem.clone()).chain(numbered) {
                if taken.insert(name.clone()) {
                    wanted.push(Wanted { kind: redirect.kind(), name, options: redirect.options() });
                    break;
                }
            }
        }
        wanted
    }

    /// The text with these in it, and with those of ours that have one of these labels.
    fn with(&self, wanted: &[Wanted], labels: &[String]) -> Result<Vec<u8>, String> {
        let ours = self.parsed.sections.iter().enumerate().filter(|(_, section)| is_ours(section));
        let mut there = Set::new();
        let mut changes = Vec::new();
        for (index, section) in ours {
            let name = section.name.as_deref().unwrap_or_default();
            let wish = wanted.iter().find(|wanted| wanted.name == name);
            there.extend(wish.map(|_| name));
            match wish {
                Some(wish) if wish.is(section) => {}
                None if is_labelled(section, labels) => {}
                wish => self.replace(index, section, wish, &mut changes)?,
            }
        }
        changes.sort_by_key(|change| change.start);
        let new = wanted.iter().filter(|wanted| !there.contains(wanted.name.as_str()));
        let new: String = new.map(|wanted| format!("{}{}", self.eol, wanted.text(self.eol))).collect();
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
    fn verify(&self, new: &[u8], wanted: &[Wanted], labels: &[String]) -> Result<(), String> {
        let same = |a: &Section, b: &Section| {
            let mut options = a.options.iter().zip(&b.options);
            (a.kind == b.kind && a.name == b.name && a.options.len() == b.options.len())
                && options.all(|(a, b)| (&a.name, &a.values, a.is_list) == (&b.name, &b.values, b.is_list))
        };
        let is_wanted = |section: &Section| {
            wanted.iter().any(|wanted| section.name.as_ref() == Some(&wanted.name)) && is_ours(section)
        };
        let stays =
            |section: &Section| !is_wanted(section) && (!is_ours(section) || is_labelled(section, labels));
        let sections = sections(new).ok().filter(|_| new.len() <= FILE_CAP);
        let right = sections.is_some_and(|new| {
            let (ours, others): (Vec<_>, Vec<_>) = new.iter().partition(|section| is_wanted(section));
            let before: Vec<_> = self.parsed.sections.iter().filter(|section| stays(section)).collect();
            let named =
                |wanted: &Wanted| ours.iter().any(|s| s.name.as_ref() == Some(&wanted.name) && wanted.is(s));
            before.len() == others.len()
                && before.iter().zip(&others).all(|(a, b)| same(a, b))
                && ours.len() == wanted.len()
                && wanted.iter().all(named)
        });
        right.then_some(()).ok_or_else(|| {
            "it is too long, or in so odd a form that sections cannot be put into it safely; \
             `uci commit firewall` after a change by uci writes it in the usual form"
                .into()
        })
    }
}
