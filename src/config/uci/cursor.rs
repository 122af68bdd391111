//! The words of a UCI text: quotes, escapes, comments and ends of lines, as libuci takes them (its `file.c`).

use super::Fault;

/// How a word ended.
pub(super) enum Stop {
    /// At white space, at the end of the line, or at a separator.
    Usual,
    /// At a `#` in its midst.
    CutByComment,
    /// At a `;` right behind a bare word: libuci loses the rest of the line.
    CutBySemicolon,
}

/// The text, and how much of it is in view. libuci fetches a line at a time and sees no further; so do we.
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub pos: usize,
    /// Behind the last line fetched.
    pub end: usize,
    /// Number of the last line fetched.
    pub line: usize,
    /// The first line with a quote that is closed in a later one. It may well be the one that lacks a quote.
    pub spanned: Option<usize>,
}

impl<'a> Cursor<'a> {
    /// The byte at the cursor; `None` at the end of what is in view.
    fn here(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied().filter(|_| self.pos < self.end)
    }

    pub fn exhausted(&self) -> bool {
        self.end >= self.bytes.len()
    }

    /// Fetches one more line behind what is in view. False at the end of the text.
    fn fetch(&mut self) -> bool {
        let rest = self.bytes.get(self.end..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        self.end += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        self.line += 1;
        true
    }

    /// Leaves what is in view and fetches the next line.
    pub fn next_line(&mut self) -> bool {
        self.pos = self.end;
        self.fetch()
    }

    pub fn skip_whitespace(&mut self) {
        while self.here().is_some_and(is_space) {
            self.pos += 1;
        }
    }

    /// The statement's first word, up to a space or tab. (Not to a newline: `option` alone is no statement.)
    pub fn command(&mut self) -> Option<&'a [u8]> {
        let blank = |b: u8| b == b' ' || b == b'\t';
        while self.here().is_some_and(blank) {
            self.pos += 1;
        }
        let start = self.pos;
        while self.here().is_some_and(|b| !blank(b)) {
            self.pos += 1;
        }
        let word = self.bytes.get(start..self.pos).filter(|word| !word.is_empty())?;
        self.pos = (self.pos + 1).min(self.end);
        Some(word)
    }

    /// One argument. A `;` at its start is consumed and gives an empty one.
    pub fn word(&mut self) -> Result<(String, Stop), Fault> {
        let mut word = Vec::new();
        let mut stop = Stop::Usual;
        if self.here() == Some(b';') {
            self.pos += 1;
            return Ok((String::new(), stop));
        }
        let mut plain = true;
        while let Some(byte) = self.here().filter(|b| !is_space(*b)) {
            plain = plain && !matches!(byte, b'\'' | b'"' | b'\\');
            match byte {
                b'\'' => self.single_quoted(&mut word)?,
                b'"' => self.double_quoted(&mut word)?,
                b'\\' => self.escaped(&mut word),
                b'#' => {
                    self.pos = self.end;
                    if !word.is_empty() {
                        stop = Stop::CutByComment;
                    }
                }
                b';' => {
                    if plain {
                        let rest = self.bytes.get(self.pos + 1..self.end).unwrap_or_default();
                        if !rest.iter().all(|b| is_space(*b)) {
                            stop = Stop::CutBySemicolon;
                        }
                        self.pos = self.end;
                    }
                    return Ok((text(word), stop));
                }
                other => {
                    word.push(other);
                    self.pos += 1;
                }
            }
        }
        self.pos = (self.pos + 1).min(self.end);
        Ok((text(word), stop))
    }

    /// A backslash outside single quotes: the next byte as it is, or, at the end of a line, nothing.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        self.pos += 1;
        let rest = self.bytes.get(self.pos..self.end).unwrap_or_default();
        match rest {
            [] | [b'\n'] | [b'\r', b'\n'] => {
                self.pos = self.end;
                self.fetch();
            }
            [byte, ..] => {
                word.push(*byte);
                self.pos += 1;
            }
        }
    }

    fn single_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), Fault> {
        let opened = self.line;
        self.pos += 1;
        loop {
            match self.here() {
                Some(b'\'') => break,
                Some(byte) => {
                    word.push(byte);
                    self.pos += 1;
                }
                None if self.fetch() => {}
                None => return Err(self.unclosed('\'', opened)),
            }
        }
        self.closed(opened);
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), Fault> {
        let opened = self.line;
        self.pos += 1;
        loop {
            match self.here() {
                Some(b'"') => break,
                Some(b'\\') => self.escaped(word),
                Some(byte) => {
                    word.push(byte);
                    self.pos += 1;
                }
                None if self.fetch() => {}
                None => return Err(self.unclosed('"', opened)),
            }
        }
        self.closed(opened);
        Ok(())
    }

    /// Steps over the quote that ends what began in line `opened`.
    fn closed(&mut self, opened: usize) {
        self.pos += 1;
        if self.line > opened {
            self.spanned.get_or_insert(opened);
        }
    }

    fn unclosed(&self, quote: char, opened: usize) -> Fault {
        let first = self.spanned.map_or(String::new(), |line| {
            format!("; look at line {line} first: what is quoted there ends in a later line")
        });
        Fault(opened, format!("the quote {quote} is never closed{first}"))
    }
}

/// White space as C's `isspace` has it.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The bytes are the text's own with some ASCII left out, so they are UTF-8.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}
