//! Sections into a [`Config`], and everything that is wrong with them, all at once. A faulty section is left
//! out, and so is what cannot be without it; the rest stands.

mod mapping;
mod notify;
mod outside;
mod record;
mod resident;
mod tunnel;
mod witness;

use super::nearest::did_you_mean;
use super::read::{Fields, Problems, Reader};
use super::schema::{self, SectionRow, SECTIONS};
use super::uci::{self, Section};
use super::value::{self, quoted, sentence};
use super::{
    BackendChoice, Camera, Config, Device, Global, Mapping, Network, Notify, Probe, Problem, Record,
    Severity, Upstream, Wan,
};
use crate::model::Family;
use crate::provider::Entry;
use crate::secret::Secret;
use resident::NeedsDaemon;
use std::net::IpAddr;

/// The most interfaces of netifd that one WAN may have.
const INTERFACES_CAP: usize = 8;

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

/// Neither files nor variables.
impl Sources for () {
    fn first_line(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".into())
    }

    fn var(&self, _: &str) -> Option<String> {
        None
    }
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
    let mut loader =
        Loader { reader, known: Vec::new(), daemon: NeedsDaemon::default(), loaded: Loaded::default() };
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
    loader.resident();
    let Loader { reader, mut loaded, .. } = loader;
    loaded.problems = reader.problems.sorted();
    loaded.config.faulty = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
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
    daemon: NeedsDaemon,
    loaded: Loaded,
}

impl<'a> Loader<'a> {
    fn unknown_sections(&mut self, sections: &[Section]) {
        for section in sections.iter().filter(|section| schema::section(&section.kind).is_none()) {
            let near = did_you_mean(&section.kind, &mut SECTIONS.iter().map(|row| row.kind));
            let text = format!("section type {} is not known and has no effect{near}", quoted(&section.kind));
            self.reader.problems.warning(section.line, text);
        }
    }

    /// Reads one section and keeps it, if it is good and on.
    fn section(&mut self, row: &'static SectionRow, section: &'a Section) {
        let mut fields = self.reader.read(row, section);
        let name = fields.name.clone();
        if !row.built && fields.enabled {
            self.reader.fault(&mut fields, "", "not built yet; take it out, or write option enabled '0'");
        }
        self.same_name(&mut fields, &name);
        self.note_daemon(&fields);
        let kept = match row.kind {
            "porchlight" => self.global(&mut fields),
            "wan" => self.wan(&mut fields, &name),
            "record" => self.record(&mut fields, &name),
            "camera" => self.camera(&mut fields, &name),
            "mapping" => self.mapping(&mut fields, &name),
            "tunnel" => self.tunnel(&mut fields, &name),
            "notify" => self.notify(&mut fields, &name),
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
        let backend = match fields.one("mapping_backend") {
            _ if fields.wrote("mapping_backend") && !fields.has("mapping_backend") => {
                self.reader.warn(fields, "mapping_backend", "nothing is mapped until this is mended");
                BackendChoice::None
            }
            Some("nft") => BackendChoice::Nft,
            Some("service") => BackendChoice::Service,
            Some("uci") => BackendChoice::Uci,
            Some("none") => BackendChoice::None,
            _ => BackendChoice::Auto,
        };
        let upstream = match fields.one("upstream") {
            _ if !fields.flag("resident") => Upstream::Off,
            Some("on") => Upstream::On,
            Some("off") => Upstream::Off,
            _ => usual.upstream,
        };
        self.loaded.config.global = Global {
            enabled: fields.enabled,
            log_level: fields.one("log_level").and_then(|word| word.parse().ok()).unwrap_or(usual.log_level),
            resident: fields.flag("resident"),
            check_interval: fields.duration("check_interval").unwrap_or(usual.check_interval),
            debounce: fields.duration("debounce").unwrap_or(usual.debounce),
            timeout: fields.duration("timeout").unwrap_or(usual.timeout),
            cacert: fields.text("cacert").unwrap_or(usual.cacert),
            backend,
            upstream,
            keep_on_stop: fields.flag("keep_on_stop"),
            probe_url: self.probe_url(fields),
        };
        Some(Fate::Good)
    }

    fn wan(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        self.one_way(fields);
        let interfaces = fields.texts("interface");
        let device = match fields.one("device") {
            Some(text) => value::device(text).ok()?,
            None if interfaces.is_empty() => return None,
            None => Device::Interfaces(interfaces),
        };
        let accept = fields.list("accept").into_iter().filter_map(Network::parse).collect();
        let mut wan = Wan::plain(name, device, families(fields), accept);
        self.witnesses(fields, &mut wan);
        keep(fields, &mut self.loaded.config.wans, wan)
    }

    /// A WAN is known by interfaces of netifd, or else by a device: one of the two, and neither is a guess for the
    /// other.
    fn one_way(&mut self, fields: &mut Fields) {
        let (device, interface) = (fields.wrote("device"), fields.wrote("interface"));
        let count = fields.list("interface").len();
        if device && interface {
            let text = "list interface says which device it is; take one of the two out";
            self.reader.fault(fields, "device", text);
        } else if count > INTERFACES_CAP {
            let text = format!("has {count} values; {INTERFACES_CAP} are the most");
            self.reader.fault(fields, "interface", &text);
        } else if !device && !interface && !fields.section.faulty {
            let text =
                "is missing; write the device's name, or 'auto', or list interface with netifd's names";
            self.reader.fault(fields, "device", text);
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
            let line = fields.line_of("record", record);
            match self.fate("record", record) {
                Some(Fate::Good) => records.push(record.to_string()),
                Some(Fate::Off) => {}
                Some(Fate::Faulty) => {
                    let text =
                        format!("record {} has an error and is not shown for this camera", quoted(record));
                    self.reader.warn_at(fields, "record", line, &text);
                }
                None => {
                    let text = self.no_such("record", record);
                    self.reader.warn_at(fields, "record", line, &text);
                }
            }
        }
        let camera = Camera {
            name: name.to_string(),
            macs: fields.list("mac").into_iter().filter_map(|text| value::mac(text).ok()).collect(),
            host: fields.text("name"),
            ip: fields.one("ip").and_then(|text| value::target(text).ok()).map(IpAddr::V4),
            records,
            hostid: fields.one("hostid").and_then(|text| value::suffix(text).ok()),
            static_lease: fields.flag("static_lease"),
        };
        keep(fields, &mut self.loaded.config.cameras, camera)
    }

    fn fate(&self, kind: &str, name: &str) -> Option<Fate> {
        let mut same = self.known.iter().filter(|known| known.kind == kind && known.name == name);
        same.next().map(|known| known.fate)
    }

    /// A section's name, or where it is.
    fn called(&self, kind: &str, name: &str) -> String {
        let line = || {
            self.known
                .iter()
                .find(|known| known.kind == kind && known.name == name)
                .map_or(0, |known| known.line)
        };
        if name.is_empty() {
            format!("(line {})", line())
        } else {
            quoted(name)
        }
    }

    /// `there is no camera 'frnt'; did you mean 'front'?`
    fn no_such(&self, kind: &str, name: &str) -> String {
        let mut names = self.known.iter().filter(|known| known.kind == kind).map(|known| known.name.as_str());
        format!("there is no {kind} {}{}", quoted(name), did_you_mean(name, &mut names))
    }
}

fn families(fields: &Fields) -> Vec<Family> {
    fields.one("family").map_or(Family::BOTH.to_vec(), value::families)
}

/// Takes a section into the configuration, unless it is faulty or off.
fn keep<T>(fields: &Fields, list: &mut Vec<T>, section: T) -> Option<Fate> {
    if fields.faulty || !fields.enabled {
        return None;
    }
    list.push(section);
    Some(Fate::Good)
}
