//! By what other names the providers are known: inadyn's, those of OpenWrt's ddns-scripts and ddclient's protocols, so
//! that their users find what they had.

/// What inadyn puts before a service's domain.
const PREFIXES: [&str; 4] = ["default@", "ipv4@", "ipv6@", "dyndns@"];

/// The provider's own name, by a name that another client has for it (`default@no-ip.com`, `no-ip.com`).
pub(super) fn own_name(name: &str) -> Option<&'static str> {
    let known = |name: &str| {
        ALSO.iter().find(|(_, names)| names.split(' ').any(|also| also == name)).map(|(own, _)| *own)
    };
    known(name).or_else(|| {
        let domain = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
        known(domain)
    })
}

/// The other names of a provider.
pub(super) fn names(own: &str) -> impl Iterator<Item = &'static str> {
    let found = ALSO.iter().find(|(name, _)| *name == own);
    found.map_or("", |(_, names)| *names).split_ascii_whitespace()
}

/// The own name, and the others with a blank between.
const ALSO: &[(&str, &str)] = &[
    ("1984", "1984.is"),
    ("3322", "3322.org pubyun"),
    ("afraid", "afraid.org-basicauth freedns.afraid.org freedns"),
    ("afraid_key", "afraid.org-keyauth"),
    ("afraid_token", "afraid.org-v2-token"),
    ("afraid_v2", "afraid.org-v2-basic"),
    ("alidns", "aliyun.com"),
    ("all_inkl", "all-inkl.com allinkl"),
    ("apertodns", "apertodns.com"),
    ("apertodns_token", "apertodns.com-token"),
    ("changeip", "changeip.com"),
    ("cloudflare", "cloudflare.com cloudflare.com-v4"),
    ("core_networks", "core-networks.de"),
    ("ddns_fm", "ddns.fm"),
    ("ddnss", "ddnss.de"),
    ("desec", "desec.io"),
    ("dhis", "dhis.org"),
    ("digitalocean", "digitalocean.com-v2"),
    ("dnsever", "dnsever.com"),
    ("dnsexit", "dnsexit.com dnsexit2"),
    ("dnshome", "dnshome.de"),
    ("dnsmadeeasy", "dnsmadeeasy.com"),
    ("dnsomatic", "dnsomatic.com"),
    ("dnspod", "dnspod.cn"),
    ("do_de", "do.de"),
    ("domaindiscount24", "domaindiscount24.com moniker.com moniker keysystems dd24"),
    ("domeneshop", "domene.shop"),
    ("domopoli", "domopoli.de default@domopoli"),
    ("dondominio", "dondominio.com"),
    ("duckdns", "duckdns.org"),
    ("dy_fi", "dy.fi"),
    ("dyn", "dyndns.org dyn.com"),
    ("dyndns_it", "dyndns.it"),
    ("dynu", "dynu.com"),
    ("dynv6", "dynv6.com ipv4.dynv6.com"),
    ("easydns", "easydns.com"),
    ("eurodns", "eurodns.com"),
    ("freemyip", "freemyip.com"),
    ("gandi", "gandi.net gandi.net-v2"),
    ("gira", "gira.de"),
    ("godaddy", "godaddy.com-v1"),
    ("goip", "goip.de"),
    ("he", "he.net"),
    ("hetzner", "hetzner.cloud"),
    ("hosting_de", "hosting.de"),
    ("huaweicloud", "huaweicloud.com"),
    ("infomaniak", "infomaniak.com"),
    ("inwx", "inwx.com inwx.de"),
    ("ipv64", "ipv64.net"),
    ("itsdns", "itsdns.de"),
    ("joker", "joker.com"),
    ("loopia", "loopia.com loopia.se"),
    ("luadns", "luadns.com-v1"),
    ("mydns", "mydns.jp"),
    ("myonlineportal", "myonlineportal.net"),
    ("namecheap", "namecheap.com"),
    ("namesilo", "namesilo.com-v1"),
    ("netcup", "netcup.com"),
    ("nic_ru", "nic.ru nicru"),
    ("njalla", "njal.la"),
    ("noip", "no-ip.com noip.com"),
    ("nowdns", "now-dns.com"),
    ("nsone", "ns1.com ns1"),
    ("nsupdate_info", "nsupdate.info"),
    ("opendns", "opendns.com"),
    ("oray", "oray.com"),
    ("ovh", "ovh.com"),
    ("porkbun", "porkbun.com porkbun.com-v3"),
    ("powerdns", "pdns PowerDNS"),
    ("regfish", "regfish.de regfishde"),
    ("rfc2136", "bind-nsupdate nsupdate"),
    ("route53", "route53-v1"),
    ("scaleway", "scaleway.com"),
    ("schokokeks", "schokokeks.org"),
    ("selfhost", "selfhost.de"),
    ("servercow", "servercow.de"),
    ("simply", "simply.com"),
    ("sitelutions", "sitelutions.com"),
    ("spdyn", "spdyn.de"),
    ("strato", "strato.com"),
    ("tencentcloud", "dnspod.cn-v3"),
    ("tunnelbroker", "tunnelbroker.net ipv6@he.net ipv6tb@he.net"),
    ("twodns", "twodns.de"),
    ("udmedia", "udmedia.de"),
    ("variomedia", "variomedia.de"),
    ("xlhost", "xlhost.de"),
    ("ydns", "ydns.io"),
    ("zoneedit", "zoneedit.com zoneedit1"),
];
