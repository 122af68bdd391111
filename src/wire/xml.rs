//! XML (1.0, fifth edition), as far as answers of services have it: elements become objects in the order of the text
//! (one that is there several times is several entries), text becomes strings, attributes and comments are dropped.

use super::json::{Json, MAX_DEPTH, MAX_TEXT, MAX_VALUES};

/// Reads a text that is exactly one element; `None` for anything else. An element without content is an object
/// without entries.
pub fn parse(text: &str) -> Option<Json> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut reader = Reader { rest: text, left: MAX_VALUES };
    reader.skip()?;
    let (name, value) = reader.element(MAX_DEPTH)?;
    reader.skip()?;
    reader.rest.is_empty().then(|| Json::Object(vec![(name.into(), value)]))
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
    /// How many elements may still come.
    left: usize,
}

impl<'a> Reader<'a> {
    /// Moves behind a text that must stand here.
    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// What stands before a text that must come, and moves behind it.
    fn until(&mut self, text: &str) -> Option<&'a str> {
        let (before, after) = self.rest.split_once(text)?;
        self.rest = after;
        Some(before)
    }

    /// Moves behind blanks, comments, declarations and instructions.
    fn skip(&mut self) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("<!--") {
                self.until("-->")?;
            } else if self.rest.starts_with("<?") {
                self.until("?>")?;
            } else if self.rest.starts_with("<!DOCTYPE") {
                // A definition within it could make entities that grow without end.
                let inside = self.until(">")?;
                if inside.contains('[') {
                    return None;
                }
            } else {
                return Some(());
            }
        }
    }

    /// An element: its name without the prefix of a namespace, and what is in it.
    fn element(&mut self, depth: usize) -> Option<(&'a str, Json)> {
        let depth = depth.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        self.take("<")?;
        let head = self.until(">")?;
        let (head, empty) = head.strip_suffix('/').map_or((head, false), |head| (head, true));
        let name = head.split_whitespace().next()?;
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        let local = name.rsplit(':').next()?;
        if empty {
            return Some((local, Json::Object(Vec::new())));
        }
        let (mut entries, mut text) = (Vec::new(), String::new());
        loop {
            let at = self.rest.find('<')?;
            let (before, rest) = self.rest.split_at(at);
            unescape(before, &mut text)?;
            self.rest = rest;
            if self.take("</").is_some() {
                if self.until(">")?.trim_end() != name {
                    return None;
                }
                break;
            } else if self.take("<![CDATA[").is_some() {
                text.push_str(self.until("]]>")?);
            } else if self.rest.starts_with("<!--") || self.rest.starts_with("<?") {
                self.skip()?;
            } else {
                let (name, value) = self.element(depth)?;
                entries.push((name.into(), value));
            }
        }
        Some(match text.trim() {
            text if entries.is_empty() && !text.is_empty() => (local, Json::Str(text.into())),
            _ => (local, Json::Object(entries)),
        })
    }
}

/// Appends text with its character references (section 4.1) resolved.
fn unescape(text: &str, out: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after.split_once(';')?;
        rest = after;
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
    }
    out.push_str(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_become_a_tree() {
        let text = "<?xml version=\"1.0\"?>\n<!-- a --><R xmlns=\"x\"><Z><N>a&amp;b &#x41;&#66;</N><E/></Z><Z><N><![CDATA[<c>]]></N></Z><V> </V></R>\n";
        assert_eq!(
            parse(text).unwrap().to_string(),
            r#"{"R":{"Z":{"N":"a&b AB","E":{}},"Z":{"N":"<c>"},"V":{}}}"#
        );
        assert_eq!(parse("<s:a xmlns:s='y'>1</s:a>").unwrap().to_string(), r#"{"a":"1"}"#);
    }

    #[test]
    fn what_is_not_one_element_is_refused() {
        let doctype = "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
        for bad in [
            "",
            "a",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&x;</a>",
            "<a>&#xD800;</a>",
            "<1/>",
            "<a",
            "</a>",
            "<a><!b",
            "<a><!DOCTYPE b></a>",
            doctype,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"<a>".repeat(100_000)), None);
        let flat = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n));
        assert!(parse(&flat(MAX_VALUES - 1)).is_some());
        assert_eq!(parse(&flat(MAX_VALUES)), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[<>/a-c!?&;#x\\[\\]\"= -]{0,60}") {
            let _ = parse(&text);
        }
    }
}
