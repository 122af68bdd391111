//! The orders and forms that the vendors ask for, dates, and hashes.

use super::*;
use crate::provider::web::http_date;
use proptest::prelude::*;

fn settled(url: &str, order: Order) -> String {
    let mut http = Http::get(url);
    Target::settle(&mut http, order, true);
    http.url
}

#[test]
fn urls_come_out_in_one_form() {
    for (given, form) in [
        ("https://A.Example", "https://a.example/"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("http://a.example:80?b", "http://a.example/?b="),
        ("http://a.example:443/", "http://a.example:443/"),
        ("https://a.example:8443/x?", "https://a.example:8443/x"),
        ("https://a.example/X?b=2&a=1&b=1#c?d", "https://a.example/X?a=1&b=1&b=2"),
        (
            "https://a.example/?v=2001:db8::1&w=%2a%7e%E9%BB%98",
            "https://a.example/?v=2001%3Adb8%3A%3A1&w=%2A~%E9%BB%98",
        ),
        ("https://a.example/?Action=1&a=2", "https://a.example/?a=2"),
        ("https://a.example/?%=%4&=x&&a=b=c", "https://a.example/?=x&%25=%254&a=b%3Dc"),
    ] {
        assert_eq!(settled(given, Order::Decoded), form, "{given}");
    }
}

#[test]
fn the_three_orders_differ() {
    let url = "https://a.example/?b=1&b-c=2&%C3%A9=3&%C3%A8=4";
    assert_eq!(settled(url, Order::Decoded), "https://a.example/?b=1&b-c=2&%C3%A8=4&%C3%A9=3");
    assert_eq!(settled(url, Order::Encoded), "https://a.example/?%C3%A8=4&%C3%A9=3&b=1&b-c=2");
    assert_eq!(settled(url, Order::Joined), "https://a.example/?%C3%A8=4&%C3%A9=3&b-c=2&b=1");
}

#[test]
fn headers_to_be_signed() {
    let http = Http::get("").header("X-Own-B", " b ").header("Accept", "a").header("x-own-a", "1");
    let http = http.header("Content-Type", "t").header("X-OWN-A", "0");
    let found = headers(&http, "h", "x-own-");
    let wanted = [("content-type", "t"), ("host", "h"), ("x-own-a", "1,0"), ("x-own-b", "b")];
    assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(names(&found), "content-type;host;x-own-a;x-own-b");
}

#[test]
fn dates() {
    assert_eq!(stamp(0, true), "1970-01-01T00:00:00Z");
    assert_eq!(stamp(951_782_399, true), "2000-02-28T23:59:59Z");
    assert_eq!(stamp(1_767_323_045, true), "2026-01-02T03:04:05Z");
    assert_eq!(stamp(4_107_542_399, false), "21000228T235959Z");
    assert_eq!(stamp(u64::MAX, true), "9999-12-31T23:59:59Z");
}

#[test]
fn hashes() {
    // FIPS 180-2 appendix B.1, RFC 4231 section 4.3.
    assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let code = mac(b"Jefe", "what do ya want for nothing?");
    assert_eq!(hex(&code), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

proptest! {
    #[test]
    fn a_date_is_read_back(unix in 0..=LAST) {
        let (date, time) = (stamp(unix, true), stamp(unix, true));
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = month[date[5..7].parse::<usize>().unwrap() - 1];
        let text = format!("x, {} {month} {} {} GMT", &date[8..10], &date[..4], &time[11..19]);
        prop_assert_eq!(http_date(&text), Some(unix));
    }

    #[test]
    fn any_text_has_a_form_that_stays(url in ".{0,60}", tail in "[?&=%#/:.a-f0-9é]{0,60}") {
        for order in [Order::Decoded, Order::Encoded, Order::Joined] {
            let once = settled(&(url.clone() + &tail), order);
            prop_assert_eq!(settled(&once, order), once);
        }
        let tidied = tidy(&url);
        prop_assert_eq!(tidy(&tidied), tidied);
    }
}
