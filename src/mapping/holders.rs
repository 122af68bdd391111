//! Reads who holds public ports on this router: `/etc/config/firewall`, UPnP leases, listening sockets and the
//! programs behind them. What it cannot read holds nothing. The judgement is [`super::conflict`]'s.

use super::conflict::{claims, find, leases, listeners, Claim, Conflict, Holder, Listener};
use super::firewall;
use super::redirect::Redirect;
use crate::config::uci;
use crate::config::Proto;
use crate::sense::files::read_capped;
use async_io::Timer;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The most bytes of a table of sockets: some 3500 sockets.
const TABLE_CAP: usize = 512 * 1024;
/// The most bytes of the file of UPnP leases, and of another program's configuration.
const FILE_CAP: usize = 64 * 1024;
/// The most processes, and open files of one, that are looked at for the holder of a socket.
const MAX_PROCESSES: usize = 4096;
const MAX_FILES: usize = 1024;
/// A UDP socket that is still there after this time is no question under way: dnsmasq asks from random ports.
const QUESTION: Duration = Duration::from_secs(2);
/// Configurations that are not about ports of programs on the router.
const NOT_OF_PROGRAMS: [&str; 2] = ["firewall", "porchlight"];
/// So many configurations are looked at.
const MAX_CONFIGS: usize = 128;
/// Options in them that hold a port on which a program listens, alone or behind an address.
const PORT_OPTIONS: [&str; 9] = [
    "listen_http",
    "listen_https",
    "listen_port",
    "listen",
    "Port",
    "port",
    "rpc_port",
    "peer_port",
    "http_port",
];

/// The mappings that cannot be, and why: somebody has their public port already. Each once. May take two seconds, if
/// it is a UDP port.
pub async fn conflicts(root: &Path, redirects: &[Redirect], wan_addrs: &[IpAddr]) -> Vec<(String, String)> {
    if redirects.is_empty() {
        return Vec::new();
    }
    let claims = all_claims(root);
    let mut found = find(redirects, &claims, &all_listeners(root), wan_addrs);
    let is_udp = |c: &Conflict| matches!(&c.holder, Holder::Listener(l) if l.proto == Proto::Udp);
    if found.iter().any(is_udp) {
        let before: Vec<Listener> = all_listeners(root);
        Timer::after(QUESTION).await;
        let mut now = all_listeners(root);
        now.retain(|listener| listener.proto == Proto::Tcp || before.contains(listener));
        found = find(redirects, &claims, &now, wan_addrs);
    }
    let told = |conflict: Conflict| {
        let program = match &conflict.holder {
            Holder::Listener(listener) => program(root, listener),
            Holder::Claim(_) => None,
        };
        let why = conflict.why(program.as_deref());
        (conflict.mapping, why)
    };
    found.into_iter().map(told).collect()
}

fn text(root: &Path, path: &str, cap: usize) -> String {
    let bytes = read_capped(&root.join(path), cap).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn all_claims(root: &Path) -> Vec<Claim> {
    let bytes = read_capped(&root.join(firewall::PATH), firewall::FILE_CAP).unwrap_or_default();
    let mut all = firewall::sections(&bytes).map(|sections| claims(&sections)).unwrap_or_default();
    all.extend(leases(&text(root, "var/run/miniupnpd.leases", FILE_CAP)));
    all
}

fn all_listeners(root: &Path) -> Vec<Listener> {
    let tables = [("tcp", Proto::Tcp), ("tcp6", Proto::Tcp), ("udp", Proto::Udp), ("udp6", Proto::Udp)];
    let mut all = Vec::new();
    for (name, proto) in tables {
        all.extend(listeners(&text(root, &format!("proc/net/{name}"), TABLE_CAP), proto));
    }
    all
}

/// Whose a socket is: by the open files of the processes that we may look into, else by what the programs' own
/// configurations say. With the few capabilities of a service these are all there is, as they are for what the kernel
/// itself holds.
fn program(root: &Path, listener: &Listener) -> Option<String> {
    process(root, listener.inode).or_else(|| {
        let is_one = |name: &str| !name.contains('.') && !NOT_OF_PROGRAMS.contains(&name);
        let mut files = entries(&root.join("etc/config"), MAX_CONFIGS, &is_one);
        files.sort();
        files.iter().find_map(|file| configured(root, file, listener.port))
    })
}

/// So many names of a directory that are of this kind.
fn entries(directory: &Path, most: usize, kind: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if names.len() == most {
            break;
        }
        names.extend(entry.file_name().into_string().ok().filter(|name| kind(name)));
    }
    names
}

fn process(root: &Path, inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let is_number = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
    let proc = root.join("proc");
    for number in entries(&proc, MAX_PROCESSES, &is_number) {
        let files = proc.join(&number).join("fd");
        let is_it =
            |name: &str| fs::read_link(files.join(name)).is_ok_and(|to| to.as_os_str() == wanted.as_str());
        if entries(&files, MAX_FILES, &is_number).iter().any(|name| is_it(name)) {
            let name = fs::read_to_string(proc.join(number).join("comm")).ok()?;
            return Some(name.trim().escape_debug().to_string()).filter(|name| !name.is_empty());
        }
    }
    None
}

/// Who has this port by a file in `/etc/config`.
fn configured(root: &Path, file: &str, port: u16) -> Option<String> {
    let parsed = uci::parse(&text(root, &format!("etc/config/{file}"), FILE_CAP), file);
    let is_it = |value: &String| value.rsplit(':').next().and_then(|text| text.parse().ok()) == Some(port);
    let names_it = |section: &&uci::Section| {
        let options = section.options.iter().filter(|option| PORT_OPTIONS.contains(&option.name.as_str()));
        options.flat_map(|option| &option.values).any(is_it)
    };
    let section = parsed.sections.iter().find(names_it)?;
    Some(match (file, &section.name) {
        ("network", Some(interface)) => format!("interface {interface} (WireGuard or another tunnel)"),
        (_, Some(name)) => format!("{file} ({name} in /etc/config/{file})"),
        _ => format!("{file} (by /etc/config/{file})"),
    })
}
