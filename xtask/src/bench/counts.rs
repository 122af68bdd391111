//! How many requests each provider makes for 1, 10 and 100 records of one zone. Counted, not measured: the provider's
//! own code is played against a stand-in in this process, which answers everything as the service's row says that it
//! does. What is proven is the number alone; the form of the requests is proven by transcripts and real servers.

pub(crate) mod mirror;

use super::cloudflare::Cloud;
use crate::peers::recorder::Seen;
use anyhow::{anyhow, bail, ensure, Context, Result};
use mirror::Mirror;
use porchlight::map::Map;
use porchlight::model::{Family, RecordId};
use porchlight::provider::{
    Entry, Failure, Http, Job, Kind, Options, Outcome, Reply, Request, Update, Wanted, CLOCK_FLOOR, PROVIDERS,
};
use porchlight::secret::Secret;
use porchlight::wire::dns;
use serde_json::{json, Value};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// How many records.
const SIZES: [usize; 3] = [1, 10, 100];
/// The zone.
const ZONE: &str = "example.com";
/// What every name has at the service.
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// What it is to have.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
/// What services of the URL table say when all is well; the first that is understood counts.
const CONTENT: [&str; 7] =
    ["good", "OK", "NOERROR", "updated", "success", "Done=true", "<ErrCount>0</ErrCount>"];

/// Requests for [`SIZES`] records.
pub struct Count {
    /// The provider's name.
    pub name: &'static str,
    /// The first time: nothing is known of the account, every address differs.
    pub first: [usize; 3],
    /// A later change of all addresses.
    pub later: [usize; 3],
    /// Of them writes.
    pub writes: [usize; 3],
    /// After a restart without memory, when nothing differs.
    pub same: [usize; 3],
}

/// Counts for all providers.
///
/// # Errors
/// When a provider does not come to terms with its stand-in; the text says which.
pub fn all() -> Result<Vec<Count>> {
    PROVIDERS.iter().map(|entry| count(entry).with_context(|| format!("provider {}", entry.name))).collect()
}

fn count(entry: &'static Entry) -> Result<Count> {
    let mut count = Count { name: entry.name, first: [0; 3], later: [0; 3], writes: [0; 3], same: [0; 3] };
    for (at, size) in SIZES.into_iter().enumerate() {
        let mut job = job(entry, size, OTHER);
        count.first[at] = play(entry, &mut job)?.0;
        (count.later[at], count.writes[at]) = play(entry, &mut job)?;
        if entry.reads {
            count.same[at] = play(entry, &mut self::job(entry, size, THERE))?.0;
        }
    }
    Ok(count)
}

/// As Markdown: a line for all that have the same figures.
pub fn markdown(counts: &[Count]) -> String {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for count in counts {
        let cell = |[one, ten, hundred]: [usize; 3]| format!("{one}, {ten}, {hundred}");
        let cells = [count.first, count.later, count.writes, count.same].map(cell).join(" | ");
        match lines.iter_mut().find(|(other, _)| *other == cells) {
            Some((_, names)) => names.push(count.name),
            None => lines.push((cells, vec![count.name])),
        }
    }
    let mut text = String::from(
        "\n| requests for 1, 10, 100 records of a zone | first time | a later change | of them writes | nothing \
         differs, after a restart |\n|---|---:|---:|---:|---:|\n",
    );
    for (cells, names) in lines {
        text += &format!("| {} | {cells} |\n", names.join(", "));
    }
    text + "\n- Counted with the provider's own code against stand-ins in the same process, IPv4 records of one zone. \
            Where nothing is read, DNS is asked in place of the service. Where a login stands for one name alone, a \
            section for each.\n"
}

/// For programs.
pub fn to_json(counts: &[Count]) -> Value {
    counts
        .iter()
        .map(|count| {
            json!({"provider": count.name, "records": SIZES, "first": count.first, "later": count.later,
                   "writes": count.writes, "same": count.same})
        })
        .collect()
}

/// A job with so many records, and every option that the provider must have.
fn job(entry: &Entry, size: usize, addr: IpAddr) -> Job {
    let mut options = Options::default();
    for option in entry.options {
        match option.name {
            "url" if option.required => drop(options.text.insert("url".into(), mirror::BASE.into())),
            "server" => drop(options.text.insert("server".into(), "ns1.example.com".into())),
            name if option.required && option.secret => {
                options.secrets.insert(name.into(), Secret::new("c2VjcmV0"));
            }
            name if option.required => drop(options.text.insert(name.into(), "x".into())),
            _ => {}
        }
    }
    for (name, value) in [("username", "x"), ("password", "x"), ("token", "x")] {
        // Some rows need what they do not say that they need.
        match entry.options.iter().find(|option| option.name == name) {
            Some(option) if option.secret => drop(options.secrets.insert(name.into(), Secret::new(value))),
            Some(_) => drop(options.text.insert(name.into(), value.into())),
            None => {}
        }
    }
    let named = matches!(entry.update, Update::Api(service) if service.zones.call.is_empty());
    let records = (0..size).map(|number| Wanted {
        id: RecordId { record: "home".into(), domain: format!("cam{number}.{ZONE}"), family: Family::V4 },
        addr,
    });
    Job {
        zone: named.then(|| ZONE.to_owned()),
        ttl: None,
        options,
        records: records.collect(),
        now: CLOCK_FLOOR + 1,
        nonce: [7; 16],
        memo: Map::default(),
    }
}

/// One job; its requests, and those of them that write. Where a login stands for one name alone, a section for each,
/// and so a job for each, is what the owner has.
fn play(entry: &'static Entry, job: &mut Job) -> Result<(usize, usize)> {
    if !matches!(entry.update, Update::Url(_)) {
        return play_with(entry, job, "OK");
    }
    let mut last = anyhow!("no stand-in");
    for content in CONTENT {
        last = match play_with(entry, job, content) {
            Ok(counted) => return Ok(counted),
            Err(error) => error,
        };
        job.zone.get_or_insert_with(|| ZONE.to_owned());
    }
    if job.records.len() == 1 {
        return Err(last);
    }
    let mut sum = (0, 0);
    for wanted in job.records.clone() {
        let (asked, writes) = play(entry, &mut Job { records: vec![wanted], ..job.clone() })?;
        sum = (sum.0 + asked, sum.1 + writes);
    }
    Ok(sum)
}

fn play_with(entry: &'static Entry, job: &mut Job, content: &str) -> Result<(usize, usize)> {
    let names: Vec<String> = job.records.iter().map(|wanted| wanted.id.domain.clone()).collect();
    let addr = job.records.first().context("no records")?.addr;
    let cloud = Cloud::default();
    cloud.reset(&names);
    let mirror = match entry.update {
        Update::Api(service) => Some(Mirror::new(service, ZONE, names)),
        _ => None,
    };
    let (mut asked, mut writes, mut trouble) = (0, 0, None);
    let verdicts = entry.update(job, &mut |request| {
        asked += 1;
        writes += usize::from(is_write(&request));
        let answer = match (&request, &mirror, entry.name) {
            (Request::Http(http), Some(mirror), _) => mirror.answer(http, THERE),
            (Request::Http(http), None, "cloudflare") => Ok(by_cloud(&cloud, http)),
            (Request::Http(http), None, _) => Ok(said(http, content, addr)),
            (Request::Dns(message), ..) => by_name_server(&message.message),
        };
        answer.map_err(|error| {
            let text = format!("{error:#}");
            trouble.get_or_insert(error);
            Failure::new(Kind::Unreachable, text)
        })
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    let wish = if addr == THERE { Outcome::Unchanged } else { Outcome::Updated };
    match verdicts {
        Err(failure) => bail!("{failure}"),
        Ok(verdicts) => {
            ensure!(verdicts.len() == job.records.len(), "{} verdicts", verdicts.len());
            for (id, verdict) in verdicts {
                ensure!(verdict.as_ref() == Ok(&wish), "{id}: {verdict:?}");
            }
        }
    }
    Ok((asked, writes))
}

fn is_write(request: &Request) -> bool {
    match request {
        Request::Http(http) => http.write,
        Request::Dns(message) => message.write,
    }
}

/// The bench's stand-in for Cloudflare.
fn by_cloud(cloud: &Cloud, http: &Http) -> Reply {
    let seen = Seen {
        first_byte: Instant::now(),
        whole: Instant::now(),
        tls: true,
        method: http.method.to_owned(),
        target: http.url.splitn(4, '/').nth(3).map_or_else(String::new, |rest| format!("/{rest}")),
        headers: Vec::new(),
        body: http.body.clone().into_bytes(),
    };
    let (status, body) = cloud.answer(&seen);
    Reply { status, headers: Vec::new(), body: body.into_bytes() }
}

/// A word; the one of dyndns2 with the address, for each name of the request a line.
fn said(http: &Http, word: &str, addr: IpAddr) -> Reply {
    let lines = (http.url.matches("cam").count() + http.body.matches("cam").count()).max(1);
    let body = if word == "good" { format!("good {addr}\n").repeat(lines) } else { word.to_owned() };
    Reply { status: 200, headers: Vec::new(), body: body.into_bytes() }
}

/// A name server of the zone: every name has one address, every update is fine.
fn by_name_server(message: &[u8]) -> Result<Reply> {
    let question = dns::Message::parse(message).map_err(|error| anyhow!("{error}"))?;
    let mut answer = dns::Message {
        id: question.id,
        flags: dns::FLAG_QR | dns::FLAG_AA | u16::from(question.opcode()) << 11,
        questions: question.questions.clone(),
        ..dns::Message::default()
    };
    let asked = question.questions.first().context("no question")?;
    match (question.opcode(), asked.rtype, THERE) {
        (dns::OPCODE_QUERY, dns::TYPE_A, IpAddr::V4(addr)) => answer.answers.push(dns::Rr {
            ttl: 60,
            data: dns::Data::A(addr),
            ..dns::Rr::empty(&asked.name, dns::TYPE_A, dns::CLASS_IN)
        }),
        (dns::OPCODE_QUERY, dns::TYPE_SOA, _) => {
            answer.authority.push(dns::Rr::empty(ZONE, dns::TYPE_SOA, dns::CLASS_IN));
        }
        _ => {}
    }
    let body = answer.to_bytes().map_err(|error| anyhow!("{error}"))?;
    Ok(Reply { status: 0, headers: Vec::new(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_can_be_counted_and_writes_once_a_record_at_most() {
        let mut missing = Vec::new();
        for entry in PROVIDERS {
            match count(entry) {
                Err(error) => missing.push(format!("{}: {error:#}", entry.name)),
                Ok(count) => {
                    assert!(count.first[0] >= 1 && count.later[0] >= 1, "{}", entry.name);
                    assert!(count.later[2] <= count.first[2], "{}: what is known is asked again", entry.name);
                    assert!(entry.reads || count.same == [0; 3], "{}", entry.name);
                }
            }
        }
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }

    #[test]
    fn what_is_written_at_once_is_counted_once() {
        let of = |name| count(porchlight::provider::find(name).unwrap()).unwrap();
        let cloudflare = of("cloudflare");
        assert_eq!((cloudflare.writes, cloudflare.same[0]), ([1; 3], 2));
        assert_eq!((of("powerdns").first, of("powerdns").writes), ([3; 3], [1; 3]));
        assert_eq!((&of("duckdns").later[..2], of("duckdns").same), (&[1, 1][..], [0; 3]));
        assert_eq!(of("rfc2136").writes, [1; 3]);
    }
}
