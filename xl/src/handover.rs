//! The handshake at the end of a migration: the guest changes its owner.
//!
//! At no time may two copies of a guest run, and none may be lost. There is one point of no return, where the sender says
//! [`GO`]; until then the guest is the sender's, afterwards the receiver's, unless that gives it back with another [`GO`].
//! docs/migration.md has the table of who owns the guest at each step, and what each side does when the other is gone.

use crate::failure::Failure;
use crate::output::say;
use libxl::error::ResultExt;
use libxl::event::{self, Deadline, Patient, Source, Woken};
use libxl::{Ctx, Error, ErrorKind, Result};
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// The receiver is there. All other messages end with a NUL.
pub(crate) const BANNER: &[u8] = b"xl migration receiver ready, send binary domain data.\n";
const READY: &[u8] = b"domain received, ready to unpause\0";
const GO: &[u8] = b"domain is yours, you are cleared to unpause\0";
const REPORT: &[u8] = b"my copy unpause results are as follows\0";
/// What the name of a guest ends with that has left, or is about to.
pub(crate) const AWAY: &str = "--migratedaway";
/// How long the sender waits, whatever signal comes, to hear what has become of its guest,
const ANSWER: Duration = Duration::from_secs(10);
/// and how long for a receiver that removes its copy.
const REMOVAL: Duration = Duration::from_secs(60);
/// The receiver's status where it did not understand the sender.
const NOT_UNDERSTOOD: u8 = 255;

/// One end of the way to the other host.
pub(crate) struct Line<'a> {
    /// Whose cancellation ends waiting for the other end.
    pub(crate) ctx: &'a Ctx,
    pub(crate) from: File,
    pub(crate) to: File,
    patient_until: Deadline,
}

/// How much of a stream a pipe of the line holds: what any process may ask for (/proc/sys/fs/pipe-max-size).
const PIPE: i32 = 1 << 20;

impl<'a> Line<'a> {
    /// A line over these two ways, which mostly are pipes. A pipe holds 64 KiB unless it is asked for more: both ends
    /// would be woken for each.
    pub(crate) fn new(ctx: &'a Ctx, from: File, to: File) -> Line<'a> {
        for way in [&from, &to] {
            // A socket is none, and a pipe as it is will do.
            let _ = fcntl(way, FcntlArg::F_SETPIPE_SZ(PIPE));
        }
        Line { ctx, from, to, patient_until: Deadline::after(Duration::ZERO) }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        self.to.write_all(message).map_err(|e| Error::from(e).context("writing to the other host"))
    }

    /// Reads a message that can only be this one.
    pub(crate) fn expect(&mut self, message: &[u8]) -> Result<()> {
        let mut found = vec![0; message.len()];
        let length = self.read(&mut found)?;
        if found == message {
            return Ok(());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(['\0', '\n']).to_owned();
        Err(Error::fail(match &found[..length] {
            [] => format!("the other host is gone, without \"{}\"", text(message)),
            found => format!("the other host says \"{}\" in place of \"{}\"", text(found), text(message)),
        }))
    }

    /// What the other host says, for a reader that a signal may end.
    pub(crate) fn reader(&self) -> impl Read {
        Patient::new(self.ctx, &self.from, Deadline::NEVER)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        match self.read(&mut byte)? {
            0 => Err(Error::fail("the other host is gone, without its result")),
            _ => Ok(byte[0]),
        }
    }

    /// From here on no signal ends the wait for the other end within this time: the other host decides where the guest is, and
    /// mostly says so at once.
    fn be_patient(&mut self, time: Duration) {
        self.patient_until = Deadline::after(time);
    }

    /// Fills a buffer, or as much of it as comes before the end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut length = 0;
        while length < into.len() {
            self.wait()?;
            match self.from.read(&mut into[length..]).context("reading from the other host")? {
                0 => break,
                read => length += read,
            }
        }
        Ok(length)
    }

    fn wait(&self) -> Result<()> {
        let wait = |until| event::wait(self.ctx, &[Source::Readable(self.from.as_fd())], until);
        match self.ctx.undisturbed(|| wait(self.patient_until))? {
            Woken::By(_) => Ok(()),
            Woken::TimedOut => wait(Deadline::NEVER).map(drop),
        }
    }
}

/// What the sender does with its guest, which is suspended.
pub(crate) trait Leaving {
    /// Gives its name free for the copy.
    fn rename_away(&mut self) -> Result<()>;
    /// Takes its name back.
    fn rename_back(&mut self) -> Result<()>;
    /// Fails if it must not go now: it does not stand still any more, or the operator wants it to stay. Otherwise nothing here
    /// lets it go on from now on, but for the calls below.
    fn check(&mut self) -> Result<()>;
    /// Lets it be here as it was. Whether it runs.
    fn put_back(&mut self) -> Result<bool>;
    /// Ends it: its copy runs.
    fn destroy(&mut self) -> Result<()>;
}

/// What the receiver does with its copy, which is paused.
pub(crate) trait Arriving {
    /// Gives it the guest's name.
    fn rename(&mut self) -> Result<()>;
    /// Lets it run.
    fn start(&mut self) -> Result<()>;
    /// Removes it.
    fn destroy(&mut self) -> Result<()>;
}

/// The sender's side, once all of the stream is written.
pub(crate) fn hand_over(line: &mut Line<'_>, guest: &mut dyn Leaving) -> std::result::Result<(), Failure> {
    if let Err(e) = line.expect(READY) {
        return Err(stays(guest, e));
    }
    say(format_args!("migration sender: Target has acknowledged transfer."));
    if let Err(e) = guest.rename_away() {
        return Err(stays(guest, e));
    }
    say(format_args!("migration sender: Giving target permission to start."));
    // The point of no return: once all of this may have been read, the guest is the receiver's.
    if let Err(e) = guest.check().and_then(|()| line.send(GO)) {
        return Err(comes_back(guest, e));
    }
    line.be_patient(ANSWER);
    let status = line.expect(REPORT).and_then(|()| line.byte()).map_err(undecided)?;
    if status != 0 {
        line.be_patient(REMOVAL);
        line.expect(GO).map_err(undecided)?;
        let failed = Error::fail(format!("the other host could not start it (status {status}: see its messages)"));
        return Err(comes_back(guest, failed));
    }
    say(format_args!("migration sender: Target reports successful startup."));
    guest.destroy()?;
    say(format_args!("Migration successful."));
    Ok(())
}

/// The guest, already renamed, is the sender's again, or still.
fn comes_back(guest: &mut dyn Leaving, error: Error) -> Failure {
    let renamed = guest.rename_back();
    stays(guest, renamed.err().into_iter().fold(error, |error, e| error.note(e.to_string())))
}

/// The guest is still the sender's, and goes on there.
fn stays(guest: &mut dyn Leaving, error: Error) -> Failure {
    let error = match guest.put_back() {
        Ok(true) => error.note("the guest runs on here"),
        Ok(false) => error.note("the guest is here, suspended as it was before"),
        Err(e) => error.note(format!("the guest is here, and does not go on: {e}")),
    };
    Failure::from(error.context("migration"))
}

/// Nobody here can know whether the copy runs.
fn undecided(error: Error) -> Failure {
    let error = error.context("migration: the last handshake").note(
        "the guest may run on the other host, and is suspended here as NAME--migratedaway: look there before you \
         rename and resume this one (xl rename, xl resume), or destroy it; two running copies would destroy its data",
    );
    Failure::from(error)
}

/// The receiver's side, once its copy is complete.
pub(crate) fn take_over(line: &mut Line<'_>, copy: &mut dyn Arriving) -> std::result::Result<(), Failure> {
    say(format_args!("migration target: Transfer complete, requesting permission to start domain."));
    if let Err(e) = line.send(READY) {
        // The sender cannot have given the guest away.
        return Err(removed(copy, e));
    }
    let (status, started) = match line.expect(GO) {
        Err(e) => (NOT_UNDERSTOOD, Err(e)),
        Ok(()) => {
            say(format_args!("migration target: Got permission, starting domain."));
            let started = copy.rename().and_then(|()| copy.start());
            (started.as_ref().err().map_or(0, |e| status_of(e.kind())), started)
        }
    };
    let told = line.send(REPORT).and_then(|()| line.send(&[status]));
    match started {
        Ok(()) => {
            say(format_args!("migration target: Domain started successfully."));
            Ok(told?)
        }
        Err(e) => {
            say(format_args!("migration target: Failure, destroying our copy."));
            let failure = removed(copy, e);
            if told.is_ok() && failure.status() == 1 {
                say(format_args!("migration target: Cleanup OK, granting sender permission to resume."));
                line.send(GO)?;
            }
            Err(failure)
        }
    }
}

/// The last words of a receiver that was killed after it had said that it is ready, and before it said what became of its
/// copy, which runs or is removed.
pub(crate) fn report_for_dead(to: &mut impl Write, runs: bool) -> io::Result<()> {
    to.write_all(REPORT)?;
    match runs {
        true => to.write_all(&[0])?,
        false => to.write_all(&[NOT_UNDERSTOOD]).and_then(|()| to.write_all(GO))?,
    }
    to.flush()
}

/// The copy goes. A copy that stays has another exit status than 1, and the sender must not have its guest back.
fn removed(copy: &mut dyn Arriving, error: Error) -> Failure {
    let error = error.context("receiving the guest");
    match copy.destroy() {
        Ok(()) => Failure::from(error),
        Err(e) => Failure::from(error.note(e.to_string())).with_status(COPY_LEFT),
    }
}

/// The exit status of a receiver that could not remove its copy.
const COPY_LEFT: u8 = 2;

/// libxl's error code as it travels.
fn status_of(kind: ErrorKind) -> u8 {
    u8::try_from(-kind.code()).unwrap_or(NOT_UNDERSTOOD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::Paths;
    use libxl::event::Cancel;
    use nix::sys::signal::{Signal, raise};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    /// Where a guest is on one host.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Guest {
        running: bool,
        gone: bool,
        away: bool,
        /// The step that fails.
        fails: &'static str,
    }

    impl Guest {
        fn step(&self, name: &str) -> Result<()> {
            if self.fails == name { Err(Error::fail(name)) } else { Ok(()) }
        }
    }

    impl Leaving for Guest {
        fn rename_away(&mut self) -> Result<()> {
            self.step("rename").map(|()| self.away = true)
        }
        fn rename_back(&mut self) -> Result<()> {
            self.away = false;
            Ok(())
        }
        fn check(&mut self) -> Result<()> {
            if self.fails == "signal" {
                raise(Signal::SIGUSR1).unwrap();
            }
            self.step("check")
        }
        fn put_back(&mut self) -> Result<bool> {
            self.running = true;
            Ok(true)
        }
        fn destroy(&mut self) -> Result<()> {
            self.gone = true;
            Ok(())
        }
    }

    impl Arriving for Guest {
        fn rename(&mut self) -> Result<()> {
            self.step("rename")
        }
        fn start(&mut self) -> Result<()> {
            self.step("start").map(|()| self.running = true)
        }
        fn destroy(&mut self) -> Result<()> {
            self.step("destroy").map(|()| self.gone = true)
        }
    }

    fn ends() -> (File, File) {
        let (a, b) = UnixStream::pair().unwrap();
        (OwnedFd::from(a).into(), OwnedFd::from(b).into())
    }

    fn on_a_line<T>(from: File, to: File, work: impl FnOnce(&mut Line<'_>) -> T) -> T {
        let ctx = Ctx::new(Paths::installed("/usr".as_ref()));
        work(&mut Line::new(&ctx, from, to))
    }

    /// Passes on so many bytes, then cuts the way.
    fn relay(mut from: File, mut to: File, bytes: usize) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            let mut byte = [0];
            for _ in 0..bytes {
                if !matches!(from.read(&mut byte), Ok(1)) || to.write_all(&byte).is_err() {
                    break;
                }
            }
        })
    }

    /// A migration in which each way is cut after so many bytes: the guest here and its copy there afterwards.
    fn migrate(here: Guest, there: Guest, forth: usize, back: usize) -> (Guest, Guest) {
        let ((a, b), (c, d), (e, f), (g, h)) = (ends(), ends(), ends(), ends());
        let relays = [relay(b, c, forth), relay(f, g, back)];
        let receiver = thread::spawn(move || {
            let mut there = there;
            let _ = on_a_line(d, e, |line| take_over(line, &mut there));
            there
        });
        let mut here = here;
        let _ = on_a_line(h, a, |line| hand_over(line, &mut here));
        let there = receiver.join().unwrap();
        relays.into_iter().for_each(|relay| relay.join().unwrap());
        (here, there)
    }

    const ALL: usize = 1000;

    #[test]
    fn a_guest_that_goes_is_gone_here_and_runs_there() {
        let (here, there) = migrate(Guest::default(), Guest::default(), ALL, ALL);
        assert!(here.gone && !here.running);
        assert!(there.running && !there.gone);
    }

    #[test]
    fn wherever_the_way_is_cut_two_copies_never_run_and_none_is_lost() {
        let back_in_all = READY.len() + REPORT.len() + 1;
        for (forth, back) in (0..=GO.len()).map(|n| (n, ALL)).chain((0..=back_in_all).map(|n| (ALL, n))) {
            let (here, there) = migrate(Guest::default(), Guest::default(), forth, back);
            assert!(!(here.running && there.running), "{forth} {back}: both run");
            // Where nobody can know, the guest waits here, suspended, while its copy runs.
            let waits = !here.gone && here.away;
            assert!(here.running || there.running || waits, "{forth} {back}: {here:?} {there:?}");
            if here.gone {
                assert!(there.running, "{forth} {back}: lost");
            }
            if here.running {
                assert!(there.gone && !here.away, "{forth} {back}: a copy is left");
            }
        }
    }

    #[test]
    fn a_sender_that_cannot_say_go_has_its_guest_back() {
        let ((from, mut receiver), (gone, to)) = (ends(), ends());
        receiver.write_all(READY).unwrap();
        drop(gone);
        let mut here = Guest::default();
        assert!(on_a_line(from, to, |line| hand_over(line, &mut here)).is_err());
        assert_eq!(here, Guest { running: true, ..Guest::default() });
    }

    #[test]
    fn a_signal_after_the_point_of_no_return_leaves_nothing_undecided() {
        let mut ctx = Ctx::new(Paths::installed("/usr".as_ref()));
        ctx.cancel = Some(Cancel::on(&[Signal::SIGUSR1]).unwrap());
        let ((from, mut receiver), (_reads, to)) = (ends(), ends());
        receiver.write_all(READY).unwrap();
        let answers = thread::spawn(move || {
            for part in [REPORT, &[NOT_UNDERSTOOD], GO] {
                thread::sleep(Duration::from_millis(20));
                receiver.write_all(part).unwrap();
            }
            receiver
        });
        let mut here = Guest { fails: "signal", ..Guest::default() };
        assert!(hand_over(&mut Line::new(&ctx, from, to), &mut here).is_err());
        assert!(here.running && !here.away);
        drop(answers.join().unwrap());
    }

    #[test]
    fn the_last_words_for_a_receiver_that_was_killed_decide() {
        for runs in [true, false] {
            let ((from, mut receiver), (_reads, to)) = (ends(), ends());
            receiver.write_all(READY).unwrap();
            report_for_dead(&mut receiver, runs).unwrap();
            let mut here = Guest::default();
            assert_eq!(on_a_line(from, to, |line| hand_over(line, &mut here)).is_ok(), runs);
            assert_eq!((here.gone, here.running), (runs, !runs));
            assert!(!here.running || !here.away);
        }
    }

    #[test]
    fn a_copy_that_cannot_start_gives_the_guest_back() {
        for fails in ["rename", "start"] {
            let (here, there) = migrate(Guest::default(), Guest { fails, ..Guest::default() }, ALL, ALL);
            assert!(here.running && !here.away && !here.gone, "{fails}");
            assert!(there.gone && !there.running, "{fails}");
        }
        let (here, there) = migrate(Guest { fails: "rename", ..Guest::default() }, Guest::default(), ALL, ALL);
        assert!(here.running && there.gone);
    }

    #[test]
    fn the_messages_have_the_lengths_of_stocks() {
        assert_eq!([BANNER, READY, GO, REPORT].map(<[u8]>::len), [54, 34, 44, 39]);
    }

    #[test]
    fn what_the_other_host_says_instead_is_told() {
        let (from, mut other) = ends();
        other.write_all(b"Password authentication failed. Permission denied. Good bye now").unwrap();
        let error = on_a_line(from, ends().0, |line| line.expect(BANNER)).unwrap_err().to_string();
        assert!(error.contains("says \"Password authentication failed"), "{error}");
        let (from, other) = ends();
        drop(other);
        let error = on_a_line(from, ends().0, |line| line.expect(BANNER)).unwrap_err().to_string();
        assert!(error.starts_with("the other host is gone"), "{error}");
    }
}
