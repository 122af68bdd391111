//! The cryptography of HTTPS: ring's, and of it what the providers' servers speak. What is not named here the
//! linker drops, and all of AWS-LC, which rustls would take by itself.
//!
//! TLS 1.3 and 1.2 with AES-128-GCM, AES-256-GCM or ChaCha20-Poly1305 (RFC 8446 section 9.1, RFC 9325 section 4.2);
//! keys agreed by X25519 or P-256; certificates with RSA, ECDSA on P-256 and P-384, or Ed25519. Left out: P-384
//! for the agreement of keys, which no server asks for that has neither of the others.

use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, KeyProvider, SupportedKxGroup};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SupportedCipherSuite};
use std::sync::Arc;

/// The suites, the better ones first; a router's processor has no instructions for AES, so that ChaCha20 comes
/// before AES-256.
const SUITES: [SupportedCipherSuite; 9] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];
/// How keys are agreed.
const GROUPS: [&dyn SupportedKxGroup; 2] = [kx_group::X25519, kx_group::SECP256R1];

/// Makes this the cryptography of the process; the first call counts.
pub(super) fn install() {
    let ring = default_provider();
    let provider = CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: GROUPS.to_vec(),
        signature_verification_algorithms: ring.signature_verification_algorithms,
        secure_random: ring.secure_random,
        key_provider: &NoKeys,
    };
    let _ = provider.install_default();
}

/// Loads no private keys: a client without a certificate never signs.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("no client certificates here".into()))
    }
}
