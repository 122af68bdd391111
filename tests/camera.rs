//! Cameras on the loopback interface, good ones and hostile ones, and what is made of them when they are asked whether
//! they want a password.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::camera::ask;
use porchlight::config::Probe;
use porchlight::model::{Inquiry, Protection, Scheme};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Long enough for any answer that comes at all.
const PATIENT: Duration = Duration::from_secs(30);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(300);
/// What a machine under load may add to that.
const SLACK: Duration = Duration::from_secs(2);

const OPTIONS_OK: &str =
    "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY\r\n\r\n";
const DIGEST: &str =
    "RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"1b\"\r\n\
                      WWW-Authenticate: Basic realm=\"cam\"\r\n\r\n";

/// What a camera was asked in one connection, question by question, until we closed it.
type Calls = Receiver<Vec<String>>;

/// A camera: `act` gets each connection with its number and a list for the questions.
fn camera(act: impl Fn(usize, &mut TcpStream, &mut Vec<String>) + Send + 'static) -> (SocketAddr, Calls) {
    camera_at("127.0.0.1:0", act)
}

fn camera_at(
    at: &str,
    act: impl Fn(usize, &mut TcpStream, &mut Vec<String>) + Send + 'static,
) -> (SocketAddr, Calls) {
    let listener = TcpListener::bind(at).unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, calls): (Sender<Vec<String>>, Calls) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (mut stream, mut asked) = (stream.unwrap(), Vec::new());
            stream.set_read_timeout(Some(PATIENT)).unwrap();
            act(number, &mut stream, &mut asked);
            drop(stream);
            let _ = sender.send(asked);
        }
    });
    (addr, calls)
}

/// A camera that answers by the question's first word, until we end the connection.
fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Calls) {
    camera(move |_, stream, asked| while answer_one(stream, asked, &answer) {})
}

fn answer_one(stream: &mut TcpStream, asked: &mut Vec<String>, answer: &impl Fn(&str) -> String) -> bool {
    let Some(question) = question(stream) else { return false };
    let reply = answer(question.split(' ').next().unwrap());
    asked.push(question);
    stream.write_all(reply.as_bytes()).is_ok()
}

/// The next question; `None` when we have closed the connection.
fn question(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => text.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection was left open"),
            _ => return None,
        }
    }
    Some(String::from_utf8(text).unwrap())
}

/// Waits until we have closed the connection.
fn wait_closed(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection was left open"),
            Err(_) => return,
        }
    }
}

fn put(target: SocketAddr, how: Probe, path: &str, timeout: Duration) -> Protection {
    smol::block_on(ask(&Inquiry { target, how, path: path.into() }, timeout))
}

fn by_rtsp(target: SocketAddr) -> Protection {
    put(target, Probe::Rtsp, "/live", PATIENT)
}

fn by_http(target: SocketAddr) -> Protection {
    put(target, Probe::Http, "/shot.jpg", PATIENT)
}

fn unproven(found: Protection) -> String {
    match found {
        Protection::Unproven(words) => words,
        other => panic!("{other}"),
    }
}

fn methods(calls: &Calls) -> Vec<String> {
    let first = |question: &String| question.split(' ').next().unwrap().to_string();
    calls.recv_timeout(PATIENT).unwrap().iter().map(first).collect()
}

fn digest(method: &str) -> String {
    if method == "OPTIONS" { OPTIONS_OK } else { DIGEST }.into()
}

#[test]
fn one_connection_with_two_questions_costs_a_good_camera() {
    let (target, calls) = answering(digest);
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    let asked = calls.recv_timeout(PATIENT).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let begin = |method: &str, number: u8| {
        format!("{method} rtsp://{target}/live RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: porchlight/{version}\r\n")
    };
    assert_eq!(
        asked,
        [begin("OPTIONS", 1) + "\r\n", begin("DESCRIBE", 2) + "Accept: application/sdp\r\n\r\n"]
    );
    let bytes: usize = asked.iter().map(String::len).sum();
    println!("one check by RTSP: 1 connection, 2 questions, {bytes} bytes");
    assert!(calls.try_recv().is_err(), "no second connection");
}

#[test]
fn one_connection_with_one_question_by_http() {
    let reply =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nno!";
    let (target, calls) = answering(|_| reply.into());
    assert_eq!(by_http(target), Protection::Password(Scheme::Basic));
    let asked = calls.recv_timeout(PATIENT).unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("GET /shot.jpg HTTP/1.1\r\n"), "{asked:?}");
    assert!(
        asked[0].contains(&format!("\r\nHost: {target}\r\n"))
            && asked[0].contains("\r\nConnection: close\r\n")
    );
    println!("one check by HTTP: 1 connection, 1 question, {} bytes", asked[0].len());
}

#[test]
fn an_ipv6_address_stands_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: no IPv6 on the loopback interface");
    }
    let (target, calls) =
        camera_at("[::1]:0", |_, stream, asked| while answer_one(stream, asked, &digest) {});
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    let asked = calls.recv_timeout(PATIENT).unwrap();
    assert!(asked[1].starts_with(&format!("DESCRIBE rtsp://[::1]:{}/live RTSP/1.0\r\n", target.port())));
}

#[test]
fn whoever_serves_anybody_is_open_and_what_it_serves_is_not_read() {
    let sdp = "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 999999999\r\n\r\nv=0\r\n";
    let (target, calls) = answering(move |method| if method == "OPTIONS" { OPTIONS_OK } else { sdp }.into());
    assert_eq!(by_rtsp(target), Protection::Open);
    assert_eq!(methods(&calls), ["OPTIONS", "DESCRIBE"]);
    let (target, calls) = camera(|_, stream, asked| {
        asked.extend(question(stream));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n--x\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        wait_closed(stream);
    });
    assert_eq!(by_http(target), Protection::Open);
    assert_eq!(methods(&calls), ["GET"]);
}

#[test]
fn a_camera_that_closes_after_the_first_question_is_called_once_more() {
    let refusing = |method: &str| if method == "OPTIONS" { DIGEST.into() } else { digest(method) };
    let (target, calls) = camera(move |_, stream, asked| {
        answer_one(stream, asked, &refusing);
    });
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    let second = |calls: &Calls| (methods(calls), methods(calls));
    assert_eq!(second(&calls), (vec!["OPTIONS".into()], vec!["DESCRIBE".into()]));

    let (target, calls) = camera(|number, stream, asked| {
        asked.extend(question(stream));
        if number > 0 {
            stream.write_all(DIGEST.as_bytes()).unwrap();
        }
    });
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    assert_eq!(second(&calls), (vec!["OPTIONS".into()], vec!["DESCRIBE".into()]));

    // Refuses OPTIONS and stays.
    let (target, calls) = answering(move |_| DIGEST.into());
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    assert_eq!(methods(&calls), ["OPTIONS", "DESCRIBE"]);

    // A body stands before the next answer.
    let body = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 21\r\n\r\nRTSP/1.0 200 OK\r\n\r\n..";
    let (target, calls) = answering(move |method| if method == "OPTIONS" { body } else { DIGEST }.into());
    assert_eq!(by_rtsp(target), Protection::Password(Scheme::Digest));
    assert_eq!(second(&calls), (vec!["OPTIONS".into()], vec!["DESCRIBE".into()]));
}

#[test]
fn a_second_answer_to_the_first_question_is_none_to_the_second() {
    let (target, calls) = answering(|method| match method {
        "OPTIONS" => format!("{DIGEST}{DIGEST}"),
        _ => "RTSP/1.0 200 OK\r\n\r\n".into(),
    });
    assert_eq!(by_rtsp(target), Protection::Open);
    assert_eq!((methods(&calls), methods(&calls)), (vec!["OPTIONS".into()], vec!["DESCRIBE".into()]));
}

#[test]
fn a_camera_that_only_closes_is_called_twice_and_no_more() {
    let reset = |stream: &TcpStream| SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    for with_reset in [false, true] {
        let (target, calls) = camera(move |_, stream, asked| {
            if with_reset {
                asked.extend(question(stream));
                reset(stream);
            }
        });
        assert_eq!(unproven(by_rtsp(target)), "it closes the connection without an answer");
        for _ in 0..2 {
            calls.recv_timeout(PATIENT).unwrap();
        }
        assert!(calls.try_recv().is_err(), "a third connection");
        assert_eq!(unproven(by_http(target)), "it closes the connection without an answer");
        calls.recv_timeout(PATIENT).unwrap();
        assert!(calls.try_recv().is_err(), "a second connection");
    }
}

#[test]
fn an_answer_that_breaks_off_proves_nothing() {
    for length in [1, 20, DIGEST.len() - 1] {
        let (target, _calls) = camera(move |_, stream, asked| {
            asked.extend(question(stream));
            stream.write_all(OPTIONS_OK.as_bytes()).unwrap();
            asked.extend(question(stream));
            stream.write_all(&DIGEST.as_bytes()[..length]).unwrap();
        });
        assert_eq!(unproven(by_rtsp(target)), "it breaks its answer off", "after {length} bytes");
    }
}

#[test]
fn who_is_not_there_is_told_from_who_does_not_listen() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // A listener whose queue is full is silent to the next connection.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&silent, SHORT) {
        held.push(stream);
        assert!(held.len() < 50, "the queue never fills");
    }
    for how in [Probe::Rtsp, Probe::Http, Probe::Tcp] {
        assert_eq!(put(nobody, how, "/", PATIENT), Protection::NoService);
        let start = Instant::now();
        assert_eq!(put(silent, how, "/", SHORT), Protection::Silent);
        assert!(start.elapsed() < SHORT + SLACK);
    }
    let start = Instant::now();
    assert_eq!(put(silent, Probe::Rtsp, "/", PATIENT), Protection::Silent);
    assert!(start.elapsed() < Duration::from_secs(3) + SLACK, "a silent camera is not waited for longer");
}

#[test]
fn a_port_that_answers_proves_nothing_and_is_told_nothing() {
    let (target, calls) = camera(|_, stream, asked| asked.extend(question(stream)));
    let words = unproven(put(target, Probe::Tcp, "/", PATIENT));
    assert!(
        words.starts_with("the port answers, and whether it asks for a password cannot be told"),
        "{words}"
    );
    assert_eq!(calls.recv_timeout(PATIENT).unwrap(), [""; 0]);
}

#[test]
fn a_byte_now_and_then_does_not_stretch_the_time() {
    for how in [Probe::Rtsp, Probe::Http] {
        let (target, calls) = camera(|_, stream, _| {
            for byte in b"RTSP/1.0 401 Unauthorized\r\n".iter().chain(std::iter::repeat(&b'x')) {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(SHORT / 20);
            }
        });
        let start = Instant::now();
        let words = unproven(put(target, how, "/", SHORT));
        assert!(start.elapsed() < SHORT + SLACK, "{:?}", start.elapsed());
        let late = "it did not answer within 1 s";
        assert!(words == late || how == Probe::Http && words.contains("speaks RTSP"), "{words}");
        calls.recv_timeout(PATIENT).expect("the connection was closed");
    }
}

#[test]
fn who_takes_the_question_and_says_nothing_is_late() {
    let (target, calls) = camera(|_, stream, _| wait_closed(stream));
    for how in [Probe::Rtsp, Probe::Http] {
        let start = Instant::now();
        assert_eq!(unproven(put(target, how, "/", SHORT)), "it did not answer within 1 s");
        assert!(start.elapsed() < SHORT + SLACK);
        calls.recv_timeout(PATIENT).expect("the connection was closed");
    }
}

#[test]
fn no_more_than_a_head_is_read() {
    // Nine KiB come, and the rest of ten MB only when the connection is closed: whoever waits for more is late.
    for start in ["RTSP/1.0 401 No\r\nX: ", "RTSP/1.0 ", "\r\n"] {
        let filler = if start == "\r\n" { b'\n' } else { b'x' };
        let (target, calls) = camera(move |_, stream, _| {
            stream.write_all(start.as_bytes()).unwrap();
            stream.write_all(&[filler; 9 * 1024]).unwrap();
            wait_closed(stream);
        });
        assert_eq!(unproven(by_rtsp(target)), "its answer's head is too long");
        calls.recv_timeout(PATIENT).unwrap();
    }
    let (target, calls) = camera(|_, stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 ").and_then(|()| stream.write_all(&vec![b'!'; 10 << 20]));
    });
    assert_eq!(unproven(by_http(target)), "its answer's head is too long");
    calls.recv_timeout(PATIENT).unwrap();
    let many =
        format!("HTTP/1.1 401 No\r\n{}WWW-Authenticate: Digest realm=x\r\n\r\n", "a: b\r\n".repeat(1000));
    let (target, _calls) = answering(move |_| many.clone());
    assert_eq!(unproven(by_http(target)), "its answer has too many headers");
}

#[test]
fn what_is_not_spoken_as_it_should_be_proves_nothing() {
    const NO_RTSP: &str = "its answer is no RTSP";
    for (reply, words) in [
        ("HTTP/1.0 400 Bad Request\r\n\r\n", "it speaks HTTP at that port, not RTSP (option probe 'http')"),
        ("$\0\0\u{4}abcd", "it sends a stream that was not asked for"),
        ("OPTIONS rtsp://192.168.1.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", NO_RTSP),
        ("RTSP/1.0 4O1 Unauthorized\r\n\r\n", NO_RTSP),
        ("RTSP/1.0\r\n\r\n", NO_RTSP),
        ("RTSP/9999999999999.0 99999 \r\n\r\n", NO_RTSP),
        ("SSH-2.0-dropbear_2022.83\r\n", NO_RTSP),
        ("\u{1b}]0;owned\u{7}\r\n\r\n", NO_RTSP),
    ] {
        let (target, calls) = answering(move |_| reply.into());
        assert_eq!(unproven(by_rtsp(target)), words, "{reply:?}");
        assert_eq!(methods(&calls), ["OPTIONS"], "after that nothing more is asked");
    }
    let (target, _calls) = answering(|_| "RTSP/1.0 400 Bad Request\r\n\r\n".into());
    assert_eq!(unproven(by_http(target)), "it speaks RTSP at that port, not HTTP (option probe 'rtsp')");
}

#[test]
fn nobody_follows_a_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = elsewhere.local_addr().unwrap();
    let reply = move |method: &str| match method {
        "OPTIONS" => OPTIONS_OK.into(),
        "GET" => format!("HTTP/1.1 302 Found\r\nLocation: http://{place}/\r\n\r\n"),
        _ => format!("RTSP/1.0 302 Moved\r\nLocation: rtsp://{place}/\r\n\r\n"),
    };
    let (target, _calls) = answering(reply);
    let rest = "which leads elsewhere and is not followed: set option path to the path of the stream";
    assert_eq!(unproven(by_rtsp(target)), format!("it answers 302 (Moved), {rest}"));
    assert_eq!(unproven(by_http(target)), format!("it answers 302 (Found), {rest} or the snapshot"));
    elsewhere.set_nonblocking(true).unwrap();
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn nothing_that_a_camera_says_reaches_a_terminal_as_it_is() {
    let nasty = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r\0";
    for reply in [
        format!("HTTP/1.1 503 {nasty}\r\n\r\n"),
        format!("HTTP/1.1 401 {nasty}\r\nWWW-Authenticate: Digest realm=\"{nasty}\"\r\n\r\n"),
        format!("HTTP/1.1 401 {nasty}\r\nWWW-Authenticate: {nasty}\r\n\r\n"),
        format!("HTTP/1.1 200 {nasty}\r\nContent-Type: {nasty}\r\n\r\n"),
        format!("HTTP/1.1 200 {nasty}\r\nServer: {nasty}\r\n\r\n"),
        format!("{nasty}\r\n\r\n"),
    ] {
        let (target, _calls) = answering({
            let reply = reply.clone();
            move |_| reply.clone()
        });
        let told = by_http(target).to_string();
        let harmless = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(told.chars().all(harmless) && told.chars().count() < 400, "{reply:?}: {told:?}");
    }
}
