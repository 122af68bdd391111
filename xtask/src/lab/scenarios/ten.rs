//! Ten names, both families, at one account of a real service: what the scenarios of providers share. One of the
//! names is an alias, beside which no address can be; one has addresses from before, with a time to live of its own.

use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use serde_json::Value;
use std::fs;
use std::net::IpAddr;

/// A name that is an alias.
pub const ALIAS: &str = "alias.example.com";
/// A name that has addresses already.
pub const OLD: &str = "old.example.com";
/// Their time to live, in seconds.
pub const OLD_TTL: u32 = 777;
/// Its addresses.
pub const OLD_ADDRS: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));
/// All ten: the apex, a wildcard, one deep down among them.
pub const NAMES: [&str; 10] = [
    NAME,
    ZONE,
    "*.wild.example.com",
    "front.cameras.example.com",
    ALIAS,
    "door.example.com",
    "garden.example.com",
    OLD,
    "roof.example.com",
    "xn--grn-hoa.example.com",
];
/// A name of nobody's.
pub const OUTSIDE: &str = "cam.example.org";
/// What the agent does by itself, it does within this time.
const LIMIT: Duration = Duration::from_secs(20);

/// How one record stands, as `status --json` says.
#[derive(Clone, Debug)]
pub struct Stand {
    /// Its name.
    pub domain: String,
    /// `published`, `failing` ...
    pub standing: String,
    /// The failure's class, or nothing.
    pub class: String,
    /// Its words.
    pub text: String,
    /// `A` or `AAAA`.
    pub rtype: String,
    wanted: Option<IpAddr>,
}

/// A service, as somebody sees it who has the server.
pub trait Service {
    /// How many requests to change something reached it so far.
    fn writes(&self) -> usize;

    /// What it holds for a name: addresses with their times to live.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>>;
}

/// A router with an agent that keeps names.
pub struct Ten<'a> {
    lab: &'a Lab,
    v4: Ipv4Addr,
}

impl<'a> Ten<'a> {
    /// With its WAN up.
    ///
    /// # Errors
    /// When the lab fails.
    pub fn new(lab: &'a Lab) -> Result<Ten<'a>> {
        lab.wan_up()?;
        lab.wait_dad(WAN6)?;
        Ok(Ten { lab, v4: WAN4 })
    }

    /// Writes the configuration: one record section with these options and names.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, options: &str, names: &[&str]) -> Result<()> {
        let lab = self.lab.config();
        let wan = lab.split("config record").next().unwrap_or_default();
        let names: String = names.iter().map(|name| format!("\tlist domain '{name}'\n")).collect();
        self.lab.write_config(&format!("{wan}config record 'home'\n{options}{names}\toption family 'any'\n"))
    }

    /// Gives the WAN the next IPv4 address.
    ///
    /// # Errors
    /// When the lab fails.
    pub fn readdress(&mut self) -> Result<()> {
        self.v4 = Ipv4Addr::from(self.v4.to_bits() + 1);
        self.lab.wan_readdress4(self.v4)
    }

    /// How one of the names stands when all were tried; the first of its records speaks for both.
    ///
    /// # Errors
    /// When that takes too long, or there is no such name.
    pub fn stand(&self, name: &str) -> Result<Stand> {
        let found = self.settled()?.into_iter().find(|stand| stand.domain == name);
        found.with_context(|| format!("status does not tell of {name}"))
    }

    /// A name in no zone of the account is no neighbour's trouble; the value says what the owner is told of it.
    ///
    /// # Errors
    /// When it is, or the lab fails.
    pub fn leaves_out(&self, options: &str) -> Result<String> {
        self.configure(options, &[NAME, OUTSIDE])?;
        let mut agent = self.lab.start_agent()?;
        let (stand, other) = (self.stand(OUTSIDE)?, self.stand(NAME)?);
        agent.stop(SECOND)?;
        ensure!(stand.class == "no-such-name" && other.standing == "published", "{stand:?}, {other:?}");
        Ok(format!("{OUTSIDE}: {}", stand.text))
    }

    /// Takes away what the agent remembers. None may run.
    ///
    /// # Errors
    /// When there was nothing.
    pub fn forget(&self) -> Result<()> {
        let state = self.lab.root.join("var/run/porchlight/state");
        fs::remove_file(state).context("the agent remembers nothing")
    }

    /// Waits until every record was tried with the address that the WAN has now.
    ///
    /// # Errors
    /// When that takes too long; the text holds the last status.
    pub fn settled(&self) -> Result<Vec<Stand>> {
        let mut last = Value::Null;
        until("every record was tried", LIMIT, || {
            last = self.lab.status().ok()?;
            let stands: Vec<Stand> = last["records"].as_array()?.iter().map(Stand::read).collect();
            let done = |stand: &Stand| {
                stand.wanted == Some(self.wanted(&stand.rtype)) && stand.standing != "publishing"
            };
            (!stands.is_empty() && stands.iter().all(done)).then_some(stands)
        })
        .with_context(|| format!("the last status: {last}"))
    }

    fn wanted(&self, rtype: &str) -> IpAddr {
        if rtype == "A" {
            self.v4.into()
        } else {
            WAN6.into()
        }
    }

    /// Waits until all is tried: what is not an alias is published, the alias is not, with these words; and the
    /// service holds just that.
    ///
    /// # Errors
    /// When something is not so.
    pub fn all_but_alias(&self, service: &dyn Service, words: &str) -> Result<()> {
        for stand in self.settled()? {
            let name = stand.domain.as_str();
            let held = service.held(name, if stand.rtype == "A" { Rtype::A } else { Rtype::AAAA })?;
            if name == ALIAS {
                ensure!(stand.class == "refused" && stand.text.contains(words), "the alias: {stand:?}");
                continue;
            }
            ensure!(stand.standing == "published" && stand.class.is_empty(), "{stand:?}");
            let [(addr, ttl)] = held.as_slice() else { anyhow::bail!("{name} {}: {held:?}", stand.rtype) };
            ensure!(Some(*addr) == stand.wanted, "{name} is {addr}, yet {stand:?}");
            ensure!(name != OLD || *ttl == OLD_TTL, "{name} had a time to live of {OLD_TTL}, not {ttl}");
        }
        Ok(())
    }

    /// The story that every service hears: nine names made, changed and found unchanged; then all are changed, and
    /// one more that is an alias is reported with these words. `most` is how many requests that takes at most.
    ///
    /// # Errors
    /// When something is not so, or the first nine take more than one request that writes.
    pub fn keeps(
        &mut self,
        service: &dyn Service,
        options: &str,
        words: &str,
        most: usize,
    ) -> Result<String> {
        let good: Vec<&str> = NAMES.into_iter().filter(|name| *name != ALIAS).collect();
        self.configure(options, &good)?;
        let mut agent = self.lab.start_agent()?;
        self.all_but_alias(service, words).context("made")?;
        ensure!(service.writes() == 1, "{} requests to make nine names", service.writes());
        self.readdress()?;
        self.all_but_alias(service, words).context("changed")?;
        ensure!(service.writes() == 2, "{} requests to change nine names", service.writes() - 1);
        agent.stop(SECOND)?;
        self.forget()?;
        let mut agent = self.lab.start_agent()?;
        self.all_but_alias(service, words).context("unchanged")?;
        agent.stop(SECOND)?;
        ensure!(service.writes() == 2, "{} requests to change what is right", service.writes() - 2);
        self.configure(options, &NAMES)?;
        self.readdress()?;
        let mut agent = self.lab.start_agent()?;
        self.all_but_alias(service, words).context("changed, with an alias among them")?;
        agent.stop(SECOND)?;
        let mixed = service.writes() - 2;
        ensure!(mixed <= most, "{mixed} requests to change nine names beside an alias");
        Ok(format!(
            "nine names, both families: made by one request that writes, changed by one, found unchanged by none; with \
             an alias among them, which is reported, changed by {mixed}; a time to live of {OLD_TTL} s was kept"
        ))
    }
}

impl Stand {
    fn read(record: &Value) -> Stand {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Stand {
            domain: text(&record["domain"]),
            standing: text(&record["standing"]),
            class: text(&record["failure"]["class"]),
            text: text(&record["failure"]["text"]),
            rtype: text(&record["type"]),
            wanted: record["wanted"].as_str().and_then(|addr| addr.parse().ok()),
        }
    }
}
