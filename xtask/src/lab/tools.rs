//! What the lab needs of the machine: finds it, installs it where it may, or says the line to type.

use super::stream;
use anyhow::{bail, ensure, Context, Result};
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::{env, fs};

/// Programs, and the Debian package of each.
pub const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("named", "bind9"),
    ("nsupdate", "bind9-dnsutils"),
    ("dig", "bind9-dnsutils"),
    ("knotd", "knot"),
    ("pdns_server", "pdns-server"),
    (super::powerdns::SCHEMA, "pdns-backend-sqlite3"),
    ("sqlite3", "sqlite3"),
    ("python3", "python3"),
    ("dnsmasq", "dnsmasq-base"),
    ("busybox", "busybox"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("faketime", "faketime"),
    ("conntrack", "conntrack"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
    ("qemu-mips-static", "qemu-user-static"),
    ("qemu-system-mipsel", "qemu-system-mips"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("shellcheck", "shellcheck"),
    ("inadyn", "inadyn"),
    ("ddclient", "ddclient"),
    (PERL_TLS, "libio-socket-ssl-perl"),
    ("ffprobe", "ffmpeg"),
    (stream::PYTHON_GI, "python3-gi"),
    (stream::GST_RTSP_SERVER, "gir1.2-gst-rtsp-server-1.0"),
    (stream::GST_TEST_PICTURE, "gstreamer1.0-plugins-base"),
    (stream::GST_RTP, "gstreamer1.0-plugins-good"),
    ("ustreamer", "ustreamer"),
    ("miniupnpd", "miniupnpd-nftables"),
    ("upnpc", "miniupnpc"),
    ("natpmpc", "natpmpc"),
    ("script", "bsdutils"),
    (PROMETHEUS_PARSER, "python3-prometheus-client"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("dbclient", "dropbear-bin"),
    ("dropbearconvert", "dropbear-bin"),
];

/// No program, but found like one: Prometheus' own reader of its text format, for Debian's Python.
pub const PROMETHEUS_PARSER: &str = "../lib/python3/dist-packages/prometheus_client/parser.py";

/// No program, but found like one beside /usr/bin: the module without which ddclient has no HTTPS.
pub const PERL_TLS: &str = "../share/perl5/IO/Socket/SSL.pm";

/// What every lab needs.
pub const BASE: &[&str] = &["ip", "nft"];

/// Directories of administrators' programs, which are not in everybody's PATH.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Adds the administrators' directories to our PATH, for us and for what we start. Call it first.
pub fn extend_path() {
    let old = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&old).chain(SBIN.map(PathBuf::from));
    if let Ok(path) = env::join_paths(dirs) {
        env::set_var("PATH", path);
    }
}

/// The file of a program, by PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Those of these programs that are not here. BusyBox's `ip` knows no namespaces and does not count.
pub fn missing(programs: &[&'static str]) -> Vec<&'static str> {
    let here = |name: &str| find(name).is_some() && (name != "ip" || is_iproute2());
    programs.iter().copied().filter(|name| !here(name)).collect()
}

fn is_iproute2() -> bool {
    let said = Command::new("ip").arg("-V").stderr(Stdio::null()).output();
    said.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("iproute2"))
}

/// Makes sure that these programs are here. What is not is installed as root on Debian or a relative,
/// after saying so, if `may_install`; else the error holds the line to type.
pub fn require(programs: &[&'static str], may_install: bool) -> Result<()> {
    let lacking = missing(programs);
    if lacking.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> =
        TOOLS.iter().filter(|(name, _)| lacking.contains(name)).map(|row| row.1).collect();
    require_packages(&lacking.join(", "), &packages, may_install)?;
    let still = missing(programs);
    ensure!(still.is_empty(), "installed {}, yet {} is not there", packages.join(" "), still.join(", "));
    Ok(())
}

/// Installs packages for `what` is lacking, as root on Debian or a relative, after saying so, if `may_install`;
/// else the error holds the line to type.
pub fn require_packages(what: &str, packages: &[&str], may_install: bool) -> Result<()> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = line_to_type(&system, packages);
    if !may_install || !geteuid().is_root() || !is_like(&system, "debian") {
        bail!("this machine lacks {what}. Install it with: {line}");
    }
    anstream::eprintln!("This machine lacks {what}: installing {}.", packages.join(", "));
    install(packages).with_context(|| format!("could not install what is missing; try: {line}"))
}

fn install(packages: &[&str]) -> Result<()> {
    // A fresh machine has no package lists, an old one stale ones, by which it would install what is too old.
    static UPDATED: Once = Once::new();
    UPDATED.call_once(|| {
        if let Err(error) = apt(&["update", "-q"]) {
            anstream::eprintln!("{error:#}: going on with the package lists that are here");
        }
    });
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}

fn apt(args: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Servers are installed for the lab alone: none may start on the machine itself.
        .env("SYSTEMD_OFFLINE", "1")
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("cannot run apt-get")?;
    ensure!(status.success(), "apt-get {} failed", args.join(" "));
    Ok(())
}

/// Installs packages of Python's index into a directory of their own, after saying so, if `may_install`; else the
/// error holds the line to type. What was there is taken away.
pub fn pip(dir: &Path, packages: &[&str], may_install: bool) -> Result<()> {
    let wanted = packages.join(" ");
    let line = format!("python3 -m pip install --target {} {wanted}", dir.display());
    if !may_install {
        bail!("this machine lacks {wanted}. Install it with: {line}");
    }
    let mut has_pip = Command::new("python3");
    has_pip.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !has_pip.status().is_ok_and(|status| status.success()) {
        require_packages("Python's pip", &["python3-pip"], true)?;
    }
    anstream::eprintln!("This machine lacks {wanted}: installing it into {}.", dir.display());
    let _ = fs::remove_dir_all(dir);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(dir);
    pip.args(packages).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = pip.status().context("cannot run python3")?;
    ensure!(status.success(), "could not install {wanted}; try: {line}");
    Ok(())
}

/// Whether an os-release text says that the system is this one or descends from it.
fn is_like(os_release: &str, family: &str) -> bool {
    os_release.lines().any(|line| {
        let Some((key, value)) = line.split_once('=') else { return false };
        matches!(key, "ID" | "ID_LIKE") && value.trim_matches('"').split(' ').any(|word| word == family)
    })
}

fn line_to_type(os_release: &str, packages: &[&str]) -> String {
    let known = [
        ("debian", "apt-get install -y"),
        ("fedora", "dnf install -y"),
        ("alpine", "apk add"),
        ("arch", "pacman -S --needed"),
        ("suse", "zypper install"),
    ];
    let found = known.iter().find(|(family, _)| is_like(os_release, family));
    let install = found.map_or("your package manager:", |row| row.1);
    let sudo = if geteuid().is_root() { "" } else { "sudo " };
    format!("{sudo}{install} {}", packages.join(" "))
}

/// Builds the agent with cargo, which shows its progress, and returns the program's file.
pub fn build_agent(release: bool) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--package", "porchlight", "--bin", "porchlight"]);
    command.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    if release {
        command.arg("--release");
    }
    let done = command.output().context("cannot run cargo")?;
    ensure!(done.status.success(), "the build failed");
    let text = String::from_utf8_lossy(&done.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs =
        messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    programs.next_back().context("cargo built no program")
}

/// The workspace's root.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's target directory, absolute.
pub fn target_dir() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UBUNTU: &str = "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nHOME_URL=\"x\"\n";
    const ROCKY: &str = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";

    #[test]
    fn relatives_are_known_by_os_release() {
        assert!(is_like(UBUNTU, "debian") && is_like(ROCKY, "fedora"));
        assert!(!is_like(ROCKY, "debian") && !is_like("PRETTY_NAME=debian\n", "debian"));
    }

    #[test]
    fn the_line_to_type_fits_the_system() {
        assert!(
            line_to_type(UBUNTU, &["iproute2", "nftables"]).ends_with("apt-get install -y iproute2 nftables")
        );
        assert!(line_to_type(ROCKY, &["nftables"]).ends_with("dnf install -y nftables"));
    }
}
