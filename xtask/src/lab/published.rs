//! What was published in this lab, by the servers' word and by the agents' own: nothing private, ever. Every scenario is
//! held to it, whatever else it is about.

use anyhow::{ensure, Result};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Between an address and the time that it took, in the line that an agent logs for each publication.
const LOGGED: &str = " published in ";

/// Of this process, which is one scenario's.
pub static PUBLISHED: Published = Published(Mutex::new((0, Vec::new())));

/// How many publications there were, and who was told what of the private ones.
pub struct Published(Mutex<(usize, Vec<String>)>);

impl Published {
    fn lock(&self) -> MutexGuard<'_, (usize, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was told to publish an address.
    pub fn note(&self, who: &str, addr: IpAddr) {
        let mut seen = self.lock();
        seen.0 += 1;
        if is_private(addr) {
            seen.1.push(format!("{who}: {addr}"));
        }
    }

    /// Takes in a line of a log, if it is of a publication.
    pub fn read_log(&self, line: &str) {
        let before = line.split_once(LOGGED).and_then(|(before, _)| before.rsplit(' ').next());
        if let Some(addr) = before.and_then(|word| word.parse().ok()) {
            self.note("by an agent's log", addr);
        }
    }

    /// Fails if anything private was published.
    pub fn check(&self) -> Result<()> {
        let (all, private) = &*self.lock();
        ensure!(
            private.is_empty(),
            "of {all} publications {} were private:\n{}",
            private.len(),
            private.join("\n")
        );
        Ok(())
    }
}

/// Whether nobody in the internet could reach it, whatever a configuration accepts. The documentation networks are the lab's
/// internet.
fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, c, _] = addr.octets();
            // RFC 6598, RFC 6890.
            let shared = a == 100 && (64..128).contains(&b) || (a, b, c) == (192, 0, 0);
            let own = addr.is_private() || addr.is_loopback() || addr.is_link_local();
            shared || own || a == 0 || a >= 224
        }
        IpAddr::V6(addr) => {
            let own = addr.is_unique_local() || addr.is_unicast_link_local();
            own || addr.is_loopback() || addr.is_unspecified() || addr.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_noted_once_for_each_time() {
        let seen = Published(Mutex::default());
        seen.read_log("INFO  [porchlight::agent] #1 cam.example.com A: 203.0.113.10 published in 3 ms");
        seen.read_log("INFO  [porchlight::agent] #1 cam.example.com A: 10.9.8.7 is not published");
        assert!(seen.check().is_ok());
        seen.read_log("INFO  [porchlight::agent] #2 cam.example.com A: 100.64.5.6 published in 3 ms");
        seen.note("a server", "fd00::7".parse().unwrap());
        let told = seen.check().unwrap_err().to_string();
        assert_eq!(
            told,
            "of 3 publications 2 were private:\nby an agent's log: 100.64.5.6\na server: fd00::7"
        );
        for public in ["203.0.113.1", "100.128.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        for private in ["192.168.0.1", "172.16.0.1", "169.254.0.1", "192.0.0.2", "0.0.0.0", "fe80::1", "::1"]
        {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
    }
}
