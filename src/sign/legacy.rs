//! Signatures by SHA-1, where services know no other: Alibaba's old RPC scheme as now.cn and its sisters have it, and
//! OVH's. SHA-1 is broken for collisions, not for these: both keep a secret in what is hashed.

use super::canonical::{hex, iso, strict, Url};
use super::tsig::hash;
use super::Keys;
use crate::provider::Http;
use base64ct::{Base64, Encoding};
use hmac::Mac;
use sha1::{Digest, Sha1};

/// now.cn, eranet.com and tnet.hk: adds who asks, time, nonce and signature to the query. The path is not signed.
pub fn rpc_sha1(mut http: Http, keys: &Keys, now: u64, nonce: &[u8; 16]) -> Http {
    let mut url = Url::of(&http.url);
    url.add("AccessInstanceID", keys.id);
    url.add("SignatureMethod", "HMAC-SHA1");
    url.add("SignatureNonce", &hex(nonce));
    url.add("Timestamp", &iso(now));
    let query = url.settle(&mut http);
    url.add("Signature", &rpc_signature(http.method, &query, keys.secret));
    url.settle(&mut http);
    http
}

/// The signature of a canonical query (Alibaba Cloud's page "RPC signature method").
fn rpc_signature(method: &str, query: &str, secret: &str) -> String {
    let text = [method, "&%2F&", &strict(query.as_bytes(), "")].concat();
    let key = [secret, "&"].concat();
    let mac = hash::<Sha1>(key.as_bytes(), &[text.as_bytes()]);
    mac.map(|mac| Base64::encode_string(&mac.finalize().into_bytes())).unwrap_or_default()
}

/// OVHcloud's API: an application's key and secret, and the key that its owner gave it (`consumer`).
pub fn ovh(http: Http, application: &str, secret: &str, consumer: &str, now: u64) -> Http {
    let now = now.to_string();
    let text = [secret, consumer, http.method, &http.url, &http.body, &now].join("+");
    let signature = ["$1$", &hex(&Sha1::digest(text.as_bytes()))].concat();
    http.header("X-Ovh-Application", application)
        .header("X-Ovh-Consumer", consumer)
        .header("X-Ovh-Timestamp", now)
        .header("X-Ovh-Signature", signature)
}
