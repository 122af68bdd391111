//! Clouds and hosters with paths of zones and records.

use crate::provider::api::{
    keys, Batch, Fields, List, Means, Names, Pages, Says, Service, Special, KEY_ID, KEY_SECRET,
    NOTHING_SPECIAL, PLAIN, SESSION_TOKEN, TOKEN, URL,
};
use crate::provider::ProviderOption;
use crate::sign;

/// The change of a set at Route 53: it replaces all of it, so that what makes it one of several is sent back.
const ROUTE53_CHANGE: &str = "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>$fqdn.</Name><Type>$type</Type>$+SetIdentifier,Weight,Region,GeoLocation,Failover,MultiValueAnswer<TTL>$ttl</TTL><ResourceRecords><ResourceRecord><Value>$addr</Value></ResourceRecord></ResourceRecords>$+HealthCheckId,CidrRoutingConfig,GeoProximityLocation</ResourceRecordSet></Change>";
/// A set at Scaleway.
const SCALEWAY_SET: &str = "{\"set\":{\"id_fields\":{\"name\":\"$host\",\"type\":\"$type\"},\"records\":[{\"name\":\"$host\",\"type\":\"$type\",\"data\":\"$addr\",\"ttl\":$ttl$+priority,comment,geo_ip_config,http_service_config,weighted_config,view_config}]}}";
/// A set at Hostinger.
const HOSTINGER_SET: &str =
    "{\"name\":\"$host\",\"type\":\"$type\",\"ttl\":$ttl,\"records\":[{\"content\":\"$addr\"}]}";
/// A set at Servercow.
const SERVERCOW_SET: &str =
    "POST /$zone {\"type\":\"$type\",\"name\":\"$host\",\"content\":\"$addr\",\"ttl\":$ttl}";

/// The name of an account.
const USER: ProviderOption = ProviderOption::required("username", "The account's name.");
/// Its password.
const PASSWORD: ProviderOption = ProviderOption::secret("password", "The account's password.");

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://docs.aws.amazon.com/Route53/latest/APIReference/
    Service {
        name: "route53",
        title: "AWS Route 53",
        page: "https://aws.amazon.com/route53/",
        options: &[
            KEY_ID,
            KEY_SECRET,
            SESSION_TOKEN,
            ProviderOption::plain("zone_id", "The hosted zone's id, where the keys may not list zones."),
            ProviderOption::plain("region", "The region of the signature, where it is not us-east-1."),
            URL,
        ],
        base: "https://route53.amazonaws.com",
        headers: &[],
        sign: Some(|job, http| {
            let region = job.option("region").unwrap_or("us-east-1");
            Ok(sign::sigv4(http, &keys(job)?, region, "route53", job.signing_time()?))
        }),
        special: &Special {
            xml: true,
            zone_not: ("Config.PrivateZone", "true"),
            ..NOTHING_SPECIAL
        },
        zones: List {
            call: "GET /2013-04-01/hostedzonesbyname?maxitems=100(&dnsname=$cursor)",
            items: "ListHostedZonesByNameResponse.HostedZones.&",
            pages: Pages::Cursor("ListHostedZonesByNameResponse.NextDNSName"),
        },
        zone_name: "Name",
        zone_id: "Id",
        // The sets at and after a name: more than there are types, so that both families are among them. Of sets with
        // an identifier there may be more; one that is not seen stands in the way of a new one, which is refused.
        read: List {
            call: "GET /2013-04-01/hostedzone/$zid/rrset?maxitems=20&name=$fqdn.",
            items: "ListResourceRecordSetsResponse.ResourceRecordSets.&",
            pages: Pages::One,
        },
        record: Fields {
            id: "?SetIdentifier",
            name: "Name",
            rtype: "Type",
            value: "ResourceRecords.&.Value",
            ttl: "?TTL",
            line: "",
        },
        names: Names::Full,
        batch: &Batch {
            call: "POST /2013-04-01/hostedzone/$zid/rrset <ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>$items</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            create: "<Change><Action>CREATE</Action><ResourceRecordSet><Name>$fqdn.</Name><Type>$type</Type><TTL>$ttl</TTL><ResourceRecords><ResourceRecord><Value>$addr</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>",
            change: ROUTE53_CHANGE,
            most: 100,
        },
        wrote: "ChangeResourceRecordSetsResponse.ChangeInfo.Id",
        ttl: (300, 1),
        code: "ErrorResponse.Error.Code",
        text: "ErrorResponse.Error.Message|InvalidChangeBatch.Messages.Message",
        codes: &[
            ("~signature expired", Means::Clock),
            ("~signature not yet current", Means::Clock),
            ("~already exists", Means::Stale),
            ("NoSuchHostedZone", Means::NoZone),
            ("PriorRequestNotComplete", Means::Busy(5)),
            ("InvalidClientTokenId", Means::Auth),
            ("InvalidSignature", Means::Auth),
            ("IncompleteSignature", Means::Auth),
        ],
        ..PLAIN
    },
    // https://www.scaleway.com/en/developers/api/domains-and-dns/
    Service {
        name: "scaleway",
        title: "Scaleway Domains and DNS",
        page: "https://www.scaleway.com/en/domains-and-dns/",
        options: &[TOKEN, URL],
        base: "https://api.scaleway.com/domain/v2beta1/dns-zones",
        headers: &[("X-Auth-Token", "$:token")],
        zones: List { call: "GET ?page=$page&page_size=100", items: "dns_zones.*", pages: Pages::Of(100) },
        zone_name: "subdomain,domain",
        read: List {
            call: "GET /$zone/records?name=$host&type=$type&page=$page&page_size=100",
            items: "records.*",
            pages: Pages::Of(100),
        },
        all: "GET /$zone/records?page=$page&page_size=100",
        record: Fields { value: "data", ..PLAIN.record },
        names: Names::Within(""),
        batch: &Batch {
            call: "PATCH /$zone/records {\"return_all_records\":false,\"disallow_new_zone_creation\":true,\"changes\":[$items]}",
            create: SCALEWAY_SET,
            change: SCALEWAY_SET,
            most: 100,
        },
        wrote: "records",
        code: "type",
        codes: &[
            ("denied_authentication", Means::Auth),
            ("permissions_denied", Means::Auth),
            ("not_found", Means::NoZone),
            ("~is not found", Means::NoZone),
            ("transient_state", Means::Busy(30)),
        ],
        ..PLAIN
    },
    // https://developer.hosting.ionos.com/docs/dns
    Service {
        name: "ionos",
        title: "IONOS",
        page: "https://www.ionos.com/",
        options: &[
            ProviderOption::secret("token", "The API key: its public prefix, a dot, and its secret."),
            URL,
        ],
        base: "https://api.hosting.ionos.com/dns/v1/zones",
        headers: &[("X-API-Key", "$:token")],
        zones: List { call: "GET ", items: "*", pages: Pages::One },
        zone_id: "id",
        special: &Special { off: ("disabled", "true"), zone_not: ("type", "SLAVE"),
            ..NOTHING_SPECIAL
        },
        read: List {
            call: "GET /$zid?recordName=$fqdn&recordType=$type",
            items: "records.*",
            pages: Pages::One,
        },
        all: "GET /$zid",
        names: Names::Full,
        create: "POST /$zid/records [{\"name\":\"$fqdn\",\"type\":\"$type\",\"content\":\"$addr\",\"ttl\":$ttl,\"prio\":0,\"disabled\":false}]",
        change: "PUT /$zid/records/$id {\"content\":\"$addr\",\"ttl\":$ttl$+prio,disabled}",
        wrote: "0.id|id",
        ttl: (300, 60),
        code: "0.code|code",
        text: "0.message|message",
        codes: &[
            ("UNAUTHORIZED", Means::Auth),
            ("ZONE_NOT_FOUND", Means::NoZone),
            ("~zone does not exist", Means::NoZone),
            ("RECORD_NOT_FOUND", Means::Absent),
            ("RECORD_ALREADY_EXISTS", Means::Stale),
            ("INTERNAL", Means::Busy(0)),
        ],
        ..PLAIN
    },
    // https://eu.api.ovh.com/console/?section=%2Fdomain
    Service {
        name: "ovh_api",
        title: "OVHcloud (its API)",
        page: "https://www.ovhcloud.com/",
        options: &[
            ProviderOption::required("app_key", "The application's key."),
            ProviderOption::secret("app_secret", "The application's secret."),
            ProviderOption::secret("consumer_key", "The consumer key, with rights to GET, POST and PUT /domain/zone/*."),
            ProviderOption::plain("url", "The region's server: https://ca.api.ovh.com/1.0 or https://api.us.ovhcloud.com/1.0, where it is not Europe's."),
        ],
        base: "https://eu.api.ovh.com/1.0",
        headers: &[],
        sign: Some(|job, http| {
            let key = job.option("app_key").unwrap_or_default();
            let (secret, consumer) = (job.secret("app_secret")?, job.secret("consumer_key")?);
            Ok(sign::ovh(http, key, secret, consumer, job.signing_time()?))
        }),
        zones: List { call: "GET /domain/zone", items: "*", pages: Pages::One },
        zone_name: "|",
        read: List {
            call: "GET /domain/zone/$zone/record?fieldType=$type&subDomain=$host",
            items: "*",
            pages: Pages::One,
        },
        special: &Special {
            detail: "GET /domain/zone/$zone/record/$id",
            commit: "POST /domain/zone/$zone/refresh",
            ..NOTHING_SPECIAL
        },
        record: Fields {
            id: "#id",
            name: "subDomain",
            rtype: "fieldType",
            value: "target",
            ..PLAIN.record
        },
        names: Names::Within(""),
        create: "POST /domain/zone/$zone/record {\"fieldType\":\"$type\",\"subDomain\":\"$host\",\"target\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /domain/zone/$zone/record/$id {\"subDomain\":\"$host\",\"target\":\"$addr\",\"ttl\":$ttl}",
        code: "errorCode|class",
        codes: &[
            ("QUERY_TIME_OUT", Means::Clock),
            ("INVALID_", Means::Auth),
            ("NOT_", Means::Auth),
            ("~already exists", Means::Stale),
        ],
        ..PLAIN
    },
    // https://developer.infomaniak.com/docs/api
    Service {
        name: "infomaniak_api",
        title: "Infomaniak (its API)",
        page: "https://www.infomaniak.com/",
        options: &[TOKEN, URL],
        base: "https://api.infomaniak.com/2",
        zones: List { call: "GET /zones/$try/exists", items: "", pages: Pages::One },
        zone_name: "",
        special: &Special { zone_not: ("data", "false"), ..NOTHING_SPECIAL },
        read: List { call: "GET /zones/$zone/records", items: "data.*", pages: Pages::One },
        record: Fields { id: "#id", name: "source", value: "target", ..PLAIN.record },
        create: "POST /zones/$zone/records {\"source\":\"$host\",\"type\":\"$type\",\"target\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /zones/$zone/records/$id {\"source\":\"$host\",\"type\":\"$type\",\"target\":\"$addr\",\"ttl\":$ttl}",
        wrote: "data",
        says: Says::Is("result", "success"),
        code: "error.code",
        text: "error.description",
        codes: &[
            ("not_authorized", Means::Auth),
            ("object_not_found", Means::Absent),
            ("too_many", Means::Busy(60)),
        ],
        ..PLAIN
    },
    // https://developers.hostinger.com/#tag/dns-zone
    Service {
        name: "hostinger",
        title: "Hostinger",
        page: "https://www.hostinger.com/",
        options: &[TOKEN, URL],
        base: "https://developers.hostinger.com/api",
        zones: List { call: "GET /domains/v1/portfolio", items: "*", pages: Pages::One },
        zone_name: "?domain",
        read: List { call: "GET /dns/v1/zones/$zone", items: "*", pages: Pages::One },
        record: Fields { id: "", value: "records.*.content", ..PLAIN.record },
        batch: &Batch {
            call: "PUT /dns/v1/zones/$zone {\"overwrite\":true,\"zone\":[$items]}",
            create: HOSTINGER_SET,
            change: HOSTINGER_SET,
            most: 100,
        },
        wrote: "message",
        text: "message|error",
        special: &Special { off: ("records.*.is_disabled", "true"), ..NOTHING_SPECIAL },
        ..PLAIN
    },
    // https://luadns.com/api.html
    Service {
        name: "luadns",
        title: "LuaDNS",
        page: "https://luadns.com/",
        options: &[ProviderOption::required("username", "The account's mail address."), TOKEN, URL],
        base: "https://api.luadns.com/v1/zones",
        headers: &[("Authorization", "Basic $:username:$:token"), ("Accept", "application/json")],
        zones: List { call: "GET ", items: "*", pages: Pages::One },
        zone_id: "#id",
        read: List { call: "GET /$zid/records", items: "*", pages: Pages::One },
        record: Fields { id: "#id", ..PLAIN.record },
        names: Names::Full,
        create: "POST /$zid/records {\"name\":\"$fqdn.\",\"type\":\"$type\",\"content\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /$zid/records/$id {\"name\":\"$fqdn.\",\"type\":\"$type\",\"content\":\"$addr\",\"ttl\":$ttl}",
        wrote: "id",
        code: "",
        ..PLAIN
    },
    // https://cp.servercow.de/en/plugin/support_manager/knowledgebase/view/34/dns-api-v1/7/
    Service {
        name: "servercow",
        title: "Servercow",
        page: "https://www.servercow.de/",
        options: &[USER, PASSWORD, URL],
        base: "https://api.servercow.de/dns/v1/domains",
        headers: &[("X-Auth-Username", "$:username"), ("X-Auth-Password", "$:password")],
        // Whoever asks for a zone gets its records.
        zones: List { call: "GET /$try", items: "*", pages: Pages::One },
        zone_name: "",
        read: List { call: "GET /$zone", items: "*", pages: Pages::One },
        record: Fields { id: "", value: "content.*|content", ..PLAIN.record },
        names: Names::Within(""),
        create: SERVERCOW_SET,
        change: SERVERCOW_SET,
        wrote: "message",
        ttl: (120, 20),
        says: Says::No("error"),
        code: "",
        text: "error",
        codes: &[
            ("~auth", Means::Auth),
            ("~password", Means::Auth),
            ("~domain", Means::Absent),
            ("~not found", Means::Absent),
        ],
        ..PLAIN
    },
    // https://www.simply.com/docs/api/
    Service {
        name: "simply_api",
        title: "Simply.com (its API)",
        page: "https://www.simply.com/",
        options: &[
            ProviderOption::required("account", "The account's name, such as S123456."),
            ProviderOption::secret("key", "The account's API key."),
            URL,
        ],
        base: "https://api.simply.com/2/my/products",
        headers: &[("Authorization", "Basic $:account:$:key")],
        zones: List { call: "GET /", items: "products.*", pages: Pages::One },
        zone_name: "?domain.name",
        zone_id: "object",
        read: List { call: "GET /$zid/dns/records/", items: "records.*", pages: Pages::One },
        record: Fields { id: "#record_id", value: "data", ..PLAIN.record },
        create: "POST /$zid/dns/records/ {\"type\":\"$type\",\"name\":\"$host\",\"data\":\"$addr\",\"ttl\":$ttl}",
        change: "PUT /$zid/dns/records/$id/ {\"type\":\"$type\",\"name\":\"$host\",\"data\":\"$addr\",\"ttl\":$ttl$+priority,comment}",
        wrote: "message",
        says: Says::No("error"),
        code: "",
        text: "error|message",
        codes: &[
            ("~authorization", Means::Auth),
            ("~product reference", Means::NoZone),
            ("~unknown dns record", Means::Absent),
            ("~not found", Means::NoZone),
        ],
        ..PLAIN
    },
];
