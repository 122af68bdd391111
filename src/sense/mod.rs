//! The sensors: each turns something outside into [`crate::model::Event`]s. None of them polls.

pub mod clock;
pub mod files;
pub mod leases;
pub mod network;
pub mod ruleset;
pub mod signals;
