//! The addresses of a host's name, all of them and of both families.

use super::net;
use crate::provider::Failure;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Asks the system's resolver.
///
/// # Errors
/// [`crate::provider::Kind::NotReady`] when it does not work, [`crate::provider::Kind::Unreachable`] when there is no
/// such name. The text begins with the name.
pub async fn resolve(name: &str, limit: Duration) -> Result<Vec<IpAddr>, Failure> {
    let addrs = net::lookup(name, name, 0, Instant::now() + limit).await?;
    Ok(addrs.iter().map(|addr| addr.ip()).collect())
}
