//! A domain's end.
//!
//! Works on a domain in any state: half built, made by another toolstack, already dying. Whatever is
//! missing counts as removed.

use super::backends;
use super::info;
use crate::device::{Device, DeviceKind};
use crate::error::{ErrorKind, Result, ResultExt};
use crate::userdata::Userdata;
use crate::xenstore::{Batch, Perms, Store, Xs, optional, schema};
use crate::{Ctx, dm, domid_history};
use libxc::DomId;
use libxc::domain::{DomainFlags, DomainInfo};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use uuid::Uuid;

/// Destroys a domain and frees all that belongs to it: processes, devices, xenstore nodes, files, memory.
///
/// # Errors
/// [`ErrorKind::DomainNotFound`](crate::ErrorKind::DomainNotFound) if there is no such domain. Otherwise
/// every step is tried, and the first error is the one that is told.
pub fn destroy(ctx: &Ctx, domid: DomId) -> Result<()> {
    steps(ctx, domid).with_context(|| format!("destroying domain {domid}"))
}

fn steps(ctx: &Ctx, domid: DomId) -> Result<()> {
    let info = info::get(ctx, domid)?;
    stop_vcpus(ctx, &info)?;
    let mut left = Leftovers::read(ctx, domid)?;
    left.heir = info::twin(ctx, domid, &Uuid::from_bytes(info.uuid))?;
    let cleanup = [
        end_stub_domain(ctx, &left),
        end_device_model(ctx, &left),
        backends::remove(ctx, &left.devices).context("devices"),
        remove_nodes(ctx, &left).context("xenstore nodes"),
        hand_on(ctx, &left).context("its node below /vm"),
        remove_files(ctx, domid, &Uuid::from_bytes(info.uuid)).context("files"),
        domid_history::mark_recent(ctx, domid).context("list of recent domain ids"),
        free_memory(ctx, domid),
    ];
    cleanup.into_iter().collect()
}

/// Nothing runs in the domain from here on. A dying domain cannot be paused and need not be.
fn stop_vcpus(ctx: &Ctx, info: &DomainInfo) -> Result<()> {
    if info.flags.contains(DomainFlags::DYING) {
        return Ok(());
    }
    if let Err(e) = ctx.xc()?.pause_domain(info.domid) {
        // It may have no vCPUs yet, or have begun to die meanwhile.
        tracing::debug!("{e}");
    }
    Ok(())
}

/// What xenstore says of a domain that is to go. Only nodes that the guest cannot write are believed.
struct Leftovers {
    domid: DomId,
    /// Its node below `/vm`.
    vm: Option<String>,
    /// Who keeps that node.
    heir: Option<DomId>,
    device_model: Option<Pid>,
    /// The domain that its device model runs in, if that is one of its own.
    stub: Option<DomId>,
    devices: Vec<Device>,
    /// Where channels end: QEMU removes these, unless it crashed.
    sockets: Vec<String>,
}

impl Leftovers {
    fn read(ctx: &Ctx, domid: DomId) -> Result<Leftovers> {
        let (xs, dom) = (ctx.xs()?, schema::domain(domid));
        let mut batch = Batch::new();
        batch.read(&format!("{dom}/vm")).read(&dm::pid_node(domid));
        batch.read(&format!("{dom}/image/device-model-domid")).directory(&schema::devices(domid));
        let mut answers = xs.submit(batch)?.into_iter().map(|a| optional(a).map(Option::unwrap_or_default));
        let mut next = || -> Result<String> {
            let bytes = answers.next().transpose()?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (vm, pid, stub, kinds) = (next()?, next()?, next()?, next()?);
        let kinds: Vec<&str> = kinds.split_terminator('\0').collect();
        let devices = backends::held_by(xs, domid, &kinds)?;
        let channels =
            devices.iter().filter(|d| d.kind == DeviceKind::Console && d.devid > 0 && d.backend_domid == DomId(0));
        let sockets = xs.read_many(channels.map(|device| format!("{}/path", device.libxl_path())))?;
        Ok(Leftovers {
            domid,
            heir: None,
            vm: Some(vm).filter(|v| v.strip_prefix("/vm/").is_some_and(|uuid| Uuid::parse_str(uuid).is_ok())),
            device_model: dm::running::find(&pid, domid),
            stub: stub_domain(xs, domid, &stub)?,
            devices,
            sockets: sockets.into_iter().flatten().collect(),
        })
    }
}

/// The domain that a guest's device model was written down to run in, if it runs there for this guest: another may have
/// that number by now.
fn stub_domain(xs: &impl Store, guest: DomId, written: &str) -> Result<Option<DomId>> {
    let Some(stub) = written.parse().ok().map(DomId).filter(|stub| *stub != DomId(0)) else { return Ok(None) };
    let target = xs.read_optional(&format!("{}/target", schema::domain(stub)))?;
    Ok((target == Some(guest.to_string())).then_some(stub))
}

/// Destroys the domain that the device model runs in.
fn end_stub_domain(ctx: &Ctx, left: &Leftovers) -> Result<()> {
    let Some(stub) = left.stub else { return Ok(()) };
    match steps(ctx, stub) {
        Err(e) if e.kind() == ErrorKind::DomainNotFound => Ok(()),
        done => done.with_context(|| format!("domain {stub}, which runs its device model")),
    }
}

/// Ends the QEMU that serves the domain; its sockets go with it. It writes to its devices' nodes until its end, so nodes
/// that are removed before would come again.
fn end_device_model(ctx: &Ctx, left: &Leftovers) -> Result<()> {
    if let Some(pid) = left.device_model
        && !dm::running::end(ctx, pid)?
    {
        tracing::warn!("domain {}: its QEMU (process {pid}) takes long to end", left.domid);
    }
    for socket in &left.sockets {
        // Whatever else is there by now is not the guest's.
        if fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
            remove_file(socket.as_ref())?;
        }
    }
    for socket in ["qmp-libxl", "qmp-libxenstat"] {
        remove_file(&ctx.paths.run.join(format!("{socket}-{}", left.domid)))?;
    }
    Ok(())
}

fn remove_nodes(ctx: &Ctx, left: &Leftovers) -> Result<()> {
    let domid = left.domid;
    let mut batch = Batch::new();
    if left.heir.is_none() {
        left.vm.iter().for_each(|vm| _ = batch.rm(vm));
    }
    batch.rm(&schema::domain(domid)).rm(&schema::libxl(domid));
    batch.rm(&schema::device_model(DomId(0), domid));
    for answer in ctx.xs()?.submit(batch)? {
        optional(answer)?;
    }
    Ok(())
}

/// What lies below `/vm` is shown to the one that keeps it from here on.
fn hand_on(ctx: &Ctx, left: &Leftovers) -> Result<()> {
    let (Some(vm), Some(heir)) = (&left.vm, left.heir) else { return Ok(()) };
    let xs = ctx.xs()?;
    let (mut nodes, mut looked_at) = (vec![vm.clone()], 0);
    while let Some(node) = nodes.get(looked_at) {
        let names = optional(xs.directory(node))?.unwrap_or_default();
        let below: Vec<String> = names.iter().map(|name| format!("{node}/{name}")).collect();
        nodes.extend(below);
        looked_at += 1;
    }
    let (shown, mut batch) = (Perms::private().readable_by(heir), Batch::new());
    nodes.iter().for_each(|node| _ = batch.set_perms(node, &shown));
    for answer in xs.submit(batch)? {
        optional(answer)?;
    }
    Ok(())
}

fn remove_files(ctx: &Ctx, domid: DomId, uuid: &Uuid) -> Result<()> {
    let userdata = Userdata::named(ctx, domid, *uuid);
    userdata.remove_all(&userdata.lock(ctx)?)?;
    for transient in ["qemu-save", "qemu-resume"] {
        remove_file(&ctx.paths.lib.join(format!("{transient}.{domid}")))?;
    }
    Ok(())
}

fn remove_file(path: &std::path::Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

/// Gives the memory back. Xen keeps a domain whose pages somebody else has mapped: that is told, for
/// it will stay in `xl list` until they are let go.
fn free_memory(ctx: &Ctx, domid: DomId) -> Result<()> {
    let xc = ctx.xc()?;
    match xc.destroy_domain(domid) {
        Err(e) if e.errno() == Some(nix::errno::Errno::ESRCH) => return Ok(()),
        done => done?,
    }
    if let Some(rest) = xc.domain(domid)?
        && rest.tot_pages > 0
    {
        tracing::debug!(
            "domain {domid} is dead, but {} of its pages are still mapped, by a backend (lsof /dev/xen/gntdev, \
             /dev/xen/privcmd) or by another domain; it goes when they are let go",
            rest.tot_pages
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;

    #[test]
    fn a_stub_domain_is_one_that_runs_for_this_guest() {
        let fake = Fake::new();
        fake.set("/local/domain/8/target", b"7");
        fake.set("/local/domain/0/target", b"7");
        let xs = fake.connect();
        let found = |guest, written| stub_domain(&xs, DomId(guest), written).unwrap();
        assert_eq!(found(7, "8"), Some(DomId(8)));
        for (guest, written) in [(6, "8"), (7, "9"), (7, "0"), (7, ""), (7, "-1")] {
            assert_eq!(found(guest, written), None, "{guest}: {written}");
        }
    }
}
