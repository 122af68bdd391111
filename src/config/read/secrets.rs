//! A provider's secrets: written in the file, in a file of their own, or in the environment. No problem that
//! is said of them holds any of their text.

use super::{plain, quoted, Fields, Opt, ProviderOption, Reader, Secret};

/// The longest secret, in bytes.
pub const SECRET_CAP: usize = 4 * 1024;
/// A part of a plain option of this length (bytes) may be a secret if it has a digit ...
const HIDE_MIN: usize = 8;
/// ... and of this length in any case.
const HIDE_LONG: usize = 20;

/// Whether a word looks more like a key than like a word.
fn looks_secret(word: &str) -> bool {
    word.len() >= HIDE_LONG || word.len() >= HIDE_MIN && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// What stands before the `@` of a URL, and its path and query.
fn without_host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    format!("{login} {path}")
}

impl Reader<'_> {
    /// A provider's option that must be there, or must not be shown.
    pub(super) fn own_option(&mut self, fields: &mut Fields, own: &ProviderOption) {
        let twin = format!("{}_file", own.name);
        let section = fields.section;
        let (direct, file) = (section.option(own.name), section.option(&twin).filter(|_| own.secret));
        match (direct, file) {
            (None, None) if own.required && !section.faulty => {
                let or_twin = if own.secret { format!(" (or {twin})") } else { String::new() };
                let text =
                    format!("{}: option {}{or_twin}: is missing ({})", fields.title, own.name, own.doc);
                fields.faulty = true;
                self.problems.error(section.line, text);
            }
            (Some(_), Some(_)) => {
                self.fault(fields, &twin, &format!("there is option {} too; write one of the two", own.name));
            }
            (Some(direct), None) if own.secret => self.secret(fields, own, direct),
            (None, Some(file)) => self.secret_file(fields, own, file),
            _ => {}
        }
    }

    /// A secret that is written in the file itself, or in the environment.
    fn secret(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        let mut parts = Vec::new();
        for value in &option.values {
            let resolved = match value.strip_prefix('$') {
                None => Ok(value.clone()),
                Some(rest) if rest.starts_with('$') => Ok(rest.to_string()),
                Some(_) if !fields.enabled => continue,
                // The name is not printed: it may be a secret that begins with a dollar.
                Some(name) => self.sources.var(name).ok_or_else(|| {
                    "names an environment variable that is not set; if the secret itself begins with $, write $$"
                        .to_string()
                }),
            };
            match resolved {
                Ok(value) => parts.push(value),
                Err(reason) => return self.fault(fields, own.name, &reason),
            }
        }
        self.keep(fields, own, own.name, parts);
    }

    /// A secret in a file of its own.
    fn secret_file(&mut self, fields: &mut Fields, own: &ProviderOption, option: &Opt) {
        let [path] = option.values.as_slice() else {
            return self.fault(fields, &option.name, "takes one path");
        };
        if !path.starts_with('/') {
            // Not quoted: it may be the secret itself.
            return self.fault(
                fields,
                &option.name,
                "is no path, which begins with /; for the secret itself leave out _file",
            );
        }
        if !fields.enabled {
            return;
        }
        match self.sources.first_line(path) {
            Ok(line) => self.keep(fields, own, &option.name, vec![line.trim().to_string()]),
            Err(reason) => {
                self.fault(fields, &option.name, &format!("{} cannot be read: {reason}", quoted(path)));
            }
        }
    }

    /// An option that may be shown, but in which people write secrets all the same: a service's address with a
    /// key in its path, a header with a token. What looks like one is kept from what services repeat of it.
    pub(in crate::config) fn hide_parts(&mut self, fields: &Fields, option: &str, text: &str) {
        let text = match option {
            "url" => without_host(text),
            "header" | "body" => text.to_string(),
            _ => return,
        };
        let domains = fields.list("domain");
        let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.~+=".contains(c)));
        let values = parts.map(|part| part.split_once('=').map_or(part, |(_, value)| value));
        let hidden = values.filter(|value| looks_secret(value) && !domains.contains(value));
        self.secrets.extend(hidden.map(Secret::new));
    }

    fn keep(&mut self, fields: &mut Fields, own: &ProviderOption, option: &str, parts: Vec<String>) {
        self.secrets.extend(parts.iter().map(Secret::new));
        // As a header carries those that were written over several lines.
        let broken = parts.iter().filter(|part| part.contains(char::is_control));
        self.secrets.extend(broken.map(|part| Secret::new(part.replace(char::is_control, ""))));
        let whole = parts.join("\n");
        if whole.len() > SECRET_CAP {
            return self.fault(fields, option, &format!("is longer than {SECRET_CAP} bytes"));
        }
        if whole.is_empty() && fields.enabled {
            return self.fault(fields, option, "is empty");
        }
        match plain(&whole) {
            Ok(whole) => drop(fields.options.secrets.insert(own.name.to_string(), Secret::new(whole))),
            Err(reason) => self.fault(fields, option, &reason),
        }
    }
}
