//! Why options of other clients are left out, and what to do instead.

/// Names with blanks between, and why they are left out. An asterisk at the end stands for any more letters.
pub(super) const REASONS: [(&str, &str); 8] = [
    (
        "check_interval check_unit force_interval force_unit retry_interval retry_unit retry_count retry_max_count period \
         forced-update iterations daemon min-interval max-interval min-error-interval broken-rtc fake-address",
        "not needed: a change is seen when it happens, failures are tried again by themselves, and names that expire are sent \
         again in time",
    ),
    (
        "ip_url web webv* web-* checkip-server checkip-path checkip-ssl fw fw-* fwv* url",
        "left out: the address is read from the interface, and asked of others only where that one is private; \
         list ip_url in section wan names others",
    ),
    (
        "ip_script checkip-command cmd cmd-skip cmdv*",
        "left out: the address is read from the interface; if only that program knows it: \
         option ip_script, list ip_source 'script' and option agree '1' in section wan",
    ),
    ("webhook* mail mail-* postscript exec", "left out: write a notify section for it (see the README)"),
    ("proxy httpinterface bind_network", "left out: requests go directly, by the router's own routes"),
    (
        "wildcard mx backupmx static custom is_glue on-root-domain",
        "left out: set it once in the service's own web pages",
    ),
    ("server", "left out for a service that is known here: it is reached where the service itself says"),
    ("", "left out: nothing here stands for it"),
];

/// Options that mean nothing beyond the other client, or are always so here.
const QUIET: &str = "enabled log_* run_dir date_format ddns_* use_* force_* cacert dns_server lookup_host ip_source \
    ip_network ip_interface interface upd_privateip allow_local_ip param_enc param_opt service_name cache cache-dir pid file \
    syslog facility priority verbose quiet debug foreground test query retry timeout ssl ssl_* user-agent verify-address \
    secure-ssl ca-trust-file jitter help noquiet quietreply redirect max-warn fw-banlocal if-skip name ipv6reg lang \
    user username password notallowwanaccess tcp use-personal-access-token web-ssl-validate";

fn stands_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|known| match known.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => known == name,
    })
}

/// The place of the reason for which an option is left out; `None`: there is nothing to say.
pub(super) fn of(name: &str) -> Option<usize> {
    if stands_in(QUIET, name) {
        return None;
    }
    REASONS.iter().position(|(names, _)| names.is_empty() || stands_in(names, name))
}
