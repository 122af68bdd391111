//! Everything that the loop takes in, and what takes it.

use super::{Agent, NETWORK};
use crate::act::publish::Effort;
use crate::act::readback::Confirmed;
use crate::control::Asked;
use crate::map::Map;
use crate::mapping::backend::Found;
use crate::mapping::fw4::Look;
use crate::mapping::hits::Hits;
use crate::mapping::nft::MapReport;
use crate::model::{Event, Now, Protection, RecordId, TimeZone};
use crate::plan::outside::{OutsideJob, Verdict};
use crate::plan::upstream::{Place, Report, UpstreamJob};
use crate::plan::witness::Testimony;
use crate::plan::{
    self, fold, Leased, LookJob, MapJob, ProbeJob, PublishJob, ResolveJob, TellJob, WitnessJob,
};
use crate::provider::{Failure, Verdicts};
use crate::sense::clock;
use crate::sense::signals::Signal;
use smol::channel::{Receiver, Sender};
use std::net::IpAddr;
use std::time::Duration;

/// Everything that the loop takes in.
pub enum Message {
    /// From a sensor.
    Event(Event),
    /// From the control socket.
    Asked(Asked),
    /// From the system.
    Signal(Signal),
    /// A publish job came back, with the provider's memo.
    Published(Box<PublishJob>, Map<String, String>, Result<Verdicts, Failure>, Effort),
    /// A look came back.
    Looked(Box<LookJob>, Vec<(RecordId, Result<Vec<IpAddr>, Failure>)>),
    /// A read-back ended.
    Confirmed(RecordId, IpAddr, u64, Result<Confirmed, Failure>),
    /// A camera answered.
    Probed(Box<ProbeJob>, Protection),
    /// Witnesses answered.
    Testified(Box<WitnessJob>, Vec<Testimony>),
    /// The mappings' connections were counted, for those who ask for the status.
    Counted(Hits),
    /// A name was looked up.
    Resolved(Box<ResolveJob>, Result<Vec<IpAddr>, Failure>),
    /// A message to the owner came back.
    Told(Box<TellJob>, Result<(), Failure>),
    /// A change of the packet filter came back.
    Mapped(Box<MapJob>, u64, Duration, Result<MapReport, String>),
    /// A service tried a port from the internet, or could not be asked.
    Tried(Box<OutsideJob>, Result<Verdict, String>),
    /// The router above a WAN answered, or did not.
    Upstream(Box<UpstreamJob>, Report),
    /// The router above a WAN announced a change.
    Announced(String, Place),
    /// Something became of a tunnel's line.
    Tunnel(plan::tunnel::Report),
    /// Static leases were looked at.
    Leased(Result<Leased, String>),
    /// After the change of this generation: which tables drop what we let in.
    Droppers(u64, Vec<String>),
    /// The packet filter was looked at: is all as we made it, who is here to carry mappings (if that was asked), and
    /// who drops?
    Filter(Look, Option<Found>, Vec<String>),
    /// A sensor cannot go on. It is started again after a pause.
    Deaf(&'static str, String),
    /// A sensor that could not go on does again.
    Hears(&'static str),
}

/// Hands it to the loop; false if that has ended.
pub(super) fn send(tx: &Sender<Message>, message: Message) -> bool {
    tx.try_send(message).is_ok()
}

impl Agent {
    /// Takes a message and all that came with it. False: the agent is to end.
    pub(super) fn take_all(&mut self, first: Message, rx: &Receiver<Message>) -> bool {
        let mut message = Some(first);
        let mut goes_on = true;
        while let Some(now) = message {
            goes_on = self.take(now);
            message = rx.try_recv().ok().filter(|_| goes_on);
        }
        // A storm of signals is one reload; how it ends is the last word of the configuration too.
        if std::mem::take(&mut self.reload_wanted) {
            self.reload();
        }
        goes_on
    }

    pub(super) fn take(&mut self, message: Message) -> bool {
        let now = clock::now();
        match message {
            Message::Event(event) => self.sensed(event, now),
            Message::Asked(asked) => self.asked(asked, now),
            Message::Signal(Signal::Stop) => return false,
            Message::Signal(Signal::Reload) => self.reload_wanted = true,
            Message::Published(job, memo, result, effort) => self.published(&job, memo, result, effort, now),
            Message::Looked(job, answers) => self.looked(&job, answers, now),
            Message::Confirmed(id, addr, change, result) => self.confirmed(&id, addr, change, result),
            Message::Probed(job, found) => self.probed(&job, found, now),
            Message::Testified(job, said) => self.testified(&job, said, now),
            Message::Counted(hits) => {
                self.count(&hits);
                let answer = self.view(now).to_json();
                self.asking.drain(..).for_each(|asking| asking.give(answer.clone()));
            }
            Message::Resolved(job, result) => self.resolved(&job, result, now),
            Message::Told(job, result) => self.told(&job, result, now),
            Message::Mapped(job, change, took, result) => self.mapped(&job, change, took, result, now),
            Message::Tried(job, result) => self.tried(&job, result, now),
            Message::Upstream(job, report) => self.heard_above(&job, report, now),
            Message::Announced(wan, place) => self.announced_above(&wan, place, now),
            Message::Tunnel(report) => self.tunnelled(report, now),
            Message::Leased(result) => self.leased(result, now),
            Message::Droppers(generation, droppers) => {
                if generation == self.state.mapping.generation {
                    self.changing_filter = None;
                    self.set_droppers(droppers);
                }
            }
            Message::Filter(look, found, droppers) => self.filter_checked(look, found, droppers),
            Message::Deaf(name, why) => {
                let text = format!("the {name} sensor stopped: {why}");
                if self.deaf.get(name) != Some(&text) {
                    self.error(&text);
                }
                // Blind to addresses and to other devices on the camera's: better begin anew.
                self.failed = (name == NETWORK).then(|| text.clone());
                self.deaf.insert(name, text);
                return self.failed.is_none();
            }
            Message::Hears(name) => {
                self.info(&format_args!("the {name} sensor runs again"));
                self.deaf.remove(name);
                // What happened meanwhile was missed.
                self.next_look = now.boot;
            }
        }
        true
    }

    pub(super) fn sensed(&mut self, event: Event, now: Now) {
        let name = match &event {
            Event::Network { .. } => NETWORK,
            Event::Leases(_) => "leases",
            Event::Resolver(_) => "resolver",
            Event::Neighbours(_) => "neighbours",
            _ => "",
        };
        self.awaited.remove(name);
        self.world.complete = self.awaited.is_empty();
        if event == Event::RulesetChanged {
            self.check_filter();
        }
        if let Event::TimeZone(TimeZone::Bad(why)) = &event {
            self.warn(&format_args!(
                "/etc/TZ is no POSIX time zone ({why}): mappings with a schedule stay closed"
            ));
        }
        // Only this one changes the WANs; neighbours come far more often.
        let before = matches!(event, Event::Network { .. }).then(|| self.world.wans.clone());
        self.fold(event, now);
        if let Some(before) = before {
            self.report_wans(&before);
        }
        self.trace_waiting();
    }

    /// Takes an event into the world. Where that heals, running looks end, and what they did not learn is asked anew.
    pub(super) fn fold(&mut self, event: Event, now: Now) {
        let healed = self.world.healed;
        fold::event(&mut self.world, event, now);
        if self.world.healed != healed {
            self.looking = Map::new();
        }
    }
}
