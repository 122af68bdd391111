//! HTTP and HTTPS for providers: one request, one answer, caps and a deadline that holds, and every failure
//! as a decision. The only file that names minreq, and with tls.rs rustls.

mod origin;

pub(super) use origin::{shown, Origin};

use super::net;
use super::thread;
use super::tls::Secure;
use super::tunnel::Tunnel;
use super::BODY_CAP;
use crate::provider::{self, Failure, Kind, Reply};
use origin::check_headers;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, RootCertStore};
use smol::future;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most bytes of an answer's headers.
const HEADERS_CAP: usize = 8 * 1024;
/// The most bytes of an answer's first line.
const STATUS_LINE_CAP: usize = 1024;
/// Stack of the thread that runs minreq. Only what is used is resident.
const STACK: usize = 128 * 1024;
/// A larger file is no file of trusted roots; the systems' have 200 to 300 KiB.
const ROOTS_CAP: u64 = 4 << 20;
/// Where the usual systems keep their trusted roots, OpenWrt (package ca-bundle) and Debian first.
const ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The environment by which a user names the roots, as for curl and wget.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
/// minreq's words where a server's first bytes are no status line; it passes them off as status 503.
const NO_STATUS_LINE: &str = "Server did not provide a status line";

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Http {
    roots: PathBuf,
    user_agent: String,
    clock_floor: u64,
}

impl Http {
    /// Settles the file of trusted roots, which is `cacert`, else what `SSL_CERT_FILE` names, else the system's.
    /// `clock_floor` is a Unix time in seconds that is surely past (the build's): a clock before it is wrong.
    ///
    /// Call it before any thread is started: it clears a time limit from outside that would change how minreq works.
    pub fn setup(cacert: Option<&Path>, user_agent: &str, clock_floor: u64) -> Http {
        let from_env = || std::env::var_os(ROOTS_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let system = || ROOTS.iter().map(Path::new).find(|path| path.exists()).or(Some(Path::new(ROOTS[0])));
        let wanted =
            cacert.map(Path::to_path_buf).or_else(from_env).or_else(|| system().map(Path::to_path_buf));
        std::env::remove_var("MINREQ_TIMEOUT");
        Http { roots: wanted.unwrap_or_default(), user_agent: user_agent.into(), clock_floor }
    }

    /// Trusts another file of roots, from the next request on.
    pub fn trust(&mut self, roots: &Path) {
        self.roots = roots.into();
    }

    /// Asks and waits for the whole answer, on the calling thread. A redirect is an answer, it is not followed;
    /// proxies that the environment names are not used.
    ///
    /// # Errors
    /// [`Kind::NotReady`] without route or resolver; [`Kind::Unreachable`] when it broke off or took longer
    /// than `timeout`; [`Kind::Unconfirmed`] when a write may have been received by then; [`Kind::Untrusted`]
    /// and [`Kind::Clock`] for certificates; [`Kind::Garbled`] for an answer that is none or too long;
    /// [`Kind::Refused`] for a URL or header that cannot be sent. The texts hold the host, never the path.
    pub fn exchange(&self, request: &provider::Http, timeout: Duration) -> Result<Reply, Failure> {
        let origin = Origin::of(&request.url)?;
        check_headers(&origin.shown, &request.headers)?;
        let roots = if origin.tls { Some(self.roots(&origin.shown)?) } else { None };
        let until = Instant::now() + timeout;
        thread::wait(async {
            let addrs = net::resolve(&origin.shown, &origin.host, origin.port, until).await?;
            let server = net::connect(&origin.shown, &addrs, until).await?;
            self.through_tunnel(request, &origin, roots, server, until).await
        })
    }

    /// The trusted roots, where the clock is good enough to judge certificates by it.
    ///
    /// # Errors
    /// [`Kind::Clock`] and [`Kind::Untrusted`].
    pub(super) fn roots(&self, who: &str) -> Result<RootCertStore, Failure> {
        self.check_clock(who)?;
        self.read_roots(who)
    }

    /// Whether the trusted roots can be read.
    ///
    /// # Errors
    /// [`Kind::Untrusted`].
    pub fn readable(&self) -> Result<(), Failure> {
        self.read_roots("TLS").map(drop)
    }

    /// Who asks.
    pub(super) fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// Runs minreq on a thread of its own, through a tunnel to the server. The thread ends with the tunnel.
    async fn through_tunnel(
        &self,
        request: &provider::Http,
        origin: &Origin,
        roots: Option<RootCertStore>,
        server: smol::Async<TcpStream>,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let who = &origin.shown;
        let local = |error: io::Error| {
            Failure::new(Kind::NotReady, format!("{who}: no tunnel on the loopback interface: {error}"))
        };
        let source = server.get_ref().local_addr().map_err(local)?;
        let secure = match roots.map(|roots| Secure::new(roots, &origin.host)).transpose() {
            Ok(secure) => secure,
            Err(error) => {
                return Err(Failure::new(Kind::Refused, format!("{who}: no TLS with it ({error})")))
            }
        };
        let tunnel = Tunnel::new(&origin.host, origin.inner_port, secure).map_err(local)?;
        let prepared = self.prepare(request, origin, &tunnel.address().map_err(local)?);
        let prepared = prepared.map_err(|fault| self.judge(fault, &tunnel, request.write, who))?;
        let has_body = request.method != "HEAD";
        let running = thread::start("http", STACK, move || fetch(prepared, has_body)).map_err(|error| {
            Failure::new(Kind::NotReady, format!("{who}: no thread for the request: {error}"))
        })?;
        let work = async {
            let client = tunnel.accept().await.map_err(Fault::Local)?;
            let pump = async {
                match tunnel.run(&client, &server).await {
                    Ok(()) => future::pending().await,
                    Err(fault) => Err(fault),
                }
            };
            match net::within(until, net::while_ours(source, pump)).await {
                Some(Some(fault)) => fault,
                Some(None) => Err(Fault::Moved),
                None => Err(Fault::Late),
            }
        };
        let result =
            async { running.result().await.unwrap_or(Err(Fault::Garbled("its headers are too long"))) };
        let answer = future::or(result, work).await;
        if tunnel.flooded() {
            return Err(self.judge(Fault::TooLong, &tunnel, request.write, who));
        }
        match answer {
            // Without a length only an orderly end says that nothing is missing.
            Ok((_, false)) if tunnel.broken() => Err(self.judge(Fault::Cut, &tunnel, request.write, who)),
            Ok((reply, _)) => Ok(reply),
            Err(fault) => Err(self.judge(fault, &tunnel, request.write, who)),
        }
    }

    /// The request in minreq's words.
    fn prepare(
        &self,
        request: &provider::Http,
        origin: &Origin,
        proxy: &str,
    ) -> Result<minreq::Request, Fault> {
        let method = match request.method {
            "GET" => minreq::Method::Get,
            "HEAD" => minreq::Method::Head,
            "POST" => minreq::Method::Post,
            "PUT" => minreq::Method::Put,
            "PATCH" => minreq::Method::Patch,
            "DELETE" => minreq::Method::Delete,
            other => minreq::Method::Custom(other.into()),
        };
        // minreq speaks plain HTTP into the tunnel; TLS begins behind it.
        let url = match request.url.strip_prefix("https://") {
            Some(rest) if origin.tls => format!("http://{rest}"),
            _ => request.url.clone(),
        };
        let mut out = minreq::Request::new(method, url)
            .with_proxy(minreq::Proxy::new(proxy)?)
            .with_follow_redirects(false)
            .with_max_headers_size(HEADERS_CAP)
            .with_max_status_line_length(STATUS_LINE_CAP);
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            out = out.with_header("User-Agent", self.user_agent.as_str());
        }
        out = out.with_headers(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        out = out.with_header("Connection", "close");
        Ok(if request.body.is_empty() { out } else { out.with_body(request.body.as_str()) })
    }

    /// Asks nobody over TLS by a clock that was never set: good certificates lie in its future, and those that it
    /// takes for valid are long past.
    fn check_clock(&self, who: &str) -> Result<(), Failure> {
        let now = UnixTime::now().as_secs();
        if now >= self.clock_floor {
            return Ok(());
        }
        let text = format!(
            "{who}: not asked, since the clock here was not set yet (it says {}), and certificates are judged by \
             it; it goes on when the clock is set (by NTP)",
            date(now)
        );
        Err(Failure::new(Kind::Clock, text).unsent())
    }

    /// Reads the trusted roots. They are read for each request, which costs a few milliseconds, and not kept, which
    /// would cost more memory than all else that the agent knows.
    fn read_roots(&self, who: &str) -> Result<RootCertStore, Failure> {
        let path = self.roots.display();
        let mend = "install the package ca-bundle (Debian: ca-certificates), or set option cacert";
        let untrusted = |text: String| Failure::new(Kind::Untrusted, format!("{who}: {text}; {mend}"));
        // The file is read without a cap, and a FIFO would be waited for for ever.
        match std::fs::metadata(&self.roots) {
            Ok(meta) if !meta.is_file() => return Err(untrusted(format!("{path} is not a plain file"))),
            Ok(meta) if meta.len() > ROOTS_CAP => {
                return Err(untrusted(format!("{path} is larger than {} MiB", ROOTS_CAP >> 20)))
            }
            _ => {}
        }
        let found = CertificateDer::pem_file_iter(&self.roots);
        let found = found.map_err(|error| {
            untrusted(format!("the trusted certificates in {path} cannot be read ({error})"))
        })?;
        let mut roots = RootCertStore::empty();
        let (good, _) = roots.add_parsable_certificates(found.flatten());
        if good == 0 {
            return Err(untrusted(format!("there is no certificate in {path}")));
        }
        Ok(roots)
    }

    /// What a fault means.
    fn judge(&self, fault: Fault, tunnel: &Tunnel, write: bool, who: &str) -> Failure {
        let failure = |kind, text: String| Failure::new(kind, format!("{who}: {text}"));
        let broke = |text: &str| match write && tunnel.sent() {
            true => failure(Kind::Unconfirmed, format!("the change was sent, but {text}")),
            false => failure(Kind::Unreachable, text.into()),
        };
        match fault {
            // minreq makes one of a connection that ends without a byte and of a line that is no status line.
            Fault::NoStatusLine if tunnel.spoke() => failure(Kind::Garbled, "the answer is not HTTP".into()),
            Fault::NoStatusLine => broke("the connection was closed without an answer"),
            Fault::Late => broke("no whole answer in time"),
            Fault::Moved => broke("this machine's address changed before the whole answer was there"),
            Fault::Cut => broke("the connection was cut before the whole answer was there"),
            Fault::TooLong => {
                failure(Kind::Garbled, format!("the answer is longer than {} KiB", BODY_CAP / 1024))
            }
            Fault::Garbled(text) => {
                failure(Kind::Garbled, format!("the answer is not HTTP as it should be: {text}"))
            }
            Fault::Local(error) => {
                failure(Kind::NotReady, format!("no tunnel on the loopback interface: {error}"))
            }
            Fault::Tls(error) => self.judge_tls(&error, tunnel.sent(), &broke, who),
            Fault::Io(error) => broke(&format!("the connection broke off ({})", error.kind())),
        }
    }

    /// What an error of TLS means: a bad certificate, a wrong clock, or no TLS at all.
    pub(super) fn judge_tls(
        &self,
        error: &rustls::Error,
        sent: bool,
        broke: &dyn Fn(&str) -> Failure,
        who: &str,
    ) -> Failure {
        let now = UnixTime::now().as_secs();
        let rustls::Error::InvalidCertificate(bad) = error else {
            return match error {
                rustls::Error::InvalidMessage(_) if !sent => {
                    Failure::new(Kind::Garbled, format!("{who}: it does not speak TLS there; check the port"))
                }
                other => broke(&format!("TLS failed ({})", in_words(other))),
            };
        };
        let clock = |text: String| {
            let mend = "set the clock, or let it be set by NTP";
            Failure::new(Kind::Clock, format!("{who}: {text}, but the clock here says {}; {mend}", date(now)))
        };
        let untrusted = |text: String| Failure::new(Kind::Untrusted, format!("{who}: {text}"));
        match bad {
            CertificateError::NotValidYetContext { not_before, .. } => {
                clock(format!("its certificate is valid from {}", date(not_before.as_secs())))
            }
            CertificateError::NotValidYet => clock("its certificate is not valid yet".into()),
            CertificateError::ExpiredContext { not_after, .. } => untrusted(format!(
                "its certificate expired on {} (the clock here says {}); its operator must renew it",
                date(not_after.as_secs()),
                date(now)
            )),
            CertificateError::Expired => untrusted("its certificate has expired; its operator must renew it".into()),
            CertificateError::UnknownIssuer => untrusted(format!(
                "nobody in {} vouches for its certificate; if it is your own, put its CA into the file of option cacert",
                self.roots.display()
            )),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                untrusted("its certificate is for another name; check the host's name".into())
            }
            other => untrusted(format!("its certificate is not good ({})", flaw(other))),
        }
    }
}

/// An error of TLS in words that do without `{:?}`, which rustls's own are made of.
fn in_words(error: &rustls::Error) -> String {
    use rustls::Error;
    match error {
        Error::AlertReceived(alert) => {
            format!("the server ended it with alert {}, see RFC 8446 section 6", u8::from(*alert))
        }
        Error::PeerIncompatible(_) => {
            "the server offers no version, cipher or way to agree keys that is spoken here".into()
        }
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidMessage(_) => "the server does not keep to the protocol".into(),
        other => other.to_string(),
    }
}

/// What is wrong with a certificate, likewise.
fn flaw(bad: &CertificateError) -> &'static str {
    use CertificateError as Bad;
    match bad {
        Bad::BadEncoding => "it is malformed",
        Bad::BadSignature => "its signature, or one of those who vouch for it, is wrong",
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "it is not for servers",
        Bad::UnhandledCriticalExtension => "it makes a condition that is not known here",
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that is not taken here, such as by SHA-1"
        }
        _ => "it breaks a rule; a CA's own certificate, for one, cannot be a server's",
    }
}

/// What went wrong on the way to an answer.
pub(super) enum Fault {
    /// The deadline passed.
    Late,
    /// This machine lost the address that it spoke from.
    Moved,
    /// The connection ended too early.
    Cut,
    /// The answer does not begin with a status line, or does not begin at all.
    NoStatusLine,
    /// More than [`BODY_CAP`].
    TooLong,
    /// Not HTTP.
    Garbled(&'static str),
    /// The loopback interface does not work.
    Local(io::Error),
    /// A TLS error.
    Tls(rustls::Error),
    /// Any other error of the connection.
    Io(io::Error),
}

impl Fault {
    /// In a few words.
    pub(super) fn in_short(&self) -> String {
        match self {
            Fault::Tls(rustls::Error::InvalidCertificate(_)) => "shows a certificate that is not good".into(),
            Fault::Tls(error) => in_words(error),
            _ => "breaks off".into(),
        }
    }
}

impl From<minreq::Error> for Fault {
    fn from(error: minreq::Error) -> Fault {
        use minreq::Error;
        match error {
            Error::IoError(error) => error.into(),
            Error::HeadersOverflow => Fault::Garbled("its headers are too long"),
            Error::StatusLineOverflow => Fault::Garbled("its first line is too long"),
            Error::MalformedContentLength => Fault::Garbled("its length makes no sense"),
            Error::MalformedChunkLength | Error::MalformedChunkEnd => {
                Fault::Garbled("its chunks make no sense")
            }
            Error::InvalidUtf8InResponse => Fault::Garbled("its headers are not text"),
            Error::BadProxy | Error::ProxyConnect => Fault::Cut,
            _ => Fault::Garbled("unreadable"),
        }
    }
}

impl From<io::Error> for Fault {
    /// Unwraps what minreq puts into an [`io::Error`].
    fn from(error: io::Error) -> Fault {
        let kind = error.kind();
        let Some(inner) = error.into_inner() else {
            return Fault::Io(kind.into());
        };
        match inner.downcast::<minreq::Error>() {
            Ok(minreq) => Fault::from(*minreq),
            Err(_) if kind == io::ErrorKind::UnexpectedEof => Fault::Cut,
            Err(_) if kind == io::ErrorKind::Other => Fault::Garbled("its chunks make no sense"),
            Err(_) => Fault::Io(kind.into()),
        }
    }
}

/// Sends the request and reads the answer. The flag says whether the answer tells its own end.
fn fetch(request: minreq::Request, has_body: bool) -> Result<(Reply, bool), Fault> {
    let mut answer = request.send_lazy()?;
    let status = answer.status_code;
    let headers = std::mem::take(&mut answer.headers);
    if status == 503 && answer.reason_phrase == NO_STATUS_LINE {
        let more = !headers.is_empty() || matches!(answer.read(&mut [0]), Ok(1));
        return Err(if more {
            Fault::Garbled("it does not begin with a status")
        } else {
            Fault::NoStatusLine
        });
    }
    if !(200..600).contains(&status) {
        return Err(Fault::Garbled("its status makes no sense"));
    }
    let find = |name: &str| headers.iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    let chunked = find("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = find("content-length").and_then(|value| value.parse::<usize>().ok()).filter(|_| !chunked);
    let mut body = Vec::new();
    if has_body && status != 204 && status != 304 {
        if length.is_some_and(|length| length > BODY_CAP) {
            return Err(Fault::TooLong);
        }
        answer.take(BODY_CAP as u64 + 1).read_to_end(&mut body)?;
        if body.len() > BODY_CAP {
            return Err(Fault::TooLong);
        }
        // minreq takes an early end for the end.
        if length.is_some_and(|length| body.len() < length) {
            return Err(Fault::Cut);
        }
    }
    let ends = length.is_some() || body.is_empty();
    Ok((Reply { status, headers, body }, ends))
}

/// A Unix time's date, `2026-01-31`.
fn date(unix: u64) -> String {
    let mut text = crate::sign::stamp(unix, true);
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_767_323_045), "2026-01-02");
        assert_eq!(date(4_107_542_399), "2100-02-28");
    }
}
