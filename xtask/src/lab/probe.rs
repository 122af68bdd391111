//! What somebody at a place in the lab can find out: a DNS answer, and who answers at an address.

use super::ns::Ns;
use anyhow::{bail, ensure, Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{Aaaa, A};
use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

/// The longest answer that is read.
const MAX_ANSWER: usize = 4096;
/// The longest banner that is read.
const MAX_BANNER: usize = 256;
/// The longest head of an RTSP answer that is read.
const MAX_RTSP: u64 = 4096;
/// The longest HTTP answer that is read.
const MAX_HTTP: u64 = 1024 * 1024;

/// A DNS server's answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its verdict.
    pub rcode: Rcode,
    /// Whether it speaks with authority for the zone.
    pub authoritative: bool,
    /// The addresses, sorted, and their times to live in seconds.
    pub addrs: Vec<(IpAddr, u32)>,
}

impl Answer {
    /// The only address of an authoritative good answer.
    pub fn sole(&self) -> Option<IpAddr> {
        match self.addrs.as_slice() {
            [(addr, _)] if self.authoritative && self.rcode == Rcode::NOERROR => Some(*addr),
            _ => None,
        }
    }
}

/// Asks `server` once over UDP for the addresses of `name`: `Rtype::A` or `Rtype::AAAA`.
pub fn ask(from: &Ns, server: SocketAddr, name: &str, rtype: Rtype, limit: Duration) -> Result<Answer> {
    Asker::new(from, server, limit)?.ask(name, rtype)
}

/// Somebody who asks one server again and again, without the cost of entering the namespace each time.
pub struct Asker {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Asker {
    /// At this place; each answer must come within `limit`.
    pub fn new(from: &Ns, server: SocketAddr, limit: Duration) -> Result<Asker> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = from.enter(|| {
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(limit))?;
            Ok(socket)
        })?;
        Ok(Asker { socket, server })
    }

    /// Asks for the addresses of `name`: `Rtype::A` or `Rtype::AAAA`.
    pub fn ask(&self, name: &str, rtype: Rtype) -> Result<Answer> {
        let (id, query) = question(name, rtype)?;
        self.socket.send(&query)?;
        loop {
            let mut buffer = vec![0; MAX_ANSWER];
            let length =
                self.socket.recv(&mut buffer).with_context(|| format!("{} does not answer", self.server))?;
            buffer.truncate(length);
            let answer = Message::from_octets(buffer).ok().context("an answer shorter than a header")?;
            ensure!(answer.header().qr(), "a question in place of an answer");
            // An answer that came too late for its own question is passed over.
            if answer.header().id() == id {
                return read_answer(&answer);
            }
        }
    }
}

fn question(name: &str, rtype: Rtype) -> Result<(u16, Vec<u8>)> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_random_id();
    let mut builder = builder.question();
    builder.push((Name::<Vec<u8>>::from_str(name)?, rtype, Class::IN))?;
    Ok((builder.header().id(), builder.finish()))
}

fn read_answer(message: &Message<Vec<u8>>) -> Result<Answer> {
    let mut addrs = Vec::new();
    for record in message.answer()?.limit_to::<A>() {
        let record = record?;
        addrs.push((IpAddr::V4(record.data().addr()), record.ttl().as_secs()));
    }
    for record in message.answer()?.limit_to::<Aaaa>() {
        let record = record?;
        addrs.push((IpAddr::V6(record.data().addr()), record.ttl().as_secs()));
    }
    addrs.sort();
    Ok(Answer { rcode: message.header().rcode(), authoritative: message.header().aa(), addrs })
}

/// How a viewer finds out which camera answers at an address, within a time; an error if none does.
pub type Look = fn(from: &Ns, target: SocketAddr, limit: Duration) -> Result<String>;

/// Connects and reads the line with which a [`super::camera::Camera`] greets.
pub fn banner(from: &Ns, target: SocketAddr, limit: Duration) -> Result<String> {
    let mut stream = connect(from, target, limit)?;
    let line = read_line(&mut stream).with_context(|| format!("{target} accepts but says nothing"))?;
    let _ = stream.shutdown(Shutdown::Both);
    Ok(line)
}

/// Connects to an RTSP server and asks which one it is, for which it wants no password.
pub fn rtsp(from: &Ns, target: SocketAddr, limit: Duration) -> Result<String> {
    options(&mut connect(from, target, limit)?).with_context(|| format!("{target} accepts but says nothing"))
}

/// The same on a connection that is there (RFC 2326 sections 10.1 and 12.36).
pub fn options(stream: &mut TcpStream) -> Result<String> {
    stream.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")?;
    let head: Vec<String> = BufReader::new(stream.take(MAX_RTSP))
        .lines()
        .take_while(|line| !line.as_ref().is_ok_and(String::is_empty))
        .collect::<io::Result<_>>()?;
    let server = head.iter().find_map(|line| line.strip_prefix("Server: "));
    server.map(str::to_owned).with_context(|| format!("an answer without a server's name: {head:?}"))
}

/// Opens a TCP connection from a place in the lab; reads and writes on it end after `limit`.
pub fn connect(from: &Ns, target: SocketAddr, limit: Duration) -> Result<TcpStream> {
    from.enter(|| {
        let stream =
            TcpStream::connect_timeout(&target, limit).with_context(|| format!("connect to {target}"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(stream)
    })
}

/// The same by somebody who has this address.
pub fn connect_as(from: &Ns, addr: Ipv4Addr, target: SocketAddr, limit: Duration) -> Result<TcpStream> {
    from.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((addr, 0)).into())?;
        socket.connect_timeout(&target.into(), limit).with_context(|| format!("connect to {target}"))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(stream)
    })
}

/// Sends an HTTP request with these headers (each line ended) and this body; returns the answer's status and body.
pub fn http(
    from: &Ns,
    target: SocketAddr,
    request: &str,
    headers: &str,
    body: &str,
    limit: Duration,
) -> Result<(u16, String)> {
    let mut stream = connect(from, target, limit)?;
    let length = body.len();
    // 1.0: no chunks, and the end of the answer is the end of the connection.
    write!(
        stream,
        "{request} HTTP/1.0\r\nHost: {target}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_HTTP).read_to_end(&mut answer).with_context(|| format!("{target} does not answer"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}

/// Reads one line from a connection.
pub fn read_line(stream: &mut TcpStream) -> Result<String> {
    // Byte by byte, so that nothing beyond the line is taken from the connection.
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < MAX_BANNER {
        stream.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
            [byte] => line.push(byte),
        }
    }
    bail!("a line longer than {MAX_BANNER} bytes")
}

/// Whether an open connection to a camera still carries: writes a line and expects it back.
pub fn echoes(stream: &mut TcpStream) -> Result<bool> {
    if let Err(error) = stream.write_all(b"still there?\n") {
        return dead(error);
    }
    let mut echo = [0; 13];
    match stream.read_exact(&mut echo) {
        Ok(()) => Ok(&echo == b"still there?\n"),
        Err(error) => dead(error),
    }
}

/// False for the ways in which a cut connection shows; other errors are passed on.
fn dead(error: io::Error) -> Result<bool> {
    use ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
    match error.kind() {
        BrokenPipe | ConnectionReset | TimedOut | UnexpectedEof | WouldBlock => Ok(false),
        _ => Err(error.into()),
    }
}
