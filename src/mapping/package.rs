//! One of OpenWrt's configurations, `/etc/config/NAME`, and the service that reads it.

use super::uci_file::{Edit, UciFile};
use crate::act::command;
use crate::act::ubus::Ubus;
use crate::config::edit::FILE_CAP;
use crate::mapping::service;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that a service's own reload may take, where procd does not do it.
const RELOAD_DEADLINE: Duration = Duration::from_secs(60);

/// A configuration.
pub(super) struct Package {
    name: &'static str,
    /// The init script of the service that reads it, and the package that brings that.
    service: (&'static str, &'static str),
    file: UciFile,
    root: PathBuf,
}

impl Package {
    /// The firewall's. `root` is `/` but in tests.
    pub(super) fn firewall(root: &Path) -> Package {
        Package::new(root, "firewall", ("firewall", "firewall4"))
    }

    /// That of DHCP. `root` is `/` but in tests.
    pub(super) fn dhcp(root: &Path) -> Package {
        Package::new(root, "dhcp", ("dnsmasq", "dnsmasq"))
    }

    fn new(root: &Path, name: &'static str, service: (&'static str, &'static str)) -> Package {
        let file = UciFile::new(&root.join("etc/config").join(name), FILE_CAP);
        Package { name, service, file, root: root.into() }
    }

    /// As [`UciFile::read`].
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        self.file.read()
    }

    /// Whether there is such a file.
    pub(super) fn exists(&self) -> bool {
        self.root.join("etc/config").join(self.name).exists()
    }

    /// As [`UciFile::update`], but not where `uci` looks for this configuration elsewhere first.
    pub(super) async fn update(&self, edit: &Edit<'_>) -> Result<bool, String> {
        let other = Path::new("var/run/uci").join(self.name);
        if self.root.join(&other).exists() {
            return Err(format!(
                "/{} takes the place of /etc/config/{}, so sections there have no effect: take it away",
                other.display(),
                self.name
            ));
        }
        self.file.update(edit).await
    }

    /// Has the service read it, as the rest of OpenWrt does after a change of it: procd tells whoever listens. Where it
    /// does not answer, the service's own script is run.
    pub(super) async fn reload(&self, ubus: &Ubus) -> Result<(), String> {
        let Err(fault) = service::config_changed(ubus, self.name).await else { return Ok(()) };
        log::debug!("procd was not told of the new /etc/config/{}: {fault}", self.name);
        let (script, package) = self.service;
        let path = self.root.join("etc/init.d").join(script);
        let ran = command::run(&path, package, &["reload"], "", RELOAD_DEADLINE).await?;
        ran.ok.then_some(()).ok_or_else(|| format!("/etc/init.d/{script} reload failed: {}", ran.complaint))
    }
}
