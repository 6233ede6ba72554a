//! The primary console: waiting until xenconsoled has opened a terminal for it.

use crate::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{self, Deadline};
use crate::xenstore::schema;
use libxc::DomId;
use std::fs;
use std::time::Duration;

/// After this long it is worth a look whether xenconsoled runs at all.
const SUSPICION: Duration = Duration::from_secs(1);
/// How long it may take then (`LIBXL_INIT_TIMEOUT` in all).
const PATIENCE: Duration = Duration::from_secs(9);

/// Waits until the terminal of a domain is there: `xl console` works from then on.
pub(super) fn wait(ctx: &Ctx, domid: DomId, backend: DomId) -> Result<()> {
    match wait_for(ctx, domid, SUSPICION) {
        Err(e) if e.kind() == ErrorKind::TimedOut => {}
        done => return done,
    }
    if backend == DomId(0) && !daemon_runs() {
        return Err(Error::new(
            ErrorKind::TimedOut,
            "xenconsoled is not running (start it: systemctl start xenconsoled, or service xencommons start)",
        ));
    }
    wait_for(ctx, domid, PATIENCE)
}

fn wait_for(ctx: &Ctx, domid: DomId, patience: Duration) -> Result<()> {
    let tty = format!("{}/console/tty", schema::domain(domid));
    let missing = "xenconsoled opened no terminal (its log is in /var/log/xen)";
    event::wait_node(ctx, &tty, Deadline::after(patience), missing, |value| {
        Ok(value.filter(|tty| !tty.is_empty()).map(drop))
    })
}

/// Whether a process of that name exists. Asked only when something is wrong: it looks at all processes.
fn daemon_runs() -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes
        .flatten()
        .filter(|p| p.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|p| fs::read(p.path().join("comm")).ok())
        .any(|comm| comm.starts_with(b"xenconsoled"))
}
