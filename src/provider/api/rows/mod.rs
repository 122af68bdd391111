//! The services, one row each.

mod host;
mod rest;
mod rpc;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[host::ROWS, rest::ROWS, rpc::ROWS];
