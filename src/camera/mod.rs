//! What asks cameras, and finds them. `ask` tells whether one wants a password before anybody outside may reach it,
//! `judge` what its answer says of that. `find` looks for cameras in the LAN: `lan` knows who is there, `heard` what
//! answers say, `evidence` puts it together (with `oui` and `vendor`: who makes cameras), `section` writes it down.

pub mod ask;
pub mod evidence;
pub mod find;
mod heard;
pub mod judge;
pub mod lan;
mod oui;
pub mod section;
pub mod vendor;

pub use ask::ask;
