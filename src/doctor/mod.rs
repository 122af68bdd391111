//! `porchlight doctor`: the chain from the configuration to the camera, link by link. Here: the links, what is found at
//! one, and how that is told (docs/doctor.md). Pure: what is sensed is handed in by `cli/doctor`.

pub mod door;
#[cfg(test)]
mod judgements;
pub mod names;
pub mod ways;

use crate::config::{Config, Record, Wan};
use crate::model::{Family, Now, Reach, RecordId, World};
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::reach::reach;
use crate::state::{Known, State};
use crate::wire::json::{array, Json, Object};
use crate::wire::rtnl::Link as Device;
use std::fmt::Write as _;
use std::net::IpAddr;

/// The longest name of a link, for the column.
const COLUMN: usize = 12;

/// A link of the chain.
pub struct Link {
    /// Its name, in the output and in the JSON.
    pub name: &'static str,
    /// What must hold, for the documentation.
    pub about: &'static str,
    /// Links without which it cannot be judged.
    pub needs: &'static [&'static str],
}

const fn link(name: &'static str, needs: &'static [&'static str], about: &'static str) -> Link {
    Link { name, about, needs }
}

/// The chain. A break shows up in what comes after it, hence the order.
pub const LINKS: [Link; 21] = [
    link("config", &[], "the configuration can be read and has no fault"),
    link("agent", &["config"], "the agent runs, on that configuration, and hears"),
    link("device", &["config"], "the device of a WAN is there, switched on, and has a carrier"),
    link("address", &["device"], "there is an address that the internet reaches"),
    link("gateway", &["device", "address"], "there is a default route, and its next hop answers"),
    link("resolver", &["gateway"], "the resolvers answer, and invent nothing"),
    link("servers", &["resolver"], "the zone's name servers are found and answer, themselves"),
    link("clock", &["config"], "the clock has been set"),
    link("trust", &["config"], "the certificates by which servers are known can be read"),
    link("shadow", &["address", "servers"], "no CNAME, wildcard or stray record shadows a name"),
    link(
        "provider",
        &["address", "resolver", "clock", "trust", "shadow"],
        "the provider is reached and takes what we are known by",
    ),
    link("record", &["servers", "shadow", "provider"], "the zone's name servers have the right address"),
    link("public", &["record"], "so have the resolvers that people ask"),
    link("camera", &["config"], "each camera is there, answers, and asks for a password"),
    link("port", &["camera"], "nobody else has the public port"),
    link("rule", &["camera", "port"], "the kernel's packet filter has the mapping"),
    link("drop", &["camera"], "no other table drops what the mapping lets in"),
    link("hairpin", &["address", "rule"], "the name works from inside, too"),
    link("upstream", &["agent"], "a router in front of this one sends the ports on"),
    link("tunnel", &["agent"], "the tunnels stand"),
    link("room", &[], "there is memory, and room in tmpfs, and the state can be written"),
];

/// How a link is. The worst of a chain is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It could not be judged, or there is nothing to judge.
    NotAsked,
    /// It works, but not well, or not for long.
    Warning,
    /// The chain ends here.
    Broken,
}

impl Grade {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::NotAsked => "not asked",
            Grade::Warning => "warning",
            Grade::Broken => "broken",
        }
    }
}

/// What is found at a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub grade: Grade,
    /// What is so, in one sentence.
    pub what: String,
    /// How we know. Empty where all is well.
    pub known: String,
    /// What to do. Empty where nothing is to be done.
    pub mend: String,
}

impl Finding {
    /// All is well.
    pub fn ok(what: impl Into<String>) -> Finding {
        Finding::new(Grade::Ok, what.into(), String::new(), String::new())
    }

    /// It is not judged, and why.
    pub fn not_asked(what: impl Into<String>) -> Finding {
        Finding::new(Grade::NotAsked, what.into(), String::new(), String::new())
    }

    /// It works, but.
    pub fn warning(what: impl Into<String>, known: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::new(Grade::Warning, what.into(), known.into(), mend.into())
    }

    /// It does not work.
    pub fn broken(what: impl Into<String>, known: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::new(Grade::Broken, what.into(), known.into(), mend.into())
    }

    fn new(grade: Grade, what: String, known: String, mend: String) -> Finding {
        Finding { grade, what, known, mend }
    }

    /// The worst of several about one link, the first of them where some are equal; `well` where there is none.
    pub fn worst(all: Vec<Finding>, well: &str) -> Finding {
        let worse = |a: Finding, b: Finding| if b.grade > a.grade { b } else { a };
        all.into_iter().reduce(worse).unwrap_or_else(|| Finding::ok(well))
    }
}

/// A link and what was found.
pub struct Told {
    /// The link's name.
    pub link: &'static str,
    /// What was found there.
    pub finding: Finding,
}

/// The broken link for which this one cannot be judged, if there is one.
pub fn blocked(link: &Link, told: &[Told]) -> Option<&'static str> {
    let one = |name: &&'static str| {
        let grade = told.iter().find(|told| told.link == *name).map(|told| told.finding.grade);
        match grade {
            Some(Grade::Broken) => Some(*name),
            Some(Grade::NotAsked) => {
                LINKS.iter().find(|link| link.name == *name).and_then(|link| blocked(link, told))
            }
            _ => None,
        }
    };
    link.needs.iter().find_map(one)
}

/// The first broken link; where none is, the first with a warning.
pub fn first(told: &[Told]) -> Option<&Told> {
    let of = |grade| told.iter().find(move |told| told.finding.grade == grade);
    of(Grade::Broken).or_else(|| of(Grade::Warning))
}

/// 0: all is well. 1: a link is broken. 2: the first one, the configuration, is. 3: there are warnings only.
pub fn exit_code(told: &[Told]) -> u8 {
    match first(told) {
        None => 0,
        Some(told) if told.finding.grade == Grade::Warning => 3,
        Some(told) if told.link == "config" => 2,
        Some(_) => 1,
    }
}

/// One line a link, then the first that is not well in full.
pub fn text(told: &[Told]) -> String {
    let mut text = String::new();
    for Told { link, finding } in told {
        let _ = writeln!(text, "{:<10} {link:<COLUMN$} {}", finding.grade.word(), finding.what);
    }
    match first(told) {
        Some(Told { link, finding }) => {
            let _ = write!(
                text,
                "\nThe first link that is {}: {link}\n  what    {}\n  known   {}\n  do      {}\n",
                if finding.grade == Grade::Broken { "broken" } else { "not well" },
                finding.what,
                finding.known,
                finding.mend
            );
        }
        None => text.push_str("\nThe chain holds.\n"),
    }
    text
}

/// The same for programs, as docs/doctor.md describes it.
pub fn json(told: &[Told]) -> String {
    let one = |Told { link, finding }: &Told| {
        let mut object =
            Object::new().str("link", link).str("grade", finding.grade.word()).str("what", &finding.what);
        for (key, value) in [("known", &finding.known), ("mend", &finding.mend)] {
            if !value.is_empty() {
                object = object.str(key, value);
            }
        }
        object.end()
    };
    let worst = told.iter().map(|told| told.finding.grade).filter(|grade| *grade != Grade::NotAsked).max();
    let mut object = Object::new()
        .str("version", env!("CARGO_PKG_VERSION"))
        .str("worst", worst.unwrap_or(Grade::Ok).word())
        .num("exit_code", exit_code(told).into());
    if let Some(first) = first(told) {
        object = object.str("first", first.link);
    }
    object.raw("links", &array(told.iter().map(one))).end() + "\n"
}

/// What judgements are made by, beside what is asked for one of them alone.
pub struct Facts {
    /// What is good of the configuration.
    pub config: Config,
    /// What the kernel, netifd and the lease files say.
    pub world: World,
    /// What the agent remembers, cameras brought up to date.
    pub state: State,
    /// What the running agent says of itself.
    pub status: Json,
    /// The kernel's devices.
    pub devices: Vec<Device>,
    /// When.
    pub now: Now,
}

impl Facts {
    /// What makes the agent take the configuration in and look again, as a command.
    pub fn again(&self) -> &'static str {
        if self.config.global.resident {
            "service porchlight reload"
        } else {
            "porchlight trigger"
        }
    }

    /// The same, to be read after something else was mended.
    pub fn again_mend(&self) -> String {
        format!("do what it says, then `{}`", self.again())
    }

    /// The part of the agent's status about one thing, by its name.
    pub fn said<'a>(&'a self, list: &str, key: &str, name: &str) -> &'a Json {
        let found = self.status.get(list).items().iter().find(|item| item.get(key).str() == Some(name));
        found.unwrap_or(&Json::Null)
    }

    /// The part of the agent's status about one record.
    pub fn said_of(&self, id: &RecordId) -> &Json {
        let is_it = |item: &&Json| {
            item.get("record").str() == Some(&id.record)
                && item.get("domain").str() == Some(&id.domain)
                && item.get("type").str() == Some(id.family.rtype())
        };
        self.status.get("records").items().iter().find(is_it).unwrap_or(&Json::Null)
    }

    /// What a record should say, or why nothing: what the agent wants, as it has heard witnesses and the router above;
    /// without one, what the interface alone tells, or what an earlier pass has found.
    ///
    /// # Errors
    /// Why there is none, in plain words.
    pub fn want(&self, record: &Record, id: &RecordId) -> Result<IpAddr, String> {
        let told = self.said_of(id);
        if let Some(addr) = told.get("wanted").str().and_then(|text| text.parse().ok()) {
            return Ok(addr);
        }
        match wish(&self.config, &self.world, &self.state, record, id.family) {
            Wish::Address(addr) => Ok(addr),
            Wish::Wait(why) => match self.state.records.get(id).map(|memory| memory.known) {
                Some(Known::Remembered(addr)) if self.is_remembered(record) => Ok(addr),
                _ => Err(why),
            },
        }
    }

    /// Whether one of the record's WANs has a private address, and no agent says what witnesses see: what was published
    /// before is all there is to go by.
    pub fn is_remembered(&self, record: &Record) -> bool {
        let is_private = |wan: &Wan| {
            let line = self.world.wans.get(&wan.name).map(|world| world.v4).unwrap_or_default();
            line.route && line.addr.seen().is_some_and(|addr| reach(addr, &wan.accept) == Reach::Nat)
        };
        self.status.is_null()
            && self.config.wans.iter().any(|wan| record.wans.contains(&wan.name) && is_private(wan))
    }

    /// Every record with what it should say; those left out that have nothing to say.
    pub fn wanted(&self) -> Vec<(&Record, RecordId, IpAddr)> {
        let mut wanted = Vec::new();
        for record in &self.config.records {
            for id in ids(record) {
                if let Ok(addr) = self.want(record, &id) {
                    wanted.push((record, id, addr));
                }
            }
        }
        wanted
    }

    /// Whether some section keeps this name in this family.
    pub fn keeps(&self, domain: &str, family: Family) -> bool {
        let is_it = |record: &Record| {
            record.families.contains(&family) && record.domains.iter().any(|known| known == domain)
        };
        self.config.records.iter().any(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(findings: &[(&'static str, Grade)]) -> Vec<Told> {
        let one = |(link, grade): &(&'static str, Grade)| Told {
            link,
            finding: Finding { grade: *grade, ..Finding::broken("w", "k", "m") },
        };
        findings.iter().map(one).collect()
    }

    #[test]
    fn every_need_is_an_earlier_link() {
        for (at, link) in LINKS.iter().enumerate() {
            assert!(link.name.len() < COLUMN);
            let before = &LINKS[..at];
            assert!(
                link.needs.iter().all(|need| before.iter().any(|one| one.name == *need)),
                "{}",
                link.name
            );
        }
    }

    #[test]
    fn what_depends_on_a_break_is_not_asked_however_far_it_is() {
        let of = |name: &str| LINKS.iter().find(|link| link.name == name).unwrap();
        let all = told(&[
            ("config", Grade::Ok),
            ("device", Grade::Ok),
            ("address", Grade::Ok),
            ("gateway", Grade::Broken),
            ("resolver", Grade::NotAsked),
            ("servers", Grade::NotAsked),
            ("camera", Grade::NotAsked),
        ]);
        assert_eq!(blocked(of("resolver"), &all), Some("gateway"));
        assert_eq!(blocked(of("record"), &all), Some("gateway"));
        assert_eq!(blocked(of("camera"), &all), None);
        assert_eq!(blocked(of("rule"), &all), None, "not asked for a reason of its own");
    }

    #[test]
    fn the_first_break_goes_before_an_earlier_warning_and_sets_the_code() {
        let code = |list: &[(&'static str, Grade)]| {
            let told = told(list);
            (first(&told).map(|told| told.link), exit_code(&told))
        };
        assert_eq!(code(&[("config", Grade::Ok), ("tunnel", Grade::NotAsked)]), (None, 0));
        assert_eq!(code(&[("clock", Grade::Warning), ("record", Grade::Broken)]), (Some("record"), 1));
        assert_eq!(code(&[("clock", Grade::Warning), ("trust", Grade::Warning)]), (Some("clock"), 3));
        assert_eq!(code(&[("config", Grade::Broken)]), (Some("config"), 2));
    }

    #[test]
    fn as_text_and_as_json() {
        let told = vec![
            Told { link: "config", finding: Finding::ok("1 record") },
            Told { link: "gateway", finding: Finding::broken("silent", "asked", "call \"them\"") },
        ];
        assert_eq!(
            text(&told),
            "ok         config       1 record\nbroken     gateway      silent\n\n\
             The first link that is broken: gateway\n  what    silent\n  known   asked\n  do      call \"them\"\n"
        );
        let json = Json::parse(&json(&told)).unwrap();
        assert_eq!((json.get("worst").str(), json.get("first").str()), (Some("broken"), Some("gateway")));
        assert_eq!(json.get("exit_code").num(), Some(1));
        assert!(json.get("links").at(0).get("mend").is_null());
        assert_eq!(json.get("links").at(1).get("mend").str(), Some("call \"them\""));
        assert!(text(&told[..1]).ends_with("\nThe chain holds.\n"));
    }
}
