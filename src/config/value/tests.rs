//! Each kind of value: what is one, what is none, and its one spelling.

use super::*;

#[test]
fn durations_as_the_contract_writes_them() {
    for (text, ms) in
        [("30", 30_000), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("200ms", 200), ("0", 0)]
    {
        assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
    }
    for text in
        ["", "s", "1w", "1.5s", "-1", "+1", "1 s", "99999999999999999999", "18446744073709551615h", "1S", "é"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
    for (ms, text) in
        [(0, "0s"), (200, "200ms"), (90_000, "90s"), (600_000, "10m"), (7_200_000, "2h"), (604_800_000, "7d")]
    {
        assert_eq!(span(Duration::from_millis(ms)), text);
        assert_eq!(duration(text).unwrap().as_millis(), u128::from(ms));
    }
}

#[test]
fn domains() {
    for (text, name) in [
        ("Cam.Example.COM.", "cam.example.com"),
        ("*.example.com", "*.example.com"),
        ("_acme.a-b.example", "_acme.a-b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.example", "1.2.example"),
        ("*.Bücher。example。", "*.xn--bcher-kva.example"),
    ] {
        assert_eq!(domain(text).as_deref(), Ok(name));
    }
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = vec!["a"; 128].join(".");
    for text in [
        "",
        ".",
        "..",
        "a..b",
        "a.b..",
        "-a.example",
        "a-.example",
        "a b.example",
        "a.*.example",
        "*",
        "*.",
        "host",
        "1.2.3.4",
        "a.123",
        "bücher 2.example",
        "a/b.example",
        &long_label,
        &long_name,
    ] {
        assert!(domain(text).is_err(), "{text}");
    }
    assert!(domain("bücher\u{200b}.example").unwrap_err().contains("xn--"));
    assert!(domain(&"ü.".repeat(1000)).unwrap_err().contains("longer than 253"));
    assert!(domain(&format!("{}.example", "a".repeat(63))).is_ok());
}

#[test]
fn ports_and_ranges() {
    for (text, pair) in
        [("1", (1, 1)), ("65535", (65535, 65535)), ("8000-8010", (8000, 8010)), ("5-5", (5, 5))]
    {
        assert_eq!(ports(text), Ok(pair));
    }
    for text in ["", "0", "65536", "8010-8000", "1-", "-1", "+1", "1-2-3", "http", "1 - 2"] {
        assert!(ports(text).is_err(), "{text}");
    }
}

#[test]
fn targets_are_devices_of_the_lan() {
    assert!(target("192.168.1.50").is_ok());
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "1.2.3",
        "::1",
        "cam",
    ] {
        assert!(target(text).is_err(), "{text}");
    }
    assert!(mac("ff:ff:ff:ff:ff:ff").is_err());
    assert!(mac("00:00:00:00:00:00").is_err());
    assert!(mac("01-00-5E-00-00-01").is_err());
    assert!(mac("AA-BB-CC-DD-EE-FF").is_ok());
}

#[test]
fn other_kinds() {
    assert!(suffix("::1234").is_ok());
    assert!(suffix("::").is_err() && suffix("1::1").is_err());
    assert_eq!(device("auto"), Ok(Device::Auto));
    assert!(["wan", "wan_6", "wan-b", "lan.2"].iter().all(|name| interface(name).is_ok()));
    let long = "w".repeat(INTERFACE_CAP + 1);
    assert!(["", "wan 6", "wan;reboot", "@wan", "w\u{e4}n", &long]
        .iter()
        .all(|name| interface(name).is_err()));
    assert!(device("pppoe-wan").is_ok() && device("eth0.2").is_ok());
    for text in ["a b", "a/b", "sixteen-letters-", ".", "..", "eth0:1", "é", "a\"b", "a;b", ""] {
        assert!(device(text).is_err(), "{text}");
    }
    assert!(quoted(&"\u{1b}".repeat(100)).len() < 800);
    assert!(!quoted("\u{1b}[31m").contains('\u{1b}'));
}

/// What `check` gives is the canonical spelling: checked again, it gives itself.
#[test]
fn canonical_is_canonical() {
    let second = Duration::from_secs(1);
    let kinds: [(Kind, &str, &str); 9] = [
        (Kind::Refresh { min: second, max: second * 999_999 }, "never", "never"),
        (Kind::Refresh { min: second, max: second * 999_999 }, "48h", "2d"),
        (Kind::Bool, "off", "0"),
        (Kind::Duration { min: second, max: second * 9999 }, "600", "10m"),
        (Kind::Mac, "AA-BB-CC-DD-EE-FF", "aa:bb:cc:dd:ee:ff"),
        (Kind::Network, "10.1.2.3/8", "10.0.0.0/8"),
        (Kind::Ports, "80-80", "80"),
        (Kind::Suffix, "0:0::12", "::12"),
        (Kind::Number { min: 1, max: 9 }, "07", "7"),
    ];
    for (kind, text, canonical) in kinds {
        assert_eq!(kind.check(text).as_deref(), Ok(canonical));
        assert_eq!(kind.check(canonical).as_deref(), Ok(canonical));
    }
}
