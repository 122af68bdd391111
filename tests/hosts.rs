//! `/etc/config/dhcp` edited in place: static leases put in, changed and taken out, everything else byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::mapping::hosts::edit;
use porchlight::model::Mac;
use porchlight::plan::{LeaseJob, Leased, StaticLease};
use proptest::prelude::*;

/// OpenWrt's own, shortened, with the static lease of somebody's printer.
const DHCP: &str = "
config dnsmasq
\toption domainneeded '1'
\toption leasefile '/tmp/dhcp.leases'   # where we read
\tlist server '/example.com/192.0.2.1'

config dhcp 'lan'
\toption interface 'lan'
\toption start '100'
\toption limit '150'
\toption leasetime '12h'

config host
\toption name 'printer'
\toption mac '02:00:00:00:00:0A 02:00:00:00:00:0b'
\toption ip '192.168.1.9'

config domain
\toption name 'cam.lan'
\toption ip '192.168.1.20'
";
const FRONT: &str = "
config host 'porchlight_front'
\toption name 'front'
\tlist mac '02:00:00:00:00:20'
\tlist mac '02:00:00:00:00:2F'
\toption ip '192.168.1.20'
";

fn lease(camera: &str, last: u8) -> StaticLease {
    StaticLease {
        camera: camera.into(),
        host: camera.into(),
        macs: vec![Mac([2, 0, 0, 0, 0, last]), Mac([2, 0, 0, 0, 0, 0x2f])],
        addr: Some([192, 168, 1, 20].into()),
        moved: false,
    }
}

fn front() -> StaticLease {
    lease("front", 0x20)
}

fn job(leases: &[StaticLease]) -> LeaseJob {
    LeaseJob { leases: leases.to_vec(), only: true, tell: false }
}

/// The new text, and what it has.
fn edited(text: &str, leases: &[StaticLease]) -> (String, Leased) {
    let (new, leased) = edit(text.as_bytes(), &job(leases)).unwrap();
    let new = new.map_or(text.to_string(), |new| String::from_utf8(new).unwrap());
    let again = edit(new.as_bytes(), &job(leases)).unwrap();
    // What was to move has moved: once more is nothing.
    assert_eq!(again, (None, leased.clone()), "twice is once");
    (new, leased)
}

#[test]
fn put_in_and_taken_out() {
    let (new, leased) = edited(DHCP, &[front()]);
    assert_eq!(new, format!("{DHCP}{FRONT}"));
    assert_eq!(leased.pinned, [("front".to_string(), [192, 168, 1, 20].into())]);
    assert_eq!(edited(&new, &[]).0, DHCP);
    let dos = DHCP.replace('\n', "\r\n");
    let (new, _) = edited(&dos, &[front()]);
    assert_eq!(new, dos.clone() + &FRONT.replace('\n', "\r\n"));
    assert_eq!(edited(&new, &[]).0, dos);
}

#[test]
fn the_written_address_stays_until_it_is_to_move() {
    let there = format!("{DHCP}{FRONT}");
    let elsewhere = StaticLease { addr: Some([192, 168, 1, 60].into()), ..front() };
    assert_eq!(edited(&there, std::slice::from_ref(&elsewhere)).0, there);
    let (new, leased) = edited(&there, &[StaticLease { moved: true, ..elsewhere }]);
    assert_eq!(new, there.replace("'192.168.1.20'\n", "'192.168.1.60'\n").replacen(".60", ".20", 1));
    assert_eq!(leased.pinned[0].1.to_string(), "192.168.1.60");
    // The owner wrote another one.
    let owners = there.replace(FRONT, &FRONT.replace(".20'\n", ".50'\n").replace("0:50'", "0:20'"));
    assert_eq!(edited(&owners, &[front()]).1.pinned[0].1.to_string(), "192.168.1.50");
    // Nowhere, or of unknown MAC: what is written stays, and nothing new is.
    for lease in [StaticLease { addr: None, ..front() }, StaticLease { macs: Vec::new(), ..front() }] {
        let (new, leased) = edited(&there, std::slice::from_ref(&lease));
        assert_eq!((new, leased.pinned.len()), (there.clone(), 1));
        assert_eq!(edited(DHCP, &[lease]), (DHCP.to_string(), Leased::default()));
    }
}

#[test]
fn what_others_made_of_ours_is_set_right_but_for_the_address() {
    let odd = FRONT.replace("\tlist mac '02:00:00:00:00:2F'\n", "\toption leasetime '1h'\n");
    let odd = odd.replace("'192.168.1.20'", "192.168.1.50");
    let (new, _) = edited(&format!("{DHCP}{odd}"), &[front()]);
    assert_eq!(new, format!("{DHCP}{}", FRONT.replace("1.20'", "1.50'")));
    let broken = FRONT.replace("192.168.1.20", "ignore");
    assert_eq!(edited(&format!("{DHCP}{broken}"), &[front()]).0, format!("{DHCP}{FRONT}"));
    // One that is left over, and one that is not ours.
    let left = format!("{DHCP}\nconfig host 'porchlight_old'\n\toption ip '192.168.1.99'\n");
    assert_eq!(edited(&left, &[front()]).0, format!("{DHCP}{FRONT}"));
    let (kept, _) = edit(left.as_bytes(), &LeaseJob { only: false, ..job(&[]) }).unwrap();
    assert_eq!(kept, None, "while the configuration is faulty nothing is taken out");
    let named = format!("{DHCP}\nconfig tag 'porchlight_front'\n");
    let (new, _) = edited(&named, &[front()]);
    assert!(new.starts_with(&named) && new.contains("config host 'porchlight_front__2'"), "{new}");
}

#[test]
fn what_somebody_else_has_is_refused_and_said_whose() {
    let why = |text: &str, lease: StaticLease| {
        let (new, leased) = edited(text, &[lease]);
        assert_eq!((new.contains("porchlight"), leased.pinned.len()), (false, 0), "{new}");
        leased.refused[0].1.clone()
    };
    let printers = "/etc/config/dhcp has a static lease for 02:00:00:00:00:0b already, of host printer";
    assert_eq!(why(DHCP, lease("front", 0x0b)), printers);
    let address = StaticLease { addr: Some([192, 168, 1, 9].into()), ..front() };
    assert!(why(DHCP, address).contains("a static lease for 192.168.1.9 already, of host printer"));
    // Also when ours was there first: dnsmasq would not start with both.
    let both =
        format!("{DHCP}{FRONT}\nconfig host\n\toption ip '192.168.1.20'\n\toption name 'x\u{1b}[31m'\n");
    let said = why(&both, front());
    assert!(said.ends_with("of host x\\u{1b}[31m"), "{said}");
    let (new, leased) = edited(DHCP, &[front(), lease("twin", 0x21)]);
    assert!(!new.contains("twin"), "{new}");
    assert_eq!(
        leased.refused,
        [("twin".to_string(), "192.168.1.20 is pinned for camera front already".into())]
    );
}

#[test]
fn names_are_those_of_sections_and_cannot_break_out() {
    let dash = StaticLease { addr: Some([192, 168, 1, 21].into()), ..lease("a-b", 1) };
    let odd = lease("a_b", 2);
    let (new, leased) = edited(DHCP, &[odd.clone(), dash.clone()]);
    assert!(new.contains("config host 'porchlight_a_b'") && new.contains("config host 'porchlight_a_b_2'"));
    assert_eq!(leased.pinned.len(), 2);
    assert_eq!(edited(&new, &[odd, dash]).0, new);
    assert!(edit(b"config dhcp\n\toption a 'b\n", &job(&[front()])).unwrap_err().contains("line 2"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(old in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((Some(new), leased)) = edit(&old, &job(&[front()])) {
            prop_assert_eq!(leased.pinned.len(), 1);
            prop_assert_eq!(edit(&new, &job(&[front()])), Ok((None, leased)));
            prop_assert_eq!(edit(&new, &job(&[])), Ok((Some(old), Leased::default())));
        }
    }
}
