//! Debian's own kernel, busybox and nft for another processor: fetched with apt against lists of their own and
//! unpacked below cargo's target directory. Nothing is installed on this machine.

use crate::lab::{process, skip};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Debian 12: the last release with 32-bit MIPS.
const SUITE: &str = "bookworm";
/// Whose signatures count.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Programs for the guest, with the libraries that they need.
const PROGRAMS: [&str; 2] = ["busybox-static", "nftables"];
/// The parts of the packages that are unpacked.
const PARTS: [&str; 5] = ["./boot/vmlinuz-*", "./lib/modules/*", "./bin/*", "./usr/sbin/nft", "./*lib/*.so*"];
/// Parts of these parts that no guest needs: most of a kernel's modules.
const NOT: [&str; 6] = [
    "*/kernel/sound/*",
    "*/kernel/fs/*",
    "*/kernel/drivers/[!nv]*",
    "*/gconv/*",
    "*/drivers/net/wireless/*",
    "*/drivers/media/*",
];
/// Time for the package lists, and for the packages.
const FETCH_LIMIT: Duration = Duration::from_secs(240);
/// Time for unpacking one package.
const UNPACK_LIMIT: Duration = Duration::from_secs(60);
/// Written last: what lies beside it is whole.
const DONE: &str = "done";

/// Fetches and unpacks what a guest needs into `dir`, if it is not there already, and returns where it lies.
///
/// # Errors
/// When this machine has no apt of Debian (as [`crate::lab::Skipped`]), or the archive cannot be reached.
pub fn fetch(dir: &Path, architecture: &str, kernel: &str) -> Result<PathBuf> {
    let root = dir.join("root");
    if root.join(DONE).is_file() {
        return Ok(root);
    }
    let apt = Apt::new(&dir.join("apt"), architecture)?;
    anstream::eprintln!(
        "Fetching Debian's kernel and busybox for {architecture} ({kernel}); nothing is installed."
    );
    apt.run("apt-get", &["update", "-q"])?;
    // The package of this name only names the newest kernel.
    let told = apt.run("apt-cache", &["depends", "--no-recommends", kernel])?;
    let mut newest = told.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let newest = newest.rfind(|name| name.starts_with("linux-image-"));
    let newest = newest.with_context(|| format!("{kernel} names no kernel:\n{told}"))?;
    apt.run("apt-get", &[&["install", "-q", "-y", "--download-only"], PROGRAMS.as_slice()].concat())?;
    apt.download(newest)?;
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root)?;
    for package in apt.packages()? {
        unpack(&package, &root)?;
    }
    fs::write(root.join(DONE), "")?;
    Ok(root)
}

/// An apt with a configuration, lists and a cache of its own, for another architecture.
struct Apt {
    dir: PathBuf,
}

impl Apt {
    fn new(dir: &Path, architecture: &str) -> Result<Apt> {
        if !Path::new(KEYRING).is_file() {
            return skip(
                "kernels for other processors come from Debian's archive, whose keys this machine lacks",
            );
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part))?;
        }
        let mirror = mirror()?;
        fs::write(dir.join("sources"), format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"))?;
        fs::write(dir.join("status"), "")?;
        let at = dir.display();
        let text = format!(
            "Dir::State::Lists \"{at}/lists\";
Dir::State::status \"{at}/status\";
Dir::Cache \"{at}/cache\";
Dir::Etc::SourceList \"{at}/sources\";
Dir::Etc::SourceParts \"/dev/null\";
APT::Architecture \"{architecture}\";
APT::Architectures \"{architecture}\";
APT::Install-Recommends \"false\";
APT::Sandbox::User \"\";
Acquire::Languages \"none\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
Acquire::Retries \"2\";
"
        );
        fs::write(dir.join("apt.conf"), text)?;
        Ok(Apt { dir: dir.into() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf")).env("DEBIAN_FRONTEND", "noninteractive");
        command.env("LC_ALL", "C");
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        process::run(self.command(program).args(args), None, FETCH_LIMIT)?.success()
    }

    /// Fetches one package without those that it depends on.
    fn download(&self, package: &str) -> Result<()> {
        let mut command = self.command("apt-get");
        command.current_dir(self.dir.join("cache/archives")).args(["-q", "download", package]);
        process::run(&mut command, None, FETCH_LIMIT)?.success().map(drop)
    }

    /// The packages that were fetched.
    fn packages(&self) -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(self.dir.join("cache/archives"))?;
        let files: std::io::Result<Vec<PathBuf>> = files.map(|entry| Ok(entry?.path())).collect();
        Ok(files?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "deb")).collect())
    }
}

/// The archive that this machine itself uses.
fn mirror() -> Result<String> {
    let format = ["--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"];
    let told = Command::new("apt-get").arg("indextargets").args(format).stdin(Stdio::null()).output();
    let told = told.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let found = told.lines().find_map(|line| line.trim_end().strip_suffix(&format!(" {SUITE}")));
    match found {
        Some(uri) => Ok(uri.to_owned()),
        None => skip(format!(
            "kernels for other processors come from Debian's archive ({SUITE}), which apt here does not use"
        )),
    }
}

/// Unpacks the parts of a package that a guest needs.
fn unpack(package: &Path, root: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb");
    let mut archive = archive.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let pipe = archive.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(root).args(["--no-same-owner", "--wildcards", "--wildcards-match-slash"]);
    tar.args(NOT.map(|part| format!("--exclude={part}"))).args(PARTS).stdin(pipe).stderr(Stdio::null());
    let mut tar = tar.spawn().context("cannot run tar")?;
    // tar fails where one of the parts is in none of the package's files: most packages have one of them.
    let what = format!("{} is unpacked", package.display());
    process::until(&what, UNPACK_LIMIT, || tar.try_wait().transpose())??;
    let status = archive.wait()?;
    ensure!(status.success(), "cannot unpack {}", package.display());
    Ok(())
}
