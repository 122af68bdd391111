//! The way that minreq's bytes take: a CONNECT proxy (RFC 9110 section 9.3.6) within this process, for one connection.
//!
//! minreq sets no time limit on a TLS handshake or a name look-up, tries one address for as long as it takes,
//! does not say whether a request was sent, and its header cap has a hole. So the connection is made here, and
//! minreq is given a tunnel on the loopback interface: to cut it ends minreq's thread, whatever it waits for;
//! what went through it is known; and its bytes are counted.

use super::net::within;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{future, Async};
use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The most bytes that a server may send, TLS and headers included. Beyond what a sound answer of
/// [`super::BODY_CAP`] needs; it bounds memory where minreq's own cap of the headers fails.
const WIRE_CAP: usize = 4 * super::BODY_CAP;
/// The most bytes of minreq's CONNECT request.
const HEAD_CAP: usize = 1024;
/// How long minreq may take from its start to its CONNECT request, which needs nothing but the CPU. Until
/// then the tunnel stays open whatever happens: minreq panics when it cannot write that request.
const GRACE: Duration = Duration::from_secs(30);
/// The piece in which bytes are passed on. On the heap: a future that holds it is moved about.
const PIECE: usize = 8 * 1024;
/// The TLS record type "application data" (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;

/// A tunnel for one connection, and what went through it.
pub(super) struct Tunnel {
    listener: Async<TcpListener>,
    /// The first line that minreq must send.
    line: String,
    /// The bytes are TLS records: only application data are a request.
    tls: bool,
    /// The request, or a part of it, was passed on.
    sent: Cell<bool>,
    /// The server said something, and not in TLS.
    spoke: Cell<bool>,
    /// The server broke the connection off instead of closing it.
    broken: Cell<bool>,
    /// The server sent more than [`WIRE_CAP`].
    flooded: Cell<bool>,
}

impl Tunnel {
    /// A tunnel that waits on the loopback interface for minreq to ask for `host` and `port`.
    pub(super) fn new(host: &str, port: u16, tls: bool) -> io::Result<Tunnel> {
        Ok(Tunnel {
            listener: Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?,
            line: format!("CONNECT {host}:{port} HTTP/1.1\r\n"),
            tls,
            sent: Cell::new(false),
            spoke: Cell::new(false),
            broken: Cell::new(false),
            flooded: Cell::new(false),
        })
    }

    /// Where it waits, as a proxy's address.
    pub(super) fn address(&self) -> io::Result<String> {
        Ok(self.listener.get_ref().local_addr()?.to_string())
    }

    /// True once the request, or a part of it, was passed on.
    pub(super) fn sent(&self) -> bool {
        self.sent.get()
    }

    /// True if the server surely said something. (What TLS carries cannot be told from TLS's own messages.)
    pub(super) fn spoke(&self) -> bool {
        self.spoke.get()
    }

    /// True if the server broke the connection off.
    pub(super) fn broken(&self) -> bool {
        self.broken.get()
    }

    /// True if the server sent far more than an answer may have.
    pub(super) fn flooded(&self) -> bool {
        self.flooded.get()
    }

    /// Waits for minreq's CONNECT request and grants it. A stranger who asks for something else is let go.
    pub(super) async fn accept(&self) -> io::Result<Async<TcpStream>> {
        let until = Instant::now() + GRACE;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        loop {
            let (mut client, _) = within(until, self.listener.accept()).await.ok_or_else(late)??;
            let head = within(until, read_head(&mut client)).await.ok_or_else(late)??;
            if head.starts_with(self.line.as_bytes()) {
                let _ = client.get_ref().set_nodelay(true);
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                return Ok(client);
            }
        }
    }

    /// Passes bytes both ways until both sides are done. minreq speaks first: what a server said before it
    /// was asked would be lost in minreq's reading of the grant.
    pub(super) async fn run(&self, client: &Async<TcpStream>, server: &Async<TcpStream>) {
        let mut records = Records::default();
        if self.pass_up(client, server, &mut records).await {
            future::zip(
                async { while self.pass_up(client, server, &mut records).await {} },
                self.down(server, client),
            )
            .await;
        }
    }

    /// Passes one piece from minreq to the server. False when there is no more.
    async fn pass_up(
        &self,
        client: &Async<TcpStream>,
        mut server: &Async<TcpStream>,
        records: &mut Records,
    ) -> bool {
        let mut client = client;
        let mut piece = vec![0; PIECE];
        let taken = match client.read(&mut piece).await {
            Ok(count) => piece.get(..count).unwrap_or_default(),
            Err(_) => &[],
        };
        if taken.is_empty() {
            let _ = server.get_ref().shutdown(Shutdown::Write);
            return false;
        }
        let request = if self.tls { records.carry_data(taken) } else { true };
        self.sent.set(self.sent.get() || request);
        let passed = server.write_all(taken).await.is_ok();
        if !passed {
            self.broken.set(true);
        }
        passed
    }

    /// Passes what the server sends on to minreq, until it ends.
    async fn down(&self, mut server: &Async<TcpStream>, mut client: &Async<TcpStream>) {
        let mut piece = vec![0; PIECE];
        let mut total = 0;
        loop {
            let taken = match server.read(&mut piece).await {
                Ok(count) => piece.get(..count).unwrap_or_default(),
                Err(_) => {
                    self.broken.set(true);
                    &[]
                }
            };
            total += taken.len();
            self.spoke.set(!self.tls && total > 0);
            self.flooded.set(total > WIRE_CAP);
            if taken.is_empty() || self.flooded() || client.write_all(taken).await.is_err() {
                let _ = client.get_ref().shutdown(Shutdown::Write);
                return;
            }
        }
    }
}

/// Reads minreq's CONNECT request to its empty line.
async fn read_head(client: &mut Async<TcpStream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < HEAD_CAP && !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).await? == 0 {
            break;
        }
        head.extend(byte);
    }
    Ok(head)
}

/// Follows the record headers in a stream of TLS bytes (RFC 8446 section 5.1).
#[derive(Default)]
struct Records {
    /// The part of a record's header that was seen.
    header: Vec<u8>,
    /// Bytes of the present record that are still to come.
    left: usize,
}

impl Records {
    /// Length of a record's header: type, version, length.
    const HEADER: usize = 5;

    /// True if a record of application data begins in the bytes. (In TLS 1.3 that can still be the end of
    /// the handshake: to be too careful is right here.)
    fn carry_data(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for byte in bytes {
            if self.left > 0 {
                self.left -= 1;
                continue;
            }
            self.header.push(*byte);
            if self.header.len() == Self::HEADER {
                if let [kind, _, _, high, low] = *self.header.as_slice() {
                    found = found || kind == APPLICATION_DATA;
                    self.left = usize::from(u16::from_be_bytes([high, low]));
                }
                self.header.clear();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_data_is_found_in_any_cut() {
        let mut stream = vec![22, 3, 1, 0, 3, 23, 23, 23];
        stream.extend([20, 3, 3, 0, 1, 1]);
        let handshake = stream.len();
        stream.extend([23, 3, 3, 0, 2, 9, 9]);
        for cut in 0..stream.len() {
            let mut records = Records::default();
            let (a, b) = stream.split_at(cut);
            let early = records.carry_data(a);
            assert_eq!(early, cut >= handshake + Records::HEADER, "cut at {cut}");
            assert!(early || records.carry_data(b), "cut at {cut}");
        }
        assert!(!Records::default().carry_data(&stream[..handshake]));
    }

    #[test]
    fn a_stranger_is_let_go() {
        let tunnel = Tunnel::new("host.example", 443, true).unwrap();
        let address = tunnel.address().unwrap();
        let thread = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut stranger = TcpStream::connect(&address).unwrap();
            stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut own = TcpStream::connect(&address).unwrap();
            own.write_all(b"CONNECT host.example:443 HTTP/1.1\r\n\r\n").unwrap();
            let mut grant = [0; 12];
            own.read_exact(&mut grant).unwrap();
            let mut nothing = Vec::new();
            let _ = stranger.read_to_end(&mut nothing);
            (grant, nothing)
        });
        let client = smol::block_on(tunnel.accept()).unwrap();
        let (grant, nothing) = thread.join().unwrap();
        drop(client);
        assert_eq!((&grant, nothing.as_slice()), (b"HTTP/1.1 200", &[][..]));
        assert!(!tunnel.sent());
    }
}
