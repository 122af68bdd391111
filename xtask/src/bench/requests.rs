//! How many requests it takes to bring many names of one zone up to date.

use super::clients::{host, Client, Service};
use super::measure::QUIET_DDCLIENT;
use super::proc::rest;
use super::table::{measured, Figure, Table, Unit};
use super::wan::Change;
use super::{names, Room};
use crate::lab::process::{until, Daemon};
use crate::peers::recorder::Seen;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

/// All names of one zone, one after the other over TLS.
const MANY_LIMIT: Duration = Duration::from_secs(120);

/// Requests for 1, 10 and 100 names of one zone that all changed: at the first pass, and at a later change.
///
/// # Errors
/// When a name is not up to date afterwards.
pub fn requests(room: &mut Room, clients: &[Client], table: &mut Table) -> Result<()> {
    for (service, title) in [(Service::Dyndns2, "dyndns2"), (Service::Cloudflare, "Cloudflare")] {
        for count in [1, 10, 100] {
            let mut rows: [BTreeMap<Client, Figure>; 3] = Default::default();
            for client in clients {
                for (row, value) in rows.iter_mut().zip(two_passes(room, *client, service, count)?) {
                    row.insert(*client, measured(value as f64));
                }
            }
            let plural = if count == 1 { "name" } else { "names" };
            let [first, later, writes] = rows;
            table.row(format!("{title}: requests for {count} {plural}, first pass"), Unit::Count, first);
            table.row("the same, a later change", Unit::Count, later);
            if service == Service::Cloudflare {
                table.row("of them writes", Unit::Count, writes);
            }
        }
    }
    table.notes.push(
        "Requests after which every name is right. Dyn takes 20 names in a request; ddclient sends all in one. inadyn takes \
         50 names in a section, so 100 are two sections."
            .into(),
    );
    Ok(())
}

/// Requests of the first pass, of the pass after a later change, and those of the latter that write.
fn two_passes(room: &mut Room, client: Client, service: Service, count: usize) -> Result<[usize; 3]> {
    let list = names(count);
    room.names.clear();
    room.cloud.reset(&list);
    if service == Service::Cloudflare {
        list.iter().for_each(|name| room.names.publish(name, Ipv4Addr::new(192, 0, 2, 1)));
    }
    room.recorder.take();
    let daemon = client.start(&room.files, service, &list)?;
    let first = one_pass(room, client, service, &daemon, count)?;
    thread::sleep(QUIET_DDCLIENT);
    room.wan.change(Change::Replaced)?;
    if client != Client::Porchlight {
        client.nudge(&room.files, &daemon)?;
    }
    let later = one_pass(room, client, service, &daemon, count)?;
    let writes = match service {
        Service::Cloudflare => later.iter().filter(|seen| seen.method != "GET").count(),
        Service::Dyndns2 => later.len(),
    };
    Ok([first.len(), later.len(), writes])
}

/// The requests until all names are right and the client is at rest.
fn one_pass(
    room: &Room,
    client: Client,
    service: Service,
    daemon: &Daemon,
    count: usize,
) -> Result<Vec<Seen>> {
    let addr = room.wan.address();
    let right = || match service {
        Service::Cloudflare => room.cloud.count(&addr.to_string()),
        Service::Dyndns2 => room.names.count(addr),
    };
    let what = format!("{} has all {count} names right at {}", client.name(), host(service));
    until(&what, MANY_LIMIT, || (right() == count).then_some(())).with_context(|| daemon.tail(20))?;
    rest(daemon.pid())?;
    Ok(room.recorder.take())
}
