//! A name and an account at a service, as another client has them, as a record of ours: which of our options the user name,
//! the password and the domain go to. Where no row says otherwise, they go to the service's options of that sense.

use super::draft::Draft;
use super::{Import, Source};
use crate::config::uci::Section;
use crate::config::value;
use crate::model::Family;
use crate::provider::{find, own_name, Entry, Update};

/// The most names of one record.
const DOMAIN_CAP: usize = 64;
/// Where a user name goes: the first of these that the service has.
const USER: [&str; 6] = ["username", "key_id", "account", "customer", "auth_id", "app_key"];
/// Where a password goes.
const PASSWORD: [&str; 5] = ["password", "token", "key_secret", "key", "app_secret"];
/// The user name is the host's part of the name, and what stands as the domain is the zone.
const HOST: &str = "host";
/// The value goes nowhere.
const NONE: &str = "";

/// By which line its address comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way<'a> {
    /// It does not say.
    #[default]
    Any,
    /// netifd's name.
    Interface(&'a str),
    /// The kernel's name.
    Device(&'a str),
}

/// What another client has.
#[derive(Clone, Debug, Default)]
pub(super) struct Theirs<'a> {
    /// Where it stands.
    pub line: usize,
    /// What the section is to be called; empty: by the first name.
    pub name: &'a str,
    /// The service, by whatever name.
    pub service: &'a str,
    /// The account.
    pub user: &'a str,
    /// Its secret.
    pub password: &'a str,
    /// The names, perhaps as `host@zone`.
    pub domains: Vec<String>,
    /// The name that is looked up, where the others may be something else.
    pub lookup: &'a str,
    /// The zone, if it is named.
    pub zone: &'a str,
    /// IPv4, IPv6.
    pub families: (bool, bool),
    /// By which line.
    pub way: Way<'a>,
    /// Time to live in seconds.
    pub ttl: &'a str,
    /// More options of ours.
    pub more: Vec<(&'static str, String)>,
    /// It is switched off.
    pub off: bool,
}

/// Of a client and a service of ours: where user name, password and domain go.
type Row = (Source, &'static str, &'static str, &'static str, &'static str);

/// What goes elsewhere than its name says.
const ROWS: &[Row] = &[
    (Source::Ddns, "digitalocean", HOST, "token", NONE),
    (Source::Ddns, "dnsmadeeasy", "username", "password", "id"),
    (Source::Ddns, "gandi", HOST, "token", NONE),
    (Source::Ddns, "hetzner", HOST, "token", NONE),
    (Source::Ddns, "namecheap", HOST, "password", NONE),
    (Source::Ddns, "namesilo", HOST, "token", NONE),
    (Source::Ddns, "nsone", "zone", "token", NONE),
    (Source::Ddns, "opendns", "username", "password", "id"),
    (Source::Ddns, "powerdns", HOST, "token", NONE),
    (Source::Ddns, "rfc2136", "tsig_name", "tsig_secret", NONE),
    (Source::Ddns, "route53", "key_id", "key_secret", "zone_id"),
    (Source::Ddns, "scaleway", "zone", "token", NONE),
    (Source::Ddns, "sitelutions", "username", "password", "id"),
    (Source::Ddns, "tunnelbroker", "username", "password", "id"),
    (Source::DdnsGo, "hipmdnsmgr", "url", "token", NONE),
    (Source::DdnsGo, "rainyun", "zone_id", "token", NONE),
    (Source::Inadyn, "cloudflare", "zone", "token", NONE),
    (Source::Inadyn, "dnsmadeeasy", "username", "password", "id"),
    (Source::Inadyn, "duckdns", "token", NONE, NONE),
    (Source::Inadyn, "dynv6", "token", NONE, NONE),
    (Source::Inadyn, "namecheap", "zone", "password", NONE),
    (Source::Inadyn, "opendns", "username", "password", "id"),
    (Source::Inadyn, "regfish", "token", NONE, NONE),
    (Source::Inadyn, "sitelutions", "username", "password", "id"),
    (Source::Inadyn, "tunnelbroker", "username", "password", "id"),
    (Source::Ddclient, "dnsmadeeasy", "username", "password", "id"),
    (Source::Ddclient, "enom", "zone", "password", NONE),
    (Source::Ddclient, "namecheap", "zone", "password", NONE),
    (Source::Ddclient, "nsone", "token", NONE, NONE),
    (Source::Ddclient, "sitelutions", "username", "password", "id"),
];

/// Services where a name without a dot is meant below this.
const BELOW: [(&str, &str); 3] =
    [("duckdns", ".duckdns.org"), ("freemyip", ".freemyip.com"), ("goip", ".goip.de")];

/// Where what the other client has is of no use.
const STOPS: [(Source, &str, &str); 4] = [
    (Source::Ddns, "dnsexit", OLD_DNSEXIT),
    (Source::Inadyn, "dnsexit", OLD_DNSEXIT),
    (
        Source::Ddclient,
        "rfc2136",
        "its password names a key file, which is not read here: write a record with server, zone, and tsig_name and tsig_secret \
         out of that file: provider ",
    ),
    (
        Source::Ddclient,
        "ddnss",
        "it uses an API key, and here the account's user name and password are used: write a record with these: provider ",
    ),
];
const OLD_DNSEXIT: &str =
    "it uses the account's password, which the service takes no more: make an API key there, and write a \
    record with that key as token: provider ";
const GLOBAL_KEY: &str =
    "it uses the account's global API key, which may do everything: make an API token with the right to \
    edit this zone's DNS, and write a record with that token: provider ";

impl Import<'_> {
    /// Makes a record of it, or says why not.
    pub(super) fn record(&mut self, theirs: &Theirs) {
        self.hide(theirs.password);
        let service = match (self.source, theirs.service) {
            (Source::DdnsGo, "dynv6") => "dynv6_api",
            (_, service) => own_name(service),
        };
        let Some(entry) = find(service) else {
            let text = "service not known here; docs/providers.md says why some are not; provider custom takes any with a web \
                        address: ";
            return self.lose(theirs.line, text, &value::quoted(theirs.service));
        };
        let row = ROWS.iter().find(|row| row.0 == self.source && row.1 == entry.name);
        let mut stop =
            STOPS.iter().find(|stop| stop.0 == self.source && stop.1 == entry.name).map(|stop| stop.2);
        let mut user = theirs.user;
        if entry.name == "cloudflare" && matches!(self.source, Source::Ddns | Source::Ddclient) {
            if !user.is_empty() && !user.eq_ignore_ascii_case("token") && !user.eq_ignore_ascii_case("bearer")
            {
                stop = Some(GLOBAL_KEY);
            }
            user = "";
        }
        if let Some(why) = stop {
            return self.lose(theirs.line, why, entry.name);
        }
        let mut draft = Draft::new("record", theirs.name, theirs.line);
        draft.off = theirs.off;
        draft.set("provider", entry.name);
        let first = |names: &[&'static str]| {
            let has = |name: &&&'static str| entry.options.iter().any(|option| option.name == **name);
            names.iter().find(has).copied().unwrap_or(NONE)
        };
        let (by_user, by_password, by_domain) = match row {
            Some(row) => (row.2, row.3, row.4),
            None => (first(&USER), first(&PASSWORD), NONE),
        };
        if !matches!(by_user, HOST | "zone") {
            self.put(entry, &mut draft, by_user, user);
        }
        self.put(entry, &mut draft, by_password, theirs.password);
        for (name, value) in &theirs.more {
            self.put(entry, &mut draft, name, value);
        }
        let zone = if by_user == "zone" { user } else { theirs.zone };
        let mut names = theirs.domains.as_slice();
        let own;
        if by_user == HOST {
            let host = if user == "@" { "" } else { user };
            own = [names.concat()].map(|zone| host.to_string() + "@" + &zone);
            names = &own;
        } else if !by_domain.is_empty() {
            draft.set(by_domain, &names.concat());
            own = [theirs.lookup.to_string()];
            names = if theirs.lookup.is_empty() { &[] } else { &own };
        }
        if names.is_empty() {
            let text = "there is no name, or only a number in its place; write a record with list domain (and option id): ";
            self.lose(theirs.line, text, entry.name);
        }
        for name in names.iter().take(DOMAIN_CAP) {
            self.name(entry, theirs, (name, zone), draft.clone());
        }
    }

    /// Says what is left out, and why.
    pub(super) fn lose(&mut self, line: usize, why: &str, what: &str) {
        self.note(line, true, &["left out: ", why, what].concat());
    }

    /// Sets an option; a secret's first dollar is doubled, as one stands for the environment.
    fn put(&mut self, entry: &Entry, draft: &mut Draft, name: &'static str, value: &str) {
        let Some(option) = entry.options.iter().find(|option| option.name == name) else { return };
        let mut value = value.to_string();
        if option.secret {
            self.hide(&value);
            if value.starts_with('$') {
                value.insert(0, '$');
            }
        }
        draft.set(name, &value);
    }

    /// One name into a record with the others of its kind.
    fn name(&mut self, entry: &Entry, theirs: &Theirs, (text, zone): (&str, &str), mut draft: Draft) {
        let line = theirs.line;
        let (name, zone) = whole_name(entry.name, text, zone);
        let name = match value::domain(&name) {
            Ok(name) => name,
            Err(why) => return self.lose(line, "", &why),
        };
        draft.set("zone", &zone);
        if zone.is_empty() && needs_zone(entry) {
            let guess = last_two(&name);
            draft.set("zone", guess);
            self.note(
                line,
                false,
                &["the zone is not said; look at option zone, which is a guess: ", guess].concat(),
            );
        }
        let has = |family, wanted: bool| wanted && entry.families.contains(&family);
        let family = match (has(Family::V4, theirs.families.0), has(Family::V6, theirs.families.1)) {
            (true, true) => "any",
            (true, false) => "ipv4",
            (false, true) => "ipv6",
            (false, false) => {
                return self.lose(line, "no IPv6 addresses are published by provider ", entry.name)
            }
        };
        draft.set("family", family);
        // 1 is a word for "automatic" at some services.
        if !matches!(theirs.ttl, "0" | "1" | "-1") {
            draft.set("ttl", theirs.ttl);
        }
        if self.is_there(&name, family) {
            return self.note(
                line,
                false,
                &["in the configuration already, and not added again: ", &name].concat(),
            );
        }
        let wan = self.wan(theirs.way, line);
        if !wan.is_empty() {
            draft.add("wan", &wan);
        }
        let body = draft.body(&["domain"]);
        let same = |other: &&mut Draft| {
            (other.kind, other.line, other.off) == (draft.kind, line, draft.off)
                && other.body(&["domain"]) == body
        };
        if let Some(other) = self.drafts.iter_mut().find(same) {
            return other.add("domain", &name);
        }
        draft.add("domain", &name);
        if draft.name.is_empty() {
            draft.name = name.split('.').next().unwrap_or_default().into();
        }
        self.add(draft);
    }

    /// Makes one record of two that differ in the family alone: some services take both addresses in one request.
    pub(super) fn join_families(&mut self) {
        let mut place = 0;
        while let Some(draft) = self.drafts.get(place) {
            let body = draft.body(&["family", "wan"]);
            let twin = |other: &Draft| {
                (other.kind, other.off) == ("record", draft.off)
                    && other.one("family") != draft.one("family")
                    && other.body(&["family", "wan"]) == body
            };
            place += 1;
            let Some(found) = self.drafts.iter().skip(place).position(twin) else { continue };
            let other = self.drafts.remove(place + found);
            if let Some(draft) = self.drafts.get_mut(place - 1) {
                draft.set("family", "any");
                draft.add_ways(&other);
            }
        }
    }

    /// Whether a section of the present configuration, switched off or not, has this name in this family.
    fn is_there(&self, name: &str, family: &str) -> bool {
        self.existing.iter().filter(|section| section.kind == "record").any(|section| {
            let theirs = values(section, "family").next().unwrap_or("ipv4");
            (theirs == family || theirs == "any" || family == "any")
                && values(section, "domain").any(|other| other == name)
        })
    }

    /// The name of the WAN section that is this way; made if there is none. Empty: all of them do.
    fn wan(&mut self, way: Way, line: usize) -> String {
        let (option, value) = match way {
            Way::Any => ("device", "auto"),
            Way::Interface(name) => ("interface", name),
            Way::Device(name) => ("device", name),
        };
        let there = self.existing.iter().filter(|section| section.kind == "wan");
        for section in there {
            if way == Way::Any || values(section, option).any(|known| known == value) {
                return section.name.clone().filter(|_| way != Way::Any).unwrap_or_default();
            }
        }
        for draft in self.drafts.iter_mut().filter(|draft| draft.kind == "wan") {
            let known = draft.one(option);
            if way == Way::Any {
                return String::new();
            }
            if draft.has(option, value)
                || option == "interface" && (is_twin(known, value) || is_twin(value, known))
            {
                if option == "interface" {
                    draft.add(option, value);
                }
                return draft.name.clone();
            }
        }
        let mut draft = Draft::new("wan", if way == Way::Any { "wan" } else { value }, line);
        match option {
            "interface" => draft.add(option, value),
            _ => draft.set(option, value),
        }
        let name = self.add(draft);
        if way == Way::Any {
            String::new()
        } else {
            name
        }
    }
}

/// `wan6` or `wan_6` of `wan`: the same line.
fn is_twin(six: &str, four: &str) -> bool {
    six.strip_suffix('6').is_some_and(|rest| rest == four || rest.strip_suffix('_') == Some(four))
}

/// The value of an option of a section; empty if there is none.
pub(super) fn one<'a>(section: &'a Section, name: &str) -> &'a str {
    section.value(name).unwrap_or_default()
}

/// The values of an option or list of a section, taken apart at blanks.
pub(super) fn values<'a>(section: &'a Section, name: &str) -> std::vec::IntoIter<&'a str> {
    let mut values = Vec::new();
    for value in section.option(name).map_or(&[][..], |option| &option.values) {
        values.extend(value.split_whitespace());
    }
    values.into_iter()
}

/// A name and its zone: of `host@zone`, of a host and a zone, of a name that stands below the service's own.
fn whole_name(provider: &str, text: &str, zone: &str) -> (String, String) {
    let text = text.trim();
    let below = BELOW.iter().find(|(name, _)| *name == provider && !text.contains('.'));
    match text.split_once('@') {
        Some(("", zone)) => (zone.trim_start_matches('.').into(), zone.trim_start_matches('.').into()),
        Some((host, zone)) => (format!("{host}.{zone}"), zone.into()),
        None if !zone.is_empty() && !text.contains('.') => (format!("{text}.{zone}"), zone.into()),
        None => (text.to_string() + below.map_or("", |(_, below)| below), zone.into()),
    }
}

/// Whether a service cannot find the zone of a name itself.
fn needs_zone(entry: &Entry) -> bool {
    entry.options.iter().any(|option| option.name == "zone" && option.required)
        || matches!(entry.update, Update::Api(service) if service.zones.call.is_empty())
}

/// `example.com` of `cam.example.com`.
fn last_two(name: &str) -> &str {
    let dot = name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    name.get(dot..).unwrap_or(name)
}
