//! A stand-in for OpenWrt's procd, ubus and fw4, as far as port mappings go. What it answers and renders was recorded
//! from the real ones (`openwrt.transcript`), which a test compares, word for word. The rules that it renders are
//! loaded into the router's kernel by the real nft.
//!
//! `ubus` and `fw4` are two small scripts in a directory for the agent's PATH; they ask a socket of this process.

use super::ns::Ns;
use super::process::{self, until};
use super::{seal, Lab};
use anyhow::{ensure, Context, Result};
use serde_json::{json, Map, Value};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the hidden task of the two scripts is called.
pub const CLIENT: &str = "__openwrt";
/// How long procd waits before it has fw4 reload.
const RELOAD_DELAY: Duration = Duration::from_secs(1);
/// The longest that nft may take.
const NFT_LIMIT: Duration = Duration::from_secs(10);
/// The zones of fw4's default configuration.
const ZONES: [&str; 2] = ["lan", "wan"];
/// What the real `fw4 check` says first where there are files of others, and a WAN without an address.
const WARNINGS: &str = "\
[!] ubus redirect (ubus:porchlight_mappings[*] redirect 0) external address range cannot be determined, disabling reflection
[!] Automatically including '/usr/share/nftables.d/table-pre/broken.nft'
[!] Automatically including '/usr/share/nftables.d/chain-pre/forward/broken.nft'
";
/// The LAN's network, and the router in it.
const LAN: (&str, &str) = ("192.168.1.0/24", "192.168.1.1");

/// What `ubus call` leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// Its exit status.
    pub code: u8,
}

impl Reply {
    fn json(value: &Value) -> Reply {
        Reply { out: value.to_string(), ..Reply::default() }
    }

    fn refused(object: &str, method: &str, message: &str, why: &str, code: u8) -> Reply {
        let err = format!("Command failed: ubus call {object} {method} {message} ({why})");
        Reply { err, code, ..Reply::default() }
    }
}

/// procd, as far as it keeps the data of services.
#[derive(Debug, Default)]
pub struct Procd {
    services: Map<String, Value>,
    /// Data of type `firewall` changed: fw4 is to reload.
    fired: bool,
}

impl Procd {
    /// Answers one call.
    pub fn call(&mut self, object: &str, method: &str, message: &str) -> Reply {
        if object != "service" {
            return Reply { err: "Command failed: Not found".into(), code: 4, ..Reply::default() };
        }
        let refused = |why, code| Reply::refused(object, method, message, why, code);
        let Ok(Value::Object(asked)) = serde_json::from_str(message) else {
            return refused("Parsing message data failed", 244);
        };
        let name = asked.get("name").and_then(Value::as_str);
        match (method, name) {
            ("add" | "set", None) => refused("Invalid argument", 254),
            ("add" | "set", Some(name)) => {
                self.set(name, asked.get("data"));
                Reply::default()
            }
            ("delete", Some(name)) => match self.services.remove(name) {
                // The data goes, and nobody is told.
                Some(_) => Reply::default(),
                None => refused("Not found", 252),
            },
            ("list", _) => Reply::json(&self.list(name)),
            ("get_data", _) => Reply::json(&self.data(asked.get("type").and_then(Value::as_str))),
            ("event", _) => {
                let of = |key: &str| asked.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
                self.fired |= match asked.get("type").and_then(Value::as_str) {
                    Some("service.data.update") => of("name") == Some("firewall"),
                    Some("config.change") => of("package") == Some("firewall"),
                    _ => false,
                };
                Reply::default()
            }
            _ => refused("Method not found", 253),
        }
    }

    fn set(&mut self, name: &str, data: Option<&Value>) {
        let service = self.services.entry(name).or_insert_with(|| json!({}));
        let Some(data) = data else { return };
        if service != data {
            let has = |data: &Value| data.get("firewall").is_some();
            self.fired |= has(service) || has(data);
            *service = data.clone();
        }
    }

    fn list(&self, name: Option<&str>) -> Value {
        let wanted = self.services.iter().filter(|(service, _)| name.is_none_or(|name| name == *service));
        let dump = |data: &Value| match data.as_object().is_some_and(Map::is_empty) {
            true => json!({}),
            false => json!({ "data": data }),
        };
        Value::Object(wanted.map(|(service, data)| (service.clone(), dump(data))).collect())
    }

    fn data(&self, kind: Option<&str>) -> Value {
        let mut all = Map::new();
        for (service, data) in &self.services {
            let mut kept = data.as_object().cloned().unwrap_or_default();
            kept.retain(|key, _| kind.is_none_or(|kind| kind == key));
            if !kept.is_empty() {
                all.insert(service.clone(), json!({ "*": kept }));
            }
        }
        Value::Object(all)
    }

    /// The rules that fw4 makes of the data, by chain, in the order and the words of nft's listing.
    pub fn rules(&self, wan: Ipv4Addr) -> Vec<(String, String)> {
        let mut rules = Vec::new();
        for (service, data) in &self.services {
            let list = data.get("firewall").and_then(Value::as_array).into_iter().flatten();
            for (number, redirect) in list.enumerate() {
                let name = format!("ubus:{service}[*] redirect {number}");
                rules.extend(render(redirect, &name, wan).unwrap_or_default());
            }
        }
        by_chain(rules)
    }
}

/// The rules that fw4 makes of the redirects in its own configuration.
pub fn configured(text: &str, wan: Ipv4Addr) -> Vec<(String, String)> {
    let redirects = sections(text).into_iter().filter(|section| section["type"] == "redirect");
    let rules = redirects.enumerate().filter_map(|(number, redirect)| {
        let name = redirect.get("name").and_then(Value::as_str).map(String::from);
        render(&redirect, &name.unwrap_or_else(|| format!("@redirect[{number}]")), wan)
    });
    by_chain(rules.flatten().collect())
}

fn by_chain(mut rules: Vec<(String, String)>) -> Vec<(String, String)> {
    let chains = ["dstnat_lan", "srcnat_lan", "dstnat_wan"];
    rules.sort_by_key(|(chain, _)| chains.iter().position(|name| name == chain));
    rules
}

/// The sections of a file in `/etc/config`, as far as these stories write it: one statement a line, no value over
/// several.
fn sections(text: &str) -> Vec<Value> {
    let mut sections: Vec<Value> = Vec::new();
    for line in text.lines() {
        let words = words(line);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["config", kind, ..] => sections.push(json!({ "type": kind })),
            ["option", key, value] => {
                if let Some(section) = sections.last_mut() {
                    section[*key] = json!(value);
                }
            }
            _ => {}
        }
    }
    sections
}

/// The words of a line: bare, or in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_string());
        rest = behind.trim_start();
    }
    words
}

/// One redirect's rules. `None`: fw4 leaves it out.
fn render(redirect: &Value, name: &str, wan: Ipv4Addr) -> Option<Vec<(String, String)>> {
    let option = |key: &str| redirect.get(key).and_then(Value::as_str);
    let zone = |key: &str| option(key).filter(|zone| ZONES.contains(zone));
    (option("type") == Some("redirect") && option("enabled") != Some("0")).then_some(())?;
    let (src, dest) = (zone("src")?, zone("dest")?);
    let (proto, port) = (option("proto")?, option("src_dport")?);
    let to_port = option("dest_port").unwrap_or(port);
    let from = match option("src_ip") {
        Some(net) => format!("ip saddr {}", net.trim_end_matches("/32")),
        None => "meta nfproto ipv4".into(),
    };
    let chain = format!("dstnat_{src}");
    let Some(target) = option("dest_ip") else {
        let rule =
            format!("{from} {proto} dport {port} counter redirect to :{to_port} comment \"!fw4: {name}\"");
        return Some(vec![(chain, rule)]);
    };
    let to = format!("{target}:{to_port}");
    let rule = format!("{from} {proto} dport {port} counter dnat ip to {to} comment \"!fw4: {name}\"");
    let mut rules = vec![(chain, rule)];
    if option("reflection") != Some("0") {
        let (lan, router) = LAN;
        let mark = format!("comment \"!fw4: {name} (reflection)\"");
        rules.push((
            format!("dstnat_{dest}"),
            format!("ip saddr {lan} ip daddr {wan} {proto} dport {port} dnat ip to {to} {mark}"),
        ));
        rules.push((
            format!("srcnat_{dest}"),
            format!("ip saddr {lan} ip daddr {target} {proto} dport {to_port} snat ip to {router} {mark}"),
        ));
    }
    Some(rules)
}

/// What procd and fw4 know, and what they were asked.
struct State {
    procd: Procd,
    /// fw4's configuration, if there is one.
    firewall: PathBuf,
    wan: Ipv4Addr,
    /// When fw4 is to reload.
    due: Option<Instant>,
    /// fw4 is kept from reloading.
    held: bool,
    /// The firewall's configuration has something that nft refuses.
    broken: bool,
    reloads: usize,
    calls: Vec<String>,
}

/// The running stand-in. Its threads end with the process.
pub struct Openwrt {
    shared: Arc<(Mutex<State>, Condvar)>,
    dir: PathBuf,
}

impl Openwrt {
    /// Starts it on the router, with fw4's rules loaded.
    pub fn start(lab: &Lab, wan: Ipv4Addr) -> Result<Openwrt> {
        let dir = Path::new(seal::DIR).join("openwrt");
        fs::create_dir_all(&dir)?;
        let socket = dir.join("socket");
        let listener = UnixListener::bind(&socket)?;
        let program = std::env::current_exe()?;
        for name in ["ubus", "fw4"] {
            let script = format!(
                "#!/bin/sh\nexec {} {CLIENT} --socket {} {name} \"$@\"\n",
                program.display(),
                socket.display()
            );
            fs::write(dir.join(name), script)?;
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755))?;
        }
        let procd = Procd::default();
        let state = State {
            procd,
            firewall: lab.root.join("etc/config/firewall"),
            wan,
            due: None,
            held: false,
            broken: false,
            reloads: 0,
            calls: Vec::new(),
        };
        let openwrt = Openwrt { shared: Arc::new((Mutex::new(state), Condvar::new())), dir };
        let (ns, shared) = (lab.router.again()?, openwrt.shared.clone());
        reload(&ns, &mut lock(&shared))?;
        let for_reloads = shared.clone();
        thread::spawn(move || reloads(&ns, &for_reloads));
        let ns = lab.router.again()?;
        thread::spawn(move || {
            for call in listener.incoming().map_while(std::io::Result::ok) {
                let _ = serve(call, &ns, &shared);
            }
        });
        Ok(openwrt)
    }

    /// A PATH in which the stand-ins come first.
    pub fn path(&self) -> String {
        format!("{}:{}", self.dir.display(), std::env::var("PATH").unwrap_or_default())
    }

    /// Where the two scripts and their socket are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps fw4 from reloading, as a slow router does, or lets it go on.
    pub fn hold(&self, held: bool) {
        lock(&self.shared).held = held;
        self.shared.1.notify_all();
    }

    /// Puts something into the firewall's configuration that nft refuses, or takes it out.
    pub fn break_firewall(&self, broken: bool) {
        lock(&self.shared).broken = broken;
    }

    /// netifd's event: the WAN has this address now, and fw4 reloads at once.
    pub fn wan_is(&self, lab: &Lab, wan: Ipv4Addr) -> Result<()> {
        let mut state = lock(&self.shared);
        state.wan = wan;
        reload(&lab.router, &mut state)
    }

    /// How often procd had fw4 reload.
    pub fn reloads(&self) -> usize {
        lock(&self.shared).reloads
    }

    /// Whether no reload is to come.
    pub fn is_quiet(&self) -> bool {
        lock(&self.shared).due.is_none()
    }

    /// What was asked since the last time, without what only reads.
    pub fn writes(&self) -> Vec<String> {
        let mut calls = std::mem::take(&mut lock(&self.shared).calls);
        calls.retain(|call| !call.starts_with("service list ") && !call.starts_with("service get_data "));
        calls
    }

    /// What procd has of a service; null: it does not know it.
    pub fn service(&self, name: &str) -> Value {
        lock(&self.shared).procd.services.get(name).cloned().unwrap_or_default()
    }
}

fn lock(shared: &(Mutex<State>, Condvar)) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one call of the two scripts.
fn serve(call: UnixStream, ns: &Ns, shared: &(Mutex<State>, Condvar)) -> Result<()> {
    let mut line = String::new();
    BufReader::new(call.try_clone()?).read_line(&mut line)?;
    let words: Vec<String> = serde_json::from_str(&line)?;
    let mut state = lock(shared);
    let reply = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ubus", "call", object, method, message] => {
            state.calls.push(format!("{object} {method} {message}"));
            let reply = state.procd.call(object, method, message);
            if std::mem::take(&mut state.procd.fired) {
                state.due.get_or_insert_with(|| Instant::now() + RELOAD_DELAY);
                shared.1.notify_all();
            }
            reply
        }
        ["fw4", "check"] => match nft(ns, &["-c", "-f", "-"], &ruleset(&state)) {
            Ok(()) => Reply { out: "Ruleset passes nftables check.\n".into(), ..Reply::default() },
            Err(error) => Reply { err: format!("{WARNINGS}{error:#}\n"), code: 1, ..Reply::default() },
        },
        other => Reply { err: format!("not recorded: {other:?}"), code: 99, ..Reply::default() },
    };
    drop(state);
    let Reply { out, err, code } = reply;
    writeln!(&call, "{}", json!([out, err, code])).context("the caller is gone")
}

/// Has fw4 reload whenever that is due.
fn reloads(ns: &Ns, shared: &(Mutex<State>, Condvar)) {
    let mut state = lock(shared);
    loop {
        let wait = match state.due {
            Some(at) if !state.held => at.saturating_duration_since(Instant::now()),
            _ => Duration::from_secs(3600),
        };
        if wait.is_zero() {
            (state.due, state.reloads) = (None, state.reloads + 1);
            // As the real one, it is called well whatever nft says: the old rules stay.
            let _ = reload(ns, &mut state);
            continue;
        }
        state = shared.1.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn reload(ns: &Ns, state: &mut State) -> Result<()> {
    nft(ns, &["-f", "-"], &ruleset(state))
}

fn nft(ns: &Ns, args: &[&str], text: &str) -> Result<()> {
    let done = ns.enter(|| process::run(Command::new("nft").args(args), Some(text), NFT_LIMIT))?;
    ensure!(done.status.success(), "{}", done.stderr.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(())
}

/// fw4's whole table, shortened to what matters here.
fn ruleset(state: &State) -> String {
    let mut rules = state.procd.rules(state.wan);
    rules.extend(configured(&fs::read_to_string(&state.firewall).unwrap_or_default(), state.wan));
    let chain = |name: &str| -> String {
        let of_chain = rules.iter().filter(|(chain, _)| chain == name);
        let lines: String = of_chain.map(|(_, rule)| format!("\t\t{rule}\n")).collect();
        if lines.is_empty() {
            String::new()
        } else {
            format!("\tchain {name} {{\n{lines}\t}}\n")
        }
    };
    let chains: String = ["dstnat_lan", "srcnat_lan", "dstnat_wan"].into_iter().map(chain).collect();
    let jump = |text: &str, name: &str| match rules.iter().any(|(chain, _)| chain == name) {
        true => format!("\t\t{text} jump {name} comment \"!fw4: Handle {name}\"\n"),
        false => String::new(),
    };
    // A zone accepts port forwards only if it has one.
    let accept = |name: &str| match rules.iter().any(|(chain, _)| chain == name) {
        true => "\t\tct status dnat accept comment \"!fw4: Accept port forwards\"\n",
        false => "",
    };
    let broken = if state.broken { "\tchain broken {\n\t\tnonsense\n\t}\n" } else { "" };
    TABLE
        .replace("%chains%", &(chains + broken))
        .replace("%forward_lan%", accept("dstnat_lan"))
        .replace("%forward_wan%", accept("dstnat_wan"))
        .replace(
            "%dstnat%",
            &(jump("iifname \"lan0\"", "dstnat_lan") + &jump("iifname \"wan0\"", "dstnat_wan")),
        )
        .replace("%srcnat%", &jump("oifname \"lan0\"", "srcnat_lan"))
}

/// fw4's table with its default configuration.
const TABLE: &str = r#"table inet fw4
delete table inet fw4
table inet fw4 {
%chains%	chain input_lan {
		counter accept
	}
	chain input_wan {
		meta nfproto ipv4 icmp type echo-request counter accept comment "!fw4: Allow-Ping"
		meta l4proto ipv6-icmp counter accept comment "!fw4: Allow-ICMPv6-Input"
		jump handle_reject
	}
	chain handle_reject {
		meta l4proto tcp reject with tcp reset comment "!fw4: Reject TCP traffic"
		reject comment "!fw4: Reject any other traffic"
	}
	chain forward_lan {
		oifname "wan0" counter accept comment "!fw4: Accept lan to wan forwarding"
%forward_lan%		oifname "lan0" counter accept comment "!fw4: accept lan IPv4/IPv6 traffic"
	}
	chain forward_wan {
%forward_wan%		counter drop comment "!fw4: drop wan IPv4/IPv6 traffic"
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept comment "!fw4: Accept traffic from loopback"
		ct state vmap { established : accept, related : accept } comment "!fw4: Handle inbound flows"
		iifname "lan0" jump input_lan comment "!fw4: Handle lan IPv4/IPv6 input traffic"
		iifname "wan0" jump input_wan comment "!fw4: Handle wan IPv4/IPv6 input traffic"
		jump handle_reject
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept } comment "!fw4: Handle forwarded flows"
		iifname "lan0" jump forward_lan comment "!fw4: Handle lan IPv4/IPv6 forward traffic"
		iifname "wan0" jump forward_wan comment "!fw4: Handle wan IPv4/IPv6 forward traffic"
		jump handle_reject
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
%dstnat%	}
	chain srcnat {
		type nat hook postrouting priority srcnat; policy accept;
%srcnat%		oifname "wan0" meta nfproto ipv4 masquerade comment "!fw4: Masquerade IPv4 wan traffic"
	}
}
"#;

/// What the two scripts run: passes the arguments on, and the answer back.
pub fn client(socket: &Path, args: &[String]) -> Result<i32> {
    let mut stream =
        until("the stand-in takes the call", Duration::from_secs(5), || UnixStream::connect(socket).ok())?;
    writeln!(stream, "{}", json!(args))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (out, err, code): (String, String, i32) = serde_json::from_str(&answer)?;
    print!("{out}");
    eprint!("{err}");
    Ok(code)
}

/// Whether this address is one that a rule of a table leads to, for a story's checks.
pub fn leads_to(listing: &str, addr: IpAddr) -> bool {
    listing.contains(&format!("dnat ip to {addr}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step of the record, against the stand-in.
    #[test]
    fn it_answers_and_renders_as_the_real_ones() {
        let record = include_str!("openwrt.transcript");
        let (mut procd, mut steps, mut standing) = (Procd::default(), 0, Vec::new());
        let lines: Vec<&str> =
            record.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        for step in lines.split_inclusive(|line| line.starts_with('~')).collect::<Vec<_>>().windows(2) {
            // The rules of a step stand before the next one's question.
            let asked = step[0].iter().find_map(|line| line.strip_prefix("> ")).unwrap();
            let of = |mark: &str| step[0].iter().find_map(|line| line.strip_prefix(mark)).unwrap_or_default();
            let words: Vec<&str> = asked.splitn(3, ' ').collect();
            let reply = procd.call(words[0], words[1], words[2]);
            let out = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            assert_eq!(out(&reply.out), out(of("< ")), "{asked}");
            assert_eq!(reply.err, of("! "), "{asked}");
            assert_eq!(reply.code.to_string(), of("= "), "{asked}");
            let fired = std::mem::take(&mut procd.fired);
            assert_eq!(if fired { "reload" } else { "nothing" }, of("~ "), "{asked}");
            if fired {
                standing = procd.rules(Ipv4Addr::new(203, 0, 113, 10));
            }
            let rules = step[1].iter().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
            let real: Vec<_> = rules.map(|(chain, rule)| (chain.to_string(), rule.to_string())).collect();
            assert_eq!(standing, real, "{asked}");
            steps += 1;
        }
        assert!(steps >= 20, "{steps} steps");
    }
}
