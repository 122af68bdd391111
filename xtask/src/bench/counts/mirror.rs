//! A service that is nothing but its own row: it knows a request by the row's templates, and answers with a tree that
//! has what the row's paths lead to. Good for counting, no proof of the row.

use anyhow::{ensure, Context, Result};
use porchlight::provider::api::{Pages, Says, Service};
use porchlight::provider::{Http, Reply};
use serde_json::{json, Map, Value};
use std::net::IpAddr;

/// Where it is.
pub const BASE: &str = "https://service.test";
/// The zone's id, where it has one.
const ZONE_ID: &str = "4711";
/// The id of the first record; the others follow.
const FIRST_ID: usize = 100_000;

/// The service with its only zone.
pub struct Mirror {
    service: &'static Service,
    zone: &'static str,
    names: Vec<String>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Login,
    Zones,
    Records,
    Detail,
    Write,
}

impl Mirror {
    /// With one IPv4 record for each name.
    pub fn new(service: &'static Service, zone: &'static str, names: Vec<String>) -> Mirror {
        Mirror { service, zone, names }
    }

    /// The answer to a request; every record has the address `there`.
    ///
    /// # Errors
    /// When no template of the row fits the request.
    pub fn answer(&self, http: &Http, there: IpAddr) -> Result<Reply> {
        let service = self.service;
        let (asks, captured) = self.recognise(http)?;
        let another = asks == Asks::Zones && captured.get("try").is_some_and(|zone| zone != self.zone);
        let listed = service.zones.items.ends_with(['*', '%', '&']) && !service.zone_name.is_empty();
        if another && !listed {
            return Ok(Reply { status: 404, headers: Vec::new(), body: b"{}".to_vec() });
        }
        let mut tree = Value::Null;
        let mut headers = Vec::new();
        match asks {
            Asks::Login if service.special.session.starts_with("cookie ") => {
                let name = service.special.session.trim_start_matches("cookie ");
                headers.push(("set-cookie".into(), format!("{name}=1; path=/")));
            }
            Asks::Login => put(&mut tree, service.special.session, "session".into()),
            Asks::Zones => self.zones(&mut tree, &captured),
            Asks::Records => self.records(&mut tree, &captured, there),
            Asks::Detail => tree = self.record(self.by_id(&captured)?, there),
            Asks::Write => put(&mut tree, service.wrote, "1".into()),
        }
        let asked = if asks == Asks::Zones { service.zones } else { service.read };
        let pages = asked.pages;
        if let (Pages::Total(path), Asks::Zones | Asks::Records) = (pages, asks) {
            let items = asked.items.split(".*").next().unwrap_or_default().replace('.', "/");
            let all = tree.pointer(&format!("/{items}")).and_then(Value::as_array).map_or(0, Vec::len);
            put(&mut tree, path, all.into());
        }
        if let (Pages::Cursor(path), Asks::Zones | Asks::Records, false) = (pages, asks, service.special.xml)
        {
            put(&mut tree, path, "".into());
        }
        if let Says::Is(path, words) = service.says {
            // An empty word: a list need not say it.
            let silent = words.split('|').any(str::is_empty) && asks != Asks::Write;
            if let Some(word) = words.split('|').find(|word| !word.is_empty() && !silent) {
                put(&mut tree, path, word.into());
            }
        }
        let body = match (&tree, service.special.xml) {
            (Value::Null, _) if asks == Asks::Write => String::new(),
            (Value::Null, false) => "{}".into(),
            (Value::Null, true) => "<Empty/>".into(),
            (tree, false) => tree.to_string(),
            (tree, true) => xml(tree),
        };
        Ok(Reply { status: 200, headers, body: body.into_bytes() })
    }

    /// The template that fits best: the one with most of its own text in the request.
    fn recognise(&self, http: &Http) -> Result<(Asks, Captured)> {
        let service = self.service;
        let base = if service.base.is_empty() { BASE } else { service.base };
        let target = http.url.strip_prefix(BASE).or_else(|| http.url.strip_prefix(base)).unwrap_or(&http.url);
        let sent = Sent::new(http, target);
        let writes = [
            service.create,
            service.change,
            service.batch.call,
            service.special.after,
            service.special.retime,
            service.special.commit,
        ];
        let reads = [
            (service.special.login, Asks::Login),
            (service.zones.call, Asks::Zones),
            (service.read.call, Asks::Records),
            (service.all, Asks::Records),
            (service.special.detail, Asks::Detail),
        ];
        let all = reads.into_iter().chain(writes.map(|call| (call, Asks::Write)));
        let fitting = all.filter(|(call, asks)| !call.is_empty() && (*asks == Asks::Write) == http.write);
        let found = fitting.filter_map(|(call, asks)| {
            let (own, captured) = sent.fits(call)?;
            Some((own, asks, captured))
        });
        // Where a zone and its records are asked for alike, it matters only whether there is such a zone.
        let strange = |asks: Asks, captured: &Captured| {
            asks == Asks::Zones && captured.get("try").is_some_and(|zone| zone != self.zone)
        };
        let best = found.max_by_key(|(own, asks, captured)| (*own, strange(*asks, captured)));
        best.map(|(_, asks, captured)| (asks, captured))
            .with_context(|| format!("no call of the row is `{} {target} {}`", http.method, http.body))
    }

    /// The list of zones, or the one that was asked for.
    fn zones(&self, tree: &mut Value, captured: &Captured) {
        let service = self.service;
        let tried = captured.get("try");
        let mut items = Vec::new();
        if tried.is_none_or(|zone| zone == self.zone) && first_page(captured) {
            let mut item = Value::Null;
            // Of several parts of a name the last is all of it.
            let parts: Vec<&str> = service.zone_name.split(',').collect();
            for (at, part) in parts.iter().enumerate() {
                put(&mut item, part, if at + 1 == parts.len() { self.zone } else { "" }.into());
            }
            put(&mut item, service.zone_id, ZONE_ID.into());
            items.push(match service.zone_name {
                "|" => self.zone.into(),
                _ if item.is_null() => json!({}),
                _ => item,
            });
        }
        list(tree, service.zones.items, items);
    }

    /// The records of one name, or all: by pages, where the list has such.
    fn records(&self, tree: &mut Value, captured: &Captured, there: IpAddr) {
        let service = self.service;
        let asked = captured.get("fqdn").map(str::to_owned).or_else(|| {
            captured.get("host").map(|host| {
                if host == "@" {
                    self.zone.into()
                } else {
                    format!("{host}.{}", self.zone)
                }
            })
        });
        let asked = asked.map(|name| name.trim_end_matches('.').to_owned());
        let all: Vec<usize> = match asked {
            Some(name) => self.names.iter().position(|other| *other == name).into_iter().collect(),
            None => (0..self.names.len()).collect(),
        };
        let size = if let Pages::Of(size) = service.read.pages { size } else { usize::MAX };
        let number = |name: &str| captured.get(name).and_then(|text| text.parse::<usize>().ok());
        let skip = number("offset")
            .or(number("page").map(|page| (page.max(1) - 1).saturating_mul(size)))
            .unwrap_or(0);
        let items = all.into_iter().skip(skip).take(size).map(|place| match service.special.detail {
            "" => self.record(place, there),
            _ => json!(FIRST_ID + place),
        });
        list(tree, service.read.items, items.collect());
    }

    /// One record.
    fn record(&self, place: usize, there: IpAddr) -> Value {
        let fields = &self.service.record;
        let name = self.names.get(place).map_or("", String::as_str);
        let within = name.strip_suffix(self.zone).unwrap_or(name).trim_end_matches('.');
        let full = matches!(self.service.names, porchlight::provider::api::Names::Full);
        let mut item = Value::Null;
        put(&mut item, fields.id, (FIRST_ID + place).to_string().into());
        put(&mut item, fields.name, if full { name } else { within }.into());
        put(&mut item, fields.rtype, self.service.special.types[0].into());
        put(&mut item, fields.value, there.to_string().into());
        put(&mut item, fields.ttl, "600".into());
        put(&mut item, fields.line, self.service.line.into());
        item
    }

    fn by_id(&self, captured: &Captured) -> Result<usize> {
        let id: usize = captured.get("id").context("no id")?.parse()?;
        ensure!(id >= FIRST_ID, "not an id that was given");
        Ok(id - FIRST_ID)
    }
}

/// What stood where a template has values.
struct Captured(Vec<(String, String)>);

impl Captured {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn first_page(captured: &Captured) -> bool {
    captured.get("page").is_none_or(|page| page == "1")
        && captured.get("offset").is_none_or(|offset| offset == "0")
}

/// A request in parts.
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a str,
    /// Of the query, of a form, and the action that some services have in a header.
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Sent<'a> {
    fn new(http: &'a Http, target: &'a str) -> Sent<'a> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let form = if is_form(&http.body) { http.body.as_str() } else { "" };
        let mut parameters: Vec<_> = pairs(query).chain(pairs(form)).collect();
        let actions = http.headers.iter().filter(|(name, _)| name.to_ascii_lowercase().ends_with("-action"));
        parameters.extend(actions.map(|(_, value)| ("Action", value.as_str())));
        Sent { method: http.method, path, body: &http.body, parameters }
    }

    /// How much of a call's own text is in the request, and its values, if it is this call. What a signature adds, and in
    /// which order it has the parameters, does not matter.
    fn fits(&self, call: &str) -> Option<(usize, Captured)> {
        let mut parts = call.splitn(3, ' ');
        let (method, target, body) = (parts.next()?, parts.next()?, parts.next().unwrap_or(""));
        if method != self.method {
            return None;
        }
        let target = without_groups(target);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (mut own, mut captured) = fit(path, self.path)?;
        let form = if is_form(body) { without_groups(body) } else { String::new() };
        for (key, template) in pairs(query).chain(pairs(&form)) {
            let template = decoded(template);
            let same = self.parameters.iter().filter(|(other, _)| *other == key);
            let (more, values) =
                same.map(|(_, value)| decoded(value)).find_map(|value| fit(&template, &value))?;
            own += key.len() + more;
            captured.0.extend(values.0);
        }
        if !is_form(body) {
            let (more, values) = fit(body, self.body)?;
            own += more;
            captured.0.extend(values.0);
        }
        Some((own, captured))
    }
}

/// True for a body that is neither JSON nor XML.
fn is_form(body: &str) -> bool {
    !body.starts_with(['{', '[', '<'])
}

/// `a=b&c=d` in pairs.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Text without percent-encoding: signatures have their own.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A template without what may be missing.
fn without_groups(template: &str) -> String {
    let mut depth = 0;
    template
        .chars()
        .filter(|c| {
            depth += usize::from(*c == '(');
            let outside = depth == 0;
            depth -= usize::from(*c == ')');
            outside
        })
        .collect()
}

/// A template's own text and its values, in turn. What stands in parentheses may be missing.
enum Part<'a> {
    Text(&'a str),
    Value(&'a str),
    Anything,
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['$', '(']) {
        let (text, mark) = rest.split_at(at);
        parts.push(Part::Text(text));
        let end = match mark.strip_prefix('(') {
            Some(group) => {
                parts.push(Part::Anything);
                group.find(')').map_or(mark.len(), |end| end + 2)
            }
            None => {
                let letters = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
                let kept = |c: char| !(c.is_ascii_alphanumeric() || "_+.,=".contains(c));
                let name = mark.split_at(1).1;
                let end = if name.starts_with('+') { name.find(kept) } else { name.find(letters) };
                let end = end.unwrap_or(name.len());
                parts.push(Part::Value(name.split_at(end).0));
                end + 1
            }
        };
        rest = mark.split_at(end).1;
    }
    parts.push(Part::Text(rest));
    parts
}

/// How much of a template's own text is in a request that it fits, and the values.
fn fit(template: &str, request: &str) -> Option<(usize, Captured)> {
    let (mut rest, mut own, mut captured) = (request, 0, Vec::new());
    let mut open: Option<Option<&str>> = None;
    let parts = parts(template);
    let last = parts.len().saturating_sub(1);
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Value(name) => open = Some(Some(name)),
            Part::Anything => open = Some(open.flatten()),
            Part::Text("") if at != last => {}
            Part::Text(text) => {
                let found = match open {
                    None => rest.starts_with(text).then_some(0)?,
                    Some(_) if at == last => {
                        rest.len().checked_sub(text.len()).filter(|_| rest.ends_with(text))?
                    }
                    Some(_) => rest.find(text)?,
                };
                if let Some(Some(name)) = open.take() {
                    captured.push((name.to_owned(), rest.get(..found)?.to_owned()));
                }
                rest = rest.get(found + text.len()..)?;
                own += text.len();
            }
        }
    }
    rest.is_empty().then_some((own, Captured(captured)))
}

/// Puts a value where a path leads; of several paths, the first. A path that begins with `#` or `~` leads to a number.
fn put(tree: &mut Value, paths: &str, value: Value) {
    let path = paths.split('|').next().unwrap_or_default();
    let path = path.strip_prefix('?').unwrap_or(path);
    let (path, value) = match (path.strip_prefix(['#', '~']), value) {
        (Some(path), Value::String(text)) => (path, text.parse::<i64>().map_or(json!(1), Value::from)),
        (Some(path), value) => (path, value),
        (None, value) => (path, value),
    };
    if !path.is_empty() {
        put_at(tree, &path.split('.').collect::<Vec<_>>(), value);
    }
}

fn put_at(tree: &mut Value, path: &[&str], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    let place = if *step == "*" { Ok(0) } else { step.parse::<usize>() };
    match place {
        Ok(place) => {
            if !tree.is_array() {
                *tree = json!([]);
            }
            let Some(items) = tree.as_array_mut() else { return };
            while items.len() <= place {
                items.push(Value::Null);
            }
            put_at(&mut items[place], rest, value);
        }
        Err(_) => {
            if !tree.is_object() {
                *tree = Value::Object(Map::new());
            }
            let key = if matches!(*step, "%" | "&") { "item" } else { step };
            put_at(&mut tree[key], rest, value);
        }
    }
}

/// Puts items where a list's path leads. Without a `*`, `%` or `&` at its end it leads to one item, or to nothing.
fn list(tree: &mut Value, paths: &str, items: Vec<Value>) {
    let path = paths.split('|').next().unwrap_or_default().trim_start_matches('?');
    let (above, last) = path.rsplit_once('.').unwrap_or(("", path));
    let all = match last {
        "*" => Value::Array(items),
        "%" | "&" => Value::Object(
            items.into_iter().enumerate().map(|(at, item)| (format!("item{at}"), item)).collect(),
        ),
        _ => {
            if let Some(item) = items.into_iter().next() {
                if path.is_empty() {
                    *tree = item;
                } else {
                    put(tree, path, item);
                }
            }
            return;
        }
    };
    if above.is_empty() {
        *tree = all;
    } else {
        put(tree, above, all);
    }
}

/// The tree as XML: one element with all the others in it.
fn xml(tree: &Value) -> String {
    fn inside(value: &Value, out: &mut String) {
        match value {
            Value::Object(entries) => entries.iter().for_each(|(name, value)| {
                *out += &format!("<{name}>");
                inside(value, out);
                *out += &format!("</{name}>");
            }),
            Value::Array(items) => items.iter().for_each(|item| inside(item, out)),
            Value::String(text) => *out += text,
            other => *out += &other.to_string(),
        }
    }
    let mut out = String::new();
    inside(tree, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_known_by_their_own_text() {
        let sent = |method, target: &str, body: &str| {
            let http = Http { body: body.into(), ..Http::new(method, format!("{BASE}{target}")) };
            move |call: &str, name: &str| {
                let (own, captured) = Sent::new(&http, http.url.strip_prefix(BASE)?).fits(call)?;
                Some((captured.get(name).unwrap_or_default().to_owned(), own))
            }
        };
        let read = "GET /d/$zone/records?name=$fqdn&type=$type(&line=$line)";
        let asked = sent("GET", "/d/x.y/records?Signature=z&type=A&name=a.x.y", "");
        assert_eq!(asked(read, "fqdn").unwrap().0, "a.x.y");
        assert_eq!(asked("GET /d/$zone/records?page=$page", "page"), None);
        assert!(
            asked("GET /d/$zone/records", "").unwrap().1 < asked(read, "").unwrap().1,
            "the narrower one"
        );
        let write = "PUT /z/$zid {\"name\":\"$host\"(,\"line\":\"$line\"),\"ttl\":$ttl$+comment}";
        let plain = sent("PUT", "/z/7", "{\"name\":\"a\",\"ttl\":60}");
        assert_eq!(plain(write, "host").unwrap().0, "a");
        let more = sent("PUT", "/z/7", "{\"name\":\"a\",\"line\":\"1\",\"ttl\":60,\"comment\":2}");
        assert_eq!(more(write, "zid").unwrap().0, "7");
        let form = sent("POST", "/list", "token=x&page=2");
        assert_eq!(form("POST /list token=$:token&page=$page", "page").unwrap().0, "2");
    }

    #[test]
    fn trees_grow_along_paths() {
        let mut tree = Value::Null;
        put(&mut tree, "a.0.b|c", "x".into());
        put(&mut tree, "#a.0.n", "7".into());
        list(&mut tree, "l.*", vec![json!({"i": 1}), json!({"i": 2})]);
        assert_eq!(tree, json!({"a": [{"b": "x", "n": 7}], "l": [{"i": 1}, {"i": 2}]}));
        let mut tree = Value::Null;
        list(&mut tree, "r.s.%", vec![json!({"n": "x"})]);
        assert_eq!(xml(&tree), "<r><s><item0><n>x</n></item0></s></r>");
    }
}
