//! Signatures by SHA-1, where services know no other: Alibaba's old RPC scheme as now.cn and its sisters have it, and
//! OVH's. SHA-1 is broken for collisions, not for these: both keep a secret in what is hashed.

use super::canonical::{add, hex, stamp, strict, Order, Target};
use super::Keys;
use crate::provider::Http;
use base64ct::{Base64, Encoding};
use ring::digest::{digest, SHA1_FOR_LEGACY_USE_ONLY};
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

/// now.cn, eranet.com and tnet.hk: adds who asks, time and nonce to the query, and last the signature. The path is not
/// signed.
pub fn rpc_sha1(mut http: Http, keys: &Keys, now: u64, nonce: &[u8; 16]) -> Http {
    let mark = if http.url.contains('?') { "&" } else { "?" };
    let id = strict(keys.id.as_bytes(), "");
    let common = [mark, "AccessInstanceID=", &id, "&SignatureMethod=HMAC-SHA1&SignatureNonce=", &hex(nonce)];
    http.url += &common.concat();
    http.url += &["&Timestamp=", &stamp(now, true)].concat();
    let target = Target::settle(&mut http, Order::Decoded, false);
    let signature = rpc_signature(&rpc_text(http.method, &target.query), keys.secret);
    http.url += &["&Signature=", &strict(signature.as_bytes(), "")].concat();
    http
}

/// What is signed of a canonical query (Alibaba Cloud's page "RPC signature method").
fn rpc_text(method: &str, query: &str) -> String {
    [method, "&%2F&", &strict(query.as_bytes(), "")].concat()
}

/// Its signature.
fn rpc_signature(text: &str, secret: &str) -> String {
    let key = [secret, "&"].concat();
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    Base64::encode_string(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// OVHcloud's API: an application's key and secret, and the key that its owner gave it (`consumer`).
pub fn ovh(mut http: Http, application: &str, secret: &str, consumer: &str, now: u64) -> Http {
    let now = now.to_string();
    let text = [secret, consumer, http.method, &http.url, &http.body, &now].join("+");
    let signature = ["$1$", &hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())].concat();
    let headers = [
        ("X-Ovh-Application", application),
        ("X-Ovh-Consumer", consumer),
        ("X-Ovh-Timestamp", &now),
        ("X-Ovh-Signature", &signature),
    ];
    add(&mut http, &headers);
    http
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alibaba Cloud's own examples of the scheme, key `testsecret`: query, nonce, time, signature.
    const RPC: [(&str, &str); 3] = [
        (
            "Format=XML&AccessKeyId=testid&Action=DescribeDomainRecords&SignatureMethod=HMAC-SHA1&\
             DomainName=example.com&SignatureNonce=f59ed6a9-83fc-473b-9cc6-99c95df3856e&SignatureVersion=1.0&\
             Version=2015-01-09&Timestamp=2016-03-24T16:41:54Z",
            "uRpHwaSEt3J+6KQD//svCh/x+pI=",
        ),
        (
            "Format=XML&AccessKeyId=testid&Action=DescribeRegions&SignatureMethod=HMAC-SHA1&\
             SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&SignatureVersion=1.0&Version=2014-05-26&\
             Timestamp=2016-02-23T12:46:24Z",
            "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
        ),
        (
            "Format=JSON&AccessKeyId=testid&Action=DescribeDedicatedHosts&SignatureMethod=HMAC-SHA1&\
             RegionId=cn-beijing&SignatureNonce=edb2b34af0af9a6d14deaf7c1a5315eb&SignatureVersion=1.0&\
             Version=2014-05-26&Timestamp=2023-03-13T08:34:30Z",
            "9NaGiOspFP5UPcwX8Iwt2YJXXuk=",
        ),
    ];

    #[test]
    fn alibaba_s_examples_of_its_rpc_scheme() {
        for (given, signature) in RPC {
            let mut http = Http::get(["https://ecs.aliyuncs.com/?", given].concat());
            let query = Target::settle(&mut http, Order::Decoded, false).query;
            assert_eq!(rpc_signature(&rpc_text("GET", &query), "testsecret"), signature, "{query}");
        }
        let mut http = Http::get(["https://alidns.aliyuncs.com/?", RPC[0].0].concat());
        let query = Target::settle(&mut http, Order::Decoded, false).query;
        assert_eq!(
            rpc_text("GET", &query),
            "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeDomainRecords%26DomainName%3Dexample.com%26Format%3D\
             XML%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3Df59ed6a9-83fc-473b-9cc6-99c95df3856e%26Signature\
             Version%3D1.0%26Timestamp%3D2016-03-24T16%253A41%253A54Z%26Version%3D2015-01-09"
        );
    }

    // OVH's page "First steps with the API".
    #[test]
    fn ovh_s_example() {
        let (secret, consumer) = ("EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF", "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1");
        let http = Http::get("https://eu.api.ovh.com/1.0/domains/");
        let signed = ovh(http, "7kbG7Bk7S9Nt7ZSV", secret, consumer, 1_366_560_945);
        let headers = [
            ("X-Ovh-Application", "7kbG7Bk7S9Nt7ZSV"),
            ("X-Ovh-Consumer", consumer),
            ("X-Ovh-Timestamp", "1366560945"),
            ("X-Ovh-Signature", "$1$d3705e8afb27a0d2970a322b96550abfc67bb798"),
        ];
        assert_eq!(signed.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
