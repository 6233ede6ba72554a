//! Domains that were left half built, and copies of migrations that nobody completes.

use crate::Ctx;
use crate::domain::info::never_ran;
use crate::error::{Result, ResultExt};
use crate::userdata::Userdata;
use crate::xenstore::{Store, schema};
use libxc::DomId;
use libxc::domain::DomainInfo;
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How hypercalls are made: whoever builds a domain has one of these open.
const PRIVCMD: [&str; 2] = ["/dev/xen/privcmd", "/proc/xen/privcmd"];
/// The programs that have it open and build nothing.
const DAEMONS: [&str; 4] = ["xenstored", "oxenstored", "xenconsoled", "qemu"];

/// The domains that no process is going to complete: such a domain has no stored configuration and has never run.
pub(super) fn half_built(ctx: &Ctx, domains: &[DomainInfo]) -> Result<Vec<DomId>> {
    let incomplete = |domains: &[DomainInfo]| -> Result<Vec<DomainInfo>> {
        let mut found = Vec::new();
        for info in domains {
            if never_ran(info) && !is_complete(ctx, info)? {
                found.push(info.clone());
            }
        }
        Ok(found)
    };
    let suspects = incomplete(domains)?;
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    // In this order: a builder that is gone by now has either died or completed its domain.
    let builders = builders(&ctx.paths.log).context("looking who builds domains")?;
    // Before a suspect's own name, which it may get meanwhile.
    let mut taken = Vec::new();
    for info in domains {
        taken.extend(name_of(ctx, info.domid)?);
    }
    let mut found = Vec::new();
    for info in incomplete(&suspects)? {
        let name = name_of(ctx, info.domid)?;
        match builders.iter().find(|builder| builder.may_build(name.as_deref(), &taken)) {
            Some(builder) => tracing::warn!(
                "domain {} has no configuration yet; it stays, for process {} ({}) may be building it",
                info.domid,
                builder.pid,
                builder.name
            ),
            None => found.push(info.domid),
        }
    }
    Ok(found)
}

/// What the copy of a guest that migrates here is called, until it is the guest (docs/migration.md).
const INCOMING: &str = "--incoming";

/// The copies of migrations that no process is going to let run, with their names. The sender has the guest still.
pub(super) fn incoming(ctx: &Ctx, domains: &[DomainInfo]) -> Result<Vec<(DomId, String)>> {
    let names = |domids: &[DomId]| -> Result<Vec<(DomId, String)>> {
        let mut found = Vec::new();
        for &domid in domids {
            found.extend(incoming_name(ctx, domid)?.map(|name| (domid, name)));
        }
        Ok(found)
    };
    let never_ran: Vec<DomId> = domains.iter().filter(|info| never_ran(info)).map(|info| info.domid).collect();
    let suspects: Vec<DomId> = names(&never_ran)?.into_iter().map(|(domid, _)| domid).collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    // In this order: a receiver that is gone by now has either died or given its copy the guest's name.
    let receiver =
        builders(&ctx.paths.log).context("looking who receives domains")?.into_iter().find(Builder::may_receive);
    let left = names(&suspects)?;
    let Some(receiver) = receiver else { return Ok(left) };
    for (domid, name) in &left {
        tracing::warn!(
            "domain {domid} ({name}) stays, for process {} ({}) may be receiving it",
            receiver.pid,
            receiver.name
        );
    }
    Ok(Vec::new())
}

/// Whether a domain is still the copy of a migration of which [`incoming`] gave the name.
pub(super) fn is_incoming(ctx: &Ctx, domid: DomId, name: &str) -> Result<bool> {
    let waits = ctx.xc()?.domain(domid)?.is_some_and(|info| never_ran(&info));
    Ok(waits && incoming_name(ctx, domid)?.as_deref() == Some(name))
}

/// The name of a domain that is complete, if it is that of a copy.
fn incoming_name(ctx: &Ctx, domid: DomId) -> Result<Option<String>> {
    let Some(info) = ctx.xc()?.domain(domid)? else { return Ok(None) };
    let name = name_of(ctx, domid)?.filter(|name| name.ends_with(INCOMING));
    Ok(if name.is_some() && is_complete(ctx, &info)? { name } else { None })
}

fn name_of(ctx: &Ctx, domid: DomId) -> Result<Option<String>> {
    Ok(ctx.xs()?.read_optional(&format!("{}/name", schema::domain(domid)))?)
}

/// Whether the toolstack's last step is done. A stub domain is part of its guest, and completed with it.
fn is_complete(ctx: &Ctx, info: &DomainInfo) -> Result<bool> {
    let stored = Userdata::named(ctx, info.domid, Uuid::from_bytes(info.uuid)).has_config();
    Ok(stored || ctx.xs()?.exists(&format!("{}/target", schema::domain(info.domid)))?)
}

/// A process that can make hypercalls.
#[derive(Debug, PartialEq, Eq)]
struct Builder {
    pid: u32,
    name: String,
    /// A monitor, which builds nothing but its own domain anew, is known by its log.
    monitors: Option<String>,
}

impl Builder {
    /// Whether it may have a copy of a guest that it has not let run yet. A monitor waits, whatever becomes of it.
    fn may_receive(&self) -> bool {
        self.monitors.is_none()
    }

    /// Whether it may build the domain of this name, where domains have the names `taken`.
    fn may_build(&self, domain: Option<&str>, taken: &[String]) -> bool {
        match (&self.monitors, domain) {
            (None, _) => true,
            (Some(monitored), Some(domain)) => monitored == domain,
            // A domain gets its name soon; a monitor's own is gone before it builds another.
            (Some(monitored), None) => !taken.contains(monitored),
        }
    }
}

fn builders(logs: &Path) -> Result<Vec<Builder>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let process = entry.context("/proc")?.path();
        let Some(pid) = process.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        if pid != std::process::id() && makes_hypercalls(&process) {
            // A process may end at any moment, and then it builds nothing.
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default().trim_end().to_owned();
            let output = fs::read_link(process.join("fd/1")).ok();
            found.push(Builder { pid, name, monitors: output.and_then(|log| monitored(&log, logs)) });
        }
    }
    found.retain(|builder| !DAEMONS.iter().any(|daemon| builder.name.starts_with(daemon)));
    Ok(found)
}

fn makes_hypercalls(process: &Path) -> bool {
    let Ok(fds) = fs::read_dir(process.join("fd")) else { return false };
    let is_privcmd = |target: PathBuf| PRIVCMD.iter().any(|path| target == Path::new(path));
    fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(is_privcmd))
}

/// The domain of a monitor that writes to this log: `/var/log/xen/xl-NAME.log`, or `.log.1` after a rotation.
fn monitored(log: &Path, logs: &Path) -> Option<String> {
    let name = log.strip_prefix(logs).ok()?.to_str()?.strip_prefix("xl-")?;
    Some(name.rsplit_once(".log")?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_builds_its_own_domain_only() {
        let logs = Path::new("/var/log/xen");
        let of = |log: &str| monitored(Path::new(log), logs);
        assert_eq!(of("/var/log/xen/xl-web1.log").as_deref(), Some("web1"));
        assert_eq!(of("/var/log/xen/xl-web1.log.3").as_deref(), Some("web1"));
        assert_eq!(of("/var/log/xen/xldevd.log"), None);
        assert_eq!(of("/dev/pts/1"), None);
        let builder =
            |monitors: Option<&str>| Builder { pid: 7, name: "xl".into(), monitors: monitors.map(Into::into) };
        let taken = ["web1".to_owned()];
        assert!(builder(Some("web1")).may_build(Some("web1"), &taken));
        assert!(!builder(Some("web1")).may_build(Some("web2"), &taken));
        assert!(builder(Some("web1")).may_build(None, &[]), "a domain gets its name soon");
        assert!(!builder(Some("web1")).may_build(None, &taken), "it waits for the end of its own");
        assert!(builder(None).may_build(Some("web2"), &taken));
        assert!(builder(None).may_receive());
        assert!(!builder(Some("web1--incoming")).may_receive(), "stock xl's monitor of a copy outlives its receiver");
    }

    #[test]
    fn who_makes_hypercalls_is_seen_by_its_descriptors() {
        let root = tempfile::tempdir().unwrap();
        let fds = root.path().join("fd");
        fs::create_dir(&fds).unwrap();
        std::os::unix::fs::symlink("/dev/null", fds.join("0")).unwrap();
        assert!(!makes_hypercalls(root.path()));
        std::os::unix::fs::symlink("/dev/xen/privcmd", fds.join("3")).unwrap();
        assert!(makes_hypercalls(root.path()));
        assert!(!makes_hypercalls(&root.path().join("gone")));
    }
}
