//! The operator's terminal while it is a guest's.

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd};

/// A terminal that passes every key on as it is typed, and shows bytes as they are. Dropped, it is as it was before.
#[derive(Debug)]
pub struct RawTerminal<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl RawTerminal<'_> {
    /// Changes this terminal.
    pub fn new(terminal: &impl AsFd) -> Result<RawTerminal<'_>> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSANOW, &raw)?;
        Ok(RawTerminal { terminal: terminal.as_fd(), before })
    }
}

impl Drop for RawTerminal<'_> {
    fn drop(&mut self) {
        // It fails only if the terminal is gone.
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use nix::sys::termios::LocalFlags;

    #[test]
    fn raw_while_it_lives() {
        let pair = openpty(None, None).unwrap();
        let flags = || tcgetattr(&pair.slave).unwrap().local_flags;
        let before = flags();
        assert!(before.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
        let raw = RawTerminal::new(&pair.slave).unwrap();
        assert!(!flags().intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
        drop(raw);
        assert_eq!(flags(), before);
    }
}
