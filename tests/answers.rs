//! The URL table against a strict stand-in of each service: it takes only the request that tests/provider/peers has
//! (recorded from inadyn and ddclient, or written by hand from the named source), and answers every documented word
//! (tests/answers). And each row by its form: https, all parameters, secrets where no log has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use base64ct::{Base64, Encoding};
mod common;

use common::decoded;
use porchlight::model::{Family, RecordId};
use porchlight::provider::{find, Update, Wanted, PROVIDERS};
use porchlight::provider::{Ask, Entry, Failure, Http, Job, Options, Outcome, Reply, Request};
use porchlight::secret::{Redactor, Secret};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const V4: &str = "198.51.100.7";
const V6: &str = "2001:db8::7";
/// Its signs are coded in an address, and each coding differs.
const USER: &str = "al ice@example.com";
const PASSWORD: &str = "p%ss/w+rd&x=1#ü";
const TOKEN: &str = "t0k:n?/&=+ secret";

fn rows() -> impl Iterator<Item = &'static Entry> {
    PROVIDERS.iter().filter(|entry| matches!(entry.update, Update::Url(_)))
}

/// A job with all that any row needs, for these names and addresses.
fn job(entry: &Entry, records: &[(&str, &str)]) -> Job {
    let mut options = Options::default();
    for option in entry.options.iter().filter(|option| option.required) {
        let name = option.name.to_string();
        match (option.name, option.secret) {
            ("url", _) => drop(options.text.insert(name, "https://ddns.example.net".into())),
            ("username", _) => drop(options.text.insert(name, USER.into())),
            ("id", _) => drop(options.text.insert(name, "1007".into())),
            ("password", true) => drop(options.secrets.insert(name, Secret::new(PASSWORD))),
            ("token", true) => drop(options.secrets.insert(name, Secret::new(TOKEN))),
            ("zone", _) => {}
            other => panic!("{}: {other:?}", entry.name),
        }
    }
    let wanted = |(domain, addr): &(&str, &str)| {
        let addr: IpAddr = addr.parse().unwrap();
        let family = if addr.is_ipv4() { Family::V4 } else { Family::V6 };
        Wanted { id: RecordId { record: "cam".into(), domain: domain.to_string(), family }, addr }
    };
    Job {
        zone: Some("example.com".into()),
        ttl: None,
        options,
        records: records.iter().map(wanted).collect(),
        now: 1_800_000_000,
        nonce: [7; 16],
        memo: Default::default(),
    }
}

/// Runs a job; what was asked, and the verdicts.
fn run(
    entry: &Entry,
    job: &mut Job,
    answer: &mut dyn FnMut(&Http) -> Reply,
) -> (Vec<Http>, Vec<Result<Outcome, Failure>>) {
    let mut asked = Vec::new();
    let mut ask = |request: Request| {
        let Request::Http(http) = request else { panic!("{}: a DNS message", entry.name) };
        let reply = answer(&http);
        asked.push(http);
        Ok(reply)
    };
    let ask: &mut Ask = &mut ask;
    let count = job.records.len();
    let verdicts = match entry.update(job, ask) {
        Ok(verdicts) => verdicts.into_iter().map(|(_, verdict)| verdict).collect(),
        Err(failure) => vec![Err(failure); count],
    };
    (asked, verdicts)
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into() }
}

/// The one request for a record.
fn request(entry: &Entry, addr: &str) -> Http {
    let (mut asked, _) =
        run(entry, &mut job(entry, &[("cam.example.com", addr)]), &mut |_| reply(200, "good"));
    assert_eq!(asked.len(), 1, "{}", entry.name);
    asked.remove(0)
}

fn address(family: &Family) -> &'static str {
    if *family == Family::V4 {
        V4
    } else {
        V6
    }
}

/// A reaction as tests/answers has it.
fn reaction(verdict: &Result<Outcome, Failure>) -> String {
    match verdict {
        Ok(Outcome::Updated) => "updated".into(),
        Ok(Outcome::Unchanged) => "unchanged".into(),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => match failure.retry_after {
            Some(wait) => format!("{} after {}", failure.kind, wait.as_secs()),
            None => failure.kind.to_string(),
        },
    }
}

/// The lines of a table in tests/answers; `\|` in a field is a bar, `\r` and `\n` are themselves.
fn table(name: &str, columns: usize) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let field = |field: &str| field.trim().replace('\u{1}', "|").replace("\\r", "\r").replace("\\n", "\n");
    let rows: Vec<Vec<String>> =
        lines.map(|line| line.replace("\\|", "\u{1}").split('|').map(field).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == columns), "{name}");
    rows
}

#[test]
fn every_row_reacts_to_every_code_of_dyndns2() {
    let codes = table("dyndns2", 3);
    assert!(codes.len() > 30);
    let mut wrong = Vec::new();
    for entry in rows() {
        for code in &codes {
            let [status, answer, want] = code.as_slice() else { unreachable!() };
            let mut job = job(entry, &[("cam.example.com", V4)]);
            let (_, verdicts) = run(entry, &mut job, &mut |_| reply(status.parse().unwrap(), answer));
            let got = reaction(&verdicts[0]);
            if got != *want {
                wrong.push(format!("{}: {status} {answer:?}: {got}, not {want}", entry.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_reacts_to_its_own_words() {
    let mut wrong = Vec::new();
    for line in table("own", 4) {
        let [row, status, answer, want] = line.as_slice() else { unreachable!() };
        let entry = find(row).unwrap_or_else(|| panic!("no row {row}"));
        let mut job = job(entry, &[("cam.example.com", V4)]);
        let (asked, verdicts) = run(entry, &mut job, &mut |_| reply(status.parse().unwrap(), answer));
        assert_eq!(asked.len(), 1, "{row}");
        let got = reaction(&verdicts[0]);
        if got != *want {
            wrong.push(format!("{row}: {status} {answer}: {got}, not {want}"));
        }
        if let Err(failure) = &verdicts[0] {
            assert!(failure.text.len() > 10, "{row}: {failure}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A request taken apart: host, path and parameters decoded, and who it says it is by `Authorization`.
struct Parts {
    host: String,
    path: Vec<String>,
    parameters: Vec<(String, String)>,
    login: String,
}

fn parts(http: &Http) -> Parts {
    let (place, query) = http.url.split_once('?').unwrap_or((&http.url, ""));
    let (host, path) = place.strip_prefix("https://").unwrap().split_once('/').unwrap();
    let form = if http.body.is_empty() { query } else { &http.body };
    let parameters = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    let login = http.headers.iter().find(|(name, _)| name == "Authorization").map_or("", |(_, value)| value);
    let login = match login.strip_prefix("Basic ") {
        Some(coded) => String::from_utf8(Base64::decode_vec(coded).unwrap()).unwrap(),
        None => login.strip_prefix("Token ").unwrap_or(login).to_string(),
    };
    Parts {
        host: host.into(),
        path: path.split('/').map(decoded).collect(),
        parameters: parameters.collect(),
        login,
    }
}

/// Rows whose login says which name (or tunnel, or network) is meant, so that the request has no name.
const NAMELESS: &[&str] = &[
    "afraid_key",
    "afraid_token",
    "all_inkl",
    "directnic",
    "dnsmadeeasy",
    "gira",
    "myaddr",
    "mydns",
    "opendns",
    "sitelutions",
    "tunnelbroker",
    "udmedia",
];
/// Rows that take the address of the connection, and say so in their title.
const ADDRESSLESS: &[&str] = &["dy_fi"];

#[test]
fn every_row_has_its_form() {
    assert!(rows().count() > 70);
    for entry in rows() {
        for family in entry.families {
            let (name, addr) = (entry.name, address(family));
            let http = request(entry, addr);
            assert!(http.write, "{name}");
            let bytes = http.url.bytes().chain(http.body.bytes());
            assert!(bytes.clone().all(|b| b.is_ascii_graphic()), "{name}: {}", http.url);
            assert!(bytes.clone().all(|b| !b"{}|\"<>\\^` ".contains(&b)), "{name}: {}", http.url);
            let parts = parts(&http);
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
            assert!(parts.host.contains('.') && parts.host.bytes().all(plain), "{name}: {}", parts.host);
            assert_eq!(http.body.is_empty(), http.method == "GET", "{name}");
            assert!(http.body.is_empty() || !http.url.contains('?'), "{name}: in one place or the other");
            // Each thing once, and whole; the name is an account's name, too, where each name has a key.
            let account = usize::from(parts.login == format!("cam.example.com:{PASSWORD}"));
            let mut there: Vec<&str> = parts.parameters.iter().map(|(_, value)| value.as_str()).collect();
            there.extend(
                parts
                    .parameters
                    .iter()
                    .map(|(name, _)| name.trim_start_matches("host[").trim_end_matches(']')),
            );
            there.extend(parts.path.iter().map(String::as_str));
            for (user, password) in [(USER, PASSWORD), ("cam.example.com", PASSWORD), (TOKEN, "")] {
                let both = if password.is_empty() { user } else { password };
                if parts.login == format!("{user}:{both}") {
                    there.extend([user, password]);
                }
            }
            there.push(&parts.login);
            let count = |what: &str| there.iter().filter(|value| **value == what).count();
            assert_eq!(count(addr), usize::from(!ADDRESSLESS.contains(&name)), "{name}: {}", http.url);
            let names = count("cam.example.com") + count("cam") - account;
            assert_eq!(names, usize::from(!NAMELESS.contains(&name)), "{name}");
            for option in entry.options.iter().filter(|option| option.required) {
                let value = match option.name {
                    "url" => continue,
                    "username" => USER,
                    "password" => PASSWORD,
                    "token" => TOKEN,
                    "id" => "1007",
                    "zone" => "example.com",
                    other => panic!("{other}"),
                };
                assert_eq!(
                    count(value),
                    1,
                    "{name}: option {} in {} {:?}",
                    option.name,
                    http.url,
                    parts.login
                );
            }
        }
    }
    for name in ADDRESSLESS {
        assert!(find(name).unwrap().title.contains("address of the connection"), "{name}");
    }
}

/// A secret as it may stand in a text.
fn traces(secret: &str) -> Vec<String> {
    let mut coded = String::new();
    porchlight::provider::web::encode(secret, ":,", &mut coded);
    vec![secret.to_owned(), coded, Base64::encode_string(secret.as_bytes())]
}

#[test]
fn no_secret_is_where_it_would_be_seen() {
    let redactor = Redactor::new(&[Secret::new(PASSWORD), Secret::new(TOKEN)]);
    for entry in rows() {
        for family in entry.families {
            // A service that sends all back that it got, in good and bad answers.
            for status in [200, 400, 500] {
                let mut job = job(entry, &[("cam.example.com", address(family))]);
                let (asked, verdicts) = run(entry, &mut job, &mut |http| {
                    let heads: Vec<String> = http.headers.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                    reply(status, &format!("? {} {} {}", heads.join(" "), http.url, http.body))
                });
                let host = parts(&asked[0]).host;
                for secret in [PASSWORD, TOKEN] {
                    for trace in traces(secret) {
                        assert!(!host.contains(&trace), "{}", entry.name);
                        if let Err(failure) = &verdicts[0] {
                            let text = redactor.redact(&failure.to_string());
                            assert!(!text.contains(&trace), "{}: {text}", entry.name);
                        }
                    }
                }
                assert!(job.memo.iter().next().is_none(), "{}: what is remembered is written", entry.name);
            }
        }
    }
}

#[test]
fn what_cannot_be_sent_is_told_without_the_address() {
    // A port that nobody listens on: bound, and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let http = porchlight::act::http::Http::setup(None, "Porchlight tests", 0);
    for entry in rows() {
        let family = &entry.families[0];
        let mut job = job(entry, &[("cam.example.com", address(family))]);
        job.options.text.insert("url".into(), format!("http://127.0.0.1:{port}"));
        let mut told = Vec::new();
        let verdicts = entry.update(&mut job, &mut |request| {
            let Request::Http(request) = request else { panic!("{}", entry.name) };
            assert!(request.url.starts_with(&format!("http://127.0.0.1:{port}/")), "{}", entry.name);
            let failure = http.exchange(&request, Duration::from_secs(10)).unwrap_err();
            told.push(failure.to_string());
            Err(failure)
        });
        for (_, verdict) in verdicts.unwrap() {
            told.push(verdict.unwrap_err().to_string());
        }
        assert_eq!(told.len(), 2, "{}", entry.name);
        for text in &told {
            assert!(text.contains("127.0.0.1"), "{}: {text}", entry.name);
            for piece in ["?", "=", "cam.example.com", "1007"]
                .map(str::to_owned)
                .into_iter()
                .chain(traces(PASSWORD))
                .chain(traces(TOKEN))
            {
                assert!(!text.contains(&piece), "{}: {piece} in {text}", entry.name);
            }
        }
    }
}
