//! `list ip_source`, `list ip_url`, `option ip_script`, `option agree`: who says which address a WAN has.

use super::{Fields, Loader};
use crate::config::{IpSource, Wan, AGREE};
use crate::map::Set;
use crate::plan::witness::{source, Voice};

/// The most services of one's own.
const URLS_CAP: usize = 16;

impl Loader<'_> {
    /// Reads them, and refuses what could never come to an agreement.
    pub(super) fn witnesses(&mut self, fields: &mut Fields, wan: &mut Wan) {
        wan.sources = fields.list("ip_source").into_iter().filter_map(IpSource::parse).collect();
        if wan.sources.is_empty() {
            wan.sources = IpSource::USUAL.to_vec();
        }
        wan.ip_urls = fields.texts("ip_url");
        wan.ip_script = fields.text("ip_script");
        wan.agree = fields.one("agree").and_then(|text| text.parse().ok()).unwrap_or(AGREE);
        let (web, script) = (wan.sources.contains(&IpSource::Web), wan.sources.contains(&IpSource::Script));
        if wan.ip_urls.len() > URLS_CAP {
            let text = format!("has {} values; {URLS_CAP} are the most", wan.ip_urls.len());
            self.reader.fault(fields, "ip_url", &text);
        }
        if !web && !wan.ip_urls.is_empty() {
            self.reader.fault(fields, "ip_url", "nobody asks them; write list ip_source 'web' too");
        }
        if script && wan.ip_script.is_none() && !fields.wrote("ip_script") {
            self.reader.fault(fields, "ip_source", "'script' needs option ip_script, the program");
        }
        if !script && wan.ip_script.is_some() {
            self.reader.fault(fields, "ip_script", "nobody asks it; write list ip_source 'script' too");
        }
        self.can_agree(fields, wan);
    }

    /// In each family that the WAN has there must be enough witnesses, one of them beyond forging.
    fn can_agree(&mut self, fields: &mut Fields, wan: &Wan) {
        if fields.faulty || wan.sources == [IpSource::Interface] {
            return;
        }
        for family in &wan.families {
            let witnesses = source::all(wan, *family, 0);
            let operators: Set<&str> = Set::from_iter(witnesses.iter().map(|w| w.operator.as_str()));
            if operators.len() < usize::from(wan.agree) {
                let text = format!(
                    "{} witnesses cannot agree on {family}: list ip_source and list ip_url give {} with different \
                     operators; lower it, or name more",
                    wan.agree,
                    operators.len()
                );
                return self.reader.fault(fields, "agree", &text);
            }
            if witnesses.iter().all(|witness| witness.voice() == Voice::Plain) {
                let text =
                    "names none but witnesses in clear text, in whose place anyone on the way can answer; \
                            write list ip_source 'web' (https) or 'script' too";
                return self.reader.fault(fields, "ip_source", text);
            }
        }
    }
}
