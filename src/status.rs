//! What the agent says of itself: one JSON document (pure), and the same as text for a person.

mod outside;
mod tunnel;

use crate::config::{Camera, Config, Mapping, Network, Notify, Ports, Problem, Record, Severity, Wan};
use crate::map::Map;
use crate::model::{
    millis, Delegated, Family, Interface, Mac, Now, Reach, Reading, RecordId, Time, WanWorld, World,
};
use crate::plan::account::account_key;
use crate::plan::camera::{macs, silent_since};
use crate::plan::mapping::{exposure, way, Exposure};
use crate::plan::publish::{ids, wish, Wish};
use crate::plan::reach::reach;
use crate::plan::schedule::rests;
use crate::plan::six;
use crate::plan::upstream;
use crate::plan::witness::{self, standing, Hearing, Outcome};
use crate::state::{kind_word, Known, RecordState, Retry, Seen, State};
use crate::wire::json::{array, Json, Object};
use std::fmt::Write as _;
use std::net::IpAddr;

/// All that a status is made of.
pub struct View<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// What is wrong with it, or with the one that was refused at the last reload.
    pub problems: &'a [Problem],
    /// Sensors that stopped and do not run yet again: by name, what to say.
    pub deaf: &'a Map<&'static str, String>,
    /// What was sensed.
    pub world: &'a World,
    /// What was done.
    pub state: &'a State,
    /// When.
    pub now: Now,
}

/// How one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Published as wanted.
    Right,
    /// To be published, or being so.
    Busy,
    /// Nothing to publish now: no public address of that family.
    Waiting,
    /// Failed; tried again or resting.
    Failing,
}

impl View<'_> {
    /// The record's memory, if it is about the account that is configured now.
    fn memory(&self, record: &Record, id: &RecordId) -> Option<&RecordState> {
        let key = account_key(record);
        self.state.records.get(id).filter(|memory| memory.account == key)
    }

    pub(crate) fn retry(&self, record: &Record, id: &RecordId) -> Option<&Retry> {
        let own = self.memory(record, id).and_then(|memory| memory.retry.as_ref());
        // What is right does not fail, whatever else of its account does.
        let accounts = || self.state.accounts.get(&account_key(record))?.retry.as_ref();
        own.or_else(|| accounts().filter(|_| !self.is_right(record, id)))
    }

    /// What is published, as far as it is known.
    pub(crate) fn published(&self, record: &Record, id: &RecordId) -> Option<IpAddr> {
        match self.memory(record, id)?.known {
            Known::Published(addr) | Known::Remembered(addr) => Some(addr),
            _ => None,
        }
    }

    fn is_right(&self, record: &Record, id: &RecordId) -> bool {
        let known = self.memory(record, id).map(|memory| memory.known);
        let wish = wish(self.config, self.world, self.state, record, id.family);
        matches!((known, wish), (Some(Known::Published(a) | Known::Remembered(a)), Wish::Address(b)) if a == b)
    }

    /// Whether a job that may change the record is under way, be it for an address that was wanted before.
    fn is_flying(&self, record: &Record, id: &RecordId) -> bool {
        let account = self.state.accounts.get(&account_key(record));
        let job = account.and_then(|account| account.in_flight.as_ref());
        job.is_some_and(|job| job.records.iter().any(|(other, addr)| other == id && addr.is_some()))
    }

    /// How one record stands.
    pub fn standing(&self, record: &Record, id: &RecordId) -> Standing {
        let Wish::Address(addr) = wish(self.config, self.world, self.state, record, id.family) else {
            return Standing::Waiting;
        };
        match self.memory(record, id).map(|memory| memory.known) {
            _ if self.is_flying(record, id) => Standing::Busy,
            Some(Known::Published(a) | Known::Remembered(a)) if a == addr => Standing::Right,
            _ if self.retry(record, id).is_some() => Standing::Failing,
            _ => Standing::Busy,
        }
    }

    /// True if every record section has a published name, none fails, and every mapping is open.
    pub fn healthy(&self) -> bool {
        let record_ok = |record: &Record| {
            let all: Vec<Standing> = ids(record).map(|id| self.standing(record, &id)).collect();
            all.iter().all(|s| matches!(s, Standing::Right | Standing::Waiting))
                && all.contains(&Standing::Right)
        };
        let mapping_ok = |mapping: &Mapping| self.is_open(mapping) || rests(mapping, self.world, self.now);
        !self.problems.iter().any(|problem| problem.severity == Severity::Error)
            && self.config.records.iter().all(record_ok)
            && self.config.mappings.iter().all(mapping_ok)
            && self.state.mapping.retry.is_none()
            && self.tunnels_are_well()
            && self.deaf.is_empty()
            && !self.world.wans.values().flat_map(|wan| &wan.interfaces).any(|interface| interface.trouble)
    }

    pub(crate) fn is_open(&self, mapping: &Mapping) -> bool {
        let Exposure::Open(rules) = exposure(self.config, self.world, self.state, mapping, self.now) else {
            return false;
        };
        let applied = self.state.mapping.applied.as_deref().unwrap_or_default();
        rules.iter().all(|rule| applied.contains(rule)) && self.refusal(mapping).is_none()
    }

    /// Why the packet filter does not carry a mapping that was to be open.
    pub(crate) fn refusal(&self, mapping: &Mapping) -> Option<&str> {
        let refused = self.state.mapping.refused.iter().find(|(name, _)| *name == mapping.name);
        refused.map(|(_, why)| why.as_str())
    }

    /// The whole document.
    pub fn to_json(&self) -> String {
        let records = self
            .config
            .records
            .iter()
            .flat_map(|record| ids(record).map(move |id| self.record(record, &id)).collect::<Vec<_>>());
        Object::new()
            .str("version", env!("CARGO_PKG_VERSION"))
            .bool("healthy", self.healthy())
            .num("time", self.now.wall as i64)
            .num("change", self.state.change as i64)
            .raw("problems", &array(self.problems.iter().map(problem)))
            .raw("deaf", &array(self.deaf.values().map(|text| crate::wire::json::quoted(text))))
            .raw("wans", &array(self.config.wans.iter().map(|wan| self.wan(wan))))
            .raw("records", &array(records))
            .raw("cameras", &array(self.config.cameras.iter().map(|camera| self.camera(camera))))
            .raw("mappings", &array(self.config.mappings.iter().map(|mapping| self.mapping(mapping))))
            .raw("outside", &self.outside())
            .raw("tunnels", &array(self.config.tunnels.iter().map(|tunnel| self.tunnel(tunnel))))
            .raw("filter", &self.filter())
            .raw("notify", &array(self.config.notifies.iter().map(|channel| self.channel(channel))))
            .raw("changes", &array(self.state.history.iter().map(change)))
            .end()
    }

    fn wan(&self, wan: &Wan) -> String {
        let sensed = self.world.wans.get(&wan.name).cloned().unwrap_or_default();
        let line = |family: Family| {
            let line = sensed.line(family);
            let object = Object::new().bool("route", line.route);
            let object = match self.lan_of_prefix(&sensed, line.addr.seen()) {
                Some(device) => object.str("on_lan", device),
                None => object,
            };
            match line.addr {
                Reading::Seen { value, at } => {
                    let object = object.str("address", &value.to_string());
                    self.reach(wan, family, value, object).num("since_s", self.ago(at))
                }
                Reading::Lost { since } => object.str("reach", "offline").num("lost_s", self.ago(since)),
                Reading::Never => object.str("reach", "offline"),
            }
            .end()
        };
        let mut object = Object::new().str("name", &wan.name);
        if let Some(device) = &sensed.device {
            object = object.str("device", device);
        }
        if let Some(device) = sensed.device6.as_ref().filter(|device| sensed.device.as_ref() != Some(device))
        {
            object = object.str("device6", device);
        }
        for family in &wan.families {
            object = object.raw(if *family == Family::V4 { "ipv4" } else { "ipv6" }, &line(*family));
        }
        if let Some(above) = self.above(wan) {
            object = object.raw("upstream", &above);
        }
        if !sensed.interfaces.is_empty() {
            object = object
                .raw("interfaces", &array(sensed.interfaces.iter().map(interface)))
                .raw("prefixes", &array(sensed.prefixes.iter().map(delegated)));
        }
        object.end()
    }

    /// How a line is reached, how that is known, what it means, and what witnesses said.
    fn reach(&self, wan: &Wan, family: Family, addr: IpAddr, object: Object) -> Object {
        let found = standing(self.world, self.state, wan, family);
        let Some(_) = found.own else { return object.str("reach", &reach(addr, &wan.accept).to_string()) };
        let above = witness::outside(self.world, self.state, wan).filter(|_| family == Family::V4);
        if above.is_some() && found.reach != Reach::Public {
            return object.str("reach", ONE_NAT);
        }
        let text = match found.known {
            witness::Known::Mismatch => "behind NAT, though its address looks public".to_string(),
            _ => found.reach.to_string(),
        };
        let mut object = object.str("reach", &text).str("known_by", found.known.word());
        if let Some(seen) = found.seen {
            object = object.str("seen_as", &seen.to_string());
        }
        let means = found.means(family, witness::has_public_v6(self.world, self.state, wan));
        if let Some(means) = means.filter(|_| witness::is_wanted(self.config, wan, family)) {
            object = object.str("means", &means);
        }
        match witness::heard(self.world, self.state, wan, family) {
            Some(memory) => self.heard(memory, object),
            None => object,
        }
    }

    /// What the last round of questions brought.
    fn heard(&self, memory: &Hearing, object: Object) -> Object {
        let vote = |vote: &witness::Vote| {
            Object::new().str("witness", &vote.operator).str("says", &vote.addr.to_string()).end()
        };
        let fault = |(operator, why): &(String, String)| {
            Object::new().str("witness", operator).str("failure", why).end()
        };
        let said = memory.votes.iter().map(vote).chain(memory.faults.iter().map(fault));
        let object = object.raw("witnesses", &array(said));
        match memory.last {
            Outcome::Doubt if !memory.running => object.str("doubt", &memory.doubt()),
            Outcome::Silence if !memory.running => object.str("doubt", "no witness could be heard"),
            _ => object,
        }
    }

    /// The router above a WAN.
    fn above(&self, wan: &Wan) -> Option<String> {
        let memory = self.state.upstream.get(&wan.name)?;
        let (well, says) = upstream::sentence(memory, wan)?;
        let well = well && standing(self.world, self.state, wan, Family::V4).refuted.is_none();
        let mut object = Object::new().str("gateway", &memory.place?.gateway.to_string());
        if let Some(way) = memory.way {
            object = object.str("way", &way.to_string());
        }
        if let Some(addr) = memory.external {
            object = object.str("address", &addr.to_string());
        }
        Some(object.bool("well", well).str("says", &says).end())
    }

    /// Where an address is that the WAN itself does not have: on a LAN, out of a prefix that was delegated to the WAN.
    fn lan_of_prefix(&self, wan: &WanWorld, addr: Option<IpAddr>) -> Option<&str> {
        let addr = addr?;
        wan.prefixes.iter().find(|given| given.prefix.contains(addr))?;
        let mut carriers =
            self.world.own.iter().filter(|own| own.addr == addr).map(|own| own.device.as_str());
        carriers.next().filter(|device| wan.device6.as_deref() != Some(device))
    }

    fn ago(&self, at: Time) -> i64 {
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
            Wish::Address(addr) => object.str("wanted", &addr.to_string()),
            Wish::Wait(why) => object.str("waiting", &why),
        };
        if let Some(memory) = self.memory(record, id) {
            if let Known::Published(addr) | Known::Remembered(addr) = memory.known {
                object = object.str("published", &addr.to_string());
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
                Seen::Unconfirmed(why) => object.str("seen", &format!("could not confirm: {why}")),
            };
        }
        match self.retry(record, id) {
            Some(retry) => object.raw("failure", &self.failure(retry)).end(),
            None => object.end(),
        }
    }

    fn failure(&self, retry: &Retry) -> String {
        let object = Object::new()
            .str("class", kind_word(retry.failure.kind))
            .str("text", &retry.failure.text)
            .num("tries", i64::from(retry.tries));
        match retry.next {
            Some(next) => object.num("next_try_s", next.since(self.now.boot).as_secs() as i64).end(),
            None => object.str("next_try", REST).end(),
        }
    }

    fn camera(&self, camera: &Camera) -> String {
        let memory = self.state.cameras.get(&camera.name).cloned().unwrap_or_default();
        let macs: Vec<String> = macs(camera, &memory).iter().map(|mac: &Mac| format!("\"{mac}\"")).collect();
        let mut object = Object::new().str("name", &camera.name).raw("macs", &array(macs));
        if let Some(addr) = memory.addr {
            object = object.str("address", &addr.to_string());
            object = object.bool("confirmed", self.is_near(addr));
        }
        if self.config.has_ipv6(camera) {
            object = match six::place(self.config, self.world, &memory, camera) {
                Ok(place) => {
                    let addr = place.addr;
                    let object =
                        object.str("address6", &addr.to_string()).bool("confirmed6", self.is_near(addr));
                    object.bool("heard6", place.heard)
                }
                Err(why) => object.str("no_address6", &why),
            };
        }
        if let Some(since) = silent_since(self.config, self.state, camera, self.now.boot) {
            object = object.num("silent_s", self.ago(since));
        }
        if camera.static_lease {
            object = self.static_lease(camera, object);
        }
        let names: Vec<String> = camera.records.iter().map(|name| crate::wire::json::quoted(name)).collect();
        object.raw("records", &array(names)).end()
    }

    fn is_near(&self, addr: IpAddr) -> bool {
        self.world.neighbours.get(&addr).is_some_and(|near| near.fresh)
    }

    /// What dnsmasq's configuration has of the camera, or why it has nothing.
    fn static_lease(&self, camera: &Camera, object: Object) -> Object {
        let memory = &self.state.leases;
        let refused = memory.refused.iter().find(|(name, _)| *name == camera.name).map(|(_, why)| why);
        match (memory.pinned.get(&camera.name), refused.or(memory.failure.as_ref())) {
            (Some(pinned), _) => object.str("static_lease", &pinned.addr.to_string()),
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
            .str("protection", &found.to_string())
            .num("checked_s", self.ago(probe.at))
            .num("next_check_s", probe.next.since(self.now.boot).as_secs() as i64)
    }

    fn mapping(&self, mapping: &Mapping) -> String {
        let object = Object::new()
            .str("name", &mapping.name)
            .str("camera", &mapping.camera)
            .str("port", &Ports(mapping.src_dport).to_string())
            .str("camera_port", &Ports(mapping.dest_port).to_string())
            .bool("open", self.is_open(mapping))
            .num("hits", self.state.hits.get(&mapping.name).map_or(0, |count| *count as i64));
        let object = match &mapping.schedule {
            Some(schedule) => object
                .str("schedule", &schedule.to_string())
                .bool("rests", rests(mapping, self.world, self.now)),
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
                (Some(rule), None) => object.str("target", &rule.target.to_string()).end(),
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
        let addrs = memory.iter().flat_map(|memory| memory.addrs.iter().flatten());
        let addrs = addrs.map(|addr| format!("\"{addr}\""));
        let object = Object::new().str("name", name).raw("addresses", &array(addrs));
        match memory.and_then(|memory| memory.failure.as_ref()) {
            Some(why) => object.str("failure", why).end(),
            None => object.end(),
        }
    }

    fn channel(&self, channel: &Notify) -> String {
        let object = Object::new().str("name", &channel.name).str("kind", &channel.kind);
        let Some(memory) = self.state.told.channels.get(&channel.name) else {
            return object.num("waiting", 0).end();
        };
        let object = object.num("waiting", memory.queue.len() as i64);
        match &memory.retry {
            Some(retry) => object.raw("failure", &self.failure(retry)).end(),
            None => object.end(),
        }
    }

    /// One family of a mapping that has both.
    fn way(&self, mapping: &Mapping, family: Family) -> String {
        let object = Object::new().str("family", &family.to_string());
        match way(self.config, self.world, self.state, mapping, family, self.now) {
            Exposure::Open(rules) => match rules.first() {
                Some(rule) => object.str("target", &rule.target.to_string()).end(),
                None => object.end(),
            },
            Exposure::Closed(why) | Exposure::Until(_, why) => object.str("closed", &why).end(),
        }
    }

    fn filter(&self) -> String {
        let droppers = self.world.droppers.iter().map(|name| crate::wire::json::quoted(name));
        let object = Object::new().raw("dropped_by", &array(droppers));
        match &self.state.mapping.retry {
            Some(retry) => object.str("failure", &retry.failure.text).end(),
            None => object.end(),
        }
    }
}

/// The reach of a WAN whose router above us lets in what we ask for.
const ONE_NAT: &str = "behind one NAT that we can talk to";
/// When something that rests is tried again.
const REST: &str = "when the configuration changes, or `porchlight trigger` asks for it";
/// Why a published address is not confirmed by DNS.
pub const BEHIND_PROXY: &str = "behind Cloudflare's proxy, so DNS cannot show it";

fn interface(interface: &Interface) -> String {
    let mut object = Object::new().str("name", &interface.name);
    if let Some(device) = &interface.device {
        object = object.str("device", device);
    }
    object.str("standing", &interface.standing).bool("trouble", interface.trouble).end()
}

fn delegated(given: &Delegated) -> String {
    let part = |(name, part): &(String, Network)| {
        Object::new().str("interface", name).str("prefix", &part.to_string()).end()
    };
    Object::new()
        .str("prefix", &given.prefix.to_string())
        .str("interface", &given.interface)
        .raw("assigned", &array(given.assigned.iter().map(part)))
        .end()
}

fn problem(problem: &Problem) -> String {
    crate::wire::json::quoted(&problem.to_string())
}

fn change(change: &crate::state::Change) -> String {
    Object::new()
        .num("number", change.number as i64)
        .num("at", change.at as i64)
        .str("text", &change.text)
        .end()
}

fn wan_lines(out: &mut String, wan: &Json) {
    let name = wan.get("name").str().unwrap_or("?");
    let device = wan.get("device").str().unwrap_or("no device");
    let device6 = wan.get("device6").str().unwrap_or(device);
    for (family, key, device) in [("IPv4", "ipv4", device), ("IPv6", "ipv6", device6)] {
        let line = wan.get(key);
        if line.is_null() {
            continue;
        }
        let reach = line.get("reach").str().unwrap_or("?");
        let what = match (line.get("address").str(), line.get("on_lan").str()) {
            (Some(addr), Some(lan)) => {
                format!("{addr}, {reach}, the router's own on {lan}, out of its prefix")
            }
            (Some(addr), None) => format!("{addr}, {reach}"),
            (None, _) => "no address".into(),
        };
        let route = if line.get("route").bool() == Some(true) { "" } else { ", no default route" };
        let _ = writeln!(out, "  wan      {name} ({device}) {family}: {what}{route}");
        if let Some(means) = line.get("means").str() {
            let _ = writeln!(out, "! wan      {name} {family}: {means}");
        }
        if let Some(doubt) = line.get("doubt").str() {
            let _ = writeln!(out, "! wan      {name} {family}: {doubt}");
        }
    }
    if let Some(says) = wan.get("upstream").get("says").str() {
        let sign = if wan.get("upstream").get("well").bool() == Some(true) { ' ' } else { '!' };
        let _ = writeln!(out, "{sign} wan      {name}: {says}");
    }
    for interface in wan.get("interfaces").items() {
        let sign = if interface.get("trouble").bool() == Some(true) { '!' } else { ' ' };
        let called = interface.get("name").str().unwrap_or("?");
        let standing = interface.get("standing").str().unwrap_or("?");
        let _ = writeln!(out, "{sign} wan      {name}: interface {called}: {standing}");
    }
    for given in wan.get("prefixes").items() {
        let prefix = given.get("prefix").str().unwrap_or("?");
        let interface = given.get("interface").str().unwrap_or("?");
        let _ = writeln!(out, "  wan      {name}: prefix {prefix} is delegated to interface {interface}");
    }
}

/// The document as text for a person: what matters most comes first.
pub fn render(status: &Json) -> String {
    let mut out = String::new();
    let s = |json: &Json, key: &str| json.get(key).str().unwrap_or("?").to_string();
    let healthy = status.get("healthy").bool() == Some(true);
    let _ =
        writeln!(out, "{}", if healthy { "All is well." } else { "Something needs attention (marked !)." });
    for problem in status.get("problems").items() {
        let _ = writeln!(out, "! config   {}", problem.str().unwrap_or("?"));
    }
    for text in status.get("deaf").items() {
        let _ = writeln!(out, "! sensor   {}; started again within a minute", text.str().unwrap_or("?"));
    }
    for wan in status.get("wans").items() {
        wan_lines(&mut out, wan);
    }
    let records = status.get("records").items();
    for record in records {
        // One family of a section may be missing; if nothing of it is published, that is not well.
        let same = records.iter().filter(|other| other.get("record").str() == record.get("record").str());
        let is_lost = !same.map(|other| other.get("standing").str()).any(|it| it == Some("published"));
        let _ = writeln!(out, "{}", record_line(record, is_lost));
    }
    for camera in status.get("cameras").items() {
        let place = match (camera.get("address").str(), camera.get("silent_s").num()) {
            (Some(addr), Some(seconds)) => format!("at {addr}, silent since {}", passed(seconds)),
            (Some(addr), None) if camera.get("confirmed").bool() == Some(true) => format!("at {addr}"),
            (Some(addr), None) => format!("at {addr} (not heard of lately)"),
            (None, _) => "not seen yet".into(),
        };
        let _ = writeln!(out, "  camera   {} {place}", s(camera, "name"));
        let heard = camera.get("heard6").bool() == Some(true);
        let _ = match (camera.get("address6").str(), camera.get("no_address6").str()) {
            (Some(addr), _) if camera.get("confirmed6").bool() == Some(true) => {
                writeln!(out, "  camera   {} in IPv6 at {addr}", s(camera, "name"))
            }
            (Some(addr), _) => {
                let when = if heard { "lately" } else { "yet" };
                writeln!(out, "  camera   {} in IPv6 at {addr} (not heard of {when})", s(camera, "name"))
            }
            (None, Some(why)) => writeln!(out, "  camera   {} has no IPv6 address: {why}", s(camera, "name")),
            (None, None) => Ok(()),
        };
        if let Some(why) = camera.get("static_lease_failure").str() {
            let _ = writeln!(out, "! camera   {}: its static lease is not written: {why}", s(camera, "name"));
        }
    }
    for mapping in status.get("mappings").items() {
        let door = format!("{} port {}", s(mapping, "name"), s(mapping, "port"));
        let open = mapping.get("open").bool() == Some(true);
        let _ = match (mapping.get("target").str(), open) {
            (Some(target), true) => {
                let asked = match (mapping.get("protection").str(), mapping.get("checked_s").num()) {
                    (Some(found), Some(seconds)) => format!(", {found}, asked {} ago", passed(seconds)),
                    _ => String::new(),
                };
                let outside = mapping.get("outside_port").num();
                let outside =
                    outside.map(|port| format!(" (from the internet: port {port})")).unwrap_or_default();
                let hits = match mapping.get("hits").num() {
                    Some(1) => "1 connection".to_string(),
                    hits => format!("{} connections", hits.unwrap_or(0)),
                };
                writeln!(
                    out,
                    "  mapping  {door}{outside} -> {target} port {}{asked}, {hits}",
                    s(mapping, "camera_port")
                )
            }
            (Some(target), false) => writeln!(out, "! mapping  {door} -> {target}: not in force yet"),
            (None, _) => {
                let sign = if mapping.get("rests").bool() == Some(true) { ' ' } else { '!' };
                writeln!(out, "{sign} mapping  {door} closed: {}", s(mapping, "closed"))
            }
        };
        for way in mapping.get("families").items() {
            let family = s(way, "family");
            let _ = match way.get("target").str() {
                // The first of them is told already.
                Some(target) if mapping.get("target").str() == Some(target) => Ok(()),
                Some(target) => writeln!(out, "  mapping  {door} by {family} -> {target}"),
                None if mapping.get("target").is_null() => Ok(()),
                None => writeln!(out, "  mapping  {door} closed by {family}: {}", s(way, "closed")),
            };
        }
    }
    outside::lines(&mut out, status);
    for tunnel in status.get("tunnels").items() {
        tunnel::render(&mut out, tunnel);
    }
    let filter = status.get("filter");
    for table in filter.get("dropped_by").items() {
        let name = table.str().unwrap_or("?");
        let _ = writeln!(out, "! filter   {name} drops what the port mappings let in; accept it there");
    }
    if let Some(text) = filter.get("failure").str() {
        let _ = writeln!(out, "! filter   {text}");
    }
    for channel in status.get("notify").items().iter().filter(|channel| !channel.get("failure").is_null()) {
        let (waiting, why) = (channel.get("waiting").num().unwrap_or(0), s(channel.get("failure"), "text"));
        let _ = writeln!(out, "  notify   {}: {waiting} events are not told yet: {why}", s(channel, "name"));
    }
    for change in status.get("changes").items() {
        let _ =
            writeln!(out, "  change   #{} {}", change.get("number").num().unwrap_or(0), s(change, "text"));
    }
    out
}

/// A time that has passed, as a person says it.
fn passed(seconds: i64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        5400..=129_599 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// A record's line; `is_lost` if nothing of its section is published.
fn record_line(record: &Json, is_lost: bool) -> String {
    let s = |key: &str| record.get(key).str().unwrap_or("?").to_string();
    let name = format!("{} {} ({})", s("domain"), s("type"), s("provider"));
    match record.get("standing").str() {
        Some("published") => {
            let seen = record.get("seen").str().map(|seen| format!(", {seen}")).unwrap_or_default();
            let after = record.get("seen_after_ms").num();
            let after = after.map(|ms| format!(" after {}.{:01} s", ms / 1000, ms % 1000 / 100));
            format!("  record   {name} is {}{seen}{}", s("published"), after.unwrap_or_default())
        }
        Some("waiting") => {
            let sign = if is_lost { '!' } else { ' ' };
            format!("{sign} record   {name} is left as it is: {}", s("waiting"))
        }
        Some("failing") => {
            let failure = record.get("failure");
            let next = match failure.get("next_try_s").num() {
                Some(seconds) => format!("next try in {seconds} s"),
                None => format!("tried again {}", failure.get("next_try").str().unwrap_or("later")),
            };
            let text = failure.get("text").str().unwrap_or("?");
            let class = failure.get("class").str().unwrap_or("?");
            format!("! record   {name} wants {}: {class}: {text}; {next}", s("wanted"))
        }
        _ => format!("  record   {name} is being set to {}", s("wanted")),
    }
}
