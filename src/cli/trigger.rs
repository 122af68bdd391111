//! `porchlight trigger`: tells the running agent that it is time to look. Returns at once.

use super::{Fault, OK};
use crate::control::{self, Nudge, Question};
use crate::paths::Paths;

/// What hotplug scripts and people call.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let nudge = match arguments.as_slice() {
        [] => Nudge::Person,
        ["wan", _] | ["lease"] => Nudge::World,
        ["clock"] => Nudge::Clock,
        _ => return Err(Fault::Usage("trigger takes nothing, `wan INTERFACE`, `lease` or `clock`".into())),
    };
    match control::ask(paths, &Question::Trigger(nudge))? {
        Some(_) => Ok(OK),
        None => Err("no agent is running".into()),
    }
}
