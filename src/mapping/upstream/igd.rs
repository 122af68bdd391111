//! UPnP with the router above us: a search, its description, and actions of the service that maps ports.

use crate::act::bound;
use crate::act::net::within;
use crate::plan::upstream::{Ask, Grant, Port, Report, UpstreamJob, LIFETIME};
use crate::wire::igd::{self, Action, Answer, Entry, Place, Service};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// How long answers to a search are waited for: one second more than they are asked to take (MX).
const SEARCH_WAIT: Duration = Duration::from_secs(3);
/// The longest time for one action.
const ACTION_WAIT: Duration = Duration::from_secs(5);
/// A datagram that is read; longer ones are cut.
const BUFFER: usize = 2048;
/// How many bytes are read at a time.
const CHUNK: usize = 2048;
/// How many other ports are tried where one is taken.
const OTHER_PORTS: u16 = 4;

/// Asks by UPnP. `None`: it is not spoken.
pub(super) async fn ask(job: &UpstreamJob, report: &mut Report) -> Option<()> {
    let known = job.service.clone();
    let mut found = match known {
        Some(service) => of(job, service).await,
        None => None,
    };
    if found.is_none() {
        found = look(job).await;
    }
    let (service, external) = found?;
    report.external = external;
    for grant in &job.drops {
        drop_one(job, &service, grant).await?;
        report.dropped.push(grant.port);
    }
    for one in &job.asks {
        match add(job, &service, one).await? {
            Ok((external, lifetime)) => report.granted.push((one.port, external, lifetime)),
            Err(fault) => report.refused.push((one.port, igd::refusal(fault).into())),
        }
    }
    report.service = Some(service);
    Some(())
}

/// A service, and its address outside, if it answers.
async fn of(job: &UpstreamJob, service: Service) -> Option<(Service, Option<Ipv4Addr>)> {
    match act(job, &service, Action::Address).await? {
        Answer::Done(told) => Some((service, igd::address(&told))),
        Answer::Fault(_) => None,
    }
}

/// Searches. Of several connections the first that has an address, else the first.
async fn look(job: &UpstreamJob) -> Option<(Service, Option<Ipv4Addr>)> {
    let place = search(job).await?;
    let (code, text) = talk(job, &place, &igd::describe(&place)).await?;
    let mut first = None;
    for service in igd::services(&text, &place).into_iter().filter(|_| code == 200) {
        if service.control.host.ip() != &job.place.gateway {
            continue;
        }
        match of(job, service).await {
            Some((service, Some(addr))) => return Some((service, Some(addr))),
            found => first = first.or(found),
        }
    }
    first
}

/// Searches, in the group and at the router itself, whose answer a packet filter lets in. What another one answers, or
/// what leads elsewhere, is passed over.
async fn search(job: &UpstreamJob) -> Option<Place> {
    let socket = Async::new(bound::udp(&job.device, job.place.local.into()).ok()?).ok()?;
    let question = igd::search();
    for to in [job.place.gateway, igd::GROUP] {
        let _ = socket.send_to(question.as_bytes(), (to, igd::PORT)).await;
    }
    let answer = async {
        let mut buffer = [0u8; BUFFER];
        loop {
            // The word that nobody listens there comes as an error, and says nothing of the group.
            let Ok((count, from)) = socket.recv_from(&mut buffer).await else { continue };
            let place = igd::location(buffer.get(..count).unwrap_or_default());
            let theirs = |place: &Place| {
                from.ip() == IpAddr::V4(job.place.gateway) && place.host.ip() == &job.place.gateway
            };
            if let Some(place) = place.filter(theirs) {
                return place;
            }
        }
    };
    within(Instant::now() + SEARCH_WAIT, answer).await
}

/// Makes or renews a mapping; where the port is another's, by another port. The inner error is the fault.
async fn add(job: &UpstreamJob, service: &Service, one: &Ask) -> Option<Result<(u16, u32), u16>> {
    let (proto, internal) = one.port;
    let (mut external, mut lifetime, mut others) = (one.external, LIFETIME, 1..=OTHER_PORTS);
    loop {
        let entry = Entry { proto, external, internal, client: job.place.local, lifetime };
        let fault = match act(job, service, Action::Add(entry)).await? {
            Answer::Done(_) => return Some(Ok((external, lifetime))),
            Answer::Fault(fault) => fault,
        };
        if fault == igd::ONLY_PERMANENT && lifetime != 0 {
            lifetime = 0;
            continue;
        }
        match others.next().filter(|_| igd::is_conflict(fault)) {
            Some(nth) => external = other_port(internal, nth),
            None => return Some(Err(fault)),
        }
    }
}

/// Another port outside for a port of ours: of the dynamic ones (RFC 6335 section 6), and always the same ones.
fn other_port(internal: u16, nth: u16) -> u16 {
    const FIRST: u16 = 49152;
    FIRST | internal.wrapping_mul(31).wrapping_add(nth.wrapping_mul(257))
}

/// Takes a mapping away, if it is ours. Nothing is taken away whose owner is not told.
async fn drop_one(job: &UpstreamJob, service: &Service, grant: &Grant) -> Option<()> {
    let (proto, _): Port = grant.port;
    if let Answer::Done(told) = act(job, service, Action::Get(proto, grant.external)).await? {
        if igd::client(&told) == Some(job.place.local) {
            act(job, service, Action::Delete(proto, grant.external)).await?;
        }
    }
    Some(())
}

async fn act(job: &UpstreamJob, service: &Service, action: Action) -> Option<Answer> {
    let (code, text) = talk(job, &service.control, &igd::ask(service, action)).await?;
    igd::answer(code, &text)
}

/// One request, and the whole answer.
async fn talk(job: &UpstreamJob, place: &Place, request: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = bound::tcp(&job.device, job.place.local.into(), place.host.into()).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let mut chunk = [0u8; CHUNK];
        while bytes.len() < igd::CAP {
            let count = stream.read(&mut chunk).await.unwrap_or(0);
            bytes.extend(chunk.get(..count)?);
            let whole = igd::body(&bytes, count == 0);
            if whole.is_some() || count == 0 {
                return whole;
            }
        }
        None
    };
    within(Instant::now() + ACTION_WAIT, exchange).await?
}
