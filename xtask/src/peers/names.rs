//! The room's name server, recursive and authoritative in one: every name is 127.0.0.1, except those under
//! example.com, which have the addresses that were published and else do not exist (so that a client that
//! looks before it writes finds that it must write). RFC 1035, section 4.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;
const NXDOMAIN: u8 = 3;
/// The zone whose names are published.
pub const ZONE: &str = "example.com";
/// Its name server, in wire form.
const NAME_SERVER: &[u8] = b"\x02ns\x07example\x03net\x00";

/// What is published.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Ipv4Addr>>>);

impl Names {
    /// Answers on 127.0.0.1:53 until the process ends.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn serve() -> Result<Names> {
        let names = Names::default();
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)))
            .context("cannot bind 127.0.0.1:53")?;
        let told = names.clone();
        thread::spawn(move || {
            let mut buffer = [0u8; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = buffer.get(..length).and_then(|query| told.answer(query)) {
                    // A client that went away has no use for the answer.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Ok(names)
    }

    /// Publishes an address.
    pub fn publish(&self, name: &str, addr: Ipv4Addr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase(), addr);
    }

    /// How many names have this address.
    pub fn count(&self, addr: Ipv4Addr) -> usize {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.values().filter(|known| **known == addr).count()
    }

    /// Forgets everything that was published.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The answer to one query, or `None` if it is not one.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = question(query)?;
        let kind = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
        let ours = name == ZONE || name.ends_with(".example.com");
        let published = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        let data: Option<Vec<u8>> = match kind {
            TYPE_A if ours => published.map(|addr| addr.octets().to_vec()),
            TYPE_A => Some(vec![127, 0, 0, 1]),
            TYPE_NS if name == ZONE => Some(NAME_SERVER.to_vec()),
            _ => None,
        };
        let exists = !ours || name == ZONE || published.is_some();
        let mut reply = query.get(..2)?.to_vec();
        let code = if exists { 0 } else { NXDOMAIN };
        reply.extend([0x85, 0x80 | code, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
        reply.extend(query.get(HEADER..end + 4)?);
        if let Some(data) = data {
            reply.extend([0xc0, HEADER as u8, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
            reply.extend(data);
        }
        Some(reply)
    }
}

/// The name that is asked for, in lower case, and where its type begins.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut bytes = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0, 0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn every_service_is_loopback_and_our_name_is_there_once_published() {
        let names = Names::default();
        let service = names.answer(&query("members.dyndns.org", 1)).unwrap();
        assert!(service.ends_with(&[127, 0, 0, 1]));
        assert_eq!(service[..2], [7, 9]);
        assert_eq!(names.answer(&query("members.dyndns.org", 28)).unwrap()[7], 0);
        assert_eq!(names.answer(&query("cam.Example.com", 1)).unwrap()[3] & 15, 3);
        names.publish("cam.example.com", [203, 0, 113, 9].into());
        assert!(names.answer(&query("cam.Example.com", 1)).unwrap().ends_with(&[203, 0, 113, 9]));
        assert_eq!(names.answer(&query("cam.example.com", 28)).unwrap()[3] & 15, 0);
        assert!(names.answer(&query("example.com", 2)).unwrap().ends_with(b"\x03net\x00"));
    }

    #[test]
    fn a_truncated_query_has_no_answer() {
        let whole = query("members.dyndns.org", 1);
        for length in 0..whole.len() {
            assert_eq!(Names::default().answer(&whole[..length]), None, "{length} bytes");
        }
    }
}
