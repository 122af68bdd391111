//! Signatures, each over bytes that are handed in. The signers of requests take one that is finished and return it
//! with what proves it: `now` is Unix time in seconds, which callers take from `Job::signing_time`; `nonce` is random.
//!
//! The URL that is returned is the one that was signed: query encoded strictly and sorted, host in lower case without
//! the scheme's own port, which is what the Host header will say.

mod bore;
mod canonical;
mod cloud;
pub mod frp;
mod legacy;
mod robot;
pub mod tsig;

pub use bore::bore;
pub(crate) use canonical::stamp;
pub use cloud::{acs3, bce, huawei, sigv4, tc3, volc};
pub use legacy::{ovh, rpc_sha1};
pub use robot::{dingtalk, feishu};

/// An account's keys.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The public part: access key id, `SecretId`, `AK`.
    pub id: &'a str,
    /// The secret part.
    pub secret: &'a str,
    /// The session token (STS) of temporary keys, where there is one.
    pub token: Option<&'a str>,
}
