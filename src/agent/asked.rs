//! Answers those who ask by the control socket.

use super::Agent;
use crate::control::{Asked, Nudge, Question};
use crate::mapping::hits::{label, Hits};
use crate::model::{Event, Now};
use crate::plan::settle;
use crate::status::{mark, View};

/// Clients that wait for a pass to end; more are turned away.
const WAITING_CAP: usize = 64;
/// Clients that wait for a change; of more the oldest are answered at once.
const WATCHING_CAP: usize = 16;

impl Agent {
    pub(super) fn asked(&mut self, asked: Asked, now: Now) {
        let answer = match asked.question {
            Question::Status if self.is_anything_open() => {
                self.asking.push(asked.answer);
                // Whoever asks meanwhile is answered with them.
                if self.asking.len() == 1 {
                    self.start_count();
                }
                return;
            }
            Question::Status => self.view(now).to_json(),
            Question::Watch(mark) => {
                self.watching.retain(|(_, answer)| !answer.is_late());
                self.watching.push((mark, asked.answer));
                return;
            }
            Question::Trigger(nudge) => {
                self.look_now(nudge, now);
                "{\"ok\":true}".into()
            }
            Question::Once if self.waiting.len() >= WAITING_CAP => {
                "{\"error\":\"too many wait for a pass already\"}".into()
            }
            Question::Once => {
                self.look_now(Nudge::World, now);
                self.waiting.push(asked.answer);
                return;
            }
        };
        asked.answer.give(answer);
    }

    /// Ends the waits that `nudge` says are over, and looks.
    pub fn look_now(&mut self, nudge: Nudge, now: Now) {
        if matches!(nudge, Nudge::Person | Nudge::Records) {
            settle::try_again(&mut self.state);
            // Whoever tries wants to see what comes of it.
            self.repeats.forget();
        }
        if nudge == Nudge::Records {
            settle::doubt(&mut self.state);
        }
        let event = if nudge == Nudge::Clock { Event::ClockSet } else { Event::Trigger };
        self.fold(event, now);
        self.next_look = now.boot;
    }

    pub(super) fn answer_waiting(&mut self, now: Now) {
        if self.waiting.is_empty() {
            return;
        }
        let answer = self.view(now).to_json();
        for waiting in self.waiting.drain(..) {
            waiting.give(answer.clone());
        }
    }

    /// Answers those who have seen another status than that which is now.
    pub(super) fn answer_watching(&mut self, now: Now) {
        if self.watching.is_empty() {
            return;
        }
        let status = self.view(now).to_json();
        let mark = mark(&status);
        let surplus = self.watching.len().saturating_sub(WATCHING_CAP);
        let (answered, waiting) = std::mem::take(&mut self.watching)
            .into_iter()
            .enumerate()
            .partition::<Vec<_>, _>(|(at, (seen, _))| *seen != mark || *at < surplus);
        self.watching = waiting.into_iter().map(|(_, watching)| watching).collect();
        answered.into_iter().for_each(|(_, (_, answer))| answer.give(status.clone()));
    }

    /// Whether a rule of ours may be in the packet filter.
    fn is_anything_open(&self) -> bool {
        !self.state.mapping.targets.is_empty()
    }

    /// Takes in how many connections came by each mapping.
    pub(crate) fn count(&mut self, hits: &Hits) {
        for mapping in &self.config.mappings {
            if let Some(count) = hits.get(&label(&mapping.name)) {
                let known = self.state.hits.entry(mapping.name.clone()).or_default();
                *known = (*known).max(*count);
            }
        }
    }

    pub(crate) fn view(&self, now: Now) -> View<'_> {
        View {
            config: &self.config,
            problems: &self.problems,
            deaf: &self.deaf,
            world: &self.world,
            state: &self.state,
            now,
        }
    }
}
