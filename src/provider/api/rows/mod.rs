//! The services, one row each.

mod dns;
mod host;
mod reg;
mod rest;
mod rpc;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[dns::ROWS, host::ROWS, reg::ROWS, rest::ROWS, rpc::ROWS];
