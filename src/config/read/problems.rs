//! The list of what is wrong, with a cap, in order of line.

use super::{Problem, Severity};

/// The most errors and the most warnings that are listed.
pub const PROBLEM_CAP: usize = 100;
/// What is wrong with a file, as far as it is listed.
pub struct Problems<'a> {
    file: &'a str,
    list: Vec<Problem>,
    unlisted: usize,
}

impl<'a> Problems<'a> {
    pub fn new(file: &'a str, list: Vec<Problem>) -> Problems<'a> {
        Problems { file, list, unlisted: 0 }
    }

    fn push(&mut self, severity: Severity, line: usize, text: String) {
        if self.list.iter().filter(|problem| problem.severity == severity).count() >= PROBLEM_CAP {
            self.unlisted += 1;
            return;
        }
        self.list.push(Problem { severity, file: self.file.to_string(), line, text });
    }

    pub fn error(&mut self, line: usize, text: impl Into<String>) {
        self.push(Severity::Error, line, text.into());
    }

    pub fn warning(&mut self, line: usize, text: impl Into<String>) {
        self.push(Severity::Warning, line, text.into());
    }

    /// All of them in order of line.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.line);
        if self.unlisted > 0 {
            let text = format!("{} more problems are not listed", self.unlisted);
            self.list.push(Problem {
                severity: Severity::Warning,
                file: self.file.to_string(),
                line: 0,
                text,
            });
        }
        self.list
    }
}
