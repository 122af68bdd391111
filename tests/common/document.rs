//! The status document as docs/status.schema.json wants it, by a validator that others wrote.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

/// The schema's text.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
});

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

/// Panics unless a document is as the schema says.
pub fn is_valid(document: &str) -> Value {
    let json: Value = serde_json::from_str(document).unwrap();
    let faults: Vec<String> =
        VALIDATOR.iter_errors(&json).map(|fault| format!("{} ({})", fault, fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?} in {document}");
    json
}

/// A path as docs/status.md writes it: what both families have is said of the first, what all failures have of records'.
fn written(path: String) -> String {
    let failure = |path: String, of: &str| path.replace(&format!("{of}.failure."), "records[].failure.");
    failure(failure(path.replace(".ipv6.", ".ipv4."), "notify[]"), "tunnels[].mappings[]")
}

/// All that the schema names, as paths: `cameras[].at`.
#[allow(dead_code, reason = "one of the tests that share this needs it")]
pub fn named() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk_schema(&SCHEMA, "", &mut paths);
    paths
}

fn walk_schema(part: &Value, path: &str, paths: &mut BTreeSet<String>) {
    if let Some(name) = part["$ref"].as_str() {
        return walk_schema(&SCHEMA["$defs"][name.trim_start_matches("#/$defs/")], path, paths);
    }
    for (name, inner) in part["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        paths.insert(written(path.clone()));
        let items = &inner["items"];
        if items.is_null() {
            walk_schema(inner, &path, paths);
        } else {
            walk_schema(items, &format!("{path}[]"), paths);
        }
    }
}

/// All that a document has, as such paths.
#[allow(dead_code, reason = "one of the tests that share this needs it")]
pub fn had(json: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for (name, inner) in json.as_object().into_iter().flatten() {
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        paths.insert(written(path.clone()));
        match inner.as_array() {
            None => had(inner, &path, paths),
            Some(items) => items.iter().for_each(|item| had(item, &format!("{path}[]"), paths)),
        }
    }
}
