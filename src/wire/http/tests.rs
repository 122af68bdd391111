//! What cameras answer, whole, cut off anywhere, and malformed.

use super::Protocol::{Http, Rtsp};
use super::*;
use proptest::prelude::*;
use Scheme::{Basic, Digest};

/// Replies to whoever brings no password, as cameras and servers send them: from logs in public bug reports (with
/// other nonces), those of GStreamer, live555 and uhttpd from their sources.
const REPLIES: &[(&str, Protocol, u16, &str, Option<Scheme>)] = &[
    (
        // Hikvision; to OPTIONS as well.
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"IP Camera(C1214)\", \
         nonce=\"a0f8116631ca25c2\", stale=\"FALSE\"\r\nWWW-Authenticate: Basic realm=\"IP Camera(C1214)\"\r\n\
         Date:  Mon, Dec 27 2021 08:38:32 GMT\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // TP-Link Tapo: Basic first.
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nDate: Thu, Nov 24 2022 23:50:14 GMT\r\n\
         WWW-Authenticate: Basic realm=\"TP-Link IP-Camera\"\r\n\
         WWW-Authenticate: Digest realm=\"TP-Link IP-Camera\", nonce=\"ef44ef86a4b6c6c4\"\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // HiSilicon's reference firmware: no blank behind the colon, two behind the scheme.
        "RTSP/1.0 401 Unauthorized\r\nServer: HiIpcam/V100R003 VodServer/1.0.0\r\nCseq: 2 \r\n\
         WWW-Authenticate:Digest  realm=\"HipcamRealServer\", nonce=\"3b27a446bfa49b0c\"\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // go2rtc: no CSeq, Basic alone.
        "RTSP/1.0 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"go2rtc\"\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Basic),
    ),
    (
        // Dahua: a session for whoever is not let in.
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nSession: 2312949884\r\nWWW-Authenticate: Digest \
         realm=\"Login to 6B0B0F\", nonce=\"7d5f319b155537\"\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // gst-rtsp-server.
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"GStreamer RTSP Server\", \
         nonce=\"5bcc87d2\"\r\nServer: GStreamer RTSP server\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n",
        Rtsp,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // live555 (Wyze, Reolink): the stream is not known.
        "RTSP/1.0 404 Stream Not Found\r\nCSeq: 2\r\nDate: Thu, Jun 06 2019 15:49:47 GMT\r\n\r\n",
        Rtsp,
        404,
        "Stream Not Found",
        None,
    ),
    (
        "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n\
         Content-Base: rtsp://192.168.1.4/h264/ch1/\r\nContent-Length: 651\r\n\r\n",
        Rtsp,
        200,
        "OK",
        None,
    ),
    (
        // Axis, by HTTP: both in two headers, in HTTP's newer form.
        "HTTP/1.1 401 Unauthorized\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nServer: Apache\r\n\
         WWW-Authenticate: Digest realm=\"AXIS_ACCC8E000000\", nonce=\"Vl7XcgBUBQA=af\", algorithm=MD5, \
         qop=\"auth\"\r\nWWW-Authenticate: Basic realm=\"AXIS_ACCC8E000000\"\r\nContent-Length: 381\r\n\
         Connection: close\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n",
        Http,
        401,
        "Unauthorized",
        Some(Digest),
    ),
    (
        // Old firmware: HTTP/1.0, no reason, line feeds alone.
        "HTTP/1.0 401\nServer: thttpd/2.25b\nWWW-Authenticate: Basic realm=\"Internet Camera\"\n\n",
        Http,
        401,
        "",
        Some(Basic),
    ),
];

fn whole(bytes: &[u8], expected: Protocol) -> Head {
    read(bytes, expected).unwrap().unwrap().0
}

#[test]
fn what_cameras_answer() {
    for (text, protocol, code, reason, scheme) in REPLIES {
        let (head, used) = read(text.as_bytes(), *protocol).unwrap().unwrap();
        assert_eq!((head.code, head.reason.as_str(), head.scheme()), (*code, *reason, *scheme), "{text}");
        assert_eq!(used, text.len());
    }
}

#[test]
fn cut_off_anywhere_more_is_waited_for() {
    for (text, protocol, ..) in REPLIES {
        for length in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..length], *protocol), Ok(None), "{length} bytes of {text}");
        }
    }
}

#[test]
fn what_follows_is_left() {
    let (text, protocol, ..) = REPLIES[0];
    let more = format!("\r\n{text}$\0\u{1b}");
    assert_eq!(read(more.as_bytes(), protocol).unwrap().unwrap().1, text.len() + 2);
}

#[test]
fn what_is_no_reply_is_told_at_once() {
    let told = |bytes: &[u8], expected| read(bytes, expected).unwrap_err();
    assert_eq!(told(b"$", Rtsp), "it sends a stream that was not asked for");
    assert_eq!(
        told(b"\x15\x03\x01\0\x02\x02\x46", Http),
        "it speaks TLS at that port, and is asked in clear text only"
    );
    assert_eq!(told(b"HTTP/", Rtsp), "it speaks HTTP at that port, not RTSP (option probe 'http')");
    assert_eq!(told(b"RTSP/", Http), "it speaks RTSP at that port, not HTTP (option probe 'rtsp')");
    assert_eq!(read(b"HTTP", Rtsp), Ok(None), "not sure yet");
    for bytes in
        [&b"SSH-2.0-dropbear\r\n"[..], b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"\0", b"220 ", b"rtsp/"]
    {
        assert_eq!(told(bytes, Rtsp), NO_RTSP, "{bytes:?}");
        assert_eq!(told(bytes, Http), NO_HTTP, "{bytes:?}");
    }
}

#[test]
fn malformed_status_lines() {
    for line in [
        "RTSP/1.0",
        "RTSP/1.0 ",
        "RTSP/1.0 40",
        "RTSP/1.0 4010 x",
        "RTSP/1.0 -01 x",
        "RTSP/1.0 +01 x",
        "RTSP/1.0 4O1 Unauthorized",
        "RTSP/ 401 Unauthorized",
        "RTSP/1 401 Unauthorized",
        "RTSP/x.y 401 Unauthorized",
        "RTSP/1.0\t401 Unauthorized",
        "RTSP/1.0  401 Unauthorized",
        "RTSP/1.0 401Unauthorized",
        "RTSP/.0 401 x",
    ] {
        let text = format!("{line}\r\nWWW-Authenticate: Digest realm=\"x\"\r\n\r\n");
        assert_eq!(read(text.as_bytes(), Rtsp), Err(NO_RTSP), "{line}");
    }
}

#[test]
fn headers_are_taken_as_they_are_meant() {
    let head = whole(
        b"\r\n\r\nHTTP/1.1 401 Nope\r\nno colon\r\nwww-AUTHENTICATE :Basic realm=\"a\"\r\nX-Long: a\r\n\tb\r\n  c\r\n\
          WWW-Authenticate: Bearer,\r\n digest realm=x\r\nX-Latin: caf\xe9\r\n\r\n",
        Http,
    );
    assert_eq!(head.values("x-long").collect::<Vec<_>>(), ["a b c"]);
    assert_eq!(head.values("x-latin").collect::<Vec<_>>(), ["caf\u{fffd}"]);
    assert_eq!(head.scheme(), Some(Digest));
}

#[test]
fn too_long_and_too_many() {
    let flood = vec![b'x'; 10 << 20];
    let mut bytes = b"RTSP/1.0 200 OK\r\nX: ".to_vec();
    bytes.extend(&flood);
    assert_eq!(read(&bytes[..CAP - 1], Rtsp), Ok(None));
    assert_eq!(read(&bytes[..CAP], Rtsp), Err(TOO_LONG));
    assert_eq!(read(&bytes, Rtsp), Err(TOO_LONG));
    assert_eq!(read(&flood, Rtsp), Err(NO_RTSP));
    assert_eq!(read(&vec![b'\n'; CAP], Rtsp), Err(TOO_LONG));
    let fits = |fill: usize| format!("RTSP/1.0 200 OK\r\nX: {}\r\n\r\n", "y".repeat(fill));
    let full = CAP - fits(0).len();
    assert!(read(fits(full).as_bytes(), Rtsp).unwrap().is_some());
    assert_eq!(read(fits(full + 1).as_bytes(), Rtsp), Err(TOO_LONG));
    let many = |count: usize| format!("RTSP/1.0 401 No\r\n{}\r\n", "a:b\r\n".repeat(count));
    assert_eq!(whole(many(MAX_HEADERS).as_bytes(), Rtsp).values("A").count(), MAX_HEADERS);
    assert_eq!(read(many(MAX_HEADERS + 1).as_bytes(), Rtsp), Err(TOO_MANY));
    assert_eq!(read(many(1000).as_bytes(), Rtsp), Err(TOO_MANY));
}

#[test]
fn schemes_of_a_header() {
    for (value, digest, basic) in [
        ("Basic realm=\"a\", Digest realm=\"b\", nonce=\"c, d\"", true, true),
        ("DIGEST realm=a", true, false),
        ("digest", true, false),
        ("Basic", false, true),
        ("Basic realm=\"x, Digest y\"", false, true),
        ("Basic realm=\"x\\\", Digest y\"", false, true),
        ("Basic realm=\"x\\\\\", Digest realm=y", true, true),
        ("Negotiate abc==, Basic realm=\"x\"", false, true),
        ("Bearer realm=\"x\", basic=\"y\", digest = \"z\"", false, false),
        ("Digestive realm=\"x\"", false, false),
        ("X-Digest realm=\"x\"", false, false),
        ("Basic\trealm=x,,", false, true),
        ("", false, false),
    ] {
        assert_eq!((offers(value, "digest"), offers(value, "basic")), (digest, basic), "{value}");
    }
}

#[test]
fn a_question_as_it_goes_out() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        get("[fd00::20]:80".parse().unwrap(), "/a b?c=d"),
        format!(
            "GET /a%20b?c=d HTTP/1.1\r\nHost: [fd00::20]:80\r\nUser-Agent: porchlight/{version}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        )
    );
}

/// Texts that look like heads, more often than not.
fn shaped() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 9] = [
        b"RTSP/1.0 401 No\r\n",
        b"HTTP/1.1 200 OK\n",
        b"WWW-Authenticate: Digest realm=\"a\\\"b\"\r\n",
        b" folded, Basic",
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b"\"\\,=",
        b"\xff\x1b[31m",
    ];
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for protocol in Protocol::BOTH {
            let _ = read(&bytes, protocol);
        }
    }

    #[test]
    fn byte_by_byte_is_as_at_once(bytes in shaped(), rtsp in any::<bool>()) {
        let protocol = if rtsp { Rtsp } else { Http };
        let first = (0..=bytes.len()).map(|length| read(&bytes[..length], protocol)).find(|read| *read != Ok(None));
        match (read(&bytes, protocol), first) {
            (Ok(None), first) => prop_assert_eq!(first, None),
            (whole, first) => prop_assert_eq!(Some(whole), first),
        }
    }
}
