//! The one table of every section type and option: what the loader reads, what `check` knows, what the
//! documentation must list. A provider's own options come from its row in `provider::PROVIDERS`.

mod rows;

pub use rows::SECTIONS;
use std::time::Duration;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A time span between these, inclusive.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// `never`, or a time span between these, inclusive.
    Refresh {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A whole number between these, inclusive.
    Number {
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
    },
    /// Any text.
    Text,
    /// A path that begins with `/`.
    Path,
    /// An http or https URL.
    Url,
    /// A network device, or `auto`.
    Device,
    /// An interface of netifd.
    Interface,
    /// A domain name, perhaps with a wildcard.
    Domain,
    /// A domain name without wildcard.
    Zone,
    /// A DHCP client's name.
    Host,
    /// A hardware address.
    Mac,
    /// An IPv4 address on the LAN.
    Target,
    /// The lower half of an IPv6 address.
    Suffix,
    /// A network or an address.
    Network,
    /// A network, an address or a host name.
    Source,
    /// A port or a range.
    Ports,
    /// Days and hours.
    Schedule,
    /// The name of a section of this type.
    Reference(&'static str),
    /// The name of a provider.
    Provider,
}

/// How much of an option works in this version. What does not is refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// All of it.
    Yes,
    /// Only its default.
    Default,
    /// Its default and these values (of a list: all its values, joined with spaces).
    Only(&'static [&'static str]),
}

/// One option of a section type.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// Its UCI name.
    pub name: &'static str,
    /// May have several values.
    pub list: bool,
    /// What each value must look like.
    pub kind: Kind,
    /// As it would be written; the values of a list joined with spaces; empty for none.
    pub default: &'static str,
    /// The section is faulty without it.
    pub required: bool,
    /// May be given as `NAME_file` or `$ENVIRONMENT`; never printed.
    pub secret: bool,
    /// How much of it works.
    pub built: Built,
    /// One line of plain words.
    pub doc: &'static str,
}

impl OptionRow {
    const fn built(mut self, built: Built) -> OptionRow {
        self.built = built;
        self
    }

    const fn required(mut self) -> OptionRow {
        self.required = true;
        self
    }

    const fn secret(mut self) -> OptionRow {
        self.secret = true;
        self
    }
}

const fn option(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> OptionRow {
    let (required, secret, built) = (false, false, Built::Yes);
    OptionRow { name, list: false, kind, default, required, secret, built, doc }
}

const fn list(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> OptionRow {
    let mut row = option(name, kind, default, doc);
    row.list = true;
    row
}

/// A section type.
#[derive(Clone, Copy, Debug)]
pub struct SectionRow {
    /// Its UCI type.
    pub kind: &'static str,
    /// False: a section of this type is refused by name, unless it is disabled.
    pub built: bool,
    /// One line of plain words.
    pub doc: &'static str,
    /// Its options. Those of a record's provider come on top.
    pub options: &'static [OptionRow],
}

impl SectionRow {
    /// The option of that name.
    pub fn option(&self, name: &str) -> Option<&'static OptionRow> {
        self.options.iter().find(|row| row.name == name)
    }
}

/// The section type of that name.
pub fn section(kind: &str) -> Option<&'static SectionRow> {
    SECTIONS.iter().find(|row| row.kind == kind)
}

#[cfg(test)]
mod tests;
