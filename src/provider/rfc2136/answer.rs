//! What a server's answer to an UPDATE means, in words for the owner (RFC 2136 section 2.2, RFC 8945 section 5.3).

use crate::provider::{Failure, Kind};
use crate::sign::tsig::{Key, Unverified};
use crate::wire::dns::{self, Message};

/// A refused message.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// It is worth trying its records one by one.
    pub(super) split: bool,
    /// It should have been signed and was not.
    pub(super) unsigned: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure, split: false, unsigned: false }
    }
}

/// Reads the answer to an UPDATE.
pub(super) fn parse(answer: &[u8], id: u16) -> Result<Message, Failure> {
    let message = Message::parse(answer).map_err(|error| odd(&error.to_string()))?;
    match message.is_response() && message.id == id && message.opcode() == dns::OPCODE_UPDATE {
        true => Ok(message),
        false => Err(odd("it does not fit the update")),
    }
}

/// What an answer's response code means.
pub(super) fn by_code(zone: &str, server: &str, answer: &Message, key: Option<&Key>) -> Result<(), Trouble> {
    let (kind, text, split) = match answer.rcode() {
        dns::RCODE_NOERROR => return Ok(()),
        dns::RCODE_SERVFAIL => return Err(servfail().into()),
        dns::RCODE_REFUSED => (Kind::Refused, refused(zone, key), true),
        dns::RCODE_NOTIMP => (
            Kind::Refused,
            format!("NOTIMP: {server} takes no updates, or something on the way answers in its place; check option server, or use another port than 53"),
            false,
        ),
        dns::RCODE_FORMERR => {
            (Kind::Refused, format!("FORMERR: {server} calls the update malformed, or something on the way spoils it"), false)
        }
        dns::RCODE_NOTAUTH => (
            Kind::NoSuchName,
            format!("NOTAUTH: {server} is not the primary of the zone {zone}; check option server and option zone"),
            false,
        ),
        dns::RCODE_NOTZONE => {
            (Kind::NoSuchName, format!("NOTZONE: the name lies outside the zone {zone}; check option zone"), true)
        }
        dns::RCODE_YXRRSET => (
            Kind::Refused,
            "YXRRSET: a CNAME record stands at the name, beside which no address can be; remove it, or use another name".to_owned(),
            true,
        ),
        code => (Kind::Garbled, format!("the server answers the update with response code {code}"), false),
    };
    Err(Trouble { failure: Failure::new(kind, text), split, unsigned: false })
}

/// The words for REFUSED, which servers say for many reasons.
fn refused(zone: &str, key: Option<&Key>) -> String {
    match key {
        Some(key) => format!(
            "REFUSED: check the server's policy for the zone {zone} (may the key {} change this name and type?), \
             the key's name, its algorithm ({}) and secret, and the clock",
            key.name(),
            key.algorithm().name()
        ),
        None => format!("REFUSED: check the server's policy for the zone {zone}; it may want a key: set tsig_name and tsig_secret"),
    }
}

/// The failure for BADKEY and BADSIG.
pub(super) fn bad_key(key: &Key, told: Unverified) -> Failure {
    let text = format!(
        "{told}; check the key's name ({}), its algorithm ({}), its secret, and whether the server lets it change this name",
        key.name(),
        key.algorithm().name()
    );
    Failure::new(Kind::Credentials, text)
}

/// The failure for a name that is an alias.
pub(super) fn cname(domain: &str) -> Failure {
    let text = format!(
        "a CNAME record stands at {domain}, beside which no address can be; remove it, or use another name"
    );
    Failure::new(Kind::Refused, text)
}

/// The failure for clocks that differ.
pub(super) fn clock(ours: u64, server: Option<u64>) -> Failure {
    let text = match server {
        Some(server) if server > ours => {
            format!("this machine's clock is {} s behind the server's; set it", server - ours)
        }
        Some(server) => format!("this machine's clock is {} s ahead of the server's; set it", ours - server),
        None => "this machine's clock and the server's differ by more than five minutes; set them".to_owned(),
    };
    Failure::new(Kind::Clock, text)
}

/// The failure for a server that does not take its own time.
pub(super) fn unsteady(first: u64, second: u64) -> Failure {
    let text = format!(
        "BADTIME at the time that the server itself told, and {} s from it the next time: its clock is not \
         steady, or several servers answer whose clocks differ; set them, and this machine's",
        first.abs_diff(second)
    );
    Failure::new(Kind::Clock, text)
}

/// An answer that says yes, but is not proven to be the server's.
pub(super) fn untrusted(why: Unverified) -> Failure {
    Failure::new(Kind::Unconfirmed, format!("{why}, so it may be anyone's"))
}

/// The server failed.
pub(super) fn servfail() -> Failure {
    Failure::new(Kind::Busy, "SERVFAIL: the server cannot do it now; its own log says why")
}

/// A name that cannot be in a DNS message.
pub(super) fn bad_name(name: &str) -> Failure {
    Failure::new(Kind::NoSuchName, format!("{name} is no domain name; check option domain"))
}

/// An answer that makes no sense.
pub(super) fn odd(what: &str) -> Failure {
    Failure::new(Kind::Garbled, format!("the server's answer makes no sense: {what}"))
}
