//! Judgements about names: what shadows one, the provider, the record at the name servers and at resolvers.    [pure]

use super::{Facts, Finding};
use crate::act::readback::{Published, Seen};
use crate::config::Record;
use crate::model::{Family, RecordId};
use crate::provider::{Failure, Kind};
use std::net::{IpAddr, SocketAddr};

/// Has the agent ask for its records again.
const AGAIN: &str = "`porchlight trigger records`";
/// How the name servers' word is known.
const BY_SERVERS: &str = "the zone's own name servers were asked";
/// How the provider's word is known.
const BY_READING: &str = "it was asked as for an update, up to the first request that would have written";

/// What the name servers said of a name and family.
pub type Looked = (String, Family, Result<Published, Failure>);

fn seen(looked: &[Looked], domain: &str, family: Family) -> Option<Seen> {
    let found = looked.iter().find(|(name, of, _)| name == domain && *of == family);
    found.and_then(|(_, _, told)| told.as_ref().ok()).map(Published::agreed)
}

/// Whether the provider shows addresses of a proxy of its own.
pub fn is_proxied(record: &Record) -> bool {
    record.options.text.get("proxied").is_some_and(|value| value == "1")
}

/// What stands in front of a name's address: an alias, a wildcard, an address that nobody keeps. `wild`: by domain, what
/// the name servers say of a name beside it that cannot be there.
pub fn shadow(facts: &Facts, looked: &[Looked], wild: &[(String, Vec<IpAddr>)]) -> Finding {
    let mut all = Vec::new();
    for (record, id, addr) in facts.wanted() {
        let domain = &id.domain;
        match seen(looked, domain, id.family) {
            Some(Seen::Alias(target)) => all.push(Finding::broken(
                format!("{domain} is an alias (CNAME) of {target}, and beside that no address can be"),
                BY_SERVERS,
                format!("delete the CNAME record of {domain} at the provider, then {AGAIN}"),
            )),
            Some(Seen::Address(addrs)) if addrs != [addr] => {
                let is_wild = wild.iter().any(|(name, others)| name == domain && *others == addrs);
                let parent = domain.split_once('.').map(|(_, parent)| parent).unwrap_or_default();
                if is_wild {
                    all.push(Finding::broken(
                        format!(
                            "{domain} has no record of its own: a wildcard (*.{parent}) answers in its place"
                        ),
                        "a name beside it that cannot be there has the same address",
                        format!("{AGAIN} makes the record; or delete the wildcard first"),
                    ));
                }
            }
            _ => {}
        }
        for family in
            Family::BOTH.into_iter().filter(|family| !facts.keeps(domain, *family) && !is_proxied(record))
        {
            if let Some(Seen::Address(addrs)) = seen(looked, domain, family) {
                let addrs: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
                let rtype = family.rtype();
                all.push(Finding::broken(
                    format!(
                        "{domain} has an {rtype} record, {}, which nobody keeps right",
                        addrs.join(" and ")
                    ),
                    format!("{BY_SERVERS}; phones and browsers may take that address first"),
                    format!(
                        "delete the {rtype} record at the provider; or have it kept: option family 'any'"
                    ),
                ));
            }
        }
    }
    all.dedup();
    Finding::worst(all, "nothing shadows a name")
}

/// What a provider said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the right address.
    Right,
    /// It takes us, and would now be told another address.
    Writes,
    /// It cannot be asked without writing, or was asked enough already.
    Mute,
    /// It refused, or could not be reached.
    Failed(Failure),
}

/// The providers, by record. `why`: what became of the agent's own last try, if that failed.
pub fn provider(
    facts: &Facts,
    answers: &[(RecordId, Answer)],
    why: &dyn Fn(&RecordId) -> Option<Failure>,
) -> Finding {
    let one = |(id, answer): &(RecordId, Answer)| {
        let name = facts
            .config
            .records
            .iter()
            .find(|record| record.name == id.record)
            .map(|record| &record.provider);
        let name = name.map(String::as_str).unwrap_or_default();
        match answer {
            Answer::Failed(failure) => Some(refused(facts, id, name, failure, BY_READING)),
            Answer::Right => None,
            Answer::Writes | Answer::Mute => {
                let failure =
                    why(id).filter(|failure| *answer == Answer::Mute || is_lasting(failure.kind))?;
                Some(refused(facts, id, name, &failure, "the agent's last try ended so"))
            }
        }
    };
    let mute = answers.iter().filter(|(_, answer)| *answer == Answer::Mute).count();
    let well = match answers.len() {
        0 => return Finding::not_asked("no record has anything to say"),
        all if all == mute => "it cannot be asked without writing, and the agent's last try did not fail",
        _ => "it takes what we are known by",
    };
    Finding::worst(answers.iter().filter_map(one).collect(), well)
}

/// Whether a failure is still so when the provider can be reached.
fn is_lasting(kind: Kind) -> bool {
    matches!(kind, Kind::Credentials | Kind::NoSuchName | Kind::Refused | Kind::Untrusted | Kind::Clock)
}

fn refused(facts: &Facts, id: &RecordId, provider: &str, failure: &Failure, known: &str) -> Finding {
    let again = facts.again();
    let section = &id.record;
    let mend = match failure.kind {
        Kind::Credentials => {
            format!("set the token, password or key of record '{section}' as the provider shows it, then `{again}`")
        }
        Kind::NoSuchName => format!(
            "check list domain and option zone of record '{section}', and that the account has that zone; then `{again}`"
        ),
        Kind::Refused => format!("do what it says at the provider, then {AGAIN}"),
        Kind::Untrusted => {
            "check the server's name in the options; if it is your own, renew its certificate, or name its authority \
             (option cacert)"
                .into()
        }
        Kind::Clock => "set the clock: `ntpd -q -p pool.ntp.org`".into(),
        Kind::Busy => "wait; the agent tries again by itself".into(),
        Kind::NotReady | Kind::Unreachable | Kind::Unconfirmed | Kind::Garbled => {
            format!("check option server or url of record '{section}'; if that is right, the service is down: the agent tries again")
        }
    };
    Finding::broken(format!("{provider}, for {id}: {}", failure.text), known, mend)
}

/// The records at the zone's name servers.
pub fn record(facts: &Facts, looked: &[Looked], answers: &[(RecordId, Answer)]) -> Finding {
    let wanted = facts.wanted();
    let plain: Vec<_> = wanted.iter().filter(|(record, ..)| !is_proxied(record)).collect();
    let (mut all, mut asked) = (Vec::new(), 0);
    for (_, id, addr) in &plain {
        let told = seen(looked, &id.domain, id.family);
        asked += usize::from(told.is_some());
        let right = answers.iter().any(|(told, answer)| told == id && *answer == Answer::Right);
        let busy = facts.said_of(id).get("standing").str() == Some("publishing");
        let (what, only_late) = match told {
            None => continue,
            Some(Seen::Address(addrs)) if addrs == [*addr] => continue,
            Some(Seen::Unknown(why)) => (format!("{id} could not be told: {why}"), true),
            Some(Seen::Absent) => (format!("{id} is missing; it should be {addr}"), right || busy),
            Some(other) => (format!("{id} {other}; it should be {addr}"), right || busy),
        };
        all.push(match only_late {
            true => Finding::warning(
                what,
                BY_SERVERS,
                "wait some minutes; then look at the name servers of the zone",
            ),
            false => Finding::broken(what, BY_SERVERS, AGAIN),
        });
    }
    let (right, others) = match (asked, plain.len()) {
        _ if wanted.is_empty() => return Finding::not_asked("no record has anything to say"),
        (_, 0) => return Finding::ok("the name servers show the provider's proxy, as they should"),
        (1, 1) => ("the record is".into(), ""),
        (asked, all) if asked == all => (format!("{asked} records are"), ""),
        (asked, all) => (format!("{asked} of {all} records are"), "; the others were not asked for"),
    };
    Finding::worst(all, &format!("{right} right at the zone's name servers{others}"))
}

/// What a resolver has in its memory of a record.
pub struct Heard {
    /// Which record.
    pub id: RecordId,
    /// What it should be.
    pub want: IpAddr,
    /// The resolver.
    pub resolver: SocketAddr,
    /// What it says, and for how many seconds at the most.
    pub addrs: Vec<IpAddr>,
    /// Time to live.
    pub ttl: u32,
}

/// What people's resolvers say.
pub fn public(heard: &[Heard]) -> Finding {
    let one = |heard: &Heard| {
        let Heard { id, want, resolver, addrs, ttl } = heard;
        if *addrs == [*want] {
            return None;
        }
        let has: Vec<String> = addrs.iter().map(IpAddr::to_string).collect();
        let has = if has.is_empty() { "no address".to_string() } else { has.join(" and ") };
        Some(Finding::warning(
            format!("resolver {resolver} still says {has} of {id}, and not {want}"),
            "it was asked as a viewer's device would",
            match ttl {
                0 => "wait until it forgets that (minutes); the zone's name servers are right".to_string(),
                ttl => format!("wait until it forgets that, in {ttl} s at the most; a shorter option ttl makes it sooner"),
            },
        ))
    };
    match heard.is_empty() {
        true => Finding::not_asked("no resolver answered for a record"),
        false => Finding::worst(heard.iter().filter_map(one).collect(), "resolvers have the right address"),
    }
}
