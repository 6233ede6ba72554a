//! Cases: shell scripts of tests/lab/cases, run in dom0. Cases of one profile share a boot.
//!
//! A case's first comment says what it shows; lines that begin with `#:` are its options, in TOML. It passes when it
//! exits 0, and skips itself with exit status 77 after printing why. It must leave no domain behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::machine::{Directories, Machine, Said};
use crate::process::last_lines;
use crate::profile::Profile;
use crate::progress;
use crate::session::{Lab, copy_files, ends_of_logs, write_main};
use crate::workspace::Workspace;

/// The exit status by which a case says that it does not apply here.
const SKIP: u8 = 77;

/// Time for the runner to look for left-overs and gather logs, on top of a case's own.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// A test that needs real Xen.
#[derive(Debug)]
pub(crate) struct Case {
    /// "case " and the script's file name without ".sh".
    pub name: String,
    /// The script's file name without ".sh".
    stem: String,
    script: PathBuf,
    options: Options,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// The machine that it needs.
    profile: String,
    /// How long it may take, in seconds.
    timeout: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { profile: "default".into(), timeout: 120 }
    }
}

/// How a case ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Why it does not apply.
    Skipped(String),
    /// What to show: its transcript and logs.
    Failed(String),
}

impl Case {
    /// The cases whose name contains `filter`, short ones first.
    pub(crate) fn all(workspace: &Workspace, filter: &str) -> Result<Vec<Self>> {
        let mut cases = Vec::new();
        for entry in fs::read_dir(workspace.lab().join("cases"))? {
            let script = entry?.path();
            let stem = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name = format!("case {stem}");
            if script.extension().is_some_and(|e| e == "sh") && name.contains(filter) {
                let text = fs::read_to_string(&script)?;
                let options = parse_options(&text).with_context(|| name.clone())?;
                cases.push(Self { name, stem, script, options });
            }
        }
        cases.sort_by(|a, b| (a.options.timeout, &a.name).cmp(&(b.options.timeout, &b.name)));
        Ok(cases)
    }
}

fn parse_options(script: &str) -> Result<Options> {
    let toml: String = script.lines().filter_map(|l| l.strip_prefix("#:")).flat_map(|l| [l, "\n"]).collect();
    Ok(toml::from_str(&toml)?)
}

/// Runs the cases, one boot for each profile, and reports each with the time it took as soon as it has ended. `round`
/// tells the directories of one call from those of the next.
pub(crate) fn run<'a>(
    workspace: &Workspace,
    lab: &Lab,
    cases: &[&'a Case],
    round: &str,
    mut report: impl FnMut(&'a Case, Outcome, Duration),
) -> Result<()> {
    let mut profiles: Vec<&str> = cases.iter().map(|c| c.options.profile.as_str()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    for name in profiles {
        let profile = Profile::load(workspace, name)?;
        let mut waiting: Vec<&Case> = cases.iter().copied().filter(|c| c.options.profile == name).collect();
        // A case that fails may have taken dom0 down or left something at work; those after it get a new boot.
        while !waiting.is_empty() {
            let directories = lab.directories(&format!("{round}-{name}-{}", waiting.len()))?;
            write_share(workspace, &directories.share, &waiting)?;
            let mut machine = boot(lab, &profile, &directories)?;
            while let Some(case) = waiting.first() {
                let started = Instant::now();
                let outcome = watch(&mut machine, &directories, case);
                let failed = matches!(outcome, Outcome::Failed(_));
                report(case, outcome, started.elapsed());
                waiting.remove(0);
                if failed {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Boots; once more if the first try fails, as a machine under software emulation now and then does.
fn boot(lab: &Lab, profile: &Profile, directories: &Directories) -> Result<Machine> {
    lab.boot(profile, directories, ALLOWANCE).or_else(|error| {
        progress::say(&format!("booting once more: {error:#}"));
        lab.boot(profile, directories, ALLOWANCE)
    })
}

/// Puts the runner, the shared functions and the scripts where dom0 finds them.
fn write_share(workspace: &Workspace, share: &Path, cases: &[&Case]) -> Result<()> {
    copy_files(&workspace.lab().join("share"), share)?;
    fs::create_dir_all(share.join("cases"))?;
    let mut list = String::new();
    for case in cases {
        fs::copy(&case.script, share.join("cases").join(&case.stem))?;
        list += &format!("{} {}\n", case.stem, case.options.timeout);
    }
    fs::write(share.join("list"), list)?;
    write_main(share, "#!/bin/sh\nexec bash /lab/run-cases\n")
}

/// Follows one case to its end.
fn watch(machine: &mut Machine, directories: &Directories, case: &Case) -> Outcome {
    machine.extend(Duration::from_secs(case.options.timeout) + ALLOWANCE);
    let died = |how: &str| {
        let transcript = transcript(directories, case);
        Outcome::Failed(format!("{transcript}\n{how}\n{}", ends_of_logs(directories)))
    };
    loop {
        match machine.next() {
            Said::Event(word, status) if word == "end" => {
                return outcome(directories, case, status.parse().unwrap_or(u8::MAX));
            }
            Said::Line(_) | Said::Event(..) => {}
            Said::End => return died("QEMU ended during this case"),
            Said::TimedOut => return died("dom0 did not answer any more"),
        }
    }
}

/// What Xen's log says of a guest that crashed, at most ten lines: the first thing to look at.
fn crashes(xen: &str) -> String {
    let signs = ["Triple fault", "domain_crash", "crashed", "RIP: ", "unexpected"];
    let lines = xen.lines().filter(|line| signs.iter().any(|sign| line.contains(sign)));
    lines.take(10).flat_map(|line| [line, "\n"]).collect()
}

fn outcome(directories: &Directories, case: &Case, status: u8) -> Outcome {
    match status {
        0 => Outcome::Passed,
        SKIP => Outcome::Skipped(last_lines(&output_file(directories, case, "transcript"), 1)),
        _ => {
            let logs = [("dom0's logs", "logs"), ("dom0's kernel", "kernel"), ("Xen", "xen")].map(|(title, file)| {
                format!("--- {title}\n{}\n", last_lines(&output_file(directories, case, file), 40))
            });
            let end = last_lines(&output_file(directories, case, "transcript"), 5);
            let crashes = crashes(&fs::read_to_string(output_file(directories, case, "xen")).unwrap_or_default());
            let all = transcript(directories, case);
            Outcome::Failed(format!("{end}\nexit status {status}\n{crashes}{all}\n{}", logs.concat()))
        }
    }
}

fn transcript(directories: &Directories, case: &Case) -> String {
    let path = output_file(directories, case, "transcript");
    format!("--- transcript (whole: {})\n{}", path.display(), last_lines(&path, 120))
}

fn output_file(directories: &Directories, case: &Case, file: &str) -> PathBuf {
    directories.share.join("out").join(&case.stem).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_comments() {
        let script = "# Shows something.\n#: profile = \"numa\"\n#: timeout = 30\n. /lab/lib.sh\n# : timeout = 1\n";
        assert_eq!(parse_options(script).unwrap(), Options { profile: "numa".into(), timeout: 30 });
        assert_eq!(parse_options("true\n").unwrap(), Options::default());
    }

    #[test]
    fn a_crashed_guest_is_shown() {
        let xen = "(XEN) d9v0 Triple fault - invoking HVM shutdown action 1\n(XEN) *** Dumping Dom9 vcpu#0 state: ***\n\
                   (XEN) RIP:    e008:[<ffff82d0402044a5>]\n";
        let shown =
            "(XEN) d9v0 Triple fault - invoking HVM shutdown action 1\n(XEN) RIP:    e008:[<ffff82d0402044a5>]\n";
        assert_eq!(crashes(xen), shown);
        assert_eq!(crashes("(XEN) memory map\n"), "");
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(parse_options("#: retries = 3\n").is_err());
    }
}
