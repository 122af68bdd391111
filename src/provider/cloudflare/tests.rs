//! As few requests as the API allows, against a model of it.

use super::*;
use crate::model::RecordId;
use crate::provider::{Http, Options, Reply, Request};
use crate::secret::Secret;
use crate::wire::json::{array, Json};
use std::net::{IpAddr, Ipv4Addr};

/// The cap of a body in bytes, as the transport has it.
const BODY_CAP: usize = 256 * 1024;
const RIGHT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// A zone that answers as the API does, and counts.
#[derive(Default)]
struct Zone {
    /// Name and content of its A records; the id is the place.
    records: Vec<(String, String)>,
    lists: usize,
    writes: usize,
    largest: usize,
    /// A write of this name is refused.
    refused: Option<String>,
}

impl Zone {
    fn of(count: usize) -> Zone {
        let records =
            (0..count).map(|n| (format!("cam{n}.example.com"), "198.51.100.1".to_owned())).collect();
        Zone { records, ..Zone::default() }
    }

    fn record(&self, id: usize) -> String {
        let (name, content) = &self.records[id];
        Object::new()
            .str("id", &format!("{id:032x}"))
            .str("name", name)
            .str("type", "A")
            .str("content", content)
            .num("ttl", 1)
            .bool("proxied", true)
            .bool("proxiable", true)
            .raw("settings", "{}")
            .raw("meta", "{\"auto_added\":false,\"managed_by_apps\":false,\"managed_by_argo_tunnel\":false}")
            .str("comment", &"c".repeat(100))
            .raw("tags", "[]")
            .str("created_on", "2026-01-01T05:20:00.12345Z")
            .str("modified_on", "2026-01-01T05:20:00.12345Z")
            .end()
    }

    fn write(&mut self, id: Option<usize>, body: &Json) -> Option<String> {
        let content = body.get("content").str().unwrap().to_owned();
        let id = id.unwrap_or_else(|| {
            self.records.push((body.get("name").str().unwrap().to_owned(), String::new()));
            self.records.len() - 1
        });
        if self.refused.as_ref() == Some(&self.records[id].0) {
            return None;
        }
        self.records[id].1 = content;
        Some(self.record(id))
    }

    fn batch(&mut self, body: &Json) -> Option<String> {
        let before = self.records.clone();
        let mut done = Object::new();
        let mut count = 0;
        for key in ["patches", "posts"] {
            let mut results = Vec::new();
            for one in body.get(key).items() {
                let id = one.get("id").str().map(|id| usize::from_str_radix(id, 16).unwrap());
                let Some(result) = self.write(id, one) else {
                    self.records = before;
                    return None;
                };
                results.push(result);
                count += 1;
            }
            done = done.raw(key, &array(results));
        }
        assert!((2..=200).contains(&count), "a batch of {count}");
        Some(done.end())
    }

    fn list(&mut self, query: &str) -> (String, usize) {
        self.lists += 1;
        let field = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
        let fits = |id: &usize| field("name").is_none_or(|name| self.records[*id].0 == name);
        let ids: Vec<usize> = (0..self.records.len()).filter(fits).collect();
        let size: usize = field("per_page").unwrap().parse().unwrap();
        let page: usize = field("page").map_or(1, |page| page.parse().unwrap());
        let shown = ids.iter().skip((page - 1) * size).take(size);
        (array(shown.map(|id| self.record(*id))), ids.len().div_ceil(size))
    }

    fn answer(&mut self, http: &Http) -> Reply {
        let path = http.url.split_once("/zones/z/dns_records").unwrap().1;
        let body = Json::parse(&http.body).unwrap_or(Json::Null);
        let (result, pages) = match (http.method, path) {
            ("GET", query) => {
                let (list, pages) = self.list(&query[1..]);
                (Some(list), pages)
            }
            (method, path) => {
                self.writes += 1;
                let id = |path: &str| usize::from_str_radix(&path[1..], 16).unwrap();
                let result = match (method, path) {
                    ("POST", "/batch") => self.batch(&body),
                    ("POST", "") => self.write(None, &body),
                    ("PATCH", path) => self.write(Some(id(path)), &body),
                    other => panic!("{other:?}"),
                };
                (result, 1)
            }
        };
        let info = Object::new().num("total_pages", pages as i64).end();
        let (status, body) = match result {
            Some(result) => (
                200,
                Object::new().bool("success", true).raw("result", &result).raw("result_info", &info).end(),
            ),
            None => (
                400,
                "{\"success\":false,\"errors\":[{\"code\":1004,\"message\":\"DNS Validation Error\"}]}"
                    .into(),
            ),
        };
        self.largest = self.largest.max(body.len());
        assert!(body.len() <= BODY_CAP, "an answer of {} bytes to {}", body.len(), http.url);
        Reply { status, headers: Vec::new(), body: body.into() }
    }
}

/// Wants the right address for the first `count` names, and plays it.
fn run(zone: &mut Zone, count: usize) -> Verdicts {
    let wanted = |n| Wanted {
        id: RecordId { record: "r".into(), domain: format!("cam{n}.example.com"), family: Family::V4 },
        addr: RIGHT,
    };
    let mut options = Options::default();
    options.secrets.insert("token".into(), Secret::new("t0ken"));
    options.text.insert("zone_id".into(), "z".into());
    let records = (0..count).map(wanted).collect();
    let mut job = Job { zone: None, ttl: None, options, records, now: 0, nonce: [0; 16], memo: Map::new() };
    let verdicts = ENTRY.update(&mut job, &mut |request| match request {
        Request::Http(http) => Ok(zone.answer(&http)),
        Request::Dns(_) => panic!("no DNS here"),
    });
    verdicts.unwrap()
}

#[test]
fn as_few_requests_as_the_api_allows() {
    // Records wanted, records in the zone, lists, writes.
    for (count, zone, lists, writes) in [
        (1, 1, 1, 1),
        (10, 10, 1, 1),
        (100, 100, 1, 1),
        (200, 200, 1, 1),
        (100, 50, 1, 1),
        (250, 250, 2, 2),
        (201, 201, 2, 2),
        (2, 5000, 3, 1),
        (100, 5000, 25, 1),
        (1, 5000, 1, 1),
    ] {
        let mut zone_of = Zone::of(zone);
        let verdicts = run(&mut zone_of, count);
        assert_eq!(verdicts.len(), count);
        assert!(verdicts.iter().all(|(_, v)| v.as_ref().is_ok_and(|done| *done != Outcome::Unchanged)));
        assert_eq!((zone_of.lists, zone_of.writes), (lists, writes), "{count} of {zone}");
        let right = zone_of.records.iter().filter(|(_, content)| *content == RIGHT.to_string()).count();
        assert_eq!(right, count, "what was not wanted is as it was");
        let again = run(&mut zone_of, count);
        assert!(again.iter().all(|(_, verdict)| *verdict == Ok(Outcome::Unchanged)));
        assert_eq!(zone_of.writes, writes, "nothing is written twice");
    }
}

#[test]
fn one_bad_record_never_fails_its_neighbours() {
    let mut zone = Zone::of(250);
    zone.refused = Some("cam7.example.com".into());
    let verdicts = run(&mut zone, 250);
    for (id, verdict) in &verdicts {
        assert_eq!(verdict.is_err(), id.domain == "cam7.example.com", "{id}: {verdict:?}");
    }
    assert_eq!(zone.writes, 1 + 200 + 1, "a batch, its records one by one, and the other batch");
}
