//! What natmap <https://github.com/heiher/natmap> says of its ways in: `/var/run/natmap/PID.json`, as OpenWrt's package and
//! our notify script write it.

use crate::agent::read_bytes;
use crate::model::Hole;
use crate::wire::json::Json;
use std::path::Path;

/// The most files that are looked at.
const FILES_CAP: usize = 64;
/// A larger file is not natmap's.
const SIZE_CAP: u64 = 4 * 1024;

/// The ways in of every natmap that runs, by TCP, in order.
pub fn read(root: &Path) -> Vec<Hole> {
    let Ok(entries) = std::fs::read_dir(root.join("var/run/natmap")) else { return Vec::new() };
    let mut holes = Vec::new();
    for entry in entries.flatten().take(FILES_CAP) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
        // A process's number is not below the root.
        let runs = pid.parse::<u32>().is_ok_and(|pid| Path::new("/proc").join(pid.to_string()).exists());
        if let Some(bytes) = read_bytes(&entry.path(), SIZE_CAP).ok().filter(|_| runs) {
            let Some(hole) = std::str::from_utf8(&bytes).ok().and_then(hole) else { continue };
            holes.insert(holes.partition_point(|before| *before < hole), hole);
        }
    }
    holes
}

fn hole(text: &str) -> Option<Hole> {
    let json = Json::parse(text.trim()).ok()?;
    // OpenWrt's script writes numbers, others text.
    let port = |name: &str| {
        let value = json.get(name);
        let number = value.num().or_else(|| value.str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|port| *port != 0)
    };
    let hole =
        Hole { addr: json.get("ip").str()?.parse().ok()?, port: port("port")?, inner: port("inner_port")? };
    json.get("protocol").str()?.eq_ignore_ascii_case("tcp").then_some(hole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_run_and_make_sense() {
        let root = std::env::temp_dir().join(format!("porchlight-natmap-{}", std::process::id()));
        let dir = root.join("var/run/natmap");
        assert!(read(&root).is_empty());
        std::fs::create_dir_all(&dir).unwrap();
        let write = |name: String, text: &str| std::fs::write(dir.join(name), text).unwrap();
        let own = std::process::id();
        let good = "{\"ip\":\"93.184.216.34\",\"port\":31000,\"inner_port\":8554,\"protocol\":\"tcp\"}";
        write(format!("{own}.json"), good);
        // Number 4194304 is above every kernel's pid_max.
        write("4194304.json".into(), good);
        write("x.json".into(), good);
        write("1.txt".into(), good);
        let hole = Hole { addr: "93.184.216.34".parse().unwrap(), port: 31000, inner: 8554 };
        assert_eq!(read(&root), [hole]);
        for bad in ["", "{}", "null", &good.replace("tcp", "udp"), &good.replace("31000", "0"), &good[1..]] {
            write(format!("{own}.json"), bad);
            assert!(read(&root).is_empty(), "{bad}");
        }
        write(format!("{own}.json"), &good.replace("31000", "\"31000\"").replace("tcp", "TCP"));
        assert_eq!(read(&root), [hole]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
