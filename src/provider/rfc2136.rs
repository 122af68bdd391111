//! DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945): asks the zone's primary what it has, then sends one
//! message for all records of a zone.

mod answer;

use super::web::{ends_account, not_tried};
use super::{
    within, Ask, Dns, Entry, Failure, Job, Kind, Outcome, ProviderOption, Request, Update, Verdicts, Wanted,
};
use crate::map::Map;
use crate::model::Family;
use crate::sign::tsig::{self, Key, Unverified, BADTIME};
use crate::wire::dns::{self, Data, Message, Question, Rr};
use answer::{bad_key, bad_name, by_code, clock, cname, odd, parse, servfail, unsteady, untrusted, Trouble};
use std::net::IpAddr;

/// The row of this provider.
pub const ENTRY: Entry = Entry {
    name: "rfc2136",
    title: "Your own name server (RFC 2136)",
    url: "https://www.rfc-editor.org/rfc/rfc2136",
    options: &[
        ProviderOption::required(
            "server",
            "The zone's primary server: a name or an address, with :port if it is not 53.",
        ),
        ProviderOption::plain("tsig_name", "The key's name, as in the server's configuration."),
        ProviderOption::plain(
            "tsig_algorithm",
            "hmac-sha256 (default), hmac-sha512, hmac-sha384 or hmac-sha224.",
        ),
        ProviderOption::secret(
            "tsig_secret",
            "The key's secret in base64, as in the server's configuration.",
        )
        .optional(),
    ],
    families: &Family::BOTH,
    reads: true,
    floor: 0,
    update: Update::Own(update),
};

/// Time to live of a new record where the owner named none.
const DEFAULT_TTL: u32 = 120;
/// The most records in one message.
const BATCH: usize = 100;
/// What a key of the memo begins with; a domain follows, its value is the zone's name.
const MEMO: &str = "zone of ";
/// A key of the memo: how many refusals in a row had no signature.
const UNSIGNED: &str = "unsigned refusals";
/// So many of them in a row are believed: anyone on the way could have made them, but not for ever.
const UNSIGNED_LIMIT: u8 = 3;
/// What a key of the memo begins with; a record follows, its value is the address of an update whose answer
/// never came. The server may carry it out yet: until then a look that finds another address proves nothing.
const DOUBT: &str = "unconfirmed ";

/// What stands at a name already.
enum Seen {
    /// The server does not say.
    Unknown,
    /// These addresses of the wanted type, each with its time to live; or none.
    Addrs(Vec<(IpAddr, u32)>),
    /// A CNAME record, beside which no address can be.
    Cname,
}

/// A record that is to be written.
#[derive(Clone, Copy)]
struct Write<'a> {
    wanted: &'a Wanted,
    ttl: u32,
    /// Nothing is known to stand there, so that there may be a CNAME, which servers would keep in silence.
    unseen: bool,
}

/// The server, with all that an exchange needs.
struct Session<'a, 'b> {
    server: String,
    key: Option<Key>,
    /// Unix time in seconds; the server's, once it has told it.
    now: u64,
    /// The next message's id.
    id: u16,
    ask: &'a mut Ask<'b>,
}

/// Brings a job's records up to date: look, then write zone by zone.
fn update(job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    let server =
        job.option("server").ok_or_else(|| Failure::new(Kind::Refused, "option server is not set"))?;
    let id = job.nonce.iter().take(2).fold(0, |id, byte| id << 8 | u16::from(*byte));
    let key = key(job)?;
    let now = if key.is_some() { job.signing_time()? } else { job.now };
    let mut session = Session { server: server.to_owned(), key, now, id, ask };
    let records = job.records.clone();
    let mut verdicts = Verdicts::new();
    let mut zones: Map<String, Vec<Write>> = Map::new();
    let mut ended: Option<Failure> = None;
    for wanted in &records {
        let step = match &ended {
            Some(failure) => Err(not_tried(failure)),
            None => plan(job, &mut session, wanted),
        };
        match step {
            Ok(None) => verdicts.push((wanted.id.clone(), Ok(Outcome::Unchanged))),
            Ok(Some((zone, write))) => zones.entry(zone).or_default().push(write),
            Err(failure) => {
                // After nonsense nothing that this server says is acted upon.
                let ends = ends_account(failure.kind) || failure.kind == Kind::Garbled;
                ended = ended.or_else(|| ends.then(|| failure.clone()));
                verdicts.push((wanted.id.clone(), Err(failure)));
            }
        }
    }
    for (zone, writes) in &zones {
        for chunk in writes.chunks(BATCH) {
            write_all(job, &mut session, zone, chunk, &mut ended, &mut verdicts);
        }
    }
    Ok(verdicts)
}

/// The key, if one is set.
fn key(job: &Job) -> Result<Option<Key>, Failure> {
    let set = job.options.secrets.get("tsig_secret").is_some_and(|secret| !secret.reveal().is_empty());
    let Some(name) = job.option("tsig_name") else {
        return match set {
            true => Err(Failure::new(Kind::Credentials, "option tsig_name is not set, but tsig_secret is")),
            false => Ok(None),
        };
    };
    let algorithm = job.option("tsig_algorithm").unwrap_or(tsig::Algorithm::Sha256.name());
    let key = Key::new(name, algorithm, job.secret("tsig_secret")?);
    key.map(Some).map_err(|error| Failure::new(Kind::Credentials, format!("the key cannot be used: {error}")))
}

/// Looks at a record, and says what to write into which zone, if anything.
fn plan<'a>(
    job: &mut Job,
    session: &mut Session,
    wanted: &'a Wanted,
) -> Result<Option<(String, Write<'a>)>, Failure> {
    let domain = &wanted.id.domain;
    let rtype = wanted.id.family.rtype();
    let there = match session.look(wanted)? {
        Seen::Cname => return Err(cname(domain)),
        Seen::Unknown => Vec::new(),
        Seen::Addrs(addrs) => addrs,
    };
    let kept = match there.as_slice() {
        [] => None,
        [(_, ttl)] if in_doubt(job, wanted) => Some(*ttl),
        [(addr, ttl)] if *addr == wanted.addr && job.ttl.is_none_or(|wish| wish == *ttl) => {
            job.memo.remove(&doubt(wanted));
            return Ok(None);
        }
        [(_, ttl)] => Some(*ttl),
        several if several.iter().any(|(addr, _)| *addr == wanted.addr) => return Ok(None),
        _ => {
            let text = format!("several {rtype} records stand at {domain}, and which one is ours cannot be known; remove all but one");
            return Err(Failure::new(Kind::Refused, text));
        }
    };
    let write = Write { wanted, ttl: job.ttl.or(kept).unwrap_or(DEFAULT_TTL), unseen: kept.is_none() };
    Ok(Some((zone_of(job, session, domain)?, write)))
}

/// The memo's key for an update of this record that was not answered.
fn doubt(wanted: &Wanted) -> String {
    format!("{DOUBT}{} {}", wanted.id.domain, wanted.id.family.rtype())
}

/// Whether an update with another address may still be carried out.
fn in_doubt(job: &Job, wanted: &Wanted) -> bool {
    job.memo.get(&doubt(wanted)).is_some_and(|addr| *addr != wanted.addr.to_string())
}

/// The zone of a domain: the owner's, a remembered one, or the server's answer.
fn zone_of(job: &mut Job, session: &mut Session, domain: &str) -> Result<String, Failure> {
    if let Some(zone) = &job.zone {
        let zone = zone.trim_end_matches('.').to_ascii_lowercase();
        return match is_below(domain, &zone) {
            true => Ok(zone),
            false => {
                let text = format!("{domain} does not lie in the zone {zone} of option zone");
                Err(Failure::new(Kind::NoSuchName, text))
            }
        };
    }
    let memo = format!("{MEMO}{domain}");
    if let Some(zone) = job.memo.get(&memo) {
        return Ok(zone.clone());
    }
    let zone = session.find_zone(domain).map_err(|failure| doubted(job, failure))?;
    job.memo.insert(memo, zone.clone());
    Ok(zone)
}

/// True if a domain is a zone's apex or lies below it; below the root (an empty name) lies everything.
fn is_below(domain: &str, zone: &str) -> bool {
    zone.is_empty() || within(domain, zone).is_some()
}

/// Writes some records of a zone in one message; where that is refused for the sake of one, in one each.
fn write_all(
    job: &mut Job,
    session: &mut Session,
    zone: &str,
    writes: &[Write],
    ended: &mut Option<Failure>,
    verdicts: &mut Verdicts,
) {
    let verdict = match ended {
        Some(failure) => Err(not_tried(failure).into()),
        None => session.write(zone, writes),
    };
    let trouble = match verdict {
        Ok(()) => {
            job.memo.remove(UNSIGNED);
            writes.iter().for_each(|write| drop(job.memo.remove(&doubt(write.wanted))));
            verdicts.extend(writes.iter().map(|write| (write.wanted.id.clone(), Ok(Outcome::Updated))));
            return;
        }
        Err(trouble) => trouble,
    };
    if trouble.split && writes.len() > 1 {
        for write in writes {
            write_all(job, session, zone, &[*write], ended, verdicts);
        }
        return;
    }
    if trouble.failure.kind == Kind::NoSuchName {
        // The zone may have been cut anew: ask again next time.
        job.memo.retain(|key, known| !(key.starts_with(MEMO) && known == zone));
    }
    let failure = if trouble.unsigned { doubted(job, trouble.failure) } else { trouble.failure };
    if failure.kind == Kind::Unconfirmed && ended.is_none() {
        let sent = writes.iter().map(|write| (doubt(write.wanted), write.wanted.addr.to_string()));
        job.memo.extend(sent);
    }
    *ended = ended.take().or_else(|| ends_account(failure.kind).then(|| failure.clone()));
    verdicts.extend(writes.iter().map(|write| (write.wanted.id.clone(), Err(failure.clone()))));
}

/// What an answer without a signature says. A refusal that is for good must come several times in a row to
/// be believed; what is not for good is tried again anyway.
fn doubted(job: &mut Job, failure: Failure) -> Failure {
    if !matches!(failure.kind, Kind::Refused | Kind::NoSuchName) {
        return failure;
    }
    let before = job.memo.get(UNSIGNED).and_then(|count| count.parse().ok()).unwrap_or(0u8);
    let count = before.saturating_add(1).min(UNSIGNED_LIMIT);
    job.memo.insert(UNSIGNED.to_owned(), count.to_string());
    if count == UNSIGNED_LIMIT {
        return failure;
    }
    let text = format!(
        "{}. The answer is not signed and may be anyone's, so it is tried again ({count} of {UNSIGNED_LIMIT})",
        failure.text
    );
    Failure::new(Kind::Unconfirmed, text)
}

impl Session<'_, '_> {
    /// An id that no message of this job had before.
    fn next_id(&mut self) -> u16 {
        let id = self.id;
        self.id = self.id.wrapping_add(1);
        id
    }

    /// Sends a message; the bytes of the answer.
    fn send(&mut self, message: Vec<u8>, write: bool) -> Result<Vec<u8>, Failure> {
        let request = Request::Dns(Dns { server: self.server.clone(), message, write });
        Ok((self.ask)(request)?.body)
    }

    /// Asks a plain question.
    fn question(&mut self, name: &str, rtype: u16) -> Result<Message, Failure> {
        let id = self.next_id();
        let query = dns::query(id, name, rtype, false).map_err(|_| bad_name(name))?;
        let answer = Message::parse(&self.send(query, false)?).map_err(|error| odd(&error.to_string()))?;
        let asked = |q: &Question| q.rtype == rtype && dns::same_name(&q.name, name);
        let fits = answer.is_response() && answer.id == id && answer.opcode() == dns::OPCODE_QUERY;
        if !fits || answer.is_truncated() || !answer.questions.iter().all(asked) {
            return Err(odd("it does not fit the question"));
        }
        match answer.rcode() {
            dns::RCODE_SERVFAIL => Err(servfail()),
            dns::RCODE_NOERROR | dns::RCODE_NXDOMAIN | dns::RCODE_REFUSED => Ok(answer),
            dns::RCODE_NOTAUTH | dns::RCODE_NOTIMP => Ok(answer),
            code => Err(odd(&format!("response code {code}"))),
        }
    }

    /// Asks what stands at a record's name. Only the zone's own server knows.
    fn look(&mut self, wanted: &Wanted) -> Result<Seen, Failure> {
        let domain = &wanted.id.domain;
        let rtype = type_of(wanted);
        let answer = self.question(domain, rtype)?;
        let known = matches!(answer.rcode(), dns::RCODE_NOERROR | dns::RCODE_NXDOMAIN);
        if !known || !answer.is_authoritative() {
            return Ok(Seen::Unknown);
        }
        let mut addrs = Vec::new();
        for rr in answer.answers.iter().filter(|rr| dns::same_name(&rr.name, domain)) {
            match &rr.data {
                _ if rr.rtype == dns::TYPE_CNAME => return Ok(Seen::Cname),
                Data::A(addr) if rr.rtype == rtype => addrs.push((IpAddr::V4(*addr), rr.ttl)),
                Data::Aaaa(addr) if rr.rtype == rtype => addrs.push((IpAddr::V6(*addr), rr.ttl)),
                _ if rr.rtype == rtype => return Err(odd("an address record without an address")),
                _ => {}
            }
        }
        Ok(Seen::Addrs(addrs))
    }

    /// Finds the zone that holds a domain: the owner of the SOA record in the answer or beside it.
    fn find_zone(&mut self, domain: &str) -> Result<String, Failure> {
        let answer = self.question(domain, dns::TYPE_SOA)?;
        let soa = answer.answers.iter().chain(&answer.authority).filter(|rr| rr.rtype == dns::TYPE_SOA);
        let names = soa.map(|rr| rr.name.trim_end_matches('.').to_ascii_lowercase());
        names.filter(|zone| is_below(domain, zone)).max_by_key(String::len).ok_or_else(|| {
            let text = format!(
                "{} tells no zone that holds {domain}; set option zone, and check option server",
                self.server
            );
            Failure::new(Kind::NoSuchName, text)
        })
    }

    /// Sends one UPDATE message for some records of a zone. If the server says that the clocks differ, and
    /// proves that it is the server, once more with its time.
    fn write(&mut self, zone: &str, writes: &[Write]) -> Result<(), Trouble> {
        let ours = self.now;
        for last in [false, true] {
            let id = self.next_id();
            let message = message(id, zone, writes).to_bytes().map_err(|_| bad_name(zone))?;
            let Some(key) = self.key.clone() else {
                let answer = self.send(message, true)?;
                return by_code(zone, &self.server, &parse(&answer, id)?, None);
            };
            let signed = tsig::sign(&key, &message, self.now).map_err(|error| odd(&error.to_string()))?;
            let answer = self.send(signed.bytes, true)?;
            let parsed = parse(&answer, id)?;
            let verdict = tsig::verify(&key, &signed.mac, &answer, self.now);
            match verdict {
                Ok(tsig::Verified { error: BADTIME, server_time }) => match server_time {
                    Some(time) if !last => self.now = time,
                    Some(time) => return Err(unsteady(self.now, time).into()),
                    None => return Err(clock(ours, None).into()),
                },
                Ok(tsig::Verified { error: 0, .. }) => {
                    return by_code(zone, &self.server, &parsed, Some(&key))
                }
                Ok(tsig::Verified { error, .. }) => return Err(bad_key(&key, Unverified::Told(error)).into()),
                Err(Unverified::Told(BADTIME) | Unverified::Time) => return Err(clock(ours, None).into()),
                Err(told @ Unverified::Told(_)) => return Err(bad_key(&key, told).into()),
                Err(unsigned) if parsed.rcode() == dns::RCODE_NOERROR => {
                    return Err(untrusted(unsigned).into())
                }
                Err(Unverified::Unsigned) => {
                    // Anyone on the way could have said it; still it is all there is to go by.
                    let verdict = by_code(zone, &self.server, &parsed, Some(&key));
                    return verdict.map_err(|told| Trouble { split: false, unsigned: true, ..told });
                }
                Err(wrong) => return Err(untrusted(wrong).into()),
            }
        }
        Err(clock(ours, None).into())
    }
}

/// The UPDATE message for some records (RFC 2136 section 2.5): per record, delete the set and add the
/// address, which is one change to the server.
fn message(id: u16, zone: &str, writes: &[Write]) -> Message {
    let mut message = Message { id, flags: u16::from(dns::OPCODE_UPDATE) << 11, ..Message::default() };
    message.questions.push(Question { name: zone.to_owned(), rtype: dns::TYPE_SOA, class: dns::CLASS_IN });
    for Write { wanted, ttl, unseen } in writes {
        let name = &wanted.id.domain;
        let rtype = type_of(wanted);
        if *unseen {
            message.answers.push(Rr::empty(name, dns::TYPE_CNAME, dns::CLASS_NONE));
        }
        message.authority.push(Rr::empty(name, rtype, dns::CLASS_ANY));
        let data = match wanted.addr {
            IpAddr::V4(addr) => Data::A(addr),
            IpAddr::V6(addr) => Data::Aaaa(addr),
        };
        message.authority.push(Rr { name: name.clone(), rtype, class: dns::CLASS_IN, ttl: *ttl, data });
    }
    message
}

/// The number of a record's type.
fn type_of(wanted: &Wanted) -> u16 {
    if wanted.addr.is_ipv4() {
        dns::TYPE_A
    } else {
        dns::TYPE_AAAA
    }
}
