//! The services, one row each.

mod cn;
mod cn_more;
mod host;
mod rest;
mod rpc;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[cn::ROWS, cn_more::ROWS, host::ROWS, rest::ROWS, rpc::ROWS];
