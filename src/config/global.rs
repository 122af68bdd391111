//! Section `porchlight`: what holds for all others.

use std::time::Duration;

/// Section `porchlight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `option enabled`.
    pub enabled: bool,
    /// `option log_level`.
    pub log_level: log::LevelFilter,
    /// `option resident`: a daemon stays; else hotplug and cron make passes.
    pub resident: bool,
    /// `option check_interval`: the scheduled look when nothing happens.
    pub check_interval: Duration,
    /// `option debounce`.
    pub debounce: Duration,
    /// `option timeout`: one request.
    pub timeout: Duration,
    /// `option cacert`: a PEM file of trusted roots.
    pub cacert: String,
    /// `option mapping_backend`.
    pub backend: BackendChoice,
    /// `option upstream`.
    pub upstream: Upstream,
    /// `option keep_on_stop`.
    pub keep_on_stop: bool,
    /// `option probe_url`: who tries the ports from the internet; `None`: nobody.
    pub probe_url: Option<ProbeUrl>,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            enabled: true,
            log_level: log::LevelFilter::Info,
            resident: true,
            check_interval: Duration::from_secs(600),
            debounce: Duration::from_millis(200),
            timeout: Duration::from_secs(10),
            cacert: "/etc/ssl/certs/ca-certificates.crt".into(),
            backend: BackendChoice::Auto,
            upstream: Upstream::Auto,
            keep_on_stop: false,
            probe_url: None,
        }
    }
}

impl Global {
    /// Whether a clean stop leaves the mappings: what is written in the firewall's configuration always stays, so that
    /// a restart does not wear the flash.
    pub fn leaves_mappings(&self) -> bool {
        self.keep_on_stop || self.backend == BackendChoice::Uci
    }
}

/// `option probe_url`: a service that tries a port from the internet, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeUrl {
    /// Its address, with `{port}` and perhaps `{ip}`.
    pub url: String,
    /// `option probe_open`: what the answer holds if the port is open.
    pub open: String,
    /// `option probe_closed`: what it holds if the port is closed.
    pub closed: String,
}

impl ProbeUrl {
    /// Its host, and its port if it has one: all that may be shown. A query, which may hold a secret, can follow at once.
    pub fn host(&self) -> &str {
        self.url.split(['/', '?']).nth(2).unwrap_or_default()
    }
}

/// `option upstream`: whether the router above us is asked for our ports too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Where the WAN's own address is private.
    Auto,
    /// Always.
    On,
    /// Never. So it is without a daemon, which would renew what was given.
    Off,
}

/// `option mapping_backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// `service` where OpenWrt's firewall (fw4) is, else `nft`.
    Auto,
    /// Redirects as data of a procd service, which fw4 reads.
    Service,
    /// Named redirects in `/etc/config/firewall`, which fw4 reads.
    Uci,
    /// An nftables table of our own.
    Nft,
    /// No mapping at all.
    None,
}
