//! Asks the router above a WAN for its address and for ports: PCP, else NAT-PMP, else UPnP. Everything goes by the
//! WAN's device, to the next hop and nowhere else.

mod igd;
mod udp;

use crate::act::net::within;
use crate::plan::upstream::{Report, UpstreamJob, Way};
use std::time::{Duration, Instant};

/// The longest time for a job with all that belongs to it.
const LIMIT: Duration = Duration::from_secs(30);

/// Does a job. A router that was known to answer in one way is asked in that way alone.
pub async fn work(job: &UpstreamJob) -> Report {
    let until = Instant::now() + LIMIT;
    for way in Way::ALL.into_iter().filter(|way| job.way.is_none_or(|known| known == *way)) {
        let mut report = Report { way: Some(way), ..Report::default() };
        let spoken = async {
            match way {
                Way::Pcp => udp::pcp(job, &mut report).await,
                Way::NatPmp => udp::natpmp(job, &mut report).await,
                Way::Igd => igd::ask(job, &mut report).await,
            }
        };
        if within(until, spoken).await.flatten().is_some() {
            return report;
        }
    }
    Report::default()
}
