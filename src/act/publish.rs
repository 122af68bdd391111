//! Drives one provider: its plain function runs on a thread of its own, and what it asks goes out from there.
//!
//! The threads are std's and end with their job. The pool of the `blocking` crate (`smol::unblock`) keeps a
//! thread that was used once and wakes it twice a second for ever: an idle agent would not be idle, in system
//! calls as in memory. A thread a job also means that a job that hangs holds up nobody but its own account.

use super::dns;
use super::http::{self, Http};
use super::thread;
use crate::model::millis;
use crate::provider::{Entry, Failure, Job, Kind, Reply, Request, Verdicts, Wanted};
use crate::wire;
use smol::lock::{Semaphore, SemaphoreGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most jobs that run at once. An account has at most one, so none can take another's turn; further jobs
/// wait in line.
const MAX_JOBS: usize = 16;
/// A job may take as long as this many requests that time out.
const JOB_TIMEOUTS: u32 = 6;
/// The most requests of one job.
const MAX_REQUESTS: u32 = 500;
/// The most characters of a reply that are logged.
const QUOTE: usize = 200;
/// Stack of a job's thread. Only what is used is resident.
const STACK: usize = 512 * 1024;

/// The line in which jobs wait.
static LINE: Semaphore = Semaphore::new(MAX_JOBS);

/// The way out, for all jobs.
pub struct Outside {
    /// For HTTP.
    pub http: Http,
    /// For one request.
    pub timeout: Duration,
    /// On whose behalf, for the log.
    pub who: String,
    /// Takes every secret out of a text that is to be logged or shown.
    pub redact: Box<dyn Fn(&str) -> String + Send + Sync>,
}

impl Outside {
    /// Puts one request on the way and waits for its answer, on the calling thread.
    ///
    /// # Errors
    /// See [`Http::exchange`] and [`dns::exchange`].
    pub fn ask(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        let start = Instant::now();
        let result = match request {
            Request::Http(request) => self.http.exchange(request, timeout),
            Request::Dns(request) => thread::wait(dns::exchange(request, timeout)),
        };
        if log::log_enabled!(log::Level::Debug) {
            self.tell(request, &result, start.elapsed());
        }
        result
    }

    /// Logs a request and its answer.
    fn tell(&self, request: &Request, result: &Result<Reply, Failure>, took: Duration) {
        let what = match request {
            Request::Http(http) => format!("{} {}", http.method, http::shown(&http.url)),
            Request::Dns(dns) => format!("DNS {}: {}", dns.server, wire::dns::line(&dns.message)),
        };
        let answer = match (request, result) {
            (Request::Http(_), Ok(reply)) => {
                let quoted = quote(&(self.redact)(&reply.text()));
                format!("{}, {} bytes: \"{quoted}\"", reply.status, reply.body.len())
            }
            (Request::Dns(_), Ok(reply)) => wire::dns::line(&reply.body),
            (_, Err(failure)) => (self.redact)(&failure.to_string()),
        };
        log::debug!("{} {what} -> {answer} ({} ms)", self.who, millis(took));
    }
}

/// What a job cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// How many requests left this machine.
    pub requests: u32,
    /// From the job's start to the beginning of its last request.
    pub last_request: Duration,
    /// From the job's start to the first whole answer, if any came.
    pub first_answer: Option<Duration>,
    /// From the job's start to its end, waiting in line included.
    pub took: Duration,
}

/// Brings a job's records up to date: each has a verdict, or all of them failed for one reason. The job comes
/// back with what the provider learnt (`memo`). If the future is dropped, what has begun still ends by itself.
///
/// # Errors
/// In the result: the provider's failure, in words without secrets.
pub async fn publish(
    entry: &'static Entry,
    job: Job,
    outside: Arc<Outside>,
) -> (Job, Result<Verdicts, Failure>, Effort) {
    let start = Instant::now();
    let place = LINE.acquire().await;
    let spare = job.clone();
    let failure = match thread::start(entry.name, STACK, move || run(entry, job, &outside, start, place)) {
        Ok(running) => match running.result().await {
            Some(done) => return done,
            None => Failure::new(Kind::Garbled, format!("{}: its code stopped without a result", entry.name)),
        },
        Err(error) => Failure::new(Kind::NotReady, format!("{}: no thread for the job: {error}", entry.name)),
    };
    (spare, Err(failure), Effort { took: start.elapsed(), ..Effort::default() })
}

/// The job, on its thread. `place` is given up at the end.
fn run(
    entry: &Entry,
    mut job: Job,
    outside: &Outside,
    start: Instant,
    place: SemaphoreGuard<'static>,
) -> (Job, Result<Verdicts, Failure>, Effort) {
    let (mut effort, mut asked) = (Effort::default(), 0);
    let until = Instant::now() + outside.timeout * JOB_TIMEOUTS;
    let mut ask = |request: Request| {
        let left = until.saturating_duration_since(Instant::now());
        asked += 1;
        if left.is_zero() || asked > MAX_REQUESTS {
            let text = format!("{}: the job took too long; the rest is left to the next try", entry.name);
            return Err(Failure::new(Kind::Unreachable, text));
        }
        let began = start.elapsed();
        let reply = outside.ask(&request, outside.timeout.min(left));
        if reply.as_ref().err().is_none_or(|failure| failure.sent) {
            effort.requests += 1;
            effort.last_request = began;
        }
        if reply.is_ok() && effort.first_answer.is_none() {
            effort.first_answer = Some(start.elapsed());
        }
        reply
    };
    let result = entry.update(&mut job, &mut ask);
    let result = result.map(|verdicts| complete(entry.name, &job.records, verdicts));
    let result = hide(result, &*outside.redact);
    effort.took = start.elapsed();
    drop(place);
    (job, result, effort)
}

/// One verdict for each record that was wanted, in order; one that the provider forgot is a failure.
fn complete(provider: &str, wanted: &[Wanted], mut verdicts: Verdicts) -> Verdicts {
    let pick = |wanted: &Wanted| {
        let id = wanted.id.clone();
        let verdict = match verdicts.iter().position(|(told, _)| *told == id) {
            Some(at) => verdicts.remove(at).1,
            None => Err(Failure::new(Kind::Garbled, format!("{provider} said nothing of {id}"))),
        };
        (id, verdict)
    };
    wanted.iter().map(pick).collect()
}

/// Takes the secrets out of the failures' texts.
fn hide(result: Result<Verdicts, Failure>, redact: &dyn Fn(&str) -> String) -> Result<Verdicts, Failure> {
    let clean = |failure: Failure| failure.redacted(redact);
    let verdicts = result.map_err(clean)?;
    Ok(verdicts.into_iter().map(|(id, verdict)| (id, verdict.map_err(clean))).collect())
}

/// The beginning of a text, fit for a log line.
fn quote(text: &str) -> String {
    let shown = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut quoted: String = shown.take(QUOTE).collect();
    if text.trim().chars().nth(QUOTE).is_some() {
        quoted.push_str("...");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, RecordId};
    use crate::provider::Outcome;

    fn id(domain: &str) -> RecordId {
        RecordId { record: "r".into(), domain: domain.into(), family: Family::V4 }
    }

    #[test]
    fn every_record_gets_its_own_verdict() {
        let wanted = |domain| Wanted { id: id(domain), addr: "192.0.2.1".parse().unwrap() };
        let told = vec![(id("b"), Ok(Outcome::Updated)), (id("stranger"), Ok(Outcome::Updated))];
        let verdicts = complete("x", &[wanted("a"), wanted("b")], told);
        assert_eq!(verdicts.len(), 2);
        assert_eq!(verdicts[0].0, id("a"));
        assert_eq!(verdicts[0].1.as_ref().unwrap_err().kind, Kind::Garbled);
        assert_eq!(verdicts[1], (id("b"), Ok(Outcome::Updated)));
    }

    #[test]
    fn no_secret_leaves_by_a_failure() {
        let redact = |text: &str| text.replace("hunter2", "***");
        let told = Failure::new(Kind::Refused, "said hunter2").after(Duration::from_secs(7));
        let verdicts = hide(Ok(vec![(id("a"), Err(told.clone()))]), &redact).unwrap();
        let failure = verdicts[0].1.as_ref().unwrap_err();
        assert_eq!((failure.text.as_str(), failure.retry_after), ("said ***", Some(Duration::from_secs(7))));
        assert_eq!(hide(Err(told), &redact).unwrap_err().text, "said ***");
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote(" good\r\n192.0.2.1\n"), "good  192.0.2.1");
        assert_eq!(quote(&"ä".repeat(201)), format!("{}...", "ä".repeat(200)));
        assert_eq!(quote(&"a".repeat(200)).len(), 200);
    }
}
