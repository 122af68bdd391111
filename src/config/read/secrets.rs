//! A provider's secrets: written in the file, in a file of their own, or in the environment. No problem that
//! is said of them holds any of their text.

use super::{plain, quoted, Fields, Opt, ProviderOption, Reader, Secret};

/// The longest secret, in bytes.
pub const SECRET_CAP: usize = 4 * 1024;
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

    fn keep(&mut self, fields: &mut Fields, own: &ProviderOption, option: &str, parts: Vec<String>) {
        self.secrets.extend(parts.iter().map(Secret::new));
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
