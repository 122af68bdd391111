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

use super::conntrack::{self, Cut, Stays};
use super::door::Door;
use super::hits::{self, label, Hits};
use super::rule::{at_most, check, sources, stays, ways, Ways};
use super::{droppers, Heard, Netfilter};
use crate::act::command::{self, Ran};
use crate::config::{Ports, Proto};
use crate::map::Set;
use crate::plan::{MapJob, Rule};
use crate::wire::ctnetlink::{ask_generation, messages, Message};
use async_io::Timer;
use smol::future::or;
use std::fmt::{Display, Write};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Family and name of our table, as nft writes them.
pub const TABLE: &str = "inet porchlight";

/// The longest that one run of nft may take, for our own table ...
const DEADLINE: Duration = Duration::from_secs(2);
/// ... and for a listing of everybody's, for which nothing waits.
const LISTING_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that the kernel may take to tell its generation.
const GENERATION_DEADLINE: Duration = Duration::from_secs(1);
/// Ports of one rule that may change their number on the way: each takes memory in the kernel.
const MAX_MOVED_PORTS: u32 = 1024;
/// The kernel's longest device name (IFNAMSIZ less the final zero).
const MAX_DEVICE: usize = 15;
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

/// Holds a camera whose connections were cut: the kernel's connection table takes up a TCP stream in
/// its middle, and a router that masquerades would send it on under the very same port.
/// TCP packets of no known connection that do not open one are answered by a reset, and no new
/// UDP flow may start from the mapped ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The camera.
    pub target: IpAddr,
    /// Its UDP ports that were mapped, first and last.
    pub udp: Vec<(u16, u16)>,
}

/// A table as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// For `nft -f -`.
    pub text: String,
    /// As in [`MapReport`].
    pub refused: Vec<(String, String)>,
}

/// Writes our table with exactly these rules and guards; without any, the table goes.
pub fn ruleset(rules: &[Rule], guards: &[Guard]) -> Ruleset {
    table(rules, guards, &Set::new(), Vec::new())
}

/// Likewise, with a stop for each of these doors of another firewall, and with these counters.
fn table(rules: &[Rule], guards: &[Guard], barred: &Set<Door>, counters: Vec<String>) -> Ruleset {
    let mut chains = Chains::default();
    let mut refused = Vec::new();
    for rule in rules {
        if let Err(why) = chains.add(rule) {
            refused.push((rule.mapping.clone(), why));
        }
    }
    for guard in guards {
        chains.guard(guard);
    }
    chains.forward.extend(barred.iter().map(Door::bar));
    chains.counters = counters;
    Ruleset { text: chains.table(), refused }
}

/// The lines of each chain.
#[derive(Default)]
struct Chains {
    prerouting: Vec<String>,
    output: Vec<String>,
    postrouting: Vec<String>,
    forward: Vec<String>,
    counters: Vec<String>,
}

impl Chains {
    fn add(&mut self, rule: &Rule) -> Result<(), String> {
        check(rule)?;
        check_devices(rule)?;
        let ip = keyword(rule.target);
        let proto = rule.proto;
        let from = from(rule)?;
        let to = destination(rule)?;
        let door = format!("{from}{proto} dport {}", Ports(rule.src_dport));
        let comment = label(&rule.mapping);
        let act = format!("counter dnat {ip} to {to} comment \"{comment}\"");

        let devices: Set<_> = rule.wan_devices.iter().map(|name| format!("\"{name}\"")).collect();
        if !devices.is_empty() {
            let to = match rule.target {
                IpAddr::V4(_) => "meta nfproto ipv4 fib daddr type local".to_string(),
                IpAddr::V6(own) => format!("ip6 daddr {own}"),
            };
            self.prerouting.push(format!("iifname {} {to} {door} {act}", set(&devices)));
        }
        if rule.target.is_ipv6() {
            return Ok(());
        }
        let addrs: Set<_> = rule.wan_addrs.iter().filter(|addr| addr.is_ipv4()).collect();
        if !addrs.is_empty() {
            let (lan, addrs) = (&rule.lan_device, set(&addrs));
            // From the camera's LAN, and from any other: whatever is no WAN.
            let within =
                if devices.is_empty() { String::new() } else { format!("iifname != {} ", set(&devices)) };
            self.prerouting.push(format!("{within}{ip} daddr {addrs} {door} {act}"));
            self.output.push(format!("{ip} daddr {addrs} {door} {act}"));
            // The camera would answer its neighbour directly, from an address that it never asked.
            self.postrouting.push(format!(
                "oifname \"{lan}\" {ip} saddr {}/{} {ip} daddr {} {proto} dport {} ct status dnat \
                 ct original {ip} daddr {addrs} counter masquerade comment \"{comment}\"",
                rule.lan.addr,
                rule.lan.prefix,
                rule.target,
                Ports(rule.dest_port),
            ));
        }
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) {
        let camera = format!("{} saddr {}", keyword(guard.target), guard.target);
        self.forward.push(format!(
            "{camera} ct state invalid,new tcp flags & (fin | syn | rst | ack) != syn counter reject with tcp reset"
        ));
        for ports in &guard.udp {
            self.forward.push(format!("{camera} ct state new udp sport {} counter drop", Ports(*ports)));
        }
    }

    fn table(&self) -> String {
        let mut text = format!("add table {TABLE}\ndelete table {TABLE}\n");
        let chains = [
            // "-100" is what "dstnat" means; nft does not take the word in this hook.
            ("prerouting", "nat hook prerouting priority dstnat", &self.prerouting),
            ("output", "nat hook output priority -100", &self.output),
            ("postrouting", "nat hook postrouting priority srcnat", &self.postrouting),
            ("cut", "filter hook forward priority filter", &self.forward),
            // After everybody who may drop it.
            ("hits", "filter hook forward priority 10", &self.counters),
        ];
        if chains.iter().all(|(_, _, lines)| lines.is_empty()) {
            return text;
        }
        let _ = writeln!(text, "table {TABLE} {{");
        for (name, hook, lines) in chains.iter().filter(|(_, _, lines)| !lines.is_empty()) {
            let _ = writeln!(text, "\tchain {name} {{\n\t\ttype {hook}; policy accept;");
            for line in lines.iter() {
                let _ = writeln!(text, "\t\t{line}");
            }
            text.push_str("\t}\n");
        }
        text.push_str("}\n");
        text
    }
}

/// Refuses a device that nft could take for something else.
fn check_devices(rule: &Rule) -> Result<(), String> {
    for device in rule.wan_devices.iter().chain([&rule.lan_device]) {
        let plain = device.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b));
        if !plain || device.is_empty() || device.len() > MAX_DEVICE {
            return Err(format!("nft cannot name the device \"{}\"", device.escape_default()));
        }
    }
    Ok(())
}

/// `ip saddr { .. } ` for the networks of the target's family; nothing where anyone may.
fn from(rule: &Rule) -> Result<String, String> {
    let networks: Set<_> = sources(rule)?.iter().map(|net| format!("{}/{}", net.addr, net.prefix)).collect();
    if networks.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("{} saddr {} ", keyword(rule.target), set(&networks)))
}

/// The target with its port. nft gives a range of ports out in any order, so a range that moves is
/// a map of each port to its own. A whole range may lead to one port.
fn destination(rule: &Rule) -> Result<String, String> {
    match ways(rule)? {
        Ways::One(port) => Ok(std::net::SocketAddr::new(rule.target, port).to_string()),
        Ways::Same => Ok(rule.target.to_string()),
        Ways::Moved(count) => {
            at_most(count, MAX_MOVED_PORTS)?;
            let ((first, last), (to_first, to_last)) = (rule.src_dport, rule.dest_port);
            let pairs = (first..=last).zip(to_first..=to_last);
            let pairs: Set<_> = pairs.map(|(port, to)| format!("{port} : {to}")).collect();
            Ok(format!("{} : {} dport map {}", rule.target, rule.proto, set(&pairs)))
        }
    }
}

fn keyword(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() {
        "ip"
    } else {
        "ip6"
    }
}

/// `{ a, b }`
fn set<T: Display>(items: &Set<T>) -> String {
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    format!("{{ {} }}", items.join(", "))
}

/// The program nft. What is only asked of it needs no [`Nft`] and keeps nobody from changing our table.
#[derive(Clone)]
pub struct Program(PathBuf);

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
        let program = Program(program.into());
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
        stays: &[&Door],
    ) -> Result<Cut, String> {
        let stays: Vec<Stays<'_>> = stays.iter().copied().map(Door::stays).collect();
        Ok(self.put(&[], barred, cut, &stays).await?.1)
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
        self.load(&text).await?;
        self.rules = rules.to_vec();
        self.guards = guards;
        let carried = |rule: &&Rule| !refused.iter().any(|(name, _)| *name == rule.mapping);
        let stays: Vec<Stays<'_>> =
            rules.iter().filter(carried).map(stays).chain(doors.iter().copied()).collect();
        let cut = conntrack::cut(&self.root, cut, &stays).await;
        for attempt in 1.. {
            let listing = self.list().await?;
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
            self.load(&text).await?;
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
            let of_target = |rule: &&Rule| rule.target == *target && rule.proto == Proto::Udp;
            let rules = self.rules.iter().chain(rules).filter(of_target).map(|rule| rule.dest_port);
            let doors = barred.iter().filter(|door| door.target == *target && door.proto == Proto::Udp);
            let udp: Set<_> = rules.chain(doors.map(|door| door.to)).collect();
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
        let listing = self.list().await;
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
    pub async fn droppers(&self, targets: &[IpAddr], plain: &[IpAddr]) -> Result<Vec<String>, String> {
        self.program.droppers(targets, plain).await
    }

    /// Whether OpenWrt's firewall runs here: then a table of ours is not the way.
    pub async fn fw4_present(&self) -> bool {
        if self.root.join("sbin/fw4").exists() {
            return true;
        }
        let tables = self.program.run(&["list", "tables"], "", DEADLINE).await;
        tables.is_ok_and(|ran| ran.out.lines().any(|line| line.trim() == "table inet fw4"))
    }

    /// The table of OpenWrt's firewall, without its counters. `None`: there is none.
    pub(super) async fn fw4_table(&self) -> Result<Option<String>, String> {
        let ran =
            self.program.run(&["-s", "-t", "list", "table", "inet", "fw4"], "", LISTING_DEADLINE).await?;
        match ran.ok {
            true => Ok(Some(ran.out)),
            false if ran.complaint.contains("No such file or directory") => Ok(None),
            false => Err(failure("table inet fw4 could not be read", &ran.complaint)),
        }
    }

    /// Whether there is a table of ours, whoever made it.
    pub(super) async fn exists(&self) -> Result<bool, String> {
        Ok(self.list().await?.is_some())
    }

    /// The cameras that our table leads to, whoever made it.
    pub(super) async fn own_targets(&self) -> Result<Set<IpAddr>, String> {
        Ok(targets(&self.list().await?.unwrap_or_default()))
    }

    /// Takes our table away, whoever made it (an earlier run too), and cuts the connections that
    /// came through it.
    pub async fn remove(&mut self) -> Result<Cut, String> {
        Ok(self.remove_any().await?.unwrap_or_default())
    }

    /// As [`Nft::remove`]. `None`: there was no table.
    pub async fn remove_any(&mut self) -> Result<Option<Cut>, String> {
        let Some(listing) = self.list().await? else {
            self.forget();
            return Ok(None);
        };
        self.read_hits().await;
        let cameras: Vec<_> = targets(&listing).into_iter().collect();
        let guards: Vec<_> =
            cameras.iter().map(|target| Guard { target: *target, udp: Vec::new() }).collect();
        self.load(&ruleset(&[], &guards).text).await?;
        let cut = conntrack::cut(&self.root, &cameras, &[]).await;
        if cut.flushed > 0 {
            Timer::after(LINGER).await;
        }
        self.load(&ruleset(&[], &[]).text).await?;
        self.forget();
        Ok(Some(cut))
    }

    fn forget(&mut self) {
        self.rules.clear();
        self.guards.clear();
        self.counted.clear();
        self.truth = None;
    }

    /// Our table without its counters. `None`: there is none.
    pub(super) async fn list(&self) -> Result<Option<String>, String> {
        let ran = self.program.run(&["-s", "list", "table", "inet", "porchlight"], "", DEADLINE).await?;
        match ran.ok {
            true => Ok(Some(ran.out)),
            false if ran.complaint.contains("No such file or directory") => Ok(None),
            false => Err(failure(&format!("table {TABLE} could not be read"), &ran.complaint)),
        }
    }

    async fn load(&self, text: &str) -> Result<(), String> {
        let ran = self.program.run(&["-f", "-"], text, DEADLINE).await?;
        match ran.ok {
            true => Ok(()),
            false => Err(failure(&format!("nft did not accept table {TABLE}"), &ran.complaint)),
        }
    }
}

impl Program {
    /// How many connections each mapping has let in, as far as our table says; nothing where it cannot be read.
    pub async fn hits(&self) -> Hits {
        let chain = ["list", "chain", "inet", "porchlight", "hits"];
        let ran = self.run(&chain, "", DEADLINE).await;
        ran.ok().filter(|ran| ran.ok).map(|ran| hits::read(&ran.out)).unwrap_or_default()
    }

    /// As [`Nft::droppers`].
    pub async fn droppers(&self, targets: &[IpAddr], plain: &[IpAddr]) -> Result<Vec<String>, String> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let ran = self.run(&["-s", "-t", "list", "ruleset"], "", LISTING_DEADLINE).await?;
        if !ran.ok {
            return Err(failure("the packet filter could not be read", &ran.complaint));
        }
        Ok(droppers::find(&ran.out, targets, plain))
    }

    /// Runs nft.
    async fn run(&self, args: &[&str], input: &str, deadline: Duration) -> Result<Ran, String> {
        command::run(&self.0, "nftables", args, input, deadline).await
    }
}

/// What failed, in nft's words, and what the owner can do.
fn failure(what: &str, complaint: &str) -> String {
    let hint = if complaint.contains("not permitted") || complaint.contains("must be root") {
        "; run as root (with CAP_NET_ADMIN)"
    } else if complaint.contains("not supported") {
        "; the kernel lacks nf_tables or a part of it (NAT, fib, reject)"
    } else {
        ""
    };
    format!("{what}: {complaint}{hint}")
}

/// How many rules are in a table's text or listing; each of ours counts packets.
fn count_rules(text: Option<&str>) -> usize {
    let of_rule = |line: &&str| line.split_whitespace().any(|word| word == "counter");
    text.unwrap_or_default().lines().filter(of_rule).count()
}

/// The cameras that a listing of our table translates to.
fn targets(listing: &str) -> Set<IpAddr> {
    let to = |line: &str| {
        let (_, to) = line.split_once(" dnat ip to ").or_else(|| line.split_once(" dnat ip6 to "))?;
        let word = to.split_whitespace().next()?;
        match word.strip_prefix('[') {
            Some(v6) => v6.split(']').next()?.parse().ok(),
            None => word.parse().or_else(|_| word.split(':').next().unwrap_or_default().parse()).ok(),
        }
    };
    listing.lines().filter_map(to).collect()
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
    let late = async {
        Timer::after(GENERATION_DEADLINE).await;
        Ok::<_, io::Error>(None)
    };
    or(ask, late).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;

    fn net(text: &str) -> Network {
        let (addr, prefix) = text.split_once('/').unwrap();
        Network { addr: addr.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    fn rule() -> Rule {
        Rule {
            mapping: "door_8554".into(),
            wan_devices: vec!["eth1".into(), "eth0".into(), "eth1".into()],
            wan_addrs: vec!["203.0.113.4".parse().unwrap(), "2001:db8::4".parse().unwrap()],
            lan_device: "br-lan".into(),
            lan: net("192.168.1.0/24"),
            proto: Proto::Tcp,
            src_dport: (8554, 8554),
            target: "192.168.1.50".parse().unwrap(),
            dest_port: (554, 554),
            sources: Vec::new(),
            src: "wan".into(),
            dest: "lan".into(),
        }
    }

    fn refusal(change: impl FnOnce(&mut Rule)) -> String {
        let mut rule = rule();
        change(&mut rule);
        let made = ruleset(&[rule], &[]);
        assert_eq!(made.text, "add table inet porchlight\ndelete table inet porchlight\n");
        let [(name, why)] = made.refused.as_slice() else { panic!("not refused") };
        assert_eq!(name, "door_8554");
        why.clone()
    }

    fn text(change: impl FnOnce(&mut Rule)) -> String {
        let mut rule = rule();
        change(&mut rule);
        let made = ruleset(&[rule], &[]);
        assert_eq!(made.refused, []);
        made.text
    }

    #[test]
    fn the_whole_table() {
        let made = ruleset(&[rule()], &[Guard { target: rule().target, udp: vec![(5000, 5009)] }]);
        assert_eq!(
            made.text,
            r#"add table inet porchlight
delete table inet porchlight
table inet porchlight {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname { "eth0", "eth1" } meta nfproto ipv4 fib daddr type local tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
		iifname != { "eth0", "eth1" } ip daddr { 203.0.113.4 } tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
	}
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr { 203.0.113.4 } tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment "door_8554"
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "br-lan" ip saddr 192.168.1.0/24 ip daddr 192.168.1.50 tcp dport 554 ct status dnat ct original ip daddr { 203.0.113.4 } counter masquerade comment "door_8554"
	}
	chain cut {
		type filter hook forward priority filter; policy accept;
		ip saddr 192.168.1.50 ct state invalid,new tcp flags & (fin | syn | rst | ack) != syn counter reject with tcp reset
		ip saddr 192.168.1.50 ct state new udp sport 5000-5009 counter drop
	}
}
"#
        );
    }

    #[test]
    fn without_rules_the_table_goes() {
        assert_eq!(ruleset(&[], &[]).text, "add table inet porchlight\ndelete table inet porchlight\n");
    }

    #[test]
    fn ports() {
        let same = text(|rule| (rule.src_dport, rule.dest_port) = ((8000, 8010), (8000, 8010)));
        assert!(same.contains("tcp dport 8000-8010 counter dnat ip to 192.168.1.50 comment"), "{same}");
        let moved = text(|rule| (rule.src_dport, rule.dest_port) = ((8009, 8010), (99, 100)));
        assert!(
            moved.contains("to 192.168.1.50 : tcp dport map { 8009 : 99, 8010 : 100 } comment"),
            "{moved}"
        );
        let v6 = text(|rule| {
            rule.target = "fd00::50".parse().unwrap();
            rule.lan = net("fd00::/64");
        });
        assert_eq!(
            v6.lines().filter(|line| line.contains("8554")).map(str::trim).collect::<Vec<_>>(),
            ["iifname { \"eth0\", \"eth1\" } ip6 daddr fd00::50 tcp dport 8554 counter dnat ip6 to [fd00::50]:554 \
              comment \"door_8554\""],
            "nothing of the WAN's own addresses, and no hairpin"
        );
        let one = text(|rule| (rule.src_dport, rule.dest_port) = ((8000, 8010), (554, 554)));
        assert!(one.contains("tcp dport 8000-8010 counter dnat ip to 192.168.1.50:554 comment"), "{one}");
        assert!(refusal(|rule| rule.dest_port = (554, 555)).contains("not equally many"));
        assert!(refusal(|rule| rule.dest_port = (0, 0)).contains("0 is no range"));
        assert!(refusal(|rule| rule.src_dport = (10, 9)).contains("10-9 is no range"));
        assert!(refusal(|rule| (rule.src_dport, rule.dest_port) = ((1, 1025), (2, 1026))).contains("1024"));
        text(|rule| (rule.src_dport, rule.dest_port) = ((1, 1024), (2, 1025)));
        text(|rule| (rule.src_dport, rule.dest_port) = ((1, 65535), (1, 65535)));
    }

    #[test]
    fn sources_limit_every_way_in() {
        let limited = text(|rule| {
            rule.sources =
                vec![net("203.0.113.7/32"), net("203.0.113.0/24"), net("198.51.100.1/32"), net("fd00::/8")]
        });
        let doors: Vec<_> = limited.lines().filter(|line| line.contains("dnat ip to")).collect();
        assert_eq!(doors.len(), 3);
        for door in doors {
            assert!(door.contains("ip saddr { 198.51.100.1/32, 203.0.113.0/24 } tcp dport"), "{door}");
        }
        // Of the other family only: that must not mean anyone.
        assert!(refusal(|rule| rule.sources = vec![net("fd00::/8")]).contains("no IPv4 network"));
        let anyone = text(|rule| rule.sources = vec![net("0.0.0.0/0"), net("10.0.0.0/8")]);
        assert!(anyone.contains("type local tcp dport"), "{anyone}");
    }

    #[test]
    fn never_to_the_router_or_outside_the_lan() {
        for addr in ["203.0.113.4", "0.0.0.0", "127.0.0.1", "192.168.2.1", "224.0.0.1", "fd00::1"] {
            assert!(refusal(|rule| rule.target = addr.parse().unwrap()).contains(addr));
        }
        refusal(|rule| {
            rule.lan = net("0.0.0.0/0");
            rule.target = "203.0.113.4".parse().unwrap();
        });
    }

    #[test]
    fn names_cannot_break_out() {
        for device in ["", "eth*", "a\"b", "a b", "sixteen-letters-", "lan;"] {
            assert!(refusal(|rule| rule.wan_devices = vec![device.into()]).contains("device"));
            assert!(refusal(|rule| rule.lan_device = device.into()).contains("device"));
        }
        let odd = text(|rule| rule.mapping = format!("a\"; }}\nflush ruleset\\ö {}", "x".repeat(200)));
        let comment = odd.split("comment \"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(comment, format!("a_; __flush ruleset__ {}", "x".repeat(42)).replace(';', "_"));
        assert!(!odd.contains("\nflush"));
    }

    #[test]
    fn a_wan_without_device_or_address() {
        let no_addr = text(|rule| rule.wan_addrs.clear());
        assert!(!no_addr.contains("br-lan") && !no_addr.contains("chain output"), "{no_addr}");
        let no_device = text(|rule| rule.wan_devices.clear());
        assert!(!no_device.contains("type local"), "{no_device}");
        let neither = ruleset(&[Rule { wan_devices: vec![], wan_addrs: vec![], ..rule() }], &[]);
        assert_eq!(neither, ruleset(&[], &[]));
    }

    #[test]
    fn targets_of_a_listing() {
        // As nft 1.0.6 lists our table.
        let listing = "iifname \"eth0\" tcp dport 8554 counter dnat ip to 192.168.1.50:554 comment \"a\"\n\
            udp dport 8000-8010 counter dnat ip to 192.168.1.51 comment \"b\"\n\
            tcp dport 8000-8001 counter dnat ip to 192.168.1.52:tcp dport map { 8000 : 90, 8001 : 91 }\n\
            tcp dport 80 counter dnat ip6 to [2001:db8::1]:81 comment \"d\"\n\
            tcp dport 80 counter dnat ip6 to 2001:db8::2 comment \"e\"\n\
            tcp dport 80 counter dnat ip6 to [2001:db8::3]:tcp dport map { 8000 : 90 }\n\
            tcp dport 80 counter dnat ip to \n";
        let found: Vec<_> = targets(listing).iter().map(IpAddr::to_string).collect();
        let expected =
            ["192.168.1.50", "192.168.1.51", "192.168.1.52", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
        assert_eq!(found, expected);
    }
}
