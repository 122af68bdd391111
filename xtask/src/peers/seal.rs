//! A sealed room: a re-exec of this program in network, mount and process namespaces of its own, with a
//! name server of our own. What runs inside reaches nothing but loopback, and dies with the room.

use anyhow::{bail, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the environment of the run inside.
const MARK: &str = "PORCHLIGHT_SEALED";
/// A private tmpfs inside: everything that the peers write goes here and vanishes with the room.
const SCRATCH: &str = "/mnt";

/// Runs this very command line again inside a sealed room and returns its exit code, or `None` if this
/// already is the run inside.
///
/// # Errors
/// When `unshare` cannot be started; it is part of util-linux.
pub fn enter() -> Result<Option<i32>> {
    if std::env::var_os(MARK).is_some() {
        return Ok(None);
    }
    let mut room = Command::new("unshare");
    room.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root()? {
        room.args(["--user", "--map-root-user"]);
    }
    let code = room
        .arg(std::env::current_exe().context("the path of this program")?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .status()
        .context("cannot start unshare (package util-linux)")?;
    Ok(Some(code.code().unwrap_or(1)))
}

/// Makes the room habitable: loopback up, a scratch tmpfs, and every name resolved by 127.0.0.1.
/// Returns the scratch directory.
///
/// # Errors
/// When a mount or a command fails; the text says which.
pub fn furnish() -> Result<PathBuf> {
    let scratch = PathBuf::from(SCRATCH);
    run("ip", &["link", "set", "lo", "up"])?;
    run("mount", &["-t", "tmpfs", "-o", "mode=0755", "tmpfs", SCRATCH])?;
    overlay(&scratch, "resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")?;
    overlay(&scratch, "hosts", "127.0.0.1 localhost\n")?;
    overlay(&scratch, "nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n")?;
    Ok(scratch)
}

/// Runs a command that must succeed; its error text is kept.
///
/// # Errors
/// When it cannot be started or ends with another code than 0.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(args).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} failed: {}", args.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Puts a file of ours over one of /etc, inside the room only. One that does not exist is left out: the
/// C library's defaults do then.
fn overlay(scratch: &Path, name: &str, text: &str) -> Result<()> {
    let target = Path::new("/etc").join(name);
    if !target.exists() {
        return Ok(());
    }
    let source = scratch.join(name);
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    run("mount", &["--bind", &source.to_string_lossy(), &target.to_string_lossy()])?;
    Ok(())
}

fn is_root() -> Result<bool> {
    Ok(run("id", &["-u"])?.trim() == "0")
}
