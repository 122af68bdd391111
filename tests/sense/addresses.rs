//! Devices, addresses and routes, and netifd's interfaces.

use super::*;

/// A program in place of `ubus` that answers from files and counts how often it is asked.
fn stand_in(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir).unwrap();
    let program = dir.join("ubus");
    let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 9\necho x >> asked\n\
                  [ \"$1 $3 $4\" = 'call status {}' ] || exit 2\n\
                  [ -e \"$2\" ] || { echo 'Command failed: Not found' >&2; exit 4; }\ncat \"$2\"\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn interfaces_of_netifd_are_asked_for_when_something_happens() {
    in_namespace("addresses::interfaces_of_netifd_are_asked_for_when_something_happens", || {
        let dir = std::env::temp_dir().join(format!("porchlight-netifd-{}", std::process::id()));
        let program = stand_in(&dir);
        let answer = |name: &str, text: &str| {
            std::fs::write(dir.join("new"), text).unwrap();
            std::fs::rename(dir.join("new"), dir.join(format!("network.interface.{name}"))).unwrap();
        };
        let asked = || std::fs::read_to_string(dir.join("asked")).map_or(0, |text| text.lines().count());
        let network = Rc::new(Network::open().unwrap());
        network.set_wans(&wan(Device::Interfaces(vec!["wan".into(), "wan6".into()])));
        let (answer, asked, program, sensor) = (&answer, &asked, &program, network.clone());
        listen(&network, |ear| async move {
            let network = sensor;
            let script = async {
                let first = ear.wan("anything", |_| true).await;
                assert_eq!(
                    (first.device, first.interfaces.len()),
                    (None, 2),
                    "not before both were asked for"
                );
                assert!(first.interfaces.iter().all(|one| one.trouble), "{:?}", first.interfaces);
                answer("wan", include_str!("../netifd/dhcp"));
                device("eth1", "p1");
                ip_batch("addr add 203.0.113.10/24 dev eth1\nroute add default via 203.0.113.1 dev eth1");
                let up = ear.wan("the line", |w| w.v4 == Some(addr("203.0.113.10")) && w.route4).await;
                assert_eq!(up.device.as_deref(), Some("eth1"));
                assert_eq!(up.interfaces[0].standing, "up on eth1");
                assert!(!up.interfaces[1].trouble, "one that is unknown is none while another is known");
                answer("wan", include_str!("../netifd/not-started"));
                network.rescan();
                let down = ear.wan("what netifd says now", |w| w.v4.is_none()).await;
                assert_eq!(down.device, None, "the kernel has it still, but it is the WAN's no more");
                // Routes to elsewhere, neighbours and the like are nobody's business.
                let before = asked();
                ip_batch(
                    "route add 198.51.100.0/24 via 203.0.113.1 dev eth1\nneigh add 203.0.113.9 lladdr \
                          02:00:00:00:00:09 dev eth1\nlink set eth1 txqueuelen 17",
                );
                ear.fresh().await;
                answer("wan", include_str!("../netifd/dhcp"));
                network.rescan();
                ear.wan("the line again", |w| w.v4.is_some()).await;
                assert!(asked() <= before + 4, "asked {} times for two looks at two", asked() - before);
            };
            let sensor = async {
                netifd::run(network.clone(), program).await.unwrap();
            };
            or(script, sensor).await;
        });
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn addresses_and_routes_come_and_go() {
    in_namespace("addresses::addresses_and_routes_come_and_go", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let first = ear.wan("the device", |w| w.device.is_some()).await;
            assert_eq!((first.v4, first.route4), (None, false));
            ip("addr add 203.0.113.7/24 dev wan0");
            assert!(!ear.wan("the address", |w| w.v4 == Some(addr("203.0.113.7"))).await.route4);
            ip("route add default via 203.0.113.1");
            ear.wan("the route", |w| w.route4).await;
            assert!(ear.owns("wan0", "203.0.113.7") && ear.owns("lo", "127.0.0.1"));
            ip("addr add 203.0.113.8/24 dev wan0");
            ip("addr del 203.0.113.7/24 dev wan0");
            // The kernel takes the default route along and says nothing.
            let gone = ear.wan("the end of it", |w| w.v4.is_none()).await;
            assert!(!gone.route4 && !ear.owns("wan0", "203.0.113.8"));
            ip_batch("addr add 203.0.113.9/24 dev wan0\nroute add default via 203.0.113.1");
            ear.wan("both", |w| w.v4 == Some(addr("203.0.113.9")) && w.route4).await;
            ip("route replace blackhole default");
            ear.wan("a route that leads nowhere", |w| !w.route4).await;
            ip("route replace default via 203.0.113.1");
            ear.wan("the route again", |w| w.route4).await;
            ip("link set wan0 down");
            ear.wan("no route when down", |w| !w.route4).await;
            ip("link set wan0 up");
            ip("route replace default via 203.0.113.1");
            ear.wan("up", |w| w.route4).await;
            ip("link set p0 down");
            ear.wan("no route without carrier", |w| !w.route4 && w.v4.is_some()).await;
            ip("link set p0 up");
            ear.wan("the carrier again", |w| w.route4).await;
        });
    });
}

fn index_of(name: &str) -> String {
    let out = Command::new("ip").args(["-o", "link", "show", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split(':').next().unwrap().to_string()
}

#[test]
fn a_device_that_comes_late_and_is_made_anew() {
    in_namespace("addresses::a_device_that_comes_late_and_is_made_anew", || {
        let network = Network::open().unwrap();
        network.set_wans(&named("ppp-wan"));
        listen(&network, |ear| async move {
            assert_eq!(ear.fresh().await, WanSnapshot::default());
            let mut indices = Vec::new();
            for round in 1..=5 {
                device("ppp-wan", "p0");
                indices.push(index_of("ppp-wan"));
                ip(&format!("addr add 203.0.113.{round} peer 203.0.113.254/32 dev ppp-wan"));
                ip("route add default dev ppp-wan");
                let here = addr(&format!("203.0.113.{round}"));
                ear.wan("the device", |w| w.v4 == Some(here) && w.route4 && w.device.is_some()).await;
                ip("link del ppp-wan");
                ear.wan("its end", |w| *w == WanSnapshot::default()).await;
            }
            indices.dedup();
            assert_eq!(indices.len(), 5, "another index each time");
            // Gone and back before the sensor looks.
            device("ppp-wan", "p0");
            ip("addr add 203.0.113.77/24 dev ppp-wan");
            ip("link del ppp-wan");
            device("ppp-wan", "p0");
            ip_batch("addr add 203.0.113.78/24 dev ppp-wan\nroute add default via 203.0.113.1");
            ear.wan("the last", |w| w.v4 == Some(addr("203.0.113.78")) && w.route4).await;
            assert!(!ear.owns("ppp-wan", "203.0.113.77"));
            // A rename is another device by name.
            ip("link set ppp-wan down");
            ip("link set ppp-wan name other");
            ear.wan("no more", |w| w.device.is_none()).await;
        });
    });
}

#[test]
fn an_overrun_is_made_good() {
    in_namespace("addresses::an_overrun_is_made_good", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_receive_buffer(1).unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ear.fresh().await;
            for round in 1..=3u8 {
                let adds: Vec<_> =
                    (1..200).map(|n| format!("addr add 10.{round}.{n}.1/24 dev wan0")).collect();
                ip_batch(&adds.join("\n"));
                ip_batch(&adds.join("\n").replace(" add ", " del "));
                ip(&format!("addr add 203.0.113.{round}/24 dev wan0"));
                ip("route replace default via 203.0.113.254");
                assert!(dropped(ROUTE_GROUPS) > 0, "there was no overrun");
                let here = addr(&format!("203.0.113.{round}"));
                ear.wan("the truth", |w| w.v4 == Some(here) && w.route4).await;
                let left: Vec<_> = ear.own.borrow().iter().map(|own| own.addr.to_string()).collect();
                assert!(!left.iter().any(|text| text.starts_with("10.")), "{left:?}");
                ip(&format!("addr del 203.0.113.{round}/24 dev wan0"));
                ear.wan("its end", |w| w.v4.is_none() && !w.route4).await;
            }
        });
    });
}

#[test]
fn auto_follows_the_default_route() {
    in_namespace("addresses::auto_follows_the_default_route", || {
        device("wan0", "p0");
        device("wan1", "p1");
        ip_batch("addr add 203.0.113.7/24 dev wan0\naddr add 198.51.100.7/24 dev wan1");
        ip("addr add 2001:db8::7/64 dev wan0 nodad");
        let network = Network::open().unwrap();
        network.set_wans(&wan(Device::Auto));
        listen(&network, |ear| async move {
            assert_eq!(ear.fresh().await, WanSnapshot::default());
            ip("route add default via 203.0.113.1 metric 20");
            let by = |w: &WanSnapshot, device: &str| w.device.as_deref() == Some(device) && w.route4;
            ear.wan("wan0", |w| by(w, "wan0") && w.v4 == Some(addr("203.0.113.7"))).await;
            ip("route add default via 198.51.100.1 metric 10");
            ear.wan("wan1", |w| by(w, "wan1") && w.v4 == Some(addr("198.51.100.7"))).await;
            ip("route add default via fe80::1 dev wan0");
            let both = ear.wan("a device for each family", |w| w.route6).await;
            assert_eq!((both.v4, both.v6), (Some(addr("198.51.100.7")), Some(addr("2001:db8::7"))));
            assert_eq!(both.device.as_deref(), Some("wan1"));
            // A table that only rules lead to, as a VPN's, is not looked at.
            ip("route add default via 203.0.113.1 table 300");
            assert!(by(&ear.fresh().await, "wan1"));
            ip("link set p1 down");
            ear.wan("the one with a carrier", |w| by(w, "wan0")).await;
            ip("link set p1 up");
            ear.wan("wan1 again", |w| by(w, "wan1")).await;
            ip("route del default metric 10");
            ear.wan("wan0 again", |w| by(w, "wan0")).await;
            ip("route del default metric 20");
            let six = ear.wan("IPv6 only", |w| w.v4.is_none()).await;
            assert_eq!((six.device.as_deref(), six.route4, six.route6), (Some("wan0"), false, true));
            // A device that is named needs a route in any table (policy routing).
            network_set(&ear, &named("wan0"));
            ear.wan("route of table 300", |w| w.route4 && w.v4 == Some(addr("203.0.113.7"))).await;
            ip("route add default table 301 nexthop via 203.0.113.1 dev wan0 nexthop via 198.51.100.1 dev wan1");
            network_set(&ear, &named("wan1"));
            ear.wan("route of several ways", |w| w.route4 && w.v4 == Some(addr("198.51.100.7"))).await;
        });
    });
}

fn network_set(ear: &Ear<'_>, wans: &[Wan]) {
    while ear.rx.try_recv().is_ok() {}
    ear.network.set_wans(wans);
}

#[test]
fn a_rescan_tells_even_what_did_not_change() {
    in_namespace("addresses::a_rescan_tells_even_what_did_not_change", || {
        device("wan0", "p0");
        ip("addr add 203.0.113.7/24 dev wan0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let first = ear.fresh().await;
            for _ in 0..10 {
                assert_eq!(ear.fresh().await, first);
            }
            assert!(ear.rx.is_empty());
            network_set(&ear, &[]);
            assert!(matches!(ear.next().await, Event::Network { wans, .. } if wans.is_empty()));
        });
    });
}

#[test]
fn noise_of_the_network_does_not_wake() {
    in_namespace("addresses::noise_of_the_network_does_not_wake", || {
        device("wan0", "p0");
        lan();
        ip("addr add 203.0.113.7/24 dev wan0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ear.fresh().await;
            let routes: Vec<_> =
                (0..200).map(|n| format!("route add 10.0.{n}.0/24 via 203.0.113.1")).collect();
            ip_batch(&routes.join("\n"));
            ip("route add 2001:db8:5::/48 via fd00::2");
            ip("route add ff05::/16 dev lan0 table local");
            ip("route del 10.0.3.0/24");
            ip_batch(&chatter(2));
            assert_eq!(queued(ROUTE_GROUPS), 0);
            ip("route add default via 203.0.113.1");
            assert!(queued(ROUTE_GROUPS) > 0);
            ear.wan("the default route among them", |w| w.route4).await;
        });
    });
}

#[test]
fn a_socket_hears_the_kernel_only() {
    in_namespace("addresses::a_socket_hears_the_kernel_only", || {
        let socket = netlink::Socket::open(0, &porchlight::sense::filter::network()).unwrap();
        let mut buffer = socket.buffer();
        assert_eq!(socket.receive(&mut buffer).unwrap(), netlink::Received::Nothing);
        let seq = socket.ask(porchlight::wire::rtnl::kind::GETLINK, None).unwrap();
        smol::block_on(socket.readable()).unwrap();
        assert_eq!(socket.receive(&mut buffer).unwrap(), netlink::Received::Datagram);
        let (header, message) = porchlight::wire::rtnl::messages(&buffer).next().unwrap().unwrap();
        assert!(socket.answers(&header, seq) && !socket.answers(&header, seq + 1));
        assert!(matches!(message, porchlight::wire::rtnl::Message::Link(link) if link.name == "lo"));
    });
}
