//! `porchlight help [TOPIC]`, in 80 columns: all verbs, or a page about one thing. A section's page ends with its options,
//! as the table of options has them.

use super::output::say;
use super::providers::paragraph;
use super::topics::TOPICS;
use super::{Fault, OK, VERBS};
use crate::config::nearest::did_you_mean;
use crate::config::schema::{self, Built, Kind, OptionRow, SectionRow, SECTIONS};
use crate::paths::Paths;
use std::fmt::Write as _;

/// Where what a verb does begins.
const COLUMN: usize = 29;

/// Prints what can be done, or a page.
pub fn run(_: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let text = match arguments {
        [] => text(),
        [topic] => page(topic).ok_or_else(|| {
            let near = did_you_mean(topic, &mut names());
            Fault::Usage(format!("there is no page about {topic}{near}"))
        })?,
        [_, more, ..] => return Err(super::unexpected(more)),
    };
    say(&text);
    Ok(OK)
}

fn text() -> String {
    let mut text = String::from(
        "Porchlight keeps a home camera reachable by name.\n\n\
         usage: porchlight [--config FILE] [--root DIR] VERB\n\n",
    );
    for verb in &VERBS {
        row(&mut text, &format!("{} {}", verb.name, verb.arguments), verb.doc);
    }
    text.push('\n');
    row(&mut text, "--config FILE", "read this instead of /etc/config/porchlight");
    row(&mut text, "--root DIR", "everything lies below DIR instead of /");
    row(&mut text, "--version", "which version this is");
    text += "\nexit codes: 0 all is well, 1 something failed,\n            \
             2 the configuration or these arguments are faulty,\n            \
             3 status: no agent runs; doctor: warnings only\n\n";
    let topics: Vec<&str> = topics().collect();
    paragraph(&mut text, "", &format!("topics of help: {}", topics.join(" ")));
    text
}

/// The pages and the section types, each once.
fn topics() -> impl Iterator<Item = &'static str> {
    let is_page = |name: &str| TOPICS.iter().any(|topic| topic.name == name);
    let sections = SECTIONS.iter().map(|section| section.kind).filter(move |kind| !is_page(kind));
    TOPICS.iter().map(|topic| topic.name).chain(sections)
}

/// All that there is a page about.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    topics().chain(VERBS.iter().map(|verb| verb.name))
}

/// What there is to say about it: the verb of that name, its page, the options of the section.
fn page(name: &str) -> Option<String> {
    let mut text = String::new();
    let mut part = |more: &dyn Fn(&mut String)| {
        if !text.is_empty() {
            text.push('\n');
        }
        more(&mut text);
    };
    if let Some(verb) = VERBS.iter().find(|verb| verb.name == name) {
        part(&|text| row(text, &format!("{} {}", verb.name, verb.arguments), verb.doc));
    }
    if let Some(topic) = TOPICS.iter().find(|topic| topic.name == name) {
        part(&|text| *text += topic.text);
    }
    if let Some(section) = schema::section(name) {
        part(&|text| options(text, section));
    }
    (!text.is_empty()).then_some(text)
}

/// A section's options, each with what it is.
fn options(out: &mut String, section: &SectionRow) {
    let _ = writeln!(out, "config {}", section.kind);
    paragraph(out, "    ", section.doc);
    for option in section.options {
        let kind = if option.list { "list" } else { "option" };
        let _ = writeln!(out, "  {kind} {}{}", option.name, traits(option));
        paragraph(out, "      ", option.doc);
        if let Kind::Word(words) = option.kind {
            paragraph(out, "      ", &format!("one of: {}", words.join(" ")));
        }
        if option.built == Built::Default {
            paragraph(out, "      ", "only its default works yet");
        }
    }
    if section.kind == "record" {
        paragraph(out, "  ", "and those of its provider: porchlight providers NAME");
    }
}

/// ` (must be set)` or ` (default: 10m)`.
fn traits(option: &OptionRow) -> String {
    match (option.required, option.default) {
        (true, _) => " (must be set)".into(),
        (false, "") => String::new(),
        (false, default) => format!(" (default: {default})"),
    }
}

/// What is written, and beside it what it does; below it, where there is no room.
fn row(text: &mut String, written: &str, does: &str) {
    let mut left = format!("  {}", written.trim_end());
    if left.len() + 2 > COLUMN {
        *text += &left;
        text.push('\n');
        left.clear();
    }
    for line in does.lines() {
        *text += &format!("{left:<COLUMN$}{line}\n");
        left.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_narrow_terminal() {
        let text = text();
        assert!(text.lines().all(|line| line.len() <= 80 && line.trim_end() == line), "{text}");
        assert!(
            text.contains("\n  cameras [--json|--write NAME [IP]]\n                             cameras in"),
            "{text}"
        );
        assert!(text.contains("\n  check [--mode]             what"), "{text}");
    }

    #[test]
    fn each_topic_has_a_short_page_that_fits() {
        for name in names() {
            let page = page(name).unwrap();
            assert!(page.lines().all(|line| line.len() <= 80 && line.trim_end() == line), "{page}");
        }
        let written: usize = TOPICS.iter().map(|topic| topic.text.len()).sum();
        assert!(written < 8 << 10, "{written} bytes");
    }

    #[test]
    fn a_sections_page_has_its_text_and_all_its_options() {
        let page = page("mapping").unwrap();
        assert!(page.starts_with("One section for each port."), "{page}");
        assert!(
            page.contains("\n  option src_dport (must be set)\n      Port or range on the WAN\n"),
            "{page}"
        );
        assert!(page.contains("\n  option probe_interval (default: 1h)\n"), "{page}");
        assert!(page.contains("\n      one of: rtsp http tcp none\n"), "{page}");
    }

    #[test]
    fn what_is_not_built_yet_is_said() {
        let page = page("record").unwrap();
        assert!(page.contains("      one of: keep delete\n      only its default works yet\n"), "{page}");
    }

    #[test]
    fn who_mistypes_is_told_the_nearest() {
        let why = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            match run(&Paths::new(std::path::Path::new("/"), None), &words) {
                Err(Fault::Usage(why)) => why,
                _ => panic!("taken"),
            }
        };
        assert_eq!(why(&["symptons"]), "there is no page about symptons; did you mean 'symptoms'?");
        assert_eq!(why(&["xyzzy"]), "there is no page about xyzzy");
        assert_eq!(why(&["files", "more"]), "unexpected argument more");
    }
}
