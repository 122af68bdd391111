//! What is published for many names: looked up beside each other, within one limit.

use super::net::{self, Work};
use super::readback::{self, Seen, Servers};
use crate::model::RecordId;
use crate::provider::{Failure, Kind};
use smol::future::{or, Future};
use smol::lock::Semaphore;
use smol::Timer;
use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

/// The most names that are looked up at a time.
const AT_ONCE: usize = 8;

/// What the name servers say of each record; nothing for an alias and for no address.
pub type Answers = Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>;

/// Looks all of them up. What was not told after `limit` is [`Kind::NotReady`]; when `healed` comes first, what
/// was not told by then is left out, for it is better asked anew.
pub async fn all(
    records: &[RecordId],
    servers: &Servers,
    limit: Duration,
    healed: impl Future<Output = ()>,
) -> Answers {
    let told = RefCell::new(Answers::new());
    let places = Semaphore::new(AT_ONCE);
    let one = |id| -> Work {
        let (told, places) = (&told, &places);
        Box::pin(async move {
            let _place = places.acquire().await;
            let answer = look(id, servers).await;
            told.borrow_mut().push((RecordId::clone(id), answer));
        })
    };
    let looks = net::all(records.iter().map(one).collect());
    let looks = async {
        looks.await;
        false
    };
    let late = async {
        Timer::after(limit).await;
        true
    };
    let healed = async {
        healed.await;
        false
    };
    let late = or(looks, or(healed, late)).await;
    let mut answers = told.take();
    if late {
        let missing = records.iter().filter(|id| !answers.iter().any(|(told, _)| told == *id));
        let text = format!("no answer within {} s", limit.as_secs());
        let missing = missing.map(|id| (id.clone(), Err(Failure::new(Kind::NotReady, text.clone()))));
        let missing: Answers = missing.collect();
        answers.extend(missing);
    }
    answers
}

async fn look(id: &RecordId, servers: &Servers) -> Result<Vec<IpAddr>, Failure> {
    match readback::look(&id.domain, id.family, servers).await?.agreed() {
        Seen::Address(addrs) => Ok(addrs),
        Seen::Absent | Seen::Alias(_) => Ok(Vec::new()),
        Seen::Unknown(why) => Err(Failure::new(Kind::Garbled, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use std::net::UdpSocket;
    use std::time::Instant;

    const NAMES: usize = 100;

    fn records() -> Vec<RecordId> {
        let id = |n| RecordId { record: "r".into(), domain: format!("n{n}.example.com"), family: Family::V4 };
        (0..NAMES).map(id).collect()
    }

    /// A resolver that takes every question and answers none.
    fn silent() -> (UdpSocket, Servers) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolvers = vec![socket.local_addr().unwrap()];
        (socket, Servers { resolvers, fixed: Vec::new(), port: 53 })
    }

    #[test]
    fn a_silent_resolver_holds_many_names_no_longer_than_the_limit() {
        let (_socket, servers) = silent();
        let start = Instant::now();
        let limit = Duration::from_millis(200);
        let answers = smol::block_on(all(&records(), &servers, limit, std::future::pending()));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert_eq!(answers.len(), NAMES);
        assert!(answers.iter().all(|(_, answer)| answer.as_ref().unwrap_err().kind == Kind::NotReady));
    }

    #[test]
    fn healing_ends_a_look_and_what_was_not_told_is_left_open() {
        let (_socket, servers) = silent();
        let limit = Duration::from_secs(60);
        assert!(smol::block_on(all(&records(), &servers, limit, async {})).is_empty());
    }

    #[test]
    fn all_are_told_though_few_at_a_time() {
        // No resolver at all: told at once.
        let servers = Servers { resolvers: Vec::new(), fixed: Vec::new(), port: 53 };
        let limit = Duration::from_secs(60);
        let answers = smol::block_on(all(&records(), &servers, limit, std::future::pending()));
        assert_eq!(answers.len(), NAMES);
        assert!(answers.iter().all(|(_, a)| a.as_ref().unwrap_err().text.contains("names no server")));
    }
}
