//! The clouds' signatures by HMAC-SHA256: Alibaba ACS3, Tencent TC3, Huawei, Baidu, Volcengine and AWS. All but Baidu's
//! sign the hash of the same canonical request; they differ in headers, in the key and in the words around it.

use super::canonical::{
    basic, derive, headers, hex, hmac, iso, names, normal, sha256, strict, tidy, Canonical, Order, Pairs, Url,
};
use super::Keys;
use crate::provider::Http;

/// How long Baidu takes a signature for valid, in seconds: its documentation's own value.
const BCE_VALID: &str = "1800";

/// Adds the Authorization header. `head` is the string to sign but for the hash that ends it, `before` what comes
/// before the names of the signed headers, `separator` what comes between them and the signature.
fn authorize(
    http: Http,
    canonical: &Canonical,
    head: &[&str],
    before: &[&str],
    separator: &str,
    key: &[u8],
) -> Http {
    let to_sign = head.concat() + &sha256(canonical.text.as_bytes());
    let after = ["SignedHeaders=", &canonical.names, separator, "Signature=", &hex(&hmac(key, &to_sign))];
    http.header("Authorization", before.concat() + &after.concat())
}

/// What the schemes have in which a key is derived for a scope.
struct Scheme<'a> {
    algorithm: &'a str,
    /// Comes before the secret.
    prefix: &'a str,
    /// As in the request's header.
    time: &'a str,
    /// The day, and what else the key is for.
    scope: &'a [&'a str],
}

impl Scheme<'_> {
    /// Adds the Authorization header.
    fn authorize(&self, http: Http, canonical: &Canonical, keys: &Keys) -> Http {
        let scope = self.scope.join("/");
        let head = [self.algorithm, "\n", self.time, "\n", &scope, "\n"];
        let before = [self.algorithm, " Credential=", keys.id, "/", &scope, ", "];
        let key = derive(&[self.prefix, keys.secret].concat(), self.scope);
        authorize(http, canonical, &head, &before, ", ", &key)
    }
}

/// Adds the session token, where there is one.
fn token(http: Http, name: &str, keys: &Keys) -> Http {
    match keys.token {
        Some(token) => http.header(name, token),
        None => http,
    }
}

/// Alibaba Cloud, ACS3-HMAC-SHA256 (its page "V3 request structure and signature"). The parameter `Action` is taken
/// out of the query and sent as a header.
pub fn acs3(mut http: Http, keys: &Keys, version: &'static str, now: u64, nonce: &[u8; 16]) -> Http {
    let mut url = Url::of(&http.url);
    let action = url.take("Action");
    let query = url.settle(&mut http, Order::Decoded);
    let hash = sha256(http.body.as_bytes());
    http = http.header("x-acs-action", action).header("x-acs-version", version);
    http = http.header("x-acs-date", iso(now)).header("x-acs-signature-nonce", hex(nonce));
    http = token(http.header("x-acs-content-sha256", hash), "x-acs-security-token", keys);
    let canonical = Canonical::of(&http, &url.path, &query, &headers(&http, &url.host, "x-acs-"));
    let before = ["ACS3-HMAC-SHA256 Credential=", keys.id, ","];
    authorize(http, &canonical, &["ACS3-HMAC-SHA256\n"], &before, ",", keys.secret.as_bytes())
}

/// Tencent Cloud, TC3-HMAC-SHA256 (its page "Signature Method v3"); the request must have a Content-Type, in lower
/// case. The parameter `Action` is taken out of the query and sent as a header. Signed are `content-type` and `host`,
/// as by Tencent's own SDK.
pub fn tc3(mut http: Http, keys: &Keys, service: &'static str, version: &'static str, now: u64) -> Http {
    let mut url = Url::of(&http.url);
    let action = url.take("Action");
    let query = url.settle(&mut http, Order::Decoded);
    let canonical = Canonical::of(&http, &url.path, &query, &headers(&http, &url.host, "content-type"));
    let (time, mut day) = (now.to_string(), iso(now));
    day.truncate(10);
    http = http.header("X-TC-Action", action).header("X-TC-Version", version);
    http = token(http.header("X-TC-Timestamp", time.as_str()), "X-TC-Token", keys);
    let scope = [day.as_str(), service, "tc3_request"];
    let scheme = Scheme { algorithm: "TC3-HMAC-SHA256", prefix: "TC3", time: &time, scope: &scope };
    scheme.authorize(http, &canonical, keys)
}

/// Huawei Cloud, SDK-HMAC-SHA256 (its page "AK/SK signing and authentication algorithm"). The path is signed with a
/// final slash that is not sent.
pub fn huawei(mut http: Http, keys: &Keys, now: u64) -> Http {
    let mut url = Url::of(&http.url);
    let query = url.settle(&mut http, Order::Decoded);
    let time = basic(now);
    http = token(http.header("X-Sdk-Date", time.as_str()), "X-Security-Token", keys);
    let path = normal(&url.path, "/") + if url.path.ends_with('/') { "" } else { "/" };
    let canonical = Canonical::of(&http, &path, &query, &headers(&http, &url.host, "x-"));
    let head = ["SDK-HMAC-SHA256\n", &time, "\n"];
    let before = ["SDK-HMAC-SHA256 Access=", keys.id, ", "];
    authorize(http, &canonical, &head, &before, ", ", keys.secret.as_bytes())
}

/// Baidu AI Cloud, bce-auth-v1 (its page "Generate the authentication string"). The values of headers are encoded, the
/// key is a hexadecimal text, and the body is not signed.
pub fn bce(mut http: Http, keys: &Keys, now: u64) -> Http {
    let mut url = Url::of(&http.url);
    let query = url.settle(&mut http, Order::Joined);
    http = token(http, "x-bce-security-token", keys);
    let headers = headers(&http, &url.host, "x-bce-");
    let prefix = ["bce-auth-v1/", keys.id, "/", &iso(now), "/", BCE_VALID].concat();
    let canonical = bce_canonical(http.method, &normal(&url.path, "/"), &query, &headers);
    let key = hex(&hmac(keys.secret.as_bytes(), &prefix));
    let signature = hex(&hmac(key.as_bytes(), &canonical));
    http.header("Authorization", [&prefix, "/", &names(&headers), "/", &signature].concat())
}

/// Baidu's canonical request.
fn bce_canonical(method: &str, path: &str, query: &str, headers: &Pairs) -> String {
    let mut text = [method, "\n", path, "\n", query].concat();
    for (name, value) in headers {
        for piece in ["\n", name, ":", &strict(value.as_bytes(), "")] {
            text.push_str(piece);
        }
    }
    text
}

/// Volcengine, HMAC-SHA256 (its page "Signature method"). `Action` and `Version` stay in the query.
pub fn volc(mut http: Http, keys: &Keys, region: &'static str, service: &'static str, now: u64) -> Http {
    let mut url = Url::of(&http.url);
    let query = url.settle(&mut http, Order::Decoded);
    let (time, hash) = (basic(now), sha256(http.body.as_bytes()));
    http = http.header("X-Date", time.as_str()).header("X-Content-Sha256", hash);
    http = token(http, "X-Security-Token", keys);
    let path = normal(&url.path, "/");
    let canonical = Canonical::of(&http, &path, &query, &headers(&http, &url.host, "x-"));
    let scope = [day(&time), region, service, "request"];
    let scheme = Scheme { algorithm: "HMAC-SHA256", prefix: "", time: &time, scope: &scope };
    scheme.authorize(http, &canonical, keys)
}

/// Amazon Web Services, Signature Version 4 (its page "Create a signed AWS API request"), for services other than S3:
/// the path is signed without needless segments, and encoded once more. All headers are signed.
pub fn sigv4(http: Http, keys: &Keys, region: &str, service: &'static str, now: u64) -> Http {
    let time = basic(now);
    let (http, canonical) = sigv4_canonical(http, keys, &time);
    let scope = [day(&time), region, service, "aws4_request"];
    let scheme = Scheme { algorithm: "AWS4-HMAC-SHA256", prefix: "AWS4", time: &time, scope: &scope };
    scheme.authorize(http, &canonical, keys)
}

/// The request with AWS's headers, and what is signed of it.
fn sigv4_canonical(mut http: Http, keys: &Keys, time: &str) -> (Http, Canonical) {
    let mut url = Url::of(&http.url);
    let query = url.settle(&mut http, Order::Encoded);
    http = token(http.header("X-Amz-Date", time), "X-Amz-Security-Token", keys);
    let mut headers = headers(&http, &url.host, "");
    for (_, value) in &mut headers {
        *value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let canonical = Canonical::of(&http, &strict(tidy(&url.path).as_bytes(), "/"), &query, &headers);
    (http, canonical)
}

/// The day of a time such as `20260102T030405Z`.
fn day(time: &str) -> &str {
    time.get(..8).unwrap_or_default()
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
mod tests;
