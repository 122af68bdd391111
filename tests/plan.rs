//! Planner scripts: what is sensed and answered, when, and what the plan makes of it. Pure data and a fake
//! clock. Each file in `tests/plan/` says first why it exists, then `-- Config --`, `-- Script --` (a time
//! and an event a line; `wake` in place of the time: when the plan said) and `-- Expect --` (every action, and what
//! was asked with `wake?`, `exposure?`, `outside?`, `cameras?`, `failing?`, `memory?`, `standing?`, `status?` or
//! `unseen?`). After each step the status document must be as its schema says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/configuration.rs"]
mod configuration;
#[path = "common/document.rs"]
mod document;

use configuration::config;
use porchlight::config::{BackendChoice, Config, IpSource, Network};
use porchlight::map::Map;
use porchlight::model::*;
use porchlight::plan::mapping::{unheard, way, Exposure};
use porchlight::plan::outside::{OutsideJob, Verdict};
use porchlight::plan::publish::ids;
use porchlight::plan::repeat::Repeats;
use porchlight::plan::upstream::{Ask, Place, Port, Report, UpstreamJob, Way, LIFETIME};
use porchlight::plan::witness::{self, standing};
use porchlight::plan::{
    camera, fold, lease, notify, outside, plan, probe, refresh, reload, settle, source, tunnel, upstream,
};
use porchlight::plan::{Action, Carried, LeaseJob, Leased, Plan, ProbeJob, StaticLease};
use porchlight::provider::{Failure, Kind, Outcome};
use porchlight::state::{kind_of, kind_word, Known, Seen, State};
use porchlight::status::{render, Standing, View};
use porchlight::wire::json::Json;
use porchlight::wire::tz::Zone;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

struct Stage {
    config: Config,
    world: World,
    state: State,
    /// What the file on flash says.
    kept: State,
    /// The wall clock was not set since the boot.
    unset: bool,
    /// The wall clock at the boot, once it is set: Unix seconds.
    since: u64,
    now: Now,
    flying: Vec<Action>,
    wake_at: Option<Time>,
    out: String,
    /// All that the status documents had.
    told: BTreeSet<String>,
}

fn millis(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("time unit {other} in {text}"),
    };
    (number.parse::<f64>().unwrap() * factor as f64) as u64
}

fn kind(word: &str) -> Kind {
    kind_of(word).unwrap_or_else(|| panic!("no class {word}"))
}

impl Stage {
    fn new(text: &str) -> Stage {
        let now = Now { boot: Time(0), wall: 1_800_000_000 };
        let world = World { complete: true, resolver: true, ..World::default() };
        let (state, kept, out) = (State::default(), State::default(), String::new());
        let (mut config, flying) = (config(text), Vec::new());
        if !text.contains("ip_source") {
            // A script that is not about witnesses has none.
            config.wans.iter_mut().for_each(|wan| wan.sources = vec![IpSource::Interface]);
        }
        let (since, told) = (now.wall, BTreeSet::new());
        Stage { config, world, state, kept, unset: false, since, now, flying, wake_at: None, out, told }
    }

    fn decide(&mut self) {
        camera::observe(&self.config, &self.world, &mut self.state, self.now.boot);
        refresh::observe(&self.config, &mut self.state, self.now);
        tunnel::observe(&self.config, &self.world, &mut self.state, self.now);
        if !self.config.notifies.is_empty() {
            let (config, state, deaf) = (&self.config, &self.state, &Map::new());
            let view = View { config, problems: &[], deaf, world: &self.world, state, now: self.now };
            let subjects = notify::subjects(&view);
            for text in notify::observe(&mut self.state.told, &self.config, subjects, self.now.boot) {
                self.say(&text);
            }
        }
        let Plan { actions, wake_at } = plan(&self.config, &self.world, &self.state, self.now);
        self.wake_at = wake_at;
        for action in actions {
            settle::begin(&mut self.state, &action, self.now);
            let line = show(&action);
            self.say(&line);
            // A tunnel goes on; what becomes of it comes by itself.
            if !matches!(action, Action::Tunnel(_)) {
                self.flying.push(action);
            }
        }
        if refresh::is_owed(&self.config, &self.state, &self.kept) {
            self.kept = State::from_text(&self.state.to_kept_text(), "").unwrap();
            self.say("flash is written");
        }
        document::had(&document::is_valid(&self.status()), "", &mut self.told);
    }

    fn status(&self) -> String {
        let (config, state, deaf) = (&self.config, &self.state, &Map::new());
        View { config, problems: &[], deaf, world: &self.world, state, now: self.now }.to_json()
    }

    fn say(&mut self, text: &str) {
        writeln!(self.out, "{:>8}  {text}", shown_time(self.now.boot.0)).unwrap();
    }

    fn event(&mut self, event: Event) {
        fold::event(&mut self.world, event, self.now);
    }

    fn at(&self, millis: u64) -> Now {
        let since = if self.unset { 0 } else { self.since };
        Now { boot: Time(millis), wall: since + millis / 1000 }
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "wake" {
            match self.wake_at {
                Some(at) => self.now = self.at(at.0),
                None => self.say("nothing is planned"),
            }
        } else {
            let at = millis(words[0]);
            assert!(at >= self.now.boot.0, "{line}: back in time");
            self.now = self.at(at);
        }
        match &words[1..] {
            [] => {}
            ["wan", name, rest @ ..] => self.wan(name, rest),
            ["own", rest @ ..] => self.own(rest),
            ["leases", rest @ ..] => {
                let lease = |text: &&str| {
                    let parts: Vec<&str> = text.split('/').collect();
                    let name = parts.get(2).map(|name| name.to_string());
                    Lease {
                        expiry: 0,
                        mac: Mac::parse(parts[0]).unwrap(),
                        addr: parts[1].parse().unwrap(),
                        name,
                    }
                };
                self.event(Event::Leases(rest.iter().map(lease).collect()));
            }
            ["near", addr, "gone"] => self.event(Event::Neighbour(addr.parse().unwrap(), None)),
            ["near", addr, mac, state, ago @ ..] => {
                let ago = Duration::from_millis(ago.first().map_or(0, |ago| millis(ago)));
                let confirmed = (*state == "fresh").then_some(ago);
                let entry = Sighting { mac: Mac::parse(mac).unwrap(), confirmed };
                self.event(Event::Neighbour(addr.parse().unwrap(), Some(entry)));
            }
            ["resolver", "yes"] => self.event(Event::Resolver(true)),
            ["fw4"] => self.world.fw4 = true,
            ["fw4", "procd"] => (self.world.fw4, self.world.procd) = (true, true),
            ["fw4", "came"] => settle::firewall_came(&mut self.state),
            ["trigger"] => self.event(Event::Trigger),
            // The router above a WAN says that something changed.
            ["announced", wan, gateway] => {
                let sensed = self.world.wans.get(*wan).and_then(|wan| wan.v4.addr.seen());
                let Some(std::net::IpAddr::V4(local)) = sensed else { panic!("{line}: no address") };
                let place = Place { gateway: gateway.parse().unwrap(), local };
                upstream::announced(&mut self.state, wan, place, self.now.boot);
            }
            // Somebody sets the clock; `clock TIME` to that Unix time.
            ["clock", wall] => {
                self.since = wall.parse::<u64>().unwrap() - self.now.boot.0 / 1000;
                self.now = self.at(self.now.boot.0);
                self.event(Event::ClockSet);
            }
            ["zone", text] => {
                self.event(Event::TimeZone(Zone::parse(text).map_or_else(TimeZone::Bad, TimeZone::Known)));
            }
            ["clock"] => {
                self.unset = false;
                self.now = self.at(self.now.boot.0);
                self.event(Event::ClockSet);
            }
            // All but flash is gone, and the clock too where there is none that runs on.
            ["reboot", rest @ ..] => {
                self.unset = rest.contains(&"clockless");
                if rest.contains(&"bare") {
                    self.kept = State::default();
                }
                self.world = World { complete: true, resolver: true, ..World::default() };
                self.state = State::default();
                let ids: Vec<RecordId> = self.config.records.iter().flat_map(ids).collect();
                self.state.recall(&self.kept, &ids);
                self.now = self.at(self.now.boot.0);
                self.flying.clear();
            }
            ["person"] => settle::try_again(&mut self.state),
            ["config", rest @ ..] => {
                let before = self.config.clone();
                self.edit(rest);
                settle::reconfigured(&mut self.state, &before, &self.config);
            }
            ["filter", "flushed"] => self.state.mapping.applied = None,
            ["heard"] => self.world.complete = true,
            ["restart", rest @ ..] => {
                let edit = rest.strip_prefix(&["blind"]);
                if edit.is_some() {
                    self.world = World { resolver: true, ..World::default() };
                }
                // What was edited meanwhile nobody compares with what was before.
                let edit = edit.unwrap_or(rest);
                if !edit.is_empty() {
                    self.edit(edit);
                }
                self.state = State::from_text(&self.state.to_text("boot"), "boot").unwrap();
                self.flying.clear();
            }
            ["forget"] => {
                self.state = State::default();
                self.flying.clear();
            }
            ["tunnel", name, mapping, rest @ ..] => self.tunnel(name, mapping, rest),
            // `holes ADDRESS:PORT=INNER ...`: what natmap says.
            ["holes", rest @ ..] => {
                let hole = |text: &&str| {
                    let (outside, inner) = text.split_once('=').unwrap();
                    let outside: SocketAddr = outside.parse().unwrap();
                    Hole { addr: outside.ip(), port: outside.port(), inner: inner.parse().unwrap() }
                };
                self.event(Event::Holes(rest.iter().map(hole).collect()));
            }
            ["tunnels?"] => self.tunnels(),
            ["done", rest @ ..] => self.done(rest),
            // The second of two jobs in flight ends first.
            ["newer", "done", rest @ ..] => {
                self.flying.swap(0, 1);
                self.done(rest);
            }
            // The outcome of an older job than the one in flight, about the same.
            ["late", "done", rest @ ..] => {
                let mut late = self.flying[0].clone();
                match &mut late {
                    Action::Publish(job) => job.generation -= 1,
                    Action::Look(job) => job.generation -= 1,
                    Action::Probe(job) => job.generation -= 1,
                    Action::Resolve(job) => job.generation -= 1,
                    Action::Map(job) => job.generation -= 1,
                    Action::Witness(job) => job.generation -= 1,
                    Action::Upstream(job) => job.generation -= 1,
                    Action::Outside(job) => job.generation -= 1,
                    Action::Tell(job) => job.generation -= 1,
                    Action::Lease(_) | Action::Tunnel(_) => panic!("there is one at a time"),
                }
                self.flying.insert(0, late);
                self.done(rest);
            }
            ["wake?"] => {
                let text = self
                    .wake_at
                    .map_or("nothing planned".into(), |at| format!("next look at {}", shown_time(at.0)));
                self.say(&text);
            }
            ["unseen?"] => {
                let unseen = self.state.mapping.unseen.join(" ");
                self.say(&format!("not seen or heard yet: [{unseen}]"));
            }
            ["unheard?"] => {
                let addrs = unheard(&self.config, &self.world, &self.state);
                let addrs: Vec<String> = addrs.iter().map(|addr| addr.to_string()).collect();
                self.say(&format!("unheard: [{}]", addrs.join(" ")));
            }
            ["exposure?"] => self.exposure(),
            ["cameras?"] => self.cameras(),
            ["look"] => lease::look_again(&mut self.state, &self.config),
            ["failing?"] => self.failing(),
            ["standing?"] => self.standing(),
            ["status?"] => {
                let status = Json::parse(&self.status()).unwrap();
                let exit = if status.get("healthy").bool() == Some(true) { "" } else { " (exit code 1)" };
                let text = render(&status);
                self.say(&format!("{}{exit}", text.lines().next().unwrap()));
            }
            ["reach?"] => self.reach(),
            ["outside?"] => self.outside(),
            ["memory?"] => self.memory(),
            other => panic!("script: {other:?}"),
        }
        self.decide();
    }

    /// How each WAN is reached, how that is known, and what it means.
    fn reach(&mut self) {
        for wan in self.config.wans.clone() {
            for family in wan.families.iter().copied() {
                let found = standing(&self.world, &self.state, &wan, family);
                if found.own.is_some() {
                    let seen = found.seen.map_or("nothing agreed".into(), |seen| format!("seen as {seen}"));
                    let (reach, known) = (found.reach, found.known.word());
                    self.say(&format!("{} {family} is {reach}, by {known}, {seen}", wan.name));
                }
            }
        }
    }

    /// What `status` says of the ports as the internet sees them.
    fn outside(&mut self) {
        let (config, state, world) = (self.config.clone(), self.state.clone(), &self.world);
        let view =
            View { config: &config, problems: &[], deaf: &Map::new(), world, state: &state, now: self.now };
        let text = render(&Json::parse(&view.to_json()).unwrap());
        let lines: Vec<&str> = text.lines().filter(|line| line.get(2..9) == Some("outside")).collect();
        self.say(&lines.join(" | "));
    }

    /// How each record stands that has something to publish.
    fn standing(&mut self) {
        let (config, state) = (self.config.clone(), self.state.clone());
        let world = &self.world;
        let view =
            View { config: &config, problems: &[], deaf: &Map::new(), world, state: &state, now: self.now };
        let of_record = |record| ids(record).map(|id| (view.standing(record, &id), id)).collect::<Vec<_>>();
        let all: Vec<_> = config.records.iter().flat_map(of_record).collect();
        for (standing, id) in all.into_iter().filter(|(standing, _)| *standing != Standing::Waiting) {
            self.say(&format!("{id} is {standing:?}"));
        }
    }

    /// `done ok [CAMERA=ADDRESS] ...`: the sections that are there now; `done refused CAMERA`; `done failed`.
    fn leased(&mut self, job: &LeaseJob, words: &[&str]) {
        let pair =
            |text: &&str| text.split_once('=').map(|(camera, addr)| (camera.into(), addr.parse().unwrap()));
        let result = match words {
            ["ok", rest @ ..] => {
                Ok(Leased { pinned: rest.iter().filter_map(pair).collect(), ..Leased::default() })
            }
            ["refused", camera] => {
                Ok(Leased { refused: vec![(camera.to_string(), "taken".into())], ..Leased::default() })
            }
            _ => Err("no such file".into()),
        };
        assert!(!job.leases.is_empty() || job.only);
        if lease::leased(&mut self.state, result, self.now.boot) {
            self.say("a failure is told");
        }
    }

    /// `done nobody`, or `done pcp|nat-pmp|upnp [ADDRESS] [epoch=SECONDS] [refused] [at=PORT]`: what is asked for is given
    /// at the port that is asked for, or at PORT.
    fn above(&mut self, job: &UpstreamJob, words: &[&str]) {
        let way = Way::ALL.into_iter().find(|way| way.to_string().to_lowercase() == words[0]);
        let mut report = Report { way, ..Report::default() };
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.parse::<u32>().ok());
        report.external = words.iter().find_map(|word| word.parse().ok());
        report.epoch = value("epoch=");
        let port = |ask: &Ask| value("at=").map_or(ask.external, |port| port as u16);
        if way.is_some() {
            report.dropped = job.drops.iter().map(|drop| drop.port).collect();
            if words.contains(&"refused") {
                report.refused = job.asks.iter().map(|ask| (ask.port, "it said no".into())).collect();
            } else {
                report.granted = job.asks.iter().map(|ask| (ask.port, port(ask), LIFETIME)).collect();
            }
        }
        let wan = &self.config.wans.iter().find(|wan| wan.name == job.wan).unwrap().clone();
        if upstream::answered(&mut self.state, wan, job, report, self.now.boot) {
            self.say("it has restarted");
        }
        self.world.wans.get_mut(&job.wan).unwrap().above = upstream::above(&self.state, &job.wan);
        if let Some((_, text)) = upstream::sentence(self.state.upstream.get(&job.wan).unwrap(), wan) {
            self.say(&text);
        }
    }

    /// `tunnel NAME MAPPING up PORT`, `tunnel NAME MAPPING CLASS`: what becomes of its last line; `late` in front of either:
    /// of an older one.
    fn tunnel(&mut self, name: &str, mapping: &str, words: &[&str]) {
        let (late, words) = match words {
            ["late", rest @ ..] => (1, rest),
            rest => (0, rest),
        };
        let news = match words {
            ["up", port] => tunnel::News::Up(port.parse().unwrap()),
            [class] => tunnel::News::Down(Failure::new(kind(class), "said so")),
            other => panic!("script: tunnel {other:?}"),
        };
        let attempt = self.state.tunnels.get(name).map_or(0, |memory| memory.attempts) - late;
        let report = tunnel::Report { tunnel: name.into(), mapping: mapping.into(), attempt, news };
        if !tunnel::answered(&mut self.state, &report, self.now.boot, u32::MAX) {
            self.say("it is an older line's");
        }
    }

    /// By which port of which tunnel a mapping is reached.
    fn tunnels(&mut self) {
        for section in self.config.tunnels.clone() {
            for (mapping, _) in &section.carries {
                let port = tunnel::port(&self.state, &section, mapping);
                let port = port.map_or("nowhere".into(), |port| format!("at port {port}"));
                self.say(&format!("{mapping} by {} {port}", section.name));
            }
        }
    }

    /// Where each camera is, and since when it is silent.
    fn cameras(&mut self) {
        for camera in self.config.cameras.clone() {
            let addr = self
                .state
                .cameras
                .get(&camera.name)
                .unwrap()
                .addr
                .map_or("nowhere".into(), |addr| addr.to_string());
            let silent = camera::silent_since(&self.config, &self.state, &camera, self.now.boot);
            let silent = silent.map_or(String::new(), |at| format!(", silent since {}", shown_time(at.0)));
            self.say(&format!("{} is at {addr}{silent}", camera.name));
        }
    }

    /// The owner edits the configuration.
    fn edit(&mut self, words: &[&str]) {
        let before = self.config.clone();
        match words {
            ["without", "records"] => self.config.records.clear(),
            ["tsig_name", name] => {
                self.config.records[0].options.text.insert("tsig_name".into(), name.to_string());
            }
            ["without", "mappings"] => self.config.mappings.clear(),
            ["zone", zone] => self.config.records[0].zone = Some(zone.to_string()),
            ["without", "notifies"] => self.config.notifies.clear(),
            ["chat_id", text] => {
                self.config.notifies[0].options.text.insert("chat_id".into(), text.to_string());
            }
            ["camera", "name", name] => self.config.cameras[0].host = Some(name.to_string()),
            ["camera", "mac", macs @ ..] => {
                self.config.cameras[0].macs = macs.iter().map(|mac| Mac::parse(mac).unwrap()).collect();
            }
            ["src_ip", net] => self.config.mappings[0].sources = vec![Network::parse(net).unwrap()],
            ["static_lease", flag] => self.config.cameras[0].static_lease = *flag == "1",
            ["ttl", ttl] => self.config.records[0].ttl = ttl.parse().ok(),
            ["record", "called", name] => {
                let cameras = self.config.cameras.iter_mut();
                cameras.flat_map(|camera| &mut camera.records).for_each(|record| *record = name.to_string());
                self.config.records[0].name = name.to_string();
            }
            ["camera", "called", name] => {
                self.config.mappings.iter_mut().for_each(|mapping| mapping.camera = name.to_string());
                self.config.cameras[0].name = name.to_string();
            }
            ["mapping", "called", name] => self.config.mappings[0].name = name.to_string(),
            ["notify", "called", name] => self.config.notifies[0].name = name.to_string(),
            ["wan", "called", name] => {
                self.config.wans[0].name = name.to_string();
                self.config.records.iter_mut().for_each(|record| record.wans = vec![name.to_string()]);
                // As the agent does.
                for (old, new) in reload::renamed_wans(&before, &self.config) {
                    let sensed = self.world.wans.remove(&old).unwrap();
                    self.world.wans.insert(new, sensed);
                }
            }
            ["mapping_backend", "none"] => self.config.global.backend = BackendChoice::None,
            other => panic!("script: config {other:?}"),
        }
    }

    fn wan(&mut self, name: &str, words: &[&str]) {
        let mut snapshot = WanSnapshot { device: Some(format!("{name}0")), ..WanSnapshot::default() };
        for word in words {
            match *word {
                "route4" => snapshot.route4 = true,
                "route6" => (snapshot.route6, snapshot.device6) = (true, snapshot.device.clone()),
                "gone" => snapshot.device = None,
                via if via.starts_with("via=") => snapshot.gateway = via[4..].parse().ok(),
                // A prefix that was delegated to it.
                prefix if prefix.contains('/') => snapshot.prefixes.push(Delegated {
                    interface: format!("{name}6"),
                    prefix: Network::parse(prefix).unwrap(),
                    assigned: Vec::new(),
                }),
                addr => match addr.parse().unwrap() {
                    addr @ std::net::IpAddr::V4(_) => snapshot.v4 = Some(addr),
                    addr => snapshot.v6 = Some(addr),
                },
            }
        }
        let mut wans: Map<String, WanSnapshot> = Map::new();
        for (name, wan) in &self.world.wans {
            let (v4, v6) = (wan.v4.addr.seen(), wan.v6.addr.seen());
            let (device, device6) = (wan.device.clone(), wan.device6.clone());
            wans.insert(
                name.clone(),
                WanSnapshot {
                    device,
                    device6,
                    prefixes: wan.prefixes.clone(),
                    v4,
                    v6,
                    route4: wan.v4.route,
                    route6: wan.v6.route,
                    gateway: wan.gateway,
                    ..WanSnapshot::default()
                },
            );
        }
        wans.insert(name.into(), snapshot);
        self.event(Event::Network { wans, own: self.world.own.clone() });
    }

    /// `own lan0/192.168.1.1/24 lan0/2001:db8::1/64/deprecated ...`: the router's addresses.
    fn own(&mut self, words: &[&str]) {
        let own = |text: &&str| {
            let parts: Vec<&str> = text.split('/').collect();
            OwnAddr {
                device: parts[0].into(),
                addr: parts[1].parse().unwrap(),
                prefix: parts[2].parse().unwrap(),
                settled: !parts.contains(&"deprecated"),
            }
        };
        self.world.own = words.iter().map(own).collect();
    }

    fn exposure(&mut self) {
        for mapping in self.config.mappings.clone() {
            for family in &mapping.families {
                let shown = match way(&self.config, &self.world, &self.state, &mapping, *family, self.now) {
                    Exposure::Open(rules) => format!("open to {}", rules[0].target),
                    Exposure::Closed(why) => format!("closed: {why}"),
                    Exposure::Until(at, why) => format!("closed until {}: {why}", shown_time(at.0)),
                };
                let by =
                    if mapping.families == [Family::V4] { String::new() } else { format!(" by {family}") };
                self.say(&format!("{}{by} is {shown}", mapping.name));
            }
        }
    }

    /// What has a failure, and which. Of an account's key only the provider.
    fn failing(&mut self) {
        let records =
            self.state.records.iter().filter_map(|(id, m)| Some((id.to_string(), m.retry.as_ref()?)));
        let provider = |key: &str| key.split(':').next().unwrap().to_string();
        let accounts = self.state.accounts.iter();
        let accounts = accounts.filter_map(|(key, account)| Some((provider(key), account.retry.as_ref()?)));
        let all = records
            .chain(accounts)
            .map(|(who, retry)| format!("{who} fails: {}", kind_word(retry.failure.kind)));
        let all: Vec<String> = all.collect();
        self.say(&if all.is_empty() { "nothing fails".into() } else { all.join(", ") });
    }

    /// How many accounts there are, and what is known to be published.
    fn memory(&mut self) {
        let mut text = format!("{} accounts", self.state.accounts.len());
        for (id, memory) in &self.state.records {
            if let Known::Published(addr) = memory.known {
                write!(text, ", {id} {addr}").unwrap();
            }
        }
        self.say(&text);
    }

    /// `done ok|same|CLASS [after TIME] [requests N] [DOMAIN=RESULT ...]` for the oldest action in flight.
    fn done(&mut self, words: &[&str]) {
        let told = words.iter().position(|word| *word == "requests");
        let requests = told.map_or(u32::from(words[0] != "not-ready"), |at| words[at + 1].parse().unwrap());
        let none = Duration::ZERO;
        let end = settle::End { now: self.now, floor: none, random: u32::MAX, requests, last_request: none };
        let failure = |word: &str| {
            let failure = Failure::new(kind(word), "said so");
            match words.iter().position(|w| *w == "after") {
                Some(at) => failure.after(Duration::from_millis(millis(words[at + 1]))),
                None => failure,
            }
        };
        let verdict = |word: &str| match word {
            "ok" => Ok(Outcome::Updated),
            "same" => Ok(Outcome::Unchanged),
            class => Err(failure(class)),
        };
        if self.flying.is_empty() {
            return self.say("nothing is in flight");
        }
        match self.flying.remove(0) {
            Action::Publish(job) => {
                let each = |id: &RecordId| {
                    let own = words.iter().find_map(|word| word.strip_prefix(&format!("{}=", id.domain)));
                    (id.clone(), verdict(own.unwrap_or(words[0])))
                };
                let result = match verdict(words[0]) {
                    Err(failure) if !words.iter().any(|word| word.contains('=')) => Err(failure),
                    _ => Ok(job.records.iter().map(|wanted| each(&wanted.id)).collect()),
                };
                let told = settle::published(&mut self.state, &self.config, &job, Map::new(), result, end);
                if told.is_empty() {
                    self.say("no verdicts to tell");
                }
                for wanted in &job.records {
                    if told.contains(&(wanted.id.clone(), Ok(Outcome::Updated))) {
                        let (told, now) = (&mut self.state.told, self.now.boot);
                        notify::changed(told, &self.config, &wanted.id, wanted.addr, now);
                    }
                }
            }
            Action::Look(job) => {
                let answer = |word: &str| match word {
                    "absent" => Ok(Vec::new()),
                    word if word.parse::<std::net::IpAddr>().is_ok() => Ok(vec![word.parse().unwrap()]),
                    class => Err(failure(class)),
                };
                let each = |id: &RecordId| {
                    let own = words.iter().find_map(|word| word.strip_prefix(&format!("{}=", id.domain)));
                    (id.clone(), answer(own.unwrap_or(words[0])))
                };
                let answers = job.records.iter().map(each).collect();
                settle::looked(&mut self.state, &self.config, &job, answers, end);
            }
            Action::Probe(job) => {
                let found = match words[0] {
                    "basic" => Protection::Password(Scheme::Basic),
                    "digest" => Protection::Password(Scheme::Digest),
                    "open" => Protection::Open,
                    "no-service" => Protection::NoService,
                    "silent" => Protection::Silent,
                    what => Protection::Unproven(what.into()),
                };
                match self.config.mappings.iter().find(|mapping| mapping.name == job.mapping) {
                    Some(mapping) => {
                        probe::answered(&mut self.state, mapping, &job, found, self.now.boot);
                    }
                    None => self.say("nobody asked that any more"),
                }
            }
            // `done [OPERATOR=ADDRESS] ...`; who is not named is silent, `OPERATOR=rest:TIME` asks to be left alone.
            Action::Witness(job) => {
                let answer = |operator: &str| match words
                    .iter()
                    .find_map(|word| word.strip_prefix(&format!("{operator}=")))
                {
                    None => Err(("does not answer".into(), None)),
                    Some(text) => match text.strip_prefix("rest:") {
                        Some(time) => Err(("refuses us".into(), Some(Duration::from_millis(millis(time))))),
                        None => Ok(text.parse().unwrap()),
                    },
                };
                let said = job.witnesses.iter().map(|one| (one.clone(), answer(&one.operator))).collect();
                witness::answered(&mut self.state, &self.config, &job, said, self.now, 0);
            }
            Action::Tell(job) => {
                let result = verdict(words[0]).map(drop);
                notify::ended(&mut self.state.told, &job, result, self.now.boot, u32::MAX);
            }
            Action::Lease(job) => self.leased(&job, words),
            Action::Tunnel(_) => unreachable!("it is not kept"),
            Action::Upstream(job) => self.above(&job, words),
            // `done open`, `done closed`, or why it could not be told.
            Action::Outside(job) => {
                let result = match words {
                    ["open"] => Ok(Verdict::Open),
                    ["closed"] => Ok(Verdict::Closed),
                    why => Err(why.join(" ")),
                };
                let now = self.now.boot;
                if outside::answered(&mut self.state, &job, result, now) {
                    self.say("that is new");
                }
            }
            Action::Resolve(job) => {
                let result = match kind_of(words[0]) {
                    Some(_) => Err(failure(words[0])),
                    None => Ok(words
                        .iter()
                        .map(|addr| {
                            addr.parse().unwrap_or_else(|_| panic!("no address {addr}\n{}", self.out))
                        })
                        .collect()),
                };
                source::answered(&mut self.state, &job, result, self.now.boot);
            }
            Action::Map(job) => {
                let reloaded = job.carrier.reloads() && job.reload && words[0] != "equal";
                let missing = words[1..].iter().map(|mapping| mapping.to_string()).collect();
                let result = match words[0] {
                    "ok" | "equal" => Ok(Carried { reloaded, missing, ..Carried::default() }),
                    _ => Err("nft said no".into()),
                };
                settle::mapped(&mut self.state, &job, result, self.now.boot);
            }
        }
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Publish(job) => {
            let records: Vec<String> = job.records.iter().map(|w| format!("{} {}", w.id, w.addr)).collect();
            format!("publish {}", records.join(", "))
        }
        Action::Look(job) => {
            let records: Vec<String> = job.records.iter().map(|id| id.to_string()).collect();
            format!("look {}", records.join(", "))
        }
        Action::Probe(job) => {
            let ProbeJob { mapping, inquiry, .. } = &**job;
            format!("ask for {mapping}: {}://{}{}", inquiry.how, inquiry.target, inquiry.path)
        }
        Action::Witness(job) => {
            let operators: Vec<&str> = job.witnesses.iter().map(|one| one.operator.as_str()).collect();
            let (device, family, begins) =
                (&job.device, job.family, if job.fresh { "new round, " } else { "" });
            format!("{begins}ask by {device} ({family}): {}", operators.join(" "))
        }
        Action::Tell(job) => {
            let [event, title, text, ..] = &job.message.0;
            let text = text.replace('\n', " | ");
            format!("tell {} of {event}: {title:?}, {text:?}", job.channel)
        }
        Action::Lease(job) => {
            let lease = |lease: &StaticLease| match lease.addr {
                Some(addr) if lease.moved => format!(" {} moves to {addr}", lease.camera),
                Some(addr) => format!(" {} at {addr} if none is there", lease.camera),
                None => format!(" {} if it is there", lease.camera),
            };
            let only = if job.only { "" } else { ", others stay" };
            format!("static leases:{}{only}", job.leases.iter().map(lease).collect::<Vec<_>>().join(","))
        }
        Action::Upstream(job) => {
            let name = |(proto, port): Port| format!("{proto} {port}");
            let asks = job.asks.iter().map(|ask| format!("{} at {}", name(ask.port), ask.external));
            let drops = job.drops.iter().map(|drop| format!("{} at {} goes", name(drop.port), drop.external));
            let how = job.way.map_or("in any way".into(), |way| format!("by {way}"));
            let all: Vec<String> = asks.chain(drops).collect();
            format!("ask {} {how} [{}]", job.place.gateway, all.join(", "))
        }
        Action::Outside(job) => {
            let OutsideJob { mapping, family, target, .. } = &**job;
            let (device, addr, port) = (&target.device, target.addr, target.port);
            format!("have {mapping} tried by {device} ({family}): {addr} port {port}")
        }
        Action::Resolve(job) => format!("look up {}", job.name),
        Action::Tunnel(job) => {
            let line =
                |line: &tunnel::Line| format!("{} to {} at {}", line.mapping, line.target, line.remote);
            let lines: Vec<String> = job.lines.iter().map(line).collect();
            format!("tunnel {} carries [{}]", job.tunnel, lines.join(", "))
        }
        Action::Map(job) => {
            let rules: Vec<String> = job
                .rules
                .iter()
                .map(|r| {
                    let wan: Vec<String> = r.wan_addrs.iter().map(|addr| addr.to_string()).collect();
                    let (device, proto) = (r.wan_devices.join("+"), r.proto);
                    let from: Vec<String> = r.sources.iter().map(|net| net.to_string()).collect();
                    let from =
                        if from.is_empty() { String::new() } else { format!(" from {}", from.join(" ")) };
                    format!(
                        "{device}[{}] {}/{proto} -> {}{from}",
                        wan.join(" "),
                        r.src_dport.0,
                        SocketAddr::new(r.target, r.dest_port.0)
                    )
                })
                .collect();
            let rules = if rules.is_empty() { "nothing".into() } else { rules.join(", ") };
            let cut: Vec<String> = job.cut.iter().map(|addr| addr.to_string()).collect();
            let cut = if cut.is_empty() { String::new() } else { format!("; cut {}", cut.join(" ")) };
            let how = match (job.carrier.reloads(), job.reload) {
                (false, _) => "map",
                (true, true) => "reload",
                (true, false) => "bar all but",
            };
            format!("{how} {rules}{cut}")
        }
    }
}

fn shown_time(millis: u64) -> String {
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}

fn section<'a>(text: &'a str, name: &str, end: &str) -> &'a str {
    let start =
        text.find(&format!("-- {name} --\n")).unwrap_or_else(|| panic!("no section {name}")) + name.len() + 7;
    &text[start
        ..start + text[start..].find(&format!("-- {end} --")).unwrap_or_else(|| panic!("no section {end}"))]
}

/// 200 records in carrier-grade NAT, an hour, in which everything is answered at once: few rounds, nothing published.
/// Two lines, one of them behind another router; two services; a camera that is asked; a channel.
const MONTH_CONFIG: &str = "
config porchlight 'global'
	option mapping_backend 'nft'
config wan 'wan'
	option device 'wan0'
	list ip_source 'interface'
config wan 'fibre'
	option device 'fibre0'
	list ip_source 'interface'
	list ip_source 'dns'
	list ip_source 'web'
config record 'home'
	option provider 'rfc2136'
	option server 'ns.example.com'
	option tsig_name 'k'
	option tsig_secret 'YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY='
	list domain 'cam.example.com'
config record 'away'
	option provider 'duckdns'
	option token 'c0ffee00-0000'
	list domain 'my.duckdns.org'
config camera 'front'
	list mac 'aa:bb:cc:00:00:01'
config mapping 'rtsp'
	option camera 'front'
	option src_dport '8554'
	option dest_port '554'
config notify 'phone'
	option kind 'telegram'
	option token '123456:abcdefgh'
	option chat_id '42'
	list on 'failing'
";

/// How many lines a failure takes that lasts: each way of failing once, then a count, and the end. What it takes in this
/// time is played by the planner: the record's tries, the questions to the camera, the messages, the witnesses' rounds.
#[test]
fn a_month_without_anybody_is_a_page_of_the_log() {
    const MONTH: u64 = 30 * 86_400_000;
    let mut stage = Stage::new(MONTH_CONFIG);
    let mut repeats = Repeats::default();
    let (mut tries, mut lines) = (Map::<String, u32>::new(), Map::<String, u32>::new());
    // One line behind a router whose address no two witnesses agree on.
    stage.line("0s own lan0/192.168.1.1/24");
    stage.line("0s wan wan 9.9.4.4 route4");
    stage.line("0s wan fibre 192.168.7.2 route4");
    stage.line("0s leases aa:bb:cc:00:00:01/192.168.1.20");
    while stage.now.boot.0 < MONTH {
        while let Some(action) = stage.flying.first().cloned() {
            let (what, class, words): (&str, &'static str, &[&str]) = match &action {
                Action::Publish(job) if job.record == "home" => {
                    ("record home", "unreachable", &["unreachable"])
                }
                Action::Publish(_) => ("record away", "busy", &["busy"]),
                Action::Probe(_) => ("camera", "silent", &["silent"]),
                Action::Tell(_) => ("notify", "unreachable", &["unreachable"]),
                Action::Look(_) => ("", "", &["absent"]),
                Action::Witness(_) => ("witness", "doubt", &["google=9.9.4.5"]),
                Action::Upstream(_) => ("", "", &["nobody"]),
                _ => ("", "", &["ok"]),
            };
            stage.done(words);
            if !what.is_empty() {
                *tries.entry(what.into()).or_default() += 1;
                let told = repeats.failed(what, class, stage.now).is_some();
                *lines.entry(what.into()).or_default() += u32::from(told);
            }
        }
        let next = stage.wake_at.unwrap_or(stage.now.boot.plus(Duration::from_secs(3600)));
        stage.now = stage.at(next.0.max(stage.now.boot.0 + 1));
        stage.decide();
    }
    let figures: Vec<String> = tries
        .iter()
        .map(|(what, tries)| format!("{what}: {tries} failures, {} lines", lines.get(what).unwrap()))
        .collect();
    assert_eq!(
        figures,
        [
            "camera: 1463 failures, 31 lines",
            "notify: 37 failures, 2 lines",
            "record away: 732 failures, 31 lines",
            "record home: 732 failures, 31 lines",
            "witness: 2214 failures, 31 lines",
        ]
    );
}

#[test]
fn rounds_are_of_a_wan_and_not_of_its_records() {
    for (agreeing, most) in [(true, 12), (false, 12)] {
        let mut text = "config wan 'wan'\n\toption device 'wan0'\n\tlist ip_source 'interface'\n\tlist ip_source 'dns'\n\tlist \
                        ip_source 'web'\n"
            .to_string();
        for n in 0..200 {
            writeln!(
                text,
                "config record 'r{n}'\n\toption provider 'duckdns'\n\tlist domain 'n{n}.duckdns.org'\n\toption token \
                 'abcdefgh{n}'"
            )
            .unwrap();
        }
        let mut stage = Stage::new(&text);
        stage.line("0s wan wan 100.64.1.5 route4");
        let hour = 3_600_000;
        let mut questions = 0;
        loop {
            while !stage.flying.is_empty() {
                let Action::Witness(job) = stage.flying[0].clone() else { panic!("{}", stage.out) };
                questions += job.witnesses.len();
                let said: Vec<String> = job
                    .witnesses
                    .iter()
                    .map(|one| match agreeing {
                        true => format!("{}=93.184.216.34", one.operator),
                        false => {
                            format!("{}=93.184.216.{}", one.operator, questions % 200 + one.operator.len())
                        }
                    })
                    .collect();
                let line = format!("{}ms done {}", stage.now.boot.0, said.join(" "));
                stage.line(&line);
            }
            match stage.wake_at {
                Some(at) if at.0 < hour => stage.line("wake"),
                _ => break,
            }
        }
        let rounds = stage.out.matches("new round").count();
        assert!((2..=most).contains(&rounds), "{rounds} rounds");
        assert!(!stage.out.contains("publish"), "{}", stage.out);
        assert!(questions <= 12 * if agreeing { 3 } else { 10 }, "{questions} questions");
    }
}

#[test]
fn scripts() {
    let mut paths: Vec<_> =
        std::fs::read_dir("tests/plan").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "where are the scripts?");
    let (mut wrong, mut told) = (Vec::new(), BTreeSet::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut stage = Stage::new(section(&text, "Config", "Script"));
        for line in section(&text, "Script", "Expect").lines() {
            let line = line.split('#').next().unwrap().trim();
            if !line.is_empty() {
                stage.line(line);
            }
        }
        told.extend(stage.told.clone());
        let expected = section(&text, "Expect", "End");
        if stage.out != expected {
            wrong.push(format!("== {}\n-- expected\n{expected}-- got\n{}", path.display(), stage.out));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    told.extend(seldom_told());
    let never: Vec<String> = document::named().difference(&told).cloned().collect();
    assert!(never.is_empty(), "the schema names what no document has: {never:?}");
}

/// What no script leads to, as it hangs on sensors and on acts.
fn seldom_told() -> BTreeSet<String> {
    let mut stage = Stage::new(
        "config wan 'wan'\n\tlist interface 'wan'\nconfig record 'home'\n\toption provider 'rfc2136'\n\toption server \
         '192.0.2.53'\n\tlist domain 'cam.example.com'\n",
    );
    stage.line("0s wan wan 93.184.216.34 route4 2001:db8:1::1 route6 2001:db8:1::/48");
    let wan = stage.world.wans.get_mut("wan").unwrap();
    wan.device6 = Some("wan1".into());
    let (name, device, standing) = ("wan".into(), Some("wan0".into()), "up".into());
    wan.interfaces.push(Interface { name, device, standing, trouble: false });
    wan.prefixes[0].assigned.push(("lan".into(), Network::parse("2001:db8:1::/60").unwrap()));
    let addr = "2001:db8:1::1".parse().unwrap();
    stage.world.own.push(OwnAddr { device: "lan0".into(), addr, prefix: 60, settled: true });
    stage.line("1s done ok");
    stage.state.records.values_mut().for_each(|memory| memory.seen = Seen::After(Duration::from_millis(70)));
    stage.state.remember(1, 1_800_000_000, "it became so".into());
    stage.line("2s");
    stage.world.zone = TimeZone::Bad("it is empty".into());
    stage.line("3s");
    stage.told
}
