//! Where OpenWrt's firewall finds our redirects: data of a procd service, or sections of its own configuration.
//! Only one of the two carries them; what is left in the other is taken away.

use super::door::{shown, Door};
use super::firewall;
use super::redirect::{Redirect, LABEL};
use super::service;
use super::uci_file::UciFile;
use crate::act::command;
use crate::act::ubus::{Fault, Ubus};
use crate::config::uci::Section;
use crate::map::Set;
use crate::plan::Carrier;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that the firewall's own reload may take, where procd does not do it.
const RELOAD_DEADLINE: Duration = Duration::from_secs(60);
/// Where uci looks for a configuration before `/etc/config`; below the root.
const OVERRIDE: &str = "var/run/uci/firewall";

/// Both places.
pub(super) struct Store {
    ubus: Ubus,
    firewall: UciFile,
    root: PathBuf,
}

impl Store {
    /// By this `ubus`. `root` is `/` but in tests.
    pub(super) fn new(root: &Path, ubus: &Path) -> Store {
        let firewall = UciFile::new(&root.join(firewall::PATH), firewall::FILE_CAP);
        Store { ubus: Ubus::new(ubus), firewall, root: root.into() }
    }

    /// Whether procd answers.
    pub(super) async fn procd_answers(&self) -> bool {
        service::read(&self.ubus).await.is_ok()
    }

    /// What is in them of ours: the doors that it opens. `None`: nothing at all. Without procd, what it could have is
    /// not there either; a configuration that cannot be read counts as one without ours.
    pub(super) async fn read(&self) -> Result<Option<Set<Door>>, Fault> {
        let data = match service::read(&self.ubus).await {
            Ok(data) => data,
            Err(Fault::Absent | Fault::Missing) => crate::wire::json::Json::Null,
            Err(fault) => return Err(fault),
        };
        let text = self.firewall.read().unwrap_or_default();
        let sections = firewall::sections(&text).unwrap_or_default();
        let mut ours = sections.iter().filter(|section| firewall::is_ours(section)).peekable();
        if data.is_null() && ours.peek().is_none() {
            return Ok(None);
        }
        let mut doors = service::doors(&data);
        doors.extend(ours.filter_map(Door::of_section));
        Ok(Some(doors))
    }

    /// The doors of those sections in the firewall's configuration that have one of these labels.
    pub(super) fn labelled(&self, labels: &[String]) -> Set<Door> {
        let text = self.firewall.read().unwrap_or_default();
        let sections = firewall::sections(&text).unwrap_or_default();
        let labelled =
            |section: &&Section| firewall::is_ours(section) && firewall::is_labelled(section, labels);
        sections.iter().filter(labelled).filter_map(Door::of_section).collect()
    }

    /// Hands over the redirects. Sections with one of these labels stay. `shown`: the kernel has all that already.
    /// Says whether a reload comes of it.
    pub(super) async fn write(
        &self,
        carrier: Carrier,
        list: &[Redirect],
        labels: &[String],
        shown: bool,
    ) -> Result<bool, String> {
        // What is new first: a reload in between would close it.
        let mut written = false;
        let mut data = list;
        if carrier == Carrier::Uci {
            written = self.write_sections(list, labels).await?;
            data = &[];
        }
        let changed = match service::write(&self.ubus, data).await {
            Ok(changed) => changed,
            Err(Fault::Absent | Fault::Missing) if data.is_empty() => false,
            Err(fault) => return Err(format!("procd did not take the port mappings: {fault}")),
        };
        if carrier != Carrier::Uci {
            written = self.clear_sections().await?;
        }
        if written {
            self.reload().await?;
        } else if !changed && !shown {
            // Equal data fires nothing, yet the firewall does not have it.
            match carrier {
                Carrier::Uci => self.reload().await?,
                _ => service::nudge(&self.ubus)
                    .await
                    .map_err(|fault| format!("procd did not take the port mappings: {fault}"))?,
            }
        }
        Ok(changed || written || !shown)
    }

    /// Whether the firewall's configuration has exactly these, beside those with one of these labels; true where it
    /// cannot be told.
    pub(super) fn has_sections(&self, list: &[Redirect], labels: &[String]) -> bool {
        let Ok(text) = self.firewall.read() else { return true };
        !matches!(firewall::edit_beside(&text, list, labels), Ok(Some(_)))
    }

    async fn write_sections(&self, list: &[Redirect], labels: &[String]) -> Result<bool, String> {
        if self.root.join(OVERRIDE).exists() {
            return Err(format!(
                "/{OVERRIDE} takes the place of /etc/config/firewall, so sections there have no effect: \
                 take it away, or use mapping_backend 'service'"
            ));
        }
        self.firewall.update(|text| firewall::edit_beside(text, list, labels)).await
    }

    /// Takes ours out. A configuration that is not there has none.
    async fn clear_sections(&self) -> Result<bool, String> {
        let Ok(text) = self.firewall.read() else { return Ok(false) };
        match firewall::edit(&text, &[]) {
            // Without any of ours, it is nobody's concern here what else is wrong with it.
            Err(_) if !firewall::mentions_ours(&text) => Ok(false),
            _ => self.write_sections(&[], &[]).await,
        }
    }

    /// Has the firewall read its configuration, as the rest of OpenWrt does after a change of it: procd tells whoever
    /// listens. Where it does not answer, the firewall's own script is run.
    async fn reload(&self) -> Result<(), String> {
        let Err(fault) = service::config_changed(&self.ubus, "firewall").await else { return Ok(()) };
        log::debug!("procd was not told of the firewall's new configuration: {fault}");
        let script = self.root.join("etc/init.d/firewall");
        let ran = command::run(&script, "firewall4", &["reload"], "", RELOAD_DEADLINE).await?;
        // fw4 itself says that all is well even when it is not: the kernel is looked at later.
        ran.ok.then_some(()).ok_or_else(|| format!("/etc/init.d/firewall reload failed: {}", ran.complaint))
    }
}

/// The doors of ours that fw4's table shows, wherever it has them from. `listing`: as [`shown`] takes it.
pub(super) fn shown_ours(listing: &str) -> Set<Door> {
    let mut doors = shown(listing, service::MARK);
    doors.extend(shown(listing, LABEL));
    doors
}
