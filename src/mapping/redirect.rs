//! A mapping as OpenWrt's firewall takes it: fw4's `config redirect`, in UCI or in procd's service data; a `config rule`
//! where nothing is translated. Options: fw4.uc `parse_redirect` and `parse_rule`,
//! <https://openwrt.org/docs/guide-user/firewall/firewall_configuration>.    [pure]

use super::rule::{at_most, check, sources, ways, Ways};
use crate::config::edit::ids;
use crate::config::{is_zone, Network, Ports, Proto};
use crate::model::Family;
use crate::plan::Rule;
use std::net::IpAddr;

/// Ports of one mapping that may change their number on the way: each is a redirect of its own.
const MAX_MOVED_PORTS: u32 = 64;
/// The most redirects in all: fw4 renders each on every reload.
const MAX_REDIRECTS: usize = 256;

/// What fw4 calls them, in its configuration and in service data.
pub const REDIRECT: &str = "redirect";
/// See [`Redirect::kind`].
pub const RULE: &str = "rule";
/// How every [`label`] begins.
pub const LABEL: &str = "Porchlight: ";
/// As much of a mapping's name as a label has: nft takes comments of up to 128 bytes, and fw4 adds to it.
const MAX_NAME: usize = 64;

/// Ports, first and last.
type Range = (u16, u16);

/// One redirect. Always a DNAT, and always with a place on the LAN that it leads to: without `dest_ip` fw4 would
/// open the router itself. In IPv6 it is for packets to the camera's own address alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Redirect {
    /// Unlike any other's; letters, digits and `_`: the mapping's name, and a number if the mapping needs several.
    pub id: String,
    /// The mapping section's name.
    pub mapping: String,
    /// Zone that it is reached from.
    pub src: String,
    /// The camera's zone.
    pub dest: String,
    /// Protocol.
    pub proto: Proto,
    /// Who may; `None`: anyone. fw4 takes one network, no list.
    pub src_ip: Option<Network>,
    /// Public ports, first and last.
    pub src_dport: (u16, u16),
    /// The camera.
    pub dest_ip: IpAddr,
    /// Its ports, first and last: one, or those of `src_dport`.
    pub dest_port: (u16, u16),
    /// Whether the LAN reaches it by the WAN's address (hairpin).
    pub reflection: bool,
}

impl Redirect {
    /// What fw4 calls it. fw4 lets in what the kernel calls translated, and that is not what keeps its address and port:
    /// that takes a rule of its own.
    pub fn kind(&self) -> &'static str {
        if self.is_plain() {
            RULE
        } else {
            REDIRECT
        }
    }

    /// As [`Rule::is_plain`].
    pub fn is_plain(&self) -> bool {
        self.dest_ip.is_ipv6() && self.src_dport == self.dest_port
    }

    /// Its options by their UCI names, without `type`, which only service data has.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let family = if self.dest_ip.is_ipv4() { "ipv4" } else { "ipv6" };
        let mut options = vec![
            ("name", label(&self.mapping)),
            ("family", family.into()),
            ("src", self.src.clone()),
            ("dest", self.dest.clone()),
            ("proto", self.proto.to_string()),
        ];
        options.extend(self.src_ip.map(|network| ("src_ip", network.to_string())));
        let place = [("dest_ip", self.dest_ip.to_string()), ("dest_port", Ports(self.dest_port).to_string())];
        if self.is_plain() {
            options.extend(place);
            options.push(("target", "ACCEPT".into()));
        } else {
            options.extend(Some(("src_dip", self.dest_ip.to_string())).filter(|_| self.dest_ip.is_ipv6()));
            options.push(("src_dport", Ports(self.src_dport).to_string()));
            options.extend(place);
            options.push(("reflection", if self.reflection { "1" } else { "0" }.into()));
            options.push(("target", "DNAT".into()));
        }
        options.push(("enabled", "1".into()));
        options
    }
}

/// What LuCI calls a mapping's redirects, and fw4 writes behind its rules. There it may not be long, and nft knows no
/// quotes in it.
pub fn label(mapping: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '_' };
    LABEL.chars().chain(mapping.chars().take(MAX_NAME).map(plain)).collect()
}

/// What fw4 is to carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// In the order of the rules.
    pub list: Vec<Redirect>,
    /// Mappings that it cannot carry: their name, and why.
    pub refused: Vec<(String, String)>,
}

/// The redirects of these rules.
pub fn redirects(rules: &[Rule]) -> Redirects {
    let mut made = Redirects::default();
    for rule in rules {
        match of_rule(rule) {
            Ok(list) if made.list.len() + list.len() <= MAX_REDIRECTS => made.list.extend(list),
            Ok(_) => {
                let why =
                    format!("fw4 is given {MAX_REDIRECTS} redirects at most: map fewer ports or sources");
                made.refused.push((rule.mapping.clone(), why));
            }
            Err(why) => made.refused.push((rule.mapping.clone(), why)),
        }
    }
    let ids = ids(made.list.iter().map(|redirect| redirect.mapping.as_str()));
    made.list.iter_mut().zip(ids).for_each(|(redirect, id)| redirect.id = id);
    made
}

/// One for each source, and for each port that changes its number.
fn of_rule(rule: &Rule) -> Result<Vec<Redirect>, String> {
    check(rule)?;
    for zone in [&rule.src, &rule.dest] {
        if !is_zone(zone) {
            return Err(format!("\"{}\" is no name of a firewall zone", zone.escape_default()));
        }
    }
    let ports = ports(rule)?;
    let sources = sources(rule)?;
    let everywhere = sources.is_empty();
    let froms: Vec<_> =
        if everywhere { vec![None] } else { sources.iter().map(|network| Some(*network)).collect() };
    // A reflection lets in the whole LAN, and is one of the mapping, not one of each source. The camera's own address
    // is no matter of the router's on the LAN.
    let mirror = if rule.target.is_ipv6() {
        None
    } else if everywhere {
        Some(None)
    } else {
        let holds_lan = |network: &&Network| {
            Family::of(network.addr) == Family::of(rule.lan.addr) && network.covers(&rule.lan)
        };
        sources.iter().find(holds_lan).map(|network| Some(*network))
    };
    let mut all = Vec::new();
    for (src_dport, dest_port) in ports {
        for &src_ip in &froms {
            all.push(Redirect {
                id: String::new(),
                mapping: rule.mapping.clone(),
                src: rule.src.clone(),
                dest: rule.dest.clone(),
                proto: rule.proto,
                src_ip,
                src_dport,
                dest_ip: rule.target,
                dest_port,
                reflection: mirror == Some(src_ip),
            });
        }
    }
    Ok(all)
}

/// The ranges that fw4 carries as they are: to a range it would give out the ports in any order.
fn ports(rule: &Rule) -> Result<Vec<(Range, Range)>, String> {
    let (first, last) = rule.src_dport;
    Ok(match ways(rule)? {
        // Of several ports that lead to one, that one stays as it is.
        Ways::One(to) if rule.target.is_ipv6() && (first..=last).contains(&to) => {
            vec![(rule.src_dport, rule.dest_port), (rule.dest_port, rule.dest_port)]
        }
        Ways::One(_) | Ways::Same => vec![(rule.src_dport, rule.dest_port)],
        Ways::Moved(count) => {
            at_most(count, MAX_MOVED_PORTS)?;
            let (to_first, to_last) = rule.dest_port;
            (first..=last).zip(to_first..=to_last).map(|(port, to)| ((port, port), (to, to))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn rule() -> Rule {
        Rule {
            mapping: "front_rtsp".into(),
            wan_devices: vec!["eth0".into()],
            wan_addrs: vec!["203.0.113.4".parse().unwrap()],
            lan_device: "br-lan".into(),
            lan: net("192.168.1.0/24"),
            proto: Proto::Tcp,
            src_dport: (8554, 8554),
            target: "192.168.1.50".parse().unwrap(),
            dest_port: (554, 554),
            sources: Vec::new(),
            src: "wan".into(),
            dest: "lan".into(),
        }
    }

    fn text(redirect: &Redirect) -> String {
        let options = redirect.options();
        options.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_mapping_is_one_redirect() {
        let made = redirects(&[rule()]);
        assert_eq!(made.refused, []);
        let [one] = made.list.as_slice() else { panic!("{made:?}") };
        assert_eq!(
            text(one),
            "name=Porchlight: front_rtsp family=ipv4 src=wan dest=lan proto=tcp src_dport=8554 \
             dest_ip=192.168.1.50 dest_port=554 reflection=1 target=DNAT enabled=1"
        );
        assert_eq!(one.id, "front_rtsp");
    }

    #[test]
    fn one_for_each_source_and_none_mirrored_to_a_lan_that_may_not() {
        let sources =
            vec![net("198.51.100.7/32"), net("198.51.100.0/24"), net("192.0.2.9/32"), net("fd00::/8")];
        let made = redirects(&[Rule { sources, ..rule() }]);
        let of: Vec<_> = made.list.iter().map(|r| (r.id.as_str(), r.src_ip, r.reflection)).collect();
        assert_eq!(
            of,
            [
                ("front_rtsp", Some(net("192.0.2.9/32")), false),
                ("front_rtsp_2", Some(net("198.51.100.0/24")), false)
            ]
        );
        let sources = vec![net("198.51.100.0/24"), net("192.168.0.0/16"), net("10.0.0.0/8")];
        let made = redirects(&[Rule { sources, ..rule() }]);
        let mirrored: Vec<_> = made.list.iter().filter(|r| r.reflection).map(|r| r.src_ip).collect();
        assert_eq!(mirrored, [Some(net("192.168.0.0/16"))]);
        let made = redirects(&[Rule { sources: vec![net("0.0.0.0/0"), net("10.0.0.0/8")], ..rule() }]);
        assert_eq!((made.list.len(), made.list[0].src_ip, made.list[0].reflection), (1, None, true));
    }

    #[test]
    fn ranges() {
        let ranged = |src_dport, dest_port| redirects(&[Rule { src_dport, dest_port, ..rule() }]);
        let same = ranged((8000, 8010), (8000, 8010));
        assert!(text(&same.list[0]).contains("src_dport=8000-8010 dest_ip=192.168.1.50 dest_port=8000-8010"));
        let one = ranged((8000, 8010), (554, 554));
        assert!(text(&one.list[0]).contains("src_dport=8000-8010 dest_ip=192.168.1.50 dest_port=554 "));
        let moved = ranged((8000, 8002), (80, 82));
        let of: Vec<_> = moved.list.iter().map(|r| (r.id.as_str(), r.src_dport.0, r.dest_port.0)).collect();
        assert_eq!(of, [("front_rtsp", 8000, 80), ("front_rtsp_2", 8001, 81), ("front_rtsp_3", 8002, 82)]);
        assert_eq!(ranged((1, 64), (1001, 1064)).list.len(), 64);
        assert!(ranged((1, 65), (1001, 1065)).refused[0].1.contains("more than 64 ports"));
        assert!(ranged((80, 81), (80, 82)).refused[0].1.contains("not equally many"));
    }

    /// fw4 lets in what is translated; what is not takes a rule.
    #[test]
    fn in_ipv6_the_cameras_own_address() {
        let lan = net("2001:db8:1::/64");
        let own = Rule { lan, target: "2001:db8:1::20".parse().unwrap(), wan_addrs: Vec::new(), ..rule() };
        let made = redirects(std::slice::from_ref(&own));
        let [one] = made.list.as_slice() else { panic!("{made:?}") };
        assert_eq!(
            (one.kind(), text(one).as_str()),
            (
                "redirect",
                "name=Porchlight: front_rtsp family=ipv6 src=wan dest=lan proto=tcp src_dip=2001:db8:1::20 \
                 src_dport=8554 dest_ip=2001:db8:1::20 dest_port=554 reflection=0 target=DNAT enabled=1"
            )
        );
        let sources = vec![net("198.51.100.0/24"), net("2001:db8:7::/64")];
        let made = redirects(&[Rule { sources, src_dport: (554, 554), ..own.clone() }]);
        let [one] = made.list.as_slice() else { panic!("{made:?}") };
        assert_eq!(
            (one.kind(), text(one).as_str()),
            (
                "rule",
                "name=Porchlight: front_rtsp family=ipv6 src=wan dest=lan proto=tcp src_ip=2001:db8:7::/64 \
                 dest_ip=2001:db8:1::20 dest_port=554 target=ACCEPT enabled=1"
            )
        );
        let several = redirects(&[Rule { src_dport: (550, 560), ..own }]).list;
        let of: Vec<_> = several.iter().map(|one| (one.id.as_str(), one.kind(), one.src_dport)).collect();
        assert_eq!(of, [("front_rtsp", "redirect", (550, 560)), ("front_rtsp_2", "rule", (554, 554))]);
    }

    #[test]
    fn never_to_the_router_and_no_odd_zone() {
        for target in ["203.0.113.4", "0.0.0.0", "127.0.0.1", "192.168.2.1"] {
            let made = redirects(&[Rule { target: target.parse().unwrap(), ..rule() }]);
            assert!(made.list.is_empty() && made.refused[0].1.contains(target), "{made:?}");
        }
        for zone in ["", "*", "wan'\n", "w n", &"z".repeat(33)] {
            let made = redirects(&[Rule { src: zone.into(), ..rule() }, rule()]);
            assert_eq!((made.list.len(), made.refused.len()), (1, 1), "{zone}");
        }
    }

    #[test]
    fn ids_differ_whatever_the_mappings_are_called() {
        let named = |mapping: &str, proto| Rule { mapping: mapping.into(), proto, ..rule() };
        let made = redirects(&[
            named("a", Proto::Tcp),
            named("a", Proto::Udp),
            named("a_2", Proto::Tcp),
            named("a-2", Proto::Tcp),
        ]);
        let ids: Vec<_> = made.list.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a", "a_2", "a_2_2", "a_2_3"]);
    }

    #[test]
    fn labels_are_what_nft_takes() {
        let odd = Rule { mapping: format!("a\"b'\\é\n{}", "x".repeat(200)), ..rule() };
        let label = redirects(&[odd]).list[0].options()[0].1.clone();
        assert_eq!(label, format!("Porchlight: a_b____{}", "x".repeat(57)));
    }

    #[test]
    fn no_more_than_fw4_can_bear() {
        let sources: Vec<_> = (0..=255).map(|n| net(&format!("198.51.{n}.1/32"))).collect();
        let many = Rule { sources, ..rule() };
        let made = redirects(&[many.clone(), many.clone(), rule()]);
        assert_eq!((made.list.len(), made.refused.len()), (256, 2));
        // ubus takes them as one argument: the kernel's limit is 128 KiB.
        assert!(crate::mapping::service::redirects(&made.list).len() < 100 * 1024);
    }
}
