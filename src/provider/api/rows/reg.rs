//! Registrars with an API of their own, most in JSON.

use crate::provider::api::{
    Batch, Fields, List, Means, Names, Pages, Says, Service, Special, KEY_ID, KEY_SECRET, NOTHING_SPECIAL,
    PLAIN, TOKEN, URL,
};
use crate::provider::ProviderOption;

/// What both keys of Porkbun begin every body with.
macro_rules! porkbun {
    ($call:literal, $rest:literal) => {
        concat!("POST ", $call, " {\"apikey\":\"$:key_id\",\"secretapikey\":\"$:key_secret\"", $rest, "}")
    };
}

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://desec.readthedocs.io/en/latest/dns/rrsets.html
    Service {
        name: "desec",
        title: "deSEC",
        page: "https://desec.io/",
        options: &[TOKEN, URL],
        base: "https://desec.io/api/v1",
        headers: &[("Authorization", "Token $:token")],
        zones: List { call: "GET /domains/", items: "*", pages: Pages::One },
        read: List {
            call: "GET /domains/$zone/rrsets/?subname=$host&type=$type",
            items: "*",
            pages: Pages::One,
        },
        all: "GET /domains/$zone/rrsets/",
        record: Fields { id: "", name: "subname", value: "records.*", ..PLAIN.record },
        names: Names::Within(""),
        batch: &Batch {
            call: "PATCH /domains/$zone/rrsets/ [$items]",
            create: "{\"subname\":\"$host\",\"type\":\"$type\",\"ttl\":$ttl,\"records\":[\"$addr\"]}",
            change: "{\"subname\":\"$host\",\"type\":\"$type\",\"ttl\":$ttl,\"records\":[\"$addr\"]}",
            most: 100,
        },
        special: &Special {
            each: true,
            ..NOTHING_SPECIAL
        },
        wrote: "0.name",
        ttl: (3600, 60),
        text: "detail|%.*|*.%.*",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
    // https://porkbun.com/api/json/v3/documentation
    Service {
        name: "porkbun",
        title: "Porkbun",
        page: "https://porkbun.com/",
        options: &[
            ProviderOption::secret("key_id", "The API key."),
            ProviderOption::secret("key_secret", "The secret API key. Switch on API access for the domain, too."),
            URL,
        ],
        base: "https://api.porkbun.com/api/json/v3",
        headers: &[],
        zones: List {
            call: porkbun!("/domain/listAll", ",\"start\":\"$offset\""),
            items: "domains.*",
            pages: Pages::Of(1000),
        },
        zone_name: "domain",
        read: List {
            call: porkbun!("/dns/retrieveByNameType/$zone/$type(/$host)", ""),
            items: "records.*",
            pages: Pages::One,
        },
        all: porkbun!("/dns/retrieve/$zone", ""),
        record: Fields { ttl: "ttl", ..PLAIN.record },
        names: Names::Mixed(""),
        create: porkbun!(
            "/dns/create/$zone",
            ",\"name\":\"$host\",\"type\":\"$type\",\"content\":\"$addr\",\"ttl\":\"$ttl\""
        ),
        change: porkbun!(
            "/dns/edit/$zone/$id",
            ",\"name\":\"$host\",\"type\":\"$type\",\"content\":\"$addr\",\"ttl\":\"$ttl\""
        ),
        wrote: "status",
        ttl: (600, 600),
        says: Says::Is("status", "SUCCESS"),
        codes: &[
            ("~invalid api key", Means::Auth),
            ("~opted in", Means::Auth),
            ("~invalid domain", Means::NoZone),
            ("~invalid record id", Means::Absent),
            // A parking record (ALIAS at the apex, CNAME of the wildcard) or another one in the way.
            ("~unable to", Means::Stale),
            ("~error", Means::Stale),
        ],
        ..PLAIN
    },
    // https://developer.godaddy.com/doc/endpoint/domains
    Service {
        name: "godaddy",
        title: "GoDaddy",
        page: "https://www.godaddy.com/",
        options: &[KEY_ID, KEY_SECRET, URL],
        base: "https://api.godaddy.com/v1",
        headers: &[("Authorization", "sso-key $:key_id:$:key_secret")],
        zones: List { call: "GET /domains?limit=1000", items: "*", pages: Pages::One },
        zone_name: "domain",
        read: List { call: "GET /domains/$zone/records/$type/$host", items: "*", pages: Pages::One },
        all: "GET /domains/$zone/records",
        record: Fields { id: "", value: "data", ..PLAIN.record },
        create: "PUT /domains/$zone/records/$type/$host [{\"data\":\"$addr\",\"ttl\":$ttl}]",
        change: "PUT /domains/$zone/records/$type/$host [{\"data\":\"$addr\",\"ttl\":$ttl}]",
        ttl: (600, 600),
        codes: &[
            ("UNKNOWN_DOMAIN", Means::NoZone),
            ("UNABLE_TO_AUTHENTICATE", Means::Auth),
            ("TOO_MANY_REQUESTS", Means::Busy(60)),
        ],
        ..PLAIN
    },
    // https://api.gandi.net/docs/livedns/
    Service {
        name: "gandi",
        title: "Gandi LiveDNS",
        page: "https://www.gandi.net/",
        options: &[ProviderOption::secret("token", "A personal access token with the right to manage the domain."), URL],
        base: "https://api.gandi.net/v5/livedns",
        zones: List { call: "GET /domains/$try", items: "", pages: Pages::One },
        zone_name: "fqdn",
        read: List { call: "GET /domains/$zone/records/$host", items: "*", pages: Pages::One },
        record: Fields {
            id: "",
            name: "rrset_name",
            rtype: "rrset_type",
            value: "rrset_values.*",
            ttl: "#rrset_ttl",
            line: "",
        },
        create: "PUT /domains/$zone/records/$host/$type {\"rrset_values\":[\"$addr\"],\"rrset_ttl\":$ttl}",
        change: "PUT /domains/$zone/records/$host/$type {\"rrset_values\":[\"$addr\"],\"rrset_ttl\":$ttl}",
        wrote: "message",
        ttl: (300, 300),
        text: "errors.0.description|message",
        codes: &[("=409", Means::Busy(10))],
        ..PLAIN
    },
    // https://docs.hetzner.cloud/reference/cloud#zone-rrsets
    Service {
        name: "hetzner",
        title: "Hetzner (Cloud API)",
        page: "https://www.hetzner.com/",
        options: &[ProviderOption::secret("token", "An API token of the project that holds the zone, to read and write."), URL],
        base: "https://api.hetzner.cloud/v1",
        zones: List { call: "GET /zones?per_page=50&page=$page", items: "zones.*", pages: Pages::Of(50) },
        read: List {
            call: "GET /zones/$zone/rrsets?name=$host&per_page=50&page=$page",
            items: "rrsets.*",
            pages: Pages::Of(50),
        },
        all: "GET /zones/$zone/rrsets?type=A&type=AAAA&per_page=50&page=$page",
        record: Fields { id: "", value: "records.*.value", ttl: "?ttl", ..PLAIN.record },
        create: "POST /zones/$zone/rrsets {\"name\":\"$host\",\"type\":\"$type\",\"ttl\":$ttl,\"records\":[{\"value\":\"$addr\"}]}",
        change: "POST /zones/$zone/rrsets/$host/$type/actions/set_records {\"records\":[{\"value\":\"$addr\"$+comment=records.0.comment}]}",
        special: &Special {
            retime: "POST /zones/$zone/rrsets/$host/$type/actions/change_ttl {\"ttl\":$ttl}",
            ..NOTHING_SPECIAL
        },
        wrote: "action.status",
        says: Says::No("error|action.error"),
        code: "error.code|action.error.code",
        text: "error.message|action.error.message",
        codes: &[("not_found", Means::NoZone), 
            ("uniqueness_error", Means::Stale),
            ("conflict", Means::Busy(10)),
            ("locked", Means::Busy(10)),
            ("timeout", Means::Busy(60)),
            ("unavailable", Means::Busy(60)),
            ("maintenance", Means::Busy(60)),
            ("service_error", Means::Busy(60)),
            ("token_readonly", Means::Auth),
        ],
        ..PLAIN
    },
    // https://docs.name.com/docs/api-reference/dns/
    Service {
        name: "name_com",
        title: "Name.com",
        page: "https://www.name.com/",
        options: &[ProviderOption::required("username", "The user name of the account."), TOKEN, URL],
        base: "https://api.name.com/core/v1",
        headers: &[("Authorization", "Basic $:username:$:token")],
        zones: List {
            call: "GET /domains?perPage=500&page=$page",
            items: "domains.*|!#totalCount",
            pages: Pages::Total("totalCount"),
        },
        zone_name: "domainName",
        read: List {
            call: "GET /domains/$zone/records?perPage=1000&page=$page",
            items: "records.*|!#totalCount",
            pages: Pages::Total("totalCount"),
        },
        record: Fields { id: "#id", name: "fqdn", value: "answer", ..PLAIN.record },
        names: Names::Mixed(""),
        create: "POST /domains/$zone/records {\"host\":\"$host\",\"type\":\"$type\",\"answer\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /domains/$zone/records/$id {\"host\":\"$host\",\"type\":\"$type\",\"answer\":\"$addr\",\"ttl\":$ttl}",
        wrote: "id",
        ttl: (300, 300),
        code: "",
        text: "details|message",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
    // https://vercel.com/docs/rest-api/reference/endpoints/dns
    Service {
        name: "vercel",
        title: "Vercel",
        page: "https://vercel.com/",
        options: &[TOKEN, ProviderOption::plain("team_id", "The id of the team that has the domain."), URL],
        base: "https://api.vercel.com",
        zones: List {
            call: "GET /v5/domains?limit=100(&teamId=$:team_id)(&until=$cursor)",
            items: "domains.*",
            pages: Pages::Cursor("pagination.next"),
        },
        read: List {
            call: "GET /v4/domains/$zone/records?limit=100(&teamId=$:team_id)(&until=$cursor)",
            items: "records.*",
            pages: Pages::Cursor("pagination.next"),
        },
        record: Fields { value: "value", ttl: "?ttl", ..PLAIN.record },
        names: Names::Within(""),
        create: "POST /v2/domains/$zone/records(?teamId=$:team_id) {\"name\":\"$host\",\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl}",
        change: "PATCH /v1/domains/records/$id(?teamId=$:team_id) {\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl}",
        wrote: "uid|id",
        ttl: (60, 60),
        says: Says::No("error"),
        code: "error.code",
        text: "error.message",
        codes: &[("not_found", Means::NoZone), ("invalid_token", Means::Auth)],
        ..PLAIN
    },
    // https://docs.spaceship.dev/
    Service {
        name: "spaceship",
        title: "Spaceship",
        page: "https://www.spaceship.com/",
        options: &[KEY_ID, KEY_SECRET, URL],
        base: "https://spaceship.dev/api/v1",
        headers: &[("X-API-Key", "$:key_id"), ("X-API-Secret", "$:key_secret")],
        zones: List {
            call: "GET /domains?take=100&skip=$offset",
            items: "items.*",
            pages: Pages::Total("total"),
        },
        read: List {
            call: "GET /dns/records/$zone?take=500&skip=$offset",
            items: "items.*",
            pages: Pages::Total("total"),
        },
        // Records of other groups belong to functions of the service.
        record: Fields { id: "", value: "address", line: "group.type", ..PLAIN.record },
        line: "custom",
        batch: &Batch {
            call: "PUT /dns/records/$zone {\"items\":[$items]}",
            create: "{\"type\":\"$type\",\"name\":\"$host\",\"address\":\"$addr\",\"ttl\":$ttl}",
            change: "{\"type\":\"$type\",\"name\":\"$host\",\"address\":\"$addr\",\"ttl\":$ttl}",
            most: 100,
        },
        special: &Special {
            after: "DELETE /dns/records/$zone [{\"type\":\"$type\",\"name\":\"$host\",\"address\":\"$old\"}]",
            ..NOTHING_SPECIAL
        },
        ttl: (600, 60),
        code: "",
        text: "data.0.details|detail",
        codes: &[("~not found", Means::NoZone)],
        ..PLAIN
    },
];
