//! Whose connections end when a way in is closed.

use super::*;

#[test]
fn a_stream_by_ipv6_is_cut_translated_or_not() {
    lab("cut::a_stream_by_ipv6_is_cut_translated_or_not", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        // The kernel follows connections from the start, as behind any firewall.
        nft_load("table inet any {\n\tchain c {\n\t\ttype filter hook forward priority 0;\n\t\tct state new accept\n\t}\n}\n");
        let cloud = lab.internet.within(|| TcpListener::bind(at("2001:db8::9", 443)).unwrap());
        let mut own = lab.cam1.within(|| TcpStream::connect(at("2001:db8::9", 443)).unwrap());
        let (mut at_cloud, _) = cloud.accept().unwrap();
        let mut nft = nft();
        for (port, to) in [(8554, 554), (8555, 8555)] {
            let streaming = streamer(&lab.cam1, CAM6, to);
            map(&mut nft, &[tcp6(port, to)], &[]);
            let mut viewer = lab.internet.within(|| TcpStream::connect(at(CAM6, port)).unwrap());
            assert_flows(&mut viewer);
            assert_eq!(hits(&nft, port), 1, "{port} to {to}");
            let cut = map(&mut nft, &[], &[CAM6]);
            assert_eq!((cut.flushed, cut.how), (1, How::Ctnetlink), "{port} to {to}");
            assert_stops(&mut viewer);
            streaming.join().unwrap();
        }
        own.write_all(b"ping").unwrap();
        at_cloud.set_read_timeout(Some(PATIENCE)).unwrap();
        at_cloud.read_exact(&mut [0; 4]).expect("what the camera opened itself was cut");
    });
}

/// The same port on both sides, behind a router that masquerades: the case in which the kernel
/// would take the stream up again.
#[test]
fn a_moved_camera_loses_its_old_viewers() {
    lab("cut::a_moved_camera_loses_its_old_viewers", |lab| {
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 8554)], &[]);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        greeter(&lab.cam2, "cam2", CAM2, 8554);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut viewer);
        let cut = map(&mut nft, &[tcp(8554, CAM2, 8554)], &[CAM1]);
        assert_eq!((cut.flushed, cut.how.clone()), (1, How::Ctnetlink));
        assert_eq!(cut.to_string(), "1 old connection cut");
        assert_stops(&mut viewer);
        let end = streaming.join().unwrap();
        assert!(
            matches!(end, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "the camera learns of it: {end}"
        );
        assert_eq!(lab.outside(8554).unwrap(), format!("cam2:8554 for {VIEWER}"));
        assert_eq!(map(&mut nft, &[tcp(8554, CAM2, 8554)], &[CAM1]).flushed, 0, "nothing came back");
    });
}

#[test]
fn a_closed_mapping_is_closed_for_those_who_are_in() {
    lab("cut::a_closed_mapping_is_closed_for_those_who_are_in", |lab| {
        let mut nft = nft();
        map(&mut nft, &[tcp(8554, CAM1, 8554), rule(Proto::Udp, (5000, 5000), CAM1, (5000, 5000))], &[]);
        let streaming = streamer(&lab.cam1, CAM1, 8554);
        let mut outside = lab.internet.within(|| TcpStream::connect(at(WAN, 8554)).unwrap());
        assert_flows(&mut outside);
        let hairpin = streamer(&lab.cam1, CAM1, 8555);
        map(
            &mut nft,
            &[
                tcp(8554, CAM1, 8554),
                tcp(8555, CAM1, 8555),
                rule(Proto::Udp, (5000, 5000), CAM1, (5000, 5000)),
            ],
            &[],
        );
        let mut inside = lab.client.within(|| TcpStream::connect(at(WAN, 8555)).unwrap());
        assert_flows(&mut inside);
        let camera = lab.cam1.within(|| UdpSocket::bind(at(CAM1, 5000)).unwrap());
        let viewer = lab.internet.within(|| UdpSocket::bind(at(VIEWER, 0)).unwrap());
        viewer.set_read_timeout(Some(PATIENCE)).unwrap();
        camera.set_read_timeout(Some(PATIENCE)).unwrap();
        viewer.send_to(b"look", at(WAN, 5000)).unwrap();
        let mut buffer = [0; 16];
        let (_, from) = camera.recv_from(&mut buffer).unwrap();
        camera.send_to(b"seen", from).unwrap();
        viewer.recv(&mut buffer).unwrap();
        // A connection that no mapping made: the camera's own, to the internet.
        let cloud = lab.internet.within(|| TcpListener::bind(at(VIEWER, 443)).unwrap());
        let mut own = lab.cam1.within(|| TcpStream::connect(at(VIEWER, 443)).unwrap());
        let (mut at_cloud, _) = cloud.accept().unwrap();

        let cut = map(&mut nft, &[], &[CAM1]);
        assert_eq!((cut.flushed, cut.how), (3, How::Ctnetlink));
        assert_stops(&mut outside);
        assert_stops(&mut inside);
        streaming.join().unwrap();
        hairpin.join().unwrap();
        camera.send_to(b"more", from).unwrap();
        viewer.set_read_timeout(Some(QUIET)).unwrap();
        assert!(viewer.recv(&mut buffer).is_err(), "the UDP stream goes on");
        own.write_all(b"ping").unwrap();
        at_cloud.set_read_timeout(Some(PATIENCE)).unwrap();
        at_cloud.read_exact(&mut buffer[..4]).expect("a connection that is none of ours was cut");
        assert!(lab.outside(8554).is_err());
        assert!(smol::block_on(nft.intact()));
        assert!(!sh("nft", &["list", "ruleset"]).contains("dnat"));
    });
}

/// One way in is closed, or narrower: whoever came by another one of the same camera, or may still come, goes on.
#[test]
fn who_is_still_let_in_is_not_cut_with_the_others() {
    lab("cut::who_is_still_let_in_is_not_cut_with_the_others", |lab| {
        let mut nft = nft();
        let (one, other, same) = (tcp(8554, CAM1, 8554), tcp(8555, CAM1, 8555), tcp(8556, CAM1, 8555));
        map(&mut nft, &[one.clone(), other.clone(), same.clone()], &[]);
        let mut ends = vec![streamer(&lab.cam1, CAM1, 8554), streamer(&lab.cam1, CAM1, 8555)];
        let watch = |port| {
            let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, port)).unwrap());
            assert_flows(&mut viewer);
            viewer
        };
        let (mut closed, mut open) = (watch(8554), watch(8555));
        assert_eq!(map(&mut nft, &[other.clone(), same.clone()], &[CAM1]).flushed, 1);
        assert_stops(&mut closed);
        ends.remove(0).join().unwrap();
        assert_flows(&mut open);
        // By another public port to the same port of the camera.
        assert_eq!(map(&mut nft, std::slice::from_ref(&same), &[CAM1]).flushed, 1);
        assert_stops(&mut open);
        ends.remove(0).join().unwrap();
        let streaming = streamer(&lab.cam1, CAM1, 8555);
        let mut viewer = lab.internet.within(|| TcpStream::connect(at(WAN, 8556)).unwrap());
        assert_flows(&mut viewer);
        let from = |net: &str| Rule { sources: vec![network(net)], ..same.clone() };
        assert_eq!(map(&mut nft, &[from(&format!("{VIEWER}/32"))], &[CAM1]).flushed, 0, "he is one of them");
        assert_flows(&mut viewer);
        assert_eq!(map(&mut nft, &[from("192.0.2.0/24")], &[CAM1]).flushed, 1);
        assert_stops(&mut viewer);
        streaming.join().unwrap();
    });
}
