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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// It does not say.
    #[default]
    Any,
    /// netifd's name.
    Interface(String),
    /// The kernel's name.
    Device(String),
}

/// What another client has.
#[derive(Clone, Debug, Default)]
pub(super) struct Theirs {
    /// Where it stands.
    pub line: usize,
    /// What the section is to be called; empty: by the first name.
    pub name: String,
    /// The service, by whatever name.
    pub service: String,
    /// The account.
    pub user: String,
    /// Its secret.
    pub password: String,
    /// The names, perhaps as `host@zone`.
    pub domains: Vec<String>,
    /// The name that is looked up, where the others may be something else.
    pub lookup: String,
    /// The zone, if it is named.
    pub zone: String,
    /// IPv4, IPv6.
    pub families: (bool, bool),
    /// By which line.
    pub way: Way,
    /// Time to live in seconds.
    pub ttl: String,
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
        "its password names a key file, which is not read here: write a record with provider rfc2136, server, zone, and \
         tsig_name and tsig_secret out of that file",
    ),
    (
        Source::Ddclient,
        "ddnss",
        "it uses an API key, and here the account's user name and password are used: write a record with provider ddnss",
    ),
];
const OLD_DNSEXIT: &str =
    "it uses the account's password, which the service takes no more: make an API key there, and write \
    a record with provider dnsexit and that key as token";
const GLOBAL_KEY: &str =
    "it uses the account's global API key, which may do everything: make an API token with the right \
    to edit this zone's DNS, and write a record with provider cloudflare and that token";

impl Import<'_> {
    /// Makes a record of it, or says why not.
    pub(super) fn record(&mut self, mut theirs: Theirs) {
        self.hide(&theirs.password);
        let line = theirs.line;
        let Some(entry) = find(self.renamed(&theirs.service)) else {
            let text = no_such(&theirs.service);
            return self.note(line, true, &text);
        };
        let row = ROWS.iter().find(|row| row.0 == self.source && row.1 == entry.name);
        let stop = STOPS.iter().find(|stop| stop.0 == self.source && stop.1 == entry.name);
        let login = matches!(self.source, Source::Ddns | Source::Ddclient) && entry.name == "cloudflare";
        let global = login && !["", "token", "bearer"].contains(&theirs.user.to_ascii_lowercase().as_str());
        if let Some(why) = stop.map(|stop| stop.2).or(global.then_some(GLOBAL_KEY)) {
            let text = format!("left out: {}: {why}", entry.name);
            return self.note(line, true, &text);
        }
        if login {
            theirs.user.clear();
        }
        let mut draft = Draft::new("record", "", line);
        draft.off = theirs.off;
        draft.set("provider", entry.name);
        self.account(entry, row, &mut theirs, &mut draft);
        if row.is_some_and(|row| !row.4.is_empty()) && theirs.domains.is_empty() {
            let text = format!(
                "left out: {}: there is only the {} of a record and not its name: write a record with provider {}, option {} and \
                 list domain",
                entry.name,
                row.map_or("", |row| row.4),
                entry.name,
                row.map_or("", |row| row.4)
            );
            return self.note(line, true, &text);
        }
        for (zone, domains) in self.by_zone(entry, &theirs) {
            let mut draft = draft.clone();
            self.finish(entry, &theirs, &zone, &domains, &mut draft);
        }
    }

    /// The service's name here, where it means another one.
    fn renamed<'a>(&self, service: &'a str) -> &'a str {
        match (self.source, service) {
            (Source::DdnsGo, "dynv6") => "dynv6_api",
            _ => own_name(service),
        }
    }

    /// User name and password into options, or into the zone and the names.
    fn account(&mut self, entry: &Entry, row: Option<&Row>, theirs: &mut Theirs, draft: &mut Draft) {
        let has = |name: &str| entry.options.iter().any(|option| option.name == name);
        let first = |names: &[&'static str]| names.iter().copied().find(|name| has(name)).unwrap_or(NONE);
        let (user, password, domain) =
            row.map_or((first(&USER), first(&PASSWORD), NONE), |row| (row.2, row.3, row.4));
        let name = std::mem::take(&mut theirs.user);
        match user {
            HOST => {
                theirs.zone = std::mem::take(&mut theirs.domains).pop().unwrap_or_default();
                let host = if name == "@" { String::new() } else { name };
                theirs.domains = vec![format!("{host}@{}", theirs.zone)];
            }
            "zone" => theirs.zone = name,
            _ => self.put(entry, draft, user, &name),
        }
        let secret = std::mem::take(&mut theirs.password);
        self.put(entry, draft, password, &secret);
        if !domain.is_empty() {
            let value = std::mem::take(&mut theirs.domains).pop().unwrap_or_default();
            draft.set(domain, &value);
            theirs.domains.extend(Some(theirs.lookup.clone()).filter(|name| !name.is_empty()));
        }
        for (name, value) in std::mem::take(&mut theirs.more) {
            self.put(entry, draft, name, &value);
        }
    }

    /// Sets an option; a secret's first dollar is doubled, as one stands for the environment.
    fn put(&mut self, entry: &Entry, draft: &mut Draft, name: &str, value: &str) {
        if name.is_empty() {
            return;
        }
        let secret = entry.options.iter().any(|option| option.name == name && option.secret);
        if secret {
            self.hide(value);
        }
        let dollar = if secret && value.starts_with('$') { "$" } else { "" };
        draft.set(name, &format!("{dollar}{value}"));
    }

    /// The good names, by the zone that is named for them; the others are said.
    fn by_zone(&mut self, entry: &Entry, theirs: &Theirs) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        if theirs.domains.is_empty() {
            self.note(theirs.line, true, &format!("left out: {}: there is no name", entry.name));
        }
        for text in theirs.domains.iter().take(DOMAIN_CAP) {
            let (name, zone) = whole_name(entry.name, text, &theirs.zone);
            match value::domain(&name) {
                Ok(name) => match found.iter_mut().find(|(known, _)| *known == zone) {
                    Some((_, names)) if names.contains(&name) => {}
                    Some((_, names)) => names.push(name),
                    None => found.push((zone, vec![name])),
                },
                Err(why) => self.note(theirs.line, true, &format!("left out: {}: {why}", entry.name)),
            }
        }
        found
    }

    /// The rest of a record of one zone, and into the list with it.
    fn finish(&mut self, entry: &Entry, theirs: &Theirs, zone: &str, domains: &[String], draft: &mut Draft) {
        let first = domains.first().map_or("", String::as_str);
        for domain in domains {
            draft.add("domain", domain);
        }
        draft.set("zone", zone);
        if zone.is_empty() && needs_zone(entry) {
            let guess = last_two(first);
            let text = format!(
                "record for {first}: its zone is not said: '{guess}' is a guess, look at option zone"
            );
            self.note(theirs.line, false, &text);
            draft.set("zone", guess);
        }
        let has = |family| entry.families.contains(&family);
        draft.set(
            "family",
            match (theirs.families.0 && has(Family::V4), theirs.families.1 && has(Family::V6)) {
                (true, true) => "any",
                (false, true) => "ipv6",
                (true, false) => "ipv4",
                (false, false) if theirs.families.1 => {
                    let text = format!(
                        "left out: {first}: here, provider {} publishes no IPv6 addresses",
                        entry.name
                    );
                    return self.note(theirs.line, true, &text);
                }
                (false, false) => "ipv4",
            },
        );
        // 1 is a word for "automatic" at some services.
        if theirs.ttl.parse::<u32>().is_ok_and(|ttl| ttl > 1) {
            draft.set("ttl", &theirs.ttl);
        }
        if let Some(name) = self.already(domains, draft) {
            let text = format!(
                "{first} is in the configuration already, in record '{name}', and is not added again"
            );
            return self.note(theirs.line, false, &text);
        }
        if let Some(wan) = self.wan(&theirs.way, theirs.line) {
            draft.add("wan", &wan);
        }
        // Both families of a name are one record here, as some services take both in one request.
        let twin = self.drafts.iter_mut().find(|other| other.is_like(draft, &["family", "wan"]));
        if let Some(twin) = twin.filter(|_| has(Family::V4) && has(Family::V6)) {
            if !twin.values("family").eq(draft.values("family")) {
                twin.set("family", "any");
                draft.values("wan").for_each(|wan| twin.add("wan", wan));
                return;
            }
        }
        draft.name = if theirs.name.is_empty() {
            first.split('.').next().unwrap_or_default().into()
        } else {
            theirs.name.clone()
        };
        self.add(draft.clone());
    }

    /// The section of the present configuration, switched off or not, that has one of these names in a family of the draft's.
    fn already(&self, domains: &[String], draft: &Draft) -> Option<String> {
        let family = draft.values("family").next().unwrap_or_default();
        let overlap = |section: &Section| {
            let theirs = values(section, "family").next().unwrap_or("ipv4");
            theirs == "any" || family == "any" || theirs == family
        };
        let records = self.existing.iter().filter(|section| section.kind == "record" && overlap(section));
        let same =
            |section: &&Section| values(section, "domain").any(|name| domains.iter().any(|own| own == name));
        records.into_iter().find(same).map(|section| section.name.clone().unwrap_or_default())
    }

    /// The name of the WAN section that is this way; made if there is none. `None`: all of them do.
    fn wan(&mut self, way: &Way, line: usize) -> Option<String> {
        let (option, value) = match way {
            Way::Any => ("device", "auto"),
            Way::Interface(name) => ("interface", name.as_str()),
            Way::Device(name) => ("device", name.as_str()),
        };
        let mut ways = self.existing.iter().filter(|section| section.kind == "wan");
        if *way == Way::Any {
            if ways.next().is_none() && !self.drafts.iter().any(|draft| draft.kind == "wan") {
                let mut draft = Draft::new("wan", "wan", line);
                draft.set(option, value);
                self.add(draft);
            }
            return None;
        }
        if let Some(section) = ways.find(|section| values(section, option).any(|known| known == value)) {
            return section.name.clone();
        }
        let kin = |known: &str| known == value || is_twin(known, value) || is_twin(value, known);
        let drafted = self.drafts.iter_mut().filter(|draft| draft.kind == "wan");
        let near = |draft: &&mut Draft| {
            draft.values(option).any(|known| known == value || option == "interface" && kin(known))
        };
        if let Some(draft) = drafted.into_iter().find(near) {
            if option == "interface" {
                draft.add(option, value);
            }
            return Some(draft.name.clone());
        }
        let mut draft = Draft::new("wan", value, line);
        if option == "interface" {
            draft.add(option, value);
        } else {
            draft.set(option, value);
        }
        self.add(draft);
        self.drafts.last().map(|draft| draft.name.clone())
    }
}

/// `wan6` or `wan_6` of `wan`: the same line.
fn is_twin(six: &str, four: &str) -> bool {
    six.strip_suffix('6').is_some_and(|rest| rest == four || rest.strip_suffix('_') == Some(four))
}

/// The values of an option or list of a section, taken apart at blanks.
pub(super) fn values<'a>(section: &'a Section, name: &str) -> impl Iterator<Item = &'a str> {
    section
        .option(name)
        .into_iter()
        .flat_map(|option| option.values.iter().flat_map(|value| value.split_whitespace()))
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

/// There is no such service.
fn no_such(service: &str) -> String {
    format!(
        "left out: service {} is not known here; docs/providers.md says why some are not; provider custom takes any \
         with a web address",
        value::quoted(service)
    )
}
