//! What a configuration means, in plain words, for `porchlight check`. Never a secret.

use super::tunnel::Kind;
use super::value::span;
use super::{
    BackendChoice, Camera, Config, Device, IpSource, Mapping, Notify, Ports, Record, Tunnel, Wan, AGREE,
};
use crate::model::Family;
use crate::plan::probe::inquiry;
use std::fmt::Display;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A few lines for each section, in the order of the file. Ends with a newline.
pub fn describe(config: &Config) -> String {
    let mut out = String::new();
    if !config.global.enabled {
        out.push_str("Switched off (section porchlight, option enabled '0'): nothing of this is done.\n");
    }
    for wan in &config.wans {
        line(&mut out, "wan", &wan.name, &about_wan(wan));
    }
    for record in &config.records {
        line(&mut out, "record", &record.name, &about_record(record, config));
    }
    for camera in &config.cameras {
        line(&mut out, "camera", &camera.name, &about_camera(camera, config));
    }
    for mapping in &config.mappings {
        line(&mut out, "mapping", &mapping.name, &about_mapping(mapping));
    }
    if !config.mappings.is_empty() {
        out.push_str(&about_backend(config));
        if let Some(service) = &config.global.probe_url {
            let host = service.host();
            let _ = writeln!(
                out,
                "Their ports are tried from the internet by {host}, when they open and once a day."
            );
        }
    }
    for tunnel in &config.tunnels {
        line(&mut out, "tunnel", &tunnel.name, &about_tunnel(tunnel));
    }
    for channel in &config.notifies {
        line(&mut out, "notify", &channel.name, &about_notify(channel));
    }
    let global = &config.global;
    if !global.resident {
        out.push_str(
            "No daemon stays (resident '0'): hotplug and a line for cron have a pass made; between two of them \
             nothing changes.\n",
        );
        let _ = writeln!(out, "A request takes {} at most.", span(global.timeout));
        return out;
    }
    let _ = writeln!(
        out,
        "Besides what happens, there is a look every {}; a request takes {} at most.",
        span(global.check_interval),
        span(global.timeout)
    );
    out
}

fn line(out: &mut String, kind: &str, name: &str, text: &str) {
    let _ = writeln!(out, "{kind} {name}: {text}");
}

fn about_wan(wan: &Wan) -> String {
    let device = match &wan.device {
        Device::Auto => "the device with the default route".to_string(),
        Device::Named(name) => format!("device {name}"),
        Device::Interfaces(names) => format!("netifd's {}", joined(names, "and")),
    };
    let mut text = format!("{device}, {}", joined(&wan.families, "and"));
    if !wan.accept.is_empty() {
        let _ = write!(text, "; addresses of {} count as public", joined(&wan.accept, "and"));
    }
    if wan.sources != IpSource::USUAL || !wan.ip_urls.is_empty() || wan.agree != AGREE {
        text.push_str(&about_sources(wan));
    }
    text
}

/// Who is believed what the address is.
fn about_sources(wan: &Wan) -> String {
    let words: Vec<&str> = wan.sources.iter().map(|source| source.word()).collect();
    let mut text = format!("; its address is asked of {}", joined(&words, "then"));
    if !wan.ip_urls.is_empty() {
        let _ = write!(text, " (web: {} of your own)", wan.ip_urls.len());
    }
    if wan.sources != [IpSource::Interface] {
        let _ = write!(text, ", and {} of different operators must agree", wan.agree);
    }
    text
}

fn about_record(record: &Record, config: &Config) -> String {
    let types: Vec<&str> = record.families.iter().map(|family| family.rtype()).collect();
    let camera = config.camera_of(record);
    let from = match (camera, record.wans.as_slice()) {
        (Some(camera), _) if record.families == [Family::V6] => {
            format!("camera {}'s own address", camera.name)
        }
        (_, [one]) => format!("the address of wan {one}"),
        (_, several) => {
            format!("the address of the first of wan {} that is publicly reachable", joined(several, "or"))
        }
    };
    let mut text = format!(
        "{} ({}) at {} gets {from}",
        joined(&record.domains, "and"),
        joined(&types, "and"),
        record.provider
    );
    if let Some(camera) = camera.filter(|_| record.families.len() > 1) {
        let _ = write!(text, "; its AAAA is camera {}'s own address", camera.name);
    }
    if record.follow_tunnel {
        text.push_str("; while a tunnel carries for want of a public address, that of its server");
    }
    if let Some(ttl) = record.ttl {
        let _ = write!(text, "; time to live {}", span(Duration::from_secs(ttl.into())));
    }
    if !record.refresh.is_zero() {
        let _ = write!(text, "; sent once more after {} without a change", span(record.refresh));
    }
    if let Some(zone) = &record.zone {
        let _ = write!(text, "; zone {zone}");
    }
    text
}

fn about_camera(camera: &Camera, config: &Config) -> String {
    let mut known = Vec::new();
    if !camera.macs.is_empty() {
        known.push(format!("MAC {}", joined(&camera.macs, "or")));
    }
    if let Some(host) = &camera.host {
        known.push(format!("the DHCP name {host}"));
    }
    if let Some(ip) = camera.ip {
        known.push(format!("its address {ip}"));
    }
    let mut text = format!("known by {}", joined(&known, "and"));
    if camera.static_lease {
        text.push_str("; its address is written into dnsmasq's configuration");
    }
    let names = config.records.iter().filter(|record| camera.records.contains(&record.name));
    let names: Vec<&String> = names.flat_map(|record| &record.domains).collect();
    if !names.is_empty() {
        let _ = write!(text, "; people call it {}", joined(&names, "or"));
    }
    if config.has_ipv6(camera) {
        let half = camera.hostid.map(|half| Ipv6Addr::from_bits(half.into()));
        let half = half.map_or("made of its MAC (EUI-64)".to_string(), |half| half.to_string());
        let _ = write!(text, "; its half of an IPv6 address is {half}");
    }
    if !config.mappings.iter().any(|mapping| mapping.camera == camera.name) {
        text.push_str("; no mapping leads to it");
    }
    text
}

fn about_mapping(mapping: &Mapping) -> String {
    let mut outside = format!("{}/{}", Ports(mapping.src_dport), joined(&mapping.protos, "and"));
    if mapping.families.contains(&Family::V6) {
        let _ = write!(outside, " ({})", joined(&mapping.families, "and"));
    }
    let networks = mapping.sources.iter().map(|network| network.to_string());
    let who: Vec<String> = networks.chain(mapping.source_names.iter().cloned()).collect();
    let who = match who.is_empty() {
        true => "from anyone".to_string(),
        false => format!("from {} only", joined(&who, "or")),
    };
    let when = mapping.schedule.as_ref().map(|schedule| format!(", {schedule} by the local clock"));
    let fate = match inquiry(mapping, Ipv4Addr::UNSPECIFIED.into()) {
        _ if mapping.allow_open => {
            "open although the camera is not proven to ask for a password (allow_open '1')".to_string()
        }
        Ok(_) => format!(
            "open while the camera, asked by {} for {}, wants a password; it is asked again every {}",
            mapping.probe,
            mapping.path,
            span(mapping.probe_interval)
        ),
        Err(why) => format!("closed: {why}; option allow_open '1' opens it all the same"),
    };
    let inside = format!("{} port {}", mapping.camera, Ports(mapping.dest_port));
    format!("outside port {outside} -> {inside}, {who}{}; {fate}", when.unwrap_or_default())
}

fn about_tunnel(tunnel: &Tunnel) -> String {
    let by = match tunnel.kind {
        Kind::Script => "somebody else's (natmap), looked at".to_string(),
        kind => format!("{} by {} port {}", kind.word(), tunnel.server, tunnel.port),
    };
    let when = match tunnel.always {
        true => "always used",
        false => "used once no wan was publicly reachable for a minute, until one was for five",
    };
    let seal = match tunnel.kind {
        Kind::Frp if !tunnel.flag("tls", true) => " without TLS, so that all can be read on the way",
        Kind::Frp if !tunnel.flag("tls_verify", true) => {
            " with any certificate, so that it may be another server"
        }
        _ => "",
    };
    let carries = tunnel.carries.iter().map(|(mapping, port)| match port {
        _ if tunnel.kind == Kind::Script => mapping.clone(),
        0 => format!("{mapping} (at any port there)"),
        port => format!("{mapping} (at port {port} there)"),
    });
    format!("{by}{seal}; {when}; carries {} while it is open", joined(&carries.collect::<Vec<_>>(), "and"))
}

fn about_notify(channel: &Notify) -> String {
    let on: Vec<&str> = channel.on.iter().map(|occasion| occasion.word()).collect();
    let details = if channel.details { "with" } else { "without" };
    format!("by {}, of {}, {details} names and addresses", channel.kind, joined(&on, "and"))
}

fn about_backend(config: &Config) -> String {
    let what = match config.global.backend {
        BackendChoice::None => return "Nothing is mapped (mapping_backend 'none').\n".into(),
        BackendChoice::Auto => {
            "carried by OpenWrt's firewall (fw4) where it is, elsewhere by an nftables table of our own"
        }
        BackendChoice::Service => "carried by OpenWrt's firewall (fw4), as data of a procd service",
        BackendChoice::Uci => "carried by OpenWrt's firewall (fw4), as redirects in /etc/config/firewall",
        BackendChoice::Nft => "carried by an nftables table of our own",
    };
    let then = if config.global.leaves_mappings() { "stay" } else { "go" };
    format!("Mappings are {what}; they {then} when the agent stops.\n")
}

/// `a`, `a and b`, `a, b and c`.
fn joined<T: Display>(items: &[T], word: &str) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        match index {
            0 => {}
            _ if index + 1 == items.len() => {
                let _ = write!(text, " {word} ");
            }
            _ => text.push_str(", "),
        }
        let _ = write!(text, "{item}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_people_write_them() {
        assert_eq!(joined::<&str>(&[], "and"), "");
        assert_eq!(joined(&["a"], "and"), "a");
        assert_eq!(joined(&["a", "b"], "or"), "a or b");
        assert_eq!(joined(&[Family::V4, Family::V6, Family::V4], "and"), "IPv4, IPv6 and IPv4");
    }
}
