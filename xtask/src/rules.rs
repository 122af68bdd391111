//! The house rules that a compiler does not check: pure modules stay pure, and each outside crate is
//! named in few files.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules without sockets, files, clocks or environment, by path under `src`.
const PURE: &[&str] = &[
    "plan/",
    "provider/",
    "sign/",
    "notify/",
    "wire/",
    "config/",
    "import/",
    "doctor/",
    "model",
    "status",
    "metrics",
    "mapping/conflict",
    "mapping/door",
    "mapping/droppers",
    "mapping/firewall",
    "mapping/hits",
    "mapping/hosts",
    "mapping/nft/table",
    "mapping/redirect",
    "mapping/rule",
    "camera/judge",
    "camera/evidence",
    "camera/heard",
    "camera/oui",
    "camera/section",
    "camera/vendor",
];

/// What a pure module never names.
const IMPURE: [&str; 13] = [
    "smol",
    "async_io",
    "minreq",
    "rustix",
    "socket2",
    "getrandom",
    "std::fs",
    "std::process",
    "std::env",
    "TcpStream",
    "UdpSocket",
    "SystemTime::now",
    "Instant::now",
];

/// Outside crates, and in how many files each may be named.
const CRATES: [(&str, usize); 13] = [
    ("minreq", 1),
    ("simple_logger", 1),
    ("rustls", 2),
    ("nanoserde", 2),
    ("getrandom", 4),
    ("hmac", 2),
    ("sha2", 4),
    ("ring", 3),
    ("signal_hook", 2),
    ("socket2", 3),
    ("libc", 2),
    ("lexopt", 2),
    ("base64ct", 4),
];

/// Checks every file under `src`; the value is one line for each rule broken.
pub fn check(src: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(src, &mut files)?;
    files.sort();
    let mut broken = Vec::new();
    let mut named = vec![Vec::new(); CRATES.len()];
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let short = path.strip_prefix(src).unwrap_or(path).display().to_string();
        if PURE.iter().any(|prefix| short.starts_with(prefix)) {
            broken.extend(impurities(&text).into_iter().map(|what| format!("src/{short}:{what}")));
        }
        for (files, (name, _)) in named.iter_mut().zip(CRATES) {
            if code(&text).any(|(_, line)| uses(line, name)) {
                files.push(short.clone());
            }
        }
    }
    for (files, (name, limit)) in named.iter().zip(CRATES) {
        if files.len() > limit {
            broken.push(format!("{name} may be named in {limit} file(s), not in {}", files.join(", ")));
        }
    }
    Ok(broken)
}

/// All files of the program. A module's tests may stand in a file of their own, `tests.rs`.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn impurities(text: &str) -> Vec<String> {
    let found = |(number, line): (usize, &str)| {
        let what = IMPURE.iter().find(|what| names(line, what))?;
        Some(format!("{number}: a pure module names {what}"))
    };
    code(text).filter_map(found).collect()
}

/// The numbered lines of a file that are code of the program: no comments, no line that is there for tests alone
/// (`mod tests;`), and nothing from the test module on, which by custom is the last thing in a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = (1..).zip(text.lines());
    std::iter::from_fn(move || loop {
        let (at, line) = lines.next()?;
        if line != "#[cfg(test)]" {
            return Some((at, line.split("//").next().unwrap_or_default()));
        }
        if !lines.next()?.1.ends_with(';') {
            return None;
        }
    })
}

/// Whether a line uses this crate. Its name may stand in a text as well: `hmac-sha256`.
fn uses(line: &str, name: &str) -> bool {
    names(line, name) && line.contains(&format!("{name}::"))
}

/// Whether a line holds this path as whole words.
fn names(line: &str, what: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(what).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + what.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_only() {
        assert!(names("use smol::Timer;", "smol") && names("x = Instant::now();", "Instant::now"));
        assert!(!names("smolder()", "smol") && !names("let now = std::fsx;", "std::fs"));
    }

    #[test]
    fn a_crates_name_in_a_text_is_no_use_of_it() {
        assert!(uses("use hmac::{Hmac, Mac};", "hmac") && uses("ring::hmac::sign(&key, text)", "hmac"));
        assert!(!uses("\"hmac-sha256 is taken\"", "hmac") && !uses("use xhmac::sign;", "hmac"));
    }

    /// The tree as it is.
    #[test]
    fn our_own_tree_keeps_the_rules() {
        assert_eq!(check(&crate::lab::tools::workspace().join("src")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn comments_and_tests_are_free() {
        let text = "// smol\nfn f() {} // std::fs\n/// rustix\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert!(impurities(text).is_empty());
        assert_eq!(impurities("\nuse std::fs;\n"), ["2: a pure module names std::fs"]);
        let head = "#[cfg(test)]\nmod tests;\nuse std::fs;\n#[cfg(test)]\nmod more {\n    use smol;\n}\n";
        assert_eq!(impurities(head), ["3: a pure module names std::fs"]);
    }

    #[test]
    fn a_tree_that_breaks_each_rule() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plan")).unwrap();
        fs::write(dir.path().join("plan/mod.rs"), "use std::env;\n").unwrap();
        fs::write(dir.path().join("a.rs"), "use minreq::get;\n").unwrap();
        fs::write(dir.path().join("b.rs"), "minreq::get(x)\n").unwrap();
        let broken = check(dir.path()).unwrap();
        assert_eq!(
            broken,
            [
                "src/plan/mod.rs:1: a pure module names std::env",
                "minreq may be named in 1 file(s), not in a.rs, b.rs"
            ]
        );
    }
}
