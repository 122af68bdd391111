//! Tunnels: has each carry the lines that the plan wants, one module a kind. What came by a line ends with it.
//!
//! `gate` is where a line's streams pass: to the camera's present address and nowhere else. `relay` passes their bytes.

mod bore;
mod frp;
mod gate;
mod relay;
mod ssh;
mod streams;

pub(crate) use gate::{Gate, Tell};

use crate::act::http::Http;
use crate::config::tunnel::Kind;
use crate::config::Tunnel;
use crate::map::Map;
use crate::paths::Paths;
use crate::plan::tunnel::{Line, TunnelJob};
use crate::provider::{self, Failure};
use crate::secret::printable;
use gate::Places;
use smol::{LocalExecutor, Task};
use std::cell::RefCell;
use std::rc::Rc;

/// The longest text of a server that is passed on, in characters.
const TEXT_CAP: usize = 200;

/// What stands around all of them.
pub(crate) struct Around {
    /// TLS.
    pub(crate) http: RefCell<Http>,
    /// Where files lie.
    pub(crate) paths: Paths,
    /// Fills it by chance, if the kernel can.
    pub(crate) draw: fn(&mut [u8]) -> bool,
    /// By which servers of frp know a line again, by the names of tunnel and mapping: the next session takes the place of
    /// one whose end the server has not noticed.
    pub(crate) run_ids: RefCell<Map<String, String>>,
}

/// All that run.
pub(crate) struct Tunnels {
    executor: Rc<LocalExecutor<'static>>,
    tell: Tell,
    around: Rc<Around>,
    places: Places,
    running: Map<String, Running>,
}

/// One that runs.
struct Running {
    section: Rc<Tunnel>,
    /// By the mapping's name.
    lines: Map<String, Open>,
}

/// A line that stands, or is being made. Dropped, it ends, and all that came by it.
struct Open {
    gate: Gate,
    /// What keeps it up.
    _task: Task<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gate.shut();
    }
}

impl Tunnels {
    /// None yet.
    pub(crate) fn new(executor: Rc<LocalExecutor<'static>>, tell: Tell, around: Around) -> Tunnels {
        Tunnels { executor, tell, around: Rc::new(around), places: Places::default(), running: Map::new() }
    }

    /// Has a tunnel carry exactly these lines.
    pub(crate) fn apply(&mut self, section: &Tunnel, job: &TunnelJob) {
        let Tunnels { executor, tell, around, places, running } = self;
        if running.get(&job.tunnel).is_none() {
            let new = Running { section: Rc::new(section.clone()), lines: Map::new() };
            running.insert(job.tunnel.clone(), new);
        }
        let Some(running) = running.get_mut(&job.tunnel) else { return };
        let same = |open: &Open, line: &Line| open.gate.attempt() == line.attempt;
        running
            .lines
            .retain(|name, open| job.lines.iter().any(|line| line.mapping == *name && same(open, line)));
        for line in &job.lines {
            if let Some(open) = running.lines.get(&line.mapping) {
                open.gate.lead_to(line.target);
                continue;
            }
            let gate = Gate::new(&job.tunnel, line, places.clone(), tell.clone(), executor.clone());
            let work = keep(running.section.clone(), gate.clone(), around.clone());
            let open = Open { _task: executor.spawn(work), gate };
            running.lines.insert(line.mapping.clone(), open);
        }
    }

    /// Ends those whose section is another one now, or is no more. What is connected from now on goes by this TLS.
    pub(crate) fn reconfigured(&mut self, sections: &[Tunnel], http: &Http) {
        self.running.retain(|_, running| sections.contains(&running.section));
        self.around.http.replace(http.clone());
        let carried = |place: &String| {
            sections
                .iter()
                .any(|section| section.carries.iter().any(|(name, _)| place_of(section, name) == *place))
        };
        self.around.run_ids.borrow_mut().retain(|place, _| carried(place));
    }
}

/// Keeps a line up until it fails, and says why.
fn keep(section: Rc<Tunnel>, gate: Gate, around: Rc<Around>) -> smol::future::BoxedLocal<()> {
    Box::pin(async move {
        let failure = match section.kind {
            Kind::Bore => bore::carry(&section, &gate).await,
            Kind::Frp => frp::carry(&section, &gate, &around).await,
            Kind::Ssh => ssh::carry(&section, &gate, &around.paths).await,
            // No line is ever planned for it.
            Kind::Script => Failure::new(provider::Kind::Refused, "somebody else carries it"),
        };
        gate.down(failure);
    })
}

/// By which a line is known over all its attempts.
fn place_of(section: &Tunnel, mapping: &str) -> String {
    [&section.name, "/", mapping].concat()
}

/// What a server says, harmless and short.
fn quoted(text: &str) -> String {
    printable(text.trim()).chars().take(TEXT_CAP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;
    use std::path::Path;

    #[test]
    fn a_reload_reaches_what_is_connected_from_now_on() {
        let text = "config wan\n\toption device 'auto'\nconfig camera 'c'\n\toption ip '192.168.1.2'\nconfig mapping 'm'\n\toption \
             camera 'c'\n\toption src_dport '8554'\nconfig tunnel 't'\n\toption kind 'frp'\n\toption server \
             '127.0.0.1'\n\tlist mapping 'm'\n";
        let sections = load(text, "config", &[], &()).config.tunnels;
        let mut http = Http::setup(Some(Path::new("/one.pem")), "test", 0);
        let ids = ["t/m", "t/gone", "gone/m"].map(|place| (place.to_string(), "id".to_string()));
        let around = Around {
            http: RefCell::new(http.clone()),
            paths: Paths::new(Path::new("/"), None),
            draw: |_| false,
            run_ids: RefCell::new(Map::from(ids)),
        };
        let mut tunnels = Tunnels::new(Rc::new(LocalExecutor::new()), Rc::new(|_| ()), around);
        http.trust(Path::new("/two.pem"));
        tunnels.reconfigured(&sections, &http);
        let why = tunnels.around.http.borrow().readable().unwrap_err();
        assert!(why.text.contains("/two.pem"), "{}", why.text);
        let ids = tunnels.around.run_ids.borrow();
        assert_eq!(ids.keys().collect::<Vec<_>>(), ["t/m"]);
    }
}
