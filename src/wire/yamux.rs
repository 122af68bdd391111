//! Many streams in one connection, a client's side: yamux, version 0 (hashicorp/yamux, `spec.md`). frp's servers open
//! none, so that one which the other side opens is a fault.

use crate::map::Map;

/// The bytes that a stream's receiver lets its sender send ahead, in the beginning (section "Flow Control").
pub const WINDOW: u32 = 256 * 1024;
/// The most streams at a time.
pub const MAX_STREAMS: usize = 64;
/// The most bytes that wait for their consumers, all streams together; beyond it the fullest stream is reset.
pub const HELD_CAP: u32 = 2 * WINDOW;
/// The most bytes that wait to be sent. What a stream sends beyond it has to wait; answers to a flood of pings that
/// reach twice as much are a fault.
pub const OUT_CAP: usize = 32 * 1024;
/// The most content of one frame, so that streams take turns.
const PIECE: usize = 4 * 1024;
const HEAD: usize = 12;

const DATA: u8 = 0;
const UPDATE: u8 = 1;
const PING: u8 = 2;
const AWAY: u8 = 3;

const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

/// What cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A version or a type that there is not: this is no yamux.
    Foreign,
    /// More was sent than was allowed, or what is never sent to a client.
    Broken,
    /// The other side says that it cannot go on.
    Away,
}

/// What has come for a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// These bytes. They count as held until [`Mux::consumed`].
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// All has come, and the other side will send no more.
    End,
    /// The stream is broken off, or there is none.
    Gone,
}

struct Stream {
    /// How much we may send.
    may_send: u32,
    /// How much the other side may send.
    may_receive: u32,
    /// How much of it was not consumed.
    held: u32,
    inbox: Vec<u8>,
    /// We will send no more.
    finished: bool,
    /// Nor will they.
    ended: bool,
}

/// A client's end of a connection.
#[derive(Default)]
pub struct Mux {
    /// The streams by their numbers, which are odd.
    streams: Map<u32, Stream>,
    opened: u32,
    /// The beginning of a header.
    head: Vec<u8>,
    /// The stream whose content comes now, and how much of it is still to come.
    content: (u32, u32),
    outbox: Vec<u8>,
    /// The other side wants no new streams.
    away: bool,
}

impl Mux {
    /// Without streams.
    pub fn new() -> Mux {
        Mux::default()
    }

    /// Opens a stream; `None` if there are too many, or the other side wants none.
    pub fn open(&mut self) -> Option<u32> {
        if self.away || self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let id = self.opened.checked_mul(2)?.checked_add(1)?;
        self.opened += 1;
        let (inbox, finished) = (Vec::new(), false);
        let stream = Stream { may_send: WINDOW, may_receive: WINDOW, held: 0, inbox, finished, ended: false };
        self.streams.insert(id, stream);
        self.frame(UPDATE, SYN, id, 0);
        Some(id)
    }

    /// What is to be sent, which is then thought to be sent.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }

    /// Whether something is to be sent.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Takes in what the other side sent. Pings are answered by what is then to be sent.
    ///
    /// # Errors
    /// The connection, and all streams with it, are of no use any more.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (id, rest) = self.content;
            let size = if rest > 0 { rest as usize } else { HEAD - self.head.len() };
            let (piece, after) = bytes.split_at(size.min(bytes.len()));
            bytes = after;
            if rest > 0 {
                self.content.1 -= piece.len() as u32;
                self.content(id, piece);
                continue;
            }
            self.head.extend(piece);
            if let Some(head) = self.head.first_chunk::<HEAD>().copied() {
                self.head.clear();
                self.header(head)?;
            }
        }
        if self.outbox.len() > 2 * OUT_CAP {
            return Err(Fault::Broken);
        }
        Ok(())
    }

    fn header(&mut self, head: [u8; HEAD]) -> Result<(), Fault> {
        let [version, kind, f, g, a, b, c, d, l, m, n, o] = head;
        let (flags, id) = (u16::from_be_bytes([f, g]), u32::from_be_bytes([a, b, c, d]));
        let length = u32::from_be_bytes([l, m, n, o]);
        match (version, kind) {
            (0, DATA | UPDATE) if flags & SYN != 0 => return Err(Fault::Broken),
            (0, DATA) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    let left = stream.may_receive.checked_sub(length);
                    stream.may_receive = left.filter(|_| !stream.ended).ok_or(Fault::Broken)?;
                    stream.held += length;
                }
                self.content = (id, length);
            }
            (0, UPDATE) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.may_send = stream.may_send.saturating_add(length);
                }
            }
            (0, PING) if flags & SYN != 0 => self.frame(PING, ACK, 0, length),
            (0, PING) => {}
            (0, AWAY) if length == 0 => self.away = true,
            (0, AWAY) => return Err(Fault::Away),
            _ => return Err(Fault::Foreign),
        }
        if flags & RST != 0 && kind <= UPDATE {
            self.streams.remove(&id);
        }
        // The end of a frame with content is behind that content, of which nobody hears before it was there.
        if let (true, Some(stream)) = (flags & FIN != 0 && kind <= UPDATE, self.streams.get_mut(&id)) {
            stream.ended = true;
        }
        self.relieve();
        Ok(())
    }

    /// Content for a stream. What comes for one that is closed here was under way then.
    fn content(&mut self, id: u32, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inbox.extend(bytes);
        }
    }

    /// Resets the stream that holds most, if all together hold too much: one whose consumer is stuck must not take the
    /// memory, nor hold up the others.
    fn relieve(&mut self) {
        let held: u32 = self.streams.values().map(|stream| stream.held).sum();
        let fullest = self.streams.iter().max_by_key(|(_, stream)| stream.held).map(|(id, _)| *id);
        if let (true, Some(id)) = (held > HELD_CAP, fullest) {
            self.close(id);
        }
    }

    /// Takes what has come for a stream.
    pub fn take(&mut self, id: u32) -> Taken {
        let coming = self.content.0 == id && self.content.1 > 0;
        match self.streams.get_mut(&id) {
            None => Taken::Gone,
            Some(stream) if !stream.inbox.is_empty() => Taken::Bytes(std::mem::take(&mut stream.inbox)),
            Some(stream) if stream.ended && !coming => Taken::End,
            Some(_) => Taken::Nothing,
        }
    }

    /// Says that bytes of a stream went to where they belong: as many more may come, of which the other side is told when
    /// half a window is free.
    pub fn consumed(&mut self, id: u32, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        stream.held = stream.held.saturating_sub(count);
        let free = WINDOW.saturating_sub(stream.may_receive).saturating_sub(stream.held);
        if free >= WINDOW / 2 && !stream.ended {
            stream.may_receive += free;
            self.frame(UPDATE, 0, id, free);
        }
    }

    /// Sends bytes by a stream: so many as there is room for now. `None` if the stream is broken off.
    pub fn send(&mut self, id: u32, bytes: &[u8]) -> Option<usize> {
        let room = OUT_CAP.saturating_sub(self.outbox.len()).min(PIECE);
        let stream = self.streams.get_mut(&id).filter(|stream| !stream.finished)?;
        let piece = bytes.get(..room.min(stream.may_send as usize)).unwrap_or(bytes);
        let length = piece.len() as u32;
        if length > 0 {
            stream.may_send -= length;
            self.frame(DATA, 0, id, length);
            self.outbox.extend(piece);
        }
        Some(piece.len())
    }

    /// Says that no more will be sent by a stream.
    pub fn finish(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.finished) else { return };
        stream.finished = true;
        self.frame(UPDATE, FIN, id, 0);
    }

    /// Is done with a stream, which is forgotten. If one side had not said all, it is broken off.
    pub fn close(&mut self, id: u32) {
        if let Some(stream) = self.streams.remove(&id) {
            if !(stream.finished && stream.ended) {
                self.frame(UPDATE, RST, id, 0);
            }
        }
    }

    fn frame(&mut self, kind: u8, flags: u16, id: u32, length: u32) {
        self.outbox.extend([0, kind]);
        self.outbox.extend(flags.to_be_bytes());
        self.outbox.extend(id.to_be_bytes());
        self.outbox.extend(length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
