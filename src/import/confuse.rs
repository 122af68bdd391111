//! libConfuse's grammar (its manual, and `lexer.l`), as far as inadyn.conf(5) has it: `name = value`,
//! `name = { value, value }`, `kind title { ... }`, comments by `#`, `//` and `/* */`.

/// The most settings of a file.
const SETTING_CAP: usize = 4096;

/// A setting with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub line: usize,
    pub name: String,
    pub values: Vec<String>,
}

/// `kind title { ... }`; the first block of a file, without kind, is what stands outside of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub line: usize,
    pub kind: String,
    pub title: String,
    pub settings: Vec<Setting>,
}

impl Block {
    /// All values of a setting; of several settings of that name, those of the last.
    pub fn all(&self, name: &str) -> &[String] {
        let last = self.settings.iter().rfind(|setting| setting.name == name);
        last.map_or(&[], |setting| &setting.values)
    }

    /// Its first value, or nothing.
    pub fn one(&self, name: &str) -> &str {
        self.all(name).first().map_or("", String::as_str)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(u8),
    End,
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

/// Reads a file.
///
/// # Errors
/// The first line that is not of this form.
pub(super) fn parse(text: &str) -> Result<Vec<Block>, String> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut blocks = vec![Block::default()];
    let mut inside = false;
    let mut count = 0;
    loop {
        let (token, line) = (lexer.next()?, lexer.line);
        let name = match token {
            Token::End if inside => return Err(format!("line {line}: a {{ is never closed")),
            Token::End => return Ok(blocks),
            Token::Sign(b'}') if inside => {
                inside = false;
                continue;
            }
            Token::Word(name) => name,
            Token::Sign(_) => return Err(format!("line {line}: a setting's name was expected")),
        };
        count += 1;
        if count > SETTING_CAP {
            return Err(format!("line {line}: there are more than {SETTING_CAP} settings"));
        }
        let mut sign = lexer.next()?;
        if sign == Token::Sign(b'+') {
            sign = lexer.next()?;
        }
        match sign {
            Token::Sign(b'=') => {
                let setting = Setting { line, name, values: lexer.values()? };
                // What follows a block is outside of it again.
                let block = if inside { blocks.last_mut() } else { blocks.first_mut() };
                block.into_iter().for_each(|block| block.settings.push(setting.clone()));
            }
            Token::Sign(b'(') => while !matches!(lexer.next()?, Token::Sign(b')') | Token::End) {},
            Token::Word(title) if !inside && lexer.next()? == Token::Sign(b'{') => {
                blocks.push(Block { line, kind: name, title, settings: Vec::new() });
                inside = true;
            }
            _ => return Err(format!("line {line}: neither a setting nor a section")),
        }
    }
}

impl Lexer<'_> {
    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += gone.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
    }

    /// White space and comments.
    fn skip_blank(&mut self) {
        loop {
            self.skip(self.rest.len() - self.rest.trim_start().len());
            let end = match self.rest {
                rest if rest.starts_with('#') || rest.starts_with("//") => rest.find('\n'),
                rest if rest.starts_with("/*") => rest.find("*/").map(|at| at + 2),
                _ => return,
            };
            self.skip(end.unwrap_or(self.rest.len()));
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        self.skip_blank();
        match self.rest.bytes().next() {
            None => Ok(Token::End),
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            // `+=` adds to a list; a plus elsewhere is passed over.
            Some(b'+') => {
                self.skip(1);
                if self.rest.starts_with('=') {
                    Ok(Token::Sign(b'+'))
                } else {
                    self.next()
                }
            }
            Some(sign @ (b'{' | b'}' | b'(' | b')' | b'=' | b',')) => {
                self.skip(1);
                Ok(Token::Sign(sign))
            }
            Some(_) => {
                let ends = |c: char| c.is_whitespace() || "\"'{}()=+,#".contains(c);
                let mut end = self.rest.find(ends).unwrap_or(self.rest.len());
                for comment in ["//", "/*"] {
                    end = self.rest.find(comment).map_or(end, |at| end.min(at));
                }
                let word = self.rest.get(..end).unwrap_or_default().to_string();
                self.skip(end);
                self.checked(word)
            }
        }
    }

    /// A value in quotes. A backslash takes the next letter as it is; in double quotes `\n` and `\t` are what they are in
    /// C, in single quotes it stays before any other than itself and the quote.
    fn quoted(&mut self, quote: u8) -> Result<Token, String> {
        let begun = self.line;
        let mut word = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some((_, '\n')) | None => {}
                    Some((_, 'n')) if quote == b'"' => word.push('\n'),
                    Some((_, 't')) if quote == b'"' => word.push('\t'),
                    Some((_, code)) if quote == b'"' && code.is_ascii_alphanumeric() => {
                        return Err(format!("line {begun}: a letter's code behind a backslash is not read here; write the letter"));
                    }
                    Some((_, other)) => {
                        if quote == b'\'' && !"\\'".contains(other) {
                            word.push('\\');
                        }
                        word.push(other);
                    }
                },
                _ if letter == char::from(quote) => {
                    self.skip(at + 1);
                    return if quote == b'"' { self.checked(word) } else { Ok(Token::Word(word)) };
                }
                _ => word.push(letter),
            }
        }
        Err(format!("line {begun}: a quote is never closed"))
    }

    fn checked(&self, word: String) -> Result<Token, String> {
        match word.contains("${") {
            true => Err(format!(
                "line {}: environment variables are not followed; write the value itself",
                self.line
            )),
            false => Ok(Token::Word(word)),
        }
    }

    /// A value, or a list in braces.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next()? {
            Token::Word(word) => return Ok(vec![word]),
            Token::Sign(b'{') => {}
            _ => return Err(format!("line {}: a value was expected", self.line)),
        }
        let mut values = Vec::new();
        loop {
            match self.next()? {
                Token::Word(word) => values.push(word),
                Token::Sign(b',') => {}
                Token::Sign(b'}') => return Ok(values),
                _ => return Err(format!("line {}: the list is never closed", self.line)),
            }
        }
    }
}
