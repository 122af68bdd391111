//! `cargo xtask build ARCH`: the program as it goes onto a router. One static file on musl, with a standard
//! library that is compiled for size along with it. The release profile is in Cargo.toml; what cargo's profile
//! cannot hold is in `compile.rs`.

mod compile;
mod empty;
mod link;
pub mod targets;
mod tools;

use crate::lab::tools::workspace;
use anyhow::{bail, Context, Result};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use targets::{Target, TARGETS};

/// What `cargo xtask build` takes.
#[derive(clap::Args)]
pub struct Options {
    /// The processors, by OpenWrt's names: mips_24kc, mipsel_24kc, arm_cortex-a7_neon-vfpv4, aarch64_generic,
    /// x86_64 and their sisters
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    processors: Vec<String>,
    /// Every processor that is known
    #[arg(long)]
    all: bool,
    /// Do not install what this machine lacks; say what to type instead
    #[arg(long)]
    no_install: bool,
}

/// Builds, and prints each program's file and size.
///
/// # Errors
/// See [`build`].
pub fn run(options: &Options) -> Result<i32> {
    let rows = match options.all {
        true => TARGETS.iter().collect(),
        false => options.processors.iter().map(|name| row(name)).collect::<Result<Vec<_>>>()?,
    };
    for target in rows {
        let (program, took) = with(target, !options.no_install)?;
        let size = fs::metadata(&program)?.len();
        anstream::println!(
            "{}: {} ({size} bytes, {} KiB, built in {} s)",
            target.names.join(" "),
            program.display(),
            size.div_ceil(1024),
            took.as_secs()
        );
    }
    Ok(0)
}

/// Builds the program for a processor and returns its file. What the machine lacks is installed where that may be.
///
/// # Errors
/// When the processor is unknown, the machine lacks something (the text says what to type), or the build fails.
pub fn build(processor: &str) -> Result<PathBuf> {
    Ok(with(row(processor)?, true)?.0)
}

fn row(processor: &str) -> Result<&'static Target> {
    let Some(target) = targets::find(processor) else {
        let known: Vec<_> = TARGETS.iter().flat_map(|target| target.names).copied().collect();
        bail!("no processor {processor} is known; known: {}", known.join(", "));
    };
    Ok(target)
}

/// The program's file, and how long its build took.
fn with(target: &Target, may_install: bool) -> Result<(PathBuf, Duration)> {
    let router = target_dir().join("router");
    let tools = tools::require(&router, may_install)?;
    let start = Instant::now();
    let built = compile::compile(target, &tools, &router)?;
    let program = router.join(target.name()).join("porchlight");
    fs::copy(&built, &program).with_context(|| format!("no {} after the build", built.display()))?;
    Ok((program, start.elapsed()))
}

/// Cargo's target directory, absolute.
fn target_dir() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
