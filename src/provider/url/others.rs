//! The services that have words of their own, one row each. Sources: `docs/providers.md`.

use super::entry;
use super::row::{Other, Row, Word, OPEN, PLAIN};
use crate::provider::Entry;

/// FreeDNS, all its ways.
const AFRAID: &[(&str, Word)] = &[
    ("has not changed", Word::Same),
    ("no ip change detected", Word::Same),
    ("invalid update url", Word::Token),
    ("unable to locate this record", Word::Token),
    ("error", Word::Said),
    ("updated", Word::Good),
];

/// The services as rows of [`crate::provider::PROVIDERS`].
pub(super) const ENTRIES: &[Entry] = &[
    entry("1984", "1984 Hosting", "https://1984.hosting/", &Row {
        url: "https://api.1984.is/1.0/freedns/?apikey={token}&domain={host}&ip={ip4}",
        words: &[("\"ok\":false", Word::Said), ("unaltered", Word::Same), ("\"ok\":true", Word::Good)], ..OPEN
    }),
    entry("afraid_key", "FreeDNS (afraid.org), by the key of a record", "https://freedns.afraid.org/", &Row {
        url: "https://freedns.afraid.org/dynamic/update.php?{token}&address={ip}",
        words: AFRAID, single: true, ..OPEN
    }),
    entry("afraid_v2", "FreeDNS (afraid.org), version 2", "https://freedns.afraid.org/", &Row {
        url: "https://{v6.}sync.afraid.org/u/?h={host}&ip={ip}", words: AFRAID, ..PLAIN
    }),
    entry("afraid_token", "FreeDNS (afraid.org), version 2, by the token of a record", "https://freedns.afraid.org/", &Row {
        url: "https://{v6.}sync.afraid.org/u/{token}/?address={ip}", words: AFRAID, single: true, ..OPEN
    }),
    entry("changeip", "ChangeIP", "https://www.changeip.com/", &Row {
        url: "https://nic.changeip.com/nic/update?hostname={host}&ip={ip4}",
        words: &[("successful", Word::Good), ("success", Word::Good)], page: true, ..PLAIN
    }),
    entry("ddns_fm", "DDNS.FM", "https://ddns.fm/", &Row {
        url: "https://api.ddns.fm/update?key={token}&domain={host}&myip={ip}", other: Other::Any, ..OPEN
    }),
    entry("ddnss", "DDNSS.de", "https://ddnss.de/", &Row {
        url: "https://www.ddnss.de/upd.php?user={user}&pwd={password}&host={host}&ip={ip4}&ip6={ip6}",
        words: &[
            ("badauth", Word::Login), ("notfqdn", Word::NotFqdn), ("badysys", Word::System), ("badsys", Word::System),
            ("no change", Word::Same), ("updated 1 hostname", Word::Good),
        ],
        joint: true, page: true, ..OPEN
    }),
    entry("dhis", "DHIS", "https://www.dhis.org/", &Row {
        url: "https://is{6}.dhis.org/?hostname={host}&password={password}&ipaddr={ip}&updatetimeout=0",
        other: Other::Address, each: true, ..OPEN
    }),
    entry("dinahosting", "dinahosting", "https://dinahosting.com/", &Row {
        url: "https://dinahosting.com/special/api.php?hostname={sub}&domain={zone}&command=Domain_Zone_UpdateType{type}&ip={ip}",
        words: &[("errors_0_message", Word::Said), ("success", Word::Good)], ..PLAIN
    }),
    entry("directnic", "Directnic", "https://directnic.com/", &Row {
        url: "https://directnic.com/dns/gateway/{token}/?data={ip}",
        words: &[("\"result\":\"success\"", Word::Good), ("\"result\"", Word::Said)], single: true, ..OPEN
    }),
    entry("dnsever", "DNSEver", "https://kr.dnsever.com/", &Row {
        url: "https://dyna.dnsever.com/update.php?host%5B{host}%5D={ip4}", other: Other::Any, ..PLAIN
    }),
    entry("dnsexit", "DNSExit", "https://dnsexit.com/", &Row {
        url: "https://api.dnsexit.com/dns/ud/?apikey={token}&host={host}&ip={ip4}",
        words: &[
            ("\"code\":0", Word::Good), ("\"code\":1", Word::Same), ("\"code\":2", Word::Token),
            ("\"code\":6", Word::Trouble), ("\"code\"", Word::Said),
        ],
        ..OPEN
    }),
    entry("dnsmadeeasy", "DNS Made Easy", "https://dnsmadeeasy.com/", &Row {
        url: "https://cp.dnsmadeeasy.com/servlet/updateip?username={user}&password={password}&id={id}&ip={ip4}",
        words: &[
            ("error-record-ip-same", Word::Same), ("error-auth-suspend", Word::Suspended),
            ("error-auth-voided", Word::Suspended), ("error-auth", Word::Login), ("error-record-invalid", Word::NotFound),
            ("error-record-auth", Word::Yours), ("error-record-auto", Word::Said), ("error-system", Word::Trouble),
            ("error", Word::Trouble), ("success", Word::Good),
        ],
        single: true, ..OPEN
    }),
    entry("domaindiscount24", "domaindiscount24, Moniker and others of Key-Systems", "https://www.domaindiscount24.com/", &Row {
        url: "https://dynamicdns.key-systems.net/update.php?hostname={host}&password={password}&ip={ip4}",
        words: &[("authorization failed", Word::Either), ("success", Word::Good), ("code = 200", Word::Good)],
        other: Other::EmptyUpdated, each: true, ..OPEN
    }),
    entry("dondominio", "DonDominio", "https://www.dondominio.com/", &Row {
        url: "https://dondns.dondominio.com/plain/?user={user}&password={password}&host={host}&ip={ip4}",
        words: &[("error", Word::Said), ("ok", Word::Good)], other: Other::Address, ..OPEN
    }),
    entry("dynadot", "Dynadot", "https://www.dynadot.com/", &Row {
        url: "https://www.dynadot.com/set_ddns?domain={zone}&subDomain={sub}&type={type}&ip={ip}&pwd={password}&ttl={ttl|600}&containRoot={root}",
        words: &[("\"error_code\":-1", Word::Said), ("\"error_code\":0", Word::Good), ("\"status\":\"success\"", Word::Good), ("ok", Word::Good)], ..OPEN
    }),
    entry("enom", "eNom", "https://www.enom.com/", &Row {
        url: "https://dynamic.name-services.com/interface.asp?Command=SetDNSHost&HostName={label}&Zone={zone}&DomainPassword={password}&Address={ip4}",
        words: &[("done=true", Word::Good), ("err1", Word::Said)], ..OPEN
    }),
    entry("freemyip", "freemyip.com", "https://freemyip.com/", &Row {
        url: "https://freemyip.com/update?token={token}&domain={host}&myip={ip4}",
        words: &[("ok", Word::Good), ("error", Word::Either)], each: true, ..OPEN
    }),
    entry("gira", "Gira DNS", "https://www.gira.de/", &Row {
        url: "https://homeserver.gira.de/hsdyndns.php?u={user}&p={password}&ip={ip}", words: &[("ok", Word::Good)], ..OPEN
    }),
    entry("goip", "GoIP", "https://www.goip.de/", &Row {
        url: "https://www.goip.de/setip?username={user}&password={password}&subdomain={host}&ip={ip4}&ip6={ip6}&shortResponse=true",
        words: &[("zugriff verweigert", Word::Login)], other: Other::Address, joint: true, ..OPEN
    }),
    entry("ipv64", "IPv64.net", "https://ipv64.net/", &Row {
        url: "https://ipv64.net/nic/update?key={token}&domain={host}&ip={ip4}&ip6={ip6}",
        words: &[("nochg", Word::Same), ("good", Word::Good), ("badauth", Word::Token)],
        joint: true, ..OPEN
    }),
    entry("myaddr", "myaddr", "https://myaddr.tools/", &Row {
        url: "https://myaddr.tools/update?key={token}&ip={ip}", other: Other::Any, post: true, single: true, ..OPEN
    }),
    entry("mydns", "MyDNS.JP", "https://www.mydns.jp/", &Row {
        url: "https://www.mydns.jp/directip.html?MID={user}&PWD={password}&IPV4ADDR={ip4}&IPV6ADDR={ip6}",
        words: &[
            ("login_status = 0", Word::Login), ("notify ok", Word::Good), ("login_status = 1", Word::Good),
        ],
        joint: true, page: true, ..OPEN
    }),
    entry("namecheap", "Namecheap", "https://www.namecheap.com/", &Row {
        url: "https://dynamicdns.park-your-domain.com/update?host={label}&domain={zone}&password={password}&ip={ip4}",
        words: &[
            ("<errcount>0</errcount>", Word::Good), ("304156", Word::Login), ("passwords do not match", Word::Login),
            ("316153", Word::NotFound), ("380091", Word::NoHost), ("<err1>", Word::Said),
        ],
        ..OPEN
    }),
    entry("njalla", "Njalla", "https://njal.la/", &Row {
        url: "https://njal.la/update/?h={host}&k={token}&a={ip4}&aaaa={ip6}",
        words: &[("record updated", Word::Good), ("invalid host or key", Word::Either)], joint: true, each: true, ..OPEN
    }),
    entry("regfish", "regfish", "https://www.regfish.de/", &Row {
        url: "https://dyndns.regfish.de/?fqdn={host}&forcehost=1&authtype=secure&token={token}&ipv4={ip4}&ipv6={ip6}",
        words: &[("success|101", Word::Same), ("success", Word::Good), ("failure|401", Word::Token), ("failure", Word::Said)], joint: true, ..OPEN
    }),
    entry("sitelutions", "Sitelutions", "https://sitelutions.com/", &Row {
        url: "https://api2.sitelutions.com/dnsup?id={id}&user={user}&pass={password}&ip={ip4}",
        words: &[("dberror", Word::Trouble), ("noauth", Word::Login), ("success", Word::Good)], single: true, ..OPEN
    }),
    entry("twodns", "TwoDNS", "https://www.twodns.de/", &Row {
        url: "https://update.twodns.de/update?hostname={host}&ip={ip4}", other: Other::Any, ..PLAIN
    }),
];
