//! Services with a plain JSON API and a token.

use crate::provider::api::{
    Fields, List, Means, Names, Pages, Service, Special, NOTHING_SPECIAL, PLAIN, TOKEN, URL,
};

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records
    Service {
        name: "digitalocean",
        title: "DigitalOcean",
        page: "https://www.digitalocean.com/",
        options: &[TOKEN, URL],
        base: "https://api.digitalocean.com/v2",
        zones: List { call: "GET /domains?per_page=200&page=$page", items: "domains.*", pages: Pages::Of(200) },
        read: List {
            call: "GET /domains/$zone/records?name=$fqdn&type=$type&per_page=200&page=$page",
            items: "domain_records.*",
            pages: Pages::Of(200),
        },
        all: "GET /domains/$zone/records?per_page=200&page=$page",
        record: Fields { id: "#id", value: "data", ..PLAIN.record },
        names: Names::Within("@"),
        create: "POST /domains/$zone/records {\"type\":\"$type\",\"name\":\"$host\",\"data\":\"$addr\",\"ttl\":$ttl}",
        change: "PATCH /domains/$zone/records/$id {\"type\":\"$type\",\"data\":\"$addr\",\"ttl\":$ttl}",
        wrote: "domain_record.id",
        ttl: (1800, 30),
        code: "id",
        ..PLAIN
    },
    // https://doc.powerdns.com/authoritative/http-api/zone.html
    Service {
        name: "powerdns",
        title: "PowerDNS (its HTTP API)",
        page: "https://doc.powerdns.com/authoritative/http-api/",
        options: &[TOKEN, super::super::SERVER],
        // Failures have words only for who takes JSON.
        headers: &[("X-API-Key", "$:token"), ("Accept", "application/json")],
        zones: List { call: "GET /api/v1/servers/localhost/zones", items: "*", pages: Pages::One },
        zone_id: "id",
        read: List {
            call: "GET /api/v1/servers/localhost/zones/$zid?rrset_name=$fqdn.&rrset_type=$type",
            items: "rrsets.*",
            pages: Pages::One,
        },
        all: "GET /api/v1/servers/localhost/zones/$zid",
        record: Fields { id: "", value: "records.*.content", ..PLAIN.record },
        names: Names::Full,
        batch: &super::super::Batch {
            call: "PATCH /api/v1/servers/localhost/zones/$zid {\"rrsets\":[$items]}",
            create: "{\"name\":\"$fqdn.\",\"type\":\"$type\",\"ttl\":$ttl,\"changetype\":\"REPLACE\",\"records\":[{\"content\":\"$addr\",\"disabled\":false}]$+comments}",
            change: "{\"name\":\"$fqdn.\",\"type\":\"$type\",\"ttl\":$ttl,\"changetype\":\"REPLACE\",\"records\":[{\"content\":\"$addr\",\"disabled\":false}]$+comments}",
            most: 100,
        },
        ttl: (300, 1),
        code: "",
        text: "error",
        // Of what is asked for only the zone may not be there.
        codes: &[("~not found", Means::NoZone), ("~could not find domain", Means::NoZone)],
        special: &Special { off: ("records.*.disabled", "true"), ..NOTHING_SPECIAL },
        ..PLAIN
    },
];
