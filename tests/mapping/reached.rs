//! Who reaches a camera by a mapping, and who does not.

use super::*;

#[test]
fn the_camera_is_reached_by_the_wan() {
    lab("reached::the_camera_is_reached_by_the_wan", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        greeter(&lab.client, "client", CLIENT, 8554);
        let router = TcpListener::bind(at(ROUTER, 8554)).unwrap();
        std::thread::spawn(move || {
            router.incoming().for_each(|stream| write!(stream.unwrap(), "router").unwrap())
        });
        assert!(lab.outside(8554).is_err(), "closed before it is mapped");

        map(&mut nft(), &[tcp(8554, CAM1, 554)], &[]);
        assert_eq!(lab.outside(8554).unwrap(), format!("cam1:554 for {VIEWER}"));
        assert_eq!(lab.inside(8554).unwrap(), format!("cam1:554 for {ROUTER}"), "hairpin");
        assert_eq!(
            lab.cam1.within(|| greeting(WAN, 8554)).unwrap(),
            format!("cam1:554 for {ROUTER}"),
            "itself"
        );
        assert!(greeting(WAN, 8554).unwrap().starts_with("cam1:554"), "from the router");
        assert_eq!(lab.client.within(|| greeting(CAM1, 554)).unwrap(), format!("cam1:554 for {CLIENT}"));
        // Only what is for the WAN's address is taken.
        assert_eq!(lab.client.within(|| greeting(ROUTER, 8554)).unwrap(), "router");
        let routed = lab.internet.within(|| greeting(CLIENT, 8554)).unwrap();
        assert_eq!(routed, format!("client:8554 for {VIEWER}"));
        assert!(lab.outside(554).is_err());
    });
}

#[test]
fn udp_and_tcp_are_apart() {
    lab("reached::udp_and_tcp_are_apart", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 5000);
        let camera = lab.cam1.within(|| UdpSocket::bind(at(CAM1, 5000)).unwrap());
        camera.set_read_timeout(Some(PATIENCE)).unwrap();
        map(&mut nft(), &[rule(Proto::Udp, (6000, 6000), CAM1, (5000, 5000))], &[]);
        for host in [&lab.internet, &lab.client] {
            let viewer = host.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
            viewer.connect(at(WAN, 6000)).unwrap();
            viewer.set_read_timeout(Some(PATIENCE)).unwrap();
            viewer.send(b"look").unwrap();
            let mut buffer = [0; 16];
            let (length, from) = camera.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"look");
            camera.send_to(b"seen", from).unwrap();
            let length = viewer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"seen");
        }
        assert!(lab.outside(6000).is_err(), "only UDP is mapped");
    });
}

#[test]
fn each_port_of_a_range_goes_to_its_own() {
    lab("reached::each_port_of_a_range_goes_to_its_own", |lab| {
        for port in (7000..7004).chain(8000..8004) {
            greeter(&lab.cam1, "cam1", CAM1, port);
        }
        let rules = [
            rule(Proto::Tcp, (8000, 8003), CAM1, (8000, 8003)),
            rule(Proto::Tcp, (9000, 9003), CAM1, (7000, 7003)),
        ];
        map(&mut nft(), &rules, &[]);
        // Often enough that a port drawn at random would show.
        for offset in (0..4).cycle().take(24) {
            assert_eq!(lab.outside(8000 + offset).unwrap(), format!("cam1:{} for {VIEWER}", 8000 + offset));
            assert_eq!(lab.outside(9000 + offset).unwrap(), format!("cam1:{} for {VIEWER}", 7000 + offset));
            assert_eq!(lab.inside(9000 + offset).unwrap(), format!("cam1:{} for {ROUTER}", 7000 + offset));
        }
        assert!(lab.outside(9004).is_err());
        // The largest range that may move its numbers is really taken by nft.
        map(&mut nft(), &[rule(Proto::Tcp, (10000, 11023), CAM1, (6000, 7023))], &[]);
        assert_eq!(lab.outside(11000).unwrap(), format!("cam1:7000 for {VIEWER}"));
    });
}

#[test]
fn src_ip_says_who_may() {
    lab("reached::src_ip_says_who_may", |lab| {
        greeter(&lab.cam1, "cam1", CAM1, 554);
        let mut nft = nft();
        let limited = |sources: &[&str]| Rule {
            sources: sources.iter().map(|source| network(source)).collect(),
            ..tcp(8554, CAM1, 554)
        };
        // Networks within one another are one to nft.
        map(&mut nft, &[limited(&["203.0.113.9/32", "198.51.100.0/24", "198.51.100.7/32"])], &[]);
        assert!(lab.outside(8554).is_ok());
        assert!(lab.stranger(8554).is_err());
        assert!(lab.inside(8554).is_err(), "the LAN is not in the list");
        map(&mut nft, &[limited(&["203.0.113.8/32", "192.168.1.0/24"])], &[]);
        assert!(lab.outside(8554).is_err());
        assert!(lab.stranger(8554).is_ok());
        assert_eq!(lab.inside(8554).unwrap(), format!("cam1:554 for {ROUTER}"));
        // Only networks of the other family: nobody, and that is said.
        let report =
            smol::block_on(nft.apply(&job(&[limited(&["2001:db8::/32"]), tcp(80, CAM1, 554)], &[]))).unwrap();
        assert_eq!(report.refused.len(), 1);
        assert!(lab.outside(8554).is_err() && lab.inside(8554).is_err());
        assert!(lab.outside(80).is_ok(), "the other mapping stands");
    });
}

#[test]
fn in_ipv6_it_is_the_cameras_own_address() {
    lab("reached::in_ipv6_it_is_the_cameras_own_address", |lab| {
        lab.internet.within(|| ip("route add fd00::/64 via 2001:db8::4"));
        lab.internet.within(|| ip("addr add 2001:db8::8/64 dev eth0"));
        nft_load(CLOSED6);
        for port in [554, 7000, 7001, 8556] {
            greeter(&lab.cam1, "cam1", CAM6, port);
        }
        let (viewer, stranger) = ("2001:db8::9", "2001:db8::8");
        let mut nft = nft();
        assert!(at_own_address(lab, viewer, 8554).is_err());
        map(&mut nft, &[tcp6(8554, 554)], &[]);
        assert_eq!(at_own_address(lab, viewer, 8554).unwrap(), "cam1:554 for 2001:db8::9");
        assert!(at_own_address(lab, viewer, 554).is_err(), "the camera's port itself is not opened");
        assert!(lab.internet.within(|| greeting("2001:db8::4", 8554)).is_err(), "nor one of the router's");
        assert!(lab.outside(8554).is_err() && lab.inside(8554).is_err(), "nor IPv4");
        let limited = Rule { sources: vec![network("2001:db8::9/128")], ..tcp6(8554, 554) };
        let moved = rule(Proto::Tcp, (9000, 9001), CAM6, (7000, 7001));
        let moved = Rule { wan_addrs: vec![], lan: network("fd00::/64"), ..moved };
        map(&mut nft, &[limited, moved], &[]);
        assert!(at_own_address(lab, viewer, 8554).is_ok() && at_own_address(lab, stranger, 8554).is_err());
        assert_eq!(at_own_address(lab, stranger, 9001).unwrap(), "cam1:7001 for 2001:db8::8");

        // What stays as it is does not count as translated: the firewall has to let it in by its address.
        map(&mut nft, &[tcp6(8556, 8556)], &[]);
        assert!(at_own_address(lab, viewer, 8556).is_err());
        let camera: [IpAddr; 1] = [CAM6.parse().unwrap()];
        let droppers = smol::block_on(nft.droppers(&camera, &camera)).unwrap();
        assert_eq!(droppers, ["table inet home6, chain forward (drops what it does not know)"]);
        assert_eq!(smol::block_on(nft.droppers(&camera, &[])).unwrap(), Vec::<String>::new());
    });
}
