//! The small parsers, and what must hold for any text.

use super::*;
use crate::config::load::{load, Sources};
use crate::provider::PROVIDERS;
use proptest::prelude::*;

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

fn imported(source: Source, text: &str) -> Result<(String, Vec<Note>), String> {
    import(source, text, &Around::default(), false, &judge)
}

/// Whatever came out is faultless.
fn checked(source: Source, text: &str) {
    let Ok((uci, _)) = imported(source, text) else { return };
    let faults: Vec<String> = match uci.is_empty() {
        true => Vec::new(),
        false => judge(&uci)
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
            .map(ToString::to_string)
            .collect(),
    };
    assert!(faults.is_empty(), "{faults:?} in\n{uci}");
}

#[test]
fn yaml_as_ddns_go_writes_it() {
    let text = "a:\n    - b: 1\n      c:\n        - x y # no\n        - \"q\\\"\\n\"\n    - b: 'it''s'\nd:\n- e\n- f\ng: |-\n    one\n      two\n\n    three\nh: []\n";
    let leaves: Vec<String> = yaml::parse(text)
        .unwrap()
        .iter()
        .map(|leaf| format!("{} {}={}", leaf.line, leaf.path, leaf.value))
        .collect();
    assert_eq!(
        leaves,
        [
            "2 a.0.b=1",
            "4 a.0.c.0=x y",
            "5 a.0.c.1=q\"\n",
            "6 a.1.b=it's",
            "8 d.0=e",
            "9 d.1=f",
            "10 g=one\n  two\n\nthree"
        ]
    );
}

#[test]
fn other_yaml_is_refused_with_its_line() {
    for (text, line) in [
        ("a: 1\nb: [1, 2]\n", 2),
        ("a: &x 1\n", 1),
        ("a: *x\n", 1),
        ("a: !!str 1\n", 1),
        ("a: >\n  b\n", 1),
        ("a:\n\tb: 1\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: \"x\n", 1),
        ("a: 'x\n", 1),
        ("word\n", 1),
        ("- - a\n", 1),
        ("a: 1\n- b\n", 2),
    ] {
        let why = yaml::parse(text).unwrap_err();
        assert!(why.starts_with(&format!("line {line}: ")), "{text:?}: {why}");
    }
}

#[test]
fn libconfuse_as_inadyn_has_it() {
    let text = "period = 300 # x\n/* a\n b */ provider default@no-ip.com:2 {\n  username = \"a\\\"b\\\\c\"\n  password = 'x\\'#y'\n  \
                hostname = { one.example.com, \"two.example.com\" } // end\n}\niface = eth0\ninclude(\"/etc/more.conf\")\n";
    let blocks = confuse::parse(text).unwrap();
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].one("period"), blocks[0].one("iface")), ("300", "eth0"));
    assert_eq!((blocks[1].line, blocks[1].title.as_str()), (3, "default@no-ip.com:2"));
    assert_eq!((blocks[1].one("username"), blocks[1].one("password")), ("a\"b\\c", "x'#y"));
    assert_eq!(blocks[1].all("hostname"), ["one.example.com", "two.example.com"]);
    for (text, line) in [
        ("provider x {\n", 2),
        ("a = 'b\n\n", 1),
        ("a = \n{ b\n", 3),
        ("}\n", 1),
        ("a = ${HOME}\n", 1),
        ("a b c\n", 1),
    ] {
        let why = confuse::parse(text).unwrap_err();
        assert!(why.starts_with(&format!("line {line}: ")), "{text:?}: {why}");
    }
}

#[test]
fn a_secret_is_in_no_note() {
    let text = "config service 'a'\n\toption service_name 'hush-hush-1'\n\toption password 'hush-hush-1'\n\toption domain 'a.example.com'\n";
    let (uci, notes) = imported(Source::Ddns, text).unwrap();
    assert!(uci.is_empty());
    assert!(notes.iter().any(|note| note.text.contains("***")));
    assert!(!notes.iter().any(|note| note.text.contains("hush")), "{notes:?}");
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let text = "#".repeat(FILE_CAP + 1);
    assert!(imported(Source::Inadyn, &text).unwrap_err().contains("256 KiB"));
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~\n\t\u{e4}\u{1b}]{0,200}") {
        for (_, source, _) in SOURCES {
            checked(source, &text);
        }
    }

    #[test]
    fn values_come_over_as_they_are(password in "[!-&(-~][ -~]{4,20}", user in "[a-z]{1,9}") {
        let quoted = password.replace('\'', "'\\''");
        let text = format!("config service 'a'\n\toption enabled '1'\n\toption service_name 'no-ip.com'\n\toption username \
            '{user}'\n\toption password '{quoted}'\n\toption domain 'cam.example.com'\n");
        let (uci, notes) = imported(Source::Ddns, &text).unwrap();
        prop_assert_eq!(notes, []);
        let loaded = judge(&uci);
        let options = &loaded.config.records[0].options;
        prop_assert_eq!(options.secrets.get("password").map(Secret::reveal), Some(password.as_str()));
        prop_assert_eq!(options.text.get("username"), Some(&user));
    }
}
