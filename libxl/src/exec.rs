//! Programs that the toolstack runs: hotplug scripts, QEMU, helpers.
//!
//! A child is a process group of its own, so that a script is killed with all that it started. It
//! inherits no descriptor but its three and those passed by name, and no signal is blocked in it. Its end
//! is a descriptor to wait for ([`Child::as_fd`], a pidfd), and a child that is dropped is killed and
//! reaped.

#![allow(unsafe_code)]

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source, Woken};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{self, SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A program to run: what it is given is said explicitly, all else is `/dev/null`.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    passed: Vec<OwnedFd>,
    new_session: bool,
    outlived: Option<Signal>,
}

impl Program {
    /// The program at this path, without arguments, with this process's environment.
    pub fn new(path: &Path) -> Program {
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program { command, name: path.display().to_string(), passed: Vec::new(), new_session: false, outlived: None }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Its standard input.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Program {
        self.command.stdin(from);
        self
    }

    /// Its standard output.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Program {
        self.command.stdout(to);
        self
    }

    /// Its standard error: a log.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Program {
        self.command.stderr(to);
        self
    }

    /// Lets it inherit a descriptor, under the number that it has here.
    pub fn pass_fd(mut self, fd: OwnedFd) -> Program {
        self.passed.push(fd);
        self
    }

    /// Makes it a session of its own, as a daemon is: the end of a terminal does not concern it.
    pub fn new_session(mut self) -> Program {
        self.new_session = true;
        self
    }

    /// Sends it this signal if the thread that starts it ends before it, whatever ends that: mostly this process's end.
    pub fn outlived(mut self, signal: Signal) -> Program {
        self.outlived = Some(signal);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// That the program cannot be run, with its path.
    pub fn spawn(mut self) -> Result<Child> {
        let (new_session, outlived) = (self.new_session, self.outlived);
        if !new_session {
            self.command.process_group(0);
        }
        let passed: Vec<i32> = self.passed.iter().map(AsRawFd::as_raw_fd).collect();
        // What this process waits for ([`event::Signals`]) is for that program to die of.
        let none_blocked = SigSet::empty();
        // SAFETY: between fork and exec it only calls pthread_sigmask, setsid, prctl and fcntl, which are
        // async-signal-safe, and allocates nothing: the numbers were collected before.
        unsafe {
            self.command.pre_exec(move || {
                none_blocked.thread_set_mask()?;
                if new_session {
                    nix::unistd::setsid()?;
                }
                if let Some(signal) = outlived {
                    set_pdeathsig(signal)?;
                }
                passed.iter().try_for_each(|fd| inherit(*fd))
            });
        }
        let inner = self.command.spawn().with_context(|| format!("starting {}", self.name))?;
        let pidfd = pidfd_open(inner.id()).with_context(|| format!("watching {}", self.name))?;
        tracing::debug!(program = self.name, pid = inner.id(), "started");
        Ok(Child { inner, pidfd, name: self.name, ended: None, is_released: false })
    }
}

fn inherit(fd: i32) -> io::Result<()> {
    // SAFETY: fcntl on a number; at worst it says that it is no descriptor.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Tells a process that is no child of this one to end (SIGHUP), and waits for that. Returns whether it has ended before
/// the deadline; one that is gone already has.
///
/// # Errors
/// As [`hang_up`]; `Aborted` if cancelled.
pub fn end(ctx: &Ctx, pid: Pid, deadline: Deadline) -> Result<bool> {
    let Some(ending) = hang_up(pid)? else { return Ok(true) };
    Ok(event::wait(ctx, &[Source::Readable(ending.as_fd())], deadline)? != Woken::TimedOut)
}

/// Tells a process to end (SIGHUP). What is returned can be read when it has; none for one that is gone already.
///
/// # Errors
/// That it may not be told, with its number.
pub fn hang_up(pid: Pid) -> Result<Option<OwnedFd>> {
    let ending = || format!("ending process {pid}");
    let pidfd = match pidfd_open(pid.as_raw().unsigned_abs()) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        opened => opened.with_context(ending)?,
    };
    match signal::kill(pid, Signal::SIGHUP) {
        Err(Errno::ESRCH) => Ok(None),
        told => told.map(|()| Some(pidfd)).with_context(ending),
    }
}

/// Whether the process that [`hang_up`] told to end has done so.
pub fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Kills a process that [`hang_up`] told to end.
pub fn kill(process: &OwnedFd) {
    let (fd, signal, no_info) = (process.as_raw_fd(), libc::SIGKILL, std::ptr::null::<libc::siginfo_t>());
    // SAFETY: the descriptor is open, and no address goes in.
    if unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_info, 0) } == -1 {
        tracing::debug!("killing a process: {}", io::Error::last_os_error());
    }
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain integers go in.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call has just made this descriptor, and nobody else has it. It has O_CLOEXEC.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A program that was started. Dropped before its end, it is killed with its group.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
    pidfd: OwnedFd,
    name: String,
    ended: Option<ExitStatus>,
    is_released: bool,
}

impl Child {
    /// Its process id, which is also its process group's.
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// Its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets it live on when this is dropped, which is now: somebody else ends it.
    pub fn release(mut self) {
        self.is_released = true;
    }

    /// How it ended, if it has; does not wait.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.inner.try_wait().with_context(|| format!("reaping {}", self.name))?;
        }
        Ok(self.ended)
    }

    /// Waits for its end. One that has not ended at the deadline is killed.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, `Aborted` if cancelled.
    pub fn wait(mut self, ctx: &Ctx, deadline: Deadline) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if event::wait(ctx, &[Source::Readable(self.pidfd.as_fd())], deadline)? == Woken::TimedOut {
                return Err(Error::new(ErrorKind::TimedOut, format!("{} did not end in time", self.name)));
            }
        }
    }

    /// As [`Child::wait`]; an end other than exit status 0 is an error too.
    pub fn wait_success(self, ctx: &Ctx, deadline: Deadline) -> Result<()> {
        let name = self.name.clone();
        match self.wait(ctx, deadline)? {
            status if status.success() => Ok(()),
            status => Err(Error::fail(format!("{name} failed ({status})"))),
        }
    }

    /// Sends a signal to it and all that it started.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match killpg(Pid::from_raw(self.pid() as i32), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(e).context(format!("sending {signal} to {}", self.name)),
        }
    }
}

impl AsFd for Child {
    /// Readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Not when its end is known: its number may be another's by now.
        if !self.is_released && matches!(self.status(), Ok(None)) {
            if let Err(error) = self.signal(Signal::SIGKILL) {
                tracing::warn!(%error, "killing a program");
            }
            if let Err(error) = self.inner.wait() {
                tracing::warn!(program = self.name, %error, "reaping a program");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::time::Duration;

    fn ctx() -> Ctx {
        Ctx::new(Paths::installed(Path::new("/usr")))
    }

    fn sh(script: &str) -> Program {
        Program::new(Path::new("/bin/sh")).args(["-c", script])
    }

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn arguments_environment_and_output() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let program = sh("echo \"$0 $XENBUS_TYPE\" >&2; cat >&2").arg("add").env("XENBUS_TYPE", "vbd");
        program.stderr(File::create(&log).unwrap()).spawn().unwrap().wait_success(&ctx(), long()).unwrap();
        assert_eq!(fs::read_to_string(log).unwrap(), "add vbd\n");
    }

    #[test]
    fn a_failure_is_told_with_its_status() {
        let error = sh("exit 7").spawn().unwrap().wait_success(&ctx(), long()).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh failed (exit status: 7)");
        let error = Program::new(Path::new("/nonexistent/script")).spawn().unwrap_err();
        assert_eq!(error.to_string(), "starting /nonexistent/script: No such file or directory");
    }

    #[test]
    fn a_process_is_ended_and_waited_for() {
        let (mut started, written) = io::pipe().unwrap();
        let stubborn = sh("trap '' HUP; echo; exec sleep 1000").stdout(written).spawn().unwrap();
        started.read_exact(&mut [0]).unwrap();
        let pid = Pid::from_raw(stubborn.pid() as i32);
        assert!(!end(&ctx(), pid, Deadline::after(Duration::from_millis(50))).unwrap());
        drop(stubborn);
        assert!(end(&ctx(), pid, long()).unwrap(), "it is gone");
        let obedient = sh("exec sleep 1000").spawn().unwrap();
        assert!(end(&ctx(), Pid::from_raw(obedient.pid() as i32), long()).unwrap());
    }

    #[test]
    fn at_the_deadline_the_whole_group_is_killed() {
        let (mut read, written) = io::pipe().unwrap();
        let child = sh("sleep 1000 & sleep 1000").stdout(written).spawn().unwrap();
        let error = child.wait(&ctx(), Deadline::after(Duration::from_millis(100))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // The pipe's other ends are closed only when both sleeps are gone.
        assert_eq!(read.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn only_passed_descriptors_are_inherited() {
        let (read, mut written) = io::pipe().unwrap();
        let (hidden, _kept) = io::pipe().unwrap();
        let (number, hidden_number) = (read.as_raw_fd(), hidden.as_raw_fd());
        written.write_all(b"x").unwrap();
        let script = format!("test -e /proc/self/fd/{number} && ! test -e /proc/self/fd/{hidden_number}");
        sh(&script).pass_fd(read.into()).spawn().unwrap().wait_success(&ctx(), long()).unwrap();
    }

    #[test]
    fn a_program_can_be_told_to_end() {
        let _waited_for = event::Signals::new(&[Signal::SIGTERM]).unwrap();
        let null = File::open("/dev/null").unwrap().into();
        for program in [sh("exec sleep 1000"), sh("exec sleep 1000").new_session(), sh("exec sleep 1000").pass_fd(null)]
        {
            let child = program.spawn().unwrap();
            child.signal(Signal::SIGTERM).unwrap();
            let error = child.wait_success(&ctx(), long()).unwrap_err();
            assert_ne!(error.kind(), ErrorKind::TimedOut, "{error}");
        }
    }

    #[test]
    fn a_released_child_lives_on_in_its_session() {
        let child = sh("exec sleep 1000").new_session().spawn().unwrap();
        let pid = Pid::from_raw(child.pid() as i32);
        child.release();
        assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);
        signal::kill(pid, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = sh("exec sleep 1000").spawn().unwrap();
        let pid = child.pid();
        drop(child);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
