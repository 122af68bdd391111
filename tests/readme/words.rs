//! What the pages name exists, and the other way round: commands, options, pages, and configurations that pass
//! `porchlight check`.

use porchlight::cli::{topics, VERBS};
use porchlight::config::load::{load, Sources};
use porchlight::config::schema::{section, SECTIONS};
use porchlight::provider::PROVIDERS;
use std::fs;
use std::path::{Path, PathBuf};

/// The page that everybody sees first, in both languages.
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];
/// Arguments that stand before any verb.
const GLOBAL: [&str; 3] = ["--config", "--root", "--version"];
/// Options and sections of other packages' files that the pages name.
const OTHERS: [&str; 8] =
    ["timezone", "network", "metric", "host", "domain", "redirect", "rule", "interface"];
/// What a snippet may refer to without having it, by its type.
const REST: [(&str, &str); 3] = [
    ("wan", "config wan 'wan'\n\toption device 'auto'\n"),
    ("record", "config record 'home'\n\toption provider 'duckdns'\n\tlist domain 'a.duckdns.org'\n\toption token 't'\n"),
    ("camera", "config camera 'front'\n\tlist mac 'c0:56:e3:00:00:20'\n"),
];

/// Every page for people.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = READMES.iter().map(PathBuf::from).collect();
    for dir in ["docs", "docs/recipes"] {
        paths.extend(fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Fenced blocks without their indentation, each with its kind.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open: Option<usize> = None;
    for line in page.lines() {
        let bare = line.trim_start_matches(' ');
        match (bare.strip_prefix("```"), open) {
            (Some(kind), None) => {
                open = Some(line.len() - bare.len());
                found.push((kind.into(), String::new()));
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(indent)) => {
                let text = &mut found.last_mut().unwrap().1;
                *text += line.get(indent..).unwrap_or_default();
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    found
}

/// Code within sentences and tables, and each line of the blocks that are typed.
fn code(page: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut fenced = false;
    for line in page.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            prose += line;
            prose.push('\n');
        }
    }
    let spans = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    let spans = spans.map(|span| span.replace("\\|", "|").replace('\n', " "));
    let typed = blocks(page).into_iter().filter(|(kind, _)| kind == "sh");
    let lines = typed.flat_map(|(_, text)| text.lines().map(str::to_string).collect::<Vec<_>>());
    spans.chain(lines).collect()
}

/// The commands of ours in the code: the verb, and the words behind it.
fn commands(page: &str) -> Vec<(String, Vec<String>)> {
    let code = code(page);
    let parts = code.iter().flat_map(|text| text.split([';', '>']));
    let ours = parts.filter_map(|part| part.trim().strip_prefix("porchlight "));
    ours.map(|rest| {
        let mut words = rest.split([' ', '|', '[', ']']).filter(|word| !word.is_empty()).map(str::to_string);
        (words.next().unwrap_or_default(), words.collect())
    })
    .collect()
}

/// The words beginning with two dashes that a verb takes.
fn dashes(arguments: &str) -> Vec<&str> {
    arguments.split([' ', '|', '[', ']']).filter(|word| word.starts_with("--")).collect()
}

#[test]
fn every_command_that_a_page_names_exists() {
    for (path, page) in pages() {
        for (verb, words) in commands(&page) {
            let path = path.display();
            let Some(row) = VERBS.iter().find(|row| row.name == verb) else {
                assert!(GLOBAL.contains(&verb.as_str()), "{path}: there is no porchlight {verb}");
                continue;
            };
            for word in words.iter().map(String::as_str) {
                let known = match (verb.as_str(), word.starts_with("--")) {
                    (_, true) => dashes(row.arguments).contains(&word) || GLOBAL.contains(&word),
                    ("help", false) => word == "TOPIC" || topics().contains(&word),
                    _ => true,
                };
                assert!(known, "{path}: porchlight {verb} takes no {word}");
            }
        }
    }
}

/// With all its arguments, as the help has them.
#[test]
fn every_command_is_named() {
    for name in READMES {
        let all = code(&fs::read_to_string(name).unwrap());
        for verb in &VERBS {
            let whole = format!("porchlight {} {}", verb.name, verb.arguments);
            assert!(all.iter().any(|code| code == whole.trim_end()), "{name} lacks {whole}");
        }
        for flag in GLOBAL {
            assert!(all.iter().any(|code| code.split(' ').any(|word| word == flag)), "{name} lacks {flag}");
        }
    }
}

/// An option of any section or provider, or the file of a secret one.
fn is_option(name: &str) -> bool {
    let plain = |name: &str, secret: bool| {
        let ours =
            SECTIONS.iter().filter_map(|section| section.option(name)).any(|row| row.secret || !secret);
        let theirs = PROVIDERS.iter().flat_map(|entry| entry.options);
        ours || theirs.filter(|row| row.name == name).any(|row| row.secret || !secret)
    };
    plain(name, false) || name.strip_suffix("_file").is_some_and(|secret| plain(secret, true))
}

/// Every option is in the tables, which `tables_are_the_codes` compares; this is the other way round.
#[test]
fn every_option_and_section_that_a_page_names_exists() {
    let mut count = 0;
    // That page is about other programs' files, too.
    for (path, page) in pages().into_iter().filter(|page| !page.0.ends_with("design.md")) {
        for code in code(&page) {
            let mut words = code.split([' ', ',']).map(|word| word.trim_matches(['\'', '…']));
            let (kind, Some(name)) = (words.next().unwrap_or_default(), words.next()) else { continue };
            let known = match kind {
                "option" | "list" => is_option(name),
                "config" => section(name).is_some(),
                _ => continue,
            };
            count += 1;
            assert!(
                known || name == "X" || OTHERS.contains(&name),
                "{}: there is no {kind} {name}",
                path.display()
            );
        }
    }
    assert!(count > 50, "only {count} were looked at");
}

/// Any file, with something in it.
struct Files;

impl Sources for Files {
    fn first_line(&self, _: &str) -> Result<String, String> {
        Ok("https://example.com/a-secret".into())
    }

    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

/// The configurations of a page: blocks that begin with a section of ours, and here-documents.
fn configurations(page: &str) -> Vec<String> {
    let of_block = |(_, text): (String, String)| {
        let inner = text.split_once("<<'END'\n").and_then(|(_, rest)| rest.split_once("\nEND\n"));
        let text = inner.map_or(text.clone(), |(inner, _)| format!("{inner}\n"));
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
        let kind = first.strip_prefix("config ")?.split(' ').next()?;
        section(kind).is_some().then_some(text)
    };
    blocks(page).into_iter().filter_map(of_block).collect()
}

fn faults(text: &str) -> Vec<String> {
    load(text, "the page", PROVIDERS, &Files).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_configuration_passes_check() {
    let mut count = 0;
    for (path, page) in pages() {
        for text in configurations(&page) {
            count += 1;
            let lacks = |kind: &str| !text.lines().any(|line| line.starts_with(&format!("config {kind}")));
            let rest: String = match path.starts_with("docs/recipes") {
                true => String::new(),
                false => REST.iter().filter(|(kind, _)| lacks(kind)).map(|row| row.1).collect(),
            };
            let found = faults(&format!("{text}\n{rest}"));
            assert!(found.is_empty(), "{}: {found:#?}\n{text}", path.display());
        }
    }
    assert!(count >= 8, "only {count} configurations were found");
}

#[test]
fn every_recipe_has_a_configuration() {
    for entry in fs::read_dir("docs/recipes").unwrap() {
        let path = entry.unwrap().path();
        assert!(!configurations(&fs::read_to_string(&path).unwrap()).is_empty(), "{}", path.display());
        for name in READMES {
            let link = format!("]({})", path.display());
            assert!(
                fs::read_to_string(name).unwrap().contains(&link),
                "{name} has no link to {}",
                path.display()
            );
        }
    }
}

/// The anchors that a page's headings make.
fn anchors(page: &str) -> Vec<String> {
    let heading = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        text.chars()
            .filter(|one| one.is_alphanumeric() || " -_".contains(*one))
            .map(|one| if one == ' ' { '-' } else { one })
            .collect()
    };
    page.lines().filter(|line| line.starts_with('#')).map(heading).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for (path, page) in pages() {
        for link in page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|pair| pair.0) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap_or(Path::new("")).join(file),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(
                    there.iter().any(|one| one == anchor),
                    "{}: {link} has no such heading",
                    path.display()
                );
            }
        }
    }
}

/// A recipe that names a script which is elsewhere is one that silently does not work.
#[test]
fn every_script_of_the_package_that_a_page_names_is_in_it() {
    let mut count = 0;
    for (path, page) in pages() {
        let code = code(&page);
        let words = code.iter().flat_map(|text| text.split([' ', '\'', '(', ')', ',', ';']));
        for word in words.filter(|word| word.contains("/lib/porchlight/") || word.starts_with("/etc/init.d/"))
        {
            let ours = word.starts_with('/') && word.contains("porchlight");
            assert!(
                !ours || Path::new("openwrt/files").join(&word[1..]).exists(),
                "{}: the package has no {word}",
                path.display()
            );
            count += usize::from(ours);
        }
    }
    assert!(count > 1, "only {count} were looked at");
}

/// What is typed on the router, without comments, which are in the page's own language.
fn typed(name: &str) -> Vec<String> {
    let page = fs::read_to_string(name).unwrap();
    let blocks = blocks(&page).into_iter().filter(|(kind, _)| kind == "sh" || kind == "text");
    let line = |line: &str| line.split("  #").next().unwrap_or_default().trim_end().to_string();
    blocks.flat_map(|(_, text)| text.lines().map(line).collect::<Vec<_>>()).collect()
}

/// The lab plays the English one.
#[test]
fn the_quick_start_is_the_same_in_both_languages() {
    let [english, chinese] = READMES.map(typed);
    assert!(english.len() > 40, "{english:?}");
    assert_eq!(english, chinese);
}

/// Everything that the program may say, as one text: its sources, with continued lines joined.
fn sources() -> String {
    let mut text = String::new();
    let mut dirs = vec![PathBuf::from("src")];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// The symptoms of a page: the code in the first cell of each row.
fn symptoms(page: &str, heading: &str) -> Vec<String> {
    let section = page.split_once(heading).unwrap().1.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap_or_default().to_string()).collect()
}

/// But for names, addresses and what is left out.
#[test]
fn every_symptom_is_what_the_program_says() {
    let sources = sources();
    let [english, chinese] = READMES.map(|name| fs::read_to_string(name).unwrap());
    let found = symptoms(&english, "\n## Symptoms\n");
    assert_eq!(found, symptoms(&chinese, "\n## 故障现象\n"));
    assert!(found.len() > 20, "{found:?}");
    for symptom in found {
        let parts =
            ["…", "front", "lan0", "2001:", "IPv4"].iter().fold(vec![symptom.as_str()], |parts, mark| {
                parts.iter().flat_map(|part| part.split(mark)).collect()
            });
        for part in parts.iter().map(|part| part.trim()).filter(|part| part.len() > 3) {
            assert!(sources.contains(part), "nothing in src says: {part} (of: {symptom})");
        }
    }
}
