//! A sealed room for other clients: loopback, a name server and an `/etc` of our own, nothing beyond. It stands on
//! the lab's seal; unlike the lab it needs no namespaces within, as these clients keep their settings in `/etc`.

use crate::lab::{process, seal};
use anyhow::{Context, Result};
use nix::mount::{mount, MsFlags};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One short command, at the longest.
const SHORT: Duration = Duration::from_secs(10);

/// Seals this process, raises loopback and lets every name be resolved by 127.0.0.1. Returns the directory whose
/// files vanish with the room.
///
/// # Errors
/// When this process cannot be sealed, or a mount or a command fails; the text says which.
pub fn enter() -> Result<PathBuf> {
    seal::enter()?;
    let scratch = PathBuf::from(seal::DIR);
    ip(&["link", "set", "lo", "up"])?;
    cover(&scratch, "resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")?;
    cover(&scratch, "hosts", "127.0.0.1 localhost\n")?;
    cover(&scratch, "nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n")?;
    Ok(scratch)
}

/// Runs `ip`.
///
/// # Errors
/// When it fails, with what it said.
pub fn ip(args: &[&str]) -> Result<String> {
    process::run(Command::new("ip").args(args), None, SHORT)?.success()
}

/// Puts a file of ours over one of /etc, inside the room only. One that does not exist is left out: the C library's
/// defaults do then.
fn cover(scratch: &Path, name: &str, text: &str) -> Result<()> {
    let target = Path::new("/etc").join(name);
    if !target.exists() {
        return Ok(());
    }
    let source = scratch.join(name);
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let none = None::<&str>;
    mount(Some(&source), &target, none, MsFlags::MS_BIND, none)
        .with_context(|| format!("cannot cover {}", target.display()))
}
