//! frp's messages, protocol v1 (fatedier/frp, `pkg/msg`): a letter, a length, JSON. And [`Control`], a client's end of a
//! control connection, from the login on; after that both directions are enciphered ([`crate::sign::frp`]).

use super::json::{Json, Object};
use crate::sign::frp::{privilege_key, Cfb, BLOCK};

/// The most bytes of a message's body (golib, `msg/json/pack.go`).
pub const BODY_CAP: usize = 10_240;
/// The byte before TLS's own by which a server knows it (`pkg/util/net/tls.go`); newer servers do without it.
pub const TLS_BYTE: u8 = 0x17;
/// A letter and eight bytes of length.
pub const HEAD: usize = 9;
/// The version that we give ourselves; servers write it into their log.
const VERSION: &str = "0.61.0";

/// What a server says. Texts are as they came: they are made harmless where they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The answer to a login.
    Login {
        /// By which the server knows this session again.
        run_id: String,
        /// Why not; else empty.
        error: String,
    },
    /// The answer to a proxy.
    Proxy {
        /// The name that we gave it.
        name: String,
        /// Where it listens: `:6000` or with an address.
        address: String,
        /// Why not; else empty.
        error: String,
    },
    /// A connection for work is wanted.
    WorkWanted,
    /// A connection for work begins to carry a visitor.
    Start {
        /// The proxy that he came to.
        name: String,
        /// Why not; else empty.
        error: String,
    },
    /// The answer to a ping.
    Pong {
        /// Why not; else empty.
        error: String,
    },
    /// Anything else, which is not for us.
    Other,
}

/// What cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What came is no message of frp's.
    Foreign,
    /// A message is longer than [`BODY_CAP`].
    TooLong,
}

/// A user's part of a login.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The secret that both know.
    pub token: &'a str,
    /// A name that stands before the proxies' names; else empty.
    pub user: &'a str,
    /// Of the session before, which this one replaces; else empty.
    pub run_id: &'a str,
    /// The host's name, which servers show.
    pub hostname: &'a str,
}

/// Reads a message and how many bytes it took; `None`: more must come.
///
/// # Errors
/// See [`Fault`].
pub fn read(bytes: &[u8]) -> Result<Option<(Message, usize)>, Fault> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        // A server of another kind would be waited for in vain.
        let known = bytes.first().is_none_or(u8::is_ascii_alphanumeric);
        return if known { Ok(None) } else { Err(Fault::Foreign) };
    };
    let length = body_length(head)?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let [kind, ..] = *head;
    Ok(Some((message(kind, body)?, HEAD + length)))
}

/// How many bytes follow a message's head.
///
/// # Errors
/// See [`Fault`].
pub fn body_length(head: &[u8; HEAD]) -> Result<usize, Fault> {
    let [kind, length @ ..] = *head;
    match usize::try_from(u64::from_be_bytes(length)) {
        _ if !kind.is_ascii_alphanumeric() => Err(Fault::Foreign),
        Ok(length) if length <= BODY_CAP => Ok(length),
        _ => Err(Fault::TooLong),
    }
}

fn message(kind: u8, body: &[u8]) -> Result<Message, Fault> {
    let body =
        std::str::from_utf8(body).ok().and_then(|body| Json::parse(body).ok()).ok_or(Fault::Foreign)?;
    let text = |key: &str| body.get(key).str().unwrap_or_default().to_owned();
    let error = text("error");
    Ok(match kind {
        b'1' => Message::Login { run_id: text("run_id"), error },
        b'2' => Message::Proxy { name: text("proxy_name"), address: text("remote_addr"), error },
        b'r' => Message::WorkWanted,
        b's' => Message::Start { name: text("proxy_name"), error },
        b'4' => Message::Pong { error },
        _ => Message::Other,
    })
}

/// A message as it is sent.
fn write(kind: u8, body: Object) -> Vec<u8> {
    let body = body.end();
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(body.as_bytes());
    bytes
}

/// The proof of the token, which is asked for at a login, and by some servers always.
fn proven(body: Object, token: &str, now: u64) -> Object {
    body.str("privilege_key", &privilege_key(token, now)).num("timestamp", now as i64)
}

/// The login; `now` in Unix seconds. One connection for work is kept waiting, so that a visitor need not wait for it.
fn login(login: &Login, now: u64) -> Vec<u8> {
    let body = Object::new().str("version", VERSION).str("hostname", login.hostname).str("os", "linux");
    let body = proven(body.str("user", login.user), login.token, now);
    write(b'o', body.str("run_id", login.run_id).num("pool_count", 1))
}

/// The first message of a connection for work.
pub fn work(run_id: &str, token: &str, now: u64) -> Vec<u8> {
    write(b'w', proven(Object::new().str("run_id", run_id), token, now))
}

/// A client's end of a control connection.
pub struct Control {
    /// What came and is no whole message yet, deciphered where it must be.
    inbox: Vec<u8>,
    /// What is to be sent.
    outbox: Vec<u8>,
    key: [u8; BLOCK],
    /// The block that our own direction begins with.
    first: [u8; BLOCK],
    seal: Option<Cfb>,
    open: Option<Cfb>,
}

impl Control {
    /// Begins with a login. `key` is that of the token, `first` is random.
    pub fn new(who: &Login, key: [u8; BLOCK], first: [u8; BLOCK], now: u64) -> Control {
        Control { inbox: Vec::new(), outbox: login(who, now), key, first, seal: None, open: None }
    }

    /// What is to be sent, which is then thought to be sent.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes in what the server sent.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Message>, Fault> {
        let mut messages = Vec::new();
        let at = self.inbox.len();
        self.inbox.extend(bytes);
        if let (Some(open), Some(new)) = (&mut self.open, self.inbox.get_mut(at..)) {
            open.open(new);
        }
        loop {
            if self.seal.is_some() && self.open.is_none() {
                let Some((first, rest)) = self.inbox.split_first_chunk::<BLOCK>() else { break };
                let (mut open, mut rest) = (Cfb::new(&self.key, *first), rest.to_vec());
                open.open(&mut rest);
                (self.open, self.inbox) = (Some(open), rest);
            }
            let Some((message, used)) = read(&self.inbox)? else { break };
            self.inbox.drain(..used);
            match (&message, self.seal.is_some()) {
                (Message::Login { error, .. }, false) if error.is_empty() => {
                    self.outbox.extend(self.first);
                    self.seal = Some(Cfb::new(&self.key, self.first));
                }
                (Message::Login { .. }, false) => {}
                (_, false) => return Err(Fault::Foreign),
                _ => {}
            }
            messages.push(message);
        }
        Ok(messages)
    }

    /// Asks for a proxy of TCP at this port of the server, once logged in.
    pub fn proxy(&mut self, name: &str, port: u16) {
        let body = Object::new().str("proxy_name", name).str("proxy_type", "tcp");
        self.send(write(b'p', body.num("remote_port", port.into())));
    }

    /// Takes a proxy back.
    pub fn close(&mut self, name: &str) {
        self.send(write(b'c', Object::new().str("proxy_name", name)));
    }

    /// Shows that we are there, and asks whether the server is.
    pub fn ping(&mut self, token: &str, now: u64) {
        self.send(write(b'h', proven(Object::new(), token, now)));
    }

    /// Before the login is accepted nothing can be said.
    fn send(&mut self, mut message: Vec<u8>) {
        if let Some(seal) = &mut self.seal {
            seal.seal(&mut message);
            self.outbox.extend(message);
        }
    }
}

#[cfg(test)]
mod tests;
