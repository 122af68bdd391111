//! Tunnels: has them carry what the plan wants, and tells what becomes of them.

use super::message::send;
use super::report::{draw, random};
use super::{Agent, Message};
use crate::act::http::Http;
use crate::config::tunnel::Kind;
use crate::model::{Event, Now};
use crate::paths::Paths;
use crate::plan::fold;
use crate::plan::tunnel::{self, News, Report, TunnelJob};
use crate::sense::natmap;
use crate::state::kind_word;
use crate::tunnel::{Around, Tunnels};
use smol::channel::Sender;
use smol::LocalExecutor;
use std::cell::RefCell;
use std::rc::Rc;

/// None yet; what becomes of them is told by messages.
pub(super) fn none(
    executor: Rc<LocalExecutor<'static>>,
    tx: Sender<Message>,
    http: Http,
    paths: Paths,
) -> Tunnels {
    let tell = move |report| {
        send(&tx, Message::Tunnel(report));
    };
    let around = Around { http: RefCell::new(http), paths, draw, run_ids: RefCell::default() };
    Tunnels::new(executor, Rc::new(tell), around)
}

impl Agent {
    /// Reads where natmap's ways in are, if a tunnel is of that kind.
    pub(super) fn read_holes(&mut self, now: Now) {
        if self.config.tunnels.iter().any(|tunnel| tunnel.kind == Kind::Script) {
            fold::event(&mut self.world, Event::Holes(natmap::read(&self.paths.root)), now);
        }
    }

    pub(super) fn start_tunnel(&mut self, job: &TunnelJob) {
        if let Some(section) = self.config.tunnels.iter().find(|section| section.name == job.tunnel) {
            self.tunnels.apply(section, job);
        }
    }

    pub(super) fn tunnelled(&mut self, mut report: Report, now: Now) {
        if let News::Down(failure) = &mut report.news {
            // The server may say again what it was told, and it is shown by `status`.
            failure.text = self.redactor.redact(&failure.text);
        }
        let Report { tunnel: name, mapping, news, .. } = &report;
        let line = |agent: &Agent| {
            let memory = agent.state.tunnels.get(name)?;
            memory.lines.get(mapping).cloned()
        };
        let (before, what) = (line(self), format!("tunnel {name} {mapping}"));
        if !tunnel::answered(&mut self.state, &report, now.boot, random()) {
            return;
        }
        let before = before.unwrap_or_default();
        match news {
            News::Up(port) => {
                let section = self.config.tunnels.iter().find(|section| section.name == *name);
                let server = section.map_or("?", |section| section.server.as_str());
                let failed = self.repeats.ended(&what);
                let text =
                    format!("tunnel {name}: mapping {mapping} is reached at {server} port {port}{failed}");
                let wanted = before.open.map_or(0, |line| line.remote);
                if wanted != 0 && wanted != *port {
                    self.warn(&format_args!("{text}, not {wanted}"));
                } else {
                    self.info(&text);
                }
            }
            News::Down(failure) => {
                let text = format!("tunnel {name}: mapping {mapping}: {}", failure.text);
                self.fails(&what, kind_word(failure.kind), &text, now);
            }
        }
    }
}
