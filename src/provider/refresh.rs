//! Services that take a name away which is not sent again for long, though nothing changed.

use super::Entry;
use std::time::Duration;

const DAY: u64 = 86_400;

/// Days after which a record is sent again, some before the service would take the name away. Few services do that: a
/// table of its own is smaller than a field of each.
static DAYS: [(&str, u64); 8] = [
    // Free names expire after 30 days without an update or a click on a mail (the service's FAQ).
    ("noip", 25),
    // 35 days (update policy of members.dyndns.org); inadyn sends after 30.
    ("dyn", 28),
    // Names that are not updated for a month count as stale (FAQ).
    ("nsupdate_info", 28),
    // Released after 7 days (FAQ).
    ("dy_fi", 6),
    // Deleted after a week without notification.
    ("mydns", 5),
    // Removed after a year without use (help page).
    ("freemyip", 180),
    // Free names: 30 days.
    ("nowdns", 25),
    ("changeip", 25),
];

impl Entry {
    /// How long a record may stay unchanged before it is sent once more; zero: for ever.
    pub fn refresh(&self) -> Duration {
        let row = DAYS.iter().find(|(name, _)| *name == self.name);
        Duration::from_secs(row.map_or(0, |(_, days)| days * DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::PROVIDERS;

    #[test]
    fn each_of_them_is_there_and_is_written_unasked() {
        for (name, days) in DAYS {
            let entry =
                PROVIDERS.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no {name}"));
            assert!(!entry.reads, "{name} would find that nothing is to be written");
            assert_eq!(entry.refresh().as_secs(), days * DAY);
            assert!((1..=365).contains(&days), "{name}");
        }
        assert_eq!(crate::provider::find("cloudflare").unwrap().refresh(), Duration::ZERO);
    }
}
