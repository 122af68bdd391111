//! The services, one row each.

mod host;
mod rest;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[host::ROWS, rest::ROWS];
