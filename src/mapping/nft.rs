//! Backend `nft`: port mappings in a table of our own, `table inet porchlight`, replaced as a whole
//! in one transaction of `nft -f -`. No other table is touched. Syntax: nft(8).
//!
//! What it does with a [`Rule`]:
//! - From the WAN's devices, and only to an address of the router itself, to the camera; in IPv6 only to the camera's
//!   own address, where the LAN needs no help to reach it.
//! - Hairpin: from the camera's LAN, and from the router, to the WAN's own address, to the camera.
//!   A mapping with `src_ip` is closed to everyone who is not in the list, on the LAN too.
//! - A camera whose connections are cut cannot take them up again: see [`Guard`].
//! - What comes in is counted: see [`hits`].
//!
//! It cannot overrule another table that drops forwarded packets; [`Nft::droppers`] names those.

mod program;
mod table;

use super::conntrack::{self, Cut, Stays};
use super::door::Door;
use super::hits::{self, Hits};
use super::rule::stays;
use super::{Heard, Netfilter};
use crate::act::net::within;
use crate::config::Proto;
use crate::map::Set;
use crate::plan::{MapJob, Rule};
use crate::wire::ctnetlink::{ask_generation, messages, Message};
use async_io::Timer;
use smol::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use table::{count_rules, table};

pub(super) use table::targets;

pub use program::Program;
pub use table::{ruleset, Guard, Ruleset, TABLE};

/// The longest that the kernel may take to tell its generation.
const GENERATION_DEADLINE: Duration = Duration::from_secs(1);
/// How long a camera whose connections were cut is kept from taking them up again.
const GUARD: Duration = Duration::from_secs(60);
/// How long that is when the table is to go: longer than the gaps in a camera's stream.
const LINGER: Duration = Duration::from_millis(500);
/// Tries to load and list with nobody else's transaction in between.
const MAX_TRIES: u32 = 3;

/// What became of a [`MapJob`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapReport {
    /// Mappings that are not in force: their name, and why.
    pub refused: Vec<(String, String)>,
    /// Mappings that are not in force yet.
    pub missing: Vec<String>,
    /// OpenWrt's firewall was made to reload.
    pub reloaded: bool,
    /// Why OpenWrt's firewall could not be told at all. What is to be closed is closed, nothing else is done.
    pub unreached: Option<String>,
    /// What became of the old connections.
    pub cut: Cut,
    /// How many connections each mapping has let in.
    pub hits: Hits,
}

/// The backend.
pub struct Nft {
    root: PathBuf,
    program: Program,
    /// The rules of the last [`Nft::apply`].
    rules: Vec<Rule>,
    /// Guards, and since when.
    guards: Vec<(Guard, Instant)>,
    /// How our table was when we had made it.
    truth: Option<Truth>,
    /// The rules whose connections are counted, whoever carries them ...
    counted: Vec<Rule>,
    /// ... and what was counted when that was last read.
    hits: Hits,
}

struct Truth {
    /// `nft -s list table`; `None`: it does not exist.
    listing: Option<String>,
    /// The packet filter's generation at which the listing was right.
    generation: Option<u32>,
}

impl Nft {
    /// A backend that has mapped nothing yet. `root` is `/` but in tests.
    pub fn new(root: &Path) -> Nft {
        Nft::with_program(root, Path::new("nft"))
    }

    /// Likewise, with this program instead of `nft`.
    pub fn with_program(root: &Path, program: &Path) -> Nft {
        let program = Program::new(program);
        let (rules, guards, counted, hits) = Default::default();
        Nft { root: root.into(), program, rules, guards, truth: None, counted, hits }
    }

    /// The program that is used.
    pub fn program(&self) -> Program {
        self.program.clone()
    }

    /// What was counted by mapping, when that was last read. Given what an earlier run knew, it goes on from there.
    pub fn hits(&mut self) -> &mut Hits {
        &mut self.hits
    }

    /// Has the connections by these rules of another firewall counted, from the next change of our table on. Returns
    /// whether that needs one.
    pub(super) fn count(&mut self, rules: &[Rule]) -> bool {
        let changes = self.counted != rules;
        self.counted = rules.to_vec();
        changes
    }

    /// Whether anything is counted.
    pub(super) fn counts(&self) -> bool {
        !self.counted.is_empty()
    }

    /// Before our table is written anew or goes.
    async fn read_hits(&mut self) {
        if self.truth.as_ref().is_none_or(|truth| truth.listing.is_some()) {
            hits::take_in(&mut self.hits, self.program.hits().await);
        }
    }

    /// Makes our table carry exactly the job's rules, then cuts what the job lists, but what the rules let in. On an error
    /// the table is as it was. While a [`Guard`] is young, the table stays although no rule is in it.
    /// May be dropped on the way, to be overtaken by another job.
    pub async fn apply(&mut self, job: &MapJob) -> Result<MapReport, String> {
        self.count(&job.rules);
        let (refused, cut) = self.put(&job.rules, &Set::new(), &job.cut, &[]).await?;
        Ok(MapReport { refused, cut, ..MapReport::default() })
    }

    /// Makes our table carry no rule, but a stop for each of these doors of another firewall; then cuts the
    /// connections to these addresses, but by doors that stay. Otherwise as [`Nft::apply`].
    pub(super) async fn bar(
        &mut self,
        barred: &Set<Door>,
        cut: &[IpAddr],
        stays: &[Stays<'_>],
    ) -> Result<Cut, String> {
        Ok(self.put(&[], barred, cut, stays).await?.1)
    }

    async fn put(
        &mut self,
        rules: &[Rule],
        barred: &Set<Door>,
        cut: &[IpAddr],
        doors: &[Stays<'_>],
    ) -> Result<(Vec<(String, String)>, Cut), String> {
        let guards = self.guards(rules, barred, cut);
        let young: Vec<_> = guards.iter().map(|(guard, _)| guard.clone()).collect();
        self.read_hits().await;
        let counters = hits::counters(&self.counted, &self.hits);
        let Ruleset { text, refused } = table(rules, &young, barred, counters);
        let mut before = generation().await;
        // If this is dropped now, the old or the new rules are in force.
        self.rules.extend(rules.iter().cloned());
        self.program.load(&text).await?;
        self.rules = rules.to_vec();
        self.guards = guards;
        let mut staying = doors.to_vec();
        for rule in rules {
            if !refused.iter().any(|(name, _)| *name == rule.mapping) {
                staying.push(stays(rule));
            }
        }
        let cut = conntrack::cut(&self.root, cut, &staying).await;
        for attempt in 1.. {
            let listing = self.table().await?;
            let generation = generation().await;
            let alone = before.map(|before| before.wrapping_add(1)) == generation;
            let torn = !alone && count_rules(listing.as_deref()) < count_rules(Some(&text));
            self.truth = Some(Truth { listing, generation });
            match attempt == MAX_TRIES {
                true if torn => {
                    // What is there now is no truth to compare with.
                    self.truth = None;
                    return Err(format!(
                        "another program keeps removing table {TABLE} or its rules; find it, or let it leave that table alone"
                    ));
                }
                last if last || alone => break,
                _ => {}
            }
            // Somebody else's change came in between: was it to our table? Load it again to be sure.
            before = generation;
            self.program.load(&text).await?;
        }
        Ok((refused, cut))
    }

    /// The guards of this job and the young ones of earlier jobs.
    fn guards(&self, rules: &[Rule], barred: &Set<Door>, cut: &[IpAddr]) -> Vec<(Guard, Instant)> {
        let now = Instant::now();
        let mut guards: Vec<_> = self.guards.clone();
        let young = |since: Instant| now.duration_since(since) < GUARD;
        guards.retain(|(guard, since)| young(*since) && !cut.contains(&guard.target));
        for target in cut.iter().collect::<Set<_>>() {
            let mut udp = Set::new();
            for rule in self.rules.iter().chain(rules) {
                if (rule.target, rule.proto) == (*target, Proto::Udp) {
                    udp.insert(rule.dest_port);
                }
            }
            for door in barred {
                if (door.target, door.proto) == (*target, Proto::Udp) {
                    udp.insert(door.to);
                }
            }
            guards.push((Guard { target: *target, udp: udp.into_iter().collect() }, now));
        }
        guards
    }

    /// Whether our table is still as we made it. Costs no process while nobody else has changed
    /// the packet filter. True before the first [`Nft::apply`]; false where it cannot be told.
    pub async fn intact(&mut self) -> bool {
        let generation = generation().await;
        match &self.truth {
            None => return true,
            Some(truth) if truth.generation.is_some() && truth.generation == generation => return true,
            Some(_) => {}
        }
        let listing = self.table().await;
        let Some(truth) = &mut self.truth else { return true };
        let same = listing.is_ok_and(|listing| listing == truth.listing);
        if same {
            truth.generation = generation;
        }
        same
    }

    /// Other tables that would drop what we forward to these targets, by name: a base chain of the
    /// forward hook with `policy drop`, or with an unconditional drop or reject at its end, that accepts
    /// neither translated connections (`ct status dnat`) nor every target by its address. A chain that
    /// accepts in other words is named without need; rules of iptables-legacy are not seen.
    /// `plain`: targets that packets are sent to as they are, too.
    pub fn droppers<'a>(
        &'a self,
        targets: &'a [IpAddr],
        plain: &'a [IpAddr],
    ) -> impl Future<Output = Result<Vec<String>, String>> + 'a {
        self.program.droppers(targets, plain)
    }

    /// Whether OpenWrt's firewall runs here: then a table of ours is not the way.
    pub async fn fw4_present(&self) -> bool {
        self.root.join("sbin/fw4").exists() || self.program.has_fw4_table().await
    }

    /// The table of OpenWrt's firewall, without its counters. `None`: there is none.
    pub(super) fn fw4_table(&self) -> impl Future<Output = Result<Option<String>, String>> + '_ {
        self.program.fw4_table()
    }

    /// Our table without its counters. `None`: there is none.
    pub(super) fn table(&self) -> impl Future<Output = Result<Option<String>, String>> + '_ {
        self.program.own_table()
    }

    /// Takes our table away, whoever made it (an earlier run too), and cuts the connections that
    /// came through it.
    pub async fn remove(&mut self) -> Result<Cut, String> {
        Ok(self.remove_any().await?.unwrap_or_default())
    }

    /// As [`Nft::remove`]. `None`: there was no table.
    pub async fn remove_any(&mut self) -> Result<Option<Cut>, String> {
        let Some(listing) = self.table().await? else {
            self.forget();
            return Ok(None);
        };
        self.read_hits().await;
        let cameras: Vec<_> = targets(&listing).into_iter().collect();
        let guards: Vec<_> =
            cameras.iter().map(|target| Guard { target: *target, udp: Vec::new() }).collect();
        self.program.load(&ruleset(&[], &guards).text).await?;
        let cut = conntrack::cut(&self.root, &cameras, &[]).await;
        if cut.flushed > 0 {
            Timer::after(LINGER).await;
        }
        self.program.load(&ruleset(&[], &[]).text).await?;
        self.forget();
        Ok(Some(cut))
    }

    fn forget(&mut self) {
        self.rules.clear();
        self.guards.clear();
        self.counted.clear();
        self.truth = None;
    }
}

/// The packet filter's generation; `None` where the kernel does not tell.
async fn generation() -> Option<u32> {
    let ask = async {
        let socket = Netfilter::open(0, |_| Ok(()))?;
        socket.send(&ask_generation(1)).await?;
        let mut buffer = [0; 512];
        let Heard::Datagram(datagram) = socket.receive(&mut buffer).await? else { return Ok(None) };
        Ok(messages(datagram).find_map(|(_, message)| match message {
            Message::Generation(id) => Some(id),
            _ => None,
        }))
    };
    let told: Option<io::Result<Option<u32>>> = within(Instant::now() + GENERATION_DEADLINE, ask).await;
    told?.ok().flatten()
}
