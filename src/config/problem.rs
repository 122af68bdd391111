//! What is wrong in a configuration, and how that is printed.

use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Said, but nothing is left out.
    Warning,
    /// The section is left out at boot; a reload with it is refused whole.
    Error,
}

/// Something in the configuration that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Path of the file.
    pub file: String,
    /// 1-based line, 0 where there is none.
    pub line: usize,
    /// What is wrong, with the option's name, and what to do, with the nearest known name.
    pub text: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// `FILE:LINE: error: what is wrong and what to do`, as compilers write it, so that editors can jump there.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}: {}", self.file, self.severity, self.text),
            line => write!(f, "{}:{line}: {}: {}", self.file, self.severity, self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_as_compilers_do() {
        let mut problem =
            Problem { severity: Severity::Error, file: "porchlight".into(), line: 3, text: "no".into() };
        assert_eq!(problem.to_string(), "porchlight:3: error: no");
        problem.line = 0;
        problem.severity = Severity::Warning;
        assert_eq!(problem.to_string(), "porchlight: warning: no");
    }
}
