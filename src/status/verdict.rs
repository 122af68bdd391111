//! Whether somebody outside reaches the cameras: the way in is walked from the internet to the camera (line, name,
//! mapping, camera), and the first link that is broken says why not and what to do.

use super::{Standing, View};
use crate::config::{Camera, Config, Mapping, Ports, Record, Wan};
use crate::model::{Family, Protection, Reach};
use crate::plan::camera::silent_since;
use crate::plan::mapping::{exposure, way, Exposure};
use crate::plan::probe::mend;
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::schedule::rests;
use crate::plan::witness::{self, standing};
use crate::plan::{six, upstream};
use crate::wire::json::{array, quoted, Object};
use std::net::{IpAddr, SocketAddr};

/// The most ways in that a sentence names; the document has them all.
const NAMED: usize = 3;

/// Whether somebody outside reaches a camera by what is configured for it; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reachable {
    /// Yes, as far as this router can know.
    Yes,
    /// Not now, as its schedule says.
    Rests,
    /// It cannot be told from here, or not yet.
    Unknown,
    /// No.
    No,
}

impl Reachable {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Reachable::Yes => "yes",
            Reachable::Rests => "rests",
            Reachable::Unknown => "unknown",
            Reachable::No => "no",
        }
    }

    /// It is as configured.
    pub fn is_well(self) -> bool {
        self <= Reachable::Rests
    }
}

/// How a camera, or one mapping of it, is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub reachable: Reachable,
    /// By which names (or addresses) and ports; for each `name:port`.
    pub at: Vec<String>,
    /// Why it is not, and what to do; empty if it is.
    pub why: String,
}

/// The first broken link, and what to do.
type Broken = (Reachable, String);

fn broken<T>(why: impl Into<String>) -> Result<T, Broken> {
    Err((Reachable::No, why.into()))
}

fn unknown<T>(why: impl Into<String>) -> Result<T, Broken> {
    Err((Reachable::Unknown, why.into()))
}

impl Verdict {
    pub(super) fn to_json(&self, object: Object) -> Object {
        let object = object.str("reachable", self.reachable.word());
        if self.reachable == Reachable::Yes {
            return object.raw("at", &array(self.at.iter().map(|at| quoted(at))));
        }
        object.str("why", &self.why)
    }
}

impl View<'_> {
    /// Whether a camera is reached by all its mappings; `None` if it has none, so that nothing is to lead to it.
    pub fn verdict(&self, camera: &Camera) -> Option<Verdict> {
        let mine = self.config.mappings.iter().filter(|mapping| mapping.camera == camera.name);
        mine.map(|mapping| self.way_in(mapping)).reduce(|mut all, next| {
            if next.reachable > all.reachable {
                (all.reachable, all.why) = (next.reachable, next.why);
            }
            all.at.extend(next.at);
            all
        })
    }

    /// Whether a camera is reached by one mapping: in one of its families is enough.
    pub(super) fn way_in(&self, mapping: &Mapping) -> Verdict {
        let (mut at, mut why) = (Vec::new(), None);
        for family in &mapping.families {
            match self.walk(mapping, *family) {
                Ok(names) => {
                    at.extend(names.into_iter().filter(|name| !at.contains(name)).collect::<Vec<_>>())
                }
                Err(other) => why = why.or(Some(other)),
            }
        }
        let (reachable, why) = why.filter(|_| at.is_empty()).unwrap_or((Reachable::Yes, String::new()));
        Verdict { reachable, at, why }
    }

    /// The way in by one family, from outside to the camera. Returns where it begins.
    fn walk(&self, mapping: &Mapping, family: Family) -> Result<Vec<String>, Broken> {
        if !self.world.complete {
            return unknown("the agent has just started and still looks around");
        }
        if rests(mapping, self.world, self.now) {
            let why = match exposure(self.config, self.world, self.state, mapping, self.now) {
                Exposure::Closed(why) | Exposure::Until(_, why) => why,
                Exposure::Open(_) => String::new(),
            };
            return Err((Reachable::Rests, why));
        }
        let camera = self.config.cameras.iter().find(|camera| camera.name == mapping.camera);
        let Some(camera) = camera else { return broken("its camera section is left out for an error") };
        let records = records(self.config, camera, family);
        let addr = self.line(mapping, family, camera, &records)?;
        let names = self.names(&records, family)?;
        self.door(mapping, family)?;
        self.lives(mapping, camera)?;
        let port =
            match upstream::outside_port(self.config, self.state, mapping).filter(|_| family == Family::V4) {
                Some(port) => port.to_string(),
                None => Ports(mapping.src_dport).to_string(),
            };
        if names.is_empty() {
            let host = SocketAddr::new(addr, 0).to_string();
            return Ok(vec![format!("{}:{port}", host.trim_end_matches(":0"))]);
        }
        Ok(names.into_iter().map(|name| format!("{name}:{port}")).collect())
    }

    /// The address at which the internet sees this router, or the camera itself.
    fn line(
        &self,
        mapping: &Mapping,
        family: Family,
        camera: &Camera,
        records: &[&Record],
    ) -> Result<IpAddr, Broken> {
        if family == Family::V6 {
            let place = six::published(self.config, self.world, self.state, camera);
            return place.or_else(broken);
        }
        let mut first = None;
        for wan in wans(self.config, records) {
            match self.public(mapping, wan) {
                Ok(addr) => return Ok(addr),
                Err(other) => first = first.or(Some(other)),
            }
        }
        Err(first.unwrap_or((Reachable::No, "no WAN section has IPv4".into())))
    }

    /// One WAN's address in IPv4, by which the internet reaches this mapping.
    fn public(&self, mapping: &Mapping, wan: &Wan) -> Result<IpAddr, Broken> {
        let found = standing(self.world, self.state, wan, Family::V4);
        let name = &wan.name;
        let Some(own) = found.own else {
            let sensed = self.world.wans.get(name);
            let lacks = match sensed.and_then(|sensed| sensed.v4.addr.seen()) {
                Some(_) => "default route in IPv4",
                None => "IPv4 address",
            };
            return broken(format!(
                "the line is down: wan {name} has no {lacks}; look at its cable and modem, and whether it dials in"
            ));
        };
        if found.reach == Reach::Public {
            return Ok(own);
        }
        if let Some(outside) = self.world.wans.get(name).and_then(|sensed| upstream::public(wan, sensed)) {
            if upstream::outside_port(self.config, self.state, mapping).is_some() {
                return Ok(outside);
            }
        }
        // What the router above us says is nearer to a mend than what its address means.
        let above = self.router_above(wan).and_then(|memory| upstream::sentence(memory, wan));
        let v6 = witness::has_public_v6(self.world, self.state, wan);
        let means = found.means(Family::V4, v6).unwrap_or_default();
        match (found.reach, above) {
            (Reach::Unknown, _) => unknown(format!("witnesses are asked whether the internet sees {own}")),
            (Reach::Cgnat, _) => broken(means),
            (_, Some((_, says))) => unknown(format!("{means}; {says}")),
            _ => unknown(means),
        }
    }

    /// The names of the records that are right. Without any record in this family it is reached by address.
    fn names(&self, records: &[&Record], family: Family) -> Result<Vec<String>, Broken> {
        let (mut right, mut first) = (Vec::new(), None);
        for (record, id) in records.iter().flat_map(|record| ids(record).map(move |id| (*record, id))) {
            if id.family != family {
                continue;
            }
            let why = match self.standing(record, &id) {
                Standing::Right => {
                    right.push(id.domain);
                    continue;
                }
                Standing::Busy => (Reachable::Unknown, format!("the name {id} is being set")),
                Standing::Waiting => match wish(self.config, self.world, self.state, record, family) {
                    Wish::Wait(why) => (Reachable::No, format!("the name {id} is left as it is: {why}")),
                    Wish::Address(_) => continue,
                },
                Standing::Failing => {
                    let why =
                        self.retry(record, &id).map(|retry| retry.failure.to_string()).unwrap_or_default();
                    (Reachable::No, format!("the name {id} is not right: {why}"))
                }
            };
            first = first.or(Some(why));
        }
        match first.filter(|_| right.is_empty()) {
            Some(why) => Err(why),
            None => Ok(right),
        }
    }

    /// Whether the mapping lets in.
    fn door(&self, mapping: &Mapping, family: Family) -> Result<(), Broken> {
        let probe = self.state.probes.get(&mapping.name);
        let rules = match way(self.config, self.world, self.state, mapping, family, self.now) {
            Exposure::Open(rules) => rules,
            Exposure::Closed(why) | Exposure::Until(_, why) => {
                let first = probe.is_some_and(|probe| probe.in_flight.is_some() && probe.found.is_none());
                let reachable = if first { Reachable::Unknown } else { Reachable::No };
                return Err((reachable, format!("mapping {} is closed: {why}", mapping.name)));
            }
        };
        if let Some(why) = self.refusal(mapping) {
            return broken(format!("mapping {} is closed: {why}", mapping.name));
        }
        let memory = &self.state.mapping;
        let applied = memory.applied.as_deref().unwrap_or_default();
        if !rules.iter().all(|rule| applied.contains(rule)) {
            return match &memory.retry {
                Some(retry) => {
                    broken(format!("mapping {} cannot be made: {}", mapping.name, retry.failure.text))
                }
                None => unknown(format!("mapping {} is being opened", mapping.name)),
            };
        }
        match self.world.droppers.first() {
            Some(table) => broken(format!("{table} drops what the port mappings let in; accept it there")),
            None => Ok(()),
        }
    }

    /// Whether the camera answers.
    fn lives(&self, mapping: &Mapping, camera: &Camera) -> Result<(), Broken> {
        let found = self.state.probes.get(&mapping.name).and_then(|probe| probe.found.as_ref());
        let found = found.filter(|_| !mapping.allow_open);
        let silent = silent_since(self.config, self.state, camera, self.now.boot);
        let absent = match found {
            Some(found @ (Protection::Silent | Protection::NoService)) => found,
            _ if silent.is_some() => &Protection::Silent,
            _ => return Ok(()),
        };
        let at = self.state.cameras.get(&camera.name).and_then(|memory| memory.addr);
        let at = at.map(|addr| format!(" at {addr}")).unwrap_or_default();
        broken(format!("camera {}{at} {absent}: {}", camera.name, mend(absent)))
    }

    /// How all cameras stand together, and the first line of the screen.
    pub(super) fn summary(&self) -> (Reachable, String) {
        let cameras: Vec<(&str, Verdict)> = self
            .config
            .cameras
            .iter()
            .filter_map(|camera| Some((camera.name.as_str(), self.verdict(camera)?)))
            .collect();
        let worst = cameras.iter().rev().max_by_key(|(_, verdict)| verdict.reachable);
        let Some((name, verdict)) = worst else { return self.without_cameras() };
        let reachable = verdict.reachable;
        let count = cameras.len();
        let of = if count == 1 { String::new() } else { format!(" (1 of {count})") };
        let mut text = match reachable {
            Reachable::Yes if count == 1 => {
                format!("Camera {name} can be reached at {}.", listed(&verdict.at))
            }
            Reachable::Yes => {
                let each = |(name, verdict): &(&str, Verdict)| format!("{name} at {}", listed(&verdict.at));
                let each: Vec<String> = cameras.iter().map(each).collect();
                format!("All {count} cameras can be reached: {}.", each.join(", "))
            }
            Reachable::Rests => format!("Camera {name}{of} is closed {}.", verdict.why),
            Reachable::Unknown => {
                format!("Whether camera {name}{of} can be reached is not known: {}.", verdict.why)
            }
            Reachable::No => format!("Camera {name}{of} can NOT be reached: {}.", verdict.why),
        };
        if reachable.is_well() && !self.is_sound() {
            text.push_str(ELSE);
        }
        (reachable, text)
    }

    /// Where there is no camera to be reached, the names are what counts.
    fn without_cameras(&self) -> (Reachable, String) {
        let well = self.is_sound();
        let reachable = if well { Reachable::Yes } else { Reachable::No };
        let text = match (self.config.records.is_empty(), well) {
            (false, true) => "No camera has a mapping; every name is right.".to_string(),
            (true, true) => "Neither a record nor a mapping is configured.".to_string(),
            (_, false) => format!("No camera has a mapping.{ELSE}"),
        };
        (reachable, text)
    }
}

/// What follows where the cameras are not what is wrong.
const ELSE: &str = " Something else needs attention (marked !).";

/// The first of them, and how many more there are.
fn listed(at: &[String]) -> String {
    let named: Vec<&str> = at.iter().take(NAMED).map(String::as_str).collect();
    match at.len().saturating_sub(NAMED) {
        0 => named.join(" and "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The records by which a camera is called in this family. If its section names none, all of them lead to the router,
/// and so in IPv4 to it; in IPv6 only those that say its own address.
fn records<'c>(config: &'c Config, camera: &Camera, family: Family) -> Vec<&'c Record> {
    let is_its_own = |record: &Record| match family {
        Family::V4 => camera.records.is_empty() || camera.records.contains(&record.name),
        Family::V6 => config.camera_of(record).is_some_and(|known| known.name == camera.name),
    };
    let here = |record: &&Record| record.families.contains(&family) && is_its_own(record);
    config.records.iter().filter(here).collect()
}

/// The WANs with IPv4 that these records follow; all of them, if there is no record.
fn wans<'c>(config: &'c Config, records: &[&'c Record]) -> Vec<&'c Wan> {
    let has = |wan: &&Wan| wan.families.contains(&Family::V4);
    if records.is_empty() {
        return config.wans.iter().filter(has).collect();
    }
    let named = records.iter().flat_map(|record| &record.wans);
    named.filter_map(|name| config.wans.iter().find(|wan| wan.name == *name)).filter(has).collect()
}
