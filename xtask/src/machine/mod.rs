//! Emulated routers: qemu boots Debian's own kernel for MIPS and for ARM, with a file system of busybox and what
//! our package installs. What is proven there is proven on that processor, with a real kernel: signals, timers,
//! netlink, the packet filter, a clock that can be wrong.
//!
//! ```text
//!  the lab's internet (this machine)              the guest (10 s from its start)
//!  198.51.100.53  BIND       qemu's own network   eth0  203.0.113.10 by udhcpc, later .11 and .12
//!  198.51.100.80  nginx  ──  203.0.113.1 gateway  lan0  192.168.1.1
//!  198.51.100.7   a viewer   203.0.113.3 DNS      a namespace: the camera, 192.168.1.20
//! ```

mod cpio;
pub mod debian;
pub mod guest;
pub mod image;
pub mod story;

use crate::build;
use crate::emulated::{self, EMULATED};
use crate::lab::tools::target_dir;
use crate::package::{self, Kind};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::{env, fs};

/// A board that qemu emulates.
pub struct Machine {
    /// The scenario's name.
    pub name: &'static str,
    /// The processor, as `cargo xtask build` calls it.
    pub processor: &'static str,
    /// Debian's name of the architecture.
    pub debian: &'static str,
    /// Debian's package that names the newest kernel.
    pub kernel: &'static str,
    /// The program.
    pub qemu: &'static str,
    /// The board, its processor and its network card, for qemu; the card's peer is `n`.
    pub board: &'static [&'static str],
    /// The kernel's name of the first serial port.
    pub console: &'static str,
    /// Modules for the network card.
    pub modules: &'static [&'static str],
}

/// The boards.
pub const MACHINES: [Machine; 2] = [
    Machine {
        name: "machine-mips",
        processor: "mipsel_24kc",
        debian: "mipsel",
        kernel: "linux-image-4kc-malta",
        qemu: "qemu-system-mipsel",
        // Without these two it looks for files of a graphics card and of a network card's start-up code.
        board: &["-M", "malta", "-cpu", "24Kc", "-vga", "none", "-device", "pcnet,netdev=n,romfile="],
        console: "ttyS0",
        modules: &["mii", "pcnet32"],
    },
    Machine {
        name: "machine-arm",
        processor: "arm_cortex-a7_neon-vfpv4",
        debian: "armhf",
        kernel: "linux-image-armmp",
        qemu: "qemu-system-arm",
        board: &["-M", "virt", "-cpu", "cortex-a7", "-device", "virtio-net-device,netdev=n"],
        console: "ttyAMA0",
        modules: &["virtio_mmio", "virtio_net"],
    },
];

/// Does what a scenario needs from outside before it is sealed off: builds the program for the processor, packs it as an
/// ipk, and fetches the guest's kernel. Nothing, for a scenario that is none of ours.
///
/// # Errors
/// When something cannot be built or fetched; as [`crate::lab::Skipped`] where this machine cannot have it.
pub fn prepare(scenario: &str) -> Result<()> {
    if scenario == EMULATED.name {
        return emulated::prepare();
    }
    let Some(machine) = MACHINES.iter().find(|machine| machine.name == scenario) else { return Ok(()) };
    build_program(machine.processor)?;
    let package = package::make(Kind::Ipk, machine.processor, &program(machine.processor))?;
    fs::create_dir_all(dir(machine))?;
    fs::write(package_file(machine), package.bytes).context("cannot write the package")?;
    debian::fetch(&dir(machine), machine.debian, machine.kernel).map(drop)
}

/// Where the package for a machine lies.
fn package_file(machine: &Machine) -> PathBuf {
    dir(machine).join("porchlight.ipk")
}

/// Where a machine's kernel lies.
fn dir(machine: &Machine) -> PathBuf {
    target_dir().join("machine").join(machine.debian)
}

/// The environment may name a directory with programs that are built already, a folder for each processor.
const BUILT: &str = "PORCHLIGHT_BUILT";

/// The program for a processor, which [`build_program`] has built.
pub fn program(processor: &str) -> PathBuf {
    let built = env::var_os(BUILT).map(PathBuf::from).map(|dir| dir.join(processor).join("porchlight"));
    let built = built.filter(|program| program.is_file());
    built.unwrap_or_else(|| target_dir().join("router").join(processor).join("porchlight"))
}

/// Builds it, unless the environment names one.
///
/// # Errors
/// See [`build::build`].
pub fn build_program(processor: &str) -> Result<()> {
    let given = env::var_os(BUILT).is_some_and(|dir| program(processor).starts_with(dir));
    if !given {
        build::build(processor).with_context(|| format!("no program for {processor}"))?;
    }
    Ok(())
}
