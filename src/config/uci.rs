//! UCI text into sections, with libuci's own grammar (its `file.c`): what `uci show` reads, this reads
//! alike, and what `uci` refuses, this refuses with line and reason; then it goes on with the next line.
//!
//! ```text
//! config TYPE ['NAME']        # a comment runs from an unquoted # to the end of the line
//!     option NAME 'one value'; option OTHER "with \" escapes" # also c, o, l, p
//!     list NAME bare'joined'"value"
//! ```

mod cursor;

use super::{Problem, Severity};
use cursor::{is_space, Cursor, Stop};

/// The longest file that is read, in bytes.
pub const FILE_CAP: usize = 256 * 1024;
/// The most sections of one file.
pub const SECTION_CAP: usize = 512;
/// The most values of one section.
pub const VALUE_CAP: usize = 1024;
/// The longest value, in bytes.
pub const VALUE_LENGTH_CAP: usize = 8 * 1024;
/// After this many faults the rest of the file is not looked at.
pub const FAULT_CAP: usize = 64;

/// An option or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// Its value; of a list, all values in order. Never empty.
    pub values: Vec<String>,
    /// Written with `list`.
    pub is_list: bool,
    /// 1-based line of each value's statement; as many as values.
    pub lines: Vec<usize>,
}

impl Opt {
    /// 1-based line of its first statement that counts.
    pub fn line(&self) -> usize {
        self.lines.first().copied().unwrap_or_default()
    }
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its type: printable ASCII without spaces.
    pub kind: String,
    /// Its name, if it has one: letters, digits and `_`.
    pub name: Option<String>,
    /// 1-based line of its (first) `config` statement.
    pub line: usize,
    /// In order of first appearance; each name once.
    pub options: Vec<Opt>,
    /// One of its lines could not be read.
    pub faulty: bool,
}

impl Section {
    /// The option or list of that name.
    pub fn option(&self, name: &str) -> Option<&Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The value of that option, or the first of that list.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.option(name)?.values.first().map(String::as_str)
    }
}

/// What was read, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In order of first appearance.
    pub sections: Vec<Section>,
    /// Faults of the text, in order of line.
    pub problems: Vec<Problem>,
}

/// A line that holds statements of sections, with the lines that its quotes run over. The unit of editing in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its first byte in the text.
    pub start: usize,
    /// Behind its last byte, which is the newline unless the text ends without one.
    pub end: usize,
    /// Indices into [`Parsed::sections`]: the least and the greatest of the sections that it states.
    pub sections: (usize, usize),
}

/// How much of a file is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most sections.
    pub sections: usize,
    /// The most values of one section.
    pub values: usize,
}

/// Reads a file's text. `file` is its path, for the problems. Never fails as a whole, never panics.
pub fn parse(text: &str, file: &str) -> Parsed {
    parse_lines(text, file, Limits { sections: SECTION_CAP, values: VALUE_CAP }).0
}

/// As [`parse`], within other limits, and says which lines of the text each section is made of, in order.
pub fn parse_lines(text: &str, file: &str, limits: Limits) -> (Parsed, Vec<Line>) {
    let mut parser = Parser {
        file,
        limits,
        cursor: Cursor { bytes: text.as_bytes(), pos: 0, end: 0, line: 0, spanned: None },
        parsed: Parsed::default(),
        current: Current::None,
        lines: Vec::new(),
        stated: None,
    };
    if text.len() > FILE_CAP {
        parser.problem(0, format!("the file is longer than {} KiB and is not read", FILE_CAP / 1024));
    } else if let Some(at) = text.bytes().position(|b| b == 0) {
        let line = text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
        parser.problem(line, "this is not a text file (it holds a zero byte), so it is not read".into());
    } else {
        parser.run();
    }
    (parser.parsed, parser.lines)
}

/// A fault: its line and what it is.
struct Fault(usize, String);

/// Where options go.
#[derive(Clone, Copy)]
enum Current {
    /// No section has begun.
    None,
    /// The section of this index.
    At(usize),
    /// The section's own line is faulty: its options are read and forgotten.
    Lost,
}

struct Parser<'a> {
    file: &'a str,
    limits: Limits,
    cursor: Cursor<'a>,
    parsed: Parsed,
    current: Current,
    lines: Vec<Line>,
    /// The sections that the line at hand states so far, as [`Line::sections`].
    stated: Option<(usize, usize)>,
}

impl Parser<'_> {
    fn problem(&mut self, line: usize, text: String) {
        let file = self.file.to_string();
        self.parsed.problems.push(Problem { severity: Severity::Error, file, line, text });
    }

    fn warn(&mut self, line: usize, text: &str) {
        let (file, text) = (self.file.to_string(), text.to_string());
        self.parsed.problems.push(Problem { severity: Severity::Warning, file, line, text });
    }

    fn run(&mut self) {
        while self.cursor.next_line() {
            let (start, started) = (self.cursor.pos, (self.cursor.line, self.cursor.end));
            let result = self.statements();
            if let Some(sections) = self.stated.take() {
                self.lines.push(Line { start, end: self.cursor.end, sections });
            }
            let Err(Fault(line, text)) = result else { continue };
            self.problem(line, text);
            if let Current::At(index) = self.current {
                if let Some(section) = self.parsed.sections.get_mut(index) {
                    section.faulty = true;
                }
            }
            if self.parsed.problems.len() >= FAULT_CAP {
                self.problem(started.0, "too many faults; the rest of the file is not looked at".into());
                return;
            }
            if self.cursor.exhausted() {
                // A quote that never closes has swallowed the rest: go on behind the line where it began.
                (self.cursor.line, self.cursor.end) = started;
            }
        }
    }

    /// The statements of one line (and of those that its quotes run over), parted by `;`.
    fn statements(&mut self) -> Result<(), Fault> {
        self.cursor.skip_whitespace();
        while let Some(word) = self.cursor.command() {
            match word {
                b"c" | b"config" => self.config()?,
                b"o" | b"option" => self.option(false)?,
                b"l" | b"list" => self.option(true)?,
                b"p" | b"package" => {
                    self.package()?;
                    continue;
                }
                [b'#', ..] => return Ok(()),
                word if word.iter().all(|b| is_space(*b)) => {
                    return Err(Fault(self.cursor.line, "nothing follows the ;".into()));
                }
                _ => {
                    let text = "this is no statement; one begins with config, option, list or package";
                    return Err(Fault(self.cursor.line, text.into()));
                }
            }
            if let Current::At(now) = self.current {
                let (least, greatest) = self.stated.unwrap_or((now, now));
                self.stated = Some((least.min(now), greatest.max(now)));
            }
        }
        Ok(())
    }

    /// `package NAME`: read and forgotten, as libuci does in a file of one package.
    fn package(&mut self) -> Result<(), Fault> {
        let line = self.cursor.line;
        let name = self.argument()?;
        if !is_name(&name, true) {
            return Err(Fault(
                line,
                "package: its name is missing or has other than letters, digits, _ and -".into(),
            ));
        }
        self.end_of_statement(line)
    }

    /// `config TYPE [NAME]`.
    fn config(&mut self) -> Result<(), Fault> {
        let line = self.cursor.line;
        self.current = Current::Lost;
        let kind = self.argument()?;
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Fault(
                line,
                "config: the section's type is missing or has spaces or unusual characters".into(),
            ));
        }
        let name = self.argument()?;
        if !name.is_empty() && !is_name(&name, false) {
            let quotes = if name.is_ascii() { "" } else { "; quotes are ' and \"" };
            return Err(Fault(
                line,
                format!("config: the section's name has other than letters, digits and _{quotes}"),
            ));
        }
        self.end_of_statement(line)?;
        let same = self.parsed.sections.iter_mut().enumerate();
        let same =
            same.into_iter().find(|(_, section)| !name.is_empty() && section.name.as_deref() == Some(&name));
        if let Some((index, section)) = same {
            if section.kind != kind {
                section.faulty = true;
                let text = format!(
                    "config: another section, of type {}, has the name '{name}' (line {})",
                    section.kind, section.line
                );
                return Err(Fault(line, text));
            }
            self.current = Current::At(index);
            return Ok(());
        }
        if self.parsed.sections.len() >= self.limits.sections {
            let most = self.limits.sections;
            return Err(Fault(line, format!("config: more than {most} sections; this one is left out")));
        }
        self.current = Current::At(self.parsed.sections.len());
        let name = Some(name).filter(|name| !name.is_empty());
        self.parsed.sections.push(Section { kind, name, line, options: Vec::new(), faulty: false });
        Ok(())
    }

    /// `option NAME [VALUE]` or `list NAME [VALUE]`.
    fn option(&mut self, is_list: bool) -> Result<(), Fault> {
        let line = self.cursor.line;
        let word = if is_list { "list" } else { "option" };
        if let Current::None = self.current {
            return Err(Fault(line, format!("{word}: there is no section before it; begin one with config")));
        }
        let name = self.argument()?;
        if !is_name(&name, false) {
            let text = format!("{word}: its name is missing or has other than letters, digits and _");
            return Err(Fault(line, text));
        }
        let value = self.argument()?;
        self.end_of_statement(line)?;
        if value.is_empty() && !is_list {
            self.warn(line, &format!("option {name}: is empty, and uci takes that as if it were not there"));
        }
        if value.len() > VALUE_LENGTH_CAP {
            return Err(Fault(line, format!("{word} {name}: longer than {VALUE_LENGTH_CAP} bytes")));
        }
        let Current::At(index) = self.current else { return Ok(()) };
        let Some(section) = self.parsed.sections.get_mut(index) else { return Ok(()) };
        if section.options.iter().map(|option| option.values.len()).sum::<usize>() >= self.limits.values {
            self.current = Current::Lost;
            section.faulty = true;
            let most = self.limits.values;
            return Err(Fault(line, format!("{word} {name}: more than {most} values in one section")));
        }
        set(section, Opt { name, values: vec![value], is_list, lines: vec![line] });
        Ok(())
    }

    /// The next argument, joined from its quoted and bare parts; empty if there is none.
    fn argument(&mut self) -> Result<String, Fault> {
        let line = self.cursor.line;
        self.cursor.skip_whitespace();
        let (word, stop) = self.cursor.word()?;
        match stop {
            Stop::CutByComment => self.warn(line, "an unquoted # begins a comment: what follows it is not part of the value; put the value in quotes"),
            Stop::CutBySemicolon => self.warn(line, "what follows the ; is not read, as uci does not read it either; put a space before the ;"),
            Stop::Usual => {}
        }
        Ok(word)
    }

    fn end_of_statement(&mut self, line: usize) -> Result<(), Fault> {
        match self.argument()?.is_empty() {
            true => Ok(()),
            false => Err(Fault(line, "too many arguments; put a value that has spaces in quotes".into())),
        }
    }
}

/// Puts an option into a section as libuci does: a later `option` replaces, `list` adds, an empty
/// `option` changes nothing.
fn set(section: &mut Section, new: Opt) {
    let unset = !new.is_list && new.values.iter().all(String::is_empty);
    let old = section.options.iter_mut().find(|option| option.name == new.name);
    match old {
        _ if unset => {}
        None => section.options.push(new),
        Some(old) if new.is_list => {
            old.values.extend(new.values);
            old.is_list = true;
            old.lines.extend(new.lines);
        }
        Some(old) => *old = new,
    }
}

fn is_name(text: &str, dash: bool) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (dash && b == b'-'))
}
