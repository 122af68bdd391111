//! The services, one row each.

mod rest;

use super::Service;

/// All rows.
pub(super) const ALL: &[&[Service]] = &[rest::ROWS];
