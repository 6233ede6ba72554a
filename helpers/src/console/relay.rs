//! The bytes that pass between an operator and a guest's console.
//!
//! Neither side can hold up the other: what one does not take waits here, and the operator can always leave.

use super::Escape;
use libxl::event::{self, Deadline, Source, Woken};
use libxl::{Ctx, Result};
use nix::errno::Errno;
use nix::unistd;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Bytes that are read at once. A pipe that can be written to takes as many without waiting (`PIPE_BUF`).
const CHUNK: usize = 4096;
/// Keys that a guest has not taken yet. More than a person types; those that come after them are dropped, so that the
/// escape among them is seen.
const UNTAKEN: usize = 1 << 20;

/// The operator's side.
pub struct Operator<'a> {
    /// What is typed; none if the operator only looks on.
    pub input: Option<BorrowedFd<'a>>,
    /// Where the guest's output goes. If it is a terminal, then one to which writing does not block.
    pub output: BorrowedFd<'a>,
    /// The character that leaves.
    pub escape: Escape,
    /// Can be read when it is time to stop: a signal has come.
    pub stop: BorrowedFd<'a>,
}

/// Passes bytes on until the operator leaves, the input ends, nobody takes the output any more, the console is gone or
/// it is time to stop.
///
/// `tty` is the console's terminal, which neither reading nor writing may block; when `changed` wakes, `reopen` gives
/// the one that has taken its place, or none if the console is gone: then all that is still to read of it is passed on.
///
/// # Errors
/// Those of `reopen`, and of writing the output.
pub fn relay(
    ctx: &Ctx,
    operator: &Operator<'_>,
    tty: File,
    changed: Source<'_>,
    mut reopen: impl FnMut() -> Result<Option<File>>,
) -> Result<()> {
    let mut relay = Relay { operator, tty: Some(tty), to_guest: Vec::new(), to_operator: Vec::new() };
    let mut gone = false;
    loop {
        // When the console is gone, nothing is waited for but that the operator takes the last of it.
        let last = gone && relay.to_operator.is_empty();
        let deadline = if last { Deadline::after(Duration::ZERO) } else { Deadline::NEVER };
        let (ends, sources): (Vec<End>, Vec<Source<'_>>) = relay.waits_for(changed).into_iter().unzip();
        let Woken::By(woken) = event::wait(ctx, &sources, deadline)? else { return Ok(()) };
        drop(sources);
        for end in woken.into_iter().map(|index| ends[index]) {
            let goes_on = match end {
                End::Stop => false,
                End::Input => relay.read_operator(),
                End::Output => relay.write_operator()?,
                End::Unread => relay.read_guest(),
                End::Untaken => relay.write_guest(),
                End::Changed => {
                    let next = reopen()?;
                    gone = next.is_none();
                    relay.tty = next.or(relay.tty);
                    true
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
    }
}

/// What can wake a relay.
#[derive(Clone, Copy)]
enum End {
    /// It is time to stop.
    Stop,
    /// The operator has typed something.
    Input,
    /// The operator can be shown something.
    Output,
    /// The guest has written something.
    Unread,
    /// The guest can be given something.
    Untaken,
    /// Another terminal has taken the place of the console's.
    Changed,
}

struct Relay<'a> {
    operator: &'a Operator<'a>,
    /// None after the other side has closed it.
    tty: Option<File>,
    to_guest: Vec<u8>,
    to_operator: Vec<u8>,
}

impl Relay<'_> {
    fn waits_for<'b>(&'b self, changed: Source<'b>) -> Vec<(End, Source<'b>)> {
        let mut ends = vec![(End::Stop, Source::Readable(self.operator.stop))];
        // A pipe can wait until the guest has taken what came before; a terminal may bring the escape.
        let input = self.operator.input.filter(|input| self.to_guest.is_empty() || input.is_terminal());
        ends.extend(input.map(|input| (End::Input, Source::Readable(input))));
        if !self.to_operator.is_empty() {
            ends.push((End::Output, Source::Writable(self.operator.output)));
        } else if let Some(tty) = &self.tty {
            ends.push((End::Unread, Source::Readable(tty.as_fd())));
        }
        if let Some(tty) = &self.tty
            && !self.to_guest.is_empty()
        {
            ends.push((End::Untaken, Source::Writable(tty.as_fd())));
        }
        ends.push((End::Changed, changed));
        ends
    }

    /// Takes what the operator has typed; false when that was to leave, or when no more can come.
    fn read_operator(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        let Some(input) = self.operator.input else { return true };
        let typed = match unistd::read(input, &mut chunk) {
            Ok(0) => return false,
            Ok(count) => &chunk[..count],
            Err(e) => return is_for_now(e),
        };
        let (keys, leaves) = self.operator.escape.cut(typed);
        let room = UNTAKEN - self.to_guest.len();
        // Nobody is there to take it while there is no terminal.
        if self.tty.is_some() {
            self.to_guest.extend(&keys[..keys.len().min(room)]);
        }
        if leaves {
            self.write_guest();
        }
        !leaves
    }

    fn write_guest(&mut self) -> bool {
        if let Some(tty) = &self.tty {
            match unistd::write(tty, &self.to_guest) {
                Ok(count) => drop(self.to_guest.drain(..count)),
                Err(e) if is_for_now(e) => {}
                Err(_) => self.close(),
            }
        }
        true
    }

    fn read_guest(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        if let Some(tty) = &self.tty {
            match unistd::read(tty, &mut chunk) {
                Ok(count) if count > 0 => self.to_operator.extend(&chunk[..count]),
                Err(e) if is_for_now(e) => {}
                _ => self.close(),
            }
        }
        true
    }

    /// The other side is gone: another may come, and will know nothing of these keys.
    fn close(&mut self) {
        self.tty = None;
        self.to_guest.clear();
    }

    /// Shows what the guest has written; false if nobody looks at it any more.
    fn write_operator(&mut self) -> Result<bool> {
        match unistd::write(self.operator.output, &self.to_operator) {
            Ok(count) => drop(self.to_operator.drain(..count)),
            Err(Errno::EPIPE) => return Ok(false),
            Err(e) if is_for_now(e) => {}
            Err(e) => return Err(libxl::Error::fail(format!("writing what the guest has printed: {}", e.desc()))),
        }
        Ok(true)
    }
}

fn is_for_now(error: Errno) -> bool {
    matches!(error, Errno::EAGAIN | Errno::EINTR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::RawTerminal;
    use libxl::Paths;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::pty::openpty;
    use std::fs::OpenOptions;
    use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, JoinHandle};

    /// A relay that runs, seen from outside.
    struct Running {
        guest: File,
        changed: PipeWriter,
        next: Sender<Option<File>>,
        stop: PipeWriter,
        relay: JoinHandle<Result<()>>,
    }

    /// Both ends of a pseudo terminal: that of xenconsoled or of the operator's window, and the raw one.
    fn terminal() -> (File, OwnedFd) {
        let pair = openpty(None, None).unwrap();
        // Never set back: both ends go together.
        std::mem::forget(RawTerminal::new(&pair.slave).unwrap());
        (pair.master.into(), pair.slave)
    }

    fn unblocked(fd: OwnedFd) -> File {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).unwrap();
        fd.into()
    }

    fn start(input: Option<OwnedFd>, output: OwnedFd, escape: &str) -> Running {
        let (guest, tty) = terminal();
        let (tty, escape) = (unblocked(tty), escape.parse().unwrap());
        let ((mut changes, changed), (stopped, stop)) = (pipe().unwrap(), pipe().unwrap());
        let (next, ttys) = channel();
        let relay = thread::spawn(move || {
            let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
            let input = input.as_ref().map(AsFd::as_fd);
            let operator = Operator { input, output: output.as_fd(), escape, stop: stopped.as_fd() };
            let changed = changes.try_clone().unwrap();
            relay(&ctx, &operator, tty, Source::Readable(changed.as_fd()), || {
                changes.read_exact(&mut [0]).unwrap();
                Ok(ttys.recv().unwrap())
            })
        });
        Running { guest, changed, next, stop, relay }
    }

    /// With the operator at a terminal, whose window is the first value.
    fn at_terminal(escape: &str) -> (File, Running) {
        let (window, terminal) = terminal();
        let running = start(Some(terminal.try_clone().unwrap()), terminal, escape);
        (window, running)
    }

    /// With an operator who only looks on.
    fn into_pipe() -> (PipeReader, Running) {
        let (shown, output) = pipe().unwrap();
        (shown, start(None, output.into(), "^]"))
    }

    fn read(from: &mut impl Read, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        from.read_exact(&mut bytes).unwrap();
        bytes
    }

    impl Running {
        fn becomes(&mut self, next: Option<File>) {
            self.next.send(next).unwrap();
            self.changed.write_all(&[0]).unwrap();
        }

        fn ended(self) -> Result<()> {
            self.relay.join().unwrap()
        }
    }

    #[test]
    fn bytes_pass_unchanged_both_ways() {
        let (mut window, mut running) = at_terminal("^]");
        let all: Vec<u8> = (0..=255).collect();
        running.guest.write_all(&all).unwrap();
        assert_eq!(read(&mut window, 256), all);
        let keys: Vec<u8> = all.into_iter().filter(|byte| *byte != 0x1d).collect();
        window.write_all(&keys).unwrap();
        assert_eq!(read(&mut running.guest, 255), keys);
        window.write_all(b"\x1d").unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn another_escape_lets_the_usual_one_pass() {
        let (mut window, mut running) = at_terminal("^a");
        window.write_all(b"\x1dls\r").unwrap();
        assert_eq!(read(&mut running.guest, 4), b"\x1dls\r");
        window.write_all(b"exit\r\x01never").unwrap();
        assert_eq!(read(&mut running.guest, 5), b"exit\r", "what came before the escape is passed on");
        running.relay.join().unwrap().unwrap();
        assert!(running.guest.read(&mut [0; 8]).is_err(), "what came after it is not");
    }

    #[test]
    fn another_terminal_takes_the_place_of_one_that_was_closed() {
        let (mut shown, mut running) = into_pipe();
        running.guest.write_all(b"one ").unwrap();
        assert_eq!(read(&mut shown, 4), b"one ");
        let (mut second, tty) = terminal();
        running.guest = second.try_clone().unwrap(); // the first is closed
        second.write_all(b"two").unwrap();
        running.becomes(Some(unblocked(tty)));
        assert_eq!(read(&mut shown, 3), b"two");
        running.stop.write_all(&[0]).unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn the_last_words_are_shown() {
        let (mut shown, mut running) = into_pipe();
        let words = vec![b'x'; 20_000];
        running.guest.write_all(&words).unwrap();
        running.becomes(None);
        running.relay.join().unwrap().unwrap();
        let mut all = Vec::new();
        shown.read_to_end(&mut all).unwrap();
        assert_eq!(all, words);
    }

    #[test]
    fn the_operator_leaves_a_guest_that_reads_nothing() {
        let (mut window, running) = at_terminal("^]");
        window.write_all(&vec![b'k'; UNTAKEN + 300_000]).unwrap();
        window.write_all(b"\x1d").unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn the_operator_leaves_though_nobody_takes_the_output() {
        let ((mut window, input), (_unread, output)) = (terminal(), terminal());
        let running = start(Some(input), unblocked(output).into(), "^]");
        let mut guest = unblocked(running.guest.try_clone().unwrap().into());
        let mut refused = 0;
        while refused < 20 {
            match guest.write(&[b'o'; CHUNK]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => refused += 1,
                written => drop(written.unwrap()),
            }
            thread::sleep(Duration::from_millis(refused));
        }
        window.write_all(b"\x1d").unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn a_pipe_is_typed_to_its_end() {
        let ((typed, mut keys), (_shown, output)) = (pipe().unwrap(), pipe().unwrap());
        let mut running = start(Some(typed.into()), output.into(), "^]");
        let typing = thread::spawn(move || keys.write_all(&[b'k'; 200_000]).unwrap());
        assert_eq!(read(&mut running.guest, 200_000), [b'k'; 200_000]);
        typing.join().unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn nobody_takes_the_output_any_more() {
        let (shown, mut running) = into_pipe();
        drop(shown);
        running.guest.write_all(b"hello").unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn output_that_cannot_be_written_is_an_error() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut running = start(None, full.into(), "^]");
        running.guest.write_all(b"hello").unwrap();
        let error = running.ended().unwrap_err().to_string();
        assert_eq!(error, "writing what the guest has printed: No space left on device");
    }
}
