//! `porchlight help`.

use super::{no_arguments, Fault, OK, VERBS};
use crate::paths::Paths;

/// Prints what can be done.
pub fn run(_: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    println!("Porchlight keeps a home camera reachable by name.\n");
    println!("usage: porchlight [--config FILE] [--root DIR] VERB\n");
    for verb in &VERBS {
        println!("  {:<29} {}", format!("{} {}", verb.name, verb.arguments), verb.doc);
    }
    println!("\n  --config FILE   read this instead of /etc/config/porchlight");
    println!("  --root DIR      everything lies below DIR instead of /");
    println!(
        "\nexit codes: 0 all is well, 1 something failed, 2 the configuration or these arguments are faulty"
    );
    Ok(OK)
}
