//! `porchlight help`.

use super::output::say;
use super::{no_arguments, Fault, OK, VERBS};
use crate::paths::Paths;

/// Prints what can be done.
pub fn run(_: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    let mut text = String::from(
        "Porchlight keeps a home camera reachable by name.\n\n\
         usage: porchlight [--config FILE] [--root DIR] VERB\n\n",
    );
    for verb in &VERBS {
        text += &format!("  {:<34} {}\n", format!("{} {}", verb.name, verb.arguments), verb.doc);
    }
    text += "\n  --config FILE   read this instead of /etc/config/porchlight\n";
    text += "  --root DIR      everything lies below DIR instead of /\n";
    text += "\nexit codes: 0 all is well, 1 something failed, 2 the configuration or these arguments are faulty\n";
    say(&text);
    Ok(OK)
}
