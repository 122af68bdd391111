//! Cuts live connections to a camera: the kernel is told to forget those that were translated to it.
//! By ctnetlink; where the kernel lacks it, by OpenWrt's writable `/proc/net/nf_conntrack`.

use super::{Heard, Netfilter};
use crate::act::net::within;
use crate::config::{Network, Proto};
use crate::model::Family;
use crate::wire::ctnetlink::{delete_flow, list_flows, messages, Flow, Message, MAX_DATAGRAM};
use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest that cutting may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Connections that are forgotten per look; the next look finds the rest.
const MAX_PER_ROUND: usize = 4096;
/// Looks per family: the last one finds nothing, unless new ones keep coming.
const MAX_ROUNDS: u32 = 16;
/// `ENOENT` on a delete: it ended by itself in between.
const ENOENT: i32 = 2;

/// The owner's right to write, in a file's mode.
const OWNER_WRITES: u32 = 0o200;

/// What became of the old connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// How many connections were cut, where that is known.
    pub flushed: usize,
    /// By which way.
    pub how: How,
}

impl Cut {
    /// Both together.
    pub(super) fn and(self, more: Cut) -> Cut {
        let how = if more.how == How::NothingToDo { self.how } else { more.how };
        Cut { flushed: self.flushed + more.flushed, how }
    }
}

/// The way that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// There was nothing to cut.
    #[default]
    NothingToDo,
    /// ctnetlink: exactly the translated connections that nothing lets in any more.
    Ctnetlink,
    /// `/proc/net/nf_conntrack`: all connections of the address, uncounted.
    ProcFile,
    /// No way worked: the old connections live on. Says why.
    Failed(String),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.how, self.flushed) {
            (How::NothingToDo, _) | (How::Ctnetlink, 0) => f.write_str("no old connection to cut"),
            (How::Ctnetlink, 1) => f.write_str("1 old connection cut"),
            (How::Ctnetlink, n) => write!(f, "{n} old connections cut"),
            (How::ProcFile, _) => f.write_str("old connections cut"),
            (How::Failed(why), _) => write!(
                f,
                "connections that were already open live on until they end ({why}); to be sure, restart the camera"
            ),
        }
    }
}

/// A way in that stays: who came by it is not cut with those who came to the same camera by another one.
#[derive(Clone, Copy)]
pub struct Stays<'a> {
    /// The camera.
    pub target: IpAddr,
    /// Protocol.
    pub proto: Proto,
    /// Public ports, first and last.
    pub ports: (u16, u16),
    /// The camera's.
    pub to: (u16, u16),
    /// Who may; none: anyone.
    pub from: &'a [Network],
}

impl Stays<'_> {
    /// Whether a connection may have come by it.
    fn lets(&self, flow: &Flow<'_>) -> bool {
        let within = |(first, last): (u16, u16), port: u16| (first..=last).contains(&port);
        let number = match self.proto {
            Proto::Tcp => 6,
            Proto::Udp => 17,
        };
        let (asked, answers) = flow.ports;
        let may = self.from.is_empty() || self.from.iter().any(|net| net.contains(flow.original_src));
        may && (flow.proto, flow.reply_src) == (number, self.target)
            && within(self.ports, asked)
            && within(self.to, answers)
    }
}

/// Cuts every connection that was translated (DNAT) to one of these addresses, but by what stays; in IPv6, where a way in
/// may leave all as it is, every one to it that came through the router. Call it after the new rules are in force, or they
/// come back. `root` is `/` but in tests.
pub async fn cut(root: &Path, targets: &[IpAddr], stays: &[Stays<'_>]) -> Cut {
    if targets.is_empty() {
        return Cut::default();
    }
    let done = within(Instant::now() + DEADLINE, by_ctnetlink(targets, stays)).await;
    match done.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
        Ok(flushed) => Cut { flushed, how: How::Ctnetlink },
        Err(error) => match targets.iter().try_for_each(|target| by_proc_file(root, *target)) {
            Ok(()) => Cut { flushed: 0, how: How::ProcFile },
            Err(_) => Cut { flushed: 0, how: How::Failed(format!("the kernel's connection table: {error}")) },
        },
    }
}

async fn by_ctnetlink(targets: &[IpAddr], stays: &[Stays<'_>]) -> io::Result<usize> {
    let socket = Netfilter::open(0, |_| Ok(()))?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    let (mut flushed, mut seq) = (0, 1);
    for family in Family::BOTH {
        if !targets.iter().any(|target| Family::of(*target) == family) {
            continue;
        }
        for _ in 0..MAX_ROUNDS {
            seq += 1;
            let deletes = find(&socket, family, seq, (targets, stays), &mut buffer).await?;
            if deletes.is_empty() {
                break;
            }
            for request in deletes {
                socket.send(&request).await?;
                flushed += usize::from(verdict(&socket, seq, &mut buffer).await?);
            }
        }
    }
    Ok(flushed)
}

/// The delete requests for one family's connections to the targets, see [`cut`].
async fn find(
    socket: &Netfilter,
    family: Family,
    seq: u32,
    (targets, stays): (&[IpAddr], &[Stays<'_>]),
    buffer: &mut [u8],
) -> io::Result<Vec<Vec<u8>>> {
    socket.send(&list_flows(family, seq)).await?;
    let mut deletes = Vec::new();
    loop {
        let Heard::Datagram(datagram) = socket.receive(buffer).await? else {
            continue;
        };
        for (_, message) in messages(datagram).filter(|(of, _)| *of == seq) {
            match message {
                Message::Flow(flow) if !(flow.dnat || family == Family::V6) => {}
                Message::Flow(_) if deletes.len() == MAX_PER_ROUND => {}
                Message::Flow(flow) if stays.iter().any(|way| way.lets(&flow)) => {}
                Message::Flow(flow) if targets.contains(&flow.reply_src) => {
                    deletes.push(delete_flow(&flow, seq))
                }
                Message::Done => return Ok(deletes),
                Message::Verdict(errno) => return Err(io::Error::from_raw_os_error(errno)),
                _ => {}
            }
        }
    }
}

/// Waits for the verdict on a delete: whether it was there to be deleted.
async fn verdict(socket: &Netfilter, seq: u32, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        let Heard::Datagram(datagram) = socket.receive(buffer).await? else {
            return Ok(false);
        };
        for (_, message) in messages(datagram).filter(|(of, _)| *of == seq) {
            match message {
                Message::Verdict(0) => return Ok(true),
                Message::Verdict(ENOENT) => return Ok(false),
                Message::Verdict(errno) => return Err(io::Error::from_raw_os_error(errno)),
                _ => {}
            }
        }
    }
}

/// OpenWrt's kernel forgets all connections of an address that is written to this file; any other
/// kernel refuses the write. The file is root's and read-only (0440), which stops a root without CAP_DAC_OVERRIDE;
/// but its owner may change that.
fn by_proc_file(root: &Path, target: IpAddr) -> io::Result<()> {
    let path = root.join("proc/net/nf_conntrack");
    let open = || std::fs::OpenOptions::new().write(true).open(&path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = std::fs::metadata(&path)?.permissions().mode();
            std::fs::set_permissions(&path, Permissions::from_mode(mode | OWNER_WRITES))?;
            open()
        }
        opened => opened,
    };
    file?.write_all(format!("{target}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openwrts_file_is_told_the_address() {
        let root = std::env::temp_dir().join(format!("porchlight-conntrack-{}", std::process::id()));
        let file = root.join("proc/net/nf_conntrack");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert!(by_proc_file(&root, "192.168.1.50".parse().unwrap()).is_err(), "no such file");
        assert!(!file.exists(), "it must not be made");
        std::fs::write(&file, "").unwrap();
        by_proc_file(&root, "192.168.1.50".parse().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "192.168.1.50\n");
        std::fs::remove_dir_all(&root).unwrap();
    }

    /// As the agent runs: root, who may not write what is read-only, or any other user.
    #[test]
    fn a_file_of_ours_that_is_read_only_is_made_writable() {
        let root = std::env::temp_dir().join(format!("porchlight-conntrack-ro-{}", std::process::id()));
        let file = root.join("proc/net/nf_conntrack");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
        let without_rights = || {
            use rustix::thread::{set_capabilities, CapabilitySet, CapabilitySets};
            let none = CapabilitySet::empty();
            // Of this thread alone.
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
                .unwrap();
            let refused = std::fs::OpenOptions::new().write(true).open(&file).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            by_proc_file(&root, "192.168.1.50".parse().unwrap()).unwrap();
        };
        std::thread::scope(|scope| scope.spawn(without_rights).join().unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "192.168.1.50\n");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn nothing_listed_is_nothing_done() {
        let cut = smol::block_on(cut(Path::new("/nonexistent"), &[], &[]));
        assert_eq!(cut, Cut::default());
        assert_eq!(cut.to_string(), "no old connection to cut");
    }

    #[test]
    fn what_failed_is_said() {
        let text = Cut { flushed: 0, how: How::Failed("no such protocol".into()) }.to_string();
        assert!(text.contains("live on") && text.contains("no such protocol"), "{text}");
    }
}
