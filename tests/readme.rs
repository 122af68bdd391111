//! The README's tables are the code's tables. `PORCHLIGHT_WRITE=1 cargo test --test readme` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::cli::VERBS;
use porchlight::config::schema::{Built, Kind, SECTIONS};
use porchlight::model::Family;
use porchlight::provider::PROVIDERS;
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
                Built::Without(what) => format!("; *not yet: {what}*"),
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

fn providers() -> String {
    let mut out = String::from("\n| `option provider` | service | IPv4 | IPv6 |\n|---|---|---|---|\n");
    for entry in PROVIDERS {
        let has = |family| if entry.families.contains(&family) { "yes" } else { "" };
        let title = if entry.url.is_empty() {
            entry.title.into()
        } else {
            format!("[{}]({})", entry.title, entry.url)
        };
        writeln!(out, "| `{}` | {title} | {} | {} |", entry.name, has(Family::V4), has(Family::V6)).unwrap();
    }
    out
}

/// One table a set of options, with the providers that share it.
fn provider_options() -> String {
    let mut sets: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for entry in PROVIDERS {
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
    sets.sort_by_key(|(_, names)| PROVIDERS.iter().position(|entry| entry.name == names[0]));
    let mut out = String::new();
    for (table, names) in sets {
        write!(out, "\n`{}`:\n\n{table}", names.join("`, `")).unwrap();
    }
    out
}

fn put(readme: &str, what: &str, table: &str) -> String {
    let start =
        readme.find(&format!("<!-- {what}:")).unwrap_or_else(|| panic!("README.md has no mark for {what}"));
    let start = start + readme[start..].find("-->\n").unwrap() + 4;
    let end = start + readme[start..].find("<!-- end -->").unwrap();
    format!("{}{table}\n{}", &readme[..start], &readme[end..])
}

#[test]
fn tables_are_the_codes() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let mut new = put(&readme, "options", &options());
    new = put(&new, "providers", &providers());
    new = put(&new, "provider options", &provider_options());
    if std::env::var_os("PORCHLIGHT_WRITE").is_some() {
        std::fs::write("README.md", &new).unwrap();
    }
    assert!(
        new == std::fs::read_to_string("README.md").unwrap(),
        "run PORCHLIGHT_WRITE=1 cargo test --test readme"
    );
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
