//! The tables of the README, in both languages, and of docs/ are the code's tables; `cargo xtask readme` writes them. What
//! else the pages name is there as well: see `words`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::schema::{Built, Kind, SECTIONS};
use porchlight::doctor::LINKS;
use porchlight::model::Family;
use porchlight::notify::{Channel, CHANNELS};
use porchlight::provider::{aliases, Entry, PROVIDERS};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[path = "readme/words.rs"]
mod words;

/// What the code says of options, in Chinese.
const WORDS: &str = "docs/options.zh-CN.txt";
/// The width of a line that is written.
const WIDTH: usize = 120;

/// A language that the table of options is written in.
struct Language {
    head: &'static str,
    required: &'static str,
    /// Between a section and what it is, and between an option and its words; between two words.
    colon: &'static str,
    comma: &'static str,
    secret: &'static str,
    section_not_built: &'static str,
    only_default: &'static str,
    /// In front of the values, and behind them.
    only: [&'static str; 2],
    /// The words for what the code says.
    says: fn(&str) -> String,
}

const ENGLISH: Language = Language {
    head: "| option | default | what it is |",
    required: "must be set",
    colon: ": ",
    comma: ", ",
    secret: " (secret)",
    section_not_built: " (not built yet: refused by name)",
    only_default: "; *only its default works yet*",
    only: ["; *besides its default only ", " works yet*"],
    says: str::to_string,
};

const CHINESE: Language = Language {
    head: "| 选项 | 默认值 | 说明 |",
    required: "必填",
    colon: "：",
    comma: "、",
    secret: "（保密）",
    section_not_built: "（尚未实现，写了会被点名拒绝）",
    only_default: "；*目前只支持默认值*",
    only: ["；*除默认值外，目前只支持 ", "*"],
    says: in_chinese,
};

/// What the code says, and the same in Chinese, pair by pair.
fn pairs() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(WORDS).unwrap();
    let blocks = text.split("\n\n").filter(|block| !block.starts_with('#'));
    let pair = |block: &str| {
        let (english, chinese) = block.trim().split_once('\n').unwrap_or_else(|| panic!("{WORDS}: {block}"));
        (english.to_string(), chinese.to_string())
    };
    blocks.map(pair).collect()
}

fn in_chinese(english: &str) -> String {
    let found = pairs().into_iter().find(|pair| pair.0 == english);
    found.unwrap_or_else(|| panic!("{WORDS} has no words for: {english}")).1
}

fn options(language: &Language) -> String {
    let mut out = String::new();
    let says = |text: &str| (language.says)(text).replace('|', "\\|");
    let quoted = |words: &[&str]| format!("`{}`", words.join(&format!("`{}`", language.comma)));
    for section in SECTIONS {
        let not_built = if section.built { "" } else { language.section_not_built };
        let (colon, doc) = (language.colon, says(section.doc));
        writeln!(out, "\n**`config {}`**{colon}{doc}{not_built}\n", section.kind).unwrap();
        writeln!(out, "{}\n|---|---|---|", language.head).unwrap();
        for row in section.options {
            let kind = if row.list { "list " } else { "" };
            let default = match (row.required, row.default) {
                (true, _) => language.required.to_string(),
                (_, "") => String::new(),
                (_, text) => format!("`{text}`"),
            };
            let built = match row.built {
                _ if !section.built => String::new(),
                Built::Yes => String::new(),
                Built::Default => language.only_default.into(),
                Built::Only(values) => language.only.join(&quoted(values)),
            };
            let secret = if row.secret { language.secret } else { "" };
            let words = match row.kind {
                Kind::Word(words) => format!("{colon}{}", quoted(words)),
                _ => String::new(),
            };
            let doc = says(row.doc);
            writeln!(out, "| {kind}`{}` | {default} | {doc}{words}{secret}{built} |", row.name).unwrap();
        }
    }
    out
}

/// Every provider, by its name.
fn by_name() -> Vec<&'static Entry> {
    let mut all: Vec<&Entry> = PROVIDERS.iter().collect();
    all.sort_by_key(|entry| entry.name);
    all
}

/// One row a provider: what it is, what it can, what must be set.
fn providers() -> String {
    let mut out = String::from(
        "\n| `option provider` | service | IPv4 | IPv6 | must be set |\n|---|---|---|---|---|\n",
    );
    for entry in by_name() {
        let has = |family| if entry.families.contains(&family) { "yes" } else { "" };
        let title = format!("[{}]({})", entry.title, entry.url);
        let needs = entry.options.iter().filter(|option| option.required);
        let needs: Vec<String> = needs.map(|option| format!("`{}`", option.name)).collect();
        let (four, six, needs) = (has(Family::V4), has(Family::V6), needs.join(", "));
        writeln!(out, "| `{}` | {title} | {four} | {six} | {needs} |", entry.name).unwrap();
    }
    out
}

/// Their names alone.
fn provider_names() -> String {
    let mut out = String::new();
    let mut line = String::new();
    let names: Vec<_> = by_name().iter().map(|entry| format!("`{}`", entry.name)).collect();
    for word in names.join(", ").split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            out += &format!("\n{}", std::mem::take(&mut line));
        }
        line += &format!("{}{word}", if line.is_empty() { "" } else { " " });
    }
    format!("{out}\n{line}\n")
}

/// Names by which other clients know a provider.
fn other_names() -> String {
    let mut out = String::from("\n| `option provider` | also taken for it |\n|---|---|\n");
    for entry in by_name() {
        let also = aliases(entry);
        if !also.is_empty() {
            writeln!(out, "| `{}` | `{}` |", entry.name, also.join("`, `")).unwrap();
        }
    }
    out
}

/// Services that take unused names away.
fn refreshes() -> String {
    let mut out = String::from("\n| `option provider` | sent once more after |\n|---|---|\n");
    for entry in by_name().into_iter().filter(|entry| !entry.refresh().is_zero()) {
        writeln!(out, "| `{}` | {} days |", entry.name, entry.refresh().as_secs() / 86_400).unwrap();
    }
    out
}

/// One table a set of options, with the providers that share it.
fn provider_options() -> String {
    let mut sets: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for entry in by_name() {
        let mut table = String::from("| option | what it is |\n|---|---|\n");
        for option in entry.options {
            let must = if option.required { ", must be set" } else { "" };
            let secret = if option.secret { ", secret" } else { "" };
            writeln!(table, "| `{}`{must}{secret} | {} |", option.name, option.doc.replace('|', "\\|"))
                .unwrap();
        }
        sets.entry(table).or_default().push(entry.name);
    }
    let mut sets: Vec<_> = sets.into_iter().collect();
    sets.sort_by_key(|(_, names)| names[0]);
    let mut out = String::new();
    for (table, names) in sets {
        write!(out, "\n`{}`:\n\n{table}", names.join("`, `")).unwrap();
    }
    out
}

/// One row a channel: what must be set, and what may be.
fn channels() -> String {
    let mut out =
        String::from("\n| `option kind` | what it is | must be set | may be set |\n|---|---|---|---|\n");
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for Channel { kind, title, page, needs, takes, .. } in CHANNELS {
        let title = match page.contains("#notifications") {
            true => (*title).to_string(),
            false => format!("[{title}]({page})"),
        };
        writeln!(out, "| `{kind}` | {title} | {} | {} |", quoted(needs), quoted(takes)).unwrap();
    }
    out
}

fn links() -> String {
    let mut table =
        "\n| link | what must hold | without which it is not asked |\n|---|---|---|\n".to_string();
    for link in &LINKS {
        let _ = writeln!(table, "| `{}` | {} | {} |", link.name, link.about, link.needs.join(", "));
    }
    table
}

/// Puts a table between its marks.
fn put(page: &str, what: &str, table: &str) -> String {
    let start = page.find(&format!("<!-- {what}:")).unwrap_or_else(|| panic!("there is no mark for {what}"));
    let start = start + page[start..].find("-->\n").unwrap() + 4;
    let end = start + page[start..].find("<!-- end -->").unwrap();
    format!("{}{table}\n{}", &page[..start], &page[end..])
}

/// The page must hold the tables; they are written where that is asked for.
fn check(path: &str, tables: &[(&str, String)]) {
    let page = std::fs::read_to_string(path).unwrap();
    let new = tables.iter().fold(page.clone(), |page, (what, table)| put(&page, what, table));
    if std::env::var_os("PORCHLIGHT_WRITE").is_some() {
        std::fs::write(path, &new).unwrap();
    } else {
        assert!(new == page, "{path} is not what the code says; run `cargo xtask readme`");
    }
}

#[test]
fn tables_are_the_codes() {
    check("README.md", &[("options", options(&ENGLISH)), ("provider names", provider_names())]);
    check("README.zh-CN.md", &[("options", options(&CHINESE)), ("provider names", provider_names())]);
    check(
        "docs/providers.md",
        &[
            ("providers", providers()),
            ("provider options", provider_options()),
            ("refresh", refreshes()),
            ("other names", other_names()),
        ],
    );
    check("docs/doctor.md", &[("links", links())]);
    check("docs/notifications.md", &[("channels", channels())]);
}

/// Those of words that the code does not say (yet, or any more) do no harm.
#[test]
fn every_translation_is_there_once_and_chinese() {
    let mut seen = Vec::new();
    for (english, chinese) in pairs() {
        assert!(!seen.contains(&english), "{WORDS}: twice: {english}");
        assert!(chinese.chars().any(|one| ('\u{4e00}'..='\u{9fff}').contains(&one)), "{WORDS}: {chinese}");
        seen.push(english);
    }
}
