//! Attaching to a guest's consoles: which one, and the program of Xen's tools that does it.

use super::info;
use crate::Ctx;
use crate::error::{Error, Result};
use crate::types::{ConsoleType, DomainType};
use crate::xenstore::{Store, schema};
use libxc::DomId;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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

/// Where Xen's own console program may be, best first: ours, then those of the distributions' Xen.
pub fn programs(libexec_bin: &Path) -> Vec<PathBuf> {
    let mut found = vec![libexec_bin.join("xenconsole")];
    found.extend(["/usr/lib/xen/bin/xenconsole", "/usr/libexec/xen/bin/xenconsole"].map(PathBuf::from));
    // Debian keeps one set of programs for each version of Xen.
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut versions: Vec<_> =
        versions.filter(|e| e.file_name().to_string_lossy().starts_with("xen-")).map(|e| e.path()).collect();
    versions.sort();
    found.extend(versions.into_iter().rev().map(|dir| dir.join("bin/xenconsole")));
    found
}

/// The first of these programs that exists.
///
/// # Errors
/// None does, with all that was looked for.
pub fn program(candidates: &[PathBuf]) -> Result<&Path> {
    let found = candidates.iter().find(|path| path.is_file());
    found.map(PathBuf::as_path).ok_or_else(|| {
        let looked_for: Vec<_> = candidates.iter().map(|p| p.display().to_string()).collect();
        Error::fail(format!("xenconsole is not installed (looked for {})", looked_for.join(", ")))
    })
}

/// What that program is called with for a console.
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
    fn ours_is_taken_before_the_distributions() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("xenconsole");
        assert_eq!(programs(dir.path())[0], ours);
        let error = program(std::slice::from_ref(&ours)).unwrap_err().to_string();
        assert!(error.contains("not installed") && error.contains(&*ours.to_string_lossy()), "{error}");
        std::fs::write(&ours, "").unwrap();
        assert_eq!(program(&[dir.path().join("none"), ours.clone()]).unwrap(), ours);
    }
}
