//! Remus: a guest whose copy on another host is brought up to date again and again while it runs. If its host is lost, the
//! copy goes on from the last checkpoint.

use super::save::{self, Checkpoints, Options};
use super::suspend::Hold;
use super::{configuration, control, info};
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Deadline;
use crate::stream_filter::is_other_end_gone;
use crate::types::DomainConfig;
use libxc::DomId;
use nix::poll::PollFlags;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How to keep the copy (`libxl_domain_remus_info`).
#[derive(Clone, Copy, Debug)]
pub struct Remus {
    /// How long the guest runs between two checkpoints.
    pub interval: Duration,
    /// Whether what it sends waits for the next checkpoint: an answer that nobody remembers must not have left.
    pub network: bool,
    /// Whether its disks are copied, too.
    pub disks: bool,
    /// Whether nobody reads the stream.
    pub blackhole: bool,
    /// Allows to do without one of these.
    pub allow_unsafe: bool,
}

/// Refuses what could not be kept up, before anything is sent.
///
/// # Errors
/// What is missing, or asked for and not built yet.
pub fn check(ctx: &Ctx, domid: DomId, remus: &Remus) -> Result<()> {
    save::check(ctx, domid)?;
    if info::get(ctx, domid)?.shutdown_reason.is_some() {
        return Err(Error::fail(format!("domain {domid} has shut down or is suspended (xl resume lets that go on)")));
    }
    check_devices(&configuration::current(ctx, domid)?, remus)
}

fn check_devices(config: &DomainConfig, remus: &Remus) -> Result<()> {
    if !remus.allow_unsafe && (remus.blackhole || !remus.network || !remus.disks) {
        return Err(Error::fail(
            "to throw checkpoints away, not to buffer the network or not to copy disks has to be allowed (-F)",
        ));
    }
    let unbuilt = |what: &str| Err(Error::new(ErrorKind::NotImplemented, format!("{what} is not built yet")));
    if remus.network && !config.nics.is_empty() {
        return unbuilt("buffering what network interfaces send (-n does without)");
    }
    if remus.disks && !config.disks.is_empty() {
        return unbuilt("copying disks (-d does without)");
    }
    Ok(())
}

/// Copies the guest, and then, time and again, what has changed of it. Returns when that cannot go on.
///
/// If the reader is gone the guest runs on, in the place that it never left. One who is there takes the stream's end for the end
/// of the guest, and lets the copy run as soon as there is one, which `copied` tells: the guest is paused then, so that not
/// both run.
pub fn replicate(
    ctx: &Ctx,
    hold: &Hold,
    out: BorrowedFd<'_>,
    remus: &Remus,
    copied: &mut dyn FnMut(),
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Error {
    let options = Options { live: true, ..Options::default() };
    let mut checkpoints = Checkpoints { interval: remus.interval, written: 0, first: copied };
    let ended = save::stream(ctx, hold, out, options, Some(&mut checkpoints), Deadline::NEVER, progress);
    let error = ended.err().unwrap_or_else(|| Error::fail("the save helper has ended"));
    let copy_runs = checkpoints.written > 0 && !remus.blackhole && !is_other_end_gone(out, PollFlags::POLLERR);
    if !copy_runs {
        return hold.fail(ctx, error);
    }
    // At once, without asking the guest.
    match control::pause(ctx, hold.domid()) {
        Ok(()) => hold.fail(ctx, error).note(
            "the guest is paused here: the other host lets its copy go on from the last checkpoint; look there, then xl \
             destroy this one, or xl unpause it",
        ),
        Err(e) => error.note(format!("its copy runs now: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DeviceDisk, DeviceNic};

    #[test]
    fn nothing_is_left_out_unless_that_is_allowed() {
        let safe = Remus {
            interval: Duration::from_millis(200),
            network: true,
            disks: true,
            blackhole: false,
            allow_unsafe: false,
        };
        let mut config = DomainConfig::default();
        let refusal =
            |config: &DomainConfig, remus: Remus| check_devices(config, &remus).err().map(|error| error.to_string());
        assert_eq!(refusal(&config, safe), None);
        for asked in
            [Remus { network: false, ..safe }, Remus { disks: false, ..safe }, Remus { blackhole: true, ..safe }]
        {
            assert!(refusal(&config, asked).unwrap().ends_with("has to be allowed (-F)"));
            assert_eq!(refusal(&config, Remus { allow_unsafe: true, ..asked }), None);
        }
        config.disks = vec![DeviceDisk::default()];
        assert!(refusal(&config, safe).unwrap().contains("-d"));
        config.nics = vec![DeviceNic::default()];
        assert!(refusal(&config, safe).unwrap().contains("-n"));
        assert_eq!(refusal(&config, Remus { network: false, disks: false, allow_unsafe: true, ..safe }), None);
    }
}
