//! Reads JSON (RFC 8259) into the tree. Not by nanoserde: its tokenizer makes a floating-point number of whatever
//! looks like one, and the code for that is larger than all of this; nothing here is reckoned with.

use super::{Json, MAX_DEPTH, MAX_VALUES};

/// Reads a text that is exactly one value; an error is the byte at which it is none any more.
pub(super) fn read(text: &str) -> Result<Json, usize> {
    let mut reader = Reader { text, at: 0, left: MAX_VALUES };
    let value = reader.value(MAX_DEPTH);
    reader.skip_spaces();
    value.filter(|_| reader.at == text.len()).ok_or(reader.at)
}

struct Reader<'a> {
    text: &'a str,
    /// The byte that comes next.
    at: usize,
    /// How many values may still come.
    left: usize,
}

/// Each reads on from `at`. `None`: it is not what it should be; `depth` is how many levels may still come.
impl Reader<'_> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.at += 1;
        }
    }

    /// Takes this sign, and the spaces before it, if it comes next.
    fn takes(&mut self, sign: u8) -> bool {
        self.skip_spaces();
        let found = self.next() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn must_take(&mut self, sign: u8) -> Option<()> {
        self.takes(sign).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.left = self.left.checked_sub(1)?;
        self.skip_spaces();
        match self.next()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => Some(Json::Str(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        let mut items = Vec::new();
        self.must_take(b'[')?;
        if !self.takes(b']') {
            loop {
                items.push(self.value(depth)?);
                if !self.takes(b',') {
                    break;
                }
            }
            self.must_take(b']')?;
        }
        Some(Json::Array(items))
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut entries = Vec::new();
        self.must_take(b'{')?;
        if !self.takes(b'}') {
            loop {
                let key = self.string()?;
                self.must_take(b':')?;
                entries.push((key, self.value(depth)?));
                if !self.takes(b',') {
                    break;
                }
            }
            self.must_take(b'}')?;
        }
        Some(Json::Object(entries))
    }

    fn word(&mut self) -> Option<Json> {
        let words = [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
        let rest = self.text.get(self.at..)?;
        let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
        self.at += word.len();
        Some(value)
    }

    fn number(&mut self) -> Option<Json> {
        let from = self.at;
        self.at += usize::from(self.next() == Some(b'-'));
        if self.next() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.next() {
            self.at += 1;
            self.at += usize::from(matches!(self.next(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = self.text.get(from..self.at)?;
        Some(text.parse().map_or_else(|_| Json::Number(text.into()), Json::Int))
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn string(&mut self) -> Option<Box<str>> {
        let mut string = String::new();
        self.must_take(b'"')?;
        loop {
            let from = self.at;
            // Control characters stand there escaped only (RFC 8259 section 7).
            while !matches!(self.next()?, b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            string.push_str(self.text.get(from..self.at)?);
            let end = self.next();
            self.at += 1;
            match end {
                Some(b'"') => return Some(string.into()),
                Some(b'\\') => string.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Option<char> {
        let sign = self.next()?;
        self.at += 1;
        match sign {
            b'"' | b'\\' | b'/' => Some(char::from(sign)),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.code_point(),
            _ => None,
        }
    }

    /// Four hexadecimal digits, or twice as many for what UTF-16 needs two units for.
    fn code_point(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        let second = self.text.get(self.at..)?.starts_with("\\u");
        self.at += 2;
        let low = self.unit().filter(|unit| second && (0xdc00..0xe000).contains(unit))?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.at += 4;
        u32::from_str_radix(digits, 16).ok().filter(|_| all)
    }
}
