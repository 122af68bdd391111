//! Every channel against its vendor's documents: the request that it makes, and what it understands of the answers.
//! The pages are those of the table (`Channel::page`); what stands here was written by hand after them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::config::load::{load, Sources};
use porchlight::config::Notify;
use porchlight::model::Time;
use porchlight::notify::{
    find, mail, request, verdict, About, Message, Note, Occasion, Service, Way, CHANNELS, FIELDS,
};
use porchlight::provider::{Failure, Http, Kind, Reply, PROVIDERS};
use porchlight::secret::Redactor;
use porchlight::sign;
use porchlight::wire::json::{self, Json};
use proptest::prelude::*;
use std::time::Duration;

struct Nothing;

impl Sources for Nothing {
    fn first_line(&self, _: &str) -> Result<String, String> {
        Err("no files here".into())
    }
    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

/// A good section of this kind, with these lines.
fn section(kind: &str, lines: &str) -> Notify {
    let text = format!("config wan w\noption device auto\nconfig notify 'n'\noption kind '{kind}'\n{lines}");
    let loaded = load(&text, "f", PROVIDERS, &Nothing);
    assert!(loaded.problems.is_empty(), "{text}: {:?}", loaded.problems);
    loaded.config.notifies[0].clone()
}

const NOW: u64 = 1_767_323_045;

/// With everything in it that has to be encoded somewhere.
fn message() -> Message {
    Message(
        ["failing", "Home: failing", "a \"b\" & <c>\\d\ncam+1 ä=1", "home", "front", "203.0.113.7"]
            .map(String::from),
    )
}

fn made(kind: &str, lines: &str) -> Http {
    request(&section(kind, lines), &message(), NOW).unwrap().unwrap()
}

/// Kind, options, and the request: first line, headers, body.
type Wish = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const REQUESTS: &[Wish] = &[
    (
        "ntfy",
        "option url 'https://ntfy.sh/my-topic'",
        "POST https://ntfy.sh/my-topic?title=Home:%20failing",
        &[("Content-Type", "text/plain; charset=utf-8")],
        "a \"b\" & <c>\\d\ncam+1 ä=1",
    ),
    (
        "ntfy",
        "option url 'https://ntfy.example/my-topic?tags=camera'\noption token 'tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2'",
        "POST https://ntfy.example/my-topic?tags=camera&title=Home:%20failing",
        &[
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Authorization", "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"),
        ],
        "a \"b\" & <c>\\d\ncam+1 ä=1",
    ),
    (
        "telegram",
        "option token '123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11'\noption chat_id '-1001234'",
        "POST https://api.telegram.org/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11/sendMessage",
        &[("Content-Type", "application/json")],
        r#"{"chat_id":"-1001234","text":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}"#,
    ),
    (
        "telegram",
        "option token '1:abcd'\noption chat_id '@cams'\noption url 'https://tg.example/'",
        "POST https://tg.example/bot1:abcd/sendMessage",
        &[("Content-Type", "application/json")],
        r#"{"chat_id":"@cams","text":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}"#,
    ),
    (
        "bark",
        "option token 'ynJ5Ft4atkMkWeo2PAvFhF'",
        "POST https://api.day.app/push",
        &[("Content-Type", "application/json")],
        r#"{"device_key":"ynJ5Ft4atkMkWeo2PAvFhF","title":"Home: failing","body":"a \"b\" & <c>\\d\ncam+1 ä=1","group":"Porchlight"}"#,
    ),
    (
        "dingtalk",
        "option url 'https://oapi.dingtalk.com/robot/send?access_token=abcd1234'",
        "POST https://oapi.dingtalk.com/robot/send?access_token=abcd1234",
        &[("Content-Type", "application/json")],
        r#"{"msgtype":"text","text":{"content":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}}"#,
    ),
    (
        // The signature is the first one of `signatures`, percent-encoded by hand.
        "dingtalk",
        "option url 'https://oapi.dingtalk.com/robot/send?access_token=abcd1234'\noption secret 'this is secret'",
        "POST https://oapi.dingtalk.com/robot/send?access_token=abcd1234&timestamp=1767323045000&sign=@DINGTALK@",
        &[("Content-Type", "application/json")],
        r#"{"msgtype":"text","text":{"content":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}}"#,
    ),
    (
        "feishu",
        "option url 'https://open.feishu.cn/open-apis/bot/v2/hook/xxxx-1'",
        "POST https://open.feishu.cn/open-apis/bot/v2/hook/xxxx-1",
        &[("Content-Type", "application/json")],
        r#"{"msg_type":"text","content":{"text":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}}"#,
    ),
    (
        "feishu",
        "option url 'https://open.feishu.cn/open-apis/bot/v2/hook/xxxx-1'\noption secret 'this is secret'",
        "POST https://open.feishu.cn/open-apis/bot/v2/hook/xxxx-1",
        &[("Content-Type", "application/json")],
        r#"{"timestamp":"1767323045","sign":"@FEISHU@","msg_type":"text","content":{"text":"Home: failing\na \"b\" & <c>\\d\ncam+1 ä=1"}}"#,
    ),
    (
        "serverchan",
        "option token 'SCT1234Tabcdefgh'",
        "POST https://sctapi.ftqq.com/SCT1234Tabcdefgh.send",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "title=Home:%20failing&desp=a%20%22b%22%20%26%20%3Cc%3E%5Cd%0A%0Acam%2B1%20%C3%A4%3D1",
    ),
    (
        "serverchan",
        "option token 'sctp12345tabcdefgh'",
        "POST https://12345.push.ft07.com/send/sctp12345tabcdefgh.send",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "title=Home:%20failing&desp=a%20%22b%22%20%26%20%3Cc%3E%5Cd%0A%0Acam%2B1%20%C3%A4%3D1",
    ),
    (
        "discord",
        "option url 'https://discord.com/api/webhooks/1234/abcd-EFGH'",
        "POST https://discord.com/api/webhooks/1234/abcd-EFGH",
        &[("Content-Type", "application/json")],
        r#"{"content":"**Home: failing**\na \"b\" & <c>\\d\ncam+1 ä=1","allowed_mentions":{"parse":[]}}"#,
    ),
    (
        "slack",
        "option url 'https://hooks.slack.com/services/T0/B0/abcd'",
        "POST https://hooks.slack.com/services/T0/B0/abcd",
        &[("Content-Type", "application/json")],
        r#"{"text":"*Home: failing*\na \"b\" &amp; &lt;c&gt;\\d\ncam+1 ä=1"}"#,
    ),
    (
        "webhook",
        "option url 'https://me:pass%40word@hook.example/x'",
        "POST https://hook.example/x",
        &[("Authorization", "Basic bWU6cGFzc0B3b3Jk"), ("Content-Type", "application/json")],
        r#"{"event":"failing","title":"Home: failing","text":"a \"b\" & <c>\\d\ncam+1 ä=1","record":"home","camera":"front","address":"203.0.113.7"}"#,
    ),
    (
        "webhook",
        "option url 'https://hook.example/{camera}?e={event}&t={text}'\noption method 'get'\nlist header 'X-Token: {token}'\noption token 't0ken'",
        "GET https://hook.example/front?e=failing&t=a%20%22b%22%20%26%20%3Cc%3E%5Cd%0Acam%2B1%20%C3%A4%3D1",
        &[("X-Token", "t0ken")],
        "",
    ),
    (
        "webhook",
        "option url 'http://192.168.1.2:8123/api/webhook/porch'\noption method 'PUT'\noption body 'say={text}&of={event}&not={other}'",
        "PUT http://192.168.1.2:8123/api/webhook/porch",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "say=a%20%22b%22%20%26%20%3Cc%3E%5Cd%0Acam%2B1%20%C3%A4%3D1&of=failing&not={other}",
    ),
    (
        "webhook",
        "option url 'https://hook.example/'\nlist header 'Content-Type: text/plain'\noption body 'of {event}: {text}'",
        "POST https://hook.example/",
        &[("Content-Type", "text/plain")],
        "of failing: a \"b\" & <c>\\d\ncam+1 ä=1",
    ),
    (
        "webhook",
        "option url 'https://hook.example/'\nlist header 'content-type: application/vnd.x+json'\noption body '\"{text}\"'",
        "POST https://hook.example/",
        &[("content-type", "application/vnd.x+json")],
        r#""a \"b\" & <c>\\d\ncam+1 ä=1""#,
    ),
];

/// Lines of `signatures`: secret, time, DingTalk's signature, Feishu's.
fn signatures() -> Vec<[&'static str; 4]> {
    let lines = include_str!("notify/signatures").lines();
    lines.map(|line| line.split('\t').collect::<Vec<_>>().try_into().unwrap()).collect()
}

#[test]
fn the_robots_signatures_are_those_of_another_program() {
    let all = signatures();
    assert!(all.len() > 50);
    for [secret, now, dingtalk, feishu] in all {
        let seconds = now.parse().unwrap();
        assert_eq!(sign::dingtalk(secret, seconds), (format!("{now}000"), dingtalk.to_string()));
        assert_eq!(sign::feishu(secret, seconds), (now.to_string(), feishu.to_string()));
    }
}

#[test]
fn requests_are_those_of_the_vendors_documents() {
    let [_, now, dingtalk, feishu] = signatures()[0];
    assert_eq!(now.parse(), Ok(NOW));
    let coded = dingtalk.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for (kind, lines, first, headers, body) in REQUESTS {
        let http = made(kind, lines);
        let place = format!("{kind}: {lines}");
        assert_eq!(format!("{} {}", http.method, http.url), first.replace("@DINGTALK@", &coded), "{place}");
        let found: Vec<(&str, &str)> =
            http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, *headers, "{place}");
        assert_eq!(http.body, body.replace("@FEISHU@", feishu), "{place}");
        assert!(http.write, "a lost answer leaves it open whether it was told: {place}");
    }
    for channel in CHANNELS.iter().filter(|channel| matches!(channel.way, Way::Post(_))) {
        assert!(REQUESTS.iter().any(|(kind, ..)| *kind == channel.kind), "{} has no case", channel.kind);
    }
}

#[test]
fn a_signature_waits_for_the_clock() {
    for kind in ["dingtalk", "feishu"] {
        let signed = section(kind, "option url 'https://x.example/y'\noption secret 'SECabc'");
        let failure = request(&signed, &message(), 1_000_000_000).unwrap_err();
        assert_eq!((failure.kind, failure.sent), (Kind::Clock, false), "{kind}");
        let open = section(kind, "option url 'https://x.example/y'");
        assert!(request(&open, &message(), 0).is_ok(), "{kind}");
    }
}

/// Kind, status, body: `None` for yes, else class, waiting time in seconds (0: none), a part of the text.
type Case = (&'static str, u16, &'static str, Option<(Kind, u64, &'static str)>);

const REPLIES: &[Case] = &[
    ("webhook", 204, "", None),
    ("webhook", 200, "whatever", None),
    ("webhook", 404, "no such hook", Some((Kind::NoSuchName, 0, "404"))),
    ("webhook", 302, "", Some((Kind::Garbled, 0, "redirect"))),
    ("webhook", 500, "", Some((Kind::Busy, 0, "500"))),
    (
        "ntfy",
        200,
        r#"{"id":"sPs71M8A2T","time":1643935928,"event":"message","topic":"my-topic","message":"x"}"#,
        None,
    ),
    (
        "ntfy",
        403,
        r#"{"code":40301,"http":403,"error":"forbidden","link":"https://ntfy.sh/docs"}"#,
        Some((Kind::Credentials, 0, "forbidden")),
    ),
    (
        "ntfy",
        429,
        r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
        Some((Kind::Busy, 60, "limit reached")),
    ),
    ("ntfy", 200, "<html>log in to this network</html>", Some((Kind::Garbled, 0, "makes no sense"))),
    ("telegram", 200, r#"{"ok":true,"result":{"message_id":5}}"#, None),
    (
        "telegram",
        401,
        r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
        Some((Kind::Credentials, 0, "Unauthorized")),
    ),
    (
        "telegram",
        400,
        r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
        Some((Kind::Refused, 0, "chat not found")),
    ),
    (
        "telegram",
        200,
        r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
        Some((Kind::Refused, 0, "blocked by the user")),
    ),
    (
        "telegram",
        429,
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 34","parameters":{"retry_after":34}}"#,
        Some((Kind::Busy, 34, "retry after 34")),
    ),
    ("bark", 200, r#"{"code":200,"message":"success","timestamp":1625042929}"#, None),
    (
        "bark",
        400,
        r#"{"code":400,"message":"failed to get device token: failed to get [x] device token from database","timestamp":1}"#,
        Some((Kind::Refused, 0, "failed to get device token")),
    ),
    (
        "bark",
        200,
        r#"{"code":500,"message":"push failed"}"#,
        Some((Kind::Refused, 0, "code 500: push failed")),
    ),
    ("dingtalk", 200, r#"{"errcode":0,"errmsg":"ok"}"#, None),
    (
        "dingtalk",
        200,
        r#"{"errcode":310000,"errmsg":"sign not match, more: [https://ding-doc.dingtalk.com/]"}"#,
        Some((Kind::Credentials, 0, "code 310000: sign not match")),
    ),
    (
        "dingtalk",
        200,
        r#"{"errcode":300001,"errmsg":"token is not exist"}"#,
        Some((Kind::Credentials, 0, "token is not exist")),
    ),
    (
        "dingtalk",
        200,
        r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#,
        Some((Kind::Busy, 60, "send too fast")),
    ),
    ("dingtalk", 200, r#"{"errcode":-1,"errmsg":"system busy"}"#, Some((Kind::Busy, 60, "system busy"))),
    ("dingtalk", 200, r#"{"errcode":400105,"errmsg":"x"}"#, Some((Kind::Refused, 0, "400105"))),
    ("feishu", 200, r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#, None),
    ("feishu", 200, r#"{"StatusCode":0,"StatusMessage":"success"}"#, None),
    (
        "feishu",
        200,
        r#"{"code":19021,"data":{},"msg":"sign match fail or timestamp is not within one hour from current time"}"#,
        Some((Kind::Credentials, 0, "sign match fail")),
    ),
    (
        "feishu",
        200,
        r#"{"code":19024,"data":{},"msg":"Key Words Not Found"}"#,
        Some((Kind::Credentials, 0, "Key Words")),
    ),
    ("feishu", 200, r#"{"code":11232,"msg":"frequency limited"}"#, Some((Kind::Busy, 60, "frequency"))),
    (
        "feishu",
        400,
        r#"{"code":9499,"msg":"Bad Request","data":{}}"#,
        Some((Kind::Refused, 0, "code 9499: Bad Request")),
    ),
    (
        "serverchan",
        200,
        r#"{"code":0,"message":"","data":{"pushid":"1","readkey":"x","error":"SUCCESS","errno":0}}"#,
        None,
    ),
    (
        "serverchan",
        400,
        r#"{"message":"[AUTH]错误的Key","code":40001,"info":"错误的Key","args":[null],"scode":461}"#,
        Some((Kind::Refused, 0, "code 40001: [AUTH]")),
    ),
    ("discord", 204, "", None),
    ("discord", 200, r#"{"id":"1"}"#, None),
    (
        "discord",
        429,
        r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#,
        Some((Kind::Busy, 65, "rate limited")),
    ),
    (
        "discord",
        404,
        r#"{"message":"Unknown Webhook","code":10015}"#,
        Some((Kind::NoSuchName, 0, "Unknown Webhook")),
    ),
    (
        "discord",
        401,
        r#"{"message":"Invalid Webhook Token","code":50027}"#,
        Some((Kind::Credentials, 0, "Invalid Webhook Token")),
    ),
    ("slack", 200, "ok", None),
    ("slack", 200, "ok\n", None),
    ("slack", 200, "<html>ok</html>", Some((Kind::Garbled, 0, "makes no sense"))),
    ("slack", 400, "invalid_payload", Some((Kind::Refused, 0, "invalid_payload"))),
    ("slack", 403, "invalid_token", Some((Kind::Credentials, 0, "invalid_token"))),
    ("slack", 404, "no_service", Some((Kind::NoSuchName, 0, "no_service"))),
    ("slack", 410, "channel_is_archived", Some((Kind::Refused, 0, "channel_is_archived"))),
];

/// What each kind must have, for cases that are about something else.
fn plain(kind: &str) -> Notify {
    let channel = find(kind).unwrap();
    let value = |name: &str| match name {
        "url" => "https://x.example/hook/abcdef123".to_string(),
        "program" => "/bin/true".into(),
        "to" => "me@example.com".into(),
        _ => format!("{name}-0123456789"),
    };
    let line = |name: &&str| format!("option {name} '{}'\n", value(name));
    section(kind, &channel.needs.iter().map(line).collect::<String>())
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Reply { status, headers, body: body.into() }
}

#[test]
fn answers_are_understood() {
    for (kind, status, body, expected) in REPLIES {
        let found = verdict(&plain(kind), &reply(*status, &[], body), NOW);
        let place = format!("{kind} {status} {body}");
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(failure), Some((class, wait, part))) => {
                let waits = failure.retry_after.map_or(0, |wait| wait.as_secs());
                assert_eq!((failure.kind, waits), (*class, *wait), "{place}: {failure}");
                assert!(failure.text.contains(part), "{place}: {failure}");
            }
            (found, _) => panic!("{place}: {found:?}"),
        }
    }
    for channel in CHANNELS.iter().filter(|channel| matches!(channel.way, Way::Post(_))) {
        let of = |good: bool| REPLIES.iter().any(|case| case.0 == channel.kind && case.3.is_none() == good);
        assert!(of(true) && of(false), "{}: no case for its yes or no", channel.kind);
    }
}

#[test]
fn a_retry_after_header_counts_too() {
    let wait = |body| {
        let reply = reply(429, &[("retry-after", "90")], body);
        verdict(&plain("discord"), &reply, NOW).unwrap_err().retry_after
    };
    assert_eq!(wait(""), Some(Duration::from_secs(90)));
    assert_eq!(wait(r#"{"retry_after":3}"#), Some(Duration::from_secs(3)));
    assert_eq!(wait(r#"{"retry_after":99999999999}"#), Some(Duration::from_secs(86_400)));
}

#[test]
fn a_refused_signature_of_a_wrong_clock_is_the_clocks() {
    let signed = section("dingtalk", "option url 'https://x.example/y'\noption secret 'SECabc'");
    let no = r#"{"errcode":310000,"errmsg":"invalid timestamp"}"#;
    // Two hours later than NOW.
    let late = [("date", "Fri, 02 Jan 2026 05:04:05 GMT")];
    assert_eq!(verdict(&signed, &reply(200, &late, no), NOW).unwrap_err().kind, Kind::Clock);
    assert_eq!(verdict(&signed, &reply(200, &[], no), NOW).unwrap_err().kind, Kind::Credentials);
    assert_eq!(verdict(&plain("dingtalk"), &reply(200, &late, no), NOW).unwrap_err().kind, Kind::Credentials);
}

#[test]
fn an_email_is_one_however_odd_its_title() {
    let lines = "option to 'me@example.com, you@example.com'\noption from 'router@example.com'";
    let text = mail(&section("email", lines), &message());
    let (head, body) = text.split_once("\n\n").unwrap();
    for line in [
        "From: router@example.com",
        "To: me@example.com, you@example.com",
        "Subject: Home: failing",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(head.lines().any(|known| known == line), "{line}: {head}");
    }
    assert_eq!(body, "a \"b\" & <c>\\d\ncam+1 ä=1\n");
    let mut odd = message();
    odd.0[1] = "Zuhause bei Oma Käthe\nTo: all: 门口的摄像头".into();
    let text = mail(&plain("email"), &odd);
    let subject = text.lines().find(|line| line.starts_with("Subject: ")).unwrap();
    let words: Vec<&str> = subject["Subject: ".len()..].split(' ').collect();
    assert!(words.len() > 1 && words.iter().all(|word| word.len() <= 75), "{subject}");
    let inner = words.iter().map(|word| word.strip_prefix("=?utf-8?B?").unwrap().strip_suffix("?=").unwrap());
    let decoded = inner.map(|word| {
        let bytes = <base64ct::Base64 as base64ct::Encoding>::decode_vec(word).unwrap();
        String::from_utf8(bytes).unwrap()
    });
    assert_eq!(decoded.collect::<String>(), odd.0[1]);
    assert_eq!(text.lines().filter(|line| line.starts_with("To: ")).count(), 1);
}

fn note(occasion: Occasion, text: &str) -> Note {
    Note {
        at: Time(0),
        occasion,
        about: About::Name,
        text: text.into(),
        record: "home".into(),
        camera: "front".into(),
        address: "203.0.113.7".into(),
    }
}

/// `option details '0'`: whatever happened, neither a name nor an address is in any field.
#[test]
fn without_details_there_are_none() {
    let all =
        [Occasion::Changed, Occasion::Failing, Occasion::Recovered, Occasion::Exposed, Occasion::Refused];
    for about in [About::Name, About::Port, About::Agent] {
        for occasion in all {
            let note = Note { about, ..note(occasion, "cam.example.com front 203.0.113.7") };
            let said = Message::of(&plain("slack"), &[note], 0).0.join(" ");
            for word in ["cam.example.com", "front", "home", "203.0.113.7"] {
                assert!(!said.contains(word), "{said}");
            }
        }
    }
    let open = section("slack", "option url 'https://x.example/y'\noption details '1'\noption title 'Attic'");
    let message = Message::of(&open, &[note(Occasion::Changed, "x is y"), note(Occasion::Failing, "z")], 3);
    let fields =
        ["changed,failing", "Attic: 2 events", "x is y\nz\n3 more left out; see `porchlight status`"];
    assert_eq!(message.0[..3], fields);
    assert_eq!(message.0[3..], ["home", "front", "203.0.113.7"]);
}

#[test]
fn a_message_has_caps() {
    let open = section("slack", "option url 'https://x.example/y'\noption details '1'\noption title '门口的摄像头门口的摄像头门口的摄像头门口的摄像头门口的摄像头'");
    let notes: Vec<Note> =
        (0..100).map(|n| note(Occasion::Failing, &format!("{n} {}", "é".repeat(80)))).collect();
    let Message([_, title, text, ..]) = Message::of(&open, &notes, 0);
    assert_eq!(title.chars().count(), 32);
    let (text, more) = text.rsplit_once('\n').unwrap();
    assert_eq!((text.chars().count(), more), (1000, "80 more left out; see `porchlight status`"));
    let few = Message::of(&open, &notes[..22], 1);
    assert!(few.0[2].ends_with("3 more left out; see `porchlight status`"), "{}", few.0[2]);
}

/// No answer makes a failure speak a secret, once it went through the redactor as all that leaves does.
#[test]
fn answers_that_repeat_the_address_are_masked() {
    for (kind, lines, secrets) in [
        ("ntfy", "option url 'https://ntfy.sh/mycams'", &["mycams"][..]),
        ("slack", "option url 'https://hooks.slack.com/services/T0/B0/abcd'", &["services/T0/B0/abcd"]),
        ("dingtalk", "option url 'https://d.example/robot/send?access_token=0a1b2c3d4e'", &["0a1b2c3d4e"]),
        (
            "webhook",
            "option url 'https://h.example/x'\nlist header 'X-Key: hunter2hunter'",
            &["hunter2hunter"],
        ),
    ] {
        let text = format!("config wan w\noption device auto\nconfig notify\noption kind '{kind}'\n{lines}");
        let loaded = load(&text, "f", PROVIDERS, &Nothing);
        let redactor = Redactor::new(&loaded.secrets);
        for secret in secrets {
            let said = redactor.redact(&format!("no such thing: {secret} is gone"));
            assert!(!said.contains(secret), "{kind}: {said}");
        }
    }
}

#[test]
fn the_table_is_whole() {
    for channel in CHANNELS {
        assert_eq!(CHANNELS.iter().filter(|other| other.kind == channel.kind).count(), 1);
        assert!(channel.page.starts_with("https://"), "{}", channel.kind);
        if let Way::Post(Service { body, sign, .. }) = &channel.way {
            assert!(
                sign.is_none() || body.starts_with('{'),
                "{}: a signature goes behind the brace",
                channel.kind
            );
        }
        plain(channel.kind);
    }
    assert_eq!(FIELDS.map(|name| message().get(name).is_some()), [true; 6]);
    let _: Result<(), Failure> = verdict(&plain("script"), &reply(200, &[], ""), NOW);
}

proptest! {
    /// Whatever is told, JSON stays JSON, says what was told, and an address stays one.
    #[test]
    fn any_text_is_encoded(text in "\\PC{0,40}", title in ".{0,20}") {
        let mut message = message();
        (message.0[1], message.0[2]) = (title.clone(), text.clone());
        for channel in CHANNELS.iter().filter(|channel| matches!(channel.way, Way::Post(_))) {
            let http = request(&plain(channel.kind), &message, NOW).unwrap().unwrap();
            prop_assert!(http.url.bytes().all(|b| b.is_ascii_graphic()), "{}", http.url);
            if http.body.starts_with('{') && channel.kind != "ntfy" {
                let said = Json::parse(&http.body).unwrap().to_string();
                let mut coded = String::new();
                json::escape(&text, &mut coded);
                prop_assert!(channel.kind == "slack" || said.contains(&coded), "{said}");
            }
        }
    }

    #[test]
    fn no_answer_makes_it_panic(status in 100u16..600, body in ".{0,80}") {
        for channel in CHANNELS {
            let _ = verdict(&plain(channel.kind), &reply(status, &[], &body), NOW);
        }
    }
}
