//! The ways in to a camera, each walked from the internet to the camera: line or tunnel, name, mapping, camera. The first
//! link that is broken says why nobody comes by it, and what to do.

use super::{Reachable, Standing, View};
use crate::config::{Camera, Config, Mapping, Ports, Record, Tunnel, Wan};
use crate::model::{Family, Protection, Reach, RecordId};
use crate::plan::camera::silent_since;
use crate::plan::mapping::{exposure, way, Exposure};
use crate::plan::probe::mend;
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::schedule::rests;
use crate::plan::witness::{self, standing};
use crate::plan::{outside, six, tunnel, upstream, Rule};
use std::net::IpAddr;

/// The first broken link, and what to do.
pub(super) type Broken = (Reachable, String);

fn broken<T>(why: impl Into<String>) -> Result<T, Broken> {
    Err((Reachable::No, why.into()))
}

fn unknown<T>(why: impl Into<String>) -> Result<T, Broken> {
    Err((Reachable::Unknown, why.into()))
}

impl View<'_> {
    /// The way in by one family, from outside to the camera. Returns where it begins, each as `name:port`.
    pub(super) fn walk(&self, mapping: &Mapping, family: Family) -> Result<Vec<String>, Broken> {
        let camera = self.ready(mapping)?;
        let records = records(self.config, camera, family);
        // Where somebody tried from outside, that counts for more than what can be known here.
        let elsewhere =
            family == Family::V4 && outside::by_tunnel(self.config, self.state, mapping).is_some();
        let proof =
            self.proof(mapping, family).filter(|_| !elsewhere).map(|(target, said)| (target.addr, said));
        let addr = match (self.line(mapping, family, camera, &records), proof) {
            (Err((Reachable::Unknown, _)), Some((addr, outside::Verdict::Open))) => addr,
            (known, _) => known?,
        };
        let names = self.names(&records, family)?;
        self.door(mapping, family)?;
        self.lives(mapping, camera)?;
        if let Some((_, outside::Verdict::Closed)) = proof {
            return broken(format!(
                "the port of mapping {} is closed from the internet; look for another firewall or NAT before this \
                 router, or ask the provider whether it blocks the port",
                mapping.name
            ));
        }
        let outside =
            upstream::outside_port(self.config, self.state, mapping).filter(|_| family == Family::V4);
        let port = outside.map_or_else(|| Ports(mapping.src_dport).to_string(), |port| port.to_string());
        Ok(at_port(names, &addr.to_string(), &port))
    }

    /// What the owner's service said of the port where that is now, if it was asked.
    fn proof(&self, mapping: &Mapping, family: Family) -> Option<(outside::Target, outside::Verdict)> {
        let (target, memory) = self.tried(mapping, family)?;
        Some((target, memory?.found?.0))
    }

    /// The tunnels that are to carry a mapping and are used now, or soon.
    pub(super) fn tunnels_of<'a>(&'a self, mapping: &'a Mapping) -> impl Iterator<Item = &'a Tunnel> {
        let carries = |tunnel: &&Tunnel| tunnel.carries.iter().any(|(name, _)| *name == mapping.name);
        let is_used = |tunnel: &&Tunnel| match self.state.tunnels.get(&tunnel.name) {
            Some(memory) => memory.runs(tunnel) || memory.unreached.is_some(),
            None => tunnel.always,
        };
        self.config.tunnels.iter().filter(carries).filter(is_used)
    }

    /// The way in by a tunnel, from the camera to outside: what is closed is not carried.
    pub(super) fn walk_tunnel(&self, mapping: &Mapping, tunnel: &Tunnel) -> Result<Vec<String>, Broken> {
        let camera = self.ready(mapping)?;
        self.rules(mapping, exposure(self.config, self.world, self.state, mapping, self.now))?;
        self.lives(mapping, camera)?;
        let (name, memory) = (&tunnel.name, self.state.tunnels.get(&tunnel.name));
        if memory.is_some_and(|memory| !memory.runs(tunnel)) {
            return unknown(format!(
                "no wan is publicly reachable, so tunnel {name} is used within a minute"
            ));
        }
        let Some(port) = tunnel::port(self.state, tunnel, &mapping.name) else {
            let known = memory.and_then(|memory| memory.lines.get(&mapping.name));
            return match known.and_then(|known| known.retry.as_ref()) {
                Some(retry) => broken(format!("tunnel {name} fails: {}", retry.failure)),
                None => unknown(format!("tunnel {name} is being connected")),
            };
        };
        let here = |target: &outside::Target| {
            target.port == port && tunnel::addresses(self.state, tunnel).contains(&target.addr)
        };
        let proof = self.proof(mapping, Family::V4).filter(|(target, _)| here(target));
        if let Some((_, outside::Verdict::Closed)) = proof {
            return broken(format!(
                "tunnel {name} carries mapping {}, but port {port} of its server is closed from the internet; look for a \
                 firewall there",
                mapping.name
            ));
        }
        let follows = |record: &Record, family| {
            matches!(tunnel::followed(self.config, self.state, record, family), Some(Ok(_)))
        };
        let mut names = Vec::new();
        for record in records(self.config, camera, Family::V4) {
            let right =
                |id: &RecordId| follows(record, id.family) && self.standing(record, id) == Standing::Right;
            for id in ids(record).filter(right) {
                if !names.contains(&id.domain) {
                    names.push(id.domain);
                }
            }
        }
        let hole = memory.and_then(|memory| memory.hole).map(|addr| addr.to_string());
        Ok(at_port(names, &hole.unwrap_or_else(|| tunnel.server.clone()), &port.to_string()))
    }

    /// Whether there is anything to look at now: the camera.
    fn ready(&self, mapping: &Mapping) -> Result<&Camera, Broken> {
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
        camera.map_or_else(|| broken("its camera section is left out for an error"), Ok)
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
        if let Some(outside) = witness::outside(self.world, self.state, wan) {
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
            // What follows a tunnel leads to its server.
            let follows = || tunnel::followed(self.config, self.state, record, family).is_some();
            if id.family != family || follows() {
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
        let exposure = way(self.config, self.world, self.state, mapping, family, self.now);
        let rules = self.rules(mapping, exposure)?;
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

    /// What is open of a mapping.
    fn rules(&self, mapping: &Mapping, exposure: Exposure) -> Result<Vec<Rule>, Broken> {
        let why = match exposure {
            Exposure::Open(rules) => return Ok(rules),
            Exposure::Closed(why) | Exposure::Until(_, why) => why,
        };
        let probe = self.state.probes.get(&mapping.name);
        let first = probe.is_some_and(|probe| probe.in_flight.is_some() && probe.found.is_none());
        let reachable = if first { Reachable::Unknown } else { Reachable::No };
        Err((reachable, format!("mapping {} is closed: {why}", mapping.name)))
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
}

/// These names with a port; without any, the host.
fn at_port(names: Vec<String>, host: &str, port: &str) -> Vec<String> {
    if names.is_empty() {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        return vec![format!("{host}:{port}")];
    }
    names.into_iter().map(|name| format!("{name}:{port}")).collect()
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
    let mut named = Vec::new();
    for record in records {
        for name in &record.wans {
            named.extend(config.wans.iter().find(|wan| wan.name == *name).filter(has));
        }
    }
    named
}
