//! A hundred changes of the WAN's addresses, with a real name server: after each the name is right and the
//! camera is reached by it, within a second; and the server was told no more than it had to be.

use super::Scenario;
use crate::lab::named::{Arrival, Step};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
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
    /// IPv4: one address, the other, the one, the other, all within the debounce window.
    Flap,
    /// IPv4: another address and back, within the window.
    Back,
    /// The device deleted and made again, with another index and other addresses of both families.
    Again,
    /// Another IPv6 prefix.
    Prefix,
}

/// The kinds in turn: 8 plain, 3 flaps, 2 there and back, 3 devices, 4 prefixes.
const TURN: [Kind; 20] = {
    use Kind::{Again, Back, Flap, Plain, Prefix};
    [
        Plain, Flap, Plain, Prefix, Plain, Back, Again, Plain, Prefix, Flap, Plain, Plain, Again, Prefix,
        Plain, Back, Prefix, Plain, Flap, Again,
    ]
};
/// Pauses between the changes of a flap, in turn. Zero: one process makes them all.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(25), Duration::from_millis(50)];

/// What a round did.
struct Round {
    kind: Kind,
    began: Instant,
    /// The addresses that the router had since, in order.
    values: Vec<IpAddr>,
    /// Whether the round left other addresses than it found, by family: IPv4, IPv6.
    moved: (bool, bool),
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
    lab.write_config(&lab.config())?;
    let mut agent = lab.start_agent()?;
    let asker = probe::Asker::new(&lab.internet, (DNS4, 53).into(), SECOND)?;
    let mut line = Line { lab, asker, v4: WAN4, v6: WAN6, spent: 10, samples: Vec::new() };
    line.wait(WAN4.into())?;
    line.wait(WAN6.into())?;
    line.wait_settled()?;
    let first = dns.updates().len();
    let rounds = (0..ROUNDS)
        .map(|at| line.round(at).with_context(|| format!("round {at}, {:?}", TURN[at % TURN.len()])))
        .collect::<Result<Vec<_>>>()?;
    let samples = line.samples;
    agent.stop(SECOND)?;
    let (arrivals, steps) = (dns.updates(), dns.history(&lab.internet)?);
    ensure!(
        arrivals.len() == steps.len(),
        "{} update messages for {} changes of the zone: one was in vain",
        arrivals.len(),
        steps.len()
    );
    let told: Vec<_> = arrivals.into_iter().zip(steps).skip(first).collect();
    let updates = told.len();
    let changes: usize = rounds.iter().map(|round| round.values.len()).sum();
    judge(&rounds, &told)?;
    let mut summary = report(&samples);
    summary.0.push(format!(
        "{changes} addresses in {ROUNDS} rounds, {updates} updates at the server; none in vain, none in between"
    ));
    let worst = percentile(samples.iter().map(|sample| sample.reached).collect(), 99);
    summary.0.iter().for_each(|line| anstream::println!("   {line}"));
    ensure!(worst <= P99, "from a change to the camera reached by name: p99 is {} ms", worst.as_millis());
    Ok(Summary::line(format!("p99 {} ms", worst.as_millis())))
}

/// The router's line, as the rounds change it.
struct Line<'a> {
    lab: &'a Lab,
    asker: probe::Asker,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    /// The last IPv4 address that was given out.
    spent: u8,
    samples: Vec<Sample>,
}

impl Line<'_> {
    fn round(&mut self, at: usize) -> Result<Round> {
        let kind = TURN[at % TURN.len()];
        let (began, before) = (Instant::now(), (self.v4, self.v6));
        let pause = PAUSES[at / 3 % PAUSES.len()];
        let values = match kind {
            Kind::Plain => self.readdress(kind, &[self.fresh4()], pause)?,
            Kind::Flap => {
                let (one, other) = (self.v4, self.fresh4());
                self.readdress(kind, &[other, one, other], pause)?
            }
            Kind::Back => self.readdress(kind, &[self.fresh4(), self.v4], pause)?,
            Kind::Again => self.again()?,
            Kind::Prefix => self.prefix(self.fresh6(at))?,
        };
        self.wait_settled()?;
        Ok(Round { kind, began, values, moved: (before.0 != self.v4, before.1 != self.v6) })
    }

    fn fresh4(&self) -> Ipv4Addr {
        // 203.0.113.11 to .210, then from the start.
        let host = 11 + (self.spent - 10) % 200;
        [203, 0, 113, host].into()
    }

    fn fresh6(&self, at: usize) -> Ipv6Addr {
        let net = 0x100 + at as u16;
        Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 0x10)
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
        self.spent = if self.spent >= 209 { 10 } else { self.spent + 1 };
        self.v4 = *values.last().context("no address")?;
        self.measure(kind, start, self.v4.into())?;
        Ok(values.iter().map(|addr| IpAddr::V4(*addr)).collect())
    }

    /// Takes the device away and makes it again, with other addresses.
    fn again(&mut self) -> Result<Vec<IpAddr>> {
        let (v4, v6) = (self.fresh4(), self.fresh6(0x8000 + usize::from(self.spent)));
        let index = self.index()?;
        self.lab.wan_gone()?;
        self.lab.wan_device()?;
        ensure!(self.index()? != index, "the new device has the old one's index");
        let start = Instant::now();
        self.lab.wan_add4(v4)?;
        self.lab.wan_add6(v6)?;
        self.spent = if self.spent >= 209 { 10 } else { self.spent + 1 };
        (self.v4, self.v6) = (v4, v6);
        self.measure(Kind::Again, start, v4.into())?;
        let settled = self.lab.wait_dad(v6)?;
        self.measure(Kind::Again, settled, v6.into())?;
        Ok(vec![v4.into(), v6.into()])
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
        let named = seen.named.saturating_duration_since(start);
        let reached = seen.reached.saturating_duration_since(start);
        self.samples.push(Sample { kind, named, reached });
        Ok(())
    }

    /// Waits until the name has this address, and a viewer who takes the name's IPv4 address (the mapping's
    /// family) is greeted by the camera.
    fn wait(&self, addr: IpAddr) -> Result<Seen> {
        let rtype = if addr.is_ipv4() { Rtype::A } else { Rtype::AAAA };
        let end = Instant::now() + LIMIT;
        let named = loop {
            let answer = self.asker.ask(NAME, rtype)?;
            if answer.sole() == Some(addr) {
                break Instant::now();
            }
            ensure!(Instant::now() < end, "{NAME} is not {addr} after {LIMIT:?}, but {answer:?}");
            thread::sleep(ASK_EVERY);
        };
        let mut last = String::new();
        let reached = until("a viewer reaches the camera by its name", LIMIT, || {
            let at = self.asker.ask(NAME, Rtype::A).ok()?.sole()?;
            let call = probe::banner(&self.lab.internet, (at, PORT).into(), SECOND / 5);
            last = call.unwrap_or_else(|error| format!("{at}: {error:#}"));
            (last == "front").then(Instant::now)
        })
        .with_context(|| format!("the last attempt: {last}"))?;
        Ok(Seen { named, reached })
    }

    /// Waits until the agent itself has nothing more to do, and the name is still right.
    fn wait_settled(&self) -> Result<()> {
        let mut last = None;
        until("the agent is done with the change", LIMIT, || {
            let status = self.lab.status().ok()?;
            let right = [IpAddr::V4(self.v4), self.v6.into()].iter().all(|addr| {
                let records = status["records"].as_array();
                records.into_iter().flatten().any(|record| {
                    let addr = addr.to_string();
                    record["published"] == addr.as_str()
                        && record["wanted"] == addr.as_str()
                        && record["standing"] == "published"
                })
            });
            last = Some(status);
            right.then_some(())
        })
        .with_context(|| format!("status: {last:?}"))?;
        for addr in [IpAddr::V4(self.v4), self.v6.into()] {
            let rtype = if addr.is_ipv4() { Rtype::A } else { Rtype::AAAA };
            let answer = self.asker.ask(NAME, rtype)?;
            ensure!(answer.sole() == Some(addr), "{NAME} should be {addr}, but is {answer:?}");
        }
        Ok(())
    }
}

/// At least one update for what a round left, at most one for each address that it gave, of those only, the
/// last one right.
fn judge(rounds: &[Round], told: &[(Arrival, Step)]) -> Result<()> {
    ensure!(
        told.first().is_none_or(|(first, _)| first.at >= rounds[0].began),
        "an update before the first change"
    );
    for (at, round) in rounds.iter().enumerate() {
        let next = rounds.get(at + 1).map(|next| next.began);
        let mine: Vec<&(Arrival, Step)> =
            told.iter().filter(|(a, _)| a.at >= round.began && next.is_none_or(|next| a.at < next)).collect();
        let added: Vec<IpAddr> = mine.iter().flat_map(|(_, step)| step.added.clone()).collect();
        let say = || format!("round {at}, {:?} to {:?}: told {added:?}", round.kind, round.values);
        ensure!(mine.len() <= round.values.len(), "{}: more updates than changes", say());
        ensure!(added.iter().all(|addr| round.values.contains(addr)), "{}: never the address then", say());
        for (v4, moved) in [(true, round.moved.0), (false, round.moved.1)] {
            let last = |addrs: &[IpAddr]| addrs.iter().rfind(|addr| addr.is_ipv4() == v4).copied();
            let settled = last(&round.values);
            ensure!(!moved || last(&added).is_some(), "{}: nothing for what it settled on", say());
            ensure!(last(&added).is_none() || last(&added) == settled, "{}: the last is not right", say());
        }
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
        let (start, one, two): (_, IpAddr, IpAddr) =
            (Instant::now(), [203, 0, 113, 1].into(), [203, 0, 113, 2].into());
        let rounds = |values: &[IpAddr]| {
            vec![Round { kind: Kind::Flap, began: start, values: values.to_vec(), moved: (true, false) }]
        };
        let told = |addrs: &[IpAddr]| {
            let one = |addr: &IpAddr| {
                let arrival = Arrival { at: start, client: "x".into() };
                (arrival, Step { serial: 2, removed: vec![], added: vec![*addr] })
            };
            addrs.iter().map(one).collect::<Vec<_>>()
        };
        assert!(judge(&rounds(&[one, two]), &told(&[two])).is_ok());
        assert!(judge(&rounds(&[one, two]), &told(&[one, two])).is_ok());
        assert!(judge(&rounds(&[one, two]), &told(&[])).is_err(), "nothing");
        assert!(judge(&rounds(&[one, two]), &told(&[one])).is_err(), "the wrong one last");
        assert!(judge(&rounds(&[two]), &told(&[one, two])).is_err(), "too many");
        assert!(judge(&rounds(&[two]), &told(&[one])).is_err(), "never had");
    }
}
