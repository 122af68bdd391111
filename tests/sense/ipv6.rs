//! Which IPv6 addresses are published, and when.

use super::*;

fn sysctl(key: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{key}"), value).unwrap();
}

#[test]
fn ipv6_addresses_that_are_not_to_be_published() {
    in_namespace("ipv6::ipv6_addresses_that_are_not_to_be_published", || {
        device("wan0", "p0");
        sysctl("wan0/accept_ra", "0");
        sysctl("wan0/dad_transmits", "100");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ip("addr add 2001:db8::1/64 dev wan0");
            let now = ear.fresh().await;
            assert!(ear.owns("wan0", "2001:db8::1") && now.v6.is_none(), "tentative: {now:?}");
            ip("addr add fd00::1/64 dev wan0 nodad");
            ip("addr add fe80::99/64 dev wan0 nodad");
            let now = ear.fresh().await;
            // Told for want of a better one, so that witnesses are asked what stands for it outside; never published.
            assert!(ear.owns("wan0", "fd00::1"));
            assert_eq!(now.v6, Some(addr("fd00::1")), "unique-local");
            ip("addr del 2001:db8::1/64 dev wan0");
            ip("addr add 2001:db8::2/64 dev wan0 nodad preferred_lft 1000 valid_lft 2000");
            ear.wan("a good one", |w| w.v6 == Some(addr("2001:db8::2"))).await;
            ip("addr add 2001:db8::1/64 dev wan0 nodad");
            let now = ear.fresh().await;
            assert!(ear.owns("wan0", "2001:db8::1"));
            assert_eq!(now.v6, Some(addr("2001:db8::2")), "kept while it is fit");
            ip("addr change 2001:db8::2/64 dev wan0 preferred_lft 0 valid_lft 2000");
            ear.wan("the other", |w| w.v6 == Some(addr("2001:db8::1"))).await;
            ip("addr del 2001:db8::1/64 dev wan0");
            ear.wan("the private one again", |w| w.v6 == Some(addr("fd00::1"))).await;
            ip("addr del fd00::1/64 dev wan0");
            ear.wan("none", |w| w.v6.is_none()).await;
            assert!(ear.owns("wan0", "2001:db8::2"), "deprecated");
            // The peer has it: duplicate address detection fails.
            sysctl("wan0/dad_transmits", "1");
            ip("addr add 2001:db8::66/64 dev p0 nodad");
            ip("addr add 2001:db8::66/64 dev wan0");
            let failed = || {
                let out = Command::new("ip")
                    .args(["-6", "addr", "show", "dev", "wan0", "dadfailed"])
                    .output()
                    .unwrap();
                String::from_utf8_lossy(&out.stdout).contains("2001:db8::66")
            };
            let start = Instant::now();
            while !failed() {
                assert!(start.elapsed() < PATIENCE && ear.fresh().await.v6.is_none());
            }
            assert_eq!(ear.fresh().await.v6, None);
            assert!(ear.owns("wan0", "2001:db8::66"), "failed");
        });
    });
}

#[test]
fn ipv6_duplicate_detection_ends_in_an_event() {
    in_namespace("ipv6::ipv6_duplicate_detection_ends_in_an_event", || {
        device("wan0", "p0");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            ip("addr add 2001:db8::1/64 dev wan0");
            assert_eq!(ear.fresh().await.v6, None);
            ear.wan("settled", |w| w.v6 == Some(addr("2001:db8::1"))).await;
            ip("route add default via fe80::1 dev wan0");
            ear.wan("its route", |w| w.route6 && !w.route4).await;
            ip("route del default via fe80::1 dev wan0");
            ear.wan("no route", |w| !w.route6).await;
            ip("route add default from 2001:db8::/64 via fe80::1 dev wan0");
            ear.wan("a route for one prefix, as netifd makes it", |w| w.route6).await;
        });
    });
}

#[test]
fn ipv6_temporary_addresses_are_not_published() {
    in_namespace("ipv6::ipv6_temporary_addresses_are_not_published", || {
        device("wan0", "p0");
        sysctl("wan0/dad_transmits", "0");
        sysctl("wan0/use_tempaddr", "2");
        // Numerically the highest, so that a temporary one would be chosen if nothing else decided.
        ip("addr add 2001:db8::ffff:ffff:ffff:ffff/64 dev wan0 mngtmpaddr nodad preferred_lft 1000 valid_lft 2000");
        let stable = addr("2001:db8::ffff:ffff:ffff:ffff");
        let network = Network::open().unwrap();
        network.set_wans(&named("wan0"));
        listen(&network, |ear| async move {
            let temporary = |own: &OwnAddr| {
                own.device == "wan0" && own.addr.to_string().starts_with("2001:db8") && own.addr != stable
            };
            let mut now = ear.fresh().await;
            while !ear.own.borrow().iter().any(temporary) {
                now = ear.wan("a temporary address", |_| true).await;
            }
            assert_eq!(now.v6, Some(stable));
            let last = ear.own.borrow().iter().find(|own| temporary(own)).unwrap().addr;
            assert!(last < stable);
        });
    });
}
