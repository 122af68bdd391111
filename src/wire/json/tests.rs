//! What is JSON and what is not, the caps, and the writer against the reader.

use super::*;
use proptest::prelude::*;

#[test]
fn paths_lead_to_values_and_missing_ones_to_null() {
    let json =
        Json::parse(r#" {"result":[{"id":"a","ttl":60,"proxied":false}],"n":-3,"f":1.5e-3} "#).unwrap();
    let first = json.get("result").at(0);
    assert_eq!(first.get("id").str(), Some("a"));
    assert_eq!(first.get("ttl").num(), Some(60));
    assert_eq!(first.get("proxied").bool(), Some(false));
    assert_eq!(json.get("n").num(), Some(-3));
    assert_eq!(json.get("f"), &Json::Number("1.5e-3".into()));
    assert!(json.get("result").at(1).get("id").get("x").at(9).is_null());
    assert_eq!(json.get("n").str(), None);
    assert_eq!(json.get("result").items().len(), 1);
    assert_eq!(json.get("n").array(), None);
}

#[test]
fn strings_are_unescaped() {
    let json = Json::parse(r#""a\"\\\/\n\u00e9\ud83d\ude00""#).unwrap();
    assert_eq!(json.str(), Some("a\"\\/\né😀"));
    for half in
        [r#""\ud83d""#, r#""\ud83d\n""#, r#""\ud83d\u0041""#, r#""\ude00""#, r#""\u+123""#, r#""\u12""#]
    {
        assert!(Json::parse(half).is_err(), "{half}");
    }
}

#[test]
fn a_key_given_twice_counts_at_its_last_place() {
    assert_eq!(Json::parse(r#"{"a":1,"a":2}"#).unwrap().get("a").num(), Some(2));
}

#[test]
fn what_is_not_one_value_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "1 2",
        "tru",
        "nul",
        "\"a",
        "{}x",
        "[]]",
        "// c\n1",
        "/**/1",
        "1//",
        "{\"a\":}",
        "\u{0}",
        "1\u{0}2",
        "-",
        "+",
        ".5",
        "'a'",
        "01",
        "-01",
        "1.",
        "1.e1",
        "1e",
        "nullx",
        "[1}",
        "\"\u{0}\"",
        "\"a\tb\"",
        "\"a\n\"",
        "\"\u{1f}\"",
        "{\"a\r\":1}",
        "<html>",
    ] {
        assert!(Json::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn other_numbers_are_kept_as_they_are_written() {
    assert_eq!(Json::parse("9223372036854775807").unwrap().num(), Some(i64::MAX));
    assert_eq!(Json::parse("-9223372036854775808").unwrap().num(), Some(i64::MIN));
    for text in ["9223372036854775808", "0.5", "-0.5e+3", "1E9", "1e-300", "99999999999999999999"] {
        let json = Json::parse(text).unwrap();
        assert_eq!((json.num(), json.to_string().as_str()), (None, text));
    }
}

#[test]
fn depth_and_size_are_capped() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(Json::parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(Json::parse(&"[".repeat(MAX_TEXT)).is_err());
    assert!(Json::parse(&"{\"a\":".repeat(100_000)).is_err());
    assert!(Json::parse(&"/**/".repeat(100_000)).is_err());
    let flat = |n: usize| format!("[{}]", vec!["0"; n].join(","));
    assert!(Json::parse(&flat(MAX_VALUES - 1)).is_ok());
    assert!(Json::parse(&flat(MAX_VALUES)).is_err());
    assert!(Json::parse(&format!("\"{}\"", "a".repeat(MAX_TEXT))).is_err());
}

#[test]
fn the_place_of_the_error_is_told() {
    let error = Json::parse("{\n  \"a\": x }").unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.to_string().starts_with("not JSON from line 2"));
}

#[test]
fn every_truncation_is_refused() {
    let whole = r#"{"success":true,"result":[{"id":"a\u00e9","ttl":60,"f":-1.5e3}],"n":null}"#;
    assert!(Json::parse(whole).is_ok());
    for end in 0..whole.len() {
        assert!(Json::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn the_writer_makes_what_the_reader_reads() {
    let text = Object::new()
        .str("a\"b", "x\n\u{1}\\")
        .num("n", -5)
        .bool("t", true)
        .raw("l", &array(["1".into(), "\"z\"".into()]))
        .raw("e", &array([]))
        .maybe("m", Some("y"))
        .maybe("no", None)
        .end();
    assert_eq!(text, r#"{"a\"b":"x\n\u0001\\","n":-5,"t":true,"l":[1,"z"],"e":[],"m":"y"}"#);
    let json = Json::parse(&text).unwrap();
    assert_eq!(json.get("a\"b").str(), Some("x\n\u{1}\\"));
    assert_eq!(json.to_string(), text);
    assert_eq!(Object::new().end(), "{}");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*|[\\[\\]{}\",:0-9a-z\\\\ /*]*") {
        let _ = Json::parse(&text);
    }

    #[test]
    fn any_string_survives_the_round(text in "\\PC*|[\\x01-\\x7f]*") {
        let json = Json::parse(&quoted(&text)).unwrap();
        prop_assert_eq!(json.str(), Some(text.as_str()));
    }
}
