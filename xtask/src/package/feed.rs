//! `openwrt/Makefile`, by which OpenWrt's build system makes the package, against what we make ourselves.

use super::recipe::{Recipe, CONFFILES, DEPENDS, MAINTAINER, RELEASE};
use super::tree::Tree;
use crate::lab::tools::workspace;
use std::fs;

/// Behind it are our own lines of a script that calls OpenWrt's function itself.
const OWN: &str = "[ -z \"$IPKG_INSTROOT\" ] || exit \"$ret\"\n\n";
/// And before it.
const END: &str = "exit \"$ret\"\n";
/// What stands in front of them where OpenWrt's build system calls its function.
const FRONT: &str = "#!/bin/sh\n[ -z \"$IPKG_INSTROOT\" ] || exit 0\n";

fn makefile() -> String {
    fs::read_to_string(workspace().join("openwrt/Makefile")).unwrap()
}

/// The text of a definition, as make has it.
fn definition(makefile: &str, name: &str) -> String {
    let start = format!("define Package/porchlight/{name}\n");
    let (_, text) = makefile.split_once(&start).unwrap_or_else(|| panic!("no {name}"));
    let (text, _) = text.split_once("endef\n").unwrap();
    text.replace("$$", "$")
}

/// Our own lines of a script.
fn own(script: &str) -> &str {
    let (_, text) = script.split_once(OWN).unwrap();
    text.strip_suffix(END).unwrap()
}

#[test]
fn the_scripts_are_the_same() {
    let (makefile, recipe) = (makefile(), Recipe::read(workspace()).unwrap());
    let postinst = format!("{FRONT}{}exit 0\n", own(&recipe.postinst));
    assert_eq!(definition(&makefile, "postinst"), postinst);
    // opkg runs these lines before it stops the service, and a mapping is closed only after that.
    let stop = "[ \"$PKG_UPGRADE\" = 1 ] || /etc/init.d/porchlight stop\n";
    assert_eq!(definition(&makefile, "prerm"), format!("{FRONT}{stop}{}exit 0\n", own(&recipe.prerm)));
    assert_eq!(definition(&makefile, "postrm"), recipe.postrm);
}

#[test]
fn the_fields_are_the_same() {
    let (makefile, recipe) = (makefile(), Recipe::read(workspace()).unwrap());
    let version = recipe.version.trim_end_matches(&format!("-r{RELEASE}"));
    for line in [
        format!("PKG_VERSION:={version}"),
        format!("PKG_RELEASE:={RELEASE}"),
        format!("PKG_MAINTAINER:={MAINTAINER}"),
        format!("PKG_LICENSE:={}", recipe.license),
        format!("  URL:={}", recipe.url),
        format!("  DEPENDS:=$(RUST_ARCH_DEPENDS) {}", DEPENDS.map(|name| format!("+{name}")).join(" ")),
    ] {
        assert!(makefile.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(definition(&makefile, "description").trim(), recipe.description);
    assert_eq!(definition(&makefile, "conffiles"), CONFFILES.map(|path| format!("/{path}\n")).concat());
}

#[test]
fn the_modes_are_the_same() {
    let install = definition(&makefile(), "install");
    let tree = Tree::read(&workspace().join("openwrt/files"), Vec::new()).unwrap();
    let said = |mode: &str, path: &str| {
        let start = format!("\tchmod {mode} ");
        let path = format!("$(1)/{path}");
        install
            .lines()
            .filter(|line| line.starts_with(&start))
            .any(|line| line.split(' ').any(|it| it == path))
    };
    for file in
        tree.files.iter().filter(|file| file.path.starts_with("etc/") || file.path.starts_with("lib/"))
    {
        let mode = format!("{:04o}", file.mode);
        assert_eq!(said(&mode, &file.path), file.mode != 0o644, "{} {mode}", file.path);
    }
    let elsewhere: Vec<_> = tree
        .files
        .iter()
        .filter(|it| !["etc/", "lib/", "usr/sbin/porchlight"].iter().any(|p| it.path.starts_with(p)))
        .collect();
    assert!(elsewhere.is_empty(), "the Makefile sets modes below etc and lib only");
    assert!(install.contains("\tmkdir -m 0700 $(1)/etc/porchlight\n"));
}

#[test]
fn sysupgrade_keeps_the_configuration_and_the_tokens() {
    let keep = fs::read_to_string(workspace().join("openwrt/files/lib/upgrade/keep.d/porchlight")).unwrap();
    assert_eq!(keep, "/etc/config/porchlight\n/etc/porchlight/\n");
}
