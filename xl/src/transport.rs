//! The program that connects this host with another: ssh, mostly.

use crate::failure::Failure;
use crate::handover::Line;
use crate::output::say;
use libxl::Ctx;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that connects to the other host.
pub(crate) struct Transport {
    child: Child,
}

impl Transport {
    /// How long it may take to end once there is nothing more to say.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// It stays in this process's group: ssh may want to ask for a password.
    pub(crate) fn start(rune: &str) -> Result<Transport, Failure> {
        let child = Command::new("sh").args(["-c", rune]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(|e| Failure::new(1, format!("starting {rune}: {}", libxc::reason(&e))))?;
        Ok(Transport { child })
    }

    /// The way to the other host and back.
    pub(crate) fn line<'a>(&mut self, ctx: &'a Ctx) -> Result<Line<'a>, Failure> {
        match (self.child.stdout.take(), self.child.stdin.take()) {
            (Some(from), Some(to)) => Ok(Line::new(ctx, OwnedFd::from(from).into(), OwnedFd::from(to).into())),
            _ => Err(Failure::new(1, "the transport has no pipes")),
        }
    }

    /// Ends it: it may still ask for a password.
    pub(crate) fn stop(&mut self) {
        // It has not been waited for, so that the number is its own.
        let _ = signal::kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        self.end();
    }

    /// Waits for its end, but not for ever: the guest's place is decided.
    pub(crate) fn end(&mut self) {
        let until = Instant::now() + Self::PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) if !status.success() => {
                    return say(format_args!("the transport has failed ({status})"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        say(format_args!("the transport (process {}) goes on; it is no longer waited for", self.child.id()));
    }
}
