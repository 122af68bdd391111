//! What failed, and what is to be done about it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// One variant per thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No route, no resolver: not the provider's fault. No back-off; tried again when the world heals.
    NotReady,
    /// Could not be reached, or broke off before the request was sent.
    Unreachable,
    /// It answered that it cannot now (5xx, 429, SERVFAIL, 911). Obey `retry_after`.
    Busy,
    /// A write that got no answer: read before writing again.
    Unconfirmed,
    /// User, password, token or key refused. Rests until the config changes.
    Credentials,
    /// The zone or name is not there, or not this account's. Rests until the config changes.
    NoSuchName,
    /// The provider will not do this (blocked, paid feature, policy). Rests until the config changes.
    Refused,
    /// The server's certificate is not to be trusted. Tried again slowly.
    Untrusted,
    /// The clock is wrong here or there. Tried again when the clock is set.
    Clock,
    /// An answer that makes no sense. Tried again with back-off.
    Garbled,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NotReady => "not ready",
            Kind::Unreachable => "unreachable",
            Kind::Busy => "busy",
            Kind::Unconfirmed => "could not confirm",
            Kind::Credentials => "credentials refused",
            Kind::NoSuchName => "no such name",
            Kind::Refused => "refused",
            Kind::Untrusted => "untrusted certificate",
            Kind::Clock => "clock",
            Kind::Garbled => "garbled answer",
        })
    }
}

/// A decision and the words for the owner: what failed and what to do. Never holds a secret. In a box, as each answer that
/// goes from hand to hand could be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Particulars>);

/// What there is to know of a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Particulars {
    /// What to do about it.
    pub kind: Kind,
    /// What failed, with the service's own code and words, and the mend.
    pub text: String,
    /// Not before this long, where the service said so.
    pub retry_after: Option<Duration>,
    /// The request, or a part of it, may have left this machine.
    pub sent: bool,
}

impl Failure {
    /// A failure without a waiting time. [`Kind::NotReady`] says that nothing was sent, see [`Failure::sent`].
    pub fn new(kind: Kind, text: impl Into<String>) -> Failure {
        let (text, sent) = (text.into(), kind != Kind::NotReady);
        Failure(Box::new(Particulars { kind, text, retry_after: None, sent }))
    }

    /// An option that the account is known by is not set.
    pub fn unset(option: &str) -> Failure {
        Failure::new(Kind::Credentials, format!("option {option} is not set"))
    }

    /// The same in other words.
    pub fn saying(mut self, text: String) -> Failure {
        self.text = text;
        self
    }

    /// The same, with the secrets out of its words.
    pub fn redacted(self, redact: &dyn Fn(&str) -> String) -> Failure {
        let text = redact(&self.text);
        self.saying(text)
    }

    /// Its words alone.
    pub fn words(self) -> String {
        self.0.text
    }

    /// The same, of a request that did leave.
    pub fn sent(mut self) -> Failure {
        self.sent = true;
        self
    }

    /// The same, of a request that never left this machine.
    pub fn unsent(mut self) -> Failure {
        self.sent = false;
        self
    }

    /// The same, not to be tried again before `wait`.
    pub fn after(mut self, wait: Duration) -> Failure {
        self.retry_after = Some(wait);
        self
    }
}

impl Deref for Failure {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Particulars {
        &mut self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}
