//! A section that is to be, and its text in UCI.

/// A section to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// Its type.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The line of the other file that it comes from.
    pub line: usize,
    /// It was switched off there.
    pub off: bool,
    /// Name, value, and whether it is one of a list.
    options: Vec<(&'static str, String, bool)>,
}

/// Which sections are written as switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// Those that were so in the other file.
    AsThere,
    /// All.
    All,
    /// None.
    None,
}

impl Draft {
    /// An empty one.
    pub fn new(kind: &'static str, name: &str, line: usize) -> Draft {
        Draft { kind, name: name.into(), line, off: false, options: Vec::new() }
    }

    /// Sets an option; an empty value sets nothing.
    pub fn set(&mut self, name: &'static str, value: &str) {
        match self.options.iter_mut().find(|option| option.0 == name) {
            Some(option) => option.1 = value.into(),
            None if value.is_empty() => {}
            None => self.options.push((name, value.into(), false)),
        }
    }

    /// Adds to a list, unless it is in it. A record's names stand behind its provider.
    pub fn add(&mut self, name: &'static str, value: &str) {
        if self.has(name, value) {
            return;
        }
        let end = if name == "domain" { 1 } else { self.options.len() };
        let last = self.options.iter().rposition(|option| option.0 == name);
        let place = last.map_or(end, |last| last + 1).min(self.options.len());
        self.options.insert(place, (name, value.into(), true));
    }

    /// Whether an option or list has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.options.iter().any(|option| option.0 == name && option.1 == value)
    }

    /// The first value of an option or list; empty if there is none.
    pub fn one(&self, name: &str) -> &str {
        self.options.iter().find(|option| option.0 == name).map_or("", |option| &option.1)
    }

    /// Takes the WAN sections of another one too.
    pub fn add_ways(&mut self, from: &Draft) {
        for option in from.options.iter().filter(|option| option.0 == "wan") {
            self.add("wan", &option.1);
        }
    }

    /// Its options as text, without those of these names.
    pub fn body(&self, but: &[&str]) -> String {
        let mut out = String::new();
        for (name, value, is_list) in &self.options {
            if but.contains(name) {
                continue;
            }
            out += if *is_list { "\tlist " } else { "\toption " };
            out += name;
            out += " '";
            out += &value.replace('\'', "'\\''");
            out += "'\n";
        }
        out
    }

    /// Its text, behind an empty line.
    pub fn text(&self, off: Off) -> String {
        let mut out = String::from("\nconfig ");
        out += self.kind;
        out += " '";
        out += &self.name;
        out += "'\n";
        if off == Off::All || off == Off::AsThere && self.off {
            out += "\toption enabled '0'\n";
        }
        out + &self.body(&[])
    }
}

/// A text's lines.
pub(super) fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
