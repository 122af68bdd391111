//! Connections are counted.

use super::*;

#[test]
fn connections_are_counted_over_changes_and_restarts() {
    lab("counted::connections_are_counted_over_changes_and_restarts", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        greeter(&lab.cam2, "cam2", CAM2, 554);
        let mut first = nft();
        let limited = Rule { sources: vec![network("203.0.113.9/32")], ..tcp(8554, CAM1, 554) };
        map(&mut first, std::slice::from_ref(&limited), &[]);
        for _ in 0..3 {
            lab.outside(8554).unwrap();
        }
        assert!(lab.stranger(8554).is_err());
        assert_eq!(hits(&first, 8554), 3, "who is refused does not count");
        assert!(smol::block_on(first.intact()), "counting is no change");
        // Another mapping comes, this one moves: it goes on counting, and each for itself.
        map(&mut first, &[tcp(8554, CAM2, 554), tcp(8555, CAM1, 554)], &[CAM1]);
        lab.outside(8555).unwrap();
        lab.inside(8554).unwrap();
        assert_eq!((hits(&first, 8554), hits(&first, 8555)), (4, 1));
        // The agent is killed and starts again, with an older memory.
        let mut second = nft();
        second.hits().insert("door_8554".into(), 2);
        map(&mut second, &[tcp(8554, CAM2, 554)], &[]);
        lab.outside(8554).unwrap();
        assert_eq!(hits(&second, 8554), 5);
        // Somebody flushes everything: what was known stays.
        assert_eq!(smol::block_on(second.apply(&job(&[tcp(8554, CAM2, 554)], &[]))).unwrap().refused, []);
        sh("nft", &["delete", "table", "inet", "porchlight"]);
        map(&mut second, &[tcp(8554, CAM2, 554)], &[]);
        lab.outside(8554).unwrap();
        assert_eq!(hits(&second, 8554), 6);
        // Taken away, the last count is known.
        smol::block_on(second.remove()).unwrap();
        assert_eq!(second.hits().get("door_8554"), Some(&6));
        assert_eq!(hits(&second, 8554), 0);
    });
}

#[test]
fn what_the_firewall_lets_in_is_counted_over_its_reloads() {
    lab("counted::what_the_firewall_lets_in_is_counted_over_its_reloads", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        nft_load(FW4);
        let mut router = Router::new("echo '{}'");
        let carried = MapJob { carrier: Carrier::Service, ..job(&[tcp(8554, CAM1, 554)], &[]) };
        let report = smol::block_on(router.backend.apply(&carried)).unwrap();
        assert_eq!((report.refused, report.missing), (Vec::new(), Vec::new()));
        lab.outside(8554).unwrap();
        sh("nft", &["delete", "table", "inet", "fw4"]);
        assert!(lab.outside(8554).is_err());
        nft_load(FW4);
        lab.outside(8554).unwrap();
        let counted = || smol::block_on(nft().program().hits()).get("door_8554").copied();
        assert_eq!(counted(), Some(2));
        assert!(smol::block_on(router.backend.look()).intact);
        // What is to be closed is stopped before it is counted.
        smol::block_on(router.backend.apply(&MapJob { reload: false, rules: Vec::new(), ..carried.clone() }))
            .unwrap();
        assert!(lab.outside(8554).is_err());
        let report = smol::block_on(router.backend.apply(&carried)).unwrap();
        assert_eq!(report.hits.get("door_8554"), Some(&2));
        lab.outside(8554).unwrap();
        assert_eq!(counted(), Some(3));
    });
}
