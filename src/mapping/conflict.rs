//! Whose a public port is already: another redirect's, a UPnP lease's, or a program's on the router itself.
//! Semantics of `config redirect`: fw4.uc `parse_redirect`. Sockets: proc(5), `/proc/net/tcp`.    [pure]

#[cfg(test)]
mod tests;

use super::firewall::is_ours;
use super::redirect::Redirect;
use super::rule::range;
use crate::config::uci::{Opt, Section};
use crate::config::{Network, Ports, Proto};
use crate::model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every port.
const ALL: (u16, u16) = (0, u16::MAX);
/// States of `/proc/net`: TCP_LISTEN, and TCP_CLOSE, which an unconnected UDP socket is in.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// Public ports that somebody else forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose they are, in words that follow "by".
    pub whose: String,
    /// The zone that they are reached from; `None`: any.
    pub zone: Option<String>,
    /// The protocols.
    pub protos: Vec<Proto>,
    /// The ports, first and last.
    pub ports: (u16, u16),
    /// The families.
    pub families: &'static [Family],
    /// For whom; `None`: anyone.
    pub from: Option<Network>,
    /// At which addresses; `None`: any.
    pub at: Option<Network>,
}

/// A socket that takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Protocol.
    pub proto: Proto,
    /// The address that it is bound to; unspecified: all.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Names the socket in `/proc/PID/fd`.
    pub inode: u64,
}

/// A mapping whose public port is not free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The mapping section's name.
    pub mapping: String,
    /// The ports in question, first and last.
    pub ports: (u16, u16),
    /// Who holds them.
    pub holder: Holder,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A claim, by its [`Claim::whose`].
    Claim(String),
    /// A program on the router.
    Listener(Listener),
}

impl Conflict {
    /// What is wrong and what to do. `program`: who listens, if that is known.
    pub fn why(&self, program: Option<&str>) -> String {
        let ports = Ports(self.ports);
        match &self.holder {
            Holder::Claim(whose) => format!(
                "public port {ports} is forwarded already, by {whose}: take another src_dport, or take that one away"
            ),
            Holder::Listener(_) => format!(
                "public port {ports} is held by {} on this router: take another src_dport",
                program.unwrap_or("a program (netstat -lnp tells which)")
            ),
        }
    }
}

/// The mappings that somebody stands in the way of: the first that does, for each. `wan_addrs`: a program that
/// listens on another address of the router, a LAN's, is none.
pub fn find(
    redirects: &[Redirect],
    claims: &[Claim],
    listeners: &[Listener],
    wan_addrs: &[IpAddr],
) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    for redirect in redirects {
        if found.iter().any(|conflict| conflict.mapping == redirect.mapping) {
            continue;
        }
        let claim = claims.iter().find_map(|claim| Some((claimed(redirect, claim)?, claim)));
        let listener = listeners.iter().find(|listener| listens(redirect, listener, wan_addrs));
        let (ports, holder) = match (claim, listener) {
            (Some((ports, claim)), _) => (ports, Holder::Claim(claim.whose.clone())),
            (None, Some(listener)) => ((listener.port, listener.port), Holder::Listener(*listener)),
            (None, None) => continue,
        };
        found.push(Conflict { mapping: redirect.mapping.clone(), ports, holder });
    }
    found
}

/// The ports that a claim and a redirect share, if a packet could be for either.
fn claimed(redirect: &Redirect, claim: &Claim) -> Option<(u16, u16)> {
    let zone = claim.zone.as_ref().is_none_or(|zone| *zone == redirect.src);
    let family = claim.families.contains(&Family::of(redirect.dest_ip));
    let apart = match (&claim.from, &redirect.src_ip) {
        (Some(a), Some(b)) => !a.covers(b) && !b.covers(a),
        _ => false,
    };
    // In IPv6 ours is for packets to the camera's own address; at which of the WAN's another one is says nothing.
    let elsewhere = redirect.dest_ip.is_ipv6() && claim.at.is_some_and(|at| !at.contains(redirect.dest_ip));
    let first = redirect.src_dport.0.max(claim.ports.0);
    let last = redirect.src_dport.1.min(claim.ports.1);
    let same =
        zone && family && !apart && !elsewhere && claim.protos.contains(&redirect.proto) && first <= last;
    same.then_some((first, last))
}

/// Whether a program would be cut off from its port. In IPv6 nothing that is for the router is touched.
fn listens(redirect: &Redirect, listener: &Listener, wan_addrs: &[IpAddr]) -> bool {
    // A socket on all IPv6 addresses takes IPv4 too, unless it was told otherwise, which is not shown.
    let addr = listener.addr;
    let reached =
        redirect.dest_ip.is_ipv4() && (addr.is_unspecified() || addr.is_ipv4() && wan_addrs.contains(&addr));
    let ports = redirect.src_dport.0..=redirect.src_dport.1;
    reached && listener.proto == redirect.proto && ports.contains(&listener.port)
}

/// What the redirects of `/etc/config/firewall` claim, but for ours.
pub fn claims(sections: &[Section]) -> Vec<Claim> {
    let redirects = sections.iter().filter(|section| section.kind == "redirect");
    let mut claims = Vec::new();
    for (index, section) in redirects.enumerate() {
        if !is_ours(section) {
            claims.extend(claim(index, section));
        }
    }
    claims
}

/// `None`: it is switched off, not about incoming packets, or so that fw4 leaves it out.
fn claim(index: usize, section: &Section) -> Option<Claim> {
    let text = |name: &str| section.value(name);
    let off = text("enabled").is_some_and(|value| matches!(value, "0" | "off" | "false" | "no"));
    let snat = text("target").is_some_and(|target| target.eq_ignore_ascii_case("snat"));
    let zone = text("src").filter(|zone| *zone != "*")?;
    let (protos, with_ports) = protos(section.option("proto"));
    if off || snat || protos.is_empty() {
        return None;
    }
    let ports = match text("src_dport") {
        Some(value) if with_ports => ports(value)?,
        _ => ALL,
    };
    let families = families(text("family"), ["dest_ip", "src_ip", "src_dip"].map(text));
    let place = match &section.name {
        Some(name) => name.clone(),
        None => format!("@redirect[{index}]"),
    };
    let named = text("name").map_or(String::new(), |name| format!(" \"{}\"", name.escape_debug()));
    let whose = format!("redirect{named} ({place} in /etc/config/firewall)");
    Some(Claim {
        whose,
        zone: Some(zone.into()),
        protos,
        ports,
        families,
        from: text("src_ip").and_then(Network::parse),
        at: text("src_dip").and_then(Network::parse),
    })
}

/// The protocols of a redirect, and whether all of them have ports: without, it takes everything.
fn protos(option: Option<&Opt>) -> (Vec<Proto>, bool) {
    let Some(option) = option else { return (vec![Proto::Tcp, Proto::Udp], true) };
    let mut protos = Vec::new();
    let mut with_ports = true;
    for word in option.values.iter().flat_map(|value| value.split_whitespace()) {
        match word.to_ascii_lowercase().as_str() {
            "tcp" | "6" => protos.push(Proto::Tcp),
            "udp" | "17" => protos.push(Proto::Udp),
            "tcpudp" => protos.extend([Proto::Tcp, Proto::Udp]),
            "all" | "any" | "*" | "0" => (protos, with_ports) = (vec![Proto::Tcp, Proto::Udp], false),
            inverted if inverted.starts_with('!') => {
                (protos, with_ports) = (vec![Proto::Tcp, Proto::Udp], false);
            }
            _ => {}
        }
    }
    (protos, with_ports)
}

/// `8000`, `8000-8010`, `8000:8010`; with a `!`, all the others: for us, all. `None`: fw4 leaves such a section out.
fn ports(value: &str) -> Option<(u16, u16)> {
    let value = value.trim();
    if value.starts_with('!') {
        return Some(ALL);
    }
    range(value, &['-', ':'])
}

/// As fw4 infers it: by the option, by an address, else IPv4.
fn families(option: Option<&str>, addrs: [Option<&str>; 3]) -> &'static [Family] {
    const V4: &[Family] = &[Family::V4];
    const V6: &[Family] = &[Family::V6];
    match option {
        Some("any" | "all" | "*") => {}
        Some(text) if text == "inet" || text.contains('4') => return V4,
        Some(text) if text.contains('6') => return V6,
        _ if addrs == [None; 3] => return V4,
        _ => {}
    }
    let plain =
        |text: &str| Network::parse(text.trim_start_matches(['!', ' '])).map(|net| Family::of(net.addr));
    match addrs.into_iter().flatten().find_map(plain) {
        Some(Family::V4) => V4,
        Some(Family::V6) => V6,
        None => &Family::BOTH,
    }
}

/// What miniupnpd's lease file claims: `TCP:8554:192.168.1.77:554:EXPIRY:DESCRIPTION` a line.
pub fn leases(text: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    for line in text.lines() {
        claims.extend(lease(line));
    }
    claims
}

fn lease(line: &str) -> Option<Claim> {
    let mut fields = line.split(':');
    let proto = match fields.next()? {
        "TCP" => Proto::Tcp,
        "UDP" => Proto::Udp,
        _ => return None,
    };
    let port: u16 = fields.next()?.parse().ok()?;
    let target: Ipv4Addr = fields.next()?.parse().ok()?;
    Some(Claim {
        whose: format!("{target} (it asked by UPnP)"),
        zone: None,
        protos: vec![proto],
        ports: (port, port),
        families: &[Family::V4],
        from: None,
        at: None,
    })
}

/// The sockets of a table of `/proc/net` that take calls.
pub fn listeners(table: &str, proto: Proto) -> Vec<Listener> {
    let state = if proto == Proto::Tcp { LISTENS } else { UNCONNECTED };
    let listener = |line: &str| -> Option<Listener> {
        let mut fields = line.split_whitespace().skip(1);
        let (addr, port) = fields.next()?.split_once(':')?;
        let of_state = fields.nth(1)? == state;
        let inode = fields.nth(5)?.parse().ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (of_state && port > 0).then_some(Listener { proto, addr: address(addr)?, port, inode })
    };
    let mut all = Vec::new();
    for line in table.lines().skip(1) {
        all.extend(listener(line));
    }
    all
}

/// The kernel shows an address as words of 32 bits, each with the processor's order of bytes.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (chunk, at) in bytes.chunks_mut(4).zip([0, 8, 16, 24]) {
        chunk.copy_from_slice(&word(at)?);
    }
    let addr = Ipv6Addr::from(bytes);
    Some(addr.to_ipv4_mapped().map_or(addr.into(), IpAddr::from)).filter(|_| hex.len() == 32)
}
