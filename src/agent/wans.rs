//! Takes in how the WANs can be reached, and tells it.

use super::report::random;
use super::Agent;
use crate::map::Map;
use crate::model::{Family, Now, Reach, Reading, WanWorld};
use crate::plan::witness::{Known, Outcome, Standing, Testimony};
use crate::plan::{witness, WitnessJob};
use std::fmt::Display;

impl Agent {
    /// Tells what changed at the WANs.
    pub(crate) fn report_wans(&self, before: &Map<String, WanWorld>) {
        for (name, wan) in &self.world.wans {
            for family in Family::BOTH {
                let old = before.get(name).map(|wan| wan.line(family).addr).unwrap_or_default();
                let new = wan.line(family).addr;
                match (old.seen(), new) {
                    (before, Reading::Seen { value, .. }) if before != Some(value) => {
                        self.debug(&format_args!("wan {name}: {family} address {value}"));
                    }
                    (Some(addr), Reading::Lost { .. }) => {
                        self.debug(&format_args!("wan {name}: {family} address {addr} is gone"))
                    }
                    _ => {}
                }
            }
        }
    }

    /// Tells how a WAN can be reached and what that means, once, where it is not public or is so again.
    pub(crate) fn report_reach(&mut self) {
        let mut texts = Vec::new();
        for wan in &self.config.wans {
            for family in
                Family::BOTH.into_iter().filter(|family| witness::is_wanted(&self.config, wan, *family))
            {
                let found = witness::standing(&self.world, &self.state, wan, family);
                let (key, unsure) =
                    (witness::key(wan, family), matches!(found.reach, Reach::Unknown | Reach::Offline));
                let same =
                    |told: &Standing| (told.reach, told.known == Known::Mismatch, told.own, told.refuted);
                let told = self.reach_told.get(&key).map(same);
                let open = witness::is_open(&self.config, &self.world, &self.state, wan, family);
                // What witnesses say to a private address is waited for, so that it is said in one sentence.
                if unsure || told == Some(same(&found)) || open {
                    continue;
                }
                match found.means(family, witness::has_public_v6(&self.world, &self.state, wan)) {
                    Some(means) => texts.push(format!("wan {}: {means}", wan.name)),
                    None if told.is_some_and(|(reach, ..)| reach != Reach::Public) => {
                        texts.push(format!("wan {}: {family} is publicly reachable now", wan.name));
                    }
                    None => {}
                }
                self.reach_told.insert(key, found);
            }
        }
        texts.iter().for_each(|text| self.warn(text));
    }

    /// Takes in what witnesses said; tells a disagreement when it is new.
    pub(crate) fn testified(&mut self, job: &WitnessJob, said: Vec<Testimony>, now: Now) {
        for (witness, answer) in &said {
            let answer: &dyn Display = match answer {
                Ok(addr) => addr,
                Err((why, _)) => why,
            };
            self.debug(&format_args!(
                "wan {}: witness {} ({}): {answer}",
                job.wan, witness.operator, job.family
            ));
        }
        let key = (job.wan.clone(), job.family);
        let doubted = |agent: &Agent| {
            let memory = agent.state.hearings.lines.get(&key)?;
            (memory.last == Outcome::Doubt && !memory.running).then(|| memory.doubt())
        };
        if witness::answered(&mut self.state, &self.config, job, said, now, random()) {
            let what = format!("wan {} {}", job.wan, job.family);
            let agreed =
                self.state.hearings.lines.get(&key).is_some_and(|memory| memory.last == Outcome::Agreed);
            match doubted(self) {
                Some(doubt) => self.fails(&what, "doubt", &format_args!("wan {}: {doubt}", job.wan), now),
                None if agreed => {
                    let failed = self.repeats.ended(&what);
                    if !failed.is_empty() {
                        self.info(&format_args!(
                            "wan {}: witnesses of {} agree again{failed}",
                            job.wan, job.family
                        ));
                    }
                }
                None => {}
            }
        }
    }
}
