//! The acts: what the plan asked for, done to the outside.
//!
//! `publish` drives one provider; `http` and `dns` carry its requests, over `net` (names and connections)
//! and `tunnel` (the way that minreq's bytes take); `readback` asks the zone's name servers what is published, `look`
//! does so for many names at once, `hosts` looks up who may. What blocks runs on a `thread`. `nudge` has the kernel look
//! for a camera, `hop` asks whether a WAN's next hop answers. `command` runs a program, `ubus` asks OpenWrt's services by
//! one; `tell` brings the owner a message. `witness` asks which address the internet sees, `outside` whether a port is
//! open from there, both over a `line` of one WAN alone. `bound` makes sockets of one device alone. `privileges` gives up
//! what of root's rights is not needed.

pub(crate) mod bound;
pub(crate) mod command;
pub mod dns;
pub mod hop;
pub mod hosts;
pub mod http;
mod line;
pub mod look;
pub(crate) mod net;
pub mod nudge;
pub mod outside;
pub mod privileges;
pub mod publish;
pub mod readback;
pub mod tell;
pub(crate) mod thread;
pub(crate) mod tls;
mod tunnel;
pub(crate) mod ubus;
pub mod witness;

/// The most bytes of an answer's body that are taken; more makes it garbled.
pub const BODY_CAP: usize = 256 * 1024;
