//! Leases, the resolver's files, and the time zone.

use super::*;

/// Runs a script beside the file sensor; it is handed a way to get the next event.
fn watch<F: Future<Output = ()>>(root: &Path, script: impl FnOnce(Receiver<Event>) -> F) {
    let (tx, rx) = smol::channel::unbounded();
    let run = async {
        files::run(Paths::usual(root), teller(tx)).await.unwrap();
        panic!("the sensor ended");
    };
    smol::block_on(or(script(rx), run));
}

async fn next(rx: &Receiver<Event>) -> Event {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("no event in {PATIENCE:?}");
    };
    or(async { rx.recv().await.unwrap() }, late).await
}

fn lease_line(last: u8) -> String {
    format!("1763823000 02:00:00:00:00:09 192.168.1.{last} IPCam *\n")
}

fn at(last: u8) -> Event {
    let lease = Lease {
        expiry: 1_763_823_000,
        mac: CAMERA,
        addr: IpAddr::from([192, 168, 1, last]),
        name: Some("ipcam".into()),
    };
    Event::Leases(vec![lease])
}

#[test]
fn leases_are_followed_however_they_are_written() {
    let tree = Tree::new("leases");
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        // Directory and file come later.
        tree.make("tmp");
        tree.write("tmp/dhcp.leases", &lease_line(1));
        assert_eq!(next(&rx).await, at(1));
        for n in 2..10 {
            tree.replace("tmp/dhcp.leases", &lease_line(n));
            assert_eq!(next(&rx).await, at(n));
        }
        // As dnsmasq does: the file stays open and is written anew, in pieces.
        let mut file = std::fs::OpenOptions::new().write(true).open(tree.0.join("tmp/dhcp.leases")).unwrap();
        for n in 20..25 {
            std::io::Seek::rewind(&mut file).unwrap();
            file.set_len(0).unwrap();
            smol::future::yield_now().await;
            for piece in lease_line(n).as_bytes().chunks(16) {
                file.write_all(piece).unwrap();
                smol::future::yield_now().await;
            }
            assert_eq!(next(&rx).await, at(n), "never an empty or torn list in between");
        }
        // The same content, and names that do not concern us.
        tree.replace("tmp/dhcp.leases", &lease_line(24));
        tree.write("tmp/other", "x");
        silence(&rx).await;
        std::fs::remove_file(tree.0.join("tmp/dhcp.leases")).unwrap();
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        // The whole directory goes and comes.
        std::fs::remove_dir_all(tree.0.join("tmp")).unwrap();
        tree.make("tmp");
        tree.write("tmp/dhcp.leases", &lease_line(30));
        assert_eq!(next(&rx).await, at(30));
        // Debian's place, several directories below anything that exists.
        tree.make("var/lib/misc");
        tree.replace("var/lib/misc/dnsmasq.leases", &lease_line(31));
        assert!(matches!(next(&rx).await, Event::Leases(all) if all.len() == 2));
    });
}

#[test]
fn the_resolvers_files_are_followed_through_links() {
    let tree = Tree::new("resolver");
    tree.make("etc");
    std::os::unix::fs::symlink("/tmp/resolv.conf", tree.0.join("etc/resolv.conf")).unwrap();
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        tree.make("tmp");
        tree.write("tmp/resolv.conf", "search lan\nnameserver 127.0.0.1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        tree.make("tmp/resolv.conf.d");
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\n");
        assert_eq!(next(&rx).await, Event::Resolver(false));
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\nnameserver 192.0.2.1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "# Interface wan\nnameserver 192.0.2.2\n");
        assert_eq!(next(&rx).await, Event::Resolver(true), "other content heals too");
        // The link itself is replaced.
        std::os::unix::fs::symlink("../run/resolve/stub", tree.0.join("etc/new")).unwrap();
        std::fs::rename(tree.0.join("etc/new"), tree.0.join("etc/resolv.conf")).unwrap();
        assert_eq!(next(&rx).await, Event::Resolver(false));
        tree.make("run/resolve");
        tree.replace("run/resolve/stub", "nameserver ::1\n");
        assert_eq!(next(&rx).await, Event::Resolver(true));
        // What it led to before no longer matters.
        tree.replace("tmp/resolv.conf", "nameserver 127.0.0.2\n");
        silence(&rx).await;
        // Not a plain file: neither read nor waited for.
        let fifo = tree.0.join("run/resolve/fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::fs::rename(&fifo, tree.0.join("run/resolve/stub")).unwrap();
        assert_eq!(next(&rx).await, Event::Resolver(false));
        // A link to itself.
        std::os::unix::fs::symlink("resolv.conf", tree.0.join("etc/new")).unwrap();
        std::fs::rename(tree.0.join("etc/new"), tree.0.join("etc/resolv.conf")).unwrap();
        tree.replace("tmp/resolv.conf.d/resolv.conf.auto", "");
        assert_eq!(next(&rx).await, Event::Resolver(false));
    });
}

/// As OpenWrt has it: `/etc/TZ` is a link to a file that its init script writes.
#[test]
fn the_time_zone_is_followed() {
    let tree = Tree::new("zone");
    tree.make("etc");
    tree.make("tmp");
    std::os::unix::fs::symlink("/tmp/TZ", tree.0.join("etc/TZ")).unwrap();
    let zone = |text: &str| Event::TimeZone(Zone::parse(text).map_or_else(TimeZone::Bad, TimeZone::Known));
    watch(&tree.0.clone(), |rx| async move {
        assert_eq!(next(&rx).await, Event::Resolver(false));
        assert_eq!(next(&rx).await, Event::Leases(vec![]));
        tree.write("tmp/TZ", "CET-1CEST,M3.5.0,M10.5.0/3\n");
        assert_eq!(next(&rx).await, zone("CET-1CEST,M3.5.0,M10.5.0/3"));
        tree.replace("tmp/TZ", "Europe/Berlin\n");
        assert!(matches!(next(&rx).await, Event::TimeZone(TimeZone::Bad(_))));
        tree.replace("tmp/TZ", "CST-8\n");
        assert_eq!(next(&rx).await, zone("CST-8"));
        std::fs::remove_file(tree.0.join("tmp/TZ")).unwrap();
        assert_eq!(next(&rx).await, zone("UTC0"));
    });
}
