//! Somebody who answers in the name servers' place: passes questions on, and takes the authority from the answers; or
//! invents addresses for names that cannot be.

use crate::lab::*;
use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The authoritative bit, in the third octet of a message (RFC 1035 section 4.1.1).
const AA: u8 = 0x04;
/// The end of a name in a question: `.invalid`.
const INVALID: &[u8] = b"\x07invalid\x00";

/// It. Dropped, it answers no more.
pub struct Meddler {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meddler {
    /// Answers at this address; invents, if it `lies`.
    pub fn start(place: &Ns, at: Ipv4Addr, lies: bool) -> Result<Meddler> {
        place.ip(&format!("addr replace {at}/32 dev lo"))?;
        let (socket, ahead) = place.enter(|| {
            let ahead = UdpSocket::bind((at, 0))?;
            ahead.connect((DNS4, 53))?;
            ahead.set_read_timeout(Some(SECOND))?;
            let socket = UdpSocket::bind((at, 53))?;
            socket.set_read_timeout(Some(SECOND / 5))?;
            Ok((socket, ahead))
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        let thread = thread::spawn(move || {
            let (mut question, mut answer) = ([0; 4096], [0; 4096]);
            while !over.load(Ordering::Acquire) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                let told = match question[..length].windows(INVALID.len()).any(|part| part == INVALID) {
                    true if lies => invented(&question[..length]),
                    _ => {
                        let _ = ahead.send(&question[..length]);
                        let Ok(length) = ahead.recv(&mut answer) else { continue };
                        answer[2] &= !AA;
                        answer[..length].to_vec()
                    }
                };
                let _ = socket.send_to(&told, from);
            }
        });
        Ok(Meddler { ended, thread: Some(thread) })
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Its port is free then.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The question again, with an address as the answer.
fn invented(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[7] = 1;
    // What follows the question (EDNS) goes.
    let end =
        question.windows(INVALID.len()).position(|part| part == INVALID).unwrap_or(12) + INVALID.len() + 4;
    answer.truncate(end);
    (answer[10], answer[11]) = (0, 0);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 80]);
    answer
}
