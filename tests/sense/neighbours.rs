//! The cameras' entries of the neighbour table.

use super::*;

const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x55]);

#[test]
fn only_the_cameras_neighbour_entries_wake() {
    in_namespace("neighbours::only_the_cameras_neighbour_entries_wake", || {
        lan();
        ip_batch(&chatter(1));
        ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud stale");
        ip("neigh replace 192.168.1.99 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
        let network = Network::open().unwrap();
        assert!(netlink_column(NEIGH_GROUPS, 1).is_empty(), "no socket hears neighbours yet");
        watch_camera(&network);
        listen(&network, |ear| async move {
            let neighbour = || async {
                loop {
                    match ear.next().await {
                        Event::Network { .. } => {}
                        event => return event,
                    }
                }
            };
            let dumped = vec![
                (addr("192.168.1.9"), sighting(CAMERA, false)),
                (addr("192.168.1.99"), sighting(CAMERA, true)),
            ];
            assert_eq!(neighbour().await, Event::Neighbours(dumped));
            assert_eq!(netlink_column(NEIGH_GROUPS, 1).len(), 1);
            ip_batch(&chatter(10));
            assert_eq!(queued(NEIGH_GROUPS), 0, "nothing of the others is even queued");
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud reachable");
            assert!(queued(NEIGH_GROUPS) > 0);
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.9"), Some(sighting(CAMERA, true)))
            );
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), Some(sighting(OTHER, true))));
            ip("neigh replace 192.168.1.42 lladdr 02:00:00:00:00:09 dev lan0 nud stale");
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.42"), Some(sighting(CAMERA, false)))
            );
            ip("neigh replace fd00::9 lladdr 02:00:00:00:00:55 dev lan0 nud permanent");
            assert_eq!(neighbour().await, Event::Neighbour(addr("fd00::9"), Some(sighting(OTHER, true))));
            ip("neigh replace fd00::43 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
            assert_eq!(neighbour().await, Event::Neighbour(addr("fd00::43"), Some(sighting(CAMERA, true))));
            ip("neigh del 192.168.1.9 dev lan0");
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), None));
            assert_eq!(neighbour().await, Event::Neighbour(addr("192.168.1.9"), None), "failed, then gone");
            ip_batch(&chatter(3));
            // Other cameras: the table is read anew, and only theirs is told from then on.
            ear.network.set_cameras(&[OTHER], &[]).unwrap();
            assert_eq!(neighbour().await, Event::Neighbours(vec![(addr("fd00::9"), sighting(OTHER, true))]));
            ip("neigh replace 192.168.1.42 lladdr 02:00:00:00:00:09 dev lan0 nud reachable");
            ip("neigh replace 192.168.1.44 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert_eq!(
                neighbour().await,
                Event::Neighbour(addr("192.168.1.44"), Some(sighting(OTHER, true)))
            );
            ear.network.rescan();
            let Event::Neighbours(all) = neighbour().await else { panic!("no table") };
            assert_eq!(all.len(), 2);
            ear.network.set_cameras(&[], &[]).unwrap();
            assert_eq!(neighbour().await, Event::Neighbours(vec![]));
            assert_eq!(dropped(NEIGH_GROUPS), 0);
            assert!(netlink_column(NEIGH_GROUPS, 1).is_empty(), "no socket hears neighbours now");
        });
    });
}

#[test]
fn lost_neighbour_events_are_made_good() {
    in_namespace("neighbours::lost_neighbour_events_are_made_good", || {
        lan();
        let network = Network::open().unwrap();
        network.set_receive_buffer(1).unwrap();
        watch_camera(&network);
        listen(&network, |ear| async move {
            while !matches!(ear.next().await, Event::Neighbours(_)) {}
            let mut lines = String::new();
            for n in 0..300 {
                let state = ["reachable", "stale"][n % 2];
                lines +=
                    &format!("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud {state}\n");
            }
            ip_batch(&lines);
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:55 dev lan0 nud reachable");
            assert!(dropped(NEIGH_GROUPS) > 0, "there was no overrun");
            let truth = vec![(addr("192.168.1.9"), sighting(OTHER, true))];
            while ear.next().await != Event::Neighbours(truth.clone()) {}
        });
    });
}

#[test]
fn more_cameras_than_the_filter_takes() {
    in_namespace("neighbours::more_cameras_than_the_filter_takes", || {
        lan();
        let network = Network::open().unwrap();
        let macs: Vec<Mac> = (0..40).map(|n| Mac([2, 0, 0, 0, 9, n])).collect();
        network.set_cameras(&macs, &[]).unwrap();
        listen(&network, |ear| async move {
            while ear.next().await != Event::Neighbours(vec![]) {}
            ip_batch(&chatter(1));
            ip("neigh replace 192.168.1.9 lladdr 02:00:00:00:09:27 dev lan0 nud reachable");
            let expected = Event::Neighbour(addr("192.168.1.9"), Some(sighting(macs[39], true)));
            loop {
                match ear.next().await {
                    Event::Network { .. } => {}
                    event => {
                        assert_eq!(event, expected, "others pass the filter, and end here");
                        break;
                    }
                }
            }
        });
    });
}

fn sighting(mac: Mac, fresh: bool) -> Sighting {
    Sighting { mac, confirmed: fresh.then_some(Duration::ZERO) }
}
