//! What sees to it that an xl which is killed while a guest is saved, moved or restored leaves nothing half done: a process
//! beside it, which hears over a pipe how far it is.
//!
//! A pipe that ends without the last word says that the other is dead. A guest that goes into a stream goes on then, or
//! is paused if a copy of it runs. A domain that comes out of one is removed, unless it runs; and if that was the copy of a
//! migration, the sender is told which of the two it was (docs/migration.md).

use crate::cli::Globals;
use crate::daemon;
use crate::failure::Failure;
use crate::handover;
use crate::output::say;
use crate::session::Session;
use libxc::DomId;
use libxc::domain::DomainFlags;
use libxl::Ctx;
use libxl::domain::suspend::Hold;
use libxl::domain::{self, control, info, name};
use libxl::error::ResultExt;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of a run of the program that is a guard. No command can have this name.
const MARK: &str = "--guard";

const MADE: &str = "made";
const READY: &str = "ready";
const OURS: &str = "ours";
const HELD: &str = "held";
const LEAVING: &str = "leaving";
const GIVEN: &str = "given";
const COPIED: &str = "copied";
const DONE: &str = "done";

/// The guard, as whoever is guarded sees it. It has nothing more to do once this is dropped.
pub(crate) struct Guard {
    process: Child,
    /// None once it has heard the last.
    words: Option<PipeWriter>,
}

impl Guard {
    /// Starts a guard of a domain that is to come out of a stream. Its standard output is this process's: the way to the
    /// sender, where there is one.
    pub(crate) fn start() -> libxl::Result<Guard> {
        Guard::with_stdout(Stdio::inherit())
    }

    /// Starts a guard of a guest that this process holds.
    pub(crate) fn of_held(hold: &Hold) -> libxl::Result<Guard> {
        let guard = Guard::with_stdout(Stdio::null())?;
        // One that was suspended before stays so.
        if !hold.was_suspended() {
            guard.say(&format!("{HELD} {}", hold.domid()));
        }
        Ok(guard)
    }

    fn with_stdout(stdout: Stdio) -> libxl::Result<Guard> {
        let (heard, words) = io::pipe().context("a pipe for the guard")?;
        let mut guard = Command::new(daemon::SELF);
        let guard = guard.arg0("xl").arg(MARK).arg(process::id().to_string()).stdin(heard).stdout(stdout);
        let process = guard.spawn().context("starting the guard")?;
        Ok(Guard { process, words: Some(words) })
    }

    /// From here on the guest may have another name, so that its copy can have its own.
    pub(crate) fn leaving(&self) {
        self.say(LEAVING);
    }

    /// From here on the other host decides where the guest is.
    pub(crate) fn given(&self) {
        self.say(GIVEN);
    }

    /// From here on a copy of the guest runs if this process ends.
    pub(crate) fn copied(&self) {
        self.say(COPIED);
    }

    /// There is a domain now.
    pub(crate) fn made(&self, domid: DomId) {
        self.say(&format!("{MADE} {domid}"));
    }

    /// The sender will hear that its guest may come here.
    pub(crate) fn ready(&self) {
        self.say(READY);
    }

    /// The guest is here to stay, and the sender will hear so.
    pub(crate) fn ours(&self) {
        self.say(OURS);
    }

    /// A guard that has been killed guards no more; the work goes on.
    fn say(&self, word: &str) {
        let told = self.words.as_ref().map(|mut words| words.write_all(format!("{word}\n").as_bytes()));
        if let Some(Err(e)) = told {
            tracing::debug!("telling the guard: {e}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.say(DONE);
        self.words = None;
        if let Err(e) = self.process.wait() {
            tracing::debug!("the guard's end: {e}");
        }
    }
}

/// The process to guard, if this run of the program is a guard.
pub(crate) fn asked_for(mut argv: impl Iterator<Item = OsString>) -> Option<u32> {
    argv.nth(1).filter(|mark| mark == MARK)?;
    argv.next()?.to_str()?.parse().ok()
}

/// The life of a guard of its parent.
pub(crate) fn run(guarded: u32) -> Result<(), Failure> {
    // Known to `ps` by the name of the program.
    let _ = nix::sys::prctl::set_name(c"xl");
    // What ends the other ends not this one.
    let _ = nix::unistd::setsid();
    let ends = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    ends.thread_block().map_err(libxl::Error::from)?;
    let Some(orphan) = Orphan::heard(io::stdin().lock()) else { return Ok(()) };
    let ctx = Session::new(Globals::default()).ctx;
    if let Orphan::Copied(domid) = orphan {
        control::pause(&ctx, domid)?;
    }
    wait_for_end_of(guarded);
    match orphan {
        Orphan::Held(domid) | Orphan::Leaving(domid) => {
            let fate = if Hold::recover(&ctx, domid)? { "the guest runs on" } else { "the guest has shut down" };
            say(format_args!("whoever saved or moved domain {domid} was killed: {fate}"));
            match orphan {
                Orphan::Leaving(_) => Ok(name_again(&ctx, domid)?),
                _ => Ok(()),
            }
        }
        Orphan::Copied(domid) => {
            // Whoever lets it run again does not have to know that it was about to be copied once more.
            Hold::recover(&ctx, domid)?;
            say(format_args!("xl remus was killed: domain {domid} is paused, as its copy runs now"));
            Ok(())
        }
        Orphan::Copy { domid, sender_waits } => {
            let runs = !remove_unless_it_runs(&ctx, domid)?;
            let fate = if runs { "the domain runs on" } else { "the domain is removed" };
            say(format_args!("whoever made domain {domid} was killed: {fate}"));
            match sender_waits {
                true => Ok(handover::report_for_dead(&mut io::stdout(), runs).map_err(libxl::Error::from)?),
                false => Ok(()),
            }
        }
    }
}

/// Waits until the parent is no more, and with it its locks: the kernel closes its files before.
fn wait_for_end_of(parent: u32) {
    let until = Instant::now() + Duration::from_secs(5);
    while parent_id() == parent && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the dead process has left half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orphan {
    /// A guest that was going into a stream.
    Held(DomId),
    /// The same, and it may have another name, so that its copy can have its own.
    Leaving(DomId),
    /// A guest of which there is a copy that runs as soon as its sender is gone.
    Copied(DomId),
    /// A domain that was coming out of a stream.
    Copy {
        domid: DomId,
        /// Whether a sender wants to know what has become of it.
        sender_waits: bool,
    },
}

impl Orphan {
    /// Hears the process out; `None` if there is nothing to do after it.
    fn heard(words: impl BufRead) -> Option<Orphan> {
        let mut orphan = None;
        for line in words.lines() {
            // What cannot be read is as good as the end.
            let Ok(line) = line else { break };
            let (word, domid) = line.split_once(' ').unwrap_or((&line, ""));
            let domid = domid.parse().ok().map(DomId);
            match (word, orphan) {
                (HELD, _) => orphan = domid.map(Orphan::Held),
                (LEAVING, Some(Orphan::Held(domid))) => orphan = Some(Orphan::Leaving(domid)),
                (COPIED, Some(Orphan::Held(domid))) => orphan = Some(Orphan::Copied(domid)),
                (MADE, _) => orphan = domid.map(|domid| Orphan::Copy { domid, sender_waits: false }),
                (READY, Some(Orphan::Copy { domid, .. })) => orphan = Some(Orphan::Copy { domid, sender_waits: true }),
                (GIVEN | OURS | DONE, _) => orphan = None,
                _ => {}
            }
        }
        orphan
    }
}

/// Gives a guest that is here to stay its name again.
fn name_again(ctx: &Ctx, domid: DomId) -> libxl::Result<()> {
    let found = info::names(ctx, &[domid])?.pop().flatten().unwrap_or_default();
    match found.strip_suffix(handover::AWAY) {
        Some(own) => name::rename(ctx, domid, Some(&found), own),
        None => Ok(()),
    }
}

/// Whether a domain is gone now. One that has run lives on.
fn remove_unless_it_runs(ctx: &Ctx, domid: DomId) -> libxl::Result<bool> {
    let Some(info) = ctx.xc()?.domain(domid)? else { return Ok(true) };
    let goes = info::never_ran(&info) || info.flags.contains(DomainFlags::DYING);
    if goes {
        domain::destroy(ctx, domid)?;
    }
    Ok(goes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(words: &str) -> Option<Orphan> {
        Orphan::heard(words.as_bytes())
    }

    #[test]
    fn a_guest_is_an_orphan_from_when_it_is_held_until_it_is_given_away() {
        assert_eq!(heard("held 7\n"), Some(Orphan::Held(DomId(7))));
        assert_eq!(heard("held 7\nready\n"), Some(Orphan::Held(DomId(7))));
        assert_eq!(heard("held 7\ngiven\n"), None);
        assert_eq!(heard("held 7\nleaving\n"), Some(Orphan::Leaving(DomId(7))));
        assert_eq!(heard("held 7\nleaving\ngiven\n"), None);
        assert_eq!(heard("leaving\n"), None, "it was suspended before");
        assert_eq!(heard("held 7\ncopied\n"), Some(Orphan::Copied(DomId(7))));
        assert_eq!(heard("held 7\ncopied\ndone\n"), None);
        assert_eq!(heard("copied\n"), None, "it was paused or suspended before");
        assert_eq!(heard("held 7\ndone\n"), None);
    }

    #[test]
    fn a_domain_is_an_orphan_from_its_making_until_it_has_its_place() {
        let copy = |sender_waits| Some(Orphan::Copy { domid: DomId(7), sender_waits });
        assert_eq!(heard(""), None);
        assert_eq!(heard("made 7\n"), copy(false));
        assert_eq!(heard("made 7\nready\n"), copy(true));
        assert_eq!(heard("made 7\nready\nours\n"), None);
        assert_eq!(heard("made 7\ndone\n"), None);
        assert_eq!(heard("done\n"), None, "it never had a domain");
    }

    #[test]
    fn a_guard_is_known_by_its_first_argument() {
        let asked = |line: &str| asked_for(line.split(' ').map(OsString::from));
        assert_eq!(asked("xl --guard 12"), Some(12));
        for other in ["xl", "xl list --guard 12", "xl --guard", "xl --guard me"] {
            assert_eq!(asked(other), None, "{other}");
        }
    }
}
