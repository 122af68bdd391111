//! Finds cameras and asks them. `find` looks for them in the LAN: `lan` knows who is there, `heard` what answers say of
//! it, `evidence` puts it together (with `oui` and `vendor`, who makes cameras), `section` writes it down. `ask` tells
//! whether a camera wants a password before anybody outside may reach it.

pub mod ask;
pub mod evidence;
pub mod find;
mod heard;
pub mod lan;
mod oui;
pub mod section;
pub mod vendor;

pub use ask::ask;
