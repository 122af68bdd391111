//! Which address the internet sees, where the interface does not know: real DNS and TLS servers that tell the truth, lie,
//! break and are hijacked; a router behind NAT, behind carrier-grade NAT, behind NAT with a public-looking address, and
//! with two WANs. What is published is right, or stays as it was.

use super::Scenario;
use crate::lab::web::{Certificate, Face, Mood, Web, CACERT};
use crate::lab::whoami::{Asked, Say, Whoami};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

/// One WAN behind NAT, and everything that witnesses can do.
pub const WITNESS: Scenario = Scenario {
    name: "witness",
    about: "behind NAT two witnesses must agree; lies, error pages, portals, floods and hijacked DNS publish nothing",
    needs: &["nginx", "openssl"],
    limit: Duration::from_secs(180),
    slow: false,
    run: faults,
};

/// How a WAN can be reached, and by which WAN a question leaves.
pub const WAYS: Scenario = Scenario {
    name: "reach",
    about: "public, mismatch, carrier-grade NAT, told once; each WAN's questions leave by its own device",
    needs: &["nginx", "openssl"],
    limit: Duration::from_secs(120),
    slow: false,
    run: ways,
};

/// What the internet sees of the first WAN ...
const SEEN: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
/// ... and of the second.
const SEEN_B: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 99);
/// What it sees of the first WAN by IPv6, whose own network is private.
const SEEN6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x2800, 0x220, 1, 0x248, 0x1893, 0x25c8, 0x1946);
const PRIVATE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0x10);
/// The web witnesses' address in IPv6.
const WEB6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0x80);
/// The owner's own web witnesses, each of another operator.
const HOSTS: [&str; 3] = ["ip.alpha.test", "ip.beta.test", "ip.gamma.test"];
/// A round in which nobody is slow.
const ROUND: Duration = Duration::from_secs(20);
/// An error page with digits in it, as seen in the wild (jeessy2/ddns-go#1402), and a portal's page.
const ERROR_PAGE: &str = "<html><h1>502 Bad Gateway</h1><hr>openresty/1.2.1.1 at 1.2.1.1</html>";
const PORTAL: &str = "<html>Please log in at http://10.9.0.1/ to use 5.6.7.8</html>";

/// What the first and the third part of the internet see: behind them are translators.
const TRANSLATORS: &str = "
table ip isp {
	chain in {
		type nat hook input priority 100; policy accept;
		ip saddr 10.9.0.0/16 snat to 93.184.216.34
		ip saddr 100.64.0.0/10 snat to 93.184.216.34
		ip saddr 10.8.0.0/16 snat to 93.184.216.99
		ip saddr 203.0.113.128/25 snat to 93.184.216.34
	}
	chain watch {
		type filter hook prerouting priority raw; policy accept;
		iifname \"isp0\" ip saddr 10.8.0.0/16 counter name strays
		iifname \"isp1\" ip saddr != 10.8.0.0/16 counter name strays
	}
	chain count {
		type filter hook prerouting priority raw; policy accept;
		iifname \"isp1\" udp dport 53 counter name asked
		iifname \"isp1\" tcp dport 443 tcp flags syn counter name asked
	}
	counter strays { }
	counter asked { }
}
table ip6 isp {
	chain in {
		type nat hook input priority 100; policy accept;
		ip6 saddr fd00:9::/64 snat to 2606:2800:220:1:248:1893:25c8:1946
	}
}
";

/// A story's stage.
struct Stage<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    whoami: Whoami,
    web: Web,
    /// The WAN's last address, as its last byte.
    last: u8,
}

impl<'a> Stage<'a> {
    fn new(lab: &'a Lab) -> Result<Stage<'a>> {
        let dns = lab.nameserver()?;
        let whoami = Whoami::start(lab)?;
        let face = |(n, host): (usize, &&str)| Face {
            host: (*host).into(),
            addr: Ipv4Addr::new(198, 51, 100, 90 + n as u8),
            tls: "TLSv1.2 TLSv1.3",
            authorization: String::new(),
        };
        let faces: Vec<Face> = HOSTS.iter().enumerate().map(face).collect();
        let web = Web::start(lab, ZONE, &faces)?;
        for host in HOSTS {
            web.set_mood(host, Mood::Echo);
        }
        lab.internet.nft(TRANSLATORS)?;
        lab.wan_device()?;
        lab.internet.ip(&format!("route add {SEEN}/32 dev isp0"))?;
        Ok(Stage { lab, dns, whoami, web, last: 1 })
    }

    /// The lab's configuration with all sources.
    fn config(&self, more: &str) -> String {
        let urls: String = HOSTS.iter().map(|host| format!("\tlist ip_url 'https://{host}/'\n")).collect();
        let sources = "\tlist ip_source 'interface'\n\tlist ip_source 'dns'\n\tlist ip_source 'web'\n";
        let text = self.lab.config().replace("\tlist ip_source 'interface'\n", "");
        text.replace(
            "config porchlight 'global'\n",
            &format!("config porchlight 'global'\n\toption cacert '{CACERT}'\n\toption log_level 'debug'\n"),
        )
        .replace("\toption family 'any'\n", "\toption family 'ipv4'\n")
        .replace("\toption device 'wan0'\n", &format!("\toption device 'wan0'\n{sources}{urls}{more}"))
    }

    /// Gives the WAN the next private address, which begins with these bytes: a new one is asked about anew.
    fn next(&mut self, net: [u8; 3]) -> Result<Ipv4Addr> {
        self.last += 1;
        let addr = Ipv4Addr::new(net[0], net[1], net[2], self.last);
        let gateway = Ipv4Addr::new(net[0], net[1], net[2], 1);
        self.lab.internet.ip(&format!("addr replace {gateway}/24 dev isp0"))?;
        self.lab.router.ip4_batch(&[
            "addr flush dev wan0",
            &format!("addr add {addr}/24 dev wan0"),
            &format!("route replace default via {gateway} dev wan0"),
        ])?;
        Ok(addr)
    }

    /// What `status` says of a WAN's IPv4, once a round about this address is over.
    fn judged(&self, at: usize, addr: Ipv4Addr) -> Result<Value> {
        let mut last = Value::Null;
        until(&format!("the round about {addr} is over"), ROUND, || {
            last = self.lab.status().ok()?["wans"][at]["ipv4"].clone();
            let over = last.get("seen_as").is_some() || last.get("doubt").is_some();
            (over && last["address"] == addr.to_string()).then_some(())
        })
        .with_context(|| format!("the last: {last}"))?;
        Ok(last)
    }

    fn moods(&self, moods: [Mood; 3]) {
        for (host, mood) in HOSTS.iter().zip(moods) {
            self.web.set_mood(host, mood);
        }
    }
}

/// What is said in a case, by DNS and by each web service, and whether an agreement comes of it.
type Case = (&'static str, Say, [Mood; 3], bool);

fn cases() -> Vec<Case> {
    let say = |text| Mood::Say(200, "", text);
    let all = |mood: Mood| [mood.clone(), mood.clone(), mood];
    let (bad, echo) = (Mood::Say(502, "", ERROR_PAGE), Mood::Echo);
    vec![
        ("one lies", Say::Truth, [say("9.9.9.9"), echo.clone(), echo.clone()], true),
        ("all lie", Say::Lies, [say("9.9.9.1"), say("9.9.9.2"), say("9.9.9.3")], false),
        ("error pages", Say::Silent, all(bad), false),
        ("an error page with status 200", Say::Truth, [say(ERROR_PAGE), echo.clone(), echo.clone()], true),
        ("the right address with status 500", Say::Truth, all(Mood::Say(500, "", "93.184.216.34")), false),
        ("a portal", Say::Hijacked(Ipv4Addr::new(10, 9, 0, 1)), all(say(PORTAL)), false),
        ("a megabyte", Say::Truth, all(Mood::Big { told: false }), false),
        ("one is slow", Say::Truth, [Mood::Drip, echo.clone(), echo.clone()], true),
        ("no such name", Say::Nxdomain, all(echo.clone()), true),
        ("hijacked DNS", Say::Hijacked(Ipv4Addr::new(9, 9, 9, 9)), all(echo.clone()), true),
        ("a private address", Say::Hijacked(Ipv4Addr::new(10, 9, 0, 2)), all(say("192.168.1.1")), false),
        ("a service's own address", Say::Truth, all(say("{\"ip\":\"104.28.1.1\"}")), false),
        ("closed connections", Say::Truth, all(Mood::Close), false),
    ]
}

fn faults(lab: &mut Lab) -> Result<Summary> {
    let mut stage = Stage::new(lab)?;
    lab.write_config(&stage.config(""))?;
    let mut agent = lab.start_agent()?;
    let start = Instant::now();
    let first = stage.next([10, 9, 0])?;
    lab.wait_named(SEEN.into(), ROUND)?;
    let took = start.elapsed().as_millis();
    stage.judged(0, first)?;
    ensure!(
        stage.whoami.asked().iter().all(|asked| asked.from == IpAddr::V4(SEEN)),
        "{:?}",
        stage.whoami.asked()
    );
    let count = cases().len();
    for (what, say, moods, agree) in cases() {
        agent.stop(SECOND)?;
        stage.whoami.say(say);
        stage.moods(moods);
        // Without a memory of who failed in the case before.
        agent = lab.start_agent()?;
        // Each round begins with another service: within three of them everyone is asked.
        for _ in HOSTS {
            let addr = stage.next([10, 9, 0])?;
            let line = stage.judged(0, addr).context(what)?;
            let seen = line["seen_as"].as_str().map(str::to_string);
            ensure!(seen == agree.then(|| SEEN.to_string()), "{what}: {line}");
            if !agree {
                break;
            }
        }
        ensure!(stage.dns.count() == (1, 1), "{what}: published {:?}", stage.dns.updates());
    }
    // Nobody vouches for the certificates: DNS alone proves nothing.
    agent.stop(SECOND)?;
    stage.whoami.say(Say::Truth);
    stage.moods([Mood::Echo, Mood::Echo, Mood::Echo]);
    for host in HOSTS {
        stage.web.set_certificate(host, Certificate::Stranger)?;
    }
    agent = lab.start_agent()?;
    let addr = stage.next([10, 9, 0])?;
    let line = stage.judged(0, addr)?;
    ensure!(line["doubt"].as_str().is_some_and(|why| why.contains("none over TLS")), "{line}");
    // They are mended: the next round, which a person asks for, agrees.
    for host in HOSTS {
        stage.web.set_certificate(host, Certificate::Good)?;
    }
    lab.verb(&["trigger"])?;
    until("the mended services agree", ROUND, || {
        (lab.status().ok()?["wans"][0]["ipv4"]["seen_as"] == SEEN.to_string()).then_some(())
    })?;
    // A service that refuses us is left alone.
    stage.moods([Mood::Say(429, "Retry-After: 600\r\n", ""), Mood::Echo, Mood::Echo]);
    stage.whoami.say(Say::Silent);
    let addr = stage.next([10, 9, 0])?;
    stage.judged(0, addr)?;
    let before = stage.web.seen(HOSTS[0]).len();
    stage.next([10, 9, 0]).and_then(|addr| stage.judged(0, addr))?;
    ensure!(stage.web.seen(HOSTS[0]).len() == before, "who refused is asked again at once");
    ensure!(stage.dns.count() == (1, 1), "published {:?}", stage.dns.updates());
    agent.stop(SECOND)?;
    Ok(Summary::line(format!("agreed and published after {took} ms; {count} faults change nothing")))
}

fn ways(lab: &mut Lab) -> Result<Summary> {
    let mut stage = Stage::new(lab)?;
    lab.write_config(&stage.config(""))?;
    let mut agent = lab.start_agent()?;
    let public = stage.next([203, 0, 113])?;
    lab.wait_named(public.into(), SECOND)?;
    let line = stage.judged(0, public)?;
    ensure!(line["reach"] == "public" && line["known_by"] == "witnesses", "{line}");
    ensure!(stage.whoami.asked().len() == 1, "one question confirms it: {:?}", stage.whoami.asked());
    // A provider that translates behind public space.
    stage.last = 200;
    let start = Instant::now();
    stage.next([203, 0, 113])?;
    lab.wait_named(SEEN.into(), ROUND)?;
    agent.wait_line(start, "the internet sees 93.184.216.34", SECOND)?;
    let asked = stage.whoami.asked().len();
    lab.verb(&["trigger"])?;
    until("a person's round is asked", ROUND, || (stage.whoami.asked().len() > asked).then_some(()))?;
    let before = stage.dns.count();
    // A carrier's NAT.
    let start = Instant::now();
    let shared = stage.next([100, 64, 7])?;
    let line = stage.judged(0, shared)?;
    ensure!(line["means"].as_str().is_some_and(|means| means.contains("no address is published")), "{line}");
    agent.wait_line(start, "carrier-grade NAT", SECOND)?;
    lab.verb(&["trigger"])?;
    let next = stage.next([100, 64, 7])?;
    stage.judged(0, next)?;
    ensure!(stage.dns.count() == before, "something was published: {:?}", stage.dns.updates());
    let told = agent.lines().iter().filter(|line| line.text.contains("many homes share one address")).count();
    ensure!(told == 2, "told {told} times of two addresses");
    let told = agent.lines().iter().filter(|line| line.text.contains("translates addresses")).count();
    ensure!(told == 1, "a mismatch is told {told} times");
    agent.stop(SECOND)?;
    two_wans(lab, &mut stage)?;
    let list = first_of_two(lab, &mut stage)?;
    let six = private_six(lab, &mut stage)?;
    Ok(Summary(vec![
        "public is confirmed by one question, a mismatch told, carrier-grade NAT publishes nothing".into(),
        "two WANs: all questions of the second leave by it, and without its device there are none".into(),
        list,
        six,
    ]))
}

/// The configuration with a second WAN, and a record that follows these.
fn two_of_them(stage: &Stage, follows: &[&str]) -> Result<String> {
    let text = stage.config("");
    let second = text.replace("config wan 'wan'", "config wan 'second'").replace("'wan0'", "'wan1'");
    let second = second.split("config wan").nth(1).and_then(|text| text.split("config record").next());
    let second = format!("config wan{}config record", second.context("no wan section")?);
    let list: String = follows.iter().map(|wan| format!("\tlist wan '{wan}'\n")).collect();
    let text = text.replacen("config record", &second, 1);
    Ok(text.replace("\toption provider", &format!("{list}\toption provider")))
}

/// The second WAN's device, behind another translator.
fn second_wan(lab: &Lab) -> Result<()> {
    lab.router.ip("link add wan1 type veth peer name isp1 netns internet")?;
    lab.internet.ip_batch(&[
        "addr add 10.8.0.1/24 dev isp1",
        "link set isp1 up",
        &format!("route add {SEEN_B}/32 dev isp1"),
    ])?;
    lab.router.ip_batch(&[
        "link set wan1 up",
        "addr add 10.8.0.2/24 dev wan1",
        "route add default via 10.8.0.1 dev wan1 metric 20",
    ])
}

/// How many packets a counter of the internet's saw.
fn counted(lab: &Lab, counter: &str) -> Result<u64> {
    let text = lab.internet.sh(&format!("nft list counter ip isp {counter}"))?;
    let count = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    count.with_context(|| format!("no counter: {text}"))
}

/// Each WAN is asked about by its own device; without the device nobody is asked, and nothing is published.
fn two_wans(lab: &Lab, stage: &mut Stage) -> Result<()> {
    lab.write_config(&two_of_them(stage, &["second"])?)?;
    second_wan(lab)?;
    let addr = stage.next([10, 9, 1])?;
    let mut agent = lab.start_agent()?;
    lab.wait_named(SEEN_B.into(), ROUND)?;
    ensure!(stage.judged(1, Ipv4Addr::new(10, 8, 0, 2))?["seen_as"] == SEEN_B.to_string(), "the second WAN");
    // No record follows the first WAN, but a mapping is reached by it.
    ensure!(stage.judged(0, addr)?["seen_as"] == SEEN.to_string(), "the first WAN");
    let (asked, strays) = (counted(lab, "asked")?, counted(lab, "strays")?);
    ensure!(
        asked >= 3 && strays == 0,
        "of the second WAN's questions {asked} left by it, {strays} by another"
    );
    let (asked, count) = (stage.whoami.asked().len(), stage.dns.count());
    lab.router.ip("link del wan1")?;
    until("the second WAN is offline", ROUND, || {
        (lab.status().ok()?["wans"][1]["ipv4"]["reach"] == "offline").then_some(())
    })?;
    lab.verb(&["trigger"])?;
    stage.judged(0, addr)?;
    let later = &stage.whoami.asked()[asked..];
    ensure!(later.iter().all(|asked| asked.from == IpAddr::V4(SEEN)), "asked without the device: {later:?}");
    ensure!(stage.dns.count() == count, "published without the device: {:?}", stage.dns.updates());
    agent.stop(SECOND).map(drop)
}

/// A record with a list follows the first WAN by which the internet gets in.
fn first_of_two(lab: &Lab, stage: &mut Stage) -> Result<String> {
    stage.next([100, 64, 8])?;
    second_wan(lab)?;
    lab.write_config(&two_of_them(stage, &["wan", "second"])?)?;
    let mut agent = lab.start_agent()?;
    lab.wait_named(SEEN_B.into(), ROUND)?;
    let public = stage.next([203, 0, 113])?;
    let start = Instant::now();
    lab.wait_named(public.into(), ROUND)?;
    let took = start.elapsed().as_millis();
    lab.router.ip("route del default dev wan0")?;
    lab.wait_named(SEEN_B.into(), ROUND)?;
    agent.stop(SECOND)?;
    lab.router.ip("link del wan1")?;
    Ok(format!("a list of WANs: the first that is reached, {took} ms after it is public, and the other when it is gone"))
}

/// By IPv6: behind a translator of prefixes what witnesses see is published; so it is where the owner does not want the
/// interface to be believed.
fn private_six(lab: &Lab, stage: &mut Stage) -> Result<String> {
    let hosts = fs::read_to_string(lab.router.etc("hosts"))?;
    let six: String = HOSTS.iter().map(|host| format!("{WEB6} {host}\n")).collect();
    fs::write(lab.router.etc("hosts"), hosts + &six)?;
    lab.internet.ip(&format!("addr add {WEB6}/128 dev lo"))?;
    lab.internet.ip(&format!("route add {SEEN6}/128 dev isp0"))?;
    stage.next([203, 0, 113])?;
    lab.write_config(&stage.config("").replace("'ipv4'", "'ipv6'"))?;
    let mut agent = lab.start_agent()?;
    let start = Instant::now();
    lab.wan_add6(PRIVATE6)?;
    lab.wait_named(SEEN6.into(), ROUND)?;
    let took = start.elapsed().as_millis();
    let line = &lab.status()?["wans"][0]["ipv6"];
    ensure!(line["address"] == PRIVATE6.to_string() && line["seen_as"] == SEEN6.to_string(), "{line}");
    let by_six =
        |asked: &[Asked], from: Ipv6Addr| !asked.is_empty() && asked.iter().all(|one| one.from == from);
    let asked: Vec<Asked> = stage.whoami.asked().into_iter().filter(|asked| asked.server.is_ipv6()).collect();
    ensure!(by_six(&asked, SEEN6), "asked: {asked:?}");
    agent.stop(SECOND)?;
    // A public address, which the owner wants to hear from witnesses.
    let count = asked.len();
    let text = stage.config("").replace("'ipv4'", "'ipv6'").replace("\tlist ip_source 'interface'\n", "");
    lab.write_config(&text)?;
    lab.wan_readdress6(WAN6)?;
    lab.wait_dad(WAN6)?;
    agent = lab.start_agent()?;
    lab.wait_named(WAN6.into(), ROUND)?;
    let line = &lab.status()?["wans"][0]["ipv6"];
    ensure!(line["reach"] == "public" && line["known_by"] == "witnesses", "{line}");
    let asked: Vec<Asked> = stage.whoami.asked().into_iter().filter(|asked| asked.server.is_ipv6()).collect();
    ensure!(by_six(&asked[count..], WAN6), "asked: {asked:?}");
    agent.stop(SECOND)?;
    Ok(format!("IPv6 behind a translator: what is seen is published after {took} ms; a public one once witnesses say it"))
}
