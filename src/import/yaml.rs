//! As much of YAML 1.2 as ddns-go writes: block maps and lists, one scalar a line, and literal blocks (`|`). What else there
//! is (flow style, anchors, tags, folded text) is refused with its line.

/// How deep maps and lists may lie in each other.
const DEPTH_CAP: usize = 16;
/// The most scalars.
const LEAF_CAP: usize = 8192;

/// A scalar and where it stands: `dnsconf.0.ipv4.domains.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub line: usize,
    pub path: String,
    pub value: String,
}

/// A map or a list that is open.
struct Open {
    column: usize,
    path: String,
    /// Of a list: how many items it has.
    items: Option<usize>,
}

struct Parser<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
    open: Vec<Open>,
    /// What the next line stands below, if it does: the path, and the column of its key.
    below: Option<(String, usize)>,
    leaves: Vec<Leaf>,
}

/// Reads a file.
///
/// # Errors
/// The first line that is beyond this.
pub(super) fn parse(text: &str) -> Result<Vec<Leaf>, String> {
    let lines = text.lines().enumerate().peekable();
    let mut parser = Parser { lines, open: Vec::new(), below: Some((String::new(), 0)), leaves: Vec::new() };
    while let Some((index, line)) = parser.lines.next() {
        let content = line.trim_start_matches(' ');
        if content.trim().is_empty() || content.starts_with('#') || matches!(line.trim_end(), "---" | "...") {
            continue;
        }
        let said = parser.line(index + 1, line.len() - content.len(), content.trim_end());
        said.map_err(|what| format!("line {}: {what}", index + 1))?;
    }
    Ok(parser.leaves)
}

/// `key: rest` or `key:`.
fn key(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = content.split_once(':')?;
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    (plain && (rest.is_empty() || rest.starts_with(' '))).then_some((key, rest.trim()))
}

impl Parser<'_> {
    fn line(&mut self, number: usize, column: usize, content: &str) -> Result<(), &'static str> {
        if content.starts_with('\t') {
            return Err("a tab stands where blanks must");
        }
        let Some(rest) = content.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' '))
        else {
            return self.entry(number, column, content);
        };
        self.close(column, false);
        if self.open.last().is_none_or(|open| open.items.is_none() || open.column != column) {
            self.begin(column, true)?;
        }
        let Some(Open { path, items: Some(items), .. }) = self.open.last_mut() else {
            return Err("no list is open");
        };
        let path = format!("{path}.{items}");
        *items += 1;
        let inner = rest.trim_start();
        self.below = Some((path.clone(), column + 1));
        if inner.is_empty() {
            return Ok(());
        }
        let column = column + content.len() - inner.len();
        if inner.starts_with("- ") {
            return Err("a list within a list");
        }
        match key(inner) {
            Some(_) => self.entry(number, column, inner),
            None => self.scalar(number, column, path, inner),
        }
    }

    /// A line of a map.
    fn entry(&mut self, number: usize, column: usize, content: &str) -> Result<(), &'static str> {
        let (name, rest) = key(content).ok_or("this is neither `key: value` nor an item of a list")?;
        self.close(column, true);
        if self.open.last().is_none_or(|open| open.column != column) {
            self.begin(column, false)?;
        }
        let parent = self.open.last().map_or("", |open| open.path.as_str());
        let path = if parent.is_empty() { name.to_string() } else { format!("{parent}.{name}") };
        self.below = None;
        if rest.is_empty() || rest.starts_with('#') {
            self.below = Some((path, column));
            return Ok(());
        }
        self.scalar(number, column, path, rest)
    }

    /// Closes what lies deeper than this column. A list may stand in its key's own column: a key closes it.
    fn close(&mut self, column: usize, by_key: bool) {
        while self.open.last().is_some_and(|open| {
            open.column > column || by_key && open.column == column && open.items.is_some()
        }) {
            self.open.pop();
        }
    }

    /// Opens a map or list below the last key.
    fn begin(&mut self, column: usize, list: bool) -> Result<(), &'static str> {
        let (path, key) = self.below.take().ok_or("it is indented as nothing before it")?;
        let deep = column > key || list && column == key || path.is_empty();
        if !deep || self.open.len() >= DEPTH_CAP {
            return Err("it is indented as nothing before it, or too deep");
        }
        self.open.push(Open { column, path, items: list.then_some(0) });
        Ok(())
    }

    fn scalar(&mut self, line: usize, column: usize, path: String, text: &str) -> Result<(), &'static str> {
        self.below = None;
        let value = match text.as_bytes() {
            [b'|', ..] => self.literal(column, text)?,
            [b'"', ..] => double_quoted(text)?,
            [b'\'', ..] => single_quoted(text)?,
            b"[]" | b"{}" => return Ok(()),
            [b'[' | b'{' | b'&' | b'*' | b'!' | b'%' | b'@' | b'`' | b'>' | b'?', ..] => {
                return Err("ddns-go does not write this form of YAML, and it is not read here");
            }
            _ => text.split(" #").next().unwrap_or_default().trim_end().to_string(),
        };
        if self.leaves.len() >= LEAF_CAP {
            return Err("there are too many values");
        }
        self.leaves.push(Leaf { line, path, value });
        Ok(())
    }

    /// The lines below a `|`, without what all of them are indented by.
    fn literal(&mut self, column: usize, mark: &str) -> Result<String, &'static str> {
        if !matches!(mark, "|" | "|-" | "|+") {
            return Err("ddns-go does not write this form of YAML, and it is not read here");
        }
        let mut lines: Vec<&str> = Vec::new();
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        while let Some((_, line)) =
            self.lines.next_if(|(_, line)| line.trim().is_empty() || indent(line) > column)
        {
            lines.push(line);
        }
        let least =
            lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or(0);
        let text: Vec<&str> = lines.iter().map(|line| line.get(least..).unwrap_or_default()).collect();
        Ok(text.join("\n").trim_end_matches('\n').to_string())
    }
}

fn single_quoted(text: &str) -> Result<String, &'static str> {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let inner = inner.ok_or("the quote ' is not closed in its line")?;
    if inner.replace("''", "").contains('\'') {
        return Err("a quote ' ends in the midst of the line");
    }
    Ok(inner.replace("''", "'"))
}

fn double_quoted(text: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut letters = text.strip_prefix('"').unwrap_or(text).chars();
    loop {
        match letters.next() {
            None => return Err("the quote \" is not closed in its line"),
            Some('"') => break,
            Some('\\') => value.push(match letters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('u') => {
                    let code: String = letters.by_ref().take(4).collect();
                    u32::from_str_radix(&code, 16)
                        .ok()
                        .and_then(char::from_u32)
                        .ok_or("\\u is not followed by a letter's code")?
                }
                Some(other) if other.is_ascii_punctuation() => other,
                _ => return Err("a backslash is followed by what is not known here"),
            }),
            Some(letter) => value.push(letter),
        }
    }
    let rest = letters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value).ok_or("something follows the quote")
}
