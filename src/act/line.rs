//! One GET that leaves by one device and from one address of it, so by one WAN and one family; where that cannot be had
//! there is no answer rather than one that came by another way. Redirects are answers, never followed.

use super::bound;
use super::http::{Http, Origin};
use super::net::{self, within};
use super::tls::Secure;
use crate::model::Family;
use crate::provider::Failure;
use crate::wire::echo;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest that a service may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// The one status whose body counts.
pub(super) const OK: u16 = 200;

/// The way by which a question leaves.
pub(super) struct Line<'a> {
    /// The device.
    pub(super) device: &'a str,
    /// The address of it; its family is the one in which the service is called.
    pub(super) own: IpAddr,
}

impl Line<'_> {
    /// The whole answer, of at most [`echo::CAP`]. Names are looked up as the system does it, but only addresses of the
    /// family are called.
    ///
    /// # Errors
    /// Why there is none, in plain words that do not name the service.
    pub(super) async fn get(&self, url: &str, http: &Http) -> Result<echo::Reply, String> {
        let origin = Origin::of(url).map_err(Failure::words)?;
        let late = || format!("gives no whole answer within {} s", LIMIT.as_secs());
        within(Instant::now() + LIMIT, self.exchange(url, &origin, http)).await.ok_or_else(late)?
    }

    async fn exchange(&self, url: &str, origin: &Origin, http: &Http) -> Result<echo::Reply, String> {
        let roots = if origin.tls { Some(http.roots(&origin.shown).map_err(Failure::words)?) } else { None };
        let secure = roots.map(|roots| Secure::new(roots, &origin.host)).transpose();
        let secure = secure.map_err(|error| format!("no TLS with it ({error})"))?;
        let until = Instant::now() + LIMIT;
        let addrs = net::resolve(&origin.shown, &origin.host, origin.port, until).await;
        let mut addrs = addrs.map_err(Failure::words)?;
        let family = Family::of(self.own);
        addrs.retain(|addr| Family::of(addr.ip()) == family);
        let server = self.connect(&addrs).await?;
        if let Some(secure) = &secure {
            secure.handshake(&server).await.map_err(|fault| fault.in_short())?;
        }
        let request = request(url, origin, http.user_agent());
        converse(&server, secure.as_ref(), request.as_bytes()).await
    }

    /// A connection to the first address that takes it.
    async fn connect(&self, addrs: &[SocketAddr]) -> Result<Async<TcpStream>, String> {
        let mut last = format!("has no address in {}", Family::of(self.own));
        for addr in addrs {
            match bound::tcp(self.device, self.own, *addr).await {
                Ok(server) => return Ok(server),
                Err(error) if is_of_socket(&error) => return Err(no_socket(self.device, &error)),
                Err(error) => last = format!("cannot be reached ({error})"),
            }
        }
        Err(last)
    }
}

/// Why nobody was asked.
pub(super) fn no_socket(device: &str, error: &io::Error) -> String {
    format!("not asked: no socket is to be had on {device} ({error})")
}

/// Whether it is the device or the address that is not there, and not the server.
fn is_of_socket(error: &io::Error) -> bool {
    let gone = [libc::ENODEV, libc::EADDRNOTAVAIL, libc::EPERM];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
}

/// The request. A query may follow the host at once.
fn request(url: &str, origin: &Origin, user_agent: &str) -> String {
    let path = url.get(origin.shown.len()..).unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {user_agent}\r\nAccept: text/plain, */*\r\nConnection: close\r\n\r\n",
        origin.authority()
    )
}

/// Sends the request and takes the answer to its end.
async fn converse(
    mut server: &Async<TcpStream>,
    secure: Option<&Secure>,
    request: &[u8],
) -> Result<echo::Reply, String> {
    let broke = |error: io::Error| format!("breaks off ({error})");
    match secure {
        Some(secure) => secure.send(server, request).await.map_err(|fault| fault.in_short())?,
        None => server.write_all(request).await.map_err(broke)?,
    }
    let (mut answer, mut piece) = (Vec::new(), vec![0; echo::CAP]);
    loop {
        let count = server.read(&mut piece).await.map_err(broke)?;
        let taken = piece.get(..count).unwrap_or_default();
        let (mut end, mut torn) = (count == 0, false);
        match secure {
            Some(secure) => {
                let opened = secure.open(server, taken).await.map_err(|fault| fault.in_short())?;
                answer.extend(opened.plain);
                (end, torn) = (end || opened.end, opened.torn);
            }
            None => answer.extend(taken),
        }
        if answer.len() > echo::CAP {
            return Err(echo::LONG.into());
        }
        if end {
            return echo::reply(&answer, torn).map_err(str::to_string);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_url_is_asked_for_wherever_its_path_begins() {
        for (url, asked) in [
            ("https://a.example", "GET / "),
            ("https://a.example/", "GET / "),
            ("https://a.example:8443/8554?host=1.2.3.4", "GET /8554?host=1.2.3.4 "),
            ("https://a.example?port=8554&back=/x/y", "GET /?port=8554&back=/x/y "),
        ] {
            let origin = Origin::of(url).unwrap();
            let request = request(url, &origin, "porchlight");
            assert!(request.starts_with(asked), "{url}: {request}");
            assert!(request.contains(&format!("\r\nHost: {}\r\n", origin.authority())), "{request}");
        }
    }
}
