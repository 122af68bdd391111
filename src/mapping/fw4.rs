//! Mappings carried by OpenWrt's firewall (fw4), as service data or as sections of its configuration.
//!
//! fw4 takes seconds, and its reload is called well even when the kernel refuses the rules. So:
//! - What is to be closed is closed by a drop in our own small table first, and its connections are cut.
//! - What is to be open counts as open when the kernel's ruleset shows it, and only then the drops are lifted.

use super::conntrack::Cut;
use super::door::{knows_zone, Door};
use super::holders;
use super::nft::{targets, MapReport, Nft};
use super::redirect::{label, redirects, Redirect};
use super::store::{shown_ours, Store};
use crate::act::command;
use crate::act::net::within;
use crate::act::ubus::Fault;
use crate::map::Set;
use crate::plan::{Carrier, MapJob};
use crate::sense::ruleset::Ruleset;
use async_io::Timer;
use smol::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that fw4 may take to show what it was told: a slow router waits a second and renders for several.
const RELOAD_DEADLINE: Duration = Duration::from_secs(30);
/// The longest that `fw4 check` may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(30);
/// After a change of the ruleset, how long its changes are gathered before it is read.
const SETTLE: Duration = Duration::from_millis(20);

/// When it cannot be told.
const NOT_RUNNING: &str =
    "OpenWrt's firewall does not run (there is no table inet fw4), so no port can be opened; \
                           start it: service firewall start";

/// The firewall, and what is known of it.
pub struct Fw4 {
    root: PathBuf,
    store: Store,
    program: PathBuf,
    /// What it may let in by us. `None`: not looked at yet.
    open: Option<Set<Door>>,
    /// What procd and the firewall's configuration had at the start is in it.
    asked: bool,
    /// What our own table stops, of that.
    barred: Set<Door>,
    /// It may not: its last change was cut short, or somebody else changed it.
    unsure: bool,
    /// What it carries, as last reported.
    carried: Set<Door>,
    /// What it was last told to carry.
    told: Set<Door>,
    /// The same, if its own configuration says so.
    sections: Option<(Vec<Redirect>, Vec<String>)>,
    /// What was refused because somebody else has the public port.
    taken: Vec<Redirect>,
    /// The WANs' addresses at that time.
    wan_addrs: Vec<IpAddr>,
}

/// What a look at the ruleset says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// All is as we made it.
    pub intact: bool,
    /// The firewall shows exactly what it was last told.
    pub came: bool,
    /// A public port that somebody else had is free.
    pub freed: bool,
}

impl Fw4 {
    /// By these programs. `root` is `/` but in tests.
    pub(super) fn new(root: &Path, ubus: &Path, fw4: &Path) -> Fw4 {
        let none = Set::new;
        Fw4 {
            root: root.into(),
            store: Store::new(root, ubus),
            program: fw4.into(),
            open: None,
            asked: false,
            barred: none(),
            unsure: false,
            carried: none(),
            told: none(),
            sections: None,
            taken: Vec::new(),
            wan_addrs: Vec::new(),
        }
    }

    /// Whether procd is here.
    pub(super) fn procd_is_here(&self) -> impl Future<Output = bool> + '_ {
        self.store.procd_is_here()
    }

    /// Whether its own configuration has something of ours.
    pub(super) fn is_written(&self) -> bool {
        !self.store.has_sections(&[], &[])
    }

    /// Whether it is given or shows something of ours, or that cannot be told.
    pub(super) async fn may_hold_something(&self, nft: &Nft) -> bool {
        let shows = |listing: Option<String>| !shown_ours(&listing.unwrap_or_default()).is_empty();
        nft.fw4_table().await.map_or(true, shows) || self.store.read().await != Ok(None)
    }

    /// Brings the firewall to the job's rules. Closing is done within the first steps. May be dropped on the way.
    pub(super) async fn apply(&mut self, nft: &mut Nft, job: &MapJob) -> Result<MapReport, String> {
        let made = redirects(&job.rules);
        let (mut list, mut refused) = (made.list, made.refused);
        let fresh = self.open.is_none();
        self.unsure |= nft.count(&job.rules);
        if fresh {
            self.open = Some(shown_ours(&nft.fw4_table().await?.unwrap_or_default()));
            self.asked = false;
        }
        let mut cut = self.bar(nft, &doors(&list), &job.cut, fresh).await?;
        if !self.asked {
            self.learn().await;
            cut = cut.and(self.bar(nft, &doors(&list), &[], false).await?);
        }
        let Some(listing) = nft.fw4_table().await? else {
            return Ok(MapReport { cut, unreached: Some(NOT_RUNNING.into()), ..MapReport::default() });
        };
        refuse_unknown_zones(&mut list, &mut refused, &listing);
        self.refuse_taken(&mut list, &mut refused, job).await;
        let wanted = doors(&list);
        let mut report = MapReport { refused, cut, ..MapReport::default() };
        if !job.reload {
            let now = shown_ours(&listing);
            report.missing = mappings(&list, &|door| !now.contains(door));
            self.carried = wanted.iter().filter(|door| now.contains(door)).cloned().collect();
            return Ok(report);
        }
        let before = shown_ours(&listing);
        let (labels, mut told) = self.unseen(job, &wanted);
        told.extend(wanted.iter().cloned());
        self.told.clone_from(&told);
        report.reloaded = self.store.write(job.carrier, &list, &labels, before == told).await?;
        self.sections = (job.carrier == Carrier::Uci).then(|| (list.clone(), labels));
        let now = if before == told { before } else { self.wait(nft, &list, before, &mut report).await? };
        self.carried = wanted.iter().filter(|door| !self.is_refused(door, &list, &report)).cloned().collect();
        // What it shows although it was not told stays closed.
        let mut open = told;
        open.extend(now);
        let barred = beyond(&open, &wanted);
        self.open = Some(open);
        if self.barred != barred {
            self.stop(nft, barred, &Set::new()).await?;
        }
        Ok(report)
    }

    /// What stays in the firewall's configuration, and barred, until its camera is seen: the labels, and the doors.
    /// Else every restart of the router would write it twice.
    fn unseen(&self, job: &MapJob, wanted: &Set<Door>) -> (Vec<String>, Set<Door>) {
        if job.carrier != Carrier::Uci || job.unseen.is_empty() {
            return Default::default();
        }
        let labels: Vec<String> = job.unseen.iter().map(|mapping| label(mapping)).collect();
        let mut doors = self.store.labelled(&labels);
        doors.retain(|door| !wanted.contains(door));
        (labels, doors)
    }

    fn is_refused(&self, door: &Door, list: &[Redirect], report: &MapReport) -> bool {
        let of_door = |redirect: &&Redirect| Door::of(redirect) == *door;
        let mapping = list.iter().find(of_door).map(|redirect| &redirect.mapping);
        report.refused.iter().any(|(name, _)| Some(name) == mapping)
    }

    /// Asks what an earlier run left with procd and in the firewall's configuration, which fw4 may be about to read.
    /// What the kernel shows is stopped before that: procd may hang.
    async fn learn(&mut self) {
        if let Ok(doors) = self.store.read().await {
            self.open.get_or_insert_default().extend(doors.unwrap_or_default());
            self.asked = true;
        }
    }

    /// Stops what is open and not wanted, and cuts its connections.
    async fn bar(
        &mut self,
        nft: &mut Nft,
        wanted: &Set<Door>,
        cut: &[IpAddr],
        fresh: bool,
    ) -> Result<Cut, String> {
        let open = self.open.get_or_insert_default();
        let barred = beyond(open, wanted);
        let mut cut: Set<IpAddr> = cut.iter().copied().collect();
        cut.extend(beyond(&barred, &self.barred).iter().map(|door| door.target));
        // From now on it may let these in.
        open.extend(wanted.iter().cloned());
        if barred == self.barred && cut.is_empty() && !fresh && !self.unsure {
            return Ok(Cut::default());
        }
        if fresh && barred.is_empty() && cut.is_empty() && !nft.counts() && nft.table().await?.is_none() {
            return Ok(Cut::default());
        }
        self.stop(nft, barred, &cut).await
    }

    /// Has our own table stop exactly these, and cuts the connections to these addresses, but by what stays open.
    async fn stop(&mut self, nft: &mut Nft, barred: Set<Door>, cut: &Set<IpAddr>) -> Result<Cut, String> {
        self.unsure = true;
        let mut stays = Vec::new();
        for door in self.open.iter().flatten() {
            if !barred.contains(door) && !barred.iter().any(|other| other.is_beside(door)) {
                stays.push(door.stays());
            }
        }
        let cut = nft.bar(&barred, cut.as_slice(), &stays).await?;
        (self.barred, self.unsure) = (barred, false);
        Ok(cut)
    }

    /// Refuses what has a public port that somebody else has too.
    async fn refuse_taken(
        &mut self,
        list: &mut Vec<Redirect>,
        refused: &mut Vec<(String, String)>,
        job: &MapJob,
    ) {
        let conflicts = holders::conflicts(&self.root, list, &job.wan_addrs).await;
        let is_taken = |redirect: &Redirect| conflicts.iter().any(|(name, _)| *name == redirect.mapping);
        self.taken = list.iter().filter(|redirect| is_taken(redirect)).cloned().collect();
        self.wan_addrs.clone_from(&job.wan_addrs);
        list.retain(|redirect| !is_taken(redirect));
        refused.extend(conflicts);
    }

    /// Waits until the kernel shows the redirects, and says what it shows. What fw4 leaves out although it did reload
    /// is refused.
    async fn wait(
        &self,
        nft: &Nft,
        list: &[Redirect],
        before: Set<Door>,
        report: &mut MapReport,
    ) -> Result<Set<Door>, String> {
        let Some(now) = self.until_shown(nft, &self.told, RELOAD_DEADLINE).await? else {
            return Ok(self.told.clone());
        };
        let complaint = self.complaint().await;
        if now == before {
            return Err(format!(
                "OpenWrt's firewall did not take the port mappings over within {} s; {complaint}",
                RELOAD_DEADLINE.as_secs()
            ));
        }
        for mapping in mappings(list, &|door| !now.contains(door)) {
            report.refused.push((mapping, format!("OpenWrt's firewall left it out; {complaint}")));
        }
        Ok(now)
    }

    /// `None`: the kernel shows exactly these; else what it shows at the deadline.
    async fn until_shown(
        &self,
        nft: &Nft,
        wanted: &Set<Door>,
        deadline: Duration,
    ) -> Result<Option<Set<Door>>, String> {
        let deaf = |error| format!("changes of the packet filter cannot be heard: {error}");
        let mut changes = Ruleset::open().map_err(deaf)?;
        let until = Instant::now() + deadline;
        loop {
            let listing = nft.fw4_table().await?.unwrap_or_default();
            let now = shown_ours(&listing);
            if now == *wanted {
                return Ok(None);
            }
            let changed = async {
                let changed = changes.changed().await.map(drop);
                Timer::after(SETTLE).await;
                changed
            };
            match within(until, changed).await {
                Some(changed) => changed.map_err(deaf)?,
                None => return Ok(Some(now)),
            }
        }
    }

    /// What fw4 itself says is wrong, and what to do.
    async fn complaint(&self) -> String {
        let checked = command::run(&self.program, "firewall4", &["check"], "", CHECK_DEADLINE).await;
        let mend = "then: service firewall reload";
        match checked {
            Ok(ran) if ran.complaint.is_empty() => {
                format!("fw4 check finds no fault, so look whether the firewall is enabled (logread -e firewall), {mend}")
            }
            Ok(ran) => {
                format!("fw4 check says: {}; mend that, {mend}", ran.complaint)
            }
            Err(why) => format!("{why}; look at fw4 check, {mend}"),
        }
    }

    /// Whether the kernel shows what we reported, and what we were last told; our own table's part too. What is open
    /// and nobody asked for, or what our own table does not stop any more, is stopped here: the firewall may not be
    /// made to reload for minutes.
    pub(super) async fn look(&mut self, nft: &mut Nft) -> Look {
        let whole = nft.intact().await;
        self.unsure |= !whole;
        let (Some(open), Ok(listing)) = (&mut self.open, nft.fw4_table().await) else {
            return Look { intact: whole, ..Look::default() };
        };
        let now = shown_ours(&listing.unwrap_or_default());
        let strange = beyond(&now, open);
        open.extend(strange.iter().cloned());
        let ours = strange.is_empty();
        if !ours || !whole && !self.barred.is_empty() {
            let mut barred = self.barred.clone();
            barred.extend(strange);
            let cut: Set<IpAddr> = barred.iter().map(|door| door.target).collect();
            if let Err(why) = self.stop(nft, barred, &cut).await {
                log::debug!("what is open and is not to be could not be stopped: {why}");
            }
        }
        let there = self.carried.iter().all(|door| now.contains(door));
        let written =
            self.sections.as_ref().is_none_or(|(list, labels)| self.store.has_sections(list, labels));
        let taken = holders::conflicts(&self.root, &self.taken, &self.wan_addrs).await;
        let freed = self.taken.iter().any(|one| !taken.iter().any(|(name, _)| *name == one.mapping));
        Look { intact: whole && ours && there && written, came: now == self.told, freed }
    }

    /// Stops all of these, and cuts the connections of their cameras and of those that our own table led to.
    async fn close(&mut self, nft: &mut Nft, open: &Set<Door>) -> Result<Cut, String> {
        let mut cut = targets(&nft.table().await?.unwrap_or_default());
        cut.extend(open.iter().map(|door| door.target));
        self.stop(nft, open.clone(), &cut).await
    }

    /// Takes everything of ours away, whoever made it. Closed at once; the firewall may take until the deadline to
    /// have taken it back, and if it takes longer, our own table stays. `None`: there was nothing.
    pub(super) async fn withdraw(
        &mut self,
        nft: &mut Nft,
        deadline: Duration,
    ) -> Result<Option<Cut>, String> {
        (self.sections, self.taken) = (None, Vec::new());
        let mut open = shown_ours(&nft.fw4_table().await?.unwrap_or_default());
        open.extend(self.open.clone().unwrap_or_default());
        let mut cut = Cut::default();
        // First what is known: procd may hang, and who waits for us does not wait for long.
        if !open.is_empty() {
            cut = self.close(nft, &open).await?;
        }
        let given = self.store.read().await.map_err(procd_failed)?;
        if open.is_empty() && given.is_none() {
            self.open = None;
            return nft.remove_any().await;
        }
        let known = open.len();
        open.extend(given.unwrap_or_default());
        if known == 0 || open.len() > known {
            cut = cut.and(self.close(nft, &open).await?);
        }
        self.open = None;
        (self.carried, self.told) = (Set::new(), Set::new());
        self.store.write(Carrier::None, &[], &[], true).await?;
        if self.until_shown(nft, &Set::new(), deadline).await?.is_none() {
            nft.remove_any().await?;
            self.barred = Set::new();
        } else {
            log::warn!(
                "OpenWrt's firewall has not taken its redirects back yet: table {} keeps them closed; \
                 porchlight unmap takes it away later",
                super::nft::TABLE
            );
        }
        Ok(Some(cut))
    }
}

fn procd_failed(fault: Fault) -> String {
    format!("procd does not tell what it has of the port mappings: {fault}")
}

/// The doors of the first that are not among the second.
fn beyond(doors: &Set<Door>, others: &Set<Door>) -> Set<Door> {
    doors.iter().filter(|door| !others.contains(*door)).cloned().collect()
}

fn doors(list: &[Redirect]) -> Set<Door> {
    list.iter().map(Door::of).collect()
}

/// The mappings that have a door of this kind, each once.
fn mappings(list: &[Redirect], of_kind: &dyn Fn(&Door) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for redirect in list.iter().filter(|redirect| of_kind(&Door::of(redirect))) {
        if !names.contains(&redirect.mapping) {
            names.push(redirect.mapping.clone());
        }
    }
    names
}

/// fw4 leaves a redirect of a zone that it does not know out in silence.
fn refuse_unknown_zones(list: &mut Vec<Redirect>, refused: &mut Vec<(String, String)>, listing: &str) {
    list.retain(|redirect| {
        let unknown = [&redirect.src, &redirect.dest].into_iter().find(|zone| !knows_zone(listing, zone));
        if let Some(zone) = unknown {
            if !refused.iter().any(|(mapping, _)| *mapping == redirect.mapping) {
                let why =
                    format!("the firewall has no zone \"{zone}\": set the options src and dest to its zones");
                refused.push((redirect.mapping.clone(), why));
            }
        }
        unknown.is_none()
    });
}
