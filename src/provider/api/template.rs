//! Templates of requests. `$name` is a value, `$:name` one of the record's options or secrets; what stands in
//! parentheses is left out when a value in it is empty; `$+ttl,Line=RecordLine` at an object's end sends back what the
//! record had (`Line` is what the request calls it). `$_host` is `$host` where the zone itself has no record.

use crate::provider::web::encode;
use crate::provider::{Failure, Http, Kind};
use crate::wire::json::{escape, Json};
use base64ct::{Base64, Encoding};

/// Where a value stands, and so how it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A header.
    Raw,
    /// A path, a query or a form: percent-encoded.
    Percent,
    /// Within the quotes of a JSON string, or a number.
    Json,
    /// XML text.
    Xml,
}

/// What a template's values are.
pub(super) trait Values {
    /// A value; `None` where there is none.
    fn value(&self, name: &str) -> Option<String>;
    /// A field that the record had.
    fn kept(&self, path: &str) -> Option<&Json>;
}

/// Fills in a template.
///
/// # Errors
/// The name of a value that is needed and not there.
pub(super) fn fill(template: &str, place: Place, values: &dyn Values) -> Result<String, Failure> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    // Where the open group began, and whether a value in it is empty.
    let mut group: Option<(usize, bool)> = None;
    while let Some(at) = rest.find(['$', '(', ')']) {
        let (text, mark) = rest.split_at(at);
        out.push_str(text);
        rest = mark.get(1..).unwrap_or("");
        match mark.as_bytes().first() {
            Some(b'(') => group = Some((out.len(), false)),
            Some(b')') => {
                if let Some((begin, true)) = group.take() {
                    out.truncate(begin);
                }
            }
            _ => {
                if let Some(list) = rest.strip_prefix('+') {
                    let fields = word(list, ".,=");
                    keep(fields, place, values, &mut out);
                    rest = list.get(fields.len()..).unwrap_or("");
                    continue;
                }
                let option = usize::from(rest.starts_with(':'));
                let length = option + word(rest.get(option..).unwrap_or(""), "").len();
                let (name, after) = rest.split_at(length);
                rest = after;
                let needed = name.strip_prefix('_');
                match (values.value(needed.unwrap_or(name)), &mut group) {
                    (Some(value), _) if !value.is_empty() => write(name, &value, place, &mut out),
                    (Some(_), _) if needed.is_some() => {
                        let text = "a zone's own address is no record here; use the service's other provider";
                        return Err(Failure::new(Kind::NoSuchName, text));
                    }
                    (_, Some((_, empty))) => *empty = true,
                    // An apex may be the empty text.
                    (Some(_), None) => {}
                    (None, None) => {
                        return Err(Failure::unset(name.trim_start_matches(':')));
                    }
                }
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The letters, digits, underscores and characters of `also` that a text begins with.
fn word<'a>(text: &'a str, also: &str) -> &'a str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || also.contains(c)));
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

/// Writes a value as its place wants it. Items of a batch are whole already.
fn write(name: &str, value: &str, place: Place, out: &mut String) {
    match place {
        _ if name == "items" => out.push_str(value),
        Place::Raw => out.push_str(value),
        Place::Percent => encode(value, "", out),
        Place::Json => escape(value, out),
        Place::Xml => {
            for c in value.chars() {
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    c => out.push(c),
                }
            }
        }
    }
}

/// Sends fields back as they were: `,"name":value`, `<name>value</name>` or `&name=value`, the last without empty ones.
fn keep(fields: &str, place: Place, values: &dyn Values, out: &mut String) {
    for field in fields.split(',') {
        let (name, path) = field.split_once('=').unwrap_or((field, field));
        let Some(value) = values.kept(path) else { continue };
        if place == Place::Json {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            out.push_str(&value.to_string());
        } else if place == Place::Xml {
            keep_xml(name, value, out);
        } else if let Some(text) = super::answer::scalar(value).filter(|text| !text.is_empty()) {
            out.push('&');
            out.push_str(name);
            out.push('=');
            encode(&text, "", out);
        }
    }
}

/// An element as [`crate::wire::xml`] read it.
fn keep_xml(name: &str, value: &Json, out: &mut String) {
    for piece in ["<", name, ">"] {
        out.push_str(piece);
    }
    for (name, value) in value.entries() {
        keep_xml(name, value, out);
    }
    write("", value.str().unwrap_or(""), Place::Xml, out);
    for piece in ["</", name, ">"] {
        out.push_str(piece);
    }
}

/// Makes a request of `METHOD PATH BODY`. A body that begins as JSON or XML does is such, any other is a form.
///
/// # Errors
/// What [`fill`] finds missing.
pub(super) fn request(
    call: &'static str,
    base: &str,
    headers: &[(&str, &str)],
    values: &dyn Values,
) -> Result<Http, Failure> {
    let mut parts = call.splitn(3, ' ');
    let method = parts.next().unwrap_or("GET");
    let path = fill(parts.next().unwrap_or(""), Place::Percent, values)?;
    let body = parts.next().unwrap_or("");
    let (place, kind) = match body.as_bytes().first() {
        Some(b'{' | b'[') => (Place::Json, "application/json"),
        Some(b'<') => (Place::Xml, "text/xml"),
        _ => (Place::Percent, "application/x-www-form-urlencoded"),
    };
    let mut http = Http::new(method, format!("{base}{path}"));
    for (name, template) in headers {
        let value = match template.strip_prefix("Basic ") {
            Some(pair) => {
                let pair = fill(pair, Place::Raw, values)?;
                format!("Basic {}", Base64::encode_string(pair.as_bytes()))
            }
            None => fill(template, Place::Raw, values)?,
        };
        if !value.is_empty() {
            http = http.header(name, value);
        }
    }
    if !body.is_empty() {
        http.body = fill(body, place, values)?;
        http = http.header("Content-Type", kind);
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some3(Json);

    impl Values for Some3 {
        fn value(&self, name: &str) -> Option<String> {
            let value = match name {
                "zone" => "example.com",
                "host" => "a\"b&c d",
                "items" => "{\"x\":1},{\"x\":2}",
                "cursor" => "",
                ":user" => "me",
                _ => return None,
            };
            Some(value.to_owned())
        }

        fn kept(&self, path: &str) -> Option<&Json> {
            Some(super::super::answer::first(&self.0, path)).filter(|value| !value.is_null())
        }
    }

    fn filled(template: &str, place: Place) -> String {
        let record =
            Json::parse(r#"{"ttl":60,"line":"a b","meta":{"note":[1,"x"]},"nothing":null}"#).unwrap();
        fill(template, place, &Some3(record)).unwrap_or_else(Failure::words)
    }

    #[test]
    fn values_are_written_as_their_place_wants_them() {
        assert_eq!(filled("/$zone/$host?u=$:user", Place::Percent), "/example.com/a%22b%26c%20d?u=me");
        assert_eq!(filled("{\"n\":\"$host\"}", Place::Json), "{\"n\":\"a\\\"b&c d\"}");
        assert_eq!(filled("<n>$host</n>", Place::Xml), "<n>a&quot;b&amp;c d</n>");
        assert_eq!(filled("$:user:$zone.", Place::Raw), "me:example.com.");
        assert_eq!(filled("[$items]", Place::Json), "[{\"x\":1},{\"x\":2}]");
    }

    #[test]
    fn a_group_goes_with_its_value() {
        assert_eq!(filled("/r?limit=9(&until=$cursor)", Place::Percent), "/r?limit=9");
        assert_eq!(filled("/r?limit=9(&team=$:team)(&z=$zone)", Place::Percent), "/r?limit=9&z=example.com");
        assert_eq!(filled("/r/$cursor", Place::Percent), "/r/");
        assert_eq!(filled("/r/$:team", Place::Percent), "option team is not set");
    }

    #[test]
    fn what_the_record_had_is_sent_back() {
        let kept = "{\"v\":1$+ttl,RecordLine=line,note=meta.note,nothing,other}";
        let sent = "{\"v\":1,\"ttl\":60,\"RecordLine\":\"a b\",\"note\":[1,\"x\"]}";
        assert_eq!(filled(kept, Place::Json), sent);
        assert_eq!(filled("v=1$+ttl,line", Place::Percent), "v=1&ttl=60&line=a%20b");
        let set = "<S><Id>a&amp;b</Id><Geo><Code>EU</Code><Part/></Geo></S>";
        let record = Some3(crate::wire::xml::parse(set).unwrap());
        let sent = fill("<C>$+Id=S.Id,Geo=S.Geo,None=S.None</C>", Place::Xml, &record);
        let sent = sent.unwrap_or_else(Failure::words);
        assert_eq!(sent, "<C><Id>a&amp;b</Id><Geo><Code>EU</Code><Part></Part></Geo></C>");
    }
}
