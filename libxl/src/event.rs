//! Waiting: one poll for everything that a process waits for.
//!
//! A step of work names its sources ([`Source`]) and its [`Deadline`], and [`wait`] tells which of them
//! woke it. There are no callbacks: whoever waits goes on where it was. A watch is a hint only, so the
//! state is read again after each. Every wait ends at its deadline, and early when the context's
//! [`Cancel`] says so.

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::xenstore::{Batch, Client, Watch, optional};
use libxc::{DomId, domain::DomainInfo};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Until when to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// For waits that only an event can end: those of a daemon for its next piece of work.
    pub const NEVER: Deadline = Deadline(None);

    /// So long from now.
    pub fn after(duration: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(duration))
    }

    /// The one that comes first.
    pub fn earlier(self, other: Deadline) -> Deadline {
        Deadline([self.0, other.0].into_iter().flatten().min())
    }

    /// Whether it has come.
    pub fn passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// For `poll`: rounded up, so that a wait does not end just before its deadline.
    fn poll_timeout(self) -> PollTimeout {
        let Some(at) = self.0 else { return PollTimeout::NONE };
        let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
    }
}

/// Something that can wake a wait.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A xenstore watch with events to take.
    Watch(&'a Watch),
    /// A descriptor that can be read or is at its end: a pipe, a socket, a child's pidfd, an event
    /// channel, [`Signals`].
    Readable(BorrowedFd<'a>),
    /// A descriptor that can be written to.
    Writable(BorrowedFd<'a>),
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// These sources, by their index in the list.
    By(Vec<usize>),
    /// The deadline.
    TimedOut,
}

/// Waits until at least one of the sources has something, or the deadline has come.
///
/// # Errors
/// `Aborted` if the context's [`Cancel`] fired: once per signal, so that cleaning up can wait too.
pub fn wait(ctx: &Ctx, sources: &[Source<'_>], deadline: Deadline) -> Result<Woken> {
    loop {
        let pending = pending_watches(sources);
        if !pending.is_empty() {
            return Ok(Woken::By(pending));
        }
        let ready = poll_once(ctx, sources, deadline)?;
        for client in watch_clients(sources, &ready) {
            client.receive_events().context("receiving watch events")?;
        }
        // A client's socket may have carried the events of other watches only.
        let is_hit = |i: &usize| !matches!(sources[*i], Source::Watch(watch) if !watch.is_pending());
        let hit: Vec<usize> = ready.into_iter().filter(is_hit).collect();
        if !hit.is_empty() {
            return Ok(Woken::By(hit));
        }
        if deadline.passed() {
            return Ok(Woken::TimedOut);
        }
    }
}

fn pending_watches(sources: &[Source<'_>]) -> Vec<usize> {
    let pending = |source: &Source<'_>| matches!(source, Source::Watch(watch) if watch.is_pending());
    (0..sources.len()).filter(|i| pending(&sources[*i])).collect()
}

/// The clients of those watches whose socket has something, each once.
fn watch_clients<'a>(sources: &[Source<'a>], ready: &[usize]) -> Vec<&'a Client> {
    let mut clients: Vec<&Client> = Vec::new();
    for index in ready {
        if let Source::Watch(watch) = sources[*index]
            && !clients.iter().any(|c| c.is_same(watch.client()))
        {
            clients.push(watch.client());
        }
    }
    clients
}

/// One `poll`: the indices of the sources whose descriptors are ready.
fn poll_once(ctx: &Ctx, sources: &[Source<'_>], deadline: Deadline) -> Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> = sources
        .iter()
        .map(|source| match source {
            Source::Watch(watch) => PollFd::new(watch.client().as_fd(), PollFlags::POLLIN),
            Source::Readable(fd) => PollFd::new(*fd, PollFlags::POLLIN),
            Source::Writable(fd) => PollFd::new(*fd, PollFlags::POLLOUT),
        })
        .collect();
    let cancel = ctx.cancel.as_ref().filter(|cancel| !cancel.is_deferred());
    fds.extend(cancel.map(|cancel| PollFd::new(cancel.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, deadline.poll_timeout()) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(e).context("waiting"),
    }
    let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
    if fds.get(sources.len()).is_some_and(ready) {
        ctx.check_cancel()?;
    }
    Ok((0..sources.len()).filter(|i| ready(&fds[*i])).collect())
}

/// Signals as something to wait for: blocked while it exists, taken one by one. Made before the
/// process starts threads, so that these inherit the block; a [`Program`](crate::exec::Program) does not.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    mask: SigSet,
    /// Whether one was taken: whoever did is ending already, and more of them change nothing.
    was_taken: AtomicBool,
}

impl Signals {
    /// Takes over these signals from their usual effect.
    pub fn new(signals: &[Signal]) -> Result<Signals> {
        let mask: SigSet = signals.iter().copied().collect();
        mask.thread_block().context("blocking signals")?;
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")?;
        Ok(Signals { fd, mask, was_taken: AtomicBool::new(false) })
    }

    /// The next signal that came, if any; does not wait.
    pub fn take(&self) -> Result<Option<Signal>> {
        let info = self.fd.read_signal().context("reading a signal")?;
        self.was_taken.fetch_or(info.is_some(), Ordering::Relaxed);
        Ok(info.and_then(|info| Signal::try_from(info.ssi_signo as i32).ok()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // `timeout` sends its signal twice, people press ^C again: that must not end what tells of the first.
        if *self.was_taken.get_mut() {
            while let Ok(Some(_)) = self.take() {}
        }
        // Unblocking signals that exist cannot fail.
        let _ = self.mask.thread_unblock();
    }
}

/// Ends the waits of a context early, when a signal comes: the operator pressed ^C.
#[derive(Debug)]
pub struct Cancel {
    signals: Signals,
    /// How many steps are at work that are not to be cut short.
    deferred: AtomicU32,
}

impl Cancel {
    /// Cancels on these signals, but for those that whoever started this process had it ignore (nohup, a shell's `&`).
    pub fn on(signals: &[Signal]) -> Result<Cancel> {
        let status = fs::read_to_string("/proc/self/status").context("reading which signals are ignored")?;
        let ignored = ignored_signals(&status);
        let taken: Vec<Signal> = signals.iter().copied().filter(|signal| !ignored.contains(*signal)).collect();
        Ok(Cancel { signals: Signals::new(&taken)?, deferred: AtomicU32::new(0) })
    }

    /// Fails if a signal has come since the last time.
    fn check(&self) -> Result<()> {
        match self.signals.take()? {
            Some(signal) => Err(Error::new(ErrorKind::Aborted, format!("interrupted by {signal}"))),
            None => Ok(()),
        }
    }

    fn is_deferred(&self) -> bool {
        self.deferred.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        // What has come since the last wait is too late: the work is done, and who waits for it is to hear so.
        let _ = self.signals.take();
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// The signals that a process ignores, from its /proc/PID/status (proc(5), SigIgn).
fn ignored_signals(status: &str) -> SigSet {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    Signal::iterator().filter(|signal| mask & 1 << (*signal as i32 - 1) != 0).collect()
}

impl Ctx {
    /// Fails if a signal has come since the last time; for steps that work without waiting.
    pub fn check_cancel(&self) -> Result<()> {
        match &self.cancel {
            Some(cancel) if !cancel.is_deferred() => cancel.check(),
            _ => Ok(()),
        }
    }

    /// Does what must not be cut short half done. A signal that comes meanwhile ends the first wait after it, if there is one.
    pub fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(cancel) = &self.cancel else { return work() };
        cancel.deferred.fetch_add(1, Ordering::Relaxed);
        let done = work();
        cancel.deferred.fetch_sub(1, Ordering::Relaxed);
        done
    }
}

/// A file that is read and written as [`wait`] waits: not past a signal, nor past the deadline.
pub struct Patient<'a> {
    ctx: &'a Ctx,
    file: &'a File,
    deadline: Deadline,
}

/// What a pipe takes without a wait once it can be written to (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 4096;

impl<'a> Patient<'a> {
    /// The file, for a step that may take until the deadline.
    pub fn new(ctx: &'a Ctx, file: &'a File, deadline: Deadline) -> Patient<'a> {
        Patient { ctx, file, deadline }
    }

    fn wait_for(&self, source: Source<'_>) -> io::Result<()> {
        match wait(self.ctx, &[source], self.deadline).map_err(io::Error::other)? {
            Woken::By(_) => Ok(()),
            Woken::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wait_for(Source::Readable(self.file.as_fd()))?;
        self.file.read(into)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.wait_for(Source::Writable(self.file.as_fd()))?;
        self.file.write(&from[..from.len().min(AT_ONCE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Waits until `look` finds what it looks for, looking again after each event of the watch. It looks
/// first without an event.
///
/// # Errors
/// `TimedOut` at the deadline, with `what`: the thing that did not happen.
pub fn wait_until<T>(
    ctx: &Ctx,
    watch: &Watch,
    deadline: Deadline,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    loop {
        watch.take();
        if let Some(found) = look()? {
            return Ok(found);
        }
        if wait(ctx, &[Source::Watch(watch)], deadline)? == Woken::TimedOut {
            return Err(Error::new(ErrorKind::TimedOut, format!("timed out: {what}")));
        }
    }
}

/// Waits until `accept` makes something of a node's value (`None`: the node does not exist).
///
/// # Errors
/// As [`wait_until`]; those of `accept` end the wait.
pub fn wait_node<T>(
    ctx: &Ctx,
    path: &str,
    deadline: Deadline,
    what: &str,
    mut accept: impl FnMut(Option<&str>) -> Result<Option<T>>,
) -> Result<T> {
    let mut read = Batch::new();
    read.read(path);
    let (watch, answers) = ctx.xs()?.watch_and(path, read)?;
    let mut first = answers.into_iter().next();
    wait_until(ctx, &watch, deadline, what, || {
        let answer = match first.take() {
            Some(answer) => optional(answer)?,
            None => optional(crate::xenstore::Store::read_bytes(ctx.xs()?, path))?,
        };
        accept(answer.map(|value| String::from_utf8_lossy(&value).into_owned()).as_deref())
    })
}

/// Waits until `accept` makes something of a domain's state (`None`: the domain does not exist).
/// xenstored tells of shutdowns, crashes and destruction; other changes are not noticed.
///
/// # Errors
/// As [`wait_until`]; those of `accept` end the wait.
pub fn wait_domain<T>(
    ctx: &Ctx,
    domid: DomId,
    deadline: Deadline,
    what: &str,
    mut accept: impl FnMut(Option<&DomainInfo>) -> Result<Option<T>>,
) -> Result<T> {
    let watch = ctx.xs()?.watch("@releaseDomain")?;
    wait_until(ctx, &watch, deadline, what, || accept(ctx.xc()?.domain(domid)?.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;
    use nix::sys::signal::raise;
    use std::io::pipe;
    use std::os::fd::OwnedFd;
    use std::thread;

    const SOON: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn wakes_for_what_is_ready_and_for_the_deadline() {
        let ctx = Fake::new().ctx();
        let (read, mut written) = pipe().unwrap();
        let (other, _kept) = pipe().unwrap();
        let sources = [Source::Readable(other.as_fd()), Source::Readable(read.as_fd())];
        assert_eq!(wait(&ctx, &sources, Deadline::after(SOON)).unwrap(), Woken::TimedOut);
        written.write_all(b"x").unwrap();
        assert_eq!(wait(&ctx, &sources, Deadline::after(LONG)).unwrap(), Woken::By(vec![1]));
        drop(_kept);
        assert_eq!(wait(&ctx, &sources, Deadline::NEVER).unwrap(), Woken::By(vec![0, 1]), "an end of file wakes");
        let sources = [Source::Writable(written.as_fd())];
        assert_eq!(wait(&ctx, &sources, Deadline::NEVER).unwrap(), Woken::By(vec![0]));
    }

    #[test]
    fn a_signal_waits_for_the_end_of_what_must_not_be_cut_short() {
        let mut ctx = Fake::new().ctx();
        ctx.cancel = Some(Cancel::on(&[Signal::SIGUSR1]).unwrap());
        raise(Signal::SIGUSR1).unwrap();
        let waited = ctx.undisturbed(|| ctx.check_cancel().and_then(|()| wait(&ctx, &[], Deadline::after(SOON))));
        assert_eq!(waited.unwrap(), Woken::TimedOut);
        assert_eq!(wait(&ctx, &[], Deadline::after(LONG)).unwrap_err().kind(), ErrorKind::Aborted);
        ctx.check_cancel().unwrap();
    }

    #[test]
    fn ignored_signals_are_known() {
        let ignored =
            ignored_signals("SigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n");
        assert!(ignored.contains(Signal::SIGHUP) && ignored.contains(Signal::SIGPIPE));
        assert!(!ignored.contains(Signal::SIGINT) && !ignored.contains(Signal::SIGTERM));
        assert_eq!(ignored_signals(""), SigSet::empty());
    }

    #[test]
    fn reading_and_writing_end_with_the_deadline_or_a_signal() {
        let mut ctx = Fake::new().ctx();
        let (from, to) = pipe().unwrap();
        let (from, to) = (File::from(OwnedFd::from(from)), File::from(OwnedFd::from(to)));
        let soon = || Deadline::after(SOON);
        let error = Patient::new(&ctx, &to, soon()).write_all(&[7; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nobody reads");
        let mut bytes = Vec::new();
        let error = Patient::new(&ctx, &from, soon()).read_to_end(&mut bytes).unwrap_err();
        assert_eq!((error.kind(), bytes.len()), (io::ErrorKind::TimedOut, 1 << 16), "nobody writes");
        ctx.cancel = Some(Cancel::on(&[Signal::SIGUSR1]).unwrap());
        raise(Signal::SIGUSR1).unwrap();
        let error = Error::from(Patient::new(&ctx, &from, Deadline::NEVER).read(&mut [0]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Aborted);
    }

    #[test]
    fn another_watchs_events_wake_nobody_and_are_kept() {
        let fake = Fake::new();
        let ctx = fake.ctx();
        let xs = ctx.xs().unwrap();
        let (mine, other) = (xs.watch("/mine").unwrap(), xs.watch("/other").unwrap());
        for watch in [&mine, &other] {
            wait(&ctx, &[Source::Watch(watch)], Deadline::NEVER).unwrap();
            watch.take();
        }
        fake.set("/other/x", b"");
        assert_eq!(wait(&ctx, &[Source::Watch(&mine)], Deadline::after(SOON)).unwrap(), Woken::TimedOut);
        assert_eq!(other.take(), ["/other/x"]);
        fake.set("/mine", b"");
        assert_eq!(wait(&ctx, &[Source::Watch(&mine)], Deadline::NEVER).unwrap(), Woken::By(vec![0]));
    }

    #[test]
    fn waits_for_a_node() {
        let fake = Fake::new();
        let ctx = fake.ctx();
        let setter = fake.clone();
        thread::spawn(move || {
            thread::sleep(SOON);
            setter.set("/d/state", b"2");
            setter.set("/d/state", b"4");
        });
        let state = |value: Option<&str>| Ok(value.filter(|v| *v == "4").map(str::to_owned));
        assert_eq!(wait_node(&ctx, "/d/state", Deadline::after(LONG), "no state", state).unwrap(), "4");

        let waits = ctx.xs().unwrap().stats().waits;
        wait_node(&ctx, "/d/state", Deadline::after(LONG), "no state", state).unwrap();
        assert_eq!(ctx.xs().unwrap().stats().waits - waits, 2, "one to watch and read, one to unwatch");
    }

    #[test]
    fn a_wait_for_a_node_ends_at_its_deadline_or_with_an_error() {
        let ctx = Fake::new().ctx();
        let never = |_: Option<&str>| Ok(None::<()>);
        let error = wait_node(&ctx, "/none", Deadline::after(SOON), "the backend did not answer", never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "timed out: the backend did not answer");
        let fail = |_: Option<&str>| Err::<Option<()>, _>(Error::fail("gone"));
        assert_eq!(wait_node(&ctx, "/none", Deadline::NEVER, "", fail).unwrap_err().to_string(), "gone");
    }

    #[test]
    fn a_signal_cancels_once() {
        let mut ctx = Fake::new().ctx();
        ctx.cancel = Some(Cancel::on(&[Signal::SIGUSR1]).unwrap());
        raise(Signal::SIGUSR1).unwrap();
        let error = wait(&ctx, &[], Deadline::after(LONG)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Aborted, "interrupted by SIGUSR1"));
        assert_eq!(wait(&ctx, &[], Deadline::after(SOON)).unwrap(), Woken::TimedOut, "cleaning up can wait");
    }

    #[test]
    fn a_signal_that_comes_twice_ends_nothing_when_the_first_was_taken() {
        let signals = Signals::new(&[Signal::SIGUSR1]).unwrap();
        for _ in 0..2 {
            raise(Signal::SIGUSR1).unwrap();
            let _ = signals.was_taken.load(Ordering::Relaxed) || signals.take().unwrap().is_some();
        }
        drop(signals); // the second would end this process
    }

    #[test]
    fn deadlines() {
        let (soon, late) = (Deadline::after(SOON), Deadline::after(LONG));
        assert_eq!(late.earlier(soon), soon);
        assert_eq!(Deadline::NEVER.earlier(soon), soon);
        assert!(!late.passed() && !Deadline::NEVER.passed() && Deadline::after(Duration::ZERO).passed());
    }
}
