//! One section against its row of the table: unknown options, bad values, what is not built yet, and
//! secrets. What comes out has only good values, each in its canonical spelling.

use super::load::Sources;
use super::nearest::did_you_mean;
use super::schema::{Built, Kind, OptionRow, SectionRow};
use super::uci::{Opt, Section};
use super::value::{plain, quoted};
use super::{Problem, Severity};
use crate::provider::{Entry, Options, ProviderOption};
use crate::secret::Secret;

/// The longest secret, in bytes.
pub const SECRET_CAP: usize = 4 * 1024;
/// The most errors and the most warnings that are listed.
pub const PROBLEM_CAP: usize = 100;
/// The name of the option that says whether a section counts.
const ENABLED: &str = "enabled";

/// What is wrong with a file, as far as it is listed.
pub struct Problems<'a> {
    file: &'a str,
    list: Vec<Problem>,
    unlisted: usize,
}

impl<'a> Problems<'a> {
    pub fn new(file: &'a str, list: Vec<Problem>) -> Problems<'a> {
        Problems { file, list, unlisted: 0 }
    }

    fn push(&mut self, severity: Severity, line: usize, text: String) {
        if self.list.iter().filter(|problem| problem.severity == severity).count() >= PROBLEM_CAP {
            self.unlisted += 1;
            return;
        }
        self.list.push(Problem { severity, file: self.file.to_string(), line, text });
    }

    pub fn error(&mut self, line: usize, text: impl Into<String>) {
        self.push(Severity::Error, line, text.into());
    }

    pub fn warning(&mut self, line: usize, text: impl Into<String>) {
        self.push(Severity::Warning, line, text.into());
    }

    /// All of them in order of line.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.line);
        if self.unlisted > 0 {
            let text = format!("{} more problems are not listed", self.unlisted);
            self.list.push(Problem {
                severity: Severity::Warning,
                file: self.file.to_string(),
                line: 0,
                text,
            });
        }
        self.list
    }
}

/// A section's good values.
pub struct Fields<'a> {
    pub row: &'static SectionRow,
    pub section: &'a Section,
    /// `section record 'home'`.
    pub title: String,
    /// `option enabled`.
    pub enabled: bool,
    /// Something in it is wrong: it is left out.
    pub faulty: bool,
    /// By name: canonical values and line.
    values: Vec<(&'static str, Vec<String>, usize)>,
    /// A record's: those of its provider.
    pub options: Options,
}

impl<'a> Fields<'a> {
    fn new(row: &'static SectionRow, section: &'a Section) -> Fields<'a> {
        let title = match &section.name {
            Some(name) => format!("section {} '{name}'", row.kind),
            None => format!("section {} without name", row.kind),
        };
        let (values, options) = (Vec::new(), Options::default());
        Fields { row, section, title, enabled: true, faulty: section.faulty, values, options }
    }

    /// All values of an option, else those of its default.
    pub fn list(&self, name: &str) -> Vec<&str> {
        match self.values.iter().find(|(known, ..)| *known == name) {
            Some((_, values, _)) => values.iter().map(String::as_str).collect(),
            None => self.row.option(name).map_or("", |row| row.default).split_whitespace().collect(),
        }
    }

    /// The value of an option, else its default, if there is one.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.list(name).into_iter().next()
    }

    /// Whether a switch is on.
    pub fn flag(&self, name: &str) -> bool {
        self.one(name) == Some("1")
    }

    /// Whether the owner wrote this option, and well.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, ..)| *known == name)
    }

    /// Whether the owner wrote this option, well or not.
    pub fn wrote(&self, name: &str) -> bool {
        self.section.option(name).is_some()
    }

    /// The line of an option, else that of the section.
    pub fn line(&self, name: &str) -> usize {
        self.section.option(name).map_or(self.section.line, |option| option.line)
    }
}

/// Reads sections one by one.
pub struct Reader<'a> {
    pub providers: &'a [Entry],
    pub sources: &'a dyn Sources,
    pub problems: Problems<'a>,
    /// Every secret that was met, also of sections that are left out.
    pub secrets: Vec<Secret>,
}

impl<'a> Reader<'a> {
    /// Says what is wrong with an option (or with the section, if the name is empty): the section is left out.
    pub fn fault(&mut self, fields: &mut Fields, option: &str, text: &str) {
        fields.faulty = true;
        self.problems.error(fields.line(option), place(fields, option, text));
    }

    /// Says what is odd.
    pub fn warn(&mut self, fields: &Fields, option: &str, text: &str) {
        self.problems.warning(fields.line(option), place(fields, option, text));
    }

    /// Checks every option of a section.
    pub fn read(&mut self, row: &'static SectionRow, section: &'a Section) -> Fields<'a> {
        let mut fields = Fields::new(row, section);
        self.enabled(&mut fields);
        let entry = self.provider(&mut fields);
        for option in &section.options {
            let known = row.option(&option.name);
            let own = entry.and_then(|entry| entry.options.iter().find(|own| own.name == option.name));
            match (known, own) {
                _ if option.name == ENABLED => {}
                (Some(known), _) if known.secret => {}
                (Some(known), _) => self.option(&mut fields, known, option),
                (None, Some(own)) if own.secret => {}
                (None, Some(own)) => self.text(&mut fields, own, option),
                (None, None) => self.unknown(&fields, entry, option),
            }
        }
        for own in entry.map_or(&[][..], |entry| entry.options) {
            self.own_option(&mut fields, own);
        }
        for known in row.options.iter().filter(|known| known.required && !fields.section.faulty) {
            if !fields.wrote(known.name) {
                let word = if known.list { "list" } else { "option" };
                let text = format!("is missing ({})", known.doc);
                fields.faulty = true;
                self.problems.error(section.line, format!("{}: {word} {}: {text}", fields.title, known.name));
            }
        }
        fields
    }

    fn enabled(&mut self, fields: &mut Fields) {
        let section = fields.section;
        let (Some(row), Some(option)) = (fields.row.option(ENABLED), section.option(ENABLED)) else { return };
        // Left on until its value is known to be good, so that a bad one is an error.
        self.option(fields, row, option);
        fields.enabled = fields.flag(ENABLED);
    }

    /// The provider of a record; a fault if there is none of that name.
    fn provider(&mut self, fields: &mut Fields) -> Option<&'a Entry> {
        let row = fields.row.options.iter().find(|row| row.kind == Kind::Provider)?;
        let name = fields.section.option(row.name)?.values.first()?;
        let found = self.providers.iter().find(|entry| entry.name == name);
        if found.is_none() {
            let known = || self.providers.iter().map(|entry| entry.name);
            let mut near = did_you_mean(name, known());
            if near.is_empty() {
                near = format!("; known are {}", known().collect::<Vec<_>>().join(", "));
            }
            let text = format!("{} is no provider that is known here{near}", quoted(name));
            self.fault(fields, row.name, &text);
        }
        found
    }

    /// Checks one option of the table.
    fn option(&mut self, fields: &mut Fields, row: &'static OptionRow, option: &Opt) {
        let values = split(row, option);
        if values.len() > 1 && !row.list {
            let text = format!("takes one value, and here are {}", values.len());
            return self.fault(fields, row.name, &text);
        }
        let mut good = Vec::new();
        for value in &values {
            match row.kind.check(value) {
                Ok(value) if good.contains(&value) => {
                    let text = format!("{} is listed twice", quoted(&value));
                    self.warn(fields, row.name, &text);
                }
                Ok(value) => good.push(value),
                Err(reason) => self.fault(fields, row.name, &reason),
            }
        }
        if values.is_empty() {
            self.fault(fields, row.name, "has no value");
        }
        if good.is_empty() {
            return;
        }
        if let Some(missing) = not_built(row, &good).filter(|_| fields.enabled) {
            let instead = if row.instead.is_empty() { String::new() } else { format!("; {}", row.instead) };
            return self.fault(fields, row.name, &format!("{missing}not built yet{instead}"));
        }
        fields.values.push((row.name, good, option.line));
    }

    /// A provider's option that may be shown.
    fn text(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        match plain(&option.values.join("\n")) {
            Ok(text) => drop(fields.options.text.insert(own.name.to_string(), text)),
            Err(reason) => self.fault(fields, own.name, &reason),
        }
    }

    /// A provider's option that must be there, or must not be shown.
    fn own_option(&mut self, fields: &mut Fields, own: &ProviderOption) {
        let twin = format!("{}_file", own.name);
        let section = fields.section;
        let (direct, file) = (section.option(own.name), section.option(&twin).filter(|_| own.secret));
        match (direct, file) {
            (None, None) if own.required && !section.faulty => {
                let or_twin = if own.secret { format!(" (or {twin})") } else { String::new() };
                let text =
                    format!("{}: option {}{or_twin}: is missing ({})", fields.title, own.name, own.doc);
                fields.faulty = true;
                self.problems.error(section.line, text);
            }
            (Some(_), Some(_)) => {
                self.fault(fields, &twin, &format!("there is option {} too; write one of the two", own.name));
            }
            (Some(direct), None) if own.secret => self.secret(fields, own, direct),
            (None, Some(file)) => self.secret_file(fields, own, file),
            _ => {}
        }
    }

    /// A secret that is written in the file itself, or in the environment.
    fn secret(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        let mut parts = Vec::new();
        for value in &option.values {
            let resolved = match value.strip_prefix('$') {
                None => Ok(value.clone()),
                Some(rest) if rest.starts_with('$') => Ok(rest.to_string()),
                Some(_) if !fields.enabled => continue,
                // The name is not printed: it may be a secret that begins with a dollar.
                Some(name) => self.sources.var(name).ok_or_else(|| {
                    "names an environment variable that is not set; if the secret itself begins with $, write $$"
                        .to_string()
                }),
            };
            match resolved {
                Ok(value) => parts.push(value),
                Err(reason) => return self.fault(fields, own.name, &reason),
            }
        }
        self.keep(fields, own, own.name, parts);
    }

    /// A secret in a file of its own.
    fn secret_file(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        let [path] = option.values.as_slice() else {
            return self.fault(fields, &option.name, "takes one path");
        };
        if !fields.enabled {
            return;
        }
        match self.sources.first_line(path) {
            Ok(line) => self.keep(fields, own, &option.name, vec![line.trim().to_string()]),
            Err(reason) => {
                self.fault(fields, &option.name, &format!("{} cannot be read: {reason}", quoted(path)));
            }
        }
    }

    fn keep(&mut self, fields: &mut Fields, own: &ProviderOption, option: &str, parts: Vec<String>) {
        self.secrets.extend(parts.iter().map(Secret::new));
        let whole = parts.join("\n");
        if whole.len() > SECRET_CAP {
            return self.fault(fields, option, &format!("is longer than {SECRET_CAP} bytes"));
        }
        if whole.is_empty() && fields.enabled {
            return self.fault(fields, option, "is empty");
        }
        match plain(&whole) {
            Ok(whole) => drop(fields.options.secrets.insert(own.name.to_string(), Secret::new(whole))),
            Err(reason) => self.fault(fields, option, &reason),
        }
    }

    /// An option that neither the table nor the provider knows: said, and passed over.
    fn unknown(&mut self, fields: &Fields, entry: Option<&Entry>, option: &Opt) {
        let name = option.name.as_str();
        let own = || entry.map_or(&[][..], |entry| entry.options).iter();
        let twin_of =
            |name: &str, secret: bool, known: &str| secret && name.strip_suffix("_file") == Some(known);
        if own().any(|own| twin_of(name, own.secret, own.name))
            || fields.row.options.iter().any(|row| twin_of(name, row.secret, row.name))
        {
            return;
        }
        let unknown_provider =
            entry.is_none() && fields.row.options.iter().any(|row| row.kind == Kind::Provider);
        let elsewhere = self.providers.iter().any(|entry| {
            entry.options.iter().any(|own| own.name == name || twin_of(name, own.secret, own.name))
        });
        if unknown_provider && elsewhere {
            return;
        }
        let twins: Vec<String> =
            own().filter(|own| own.secret).map(|own| format!("{}_file", own.name)).collect();
        let known = fields.row.options.iter().map(|row| row.name).chain(own().map(|own| own.name));
        let near = did_you_mean(name, known.chain(twins.iter().map(String::as_str)));
        let whose = match entry {
            Some(entry) if elsewhere => format!("provider {} has no such option", entry.name),
            _ => "is not known".to_string(),
        };
        self.warn(fields, name, &format!("{whose} and has no effect{near}"));
    }
}

/// `section record 'home': option ttl: TEXT`; without the middle part for a fault of the whole section.
fn place(fields: &Fields, option: &str, text: &str) -> String {
    let is_list = match fields.section.option(option) {
        Some(written) => written.is_list,
        None => fields.row.option(option).is_some_and(|row| row.list),
    };
    match (option, is_list) {
        ("", _) => format!("{}: {text}", fields.title),
        (_, true) => format!("{}: list {option}: {text}", fields.title),
        (_, false) => format!("{}: option {option}: {text}", fields.title),
    }
}

/// The values of an option. As elsewhere in OpenWrt, `option domain 'a b'` is as good as two of `list domain`.
fn split<'a>(row: &OptionRow, option: &'a Opt) -> Vec<&'a str> {
    let values = option.values.iter().map(String::as_str);
    match row.list && !option.is_list && row.kind != Kind::Text {
        true => values.flat_map(str::split_whitespace).collect(),
        false => values.collect(),
    }
}

/// What of these (canonical) values is not built yet; `None` if all of it works.
fn not_built(row: &OptionRow, values: &[String]) -> Option<String> {
    let joined = values.join(" ");
    if joined == row.default {
        return None;
    }
    let refused = match row.built {
        Built::Yes => return None,
        Built::Default => true,
        Built::Only(works) => !works.contains(&joined.as_str()),
        Built::Without(what) => {
            let named = |value: &String| row.kind == Kind::Source && super::Network::parse(value).is_none();
            return values
                .iter()
                .find(|value| named(value))
                .map(|value| format!("{} is {what}: ", quoted(value)));
        }
    };
    let shown = matches!(row.kind, Kind::Word(_) | Kind::Bool | Kind::Number { .. });
    refused.then(|| if shown { format!("{} is ", quoted(&joined)) } else { String::new() })
}
