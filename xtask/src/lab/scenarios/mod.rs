//! The table of scenarios: each a story in a fresh lab, run by `cargo xtask test`.

pub mod cameras;
pub mod changes;
pub mod control;
pub mod doctor;
pub mod doors;
pub mod faults;
pub mod frp;
pub mod ground;
pub mod hostile;
pub mod idle;
pub mod import;
pub mod kill;
pub mod lease;
pub mod mjpeg;
pub mod moves;
pub mod netifd;
pub mod notify;
pub mod outside;
pub mod powerdns;
pub mod quickstart;
pub mod ready;
pub mod refresh;
pub mod reload;
pub mod route53;
pub mod rtsp;
pub mod scripts;
pub mod service;
pub mod six;
pub mod static_lease;
pub mod status;
pub mod ten;
pub mod tunnel;
pub mod ucifw;
pub mod upstream;
pub mod witness;

use super::{Lab, Summary};
use crate::emulated::EMULATED;
use crate::machine::story;
use anyhow::Result;
use std::time::Duration;

/// One story in a lab of its own.
pub struct Scenario {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What must be seen, in one line.
    pub about: &'static str,
    /// Programs that it needs beside `ip` and `nft`, see [`super::tools::TOOLS`].
    pub needs: &'static [&'static str],
    /// Killed and failed after this time.
    pub limit: Duration,
    /// Left out by `--quick`.
    pub slow: bool,
    /// The story.
    pub run: fn(&mut Lab) -> Result<Summary>,
}

/// All scenarios, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab",
        about: "the lab itself: names, addresses, updates and connections work without an agent",
        needs: &["nsupdate"],
        limit: Duration::from_secs(60),
        slow: false,
        run: ground::lab,
    },
    changes::BIND,
    changes::KNOT,
    ready::BIND,
    powerdns::UPDATE,
    powerdns::API,
    route53::MOTO,
    lease::DNSMASQ,
    doors::DOORS,
    rtsp::RTSP,
    mjpeg::MJPEG,
    hostile::HOSTILE,
    cameras::HOME,
    moves::MOVES,
    moves::INSIDE,
    netifd::WAYS,
    netifd::REST,
    six::SIX,
    service::SERVICE_BACKEND,
    service::REPLACED,
    ucifw::UCI_BACKEND,
    static_lease::STATIC_LEASE,
    status::STATUS,
    upstream::UPSTREAM,
    tunnel::TUNNEL,
    frp::FRP,
    faults::FAULTS,
    Scenario {
        name: "kill",
        about: "killed a hundred times, right each time, nothing sent twice",
        needs: &["strace"],
        limit: Duration::from_secs(400),
        slow: true,
        run: kill::kill_anywhere,
    },
    Scenario {
        name: "idle",
        about: "at rest no system call; chatty neighbours are not heard, the camera is",
        needs: &["strace"],
        limit: Duration::from_secs(200),
        slow: true,
        run: idle::idle,
    },
    Scenario {
        name: "writes",
        about: "a read-only root: every write is in tmpfs, none when nothing changed",
        needs: &["strace"],
        limit: Duration::from_secs(90),
        slow: false,
        run: idle::writes,
    },
    refresh::REFRESH,
    reload::RELOAD,
    witness::WITNESS,
    witness::WAYS,
    outside::OUTSIDE,
    notify::NOTIFY,
    import::IMPORT,
    doctor::DOCTOR,
    Scenario {
        name: "control",
        about: "the control socket, one instance, reloads, a clean end",
        needs: &[],
        limit: Duration::from_secs(90),
        slow: false,
        run: control::control,
    },
    Scenario {
        name: "verbs",
        about: "once, trigger, check and their exit codes",
        needs: &[],
        limit: Duration::from_secs(90),
        slow: false,
        run: control::verbs,
    },
    Scenario {
        name: "secrets",
        about: "no secret in log, status, check, state or arguments",
        needs: &[],
        limit: Duration::from_secs(90),
        slow: false,
        run: control::secrets,
    },
    EMULATED,
    story::MIPS,
    story::ARM,
    scripts::SCRIPTS,
    quickstart::QUICKSTART,
];
