//! An authoritative DNS server in a few hundred lines: answers for one zone, takes RFC 2136 updates signed
//! with TSIG, counts them, and can be told to refuse them for a while. Messages and signatures are
//! read and checked by the `domain` crate, not by Porchlight's own code.

use super::ns::Ns;
use super::published::PUBLISHED;
use super::zone::Zone;
use anyhow::{anyhow, Context, Result};
use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::{Message, MessageBuilder, Rtype};
use domain::rdata::tsig::Time48;
use domain::rdata::AllRecordData;
use domain::tsig::{Algorithm, Key, ServerTransaction};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest message over UDP that is read, and the longest answer that is made.
const MAX_UDP: usize = 4096;
/// The first octet of the flags of an update, a request of opcode 5 (RFC 2136 section 2.2).
const OPCODE_UPDATE: u8 = 5 << 3;
/// A TCP client that is silent for so long is dropped.
const IDLE: Duration = Duration::from_secs(10);

/// How updates are met. Questions are always answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// By the rules.
    Well,
    /// With this code, whatever they hold; signed, as a real server does.
    Refuse(Rcode),
    /// With this code and without a signature, as anyone on the way could.
    Forge(Rcode),
    /// Not at all.
    Silent,
}

/// An update that was received, with a good signature or not.
#[derive(Clone, Debug)]
pub struct Update {
    /// When.
    pub at: Instant,
    /// What it was answered; `None` for no answer.
    pub rcode: Option<Rcode>,
    /// The names and addresses that it asked to publish.
    pub wants: Vec<(String, IpAddr)>,
    /// Whether the zone is another one after it.
    pub changed: bool,
}

/// A moment in the life of an update, for those who aim at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It came in whole; nothing is done yet.
    Received,
    /// It is carried out, or refused; the answer is not sent yet.
    Done,
    /// The answer is sent.
    Answered,
}

/// Called at each moment of each update over UDP, on the server's thread, which waits for it. An update
/// for which it says false when it is received is lost: not carried out, not counted, not answered.
pub type Hook = Arc<dyn Fn(Moment) -> bool + Send + Sync>;

/// A running server. Its sockets live in the namespace that it was started in.
#[derive(Clone)]
pub struct Nameserver(Arc<Shared>);

struct Shared {
    key: Key,
    inner: Mutex<Inner>,
}

struct Inner {
    zone: Zone,
    mood: Mood,
    updates: Vec<Update>,
    hook: Option<Hook>,
}

impl Nameserver {
    /// Serves the zone at these addresses, over UDP and TCP; takes updates signed with
    /// hmac-sha256 by the key of this name.
    pub fn start(place: &Ns, zone: Zone, key: &str, secret: &[u8], at: &[SocketAddr]) -> Result<Nameserver> {
        let name = FromStr::from_str(key).map_err(|e| anyhow!("key name {key}: {e}"))?;
        let key = Key::new(Algorithm::Sha256, secret, name, None, None)?;
        let inner = Inner { zone, mood: Mood::Well, updates: Vec::new(), hook: None };
        let server = Nameserver(Arc::new(Shared { key, inner: Mutex::new(inner) }));
        for addr in at {
            let (udp, tcp) = place.enter(|| {
                let udp = UdpSocket::bind(addr).with_context(|| format!("bind UDP {addr}"))?;
                Ok((udp, TcpListener::bind(addr).with_context(|| format!("bind TCP {addr}"))?))
            })?;
            let (a, b) = (server.clone(), server.clone());
            thread::spawn(move || a.serve_udp(&udp));
            thread::spawn(move || b.serve_tcp(&tcp));
        }
        Ok(server)
    }

    /// Changes how updates are met from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// Calls this at each moment of each update from now on.
    pub fn set_hook(&self, hook: Hook) {
        self.lock().hook = Some(hook);
    }

    /// Publishes an address by the owner's own hand: true if that changed anything. Counted nowhere.
    pub fn publish(&self, name: &str, addr: IpAddr) -> Result<bool> {
        let mut inner = self.lock();
        let before = inner.zone.serial();
        inner.zone.put(FromStr::from_str(name).map_err(|e| anyhow!("name {name}: {e}"))?, addr);
        Ok(inner.zone.serial() != before)
    }

    /// Every update received so far.
    pub fn updates(&self) -> Vec<Update> {
        self.lock().updates.clone()
    }

    /// How many updates have been received, and how many of them carried out.
    pub fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        let good = inner.updates.iter().filter(|update| update.rcode == Some(Rcode::NOERROR)).count();
        (inner.updates.len(), good)
    }

    /// The zone's serial number, raised by each update that changed something.
    pub fn serial(&self) -> u32 {
        self.lock().zone.serial()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; MAX_UDP];
        loop {
            // An error here is an ICMP message about an earlier answer: the next datagram may be fine.
            let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
            let request = buffer.get(..length).unwrap_or_default().to_vec();
            let is_update = request.get(2).is_some_and(|flags| flags & 0xf8 == OPCODE_UPDATE);
            if is_update && !self.reached(Moment::Received) {
                continue;
            }
            let answer = self.answer(request);
            if is_update {
                self.reached(Moment::Done);
            }
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer, client);
                if is_update {
                    self.reached(Moment::Answered);
                }
            }
        }
    }

    fn reached(&self, moment: Moment) -> bool {
        let hook = self.lock().hook.clone();
        hook.is_none_or(|hook| hook(moment))
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        for call in listener.incoming().flatten() {
            let server = self.clone();
            thread::spawn(move || server.serve_call(call));
        }
    }

    fn serve_call(&self, mut call: TcpStream) -> io::Result<()> {
        call.set_read_timeout(Some(IDLE))?;
        loop {
            let mut length = [0; 2];
            call.read_exact(&mut length)?;
            let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
            call.read_exact(&mut request)?;
            let Some(answer) = self.answer(request) else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            call.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())?;
        }
    }

    /// The answer to one message; `None` for what deserves none.
    fn answer(&self, request: Vec<u8>) -> Option<Vec<u8>> {
        let message = Message::from_octets(request).ok()?;
        if message.header().qr() {
            return None;
        }
        match message.header().opcode() {
            Opcode::QUERY => self.lock().zone.answer(&message).ok(),
            Opcode::UPDATE => self.update(message),
            _ => Some(plain(&message, Rcode::NOTIMP).ok()?.finish()),
        }
    }

    fn update(&self, mut message: Message<Vec<u8>>) -> Option<Vec<u8>> {
        let wants = wants(&message);
        wants.iter().for_each(|(_, addr)| PUBLISHED.note("the name server", *addr));
        let mut inner = self.lock();
        let before = inner.zone.serial();
        let note = |inner: &mut Inner, rcode| {
            let changed = inner.zone.serial() != before;
            inner.updates.push(Update { at: Instant::now(), rcode, wants: wants.clone(), changed });
        };
        if inner.mood == Mood::Silent {
            note(&mut inner, None);
            return None;
        }
        if let Mood::Forge(rcode) = inner.mood {
            note(&mut inner, Some(rcode));
            return Some(plain(&message, rcode).ok()?.finish());
        }
        let signed = match ServerTransaction::request(&&self.0.key, &mut message, Time48::now()) {
            Ok(Some(signed)) => signed,
            Ok(None) => {
                note(&mut inner, Some(Rcode::REFUSED));
                return Some(plain(&message, Rcode::REFUSED).ok()?.finish());
            }
            Err(error) => {
                note(&mut inner, Some(Rcode::NOTAUTH));
                return Some(error.build_message(&message, MessageBuilder::new_vec()).ok()?.finish());
            }
        };
        let rcode = match inner.mood {
            Mood::Refuse(rcode) => rcode,
            _ => inner.zone.update(&message),
        };
        note(&mut inner, Some(rcode));
        let mut answer = plain(&message, rcode).ok()?;
        signed.answer(&mut answer, Time48::now()).ok()?;
        Some(answer.finish())
    }
}

impl Zone {
    /// The authoritative answer to a question. What lies outside the zone is refused.
    fn answer(&self, message: &Message<Vec<u8>>) -> Result<Vec<u8>, PushError> {
        let question = match message.sole_question() {
            Ok(question) if question.qname().ends_with(self.apex()) => question,
            Ok(_) => return Ok(plain(message, Rcode::REFUSED)?.finish()),
            Err(_) => return Ok(plain(message, Rcode::FORMERR)?.finish()),
        };
        let name = question.qname();
        let rcode = if self.has(&name) { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        let mut answer = MessageBuilder::new_vec().start_answer(message, rcode)?;
        answer.header_mut().set_aa(true);
        let alias = (question.qtype() != Rtype::CNAME).then(|| self.set(&name, Rtype::CNAME)).flatten();
        let found = alias.or_else(|| self.set(&name, question.qtype()));
        for data in found.iter().flat_map(|set| &set.1) {
            answer.push((&name, Class::IN, found.map_or(domain::base::Ttl::ZERO, |set| set.0), data))?;
        }
        let mut authority = answer.authority();
        if found.is_none() {
            for data in self.set(self.apex(), Rtype::SOA).iter().flat_map(|set| &set.1) {
                authority.push((self.apex(), Class::IN, domain::base::Ttl::ZERO, data))?;
            }
        }
        Ok(authority.finish())
    }
}

fn plain(message: &Message<Vec<u8>>, rcode: Rcode) -> Result<AdditionalBuilder<Vec<u8>>, PushError> {
    Ok(MessageBuilder::new_vec().start_answer(message, rcode)?.additional())
}

/// The addresses that an update asks to publish, for the report; what cannot be read is left out.
fn wants(message: &Message<Vec<u8>>) -> Vec<(String, IpAddr)> {
    let mut out = Vec::new();
    let Ok(section) = message.update() else { return out };
    for record in section.flatten().filter(|record| record.class() == Class::IN && record.rdlen() > 0) {
        let owner = record.owner().to_string();
        match record.to_any_record::<AllRecordData<_, _>>().map(|record| record.into_data()) {
            Ok(AllRecordData::A(a)) => out.push((owner, IpAddr::V4(a.addr()))),
            Ok(AllRecordData::Aaaa(aaaa)) => out.push((owner, IpAddr::V6(aaaa.addr()))),
            _ => {}
        }
    }
    out
}
