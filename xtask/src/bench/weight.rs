//! What each provider adds to the program: the bytes of its row, computed from the row itself, as no symbol tells them
//! apart. A text counts for a provider if no other has it, since the linker keeps equal ones once.

use porchlight::provider::api::{Service, PLAIN};
use porchlight::provider::url::Row;
use porchlight::provider::{Entry, Update, PROVIDERS};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};

/// Bytes of a text's place in a row on the router: pointer and length.
const SLOT: usize = 8;

/// Prints the bytes of every row, the heaviest first.
pub fn print() {
    let (mut rows, shared) = rows();
    rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let total: usize = rows.iter().map(|(_, bytes)| bytes).sum();
    anstream::println!(
        "\nWhat each provider's row adds, about (texts that several have: {shared} bytes, once):"
    );
    for chunk in rows.chunks(6) {
        let cells: Vec<String> = chunk.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        anstream::println!("  {}", cells.join(", "));
    }
    anstream::println!("  {} rows: {total} bytes, {} each", rows.len(), total / rows.len().max(1));
}

/// The bytes of all texts of all rows, each once.
#[must_use]
pub fn texts_of_all() -> u64 {
    let mut all: Vec<String> = PROVIDERS.iter().flat_map(texts).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(|text| text.len() as u64).sum()
}

/// Each provider with the bytes of its row, and those of the texts that more than one has.
fn rows() -> (Vec<(&'static str, usize)>, usize) {
    let all: Vec<Vec<String>> = PROVIDERS.iter().map(texts).collect();
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    for own in &all {
        let mut own: Vec<&str> = own.iter().map(String::as_str).collect();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|text| *users.entry(text).or_default() += 1);
    }
    let shared = users.iter().filter(|(_, count)| **count > 1).map(|(text, _)| text.len()).sum();
    let weigh = |(entry, own): (&Entry, &Vec<String>)| {
        let mut own: Vec<&str> = own.iter().map(String::as_str).collect();
        own.sort_unstable();
        own.dedup();
        let alone = own.into_iter().filter(|text| users.get(text) == Some(&1));
        (entry.name, alone.map(str::len).sum::<usize>() + places(entry))
    };
    (PROVIDERS.iter().zip(&all).map(weigh).collect(), shared)
}

/// All texts of a provider's row.
fn texts(entry: &Entry) -> Vec<String> {
    let mut all: Vec<String> = [entry.name, entry.title, entry.url].map(str::to_owned).into();
    all.extend(entry.options.iter().flat_map(|option| [option.name.to_owned(), option.doc.to_owned()]));
    match entry.update {
        Update::Own(_) => {}
        Update::Url(row) => all.extend(quoted(row)),
        Update::Api(service) => all.extend(quoted(service)),
    }
    all
}

/// The bytes of a row's structures on a router, where pointers are half as wide as here.
fn places(entry: &Entry) -> usize {
    let lists = |texts: usize, direct: usize| texts.saturating_sub(direct) * SLOT;
    let own = match entry.update {
        Update::Own(_) => 0,
        Update::Url(row) => size_of::<Row>() / 2 + lists(quoted(row).len(), 1),
        Update::Api(service) => {
            let options = service.options.len() * 2;
            let direct = quoted(&PLAIN).len() - PLAIN.headers.len() * 2;
            let own = |differs: bool, size: usize| if differs { size / 2 } else { 0 };
            let differs = |a: &dyn Debug, b: &dyn Debug| format!("{a:?}") != format!("{b:?}");
            let apart = own(differs(service.special, PLAIN.special), size_of_val(service.special))
                + own(differs(service.batch, PLAIN.batch), size_of_val(service.batch));
            size_of::<Service>() / 2 + apart + lists(quoted(service).len(), direct + options)
        }
    };
    (size_of::<Entry>() + size_of_val(entry.options)) / 2 + own
}

/// The texts within a value, as its derived `Debug` quotes them.
fn quoted(value: &dyn Debug) -> Vec<String> {
    let shown = format!("{value:?}");
    let mut texts = Vec::new();
    let mut open: Option<String> = None;
    let mut chars = shown.chars();
    while let Some(c) = chars.next() {
        match (&mut open, c) {
            (None, '"') => open = Some(String::new()),
            (None, _) => {}
            (Some(_), '"') => texts.extend(open.take()),
            // Whatever is escaped is one character here.
            (Some(text), '\\') => text.extend(chars.next()),
            (Some(text), c) => text.push(c),
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_their_quotes() {
        assert_eq!(quoted(&("a\"b", [("", 1)], 'x', "c\\")), ["a\"b", "", "c\\"]);
    }

    #[test]
    fn what_several_have_is_nobodys() {
        let (rows, shared) = rows();
        assert_eq!(rows.len(), PROVIDERS.len());
        let of = |name: &str| rows.iter().find(|(other, _)| *other == name).map(|(_, bytes)| *bytes);
        let powerdns = of("powerdns").unwrap();
        assert!(powerdns > "PATCH /api/v1/servers/localhost/zones/$zid".len() + size_of::<Service>() / 2);
        assert!(shared > 0 && rows.iter().all(|(_, bytes)| *bytes < 4096), "{rows:?}");
    }
}
