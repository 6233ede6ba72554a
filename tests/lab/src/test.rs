//! `cargo lab test`: every test of the workspace, each named as it ends; what failed is shown at once.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::process::last_lines;
use crate::progress::{self, clock};
use crate::session::{Lab, Program};
use crate::setup;
use crate::workspace::Workspace;

/// Counts for the closing line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// A step that is one cargo command.
struct Step {
    name: &'static str,
    arguments: Vec<&'static str>,
    /// Reads a line of its output for numbers of tests; none for a step that counts as one test.
    count: Option<fn(&str) -> Option<Tally>>,
}

/// Runs the steps and cases whose name contains `filter`; the cases with ten times their limits, if `long`.
pub(crate) fn run(workspace: &Workspace, filter: &str, program: Program, long: bool) -> Result<ExitCode> {
    setup::host_packages(workspace)?; // clippy and the unit tests build libxc too
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    for step in steps().iter().filter(|s| s.name.contains(filter)) {
        let of_step = run_step(workspace, step)?;
        if of_step.failed > 0 {
            failed.push(step.name.to_owned());
        }
        tally.add(of_step);
    }
    let cases = Case::all(workspace, filter)?;
    if !cases.is_empty() {
        let lab = Lab::prepare(workspace, program)?;
        let (of_cases, failed_cases) = run_cases(workspace, &lab, &cases, long)?;
        tally.add(of_cases);
        failed.extend(failed_cases);
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the cases, and those that fail once more, in boots of their own: under software emulation a guest, or Xen itself,
/// crashes now and then without the toolstack's doing. A case that fails twice has failed. Returns their names too.
fn run_cases(workspace: &Workspace, lab: &Lab, cases: &[Case], long: bool) -> Result<(Tally, Vec<String>)> {
    let (mut tally, mut suspects) = (Tally::default(), Vec::new());
    cases::run(workspace, lab, cases.iter().collect(), long, |(case, outcome, time)| {
        let of_case = report(case, outcome, time);
        if of_case.failed > 0 {
            suspects.push(case);
        } else {
            tally.add(of_case);
        }
    })?;
    let (mut unsteady, mut failed) = (Vec::new(), Vec::new());
    cases::run(workspace, lab, suspects, long, |(case, outcome, time)| {
        let of_case = report(case, outcome, time);
        let list = if of_case.failed > 0 { &mut failed } else { &mut unsteady };
        list.push(case.name.clone());
        tally.add(of_case);
    })?;
    if !unsteady.is_empty() {
        println!("passed only when run again: {}", unsteady.join(", "));
    }
    Ok((tally, failed))
}

fn steps() -> [Step; 4] {
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    let unit = if nextest {
        vec!["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        vec!["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]
    };
    let clippy = vec!["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    [
        Step { name: "fmt", arguments: vec!["fmt", "--check"], count: None },
        Step { name: "clippy", arguments: clippy, count: None },
        Step { name: "unit", arguments: unit, count: Some(if nextest { count_nextest } else { count_libtest }) },
        Step { name: "doc", arguments: vec!["test", "--workspace", "--doc"], count: Some(count_libtest) },
    ]
}

fn run_step(workspace: &Workspace, step: &Step) -> Result<Tally> {
    let started = Instant::now();
    let log = log_of(workspace, step.name);
    let mut command = Command::new("cargo");
    command.args(&step.arguments).current_dir(&workspace.root).env("CARGO_TERM_COLOR", "never");
    let result = crate::process::run_logged(&format!("test: {}", step.name), &mut command, &log);
    let output = std::fs::read_to_string(&log)?;
    let mut tally = Tally::default();
    output.lines().filter_map(|l| step.count.and_then(|count| count(l))).for_each(|t| tally.add(t));
    // A step that failed before it could count, or that counts as one test.
    match &result {
        Ok(()) if step.count.is_none() => tally.passed = 1,
        Err(_) if tally.failed == 0 => tally.failed = 1,
        _ => {}
    }
    println!("{:<6} {} ({})", if result.is_ok() { "ok" } else { "FAILED" }, step.name, clock(started.elapsed()));
    if result.is_err() {
        println!("{}", last_lines(&log, 150));
    }
    Ok(tally)
}

fn log_of(workspace: &Workspace, step: &str) -> PathBuf {
    workspace.cache().join(format!("log/test-{step}.log"))
}

/// `Summary [ 0.1s] 20 tests run: 18 passed (1 slow), 1 failed, 1 skipped`
fn count_nextest(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim().strip_prefix("Summary ")?.split_once(" run:")?;
    Some(count_words(counts))
}

/// `test result: ok. 18 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`
fn count_libtest(line: &str) -> Option<Tally> {
    Some(count_words(line.strip_prefix("test result: ")?.split_once('.')?.1))
}

/// Reads `N passed`, `N failed` and the like.
fn count_words(text: &str) -> Tally {
    let mut tally = Tally::default();
    for part in text.split([',', ';']) {
        let mut words = part.split_whitespace();
        let Some(number) = words.next().and_then(|n| n.parse().ok()) else { continue };
        match words.next() {
            Some("passed") => tally.passed = number,
            Some("failed") => tally.failed = number,
            Some("skipped" | "ignored") => tally.skipped = number,
            _ => {}
        }
    }
    tally
}

fn report(case: &Case, outcome: Outcome, time: Duration) -> Tally {
    let time = clock(time);
    match outcome {
        Outcome::Passed => {
            println!("ok     {} ({time})", case.name);
            Tally { passed: 1, ..Tally::default() }
        }
        Outcome::Skipped(why) => {
            println!("skip   {}: {why}", case.name);
            Tally { skipped: 1, ..Tally::default() }
        }
        Outcome::Failed(what) => {
            println!("FAILED {} ({time})\n{what}", case.name);
            progress::say(&format!("failed: {}", case.name));
            Tally { failed: 1, ..Tally::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_test_runners_are_counted() {
        let expected = Some(Tally { passed: 18, failed: 1, skipped: 2 });
        let nextest = "     Summary [   0.154s] 21 tests run: 18 passed (1 slow), 1 failed, 2 skipped";
        assert_eq!(count_nextest(nextest), expected);
        let libtest =
            "test result: FAILED. 18 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(count_libtest(libtest), expected);
        assert_eq!(count_nextest("        PASS [   0.008s] (15/20) lab::bin/lab case"), None);
    }
}
