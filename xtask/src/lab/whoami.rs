//! The DNS servers that answer with the asker's address, at their real addresses, on the lab's internet. Messages are read
//! and made by the `domain` crate, not by Porchlight's own code.

use super::Lab;
use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Rtype, ToName, Ttl};
use domain::rdata::{Txt, A};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
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
    pub server: Ipv4Addr,
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
        for server in SERVERS {
            lab.internet.ip(&format!("addr add {server}/32 dev lo"))?;
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

    fn serve(&self, server: Ipv4Addr, socket: &UdpSocket) {
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

/// Whether a server answers this question, which names it by name, type and class.
fn is_its(server: Ipv4Addr, name: &str, rtype: Rtype, class: Class) -> bool {
    let (own, own_type, own_class) = match server.octets()[0] {
        208 => ("myip.opendns.com", Rtype::A, Class::IN),
        1 => ("whoami.cloudflare", Rtype::TXT, Class::CH),
        216 => ("o-o.myaddr.l.google.com", Rtype::TXT, Class::IN),
        _ => ("whoami.akamai.net", Rtype::A, Class::IN),
    };
    name.eq_ignore_ascii_case(own) && rtype == own_type && class == own_class
}

fn answer(question: Vec<u8>, server: Ipv4Addr, client: SocketAddr, say: Say) -> Option<Vec<u8>> {
    let message = Message::from_octets(question).ok()?;
    let asked = message.sole_question().ok()?;
    let (rtype, class) = (asked.qtype(), asked.qclass());
    let known = is_its(server, &asked.qname().to_string(), rtype, class);
    let IpAddr::V4(truth) = client.ip() else { return None };
    let addr = match say {
        Say::Truth => truth,
        Say::Hijacked(addr) => addr,
        Say::Lies => Ipv4Addr::new(9, server.octets()[0], 9, 9),
        Say::Nxdomain => truth,
        Say::Silent => return None,
    };
    let rcode = match (known, say) {
        (_, Say::Nxdomain) => Rcode::NXDOMAIN,
        (false, _) => Rcode::REFUSED,
        (true, _) => Rcode::NOERROR,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(&message, rcode).ok()?;
    builder.header_mut().set_aa(matches!(server.octets()[0], 216 | 193));
    if rcode == Rcode::NOERROR {
        let owner = asked.qname().to_name::<Vec<u8>>();
        if rtype == Rtype::TXT {
            let text = Txt::<Vec<u8>>::build_from_slice(addr.to_string().as_bytes()).ok()?;
            builder.push((owner, class, Ttl::ZERO, text)).ok()?;
        } else {
            builder.push((owner, class, Ttl::ZERO, A::new(addr))).ok()?;
        }
    }
    Some(builder.into_message().into_octets())
}
