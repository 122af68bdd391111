//! What cameras answer, and what it says of a password.

use super::*;
use crate::model::Scheme::{Basic, Digest};
use crate::wire::http::{read, Protocol};
use Protection::{Open, Password, Unproven};

fn by_rtsp(text: &str) -> Protection {
    rtsp(&read(format!("RTSP/1.0 {text}\r\n\r\n").as_bytes(), Protocol::Rtsp).unwrap().unwrap().0)
}

fn by_http(text: &str) -> Protection {
    http(&read(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes(), Protocol::Http).unwrap().unwrap().0)
}

fn words(found: Protection) -> String {
    match found {
        Unproven(words) => words,
        other => panic!("{other}"),
    }
}

#[test]
fn only_a_refusal_with_a_way_to_log_in_is_a_password() {
    for judge in [by_rtsp, by_http] {
        assert_eq!(
            judge("401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\""),
            Password(Digest)
        );
        assert_eq!(judge("401\r\nWWW-Authenticate: Basic realm=\"a\", Digest realm=\"b\""), Password(Digest));
        assert_eq!(judge("401\r\nWWW-Authenticate: Basic realm=\"a\""), Password(Basic));
        let none = "it answers 401 (No), but offers neither Digest nor Basic to log in by";
        assert_eq!(words(judge("401 No")), none);
        assert_eq!(words(judge("401 No\r\nWWW-Authenticate: Bearer realm=\"Digest x\"")), none);
        let challenge = "\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"";
        for code in
            ["100", "302", "400", "402", "403", "404", "407", "453", "454", "461", "500", "501", "503"]
        {
            assert!(matches!(judge(&format!("{code} Digest{challenge}")), Unproven(_)), "{code}");
        }
    }
    assert_eq!(by_rtsp("200 OK\r\nWWW-Authenticate: Digest realm=\"a\""), Open, "it served somebody");
}

#[test]
fn whoever_gets_a_description_may_play_it() {
    assert_eq!(by_rtsp("200 OK\r\nContent-Type: application/sdp"), Open);
    assert_eq!(by_rtsp("250 Low on Storage Space"), Open);
}

#[test]
fn what_anybody_gets_by_http() {
    for kind in [
        "image/jpeg",
        "IMAGE/PNG",
        "video/mp4; codecs=\"avc1\"",
        "audio/basic",
        "application/octet-stream",
        "multipart/x-mixed-replace;boundary=frame",
        "application/vnd.apple.mpegurl",
        "application/x-mpegURL",
        "audio/mpegurl",
        "application/dash+xml",
        " application/x-rtsp-tunnelled",
    ] {
        assert_eq!(by_http(&format!("200 OK\r\nContent-Type:{kind}")), Open, "{kind}");
        assert_eq!(by_http(&format!("206 Partial\r\ncontent-type: {kind}")), Open, "{kind}");
    }
    let rest =
        ", and whether a password is asked for within cannot be told: set option path to the path of the \
                stream or the snapshot";
    for (head, what) in [
        ("200 OK\r\nContent-Type: text/html; charset=utf-8", "it shows a web page to anyone"),
        ("200 OK\r\nContent-Type: application/json", "it sends application/json to anyone"),
        ("200 OK\r\nContent-Type: a\u{1b}]0;b\u{7}", "it sends a\\u{1b}]0 to anyone"),
        ("204 No Content", "it answers 204 (No Content) to anyone, without saying what that is"),
    ] {
        assert_eq!(words(by_http(head)), format!("{what}{rest}"));
    }
}

#[test]
fn refusals_say_what_to_do() {
    let to = "set option path to the path of the stream";
    assert_eq!(words(by_rtsp("404 Stream Not Found")), format!("it answers 404 (Stream Not Found): {to}"));
    assert_eq!(words(by_http("404 Not Found")), format!("it answers 404 (Not Found): {to} or the snapshot"));
    assert_eq!(
        words(by_http("302 Found\r\nLocation: http://127.0.0.1/login")),
        format!("it answers 302 (Found), which leads elsewhere and is not followed: {to} or the snapshot")
    );
    assert_eq!(words(by_rtsp("454 Session Not Found")), "it answers 454 (Session Not Found)");
}

#[test]
fn words_of_a_camera_are_short_and_harmless() {
    let told = words(by_rtsp(&format!("500 \u{1b}[2J\u{7}\u{202e}{}", "y".repeat(300))));
    assert_eq!(told, format!("it answers 500 (\\u{{1b}}[2J\\u{{7}}\\u{{202e}}{}...)", "y".repeat(34)));
    assert!(!by_rtsp("401 x\r\nWWW-Authenticate: Digest realm=\"\u{1b}[31m\"")
        .to_string()
        .contains('\u{1b}'));
}
