//! The configuration of a domain that runs: what it was created with, and what has changed since.

use super::info;
use super::sched;
use crate::Ctx;
use crate::device::{self, DeviceKind, vdev};
use crate::error::{Error, Result, ResultExt};
use crate::types::{Bitmap, DomainConfig, DomainType};
use crate::userdata::Userdata;
use crate::xenstore::{Batch, Store, optional, schema};
use libxc::DomId;
use std::collections::HashSet;
use uuid::Uuid;

/// The configuration that would make the domain as it is now (`libxl_retrieve_domain_configuration`).
pub fn current(ctx: &Ctx, domid: DomId) -> Result<DomainConfig> {
    read(ctx, domid).with_context(|| format!("configuration of domain {domid}"))
}

fn read(ctx: &Ctx, domid: DomId) -> Result<DomainConfig> {
    let uuid = Uuid::from_bytes(info::get(ctx, domid)?.uuid);
    let mut config = Userdata::named(ctx, domid, uuid).config()?;
    config.c_info.uuid = uuid;
    config.c_info.name = info::names(ctx, &[domid])?.pop().flatten();
    if domid != DomId(0) {
        config.b_info.avail_vcpus = online_vcpus(ctx, domid, config.b_info.max_vcpus)?;
    }
    let (target, max) = memory(ctx, domid)?;
    config.b_info.target_memkb = Some(target.saturating_add(fudge(&config)));
    config.b_info.max_memkb = Some(max);
    config.b_info.sched_params = sched::get(ctx, domid)?;
    drop_absent(&mut config, &devices(ctx, domid)?);
    if !config.usbdevs.is_empty() {
        let plugged = device::plugged(ctx, domid)?;
        config.usbdevs.retain(|usbdev| device::has_usbdev(&plugged, usbdev));
    }
    Ok(config)
}

/// The kinds of devices that may be taken from a domain while its stored configuration keeps them.
const DETACHABLE: [DeviceKind; 7] = [
    DeviceKind::Vbd,
    DeviceKind::VirtioDisk,
    DeviceKind::Vif,
    DeviceKind::Vtpm,
    DeviceKind::Vdispl,
    DeviceKind::Vsnd,
    DeviceKind::Vusb,
];

/// The detachable devices that a domain has, by kind and number, in one wait.
fn devices(ctx: &Ctx, domid: DomId) -> Result<HashSet<(DeviceKind, u32)>> {
    let mut batch = Batch::new();
    DETACHABLE.iter().for_each(|kind| _ = batch.directory(&format!("{}/{kind}", schema::devices(domid))));
    let mut devices = HashSet::new();
    for (kind, listing) in DETACHABLE.into_iter().zip(ctx.xs()?.submit(batch)?) {
        let listing = optional(listing)?.unwrap_or_default();
        let numbers = String::from_utf8_lossy(&listing);
        devices.extend(numbers.split_terminator('\0').filter_map(|number| Some((kind, number.parse().ok()?))));
    }
    Ok(devices)
}

/// Leaves out the devices that the domain no longer has.
fn drop_absent(config: &mut DomainConfig, present: &HashSet<(DeviceKind, u32)>) {
    let has = |kind, devid: Option<u32>| devid.is_none_or(|devid| present.contains(&(kind, devid)));
    config.disks.retain(|disk| {
        let devid = disk.vdev.as_deref().and_then(vdev::number);
        has(DeviceKind::Vbd, devid) || has(DeviceKind::VirtioDisk, devid)
    });
    config.nics.retain(|nic| has(DeviceKind::Vif, nic.devid));
    config.vtpms.retain(|vtpm| has(DeviceKind::Vtpm, vtpm.devid));
    config.vdispls.retain(|vdispl| has(DeviceKind::Vdispl, vdispl.devid));
    config.vsnds.retain(|vsnd| has(DeviceKind::Vsnd, vsnd.devid));
    config.usbctrls.retain(|usbctrl| has(DeviceKind::Vusb, usbctrl.devid));
}

fn online_vcpus(ctx: &Ctx, domid: DomId, max_vcpus: u32) -> Result<Bitmap> {
    let nodes = (0..max_vcpus).map(|vcpu| format!("{}/cpu/{vcpu}/availability", schema::domain(domid)));
    let mut online = Bitmap::with_size(max_vcpus);
    for (vcpu, availability) in (0..).zip(ctx.xs()?.read_many(nodes)?) {
        if availability.as_deref() == Some("online") {
            online.insert(vcpu);
        }
    }
    Ok(online)
}

/// The target and the maximum, KiB. The guest cannot write them.
fn memory(ctx: &Ctx, domid: DomId) -> Result<(u64, u64)> {
    let nodes = ["target", "static-max"].map(|node| format!("{}/memory/{node}", schema::domain(domid)));
    let values = ctx.xs()?.read_many(&nodes)?;
    let number = |i: usize| -> Result<u64> {
        let value = values.get(i).and_then(Option::as_deref).unwrap_or_default();
        value.parse().map_err(|_| Error::fail(format!("{} in xenstore is \"{value}\", not a number", nodes[i])))
    };
    Ok((number(0)?, number(1)?))
}

/// What xenstore's target leaves out (`libxl__get_targetmem_fudge`), KiB.
fn fudge(config: &DomainConfig) -> u64 {
    let b_info = &config.b_info;
    let ballooned = b_info.max_memkb > b_info.target_memkb;
    let constant = if b_info.domain_type() == DomainType::Hvm && ballooned { 1024 } else { 0 };
    b_info.video_memkb.unwrap_or(0) + constant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DeviceDisk, DeviceNic};

    #[test]
    fn devices_that_were_detached_are_left_out() {
        let disk = |vdev: &str| DeviceDisk { vdev: Some(vdev.into()), ..DeviceDisk::default() };
        let nic = |devid| DeviceNic { devid, ..DeviceNic::default() };
        let mut config = DomainConfig {
            disks: vec![disk("xvda"), disk("xvdb"), disk("xvdc")],
            nics: vec![nic(Some(0)), nic(Some(1)), nic(None)],
            ..DomainConfig::default()
        };
        let present = [(DeviceKind::Vbd, 51712), (DeviceKind::VirtioDisk, 51744), (DeviceKind::Vif, 1)];
        drop_absent(&mut config, &HashSet::from(present));
        assert_eq!(config.disks, [disk("xvda"), disk("xvdc")]);
        assert_eq!(config.nics, [nic(Some(1)), nic(None)], "one without a number cannot be looked for");
    }
}
