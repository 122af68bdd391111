//! The services, one row each.

mod cn;
mod cn_more;
mod dns;
mod host;
mod reg;
mod rest;
mod rpc;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] =
    &[cn::ROWS, cn_more::ROWS, dns::ROWS, host::ROWS, reg::ROWS, rest::ROWS, rpc::ROWS];
