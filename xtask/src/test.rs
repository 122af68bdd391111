//! `cargo xtask test`: format, lints, house rules, unit tests, then each scenario in a lab of its own.
//! What cannot run is printed as skipped; in CI (`CI=true`) that is a failure.

use crate::lab::scenarios::{cameras, route53, tunnel, Scenario, SCENARIOS};
use crate::lab::{self, process, published, seal, tools, Lab, Skipped};
use crate::rules;
use anstyle::{AnsiColor, Style};
use anyhow::{anyhow, ensure, Context, Result};
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Exit status of a sealed scenario that cannot run here; automake's convention.
const SKIPPED: i32 = 77;

/// Lines of each daemon's log that a failure shows.
const LAST_WORDS: usize = 60;

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Only the steps and scenarios whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Leave out the slow scenarios
    #[arg(long)]
    quick: bool,
    /// Do not install what is missing; skip what needs it
    #[arg(long)]
    no_install: bool,
    /// Test the release build of the agent
    #[arg(long)]
    release: bool,
    /// List the names, run nothing
    #[arg(long)]
    list: bool,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// What the tests of the crate itself need: namespaces, the packet filter, system calls counted.
const UNIT_NEEDS: &[&str] = &["ip", "nft", "strace", "busybox"];

/// How many tests ended how.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// A step before the scenarios. The value is what it counts.
type Step = (&'static str, fn() -> Result<Tally>);

const STEPS: [Step; 5] =
    [("fmt", fmt), ("clippy", clippy), ("rules", house_rules), ("unit", unit), ("packages", packages)];

/// Runs everything; the exit status is 0 if nothing failed.
pub fn run(options: &Options) -> Result<i32> {
    if options.list {
        STEPS.iter().for_each(|step| anstream::println!("{}", step.0));
        SCENARIOS.iter().for_each(|scenario| anstream::println!("{}: {}", scenario.name, scenario.about));
        return Ok(0);
    }
    let scenarios: Vec<&'static Scenario> =
        SCENARIOS.iter().filter(|scenario| options.wants(scenario.name)).collect();
    let mut total = Tally::default();
    let needs: Vec<&str> = scenarios.iter().flat_map(|s| s.needs).chain(UNIT_NEEDS).copied().collect();
    // What could not be installed is said here, and again by each test that is skipped for it.
    if let Err(error) = tools::require(&needs, !options.no_install) {
        anstream::println!("{error:#}");
    }
    for (name, step) in STEPS.iter().filter(|step| options.wants(step.0)) {
        anstream::println!("== {name}");
        match step() {
            Ok(tally) => total.add(tally),
            Err(error) => total.fail(name, &format!("{error:#}")),
        }
    }
    if !scenarios.is_empty() {
        run_scenarios(&scenarios, options, &mut total);
    }
    let Tally { passed, failed, skipped } = total;
    ensure!(passed + failed + skipped > 0, "no test has such a name; --list shows them");
    let unwelcome = skipped > 0 && env::var("CI").is_ok_and(|value| value == "true");
    if unwelcome {
        anstream::println!("{BAD}failed{BAD:#}: in CI nothing may be skipped");
    }
    anstream::println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(i32::from(failed > 0 || unwelcome))
}

/// How one scenario ended, in how many seconds.
type Outcome = (&'static Scenario, Result<()>, f64);

/// Machines that are emulated take one processor and minutes: they run beside the other scenarios, which mostly wait; so
/// does that of tunnels, which waits for a minute to be over.
/// What they print comes when all are done.
const BESIDE: [&str; 4] = ["emulated", "machine-mips", "machine-arm", "tunnel"];

fn run_scenarios(scenarios: &[&'static Scenario], options: &Options, total: &mut Tally) {
    let program = match tools::build_agent(options.release) {
        Ok(program) => program,
        Err(error) => return total.fail("lab", &format!("{error:#}")),
    };
    let (beside, mut rest): (Vec<_>, Vec<_>) =
        scenarios.iter().copied().partition(|scenario| BESIDE.contains(&scenario.name));
    let two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let beside = if two && !rest.is_empty() {
        beside
    } else {
        rest.extend(beside);
        Vec::new()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run_beside(&beside, &program, options));
        for scenario in rest {
            anstream::println!("== lab {}: {}", scenario.name, scenario.about);
            let outcome = timed(scenario, &program, options, None);
            total.take(&outcome);
        }
        for (text, outcome) in other.join().unwrap_or_default() {
            anstream::println!("== lab {}: {}", outcome.0.name, outcome.0.about);
            anstream::print!("{text}");
            total.take(&outcome);
        }
    });
}

/// Runs scenarios one after the other and keeps what they print.
fn run_beside(scenarios: &[&'static Scenario], program: &Path, options: &Options) -> Vec<(String, Outcome)> {
    let run = |scenario: &'static Scenario| -> Result<(String, Outcome)> {
        let mut out = tempfile::tempfile()?;
        let outcome = timed(scenario, program, options, Some(&out));
        let mut text = String::new();
        out.rewind()?;
        out.read_to_string(&mut text)?;
        Ok((text, outcome))
    };
    let kept = |scenario| run(scenario).unwrap_or_else(|error| (String::new(), (scenario, Err(error), 0.0)));
    scenarios.iter().copied().map(kept).collect()
}

fn timed(scenario: &'static Scenario, program: &Path, options: &Options, out: Option<&File>) -> Outcome {
    let start = Instant::now();
    let result = run_scenario(scenario, program, options, out);
    (scenario, result, start.elapsed().as_secs_f64())
}

fn run_scenario(scenario: &Scenario, program: &Path, options: &Options, out: Option<&File>) -> Result<()> {
    if scenario.slow && options.quick {
        return lab::skip("left out by --quick");
    }
    let lacking = [tools::missing(tools::BASE), tools::missing(scenario.needs)].concat();
    if !lacking.is_empty() {
        return lab::skip(format!("this machine lacks {}", lacking.join(", ")));
    }
    crate::machine::prepare(scenario.name)?;
    if scenario.name == route53::MOTO.name {
        lab::moto::prepare(!options.no_install)?;
    }
    if scenario.name == cameras::HOME.name {
        lab::things::prepare(!options.no_install)?;
    }
    if scenario.name == tunnel::TUNNEL.name {
        lab::tunnels::prepare(!options.no_install)?;
    }
    let args: [OsString; 4] = ["__scenario".into(), scenario.name.into(), "--program".into(), program.into()];
    match seal::exit_code(seal::run(&args, scenario.limit, out)?) {
        0 => Ok(()),
        SKIPPED => lab::skip("see the line above"),
        seal::INTERRUPTED => std::process::exit(seal::INTERRUPTED),
        code => Err(anyhow!("exit status {code}")),
    }
}

/// The sealed part of one scenario.
pub fn sealed(name: &str, program: &Path) -> Result<i32> {
    seal::enter()?;
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).context("no such scenario")?;
    let mut lab = Lab::create(program)?;
    let held = |summary| published::PUBLISHED.check().map(|()| summary);
    match (scenario.run)(&mut lab).and_then(held) {
        Ok(summary) => summary.0.iter().for_each(|line| anstream::println!("   {line}")),
        Err(error) if error.is::<Skipped>() => {
            anstream::println!("   {error:#}");
            return Ok(SKIPPED);
        }
        Err(error) => {
            anstream::eprintln!("{}", process::last_words(LAST_WORDS));
            return Err(error);
        }
    }
    Ok(0)
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBT: Style = AnsiColor::Yellow.on_default();

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn take(&mut self, (scenario, result, seconds): &Outcome) {
        match result {
            Ok(()) => {
                self.passed += 1;
                anstream::println!("{GOOD}passed{GOOD:#} in {seconds:.1} s");
            }
            Err(error) => match error.downcast_ref::<Skipped>() {
                Some(why) => self.skip(scenario.name, &why.to_string()),
                None => self.fail(scenario.name, &format!("{error:#}")),
            },
        }
    }

    fn fail(&mut self, name: &str, why: &str) {
        self.failed += 1;
        anstream::println!("{BAD}failed{BAD:#}: {name}: {why}");
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        anstream::println!("{DOUBT}skipped{DOUBT:#}: {name}: {why}");
    }
}

const ONE: Tally = Tally { passed: 1, failed: 0, skipped: 0 };

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tools::workspace()).args(args).stdin(Stdio::null());
    command
}

fn fmt() -> Result<Tally> {
    let status = cargo(&["fmt", "--all", "--check"]).status()?;
    ensure!(status.success(), "not formatted: run cargo fmt");
    Ok(ONE)
}

fn clippy() -> Result<Tally> {
    let status = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).status()?;
    ensure!(status.success(), "clippy has something to say");
    Ok(ONE)
}

fn house_rules() -> Result<Tally> {
    let broken = rules::check(&tools::workspace().join("src"))?;
    ensure!(broken.is_empty(), "\n{}", broken.join("\n"));
    Ok(ONE)
}

/// The packages for OpenWrt, written and read back.
fn packages() -> Result<Tally> {
    crate::package::check()?.iter().for_each(|line| anstream::println!("{line}"));
    Ok(ONE)
}

/// All tests that cargo knows; their own counts are added up.
fn unit() -> Result<Tally> {
    let mut child = cargo(&["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped()).spawn()?;
    let mut tally = Tally::default();
    let stdout = child.stdout.take().context("no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let passing = line.starts_with("test ") && line.ends_with(" ... ok");
        if !passing && !line.is_empty() {
            anstream::println!("{line}");
        }
        tally.add(counted(&line));
    }
    let status = child.wait()?;
    ensure!(status.success() || tally.failed > 0, "cargo test could not run");
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn counted(line: &str) -> Tally {
    let Some(counts) = line.strip_prefix("test result: ") else { return Tally::default() };
    let count = |what: &str| {
        let words: Vec<&str> = counts.split([' ', ';']).collect();
        words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
    };
    Tally { passed: count("passed"), failed: count("failed"), skipped: count("ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_counts_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 9 filtered out; finished in 0.1s";
        let tally = counted(line);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (12, 3, 4));
        let tally = counted("test result of something else: 7 passed");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (0, 0, 0));
    }
}
