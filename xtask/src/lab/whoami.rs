//! The DNS servers that answer with the asker's address, at their real addresses, on the lab's internet. Messages are read
//! and made by the `domain` crate, not by Porchlight's own code.

use super::Lab;
use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Rtype, ToName, Ttl};
use domain::rdata::{Aaaa, Txt, A};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The longest question that is read.
const MAX_UDP: usize = 4096;
/// The servers' addresses: OpenDNS, Cloudflare, Google, Akamai.
const SERVERS: [Ipv4Addr; 7] = [
    Ipv4Addr::new(208, 67, 222, 222),
    Ipv4Addr::new(208, 67, 220, 220),
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(1, 0, 0, 1),
    Ipv4Addr::new(216, 239, 32, 10),
    Ipv4Addr::new(216, 239, 34, 10),
    Ipv4Addr::new(193, 108, 88, 1),
];
/// Their addresses in IPv6: OpenDNS, Cloudflare, Google.
const SERVERS6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x35),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
    Ipv6Addr::new(0x2001, 0x4860, 0x4802, 0x32, 0, 0, 0, 0xa),
];

/// What all of them say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Whence the question came.
    Truth,
    /// This, as somebody who answers all of DNS would.
    Hijacked(Ipv4Addr),
    /// Each something else.
    Lies,
    /// That there is no such name.
    Nxdomain,
    /// Nothing.
    Silent,
}

/// A question that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// To which server.
    pub server: IpAddr,
    /// From where.
    pub from: IpAddr,
}

/// The running servers.
#[derive(Clone)]
pub struct Whoami(Arc<Mutex<(Say, Vec<Asked>)>>);

impl Whoami {
    /// Starts all of them.
    pub fn start(lab: &Lab) -> Result<Whoami> {
        let whoami = Whoami(Arc::new(Mutex::new((Say::Truth, Vec::new()))));
        let four = SERVERS.map(|server| (IpAddr::from(server), 32));
        let six = SERVERS6.map(|server| (IpAddr::from(server), 128));
        for (server, prefix) in four.into_iter().chain(six) {
            lab.internet.ip(&format!("addr add {server}/{prefix} dev lo nodad"))?;
            let socket = lab.internet.enter(|| UdpSocket::bind((server, 53)).context("port 53 is taken"))?;
            let whoami = whoami.clone();
            thread::spawn(move || whoami.serve(server, &socket));
        }
        Ok(whoami)
    }

    /// Changes what they say.
    pub fn say(&self, say: Say) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = say;
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn serve(&self, server: IpAddr, socket: &UdpSocket) {
        let mut buffer = vec![0; MAX_UDP];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
            let say = {
                let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                inner.1.push(Asked { server, from: client.ip() });
                inner.0
            };
            let question = buffer.get(..length).unwrap_or_default().to_vec();
            if let Some(answer) = answer(question, server, client, say) {
                let _ = socket.send_to(&answer, client);
            }
        }
    }
}

/// Who runs a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    OpenDns,
    Cloudflare,
    Google,
    Akamai,
}

impl Operator {
    fn of(server: IpAddr) -> Operator {
        match server {
            IpAddr::V4(addr) if addr.octets()[0] == 208 => Operator::OpenDns,
            IpAddr::V4(addr) if addr.octets()[0] == 1 => Operator::Cloudflare,
            IpAddr::V4(addr) if addr.octets()[0] == 216 => Operator::Google,
            IpAddr::V4(_) => Operator::Akamai,
            IpAddr::V6(addr) if addr.segments()[0] == 0x2620 => Operator::OpenDns,
            IpAddr::V6(addr) if addr.segments()[0] == 0x2606 => Operator::Cloudflare,
            IpAddr::V6(_) => Operator::Google,
        }
    }
}

/// Whether a server answers this question, which names it by name, type and class.
fn is_its(server: IpAddr, name: &str, rtype: Rtype, class: Class) -> bool {
    let addr_type = if server.is_ipv4() { Rtype::A } else { Rtype::AAAA };
    let (own, own_type, own_class) = match Operator::of(server) {
        Operator::OpenDns => ("myip.opendns.com", addr_type, Class::IN),
        Operator::Cloudflare => ("whoami.cloudflare", Rtype::TXT, Class::CH),
        Operator::Google => ("o-o.myaddr.l.google.com", Rtype::TXT, Class::IN),
        Operator::Akamai => ("whoami.akamai.net", addr_type, Class::IN),
    };
    name.eq_ignore_ascii_case(own) && rtype == own_type && class == own_class
}

fn answer(question: Vec<u8>, server: IpAddr, client: SocketAddr, say: Say) -> Option<Vec<u8>> {
    let message = Message::from_octets(question).ok()?;
    let asked = message.sole_question().ok()?;
    let (rtype, class) = (asked.qtype(), asked.qclass());
    let known = is_its(server, &asked.qname().to_string(), rtype, class);
    let truth = client.ip();
    let addr: IpAddr = match say {
        Say::Truth | Say::Nxdomain => truth,
        Say::Hijacked(addr) => addr.into(),
        Say::Lies => Ipv4Addr::new(9, Operator::of(server) as u8 + 1, 9, 9).into(),
        Say::Silent => return None,
    };
    let rcode = match (known, say) {
        (_, Say::Nxdomain) => Rcode::NXDOMAIN,
        (false, _) => Rcode::REFUSED,
        (true, _) => Rcode::NOERROR,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(&message, rcode).ok()?;
    builder.header_mut().set_aa(matches!(Operator::of(server), Operator::Google | Operator::Akamai));
    if rcode == Rcode::NOERROR {
        let owner = asked.qname().to_name::<Vec<u8>>();
        if rtype == Rtype::TXT {
            let text = Txt::<Vec<u8>>::build_from_slice(addr.to_string().as_bytes()).ok()?;
            builder.push((owner, class, Ttl::ZERO, text)).ok()?;
        } else if let IpAddr::V4(addr) = addr {
            builder.push((owner, class, Ttl::ZERO, A::new(addr))).ok()?;
        } else if let IpAddr::V6(addr) = addr {
            builder.push((owner, class, Ttl::ZERO, Aaaa::new(addr))).ok()?;
        }
    }
    Some(builder.into_message().into_octets())
}
