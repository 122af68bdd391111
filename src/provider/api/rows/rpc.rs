//! Hosters whose API is one address that takes methods, some of them within a session.

use crate::provider::api::{
    Batch, Fields, List, Means, Names, Pages, Says, Service, Special, NOTHING_SPECIAL, PLAIN, TOKEN, URL,
};
use crate::provider::ProviderOption;

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://ccp.netcup.net/run/webservice/servers/endpoint.php
    Service {
        name: "netcup",
        title: "netcup",
        page: "https://www.netcup.com/",
        options: &[
            ProviderOption::required("customer", "The customer's number."),
            ProviderOption::secret("key", "The API key, made in the customer control panel."),
            ProviderOption::secret("password", "The API password, made there too."),
            URL,
        ],
        base: "https://ccp.netcup.net/run/webservice/servers/endpoint.php?JSON",
        headers: &[],
        special: &Special {
            login: "POST  {\"action\":\"login\",\"param\":{\"customernumber\":\"$:customer\",\"apikey\":\"$:key\",\"apipassword\":\"$:password\"}}",
            session: "responsedata.apisessionid",
            ..NOTHING_SPECIAL
        },
        zones: List {
            call: "POST  {\"action\":\"infoDnsZone\",\"param\":{\"domainname\":\"$try\",\"customernumber\":\"$:customer\",\"apikey\":\"$:key\",\"apisessionid\":\"$session\"}}",
            items: "responsedata",
            pages: Pages::One,
        },
        read: List {
            call: "POST  {\"action\":\"infoDnsRecords\",\"param\":{\"domainname\":\"$zone\",\"customernumber\":\"$:customer\",\"apikey\":\"$:key\",\"apisessionid\":\"$session\"}}",
            items: "responsedata.dnsrecords.*",
            pages: Pages::One,
        },
        // Times to live are the zone's.
        record: Fields { name: "hostname", value: "destination", ttl: "", ..PLAIN.record },
        batch: &Batch {
            call: "POST  {\"action\":\"updateDnsRecords\",\"param\":{\"domainname\":\"$zone\",\"customernumber\":\"$:customer\",\"apikey\":\"$:key\",\"apisessionid\":\"$session\",\"dnsrecordset\":{\"dnsrecords\":[$items]}}}",
            create: "{\"hostname\":\"$host\",\"type\":\"$type\",\"destination\":\"$addr\"}",
            change: "{\"id\":\"$id\",\"hostname\":\"$host\",\"type\":\"$type\",\"destination\":\"$addr\"$+priority,state}",
            most: 50,
        },
        wrote: "responsedata.dnsrecords",
        says: Says::Is("status", "success"),
        code: "statuscode",
        text: "longmessage|shortmessage",
        codes: &[
            // A session that it made itself, now and then.
            ("4001", Means::Busy(60)),
            ("5028", Means::NoZone),
            ("5029", Means::Absent),
            ("~requests per minute", Means::Busy(60)),
            ("~too many", Means::Busy(60)),
            ("~domain", Means::Absent),
            ("~password", Means::Auth),
            ("~api", Means::Auth),
            ("~customer", Means::Auth),
        ],
        ..PLAIN
    },
    // https://www.inwx.com/en/help/apidoc
    Service {
        name: "inwx_api",
        title: "INWX (its API)",
        page: "https://www.inwx.com/",
        options: &[
            ProviderOption::required("username", "The account's name; one without a second factor."),
            ProviderOption::secret("password", "The account's password."),
            URL,
        ],
        base: "https://api.domrobot.com/jsonrpc",
        headers: &[("Cookie", "$session")],
        special: &Special {
            login: "POST / {\"method\":\"account.login\",\"params\":{\"user\":\"$:username\",\"pass\":\"$:password\"}}",
            session: "cookie domrobot",
            zone_not: ("type", "SLAVE"),
            ..NOTHING_SPECIAL
        },
        zones: List {
            call: "POST / {\"method\":\"nameserver.list\",\"params\":{\"page\":$page,\"pagelimit\":100}}",
            items: "?resData.domains.*",
            pages: Pages::Of(100),
        },
        zone_name: "domain",
        read: List {
            call: "POST / {\"method\":\"nameserver.info\",\"params\":{\"domain\":\"$zone\",\"name\":\"$fqdn\",\"type\":\"$type\"}}",
            items: "?resData.record.*",
            pages: Pages::One,
        },
        all: "POST / {\"method\":\"nameserver.info\",\"params\":{\"domain\":\"$zone\"}}",
        record: Fields { id: "~id", ..PLAIN.record },
        names: Names::Full,
        create: "POST / {\"method\":\"nameserver.createRecord\",\"params\":{\"domain\":\"$zone\",\"type\":\"$type\",\"name\":\"$fqdn\",\"content\":\"$addr\",\"ttl\":$ttl}}",
        change: "POST / {\"method\":\"nameserver.updateRecord\",\"params\":{\"content\":\"$addr\",\"ttl\":$ttl$+id}}",
        ttl: (300, 300),
        says: Says::Is("code", "1000|1001"),
        text: "reason|msg",
        codes: &[
            ("2002", Means::Auth),
            ("2200", Means::Auth),
            ("2201", Means::Auth),
            ("2302", Means::Stale),
            ("2303", Means::Absent),
            ("240", Means::Busy(60)),
            ("250", Means::Busy(60)),
        ],
        ..PLAIN
    },
    // https://njal.la/api/
    Service {
        name: "njalla_api",
        title: "Njalla (its API)",
        page: "https://njal.la/",
        options: &[TOKEN, URL],
        base: "https://njal.la/api/1",
        headers: &[("Authorization", "Njalla $:token")],
        zones: List {
            call: "POST / {\"method\":\"list-domains\",\"params\":{}}",
            items: "result.domains.*",
            pages: Pages::One,
        },
        read: List {
            call: "POST / {\"method\":\"list-records\",\"params\":{\"domain\":\"$zone\"}}",
            items: "result.records.*",
            pages: Pages::One,
        },
        record: Fields { id: "~id", ..PLAIN.record },
        create: "POST / {\"method\":\"add-record\",\"params\":{\"domain\":\"$zone\",\"type\":\"$type\",\"name\":\"$host\",\"content\":\"$addr\",\"ttl\":$ttl}}",
        change: "POST / {\"method\":\"edit-record\",\"params\":{\"domain\":\"$zone\",\"type\":\"$type\",\"name\":\"$host\",\"content\":\"$addr\",\"ttl\":$ttl$+id}}",
        wrote: "jsonrpc",
        ttl: (300, 60),
        says: Says::No("error|Error"),
        code: "error.code|Error.code",
        text: "error.message|Error.message",
        codes: &[
            ("401", Means::Auth),
            ("403", Means::Auth),
            ("404", Means::Absent),
            ("429", Means::Busy(60)),
            ("5", Means::Busy(0)),
        ],
        ..PLAIN
    },
];
