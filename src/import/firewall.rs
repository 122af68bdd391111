//! Redirects of OpenWrt's firewall that lead to a camera, as cameras and mappings. The firewall's own sections are not
//! touched: its owner takes them away when the mappings are switched on.

use super::draft::Draft;
use super::service::values;
use super::{Around, Import};
use crate::config::uci::{self, Section};
use crate::config::{Ports, Proto};
use crate::mapping::conflict::{claims, Claim};
use crate::mapping::firewall::{is_ours, sections};
use crate::sense::leases;
use std::net::Ipv4Addr;

/// Ports of cameras, as the port on the LAN: how such a port is asked for a password, and whether other devices use
/// it as much.
const PORTS: [(u16, &str, bool); 19] = [
    (80, "http", true),
    (81, "http", false),
    (88, "http", false),
    (443, "tcp", true),
    (554, "rtsp", false),
    (1935, "tcp", false),
    (2020, "http", false),
    (5000, "tcp", true),
    (8000, "tcp", true),
    (8080, "http", true),
    (8081, "http", true),
    (8443, "tcp", true),
    (8554, "rtsp", false),
    (8899, "http", false),
    (9000, "tcp", true),
    (10554, "rtsp", false),
    (34567, "tcp", false),
    (37777, "tcp", false),
    (37778, "tcp", false),
];
/// What stands in a camera's name.
const HINTS: [&str; 16] = [
    "cam",
    "ipc",
    "nvr",
    "dvr",
    "rtsp",
    "onvif",
    "hikvision",
    "dahua",
    "reolink",
    "foscam",
    "tapo",
    "ezviz",
    "amcrest",
    "axis",
    "kamera",
    "video",
];
/// Options that make a redirect narrower than a mapping can be.
const NARROWER: [&str; 9] =
    ["src_mac", "src_port", "src_dip", "ipset", "limit", "mark", "start_time", "weekdays", "start_date"];

/// Reads the firewall's configuration.
///
/// # Errors
/// The first line that `uci` would refuse.
pub(super) fn read(text: &str, around: &Around, import: &mut Import) -> Result<(), String> {
    let all = sections(text.as_bytes())?;
    let dhcp = uci::parse(around.dhcp, "").sections;
    let mut others = false;
    for section in all.iter().filter(|section| section.kind == "redirect") {
        let dnat = one(section, "target").is_empty() || one(section, "target").eq_ignore_ascii_case("dnat");
        if is_ours(section) || !dnat || matches!(one(section, "src"), "" | "*" | "lan") {
            continue;
        }
        let Ok(addr) = one(section, "dest_ip").parse::<Ipv4Addr>() else { continue };
        let host = Host::find(addr, &dhcp, around.leases);
        if is_camera(section, &host) {
            redirect(section, &host, import);
        } else {
            others = true;
        }
    }
    if others {
        import.note(0, false, "other redirects are left where they are: nothing in them speaks of a camera");
    }
    Ok(())
}

fn one<'a>(section: &'a Section, name: &'a str) -> &'a str {
    section.option(name).and_then(|option| option.values.first()).map_or("", String::as_str)
}

/// What is known of a device on the LAN.
struct Host {
    addr: Ipv4Addr,
    macs: Vec<String>,
    name: String,
}

impl Host {
    /// By the static leases, then by those that were given out.
    fn find(addr: Ipv4Addr, dhcp: &[Section], lease_file: &[u8]) -> Host {
        let shown = addr.to_string();
        let fixed = dhcp.iter().find(|section| section.kind == "host" && one(section, "ip") == shown);
        let macs: Vec<String> =
            fixed.into_iter().flat_map(|section| values(section, "mac")).map(str::to_string).collect();
        if let Some(section) = fixed.filter(|_| !macs.is_empty()) {
            return Host { addr, macs, name: one(section, "name").into() };
        }
        let lease = leases::parse(lease_file).into_iter().find(|lease| lease.addr == addr);
        let (mac, name) = lease.map_or((None, None), |lease| (Some(lease.mac.to_string()), lease.name));
        Host { addr, macs: mac.into_iter().collect(), name: name.unwrap_or_default() }
    }
}

/// The port on the LAN.
fn inner(section: &Section) -> &str {
    let port = one(section, "dest_port");
    if port.is_empty() {
        one(section, "src_dport")
    } else {
        port
    }
}

fn known(section: &Section) -> Option<&'static (u16, &'static str, bool)> {
    let first = inner(section).split(['-', ':', ' ']).next().and_then(|port| port.parse().ok());
    PORTS.iter().find(|(port, ..)| Some(*port) == first)
}

fn is_named(section: &Section, host: &Host) -> bool {
    let names = [one(section, "name"), section.name.as_deref().unwrap_or_default(), &host.name];
    names.iter().any(|name| HINTS.iter().any(|hint| name.to_ascii_lowercase().contains(hint)))
}

fn is_camera(section: &Section, host: &Host) -> bool {
    is_named(section, host) || known(section).is_some()
}

/// What the redirect takes, as if it were switched on.
fn claim(section: &Section) -> Option<Claim> {
    let mut section = section.clone();
    section.options.retain(|option| option.name != "enabled");
    claims(&[section]).pop()
}

/// A redirect's mapping, and its camera, unless there is one already.
fn redirect(section: &Section, host: &Host, import: &mut Import) {
    let line = section.line;
    if let Some(name) = NARROWER.iter().find(|name| section.option(name).is_some()) {
        return import.lose(line, "a mapping cannot be narrowed by option ", name);
    }
    let Some(claim) = claim(section).filter(|claim| claim.ports.0 > 0) else {
        return import.lose(line, "src_dport is no port or range, or proto neither tcp nor udp", "");
    };
    if claim.from.is_none() && !one(section, "src_ip").is_empty() {
        return import.lose(line, "src_ip is no plain network", "");
    }
    let outside = Ports(claim.ports).to_string();
    for other in import.existing.iter().filter(|other| other.kind == "mapping") {
        if one(other, "src_dport") == outside {
            let text = [
                "a mapping in the configuration has this port already, and it is not added again: ",
                &outside,
            ];
            return import.note(line, false, &text.concat());
        }
    }
    let camera = camera(host, line, import);
    let (probe, doubtful) = known(section).map_or(("tcp", false), |(_, probe, doubtful)| (*probe, *doubtful));
    let mut draft = Draft::new("mapping", &[&camera, "_", &outside].concat(), line);
    draft.off = one(section, "enabled") == "0";
    draft.set("camera", &camera);
    draft.set("src", claim.zone.as_deref().filter(|zone| *zone != "wan").unwrap_or_default());
    draft.set("dest", Some(one(section, "dest")).filter(|zone| *zone != "lan").unwrap_or_default());
    for proto in &claim.protos {
        draft.add("proto", if *proto == Proto::Tcp { "tcp" } else { "udp" });
    }
    draft.set("src_dport", &outside);
    draft.set("dest_port", &inner(section).replace(':', "-"));
    if claim.from.is_some() {
        draft.add("src_ip", one(section, "src_ip"));
    }
    draft.set("probe", if probe == "rtsp" { "" } else { probe });
    import.add(draft);
    let mut text = String::from(
        "this redirect has to go when its mapping is switched on, which stays closed until then",
    );
    if probe == "tcp" {
        text +=
            "; its port cannot be asked for a password: option allow_open '1' if you vouch for the camera's";
    }
    if doubtful && !is_named(section, host) {
        text += "; look whether it is a camera's, for others have such ports too";
    }
    if one(section, "reflection") == "0" {
        text += "; it was not reached from inside, the mapping is";
    }
    import.note(line, false, &text);
}

/// The name of the camera section that is this device.
fn camera(host: &Host, line: usize, import: &mut Import) -> String {
    let addr = host.addr.to_string();
    let same_mac = |mac: &str| host.macs.iter().any(|own| own.eq_ignore_ascii_case(mac));
    for section in import.existing.iter().filter(|section| section.kind == "camera") {
        if one(section, "ip") == addr || values(section, "mac").any(same_mac) {
            return section.name.clone().unwrap_or_default();
        }
    }
    let mut draft = Draft::new("camera", &host.name, line);
    host.macs.iter().for_each(|mac| draft.add("mac", mac));
    if host.macs.is_empty() {
        draft.set("ip", &addr);
    }
    let body = draft.body(&[]);
    if let Some(other) = import.drafts.iter().find(|other| other.kind == "camera" && other.body(&[]) == body)
    {
        return other.name.clone();
    }
    if host.macs.is_empty() {
        import.note(line, false, "it has no lease: give it one (a host section in /etc/config/dhcp), or write list mac, so that it is followed");
    }
    if draft.name.is_empty() {
        draft.name = ["camera_", addr.rsplit('.').next().unwrap_or_default()].concat();
    }
    import.add(draft)
}
