//! The status document: one JSON object. docs/status.md says what each field means, docs/status.schema.json which form
//! it has.

use super::{Standing, View, BEHIND_PROXY};
use crate::config::{Camera, Mapping, Notify, Ports, Problem, Record};
use crate::model::{millis, Family, Mac, Protection, RecordId, Time, TimeZone};
use crate::plan::camera::{macs, silent_since};
use crate::plan::mapping::{exposure, way, Exposure};
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::schedule::rests;
use crate::plan::{six, upstream};
use crate::provider::CLOCK_FLOOR;
use crate::state::{kind_word, CameraState, Change, Known, ProbeState, Retry, Seen};
use crate::wire::json::{array, quoted, Object};
use std::net::IpAddr;

/// When something that rests is tried again.
const REST: &str = "when the configuration changes, or `porchlight trigger` asks for it";

impl View<'_> {
    /// The whole document.
    pub fn to_json(&self) -> String {
        let mut records = Vec::new();
        for record in &self.config.records {
            records.extend(ids(record).map(|id| self.record(record, &id)));
        }
        let (reachable, verdict) = self.summary();
        Object::new()
            .str("version", env!("CARGO_PKG_VERSION"))
            .bool("healthy", reachable.is_well() && self.is_sound())
            .str("reachable", reachable.word())
            .str("verdict", &verdict)
            .num("time", self.now.wall as i64)
            .raw("clock", &self.clock())
            .num("change", self.state.change as i64)
            .raw("problems", &array(self.problems.iter().map(problem)))
            .raw("deaf", &array(self.deaf.values().map(|text| quoted(text))))
            .raw("wans", &array(self.config.wans.iter().map(|wan| self.wan(wan))))
            .raw("records", &array(records))
            .raw("cameras", &array(self.config.cameras.iter().map(|camera| self.camera(camera))))
            .raw("mappings", &array(self.config.mappings.iter().map(|mapping| self.mapping(mapping))))
            .raw("tunnels", &array(self.config.tunnels.iter().map(|tunnel| self.tunnel(tunnel))))
            .raw("outside", &self.outside())
            .raw("filter", &self.filter())
            .raw("notify", &array(self.config.notifies.iter().map(|channel| self.channel(channel))))
            .raw("changes", &array(self.state.history.iter().map(change)))
            .end()
    }

    /// Whether the clock was set, and how local time is told.
    fn clock(&self) -> String {
        let object = Object::new().bool("set", self.now.wall >= CLOCK_FLOOR);
        match &self.world.zone {
            TimeZone::Known(zone) => object.num("offset_s", zone.offset(self.now.wall as i64)).end(),
            TimeZone::Bad(why) => object.str("zone_fault", why).end(),
        }
    }

    pub(super) fn ago(&self, at: Time) -> i64 {
        self.now.boot.since(at).as_secs() as i64
    }

    fn record(&self, record: &Record, id: &RecordId) -> String {
        let standing = match self.standing(record, id) {
            Standing::Right => "published",
            Standing::Busy => "publishing",
            Standing::Waiting => "waiting",
            Standing::Failing => "failing",
        };
        let mut object = Object::new()
            .str("record", &id.record)
            .str("domain", &id.domain)
            .str("type", id.family.rtype())
            .str("provider", &record.provider)
            .str("standing", standing);
        object = match wish(self.config, self.world, self.state, record, id.family) {
            Wish::Address(addr) => object.shown("wanted", &addr),
            Wish::Wait(why) => object.str("waiting", &why),
        };
        if let Some(memory) = self.memory(record, id) {
            if let Known::Published(addr) | Known::Remembered(addr) = memory.known {
                object = object.shown("published", &addr);
            }
            if let Some(at) = memory.changed_at {
                object = object.num("changed_at", at as i64);
            }
            object = match &memory.seen {
                Seen::No => object,
                Seen::Asking => object.str("seen", "asking the zone's name servers"),
                Seen::Proxied => object.str("seen", BEHIND_PROXY),
                Seen::After(time) => {
                    object.str("seen", "at all name servers").num("seen_after_ms", millis(*time) as i64)
                }
                Seen::Unconfirmed(why) => object.shown("seen", &format_args!("could not confirm: {why}")),
            };
        }
        self.failure(object, self.retry(record, id)).end()
    }

    /// What failed, if something did, and when it is tried again.
    pub(super) fn failure(&self, object: Object, retry: Option<&Retry>) -> Object {
        let Some(retry) = retry else { return object };
        let failure = Object::new()
            .str("class", kind_word(retry.failure.kind))
            .str("text", &retry.failure.text)
            .num("tries", i64::from(retry.tries));
        let failure = match retry.next {
            Some(next) => failure.num("next_try_s", next.since(self.now.boot).as_secs() as i64),
            None => failure.str("next_try", REST),
        };
        object.raw("failure", &failure.end())
    }

    fn camera(&self, camera: &Camera) -> String {
        let none = CameraState::default();
        let memory = self.state.cameras.get(&camera.name).unwrap_or(&none);
        let macs: Vec<String> = macs(camera, memory).iter().map(|mac: &Mac| format!("\"{mac}\"")).collect();
        let mut object = Object::new().str("name", &camera.name).raw("macs", &array(macs));
        if let Some(verdict) = self.verdict(camera) {
            object = verdict.to_json(object);
        }
        if let Some(addr) = memory.addr {
            object = object.shown("address", &addr);
            object = object.bool("confirmed", self.is_near(addr));
        }
        if self.config.has_ipv6(camera) {
            object = match six::place(self.config, self.world, memory, camera) {
                Ok(place) => {
                    let addr = place.addr;
                    let object = object.shown("address6", &addr).bool("confirmed6", self.is_near(addr));
                    object.bool("heard6", place.heard)
                }
                Err(why) => object.str("no_address6", &why),
            };
        }
        match silent_since(self.config, self.state, camera, self.now.boot) {
            Some(since) => object = object.num("silent_s", self.ago(since)),
            None => {
                if let Some(at) = self.answered(camera, memory) {
                    object = object.num("answered_s", self.ago(at));
                }
            }
        }
        if camera.static_lease {
            object = self.static_lease(camera, object);
        }
        let names: Vec<String> = camera.records.iter().map(|name| quoted(name)).collect();
        object.raw("records", &array(names)).end()
    }

    fn is_near(&self, addr: IpAddr) -> bool {
        self.world.neighbours.get(&addr).is_some_and(|near| near.fresh)
    }

    /// When a camera last answered a question at its address.
    fn answered(&self, camera: &Camera, memory: &CameraState) -> Option<Time> {
        let mine = self.config.mappings.iter().filter(|mapping| mapping.camera == camera.name);
        let probes = mine.filter_map(|mapping| self.state.probes.get(&mapping.name));
        let here = |probe: &&ProbeState| {
            let at = probe.asked.as_ref().map(|asked| asked.target.ip());
            at.is_some() && (at == memory.addr || at == memory.addr6)
        };
        let answer = |probe: &ProbeState| match probe.found.as_ref()? {
            Protection::Silent | Protection::NoService => None,
            _ => Some(probe.at),
        };
        probes.filter(here).filter_map(answer).max()
    }

    /// What dnsmasq's configuration has of the camera, or why it has nothing.
    fn static_lease(&self, camera: &Camera, object: Object) -> Object {
        let memory = &self.state.leases;
        let refused = memory.refused.iter().find(|(name, _)| *name == camera.name).map(|(_, why)| why);
        match (memory.pinned.get(&camera.name), refused.or(memory.failure.as_ref())) {
            (Some(pinned), _) => object.shown("static_lease", &pinned.addr),
            (None, Some(why)) => object.str("static_lease_failure", why),
            (None, None) => object,
        }
    }

    /// What the camera made of the last question for a password.
    fn protection(&self, mapping: &Mapping, object: Object) -> Object {
        let Some(probe) = self.state.probes.get(&mapping.name) else { return object };
        let (Some(found), Some(asked)) = (&probe.found, &probe.asked) else { return object };
        let memory = self.state.cameras.get(&mapping.camera);
        let at = Some(asked.target.ip());
        if mapping.allow_open || !memory.is_some_and(|memory| memory.addr == at || memory.addr6 == at) {
            return object;
        }
        object
            .shown("protection", found)
            .num("checked_s", self.ago(probe.at))
            .num("next_check_s", probe.next.since(self.now.boot).as_secs() as i64)
    }

    fn mapping(&self, mapping: &Mapping) -> String {
        let object = Object::new()
            .str("name", &mapping.name)
            .str("camera", &mapping.camera)
            .shown("port", &Ports(mapping.src_dport))
            .shown("camera_port", &Ports(mapping.dest_port))
            .bool("open", self.is_open(mapping));
        let object = self
            .way_in(mapping)
            .to_json(object)
            .num("hits", self.state.hits.get(&mapping.name).map_or(0, |count| *count as i64));
        let object = match &mapping.schedule {
            Some(schedule) => {
                object.shown("schedule", schedule).bool("rests", rests(mapping, self.world, self.now))
            }
            None => object,
        };
        let object = self.protection(mapping, object);
        let object = match upstream::outside_port(self.config, self.state, mapping) {
            Some(port) => object.num("outside_port", port.into()),
            None => object,
        };
        let names = mapping.source_names.iter().map(|name| self.source(name));
        let object = if names.len() == 0 { object } else { object.raw("names", &array(names)) };
        let object = match mapping.families.as_slice() {
            [_] => object,
            families => {
                object.raw("families", &array(families.iter().map(|family| self.way(mapping, *family))))
            }
        };
        match exposure(self.config, self.world, self.state, mapping, self.now) {
            Exposure::Open(rules) => match (rules.first(), self.refusal(mapping)) {
                (_, Some(why)) => object.str("closed", why).end(),
                (Some(rule), None) => object.shown("target", &rule.target).end(),
                (None, None) => object.end(),
            },
            Exposure::Closed(why) => object.str("closed", &why).end(),
            Exposure::Until(at, why) => {
                object.str("closed", &why).num("opens_s", at.since(self.now.boot).as_secs() as i64).end()
            }
        }
    }

    /// A name of `list src_ip`.
    fn source(&self, name: &str) -> String {
        let memory = self.state.names.get(name);
        let known = memory.and_then(|memory| memory.addrs.as_deref()).unwrap_or_default();
        let addrs = known.iter().map(|addr| format!("\"{addr}\""));
        let failure = memory.and_then(|memory| memory.failure.as_deref());
        Object::new().str("name", name).raw("addresses", &array(addrs)).maybe("failure", failure).end()
    }

    fn channel(&self, channel: &Notify) -> String {
        let object = Object::new().str("name", &channel.name).str("kind", &channel.kind);
        let Some(memory) = self.state.told.channels.get(&channel.name) else {
            return object.num("waiting", 0).end();
        };
        let object = object.num("waiting", memory.queue.len() as i64);
        self.failure(object, memory.retry.as_ref()).end()
    }

    /// One family of a mapping that has both.
    fn way(&self, mapping: &Mapping, family: Family) -> String {
        let object = Object::new().shown("family", &family);
        match way(self.config, self.world, self.state, mapping, family, self.now) {
            Exposure::Open(rules) => match rules.first() {
                Some(rule) => object.shown("target", &rule.target).end(),
                None => object.end(),
            },
            Exposure::Closed(why) | Exposure::Until(_, why) => object.str("closed", &why).end(),
        }
    }

    fn filter(&self) -> String {
        let droppers = self.world.droppers.iter().map(|name| quoted(name));
        let failure = self.state.mapping.retry.as_ref().map(|retry| retry.failure.text.as_str());
        Object::new().raw("dropped_by", &array(droppers)).maybe("failure", failure).end()
    }
}

fn problem(problem: &Problem) -> String {
    quoted(&problem.to_string())
}

fn change(change: &Change) -> String {
    Object::new()
        .num("number", change.number as i64)
        .num("at", change.at as i64)
        .str("text", &change.text)
        .end()
}
