//! The result: a table for people, and the same as JSON.

use super::clients::Client;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// KiB.
    Kibibytes,
    /// Milliseconds.
    Milliseconds,
    /// A number of things.
    Count,
}

/// One line: a figure for each client that has one.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: Unit,
    /// By client; one that is left out has none.
    pub figures: BTreeMap<Client, Figure>,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// True if it follows from a setting and was not measured.
    pub computed: bool,
}

/// A measured figure.
pub fn measured(value: f64) -> Figure {
    Figure { value, computed: false }
}

/// All lines, and remarks.
#[derive(Default)]
pub struct Table {
    /// In order.
    pub rows: Vec<Row>,
    /// Below the table.
    pub notes: Vec<String>,
}

impl Table {
    /// Adds a line.
    pub fn row(&mut self, what: impl Into<String>, unit: Unit, figures: BTreeMap<Client, Figure>) {
        self.rows.push(Row { what: what.into(), unit, figures });
    }

    /// As Markdown, with the peers' figures as multiples of ours.
    pub fn markdown(&self, titles: &BTreeMap<Client, String>) -> String {
        let mut lines = vec![String::from("| "), String::from("|---|")];
        for title in titles.values() {
            lines[0] += &format!("| {title} ");
            lines[1] += "---:|";
        }
        lines[0] += "|";
        for row in &self.rows {
            let ours = row.figures.get(&Client::Porchlight).map(|figure| figure.value);
            let mut line = format!("| {} ", row.what);
            for client in titles.keys() {
                let cell = row.figures.get(client).map_or("-".to_owned(), |figure| {
                    let text = shown(figure, row.unit);
                    match ours {
                        Some(ours) if *client != Client::Porchlight && ours > 0.0 => {
                            format!("{text} ({}x)", rounded(figure.value / ours))
                        }
                        _ => text,
                    }
                });
                line += &format!("| {cell} ");
            }
            lines.push(line + "|");
        }
        lines.push(String::new());
        lines.extend(self.notes.iter().map(|note| format!("- {note}")));
        lines.join("\n") + "\n"
    }

    /// As JSON: figures in the row's unit.
    pub fn json(&self, titles: &BTreeMap<Client, String>) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let figures: serde_json::Map<String, Value> = row
                    .figures
                    .iter()
                    .map(|(client, figure)| {
                        (
                            client.name().to_owned(),
                            json!({"value": figure.value, "computed": figure.computed}),
                        )
                    })
                    .collect();
                json!({"what": row.what, "unit": unit(row.unit), "figures": figures})
            })
            .collect();
        let clients: serde_json::Map<String, Value> =
            titles.iter().map(|(client, title)| (client.name().to_owned(), title.clone().into())).collect();
        json!({"clients": clients, "rows": rows, "notes": self.notes})
    }
}

fn shown(figure: &Figure, unit_of: Unit) -> String {
    let mark = if figure.computed { "≈ " } else { "" };
    let unit = match unit_of {
        Unit::Count => String::new(),
        other => format!(" {}", unit(other)),
    };
    format!("{mark}{}{unit}", rounded(figure.value))
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Kibibytes => "KiB",
        Unit::Milliseconds => "ms",
        Unit::Count => "",
    }
}

/// Three figures are enough.
fn rounded(value: f64) -> String {
    match value {
        v if v == v.round() || v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 10.0 => format!("{v:.1}"),
        v if v.abs() >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

/// The value below which `share` of the samples lie (nearest rank).
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{measured, percentile, Figure, Table, Unit};
    use crate::bench::clients::Client;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=300).map(f64::from).collect();
        assert_eq!((percentile(&samples, 0.5), percentile(&samples, 0.99)), (150.0, 297.0));
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn ratios_stand_beside_the_peers_and_what_is_missing_is_a_dash() {
        let mut table = Table::default();
        let computed = Figure { value: 15_000.0, computed: true };
        let figures = [(Client::Porchlight, measured(2.5)), (Client::Inadyn, computed)];
        table.row("reaction", Unit::Milliseconds, figures.into());
        let titles = Client::ALL.map(|client| (client, client.name().to_owned())).into();
        let text = table.markdown(&titles);
        assert!(text.contains("| reaction | 2.50 ms | ≈ 15000 ms (6000x) | - |"), "{text}");
        assert_eq!(table.json(&titles)["rows"][0]["figures"]["inadyn"]["computed"], true);
    }
}
