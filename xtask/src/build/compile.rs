//! The call of cargo: flags, and the C compiler and linker that it is given.

use super::link;
use super::targets::Target;
use super::tools::Tools;
use crate::lab::tools::workspace;
use anyhow::{ensure, Context, Result};
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// For rustc: one static file at a fixed address, without the text of panics and of `{:?}`; on 32 bits, time
/// still has 64; SHA-2 in the form without unrolled loops, for signing a request is all that it does; system calls by
/// musl on every processor, for one of them is wrapped (`rest.c`).
const RUST: &str =
    "-C linker-flavor=ld -C link-self-contained=no -C target-feature=+crt-static -C relocation-model=static \
    -Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none \
    --cfg=libc_unstable_musl_v1_2 --cfg=rustix_use_libc --cfg=sha2_backend=\"soft\" --cfg=sha2_backend_soft=\"compact\"";
/// For the C code of the TLS library.
const C: &str = "-Os -DNDEBUG -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pic";
/// The standard library, compiled with us.
const STD: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];
/// Where each function lies in the file.
const LAYOUT: &str = include_str!("layout.ld");

/// Compiles and links; returns the file that cargo made.
pub fn compile(target: &Target, tools: &Tools, router: &Path) -> Result<PathBuf> {
    let out = router.join(target.name());
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let status = command(target, tools, router, &out)?.status().context("cannot run cargo")?;
    ensure!(status.success(), "the build for {} failed", target.name());
    Ok(router.join("build").join(target.rust).join("release/porchlight"))
}

/// The call of cargo.
fn command(target: &Target, tools: &Tools, router: &Path, out: &Path) -> Result<Command> {
    let (cc, ar, ld) = (out.join("cc"), out.join("ar"), out.join("ld"));
    write_script(&cc, &compiler(target, &tools.zig))?;
    write_script(&ld, &link::script(target, &tools.zig, out)?)?;
    write_script(&ar, &format!("#!/bin/sh\nexec {} ar \"$@\"\n", tools.zig))?;
    // Its name tells cargo when the link is another; where it lies is for the linker's script alone to know, for
    // what cargo is told goes into the names of functions.
    let mut hash = DefaultHasher::new();
    (LAYOUT, link::FLAGS, link::MUSL_SOURCE, link::REST_SOURCE, link::TIME_SOURCE, target.link_flags)
        .hash(&mut hash);
    let layout = format!("layout-{:016x}.ld", hash.finish());
    fs::write(out.join(&layout), LAYOUT).with_context(|| format!("cannot write {layout}"))?;
    let env_name = target.rust.replace('-', "_");
    let mut command = Command::new(&tools.cargo);
    command.current_dir(workspace()).stdin(Stdio::null());
    command
        .args(["rustc", "--locked", "--release", "--package", "porchlight", "--bin", "porchlight"])
        .args(STD);
    command.args(["--target", target.rust, "--target-dir"]).arg(router.join("build"));
    command.arg("--").arg(format!("-Clink-arg=--script={layout}"));
    command.env("RUSTC", &tools.rustc).env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(target, tools));
    command.env_remove("RUSTFLAGS").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
    command.env(format!("CARGO_TARGET_{}_LINKER", env_name.to_uppercase()), &ld);
    command.env(format!("CC_{env_name}"), &cc).env(format!("AR_{env_name}"), &ar);
    command.env(format!("CFLAGS_{env_name}"), c_flags(target));
    Ok(command)
}

/// The flags of rustc, in cargo's form. Paths of this machine get names that are the same on every machine.
fn rust_flags(target: &Target, tools: &Tools) -> String {
    let mut flags: Vec<String> =
        RUST.split_whitespace().chain(target.rust_flags.split_whitespace()).map(String::from).collect();
    for (from, to) in [(workspace(), "porchlight"), (&cargo_home(), "cargo"), (&tools.library, "library")] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    flags.join("\u{1f}")
}

/// The flags of the C compiler.
fn c_flags(target: &Target) -> String {
    let home = cargo_home();
    format!("{C} {} -ffile-prefix-map={}=cargo", target.c_flags, home.display())
}

/// Where cargo keeps the sources of crates.
fn cargo_home() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(|| ".cargo".into())
}

/// A C compiler: zig's, without the arguments that it does not take.
fn compiler(target: &Target, zig: &str) -> String {
    let Target { zig: triple, cpu, .. } = target;
    format!(
        "#!/bin/sh
# Written by cargo xtask build.
for argument do
    shift
    case $argument in
    --target=* | -march=* | -mabi=* | -m32 | -m64) ;;
    *) set -- \"$@\" \"$argument\" ;;
    esac
done
exec {zig} cc -target {triple} -mcpu={cpu} \"$@\"
"
    )
}

fn write_script(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() == Some(text) {
        return Ok(());
    }
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
    written.with_context(|| format!("cannot write {}", path.display()))
}
