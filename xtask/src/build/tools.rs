//! What a build for routers needs: a compiler that comes with the standard library's source, and zig, which is
//! a C compiler and a linker for every router, with musl in it.

use crate::lab::tools::{pip, require_packages};
use anyhow::{anyhow, ensure, Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of zig: the last with musl's own allocator, which is small.
const ZIG: &str = "0.15.1";
/// The first rustc that has all our flags (1.N).
const OLDEST: u32 = 92;
/// A compiler with the library's source, in Debian and its relatives.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What was found.
pub struct Tools {
    /// The compiler; its library's source lies beside it.
    pub rustc: PathBuf,
    /// Of the same version.
    pub cargo: PathBuf,
    /// The library's source.
    pub library: PathBuf,
    /// The command, as a shell takes it.
    pub zig: String,
}

/// Finds the tools. What is not there is installed, after saying so, if `may_install`: the compiler by the
/// system's packages, zig into `dir`.
///
/// # Errors
/// When something is not there; the text says what to type.
pub fn require(dir: &Path, may_install: bool) -> Result<Tools> {
    let found = match compiler() {
        Some(found) => found,
        None => {
            require_packages("a compiler with the source of its library", &PACKAGES, may_install).map_err(
                |error| anyhow!("{error:#}; or: rustup toolchain install nightly --component rust-src"),
            )?;
            compiler().with_context(|| {
                format!(
                    "installed a compiler, yet it is older than 1.{OLDEST} or without its library's source"
                )
            })?
        }
    };
    Ok(Tools { zig: zig(dir, may_install)?, ..found })
}

/// Debian's compiler, or the nightly of rustup.
fn compiler() -> Option<Tools> {
    let nightly = said(Command::new("rustc").args(["+nightly", "--print", "sysroot"]));
    let roots = [Some(PathBuf::from("/usr")), nightly.map(PathBuf::from)];
    roots.into_iter().flatten().find_map(|root| {
        let (rustc, cargo) = (root.join("bin/rustc"), root.join("bin/cargo"));
        let library = root.join("lib/rustlib/src/rust/library");
        let new = version(&said(Command::new(&rustc).arg("-V"))?)? >= OLDEST;
        let whole = library.join("Cargo.lock").is_file() && cargo.is_file();
        (new && whole).then(|| Tools { rustc, cargo, library, zig: String::new() })
    })
}

/// The N of `rustc 1.N.0 (...)`.
fn version(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

/// Python's package `ziglang`, of the system or in `dir`.
fn zig(dir: &Path, may_install: bool) -> Result<String> {
    let own = dir.join(format!("zig-{ZIG}"));
    let program = own.join("ziglang/zig");
    let is_ours = |command: &mut Command| said(command.arg("version")).as_deref() == Some(ZIG);
    if is_ours(Command::new("python3").args(["-m", "ziglang"])) {
        return Ok("python3 -m ziglang".into());
    }
    if !is_ours(&mut Command::new(&program)) {
        pip(&own, &[&format!("ziglang=={ZIG}")], may_install)?;
        ensure!(
            is_ours(&mut Command::new(&program)),
            "installed zig, yet {} does not run",
            program.display()
        );
    }
    Ok(format!("'{}'", program.display()))
}

/// What a program says on its standard output, if it runs and ends well.
fn said(command: &mut Command) -> Option<String> {
    let out = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_the_compiler() {
        assert_eq!(version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(96));
        assert_eq!(version("rustc 1.99.0-nightly (d9aa6b3e1 2026-08-30)"), Some(99));
        assert_eq!(version("gcc 12"), None);
    }
}
