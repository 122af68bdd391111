//! Failures, the clock, and the names of providers.

use super::table::NEAREST;
use super::*;

#[test]
fn what_is_not_ready_left_nothing_unless_said() {
    assert!(!Failure::new(Kind::NotReady, "no route").sent);
    assert!(Failure::new(Kind::NotReady, "the address changed").sent().sent);
    assert!(Failure::new(Kind::Unreachable, "no answer").sent);
}

#[test]
fn a_clock_that_was_never_set_signs_nothing() {
    let at = |now| Job {
        zone: None,
        ttl: None,
        options: Options::default(),
        records: Vec::new(),
        now,
        nonce: [0; 16],
        memo: Map::new(),
    };
    for never_set in [0, 86_400, CLOCK_FLOOR - 1] {
        let failure = at(never_set).signing_time().unwrap_err();
        assert_eq!((failure.kind, failure.sent), (Kind::Clock, false), "{never_set}");
    }
    assert_eq!(at(CLOCK_FLOOR).signing_time(), Ok(CLOCK_FLOOR));
}

#[test]
fn names_are_unique_and_found() {
    for (index, entry) in PROVIDERS.iter().enumerate() {
        assert!(PROVIDERS.iter().skip(index + 1).all(|other| other.name != entry.name), "{}", entry.name);
        assert!(entry.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        assert_eq!(find(entry.name).unwrap().title, entry.title);
        assert!(entry.url.starts_with("https://"), "{}", entry.name);
        assert!(!entry.families.is_empty());
    }
    assert!(find("nobody").is_none());
    assert_eq!(find("default@dyndns.org").unwrap().name, "dyn");
}

#[test]
fn misspelt_names_have_nearest_ones() {
    let first = |name: &str| nearest(name).first().copied();
    assert_eq!(first("cloudfare"), Some("cloudflare"));
    assert_eq!(first("Duck-DNS"), Some("duckdns"));
    assert_eq!(first("rfc-2136"), Some("rfc2136"));
    assert_eq!(first("no-ip"), Some("noip"));
    assert_eq!(first("cloudflare.com-v4"), Some("cloudflare"));
    assert_eq!(first("hurricane"), Some("he"));
    assert_eq!(nearest("something else altogether"), [""; 0]);
    assert_eq!(nearest(""), [""; 0]);
    assert_eq!(nearest(&"x".repeat(100_000)), [""; 0]);
    for text in ["dns", "dyn", "de", "d", "."] {
        assert!(nearest(text).len() <= NEAREST, "{text}");
    }
}

#[test]
fn names_lie_in_zones_by_their_labels() {
    assert_eq!(within("example.com", "example.com"), Some(""));
    assert_eq!(within("a.b.example.com", "example.com"), Some("a.b"));
    assert_eq!(within("*.example.com", "example.com"), Some("*"));
    for (domain, zone) in
        [("badexample.com", "example.com"), ("example.com", "a.example.com"), ("a.test", "")]
    {
        assert_eq!(within(domain, zone), None, "{domain} {zone}");
    }
}

#[test]
fn other_names_lead_to_the_provider() {
    for entry in PROVIDERS {
        for also in aliases(entry) {
            assert_eq!(find(also).map(|found| found.name), Some(entry.name), "{also}");
        }
    }
    assert!(aliases(find("noip").unwrap()).contains(&"no-ip.com"));
    assert_eq!(find("default@no-ip.com").unwrap().name, "noip");
    assert!(aliases(find("custom").unwrap()).is_empty());
}
