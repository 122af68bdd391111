//! Zones against another implementation, at their edges, and what is no zone.

use super::*;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use proptest::prelude::*;

/// The zones of half the world, as OpenWrt writes them, and odd ones.
const ZONES: [&str; 22] = [
    "UTC0",
    "GMT0BST,M3.5.0/1,M10.5.0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "CST-8",
    "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "<+0330>-3:30",
    "NST3:30NDT,M3.2.0,M11.1.0",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
    "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
    "<-02>2<-01>,M3.4.4/50,M10.4.4/50",
    "EET-2EEST,M3.4.4/50,M10.4.4/50",
    "IST-2IDT,M3.4.4/26,M10.5.0",
    "AAA0BBB,J60/0,J300/0",
    "AAA0BBB,59/0,299/0",
    "AAA0BBB,J3/-24,J364/24",
    "AAA24BBB23,M2.5.0/12,M9.5.3/0",
    "AAA-14BBB,M11.1.6/167,M1.5.0/-167",
    "AAA5:15:30BBB4:07:09,M4.2.1/3:04:05,M8.3.2/1:02:03",
    "ACST-9:30ACDT,M10.1.0,M4.1.0/3",
    "<+13>-13<+14>,M10.1.0,M1.3.0/167",
];

fn expected(zone: &TimeZone, unix: i64) -> i64 {
    i64::from(zone.to_offset(Timestamp::from_second(unix).unwrap()).seconds())
}

proptest! {
    /// Another implementation says the same at any time.
    #[test]
    fn as_another_implementation_says(which in 0..ZONES.len(), unix in -2_000_000_000i64..20_000_000_000) {
        let (ours, theirs) = (Zone::parse(ZONES[which]).unwrap(), TimeZone::posix(ZONES[which]).unwrap());
        prop_assert_eq!(ours.offset(unix), expected(&theirs, unix), "{} at {}", ZONES[which], unix);
    }

    /// Whatever is written there.
    #[test]
    fn any_string_is_harmless(text in "[A-E<>+0-9,./:JM-]{0,24}") {
        if let Ok(zone) = Zone::parse(&text) {
            for unix in [i64::from(i32::MIN), 0, 1_800_000_000, 1 << 40] {
                zone.offset(unix);
            }
        }
    }
}

/// At the second of each change and beside it.
#[test]
fn at_the_edges() {
    for text in ZONES {
        let (ours, theirs) = (Zone::parse(text).unwrap(), TimeZone::posix(text).unwrap());
        for year in [1970, 1999, 2000, 2023, 2024, 2026, 2027, 2028, 2100] {
            for (at, _) in ours.edges(first_of(year, 7) * DAY, 400 * DAY) {
                for unix in [at - DAY, at - HOUR, at - 1, at, at + 1, at + HOUR, at + DAY] {
                    assert_eq!(ours.offset(unix), expected(&theirs, unix), "{text} at {unix}");
                }
            }
        }
    }
}

/// Rules whose edges lie in another year, on which the other implementation is silent.
#[test]
fn edges_beyond_the_year() {
    // RFC 8536 section 3.3.1: summer time all year long.
    let zone = Zone::parse("XXX3EDT4,0/0,J365/23").unwrap();
    for unix in (0..4 * 366 * 24).map(|hour| hour * HOUR) {
        assert_eq!(zone.offset(unix), -4 * HOUR, "{unix}");
    }
    let zone = Zone::parse("AAA0BBB,J1/-24,J60/0").unwrap();
    let eve = first_of(2027, 1) * DAY - DAY;
    assert_eq!([zone.offset(eve - 1), zone.offset(eve), zone.offset(eve + DAY)], [0, HOUR, HOUR]);
}

#[test]
fn without_rules_it_is_as_in_the_united_states() {
    assert_eq!(Zone::parse("EST5EDT"), Zone::parse("EST5EDT,M3.2.0,M11.1.0"));
    assert_eq!(Zone::parse("EST5EDT4"), Zone::parse("EST5EDT"));
}

#[test]
fn years_and_days() {
    for year in 1..4000 {
        let first = first_of(year, 1);
        assert_eq!((year_of(first), year_of(first - 1)), (year, year - 1), "{year}");
    }
    let first: Vec<i64> = (1..=12).map(|month| first_of(2024, month) - first_of(2024, 1)).collect();
    assert_eq!(first, [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335]);
    assert_eq!((first_of(1970, 1), weekday(0)), (0, 4));
}

#[test]
fn what_is_no_time_zone() {
    for text in [
        "",
        "Europe/Berlin",
        ":Europe/Berlin",
        "CE-1",
        "CET",
        "CET-25",
        "CET-1:60",
        "<+03-3",
        "<+0>-3",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3,",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J366,J365",
        "CET-1CEST,366,0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1 CEST",
        "CET-0001",
    ] {
        assert!(Zone::parse(text).is_err(), "{text}");
    }
    assert!(Zone::parse(&format!("{}-1", "A".repeat(MAX_BYTES))).is_err());
}
