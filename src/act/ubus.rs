//! OpenWrt's services (netifd, procd), asked by the program `ubus`:
//! <https://openwrt.org/docs/techref/ubus>.

use super::command::{self, Ran};
use crate::wire::json::Json;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that one call may take; a service that hangs is killed by nobody.
const DEADLINE: Duration = Duration::from_secs(5);
/// What `ubus` says of an object or method that is not there.
const MISSING: [&str; 2] = ["Method not found", "Not found"];

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This is no OpenWrt: there is no ubus.
    Absent,
    /// There is no such object or method (yet).
    Missing,
    /// Anything else, in plain words.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Absent => f.write_str("there is no ubus here"),
            Fault::Missing => f.write_str("ubus knows no such object or method"),
            Fault::Failed(why) => f.write_str(why),
        }
    }
}

/// The way to the services.
#[derive(Clone, Debug)]
pub(crate) struct Ubus(PathBuf);

impl Ubus {
    /// By the program of this name.
    pub(crate) fn new(program: &Path) -> Ubus {
        Ubus(program.into())
    }

    /// Calls a method with a JSON object; null where it answers nothing.
    pub(crate) async fn call(&self, object: &str, method: &str, message: &str) -> Result<Json, Fault> {
        // Not -S: it says nothing of what went wrong.
        let args = ["call", object, method, message];
        match command::run(&self.0, "ubus", &args, "", DEADLINE).await {
            Ok(ran) => judge(&ran, object, method),
            Err(why) if why.starts_with("there is no program") => Err(Fault::Absent),
            Err(why) => Err(Fault::Failed(why)),
        }
    }
}

fn judge(ran: &Ran, object: &str, method: &str) -> Result<Json, Fault> {
    if !ran.ok {
        let missing = MISSING.iter().any(|text| ran.complaint.contains(text));
        return Err(match missing {
            true => Fault::Missing,
            false => Fault::Failed(format!("ubus call {object} {method}: {}", ran.complaint)),
        });
    }
    if ran.out.trim().is_empty() {
        return Ok(Json::Null);
    }
    Json::parse(&ran.out)
        .map_err(|e| Fault::Failed(format!("ubus call {object} {method}: its answer is {e}")))
}
