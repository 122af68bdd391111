//! Clouds and hosters with paths of zones and records.

use crate::provider::api::{
    keys, Batch, Fields, List, Means, Names, Pages, Service, KEY_ID, KEY_SECRET, PLAIN, SESSION_TOKEN, URL,
};
use crate::provider::ProviderOption;
use crate::sign;

/// The change of a set at Route 53: it replaces all of it, so that what makes it one of several is sent back.
const ROUTE53_CHANGE: &str = "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>$fqdn.</Name><Type>$type</Type>$+SetIdentifier,Weight,Region,GeoLocation,Failover,MultiValueAnswer<TTL>$ttl</TTL><ResourceRecords><ResourceRecord><Value>$addr</Value></ResourceRecord></ResourceRecords>$+HealthCheckId,CidrRoutingConfig,GeoProximityLocation</ResourceRecordSet></Change>";

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
        xml: true,
        zones: List {
            call: "GET /2013-04-01/hostedzone?maxitems=100(&marker=$cursor)",
            items: "ListHostedZonesResponse.HostedZones.%",
            pages: Pages::Cursor("ListHostedZonesResponse.NextMarker"),
        },
        zone_name: "Name",
        zone_id: "Id",
        zone_not: ("Config.PrivateZone", "true"),
        // The sets at and after a name: more than there are types, so that both families are among them.
        read: List {
            call: "GET /2013-04-01/hostedzone/$zid/rrset?maxitems=20&name=$fqdn.",
            items: "ListResourceRecordSetsResponse.ResourceRecordSets.%",
            pages: Pages::One,
        },
        record: Fields {
            id: "",
            name: "Name",
            rtype: "Type",
            value: "ResourceRecords.%.Value",
            ttl: "?TTL",
            line: "",
        },
        names: Names::Full,
        batch: Batch {
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
];
