//! What the state file says of the routers above us: what they gave, so that the next run renews it or takes it away.

use super::text::{time, Lines};
use super::State;
use crate::config::Proto;
use crate::model::Time;
use crate::plan::upstream::{Grant, Place, Port, Way, LIFETIME};

impl State {
    /// Adds the lines. What is just being asked for counts as given: after a kill it is asked for again, or taken away.
    pub(super) fn add_upstream(&self, lines: &mut Lines) {
        if self.upstream.is_empty() {
            return;
        }
        let nonce: String = self.nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.add(&[&"nonce", &nonce]);
        for (wan, memory) in &self.upstream {
            let (Some(place), Some(way)) = (memory.place, memory.way) else { continue };
            if memory.grants.is_empty() && memory.in_flight.is_none() {
                continue;
            }
            let (epoch, at) = memory.epoch.unwrap_or_default();
            lines.add(&[&"above", wan, &place.gateway, &place.local, &way, &epoch, &at.0]);
            let asked = memory.in_flight.iter().flat_map(|job| &job.asks);
            let asked = asked.filter(|ask| memory.grants.iter().all(|grant| grant.port != ask.port));
            let asked = asked.map(|ask| Grant {
                port: ask.port,
                external: ask.external,
                lifetime: LIFETIME,
                due: Time::default(),
            });
            for grant in memory.grants.iter().copied().chain(asked) {
                let (proto, port) = grant.port;
                lines.add(&[&"granted", wan, &proto, &port, &grant.external, &grant.lifetime]);
            }
        }
    }

    /// Reads one of the lines. What was given is asked for again at once: it is not known what happened meanwhile.
    pub(super) fn read_upstream(&mut self, fields: &[&str]) -> Option<()> {
        match fields {
            ["nonce", hex] => {
                for (byte, two) in self.nonce.iter_mut().zip(hex.as_bytes().chunks(2)) {
                    *byte = u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()?;
                }
            }
            ["above", wan, gateway, local, way, epoch, at] => {
                let memory = self.upstream.entry((*wan).to_string()).or_default();
                memory.place = Some(Place { gateway: gateway.parse().ok()?, local: local.parse().ok()? });
                memory.way = Way::ALL.into_iter().find(|known| known.to_string() == *way);
                let epoch = (epoch.parse().ok()?, time(at)?);
                memory.epoch = Some(epoch).filter(|_| epoch.1 != Time::default());
            }
            ["granted", wan, proto, port, external, lifetime] => {
                let port: Port = (if *proto == "udp" { Proto::Udp } else { Proto::Tcp }, port.parse().ok()?);
                let (external, lifetime) = (external.parse().ok()?, lifetime.parse().ok()?);
                let memory = self.upstream.entry((*wan).to_string()).or_default();
                memory.grants.push(Grant { port, external, lifetime, due: Time::default() });
            }
            _ => return None,
        }
        Some(())
    }
}
