//! Section `mapping`: which ports lead to which camera; and that no port leads to two places.

use super::{keep, quoted, value, BackendChoice, Fate, Fields, Loader, Mapping, Network, Probe};
use crate::config::is_zone;

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
        if let Some(net) = sources.iter().find(|net| net.addr.is_ipv6()) {
            self.reader.fault_at(
                fields,
                "src_ip",
                fields.line_of("src_ip", &net.to_string()),
                &format!("'{net}' is IPv6, and the mapping is IPv4"),
            );
        }
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
            camera: fields.one("camera").unwrap_or_default().to_string(),
            protos: fields.list("proto").into_iter().filter_map(value::proto).collect(),
            src_dport: src_dport?,
            dest_port: dest_port?,
            sources,
            src: fields.one("src").unwrap_or_default().to_string(),
            dest: fields.one("dest").unwrap_or_default().to_string(),
            probe: match fields.one("probe") {
                Some("http") => Probe::Http,
                Some("tcp") => Probe::Tcp,
                Some("none") => Probe::None,
                _ => Probe::Rtsp,
            },
            path: fields.one("path").unwrap_or("/").to_string(),
            probe_interval: fields.one("probe_interval").and_then(|text| value::duration(text).ok())?,
            allow_open: fields.flag("allow_open"),
        };
        if fields.enabled {
            self.same_port(fields, &mapping);
        }
        if !runs {
            return None;
        }
        keep(fields, &mut self.loaded.config.mappings, mapping)
    }

    /// Whether the mapping's camera is there; if not, it has been said why.
    fn mapping_camera(&mut self, fields: &mut Fields) -> bool {
        let Some(camera) = fields.one("camera").map(str::to_string) else { return false };
        match self.fate("camera", &camera) {
            Some(Fate::Good) => return true,
            Some(Fate::Off) if fields.enabled => {
                self.reader.warn(
                    fields,
                    "camera",
                    &format!("{} is disabled, so the mapping is closed", quoted(&camera)),
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

    /// One port and protocol leads to one place only.
    fn same_port(&mut self, fields: &mut Fields, mapping: &Mapping) {
        let (first, last) = mapping.src_dport;
        let clash = self.loaded.config.mappings.iter().find(|other| {
            let overlap = other.src_dport.0 <= last && first <= other.src_dport.1;
            overlap && other.protos.iter().any(|proto| mapping.protos.contains(proto))
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
