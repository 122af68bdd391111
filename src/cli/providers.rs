//! `porchlight providers`: which DNS services are known, what each of them needs, and a section to paste. Needs
//! neither a daemon nor a configuration.

use super::output::{complain, say};
use super::{unexpected, Fault, OK, USAGE};
use crate::config::value::span;
use crate::model::Family;
use crate::paths::Paths;
use crate::provider::{aliases, find, nearest, Entry, ProviderOption, Update, PROVIDERS};
use crate::wire::json::{array, Object};
use std::fmt::Write as _;

/// The most characters of a line.
const WIDTH: usize = 80;
/// What is left of a title at least, however long the options are.
const TITLE: usize = 12;
/// The column of the titles.
const COLUMN: usize = 31;

/// Prints all providers, or one.
pub fn run(_: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let mut json = false;
    let mut name = None;
    for argument in arguments {
        match argument.as_str() {
            "--json" => json = true,
            other if other.starts_with('-') || name.is_some() => return Err(unexpected(other)),
            other => name = Some(other),
        }
    }
    let Some(name) = name else {
        say(&if json { array(PROVIDERS.iter().map(in_json)) + "\n" } else { list(PROVIDERS) });
        return Ok(OK);
    };
    let Some(entry) = find(name) else {
        complain(&unknown(name));
        return Ok(USAGE);
    };
    say(&if json { in_json(entry) + "\n" } else { about(entry) });
    Ok(OK)
}

/// There is none of that name; what may be meant.
fn unknown(name: &str) -> String {
    let short: String = name.chars().take(WIDTH / 2).collect();
    let near = nearest(name);
    let mend = match near.as_slice() {
        [] => "`porchlight providers` lists all; `custom` takes any service with a web address".to_string(),
        near => format!("did you mean {}?", near.join(" or ")),
    };
    format!("there is no provider {short}; {mend}")
}

/// One line a provider: its name, which addresses it publishes, its title, and what must be set.
fn list(entries: &[Entry]) -> String {
    let widest = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for entry in entries {
        let needs: Vec<&str> =
            entry.options.iter().filter(|option| option.required).map(|option| option.name).collect();
        let mut needs = needs.join(" ");
        let left = WIDTH.saturating_sub(widest + 2 + 3 + 2);
        cut(&mut needs, left.saturating_sub(TITLE + 2));
        let mut title = entry.title.to_string();
        cut(&mut title, left.saturating_sub(needs.chars().count() + 2));
        let begin = format!("{:<widest$}  {:<3}  ", entry.name, families(entry, "4", "6", "+"));
        let mut line = format!("{begin}{title:<COLUMN$}  {needs}");
        if line.chars().count() > WIDTH {
            line = format!("{begin}{title}  {needs}");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Cuts a text to so many characters.
fn cut(text: &mut String, most: usize) {
    if text.chars().count() > most {
        *text = text.chars().take(most.saturating_sub(3)).collect::<String>() + "...";
    }
}

/// The families that it publishes, in these words.
fn families(entry: &Entry, four: &str, six: &str, and: &str) -> String {
    let word = |family: &Family| if *family == Family::V4 { four } else { six };
    entry.families.iter().map(word).collect::<Vec<_>>().join(and)
}

/// All of one provider, and a section to paste.
fn about(entry: &Entry) -> String {
    let mut out = format!("{}: {}\n{}\n", entry.name, entry.title, entry.url);
    let _ = writeln!(out, "publishes {}", families(entry, "IPv4", "IPv6", " and "));
    if !entry.refresh().is_zero() {
        let text =
            "sent once more after {} without a change, since unused names are taken away (option refresh)";
        paragraph(&mut out, "", &text.replace("{}", &span(entry.refresh())));
    }
    let also = aliases(entry);
    if !also.is_empty() {
        paragraph(&mut out, "", &format!("also called {}", also.join(", ")));
    }
    if !entry.options.is_empty() {
        out += "\noptions beside those of every record:\n";
    }
    for option in entry.options {
        let _ = writeln!(out, "  {}{}", option.name, traits(option));
        paragraph(&mut out, "      ", option.doc);
    }
    if entry.options.iter().any(|option| option.secret) {
        out += "  (X_file is the path of a file whose first line is X)\n";
    }
    let _ = write!(out, "\nan example for /etc/config/porchlight:\n\n{}", example(entry));
    out
}

/// What there is to know of an option besides its name.
fn traits(option: &ProviderOption) -> String {
    let mut words = Vec::new();
    if option.required {
        words.push("must be set".to_string());
    }
    if option.secret {
        words.push(format!("secret, or as {}_file", option.name));
    }
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

/// Adds a text in lines that fit, each with `margin` before it.
pub(super) fn paragraph(out: &mut String, margin: &str, text: &str) {
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        }
        out.push_str(if column == 0 { margin } else { " " });
        column += length + if column == 0 { margin.len() } else { 1 };
        out.push_str(word);
    }
    out.push('\n');
}

/// A record section with all that the provider must have, as `porchlight check` takes it.
fn example(entry: &Entry) -> String {
    let mut out = format!(
        "config record 'home'\n\toption provider '{}'\n\tlist domain 'cam.example.com'\n",
        entry.name
    );
    if !entry.families.contains(&Family::V4) {
        out += "\toption family 'ipv6'\n";
    }
    if matches!(entry.update, Update::Api(service) if service.zones.call.is_empty()) {
        out += "\toption zone 'example.com'\n";
    }
    for option in entry.options.iter().filter(|option| option.required) {
        let value = match option.name {
            "url" if entry.name == "custom" => {
                "https://ddns.example.net/set?name={domain}&ip={ip}".to_string()
            }
            "url" => "https://ddns.example.net".to_string(),
            "zone" => "example.com".to_string(),
            "server" => "ns1.example.com".to_string(),
            name => format!("your {}", name.replace('_', " ")),
        };
        let _ = writeln!(out, "\toption {} '{value}'", option.name);
    }
    out
}

/// A provider for programs.
fn in_json(entry: &Entry) -> String {
    let option = |option: &ProviderOption| {
        let object = Object::new().str("name", option.name).bool("required", option.required);
        object.bool("secret", option.secret).str("doc", option.doc).end()
    };
    let words = |words: &[&str]| array(words.iter().map(|word| crate::wire::json::quoted(word)));
    Object::new()
        .str("name", entry.name)
        .str("title", entry.title)
        .str("url", entry.url)
        .raw("aliases", &words(&aliases(entry)))
        .num("refresh", entry.refresh().as_secs() as i64)
        .raw("families", &words(&entry.families.iter().map(family_word).collect::<Vec<_>>()))
        .raw("options", &array(entry.options.iter().map(option)))
        .str("example", &example(entry))
        .end()
}

/// A family as `option family` has it.
fn family_word(family: &Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;
    use crate::wire::json::Json;

    #[test]
    fn every_example_is_a_whole_section() {
        for entry in PROVIDERS {
            let text = format!("config wan 'wan'\n\toption device 'auto'\n\n{}", example(entry));
            let loaded = load(&text, "example", PROVIDERS, &());
            assert!(loaded.problems.is_empty(), "{text}{:?}", loaded.problems);
            let [record] = loaded.config.records.as_slice() else { panic!("{text}") };
            assert_eq!(record.provider, entry.name);
            assert!(!record.families.is_empty());
            for option in entry.options.iter().filter(|option| option.required) {
                let set = record.options.text.contains_key(option.name)
                    || record.options.secrets.contains_key(option.name)
                    || option.name == "zone" && record.zone.is_some();
                assert!(set, "{} {}", entry.name, option.name);
            }
        }
    }

    #[test]
    fn every_line_fits_and_begins_with_the_name() {
        let text = list(PROVIDERS);
        assert_eq!(text.lines().count(), PROVIDERS.len());
        for (line, entry) in text.lines().zip(PROVIDERS) {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.split(' ').next(), Some(entry.name));
            for option in entry.options.iter().filter(|option| option.required) {
                assert!(line.contains(option.name), "{line}");
            }
        }
    }

    #[test]
    fn long_titles_and_options_are_cut() {
        let mut entry = *find("noip").unwrap();
        entry.title = "The very best of all the world's many services for names that move about";
        const MANY: &[ProviderOption] = &[
            ProviderOption::required("access_key_identifier", ""),
            ProviderOption::required("access_key_secret_of_the_account", ""),
            ProviderOption::required("region_of_the_service", ""),
        ];
        entry.options = MANY;
        let line = list(&[entry]);
        assert_eq!(
            line,
            "noip  4+6  The very ...  access_key_identifier access_key_secret_of_the_accou...\n"
        );
    }

    #[test]
    fn a_provider_is_told_of_in_lines_that_fit() {
        for entry in PROVIDERS {
            let text = about(entry);
            for line in text.lines().filter(|line| line.contains(' ')) {
                assert!(line.chars().count() <= WIDTH, "{}: {line}", entry.name);
            }
            for option in entry.options {
                assert!(text.contains(&format!("\n  {}", option.name)), "{} {}", entry.name, option.name);
            }
        }
        let text = about(find("default@no-ip.com").unwrap());
        let begin =
            "noip: No-IP\nhttps://www.noip.com/\npublishes IPv4 and IPv6\nsent once more after 25d without";
        assert!(text.starts_with(begin) && text.contains("\nalso called no-ip.com, "), "{text}");
        let password = "\n  password (must be set, secret, or as password_file)\n";
        assert!(text.contains(password), "{text}");
        assert!(text.ends_with("\toption password 'your password'\n"), "{text}");
    }

    #[test]
    fn programs_get_all_of_it() {
        let json = Json::parse(&in_json(find("cloudflare").unwrap())).unwrap();
        assert_eq!(json.get("name").str(), Some("cloudflare"));
        assert_eq!(json.get("families").at(1).str(), Some("ipv6"));
        let token = json.get("options").at(0);
        assert_eq!((token.get("name").str(), token.get("secret").bool()), (Some("token"), Some(true)));
        assert!(json.get("example").str().is_some_and(|text| text.starts_with("config record 'home'\n")));
    }

    #[test]
    fn who_mistypes_is_told_what_is_near() {
        assert_eq!(unknown("no-ip"), "there is no provider no-ip; did you mean noip?");
        assert!(unknown("zzzzzzzz").contains("`porchlight providers` lists all"));
        assert!(unknown(&"z".repeat(100_000)).len() < 200);
    }
}
