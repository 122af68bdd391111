//! The state file's text: a head line `porchlight-state VERSION SHA256`, then one line a fact, fields parted by tabs. A file
//! that is torn, foreign or of another version is set aside with a warning.

use super::{opened, record, told, tunnel, Pinned, State};
use crate::model::Time;
use sha2::{Digest, Sha256};
use std::fmt::{self, Display, Write};
use std::net::IpAddr;

/// Version of the format; another one is not read.
const VERSION: &str = "1";

/// Lines that mean nothing after a reboot: the packet filter and the neighbour table are empty then.
const OF_THE_BOOT: [&str; 14] = [
    "moved",
    "lease",
    "leased",
    "conflict",
    "target",
    opened::LINE,
    "proof",
    "pinned",
    "name",
    "hits",
    "nonce",
    "above",
    "granted",
    tunnel::LINE,
];

/// Lines of the file.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds a line: fields parted by tabs.
    pub(super) fn add(&mut self, fields: &[&dyn Display]) {
        for (i, field) in fields.iter().enumerate() {
            self.0.push_str(if i > 0 { "\t" } else { "" });
            let _ = write!(Field(&mut self.0), "{field}");
        }
        self.0.push('\n');
    }

    /// The file's text: its head and the lines.
    fn headed(&self) -> String {
        format!("porchlight-state {VERSION} {}\n{}", digest(&self.0), self.0)
    }
}

/// A field that is being written: what would part it becomes a blank.
struct Field<'a>(&'a mut String);

impl Write for Field<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        Ok(())
    }
}

impl State {
    /// The file's text. What is in flight is written as unknown: after a kill it is asked, not sent again.
    pub fn to_text(&self, boot_id: &str) -> String {
        let mut lines = Lines::default();
        lines.add(&[&"boot", &boot_id]);
        lines.add(&[&"change", &self.change]);
        self.add_records(&mut lines);
        self.add_accounts(&mut lines);
        self.add_cameras(&mut lines);
        for (name, Pinned { addr, at }) in &self.leases.pinned {
            lines.add(&[&"pinned", name, addr, &at.0]);
        }
        self.add_upstream(&mut lines);
        self.add_tunnels(&mut lines);
        for (name, memory) in &self.names {
            // Not asked when it was answered: after a restart it is looked up again, and until then all stays as it is.
            let addrs: Vec<String> = memory.addrs.iter().flatten().map(IpAddr::to_string).collect();
            if !addrs.is_empty() {
                lines.add(&[&"name", name, &addrs.join(" ")]);
            }
        }
        for (name, count) in &self.hits {
            lines.add(&[&"hits", name, count]);
        }
        for target in &self.mapping.targets {
            lines.add(&[&"target", target]);
        }
        opened::write(&self.mapping, &mut lines);
        self.told.write(&mut lines);
        for change in &self.history {
            lines.add(&[&"history", &change.number, &change.at, &change.text]);
        }
        lines.headed()
    }

    /// The text of the file that outlives the boot: when the records were sent which are sent once more in time.
    /// [`State::from_text`] reads it too.
    pub fn to_kept_text(&self) -> String {
        let mut lines = Lines::default();
        for (id, memory) in &self.records {
            record::add_sent(&mut lines, id, memory);
        }
        lines.headed()
    }

    /// Reads what [`State::to_text`] wrote. Published values come back as remembered; times of another
    /// boot are dropped, resting accounts stay resting.
    ///
    /// # Errors
    /// Why the text cannot be trusted.
    pub fn from_text(text: &str, boot_id: &str) -> Result<State, String> {
        let (head, body) = text.split_once('\n').ok_or("it is torn: no first line")?;
        let mut head = head.split(' ');
        if head.next() != Some("porchlight-state") {
            return Err("it is not a state file of porchlight".into());
        }
        let version = head.next().unwrap_or("?");
        if version != VERSION {
            return Err(format!("it has version {version}, this program reads version {VERSION}"));
        }
        if head.next() != Some(digest(body).as_str()) {
            return Err("it is torn: the checksum does not match".into());
        }
        let mut state = State::default();
        let mut same_boot = false;
        for (number, line) in body.lines().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            if let ["boot", id] = fields.as_slice() {
                same_boot = *id == boot_id;
            } else if state.read_line(&fields, same_boot).is_none() {
                return Err(format!("line {} makes no sense", number + 2));
            }
        }
        Ok(state)
    }

    fn read_line(&mut self, fields: &[&str], same_boot: bool) -> Option<()> {
        match fields {
            [kind, ..] if !same_boot && OF_THE_BOOT.contains(kind) => {}
            [kind, ..] if told::LINES.contains(kind) => {
                return if same_boot { self.told.read(fields) } else { Some(()) };
            }
            ["change", n] => self.change = n.parse().ok()?,
            ["record" | "sent" | "rest", ..] => self.read_record(fields)?,
            ["memo", key, name, value] => {
                let account = self.accounts.entry((*key).to_string()).or_default();
                account.memo.insert((*name).to_string(), (*value).to_string());
            }
            ["account", key, retry @ ..] => self.read_account(key, retry, same_boot)?,
            ["camera" | "moved" | "lease" | "leased" | "conflict" | "shows" | "heard6", name, ..] => {
                self.read_camera(name, fields)?;
            }
            ["pinned", name, addr, at] => {
                let pinned = Pinned { addr: addr.parse().ok()?, at: time(at)? };
                self.leases.pinned.insert((*name).to_string(), pinned);
            }
            ["proof", proof @ ..] => self.read_proof(proof)?,
            ["nonce" | "above" | "granted", ..] => self.read_upstream(fields)?,
            [tunnel::LINE, ..] => self.read_tunnel(fields)?,
            ["name", name, addrs] => {
                let addrs: Option<Vec<IpAddr>> = addrs.split(' ').map(|addr| addr.parse().ok()).collect();
                self.names.entry((*name).to_string()).or_default().addrs = Some(addrs?);
            }
            ["hits", name, count] => {
                self.hits.insert((*name).to_string(), count.parse().ok()?);
            }
            ["target", addr] => {
                self.mapping.targets.insert(addr.parse().ok()?);
            }
            [opened::LINE, rest @ ..] => opened::read(&mut self.mapping, rest)?,
            ["history", number, at, text] => {
                self.remember(number.parse().ok()?, at.parse().ok()?, (*text).to_string());
            }
            _ => return None,
        }
        Some(())
    }
}

/// A moment, as it is written.
pub(super) fn time(text: &str) -> Option<Time> {
    text.parse().ok().map(Time)
}

fn digest(body: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(body.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
