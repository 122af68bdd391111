//! What the status says of the tunnels.

use super::text::{is, number, passed, text};
use super::View;
use crate::config::tunnel::Kind;
use crate::config::Tunnel;
use crate::plan::tunnel::{is_wanted, port, TunnelState, BEFORE};
use crate::state::LineState;
use crate::wire::json::{array, Json, Object};
use std::fmt::Write as _;

impl View<'_> {
    /// Whether no tunnel that is used has failed.
    pub(super) fn tunnels_are_well(&self) -> bool {
        let none = TunnelState::default();
        self.config.tunnels.iter().all(|tunnel| {
            let memory = self.state.tunnels.get(&tunnel.name).unwrap_or(&none);
            !memory.runs(tunnel) || !memory.lines.iter().any(|(mapping, line)| self.fails(mapping, line))
        })
    }

    /// Whether a line failed last. A mapping that is closed now wants none, whatever became of the last one.
    fn fails(&self, mapping: &str, line: &LineState) -> bool {
        line.retry.is_some()
            && line.port.is_none()
            && is_wanted(self.config, self.world, self.state, mapping, self.now)
    }

    /// One of them.
    pub(super) fn tunnel(&self, tunnel: &Tunnel) -> String {
        let (none, no_line) = (TunnelState::default(), LineState::default());
        let memory = self.state.tunnels.get(&tunnel.name).unwrap_or(&none);
        let lines = tunnel.carries.iter().map(|(mapping, wanted)| {
            let known = memory.lines.get(mapping).unwrap_or(&no_line);
            let fails = self.fails(mapping, known);
            let mut object = Object::new().str("mapping", mapping);
            if *wanted != 0 && tunnel.kind != Kind::Script {
                object = object.num("wanted_port", i64::from(*wanted));
            }
            object = match port(self.state, tunnel, mapping) {
                Some(port) => object
                    .str("state", "carries")
                    .num("port", i64::from(port))
                    .num("since_s", self.ago(known.since)),
                None if known.open.is_some() => object.str("state", "connecting"),
                None if fails && memory.runs(tunnel) => object.str("state", "failing"),
                None => object.str("state", "idle"),
            };
            self.failure(object, known.retry.as_ref().filter(|_| fails)).end()
        });
        let mut object = Object::new().str("name", &tunnel.name).str("kind", tunnel.kind.word());
        if !tunnel.server.is_empty() {
            object = object.str("server", &tunnel.server).num("server_port", i64::from(tunnel.port));
        }
        object = object.bool("used", memory.runs(tunnel));
        if let Some(since) = memory.unreached.filter(|_| !memory.runs(tunnel)) {
            let left = since.plus(BEFORE).since(self.now.boot).as_secs();
            object = object.num("used_in_s", left as i64);
        }
        object.raw("mappings", &array(lines)).end()
    }
}

/// The lines of one tunnel for a person.
pub(super) fn render(out: &mut String, tunnel: &Json) {
    let (name, kind) = (text(tunnel, "name"), text(tunnel, "kind"));
    if !is(tunnel, "used") {
        let _ = match tunnel.get("used_in_s").num() {
            Some(seconds) => writeln!(
                out,
                "  tunnel   {name} ({kind}): used in {}, if no wan is publicly reachable by then",
                passed(seconds)
            ),
            None => writeln!(out, "  tunnel   {name} ({kind}): not needed"),
        };
        return;
    }
    let server = tunnel.get("server").str().unwrap_or("the address of the record that follows it");
    for line in tunnel.get("mappings").items() {
        let door = format!("{name} ({kind}): {}", text(line, "mapping"));
        let failure = line.get("failure");
        let _ = match (line.get("port").num(), failure.get("text").str(), line.get("state").str()) {
            (Some(port), ..) => {
                let _ = write!(out, "  tunnel   {door} is reached at {server} port {port}");
                match line.get("wanted_port").num().filter(|wanted| *wanted != port) {
                    Some(wanted) => writeln!(out, ", not {wanted} that was asked for"),
                    None => writeln!(out),
                }
            }
            (_, Some(why), Some("failing")) => {
                writeln!(out, "! tunnel   {door}: {why}; next try in {} s", number(failure, "next_try_s"))
            }
            (_, Some(why), Some("connecting")) => {
                writeln!(out, "! tunnel   {door}: {why}; tried again now")
            }
            (_, _, Some("connecting")) => writeln!(out, "  tunnel   {door} is being connected"),
            _ => writeln!(out, "  tunnel   {door} is closed, and not carried"),
        };
    }
}
