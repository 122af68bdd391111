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
            records(&locals, &hosts, begun, import);
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

/// The record of a line's hosts.
fn records(settings: &Settings, hosts: &[String], line: usize, import: &mut Import) {
    let get = |name: &str| {
        settings.iter().rfind(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    };
    for (name, value) in settings {
        if name.ends_with("password") || matches!(name.as_str(), "apikey" | "secretapikey") {
            import.hide(value);
        }
        if !is_known(name) {
            import.unused(name);
        }
    }
    let (four, six) = families(&get);
    let device = [("usev4", "ifv4"), ("usev6", "ifv6"), ("use", "if")]
        .into_iter()
        .find(|(by, _)| get(by).starts_with("if"));
    let device = device.map_or("", |(_, name)| if get(name).is_empty() { get("if") } else { get(name) });
    if [get("use"), get("usev4"), get("usev6")].iter().any(|by| matches!(*by, "ip" | "ipv4" | "ipv6")) {
        import.note(line, false, "a fixed address is not carried over: the interface's own is published");
    }
    let mut theirs = Theirs {
        line,
        service: get("protocol").into(),
        user: get("login").into(),
        password: get("password").into(),
        domains: hosts.to_vec(),
        zone: if get("zone").is_empty() { get("root-domain").into() } else { get("zone").into() },
        families: (four, six),
        way: if device.is_empty() { Way::Any } else { Way::Device(device.into()) },
        ttl: get("ttl").into(),
        ..Theirs::default()
    };
    match theirs.service.as_str() {
        "" | "dyndns2" => dyndns2(&get, &mut theirs),
        "porkbun" => {
            theirs.more = vec![("key_id", get("apikey").into()), ("key_secret", get("secretapikey").into())]
        }
        "netcup" => theirs.more = vec![("key", get("apikey").into())],
        // Addresses with the secret in them.
        "cloudns" => own_url(get("dynurl").to_string(), &mut theirs, import),
        "directnic" => own_url(format!("{}{{ip}}", get("urlv4")), &mut theirs, import),
        _ if !get("server").is_empty() => import.unused("server"),
        _ => {}
    }
    import.record(theirs);
}

/// IPv4 and IPv6, by how each address is found.
fn families<'a>(get: &impl Fn(&str) -> &'a str) -> (bool, bool) {
    let on = |by: &str| !matches!(by, "" | "no" | "none" | "disabled");
    if get("usev4").is_empty() && get("usev6").is_empty() {
        // Before version 3.10.
        let six = get("ipv6") == "yes";
        return (!six, six);
    }
    (on(get("usev4")), on(get("usev6")))
}

/// A server that speaks dyndns2: a service of ours, or one of its own.
fn dyndns2<'a>(get: &impl Fn(&str) -> &'a str, theirs: &mut Theirs) {
    let server = if get("server").is_empty() { "members.dyndns.org" } else { get("server") };
    let host = server.split("://").last().unwrap_or(server);
    let known = SERVERS.iter().find(|(known, _)| host == *known || host.strip_prefix("www.") == Some(*known));
    theirs.service = known.map_or("dyndns2", |(_, service)| *service).into();
    if known.is_none() {
        let scheme = if get("ssl") == "no" || server.starts_with("http://") { "http" } else { "https" };
        let script = if get("script").is_empty() { "/nic/update" } else { get("script") };
        theirs.more = vec![("url", format!("{scheme}://{host}{script}"))];
    }
}

/// A service that is reached by an address in which all is said.
fn own_url(url: String, theirs: &mut Theirs, import: &mut Import) {
    import.hide(&url);
    theirs.service = "custom".into();
    (theirs.user, theirs.password) = Default::default();
    if !url.contains("{ip}") {
        import.note(
            theirs.line,
            false,
            "the service takes the address of the connection; here it follows the router's",
        );
    }
    theirs.more = vec![("url", url)];
}
