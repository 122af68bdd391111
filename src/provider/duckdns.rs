//! DuckDNS: one GET for both families and many names, the answer is one word. <https://www.duckdns.org/spec.jsp>

use super::web::{base_url, ends_account, garbled, http_failure, not_tried};
use super::{Ask, Entry, Failure, Http, Job, Kind, Outcome, ProviderOption, Update, Verdicts, Wanted};
use crate::map::Map;
use crate::model::Family;
use std::net::IpAddr;
use std::time::Duration;

/// The row of this provider.
pub const ENTRY: Entry = Entry {
    name: "duckdns",
    title: "Duck DNS",
    url: "https://www.duckdns.org/",
    options: &[
        ProviderOption::secret("token", "The account's token, shown on top of the page after logging in."),
        ProviderOption::plain("url", "Address of a private server that speaks this protocol."),
    ],
    families: &Family::BOTH,
    reads: false,
    floor: 0,
    update: Update::Own(update),
};

/// The most names in one request.
const BATCH: usize = 20;
/// Wait after 429 without a waiting time.
const WAIT: Duration = Duration::from_secs(600);
/// What all names end in.
const SUFFIX: &str = ".duckdns.org";

/// The addresses of a name: IPv4 and IPv6.
type Pair = [Option<IpAddr>; 2];

/// One request for all names with the same addresses. The answer KO does not say which name was wrong:
/// then each is asked for by itself.
fn update(job: &mut Job, ask: &mut Ask) -> Result<Verdicts, Failure> {
    let mut verdicts = Vec::with_capacity(job.records.len());
    let mut ended: Option<Failure> = None;
    for (pair, names) in groups(&job.records) {
        for chunk in names.chunks(BATCH) {
            let mut one = |names: &[&str]| match &ended {
                Some(failure) => Err(not_tried(failure)),
                None => send(job, names, pair, ask).inspect_err(|failure| {
                    // KO may mean one name only, and so ends nothing.
                    ended = (failure.kind != Kind::Credentials && ends_account(failure.kind))
                        .then(|| failure.clone());
                }),
            };
            let whole = one(chunk);
            let split =
                chunk.len() > 1 && matches!(&whole, Err(failure) if failure.kind == Kind::Credentials);
            for name in chunk {
                let verdict = if split { one(&[name]) } else { whole.clone() };
                for wanted in job.records.iter().filter(|wanted| label(&wanted.id.domain) == *name) {
                    verdicts.push((wanted.id.clone(), verdict.clone()));
                }
            }
        }
    }
    Ok(verdicts)
}

/// The names by their addresses, each name once.
fn groups(records: &[Wanted]) -> Map<Pair, Vec<&str>> {
    let mut pairs: Map<&str, Pair> = Map::new();
    for wanted in records {
        let [v4, v6] = pairs.entry(label(&wanted.id.domain)).or_default();
        *if wanted.addr.is_ipv4() { v4 } else { v6 } = Some(wanted.addr);
    }
    let mut groups: Map<Pair, Vec<&str>> = Map::new();
    for (name, pair) in pairs {
        groups.entry(pair).or_default().push(name);
    }
    groups
}

/// The name as DuckDNS wants it: the label below `duckdns.org`, which also answers for all names below it.
fn label(domain: &str) -> &str {
    match domain.strip_suffix(SUFFIX) {
        Some(name) => name.rsplit('.').next().unwrap_or(name),
        None => domain,
    }
}

/// Sends one request for some names.
fn send(job: &Job, names: &[&str], [v4, v6]: Pair, ask: &mut Ask) -> Result<Outcome, Failure> {
    let base = base_url(job, "https://www.duckdns.org")?;
    let mut http = Http::get(format!("{base}/update"))
        .query(&[("domains", &names.join(",")), ("token", job.secret("token")?)])
        .writes();
    // Without `ip` and with `ipv6` nothing is guessed from the connection.
    for (key, addr) in [("ip", v4), ("ipv6", v6)] {
        if let Some(addr) = addr {
            http = http.query(&[(key, &addr.to_string())]);
        }
    }
    let reply = ask(http.into())?;
    match reply.text().trim() {
        "OK" if reply.status == 200 => Ok(Outcome::Updated),
        "KO" => Err(Failure::new(
            Kind::Credentials,
            "KO: the name or the token is refused; check both on www.duckdns.org",
        )),
        _ => Err(http_failure(&reply, job.now, WAIT).unwrap_or_else(|| garbled(&reply))),
    }
}
