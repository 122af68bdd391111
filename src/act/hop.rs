//! Whether the next hop of a WAN answers: it itself, or somebody behind it. Asks, and changes nothing.

use super::net::{self, Work};
use super::{dns, nudge};
use crate::model::Family;
use crate::sense::netlink::dump;
use crate::wire::dns::TYPE_A;
use crate::wire::rtnl::{kind, Message, Neigh};
use smol::Timer;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The longest time for one question in DNS.
const QUESTION: Duration = Duration::from_secs(2);
/// The next one is asked beside those who are silent after this.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the neighbour table is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The kernel asks three times, a second each, for whom it does not know (arp(7)) ...
const UNKNOWN: Duration = Duration::from_millis(3500);
/// ... and waits for five seconds before that where it knew somebody.
const STALE: Duration = Duration::from_secs(9);

/// Who answers first: the next hop, as the kernel's neighbour table or a question to it shows; or one of `behind`, who is
/// asked for a name. `None`: nobody.
pub async fn answers(gateway: Option<IpAddr>, behind: &[SocketAddr], name: &str) -> Option<String> {
    let mut asks: Vec<(String, Work<bool>)> = Vec::new();
    if let Some(gateway) = gateway {
        let it = format!("the next hop {gateway}");
        asks.push((it.clone(), Box::pin(is_near(gateway))));
        asks.push((it, Box::pin(refuses(SocketAddr::new(gateway, dns::PORT)))));
    }
    for addr in behind {
        let there = async { dns::query(*addr, name, TYPE_A, true, QUESTION).await.is_ok() };
        asks.push((addr.ip().to_string(), Box::pin(there)));
    }
    let who = RefCell::new(None);
    net::race(asks.into_iter().map(|(name, there)| noted(name, there, &who)).collect(), PAUSE).await;
    who.into_inner()
}

/// The same, and who it is goes to `who` if he is there.
fn noted<'a>(name: String, there: Work<'a, bool>, who: &'a RefCell<Option<String>>) -> Work<'a, bool> {
    Box::pin(async move {
        let is_there = there.await;
        if is_there {
            who.replace(Some(name));
        }
        is_there
    })
}

/// Whether somebody takes or refuses a connection there.
async fn refuses(addr: SocketAddr) -> bool {
    let connected = net::connect("", &[addr], Instant::now() + QUESTION).await;
    connected.map_or_else(|failure| failure.text.contains("refused"), |_| true)
}

/// Whether the kernel hears it, from now on.
async fn is_near(gateway: IpAddr) -> bool {
    let start = Instant::now();
    loop {
        let _ = nudge::nudge(gateway);
        Timer::after(LOOK_EVERY).await;
        let mut found = None;
        let mut take = |message| match message {
            Message::Neigh(Neigh { addr, seen, .. }) if addr == gateway => found = Some(seen),
            _ => {}
        };
        if dump(kind::GETNEIGH, Some(Family::of(gateway)), &mut take).await.is_err() {
            return false;
        }
        let patience = match found.flatten() {
            Some(seen) => match seen.confirmed {
                Some(ago) if ago <= start.elapsed() => return true,
                // Heard lately, which is no proof, and the kernel does not ask again.
                Some(_) => UNKNOWN,
                None => STALE,
            },
            None => UNKNOWN,
        };
        if start.elapsed() > patience {
            return false;
        }
    }
}
