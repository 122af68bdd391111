//! Every provider, and how one is found by its name.

use super::{also, api, cloudflare, custom, duckdns, rfc2136, url, Entry};
use crate::config::nearest::{near, FAR};

/// Every provider. The rows of the URL table come last.
pub static PROVIDERS: &[Entry] = &all();

/// The providers with a file of their own.
const OWN: [Entry; 4] = [cloudflare::ENTRY, custom::ENTRY, duckdns::ENTRY, rfc2136::ENTRY];

/// [`OWN`], the services with an API, and the rows of the URL table, one after the other.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a wrong index")]
const fn all() -> [Entry; OWN.len() + api::COUNT + url::ENTRIES.len()] {
    let mut out = [cloudflare::ENTRY; OWN.len() + api::COUNT + url::ENTRIES.len()];
    let (mut index, mut group, mut place) = (0, 0, 0);
    while index < OWN.len() {
        out[index] = OWN[index];
        index += 1;
    }
    while group < api::SERVICES.len() {
        if place < api::SERVICES[group].len() {
            out[index] = api::SERVICES[group][place].entry();
            (index, place) = (index + 1, place + 1);
        } else {
            (group, place) = (group + 1, 0);
        }
    }
    while index < out.len() {
        out[index] = url::ENTRIES[index - OWN.len() - api::COUNT];
        index += 1;
    }
    out
}

/// A provider by its name, or by the name that another client has for it (`default@dyndns.org`).
pub fn find(name: &str) -> Option<&'static Entry> {
    let name = own_name(name);
    PROVIDERS.iter().find(|entry| entry.name == name)
}

/// A provider's own name, by one that another client has for it; else the name as it is.
pub fn own_name(name: &str) -> &str {
    also::own_name(name).unwrap_or(name)
}

/// Other names that [`find`] takes for a provider.
pub fn aliases(entry: &Entry) -> Vec<&'static str> {
    also::names(entry.name).collect()
}

/// The most names that are offered for a misspelt one.
pub(super) const NEAREST: usize = 3;
/// A shorter text is not looked for in names and titles: too many have it.
const PART: usize = 3;

/// The providers that may be meant by a name that none has, the likeliest first: those of nearly that name, then those
/// in whose name or title it stands, or whose name stands in it. At most three.
pub fn nearest(name: &str) -> Vec<&'static str> {
    let lower = name.to_ascii_lowercase();
    let names = PROVIDERS.iter().map(|entry| entry.name);
    let spelt = near(&lower, &mut names.chain(PROVIDERS.iter().flat_map(|entry| also::names(entry.name))));
    let mut found: Vec<&'static str> = Vec::new();
    for steps in 0..=FAR {
        for (_, name) in spelt.iter().filter(|(far, _)| *far == steps) {
            let own = also::own_name(name).unwrap_or(name);
            if !found.contains(&own) {
                found.push(own);
            }
        }
    }
    let part = |whole: &str, part: &str| part.len() >= PART && whole.contains(part);
    for entry in PROVIDERS {
        let has = part(entry.name, &lower)
            || part(&entry.title.to_ascii_lowercase(), &lower)
            || part(&lower, entry.name)
            || aliases(entry).iter().any(|also| part(also, &lower));
        if has && !found.contains(&entry.name) {
            found.push(entry.name);
        }
    }
    found.truncate(NEAREST);
    found
}
