//! What was done and when: the agent's memory. In tmpfs, replaced by rename, so that a power cut or a
//! kill at any instant leaves the old or the new file. [`State::to_text`] and [`State::from_text`] are
//! pure; [`load`] and [`save`] touch the file.
//!
//! The format: a head line `porchlight-state VERSION SHA256`, then one line a fact, fields parted by
//! tabs. A file that is torn, foreign or of another version is set aside with a warning.

mod opened;
mod told;
mod tunnel;
mod upstream;

pub use told::{ChannelState, Told, Trouble};
pub use tunnel::{LineState, TunnelState};

use crate::config::Probe;
use crate::map::{Map, Set};
use crate::model::{millis, Family, Inquiry, Mac, Protection, RecordId, Scheme, Time};
use crate::plan::outside::OutsideState;
use crate::plan::retry::Spent;
use crate::plan::upstream::UpstreamState;
use crate::plan::witness::Hearings;
use crate::plan::{Carrier, Rule, StaticLease};
use crate::provider::{Failure, Kind};
use crate::wire::pcp::Nonce;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

/// Version of the file's format; another one is not read.
const VERSION: &str = "1";
/// A larger file is not ours.
const SIZE_CAP: u64 = 1 << 20;
/// How many changes `status` shows.
pub const HISTORY: usize = 5;

/// Lines that mean nothing after a reboot: the packet filter and the neighbour table are empty then.
const OF_THE_BOOT: [&str; 14] = [
    "moved",
    "lease",
    "leased",
    "conflict",
    "target",
    opened::LINE,
    "proof",
    "pinned",
    "name",
    "hits",
    "nonce",
    "above",
    "granted",
    tunnel::LINE,
];

/// Everything that was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The number of the last change; every log line of a change carries its number.
    pub change: u64,
    /// By record.
    pub records: Map<RecordId, RecordState>,
    /// By [`crate::plan::account::account_key`].
    pub accounts: Map<String, AccountState>,
    /// By the camera section's name.
    pub cameras: Map<String, CameraState>,
    /// What the cameras were asked, by the mapping section's name.
    pub probes: Map<String, ProbeState>,
    /// What witnesses said of the WANs. Not kept over a restart.
    pub hearings: Hearings,
    /// What is known of the mappings' ports from the internet, by the mapping section's name and the family. Not kept over
    /// a restart.
    pub outside: Map<(String, Family), OutsideState>,
    /// Who has which address, of the names that may use a mapping.
    pub names: Map<String, NameState>,
    /// How many connections each mapping has let in since the boot, or since this memory began.
    pub hits: Map<String, u64>,
    /// The packet filter.
    pub mapping: MappingState,
    /// What the owner was told, and is to be told.
    pub told: Told,
    /// Static leases.
    pub leases: LeaseState,
    /// The routers above us, by the WAN section's name.
    pub upstream: Map<String, UpstreamState>,
    /// The tunnels, by their section's name.
    pub tunnels: Map<String, TunnelState>,
    /// By which a router above us knows us again (PCP).
    pub nonce: Nonce,
    /// The last changes, oldest first, at most [`HISTORY`].
    pub history: Vec<Change>,
}

/// What is known of the published value of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing: ask before writing.
    #[default]
    Unknown,
    /// It was so when the agent last ran. Good enough to send nothing, not to write unasked.
    Remembered(IpAddr),
    /// Asked: something else is published, or nothing, or it could not be told. May be written.
    Differs,
    /// We published it, or found it so.
    Published(IpAddr),
}

/// What the zone's name servers said after our last write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Not asked.
    #[default]
    No,
    /// Being asked.
    Asking,
    /// Not asked: they show the addresses of the service's proxy.
    Proxied,
    /// All of them answered the new address, this long after the write.
    After(Duration),
    /// Given up, with the reason.
    Unconfirmed(String),
}

/// One record's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordState {
    /// The account that the rest of this is about, see [`crate::plan::account::account_key`].
    pub account: String,
    /// What is published.
    pub known: Known,
    /// When we last changed it, Unix seconds.
    pub changed_at: Option<u64>,
    /// When a job with it last went well, Unix seconds, or since when it is known to be right. Only of records that are
    /// sent once more though nothing changed.
    pub sent_at: Option<u64>,
    /// Read-back of the last change.
    pub seen: Seen,
    /// When the last job with it was started, for the debounce window.
    pub last_start: Option<Time>,
    /// A failure of this record alone.
    pub retry: Option<Retry>,
}

/// One account's memory: at most one job in flight, one back-off for all its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountState {
    /// Number of the last job started.
    pub generation: u64,
    /// The running job.
    pub in_flight: Option<InFlight>,
    /// A failure that concerns every record of the account (the circuit breaker).
    pub retry: Option<Retry>,
    /// What failed tries cost lately.
    pub spent: Spent,
    /// What the provider learnt (zone ids).
    pub memo: Map<String, String>,
}

/// A running job.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlight {
    /// Its generation.
    pub generation: u64,
    /// Its change number.
    pub change: u64,
    /// When it was started.
    pub since: Time,
    /// What it is about, with the address wanted (`None` for a look).
    pub records: Vec<(RecordId, Option<IpAddr>)>,
}

/// A failure and when to try again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Class, words and the service's own waiting time.
    pub failure: Failure,
    /// How often in a row it failed in a way that counts.
    pub tries: u32,
    /// When the series of failures began.
    pub since: Time,
    /// When the failed attempt was started: what healed after that ends the wait.
    pub started: Time,
    /// Next try; `None`: rests until the config changes or a person asks.
    pub next: Option<Time>,
    /// Nothing that heals ends the wait before this: the account had its requests.
    pub floor: Time,
}

/// One camera's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraState {
    /// What its section knows it by ([`crate::plan::camera::known_by`]): all below is about the device that is known so.
    pub known_by: String,
    /// The hardware address that a camera known by name or address was bound to when first seen.
    pub bound: Option<Mac>,
    /// Where it is.
    pub addr: Option<IpAddr>,
    /// The address of its DHCP lease that came last, and since when it is that.
    pub lease: Option<(IpAddr, Time)>,
    /// The addresses of all its leases: one for each of its hardware addresses.
    pub leases: Vec<IpAddr>,
    /// When `addr` was chosen.
    pub moved_at: Time,
    /// Another device on its address.
    pub conflict: Option<Conflict>,
    /// Which of its hardware addresses it shows at present, as last seen.
    pub mac: Option<Mac>,
    /// Its IPv6 address now, if that is known and a mapping wants it.
    pub addr6: Option<IpAddr>,
    /// The half of its own of an IPv6 address at which it was heard, in whatever prefix.
    pub heard6: Option<u64>,
    /// Another device on its IPv6 address.
    pub conflict6: Option<Conflict>,
    /// Since when the kernel knows of nobody there. Not kept over a restart.
    pub unheard: Option<Time>,
}

/// Another device holds (or held) a camera's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub addr: IpAddr,
    /// Who.
    pub by: Mac,
    /// True while it is so.
    pub now: bool,
    /// When it was last so.
    pub last: Time,
    /// How long it must have been quiet before the mapping opens again.
    pub quiet: Duration,
}

/// What is known of a mapping's camera by asking it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeState {
    /// Number of the last question.
    pub generation: u64,
    /// The running question.
    pub in_flight: Option<Inquiry>,
    /// What was asked last and answered; all below is about this.
    pub asked: Option<Inquiry>,
    /// It is proven that whoever comes needs a password, in this way, and nothing speaks against it since.
    pub proof: Option<Scheme>,
    /// What it made of the last question.
    pub found: Option<Protection>,
    /// Since when it is found so.
    pub since: Time,
    /// When the last answer came.
    pub at: Time,
    /// Since it was found open to anyone: how often in a row it has asked for a password. `None`: it was never so, or
    /// has long asked.
    pub calm: Option<u32>,
    /// How often in a row nothing was proven.
    pub tries: u32,
    /// When to ask again.
    pub next: Time,
}

/// What is known of a name in `list src_ip`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameState {
    /// Number of the last look-up.
    pub generation: u64,
    /// It is under way.
    pub in_flight: bool,
    /// When it was started.
    pub started: Time,
    /// What was answered well last, sorted.
    pub addrs: Option<Vec<IpAddr>>,
    /// Since when each answer was that there is no such name.
    pub gone: Option<Time>,
    /// Why it could not be looked up, if the last one failed.
    pub failure: Option<String>,
    /// How often in a row that was so.
    pub tries: u32,
    /// When to look it up again.
    pub next: Time,
}

/// The packet filter's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingState {
    /// The rules in force, if known.
    pub applied: Option<Vec<Rule>>,
    /// Who carries them.
    pub carrier: Option<Carrier>,
    /// As in [`crate::plan::MapJob`], of the last one.
    pub unseen: Vec<String>,
    /// OpenWrt's firewall was not told yet of what is in force: what was closed is stopped by our own table only.
    pub owed: bool,
    /// When OpenWrt's firewall was made to reload, lately.
    pub reloads: Vec<Time>,
    /// Mappings of them that the backend refused: their name, and why.
    pub refused: Vec<(String, String)>,
    /// Where rules of ours lead, or led until their connections are cut. Outlives a kill of the agent, and
    /// with it what was open then.
    pub targets: Set<IpAddr>,
    /// Number of the last job.
    pub generation: u64,
    /// The running job's number and start. A close overtakes it: then the number is the close's.
    pub in_flight: Option<(u64, Time)>,
    /// Rules of jobs that were overtaken, or that failed: perhaps they were in force, and connections came by them.
    pub perhaps: Vec<Rule>,
    /// The rules of the last job, whatever became of it.
    pub tried: Vec<Rule>,
    /// The last failure. While there is one, it is not known what is in force.
    pub retry: Option<Retry>,
}

/// What is known of our host sections in dnsmasq's configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaseState {
    /// It is being looked at.
    pub in_flight: bool,
    /// What was last asked for.
    pub asked: Vec<StaticLease>,
    /// It is to be looked at, whatever is wanted.
    pub look: bool,
    /// By the camera section's name: what its section says.
    pub pinned: Map<String, Pinned>,
    /// Cameras for which none is written because of somebody else's, and whose.
    pub refused: Vec<(String, String)>,
    /// What went wrong last.
    pub failure: Option<String>,
    /// dnsmasq has yet to hear of a change.
    pub untold: bool,
    /// Not before this, after a failure.
    pub next: Time,
}

/// The address of a static lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The address.
    pub addr: Ipv4Addr,
    /// Since when we know that it is written.
    pub at: Time,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u64,
    /// Unix seconds.
    pub at: u64,
    /// What happened.
    pub text: String,
}

impl State {
    /// Adds a line to the history and forgets the oldest.
    pub fn remember(&mut self, number: u64, at: u64, text: String) {
        self.history.push(Change { number, at, text });
        if self.history.len() > HISTORY {
            self.history.remove(0);
        }
    }

    /// The file's text. What is in flight is written as unknown: after a kill it is asked, not sent again.
    pub fn to_text(&self, boot_id: &str) -> String {
        let mut body = String::new();
        let mut line = |fields: &[&str]| add_line(&mut body, fields);
        line(&["boot", boot_id]);
        line(&["change", &self.change.to_string()]);
        for (id, record) in &self.records {
            let flying = self.accounts.values().filter_map(|a| a.in_flight.as_ref());
            let unsure =
                flying.flat_map(|job| &job.records).any(|(other, wanted)| other == id && wanted.is_some());
            if let (false, Known::Published(addr) | Known::Remembered(addr)) = (unsure, record.known) {
                let at = record.changed_at.unwrap_or(0).to_string();
                let (addr, rtype) = (addr.to_string(), id.family.rtype());
                line(&["record", &id.record, &id.domain, rtype, &record.account, &addr, &at]);
            }
            if let Some(at) = record.sent_at {
                line(&sent(id, record, &at.to_string()));
            }
            if let Some(retry) = &record.retry {
                if retry.next.is_none() {
                    let kind = kind_word(retry.failure.kind);
                    let (rtype, text) = (id.family.rtype(), retry.failure.text.as_str());
                    line(&["rest", &id.record, &id.domain, rtype, &record.account, kind, text]);
                }
            }
        }
        for (key, account) in &self.accounts {
            for (name, value) in &account.memo {
                line(&["memo", key, name, value]);
            }
            if let Some(retry) = &account.retry {
                let next = retry.next.map_or("rest".to_string(), |t| t.0.to_string());
                let (kind, tries) = (kind_word(retry.failure.kind), retry.tries.to_string());
                let (since, started) = (retry.since.0.to_string(), retry.started.0.to_string());
                line(&["account", key, kind, &tries, &since, &started, &next, &retry.failure.text]);
            }
        }
        for (name, camera) in &self.cameras {
            let bound = camera.bound.map_or("-".to_string(), |mac| mac.to_string());
            let addr = camera.addr.map_or("-".to_string(), |addr| addr.to_string());
            line(&["camera", name, &bound, &addr, &camera.known_by]);
            if camera.moved_at != Time::default() {
                line(&["moved", name, &camera.moved_at.0.to_string()]);
            }
            if let Some((addr, since)) = camera.lease {
                line(&["lease", name, &addr.to_string(), &since.0.to_string()]);
            }
            for addr in &camera.leases {
                line(&["leased", name, &addr.to_string()]);
            }
            if let Some(mac) = camera.mac {
                line(&["shows", name, &mac.to_string()]);
            }
            if let Some(half) = camera.heard6 {
                line(&["heard6", name, &half.to_string()]);
            }
            for conflict in [camera.conflict, camera.conflict6].into_iter().flatten() {
                // While it lasts, its time is now: whatever that will be.
                let last = if conflict.now { "now".to_string() } else { conflict.last.0.to_string() };
                let (addr, by) = (conflict.addr.to_string(), conflict.by.to_string());
                let quiet = millis(conflict.quiet).to_string();
                line(&["conflict", name, &addr, &by, &last, &quiet]);
            }
        }
        for (name, probe) in &self.probes {
            if let (Some(inquiry), Some(scheme)) = (&probe.asked, probe.proof) {
                let (target, how) = (inquiry.target.to_string(), inquiry.how.to_string());
                let (scheme, at) = (scheme.to_string(), probe.at.0.to_string());
                line(&["proof", name, &target, &how, &inquiry.path, &scheme, &at, &probe.next.0.to_string()]);
            }
        }
        for (name, Pinned { addr, at }) in &self.leases.pinned {
            line(&["pinned", name, &addr.to_string(), &at.0.to_string()]);
        }
        self.add_upstream(&mut line);
        self.add_tunnels(&mut line);
        for (name, memory) in &self.names {
            // Not asked when it was answered: after a restart it is looked up again, and until then all stays as it is.
            let addrs: Vec<String> = memory.addrs.iter().flatten().map(IpAddr::to_string).collect();
            if !addrs.is_empty() {
                line(&["name", name, &addrs.join(" ")]);
            }
        }
        for (name, count) in &self.hits {
            line(&["hits", name, &count.to_string()]);
        }
        for target in &self.mapping.targets {
            line(&["target", &target.to_string()]);
        }
        opened::write(&self.mapping, &mut line);
        self.told.write(&mut line);
        for change in &self.history {
            line(&["history", &change.number.to_string(), &change.at.to_string(), &change.text]);
        }
        headed(&body)
    }

    /// The text of the file that outlives the boot: when the records were sent which are sent once more in time.
    /// [`State::from_text`] reads it too.
    pub fn to_kept_text(&self) -> String {
        let mut body = String::new();
        for (id, record) in &self.records {
            if let Some(at) = record.sent_at {
                add_line(&mut body, &sent(id, record, &at.to_string()));
            }
        }
        headed(&body)
    }

    /// Takes over from the file that outlives the boot what is not known better, of these records.
    pub fn recall(&mut self, kept: &State, ids: &[RecordId]) {
        for (id, old) in kept.records.iter().filter(|(id, _)| ids.contains(id)) {
            let record = self.records.entry(id.clone()).or_default();
            if record.account.is_empty() {
                record.account.clone_from(&old.account);
            }
            if record.account == old.account {
                record.sent_at = record.sent_at.or(old.sent_at);
            }
        }
    }

    /// Reads what [`State::to_text`] wrote. Published values come back as remembered; times of another
    /// boot are dropped, resting accounts stay resting.
    ///
    /// # Errors
    /// Why the text cannot be trusted.
    pub fn from_text(text: &str, boot_id: &str) -> Result<State, String> {
        let (head, body) = text.split_once('\n').ok_or("it is torn: no first line")?;
        let mut head = head.split(' ');
        if head.next() != Some("porchlight-state") {
            return Err("it is not a state file of porchlight".into());
        }
        let version = head.next().unwrap_or("?");
        if version != VERSION {
            return Err(format!("it has version {version}, this program reads version {VERSION}"));
        }
        if head.next() != Some(digest(body).as_str()) {
            return Err("it is torn: the checksum does not match".into());
        }
        let mut state = State::default();
        let mut same_boot = false;
        for (number, line) in body.lines().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            if let ["boot", id] = fields.as_slice() {
                same_boot = *id == boot_id;
            } else if state.read_line(&fields, same_boot).is_none() {
                return Err(format!("line {} makes no sense", number + 2));
            }
        }
        Ok(state)
    }

    fn read_line(&mut self, fields: &[&str], same_boot: bool) -> Option<()> {
        match fields {
            [kind, ..] if !same_boot && OF_THE_BOOT.contains(kind) => {}
            [kind, ..] if told::LINES.contains(kind) => {
                return if same_boot { self.told.read(fields) } else { Some(()) };
            }
            ["change", n] => self.change = n.parse().ok()?,
            ["record", record, domain, rtype, account, addr, at] => {
                let state = self.records.entry(record_id(record, domain, rtype)?).or_default();
                state.account = (*account).to_string();
                state.known = Known::Remembered(addr.parse().ok()?);
                state.changed_at = at.parse().ok().filter(|at| *at != 0);
            }
            ["sent", record, domain, rtype, account, at] => {
                let state = self.records.entry(record_id(record, domain, rtype)?).or_default();
                state.account = (*account).to_string();
                state.sent_at = Some(at.parse().ok()?);
            }
            ["rest", record, domain, rtype, account, kind, text] => {
                let state = self.records.entry(record_id(record, domain, rtype)?).or_default();
                state.account = (*account).to_string();
                let failure = Failure::new(kind_of(kind)?, *text);
                let zero = Time::default();
                state.retry =
                    Some(Retry { failure, tries: 1, since: zero, started: zero, next: None, floor: zero });
            }
            ["memo", key, name, value] => {
                let account = self.accounts.entry((*key).to_string()).or_default();
                account.memo.insert((*name).to_string(), (*value).to_string());
            }
            ["account", key, kind, tries, since, started, next, text] => {
                let time = |text: &str| text.parse().ok().map(Time);
                let retry = Retry {
                    failure: Failure::new(kind_of(kind)?, *text),
                    tries: tries.parse().ok()?,
                    since: time(since)?,
                    started: time(started)?,
                    next: if *next == "rest" { None } else { Some(time(next)?) },
                    floor: Time::default(),
                };
                let account = self.accounts.entry((*key).to_string()).or_default();
                if same_boot || retry.next.is_none() {
                    account.retry = Some(retry);
                }
            }
            ["camera", name, bound, addr, known_by] => {
                let camera = self.cameras.entry((*name).to_string()).or_default();
                camera.known_by = (*known_by).to_string();
                camera.bound = if *bound == "-" { None } else { Some(Mac::parse(bound)?) };
                camera.addr = if *addr == "-" { None } else { Some(addr.parse().ok()?) };
            }
            ["moved", name, at] => {
                let at = Time(at.parse().ok()?);
                self.cameras.entry((*name).to_string()).or_default().moved_at = at;
            }
            ["lease", name, addr, since] => {
                let lease = (addr.parse().ok()?, Time(since.parse().ok()?));
                self.cameras.entry((*name).to_string()).or_default().lease = Some(lease);
            }
            ["leased", name, addr] => {
                let camera = self.cameras.entry((*name).to_string()).or_default();
                camera.leases.push(addr.parse().ok()?);
            }
            ["conflict", name, addr, by, last, quiet] => {
                let now = *last == "now";
                let last = if now { Time::default() } else { Time(last.parse().ok()?) };
                let quiet = Duration::from_millis(quiet.parse().ok()?);
                let addr: IpAddr = addr.parse().ok()?;
                let by = Mac::parse(by)?;
                let conflict = Conflict { addr, by, now, last, quiet };
                let camera = self.cameras.entry((*name).to_string()).or_default();
                let place = if addr.is_ipv4() { &mut camera.conflict } else { &mut camera.conflict6 };
                *place = Some(conflict);
            }
            ["shows", name, mac] => {
                self.cameras.entry((*name).to_string()).or_default().mac = Some(Mac::parse(mac)?);
            }
            ["heard6", name, half] => {
                self.cameras.entry((*name).to_string()).or_default().heard6 = Some(half.parse().ok()?);
            }
            ["pinned", name, addr, at] => {
                let pinned = Pinned { addr: addr.parse().ok()?, at: Time(at.parse().ok()?) };
                self.leases.pinned.insert((*name).to_string(), pinned);
            }
            ["proof", name, target, how, path, scheme, at, next] => {
                let inquiry = Inquiry {
                    target: target.parse().ok()?,
                    how: if *how == "http" { Probe::Http } else { Probe::Rtsp },
                    path: (*path).to_string(),
                };
                let scheme = if *scheme == "Digest" { Scheme::Digest } else { Scheme::Basic };
                let (at, next) = (Time(at.parse().ok()?), Time(next.parse().ok()?));
                let probe = self.probes.entry((*name).to_string()).or_default();
                (probe.asked, probe.proof) = (Some(inquiry), Some(scheme));
                (probe.found, probe.since) = (Some(Protection::Password(scheme)), at);
                (probe.at, probe.next) = (at, next);
            }
            ["nonce" | "above" | "granted", ..] => self.read_upstream(fields)?,
            [tunnel::LINE, ..] => self.read_tunnel(fields)?,
            ["name", name, addrs] => {
                let addrs: Option<Vec<IpAddr>> = addrs.split(' ').map(|addr| addr.parse().ok()).collect();
                self.names.entry((*name).to_string()).or_default().addrs = Some(addrs?);
            }
            ["hits", name, count] => {
                self.hits.insert((*name).to_string(), count.parse().ok()?);
            }
            ["target", addr] => {
                self.mapping.targets.insert(addr.parse().ok()?);
            }
            [opened::LINE, rest @ ..] => opened::read(&mut self.mapping, rest)?,
            ["history", number, at, text] => {
                self.remember(number.parse().ok()?, at.parse().ok()?, (*text).to_string());
            }
            _ => return None,
        }
        Some(())
    }
}

/// Reads the state file. A missing file is an empty state.
///
/// # Errors
/// Why it was set aside (as `FILE.bad`); the agent starts empty then, and asks before it writes.
pub fn load(path: &Path, boot_id: &str) -> Result<State, String> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Ok(meta) if meta.len() > SIZE_CAP => return Err(set_aside(path, "it is too large")),
        _ => {}
    }
    let text = std::fs::read_to_string(path).map_err(|e| set_aside(path, &e.to_string()))?;
    State::from_text(&text, boot_id).map_err(|why| set_aside(path, &why))
}

/// Reads the file as it is, for those who only look; empty where it cannot be trusted.
pub fn peek(path: &Path, boot_id: &str) -> State {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= SIZE_CAP);
    let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    State::from_text(&text, boot_id).unwrap_or_default()
}

fn set_aside(path: &Path, why: &str) -> String {
    let bad = path.with_extension("bad");
    let moved = std::fs::rename(path, &bad);
    let what = if moved.is_ok() { format!("set aside as {}", bad.display()) } else { "ignored".into() };
    format!("state file {} {what}: {why}", path.display())
}

/// Writes the state file: a new file beside it, then a rename.
///
/// # Errors
/// Names the file.
pub fn save(path: &Path, text: &str) -> Result<(), String> {
    let new = path.with_extension("new");
    let done = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    done.map_err(|e| format!("cannot write the state file {}: {e}", path.display()))
}

/// Reads the file that outlives the boot. A missing file is an empty state.
///
/// # Errors
/// Why it is not taken.
pub fn load_kept(path: &Path) -> Result<State, String> {
    let read = || -> Result<State, String> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Ok(meta) if meta.len() > SIZE_CAP => return Err("it is too large".into()),
            _ => {}
        }
        State::from_text(&std::fs::read_to_string(path).map_err(|e| e.to_string())?, "")
    };
    read().map_err(|why| format!("{} is not taken: {why}", path.display()))
}

/// Writes the file that outlives the boot, which a power cut leaves as it was or as it is to be. Nobody else reads it.
///
/// # Errors
/// Names the file.
pub fn save_kept(path: &Path, text: &str) -> Result<(), String> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // One that another left may be readable.
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The line that says when a record was sent.
fn sent<'a>(id: &'a RecordId, record: &'a RecordState, at: &'a str) -> [&'a str; 6] {
    ["sent", &id.record, &id.domain, id.family.rtype(), &record.account, at]
}

/// Adds a line: fields parted by tabs.
fn add_line(body: &mut String, fields: &[&str]) {
    for (i, field) in fields.iter().enumerate() {
        body.push_str(if i > 0 { "\t" } else { "" });
        body.extend(field.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    body.push('\n');
}

/// The file's text: its head and its lines.
fn headed(body: &str) -> String {
    format!("porchlight-state {VERSION} {}\n{body}", digest(body))
}

fn digest(body: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(body.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn record_id(record: &str, domain: &str, rtype: &str) -> Option<RecordId> {
    let family = Family::BOTH.into_iter().find(|family| family.rtype() == rtype)?;
    Some(RecordId { record: record.into(), domain: domain.into(), family })
}

/// One word a class, for the file and for `status --json`.
const KINDS: [(Kind, &str); 10] = [
    (Kind::NotReady, "not-ready"),
    (Kind::Unreachable, "unreachable"),
    (Kind::Busy, "busy"),
    (Kind::Unconfirmed, "unconfirmed"),
    (Kind::Credentials, "credentials"),
    (Kind::NoSuchName, "no-such-name"),
    (Kind::Refused, "refused"),
    (Kind::Untrusted, "untrusted"),
    (Kind::Clock, "clock"),
    (Kind::Garbled, "garbled"),
];

/// The class as one word.
pub fn kind_word(kind: Kind) -> &'static str {
    KINDS.iter().find(|(k, _)| *k == kind).map_or("?", |(_, word)| word)
}

/// The class of a word.
pub fn kind_of(word: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, w)| *w == word).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let mut state = State { change: 7, ..State::default() };
        for (domain, known) in [
            ("a.example.com", Known::Published("203.0.113.7".parse().unwrap())),
            ("b.example.com", Known::Remembered("203.0.113.8".parse().unwrap())),
            ("c.example.com", Known::Differs),
        ] {
            let id = RecordId { record: "home".into(), domain: domain.into(), family: Family::V4 };
            state.records.insert(id, RecordState { known, changed_at: Some(5), ..RecordState::default() });
        }
        let retry = |kind, next| Retry {
            failure: Failure::new(kind, "said\tno"),
            tries: 3,
            since: Time(1),
            started: Time(2),
            next,
            floor: Time::default(),
        };
        let account = |retry| AccountState { retry: Some(retry), ..AccountState::default() };
        state.accounts.insert("x:1".into(), account(retry(Kind::Credentials, None)));
        state.accounts.insert("y:2".into(), account(retry(Kind::Busy, Some(Time(99)))));
        let addr: IpAddr = "192.168.1.20".parse().unwrap();
        let by = Mac::parse("02:00:00:00:00:66").unwrap();
        let conflict = Conflict { addr, by, now: false, last: Time(8), quiet: Duration::from_secs(10) };
        let camera = CameraState {
            known_by: "name ipcam".into(),
            bound: Mac::parse("02:00:00:00:00:01"),
            addr: Some(addr),
            lease: Some((addr, Time(4))),
            leases: vec!["192.168.1.30".parse().unwrap(), addr],
            moved_at: Time(4),
            conflict: Some(conflict),
            mac: Mac::parse("02:00:00:00:00:01"),
            addr6: None,
            heard6: Some(0x1234),
            conflict6: Some(Conflict { addr: "2001:db8::20".parse().unwrap(), ..conflict }),
            unheard: None,
        };
        state.cameras.insert("front".into(), camera);
        let inquiry =
            Inquiry { target: "192.168.1.20:554".parse().unwrap(), how: Probe::Rtsp, path: "/a".into() };
        let probe = ProbeState {
            asked: Some(inquiry),
            proof: Some(Scheme::Digest),
            found: Some(Protection::Password(Scheme::Digest)),
            since: Time(5),
            at: Time(5),
            next: Time(3600),
            ..ProbeState::default()
        };
        state.probes.insert("rtsp".into(), probe);
        let pinned = Pinned { addr: [192, 168, 1, 20].into(), at: Time(6) };
        state.leases.pinned.insert("front".into(), pinned);
        let addrs = Some(vec![addr, "2001:db8::20".parse().unwrap()]);
        state.names.insert("owner.example.com".into(), NameState { addrs, ..NameState::default() });
        state.hits.insert("rtsp".into(), 12);
        state.mapping.targets.insert("192.168.1.20".parse().unwrap());
        for fields in [
            ["rtsp", "tcp", "8554", "192.168.1.20", "554", "198.51.100.0/24 192.0.2.7"],
            ["web", "udp", "8000-8010", "2001:db8::20", "8000-8010", ""],
        ] {
            opened::read(&mut state.mapping, &fields).unwrap();
        }
        state.remember(7, 1, "a became b".into());
        state
    }

    #[test]
    fn comes_back_with_published_as_remembered() {
        let back = State::from_text(&sample().to_text("boot"), "boot").unwrap();
        let known: Vec<Known> = back.records.values().map(|r| r.known).collect();
        let remembered = |text: &str| Known::Remembered(text.parse().unwrap());
        assert_eq!(known, [remembered("203.0.113.7"), remembered("203.0.113.8")]);
        assert_eq!(back.accounts.get("x:1").unwrap().retry.as_ref().unwrap().next, None);
        assert_eq!(back.accounts.get("y:2").unwrap().retry.as_ref().unwrap().next, Some(Time(99)));
        assert_eq!(back.accounts.get("y:2").unwrap().retry.as_ref().unwrap().failure.text, "said no");
        assert_eq!((back.change, back.history.len()), (7, 1));
        assert_eq!(back.cameras, sample().cameras);
        assert_eq!(back.mapping, sample().mapping);
        assert_eq!(back.probes, sample().probes);
        assert_eq!(back.leases, sample().leases);
        assert_eq!((back.names, back.hits), (sample().names, sample().hits));
    }

    #[test]
    fn after_a_reboot_waits_are_dropped_and_rests_stay() {
        let back = State::from_text(&sample().to_text("boot"), "another").unwrap();
        assert!(back.accounts.get("x:1").unwrap().retry.is_some());
        assert!(back.accounts.get("y:2").unwrap().retry.is_none());
        assert!(back.mapping == MappingState::default());
        assert!(back.probes.is_empty() && back.leases.pinned.is_empty());
        assert!(back.names.is_empty() && back.hits.is_empty());
        let camera = back.cameras.get("front").unwrap();
        assert!(camera.bound.is_some() && camera.addr.is_some());
        assert_eq!((camera.lease, camera.moved_at, camera.conflict), (None, Time(0), None));
    }

    #[test]
    fn a_conflict_that_lasts_does_not_change_the_file_with_every_look() {
        let mut state = sample();
        let mut text_at = |at| {
            let camera = state.cameras.get_mut("front").unwrap();
            camera.conflict =
                camera.conflict.map(|conflict| Conflict { now: true, last: Time(at), ..conflict });
            state.to_text("boot")
        };
        let text = text_at(9);
        assert_eq!(text, text_at(99));
        let back = State::from_text(&text, "boot").unwrap();
        assert!(back.cameras.get("front").unwrap().conflict.unwrap().now);
    }

    #[test]
    fn what_is_in_flight_is_not_remembered() {
        let mut state = sample();
        let id = state.records.keys().next().unwrap().clone();
        let records = vec![(id.clone(), Some("203.0.113.9".parse().unwrap()))];
        let job = InFlight { generation: 1, change: 8, since: Time(3), records };
        state.accounts.get_mut("y:2").unwrap().in_flight = Some(job);
        let back = State::from_text(&state.to_text("boot"), "boot").unwrap();
        assert!(!back.records.contains_key(&id));
    }

    #[test]
    fn what_outlives_the_boot_is_taken_for_the_same_account_only() {
        let id = |domain: &str| RecordId { record: "home".into(), domain: domain.into(), family: Family::V6 };
        let record = |account: &str, sent_at| RecordState {
            account: account.into(),
            sent_at,
            ..RecordState::default()
        };
        let mut old = sample();
        for (domain, account) in
            [("same", "a:1"), ("other", "a:1"), ("known", "a:1"), ("new", "a:1"), ("gone", "a:1")]
        {
            old.records.insert(id(domain), record(account, Some(7)));
        }
        let text = old.to_kept_text();
        assert_eq!(text.lines().count(), 6, "{text}");
        let kept = State::from_text(&text, "").unwrap();
        let mut state = State::default();
        state.records.insert(id("same"), record("a:1", None));
        state.records.insert(id("other"), record("b:2", None));
        state.records.insert(id("known"), record("a:1", Some(9)));
        state.recall(&kept, &["same", "other", "known", "new"].map(id));
        let sent = |domain| state.records.get(&id(domain)).map(|record| record.sent_at);
        assert_eq!(
            ["same", "other", "known", "new", "gone"].map(sent),
            [Some(Some(7)), Some(None), Some(Some(9)), Some(Some(7)), None]
        );
        // An agent that is started again within the boot has it from its own file.
        assert_eq!(
            State::from_text(&state.to_text("boot"), "boot")
                .unwrap()
                .records
                .get(&id("known"))
                .unwrap()
                .sent_at,
            Some(9)
        );
        for end in 0..text.len() - 1 {
            assert!(State::from_text(&text[..end], "").is_err(), "cut at {end}");
        }
    }

    #[test]
    fn torn_at_every_length_is_refused() {
        let text = sample().to_text("boot");
        for end in 0..text.len() - 1 {
            assert!(State::from_text(&text[..end], "boot").is_err(), "cut at {end}");
        }
        assert!(State::from_text(&text.replace("home", "hone"), "boot").is_err());
        assert!(State::from_text(&text.replacen("state 1", "state 2", 1), "boot").is_err());
    }

    #[test]
    fn a_bad_file_is_set_aside() {
        let dir = std::env::temp_dir().join(format!("porchlight-state-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("state");
        save(&path, &sample().to_text("boot")).unwrap();
        assert!(load(&path, "boot").is_ok());
        std::fs::write(&path, "porchlight-state 1 00\nboot\tx\n").unwrap();
        assert!(load(&path, "boot").unwrap_err().contains("checksum"));
        assert!(dir.join("state.bad").exists() && !path.exists());
        assert_eq!(load(&path, "boot"), Ok(State::default()));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
