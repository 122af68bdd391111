//! Our own table among the others.

use super::*;

#[test]
fn nothing_of_ours_remains_and_nothing_of_others_changes() {
    lab("table::nothing_of_ours_remains_and_nothing_of_others_changes", |lab| {
        nft_load(
            "table inet porchlight_of_others {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t}\n}\n",
        );
        let before = others();
        assert!(before.contains("masquerade"));
        let mut first = nft();
        map(&mut first, &[tcp(8554, CAM1, 8554)], &[]);
        assert_eq!(others(), before);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut viewer);
        // As `porchlight unmap` does: in another process, which knows of no rule.
        let cut = smol::block_on(nft().remove()).unwrap();
        assert_eq!(cut.flushed, 1);
        assert_stops(&mut viewer);
        streaming.join().unwrap();
        assert_eq!(sh("nft", &["-s", "list", "ruleset"]), before);
        assert!(!smol::block_on(first.intact()), "the other process' doing is noticed");
        assert_eq!(smol::block_on(first.remove()).unwrap().how, How::NothingToDo);
        // A job without rules leaves nothing either.
        map(&mut first, &[tcp(8554, CAM1, 8554)], &[]);
        map(&mut first, &[], &[]);
        assert_eq!(sh("nft", &["-s", "list", "ruleset"]), before);
        assert!(smol::block_on(first.intact()));
    });
}

#[test]
fn a_foreign_change_is_heard_once() {
    lab("table::a_foreign_change_is_heard_once", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        let mut ears = Ruleset::open().unwrap();
        let mut hear = |patience: Duration| {
            let late = async {
                async_io::Timer::after(patience).await;
                None
            };
            smol::block_on(smol::future::or(async { Some(ears.changed().await.unwrap()) }, late))
        };
        assert!(smol::block_on(nft.intact()), "nothing mapped yet");
        map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
        assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged), "our own change is heard too");
        assert!(smol::block_on(nft.intact()));
        assert_eq!(hear(QUIET), None, "asking changes nothing");

        // A firewall's reload of many rules is one event, and leaves us whole.
        let rule = "\t\tip saddr 198.51.100.7 counter drop\n".repeat(200);
        let big = format!(
            "table inet big {{\n\tchain c {{\n\t\ttype filter hook input priority 0;\n{rule}\t}}\n}}\n"
        );
        nft_load(&big);
        assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
        assert_eq!(hear(QUIET), None);
        assert!(smol::block_on(nft.intact()));

        // One rule put into our table, one taken out, everything flushed.
        let harms: [&[&str]; 3] = [
            &["insert", "rule", "inet", "porchlight", "prerouting", "drop"],
            &["flush", "chain", "inet", "porchlight", "output"],
            &["flush", "ruleset"],
        ];
        for harm in harms {
            sh("nft", harm);
            assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
            assert!(!smol::block_on(nft.intact()), "{harm:?}");
            map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
            assert!(smol::block_on(nft.intact()));
            assert!(lab.outside(8554).is_ok());
            assert_eq!(hear(PATIENCE), Some(Event::RulesetChanged));
        }
        assert_eq!(hear(QUIET), None);
    });
}

#[test]
fn a_table_that_is_removed_each_time_does_not_count_as_made() {
    lab("table::a_table_that_is_removed_each_time_does_not_count_as_made", |_| {
        let dir = std::env::temp_dir().join(format!("porchlight-mapping-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let program = dir.join("nft");
        let script = "#!/bin/sh\nnft \"$@\" || exit\n\
            [ \"$1\" = -f ] && nft delete table inet porchlight 2>/dev/null\nexit 0\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut nft = Nft::with_program(Path::new("/"), &program);
        let failure = smol::block_on(nft.apply(&job(&[tcp(8554, CAM1, 554)], &[]))).unwrap_err();
        assert!(failure.contains("another program"), "{failure}");
        // To be closed, it may be gone as often as it likes.
        smol::block_on(nft.apply(&job(&[], &[]))).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn who_drops_our_packets_is_named() {
    lab("table::who_drops_our_packets_is_named", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 554)], &[]);
        let targets: [IpAddr; 1] = [CAM1.parse().unwrap()];
        let droppers = |nft: &Nft| smol::block_on(nft.droppers(&targets, &[])).unwrap();
        assert_eq!(droppers(&nft), Vec::<String>::new());
        let chain = |policy: &str, rules: &str| {
            format!(
                "add table inet filter\ndelete table inet filter\ntable inet filter {{\n\tset big {{\n\t\ttype ipv4_addr\n\
                 \t\telements = {{ 198.51.100.1, 198.51.100.2, 198.51.100.3 }}\n\t}}\n\tchain forward {{\n\
                 \t\ttype filter hook forward priority 0; policy {policy};\n{rules}\n\t}}\n}}\n"
            )
        };
        let cases = [
            ("drop", "ct state established,related accept", Some("(policy drop)")),
            ("drop", "ct state established,related accept\nct status dnat accept", None),
            ("drop", "ct state established,related accept\nip daddr 192.168.1.50 accept", None),
            (
                "accept",
                "ct state established,related accept\ncounter reject with icmpx type admin-prohibited",
                Some("(drops what it does not know)"),
            ),
            ("accept", "ct status dnat accept\ncounter reject with icmpx type admin-prohibited", None),
            ("accept", "ip saddr @big drop", None),
        ];
        for (policy, rules, named) in cases {
            nft_load(&chain(policy, rules));
            let name = named.map(|why| format!("table inet filter, chain forward {why}"));
            assert_eq!(droppers(&nft), name.into_iter().collect::<Vec<_>>(), "{rules}");
            // The name and the packets agree.
            assert_eq!(lab.outside(8554).is_err(), named.is_some(), "{rules}");
        }
    });
}

#[test]
fn where_it_cannot_work_it_says_why() {
    lab("table::where_it_cannot_work_it_says_why", |_| {
        let mut missing = Nft::with_program(Path::new("/"), Path::new("porchlight-no-such-nft"));
        let error = smol::block_on(missing.apply(&job(&[tcp(8554, CAM1, 554)], &[]))).unwrap_err();
        assert_eq!(error, "there is no program porchlight-no-such-nft: install the package nftables");
        assert!(smol::block_on(missing.intact()), "it never mapped anything");
        // A program that says no, at length.
        let mut refusing = Nft::with_program(Path::new("/"), Path::new("/bin/false"));
        assert!(smol::block_on(refusing.apply(&job(&[], &[])))
            .unwrap_err()
            .starts_with("nft did not accept"));

        let root = std::env::temp_dir().join(format!("porchlight-mapping-{}", std::process::id()));
        let switch = root.join("proc/sys/net/ipv4");
        std::fs::create_dir_all(&switch).unwrap();
        assert!(forwarding(&root, Family::V4));
        std::fs::write(switch.join("ip_forward"), "0\n").unwrap();
        assert!(!forwarding(&root, Family::V4));
        assert!(forwarding(Path::new("/"), Family::V4) && forwarding(Path::new("/"), Family::V6));
        let nft = Nft::new(&root);
        assert!(!smol::block_on(nft.fw4_present()));
        nft_load("table inet fw4 { }\n");
        assert!(smol::block_on(nft.fw4_present()), "by its table");
        sh("nft", &["delete", "table", "inet", "fw4"]);
        std::fs::create_dir_all(root.join("sbin")).unwrap();
        std::fs::write(root.join("sbin/fw4"), "").unwrap();
        assert!(smol::block_on(nft.fw4_present()), "by its program");
        std::fs::remove_dir_all(&root).unwrap();
    });
}
