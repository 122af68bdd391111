//! The rows: every section type with its options, in the order in which they are read.

use super::{list, option, Built, Kind, OptionRow, SectionRow};
use std::time::Duration;

const FAMILY: Kind = Kind::Word(&["any", "ipv4", "ipv6"]);
const ENABLED: OptionRow = option("enabled", Kind::Bool, "1", "0: as if the section were not there");
const fn seconds(from: u64, to: u64) -> Kind {
    Kind::Duration { min: Duration::from_secs(from), max: Duration::from_secs(to) }
}
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Every section type, in the order in which they are read.
pub static SECTIONS: &[SectionRow] = &[
    SectionRow {
        kind: "porchlight",
        built: true,
        doc: "What concerns the whole agent; one section",
        options: GLOBAL,
    },
    SectionRow { kind: "wan", built: true, doc: "A way to the internet; one or more", options: WAN },
    SectionRow { kind: "record", built: true, doc: "Names that follow a WAN's address", options: RECORD },
    SectionRow {
        kind: "camera",
        built: true,
        doc: "A device on the LAN, and how it is known",
        options: CAMERA,
    },
    SectionRow {
        kind: "mapping",
        built: true,
        doc: "A port of the WAN that leads to a camera",
        options: MAPPING,
    },
    SectionRow { kind: "tunnel", built: true, doc: "A way out of carrier-grade NAT", options: TUNNEL },
    SectionRow { kind: "notify", built: true, doc: "Whom to tell, and of what", options: NOTIFY },
];

static GLOBAL: &[OptionRow] = &[
    option("enabled", Kind::Bool, "1", "0: the agent does nothing"),
    option(
        "log_level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "How much is logged",
    ),
    option("resident", Kind::Bool, "1", "0: no daemon; hotplug and cron run one pass"),
    option("check_interval", seconds(60, DAY), "10m", "The scheduled look when nothing happens"),
    option(
        "debounce",
        seconds(0, 10),
        "200ms",
        "Events within this time after the first one make one decision",
    ),
    option("timeout", seconds(1, 60), "10s", "The longest time for one request"),
    option(
        "cacert",
        Kind::Path,
        "/etc/ssl/certs/ca-certificates.crt",
        "PEM file of the authorities to trust",
    ),
    option(
        "mapping_backend",
        Kind::Word(&["auto", "service", "uci", "nft", "none"]),
        "auto",
        "Who carries the mappings",
    ),
    option(
        "upstream",
        Kind::Word(&["auto", "on", "off"]),
        "auto",
        "Ask the router above us for the mapping too (PCP, NAT-PMP, UPnP); auto: where the WAN's address is private",
    ),
    option("keep_on_stop", Kind::Bool, "0", "1: a clean stop leaves the mappings in place"),
    option(
        "probe_url",
        Kind::Url,
        "",
        "A service that tries a port from the internet, such as https://ifconfig.co/port/{port}; {ip} is the address; \
         default: only the inside is tested",
    ),
    option("probe_open", Kind::Text, "true", "What it answers where the port is open; blanks and case do not count"),
    option("probe_closed", Kind::Text, "false", "What it answers where the port is closed"),
];

static WAN: &[OptionRow] = &[
    ENABLED,
    list(
        "interface",
        Kind::Interface,
        "",
        "netifd's names of it, such as wan and wan6; IPv4 and IPv6 may come by different ones (OpenWrt)",
    ),
    option(
        "device",
        Kind::Device,
        "",
        "In place of them: the network device, or auto for the one with the default route",
    ),
    option("family", FAMILY, "any", "Which addresses of it count"),
    list(
        "ip_source",
        Kind::Word(&["interface", "dns", "web", "script"]),
        "interface dns web",
        "Whom to ask for the address, in this order",
    ),
    list("ip_url", Kind::Url, "", "Web witnesses in place of the built-in ones"),
    option("ip_script", Kind::Path, "", "A program that prints the address"),
    option("agree", Kind::Number { min: 1, max: 9 }, "2", "Witnesses that must agree"),
    list("accept", Kind::Network, "", "Special-purpose networks whose addresses are published all the same"),
];

static RECORD: &[OptionRow] = &[
    ENABLED,
    option("provider", Kind::Provider, "", "The DNS service").required(),
    list("domain", Kind::Domain, "", "The names to keep right").required(),
    option("zone", Kind::Zone, "", "The zone, where the longest-suffix search must not decide"),
    list(
        "wan",
        Kind::Reference("wan"),
        "",
        "The first of them that is publicly reachable; default: all, in order",
    ),
    option("family", FAMILY, "ipv4", "Which addresses to publish"),
    option(
        "refresh",
        Kind::Refresh { min: Duration::from_secs(DAY), max: Duration::from_secs(365 * DAY) },
        "",
        "Send it once more after so long without a change, or never; default: where names expire, before that",
    ),
    option("ttl", seconds(1, 7 * DAY), "", "Time to live; default: the record's own, or the provider's"),
    option(
        "on_lost",
        Kind::Word(&["keep", "delete"]),
        "keep",
        "What to do once the family has been gone for a day",
    )
    .built(Built::Default),
    option("follow_tunnel", Kind::Bool, "0", "1: point at the tunnel's server while a tunnel carries"),
];

static CAMERA: &[OptionRow] = &[
    ENABLED,
    list("mac", Kind::Mac, "", "Its hardware addresses: Wi-Fi and cable"),
    option("name", Kind::Host, "", "Its DHCP name"),
    option("ip", Kind::Target, "", "Its address on the LAN"),
    list(
        "record",
        Kind::Reference("record"),
        "",
        "The records whose names lead to it; if a mapping goes by IPv6, their AAAA is its own address",
    ),
    option(
        "hostid",
        Kind::Suffix,
        "",
        "The second half of its IPv6 address; default: made of its MAC (EUI-64)",
    ),
    option(
        "static_lease",
        Kind::Bool,
        "0",
        "1: dnsmasq always gives it this address: a host section in /etc/config/dhcp",
    ),
];

static MAPPING: &[OptionRow] = &[
    ENABLED,
    option("camera", Kind::Reference("camera"), "", "Where it leads").required(),
    option("src", Kind::Text, "wan", "Firewall zone that it is reached from (fw4)"),
    option("dest", Kind::Text, "lan", "Firewall zone of the camera (fw4)"),
    list("proto", Kind::Word(&["tcp", "udp"]), "tcp", "Protocols"),
    option("src_dport", Kind::Ports, "", "Port or range on the WAN").required(),
    option("dest_port", Kind::Ports, "", "Port or range on the camera; default: src_dport"),
    list("src_ip", Kind::Source, "", "Who may: networks, addresses, names; default: anyone"),
    option(
        "family",
        FAMILY,
        "ipv4",
        "ipv4: by the WAN's address; ipv6: at the camera's own; any: both, on the same port",
    ),
    option(
        "schedule",
        Kind::Schedule,
        "",
        "When it is open: days and hours by the local clock; default: always",
    ),
    option(
        "probe",
        Kind::Word(&["rtsp", "http", "tcp", "none"]),
        "rtsp",
        "How the camera is asked whether it wants a password; tcp and none prove nothing",
    ),
    option("path", Kind::Path, "/", "The path that the probe asks for: the stream's"),
    option("probe_interval", seconds(60, 7 * DAY), "1h", "After so long the camera is asked again"),
    option("allow_open", Kind::Bool, "0", "1: open it although it is not proven to ask for a password"),
];

static TUNNEL: &[OptionRow] = &[
    ENABLED,
    option("kind", Kind::Word(&["bore", "ssh", "frp", "script"]), "", "Which tunnel").required(),
    option(
        "when",
        Kind::Word(&["unreachable", "always"]),
        "unreachable",
        "unreachable: once no WAN was publicly reachable for a minute, until one was for five",
    ),
    list(
        "mapping",
        Kind::Reference("mapping"),
        "",
        "What it carries while it is open: mappings of one TCP port, without src_ip",
    )
    .required(),
    list(
        "remote_port",
        Kind::Number { min: 0, max: 65_535 },
        "",
        "The ports on the server, in the order of list mapping; 0: any; default: each one's src_dport",
    ),
    option("server", Kind::Source, "", "Its server: a name or an address"),
    option(
        "port",
        Kind::Number { min: 1, max: 65_535 },
        "",
        "The server's own port; default: 7835 (bore), 22 (ssh), 7000 (frp)",
    ),
    option("token", Kind::Text, "", "The server's secret").secret(),
    option(
        "username",
        Kind::Text,
        "",
        "For ssh: the account on the server; for frp: the user, if its server tells users apart",
    ),
    option("key_file", Kind::Path, "", "For ssh: the file of the private key, without a passphrase"),
    list(
        "host_key",
        Kind::Text,
        "",
        "For ssh: the server's public keys, as in its /etc/ssh/ssh_host_ed25519_key.pub",
    ),
    option("tcp_mux", Kind::Bool, "1", "For frp: 0: without yamux, as transport.tcpMux of the server is"),
    option(
        "tls",
        Kind::Bool,
        "1",
        "For frp: 0: without TLS, so that all but the token can be read on the way",
    ),
    option(
        "tls_verify",
        Kind::Bool,
        "1",
        "For frp: 0: take any certificate, as frpc does: whoever sits between may be the server",
    ),
    option("tls_server_name", Kind::Text, "", "For frp: the name in its certificate; default: server"),
    option(
        "tls_first_byte",
        Kind::Bool,
        "0",
        "For frp: 1: begin TLS with byte 0x17, for servers before 0.38",
    ),
    option("cacert", Kind::Path, "", "For frp: PEM file of who vouches for it; default: the global option"),
];

static NOTIFY: &[OptionRow] = &[
    ENABLED,
    option(
        "kind",
        Kind::Word(&[
            "webhook",
            "ntfy",
            "telegram",
            "bark",
            "dingtalk",
            "feishu",
            "serverchan",
            "discord",
            "slack",
            "email",
            "script",
        ]),
        "",
        "Which service",
    )
    .required(),
    list(
        "on",
        Kind::Word(&["changed", "failing", "recovered", "exposed", "refused"]),
        "failing recovered refused",
        "What to tell of",
    ),
    option("details", Kind::Bool, "0", "1: with names and addresses (not for a topic that others can read)"),
    option(
        "title",
        Kind::Text,
        "Porchlight",
        "What every title begins with: the place, where you have several",
    ),
    option("url", Kind::Text, "", "Where to send it: the address that the service shows").secret(),
    option("token", Kind::Text, "", "The service's token or key").secret(),
    option("secret", Kind::Text, "", "The robot's signing secret").secret(),
    option("chat_id", Kind::Text, "", "The chat's number, or @name of a channel"),
    option("method", Kind::Text, "", "The request's method; default: POST"),
    list("header", Kind::Text, "", "Its headers, `Name: value`").secret(),
    option("body", Kind::Text, "", "What it carries; default: all fields as JSON").secret(),
    option("to", Kind::Text, "", "The recipients, separated by commas"),
    option("from", Kind::Text, "", "The sender; default: what sendmail says"),
    option("program", Kind::Path, "", "The program to run; of email: in place of sendmail"),
];
