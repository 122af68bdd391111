//! `cargo xtask build ARCH`: the program as it goes onto a router. One static file on musl, with a standard
//! library that is compiled for size along with it. The release profile is in Cargo.toml; what cargo's profile
//! cannot hold is in `compile.rs`.

mod compile;
pub mod ledger;
mod link;
pub mod sizes;
pub mod targets;
mod tools;

use crate::lab::tools::target_dir;
use anyhow::{bail, ensure, Context, Result};
use ledger::Ledger;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use targets::{Target, TARGETS};

/// Within cargo's target directory: what is built here.
const FOLDER: &str = "router";
/// The same once more.
const AGAIN: &str = "router-again";

/// What `cargo xtask build` takes.
#[derive(clap::Args)]
pub struct Options {
    /// The processors, by OpenWrt's names: mips_24kc, mipsel_24kc, arm_cortex-a7_neon-vfpv4, aarch64_generic,
    /// x86_64, arm_arm926ej-s, riscv64_riscv64 and their sisters
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    processors: Vec<String>,
    /// Every processor that is known
    #[arg(long)]
    all: bool,
    /// Build once more in another folder, and compare: the same bytes must come out
    #[arg(long)]
    twice: bool,
    /// Do not install what this machine lacks; say what to type instead
    #[arg(long)]
    no_install: bool,
}

/// Builds, and prints each program's size beside those of other clients.
///
/// # Errors
/// See [`build`]; with `--twice` also when the second build differs.
pub fn run(options: &Options) -> Result<i32> {
    let rows = match options.all {
        true => TARGETS.iter().collect(),
        false => options.processors.iter().map(|name| row(name)).collect::<Result<Vec<_>>>()?,
    };
    let mut table = Vec::new();
    for target in rows {
        let (program, took) = with(target, !options.no_install, FOLDER)?;
        if options.twice {
            same_again(target, &program)?;
        }
        let (size, packed) = (fs::metadata(&program)?.len(), sizes::gzip(&program)?);
        table.push(format!(
            "{:26}{size:>10}{:>8}{packed:>10}{:>6}  {}",
            target.name(),
            size.div_ceil(1024),
            took.as_secs(),
            program.display()
        ));
    }
    anstream::println!("{:26}{:>10}{:>8}{:>10}{:>6}", "processor", "bytes", "KiB", "gzip -9", "s");
    table.iter().for_each(|line| anstream::println!("{line}"));
    sizes::print_peers();
    Ok(0)
}

/// Builds once more in another folder and compares.
fn same_again(target: &Target, program: &Path) -> Result<()> {
    let (again, _) = with(target, false, AGAIN)?;
    ensure!(
        fs::read(program)? == fs::read(&again)?,
        "{} and {} were built from the same source and differ",
        program.display(),
        again.display()
    );
    anstream::println!("{}: a second build in another folder has the same bytes", target.name());
    Ok(())
}

/// Builds for a processor and counts where the bytes are.
///
/// # Errors
/// See [`build`].
pub fn ledger(processor: &str) -> Result<Ledger> {
    let program = build(processor)?;
    ledger::read(&program, &program.with_file_name(link::MAP))
}

/// Builds the program for a processor and returns its file. What the machine lacks is installed where that may be.
///
/// # Errors
/// When the processor is unknown, the machine lacks something (the text says what to type), or the build fails.
pub fn build(processor: &str) -> Result<PathBuf> {
    Ok(with(row(processor)?, true, FOLDER)?.0)
}

fn row(processor: &str) -> Result<&'static Target> {
    let Some(target) = targets::find(processor) else {
        let known: Vec<_> = TARGETS.iter().flat_map(|target| target.names).copied().collect();
        bail!("no processor {processor} is known; known: {}", known.join(", "));
    };
    Ok(target)
}

/// The program's file, and how long its build took.
fn with(target: &Target, may_install: bool, folder: &str) -> Result<(PathBuf, Duration)> {
    let router = target_dir().join(folder);
    let tools = tools::require(&target_dir().join(FOLDER), may_install)?;
    let start = Instant::now();
    let built = compile::compile(target, &tools, &router)?;
    let program = router.join(target.name()).join("porchlight");
    fs::copy(&built, &program).with_context(|| format!("no {} after the build", built.display()))?;
    Ok((program, start.elapsed()))
}
