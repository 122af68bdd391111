//! The sections of a configuration that lead to a camera that was found. Pure.

use super::evidence::Device;
use crate::config::{uci, Camera, Config};
use crate::model::Protection;
use std::net::IpAddr;

/// Proposed ports lie between these, inclusive: above those that everybody tries, and below those from which the kernel
/// itself asks (`net.ipv4.ip_local_port_range`).
const PORTS: (u16, u16) = (20_001, 32_767);
/// The longest name that is proposed.
const MAX_NAME: usize = 24;

/// A port of the WAN for a new mapping: none that a mapping has, and none of these. `chance` is any number.
pub fn public_port(config: &Config, others: &[u16], chance: u32) -> u16 {
    let (first, last) = PORTS;
    let count = u32::from(last - first) + 1;
    let taken = |port: u16| {
        let maps = |(first, last)| (first..=last).contains(&port);
        others.contains(&port) || config.mappings.iter().any(|mapping| maps(mapping.src_dport))
    };
    let port = |step: u32| first + ((chance % count + step) % count) as u16;
    (0..count).map(port).find(|port| !taken(*port)).unwrap_or(first)
}

/// A name for its sections: none that is `taken`.
pub fn name(taken: &[String], device: &Device) -> String {
    let vendor = device.vendor.map_or("", |vendor| vendor.name);
    let words = [device.name.as_str(), vendor, "camera"];
    let stem = words.iter().map(|text| plain(text)).find(|text| !text.is_empty()).unwrap_or_default();
    let mut names = (2u16..).map(|number| format!("{stem}{number}"));
    let free = |name: &String| !names_of(name).iter().any(|name| taken.contains(name));
    std::iter::once(stem.clone()).chain(&mut names).find(free).unwrap_or_default()
}

/// Letters, digits and `_` of a text.
fn plain(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    plain.take(MAX_NAME).collect::<String>().trim_matches('_').to_string()
}

/// The names of the camera's section and of its mapping's.
pub fn names_of(name: &str) -> [String; 2] {
    [name.to_string(), format!("{name}_rtsp")]
}

/// A configuration with these sections behind what it holds, every byte of which stays. `None` if they are in it.
///
/// # Errors
/// When a section has the name of one of them already.
pub fn append(text: &str, name: &str, sections: &str) -> Result<Option<String>, String> {
    if text.contains(sections) {
        return Ok(None);
    }
    let taken = taken(text);
    if let Some(name) = names_of(name).iter().find(|name| taken.contains(name)) {
        return Err(format!(
            "there is a section called '{name}' already; nothing was written: take another name"
        ));
    }
    let gap = match text {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(Some(format!("{text}{gap}{sections}")))
}

/// The names of all sections, of whatever type: `uci` knows a section by its name alone.
pub fn taken(text: &str) -> Vec<String> {
    uci::parse(text, "").sections.into_iter().filter_map(|section| section.name).collect()
}

/// The camera section of the configuration that it is already; its name.
pub fn configured<'a>(config: &'a Config, device: &Device) -> Option<&'a str> {
    let same = |camera: &&Camera| {
        let mac = device.mac.is_some_and(|mac| camera.macs.contains(&mac));
        let host = camera.host.as_ref().is_some_and(|host| host.eq_ignore_ascii_case(&device.name));
        mac || host || camera.ip == Some(IpAddr::V4(device.addr))
    };
    config.cameras.iter().find(same).map(|camera| camera.name.as_str())
}

/// The sections, to be pasted as they are. Ends with a newline.
pub fn sections(device: &Device, name: &str, port: u16) -> String {
    let known = match device.mac {
        Some(mac) => format!("list mac '{mac}'"),
        None => format!("option ip '{}'", device.addr),
    };
    let (dest_port, path) = (device.stream().map_or(554, |stream| stream.port), device.path());
    let [name, mapping] = names_of(name);
    format!(
        "config camera '{name}'\n\t{known}\n\n\
         config mapping '{mapping}'\n\toption camera '{name}'\n\toption src_dport '{port}'\n\
         \toption dest_port '{dest_port}'\n\toption probe 'rtsp'\n\toption path '{path}'\n"
    )
}

/// What stands in the way of its mapping, in plain words; empty for nothing.
pub fn obstacle(device: &Device) -> &'static str {
    match device.stream().map(|stream| &stream.found) {
        Some(Protection::Password(_)) => "",
        Some(_) => "it shows its picture to anyone: the mapping stays closed until it has a password",
        None => {
            "no stream was found at ports 554 and 8554: switch RTSP on in the camera, and set option path and dest_port \
             as its manual says; the mapping stays closed until it asks for a password there"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::evidence::{Devices, Service};
    use crate::config::load::{load, Loaded};
    use crate::config::Probe;
    use crate::model::{Mac, Scheme};
    use crate::provider::PROVIDERS;
    use std::net::Ipv4Addr;

    fn read(text: &str) -> Loaded {
        load(&format!("config wan 'wan'\n\toption device 'auto'\n\n{text}"), "file", PROVIDERS, &())
    }

    fn dahua() -> Device {
        let addr = Ipv4Addr::new(192, 168, 1, 20);
        let mut devices = Devices::default();
        devices.neighbour(addr, Mac([0x3c, 0xef, 0x8c, 1, 2, 3]));
        let mut device = devices.at(addr).unwrap().clone();
        let found = Protection::Password(Scheme::Digest);
        device.services.push(Service { port: 8554, how: Probe::Rtsp, found });
        device
    }

    #[test]
    fn what_is_to_be_pasted_is_a_good_configuration() {
        let text = sections(&dahua(), "garden", 28_554);
        let loaded = read(&text);
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let mapping = &loaded.config.mappings[0];
        assert_eq!((mapping.name.as_str(), mapping.camera.as_str()), ("garden_rtsp", "garden"));
        assert_eq!((mapping.src_dport, mapping.dest_port), ((28_554, 28_554), (8554, 8554)));
        assert_eq!(mapping.path, "/cam/realmonitor?channel=1&subtype=0");
        assert_eq!(configured(&loaded.config, &dahua()), Some("garden"));
        assert_eq!(configured(&read("").config, &dahua()), None);
        let nowhere = Device { mac: None, ..dahua() };
        assert!(read(&sections(&nowhere, "garden", 28_554)).problems.is_empty());
    }

    #[test]
    fn what_is_there_stays() {
        let added = "config camera 'front'\n\tlist mac '02:00:00:00:00:01'\n";
        for (before, after) in [
            ("", added.to_string()),
            ("# mine\n\n", format!("# mine\n\n{added}")),
            ("config wan 'w'\n", format!("config wan 'w'\n\n{added}")),
            ("config wan 'w'\r\n\toption x 'y", format!("config wan 'w'\r\n\toption x 'y\n\n{added}")),
        ] {
            assert_eq!(append(before, "front", added).unwrap().as_deref(), Some(after.as_str()));
            assert_eq!(append(&after, "front", added), Ok(None), "it is in it");
        }
        for taken in ["config camera 'front'\n", "config wan 'front'\n", "config mapping front_rtsp\n"] {
            assert!(append(taken, "front", added).unwrap_err().contains("take another name"), "{taken}");
        }
    }

    #[test]
    fn a_proposed_port_is_nobodys() {
        let config = read(&sections(&dahua(), "garden", PORTS.0)).config;
        assert_eq!(public_port(&config, &[], 0), PORTS.0 + 1);
        assert_eq!(public_port(&config, &[], 1), PORTS.0 + 1);
        assert_eq!(public_port(&config, &[PORTS.0 + 1], 1), PORTS.0 + 2);
        assert_eq!(public_port(&config, &[], u32::from(PORTS.1 - PORTS.0)), PORTS.1);
        let last = read(&sections(&dahua(), "garden", PORTS.1)).config;
        assert_eq!(public_port(&last, &[], u32::from(PORTS.1 - PORTS.0)), PORTS.0);
        assert!((0..100_000).step_by(997).all(|chance| (PORTS.0..=PORTS.1).contains(&public_port(
            &config,
            &[],
            chance
        ))));
    }

    #[test]
    fn a_proposed_name_is_nobodys() {
        assert_eq!(name(&[], &dahua()), "dahua");
        let named = Device { name: "Front-Cam.lan".into(), ..dahua() };
        assert_eq!(name(&[], &named), "front_cam_lan");
        assert_eq!(name(&["front_cam_lan".into(), "front_cam_lan2_rtsp".into()], &named), "front_cam_lan3");
        let hostile = Device { name: "\\u{1b}'\n".into(), vendor: None, ..dahua() };
        assert_eq!(name(&[], &hostile), "u_1b");
    }
}
