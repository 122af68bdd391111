//! Captured messages, each cut short, and the limits of names.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// A signed UPDATE that BIND 9, Knot and PowerDNS took: replaces www.example.com A.
const UPDATE: &str = "123428000001000000020001076578616d706c6503636f6d0000060001
    03777777076578616d706c6503636f6d00000100ff000000000000
    03777777076578616d706c6503636f6d00000100010000012c0004cb007107
    0864646e732d6b65790000fa00ff00000000003d
    0b686d61632d73686132353600 0000695735a5 012c 0020
    7af18eb306384f31d79ce2030f163592ee90fd987de185a916e9be0a9b9107f5
    123400000000";

/// An authoritative answer with compression: www.Example.com CNAME a.example.com, that A 192.0.2.1,
/// and the zone's NS and SOA.
const ANSWER: &str = "beef8580 0001 0002 0002 0000
    03777777 074578616d706c65 03636f6d 00 0001 0001
    c00c 0005 0001 00000e10 0004 0161 c010
    c02d 0001 0001 0000003c 0004 c0000201
    c010 0002 0001 00000e10 0006 036e7331 c010
    c010 0006 0001 00000e10 0027
      036e7331 c010 0a686f73746d6173746572 c010 00000001 00000e10 00000384 00093a80 0000003c";

#[test]
fn reads_a_compressed_answer() {
    let bytes = hex(ANSWER);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.id, 0xbeef);
    assert!(message.is_response() && message.is_authoritative() && !message.is_truncated());
    assert_eq!((message.opcode(), message.rcode()), (OPCODE_QUERY, RCODE_NOERROR));
    assert_eq!(message.questions[0].name, "www.example.com");
    assert_eq!(message.answers[0].data, Data::Name("a.example.com".into()));
    assert_eq!(message.answers[1].name, "a.example.com");
    assert_eq!(message.answers[1].data, Data::A([192, 0, 2, 1].into()));
    assert_eq!(message.authority[0].data, Data::Name("ns1.example.com".into()));
    let soa = [1, 3600, 900, 604_800, 60];
    let expected = Data::Soa("ns1.example.com".into(), "hostmaster.example.com".into(), soa);
    assert_eq!(message.authority[1].data, expected);
    assert_eq!(Message::parse(&message.to_bytes().unwrap()).unwrap(), message);
}

#[test]
fn an_update_survives_byte_for_byte() {
    let bytes = hex(UPDATE);
    assert_eq!(bytes.len(), 168);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.opcode(), OPCODE_UPDATE);
    assert_eq!(
        message.questions,
        [Question { name: "example.com".into(), rtype: TYPE_SOA, class: CLASS_IN }]
    );
    assert_eq!(message.authority[0], Rr::empty("www.example.com", TYPE_A, CLASS_ANY));
    assert_eq!(message.authority[1].data, Data::A([203, 0, 113, 7].into()));
    assert_eq!(message.to_bytes().unwrap(), bytes);
    let (start, tsig) = last_additional(&bytes).unwrap().unwrap();
    assert_eq!((start, tsig.name.as_str(), tsig.rtype), (87, "ddns-key", TYPE_TSIG));
    assert_eq!(last_additional(&hex(ANSWER)).unwrap(), None);
}

#[test]
fn every_truncation_and_every_excess_is_refused() {
    for text in [UPDATE, ANSWER] {
        let mut bytes = hex(text);
        for end in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..end]), Err(Error::Truncated), "cut at {end}");
        }
        bytes.push(0);
        assert_eq!(Message::parse(&bytes), Err(Error::Trailing));
    }
}

#[test]
fn a_query_is_as_captured() {
    let bytes = query(0x2d65, "WWW.example.com.", TYPE_A, true).unwrap();
    assert_eq!(bytes, hex("2d650100000100000000000003777777076578616d706c6503636f6d0000010001"));
    let plain = Message::parse(&query(1, "", TYPE_NS, false).unwrap()).unwrap();
    assert_eq!((plain.flags, plain.questions[0].name.as_str()), (0, ""));
}

#[test]
fn pointers_lead_backwards_only() {
    for bad in ["c000", "c002", "0161c000", "00c003c001"] {
        let bytes = hex(bad);
        let mut at = if bad.starts_with("00") { 1 } else { 0 };
        assert_eq!(read_name(&bytes, &mut at), Err(Error::Name), "{bad}");
    }
    // Two pointers at each other, entered from behind.
    let bytes = hex("c002c000c002");
    assert_eq!(read_name(&bytes, &mut 4), Err(Error::Name));
    let mut at = 3;
    assert_eq!(read_name(&hex("0161000162c000"), &mut at), Ok("b.a".into()));
    assert_eq!(at, 7);
    for kind in ["40", "80", "bf"] {
        assert_eq!(read_name(&hex(kind), &mut 0), Err(Error::Name));
    }
}

#[test]
fn names_have_their_limits() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    let mut out = Vec::new();
    write_name(&longest, &mut out).unwrap();
    assert_eq!(out.len(), MAX_NAME);
    assert_eq!(read_name(&out, &mut 0), Ok(longest.clone()));
    for bad in [format!("{longest}b"), "a".repeat(64), "a..b".into(), ".a".into(), "..".into(), "a\\".into()]
    {
        assert_eq!(write_name(&bad, &mut Vec::new()), Err(Error::Name), "{bad}");
    }
    // 256 bytes on the wire: one label more than fits.
    let mut wire: Vec<u8> = (0..127).flat_map(|_| [1, b'a']).collect();
    wire.push(0);
    assert_eq!(read_name(&wire, &mut 0).unwrap().len(), 253);
    wire.splice(0..0, [1, b'a']);
    assert_eq!(read_name(&wire, &mut 0), Err(Error::Name));
}

#[test]
fn odd_bytes_in_labels_are_escaped() {
    let wire = [4, b'a', b'.', b'\\', 0xe9, 0];
    let name = read_name(&wire, &mut 0).unwrap();
    assert_eq!(name, "a\\.\\\\\\233");
    let mut out = Vec::new();
    write_name(&name, &mut out).unwrap();
    assert_eq!(out, wire);
    assert!(same_name("A.example.", "a.EXAMPLE") && !same_name("a\\.", "a\\") && !same_name("a", "b"));
    assert_eq!(write_name("\\256", &mut Vec::new()), Err(Error::Name));
}

#[test]
fn wrong_lengths_of_data_are_refused() {
    for (rtype, data) in [("0001", "0003c00002"), ("001c", "0004c0000201"), ("0002", "00020000")] {
        let mut message = hex("000180000000000100000000");
        message.extend(hex(&format!("00 {rtype} 0001 00000000 {data}")));
        assert!(matches!(Message::parse(&message), Err(Error::Rdata | Error::Truncated)), "{rtype}");
    }
    let many = hex("0001800000000401 00000000");
    assert_eq!(Message::parse(&many), Err(Error::TooMany));
}

fn name() -> impl Strategy<Value = String> {
    let label = prop::collection::vec(any::<u8>(), 1..20);
    prop::collection::vec(label, 0..6).prop_map(|labels| {
        let mut wire: Vec<u8> = Vec::new();
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        read_name(&wire, &mut 0).unwrap()
    })
}

fn rr() -> impl Strategy<Value = Rr> {
    let data = prop_oneof![
        any::<[u8; 4]>().prop_map(|a| (TYPE_A, Data::A(a.into()))),
        any::<[u8; 16]>().prop_map(|a| (TYPE_AAAA, Data::Aaaa(a.into()))),
        name().prop_map(|n| (TYPE_NS, Data::Name(n))),
        name().prop_map(|n| (TYPE_CNAME, Data::Name(n))),
        (name(), name(), any::<[u32; 5]>()).prop_map(|(m, r, n)| (TYPE_SOA, Data::Soa(m, r, n))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| (TYPE_TSIG, Data::Raw(b))),
        Just((TYPE_A, Data::Raw(Vec::new()))),
    ];
    let build = |(name, class, ttl, (rtype, data))| Rr { name, rtype, class, ttl, data };
    (name(), any::<u16>(), any::<u32>(), data).prop_map(build)
}

proptest! {
    #[test]
    fn round_trip(
        head in any::<(u16, u16)>(),
        zone in name(),
        sections in prop::array::uniform3(prop::collection::vec(rr(), 0..4)),
    ) {
        let [answers, authority, additional] = sections;
        let questions = vec![Question { name: zone, rtype: TYPE_SOA, class: CLASS_IN }];
        let message = Message { id: head.0, flags: head.1, questions, answers, authority, additional };
        let bytes = message.to_bytes().unwrap();
        prop_assert_eq!(Message::parse(&bytes).unwrap(), message);
        for end in 0..bytes.len() {
            prop_assert!(Message::parse(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), flips in any::<[(u16, u8); 4]>()) {
        let _ = Message::parse(&bytes);
        for text in [UPDATE, ANSWER] {
            let mut bytes = hex(text);
            for (at, value) in flips {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            if let Ok(message) = Message::parse(&bytes) {
                let again = message.to_bytes().unwrap();
                prop_assert_eq!(Message::parse(&again).unwrap(), message);
            }
        }
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,300}") {
        let mut out = Vec::new();
        if write_name(&text, &mut out).is_ok() {
            prop_assert!(out.len() <= MAX_NAME);
            let shown = read_name(&out, &mut 0).unwrap();
            let mut again = Vec::new();
            write_name(&shown, &mut again).unwrap();
            prop_assert_eq!(again, out);
        }
    }
}
