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
    let who = RefCell::new(None);
    let mut ways: Vec<Work<bool>> = Vec::new();
    if let Some(gateway) = gateway {
        let who = &who;
        ways.push(Box::pin(async move {
            let near = is_near(gateway).await;
            if near {
                *who.borrow_mut() = Some(format!("the next hop {gateway}"));
            }
            near
        }));
    }
    if let Some(gateway) = gateway {
        let who = &who;
        ways.push(Box::pin(async move {
            let there = refuses(SocketAddr::new(gateway, dns::PORT)).await;
            if there {
                *who.borrow_mut() = Some(format!("the next hop {gateway}"));
            }
            there
        }));
    }
    for addr in behind {
        let (who, addr) = (&who, *addr);
        ways.push(Box::pin(async move {
            let there = dns::query(addr, name, TYPE_A, true, QUESTION).await.is_ok();
            if there {
                *who.borrow_mut() = Some(addr.ip().to_string());
            }
            there
        }));
    }
    net::race(ways, PAUSE).await;
    who.into_inner()
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
