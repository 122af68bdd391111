//! OpenWrt's firewall carries the mappings, and our own table stops what it is not to let in.

use super::*;

#[test]
fn a_stop_closes_before_it_asks_procd_which_may_hang() {
    lab("firewall::a_stop_closes_before_it_asks_procd_which_may_hang", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        let mut router = Router::new("echo 'Failed to connect to ubus' >&2; exit 255");
        let failure = smol::block_on(router.backend.remove(Duration::ZERO)).unwrap_err();
        assert!(failure.contains("Failed to connect to ubus"), "{failure}");
        assert!(lab.outside(8554).is_err());
    });
}

#[test]
fn what_an_earlier_run_left_is_closed_before_procd_is_asked() {
    lab("firewall::what_an_earlier_run_left_is_closed_before_procd_is_asked", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        // It writes down what our own table stops when it is asked for the first time.
        let mut router = Router::new(
            "cd \"${0%/*}\"; [ -e seen ] || nft list table inet porchlight >seen; echo 'ubus hangs' >&2; exit 255",
        );
        let nothing = MapJob { carrier: Carrier::Service, ..job(&[], &[]) };
        assert!(smol::block_on(router.backend.apply(&nothing)).is_err());
        let seen = std::fs::read_to_string(router.dir.join("seen")).unwrap();
        assert!(seen.contains("tcp dport 554") && seen.contains("drop"), "{seen}");
        assert!(lab.outside(8554).is_err());
    });
}

#[test]
fn what_others_open_again_is_closed_by_the_look() {
    lab("firewall::what_others_open_again_is_closed_by_the_look", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut router = Router::new("echo '{}'");
        let nothing = MapJob { carrier: Carrier::Service, ..job(&[], &[]) };
        smol::block_on(router.backend.apply(&nothing)).unwrap();
        assert!(smol::block_on(router.backend.look()).intact);
        // A restored configuration, and a firewall that is reloaded with it.
        nft_load(FW4);
        assert!(lab.outside(8554).is_ok());
        assert!(!smol::block_on(router.backend.look()).intact);
        assert!(lab.outside(8554).is_err());
        // Ours alone is removed: what it stopped is open again.
        sh("nft", &["delete", "table", "inet", "porchlight"]);
        assert!(lab.outside(8554).is_ok());
        assert!(!smol::block_on(router.backend.look()).intact);
        assert!(lab.outside(8554).is_err());
        assert!(smol::block_on(router.backend.look()).intact);
    });
}

/// What OpenWrt's firewall makes of a redirect and a rule of ours for the camera's own address.
const FW4_SIX: &str = "table inet fw4 {
	chain input_wan {
	}
	chain input_lan {
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state vmap { established : accept, related : accept }
		iifname \"wan0\" jump forward_wan
	}
	chain forward_wan {
		ip6 daddr fd00::50 tcp dport 8556 counter jump accept_to_lan comment \"!fw4: ubus:porchlight_mappings[*] rule 1\"
		ct status dnat accept comment \"!fw4: Accept port forwards\"
		meta nfproto ipv6 reject with tcp reset
	}
	chain accept_to_lan {
		oifname \"br-lan\" counter accept
	}
	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		iifname \"wan0\" jump dstnat_wan
	}
	chain dstnat_wan {
		ip6 daddr fd00::50 tcp dport 8554 counter dnat ip6 to [fd00::50]:554 comment \"!fw4: ubus:porchlight_mappings[*] redirect 0\"
	}
}
";

#[test]
fn both_forms_of_a_way_in_by_ipv6_are_known_and_stopped() {
    lab("firewall::both_forms_of_a_way_in_by_ipv6_are_known_and_stopped", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        lab.client.within(|| ip("addr add fd00::20/64 dev eth0"));
        greeter(&lab.cam1, "cam1", CAM6, 554);
        greeter(&lab.cam1, "cam1", CAM6, 8556);
        let open = |port| at_own_address(lab, "2001:db8::9", port).is_ok();
        // procd takes what it is given, and the firewall has it already.
        let mut router = Router::new("echo '{}'");
        nft_load(FW4_SIX);
        assert!(open(8554) && open(8556) && !open(554));
        let wanted = MapJob { carrier: Carrier::Service, ..job(&[tcp6(8554, 554), tcp6(8556, 8556)], &[]) };
        let report = smol::block_on(router.backend.apply(&wanted)).unwrap();
        assert_eq!((report.refused, report.missing), (vec![], vec![]));
        assert!(smol::block_on(router.backend.look()).intact && open(8554) && open(8556));
        // Closed before the firewall hears of it: one, then the other.
        for (rules, stays) in [(vec![tcp6(8556, 8556)], 8556), (vec![tcp6(8554, 554)], 8554)] {
            let closing = MapJob { carrier: Carrier::Service, reload: false, ..job(&rules, &[CAM6]) };
            smol::block_on(router.backend.apply(&closing)).unwrap();
            assert_eq!((open(8554), open(8556)), (stays == 8554, stays == 8556));
        }
        let closing = MapJob { carrier: Carrier::Service, reload: false, ..job(&[], &[CAM6]) };
        smol::block_on(router.backend.apply(&closing)).unwrap();
        assert!(!open(8554) && !open(8556));
        assert!(lab.client.within(|| greeting(CAM6, 8556)).is_ok(), "the LAN reaches it as ever");
    });
}

#[test]
fn our_own_table_carries_nothing_while_the_firewall_may() {
    lab("firewall::our_own_table_carries_nothing_while_the_firewall_may", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut router =
            Router::new("[ -e \"${0%/*}/works\" ] && echo '{}' || { echo 'ubus hangs' >&2; exit 255; }");
        nft_load(FW4);
        let by_nft = job(&[tcp(8555, CAM1, 554)], &[]);
        for _ in 0..2 {
            let failure = smol::block_on(router.backend.apply(&by_nft)).unwrap_err();
            assert!(failure.contains("ubus hangs"), "{failure}");
            assert!(lab.outside(8554).is_err() && lab.outside(8555).is_err());
        }
        std::fs::write(router.dir.join("works"), "").unwrap();
        sh("nft", &["delete", "table", "inet", "fw4"]);
        smol::block_on(router.backend.apply(&by_nft)).unwrap();
        assert!(lab.outside(8554).is_err() && lab.outside(8555).is_ok());
    });
}
