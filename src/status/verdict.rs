//! Whether somebody outside reaches the cameras: each by all of its mappings, all of them in one sentence.

use super::walk::Broken;
use super::View;
use crate::config::{Camera, Mapping};
use crate::wire::json::{array, quoted, Object};

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

    /// Whether a camera is reached by one mapping: by one way in is enough.
    pub(super) fn way_in(&self, mapping: &Mapping) -> Verdict {
        let (mut at, mut why): (Vec<String>, Option<Broken>) = (Vec::new(), None);
        let by_tunnel = self.tunnels_of(mapping).map(|tunnel| self.walk_tunnel(mapping, tunnel));
        let direct = mapping.families.iter().map(|family| self.walk(mapping, *family));
        // Of a tunnel that is used it says more what is wrong with that.
        for way in by_tunnel.chain(direct) {
            match way {
                Ok(names) => names.into_iter().for_each(|name| match at.contains(&name) {
                    true => {}
                    false => at.push(name),
                }),
                Err(broken) => why = why.or(Some(broken)),
            }
        }
        let (reachable, why) = why.filter(|_| at.is_empty()).unwrap_or((Reachable::Yes, String::new()));
        Verdict { reachable, at, why }
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
            // By others of its mappings.
            Reachable::Rests if !verdict.at.is_empty() => {
                let at = listed(&verdict.at);
                format!("Camera {name}{of} can be reached at {at}; the rest of it is closed {}.", verdict.why)
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
