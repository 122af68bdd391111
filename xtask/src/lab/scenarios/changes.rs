//! A hundred changes of the WAN's addresses, with a real name server: after each the name is right and the
//! camera is reached by it, within a second; and the server was told no more than it had to be.

use super::Scenario;
use crate::lab::named::Step;
use crate::lab::*;
use anyhow::{bail, ensure, Context, Result};
use std::collections::BTreeMap;
use std::thread;

/// The 99th percentile of the time from a change to both.
const P99: Duration = SECOND;
/// After this a round has failed, not just been slow.
const LIMIT: Duration = Duration::from_secs(20);
/// How often the name server is asked.
const ASK_EVERY: Duration = Duration::from_millis(3);
/// Rounds.
const ROUNDS: usize = 100;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Another IPv4 address in place of the one that was.
    Plain,
    /// The same, right after the change before, within the debounce window.
    Soon,
    /// IPv4: one address, the other, the one, the other, all within the debounce window.
    Flap,
    /// IPv4: another address and back, within the window.
    Back,
    /// The device deleted and made again, with another index and other addresses of both families.
    Again,
    /// The same while an update is on its way, whose answer is lost with the address that it was sent from.
    Late,
    /// Another IPv6 prefix.
    Prefix,
}

/// The kinds in turn: 5 plain, 2 at once after another, 4 flaps, 3 there and back, 2 devices, 1 late, 3 prefixes.
const TURN: [Kind; 20] = {
    use Kind::{Again, Back, Flap, Late, Plain, Prefix, Soon};
    [
        Plain, Flap, Soon, Prefix, Plain, Back, Again, Plain, Flap, Prefix, Back, Plain, Soon, Again, Flap,
        Prefix, Plain, Back, Flap, Late,
    ]
};
/// Pauses between the changes of a flap, in turn. Zero: one process makes them all.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(60), Duration::from_millis(80)];
/// From a change to one soon after it: less than the debounce window.
const SOON: Duration = Duration::from_millis(100);
/// Longer than the debounce window: the next change is the first one after quiet.
const QUIET: Duration = Duration::from_millis(250);
/// Knot 3.2 plans its NOTIFY for the next second after an update, and another update that comes in that
/// second waits for the same timer: up to a second. What is after quiet for the agent should be so for it.
const QUIET_OF_KNOT: Duration = Duration::from_millis(1050);
/// Loses the name server's answers to updates (opcode 5), as a slow line does that goes down.
const LOSE_ANSWERS: &str = "table inet lose { chain out { type filter hook output priority filter;
    udp sport 53 @th,80,8 & 0xf8 == 0xa8 drop; }; }";

/// What a round did, and what the server was told of it.
struct Round {
    /// The addresses that the router had, in order.
    values: Vec<IpAddr>,
    /// Whether the round left other addresses than it found, by family: IPv4, IPv6.
    moved: (bool, bool),
    /// Update messages that came.
    messages: usize,
    /// What they changed.
    steps: Vec<Step>,
}

/// From a change to the name right, and to the camera reached by it.
#[derive(Clone, Copy)]
struct Sample {
    kind: Kind,
    named: Duration,
    reached: Duration,
}

/// With BIND 9.
pub const BIND: Scenario = Scenario {
    name: "changes-bind",
    about: "100 changes of the WAN's addresses, with BIND 9: camera reached by name within a second of each",
    needs: &["named", "dig"],
    limit: Duration::from_secs(300),
    slow: true,
    run: |lab| run(lab, Software::Bind),
};

/// With Knot.
pub const KNOT: Scenario = Scenario {
    name: "changes-knot",
    about: "100 changes of the WAN's addresses, with Knot: camera reached by name within a second of each",
    needs: &["knotd", "dig"],
    run: |lab| run(lab, Software::Knot),
    ..BIND
};

fn run(lab: &mut Lab, software: Software) -> Result<Summary> {
    let dns = Named::start(lab, software)?;
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, [192, 168, 1, 20].into())?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    lab.write_leases(&[camera.lease([192, 168, 1, 20].into())])?;
    lab.write_config(&lab.config().replacen("\n\n", "\n\toption log_level 'debug'\n\n", 1))?;
    let mut agent = lab.start_agent()?;
    let asker = probe::Asker::new(&lab.internet, (DNS4, 53).into(), SECOND)?;
    let quiet = if software == Software::Knot { QUIET_OF_KNOT } else { QUIET };
    let mut line =
        Line { lab, dns, asker, quiet, v4: WAN4, v6: WAN6, last: Instant::now(), samples: Vec::new() };
    line.wait(WAN4.into())?;
    line.wait(WAN6.into())?;
    let (mut messages, mut steps) = line.told()?;
    let mut rounds = Vec::new();
    for at in 0..ROUNDS {
        let what = || format!("round {at}, {:?}", TURN[at % TURN.len()]);
        let mut round = line.round(at).with_context(what)?;
        let (all_messages, all_steps) = line.told()?;
        round.messages = all_messages - messages;
        round.steps = all_steps.iter().skip(steps.len()).cloned().collect();
        (messages, steps) = (all_messages, all_steps);
        judge(&round).with_context(what)?;
        rounds.push(round);
    }
    agent.stop(SECOND)?;
    ensure!(line.told()?.0 == messages, "an update after the last change");
    let mut summary = report(&line.samples);
    let count = |of: fn(&Round) -> usize| rounds.iter().map(of).sum::<usize>();
    summary.0.push(format!(
        "{} addresses in {ROUNDS} rounds; at the server {} updates, {} of them changed the zone",
        count(|round| round.values.len()),
        count(|round| round.messages),
        count(|round| round.steps.len()),
    ));
    let worst = percentile(line.samples.iter().map(|sample| sample.reached).collect(), 99);
    ensure!(worst <= P99, "p99 is {} ms\n{}", worst.as_millis(), summary.0.join("\n"));
    Ok(summary)
}

/// The router's line, as the rounds change it.
struct Line<'a> {
    lab: &'a Lab,
    dns: Named,
    asker: probe::Asker,
    quiet: Duration,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    /// When the name was last seen right.
    last: Instant,
    samples: Vec<Sample>,
}

impl Line<'_> {
    /// How many update messages came so far, and what they changed.
    fn told(&self) -> Result<(usize, Vec<Step>)> {
        Ok((self.dns.updates().len(), self.dns.history(&self.lab.internet)?))
    }

    fn round(&mut self, at: usize) -> Result<Round> {
        let kind = TURN[at % TURN.len()];
        let pace = if kind == Kind::Soon { SOON } else { self.quiet };
        thread::sleep(pace.saturating_sub(self.last.elapsed()));
        let before = (self.v4, self.v6);
        let (one, other, prefix) = (self.v4, self.fresh4(), fresh6(at));
        let pause = PAUSES[at / 3 % PAUSES.len()];
        let values = match kind {
            Kind::Plain | Kind::Soon => self.readdress(kind, &[other], pause)?,
            Kind::Flap => self.readdress(kind, &[other, one, other], pause)?,
            Kind::Back => self.readdress(kind, &[other, one], pause)?,
            Kind::Again => self.again(kind, other, prefix)?,
            Kind::Late => self.late(other, prefix)?,
            Kind::Prefix => self.prefix(prefix)?,
        };
        let moved = (before.0 != self.v4, before.1 != self.v6);
        Ok(Round { values, moved, messages: 0, steps: Vec::new() })
    }

    /// An address that the line did not have lately: 203.0.113.11 to .210 in turn.
    fn fresh4(&self) -> Ipv4Addr {
        let [a, b, c, host] = self.v4.octets();
        [a, b, c, if host >= 210 { 11 } else { host.max(10) + 1 }].into()
    }

    /// Gives the line these IPv4 addresses, one after the other; measures from the last.
    fn readdress(&mut self, kind: Kind, values: &[Ipv4Addr], pause: Duration) -> Result<Vec<IpAddr>> {
        let commands = |addr: &Ipv4Addr| {
            vec![
                "addr flush dev wan0".to_string(),
                format!("addr add {addr}/24 dev wan0"),
                format!("route replace default via {GATEWAY4} dev wan0"),
            ]
        };
        let batches: Vec<Vec<String>> = match pause.is_zero() {
            true => vec![values.iter().flat_map(commands).collect()],
            false => values.iter().map(commands).collect(),
        };
        let mut start = Instant::now();
        for (nth, batch) in batches.iter().enumerate() {
            if nth > 0 {
                // Not to wait for anything: the pace of the flapping itself.
                thread::sleep(pause);
            }
            start = Instant::now();
            self.lab.router.ip4_batch(&batch.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        self.v4 = *values.last().context("no address")?;
        self.measure(kind, start, self.v4.into())?;
        Ok(values.iter().map(|addr| IpAddr::V4(*addr)).collect())
    }

    /// Takes the device away and makes it again, with other addresses.
    fn again(&mut self, kind: Kind, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Vec<IpAddr>> {
        let index = self.index()?;
        self.lab.wan_gone()?;
        self.lab.wan_device()?;
        ensure!(self.index()? != index, "the new device has the old one's index");
        let start = Instant::now();
        self.lab.wan_add4(v4)?;
        self.lab.wan_add6(v6)?;
        (self.v4, self.v6) = (v4, v6);
        self.measure(kind, start, v4.into())?;
        let settled = self.lab.wait_dad(v6)?;
        self.measure(kind, settled, v6.into())?;
        Ok(vec![v4.into(), v6.into()])
    }

    /// Another address; its update comes, the answer is lost, and then the device goes and comes again.
    fn late(&mut self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Vec<IpAddr>> {
        let before = self.dns.updates().len();
        self.lab.internet.nft(LOSE_ANSWERS)?;
        self.lab.wan_readdress4(v4)?;
        until("an update comes", LIMIT, || (self.dns.updates().len() > before).then_some(()))?;
        self.v4 = v4;
        let mut values = vec![v4.into()];
        self.lab.router.ip("link set wan0 down")?;
        self.lab.internet.nft("delete table inet lose")?;
        values.extend(self.again(Kind::Late, self.fresh4(), v6)?);
        Ok(values)
    }

    fn index(&self) -> Result<String> {
        let text = self.lab.router.sh("ip -o link show dev wan0")?;
        Ok(text.split(':').next().unwrap_or_default().to_string())
    }

    fn prefix(&mut self, addr: Ipv6Addr) -> Result<Vec<IpAddr>> {
        self.v6 = addr;
        self.lab.wan_readdress6(addr)?;
        let settled = self.lab.wait_dad(addr)?;
        self.measure(Kind::Prefix, settled, addr.into())?;
        Ok(vec![addr.into()])
    }

    fn measure(&mut self, kind: Kind, start: Instant, addr: IpAddr) -> Result<()> {
        let seen = self.wait(addr)?;
        self.last = seen.named;
        let named = seen.named.saturating_duration_since(start);
        let reached = seen.reached.saturating_duration_since(start);
        self.samples.push(Sample { kind, named, reached });
        Ok(())
    }

    /// Waits until the name has this address for good, and a viewer who takes the name's IPv4 address (the
    /// mapping's family) is greeted by the camera. What was right and became wrong again does not count.
    fn wait(&self, addr: IpAddr) -> Result<Seen> {
        let rtype = if addr.is_ipv4() { Rtype::A } else { Rtype::AAAA };
        let end = Instant::now() + LIMIT;
        let mut seen = None;
        loop {
            let answer = self.asker.ask(NAME, rtype)?;
            if answer.sole() != Some(addr) {
                seen = None;
            } else {
                let seen = match seen {
                    Some(seen) => seen,
                    None => *seen.insert(Seen { named: Instant::now(), reached: self.reach()? }),
                };
                if self.is_settled(addr)? {
                    return Ok(seen);
                }
            }
            if Instant::now() > end {
                bail!("{NAME} is not {addr} for good after {LIMIT:?}: {answer:?}; {}", self.lab.status()?);
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// A viewer connects by the name, until the camera greets.
    fn reach(&self) -> Result<Instant> {
        let mut last = String::new();
        until("a viewer reaches the camera by its name", LIMIT, || {
            let at = self.asker.ask(NAME, Rtype::A).ok()?.sole()?;
            let call = probe::banner(&self.lab.internet, (at, PORT).into(), SECOND / 5);
            last = call.unwrap_or_else(|error| format!("{at}: {error:#}"));
            (last == "front").then(Instant::now)
        })
        .with_context(|| format!("the last attempt: {last}"))
    }

    /// Whether the agent itself has nothing more to do about this address.
    fn is_settled(&self, addr: IpAddr) -> Result<bool> {
        let status = self.lab.status()?;
        let (addr, rtype) = (addr.to_string(), if addr.is_ipv4() { "A" } else { "AAAA" });
        let records = status["records"].as_array().into_iter().flatten();
        let mut mine = records.filter(|record| record["type"] == rtype);
        Ok(mine.all(|record| {
            let said = ["wanted", "published"].iter().all(|key| record[key] == addr.as_str());
            said && record["standing"] == "published"
        }))
    }
}

/// At least one update for what a round left, at most one for each address that it gave, of those only, the
/// last one right.
fn judge(round: &Round) -> Result<()> {
    let added: Vec<IpAddr> = round.steps.iter().flat_map(|step| step.added.clone()).collect();
    let say = format!("{} updates for {:?} made {added:?}", round.messages, round.values);
    ensure!(round.messages <= round.values.len(), "{say}: more updates than changes");
    ensure!(round.messages >= round.steps.len(), "{say}: fewer updates than steps");
    ensure!(added.iter().all(|addr| round.values.contains(addr)), "{say}: never the address then");
    for (v4, moved) in [(true, round.moved.0), (false, round.moved.1)] {
        let last = |addrs: &[IpAddr]| addrs.iter().rfind(|addr| addr.is_ipv4() == v4).copied();
        let (told, settled) = (last(&added), last(&round.values));
        ensure!(!moved || told.is_some(), "{say}: nothing for what it settled on");
        ensure!(told.is_none() || told == settled, "{say}: the last is not right");
    }
    Ok(())
}

/// The figures, of all rounds and kind by kind.
fn report(samples: &[Sample]) -> Summary {
    let mut kinds: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        kinds.entry("all".into()).or_default().push(*sample);
        kinds.entry(format!("{:?}", sample.kind)).or_default().push(*sample);
    }
    let ms = |times: Vec<Duration>, part: usize| percentile(times, part).as_secs_f64() * 1e3;
    let row = |(kind, samples): (&String, &Vec<Sample>)| {
        let named = || samples.iter().map(|sample| sample.named).collect();
        let reached = || samples.iter().map(|sample| sample.reached).collect();
        format!(
            "{kind:<8}{:>4}   name right p50 {:>6.1} p99 {:>6.1} max {:>6.1} ms   camera by name p50 {:>6.1} p99 {:>6.1} max {:>6.1} ms",
            samples.len(),
            ms(named(), 50),
            ms(named(), 99),
            ms(named(), 100),
            ms(reached(), 50),
            ms(reached(), 99),
            ms(reached(), 100),
        )
    };
    Summary(kinds.iter().map(row).collect())
}

/// One prefix for each round.
fn fresh6(round: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x100 + round as u16, 0, 0, 0, 0, 0x10)
}

/// The nearest-rank percentile.
fn percentile(mut times: Vec<Duration>, part: usize) -> Duration {
    times.sort();
    let rank = (times.len() * part).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let times = || (1..=200).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(times(), 50), Duration::from_millis(100));
        assert_eq!(percentile(times(), 99), Duration::from_millis(198));
        assert_eq!(percentile(times(), 100), Duration::from_millis(200));
        assert_eq!(percentile(vec![SECOND], 50), SECOND);
        assert_eq!(percentile(vec![], 99), Duration::ZERO);
    }

    #[test]
    fn the_judge_counts() {
        let (one, two): (IpAddr, IpAddr) = ([203, 0, 113, 1].into(), [203, 0, 113, 2].into());
        let verdict = |values: &[IpAddr], messages, told: &[IpAddr]| {
            let step = |addr: &IpAddr| Step { serial: 2, removed: vec![], added: vec![*addr] };
            let steps = told.iter().map(step).collect();
            judge(&Round { values: values.to_vec(), moved: (true, false), messages, steps })
        };
        assert!(verdict(&[one, two], 1, &[two]).is_ok());
        assert!(verdict(&[one, two], 2, &[one, two]).is_ok());
        assert!(verdict(&[one, two], 2, &[two]).is_ok(), "one in vain is within the bound");
        assert!(verdict(&[one, two], 0, &[]).is_err(), "nothing");
        assert!(verdict(&[one, two], 3, &[two]).is_err(), "too many messages");
        assert!(verdict(&[one, two], 1, &[one]).is_err(), "the wrong one last");
        assert!(verdict(&[two], 1, &[one, two]).is_err(), "a step without a message");
        assert!(verdict(&[two], 1, &[one]).is_err(), "never had");
    }
}
