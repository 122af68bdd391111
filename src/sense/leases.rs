//! dnsmasq's lease file: `expiry mac ip name client-id`, a line each (dnsmasq's src/lease.c, lease_update_file).
//! DHCPv6 leases follow behind a `duid` line; they name no hardware address and are left out.

use crate::model::{Lease, Mac};
use std::net::{IpAddr, Ipv4Addr};

/// The most of a file that is to be read, in bytes.
pub const MAX_BYTES: usize = 512 * 1024;
/// The most leases that are kept.
pub const MAX_LEASES: usize = 4096;
/// Longer lines are left out.
const MAX_LINE: usize = 1024;
/// A host name's greatest length (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// Reads a lease file. What is not a lease is left out; so is a last line that may still be in the writing.
pub fn parse(bytes: &[u8]) -> Vec<Lease> {
    let bytes = bytes.get(..MAX_BYTES).unwrap_or(bytes);
    let mut leases = Vec::new();
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        leases.extend(lease(line).filter(|_| leases.len() < MAX_LEASES));
    }
    leases
}

fn lease(line: &[u8]) -> Option<Lease> {
    if line.len() > MAX_LINE {
        return None;
    }
    let whole = line.ends_with(b"\n");
    let mut fields = line.split(|&b| b == b' ' || b == b'\n').filter(|field| !field.is_empty());
    let mut next = || fields.next();
    let (expiry, mac, addr, name) = (text(next()?)?, text(next()?)?, text(next()?)?, next()?);
    if !whole && next().is_none() {
        return None; // any of the four fields may go on
    }
    Some(Lease {
        expiry: expiry.parse().ok()?,
        mac: Mac::parse(mac)?,
        addr: IpAddr::V4(addr.parse::<Ipv4Addr>().ok()?),
        name: host_name(name),
    })
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

/// The name in lower case; `None` where there is none (`*`), or one that no host may have.
fn host_name(field: &[u8]) -> Option<String> {
    let name = text(field)?;
    let fits = name != "*" && name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dnsmasq 2.90 wrote it, a DHCPv6 part included.
    const FILE: &str = "\
1763823000 aa:bb:cc:dd:ee:01 192.168.1.50 IPCam 01:aa:bb:cc:dd:ee:01
0 aa:bb:cc:dd:ee:02 192.168.1.51 * *
1763823001 06-aa:bb:cc:dd:ee:03 192.168.1.52 serial *
duid 00:01:00:01:2a:2b:2c:2d:aa:bb:cc:dd:ee:ff
1763823002 3722304989 fd00::123 ipcam 00:01:00:01:2e:2f:30:31:aa:bb:cc:dd:ee:01
";

    #[test]
    fn leases_of_dnsmasq() {
        let all = parse(FILE.as_bytes());
        assert_eq!(all.len(), 2);
        let camera = Lease {
            expiry: 1_763_823_000,
            mac: Mac([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 1]),
            addr: "192.168.1.50".parse().unwrap(),
            name: Some("ipcam".into()),
        };
        assert_eq!(all[0], camera);
        assert_eq!((all[1].expiry, all[1].name.clone()), (0, None));
    }

    #[test]
    fn a_torn_file_never_gives_a_wrong_lease() {
        let whole = parse(FILE.as_bytes());
        for cut in 0..FILE.len() {
            let some = parse(&FILE.as_bytes()[..cut]);
            assert_eq!(some[..], whole[..some.len()], "cut at {cut}");
        }
        assert_eq!(parse(b"1 aa:bb:cc:dd:ee:01 192.168.1.5 cam").len(), 0);
        assert_eq!(parse(b"1 aa:bb:cc:dd:ee:01 192.168.1.5 cam\n").len(), 1);
        assert_eq!(parse(b"1 aa:bb:cc:dd:ee:01 192.168.1.5 cam *").len(), 1);
    }

    #[test]
    fn what_is_not_a_lease() {
        for line in [
            "",
            "x aa:bb:cc:dd:ee:01 192.168.1.5 cam *",
            "-1 aa:bb:cc:dd:ee:01 192.168.1.5 cam *",
            "1 aa:bb:cc:dd:ee 192.168.1.5 cam *",
            "1 aa:bb:cc:dd:ee:01 192.168.1.256 cam *",
            "1 aa:bb:cc:dd:ee:01 fd00::1 cam *",
            "1 aa:bb:cc:dd:ee:01 192.168.1.5",
            "99999999999999999999 aa:bb:cc:dd:ee:01 192.168.1.5 cam *",
        ] {
            assert_eq!(parse(format!("{line}\n").as_bytes()), [], "{line}");
        }
        let long = format!("1 aa:bb:cc:dd:ee:01 192.168.1.5 cam {}\n", "x".repeat(MAX_LINE));
        assert_eq!(parse(long.as_bytes()), []);
    }

    #[test]
    fn a_name_that_no_host_may_have_is_not_taken() {
        let name = |name: &[u8]| {
            let line = [b"1 aa:bb:cc:dd:ee:01 192.168.1.5 ", name, b" *\n"].concat();
            parse(&line).remove(0).name
        };
        assert_eq!(name(b"CAM-1").as_deref(), Some("cam-1"));
        assert_eq!(name(b"cam\x1b[31m"), None);
        assert_eq!(name(b"cam\x07"), None);
        assert_eq!(name(b"c\xc3\xa4m"), None);
        assert_eq!(name(b"c\xffm"), None);
        assert_eq!(name(&[b'x'; 254]), None);
    }

    #[test]
    fn the_number_and_the_size_are_bounded() {
        let line = "1 aa:bb:cc:dd:ee:01 192.168.1.5 c *\n";
        assert_eq!(parse(line.repeat(MAX_LEASES + 10).as_bytes()).len(), MAX_LEASES);
        let wide = format!("1 aa:bb:cc:dd:ee:01 192.168.1.5 {} {}\n", "c".repeat(200), "d".repeat(700));
        let many = parse(wide.repeat(MAX_LEASES).as_bytes());
        assert_eq!(many.len(), MAX_BYTES.div_ceil(wide.len()), "of the last only the client's id is cut");
    }
}
