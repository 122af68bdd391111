//! Has the owner's service try a port from the internet, and tells what it says when that is new.

use super::{Agent, Message};
use crate::act::outside;
use crate::model::Now;
use crate::plan::outside::{answered, OutsideJob, Verdict};

impl Agent {
    pub(super) fn start_outside(&self, job: Box<OutsideJob>) {
        let Some(service) = self.config.global.probe_url.clone() else { return };
        let http = self.http.clone();
        let work = async move {
            let result = outside::ask(&job, &service, &http).await;
            Message::Tried(job, result)
        };
        self.act(work).detach();
    }

    pub(super) fn tried(&mut self, job: &OutsideJob, result: Result<Verdict, String>, now: Now) {
        let (name, at) = (&job.mapping, &job.target);
        let (good, text) = match &result {
            Ok(verdict) => {
                let text =
                    format!("mapping {name}: {} port {} is {verdict} from the internet", at.addr, at.port);
                (*verdict == Verdict::Open, text)
            }
            Err(why) => (
                false,
                format!("mapping {name}: whether its port is open from the internet is not known: {why}"),
            ),
        };
        match answered(&mut self.state, job, result, now.boot) {
            true if good => self.info(&text),
            true => self.warn(&text),
            false => self.debug(&text),
        }
    }
}
