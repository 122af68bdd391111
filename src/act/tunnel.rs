//! The way that minreq's bytes take: a CONNECT proxy (RFC 9110 section 9.3.6) within this process, for one connection.
//!
//! minreq sets no time limit on a name look-up, tries one address for as long as it takes, does not say whether a
//! request was sent, and its header cap has a hole. So the connection is made here, TLS included, and minreq is
//! given a tunnel on the loopback interface: to cut it ends minreq's thread, whatever it waits for; what went
//! through it is known; and its bytes are counted.

use super::http::Fault;
use super::net::within;
use super::tls::Secure;
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

/// A tunnel for one connection, and what went through it.
pub(super) struct Tunnel {
    listener: Async<TcpListener>,
    /// The first line that minreq must send.
    line: String,
    /// TLS between here and the server.
    secure: Option<Secure>,
    /// The request, or a part of it, was passed on.
    sent: Cell<bool>,
    /// The server said something; within TLS, after the handshake.
    spoke: Cell<bool>,
    /// The server broke the connection off instead of closing it.
    broken: Cell<bool>,
    /// The server sent more than [`WIRE_CAP`].
    flooded: Cell<bool>,
}

impl Tunnel {
    /// A tunnel that waits on the loopback interface for minreq to ask for `host` and `port`.
    pub(super) fn new(host: &str, port: u16, secure: Option<Secure>) -> io::Result<Tunnel> {
        Ok(Tunnel {
            listener: Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?,
            line: format!("CONNECT {host}:{port} HTTP/1.1\r\n"),
            secure,
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

    /// True if the server said something.
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
    ///
    /// # Errors
    /// What TLS finds wrong, with the server or its certificate.
    pub(super) async fn run(
        &self,
        client: &Async<TcpStream>,
        server: &Async<TcpStream>,
    ) -> Result<(), Fault> {
        if let Some(secure) = &self.secure {
            secure.handshake(server).await?;
        }
        if self.pass_up(client, server).await? {
            let up = async {
                while self.pass_up(client, server).await? {}
                Ok(())
            };
            future::try_zip(up, self.down(server, client)).await?;
        }
        Ok(())
    }

    /// Passes one piece from minreq to the server. False when there is no more.
    async fn pass_up(
        &self,
        mut client: &Async<TcpStream>,
        mut server: &Async<TcpStream>,
    ) -> Result<bool, Fault> {
        let mut piece = vec![0; PIECE];
        let taken = match client.read(&mut piece).await {
            Ok(count) => piece.get(..count).unwrap_or_default(),
            Err(_) => &[],
        };
        if taken.is_empty() {
            if let Some(secure) = &self.secure {
                secure.close(server).await;
            }
            let _ = server.get_ref().shutdown(Shutdown::Write);
            return Ok(false);
        }
        self.sent.set(true);
        let passed = match &self.secure {
            Some(secure) => secure.send(server, taken).await,
            None => server.write_all(taken).await.map_err(Fault::from),
        };
        match passed {
            Err(fault @ Fault::Tls(_)) => Err(fault),
            Err(_) => {
                self.broken.set(true);
                Ok(false)
            }
            Ok(()) => Ok(true),
        }
    }

    /// Passes what the server sends on to minreq, until it ends.
    async fn down(&self, mut server: &Async<TcpStream>, mut client: &Async<TcpStream>) -> Result<(), Fault> {
        let mut piece = vec![0; PIECE];
        let mut total = 0;
        loop {
            let mut taken = match server.read(&mut piece).await {
                Ok(count) => piece.get(..count).unwrap_or_default(),
                Err(_) => {
                    self.broken.set(true);
                    &[]
                }
            };
            total += taken.len();
            let mut end = taken.is_empty();
            let opened;
            if let Some(secure) = &self.secure {
                opened = secure.open(server, taken).await?;
                end = end || opened.end;
                self.broken.set(self.broken() || opened.torn);
                taken = &opened.plain;
            }
            self.spoke.set(self.spoke() || !taken.is_empty());
            self.flooded.set(total > WIRE_CAP);
            let passed = !self.flooded() && client.write_all(taken).await.is_ok();
            if end || !passed {
                let _ = client.get_ref().shutdown(Shutdown::Write);
                return Ok(());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_let_go() {
        let tunnel = Tunnel::new("host.example", 443, None).unwrap();
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
