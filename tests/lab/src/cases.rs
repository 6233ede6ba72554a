//! Runs cases: as many machines at a time as this one has room for, each taking the next case that fits its profile.
//!
//! dom0's runner (tests/lab/share/run-cases) waits for `/lab/orders/N`, which names the next case, and tells its end.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::case::{Case, Outcome};
use crate::machine::{Directories, Machine, Said};
use crate::profile::Profile;
use crate::progress;
use crate::session::{Lab, copy_files, write_main};
use crate::workspace::Workspace;

/// Time for the runner to look for left-overs and gather logs, on top of a case's own; and for a machine to wait.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// Every machine says something far more often while it lives (tests/lab/share/run-cases).
const SILENCE: Duration = Duration::from_secs(120);

/// A case that has ended, how, and how long it took.
pub(crate) type Ended<'a> = (&'a Case, Outcome, Duration);

/// What the machines share.
struct Deal<'a> {
    workspace: &'a Workspace,
    lab: &'a Lab<'a>,
    /// Cases that no machine has taken yet, long ones first.
    waiting: Mutex<Vec<&'a Case>>,
    /// How many times as long as it says may a case take.
    patience: u32,
    /// Numbers the machines, for the names of their directories.
    machines: AtomicU32,
}

/// Runs the cases and reports each as soon as it has ended. If `long`, each may take ten times as long as it says.
///
/// # Errors
/// A machine that does not boot, a profile that cannot be read. Cases that no machine has taken by then do not run.
pub(crate) fn run<'a>(
    workspace: &'a Workspace,
    lab: &'a Lab<'a>,
    cases: Vec<&'a Case>,
    long: bool,
    mut report: impl FnMut(Ended<'a>),
) -> Result<()> {
    // One machine asks what accelerates it, before several do.
    lab.accelerator(&Profile::default())?;
    let abreast = machines_abreast(&Profile::default()).min(cases.len());
    let patience = if long { 10 } else { 1 };
    let deal = Deal { workspace, lab, waiting: Mutex::new(cases), patience, machines: AtomicU32::new(0) };
    let (sender, ended) = channel();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..abreast)
            .map(|_| {
                let (deal, sender) = (&deal, sender.clone());
                scope.spawn(move || {
                    let result = deal.work(&sender);
                    if result.is_err() {
                        deal.waiting.lock().expect("no thread panics with the list").clear();
                    }
                    result
                })
            })
            .collect();
        drop(sender);
        ended.iter().for_each(&mut report);
        workers.into_iter().try_for_each(|w| w.join().expect("a machine's thread does not panic"))
    })
}

impl<'a> Deal<'a> {
    /// Boots machines and runs cases until none waits.
    fn work(&self, ended: &Sender<Ended<'a>>) -> Result<()> {
        while let Some(case) = self.take(None) {
            let profile = Profile::load(self.workspace, case.profile())?;
            let number = self.machines.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{}-{number}", case.profile(), std::process::id());
            let directories = self.lab.directories(&name)?;
            write_share(self.workspace, &directories.share)?;
            let mut machine = self.boot(&profile, &directories)?;
            self.run_cases(case, &mut machine, &directories, ended)?;
        }
        Ok(())
    }

    /// Runs `first` and further cases of its profile on a machine, until none waits or one fails: that one may have
    /// taken dom0 down or left something at work, so those after it get a new boot.
    fn run_cases(
        &self,
        first: &'a Case,
        machine: &mut Machine,
        directories: &Directories,
        ended: &Sender<Ended<'a>>,
    ) -> Result<()> {
        let mut next = Some(first);
        for order in 1.. {
            let Some(case) = next else { break };
            let started = Instant::now();
            let limit = case.limit() * self.patience;
            write_order(&directories.share, order, case, limit, self.patience)?;
            let outcome = watch(machine, directories, case, limit);
            let failed = matches!(outcome, Outcome::Failed(_));
            // The receiver lives as long as the machines.
            let _ = ended.send((case, outcome, started.elapsed()));
            if failed {
                break;
            }
            next = self.take(Some(case.profile()));
        }
        Ok(())
    }

    /// Takes the next case; of `profile` only, if that is given.
    fn take(&self, profile: Option<&str>) -> Option<&'a Case> {
        let mut waiting = self.waiting.lock().expect("no thread panics with the list");
        let index = waiting.iter().position(|case| profile.is_none_or(|p| p == case.profile()))?;
        Some(waiting.remove(index))
    }

    /// Boots; once more if the first try fails, as a machine under software emulation now and then does.
    fn boot(&self, profile: &Profile, directories: &Directories) -> Result<Machine> {
        self.lab.boot(profile, directories, ALLOWANCE).or_else(|error| {
            progress::say(&format!("booting once more: {error:#}"));
            self.lab.boot(profile, directories, ALLOWANCE)
        })
    }
}

/// How many machines of `profile` run at a time: one for each of its CPUs that there is a CPU for, if memory allows.
fn machines_abreast(profile: &Profile) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) / profile.cpus.max(1) as usize;
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_mib(&text));
    let by_memory = memory.map_or(1, |mib| mib / u64::from(profile.memory.max(1)));
    cpus.min(usize::try_from(by_memory).unwrap_or(usize::MAX)).max(1)
}

/// MiB of memory that programs can still have, from the text of /proc/meminfo.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Puts the runner and the shared functions where dom0 finds them.
fn write_share(workspace: &Workspace, share: &Path) -> Result<()> {
    copy_files(&workspace.lab().join("share"), share)?;
    fs::create_dir_all(share.join("cases"))?;
    fs::create_dir_all(share.join("orders"))?;
    write_main(share, "#!/bin/sh\nexec bash /lab/run-cases\n")
}

/// Tells dom0's runner which case comes next: the file appears whole.
fn write_order(share: &Path, order: u32, case: &Case, limit: Duration, patience: u32) -> Result<()> {
    fs::copy(&case.script, share.join("cases").join(&case.stem))?;
    let draft = share.join("order");
    fs::write(&draft, format!("{} {} {patience}\n", case.stem, limit.as_secs()))?;
    Ok(fs::rename(draft, share.join("orders").join(order.to_string()))?)
}

/// Follows one case to its end.
fn watch(machine: &mut Machine, directories: &Directories, case: &Case, limit: Duration) -> Outcome {
    let end = Instant::now() + limit + ALLOWANCE;
    loop {
        machine.extend(end.saturating_duration_since(Instant::now()).min(SILENCE));
        match machine.next() {
            Said::Event(word, status) if word == "end" => {
                return case.outcome(directories, status.parse().unwrap_or(u8::MAX));
            }
            Said::Line(_) | Said::Event(..) => {}
            Said::End => return case.died(directories, "QEMU ended during this case"),
            Said::TimedOut => return case.died(directories, "dom0 did not answer any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_meminfo() {
        assert_eq!(available_mib("MemTotal: 8 kB\nMemAvailable:   24576 kB\n"), Some(24));
        assert_eq!(available_mib("MemTotal: 8 kB\n"), None);
        assert_eq!(available_mib("MemAvailable: much\n"), None);
    }
}
