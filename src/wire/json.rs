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
pub fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut items = items.into_iter();
    joined(&mut || items.next())
}

fn joined(next: &mut dyn FnMut() -> Option<String>) -> String {
    let mut out = String::from("[");
    while let Some(item) = next() {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

/// Writes an object, key by key: `Object::new().str("type", "A").num("ttl", 1).end()`.
#[derive(Clone, Debug)]
#[allow(clippy::box_collection, reason = "it goes from call to call, and so it fits into a register")]
pub struct Object {
    out: Box<String>,
}

impl Object {
    /// An object without entries.
    #[allow(clippy::new_without_default, reason = "an unfinished text is no useful default")]
    pub fn new() -> Object {
        Object { out: Box::new(String::from("{")) }
    }

    /// Adds a string.
    pub fn str(self, key: &str, value: &str) -> Object {
        self.raw(key, &quoted(value))
    }

    /// Adds a string, if there is one.
    pub fn maybe(self, key: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.str(key, value),
            None => self,
        }
    }

    /// Adds what is shown of a value as a string.
    pub fn shown(self, key: &str, value: &dyn fmt::Display) -> Object {
        self.str(key, &value.to_string())
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
        *self.out
    }
}

#[cfg(test)]
mod tests;
