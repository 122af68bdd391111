//! ddns-go's `.ddns_go_config.yaml`: a list `dnsconf`, each with `ipv4`, `ipv6` and `dns`; before version 5, one of them at
//! the top.

use super::service::{Theirs, Way};
use super::yaml::{parse, Leaf};
use super::Import;

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
    let get = |name: &str| one(leaves, place, name);
    if get("dns.name").is_empty() {
        return;
    }
    if !get("httpinterface").is_empty() {
        import.unused("httpinterface");
    }
    for family in ["ipv4.", "ipv6."] {
        let own = [place, family].concat();
        let mut theirs = Theirs {
            name: get("name"),
            service: get("dns.name"),
            user: get("dns.id"),
            password: get("dns.secret"),
            families: (family == "ipv4.", family == "ipv6."),
            ttl: get("ttl"),
            off: one(leaves, &own, "enable") != "true",
            ..Theirs::default()
        };
        for leaf in leaves.iter().filter(|leaf| leaf.path.starts_with(&(own.clone() + "domains."))) {
            name(leaf, &mut theirs, import);
        }
        if theirs.domains.is_empty() {
            continue;
        }
        match one(leaves, &own, "gettype") {
            "netInterface" => theirs.way = Way::Device(one(leaves, &own, "netinterface")),
            by => import.unused(by),
        }
        if theirs.way == Way::Device("") {
            theirs.way = Way::Any;
        }
        match theirs.service {
            "vercel" => theirs.more.push(("team_id", get("dns.extparam").into())),
            "callback" => callback(&mut theirs),
            _ => {}
        }
        import.record(&theirs);
    }
}

/// A value; empty if there is none.
fn one<'a>(leaves: &'a [Leaf], place: &str, name: &str) -> &'a str {
    let leaf = leaves.iter().find(|leaf| leaf.path.strip_prefix(place) == Some(name));
    leaf.map_or("", |leaf| &leaf.value)
}

/// `host:zone` as `host@zone`, without what is asked for behind it.
fn name(leaf: &Leaf, theirs: &mut Theirs, import: &mut Import) {
    let (name, query) = leaf.value.trim().split_once('?').unwrap_or((leaf.value.trim(), ""));
    if name.is_empty() {
        return;
    }
    if !query.is_empty() {
        import.note(
            leaf.line,
            false,
            "what stands behind the ? of a name is left out; a line is option line here",
        );
    }
    if theirs.domains.is_empty() {
        theirs.line = leaf.line;
    }
    theirs.domains.push(name.trim_start_matches("@:").replacen(':', "@", 1));
}

/// A request of one's own: the id is an address, the secret what is sent; `#{ip}` and the like are placeholders.
fn callback(theirs: &mut Theirs) {
    let ttl = if theirs.ttl.is_empty() { "600" } else { theirs.ttl };
    let filled =
        |text: &str| text.replace("#{recordType}", "{rtype}").replace("#{ttl}", ttl).replace("#{", "{");
    theirs.more.push(("url", filled(theirs.user)));
    if !theirs.password.is_empty() {
        theirs.more.push(("method", "POST".into()));
        theirs.more.push(("body", filled(theirs.password)));
    }
    theirs.service = "custom";
    (theirs.user, theirs.password) = ("", "");
}
