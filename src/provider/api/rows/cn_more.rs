//! The smaller Chinese services, with keys in plain sight or a signature of the old kind.

use crate::provider::api::{
    keys, Fields, List, Pages, Says, Service, Special, KEY_ID, KEY_SECRET, NOTHING_SPECIAL, PLAIN, SERVER,
    TOKEN, URL,
};
use crate::provider::api::{Means, Means::Absent, Means::Auth, Means::Busy, Means::Clock, Means::NoZone};
use crate::provider::ProviderOption;
use crate::sign::rpc_sha1;

/// Codes that are the status which HTTP would have had.
const AS_STATUS: &[(&str, Means)] =
    &[("=401", Auth), ("=403", Auth), ("=404", Absent), ("=429", Busy(60)), ("5", Busy(0))];

/// now.cn and its sisters, which have one API on three hosts.
const NOWCN: Service = Service {
    options: &[KEY_ID, KEY_SECRET, URL],
    headers: &[("Accept", "application/json")],
    sign: Some(|job, http| Ok(rpc_sha1(http, &keys(job)?, job.signing_time()?, &job.nonce))),
    read: List {
        call: "GET /api/Dns/DescribeRecordIndex?Domain=$zone&Host=$host&Type=$type",
        items: "Data.*",
        pages: Pages::One,
    },
    record: Fields { id: "#id", name: "Host", rtype: "Type", value: "Value", ttl: "?Ttl|TTL|ttl", line: "" },
    create: "GET /api/Dns/AddDomainRecord?Domain=$zone&Host=$host&Type=$type&Value=$addr&Ttl=$ttl",
    change: "GET /api/Dns/UpdateDomainRecord?Id=$id&Domain=$zone&Host=$host&Type=$type&Value=$addr&Ttl=$ttl",
    wrote: "Id|id|ID",
    ttl: (600, 1),
    says: Says::No("error"),
    code: "error",
    text: "message",
    codes: &[
        ("host.repeat", Means::Same),
        ("~timestamp", Clock),
        ("sign", Auth),
        ("auth", Auth),
        ("access", Auth),
        ("domain.not", NoZone),
        ("id.not", Absent),
    ],
    ..PLAIN
};

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://docs.dnspod.com/api/get-record-list/
    Service {
        name: "dnspod",
        title: "DNSPod (token)",
        page: "https://www.dnspod.cn/",
        options: &[
            ProviderOption::required("key_id", "The token's id."),
            ProviderOption::secret("token", "The token."),
            super::cn::LINE_ID,
            URL,
        ],
        base: "https://dnsapi.cn",
        headers: &[],
        zones: List {
            call: "POST /Domain.List login_token=$:key_id,$:token&format=json&lang=en&offset=$offset&length=100",
            items: "domains.*",
            pages: Pages::Of(100),
        },
        zone_name: "punycode|name",
        read: List {
            call: "POST /Record.List login_token=$:key_id,$:token&format=json&lang=en&error_on_empty=no&domain=$zone&sub_domain=$host&offset=$offset&length=100",
            items: "records.*",
            pages: Pages::Of(100),
        },
        all: "POST /Record.List login_token=$:key_id,$:token&format=json&lang=en&error_on_empty=no&domain=$zone&offset=$offset&length=100",
        record: Fields { value: "value", ttl: "ttl", line: "line_id", ..PLAIN.record },
        line: "0",
        create: "POST /Record.Create login_token=$:key_id,$:token&format=json&lang=en&domain=$zone&sub_domain=$host&record_type=$type&record_line_id=$line&value=$addr&ttl=$ttl",
        change: "POST /Record.Modify login_token=$:key_id,$:token&format=json&lang=en&domain=$zone&record_id=$id&sub_domain=$host&record_type=$type&record_line_id=$line&value=$addr&ttl=$ttl$+weight",
        wrote: "record.id",
        ttl: (600, 1),
        says: Says::Is("status.code", "1"),
        code: "status.code",
        text: "status.message",
        codes: &[
            // After too many failed logins, or too many requests, an account is out for an hour.
            ("=-2", Busy(3600)),
            ("=-8", Busy(3600)),
            ("=-99", Busy(0)),
            ("=3", Busy(0)),
            ("=-1", Auth),
            ("=-3", Auth),
            ("=-4", Auth),
            ("=83", Auth),
            ("=85", Auth),
            ("=6", NoZone),
            ("=7", NoZone),
            ("=13", NoZone),
            ("=8", Absent),
            ("=9", NoZone),
            ("=10", Absent),
            ("=31", Means::Stale),
            ("=104", Means::Stale),
        ],
        ..PLAIN
    },
    // https://www.todaynic.com/docApi/
    Service { name: "nowcn", title: "Now.cn", page: "https://www.now.cn/", base: "https://api.now.cn", ..NOWCN },
    Service {
        name: "eranet",
        title: "Eranet",
        page: "https://www.eranet.com/",
        base: "https://www.eranet.com",
        ..NOWCN
    },
    Service {
        name: "tnethk",
        title: "Tnet.hk",
        page: "https://www.tnet.hk/",
        base: "https://www.tnet.hk",
        ..NOWCN
    },
    // https://www.dns.la/docs/ApiDoc
    Service {
        name: "dnsla",
        title: "DNS.LA",
        page: "https://www.dns.la/",
        options: &[KEY_ID, KEY_SECRET, URL],
        base: "https://api.dns.la",
        headers: &[("Authorization", "Basic $:key_id:$:key_secret")],
        zones: List {
            call: "GET /api/domainList?pageIndex=$page&pageSize=100",
            items: "data.results.*|!#data.total",
            pages: Pages::Total("data.total"),
        },
        zone_name: "domain",
        zone_id: "id",
        read: List {
            call: "GET /api/recordList?domainId=$zid&domain=$zone&host=$host&pageIndex=$page&pageSize=100",
            items: "data.results.*|!#data.total",
            pages: Pages::Total("data.total"),
        },
        all: "GET /api/recordList?domainId=$zid&domain=$zone&pageIndex=$page&pageSize=100",
        record: Fields { name: "host", rtype: "#type", value: "data", ..PLAIN.record },
        special: &Special {
            types: ["1", "28"],
            ..NOTHING_SPECIAL
        },
        create: "POST /api/record {\"domainId\":\"$zid\",\"type\":$type,\"host\":\"$host\",\"data\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /api/record {\"id\":\"$id\",\"type\":$type,\"host\":\"$host\",\"data\":\"$addr\",\"ttl\":$ttl$+lineId,weight}",
        wrote: "code",
        ttl: (600, 1),
        says: Says::Is("#code", "200"),
        text: "msg",
        codes: AS_STATUS,
        ..PLAIN
    },
    // https://s.apifox.cn/a4595cc8-44c5-4678-a2a3-eed7738dab03/api-153559362
    Service {
        name: "rainyun",
        title: "Rainyun",
        page: "https://www.rainyun.com/",
        options: &[
            TOKEN,
            ProviderOption::plain("zone_id", "The number of the domain's product, with option zone; else it is looked for."),
            URL,
        ],
        base: "https://api.v2.rainyun.com",
        headers: &[("x-api-key", "$:token")],
        zones: List {
            call: "GET /product/domain?options=%7B%22columnFilters%22%3A%7B%22domains.Domain%22%3A%22%22%7D%2C%22sort%22%3A%5B%5D%2C%22page%22%3A$page%2C%22perPage%22%3A100%7D",
            items: "data.Records.*|!#data.TotalRecords",
            pages: Pages::Total("data.TotalRecords"),
        },
        zone_name: "domain",
        zone_id: "#id",
        read: List {
            call: "GET /product/domain/$zid/dns/?limit=100&page_no=$page",
            items: "data.Records.*|!#data.TotalRecords",
            pages: Pages::Total("data.TotalRecords"),
        },
        record: Fields { id: "#record_id", name: "host", value: "value", line: "line", ..PLAIN.record },
        line: "DEFAULT",
        create: "POST /product/domain/$zid/dns {\"host\":\"$host\",\"line\":\"$line\",\"level\":10,\"ttl\":$ttl,\"type\":\"$type\",\"value\":\"$addr\",\"record_id\":0}",
        change: "PATCH /product/domain/$zid/dns {\"host\":\"$host\",\"line\":\"$line\",\"ttl\":$ttl,\"type\":\"$type\",\"value\":\"$addr\",\"record_id\":$id$+level}",
        wrote: "code",
        ttl: (600, 1),
        says: Says::Is("#code", "200"),
        codes: &[("=30039", Auth), ("=401", Auth), ("=403", Auth), ("=404", Absent), ("=429", Busy(60)), ("=500", Busy(0))],
        ..PLAIN
    },
    // https://github.com/HiPM-Tech/DNSMgr
    Service {
        name: "hipmdnsmgr",
        title: "HiPM DNSMgr (a server of one's own)",
        page: "https://github.com/HiPM-Tech/DNSMgr",
        options: &[TOKEN, SERVER],
        zones: List {
            call: "GET /api/domains?page=$page&pageSize=100&keyword=$try",
            items: "data.*|data.list.*",
            pages: Pages::Of(100),
        },
        zone_id: "#id",
        read: List {
            call: "GET /api/domains/$zid/records?page=$page&pageSize=100&subdomain=$host&type=$type",
            items: "data.list.*",
            pages: Pages::Of(100),
        },
        record: Fields { value: "value", ..PLAIN.record },
        create: "POST /api/domains/$zid/records {\"name\":\"$host\",\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl,\"line\":\"0\"}",
        change: "PUT /api/domains/$zid/records/$id {\"name\":\"$host\",\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl$+line,weight,remark}",
        wrote: "code",
        ttl: (600, 1),
        says: Says::Is("#code", "0"),
        text: "msg",
        codes: &[
            ("~domain not found", NoZone),
            ("~record not found", Absent),
            ("~permission", Means::Refused),
            ("~too many", Busy(60)),
            ("~timeout", Busy(0)),
        ],
        ..PLAIN
    },
];
