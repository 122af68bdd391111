//! The Chinese clouds, whose requests are signed. Where they have a call for all zones of an account, one request finds
//! those of all records; names are asked for without a type, so that one request reads both families.

use crate::provider::api::{
    keys, Batch, Fields, List, Names, Pages, Says, Service, Special, KEY_ID, KEY_SECRET, LINE,
    NOTHING_SPECIAL, PLAIN, SESSION_TOKEN, URL,
};
use crate::provider::api::{Means, Means::Absent, Means::Auth, Means::Busy, Means::Clock, Means::NoZone};
use crate::provider::ProviderOption;
use crate::sign::{acs3, bce, huawei, tc3, volc};

/// What all of them are told.
const OPTIONS: &[ProviderOption] = &[KEY_ID, KEY_SECRET, SESSION_TOKEN, LINE, URL];

/// Alibaba's answers are XML if nobody says otherwise.
const JSON: &[(&str, &str)] = &[("Accept", "application/json")];

/// Where Tencent tells what went wrong: status 200 means nothing.
const TENCENT: Service = Service {
    headers: &[],
    wrote: "Response.RecordId",
    says: Says::No("Response.Error"),
    code: "Response.Error.Code",
    text: "Response.Error.Message",
    ..PLAIN
};

/// What Tencent's codes mean at all its services.
macro_rules! tencent {
    ($($own:expr),*) => {
        &[
            $($own,)*
            ("AuthFailure.SignatureExpire", Clock),
            ("AuthFailure", Auth),
            ("InvalidParameter.InvalidSecretId", Auth),
            ("InvalidParameter.LoginToken", Auth),
            ("InvalidParameter.RequestIpLimited", Auth),
            ("FailedOperation.Login", Auth),
            ("LimitExceeded.FailedLogin", Busy(3600)),
            ("LimitExceeded.RateLimit", Busy(60)),
            ("InvalidParameter.OperationIsTooFrequent", Busy(60)),
            ("InvalidParameter.ActionInProgress", Busy(60)),
            ("FailedOperation.FrequencyLimit", Busy(60)),
            ("FailedOperation.Unknow", Busy(0)),
            ("FailedOperation.TemporaryError", Busy(0)),
            ("=FailedOperation", Busy(0)),
            ("ResourceUnavailable", Busy(0)),
        ]
    };
}

/// What Alibaba's codes mean at all its services.
macro_rules! alibaba {
    ($($own:expr),*) => {
        &[
            $($own,)*
            ("InvalidTimeStamp", Clock),
            ("IllegalTimestamp", Clock),
            ("SignatureNonceUsed", Busy(0)),
            ("UnKnownError", Busy(0)),
            ("LastOperationNotFinished", Busy(0)),
            ("OperationThreadInUsed", Busy(0)),
            ("InvalidAccessKeyId", Auth),
            ("IncompleteSignature", Auth),
            ("InvalidSecurityToken", Auth),
            ("MissingSecurityToken", Auth),
            ("NoPermission", Auth),
            ("IllegalUser", Auth),
            ("Forbidden.DomainExpired", Means::Refused),
            ("Forbidden.RiskControl", Means::Refused),
        ]
    };
}

/// The rows.
pub(super) const ROWS: &[Service] = &[
    // https://www.alibabacloud.com/help/en/dns/api-alidns-2015-01-09-describesubdomainrecords
    Service {
        name: "alidns",
        title: "Alibaba Cloud DNS",
        page: "https://www.alibabacloud.com/product/dns",
        options: OPTIONS,
        base: "https://alidns.aliyuncs.com",
        headers: JSON,
        sign: Some(|job, http| {
            Ok(acs3(http, &keys(job)?, "2015-01-09", job.signing_time()?, &job.nonce))
        }),
        zones: List {
            call: "GET /?Action=DescribeDomains&PageNumber=$page&PageSize=100",
            items: "Domains.Domain.*",
            pages: Pages::Of(100),
        },
        zone_name: "PunyCode|DomainName",
        read: List {
            call: "GET /?Action=DescribeSubDomainRecords&DomainName=$zone&SubDomain=$host.$zone&PageNumber=$page&PageSize=100",
            items: "DomainRecords.Record.*",
            pages: Pages::Of(100),
        },
        all: "GET /?Action=DescribeDomainRecords&DomainName=$zone&PageNumber=$page&PageSize=100",
        record: Fields {
            id: "RecordId",
            name: "RR",
            rtype: "Type",
            value: "Value",
            ttl: "#TTL",
            line: "Line",
        },
        line: "default",
        create: "POST /?Action=AddDomainRecord&DomainName=$zone&RR=$host&Type=$type&Value=$addr&TTL=$ttl&Line=$line",
        change: "POST /?Action=UpdateDomainRecord&RecordId=$id&RR=$host&Type=$type&Value=$addr&TTL=$ttl&Line=$line",
        wrote: "RecordId",
        ttl: (600, 1),
        code: "Code",
        text: "Message",
        codes: alibaba![
            ("DomainRecordDuplicate", Means::Same),
            ("DomainRecordConflict", Means::Stale),
            ("DomainRecordNotBelongToUser", Absent),
            ("InvalidRecordId.NotFound", Absent),
            ("InvalidRR.NoExist", Absent),
            ("InvalidDomainName.NoExist", NoZone),
            ("IncorrectDomainUser", NoZone),
            ("OperationDomain.NoPermission", Auth)
        ],
        special: &Special { off: ("Status", "DISABLE"), ..NOTHING_SPECIAL },
        ..PLAIN
    },
    // https://www.alibabacloud.com/help/en/edge-security-acceleration/esa/api-esa-2024-09-10-updaterecord
    Service {
        name: "aliesa",
        title: "Alibaba Cloud ESA",
        page: "https://www.alibabacloud.com/product/esa",
        options: &[
            KEY_ID,
            KEY_SECRET,
            SESSION_TOKEN,
            ProviderOption::plain(
                "biz_name",
                "Put a new record behind ESA's proxy, which serves web, api or image_video; a site with CNAME access needs it.",
            ),
            URL,
        ],
        base: "https://esa.cn-hangzhou.aliyuncs.com",
        headers: JSON,
        sign: Some(|job, http| {
            Ok(acs3(http, &keys(job)?, "2024-09-10", job.signing_time()?, &job.nonce))
        }),
        zones: List {
            call: "GET /?Action=ListSites&PageNumber=$page&PageSize=100",
            items: "Sites.*",
            pages: Pages::Of(100),
        },
        zone_name: "SiteName",
        zone_id: "#SiteId",
        read: List {
            call: "GET /?Action=ListRecords&SiteId=$zid&RecordName=$fqdn&RecordMatchType=exact&Type=$type&PageNumber=$page&PageSize=100",
            items: "Records.*",
            pages: Pages::Of(100),
        },
        all: "GET /?Action=ListRecords&SiteId=$zid&Type=A/AAAA&PageNumber=$page&PageSize=100",
        record: Fields {
            id: "#RecordId",
            name: "RecordName",
            rtype: "RecordType",
            value: "Data.Value",
            ttl: "#Ttl",
            line: "",
        },
        names: Names::Full,
        special: &Special {
            types: ["A/AAAA", "A/AAAA"],
            joint: true,
            ..NOTHING_SPECIAL
        },
        create: "POST /?Action=CreateRecord&SiteId=$zid&RecordName=$fqdn&Type=$type&Data={%22Value%22:%22$addr%22}&Ttl=$ttl(&Proxied=true&BizName=$:biz_name)",
        change: "POST /?Action=UpdateRecord&RecordId=$id&Type=$type&Data={%22Value%22:%22$addr%22}&Ttl=$ttl$+Proxied,BizName,Comment",
        wrote: "RequestId",
        ttl: (600, 1),
        code: "Code",
        text: "Message",
        codes: alibaba![
            ("Record.NotFound", Absent),
            ("Record.RecordNameConflictWithSameRecordType", Means::Same),
            ("Record.RecordNameConflict", Means::Stale),
            ("Record.Conflict", Means::Stale),
            ("Record.ServiceBusy", Busy(0)),
            ("Record.Reserved", Busy(0)),
            ("Record.NoResource", Busy(0)),
            ("Site.ServiceBusy", Busy(0)),
            ("ServiceInvokeFailed", Busy(0)),
            ("TooManyRequests", Busy(60)),
            ("InvalidSite.NotFound", NoZone),
            ("SiteNotFound", NoZone)
        ],
        ..PLAIN
    },
    // https://cloud.tencent.com/document/api/1427/56166
    Service {
        name: "tencentcloud",
        title: "Tencent Cloud DNSPod (API 3.0)",
        page: "https://www.dnspod.cn/",
        options: &[KEY_ID, KEY_SECRET, SESSION_TOKEN, LINE_ID, URL],
        base: "https://dnspod.tencentcloudapi.com",
        sign: Some(|job, http| Ok(tc3(http, &keys(job)?, "dnspod", "2021-03-23", job.signing_time()?))),
        zones: List {
            call: "POST /?Action=DescribeDomainList {\"Offset\":$offset,\"Limit\":100}",
            items: "Response.DomainList.*",
            pages: Pages::Of(100),
        },
        zone_name: "Punycode|Name",
        read: List {
            call: "POST /?Action=DescribeRecordList {\"Domain\":\"$zone\",\"Subdomain\":\"$host\",\"ErrorOnEmpty\":\"no\",\"Offset\":$offset,\"Limit\":200}",
            items: "Response.RecordList.*",
            pages: Pages::Of(200),
        },
        all: "POST /?Action=DescribeRecordList {\"Domain\":\"$zone\",\"ErrorOnEmpty\":\"no\",\"Offset\":$offset,\"Limit\":200}",
        record: Fields {
            id: "#RecordId",
            name: "Name",
            rtype: "Type",
            value: "Value",
            ttl: "#TTL",
            line: "LineId",
        },
        line: "0",
        create: "POST /?Action=CreateRecord {\"Domain\":\"$zone\",\"SubDomain\":\"$host\",\"RecordType\":\"$type\",\"RecordLine\":\"\u{9ed8}\u{8ba4}\",\"RecordLineId\":\"$line\",\"Value\":\"$addr\",\"TTL\":$ttl}",
        change: "POST /?Action=ModifyRecord {\"Domain\":\"$zone\",\"SubDomain\":\"$host\",\"RecordType\":\"$type\",\"RecordLineId\":\"$line\",\"RecordId\":$id,\"Value\":\"$addr\",\"TTL\":$ttl$+RecordLine=Line,Weight,Status,Remark}",
        ttl: (600, 1),
        codes: tencent![
            ("ResourceNotFound.NoDataOf", Absent),
            ("InvalidParameter.RecordIdInvalid", Absent),
            ("InvalidParameter.DomainRecordExist", Means::Same),
            ("InvalidParameterValue.DomainNotExists", NoZone),
            ("InvalidParameter.DomainIdInvalid", NoZone),
            ("InvalidParameter.DomainInvalid", NoZone),
            ("FailedOperation.NotDomainOwner", NoZone),
            ("OperationDenied.NoPermissionToOperateDomain", NoZone),
            ("OperationDenied.AccessDenied", Auth),
            ("InvalidParameter.AccountIsBanned", Auth),
            ("InvalidParameter.OperateFailed", Busy(0)),
            ("InvalidParameter.DomainIsModifyingDns", Busy(60))
        ],
        ..TENCENT
    },
    // https://cloud.tencent.com/document/product/1552/114252
    Service {
        name: "edgeone",
        title: "Tencent Cloud EdgeOne",
        page: "https://edgeone.ai/",
        options: OPTIONS,
        base: "https://teo.tencentcloudapi.com",
        sign: Some(|job, http| Ok(tc3(http, &keys(job)?, "teo", "2022-09-01", job.signing_time()?))),
        zones: List {
            call: "POST /?Action=DescribeZones {\"Offset\":$offset,\"Limit\":100}",
            items: "Response.Zones.*",
            pages: Pages::Of(100),
        },
        zone_name: "ZoneName",
        zone_id: "ZoneId",
        read: List {
            call: "POST /?Action=DescribeDnsRecords {\"ZoneId\":\"$zid\",\"Filters\":[{\"Name\":\"name\",\"Values\":[\"$fqdn\"]}],\"Offset\":$offset,\"Limit\":200}",
            items: "Response.DnsRecords.*",
            pages: Pages::Of(200),
        },
        all: "POST /?Action=DescribeDnsRecords {\"ZoneId\":\"$zid\",\"Offset\":$offset,\"Limit\":200}",
        record: Fields {
            id: "RecordId",
            name: "Name",
            rtype: "Type",
            value: "Content",
            ttl: "#TTL",
            line: "Location",
        },
        names: Names::Full,
        line: "Default",
        create: "POST /?Action=CreateDnsRecord {\"ZoneId\":\"$zid\",\"Name\":\"$fqdn\",\"Type\":\"$type\",\"Content\":\"$addr\",\"Location\":\"$line\",\"TTL\":$ttl}",
        batch: &Batch {
            call: "POST /?Action=ModifyDnsRecords {\"ZoneId\":\"$zid\",\"DnsRecords\":[$items]}",
            create: "",
            change: "{\"RecordId\":\"$id\",\"Name\":\"$fqdn\",\"Type\":\"$type\",\"Content\":\"$addr\",\"Location\":\"$line\",\"TTL\":$ttl$+Weight}",
            most: 100,
        },
        wrote: "Response.RequestId",
        ttl: (300, 60),
        codes: tencent![
            ("ResourceNotFound.Zone", NoZone),
            ("ResourceUnavailable.Zone", NoZone),
            ("InvalidParameter.ZoneNotFound", NoZone),
            ("InvalidParameterValue.ZoneNotFound", NoZone),
            ("ResourceNotFound", Absent),
            ("ResourceInUse.DnsRecord", Means::Stale),
            ("ResourceInUse.Dns", Means::Stale),
            ("InternalError.ConfigLocked", Means::Refused),
            ("InvalidParameterValue.ConflictRecord", Means::Stale)
        ],
        ..TENCENT
    },
    // https://support.huaweicloud.com/intl/en-us/api-dns/BatchUpdateRecordSetWithLine.html
    Service {
        name: "huaweicloud",
        title: "Huawei Cloud DNS",
        page: "https://www.huaweicloud.com/intl/en-us/product/dns.html",
        options: OPTIONS,
        base: "https://dns.myhuaweicloud.com",
        headers: &[],
        sign: Some(|job, http| Ok(huawei(http, &keys(job)?, job.signing_time()?))),
        zones: List {
            call: "GET /v2/zones?type=public&limit=100&offset=$offset",
            items: "zones.*",
            pages: Pages::Of(100),
        },
        zone_id: "id",
        read: List {
            call: "GET /v2.1/zones/$zid/recordsets?name=$fqdn.&search_mode=equal&limit=100&offset=$offset",
            items: "recordsets.*",
            pages: Pages::Of(100),
        },
        all: "GET /v2.1/zones/$zid/recordsets?limit=100&offset=$offset",
        record: Fields { value: "records.*", line: "line", ..PLAIN.record },
        names: Names::Full,
        line: "default_view",
        create: "POST /v2.1/zones/$zid/recordsets {\"name\":\"$fqdn.\",\"type\":\"$type\",\"records\":[\"$addr\"],\"ttl\":$ttl,\"line\":\"$line\"}",
        change: "PUT /v2.1/zones/$zid/recordsets/$id {\"name\":\"$fqdn.\",\"type\":\"$type\",\"records\":[\"$addr\"],\"ttl\":$ttl$+description,weight}",
        batch: &Batch {
            call: "PUT /v2.1/zones/$zid/recordsets {\"recordsets\":[$items]}",
            create: "",
            change: "{\"id\":\"$id\",\"records\":[\"$addr\"],\"ttl\":$ttl$+description,weight}",
            most: 50,
        },
        wrote: "id|recordsets.0.id",
        ttl: (300, 1),
        code: "code|error_code",
        text: "message|error_msg",
        codes: &[
            ("DNS.0312", Means::Stale),
            ("DNS.0335", Means::Stale),
            ("DNS.0016", Means::Stale),
            ("DNS.0004", Absent),
            ("DNS.0313", Absent),
            ("DNS.0302", NoZone),
            ("DNS.0101", NoZone),
            ("DNS.1206", NoZone),
            ("DNS.0014", Busy(60)),
            ("DNS.0021", Busy(0)),
            ("DNS.000", Busy(0)),
            ("DNS.0012", Busy(0)),
            ("DNS.0015", Busy(0)),
            ("DNS.0022", Busy(0)),
            ("DNS.0036", Busy(0)),
            ("DNS.0013", Auth),
            ("DNS.0030", Auth),
            ("DNS.0040", Auth),
            ("DNS.1802", Auth),
            ("APIGW.0308", Busy(60)),
            ("APIGW.0201", Busy(0)),
            ("~signature expired", Clock),
            ("APIGW.0", Auth),
        ],
        special: &Special { off: ("Status", "DISABLE"), ..NOTHING_SPECIAL },
        ..PLAIN
    },
    // https://cloud.baidu.com/doc/BCD/s/4jwvymhs7
    Service {
        name: "baiducloud",
        title: "Baidu AI Cloud (domain service, BCD)",
        page: "https://cloud.baidu.com/product/bcd.html",
        options: OPTIONS,
        base: "https://bcd.baidubce.com",
        headers: &[],
        sign: BAIDU,
        // Some of its own examples name the page pageNo, others pageNum.
        read: List {
            call: "POST /v1/domain/resolve/list {\"domain\":\"$zone\",\"pageNo\":$page,\"pageNum\":$page,\"pageSize\":100}",
            items: "result.*|!#totalCount",
            pages: Pages::Total("totalCount"),
        },
        record: Fields {
            id: "#recordId",
            name: "domain",
            rtype: "rdtype",
            value: "rdata",
            line: "view",
            ..PLAIN.record
        },
        line: "DEFAULT",
        create: "POST /v1/domain/resolve/add {\"domain\":\"$host\",\"view\":\"$line\",\"rdType\":\"$type\",\"ttl\":$ttl,\"rdata\":\"$addr\",\"zoneName\":\"$zone\"}",
        change: "POST /v1/domain/resolve/edit {\"recordId\":$id,\"domain\":\"$host\",\"view\":\"$line\",\"rdType\":\"$type\",\"ttl\":$ttl,\"rdata\":\"$addr\",\"zoneName\":\"$zone\"}",
        ttl: (300, 1),
        says: Says::Is("code|success", "|true"),
        codes: BAIDU_CODES,
        ..PLAIN
    },
    // https://intl.cloud.baidu.com/en/doc/DNS/s/El4s7lssr-intl-en
    Service {
        name: "baidudns",
        title: "Baidu AI Cloud DNS",
        page: "https://cloud.baidu.com/product/dns.html",
        options: OPTIONS,
        base: "https://dns.baidubce.com",
        headers: &[],
        sign: BAIDU,
        zones: List {
            call: "GET /v1/dns/zone?maxKeys=100(&marker=$cursor)",
            items: "zones.*",
            pages: Pages::Cursor("nextMarker"),
        },
        read: List {
            call: "GET /v1/dns/zone/$zone/record?rr=$host&maxKeys=100(&marker=$cursor)",
            items: "records.*",
            pages: Pages::Cursor("nextMarker"),
        },
        all: "GET /v1/dns/zone/$zone/record?maxKeys=100(&marker=$cursor)",
        record: Fields { name: "rr", value: "value", line: "line", ..PLAIN.record },
        line: "default",
        create: "POST /v1/dns/zone/$zone/record {\"rr\":\"$host\",\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl,\"line\":\"$line\"}",
        change: "PUT /v1/dns/zone/$zone/record/$id {\"rr\":\"$host\",\"type\":\"$type\",\"value\":\"$addr\",\"ttl\":$ttl$+description}",
        ttl: (300, 1),
        says: Says::No("code"),
        codes: BAIDU_CODES,
        ..PLAIN
    },
    // https://www.volcengine.com/docs/6758/163143
    Service {
        name: "trafficroute",
        title: "Volcengine TrafficRoute",
        page: "https://www.volcengine.com/product/dns",
        options: OPTIONS,
        base: "https://open.volcengineapi.com",
        headers: &[],
        sign: Some(|job, http| Ok(volc(http, &keys(job)?, "cn-north-1", "DNS", job.signing_time()?))),
        zones: List {
            call: "GET /?Action=ListZones&Version=2018-08-01&PageNumber=$page&PageSize=100",
            items: "Result.Zones.*|!#Result.Total",
            pages: Pages::Total("Result.Total"),
        },
        zone_name: "ZoneName",
        zone_id: "#ZID",
        read: List {
            call: "GET /?Action=ListRecords&Version=2018-08-01&ZID=$zid&Host=$host&SearchMode=exact&PageNumber=$page&PageSize=100",
            items: "Result.Records.*|!#Result.TotalCount",
            pages: Pages::Total("Result.TotalCount"),
        },
        all: "GET /?Action=ListRecords&Version=2018-08-01&ZID=$zid&PageNumber=$page&PageSize=100",
        record: Fields {
            id: "RecordID",
            name: "Host",
            rtype: "Type",
            value: "Value",
            ttl: "#TTL",
            line: "Line",
        },
        line: "default",
        create: "POST /?Action=CreateRecord&Version=2018-08-01 {\"ZID\":$zid,\"Host\":\"$host\",\"Type\":\"$type\",\"Value\":\"$addr\",\"TTL\":$ttl,\"Line\":\"$line\"}",
        change: "POST /?Action=UpdateRecord&Version=2018-08-01 {\"RecordID\":\"$id\",\"Host\":\"$host\",\"Line\":\"$line\",\"Type\":\"$type\",\"Value\":\"$addr\",\"TTL\":$ttl$+Weight,Remark}",
        wrote: "Result.RecordID",
        ttl: (600, 1),
        says: Says::No("ResponseMetadata.Error.Code"),
        code: "ResponseMetadata.Error.Code",
        text: "ResponseMetadata.Error.Message",
        codes: &[
            ("ErrInternalServer", Busy(0)),
            ("ErrDBDuplicated", Means::Stale),
            ("ErrDBNotFound", Absent),
            ("ErrZoneNotFound", NoZone),
            ("ErrMissingAccountParameter", Auth),
            ("InvalidCredential", Auth),
            ("InvalidTimestamp", Clock),
            ("InvalidSecretToken", Auth),
            ("MissingAuthentication", Auth),
            ("FlowLimitExceeded", Busy(60)),
            ("AccountFlowLimitExceeded", Busy(60)),
        ],
        ..PLAIN
    },
];

/// Tencent's lines by their ids, which need no Chinese.
pub(super) const LINE_ID: ProviderOption =
    ProviderOption::plain("line", "The id of the record's line, such as 10=1; 0 is the default one.");

/// Baidu's signature.
const BAIDU: Option<crate::provider::api::Sign> =
    Some(|job, http| Ok(bce(http, &keys(job)?, job.signing_time()?)));

/// What Baidu's codes mean.
const BAIDU_CODES: &[(&str, Means)] = &[
    ("InvalidHTTPAuthHeader", Auth),
    ("InvalidHTTPRequest", Means::Garbled),
    ("NoSuchZone", NoZone),
    ("ZoneNotExist", NoZone),
    ("NoSuchRecord", Absent),
    ("RecordNotExist", Absent),
    ("RecordExist", Means::Stale),
];
