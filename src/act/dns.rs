//! DNS messages to one server and back: UDP, the same bytes again, then TCP (RFC 1035 section 4.2, RFC 7766).
//! What does not fit the question is not an answer: source, id, opcode.

use super::net;
use crate::model::millis;
use crate::provider::{self, Failure, Kind, Reply};
use crate::wire::dns::{self as wire, Message};
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::Poll;
use std::time::{Duration, Instant};

/// The port of DNS.
pub const PORT: u16 = 53;
/// Longer messages go by TCP at once: fragments get lost.
const UDP_CAP: usize = 1200;
/// How often a message is sent by UDP before TCP is tried.
const SENDS: usize = 4;
/// The longest wait for an answer before the next sending.
const WAIT: Duration = Duration::from_secs(3);
/// The most bytes of an answer by UDP; without EDNS a server sends 512.
const UDP_ANSWER: usize = 4096;
/// Length of a message's header.
const HEADER: usize = 12;

/// Sends a provider's message and waits for the server's answer.
///
/// # Errors
/// [`Kind::NotReady`] without route or resolver, or when the address that asked is lost, [`Kind::Unreachable`]
/// when nothing answers there, [`Kind::Unconfirmed`] when a write may have been received, [`Kind::Garbled`] for an answer that is none,
/// [`Kind::Refused`] when `server` names no host and port.
pub async fn exchange(request: &provider::Dns, timeout: Duration) -> Result<Reply, Failure> {
    let until = Instant::now() + timeout;
    let (host, port) = split_server(&request.server)?;
    let who = format!("DNS server {}", request.server);
    let addrs = net::resolve(&who, &host, port, until).await?;
    let wait = WAIT.min(timeout / 5);
    let ask = Ask { who: &who, addrs: &addrs, message: &request.message, until, wait, write: request.write };
    let body = ask.run(&|bytes| answers_header(bytes, &request.message)).await?;
    Ok(Reply { status: 0, headers: Vec::new(), body })
}

/// Asks one server one question. `rd`: whether it is to recurse.
///
/// # Errors
/// [`Kind::NotReady`] without a route, [`Kind::Unreachable`] when nothing answers, [`Kind::Garbled`] for an
/// answer that is none, [`Kind::NoSuchName`] when `name` cannot be a name. A refusal is an answer.
pub async fn query(
    server: SocketAddr,
    name: &str,
    rtype: u16,
    rd: bool,
    timeout: Duration,
) -> Result<Message, Failure> {
    let who = format!("name server {server}");
    let mut id = [0; 2];
    getrandom::fill(&mut id)
        .map_err(|_| Failure::new(Kind::NotReady, "the kernel has no random numbers yet"))?;
    let message = wire::query(u16::from_be_bytes(id), name, rtype, rd);
    let message =
        message.map_err(|_| Failure::new(Kind::NoSuchName, format!("{name} cannot be a name in DNS")))?;
    let until = Instant::now() + timeout;
    let wait = WAIT.min(timeout / 5);
    let ask = Ask { who: &who, addrs: &[server], message: &message, until, wait, write: false };
    let fits = |bytes: &[u8]| {
        answers_header(bytes, &message) && (is_cut(bytes) || parse_answer(bytes, name, rtype).is_some())
    };
    let start = Instant::now();
    let told = ask.run(&fits).await;
    if log::log_enabled!(log::Level::Debug) {
        let answer = told.as_ref().map_or_else(Failure::to_string, |bytes| wire::line(bytes));
        log::debug!("DNS {server}: {} -> {answer} ({} ms)", wire::line(&message), millis(start.elapsed()));
    }
    let bytes = told?;
    parse_answer(&bytes, name, rtype).ok_or_else(|| garbled(&who))
}

/// The answer, if it is one to this question. A server that cannot read a message may leave the question out.
fn parse_answer(bytes: &[u8], name: &str, rtype: u16) -> Option<Message> {
    let message = Message::parse(bytes).ok()?;
    let fits = match message.questions.as_slice() {
        [question] => question.rtype == rtype && wire::same_name(&question.name, name),
        [] => message.rcode() != wire::RCODE_NOERROR,
        _ => false,
    };
    fits.then_some(message)
}

/// True if `answer` has the id and opcode of `question` and is a response.
fn answers_header(answer: &[u8], question: &[u8]) -> bool {
    match (answer, question) {
        ([a0, a1, a2, ..], [q0, q1, q2, ..]) => {
            answer.len() >= HEADER && (a0, a1) == (q0, q1) && a2 & 0x80 != 0 && (a2 ^ q2) & 0x78 == 0
        }
        _ => false,
    }
}

/// True if the answer says that it was cut (TC).
fn is_cut(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

/// An answer that is none.
fn garbled(who: &str) -> Failure {
    Failure::new(Kind::Garbled, format!("{who}: the answer makes no sense"))
}

/// Splits `host`, `host:port`, `[v6]:port`, or an IPv6 address as it is.
fn split_server(server: &str) -> Result<(String, u16), Failure> {
    let faulty =
        || Failure::new(Kind::Refused, format!("option server: {server} is not a host or host:port"));
    let parse_port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(faulty);
    let (host, port) = match server.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, PORT),
        Some(Some((host, port))) => (host, parse_port(port.strip_prefix(':').ok_or_else(faulty)?)?),
        Some(None) => return Err(faulty()),
        None if server.parse::<Ipv6Addr>().is_ok() => (server, PORT),
        None => match server.split_once(':') {
            Some((host, port)) => (host, parse_port(port)?),
            None => (server, PORT),
        },
    };
    if host.is_empty() || host.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(faulty());
    }
    Ok((host.to_string(), port))
}

/// One message to one server, which may have several addresses.
struct Ask<'a> {
    /// Begins the text of a failure.
    who: &'a str,
    addrs: &'a [SocketAddr],
    message: &'a [u8],
    until: Instant,
    /// From one sending to the next.
    wait: Duration,
    write: bool,
}

/// What UDP brought.
enum Udp {
    /// An answer.
    Answer(Vec<u8>),
    /// Nothing, and the message may have been received.
    Silence,
    /// No address has anything that listens, or a route.
    Nobody(io::Error),
    /// This machine lost the address that the message was sent from.
    Moved,
}

impl Ask<'_> {
    /// UDP, the same bytes again, then TCP. `fits` says what is an answer.
    async fn run(&self, fits: &(dyn Fn(&[u8]) -> bool + Sync)) -> Result<Vec<u8>, Failure> {
        let mut sent = false;
        if self.message.len() <= UDP_CAP {
            match self.udp(fits).await {
                Udp::Answer(bytes) if !is_cut(&bytes) => return Ok(bytes),
                Udp::Answer(_) | Udp::Silence => sent = true,
                Udp::Nobody(error) => return Err(net::judge_connect(self.who, self.addrs, &error)),
                Udp::Moved => return Err(self.moved()),
            }
        }
        let mut server = match net::connect(self.who, self.addrs, self.until).await {
            Ok(server) => server,
            Err(_) if sent => return Err(self.no_answer()),
            Err(failure) => return Err(failure),
        };
        let Ok(source) = server.get_ref().local_addr() else { return Err(self.no_answer()) };
        match net::within(self.until, net::while_ours(source, self.tcp(&mut server))).await {
            Some(Some(Ok(bytes))) if fits(&bytes) => Ok(bytes),
            Some(Some(Ok(_))) => Err(garbled(self.who)),
            Some(None) => Err(self.moved()),
            Some(Some(Err(_))) | None => Err(self.no_answer()),
        }
    }

    /// The address that the message was sent from is gone, and the answer with it.
    fn moved(&self) -> Failure {
        let text = "this machine's address changed before the answer came";
        match self.write {
            true => Failure::new(Kind::Unconfirmed, format!("{}: the change was sent, but {text}", self.who)),
            false => Failure::new(Kind::NotReady, format!("{}: {text}", self.who)).sent(),
        }
    }

    /// The message was sent and nothing came back.
    fn no_answer(&self) -> Failure {
        match self.write {
            true => Failure::new(
                Kind::Unconfirmed,
                format!("{}: the change was sent, but no answer came", self.who),
            ),
            false => Failure::new(Kind::Unreachable, format!("{}: no answer; it may be down", self.who)),
        }
    }

    /// Sends by UDP up to [`SENDS`] times, the addresses taking turns, and listens to all that were asked.
    async fn udp(&self, fits: &(dyn Fn(&[u8]) -> bool + Sync)) -> Udp {
        let mut sockets = Vec::new();
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in self.addrs {
            match open(*addr) {
                Ok(socket) => sockets.push(socket),
                Err(error) => last = error,
            }
        }
        let mut silent = false;
        for turn in 0..SENDS.max(sockets.len()) {
            let Some(at) = turn.checked_rem(sockets.len()) else {
                break;
            };
            let source = sockets.get(at).and_then(|socket| socket.get_ref().local_addr().ok());
            let Some(source) = source else { break };
            if let Some(Err(error)) = sockets.get(at).map(|socket| socket.get_ref().send(self.message)) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    last = error;
                    sockets.remove(at);
                    continue;
                }
            }
            let until = self.until.min(Instant::now() + self.wait);
            match net::within(until, net::while_ours(source, receive(&mut sockets, fits))).await {
                Some(Some(Ok(bytes))) => return Udp::Answer(bytes),
                Some(Some(Err(error))) => last = error,
                Some(None) => return Udp::Moved,
                None if Instant::now() >= self.until => return Udp::Silence,
                None => silent = true,
            }
        }
        // After a silence the message may have been received, also by a server that has gone since.
        if sockets.is_empty() && !silent {
            return Udp::Nobody(last);
        }
        Udp::Silence
    }

    /// Sends by TCP and reads one answer (RFC 1035 section 4.2.2).
    async fn tcp(&self, server: &mut Async<std::net::TcpStream>) -> io::Result<Vec<u8>> {
        let length = u16::try_from(self.message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(self.message);
        server.write_all(&framed).await?;
        let mut length = [0; 2];
        server.read_exact(&mut length).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        server.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

/// A UDP socket that hears only `addr`, and its ICMP errors.
fn open(addr: SocketAddr) -> io::Result<Async<UdpSocket>> {
    let any: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(addr)?;
    Async::new(socket)
}

/// The first fitting answer on any of the sockets. An error of a socket ends the wait and takes the socket out.
async fn receive(
    sockets: &mut Vec<Async<UdpSocket>>,
    fits: &(dyn Fn(&[u8]) -> bool + Sync),
) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; UDP_ANSWER];
    future::poll_fn(|cx| {
        let mut at = 0;
        while let Some(socket) = sockets.get(at) {
            match socket.get_ref().recv(&mut buffer) {
                Ok(count) => match buffer.get(..count) {
                    Some(bytes) if fits(bytes) => return Poll::Ready(Ok(bytes.to_vec())),
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => at += 1,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    sockets.remove(at);
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_split() {
        let split =
            |text: &str| split_server(text).map(|(host, port)| format!("{host} {port}")).unwrap_or_default();
        assert_eq!(split("ns1.example.com"), "ns1.example.com 53");
        assert_eq!(split("ns1.example.com:5353"), "ns1.example.com 5353");
        assert_eq!(split("192.0.2.1:54"), "192.0.2.1 54");
        assert_eq!(split("2001:db8::1"), "2001:db8::1 53");
        assert_eq!(split("[2001:db8::1]"), "2001:db8::1 53");
        assert_eq!(split("[2001:db8::1]:54"), "2001:db8::1 54");
        for bad in ["", ":53", "a:", "a:x", "a:0", "a:70000", "[::1", "[::1]54", "a b", "a:b:c"] {
            assert_eq!(split(bad), "", "{bad}");
        }
    }

    #[test]
    fn only_a_response_with_our_id_and_opcode_is_an_answer() {
        let question = [0x12, 0x34, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let mut answer = question;
        assert!(!answers_header(&answer, &question));
        answer[2] = 0xa8;
        assert!(answers_header(&answer, &question));
        assert!(!answers_header(&answer[..11], &question));
        answer[2] = 0x80;
        assert!(!answers_header(&answer, &question));
        answer = question;
        (answer[1], answer[2]) = (0x35, 0xa8);
        assert!(!answers_header(&answer, &question));
    }
}
