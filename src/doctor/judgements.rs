//! The judgements, each by the facts that call for it.

use super::names::{Answer, Heard};
use super::ways::{Hop, Room};
use super::*;
use crate::act::readback::{Published, Seen, NO_AUTHORITY};
use crate::config::load::{load, Sources};
use crate::mapping::present::Present;
use crate::model::{Protection, Reading, Scheme, Time, WanWorld};
use crate::provider::{Failure, Kind, PROVIDERS};
use crate::state::CameraState;
use std::net::SocketAddr;

const TEXT: &str = "config wan wan\noption device wan0\nlist accept 203.0.113.0/24\n\
    config record home\noption provider rfc2136\noption server ns1.example.com\nlist domain cam.example.com\noption family ipv4\n\
    config camera front\nlist mac 02:00:00:00:00:20\n\
    config mapping front_rtsp\noption camera front\noption src_dport 8554\noption dest_port 554\n";
const WAN: &str = "203.0.113.10";

struct Nothing;

impl Sources for Nothing {
    fn first_line(&self, path: &str) -> Result<String, String> {
        Err(format!("there is no {path}"))
    }
    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A home of which all is well, with something in its configuration replaced.
fn home(old: &str, new: &str) -> Facts {
    assert!(TEXT.contains(old), "{old}");
    let config = load(&TEXT.replacen(old, new, 1), "porchlight", PROVIDERS, &Nothing).config;
    let mut world = World { complete: true, ..World::default() };
    let mut wan =
        WanWorld { device: Some("wan0".into()), last_device: Some("wan0".into()), ..WanWorld::default() };
    wan.v4.addr = Reading::Seen { value: ip(WAN), at: Time(1) };
    wan.v4.route = true;
    world.wans.insert("wan".into(), wan);
    let own = |device: &str, addr: &str| crate::model::OwnAddr {
        device: device.into(),
        addr: ip(addr),
        prefix: 24,
        settled: true,
    };
    world.own = vec![own("wan0", WAN), own("lan0", "192.168.1.1")];
    let mut state = State::default();
    let camera = CameraState { addr: Some(ip("192.168.1.20")), ..CameraState::default() };
    state.cameras.insert("front".into(), camera);
    let device = Device { index: 2, name: "wan0".into(), up: true, running: true };
    let now = Now { boot: Time(1_000), wall: 1_800_000_000 };
    Facts { config, world, state, status: Json::Null, devices: vec![device], now }
}

fn well() -> Facts {
    home("", "")
}

/// The finding is broken, and has all these words somewhere.
#[track_caller]
fn broken(finding: &Finding, words: &[&str]) {
    let text = format!("{} / {} / {}", finding.what, finding.known, finding.mend);
    assert_eq!(finding.grade, Grade::Broken, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(!finding.known.is_empty() && !finding.mend.is_empty(), "{text}");
}

#[track_caller]
fn fine(finding: &Finding) {
    assert_eq!(finding.grade, Grade::Ok, "{} / {}", finding.what, finding.mend);
}

/// Its place is said where there is one.
#[test]
fn the_configuration() {
    let judged = |text: &str| {
        let loaded = load(text, "FILE", PROVIDERS, &Nothing);
        ways::config(Ok(&loaded.problems), &loaded.config, "FILE")
    };
    fine(&judged(TEXT));
    broken(&judged("config wan wan\noption device wan0 wan1\n"), &["too many", "line 2 of FILE: correct it"]);
    let nothing = judged("");
    broken(&nothing, &["no wan section"]);
    assert!(nothing.mend.starts_with("FILE: correct it"), "{}", nothing.mend);
}

#[test]
fn the_agent() {
    let status = |text: &str| Json::parse(text).unwrap();
    fine(&ways::agent(Ok(&status(r#"{"problems":[],"deaf":[]}"#)), false, true));
    fine(&ways::agent(Ok(&Json::Null), true, true));
    broken(&ways::agent(Ok(&Json::Null), true, false), &["porchlight once"]);
    broken(&ways::agent(Ok(&Json::Null), false, true), &["service porchlight start"]);
    broken(&ways::agent(Err("it gave no answer"), false, true), &["no answer", "restart"]);
    for (told, word) in [
        (r#"{"problems":["/etc/config/porchlight:3: error: no"]}"#, "porchlight check"),
        (r#"{"deaf":["the network sensor stopped"]}"#, "network sensor"),
    ] {
        let finding = ways::agent(Ok(&status(told)), false, true);
        assert_eq!(finding.grade, Grade::Warning);
        assert!(format!("{}{}", finding.what, finding.mend).contains(word));
    }
}

#[test]
fn devices() {
    fine(&ways::device(&well()));
    let mut facts = well();
    facts.devices[0].running = false;
    broken(&ways::device(&facts), &["wan0 has no carrier"]);
    facts.devices[0].up = false;
    broken(&ways::device(&facts), &["`ip link set wan0 up`"]);
    facts.devices.clear();
    broken(&ways::device(&facts), &["no device wan0"]);
    // A second WAN that works makes it a warning.
    let mut facts = home("config record", "config wan lte\noption device wwan0\nconfig record");
    assert_eq!(ways::device(&facts).grade, Grade::Warning);
    facts.devices.push(Device { index: 3, name: "wwan0".into(), up: true, running: true });
    fine(&ways::device(&facts));
}

#[test]
fn addresses() {
    fine(&ways::address(&well()));
    let of = |addr: &str| {
        let mut facts = well();
        facts.world.wans.get_mut("wan").unwrap().v4.addr = Reading::Seen { value: ip(addr), at: Time(1) };
        facts
    };
    broken(&ways::address(&of("100.64.0.10")), &["carrier-grade NAT", "tunnel"]);
    let mut private = of("192.168.0.2");
    broken(&ways::address(&private), &["another router", "UPnP"]);
    // A pass has published what witnesses saw.
    let id = ids(&private.config.records[0]).next().unwrap();
    let memory = crate::state::RecordState { known: Known::Remembered(ip(WAN)), ..Default::default() };
    private.state.records.insert(id, memory);
    assert_eq!(ways::address(&private).grade, Grade::Warning);
    let mut none = well();
    none.world.wans.get_mut("wan").unwrap().v4.addr = Reading::Never;
    broken(&ways::address(&none), &["no IPv4 address", "ifup wan"]);
    // The agent has heard what we have not.
    private.status = Json::parse(
        r#"{"records":[{"record":"home","domain":"cam.example.com","type":"A","wanted":"93.184.216.34"}]}"#,
    )
    .unwrap();
    let finding = ways::address(&private);
    fine(&finding);
    assert!(finding.what.contains("93.184.216.34"));
}

#[test]
fn a_gateway() {
    let hop = |route, answer: Option<&str>| Hop {
        wan: "wan".into(),
        gateway: Some(ip("203.0.113.1")),
        route,
        answer: answer.map(String::from),
    };
    fine(&ways::gateway(&[hop(true, Some("the next hop 203.0.113.1"))]));
    broken(&ways::gateway(&[hop(true, None)]), &["203.0.113.1 does not answer"]);
    broken(&ways::gateway(&[hop(false, None)]), &["no default route", "ifup wan"]);
    assert_eq!(ways::gateway(&[hop(false, None), hop(true, Some("x"))]).grade, Grade::Warning);
}

#[test]
fn resolvers() {
    let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let (one, two) = (at("192.0.2.1:53"), at("192.0.2.2:53"));
    let dead = || Err("resolver 192.0.2.1:53 does not answer".to_string());
    fine(&ways::resolver(&[(one, Ok(()))], None));
    broken(&ways::resolver(&[], None), &["names no resolver"]);
    broken(&ways::resolver(&[(one, dead())], None), &["192.0.2.1"]);
    assert_eq!(ways::resolver(&[(one, dead()), (two, Ok(()))], None).grade, Grade::Warning);
    broken(&ways::resolver(&[(one, Ok(()))], Some((one, ip("198.51.100.80")))), &["invents", ".invalid"]);
}

fn looked(seen: Seen) -> Vec<names::Looked> {
    let none = Published { servers: vec![("ns1".into(), Seen::Absent)] };
    let told = Published { servers: vec![("ns1".into(), seen)] };
    vec![("cam.example.com".into(), Family::V4, Ok(told)), ("cam.example.com".into(), Family::V6, Ok(none))]
}

#[test]
fn name_servers() {
    fine(&ways::servers(&looked(Seen::Address(vec![ip(WAN)]))));
    broken(&ways::servers(&looked(Seen::Unknown(NO_AUTHORITY.into()))), &["somebody else", "port 53"]);
    broken(&ways::servers(&looked(Seen::Unknown("did not answer".into()))), &["ns1 did not answer"]);
    let failed = |kind| vec![("cam.example.com".into(), Family::V4, Err(Failure::new(kind, "why")))];
    broken(&ways::servers(&failed(Kind::NoSuchName)), &["why", "spelling"]);
    broken(&ways::servers(&failed(Kind::NotReady)), &["why"]);
    let one_dead = Published {
        servers: vec![("ns1".into(), Seen::Absent), ("ns2".into(), Seen::Unknown("did not answer".into()))],
    };
    let finding = ways::servers(&[("cam.example.com".into(), Family::V4, Ok(one_dead))]);
    assert_eq!((finding.grade, finding.what.contains("ns2")), (Grade::Warning, true));
}

#[test]
fn the_clock_and_certificates() {
    fine(&ways::clock(1_800_000_000));
    broken(&ways::clock(2 * 86_400), &["1970", "ntpd"]);
    let missing = || {
        Err(Failure::new(
            Kind::Untrusted,
            "TLS: no file; install the package ca-bundle, or set option cacert",
        ))
    };
    fine(&ways::trust(Ok(()), true));
    fine(&ways::trust(missing(), false));
    let finding = ways::trust(missing(), true);
    broken(&finding, &["ca-bundle"]);
    assert_eq!(finding.mend, "install the package ca-bundle, or set option cacert");
}

#[test]
fn what_shadows_a_name() {
    let facts = well();
    fine(&names::shadow(&facts, &looked(Seen::Address(vec![ip(WAN)])), &[]));
    broken(
        &names::shadow(&facts, &looked(Seen::Alias("x.example.net".into())), &[]),
        &["CNAME", "x.example.net"],
    );
    let old = || looked(Seen::Address(vec![ip("192.0.2.9")]));
    fine(&names::shadow(&facts, &old(), &[]));
    let wild = [("cam.example.com".to_string(), vec![ip("192.0.2.9")])];
    broken(&names::shadow(&facts, &old(), &wild), &["*.example.com", "porchlight trigger records"]);
    let mut stray = looked(Seen::Address(vec![ip(WAN)]));
    stray[1].2 = Ok(Published { servers: vec![("ns1".into(), Seen::Address(vec![ip("2001:db8::9")]))] });
    broken(&names::shadow(&facts, &stray, &[]), &["AAAA", "2001:db8::9", "option family 'any'"]);
    // With family 'any' the agent keeps it.
    fine(&names::shadow(&home("option family ipv4", "option family any"), &stray, &[]));
}

#[test]
fn providers() {
    let facts = well();
    let id = || ids(&facts.config.records[0]).next().unwrap();
    let failure = |kind| Failure::new(kind, "BADKEY");
    let of = |answer, why: Option<Kind>| names::provider(&facts, &[(id(), answer)], &|_| why.map(failure));
    fine(&of(Answer::Right, Some(Kind::Credentials)));
    fine(&of(Answer::Writes, None));
    fine(&of(Answer::Mute, None));
    // What was so on the way is not what is so.
    fine(&of(Answer::Writes, Some(Kind::NotReady)));
    broken(&of(Answer::Writes, Some(Kind::Credentials)), &["BADKEY", "record 'home'", "last try"]);
    broken(&of(Answer::Mute, Some(Kind::Unreachable)), &["last try"]);
    broken(
        &of(Answer::Failed(failure(Kind::NoSuchName)), None),
        &["option zone", "service porchlight reload"],
    );
    broken(&of(Answer::Failed(failure(Kind::Untrusted)), None), &["certificate"]);
    assert_eq!(names::provider(&facts, &[], &|_| None).grade, Grade::NotAsked);
}

#[test]
fn records() {
    let facts = well();
    let id = || ids(&facts.config.records[0]).next().unwrap();
    let of = |seen, answer| names::record(&facts, &looked(seen), &[(id(), answer)]);
    let right = || Seen::Address(vec![ip(WAN)]);
    let old = || Seen::Address(vec![ip("192.0.2.9")]);
    fine(&of(right(), Answer::Right));
    broken(&of(Seen::Absent, Answer::Writes), &["missing", WAN, "porchlight trigger records"]);
    broken(&of(old(), Answer::Mute), &["192.0.2.9", WAN]);
    assert_eq!(of(old(), Answer::Right).grade, Grade::Warning, "the provider has it, its servers are late");
    let proxied = home("option family ipv4", "option family ipv4\noption proxied 1");
    let mut proxied = proxied;
    proxied.config.records[0].options.text.insert("proxied".into(), "1".into());
    fine(&names::record(&proxied, &looked(old()), &[]));
    // What was not looked at is not called right.
    let two =
        home("list domain cam.example.com", "list domain cam.example.com\nlist domain yard.example.com");
    let finding = names::record(&two, &looked(right()), &[]);
    fine(&finding);
    assert_eq!(
        finding.what,
        "1 of 2 records are right at the zone's name servers; the others were not asked for"
    );
    let heard = |addr: &str| Heard {
        id: id(),
        want: ip(WAN),
        resolver: "9.9.9.9:53".parse().unwrap(),
        addrs: vec![ip(addr)],
        ttl: 60,
    };
    fine(&names::public(&[heard(WAN)]));
    let finding = names::public(&[heard(WAN), heard("192.0.2.9")]);
    assert_eq!((finding.grade, finding.mend.contains("60 s")), (Grade::Warning, true));
}

#[test]
fn cameras() {
    let said = |found| vec![("front_rtsp".to_string(), found)];
    let password = || Protection::Password(Scheme::Digest);
    fine(&door::camera(&well(), &said(password())));
    broken(&door::camera(&well(), &said(Protection::Open)), &["without a password"]);
    broken(&door::camera(&well(), &said(Protection::Silent)), &["192.168.1.20", "power"]);
    broken(&door::camera(&well(), &said(Protection::NoService)), &["dest_port"]);
    broken(&door::camera(&well(), &said(Protection::Unproven("it answers 404".into()))), &["404"]);
    let open = home("option dest_port 554", "option dest_port 554\noption allow_open 1");
    fine(&door::camera(&open, &said(Protection::Open)));
    broken(&door::camera(&open, &said(Protection::Silent)), &["power"]);
    let untold = home("option dest_port 554", "option dest_port 554\noption probe none");
    broken(&door::camera(&untold, &[]), &["probe"]);
    let mut unseen = well();
    unseen.state.cameras.clear();
    broken(&door::camera(&unseen, &[]), &["02:00:00:00:00:20", "porchlight cameras"]);
    assert_eq!(door::questions(&well()).len(), 1);
    assert!(door::questions(&untold).is_empty());
}

#[test]
fn the_way_in() {
    let facts = well();
    let said = [("front_rtsp".to_string(), Protection::Password(Scheme::Digest))];
    let rules = door::rules(&facts, &said);
    assert_eq!(rules.len(), 1);
    assert!(door::rules(&facts, &[]).is_empty(), "not proven");
    let there = || Ok(Present::default());
    fine(&door::rule(&facts, &rules, &there()));
    fine(&door::hairpin(&facts, &rules, &there(), false));
    let gone = Ok(Present { missing: vec!["front_rtsp".into()], no_hairpin: vec!["front_rtsp".into()] });
    broken(&door::rule(&facts, &rules, &gone), &["front_rtsp", "`porchlight trigger`", "inet porchlight"]);
    broken(&door::hairpin(&facts, &rules, &gone, false), &["at home"]);
    assert_eq!(door::hairpin(&facts, &rules, &there(), true).grade, Grade::Warning);
    broken(&door::rule(&facts, &rules, &Err("no nft".into())), &["no nft", "nftables"]);
    assert_eq!(door::rule(&facts, &[], &there()).grade, Grade::NotAsked);
    fine(&door::drops(&rules, &Ok(Vec::new())));
    let dropper = Ok(vec!["table inet strict, chain forward (policy drop)".to_string()]);
    broken(&door::drops(&rules, &dropper), &["`nft insert rule inet strict forward ct status dnat accept`"]);
    fine(&door::port(&facts, &[]));
    let taken = [(
        "front_rtsp".to_string(),
        "public port 8554 is held by uhttpd on this router: take another src_dport".into(),
    )];
    broken(&door::port(&facts, &taken), &["held by uhttpd", "mapping 'front_rtsp'"]);
}

#[test]
fn a_router_in_front() {
    let facts = |status: &str| Facts { status: Json::parse(status).unwrap(), ..well() };
    assert_eq!(ways::upstream(&well()).grade, Grade::NotAsked);
    assert_eq!(ways::upstream(&facts("{}")).grade, Grade::NotAsked);
    let above = |well: bool, says: &str| {
        facts(&format!(r#"{{"wans":[{{"name":"wan","upstream":{{"well":{well},"says":"{says}"}}}}]}}"#))
    };
    fine(&ways::upstream(&above(true, "the router above us is 93.184.216.34 to the internet")));
    let silent = "the router above us (192.168.0.1) answers neither: switch one of them on there";
    broken(&ways::upstream(&above(false, silent)), &["answers neither", "switch one of them on"]);
    broken(&ways::upstream(&above(false, "it has no public address itself: 10.0.0.2")), &["provider"]);
}

#[test]
fn tunnels() {
    let told = |state: &str, used: bool| {
        let mut facts = well();
        facts.status = Json::parse(&format!(
            r#"{{"tunnels":[{{"name":"out","server":"vps.example.net","used":{used},"mappings":[{{"mapping":"front_rtsp",
            "state":"{state}","failure":{{"text":"the secret is wrong"}}}}]}}]}}"#
        ))
        .unwrap();
        facts
    };
    assert_eq!(ways::tunnel(&well()).grade, Grade::NotAsked);
    fine(&ways::tunnel(&told("carries", true)));
    fine(&ways::tunnel(&told("failing", false)));
    broken(&ways::tunnel(&told("failing", true)), &["out", "the secret is wrong", "vps.example.net"]);
    assert_eq!(ways::tunnel(&told("connecting", true)).grade, Grade::Warning);
    // Behind carrier-grade NAT a tunnel is the way in.
    let mut shared = told("carries", true);
    shared.world.wans.get_mut("wan").unwrap().v4.addr =
        Reading::Seen { value: ip("100.64.0.10"), at: Time(1) };
    assert_eq!(ways::address(&shared).grade, Grade::Warning);
}

#[test]
fn room() {
    let of = |free, read_only, memory| Room { dir: "/var/run/porchlight".into(), free, read_only, memory };
    fine(&ways::room(&of(Some(4096), false, Some(20_000))));
    fine(&ways::room(&of(None, false, None)));
    broken(&ways::room(&of(Some(0), false, None)), &["no room"]);
    broken(&ways::room(&of(Some(4096), true, None)), &["`mount -o remount,rw /var/run/porchlight`"]);
    assert_eq!(ways::room(&of(Some(10), false, None)).grade, Grade::Warning);
    assert_eq!(ways::room(&of(Some(4096), false, Some(100))).grade, Grade::Warning);
}
