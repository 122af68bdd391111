//! The question "which address do I come from?" in DNS: a name whose answer is the asker's own address, in an A, AAAA or
//! TXT record (RFC 1035 section 4). What is not exactly that answer says nothing.

use super::dns::{self, same_name, Data, Message, Question, Rr};
use crate::model::Family;
use std::net::IpAddr;

/// Record type TXT (RFC 1035 section 3.3.14).
pub const TYPE_TXT: u16 = 16;
/// Class CH, which Cloudflare uses for it.
pub const CLASS_CH: u16 = 3;

/// A name that answers with the asker's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// The name.
    pub name: &'static str,
    /// The record's type, where it is not A or AAAA by the family: [`TYPE_TXT`].
    pub txt: bool,
    /// The class.
    pub class: u16,
    /// It is asked of the zone's own server: an answer that is not authoritative comes from somebody else.
    pub authoritative: bool,
}

impl Whoami {
    fn rtype(&self, family: Family) -> u16 {
        match family {
            _ if self.txt => TYPE_TXT,
            Family::V4 => dns::TYPE_A,
            Family::V6 => dns::TYPE_AAAA,
        }
    }

    /// The question's bytes.
    ///
    /// # Errors
    /// [`dns::Error::Name`] if the table's name is none.
    pub fn query(&self, id: u16, family: Family) -> Result<Vec<u8>, dns::Error> {
        let question = Question { name: self.name.into(), rtype: self.rtype(family), class: self.class };
        Message { id, flags: dns::FLAG_RD, questions: vec![question], ..Message::default() }.to_bytes()
    }

    /// The address in an answer to the question with this id. `None`: these bytes are no answer to it.
    ///
    /// # Errors
    /// In plain words, why the answer says no address.
    pub fn answer(&self, bytes: &[u8], id: u16, family: Family) -> Option<Result<IpAddr, &'static str>> {
        let message = Message::parse(bytes).ok()?;
        let ours = message.id == id && message.is_response() && message.opcode() == dns::OPCODE_QUERY;
        let rtype = self.rtype(family);
        let [question] = message.questions.as_slice() else { return None };
        let same =
            same_name(&question.name, self.name) && (question.rtype, question.class) == (rtype, self.class);
        (ours && same).then(|| self.address(&message, rtype))
    }

    fn address(&self, message: &Message, rtype: u16) -> Result<IpAddr, &'static str> {
        match message.rcode() {
            dns::RCODE_NOERROR => {}
            dns::RCODE_NXDOMAIN => return Err("it says that there is no such name"),
            _ => return Err("it does not answer this question"),
        }
        if message.is_truncated() || self.authoritative && !message.is_authoritative() {
            return Err("somebody else answers in its place");
        }
        match message.answers.as_slice() {
            [rr] if same_name(&rr.name, self.name) && (rr.rtype, rr.class) == (rtype, self.class) => {
                read(rr).ok_or("its answer holds no address")
            }
            _ => Err("its answer is not one record"),
        }
    }
}

/// The address that a record holds.
fn read(rr: &Rr) -> Option<IpAddr> {
    match &rr.data {
        Data::A(addr) => Some((*addr).into()),
        Data::Aaaa(addr) => Some((*addr).into()),
        Data::Raw(raw) => {
            let (length, text) = raw.split_first()?;
            let text = std::str::from_utf8(text).ok().filter(|text| text.len() == usize::from(*length))?;
            text.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDFLARE: Whoami =
        Whoami { name: "whoami.cloudflare", txt: true, class: CLASS_CH, authoritative: false };
    const OPENDNS: Whoami = Whoami { name: "myip.opendns.com", txt: false, class: 1, authoritative: false };
    const GOOGLE: Whoami =
        Whoami { name: "o-o.myaddr.l.google.com", txt: true, class: 1, authoritative: true };

    fn hex(text: &str) -> Vec<u8> {
        let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
        text.as_bytes().chunks(2).map(pair).collect()
    }

    /// The answer to a question, with these records.
    fn answer(whoami: &Whoami, family: Family, flags: u16, data: &[Data]) -> Vec<u8> {
        let question = whoami.query(0x1234, family).unwrap();
        let mut message = Message::parse(&question).unwrap();
        message.flags |= dns::FLAG_QR | flags;
        let rr = |data: &Data| Rr {
            name: whoami.name.into(),
            rtype: whoami.rtype(family),
            class: whoami.class,
            ttl: 0,
            data: data.clone(),
        };
        message.answers = data.iter().map(rr).collect();
        message.to_bytes().unwrap()
    }

    fn txt(text: &str) -> Data {
        Data::Raw([&[text.len() as u8], text.as_bytes()].concat())
    }

    #[test]
    fn the_questions_are_as_captured() {
        for (whoami, family, bytes) in [
            (
                CLOUDFLARE,
                Family::V4,
                "1234010000010000000000000677686f616d690a636c6f7564666c6172650000100003",
            ),
            (OPENDNS, Family::V4, "123401000001000000000000046d796970076f70656e646e7303636f6d0000010001"),
            (OPENDNS, Family::V6, "123401000001000000000000046d796970076f70656e646e7303636f6d00001c0001"),
            (
                GOOGLE,
                Family::V4,
                "123401000001000000000000036f2d6f066d7961646472016c06676f6f676c6503636f6d0000100001",
            ),
        ] {
            assert_eq!(whoami.query(0x1234, family).unwrap(), hex(bytes));
        }
    }

    #[test]
    fn one_record_of_the_right_kind_is_an_answer() {
        let (v4, v6): (IpAddr, IpAddr) = ("93.184.216.34".parse().unwrap(), "2a00::7".parse().unwrap());
        let told = |whoami: Whoami, family, flags, data: &[Data]| {
            whoami.answer(&answer(&whoami, family, flags, data), 0x1234, family)
        };
        assert_eq!(told(CLOUDFLARE, Family::V4, 0, &[txt("93.184.216.34")]), Some(Ok(v4)));
        assert_eq!(told(CLOUDFLARE, Family::V6, 0, &[txt("2a00::7")]), Some(Ok(v6)));
        assert_eq!(told(OPENDNS, Family::V4, 0, &[Data::A([93, 184, 216, 34].into())]), Some(Ok(v4)));
        assert_eq!(told(GOOGLE, Family::V4, dns::FLAG_AA, &[txt("93.184.216.34")]), Some(Ok(v4)));
        for (whoami, flags, data) in [
            (GOOGLE, 0, vec![txt("93.184.216.34")]),
            (GOOGLE, dns::FLAG_AA, vec![txt("93.184.216.34"), txt("edns0-client-subnet 1.2.3.0/24")]),
            (GOOGLE, dns::FLAG_AA, vec![txt("somebody 93.184.216.34")]),
            (GOOGLE, dns::FLAG_AA, vec![Data::Raw(b"\x0593.184.216.34".to_vec())]),
            (OPENDNS, dns::FLAG_TC, vec![Data::A([93, 184, 216, 34].into())]),
            (OPENDNS, u16::from(dns::RCODE_NXDOMAIN), vec![]),
            (OPENDNS, u16::from(dns::RCODE_REFUSED), vec![]),
            (OPENDNS, 0, vec![]),
        ] {
            assert!(told(whoami, Family::V4, flags, &data).unwrap().is_err(), "{flags:x} {data:?}");
        }
    }

    #[test]
    fn what_answers_another_question_is_none() {
        let good = answer(&OPENDNS, Family::V4, 0, &[Data::A([93, 184, 216, 34].into())]);
        assert_eq!(OPENDNS.answer(&good, 0x1235, Family::V4), None);
        assert_eq!(OPENDNS.answer(&good, 0x1234, Family::V6), None);
        assert_eq!(GOOGLE.answer(&good, 0x1234, Family::V4), None);
        assert_eq!(OPENDNS.answer(&OPENDNS.query(0x1234, Family::V4).unwrap(), 0x1234, Family::V4), None);
        for end in 0..good.len() {
            assert_eq!(OPENDNS.answer(&good[..end], 0x1234, Family::V4), None, "cut at {end}");
        }
    }
}
