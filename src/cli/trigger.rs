//! `porchlight trigger`: it is time to look. Tells the running agent; in one-shot mode makes a pass itself.

use super::{once, Fault, NOBODY, OK};
use crate::agent::read_config;
use crate::config::{Device, Wan};
use crate::control::{self, Nudge, Question};
use crate::paths::Paths;

/// What hotplug scripts and people call. Returns at once where an agent runs, whatever that is doing.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let nudge = match arguments.as_slice() {
        [] => Nudge::Person,
        ["wan", interface, device @ ..] if device.len() <= 1 => {
            let device = device.first().copied().unwrap_or_default();
            if !is_ours(paths, interface, device) {
                return Ok(OK);
            }
            Nudge::World
        }
        ["lease" | "tunnel"] => Nudge::World,
        ["clock"] => Nudge::Clock,
        ["records"] => Nudge::Records,
        _ => {
            let text =
                "trigger takes nothing, `wan INTERFACE [DEVICE]`, `lease`, `clock`, `tunnel` or `records`";
            return Err(Fault::Usage(text.into()));
        }
    };
    if paths.one_shot.exists() {
        return once::prompted(paths, nudge);
    }
    // Of a person's wish it is told what became of it; nobody waits for an answer to hotplug's.
    let told = match nudge {
        Nudge::Person | Nudge::Records => control::ask(paths, &Question::Trigger(nudge))?.is_some(),
        _ => control::tell(paths, &Question::Trigger(nudge))?,
    };
    match told {
        true => Ok(OK),
        false => Err(NOBODY.into()),
    }
}

/// Whether this is one of the configured WANs. Where the configuration does not tell, it may be.
fn is_ours(paths: &Paths, interface: &str, device: &str) -> bool {
    match read_config(paths) {
        Ok(reading) if !reading.is_faulty() => {
            reading.config.wans.iter().any(|wan| concerns(wan, interface, device))
        }
        _ => true,
    }
}

/// Whether netifd's interface (with this device, empty where it has none any more) is this WAN.
fn concerns(wan: &Wan, interface: &str, device: &str) -> bool {
    wan.name == interface
        || match &wan.device {
            Device::Auto => true,
            Device::Named(name) => name == device,
            // `wan_6` is one that netifd made for `wan` (PPPoE, modems).
            Device::Interfaces(names) => names.iter().any(|name| {
                interface.strip_prefix(name.as_str()).is_some_and(|rest| matches!(rest, "" | "_4" | "_6"))
            }),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

    #[test]
    fn a_wan_is_known_by_its_name_or_its_device() {
        let wan = |device| Wan::plain("wan", device, Family::BOTH.to_vec(), Vec::new());
        let named = wan(Device::Named("pppoe-wan".into()));
        assert!(concerns(&named, "wan", ""), "its name");
        assert!(concerns(&named, "fibre", "pppoe-wan"), "its device");
        assert!(!concerns(&named, "lan", "br-lan"));
        assert!(!concerns(&named, "lan", ""));
        assert!(concerns(&wan(Device::Auto), "lan", "br-lan"), "auto may be any");
        let listed = wan(Device::Interfaces(vec!["dsl".into(), "dsl6".into()]));
        for (interface, ours) in
            [("dsl", true), ("dsl6", true), ("dsl_6", true), ("dsl2", false), ("lan", false)]
        {
            assert_eq!(concerns(&listed, interface, "br-lan"), ours, "{interface}");
        }
    }
}
