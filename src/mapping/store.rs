//! Where OpenWrt's firewall finds our redirects: data of a procd service, or sections of its own configuration.
//! Only one of the two carries them; what is left in the other is taken away.

use super::door::{shown, Door};
use super::firewall;
use super::package::Package;
use super::redirect::{Redirect, LABEL};
use super::service;
use crate::act::ubus::{Fault, Ubus};
use crate::map::Set;
use crate::plan::Carrier;
use std::path::Path;

/// Both places.
pub(super) struct Store {
    ubus: Ubus,
    firewall: Package,
}

impl Store {
    /// By this `ubus`. `root` is `/` but in tests.
    pub(super) fn new(root: &Path, ubus: &Path) -> Store {
        Store { ubus: Ubus::new(ubus), firewall: Package::firewall(root) }
    }

    /// Whether procd is here. One that hangs or is busy is: that closes nothing, and what it holds stays.
    pub(super) async fn procd_is_here(&self) -> bool {
        !matches!(service::read(&self.ubus).await, Err(Fault::Absent | Fault::Missing))
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
        let (mut doors, mut nothing) = (service::doors(&data), data.is_null());
        for section in sections.iter().filter(|section| firewall::is_ours(section)) {
            doors.extend(Door::of_section(section));
            nothing = false;
        }
        Ok((!nothing).then_some(doors))
    }

    /// The doors of those sections in the firewall's configuration that have one of these labels.
    pub(super) fn labelled(&self, labels: &[String]) -> Set<Door> {
        let text = self.firewall.read().unwrap_or_default();
        let sections = firewall::sections(&text).unwrap_or_default();
        let mut doors = Set::new();
        for section in sections.iter().filter(|section| firewall::is_ours(section)) {
            doors.extend(Door::of_section(section).filter(|_| firewall::is_labelled(section, labels)));
        }
        doors
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
        let refused = |fault: Fault| format!("procd did not take the port mappings: {fault}");
        let changed = match service::write(&self.ubus, data).await {
            Err(Fault::Absent | Fault::Missing) if data.is_empty() => false,
            answer => answer.map_err(refused)?,
        };
        if carrier != Carrier::Uci {
            written = self.clear_sections().await?;
        }
        // Equal data fires nothing, yet the firewall may not have it.
        let again = !changed && !shown;
        if written || again && carrier == Carrier::Uci {
            self.firewall.reload(&self.ubus).await?;
        } else if again {
            service::nudge(&self.ubus).await.map_err(refused)?;
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
        self.firewall.update(&|text| firewall::edit_beside(text, list, labels)).await
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
}

/// The doors of ours that fw4's table shows, wherever it has them from. `listing`: as [`shown`] takes it.
pub(super) fn shown_ours(listing: &str) -> Set<Door> {
    let mut doors = shown(listing, service::MARK);
    doors.extend(shown(listing, LABEL));
    doors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Proto;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    /// Where uci looks for a configuration before `/etc/config`; below the root.
    const OVERRIDE: &str = "var/run/uci/firewall";
    const FIREWALL: &str = "config zone\n\toption name 'wan'\n";

    /// A router without ubus, whose firewall's script writes down each call.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            let dir = std::env::temp_dir().join(format!("porchlight-store-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("etc/config")).unwrap();
            fs::create_dir_all(dir.join("etc/init.d")).unwrap();
            fs::write(dir.join("etc/config/firewall"), FIREWALL).unwrap();
            let script = dir.join("etc/init.d/firewall");
            fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> {}\n", dir.join("calls").display()))
                .unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            Root(dir)
        }

        fn store(&self) -> Store {
            Store::new(&self.0, Path::new("porchlight-no-such-ubus"))
        }

        fn text(&self) -> String {
            fs::read_to_string(self.0.join("etc/config/firewall")).unwrap()
        }

        fn calls(&self) -> usize {
            fs::read_to_string(self.0.join("calls")).unwrap_or_default().lines().count()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn redirect() -> Redirect {
        Redirect {
            id: "front".into(),
            mapping: "front".into(),
            src: "wan".into(),
            dest: "lan".into(),
            proto: Proto::Udp,
            src_ip: crate::config::Network::parse("198.51.100.0/24"),
            src_dport: (8000, 8010),
            dest_ip: "192.168.1.20".parse().unwrap(),
            dest_port: (8000, 8010),
            reflection: false,
        }
    }

    #[test]
    fn written_and_reloaded_only_when_it_differs() {
        let root = Root::new("writes");
        let (store, list) = (root.store(), [redirect()]);
        let write =
            |carrier, list: &[Redirect], shown| smol::block_on(store.write(carrier, list, &[], shown));
        assert_eq!(smol::block_on(store.read()), Ok(None));
        assert_eq!(write(Carrier::Uci, &list, false), Ok(true));
        assert!(root.text().starts_with(FIREWALL) && root.text().contains("porchlight_front"));
        assert_eq!(root.calls(), 1);
        assert_eq!(smol::block_on(store.read()), Ok(Some(Set::from([Door::of(&list[0])]))));
        assert_eq!(store.labelled(&["Porchlight: front".into()]).len(), 1);
        assert!(store.has_sections(&list, &[]) && !store.has_sections(&[], &[]));
        assert_eq!(write(Carrier::Uci, &list, true), Ok(false));
        assert_eq!(root.calls(), 1, "nothing differs");
        assert_eq!(write(Carrier::Uci, &list, false), Ok(true));
        assert_eq!(root.calls(), 2, "it is written, but the kernel does not have it");
        assert_eq!(write(Carrier::None, &[], true), Ok(true));
        assert_eq!((root.text().as_str(), root.calls()), (FIREWALL, 3));
        assert_eq!(write(Carrier::None, &[], true), Ok(false));
    }

    #[test]
    fn a_procd_that_hangs_is_here() {
        let root = Root::new("hangs");
        assert!(!smol::block_on(root.store().procd_is_here()), "there is no ubus");
        let program = root.0.join("ubus");
        for (script, here) in [
            ("echo 'Command failed: Not found' >&2; exit 4", false),
            ("echo 'Command failed: Request timed out' >&2; exit 7", true),
            ("echo '{}'", true),
        ] {
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let store = Store::new(&root.0, &program);
            assert_eq!(smol::block_on(store.procd_is_here()), here, "{script}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_and_left() {
        let root = Root::new("refuses");
        let (store, path) = (root.store(), root.0.join("etc/config/firewall"));
        let refusal = || smol::block_on(store.write(Carrier::Uci, &[redirect()], &[], false)).unwrap_err();
        fs::write(&path, "config zone 'unclosed\n").unwrap();
        assert!(refusal().contains("etc/config/firewall: line 1: the quote"), "{}", refusal());
        assert_eq!(root.text(), "config zone 'unclosed\n");
        // Where there is nothing of ours, that is nobody's concern here.
        assert_eq!(smol::block_on(store.write(Carrier::None, &[], &[], true)), Ok(false));
        fs::write(&path, "config redirect 'porchlight_x'\n\toption a 'unclosed\n").unwrap();
        assert!(smol::block_on(store.write(Carrier::None, &[], &[], true)).is_err());
        fs::remove_file(&path).unwrap();
        assert!(refusal().starts_with("there is no "), "{}", refusal());
        assert_eq!(smol::block_on(store.write(Carrier::None, &[], &[], true)), Ok(false));
        fs::write(&path, FIREWALL).unwrap();
        fs::create_dir_all(root.0.join("var/run/uci")).unwrap();
        fs::write(root.0.join(OVERRIDE), "").unwrap();
        assert!(refusal().contains("takes the place of /etc/config/firewall"), "{}", refusal());
        assert_eq!((root.text().as_str(), root.calls()), (FIREWALL, 0));
    }
}
