//! Sections into a [`Config`], and everything that is wrong with them, all at once. A faulty section is left
//! out, and so is what cannot be without it; the rest stands.

use super::nearest::did_you_mean;
use super::read::{Fields, Problems, Reader};
use super::schema::{self, SectionRow, SECTIONS};
use super::uci::{self, Section};
use super::value::{self, quoted};
use super::{BackendChoice, Camera, Config, Device, Global, Mapping, Network, Problem, Record, Wan};
use crate::model::Family;
use crate::provider::Entry;
use crate::secret::Secret;
use std::net::IpAddr;

/// What secrets may be read from besides the file itself.
pub trait Sources {
    /// The first line of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in plain words, without anything of its content.
    fn first_line(&self, path: &str) -> Result<String, String>;
    /// An environment variable, if it is set.
    fn var(&self, name: &str) -> Option<String>;
}

/// A configuration, as far as it is good, and what is wrong with the rest.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Only enabled, faultless sections.
    pub config: Config,
    /// In order of line.
    pub problems: Vec<Problem>,
    /// Every secret that was met, also of sections that are left out: for the redactor.
    pub secrets: Vec<Secret>,
    /// What is left out because of a fault: `record 'home'`.
    pub left_out: Vec<String>,
}

/// Reads a file's text. `file` is its path, for the problems. Never fails as a whole, never panics.
pub fn load(text: &str, file: &str, providers: &[Entry], sources: &dyn Sources) -> Loaded {
    let parsed = uci::parse(text, file);
    let problems = Problems::new(file, parsed.problems);
    let reader = Reader { providers, sources, problems, secrets: Vec::new() };
    let mut loader = Loader { reader, known: Vec::new(), loaded: Loaded::default() };
    loader.unknown_sections(&parsed.sections);
    for row in SECTIONS {
        for section in parsed.sections.iter().filter(|section| section.kind == row.kind) {
            loader.section(row, section);
        }
        if row.kind == "wan" && !loader.known.iter().any(|known| known.kind == row.kind) {
            let text =
                "there is no wan section; write one: config wan 'wan', and below it option device 'auto' \
                        (or the device's name)";
            loader.reader.problems.error(0, text);
        }
    }
    let Loader { reader, mut loaded, .. } = loader;
    loaded.problems = reader.problems.sorted();
    loaded.secrets = reader.secrets;
    loaded
}

/// What became of a section, for those that refer to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// The owner switched it off, or all that it needs.
    Off,
    /// It has an error, or what it needs has.
    Faulty,
}

struct Known {
    kind: &'static str,
    name: String,
    line: usize,
    fate: Fate,
}

struct Loader<'a> {
    reader: Reader<'a>,
    known: Vec<Known>,
    loaded: Loaded,
}

impl<'a> Loader<'a> {
    fn unknown_sections(&mut self, sections: &[Section]) {
        for section in sections.iter().filter(|section| schema::section(&section.kind).is_none()) {
            let near = did_you_mean(&section.kind, SECTIONS.iter().map(|row| row.kind));
            let text = format!("section type {} is not known and has no effect{near}", quoted(&section.kind));
            self.reader.problems.warning(section.line, text);
        }
    }

    /// Reads one section and keeps it, if it is good and on.
    fn section(&mut self, row: &'static SectionRow, section: &'a Section) {
        let mut fields = self.reader.read(row, section);
        let name = section.name.clone().or_else(|| own_name(&fields)).unwrap_or_default();
        if section.name.is_none() && !name.is_empty() {
            fields.title = format!("section {} '{name}'", row.kind);
        }
        if !row.built && fields.enabled {
            self.reader.fault(&mut fields, "", "not built yet; take it out, or write option enabled '0'");
        }
        self.same_name(&mut fields, &name);
        let kept = match row.kind {
            "porchlight" => self.global(&mut fields),
            "wan" => self.wan(&mut fields, &name),
            "record" => self.record(&mut fields, &name),
            "camera" => self.camera(&mut fields, &name),
            "mapping" => self.mapping(&mut fields, &name),
            _ => None,
        };
        let fate = match kept {
            _ if fields.faulty => Fate::Faulty,
            Some(Fate::Good) if fields.enabled => Fate::Good,
            _ => Fate::Off,
        };
        if fate == Fate::Faulty && row.kind != "porchlight" {
            self.loaded.left_out.push(fields.title.trim_start_matches("section ").to_string());
        }
        self.known.push(Known { kind: row.kind, name, line: section.line, fate });
    }

    /// Two sections of one type must not be called the same (libuci sees to it for those with a name).
    fn same_name(&mut self, fields: &mut Fields, name: &str) {
        let same = self.known.iter().find(|known| known.kind == fields.row.kind && known.name == name);
        if let Some(same) = same.filter(|_| !name.is_empty() && fields.row.kind != "porchlight") {
            let text = format!(
                "the section in line {} is called so too; give this one a name of its own",
                same.line
            );
            self.reader.fault(fields, "", &text);
        }
    }

    /// The one section `porchlight`. A faulty option of it takes its default, except that nothing is mapped
    /// by a guess: a faulty `mapping_backend` is `none`.
    fn global(&mut self, fields: &mut Fields) -> Option<Fate> {
        if self.known.iter().any(|known| known.kind == fields.row.kind) {
            self.reader.fault(
                fields,
                "",
                "there is another section porchlight before it; this one has no effect",
            );
            return None;
        }
        let usual = Global::default();
        let duration = |name: &str| fields.one(name).and_then(|text| value::duration(text).ok());
        let backend = match fields.one("mapping_backend") {
            _ if fields.wrote("mapping_backend") && !fields.has("mapping_backend") => BackendChoice::None,
            Some("nft") => BackendChoice::Nft,
            Some("none") => BackendChoice::None,
            _ => BackendChoice::Auto,
        };
        self.loaded.config.global = Global {
            enabled: fields.enabled,
            log_level: fields.one("log_level").and_then(|word| word.parse().ok()).unwrap_or(usual.log_level),
            check_interval: duration("check_interval").unwrap_or(usual.check_interval),
            debounce: duration("debounce").unwrap_or(usual.debounce),
            timeout: duration("timeout").unwrap_or(usual.timeout),
            cacert: fields.one("cacert").map_or(usual.cacert, str::to_string),
            backend,
            keep_on_stop: fields.flag("keep_on_stop"),
        };
        Some(Fate::Good)
    }

    fn wan(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        if !fields.wrote("device") && !fields.wrote("interface") && !fields.section.faulty {
            self.reader.fault(fields, "device", "is missing; write the device's name, or 'auto'");
        }
        let device: Device = fields.one("device").and_then(|text| value::device(text).ok())?;
        let wan = Wan {
            name: name.to_string(),
            device,
            families: families(fields),
            accept: fields.list("accept").into_iter().filter_map(Network::parse).collect(),
        };
        keep(fields, &mut self.loaded.config.wans, wan)
    }

    fn record(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        let domains: Vec<String> = fields.list("domain").into_iter().map(str::to_string).collect();
        let zone = fields.one("zone").map(str::to_string);
        if let Some(zone) = &zone {
            let inside = |name: &str| {
                name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            for stranger in domains.iter().filter(|name| !inside(name)) {
                self.reader.fault(
                    fields,
                    "zone",
                    &format!("{} is not in the zone '{zone}'", quoted(stranger)),
                );
            }
        }
        let provider = fields
            .one("provider")
            .and_then(|name| self.reader.providers.iter().find(|entry| entry.name == name));
        let families = self.record_families(fields, provider);
        let ttl = fields.one("ttl").and_then(|text| value::duration(text).ok());
        if ttl.is_some_and(|ttl| ttl.subsec_millis() != 0) {
            self.reader.fault(fields, "ttl", "is not a whole number of seconds");
        }
        let wans = self.record_wans(fields);
        if fields.enabled {
            self.same_domain(fields, name, &domains, &families);
        }
        let wans = wans?;
        self.families_of_wans(fields, &wans, &families);
        let record = Record {
            name: name.to_string(),
            provider: provider?.name.to_string(),
            domains,
            wans,
            families,
            ttl: ttl.and_then(|ttl| u32::try_from(ttl.as_secs()).ok()),
            zone,
            options: fields.options.clone(),
        };
        keep(fields, &mut self.loaded.config.records, record)
    }

    /// The families that are wanted and that the provider can publish.
    fn record_families(&mut self, fields: &mut Fields, provider: Option<&Entry>) -> Vec<Family> {
        let mut wanted = families(fields);
        let Some(entry) = provider else { return wanted };
        wanted.retain(|family| entry.families.contains(family));
        if wanted.is_empty() {
            let can =
                entry.families.iter().map(|family| family.to_string()).collect::<Vec<_>>().join(" and ");
            self.reader.fault(fields, "family", &format!("provider {} publishes {can} only", entry.name));
        }
        wanted
    }

    /// The WANs whose address a record follows. `None` if none is left; then it has been said why.
    fn record_wans(&mut self, fields: &mut Fields) -> Option<Vec<String>> {
        let written: Vec<String> = fields.list("wan").into_iter().map(str::to_string).collect();
        if !fields.has("wan") && fields.wrote("wan") {
            return None;
        }
        let all = || self.known.iter().filter(|known| known.kind == "wan").map(|known| known.name.clone());
        let names = if written.is_empty() { all().collect() } else { written };
        let (mut good, mut off, mut faulty, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), false);
        for name in names {
            match self.fate("wan", &name) {
                Some(Fate::Good) => good.push(name),
                Some(Fate::Off) => off.push(name),
                Some(Fate::Faulty) => faulty.push(name),
                None => {
                    unknown = true;
                    let text = self.no_such("wan", &name);
                    self.reader.fault(fields, "wan", &text);
                }
            }
        }
        if !fields.enabled || unknown {
            return None;
        }
        let faulty_ones = faulty.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        match (good.is_empty(), faulty.is_empty(), off.is_empty()) {
            (false, true, _) => {}
            (false, false, _) => {
                self.reader.warn(fields, "", &format!("goes without wan {faulty_ones}, which has an error"))
            }
            (true, false, _) => {
                self.reader.fault(fields, "", &format!("left out, because wan {faulty_ones} has an error"))
            }
            (true, true, false) => self.reader.warn(fields, "", "rests, because every wan of it is disabled"),
            (true, true, true) => self.reader.fault(fields, "", "left out, because there is no wan section"),
        }
        Some(good).filter(|good| !good.is_empty())
    }

    /// A record that wants a family which none of its WANs has.
    fn families_of_wans(&mut self, fields: &Fields, wans: &[String], families: &[Family]) {
        let has = |family: &Family| {
            let mut own = self.loaded.config.wans.iter().filter(|wan| wans.contains(&wan.name));
            own.any(|wan| wan.families.contains(family))
        };
        if !families.is_empty() && !families.iter().any(has) {
            self.reader.warn(
                fields,
                "family",
                "is never published, because no wan of the record has that family",
            );
        }
    }

    /// One name and family is kept right by one record only: two would fight over it.
    fn same_domain(&mut self, fields: &mut Fields, name: &str, domains: &[String], families: &[Family]) {
        for domain in domains {
            let other = self.loaded.config.records.iter().find(|other| {
                other.domains.contains(domain)
                    && other.families.iter().any(|family| families.contains(family))
            });
            let Some(other) = other.filter(|other| other.name != name) else { continue };
            let text = format!(
                "{} is kept right by record '{}' already, in the same family",
                quoted(domain),
                other.name
            );
            self.reader.fault(fields, "domain", &text);
        }
    }

    fn camera(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        if !["mac", "name", "ip"].iter().any(|way| fields.wrote(way)) && !fields.section.faulty {
            self.reader.fault(
                fields,
                "",
                "nothing says which device it is; write list mac, option name or option ip",
            );
        }
        let mut records = Vec::new();
        for record in fields.list("record") {
            match self.fate("record", record) {
                Some(Fate::Good) => records.push(record.to_string()),
                Some(Fate::Off) => {}
                Some(Fate::Faulty) => {
                    let text =
                        format!("record {} has an error and is not shown for this camera", quoted(record));
                    self.reader.warn(fields, "record", &text);
                }
                None => {
                    let text = self.no_such("record", record);
                    self.reader.warn(fields, "record", &format!("{text}; nothing is shown for it"));
                }
            }
        }
        let camera = Camera {
            name: name.to_string(),
            macs: fields.list("mac").into_iter().filter_map(|text| value::mac(text).ok()).collect(),
            host: fields.one("name").map(str::to_string),
            ip: fields.one("ip").and_then(|text| value::target(text).ok()).map(IpAddr::V4),
            records,
        };
        keep(fields, &mut self.loaded.config.cameras, camera)
    }

    fn mapping(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        for (zone, usual) in [("src", "wan"), ("dest", "lan")] {
            if fields.one(zone) != Some(usual) && fields.has(zone) {
                self.reader.warn(
                    fields,
                    zone,
                    "has no effect: firewall zones are fw4's, and this version does not map by fw4",
                );
            }
        }
        let sources: Vec<Network> = fields.list("src_ip").into_iter().filter_map(Network::parse).collect();
        if let Some(net) = sources.iter().find(|net| net.addr.is_ipv6()) {
            self.reader.fault(fields, "src_ip", &format!("'{net}' is IPv6, and the mapping is IPv4"));
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
        let runs = self.mapping_camera(fields);
        let mapping = Mapping {
            name: name.to_string(),
            camera: fields.one("camera").unwrap_or_default().to_string(),
            protos: fields.list("proto").into_iter().filter_map(value::proto).collect(),
            src_dport: src_dport?,
            dest_port: dest_port?,
            sources,
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
            Some(Fate::Faulty) if fields.enabled => {
                let text = format!("left out, because camera {} has an error", quoted(&camera));
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

    fn fate(&self, kind: &str, name: &str) -> Option<Fate> {
        let mut same = self.known.iter().filter(|known| known.kind == kind && known.name == name);
        same.next().map(|known| known.fate)
    }

    /// `there is no camera 'frnt'; did you mean 'front'?`
    fn no_such(&self, kind: &str, name: &str) -> String {
        let names = self.known.iter().filter(|known| known.kind == kind).map(|known| known.name.as_str());
        format!("there is no {kind} {}{}", quoted(name), did_you_mean(name, names))
    }
}

/// What a section without a name is called.
fn own_name(fields: &Fields) -> Option<String> {
    let first = |name: &str| fields.one(name).map(str::to_string);
    match fields.row.kind {
        "wan" => first("device"),
        "record" => first("domain"),
        "camera" => first("mac").or_else(|| first("name")).or_else(|| first("ip")),
        "mapping" => Some(format!("{}_{}", first("camera")?, first("src_dport")?)),
        "porchlight" => Some("global".into()),
        _ => None,
    }
}

fn families(fields: &Fields) -> Vec<Family> {
    fields.one("family").map_or(Family::BOTH.to_vec(), value::families)
}

fn count((first, last): (u16, u16)) -> u32 {
    u32::from(last) - u32::from(first) + 1
}

/// Takes a section into the configuration, unless it is faulty or off.
fn keep<T>(fields: &Fields, list: &mut Vec<T>, section: T) -> Option<Fate> {
    if fields.faulty || !fields.enabled {
        return None;
    }
    list.push(section);
    Some(Fate::Good)
}
