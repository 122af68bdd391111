//! DNS messages (RFC 1035 section 4) and UPDATE messages (RFC 2136 section 2): bytes to meaning and back.
//! Names are lower-case text without the final dot, the root is `""`; odd bytes are escaped as in RFC 1035 section 5.1.

mod line;
mod name;

pub use line::line;
pub use name::{read_name, same_name, write_name};

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Record type A (RFC 1035).
pub const TYPE_A: u16 = 1;
/// Record type NS (RFC 1035).
pub const TYPE_NS: u16 = 2;
/// Record type CNAME (RFC 1035).
pub const TYPE_CNAME: u16 = 5;
/// Record type SOA (RFC 1035).
pub const TYPE_SOA: u16 = 6;
/// Record type PTR (RFC 1035).
pub const TYPE_PTR: u16 = 12;
/// Record type AAAA (RFC 3596).
pub const TYPE_AAAA: u16 = 28;
/// Record type TSIG (RFC 8945).
pub const TYPE_TSIG: u16 = 250;
/// Any type (RFC 1035).
pub const TYPE_ANY: u16 = 255;

/// Class IN, the internet (RFC 1035).
pub const CLASS_IN: u16 = 1;
/// Class NONE (RFC 2136): "delete this one", or "must not be there".
pub const CLASS_NONE: u16 = 254;
/// Class ANY (RFC 2136): "delete the whole set", or "must be there".
pub const CLASS_ANY: u16 = 255;

/// Opcode QUERY.
pub const OPCODE_QUERY: u8 = 0;
/// Opcode UPDATE (RFC 2136).
pub const OPCODE_UPDATE: u8 = 5;

/// Response code: done.
pub const RCODE_NOERROR: u8 = 0;
/// Response code: the server could not read the message.
pub const RCODE_FORMERR: u8 = 1;
/// Response code: the server failed.
pub const RCODE_SERVFAIL: u8 = 2;
/// Response code: no such name.
pub const RCODE_NXDOMAIN: u8 = 3;
/// Response code: the server does not know this opcode.
pub const RCODE_NOTIMP: u8 = 4;
/// Response code: refused by policy.
pub const RCODE_REFUSED: u8 = 5;
/// Response code (RFC 2136): a name is there that must not be.
pub const RCODE_YXDOMAIN: u8 = 6;
/// Response code (RFC 2136): a record set is there that must not be.
pub const RCODE_YXRRSET: u8 = 7;
/// Response code (RFC 2136): a record set is missing that must be there.
pub const RCODE_NXRRSET: u8 = 8;
/// Response code (RFC 2136, RFC 8945): not the zone's primary, or not authorised.
pub const RCODE_NOTAUTH: u8 = 9;
/// Response code (RFC 2136): a name lies outside the zone.
pub const RCODE_NOTZONE: u8 = 10;

/// Flag QR: this is a response.
pub const FLAG_QR: u16 = 0x8000;
/// Flag AA: the answer is authoritative.
pub const FLAG_AA: u16 = 0x0400;
/// Flag TC: the answer was cut, ask again over TCP.
pub const FLAG_TC: u16 = 0x0200;
/// Flag RD: please recurse.
pub const FLAG_RD: u16 = 0x0100;
/// Flag RA: the server recurses.
pub const FLAG_RA: u16 = 0x0080;

/// The most bytes of a message (the length prefix of TCP has 16 bits).
pub const MAX_MESSAGE: usize = 65_535;
/// The most entries of all four sections together that are read or written.
pub const MAX_RECORDS: usize = 1024;
/// The most bytes of a label (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;
/// The most bytes of a name in wire form, with its length bytes and the root (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;

/// Length of the header.
const HEADER: usize = 12;

/// Why bytes are no message, or a message has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end before the message does.
    Truncated,
    /// A name is malformed, too long, or points in a circle.
    Name,
    /// A record's data do not have the form of its type.
    Rdata,
    /// More than [`MAX_RECORDS`] entries.
    TooMany,
    /// More than [`MAX_MESSAGE`] bytes, or record data of more than 65,535.
    TooLong,
    /// Bytes follow the last record.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Truncated => "the DNS message is cut off",
            Error::Name => "a name in the DNS message is malformed",
            Error::Rdata => "a record in the DNS message is malformed",
            Error::TooMany => "the DNS message has too many records",
            Error::TooLong => "the DNS message is too long",
            Error::Trailing => "the DNS message has bytes after its end",
        })
    }
}

/// A message. In an UPDATE the sections mean: `questions` the zone, `answers` the prerequisites,
/// `authority` the updates (RFC 2136 section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The id that ties an answer to its question.
    pub id: u16,
    /// QR, opcode, AA, TC, RD, RA and the response code, as on the wire.
    pub flags: u16,
    /// What is asked; in an UPDATE the zone.
    pub questions: Vec<Question>,
    /// The answers; in an UPDATE the prerequisites.
    pub answers: Vec<Rr>,
    /// The authority section; in an UPDATE the changes, in order.
    pub authority: Vec<Rr>,
    /// The additional section; a TSIG record is the last in it.
    pub additional: Vec<Rr>,
}

/// An entry of the question section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: String,
    /// The type (`TYPE_...`).
    pub rtype: u16,
    /// The class (`CLASS_...`).
    pub class: u16,
}

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rr {
    /// The owner's name.
    pub name: String,
    /// The type (`TYPE_...`).
    pub rtype: u16,
    /// The class (`CLASS_...`).
    pub class: u16,
    /// Time to live in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// A record's data. What is written follows from the variant, not from the record's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Of an A record.
    A(Ipv4Addr),
    /// Of an AAAA record.
    Aaaa(Ipv6Addr),
    /// Of an NS, CNAME or PTR record: the name that it points to.
    Name(String),
    /// Of a SOA record: primary, mailbox; serial, refresh, retry, expire, minimum.
    Soa(String, String, [u32; 5]),
    /// Any other type, or none at all: the bytes as they are.
    Raw(Vec<u8>),
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// Whatever is not exactly one whole message within the caps.
    pub fn parse(bytes: &[u8]) -> Result<Message, Error> {
        parse(bytes).map(|(message, _)| message)
    }

    /// The message in wire form, names uncompressed.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::TooMany`] or [`Error::TooLong`] when a part does not fit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let sections = [&self.answers, &self.authority, &self.additional];
        if self.questions.len() + sections.iter().map(|s| s.len()).sum::<usize>() > MAX_RECORDS {
            return Err(Error::TooMany);
        }
        let mut out = Vec::with_capacity(512);
        let counts = [self.questions.len(), self.answers.len(), self.authority.len(), self.additional.len()];
        for word in [self.id, self.flags].into_iter().chain(counts.map(|n| n as u16)) {
            out.extend(word.to_be_bytes());
        }
        for question in &self.questions {
            write_name(&question.name, &mut out)?;
            out.extend(question.rtype.to_be_bytes());
            out.extend(question.class.to_be_bytes());
        }
        for rr in sections.into_iter().flatten() {
            rr.write(&mut out)?;
        }
        if out.len() > MAX_MESSAGE {
            return Err(Error::TooLong);
        }
        Ok(out)
    }

    /// True for a response (QR).
    pub fn is_response(&self) -> bool {
        self.flags & FLAG_QR != 0
    }

    /// The opcode (`OPCODE_...`).
    pub fn opcode(&self) -> u8 {
        ((self.flags >> 11) & 0xf) as u8
    }

    /// The response code (`RCODE_...`), without the bits that EDNS would add.
    pub fn rcode(&self) -> u8 {
        (self.flags & 0xf) as u8
    }

    /// True if the server answers for its own zone (AA).
    pub fn is_authoritative(&self) -> bool {
        self.flags & FLAG_AA != 0
    }

    /// True if the message was cut to fit (TC).
    pub fn is_truncated(&self) -> bool {
        self.flags & FLAG_TC != 0
    }
}

impl Rr {
    /// A record without data, as UPDATE's deletions and prerequisites have it; its time to live is 0.
    pub fn empty(name: impl Into<String>, rtype: u16, class: u16) -> Rr {
        Rr { name: name.into(), rtype, class, ttl: 0, data: Data::Raw(Vec::new()) }
    }

    /// Appends the record in wire form, names uncompressed.
    ///
    /// # Errors
    /// [`Error::Name`] or [`Error::TooLong`] when a part does not fit.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        write_name(&self.name, out)?;
        out.extend(self.rtype.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        let data = self.data.to_bytes()?;
        out.extend(u16::try_from(data.len()).map_err(|_| Error::TooLong)?.to_be_bytes());
        out.extend(data);
        Ok(())
    }
}

impl Data {
    /// The data in wire form, names uncompressed.
    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        match self {
            Data::A(addr) => out.extend(addr.octets()),
            Data::Aaaa(addr) => out.extend(addr.octets()),
            Data::Name(name) => write_name(name, &mut out)?,
            Data::Soa(primary, mailbox, numbers) => {
                write_name(primary, &mut out)?;
                write_name(mailbox, &mut out)?;
                numbers.iter().for_each(|n| out.extend(n.to_be_bytes()));
            }
            Data::Raw(bytes) => out.extend(bytes),
        }
        Ok(out)
    }
}

/// A question in wire form: class IN, opcode QUERY, `rd` asks the server to recurse.
///
/// # Errors
/// [`Error::Name`] when the name cannot be one.
pub fn query(id: u16, name: &str, rtype: u16, rd: bool) -> Result<Vec<u8>, Error> {
    let flags = if rd { FLAG_RD } else { 0 };
    let questions = vec![Question { name: name.into(), rtype, class: CLASS_IN }];
    Message { id, flags, questions, ..Message::default() }.to_bytes()
}

/// The last record of the additional section and the offset at which it starts: where a TSIG is and
/// what it covers (RFC 8945 section 5.1). `None` if that section is empty.
///
/// # Errors
/// As [`Message::parse`].
pub fn last_additional(bytes: &[u8]) -> Result<Option<(usize, Rr)>, Error> {
    let (mut message, last) = parse(bytes)?;
    Ok(message.additional.pop().map(|rr| (last, rr)))
}

/// The message, and the offset at which its last record starts.
fn parse(bytes: &[u8]) -> Result<(Message, usize), Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLong);
    }
    let at = &mut 0;
    let mut message = Message { id: read_u16(bytes, at)?, flags: read_u16(bytes, at)?, ..Message::default() };
    let mut counts = [0usize; 4];
    for count in &mut counts {
        *count = usize::from(read_u16(bytes, at)?);
    }
    if counts.iter().sum::<usize>() > MAX_RECORDS {
        return Err(Error::TooMany);
    }
    let [questions, answers, authority, additional] = counts;
    for _ in 0..questions {
        let name = read_name(bytes, at)?;
        message.questions.push(Question { name, rtype: read_u16(bytes, at)?, class: read_u16(bytes, at)? });
    }
    let mut last = HEADER;
    let sections = [
        (answers, &mut message.answers),
        (authority, &mut message.authority),
        (additional, &mut message.additional),
    ];
    for (count, section) in sections {
        for _ in 0..count {
            last = *at;
            section.push(read_rr(bytes, at)?);
        }
    }
    if *at != bytes.len() {
        return Err(Error::Trailing);
    }
    Ok((message, last))
}

/// Reads a record and moves `*at` behind it.
fn read_rr(bytes: &[u8], at: &mut usize) -> Result<Rr, Error> {
    let name = read_name(bytes, at)?;
    let rtype = read_u16(bytes, at)?;
    let class = read_u16(bytes, at)?;
    let ttl = read_u32(bytes, at)?;
    let length = usize::from(read_u16(bytes, at)?);
    let start = *at;
    let raw = take(bytes, at, length)?;
    let data = read_data(bytes, start, raw, rtype)?;
    Ok(Rr { name, rtype, class, ttl, data })
}

/// Reads the data `raw` of a record, which start at `start` of the message (names in it may be compressed).
fn read_data(bytes: &[u8], start: usize, raw: &[u8], rtype: u16) -> Result<Data, Error> {
    if raw.is_empty() {
        return Ok(Data::Raw(Vec::new()));
    }
    let mut at = start;
    let data = match rtype {
        TYPE_A => Data::A(<[u8; 4]>::try_from(take(bytes, &mut at, 4)?).map_err(|_| Error::Rdata)?.into()),
        TYPE_AAAA => {
            Data::Aaaa(<[u8; 16]>::try_from(take(bytes, &mut at, 16)?).map_err(|_| Error::Rdata)?.into())
        }
        TYPE_NS | TYPE_CNAME | TYPE_PTR => Data::Name(read_name(bytes, &mut at)?),
        TYPE_SOA => {
            let primary = read_name(bytes, &mut at)?;
            let mailbox = read_name(bytes, &mut at)?;
            let mut numbers = [0; 5];
            for number in &mut numbers {
                *number = read_u32(bytes, &mut at)?;
            }
            Data::Soa(primary, mailbox, numbers)
        }
        _ => return Ok(Data::Raw(raw.to_vec())),
    };
    if at != start + raw.len() {
        return Err(Error::Rdata);
    }
    Ok(data)
}

/// Takes `count` bytes at `*at` and moves it behind them.
fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize) -> Result<&'a [u8], Error> {
    let end = at.checked_add(count).ok_or(Error::Truncated)?;
    let taken = bytes.get(*at..end).ok_or(Error::Truncated)?;
    *at = end;
    Ok(taken)
}

/// Reads one byte.
fn read_u8(bytes: &[u8], at: &mut usize) -> Result<u8, Error> {
    take(bytes, at, 1)?.first().copied().ok_or(Error::Truncated)
}

/// Reads two bytes, big endian.
fn read_u16(bytes: &[u8], at: &mut usize) -> Result<u16, Error> {
    Ok(u16::from_be_bytes(take(bytes, at, 2)?.try_into().map_err(|_| Error::Truncated)?))
}

/// Reads four bytes, big endian.
fn read_u32(bytes: &[u8], at: &mut usize) -> Result<u32, Error> {
    Ok(u32::from_be_bytes(take(bytes, at, 4)?.try_into().map_err(|_| Error::Truncated)?))
}

#[cfg(test)]
mod tests;
