//! Asks witnesses which address the internet sees, by one WAN and one family only: every socket is bound to the device
//! and to the interface's address, and where that fails there is no answer rather than a wrong one.

use super::http::Http;
use super::line::{self, Line, LIMIT};
use super::net::{self, within, Work};
use super::{bound, command};
use crate::model::Family;
use crate::plan::witness::source::DnsRow;
use crate::plan::witness::{Testimony, Way, Witness, REST};
use crate::plan::WitnessJob;
use crate::wire::echo::{self, Shape};
use smol::Async;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest wait for an answer by UDP; then the next address is asked.
const DNS_WAIT: Duration = Duration::from_secs(2);
/// How often a question is sent by UDP.
const SENDS: usize = 2;
/// The most bytes of an answer by UDP.
const UDP_CAP: usize = 1500;

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
            let round = Round { job };
            let answer = match &witness.way {
                Way::Dns(row) => round.dns(row).await.map_err(plain),
                Way::Web(url, shape) => round.web(url, *shape, http).await,
                Way::Script(path) => round.script(path).await.map_err(plain),
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

/// The questions of a job.
struct Round<'a> {
    job: &'a WitnessJob,
}

impl Round<'_> {
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
        let socket = bound::udp(&self.job.device, self.job.own)
            .map_err(|error| line::no_socket(&self.job.device, &error))?;
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
        let line = Line { device: &self.job.device, own: self.job.own };
        let reply = line.get(url, http).await.map_err(plain)?;
        match reply.code {
            line::OK => echo::address(&reply.body, shape, self.job.family).map_err(|why| plain(why.into())),
            403 | 429 => {
                Err((format!("refuses us (status {})", reply.code), Some(reply.retry_after.unwrap_or(REST))))
            }
            code => Err((format!("answers with status {code}"), reply.retry_after)),
        }
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
            above: None,
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
