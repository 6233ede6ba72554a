//! The configuration of a domain that runs: what it was created with, and what has changed since.

use super::info;
use super::nodes::domain_path;
use super::sched;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::types::{Bitmap, DomainConfig, DomainType};
use crate::userdata::Userdata;
use crate::xenstore::Store;
use libxc::DomId;
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
    Ok(config)
}

fn online_vcpus(ctx: &Ctx, domid: DomId, max_vcpus: u32) -> Result<Bitmap> {
    let nodes = (0..max_vcpus).map(|vcpu| format!("{}/cpu/{vcpu}/availability", domain_path(domid)));
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
    let nodes = ["target", "static-max"].map(|node| format!("{}/memory/{node}", domain_path(domid)));
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
