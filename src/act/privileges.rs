//! What the agent keeps of root's rights: it runs as root (see `docs/design.md`), but neither it nor any program that
//! it starts can get more than the network: capabilities(7), prctl(2).

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::umask;
use rustix::thread::{
    capabilities, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, CapabilitySet,
    CapabilitySets,
};

/// The packet filter, netlink, and sockets that are bound to a device.
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);
/// Capability numbers fit into a word of so many bits.
const NUMBERS: u32 = u64::BITS;

/// Gives up everything else, for this thread and all that come of it: call it before there is a second one.
/// What the kernel refuses is in the lines that come back, in plain words; it is no reason to do nothing.
pub fn give_up() -> Vec<String> {
    umask(Mode::RWXG | Mode::RWXO);
    let mut refused = Vec::new();
    if let Err(e) = set_no_new_privs(true) {
        refused.push(format!("the kernel does not take back the right to become more (no_new_privs): {e}"));
    }
    if let Err(e) = bound() {
        refused.push(format!("the kernel does not let this process give up root's capabilities: {e}"));
    }
    refused
}

fn bound() -> Result<(), Errno> {
    let held = capabilities(None)?;
    // Without this one the bounding set cannot be touched; who is not root has no use for it either.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        let numbered = (0..NUMBERS).map(|number| CapabilitySet::from_bits_retain(1 << number));
        for one in numbered.filter(|one| !KEPT.contains(*one)) {
            match remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // The kernel knows no more than those before it.
                Err(Errno::INVAL) => break,
                Err(e) => return Err(e),
            }
        }
    }
    // What is inherited by others than root shrinks with it.
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & KEPT,
            permitted: held.permitted & KEPT,
            inheritable: held.inheritable & KEPT,
        },
    )
}
