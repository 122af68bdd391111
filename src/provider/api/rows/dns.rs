//! Hosts of DNS with an API of their own.

use crate::provider::api::{
    Fields, List, Means, Names, Pages, Says, Service, Special, NOTHING_SPECIAL, PLAIN, TOKEN, URL,
};
use crate::provider::ProviderOption;

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://api.gcore.com/docs/dns
    Service {
        name: "gcore",
        title: "Gcore",
        page: "https://gcore.com/dns",
        options: &[TOKEN, URL],
        base: "https://api.gcore.com/dns/v2",
        headers: &[("Authorization", "APIKey $:token")],
        zones: List { call: "GET /zones/$try", items: "", pages: Pages::One },
        read: List { call: "GET /zones/$zone/$fqdn/$type", items: "", pages: Pages::One },
        record: Fields {
            id: "",
            name: "",
            rtype: "",
            value: "resource_records.*.content.0",
            ..PLAIN.record
        },
        names: Names::Full,
        create: "POST /zones/$zone/$fqdn/$type {\"ttl\":$ttl,\"resource_records\":[{\"content\":[\"$addr\"],\"enabled\":true}]}",
        change: "PUT /zones/$zone/$fqdn/$type {\"ttl\":$ttl,\"resource_records\":[{\"content\":[\"$addr\"]$+enabled=resource_records.0.enabled,meta=resource_records.0.meta}]$+filters,pickers,meta}",
        wrote: "resource_records",
        ttl: (120, 120),
        code: "",
        text: "error",
        codes: &[("~already exists", Means::Stale), ("~zone is not found", Means::NoZone)],
        special: &Special { off: ("resource_records.*.enabled", "false"), ..NOTHING_SPECIAL },
        ..PLAIN
    },
    // https://developer.ibm.com/apis/catalog/ns1--ibm-ns1-connect-api/
    Service {
        name: "nsone",
        title: "IBM NS1 Connect",
        page: "https://www.ibm.com/products/ns1-connect",
        options: &[TOKEN, URL],
        base: "https://api.nsone.net/v1",
        headers: &[("X-NSONE-Key", "$:token")],
        zones: List { call: "GET /zones/$try?records=false", items: "", pages: Pages::One },
        zone_name: "zone",
        read: List { call: "GET /zones/$zone/$fqdn/$type", items: "", pages: Pages::One },
        record: Fields { id: "", name: "domain", value: "answers.*.answer.0", ..PLAIN.record },
        names: Names::Full,
        create: "PUT /zones/$zone/$fqdn/$type {\"zone\":\"$zone\",\"domain\":\"$fqdn\",\"type\":\"$type\",\"ttl\":$ttl,\"answers\":[{\"answer\":[\"$addr\"]}]}",
        change: "POST /zones/$zone/$fqdn/$type {\"ttl\":$ttl,\"answers\":[{\"answer\":[\"$addr\"]$+meta=answers.0.meta,region=answers.0.region}]}",
        wrote: "answers",
        ttl: (60, 1),
        code: "",
        codes: &[
            ("~zone not found", Means::NoZone),
            ("~record not found", Means::Absent),
            ("~record already exists", Means::Stale),
        ],
        ..PLAIN
    },
    // https://www.cloudns.net/wiki/article/41/
    Service {
        name: "cloudns",
        title: "ClouDNS",
        page: "https://www.cloudns.net/",
        options: &[
            ProviderOption::plain("auth_id", "The API user's id; or set option sub_auth_id."),
            ProviderOption::plain("sub_auth_id", "The API sub-user's id."),
            ProviderOption::secret("password", "The API user's password."),
            URL,
        ],
        base: "https://api.cloudns.net/dns",
        headers: &[],
        zones: List {
            call: "POST /list-zones.json auth-password=$:password(&auth-id=$:auth_id)(&sub-auth-id=$:sub_auth_id)&page=$page&rows-per-page=100",
            items: "*",
            pages: Pages::Of(100),
        },
        read: List {
            call: "POST /records.json auth-password=$:password(&auth-id=$:auth_id)(&sub-auth-id=$:sub_auth_id)&domain-name=$zone&host=$host&type=$type",
            items: "%|*",
            pages: Pages::One,
        },
        all: "POST /records.json auth-password=$:password(&auth-id=$:auth_id)(&sub-auth-id=$:sub_auth_id)&domain-name=$zone",
        record: Fields { name: "host", value: "record", ttl: "ttl", ..PLAIN.record },
        names: Names::Within(""),
        create: "POST /add-record.json auth-password=$:password(&auth-id=$:auth_id)(&sub-auth-id=$:sub_auth_id)&domain-name=$zone&record-type=$type&host=$host&record=$addr&ttl=$ttl",
        change: "POST /modify-record.json auth-password=$:password(&auth-id=$:auth_id)(&sub-auth-id=$:sub_auth_id)&domain-name=$zone&record-id=$id&host=$host&record=$addr&ttl=$ttl",
        wrote: "status",
        ttl: (3600, 60),
        says: Says::Is("status", "|Success"),
        code: "",
        text: "statusDescription",
        codes: &[
            ("~invalid authentication", Means::Auth),
            ("~don't have access", Means::Auth),
            ("~missing domain-name", Means::NoZone),
            ("~record-id", Means::Absent),
        ],
        ..PLAIN
    },
    // https://www.namesilo.com/api-reference#dns/dns-list-records
    Service {
        name: "namesilo",
        title: "NameSilo",
        page: "https://www.namesilo.com/",
        options: &[TOKEN, URL],
        base: "https://www.namesilo.com/api",
        headers: &[],
        zones: List {
            call: "GET /dnsListRecords?version=1&type=json&key=$:token&domain=$try",
            items: "reply",
            pages: Pages::One,
        },
        zone_name: "",
        read: List {
            call: "GET /dnsListRecords?version=1&type=json&key=$:token&domain=$zone",
            items: "reply.resource_record.*",
            pages: Pages::One,
        },
        record: Fields { id: "record_id", name: "host", value: "value", ttl: "?ttl", ..PLAIN.record },
        names: Names::Mixed(""),
        create: "GET /dnsAddRecord?version=1&type=json&key=$:token&domain=$zone&rrtype=$type&rrhost=$host&rrvalue=$addr&rrttl=$ttl",
        change: "GET /dnsUpdateRecord?version=1&type=json&key=$:token&domain=$zone&rrid=$id&rrhost=$host&rrvalue=$addr&rrttl=$ttl",
        wrote: "reply.code",
        ttl: (3600, 3600),
        says: Says::Is("reply.code", "300"),
        code: "reply.code",
        text: "reply.detail",
        codes: &[
            ("110", Means::Auth),
            ("111", Means::Auth),
            ("112", Means::Auth),
            ("113", Means::Auth),
            ("200", Means::NoZone),
            ("201", Means::Busy(60)),
            ("280", Means::Stale),
        ],
        ..PLAIN
    },
    // https://dynv6.github.io/api-spec/ ; the row dynv6 of the URL table writes a zone's own address, this one the
    // records below it.
    Service {
        name: "dynv6_api",
        title: "dynv6 (names below a zone, by its REST API)",
        page: "https://dynv6.com/",
        options: &[TOKEN, URL],
        base: "https://dynv6.com/api/v2",
        zones: List { call: "GET /zones", items: "*", pages: Pages::One },
        zone_id: "#id",
        read: List { call: "GET /zones/$zid/records", items: "*", pages: Pages::One },
        record: Fields { id: "#id", value: "data", ttl: "", ..PLAIN.record },
        names: Names::Within(""),
        create: "POST /zones/$zid/records {\"name\":\"$host\",\"type\":\"$type\",\"data\":\"$addr\"}",
        change: "PATCH /zones/$zid/records/$id {\"data\":\"$addr\"}",
        wrote: "id",
        code: "",
        text: "error.message",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
    // https://techdocs.akamai.com/linode-api/reference/get-domain-records
    Service {
        name: "linode",
        title: "Linode (Akamai)",
        page: "https://www.linode.com/",
        options: &[ProviderOption::secret("token", "A personal access token with domains:read_write."), URL],
        base: "https://api.linode.com/v4",
        zones: List { call: "GET /domains?page_size=500&page=$page", items: "data.*", pages: Pages::Of(500) },
        zone_name: "domain",
        zone_id: "#id",
        read: List {
            call: "GET /domains/$zid/records?page_size=500&page=$page",
            items: "data.*",
            pages: Pages::Of(500),
        },
        // The time to live is rounded to steps, so that it is not to be compared: an existing one stays.
        record: Fields { id: "#id", value: "target", ttl: "", ..PLAIN.record },
        names: Names::Within(""),
        create: "POST /domains/$zid/records {\"type\":\"$type\",\"name\":\"$host\",\"target\":\"$addr\",\"ttl_sec\":$ttl}",
        change: "PUT /domains/$zid/records/$id {\"target\":\"$addr\"}",
        wrote: "id",
        ttl: (300, 30),
        says: Says::No("errors"),
        code: "",
        text: "errors.0.reason",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
    // https://www.vultr.com/api/#tag/dns
    Service {
        name: "vultr",
        title: "Vultr",
        page: "https://www.vultr.com/",
        options: &[ProviderOption::secret("token", "The API key; allow any address to use it (Access Control)."), URL],
        base: "https://api.vultr.com/v2",
        zones: List {
            call: "GET /domains?per_page=500(&cursor=$cursor)",
            items: "domains.*",
            pages: Pages::Cursor("meta.links.next"),
        },
        zone_name: "domain",
        read: List {
            call: "GET /domains/$zone/records?per_page=500(&cursor=$cursor)",
            items: "records.*",
            pages: Pages::Cursor("meta.links.next"),
        },
        record: Fields { value: "data", ..PLAIN.record },
        names: Names::Within(""),
        create: "POST /domains/$zone/records {\"name\":\"$host\",\"type\":\"$type\",\"data\":\"$addr\",\"ttl\":$ttl}",
        change: "PATCH /domains/$zone/records/$id {\"data\":\"$addr\",\"ttl\":$ttl}",
        wrote: "record.id",
        ttl: (300, 120),
        says: Says::No("error"),
        code: "",
        text: "error",
        codes: &[("~unauthorized ip", Means::Auth)],
        ..PLAIN
    },
    // https://docs.bunny.net/reference/dnszonepublic_index
    Service {
        name: "bunny",
        title: "Bunny DNS",
        page: "https://bunny.net/dns/",
        options: &[ProviderOption::secret("token", "The account's API key."), URL],
        base: "https://api.bunny.net",
        headers: &[("AccessKey", "$:token")],
        zones: List {
            call: "GET /dnszone?page=1&perPage=1000&search=$try",
            items: "Items.*",
            pages: Pages::One,
        },
        zone_name: "Domain",
        zone_id: "#Id",
        read: List { call: "GET /dnszone/$zid", items: "Records.*", pages: Pages::One },
        record: Fields {
            id: "#Id",
            name: "Name",
            rtype: "#Type",
            value: "Value",
            ttl: "#Ttl",
            line: "",
        },
        names: Names::Within(""),
        special: &Special { off: ("Disabled", "true"), types: ["0", "1"],
            ..NOTHING_SPECIAL
        },
        create: "PUT /dnszone/$zid/records {\"Type\":$type,\"Name\":\"$host\",\"Value\":\"$addr\",\"Ttl\":$ttl}",
        change: "POST /dnszone/$zid/records/$id {\"Type\":$type,\"Name\":\"$host\",\"Value\":\"$addr\",\"Ttl\":$ttl$+Weight,Disabled,Comment,MonitorType,SmartRoutingType,LatencyZone,GeolocationLatitude,GeolocationLongitude,Accelerated,AutoSslIssuance}",
        wrote: "Id",
        ttl: (300, 15),
        code: "ErrorKey",
        text: "Message",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
];
