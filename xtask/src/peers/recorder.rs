//! The recorder: plain HTTP and HTTPS under every name at once. It writes down each request with its
//! times and gives the answer that it was told to give.

use anyhow::{bail, Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest request head that is taken.
const HEAD_CAP: usize = 64 * 1024;
/// The longest request body that is taken.
const BODY_CAP: usize = 4 * 1024 * 1024;
/// How long a silent client is kept.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When the client's first byte (of TLS, or of the request) could be read.
    pub first_byte: Instant,
    /// When the whole request was there.
    pub whole: Instant,
    /// True over TLS.
    pub tls: bool,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// In sending order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As sent.
    pub body: Vec<u8>,
}

impl Seen {
    /// A header's value by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query without the question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map(|(_, query)| query).unwrap_or_default()
    }
}

/// What to answer: a status and a body.
pub type Answer = dyn Fn(&Seen) -> (u16, String) + Send + Sync;

/// A certificate authority that exists for one run, and a certificate for every name that is asked for.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    leaves: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Arc<Authority>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Porchlight test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Arc::new(Authority { issuer, leaves: Mutex::default() }))
    }

    /// Writes the authority's own certificate, to be trusted by the clients of this run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_pem(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.issuer.pem()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A certificate for a name, and its key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue(&self, name: &str) -> Result<(Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }

    fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>> {
        if let Some(leaf) = lock(&self.leaves).get(name) {
            return Ok(leaf.clone());
        }
        let (certificate, key) = self.issue(name)?;
        let chain = vec![certificate.der().clone()];
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let leaf =
            Arc::new(CertifiedKey::new(chain, rustls::crypto::ring::sign::any_supported_type(&private)?));
        lock(&self.leaves).insert(name.to_owned(), leaf.clone());
        Ok(leaf)
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.leaf(hello.server_name()?) {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                eprintln!("recorder: no certificate: {error:#}");
                None
            }
        }
    }
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
}

/// A running recorder. It ends with the process.
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Listens on ports 80 and 443 of `addr` and answers by `answer`.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub fn start(addr: IpAddr, authority: Arc<Authority>, answer: Arc<Answer>) -> Result<Recorder> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(authority);
        let shared = Arc::new(Shared::default());
        listen(SocketAddr::new(addr, 80), None, &shared, &answer)?;
        listen(SocketAddr::new(addr, 443), Some(Arc::new(config)), &shared, &answer)?;
        Ok(Recorder { shared })
    }

    /// Takes what was recorded so far.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// Waits for a request that `wanted` accepts and removes it and all before it. `None` when the time
    /// is over.
    pub fn wait(&self, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let deadline = Instant::now() + limit;
        let mut seen = lock(&self.shared.seen);
        loop {
            if let Some(place) = seen.iter().position(&wanted) {
                return seen.drain(..=place).next_back();
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            seen = self.shared.more.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn listen(
    addr: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    shared: &Arc<Shared>,
    answer: &Arc<Answer>,
) -> Result<()> {
    let listener = TcpListener::bind(addr).with_context(|| format!("cannot bind {addr}"))?;
    let (shared, answer) = (shared.clone(), answer.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tls, shared, answer) = (tls.clone(), shared.clone(), answer.clone());
            thread::spawn(move || {
                // A client that breaks off is no event of the record: it shows as a missing request.
                if let Err(error) = serve(stream, tls, &shared, &*answer) {
                    eprintln!("recorder: {error:#}");
                }
            });
        }
    });
    Ok(())
}

fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared, answer: &Answer) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    if stream.peek(&mut [0])? == 0 {
        return Ok(());
    }
    let first_byte = Instant::now();
    let mut stream = match tls {
        None => {
            let mut stream = stream;
            converse(&mut stream, first_byte, false, shared, answer)?;
            stream
        }
        Some(config) => {
            let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
            converse(&mut stream, first_byte, true, shared, answer)?;
            stream.conn.send_close_notify();
            stream.flush()?;
            stream.sock
        }
    };
    // Say that this was all, then wait for the client to hang up, so that no reset overtakes the answer.
    // One that has already done so is content.
    if stream.shutdown(Shutdown::Write).is_err() {
        return Ok(());
    }
    while stream.read(&mut [0; 512]).is_ok_and(|count| count > 0) {}
    Ok(())
}

/// One request, one answer, end: nobody here keeps connections.
fn converse(
    stream: &mut (impl Read + Write),
    first_byte: Instant,
    tls: bool,
    shared: &Shared,
    answer: &Answer,
) -> Result<()> {
    let Some((head, body)) = read_request(stream)? else { return Ok(()) };
    let seen = parse(&head, body, first_byte, tls)?;
    let (status, text) = answer(&seen);
    lock(&shared.seen).push(seen);
    shared.more.notify_all();
    let kind = if text.starts_with('{') { "application/json" } else { "text/plain" };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )?;
    stream.flush()?;
    Ok(())
}

fn read_request(stream: &mut impl Read) -> Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 8192];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD_CAP {
            bail!("a request head of more than {HEAD_CAP} bytes");
        }
        match stream.read(&mut chunk)? {
            0 if bytes.is_empty() => return Ok(None),
            0 => bail!("a request broke off"),
            count => bytes.extend(chunk.iter().take(count)),
        }
    };
    let mut body = bytes.split_off(head);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())
        .context("content-length")?;
    if length > BODY_CAP {
        bail!("a request body of {length} bytes");
    }
    while body.len() < length {
        match stream.read(&mut chunk)? {
            0 => bail!("a request body broke off"),
            count => body.extend(chunk.iter().take(count)),
        }
    }
    Ok(Some((text, body)))
}

fn parse(head: &str, body: Vec<u8>, first_byte: Instant, tls: bool) -> Result<Seen> {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { bail!("no request line") };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Seen {
        first_byte,
        whole: Instant::now(),
        tls,
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{parse, read_request};
    use std::time::Instant;

    #[test]
    fn a_request_is_read_whole_and_taken_apart() {
        let bytes = b"POST /a/b?x=1&y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        let (head, body) = read_request(&mut &bytes[..]).unwrap().unwrap();
        let seen = parse(&head, body, Instant::now(), true).unwrap();
        assert_eq!((seen.method.as_str(), seen.path(), seen.query()), ("POST", "/a/b", "x=1&y"));
        assert_eq!((seen.header("host"), seen.body.as_slice()), (Some("h"), &b"abc"[..]));
    }

    #[test]
    fn a_request_that_breaks_off_is_none() {
        let bytes = b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab";
        for length in 1..bytes.len() {
            assert!(read_request(&mut &bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(read_request(&mut &[][..]).unwrap().is_none());
    }
}
