//! The services, one row each.

mod cn;
mod cn_more;
mod rest;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[rest::ROWS, cn::ROWS, cn_more::ROWS];
