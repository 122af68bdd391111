//! The accounts, one a fault, and the agent's configuration for them.

use crate::lab::nameserver::Mood as Dns;
use crate::lab::web::{Certificate, Face, Mood as Web, CACERT};
use crate::lab::{KEY, SECRET, ZONE};
use domain::base::iana::Rcode;
use std::net::Ipv4Addr;

/// The key that [`Fault::WrongSecret`] signs with, base64. A test value; it opens nothing.
pub const WRONG_SECRET: &str = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch";
/// What [`Web::Say`] 429 asks for, in seconds; see its header.
pub const RETRY_AFTER: u64 = 45;

/// What is wrong with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The server's port is closed: it answers with ICMP "port unreachable".
    Closed,
    /// Everything that is sent to the server is lost.
    Lost,
    /// The key is not known to the server: BIND says BADKEY.
    WrongKey,
    /// The secret is another: BIND says BADSIG.
    WrongSecret,
    /// Two servers answer in turn, one's clock an hour ahead, the other's two: Knot says BADTIME whatever
    /// the time that it is told.
    Clocks,
    /// The embedded name server's mood.
    Dns(Dns),
    /// The web stand-in's mood.
    Web(&'static Web),
    /// The certificate.
    Certificate(Certificate),
}

/// Who serves the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Real BIND, the zone [`ZONE`].
    Bind,
    /// Real Knot whose clock is an hour ahead, a zone of its own.
    Ahead,
    /// An embedded name server, a zone of its own.
    Embedded,
    /// The stand-in behind nginx, Cloudflare's API.
    Cloudflare,
    /// The same, the dyndns2 protocol.
    Dyndns2,
}

/// How many requests are right while it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Each change costs so many updates or HTTPS requests, no more; and the very first one so many besides.
    Each(usize, usize),
    /// At most six in any two minutes.
    Transient,
    /// The same, and none before Retry-After is over.
    RetryAfter,
    /// One that shows who we are: an update, or an HTTP request.
    Once,
    /// So many updates, then it rests; at most six messages.
    Updates(usize),
}

/// What makes it good again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heals {
    /// It never fails.
    Healthy,
    /// The server comes back after 30 s, while the rest still fails; found by the back-off.
    Early,
    /// The link flaps after the server came back: within 10 s.
    Link,
    /// The back-off, at most 60 s.
    BackOff,
    /// It rests until the owner mends the configuration and reloads it.
    Reload,
    /// It rests, or keeps the provider's floor, until the owner says `porchlight trigger`.
    Trigger,
}

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its record section, and the first label of its only name.
    pub name: &'static str,
    /// In plain words.
    pub about: &'static str,
    /// What is wrong.
    pub fault: Fault,
    /// Who serves it.
    pub service: Service,
    /// The failure's class in `status --json`; empty for none.
    pub class: &'static str,
    /// How many requests are right.
    pub bound: Bound,
    /// What makes it good again.
    pub heals: Heals,
}

const fn case(
    name: &'static str,
    about: &'static str,
    service: Service,
    fault: Fault,
    class: &'static str,
    bound: Bound,
    heals: Heals,
) -> Case {
    Case { name, about, fault, service, class, bound, heals }
}

const DENIED: &str = r#"{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"messages":[],"result":null}"#;
const THROTTLED: &str = r#"{"success":false,"errors":[{"code":10013,"message":"Too many requests"}],"messages":[],"result":null}"#;
const HOTEL: &str = "<html><body>Welcome to our hotel! Please log in.</body></html>";

/// All of them. The place in the table is part of the address.
pub const CASES: &[Case] = {
    use {Bound::*, Service::*};
    &[
        case("ok-dns", "healthy", Bind, Fault::None, "", Each(1, 0), Heals::Healthy),
        case("ok-cf", "healthy", Cloudflare, Fault::None, "", Each(2, 1), Heals::Healthy),
        case("ok-dd", "healthy", Dyndns2, Fault::None, "", Each(1, 0), Heals::Healthy),
        case("dns-ahead", "server's clock 1 h ahead", Ahead, Fault::None, "", Each(2, 0), Heals::Healthy),
        case(
            "dns-closed",
            "port closed for 30 s",
            Bind,
            Fault::Closed,
            "unreachable",
            Transient,
            Heals::Early,
        ),
        case("dns-lost", "packets lost for 30 s", Bind, Fault::Lost, "unreachable", Transient, Heals::Early),
        case("dns-dead", "port closed", Bind, Fault::Closed, "unreachable", Transient, Heals::Link),
        case("dns-mute", "packets lost", Bind, Fault::Lost, "unreachable", Transient, Heals::Link),
        case(
            "dns-servfail",
            "SERVFAIL to updates",
            Embedded,
            Fault::Dns(Dns::Refuse(Rcode::SERVFAIL)),
            "busy",
            Transient,
            Heals::BackOff,
        ),
        case(
            "dns-refused",
            "REFUSED, signed",
            Embedded,
            Fault::Dns(Dns::Refuse(Rcode::REFUSED)),
            "refused",
            Once,
            Heals::Trigger,
        ),
        case(
            "dns-forged",
            "REFUSED, unsigned",
            Embedded,
            Fault::Dns(Dns::Forge(Rcode::REFUSED)),
            "refused",
            Updates(3),
            Heals::Trigger,
        ),
        case("dns-badkey", "BADKEY", Bind, Fault::WrongKey, "credentials", Once, Heals::Reload),
        case("dns-badsig", "BADSIG", Bind, Fault::WrongSecret, "credentials", Once, Heals::Reload),
        case(
            "dns-badtime",
            "BADTIME, each time another",
            Bind,
            Fault::Clocks,
            "clock",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-500",
            "500",
            Cloudflare,
            Fault::Web(&Web::Say(500, "", "oops")),
            "busy",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-500-write",
            "500 to writes alone",
            Cloudflare,
            Fault::Web(&Web::SayToWrites(500, "", "oops")),
            "busy",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-429",
            "429, Retry-After 45 s",
            Cloudflare,
            Fault::Web(&Web::Say(429, "Retry-After: 45\r\n", THROTTLED)),
            "busy",
            RetryAfter,
            Heals::BackOff,
        ),
        case(
            "cf-403",
            "403",
            Cloudflare,
            Fault::Web(&Web::Say(403, "", DENIED)),
            "credentials",
            Once,
            Heals::Trigger,
        ),
        case(
            "cf-403-html",
            "403 with a page",
            Cloudflare,
            Fault::Web(&Web::Say(403, "", HOTEL)),
            "credentials",
            Once,
            Heals::Trigger,
        ),
        case(
            "cf-nonsense",
            "nonsense",
            Cloudflare,
            Fault::Web(&Web::Say(200, "", HOTEL)),
            "garbled",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-big",
            "10 MB, told",
            Cloudflare,
            Fault::Web(&Web::Big { told: true }),
            "garbled",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-endless",
            "10 MB, untold",
            Cloudflare,
            Fault::Web(&Web::Big { told: false }),
            "garbled",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-slow",
            "one byte a second",
            Cloudflare,
            Fault::Web(&Web::Drip),
            "unreachable",
            Transient,
            Heals::Link,
        ),
        case(
            "cf-closed",
            "closed connection",
            Cloudflare,
            Fault::Web(&Web::Close),
            "unreachable",
            Transient,
            Heals::Link,
        ),
        case(
            "cf-expired",
            "expired certificate",
            Cloudflare,
            Fault::Certificate(Certificate::Expired),
            "untrusted",
            Transient,
            Heals::BackOff,
        ),
        case(
            "cf-stranger",
            "unknown CA",
            Cloudflare,
            Fault::Certificate(Certificate::Stranger),
            "untrusted",
            Transient,
            Heals::BackOff,
        ),
        case("dd-500", "500", Dyndns2, Fault::Web(&Web::Say(500, "", "oops")), "busy", Once, Heals::Trigger),
        case("dd-911", "911", Dyndns2, Fault::Web(&Web::Say(200, "", "911\n")), "busy", Once, Heals::Trigger),
        case(
            "dd-badauth",
            "badauth",
            Dyndns2,
            Fault::Web(&Web::Say(401, "", "badauth\n")),
            "credentials",
            Once,
            Heals::Trigger,
        ),
    ]
};

impl Case {
    /// The server's own address.
    pub fn addr(&self) -> Ipv4Addr {
        let at = CASES.iter().position(|case| case.name == self.name).unwrap_or_default();
        Ipv4Addr::new(198, 51, 100, 100 + at as u8)
    }

    /// The only name.
    pub fn domain(&self) -> String {
        format!("{}.{ZONE}", self.name)
    }

    /// The zone that holds it.
    pub fn zone(&self) -> String {
        match self.service {
            Service::Ahead | Service::Embedded => self.domain(),
            _ => ZONE.into(),
        }
    }

    /// The host of its web service.
    pub fn host(&self) -> String {
        format!("{}.web.test", self.name)
    }

    /// Whether it is served over HTTPS.
    pub fn is_web(&self) -> bool {
        matches!(self.service, Service::Cloudflare | Service::Dyndns2)
    }

    /// The account's password, or token. With characters that other codings change.
    pub fn secret(&self) -> String {
        format!("hush+{}/9f=", self.name)
    }

    /// Its web service, for [`crate::lab::web::Web::start`].
    pub fn face(&self) -> Face {
        let authorization = match self.service {
            Service::Dyndns2 => format!("Basic {}", base64(&format!("somebody:{}", self.secret()))),
            _ => format!("Bearer {}", self.secret()),
        };
        let tls = if self.service == Service::Dyndns2 { "TLSv1.2" } else { "TLSv1.2 TLSv1.3" };
        Face { host: self.host(), addr: self.addr(), tls, authorization }
    }

    /// The record section. `mended`: with the right key.
    fn section(&self, mended: bool) -> String {
        let key = if self.fault == Fault::WrongKey && !mended { "stranger-key" } else { KEY };
        let secret = if self.fault == Fault::WrongSecret && !mended { WRONG_SECRET } else { SECRET };
        let options = match self.service {
            Service::Bind | Service::Ahead | Service::Embedded => format!(
                "\toption provider 'rfc2136'\n\toption server '{}'\n\toption zone '{}'\n\
                 \toption tsig_name '{key}'\n\toption tsig_secret '{secret}'\n",
                self.addr(),
                self.zone()
            ),
            // Proxied, so that nobody asks DNS for an address that only the stand-in has.
            Service::Cloudflare => format!(
                "\toption provider 'cloudflare'\n\toption url 'https://{}/client/v4'\n\
                 \toption token '{}'\n\toption proxied '1'\n",
                self.host(),
                self.secret()
            ),
            Service::Dyndns2 => format!(
                "\toption provider 'dyndns2'\n\toption url 'https://{}'\n\
                 \toption username 'somebody'\n\toption password '{}'\n",
                self.host(),
                self.secret()
            ),
        };
        let domain = self.domain();
        let name = self.name.replace('-', "_");
        format!("config record '{name}'\n{options}\tlist domain '{domain}'\n\toption family 'ipv4'\n\n")
    }
}

/// The agent's configuration. `mended`: with the right keys.
pub fn config(mended: bool) -> String {
    let head = format!(
        "config porchlight 'global'\n\toption log_level 'debug'\n\toption cacert '{CACERT}'\n\
         \toption mapping_backend 'none'\n\n\
         config wan 'wan'\n\toption device 'wan0'\n\toption family 'ipv4'\n\tlist accept '203.0.113.0/24'\n\n"
    );
    head + &CASES.iter().map(|case| case.section(mended)).collect::<String>()
}

/// Texts that must never be seen: every secret, as it is and as others would code it.
pub fn secrets() -> Vec<String> {
    let mut all = vec![SECRET.to_owned(), WRONG_SECRET.to_owned()];
    for case in CASES.iter().filter(|case| case.is_web()) {
        let plain = case.secret();
        let percent = plain.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        all.extend([base64(&plain), base64(&format!("somebody:{plain}")), percent, plain]);
    }
    all
}

/// RFC 4648 section 4.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |chunk: &[u8]| {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digit = |i: usize| match i > chunk.len() {
            true => '=',
            false => char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]),
        };
        (0..4).map(digit).collect::<String>()
    };
    text.as_bytes().chunks(3).map(three).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648 section 10.
    #[test]
    fn base64_is_right() {
        let told = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(base64);
        assert_eq!(told, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn the_cases_have_names_of_their_own() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES.iter().skip(at + 1).all(|other| other.name != case.name), "{}", case.name);
            assert_eq!(case.class.is_empty(), case.heals == Heals::Healthy, "{}", case.name);
        }
    }
}
