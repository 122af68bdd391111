//! The acts against real servers on the loopback interface: what an answer, or the lack of one, becomes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "act/servers.rs"]
mod servers;

use porchlight::act::dns as act_dns;
use porchlight::act::http::Http;
use porchlight::act::publish::{publish, Outside};
use porchlight::act::readback::{self, Seen, Servers};
use porchlight::act::BODY_CAP;
use porchlight::model::{Family, RecordId};
use porchlight::provider::{
    self, Ask, Entry, Failure, Job, Kind, Options, Outcome, Reply, Request, Update, Verdicts, Wanted,
};
use porchlight::wire::dns::{self as wire, Data, Message, Rr};
use servers::*;
use smol::future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, OnceLock};
use std::time::{Duration, Instant};

/// Long enough for any answer that comes at all.
const PATIENT: Duration = Duration::from_secs(30);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(900);

/// One setup for the process, as in the agent: TLS keeps its roots.
fn http() -> &'static Http {
    static HTTP: OnceLock<Http> = OnceLock::new();
    HTTP.get_or_init(|| Http::setup(Some(&trusted().file), "porchlight/test", 1_700_000_000))
}

fn request(url: String, write: bool) -> provider::Http {
    provider::Http { method: "GET", url, headers: Vec::new(), body: String::new(), write }
}

fn get(url: String) -> Result<Reply, Failure> {
    http().exchange(&request(url, false), PATIENT)
}

/// The failures of a read and of a write; neither tells a secret of the URL.
fn both(origin: &str, timeout: Duration) -> (Failure, Failure) {
    let ask = |write| {
        let url = format!("{origin}/s3cret?k=s3cret");
        let failure = http().exchange(&request(url, write), timeout).unwrap_err();
        assert!(!failure.text.contains("s3cret"), "{failure}");
        assert!(failure.text.contains(origin), "{failure}");
        failure
    };
    (ask(false), ask(true))
}

fn kinds(failures: (Failure, Failure)) -> (Kind, Kind) {
    (failures.0.kind, failures.1.kind)
}

#[test]
fn an_answer_comes_back_whole() {
    let (sender, requests) = mpsc::channel();
    let origin = plain(move |stream| {
        sender.send(read_request(stream)).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Some: Thing\r\n\r\ngood").unwrap();
    });
    let request = provider::Http {
        method: "POST",
        url: format!("{origin}/nic/update?a=b"),
        headers: vec![("Authorization".into(), "Basic eDp5".into())],
        body: "{}".into(),
        write: true,
    };
    let reply = http().exchange(&request, PATIENT).unwrap();
    assert_eq!((reply.status, reply.text().as_ref()), (200, "good"));
    assert_eq!(reply.header("x-some"), Some("Thing"));
    let host = origin.strip_prefix("http://").unwrap();
    let expected = format!(
        "POST /nic/update?a=b HTTP/1.1\r\nHost: {host}\r\nUser-Agent: porchlight/test\r\n\
         Authorization: Basic eDp5\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    assert_eq!(requests.recv().unwrap(), expected);
}

#[test]
fn a_private_ca_is_trusted_and_chunks_are_joined() {
    let origin = tls(&trusted().good, |stream| {
        read_request(stream);
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let reply = get(format!("{origin}/")).unwrap();
    assert_eq!((reply.status, reply.text().as_ref()), (200, "hello world"));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let origin = plain(|stream| {
        read_request(stream);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\ngood 192.0.2.1").unwrap();
    });
    assert_eq!(get(format!("{origin}/")).unwrap().text(), "good 192.0.2.1");
}

#[test]
fn a_redirect_is_an_answer() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = plain(move |stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        read_request(stream);
        let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let reply = get(format!("{origin}/")).unwrap();
    assert_eq!((reply.status, reply.header("location")), (302, Some("http://127.0.0.1:1/")));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn an_answer_of_ten_megabytes_is_garbled() {
    for head in ["Content-Length: 10485760\r\n", "", "Transfer-Encoding: chunked\r\n"] {
        let answer = move |stream: &mut dyn Stream| {
            read_request(stream);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes());
            let x = "x".repeat(0x4000);
            let piece = if head.contains("chunked") { format!("4000\r\n{x}\r\n") } else { x };
            for _ in 0..640 {
                if stream.write_all(piece.as_bytes()).is_err() {
                    return;
                }
            }
        };
        for origin in [plain(answer), tls(&trusted().good, answer)] {
            let failure = get(format!("{origin}/")).unwrap_err();
            assert_eq!(failure.kind, Kind::Garbled, "{head}: {failure}");
            assert!(failure.text.contains("256 KiB"), "{failure}");
        }
    }
}

#[test]
fn the_longest_allowed_answer_is_taken() {
    let origin = plain(|stream| {
        read_request(stream);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_CAP}\r\n\r\n");
        stream.write_all((head + &"x".repeat(BODY_CAP)).as_bytes()).unwrap();
    });
    assert_eq!(get(format!("{origin}/")).unwrap().body.len(), BODY_CAP);
}

#[test]
fn an_answer_in_drops_is_cut_off_at_the_deadline() {
    fn drip(stream: &mut dyn Stream, start: &str) {
        read_request(stream);
        let _ = stream.write_all(start.as_bytes());
        while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let body = |stream: &mut dyn Stream| drip(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let header = |stream: &mut dyn Stream| drip(stream, "HTTP/1.1 200 OK\r\nX: ");
    for origin in [plain(body), tls(&trusted().good, body), plain(header)] {
        let start = Instant::now();
        assert_eq!(kinds(both(&origin, SHORT)), (Kind::Unreachable, Kind::Unconfirmed), "{origin}");
        assert!(start.elapsed() >= 2 * SHORT && start.elapsed() < PATIENT);
    }
}

#[test]
fn no_answer_at_all() {
    let silent = |stream: &mut dyn Stream| {
        read_request(stream);
        let _ = stream.read(&mut [0; 1]);
    };
    for origin in [plain(silent), tls(&trusted().good, silent)] {
        assert_eq!(kinds(both(&origin, SHORT)), (Kind::Unreachable, Kind::Unconfirmed), "{origin}");
    }
}

#[test]
fn a_connection_closed_after_the_request() {
    let close = |stream: &mut dyn Stream| {
        read_request(stream);
    };
    for origin in [plain(close), tls(&trusted().good, close)] {
        assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Unreachable, Kind::Unconfirmed), "{origin}");
    }
}

#[test]
fn a_connection_closed_before_the_request() {
    // Within the TLS handshake: a write was surely not received.
    let (listener, origin) = listen("https");
    std::thread::spawn(move || listener.incoming().for_each(drop));
    assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Unreachable, Kind::Unreachable));
}

#[test]
fn a_handshake_that_hangs_is_nothing_sent() {
    let (listener, origin) = listen("https");
    let (sender, closed) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().read_to_end(&mut Vec::new());
            sender.send(()).unwrap();
        }
    });
    assert_eq!(kinds(both(&origin, SHORT)), (Kind::Unreachable, Kind::Unreachable));
    // Both connections are gone, not left behind.
    closed.recv_timeout(PATIENT).unwrap();
    closed.recv_timeout(PATIENT).unwrap();
}

/// It says farewell before it was asked, and goes on talking: what comes after a farewell must be passed over.
#[test]
fn talk_after_a_farewell_ends_the_connection() {
    let (listener, origin) = listen("https");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut session = rustls::ServerConnection::new(trusted().good.clone()).unwrap();
            while !session.wants_write() {
                session.read_tls(&mut stream).unwrap();
                session.process_new_packets().unwrap();
            }
            session.send_close_notify();
            let mut bytes = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut bytes).unwrap();
            }
            bytes.resize(bytes.len() + 16 * 1024, 0);
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let (sender, failed) = mpsc::channel();
    std::thread::spawn(move || sender.send(kinds(both(&origin, SHORT))));
    // The limit of the requests does not hold where the agent itself turns in circles.
    failed.recv_timeout(PATIENT).expect("an end");
}

/// In words that are there in the release build, too, which leaves out what is meant for developers.
#[test]
fn a_server_that_refuses_tls_is_told_by_its_alert() {
    let origin = plain(|stream| {
        // handshake_failure, fatal
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
    })
    .replace("http://", "https://");
    let (read, write) = both(&origin, PATIENT);
    assert_eq!((read.kind, write.kind), (Kind::Unreachable, Kind::Unreachable));
    assert!(read.text.contains("alert 40"), "{read}");
}

/// The change may have been made all the same.
#[test]
fn an_answer_that_is_no_tls_any_more_leaves_a_change_unconfirmed() {
    let (listener, origin) = listen("https");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(trusted().good.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            read_request(&mut stream);
            let _ = stream.sock.write_all(b"something else");
            let _ = stream.sock.read_to_end(&mut Vec::new());
        }
    });
    assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Unreachable, Kind::Unconfirmed));
}

#[test]
fn nobody_listens() {
    let (listener, origin) = listen("http");
    drop(listener);
    let failures = both(&origin, PATIENT);
    assert!(failures.0.text.contains("refused"), "{}", failures.0);
    assert_eq!(kinds(failures), (Kind::Unreachable, Kind::Unreachable));
}

#[test]
fn a_cut_body_is_not_an_answer() {
    let origin = plain(|stream| {
        read_request(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ngood 192").unwrap();
    });
    assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Unreachable, Kind::Unconfirmed));
    // Without a length, a connection that is torn down instead of closed.
    let (listener, origin) = listen("http");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\ngood 192").unwrap();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Unreachable, Kind::Unconfirmed));
}

#[test]
fn nonsense_is_garbled() {
    let answers: [&[u8]; 7] = [
        b"nonsense\r\n\r\nmore of it",
        b"HTTP/1.1 999 What\r\n\r\n",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    ];
    for answer in answers {
        let say = move |stream: &mut dyn Stream| {
            read_request(stream);
            let _ = stream.write_all(answer);
        };
        for origin in [plain(say), tls(&trusted().good, say)] {
            let kinds = kinds(both(&origin, PATIENT));
            assert_eq!(kinds, (Kind::Garbled, Kind::Garbled), "{}", String::from_utf8_lossy(answer));
        }
    }
}

#[test]
fn a_line_of_nonsense() {
    let greet = |stream: &mut dyn Stream| {
        read_request(stream);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    };
    for origin in [plain(greet), tls(&trusted().good, greet)] {
        assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Garbled, Kind::Garbled));
    }
}

#[test]
fn endless_headers_are_garbled() {
    // The last one fills minreq's cap of the headers to the byte, which undoes the cap.
    let starts = [
        format!("HTTP/1.1 200 {}", "x".repeat(2000)),
        "HTTP/1.1 200 OK\r\n".to_string(),
        format!("HTTP/1.1 200 OK\r\nX: {}\n", "x".repeat(8188)),
    ];
    for start in starts {
        let origin = plain(move |stream| {
            read_request(stream);
            let _ = stream.write_all(start.as_bytes());
            while stream.write_all(b"X-Filler: 0123456789012345678901234567890123456789\r\n").is_ok() {}
        });
        assert_eq!(kinds(both(&origin, PATIENT)), (Kind::Garbled, Kind::Garbled));
    }
}

#[test]
fn certificates_that_are_not_to_be_trusted() {
    let ca = trusted();
    let cases = [
        (&ca.expired, Kind::Untrusted, "expired on 2021-02-03"),
        (&ca.future, Kind::Clock, "valid from 2098-01-02"),
        (&ca.misnamed, Kind::Untrusted, "another name"),
        (&ca.stranger, Kind::Untrusted, "option cacert"),
        (&ca.for_clients, Kind::Untrusted, "it is not for servers"),
    ];
    for (identity, kind, words) in cases {
        let origin = tls(identity, |stream| {
            read_request(stream);
        });
        let (read, write) = both(&origin, PATIENT);
        assert_eq!((read.kind, write.kind), (kind, kind), "{read}");
        assert!(read.text.contains(words), "{read}");
    }
}

#[test]
fn by_a_clock_that_was_never_set_nobody_is_asked() {
    let early = Http::setup(Some(&trusted().file), "porchlight/test", 4_000_000_000);
    let (listener, origin) = listen("https");
    for write in [false, true] {
        let failure = early.exchange(&request(format!("{origin}/"), write), PATIENT).unwrap_err();
        assert_eq!((failure.kind, failure.sent), (Kind::Clock, false), "{failure}");
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // Without TLS nothing is judged by the clock.
    let origin = plain(|stream| {
        read_request(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    });
    assert_eq!(early.exchange(&request(format!("{origin}/"), false), PATIENT).unwrap().status, 200);
}

#[test]
fn plain_http_where_tls_is_expected() {
    let (listener, origin) = listen("https");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let failures = both(&origin, PATIENT);
    assert!(failures.0.text.contains("does not speak TLS"), "{}", failures.0);
    assert_eq!(kinds(failures), (Kind::Garbled, Kind::Garbled));
}

/// Runs one test of this file in a process of its own, with its own environment and its own roots.
/// True in that process.
fn in_a_process_of_its_own(name: &str, env: &[(&str, &str)]) -> bool {
    if std::env::var_os("ACT_CHILD").is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env("ACT_CHILD", "1").envs(env.iter().copied());
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    false
}

#[test]
fn roots_that_come_late_are_not_too_late() {
    if !in_a_process_of_its_own("roots_that_come_late_are_not_too_late", &[]) {
        return;
    }
    let ca = trusted();
    let late = ca.file.with_extension("late");
    let http = Http::setup(Some(&late), "porchlight/test", 0);
    let origin = tls(&ca.good, |stream| {
        read_request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let request = request(format!("{origin}/"), true);
    let failure = http.exchange(&request, PATIENT).unwrap_err();
    assert_eq!(failure.kind, Kind::Untrusted);
    assert!(failure.text.contains(late.to_str().unwrap()) && failure.text.contains("ca-bundle"), "{failure}");
    std::fs::write(&late, "no certificate").unwrap();
    assert_eq!(http.exchange(&request, PATIENT).unwrap_err().kind, Kind::Untrusted);
    std::fs::copy(&ca.file, &late).unwrap();
    assert_eq!(http.exchange(&request, PATIENT).unwrap().status, 200);
    std::fs::remove_file(&late).unwrap();
    assert_eq!(http.exchange(&request, PATIENT).unwrap_err().kind, Kind::Untrusted);
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxies = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let mut env = proxies.map(|name| (name, "http://127.0.0.1:1")).to_vec();
    env.extend([("MINREQ_TIMEOUT", "0"), ("SSL_CERT_DIR", "/nonexistent")]);
    if !in_a_process_of_its_own("proxies_of_the_environment_are_not_used", &env) {
        return;
    }
    let answer = |stream: &mut dyn Stream| {
        read_request(stream);
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    };
    for origin in [plain(answer), tls(&trusted().good, answer)] {
        assert_eq!(get(format!("{origin}/")).unwrap().status, 204);
    }
}

#[test]
fn hung_requests_leave_no_threads() {
    if !in_a_process_of_its_own("hung_requests_leave_no_threads", &[]) {
        return;
    }
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| ["http\n", "resolve\n", "get one\n"].contains(&name.as_str())).count()
    };
    // Connections wait in the listener's queue for a handshake that never comes.
    let (_listener, origin) = listen("https");
    let outside = outside(SHORT);
    let done = smol::block_on(async {
        let start = |_| smol::spawn(publish(&GET_ONE, job("a.example.com", &origin), outside.clone()));
        let jobs: Vec<_> = (0..3).map(start).collect();
        let mut done = Vec::new();
        for job in jobs {
            done.push(job.await);
        }
        done
    });
    for (_, result, effort) in done {
        assert_eq!(result.unwrap_err().kind, Kind::Unreachable);
        assert_eq!((effort.requests, effort.first_answer), (1, None));
    }
    let until = Instant::now() + PATIENT;
    while threads() > 0 {
        assert!(Instant::now() < until, "{} threads were left", threads());
        std::thread::yield_now();
    }
}

// Jobs.

static GET_ONE: Entry = Entry {
    name: "get one",
    title: "Test",
    url: "",
    options: &[],
    families: &Family::BOTH,
    reads: false,
    floor: 0,
    update: Update::Own(get_one),
};

static GET_ON: Entry = Entry { name: "get on", update: Update::Own(get_on), ..GET_ONE };

/// A provider that forgets all records but the first.
fn get_one(job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    let reply = ask(Request::Http(request(job.option("url").unwrap().to_string(), false)))?;
    job.memo.insert("learnt".into(), reply.text().into_owned());
    Ok(job.records.iter().take(1).map(|wanted| (wanted.id.clone(), Ok(Outcome::Updated))).collect())
}

/// A provider that never has enough.
fn get_on(job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    loop {
        match ask(Request::Http(request(job.option("url").unwrap().to_string(), false))) {
            Err(failure) if failure.text.contains("took too long") => return Err(failure),
            _ => {}
        }
    }
}

fn job(domain: &str, origin: &str) -> Job {
    let mut options = Options::default();
    options.text.insert("url".into(), format!("{origin}/s3cret"));
    let id = RecordId { record: "r".into(), domain: domain.into(), family: Family::V4 };
    let records = vec![Wanted { id, addr: "192.0.2.1".parse().unwrap() }];
    Job { zone: None, ttl: None, options, records, now: 0, nonce: [0; 16], memo: Default::default() }
}

fn outside(timeout: Duration) -> Arc<Outside> {
    let redact = Box::new(|text: &str| text.replace("s3cret", "***"));
    Arc::new(Outside { http: http().clone(), timeout, who: "record r".into(), redact })
}

#[test]
fn three_hung_providers_do_not_stall_a_fourth() {
    let (sender, asked) = smol::channel::unbounded();
    let hung = move |stream: &mut dyn Stream| {
        read_request(stream);
        sender.try_send(()).unwrap();
        let _ = stream.read(&mut [0; 1]);
    };
    let origins = [plain(hung.clone()), tls(&trusted().good, hung.clone()), plain(hung)];
    let good = tls(&trusted().good, |stream| {
        read_request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let outside = outside(PATIENT);
    let (job, result, effort) = smol::block_on(async {
        let start =
            |origin: &String| smol::spawn(publish(&GET_ONE, job("h.example.com", origin), outside.clone()));
        let hung: Vec<_> = origins.iter().map(start).collect();
        for _ in 0..3 {
            asked.recv().await.unwrap();
        }
        let done = publish(&GET_ONE, job("a.example.com", &good), outside.clone()).await;
        assert!(hung.iter().all(|task| !task.is_finished()));
        done
    });
    let verdicts = result.unwrap();
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].1, Ok(Outcome::Updated));
    assert_eq!(job.memo.get("learnt").map(String::as_str), Some("ok"));
    assert_eq!(effort.requests, 1);
    assert!(effort.first_answer.unwrap() <= effort.took);
}

#[test]
fn a_job_has_an_end_and_forgets_no_record() {
    let origin = plain(|stream| {
        read_request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let run = |entry, job, timeout| smol::block_on(publish(entry, job, outside(timeout)));
    let (_, result, effort) = run(&GET_ON, job("a.example.com", &origin), Duration::from_millis(50));
    assert_eq!(result.unwrap_err().kind, Kind::Unreachable);
    assert!(effort.requests > 0);
    let mut two = job("a.example.com", &origin);
    let mut second = two.records[0].clone();
    second.id.domain = "b.example.com".into();
    two.records.push(second);
    let verdicts = run(&GET_ONE, two, PATIENT).1.unwrap();
    assert_eq!(verdicts[0].1, Ok(Outcome::Updated));
    assert_eq!(verdicts[1].1.as_ref().unwrap_err().kind, Kind::Garbled);
}

// DNS.

/// An UPDATE's header with its zone.
fn update(id: u16) -> Vec<u8> {
    let questions =
        vec![wire::Question { name: "example.com".into(), rtype: wire::TYPE_SOA, class: wire::CLASS_IN }];
    let flags = u16::from(wire::OPCODE_UPDATE) << 11;
    Message { id, flags, questions, ..Message::default() }.to_bytes().unwrap()
}

/// The answer to a message, with these flags and this code.
fn answer_to(message: &[u8], flags: u16) -> Vec<u8> {
    let mut answer = Message::parse(message).unwrap();
    answer.flags |= wire::FLAG_QR | flags;
    answer.to_bytes().unwrap()
}

fn send(server: SocketAddr, message: Vec<u8>, write: bool, timeout: Duration) -> Result<Reply, Failure> {
    smol::block_on(act_dns::exchange(&provider::Dns { server: server.to_string(), message, write }, timeout))
}

#[test]
fn a_lost_datagram_is_sent_again_as_it_was() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut first, mut second) = ([0; 512], [0; 512]);
        let (count, _) = socket.recv_from(&mut first).unwrap();
        let (again, from) = socket.recv_from(&mut second).unwrap();
        socket.send_to(&answer_to(&second[..again], u16::from(wire::RCODE_REFUSED)), from).unwrap();
        assert_eq!(first[..count], second[..again]);
    });
    let reply = send(server, update(7), true, Duration::from_secs(5)).unwrap();
    assert_eq!(Message::parse(&reply.body).unwrap().rcode(), wire::RCODE_REFUSED);
    thread.join().unwrap();
}

#[test]
fn only_the_right_answer_counts() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut message = [0; 512];
        let (count, from) = socket.recv_from(&mut message).unwrap();
        let good = answer_to(&message[..count], u16::from(wire::RCODE_NOTAUTH));
        let forged = answer_to(&message[..count], 0);
        // Another source, another id, no response, another opcode, a stump, nothing.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&forged, from).unwrap();
        let (mut other_id, mut other_opcode) = (forged.clone(), forged.clone());
        other_id[1] ^= 1;
        other_opcode[2] ^= 0x08;
        for bad in [&other_id[..], &message[..count], &other_opcode, &forged[..11], &[]] {
            socket.send_to(bad, from).unwrap();
        }
        socket.send_to(&good, from).unwrap();
    });
    let reply = send(server, update(0x1234), true, PATIENT).unwrap();
    assert_eq!(Message::parse(&reply.body).unwrap().rcode(), wire::RCODE_NOTAUTH);
    thread.join().unwrap();
}

#[test]
fn a_cut_answer_and_a_long_message_go_by_tcp() {
    let (socket, listener, server) = udp_and_tcp();
    let (sender, messages) = mpsc::channel();
    std::thread::spawn(move || {
        let mut message = [0; 512];
        let (count, from) = socket.recv_from(&mut message).unwrap();
        socket.send_to(&answer_to(&message[..count], wire::FLAG_TC), from).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).unwrap();
            let answer = answer_to(&message, 0);
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
            sender.send(message).unwrap();
        }
    });
    let message = update(9);
    let reply = send(server, message.clone(), true, PATIENT).unwrap();
    assert_eq!(reply.body, answer_to(&message, 0));
    assert_eq!(messages.recv().unwrap(), message);
    // Nobody reads UDP any more: a long message must not need it.
    let mut long = Message::parse(&update(10)).unwrap();
    long.authority = (0..60).map(|n| a(&format!("n{n}.example.com"), "192.0.2.1")).collect();
    let long = long.to_bytes().unwrap();
    assert!(long.len() > 1200);
    send(server, long.clone(), true, PATIENT).unwrap();
    assert_eq!(messages.recv().unwrap(), long);
}

#[test]
fn a_dns_server_that_is_silent_or_not_there() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = silent.local_addr().unwrap();
    assert_eq!(send(server, update(1), true, SHORT).unwrap_err().kind, Kind::Unconfirmed);
    assert_eq!(send(server, update(1), false, SHORT).unwrap_err().kind, Kind::Unreachable);
    drop(silent);
    let failure = send(server, update(1), true, PATIENT).unwrap_err();
    assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    assert!(failure.text.contains("refused"), "{failure}");
}

// Read-back.

const DOMAIN: &str = "cam.garden.example.com";

/// An authoritative answer with these records.
fn says(message: &Message, answers: Vec<Rr>) -> Message {
    Message { flags: message.flags | wire::FLAG_QR | wire::FLAG_AA, answers, ..message.clone() }
}

/// The same with a response code.
fn says_code(message: &Message, code: u8) -> Message {
    let mut reply = says(message, Vec::new());
    reply.flags |= u16::from(code);
    reply
}

fn rr(name: &str, rtype: u16, data: Data) -> Rr {
    Rr { name: name.into(), rtype, class: wire::CLASS_IN, ttl: 60, data }
}

fn a(name: &str, addr: &str) -> Rr {
    rr(name, wire::TYPE_A, Data::A(addr.parse().unwrap()))
}

/// What a resolver says that knows example.com with two name servers.
fn resolve(message: &Message) -> Message {
    let question = &message.questions[0];
    let mut reply = Message { flags: message.flags | wire::FLAG_QR | wire::FLAG_RA, ..message.clone() };
    let ns = |name: &str| rr("example.com", wire::TYPE_NS, Data::Name(name.into()));
    match (question.name.as_str(), question.rtype) {
        ("example.com", wire::TYPE_NS) => reply.answers = vec![ns("ns1.example.net"), ns("ns2.example.net")],
        ("ns1.example.net", wire::TYPE_A) => reply.answers = vec![a("ns1.example.net", "127.0.0.2")],
        ("ns2.example.net", wire::TYPE_A) => reply.answers = vec![a("ns2.example.net", "127.0.0.3")],
        (name, _) if name.ends_with(".example.com") => {
            let soa = Data::Soa("ns1.example.net".into(), "h.example.net".into(), [1; 5]);
            reply.authority = vec![rr("example.com", wire::TYPE_SOA, soa)];
        }
        _ => {}
    }
    reply
}

/// That resolver, and the two name servers, which say this.
fn zone(
    first: impl Fn(&Message) -> Message + Send + 'static,
    second: impl Fn(&Message) -> Message + Send + 'static,
) -> Servers {
    let [resolver, one, two] = three_alike();
    let addr = resolver.local_addr().unwrap();
    answer_udp(resolver, resolve);
    answer_udp(one, first);
    answer_udp(two, second);
    Servers { resolvers: vec![addr], fixed: Vec::new(), port: addr.port() }
}

/// A name server that has this address.
fn has(addr: &'static str) -> impl Fn(&Message) -> Message + Send + Copy + 'static {
    move |message| says(message, vec![a(DOMAIN, addr)])
}

fn look(servers: &Servers) -> Result<readback::Published, Failure> {
    smol::block_on(readback::look(DOMAIN, Family::V4, servers))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn all_name_servers_are_asked_and_authority_counts() {
    let published = look(&zone(has("192.0.2.7"), has("192.0.2.7"))).unwrap();
    let names: Vec<_> = published.servers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ns1.example.net", "ns2.example.net"]);
    assert_eq!(published.agreed(), Seen::Address(vec![ip("192.0.2.7")]));
    assert!(published.is_everywhere(ip("192.0.2.7")));

    let published = look(&zone(has("192.0.2.7"), |message| says(message, Vec::new()))).unwrap();
    assert!(matches!(published.agreed(), Seen::Unknown(text) if text.contains("disagree")));
    assert_eq!(published.servers[1].1, Seen::Absent);

    // Only a question without the wish for recursion gets an answer here, and one without authority.
    let lame = |message: &Message| {
        let mut reply = says(message, vec![a(DOMAIN, "192.0.2.8")]);
        reply.flags &= !wire::FLAG_AA;
        if message.flags & wire::FLAG_RD != 0 {
            return says_code(message, wire::RCODE_REFUSED);
        }
        reply
    };
    let published = look(&zone(has("192.0.2.7"), lame)).unwrap();
    assert!(matches!(&published.servers[1].1, Seen::Unknown(text) if text.contains("authority")));
    assert_eq!(published.agreed(), Seen::Address(vec![ip("192.0.2.7")]));
}

#[test]
fn a_silent_resolver_does_not_keep_the_next_one_waiting() {
    let mut servers = zone(has("192.0.2.7"), has("192.0.2.7"));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    servers.resolvers.insert(0, silent.local_addr().unwrap());
    let start = Instant::now();
    assert_eq!(look(&servers).unwrap().agreed(), Seen::Address(vec![ip("192.0.2.7")]));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// A name server that has an alias.
fn alias(message: &Message) -> Message {
    let cname = rr(DOMAIN, wire::TYPE_CNAME, Data::Name("cam.example.com".into()));
    says(message, vec![cname, a("cam.example.com", "192.0.2.9")])
}

#[test]
fn absent_alias_and_refusal_are_told_apart() {
    let absent = |message: &Message| says_code(message, wire::RCODE_NXDOMAIN);
    assert_eq!(look(&zone(absent, absent)).unwrap().agreed(), Seen::Absent);
    assert_eq!(look(&zone(alias, alias)).unwrap().agreed(), Seen::Alias("cam.example.com".into()));
    let refuse = |message: &Message| says_code(message, wire::RCODE_REFUSED);
    let seen = look(&zone(refuse, refuse)).unwrap().agreed();
    assert!(matches!(&seen, Seen::Unknown(text) if text.contains("REFUSED")), "{seen}");
}

#[test]
fn without_a_resolver_or_a_zone() {
    let none = Servers { resolvers: Vec::new(), fixed: Vec::new(), port: 53 };
    assert_eq!(look(&none).unwrap_err().kind, Kind::NotReady);
    let servers = zone(has("192.0.2.7"), has("192.0.2.7"));
    let elsewhere = smol::block_on(readback::look("cam.example.org", Family::V4, &servers));
    assert_eq!(elsewhere.unwrap_err().kind, Kind::NoSuchName);
}

#[test]
fn a_change_is_confirmed_when_the_last_server_has_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let late = move |message: &Message| match count.fetch_add(1, Ordering::SeqCst) {
        0 => has("192.0.2.6")(message),
        _ => has("192.0.2.7")(message),
    };
    let servers = zone(has("192.0.2.7"), late);
    let confirm = readback::confirm(DOMAIN, ip("192.0.2.7"), &servers, PATIENT);
    let confirmed = smol::block_on(confirm).unwrap();
    assert_eq!((confirmed.servers, asked.load(Ordering::SeqCst)), (2, 2));
    assert!(confirmed.took >= Duration::from_secs(1));
}

#[test]
fn what_cannot_be_confirmed_says_why() {
    let confirm =
        |servers: &Servers, limit| smol::block_on(readback::confirm(DOMAIN, ip("192.0.2.7"), servers, limit));
    let mut servers = zone(has("192.0.2.7"), has("192.0.2.6"));
    let failure = confirm(&servers, Duration::from_millis(300)).unwrap_err();
    assert_eq!(failure.kind, Kind::Unconfirmed);
    assert!(failure.text.contains("ns2.example.net has 192.0.2.6"), "{failure}");
    assert!(!failure.text.contains("ns1"), "{failure}");
    // A server that the owner gave is the only one asked; the wait for an alias ends early.
    servers.fixed = vec![SocketAddr::new(ip("127.0.0.2"), servers.port)];
    assert_eq!(confirm(&servers, PATIENT).unwrap().servers, 1);
    let start = Instant::now();
    let failure = confirm(&zone(alias, alias), Duration::from_secs(300)).unwrap_err();
    assert!(failure.text.contains("alias") && start.elapsed() < PATIENT, "{failure}");
}

#[test]
fn a_confirmation_waits_and_can_be_dropped() {
    let (sender, asked) = smol::channel::unbounded();
    let absent = move |message: &Message| {
        sender.try_send(()).unwrap();
        says(message, Vec::new())
    };
    let servers = zone(absent.clone(), absent);
    let confirm = readback::confirm(DOMAIN, ip("192.0.2.7"), &servers, PATIENT);
    let asked = async {
        asked.recv().await.unwrap();
        None
    };
    let confirmed = smol::block_on(future::or(asked, async { Some(confirm.await) }));
    assert_eq!(confirmed, None);
}
