//! OpenWrt's /etc/config/ddns: a section `service` for each name and family (ddns-scripts' own documentation, and its
//! list of services).

use super::service::{values, Theirs, Way};
use super::Import;
use crate::config::uci::{self, Section};
use crate::config::Severity;

/// Options that are dealt with.
const KNOWN: &str =
    " service_name domain username password use_ipv6 update_url update_script param_opt param_enc ip_source \
    ip_network ip_interface interface enabled lookup_host dns_server ";

/// Reads the file.
///
/// # Errors
/// The first line that `uci` would refuse.
pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let parsed = uci::parse(text, "");
    if let Some(problem) = parsed.problems.iter().find(|problem| problem.severity == Severity::Error) {
        return Err(format!("line {}: {}", problem.line, problem.text));
    }
    for section in &parsed.sections {
        if section.kind == "service" {
            service(section, import);
        } else if ["upd_privateip", "allow_local_ip"].iter().any(|name| one(section, name) == "1") {
            import.note(
                section.line,
                false,
                "private addresses are published here only if a WAN section says so: write its network as list accept",
            );
        }
    }
    Ok(())
}

fn one<'a>(section: &'a Section, name: &'a str) -> &'a str {
    section.option(name).and_then(|option| option.values.first()).map_or("", String::as_str)
}

fn service(section: &Section, import: &mut Import) {
    let get = |name| one(section, name);
    import.hide(get("password"));
    for option in &section.options {
        if !KNOWN.split_ascii_whitespace().any(|known| known == option.name) {
            import.unused(&option.name);
        }
    }
    let (service, script) = (get("service_name"), get("update_script"));
    let own = service.is_empty() || service == "-";
    if own && get("update_url").is_empty() {
        let why = if script.is_empty() {
            "neither service_name nor update_url is set: "
        } else {
            "it updates by a script of its own: "
        };
        let name = section.name.as_deref().unwrap_or("(without a name)");
        return import.lose(section.line, why, name);
    }
    let six = get("use_ipv6") == "1";
    let lookup = get("lookup_host");
    let domain = if get("domain").is_empty() { lookup } else { get("domain") };
    let mut theirs = Theirs {
        line: section.line,
        name: section.name.as_deref().unwrap_or_default(),
        service: if own { "custom" } else { service },
        user: get("username"),
        password: get("password"),
        domains: if domain.is_empty() { Vec::new() } else { vec![domain.into()] },
        lookup,
        families: (!six, six),
        way: way(section, import),
        off: get("enabled") != "1",
        ..Theirs::default()
    };
    if own {
        let url =
            get("update_url").replace("[PARAMENC]", get("param_enc")).replace("[PARAMOPT]", get("param_opt"));
        if url.starts_with("http://") {
            let text = "update_url goes by plain http, with the password: try https in option url";
            import.note(section.line, false, text);
        }
        theirs.more = vec![("url", url)];
    } else {
        parameters(section, &mut theirs, import);
    }
    import.record(&theirs);
}

/// Where the address comes from.
fn way<'a>(section: &'a Section, import: &mut Import) -> Way<'a> {
    let get = |name| one(section, name);
    let source = if get("ip_source").is_empty() { "network" } else { get("ip_source") };
    let network = if source == "network" { get("ip_network") } else { get("interface") };
    match source {
        "interface" => {
            let device = get("ip_interface");
            // `@wan` is netifd's name.
            return match device.strip_prefix('@') {
                Some(name) => Way::Interface(name),
                None if device.is_empty() => Way::Any,
                None => Way::Device(device),
            };
        }
        "web" => import.unused("ip_url"),
        "script" => import.unused("ip_script"),
        _ => {}
    }
    match network {
        "" if get("interface").is_empty() => {
            Way::Interface(if get("use_ipv6") == "1" { "wan6" } else { "wan" })
        }
        "" => Way::Interface(get("interface")),
        name => Way::Interface(name),
    }
}

/// What some services have in `param_opt` and `param_enc`.
fn parameters<'a>(section: &'a Section, theirs: &mut Theirs<'a>, import: &mut Import) {
    let (opt, enc) = (one(section, "param_opt"), one(section, "param_enc"));
    match theirs.service {
        "netcup.com" => {
            theirs.more = vec![("key", enc.into())];
            theirs.zone = opt;
        }
        "pdns" => theirs.more = vec![("url", opt.into())],
        "scaleway.com" => theirs.ttl = opt,
        "bind-nsupdate" => {
            // `hmac-sha256:name`
            if let Some((algorithm, name)) = theirs.user.split_once(':') {
                theirs.more.push(("tsig_algorithm", algorithm.into()));
                theirs.user = name;
            } else if !theirs.user.is_empty() {
                let text =
                    "the key's algorithm is not said; hmac-sha256 is taken: look at option tsig_algorithm";
                import.note(section.line, false, text);
            }
            theirs.more.push(("server", one(section, "dns_server").into()));
        }
        "cloudflare.com-v4" => {
            let zone = values(section, "param_opt").find_map(|pair| pair.strip_prefix("zone_id="));
            theirs.more = vec![("zone_id", zone.unwrap_or_default().into())];
        }
        "digitalocean.com-v2" | "aliyun.com" => {} // the record's number, which is found anew
        _ if !opt.is_empty() || !enc.is_empty() => {
            import.note(
                section.line,
                false,
                "param_opt and param_enc are left out: nothing here stands for them",
            );
        }
        _ => {}
    }
}
