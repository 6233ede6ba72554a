//! What a domain gets before its memory: vCPUs and where they run, limits, clocks, event channels, and unless a stream
//! brings it, the processor that it sees.

use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::host::numa;
use crate::types::{Altp2mMode, Bitmap, CpuidLeaf, DomainBuildInfo, DomainConfig, TimerMode, TscMode, TypeInfo};
use crate::xenstore::Store;
use libxc::build::Ring;
use libxc::cpuid::{Container, LeafOverride, MsrOverride, Settings};
use libxc::domain::TscInfo;
use libxc::hvm::HvmParam;
use libxc::memory::{E820Entry, E820Kind};
use libxc::{DomId, Kib};

/// What Xen itself needs beside the guest's memory (`LIBXL_MAXMEM_CONSTANT`), KiB.
const MAXMEM_CONSTANT: u64 = 1024;

/// The event channels to the daemons, and where these run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    pub(super) store: Ring,
    pub(super) console: Ring,
}

/// Prepares the domain for its memory. `utc_offset` is how far local time is ahead, seconds: what
/// `localtime=1` sets the guest's clock by.
pub(super) fn prepare(ctx: &Ctx, config: &mut DomainConfig, domid: DomId, utc_offset: i64) -> Result<Channels> {
    let xc = ctx.xc()?;
    xc.set_max_vcpus(domid, config.b_info.max_vcpus).context("vCPUs (maxvcpus=)")?;
    numa::place(ctx, config).context("NUMA placement")?;
    affinity(ctx, &config.b_info, domid).context("CPU affinity (cpus=, cpus_soft=)")?;
    let limit = config.b_info.target_memkb.unwrap_or(0).saturating_add(MAXMEM_CONSTANT);
    xc.set_max_memory(domid, Kib(limit)).context("memory limit")?;
    let channels = channels(ctx, domid).context("event channels")?;
    kind(ctx, &config.b_info, domid)?;
    clocks(ctx, &config.b_info, domid, utc_offset).context("clocks (tsc_mode=, rtc_timeoffset=)")?;
    Ok(channels)
}

fn affinity(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId) -> Result<()> {
    let xc = ctx.xc()?;
    if !b_info.nodemap.is_empty() {
        xc.set_node_affinity(domid, b_info.nodemap.as_bytes())?;
    }
    let (hard, soft) = (&b_info.vcpu_hard_affinity, &b_info.vcpu_soft_affinity);
    for vcpu in 0..hard.len().max(soft.len()) {
        let bytes = |maps: &'_ [Bitmap]| maps.get(vcpu).map(|m| m.as_bytes().to_vec());
        let (hard, soft) = (bytes(hard), bytes(soft));
        let given = xc
            .set_vcpu_affinity(domid, vcpu as u32, hard.as_deref(), soft.as_deref(), false)
            .with_context(|| format!("vCPU {vcpu}"))?;
        warn_if_changed(vcpu, hard.as_deref(), &given.hard);
    }
    Ok(())
}

/// Xen drops processors that the domain's cpupool does not have.
fn warn_if_changed(vcpu: usize, wanted: Option<&[u8]>, given: &[u8]) {
    let Some(wanted) = wanted else { return };
    if !Bitmap::from_bytes(wanted).is_subset(&Bitmap::from_bytes(given)) {
        tracing::debug!("vCPU {vcpu}: processors outside the cpupool are left out of its affinity");
    }
}

fn channels(ctx: &Ctx, domid: DomId) -> Result<Channels> {
    let answers = ctx.xs()?.read_many(["/tool/xenstored/domid", "/tool/xenconsoled/domid"])?;
    let daemon = |i: usize| -> DomId {
        let text = answers.get(i).and_then(Option::as_deref);
        DomId(text.and_then(|t| t.trim().parse().ok()).unwrap_or(0))
    };
    let xc = ctx.xc()?;
    let to =
        |daemon: DomId| -> Result<Ring> { Ok(Ring { port: xc.alloc_unbound_port(domid, daemon)?, domid: daemon }) };
    // In this order: guests expect the store at port 1.
    let (store, console) = (to(daemon(0))?, to(daemon(1))?);
    Ok(Channels { store, console })
}

/// What only one kind of domain has.
fn kind(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId) -> Result<()> {
    let xc = ctx.xc()?;
    match &b_info.type_info {
        TypeInfo::Pv(pv) => {
            let limit = b_info.max_memkb.unwrap_or(0).saturating_add(pv.slack_memkb.unwrap_or(0));
            let all = E820Entry { start: 0, size: limit.saturating_mul(1024), kind: E820Kind::Ram };
            xc.set_memory_map(domid, &[all]).context("memory map")?;
        }
        TypeInfo::Pvh(_) | TypeInfo::Hvm(_) => {
            xc.set_hvm_param(domid, HvmParam::TimerMode, timer_mode(b_info.timer_mode)).context("timer mode")?;
            let altp2m = if b_info.altp2m == Altp2mMode::Disabled { 0 } else { b_info.altp2m.number() as u64 };
            xc.set_hvm_param(domid, HvmParam::Altp2m, altp2m).context("altp2m=")?;
            let pool = b_info.shadow_memkb.unwrap_or(0).saturating_mul(1024);
            xc.set_paging_mempool(domid, pool).context("memory for page tables (shadow_memory=)")?;
        }
        TypeInfo::Invalid => return Err(Error::invalid("the domain has no type (type=\"pv\", \"pvh\" or \"hvm\")")),
    }
    Ok(())
}

/// Xen's number of a timer mode (`HVMPTM_*`): the names are in its order, from 0.
fn timer_mode(mode: TimerMode) -> u64 {
    let default = TimerMode::NoDelayForMissedTicks;
    let mode = if mode == TimerMode::Unknown { default } else { mode };
    mode.number().max(0) as u64
}

fn clocks(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId, utc_offset: i64) -> Result<()> {
    let mode = match b_info.tsc_mode {
        TscMode::Default => 0,
        TscMode::AlwaysEmulate => 1,
        TscMode::Native => 2,
        TscMode::NativeParavirt => {
            let text = "tsc_mode=\"native_paravirt\" was removed from Xen";
            return Err(Error::new(crate::ErrorKind::FeatureRemoved, text));
        }
    };
    ctx.xc()?.set_tsc(domid, TscInfo { mode, ..TscInfo::default() })?;
    let mut offset = i64::from(b_info.rtc_timeoffset as i32);
    if b_info.localtime.is_true() {
        offset += utc_offset;
    }
    if offset != 0 {
        ctx.xc()?.set_time_offset(domid, offset)?;
    }
    Ok(())
}

/// Gives the domain the processor that it sees. With `restore`, as Xen before 4.14 made it up for a guest that moved.
pub(super) fn cpuid(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId, restore: bool) -> Result<()> {
    let hvm = b_info.hvm();
    let container = if b_info.pv().is_some() { Container::Pv } else { Container::Hvm };
    let settings = Settings {
        restore,
        // Only HVM guests can be without.
        pae: hvm.is_none_or(|hvm| hvm.pae.or(true)),
        // The counter's rate is that of this host, so the domain must stay here or have it emulated.
        itsc: b_info.disable_migrate.is_true() || b_info.tsc_mode == TscMode::AlwaysEmulate,
        nested_virt: b_info.nested_hvm.is_true(),
    };
    let list = &b_info.cpuid;
    let leaves: Vec<_> = list.cpuid.iter().map(leaf_override).collect();
    let msrs: Vec<_> = list.msr.iter().map(|m| MsrOverride { index: m.index, bits: &m.policy }).collect();
    let applied = ctx.xc()?.apply_cpu_policy(domid, container, settings, &leaves, &msrs);
    applied.context("CPUID policy (cpuid=)")
}

/// Gives a domain that is complete the security label that it runs with, if that is another than it was built with.
pub(super) fn label(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId) -> Result<()> {
    match b_info.exec_ssidref {
        0 => Ok(()),
        id => ctx.xc()?.relabel_domain(domid, id).context("security label (seclabel=)"),
    }
}

fn leaf_override(leaf: &CpuidLeaf) -> LeafOverride<'_> {
    let registers = [&leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx].map(Option::as_deref);
    LeafOverride { leaf: leaf.leaf, subleaf: leaf.subleaf, registers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_modes_are_xens_numbers() {
        assert_eq!(timer_mode(TimerMode::DelayForMissedTicks), 0);
        assert_eq!(timer_mode(TimerMode::OneMissedTickPending), 3);
        assert_eq!(timer_mode(TimerMode::Unknown), 1);
    }
}
