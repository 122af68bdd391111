//! A client of bore's server <https://github.com/ekzhang/bore>: one control connection for each line, and one more for
//! each visitor.

use super::gate::{keep_alive, Made};
use super::relay::tcp;
use super::{quoted, Gate};
use crate::act::net::{connect, resolve, within};
use crate::config::Tunnel;
use crate::provider::{Failure, Kind};
use crate::sign;
use crate::wire::bore::{accept, authenticate, hello, read, Said, FRAME_CAP};
use smol::future::yield_now;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a connection may take to stand, the server's answers included.
const MAKE_LIMIT: Duration = Duration::from_secs(10);
/// The server says twice a second that it is there.
const SILENCE: Duration = Duration::from_secs(15);

/// Keeps a line up until it fails.
pub(super) async fn carry(section: &Rc<Tunnel>, gate: &Gate) -> Failure {
    match serve(section, gate).await {
        Ok(never) => never,
        Err(failure) => failure,
    }
}

async fn serve(section: &Rc<Tunnel>, gate: &Gate) -> Result<Failure, Failure> {
    let who = format!("{} port {}", section.server, section.port);
    let until = Instant::now() + MAKE_LIMIT;
    let addrs = resolve(&who, &section.server, section.port, until).await?;
    let mut control = open(section, &who, &addrs, until).await?;
    control.send(&hello(gate.remote())).await?;
    match control.in_time(until).await? {
        Said::Hello(port) => gate.up(port),
        other => return Err(control.odd(other)),
    }
    let server: SocketAddr = control.stream.get_ref().peer_addr().map_err(|error| control.broken(&error))?;
    loop {
        match control.in_time(Instant::now() + SILENCE).await? {
            Said::Connection(id) => gate.admit(visitor(section.clone(), who.clone(), server, id)),
            Said::Error(text) => return Err(control.odd(Said::Error(text))),
            Said::Heartbeat | Said::Hello(_) | Said::Challenge(_) => {}
        }
    }
}

/// The connection by which a visitor comes.
fn visitor(section: Rc<Tunnel>, who: String, server: SocketAddr, id: String) -> Made {
    Box::pin(async move {
        let taken = async {
            let mut control = open(&section, &who, &[server], Instant::now() + MAKE_LIMIT).await?;
            control.send(&accept(&id)).await?;
            Ok(control.stream)
        };
        let stream: Result<_, Failure> = taken.await;
        Ok(tcp(stream.map_err(|failure| io::Error::other(failure.words()))?))
    })
}

/// A connection to the server on which the secret, if there is one, was proven.
async fn open(section: &Tunnel, who: &str, addrs: &[SocketAddr], until: Instant) -> Result<Control, Failure> {
    let stream = connect(who, addrs, until).await?;
    keep_alive(&stream);
    let mut control = Control { stream, who: who.into(), heard: Vec::new() };
    let Some(secret) = section.secret("token") else { return Ok(control) };
    match control.in_time(until).await? {
        Said::Challenge(challenge) => {
            let answer = authenticate(&sign::bore(secret, &challenge));
            control.send(&answer).await?;
            Ok(control)
        }
        other => Err(control.odd(other)),
    }
}

/// A connection, and what was heard of a message.
struct Control {
    stream: Async<TcpStream>,
    who: String,
    heard: Vec<u8>,
}

impl Control {
    fn failure(&self, kind: Kind, text: &str) -> Failure {
        Failure::new(kind, format!("{}: {text}", self.who))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        self.failure(Kind::Unreachable, &format!("the connection broke: {error}"))
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let sent = self.stream.write_all(message).await;
        sent.map_err(|error| self.broken(&error))
    }

    /// The next message, if it comes in time.
    async fn in_time(&mut self, until: Instant) -> Result<Said, Failure> {
        let next = within(until, self.next()).await;
        next.unwrap_or_else(|| {
            let text =
                if self.heard.is_empty() { "it says nothing more" } else { "it stopped amid a message" };
            Err(self.failure(Kind::Unreachable, text))
        })
    }

    async fn next(&mut self) -> Result<Said, Failure> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == 0) {
                let rest = self.heard.split_off(end + 1);
                let frame = std::mem::replace(&mut self.heard, rest);
                return read(frame.get(..end).unwrap_or_default()).ok_or_else(|| self.garbled());
            }
            if self.heard.len() > FRAME_CAP {
                return Err(self.garbled());
            }
            let mut piece = [0; FRAME_CAP];
            match self.stream.read(&mut piece).await {
                Ok(0) => return Err(self.failure(Kind::Unreachable, "it closed the connection")),
                Ok(count) => self.heard.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) => return Err(self.broken(&error)),
            }
            // A server that never stops must not keep everybody else waiting: least of all what closes this line.
            yield_now().await;
        }
    }

    fn garbled(&self) -> Failure {
        self.failure(Kind::Garbled, "what it says is not bore's protocol")
    }

    /// What a message means that is not the one that was due.
    fn odd(&self, said: Said) -> Failure {
        match said {
            Said::Error(text) if text.contains("secret") => {
                let text = format!("it does not take option token: {}", quoted(&text));
                self.failure(Kind::Credentials, &text)
            }
            Said::Error(text) => self.failure(Kind::Refused, &format!("it refuses: {}", quoted(&text))),
            Said::Challenge(_) => {
                self.failure(Kind::Credentials, "it asks for a secret; write option token_file")
            }
            Said::Hello(_) | Said::Heartbeat | Said::Connection(_) => {
                self.failure(Kind::Garbled, "what it says is out of turn")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Tell;
    use super::*;
    use crate::config::load::load;
    use crate::plan::tunnel::{Line, News, Report};
    use smol::LocalExecutor;
    use std::cell::RefCell;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// What becomes of a line whose server says this, and of a secret if there is one.
    fn told(server: &'static [u8], token: bool) -> (Vec<News>, Failure, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = std::thread::spawn(move || {
            let (mut call, _) = listener.accept().unwrap();
            let _ = call.write_all(server);
            let _ = call.shutdown(std::net::Shutdown::Write);
            let mut heard = Vec::new();
            let _ = call.read_to_end(&mut heard);
            heard
        });
        let (executor, section, gate, news) = line(port, token);
        let failure = smol::block_on(executor.run(carry(&section, &gate)));
        let news = news.borrow().clone();
        (news, failure, heard.join().unwrap())
    }

    /// A line by the server at this port of ours, and what is told of it.
    #[allow(clippy::type_complexity)]
    fn line(
        port: u16,
        token: bool,
    ) -> (Rc<LocalExecutor<'static>>, Rc<Tunnel>, Gate, Rc<RefCell<Vec<News>>>) {
        let token = if token { "\toption token 'hunter2'\n" } else { "" };
        let text = format!(
            "config wan\n\toption device 'auto'\nconfig camera 'c'\n\toption ip '192.168.1.2'\nconfig mapping 'm'\n\toption \
             camera 'c'\n\toption src_dport '8554'\nconfig tunnel 't'\n\toption kind 'bore'\n\toption server \
             '127.0.0.1'\n\toption port '{port}'\n\tlist mapping 'm'\n{token}"
        );
        let loaded = load(&text, "config", &[], &());
        let section = Rc::new(loaded.config.tunnels.into_iter().next().unwrap());
        let news: Rc<RefCell<Vec<News>>> = Rc::default();
        let told = news.clone();
        let tell: Tell = Rc::new(move |report: Report| told.borrow_mut().push(report.news));
        let target = "192.168.1.2:8554".parse().unwrap();
        let line = Line { mapping: "m".into(), attempt: 1, target, remote: 8554 };
        let executor = Rc::new(LocalExecutor::new());
        let gate = Gate::new("t", &line, Default::default(), tell, executor.clone());
        (executor, section, gate, news)
    }

    #[test]
    fn a_server_that_never_stops_keeps_nobody_else_waiting() {
        const FLOOD: Duration = Duration::from_secs(3);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (executor, section, gate, _) = line(listener.local_addr().unwrap().port(), false);
        let flood = std::thread::spawn(move || {
            let (mut call, _) = listener.accept().unwrap();
            call.write_all(b"{\"Hello\":8554}\0").unwrap();
            let start = Instant::now();
            while start.elapsed() < FLOOD && call.write_all(&b"\"Heartbeat\"\0".repeat(1000)).is_ok() {}
        });
        let start = Instant::now();
        let neighbour = executor.spawn(async move {
            smol::Timer::after(Duration::from_millis(200)).await;
            start.elapsed()
        });
        let served = async { carry(&section, &gate).await };
        let others = smol::block_on(executor.run(smol::future::or(async { Some(neighbour.await) }, async {
            served.await;
            None
        })));
        drop(gate);
        flood.join().unwrap();
        assert!(others.is_some_and(|waited| waited < FLOOD / 2), "{others:?}");
    }

    #[test]
    fn a_server_that_is_no_bore_is_left() {
        const FLOOD: &[u8] = &[b'a'; 100_000];
        for server in
            [FLOOD, b"HTTP/1.1 400 Bad Request\r\n\r\n\0", b"{\"Hello\":99999}\0", b"\"Heartbeat\"\0"]
        {
            let (news, failure, _) = told(server, false);
            assert!(news.is_empty() && failure.kind == Kind::Garbled, "{}: {}", failure.text, server.len());
        }
        let (news, failure, _) = told(b"{\"Hello\":", false);
        assert!(news.is_empty() && failure.kind == Kind::Unreachable, "{}", failure.text);
    }

    #[test]
    fn the_real_port_is_told_and_a_refusal_is_quoted_harmlessly() {
        let (news, failure, heard) = told(b"{\"Hello\":31000}\0\"Heartbeat\"\0", false);
        assert_eq!((news, failure.kind), (vec![News::Up(31000)], Kind::Unreachable));
        assert_eq!(heard, b"{\"Hello\":8554}\0");
        let (news, failure, _) = told(b"{\"Error\":\"port\\u001b[31m in use\"}\0", false);
        assert!(news.is_empty() && failure.kind == Kind::Refused);
        assert!(failure.text.ends_with("it refuses: port\\u{1b}[31m in use"), "{}", failure.text);
    }

    #[test]
    fn the_secret_is_proven_and_never_sent() {
        const CHALLENGE: &[u8] =
            b"{\"Challenge\":\"67e55044-10b1-426f-9247-bb680e5fe0c8\"}\0{\"Hello\":8554}\0";
        let (news, _, heard) = told(CHALLENGE, true);
        assert_eq!(news, [News::Up(8554)]);
        let heard = String::from_utf8(heard).unwrap();
        assert!(
            heard.starts_with("{\"Authenticate\":\"") && heard.ends_with("\0{\"Hello\":8554}\0"),
            "{heard}"
        );
        assert!(!heard.contains("hunter2"));
        for (server, token, says) in [
            (CHALLENGE, false, "it asks for a secret; write option token_file"),
            (b"{\"Error\":\"invalid secret\"}\0", true, "it does not take option token: invalid secret"),
        ] {
            let (news, failure, _) = told(server, token);
            assert!(news.is_empty() && failure.kind == Kind::Credentials);
            assert!(failure.text.ends_with(says), "{}", failure.text);
        }
    }
}
