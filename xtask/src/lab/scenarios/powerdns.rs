//! A real PowerDNS keeps ten names for the agent: by signed updates (RFC 2136), and by its HTTP API.

use super::ten::{Service, Stand, Ten, ALIAS, NAMES};
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::Rtype;
use nix::sys::signal::Signal;
use std::fs;
use std::net::IpAddr;

/// A key of the same length as the right one.
const WRONG_SECRET: &str = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch";
/// A name of nobody's.
const OUTSIDE: &str = "cam.example.org";
/// So many refusals without a signature are needed to be believed.
const UNSIGNED_LIMIT: usize = 3;
/// The options for updates.
const UPDATE_OPTIONS: &str = "\toption provider 'rfc2136'
\toption server 'ns1.example.com'
\toption tsig_name 'ddns-key'
\toption tsig_secret_file '/etc/porchlight/tsig.key'
";

/// By signed updates.
pub const UPDATE: Scenario = Scenario {
    name: "powerdns-update",
    about:
        "PowerDNS by signed updates: ten names made, changed, left alone; a wrong key and a foreign name told",
    needs: powerdns::NEEDS,
    limit: Duration::from_secs(90),
    slow: false,
    run: update,
};

/// PowerDNS, where updates are looked at.
struct ByUpdate<'a>(&'a Lab, &'a PowerDns);

impl Service for ByUpdate<'_> {
    fn writes(&self) -> usize {
        self.1.updates() + self.1.denied()
    }

    fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>> {
        Ok(probe::ask(&self.0.internet, (DNS4, 53).into(), name, rtype, SECOND)?.addrs)
    }
}

fn update(lab: &mut Lab) -> Result<Summary> {
    let dns = PowerDns::start(lab)?;
    let service = ByUpdate(lab, &dns);
    let mut ten = Ten::new(lab, UPDATE_OPTIONS)?;
    let mut summary = Summary(ten.keeps(&service, "a CNAME record stands at", [1, 1])?);
    summary.0.push(wrong_key(lab, &dns, &mut ten)?);
    summary.0.push(outside(lab, &ten)?);
    Ok(summary)
}

/// PowerDNS says REFUSED to a wrong key, and signs nothing; so it may be anyone's. It is believed when it comes again.
fn wrong_key(lab: &Lab, dns: &PowerDns, ten: &mut Ten) -> Result<String> {
    let service = ByUpdate(lab, dns);
    let (before, updates) = (service.held(NAME, Rtype::A)?, dns.updates());
    let key = lab.root.join("etc/porchlight/tsig.key");
    fs::write(&key, WRONG_SECRET)?;
    ten.readdress()?;
    let mut agent = lab.start_agent()?;
    for time in 1..=UNSIGNED_LIMIT {
        until("it is denied", 5 * SECOND, || (dns.denied() == time).then_some(()))?;
        let stand = of(ten.settled()?, NAME)?;
        let class = if time < UNSIGNED_LIMIT { "unconfirmed" } else { "refused" };
        ensure!(stand.class == class, "denied {time} times: {stand:?}");
        ensure!(stand.text.contains("the key's name, its algorithm (hmac-sha256) and secret"), "{stand:?}");
        if time < UNSIGNED_LIMIT {
            lab.verb(&["trigger"])?.success()?;
        }
    }
    ensure!(
        dns.updates() == updates && service.held(NAME, Rtype::A)? == before,
        "a wrong key changed something"
    );
    fs::write(&key, SECRET)?;
    agent.signal(Signal::SIGHUP)?;
    until("the right key is taken", 5 * SECOND, || (dns.updates() > updates).then_some(()))?;
    ten.all_but_alias(&service, "a CNAME record stands at").context("with the right key again")?;
    ensure!(dns.updates() == updates + 1, "{} updates with the right key", dns.updates() - updates);
    agent.stop(SECOND)?;
    Ok(format!(
        "a wrong key: REFUSED without a signature, believed after {UNSIGNED_LIMIT} times, nothing changed"
    ))
}

/// A name that lies not in the zone that the owner named, which is told before anything runs; or in no zone of the
/// server, which its answers tell, and they are not signed either.
fn outside(lab: &Lab, ten: &Ten) -> Result<String> {
    ten.configure(&format!("{UPDATE_OPTIONS}\toption zone '{ZONE}'\n"), &[NAME, OUTSIDE])?;
    let check = lab.verb(&["check"])?;
    let told = format!("'{OUTSIDE}' is not in the zone '{ZONE}'");
    ensure!(!check.status.success() && check.stderr.contains(&told), "check says: {}", check.stderr);
    ten.configure(UPDATE_OPTIONS, &[NAME, OUTSIDE])?;
    let mut agent = lab.start_agent()?;
    for time in 1..=UNSIGNED_LIMIT {
        let count = format!("({time} of {UNSIGNED_LIMIT})");
        let stands = until(&format!("it is told {time} times"), 5 * SECOND, || {
            let stands = ten.settled().ok()?;
            let foreign = of(stands.clone(), OUTSIDE).ok()?;
            let told = foreign.text.contains(&count) || foreign.class == "no-such-name";
            (told && foreign.text.contains("tells no zone that holds")).then_some(stands)
        })?;
        ensure!(of(stands.clone(), NAME)?.standing == "published", "its neighbour suffers: {stands:?}");
        let rests = of(stands, OUTSIDE)?.class == "no-such-name";
        ensure!(rests == (time == UNSIGNED_LIMIT), "told {time} times, it rests: {rests}");
        if !rests {
            lab.verb(&["trigger"])?.success()?;
        }
    }
    agent.stop(SECOND)?;
    Ok(format!(
        "{OUTSIDE}: with option zone the check tells; else no such name, after {UNSIGNED_LIMIT} times"
    ))
}

/// How a name stands, both records alike.
fn of(stands: Vec<Stand>, name: &str) -> Result<Stand> {
    stands
        .into_iter()
        .find(|stand| stand.domain == name)
        .with_context(|| format!("status does not tell of {name}"))
}
