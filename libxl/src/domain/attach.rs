//! A guest's consoles: which one it uses first, and how the program that connects a terminal to one is called.

use super::info;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::LockFile;
use crate::types::{ConsoleType, DomainType};
use crate::xenstore::{Store, schema};
use libxc::DomId;
use std::ffi::OsString;

/// The console of a stub domain through which it passes on its guest's serial port (`STUBDOM_CONSOLE_SERIAL`).
const STUB_DOMAIN_SERIAL: u32 = 3;

/// One console of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// The domain: the guest, or its stub domain.
    pub domid: DomId,
    /// Its number.
    pub number: u32,
    /// Its kind.
    pub kind: ConsoleType,
}

/// The console that a guest uses first (`libxl__primary_console_find`): its PV console, or the serial port of an
/// HVM guest.
pub fn primary(ctx: &Ctx, domid: DomId) -> Result<Console> {
    let domain = info::get(ctx, domid)?;
    let stub = ctx.xs()?.read_optional(&format!("{}/image/device-model-domid", schema::domain(domid)))?;
    if let Some(stub) = stub.and_then(|s| s.parse().ok()).filter(|s| *s != 0) {
        return Ok(Console { domid: DomId(stub), number: STUB_DOMAIN_SERIAL, kind: ConsoleType::Pv });
    }
    let kind = match info::kind(ctx, &domain)? {
        DomainType::Hvm => ConsoleType::Serial,
        _ => ConsoleType::Pv,
    };
    Ok(Console { domid, number: 0, kind })
}

/// Keeps a domain's consoles for this process alone, against stock xenconsole too, which has one lock for all of them.
///
/// # Errors
/// [`ErrorKind::LockFail`] if another process has them.
pub fn lock(ctx: &Ctx, domid: DomId) -> Result<LockFile> {
    let path = ctx.paths.lock.join(format!("xenconsole.{domid}"));
    LockFile::try_acquire(&path)?.ok_or_else(|| {
        let told = format!("another terminal is connected to domain {domid} (its process has {})", path.display());
        Error::new(ErrorKind::LockFail, told)
    })
}

/// What `xenconsole` is called with for a console (`libxl_console_exec`).
pub fn arguments(console: Console, escape: Option<&str>) -> Vec<OsString> {
    let mut arguments = vec![
        console.domid.to_string(),
        "--num".into(),
        console.number.to_string(),
        "--type".into(),
        console.kind.name().into(),
    ];
    if let Some(escape) = escape {
        arguments.extend(["--escape".into(), escape.into()]);
    }
    arguments.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_arguments() {
        let console = Console { domid: DomId(7), number: 0, kind: ConsoleType::Pv };
        assert_eq!(arguments(console, None), ["7", "--num", "0", "--type", "pv"]);
        let serial = Console { kind: ConsoleType::Serial, ..console };
        assert_eq!(arguments(serial, Some("^a"))[4..], ["serial", "--escape", "^a"]);
    }

    #[test]
    fn one_terminal_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let mut ctx = crate::xenstore::fake::Fake::new().ctx();
        ctx.paths.lock = root.path().into();
        let held = lock(&ctx, DomId(7)).unwrap();
        assert!(root.path().join("xenconsole.7").exists());
        let error = lock(&ctx, DomId(7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LockFail);
        assert!(error.to_string().contains("another terminal is connected to domain 7"), "{error}");
        drop(lock(&ctx, DomId(8)).unwrap());
        drop(held);
        drop(lock(&ctx, DomId(7)).unwrap());
    }
}
