//! The acts: what the plan asked for, done to the outside.

pub mod dns;
pub mod http;
pub mod publish;
pub mod readback;
