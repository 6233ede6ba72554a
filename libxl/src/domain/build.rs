//! A domain's memory and vCPU state, and telling the daemons of it.

use super::info;
use super::nodes::{self, Image, Ring};
use super::platform::Channels;
use super::preflight::Images;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::types::{DomainBuildInfo, DomainConfig, DomainType, TypeInfo};
use crate::xenstore::Batch;
use libxc::build::{self, Built};
use libxc::image::FeatureSet;
use libxc::{DomId, Gfn, Kib};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the domain its memory with the kernel in it, up to the first vCPU's registers.
pub(super) fn memory(
    ctx: &Ctx,
    config: &DomainConfig,
    domid: DomId,
    images: &Images,
    channels: &Channels,
) -> Result<Built> {
    let (xc, b_info) = (ctx.xc()?, &config.b_info);
    let (console, store) = (channels.console, channels.store);
    let cmdline = b_info.cmdline.as_deref().unwrap_or_default().as_bytes();
    let ramdisk = images.ramdisk.as_ref().map(|r| r.bytes.as_slice());
    let claim = b_info.claim_mode.is_true();
    let kib = |size: Option<u64>| Kib(size.unwrap_or(0).saturating_sub(b_info.video_memkb.unwrap_or(0)));
    let built = match b_info.type_info {
        TypeInfo::Pv(_) => build::pv::build(
            xc,
            &build::pv::PvGuest {
                domid,
                kernel: &images.kernel,
                features: FeatureSet::default(),
                ramdisk,
                cmdline,
                pages: kib(b_info.target_memkb).pages(),
                claim,
                console,
                store,
            },
        ),
        TypeInfo::Pvh(_) => build::pvh::build(
            xc,
            &build::pvh::PvhGuest {
                domid,
                kernel: &images.kernel,
                ramdisk,
                cmdline,
                pages: kib(b_info.max_memkb).pages(),
                target_pages: kib(b_info.target_memkb).pages(),
                claim,
                online: &online(b_info),
                console,
                store,
            },
        ),
        TypeInfo::Hvm(_) | TypeInfo::Invalid => {
            return Err(Error::invalid("only PV and PVH domains can be built"));
        }
    };
    built.with_context(|| format!("loading {}", images.kernel.file))
}

/// Writes the nodes of a built domain, all or none. Of one that has `booted` from images they tell which.
pub(super) fn nodes(
    ctx: &Ctx,
    config: &DomainConfig,
    domid: DomId,
    channels: &Channels,
    built: &Built,
    booted: bool,
) -> Result<()> {
    let (b_info, uuid) = (&config.b_info, config.c_info.uuid.to_string());
    let mut plan = nodes::built(&nodes::Built {
        domid,
        uuid: &uuid,
        max_memkb: b_info.max_memkb.unwrap_or(0),
        target_memkb: target(b_info),
        video_memkb: b_info.video_memkb.unwrap_or(0),
        vcpus_online: &online(b_info),
        store: Ring { port: channels.store.port, frame: built.store_frame },
        console: Ring { port: channels.console.port, frame: built.console_frame },
        console_backend: channels.console.domid,
        image: image(b_info, booted),
        start_time: now(),
    });
    if info::twin(ctx, domid, &config.c_info.uuid)?.is_some() {
        plan = nodes::without_vm(plan, &uuid);
    }
    ctx.xs()?.run_atomic(|batch: &mut Batch| plan.iter().for_each(|node| node.queue(batch)))
}

/// Connects the domain to xenstored, which tells xenconsoled.
pub(super) fn introduce(ctx: &Ctx, domid: DomId, channels: &Channels, built: &Built) -> Result<()> {
    Ok(ctx.xs()?.introduce(domid, Gfn(built.store_frame), channels.store.port)?)
}

/// What the guest balloons to: its target without what the graphics card has.
fn target(b_info: &DomainBuildInfo) -> u64 {
    /// `LIBXL_MAXMEM_CONSTANT`, KiB: what an HVM guest below its maximum keeps for itself.
    const FUDGE: u64 = 1024;
    let target = b_info.target_memkb.unwrap_or(0);
    let ballooned_hvm = b_info.domain_type() == DomainType::Hvm && b_info.max_memkb.unwrap_or(0) > target;
    target.saturating_sub(b_info.video_memkb.unwrap_or(0)).saturating_sub(if ballooned_hvm { FUDGE } else { 0 })
}

/// Of each vCPU, whether it is online from the start.
fn online(b_info: &DomainBuildInfo) -> Vec<bool> {
    (0..b_info.max_vcpus).map(|vcpu| b_info.avail_vcpus.contains(vcpu)).collect()
}

fn image(b_info: &DomainBuildInfo, booted: bool) -> Image<'_> {
    let told = [&b_info.kernel, &b_info.ramdisk, &b_info.cmdline];
    let [kernel, ramdisk, cmdline] = told.map(|text| text.as_deref().filter(|_| booted));
    match b_info.domain_type() {
        DomainType::Pv => Image::Pv { kernel, ramdisk, cmdline },
        _ => Image::Pvh,
    }
}

/// Seconds since 1970 and hundredths of a second.
fn now() -> (u64, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs(), now.subsec_millis() / 10)
}
