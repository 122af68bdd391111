//! One section against its row of the table: unknown options, bad values, what is not built yet, and
//! secrets. What comes out has only good values, each in its canonical spelling.

mod problems;
mod secrets;

use super::load::Sources;
use super::nearest::did_you_mean;
use super::schema::{Built, Kind, OptionRow, SectionRow};
use super::uci::{Opt, Section};
use super::value::{duration, plain, quoted, sentence};
use super::{Problem, Severity};
use crate::provider::{self, nearest, Entry, Options, ProviderOption};
use crate::secret::Secret;
pub use problems::Problems;
use std::time::Duration;

/// The name of the option that says whether a section counts.
const ENABLED: &str = "enabled";

/// A section's good values.
pub struct Fields<'a> {
    pub row: &'static SectionRow,
    pub section: &'a Section,
    /// The section's name; else its first domain, MAC, device and the like; empty if it has none of that.
    pub name: String,
    /// `section record 'home'`.
    pub title: String,
    /// `option enabled`.
    pub enabled: bool,
    /// Something in it is wrong: it is left out.
    pub faulty: bool,
    /// By name: canonical values, each with its line.
    values: Vec<(&'static str, Vec<(String, usize)>)>,
    /// A record's: those of its provider.
    pub options: Options,
}

impl<'a> Fields<'a> {
    fn new(row: &'static SectionRow, section: &'a Section) -> Fields<'a> {
        let name = section.name.clone().or_else(|| own_name(row, section)).unwrap_or_default();
        let title = match name.is_empty() {
            true => format!("section {}", row.kind),
            false => format!("section {} '{name}'", row.kind),
        };
        let (values, options) = (Vec::new(), Options::default());
        Fields { row, section, name, title, enabled: true, faulty: section.faulty, values, options }
    }

    /// All values of an option, else those of its default.
    pub fn list(&self, name: &str) -> Vec<&str> {
        match self.values.iter().find(|(known, _)| *known == name) {
            Some((_, values)) => values.iter().map(|(value, _)| value.as_str()).collect(),
            None => self.row.option(name).map_or("", |row| row.default).split_whitespace().collect(),
        }
    }

    /// The value of an option, else its default, if there is one.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.list(name).into_iter().next()
    }

    /// All values of an option, else those of its default, to be kept.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).into_iter().map(str::to_string).collect()
    }

    /// The value of an option, else its default, if there is one, to be kept.
    pub fn text(&self, name: &str) -> Option<String> {
        self.one(name).map(str::to_string)
    }

    /// The time span that an option is, else its default.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        duration(self.one(name)?).ok()
    }

    /// Whether a switch is on.
    pub fn flag(&self, name: &str) -> bool {
        self.one(name) == Some("1")
    }

    /// Whether the owner wrote this option, and well.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    /// Whether the owner wrote this option, well or not.
    pub fn wrote(&self, name: &str) -> bool {
        self.section.option(name).is_some()
    }

    /// The line of an option, else that of the section.
    pub fn line(&self, name: &str) -> usize {
        self.section.option(name).map_or(self.section.line, Opt::line)
    }

    /// The line of one (canonical) value of an option.
    pub fn line_of(&self, name: &str, value: &str) -> usize {
        let values = self.values.iter().filter(|(known, _)| *known == name).flat_map(|(_, values)| values);
        values.filter(|(known, _)| known == value).map(|(_, line)| *line).next().unwrap_or(self.line(name))
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
        self.fault_at(fields, option, fields.line(option), text);
    }

    /// The same of one value, in its own line.
    pub fn fault_at(&mut self, fields: &mut Fields, option: &str, line: usize, text: &str) {
        fields.faulty = true;
        self.problems.error(line, place(fields, option, text));
    }

    /// Says what is odd.
    pub fn warn(&mut self, fields: &Fields, option: &str, text: &str) {
        self.warn_at(fields, option, fields.line(option), text);
    }

    /// The same of one value, in its own line.
    pub fn warn_at(&mut self, fields: &Fields, option: &str, line: usize, text: &str) {
        self.problems.warning(line, place(fields, option, text));
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
        for known in row.options.iter().filter(|known| known.secret && row.built) {
            let own = ProviderOption::secret(known.name, known.doc).optional();
            self.own_option(&mut fields, &own);
        }
        for known in row.options.iter().filter(|known| known.required && row.built && !section.faulty) {
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
        let name = fields.section.value(row.name)?;
        let found = self.providers.iter().find(|entry| entry.name == provider::own_name(name));
        if found.is_none() {
            let known = |near: &&str| self.providers.iter().any(|entry| entry.name == *near);
            let near: Vec<String> = nearest(name).into_iter().filter(known).map(quoted).collect();
            let near = match near.is_empty() {
                true => "; `porchlight providers` lists them".to_string(),
                false => format!("; did you mean {}?", near.join(" or ")),
            };
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
        let mut good: Vec<(String, usize)> = Vec::new();
        for (value, line) in &values {
            match row.kind.check(value) {
                Ok(value) if good.iter().any(|(other, _)| *other == value) => {
                    self.warn_at(fields, row.name, *line, &sentence(&value, "is listed twice"));
                }
                Ok(value) => good.push((value, *line)),
                Err(reason) => self.fault_at(fields, row.name, *line, &reason),
            }
        }
        if values.is_empty() {
            self.fault(fields, row.name, "has no value");
        }
        if good.is_empty() {
            return;
        }
        if let Some((missing, line)) = not_built(row, &good).filter(|_| fields.enabled) {
            return self.fault_at(fields, row.name, line, &format!("{missing}not built yet"));
        }
        fields.values.push((row.name, good));
    }

    /// A provider's option that may be shown.
    fn text(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        match plain(&option.values.join("\n")) {
            Ok(text) => {
                self.hide_parts(fields, own.name, &text);
                fields.options.text.insert(own.name.to_string(), text);
            }
            Err(reason) => self.fault(fields, own.name, &reason),
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
        let near = did_you_mean(name, &mut known.chain(twins.iter().map(String::as_str)));
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

/// What a section without a name is called.
fn own_name(row: &SectionRow, section: &Section) -> Option<String> {
    let first = |name: &str| {
        let value = section.value(name)?;
        row.option(name)?.kind.check(value.split_whitespace().next()?).ok()
    };
    match row.kind {
        "wan" => first("device").or_else(|| first("interface")),
        "record" => first("domain"),
        "camera" => first("mac").or_else(|| first("name")).or_else(|| first("ip")),
        "notify" | "tunnel" => first("kind"),
        "mapping" => Some(format!("{}_{}", first("camera")?, first("src_dport")?)),
        _ => None,
    }
}

/// The values of an option, each with its line. As elsewhere in OpenWrt, `option domain 'a b'` is as good as
/// two of `list domain`.
fn split<'a>(row: &OptionRow, option: &'a Opt) -> Vec<(&'a str, usize)> {
    let values = option.values.iter().map(String::as_str).zip(option.lines.iter().copied());
    match row.list && !option.is_list && row.kind != Kind::Text {
        true => {
            values.flat_map(|(value, line)| value.split_whitespace().map(move |word| (word, line))).collect()
        }
        false => values.collect(),
    }
}

/// What of these (canonical) values is not built yet, and its line; `None` if all of it works.
fn not_built(row: &OptionRow, values: &[(String, usize)]) -> Option<(String, usize)> {
    let joined = values.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>().join(" ");
    let line = values.first().map(|(_, line)| *line)?;
    if joined == row.default {
        return None;
    }
    let refused = match row.built {
        Built::Yes => return None,
        Built::Default => true,
        Built::Only(works) => !works.contains(&joined.as_str()),
    };
    let shown = matches!(row.kind, Kind::Word(_) | Kind::Bool | Kind::Number { .. });
    refused.then(|| (if shown { sentence(&joined, "is ") } else { String::new() }, line))
}
