//! TSIG (RFC 8945): signs a DNS message and verifies the answer to it. HMAC over SHA-2 only.

use crate::wire::dns::{self, Data, Rr, CLASS_ANY, TYPE_TSIG};
use base64ct::{Base64, Encoding};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::fmt;

/// How far the two clocks may differ, in seconds (RFC 8945 section 10).
pub const FUDGE: u16 = 300;
/// TSIG error: the MAC is wrong (wrong secret).
pub const BADSIG: u16 = 16;
/// TSIG error: the key's name or its algorithm is not known there.
pub const BADKEY: u16 = 17;
/// TSIG error: the clocks differ by more than the fudge.
pub const BADTIME: u16 = 18;
/// TSIG error: the MAC is too short for the server.
pub const BADTRUNC: u16 = 22;
/// The longest secret that is taken, in bytes.
pub const MAX_SECRET: usize = 1024;

/// Offset of the header's count of additional records.
const ARCOUNT: usize = 10;
/// Length of a DNS header.
const HEADER: usize = 12;

/// The hash below the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha224`
    Sha224,
    /// `hmac-sha256`
    Sha256,
    /// `hmac-sha384`
    Sha384,
    /// `hmac-sha512`
    Sha512,
}

impl Algorithm {
    /// All that are known.
    pub const ALL: [Algorithm; 4] =
        [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha384, Algorithm::Sha224];

    /// Its name as in DNS, without the final dot.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha224 => "hmac-sha224",
            Algorithm::Sha256 => "hmac-sha256",
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
        }
    }

    /// By its name, in any case, with or without the final dot.
    pub fn find(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| dns::same_name(algorithm.name(), name))
    }

    /// The MAC of some parts, one after the other.
    pub(super) fn mac(self, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Algorithm::Sha224 => hash::<Sha224>(secret, parts).map(|m| m.finalize().into_bytes().to_vec()),
            Algorithm::Sha256 => hash::<Sha256>(secret, parts).map(|m| m.finalize().into_bytes().to_vec()),
            Algorithm::Sha384 => hash::<Sha384>(secret, parts).map(|m| m.finalize().into_bytes().to_vec()),
            Algorithm::Sha512 => hash::<Sha512>(secret, parts).map(|m| m.finalize().into_bytes().to_vec()),
        }
        .unwrap_or_default()
    }

    /// Whether `mac` is the MAC of the parts; takes the same time for every wrong one.
    fn check(self, secret: &[u8], parts: &[&[u8]], mac: &[u8]) -> bool {
        match self {
            Algorithm::Sha224 => hash::<Sha224>(secret, parts).is_some_and(|m| m.verify_slice(mac).is_ok()),
            Algorithm::Sha256 => hash::<Sha256>(secret, parts).is_some_and(|m| m.verify_slice(mac).is_ok()),
            Algorithm::Sha384 => hash::<Sha384>(secret, parts).is_some_and(|m| m.verify_slice(mac).is_ok()),
            Algorithm::Sha512 => hash::<Sha512>(secret, parts).is_some_and(|m| m.verify_slice(mac).is_ok()),
        }
    }
}

/// An HMAC that has taken the parts in. HMAC takes keys of any length, so `None` never comes.
fn hash<D: EagerHash>(secret: &[u8], parts: &[&[u8]]) -> Option<Hmac<D>>
where
    Hmac<D>: KeyInit + Mac,
{
    let mut hmac = <Hmac<D> as KeyInit>::new_from_slice(secret).ok()?;
    parts.iter().for_each(|part| Mac::update(&mut hmac, part));
    Some(hmac)
}

/// A key that the server shares with us.
#[derive(Clone)]
pub struct Key {
    name: String,
    algorithm: Algorithm,
    secret: Vec<u8>,
}

/// Why a key cannot be made or a message not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The key's name is no DNS name.
    Name,
    /// The algorithm is none of [`Algorithm::ALL`].
    Algorithm,
    /// The secret is not base64, empty, or longer than [`MAX_SECRET`].
    Secret,
    /// The message has no header, or would be too long.
    Message,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Name => "the key's name is no DNS name",
            KeyError::Algorithm => {
                "the algorithm is none of hmac-sha256, hmac-sha512, hmac-sha384, hmac-sha224"
            }
            KeyError::Secret => "the secret is not base64, as the server's key file has it",
            KeyError::Message => "the message cannot be signed",
        })
    }
}

impl Key {
    /// A key by its name, its algorithm's name and its secret in base64 (with or without padding).
    ///
    /// # Errors
    /// The part that cannot be.
    pub fn new(name: &str, algorithm: &str, secret: &str) -> Result<Key, KeyError> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        dns::write_name(&name, &mut Vec::new()).map_err(|_| KeyError::Name)?;
        let algorithm = Algorithm::find(algorithm).ok_or(KeyError::Algorithm)?;
        if secret.len() > 2 * MAX_SECRET {
            return Err(KeyError::Secret);
        }
        let mut text: String = secret.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        while text.len() % 4 != 0 {
            text.push('=');
        }
        let secret = Base64::decode_vec(&text).map_err(|_| KeyError::Secret)?;
        if name.is_empty() || secret.is_empty() || secret.len() > MAX_SECRET {
            return Err(if name.is_empty() { KeyError::Name } else { KeyError::Secret });
        }
        Ok(Key { name, algorithm, secret })
    }

    /// The key's name: lower case, no final dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash below the HMAC.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes that a MAC covers besides the message: the "TSIG variables" of RFC 8945 section 4.3.3.
    fn variables(&self, stamp: &Stamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        // Both names were checked when the key was made.
        let _ = dns::write_name(&self.name, &mut out);
        out.extend(CLASS_ANY.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        let _ = dns::write_name(self.algorithm.name(), &mut out);
        out.extend(time48(stamp.time));
        out.extend(stamp.fudge.to_be_bytes());
        out.extend(stamp.error.to_be_bytes());
        out.extend((stamp.other.len() as u16).to_be_bytes());
        out.extend(&stamp.other);
        out
    }
}

/// What a TSIG record says besides the MAC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp {
    /// Unix time in seconds, 48 bits.
    time: u64,
    fudge: u16,
    error: u16,
    other: Vec<u8>,
}

/// The six bytes of a time.
fn time48(time: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = time.to_be_bytes();
    [a, b, c, d, e, f]
}

/// A signed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// To be sent exactly so.
    pub bytes: Vec<u8>,
    /// Needed to verify the answer.
    pub mac: Vec<u8>,
}

/// Signs a message that has no TSIG yet. `now` is Unix time in seconds.
///
/// # Errors
/// [`KeyError::Message`] when it is no message or becomes too long.
pub fn sign(key: &Key, message: &[u8], now: u64) -> Result<Signed, KeyError> {
    let id = message.get(..2).ok_or(KeyError::Message)?;
    let stamp = Stamp { time: now, fudge: FUDGE, ..Stamp::default() };
    let mac = key.algorithm.mac(&key.secret, &[message, &key.variables(&stamp)]);
    let mut data = Vec::with_capacity(96);
    dns::write_name(key.algorithm.name(), &mut data).map_err(|_| KeyError::Message)?;
    data.extend(time48(stamp.time));
    data.extend(stamp.fudge.to_be_bytes());
    data.extend((mac.len() as u16).to_be_bytes());
    data.extend(&mac);
    data.extend(id);
    data.extend([0; 4]);
    let mut bytes = message.to_vec();
    add_to_count(&mut bytes, 1).ok_or(KeyError::Message)?;
    Rr { name: key.name.clone(), rtype: TYPE_TSIG, class: CLASS_ANY, ttl: 0, data: Data::Raw(data) }
        .write(&mut bytes)
        .map_err(|_| KeyError::Message)?;
    if bytes.len() > dns::MAX_MESSAGE {
        return Err(KeyError::Message);
    }
    Ok(Signed { bytes, mac })
}

/// Adds to the header's count of additional records (65,535 is -1). `None` if there is no header.
fn add_to_count(message: &mut [u8], by: u16) -> Option<()> {
    let field = message.get_mut(ARCOUNT..HEADER)?;
    let count = u16::from_be_bytes(<[u8; 2]>::try_from(&*field).ok()?);
    field.copy_from_slice(&count.wrapping_add(by).to_be_bytes());
    Some(())
}

/// A TSIG that is the server's own: its MAC is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The TSIG error, 0 for none; [`BADTIME`] is the one that comes signed.
    pub error: u16,
    /// With [`BADTIME`]: the server's clock, Unix time in seconds.
    pub server_time: Option<u64>,
}

/// Why an answer does not count as the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is no DNS message, or its TSIG record is malformed.
    Malformed,
    /// It has no TSIG record.
    Unsigned,
    /// It has a TSIG record without MAC that tells this TSIG error ([`BADSIG`], [`BADKEY`]).
    Told(u16),
    /// It is signed with another key or algorithm.
    OtherKey,
    /// Its MAC is wrong.
    Mac,
    /// It is right, but its time is too far from ours.
    Time,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unverified::Malformed => "the signature record is malformed",
            Unverified::Unsigned => "the answer is not signed",
            Unverified::Told(BADSIG) => "BADSIG: wrong signature",
            Unverified::Told(BADKEY) => "BADKEY: unknown key",
            Unverified::Told(BADTRUNC) => "BADTRUNC: signature too short",
            Unverified::Told(_) => "the server reports a signature error",
            Unverified::OtherKey => "the answer is signed with another key",
            Unverified::Mac => "the answer's signature is wrong",
            Unverified::Time => "the answer's signature is of another time",
        })
    }
}

/// The fields of a TSIG record's data (RFC 8945 section 4.2).
struct Parsed<'a> {
    algorithm: String,
    stamp: Stamp,
    mac: &'a [u8],
    original_id: &'a [u8],
}

/// Reads a TSIG record's data.
fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let mut at = 0;
    let algorithm = dns::read_name(data, &mut at).ok()?;
    let mut rest = data.get(at..)?;
    let mut take = |n: usize| -> Option<&[u8]> {
        let (head, tail) = rest.split_at_checked(n)?;
        rest = tail;
        Some(head)
    };
    let time = take(6)?.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
    let fudge = number(take(2)?);
    let length = usize::from(number(take(2)?));
    let mac = take(length)?;
    let original_id = take(2)?;
    let error = number(take(2)?);
    let length = usize::from(number(take(2)?));
    let other = take(length)?.to_vec();
    rest.is_empty().then_some(Parsed {
        algorithm,
        stamp: Stamp { time, fudge, error, other },
        mac,
        original_id,
    })
}

/// A big-endian number of two bytes.
fn number(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}

/// Verifies the answer to a signed request (RFC 8945 section 5.3). `now` is Unix time in seconds.
///
/// # Errors
/// Why the answer is not to be believed.
pub fn verify(key: &Key, request_mac: &[u8], answer: &[u8], now: u64) -> Result<Verified, Unverified> {
    let last = dns::last_additional(answer).map_err(|_| Unverified::Malformed)?;
    let Some((start, rr)) = last.filter(|(_, rr)| rr.rtype == TYPE_TSIG) else {
        return Err(Unverified::Unsigned);
    };
    let Data::Raw(data) = &rr.data else { return Err(Unverified::Malformed) };
    if rr.class != CLASS_ANY || rr.ttl != 0 {
        return Err(Unverified::Malformed);
    }
    let tsig = parse(data).ok_or(Unverified::Malformed)?;
    if tsig.mac.is_empty() && tsig.stamp.error != 0 {
        return Err(Unverified::Told(tsig.stamp.error));
    }
    if !dns::same_name(&rr.name, &key.name) || !dns::same_name(&tsig.algorithm, key.algorithm.name()) {
        return Err(Unverified::OtherKey);
    }
    let mut message = answer.get(..start).ok_or(Unverified::Malformed)?.to_vec();
    add_to_count(&mut message, u16::MAX).ok_or(Unverified::Malformed)?;
    message.get_mut(..2).ok_or(Unverified::Malformed)?.copy_from_slice(tsig.original_id);
    let length = (request_mac.len() as u16).to_be_bytes();
    let parts = [&length[..], request_mac, &message, &key.variables(&tsig.stamp)];
    if !key.algorithm.check(&key.secret, &parts, tsig.mac) {
        return Err(Unverified::Mac);
    }
    let stamp = tsig.stamp;
    if stamp.error == BADTIME {
        let server_time =
            (stamp.other.len() == 6).then(|| stamp.other.iter().fold(0, |t, b| t << 8 | u64::from(*b)));
        return Ok(Verified { error: BADTIME, server_time });
    }
    if now.abs_diff(stamp.time) > u64::from(stamp.fudge) {
        return Err(Unverified::Time);
    }
    Ok(Verified { error: stamp.error, server_time: None })
}

#[cfg(test)]
mod tests;
