//! Porchlight's development tasks: `cargo demo`, `cargo xtask test`, `cargo xtask build`, `cargo xtask ipk`,
//! `cargo xtask apk`, `cargo xtask bench`, `cargo xtask peers`, `cargo xtask readme`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use xtask::package::{self, Kind};
use xtask::{bench, build, demo, lab, peers, readme, test};

/// Development tasks of Porchlight.
#[derive(Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show the whole story on this machine: an address changes, and the camera is still there by name
    Demo(demo::Options),
    /// Run everything: format, lints, house rules, unit tests, and the scenarios in the lab
    Test(test::Options),
    /// Build the program for a router: one static file, as small as can be
    Build(build::Options),
    /// Write packages for OpenWrt up to 24.10 (opkg), from programs that are built if need be
    Ipk(package::Options),
    /// Write packages for OpenWrt from 25.12 on (apk); nobody signs them
    Apk(package::Options),
    /// Measure beside inadyn and ddclient, in one table (bench --help tells more)
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What inadyn and ddclient send, from a sealed room: record | check
    Peers {
        /// record: write it anew into tests/provider/peers; check: only say which files would change
        #[arg(value_name = "record|check")]
        args: Vec<String>,
    },
    /// Write the tables of the READMEs and of docs/ from the code's
    Readme,
    /// The bench's sealed part
    #[command(name = bench::SEALED, hide = true)]
    SealedBench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The recorder's sealed part
    #[command(name = peers::SEALED, hide = true)]
    SealedPeers { args: Vec<String> },
    /// The demo's sealed part
    #[command(name = "__demo", hide = true)]
    SealedDemo {
        #[arg(long)]
        program: PathBuf,
    },
    /// One scenario's sealed part
    #[command(name = "__scenario", hide = true)]
    SealedScenario {
        name: String,
        #[arg(long)]
        program: PathBuf,
    },
    /// What the stand-ins of OpenWrt's programs run
    #[command(name = lab::openwrt::CLIENT, hide = true)]
    Openwrt {
        #[arg(long)]
        socket: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Holds the sealed part
    #[command(name = lab::seal::HOLD, hide = true)]
    Seal {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    lab::tools::extend_path();
    let code = run(Args::parse().task).unwrap_or_else(|error| {
        anstream::eprintln!("error: {error:#}");
        1
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Does one task; the value is the exit status.
fn run(task: Task) -> Result<i32> {
    match task {
        Task::Demo(options) => demo::run(&options),
        Task::Build(options) => build::run(&options),
        Task::Ipk(options) => package::run(Kind::Ipk, &options),
        Task::Apk(options) => package::run(Kind::Apk, &options),
        Task::Bench { args } => bench::main(&args),
        Task::Peers { args } => peers::main(&args),
        Task::Readme => readme::run(),
        Task::Test(options) => test::run(&options),
        Task::SealedBench { args } => bench::sealed(&args),
        Task::SealedPeers { args } => peers::sealed(&args),
        Task::SealedDemo { program } => demo::sealed(&program),
        Task::SealedScenario { name, program } => test::sealed(&name, &program),
        Task::Openwrt { socket, args } => lab::openwrt::client(&socket, &args),
        Task::Seal { args } => lab::seal::hold(&args),
    }
}
