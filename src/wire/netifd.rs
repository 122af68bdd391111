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

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from netifd itself (of July 2026) on veth devices, with scripts in place of the protocols' programs;
    /// `old-release` has the form of 2017, with fewer fields and another spelling.
    const RECORDED: [(&str, &str); 14] = [
        ("dhcp", include_str!("../../tests/netifd/dhcp")),
        ("dhcpv6-prefix", include_str!("../../tests/netifd/dhcpv6-prefix")),
        ("pppoe", include_str!("../../tests/netifd/pppoe")),
        ("static-table", include_str!("../../tests/netifd/static-table")),
        ("modem", include_str!("../../tests/netifd/modem")),
        ("modem-dhcp", include_str!("../../tests/netifd/modem-dhcp")),
        ("modem-prefix", include_str!("../../tests/netifd/modem-prefix")),
        ("tunnel", include_str!("../../tests/netifd/tunnel")),
        ("lan-assignment", include_str!("../../tests/netifd/lan-assignment")),
        ("pending", include_str!("../../tests/netifd/pending")),
        ("no-device", include_str!("../../tests/netifd/no-device")),
        ("auth-failed", include_str!("../../tests/netifd/auth-failed")),
        ("not-started", include_str!("../../tests/netifd/not-started")),
        ("old-release", include_str!("../../tests/netifd/old-release")),
    ];

    fn read(text: &str) -> Status {
        status(&Json::parse(text).unwrap(), "wan").unwrap()
    }

    fn recorded(name: &str) -> Status {
        read(RECORDED.iter().find(|(other, _)| *other == name).unwrap().1)
    }

    fn up(device: &str) -> Status {
        Status { up: true, autostart: true, device: Some(device.into()), ..Status::default() }
    }

    fn net(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn an_interface_that_is_up_tells_its_device() {
        for (name, device) in [
            ("dhcp", "eth1"),
            ("pppoe", "pppoe-dsl"),
            ("static-table", "eth2"),
            ("modem", "wwan0"),
            ("modem-dhcp", "wwan0"),
            ("tunnel", "wgwan"),
            ("lan-assignment", "lan0"),
            ("old-release", "pppoe-wan"),
        ] {
            assert_eq!(recorded(name), up(device), "{name}");
        }
    }

    #[test]
    fn one_that_is_not_says_why() {
        let down = |pending, autostart, reason: Option<&str>| Status {
            pending,
            autostart,
            reason: reason.map(str::to_string),
            ..Status::default()
        };
        assert_eq!(recorded("pending"), down(true, true, None));
        assert_eq!(recorded("no-device"), down(false, true, Some("NO_DEVICE")));
        assert_eq!(recorded("auth-failed"), down(true, true, Some("AUTH_FAILED")));
        assert_eq!(recorded("not-started"), down(false, false, None));
    }

    #[test]
    fn a_delegated_prefix_and_its_parts() {
        for (name, device, prefix, part) in [
            ("dhcpv6-prefix", "eth1", "2001:db8:100::/56", "2001:db8:100::/64"),
            ("modem-prefix", "wwan0", "2001:db8:200::/56", "2001:db8:200::/64"),
        ] {
            let given = Delegated {
                interface: "wan".into(),
                prefix: net(prefix),
                assigned: vec![("lan".into(), net(part))],
            };
            assert_eq!(recorded(name), Status { prefixes: vec![given], ..up(device) }, "{name}");
        }
    }

    #[test]
    fn a_prefix_that_is_no_more_to_be_used_or_is_none_is_left_out() {
        let text = |prefix: &str| format!("{{\"up\":true,\"ipv6-prefix\":[{prefix}]}}");
        assert_eq!(read(&text("{\"address\":\"2001:db8::\",\"mask\":56}")).prefixes.len(), 1, "for ever");
        for bad in [
            "{\"address\":\"2001:db8::\",\"mask\":56,\"preferred\":0,\"valid\":100}",
            "{\"address\":\"2001:db8::\",\"mask\":56,\"valid\":0}",
            "{\"address\":\"2001:db8::\",\"mask\":129}",
            "{\"address\":\"2001:db8::\",\"mask\":-1}",
            "{\"address\":\"2001:db8::\"}",
            "{\"address\":\"192.0.2.0\",\"mask\":24}",
            "{\"address\":7,\"mask\":56}",
            "{\"mask\":56}",
            "7",
        ] {
            assert_eq!(read(&text(bad)).prefixes, [], "{bad}");
        }
    }

    #[test]
    fn every_truncation_is_refused_or_whole() {
        for (name, text) in RECORDED {
            let whole = read(text);
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                match Json::parse(&text[..end]) {
                    Err(_) => {}
                    Ok(json) => assert_eq!(status(&json, "wan"), Some(whole.clone()), "{name} cut at {end}"),
                }
            }
        }
    }

    /// Each value in turn, at every depth, is replaced by one of another kind: nothing panics, and what is no answer is
    /// not taken for one.
    #[test]
    fn values_of_the_wrong_kind_are_not_believed() {
        for (_, text) in RECORDED {
            let colons = text.match_indices(": ").map(|(at, _)| at);
            for at in colons {
                let rest = &text[at + 2..];
                let end = rest.find([',', '\n', '}']).unwrap_or(rest.len());
                for other in ["null", "[]", "{}", "-5", "\"\\u0007;rm\"", "[[{}]]"] {
                    let mutant = format!("{}: {other}{}", &text[..at], &rest[end..]);
                    let Ok(json) = Json::parse(&mutant) else { continue };
                    let Some(read) = status(&json, "wan") else { continue };
                    assert!(read.device.iter().all(|name| value::device(name).is_ok()));
                    assert!(read.reason.iter().all(|word| word.bytes().all(|b| b.is_ascii_graphic())));
                }
            }
        }
        for text in ["null", "{}", "[]", "7", "{\"up\":1}", "{\"UP\":true}"] {
            assert_eq!(status(&Json::parse(text).unwrap(), "wan"), None, "{text}");
        }
        for device in ["eth0;x", "a name too long for it", "auto", "", "..", "e\\\"th"] {
            assert_eq!(read(&format!("{{\"up\":true,\"l3_device\":\"{device}\"}}")).device, None, "{device}");
        }
        assert_eq!(read("{\"up\":false,\"l3_device\":\"eth0\"}").device, None, "not while it is down");
    }

    #[test]
    fn lists_and_words_are_bounded() {
        let part = |n: usize| format!("\"lan{n}\":{{\"address\":\"2001:db8::\",\"mask\":64}}");
        let parts = (0..100).map(part).collect::<Vec<_>>().join(",");
        let prefix =
            format!("{{\"address\":\"2001:db8::\",\"mask\":56,\"assigned\":{{{parts},\"a b\":{{}}}}}}");
        let prefixes = vec![prefix; 100].join(",");
        let errors = format!("[{{\"code\":\"{}\"}}]", "X".repeat(1000));
        let read = read(&format!("{{\"up\":true,\"ipv6-prefix\":[{prefixes}],\"errors\":{errors}}}"));
        assert_eq!(read.prefixes.len(), MAX_PREFIXES);
        assert!(read.prefixes.iter().all(|prefix| prefix.assigned.len() == MAX_ASSIGNED));
        assert_eq!(read.reason.unwrap().len(), MAX_REASON);
    }
}
