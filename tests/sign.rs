//! Signed requests against what the vendors' own SDKs made of the same (tests/sign/generate.py recorded it), and
//! against what goes over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::act::http::Http as Client;
use porchlight::provider::Http;
use porchlight::sign::{self, Keys};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// How many requests each scheme has.
const COUNT: usize = 200;

/// One block of a file.
#[derive(Default)]
struct Case {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    given: Vec<(String, String)>,
    /// The URL as it is to be sent.
    sent: String,
    /// The headers that are to be added.
    added: Vec<(String, String)>,
}

impl Case {
    fn read(block: &str) -> Case {
        let mut case = Case::default();
        for line in block.lines() {
            let (mark, rest) = line.split_once(' ').unwrap();
            let pair = |mark| rest.split_once(mark).map(|(a, b): (&str, &str)| (a.to_owned(), b.to_owned()));
            match mark {
                ">" if case.url.is_empty() => {
                    let (name, url) = pair(" ").unwrap();
                    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
                    case.method = known.into_iter().find(|known| *known == name).unwrap();
                    case.url = url;
                }
                ">" => case.headers.push(pair(": ").unwrap()),
                "=" => case.body = unescape(rest),
                "@" => {
                    let (name, value) = pair(" ").unwrap();
                    case.given.push((name, unescape(&value)));
                }
                "<" if case.sent.is_empty() => case.sent = rest.to_owned(),
                "<" => case.added.push(pair(": ").unwrap()),
                other => panic!("{other}"),
            }
        }
        case
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// One of the few values that are fixed in the program.
    fn fixed(&self, name: &str) -> &'static str {
        let known = ["2015-01-09", "2024-09-10", "2021-03-23", "2022-09-01", "dnspod", "teo", "cn-north-1"];
        let more = ["cn-beijing", "DNS", "iam", "route53"];
        known.into_iter().chain(more).find(|known| Some(*known) == self.given(name)).unwrap()
    }

    fn keys(&self) -> Keys<'_> {
        Keys {
            id: self.given("id").unwrap(),
            secret: self.given("secret").unwrap(),
            token: self.given("token"),
        }
    }

    fn nonce(&self) -> [u8; 16] {
        let hex = self.given("nonce").unwrap();
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    fn http(&self) -> Http {
        let http = Http::new(self.method, self.url.as_str());
        Http { headers: self.headers.clone(), body: self.body.clone(), write: true, ..http }
    }
}

/// Undoes the generator's `escape`.
fn unescape(text: &str) -> String {
    let mut pieces = text.split('\\');
    let mut out = pieces.next().unwrap().to_owned();
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            out.push('\\');
            out.push_str(pieces.next().unwrap());
            continue;
        }
        let (code, rest) = piece.strip_prefix("u{").unwrap().split_once('}').unwrap();
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        out.push_str(rest);
    }
    out
}

/// Signs each request of a file; URL, headers and body must be the SDK's.
fn play(text: &str, sign: impl Fn(&Case, Http, &Keys, u64) -> Http) {
    let blocks = text.split("\n\n").filter(|block| !block.starts_with('#'));
    let cases: Vec<Case> = blocks.map(|block| Case::read(block.trim_matches('\n'))).collect();
    assert_eq!(cases.len(), COUNT);
    for (number, case) in cases.iter().enumerate() {
        let now = case.given("now").unwrap().parse().unwrap();
        let http = sign(case, case.http(), &case.keys(), now);
        let shown = format!("request {number}: {} {}", case.method, case.url);
        assert_eq!(http.url, case.sent, "{shown}");
        assert_eq!(http.headers, [case.headers.as_slice(), &case.added].concat(), "{shown}");
        assert_eq!((http.method, &http.body, http.write), (case.method, &case.body, true), "{shown}");
    }
}

#[test]
fn acs3_as_alibaba_s_sdk() {
    play(include_str!("sign/acs3.txt"), |case, http, keys, now| {
        sign::acs3(http, keys, case.fixed("version"), now, &case.nonce())
    });
}

#[test]
fn tc3_as_tencent_s_sdk() {
    play(include_str!("sign/tc3.txt"), |case, http, keys, now| {
        sign::tc3(http, keys, case.fixed("service"), case.fixed("version"), now)
    });
}

#[test]
fn huawei_as_huawei_s_sdk() {
    play(include_str!("sign/huawei.txt"), |_, http, keys, now| sign::huawei(http, keys, now));
}

#[test]
fn bce_as_baidu_s_sdk() {
    play(include_str!("sign/bce.txt"), |_, http, keys, now| sign::bce(http, keys, now));
}

#[test]
fn volc_as_volcengine_s_sdk() {
    play(include_str!("sign/volc.txt"), |case, http, keys, now| {
        sign::volc(http, keys, case.fixed("region"), case.fixed("service"), now)
    });
}

#[test]
fn sigv4_as_aws_s_sdk() {
    play(include_str!("sign/sigv4.txt"), |case, http, keys, now| {
        sign::sigv4(http, keys, case.given("region").unwrap(), case.fixed("service"), now)
    });
}

#[test]
fn rpc_sha1_as_alibaba_s_old_sdk() {
    play(include_str!("sign/rpc_sha1.txt"), |case, http, keys, now| {
        sign::rpc_sha1(http, keys, now, &case.nonce())
    });
}

#[test]
fn ovh_as_ovh_s_sdk() {
    play(include_str!("sign/ovh.txt"), |case, http, keys, now| {
        sign::ovh(http, keys.id, keys.secret, case.given("consumer").unwrap(), now)
    });
}

/// What a server gets: request line, headers with names in lower case, body.
fn received(listener: &TcpListener) -> (String, Vec<(String, String)>, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let headers = rest.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    (line.to_owned(), headers, String::from_utf8(body).unwrap())
}

// A server judges by what reaches it: the Host header above all, which is not ours to write.
#[test]
fn what_was_signed_is_what_is_sent() {
    let keys = Keys { id: "id", secret: "secret", token: None };
    let now = 1_767_323_045;
    let sigv4 = |http| sign::sigv4(http, &keys, "us-east-1", "route53", now);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || received(&listener));
    let url = format!("http://LocalHost:{port}?b=2001:db8::1&a=%c3%bc&a");
    let signed = sigv4(Http::new("POST", url).json("{\"ü\":1}".into()));
    let client = Client::setup(None, "porchlight/test", 1_700_000_000);
    client.exchange(&signed, Duration::from_secs(30)).unwrap();
    let (line, headers, body) = server.join().unwrap();
    assert_eq!(line, "POST /?a=&a=%C3%BC&b=2001%3Adb8%3A%3A1 HTTP/1.1");
    let header = |name: &str| {
        let mut found = headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        (found.next().unwrap(), found.next())
    };
    assert_eq!(header("host"), (format!("localhost:{port}").as_str(), None));
    // The same again, of nothing but what came: host and target, the type that was said, the body.
    let target = line.split(' ').nth(1).unwrap();
    let again = Http::new("POST", format!("http://{}{target}", header("host").0));
    let again = sigv4(Http { body, ..again.header("Content-Type", header("content-type").0) });
    for name in ["X-Amz-Date", "Authorization"] {
        let wanted = again.headers.iter().find(|(key, _)| key == name).unwrap();
        assert_eq!(header(&name.to_lowercase()), (wanted.1.as_str(), None));
    }
}
