//! inadyn.conf(5), version 2: sections `provider NAME[:ID]` and `custom ID`.

use super::confuse::{parse, Block};
use super::service::{Theirs, Way};
use super::Import;

/// What stands before a service's domain where both families go to one service.
const SIX: &str = "ipv6@";

/// Reads the file.
///
/// # Errors
/// The first line that is not of this form.
pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let blocks = parse(text)?;
    let Some((global, blocks)) = blocks.split_first() else { return Ok(()) };
    for setting in &global.settings {
        if !matches!(setting.name.as_str(), "iface" | "allow-ipv6") {
            import.unused(&setting.name);
        }
    }
    for block in blocks {
        const KNOWN: [&str; 12] = [
            "username",
            "password",
            "hostname",
            "alias",
            "ttl",
            "proxied",
            "iface",
            "ddns-server",
            "ddns-path",
            "ddns-response",
            "append-myip",
            "ssl",
        ];
        for setting in block.settings.iter().filter(|setting| !KNOWN.contains(&setting.name.as_str())) {
            import.unused(&setting.name);
        }
        import.hide(block.one("password"));
        match block.kind.as_str() {
            "provider" => import.record(&theirs(global, block)),
            "custom" => custom(global, block, import),
            _ => {
                import.lose(block.line, "only sections provider and custom are known, and not ", &block.kind)
            }
        }
    }
    Ok(())
}

/// What both kinds of section have.
fn theirs<'a>(global: &'a Block, block: &'a Block) -> Theirs<'a> {
    // `default@no-ip.com:2` is a second account.
    let service = block.title.split(':').next().unwrap_or_default();
    let six = service.starts_with(SIX) && !service.contains("he.net");
    let both = is_on(global.one("allow-ipv6"));
    let hosts = if block.all("hostname").is_empty() { "alias" } else { "hostname" };
    let device = [block.one("iface"), global.one("iface")].into_iter().find(|name| !name.is_empty());
    let proxied = if is_on(block.one("proxied")) { "1" } else { "" };
    Theirs {
        line: block.line,
        user: block.one("username"),
        password: block.one("password"),
        domains: block.all(hosts).to_vec(),
        families: (!six, six || both),
        way: device.map_or(Way::Any, Way::Device),
        ttl: block.one("ttl"),
        more: if service.contains("cloudflare") { vec![("proxied", proxied.into())] } else { Vec::new() },
        service,
        ..Theirs::default()
    }
}

fn is_on(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "true" | "yes" | "on")
}

/// A service of one's own: the address with inadyn's letters as placeholders. Without letters the name, or with
/// `append-myip` the address, comes behind it.
fn custom(global: &Block, block: &Block, import: &mut Import) {
    let mut theirs = Theirs { service: "custom", name: &block.title, ..theirs(global, block) };
    let (server, path) = (block.one("ddns-server"), block.one("ddns-path"));
    if server.is_empty() {
        return import.lose(block.line, "ddns-server is missing", "");
    }
    let plain = block.one("ssl").eq_ignore_ascii_case("false");
    if plain {
        import.note(
            block.line,
            false,
            "ssl is off: the password goes over the net as it is; try https in option url",
        );
    }
    let mut url = String::from(if plain { "http://" } else { "https://" });
    if !theirs.user.is_empty() {
        url += "{username}:{password}@";
    }
    url += server;
    let mut letters = path.chars();
    let mut filled = false;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            url.push(letter);
            continue;
        }
        filled = true;
        match letters.next() {
            Some('h') => url += "{domain}",
            Some('i') => url += "{ip}",
            Some('u') => url += "{username}",
            Some('p') => url += "{password}",
            Some('%') => url.push('%'),
            other => {
                url.push('%');
                url.extend(other);
            }
        }
    }
    if !filled {
        url += if is_on(block.one("append-myip")) { "{ip}" } else { "{domain}" };
    }
    let answer = match block.all("ddns-response") {
        [] => "good|nochg|OK".to_string(),
        words => words.join("|"),
    };
    theirs.more = vec![("url", url), ("answer", answer)];
    import.record(&theirs);
}
