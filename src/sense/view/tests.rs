//! What the kernel tells, and the view of the WANs that comes of it.

use super::*;
use crate::config::Network;
use crate::sense::heard::Heard;
use crate::wire::netifd::Status;
use crate::wire::rtnl::ifa;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, name: &str) -> Link {
    Link { index, name: name.into(), up: true, running: true }
}

fn addr(index: u32, text: &str, flags: u32) -> Addr {
    Addr { index, addr: ip(text), prefix: 24, flags, preferred: FOREVER }
}

fn route(family: Family, table: u32, metric: u32, device: u32) -> Route {
    Route { family, table, metric, usable: true, devices: vec![device], gateway: None }
}

fn wan(device: Device) -> Vec<Wan> {
    vec![Wan::plain("wan", device, Family::BOTH.to_vec(), Vec::new())]
}

fn named(name: &str) -> Vec<Wan> {
    wan(Device::Named(name.into()))
}

fn tell(view: &mut View, messages: Vec<Message>) {
    for message in messages {
        view.happened(message, 0);
    }
}

fn tell_routes(view: &mut View, family: Family, routes: Vec<Route>) {
    view.begin(Table::Routes(family));
    for route in routes {
        view.dumped(Table::Routes(family), Message::Route(route), 0);
    }
    view.finish(Table::Routes(family));
}

fn seen(view: &View, wans: &[Wan]) -> WanSnapshot {
    view.snapshot(wans, &Map::new(), &Map::new()).0.remove("wan").unwrap()
}

fn two_lines() -> View {
    let mut view = View::default();
    tell(
        &mut view,
        vec![
            Message::Link(link(1, "lo")),
            Message::Link(link(2, "eth0")),
            Message::Link(link(3, "wwan0")),
            Message::Addr(addr(1, "127.0.0.1", 0)),
            Message::Addr(addr(2, "8.0.0.2", 0)),
            Message::Addr(addr(3, "9.0.0.3", 0)),
            Message::Addr(addr(3, "2600::3", 0)),
        ],
    );
    view
}

#[test]
fn a_named_device_is_followed_to_its_new_index() {
    let mut view = two_lines();
    tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
    let before = seen(&view, &named("eth0"));
    assert_eq!((before.v4, before.route4, before.route6), (Some(ip("8.0.0.2")), true, false));
    assert_eq!(view.happened(Message::LinkGone(2), 0), Tables::ALL_ROUTES);
    tell_routes(&mut view, Family::V4, vec![]);
    assert_eq!(seen(&view, &named("eth0")), WanSnapshot::default());
    tell(&mut view, vec![Message::Link(link(9, "eth0")), Message::Addr(addr(9, "8.0.0.9", 0))]);
    tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 9)]);
    let after = seen(&view, &named("eth0"));
    assert_eq!((after.v4, after.route4), (Some(ip("8.0.0.9")), true));
}

#[test]
fn a_renamed_device_is_known_by_its_new_name() {
    let mut view = two_lines();
    tell(&mut view, vec![Message::Link(link(2, "pppoe-wan"))]);
    assert_eq!(seen(&view, &named("eth0")).device, None);
    assert_eq!(seen(&view, &named("pppoe-wan")).v4, Some(ip("8.0.0.2")));
}

#[test]
fn auto_takes_the_lowest_metric_of_main_for_each_family() {
    let mut view = two_lines();
    assert_eq!(seen(&view, &wan(Device::Auto)), WanSnapshot::default());
    let routes = vec![
        route(Family::V4, 51820, 0, 1),
        route(Family::V4, 254, 20, 3),
        Route { usable: false, ..route(Family::V4, 254, 1, 3) },
        route(Family::V4, 254, 10, 2),
    ];
    tell_routes(&mut view, Family::V4, routes);
    tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 1024, 3)]);
    let now = seen(&view, &wan(Device::Auto));
    assert_eq!((now.device.as_deref(), now.v4), (Some("eth0"), Some(ip("8.0.0.2"))));
    assert_eq!((now.v6, now.route4, now.route6), (Some(ip("2600::3")), true, true));
    let mut only_six = wan(Device::Auto);
    only_six[0].families = vec![Family::V6];
    let now = seen(&view, &only_six);
    assert_eq!((now.device.as_deref(), now.v4, now.route4), (Some("wwan0"), None, false));
}

#[test]
fn auto_leaves_a_device_without_carrier_for_another() {
    let mut view = two_lines();
    let routes = vec![route(Family::V4, 254, 20, 3), route(Family::V4, 254, 10, 2)];
    tell_routes(&mut view, Family::V4, routes);
    tell(&mut view, vec![Message::Link(Link { running: false, ..link(2, "eth0") })]);
    assert_eq!(seen(&view, &wan(Device::Auto)).device.as_deref(), Some("wwan0"));
    tell(&mut view, vec![Message::Link(Link { running: false, ..link(3, "wwan0") })]);
    let now = seen(&view, &wan(Device::Auto));
    assert_eq!((now.device.as_deref(), now.route4), (Some("eth0"), false));
}

#[test]
fn which_routes_make_a_named_device_ready() {
    for (table, usable, running, ready) in [
        (254, true, true, true),
        (253, true, true, true),
        (300, true, true, true),
        (255, true, true, false),
        (254, false, true, false),
        (254, true, false, false),
    ] {
        let mut view = two_lines();
        tell(&mut view, vec![Message::Link(Link { running, ..link(3, "wwan0") })]);
        tell_routes(&mut view, Family::V6, vec![Route { usable, ..route(Family::V6, table, 1, 3) }]);
        assert_eq!(seen(&view, &named("wwan0")).route6, ready, "{table} {usable} {running}");
        assert!(!seen(&view, &named("eth0")).route6);
    }
}

#[test]
fn what_is_asked_for_anew() {
    let mut view = two_lines();
    let v4 = |view: &mut View, message| view.happened(message, 0).contains(Table::Routes(Family::V4));
    assert!(v4(&mut view, Message::AddrGone(addr(2, "8.0.0.2", 0))));
    assert!(!v4(&mut view, Message::AddrGone(addr(3, "2600::3", 0))));
    assert!(!v4(&mut view, Message::Link(link(2, "eth0"))), "no change");
    assert!(!v4(&mut view, Message::Link(Link { running: false, ..link(2, "eth0") })));
    assert!(v4(&mut view, Message::Link(Link { up: false, ..link(2, "eth0") })));
    assert!(v4(&mut view, Message::Link(link(2, "eth0"))), "up again");
    assert!(v4(&mut view, Message::Route(route(Family::V4, 254, 0, 2))));
    assert!(!v4(&mut view, Message::RouteGone(Family::V6)));
    assert!(view.happened(Message::Addr(addr(2, "8.0.0.2", 0)), 0).is_empty());
}

#[test]
fn a_dump_sweeps_what_it_does_not_tell() {
    let mut view = two_lines();
    view.begin(Table::Addrs);
    view.dumped(Table::Addrs, Message::Addr(addr(2, "8.0.0.7", 0)), 0);
    view.happened(Message::Addr(addr(3, "9.0.0.9", 0)), 0);
    assert_eq!(seen(&view, &named("eth0")).v4, Some(ip("8.0.0.2")), "until the dump ends");
    view.finish(Table::Addrs);
    let own: Vec<_> = view.own().iter().map(|own| (own.device.clone(), own.addr)).collect();
    assert_eq!(own, [("eth0".into(), ip("8.0.0.7")), ("wwan0".into(), ip("9.0.0.9"))]);
    view.begin(Table::Links);
    view.dumped(Table::Links, Message::Link(link(3, "wwan0")), 0);
    view.finish(Table::Links);
    assert_eq!(seen(&view, &named("eth0")).device, None);
}

#[test]
fn the_preferred_lifetime_counts_from_when_it_was_told() {
    let mut view = two_lines();
    let six = |text: &str, preferred| Addr { preferred, ..addr(2, text, 0) };
    view.happened(Message::Addr(six("2600::1", 1000)), 0);
    view.happened(Message::Addr(six("2600::2", 900)), 500);
    assert_eq!(seen(&view, &named("eth0")).v6, Some(ip("2600::2")), "till 1400, not 1000");
    view.happened(Message::Addr(six("2600::9", FOREVER)), 0);
    assert_eq!(seen(&view, &named("eth0")).v6, Some(ip("2600::9")));
    let last =
        Map::from([("wan".to_string(), WanSnapshot { v6: Some(ip("2600::1")), ..WanSnapshot::default() })]);
    assert_eq!(
        view.snapshot(&named("eth0"), &Answers::new(), &last).0.get("wan").unwrap().v6,
        Some(ip("2600::1")),
        "kept"
    );
    view.happened(Message::Addr(Addr { flags: ifa::DEPRECATED, ..six("2600::1", 0) }), 600);
    assert_eq!(
        view.snapshot(&named("eth0"), &Answers::new(), &last).0.get("wan").unwrap().v6,
        Some(ip("2600::9"))
    );
}

/// What netifd says: interface, device, delegated prefix.
fn answers(said: &[(&str, Option<&str>, Option<&str>)]) -> Answers {
    let heard = |&(name, device, prefix): &(&str, Option<&str>, Option<&str>)| {
        let given = |text| Delegated {
            interface: name.to_string(),
            prefix: Network::parse(text).unwrap(),
            assigned: Vec::new(),
        };
        let status = Status {
            up: device.is_some(),
            device: device.map(str::to_string),
            prefixes: prefix.map(given).into_iter().collect(),
            ..Status::default()
        };
        (name.to_string(), Heard { status: Some(status), silence: None })
    };
    said.iter().map(heard).collect()
}

fn told(view: &View, names: &[&str], answers: &Answers) -> WanSnapshot {
    let names = names.iter().map(|name| name.to_string()).collect();
    view.snapshot(&wan(Device::Interfaces(names)), answers, &Map::new()).0.remove("wan").unwrap()
}

#[test]
fn each_family_goes_by_the_device_of_the_interface_that_has_it() {
    let mut view = two_lines();
    tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
    tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 512, 3)]);
    let both = answers(&[("wan", Some("eth0"), None), ("wan6", Some("wwan0"), None)]);
    let now = told(&view, &["wan", "wan6"], &both);
    assert_eq!((now.device.as_deref(), now.v4, now.route4), (Some("eth0"), Some(ip("8.0.0.2")), true));
    assert_eq!((now.device6.as_deref(), now.v6, now.route6), (Some("wwan0"), Some(ip("2600::3")), true));
    let now = told(&view, &["wan6", "wan"], &both);
    assert_eq!(now.v4, Some(ip("8.0.0.2")), "9.0.0.3 has no route, though it is named first");
    let one = told(&view, &["wan"], &both);
    assert_eq!((one.v4, one.v6, one.device6.as_deref()), (Some(ip("8.0.0.2")), None, None));
    let mut only6 = wan(Device::Interfaces(vec!["wan".into(), "wan6".into()]));
    only6[0].families = vec![Family::V6];
    let now = view.snapshot(&only6, &both, &Map::new()).0.remove("wan").unwrap();
    assert_eq!((now.v4, now.v6, now.device.as_deref()), (None, Some(ip("2600::3")), Some("wwan0")));
}

#[test]
fn an_interface_that_is_down_has_no_device_and_one_without_addresses_shows_its_own() {
    let view = two_lines();
    let down = answers(&[("wan", None, None)]);
    let now = told(&view, &["wan"], &down);
    assert_eq!((now.device, now.v4, now.interfaces.len()), (None, None, 1));
    let mut view = View::default();
    tell(&mut view, vec![Message::Link(link(7, "pppoe-wan"))]);
    let up = answers(&[("wan", Some("pppoe-wan"), None)]);
    let now = told(&view, &["wan"], &up);
    assert_eq!((now.device.as_deref(), now.device6, now.v4), (Some("pppoe-wan"), None, None));
    let gone = answers(&[("wan", Some("ppp7"), None)]);
    assert_eq!(told(&view, &["wan"], &gone).device, None, "the kernel does not know it");
    assert_eq!(told(&view, &["wan"], &Answers::new()).interfaces, [], "not asked yet");
}

/// PPPoE: the device goes and comes back with another number, while netifd's last word stays the same.
#[test]
fn a_device_made_anew_counts_before_netifd_is_asked_again() {
    let mut view = two_lines();
    let up = answers(&[("wan", Some("pppoe-wan"), None)]);
    for index in [10, 11] {
        let before = view.changes();
        tell(
            &mut view,
            vec![Message::Link(link(index, "pppoe-wan")), Message::Addr(addr(index, "9.9.9.9", 0))],
        );
        tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, index)]);
        let now = told(&view, &["wan"], &up);
        assert_eq!((now.v4, now.route4), (Some(ip("9.9.9.9")), true));
        assert!(view.changes() > before, "netifd is to be asked again");
        tell(&mut view, vec![Message::LinkGone(index)]);
        assert_eq!(told(&view, &["wan"], &up).v4, None);
    }
}

#[test]
fn the_routers_own_address_out_of_a_delegated_prefix_stands_in_for_the_wans() {
    let mut view = two_lines();
    tell_routes(&mut view, Family::V6, vec![route(Family::V6, 254, 512, 2)]);
    tell(
        &mut view,
        vec![
            Message::Link(link(5, "br-lan")),
            Message::Addr(addr(5, "fd00::1", 0)),
            Message::Addr(addr(5, "2a00:1:2:300::1", 0)),
            Message::Addr(addr(5, "2a00:1:2:301::1", ifa::DEPRECATED)),
        ],
    );
    let with = answers(&[("wan6", Some("eth0"), Some("2a00:1:2:300::/56"))]);
    let now = told(&view, &["wan6"], &with);
    assert_eq!(
        (now.v6, now.route6, now.device6.as_deref()),
        (Some(ip("2a00:1:2:300::1")), true, Some("eth0"))
    );
    assert_eq!(now.prefixes.len(), 1);
    let other = answers(&[("wan6", Some("eth0"), Some("2a00:1:2:400::/56"))]);
    assert_eq!(told(&view, &["wan6"], &other).v6, None, "not out of this one");
    let none = answers(&[("wan6", Some("eth0"), None)]);
    assert_eq!(told(&view, &["wan6"], &none).v6, None);
    tell(&mut view, vec![Message::Addr(addr(2, "2600::2", 0))]);
    assert_eq!(told(&view, &["wan6"], &with).v6, Some(ip("2600::2")), "the WAN's own goes first");
    let mut only4 = wan(Device::Interfaces(vec!["wan6".into()]));
    only4[0].families = vec![Family::V4];
    tell(&mut view, vec![Message::AddrGone(addr(2, "2600::2", 0))]);
    assert_eq!(view.snapshot(&only4, &with, &Map::new()).0.remove("wan").unwrap().v6, None);
}

#[test]
fn lifetimes_and_repeated_news_are_no_change() {
    let mut view = two_lines();
    tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
    let before = view.changes();
    tell(
        &mut view,
        vec![
            Message::Link(link(2, "eth0")),
            Message::Addr(Addr { preferred: 7, ..addr(2, "8.0.0.2", 0) }),
            Message::LinkGone(77),
            Message::AddrGone(addr(2, "8.0.0.77", 0)),
        ],
    );
    tell_routes(&mut view, Family::V4, vec![route(Family::V4, 254, 0, 2)]);
    for table in [Table::Links, Table::Addrs] {
        view.begin(table);
    }
    for (index, name) in [(1, "lo"), (2, "eth0"), (3, "wwan0")] {
        view.dumped(Table::Links, Message::Link(link(index, name)), 0);
    }
    view.finish(Table::Links);
    assert_eq!(view.changes(), before);
    view.finish(Table::Addrs);
    assert_eq!(view.changes(), before + 1, "the addresses were not told again");
    tell_routes(&mut view, Family::V4, vec![]);
    assert_eq!(view.changes(), before + 2);
}

/// A prefix that was withdrawn stays on the LAN for a while, for connections that are there.
#[test]
fn what_is_deprecated_or_not_yet_sure_is_own_but_not_settled() {
    for (flags, settled) in [
        (0, true),
        (ifa::TEMPORARY, true),
        (ifa::DEPRECATED, false),
        (ifa::TENTATIVE, false),
        (ifa::DADFAILED, false),
    ] {
        let mut view = View::default();
        tell(&mut view, vec![Message::Link(link(2, "lan0")), Message::Addr(addr(2, "2600::1", 0))]);
        // The kernel tells the same address with other flags.
        tell(&mut view, vec![Message::Addr(addr(2, "2600::1", flags))]);
        assert_eq!(view.own().iter().map(|own| own.settled).collect::<Vec<_>>(), [settled], "{flags:#x}");
    }
}

#[test]
fn every_address_is_own_and_the_store_is_bounded() {
    let mut view = two_lines();
    let own = view.own();
    assert_eq!(own.len(), 4);
    let lo = OwnAddr { device: "lo".into(), addr: ip("127.0.0.1"), prefix: 24, settled: true };
    assert_eq!(own[0], lo);
    for n in 0..20_000u32 {
        let text = Ipv4Addr::from(n + 0x0b00_0000).to_string();
        view.happened(Message::Addr(addr(2, &text, 0)), 0);
        view.happened(Message::Link(link(n, "x")), 0);
    }
    assert_eq!((view.addrs.len(), view.links.len()), (MAX_ADDRS, MAX_LINKS));
    view.begin(Table::Routes(Family::V4));
    for n in 0..1000 {
        view.dumped(Table::Routes(Family::V4), Message::Route(route(Family::V4, 254, n, 2)), 0);
    }
    assert_eq!(view.arriving.len(), MAX_ROUTES);
}

#[test]
fn tables_come_out_in_order_once() {
    let mut due = Tables::ALL;
    let order: Vec<_> = std::iter::from_fn(|| due.take_first()).collect();
    assert_eq!(order, Tables::ORDER);
    assert!(due.is_empty());
    due.add(Table::Addrs);
    due.merge(Tables::ALL_ROUTES);
    assert!(due.contains(Table::Addrs) && !due.contains(Table::Links));
}
