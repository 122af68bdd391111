//! A message as one line, for the log.

use super::{Data, Message, Question, Rr, CLASS_ANY, CLASS_IN, CLASS_NONE, OPCODE_QUERY, OPCODE_UPDATE};
use std::fmt::Write as _;

/// The most records of a section that are shown.
const SHOWN: usize = 6;
/// The most letters of a name that are shown.
const NAME: usize = 80;
/// Response codes by number (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
    "NOTAUTH", "NOTZONE",
];
/// Types by number.
const TYPES: [(u16, &str); 8] = [
    (super::TYPE_A, "A"),
    (super::TYPE_NS, "NS"),
    (super::TYPE_CNAME, "CNAME"),
    (super::TYPE_SOA, "SOA"),
    (super::TYPE_PTR, "PTR"),
    (super::TYPE_AAAA, "AAAA"),
    (super::TYPE_TSIG, "TSIG"),
    (super::TYPE_ANY, "ANY"),
];

/// What a message says: `cam.example.com A?`, `answer NOERROR aa: cam.example.com A 192.0.2.1 60 s`, `UPDATE example.com:
/// any A of cam.example.com, cam.example.com A 192.0.2.1 60 s`, where `any` and `no` of class ANY and NONE are what goes,
/// and after `if` what must be there or not. Signatures and other additional records are left out.
pub fn line(bytes: &[u8]) -> String {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => return error.to_string(),
    };
    let mut out = head(&message);
    let update = message.opcode() == OPCODE_UPDATE;
    let nothing = Vec::new();
    let (condition, changes) = if update { ("if ", &message.authority) } else { ("", &nothing) };
    let mut before = ": ";
    for (way, section) in [(condition, &message.answers), ("", changes)] {
        for rr in section.iter().take(SHOWN) {
            let _ = write!(out, "{before}{way}{}", shown(rr));
            before = ", ";
        }
        if section.len() > SHOWN {
            let _ = write!(out, " and {} more", section.len() - SHOWN);
        }
    }
    out
}

fn head(message: &Message) -> String {
    if message.is_response() {
        let rcode = usize::from(message.rcode());
        let word = RCODES.get(rcode).map_or_else(|| format!("code {rcode}"), |word| word.to_string());
        let aa = if message.is_authoritative() { " aa" } else { "" };
        let tc = if message.is_truncated() { " cut" } else { "" };
        return format!("answer {word}{aa}{tc}");
    }
    let asked = |question: &Question| (cut(&question.name), rtype(question.rtype));
    let (name, rtype) = message.questions.first().map(asked).unwrap_or_default();
    match message.opcode() {
        OPCODE_UPDATE => format!("UPDATE {name}"),
        OPCODE_QUERY => format!("{name} {rtype}?"),
        other => format!("opcode {other} {name}"),
    }
}

fn shown(rr: &Rr) -> String {
    let (name, rtype) = (cut(&rr.name), rtype(rr.rtype));
    let data = match &rr.data {
        Data::A(addr) => format!(" {addr}"),
        Data::Aaaa(addr) => format!(" {addr}"),
        Data::Name(name) => format!(" {}", cut(name)),
        Data::Soa(primary, ..) => format!(" {}", cut(primary)),
        Data::Raw(bytes) if bytes.is_empty() => String::new(),
        Data::Raw(bytes) => format!(" ({} bytes)", bytes.len()),
    };
    match rr.class {
        CLASS_IN => format!("{name} {rtype}{data} {} s", rr.ttl),
        CLASS_ANY => format!("any {rtype} of {name}"),
        CLASS_NONE => format!("no {rtype}{data} of {name}"),
        other => format!("{name} {rtype} of class {other}"),
    }
}

fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}

fn rtype(number: u16) -> String {
    let word = TYPES.iter().find(|(known, _)| *known == number).map(|(_, word)| word.to_string());
    word.unwrap_or_else(|| format!("TYPE{number}"))
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::line;

    fn addr() -> Rr {
        let data = Data::A("192.0.2.1".parse().unwrap());
        Rr { name: "cam.example.com".into(), rtype: TYPE_A, class: CLASS_IN, ttl: 60, data }
    }

    #[test]
    fn questions_and_answers() {
        assert_eq!(line(&query(7, "cam.example.com", TYPE_AAAA, true).unwrap()), "cam.example.com AAAA?");
        let answer = Message { flags: FLAG_QR | FLAG_AA, answers: vec![addr(); 8], ..Message::default() };
        let text = line(&answer.to_bytes().unwrap());
        assert!(text.starts_with("answer NOERROR aa: cam.example.com A 192.0.2.1 60 s, "), "{text}");
        assert!(text.ends_with(" and 2 more"), "{text}");
        let refused = Message { flags: FLAG_QR | 5, ..Message::default() };
        assert_eq!(line(&refused.to_bytes().unwrap()), "answer REFUSED");
        assert_eq!(line(b"\x00\x01"), "the DNS message is cut off");
    }

    #[test]
    fn updates() {
        let update = Message {
            flags: u16::from(OPCODE_UPDATE) << 11,
            questions: vec![Question { name: "example.com".into(), rtype: TYPE_SOA, class: CLASS_IN }],
            answers: vec![Rr::empty("cam.example.com", TYPE_CNAME, CLASS_NONE)],
            authority: vec![Rr::empty("cam.example.com", TYPE_A, CLASS_ANY), addr()],
            ..Message::default()
        };
        assert_eq!(
            line(&update.to_bytes().unwrap()),
            "UPDATE example.com: if no CNAME of cam.example.com, any A of cam.example.com, cam.example.com A \
             192.0.2.1 60 s"
        );
    }
}
