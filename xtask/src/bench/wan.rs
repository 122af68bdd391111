//! The WAN of the bench: a device whose address is changed at a known instant.

use crate::peers::room::ip;
use anyhow::{bail, Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// The device.
pub const DEVICE: &str = "wan0";

/// How the address changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The new address is added, then the old one removed.
    Replaced,
    /// As after a redial: the old address goes, the new one comes, then the default route.
    Redialled,
}

/// The device and one `ip` that stays, so that a change costs no process start.
pub struct Wan {
    batch: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    host: u8,
}

impl Wan {
    /// Makes the device with a first address and a default route.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn create() -> Result<Wan> {
        ip(&["link", "add", DEVICE, "type", "veth", "peer", "name", "isp0"])?;
        ip(&["link", "set", "isp0", "up"])?;
        ip(&["link", "set", DEVICE, "up"])?;
        let mut batch = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start ip (package iproute2)")?;
        let (Some(orders), Some(answers)) = (batch.stdin.take(), batch.stdout.take()) else {
            bail!("ip has no pipes")
        };
        let mut wan = Wan { batch, orders, answers: BufReader::new(answers), host: 1 };
        wan.order(&format!("addr add {}/32 dev {DEVICE}\nroute add default dev {DEVICE}\n", wan.address()))?;
        Ok(wan)
    }

    /// The address that it has.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.host)
    }

    /// Changes the address. Returns the instant before the first step, when all steps are done.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn change(&mut self, change: Change) -> Result<Instant> {
        let old = self.address();
        self.host = if self.host >= 250 { 1 } else { self.host + 1 };
        let new = self.address();
        let orders = match change {
            Change::Replaced => format!("addr add {new}/32 dev {DEVICE}\naddr del {old}/32 dev {DEVICE}\n"),
            Change::Redialled => format!(
                "addr del {old}/32 dev {DEVICE}\naddr add {new}/32 dev {DEVICE}\nroute add default dev {DEVICE}\n"
            ),
        };
        let start = Instant::now();
        self.order(&orders)?;
        Ok(start)
    }

    /// Takes the default route away, or puts it back.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn route(&mut self, there: bool) -> Result<()> {
        let verb = if there { "add" } else { "del" };
        self.order(&format!("route {verb} default dev {DEVICE}\n"))
    }

    /// Gives the orders and waits until they are carried out.
    fn order(&mut self, orders: &str) -> Result<()> {
        self.orders.write_all(format!("{orders}link show dev {DEVICE}\n").as_bytes())?;
        self.orders.flush()?;
        let mut line = String::new();
        while !line.contains("link/ether") {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                bail!("ip ended at: {orders}");
            }
        }
        Ok(())
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        // It ends with the room anyway.
        let _ = self.batch.kill();
        let _ = self.batch.wait();
    }
}
