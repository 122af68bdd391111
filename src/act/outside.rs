//! Asks the service that the owner chose to try a port from the internet (`option probe_url`), by the WAN in question.

use super::http::{Http, Origin};
use super::line::{Line, OK};
use crate::config::ProbeUrl;
use crate::plan::outside::{judge, url, OutsideJob, Verdict};
use crate::secret::printable;

/// Asks once.
///
/// # Errors
/// Why it is not known whether the port is open, in plain words with the service's host: that says nothing of the port.
pub async fn ask(job: &OutsideJob, service: &ProbeUrl, http: &Http) -> Result<Verdict, String> {
    let who = Origin::of(&service.url).map_or_else(|_| "probe_url".into(), |origin| printable(&origin.shown));
    let line = Line { device: &job.target.device, own: job.target.own };
    let reply = line.get(&url(service, &job.target), http).await.map_err(|why| format!("{who}: {why}"))?;
    match reply.code {
        OK => judge(&reply.body, service).map_err(|why| format!("{who}: {why}")),
        code => Err(format!("{who}: answers with status {code}")),
    }
}
