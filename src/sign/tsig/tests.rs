//! The vectors of RFC 4231 and of an update, stage by stage, and what must be refused.

use super::*;

const SECRET: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=";
const NOW: u64 = 1_767_323_045;
const M: &str = "123428000001000000020000076578616d706c6503636f6d0000060001\
    03777777076578616d706c6503636f6d00000100ff000000000000\
    03777777076578616d706c6503636f6d00000100010000012c0004cb007107";
const V: &str = "0864646e732d6b65790000ff000000000b686d61632d736861323536000000695735a5012c00000000";
const MAC: &str = "7af18eb306384f31d79ce2030f163592ee90fd987de185a916e9be0a9b9107f5";
const ANSWER: &str = "1234a8000001000000000000076578616d706c6503636f6d0000060001";
const ANSWER_MAC: &str = "290e87ecf6ec7510803742cf74031aa876edd31ae6d79715529549886954a639";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

fn key() -> Key {
    Key::new("DDNS-key.", "hmac-sha256", SECRET).unwrap()
}

/// An answer with a TSIG record of these fields, signed if `mac` is `None`.
fn answer(key: &Key, request_mac: &[u8], body: &[u8], stamp: Stamp, mac: Option<Vec<u8>>) -> Vec<u8> {
    let length = (request_mac.len() as u16).to_be_bytes();
    let mac = mac.unwrap_or_else(|| {
        key.algorithm.mac(&key.secret, &[&length, request_mac, body, &key.variables(&stamp)])
    });
    let mut data = Vec::new();
    dns::write_name(key.algorithm.name(), &mut data).unwrap();
    data.extend(time48(stamp.time));
    data.extend(stamp.fudge.to_be_bytes());
    data.extend((mac.len() as u16).to_be_bytes());
    data.extend(mac);
    data.extend(&body[..2]);
    data.extend(stamp.error.to_be_bytes());
    data.extend((stamp.other.len() as u16).to_be_bytes());
    data.extend(&stamp.other);
    let mut out = body.to_vec();
    add_to_count(&mut out, 1).unwrap();
    Rr { name: key.name.clone(), rtype: TYPE_TSIG, class: CLASS_ANY, ttl: 0, data: Data::Raw(data) }
        .write(&mut out)
        .unwrap();
    out
}

fn stamp() -> Stamp {
    Stamp { time: NOW, fudge: FUDGE, ..Stamp::default() }
}

// RFC 4231 section 4.3 (test case 2): the HMACs themselves.
#[test]
fn rfc4231_case_2() {
    let mac = |a: Algorithm| a.mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(mac(Algorithm::Sha224), hex("a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"));
    assert_eq!(
        mac(Algorithm::Sha256),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(
        mac(Algorithm::Sha384),
        hex("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649")
    );
    assert_eq!(
        mac(Algorithm::Sha512),
        hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
             caeab1a34d4a6b4b636e070a38bce737")
    );
}

// The project's own vector, taken by BIND 9.18, Knot 3.2 and PowerDNS 4.7; each stage by itself.
#[test]
fn update_vector_stage_by_stage() {
    let key = key();
    assert_eq!(key.variables(&stamp()), hex(V), "variables");
    assert_eq!(Algorithm::Sha256.mac(&key.secret, &[&hex(M), &hex(V)]), hex(MAC), "MAC");
    let signed = sign(&key, &hex(M), NOW).unwrap();
    assert_eq!(signed.mac, hex(MAC));
    let mut packet = hex(M);
    packet[11] = 1;
    packet.extend(hex("0864646e732d6b65790000fa00ff00000000003d0b686d61632d73686132353600"));
    packet.extend(hex("0000695735a5012c0020"));
    packet.extend(hex(MAC));
    packet.extend(hex("123400000000"));
    assert_eq!(packet.len(), 168);
    assert_eq!(signed.bytes, packet, "packet");
}

#[test]
fn aaaa_vector() {
    let message = hex("123528000001000000020000076578616d706c6503636f6d0000060001\
         03777777076578616d706c6503636f6d00001c00ff000000000000\
         03777777076578616d706c6503636f6d00001c00010000012c001020010db8000000000000000000000007");
    let signed = sign(&key(), &message, NOW).unwrap();
    assert_eq!(signed.mac, hex("93d3496ad284c8be3a4e0930018855d094bc9c65583e2fd54c0230a99f0049c9"));
    assert_eq!(signed.bytes.len(), 180);
}

#[test]
fn answer_vector() {
    let key = key();
    let bytes = answer(&key, &hex(MAC), &hex(ANSWER), stamp(), Some(hex(ANSWER_MAC)));
    assert_eq!(verify(&key, &hex(MAC), &bytes, NOW), Ok(Verified { error: 0, server_time: None }));
}

#[test]
fn every_algorithm_verifies_its_own_answer_and_no_other() {
    for algorithm in Algorithm::ALL {
        let key = Key::new("k", algorithm.name(), SECRET).unwrap();
        let request = sign(&key, &hex(M), NOW).unwrap();
        let good = answer(&key, &request.mac, &hex(ANSWER), stamp(), None);
        assert_eq!(verify(&key, &request.mac, &good, NOW).map(|v| v.error), Ok(0));
        assert_eq!(verify(&key, &hex(MAC), &good, NOW), Err(Unverified::Mac), "another request's answer");
        let other = Key::new("k", algorithm.name(), "AAAA").unwrap();
        assert_eq!(verify(&other, &request.mac, &good, NOW), Err(Unverified::Mac));
        let other = Key::new("l", algorithm.name(), SECRET).unwrap();
        assert_eq!(verify(&other, &request.mac, &good, NOW), Err(Unverified::OtherKey));
    }
}

#[test]
fn any_changed_byte_is_noticed() {
    let key = key();
    let good = answer(&key, &hex(MAC), &hex(ANSWER), stamp(), None);
    // The id of the header is replaced by the original id (section 5.3.1); the transport checks it.
    for at in 2..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let verdict = verify(&key, &hex(MAC), &bad, NOW);
        assert!(verdict.is_err(), "byte {at}: {verdict:?}");
    }
    for end in 0..good.len() {
        assert!(verify(&key, &hex(MAC), &good[..end], NOW).is_err(), "cut at {end}");
    }
}

#[test]
fn a_truncated_mac_is_not_taken() {
    let key = key();
    for length in [0, 1, 10, 16, 31] {
        let bytes = answer(&key, &hex(MAC), &hex(ANSWER), stamp(), Some(hex(ANSWER_MAC)[..length].to_vec()));
        assert_eq!(verify(&key, &hex(MAC), &bytes, NOW), Err(Unverified::Mac), "{length}");
    }
}

#[test]
fn refusals_are_told_apart() {
    let key = key();
    let told = |error| answer(&key, &hex(MAC), &hex(ANSWER), Stamp { error, ..stamp() }, Some(vec![]));
    assert_eq!(verify(&key, &hex(MAC), &told(BADKEY), NOW), Err(Unverified::Told(BADKEY)));
    assert_eq!(verify(&key, &hex(MAC), &told(BADSIG), NOW), Err(Unverified::Told(BADSIG)));
    assert_eq!(verify(&key, &hex(MAC), &hex(ANSWER), NOW), Err(Unverified::Unsigned));
    assert_eq!(verify(&key, &hex(MAC), b"junk", NOW), Err(Unverified::Malformed));
}

#[test]
fn badtime_tells_the_servers_clock_whatever_ours_says() {
    let key = key();
    let other = time48(NOW + 3600).to_vec();
    let bytes = answer(&key, &hex(MAC), &hex(ANSWER), Stamp { error: BADTIME, other, ..stamp() }, None);
    let verified = Verified { error: BADTIME, server_time: Some(NOW + 3600) };
    assert_eq!(verify(&key, &hex(MAC), &bytes, 0), Ok(verified));
    let unsigned = answer(&key, &hex(MAC), &hex(ANSWER), Stamp { error: BADTIME, ..stamp() }, Some(vec![]));
    assert_eq!(verify(&key, &hex(MAC), &unsigned, NOW), Err(Unverified::Told(BADTIME)));
}

#[test]
fn the_answers_time_must_be_near() {
    let key = key();
    let bytes = answer(&key, &hex(MAC), &hex(ANSWER), stamp(), None);
    assert!(verify(&key, &hex(MAC), &bytes, NOW + 300).is_ok());
    assert_eq!(verify(&key, &hex(MAC), &bytes, NOW + 301), Err(Unverified::Time));
    assert_eq!(verify(&key, &hex(MAC), &bytes, NOW - 301), Err(Unverified::Time));
}

#[test]
fn keys_are_checked() {
    assert_eq!(Key::new("", "hmac-sha256", SECRET).err(), Some(KeyError::Name));
    assert_eq!(Key::new("a..b", "hmac-sha256", SECRET).err(), Some(KeyError::Name));
    assert_eq!(Key::new("a", "hmac-md5.sig-alg.reg.int", SECRET).err(), Some(KeyError::Algorithm));
    assert_eq!(Key::new("a", "HMAC-SHA512.", SECRET).map(|k| k.algorithm()), Ok(Algorithm::Sha512));
    assert_eq!(Key::new("a", "hmac-sha256", "no base64!").err(), Some(KeyError::Secret));
    assert_eq!(Key::new("a", "hmac-sha256", "").err(), Some(KeyError::Secret));
    assert_eq!(Key::new("a", "hmac-sha256", &"A".repeat(4096)).err(), Some(KeyError::Secret));
    assert_eq!(Key::new("a", "hmac-sha256", "YWJj\n ZA").map(|k| k.secret), Ok(b"abcd".to_vec()));
    assert_eq!(sign(&key(), b"short", NOW), Err(KeyError::Message));
}
