//! `cargo xtask ipk ARCH|--all` and `cargo xtask apk ARCH|--all`: the packages that OpenWrt's two package managers
//! install, written without OpenWrt's build system. From the same program, files and time come the same bytes.

mod adb;
mod apk;
mod check;
#[cfg(test)]
mod feed;
mod ipk;
mod read;
mod read_apk;
mod recipe;
mod tree;

pub use check::check;

use crate::build;
use crate::build::targets::{self, Target, TARGETS};
use crate::lab::tools::workspace;
use anyhow::{bail, ensure, Context, Result};
use recipe::Recipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};
use tree::Tree;

/// What `cargo xtask ipk` and `cargo xtask apk` take.
#[derive(clap::Args)]
pub struct Options {
    /// The processors, by OpenWrt's names (`cargo xtask build --help` knows them)
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    processors: Vec<String>,
    /// Every processor that is known
    #[arg(long)]
    all: bool,
    /// Take this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    program: Option<PathBuf>,
    /// Where the packages go; usually target/packages
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A package manager.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// opkg's.
    Ipk,
    /// apk's.
    Apk,
}

/// A package that was written.
pub struct Made {
    /// The file's name.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Builds what is missing, writes the packages, and prints each one's file and size.
///
/// # Errors
/// When a program cannot be built, holds a path of this machine, or a package cannot be written.
pub fn run(kind: Kind, options: &Options) -> Result<i32> {
    let workspace = workspace();
    let recipe = Recipe::read(workspace)?;
    let time = time(workspace)?;
    let out = options.out.clone().unwrap_or_else(|| workspace.join(target_dir()).join("packages"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut programs = Programs(Vec::new());
    let all = TARGETS.iter().flat_map(|target| target.names).map(|name| (*name).to_string());
    let processors = if options.all { all.collect() } else { options.processors.clone() };
    for arch in &processors {
        let program = match &options.program {
            Some(file) => file.clone(),
            None => programs.of(arch)?,
        };
        let made = package(kind, &recipe, arch, &tree(workspace, &program)?, time)?;
        let path = out.join(&made.name);
        fs::write(&path, &made.bytes).with_context(|| format!("cannot write {}", path.display()))?;
        let size = made.bytes.len();
        anstream::println!("{}: {size} bytes ({} KiB)", path.display(), size.div_ceil(1024));
    }
    Ok(0)
}

/// One package, of this program.
///
/// # Errors
/// See [`run`].
pub fn make(kind: Kind, arch: &str, program: &Path) -> Result<Made> {
    let workspace = workspace();
    package(kind, &Recipe::read(workspace)?, arch, &tree(workspace, program)?, time(workspace)?)
}

/// One package with these bytes in the program's place, for the lab: a program that is built for tests is so large that
/// compressing it takes minutes.
///
/// # Errors
/// When something cannot be read or does not fit.
pub fn make_with(kind: Kind, arch: &str, program: &str) -> Result<Made> {
    let workspace = workspace();
    let tree = Tree::read(&workspace.join("openwrt/files"), program.into())?;
    package(kind, &Recipe::read(workspace)?, arch, &tree, time(workspace)?)
}

/// The programs that were built, so that sisters of a processor share one build.
struct Programs(Vec<(&'static str, PathBuf)>);

impl Programs {
    fn of(&mut self, arch: &str) -> Result<PathBuf> {
        let name = targets::find(arch).map(Target::name);
        if let Some((_, program)) = self.0.iter().find(|row| Some(row.0) == name) {
            return Ok(program.clone());
        }
        let program = build::build(arch)?;
        self.0.extend(name.map(|name| (name, program.clone())));
        Ok(program)
    }
}

/// One package.
fn package(kind: Kind, recipe: &Recipe, arch: &str, tree: &Tree, time: u64) -> Result<Made> {
    match kind {
        Kind::Ipk => ipk::write(recipe, arch, tree, time),
        Kind::Apk => apk::write(recipe, arch, tree, time),
    }
}

/// What goes onto the router with this program.
fn tree(workspace: &Path, program: &Path) -> Result<Tree> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    ensure!(bytes.starts_with(b"\x7fELF"), "{} is no program", program.display());
    let found = check::paths_of_a_builder(&bytes);
    ensure!(
        found.is_empty(),
        "{} holds paths of the machine that built it: {}",
        program.display(),
        found.join(", ")
    );
    Tree::read(&workspace.join("openwrt/files"), bytes)
}

/// The time that everything in a package bears, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the
/// checkout's last commit.
fn time(workspace: &Path) -> Result<u64> {
    if let Ok(text) = env::var("SOURCE_DATE_EPOCH") {
        return text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {text}"));
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace).stdin(Stdio::null());
    let why = match git.output() {
        Ok(out) if out.status.success() => {
            return String::from_utf8_lossy(&out.stdout).trim().parse().context("git log says no time");
        }
        Ok(out) => String::from_utf8_lossy(&out.stderr).trim().to_string(),
        Err(error) => format!("git: {error}"),
    };
    bail!(
        "the time of the last commit is not to be had ({why}): say the packages' time by SOURCE_DATE_EPOCH \
         (seconds since 1970)"
    )
}

/// Cargo's target directory.
fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()).into()
}

/// As gzip does, but smaller, and without a time.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    compress(bytes, zopfli::Format::Gzip)
}

/// A raw deflate stream.
fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    compress(bytes, zopfli::Format::Deflate)
}

fn compress(bytes: &[u8], format: zopfli::Format) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    zopfli::compress(zopfli::Options::default(), format, bytes, &mut out)?;
    Ok(out)
}
