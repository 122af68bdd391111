//! `cargo xtask bench`: one table, ours side by side with inadyn and ddclient at their fastest settings, measured
//! in one sealed room, one after the other on the same machine, so that the ratios hold even where the figures
//! do not.

mod clients;
mod cloudflare;
pub mod counts;
mod measure;
mod proc;
mod requests;
pub mod size;
mod table;
mod wan;
pub mod weight;

use crate::lab::{seal, tools};
use crate::peers::names::{Names, ZONE};
use crate::peers::recorder::{Authority, Recorder, Seen};
use crate::peers::{room, TRUST};
use anyhow::{bail, Context, Result};
use clients::{Client, Files};
use cloudflare::Cloud;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use wan::Wan;

/// The hidden subcommand of the sealed part.
pub const SEALED: &str = "__bench";
/// The whole bench, at the longest.
const LIMIT: Duration = Duration::from_secs(3600);

const HELP: &str = "cargo xtask bench [--quick] [--json FILE] [--program FILE] [--only NAME[,NAME]]
       cargo xtask bench --check-size
       cargo xtask bench --providers

  --quick        fewer samples and ten idle seconds instead of sixty: to try it, not to quote it
  --json FILE    the same figures for programs
  --program FILE this program instead of a new static release build
  --only NAMES   of porchlight, inadyn, ddclient
  --check-size   only build, and compare with budget.toml; fails when over
  --providers    only the requests that each provider makes, and the bytes of its row";

/// What was asked for.
struct Order {
    quick: bool,
    check_size: bool,
    providers: bool,
    json: Option<PathBuf>,
    program: Option<PathBuf>,
    clients: Vec<Client>,
}

/// The room: the WAN, the services, the names, the clients' files.
pub struct Room {
    /// The device whose address changes.
    pub wan: Wan,
    /// Every request.
    pub recorder: Recorder,
    /// The stand-in for Cloudflare.
    pub cloud: Arc<Cloud>,
    /// What the name server says.
    pub names: Names,
    /// Where the clients live.
    pub files: Files,
}

/// Runs the task.
///
/// # Errors
/// When something cannot be built or the room not be made.
pub fn main(args: &[String]) -> Result<i32> {
    let Some(order) = order(args)? else {
        println!("{HELP}");
        return Ok(0);
    };
    if order.providers {
        print!("{}", counts::markdown(&counts::all()?));
        weight::print();
        return Ok(0);
    }
    let program = match &order.program {
        Some(program) => program.canonicalize().with_context(|| program.display().to_string())?,
        None => size::build()?,
    };
    if order.check_size {
        size::check(&program)?;
        return Ok(0);
    }
    tools::require(&[&crate::peers::TOOLS[..], &["strace"]].concat(), true)?;
    // The last one of an option counts.
    let mut again: Vec<OsString> = vec![SEALED.into()];
    again.extend(args.iter().map(OsString::from));
    again.extend(["--program".into(), program.into()]);
    if let Some(path) = order.json {
        again.extend(["--json".into(), path.into()]);
    }
    Ok(seal::exit_code(seal::run(&again, LIMIT, None)?))
}

/// The sealed part.
///
/// # Errors
/// When something cannot be measured; the text says what is missing.
pub fn sealed(args: &[String]) -> Result<i32> {
    let order = order(args)?.context("no order")?;
    let mut room = Room::furnish(order.program.clone().context("no program")?)?;
    let mut titles = BTreeMap::new();
    for client in &order.clients {
        titles.insert(*client, client.title(&room.files)?);
    }
    let table = measure(&mut room, &order)?;
    let counts = counts::all()?;
    print!("{}{}", table.markdown(&titles), counts::markdown(&counts));
    if let Some(path) = &order.json {
        let mut all = table.json(&titles);
        all["providers"] = counts::to_json(&counts);
        let text = serde_json::to_string_pretty(&all)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(0)
}

fn measure(room: &mut Room, order: &Order) -> Result<Table> {
    let mut table = Table::default();
    let clients = &order.clients;
    let samples = measure::Samples::new(order.quick);
    measure::at_rest(room, clients, &samples, &mut table)?;
    measure::passes(room, clients, &samples, &mut table)?;
    measure::reactions(room, clients, &samples, &mut table)?;
    measure::polling(room, clients, &samples, &mut table)?;
    requests::requests(room, clients, &mut table)?;
    table.notes.push(samples.told());
    Ok(table)
}

fn order(args: &[String]) -> Result<Option<Order>> {
    let mut order = Order {
        quick: false,
        check_size: false,
        providers: false,
        json: None,
        program: None,
        clients: Client::ALL.to_vec(),
    };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => order.quick = true,
            "--check-size" => order.check_size = true,
            "--providers" => order.providers = true,
            "--json" => order.json = Some(absolute(value()?)?),
            "--program" => order.program = Some(value()?.into()),
            "--only" => order.clients = clients_by_name(value()?)?,
            "--help" => return Ok(None),
            _ => bail!("unknown: {word}\n{HELP}"),
        }
    }
    Ok(Some(order))
}

fn clients_by_name(names: &str) -> Result<Vec<Client>> {
    let one = |name: &str| {
        let found = Client::ALL.into_iter().find(|client| client.name() == name);
        found.with_context(|| format!("--only: no client is called {name}"))
    };
    names.split(',').map(one).collect()
}

fn absolute(path: &str) -> Result<PathBuf> {
    Ok(std::path::absolute(Path::new(path))?)
}

impl Room {
    fn furnish(program: PathBuf) -> Result<Room> {
        let scratch = room::enter()?;
        // As on a router: from a file in pages, not in the large folios that a disk's cache may hold (docs/size.md).
        let here = scratch.join("program");
        fs::copy(&program, &here).with_context(|| format!("cannot copy {}", program.display()))?;
        let program = here;
        let names = Names::serve()?;
        let authority = Authority::new()?;
        authority.write_pem(&scratch.join(TRUST))?;
        let cloud = Arc::new(Cloud::default());
        let (told, answering) = (names.clone(), cloud.clone());
        let answer = move |seen: &Seen| {
            if seen.header("host") == Some(cloudflare::HOST) {
                answering.answer(seen)
            } else {
                dyndns2(seen, &told)
            }
        };
        let recorder = Recorder::start(IpAddr::V4(Ipv4Addr::LOCALHOST), authority, Arc::new(answer))?;
        Ok(Room { wan: Wan::create()?, recorder, cloud, names, files: Files { scratch, program } })
    }
}

/// A dyndns2 server: publishes, and answers `good` once for each name.
fn dyndns2(seen: &Seen, names: &Names) -> (u16, String) {
    let value = |name: &str| {
        seen.query()
            .split('&')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    };
    let (Some(hosts), Some(Ok(addr))) = (value("hostname"), value("myip").map(str::parse::<Ipv4Addr>)) else {
        return (200, "notfqdn\n".into());
    };
    let hosts = hosts.replace("%2C", ",");
    let mut reply = String::new();
    for host in hosts.split(',') {
        names.publish(host, addr);
        reply += &format!("good {addr}\n");
    }
    (200, reply)
}

/// The first `count` names of the zone.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("cam{number}.{ZONE}")).collect()
}
