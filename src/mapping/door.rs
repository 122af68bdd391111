//! A way in: what a redirect of OpenWrt's firewall lets through, as we ask for it and as the kernel shows it. [pure]

use super::conntrack::Stays;
use super::redirect::{Redirect, RULE};
use super::rule;
use crate::config::uci::Section;
use crate::config::{Network, Ports, Proto};
use crate::map::Set;
use std::net::IpAddr;

/// How fw4 begins the comment of every rule that it makes.
const FW4_COMMENT: &str = "comment \"!fw4: ";
/// How it marks the rules of a reflection.
const REFLECTION: &str = " (reflection)\"";
/// How fw4 names the chains of a zone's redirects, and of the rules for what it forwards.
const CHAINS: [&str; 2] = ["dstnat_", "forward_"];

/// One way in, from outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// Zone that it is reached from.
    pub zone: String,
    /// Protocol.
    pub proto: Proto,
    /// Who may; `None`: anyone.
    pub from: Option<Network>,
    /// Public ports, first and last.
    pub ports: (u16, u16),
    /// The camera.
    pub target: IpAddr,
    /// Its ports.
    pub to: (u16, u16),
    /// The address that packets are sent to, if it is not whichever the router has: in IPv6 the camera's own.
    pub at: Option<IpAddr>,
    /// Nothing is translated, see [`Redirect::is_plain`].
    pub plain: bool,
}

impl Door {
    /// What a redirect lets in.
    pub fn of(redirect: &Redirect) -> Door {
        Door {
            zone: redirect.src.clone(),
            proto: redirect.proto,
            from: redirect.src_ip,
            ports: redirect.src_dport,
            target: redirect.dest_ip,
            to: redirect.dest_port,
            at: Some(redirect.dest_ip).filter(IpAddr::is_ipv6),
            plain: redirect.is_plain(),
        }
    }

    /// What a redirect or rule with these options of ours lets in. `None`: somebody changed them so that fw4 leaves it out. A
    /// rule of ours about it would be refused by nft, and every other one with it.
    pub(super) fn of_options<'o>(kind: &str, option: &dyn Fn(&str) -> Option<&'o str>) -> Option<Door> {
        let plain = kind == RULE;
        let target: IpAddr = option("dest_ip")?.parse().ok()?;
        let from = option("src_ip").and_then(Network::parse);
        if from.is_some_and(|from| from.addr.is_ipv4() != target.is_ipv4()) {
            return None;
        }
        Some(Door {
            zone: option("src")?.to_string(),
            proto: if option("proto")? == "udp" { Proto::Udp } else { Proto::Tcp },
            from,
            ports: range(option(if plain { "dest_port" } else { "src_dport" })?)?,
            target,
            to: range(option("dest_port")?)?,
            at: if plain { Some(target) } else { option("src_dip").and_then(|addr| addr.parse().ok()) },
            plain,
        })
    }

    /// As [`Door::of_options`], of a section of the firewall's configuration.
    pub(super) fn of_section(section: &Section) -> Option<Door> {
        Door::of_options(&section.kind, &|key| section.value(key))
    }

    /// The way in that it is.
    pub(super) fn stays(&self) -> Stays<'_> {
        let Door { target, proto, ports, to, .. } = self;
        Stays { target: *target, proto: *proto, ports: *ports, to: *to, from: self.from.as_slice() }
    }

    /// Whether another one differs in no more than where one comes from, so that connections do not tell them apart.
    pub(super) fn is_beside(&self, other: &Door) -> bool {
        let way = |door: &Door| (door.proto, door.ports, door.target, door.to);
        self.zone != other.zone && way(self) == way(other)
    }

    /// An nft rule for the forward hook that stops it and nothing else of the camera.
    pub(super) fn bar(&self) -> String {
        let ip = if self.target.is_ipv4() { "ip" } else { "ip6" };
        let from = self.from.map(|net| format!("ct original {ip} saddr {}/{} ", net.addr, net.prefix));
        // What was not translated may also be an answer to the camera; that it did not ask for is in the other direction.
        let way = if self.plain { "ct direction original" } else { "ct status dnat" };
        format!(
            "{ip} daddr {} {} dport {} {way} ct original proto-dst {} {}counter drop",
            self.target,
            self.proto,
            Ports(self.to),
            Ports(self.ports),
            from.unwrap_or_default(),
        )
    }
}

/// The doors that fw4's table shows, of those whose comment begins with `mark` (what follows `!fw4: `).
/// `listing`: `nft -s -t list table inet fw4`.
pub fn shown(listing: &str, mark: &str) -> Set<Door> {
    let mut zone = None;
    let mut doors = Set::new();
    for line in listing.lines().map(str::trim) {
        if let Some(chain) = line.strip_prefix("chain ") {
            let name = chain.split(' ').next().unwrap_or_default();
            zone = CHAINS.iter().find_map(|prefix| name.strip_prefix(prefix));
        }
        let Some((rule, comment)) = line.split_once(FW4_COMMENT) else { continue };
        if comment.starts_with(mark) && comment.ends_with('"') && !comment.ends_with(REFLECTION) {
            doors.extend(zone.and_then(|zone| door(zone, rule)));
        }
    }
    doors
}

/// Whether fw4's table knows this zone.
pub fn knows_zone(listing: &str, zone: &str) -> bool {
    listing.lines().any(|line| line.trim() == format!("chain input_{zone} {{"))
}

/// Reads one rule without its comment: `ip saddr 198.51.100.0/24 tcp dport 8554 counter dnat ip to 192.168.1.50:554`, or
/// `ip6 daddr 2001:db8::20 tcp dport 8554 counter jump accept_to_lan`.
fn door(zone: &str, rule: &str) -> Option<Door> {
    let mut words = rule.split_whitespace();
    let (mut proto, mut ports, mut from, mut at, mut plain) = (None, None, None, None, false);
    while let Some(word) = words.next() {
        match word {
            "tcp" => proto = Some(Proto::Tcp),
            "udp" => proto = Some(Proto::Udp),
            "saddr" => from = Some(Network::parse(words.next()?)?),
            "daddr" => at = words.next()?.parse().ok(),
            "dport" => ports = Some(range(words.next()?)?),
            "dnat" => break,
            "jump" | "accept" => {
                plain = true;
                break;
            }
            _ => {}
        }
    }
    let (target, to) =
        if plain { (at?, None) } else { place(words.find(|word| !matches!(*word, "ip" | "ip6" | "to"))?)? };
    Some(Door {
        zone: zone.to_string(),
        proto: proto?,
        from,
        ports: ports?,
        target,
        to: to.or(ports)?,
        at,
        plain,
    })
}

/// `8000` or `8000-8010`.
fn range(text: &str) -> Option<(u16, u16)> {
    rule::range(text, &['-'])
}

/// `192.168.1.50:554`, `[2001:db8::1]:8000-8010`, or without the port.
fn place(text: &str) -> Option<(IpAddr, Option<(u16, u16)>)> {
    if let Ok(addr) = text.parse() {
        return Some((addr, None));
    }
    let (addr, ports) = text.rsplit_once(':')?;
    let addr = addr.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some((addr, Some(range(ports)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 lists what fw4 (of 2024) made of service data, but for the last chain.
    const LISTING: &str = r#"table inet fw4 {
	chain input_wan {
		jump handle_reject
	}
	chain dstnat_lan {
		ip saddr 192.168.1.0/24 ip daddr 203.0.113.10 tcp dport 8554 dnat ip to 192.168.1.20:554 comment "!fw4: ubus:porchlight_mappings[*] redirect 0 (reflection)"
	}
	chain srcnat_lan {
		ip saddr 192.168.1.0/24 ip daddr 192.168.1.20 tcp dport 554 snat ip to 192.168.1.1 comment "!fw4: ubus:porchlight_mappings[*] redirect 0 (reflection)"
	}
	chain dstnat_wan {
		meta nfproto ipv4 tcp dport 8554 counter dnat ip to 192.168.1.20:554 comment "!fw4: ubus:porchlight_mappings[*] redirect 0"
		ip saddr 198.51.100.0/24 udp dport 8000-8010 counter dnat ip to 192.168.1.20:8000-8010 comment "!fw4: ubus:porchlight_mappings[*] redirect 1"
		ip saddr 192.0.2.9 tcp dport 9000-9009 counter dnat ip to 192.168.1.20:80 comment "!fw4: ubus:porchlight_mappings[*] redirect 2"
		meta nfproto ipv4 tcp dport 8555 counter redirect to :554 comment "!fw4: ubus:porchlight_mappings[*] redirect 3"
		meta nfproto ipv4 tcp dport 22 counter dnat ip to 192.168.1.9:22 comment "!fw4: ubus:upnp[*] redirect 0"
		meta nfproto ipv4 tcp dport 23 counter dnat ip to 192.168.1.9:23 comment "!fw4: Porchlight"
	}
	chain dstnat_wanb {
		meta nfproto ipv6 tcp dport 80 counter dnat ip6 to [2001:db8::20]:81 comment "!fw4: ubus:porchlight_mappings[*] redirect 4"
		ip6 daddr 2001:db8::20 tcp dport 82 counter dnat ip6 to [2001:db8::20]:81 comment "!fw4: ubus:porchlight_mappings[*] redirect 5"
	}
	chain forward_wanb {
		ip6 saddr 2001:db8:7::/64 ip6 daddr 2001:db8::20 udp dport 83 counter jump accept_to_lan comment "!fw4: ubus:porchlight_mappings[*] rule 6"
		ct status dnat accept comment "!fw4: Accept port forwards"
		jump reject_to_wanb
	}
}
"#;

    fn door(proto: Proto, from: Option<&str>, ports: (u16, u16), to: (u16, u16)) -> Door {
        let target = "192.168.1.20".parse().unwrap();
        let from = from.and_then(Network::parse);
        Door { zone: "wan".into(), proto, from, ports, target, to, at: None, plain: false }
    }

    #[test]
    fn what_the_kernel_shows_of_ours() {
        let doors = shown(LISTING, "ubus:porchlight_mappings[");
        let wanb = Door {
            zone: "wanb".into(),
            target: "2001:db8::20".parse().unwrap(),
            ..door(Proto::Tcp, None, (80, 80), (81, 81))
        };
        let own = Door { ports: (82, 82), at: Some(wanb.target), ..wanb.clone() };
        let from = Network::parse("2001:db8:7::/64");
        let plain =
            Door { plain: true, proto: Proto::Udp, ports: (83, 83), to: (83, 83), from, ..own.clone() };
        let expected = [
            door(Proto::Tcp, None, (8554, 8554), (554, 554)),
            door(Proto::Udp, Some("198.51.100.0/24"), (8000, 8010), (8000, 8010)),
            door(Proto::Tcp, Some("192.0.2.9"), (9000, 9009), (80, 80)),
            wanb,
            own,
            plain,
        ];
        assert_eq!(doors, Set::from(expected));
        assert!(knows_zone(LISTING, "wan") && !knows_zone(LISTING, "wa") && !knows_zone(LISTING, "guest"));
    }

    #[test]
    fn a_torn_listing_does_no_harm() {
        let whole = shown(LISTING, "ubus:porchlight_mappings[");
        for end in 0..LISTING.len() {
            let part = shown(&LISTING[..end], "ubus:porchlight_mappings[");
            assert!(part.iter().all(|door| whole.contains(door)), "cut at {end}: {part:?}");
        }
    }

    /// One rule that nft refuses would take all the others with it: then nothing could be closed any more.
    #[test]
    fn options_that_somebody_spoilt_make_no_rule() {
        let good = [
            ("src", "wan"),
            ("proto", "tcp"),
            ("src_ip", "198.51.100.0/24"),
            ("src_dport", "8000-8010"),
            ("dest_ip", "192.168.1.20"),
            ("dest_port", "8000-8010"),
        ];
        let with = |name: &str, value: &'static str| {
            Door::of_options("redirect", &|key| {
                let found = good.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
                if key == name {
                    Some(value)
                } else {
                    found
                }
            })
        };
        assert_eq!(
            with("proto", "tcp"),
            Some(door(Proto::Tcp, Some("198.51.100.0/24"), (8000, 8010), (8000, 8010)))
        );
        for (name, value) in [
            ("src_dport", "8010-8000"),
            ("dest_port", "8010-8000"),
            ("src_dport", "8000-65536"),
            ("src_ip", "2001:db8::/32"),
            ("dest_ip", "2001:db8::20"),
            ("dest_ip", "camera"),
        ] {
            assert_eq!(with(name, value), None, "{name} {value}");
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_shown() {
        let target = "2001:db8::20".parse().unwrap();
        for src_dport in [(82, 82), (81, 81)] {
            let redirect = Redirect {
                id: "a".into(),
                mapping: "a".into(),
                src: "wanb".into(),
                dest: "lan".into(),
                proto: Proto::Tcp,
                src_ip: None,
                src_dport,
                dest_ip: target,
                dest_port: (81, 81),
                reflection: false,
            };
            let options = redirect.options();
            let option =
                |key: &str| options.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
            assert_eq!(Door::of_options(redirect.kind(), &option), Some(Door::of(&redirect)));
        }
    }

    #[test]
    fn a_bar_stops_this_door_alone() {
        assert_eq!(
            door(Proto::Tcp, None, (8554, 8554), (554, 554)).bar(),
            "ip daddr 192.168.1.20 tcp dport 554 ct status dnat ct original proto-dst 8554 counter drop"
        );
        assert_eq!(
            door(Proto::Udp, Some("192.0.2.0/24"), (80, 89), (80, 89)).bar(),
            "ip daddr 192.168.1.20 udp dport 80-89 ct status dnat ct original proto-dst 80-89 ct original ip saddr \
             192.0.2.0/24 counter drop"
        );
        let target = "2001:db8::20".parse().unwrap();
        let from = Some("2001:db8:7::/64");
        let plain =
            Door { target, at: Some(target), plain: true, ..door(Proto::Tcp, from, (81, 81), (81, 81)) };
        assert_eq!(
            plain.bar(),
            "ip6 daddr 2001:db8::20 tcp dport 81 ct direction original ct original proto-dst 81 ct original ip6 saddr \
             2001:db8:7::/64 counter drop"
        );
    }
}
