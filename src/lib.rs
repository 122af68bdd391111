//! Porchlight keeps the light on for the camera behind a home router: DNS names that follow the
//! WAN address, and a port mapping that follows the camera.
//!
//! One loop, one direction: **sense -> plan -> act**.
//!
//! ```text
//!  kernel (rtnetlink) ┐
//!  leases, neighbours │
//!  resolver, clock    ├─ Event ─> World ─┐
//!  trigger, signals   ┘  (folded, pure)  ├─> plan() ─> Plan { actions, wake_at } ─> act ─> Outcome ─┐
//!  /etc/config/porchlight ──> Config ────┤   (pure)                                                 │
//!                             State <────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! `plan(config, world, state, now)` is a pure function that holds all policy. It reads no clock,
//! opens no socket, touches no file. Timers exist only as `Plan::wake_at`; nothing polls.
//!
//! The modules, in the order in which a change flows through them:
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod act;
pub mod agent;
pub mod camera;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod import;
pub mod map;
pub mod mapping;
pub mod metrics;
pub mod model;
pub mod notify;
pub mod paths;
pub mod plan;
pub mod provider;
pub mod secret;
pub mod sense;
pub mod sign;
pub mod state;
pub mod status;
pub(crate) mod tunnel;
pub mod wire;
