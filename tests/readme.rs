//! The tables of the README and of docs/providers.md are the code's tables. `cargo xtask readme` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::cli::VERBS;
use porchlight::config::schema::{Built, Kind, SECTIONS};
use porchlight::doctor::LINKS;
use porchlight::model::Family;
use porchlight::notify::{Channel, CHANNELS};
use porchlight::provider::{aliases, Entry, PROVIDERS};
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn options() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let not_built = if section.built { "" } else { " (not built yet: refused by name)" };
        writeln!(out, "\n**`config {}`**: {}{not_built}\n", section.kind, section.doc).unwrap();
        writeln!(out, "| option | default | what it is |\n|---|---|---|").unwrap();
        for row in section.options {
            let kind = if row.list { "list " } else { "" };
            let default = match (row.required, row.default) {
                (true, _) => "must be set".to_string(),
                (_, "") => String::new(),
                (_, text) => format!("`{text}`"),
            };
            let built = match row.built {
                _ if !section.built => String::new(),
                Built::Yes => String::new(),
                Built::Default => "; *only its default works yet*".into(),
                Built::Only(values) => {
                    format!("; *besides its default only `{}` works yet*", values.join("`, `"))
                }
            };
            let secret = if row.secret { " (secret)" } else { "" };
            let words = match row.kind {
                Kind::Word(words) => format!(": `{}`", words.join("`, `")),
                _ => String::new(),
            };
            writeln!(
                out,
                "| {kind}`{}` | {default} | {}{words}{secret}{built} |",
                row.name,
                row.doc.replace('|', "\\|")
            )
            .unwrap();
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
    check("README.md", &[("options", options()), ("providers", providers()), ("channels", channels())]);
    check(
        "docs/providers.md",
        &[("provider options", provider_options()), ("refresh", refreshes()), ("other names", other_names())],
    );
    check("docs/doctor.md", &[("links", links())]);
}

#[test]
fn every_verb_is_there() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    for verb in &VERBS {
        assert!(
            readme.contains(&format!("`porchlight {}", verb.name)),
            "README.md does not name {}",
            verb.name
        );
    }
}
