//! Plays the conversations of tests/provider/<provider>/<case> with the providers, strictly: each request must be
//! the recorded one byte for byte, none may be missing and none be added. Then plays them damaged.
//!
//! A case is a text in the form of fw4's tests. The lines before the first section say why it exists. Sections:
//! `-- Job --` (a word a line, see [`job`]), then `-- Ask --` and `-- Reply --` in turn, then `-- Outcome --`;
//! each ends with `-- End --`. DNS messages are hexadecimal; blanks do not count, and `#` begins a comment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::map::Map;
use porchlight::model::{Family, RecordId};
use porchlight::provider::api::Pages;
use porchlight::provider::{self, Failure, Job, Kind, Options, Outcome, Reply, Request, Update, Wanted};
use porchlight::secret::Secret;
use porchlight::wire::json::Json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A case, cut into its sections.
struct Case {
    path: PathBuf,
    job: String,
    /// Each request as text, and the answer to it.
    talk: Vec<(String, String)>,
    outcome: String,
}

/// What came of playing a job.
struct Played {
    /// The requests as text.
    asks: Vec<String>,
    /// The verdicts and the memo as text.
    outcome: String,
}

/// All cases, in order. The folder `peers` holds recordings of other programs, for another test.
fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
    let list = |dir: &Path| {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let folders = list(&root).into_iter().filter(|path| path.is_dir() && !path.ends_with("peers"));
    folders.flat_map(|folder| list(&folder)).map(|path| read_case(&path)).collect()
}

/// Cuts a case's text into its sections.
fn read_case(path: &Path) -> Case {
    let name = path.display();
    let text = std::fs::read_to_string(path).unwrap();
    let mut sections: Vec<(String, String)> = Vec::new();
    let (mut open, mut why) = (false, false);
    for line in text.lines() {
        match line.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some("End") => {
                assert!(open, "{name}: an end without a section");
                open = false;
            }
            Some(section) => {
                assert!(!open, "{name}: section {section} within another");
                sections.push((section.to_owned(), String::new()));
                open = true;
            }
            None if open => {
                let body = &mut sections.last_mut().unwrap().1;
                body.push_str(line);
                body.push('\n');
            }
            None if sections.is_empty() => why |= !line.trim().is_empty(),
            None => assert!(line.trim().is_empty(), "{name}: {line:?} stands in no section"),
        }
    }
    assert!(why, "{name}: it does not say why it exists");
    assert!(!open, "{name}: the last section has no end");
    let names: Vec<&str> = sections.iter().map(|(section, _)| section.as_str()).collect();
    let asks = names.len().saturating_sub(2) / 2;
    let should: Vec<&str> = [&["Job"][..], &["Ask", "Reply"].repeat(asks), &["Outcome"]].concat();
    assert_eq!(names, should, "{name}");
    let mut bodies = sections.into_iter().map(|(_, body)| body);
    let job = bodies.next().unwrap();
    let talk = (0..asks).map(|_| (bodies.next().unwrap(), bodies.next().unwrap())).collect();
    Case { path: path.to_owned(), job, talk, outcome: bodies.next().unwrap() }
}

/// Reads a job: `provider`, `zone`, `ttl`, `now`, `nonce` (hexadecimal), `option NAME VALUE`, `secret NAME VALUE`,
/// `memo KEY = VALUE`, `record DOMAIN TYPE ADDRESS`. In an option `\n` is a line break.
fn job(text: &str) -> (&'static provider::Entry, Job) {
    let mut name = "";
    let mut job = Job {
        zone: None,
        ttl: None,
        options: Options::default(),
        records: Vec::new(),
        now: 1_767_323_045,
        nonce: [0; 16],
        memo: Map::new(),
    };
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let pair = || rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        match word {
            "provider" => name = rest,
            "zone" => job.zone = Some(rest.to_owned()),
            "ttl" => job.ttl = Some(rest.parse().unwrap()),
            "now" => job.now = rest.parse().unwrap(),
            "nonce" => job.nonce[..rest.len() / 2].copy_from_slice(&unhex(rest)),
            "option" => drop(job.options.text.insert(pair().0.into(), pair().1.replace("\\n", "\n"))),
            "secret" => drop(job.options.secrets.insert(pair().0.into(), Secret::new(pair().1))),
            "memo" => {
                let (key, value) = rest.split_once(" = ").unwrap();
                job.memo.insert(key.to_owned(), value.to_owned());
            }
            "record" => {
                let [domain, rtype, addr] = rest.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line:?}")
                };
                let family = if rtype == "A" { Family::V4 } else { Family::V6 };
                assert_eq!(family.rtype(), rtype);
                let id = RecordId { record: "home".into(), domain: domain.into(), family };
                job.records.push(Wanted { id, addr: addr.parse().unwrap() });
            }
            _ => panic!("{line:?}"),
        }
    }
    (provider::find(name).unwrap_or_else(|| panic!("no provider {name:?}")), job)
}

/// The bytes of a hexadecimal text.
fn unhex(text: &str) -> Vec<u8> {
    let text: String = text.lines().map(|line| line.split('#').next().unwrap()).collect();
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Bytes as a hexadecimal text.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A request as it stands in a case; `(write)` marks what may change something.
fn render(request: &Request) -> String {
    let mark = |write: bool| if write { " (write)" } else { "" };
    match request {
        Request::Http(http) => {
            let mut out = format!("{} {}{}\n", http.method, http.url, mark(http.write));
            for (name, value) in &http.headers {
                writeln!(out, "{name}: {value}").unwrap();
            }
            if !http.body.is_empty() {
                writeln!(out, "\n{}", http.body).unwrap();
            }
            out
        }
        Request::Dns(dns) => format!("DNS {}{}\n{}\n", dns.server, mark(dns.write), hex(&dns.message)),
    }
}

/// A recorded request in the form of [`render`]: hexadecimal without blanks and comments.
fn expected(ask: &str) -> String {
    match ask.split_once('\n') {
        Some((first, bytes)) if first.starts_with("DNS ") => format!("{first}\n{}\n", hex(&unhex(bytes))),
        _ => ask.to_owned(),
    }
}

/// A kind by its words.
fn kind(words: &str) -> Kind {
    let all = [
        Kind::NotReady,
        Kind::Unreachable,
        Kind::Busy,
        Kind::Unconfirmed,
        Kind::Credentials,
        Kind::NoSuchName,
        Kind::Refused,
        Kind::Untrusted,
        Kind::Clock,
        Kind::Garbled,
    ];
    all.into_iter().find(|kind| kind.to_string() == words).unwrap_or_else(|| panic!("no kind {words:?}"))
}

/// A recorded answer: `failed KIND: TEXT`, or `DNS` and hexadecimal, or a status, headers, an empty line and a body.
fn reply(text: &str) -> Result<Reply, Failure> {
    let (first, rest) = text.split_once('\n').unwrap();
    if let Some((words, text)) = first.strip_prefix("failed ").and_then(|rest| rest.split_once(": ")) {
        return Err(Failure::new(kind(words), text));
    }
    if first == "DNS" {
        return Ok(Reply { body: unhex(rest), ..Reply::default() });
    }
    let (head, body) = match rest.strip_prefix('\n') {
        Some(body) => ("", body),
        None => rest.split_once("\n\n").unwrap_or((rest, "")),
    };
    let headers =
        head.lines().map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    Ok(Reply { status: first.parse().unwrap(), headers, body: body.trim_end_matches('\n').into() })
}

/// Plays a job; `answer` gets the place and the text of each request.
fn play(job_text: &str, answer: &mut dyn FnMut(usize, &str) -> Result<Reply, Failure>) -> Played {
    const MOST_ASKS: usize = 1000;
    let (entry, mut job) = job(job_text);
    let mut asks: Vec<String> = Vec::new();
    let ids: Vec<RecordId> = job.records.iter().map(|wanted| wanted.id.clone()).collect();
    let verdicts = entry.update(&mut job, &mut |request| {
        let text = render(&request);
        asks.push(text.clone());
        assert!(asks.len() < MOST_ASKS, "a storm of requests");
        answer(asks.len() - 1, &text)
    });
    let mut outcome = String::new();
    let failed = |failure: &Failure| {
        let wait = failure.retry_after.map(|wait| format!(" after {}", wait.as_secs())).unwrap_or_default();
        format!("failed{wait} {}: {}", failure.kind, failure.text)
    };
    match verdicts {
        Ok(verdicts) => {
            for id in &ids {
                let own: Vec<_> = verdicts.iter().filter(|(other, _)| other == id).collect();
                assert_eq!(own.len(), 1, "{id} has {} verdicts", own.len());
                match &own[0].1 {
                    Ok(Outcome::Unchanged) => writeln!(outcome, "{id} unchanged").unwrap(),
                    Ok(Outcome::Updated) => writeln!(outcome, "{id} updated").unwrap(),
                    Ok(Outcome::UpdatedBehindProxy) => {
                        writeln!(outcome, "{id} behind a proxy, updated").unwrap();
                    }
                    Err(failure) => writeln!(outcome, "{id} {}", failed(failure)).unwrap(),
                }
            }
            assert_eq!(verdicts.len(), ids.len());
        }
        Err(failure) => writeln!(outcome, "all {}", failed(&failure)).unwrap(),
    }
    for secret in job.options.secrets.values().filter(|secret| secret.reveal().len() > 3) {
        assert!(!outcome.contains(secret.reveal()), "a secret in the outcome: {outcome}");
    }
    for (key, value) in &job.memo {
        writeln!(outcome, "memo {key} = {value}").unwrap();
    }
    Played { asks, outcome }
}

#[test]
fn every_case_plays_as_written() {
    let mut wrong = String::new();
    let cases = cases();
    assert!(cases.len() > 50, "only {} cases found", cases.len());
    for case in &cases {
        let mut report = String::new();
        let played = play(&case.job, &mut |place, text| match case.talk.get(place) {
            Some((ask, answer)) => {
                if expected(ask) != text {
                    writeln!(report, "request {place} is\n{text}\nbut should be\n{}", expected(ask)).unwrap();
                }
                reply(answer)
            }
            None => {
                writeln!(report, "request {place} is not in the case:\n{text}").unwrap();
                Err(Failure::new(Kind::Unreachable, "not in the case"))
            }
        });
        for (ask, _) in case.talk.iter().skip(played.asks.len()) {
            writeln!(report, "never asked:\n{ask}").unwrap();
        }
        if played.outcome != case.outcome {
            writeln!(report, "the outcome is\n{}\nbut should be\n{}", played.outcome, case.outcome).unwrap();
        }
        if !report.is_empty() {
            writeln!(wrong, "==== {}\n{report}", case.path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Plays a case with one answer replaced; what is asked beyond the case gets no answer.
fn play_damaged(case: &Case, damaged: usize, with: &Result<Reply, Failure>) -> Played {
    play(&case.job, &mut |place, text| match case.talk.get(place) {
        _ if place == damaged => with.clone(),
        Some((ask, answer)) if expected(ask) == text => reply(answer),
        _ => Err(Failure::new(Kind::Unreachable, "not in the case")),
    })
}

/// True for a request that may change something.
fn is_write(ask: &str) -> bool {
    ask.lines().next().unwrap().ends_with(" (write)")
}

/// The cases in which all goes well, of the providers whose answers have a form that can be broken.
fn happy(form: fn(&Reply) -> bool) -> Vec<Case> {
    let custom = |case: &Case| case.path.parent().unwrap().ends_with("custom");
    let well = |case: &Case| !case.outcome.contains(" failed") && !case.talk.is_empty() && !custom(case);
    let formed = |case: &Case| case.talk.iter().all(|(_, text)| reply(text).is_ok_and(|reply| form(&reply)));
    let cases: Vec<Case> = cases().into_iter().filter(|case| well(case) && formed(case)).collect();
    assert!(cases.len() > 3, "only {} cases", cases.len());
    cases
}

fn is_json(reply: &Reply) -> bool {
    reply.body.is_empty() || reply.body.starts_with(b"{") || reply.body.starts_with(b"[")
}

fn is_xml(reply: &Reply) -> bool {
    reply.body.starts_with(b"<?xml")
}

/// True if a damaged form of an answer is no whole answer to its request. One without content has no such form. That a
/// zone or what is to be deleted is not there, or a list too long, a status says without words. Where a list is an
/// array, the empty array is one.
fn broken(case: &Case, place: usize, with: &[u8]) -> bool {
    let whole = reply(&case.talk[place].1).unwrap();
    let next_is_no_write = case.talk.get(place + 1).is_some_and(|(ask, _)| !is_write(ask));
    let ask = &case.talk[place].0;
    let told = match whole.status {
        404 if ask.starts_with("DELETE ") => true,
        400..=499 => next_is_no_write && !is_write(ask),
        _ => false,
    };
    let lists = match job(&case.job).0.update {
        Update::Api(service) => service.read.items.split('|').any(|items| items == "*"),
        _ => false,
    };
    let empty_list = with == b"[]" && (lists || whole.body.starts_with(b"["));
    !(whole.body.is_empty() || told || empty_list)
}

fn is_dns(reply: &Reply) -> bool {
    reply.status == 0
}

/// Of a long answer (a whole page of a list) not each place is broken, only one in some.
fn step(whole: &Reply) -> usize {
    1 + whole.body.len() / 512
}

/// How many records an outcome calls updated.
fn updated(outcome: &str) -> usize {
    outcome.lines().filter(|line| line.ends_with(" updated") && !line.contains(" failed")).count()
}

/// Checks that after a broken answer nothing is written, and nothing is said to be done that the answer did not say.
fn check_broken(case: &Case, place: usize, played: &Played, what: &str) {
    let name = case.path.display();
    assert!(played.outcome.contains("failed"), "{name}, answer {place} {what}: {}", played.outcome);
    if is_write(&played.asks[place]) {
        // A write that changes nothing ("it is so already") is one too.
        let good = |outcome: &str| updated(outcome) + outcome.matches(" unchanged\n").count();
        assert!(
            good(&played.outcome) < good(&case.outcome),
            "{name}, answer {place} {what}: {}",
            played.outcome
        );
    } else {
        let later = played.asks.iter().skip(place + 1).find(|ask| is_write(ask));
        assert_eq!(later, None, "{name}: a write after answer {place} {what}");
    }
}

#[test]
fn an_answer_cut_at_any_length_is_a_failure_and_nothing_is_written_after_it() {
    for case in happy(is_json).into_iter().chain(happy(is_xml)).chain(happy(is_dns)) {
        for (place, (_, text)) in case.talk.iter().enumerate() {
            let whole = reply(text).unwrap();
            for end in (0..whole.body.len()).step_by(step(&whole)) {
                let cut = Reply { body: whole.body[..end].to_vec(), ..whole.clone() };
                if whole.status != 0 && !broken(&case, place, &cut.body) {
                    continue;
                }
                check_broken(&case, place, &play_damaged(&case, place, &Ok(cut)), &format!("cut at {end}"));
            }
        }
    }
}

#[test]
fn an_answer_of_nonsense_is_a_failure_and_nothing_is_written_after_it() {
    let deep = "[".repeat(200_000);
    let nonsense: [&[u8]; 12] = [
        b"",
        b" ",
        b"{}",
        b"[]",
        b"null",
        b"<html><body>good OK 200</body></html>",
        b"{\"success\":true}",
        b"{\"success\":\"true\",\"result\":[]}",
        &[0xff; 4096],
        &[0; 4096],
        b"\x12\x34\xa8\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        deep.as_bytes(),
    ];
    for case in happy(is_json).into_iter().chain(happy(is_xml)).chain(happy(is_dns)) {
        for place in 0..case.talk.len() {
            for (index, body) in nonsense.iter().enumerate() {
                let Reply { status, headers, .. } = reply(&case.talk[place].1).unwrap();
                if status != 0 && !broken(&case, place, body) {
                    continue;
                }
                let with = Reply { status, headers, body: body.to_vec() };
                check_broken(
                    &case,
                    place,
                    &play_damaged(&case, place, &Ok(with)),
                    &format!("nonsense {index}"),
                );
            }
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_never_leads_to_another_write() {
    for case in happy(is_json) {
        let kept = kept(&case);
        for (place, (_, text)) in case.talk.iter().enumerate() {
            let whole = reply(text).unwrap();
            let Ok(json) = Json::parse(&whole.text()) else { continue };
            for path in paths(&json).into_iter().step_by(step(&whole)) {
                // What is sent back as it came has no type of ours.
                let within = |name: &str| (1..=path.len()).any(|end| key(&json, &path[..end]) == Some(name));
                if kept.iter().any(|name| within(name)) {
                    continue;
                }
                for other in ["null", "true", "7", "-1.5", "\"x\"", "[]", "{}", "[[]]"] {
                    let Some(damaged) = replaced(&json, &path, &Json::parse(other).unwrap()) else {
                        continue;
                    };
                    let with = Reply { body: damaged.to_string().into(), ..whole.clone() };
                    if !broken(&case, place, &with.body) {
                        continue;
                    }
                    let played = play_damaged(&case, place, &Ok(with));
                    let should: Vec<String> =
                        case.talk.iter().map(|(ask, _)| ask.clone()).filter(|ask| is_write(ask)).collect();
                    let did: Vec<String> = played.asks.iter().filter(|ask| is_write(ask)).cloned().collect();
                    let name = case.path.display();
                    assert!(should.starts_with(&did), "{name}, answer {place}, {path:?} = {other}: {did:?}");
                    let well = played.outcome == case.outcome;
                    assert!(well || played.outcome.contains("failed"), "{name}: {}", played.outcome);
                }
            }
        }
    }
}

/// The paths of all values in a tree, by index.
fn paths(json: &Json) -> Vec<Vec<usize>> {
    let children: Vec<&Json> = match json {
        Json::Array(items) => items.iter().collect(),
        Json::Object(entries) => entries.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    let deeper = children
        .iter()
        .enumerate()
        .flat_map(|(index, child)| paths(child).into_iter().map(move |path| [&[index][..], &path].concat()));
    std::iter::once(Vec::new()).chain(deeper).collect()
}

/// The key under which a value stands, if it stands in an object.
fn key<'a>(json: &'a Json, path: &[usize]) -> Option<&'a str> {
    let (last, before) = path.split_last()?;
    let parent = before.iter().fold(json, |json, index| match json {
        Json::Array(items) => &items[*index],
        Json::Object(entries) => &entries[*index].1,
        _ => unreachable!(),
    });
    parent.entries().get(*last).map(|(key, _)| &**key)
}

/// The fields that a case's provider sends back as they came, and others that may be of any type.
fn kept(case: &Case) -> Vec<&'static str> {
    let Update::Api(service) = job(&case.job).0.update else { return Vec::new() };
    let calls =
        [service.create, service.change, service.batch.create, service.batch.change, service.special.after];
    let lists = calls.iter().flat_map(|call| call.split("$+").skip(1));
    let fields = lists.flat_map(|list| {
        list.split(|c: char| !(c.is_ascii_alphanumeric() || "_,=.".contains(c))).next().unwrap().split(',')
    });
    // A time to live may be a number or a string where a row says so, and without a cursor a page is the last.
    let mut also = vec![service.record.ttl.strip_prefix('?')];
    also.extend([service.zones, service.read].iter().map(|list| match list.pages {
        Pages::Cursor(path) => path.rsplit('.').next(),
        _ => None,
    }));
    fields.map(|field| field.rsplit(['=', '.']).next().unwrap()).chain(also.into_iter().flatten()).collect()
}

/// A tree with one value replaced; `None` if that would be one of the same type.
fn replaced(json: &Json, path: &[usize], with: &Json) -> Option<Json> {
    let Some((first, rest)) = path.split_first() else {
        return (std::mem::discriminant(json) != std::mem::discriminant(with)).then(|| with.clone());
    };
    let mut json = json.clone();
    let child = match &mut json {
        Json::Array(items) => &mut items[*first],
        Json::Object(entries) => &mut entries[*first].1,
        _ => unreachable!(),
    };
    *child = replaced(child, rest, with)?;
    Some(json)
}

#[test]
fn whatever_fails_on_the_way_is_every_records_verdict_and_ends_the_round() {
    for case in cases().into_iter().filter(|case| !case.outcome.contains(" failed")) {
        for place in 0..case.talk.len() {
            for kind in [Kind::NotReady, Kind::Unreachable, Kind::Unconfirmed, Kind::Untrusted, Kind::Clock] {
                let failure = Failure::new(kind, "it broke").after(Duration::from_secs(9));
                let played = play_damaged(&case, place, &Err(failure));
                let name = case.path.display();
                assert_eq!(played.asks.len(), place + 1, "{name}: asked on after {kind}");
                let told = format!("failed after 9 {kind}: it broke");
                assert!(played.outcome.contains(&told), "{name}: {}", played.outcome);
            }
        }
    }
}

#[test]
fn any_text_from_a_service_of_words_is_a_verdict() {
    let bodies = [
        "",
        "good",
        "GOOD 192.0.2.1\r\n",
        "\u{feff}nochg",
        "911",
        "goodness",
        "<html>good",
        "OK",
        "KO",
        "\0",
    ];
    for case in cases().into_iter().filter(|case| case.talk.len() == 1) {
        for status in [0, 100, 200, 204, 302, 400, 401, 404, 429, 500, 599, 999] {
            for body in
                bodies.iter().map(|body| body.to_string()).chain([bodies.join("\n"), "good\n".repeat(5000)])
            {
                let with = Reply { status, headers: Vec::new(), body: body.clone().into() };
                let played = play_damaged(&case, 0, &Ok(with));
                let done = updated(&played.outcome) > 0;
                assert!(!done || (200..300).contains(&status), "{}: {status} {body:?}", case.path.display());
            }
        }
    }
}
