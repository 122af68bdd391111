//! The services, one row each.

mod dns;
mod reg;
mod rest;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[rest::ROWS, reg::ROWS, dns::ROWS];
