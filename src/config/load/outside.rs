//! `option probe_url`, `probe_open`, `probe_closed`: who tries the ports from the internet, and what the answers are.

use super::{Fields, Loader};
use crate::config::ProbeUrl;
use crate::plan::outside::{bare, PORT};
use crate::provider::web::url_fault;

impl Loader<'_> {
    /// Reads them; `None` where nobody is asked, or what is written could not be asked.
    pub(super) fn probe_url(&mut self, fields: &mut Fields) -> Option<ProbeUrl> {
        let text = |name: &str| fields.text(name).unwrap_or_default();
        let service = ProbeUrl {
            url: fields.text("probe_url")?,
            open: text("probe_open"),
            closed: text("probe_closed"),
        };
        if let Some(fault) = url_fault(&service.url, true) {
            self.reader.fault(fields, "probe_url", fault);
        } else if !service.url.contains(PORT) {
            self.reader.fault(
                fields,
                "probe_url",
                "does not say which port to try; write {port} where that stands",
            );
        } else if bare(&service.open) == bare(&service.closed) {
            let text = "says the same as probe_closed, so that one could not be told from the other";
            self.reader.fault(fields, "probe_open", text);
        } else {
            return Some(service);
        }
        None
    }
}
