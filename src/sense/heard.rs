//! What netifd was heard to say of the WANs' interfaces, and what follows from it. No sockets, no clock.

use crate::map::Map;
use crate::model::{Delegated, Interface};
use crate::wire::netifd::Status;

/// By netifd's name of the interface.
pub type Answers = Map<String, Heard>;

/// What is known of one interface. An answer stays when the next question finds none: lost is not empty, and whether the
/// device is there is the kernel's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The last answer.
    pub status: Option<Status>,
    /// Why the last question found none.
    pub silence: Option<Silence>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// There is no program `ubus`: this is no OpenWrt.
    NoUbus,
    /// netifd knows no such interface, or is not there yet.
    Unknown,
    /// Anything else, in plain words.
    Failed(String),
}

impl Heard {
    /// After a question: what was known, and the answer or why there is none.
    pub fn after(mut self, answer: Result<Status, Silence>) -> Heard {
        match answer {
            Ok(status) => Heard { status: Some(status), silence: None },
            Err(silence) => {
                self.silence = Some(silence);
                self
            }
        }
    }

    /// How the interface stands, in plain words.
    pub fn standing(&self) -> String {
        match (&self.silence, &self.status) {
            (Some(Silence::NoUbus), _) => {
                "there is no ubus here, so netifd cannot be asked: use option device in place of list interface".into()
            }
            (Some(Silence::Unknown), _) => "netifd knows no such interface (yet); it is waited for".into(),
            (Some(Silence::Failed(why)), _) => {
                format!("netifd could not be asked: {why}; it is asked again when the network changes")
            }
            (None, None) => "netifd is being asked".into(),
            (None, Some(status)) => standing(status),
        }
    }

    /// The device, while the interface is up.
    fn device(&self) -> Option<&str> {
        self.status.as_ref()?.device.as_deref()
    }
}

fn standing(status: &Status) -> String {
    let reason = status.reason.as_ref().map(|word| format!(" ({word})")).unwrap_or_default();
    match (status.up, &status.device) {
        (true, Some(device)) => format!("up on {device}"),
        (true, None) => "up, but without a device that could be used".into(),
        (false, _) if status.pending => format!("not up yet{reason}; it is waited for"),
        (false, _) if status.autostart => format!("down{reason}; it is waited for"),
        (false, _) => format!("down{reason}; netifd does not start it by itself (ifup)"),
    }
}

fn of<'a>(answers: &'a Answers, names: &'a [String]) -> Vec<(&'a String, &'a Heard)> {
    names.iter().filter_map(|name| Some((name, answers.get(name)?))).collect()
}

/// The devices of these interfaces, in their order, each once.
pub fn devices<'a>(answers: &'a Answers, names: &'a [String]) -> Vec<&'a str> {
    let mut devices = Vec::new();
    for (_, heard) in of(answers, names) {
        devices.extend(heard.device().filter(|device| !devices.contains(device)));
    }
    devices
}

/// The prefixes that were delegated to these interfaces.
pub fn prefixes(answers: &Answers, names: &[String]) -> Vec<Delegated> {
    let mut prefixes = Vec::new();
    for (_, heard) in of(answers, names) {
        heard.status.iter().for_each(|status| prefixes.extend_from_slice(&status.prefixes));
    }
    prefixes
}

/// How these interfaces stand. One that netifd does not know is no trouble while it knows another: many routers have no
/// `wan6`.
pub fn interfaces(answers: &Answers, names: &[String]) -> Vec<Interface> {
    let unknown = |heard: &Heard| heard.silence == Some(Silence::Unknown);
    let all = of(answers, names);
    let all_unknown = all.iter().all(|(_, heard)| unknown(heard));
    let interface = |&(name, heard): &(&String, &Heard)| Interface {
        name: name.clone(),
        device: heard.device().map(str::to_string),
        standing: heard.standing(),
        trouble: heard.silence.is_some() && (all_unknown || !unknown(heard)),
    };
    all.iter().map(interface).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(device: &str) -> Status {
        Status { up: true, device: Some(device.into()), ..Status::default() }
    }

    #[test]
    fn an_answer_outlives_silence_and_the_next_answer_ends_both() {
        let heard = Heard::default().after(Ok(up("eth0")));
        assert_eq!(heard.standing(), "up on eth0");
        let heard = heard.after(Err(Silence::Unknown));
        assert_eq!(heard.device(), Some("eth0"), "whether it is there is the kernel's to say");
        assert!(heard.standing().starts_with("netifd knows no such interface"));
        let heard = heard.after(Ok(Status { pending: true, ..Status::default() }));
        assert_eq!((heard.device(), heard.silence.is_some()), (None, false));
        assert_eq!(heard.standing(), "not up yet; it is waited for");
    }

    #[test]
    fn every_standing_says_what_is_to_be_done() {
        let down = Status { reason: Some("NO_DEVICE".into()), ..Status::default() };
        assert_eq!(
            Heard::default().after(Ok(down.clone())).standing(),
            "down (NO_DEVICE); netifd does not start it by itself (ifup)"
        );
        let down = Status { autostart: true, ..down };
        assert_eq!(Heard::default().after(Ok(down)).standing(), "down (NO_DEVICE); it is waited for");
        let odd = Status { up: true, ..Status::default() };
        assert!(Heard::default().after(Ok(odd)).standing().contains("without a device"));
        assert!(Heard::default().after(Err(Silence::NoUbus)).standing().contains("use option device"));
        let failed = Heard::default().after(Err(Silence::Failed("ubus was killed".into())));
        assert_eq!(
            failed.standing(),
            "netifd could not be asked: ubus was killed; it is asked again when the network changes"
        );
    }

    #[test]
    fn an_unknown_interface_is_trouble_only_if_none_is_known() {
        let names: Vec<String> = ["wan", "wan6"].map(String::from).to_vec();
        let unknown = Heard::default().after(Err(Silence::Unknown));
        let mut answers = Answers::new();
        answers.insert("wan".into(), unknown.clone());
        answers.insert("wan6".into(), unknown);
        let trouble = |answers: &Answers| {
            interfaces(answers, &names).iter().map(|interface| interface.trouble).collect::<Vec<_>>()
        };
        assert_eq!(trouble(&answers), [true, true]);
        answers.insert("wan".into(), Heard::default().after(Ok(up("eth0"))));
        assert_eq!(trouble(&answers), [false, false]);
        answers.insert("wan6".into(), Heard::default().after(Err(Silence::NoUbus)));
        assert_eq!(trouble(&answers), [false, true]);
        assert_eq!(devices(&answers, &names), ["eth0"]);
    }
}
