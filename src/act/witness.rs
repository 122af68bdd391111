//! Asks witnesses which address the internet sees, by one WAN and one family only: every socket is bound to the device
//! and to the interface's address, and where that fails there is no answer rather than a wrong one.

use super::http::{Http, Origin};
use super::net::{self, within, Work};
use super::tls::Secure;
use super::{bound, command};
use crate::model::Family;
use crate::plan::witness::source::DnsRow;
use crate::plan::witness::{Testimony, Way, Witness, REST};
use crate::plan::WitnessJob;
use crate::wire::echo::{self, Shape};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::Async;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest that a web service or a program may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest wait for an answer by UDP; then the next address is asked.
const DNS_WAIT: Duration = Duration::from_secs(2);
/// How often a question is sent by UDP.
const SENDS: usize = 2;
/// The most bytes of an answer by UDP.
const UDP_CAP: usize = 1500;
/// The one status whose body counts.
const OK: u16 = 200;

/// Why there is no address, and how long the service asks to be left alone.
type Fault = (String, Option<Duration>);

/// What an answer in DNS says.
type Said = Result<IpAddr, &'static str>;

/// Asks all of a job's witnesses at once; one answer for each, in any order.
pub async fn ask(job: &WitnessJob, http: &Http) -> Vec<Testimony> {
    let told = RefCell::new(Vec::new());
    let one = |witness: &Witness| -> Work {
        let (witness, told) = (witness.clone(), &told);
        Box::pin(async move {
            let line = Line { job };
            let answer = match &witness.way {
                Way::Dns(row) => line.dns(row).await.map_err(plain),
                Way::Web(url, shape) => line.web(url, *shape, http).await,
                Way::Script(path) => line.script(path).await.map_err(plain),
            };
            told.borrow_mut().push((witness, answer));
        })
    };
    net::all(job.witnesses.iter().map(one).collect()).await;
    told.take()
}

fn plain(why: String) -> Fault {
    (why, None)
}

/// The way by which questions leave.
struct Line<'a> {
    job: &'a WitnessJob,
}

impl Line<'_> {
    /// Why nobody was asked.
    fn no_socket(&self, error: &io::Error) -> String {
        format!("not asked: no socket is to be had on {} ({error})", self.job.device)
    }

    /// One question by UDP, its servers taking turns.
    async fn dns(&self, row: &DnsRow) -> Result<IpAddr, String> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|_| "not asked: the kernel has no random numbers yet")?;
        let id = u16::from_be_bytes(id);
        let family = self.job.family;
        let message = row.whoami.query(id, family).map_err(|error| error.to_string())?;
        let servers: Vec<IpAddr> = match family {
            Family::V4 => row.v4.iter().map(|addr| IpAddr::V4(*addr)).collect(),
            Family::V6 => row.v6.iter().map(|addr| IpAddr::V6(*addr)).collect(),
        };
        let mut last = "does not answer".to_string();
        for server in servers.iter().cycle().take(SENDS) {
            let fits = |bytes: &[u8]| row.whoami.answer(bytes, id, family);
            let exchange = self.exchange(*server, &message, &fits);
            match within(Instant::now() + DNS_WAIT, exchange).await {
                Some(Ok(answer)) => return answer.map_err(str::to_string),
                Some(Err(why)) => last = why,
                None => {}
            }
        }
        Err(last)
    }

    async fn exchange(
        &self,
        server: IpAddr,
        message: &[u8],
        fits: &dyn Fn(&[u8]) -> Option<Said>,
    ) -> Result<Said, String> {
        let socket = bound::udp(&self.job.device, self.job.own).map_err(|error| self.no_socket(&error))?;
        let broke = |error: io::Error| format!("cannot be reached ({error})");
        // Connected, it hears the server's address and port only.
        socket.connect((server, super::dns::PORT)).map_err(broke)?;
        let socket = Async::new(socket).map_err(broke)?;
        socket.send(message).await.map_err(broke)?;
        let mut buffer = vec![0; UDP_CAP];
        loop {
            let count = socket.recv(&mut buffer).await.map_err(broke)?;
            if let Some(answer) = fits(buffer.get(..count).unwrap_or_default()) {
                return Ok(answer);
            }
        }
    }

    /// One GET. Names are looked up as the system does it, but only addresses of the family are called.
    async fn web(&self, url: &str, shape: Shape, http: &Http) -> Result<IpAddr, Fault> {
        let origin = Origin::of(url).map_err(|failure| plain(failure.text))?;
        let reply = match within(Instant::now() + LIMIT, self.get(url, &origin, http)).await {
            Some(reply) => reply.map_err(plain)?,
            None => return Err(plain(format!("gives no whole answer within {} s", LIMIT.as_secs()))),
        };
        match reply.code {
            OK => echo::address(&reply.body, shape, self.job.family).map_err(|why| plain(why.into())),
            403 | 429 => {
                Err((format!("refuses us (status {})", reply.code), Some(reply.retry_after.unwrap_or(REST))))
            }
            code => Err((format!("answers with status {code}"), reply.retry_after)),
        }
    }

    async fn get(&self, url: &str, origin: &Origin, http: &Http) -> Result<echo::Reply, String> {
        let roots =
            if origin.tls { Some(http.roots(&origin.shown).map_err(|failure| failure.text)?) } else { None };
        let secure = roots.map(|roots| Secure::new(roots, &origin.host)).transpose();
        let secure = secure.map_err(|error| format!("no TLS with it ({error})"))?;
        let until = Instant::now() + LIMIT;
        let addrs = net::resolve(&origin.shown, &origin.host, origin.port, until).await;
        let mut addrs = addrs.map_err(|failure| failure.text)?;
        addrs.retain(|addr| Family::of(addr.ip()) == self.job.family);
        let server = self.connect(&addrs).await?;
        if let Some(secure) = &secure {
            secure.handshake(&server).await.map_err(|fault| fault.in_short())?;
        }
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: text/plain, */*\r\nConnection: close\r\n\r\n",
            origin.authority(),
            http.user_agent()
        );
        converse(&server, secure.as_ref(), request.as_bytes()).await
    }

    /// A connection to the first address that takes it.
    async fn connect(&self, addrs: &[SocketAddr]) -> Result<Async<TcpStream>, String> {
        let mut last = format!("has no address in {}", self.job.family);
        for addr in addrs {
            match bound::tcp(&self.job.device, self.job.own, *addr).await {
                Ok(server) => return Ok(server),
                Err(error) if is_of_socket(&error) => return Err(self.no_socket(&error)),
                Err(error) => last = format!("cannot be reached ({error})"),
            }
        }
        Err(last)
    }

    /// The owner's program. It is told the WAN's section, its device and the family.
    async fn script(&self, path: &str) -> Result<IpAddr, String> {
        let family = if self.job.family == Family::V4 { "ipv4" } else { "ipv6" };
        let args = [self.job.wan.as_str(), self.job.device.as_str(), family];
        let ran = command::run(Path::new(path), "that it is in", &args, "", LIMIT).await?;
        if !ran.ok {
            return Err(format!("fails: {}", crate::secret::printable(&ran.complaint)));
        }
        if ran.out.len() > echo::BODY_CAP {
            return Err(echo::LONG.into());
        }
        echo::address(&ran.out, Shape::Anywhere, self.job.family).map_err(str::to_string)
    }
}

/// Whether it is the device or the address that is not there, and not the server.
fn is_of_socket(error: &io::Error) -> bool {
    let gone = [libc::ENODEV, libc::EADDRNOTAVAIL, libc::EPERM];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
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
    use crate::config::{Device, IpSource, Wan};
    use crate::plan::witness::source;

    #[test]
    fn without_the_device_nobody_is_asked() {
        let mut wan = Wan::plain("wan", Device::Auto, vec![Family::V4], Vec::new());
        wan.sources = vec![IpSource::Dns, IpSource::Web];
        wan.ip_urls = vec!["http://127.0.0.1:9/".into()];
        let job = WitnessJob {
            wan: "wan".into(),
            family: Family::V4,
            generation: 1,
            device: "no-such-device".into(),
            own: IpAddr::from([127, 0, 0, 1]),
            fresh: true,
            witnesses: source::all(&wan, Family::V4, 0),
        };
        let http = Http::setup(None, "test", 0);
        let said = smol::block_on(ask(&job, &http));
        assert_eq!(said.len(), 5);
        for (witness, answer) in said {
            let why = answer.unwrap_err().0;
            assert!(why.starts_with("not asked: no socket"), "{}: {why}", witness.operator);
        }
    }
}
