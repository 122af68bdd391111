//! A service on the internet, which the owner chose, tries the camera's port (`option probe_url`): what it says is shown,
//! a failure to ask it is not "closed", and without it nothing is claimed of the outside.

use super::Scenario;
use crate::lab::web::{Certificate, Face, Mood, Web, CACERT};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use serde_json::Value;

/// With nginx before the service.
pub const OUTSIDE: Scenario = Scenario {
    name: "outside",
    about: "a service that the owner chose tries the port from the internet: open, closed, or not known",
    needs: &["nginx"],
    limit: Duration::from_secs(90),
    slow: false,
    run,
};

/// The service, and whereto it tries to lead us.
const HOST: &str = "check.test";
const ELSEWHERE: &str = "elsewhere.test";
const CAMERA4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// For what follows at once.
const LIMIT: Duration = Duration::from_secs(5);
/// The service's own patience with a port that drops packets is a second.
const TRIED_LIMIT: Duration = Duration::from_secs(10);
/// As a provider that lets in nothing on that port.
const BLOCK: &str = "table ip provider {
	chain out {
		type filter hook output priority filter
		tcp dport 8554 drop
	}
}
";

fn run(lab: &mut Lab) -> Result<Summary> {
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAMERA4)?;
    let _camera = Camera::start(&host.ns, 554, "front")?;
    lab.write_leases(&[host.lease(CAMERA4)])?;
    let face = |(n, host): (u8, &str)| Face {
        host: host.into(),
        addr: Ipv4Addr::new(198, 51, 100, 90 + n),
        tls: "TLSv1.2 TLSv1.3",
        authorization: String::new(),
    };
    let web = Web::start(lab, ZONE, &[face((0, HOST)), face((1, ELSEWHERE))])?;
    web.set_mood(HOST, Mood::Try);
    let stage = Stage { lab, web };
    let mut summary = Summary::default();
    summary.0.push(stage.nobody()?);
    summary.0.extend(stage.life()?);
    Ok(summary)
}

struct Stage<'a> {
    lab: &'a Lab,
    web: Web,
}

impl Stage<'_> {
    /// Nobody is asked: `status` claims nothing of the outside.
    fn nobody(&self) -> Result<String> {
        self.lab.write_config(&self.lab.config())?;
        let mut agent = self.lab.start_agent()?;
        self.lab.wait_reachable("front", WAN4.into(), LIMIT)?;
        self.says("only the inside was tested")?;
        agent.stop(LIMIT)?;
        ensure!(self.web.seen(HOST).is_empty(), "somebody was asked: {:?}", self.web.seen(HOST));
        Ok("nobody to ask: status says that only the inside was tested".into())
    }

    fn life(&self) -> Result<Vec<String>> {
        let url = format!("https://{HOST}/try?host={{ip}}&port={{port}}");
        let global = format!("'global'\n\toption cacert '{CACERT}'\n\toption probe_url '{url}'\n");
        self.lab.write_config(&self.lab.config().replacen("'global'\n", &global, 1))?;
        let start = Instant::now();
        let mut agent = self.lab.start_agent()?;
        self.wait("open", |tried| tried["says"] == "open")?;
        let took = start.elapsed();
        let seen = self.web.seen(HOST);
        let line = format!("GET /try?host={WAN4}&port={PORT}");
        ensure!(seen.len() == 1 && seen[0].line == line, "asked {seen:?}, not once {line}");
        ensure!(seen[0].from == WAN4.to_string(), "asked from {}", seen[0].from);
        agent.wait_line(start, "is open from the internet", LIMIT)?;
        let said = vec![
            format!(
                "open: said {} ms after the start, by one question from the WAN's address",
                took.as_millis()
            ),
            self.closed(&agent)?,
            self.failures(&agent)?,
            self.moved()?,
        ];
        agent.stop(LIMIT)?;
        Ok(said)
    }

    /// The provider blocks the port: the inside is as it was.
    fn closed(&self, agent: &Agent) -> Result<String> {
        self.lab.internet.nft(BLOCK)?;
        let start = Instant::now();
        self.again(|tried| tried["says"] == "closed")?;
        agent.wait_line(start, "is closed from the internet", LIMIT)?;
        self.says(&format!(
            "! outside  front_rtsp: {WAN4} port {PORT} is closed from the internet, says {HOST}"
        ))?;
        ensure!(self.lab.status()?["mappings"][0]["open"] == true, "the inside is closed too");
        self.lab.internet.sh("nft delete table ip provider")?;
        self.again(|tried| tried["says"] == "open")?;
        Ok("blocked by the provider: closed, in the log and marked in status; open again when that ends"
            .into())
    }

    /// A service that cannot be asked, or says nothing: what it said before stays, and it is not "closed".
    fn failures(&self, agent: &Agent) -> Result<String> {
        let cases = [
            (Mood::Say(502, "", "false"), "status 502"),
            (Mood::Say(302, "Location: https://elsewhere.test/false\r\n", "false"), "status 302"),
            (Mood::Say(200, "", "<html>Please log in</html>"), "answers neither"),
            (Mood::Say(200, "", "true or false"), "answers both"),
            (Mood::Big { told: false }, "longer than 4 KiB"),
            (Mood::Close, "cut off"),
        ];
        let count = cases.len();
        for (mood, why) in cases {
            self.web.set_mood(HOST, mood);
            self.fails(why)?;
        }
        self.web.set_mood(HOST, Mood::Try);
        self.web.set_certificate(HOST, Certificate::Stranger)?;
        self.fails("certificate")?;
        self.web.set_certificate(HOST, Certificate::Good)?;
        ensure!(
            self.web.seen(ELSEWHERE).is_empty(),
            "a redirect was followed: {:?}",
            self.web.seen(ELSEWHERE)
        );
        let told = agent.lines().iter().filter(|line| line.text.contains("is not known")).count();
        ensure!(told == 1, "told {told} times");
        self.again(|tried| tried["says"] == "open" && tried.get("failure").is_none())?;
        Ok(format!(
            "{} faults of the service: not known, never closed, told once; no redirect is followed",
            count + 1
        ))
    }

    fn fails(&self, why: &str) -> Result<()> {
        let failed = |tried: &Value| tried["failure"].as_str().is_some_and(|text| text.contains(why));
        self.again(|tried| failed(tried) && tried["says"] == "open").with_context(|| format!("for: {why}"))
    }

    /// Another address: it is tried there, though not more than once a minute, but for a person.
    fn moved(&self) -> Result<String> {
        let count = self.web.seen(HOST).len();
        let later = Ipv4Addr::new(203, 0, 113, 77);
        self.lab.wan_readdress4(later)?;
        self.lab.wait_reachable("front", later.into(), LIMIT)?;
        self.says(&format!("{later} port {PORT} was not tried yet"))?;
        ensure!(self.web.seen(HOST).len() == count, "asked again within a minute");
        self.again(|tried| tried["says"] == "open" && tried["address"] == later.to_string())?;
        let seen = self.web.seen(HOST);
        let last = seen.last().context("nobody asked")?;
        ensure!(last.line.contains(&later.to_string()) && last.from == later.to_string(), "asked {last:?}");
        Ok("another address: tried there, when a person asks for it or a minute is over".into())
    }

    /// Waits until the text of `status` has this.
    fn says(&self, what: &str) -> Result<()> {
        let mut last = String::new();
        until(&format!("status says: {what}"), LIMIT, || {
            last = self.lab.verb(&["status"]).ok()?.stdout;
            last.contains(what).then_some(())
        })
        .with_context(|| format!("the last:\n{last}"))
    }

    /// A person asks for a try, which comes to this.
    fn again(&self, fits: impl Fn(&Value) -> bool) -> Result<()> {
        self.lab.verb(&["trigger"])?;
        self.wait("another try", fits)
    }

    fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
        let mut last = Value::Null;
        until(&format!("status shows what the service says: {what}"), TRIED_LIMIT, || {
            last = self.lab.status().ok()?["outside"].clone();
            fits(&last["tried"][0]).then_some(())
        })
        .with_context(|| format!("the last: {last}"))
    }
}
