//! The clouds' signatures by HMAC-SHA256: Alibaba ACS3, Tencent TC3, Huawei, Volcengine and AWS, each a row of what
//! it has of its own, and Baidu's, which is another form.

use super::canonical::{
    add, derive, headers, hex, lines, mac, names, normal, push, sha256, stamp, strict, tidy, Canonical,
    Order, Pairs, Target,
};
use super::Keys;
use crate::provider::Http;

/// How long Baidu takes a signature for valid, in seconds: its documentation's own value.
const BCE_VALID: &str = "1800";

/// A scheme: names that are empty stand for what it has not.
struct Scheme {
    algorithm: &'static str,
    /// How the signed headers' names begin; `content-type` and `host` are signed in any case.
    own: &'static str,
    /// The header that takes the query's parameter `Action`.
    action: &'static str,
    /// The header of the API's version.
    version: &'static str,
    /// The header of the time.
    time: &'static str,
    /// The header of the nonce.
    nonce: &'static str,
    /// The header of the body's hash.
    hash: &'static str,
    /// The header of the session token.
    token: &'static str,
    /// The word before the key's id.
    id: &'static str,
    /// Comes after the id and after the names of the headers.
    separator: &'static str,
    /// Comes before the secret where a key is derived from it.
    prefix: &'static str,
    /// The last step of that; without it the secret itself is the key.
    last: &'static str,
    /// Whether the time stands in the string to sign.
    timed: bool,
    clock: Clock,
    order: Order,
    path: Path,
}

/// How the time is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// `2026-01-02T03:04:05Z`
    Iso,
    /// `20260102T030405Z`
    Basic,
    /// Unix seconds; the day of a scope is `2026-01-02` then.
    Unix,
}

/// What is signed for the path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    /// Itself, in one form.
    Plain,
    /// The same with a final slash, which is not sent.
    Closed,
    /// Without needless segments, and encoded once more; runs of white space in headers are single spaces then.
    Twice,
}

/// What the schemes have in common with the most of them.
const USUAL: Scheme = Scheme {
    algorithm: "",
    own: "x-",
    action: "",
    version: "",
    time: "",
    nonce: "",
    hash: "",
    token: "X-Security-Token",
    id: " Credential=",
    separator: ", ",
    prefix: "",
    last: "",
    timed: true,
    clock: Clock::Basic,
    order: Order::Decoded,
    path: Path::Plain,
};

/// "V3 request structure and signature" of Alibaba Cloud.
static ACS3: Scheme = Scheme {
    algorithm: "ACS3-HMAC-SHA256",
    own: "x-acs-",
    action: "x-acs-action",
    version: "x-acs-version",
    time: "x-acs-date",
    nonce: "x-acs-signature-nonce",
    hash: "x-acs-content-sha256",
    token: "x-acs-security-token",
    separator: ",",
    timed: false,
    clock: Clock::Iso,
    ..USUAL
};

/// "Signature Method v3" of Tencent Cloud. Signed are `content-type` and `host` alone, as by its own SDK.
static TC3: Scheme = Scheme {
    algorithm: "TC3-HMAC-SHA256",
    own: "content-type",
    action: "X-TC-Action",
    version: "X-TC-Version",
    time: "X-TC-Timestamp",
    token: "X-TC-Token",
    prefix: "TC3",
    clock: Clock::Unix,
    last: "tc3_request",
    ..USUAL
};

/// "AK/SK signing and authentication algorithm" of Huawei Cloud.
static HUAWEI: Scheme =
    Scheme { algorithm: "SDK-HMAC-SHA256", time: "X-Sdk-Date", id: " Access=", path: Path::Closed, ..USUAL };

/// "Signature method" of Volcengine.
static VOLC: Scheme =
    Scheme { algorithm: "HMAC-SHA256", time: "X-Date", hash: "X-Content-Sha256", last: "request", ..USUAL };

/// "Create a signed AWS API request", for services other than S3. All headers are signed.
static SIGV4: Scheme = Scheme {
    algorithm: "AWS4-HMAC-SHA256",
    own: "",
    time: "X-Amz-Date",
    token: "X-Amz-Security-Token",
    prefix: "AWS4",
    last: "aws4_request",
    order: Order::Encoded,
    path: Path::Twice,
    ..USUAL
};

/// What a request is signed with, besides its keys.
#[derive(Clone, Copy)]
struct With<'a> {
    version: &'a str,
    region: &'a str,
    service: &'a str,
    nonce: &'a [u8],
    now: u64,
}

/// Alibaba Cloud, ACS3-HMAC-SHA256. The parameter `Action` is taken out of the query and sent as a header.
pub fn acs3(http: Http, keys: &Keys, version: &'static str, now: u64, nonce: &[u8; 16]) -> Http {
    sign(http, keys, &ACS3, With { version, region: "", service: "", nonce, now })
}

/// Tencent Cloud, TC3-HMAC-SHA256. The request must have a Content-Type, in lower case. The parameter `Action` is
/// taken out of the query and sent as a header.
pub fn tc3(http: Http, keys: &Keys, service: &'static str, version: &'static str, now: u64) -> Http {
    sign(http, keys, &TC3, With { version, region: "", service, nonce: &[], now })
}

/// Huawei Cloud, SDK-HMAC-SHA256.
pub fn huawei(http: Http, keys: &Keys, now: u64) -> Http {
    sign(http, keys, &HUAWEI, With { version: "", region: "", service: "", nonce: &[], now })
}

/// Volcengine, HMAC-SHA256. `Action` and `Version` stay in the query.
pub fn volc(http: Http, keys: &Keys, region: &'static str, service: &'static str, now: u64) -> Http {
    sign(http, keys, &VOLC, With { version: "", region, service, nonce: &[], now })
}

/// Amazon Web Services, Signature Version 4.
pub fn sigv4(http: Http, keys: &Keys, region: &str, service: &'static str, now: u64) -> Http {
    sign(http, keys, &SIGV4, With { version: "", region, service, nonce: &[], now })
}

/// Signs a request.
fn sign(mut http: Http, keys: &Keys, scheme: &Scheme, with: With) -> Http {
    let mut day = stamp(with.now, scheme.clock != Clock::Basic);
    let time = if scheme.clock == Clock::Unix { with.now.to_string() } else { day.clone() };
    day.truncate(if scheme.clock == Clock::Basic { 8 } else { 10 });
    let canonical = canonical(&mut http, keys, scheme, with, &time);
    let scope = match (scheme.last, with.region) {
        ("", _) => &[] as &[&str],
        (last, "") => &[&day, with.service, last],
        (last, region) => &[&day, region, with.service, last],
    };
    let value = authorization(keys, scheme, &time, scope, &canonical);
    add(&mut http, &[("Authorization", &value)]);
    http
}

/// Adds the scheme's headers, and brings what is signed into its form.
fn canonical(http: &mut Http, keys: &Keys, scheme: &Scheme, with: With, time: &str) -> Canonical {
    let target = Target::settle(http, scheme.order, !scheme.action.is_empty());
    let (nonce, hash) = (hex(with.nonce), sha256(&http.body));
    let own = [
        (scheme.action, target.action.as_str()),
        (scheme.version, with.version),
        (scheme.time, time),
        (scheme.nonce, &nonce),
        (scheme.hash, &hash),
        (scheme.token, keys.token.unwrap_or_default()),
    ];
    add(http, &own);
    let mut headers = headers(http, &target.host, scheme.own);
    let path = match scheme.path {
        Path::Plain => normal(&target.path, "/"),
        Path::Closed => normal(target.path.strip_suffix('/').unwrap_or(&target.path), "/") + "/",
        Path::Twice => strict(tidy(&target.path).as_bytes(), "/"),
    };
    if scheme.path == Path::Twice {
        for (_, value) in &mut headers {
            *value = one_spaced(value);
        }
    }
    Canonical::of(http.method, &path, &target.query, &headers, &hash)
}

/// A text whose runs of white space are single spaces.
fn one_spaced(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        push(&mut out, ' ', word);
    }
    out
}

/// The value of the Authorization header.
fn authorization(keys: &Keys, scheme: &Scheme, time: &str, scope: &[&str], canonical: &Canonical) -> String {
    let scope_text = scope.join("/");
    let (slash, end) = if scope.is_empty() { ("", "") } else { ("/", "\n") };
    let time = if scheme.timed { [time, "\n"].concat() } else { String::new() };
    let to_sign = [scheme.algorithm, "\n", &time, &scope_text, end, &sha256(&canonical.text)].concat();
    let key = derive(&[scheme.prefix, keys.secret].concat(), scope);
    let (names, separator) = (&canonical.names, scheme.separator);
    let signature = hex(&mac(&key, &to_sign));
    let signed = ["SignedHeaders=", names, separator, "Signature=", &signature].concat();
    [scheme.algorithm, scheme.id, keys.id, slash, &scope_text, separator, &signed].concat()
}

/// Baidu AI Cloud, bce-auth-v1 (its page "Generate the authentication string"). The values of headers are encoded, the
/// key is a hexadecimal text, and the body is not signed.
pub fn bce(mut http: Http, keys: &Keys, now: u64) -> Http {
    let target = Target::settle(&mut http, Order::Joined, false);
    add(&mut http, &[("x-bce-security-token", keys.token.unwrap_or_default())]);
    let mut headers = headers(&http, &target.host, "x-bce-");
    for (_, value) in &mut headers {
        *value = strict(value.as_bytes(), "");
    }
    let prefix = ["bce-auth-v1/", keys.id, "/", &stamp(now, true), "/", BCE_VALID].concat();
    let canonical = bce_canonical(http.method, &normal(&target.path, "/"), &target.query, &headers);
    let key = hex(&mac(keys.secret.as_bytes(), &prefix));
    let signature = hex(&mac(key.as_bytes(), &canonical));
    add(&mut http, &[("Authorization", &[&prefix, "/", &names(&headers), "/", &signature].concat())]);
    http
}

/// Baidu's canonical request; the headers' values are encoded. There is no line end at its end.
fn bce_canonical(method: &str, path: &str, query: &str, headers: &Pairs) -> String {
    let mut text = [method, "\n", path, "\n", query, "\n", &lines(headers)].concat();
    text.pop();
    text
}

#[cfg(test)]
mod tests;
