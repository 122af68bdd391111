//! What is published: every name server of the zone is asked, and only authoritative answers count.
//! `look` asks once, `confirm` asks until a new address is to be seen everywhere. Neither ever writes.

use super::dns;
use super::net::{self, Work};
use crate::model::Family;
use crate::provider::{Failure, Kind};
use crate::wire::dns::{self as wire, Data, Message, Rr};
use smol::Timer;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The most name servers of a zone, and the most resolvers, that are asked.
pub const MAX_SERVERS: usize = 8;
/// The most addresses of one name server that are tried.
const MAX_ADDRS: usize = 4;
/// The most labels by which the search for the zone goes up.
const MAX_STEPS: usize = 16;
/// The time for one question.
const ONE_QUESTION: Duration = Duration::from_secs(3);
/// A resolver that is silent for so long has the next one asked beside it.
const SILENCE: Duration = Duration::from_millis(250);
/// When `confirm` looks first: most servers are that quick.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// The wait after that, doubled each time up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two looks.
const LAST_WAIT: Duration = Duration::from_secs(60);
/// Beyond this many looks what cannot come right ends the wait: an alias, or intercepted questions.
const PATIENCE: usize = 3;
/// What is said of an answer without authority.
pub const NO_AUTHORITY: &str = "answered without authority (port 53 may be intercepted on the way)";

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The system's resolvers, to find the zone's name servers. See [`resolvers`].
    pub resolvers: Vec<SocketAddr>,
    /// Name servers that the owner gave; if there are any, no others are looked for.
    pub fixed: Vec<SocketAddr>,
    /// The port of name servers that are looked for: [`dns::PORT`].
    pub port: u16,
}

/// What one name server says, or what all of them agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// These addresses, in order.
    Address(Vec<IpAddr>),
    /// The name is an alias (CNAME) of this one.
    Alias(String),
    /// No address of this family.
    Absent,
    /// It could not be told, and why.
    Unknown(String),
}

/// What each name server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// By the name server's name, or its address where the owner gave it.
    pub servers: Vec<(String, Seen)>,
}

/// An address was seen at all name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Since the question was put.
    pub took: Duration,
    /// How many name servers have it.
    pub servers: usize,
}

impl Published {
    /// What the servers that could tell agree on; unknown if they do not, or if none could tell.
    pub fn agreed(&self) -> Seen {
        let mut known = self.servers.iter().filter(|(_, seen)| !matches!(seen, Seen::Unknown(_)));
        match known.next() {
            Some((_, first)) if known.all(|(_, seen)| seen == first) => first.clone(),
            Some(_) => Seen::Unknown(format!("the name servers disagree: {}", self.told(None))),
            None => Seen::Unknown(self.told(None)),
        }
    }

    /// True if every server says exactly this address.
    pub fn is_everywhere(&self, addr: IpAddr) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|(_, seen)| is_exactly(seen, addr))
    }

    /// The servers and what they say, in words; without those that say `but`.
    fn told(&self, but: Option<IpAddr>) -> String {
        let others = self.servers.iter().filter(|(_, seen)| !but.is_some_and(|addr| is_exactly(seen, addr)));
        others.map(|(name, seen)| format!("{name} {seen}")).collect::<Vec<_>>().join(", ")
    }

    /// True if waiting will not help: the name is an alias everywhere, or the questions are intercepted.
    fn is_hopeless(&self) -> bool {
        let alias = |seen: &Seen| matches!(seen, Seen::Alias(_));
        let intercepted = |seen: &Seen| matches!(seen, Seen::Unknown(text) if text == NO_AUTHORITY);
        self.servers.iter().all(|(_, seen)| alias(seen))
            || self.servers.iter().all(|(_, seen)| intercepted(seen))
    }
}

/// True if this is what was seen, and nothing beside it.
fn is_exactly(seen: &Seen, addr: IpAddr) -> bool {
    matches!(seen, Seen::Address(addrs) if *addrs == [addr])
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Seen::Address(addrs) => {
                f.write_str("has ")?;
                for (at, addr) in addrs.iter().enumerate() {
                    write!(f, "{}{addr}", if at == 0 { "" } else { " and " })?;
                }
                Ok(())
            }
            Seen::Alias(target) => write!(f, "has an alias (CNAME) of {target}"),
            Seen::Absent => f.write_str("has no address"),
            Seen::Unknown(why) => f.write_str(why),
        }
    }
}

/// The servers that a resolver file names (`resolv.conf(5)`), at most [`MAX_SERVERS`].
/// A link-local address needs a numeric zone (`fe80::1%3`).
pub fn resolvers(text: &str) -> Vec<SocketAddr> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(addr)) = (words.next(), words.next()) else {
            return None;
        };
        format!("[{addr}]:53")
            .parse()
            .ok()
            .or_else(|| addr.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, dns::PORT)))
    };
    text.lines().filter_map(line).take(MAX_SERVERS).collect()
}

/// What is published now for one name and family.
///
/// # Errors
/// [`Kind::NotReady`] without route or resolver, [`Kind::NoSuchName`] when there is no zone for it.
pub async fn look(domain: &str, family: Family, servers: &Servers) -> Result<Published, Failure> {
    let found = name_servers(domain, servers).await?;
    Ok(ask_all(domain, family, &found).await)
}

/// Waits until all name servers of the zone have exactly this address: looks after 0.1 s, then 1, 2, 4 ... 60 s
/// after the look before, for at most `limit`. Dropping the future ends it.
///
/// # Errors
/// [`Kind::Unconfirmed`] with what the servers say instead.
pub async fn confirm(
    domain: &str,
    addr: IpAddr,
    servers: &Servers,
    limit: Duration,
) -> Result<Confirmed, Failure> {
    let start = Instant::now();
    let family = Family::of(addr);
    let mut found = Vec::new();
    let mut wait = FIRST_LOOK;
    let mut looks = 0;
    loop {
        Timer::after(wait.min(limit.saturating_sub(start.elapsed()))).await;
        looks += 1;
        let mut hopeless = false;
        let reason = match found_or_find(&mut found, domain, servers).await {
            Err(failure) => failure.words(),
            Ok(()) => {
                let published = ask_all(domain, family, &found).await;
                if published.is_everywhere(addr) {
                    return Ok(Confirmed { took: start.elapsed(), servers: found.len() });
                }
                hopeless = looks >= PATIENCE && published.is_hopeless();
                published.told(Some(addr))
            }
        };
        if hopeless || start.elapsed() >= limit {
            let text =
                format!("{domain} {} {addr} is not to be seen at all name servers: {reason}", family.rtype());
            return Err(Failure::new(Kind::Unconfirmed, text));
        }
        wait = if looks == 1 { FIRST_WAIT } else { (wait * 2).min(LAST_WAIT) };
    }
}

/// Looks for the name servers if they are not known yet.
async fn found_or_find(found: &mut Vec<NameServer>, domain: &str, servers: &Servers) -> Result<(), Failure> {
    if found.is_empty() {
        *found = name_servers(domain, servers).await?;
    }
    Ok(())
}

/// A name server of the zone.
struct NameServer {
    name: String,
    addrs: Vec<SocketAddr>,
}

/// The name servers of the zone that holds `domain`, never none. Those that this machine has no route to are left out.
async fn name_servers(domain: &str, servers: &Servers) -> Result<Vec<NameServer>, Failure> {
    if !servers.fixed.is_empty() {
        let one = |addr: &SocketAddr| NameServer { name: addr.to_string(), addrs: vec![*addr] };
        return Ok(servers.fixed.iter().take(MAX_SERVERS).map(one).collect());
    }
    let names = zone_servers(domain, &servers.resolvers).await?;
    let mut found: Vec<_> = names.into_iter().map(|name| NameServer { name, addrs: Vec::new() }).collect();
    let mut works: Vec<Work> = Vec::new();
    for server in &mut found {
        works.push(Box::pin(async { server.addrs = addresses(&server.name, servers).await }));
    }
    net::all(works).await;
    let in_reach =
        |server: &NameServer| server.addrs.is_empty() || server.addrs.iter().any(|addr| net::routed(*addr));
    found.retain(in_reach);
    if found.iter().all(|server| server.addrs.is_empty()) {
        return Err(Failure::new(
            Kind::NotReady,
            format!("no name server of {domain} can be reached from here"),
        ));
    }
    Ok(found)
}

/// The names of the zone's name servers: goes up from `domain` until a name has some.
async fn zone_servers(domain: &str, resolvers: &[SocketAddr]) -> Result<Vec<String>, Failure> {
    let mut zone = domain.trim_end_matches('.').to_string();
    for _ in 0..MAX_STEPS {
        let answer = ask_resolvers(&zone, wire::TYPE_NS, resolvers).await?;
        let names: Vec<_> =
            answer.answers.iter().filter_map(|rr| name_server_of(rr, &zone)).take(MAX_SERVERS).collect();
        if !names.is_empty() {
            return Ok(names);
        }
        // An empty answer's SOA names the zone; behind an alias it would be another zone's.
        let told =
            answer.authority.iter().filter(|rr| rr.rtype == wire::TYPE_SOA && answer.answers.is_empty());
        let told = told.map(|rr| rr.name.clone()).find(|name| is_below(&zone, name));
        zone = match told.or_else(|| zone.split_once('.').map(|(_, parent)| parent.to_string())) {
            Some(parent) if !parent.is_empty() => parent,
            _ => break,
        };
    }
    Err(Failure::new(Kind::NoSuchName, format!("no zone was found for {domain}; check its spelling")))
}

/// The name in an NS record of this zone.
fn name_server_of(rr: &Rr, zone: &str) -> Option<String> {
    match &rr.data {
        Data::Name(name) if rr.rtype == wire::TYPE_NS && wire::same_name(&rr.name, zone) => {
            Some(name.clone())
        }
        _ => None,
    }
}

/// True if `name` lies below `parent`, which is not the root.
fn is_below(name: &str, parent: &str) -> bool {
    let head = name.len().checked_sub(parent.len()).and_then(|at| name.get(..at).zip(name.get(at..)));
    head.is_some_and(|(head, tail)| {
        !parent.is_empty() && head.ends_with('.') && tail.eq_ignore_ascii_case(parent)
    })
}

/// A name server's addresses, as the resolvers tell; none if they do not.
async fn addresses(name: &str, servers: &Servers) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    for family in Family::BOTH {
        if let Ok(answer) = ask_resolvers(name, rtype(family), &servers.resolvers).await {
            addrs.extend(
                answer.answers.iter().filter_map(address).map(|ip| SocketAddr::new(ip, servers.port)),
            );
        }
    }
    addrs.truncate(MAX_ADDRS);
    addrs
}

/// The first answer of a resolver that says something. Each is asked when the one before it failed, or has
/// been silent for [`SILENCE`].
async fn ask_resolvers(name: &str, rtype: u16, resolvers: &[SocketAddr]) -> Result<Message, Failure> {
    let answer = RefCell::new(Err("the resolver file names no server".to_string()));
    let way = |resolver: &SocketAddr| -> Work<bool> {
        let (resolver, answer) = (*resolver, &answer);
        Box::pin(async move {
            let told = ask_resolver(name, rtype, resolver).await;
            let good = told.is_ok();
            *answer.borrow_mut() = told;
            good
        })
    };
    net::race(resolvers.iter().take(MAX_SERVERS).map(way).collect(), SILENCE).await;
    let failure = |why| Failure::new(Kind::NotReady, format!("{name} could not be looked up: {why}"));
    answer.into_inner().map_err(failure)
}

/// One resolver's answer, or in words why it says nothing.
async fn ask_resolver(name: &str, rtype: u16, resolver: SocketAddr) -> Result<Message, String> {
    match dns::query(resolver, name, rtype, true, ONE_QUESTION).await {
        Ok(answer) if matches!(answer.rcode(), wire::RCODE_NOERROR | wire::RCODE_NXDOMAIN) => Ok(answer),
        Ok(answer) => Err(format!("resolver {resolver} {}", refusal(answer.rcode()))),
        Err(failure) => Err(failure.words()),
    }
}

/// Asks all name servers at once.
async fn ask_all(domain: &str, family: Family, found: &[NameServer]) -> Published {
    let nothing = |server: &NameServer| (server.name.clone(), Seen::Absent);
    let mut servers: Vec<_> = found.iter().map(nothing).collect();
    let mut works: Vec<Work> = Vec::new();
    for ((_, told), server) in servers.iter_mut().zip(found) {
        works.push(Box::pin(async { *told = ask_one(domain, family, &server.addrs).await }));
    }
    net::all(works).await;
    Published { servers }
}

/// Asks one name server at its addresses in turn, until one can tell.
async fn ask_one(domain: &str, family: Family, addrs: &[SocketAddr]) -> Seen {
    let mut last = Seen::Unknown("has no known address".into());
    for addr in addrs.iter().filter(|addr| net::routed(**addr)) {
        last = match dns::query(*addr, domain, rtype(family), false, ONE_QUESTION).await {
            Ok(answer) => read_answer(&answer, domain, family),
            Err(_) => Seen::Unknown("did not answer".into()),
        };
        if !matches!(last, Seen::Unknown(_)) {
            break;
        }
    }
    last
}

/// What an answer of a name server says.
fn read_answer(answer: &Message, domain: &str, family: Family) -> Seen {
    if !matches!(answer.rcode(), wire::RCODE_NOERROR | wire::RCODE_NXDOMAIN) {
        return Seen::Unknown(refusal(answer.rcode()));
    }
    if !answer.is_authoritative() {
        return Seen::Unknown(NO_AUTHORITY.into());
    }
    let own = || answer.answers.iter().filter(|rr| wire::same_name(&rr.name, domain));
    let alias = own().find_map(|rr| match &rr.data {
        Data::Name(target) if rr.rtype == wire::TYPE_CNAME => Some(target.clone()),
        _ => None,
    });
    if let Some(target) = alias {
        return Seen::Alias(target);
    }
    let mut addrs: Vec<_> = own().filter_map(address).filter(|addr| Family::of(*addr) == family).collect();
    addrs.sort();
    addrs.dedup();
    if addrs.is_empty() {
        return Seen::Absent;
    }
    Seen::Address(addrs)
}

/// The address in an A or AAAA record.
fn address(rr: &Rr) -> Option<IpAddr> {
    match rr.data {
        Data::A(addr) => Some(addr.into()),
        Data::Aaaa(addr) => Some(addr.into()),
        _ => None,
    }
}

/// The record type of a family.
fn rtype(family: Family) -> u16 {
    match family {
        Family::V4 => wire::TYPE_A,
        Family::V6 => wire::TYPE_AAAA,
    }
}

/// A response code in words.
pub(crate) fn refusal(rcode: u8) -> String {
    match rcode {
        wire::RCODE_SERVFAIL => "answered that it failed (SERVFAIL)".into(),
        wire::RCODE_REFUSED => "refused to answer (REFUSED)".into(),
        other => format!("answered with code {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolver_files() {
        let text =
            "# by netifd\nsearch lan\nnameserver 127.0.0.1\n nameserver\t2001:db8::1 # x\nnameserver x\n\
            nameserver fe80::1%3\noptions ndots:1\nnameserver";
        let found: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1:53", "[2001:db8::1]:53", "[fe80::1%3]:53"]);
        assert_eq!(resolvers(&"nameserver 192.0.2.1\n".repeat(20)).len(), MAX_SERVERS);
        assert!(resolvers("").is_empty());
    }

    #[test]
    fn below_means_below() {
        assert!(is_below("a.Example.com", "example.COM") && is_below("x.com", "com"));
        assert!(
            !is_below("badexample.com", "example.com") && !is_below("com", "com") && !is_below("com", "")
        );
        assert!(!is_below("com", "example.com"));
    }

    #[test]
    fn agreement() {
        let addr: IpAddr = "192.0.2.1".parse().unwrap();
        let of = |seen: &[Seen]| Published {
            servers: seen.iter().map(|s| ("ns".to_string(), s.clone())).collect(),
        };
        let here = Seen::Address(vec![addr]);
        let unknown = Seen::Unknown("did not answer".into());
        assert_eq!(of(&[here.clone(), here.clone()]).agreed(), here);
        assert_eq!(of(&[here.clone(), unknown.clone()]).agreed(), here);
        assert!(
            !of(&[here.clone(), unknown.clone()]).is_everywhere(addr)
                && of(std::slice::from_ref(&here)).is_everywhere(addr)
        );
        assert!(
            matches!(of(&[here.clone(), Seen::Absent]).agreed(), Seen::Unknown(text) if text.contains("disagree"))
        );
        assert_eq!(of(std::slice::from_ref(&unknown)).agreed(), Seen::Unknown("ns did not answer".into()));
        assert!(!of(&[]).is_everywhere(addr));
        let two = Seen::Address(vec![addr, "192.0.2.2".parse().unwrap()]);
        assert!(!of(&[two]).is_everywhere(addr));
        assert!(of(&[Seen::Alias("x".into())]).is_hopeless() && !of(&[Seen::Absent]).is_hopeless());
    }
}
