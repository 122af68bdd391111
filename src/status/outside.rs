//! What is known of the mappings' ports from the internet, and that nothing is where nobody tries them.

use super::text::{is, number, passed, text};
use super::View;
use crate::config::Mapping;
use crate::model::Family;
use crate::plan::outside::{self, OutsideState, Target};
use crate::wire::json::{array, Json, Object};
use std::fmt::Write as _;

/// What to do where a port is closed, be it this router's or that of a tunnel's server.
const MEND: &str =
    "look for another firewall or NAT on the way to it, or ask the provider whether it blocks the port";
/// What is known where nobody tries.
const ONLY_INSIDE: &str =
    "  outside  only the inside was tested: nobody tries the ports from the internet (option probe_url)\n";

impl View<'_> {
    /// Where a mapping's port is as the internet sees it, while that is open here, and what the owner's service said of it last;
    /// `None` there: it was not asked yet about what is so now.
    pub fn tried(&self, mapping: &Mapping, family: Family) -> Option<(Target, Option<&OutsideState>)> {
        let target = outside::target(self.config, self.world, self.state, mapping, family, self.now)?;
        let memory = self.state.outside.get(&(mapping.name.clone(), family));
        let memory = memory.filter(|memory| memory.target.as_ref() == Some(&target));
        Some((target, memory))
    }

    /// `by`: the service's host; `tried`: what it said. Empty where nobody is asked.
    pub(super) fn outside(&self) -> String {
        let Some(service) = &self.config.global.probe_url else { return Object::new().end() };
        let tried = outside::ways(self.config).filter_map(|(mapping, family)| {
            let (target, memory) = self.tried(mapping, family)?;
            let object = Object::new()
                .str("mapping", &mapping.name)
                .shown("address", &target.addr)
                .num("port", target.port.into());
            let object = match memory.and_then(|memory| memory.found) {
                Some((verdict, at)) => object.shown("says", &verdict).num("tried_s", self.ago(at)),
                None => object,
            };
            Some(object.maybe("failure", memory.and_then(|memory| memory.failure.as_deref())).end())
        });
        Object::new().str("by", service.host()).raw("tried", &array(tried)).end()
    }
}

/// The same as text, a line a port.
pub(super) fn lines(out: &mut String, status: &Json) {
    let outside = status.get("outside");
    let Some(host) = outside.get("by").str() else {
        if status.get("mappings").items().iter().any(|mapping| is(mapping, "open")) {
            out.push_str(ONLY_INSIDE);
        }
        return;
    };
    for tried in outside.get("tried").items() {
        let (name, addr, port) = (text(tried, "mapping"), text(tried, "address"), number(tried, "port"));
        let (verdict, failure) = (tried.get("says").str(), tried.get("failure").str());
        let sign = if verdict == Some("closed") { '!' } else { ' ' };
        let _ = write!(out, "{sign} outside  {name}: {addr} port {port} ");
        if let Some(verdict) = verdict {
            let ago = passed(number(tried, "tried_s"));
            let _ = write!(out, "is {verdict} from the internet, says {host}, tried {ago} ago");
        }
        if let Some(why) = failure {
            let gap = if verdict.is_some() { "; " } else { "" };
            let _ = write!(out, "{gap}not known now: {why}");
        }
        let _ = match (verdict, failure) {
            (Some("closed"), _) => writeln!(out, "; {MEND}"),
            (None, None) => writeln!(out, "was not tried yet"),
            _ => writeln!(out),
        };
    }
}
