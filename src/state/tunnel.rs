//! What is known of the tunnels. The state file says which were used for want of a public address, so that a restart
//! waits for that no second time; the connections themselves end with the agent.

use super::text::Lines;
use super::{Retry, State};
use crate::map::Map;
use crate::model::Time;
use crate::plan::tunnel::Line;
use std::net::IpAddr;

/// The first field of this module's lines.
pub(super) const LINE: &str = "tunnel";

/// What is known of one tunnel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunnelState {
    /// Since when no WAN is publicly reachable; an interruption counts.
    pub unreached: Option<Time>,
    /// Since when one is.
    pub reached: Option<Time>,
    /// It is used for want of a public address ...
    pub needed: bool,
    /// ... and was so at the last look: its lines have begun.
    pub begun: bool,
    /// Number of the last line.
    pub attempts: u64,
    /// Of somebody else's: its address outside.
    pub hole: Option<IpAddr>,
    /// By the mapping section's name.
    pub lines: Map<String, LineState>,
}

/// What is known of one mapping by a tunnel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineState {
    /// It stands, or is being made.
    pub open: Option<Line>,
    /// It stands: by which port of the server.
    pub port: Option<u16>,
    /// Since when it stands, or is being made.
    pub since: Time,
    /// The last failures.
    pub retry: Option<Retry>,
    /// How often in a row the server refused the port.
    pub refusals: u32,
}

impl State {
    /// Adds the lines.
    pub(super) fn add_tunnels(&self, lines: &mut Lines) {
        for (name, _) in self.tunnels.iter().filter(|(_, memory)| memory.needed) {
            lines.add(&[&LINE, name]);
        }
    }

    /// Reads one of the lines.
    pub(super) fn read_tunnel(&mut self, fields: &[&str]) -> Option<()> {
        let [_, name] = fields else { return None };
        let memory = self.tunnels.entry((*name).to_string()).or_default();
        (memory.needed, memory.begun) = (true, true);
        Some(())
    }
}
