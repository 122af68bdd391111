//! The router's file system as OpenWrt has it, to change root into: our scripts, the real program, busybox with the
//! applets of OpenWrt's default image and nothing else, and stand-ins for what is OpenWrt's own.

use crate::lab::process::{self, Finished};
use crate::lab::{tools, Lab};
use anyhow::{ensure, Context, Result};
use nix::mount::{mount, MsFlags};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::Duration;

/// The applets of OpenWrt's busybox by its `Config-defaults.in`; later images have more, never fewer.
const APPLETS: &str = include_str!("applets");
/// Those of OpenWrt's own making, which no other busybox has; no script of ours uses them.
const OWN_APPLETS: [&str; 2] = ["lock", "netmsg"];
/// Stand-ins, with where they lie.
const STAND_INS: [(&str, &str); 5] = [
    ("etc/rc.common", include_str!("rc.common")),
    ("lib/functions.sh", include_str!("functions.sh")),
    ("bin/ubus", include_str!("noted")),
    ("etc/init.d/cron", include_str!("noted")),
    ("etc/init.d/dnsmasq", include_str!("noted")),
];
/// The only directories that a script may find programs in.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// A script that takes longer hangs. A stop waits for the daemon.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the package's files lie in this repository.
pub fn package() -> PathBuf {
    tools::workspace().join("openwrt")
}

/// The file system, and what was written to its log.
pub struct Room<'a> {
    lab: &'a Lab,
    log: Receiver<String>,
}

impl<'a> Room<'a> {
    /// Makes it of the lab's root, with what the package puts there.
    pub fn make(lab: &'a Lab) -> Result<Room<'a>> {
        let room = Room::bare(lab)?;
        copy(&package().join("files"), &lab.root)?;
        for script in ["postinst", "prerm", "postrm"] {
            install(&fs::read(package().join("control").join(script))?, &lab.root.join("tmp").join(script))?;
        }
        fs::copy(&lab.program, lab.root.join("usr/sbin/porchlight"))?;
        Ok(room)
    }

    /// The same without the package.
    pub fn bare(lab: &'a Lab) -> Result<Room<'a>> {
        let root = &lab.root;
        for dir in
            ["bin", "sbin", "dev", "proc", "lib", "lib64", "usr/bin", "usr/sbin", "usr/lib", "etc/init.d"]
        {
            fs::create_dir_all(root.join(dir))?;
        }
        for (path, text) in STAND_INS {
            install(text.as_bytes(), &root.join(path))?;
        }
        let find = |name: &str| tools::find(name).with_context(|| format!("there is no {name}"));
        fs::copy(find("busybox")?, root.join("bin/busybox"))?;
        fs::copy(find("nft")?, root.join("usr/sbin/nft"))?;
        for applet in APPLETS.split_whitespace().filter(|name| !OWN_APPLETS.contains(name)) {
            symlink("/bin/busybox", root.join("bin").join(applet))?;
        }
        // The programs of this machine need its C library, wherever their loader is looked for.
        bind(Path::new("/usr/lib"), &root.join("usr/lib"))?;
        bind(Path::new("/proc"), &root.join("proc"))?;
        for dir in ["lib", "lib64"] {
            for entry in fs::read_dir(Path::new("/").join(dir)).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().starts_with("ld-") {
                    fs::copy(entry.path(), root.join(dir).join(name))?;
                }
            }
        }
        fs::write(root.join("dev/null"), "")?;
        bind(Path::new("/dev/null"), &root.join("dev/null"))?;
        let log = listen(&root.join("dev/log"))?;
        Ok(Room { lab, log })
    }

    /// Runs a line of shell in there, in the router, with these variables; its status must be 0.
    pub fn sh(&self, line: &str, env: &[(&str, &str)]) -> Result<String> {
        self.run(line, env)?.success()
    }

    /// The same, whatever its status.
    pub fn run(&self, line: &str, env: &[(&str, &str)]) -> Result<Finished> {
        let mut command = self.command();
        command.args(["/bin/sh", "-c", line]).envs(env.iter().copied());
        self.lab.router.enter(|| process::run(&mut command, None, LIMIT))
    }

    /// `chroot ROOT`, ready for a program.
    pub fn command(&self) -> Command {
        let mut command = Command::new(tools::find("chroot").unwrap_or_else(|| "chroot".into()));
        command.arg(&self.lab.root).env_clear().env("PATH", PATH).stdin(Stdio::null());
        command
    }

    /// `/etc/init.d/porchlight ACTION`, and what it told procd.
    pub fn init(&self, action: &str) -> Result<String> {
        self.take("procd");
        self.sh(&format!("/etc/init.d/porchlight {action}"), &[])?;
        Ok(self.take("procd"))
    }

    /// What a stand-in noted in `/tmp` since it was asked last.
    pub fn take(&self, name: &str) -> String {
        let path = self.lab.root.join("tmp").join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text
    }

    /// The lines that went to the system's log since it was asked last.
    pub fn logged(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Writes a program.
pub fn install(text: &[u8], path: &Path) -> Result<()> {
    fs::File::create(path)?.write_all(text)?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).context("cannot make it executable")
}

/// Makes a file or directory of this machine to be seen in there as well.
pub fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("cannot mount {} at {}", from.display(), to.display()))
}

/// Listens as the system's log does.
fn listen(path: &Path) -> Result<Receiver<String>> {
    let socket = UnixDatagram::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
    let (tx, rx) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length) = socket.recv(&mut buffer) {
            if tx.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    ensure!(path.exists(), "no log");
    Ok(rx)
}
