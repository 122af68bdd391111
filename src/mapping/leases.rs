//! Static leases: writes them into dnsmasq's configuration, and has dnsmasq hear of it.

use super::hosts;
use super::package::Package;
use crate::act::ubus::Ubus;
use crate::config::edit::mentions_ours;
use crate::plan::{LeaseJob, Leased};
use std::cell::RefCell;
use std::path::Path;

/// dnsmasq's configuration.
pub struct Leases {
    package: Package,
    ubus: Ubus,
}

impl Leases {
    /// By this `ubus`. `root` is `/` but in tests.
    pub fn new(root: &Path, ubus: &Path) -> Leases {
        Leases { package: Package::dhcp(root), ubus: Ubus::new(ubus) }
    }

    /// Whether the configuration could have something of ours.
    pub fn is_written(&self) -> bool {
        self.package.read().is_ok_and(|text| mentions_ours(&text))
    }

    /// Makes the configuration have what the job wants. It is written only if it differs, and then dnsmasq is told.
    ///
    /// # Errors
    /// In plain words, and nothing was written.
    pub async fn apply(&self, job: &LeaseJob) -> Result<Leased, String> {
        if !self.package.exists() {
            // Where there is none, there is none of ours in it.
            return match job.leases.iter().any(|lease| lease.addr.is_some()) {
                true => {
                    Err("there is no /etc/config/dhcp: option static_lease is for OpenWrt's dnsmasq".into())
                }
                false => Ok(Leased::default()),
            };
        }
        let found = RefCell::new(Leased::default());
        let edit = |text: &[u8]| {
            let (text, leased) = hosts::edit(text, job)?;
            found.replace(leased);
            Ok(text)
        };
        let written = self.package.update(&edit).await?;
        let mut leased = Leased { written, ..found.into_inner() };
        if written || job.tell {
            leased.untold = self.package.reload(&self.ubus).await.err();
        }
        Ok(leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mac;
    use crate::plan::StaticLease;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const DHCP: &str = "config dnsmasq\n\toption domainneeded '1'\n";

    /// A router without ubus, whose dnsmasq's script writes down each call.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            let dir = std::env::temp_dir().join(format!("porchlight-leases-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("etc/config")).unwrap();
            fs::create_dir_all(dir.join("etc/init.d")).unwrap();
            fs::write(dir.join("etc/config/dhcp"), DHCP).unwrap();
            let root = Root(dir);
            root.script(&format!("echo \"$1\" >> {}", root.0.join("calls").display()));
            root
        }

        fn script(&self, line: &str) {
            let script = self.0.join("etc/init.d/dnsmasq");
            fs::write(&script, format!("#!/bin/sh\n{line}\n")).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn apply(&self, leases: &[StaticLease], tell: bool) -> Result<Leased, String> {
            let job = LeaseJob { leases: leases.to_vec(), only: true, tell };
            smol::block_on(self.leases().apply(&job))
        }

        fn leases(&self) -> Leases {
            Leases::new(&self.0, Path::new("porchlight-no-such-ubus"))
        }

        fn text(&self) -> String {
            fs::read_to_string(self.0.join("etc/config/dhcp")).unwrap()
        }

        fn calls(&self) -> String {
            fs::read_to_string(self.0.join("calls")).unwrap_or_default()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn lease() -> StaticLease {
        StaticLease {
            camera: "front".into(),
            host: "front".into(),
            macs: vec![Mac([2, 0, 0, 0, 0, 0x20])],
            addr: Some([192, 168, 1, 20].into()),
            moved: false,
        }
    }

    #[test]
    fn written_and_told_only_when_it_differs() {
        let root = Root::new("writes");
        assert!(!root.leases().is_written());
        let first = root.apply(&[lease()], false).unwrap();
        assert!(first.written && first.untold.is_none() && first.pinned.len() == 1);
        assert!(root.leases().is_written() && root.text().starts_with(DHCP));
        assert_eq!(root.calls(), "reload\n");
        assert!(!root.apply(&[lease()], false).unwrap().written);
        assert_eq!(root.calls(), "reload\n");
        assert!(root.apply(&[], false).unwrap().written);
        assert_eq!((root.text().as_str(), root.calls().as_str()), (DHCP, "reload\nreload\n"));
        assert_eq!(root.apply(&[], false), Ok(Leased::default()));
    }

    #[test]
    fn one_who_was_not_told_is_told_later() {
        let root = Root::new("untold");
        root.script("echo no >&2; exit 1");
        let untold = root.apply(&[lease()], false).unwrap();
        assert_eq!(untold.untold.as_deref(), Some("/etc/init.d/dnsmasq reload failed: no"));
        assert!(untold.written && root.text().contains("porchlight_front"));
        root.script(&format!("echo \"$1\" >> {}", root.0.join("calls").display()));
        let told = root.apply(&[lease()], true).unwrap();
        assert!(!told.written && told.untold.is_none());
        assert_eq!(root.calls(), "reload\n");
    }

    #[test]
    fn where_there_is_no_dnsmasq_it_is_said() {
        let root = Root::new("none");
        fs::remove_file(root.0.join("etc/config/dhcp")).unwrap();
        assert!(root.apply(&[lease()], false).unwrap_err().starts_with("there is no /etc/config/dhcp"));
        assert_eq!(root.apply(&[], false), Ok(Leased::default()));
        fs::write(root.0.join("etc/config/dhcp"), "config 'unclosed\n").unwrap();
        assert!(root.apply(&[lease()], false).unwrap_err().contains("etc/config/dhcp: line 1: the quote"));
        assert_eq!((root.text().as_str(), root.calls().as_str()), ("config 'unclosed\n", ""));
    }
}
