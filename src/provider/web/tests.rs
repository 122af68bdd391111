//! Queries, headers, dates, waiting times, and what a status means.

use super::*;
use crate::model::{Family, RecordId};
use std::net::IpAddr;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Reply { status, headers, body: body.into() }
}

#[test]
fn queries_are_encoded() {
    let http = Http::get("https://x.test/u").query(&[("a", "b c&d=e/+%"), ("ip", "2001:db8::1,192.0.2.1")]);
    assert_eq!(http.url, "https://x.test/u?a=b%20c%26d%3De%2F%2B%25&ip=2001:db8::1,192.0.2.1");
    let http = Http::get("https://x.test/u?k=1").query(&[("ü", "*")]);
    assert_eq!(http.url, "https://x.test/u?k=1&%C3%BC=%2A");
}

#[test]
fn addresses_of_servers_are_checked() {
    for good in ["https://a.test", "http://127.0.0.1:8081/", "https://[2001:db8::1]/x", "http://[::1]:80"] {
        assert_eq!(url_fault(good, false), None, "{good}");
    }
    for bad in [
        "",
        "a.test",
        "ftp://a.test",
        "HTTPS://a.test",
        "http://",
        "http:///x",
        "http://:80",
        "http://u:p@a.test",
        "http://a.test:x",
        "http://a.test:0",
        "http://a.test:99999",
        "http://a b",
        "http://a.test/?k=1",
        "http://a.test/#f",
    ] {
        assert!(url_fault(bad, false).is_some(), "{bad}");
    }
}

#[test]
fn a_header_stays_one_header() {
    let http = Http::get("").header("Authorization", "Bearer a\r\nHost: b");
    assert_eq!(http.headers, [("Authorization".to_owned(), "Bearer aHost: b".to_owned())]);
}

// RFC 7617 section 2 and section 2.1.
#[test]
fn basic_authentication() {
    let value = |user, password| Http::get("").basic(user, password).headers.remove(0).1;
    assert_eq!(value("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(value("test", "123£"), "Basic dGVzdDoxMjPCow==");
}

#[test]
fn quotes_are_short_and_printable() {
    assert_eq!(quote("  a\r\n\tb\u{7}\u{0}c "), "a b c");
    let long = quote(&"wörd ".repeat(200));
    assert_eq!(long.chars().count(), QUOTE);
    assert!(long.ends_with("..."));
}

#[test]
fn dates_are_read() {
    // RFC 9110 section 5.6.7; 784111777 is the value that `date -d` gives.
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(http_date("Tue, 29 Feb 2028 23:59:59 GMT"), Some(1_835_481_599));
    for bad in ["", "Sunday", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT", "x, 1 Foo 2000 1:1:1 GMT"]
    {
        assert_eq!(http_date(bad), None, "{bad}");
    }
}

#[test]
fn waiting_times_are_read_and_capped() {
    let wait =
        |headers: &[(&str, &str)]| retry_after(&reply(429, headers, ""), 784_111_717).map(|d| d.as_secs());
    assert_eq!(wait(&[("retry-after", " 120 ")]), Some(120));
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(60));
    let date = ("date", "Sun, 06 Nov 1994 08:49:27 GMT");
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), date]), Some(10));
    assert_eq!(wait(&[("retry-after", "99999999999999999999999999")]), Some(86_400));
    assert_eq!(wait(&[("retry-after", "-5")]), None);
    assert_eq!(wait(&[("retry-after", "soon")]), None);
    assert_eq!(wait(&[]), None);
}

#[test]
fn clocks_that_differ_are_told_from_wrong_keys() {
    let date = ("date", "Sun, 22 Nov 2026 21:00:00 GMT");
    let theirs = 1_795_381_200;
    let skew = |now| skewed(&reply(403, &[date], "SignatureDoesNotMatch"), now);
    for near in [theirs, theirs - MAX_SKEW, theirs + MAX_SKEW] {
        assert_eq!(skew(near), None, "{near}");
    }
    assert_eq!(skew(theirs - 241), Some(241));
    assert_eq!(skew(theirs + 241), Some(-241));
    assert_eq!(skew(0), Some(theirs as i64));
    assert_eq!(skew(u64::MAX), None);
    for headers in [&[][..], &[("date", "soon")], &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]] {
        assert_eq!(skewed(&reply(403, headers, ""), theirs), None, "{headers:?}");
    }
}

#[test]
fn a_skew_is_said_in_the_unit_that_fits() {
    let said = |skew| clock_failure(skew).words();
    for (skew, words) in [
        (241, "is 4 min behind the service's"),
        (12 * 60, "is 12 min behind"),
        (-7_199, "is 119 min ahead of the service's"),
        (7_200, "is 2 h behind"),
        (-172_800, "is 2 days ahead of"),
        (i64::MIN, "days ahead of"),
    ] {
        assert!(said(skew).contains(words), "{skew}: {}", said(skew));
    }
    let failure = clock_failure(241);
    assert_eq!((failure.kind, failure.sent), (Kind::Clock, true));
}

#[test]
fn statuses_have_kinds() {
    let kind = |status| http_failure(&reply(status, &[], ""), 0, Duration::from_secs(7)).map(|f| f.kind);
    assert_eq!(kind(204), None);
    assert_eq!(kind(302), Some(Kind::Garbled));
    assert_eq!(kind(401), Some(Kind::Credentials));
    assert_eq!(kind(404), Some(Kind::NoSuchName));
    assert_eq!(kind(400), Some(Kind::Refused));
    assert_eq!(kind(522), Some(Kind::Busy));
    let failure = http_failure(&reply(429, &[], "slow down"), 0, Duration::from_secs(7)).unwrap();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(failure.text, "HTTP status 429, too many requests: slow down");
    let failure = http_failure(&reply(503, &[("retry-after", "9")], "<html>"), 0, Duration::ZERO).unwrap();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(9)));
    assert!(!failure.text.contains('<'));
}

#[test]
fn a_failure_of_the_account_ends_the_round_and_one_of_a_name_does_not() {
    let wanted = |domain: &str| Wanted {
        id: RecordId { record: "r".into(), domain: domain.into(), family: Family::V4 },
        addr: IpAddr::from([192, 0, 2, 1]),
    };
    let records = [wanted("a"), wanted("b"), wanted("c")];
    let run = |kind| {
        let mut asked = Vec::new();
        let verdicts = one_by_one(&records, &mut |wanted| {
            asked.push(wanted.id.domain.clone());
            if wanted.id.domain == "a" {
                Err(Failure::new(kind, "no"))
            } else {
                Ok(Outcome::Updated)
            }
        });
        (asked.concat(), verdicts.into_iter().map(|(_, v)| v.err().map(|f| f.kind)).collect::<Vec<_>>())
    };
    assert_eq!(run(Kind::NoSuchName), ("abc".into(), vec![Some(Kind::NoSuchName), None, None]));
    assert_eq!(run(Kind::Credentials), ("a".into(), vec![Some(Kind::Credentials); 3]));
    // Two in a row that make no sense: something in between answers, such as the login page of a network.
    assert_eq!(run(Kind::Garbled), ("abc".into(), vec![Some(Kind::Garbled), None, None]));
    let mut asked = 0;
    let verdicts = one_by_one(&records, &mut |_| {
        asked += 1;
        Err(Failure::new(Kind::Garbled, "<html>"))
    });
    assert_eq!(asked, 2);
    assert!(verdicts.iter().all(|(_, v)| v.as_ref().is_err_and(|f| f.kind == Kind::Garbled)));
    let unreachable = Some(Kind::Unreachable);
    assert_eq!(run(Kind::Unconfirmed), ("a".into(), vec![Some(Kind::Unconfirmed), unreachable, unreachable]));
}
