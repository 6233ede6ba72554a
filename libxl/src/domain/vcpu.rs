//! A running domain's vCPUs: how many it uses, and where they run.

use super::info;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::{Bitmap, DomainType};
use crate::xenstore::schema;
use libxc::DomId;

/// Tells a domain's kernel how many vCPUs to use (`libxl_set_vcpuonline`).
///
/// # Errors
/// [`ErrorKind::DomainNotFound`]; [`ErrorKind::Invalid`] for none at all or more than the domain was created for;
/// [`ErrorKind::NotImplemented`] for an HVM domain, whose vCPUs QEMU plugs.
pub fn set_online(ctx: &Ctx, domid: DomId, count: u32) -> Result<()> {
    let domain = info::get(ctx, domid)?;
    let most = domain.max_vcpu_id.map_or(0, |last| last.saturating_add(1));
    if count == 0 || count > most {
        let text = format!("domain {domid} can use from 1 to {most} vCPUs (maxvcpus=), not {count}");
        return Err(Error::invalid(text));
    }
    if info::kind(ctx, &domain)? == DomainType::Hvm {
        let text = format!("domain {domid} is an HVM guest: plugging its vCPUs through QEMU is not built yet");
        return Err(Error::new(ErrorKind::NotImplemented, text));
    }
    let word = |vcpu| if vcpu < count { "online" } else { "offline" };
    ctx.xs()?
        .run_atomic(|batch| {
            for vcpu in 0..most {
                batch.write(&format!("{}/cpu/{vcpu}/availability", schema::domain(domid)), word(vcpu));
            }
        })
        .with_context(|| format!("telling domain {domid} to use {count} vCPUs"))
}

/// Sets where a vCPU may run and where it runs best (`libxl_set_vcpuaffinity`). `force` undoes a pinning that the
/// domain's kernel made. Warns if none of the preferred CPUs can be used.
pub fn set_affinity(
    ctx: &Ctx,
    domid: DomId,
    vcpu: u32,
    hard: Option<&Bitmap>,
    soft: Option<&Bitmap>,
    force: bool,
) -> Result<()> {
    if hard.is_none() && soft.is_none() && !force {
        return Err(Error::invalid("neither hard nor soft affinity is given"));
    }
    let bytes = ctx.xc()?.cpumap_bytes()?;
    let sized = |map: &Bitmap| {
        let mut map = map.as_bytes().to_vec();
        map.resize(bytes, 0);
        map
    };
    let (hard, soft_map) = (hard.map(sized), soft.map(sized));
    let effective = ctx
        .xc()?
        .set_vcpu_affinity(domid, vcpu, hard.as_deref(), soft_map.as_deref(), force)
        .with_context(|| format!("setting where vCPU {vcpu} of domain {domid} runs"))?;
    if soft.is_some() && Bitmap::from_bytes(effective.soft).is_empty() {
        tracing::warn!(
            "vCPU {vcpu} of domain {domid} can use none of the CPUs it prefers: only the hard affinity counts"
        );
    }
    Ok(())
}
