//! Simulated cameras: one greets each caller with its name and then echoes; one speaks RTSP (RFC 2326), as far as
//! to say who it is and to ask for a password.

use super::ns::Ns;
use anyhow::{Context, Result};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A connection that is silent for so long is dropped.
const IDLE: Duration = Duration::from_secs(60);
/// Lines of one RTSP request that are read.
const MAX_LINES: usize = 64;

/// A running camera. Dropped, it takes no more calls.
pub struct Camera {
    listener: TcpListener,
    ended: Arc<AtomicBool>,
}

impl Camera {
    /// Listens on `port` of every address, now and later, of both families in the namespace.
    pub fn start(place: &Ns, port: u16, name: &str) -> Result<Camera> {
        let greeting = format!("{name}\n");
        Camera::serve(place, port, move |call| greet(call, &greeting))
    }

    /// The same for one that does with each call what it is told here.
    fn serve(
        place: &Ns,
        port: u16,
        work: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
    ) -> Result<Camera> {
        let listener = place.enter(|| {
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("listen on port {port}"))
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let (calls, over) = (listener.try_clone()?, ended.clone());
        thread::spawn(move || {
            for call in calls.incoming().map_while(Result::ok) {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let work = work.clone();
                thread::spawn(move || call.set_read_timeout(Some(IDLE)).and_then(|()| work(call)));
            }
        });
        Ok(Camera { listener, ended })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that waits for calls: accept fails on a listener that was shut down.
        let _ = nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&self.listener),
            nix::sys::socket::Shutdown::Both,
        );
    }
}

fn greet(mut call: TcpStream, greeting: &str) -> io::Result<()> {
    call.write_all(greeting.as_bytes())?;
    let mut back = call.try_clone()?;
    io::copy(&mut call, &mut back)?;
    call.shutdown(Shutdown::Both)
}

/// A running camera that speaks RTSP. It has no picture, so it knows no password by which to get one: see
/// [`super::stream`] for those that do.
pub struct RtspCamera {
    _camera: Camera,
    asks: Arc<AtomicBool>,
}

impl RtspCamera {
    /// Listens like [`Camera::start`], says in each answer that it is the server `name`, and asks for a password.
    pub fn start(place: &Ns, port: u16, name: &str) -> Result<RtspCamera> {
        let asks = Arc::new(AtomicBool::new(true));
        let (locked, name) = (asks.clone(), name.to_owned());
        let camera = Camera::serve(place, port, move |call| answer(&call, &name, &locked))?;
        Ok(RtspCamera { _camera: camera, asks })
    }

    /// Whether it asks for a password from now on, also on connections that are there.
    pub fn set_password(&self, asks: bool) {
        self.asks.store(asks, Ordering::Release);
    }
}

/// Answers request after request.
fn answer(mut call: &TcpStream, name: &str, asks: &AtomicBool) -> io::Result<()> {
    let mut lines = BufReader::new(call.try_clone()?).lines();
    loop {
        let head: Vec<String> = lines
            .by_ref()
            .take(MAX_LINES)
            .take_while(|line| !line.as_ref().is_ok_and(String::is_empty))
            .collect::<io::Result<_>>()?;
        let Some(method) = head.first().and_then(|line| line.split(' ').next()) else { return Ok(()) };
        let sequence = head.iter().find(|line| line.starts_with("CSeq:")).map_or("CSeq: 0", String::as_str);
        let (status, header, body) = match method {
            "OPTIONS" => ("200 OK", "Public: OPTIONS, DESCRIBE", ""),
            "DESCRIBE" if asks.load(Ordering::Acquire) => ("401 Unauthorized", CHALLENGE, ""),
            "DESCRIBE" => ("200 OK", "Content-Type: application/sdp", SESSION),
            _ => ("501 Not Implemented", "Public: OPTIONS, DESCRIBE", ""),
        };
        let length = body.len();
        let head = format!("RTSP/1.0 {status}\r\n{sequence}\r\nServer: {name}\r\n{header}\r\n");
        call.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    }
}

/// What whoever brings no password is told (RFC 2069).
const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"front\", nonce=\"8b84a3b789283a8bea8da7fa7d41f08b\"";
/// What everybody is told where there is no password (RFC 4566).
const SESSION: &str =
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=front\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:stream=0\r\n";
