//! `porchlight help`, in 80 columns.

use super::output::say;
use super::{no_arguments, Fault, OK, VERBS};
use crate::paths::Paths;

/// Where what a verb does begins.
const COLUMN: usize = 29;

/// Prints what can be done.
pub fn run(_: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    say(&text());
    Ok(OK)
}

fn text() -> String {
    let mut text = String::from(
        "Porchlight keeps a home camera reachable by name.\n\n\
         usage: porchlight [--config FILE] [--root DIR] VERB\n\n",
    );
    for verb in &VERBS {
        row(&mut text, &format!("{} {}", verb.name, verb.arguments), verb.doc);
    }
    text.push('\n');
    row(&mut text, "--config FILE", "read this instead of /etc/config/porchlight");
    row(&mut text, "--root DIR", "everything lies below DIR instead of /");
    row(&mut text, "--version", "which version this is");
    text += "\nexit codes: 0 all is well, 1 something failed,\n            \
             2 the configuration or these arguments are faulty,\n            \
             3 status: no agent runs\n";
    text
}

/// What is written, and beside it what it does; below it, where there is no room.
fn row(text: &mut String, written: &str, does: &str) {
    let mut left = format!("  {}", written.trim_end());
    if left.len() + 2 > COLUMN {
        *text += &left;
        text.push('\n');
        left.clear();
    }
    for line in does.lines() {
        *text += &format!("{left:<COLUMN$}{line}\n");
        left.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_narrow_terminal() {
        let text = text();
        assert!(text.lines().all(|line| line.len() <= 80 && line.trim_end() == line), "{text}");
        assert!(
            text.contains("\n  cameras [--json|--write NAME [IP]]\n                             cameras in"),
            "{text}"
        );
        assert!(text.contains("\n  check [--mode]             what"), "{text}");
    }
}
