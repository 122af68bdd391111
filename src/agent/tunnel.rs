//! Tunnels: has them carry what the plan wants, and tells what becomes of them.

use super::report::random;
use super::{Agent, Message};
use crate::config::tunnel::Kind;
use crate::model::{Event, Now};
use crate::paths::Paths;
use crate::plan::fold;
use crate::plan::tunnel::{self, News, Report, TunnelJob};
use crate::sense::natmap;
use crate::state::Retry;
use crate::tunnel::Tunnels;
use smol::channel::Sender;
use smol::LocalExecutor;
use std::rc::Rc;

/// None yet; what becomes of them is told by messages.
pub(super) fn none(executor: Rc<LocalExecutor<'static>>, tx: Sender<Message>, paths: &Paths) -> Tunnels {
    let tell = move |report| drop(tx.try_send(Message::Tunnel(report)));
    Tunnels::new(executor, Rc::new(tell), paths)
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

    pub(super) fn tunnelled(&mut self, report: &Report, now: Now) {
        let Report { tunnel: name, mapping, news, .. } = report;
        let line = |agent: &Agent| {
            let memory = agent.state.tunnels.get(name)?;
            memory.lines.get(mapping).cloned()
        };
        let before = line(self);
        if !tunnel::answered(&mut self.state, report, now.boot, random()) {
            return;
        }
        let (before, after) = (before.unwrap_or_default(), line(self).unwrap_or_default());
        match news {
            News::Up(port) => {
                let section = self.config.tunnels.iter().find(|section| section.name == *name);
                let server = section.map_or("?", |section| section.server.as_str());
                let text = format!("tunnel {name}: mapping {mapping} is reached at {server} port {port}");
                let wanted = before.open.map_or(0, |line| line.remote);
                if wanted != 0 && wanted != *port {
                    log::warn!("{text}, not {wanted}");
                } else {
                    log::info!("{text}");
                }
            }
            News::Down(failure) => {
                let text =
                    self.redactor.redact(&format!("tunnel {name}: mapping {mapping}: {}", failure.text));
                // Once a series, not at each try.
                let since = |retry: &Retry| (retry.since, retry.failure.text.clone());
                if before.retry.as_ref().map(since) == after.retry.as_ref().map(since) {
                    log::debug!("{text}");
                } else {
                    log::warn!("{text}");
                }
            }
        }
    }
}
