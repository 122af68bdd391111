//! What was done and when: the agent's memory. [`State::to_text`] and [`State::from_text`] are pure; [`load`] and
//! [`save`] touch the file, see `text` for its format.

mod camera;
mod file;
mod opened;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod tunnel;
mod upstream;

pub use camera::{CameraState, Conflict, ProbeState};
pub use file::{load, load_kept, peek, save, save_kept};
pub use record::{AccountState, InFlight, Known, RecordState, Retry, Seen};
pub use told::{ChannelState, Told, Trouble};
pub use tunnel::{LineState, TunnelState};

use crate::map::{Map, Set};
use crate::model::{Family, RecordId, Time};
use crate::plan::outside::OutsideState;
use crate::plan::upstream::UpstreamState;
use crate::plan::witness::Hearings;
use crate::plan::{Carrier, Rule, StaticLease};
use crate::provider::Kind;
use crate::wire::pcp::Nonce;
use std::net::{IpAddr, Ipv4Addr};

/// How many changes `status` shows.
pub const HISTORY: usize = 5;

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
