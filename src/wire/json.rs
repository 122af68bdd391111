//! JSON (RFC 8259): one small tree with path look-ups, and a writer.
//! Anything that is not exactly one value within the caps is refused; what is missing reads as null.

mod read;

use nanoserde::SerJson;
use std::fmt;

/// The most bytes that are read. Answers over HTTP are cut shorter before they come here; what the agent itself and
/// ubus say may be longer than those.
pub const MAX_TEXT: usize = 1 << 20;
/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 32;
/// The most values that are read, all levels together.
pub const MAX_VALUES: usize = 1 << 16;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`, and whatever is not there.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent.
    Int(i64),
    /// Any other number, as it is written.
    Number(Box<str>),
    /// A string.
    Str(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order of the text.
    Object(Vec<(Box<str>, Json)>),
}

/// What every look-up that finds nothing answers.
static NOTHING: Json = Json::Null;

/// Where a text stops being JSON, or within the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// 1-based line.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON from line {}, column {}", self.line, self.column)
    }
}

impl Json {
    /// Reads a text that is exactly one value.
    ///
    /// # Errors
    /// The place where it is not, or where it exceeds a cap.
    pub fn parse(text: &str) -> Result<Json, JsonError> {
        if text.len() > MAX_TEXT {
            return Err(JsonError { line: 1, column: 1 });
        }
        read::read(text).map_err(|at| {
            let before = text.as_bytes().get(..at).unwrap_or_default();
            let in_line = before.iter().rev().take_while(|byte| **byte != b'\n').count();
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            JsonError { line: lines + 1, column: in_line + 1 }
        })
    }

    /// An object's value by key (the last, if it is there twice); null if there is none.
    pub fn get(&self, key: &str) -> &Json {
        match self {
            Json::Object(entries) => {
                entries.iter().rev().find(|(name, _)| **name == *key).map_or(&NOTHING, |(_, value)| value)
            }
            _ => &NOTHING,
        }
    }

    /// An array's value by index; null if there is none.
    pub fn at(&self, index: usize) -> &Json {
        self.items().get(index).unwrap_or(&NOTHING)
    }

    /// An array's values; none for anything else.
    pub fn items(&self) -> &[Json] {
        self.array().unwrap_or_default()
    }

    /// An array's values, if it is an array.
    pub fn array(&self) -> Option<&[Json]> {
        match self {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    /// An object's entries; none for anything else.
    pub fn entries(&self) -> &[(Box<str>, Json)] {
        match self {
            Json::Object(entries) => entries,
            _ => &[],
        }
    }

    /// A string.
    pub fn str(&self) -> Option<&str> {
        match self {
            Json::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    pub fn num(&self) -> Option<i64> {
        match self {
            Json::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// True for null and for what is not there.
    pub fn is_null(&self) -> bool {
        *self == Json::Null
    }
}

impl fmt::Display for Json {
    /// The value as JSON text, without spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Int(number) => write!(f, "{number}"),
            Json::Number(text) => f.write_str(text),
            Json::Str(text) => f.write_str(&quoted(text)),
            Json::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Json::Object(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Appends a text as it must stand between the quotes of a JSON string.
pub fn escape(text: &str, out: &mut String) {
    let quoted = quoted(text);
    out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
}

/// A text as a JSON string with its quotes.
pub fn quoted(text: &str) -> String {
    text.serialize_json()
}

/// Joins texts that are JSON already into an array.
pub fn array<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// Writes an object, key by key: `Object::new().str("type", "A").num("ttl", 1).end()`.
#[derive(Clone, Debug)]
pub struct Object {
    out: String,
}

impl Object {
    /// An object without entries.
    #[allow(clippy::new_without_default, reason = "an unfinished text is no useful default")]
    pub fn new() -> Object {
        Object { out: String::from("{") }
    }

    /// Adds a string.
    pub fn str(self, key: &str, value: &str) -> Object {
        self.raw(key, &quoted(value))
    }

    /// Adds a whole number.
    pub fn num(self, key: &str, value: i64) -> Object {
        self.raw(key, &value.to_string())
    }

    /// Adds a truth value.
    pub fn bool(self, key: &str, value: bool) -> Object {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// Adds a value that is JSON already.
    pub fn raw(mut self, key: &str, value: &str) -> Object {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push_str(&quoted(key));
        self.out.push(':');
        self.out.push_str(value);
        self
    }

    /// The object's text.
    pub fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

#[cfg(test)]
mod tests {
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
            .raw("l", &array(["1", "\"z\""]))
            .raw("e", &array::<&str>([]))
            .end();
        assert_eq!(text, r#"{"a\"b":"x\n\u0001\\","n":-5,"t":true,"l":[1,"z"],"e":[]}"#);
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
}
