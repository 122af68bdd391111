//! The room's name server: every name is 127.0.0.1, except those under example.com, which do not exist
//! yet (so that a client that looks before it writes finds that it must write). RFC 1035, section 4.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const NXDOMAIN: u8 = 3;

/// Answers on 127.0.0.1:53 until the process ends.
///
/// # Errors
/// When the port cannot be bound.
pub fn serve() -> Result<()> {
    let socket =
        UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 53))).context("cannot bind 127.0.0.1:53")?;
    thread::spawn(move || {
        let mut buffer = [0u8; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = buffer.get(..length).and_then(answer) {
                // A client that went away has no use for the answer.
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    Ok(())
}

/// The answer to one query, or `None` if it is not one.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(end)?);
        end += 1;
        if length == 0 {
            break;
        }
        labels.push(query.get(end..end + length)?.to_ascii_lowercase());
        end += length;
    }
    let kind = query.get(end..end + 2)?;
    let question = query.get(HEADER..end + 4)?;
    let ours = labels.ends_with(&[b"example".to_vec(), b"com".to_vec()]);
    let found = !ours && kind == TYPE_A;
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x85, 0x80 | if ours { NXDOMAIN } else { 0 }, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    reply.extend(question);
    if found {
        reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::answer;

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
    fn every_service_is_loopback_and_our_name_is_not_there() {
        let service = answer(&query("members.dyndns.org", 1)).unwrap();
        assert!(service.ends_with(&[127, 0, 0, 1]));
        assert_eq!(service[..2], [7, 9]);
        assert_eq!(answer(&query("members.dyndns.org", 28)).unwrap()[7], 0);
        assert_eq!(answer(&query("cam.Example.com", 1)).unwrap()[3] & 15, 3);
    }

    #[test]
    fn a_truncated_query_has_no_answer() {
        let whole = query("members.dyndns.org", 1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length} bytes");
        }
    }
}
