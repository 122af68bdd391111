//! Every fault at once, one account each in one agent: the class of each, its next try, its message and its
//! requests; the healthy accounts beside them; and how all of them get well again.

mod cases;
mod stage;

use super::Scenario;
use crate::lab::wire::What;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use cases::{secrets, Bound, Case, Heals, CASES, RETRY_AFTER};
use stage::{Stage, Usage};

/// The row of the table.
pub const FAULTS: Scenario = Scenario {
    name: "faults",
    about: "every fault of DNS and HTTPS providers at once, one account each, and no storm",
    needs: &["named", "knotd", "nginx", "faketime"],
    limit: Duration::from_secs(300),
    slow: true,
    run: faults,
};

/// For so long requests are counted.
const FAULTY: Duration = Duration::from_secs(120);
/// For so long the faults stay: not to the very moment at which those are due that had their six requests.
const HEALED: Duration = Duration::from_secs(123);
/// After so long the servers of [`Heals::Early`] are back.
const EARLY: Duration = Duration::from_secs(30);
/// The WAN's addresses: the first, and when the others come. Each change ends the wait of what is unreachable,
/// and six requests in two minutes must be enough for that, the back-off, and the link's return at the end.
const ADDRESSES: [(u64, [u8; 4]); 4] =
    [(0, [203, 0, 113, 10]), (25, [203, 0, 113, 11]), (60, [203, 0, 113, 12]), (95, [203, 0, 113, 13])];
/// When all first tries have ended, the slowest by its time limit.
const FIRST_TRIES: Duration = Duration::from_secs(18);
/// The most requests in any [`WINDOW`] of an account that fails for a time.
const MOST: usize = 6;
/// Two minutes, to a tenth of a second: the agent counts from where it sends, we from where it arrives.
const WINDOW: Duration = Duration::from_millis(119_900);
/// After the link came back.
const BY_LINK: Duration = Duration::from_secs(10);
/// The longest back-off in the first five minutes, and one try.
const BY_BACK_OFF: Duration = Duration::from_secs(61);
/// After a reload or a trigger.
const AT_ONCE: Duration = Duration::from_secs(5);
/// For so long nothing may be sent when all is well.
const QUIET: Duration = Duration::from_secs(15);
/// The most that resident memory may have grown from the first round of tries to the last, and to the end.
const GROWN: u64 = 1024;
/// The most that its peak may lie above the beginning: less than a body of 10 MB by far.
const PEAK: u64 = 6 * 1024;

/// The story.
fn faults(lab: &mut Lab) -> Result<Summary> {
    let mut stage = Stage::build(lab)?;
    let idle = stage.usage()?;
    let mut addr = IpAddr::from(ADDRESSES[0].1);
    let start = Instant::now();
    lab.wan_add4(WAN4)?;
    let mut reaction = stage.wait_right(&all(|case| case.heals == Heals::Healthy), addr, SECOND)?;
    let slowest = |right: &[(&Case, Instant)], since: Instant| {
        right.iter().map(|(_, at)| at.saturating_duration_since(since)).max().unwrap_or_default()
    };
    let mut slow = slowest(&reaction, start);
    stage.pass(start + FIRST_TRIES)?;
    let first = stage.usage()?;
    for (at, next) in ADDRESSES.into_iter().skip(1) {
        let at = Duration::from_secs(at);
        if (EARLY..EARLY * 2 + SECOND).contains(&at) {
            stage.pass(start + EARLY)?;
            all(|case| case.heals == Heals::Early).into_iter().try_for_each(|case| stage.heal(case))?;
        }
        stage.pass(start + at)?;
        addr = next.into();
        let changed = Instant::now();
        lab.wan_readdress4(next.into())?;
        reaction = stage.wait_right(&all(|case| case.heals == Heals::Healthy), addr, SECOND)?;
        slow = slow.max(slowest(&reaction, changed));
    }
    stage.pass(start + FAULTY)?;
    let last = stage.usage()?;
    let mut lines = vec![format!(
        "healthy accounts right within {} ms of each of {} addresses, the server's clock ahead or not",
        slow.as_millis(),
        ADDRESSES.len()
    )];
    lines.extend(table(&stage, start));
    stage.pass(start + HEALED)?;
    let mut wrong = judge(&stage, start);
    for case in all(|case| case.heals == Heals::Early) {
        match stage.published(case).map(|at| at - start - EARLY) {
            Some(took) if took <= BY_BACK_OFF => lines.push(format!(
                "{}: good again {} s after its server came back, with nothing to tell it so",
                case.name,
                took.as_secs()
            )),
            took => wrong.push(format!("{}: good again after {took:?}", case.name)),
        }
    }
    let healed = heal_all(&mut stage, addr, &mut lines);
    let end = healed.with_context(|| format!("{}\n\n{}", lines.join("\n"), wrong.join("\n")))?;
    lines.extend(memory(idle, first, last, end, &mut wrong));
    wrong.extend(leaks(&stage));
    ensure!(wrong.is_empty(), "{}\n\n{}", lines.join("\n"), wrong.join("\n"));
    stage.agent.stop(SECOND * 3)?;
    Ok(Summary(lines))
}

fn all(fits: impl Fn(&Case) -> bool) -> Vec<&'static Case> {
    CASES.iter().filter(|case| fits(case)).collect()
}

/// One line an account: fault, class, next try, requests, message.
fn table(stage: &Stage, start: Instant) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<13} {:<25} {:<12} {:>9}  {:<44} message",
        "account", "fault", "class", "next try", "requests in 2 minutes"
    )];
    for case in CASES {
        let count = stage.count(case, start, start + FAULTY);
        let (class, next, text) = match stage.told(case) {
            None => ("-".into(), "-".into(), String::new()),
            Some(told) => {
                let next = told.next.map_or("rests".into(), |s| format!("{s} s"));
                (told.class.clone(), next, told.text.clone())
            }
        };
        let shown = format!("{}: {count}", count.requests());
        let text: String = text.chars().take(150).collect();
        lines.push(format!("{:<13} {:<25} {class:<12} {next:>9}  {shown:<44} {text}", case.name, case.about));
    }
    lines
}

/// What is wrong with the classes and the counts.
fn judge(stage: &Stage, start: Instant) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in CASES {
        let told = stage.told(case);
        let class = told.map_or("", |told| told.class.as_str());
        if class != case.class {
            wrong.push(format!("{}: class {class}, not {}", case.name, case.class));
        }
        let rests = told.is_some_and(|told| told.next.is_none());
        let must = matches!(class, "credentials" | "refused" | "no-such-name");
        if rests != must {
            wrong.push(format!("{}: class {class}, rests: {rests}", case.name));
        }
        if let Some(text) = misbehaved(stage, case, start) {
            wrong.push(format!("{}: {text}", case.name));
        }
    }
    wrong
}

/// What is wrong with an account's requests in the first two minutes, if anything.
fn misbehaved(stage: &Stage, case: &Case, start: Instant) -> Option<String> {
    let count = stage.count(case, start, start + FAULTY);
    // What shows who we are: a plain question to a name server does not.
    let telling = count.updates + count.https;
    let seen = stage.requests(case);
    // A message that is tried by TCP too is one request.
    let requests = seen.iter().filter(|seen| seen.what != What::Connection(53));
    let at: Vec<Instant> = requests.map(|seen| seen.at).collect();
    let gap = at.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(FAULTY);
    let storm = || at.windows(MOST + 1).any(|most| most[MOST] - most[0] < WINDOW);
    let good = match case.bound {
        Bound::Each(each, more) => telling == each * ADDRESSES.len() + more,
        Bound::Transient if case.heals == Heals::Early => {
            stage.count(case, start, start + EARLY).requests() <= MOST
        }
        Bound::Transient => (2..=MOST).contains(&count.requests()) && !storm(),
        Bound::RetryAfter => telling >= 2 && gap >= Duration::from_secs(RETRY_AFTER),
        Bound::Once => telling == 1,
        Bound::Updates(updates) => count.updates == updates && count.requests() <= MOST,
    };
    let answered = stage.answered(case).iter().filter(|seen| seen.at < start + FAULTY).count();
    if answered > count.https {
        return Some(format!("{answered} requests answered, {} connections", count.https));
    }
    (!good).then(|| {
        format!(
            "requests: {} ({count}), at least {:.1} s apart; right is {:?}",
            count.requests(),
            gap.as_secs_f64(),
            case.bound
        )
    })
}

/// Heals everything, each in its way, and sees that it does so and that no storm follows. What the agent
/// takes at the end.
fn heal_all(stage: &mut Stage, addr: IpAddr, lines: &mut Vec<String>) -> Result<Usage> {
    let healed = Instant::now();
    for case in CASES.iter().filter(|case| case.heals != Heals::Early) {
        stage.heal(case)?;
    }
    stage.flap()?;
    let by_link = stage.wait_right(&all(|case| case.heals == Heals::Link), addr, BY_LINK)?;
    lines.push(took("after the link came back", &by_link, healed));
    let by_back_off = stage.wait_right(&all(|case| case.heals == Heals::BackOff), addr, BY_BACK_OFF)?;
    lines.push(took("by the back-off", &by_back_off, healed));
    let resting = all(|case| matches!(case.heals, Heals::Reload | Heals::Trigger));
    unasked(stage, &resting, healed, "rest, yet asked before the owner said so")?;

    let reloaded = Instant::now();
    stage.reload_mended()?;
    let right = stage.wait_right(&all(|case| case.heals == Heals::Reload), addr, AT_ONCE)?;
    lines.push(took("after a reload with the right key", &right, reloaded));
    let resting = all(|case| case.heals == Heals::Trigger);
    unasked(stage, &resting, healed, "rest, yet asked after another's key was mended")?;

    let triggered = Instant::now();
    stage.trigger()?;
    let right = stage.wait_right(&resting, addr, AT_ONCE)?;
    lines.push(took("after `porchlight trigger`", &right, triggered));

    let well = Instant::now();
    stage.failing.clear();
    stage.pass(well + QUIET)?;
    ensure!(stage.look()?, "all is mended, yet status is not healthy: {:?}", stage.failing);
    for case in CASES {
        let (after, since) =
            (stage.count(case, well, well + WINDOW), stage.count(case, healed, well + WINDOW));
        ensure!(after.updates + after.https == 0, "{}: {after} after all was well", case.name);
        ensure!(since.updates <= 2 && since.https <= MOST, "{}: {since} since it was mended", case.name);
    }
    lines.push(format!("nothing was sent in the {} s after that", QUIET.as_secs()));
    stage.usage()
}

/// An error if one of these sent anything since then.
fn unasked(stage: &Stage, cases: &[&'static Case], since: Instant, what: &str) -> Result<()> {
    for case in cases {
        let count = stage.count(case, since, Instant::now());
        ensure!(count.requests() == 0, "{}: {what}: {count}", case.name);
    }
    Ok(())
}

fn took(what: &str, right: &[(&Case, Instant)], since: Instant) -> String {
    let told = right.iter().map(|(case, at)| format!("{} {:.1} s", case.name, (*at - since).as_secs_f64()));
    format!("good again {what}: {}", told.collect::<Vec<_>>().join(", "))
}

/// The lines on memory and threads.
fn memory(idle: Usage, first: Usage, last: Usage, end: Usage, wrong: &mut Vec<String>) -> Vec<String> {
    for (when, usage) in [("after two minutes", last), ("at the end", end)] {
        if usage.rss > first.rss + GROWN {
            wrong.push(format!("memory {when} is {} KiB, {} after the first tries", usage.rss, first.rss));
        }
    }
    if end.peak > idle.rss + PEAK {
        wrong.push(format!("memory had a peak of {} KiB, {} at the start", end.peak, idle.rss));
    }
    if end.threads != idle.threads {
        wrong.push(format!("{} threads at the end, {} at the start", end.threads, idle.threads));
    }
    let shown = |usage: Usage| format!("{} KiB, {} threads", usage.rss, usage.threads);
    vec![format!(
        "memory and threads: {} at the start; {} after the first tries; {} after two minutes; {} at the end; peak {} KiB",
        shown(idle),
        shown(first),
        shown(last),
        shown(end),
        end.peak
    )]
}

/// Secrets in what the agent said, at level debug.
fn leaks(stage: &Stage) -> Vec<String> {
    let said: String = stage.agent.lines().into_iter().map(|line| line.text + "\n").collect();
    let told: String = stage.failing.values().map(|failing| failing.text.as_str()).collect();
    let out = secrets().into_iter().filter(|secret| said.contains(secret) || told.contains(secret));
    out.map(|secret| format!("the secret {secret} was said")).collect()
}
