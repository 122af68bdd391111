//! Section `tunnel`: a way in by a server that we call, and what each kind of it needs.

use crate::provider::Options;
use crate::secret::Secret;

/// Section `tunnel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The section's name, else its kind.
    pub name: String,
    /// `option kind`.
    pub kind: Kind,
    /// `option server`: a host name or an address; empty where the kind has none.
    pub server: String,
    /// `option port`, else the kind's own.
    pub port: u16,
    /// `option when` is `always`; else while no WAN is publicly reachable.
    pub always: bool,
    /// `list mapping`: names of mapping sections, each with the port that is demanded of the server (0: any), or of
    /// somebody else's with our own port. Each of them has one TCP port and lets in anyone.
    pub carries: Vec<(String, u16)>,
    /// The kind's own options.
    pub options: Options,
}

impl Tunnel {
    /// A plain option of the kind, if it is set; the values of a list in lines.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.text.get(name).map(String::as_str)
    }

    /// An option of the kind that is yes or no.
    pub fn flag(&self, name: &str, usual: bool) -> bool {
        self.text(name).map_or(usual, |text| text == "1")
    }

    /// A secret option of the kind, if it is set.
    pub fn secret(&self, name: &str) -> Option<&str> {
        self.options.secrets.get(name).map(Secret::reveal)
    }
}

/// `option kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// <https://github.com/ekzhang/bore>, spoken by us.
    Bore,
    /// A reverse forward of OpenSSH or dropbear, which we run.
    Ssh,
    /// <https://github.com/fatedier/frp>, spoken by us.
    Frp,
    /// Somebody else's, such as natmap, of which we only read where the way in is.
    Script,
}

/// What a kind is.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Its word in UCI.
    pub word: &'static str,
    /// Its server's usual port.
    pub port: u16,
    /// Options that must be there.
    pub needs: &'static [&'static str],
    /// Options that may be there.
    pub takes: &'static [&'static str],
}

/// Every kind.
pub static KINDS: [Row; 4] = [
    Row { kind: Kind::Bore, word: "bore", port: 7835, needs: &["server"], takes: &["port", "token"] },
    Row {
        kind: Kind::Ssh,
        word: "ssh",
        port: 22,
        needs: &["server", "username", "key_file", "host_key"],
        takes: &["port"],
    },
    Row {
        kind: Kind::Frp,
        word: "frp",
        port: 7000,
        needs: &["server"],
        takes: &[
            "port",
            "token",
            "username",
            "tcp_mux",
            "tls",
            "tls_verify",
            "tls_server_name",
            "tls_first_byte",
            "cacert",
        ],
    },
    Row { kind: Kind::Script, word: "script", port: 0, needs: &[], takes: &[] },
];

impl Kind {
    /// Its word in UCI.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|row| row.kind == self).map_or("", |row| row.word)
    }
}
