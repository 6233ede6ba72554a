//! The devices of a domain that is destroyed.

use crate::Ctx;
use crate::device::{self, Device, DeviceKind, Force};
use crate::error::Result;
use crate::xenstore::{Batch, Client, Store, optional, schema};
use libxc::DomId;

/// The devices of these kinds, as `/libxl/D/device` knows them, in two waits. Nothing that the guest can write is
/// believed, and what is no device's directory is left out.
pub(super) fn held_by(xs: &Client, domid: DomId, kinds: &[&str]) -> Result<Vec<Device>> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let root = schema::devices(domid);
    let mut batch = Batch::new();
    kinds.iter().for_each(|kind| _ = batch.directory(&format!("{root}/{kind}")));
    let mut names = Vec::new();
    for (kind, listing) in kinds.iter().zip(xs.submit(batch)?) {
        let listing = optional(listing)?.unwrap_or_default();
        let listing = String::from_utf8_lossy(&listing).into_owned();
        names.extend(listing.split_terminator('\0').map(|devid| (*kind, devid.to_owned())));
    }
    let backends = xs.read_many(names.iter().map(|(kind, devid)| format!("{root}/{kind}/{devid}/backend")))?;
    let found = names.iter().zip(backends).filter_map(|((kind, devid), backend)| {
        let kind = DeviceKind::from_name(kind)?;
        let device = Device::from_backend_path(&backend?, |_| kind)?;
        (device.domid == domid && device.devid.to_string() == *devid).then_some(device)
    });
    Ok(found.collect())
}

/// Takes all devices from a domain that does not run any more.
pub(super) fn remove(ctx: &Ctx, devices: &[Device]) -> Result<()> {
    // Consoles have no backend driver that would have to let go.
    let is_console = |d: &&Device| matches!(d.backend_kind, DeviceKind::Console | DeviceKind::Vuart);
    let (consoles, others): (Vec<&Device>, Vec<&Device>) = devices.iter().partition(is_console);
    let owned = |devices: Vec<&Device>| devices.into_iter().copied().collect::<Vec<_>>();
    let removed = device::remove(ctx, &owned(others), Force::Always);
    device::remove_all(ctx, &owned(consoles))?;
    removed
}
