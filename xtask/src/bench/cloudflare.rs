//! A stand-in for Cloudflare's API: zones, the list of records with its filters and pages, single writes and the
//! batch. <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

use crate::peers::recorder::Seen;
use serde_json::{json, Value};
use std::sync::{Mutex, PoisonError};

/// The API's host.
pub const HOST: &str = "api.cloudflare.com";
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const PREFIX: &str = "/client/v4/zones";
/// Records on a page, unless asked otherwise.
const PER_PAGE: usize = 100;

/// The zone's records.
#[derive(Default)]
pub struct Cloud(Mutex<Vec<Value>>);

impl Cloud {
    /// Starts again with these names, each with an old address.
    pub fn reset(&self, names: &[String]) {
        let records = names.iter().enumerate().map(|(number, name)| {
            json!({"id": format!("{number:032x}"), "type": "A", "name": name, "content": "192.0.2.1", "ttl": 300,
                   "proxied": false, "proxiable": true, "comment": "the owner's", "tags": []})
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = records.collect();
    }

    /// How many records have this address.
    pub fn count(&self, addr: &str) -> usize {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().filter(|record| text(record, "content") == addr).count()
    }

    /// The answer to a request.
    pub fn answer(&self, seen: &Seen) -> (u16, String) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
        let path = seen.path().strip_prefix(PREFIX).unwrap_or_default().trim_matches('/');
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let done = match (seen.method.as_str(), parts.as_slice()) {
            ("GET", []) => {
                Some(page(vec![json!({"id": ZONE_ID, "name": "example.com", "status": "active"})], seen))
            }
            ("GET", [ZONE_ID]) => {
                Some(json!({"result": {"id": ZONE_ID, "name": "example.com", "status": "active"}}))
            }
            ("GET", [ZONE_ID, "dns_records"]) => Some(page(filtered(&records, seen), seen)),
            ("POST", [ZONE_ID, "dns_records", "batch"]) => batch(&mut records, &body),
            ("POST", [ZONE_ID, "dns_records"]) => Some(json!({"result": create(&mut records, &body)})),
            ("PUT" | "PATCH", [ZONE_ID, "dns_records", id]) => {
                change(&mut records, id, &body).map(|record| json!({"result": record}))
            }
            _ => None,
        };
        match done {
            Some(mut reply) => {
                reply["success"] = true.into();
                reply["errors"] = json!([]);
                reply["messages"] = json!([]);
                (200, reply.to_string())
            }
            None => {
                let errors = json!([{"code": 7003, "message": "Could not route to this request"}]);
                (404, json!({"success": false, "errors": errors, "messages": [], "result": null}).to_string())
            }
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn parameter<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.query()
        .split('&')
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

fn filtered(records: &[Value], seen: &Seen) -> Vec<Value> {
    let kind = parameter(seen, "type");
    let name = parameter(seen, "name").or_else(|| parameter(seen, "name.exact"));
    let fits = |record: &&Value| {
        kind.is_none_or(|kind| text(record, "type") == kind)
            && name.is_none_or(|name| text(record, "name") == name)
    };
    records.iter().filter(fits).cloned().collect()
}

/// One page of a list.
fn page(all: Vec<Value>, seen: &Seen) -> Value {
    let number = |name: &str, default: usize| {
        parameter(seen, name).and_then(|text| text.parse().ok()).filter(|count| *count > 0).unwrap_or(default)
    };
    let (page, size) = (number("page", 1), number("per_page", PER_PAGE));
    let total = all.len();
    let list: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let info = json!({"page": page, "per_page": size, "count": list.len(), "total_count": total,
                      "total_pages": total.div_ceil(size)});
    json!({"result": list, "result_info": info})
}

fn create(records: &mut Vec<Value>, body: &Value) -> Value {
    let mut record = body.clone();
    record["id"] = format!("{:032x}", records.len() + 0x1000).into();
    records.push(record.clone());
    record
}

/// Lays the given fields over the record of that id.
fn change(records: &mut [Value], id: &str, body: &Value) -> Option<Value> {
    let record = records.iter_mut().find(|record| text(record, "id") == id)?;
    for (key, value) in body.as_object()? {
        record[key] = value.clone();
    }
    Some(record.clone())
}

/// Deletes, patches, puts and posts in this order, all or none.
fn batch(records: &mut Vec<Value>, body: &Value) -> Option<Value> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut after = records.clone();
    after.retain(|record| !list("deletes").iter().any(|gone| text(gone, "id") == text(record, "id")));
    let mut result = json!({"deletes": list("deletes")});
    for name in ["patches", "puts"] {
        let changed: Option<Vec<Value>> =
            list(name).iter().map(|wanted| change(&mut after, text(wanted, "id"), wanted)).collect();
        result[name] = changed?.into();
    }
    result["posts"] = list("posts").iter().map(|wanted| create(&mut after, wanted)).collect();
    *records = after;
    Some(json!({"result": result}))
}

#[cfg(test)]
mod tests {
    use super::Cloud;
    use crate::peers::recorder::Seen;
    use serde_json::Value;
    use std::time::Instant;

    fn ask(cloud: &Cloud, method: &str, target: &str, body: &str) -> (u16, Value) {
        let seen = Seen {
            first_byte: Instant::now(),
            whole: Instant::now(),
            tls: true,
            method: method.into(),
            target: format!("/client/v4{target}"),
            headers: vec![],
            body: body.into(),
        };
        let (status, text) = cloud.answer(&seen);
        (status, serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn lists_in_pages_and_takes_a_batch_whole_or_not_at_all() {
        let cloud = Cloud::default();
        cloud.reset(&(0..120).map(|n| format!("cam{n}.example.com")).collect::<Vec<_>>());
        let zone = ask(&cloud, "GET", "/zones?name=example.com", "").1["result"][0]["id"].clone();
        let records = format!("/zones/{}/dns_records", zone.as_str().unwrap());
        let first = ask(&cloud, "GET", &records, "").1;
        assert_eq!(first["result"].as_array().unwrap().len(), 100);
        let second = ask(&cloud, "GET", &format!("{records}?page=2&per_page=100&type=A"), "").1;
        assert_eq!(second["result"].as_array().unwrap().len(), 20);
        let one = ask(&cloud, "GET", &format!("{records}?name=cam7.example.com"), "").1["result"][0].clone();
        let good = format!(r#"{{"patches":[{{"id":{},"content":"203.0.113.9"}}]}}"#, one["id"]);
        assert_eq!(ask(&cloud, "POST", &format!("{records}/batch"), &good).0, 200);
        assert_eq!(cloud.count("203.0.113.9"), 1);
        let bad =
            good.replace("}]", r#"},{"id":"nobody","content":"203.0.113.10"}]"#).replace("113.9", "113.10");
        assert_eq!(ask(&cloud, "POST", &format!("{records}/batch"), &bad).0, 404);
        assert_eq!((cloud.count("203.0.113.9"), cloud.count("203.0.113.10")), (1, 0));
    }
}
