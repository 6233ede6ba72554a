//! Devices and xenstore nodes of domains that are gone.

use crate::device::{self, Device, Force};
use crate::error::{Result, ResultExt};
use crate::xenstore::{Batch, Store, optional, schema};
use crate::{Ctx, dm};
use libxc::DomId;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Every domain of which xenstore has something.
pub(super) fn domids(ctx: &Ctx) -> Result<BTreeSet<DomId>> {
    let xs = ctx.xs()?;
    let mut names = xs.children("/local/domain")?;
    names.extend(xs.children("/libxl")?);
    names.extend(xs.children("/local/domain/0/device-model")?);
    let backends = schema::backends(DomId(0));
    for kind in xs.children(&backends)? {
        names.extend(xs.children(&format!("{backends}/{kind}"))?);
    }
    let ordinary = |name: &String| name.parse().ok().map(DomId).filter(|domid| domid.is_ordinary());
    Ok(names.iter().filter_map(ordinary).collect())
}

/// Every UUID of which xenstore has something.
pub(super) fn uuids(ctx: &Ctx) -> Result<Vec<Uuid>> {
    Ok(ctx.xs()?.children("/vm")?.iter().filter_map(|name| Uuid::parse_str(name).ok()).collect())
}

/// Removes all that is left of a domain: its device model, its devices with their loop devices, its nodes.
pub(super) fn remove(ctx: &Ctx, domid: DomId) -> Result<()> {
    if !is_gone(ctx, domid)? {
        return Ok(());
    }
    end_device_model(ctx, domid)?;
    device::remove(ctx, &devices(ctx, domid)?, Force::Always).context("devices")?;
    ctx.xs()?.transaction(|t| {
        // A domain that has taken the number since then writes its nodes later, or makes this start anew.
        if !is_gone(ctx, domid)? {
            return Ok(());
        }
        let backends = schema::backends(DomId(0));
        let mut batch = Batch::new();
        batch.directory(&backends);
        let kinds = optional(t.submit_one(batch))?.unwrap_or_default();
        let mut batch = Batch::new();
        batch.remove(&schema::domain(domid)).remove(&schema::libxl(domid));
        batch.remove(&schema::device_model(DomId(0), domid));
        for kind in String::from_utf8_lossy(&kinds).split_terminator('\0') {
            batch.remove(&format!("{backends}/{kind}/{domid}"));
        }
        Ok(t.run(batch)?)
    })
}

/// Removes what is kept under a UUID, if no domain has it.
pub(super) fn remove_vm(ctx: &Ctx, uuid: Uuid) -> Result<()> {
    ctx.xs()?.transaction(|t| {
        if ctx.xc()?.domains()?.iter().any(|info| info.uuid == *uuid.as_bytes()) {
            return Ok(());
        }
        Ok(t.remove(&schema::vm(uuid))?)
    })
}

fn is_gone(ctx: &Ctx, domid: DomId) -> Result<bool> {
    Ok(ctx.xc()?.domain(domid)?.is_none())
}

/// The devices that this host still serves to the domain.
fn devices(ctx: &Ctx, domid: DomId) -> Result<Vec<Device>> {
    let (xs, root) = (ctx.xs()?, schema::backends(DomId(0)));
    let mut found = Vec::new();
    for kind in xs.children(&root)? {
        for devid in xs.children(&format!("{root}/{kind}/{domid}"))? {
            let path = format!("{root}/{kind}/{domid}/{devid}");
            // Consoles have no driver that would have to let go.
            found.extend(Device::from_backend_path(&path, |kind| kind).filter(|_| kind != "console"));
        }
    }
    Ok(found)
}

/// Ends the QEMU that served the domain. One that takes long is found again by the next search.
fn end_device_model(ctx: &Ctx, domid: DomId) -> Result<()> {
    let Some(pid) = dm::process(ctx, domid)? else { return Ok(()) };
    dm::running::end(ctx, pid).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::super::xenstore::fake::Fake;
    use super::*;

    #[test]
    fn domains_are_found_wherever_xenstore_has_them() {
        let fake = Fake::new();
        for path in [
            "/local/domain/0/domid",
            "/local/domain/3/name",
            "/libxl/4/type",
            "/local/domain/0/device-model/5/state",
            "/local/domain/0/backend/vbd/6/51712/state",
            "/local/domain/nonsense",
            "/libxl/99999",
        ] {
            fake.set(path, b"");
        }
        let found: Vec<u16> = domids(&fake.ctx()).unwrap().into_iter().map(|domid| domid.0).collect();
        assert_eq!(found, [0, 3, 4, 5, 6]);
        let kinds: Vec<_> = devices(&fake.ctx(), DomId(6)).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(kinds, ["disk xvda"]);
    }
}
