//! DNS messages (RFC 1035 section 4) and UPDATE messages (RFC 2136 section 2): bytes to meaning and back.
//! Names are lower-case text without the final dot, the root is `""`; odd bytes are escaped as in RFC 1035 section 5.1.

mod line;

pub use line::line;

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

/// True if two names are the same: ASCII case and a final dot do not count.
pub fn same_name(a: &str, b: &str) -> bool {
    fn bare(name: &str) -> &str {
        match name.strip_suffix('.') {
            Some(head) if !ends_escaped(head) => head,
            _ => name,
        }
    }
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// True if what follows `head` is escaped: it ends in an odd number of backslashes.
fn ends_escaped(head: &str) -> bool {
    head.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Appends a name in wire form: lower case, uncompressed. Takes a final dot and the escapes of [`read_name`].
///
/// # Errors
/// [`Error::Name`] for an empty or too long label, a too long name, or a broken escape.
pub fn write_name(name: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    if !name.is_empty() && name != "." {
        let mut bytes = name.bytes();
        let mut label = Vec::with_capacity(MAX_LABEL);
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => end_label(&mut label, out)?,
                b'\\' => label.push(unescape(&mut bytes)?.to_ascii_lowercase()),
                other => label.push(other.to_ascii_lowercase()),
            }
            if label.len() > MAX_LABEL || out.len() - start > MAX_NAME {
                return Err(Error::Name);
            }
        }
        if !label.is_empty() {
            end_label(&mut label, out)?;
        }
    }
    out.push(0);
    if out.len() - start > MAX_NAME {
        return Err(Error::Name);
    }
    Ok(())
}

/// Appends a label with its length and empties it.
fn end_label(label: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Error> {
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err(Error::Name);
    }
    out.push(label.len() as u8);
    out.append(label);
    Ok(())
}

/// The byte that stands after a backslash: three decimal digits, or itself.
fn unescape(bytes: &mut std::str::Bytes) -> Result<u8, Error> {
    let first = bytes.next().ok_or(Error::Name)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(Error::Name)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| Error::Name)
}

/// Reads a name that starts at `*at` of a message, follows its compression pointers, and moves `*at` behind it.
/// Dots and backslashes within a label come as `\.` and `\\`, bytes that are not printable ASCII as `\DDD`.
///
/// # Errors
/// [`Error::Truncated`], or [`Error::Name`] for what is too long, of an unknown label type, or does not point backwards.
pub fn read_name(bytes: &[u8], at: &mut usize) -> Result<String, Error> {
    let mut name = String::new();
    let mut cursor = *at;
    // Each pointer must lead to before the part that it was met in: so there is no circle.
    let mut limit = *at;
    let mut length = 1;
    let mut jumped = false;
    loop {
        let first = read_u8(bytes, &mut cursor)?;
        match first {
            0 => break,
            1..=0x3f => {
                length += usize::from(first) + 1;
                if length > MAX_NAME {
                    return Err(Error::Name);
                }
                if !name.is_empty() {
                    name.push('.');
                }
                push_label(take(bytes, &mut cursor, usize::from(first))?, &mut name);
            }
            0xc0..=0xff => {
                let target = usize::from(first & 0x3f) << 8 | usize::from(read_u8(bytes, &mut cursor)?);
                if !jumped {
                    *at = cursor;
                    jumped = true;
                }
                if target >= limit {
                    return Err(Error::Name);
                }
                limit = target;
                cursor = target;
            }
            _ => return Err(Error::Name),
        }
    }
    if !jumped {
        *at = cursor;
    }
    Ok(name)
}

/// Appends a label as text.
fn push_label(label: &[u8], name: &mut String) {
    for byte in label {
        match byte.to_ascii_lowercase() {
            b'.' => name.push_str("\\."),
            b'\\' => name.push_str("\\\\"),
            shown @ 0x21..=0x7e => name.push(char::from(shown)),
            odd => {
                name.push('\\');
                [odd / 100, odd / 10 % 10, odd % 10].iter().for_each(|d| name.push(char::from(b'0' + d)));
            }
        }
    }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    /// A signed UPDATE that BIND 9, Knot and PowerDNS took: replaces www.example.com A.
    const UPDATE: &str = "123428000001000000020001076578616d706c6503636f6d0000060001
        03777777076578616d706c6503636f6d00000100ff000000000000
        03777777076578616d706c6503636f6d00000100010000012c0004cb007107
        0864646e732d6b65790000fa00ff00000000003d
        0b686d61632d73686132353600 0000695735a5 012c 0020
        7af18eb306384f31d79ce2030f163592ee90fd987de185a916e9be0a9b9107f5
        123400000000";

    /// An authoritative answer with compression: www.Example.com CNAME a.example.com, that A 192.0.2.1,
    /// and the zone's NS and SOA.
    const ANSWER: &str = "beef8580 0001 0002 0002 0000
        03777777 074578616d706c65 03636f6d 00 0001 0001
        c00c 0005 0001 00000e10 0004 0161 c010
        c02d 0001 0001 0000003c 0004 c0000201
        c010 0002 0001 00000e10 0006 036e7331 c010
        c010 0006 0001 00000e10 0027
          036e7331 c010 0a686f73746d6173746572 c010 00000001 00000e10 00000384 00093a80 0000003c";

    #[test]
    fn reads_a_compressed_answer() {
        let bytes = hex(ANSWER);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.id, 0xbeef);
        assert!(message.is_response() && message.is_authoritative() && !message.is_truncated());
        assert_eq!((message.opcode(), message.rcode()), (OPCODE_QUERY, RCODE_NOERROR));
        assert_eq!(message.questions[0].name, "www.example.com");
        assert_eq!(message.answers[0].data, Data::Name("a.example.com".into()));
        assert_eq!(message.answers[1].name, "a.example.com");
        assert_eq!(message.answers[1].data, Data::A([192, 0, 2, 1].into()));
        assert_eq!(message.authority[0].data, Data::Name("ns1.example.com".into()));
        let soa = [1, 3600, 900, 604_800, 60];
        let expected = Data::Soa("ns1.example.com".into(), "hostmaster.example.com".into(), soa);
        assert_eq!(message.authority[1].data, expected);
        assert_eq!(Message::parse(&message.to_bytes().unwrap()).unwrap(), message);
    }

    #[test]
    fn an_update_survives_byte_for_byte() {
        let bytes = hex(UPDATE);
        assert_eq!(bytes.len(), 168);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.opcode(), OPCODE_UPDATE);
        assert_eq!(
            message.questions,
            [Question { name: "example.com".into(), rtype: TYPE_SOA, class: CLASS_IN }]
        );
        assert_eq!(message.authority[0], Rr::empty("www.example.com", TYPE_A, CLASS_ANY));
        assert_eq!(message.authority[1].data, Data::A([203, 0, 113, 7].into()));
        assert_eq!(message.to_bytes().unwrap(), bytes);
        let (start, tsig) = last_additional(&bytes).unwrap().unwrap();
        assert_eq!((start, tsig.name.as_str(), tsig.rtype), (87, "ddns-key", TYPE_TSIG));
        assert_eq!(last_additional(&hex(ANSWER)).unwrap(), None);
    }

    #[test]
    fn every_truncation_and_every_excess_is_refused() {
        for text in [UPDATE, ANSWER] {
            let mut bytes = hex(text);
            for end in 0..bytes.len() {
                assert_eq!(Message::parse(&bytes[..end]), Err(Error::Truncated), "cut at {end}");
            }
            bytes.push(0);
            assert_eq!(Message::parse(&bytes), Err(Error::Trailing));
        }
    }

    #[test]
    fn a_query_is_as_captured() {
        let bytes = query(0x2d65, "WWW.example.com.", TYPE_A, true).unwrap();
        assert_eq!(bytes, hex("2d650100000100000000000003777777076578616d706c6503636f6d0000010001"));
        let plain = Message::parse(&query(1, "", TYPE_NS, false).unwrap()).unwrap();
        assert_eq!((plain.flags, plain.questions[0].name.as_str()), (0, ""));
    }

    #[test]
    fn pointers_lead_backwards_only() {
        for bad in ["c000", "c002", "0161c000", "00c003c001"] {
            let bytes = hex(bad);
            let mut at = if bad.starts_with("00") { 1 } else { 0 };
            assert_eq!(read_name(&bytes, &mut at), Err(Error::Name), "{bad}");
        }
        // Two pointers at each other, entered from behind.
        let bytes = hex("c002c000c002");
        assert_eq!(read_name(&bytes, &mut 4), Err(Error::Name));
        let mut at = 3;
        assert_eq!(read_name(&hex("0161000162c000"), &mut at), Ok("b.a".into()));
        assert_eq!(at, 7);
        for kind in ["40", "80", "bf"] {
            assert_eq!(read_name(&hex(kind), &mut 0), Err(Error::Name));
        }
    }

    #[test]
    fn names_have_their_limits() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        let mut out = Vec::new();
        write_name(&longest, &mut out).unwrap();
        assert_eq!(out.len(), MAX_NAME);
        assert_eq!(read_name(&out, &mut 0), Ok(longest.clone()));
        for bad in
            [format!("{longest}b"), "a".repeat(64), "a..b".into(), ".a".into(), "..".into(), "a\\".into()]
        {
            assert_eq!(write_name(&bad, &mut Vec::new()), Err(Error::Name), "{bad}");
        }
        // 256 bytes on the wire: one label more than fits.
        let mut wire: Vec<u8> = (0..127).flat_map(|_| [1, b'a']).collect();
        wire.push(0);
        assert_eq!(read_name(&wire, &mut 0).unwrap().len(), 253);
        wire.splice(0..0, [1, b'a']);
        assert_eq!(read_name(&wire, &mut 0), Err(Error::Name));
    }

    #[test]
    fn odd_bytes_in_labels_are_escaped() {
        let wire = [4, b'a', b'.', b'\\', 0xe9, 0];
        let name = read_name(&wire, &mut 0).unwrap();
        assert_eq!(name, "a\\.\\\\\\233");
        let mut out = Vec::new();
        write_name(&name, &mut out).unwrap();
        assert_eq!(out, wire);
        assert!(same_name("A.example.", "a.EXAMPLE") && !same_name("a\\.", "a\\") && !same_name("a", "b"));
        assert_eq!(write_name("\\256", &mut Vec::new()), Err(Error::Name));
    }

    #[test]
    fn wrong_lengths_of_data_are_refused() {
        for (rtype, data) in [("0001", "0003c00002"), ("001c", "0004c0000201"), ("0002", "00020000")] {
            let mut message = hex("000180000000000100000000");
            message.extend(hex(&format!("00 {rtype} 0001 00000000 {data}")));
            assert!(matches!(Message::parse(&message), Err(Error::Rdata | Error::Truncated)), "{rtype}");
        }
        let many = hex("0001800000000401 00000000");
        assert_eq!(Message::parse(&many), Err(Error::TooMany));
    }

    fn name() -> impl Strategy<Value = String> {
        let label = prop::collection::vec(any::<u8>(), 1..20);
        prop::collection::vec(label, 0..6).prop_map(|labels| {
            let mut wire: Vec<u8> = Vec::new();
            for label in labels {
                wire.push(label.len() as u8);
                wire.extend(label);
            }
            wire.push(0);
            read_name(&wire, &mut 0).unwrap()
        })
    }

    fn rr() -> impl Strategy<Value = Rr> {
        let data = prop_oneof![
            any::<[u8; 4]>().prop_map(|a| (TYPE_A, Data::A(a.into()))),
            any::<[u8; 16]>().prop_map(|a| (TYPE_AAAA, Data::Aaaa(a.into()))),
            name().prop_map(|n| (TYPE_NS, Data::Name(n))),
            name().prop_map(|n| (TYPE_CNAME, Data::Name(n))),
            (name(), name(), any::<[u32; 5]>()).prop_map(|(m, r, n)| (TYPE_SOA, Data::Soa(m, r, n))),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| (TYPE_TSIG, Data::Raw(b))),
            Just((TYPE_A, Data::Raw(Vec::new()))),
        ];
        let build = |(name, class, ttl, (rtype, data))| Rr { name, rtype, class, ttl, data };
        (name(), any::<u16>(), any::<u32>(), data).prop_map(build)
    }

    proptest! {
        #[test]
        fn round_trip(
            head in any::<(u16, u16)>(),
            zone in name(),
            sections in prop::array::uniform3(prop::collection::vec(rr(), 0..4)),
        ) {
            let [answers, authority, additional] = sections;
            let questions = vec![Question { name: zone, rtype: TYPE_SOA, class: CLASS_IN }];
            let message = Message { id: head.0, flags: head.1, questions, answers, authority, additional };
            let bytes = message.to_bytes().unwrap();
            prop_assert_eq!(Message::parse(&bytes).unwrap(), message);
            for end in 0..bytes.len() {
                prop_assert!(Message::parse(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), flips in any::<[(u16, u8); 4]>()) {
            let _ = Message::parse(&bytes);
            for text in [UPDATE, ANSWER] {
                let mut bytes = hex(text);
                for (at, value) in flips {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] = value;
                }
                if let Ok(message) = Message::parse(&bytes) {
                    let again = message.to_bytes().unwrap();
                    prop_assert_eq!(Message::parse(&again).unwrap(), message);
                }
            }
        }

        #[test]
        fn any_text_is_a_name_or_an_error(text in ".{0,300}") {
            let mut out = Vec::new();
            if write_name(&text, &mut out).is_ok() {
                prop_assert!(out.len() <= MAX_NAME);
                let shown = read_name(&out, &mut 0).unwrap();
                let mut again = Vec::new();
                write_name(&shown, &mut again).unwrap();
                prop_assert_eq!(again, out);
            }
        }
    }
}
