//! What asks cameras: `ask` tells whether one wants a password before anybody outside may reach it.

pub mod ask;

pub use ask::ask;
