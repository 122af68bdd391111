//! The configuration from text to typed values: the cases of `tests/config/` and random text.
//!
//! A case file is a reason, then sections: `-- File --` (the configuration), `-- Sources --` (lines
//! `/path first line` and `$NAME value`), and what must come out: `-- Problems --` (always), `-- Left out --`,
//! `-- Means --` (what `check` says), `-- Sections --` (what the UCI reader saw); `-- End --` at last.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::describe::describe;
use porchlight::config::load::{load, Loaded, Sources};
use porchlight::config::{schema, uci, BackendChoice, Device, Network, Proto, Severity};
use porchlight::model::{Family, Mac};
use porchlight::provider::{Entry, Failure, Job, Kind, ProviderOption, Update, Verdicts};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const fn plain(name: &'static str) -> ProviderOption {
    ProviderOption { name, required: false, secret: false, doc: "plain" }
}

const fn needed(mut option: ProviderOption) -> ProviderOption {
    option.required = true;
    option.doc = "needed";
    option
}

const fn dark(mut option: ProviderOption) -> ProviderOption {
    option.secret = true;
    option
}

fn never(_: &mut Job, _: &mut porchlight::provider::Ask) -> Result<Verdicts, Failure> {
    Err(Failure::new(Kind::Refused, "not asked in these tests"))
}

const fn entry(name: &'static str, options: &'static [ProviderOption], families: &'static [Family]) -> Entry {
    Entry { name, title: name, url: "", options, families, reads: true, floor: 0, update: Update::Own(never) }
}

/// It does not read before it writes.
const fn unread(mut entry: Entry) -> Entry {
    entry.reads = false;
    entry
}

static PROVIDERS: &[Entry] = &[
    entry("cloudflare", &[needed(dark(plain("token"))), plain("proxied")], &Family::BOTH),
    unread(entry("noip", &[needed(plain("username")), needed(dark(plain("password")))], &[Family::V4])),
    unread(entry(
        "custom",
        &[needed(dark(plain("url"))), dark(plain("header")), plain("body"), plain("answer")],
        &Family::BOTH,
    )),
];

/// Files and environment of a case.
#[derive(Default)]
struct Fake(BTreeMap<String, String>);

impl Sources for Fake {
    fn first_line(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".into())
    }

    fn var(&self, name: &str) -> Option<String> {
        self.0.get(&format!("${name}")).cloned()
    }
}

fn loaded(text: &str) -> Loaded {
    load(text, "porchlight", PROVIDERS, &Fake::default())
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().map(|item| item.to_string() + "\n").collect()
}

/// The sections of a case file, by name.
fn sections_of(case: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in case.lines() {
        if let Some(name) = line.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            current = Some(name.to_string());
            assert!(sections.insert(name.to_string(), String::new()).is_none(), "{name} twice");
        } else if let Some(name) = &current {
            *sections.get_mut(name).unwrap() += &format!("{line}\n");
        }
    }
    assert_eq!(current.as_deref(), Some("End"), "a case ends with -- End --");
    sections
}

/// What the UCI reader saw, one option a line.
fn shown(parsed: &uci::Parsed) -> String {
    let mut out = String::new();
    for section in &parsed.sections {
        let name = section.name.as_deref().unwrap_or("-");
        let faulty = if section.faulty { " faulty" } else { "" };
        out += &format!("{}: {} {name}{faulty}\n", section.line, section.kind);
        for option in &section.options {
            let kind = if option.is_list { "list" } else { "option" };
            out += &format!("{:?}: {kind} {} {:?}\n", option.lines, option.name, option.values);
        }
    }
    out
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "where are the cases?");
    let mut failed = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let case = std::fs::read_to_string(&path).unwrap();
        assert!(!case.starts_with("--"), "{name}: say why this case exists");
        let sections = sections_of(&case);
        let file = sections.get("File").unwrap();
        let sources = sections.get("Sources").map(String::as_str).unwrap_or_default();
        let sources = sources.lines().map(|line| line.split_once(' ').unwrap());
        let sources = Fake(sources.map(|(name, value)| (name.to_string(), value.to_string())).collect());
        let loaded = load(file, "porchlight", PROVIDERS, &sources);
        let mut found = BTreeMap::new();
        found.insert("Problems", lines(&loaded.problems));
        found.insert("Left out", lines(&loaded.left_out));
        found.insert("Means", describe(&loaded.config));
        found.insert("Sections", shown(&uci::parse(file, "porchlight")));
        assert!(sections.contains_key("Problems"), "{name}: has no -- Problems --");
        for (section, found) in found {
            if sections.get(section).is_some_and(|expected| *expected != found) {
                failed.push(format!("{name}: -- {section} -- is:\n{found}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

const WHOLE: &str = "
config porchlight 'global'
	option enabled 'yes'
	option log_level 'debug'
	option resident 'on'
	option check_interval '1h'
	option debounce '0'
	option timeout '5'
	option cacert '/etc/ca.pem'
	option mapping_backend 'nft'
	option upstream 'off'
	option keep_on_stop 'true'
config wan 'wan'
	option device 'pppoe-wan'
	option family 'ipv4'
	list ip_source 'interface'
	list accept '203.0.113.7/24'
	list accept '2001:db8::/32'
config wan
	option device 'auto'
config record 'home'
	option provider 'cloudflare'
	option domain 'Cam.Example.COM. *.example.com'
	option zone 'Example.com'
	list wan 'auto'
	list wan 'wan'
	option family 'any'
	option ttl '2m'
	option token 's3cret'
	option proxied '1'
config record
	option provider 'noip'
	list domain 'cam.example.net'
	option username 'me'
	option password '$$literal'
config camera 'front'
	list mac 'AA-BB-CC-DD-EE-FF'
	list mac 'aa:bb:cc:dd:ee:00'
	option name 'IPCam'
	option ip '192.168.1.50'
	list record 'cam.example.net'
config mapping 'front_rtsp'
	option camera 'front'
	list proto 'tcp'
	list proto 'udp'
	option src_dport '8554-8556'
	option dest_port '554-556'
	list src_ip '198.51.100.9/24'
	option probe 'none'
	option allow_open '1'
config mapping
	option camera 'front'
	option src_dport '9000'
";

#[test]
fn every_typed_value() {
    let Loaded { config, problems, secrets, left_out } = loaded(WHOLE);
    assert_eq!(lines(&problems), "");
    assert!(left_out.is_empty());
    let global = &config.global;
    assert_eq!((global.enabled, global.keep_on_stop, global.backend), (true, true, BackendChoice::Nft));
    assert_eq!(global.log_level.to_string(), "DEBUG");
    let spans = (global.check_interval, global.debounce, global.timeout);
    assert_eq!(spans, (Duration::from_secs(3600), Duration::ZERO, Duration::from_secs(5)));
    assert_eq!(global.cacert, "/etc/ca.pem");

    let [wan, auto] = config.wans.as_slice() else { panic!("{}", config.wans.len()) };
    assert_eq!((wan.name.as_str(), &wan.device), ("wan", &Device::Named("pppoe-wan".into())));
    assert_eq!(wan.families, [Family::V4]);
    assert_eq!(lines(&wan.accept), "203.0.113.0/24\n2001:db8::/32\n");
    assert_eq!((auto.name.as_str(), &auto.device, auto.families.len()), ("auto", &Device::Auto, 2));

    let [home, noip] = config.records.as_slice() else { panic!("{}", config.records.len()) };
    assert_eq!((home.name.as_str(), home.provider.as_str()), ("home", "cloudflare"));
    assert_eq!(home.domains, ["cam.example.com", "*.example.com"]);
    assert_eq!(home.wans, ["auto", "wan"]);
    assert_eq!((home.families.as_slice(), home.ttl), (&Family::BOTH[..], Some(120)));
    assert_eq!(home.zone.as_deref(), Some("example.com"));
    assert_eq!(home.options.text.get("proxied").map(String::as_str), Some("1"));
    assert_eq!(home.options.secrets.get("token").unwrap().reveal(), "s3cret");
    assert!(!home.options.text.contains_key("token"));
    assert_eq!((noip.name.as_str(), noip.ttl, noip.zone.as_deref()), ("cam.example.net", None, None));
    assert_eq!(noip.wans, ["wan", "auto"]);
    assert_eq!(noip.families, [Family::V4]);
    assert_eq!(noip.options.secrets.get("password").unwrap().reveal(), "$literal");
    assert_eq!(secrets.iter().map(|secret| secret.reveal()).collect::<Vec<_>>(), ["s3cret", "$literal"]);

    let [front] = config.cameras.as_slice() else { panic!("{}", config.cameras.len()) };
    assert_eq!(
        front.macs,
        [Mac([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]), Mac([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0])]
    );
    assert_eq!(front.host.as_deref(), Some("ipcam"));
    assert_eq!(front.ip, Some("192.168.1.50".parse().unwrap()));
    assert_eq!(front.records, ["cam.example.net"]);

    let [rtsp, other] = config.mappings.as_slice() else { panic!("{}", config.mappings.len()) };
    assert_eq!((rtsp.name.as_str(), rtsp.camera.as_str()), ("front_rtsp", "front"));
    assert_eq!(rtsp.protos, [Proto::Tcp, Proto::Udp]);
    assert_eq!((rtsp.src_dport, rtsp.dest_port, rtsp.allow_open), ((8554, 8556), (554, 556), true));
    assert_eq!(rtsp.sources, [Network::parse("198.51.100.0/24").unwrap()]);
    assert_eq!(
        (other.name.as_str(), other.src_dport, other.dest_port),
        ("front_9000", (9000, 9000), (9000, 9000))
    );
    assert_eq!(
        (other.protos.as_slice(), other.allow_open, other.sources.len()),
        (&[Proto::Tcp][..], false, 0)
    );
}

#[test]
fn a_wan_by_netifds_interfaces() {
    let text = "config wan 'wan'\n\tlist interface 'wan'\n\tlist interface 'wan6'\n\
                config wan 'second'\n\toption interface 'wanb'\n";
    let Loaded { config, problems, .. } = loaded(text);
    assert_eq!(lines(&problems), "");
    let devices: Vec<&Device> = config.wans.iter().map(|wan| &wan.device).collect();
    let names = |names: &[&str]| Device::Interfaces(names.iter().map(|name| name.to_string()).collect());
    assert_eq!(devices, [&names(&["wan", "wan6"]), &names(&["wanb"])]);
}

/// Rule of the contract: an option at its default is always accepted, built or not.
#[test]
fn every_default_is_accepted_when_written_out() {
    let must: &[(&str, &str)] = &[
        ("porchlight", ""),
        ("wan", "option device 'eth0'\n"),
        ("record", "option provider 'cloudflare'\nlist domain 'a.example.com'\noption token 'abcd'\n"),
        ("camera", "option ip '192.168.1.2'\n"),
        ("mapping", "option camera 'c'\noption src_dport '1'\n"),
        ("notify", "option kind 'script'\noption program '/bin/true'\n"),
    ];
    for (kind, rest) in must {
        let mut text =
            String::from("config wan w\noption device auto\nconfig camera c\noption ip 192.168.1.1\n");
        text += &format!("config {kind} 'x'\n{rest}");
        for row in schema::section(kind).unwrap().options {
            for value in row.default.split_whitespace() {
                let word = if row.list { "list" } else { "option" };
                text += &format!("{word} {} '{value}'\n", row.name);
            }
        }
        assert_eq!(lines(&loaded(&text).problems), "", "{text}");
    }
}

#[test]
fn crlf_and_a_last_line_without_newline() {
    let unix = uci::parse("config a 'n'\n\toption x 'one two' # c\n\n\tlist y z", "f");
    let dos = uci::parse("config a 'n'\r\n\toption x 'one two' # c\r\n\r\n\tlist y z", "f");
    assert_eq!(unix, dos);
    assert_eq!(lines(&unix.problems), "");
    assert_eq!(shown(&unix), "1: a n\n[2]: option x [\"one two\"]\n[4]: list y [\"z\"]\n");
}

#[test]
fn caps_are_kept_and_said() {
    let problem =
        |text: &str| uci::parse(text, "f").problems.first().map(ToString::to_string).unwrap_or_default();
    assert!(problem(&"#\n".repeat(uci::FILE_CAP / 2)).is_empty());
    assert!(problem(&"#".repeat(uci::FILE_CAP + 1)).contains("longer than 256 KiB"));
    assert_eq!(
        problem("config a\n\0"),
        "f:2: error: this is not a text file (it holds a zero byte), so it is not read"
    );
    let many = uci::parse(&"config a\n".repeat(uci::SECTION_CAP + 1), "f");
    assert_eq!(many.sections.len(), uci::SECTION_CAP);
    assert!(lines(&many.problems).contains(":513: error: config: more than 512 sections"));
    let values = uci::parse(&format!("config a\n{}", "list b c\n".repeat(uci::VALUE_CAP + 9)), "f");
    assert_eq!(values.problems.len(), 1);
    assert_eq!(values.sections[0].options[0].values.len(), uci::VALUE_CAP);
    assert!(values.sections[0].faulty);
    assert!(problem(&format!("config a\noption b {}", "c".repeat(uci::VALUE_LENGTH_CAP + 1)))
        .contains("longer than"));
    let quotes = uci::parse(&"o 'a\n".repeat(40_000), "f");
    assert_eq!(quotes.problems.len(), uci::FAULT_CAP + 1);
    // Warnings never push errors out of the list.
    let text = "config wan w\n".to_string() + &"option unknown x\n".repeat(2) + "option ip_script x\n";
    let noise: String = (0..500).map(|n| format!("option unknown{n} x\n")).collect();
    let loaded = loaded(&format!("config wan w\n{noise}{text}"));
    assert!(loaded.problems.len() < 220);
    assert!(loaded.problems.iter().any(|problem| problem.severity == Severity::Error));
}

#[test]
fn secrets_are_resolved() {
    let file = "config wan w\noption device auto\nconfig record r\noption provider custom\nlist domain a.example.com\n\
                option url_file '/etc/url'\nlist header '$HEADER'\nlist header '$$x'\n";
    let sources = [("/etc/url", "https://u.example/secret "), ("$HEADER", "Authorization: abcdef")];
    let sources = Fake(sources.map(|(name, value)| (name.to_string(), value.to_string())).into());
    let loaded = load(file, "porchlight", PROVIDERS, &sources);
    assert_eq!(lines(&loaded.problems), "");
    let secrets = &loaded.config.records[0].options.secrets;
    assert_eq!(secrets.get("url").unwrap().reveal(), "https://u.example/secret");
    assert_eq!(secrets.get("header").unwrap().reveal(), "Authorization: abcdef\n$x");
    let mut all: Vec<&str> = loaded.secrets.iter().map(|secret| secret.reveal()).collect();
    all.sort_unstable();
    assert_eq!(all, ["$x", "Authorization: abcdef", "https://u.example/secret"]);
}

/// What looks like a key in an option that may be shown is known to the redactor all the same; hosts, paths of
/// words and the domains themselves are not.
#[test]
fn keys_in_plain_options_are_hidden() {
    let lines = "list domain cam1.example.com\n\
        option url 'https://user:passw0rd@dyn7.example.com/k3y-in-the-path/update?host=cam1.example.com&ip={ip}&id=abc12345'\n\
        list header 'X-Token: abcdefghijklmnopqrst'\nlist header 'Accept: text/plain'\n\
        option body '{\"key\": \"0123456789\", \"name\": \"{domain}\"}'\n";
    let file = format!("config wan w\noption device auto\nconfig record r\noption provider custom\n{lines}");
    let loaded = load(&file, "porchlight", porchlight::provider::PROVIDERS, &Fake::default());
    let mut all: Vec<&str> = loaded.secrets.iter().map(|secret| secret.reveal()).collect();
    all.sort_unstable();
    assert_eq!(all, ["0123456789", "abc12345", "abcdefghijklmnopqrst", "k3y-in-the-path", "passw0rd"]);
}

/// Whatever is wrong with a secret, no problem, description or debug output shows it.
#[test]
fn secrets_never_show() {
    let file = |lines: &str| {
        format!("config wan w\noption device auto\nconfig record r\noption provider custom\nlist domain a.example.com\n{lines}")
    };
    for lines in [
        "option url 'S3CRET'\noption url_file '/S'\n",
        "option url '$S3CRET'\n",
        "option url 'S3CRET\u{1b}'\n",
        "list url 'S3CRET'\nlist url '$S3CRET'\n",
        "option urk 'S3CRET'\n",
        "option url 'S3CRET' S3CRET\n",
        "option url S3CRET#S3CRET\n",
        "option url 'S3CRET\n",
        "S3CRET\n",
        "option url 'S3CRET'\noption ttl x\n",
        "option url 'S3CRET'\n",
        "option body 'S3CRET\u{7}'\n",
    ] {
        let loaded = loaded(&file(lines));
        let all = format!("{}{}{:?}", super_lines(&loaded), describe(&loaded.config), loaded);
        assert!(!all.contains("S3CRET"), "{lines}: {all}");
    }
}

/// The same of a channel, whose address is a secret too.
#[test]
fn secrets_of_channels_never_show() {
    for lines in [
        "option kind 'webhook'\noption url 'S3CRET'\n",
        "option kind 'webhook'\noption url 'https://x.example/S3CRET'\nlist header 'S3CRET'\n",
        "option kind 'slack'\noption url 'https://x.example:99999/S3CRET'\n",
        "option kind 'slack'\noption url 'https://S3CRET@x.example/'\n",
        "option kind 'dingtalk'\noption url 'https://x.example/?a=S3CRET'\noption secret 'S3CRET'\n",
        "option kind 'bark'\noption token 'S3CRET'\noption token_file '/S'\n",
        "option kind 'bark'\noption token '$S3CRET'\n",
        "option kind 'webhook'\noption url 'https://x.example/'\noption body '{S3CRET'\n",
        "option kind 'email'\noption url 'S3CRET'\noption to 'me'\n",
    ] {
        let loaded = loaded(&format!("config wan w\noption device auto\nconfig notify n\n{lines}"));
        let all = format!("{}{}{:?}", super_lines(&loaded), describe(&loaded.config), loaded);
        assert!(!all.contains("S3CRET"), "{lines}: {all}");
    }
}

fn super_lines(loaded: &Loaded) -> String {
    lines(&loaded.problems) + &lines(&loaded.left_out)
}

/// Text that is nearly a configuration.
fn nearly() -> impl Strategy<Value = String> {
    let words: Vec<String> = schema::SECTIONS
        .iter()
        .flat_map(|row| row.options.iter().map(|option| format!("\n\toption {} ", option.name)))
        .chain(schema::SECTIONS.iter().map(|row| format!("\nconfig {} ", row.kind)))
        .chain(
            [
                "'",
                "\"",
                "\\",
                "#",
                ";",
                "\n",
                " ",
                "'a'",
                "1",
                "10m",
                "auto",
                "a.example.com",
                "\nlist wan ",
                "any",
            ]
            .map(String::from),
        )
        .chain(
            [
                "cloudflare",
                "\n\toption token x",
                "8000-9000",
                "aa:bb:cc:dd:ee:ff",
                "1.2.3.4/8",
                "é",
                "\0",
                "\r\n",
            ]
            .map(String::from),
        )
        .collect();
    proptest::collection::vec(proptest::sample::select(words), 0..60).prop_map(|words| words.concat())
}

/// What must hold whatever the text: typed sections refer only to what is there, and an error is never silent.
fn check_loaded(text: &str) {
    let loaded = loaded(text);
    let _ = describe(&loaded.config);
    for record in &loaded.config.records {
        assert!(!record.wans.is_empty() && !record.domains.is_empty() && !record.families.is_empty());
        assert!(record.wans.iter().all(|name| loaded.config.wans.iter().any(|wan| wan.name == *name)));
    }
    for mapping in &loaded.config.mappings {
        assert!(loaded.config.cameras.iter().any(|camera| camera.name == mapping.camera));
        assert!(!mapping.protos.is_empty() && mapping.src_dport.0 > 0 && mapping.dest_port.0 > 0);
    }
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert!(errors || loaded.left_out.is_empty());
    assert!(loaded.problems.windows(2).all(|pair| pair[0].line <= pair[1].line || pair[1].line == 0));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        uci::parse(&text, "f");
        check_loaded(&text);
    }

    #[test]
    fn nearly_a_configuration(text in nearly()) {
        check_loaded(&text);
    }

    /// Cut anywhere, a good file stays readable.
    #[test]
    fn cut_anywhere(at in 0..WHOLE.len()) {
        check_loaded(WHOLE.get(..at).unwrap_or_default());
    }

    /// What libuci's own export writes (single quotes, `'\''`) is read back as it was.
    #[test]
    fn exported_values_come_back(value in "[^\\x00-\\x08\\x0b-\\x1f]{1,60}") {
        let text = format!("config a\n\toption b '{}'\n", value.replace('\'', "'\\''"));
        let parsed = uci::parse(&text, "f");
        prop_assert_eq!(lines(&parsed.problems), "");
        prop_assert_eq!(&parsed.sections[0].options[0].values[0], &value);
    }
}
