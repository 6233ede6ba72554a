//! The QEMU of a guest as a running process. Its number is written down in xenstore, and another program may have that
//! number by now: only a process that was called for the guest is its QEMU.

use crate::ctx::Ctx;
use crate::error::{Result, ResultExt};
use crate::event::Deadline;
use crate::exec;
use libxc::DomId;
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// How long QEMU may take to write back what its disks have in memory and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The QEMU of `guest` whose number was written down as `written`, if it runs.
pub(crate) fn find(written: &str, guest: DomId) -> Option<Pid> {
    let pid = written.parse().ok().filter(|pid| *pid > 1)?;
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    serves(&command_line, guest).then(|| Pid::from_raw(pid))
}

/// Ends a QEMU and waits for that. Returns whether it has ended in time.
///
/// # Errors
/// That it may not be told; `Aborted` if cancelled.
pub(crate) fn end(ctx: &Ctx, pid: Pid) -> Result<bool> {
    exec::end(ctx, pid, Deadline::after(PATIENCE)).context("device model")
}

/// Whether a command line is that of a guest's QEMU.
fn serves(command_line: &[u8], guest: DomId) -> bool {
    let guest = guest.to_string();
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    arguments.windows(2).any(|pair| pair == [b"-xen-domid".as_slice(), guest.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guests_own_qemu_is_found() {
        let line = b"/usr/libexec/xen-qemu-system-i386\0-xen-domid\x007\0-nodefaults\0";
        assert!(serves(line, DomId(7)));
        assert!(!serves(line, DomId(70)));
        assert!(!serves(b"/bin/vi\0-xen-domid\0", DomId(7)));
        for written in ["", "1", "-1", "nonsense", &std::process::id().to_string()] {
            assert_eq!(find(written, DomId(7)), None, "{written}");
        }
    }
}
