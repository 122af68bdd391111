//! What the packages of both kinds say of the program, and the scripts that run around it. The scripts are those
//! below `openwrt/control`; they are made so that opkg and apk can both run them.

use super::tree::Tree;
use anyhow::{ensure, Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The package's name.
pub const NAME: &str = "porchlight";
/// The package's own number, for one version of the program.
pub const RELEASE: u32 = 1;
/// What else must be on the router: the file of trusted authorities. (Everything else is in the program, or is
/// asked for by its own words where it is missing.)
pub const DEPENDS: [&str; 1] = ["ca-bundle"];
/// OpenWrt's shelf.
pub const SECTION: &str = "net";
/// Who answers for it.
pub const MAINTAINER: &str = "Porchlight authors";
/// Files that an upgrade and a removal leave as their owner changed them.
pub const CONFFILES: [&str; 1] = ["etc/config/porchlight"];

/// What `Cargo.toml` says, and the scripts.
pub struct Recipe {
    /// With the release: `0.1.0-r1`; right for opkg and for apk.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// By SPDX.
    pub license: String,
    /// Where the source is.
    pub url: String,
    /// Runs after the files are there.
    pub postinst: String,
    /// Runs before they go.
    pub prerm: String,
    /// Runs after they went.
    pub postrm: String,
}

impl Recipe {
    /// Reads it from a checkout.
    ///
    /// # Errors
    /// When a file or a field is missing.
    pub fn read(workspace: &Path) -> Result<Recipe> {
        let manifest = workspace.join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let field = |name: &str| {
            field(&text, name)
                .with_context(|| format!("{}: no {name}", manifest.display()))
                .map(str::to_string)
        };
        Ok(Recipe {
            version: format!("{}-r{RELEASE}", field("version")?),
            description: field("description")?,
            license: field("license")?,
            url: field("repository")?,
            postinst: script(workspace, "postinst")?,
            prerm: script(workspace, "prerm")?,
            postrm: script(workspace, "postrm")?,
        })
    }
}

/// A quoted field of the manifest's first section.
fn field<'a>(manifest: &'a str, name: &str) -> Option<&'a str> {
    let package = manifest.split("\n[").next()?;
    let mut fields = package.lines().filter_map(|line| line.split_once('='));
    let (_, value) = fields.find(|(key, _)| key.trim() == name)?;
    value.trim().strip_prefix('"')?.strip_suffix('"')
}

/// A script of ours.
fn script(workspace: &Path, name: &str) -> Result<String> {
    let path = workspace.join("openwrt/control").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(text.starts_with("#!/bin/sh\n") && text.ends_with('\n'), "{}: no script", path.display());
    Ok(text)
}

/// The list of files, in which OpenWrt's `default_postinst` looks for services to start and defaults to set.
pub fn list(tree: &Tree) -> String {
    tree.files.iter().fold(String::new(), |mut text, file| {
        let _ = writeln!(text, "/{}", file.path);
        text
    })
}

/// The configuration files that are in the package.
pub fn conffiles(tree: &Tree) -> String {
    present(tree).fold(String::new(), |mut text, (path, _)| {
        let _ = writeln!(text, "/{path}");
        text
    })
}

/// The same with the sums by which `sysupgrade` tells whether their owner changed them.
pub fn conffile_sums(tree: &Tree) -> String {
    present(tree).fold(String::new(), |mut text, (path, contents)| {
        let _ = writeln!(text, "/{path} {}", hex(&Sha256::digest(contents)));
        text
    })
}

fn present(tree: &Tree) -> impl Iterator<Item = (&'static str, &[u8])> {
    CONFFILES.into_iter().filter_map(|path| Some((path, tree.contents(path)?)))
}

/// Bytes as people read them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tools::workspace;

    #[test]
    fn the_manifest_is_read() {
        let text =
            "[package]\nname = \"x\"\nversion = \"1.2.3\"\n\n[dependencies]\ndescription = \"not this\"\n";
        assert_eq!(field(text, "version"), Some("1.2.3"));
        assert_eq!(field(text, "description"), None);
    }

    #[test]
    fn this_checkout_is_whole() {
        let recipe = Recipe::read(workspace()).unwrap();
        assert!(recipe.version.ends_with("-r1") && recipe.version.starts_with(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn a_list_and_sums() {
        let tree = Tree::new(vec![("etc/config/porchlight".into(), b"abc".to_vec())]).unwrap();
        assert_eq!(list(&tree), "/etc/config/porchlight\n");
        assert_eq!(conffiles(&tree), "/etc/config/porchlight\n");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(conffile_sums(&tree), format!("/etc/config/porchlight {sum}\n"));
    }
}
