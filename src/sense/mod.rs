//! The sensors: each turns something outside into [`crate::model::Event`]s. None of them polls.
//!
//! `netifd` asks OpenWrt which devices the WANs' interfaces are, whenever the network changes, and `heard` keeps the
//! answers. `network` follows the kernel's links, addresses and routes (`view` keeps them, `choose` picks the address), and
//! through `neighbours` the cameras' entries of the neighbour table (`filter` keeps the others out); both stand on
//! `follow` and `netlink`. `files` watches `leases` and the resolver's files; `natmap` reads where a hole in a carrier's NAT is.
//! `announced` hears the router above us.

pub mod announced;
pub mod choose;
pub mod clock;
pub mod files;
pub mod filter;
mod follow;
pub mod heard;
pub mod leases;
pub mod natmap;
pub mod neighbours;
pub mod netifd;
pub mod netlink;
pub mod network;
pub mod ruleset;
pub mod signals;
pub mod view;

use crate::model::Event;
use std::rc::Rc;

/// Whom a sensor tells: takes an event without waiting, and says whether anybody listens still.
pub type Teller = Rc<dyn Fn(Event) -> bool>;
