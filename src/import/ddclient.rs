//! ddclient.conf: lines of `name=value, ...`, which hold for all hosts below, or with hosts behind them for these. The
//! grammar is that of ddclient's own comments (`_read_config`): see also its sample configuration.

use super::service::{Theirs, Way};
use super::Import;

/// The most settings of a line with all that holds for it.
const SETTING_CAP: usize = 256;
/// Stands for a password until the line is taken apart, as the program does it: a password may hold anything.
const DUMMY: &str = "\u{1}";

/// Settings, the later the stronger.
type Settings = Vec<(String, String)>;

/// What dyndns2 reaches at these servers is a service of ours.
const SERVERS: [(&str, &str); 12] = [
    ("members.dyndns.org", "dyn"),
    ("dynupdate.no-ip.com", "noip"),
    ("dns.loopia.se", "loopia"),
    ("ipv4.nsupdate.info", "nsupdate_info"),
    ("ipv6.nsupdate.info", "nsupdate_info"),
    ("infomaniak.com", "infomaniak"),
    ("dyndns.strato.com", "strato"),
    ("updates.dnsomatic.com", "dnsomatic"),
    ("dyn.dns.he.net", "he"),
    ("api.dynu.com", "dynu"),
    ("dyndns.inwx.com", "inwx"),
    ("update.spdyn.de", "spdyn"),
];
/// Settings that are dealt with.
const KNOWN: &str =
    " protocol login password server script zone host use usev4 usev6 if ifv4 ifv6 ip ipv4 ipv6 ttl apikey \
    secretapikey root-domain dynurl urlv4 ";

/// Reads the file.
///
/// # Errors
/// A line that has too many settings.
pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let mut globals = Settings::new();
    let mut joined = String::new();
    let (mut begun, mut passwords) = (0, Settings::new());
    for (index, raw) in text.lines().enumerate() {
        if joined.is_empty() {
            begun = index + 1;
        }
        let line = hide_password(raw, &mut passwords);
        let line = line.split('#').next().unwrap_or_default();
        if let Some(head) = line.trim_end().strip_suffix('\\') {
            // Not empty any more, even if there is nothing in it.
            joined = joined + head + " ";
            continue;
        }
        let whole = std::mem::take(&mut joined) + line;
        let (mut locals, hosts) = taken_apart(whole.trim());
        for (name, value) in &mut locals {
            if value == DUMMY {
                let known = passwords.iter().rfind(|(known, _)| known == name);
                *value = known.map_or(String::new(), |(_, value)| value.clone());
            }
        }
        passwords.clear();
        if globals.len() + locals.len() > SETTING_CAP {
            return Err(format!("line {begun}: more than {SETTING_CAP} settings"));
        }
        if hosts.is_empty() {
            globals.append(&mut locals);
        } else {
            locals.splice(0..0, globals.iter().cloned());
            records(&locals, hosts, begun, import);
        }
    }
    for (name, _) in globals.iter().filter(|(name, _)| !is_known(name)) {
        import.unused(name);
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    KNOWN.split_ascii_whitespace().any(|known| known == name) || name.ends_with("password")
}

/// Puts a password aside: `password='anything'`, or up to a blank, even if it holds commas and the like.
fn hide_password(line: &str, passwords: &mut Settings) -> String {
    let visible = line.find('#').unwrap_or(line.len());
    let begin = line.rmatch_indices("password").map(|(at, word)| at + word.len()).find(|end| {
        *end <= visible && line.get(*end..).is_some_and(|rest| rest.trim_start().starts_with('='))
    });
    let Some((head, rest)) = begin.and_then(|end| line.split_at_checked(end)) else { return line.into() };
    let value = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim_start();
    let (secret, tail) = match value.strip_prefix('\'').and_then(|inner| inner.rsplit_once('\'')) {
        Some((secret, tail)) => (secret, tail),
        None => value
            .split_at_checked(value.find(char::is_whitespace).unwrap_or(value.len()))
            .unwrap_or((value, "")),
    };
    let name = head.rsplit([' ', '\t', ',']).next().unwrap_or_default();
    passwords.push((name.into(), secret.into()));
    format!("{head}={DUMMY}{tail}")
}

/// A line's settings, and the hosts behind them; a user name and a password may follow as two more words.
fn taken_apart(line: &str) -> (Settings, Vec<String>) {
    let mut settings = Settings::new();
    let mut rest = line;
    while let Some((name, value)) = rest.split_once('=').filter(|(name, _)| is_name(name)) {
        let (value, after) = unquoted(value);
        settings.push((name.to_ascii_lowercase(), value));
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    // A comma with blanks around it parts hosts like one without.
    let mut words: Vec<String> = Vec::new();
    for word in rest.split_whitespace() {
        match words.last_mut() {
            Some(last) if last.ends_with(',') || word.starts_with(',') => last.push_str(word),
            _ => words.push(word.into()),
        }
    }
    let mut words = words.into_iter();
    let named = settings.iter().filter(|(name, _)| name == "host").map(|(_, value)| value.clone());
    let hosts = named.chain(words.next()).collect::<Vec<_>>().join(",");
    for (name, value) in ["login", "password"].into_iter().zip(words) {
        settings.push((name.into(), value));
    }
    (settings, hosts.split(',').filter(|host| !host.is_empty()).map(str::to_string).collect())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A value up to a blank or comma that is in no quotes, and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (letter, quote) {
            ('\\', _) => value.extend(letters.next().map(|(_, next)| next)),
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            (_, None) if letter.is_whitespace() || letter == ',' => {
                return (value, text.get(at..).unwrap_or_default());
            }
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// A setting's last value; empty if there is none.
fn one<'a>(settings: &'a Settings, name: &str) -> &'a str {
    settings.iter().rfind(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// The record of a line's hosts.
fn records(settings: &Settings, hosts: Vec<String>, line: usize, import: &mut Import) {
    let get = |name: &str| one(settings, name);
    for (name, value) in settings {
        if name.ends_with("password") || name.ends_with("apikey") {
            import.hide(value);
        }
        if !is_known(name) {
            import.unused(name);
        }
    }
    let mut device = "";
    for (by, name) in [("use", "if"), ("usev6", "ifv6"), ("usev4", "ifv4")] {
        if get(by).starts_with("if") {
            device = if get(name).is_empty() { get("if") } else { get(name) };
        } else if get(by).starts_with("ip") {
            import.note(line, false, "a fixed address is not carried over: the interface's own is published");
        }
    }
    let mut theirs = Theirs {
        line,
        service: get("protocol"),
        user: get("login"),
        password: get("password"),
        domains: hosts,
        zone: if get("zone").is_empty() { get("root-domain") } else { get("zone") },
        families: families(settings),
        way: if device.is_empty() { Way::Any } else { Way::Device(device) },
        ttl: get("ttl"),
        ..Theirs::default()
    };
    let mut more = |name, value: &str| theirs.more.push((name, value.to_string()));
    match theirs.service {
        "" | "dyndns2" => dyndns2(settings, &mut theirs),
        "porkbun" => {
            more("key_id", get("apikey"));
            more("key_secret", get("secretapikey"));
        }
        "netcup" => more("key", get("apikey")),
        // Addresses with the secret in them.
        "cloudns" | "directnic" => {
            let (url, address) =
                if theirs.service == "cloudns" { (get("dynurl"), "") } else { (get("urlv4"), "{ip}") };
            import.hide(url);
            more("url", &[url, address].concat());
            theirs.service = "custom";
            (theirs.user, theirs.password) = ("", "");
            if address.is_empty() {
                import.note(
                    line,
                    false,
                    "the service takes the address of the connection; here it follows the router's",
                );
            }
        }
        _ if !get("server").is_empty() => import.unused("server"),
        _ => {}
    }
    import.record(&theirs);
}

/// IPv4 and IPv6, by how each address is found.
fn families(settings: &Settings) -> (bool, bool) {
    let (four, six) = (one(settings, "usev4"), one(settings, "usev6"));
    if four.is_empty() && six.is_empty() {
        // Before version 3.10.
        let six = one(settings, "ipv6") == "yes";
        return (!six, six);
    }
    let on = |by: &str| !matches!(by, "" | "no" | "none" | "disabled");
    (on(four), on(six))
}

/// A server that speaks dyndns2: a service of ours, or one of its own.
fn dyndns2(settings: &Settings, theirs: &mut Theirs) {
    let get = |name: &str| one(settings, name);
    let server = if get("server").is_empty() { "members.dyndns.org" } else { get("server") };
    let host = server.split("://").last().unwrap_or(server);
    let known = SERVERS.iter().find(|(known, _)| host == *known);
    theirs.service = known.map_or("dyndns2", |(_, service)| *service);
    if known.is_none() {
        let plain = get("ssl") == "no" || server.starts_with("http://");
        let script = if get("script").is_empty() { "/nic/update" } else { get("script") };
        let scheme = if plain { "http://" } else { "https://" };
        theirs.more.push(("url", [scheme, host, script].concat()));
    }
}
