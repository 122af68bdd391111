//! What asks cameras: `ask` tells whether one wants a password before anybody outside may reach it, `judge` what its
//! answer says of that.

pub mod ask;
pub mod judge;

pub use ask::ask;
