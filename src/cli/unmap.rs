//! `porchlight unmap`: closes every port mapping that an agent left (`keep_on_stop`, or a kill).

use super::output::say;
use super::{no_arguments, Fault, OK};
use crate::control;
use crate::mapping::backend::{Backend, UNMAP_DEADLINE};
use crate::paths::Paths;

/// Takes what is ours out of the packet filter, whoever carries it. A running agent would put it back: stop that first.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    no_arguments(arguments)?;
    let Some(_instance) = control::lock_in_time(paths)? else {
        return Err("an agent is running and would open the mappings again; stop it first".into());
    };
    let cut = smol::block_on(Backend::new(&paths.root).remove(UNMAP_DEADLINE))?;
    say(&format!("no port mapping of porchlight is open; {cut}\n"));
    Ok(OK)
}
