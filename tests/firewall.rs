//! `/etc/config/firewall` edited in place: real-looking files in `tests/firewall/`, and random ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::{uci, Proto};
use porchlight::mapping::firewall::{self, edit};
use porchlight::mapping::redirect::Redirect;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn redirect(id: &str, port: u16, camera: &str) -> Redirect {
    Redirect {
        id: id.into(),
        mapping: id.into(),
        src: "wan".into(),
        dest: "lan".into(),
        proto: Proto::Tcp,
        src_ip: None,
        src_dport: (port, port),
        dest_ip: camera.parse().unwrap(),
        dest_port: (554, 554),
        reflection: true,
    }
}

fn two() -> Vec<Redirect> {
    let limited = Redirect {
        src_ip: porchlight::config::Network::parse("198.51.100.0/24"),
        ..redirect("garden", 8555, "192.168.1.21")
    };
    vec![redirect("front_rtsp", 8554, "192.168.1.20"), limited]
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/firewall");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    files.retain(|path| !name(path).starts_with('.'));
    assert!(files.len() > 12, "the fixtures are gone");
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn edited(text: &[u8], redirects: &[Redirect]) -> Vec<u8> {
    edit(text, redirects).unwrap().unwrap_or_else(|| text.to_vec())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What was put between the beginning and the end of the old text, if that is all that differs.
fn inserted(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let more = new.len().checked_sub(old.len())?;
    let at = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    (new[at + more..] == old[at..]).then(|| new[at..at + more].to_vec())
}

const BLOCKS: &str = "
config redirect 'porchlight_front_rtsp'
\toption name 'Porchlight: front_rtsp'
\toption family 'ipv4'
\toption src 'wan'
\toption dest 'lan'
\toption proto 'tcp'
\toption src_dport '8554'
\toption dest_ip '192.168.1.20'
\toption dest_port '554'
\toption reflection '1'
\toption target 'DNAT'
\toption enabled '1'

config redirect 'porchlight_garden'
\toption name 'Porchlight: garden'
\toption family 'ipv4'
\toption src 'wan'
\toption dest 'lan'
\toption proto 'tcp'
\toption src_ip '198.51.100.0/24'
\toption src_dport '8555'
\toption dest_ip '192.168.1.21'
\toption dest_port '554'
\toption reflection '1'
\toption target 'DNAT'
\toption enabled '1'
";

#[test]
fn put_in_and_taken_out_of_every_file() {
    for (name, old) in fixtures().iter().filter(|(name, _)| name != "ours-left") {
        let new = edited(old, &two());
        let dos = name.starts_with("crlf");
        let blocks = if dos { BLOCKS.replace('\n', "\r\n") } else { BLOCKS.into() };
        let put = inserted(old, &new).unwrap_or_else(|| panic!("{name}: more differs\n{}", text(&new)));
        let (mut put, mut blocks) = (text(&put), blocks);
        if name.contains("open") {
            // Put behind a last line without an end, they end without one too.
            let eol = if dos { "\r\n" } else { "\n" };
            blocks = format!("{eol}{}", blocks.strip_suffix(eol).unwrap());
        } else if put.starts_with("config") {
            // The empty line at the end of a file is now behind ours: which of the two is new is a matter of taste.
            put = format!("\n{}", put.strip_suffix('\n').unwrap());
        }
        assert_eq!(put, blocks, "{name}");
        assert_eq!(edit(&new, &two()), Ok(None), "{name}: twice is once");
        assert_eq!(text(&edited(&new, &[])), text(old), "{name}: taken out");
        assert_eq!(edited(&new, &[]), *old, "{name}: taken out");
        let (one, other) = (edited(&new, &two()[..1]), edited(&new, &two()[1..]));
        assert_eq!(edited(&one, &[]), *old, "{name}: one by one");
        assert_eq!(edited(&other, &[]), *old, "{name}: one by one");
        assert_eq!(edited(&one, &two()), new, "{name}: the second again");
    }
}

#[test]
fn a_camera_that_moves_changes_one_line() {
    for (name, old) in fixtures().iter().filter(|(name, _)| name != "ours-left") {
        let before = edited(old, &two());
        let mut moved = two();
        moved[0].dest_ip = "192.168.1.121".parse().unwrap();
        let after = edited(&before, &moved);
        let expected = text(&before).replace("dest_ip '192.168.1.20'", "dest_ip '192.168.1.121'");
        assert_eq!(text(&after), expected, "{name}");
    }
}

#[test]
fn what_others_made_of_ours_is_set_right_and_the_rest_is_kept() {
    let old = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/firewall/ours-left")).unwrap();
    let new = text(&edited(&old, &[redirect("front_rtsp", 8554, "192.168.1.20"), two()[1].clone()]));
    let expected = "
config defaults
\toption input 'REJECT'

config redirect 'porchlight_front_rtsp'
\toption name 'Porchlight: front_rtsp'
\toption family 'ipv4'
\toption src 'wan'
\toption dest 'lan'
\toption proto 'tcp'
\toption src_dport '8554'
\toption dest_ip '192.168.1.20'
\toption dest_port '554'
\toption reflection '1'
\toption target 'DNAT'
\toption enabled '1'
\t# a note that somebody left here

config zone
\toption name 'wan'
\toption input 'REJECT'
\toption masq '1'

# about the LAN
config zone
\toption name 'lan'

config rule 'porchlight_garden'
\toption name 'not ours: a rule'
\toption src 'wan'
\toption target 'DROP'


config redirect 'porchlight_garden__2'
\toption name 'Porchlight: garden'
";
    assert!(new.starts_with(expected), "{new}");
    assert!(new.ends_with("\toption enabled '1'\n\n"), "{new}");
    let none = text(&edited(&old, &[]));
    assert!(!none.contains("redirect") && none.contains("a note") && none.contains("not ours"), "{none}");
}

/// A way in by IPv6 that changes between a redirect and a rule keeps its place.
#[test]
fn a_rule_is_written_as_one_and_becomes_a_redirect() {
    let six = |port| Redirect { reflection: false, ..redirect("front_rtsp", port, "2001:db8:1::20") };
    for (name, old) in fixtures().iter().filter(|(name, _)| name != "ours-left") {
        let ruled = edited(old, &[six(554)]);
        let written = firewall::sections(&ruled).unwrap();
        let ours: Vec<_> = written.iter().filter(|section| firewall::is_ours(section)).collect();
        let [one] = ours.as_slice() else { panic!("{name}: {ours:?}") };
        let options: Vec<_> =
            one.options.iter().map(|o| format!("{}={}", o.name, o.values.join(" "))).collect();
        assert_eq!(
            (one.kind.as_str(), one.name.as_deref(), options.join(" ").as_str()),
            (
                "rule",
                Some("porchlight_front_rtsp"),
                "name=Porchlight: front_rtsp family=ipv6 src=wan dest=lan proto=tcp dest_ip=2001:db8:1::20 dest_port=554 \
                 target=ACCEPT enabled=1"
            )
        );
        assert_eq!(edit(&ruled, &[six(554)]).unwrap(), None, "{name}");
        assert_eq!(text(&edited(&ruled, &[six(8554)])), text(&edited(old, &[six(8554)])), "{name}");
        assert_eq!(text(&edited(&ruled, &[])), text(old), "{name}");
    }
}

#[test]
fn what_has_one_of_these_labels_stays() {
    let label = |mapping| porchlight::mapping::redirect::label(mapping);
    for (name, old) in fixtures().iter().filter(|(name, _)| name != "ours-left") {
        let both = edited(old, &two());
        let beside = |labels: &[String], list: &[Redirect]| {
            firewall::edit_beside(&both, list, labels).unwrap().unwrap_or_else(|| both.clone())
        };
        assert_eq!(beside(&[label("front_rtsp"), label("garden")], &[]), both, "{name}");
        assert_eq!(beside(&[label("front_rtsp")], &two()[1..]), both, "{name}");
        assert_eq!(text(&beside(&[label("front_rtsp")], &[])), text(&edited(old, &two()[..1])), "{name}");
        assert_eq!(beside(&[label("other")], &[]), *old, "{name}");
        let mut moved = two()[1].clone();
        moved.dest_ip = "192.168.1.99".parse().unwrap();
        let after = text(&beside(&[label("front_rtsp"), label("garden")], &[moved]));
        assert_eq!(after, text(&both).replace("192.168.1.21", "192.168.1.99"), "{name}");
    }
}

#[test]
fn another_form_that_says_the_same_is_left_alone() {
    let [one, _] = &two()[..] else { panic!() };
    let plain = text(&edited(b"", std::slice::from_ref(one)));
    let odd = plain
        .replace('\'', "")
        .replace("option", "  o")
        .replace("Porchlight: front_rtsp", "Porchlight:\\ front_rtsp");
    assert!(odd.contains("  o dest_ip 192.168.1.20"), "{odd}");
    assert_eq!(edit(odd.as_bytes(), std::slice::from_ref(one)), Ok(None), "{odd}");
    let lines: Vec<_> = plain.lines().skip(2).collect();
    let turned: Vec<_> = lines.iter().rev().copied().collect();
    let turned = format!("config redirect 'porchlight_front_rtsp'\n{}\n", turned.join("\n"));
    assert_eq!(edit(turned.as_bytes(), std::slice::from_ref(one)), Ok(None), "{turned}");
    // A list, a second value or one too many is another thing.
    for (from, to) in [
        ("option dest_ip", "list dest_ip"),
        ("\toption enabled '1'\n", "\toption enabled '0'\n"),
        ("\toption enabled '1'\n", "\toption enabled '1'\n\toption mark '1'\n"),
        ("\toption enabled '1'\n", ""),
    ] {
        let other = plain.replace(from, to);
        assert_eq!(text(&edited(other.as_bytes(), std::slice::from_ref(one))), plain, "{other}");
    }
}

#[test]
fn values_cannot_break_out() {
    let zone = "it's\n\toption src 'lan' \\ \" # é";
    let odd = Redirect { src: zone.into(), ..redirect("odd", 1, "192.168.1.9") };
    let new = edited(b"config a\n", std::slice::from_ref(&odd));
    let parsed = uci::parse(&text(&new), "");
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.sections[1].option("src").unwrap().values, [zone]);
    assert_eq!(edit(&new, &[odd]), Ok(None));
    assert_eq!(edited(&new, &[]), b"config a\n");
}

#[test]
fn what_uci_refuses_is_not_touched() {
    let why = |text: &[u8]| edit(text, &two()).unwrap_err();
    assert!(
        why(b"config a\n\toption b 'c\n").contains("line 2: the quote"),
        "{}",
        why(b"config a\n\toption b 'c\n")
    );
    assert!(why(b"option a b\n").contains("line 1: option: there is no section"));
    assert!(why(b"config a\nrubbish\n").contains("line 2: this is no statement"));
    assert!(why(b"config a\n\0\n").contains("not a text file"));
    assert!(why("#".repeat(firewall::FILE_CAP + 1).as_bytes()).contains("longer than 256 KiB"));
    // It fits, but not with ours.
    assert!(why("#".repeat(firewall::FILE_CAP - 9).as_bytes()).contains("too long"));
    let shared = b"config rule 'a'; option b c ; config redirect 'porchlight_x' ; option y z\n";
    assert!(why(shared).contains("'porchlight_x' (line 1) shares a line"), "{}", why(shared));
    // The next line would become part of the value.
    for joined in [&b"config rule 'a'\n\toption b c\\"[..], b"config rule 'a'\n\toption b c\\\r\n"] {
        assert!(why(joined).contains("backslash"));
    }
    assert!(edit(b"config rule\n# c\\", &two()).is_ok());
}

/// Pieces of which firewalls are made, well or badly.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "config",
        "redirect",
        "rule",
        "option",
        "list",
        "src",
        "'wan'",
        "\"a b\"",
        "porchlight_x",
        "'porchlight_front_rtsp'",
        " ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "\\",
        "\\\n",
        ";",
        " ; ",
        "#",
        "'",
        "\"",
        "enabled",
        "é",
        "package",
        "config redirect 'porchlight_front_rtsp'\n",
        "config redirect 'porchlight_old'\n",
        "\toption a 'b'\n",
        "\tlist c d\n",
        "config rule\n",
        "config zone 'z'\n",
        "# note\n",
        "config rule 'porchlight_garden'\n",
        "\n\tc redirect porchlight_y ; o a b\n",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_files(old in piece()) {
        let Ok(new) = edit(old.as_bytes(), &two()) else { return Ok(()) };
        let new = new.unwrap_or_else(|| old.clone().into());
        prop_assert_eq!(edit(&new, &two()), Ok(None));
        let none = edit(&new, &[]);
        let had_ours = firewall::sections(old.as_bytes()).unwrap().iter().any(firewall::is_ours);
        if !had_ours {
            prop_assert_eq!(text(&none.unwrap().unwrap()), old);
        } else if let Ok(none) = none {
            let none = none.unwrap_or(new);
            prop_assert_eq!(edit(&none, &[]), Ok(None));
        }
    }

    #[test]
    fn random_bytes(old in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some(new)) = edit(&old, &two()) {
            prop_assert_eq!(edit(&new, &two()), Ok(None));
            prop_assert_eq!(edit(&new, &[]), Ok(Some(old)));
        }
    }
}
