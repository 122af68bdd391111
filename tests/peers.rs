//! Our dyndns2 rows and DuckDNS against what other clients send: `tests/provider/peers/inadyn` and `ddclient` are
//! recorded from those programs (`cargo xtask peers record`), `expected` is written by hand from the named source.
//! Every difference is listed below with its reason; any other fails, and so does one that is no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::decoded;
use porchlight::model::{Family, RecordId};
use porchlight::provider::{
    find, Entry, Http, Job, Options, Outcome, Reply, Request, Update, Wanted, PROVIDERS,
};
use porchlight::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A difference that is meant to be there.
struct Accepted {
    files: &'static [&'static str],
    /// Theirs with `-`, ours with `+`.
    differences: &'static [&'static str],
    because: &'static str,
}

const ACCEPTED: &[Accepted] = &[
    Accepted {
        files: &[
            "ddclient/dyn-ipv4",
            "ddclient/dyn-ipv4-two",
            "ddclient/dyn-ipv6",
            "ddclient/dyndns2-ipv4",
            "ddclient/dyndns2-ipv6",
            "ddclient/loopia-ipv4",
            "ddclient/nsupdate_info-ipv4",
            "ddclient/nsupdate_info-ipv6",
            "inadyn/strato-ipv4",
            "inadyn/strato-ipv6",
        ],
        differences: &["query -system=dyndns"],
        because: "ddclient says it to every server, inadyn's ovh plugin to Strato too. It chose between Dyn's kinds of \
                  names in the past; the other peer and ddns-scripts update the same services without it.",
    },
    Accepted {
        files: &["ddclient/noip-ipv4", "ddclient/noip-ipv6"],
        differences: &["query -system=noip"],
        because: "not among the parameters of https://www.noip.com/integrate/request, and inadyn does without it",
    },
    Accepted {
        files: &["inadyn/3322-ipv4"],
        differences: &["query +system=dyndns"],
        because: "the vendor's page has it in its example and says that it is the default: \
                  http://www.pubyun.com/wiki/%E5%B8%AE%E5%8A%A9:api",
    },
    Accepted {
        files: &["ddclient/loopia-ipv4", "inadyn/loopia-ipv4", "inadyn/loopia-ipv6"],
        differences: &["query +system=custom"],
        because: "for a domain of one's own, as ddns-scripts (loopia.se.json) and Loopia's support pages have it",
    },
    Accepted {
        files: &["inadyn/dnsomatic-ipv4", "inadyn/dnsomatic-ipv6"],
        differences: &["query +backmx=NOCHG", "query +mx=NOCHG", "query +wildcard=NOCHG"],
        because: "the example of https://www.dnsomatic.com/docs/api has them: an update of an address leaves the rest \
                  as it is at every service behind",
    },
    Accepted {
        files: &["ddclient/easydns-ipv4", "inadyn/easydns-ipv4", "inadyn/easydns-ipv6"],
        differences: &["query -wildcard=OFF"],
        because: "it would switch the owner's wildcard off; ddns-scripts (easydns.com.json) updates without it",
    },
    Accepted {
        files: &["ddclient/duckdns-ipv4"],
        differences: &["query -domains=cam.duckdns.org", "query +domains=cam"],
        because: "https://www.duckdns.org/spec.jsp wants the name without the suffix, and inadyn sends it so",
    },
    Accepted {
        files: &["inadyn/duckdns-ipv6"],
        differences: &["query -ip=2001:db8::7", "query +ipv6=2001:db8::7"],
        because: "inadyn 2.10 does not know DuckDNS's parameter for IPv6; 2.13 does: see expected/duckdns-ipv6",
    },
    Accepted {
        files: &["inadyn/dynv6-ipv6"],
        differences: &["query -ipv6=auto", "query +ipv6=2001:db8::7"],
        because: "inadyn 2.10 lets the service take the connection's address; we say which: see expected/dynv6-ipv6",
    },
    Accepted {
        files: &["ddclient/zoneedit-ipv4", "inadyn/zoneedit-ipv4"],
        differences: &[
            "host -dynamic.zoneedit.com +api.cp.zoneedit.com",
            "path -/auth/dynamic.html +/dyn/generic.php",
            "query -dnsto=198.51.100.7",
            "query +myip=198.51.100.7",
            "query -host=cam.example.com",
            "query +hostname=cam.example.com",
        ],
        because: "the older address of the service; inadyn 2.13 and others moved: see expected/zoneedit-ipv4",
    },
    Accepted {
        files: &["ddclient/freemyip-ipv4", "inadyn/freemyip-ipv4"],
        differences: &["query +myip=198.51.100.7"],
        because: "https://freemyip.com/help has the parameter; both peers let the service take the connection's address",
    },
    Accepted {
        files: &["ddclient/sitelutions-ipv4", "inadyn/sitelutions-ipv4"],
        differences: &["host -www.sitelutions.com +api2.sitelutions.com"],
        because: "the service moved; ddclient did too after 3.10: see expected/sitelutions-ipv4",
    },
    Accepted {
        files: &["inadyn/changeip-ipv4"],
        differences: &["query +ip=198.51.100.7", "query -myip=198.51.100.7", "query -system=dyndns"],
        because: "the service has two ways; the other peer and ddns-scripts (changeip.com.json) go this one",
    },
    Accepted {
        files: &["inadyn/ddnss-ipv4"],
        differences: &["host -ddnss.de +www.ddnss.de", "query +ip=198.51.100.7"],
        because: "the peer lets the service take the connection's address; we say which: see expected/ddnss-ipv4",
    },
];

/// A recorded or hand-written request.
struct Note {
    file: String,
    fields: BTreeMap<String, Vec<String>>,
}

impl Note {
    fn one(&self, name: &str) -> &str {
        self.all(name).first().unwrap_or_else(|| panic!("{}: no line {name}:", self.file))
    }

    fn all(&self, name: &str) -> &[String] {
        self.fields.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// `expected`, `inadyn` or `ddclient`.
    fn folder(&self) -> &str {
        self.file.split('/').next().unwrap()
    }

    /// The row and the family, from the file's name.
    fn row(&self) -> (&str, Family) {
        let (row, kind) = self.file.split_once('/').unwrap().1.split_once('-').unwrap();
        (row, if kind == "ipv6" { Family::V6 } else { Family::V4 })
    }
}

fn notes() -> Vec<Note> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/peers");
    let mut notes = Vec::new();
    for folder in ["ddclient", "expected", "inadyn"] {
        let mut files: Vec<_> =
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            let file = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for line in fs::read_to_string(&path).unwrap().lines() {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{file}: {line}"));
                fields.entry(name.to_owned()).or_default().push(value.to_owned());
            }
            notes.push(Note { file, fields });
        }
    }
    notes
}

fn entry(note: &Note) -> &'static Entry {
    let (row, family) = note.row();
    let entry = find(row).unwrap_or_else(|| panic!("{}: we have no such provider", note.file));
    assert!(entry.families.contains(&family), "{}: we do not publish {family} there", note.file);
    entry
}

/// The account and the names of the note, as a job of ours.
fn job(note: &Note) -> Job {
    let (row, family) = note.row();
    let (username, password) = (note.one("username"), note.one("password"));
    // inadyn has no token of its own: of these two it goes where the user name goes.
    let token =
        if note.folder() == "inadyn" && ["duckdns", "dynv6"].contains(&row) { username } else { password };
    let mut options = Options::default();
    options.text.insert("username".into(), username.into());
    options.secrets.insert("password".into(), Secret::new(password));
    options.secrets.insert("token".into(), Secret::new(token));
    if row == "dyndns2" {
        let configured = note.one("configured");
        let setting =
            |name: &str| configured.split(", ").find_map(|part| part.strip_prefix(name)).unwrap_or_default();
        options.text.insert("url".into(), format!("https://{}{}", setting("server="), setting("script=")));
    }
    // The peers have a record's number where the name goes, and the zone where the account goes.
    let mut zone = note.all("zone").first().cloned();
    match row {
        "dnsmadeeasy" | "sitelutions" | "tunnelbroker" if note.all("id").is_empty() => {
            options.text.insert("id".into(), note.one("domain").into());
        }
        "namecheap" => zone = Some(username.into()),
        _ => {}
    }
    if let [id] = note.all("id") {
        options.text.insert("id".into(), id.clone());
    }
    let records = note.one("domain").split(',').map(|domain| Wanted {
        id: RecordId { record: "cam".into(), domain: domain.into(), family },
        addr: note.one("address").parse().unwrap(),
    });
    Job {
        zone,
        ttl: None,
        options,
        records: records.collect(),
        now: 1_800_000_000,
        nonce: [7; 16],
        memo: Default::default(),
    }
}

/// What we send for it.
fn ours(note: &Note) -> Http {
    let mut job = job(note);
    let names = job.records.len();
    let answer = match note.row().0 {
        "duckdns" => "OK".to_owned(),
        "dynv6" => "addresses updated".to_owned(),
        "zoneedit" | "easydns" => "NOERROR".to_owned(),
        "1984" => "{\"ok\": true, \"msg\": \"updated\"}".to_owned(),
        "afraid_key" | "afraid_v2" | "afraid_token" => {
            format!("Updated cam.example.com to {} in 0.1 seconds", note.one("address"))
        }
        "ddnss" => "<html><body>Updated 1 hostname.</body></html>".to_owned(),
        "directnic" => "{\"result\":\"success\"}".to_owned(),
        "dnsexit" => "{\"code\":0,\"message\":\"Success\"}".to_owned(),
        "dinahosting" => "responseCode = 1000\nmessage = Success.".to_owned(),
        "dnsmadeeasy" | "domaindiscount24" | "changeip" | "regfish" | "sitelutions" => "success".to_owned(),
        "dondominio" | "freemyip" | "gira" => "OK".to_owned(),
        "dynadot" => "{\"status\":\"success\",\"error_code\":0,\"content\":[\"ok\"]}".to_owned(),
        "enom" => "ErrCount=0\nDone=true".to_owned(),
        "mydns" => "<html>Login and IP address notify OK.</html>".to_owned(),
        "namecheap" => "<?xml version=\"1.0\"?><r><ErrCount>0</ErrCount></r>".to_owned(),
        "njalla" => "{\"status\": 200, \"message\": \"record updated\"}".to_owned(),
        _ => format!("good {}\n", note.one("address")).repeat(names),
    };
    let mut sent = Vec::new();
    let verdicts = entry(note).update(&mut job, &mut |request| {
        match request {
            Request::Http(http) => sent.push(http),
            Request::Dns(_) => panic!("{}: a DNS message", note.file),
        }
        Ok(Reply { status: 200, headers: Vec::new(), body: answer.clone().into_bytes() })
    });
    let verdicts = verdicts.unwrap_or_else(|failure| panic!("{}: {failure}", note.file));
    assert_eq!(verdicts.len(), names, "{}", note.file);
    for (id, verdict) in verdicts {
        assert_eq!(verdict, Ok(Outcome::Updated), "{}: {id}", note.file);
    }
    assert_eq!(sent.len(), 1, "{}: one request, as the peer has it", note.file);
    sent.remove(0)
}

/// What differs, theirs with `-` and ours with `+`.
fn differences(note: &Note, http: &Http) -> BTreeSet<String> {
    let (scheme, rest) = http.url.split_once("://").unwrap();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let slash = place.find('/').unwrap_or(place.len());
    let (host, path) = place.split_at(slash);
    let authorization = http.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let mut found = BTreeSet::new();
    for (name, value) in [
        ("scheme", scheme),
        ("method", http.method),
        ("host", host),
        ("path", if path.is_empty() { "/" } else { path }),
        ("authorization", authorization.map_or("none", |(_, value)| value.as_str())),
    ] {
        if note.one(name) != value {
            found.insert(format!("{name} -{} +{value}", note.one(name)));
        }
    }
    let theirs: BTreeSet<String> = note.all("query").iter().map(|part| decoded(part)).collect();
    let ours: BTreeSet<String> = query.split('&').filter(|part| !part.is_empty()).map(decoded).collect();
    found.extend(theirs.difference(&ours).map(|part| format!("query -{part}")));
    found.extend(ours.difference(&theirs).map(|part| format!("query +{part}")));
    if note.all("body") != [""] && http.body != note.all("body").concat() {
        found.insert("body".into());
    }
    found
}

#[test]
fn our_requests_are_those_of_the_peers() {
    let mut accepted = BTreeSet::new();
    for Accepted { files, differences, because } in ACCEPTED {
        assert!(!because.is_empty());
        for file in *files {
            accepted.extend(differences.iter().map(|difference| format!("{file}: {difference}")));
        }
    }
    let mut found = BTreeSet::new();
    for note in notes() {
        found.extend(
            differences(&note, &ours(&note)).iter().map(|difference| format!("{}: {difference}", note.file)),
        );
    }
    let new: Vec<&String> = found.difference(&accepted).collect();
    assert!(new.is_empty(), "{} differences without a reason: {new:#?}", new.len());
    let gone: Vec<&String> = accepted.difference(&found).collect();
    assert!(gone.is_empty(), "accepted, but there is no such difference: {gone:#?}");
}

/// A row of the URL table, or Duck DNS, which is much like one.
fn is_row(entry: &Entry) -> bool {
    matches!(entry.update, Update::Url(_)) || entry.name == "duckdns"
}

#[test]
fn every_row_and_family_has_a_witness() {
    let seen: BTreeSet<(String, Family)> =
        notes().iter().map(|note| (note.row().0.to_owned(), note.row().1)).collect();
    let mut missing = Vec::new();
    for entry in PROVIDERS.iter().filter(|entry| is_row(entry)) {
        for family in entry.families {
            if !seen.contains(&(entry.name.to_owned(), *family)) {
                missing.push(format!("{} {family}", entry.name));
            }
        }
    }
    assert!(missing.is_empty(), "no request of a peer and no source for: {}", missing.join(", "));
}

#[test]
fn hand_written_requests_name_a_public_source() {
    for note in notes().iter().filter(|note| note.folder() == "expected") {
        assert!(note.one("source").starts_with("https://"), "{}", note.file);
    }
}

#[test]
fn every_peer_says_who_it_is() {
    for note in notes() {
        assert_eq!(note.one("user-agent"), "present", "{}", note.file);
    }
}

#[test]
fn a_changed_parameter_is_found() {
    let note = notes().into_iter().find(|note| note.file == "inadyn/dyn-ipv4").unwrap();
    let mut http = ours(&note);
    assert!(differences(&note, &http).is_empty());
    http.url = http.url.replace("myip=", "ip=").replace("/nic/", "/v3/").replace("https:", "http:");
    http.headers.clear();
    let found: Vec<String> = differences(&note, &http).into_iter().collect();
    assert_eq!(
        found,
        [
            "authorization -Basic YWxpY2U6czNjcmV0Lys= +none",
            "path -/nic/update +/v3/update",
            "query +ip=198.51.100.7",
            "query -myip=198.51.100.7",
            "scheme -https +http",
        ]
    );
}
