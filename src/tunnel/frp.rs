//! A client of frp's servers <https://github.com/fatedier/frp>, wire protocol v1, for proxies of TCP: a session for each
//! line, and within it (yamux), or beside it, one connection for each visitor and one that waits for the next.

use super::relay::Stream;
use super::streams::Streams;
use super::{quoted, Around, Gate};
use crate::act::{net, tls};
use crate::config::Tunnel;
use crate::provider::{Failure, Kind};
use crate::sign::frp::{key, BLOCK};
use crate::wire::frp::{self, Control, Fault, Login, Message, HEAD};
use rustix::net::sockopt;
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Task;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a connection, TLS on it and the answer to the login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// How long the answer about the port may take.
const PROXY_LIMIT: Duration = Duration::from_secs(20);
/// We show that we are there this often ...
const HEARTBEAT: Duration = Duration::from_secs(30);
/// ... and take a server for gone that was silent for so long.
const SILENCE: Duration = Duration::from_secs(90);
/// The most connections that wait for visitors: a server keeps that many.
const PARKED_CAP: usize = 11;
/// What the kernel may hold of a connection with many streams, before it doubles it: behind more, on a slow line, an answer
/// to a ping would come after the ten seconds that a server waits for it.
const QUEUE: usize = 128 * 1024;
/// The piece in which the control connection is read.
const PIECE: usize = 2 * 1024;

/// Keeps a line up until it fails.
pub(super) async fn carry(section: &Rc<Tunnel>, gate: &Gate, around: &Rc<Around>) -> Failure {
    let who = format!("{} port {}", section.server, section.port);
    let streams = section.flag("tcp_mux", true).then(Streams::default);
    let (section, around) = (section.clone(), around.clone());
    let (mapping, up) = (gate.mapping().to_owned(), Cell::new(false));
    let client = Rc::new(Client { section, around, who, mapping, streams, up });
    let link = match client.dial().await {
        Ok(link) => link,
        Err(failure) => return failure,
    };
    let Some(streams) = &client.streams else { return client.session(link, gate).await };
    let Some(control) = streams.open() else { return client.broken("it takes no connections") };
    let session = client.session(control, gate);
    future::or(session, async { client.ended(&said_of(&streams.run(link).await)) }).await
}

/// What a line has to do with its server.
struct Client {
    section: Rc<Tunnel>,
    around: Rc<Around>,
    /// The server, as failures call it.
    who: String,
    /// The mapping section's name.
    mapping: String,
    /// `None`: each connection is one of its own.
    streams: Option<Streams>,
    /// The server let in: since then it is only asked whether it is there.
    up: Cell<bool>,
}

/// How a session stands.
struct Session<'a> {
    gate: &'a Gate,
    control: Control,
    run_id: String,
    /// Until when it must have answered, or when it is asked.
    next: Instant,
    heard: Instant,
    /// What waits for visitors.
    parked: Vec<Task<()>>,
}

impl Client {
    fn failure(&self, kind: Kind, text: &str) -> Failure {
        Failure::new(kind, [&self.who, ": ", text].concat())
    }

    fn broken(&self, why: &str) -> Failure {
        self.failure(Kind::Unreachable, &["the connection ended (", why, ")"].concat())
    }

    fn token(&self) -> &str {
        self.section.secret("token").unwrap_or_default()
    }

    /// A connection to the server, under TLS unless that is off.
    async fn dial(&self) -> Result<Stream, Failure> {
        let Client { section, around, who, .. } = self;
        let until = Instant::now() + LOGIN_LIMIT;
        let mut socket = net::dial(who, &section.server, section.port, until).await?;
        super::gate::keep_alive(&socket);
        if self.streams.is_some() {
            let _ = sockopt::set_socket_send_buffer_size(&socket, QUEUE);
        }
        if !section.flag("tls", true) {
            return Ok(super::relay::tcp(socket));
        }
        if section.flag("tls_first_byte", false) {
            let sent = socket.write_all(&[frp::TLS_BYTE]).await;
            sent.map_err(|error| self.broken(&said_of(&error)))?;
        }
        let mut http = around.http.borrow().clone();
        if let Some(path) = section.text("cacert") {
            http.trust(&around.paths.under_root(path));
        }
        let name = section.text("tls_server_name").unwrap_or(&section.server);
        let verify = section.flag("tls_verify", true);
        let sealed = tls::seal(&http, who, (name, verify), socket, until).await;
        Ok(Box::new(sealed.map_err(|failure| self.with_advice(failure))?))
    }

    /// A server that nobody gave a certificate makes one by itself, at each start another.
    fn with_advice(&self, mut failure: Failure) -> Failure {
        if failure.kind == Kind::Untrusted {
            failure.text += "; a server of frp without a certificate of its own makes one up: give it one \
                             (transport.tls.certFile) and name who vouches for it by option cacert, or take any by option \
                             tls_verify '0'";
        }
        failure
    }

    /// A further connection.
    async fn another(&self) -> io::Result<Stream> {
        match &self.streams {
            Some(streams) => streams.open().ok_or_else(|| io::Error::other("too many streams")),
            None => self.dial().await.map_err(|failure| io::Error::other(failure.words())),
        }
    }

    /// What the server is to know the proxy by. Names are unique on a server, as ports are.
    fn proxy_name(&self, user: &str, port: u16, chance: &[u8; BLOCK]) -> String {
        let dot = if user.is_empty() { "" } else { "." };
        let tail = if port == 0 { u128::from_be_bytes(*chance) >> 96 } else { port.into() };
        format!("{user}{dot}{}-{tail}", self.mapping)
    }

    /// Logs in, asks for the port, and then serves until something fails.
    async fn session(self: &Rc<Self>, mut stream: Stream, gate: &Gate) -> Failure {
        let mut first = [0; BLOCK];
        if !(self.around.draw)(&mut first) {
            return self.failure(Kind::NotReady, "the kernel has no random numbers yet");
        }
        let run_id = self.around.run_ids.borrow().get(&self.place()).cloned().unwrap_or_default();
        let user = self.section.text("username").unwrap_or_default();
        let who = Login { token: self.token(), user, run_id: &run_id, hostname: "porchlight" };
        let control = Control::new(&who, key(self.token()), first, unix_now());
        let name = self.proxy_name(user, gate.remote(), &first);
        let now = Instant::now();
        let (next, parked) = (now + LOGIN_LIMIT, Vec::new());
        let mut session = Session { gate, control, run_id, next, heard: now, parked };
        let mut piece = vec![0; PIECE];
        loop {
            let out = session.control.output();
            let sent = async {
                stream.write_all(&out).await?;
                stream.flush().await
            };
            match net::within(session.heard + SILENCE, sent).await {
                Some(Ok(())) => {}
                Some(Err(error)) => return self.ended(&said_of(&error)),
                None => return self.silent(),
            }
            let read = net::within(session.next, stream.read(&mut piece)).await;
            let done = match read {
                None => self.time(&mut session),
                Some(Err(error)) => Err(self.ended(&said_of(&error))),
                Some(Ok(0)) => Err(self.ended("without a word")),
                Some(Ok(count)) => self.heard(&mut session, piece.get(..count).unwrap_or_default(), &name),
            };
            if let Err(failure) = done {
                return failure;
            }
            // A server that never stops must not keep everybody else waiting.
            future::yield_now().await;
        }
    }

    /// By which a session's number is remembered.
    fn place(&self) -> String {
        super::place_of(&self.section, &self.mapping)
    }

    /// The connection ended. Before the answer to the login that is most often an option's fault.
    fn ended(&self, how: &str) -> Failure {
        if self.up.get() {
            return self.broken(how);
        }
        let text = "): are options port, tls and tcp_mux as they are at the server?";
        self.failure(
            Kind::Unreachable,
            &["it ended the connection before it let us in (", how, text].concat(),
        )
    }

    fn silent(&self) -> Failure {
        self.failure(Kind::Unreachable, "the server is silent")
    }

    /// The time that was waited for has come.
    fn time(&self, session: &mut Session) -> Result<(), Failure> {
        if !self.up.get() {
            return Err(
                self.failure(Kind::Unreachable, "the server did not answer in time; does frp listen there?")
            );
        }
        if session.heard.elapsed() >= SILENCE {
            return Err(self.silent());
        }
        session.control.ping(self.token(), unix_now());
        session.next = (Instant::now() + HEARTBEAT).min(session.heard + SILENCE);
        Ok(())
    }

    /// Takes in what came.
    fn heard(self: &Rc<Self>, session: &mut Session, bytes: &[u8], name: &str) -> Result<(), Failure> {
        let messages = session.control.receive(bytes).map_err(|fault| {
            let text = match fault {
                Fault::Foreign => {
                    "what answers there does not speak frp as we do: are options port, token, tls and tcp_mux as they are \
                     at the server?"
                }
                Fault::TooLong => "the server sent a message that is too long",
            };
            self.failure(Kind::Garbled, text)
        })?;
        session.heard = Instant::now();
        for message in messages {
            match message {
                Message::Login { run_id, error } if error.is_empty() => {
                    self.around.run_ids.borrow_mut().insert(self.place(), run_id.clone());
                    session.run_id = run_id;
                    session.control.proxy(name, session.gate.remote());
                    session.next = Instant::now() + PROXY_LIMIT;
                }
                Message::Login { error, .. } => return Err(self.refused_login(&error)),
                Message::Proxy { error, .. } if !error.is_empty() => {
                    return Err(self.refused_port(session.gate.remote(), &error))
                }
                Message::Proxy { address, .. } if !self.up.get() => {
                    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                    session.gate.up(port.unwrap_or(session.gate.remote()));
                    session.next = Instant::now() + HEARTBEAT;
                    self.up.set(true);
                }
                Message::WorkWanted => self.park(session),
                Message::Pong { error } if !error.is_empty() => {
                    let text = ["the server wants us no more: ", &quoted(&error)].concat();
                    return Err(self.failure(Kind::Unreachable, &text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refused_login(&self, error: &str) -> Failure {
        let said = quoted(error);
        if error.contains("token") || error.contains("auth") {
            let text = ["the server refuses the token; option token must be its auth.token (", &said, ")"];
            return self.failure(Kind::Credentials, &text.concat());
        }
        self.failure(Kind::Unreachable, &["the server does not let us in: ", &said].concat())
    }

    fn refused_port(&self, port: u16, error: &str) -> Failure {
        let why = if error.contains("already used") || error.contains("already exist") {
            "somebody has it there, perhaps for another minute the session that we had before"
        } else if error.contains("not allowed") {
            "it is not among its allowPorts"
        } else if error.contains("unavailable") {
            "another program has it there"
        } else {
            "the server refuses it"
        };
        let port = if port == 0 { "a port".into() } else { format!("port {port}") };
        self.failure(Kind::Refused, &format!("the server does not give us {port}: {why} ({})", quoted(error)))
    }

    /// Has a connection wait for a visitor.
    fn park(self: &Rc<Self>, session: &mut Session) {
        session.parked.retain(|task| !task.is_finished());
        if session.parked.len() >= PARKED_CAP {
            return;
        }
        let (client, gate, run_id) = (self.clone(), session.gate.clone(), session.run_id.clone());
        session.parked.push(session.gate.spawn(Box::pin(async move {
            if let Err(error) = client.wait_for_visitor(&gate, &run_id).await {
                log::debug!(
                    "{}: a connection for a visitor ended: {}",
                    client.who,
                    quoted(&error.to_string())
                );
            }
        })));
    }

    /// The server says when a visitor is there; what he sends follows at once.
    async fn wait_for_visitor(&self, gate: &Gate, run_id: &str) -> io::Result<()> {
        let mut stream = self.another().await?;
        stream.write_all(&frp::work(run_id, self.token(), unix_now())).await?;
        stream.flush().await?;
        let foreign = || io::Error::other("it is not frp's");
        let mut message = vec![0; HEAD];
        stream.read_exact(&mut message).await?;
        let head = message.first_chunk().ok_or_else(foreign)?;
        let length = frp::body_length(head).map_err(|_| foreign())?;
        message.resize(HEAD + length, 0);
        stream.read_exact(message.get_mut(HEAD..).unwrap_or_default()).await?;
        match frp::read(&message).map_err(|_| foreign())? {
            Some((Message::Start { error, .. }, _)) if error.is_empty() => {
                gate.admit(Box::pin(async { Ok(stream) }));
                Ok(())
            }
            Some((Message::Start { error, .. }, _)) => Err(io::Error::other(error)),
            _ => Err(foreign()),
        }
    }
}

/// An error in words: ours, or the system's.
fn said_of(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) => inner.to_string(),
        None => error.kind().to_string(),
    }
}

fn unix_now() -> u64 {
    crate::sense::clock::now().wall
}
