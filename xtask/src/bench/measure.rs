//! The measurements of one name, each adding its lines to the table.

use super::clients::{Client, Service};
use super::proc::{memory, processor, programs, rest, system_calls};
use super::table::{measured, percentile, Figure, Table, Unit};
use super::wan::Change;
use super::{names, size, Room};
use crate::lab::process::{until, Daemon};
use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a client may take for its first update, or for one that it was told to make.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two changes: longer than our debounce, so that each is the first event after quiet; and longer than the
/// second within which ddclient makes no two updates.
const QUIET: Duration = Duration::from_millis(600);
pub(super) const QUIET_DDCLIENT: Duration = Duration::from_millis(2100);
/// Calls of ours that are shown, if there are any.
const SHOWN_CALLS: usize = 10;
/// Between the first update and what counts as idle.
const AFTER_UPDATE: Duration = Duration::from_secs(15);
/// More than one interval of the slowest.
const POLL_LIMIT: Duration = Duration::from_secs(90);

/// How many of everything.
pub struct Samples {
    ours: usize,
    inadyn: usize,
    ddclient: usize,
    redials: usize,
    polls: usize,
    passes: u32,
    idle: Duration,
}

impl Samples {
    /// The full measure, or one to try the bench itself.
    pub fn new(quick: bool) -> Samples {
        if quick {
            let idle = Duration::from_secs(10);
            Samples { ours: 20, inadyn: 20, ddclient: 5, redials: 10, polls: 1, passes: 10, idle }
        } else {
            let idle = Duration::from_secs(60);
            Samples { ours: 300, inadyn: 300, ddclient: 60, redials: 100, polls: 5, passes: 100, idle }
        }
    }

    fn of(&self, client: Client) -> usize {
        match client {
            Client::Porchlight => self.ours,
            Client::Inadyn => self.inadyn,
            Client::Ddclient => self.ddclient,
        }
    }

    /// For the remarks.
    pub fn told(&self) -> String {
        format!(
            "Samples: {} address changes for porchlight, {} for inadyn, {} for ddclient; {} redials ({} for \
             ddclient); {} changes found by polling, spread evenly over the interval; {} passes ({} of ddclient); {} idle \
             seconds. Times are from before the first step of the change to the first byte at the server, and in the \
             second figure to the whole request, with the TLS handshake.",
            self.ours,
            self.inadyn,
            self.ddclient,
            self.redials,
            self.redials / 5,
            self.polls,
            self.passes,
            self.passes / 10,
            self.idle.as_secs()
        )
    }
}

/// Sizes, memory and system calls of clients that have published and have nothing to do.
///
/// # Errors
/// When a client does not start or strace may not look.
pub fn at_rest(room: &mut Room, clients: &[Client], samples: &Samples, table: &mut Table) -> Result<()> {
    if clients.contains(&Client::Porchlight) {
        let fresh = before_https(room)? as f64;
        let row = BTreeMap::from([(Client::Porchlight, measured(fresh))]);
        table.row("resident memory, idle, before its first HTTPS request", Unit::Kibibytes, row);
    }
    let mut daemons = Vec::new();
    for client in clients {
        daemons.push((*client, started(room, *client)?));
    }
    let mut rows: [BTreeMap<Client, Figure>; 5] = Default::default();
    // Whatever a client still has to do after an update, it has done by then.
    thread::sleep(AFTER_UPDATE);
    for (client, daemon) in &daemons {
        rest(daemon.pid())?;
        let memory = memory(daemon.pid())?;
        let (own, all) = sizes(room, *client, daemon.pid())?;
        for (row, value) in rows.iter_mut().zip([own, all, memory.resident, memory.anonymous, memory.peak]) {
            row.insert(*client, measured(value as f64));
        }
    }
    let what = [
        "program on disk",
        "with all that it loads, but for the C library",
        "resident memory, idle, after an HTTPS update",
        "of it not backed by a file",
        "resident memory, peak of a TLS update",
    ];
    for (what, row) in what.into_iter().zip(rows) {
        table.row(what, Unit::Kibibytes, row);
    }
    let pids: Vec<u32> = daemons.iter().map(|(_, daemon)| daemon.pid()).collect();
    let calls = system_calls(&pids, samples.idle, &room.files.scratch)?;
    if let Some(((Client::Porchlight, _), calls)) = daemons.iter().zip(&calls).next() {
        for call in calls.iter().take(SHOWN_CALLS) {
            table.notes.push(format!("A call of an idle porchlight: `{call}`"));
        }
    }
    let counts = calls.iter().map(|calls| measured(calls.len() as f64));
    let row = daemons.iter().map(|(client, _)| *client).zip(counts).collect();
    table.row(format!("system calls in {} idle seconds", samples.idle.as_secs()), Unit::Count, row);
    for (client, daemon) in &mut daemons {
        ensure!(daemon.is_running(), "{} ended:\n{}", client.name(), daemon.tail(20));
    }
    Ok(())
}

/// Our resident memory in KiB while the WAN has no route, so that nothing was sent yet: TLS, whose code is half of the
/// program, is not touched before the first HTTPS request, nor ever with a provider that needs none.
fn before_https(room: &mut Room) -> Result<u64> {
    room.wan.route(false)?;
    let daemon = Client::Porchlight.start(&room.files, Service::Dyndns2, &names(1))?;
    thread::sleep(AFTER_UPDATE);
    until("porchlight is at rest", LIMIT, || rest(daemon.pid()).ok())?;
    let memory = memory(daemon.pid())?;
    drop(daemon);
    room.wan.route(true)?;
    Ok(memory.resident)
}

/// The program, and the program with everything that it loads, in KiB.
fn sizes(room: &Room, client: Client, pid: u32) -> Result<(u64, u64)> {
    let mut files: BTreeSet<PathBuf> = programs(pid)?;
    let own: PathBuf = match client {
        Client::Porchlight => room.files.program.clone(),
        Client::Inadyn => crate::peers::inadyn::PROGRAM.into(),
        Client::Ddclient => crate::peers::ddclient::PROGRAM.into(),
    };
    if client == Client::Ddclient {
        files.extend(perl_modules(&room.files.scratch)?);
    }
    files.insert(own.clone());
    let mut sum = 0;
    for file in &files {
        sum += size::of(file)?;
    }
    Ok((size::of(&own)? / 1024, sum / 1024))
}

/// The files that Perl reads for ddclient with TLS.
fn perl_modules(scratch: &Path) -> Result<Vec<PathBuf>> {
    let list = scratch.join("ddclient.inc");
    std::fs::write(
        scratch.join("BenchInc.pm"),
        "package BenchInc; END { open(my $f, '>', $ENV{BENCH_INC}); print $f \"$_\\n\" for grep { defined } values %INC } 1;",
    )?;
    let mut command = std::process::Command::new("perl");
    command
        .arg(format!("-I{}", scratch.display()))
        .args(["-MBenchInc", "-MIO::Socket::SSL", crate::peers::ddclient::PROGRAM, "-help"])
        .env("BENCH_INC", &list);
    crate::lab::process::run(&mut command, None, LIMIT)?;
    let text = std::fs::read_to_string(&list).context("perl told no modules")?;
    Ok(text.lines().map(PathBuf::from).filter(|path| path.is_file() && !path.starts_with(scratch)).collect())
}

/// Processor time of a pass that finds nothing to do.
///
/// # Errors
/// When a client sends something although nothing changed.
pub fn passes(room: &mut Room, clients: &[Client], samples: &Samples, table: &mut Table) -> Result<()> {
    let mut row = BTreeMap::new();
    for client in clients {
        let daemon = started(room, *client)?;
        rest(daemon.pid())?;
        let count = if *client == Client::Ddclient { samples.passes / 10 } else { samples.passes };
        let before = processor(daemon.pid())?;
        for _ in 0..count {
            client.nudge(&room.files, &daemon)?;
            rest(daemon.pid())?;
        }
        let used = processor(daemon.pid())? - before;
        let sent = room.recorder.take().len();
        ensure!(sent == 0, "{} sent {sent} requests although nothing changed", client.name());
        row.insert(*client, measured(used.as_secs_f64() * 1000.0 / f64::from(count)));
    }
    table.row("processor time of a pass that changes nothing", Unit::Milliseconds, row);
    table.notes.push(
        "A pass: ours is told by `porchlight trigger` (the daemon's time, without that of the command), inadyn by SIGUSR2, \
         ddclient by SIGHUP (with the `ip` that it starts)."
            .into(),
    );
    Ok(())
}

/// From the change of the address to the update request, woken at once.
///
/// # Errors
/// When an update does not come, or comes twice.
pub fn reactions(room: &mut Room, clients: &[Client], samples: &Samples, table: &mut Table) -> Result<()> {
    let mut rows: [BTreeMap<Client, Figure>; 6] = Default::default();
    for client in clients {
        let daemon = started(room, *client)?;
        let [first, whole] = timed(room, *client, &daemon, Change::Replaced, samples.of(*client))?;
        let redials = if *client == Client::Ddclient { samples.redials / 5 } else { samples.redials };
        let [redial, _] = timed(room, *client, &daemon, Change::Redialled, redials)?;
        let figures =
            [(&first, 0.5), (&first, 0.99), (&whole, 0.5), (&whole, 0.99), (&redial, 0.5), (&redial, 0.99)];
        for (row, (list, share)) in rows.iter_mut().zip(figures) {
            row.insert(*client, measured(percentile(list, share)));
        }
    }
    let what = [
        "address replaced to update on the wire, p50",
        "the same, p99",
        "address replaced to whole request at the server, p50",
        "the same, p99",
        "redial (address gone, new one, route) to update on the wire, p50",
        "the same, p99",
    ];
    for (what, row) in what.into_iter().zip(rows) {
        table.row(what, Unit::Milliseconds, row);
    }
    table.notes.push(
        "Woken: ours by the kernel itself with default settings; inadyn by SIGUSR2 and ddclient by SIGHUP, sent as soon as \
         the change is done, as a hook would."
            .into(),
    );
    Ok(())
}

/// Some changes: milliseconds to the first byte, and to the whole request.
fn timed(
    room: &mut Room,
    client: Client,
    daemon: &Daemon,
    change: Change,
    count: usize,
) -> Result<[Vec<f64>; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..count {
        rest(daemon.pid())?;
        thread::sleep(if client == Client::Ddclient { QUIET_DDCLIENT } else { QUIET });
        let stray = room.recorder.take().len();
        ensure!(stray == 0, "{} sent {stray} requests more than there were changes", client.name());
        let start = room.wan.change(change)?;
        if client != Client::Porchlight {
            client.nudge(&room.files, daemon)?;
        }
        let seen = update(room, room.wan.address(), LIMIT)
            .with_context(|| format!("{}: no update\n{}", client.name(), daemon.tail(20)))?;
        for (list, at) in times.iter_mut().zip([seen.0, seen.1]) {
            list.push(at.duration_since(start).as_secs_f64() * 1000.0);
        }
    }
    Ok(times)
}

/// Waits for the update to this address: its first byte and its end.
fn update(room: &Room, addr: Ipv4Addr, limit: Duration) -> Option<(Instant, Instant)> {
    let wanted = format!("myip={addr}");
    let seen = room.recorder.wait(limit, |seen| seen.query().split('&').any(|part| part == wanted))?;
    Some((seen.first_byte, seen.whole))
}

/// From the change to the update when nobody wakes the client, at its shortest interval.
///
/// # Errors
/// When an update does not come.
pub fn polling(room: &mut Room, clients: &[Client], samples: &Samples, table: &mut Table) -> Result<()> {
    let mut measured_row = BTreeMap::new();
    let mut computed_row = BTreeMap::new();
    for client in clients {
        let Some(interval) = client.interval() else { continue };
        let daemon = started(room, *client)?;
        let mut times = Vec::new();
        for number in 0..samples.polls {
            rest(daemon.pid())?;
            // Spread over the interval, as the update sets the phase.
            thread::sleep(interval.mul_f64((number as f64 + 0.5) / samples.polls as f64));
            room.recorder.take();
            let start = room.wan.change(Change::Replaced)?;
            let seen = update(room, room.wan.address(), POLL_LIMIT)
                .with_context(|| format!("{}: no update by polling\n{}", client.name(), daemon.tail(20)))?;
            times.push(seen.0.duration_since(start).as_secs_f64() * 1000.0);
        }
        measured_row.insert(*client, measured(percentile(&times, 0.5)));
        let value = interval.as_secs_f64() * 1000.0 * 0.99;
        computed_row.insert(*client, Figure { value, computed: true });
    }
    if !measured_row.is_empty() {
        table.row("the same by their own polling, p50", Unit::Milliseconds, measured_row);
        table.row("the same, p99 (from the interval)", Unit::Milliseconds, computed_row);
        table.notes.push(
            "Polling at the shortest interval that they allow: 30 s for inadyn (whose default is 120 s), 60 s for ddclient \
             (whose default is 300 s)."
                .into(),
        );
    }
    Ok(())
}

/// A client that has just published its one name.
fn started(room: &mut Room, client: Client) -> Result<Daemon> {
    room.names.clear();
    room.recorder.take();
    let mut daemon = client.start(&room.files, Service::Dyndns2, &names(1))?;
    if update(room, room.wan.address(), LIMIT).is_none() {
        let state = if daemon.is_running() { "runs" } else { "ended" };
        bail!("{} {state} and sent no first update:\n{}", client.name(), daemon.tail(20));
    }
    until("the client is at rest", LIMIT, || rest(daemon.pid()).ok())?;
    room.recorder.take();
    Ok(daemon)
}
