//! Section `tunnel`: what it carries, by which server; each kind has options of its own.

use super::{keep, quoted, sentence, Fate, Fields, Loader, Network};
use crate::config::tunnel::{Row, Tunnel, KINDS};
use crate::config::{Mapping, Proto};
use std::net::IpAddr;

/// Options that are not a kind's own.
const COMMON: [&str; 5] = ["enabled", "kind", "when", "mapping", "remote_port"];
/// The most mappings that one tunnel carries.
const MAPPINGS_CAP: usize = 16;

impl Loader<'_> {
    pub(super) fn tunnel(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        let row = KINDS.iter().find(|row| Some(row.word) == fields.one("kind"))?;
        let own = || fields.row.options.iter().filter(|row| !COMMON.contains(&row.name));
        for option in own() {
            self.own_of_kind(fields, (row.word, row.needs, row.takes), option.name);
        }
        let mut options = fields.options.clone();
        for option in own().filter(|option| !option.secret && row.has(option.name)) {
            let values = fields.list(option.name);
            if !values.is_empty() {
                options.text.insert(option.name.to_string(), values.join("\n"));
            }
        }
        options.secrets.retain(|name, _| row.has(name));
        self.server_and_keys(fields);
        let carries = self.carried(fields);
        let tunnel = Tunnel {
            name: name.to_string(),
            kind: row.kind,
            server: fields.text("server").filter(|_| row.has("server")).unwrap_or_default(),
            port: fields.one("port").and_then(|text| text.parse().ok()).unwrap_or(row.port),
            always: fields.one("when") == Some("always"),
            carries,
            options,
        };
        if tunnel.carries.is_empty() {
            return None;
        }
        keep(fields, &mut self.loaded.config.tunnels, tunnel)
    }

    /// What would go wrong with every connection is said now.
    fn server_and_keys(&mut self, fields: &mut Fields) {
        let is_net = |text: &&str| Network::parse(text).is_some() && text.parse::<IpAddr>().is_err();
        if fields.one("server").filter(is_net).is_some() {
            self.reader.fault(fields, "server", "is a network; write the server's name or address");
        }
        let is_name =
            |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_whitespace);
        if fields.one("username").is_some_and(|name| !is_name(name)) {
            self.reader.fault(fields, "username", "is no account's name");
        }
        if fields.list("host_key").iter().any(|key| !is_public_key(key)) {
            let text = "is no public key; write the two words of the server's /etc/ssh/ssh_host_ed25519_key.pub, such as \
                        'ssh-ed25519 AAAA...' (from elsewhere: ssh-keyscan -t ed25519 SERVER, compared with the server's)";
            self.reader.fault(fields, "host_key", text);
        }
    }

    /// The mappings that are carried, each with its port on the server.
    fn carried(&mut self, fields: &mut Fields) -> Vec<(String, u16)> {
        let names = fields.texts("mapping");
        let ports: Vec<u16> =
            fields.list("remote_port").into_iter().filter_map(|text| text.parse().ok()).collect();
        if names.len() > MAPPINGS_CAP {
            let text = format!("has {} values; {MAPPINGS_CAP} are the most", names.len());
            self.reader.fault(fields, "mapping", &text);
        }
        if ports.len() > names.len() {
            self.reader.fault(fields, "remote_port", "has more values than list mapping");
        }
        let (mut carries, any): (Vec<(String, u16)>, bool) = (Vec::new(), ports == [0]);
        for (index, name) in names.iter().enumerate() {
            let Some(usual) = self.carriable(fields, name) else { continue };
            let port = if fields.one("kind") == Some("script") {
                usual
            } else if any {
                0
            } else {
                ports.get(index).copied().unwrap_or(usual)
            };
            if port != 0 && carries.iter().any(|(_, other)| *other == port) {
                let text = format!("mapping {} would have the same port as another: {port}", quoted(name));
                self.reader.fault(fields, "remote_port", &text);
            }
            carries.push((name.clone(), port));
        }
        carries
    }

    /// The mapping's own port, if a tunnel may carry it; if not, it has been said why.
    fn carriable(&mut self, fields: &mut Fields, name: &str) -> Option<u16> {
        let line = fields.line_of("mapping", name);
        match self.fate("mapping", name) {
            Some(Fate::Good) => {}
            Some(Fate::Off) => {
                let text = sentence(name, "is off, and is not carried");
                self.reader.warn_at(fields, "mapping", line, &text);
                return None;
            }
            Some(Fate::Faulty) => {
                let text = sentence(name, "has an error, and is not carried");
                self.reader.warn_at(fields, "mapping", line, &text);
                return None;
            }
            None => {
                let text = self.no_such("mapping", name);
                self.reader.fault_at(fields, "mapping", line, &text);
                return None;
            }
        }
        let mapping = self.loaded.config.mappings.iter().find(|mapping| mapping.name == name)?;
        if let Some(why) = not_carriable(mapping) {
            self.reader.fault_at(fields, "mapping", line, &sentence(name, why));
            return None;
        }
        Some(mapping.src_dport.0)
    }
}

/// Why a tunnel may not carry a mapping.
fn not_carriable(mapping: &Mapping) -> Option<&'static str> {
    let (first, last) = mapping.src_dport;
    if mapping.is_limited() {
        Some(
            "is limited by src_ip, and by a tunnel everybody comes from the server's side, so nobody could be told \
             apart: carry another mapping, or take src_ip out there",
        )
    } else if first != last {
        Some("is a range of ports, and a tunnel carries one port of each mapping")
    } else if !mapping.protos.contains(&Proto::Tcp) {
        Some("is UDP, and a tunnel carries TCP only")
    } else {
        None
    }
}

/// Two words: an algorithm of SSH, and base64. A comment may follow.
fn is_public_key(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (Some(algorithm), Some(key)) = (words.next(), words.next()) else { return false };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| algorithm.starts_with(start));
    known && key.starts_with("AAAA") && key.bytes().all(is_base64)
}

impl Row {
    fn has(&self, option: &str) -> bool {
        self.needs.contains(&option) || self.takes.contains(&option)
    }
}
