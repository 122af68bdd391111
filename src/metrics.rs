//! The status document as metrics for Prometheus: its text format 0.0.4.    [pure]
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use crate::wire::json::Json;
use std::fmt::Write as _;

/// A family of metrics: one sample for each entry of a list in the document.
struct Row {
    /// Without the program's name before it.
    name: &'static str,
    /// `gauge` or `counter`.
    kind: &'static str,
    /// One line of plain words.
    help: &'static str,
    /// The list, or the one object; empty: the document itself.
    list: &'static str,
    /// Labels, and which value of the entry each shows.
    labels: &'static [(&'static str, &'static str)],
    /// What the sample is.
    value: Value,
}

/// How an entry becomes a number. An entry that has no such value gives no sample.
enum Value {
    /// A number of the entry.
    Number(&'static str),
    /// 1 if a truth value of the entry is true.
    Truth(&'static str),
    /// 1 if a text of the entry is this one.
    Is(&'static str, &'static str),
    /// Always 1: the labels are what is told.
    One,
}

const RECORD: &[(&str, &str)] = &[("record", "record"), ("domain", "domain"), ("type", "type")];
const CAMERA: &[(&str, &str)] = &[("camera", "name")];
const MAPPING: &[(&str, &str)] = &[("mapping", "name"), ("camera", "camera"), ("port", "port")];

const fn row(
    name: &'static str,
    help: &'static str,
    list: &'static str,
    labels: &'static [(&'static str, &'static str)],
    value: Value,
) -> Row {
    Row { name, kind: "gauge", help, list, labels, value }
}

const fn counted(mut row: Row) -> Row {
    row.kind = "counter";
    row
}

/// Whether there is a status at all.
static UP: Row = row("up", "1 if the agent runs", "", &[], Value::One);
/// Of each WAN one sample for each family that counts, which is the second label.
static WAN_PUBLIC: Row = row(
    "wan_public",
    "1 if the internet can reach the WAN's address",
    "wans",
    &[("wan", "name")],
    Value::One,
);

/// All other families.
static ROWS: &[Row] = &[
    row("build_info", "1; the label is the program's version", "", &[("version", "version")], Value::One),
    row(
        "healthy",
        "1 if every camera is reached as configured, and nothing else needs attention",
        "",
        &[],
        Value::Truth("healthy"),
    ),
    row("clock_set", "1 if the router's clock was set", "clock", &[], Value::Truth("set")),
    counted(row(
        "changes_total",
        "Changes that were made, of records and mappings",
        "",
        &[],
        Value::Number("change"),
    )),
    row(
        "record_published",
        "1 if the record is published as wanted",
        "records",
        RECORD,
        Value::Is("standing", "published"),
    ),
    row(
        "record_failing",
        "1 if the last attempt to publish the record failed",
        "records",
        RECORD,
        Value::Is("standing", "failing"),
    ),
    row(
        "record_changed_timestamp_seconds",
        "When the record was last changed, Unix time",
        "records",
        RECORD,
        Value::Number("changed_at"),
    ),
    row(
        "camera_reachable",
        "1 if somebody outside reaches the camera by all its mappings",
        "cameras",
        CAMERA,
        Value::Is("reachable", "yes"),
    ),
    row(
        "camera_unreachable",
        "1 if nobody outside reaches the camera by one of its mappings, though it is to be open",
        "cameras",
        CAMERA,
        Value::Is("reachable", "no"),
    ),
    row(
        "camera_heard",
        "1 if the kernel has heard the camera at its address lately",
        "cameras",
        CAMERA,
        Value::Truth("confirmed"),
    ),
    row(
        "camera_silent_seconds",
        "For how long the camera is silent",
        "cameras",
        CAMERA,
        Value::Number("silent_s"),
    ),
    row(
        "mapping_open",
        "1 if the mapping is open: the packet filter carries it",
        "mappings",
        MAPPING,
        Value::Truth("open"),
    ),
    counted(row(
        "mapping_connections_total",
        "Connections that came by this mapping",
        "mappings",
        MAPPING,
        Value::Number("hits"),
    )),
    row("tunnel_used", "1 if the tunnel is used now", "tunnels", &[("tunnel", "name")], Value::Truth("used")),
    row(
        "notify_waiting",
        "Events that are yet to be told by this channel",
        "notify",
        &[("channel", "name")],
        Value::Number("waiting"),
    ),
];

/// The metrics of a running agent's status, or of none.
pub fn render(status: Option<&Json>) -> String {
    let mut out = String::new();
    head(&mut out, &UP);
    let _ = writeln!(out, "porchlight_up {}", i32::from(status.is_some()));
    let Some(status) = status else { return out };
    for row in ROWS {
        let found = if row.list.is_empty() { status } else { status.get(row.list) };
        let entries = found.array().unwrap_or(std::slice::from_ref(found));
        let samples: Vec<(&Json, i64)> =
            entries.iter().filter_map(|entry| Some((entry, row.value.of(entry)?))).collect();
        if samples.is_empty() {
            continue;
        }
        head(&mut out, row);
        for (entry, value) in samples {
            let labels = row.labels.iter().map(|(label, key)| (*label, entry.get(key).str().unwrap_or("")));
            sample(&mut out, row.name, labels, value);
        }
    }
    wans(&mut out, status);
    out
}

impl Value {
    fn of(&self, entry: &Json) -> Option<i64> {
        match self {
            Value::Number(key) => entry.get(key).num(),
            Value::Truth(key) => entry.get(key).bool().map(i64::from),
            Value::One => Some(1),
            Value::Is(key, text) => entry.get(key).str().map(|found| i64::from(found == *text)),
        }
    }
}

/// A WAN has one sample for each family that counts.
fn wans(out: &mut String, status: &Json) {
    let wans = status.get("wans").items();
    if wans.is_empty() {
        return;
    }
    head(out, &WAN_PUBLIC);
    for wan in wans {
        for family in ["ipv4", "ipv6"] {
            let Some(reach) = wan.get(family).get("reach").str() else { continue };
            let labels = [("wan", wan.get("name").str().unwrap_or("")), ("family", family)];
            sample(out, WAN_PUBLIC.name, labels.into_iter(), i64::from(reach == "public"));
        }
    }
}

fn head(out: &mut String, row: &Row) {
    let Row { name, kind, help, .. } = row;
    let _ = writeln!(out, "# HELP porchlight_{name} {help}.\n# TYPE porchlight_{name} {kind}");
}

/// All families, each as its name, its type and what it says, for the documentation.
pub fn families() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    [&UP, &WAN_PUBLIC].into_iter().chain(ROWS).map(|row| (row.name, row.kind, row.help))
}

fn sample<'a>(out: &mut String, name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>, value: i64) {
    let labels: Vec<String> = labels.map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
    let _ = match labels.is_empty() {
        true => writeln!(out, "porchlight_{name} {value}"),
        false => writeln!(out, "porchlight_{name}{{{}}} {value}", labels.join(",")),
    };
}

/// A label's value: `\`, `"` and line feeds are written with a `\`.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"healthy":false,"change":7,
        "wans":[{"name":"wan","ipv4":{"reach":"public"},"ipv6":{"reach":"offline"}},{"name":"b"}],
        "records":[{"record":"home","domain":"cam.example.com","type":"A","standing":"published","changed_at":1800000000},
                   {"record":"home","domain":"b.example.com","type":"A","standing":"failing"}],
        "cameras":[{"name":"a\"b\\c\nd","confirmed":true}],
        "mappings":[{"name":"front_rtsp","camera":"front","port":"8554","open":true,"hits":12}]}"#;

    #[test]
    fn a_status_as_metrics() {
        let text = render(Some(&Json::parse(STATUS).unwrap()));
        for line in [
            "porchlight_up 1",
            "porchlight_healthy 0",
            "# TYPE porchlight_changes_total counter",
            "porchlight_changes_total 7",
            "porchlight_record_published{record=\"home\",domain=\"cam.example.com\",type=\"A\"} 1",
            "porchlight_record_published{record=\"home\",domain=\"b.example.com\",type=\"A\"} 0",
            "porchlight_record_failing{record=\"home\",domain=\"b.example.com\",type=\"A\"} 1",
            "porchlight_record_changed_timestamp_seconds{record=\"home\",domain=\"cam.example.com\",type=\"A\"} 1800000000",
            "porchlight_camera_heard{camera=\"a\\\"b\\\\c\\nd\"} 1",
            "porchlight_mapping_open{mapping=\"front_rtsp\",camera=\"front\",port=\"8554\"} 1",
            "porchlight_mapping_connections_total{mapping=\"front_rtsp\",camera=\"front\",port=\"8554\"} 12",
            "porchlight_wan_public{wan=\"wan\",family=\"ipv4\"} 1",
            "porchlight_wan_public{wan=\"wan\",family=\"ipv6\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("silent"), "a family without samples is left out:\n{text}");
    }

    #[test]
    fn without_an_agent_it_says_so() {
        assert_eq!(
            render(None),
            "# HELP porchlight_up 1 if the agent runs.\n# TYPE porchlight_up gauge\nporchlight_up 0\n"
        );
    }
}
