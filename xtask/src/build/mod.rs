//! `cargo xtask build x86_64`: the program as it goes onto a router. One static file on musl, with a standard
//! library that is compiled for size along with it. The release profile is in Cargo.toml; what cargo's profile
//! cannot hold is here.

mod tools;

use crate::lab::tools::workspace;
use anyhow::{bail, ensure, Context, Result};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tools::Tools;

/// A processor that we build for.
struct Target {
    /// What the owner types.
    name: &'static str,
    /// As rustc calls it.
    rust: &'static str,
    /// As zig calls it.
    zig: &'static str,
    /// The model, as zig calls it.
    cpu: &'static str,
}

const TARGETS: [Target; 1] =
    [Target { name: "x86_64", rust: "x86_64-unknown-linux-musl", zig: "x86_64-linux-musl", cpu: "baseline" }];

/// For rustc: one static file at a fixed address, without the text of panics and of `{:?}`; on 32 bits, time
/// still has 64; SHA-2 in the form without unrolled loops, for signing a request is all that it does.
const RUST: &str = "-C link-self-contained=no -C target-feature=+crt-static -C relocation-model=static \
    -Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none \
    --cfg=libc_unstable_musl_v1_2 --cfg=sha2_backend=\"soft\" --cfg=sha2_backend_soft=\"compact\"";
/// For the C code of the TLS library.
const C: &str = "-Os -fno-asynchronous-unwind-tables -fno-pic";
/// The standard library, compiled with us.
const STD: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];
/// Where each function lies in the file.
const LAYOUT: &str = include_str!("layout.ld");

/// What `cargo xtask build` takes.
#[derive(clap::Args)]
pub struct Options {
    /// The processor: x86_64
    processor: String,
    /// Do not install what this machine lacks; say what to type instead
    #[arg(long)]
    no_install: bool,
}

/// Builds, and prints the program's file and size.
///
/// # Errors
/// See [`build`].
pub fn run(options: &Options) -> Result<i32> {
    let program = with(&options.processor, !options.no_install)?;
    let size = fs::metadata(&program)?.len();
    anstream::println!("{}: {size} bytes ({} KiB)", program.display(), size.div_ceil(1024));
    Ok(0)
}

/// Builds the program for a processor and returns its file. What the machine lacks is installed where that may be.
///
/// # Errors
/// When the processor is unknown, the machine lacks something (the text says what to type), or the build fails.
pub fn build(processor: &str) -> Result<PathBuf> {
    with(processor, true)
}

/// The processors that are known, by OpenWrt's names.
#[must_use]
pub fn names() -> Vec<String> {
    TARGETS.iter().map(|target| target.name.to_string()).collect()
}

fn with(processor: &str, may_install: bool) -> Result<PathBuf> {
    let Some(target) = TARGETS.iter().find(|row| row.name == processor) else {
        let known = TARGETS.map(|row| row.name).join(", ");
        bail!("no processor {processor} is known; known: {known}");
    };
    let router = target_dir().join("router");
    let tools = tools::require(&router, may_install)?;
    let out = router.join(target.name);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let status = command(target, &tools, &router, &out)?.status().context("cannot run cargo")?;
    ensure!(status.success(), "the build for {processor} failed");
    let program = out.join("porchlight");
    let built = router.join("build").join(target.rust).join("release/porchlight");
    fs::copy(&built, &program).with_context(|| format!("no {} after the build", built.display()))?;
    Ok(program)
}

/// Cargo's target directory, absolute.
fn target_dir() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The call of cargo.
fn command(target: &Target, tools: &Tools, router: &Path, out: &Path) -> Result<Command> {
    let (cc, ar) = (out.join("cc"), out.join("ar"));
    write_script(&cc, &compiler(target, &tools.zig))?;
    write_script(&ar, &format!("#!/bin/sh\nexec {} ar \"$@\"\n", tools.zig))?;
    // Its name tells cargo when it is another.
    let mut hash = DefaultHasher::new();
    LAYOUT.hash(&mut hash);
    let layout = out.join(format!("layout-{:016x}.ld", hash.finish()));
    fs::write(&layout, LAYOUT).with_context(|| format!("cannot write {}", layout.display()))?;
    let env_name = target.rust.replace('-', "_");
    let mut command = Command::new(&tools.cargo);
    command.current_dir(workspace()).stdin(Stdio::null());
    command.args(["rustc", "--release", "--package", "porchlight", "--bin", "porchlight"]).args(STD);
    command.args(["--target", target.rust, "--target-dir"]).arg(router.join("build"));
    let mut link = OsString::from("-Clink-arg=-Wl,-T,");
    link.push(&layout);
    command.arg("--").arg(link);
    command.env("RUSTC", &tools.rustc).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", RUST);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
    command.env(format!("CARGO_TARGET_{}_LINKER", env_name.to_uppercase()), &cc);
    command.env(format!("CC_{env_name}"), &cc).env(format!("AR_{env_name}"), &ar);
    command.env(format!("CFLAGS_{env_name}"), C);
    Ok(command)
}

/// A C compiler and linker: zig's, without the arguments that it does not take.
fn compiler(target: &Target, zig: &str) -> String {
    let Target { zig: triple, cpu, .. } = target;
    format!(
        "#!/bin/sh
# Written by cargo xtask build.
for argument do
    shift
    case $argument in
    --target=* | -march=* | -mabi=* | -m32 | -m64 | -Wl,-melf* | -Wl,--eh-frame-hdr) ;;
    -lgcc | -lgcc_eh | -lunwind) ;;
    *) set -- \"$@\" \"$argument\" ;;
    esac
done
exec {zig} cc -target {triple} -mcpu={cpu} \"$@\"
"
    )
}

fn write_script(path: &Path, text: &str) -> Result<()> {
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
    written.with_context(|| format!("cannot write {}", path.display()))
}
