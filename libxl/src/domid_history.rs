//! The numbers of domains destroyed lately: not given to new ones for a while, so that who still
//! speaks of the old domain does not reach the new one.
//!
//! `/run/xen/domid-history`, shared with stock libxl: a line `SECONDS DOMID` for each, the seconds of
//! the monotonic clock.

use crate::ctx::Ctx;
use crate::error::{Result, ResultExt};
use crate::event::Deadline;
use crate::lock::LockFile;
use libxc::DomId;
use nix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

/// How long another process may hold the history's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Notes that this domain is being destroyed now, and drops what is too old.
pub fn mark_recent(ctx: &Ctx, domid: DomId) -> Result<()> {
    let path = path(ctx, "");
    let step = || format!("noting domain {domid} in {}", path.display());
    let _lock = LockFile::acquire(ctx, &self::path(ctx, ".lock"), Deadline::after(LOCK_TIMEOUT)).with_context(step)?;
    let now = now()?;
    let mut text = String::new();
    for (second, domid) in recent(ctx, now)?.into_iter().chain([(now, domid)]) {
        _ = writeln!(text, "{second} {domid}");
    }
    let new = self::path(ctx, ".new");
    fs::write(&new, text).with_context(step)?;
    fs::rename(&new, &path).with_context(step)
}

/// Whether a domain of this number was destroyed lately.
pub fn is_recent(ctx: &Ctx, domid: DomId) -> Result<bool> {
    Ok(recent(ctx, now()?)?.iter().any(|(_, recent)| *recent == domid))
}

/// Forgets all: at boot, when the clock starts anew.
pub fn clear(ctx: &Ctx) -> Result<()> {
    match fs::remove_file(path(ctx, "")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).context("removing the domid history"),
        _ => Ok(()),
    }
}

fn path(ctx: &Ctx, suffix: &str) -> PathBuf {
    ctx.paths.run.join(format!("domid-history{suffix}"))
}

fn now() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("reading the clock")?;
    Ok(now.tv_sec() as u64)
}

fn recent(ctx: &Ctx, now: u64) -> Result<Vec<(u64, DomId)>> {
    let path = path(ctx, "");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text, now, ctx.domid_reuse_timeout)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
    }
}

/// The lines that still count; others, and what is no such line, are passed over. A time that is still
/// to come is from before a reboot.
fn parse(text: &str, now: u64, timeout: Duration) -> Vec<(u64, DomId)> {
    let line = |line: &str| {
        let (second, domid) = line.trim().split_once(' ')?;
        let (second, domid) = (second.parse().ok()?, DomId(domid.trim().parse().ok()?));
        let age = now.checked_sub(second)?;
        (domid.is_ordinary() && age <= timeout.as_secs()).then_some((second, domid))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::path::Path;

    #[test]
    fn old_and_broken_lines_do_not_count() {
        let text = "100 1\n39 2\n40 3\n101 4\nnonsense\n100\n90 32752\n99 x\n 95  6 \n";
        let timeout = Duration::from_secs(60);
        assert_eq!(parse(text, 100, timeout), [(100, DomId(1)), (40, DomId(3)), (95, DomId(6))]);
    }

    #[test]
    fn destroyed_domains_are_remembered() {
        let root = tempfile::tempdir().unwrap();
        let mut ctx = Ctx::new(Paths::installed(Path::new("/usr")).rooted(root.path()));
        fs::create_dir_all(&ctx.paths.run).unwrap();
        assert!(!is_recent(&ctx, DomId(3)).unwrap());
        mark_recent(&ctx, DomId(3)).unwrap();
        mark_recent(&ctx, DomId(4)).unwrap();
        assert!(is_recent(&ctx, DomId(3)).unwrap() && is_recent(&ctx, DomId(4)).unwrap());
        let text = fs::read_to_string(ctx.paths.run.join("domid-history")).unwrap();
        assert_eq!(text.lines().map(|l| l.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!(fs::read_dir(&ctx.paths.run).unwrap().count(), 1, "neither lock nor new file stays");

        fs::write(ctx.paths.run.join("domid-history"), "0 3\n").unwrap();
        ctx.domid_reuse_timeout = Duration::ZERO;
        assert!(!is_recent(&ctx, DomId(3)).unwrap());
        clear(&ctx).unwrap();
        clear(&ctx).unwrap();
    }
}
