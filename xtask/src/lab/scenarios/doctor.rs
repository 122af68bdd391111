//! `porchlight doctor`: a healthy home raises no alarm; then one link after the other is broken, the doctor names it first,
//! its mend is followed, and the doctor finds nothing any more. The table of it is that of docs/doctor.md.

mod cases;
mod home;
mod meddler;

use super::Scenario;
use crate::lab::tools::workspace;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use cases::{Case, CASES, ON_OPENWRT};
use home::Home;
use std::fs;

/// The doctor.
pub const DOCTOR: Scenario = Scenario {
    name: "doctor",
    about: "broken set-ups, dozens of them: the doctor names the broken link first, with a mend that works",
    needs: &["named", "nsupdate", "dig", "nginx"],
    limit: Duration::from_secs(240),
    slow: false,
    run,
};

/// The longest that one run of the doctor may take, with a link that is silent.
const SLOW: Duration = Duration::from_secs(40);
/// Where the table is.
const PAGE: &str = "docs/doctor.md";
/// What the table stands between.
const MARKS: (&str, &str) = ("<!-- set-ups: by `cargo xtask test --only doctor` -->\n", "<!-- end -->");

/// What the doctor says.
struct Report {
    /// Its exit code.
    code: i32,
    /// The first link that is not well; none where all are.
    first: Option<String>,
    what: String,
    mend: String,
    text: String,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let mut home = Home::furnish(lab)?;
    let start = Instant::now();
    let untouched = home.fingerprint()?;
    home.green().context("the healthy home")?;
    let took = start.elapsed();
    ensure!(home.fingerprint()? == untouched, "the doctor changed something");
    let mut rows =
        vec!["| what is wrong | first link | what the doctor says | what it says to do |".to_string()];
    rows.push("|---|---|---|---|".into());
    let (mut failed, mut slowest) = (String::new(), (Duration::ZERO, ""));
    for case in CASES.iter().chain(ON_OPENWRT) {
        let start = Instant::now();
        if std::ptr::eq(case, &ON_OPENWRT[0]) {
            home.on_openwrt().and_then(|()| home.green()).context("the healthy home on OpenWrt")?;
        }
        let row = one(&mut home, case);
        slowest = slowest.max((start.elapsed(), case.about));
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                failed += &format!("-- {}: {error:#}\n", case.about);
                home.heal(case);
            }
        }
    }
    ensure!(failed.is_empty(), "{failed}");
    page(&rows)?;
    let mut summary = Summary(rows);
    let (longest, about) = slowest;
    summary.0.push(format!(
        "{} set-ups; a healthy home takes {} ms, and nothing is changed; the slowest set-up, {about}, {} ms with its mend",
        CASES.len() + ON_OPENWRT.len(),
        took.as_millis(),
        longest.as_millis()
    ));
    Ok(summary)
}

/// Breaks one link, reads the finding, follows it. A row of the table.
fn one(home: &mut Home, case: &Case) -> Result<String> {
    (case.breaks)(home).context("to break it")?;
    let report = home.doctor()?;
    ensure!(
        report.first.as_deref() == Some(case.link),
        "{} is to be named first:\n{}",
        case.link,
        report.text
    );
    ensure!(report.code == case.code(), "exit code {}:\n{}", report.code, report.text);
    for words in case.says {
        ensure!(
            report.what.contains(words) || report.mend.contains(words),
            "it does not say {words}:\n{}",
            report.text
        );
    }
    (case.mends)(home).context("to mend it")?;
    home.follow(&report.mend).context("to follow the mend")?;
    (case.after)(home).context("after the mend")?;
    home.green().with_context(|| format!("after the mend: {}", report.mend))?;
    let plain = |text: &str| plain(text, &home.lab.root.display().to_string());
    Ok(format!("| {} | {} | {} | {} |", case.about, case.link, plain(&report.what), plain(&report.mend)))
}

/// Without what is of this run alone: the lab's directory and program, and today's date.
fn plain(text: &str, root: &str) -> String {
    const TODAY: &str = "the clock here says ";
    let mut text = text.replace(root, "").replace("by xtask on", "by PROGRAM on").replace('|', "\\|");
    if let Some(at) = text.find(TODAY).map(|at| at + TODAY.len()) {
        text.replace_range(at..at + "2026-01-01".len(), "TODAY");
    }
    text
}

/// The table in the page, which must be this one; it is written where that is asked for.
fn page(rows: &[String]) -> Result<()> {
    let path = workspace().join(PAGE);
    let page = fs::read_to_string(&path)?;
    let (head, rest) = page.split_once(MARKS.0).context("docs/doctor.md has no place for the table")?;
    let (_, tail) = rest.split_once(MARKS.1).context("the table in docs/doctor.md has no end")?;
    let now = format!("{head}{}{}\n{}{tail}", MARKS.0, rows.join("\n"), MARKS.1);
    if std::env::var_os("PORCHLIGHT_WRITE").is_some() {
        fs::write(&path, &now)?;
    }
    ensure!(
        page == now || std::env::var_os("PORCHLIGHT_WRITE").is_some(),
        "{PAGE} has another table; write it with PORCHLIGHT_WRITE=1 cargo xtask test --only doctor"
    );
    Ok(())
}
