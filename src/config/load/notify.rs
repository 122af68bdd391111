//! Section `notify`: whom to tell, of what; each kind has options of its own.

use super::{keep, Fate, Fields, Loader, Notify, Secret};
use crate::notify::{find, request, Channel, Message, Note, Occasion, Way};
use crate::provider::web::url_fault;
use crate::provider::CLOCK_FLOOR;

/// Options that are not a kind's own.
const COMMON: [&str; 5] = ["enabled", "kind", "on", "details", "title"];
/// A shorter path (bytes) of a URL is no secret.
const PATH_MIN: usize = 6;

impl Loader<'_> {
    pub(super) fn notify(&mut self, fields: &mut Fields, name: &str) -> Option<Fate> {
        let channel = find(fields.one("kind")?)?;
        let own = || fields.row.options.iter().filter(|row| !COMMON.contains(&row.name));
        for row in own() {
            self.own_of_kind(fields, (channel.kind, channel.needs, channel.takes), row.name);
        }
        let mut options = fields.options.clone();
        for row in own().filter(|row| !row.secret && channel.has(row.name)) {
            if let Some(text) = fields.text(row.name) {
                options.text.insert(row.name.to_string(), text);
            }
        }
        options.secrets.retain(|name, _| channel.has(name));
        self.hide_address(fields, channel);
        let notify = Notify {
            name: name.to_string(),
            kind: channel.kind.to_string(),
            on: fields.list("on").into_iter().filter_map(Occasion::of).collect(),
            details: fields.flag("details"),
            title: fields.text("title").unwrap_or_default(),
            options,
        };
        if fields.enabled && !fields.faulty {
            self.try_request(fields, channel, &notify);
        }
        keep(fields, &mut self.loaded.config.notifies, notify)
    }

    /// An option that the kind needs, or does not know.
    pub(super) fn own_of_kind(
        &mut self,
        fields: &mut Fields,
        (kind, needs, takes): (&str, &[&str], &[&str]),
        name: &str,
    ) {
        let row = fields.row.option(name);
        let secret = row.is_some_and(|row| row.secret);
        let wrote = fields.wrote(name) || secret && fields.wrote(&format!("{name}_file"));
        if wrote && !needs.contains(&name) && !takes.contains(&name) {
            self.reader.warn(fields, name, &format!("has no effect: {kind} does not use it"));
        } else if !wrote && needs.contains(&name) {
            let or_file = if secret { format!(" (or {name}_file)") } else { String::new() };
            let what = row.map_or("", |row| row.doc);
            let word = if row.is_some_and(|row| row.list) { "list" } else { "option" };
            let text = format!("{word} {name}{or_file}: is missing, and {kind} needs it ({what})");
            self.reader.fault(fields, "", &text);
        }
    }

    /// What of an address is as good as a password: services carry tokens in the path, an ntfy topic is one itself.
    fn hide_address(&mut self, fields: &Fields, channel: &Channel) {
        let secret = |name: &str| fields.options.secrets.get(name).map(|secret| secret.reveal().to_string());
        for name in ["url", "header"] {
            if let Some(text) = secret(name) {
                self.reader.hide_parts(fields, name, &text);
            }
        }
        let Some(url) = secret("url") else { return };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
        let topic = path.rsplit('/').next().filter(|_| channel.kind == "ntfy");
        let whole = Some(path).filter(|path| path.len() >= PATH_MIN && path.contains(['/', '?']));
        self.reader.secrets.extend(topic.into_iter().chain(whole).map(Secret::new));
    }

    /// What would go wrong with every message is said now.
    fn try_request(&mut self, fields: &mut Fields, channel: &Channel, notify: &Notify) {
        for name in ["to", "from"] {
            if notify.text(name).is_some_and(|text| text.contains(char::is_control)) {
                self.reader.fault(fields, name, "must be one line");
            }
        }
        let own =
            matches!(&channel.way, Way::Post(service) if service.path.is_empty() && channel.has("body"));
        if let Some(fault) = notify.secret("url").filter(|_| !own).and_then(|url| url_fault(url, true)) {
            return self.reader.fault(fields, "url", fault);
        }
        let message = Message::of(notify, &[Note::test()], 0);
        if let Err(failure) = request(notify, &message, CLOCK_FLOOR) {
            self.reader.fault(fields, "", &failure.text);
        }
    }
}

impl Channel {
    fn has(&self, option: &str) -> bool {
        self.needs.contains(&option) || self.takes.contains(&option)
    }
}
