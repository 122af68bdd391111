//! What OpenWrt's netifd answers to `ubus call network.interface.NAME status`: by which device an interface goes, and
//! which IPv6 prefixes were delegated to it. Addresses and routes are the kernel's to tell.
//! <https://openwrt.org/docs/guide-developer/ubus/network>; the fields are those of `netifd_dump_status` in netifd's
//! ubus.c, of which older releases lack some.

use super::json::Json;
use crate::config::value::{self, interface};
use crate::config::{Device, Network};
use crate::model::Delegated;
use std::net::IpAddr;

/// The most prefixes that are kept of one interface.
const MAX_PREFIXES: usize = 8;
/// The most parts that are kept of one prefix.
const MAX_ASSIGNED: usize = 16;
/// The longest word that is kept of a reason, in characters.
const MAX_REASON: usize = 64;

/// How an interface stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// It has come up.
    pub up: bool,
    /// It is on its way: waits for its device, a DHCP lease, a PPPoE session.
    pub pending: bool,
    /// netifd starts it by itself (`option auto`).
    pub autostart: bool,
    /// The kernel's name of the device that carries its addresses (`l3_device`), while it is up.
    pub device: Option<String>,
    /// The prefixes that were delegated to it, without those that are no more to be used.
    pub prefixes: Vec<Delegated>,
    /// Why it is not up, in netifd's word (`NO_DEVICE`, `AUTH_FAILED`), if it says so.
    pub reason: Option<String>,
}

/// Reads an answer; `name` is the interface that was asked for. `None`: it is not the answer to this question.
pub fn status(answer: &Json, name: &str) -> Option<Status> {
    let up = answer.get("up").bool()?;
    let flag = |key| answer.get(key).bool().unwrap_or(false);
    let prefixes = answer.get("ipv6-prefix").items().iter().take(MAX_PREFIXES);
    Some(Status {
        up,
        pending: flag("pending"),
        autostart: flag("autostart"),
        device: answer.get("l3_device").str().filter(|_| up).and_then(device),
        prefixes: match up {
            true => prefixes.filter_map(|prefix| delegated(prefix, name)).collect(),
            false => Vec::new(),
        },
        reason: answer.get("errors").items().iter().find_map(|error| word(error.get("code"))),
    })
}

/// A device's name as the packet filter can take it, too.
fn device(text: &str) -> Option<String> {
    match value::device(text) {
        Ok(Device::Named(name)) => Some(name),
        _ => None,
    }
}

fn delegated(prefix: &Json, name: &str) -> Option<Delegated> {
    if prefix.get("preferred").num() == Some(0) || prefix.get("valid").num() == Some(0) {
        return None;
    }
    let part = |(to, part): &(Box<str>, Json)| Some((interface(to).ok()?, network(part)?));
    let assigned = prefix.get("assigned").entries().iter().filter_map(part).take(MAX_ASSIGNED).collect();
    Some(Delegated { interface: name.to_string(), prefix: network(prefix)?, assigned })
}

/// `address` and `mask`, of IPv6.
fn network(json: &Json) -> Option<Network> {
    let addr: IpAddr = json.get("address").str()?.parse().ok()?;
    let prefix = u8::try_from(json.get("mask").num()?).ok()?;
    Network::new(addr, prefix).filter(|_| addr.is_ipv6())
}

/// One word of netifd's, without anything that could upset a terminal.
fn word(json: &Json) -> Option<String> {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = json.str()?.chars().filter(kept).take(MAX_REASON).collect();
    (!word.is_empty()).then_some(word)
}
