//! Cases: shell scripts of tests/lab/cases, run in dom0. How they are dealt to machines stands in cases.rs.
//!
//! A case's first comment says what it shows; lines that begin with `#:` are its options, in TOML. It passes when it
//! exits 0, and skips itself with exit status 77 after printing why. It must leave no domain behind.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::machine::Directories;
use crate::process::last_lines;
use crate::session::ends_of_logs;
use crate::workspace::Workspace;

/// The exit status by which a case says that it does not apply here.
const SKIP: u8 = 77;

/// A test that needs real Xen.
#[derive(Debug)]
pub(crate) struct Case {
    /// "case " and the script's file name without ".sh".
    pub name: String,
    /// The script's file name without ".sh".
    pub stem: String,
    pub script: PathBuf,
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
    /// The cases whose name contains `filter`, long ones first: two machines then end at about the same time.
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
        cases.sort_by(|a, b| (b.options.timeout, &a.name).cmp(&(a.options.timeout, &b.name)));
        Ok(cases)
    }

    /// The machine that it needs: a file of tests/lab/profiles, without ".toml".
    pub(crate) fn profile(&self) -> &str {
        &self.options.profile
    }

    /// How long it may take.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    /// How it ended, when its machine ended before it: `how` tells.
    pub(crate) fn died(&self, directories: &Directories, how: &str) -> Outcome {
        let transcript = transcript(directories, self);
        Outcome::Failed(format!("{transcript}\n{how}\n{}", ends_of_logs(directories)))
    }

    /// How it ended, with the exit status that the runner told.
    pub(crate) fn outcome(&self, directories: &Directories, status: u8) -> Outcome {
        match status {
            0 => Outcome::Passed,
            SKIP => Outcome::Skipped(last_lines(&output_file(directories, self, "transcript"), 1)),
            _ => Outcome::Failed(self.failure(directories, status)),
        }
    }

    /// What to show of its failure: the end first, so that the cause stands where one looks.
    fn failure(&self, directories: &Directories, status: u8) -> String {
        let logs = [("dom0's logs", "logs"), ("dom0's kernel", "kernel"), ("Xen", "xen")]
            .map(|(title, file)| format!("--- {title}\n{}\n", last_lines(&output_file(directories, self, file), 40)));
        let end = last_lines(&output_file(directories, self, "transcript"), 5);
        let crashes = crashes(&fs::read_to_string(output_file(directories, self, "xen")).unwrap_or_default());
        let all = transcript(directories, self);
        format!("{end}\nexit status {status}\n{crashes}{all}\n{}", logs.concat())
    }
}

fn parse_options(script: &str) -> Result<Options> {
    let toml: String = script.lines().filter_map(|l| l.strip_prefix("#:")).flat_map(|l| [l, "\n"]).collect();
    Ok(toml::from_str(&toml)?)
}

/// What Xen's log says of a guest that crashed, at most ten lines: the first thing to look at.
fn crashes(xen: &str) -> String {
    let signs = ["Triple fault", "domain_crash", "crashed", "RIP: ", "unexpected"];
    let lines = xen.lines().filter(|line| signs.iter().any(|sign| line.contains(sign)));
    lines.take(10).flat_map(|line| [line, "\n"]).collect()
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
