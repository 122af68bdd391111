//! Users of other clients find their services: each name that ddns-scripts, inadyn and ddclient have for one
//! (tests/names, with commits) leads to a provider, or docs/providers.md says why it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::provider::{find, nearest, PROVIDERS};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A client's names.
fn names(client: &str) -> Vec<String> {
    let text = read(&format!("tests/names/{client}"));
    let mut lines: Vec<&str> = text.lines().collect();
    let head: Vec<&str> = lines.iter().take_while(|line| line.starts_with('#')).copied().collect();
    assert!(head.concat().contains("commit "), "{client}: from which commit?");
    lines.drain(..head.len());
    assert!(lines.len() > 40, "{client}: {} names", lines.len());
    lines.into_iter().map(str::to_owned).collect()
}

/// The names in the table of what is left out, each with its reason.
fn left_out() -> Vec<(String, String)> {
    let text = read("docs/providers.md");
    let section = text.split("\n## Left out\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| {
        let [_, names, why, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert!(why.len() > 3, "{line}");
        names.split(", ").map(|name| (name.trim_matches('`').to_owned(), why.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

/// A name without what inadyn puts before it.
fn bare(name: &str) -> &str {
    ["default@", "ipv6@"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[test]
fn every_name_of_other_clients_is_known_or_left_out_for_a_reason() {
    let left_out: BTreeSet<String> = left_out().into_iter().map(|(name, _)| name).collect();
    let (mut lost, mut used) = (Vec::new(), BTreeSet::new());
    for client in ["ddns-scripts", "inadyn", "ddclient"] {
        for name in names(client) {
            match (find(&name), left_out.get(bare(&name))) {
                (Some(_), None) => {}
                (None, Some(listed)) => {
                    used.insert(listed.clone());
                }
                (None, None) => lost.push(format!("{client}: {name}")),
                (Some(entry), Some(_)) => panic!("{name} is left out, and is {}", entry.name),
            }
        }
    }
    assert!(lost.is_empty(), "{} names lead nowhere: {lost:#?}", lost.len());
    let odd: Vec<&String> = left_out.difference(&used).collect();
    assert!(odd.is_empty(), "left out, but no client has it: {odd:?}");
}

#[test]
fn a_name_that_nobody_has_is_no_provider_and_near_ones_are_told() {
    for (name, near) in [
        ("no-ip.co", "noip"),
        ("dyndnss.org", "dyn"),
        ("namecheep", "namecheap"),
        ("afraid", "afraid"),
        ("ddns.de", "ddnss"),
        ("freemyip.de", "freemyip"),
    ] {
        if name != near {
            assert!(find(name).is_none(), "{name}");
        }
        assert!(nearest(name).contains(&near), "{name}: {:?}", nearest(name));
    }
    // What no row has is never taken for another.
    for name in ["", " ", "default@", "default@custom.example", "ipv4@", "dyn dyndns.org", "example.com"] {
        assert!(find(name).is_none(), "{name:?}");
    }
}

#[test]
fn a_row_is_not_called_by_another_rows_name() {
    for client in ["ddns-scripts", "inadyn", "ddclient"] {
        for name in names(client) {
            let Some(entry) = find(&name) else { continue };
            let others = PROVIDERS.iter().filter(|other| other.name == name && other.name != entry.name);
            assert_eq!(others.count(), 0, "{name} is {} too", entry.name);
        }
    }
}
