//! Asks one port of a camera whether it wants a password: one connection (two, if it closes the first), and never a
//! byte of a stream. RTSP: OPTIONS, DESCRIBE. HTTP: GET. No redirect is followed, and no question leaves the LAN.

use super::judge;
use crate::act::net::{stands, within};
use crate::config::Probe;
use crate::model::{millis, Inquiry, Protection};
use crate::secret::printable;
use crate::wire::http::{self, Head, Protocol};
use crate::wire::rtsp;
use rustix::io::Errno;
use rustix::net::{self, sockopt, AddressFamily, SocketFlags, SocketType};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest time for a question with all that belongs to it; a camera has few places for callers.
const LIMIT: Duration = Duration::from_secs(10);
/// Of that, the longest for a connection: a camera in the same LAN needs milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How far a packet may go (IPv4's time to live, IPv6's hop limit): a router would throw it away.
const HOPS: u8 = 1;
/// How many bytes are read at a time.
const CHUNK: usize = 1024;

/// Asks, within `timeout` (at most 10 s) for everything.
pub async fn ask(inquiry: &Inquiry, timeout: Duration) -> Protection {
    let until = Instant::now() + timeout.min(LIMIT);
    let asked = match inquiry.how {
        Probe::Rtsp => ask_rtsp(inquiry, until).await,
        Probe::Http => ask_http(inquiry, until).await,
        Probe::Tcp => connect(inquiry.target, until).await.map(|_| unproven(PORT_ANSWERS)),
        Probe::None => Ok(unproven("nobody asked it (option probe 'none')")),
    };
    match asked {
        Ok(found) | Err(Trouble::Found(found)) => found,
        Err(Trouble::Closed) => unproven("it closes the connection without an answer"),
        Err(Trouble::Late) => {
            let seconds = millis(timeout.min(LIMIT)).div_ceil(1000);
            Protection::Unproven(format!("it did not answer within {seconds} s"))
        }
    }
}

const PORT_ANSWERS: &str =
    "the port answers, and whether it asks for a password cannot be told (option probe 'tcp')";

fn unproven(what: &str) -> Protection {
    Protection::Unproven(what.into())
}

/// Why there is no answer to judge.
enum Trouble {
    /// The connection ended before a byte of the answer.
    Closed,
    /// The time is up.
    Late,
    /// Something else, which is known.
    Found(Protection),
}

/// OPTIONS tells whether RTSP is spoken; what it says is not judged, as some refuse it and some do not know it. Some
/// close the connection after it, so DESCRIBE may need one of its own.
async fn ask_rtsp(inquiry: &Inquiry, until: Instant) -> Result<Protection, Trouble> {
    let Inquiry { target, path, .. } = inquiry;
    let question = rtsp::describe(*target, path);
    let mut line = Line::open(*target, Protocol::Rtsp, until).await?;
    let told = match line.exchange(&rtsp::options(*target, path)).await {
        // What follows the head must not be taken for the next answer.
        Ok(head) if has_body(&head) || !line.unread.is_empty() => Err(Trouble::Closed),
        Ok(_) => line.exchange(&question).await,
        Err(trouble) => Err(trouble),
    };
    let told = match told {
        Err(Trouble::Closed) => {
            drop(line);
            Line::open(*target, Protocol::Rtsp, until).await?.exchange(&question).await
        }
        told => told,
    };
    told.map(|head| judge::rtsp(&head))
}

async fn ask_http(inquiry: &Inquiry, until: Instant) -> Result<Protection, Trouble> {
    let mut line = Line::open(inquiry.target, Protocol::Http, until).await?;
    let head = line.exchange(&http::get(inquiry.target, &inquiry.path)).await?;
    Ok(judge::http(&head))
}

fn has_body(head: &Head) -> bool {
    head.values("content-length").any(|length| length != "0")
}

/// A connection to a camera. Dropped, it is closed; with a reset where the camera still sends.
struct Line {
    stream: Async<TcpStream>,
    protocol: Protocol,
    until: Instant,
    /// What came and was not read yet; at most [`http::CAP`] and a chunk.
    unread: Vec<u8>,
}

impl Line {
    async fn open(target: SocketAddr, protocol: Protocol, until: Instant) -> Result<Line, Trouble> {
        let stream = connect(target, until).await?;
        Ok(Line { stream, protocol, until, unread: Vec::new() })
    }

    /// Asks, and reads the head of the answer.
    async fn exchange(&mut self, question: &str) -> Result<Head, Trouble> {
        let start = Instant::now();
        let told = within(self.until, self.talk(question)).await.unwrap_or(Err(Trouble::Late));
        if log::log_enabled!(log::Level::Debug) {
            let answer = match &told {
                Ok(head) => format!("{} {}", head.code, printable(&head.reason)),
                Err(_) => "no answer to judge".into(),
            };
            // Never the path: some cameras want the password in it.
            let method = question.split(' ').next().unwrap_or_default();
            let at = self.stream.get_ref().peer_addr().map_or("?".into(), |addr| addr.to_string());
            log::debug!("camera at {at}: {method} -> {answer} ({} ms)", millis(start.elapsed()));
        }
        told
    }

    async fn talk(&mut self, question: &str) -> Result<Head, Trouble> {
        // Whoever does not take the question may have said why.
        let _ = self.stream.write_all(question.as_bytes()).await;
        loop {
            let read = http::read(&self.unread, self.protocol);
            if let Some((head, used)) = read.map_err(|what| Trouble::Found(unproven(what)))? {
                self.unread.drain(..used);
                return Ok(head);
            }
            let before = self.unread.len();
            self.unread.resize(before + CHUNK, 0);
            let chunk = self.unread.get_mut(before..).unwrap_or_default();
            let came = self.stream.read(chunk).await.unwrap_or(0);
            self.unread.truncate(before + came);
            match (before, came) {
                (0, 0) => return Err(Trouble::Closed),
                (_, 0) => return Err(Trouble::Found(unproven("it breaks its answer off"))),
                _ => {}
            }
        }
    }
}

/// A connection, or what it means that there is none.
async fn connect(target: SocketAddr, until: Instant) -> Result<Async<TcpStream>, Trouble> {
    let until = until.min(Instant::now() + CONNECT_LIMIT);
    let begun = async { stands(begin(target)?).await };
    let found = match within(until, begun).await {
        Some(Ok(stream)) => return Ok(stream),
        None => Protection::Silent,
        Some(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Protection::NoService,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => {
                Protection::Silent
            }
            _ => Protection::Unproven(format!("no connection to it can be made ({error})")),
        },
    };
    Err(Trouble::Found(found))
}

/// Begins a connection that cannot leave the LAN, whatever the routes are.
fn begin(target: SocketAddr) -> io::Result<TcpStream> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    match target {
        SocketAddr::V4(_) => sockopt::set_ip_ttl(&socket, HOPS.into())?,
        SocketAddr::V6(_) => sockopt::set_ipv6_unicast_hops(&socket, Some(HOPS))?,
    }
    match net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_goes_one_hop() {
        let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = begin(here.local_addr().unwrap()).unwrap();
        assert_eq!(stream.ttl().unwrap(), 1);
        let Ok(here) = std::net::TcpListener::bind("[::1]:0") else {
            return println!("skipped: no IPv6 on the loopback interface");
        };
        let stream = begin(here.local_addr().unwrap()).unwrap();
        assert_eq!(sockopt::ipv6_unicast_hops(&stream).unwrap(), 1);
    }
}
