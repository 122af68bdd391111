//! The program nft: what it is asked and told, and what failed in words that help.

use super::super::droppers;
use super::super::hits::{self, Hits};
use super::TABLE;
use crate::act::command::{self, Ran};
use smol::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that one run of nft may take, for our own table ...
const DEADLINE: Duration = Duration::from_secs(2);
/// ... and for a listing of everybody's, for which nothing waits.
const LISTING_DEADLINE: Duration = Duration::from_secs(10);
/// OpenWrt's firewall's table, as nft writes it.
const FW4_TABLE: &str = "inet fw4";

/// The program nft. What is only asked of it needs no [`super::Nft`] and keeps nobody from changing our table.
#[derive(Clone)]
pub struct Program(PathBuf);

impl Program {
    /// This one.
    pub(super) fn new(program: &Path) -> Program {
        Program(program.into())
    }

    /// How many connections each mapping has let in, as far as our table says; nothing where it cannot be read.
    pub async fn hits(&self) -> Hits {
        let chain = ["list", "chain", "inet", "porchlight", "hits"];
        let ran = self.run(&chain, "", DEADLINE).await;
        ran.ok().filter(|ran| ran.ok).map(|ran| hits::read(&ran.out)).unwrap_or_default()
    }

    /// As [`super::Nft::droppers`].
    pub async fn droppers(&self, targets: &[IpAddr], plain: &[IpAddr]) -> Result<Vec<String>, String> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let ran = self.run(&["-s", "-t", "list", "ruleset"], "", LISTING_DEADLINE).await?;
        if !ran.ok {
            return Err(failure("the packet filter could not be read", &ran.complaint));
        }
        Ok(droppers::find(&ran.out, targets, plain))
    }

    /// Whether OpenWrt's firewall has a table.
    pub(super) async fn has_fw4_table(&self) -> bool {
        let tables = self.run(&["list", "tables"], "", DEADLINE).await;
        tables.is_ok_and(|ran| ran.out.lines().any(|line| line.trim() == "table inet fw4"))
    }

    /// The table of OpenWrt's firewall, without its counters. `None`: there is none.
    pub(super) fn fw4_table(&self) -> impl Future<Output = Result<Option<String>, String>> + '_ {
        self.table(&["-s", "-t", "list", "table", "inet", "fw4"], FW4_TABLE, LISTING_DEADLINE)
    }

    /// Our table without its counters. `None`: there is none.
    pub(super) fn own_table(&self) -> impl Future<Output = Result<Option<String>, String>> + '_ {
        self.table(&["-s", "list", "table", "inet", "porchlight"], TABLE, DEADLINE)
    }

    async fn table(&self, args: &[&str], name: &str, deadline: Duration) -> Result<Option<String>, String> {
        let ran = self.run(args, "", deadline).await?;
        match ran.ok {
            true => Ok(Some(ran.out)),
            false if ran.complaint.contains("No such file or directory") => Ok(None),
            false => Err(failure(&format!("table {name} could not be read"), &ran.complaint)),
        }
    }

    /// Has nft carry out this text, in one transaction.
    pub(super) async fn load(&self, text: &str) -> Result<(), String> {
        let ran = self.run(&["-f", "-"], text, DEADLINE).await?;
        match ran.ok {
            true => Ok(()),
            false => Err(failure(&format!("nft did not accept table {TABLE}"), &ran.complaint)),
        }
    }

    /// Runs nft.
    fn run<'a>(
        &'a self,
        args: &'a [&str],
        input: &'a str,
        deadline: Duration,
    ) -> impl Future<Output = Result<Ran, String>> + 'a {
        command::run(&self.0, "nftables", args, input, deadline)
    }
}

/// What failed, in nft's words, and what the owner can do.
fn failure(what: &str, complaint: &str) -> String {
    let hint = if complaint.contains("not permitted") || complaint.contains("must be root") {
        "; run as root (with CAP_NET_ADMIN)"
    } else if complaint.contains("not supported") {
        "; the kernel lacks nf_tables or a part of it (NAT, fib, reject)"
    } else {
        ""
    };
    format!("{what}: {complaint}{hint}")
}
