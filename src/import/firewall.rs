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
    let mut others = 0;
    for (index, section) in all.iter().filter(|section| section.kind == "redirect").enumerate() {
        let dnat = one(section, "target").is_empty() || one(section, "target").eq_ignore_ascii_case("dnat");
        if is_ours(section) || !dnat || matches!(one(section, "src"), "" | "*" | "lan") {
            continue;
        }
        let Ok(addr) = one(section, "dest_ip").parse::<Ipv4Addr>() else { continue };
        let host = Host::find(addr, &dhcp, around.leases);
        if is_camera(section, &host) {
            redirect(index, section, &host, import);
        } else {
            others += 1;
        }
    }
    if others > 0 {
        let text = format!("other redirects, for nothing in them speaks of a camera: {others}");
        import.note(0, false, &text);
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
fn redirect(index: usize, section: &Section, host: &Host, import: &mut Import) {
    let label = [one(section, "name"), section.name.as_deref().unwrap_or_default()]
        .into_iter()
        .find(|name| !name.is_empty());
    let label = label.map_or(format!("@redirect[{index}]"), |name| format!("'{name}'"));
    let line = section.line;
    let lost = |import: &mut Import, why: &str| {
        import.note(line, true, &format!("left out: redirect {label}: {why}"))
    };
    let narrower = NARROWER.iter().find(|name| section.option(name).is_some());
    if let Some(name) = narrower {
        return lost(import, &format!("option {name} narrows it, and a mapping has no such option"));
    }
    let Some(claim) = claim(section).filter(|claim| claim.ports.0 > 0) else {
        return lost(import, "it has no single port or range as src_dport, or neither tcp nor udp");
    };
    let src_ip = one(section, "src_ip");
    if claim.from.is_none() && !src_ip.is_empty() {
        return lost(import, "its src_ip is no plain network");
    }
    let outside = Ports(claim.ports).to_string();
    let taken = |other: &&Section| other.kind == "mapping" && one(other, "src_dport") == outside;
    if let Some(other) = import.existing.iter().find(taken) {
        let name = other.name.clone().unwrap_or_default();
        let text = format!("redirect {label}: mapping '{name}' has port {outside} in the configuration already, and it is not added again");
        return import.note(line, false, &text);
    }
    let camera = camera(host, line, import);
    let (probe, ambiguous) =
        known(section).map_or(("tcp", false), |(_, probe, ambiguous)| (*probe, *ambiguous));
    let mut draft = Draft::new("mapping", &format!("{camera}_{outside}"), line);
    draft.off = one(section, "enabled") == "0";
    draft.set("camera", &camera);
    if let Some(zone) = claim.zone.as_deref().filter(|zone| *zone != "wan") {
        draft.set("src", zone);
    }
    if !matches!(one(section, "dest"), "" | "lan") {
        draft.set("dest", one(section, "dest"));
    }
    claim.protos.iter().for_each(|proto| draft.add("proto", &proto.to_string()));
    draft.set("src_dport", &outside);
    draft.set("dest_port", &inner(section).replace(':', "-"));
    if let Some(from) = claim.from {
        draft.add("src_ip", &from.to_string());
    }
    draft.set("probe", if probe == "rtsp" { "" } else { probe });
    import.add(draft);
    tell(section, &label, (probe, ambiguous && !is_named(section, host)), import);
    if !claim.protos.contains(&Proto::Tcp) {
        import.note(
            line,
            false,
            &format!("redirect {label}: only udp; a camera's stream by RTSP needs the tcp port too"),
        );
    }
}

/// What the owner is to do about a redirect that was carried over.
fn tell(section: &Section, label: &str, (probe, doubtful): (&str, bool), import: &mut Import) {
    let (line, port) = (section.line, inner(section));
    let mut say = |text: String| import.note(line, false, &format!("redirect {label}: {text}"));
    say("take it away, or switch it off, when the mapping is switched on, which stays closed until then"
        .into());
    if probe == "tcp" {
        say(format!(
            "port {port} cannot be asked for a password, so the mapping stays closed, unless you vouch for the camera's \
             password by option allow_open '1'"
        ));
    }
    if doubtful {
        say(format!("port {port} may be something else than a camera's: look whether it is one"));
    }
    if one(section, "reflection") == "0" {
        say("it is not reached from inside (reflection '0'); the mapping is".into());
    }
}

/// The name of the camera section that is this device.
fn camera(host: &Host, line: usize, import: &mut Import) -> String {
    let addr = host.addr.to_string();
    let same_mac = |mac: &str| host.macs.iter().any(|own| own.eq_ignore_ascii_case(mac));
    let cameras = import.existing.iter().filter(|section| section.kind == "camera");
    let is = |section: &&Section| one(section, "ip") == addr || values(section, "mac").any(same_mac);
    if let Some(name) = cameras.into_iter().find(is).and_then(|section| section.name.clone()) {
        return name;
    }
    let is = |draft: &&Draft| {
        draft.kind == "camera"
            && (draft.values("ip").any(|ip| ip == addr) || draft.values("mac").any(same_mac))
    };
    if let Some(draft) = import.drafts.iter().find(is) {
        return draft.name.clone();
    }
    let last = host.addr.octets()[3];
    let name = if host.name.is_empty() { format!("camera_{last}") } else { host.name.clone() };
    let mut draft = Draft::new("camera", &name, line);
    if host.macs.is_empty() {
        draft.set("ip", &addr);
        let text = format!("{addr} has no lease: give it one (a host section in /etc/config/dhcp), or write list mac, so that it is followed");
        import.note(line, false, &text);
    }
    host.macs.iter().for_each(|mac| draft.add("mac", mac));
    import.add(draft);
    import.drafts.last().map_or(name, |draft| draft.name.clone())
}
