//! The examples of the standards, and a token as frp makes it.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

// RFC 1321, appendix A.5; and lengths on either side of where the padding takes another block.
#[test]
fn md5_as_its_rfc_has_it() {
    for (text, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ] {
        assert_eq!(hex(&md5(text)), digest, "{text}");
    }
    for (length, digest) in [
        (55, "ef1772b6dff9a122358552954ad0df65"),
        (56, "3b0c8ac703f828b04c6c197006d17218"),
        (63, "b06521f39153d618550606be297466d5"),
        (64, "014842d480b571495a4a0363793f7367"),
    ] {
        assert_eq!(hex(&md5(&"a".repeat(length))), digest, "{length}");
    }
}

// FIPS 197, appendices B and C.1; SP 800-38A, appendix F.1.1.
#[test]
fn aes_as_its_standard_has_it() {
    for (key, plain, sealed) in [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "3243f6a8885a308d313198a2e0370734",
            "3925841d02dc09fbdc118597196a0b32",
        ),
        (
            "000102030405060708090a0b0c0d0e0f",
            "00112233445566778899aabbccddeeff",
            "69c4e0d86a7b0430d8cdb78070b4c55a",
        ),
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "6bc1bee22e409f96e93d7e117393172a",
            "3ad77bb40d7a3660a89ecaf32466ef97",
        ),
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "f69f2445df4f9b17ad2b417be66c3710",
            "7b0c785e27e8ad3f8223207104725dd4",
        ),
    ] {
        let (key, plain) = (bytes(key).try_into().unwrap(), bytes(plain).try_into().unwrap());
        assert_eq!(encipher(&key, &plain).to_vec(), bytes(sealed));
    }
}

// SP 800-38A, appendix F.3.13: CFB128-AES128.
#[test]
fn cfb_as_its_standard_has_it_in_pieces_of_any_size() {
    let key: [u8; 16] = bytes("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
    let first: [u8; 16] = bytes("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let plain = bytes(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let sealed = bytes(
        "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b\
         26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
    );
    for size in 1..=plain.len() {
        let (mut to, mut from) = (Cfb::new(&key, first), Cfb::new(&key, first));
        let mut text = plain.clone();
        text.chunks_mut(size).for_each(|piece| to.seal(piece));
        assert_eq!(text, sealed, "in pieces of {size}");
        text.chunks_mut(size).for_each(|piece| from.open(piece));
        assert_eq!(text, plain, "in pieces of {size}");
    }
}

// By an independent client that spoke to frp's own code.
#[test]
fn the_token_as_frp_has_it() {
    assert_eq!(privilege_key("12345678", 1_767_323_045), "9cd507edf3a962521409ea95e2502209");
    assert_eq!(hex(&key("12345678")), "b7eac3f66310824c114f56f8274fdfea");
    assert_eq!(hex(&key("")), "cdc9dc4c472c37331281df4c232a8407");
    let mut ping = bytes("680000000000000002 7b7d");
    Cfb::new(&key("12345678"), std::array::from_fn(|at| at as u8)).seal(&mut ping);
    assert_eq!(hex(&ping), "4498a24026e4cf47613434");
}
