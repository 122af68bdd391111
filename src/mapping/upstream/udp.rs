//! PCP (RFC 6887) and NAT-PMP (RFC 6886) with the router above us: one datagram there, one back.

use crate::act::bound;
use crate::act::net::within;
use crate::plan::upstream::{Port, Report, UpstreamJob, LIFETIME};
use crate::wire::natpmp::{self, Given};
use crate::wire::pcp;
use smol::Async;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// How long an answer is waited for after the first and each further sending (RFC 6886 section 3.1, cut short: it is the
/// next hop).
const WAITS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];
/// Larger than any answer that is read.
const BUFFER: usize = 1200;
/// Ports below this are not asked for by NAT-PMP. One that is denied makes miniupnpd walk through all others, and it
/// answers nobody meanwhile.
const UNPRIVILEGED: u16 = 1024;

/// Asks by PCP. `None`: it is not spoken, or there is nothing to ask by it (the address is told with a mapping only).
pub(super) async fn pcp(job: &UpstreamJob, report: &mut Report) -> Option<()> {
    let line = Line::open(job)?;
    if job.asks.is_empty() && job.drops.is_empty() {
        return announced(job, &line, report).await;
    }
    let local = job.place.local;
    for Wish { port, external, lifetime } in wishes(job) {
        let (proto, internal) = port;
        let question = pcp::map(local, job.nonce, proto, (internal, external), lifetime);
        let answer = line.pcp(&question, Some(port)).await?;
        report.epoch = Some(answer.epoch);
        if lifetime == 0 {
            report.dropped.push(port);
            continue;
        }
        let Some(mapping) = answer.mapping else { continue };
        // A refusal has it too, where the router has none but a private one.
        report.external = mapping.address.or(report.external);
        match answer.result {
            0 => report.granted.push((port, mapping.external, answer.lifetime)),
            result => report.refused.push((port, pcp::refusal(result).into())),
        }
    }
    if job.asks.is_empty() {
        report.external = job.external;
    }
    Some(())
}

/// Nothing is open here: whether PCP is spoken, and the address as NAT-PMP tells it, which mostly is spoken too.
async fn announced(job: &UpstreamJob, line: &Line, report: &mut Report) -> Option<()> {
    let answer = line.pcp(&pcp::announce(job.place.local), None).await?;
    (report.epoch, report.external) = (Some(answer.epoch), job.external);
    let told = line.natpmp(&natpmp::address(), &|answer| answer.about.is_none()).await;
    if let Some(Given::Address(addr)) = told.map(|answer| answer.given) {
        report.external = Some(addr).filter(|addr| !addr.is_unspecified());
    }
    Some(())
}

/// Asks by NAT-PMP. `None`: it is not spoken.
pub(super) async fn natpmp(job: &UpstreamJob, report: &mut Report) -> Option<()> {
    let line = Line::open(job)?;
    let answer = line.natpmp(&natpmp::address(), &|answer| answer.about.is_none()).await?;
    report.epoch = Some(answer.epoch).filter(|epoch| *epoch != 0);
    if let Given::Address(addr) = answer.given {
        report.external = Some(addr).filter(|addr| !addr.is_unspecified());
    }
    for Wish { port, external, lifetime } in wishes(job) {
        let (proto, ours) = port;
        let goes = lifetime == 0;
        if ours < UNPRIVILEGED && !goes {
            let why = format!("NAT-PMP has no ports below {UNPRIVILEGED} (option src_dport)");
            report.refused.push((port, why));
            continue;
        }
        let about = |answer: &natpmp::Answer| match answer.given {
            Given::Mapping { internal, .. } => answer.about == Some(proto) && (goes || internal == ours),
            _ => answer.about == Some(proto),
        };
        let answer = line.natpmp(&natpmp::map(proto, ours, external, lifetime), &about).await?;
        match answer.given {
            _ if goes => report.dropped.push(port),
            Given::Mapping { external, lifetime, .. } => report.granted.push((port, external, lifetime)),
            _ => report.refused.push((port, natpmp::refusal(answer.result).into())),
        }
    }
    Some(())
}

/// What is to become of a port.
struct Wish {
    port: Port,
    /// Outside.
    external: u16,
    /// In seconds; 0: it goes.
    lifetime: u32,
}

/// All that a job wants: first what goes.
fn wishes(job: &UpstreamJob) -> Vec<Wish> {
    let mut all = Vec::new();
    for grant in &job.drops {
        all.push(Wish { port: grant.port, external: 0, lifetime: 0 });
    }
    for ask in &job.asks {
        all.push(Wish { port: ask.port, external: ask.external, lifetime: LIFETIME });
    }
    all
}

/// A socket that hears the router alone.
struct Line(Async<UdpSocket>);

impl Line {
    fn open(job: &UpstreamJob) -> Option<Line> {
        let socket = bound::udp(&job.device, job.place.local.into()).ok()?;
        socket.connect((job.place.gateway, natpmp::PORT)).ok()?;
        Some(Line(Async::new(socket).ok()?))
    }

    /// The answer that concerns this port, or an ANNOUNCE. `None`: there is none, or PCP is not spoken.
    async fn pcp(&self, question: &[u8], port: Option<Port>) -> Option<pcp::Answer> {
        let fits = |bytes: &[u8]| {
            let answer = pcp::parse(bytes);
            let of = answer.and_then(|answer| answer.mapping);
            let nonce = question.get(24..36);
            let same = |port: Port| {
                of.is_some_and(|of| {
                    of.proto == Some(port.0) && of.internal == port.1 && nonce == Some(&of.nonce[..])
                })
            };
            let ours = answer.is_some() && port.map_or(of.is_none(), same);
            ours || pcp::is_other_version(bytes)
        };
        let bytes = self.exchange(question, &fits).await?;
        // Version 1 of the results: it speaks an older one.
        pcp::parse(&bytes).filter(|answer| answer.result != 1)
    }

    async fn natpmp(
        &self,
        question: &[u8],
        about: &dyn Fn(&natpmp::Answer) -> bool,
    ) -> Option<natpmp::Answer> {
        let fits = |bytes: &[u8]| natpmp::parse(bytes).is_some_and(|answer| about(&answer));
        natpmp::parse(&self.exchange(question, &fits).await?)
    }

    /// Sends, again where nothing comes. `None`: no answer; the kernel's word that nobody listens there ends it.
    async fn exchange(&self, question: &[u8], fits: &dyn Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        for wait in WAITS {
            self.0.send(question).await.ok()?;
            let until = Instant::now() + wait;
            let answer = within(until, async {
                let mut buffer = [0u8; BUFFER];
                loop {
                    let count = self.0.recv(&mut buffer).await.ok()?;
                    let bytes = buffer.get(..count)?;
                    if fits(bytes) {
                        return Some(bytes.to_vec());
                    }
                }
            });
            if let Some(answer) = answer.await {
                return answer;
            }
        }
        None
    }
}
