//! A client of bore's server <https://github.com/ekzhang/bore>: one control connection for each line, and one more for
//! each visitor.

use super::Gate;
use crate::config::Tunnel;
use crate::provider::{Failure, Kind};

/// Keeps a line up until it fails.
pub(super) async fn carry(_section: &Tunnel, _gate: &Gate) -> Failure {
    Failure::new(Kind::Refused, "bore is not built yet")
}
