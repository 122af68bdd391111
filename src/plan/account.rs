//! Which records share an account (one back-off, one job in flight) and which share a job.

use crate::config::Record;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Plain options that tell one account from another, beside all secrets.
const IDENTITY: [&str; 8] = ["username", "login", "email", "key_id", "url", "server", "tsig_name", "method"];
/// Hexadecimal digits of a key: enough to tell a household's accounts apart, too few to say anything.
const KEY_BYTES: usize = 6;

/// Names the account of a record: the provider and a short digest of who we are there. A changed token is
/// another account, so that whatever rested tries again.
pub fn account_key(record: &Record) -> String {
    let mut hash = Sha256::new();
    for (name, secret) in &record.options.secrets {
        add(&mut hash, name, secret.reveal());
    }
    for name in IDENTITY {
        if let Some(value) = record.options.text.get(name) {
            add(&mut hash, name, value);
        }
    }
    let mut key = format!("{}:", record.provider);
    for byte in hash.finalize().iter().take(KEY_BYTES) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// Records of one account can go into one job when all else that the provider is told is equal.
pub fn same_job(a: &Record, b: &Record) -> bool {
    a.provider == b.provider && a.zone == b.zone && a.ttl == b.ttl && a.options == b.options
}

fn add(hash: &mut Sha256, name: &str, value: &str) {
    for part in [name, value] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
}
