//! How bore's client shows that it knows the secret: an HMAC-SHA256 over the challenge, with the secret's SHA-256 as key.
//! <https://github.com/ekzhang/bore>, src/auth.rs

use super::canonical::{hash, hex};
use super::tsig::Algorithm;

/// The answer to a challenge (the 16 bytes of a UUID), in lower-case hexadecimal digits.
pub fn bore(secret: &str, challenge: &[u8; 16]) -> String {
    hex(&Algorithm::Sha256.mac(&hash(secret), &[challenge]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Python's hmac and hashlib.
    #[test]
    fn an_answer() {
        let challenge = 0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes();
        assert_eq!(
            bore("hunter2", &challenge),
            "20d0f9b781101dbab5d4866e454e432c6fbd9ac5678a43ee49805576069d2212"
        );
    }
}
