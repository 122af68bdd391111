//! What must hold for every row.

use super::*;

/// Rule of the contract: an option at its default is always accepted, so each default must be of its kind.
#[test]
fn every_default_is_valid_and_every_row_is_documented() {
    for section in SECTIONS {
        assert_eq!(section.option("enabled").map(|row| row.kind), Some(Kind::Bool), "{}", section.kind);
        for row in section.options {
            let place = format!("{} {}", section.kind, row.name);
            assert!(!row.doc.is_empty(), "{place}");
            assert_eq!(section.options.iter().filter(|other| other.name == row.name).count(), 1, "{place}");
            assert!(row.default.split(' ').count() == 1 || row.list, "{place}");
            for value in row.default.split(' ').filter(|value| !value.is_empty()) {
                assert_eq!(row.kind.check(value).as_deref(), Ok(value), "{place}: default is not canonical");
            }
            if let Built::Only(values) = row.built {
                for value in values.iter().flat_map(|joined| joined.split(' ')) {
                    assert_eq!(row.kind.check(value).as_deref(), Ok(value), "{place}");
                }
            }
            if let Kind::Reference(kind) = row.kind {
                assert!(super::section(kind).is_some(), "{place}");
            }
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_types() {
    let defaults = crate::config::Global::default();
    let global = |name: &str| section("porchlight").unwrap().option(name).unwrap().default;
    let duration = |name: &str| crate::config::value::duration(global(name)).unwrap();
    assert_eq!(duration("check_interval"), defaults.check_interval);
    assert_eq!(duration("debounce"), defaults.debounce);
    assert_eq!(duration("timeout"), defaults.timeout);
    assert_eq!(global("cacert"), defaults.cacert);
    assert_eq!(global("log_level"), defaults.log_level.to_string().to_lowercase());
}
