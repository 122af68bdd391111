//! Who carries the mappings: OpenWrt's firewall or a table of our own. Switches from one to the other, and finds
//! what an earlier run left with any of them.

use super::conntrack::Cut;
use super::fw4::{Fw4, Look};
use super::hits::Hits;
use super::nft::{MapReport, Nft, Program};
use crate::plan::{Carrier, MapJob};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the firewall may take at a clean stop to take its redirects back; procd kills after 5 s.
pub const STOP_DEADLINE: Duration = Duration::from_secs(4);
/// How long elsewhere.
pub const UNMAP_DEADLINE: Duration = Duration::from_secs(30);

/// The programs that are used.
#[derive(Clone, Debug)]
pub struct Programs {
    /// nftables.
    pub nft: PathBuf,
    /// OpenWrt's bus.
    pub ubus: PathBuf,
    /// OpenWrt's firewall.
    pub fw4: PathBuf,
}

impl Default for Programs {
    fn default() -> Programs {
        Programs { nft: "nft".into(), ubus: "ubus".into(), fw4: "fw4".into() }
    }
}

/// What is here to carry mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// OpenWrt's firewall.
    pub fw4: bool,
    /// procd is on the bus.
    pub procd: bool,
}

/// The backend.
pub struct Backend {
    nft: Nft,
    fw4: Fw4,
    /// Who carried last. `None`: not known, an earlier run may have left something with anyone.
    last: Option<Carrier>,
}

impl Backend {
    /// One that has mapped nothing yet. `root` is `/` but in tests.
    pub fn new(root: &Path) -> Backend {
        Backend::with_programs(root, &Programs::default())
    }

    /// Likewise, with these programs.
    pub fn with_programs(root: &Path, programs: &Programs) -> Backend {
        let nft = Nft::with_program(root, &programs.nft);
        Backend { nft, fw4: Fw4::new(root, &programs.ubus, &programs.fw4), last: None }
    }

    /// Whether the firewall's own configuration has something of ours.
    pub fn is_written(&self) -> bool {
        self.fw4.is_written()
    }

    /// The program nft.
    pub fn program(&self) -> Program {
        self.nft.program()
    }

    /// How many connections each mapping has let in, as far as that was read. Given what an earlier run knew, it goes
    /// on from there.
    pub fn hits(&mut self) -> &mut Hits {
        self.nft.hits()
    }

    /// Looks who is here. procd is asked only where the firewall is.
    pub async fn find(&self) -> Found {
        let fw4 = self.nft.fw4_present().await;
        Found { fw4, procd: fw4 && self.fw4.procd_is_here().await }
    }

    /// Makes the packet filter carry exactly the job's rules, and cuts what it lists. On an error what is closed by
    /// the job is closed if it could be. May be dropped on the way, to be overtaken by another job.
    pub async fn apply(&mut self, job: &MapJob) -> Result<MapReport, String> {
        let report = self.carry(job).await?;
        Ok(MapReport { hits: self.nft.hits().clone(), ..report })
    }

    async fn carry(&mut self, job: &MapJob) -> Result<MapReport, String> {
        match job.carrier {
            Carrier::None => {
                let cut = self.remove_any(UNMAP_DEADLINE).await?.unwrap_or_default();
                Ok(MapReport { cut, ..MapReport::default() })
            }
            Carrier::Nft => {
                self.leave_fw4().await?;
                self.nft.apply(job).await
            }
            Carrier::Service | Carrier::Uci => {
                self.last = Some(job.carrier);
                self.fw4.apply(&mut self.nft, job).await
            }
        }
    }

    /// Before our own table carries the rules: the firewall must have nothing of ours any more, for what stops it is
    /// in that table and goes. Until that is so it is not forgotten, whatever fails or overtakes.
    async fn leave_fw4(&mut self) -> Result<(), String> {
        if self.last != Some(Carrier::Nft) && self.fw4.may_hold_something(&self.nft).await {
            self.fw4.withdraw(&mut self.nft, UNMAP_DEADLINE).await?;
            if self.fw4.may_hold_something(&self.nft).await {
                return Err(
                    "OpenWrt's firewall has not taken its port mappings back yet; until it has, they stay \
                            closed, and no other is opened"
                        .into(),
                );
            }
        }
        self.last = Some(Carrier::Nft);
        Ok(())
    }

    /// Whether all is as we made it.
    pub async fn look(&mut self) -> Look {
        match self.last {
            Some(Carrier::Service | Carrier::Uci) => self.fw4.look(&mut self.nft).await,
            _ => Look { intact: self.nft.intact().await, ..Look::default() },
        }
    }

    /// Takes everything of ours away, with whomever it lies (an earlier run's too), and cuts the connections that
    /// came through it. The firewall may take until the deadline. `None`: there was nothing.
    pub async fn remove_any(&mut self, deadline: Duration) -> Result<Option<Cut>, String> {
        self.last = None;
        self.fw4.withdraw(&mut self.nft, deadline).await
    }

    /// As [`Backend::remove_any`].
    pub async fn remove(&mut self, deadline: Duration) -> Result<Cut, String> {
        Ok(self.remove_any(deadline).await?.unwrap_or_default())
    }
}
