//! A session as frp has it, in pieces of any size, and what is not frp.

use super::*;
use crate::sign::frp::key;
use proptest::prelude::*;

const TOKEN: &str = "12345678";
const NOW: u64 = 1_767_323_045;
/// The block that both directions begin with here: 00 01 .. 0f.
const FIRST: [u8; BLOCK] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn raw(kind: u8, body: &str) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(body.as_bytes());
    bytes
}

fn control() -> Control {
    let who = Login { token: TOKEN, user: "", run_id: "", hostname: "OpenWrt" };
    Control::new(&who, key(TOKEN), FIRST, NOW)
}

/// What a server sends from its answer to the login on.
fn session() -> Vec<u8> {
    let mut sealed = raw(b'r', "{}");
    sealed.extend(raw(b'r', "{}"));
    sealed.extend(raw(b'2', r#"{"proxy_name":"front","remote_addr":":6000"}"#));
    sealed.extend(raw(b'2', r#"{"proxy_name":"back","error":"port already used"}"#));
    sealed.extend(raw(b'4', "{}"));
    sealed.extend(raw(b'v', r#"{"anything":[1,2]}"#));
    Cfb::new(&key(TOKEN), FIRST).seal(&mut sealed);
    let mut all = raw(b'1', r#"{"version":"0.61.0","run_id":"5f1d","server_udp_port":0}"#);
    all.extend(FIRST);
    all.extend(sealed);
    all
}

fn said() -> Vec<Message> {
    let text = str::to_owned;
    vec![
        Message::Login { run_id: text("5f1d"), error: text("") },
        Message::WorkWanted,
        Message::WorkWanted,
        Message::Proxy { name: text("front"), address: text(":6000"), error: text("") },
        Message::Proxy { name: text("back"), address: text(""), error: text("port already used") },
        Message::Pong { error: text("") },
        Message::Other,
    ]
}

#[test]
fn a_login_says_who_and_proves_the_token() {
    let out = control().output();
    let body = std::str::from_utf8(&out[9..]).unwrap();
    assert_eq!((out[0], &out[1..9]), (b'o', &(body.len() as u64).to_be_bytes()[..]));
    let body = Json::parse(body).unwrap();
    assert_eq!(body.get("privilege_key").str(), Some("9cd507edf3a962521409ea95e2502209"));
    assert_eq!(body.get("timestamp").num(), Some(NOW as i64));
    assert_eq!(body.get("pool_count").num(), Some(1));
    assert_eq!(body.get("hostname").str(), Some("OpenWrt"));
    assert!(!String::from_utf8_lossy(&out).contains(TOKEN), "the token itself is never sent");
}

// By an independent client that spoke to frp's own code.
#[test]
fn what_is_sent_after_the_login() {
    let mut control = control();
    control.output();
    control.proxy("early", 1);
    assert_eq!(control.output(), b"", "nothing before the login is accepted");
    control.receive(&raw(b'1', r#"{"run_id":"5f1d"}"#)).unwrap();
    control.proxy("ssh", 6000);
    let mut wire = FIRST.to_vec();
    wire.extend(bytes(
        "5c98a24026e4cf4759346bae466dc5176ef2836f125bf10caee6c5892b99ae8c118e614eca89196c9725cf05d8b651357d2e627a\
         e8d1880d0d9b12fa0e35aae1cf5509",
    ));
    assert_eq!(control.output(), wire);
    let mut plain = Cfb::new(&key(TOKEN), FIRST);
    plain.open(&mut wire[16..]);
    assert_eq!(wire[16..], raw(b'p', r#"{"proxy_name":"ssh","proxy_type":"tcp","remote_port":6000}"#));
    control.ping(TOKEN, NOW);
    let mut ping = control.output();
    plain.open(&mut ping);
    let body = r#"{"privilege_key":"9cd507edf3a962521409ea95e2502209","timestamp":1767323045}"#;
    assert_eq!(ping, raw(b'h', body));
    control.close("ssh");
    let mut close = control.output();
    plain.open(&mut close);
    assert_eq!(close, raw(b'c', r#"{"proxy_name":"ssh"}"#));
}

#[test]
fn a_connection_for_work() {
    let first = work("5f1d", TOKEN, NOW);
    let body =
        r#"{"run_id":"5f1d","privilege_key":"9cd507edf3a962521409ea95e2502209","timestamp":1767323045}"#;
    assert_eq!(first, raw(b'w', body));
    let mut answer = raw(b's', r#"{"proxy_name":"front","src_addr":"203.0.113.9","src_port":4711}"#);
    let whole = answer.len();
    answer.extend(b"GET / HTTP/1.1");
    let start = Message::Start { name: "front".into(), error: String::new() };
    assert_eq!(read(&answer), Ok(Some((start, whole))), "the visitor's first bytes are not part of it");
    for end in 0..whole {
        assert_eq!(read(&answer[..end]), Ok(None), "cut at {end}");
    }
}

#[test]
fn a_session_in_pieces_of_any_size() {
    let all = session();
    for size in 1..=all.len() {
        let mut control = control();
        let found: Vec<Message> =
            all.chunks(size).flat_map(|piece| control.receive(piece).unwrap()).collect();
        assert_eq!(found, said(), "in pieces of {size}");
    }
    for end in 0..all.len() {
        let found = control().receive(&all[..end]).unwrap();
        assert_eq!(found, said()[..found.len()], "cut at {end}");
        assert!(found.len() < said().len());
    }
}

#[test]
fn a_login_that_is_refused_leaves_everything_in_clear() {
    let mut control = control();
    control.output();
    let found = control.receive(&raw(b'1', r#"{"error":"token in login doesn't match"}"#)).unwrap();
    let [Message::Login { error, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(error, "token in login doesn't match");
    control.ping(TOKEN, NOW);
    assert_eq!(control.output(), b"");
}

#[test]
fn what_is_not_frp_is_told_from_its_first_byte_on() {
    for foreign in
        [&b"\x00\x01\x00\x01"[..], b"\x15\x03\x01\x00\x02\x02\x16", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    {
        assert!(control().receive(foreign).is_err(), "{foreign:?}");
    }
    let mut other_key = session();
    let at = other_key.len() - 60;
    other_key[at..].fill(0);
    assert!(control().receive(&other_key).is_err());
    assert_eq!(control().receive(&raw(b'r', "{}")), Err(Fault::Foreign), "before the answer to the login");
    for body in ["", "{", "nul", "{\"a\":\u{1}}"] {
        assert_eq!(read(&raw(b'4', body)), Err(Fault::Foreign), "{body}");
    }
    assert_eq!(read(&raw(b'4', "[]")), Ok(Some((Message::Pong { error: String::new() }, 11))));
}

#[test]
fn lengths_have_a_cap() {
    let head = |length: u64| [&b"4"[..], &length.to_be_bytes()].concat();
    assert_eq!(read(&head(BODY_CAP as u64)), Ok(None));
    assert_eq!(read(&head(BODY_CAP as u64 + 1)), Err(Fault::TooLong));
    assert_eq!(read(&head(i64::MAX as u64)), Err(Fault::TooLong));
    assert_eq!(read(&head(u64::MAX)), Err(Fault::TooLong), "below zero");
}

proptest! {
    #[test]
    fn one_byte_changed_is_an_error_or_another_text(at in 0usize..400, byte: u8, size in 1usize..50) {
        let mut all = session();
        let at = at % all.len();
        all[at] = byte;
        let mut control = control();
        for piece in all.chunks(size) {
            if control.receive(piece).is_err() {
                break;
            }
        }
        prop_assert!(control.inbox.len() <= HEAD + BODY_CAP + size);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = control().receive(&bytes);
    }
}
