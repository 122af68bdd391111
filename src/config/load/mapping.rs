//! Section `mapping`: which ports lead to which camera; and that no port leads to two places.

use super::{
    families, keep, quoted, sentence, value, BackendChoice, Fate, Fields, Loader, Mapping, Network, Probe,
};
use crate::config::is_zone;
use crate::config::schedule::Schedule;
use crate::model::Family;

/// The most names that one mapping may have in `list src_ip`.
const NAMES_CAP: usize = 8;

/// Ports at which everybody looks for cameras first: RTSP's, and those of web pages.
const TRIED: [u16; 4] = [554, 80, 8080, 8000];

impl Loader<'_> {
    pub(super) fn mapping(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        let zoneless = self.loaded.config.global.backend == BackendChoice::Nft;
        for (zone, usual) in [("src", "wan"), ("dest", "lan")] {
            if fields.one(zone).is_some_and(|name| !is_zone(name)) {
                self.reader.fault(fields, zone, "is no firewall zone's name: letters, digits and _ . - only");
            } else if zoneless && fields.one(zone) != Some(usual) && fields.has(zone) {
                self.reader.warn(fields, zone, "has no effect: backend nft knows no firewall zones");
            }
        }
        let sources: Vec<Network> = fields.list("src_ip").into_iter().filter_map(Network::parse).collect();
        let mut source_names = fields.texts("src_ip");
        source_names.retain(|text| Network::parse(text).is_none());
        if source_names.len() > NAMES_CAP {
            let text = format!("has {} names; {NAMES_CAP} are the most", source_names.len());
            self.reader.fault(fields, "src_ip", &text);
        }
        let families = families(fields);
        self.families_of_sources(fields, &sources, &families);
        let ports = |name: &str| fields.one(name).and_then(|text| value::ports(text).ok());
        let src_dport = ports("src_dport");
        let dest_port = ports("dest_port").or(src_dport.filter(|_| !fields.wrote("dest_port")));
        if let Some((outside, inside)) = src_dport.zip(dest_port) {
            let (many, to) = (count(outside), count(inside));
            if to != 1 && to != many {
                let text = format!("{to} ports here for {many} in src_dport; write as many, or one");
                self.reader.fault(fields, "dest_port", &text);
            }
        }
        let tried =
            src_dport.and_then(|(first, last)| TRIED.iter().find(|port| (first..=last).contains(*port)));
        if let Some(port) = tried.filter(|_| fields.enabled) {
            let text = format!("port {port} is among the first that strangers try; take one above 20000");
            self.reader.warn(fields, "src_dport", &text);
        }
        let runs = self.mapping_camera(fields);
        let mapping = Mapping {
            name: name.to_string(),
            camera: fields.text("camera").unwrap_or_default(),
            protos: fields.list("proto").into_iter().filter_map(value::proto).collect(),
            src_dport: src_dport?,
            dest_port: dest_port?,
            sources,
            source_names,
            schedule: fields.one("schedule").and_then(|text| Schedule::parse(text).ok()),
            families,
            src: fields.text("src").unwrap_or_default(),
            dest: fields.text("dest").unwrap_or_default(),
            probe: match fields.one("probe") {
                Some("http") => Probe::Http,
                Some("tcp") => Probe::Tcp,
                Some("none") => Probe::None,
                _ => Probe::Rtsp,
            },
            path: fields.text("path").unwrap_or_else(|| "/".into()),
            probe_interval: fields.duration("probe_interval")?,
            allow_open: fields.flag("allow_open"),
        };
        if fields.enabled {
            self.same_port(fields, &mapping);
        }
        if fields.enabled && runs && mapping.families.contains(&Family::V6) {
            self.ipv6_name(fields, &mapping);
        }
        if !runs {
            return None;
        }
        keep(fields, &mut self.loaded.config.mappings, mapping)
    }

    /// Whether the mapping's camera is there; if not, it has been said why.
    fn mapping_camera(&mut self, fields: &mut Fields) -> bool {
        let Some(camera) = fields.text("camera") else { return false };
        match self.fate("camera", &camera) {
            Some(Fate::Good) => return true,
            Some(Fate::Off) if fields.enabled => {
                self.reader.warn(
                    fields,
                    "camera",
                    &sentence(&camera, "is disabled, so the mapping is closed"),
                );
            }
            Some(Fate::Off) => {}
            Some(Fate::Faulty) if fields.enabled && !fields.faulty => {
                let text = format!("left out, because of an error in camera {}", quoted(&camera));
                self.reader.fault(fields, "", &text);
            }
            Some(Fate::Faulty) => {}
            None => {
                let text = self.no_such("camera", &camera);
                self.reader.fault(fields, "camera", &text);
            }
        }
        false
    }

    /// Who may come is of a family in which the mapping can be reached, and each of these is for somebody.
    fn families_of_sources(&mut self, fields: &mut Fields, sources: &[Network], families: &[Family]) {
        let strange = |net: &&Network| !families.contains(&Family::of(net.addr));
        if let ([family], Some(net)) = (families, sources.iter().find(strange)) {
            let line = fields.line_of("src_ip", &net.to_string());
            let text = format!("'{net}' is {}, and the mapping is {family}", Family::of(net.addr));
            self.reader.fault_at(fields, "src_ip", line, &text);
            return;
        }
        let nobody = |family: &&Family| sources.iter().all(|net| Family::of(net.addr) != **family);
        // A name may have addresses of both.
        let names = fields.list("src_ip").len() > sources.len();
        if let Some(family) = families.iter().find(nobody).filter(|_| !sources.is_empty() && !names) {
            let text = format!("names no {family} network, so nobody reaches the mapping by {family}");
            self.reader.warn(fields, "src_ip", &text);
        }
    }

    /// The name by which people find the camera's own IPv6 address: a name has one, so it is one camera's alone.
    fn ipv6_name(&mut self, fields: &mut Fields, mapping: &Mapping) {
        let config = &self.loaded.config;
        let Some(camera) = config.cameras.iter().find(|camera| camera.name == mapping.camera) else { return };
        let published = |name: &&String| {
            config.records.iter().any(|record| record.name == **name && record.families.contains(&Family::V6))
        };
        let names: Vec<&String> = camera.records.iter().filter(published).collect();
        let shared = names.iter().find_map(|name| {
            let other = |other: &&super::Camera| other.name != camera.name && other.records.contains(name);
            Some((*name, config.cameras.iter().find(other)?))
        });
        if let Some((record, other)) = shared {
            let text = format!(
                "record {} is that of camera {} too, and a name has one IPv6 address: give each camera a record of its own, \
                 or write option family 'ipv4' here or there",
                quoted(record),
                quoted(&other.name)
            );
            return self.reader.fault(fields, "family", &text);
        }
        // Of its other mappings it was said already.
        if config.has_ipv6(camera) {
            return;
        }
        let (named, hostid) = (!names.is_empty(), camera.hostid.is_some());
        if !named {
            let text = format!(
                "no list record of camera {} names a record that publishes IPv6 (option family there), so its IPv6 \
                 address is found by no name",
                quoted(&mapping.camera)
            );
            self.reader.warn(fields, "family", &text);
        } else if !hostid {
            let text = format!(
                "the IPv6 address of camera {} is made of its MAC (EUI-64), which shows its vendor in public DNS; with \
                 option hostid there it is another, which the camera must be set to",
                quoted(&mapping.camera)
            );
            self.reader.warn(fields, "family", &text);
        }
    }

    /// One port and protocol leads to one place only. Of IPv6 each camera has all ports of its own address.
    fn same_port(&mut self, fields: &mut Fields, mapping: &Mapping) {
        let (first, last) = mapping.src_dport;
        let clash = self.loaded.config.mappings.iter().find(|other| {
            let overlap = other.src_dport.0 <= last && first <= other.src_dport.1;
            let both = |family| other.families.contains(&family) && mapping.families.contains(&family);
            let same = both(Family::V4) || both(Family::V6) && other.camera == mapping.camera;
            same && overlap && other.protos.iter().any(|proto| mapping.protos.contains(proto))
        });
        if let Some(other) = clash {
            let text = format!("mapping '{}' has this port already, for the same protocol", other.name);
            self.reader.fault(fields, "src_dport", &text);
        }
    }
}

/// How many ports a range has.
fn count((first, last): (u16, u16)) -> u32 {
    u32::from(last) - u32::from(first) + 1
}
