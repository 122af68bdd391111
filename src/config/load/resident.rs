//! `option resident '0'`: no daemon, only passes. What must be watched, renewed or closed in time does not go with it.

use super::{Fields, Loader};

/// What was seen that does not go without a daemon.
#[derive(Default)]
pub struct NeedsDaemon {
    /// The line of `option resident`, in the section that counts.
    line: Option<usize>,
    /// In plain words.
    what: Vec<String>,
}

impl Loader<'_> {
    /// Remembers what a section asks for that only a daemon can do, whether it is built yet or not.
    pub(super) fn note_daemon(&mut self, fields: &Fields) {
        let wrote = |name: &str, value: &str| {
            fields.section.option(name).is_some_and(|option| option.values.iter().any(|text| text == value))
        };
        if fields.row.kind == "porchlight" {
            self.daemon.line.get_or_insert(fields.line("resident"));
            if fields.wrote("probe_url") {
                self.daemon.what.push("option probe_url (a pass does not wait for the service)".into());
            }
        }
        let what = match fields.row.kind {
            "porchlight" if wrote("upstream", "on") => {
                "option upstream 'on' (its lease must be renewed)".into()
            }
            "tunnel" if fields.enabled => format!("{} (its connection must be kept)", fields.title),
            "mapping" if fields.enabled && fields.wrote("schedule") => {
                format!("option schedule of {} (it must open and close in time)", fields.title)
            }
            _ => return,
        };
        self.daemon.what.push(what);
    }

    /// After all sections: refuses `resident '0'` where something needs a daemon, which then stays.
    pub(super) fn resident(&mut self) {
        if self.loaded.config.global.resident || self.daemon.what.is_empty() {
            return;
        }
        self.loaded.config.global.resident = true;
        let text = format!(
            "section porchlight: option resident: '0' is no daemon, and this needs one: {}; take that out, or write \
             option resident '1'",
            self.daemon.what.join(", ")
        );
        self.reader.problems.error(self.daemon.line.unwrap_or(0), text);
    }
}
