//! The processors that we build for: one row for each program that differs. Names are OpenWrt's, as
//! `DISTRIB_ARCH` in a router's /etc/openwrt_release says them and as the package's file name carries them.

/// A processor, or several that run the same bytes.
#[derive(Debug)]
pub struct Target {
    /// OpenWrt's names. The first names the folder of the program; the others are its sisters.
    pub names: &'static [&'static str],
    /// As rustc calls it.
    pub rust: &'static str,
    /// More flags for rustc.
    pub rust_flags: &'static str,
    /// As zig calls it.
    pub zig: &'static str,
    /// The model, as zig calls it: the oldest one that is to run the program.
    pub cpu: &'static str,
    /// More flags for C.
    pub c_flags: &'static str,
    /// More flags for the linker.
    pub link_flags: &'static str,
    /// The program of qemu that runs it (Debian adds `-static` to its name).
    pub qemu: &'static str,
    /// The model that qemu is to be: the least of those that are to run the program.
    pub qemu_cpu: &'static str,
}

impl Target {
    /// The name of the folder.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or(self.rust)
    }

    /// True for a processor of MIPS.
    #[must_use]
    pub fn is_mips(&self) -> bool {
        self.rust.starts_with("mips")
    }

    /// True for 32 bits with the highest byte first.
    #[must_use]
    pub fn is_big(&self) -> bool {
        self.rust.starts_with("mips-")
    }
}

/// C code of MIPS calls and loads directly, without a table of addresses: the program lies at a fixed place.
const MIPS_C: &str = "-mno-abicalls";

/// The two calls that `time.c` sets right.
const MIPS_BIG_LINK: &str = "--wrap=__clock_gettime64 --wrap=__timerfd_settime64 time.o";

/// What LLVM leaves for size on MIPS, unlike on other processors; docs/size.md has what each is worth. After a jump one
/// more instruction is carried out: where nothing before it fits there, it is looked for behind it and at its target as
/// well. A call at a function's end is a jump. Equal ends of branches are one. What does not fit into registers comes and
/// goes by the shorter way, and nothing is fetched ahead of a loop or of a branch, to be kept on the stack until then.
/// LLVM itself merges ends only where no branch may need `$at` to reach far: so it is in a program at a fixed place, as
/// ours (`relocation-model=static`); in any other the switch would have to go.
const MIPS_RUST: &str = "-Cllvm-args=-disable-mips-df-forward-search=false \
    -Cllvm-args=-disable-mips-df-succbb-search=false -Cllvm-args=-mips-tail-calls=true \
    -Cllvm-args=-enable-tail-merge=true -Cllvm-args=-tail-merge-size=1 -Cllvm-args=-split-spill-mode=size \
    -Cllvm-args=-disable-machine-licm -Cllvm-args=-disable-machine-sink -Cllvm-args=-enable-pre=false \
    -Cllvm-args=-disable-phi-elim-edge-splitting -Cllvm-args=-min-jump-table-entries=12";

/// All rows, those that most routers have first.
pub const TARGETS: [Target; 7] = [
    Target {
        names: &["mips_24kc"],
        rust: "mips-unknown-linux-musl",
        rust_flags: MIPS_RUST,
        zig: "mips-linux-musleabi",
        cpu: "mips32r2+soft_float",
        c_flags: MIPS_C,
        link_flags: MIPS_BIG_LINK,
        qemu: "qemu-mips",
        qemu_cpu: "24Kc",
    },
    // The 74Kc runs what the 24Kc runs.
    Target {
        names: &["mipsel_24kc", "mipsel_74kc"],
        rust: "mipsel-unknown-linux-musl",
        rust_flags: MIPS_RUST,
        zig: "mipsel-linux-musleabi",
        cpu: "mips32r2+soft_float",
        c_flags: MIPS_C,
        link_flags: "",
        qemu: "qemu-mipsel",
        qemu_cpu: "24Kc",
    },
    // ARMv7 without floating point, which we hardly use: what the sisters have of VFP and NEON beside it does not
    // matter, and a static program shares no calls with anybody. The TLS library looks for NEON when it runs. All of
    // them have Thumb-2, which is smaller.
    Target {
        names: &[
            "arm_cortex-a7_neon-vfpv4",
            "arm_cortex-a5_vfpv4",
            "arm_cortex-a7",
            "arm_cortex-a7_vfpv4",
            "arm_cortex-a8_vfpv3",
            "arm_cortex-a9",
            "arm_cortex-a9_neon",
            "arm_cortex-a9_vfpv3-d16",
            "arm_cortex-a15_neon-vfpv4",
        ],
        rust: "armv7-unknown-linux-musleabi",
        rust_flags: "-Ctarget-feature=+thumb-mode",
        zig: "arm-linux-musleabi",
        cpu: "generic+v7a",
        c_flags: "-mthumb",
        link_flags: "",
        qemu: "qemu-arm",
        qemu_cpu: "cortex-a9",
    },
    Target {
        names: &["aarch64_generic", "aarch64_cortex-a53", "aarch64_cortex-a72", "aarch64_cortex-a76"],
        rust: "aarch64-unknown-linux-musl",
        rust_flags: "",
        zig: "aarch64-linux-musl",
        cpu: "generic",
        c_flags: "",
        link_flags: "",
        qemu: "qemu-aarch64",
        qemu_cpu: "cortex-a53",
    },
    Target {
        names: &["x86_64"],
        rust: "x86_64-unknown-linux-musl",
        rust_flags: "",
        zig: "x86_64-linux-musl",
        cpu: "baseline",
        c_flags: "",
        link_flags: "",
        qemu: "qemu-x86_64",
        qemu_cpu: "qemu64",
    },
    Target {
        names: &["arm_arm926ej-s"],
        rust: "armv5te-unknown-linux-musleabi",
        rust_flags: "",
        zig: "arm-linux-musleabi",
        cpu: "arm926ej_s",
        c_flags: "",
        link_flags: "",
        qemu: "qemu-arm",
        qemu_cpu: "arm926",
    },
    // OpenWrt called it riscv64_riscv64 until 24.10, and riscv64_generic since.
    Target {
        names: &["riscv64_riscv64", "riscv64_generic"],
        rust: "riscv64gc-unknown-linux-musl",
        rust_flags: "",
        zig: "riscv64-linux-musl",
        cpu: "baseline_rv64",
        c_flags: "",
        link_flags: "",
        qemu: "qemu-riscv64",
        qemu_cpu: "rv64",
    },
];

/// The row of a name: OpenWrt's.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::{find, TARGETS};

    #[test]
    fn a_name_stands_in_one_row() {
        let names: Vec<_> = TARGETS.iter().flat_map(|target| target.names).collect();
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
        assert_eq!(find("arm_cortex-a9").map(|target| target.name()), Some("arm_cortex-a7_neon-vfpv4"));
        assert!(find("vax").is_none());
    }
}
