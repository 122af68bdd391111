//! AWS-LC in name only. rustls's default features ask for it beside ring; the program uses ring alone, and the
//! linker drops all of AWS-LC. So that its half million lines of C are not compiled for that, its build script
//! is told that the system has it: an archive that holds nothing. If anything did use it, the link would fail.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An archive without members.
const ARCHIVE: &str = "!<arch>\n";
/// All that the build script reads of its headers.
const HEADER: &str = "#define OPENSSL_IS_AWSLC\n";

/// Sets the environment of a call of cargo so that AWS-LC is not compiled. `dir` is where the files go.
///
/// # Errors
/// When the crate's source is not where cargo says, or a file cannot be written.
pub fn set(command: &mut Command, cargo: &Path, workspace: &Path, dir: &Path) -> Result<()> {
    let bindings = source(cargo, workspace)?.join("src/universal_crypto.rs");
    let bindings = fs::read_to_string(&bindings).with_context(|| format!("no {}", bindings.display()))?;
    write(&dir.join("lib/libcrypto.a"), ARCHIVE)?;
    write(&dir.join("include/openssl/base.h"), HEADER)?;
    write(&dir.join("share/rust/aws_lc_bindings.rs"), includable(&bindings))?;
    command.env("AWS_LC_SYS_SYSTEM_DIR", dir);
    command.env("AWS_LC_SYS_SYSTEM_SKIP_VERSION_CHECK", "1").env("AWS_LC_SYS_STATIC", "1");
    Ok(())
}

/// The bindings without the attributes that only a whole file may begin with.
fn includable(bindings: &str) -> &str {
    match bindings.split_once("#![") {
        Some((_, rest)) => rest.split_once(")]").map_or(rest, |(_, after)| after),
        None => bindings,
    }
}

/// Writes a file unless it is there: cargo compiles anew what is younger.
fn write(path: &Path, content: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() == Some(content) {
        return Ok(());
    }
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    made.with_context(|| format!("cannot write {}", path.display()))
}

/// The folder of the crate aws-lc-sys, which holds the Rust side of its functions.
fn source(cargo: &Path, workspace: &Path) -> Result<PathBuf> {
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--format-version", "1"]).current_dir(workspace);
    let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&out.stdout).context("cargo metadata did not say the packages")?;
    let packages = metadata["packages"].as_array().context("cargo metadata says no packages")?;
    let package = packages.iter().find(|package| package["name"] == "aws-lc-sys");
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).context("no aws-lc-sys")?;
    Ok(Path::new(manifest).parent().context("no folder of aws-lc-sys")?.to_path_buf())
}
