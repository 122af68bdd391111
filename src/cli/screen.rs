//! Where the status is shown: on a terminal in colours, each screen over the one before; anywhere else as plain lines.
//! Nothing is switched on that would have to be switched off, so that Ctrl-C at any moment leaves a tidy terminal.

use rustix::termios::tcgetwinsize;
use std::io::{IsTerminal, Write};

/// Bold green, and bold red: the first line.
const WELL: &str = "\x1b[1;32m";
const ILL: &str = "\x1b[1;31m";
/// Yellow: what needs attention.
const MARKED: &str = "\x1b[33m";
/// As before.
const PLAIN: &str = "\x1b[0m";
/// What follows in the line goes, and with it what is below.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// To the first place.
const HOME: &str = "\x1b[H";
/// Stands in the place of what has no room.
const MORE: &str = "  ... (a larger terminal shows the rest)";

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// A terminal that can be drawn upon.
    pub is_terminal: bool,
    /// It is to have colours.
    colours: bool,
}

impl Screen {
    /// Looks at standard output, `TERM` and `NO_COLOR` (<https://no-color.org>).
    pub fn new() -> Screen {
        let term = std::env::var_os("TERM");
        let is_terminal = std::io::stdout().is_terminal() && term.is_some_and(|term| term != "dumb");
        let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { is_terminal, colours }
    }

    /// The text as it is shown once: in colours, if it is to have some.
    pub fn painted(self, text: &str, well: bool) -> String {
        let paint = |(at, line): (usize, &str)| match at {
            _ if !self.colours => format!("{line}\n"),
            0 => format!("{}{line}{PLAIN}\n", if well { WELL } else { ILL }),
            _ if line.starts_with('!') => format!("{MARKED}{line}{PLAIN}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().enumerate().map(paint).collect()
    }

    /// What draws the text over what stands there. It ends with a line's end, so that it is one write, before or behind
    /// which Ctrl-C comes.
    fn drawn(self, text: &str, well: bool) -> String {
        let size = tcgetwinsize(std::io::stdout());
        let size = size.map_or((0, 0), |size| (size.ws_row.into(), size.ws_col.into()));
        let lines = self.painted(&fitted(text, size), well);
        let lines = lines.trim_end_matches('\n').replace('\n', &format!("{CLEAR_LINE}\n"));
        format!("{HOME}{lines}{CLEAR_BELOW}\n")
    }

    /// Shows the text behind the one before, or draws it in that one's place. False: nobody reads any more.
    pub fn show(self, text: &str, well: bool, draws: bool) -> bool {
        let out = if draws { self.drawn(text, well) } else { text.to_string() };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()).is_ok()
    }
}

/// The lines that fit a terminal of so many rows and columns (0: unknown), whose last row stays free.
fn fitted(text: &str, (rows, columns): (usize, usize)) -> String {
    if rows == 0 || columns == 0 {
        return text.into();
    }
    let height = |line: &str| line.chars().count().div_ceil(columns).max(1);
    let room = rows.saturating_sub(1);
    if text.lines().map(height).sum::<usize>() <= room {
        return text.into();
    }
    let (mut out, mut used) = (String::new(), height(MORE));
    for line in text.lines() {
        used += height(line);
        if used > room {
            break;
        }
        out = out + line + "\n";
    }
    out + MORE + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fine\n! one\n  two\n";

    #[test]
    fn colours_are_for_terminals_alone() {
        let file = Screen { is_terminal: false, colours: false };
        assert_eq!(file.painted(TEXT, true), TEXT);
        let terminal = Screen { is_terminal: true, colours: true };
        assert_eq!(terminal.painted(TEXT, true), "\x1b[1;32mfine\x1b[0m\n\x1b[33m! one\x1b[0m\n  two\n");
        assert!(terminal.painted(TEXT, false).starts_with("\x1b[1;31mfine\x1b[0m\n"));
        assert_eq!(Screen { is_terminal: true, colours: false }.painted(TEXT, false), TEXT);
    }

    #[test]
    fn the_first_lines_are_those_that_fit() {
        assert_eq!(fitted(TEXT, (4, 80)), TEXT);
        assert_eq!(fitted(TEXT, (0, 0)), TEXT);
        assert_eq!(fitted(TEXT, (3, 80)), format!("fine\n{MORE}\n"));
        // A line that is longer than the terminal is wide takes several rows; what it is of makes no difference.
        assert_eq!(fitted("ääääääää\nb\n", (10, 4)), "ääääääää\nb\n");
        assert_eq!(fitted("ääääääää\nb\n", (3, 4)), format!("{MORE}\n"));
    }
}
