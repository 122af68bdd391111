//! `porchlight unmap`: closes every port mapping that an agent left (`keep_on_stop`, or a kill), and with `--leases`
//! takes out what it wrote for dnsmasq.

use super::output::say;
use super::{unexpected, Fault, OK};
use crate::act::thread::wait;
use crate::control;
use crate::mapping::backend::{Backend, Programs, UNMAP_DEADLINE};
use crate::mapping::leases::Leases;
use crate::paths::Paths;
use crate::plan::LeaseJob;

/// Takes what is ours out of the packet filter, whoever carries it. A running agent would put it back: stop that first.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let with_leases = match arguments {
        [] => false,
        [flag] if flag == "--leases" => true,
        [flag, other, ..] if flag == "--leases" => return Err(unexpected(other)),
        [other, ..] => return Err(unexpected(other)),
    };
    let Some(_instance) = control::lock_in_time(paths)? else {
        return Err("an agent is running and would open the mappings again; stop it first".into());
    };
    let leases = if with_leases { take_leases_out(paths) } else { Ok(()) };
    let cut = wait(Backend::new(&paths.root).remove(UNMAP_DEADLINE))?;
    say(&format!("no port mapping of porchlight is open; {cut}\n"));
    leases?;
    Ok(OK)
}

fn take_leases_out(paths: &Paths) -> Result<(), String> {
    let none = LeaseJob { leases: Vec::new(), only: true, tell: false };
    let leases = Leases::new(&paths.root, &Programs::default().ubus);
    // Where nothing is ours, it is nobody's concern here what else is wrong with the file.
    if !leases.is_written() {
        return Ok(());
    }
    let done = wait(leases.apply(&none)).and_then(|done| match done.untold {
        Some(why) => Err(why),
        None => Ok(()),
    });
    done.map_err(|why| format!("the static leases: {why}"))
}
