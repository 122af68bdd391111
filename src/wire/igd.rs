//! UPnP's Internet Gateway Device, versions 1 and 2: the search (UPnP Device Architecture 1.1 section 1.3), the
//! device's description (section 2.3), and SOAP's questions and faults (section 3.2, WANIPConnection:1 and :2).

use super::http::{self, Protocol};
use super::json::Json;
use super::xml;
use crate::config::Proto;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where a search goes: the group, and this port.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// See [`GROUP`].
pub const PORT: u16 = 1900;
/// The most bytes of an answer of the device.
pub const CAP: usize = 64 * 1024;
/// The most connections of one device that are looked at.
const MAX_SERVICES: usize = 4;
/// The longest path or URL that is taken.
const MAX_URL: usize = 512;
/// The services that map ports, without their versions.
const SERVICES: [&str; 2] =
    ["urn:schemas-upnp-org:service:WANIPConnection:", "urn:schemas-upnp-org:service:WANPPPConnection:"];

/// The search. A device of version 2 answers it too.
pub fn search() -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\n\
         ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
    )
}

/// Something of a device: where, and the path there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Address and port.
    pub host: SocketAddrV4,
    /// Begins with `/`.
    pub path: String,
}

/// Where an answer to the search says that the description is. `None`: it is no such answer.
pub fn location(answer: &[u8]) -> Option<Place> {
    let (head, _) = http::read(answer, Protocol::Http).ok()??;
    let mut locations = head.values("location");
    (head.code == 200).then(|| locations.next().and_then(place))?
}

/// Reads a URL with an address, no name: what is no address of the router is not asked.
fn place(url: &str) -> Option<Place> {
    let scheme =
        url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://") && url.len() <= MAX_URL)?;
    let rest = url.get(scheme.len()..)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match host.parse() {
        Ok(host) => host,
        Err(_) => SocketAddrV4::new(host.parse().ok()?, 80),
    };
    is_path(path).then(|| Place { host, path: if path.is_empty() { "/".into() } else { path.into() } })
}

/// Nothing in it can be taken for more than a path.
fn is_path(path: &str) -> bool {
    path.len() <= MAX_URL && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A service that maps ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its type, as it is named in questions.
    pub kind: String,
    /// Where it is asked.
    pub control: Place,
}

/// The services of a description that map ports, those of an IP connection first. `from`: where it came from.
pub fn services(description: &str, from: &Place) -> Vec<Service> {
    let Some(tree) = xml::parse(description) else { return Vec::new() };
    let base = tree.get("root").get("URLBase").str().and_then(place);
    let mut found = Vec::new();
    collect(&tree, base.as_ref().unwrap_or(from), &mut found);
    found.sort_by_key(|service: &Service| !service.kind.starts_with(SERVICES[0]));
    found.truncate(MAX_SERVICES);
    found
}

fn collect(tree: &Json, base: &Place, found: &mut Vec<Service>) {
    let (kind, url) = (tree.get("serviceType").str(), tree.get("controlURL").str());
    if let (Some(kind), Some(url)) = (kind, url) {
        let version = SERVICES.iter().find_map(|known| kind.strip_prefix(known));
        if let (Some("1" | "2"), Some(control)) = (version, resolve(url, base)) {
            found.push(Service { kind: kind.into(), control });
        }
    }
    for (_, inner) in tree.entries() {
        collect(inner, base, found);
    }
}

/// A URL as it is meant beside another one.
fn resolve(url: &str, base: &Place) -> Option<Place> {
    if url.contains("://") {
        return place(url);
    }
    let path = if url.starts_with('/') { url.to_string() } else { format!("/{url}") };
    is_path(&path).then_some(Place { host: base.host, path })
}

/// The request for a description.
pub fn describe(at: &Place) -> String {
    http::get(at.host.into(), &at.path)
}

/// A mapping, as the actions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Protocol.
    pub proto: Proto,
    /// The port outside.
    pub external: u16,
    /// Our port.
    pub internal: u16,
    /// Our address.
    pub client: Ipv4Addr,
    /// In seconds; 0 is for good in version 1.
    pub lifetime: u32,
}

/// What a service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// For the address outside.
    Address,
    /// To make a mapping.
    Add(Entry),
    /// What is mapped at a port.
    Get(Proto, u16),
    /// To take a mapping away.
    Delete(Proto, u16),
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Address => "GetExternalIPAddress",
            Action::Add(_) => "AddPortMapping",
            Action::Get(..) => "GetSpecificPortMappingEntry",
            Action::Delete(..) => "DeletePortMapping",
        }
    }

    /// The arguments, in the order of the standard, which some devices insist on.
    fn arguments(self) -> String {
        let name = |proto| if proto == Proto::Udp { "UDP" } else { "TCP" };
        let port = |proto, port: u16| {
            format!(
                "<NewRemoteHost></NewRemoteHost><NewExternalPort>{port}</NewExternalPort>\
                 <NewProtocol>{}</NewProtocol>",
                name(proto)
            )
        };
        match self {
            Action::Address => String::new(),
            Action::Get(proto, external) | Action::Delete(proto, external) => port(proto, external),
            Action::Add(entry) => format!(
                "{}<NewInternalPort>{}</NewInternalPort><NewInternalClient>{}</NewInternalClient>\
                 <NewEnabled>1</NewEnabled><NewPortMappingDescription>porchlight</NewPortMappingDescription>\
                 <NewLeaseDuration>{}</NewLeaseDuration>",
                port(entry.proto, entry.external),
                entry.internal,
                entry.client,
                entry.lifetime
            ),
        }
    }
}

/// The request for an action.
pub fn ask(service: &Service, action: Action) -> String {
    let (name, kind) = (action.name(), &service.kind);
    let body = format!(
        "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{name} xmlns:u=\"{kind}\">{}\
         </u:{name}></s:Body></s:Envelope>\r\n",
        action.arguments()
    );
    let Place { host, path } = &service.control;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n\
         SOAPAction: \"{kind}#{name}\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        http::USER_AGENT,
        body.len()
    )
}

/// The body of an answer that has come in full, with its status; `ended`: nothing comes any more. `None`: it is no
/// HTTP, or more is to come.
pub fn body(bytes: &[u8], ended: bool) -> Option<(u16, String)> {
    let (head, used) = http::read(bytes, Protocol::Http).ok()??;
    let rest = bytes.get(used..)?;
    let chunked = head.values("transfer-encoding").any(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length = head.values("content-length").next();
    let body = match (chunked, length) {
        (true, _) => unchunk(rest)?,
        (false, Some(length)) => rest.get(..length.parse().ok()?)?.to_vec(),
        (false, None) => rest.get(..).filter(|_| ended)?.to_vec(),
    };
    Some((head.code, String::from_utf8_lossy(&body).trim_end_matches('\0').into()))
}

/// The content of a chunked body (RFC 9112 section 7.1), trailers left out.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let (line, after) = rest.split_at_checked(end + 2)?;
        let size = std::str::from_utf8(line).ok()?.split([';', '\r']).next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        out.extend(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// What a service made of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done; of the questions, what was told.
    Done(Json),
    /// Refused, with the code of the standard.
    Fault(u16),
}

/// Reads the body of an answer. `None`: it makes no sense.
pub fn answer(code: u16, body: &str) -> Option<Answer> {
    let tree = xml::parse(body)?;
    let inner = tree.get("Envelope").get("Body");
    let fault = inner.get("Fault").get("detail").get("UPnPError").get("errorCode").str();
    match (code, fault, inner.entries().first()) {
        (_, Some(code), _) => Some(Answer::Fault(code.parse().ok()?)),
        (200, None, Some((_, told))) => Some(Answer::Done(told.clone())),
        _ => None,
    }
}

/// The address outside of an [`Action::Address`]. `None`: it has none.
pub fn address(told: &Json) -> Option<Ipv4Addr> {
    let addr: Ipv4Addr = told.get("NewExternalIPAddress").str()?.parse().ok()?;
    Some(addr).filter(|addr| !addr.is_unspecified())
}

/// Whose the mapping of an [`Action::Get`] is.
pub fn client(told: &Json) -> Option<Ipv4Addr> {
    told.get("NewInternalClient").str()?.parse().ok()
}

/// The port is another's.
pub fn is_conflict(fault: u16) -> bool {
    matches!(fault, 718 | 729 | 732)
}

/// It gives mappings for good only.
pub const ONLY_PERMANENT: u16 = 725;

/// What a fault means, in plain words.
pub fn refusal(fault: u16) -> &'static str {
    match fault {
        606 => "it does not allow it",
        718 | 729 | 732 => "the port is another device's",
        728 => "it has no room for more mappings",
        401 | 402 => "it does not know this action",
        _ => "it cannot do it",
    }
}

#[cfg(test)]
mod tests;
