//! Other clients' configurations, written anew from their documented options: `tests/import/SOURCE-CASE/input`, beside it
//! perhaps our own `config`, `dhcp` and `leases`; `expected` has the notes and then the sections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::load::{load, Loaded, Sources};
use porchlight::config::Severity;
use porchlight::import::{import, printed, Around, Note, Source, SOURCES};
use porchlight::provider::PROVIDERS;
use std::fs;
use std::path::{Path, PathBuf};

struct Nothing;

impl Sources for Nothing {
    fn first_line(&self, _: &str) -> Result<String, String> {
        Err("there are no files in this test".into())
    }

    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

fn judge(text: &str) -> Loaded {
    load(text, "porchlight", PROVIDERS, &Nothing)
}

fn faults(text: &str) -> Vec<String> {
    let problems = judge(text).problems.into_iter();
    problems
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.to_string())
        .collect()
}

struct Case {
    name: String,
    source: Source,
    folder: PathBuf,
}

impl Case {
    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    fn import(&self, text: &str, config: &str, off: bool) -> Result<(String, Vec<Note>), String> {
        let (dhcp, leases) = (self.read("dhcp"), self.read("leases"));
        let around = Around { config, dhcp: &dhcp, leases: leases.as_bytes() };
        import(self.source, text, &around, off, &judge)
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let case = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_string();
        // `ddns-go-...` is not a case of `ddns`.
        let source = SOURCES
            .iter()
            .filter(|(source, ..)| name.starts_with(source))
            .max_by_key(|(source, ..)| source.len());
        Case { source: source.unwrap_or_else(|| panic!("{name}: of which source?")).1, name, folder }
    };
    folders.into_iter().map(case).collect()
}

#[test]
fn the_samples_come_over_as_expected() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (sections, notes) = case.import(&case.read("input"), &case.read("config"), false).unwrap();
        let notes: String = notes
            .iter()
            .map(|note| {
                let sign = if note.lost { "lost" } else { "note" };
                format!("{sign} {}\n", printed(note, "input"))
            })
            .collect();
        let actual = notes + &sections;
        if actual != case.read("expected") {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&case.name);
            fs::write(&path, &actual).unwrap();
            wrong.push(format!("diff {} {}", case.folder.join("expected").display(), path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases().len() >= 10);
}

#[test]
fn every_source_has_a_sample() {
    for (name, source, _) in SOURCES {
        assert!(cases().iter().any(|case| case.source == source), "{name}");
    }
}

/// Switched on, as printed, it passes `check`; switched off, as written, it does too, and is not added twice.
#[test]
fn what_comes_out_passes_check_and_is_added_once() {
    for case in cases() {
        let config = case.read("config");
        let (printed, _) = case.import(&case.read("input"), &config, false).unwrap();
        let all_on = printed.replace("\toption enabled '0'\n", "");
        assert!(!all_on.is_empty(), "{}", case.name);
        assert_eq!(faults(&format!("{config}{all_on}")), [""; 0], "{}", case.name);
        let (written, _) = case.import(&case.read("input"), &config, true).unwrap();
        assert_eq!(
            written.matches("\nconfig ").count(),
            written.matches("\toption enabled '0'\n").count(),
            "{}",
            case.name
        );
        assert_eq!(written.replace("\toption enabled '0'\n", ""), all_on, "{}", case.name);
        let (again, notes) = case.import(&case.read("input"), &format!("{config}{written}"), true).unwrap();
        assert_eq!(again, "", "{}: {notes:?}", case.name);
    }
}

/// Cut off anywhere, it is refused with a line or comes over in part, and never as something faulty.
#[test]
fn a_torn_file_gives_nothing_faulty() {
    for case in cases() {
        let (text, config) = (case.read("input"), case.read("config"));
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(23) {
            match case.import(&text[..end], &config, false) {
                Ok((sections, _)) if sections.is_empty() => {}
                Ok((sections, _)) => {
                    assert_eq!(faults(&format!("{config}{sections}")), [""; 0], "{}: {end}", case.name)
                }
                Err(why) => assert!(why.starts_with("line "), "{}: {end}: {why}", case.name),
            }
        }
    }
}

/// Every word of the samples that is a secret stands in the sections at the most.
#[test]
fn no_note_has_a_secret() {
    for case in cases() {
        let (_, notes) = case.import(&case.read("input"), &case.read("config"), false).unwrap();
        for secret in [
            "secret",
            "token-",
            "-token",
            "password-",
            "-password",
            "-global",
            "-key",
            "pass word",
            "any thing",
            "$2a$",
        ] {
            for note in notes.iter().filter(|note| note.text.contains(secret)) {
                let told = [
                    "tsig_secret",
                    "asked for a password",
                    "the account's password",
                    "camera's password",
                    "with the password",
                ];
                assert!(
                    told.iter().any(|told| note.text.contains(told)),
                    "{}: {secret}: {}",
                    case.name,
                    note.text
                );
            }
        }
    }
}
