//! ddns-go's `.ddns_go_config.yaml`: a list `dnsconf`, each with `ipv4`, `ipv6` and `dns`; before version 5, one of them at
//! the top.

use super::service::{Theirs, Way};
use super::yaml::{parse, Leaf};
use super::Import;
use crate::config::value::quoted;

/// Reads the file.
///
/// # Errors
/// The first line that is not of this form.
pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let leaves = parse(text)?;
    let mut places: Vec<String> = Vec::new();
    for leaf in &leaves {
        let place = match leaf.path.strip_prefix("dnsconf.") {
            Some(rest) => format!("dnsconf.{}.", rest.split('.').next().unwrap_or_default()),
            None => String::new(),
        };
        if leaf.path.ends_with("secret") || leaf.path.ends_with("password") {
            import.hide(&leaf.value);
        }
        let webhook = leaf.path.trim_start_matches("webhook.");
        if webhook.starts_with("webhook") && !leaf.value.is_empty() {
            import.unused(webhook);
        }
        if !places.contains(&place) {
            places.push(place);
        }
    }
    for place in places {
        both(&leaves, &place, import);
    }
    Ok(())
}

/// The records of both families of an entry.
fn both(leaves: &[Leaf], place: &str, import: &mut Import) {
    let find = |name: &str| leaves.iter().find(|leaf| leaf.path.strip_prefix(place) == Some(name));
    let get = |name: &str| find(name).map_or("", |leaf| leaf.value.as_str());
    let Some(service) = find("dns.name") else { return };
    for (family, six) in [("ipv4", false), ("ipv6", true)] {
        let within = format!("{place}{family}.domains.");
        let domains =
            leaves.iter().filter(|leaf| leaf.path.starts_with(&within) && !leaf.value.trim().is_empty());
        let domains: Vec<&Leaf> = domains.collect();
        let Some(first) = domains.first() else { continue };
        let own = |name: &str| get(&format!("{family}.{name}")).to_string();
        let (by, device) = (own("gettype"), own("netinterface"));
        let way = match by.as_str() {
            "netInterface" if !device.is_empty() => Way::Device(device),
            "url" | "cmd" => {
                import.unused(&by);
                Way::Any
            }
            _ => Way::Any,
        };
        if !get("httpinterface").is_empty() {
            import.unused("httpinterface");
        }
        let names = domains.iter().filter_map(|leaf| name(leaf, import)).collect();
        import.record(
            Theirs {
                line: first.line,
                name: get("name").into(),
                service: service.value.clone(),
                user: get("dns.id").into(),
                password: get("dns.secret").into(),
                domains: names,
                families: (!six, six),
                way,
                ttl: get("ttl").into(),
                more: more(&service.value, &get),
                off: own("enable") != "true",
                ..Theirs::default()
            }
            .own_request(),
        );
    }
}

/// `host:zone` as `host@zone`, without what is asked for behind it.
fn name(leaf: &Leaf, import: &mut Import) -> Option<String> {
    let (name, query) = leaf.value.trim().split_once('?').unwrap_or((leaf.value.trim(), ""));
    if !query.is_empty() {
        let text =
            format!("{}: what stands behind the ? is left out; a line is option line here", quoted(name));
        import.note(leaf.line, false, &text);
    }
    Some(match name.split_once(':') {
        Some((host, zone)) => format!("{}@{zone}", if host == "@" { "" } else { host }),
        None => name.to_string(),
    })
}

/// What one service has beyond the account.
fn more<'a>(service: &str, get: &dyn Fn(&str) -> &'a str) -> Vec<(&'static str, String)> {
    match service {
        "vercel" => vec![("team_id", get("dns.extparam").into())],
        _ => Vec::new(),
    }
}

impl Theirs {
    /// ddns-go's `callback`: the id is an address, the secret what is sent; `#{ip}` and the like are placeholders.
    fn own_request(mut self) -> Theirs {
        if self.service == "callback" {
            self.service = "custom".into();
            let ttl = if self.ttl.is_empty() { "600".to_string() } else { self.ttl.clone() };
            let filled = |text: String| {
                let text = text.replace("#{domain}", "{domain}").replace("#{ip}", "{ip}");
                text.replace("#{recordType}", "{rtype}").replace("#{ttl}", &ttl)
            };
            let url = filled(std::mem::take(&mut self.user));
            let body = filled(std::mem::take(&mut self.password));
            let method = if body.is_empty() { "" } else { "POST" };
            self.more = vec![("url", url), ("method", method.into()), ("body", body)];
        }
        self
    }
}
